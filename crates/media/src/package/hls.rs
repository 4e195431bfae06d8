//! The text of playlists, and what a request for one asks.
//!
//! Playlists are written by hand into one string: decimals come from integers, and the lines of old segments are kept
//! as text, so that rendering fifteen minutes of segments is a few hundred short copies. Addresses in them are relative
//! and carry nothing of the viewer, so that one text serves all.
//!
//! | address | what |
//! |---|---|
//! | `index.m3u8` | [`multivariant`] |
//! | `video/index.m3u8`, `audio/index.m3u8` | [`media_playlist`] |
//! | `video/init.{id}.mp4` | initialization segment |
//! | `video/init.{id}.{msn}.mp4` | the same, encrypted as a whole with the key of this number, see [`KeyLine`] |
//! | `video/{msn}.m4s` | segment |
//! | `video/{msn}.{part}.m4s` | part |
//! | `key/{msn}` | the key of the segments from this one on, of both renditions, see [`KeyLine`] |
//!
//! # Source
//!
//! draft-pantos-hls-rfc8216bis-22: sections 4.4.3 and 4.4.4 (media playlists), 4.4.5.2 (EXT-X-SKIP), 4.4.5.3
//! (EXT-X-PRELOAD-HINT), 4.4.5.4 (EXT-X-RENDITION-REPORT), 4.4.6 (multivariant playlists), 6.2.5 (delivery directives).
//! Apple's HLS Authoring Specification asks for PART-HOLD-BACK of three part targets where the draft is content with
//! two.

use std::sync::Arc;
use std::time::Duration;

use super::TARGET_DURATION;
use super::window::{Edge, Entry, Snapshot};
use crate::codec::Codec;
use crate::frame::Kind;
use crate::seal::Method;
use crate::time::WallTime;

/// CAN-SKIP-UNTIL: a delta update leaves out what is further than this from the end (L2: at least six targets).
const CAN_SKIP_UNTIL: Duration = TARGET_DURATION.saturating_mul(6);
/// HOLD-BACK: players without parts stay this far behind the end (L2: at least three targets).
const HOLD_BACK: Duration = TARGET_DURATION.saturating_mul(3);

/// How much of the old part of a playlist a client says it still has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Skip {
    /// `_HLS_skip=YES`: segments.
    V1,
    /// `_HLS_skip=v2`: segments and date ranges.
    V2,
}

/// What a playlist request asks for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Directives {
    /// `_HLS_msn`: answer when this segment exists.
    pub msn: Option<u64>,
    /// `_HLS_part`: answer when this part of it exists.
    pub part: Option<u32>,
    /// `_HLS_skip`: a delta update is welcome.
    pub skip: Option<Skip>,
}

/// A playlist request that must be refused with 400.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadDirective {
    /// A value that is not a decimal integer.
    #[error("{name} is not a number")]
    NotANumber {
        /// Which directive.
        name: &'static str,
    },
    /// `_HLS_part` says nothing without `_HLS_msn`.
    #[error("_HLS_part needs _HLS_msn")]
    PartWithoutMsn,
}

impl Directives {
    /// Reads the query of a request, without its question mark. Parameters may come in any order, and unknown ones are
    /// ignored.
    ///
    /// # Errors
    ///
    /// A number that is none, or a part without a segment.
    pub fn parse(query: &str) -> Result<Self, BadDirective> {
        let mut directives = Self::default();
        for (name, value) in query.split('&').filter_map(|pair| pair.split_once('=')) {
            match name {
                "_HLS_msn" => {
                    directives.msn = Some(number(value).ok_or(BadDirective::NotANumber { name: "_HLS_msn" })?)
                }
                "_HLS_part" => {
                    let part = number(value).ok_or(BadDirective::NotANumber { name: "_HLS_part" })?;
                    directives.part = Some(u32::try_from(part).unwrap_or(u32::MAX));
                }
                "_HLS_skip" if value == "YES" => directives.skip = Some(Skip::V1),
                "_HLS_skip" if value == "v2" => directives.skip = Some(Skip::V2),
                _ => {}
            }
        }
        if directives.part.is_some() && directives.msn.is_none() {
            return Err(BadDirective::PartWithoutMsn);
        }
        Ok(directives)
    }

    /// The form of the playlist that answers this request.
    #[must_use]
    pub fn form(&self) -> Form {
        self.skip.map_or(Form::Full, Form::Delta)
    }
}

/// Digits only: no sign, no space. Numbers beyond 64 bits are too far in any case.
fn number(text: &str) -> Option<u64> {
    if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    Some(text.parse().unwrap_or(u64::MAX))
}

