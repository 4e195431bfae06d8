//! New codes for old ones.

use std::sync::Arc;
use std::time::Duration;

use stagedoor_domain::access::{Allowed, Code, EndReason, InvitationState, Organise, Purpose, Sealed};
use stagedoor_domain::fact::Fact;
use stagedoor_domain::id::{InvitationId, MessageId, SendId};
use stagedoor_domain::message::{Channel, Kind, SendState};

use super::rooms::Over;
use super::{Access, Ended};
use crate::facts::{self, Actor};
use crate::ports::bus::{Hint, Topic};
use crate::ports::db::messages::Made;
use crate::ports::db::sends::Send;
use crate::ports::db::{DbError, Tx, events, invitations, messages, sends};

/// How people are told their new codes.
#[derive(Clone, Debug)]
pub struct Telling {
    /// By what.
    pub channel: Channel,
    /// Whom the texts name as who invites.
    pub organiser: String,
    /// How links begin.
    pub base_url: String,
}

/// What came of giving people new codes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Renewed {
    /// People who have another code now.
    pub changed: u64,
    /// Sessions on the old ones.
    pub sessions_ended: u64,
    /// The order that tells them.
    pub send: Option<SendId>,
}

impl Access {
    /// Gives these invitees of the event of the permission new codes, and orders that they are told, all in one
    /// transaction: first every session on an old code ends, then the codes are replaced and what waits to tell old ones
    /// is called off, and only then messages are queued. Who was withdrawn, has expired or was forgotten gets none. Who is
    /// watching reads `words`.
    ///
    /// # Errors
    ///
    /// Any [`DbError`] of a statement; then nothing has changed.
    pub async fn renew(
        &self,
        allowed: &Allowed<Organise>,
        actor: Actor,
        people: &[InvitationId],
        telling: Option<&Telling>,
        words: Option<Arc<str>>,
    ) -> Result<Renewed, DbError> {
        let event = allowed.event;
        let mut tx = self.db.write().await?;
        // In the order of rows: whoever reports what became of a message holds the same ones.
        events::lock(&mut tx, event).await?;
        if telling.is_some() {
            messages::wake(&mut tx, event, self.clock.now()).await?;
        }
        let (theirs, ended) = self.renew_in(&mut tx, allowed, actor, people, words).await?;
        let send = match telling {
            None => None,
            Some(telling) => Some(self.tell(&mut tx, allowed, actor, &theirs, telling).await?),
        };
        let renewed = Renewed { changed: theirs.len() as u64, sessions_ended: ended.len() as u64, send };
        self.commit(tx, ended).await?;
        self.bus.hint(Hint::Event(event, Topic::Invitations));
        self.bus.hint(Hint::Event(event, Topic::Messages));
        Ok(renewed)
    }

    /// The same as a part of `tx`, which holds the event; whoever is to be told is told after it.
    pub(super) async fn renew_in(
        &self,
        tx: &mut Tx,
        allowed: &Allowed<Organise>,
        actor: Actor,
        people: &[InvitationId],
        words: Option<Arc<str>>,
    ) -> Result<(Vec<InvitationId>, Ended), DbError> {
        let (event, now) = (allowed.event, self.clock.now());
        let mut people = people.to_vec();
        people.sort_unstable();
        people.dedup();
        let mut theirs = Vec::with_capacity(people.len());
        for id in people {
            // From here on nobody redeems or changes them until we are done.
            let Some(row) = invitations::lock(tx, id).await? else { continue };
            let over = matches!(row.state, InvitationState::Revoked | InvitationState::Expired);
            if row.event == event && !over && row.erased_at.is_none() {
                theirs.push(id);
            }
        }
        let ended = self.end_sessions_of(tx, actor, &theirs, Over { reason: EndReason::CodeChanged, words }).await?;
        for id in &theirs {
            let code = Code::from_random(self.random.bytes());
            let sealed = self.keys.vault.seal(Sealed::Code(*id), &code.to_string(), &self.random);
            let hash = self.keys.hash.digest(Purpose::Code, code.as_bytes());
            invitations::renew(tx, allowed, *id, (hash, sealed), now).await?;
            messages::supersede(tx, *id).await?;
        }
        let count = u32::try_from(theirs.len()).unwrap_or(u32::MAX);
        let invitation = if let [one] = theirs.as_slice() { Some(*one) } else { None };
        let fact = Fact::CodesReplaced { event, count, invitation };
        facts::append(tx, &self.random, now, actor, fact).await?;
        Ok((theirs, ended))
    }

    /// An order with its messages, as a part of `tx`.
    async fn tell(
        &self,
        tx: &mut Tx,
        allowed: &Allowed<Organise>,
        actor: Actor,
        people: &[InvitationId],
        telling: &Telling,
    ) -> Result<SendId, DbError> {
        let send = self.order_telling(tx, allowed, actor, people.len() as u64, telling).await?;
        self.tell_each(tx, &send, people).await?;
        sends::fully_expanded(tx, send.id).await?;
        Ok(send.id)
    }

    /// An order without messages, as a part of `tx`: they are made where the codes are.
    pub(super) async fn order_telling(
        &self,
        tx: &mut Tx,
        allowed: &Allowed<Organise>,
        actor: Actor,
        total: u64,
        telling: &Telling,
    ) -> Result<Send, DbError> {
        let (event, now) = (allowed.event, self.clock.now());
        let send = Send {
            id: SendId::new(self.random.uuid(now)),
            event,
            channel: telling.channel,
            kind: Kind::NewCode,
            round: 0,
            state: SendState::Running,
            paused_because: None,
            selection: sends::NOBODY.to_owned(),
            cursor: None,
            expanded: false,
            total,
            organiser: telling.organiser.clone(),
            base_url: telling.base_url.clone(),
            not_before: now,
            created_at: now,
        };
        sends::insert(tx, allowed, &send).await?;
        facts::append(tx, &self.random, now, actor, Fact::SendCreated { event, send: send.id }).await?;
        Ok(send)
    }

    /// Messages of an order to these people, as a part of `tx`, which holds the pace of the event.
    pub(super) async fn tell_each(&self, tx: &mut Tx, send: &Send, people: &[InvitationId]) -> Result<(), DbError> {
        let now = self.clock.now();
        for (place, invitation) in (0_u64..).zip(people) {
            // Ids sort by their time: messages go out in the order of the selection.
            let id = MessageId::new(self.random.uuid(now.plus(Duration::from_millis(place))));
            if messages::make(tx, id, send, *invitation, now).await? == Made::Queued {
                let detail = send.channel.as_str();
                invitations::advance(tx, *invitation, InvitationState::Queued, now, detail).await?;
            }
        }
        Ok(())
    }
}
