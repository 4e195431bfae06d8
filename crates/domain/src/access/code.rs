//! The code an invitee types: 60 bits, shown as `ABCD-EFGH-JKLM`.
//!
//! With 10 000 live codes, an attacker who tries 10 000 a second for any of them needs 180 years on average; the limits
//! in front stop at five a minute.

use std::fmt;
use std::str::FromStr;

/// Digits and letters without 0, 1, I and O.
const ALPHABET: &[u8; 32] = b"23456789ABCDEFGHJKLMNPQRSTUVWXYZ";
const LETTERS: usize = 12;
/// Longer input is refused before it is looked at; pasted codes come with dashes, spaces and line ends.
const INPUT_BYTES_MAX: usize = 64;

/// An access code. Its `Debug` form shows nothing; [`Display`](fmt::Display) shows it in full, for the invitee.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Code([u8; LETTERS]);

/// The text cannot be a code: wrong length, or letters that no code has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a code has twelve letters and digits, like ABCD-EFGH-JKLM")]
pub struct BadCode;

impl Code {
    /// The code of 60 of these random bits (the top four are unused).
    #[must_use]
    pub fn from_random(random: [u8; 8]) -> Self {
        let bits = u64::from_be_bytes(random);
        Self(std::array::from_fn(|index| ALPHABET[usize::from((bits >> (5 * index)) as u8 & 31)]))
    }

    /// The twelve letters without dashes: what is hashed.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, letter) in self.0.iter().enumerate() {
            if index > 0 && index % 4 == 0 {
                f.write_str("-")?;
            }
            write!(f, "{}", char::from(*letter))?;
        }
        Ok(())
    }
}

impl fmt::Debug for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Code(****)")
    }
}

impl FromStr for Code {
    type Err = BadCode;

    /// Reads a typed or pasted code: case, spaces and any kind of dash do not matter.
    fn from_str(text: &str) -> Result<Self, BadCode> {
        if text.len() > INPUT_BYTES_MAX {
            return Err(BadCode);
        }
        let mut code = [0; LETTERS];
        let mut filled = 0;
        for letter in text.chars() {
            if letter.is_whitespace() || is_dash(letter) {
                continue;
            }
            let letter = u8::try_from(letter).map_err(|_| BadCode)?.to_ascii_uppercase();
            if !ALPHABET.contains(&letter) {
                return Err(BadCode);
            }
            *code.get_mut(filled).ok_or(BadCode)? = letter;
            filled += 1;
        }
        if filled == LETTERS { Ok(Self(code)) } else { Err(BadCode) }
    }
}

/// Dashes that phones and word processors put where a person typed one, and the invisible marks that come with a paste.
fn is_dash(letter: char) -> bool {
    matches!(letter, '-' | '_' | '.' | '\u{ad}' | '\u{200b}'..='\u{200f}' | '\u{2010}'..='\u{2015}' | '\u{2060}' | '\u{2212}' | '\u{feff}')
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_alphabet_has_32_different_letters_without_look_alikes() {
        let mut letters = ALPHABET.to_vec();
        letters.sort_unstable();
        letters.dedup();
        assert_eq!(letters.len(), 32);
        assert!(b"01IO".iter().all(|letter| !ALPHABET.contains(letter)));
    }

    #[test]
    fn a_code_is_shown_four_by_four_and_hidden_from_logs() {
        let code = Code::from_random([0, 0, 0, 0, 0, 0, 0, 31]);
        assert_eq!(code.to_string(), "Z222-2222-2222");
        assert_eq!(format!("{code:?}"), "Code(****)");
        assert_ne!(Code::from_random([0x0f; 8]), Code::from_random([0x0e; 8]));
    }

    #[test]
    fn people_type_and_paste_codes_in_many_ways() {
        let code: Code = "ABCD-EFGH-JKLM".parse().unwrap();
        for text in ["abcdefghjklm", " abcd efgh jklm\n", "ABCD\u{2013}EFGH\u{2014}JKLM", "\u{feff}abcd.efgh_jklm"] {
            assert_eq!(text.parse(), Ok(code), "{text:?}");
        }
    }

    #[test]
    fn what_cannot_be_a_code_is_refused() {
        let long = "A".repeat(100_000);
        for text in
            ["", "ABCD-EFGH-JKL", "ABCD-EFGH-JKLMN", "ABCD-EFGH-JKL0", "ABCD-EFGH-JKLI", "ÄBCD-EFGH-JKLM", &long]
        {
            assert_eq!(text.parse::<Code>(), Err(BadCode));
        }
    }

    proptest! {
        #[test]
        fn every_code_survives_its_text(random in any::<[u8; 8]>()) {
            let code = Code::from_random(random);
            prop_assert_eq!(code.to_string().parse(), Ok(code));
            prop_assert_eq!(code.to_string().to_lowercase().parse(), Ok(code));
        }

        #[test]
        fn no_text_panics(text in ".{0,70}") {
            let _ = text.parse::<Code>();
        }
    }
}
