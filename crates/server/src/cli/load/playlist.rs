//! What a viewer must understand of a playlist: enough of HLS to choose renditions, follow parts and notice lies.
//!
//! Flows through: text → [`Multivariant`] or [`Media`]. Media playlists are shared by all viewers of a server, so
//! [`Cache`] parses each distinct text once and hands out the same result for the same bytes. That is not a shortcut in
//! what is checked: each viewer still compares the result with what *it* has seen and asked for.
//!
//! It deliberately does not do: byte ranges, decryption, date ranges, variable substitution, content steering.
//!
//! # Source
//!
//! draft-pantos-hls-rfc8216bis-22, sections 4.4 and 6.2.5.

use std::io::Read as _;
use std::rc::Rc;

use super::http::TEXT_MAX;

/// Distinct playlist texts kept by a [`Cache`]: two renditions, full and delta, and a few late viewers.
const CACHE_ENTRIES: usize = 24;
/// More segments or parts than this in one playlist are refused.
const PIECES_MAX: usize = 100_000;

/// A multivariant playlist, reduced to what is picked from it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Multivariant {
    /// Reference of the first variant, which is where hls.js starts.
    pub video: String,
    /// Reference of the default (or else first) rendition of that variant's audio group, when it is not muxed.
    pub audio: Option<String>,
}

/// A media playlist. Times are microseconds.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Media {
    /// `EXT-X-MEDIA-SEQUENCE`.
    pub media_sequence: u64,
    /// `SKIPPED-SEGMENTS` of a delta update, else 0.
    pub skipped: u64,
    /// `EXT-X-TARGETDURATION`.
    pub target_us: i64,
    /// `PART-TARGET`, absent when the playlist has no parts.
    pub part_target_us: Option<i64>,
    /// `PART-HOLD-BACK`.
    pub part_hold_back_us: Option<i64>,
    /// `HOLD-BACK`, else three target durations.
    pub hold_back_us: i64,
    /// `CAN-BLOCK-RELOAD`.
    pub can_block: bool,
    /// `CAN-SKIP-UNTIL`.
    pub can_skip_until_us: Option<i64>,
    /// `EXT-X-ENDLIST`.
    pub ended: bool,
    /// Listed segments, oldest first; the last may be open (parts only).
    pub segments: Vec<Segment>,
}

/// A segment, or the beginning of one that is still growing.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Segment {
    /// Media sequence number.
    pub msn: u64,
    /// Start by `EXT-X-PROGRAM-DATE-TIME`, microseconds since 1970; carried forward over segments without the tag.
    pub start_us: Option<i64>,
    /// `EXTINF`, or the sum of the parts so far.
    pub duration_us: i64,
    /// Reference; `None` while the segment is open.
    pub uri: Option<String>,
    /// `EXT-X-GAP`.
    pub gap: bool,
    /// The `EXT-X-MAP` that applies.
    pub map: Option<Map>,
    /// Whether all of it is encrypted: an `EXT-X-KEY` with `METHOD=AES-128` applies.
    pub sealed: bool,
    /// Parts still listed.
    pub parts: Vec<Part>,
}

/// An initialization segment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Map {
    /// Reference.
    pub uri: Rc<str>,
    /// Whether all of it is encrypted: an `EXT-X-KEY` with `METHOD=AES-128` stands before it.
    pub sealed: bool,
}

impl Segment {
    /// Whether all of the segment exists.
    pub fn complete(&self) -> bool {
        self.uri.is_some()
    }
}

/// A partial segment.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Part {
    /// Reference.
    pub uri: String,
    /// `DURATION`.
    pub duration_us: i64,
    /// `INDEPENDENT=YES`.
    pub independent: bool,
    /// `GAP=YES`.
    pub gap: bool,
    /// Start, from the segment's start and the parts before.
    pub start_us: Option<i64>,
}

impl Media {
    /// The media sequence number and part that come next: what a blocking reload asks for.
    ///
    /// The part is `None` when the playlist has no parts.
    pub fn next(&self) -> (u64, Option<u32>) {
        let after = self.media_sequence + self.skipped;
        let (msn, part) = match self.segments.last() {
            None => (after, 0),
            Some(last) if last.complete() => (last.msn + 1, 0),
            Some(open) => (open.msn, open.parts.len() as u32),
        };
        (msn, self.part_target_us.map(|_| part))
    }

