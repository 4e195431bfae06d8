//! Invitees who are there already: what is known about them changes, how they are reached is shown, their time is up.

use stagedoor_domain::Time;
use stagedoor_domain::access::{Allowed, EndReason, InvitationState, Moderate, Organise, Reveal, Sealed};
use stagedoor_domain::fact::Fact;
use stagedoor_domain::id::InvitationId;
use stagedoor_domain::person::{Email, Phone};

use super::{Access, Contact, ContactError, Note, RevealError, Unopenable};
use crate::facts::{self, Actor};
use crate::ports::bus::{Hint, Topic};
use crate::ports::db::invitations::Invitation;
use crate::ports::db::{DbError, events, invitation_tags, invitations};

/// Invitations that say in one transaction that their time is up.
const EXPIRE_ROWS: u32 = 200;
/// Such transactions in one turn: the rest is for the next one, a second later.
const EXPIRE_STEPS_MAX: usize = 25;

/// What changes about an invitee; what is absent stays.
#[derive(Clone, Debug, Default)]
pub struct Change {
    /// Who they are.
    pub name: Option<String>,
    /// Their telephone, or that none is known.
    pub phone: Option<Option<Phone>>,
    /// Their e-mail address, or that none is known.
    pub email: Option<Option<Email>>,
    /// What organisers wrote down.
    pub note: Option<Note>,
    /// A BCP 47 tag; empty for the event's language.
    pub language: Option<String>,
    /// All their tags.
    pub tags: Option<Vec<String>>,
    /// When the invitation ends by itself, or that it does not.
    pub expires_at: Option<Option<Time>>,
    /// Sessions that the code may open, or that any number may be.
    pub max_uses: Option<Option<u32>>,
    /// Guests that they may bring.
    pub plus_ones: Option<u32>,
}

/// Why nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum ChangeRefused {
    /// There is no such invitation to this event.
    #[error("there is no such invitation")]
    NoInvitation,
    /// They were forgotten: nothing is written about them any more.
    #[error("this person was forgotten")]
    Forgotten,
    /// Somebody else at this event has the telephone number.
    #[error("somebody else has this number")]
    PhoneTaken,
    /// What is sealed about them cannot be opened, or the database did not answer.
    #[error(transparent)]
    Contact(#[from] ContactError),
}

impl From<DbError> for ChangeRefused {
    fn from(error: DbError) -> Self {
        Self::Contact(error.into())
    }
}

impl Access {
    /// Changes what is known about an invitee of the event of the permission.
    ///
    /// # Errors
    ///
    /// [`ChangeRefused`]; then nothing has changed.
    pub async fn change_invitee(
        &self,
        allowed: &Allowed<Organise>,
        actor: Actor,
        id: InvitationId,
        change: Change,
    ) -> Result<(), ChangeRefused> {
        let (event, now) = (allowed.event, self.clock.now());
        let mut tx = self.db.write().await?;
        let row = invitations::lock(&mut tx, id).await?.filter(|row| row.event == event);
        let mut row = row.ok_or(ChangeRefused::NoInvitation)?;
        if row.erased_at.is_some() {
            return Err(ChangeRefused::Forgotten);
        }
        let reached_otherwise = change.phone.is_some();
        if reached_otherwise || change.email.is_some() || change.note.is_some() {
            let opened = self.own(event, Sealed::Contact(id)).map_err(ContactError::from)?;
            let known = self.contact(&opened, &row).map_err(ContactError::from)?;
            let contact = Contact {
                phone: change.phone.unwrap_or(known.phone),
                email: change.email.unwrap_or(known.email),
                note: change.note.unwrap_or(known.note),
            };
            if self.has_twin(&mut tx, event, id, contact.phone.as_ref()).await? {
                return Err(ChangeRefused::PhoneTaken);
            }
            let sealed = self.reseal(&row, &contact)?;
            invitations::set_contact(&mut tx, allowed, id, &sealed).await.map_err(|error| match error {
                DbError::Exists => ChangeRefused::PhoneTaken,
                error => error.into(),
            })?;
        }
        if let Some(end) = change.expires_at {
            row.expires_at = end;
            if row.state == InvitationState::Expired && end.is_none_or(|end| end > now) {
                invitations::revive(&mut tx, id, now).await?;
            }
        }
        row.name = change.name.unwrap_or(row.name);
        row.language = change.language.unwrap_or(row.language);
        row.max_uses = change.max_uses.unwrap_or(row.max_uses);
        row.plus_ones = change.plus_ones.unwrap_or(row.plus_ones);
        invitations::update(&mut tx, allowed, &row).await?;
        if let Some(tags) = &change.tags {
            invitation_tags::replace(&mut tx, allowed, id, tags).await?;
        }
        facts::append(&mut tx, &self.random, now, actor, Fact::InvitationChanged { event, invitation: id }).await?;
        let room = self.rooms.room(event);
        let seat = room.as_ref().and_then(|room| room.seat_of(id));
        let (seated, name) = (seat.clone(), row.name.clone());
        self.commit_into(tx, room, move |_| {
            if let Some(seat) = seated {
                seat.details.is_called(&name);
            }
        })
        .await?;
        if let Some(seat) = seat.filter(|_| reached_otherwise) {
            // Nothing hangs on it: who looks at the room later looks the number up.
            let _ = self.look_up_phones(&[seat]).await;
        }
        self.bus.hint(Hint::Event(event, Topic::Invitations));
        Ok(())
    }

