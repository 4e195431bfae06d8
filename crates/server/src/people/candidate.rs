//! From a row of cells to somebody who may be invited, or to what is wrong with it.

use stagedoor_domain::event::{Country, NAME_CHARS_MAX};
use stagedoor_domain::person::Email;
use stagedoor_domain::sheet::{Columns, Field};

use super::phone;
use crate::access::{Contact, NewInvitee, Note};

/// Letters of a note at most.
pub(super) const NOTE_CHARS_MAX: usize = 2_000;
/// Whoever has no name is called so.
const NAMELESS: &str = "Guest";

/// What is wrong with a line: the field, and a stable name. The value is not repeated: it may be somebody's number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Wrong {
    pub(super) field: &'static str,
    pub(super) problem: &'static str,
}

/// What a problem means, for a person.
pub(super) fn sentence(problem: &str) -> &'static str {
    match problem {
        "empty" => "There is neither a name nor a number nor an address.",
        "too_long" => "This is longer than it may be.",
        "invalid_phone" => "This is no telephone number, or it lacks its country code.",
        "invalid_email" => "This is no e-mail address.",
        "invalid_language" => "This is no language tag, like en or pt-BR.",
        "unclosed_quote" => "A quotation mark is opened and not closed.",
        _ => "This line cannot be read.",
    }
}

/// Who this row invites.
pub(super) fn candidate(
    row: &[String],
    columns: &Columns,
    country: Option<Country>,
    language: &str,
) -> Result<NewInvitee, Wrong> {
    let wrong = |field, problem| Wrong { field, problem };
    let cell = |field| columns.cell(field, row);
    let mut name = one_line(cell(Field::Name));
    let family = one_line(cell(Field::Family));
    if !family.is_empty() {
        name = format!("{name} {family}").trim().to_owned();
    }
    if name.chars().count() > NAME_CHARS_MAX {
        return Err(wrong("name", "too_long"));
    }
    let phone = match cell(Field::Phone) {
        "" => None,
        text => Some(phone::normalise(text, country).ok_or(wrong("phone", "invalid_phone"))?),
    };
    let email = match cell(Field::Email) {
        "" => None,
        text => Some(text.parse::<Email>().map_err(|_| wrong("email", "invalid_email"))?),
    };
    let note = cell(Field::Note);
    if note.chars().count() > NOTE_CHARS_MAX {
        return Err(wrong("note", "too_long"));
    }
    if name.is_empty() && phone.is_none() && email.is_none() {
        return Err(wrong("", "empty"));
    }
    if name.is_empty() {
        NAMELESS.clone_into(&mut name);
    }
    let language = match cell(Field::Language) {
        "" => language.to_owned(),
        text => language_tag(text).ok_or(wrong("language", "invalid_language"))?,
    };
    Ok(NewInvitee {
        name,
        contact: Contact { phone, email, note: Note(note.to_owned()) },
        language,
        ..NewInvitee::default()
    })
}

fn one_line(text: &str) -> String {
    let text: String = text.chars().map(|letter| if letter.is_control() { ' ' } else { letter }).collect();
    text.trim().to_owned()
}

/// `fr`, `FR`, `fr_CH` or `français` as a BCP 47 tag.
#[must_use]
pub fn language_tag(text: &str) -> Option<String> {
    const NAMES: [(&str, &[&str]); 8] = [
        ("en", &["english", "anglais", "englisch", "ingles", "inglés", "inglese"]),
        ("fr", &["french", "francais", "français", "franzosisch", "französisch", "frances", "francés", "francese"]),
        ("de", &["german", "deutsch", "allemand", "aleman", "alemán", "tedesco"]),
        ("es", &["spanish", "espanol", "español", "espagnol", "spanisch", "spagnolo"]),
        ("it", &["italian", "italiano", "italien", "italienisch"]),
        ("pt", &["portuguese", "portugues", "português", "portugais", "portugiesisch"]),
        ("nl", &["dutch", "nederlands", "neerlandais", "néerlandais", "niederlandisch", "niederländisch"]),
        ("pl", &["polish", "polski", "polonais", "polnisch"]),
    ];
    let folded = text.trim().to_lowercase();
    if let Some((tag, _)) = NAMES.iter().find(|(_, names)| names.contains(&folded.as_str())) {
        return Some((*tag).to_owned());
    }
    let tag = folded.replace('_', "-");
    let mut parts = tag.split('-');
    let first = parts.next()?;
    let known = (2..=3).contains(&first.len())
        && first.bytes().all(|byte| byte.is_ascii_lowercase())
        && tag.len() <= 35
        && parts
            .clone()
            .all(|part| (1..=8).contains(&part.len()) && part.bytes().all(|byte| byte.is_ascii_alphanumeric()));
    let rest = parts.map(|part| if part.len() == 2 { part.to_uppercase() } else { part.to_owned() });
    known.then(|| std::iter::once(first.to_owned()).chain(rest).collect::<Vec<_>>().join("-"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn columns() -> Columns {
        Columns { name: Some(0), family: Some(1), phone: Some(2), email: Some(3), language: Some(4), note: Some(5) }
    }

    fn of(cells: [&str; 6]) -> Result<NewInvitee, Wrong> {
        candidate(&cells.map(str::to_owned), &columns(), "FR".parse().ok(), "fr")
    }

    #[test]
    fn a_row_becomes_somebody() {
        let ada = of(["Ada", "Lovelace", "06 12 34 56 78", "ada@example.org", "EN_gb", "front\nrow"]).unwrap();
        assert_eq!((ada.name.as_str(), ada.language.as_str()), ("Ada Lovelace", "en-GB"));
        assert_eq!(ada.contact.phone.unwrap().expose(), "+33612345678");
        assert_eq!(ada.contact.note.0, "front\nrow");
        let bob = of(["", "", "'+33612345679", "", "", ""]).unwrap();
        assert_eq!((bob.name.as_str(), bob.language.as_str()), ("Guest", "fr"));
    }

    #[test]
    fn what_is_wrong_is_named_by_its_field() {
        let long = "x".repeat(201);
        for (cells, field, problem) in [
            (["", "", "", "", "en", "x"], "", "empty"),
            ([long.as_str(), "", "", "", "", ""], "name", "too_long"),
            (["Ada", "", "12", "", "", ""], "phone", "invalid_phone"),
            (["Ada", "", "", "ada", "", ""], "email", "invalid_email"),
            (["Ada", "", "", "", "klingon please", ""], "language", "invalid_language"),
        ] {
            assert_eq!(of(cells).unwrap_err(), Wrong { field, problem });
            assert_ne!(sentence(problem), sentence("?"));
        }
    }

    proptest! {
        #[test]
        fn no_row_panics(row in proptest::collection::vec(".{0,40}", 0..8)) {
            let _ = candidate(&row, &columns(), "FR".parse().ok(), "fr");
        }
    }
}
