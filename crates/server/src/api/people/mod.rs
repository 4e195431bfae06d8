//! Who is invited: finding them, what is known about each, acts on one and on many.

mod bulk;
mod export;
mod list;
mod one;
mod selection;

pub(super) use bulk::*;
pub(super) use export::*;
pub(super) use list::*;
pub(super) use one::*;
pub(super) use selection::SelectionBody;

use std::collections::HashMap;

use serde::{Deserialize, Serialize};
use stagedoor_domain::Time;
use stagedoor_domain::access::{InvitationState, Reveal, Sealed};
use stagedoor_domain::event::Country;
use stagedoor_domain::id::{EventId, InvitationId};
use stagedoor_domain::person::{Email, Phone};
use utoipa::ToSchema;

use super::Api;
use super::extract::{Organiser, line};
use super::invitations::Viewer;
use super::problem::Problem;
use crate::access::{Contact, ContactError, Note};
use crate::people::{self, TAG_CHARS_MAX, TAGS_MAX};
use crate::ports::db::{invitation_tags, invitations};

/// Letters of a note at most.
const NOTE_CHARS_MAX: usize = 2_000;

/// Where an invitation stands. It is about the present code: a new code begins at `created` again.
#[derive(Clone, Copy, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
#[schema(as = InvitationState)]
pub(super) enum StateName {
    /// Nobody was told yet.
    Created,
    /// A message with the code waits for its turn.
    Queued,
    /// The message was handed over.
    Sent,
    /// The message arrived.
    Delivered,
    /// The message could not be delivered.
    Failed,
    /// The link in it was opened.
    Opened,
    /// Its code was used at least once.
    Redeemed,
    /// Withdrawn for good.
    Revoked,
    /// Its time was up.
    Expired,
}

impl From<InvitationState> for StateName {
    fn from(state: InvitationState) -> Self {
        match state {
            InvitationState::Created => Self::Created,
            InvitationState::Queued => Self::Queued,
            InvitationState::Sent => Self::Sent,
            InvitationState::Delivered => Self::Delivered,
            InvitationState::Failed => Self::Failed,
            InvitationState::Opened => Self::Opened,
            InvitationState::Redeemed => Self::Redeemed,
            InvitationState::Revoked => Self::Revoked,
            InvitationState::Expired => Self::Expired,
        }
    }
}

/// An invitee.
#[derive(Serialize, ToSchema)]
pub(super) struct Invitation {
    /// The invitation.
    #[schema(value_type = String, examples("inv_01kaf3x6m8e9t8s2v4w6y8z0ab"))]
    id: InvitationId,
    /// Who they are.
    name: String,
    state: StateName,
    /// Since when it stands there.
    #[schema(value_type = String, format = DateTime)]
    state_at: Time,
    /// What they are tagged with, in alphabetical order.
    tags: Vec<String>,
    /// Their own language, as a BCP 47 tag; absent for the event's.
    language: Option<String>,
    /// Their telephone number, masked unless it was asked for in the clear.
    #[schema(examples("+33 6 •• •• 12 34"))]
    phone: Option<String>,
    /// Their e-mail address, masked unless it was asked for in the clear.
    #[schema(examples("a•••@example.org"))]
    email: Option<String>,
    /// What was noted about them; only in the clear.
    note: Option<String>,
    /// Whether number and address are masked, and the note is withheld.
    masked: bool,
    /// Guests that they may bring.
    plus_ones: u32,
    /// Whose guest they are.
    #[schema(value_type = Option<String>)]
    guest_of: Option<InvitationId>,
    /// When the invitation ends by itself.
    #[schema(value_type = Option<String>, format = DateTime)]
    expires_at: Option<Time>,
    /// Visits with the present code; to go on elsewhere is the same visit.
    uses: u32,
    /// Visits that it is good for; absent for any number.
    max_uses: Option<u32>,
    /// Since when an organiser keeps them out.
    #[schema(value_type = Option<String>, format = DateTime)]
    blocked_at: Option<Time>,
    /// When they were forgotten: what was known about them is gone.
    #[schema(value_type = Option<String>, format = DateTime)]
    erased_at: Option<Time>,
    /// When they were invited.
    #[schema(value_type = String, format = DateTime)]
    created_at: Time,
    /// When their code was first used.
    #[schema(value_type = Option<String>, format = DateTime)]
    redeemed_at: Option<Time>,
    /// Their active session.
    session: Option<Viewer>,
}

/// In what form telephone numbers, addresses and notes are shown.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Shown {
    /// To everybody who may see the list.
    Masked,
    /// To whoever may see people and says so; each look is a line in the log.
    Clear,
}

