//! Telephone numbers as people write them, made into E.164.
//!
//! Two people with one number are taken for one person. So a text with anything in it that no number has is none: of
//! `4.91512E+12` the digits alone are the number of a stranger.

use std::str::FromStr as _;

use stagedoor_domain::event::Country;
use stagedoor_domain::person::Phone;

/// Letters of a number at most: fifteen digits with every sign between them.
const LETTERS_MAX: usize = 48;

/// The number that is written here; one without a country code is of `country`. `None` when it is no possible number.
#[must_use]
pub fn normalise(text: &str, country: Option<Country>) -> Option<Phone> {
    let text = text.trim();
    if text.len() > 4 * LETTERS_MAX || text.chars().count() > LETTERS_MAX {
        return None;
    }
    let text = plain(text);
    let text = bare(&text);
    if text.chars().any(is_foreign) {
        return None;
    }
    let (before, number) = text.split_at(text.find(|letter: char| letter.is_ascii_digit())?);
    let plus = before.contains('+');
    // A plus behind a digit is a sum, or a second number.
    let digits: String = number.chars().filter(char::is_ascii_digit).collect();
    if number.contains('+') || !(5..=18).contains(&digits.len()) {
        return None;
    }
    let country = country.and_then(|country| phonenumber::country::Id::from_str(country.as_str()).ok());
    // As it is written; then as spreadsheets leave it, who take a plus away; then as it is dialled from Europe.
    let international = digits.strip_prefix("00").map(|rest| format!("+{rest}"));
    let with_plus = (!digits.starts_with('0') && !plus).then(|| format!("+{digits}"));
    let written = plus.then(|| format!("+{digits}"));
    let tries = [written, international.filter(|_| !plus)];
    let abroad = tries.into_iter().flatten().find_map(|text| valid(&text, None));
    abroad
        .or_else(|| country.filter(|_| !plus).and_then(|country| valid(&digits, Some(country))))
        .or_else(|| with_plus.and_then(|text| valid(&text, None)))
}

/// Whether a spreadsheet shortened it: of `4.91512E+12` nobody knows the other digits.
pub(super) fn is_shortened(text: &str) -> bool {
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let halves = text.trim().split_once(['e', 'E']);
    halves.is_some_and(|(number, power)| {
        digits(&number.replacen(['.', ','], "", 1)) && digits(power.strip_prefix('+').unwrap_or(power))
    })
}

/// Without the marks that nobody sees, which address books put around a number; full-width letters as usual ones.
fn plain(text: &str) -> String {
    let letters = text.chars().filter_map(|letter| match letter {
        '\u{ad}'
        | '\u{61c}'
        | '\u{200b}'..='\u{200f}'
        | '\u{202a}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}'
        | '\u{feff}' => None,
        // They stand in the order of ASCII.
        '\u{ff01}'..='\u{ff5e}' => char::from_u32(u32::from(letter) - 0xfee0),
        letter => Some(letter),
    });
    letters.collect()
}

/// Without what a link has in front, and without the decimals of a spreadsheet that took it for a number.
fn bare(text: &str) -> &str {
    let text = match text.trim().split_once(':') {
        Some((scheme, rest)) if scheme.eq_ignore_ascii_case("tel") => rest.trim_start(),
        _ => text.trim(),
    };
    match text.strip_suffix(".0") {
        Some(whole) if whole.len() >= 8 && whole.bytes().all(|byte| byte.is_ascii_digit()) => whole,
        _ => text,
    }
}

/// What stands in no number: letters, digits of other scripts, and what an extension begins with.
fn is_foreign(letter: char) -> bool {
    (letter.is_alphanumeric() && !letter.is_ascii_digit()) || matches!(letter, '#' | '*' | ';')
}

