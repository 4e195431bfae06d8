//! Which column is what, guessed from the words at its top and from what is below them.

use serde::{Deserialize, Serialize};

use super::cell::plain_text;
use crate::person::Email;

/// What a column may hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Field {
    /// Who they are, or their first name when there is a [`Family`](Self::Family).
    Name,
    /// Their family name.
    Family,
    /// Their telephone.
    Phone,
    /// Their e-mail address.
    Email,
    /// Their language.
    Language,
    /// How many guests they may bring.
    PlusOnes,
    /// Words to find them by, with commas between them.
    Tags,
    /// Anything else that organisers want to remember.
    Note,
}

/// Which column holds what, counted from 0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Columns {
    /// Who they are, or their first name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<u16>,
    /// Their family name, put behind the name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub family: Option<u16>,
    /// Their telephone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub phone: Option<u16>,
    /// Their e-mail address.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub email: Option<u16>,
    /// Their language.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub language: Option<u16>,
    /// A note.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub note: Option<u16>,
    /// How many guests they may bring.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub plus_ones: Option<u16>,
    /// Words to find them by, with commas between them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tags: Option<u16>,
}

/// Words at the top of a column, folded, in English, French, German, Spanish, Italian, Portuguese and Dutch; the more
/// telling ones of a field first.
const WORDS: [(Field, &[&str]); 8] = [
    // Before telephones, which are called numbers. `Guests` alone is a list of names as often as a number.
    (
        Field::PlusOnes,
        &[
            "plusones",
            "plusone",
            "numberofguests",
            "nombredinvites",
            "accompagnants",
            "anzahlgaste",
            "begleitpersonen",
            "acompanantes",
            "accompagnatori",
            "acompanhantes",
            "introducees",
        ],
    ),
    (
        Field::Phone,
        &[
            "mobilephone",
            "mobile",
            "cellphone",
            "cell",
            "phone",
            "phonenumber",
            "telephone",
            "tel",
            "portable",
            "telephoneportable",
            "numero",
            "handy",
            "handynummer",
            "mobil",
            "mobilnummer",
            "mobiltelefon",
            "telefon",
            "telefonnummer",
            "rufnummer",
            "movil",
            "telefono",
            "telefonomovil",
            "celular",
            "cellulare",
            "telemovel",
            "telefone",
            "telefoon",
            "mobiel",
            "gsm",
            "natel",
            "whatsapp",
            "sms",
            "msisdn",
            "number",
        ],
    ),
    (
        Field::Email,
        &[
            "email",
            "mail",
            "emailaddress",
            "adresseemail",
            "adressemail",
            "courriel",
            "adresseelectronique",
            "emailadresse",
            "mailadresse",
            "correo",
            "correoelectronico",
            "indirizzoemail",
            "postaelettronica",
            "correioeletronico",
        ],
    ),
    (
        Field::Family,
        &[
            "lastname",
            "surname",
            "familyname",
            "nomdefamille",
            "nachname",
            "familienname",
            "apellido",
            "apellidos",
            "cognome",
            "sobrenome",
            "apelido",
            "achternaam",
        ],
    ),
    (
        Field::Name,
        &[
            "fullname",
            "name",
            "displayname",
            "guest",
            "guestname",
            "invitee",
            "nomcomplet",
            "nomprenom",
            "prenomnom",
            "nometprenom",
            "prenometnom",
            "invite",
            "vollername",
            "gast",
            "nombrecompleto",
            "nombreyapellidos",
            "nominativo",
            "nomecompleto",
            "naam",
            "firstname",
            "givenname",
            "forename",
            "prenom",
            "vorname",
            "nombre",
            "nome",
            "voornaam",
            "contact",
            "person",
            "participant",
            "teilnehmer",
            "nom",
        ],
    ),
    (Field::Language, &["language", "lang", "locale", "langue", "sprache", "idioma", "lingua", "taal"]),
    (
        Field::Note,
        &[
            "note",
            "notes",
            "comment",
            "comments",
            "remark",
            "remarks",
            "commentaire",
            "commentaires",
            "remarque",
            "bemerkung",
            "bemerkungen",
            "notiz",
            "kommentar",
            "anmerkung",
            "nota",
            "notas",
            "comentario",
            "comentarios",
            "observaciones",
            "commento",
            "opmerking",
        ],
    ),
    (
        Field::Tags,
        &[
            "tags",
            "tag",
            "labels",
            "keywords",
            "etiquettes",
            "motscles",
            "schlagworte",
            "schlagworter",
            "etiketten",
            "etiquetas",
            "etichette",
            "trefwoorden",
        ],
    ),
];
/// Names that are the first half of one when a family name stands beside them; `nom` in French is the second half.
const SECOND_HALF: [&str; 1] = ["nom"];
const FIRST_HALF: [&str; 7] = ["firstname", "givenname", "forename", "prenom", "vorname", "nombre", "voornaam"];
/// Words that are family names as well: behind another word they are no header.
const FAMILY_NAMES: [&str; 5] = ["gast", "guest", "handy", "lang", "person"];
/// Several of [`WORDS`], where more than an `s` makes them so.
const PLURALS: [&str; 3] = ["gaste", "gasten", "namen"];
/// Words of a cell that are looked at: a header is a few.
const HEADER_WORDS: usize = 10;
/// Letters of a word that is seen inside of a longer one, as `telefoon` is in `telefoonnummer`. Nobody's name has so long
/// a word in it; shorter ones it may have: `cell` is in Marcella.
const COMPOUND_LETTERS: usize = 7;