/// These invitees as `organiser` sees them, in their order.
async fn views(
    api: &Api,
    organiser: &Organiser,
    event: EventId,
    rows: Vec<invitations::Invitation>,
    shown: Shown,
) -> Result<Vec<Invitation>, Problem> {
    let ids: Vec<_> = rows.iter().map(|row| row.id).collect();
    let mut tags = invitation_tags::of(&api.db, &ids).await?;
    let mut contacts: HashMap<InvitationId, Contact> = HashMap::new();
    if shown == Shown::Clear {
        let known = rows.iter().filter(|row| row.contact.is_some());
        let mut people = Vec::new();
        for row in known {
            people.push((organiser.may(api, Reveal { event: Some(event), sealed: Sealed::Contact(row.id) })?, row));
        }
        let revealed = api.access.reveal_contacts(organiser.0.actor, &people).await?;
        contacts.extend(people.iter().map(|(_, row)| row.id).zip(revealed));
    }
    let now = api.clock.now();
    let mut inside: HashMap<InvitationId, Viewer> = HashMap::new();
    if let Some(room) = api.access.room(event) {
        let wanted: std::collections::HashSet<_> = ids.iter().copied().collect();
        let protection = room.policy().protection;
        room.each(|seat| {
            if wanted.contains(&seat.invitation) {
                inside.insert(seat.invitation, Viewer::of(seat, protection, now));
            }
        });
    }
    let view = |row: invitations::Invitation| {
        let (phone, email, note) = match shown {
            Shown::Masked => {
                let (phone, email) = api.access.masked(&row)?;
                (phone, email, None)
            }
            Shown::Clear => {
                let Contact { phone, email, note } = contacts.remove(&row.id).unwrap_or_default();
                let Note(note) = note;
                (
                    phone.map(|phone| phone.expose().to_owned()),
                    email.map(|email| email.expose().to_owned()),
                    Some(note).filter(|note| !note.is_empty()),
                )
            }
        };
        Ok(Invitation {
            state: row.state.into(),
            state_at: row.state_at,
            tags: tags.remove(&row.id).unwrap_or_default(),
            language: Some(row.language).filter(|language| !language.is_empty()),
            phone,
            email,
            note,
            masked: shown == Shown::Masked,
            plus_ones: row.plus_ones,
            guest_of: row.guest_of,
            expires_at: row.expires_at,
            uses: row.uses,
            max_uses: row.max_uses,
            blocked_at: row.blocked_at,
            erased_at: row.erased_at,
            created_at: row.created_at,
            redeemed_at: row.redeemed_at,
            session: inside.remove(&row.id),
            id: row.id,
            name: row.name,
        })
    };
    rows.into_iter().map(view).collect::<Result<_, ContactError>>().map_err(unreadable)
}

pub(super) fn unreadable(error: ContactError) -> Problem {
    match error {
        ContactError::Db(error) => error.into(),
        error => {
            tracing::error!(error = &error as &dyn std::error::Error, "what is sealed about an invitee is unreadable");
            Problem::internal()
        }
    }
}

/// A language tag as somebody wrote it.
pub(super) fn language(pointer: &str, text: &str) -> Result<String, Problem> {
    let text = text.trim();
    if text.is_empty() {
        return Ok(String::new());
    }
    people::language_tag(text).ok_or_else(|| Problem::field(pointer, "This is no language tag, like en or pt-BR."))
}

/// Tags as somebody wrote them: each a line of 1 to 50 characters without a comma, at most 20.
pub(super) fn tags(pointer: &str, tags: &[String]) -> Result<Vec<String>, Problem> {
    if tags.len() > TAGS_MAX {
        return Err(Problem::field(pointer, "There are at most 20 tags."));
    }
    let tags = tags.iter().enumerate().map(|(at, tag)| self::tag(&format!("{pointer}/{at}"), tag));
    let mut tags = tags.collect::<Result<Vec<_>, _>>()?;
    tags.sort();
    tags.dedup();
    Ok(tags)
}

/// One tag.
fn tag(pointer: &str, text: &str) -> Result<String, Problem> {
    let tag = line(pointer, text)?;
    if tag.chars().count() > TAG_CHARS_MAX {
        return Err(Problem::field(pointer, "A tag has at most 50 characters."));
    }
    if tag.contains(',') {
        return Err(Problem::field(pointer, "A tag has no comma in it: commas stand between tags."));
    }
    Ok(tag)
}

/// A telephone number as somebody wrote it; empty for none.
fn phone(pointer: &str, text: &str, country: Option<Country>) -> Result<Option<Phone>, Problem> {
    if text.trim().is_empty() {
        return Ok(None);
    }
    let phone = people::normalise(text, country);
    phone.map(Some).ok_or_else(|| Problem::field(pointer, "This is no telephone number, or it lacks its country code."))
}

/// An e-mail address as somebody wrote it; empty for none.
fn email(pointer: &str, text: &str) -> Result<Option<Email>, Problem> {
    if text.trim().is_empty() {
        return Ok(None);
    }
    text.parse().map(Some).map_err(|_| Problem::field(pointer, "This is no e-mail address."))
}

/// A note as somebody wrote it.
fn note(pointer: &str, text: &str) -> Result<Note, Problem> {
    if text.chars().count() > NOTE_CHARS_MAX {
        return Err(Problem::field(pointer, "A note has at most 2000 characters."));
    }
    Ok(Note(text.trim().to_owned()))
}
