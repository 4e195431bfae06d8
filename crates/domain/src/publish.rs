//! What a publisher may send, until when, and what is odd about where it comes from.
//!
//! Frames are counted as they arrive, by the clock of this house: time stamps are the encoder's to choose. What is asked
//! of [`Gauge`] once a second is a [`Verdict`]; who acts on it is the live hub.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::event::Country;
use crate::network::Network;
use crate::time::Time;

/// How long a broadcast goes on when its stream key, or its publish token, ends while it is on air: long enough to give
/// the key a later end in the middle of a sentence. Nobody comes in again in this time.
pub const GRACE: Duration = Duration::from_secs(5 * 60);

/// How long before the end of the key the broadcaster reads of it.
pub const ANNOUNCED: Duration = Duration::from_secs(30 * 60);

/// A publish token may be good for this long at most: a time written in milliseconds instead of seconds is no promise for
/// fifty thousand years.
pub const TOKEN_LIFE_MAX: Duration = Duration::from_secs(31 * 24 * 60 * 60);

/// The clock of whoever signs publish tokens may be ahead of ours by this much.
pub const TOKEN_SKEW: Duration = Duration::from_secs(60);

/// How long an old stream key goes on beside the one that replaces it, at most.
pub const OVERLAP_MAX: Duration = Duration::from_secs(24 * 60 * 60);

/// What a publisher may send. A stream key's own limits count instead of its event's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// Pictures and sound together, in kbit/s: 100 to 400 000.
    pub bitrate_kbps: u32,
    /// The longer side of the picture in pixels: 16 to 8192. A picture stood on its end is as good as one that lies.
    pub long_side: u32,
    /// The shorter side of the picture in pixels: 16 to 8192.
    pub short_side: u32,
    /// Pictures per second: 1 to 480.
    pub fps: u32,
}

impl Default for Limits {
    /// More than encoders send for the web, and less than what harms others: 60 Mbit/s of 4K (4096×2304, level 5.2 of
    /// H.264) at 120 pictures a second.
    fn default() -> Self {
        Self { bitrate_kbps: 60_000, long_side: 4_096, short_side: 2_304, fps: 120 }
    }
}

impl Limits {
    /// The ranges, in a sentence for a person.
    pub const RANGES: &'static str = "Between 100 and 400 000 kbit/s, sides of 16 to 8192 pixels with the longer one first, \
         and 1 to 480 pictures a second.";

    /// Whether every number is in its range.
    #[must_use]
    pub fn are_possible(&self) -> bool {
        (100..=400_000).contains(&self.bitrate_kbps)
            && (16..=8_192).contains(&self.long_side)
            && (16..=self.long_side).contains(&self.short_side)
            && (1..=480).contains(&self.fps)
    }

    /// What is wrong with a picture of this size, if anything is. A picture that does not say its size fits.
    #[must_use]
    pub fn size(&self, width: u32, height: u32) -> Option<Excess> {
        let fits = width.max(height) <= self.long_side && width.min(height) <= self.short_side;
        (!fits).then_some(Excess::Resolution { width, height, long_side: self.long_side, short_side: self.short_side })
    }
}

/// What is more than it may be, with what was measured and what is allowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the fields are what the variant's sentence says")]
pub enum Excess {
    /// Too many bits a second.
    Bitrate { kbps: u32, allowed_kbps: u32 },
    /// Too large a picture.
    Resolution { width: u32, height: u32, long_side: u32, short_side: u32 },
    /// Too many pictures a second.
    FrameRate { fps: u32, allowed_fps: u32 },
}

impl Excess {
    /// A stable name for logs, counters and advice.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Bitrate { .. } => "bitrate_above_limit",
            Self::Resolution { .. } => "resolution_above_limit",
            Self::FrameRate { .. } => "frame_rate_above_limit",
        }
    }
}

impl fmt::Display for Excess {
    /// What is too much, and what to set: a sentence for the person at the encoder, below 200 bytes.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Bitrate { kbps, allowed_kbps } => {
                write!(
                    f,
                    "{kbps} kbit/s is more than the {allowed_kbps} kbit/s that are allowed here: lower the bitrate."
                )
            }
            Self::Resolution { width, height, long_side, short_side } => write!(
                f,
                "A picture of {width}x{height} is larger than the {long_side}x{short_side} that are allowed here: lower \
                 the output resolution."
            ),
            Self::FrameRate { fps, allowed_fps } => write!(
                f,
                "{fps} pictures a second are more than the {allowed_fps} that are allowed here: lower the frame rate."
            ),
        }
    }
}

/// What is to become of a publisher.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It keeps to its limits.
    Within,
    /// It is above one. It is told to the organiser, and if it goes on, the publisher is stopped.
    Above(Excess),
    /// It was above one for too long, or by too much.
    Stop(Excess),
}