/// What to do with a playlist request now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Answer with the current playlist.
    Ready,
    /// Ask again when the rendition's edge has changed. What is waited for exists once the edge is past `until`.
    Wait {
        /// The part waited for; with `part` at its highest, the whole segment.
        until: Edge,
    },
    /// Refuse with 400: nobody who follows the playlist asks for this.
    TooFar,
}

impl Snapshot {
    /// Whether a request can be answered from this snapshot.
    ///
    /// Ask again for each new snapshot: a wait for a part that its segment turns out not to have becomes a wait for the
    /// next segment's first.
    ///
    /// # Source
    ///
    /// draft-pantos-hls-rfc8216bis-22 section 6.2.5.2.
    #[must_use]
    pub fn verdict(&self, directives: &Directives) -> Verdict {
        let Some(msn) = directives.msn else { return Verdict::Ready };
        if self.ended {
            return Verdict::Ready;
        }
        // The last finished segment is the one before the edge's.
        let edge = self.edge;
        if msn > edge.msn.saturating_add(1) {
            return Verdict::TooFar;
        }
        let Some(part) = directives.part.filter(|_| self.part_target.is_some()) else {
            if msn < edge.msn {
                return Verdict::Ready;
            }
            return Verdict::Wait { until: Edge { msn, part: u32::MAX } };
        };
        let (msn, part) = match self.parts_of_finished(msn) {
            _ if msn >= edge.msn => (msn, part),
            Some(parts) if part >= parts => (msn + 1, 0),
            _ => return Verdict::Ready,
        };
        // How many parts there are between the last one that exists and the one asked for; at least, when a segment
        // that is not complete lies between them.
        let ahead =
            if msn > edge.msn { u64::from(part) + 1 } else { u64::from(part) + 1 - u64::from(edge.part.min(part)) };
        if ahead > self.advance_part_limit() {
            return Verdict::TooFar;
        }
        let wanted = Edge { msn, part };
        if edge > wanted { Verdict::Ready } else { Verdict::Wait { until: wanted } }
    }

    /// The number of parts of a finished segment that is listed; `None` for one that is gone or has lost its parts, all
    /// of which existed once.
    fn parts_of_finished(&self, msn: u64) -> Option<u32> {
        let place = usize::try_from(msn.checked_sub(self.media_sequence)?).ok()?;
        self.segments.get(place).map(|entry| entry.part_count)
    }

    /// Three seconds of parts, or three parts when they last a second or more.
    fn advance_part_limit(&self) -> u64 {
        let target_ms = self.part_target.map_or(1_000, |target| target.as_millis().max(1));
        if target_ms >= 1_000 { 3 } else { u64::try_from(3_000_u128.div_ceil(target_ms)).unwrap_or(3) }
    }

    /// How many segments a delta update leaves out.
    fn skippable(&self) -> usize {
        if self.ended {
            return 0;
        }
        let mut distance = Duration::ZERO;
        for (place, entry) in self.segments.iter().enumerate().rev() {
            if distance > CAN_SKIP_UNTIL {
                return place + 1;
            }
            distance += entry.duration;
        }
        0
    }
}

/// How much of a playlist is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Form {
    /// Everything.
    Full,
    /// Old segments replaced by EXT-X-SKIP. As `Full` when there is nothing to leave out, or the playlist has ended.
    Delta(Skip),
}

/// Where another rendition of the same broadcast stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RenditionReport {
    /// Its playlist, relative to this one, such as `../audio/index.m3u8`.
    pub uri: String,
    /// Its last segment and part: [`Snapshot::last`].
    pub last: (u64, Option<u32>),
}

