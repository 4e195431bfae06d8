//! How many short messages a text needs.
//!
//! # Source
//!
//! 3GPP TS 23.038 V17.0.0, section 6.2.1 (the 7-bit default alphabet and its extension table), and TS 23.040 V17.2.0,
//! section 9.2.3.24: a message of several parts gives up six octets (seven septets) of each part for the header that puts
//! them together. A character of two septets or two code units is not split between parts.

/// How a text is put into octets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    /// Seven bits a character, where the alphabet has them all.
    Gsm7,
    /// UTF-16, for everything else.
    Ucs2,
}

/// The size of a text as a short message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Segments {
    /// How it is put into octets.
    pub encoding: Encoding,
    /// Septets or UTF-16 code units: what the limits count.
    pub characters: u32,
    /// Parts that are sent, and paid for. An empty text is one.
    pub segments: u32,
}

/// The basic table, without the escape.
const BASIC: &str = "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿\
abcdefghijklmnopqrstuvwxyzäöñüà";
/// The extension table: an escape and one more septet.
const EXTENSION: &str = "\u{c}^{}\\[~]|€";

impl Encoding {
    /// `gsm7` or `ucs2`: as in JSON.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Gsm7 => "gsm7",
            Self::Ucs2 => "ucs2",
        }
    }

    /// What fits in a message of one part, and in each part of a longer one.
    fn limits(self) -> (u32, u32) {
        match self {
            Self::Gsm7 => (160, 153),
            Self::Ucs2 => (70, 67),
        }
    }
}

fn septets(letter: char) -> Option<u32> {
    if BASIC.contains(letter) {
        Some(1)
    } else if EXTENSION.contains(letter) {
        Some(2)
    } else {
        None
    }
}

impl Segments {
    /// Measures a text.
    #[must_use]
    pub fn of(text: &str) -> Self {
        let gsm: Option<Vec<u32>> = text.chars().map(septets).collect();
        let (encoding, sizes) = match gsm {
            Some(sizes) => (Encoding::Gsm7, sizes),
            None => (Encoding::Ucs2, text.chars().map(|letter| if letter.len_utf16() == 2 { 2 } else { 1 }).collect()),
        };
        let characters = sizes.iter().fold(0_u32, |sum, size| sum.saturating_add(*size));
        let (alone, part) = encoding.limits();
        if characters <= alone {
            return Self { encoding, characters, segments: 1 };
        }
        let mut segments = 1_u32;
        let mut used = 0;
        for size in sizes {
            if used + size > part {
                segments = segments.saturating_add(1);
                used = 0;
            }
            used += size;
        }
        Self { encoding, characters, segments }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn of(text: &str) -> (Encoding, u32, u32) {
        let Segments { encoding, characters, segments } = Segments::of(text);
        (encoding, characters, segments)
    }

    #[test]
    fn the_alphabet_has_its_127_characters_and_ten_more() {
        let mut letters: Vec<char> = BASIC.chars().chain(EXTENSION.chars()).collect();
        letters.sort_unstable();
        letters.dedup();
        assert_eq!((BASIC.chars().count(), EXTENSION.chars().count(), letters.len()), (127, 9 + 1, 137));
    }

    #[test]
    fn plain_text_is_counted_in_septets() {
        assert_eq!(of(""), (Encoding::Gsm7, 0, 1));
        assert_eq!(of(&"a".repeat(160)), (Encoding::Gsm7, 160, 1));
        assert_eq!(of(&"a".repeat(161)), (Encoding::Gsm7, 161, 2));
        assert_eq!(of(&"a".repeat(306)), (Encoding::Gsm7, 306, 2));
        assert_eq!(of(&"a".repeat(307)), (Encoding::Gsm7, 307, 3));
        assert_eq!(of("Grüße aus Łódź").0, Encoding::Ucs2);
        assert_eq!(of("Größe à Noël?").0, Encoding::Ucs2, "ë is not in the alphabet");
        assert_eq!(of("Größe à volonté, señor"), (Encoding::Gsm7, 22, 1));
    }

    #[test]
    fn an_extension_costs_two_and_is_not_split() {
        assert_eq!(of("€"), (Encoding::Gsm7, 2, 1));
        assert_eq!(of(&"€".repeat(80)), (Encoding::Gsm7, 160, 1));
        assert_eq!(of(&"€".repeat(81)), (Encoding::Gsm7, 162, 2));
        // 76 fit in 153 septets, and one septet stays empty: 153 are more than two parts can hold.
        assert_eq!(of(&"€".repeat(152)).2, 2);
        assert_eq!(of(&"€".repeat(153)), (Encoding::Gsm7, 306, 3));
    }

    #[test]
    fn anything_else_is_counted_in_code_units() {
        assert_eq!(of(&"ż".repeat(70)), (Encoding::Ucs2, 70, 1));
        assert_eq!(of(&"ż".repeat(71)), (Encoding::Ucs2, 71, 2));
        assert_eq!(of(&"ż".repeat(134)).2, 2);
        assert_eq!(of(&"ż".repeat(135)).2, 3);
        assert_eq!(of("\u{1f600}"), (Encoding::Ucs2, 2, 1));
        assert_eq!(of(&"\u{1f600}".repeat(35)), (Encoding::Ucs2, 70, 1));
        // 33 pairs fit in 67 units, and one unit stays empty.
        assert_eq!(of(&"\u{1f600}".repeat(66)).2, 2);
        assert_eq!(of(&"\u{1f600}".repeat(67)), (Encoding::Ucs2, 134, 3));
        assert_eq!(of("`").0, Encoding::Ucs2, "a back quote is not in the alphabet");
    }

    proptest! {
        #[test]
        fn the_parts_hold_the_text_and_none_is_spare(text in "[a-z€ż\u{1f600}]{0,400}") {
            let Segments { encoding, characters, segments } = Segments::of(&text);
            let (alone, part) = encoding.limits();
            let room = if segments == 1 { alone } else { segments * part };
            prop_assert!(characters <= room);
            // At most one unit of each part stays empty.
            prop_assert!(segments == 1 || characters > (segments - 1) * (part - 1));
        }
    }
}