    /// Lets somebody in again who was kept out; says whether they were.
    ///
    /// # Errors
    ///
    /// Any [`DbError`] of a statement.
    pub async fn unblock(
        &self,
        allowed: &Allowed<Moderate>,
        actor: Actor,
        invitation: InvitationId,
    ) -> Result<bool, DbError> {
        let event = allowed.event;
        let mut tx = self.db.write().await?;
        if !invitations::unblock(&mut tx, allowed, invitation).await? {
            return Ok(false);
        }
        let fact = Fact::InvitationUnblocked { event, invitation };
        facts::append(&mut tx, &self.random, self.clock.now(), actor, fact).await?;
        tx.commit().await?;
        self.bus.hint(Hint::Event(event, Topic::Invitations));
        Ok(true)
    }

    /// How these people are reached, in their order, and for each a line in the log that somebody looked.
    ///
    /// # Errors
    ///
    /// [`RevealError`]; then nothing is shown.
    pub async fn reveal_contacts(
        &self,
        actor: Actor,
        people: &[(Allowed<Reveal>, &Invitation)],
    ) -> Result<Vec<Contact>, RevealError> {
        let mut contacts = Vec::with_capacity(people.len());
        let mut tx = self.db.write().await?;
        for (allowed, row) in people {
            if allowed.sealed != Sealed::Contact(row.id) || allowed.event != Some(row.event) {
                return Err(RevealError::Unopenable(Unopenable));
            }
            contacts.push(self.contact(allowed, row)?);
            let fact = Fact::ContactRevealed { event: row.event, invitation: row.id };
            facts::append(&mut tx, &self.random, self.clock.now(), actor, fact).await?;
        }
        tx.commit().await?;
        Ok(contacts)
    }

    /// Says of invitations whose time is up that it is, and ends their sessions.
    pub(super) async fn expire_invitations(&self) -> Result<(), DbError> {
        for _ in 0..EXPIRE_STEPS_MAX {
            let now = self.clock.now();
            let mut due = invitations::due(&self.db, now, EXPIRE_ROWS).await?;
            if due.is_empty() {
                return Ok(());
            }
            due.sort_unstable();
            for some in due.chunk_by(|one, other| one.0 == other.0) {
                let Some((event, _)) = some.first().copied() else { continue };
                let mut tx = self.db.write().await?;
                events::lock(&mut tx, event).await?;
                let mut over = Vec::with_capacity(some.len());
                for (_, invitation) in some {
                    // It may have been given more time since.
                    let row = invitations::lock(&mut tx, *invitation).await?;
                    if row.is_some_and(|row| row.expires_at.is_some_and(|end| end <= now))
                        && invitations::advance(&mut tx, *invitation, InvitationState::Expired, now, "").await?
                    {
                        over.push(*invitation);
                    }
                }
                let ended = self.end_sessions_of(&mut tx, Actor::System, &over, EndReason::Expired).await?;
                self.commit(tx, ended).await?;
                self.bus.hint(Hint::Event(event, Topic::Invitations));
            }
        }
        Ok(())
    }
}
