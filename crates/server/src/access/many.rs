//! Acts on many invitees: in steps of a few hundred, so that nobody else waits long for the writer.
//!
//! A step is one transaction and leaves everything true. An act on more than one step of people that is broken off has
//! been done to the first of them; asked for again, it is done to the others.

use stagedoor_domain::access::{Allowed, EndReason, Organise};
use stagedoor_domain::fact::Fact;
use stagedoor_domain::id::{EventId, InvitationId};

use super::Access;
use crate::facts::{self, Actor};
use crate::ports::bus::{Hint, Topic};
use crate::ports::db::selection::{self, Selection};
use crate::ports::db::{DbError, Tx, events, invitation_tags, invitations};

/// Invitees of one step.
pub(super) const STEP: u32 = 500;

impl Access {
    /// Puts tags on everybody of a selection and takes others off; says how many people that was.
    ///
    /// # Errors
    ///
    /// Any [`DbError`] of a statement.
    pub async fn tag(
        &self,
        allowed: Allowed<Organise>,
        actor: Actor,
        selection: Selection,
        add: Vec<String>,
        remove: Vec<String>,
    ) -> Result<u64, DbError> {
        let event = allowed.event;
        // Who is meant may be told by the tags that change: they are all found first.
        let people = self.everybody(event, &selection).await?;
        for some in people.chunks(usize::try_from(STEP).unwrap_or(usize::MAX)) {
            let mut tx = self.db.write().await?;
            events::lock(&mut tx, event).await?;
            invitation_tags::add(&mut tx, &allowed, some, &add).await?;
            invitation_tags::remove(&mut tx, &allowed, some, &remove).await?;
            let fact = Fact::InvitationsTagged { event, count: u32::try_from(some.len()).unwrap_or(u32::MAX) };
            facts::append(&mut tx, &self.random, self.clock.now(), actor, fact).await?;
            tx.commit().await?;
        }
        self.bus.hint(Hint::Event(event, Topic::Invitations));
        Ok(people.len() as u64)
    }

    /// Withdraws the invitations of a selection, with those of the guests they brought, and ends their sessions; says how
    /// many invitations and sessions that was.
    ///
    /// # Errors
    ///
    /// Any [`DbError`] of a statement.
    pub async fn withdraw_all(
        &self,
        allowed: &Allowed<Organise>,
        actor: Actor,
        selection: &Selection,
    ) -> Result<(u64, u64), DbError> {
        let event = allowed.event;
        let (mut withdrawn, mut sessions) = (0, 0);
        let people = self.everybody(event, selection).await?;
        for some in people.chunks(usize::try_from(STEP).unwrap_or(usize::MAX)) {
            let mut tx = self.db.write().await?;
            events::lock(&mut tx, event).await?;
            let theirs = self.withdraw_in(&mut tx, allowed, actor, some).await?;
            let ended = self.end_sessions_of(&mut tx, actor, &theirs, EndReason::Revoked).await?;
            withdrawn += theirs.len() as u64;
            sessions += ended.len() as u64;
            self.commit(tx, ended).await?;
            self.bus.hint(Hint::Event(event, Topic::Invitations));
        }
        Ok((withdrawn, sessions))
    }

    /// Withdraws invitations of the event of the permission, and those of everybody whom they brought, as a part of `tx`,
    /// which holds the event; which they were. A guest is somebody's guest: without a host, nobody's.
    pub(super) async fn withdraw_in(
        &self,
        tx: &mut Tx,
        allowed: &Allowed<Organise>,
        actor: Actor,
        people: &[InvitationId],
    ) -> Result<Vec<InvitationId>, DbError> {
        let (event, now) = (allowed.event, self.clock.now());
        let (mut theirs, mut next) = (Vec::with_capacity(people.len()), people.to_vec());
        // Nobody is withdrawn twice, so this ends with the last guest.
        while let Some(invitation) = next.pop() {
            if invitations::revoke(tx, allowed, invitation, now).await? {
                theirs.push(invitation);
                let fact = Fact::InvitationRevoked { event, invitation };
                facts::append(tx, &self.random, now, actor, fact).await?;
                next.extend(invitations::guests_in(tx, invitation).await?);
            }
        }
        Ok(theirs)
    }

    /// Everybody of a selection, oldest first: 16 bytes for each.
    ///
    /// # Errors
    ///
    /// Any [`DbError`] of a statement.
    pub async fn everybody(&self, event: EventId, selection: &Selection) -> Result<Vec<InvitationId>, DbError> {
        let (mut people, mut after) = (Vec::new(), None);
        loop {
            let page = selection::page(&self.db, event, selection, after, STEP).await?;
            people.extend(page.ids);
            after = page.next;
            if after.is_none() {
                return Ok(people);
            }
        }
    }
}