/// Lower case, without accents, spaces and signs: `N° de téléphone` becomes `ndetelephone`.
fn folded(text: &str) -> String {
    let letters = text.chars().flat_map(char::to_lowercase).filter_map(|letter| match letter {
        'à' | 'á' | 'â' | 'ã' | 'ä' | 'å' => Some('a'),
        'ç' => Some('c'),
        'è' | 'é' | 'ê' | 'ë' => Some('e'),
        'ì' | 'í' | 'î' | 'ï' => Some('i'),
        'ñ' => Some('n'),
        'ò' | 'ó' | 'ô' | 'õ' | 'ö' => Some('o'),
        'ù' | 'ú' | 'û' | 'ü' => Some('u'),
        'a'..='z' => Some(letter),
        _ => None,
    });
    // A header is a few words; a novel is none.
    letters.take(60).collect()
}

/// How well the words at the top of a column name a field: smaller is better.
fn rank(header: &str, words: &[&str]) -> Option<usize> {
    let exact = words.iter().position(|word| *word == header);
    // `Numéro de téléphone portable`, `Primary phone`: a telling word anywhere in it.
    exact.or_else(|| {
        let inside = words.iter().position(|word| word.len() >= 4 && header.contains(word))?;
        Some(1_000 + inside)
    })
}

impl Columns {
    /// A guess from the cells of the first row and of a few rows below it.
    #[must_use]
    pub fn guess(header: &[String], rows: &[Vec<String>]) -> Self {
        let mut columns = Self::default();
        let headers: Vec<String> = header.iter().map(|cell| folded(cell)).collect();
        let french_pair = headers.iter().any(|header| header == "prenom");
        for (field, words) in WORDS {
            let best = headers
                .iter()
                .enumerate()
                .filter(|(at, _)| !columns.takes(*at))
                .filter(|(_, header)| field != Field::Name || !(french_pair && SECOND_HALF.contains(&header.as_str())))
                .filter_map(|(at, header)| Some((rank(header, words)?, at)))
                .min();
            if let Some((_, at)) = best {
                columns.set(field, at);
            }
        }
        if french_pair && columns.family.is_none() {
            let nom = headers.iter().position(|header| SECOND_HALF.contains(&header.as_str()));
            columns.family = nom.and_then(|at| u16::try_from(at).ok());
        }
        // A family name beside a full name says it twice; without any other name it is the name.
        let name = columns.name.and_then(|at| headers.get(usize::from(at)));
        match name {
            None => columns.name = columns.family.take(),
            Some(name) if !FIRST_HALF.contains(&name.as_str()) => columns.family = None,
            Some(_) => {}
        }
        columns.by_content(header.len(), rows);
        columns
    }

    /// What no header told: a column full of numbers or addresses.
    fn by_content(&mut self, width: usize, rows: &[Vec<String>]) {
        type Look = fn(&str) -> bool;
        let looks: [(Field, Look); 3] = [
            (Field::Email, |cell| cell.parse::<Email>().is_ok()),
            (Field::Phone, is_like_a_phone),
            (Field::Name, |cell| cell.chars().filter(|letter| letter.is_alphabetic()).count() >= 2),
        ];
        for (field, look) in looks {
            if self.get(field).is_some() {
                continue;
            }
            let full = (0..width).find(|at| {
                let cells = rows.iter().filter_map(|row| row.get(*at)).filter(|cell| !cell.trim().is_empty());
                let (mut all, mut alike) = (0_usize, 0_usize);
                for cell in cells {
                    all += 1;
                    alike += usize::from(look(cell.trim()));
                }
                all > 0 && alike * 2 > all && !self.takes(*at)
            });
            if let Some(at) = full {
                self.set(field, at);
            }
        }
    }