/// Seconds over which it is averaged: one keyframe more or less does not matter.
const SPAN_S: u64 = 10;
const SPAN: usize = 10;
/// Seconds above the limit after which a publisher is stopped. What a line that hung holds back (ten seconds at most:
/// then the connection is dropped as dead) comes at once, and leaves the average after another ten.
const PATIENCE_S: u64 = 20;
/// Above the limit begins here, in percent of it, and ends at the limit itself.
const ABOVE_PERCENT: u64 = 110;
/// Beyond this, in percent of the limit, nobody waits: a line that hung brings twice as much at the most.
const FAR_ABOVE_PERCENT: u64 = 300;

/// Counts what one publisher sends: ten numbers, whatever is sent.
#[derive(Clone, Debug)]
pub struct Gauge {
    limits: Limits,
    seconds: [Second; SPAN],
    /// The second that is being counted.
    now_s: u64,
    bitrate: Threshold,
    fps: Threshold,
}

#[derive(Clone, Copy, Debug, Default)]
struct Second {
    number: u64,
    bytes: u64,
    pictures: u64,
}

/// One limit with two edges, so that a value at the limit does not flap.
#[derive(Clone, Copy, Debug, Default)]
struct Threshold {
    /// Since which second it is above.
    since_s: Option<u64>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Reached {
    Nothing,
    Above,
    Stop,
}

impl Threshold {
    fn judge(&mut self, value: u64, limit: u64, now_s: u64) -> Reached {
        if value * 100 > limit * FAR_ABOVE_PERCENT {
            return Reached::Stop;
        }
        if value <= limit {
            self.since_s = None;
        } else if value * 100 > limit * ABOVE_PERCENT {
            self.since_s.get_or_insert(now_s);
        }
        match self.since_s {
            None => Reached::Nothing,
            Some(since) if now_s.saturating_sub(since) >= PATIENCE_S => Reached::Stop,
            Some(_) => Reached::Above,
        }
    }
}

impl Gauge {
    /// A gauge for a publisher that came at `now` (monotonic).
    #[must_use]
    pub fn new(limits: Limits, now: Duration) -> Self {
        let seconds = [Second::default(); SPAN];
        Self { limits, seconds, now_s: now.as_secs(), bitrate: Threshold::default(), fps: Threshold::default() }
    }

    /// Counts a frame of `bytes` that arrived at `now` (monotonic). A verdict comes once a second, about the ten seconds
    /// before.
    pub fn frame(&mut self, bytes: usize, picture: bool, now: Duration) -> Option<Verdict> {
        let number = now.as_secs();
        let verdict = (number > self.now_s).then(|| self.judge(number));
        let slot = usize::try_from(number % SPAN_S).unwrap_or(0);
        let Some(second) = self.seconds.get_mut(slot) else { return verdict };
        if second.number != number {
            *second = Second { number, ..Second::default() };
        }
        second.bytes = second.bytes.saturating_add(u64::try_from(bytes).unwrap_or(u64::MAX));
        second.pictures += u64::from(picture);
        verdict
    }

    /// Judges the seconds before `now_s`, which begins.
    fn judge(&mut self, now_s: u64) -> Verdict {
        self.now_s = now_s;
        let whole = now_s.saturating_sub(SPAN_S)..now_s;
        let counted = self.seconds.iter().filter(|second| whole.contains(&second.number));
        let (bytes, pictures) = counted.fold((0_u64, 0_u64), |(bytes, pictures), second| {
            (bytes.saturating_add(second.bytes), pictures.saturating_add(second.pictures))
        });
        // Rounded: 60 pictures a second are 599 or 601 in ten.
        let fps = (pictures + SPAN_S / 2) / SPAN_S;
        let kbps = bytes.saturating_mul(8) / (SPAN_S * 1_000);
        let small = |value: u64| u32::try_from(value).unwrap_or(u32::MAX);
        let bits = self.bitrate.judge(kbps.min(1 << 40), self.limits.bitrate_kbps.into(), now_s);
        let rate = self.fps.judge(fps.min(1 << 40), self.limits.fps.into(), now_s);
        let bitrate = Excess::Bitrate { kbps: small(kbps), allowed_kbps: self.limits.bitrate_kbps };
        let frame_rate = Excess::FrameRate { fps: small(fps), allowed_fps: self.limits.fps };
        match (bits, rate) {
            (Reached::Stop, _) => Verdict::Stop(bitrate),
            (_, Reached::Stop) => Verdict::Stop(frame_rate),
            (Reached::Above, _) => Verdict::Above(bitrate),
            (_, Reached::Above) => Verdict::Above(frame_rate),
            (Reached::Nothing, Reached::Nothing) => Verdict::Within,
        }
    }
}

/// Where the end of a key stands for whoever publishes with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Remaining {
    /// It is far off, or there is none.
    Enough,
    /// The key ends in this time; the broadcast goes on for [`GRACE`] after that.
    Ending(Duration),
    /// The key has ended; the broadcast is stopped in this time.
    Grace(Duration),
    /// It is time to stop.
    Over,
}