    /// The segment with this number, if it is listed.
    pub fn segment(&self, msn: u64) -> Option<&Segment> {
        let first = self.segments.first()?.msn;
        self.segments.get(usize::try_from(msn.checked_sub(first)?).ok()?)
    }

    /// Microseconds from the start of the first listed segment to the live edge, and the live edge's wall clock.
    pub fn edge(&self) -> (i64, Option<i64>) {
        let length = self.segments.iter().map(|segment| segment.duration_us).sum();
        let wall = self.segments.last().and_then(|last| Some(last.start_us? + last.duration_us));
        (length, wall)
    }
}

/// Reads a multivariant playlist.
///
/// # Errors
///
/// A sentence saying what is missing.
pub fn multivariant(text: &str) -> Result<Multivariant, String> {
    let mut lines = text.lines().map(str::trim);
    if lines.next() != Some("#EXTM3U") {
        return Err("not a playlist: #EXTM3U is not its first line".to_owned());
    }
    let mut group: Option<String> = None;
    let mut video: Option<String> = None;
    let mut expecting = false;
    let mut audios: Vec<(String, bool, String)> = Vec::new();
    for line in lines {
        if let Some(list) = line.strip_prefix("#EXT-X-MEDIA:") {
            let (mut kind, mut id, mut uri, mut default) = ("", "", None, false);
            for (name, value) in attributes(list) {
                match name {
                    "TYPE" => kind = value,
                    "GROUP-ID" => id = value,
                    "URI" => uri = Some(value),
                    "DEFAULT" => default = value == "YES",
                    _ => {}
                }
            }
            if let ("AUDIO", Some(uri)) = (kind, uri)
                && audios.len() < 256
            {
                audios.push((id.to_owned(), default, uri.to_owned()));
            }
        } else if let Some(list) = line.strip_prefix("#EXT-X-STREAM-INF:") {
            if video.is_none() {
                group = attributes(list).find(|(name, _)| *name == "AUDIO").map(|(_, value)| value.to_owned());
            }
            expecting = true;
        } else if expecting && !line.is_empty() && !line.starts_with('#') {
            video.get_or_insert_with(|| line.to_owned());
            expecting = false;
        }
    }
    let video = video.ok_or("the multivariant playlist has no variant")?;
    let audio = group.and_then(|group| {
        let mut of_group = audios.iter().filter(|(id, _, _)| *id == group);
        let first = of_group.clone().next();
        of_group.find(|(_, default, _)| *default).or(first).map(|(_, _, uri)| uri.clone())
    });
    // An audio-only broadcast names the same playlist twice.
    Ok(Multivariant { audio: audio.filter(|uri| *uri != video), video })
}

/// Whether a text is a media playlist, so that a plain `--url` may point at either kind.
pub fn is_media(text: &str) -> bool {
    text.lines().any(|line| line.starts_with("#EXT-X-TARGETDURATION"))
}

