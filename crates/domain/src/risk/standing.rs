//! Which guards stand on a viewer's device, as its page says with every answer.
//!
//! A bit is set while its guard works in that browser, sees nothing, and saw nothing since the last answer. It is the page's
//! own word: whoever changes the page may say what they like, so this is mostly for organisers to look at. One thing follows
//! from it: a page that [shows pictures without the mark](Unmarked) says so itself, and is believed.

use std::time::Duration;

use serde::Serialize;

use super::heartbeat::{ANSWER_MAX, EVERY, SILENT_AFTER};

/// A page that was told of the mark has so long to bring it: its code comes after the first picture, and a slow line asks
/// for it more than once.
pub const MARK_GRACE: Duration = Duration::from_secs(30);
/// A page that shows pictures for so long without the mark is [odd](super::Signal::WatermarkAbsent); again after as long.
pub const UNMARKED_MAX: Duration = Duration::from_secs(30);
/// The time between two answers counts for no more: the next question, and how long its answer may be under way.
const BETWEEN_MAX: Duration = EVERY.saturating_add(ANSWER_MAX);

/// A guard of the page, in the order of its bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Guard {
    /// The mark is in the page, where it was put.
    WatermarkDom,
    /// Nothing makes the mark invisible or unreadable.
    WatermarkStyle,
    /// The mark is over the picture, and large enough.
    WatermarkGeometry,
    /// Nothing covers the mark, as far as the browser can say; some never can.
    WatermarkOcclusion,
    /// Nothing lies over the picture.
    WatermarkHit,
    /// The mark's pixels are those that were drawn; some browsers never show them.
    WatermarkPixels,
    /// The browser's own functions are the browser's own.
    ApiPatched,
    /// The detectors run. They begin with the first picture.
    Watching,
}

impl Guard {
    /// Every guard, in the order of their bits.
    pub const ALL: [Self; 8] = [
        Self::WatermarkDom,
        Self::WatermarkStyle,
        Self::WatermarkGeometry,
        Self::WatermarkOcclusion,
        Self::WatermarkHit,
        Self::WatermarkPixels,
        Self::ApiPatched,
        Self::Watching,
    ];

    fn bit(self) -> u8 {
        1 << self as u8
    }

    /// Whether it looks after the mark: it stands nowhere where the event wants no mark.
    #[must_use]
    pub fn is_of_the_mark(self) -> bool {
        !matches!(self, Self::ApiPatched | Self::Watching)
    }
}

/// The guards that stand on one device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Standing(u8);

impl Standing {
    /// From the digits of a [good answer](super::heartbeat::Answer::guard); bits that mean nothing here are left out.
    #[must_use]
    pub fn read(guard: &str) -> Option<Self> {
        let bits = u32::from_str_radix(guard, 16).ok()?;
        u8::try_from(bits & u32::from(u8::MAX)).ok().map(Self)
    }

    /// From [`bits`](Self::bits).
    #[must_use]
    pub fn of_bits(bits: u8) -> Self {
        Self(bits)
    }

    /// A bit for each guard, in the order of [`Guard::ALL`].
    #[must_use]
    pub fn bits(self) -> u8 {
        self.0
    }

    /// Whether `guard` stands.
    #[must_use]
    pub fn has(self, guard: Guard) -> bool {
        self.0 & guard.bit() != 0
    }

    /// Whether a mark is on the picture, seen and whole: by the guards that every browser has.
    #[must_use]
    pub fn is_marked(self) -> bool {
        [Guard::WatermarkDom, Guard::WatermarkStyle, Guard::WatermarkGeometry, Guard::WatermarkHit]
            .into_iter()
            .all(|guard| self.has(guard))
    }

    /// The guards that do not stand, of those that an event asks for `with_mark` or without one.
    pub fn missing(self, with_mark: bool) -> impl Iterator<Item = Guard> {
        Guard::ALL.into_iter().filter(move |guard| !self.has(*guard) && (with_mark || !guard.is_of_the_mark()))
    }
}

/// How long one page has shown pictures without the mark that it was told of. `now` is monotonic.
///
/// Only the time between two answers counts, and only if more pictures were shown in it: who pauses is not judged for it,
/// and what was added up is forgotten when the mark is there. It is enough that the mark is in the page: how well it is
/// seen there, the page's own guards say.
#[derive(Clone, Debug, Default)]
pub struct Unmarked {
    /// The first answer since it was last silent.
    since: Option<Duration>,
    /// The last answer, and the pictures that it told of; `None` when the time since then does not count.
    last: Option<(Duration, u64)>,
    shown: Duration,
}

impl Unmarked {
    /// The page, which was told of the mark at `told`, answers that it has shown `frames` pictures. Whether that is odd.
    pub fn hear(&mut self, standing: Standing, frames: u64, told: Duration, now: Duration) -> bool {
        let last = self.last.replace((now, frames));
        if last.is_some_and(|(then, _)| now.saturating_sub(then) >= SILENT_AFTER) {
            *self = Self { last: self.last, ..Self::default() };
        }
        let since = (*self.since.get_or_insert(now)).max(told);
        if standing.has(Guard::WatermarkDom) {
            self.shown = Duration::ZERO;
            return false;
        }
        let Some((then, before)) = last else { return false };
        if frames <= before || then < since.saturating_add(MARK_GRACE) {
            return false;
        }
        self.shown += now.saturating_sub(then).min(BETWEEN_MAX);
        let odd = self.shown >= UNMARKED_MAX;
        if odd {
            self.shown = Duration::ZERO;
        }
        odd
    }

