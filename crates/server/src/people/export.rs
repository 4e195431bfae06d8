//! A list on its way out: whom an organiser means, in the clear, a piece at a time.
//!
//! That it goes out is written down before its first byte does. A page of people is read, opened and written into the
//! sheet when whoever downloads is ready for it: of a hundred thousand people, those of a page are held. Who was
//! forgotten is not in it, and nobody's code ever is.

use std::sync::Arc;

use stagedoor_domain::Time;
use stagedoor_domain::access::{Allowed, Export, Facts, Reveal, Sealed, decide};
use stagedoor_domain::fact::{Fact, Whom};
use stagedoor_domain::id::InvitationId;
use stagedoor_domain::sheet::{csv_row, plain_text};

use super::People;
use super::workbook::{self, Workbook};
use crate::access::{Contact, ContactError};
use crate::facts::{self, Actor};
use crate::ports::World;
use crate::ports::db::invitations::Invitation;
use crate::ports::db::selection::{self, Selection};
use crate::ports::db::{DbError, invitation_tags, invitations};

/// People of a piece: some 100 KiB.
const PAGE: u32 = 500;
/// People that are counted with one statement.
const COUNTED: u32 = 5_000;
/// What tells programs that the text is UTF-8, of which spreadsheets need to be told.
const MARK: &str = "\u{feff}";
/// The words at the top, and the width of each column in letters. An import recognises those that say who somebody is and
/// how many guests they may bring, and takes none of the others for one of them.
const COLUMNS: [(&str, u16); 14] = [
    ("Name", 28),
    ("Phone", 18),
    ("E-mail", 30),
    ("Language", 10),
    ("Note", 40),
    ("Tags", 24),
    ("State", 12),
    ("Invited", 26),
    ("Code first used", 26),
    ("Withdrawn", 26),
    ("Kept out", 26),
    ("Number of guests", 16),
    ("Expires", 26),
    ("Visits at most", 14),
];

/// As what a list goes out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// Comma-separated values: UTF-8 with a mark, cells that no spreadsheet computes.
    Csv,
    /// An Excel workbook.
    Workbook,
}