/// Reads a media playlist.
///
/// # Errors
///
/// A short, fixed sentence: it is counted, not shown per viewer.
pub fn media(text: &str) -> Result<Media, &'static str> {
    let mut lines = text.lines().map(str::trim);
    if lines.next() != Some("#EXTM3U") {
        return Err("no #EXTM3U");
    }
    let mut list = Media::default();
    let mut hold_back = None;
    let mut current = Segment::default();
    let mut duration: Option<i64> = None;
    let mut clock: Option<i64> = None;
    let mut sealed = false;
    let mut map: Option<Map> = None;
    let mut pieces = 0usize;
    for line in lines {
        let Some(tag) = line.strip_prefix("#EXT") else {
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let length = duration.take().ok_or("a segment without EXTINF")?;
            current.uri = Some(line.to_owned());
            current.duration_us = length;
            current.sealed = sealed;
            clock = close(&mut list, &mut current, clock, &map);
            pieces += 1;
            continue;
        };
        let (name, value) = tag.split_once(':').unwrap_or((tag, ""));
        match name {
            "INF" => {
                let seconds = value.split(',').next().unwrap_or_default();
                duration = Some(micros(seconds).ok_or("EXTINF is not a number")?);
            }
            "-X-TARGETDURATION" => list.target_us = micros(value).ok_or("TARGETDURATION is not a number")?,
            "-X-MEDIA-SEQUENCE" => list.media_sequence = value.parse().map_err(|_| "MEDIA-SEQUENCE is not a number")?,
            "-X-PROGRAM-DATE-TIME" => {
                let time = date_time(value).ok_or("PROGRAM-DATE-TIME is not a date")?;
                clock = Some(time);
            }
            "-X-MAP" => map = attribute(value, "URI").map(|uri| Map { uri: Rc::from(uri), sealed }),
            "-X-KEY" => sealed = attribute(value, "METHOD") == Some("AES-128"),
            "-X-GAP" => current.gap = true,
            "-X-ENDLIST" => list.ended = true,
            "-X-SKIP" => {
                let skipped = attribute(value, "SKIPPED-SEGMENTS").and_then(|count| count.parse().ok());
                list.skipped = skipped.ok_or("EXT-X-SKIP without a count")?;
            }
            "-X-PART-INF" => {
                list.part_target_us = Some(attribute(value, "PART-TARGET").and_then(micros).ok_or("no PART-TARGET")?);
            }
            "-X-SERVER-CONTROL" => {
                for (name, value) in attributes(value) {
                    match name {
                        "CAN-BLOCK-RELOAD" => list.can_block = value == "YES",
                        "CAN-SKIP-UNTIL" => list.can_skip_until_us = micros(value),
                        "HOLD-BACK" => hold_back = micros(value),
                        "PART-HOLD-BACK" => list.part_hold_back_us = micros(value),
                        _ => {}
                    }
                }
            }
            "-X-PART" => {
                let mut part = Part::default();
                for (name, value) in attributes(value) {
                    match name {
                        "URI" => value.clone_into(&mut part.uri),
                        "DURATION" => part.duration_us = micros(value).ok_or("a part's DURATION is not a number")?,
                        "INDEPENDENT" => part.independent = value == "YES",
                        "GAP" => part.gap = value == "YES",
                        _ => {}
                    }
                }
                if part.uri.is_empty() || part.duration_us <= 0 {
                    return Err("a part without URI or DURATION");
                }
                let before: i64 = current.parts.iter().map(|part| part.duration_us).sum();
                part.start_us = clock.map(|clock| clock + before);
                current.parts.push(part);
                pieces += 1;
            }
            _ => {}
        }
        if pieces > PIECES_MAX {
            return Err("too many segments");
        }
    }
    if !current.parts.is_empty() {
        current.duration_us = current.parts.iter().map(|part| part.duration_us).sum();
        current.sealed = sealed;
        close(&mut list, &mut current, clock, &map);
    }
    if list.target_us <= 0 {
        return Err("no TARGETDURATION");
    }
    list.hold_back_us = hold_back.unwrap_or(3 * list.target_us);
    Ok(list)
}

/// Appends the current segment and returns the clock at its end.
fn close(list: &mut Media, current: &mut Segment, clock: Option<i64>, map: &Option<Map>) -> Option<i64> {
    let mut segment = std::mem::take(current);
    segment.msn = list.media_sequence + list.skipped + list.segments.len() as u64;
    segment.start_us = clock;
    segment.map = map.clone();
    let end = clock.map(|clock| clock + segment.duration_us);
    list.segments.push(segment);
    end
}

/// Iterates over `NAME=value,NAME="va,lue"`; quotes are removed.
fn attributes(mut list: &str) -> impl Iterator<Item = (&str, &str)> {
    std::iter::from_fn(move || {
        let (name, rest) = list.split_once('=')?;
        let (value, rest) = match rest.strip_prefix('"') {
            Some(quoted) => {
                let (value, rest) = quoted.split_once('"')?;
                (value, rest.strip_prefix(',').unwrap_or(rest))
            }
            None => rest.split_once(',').unwrap_or((rest, "")),
        };
        list = rest;
        Some((name.trim(), value))
    })
}

fn attribute<'a>(list: &'a str, wanted: &str) -> Option<&'a str> {
    attributes(list).find(|(name, _)| *name == wanted).map(|(_, value)| value)
}