/// The playlist of one rendition.
#[must_use]
pub fn media_playlist(snapshot: &Snapshot, reports: &[RenditionReport], form: Form) -> String {
    let skipped = if matches!(form, Form::Delta(_)) { snapshot.skippable() } else { 0 };
    let kept = snapshot.segments.get(skipped..).unwrap_or(&[]);
    let text_bytes: usize =
        kept.iter().chain(&snapshot.open).map(|e| e.date.len() + e.parts.len() + e.tail.len()).sum();
    let mut out = String::with_capacity(text_bytes + 640 + 24 * kept.len());
    out.push_str(match form {
        Form::Full | Form::Delta(Skip::V1) => "#EXTM3U\n#EXT-X-VERSION:9\n",
        Form::Delta(Skip::V2) if skipped == 0 => "#EXTM3U\n#EXT-X-VERSION:9\n",
        Form::Delta(Skip::V2) => "#EXTM3U\n#EXT-X-VERSION:10\n",
    });
    out.push_str("#EXT-X-TARGETDURATION:");
    write_number(&mut out, TARGET_DURATION.as_secs());
    out.push('\n');
    let part_target = snapshot.part_target;
    write_server_control(&mut out, part_target);
    out.push_str("#EXT-X-MEDIA-SEQUENCE:");
    write_number(&mut out, snapshot.media_sequence);
    out.push_str("\n#EXT-X-DISCONTINUITY-SEQUENCE:");
    write_number(&mut out, snapshot.discontinuity_sequence);
    out.push('\n');
    if skipped > 0 {
        out.push_str("#EXT-X-SKIP:SKIPPED-SEGMENTS=");
        write_number(&mut out, skipped as u64);
        out.push('\n');
    }
    // The first segment written always names its map and its key, also in a delta update (L11); every segment has its date.
    let mut said = Said::default();
    for entry in kept {
        write_segment(&mut out, entry, &mut said, part_target.is_some());
    }
    if !snapshot.ended
        && let (Some(open), Some(_)) = (&snapshot.open, part_target)
        && open.part_count > 0
    {
        write_segment(&mut out, open, &mut said, true);
    }
    if snapshot.ended {
        out.push_str("#EXT-X-ENDLIST\n");
    } else {
        write_edge(&mut out, snapshot, reports);
    }
    out
}

fn write_server_control(out: &mut String, part_target: Option<Duration>) {
    out.push_str("#EXT-X-SERVER-CONTROL:CAN-BLOCK-RELOAD=YES,CAN-SKIP-UNTIL=");
    write_millis(out, CAN_SKIP_UNTIL);
    out.push_str(",HOLD-BACK=");
    write_millis(out, HOLD_BACK);
    if let Some(target) = part_target {
        out.push_str(",PART-HOLD-BACK=");
        write_millis(out, target * 3);
        out.push_str("\n#EXT-X-PART-INF:PART-TARGET=");
        write_millis(out, target);
    }
    out.push('\n');
}

/// What a playlist has said so far that holds until it says something else.
#[derive(Default)]
struct Said {
    /// An initialization segment, and the key that it is encrypted with.
    map: Option<(u32, Option<u64>)>,
    key: Option<Arc<KeyLine>>,
}

impl Said {
    fn key(&mut self, out: &mut String, entry: &Entry) {
        if self.key != entry.key {
            self.key.clone_from(&entry.key);
            out.push_str(entry.key.as_ref().map_or(CLEAR, |key| &key.text));
        }
    }

    fn map(&mut self, out: &mut String, entry: &Entry, header_key: Option<u64>) {
        if self.map == Some((entry.init, header_key)) {
            return;
        }
        self.map = Some((entry.init, header_key));
        // A key holds for the maps behind it as well.
        if header_key.is_none() && self.key.take().is_some() {
            out.push_str(CLEAR);
        }
        out.push_str("#EXT-X-MAP:URI=\"init.");
        write_number(out, u64::from(entry.init));
        if let Some(first_msn) = header_key {
            out.push('.');
            write_number(out, first_msn);
        }
        out.push_str(".mp4\"\n");
    }
}

fn write_segment(out: &mut String, entry: &Entry, said: &mut Said, parts: bool) {
    if entry.discontinuity {
        out.push_str("#EXT-X-DISCONTINUITY\n");
    }
    // A header that is encrypted stands behind its key, a clear one before it.
    match entry.key.as_ref().and_then(|key| key.header_key) {
        Some(first_msn) => {
            said.key(out, entry);
            said.map(out, entry, Some(first_msn));
        }
        None => {
            said.map(out, entry, None);
            said.key(out, entry);
        }
    }
    out.push_str(&entry.date);
    if parts {
        out.push_str(&entry.parts);
    }
    out.push_str(&entry.tail);
}

/// What is about to come, and where the other renditions are.
fn write_edge(out: &mut String, snapshot: &Snapshot, reports: &[RenditionReport]) {
    // A gap is not hinted at: while gaps are written nothing is known to come.
    let in_gap = snapshot.open.as_ref().map_or_else(
        || snapshot.segments.last().is_some_and(|last| last.gap),
        |open| open.parts.ends_with("GAP=YES\n"),
    );
    if snapshot.part_target.is_some() && !in_gap {
        out.push_str("#EXT-X-PRELOAD-HINT:TYPE=PART,URI=\"");
        write_number(out, snapshot.edge.msn);
        out.push('.');
        write_number(out, u64::from(snapshot.edge.part));
        out.push_str(".m4s\"\n");
    }
    for report in reports {
        out.push_str("#EXT-X-RENDITION-REPORT:URI=\"");
        out.push_str(&report.uri);
        out.push_str("\",LAST-MSN=");
        write_number(out, report.last.0);
        if let Some(part) = report.last.1 {
            out.push_str(",LAST-PART=");
            write_number(out, u64::from(part));
        }
        out.push('\n');
    }
}