    /// The page is in the background: the time until it is heard again does not count.
    pub fn look_away(&mut self) {
        self.last = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bits_are_those_of_the_page() {
        // web/player/src/guard/standing.ts
        let page = [
            ("1", Guard::WatermarkDom),
            ("2", Guard::WatermarkStyle),
            ("4", Guard::WatermarkGeometry),
            ("8", Guard::WatermarkOcclusion),
            ("10", Guard::WatermarkHit),
            ("20", Guard::WatermarkPixels),
            ("40", Guard::ApiPatched),
            ("80", Guard::Watching),
        ];
        for (digits, guard) in page {
            let standing = Standing::read(digits).unwrap();
            assert!(Guard::ALL.into_iter().all(|other| standing.has(other) == (other == guard)), "{digits}");
            assert_eq!(Standing::of_bits(standing.bits()), standing);
        }
        assert_eq!(Standing::read("ffffff00"), Standing::read("0"), "bits of a page that is newer than we are");
        assert!(Standing::read("").is_none() && Standing::read("1g").is_none());
    }

    #[test]
    fn a_mark_counts_with_the_guards_that_every_browser_has() {
        assert!(Standing::read("ff").unwrap().is_marked());
        assert!(Standing::read("d7").unwrap().is_marked(), "a browser that cannot say what is covered or painted");
        for digits in ["fe", "fd", "fb", "ef", "c0", "0"] {
            assert!(!Standing::read(digits).unwrap().is_marked(), "{digits}");
        }
    }

    #[test]
    fn what_nobody_asked_for_is_not_missing() {
        let missing = |digits: &str, with_mark| Standing::read(digits).unwrap().missing(with_mark).collect::<Vec<_>>();
        assert_eq!(missing("c0", false), []);
        assert_eq!(missing("0", false), [Guard::ApiPatched, Guard::Watching]);
        assert_eq!(missing("fe", true), [Guard::WatermarkDom]);
        assert_eq!(missing("c0", true).len(), 6);
    }

    const S: Duration = Duration::from_secs(1);
    const NEVER: [u64; 0] = [];

    /// Seconds at which a page is odd that answers every five seconds: with these guards, and so many pictures more.
    fn odd(unmarked: &mut Unmarked, answers: impl IntoIterator<Item = (&'static str, u64)>) -> Vec<u64> {
        let (mut frames, mut odd) = (0, Vec::new());
        for (seconds, (guard, more)) in (0_u32..).step_by(5).zip(answers) {
            frames += more;
            if unmarked.hear(Standing::read(guard).unwrap(), frames, Duration::ZERO, S * seconds) {
                odd.push(u64::from(seconds));
            }
        }
        odd
    }

    #[test]
    fn a_page_that_shows_pictures_without_the_mark_is_odd_after_its_grace_and_thirty_seconds() {
        assert_eq!(odd(&mut Unmarked::default(), [("0", 120); 25]), [60, 90, 120]);
        assert_eq!(odd(&mut Unmarked::default(), [("c0", 120); 14]), [60], "whatever else stands");
        assert_eq!(odd(&mut Unmarked::default(), [("1", 120); 50]), NEVER, "with the mark");
        assert_eq!(odd(&mut Unmarked::default(), [("0", 0); 50]), NEVER, "who pauses");
        let now_and_then = ["0", "0", "0", "0", "0", "1"].into_iter().cycle().map(|guard| (guard, 120));
        assert_eq!(odd(&mut Unmarked::default(), now_and_then.take(50)), NEVER, "what fell is put back");
    }

    #[test]
    fn a_page_has_its_grace_from_when_it_was_told_and_anew_after_a_silence() {
        let bare = Standing::of_bits(0);
        let mut told_late = Unmarked::default();
        let first = (0_u32..60).find(|turn| told_late.hear(bare, u64::from(*turn), S * 100, S * (turn * 5)));
        assert_eq!(first.map(|turn| turn * 5), Some(160));
        let mut silent = Unmarked::default();
        assert_eq!(odd(&mut silent, [("0", 120); 12]), NEVER);
        assert!(!silent.hear(bare, 10_000, Duration::ZERO, S * 100), "it comes back");
        assert!(!silent.hear(bare, 10_100, Duration::ZERO, S * 105));
    }

    #[test]
    fn the_time_in_the_background_does_not_count() {
        let (bare, mut unmarked) = (Standing::of_bits(0), Unmarked::default());
        for turn in 0..100_u32 {
            assert!(!unmarked.hear(bare, u64::from(turn), Duration::ZERO, S * (turn * 5)), "{turn}");
            unmarked.look_away();
        }
    }
}
