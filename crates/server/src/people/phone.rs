//! Telephone numbers as people write them, made into E.164.

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
    let digits: String = text.chars().filter(char::is_ascii_digit).collect();
    if !(5..=18).contains(&digits.len()) {
        return None;
    }
    let country = country.and_then(|country| phonenumber::country::Id::from_str(country.as_str()).ok());
    // As it is written; then as spreadsheets leave it, who take a plus away; then as it is dialled from Europe.
    let international = digits.strip_prefix("00").map(|rest| format!("+{rest}"));
    let with_plus = (!digits.starts_with('0') && !text.starts_with('+')).then(|| format!("+{digits}"));
    let written = if text.starts_with('+') { Some(format!("+{digits}")) } else { None };
    let tries = [written, international.filter(|_| !text.starts_with('+'))];
    let abroad = tries.into_iter().flatten().find_map(|text| valid(&text, None));
    abroad
        .or_else(|| country.filter(|_| !text.starts_with('+')).and_then(|country| valid(&digits, Some(country))))
        .or_else(|| with_plus.and_then(|text| valid(&text, None)))
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
        }

        #[test]
        fn no_digits_panic(text in "[+0-9 ()/;.-]{0,40}") {
            let _ = e164(&text, "US");
            let _ = e164(&text, "");
        }
    }
}