/// A rendition as the multivariant playlist describes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RenditionInfo {
    /// Its codec.
    pub codec: Codec,
    /// The largest bit rate of any of its segments.
    pub peak_bps: u64,
    /// Its bit rate on average.
    pub average_bps: u64,
    /// Frames per second as a fraction, where the codec does not say it.
    pub frame_rate: Option<(u32, u32)>,
}

/// The multivariant playlist of a broadcast with at most one rendition of each kind.
///
/// `independent_segments`: every segment begins with a frame at which decoding can start
/// ([`Segmenter::independent_segments`](super::Segmenter::independent_segments)).
#[must_use]
pub fn multivariant(renditions: &[RenditionInfo], independent_segments: bool) -> String {
    let find = |kind| renditions.iter().find(|info| info.codec.kind() == kind);
    let (video, audio) = (find(Kind::Video), find(Kind::Audio));
    let mut out = String::with_capacity(512);
    out.push_str("#EXTM3U\n#EXT-X-VERSION:6\n");
    if independent_segments {
        out.push_str("#EXT-X-INDEPENDENT-SEGMENTS\n");
    }
    if let (Some(_), Some(audio)) = (video, audio) {
        out.push_str(
            "#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID=\"audio\",NAME=\"Audio\",DEFAULT=YES,AUTOSELECT=YES,CHANNELS=\"",
        );
        write_number(&mut out, u64::from(audio.codec.channels().unwrap_or(2)));
        out.push_str("\",URI=\"audio/index.m3u8\"\n");
    }
    let Some(main) = video.or(audio) else { return out };
    let both: Vec<_> = [video, audio].into_iter().flatten().collect();
    // A player takes a bandwidth of zero for an error.
    let sum = |bps: fn(&RenditionInfo) -> u64| both.iter().map(|info| bps(info)).fold(0, u64::saturating_add).max(1);
    let average = sum(|info| info.average_bps);
    out.push_str("#EXT-X-STREAM-INF:BANDWIDTH=");
    write_number(&mut out, sum(|info| info.peak_bps).max(average));
    out.push_str(",AVERAGE-BANDWIDTH=");
    write_number(&mut out, average);
    out.push_str(",CODECS=\"");
    for (place, info) in both.iter().enumerate() {
        if place > 0 {
            out.push(',');
        }
        out.push_str(&info.codec.codec_string());
    }
    out.push('"');
    if let Some((width, height)) = main.codec.resolution() {
        out.push_str(",RESOLUTION=");
        write_number(&mut out, u64::from(width));
        out.push('x');
        write_number(&mut out, u64::from(height));
    }
    if let Some((num, den)) = main.codec.frame_rate().or(main.frame_rate)
        && den > 0
    {
        out.push_str(",FRAME-RATE=");
        let thousandths = (u64::from(num) * 1_000 + u64::from(den) / 2) / u64::from(den);
        write_decimal(&mut out, thousandths, 3);
    }
    if video.is_some() && audio.is_some() {
        out.push_str(",AUDIO=\"audio\"");
    }
    out.push('\n');
    out.push_str(main.codec.kind().as_str());
    out.push_str("/index.m3u8\n");
    out
}

/// What is behind it is not encrypted.
const CLEAR: &str = "#EXT-X-KEY:METHOD=NONE\n";

/// The `EXT-X-KEY` line of the segments from one on.
///
/// Its IV counts for all of them: for `aes-128` because headers are encrypted too and have no number, and because GStreamer
/// decrypts a header with the initialization vector of the segment it begins with; for `cbcs` because that is its form.
/// `cbcs` names its key as well, for players that ask for a licence by that name.
///
/// # Source
///
/// draft-pantos-hls-rfc8216bis-22 sections 4.4.4.4 (EXT-X-KEY; it applies to the EXT-X-MAP behind it as well) and 4.4.4.5
/// (EXT-X-MAP: encrypted with AES-128 it requires the IV); KEYID and the key format as hls.js and Shaka Packager write them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyLine {
    /// With its line end.
    text: String,
    /// The key's number, where headers are encrypted with it.
    header_key: Option<u64>,
}