/// Why a list does not go out, or not to its end.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    /// A workbook holds fewer people.
    #[error("a workbook cannot hold so many people")]
    TooMany,
    /// A person cannot be read.
    #[error(transparent)]
    Contact(#[from] ContactError),
    /// The workbook is larger than workbooks are.
    #[error("the workbook cannot be written")]
    Workbook(#[from] std::io::Error),
}

impl From<DbError> for ExportError {
    fn from(error: DbError) -> Self {
        Self::Contact(error.into())
    }
}

/// A list that goes out.
#[derive(Debug)]
pub struct Outgoing {
    people: Arc<People>,
    allowed: Allowed<Export>,
    selection: Selection,
    sheet: Sheet,
    next: Next,
}

#[derive(Debug)]
enum Sheet {
    Csv,
    Workbook(Box<Workbook>),
}

#[derive(Clone, Copy, Debug)]
enum Next {
    Head,
    After(Option<InvitationId>),
    End,
    Nothing,
}

impl People {
    /// A list of those who are meant, as far as they are remembered. When this returns, it is written down that it went out.
    ///
    /// # Errors
    ///
    /// [`ExportError`]; then nothing goes out.
    pub async fn export(
        self: &Arc<Self>,
        allowed: Allowed<Export>,
        actor: Actor,
        selection: Selection,
        form: Form,
    ) -> Result<Outgoing, ExportError> {
        let (event, db) = (allowed.event, &self.world.db);
        let (mut count, mut after) = (0_u64, None);
        loop {
            let page = selection::remembered(db, event, &selection, after, COUNTED).await?;
            count += page.ids.len() as u64;
            after = page.next;
            if after.is_none() {
                break;
            }
        }
        let sheet = match form {
            Form::Csv => Sheet::Csv,
            Form::Workbook if count >= workbook::ROWS_MAX => return Err(ExportError::TooMany),
            Form::Workbook => Sheet::Workbook(Box::new(Workbook::new(&COLUMNS)?)),
        };
        let whom = match &selection {
            Selection::Ids { .. } => Whom::Named,
            Selection::Filter { filter, except } if filter.is_empty() && except.is_empty() => Whom::Everybody,
            Selection::Filter { .. } => Whom::Matching,
        };
        let fact = Fact::PeopleExported { event, count: u32::try_from(count).unwrap_or(u32::MAX), whom };
        let mut tx = db.write().await?;
        facts::append(&mut tx, &self.world.random, self.world.clock.now(), actor, fact).await?;
        tx.commit().await?;
        Ok(Outgoing { people: self.clone(), allowed, selection, sheet, next: Next::Head })
    }
}

impl Outgoing {
    /// The next bytes, of which there may be none yet; `None` after the last.
    ///
    /// # Errors
    ///
    /// [`ExportError`]; then the list must not look as if it were whole.
    pub async fn piece(&mut self) -> Result<Option<Vec<u8>>, ExportError> {
        match self.next {
            Next::Head => {
                self.next = Next::After(None);
                Ok(Some(match &mut self.sheet {
                    Sheet::Csv => (MARK.to_owned() + &csv_row(&COLUMNS.map(|(word, _)| word))).into_bytes(),
                    Sheet::Workbook(workbook) => workbook.take(),
                }))
            }
            Next::After(after) => {
                let db = &self.people.world.db;
                let page = selection::remembered(db, self.allowed.event, &self.selection, after, PAGE).await?;
                self.next = page.next.map_or(Next::End, |last| Next::After(Some(last)));
                self.rows(&page.ids).await.map(Some)
            }
            Next::End => {
                self.next = Next::Nothing;
                Ok(match std::mem::replace(&mut self.sheet, Sheet::Csv) {
                    Sheet::Csv => None,
                    Sheet::Workbook(workbook) => Some(workbook.finish()?),
                })
            }
            Next::Nothing => Ok(None),
        }
    }

    async fn rows(&mut self, ids: &[InvitationId]) -> Result<Vec<u8>, ExportError> {
        let World { db, clock, .. } = &self.people.world;
        let mut tags = invitation_tags::of(db, ids).await?;
        let mut text = String::new();
        for row in invitations::of_ids(db, ids).await? {
            // Somebody may have been forgotten since the page was read.
            if row.erased_at.is_some() {
                continue;
            }
            // That the whole list is taken was allowed; each person of it is opened by the server, for that list.
            let sealed = Sealed::Contact(row.id);
            let reveal = decide(Reveal { event: Some(row.event), sealed }, &Facts::Server, clock.now());
            let contact = self.people.access.contact(&reveal.map_err(ContactError::from)?, &row);
            let cells = cells(&row, contact.map_err(ContactError::from)?, &tags.remove(&row.id).unwrap_or_default());
            match &mut self.sheet {
                Sheet::Csv => text.push_str(&csv_row(&cells)),
                Sheet::Workbook(workbook) => workbook.row(&cells.map(kept))?,
            }
        }
        Ok(match &mut self.sheet {
            Sheet::Csv => text.into_bytes(),
            Sheet::Workbook(workbook) => workbook.take(),
        })
    }
}

/// A cell of a workbook, where text is text and needs no apostrophe in front: only one that stands there already, and that
/// an import would take for ours, gets another.
fn kept(cell: String) -> String {
    if plain_text(&cell) == cell { cell } else { format!("'{cell}") }
}

/// Somebody as a row, under [`COLUMNS`].
fn cells(row: &Invitation, contact: Contact, tags: &[String]) -> [String; COLUMNS.len()] {
    let time = |time: Option<Time>| time.map(|time| time.to_string()).unwrap_or_default();
    [
        row.name.clone(),
        contact.phone.map(|phone| phone.expose().to_owned()).unwrap_or_default(),
        contact.email.map(|email| email.expose().to_owned()).unwrap_or_default(),
        row.language.clone(),
        contact.note.0,
        tags.join(", "),
        row.state.as_str().to_owned(),
        time(Some(row.created_at)),
        time(row.redeemed_at),
        time(row.revoked_at),
        time(row.blocked_at),
        row.plus_ones.to_string(),
        time(row.expires_at),
        row.max_uses.map(|uses| uses.to_string()).unwrap_or_default(),
    ]
}