    /// The column of `field`.
    #[must_use]
    pub fn get(&self, field: Field) -> Option<u16> {
        match field {
            Field::Name => self.name,
            Field::Family => self.family,
            Field::Phone => self.phone,
            Field::Email => self.email,
            Field::Language => self.language,
            Field::Note => self.note,
            Field::PlusOnes => self.plus_ones,
            Field::Tags => self.tags,
        }
    }

    fn set(&mut self, field: Field, at: usize) {
        let at = u16::try_from(at).ok();
        match field {
            Field::Name => self.name = at,
            Field::Family => self.family = at,
            Field::Phone => self.phone = at,
            Field::Email => self.email = at,
            Field::Language => self.language = at,
            Field::Note => self.note = at,
            Field::PlusOnes => self.plus_ones = at,
            Field::Tags => self.tags = at,
        }
    }

    fn takes(&self, at: usize) -> bool {
        let Self { name, family, phone, email, language, note, plus_ones, tags } = *self;
        [name, family, phone, email, language, note, plus_ones, tags]
            .into_iter()
            .flatten()
            .any(|taken| usize::from(taken) == at)
    }

    /// The cell of `field` in a row, trimmed; empty when there is none. An apostrophe that keeps a spreadsheet from
    /// computing is taken away.
    #[must_use]
    pub fn cell<'a>(&self, field: Field, row: &'a [String]) -> &'a str {
        plain_text(self.get(field).and_then(|at| row.get(usize::from(at))).map_or("", |cell| cell.trim()))
    }
}

fn is_like_a_phone(cell: &str) -> bool {
    let digits = cell.chars().filter(char::is_ascii_digit).count();
    (7..=15).contains(&digits)
        && cell.chars().all(|letter| letter.is_ascii_digit() || " +-./()'\u{a0}".contains(letter))
}

/// Whether a cell is words about a column: all of it, or a telling word in it.
fn is_heading(cell: &str) -> bool {
    let one_of = |word: &str, known: &str| word == known || word.strip_suffix('s') == Some(known);
    let whole = folded(cell);
    // A Mac writes an accent as a letter of its own.
    let ends = |letter: char| !letter.is_alphanumeric() && !('\u{300}'..='\u{36f}').contains(&letter);
    let words: Vec<String> = cell.split(ends).filter(|word| !word.is_empty()).take(HEADER_WORDS).map(folded).collect();
    let telling = |known: &str| {
        one_of(&whole, known)
            || words.iter().any(|word| {
                let alone = known.len() >= 4 && !FAMILY_NAMES.contains(&known) && one_of(word, known);
                alone || (known.len() >= COMPOUND_LETTERS && word.contains(known))
            })
    };
    PLURALS.contains(&whole.as_str()) || WORDS.iter().any(|(_, known)| known.iter().any(|known| telling(known)))
}

