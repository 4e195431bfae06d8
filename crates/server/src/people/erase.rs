//! What is known about one person: handed out, or taken away for good.
//!
//! How somebody is reached, what was noted about them and what was written to them is sealed by a key of theirs; with the key
//! it is gone, from backups that are made later too. Their name and what their browsers were called is overwritten. The log
//! keeps what happened to an invitation whose id nobody can lead back to a person.

use std::sync::atomic::Ordering;

use stagedoor_domain::Time;
use stagedoor_domain::access::{Allowed, EndReason, Export, Facts, Organise, Reveal, Sealed, decide};
use stagedoor_domain::fact::Fact;
use stagedoor_domain::id::{FactId, InvitationId, MessageId};

use super::People;
use crate::access::{Contact, ContactError, SealedFor, Written};
use crate::facts::{self, Actor};
use crate::ports::bus::{Hint, Topic};
use crate::ports::db::invitations::{self, Invitation, Step};
use crate::ports::db::personal::{self, Letter, Pseudonym, Visit};
use crate::ports::db::{DbError, messages};

/// What who was erased is called.
const ERASED: &str = "Erased";

/// All that is kept about a person. Its `Debug` form shows neither contact nor messages.
#[derive(Debug)]
pub struct Known {
    /// Their row.
    pub invitation: Invitation,
    /// How they are reached, and what was noted about them.
    pub contact: Contact,
    /// Since when they want no messages.
    pub opted_out: Option<Time>,
    /// What they are sorted under.
    pub tags: Vec<String>,
    /// How their invitation came to where it stands.
    pub history: Vec<Step>,
    /// Whom they brought.
    pub guests: Vec<InvitationId>,
    /// When they came, and with what.
    pub visits: Vec<Visit>,
    /// What was written to them, as far as it is kept.
    pub letters: Vec<(Letter, Option<Written>)>,
    /// What the log says about them.
    pub facts: Vec<FactId>,
}

impl People {
    /// All that is kept about an invitee, for themself; a fact. `None` for somebody who is not on the list.
    ///
    /// # Errors
    ///
    /// [`ContactError`].
    pub async fn personal_data(
        &self,
        allowed: &Allowed<Export>,
        actor: Actor,
        id: InvitationId,
    ) -> Result<Option<Known>, ContactError> {
        let (event, now, db) = (allowed.event, self.world.clock.now(), &self.world.db);
        let Some(invitation) = invitations::get(db, event, id).await? else { return Ok(None) };
        let mut tx = db.write().await?;
        let fact = Fact::PersonalDataExported { event, invitation: id };
        facts::append(&mut tx, &self.world.random, now, actor, fact).await?;
        tx.commit().await?;
        let reveal = decide(Reveal { event: Some(event), sealed: Sealed::Contact(id) }, &Facts::Server, now)?;
        let contact = self.access.contact(&reveal, &invitation)?;
        let phones = contact.phone.as_ref().map(|phone| self.access.phone_hashes(phone)).unwrap_or_default();
        let letters = personal::letters(db, id).await?.into_iter().map(|letter| {
            let written = self.written(&invitation, letter.id, letter.payload.as_deref())?;
            Ok((letter, written))
        });
        Ok(Some(Known {
            opted_out: personal::opted_out(db, &phones).await?,
            tags: personal::tags(db, id).await?,
            history: invitations::history(db, id).await?,
            guests: personal::guests(db, id).await?,
            visits: personal::visits(db, id).await?,
            letters: letters.collect::<Result<_, ContactError>>()?,
            facts: personal::facts(db, event, id).await?,
            contact,
            invitation,
        }))
    }

    fn written(
        &self,
        invitation: &Invitation,
        message: MessageId,
        payload: Option<&[u8]>,
    ) -> Result<Option<Written>, ContactError> {
        let (Some(person_key), Some(payload)) = (invitation.person_key.as_deref(), payload) else { return Ok(None) };
        let person = SealedFor { invitation: invitation.id, person_key };
        self.access.open_message(message, Some(person), payload).map(Some)
    }

    /// Forgets an invitee: sessions end, and nothing is left that leads to them. Says whether there was anybody to forget.
    ///
    /// # Errors
    ///
    /// Any [`DbError`] of a statement.
    pub async fn erase(&self, allowed: &Allowed<Organise>, actor: Actor, id: InvitationId) -> Result<bool, DbError> {
        let (event, now) = (allowed.event, self.world.clock.now());
        let pseudonym = Pseudonym { name: ERASED, code: self.world.random.bytes() };
        let mut tx = self.world.db.write().await?;
        if !personal::erase(&mut tx, event, id, pseudonym, now).await? {
            return Ok(false);
        }
        messages::forget(&mut tx, id).await?;
        let ended = self.access.end_sessions_of(&mut tx, actor, &[id], EndReason::Revoked).await?;
        let fact = Fact::PersonErased { event, invitation: id };
        facts::append(&mut tx, &self.world.random, now, actor, fact).await?;
        self.access.commit(tx, ended).await?;
        self.scrub.store(true, Ordering::Relaxed);
        self.scrub().await?;
        self.world.bus.hint(Hint::Event(event, Topic::Invitations));
        Ok(true)
    }

    /// Overwrites what the database still holds of people who were forgotten, if there are any; as long as somebody reads
    /// it cannot, and is asked again.
    pub(super) async fn scrub(&self) -> Result<(), DbError> {
        if self.scrub.swap(false, Ordering::Relaxed) {
            let done = self.world.db.scrub().await;
            if !matches!(done, Ok(true)) {
                self.scrub.store(true, Ordering::Relaxed);
            }
            done?;
        }
        Ok(())
    }
}