impl KeyLine {
    /// The line of a key: its number, its KID and its initialization vector.
    #[must_use]
    pub fn new(method: Method, first_msn: u64, key: &[u8; 16], iv: &[u8; 16]) -> Self {
        let mut text = String::with_capacity(224);
        text.push_str("#EXT-X-KEY:METHOD=");
        text.push_str(match method {
            Method::Aes128 => "AES-128",
            Method::Cbcs => "SAMPLE-AES",
        });
        text.push_str(",URI=\"../key/");
        write_number(&mut text, first_msn);
        text.push_str("\",IV=");
        write_hex(&mut text, iv);
        if method == Method::Cbcs {
            text.push_str(",KEYID=");
            write_hex(&mut text, key);
            text.push_str(",KEYFORMAT=\"org.w3.clearkey\",KEYFORMATVERSIONS=\"1\"");
        }
        text.push('\n');
        Self { text, header_key: (method == Method::Aes128).then_some(first_msn) }
    }
}

fn write_hex(out: &mut String, bytes: &[u8]) {
    out.push_str("0x");
    for byte in bytes {
        for digit in [byte >> 4, byte & 15] {
            out.push(char::from(b"0123456789abcdef"[usize::from(digit)]));
        }
    }
}

/// An `EXT-X-PART` line.
pub(super) fn write_part(out: &mut String, msn: u64, index: u32, duration: Duration, independent: bool, gap: bool) {
    out.push_str("#EXT-X-PART:DURATION=");
    write_seconds(out, duration);
    out.push_str(",URI=\"");
    write_number(out, msn);
    out.push('.');
    write_number(out, u64::from(index));
    out.push_str(".m4s\"");
    if independent {
        out.push_str(",INDEPENDENT=YES");
    }
    if gap {
        out.push_str(",GAP=YES");
    }
    out.push('\n');
}

/// An `EXT-X-PROGRAM-DATE-TIME` line.
pub(super) fn write_date(out: &mut String, wall: WallTime) {
    let millis = wall.0.max(0).unsigned_abs();
    let (days, in_day) = (millis / 86_400_000, millis % 86_400_000);
    let (year, month, day) = civil_date(days);
    out.push_str("#EXT-X-PROGRAM-DATE-TIME:");
    for (value, width, after) in [
        (year, 4, '-'),
        (month, 2, '-'),
        (day, 2, 'T'),
        (in_day / 3_600_000, 2, ':'),
        (in_day / 60_000 % 60, 2, ':'),
        (in_day / 1_000 % 60, 2, '.'),
        (in_day % 1_000, 3, 'Z'),
    ] {
        write_padded(out, value, width);
        out.push(after);
    }
    out.push('\n');
}

/// Year, month and day of a day since 1970-01-01, in the Gregorian calendar.
fn civil_date(days: u64) -> (u64, u64, u64) {
    // Counted from 0000-03-01, so that the leap day is the last of its year and 400 years are one period.
    let shifted = days + 719_468;
    let (era, day_of_era) = (shifted / 146_097, shifted % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    (era * 400 + year_of_era + u64::from(month <= 2), month, day)
}

/// Seconds with five decimals.
pub(super) fn write_seconds(out: &mut String, duration: Duration) {
    let hundred_thousandths = (duration.as_nanos() + 5_000) / 10_000;
    write_decimal(out, u64::try_from(hundred_thousandths).unwrap_or(u64::MAX), 5);
}

/// Seconds with three decimals, for durations in whole milliseconds.
fn write_millis(out: &mut String, duration: Duration) {
    write_decimal(out, u64::try_from(duration.as_millis()).unwrap_or(u64::MAX), 3);
}

/// `value` divided by ten to the power of `decimals`.
fn write_decimal(out: &mut String, value: u64, decimals: u32) {
    let unit = 10u64.pow(decimals);
    write_number(out, value / unit);
    out.push('.');
    write_padded(out, value % unit, decimals);
}

fn write_padded(out: &mut String, value: u64, width: u32) {
    let mut unit = 10u64.pow(width - 1);
    while unit > 1 && value < unit {
        out.push('0');
        unit /= 10;
    }
    write_number(out, value);
}

fn write_number(out: &mut String, mut value: u64) {
    let mut digits = [0u8; 20];
    let mut first = digits.len();
    loop {
        first -= 1;
        digits[first] = b'0' + (value % 10) as u8;
        value /= 10;
        if value == 0 {
            break;
        }
    }
    for &digit in &digits[first..] {
        out.push(char::from(digit));
    }
}