fn valid(text: &str, country: Option<phonenumber::country::Id>) -> Option<Phone> {
    let number = phonenumber::parse(country, text).ok()?;
    if !phonenumber::is_valid(&number) {
        return None;
    }
    // With its leading zeros, which a number of Italy keeps.
    format!("+{}{}", number.code().value(), number.national()).parse().ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn e164(text: &str, country: &str) -> Option<String> {
        let country = (!country.is_empty()).then(|| country.parse().unwrap());
        normalise(text, country).map(|phone| phone.expose().to_owned())
    }

    #[test]
    fn numbers_are_understood_as_people_and_spreadsheets_write_them() {
        for (text, country, expected) in [
            ("+33 6 12 34 56 78", "", "+33612345678"),
            ("06 12 34 56 78", "FR", "+33612345678"),
            ("06.12.34.56.78", "FR", "+33612345678"),
            ("612345678", "FR", "+33612345678"),
            ("33612345678", "FR", "+33612345678"),
            ("33612345678", "", "+33612345678"),
            ("0033612345678", "", "+33612345678"),
            ("+33 (0) 6 12 34 56 78", "", "+33612345678"),
            ("(415) 555-2671", "US", "+14155552671"),
            ("0151 23456789", "DE", "+4915123456789"),
            ("07400 123456", "GB", "+447400123456"),
            ("06 1234 5678", "IT", "+390612345678"),
            ("612 34 56 78", "ES", "+34612345678"),
            ("079 123 45 67", "CH", "+41791234567"),
            ("+44 7400 123456", "FR", "+447400123456"),
        ] {
            assert_eq!(e164(text, country).as_deref(), Some(expected), "{text} in {country}");
        }
    }

    #[test]
    fn what_is_no_number_is_none() {
        for text in
            ["", "ada", "12", "+", "+999123456789", "0612", "06 12 34 56 78 90 12 34 56 78", "=1+1", &"1".repeat(500)]
        {
            assert_eq!(e164(text, "FR"), None, "{text}");
        }
        assert_eq!(e164("0612345678", ""), None, "of no country");
    }

    #[test]
    fn a_plus_counts_wherever_it_stands_before_the_digits() {
        for text in [
            "(+33) 6 12 34 56 78",
            "tel:+33612345678",
            "TEL:+33-6-12-34-56-78",
            "＋33 6 12 34 56 78",
            "＋３３６１２３４５６７８",
            "\u{202a}+33 6 12 34 56 78\u{202c}",
            "\u{200b}+33\u{200b}612345678",
            "\u{feff}tel:\u{200e}+33612345678",
            "=+33612345678",
            "+33\u{a0}6\u{202f}12 34 56 78",
        ] {
            for country in ["DE", "FR", ""] {
                assert_eq!(e164(text, country).as_deref(), Some("+33612345678"), "{text:?} in {country}");
            }
        }
        assert_eq!(e164("tel:0151 23456789", "DE").as_deref(), Some("+4915123456789"));
    }

    #[test]
    fn what_no_number_has_in_it_makes_nobody_a_stranger() {
        for text in [
            "4.91512E+12",
            "4,91512e+12",
            "4.9151234567E+12",
            "+49 1512 3456789 ext. 12",
            "+49 1512 345678 x9",
            "+49 1512 345678#9",
            "tel:+491512345678;ext=9",
            "fax:+4915123456789",
            "0151 2345678 (Anna)",
            "0151 2345678 + 1",
            "+49 1512 345678\u{663}",
            "0151 2345678²",
        ] {
            for country in ["DE", ""] {
                assert_eq!(e164(text, country), None, "{text:?} in {country}");
            }
        }
    }

    #[test]
    fn decimals_of_a_spreadsheet_are_no_digits_of_a_number() {
        for (text, country, expected) in [
            ("33612345678.0", "", Some("+33612345678")),
            ("4915123456789.0", "DE", Some("+4915123456789")),
            ("612345678.0", "FR", Some("+33612345678")),
            ("33612345678.5", "", None),
        ] {
            assert_eq!(e164(text, country).as_deref(), expected, "{text} in {country}");
        }
    }

    #[test]
    fn a_number_that_a_spreadsheet_shortened_is_told_from_one_that_is_none() {
        for text in ["4.91512E+12", "4,91512E+12", "4.9e12", " 3E+10 "] {
            assert!(is_shortened(text), "{text}");
        }
        for text in ["", "E", "4.9E", "E+12", "ada", "4.9.1E+12", "+4915123456789", "12E+x"] {
            assert!(!is_shortened(text), "{text}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2_000))]
        #[test]
        fn a_number_that_is_understood_is_the_same_wherever_it_is_read_again(
            text in "(\\+|00)?(1|33|34|39|44|49|52|54|55|225|353)?0?[1-9][0-9]{6,11}",
            written in prop::sample::select(vec!["", "FR", "US", "IT", "AR", "MX", "CI"]),
            read in prop::sample::select(vec!["", "FR", "US", "IT", "AR", "DE"]),
        ) {
            if let Some(phone) = e164(&text, written) {
                prop_assert_eq!(e164(&phone, read), Some(phone.clone()));
            }
        }
    }

    proptest! {
        #[test]
        fn no_text_panics(text in ".{0,60}") {
            let _ = e164(&text, "FR");
            let _ = is_shortened(&text);
        }

        #[test]
        fn no_digits_panic(text in "[+0-9 ()/;.-]{0,40}") {
            let _ = e164(&text, "US");
            let _ = e164(&text, "");
        }
    }
}