/// Decimal seconds to microseconds, without floats; at most about three years.
fn micros(seconds: &str) -> Option<i64> {
    let seconds = seconds.trim();
    let (whole, fraction) = seconds.split_once('.').unwrap_or((seconds, ""));
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if whole.is_empty() || whole.len() > 8 || fraction.len() > 18 || !digits(whole) || !digits(fraction) {
        return None;
    }
    let mut value = whole.parse::<i64>().ok()? * 1_000_000;
    for (digit, unit) in fraction.bytes().zip([100_000, 10_000, 1_000, 100, 10, 1]) {
        value += i64::from(digit - b'0') * unit;
    }
    Some(value)
}

/// ISO 8601 date and time with a zone, to microseconds since 1970.
fn date_time(text: &str) -> Option<i64> {
    let text = text.trim();
    let number = |range: std::ops::Range<usize>| -> Option<i64> {
        let digits = text.get(range)?;
        digits.bytes().all(|byte| byte.is_ascii_digit()).then(|| digits.parse().ok()).flatten()
    };
    let (year, month, day) = (number(0..4)?, number(5..7)?, number(8..10)?);
    let (hour, minute, second) = (number(11..13)?, number(14..16)?, number(17..19)?);
    if !(1..=12).contains(&month) || !(1..=31).contains(&day) || hour > 24 || minute > 59 || second > 60 {
        return None;
    }
    let rest = text.get(19..)?;
    let (fraction, zone) = match rest.strip_prefix('.') {
        Some(rest) => rest.split_at(rest.bytes().take_while(u8::is_ascii_digit).count()),
        None => ("", rest),
    };
    let mut micro = 0;
    for (digit, unit) in fraction.bytes().zip([100_000, 10_000, 1_000, 100, 10, 1]) {
        micro += i64::from(digit - b'0') * unit;
    }
    let zone_minutes = match zone.as_bytes() {
        b"" | b"Z" | b"z" => 0,
        [sign @ (b'+' | b'-'), h1, h2, rest @ ..] => {
            let minutes = match rest {
                [] => (b'0', b'0'),
                [b':', m1, m2] | [m1, m2] => (*m1, *m2),
                _ => return None,
            };
            let digit = |byte: u8| byte.is_ascii_digit().then(|| i64::from(byte - b'0'));
            let value = (digit(*h1)? * 10 + digit(*h2)?) * 60 + digit(minutes.0)? * 10 + digit(minutes.1)?;
            if *sign == b'-' { -value } else { value }
        }
        _ => return None,
    };
    // Days since 1970-01-01 by Howard Hinnant's days_from_civil.
    let shifted = if month <= 2 { year - 1 } else { year };
    let era = shifted.div_euclid(400);
    let year_of_era = shifted - era * 400;
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let days = era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719_468;
    let seconds = days * 86_400 + hour * 3_600 + (minute - zone_minutes) * 60 + second;
    Some(seconds * 1_000_000 + micro)
}

/// Unpacks a body into text, bounded.
///
/// # Errors
///
/// A short, fixed sentence.
pub fn text(body: &[u8], gzip: bool) -> Result<String, &'static str> {
    let mut bytes = Vec::new();
    if gzip {
        let mut limited = flate2::read::GzDecoder::new(body).take(TEXT_MAX + 1);
        limited.read_to_end(&mut bytes).map_err(|_| "broken gzip")?;
        if bytes.len() as u64 > TEXT_MAX {
            return Err("a gzip body grows beyond its bound");
        }
    } else {
        bytes.extend_from_slice(body);
    }
    String::from_utf8(bytes).map_err(|_| "not UTF-8")
}

/// Remembers the last distinct playlist bodies and what they meant.
#[derive(Default)]
pub struct Cache {
    /// Most recently used last.
    entries: Vec<(Box<[u8]>, Rc<Media>)>,
    used: CacheUse,
}

/// How often a [`Cache`] helped.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct CacheUse {
    /// Bodies that were byte for byte one already read.
    pub hits: u64,
    /// Bodies that had to be unpacked and read.
    pub misses: u64,
}

