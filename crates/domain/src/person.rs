//! How somebody is reached, as this house writes it down, masks it and looks for it.
//!
//! Values here are personal data: their `Debug` form shows nothing, and whoever shows them in the clear says
//! [`expose`](Phone::expose).

use std::fmt;
use std::str::FromStr;

/// A telephone number in E.164: `+` and 7 to 15 digits.
///
/// # Source
///
/// ITU-T E.164 (11/2010), section 6.2. The shortest number in use has seven digits with its country code.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Phone(String);

/// The text is no telephone number in E.164.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a telephone number is + and 7 to 15 digits")]
pub struct BadPhone;

impl Phone {
    /// The number with its plus and its digits.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// Enough to recognise a number one knows, too little to call it: `+33 6 •• •• 12 34`.
    #[must_use]
    pub fn masked(&self) -> String {
        let digits = &self.0[1..];
        let (country, national) = digits.split_at(country_digits(digits).min(digits.len()));
        let shown = if national.len() >= 7 { 4 } else { 2 };
        let (head, tail) = national.split_at(national.len().saturating_sub(shown));
        let first = &head[..head.len().min(1)];
        let (a, b) = tail.split_at(tail.len().saturating_sub(2));
        let gap = if a.is_empty() { "" } else { " " };
        format!("+{country} {first} •• •• {a}{gap}{b}")
    }
}

impl FromStr for Phone {
    type Err = BadPhone;

    fn from_str(text: &str) -> Result<Self, BadPhone> {
        let digits = text.strip_prefix('+').ok_or(BadPhone)?;
        let known = (7..=15).contains(&digits.len())
            && digits.bytes().all(|digit| digit.is_ascii_digit())
            && !digits.starts_with('0');
        if known { Ok(Self(text.to_owned())) } else { Err(BadPhone) }
    }
}

impl fmt::Debug for Phone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Phone(****)")
    }
}

/// Digits of the country code that a number begins with.
///
/// # Source
///
/// ITU-T E.164, list of assigned country codes (2016): codes of one and two digits; all others have three.
fn country_digits(digits: &str) -> usize {
    const TWO: [&str; 41] = [
        "20", "27", "30", "31", "32", "33", "34", "36", "39", "40", "41", "43", "44", "45", "46", "47", "48", "49",
        "51", "52", "53", "54", "55", "56", "57", "58", "60", "61", "62", "63", "64", "65", "66", "81", "82", "84",
        "86", "90", "91", "92", "93",
    ];
    const MORE: [&str; 3] = ["94", "95", "98"];
    match digits.as_bytes().first() {
        Some(b'1' | b'7') => 1,
        _ if TWO.iter().chain(&MORE).any(|code| digits.starts_with(code)) => 2,
        _ => 3,
    }
}

/// An e-mail address, as it was written.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Email(String);

/// The text is no e-mail address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("this is no e-mail address")]
pub struct BadEmail;

impl Email {
    /// Bytes at most (RFC 5321, section 4.5.3.1.3, without the angle brackets).
    pub const BYTES_MAX: usize = 254;

    /// The address.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// What is the same for every way to write it: what is hashed.
    #[must_use]
    pub fn folded(&self) -> String {
        self.0.to_lowercase()
    }

    /// The first letter and the domain: `a•••@example.org`.
    #[must_use]
    pub fn masked(&self) -> String {
        let (local, domain) = self.0.rsplit_once('@').unwrap_or(("", &self.0));
        format!("{}•••@{domain}", local.chars().next().map(String::from).unwrap_or_default())
    }
}

impl FromStr for Email {
    type Err = BadEmail;

    /// Reads what a mail server would take: no quoted local parts, no address literals, a domain with a dot.
    fn from_str(text: &str) -> Result<Self, BadEmail> {
        let text = text.trim();
        let (local, domain) = text.rsplit_once('@').ok_or(BadEmail)?;
        let local_fits = (1..=64).contains(&local.len())
            && local
                .chars()
                .all(|letter| !letter.is_whitespace() && !letter.is_control() && !"()<>[]:;,\\\"@".contains(letter))
            && local.split('.').all(|part| !part.is_empty());
        let labels = domain.split('.').count() >= 2
            && domain.split('.').all(|label| {
                (1..=63).contains(&label.len())
                    && !label.starts_with('-')
                    && !label.ends_with('-')
                    && label.chars().all(|letter| letter.is_alphanumeric() || letter == '-')
            });
        if text.len() <= Self::BYTES_MAX && local_fits && labels { Ok(Self(text.to_owned())) } else { Err(BadEmail) }
    }
}

impl fmt::Debug for Email {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Email(****)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn phone(text: &str) -> Phone {
        text.parse().unwrap()
    }

    #[test]
    fn a_masked_number_is_recognised_and_cannot_be_called() {
        for (number, masked) in [
            ("+33612341234", "+33 6 •• •• 12 34"),
            ("+12025550123", "+1 2 •• •• 01 23"),
            ("+447700900123", "+44 7 •• •• 01 23"),
            ("+352691123456", "+352 6 •• •• 34 56"),
            ("+2904567", "+290 4 •• •• 67"),
        ] {
            assert_eq!(phone(number).masked(), masked);
        }
        assert_eq!(format!("{:?}", phone("+33612341234")), "Phone(****)");
    }

    #[test]
    fn an_address_is_checked_as_far_as_a_program_can() {
        for good in ["ada@example.org", "a.b+c@sub.example.co", "ünal@exämple.org", " ada@example.org "] {
            assert!(good.parse::<Email>().is_ok(), "{good}");
        }
        for bad in [
            "",
            "@",
            "a@",
            "@b.c",
            "a@b",
            "a b@c.de",
            "a@@b.de",
            "a@b..de",
            ".a@b.de",
            "a@-b.de",
            "<a@b.de>",
            "a@b.de\r\nBcc: x@y.z",
            "a,b@c.de",
        ] {
            assert_eq!(bad.parse::<Email>(), Err(BadEmail), "{bad}");
        }
        let ada: Email = "Ada@Example.org".parse().unwrap();
        assert_eq!((ada.folded().as_str(), ada.masked().as_str()), ("ada@example.org", "A•••@Example.org"));
        assert_eq!(format!("{ada:?}"), "Email(****)");
    }

    proptest! {
        #[test]
        fn no_text_panics(text in "\\+?.{0,40}") {
            if let Ok(phone) = text.parse::<Phone>() {
                prop_assert!(!phone.masked().replace([' ', '+'], "").contains(&phone.expose()[1..]));
            }
            if let Ok(email) = text.parse::<Email>() {
                let _ = email.masked();
            }
        }

        #[test]
        fn a_mask_hides_digits_of_every_number(digits in "[1-9][0-9]{6,14}") {
            let shown = phone(&format!("+{digits}")).masked().chars().filter(char::is_ascii_digit).count();
            prop_assert!(shown < digits.len(), "{shown} of {}", digits.len());
        }
    }
}