impl Remaining {
    /// Of a key that ends at `expires_at`.
    #[must_use]
    pub fn of(expires_at: Option<Time>, now: Time) -> Self {
        let Some(end) = expires_at else { return Self::Enough };
        let stop = end.plus(GRACE);
        if now >= stop {
            Self::Over
        } else if now >= end {
            Self::Grace(stop.since(now))
        } else if end.since(now) <= ANNOUNCED {
            Self::Ending(end.since(now))
        } else {
            Self::Enough
        }
    }
}

/// Where a publisher is, as coarsely as is of use: the country, and the block of addresses around its own
/// ([`Network::block`]).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Origin {
    /// The country, if anybody knows it.
    pub country: Option<Country>,
    /// The block of addresses.
    pub block: Network,
}

/// Why somebody else may have a stream key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Suspicion {
    /// It came from another country than for its last broadcast.
    OtherCountry,
    /// It came from another block of addresses than for its last broadcast.
    OtherNetwork,
    /// It was tried elsewhere while its broadcast was on air.
    WhileLive,
}

impl Suspicion {
    /// What is odd about a key that comes from `now` after a broadcast from `before`.
    #[must_use]
    pub fn about(before: &Origin, now: &Origin) -> Option<Self> {
        match (before.country, now.country) {
            (Some(before), Some(now)) if before != now => Some(Self::OtherCountry),
            _ if before.block != now.block => Some(Self::OtherNetwork),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: Limits = Limits { bitrate_kbps: 8_000, long_side: 1_920, short_side: 1_080, fps: 30 };

    /// Sends `kbps` in `fps` pictures a second for `seconds`; gives the verdicts.
    fn send(gauge: &mut Gauge, from_s: u64, seconds: u64, kbps: u64, fps: u64) -> Vec<Verdict> {
        let mut verdicts = Vec::new();
        for second in from_s..from_s + seconds {
            for picture in 0..fps {
                let now = Duration::from_secs(second) + Duration::from_micros(picture * 1_000_000 / fps);
                verdicts.extend(gauge.frame(usize::try_from(kbps * 125 / fps).unwrap(), true, now));
            }
        }
        verdicts
    }

    fn stopped(verdicts: &[Verdict]) -> Option<usize> {
        verdicts.iter().position(|verdict| matches!(verdict, Verdict::Stop(_)))
    }

    #[test]
    fn who_keeps_to_the_limits_is_left_alone_also_a_little_above_them() {
        for kbps in [1_000, 8_000, 8_700] {
            let mut gauge = Gauge::new(LIMITS, Duration::from_secs(100));
            let verdicts = send(&mut gauge, 100, 600, kbps, 30);
            assert_eq!(verdicts.len(), 599);
            assert!(verdicts.iter().all(|verdict| *verdict == Verdict::Within), "{kbps}");
        }
    }

    #[test]
    fn who_stays_above_a_limit_is_told_first_and_stopped_then() {
        for (kbps, fps, name) in [(12_000, 30, "bitrate_above_limit"), (4_000, 60, "frame_rate_above_limit")] {
            let mut gauge = Gauge::new(LIMITS, Duration::ZERO);
            let verdicts = send(&mut gauge, 0, 60, kbps, fps);
            let told = verdicts.iter().position(|verdict| matches!(verdict, Verdict::Above(_))).unwrap();
            let stop = stopped(&verdicts).unwrap();
            assert_eq!(stop - told, 20, "{name}");
            assert!(told < 10, "{name}");
            let Verdict::Stop(excess) = verdicts[stop] else { panic!("{name}") };
            assert_eq!(excess.as_str(), name);
        }
    }

    #[test]
    fn what_a_line_that_hung_held_back_is_forgiven() {
        let mut gauge = Gauge::new(LIMITS, Duration::ZERO);
        let mut verdicts = send(&mut gauge, 0, 30, 8_000, 30);
        // Nothing for nine seconds; then all of it within one, and on.
        verdicts.extend(send(&mut gauge, 39, 1, 80_000, 300));
        verdicts.extend(send(&mut gauge, 40, 60, 8_000, 30));
        assert_eq!(stopped(&verdicts), None);
        assert_eq!(verdicts.last(), Some(&Verdict::Within));
    }

    #[test]
    fn who_comes_down_in_time_goes_on_and_a_value_between_the_edges_does_not_flap() {
        let mut gauge = Gauge::new(LIMITS, Duration::ZERO);
        assert!(matches!(send(&mut gauge, 0, 20, 12_000, 30).last(), Some(Verdict::Above(_))));
        let between = send(&mut gauge, 20, 12, 8_500, 30);
        assert!(matches!(between.last(), Some(Verdict::Stop(_) | Verdict::Above(_))), "only the limit itself ends it");
        let mut gauge = Gauge::new(LIMITS, Duration::ZERO);
        send(&mut gauge, 0, 20, 12_000, 30);
        let down = send(&mut gauge, 20, 30, 4_000, 30);
        assert_eq!((stopped(&down), down.last()), (None, Some(&Verdict::Within)));
    }

    #[test]
    fn a_flood_is_not_waited_for_and_costs_no_memory() {
        let mut gauge = Gauge::new(LIMITS, Duration::ZERO);
        let verdicts = send(&mut gauge, 0, 5, 1_000_000, 200);
        assert_eq!(stopped(&verdicts), Some(0));
        assert!(size_of::<Gauge>() <= 320, "{}", size_of::<Gauge>());
        for _ in 0..100 {
            gauge.frame(usize::MAX, true, Duration::from_secs(9));
        }
        assert!(matches!(gauge.frame(0, true, Duration::MAX), Some(Verdict::Within)), "that was long ago");
    }

    #[test]
    fn a_picture_fits_lying_or_standing() {
        assert_eq!(LIMITS.size(1_920, 1_080), None);
        assert_eq!(LIMITS.size(1_080, 1_920), None);
        assert_eq!(LIMITS.size(0, 0), None);
        for (width, height) in [(1_922, 1_080), (1_082, 1_920), (1_200, 1_200), (u32::MAX, 1)] {
            let text = LIMITS.size(width, height).unwrap().to_string();
            assert!(text.contains(&format!("{width}x{height}")) && text.contains("1920x1080"), "{text}");
        }
    }

    #[test]
    fn every_sentence_fits_into_what_encoders_show() {
        for excess in [
            Excess::Bitrate { kbps: u32::MAX, allowed_kbps: u32::MAX },
            Excess::FrameRate { fps: u32::MAX, allowed_fps: u32::MAX },
            Excess::Resolution { width: u32::MAX, height: u32::MAX, long_side: u32::MAX, short_side: u32::MAX },
        ] {
            assert!(excess.to_string().len() < 200, "{excess}");
        }
    }

    #[test]
    fn limits_outside_their_range_are_not_possible() {
        assert!(Limits::default().are_possible() && LIMITS.are_possible());
        for wrong in [
            Limits { bitrate_kbps: 99, ..LIMITS },
            Limits { bitrate_kbps: 400_001, ..LIMITS },
            Limits { long_side: 8_193, ..LIMITS },
            Limits { short_side: 1_921, ..LIMITS },
            Limits { short_side: 0, ..LIMITS },
            Limits { fps: 0, ..LIMITS },
            Limits { fps: 481, ..LIMITS },
        ] {
            assert!(!wrong.are_possible(), "{wrong:?}");
        }
    }

    #[test]
    fn the_end_of_a_key_is_announced_then_counted_down_then_there() {
        let end = Time::from_millis(10_000_000);
        let at = |before_ms: i64| Remaining::of(Some(end), Time::from_millis(end.millis() - before_ms));
        let ms = |duration: Duration| i64::try_from(duration.as_millis()).unwrap();
        assert_eq!(Remaining::of(None, end), Remaining::Enough);
        assert_eq!(at(ms(ANNOUNCED) + 1), Remaining::Enough);
        assert_eq!(at(ms(ANNOUNCED)), Remaining::Ending(ANNOUNCED));
        assert_eq!(at(1), Remaining::Ending(Duration::from_millis(1)));
        assert_eq!(at(0), Remaining::Grace(GRACE));
        assert_eq!(at(1 - ms(GRACE)), Remaining::Grace(Duration::from_millis(1)));
        assert_eq!(at(-ms(GRACE)), Remaining::Over);
    }

    #[test]
    fn another_country_or_another_block_is_odd_and_a_neighbour_is_not() {
        let origin = |country: Option<&str>, address: &str| Origin {
            country: country.map(|code| code.parse().unwrap()),
            block: Network::block(address.parse().unwrap()),
        };
        let home = origin(Some("FR"), "198.51.100.7");
        for (now, odd) in [
            (origin(Some("FR"), "198.51.200.9"), None),
            (origin(None, "198.51.200.9"), None),
            (origin(Some("DE"), "198.51.100.7"), Some(Suspicion::OtherCountry)),
            (origin(Some("FR"), "203.0.113.9"), Some(Suspicion::OtherNetwork)),
            (origin(None, "2001:db8::1"), Some(Suspicion::OtherNetwork)),
        ] {
            assert_eq!(Suspicion::about(&home, &now), odd, "{now:?}");
        }
    }
}
