//! From a row of cells to somebody who may be invited, or to what is wrong with it.

use stagedoor_domain::event::{Country, NAME_CHARS_MAX};
use stagedoor_domain::person::Email;
use stagedoor_domain::sheet::{Columns, Field};

use super::phone;
use super::xlsx::NEW_LINE;
use crate::access::{Contact, NewInvitee, Note};

/// Letters of a note at most.
pub(super) const NOTE_CHARS_MAX: usize = 2_000;
/// Guests that one person may bring at most.
pub const PLUS_ONES_MAX: u32 = 100;
/// Tags that one row, or one request, puts on somebody at most.
pub const TAGS_MAX: usize = 20;
/// Letters of a tag at most: it fits on a label.
pub const TAG_CHARS_MAX: usize = 50;
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
        "shortened_phone" => {
            "A spreadsheet shortened this number. Import the list as a workbook (.xlsx), or make the column text and \
             write the number again."
        }
        "invalid_email" => "This is no e-mail address.",
        "invalid_language" => "This is no language tag, like en or pt-BR.",
        "invalid_count" => "This is no number of guests between 0 and 100.",
        "too_many" => "There are more than 20 tags.",
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
        text if phone::is_shortened(text) => return Err(wrong("phone", "shortened_phone")),
        text => Some(phone::normalise(text, country).ok_or(wrong("phone", "invalid_phone"))?),
    };
    let email = match cell(Field::Email) {
        "" => None,
        text => Some(text.parse::<Email>().map_err(|_| wrong("email", "invalid_email"))?),
    };
    let note = cell(Field::Note).replace(NEW_LINE, "\n");
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
    let plus_ones = match cell(Field::PlusOnes).trim_start_matches('+') {
        "" => 0,
        text => text.parse().ok().filter(|n| *n <= PLUS_ONES_MAX).ok_or(wrong("plus_ones", "invalid_count"))?,
    };
    let tags = tags(cell(Field::Tags)).map_err(|problem| wrong("tags", problem))?;
    Ok(NewInvitee {
        name,
        contact: Contact { phone, email, note: Note(note) },
        language,
        plus_ones,
        tags,
        ..NewInvitee::default()
    })
}

/// The tags of a cell, as an export writes them: with commas between them.
fn tags(cell: &str) -> Result<Vec<String>, &'static str> {
    let mut tags: Vec<_> = cell.split(',').map(one_line).filter(|tag| !tag.is_empty()).collect();
    tags.sort_unstable();
    tags.dedup();
    if tags.iter().any(|tag| tag.chars().count() > TAG_CHARS_MAX) {
        return Err("too_long");
    }
    if tags.len() > TAGS_MAX { Err("too_many") } else { Ok(tags) }
}

fn one_line(text: &str) -> String {
    let text: String =
        text.chars().map(|letter| if letter.is_control() || letter == NEW_LINE { ' ' } else { letter }).collect();
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
        let (name, family, phone, email) = (Some(0), Some(1), Some(2), Some(3));
        Columns { name, family, phone, email, language: Some(4), note: Some(5), plus_ones: Some(6), tags: Some(7) }
    }

    fn of(cells: [&str; 6]) -> Result<NewInvitee, Wrong> {
        with_guests(cells, "")
    }

    fn with_guests(cells: [&str; 6], guests: &str) -> Result<NewInvitee, Wrong> {
        with_tags(cells, guests, "")
    }

    fn with_tags(cells: [&str; 6], guests: &str, tags: &str) -> Result<NewInvitee, Wrong> {
        let row: Vec<_> = cells.into_iter().chain([guests, tags]).map(str::to_owned).collect();
        candidate(&row, &columns(), "FR".parse().ok(), "fr")
    }

    #[test]
    fn how_many_guests_somebody_may_bring_is_a_small_number() {
        let ada = ["Ada", "", "", "", "", ""];
        for (cell, expected) in [("", Some(0)), ("0", Some(0)), (" 2 ", Some(2)), ("+1", Some(1)), ("100", Some(100))] {
            assert_eq!(with_guests(ada, cell).ok().map(|new| new.plus_ones), expected, "{cell}");
        }
        for cell in ["101", "-1", "many", "1.5", "99999999999"] {
            assert_eq!(with_guests(ada, cell).unwrap_err().problem, "invalid_count", "{cell}");
        }
    }

    #[test]
    fn tags_stand_between_commas_and_are_few_and_short() {
        let tagged = |cell: &str| with_tags(["Ada", "", "", "", "", ""], "", cell);
        let numbered = |count: usize| (0..count).map(|n| n.to_string()).collect::<Vec<_>>().join(",");
        for (cell, expected) in [
            ("", vec![]),
            (" , ,", vec![]),
            ("vip", vec!["vip"]),
            ("vip,press , vip", vec!["press", "vip"]),
            ("front\nrow; left, a\tb", vec!["a b", "front row; left"]),
            ("'=1+1, x", vec!["=1+1", "x"]),
        ] {
            assert_eq!(tagged(cell).unwrap().tags, expected, "{cell:?}");
        }
        assert_eq!(tagged(&numbered(TAGS_MAX)).unwrap().tags.len(), TAGS_MAX);
        let (field, long) = ("tags", "ß".repeat(TAG_CHARS_MAX + 1));
        assert_eq!(tagged(&numbered(TAGS_MAX + 1)).unwrap_err(), Wrong { field, problem: "too_many" });
        assert_eq!(tagged(&long).unwrap_err(), Wrong { field, problem: "too_long" });
        assert_eq!(tagged(&long[2..]).unwrap().tags.len(), 1);
        assert_ne!(sentence("too_many"), sentence("?"));
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
            (["Ada", "", "3.36123E+10", "", "", ""], "phone", "shortened_phone"),
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