impl Cache {
    /// Unpacks and reads a body, or finds it among the last ones.
    ///
    /// # Errors
    ///
    /// A short, fixed sentence.
    pub fn read(&mut self, body: &[u8], gzip: bool) -> Result<Rc<Media>, &'static str> {
        if let Some(at) = self.entries.iter().rposition(|(known, _)| known[..] == *body) {
            self.used.hits += 1;
            let found = Rc::clone(&self.entries[at].1);
            let last = self.entries.len() - 1;
            self.entries.swap(at, last);
            return Ok(found);
        }
        self.used.misses += 1;
        let list = Rc::new(media(&text(body, gzip)?)?);
        if self.entries.len() >= CACHE_ENTRIES {
            self.entries.remove(0);
        }
        self.entries.push((body.into(), Rc::clone(&list)));
        Ok(list)
    }

    /// How often it helped so far.
    pub fn usage(&self) -> CacheUse {
        self.used
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FULL: &str = "#EXTM3U\n#EXT-X-VERSION:9\n#EXT-X-TARGETDURATION:4\n\
        #EXT-X-SERVER-CONTROL:CAN-BLOCK-RELOAD=YES,CAN-SKIP-UNTIL=24,HOLD-BACK=12,PART-HOLD-BACK=1.5\n\
        #EXT-X-PART-INF:PART-TARGET=0.501\n#EXT-X-MEDIA-SEQUENCE:10\n#EXT-X-MAP:URI=\"init.0.mp4\"\n\
        #EXT-X-PROGRAM-DATE-TIME:2026-11-20T12:00:00.000Z\n#EXTINF:2.00000,\n10.m4s\n\
        #EXT-X-PART:DURATION=0.5,URI=\"11.0.m4s\",INDEPENDENT=YES\n#EXT-X-PART:DURATION=0.5,URI=\"11.1.m4s\"\n\
        #EXTINF:1.0,\n11.m4s\n#EXT-X-PROGRAM-DATE-TIME:2026-11-20T12:00:03.000Z\n\
        #EXT-X-PART:DURATION=0.5,URI=\"12.0.m4s\",INDEPENDENT=YES\n\
        #EXT-X-PRELOAD-HINT:TYPE=PART,URI=\"12.1.m4s\"\n";

    #[test]
    fn a_live_playlist_is_understood() {
        let list = media(FULL).unwrap();
        assert_eq!((list.media_sequence, list.target_us, list.hold_back_us), (10, 4_000_000, 12_000_000));
        assert_eq!((list.part_target_us, list.part_hold_back_us), (Some(501_000), Some(1_500_000)));
        assert!(list.can_block && !list.ended);
        assert_eq!(list.next(), (12, Some(1)));
        let start = date_time("2026-11-20T12:00:00Z").unwrap();
        assert_eq!(list.edge(), (3_500_000, Some(start + 3_500_000)));
        let segment = list.segment(11).unwrap();
        assert_eq!(segment.start_us, Some(start + 2_000_000));
        assert_eq!(segment.parts[1].start_us, Some(start + 2_500_000));
        assert_eq!(segment.map, Some(Map { uri: Rc::from("init.0.mp4"), sealed: false }));
        assert!(list.segment(13).is_none() && list.segment(9).is_none());
    }

    #[test]
    fn a_delta_counts_what_it_skips() {
        let delta = FULL
            .replace("#EXT-X-MAP", "#EXT-X-SKIP:SKIPPED-SEGMENTS=5\n#EXT-X-MAP")
            .replace("SEQUENCE:10", "SEQUENCE:5");
        let list = media(&delta).unwrap();
        assert_eq!(list.next(), (12, Some(1)));
        assert_eq!(list.segment(10).unwrap().uri.as_deref(), Some("10.m4s"));
    }

    #[test]
    fn a_key_holds_for_what_comes_after_it() {
        let sealed = |text: &str| media(text).unwrap().segments.iter().map(|each| each.sealed).collect::<Vec<_>>();
        assert_eq!(sealed(FULL), [false; 3]);
        let from_11 = "#EXT-X-KEY:METHOD=AES-128,URI=\"11.key\",IV=0x0\n#EXT-X-PART:DURATION=0.5,URI=\"11.0.m4s\"";
        let rotated = FULL.replace("#EXT-X-PART:DURATION=0.5,URI=\"11.0.m4s\"", from_11);
        assert_eq!(sealed(&rotated), [false, true, true]);
        assert_eq!(sealed(&rotated.replace("#EXTINF:1.0", "#EXT-X-KEY:METHOD=NONE\n#EXTINF:1.0")), [false; 3]);
        // A map before the key is clear, one behind it is not.
        let maps = |text: &str| -> Vec<_> {
            media(text).unwrap().segments.into_iter().map(|each| each.map.is_some_and(|map| map.sealed)).collect()
        };
        assert_eq!(maps(&rotated), [false; 3]);
        let behind = from_11.replace("\n", "\n#EXT-X-MAP:URI=\"init.0.11.mp4\"\n");
        assert_eq!(maps(&rotated.replace(from_11, &behind)), [false, true, true]);
        // Samples alone are encrypted: the boxes are there to be seen.
        assert_eq!(sealed(&rotated.replace("AES-128", "SAMPLE-AES")), [false; 3]);
    }

    #[test]
    fn what_is_not_a_playlist_is_refused() {
        let bad = ["", "<html>", "#EXTM3U\n", "#EXTM3U\n#EXT-X-TARGETDURATION:4\na.m4s", "#EXTM3U\n#EXTINF:x,\na"];
        for text in bad {
            assert!(media(text).is_err(), "{text}");
        }
        assert!(media(&FULL.replace("2026-11-20T12:00:00.000Z", "yesterday")).is_err());
        assert!(media(&FULL.replace("DURATION=0.5,URI=\"12.0.m4s\",", "")).is_err());
    }

    #[test]
    fn the_first_variant_and_its_default_audio_are_picked() {
        let text = "#EXTM3U\n#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID=\"x\",NAME=\"a\",URI=\"no.m3u8\"\n\
            #EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID=\"a\",NAME=\"b, c\",DEFAULT=YES,URI=\"audio/index.m3u8\"\n\
            #EXT-X-STREAM-INF:BANDWIDTH=1,CODECS=\"avc1.64001f,mp4a.40.2\",AUDIO=\"a\"\nvideo/index.m3u8\n\
            #EXT-X-STREAM-INF:BANDWIDTH=2\nother.m3u8\n";
        let found = multivariant(text).unwrap();
        assert_eq!(
            found,
            Multivariant { video: "video/index.m3u8".to_owned(), audio: Some("audio/index.m3u8".to_owned()) }
        );
        assert!(multivariant("#EXTM3U\n").is_err());
        assert!(!is_media(text) && is_media(FULL));
    }

    #[test]
    fn dates_are_read_with_any_zone() {
        let utc = date_time("2026-02-28T23:30:00.250Z").unwrap();
        assert_eq!(utc, 1_772_321_400_250_000);
        assert_eq!(date_time("2026-03-01T01:00:00.250+01:30"), Some(utc));
        assert_eq!(date_time("2026-02-28T22:30:00.25-0100"), Some(utc));
        for bad in ["", "2026-02-28", "2026-13-01T00:00:00Z", "2026-01-01T00:00:00X", "2026-01-01T00:00:00+1"] {
            assert_eq!(date_time(bad), None, "{bad}");
        }
    }

    #[test]
    fn seconds_are_read_without_floats() {
        assert_eq!(micros("0.33334"), Some(333_340));
        assert_eq!(micros("4"), Some(4_000_000));
        for bad in ["", "-1", "1e3", "123456789", ".5"] {
            assert_eq!(micros(bad), None, "{bad}");
        }
    }

    #[test]
    fn the_same_bytes_are_read_once() {
        let mut cache = Cache::default();
        let first = cache.read(FULL.as_bytes(), false).unwrap();
        assert!(Rc::ptr_eq(&first, &cache.read(FULL.as_bytes(), false).unwrap()));
        for number in 0..100 {
            cache.read(format!("{FULL}#{number}\n").as_bytes(), false).unwrap();
        }
        assert_eq!(cache.entries.len(), CACHE_ENTRIES);
        assert_eq!(cache.usage(), CacheUse { hits: 1, misses: 101 });
    }

    #[test]
    fn a_gzip_bomb_is_refused() {
        use std::io::Write as _;
        let mut packer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
        packer.write_all(&vec![b'a'; TEXT_MAX as usize + 10]).unwrap();
        assert!(text(&packer.finish().unwrap(), true).is_err());
        assert!(text(b"not gzip", true).is_err());
    }
}