/// Whether a first row is words about the columns rather than the first person.
#[must_use]
pub fn has_header(first: &[String]) -> bool {
    let known = first.iter().any(|cell| is_heading(cell));
    let person = first.iter().any(|cell| {
        let cell = cell.trim();
        is_like_a_phone(cell) || cell.parse::<Email>().is_ok()
    });
    known && !person
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn row(cells: &[&str]) -> Vec<String> {
        cells.iter().map(|cell| (*cell).to_owned()).collect()
    }

    #[test]
    fn columns_are_known_by_their_words_in_several_languages() {
        for (header, expected) in [
            (row(&["Name", "Phone", "E-mail", "Language", "Note"]), [0, 1, 2, 3, 4]),
            (row(&["Courriel", "Nom complet", "Téléphone portable", "Remarques", "Langue"]), [1, 2, 0, 4, 3]),
            (row(&["Vollständiger Name", "Handynummer", "E-Mail-Adresse", "Sprache", "Bemerkung"]), [0, 1, 2, 3, 4]),
            (
                row(&["Nombre completo", "Teléfono móvil", "Correo electrónico", "Idioma", "Comentarios"]),
                [0, 1, 2, 3, 4],
            ),
            (row(&["id", "GSM", "naam", "taal", "e-mail", "opmerking"]), [2, 1, 4, 3, 5]),
        ] {
            let found = Columns::guess(&header, &[]);
            let found = [found.name, found.phone, found.email, found.language, found.note];
            assert_eq!(found, expected.map(Some), "{header:?}");
            assert!(has_header(&header), "{header:?}");
        }
        let found = Columns::guess(&row(&["Guest", "Number of guests", "Phone number"]), &[]);
        assert_eq!((found.name, found.plus_ones, found.phone), (Some(0), Some(1), Some(2)));
        assert_eq!(Columns::guess(&row(&["Guests", "Phone"]), &[]).name, Some(0), "a list of names");
        for header in ["Tags", "Étiquettes", "Schlagwörter", "Etiquetas", "Mots-clés"] {
            let found = Columns::guess(&row(&["Name", header, "Birthday"]), &[]);
            assert_eq!((found.name, found.tags), (Some(0), Some(1)), "{header}");
        }
        assert_eq!(Columns::guess(&row(&["Name", "Geburtstag", "Stage"]), &[]).tags, None);
    }

    #[test]
    fn two_halves_of_a_name_are_put_together_and_a_whole_one_is_not_doubled() {
        for (header, name, family) in [
            (row(&["First name", "Last name", "Phone"]), 0, Some(1)),
            (row(&["Nom", "Prénom", "Portable"]), 1, Some(0)),
            (row(&["Vorname", "Nachname"]), 0, Some(1)),
            (row(&["Nombre", "Apellidos"]), 0, Some(1)),
            (row(&["Nom", "Téléphone"]), 0, None),
            (row(&["Full name", "Last name"]), 0, None),
            (row(&["Last name", "Phone"]), 0, None),
        ] {
            let found = Columns::guess(&header, &[]);
            assert_eq!((found.name, found.family), (Some(name), family), "{header:?}");
        }
    }

    #[test]
    fn without_words_what_is_below_them_tells() {
        let rows = [row(&["7", "06 12 34 56 78", "Ada", "ada@example.org"]), row(&["8", "0612345679", "Bob", ""])];
        assert!(!has_header(&rows[0]));
        let found = Columns::guess(&rows[0], &rows);
        assert_eq!((found.name, found.phone, found.email), (Some(2), Some(1), Some(3)));
    }

    #[test]
    fn somebody_whose_name_has_a_word_of_a_header_in_it_is_no_header() {
        for first in [
            row(&["Marcella Rossi"]),
            row(&["Marcello Purcell", "table 3"]),
            row(&["Gaston Martin", "2"]),
            row(&["Ismail Kaya"]),
            row(&["Persephone Maillard", "Jesperson"]),
            row(&["Anna Lang"]),
            row(&["Judith Guest"]),
        ] {
            assert!(!has_header(&first), "{first:?}");
        }
        for first in [
            row(&["Telefoonnummer"]),
            row(&["Kundentelefon"]),
            row(&["Guests"]),
            row(&["Gäste"]),
            row(&["guest_name"]),
            row(&["Client name"]),
            row(&["N° de téléphone"]),
            row(&["Nume\u{301}ro de te\u{301}le\u{301}phone"]),
            row(&["", "Primary phone (mobile)"]),
            row(&["E-mail 1"]),
        ] {
            assert!(has_header(&first), "{first:?}");
        }
    }

    #[test]
    fn a_cell_is_trimmed_and_loses_the_apostrophe_of_our_own_export() {
        let columns = Columns { phone: Some(1), ..Columns::default() };
        assert_eq!(columns.cell(Field::Phone, &row(&["x", " '+33 6 "])), "+33 6");
        assert_eq!(columns.cell(Field::Phone, &row(&["x", "'t Hooft"])), "'t Hooft");
        assert_eq!(columns.cell(Field::Phone, &row(&["x"])), "");
        assert_eq!(columns.cell(Field::Note, &row(&["x"])), "");
    }

    proptest! {
        #[test]
        fn no_sheet_panics_and_no_column_is_two_things(header in proptest::collection::vec(".{0,20}", 0..8), below in proptest::collection::vec(".{0,20}", 0..8)) {
            let found = Columns::guess(&header, &[below]);
            let mut taken: Vec<u16> = [found.name, found.family, found.phone, found.email, found.language, found.note].into_iter().flatten().collect();
            taken.sort_unstable();
            let before = taken.len();
            taken.dedup();
            prop_assert_eq!(before, taken.len());
            prop_assert!(taken.iter().all(|at| usize::from(*at) < header.len()));
        }
    }
}
