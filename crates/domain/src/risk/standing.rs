//! Which guards stand on a viewer's device, as its page says with every answer.
//!
//! A bit is set while its guard works in that browser, sees nothing, and saw nothing since the last answer. It is the page's
//! own word: whoever changes the page may say what they like, so this is for organisers to look at and decides nothing.

use serde::Serialize;

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
}
