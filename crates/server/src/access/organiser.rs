//! What organisers do: API tokens, stream keys, events.

use std::time::Duration;

use stagedoor_domain::Time;
use stagedoor_domain::access::{
    Action, Allowed, Broadcast, CreateEvent, Denied, EndReason, Facts, MintToken, Organise, Organiser, Purpose, Reach,
    Reveal, Scopes, Sealed, Secret, decide,
};
use stagedoor_domain::fact::Fact;
use stagedoor_domain::id::{EventId, KeyId, TokenId};
use stagedoor_domain::network::Network;
use stagedoor_domain::publish::Limits;

use super::signin::{TOKEN_PREFIX, Who};
use super::{Access, Unopenable};
use crate::facts::{self, Actor};
use crate::ports::bus::{Hint, Topic};
use crate::ports::db::api_tokens::ApiToken;
use crate::ports::db::events::Event;
use crate::ports::db::stream_keys::StreamKey;
use crate::ports::db::{DbError, Tx, api_tokens, events, stream_keys};

impl Access {
    /// Asks the law whether `who` may do `action` now.
    ///
    /// # Errors
    ///
    /// [`Denied`], with the reason.
    pub fn may<A: Action>(&self, who: &Who, action: A) -> Result<Allowed<A>, Denied> {
        let reach = match action.event().map(|event| self.rooms.room(event)) {
            None => Reach::Inside,
            Some(Some(room)) if room.team().is_none_or(|team| who.teams.contains(&team)) => Reach::Inside,
            Some(_) => Reach::Outside,
        };
        let facts = Organiser {
            role: who.role,
            credential: who.credential,
            expires_at: who.expires_at,
            scopes: who.scopes,
            reach,
            confirmed_at: who.confirmed_at,
        };
        decide(action, &Facts::Organiser(facts), self.clock.now())
    }

    /// Makes an API token that acts for `who`. Its text is in the answer and nowhere else.
    ///
    /// # Errors
    ///
    /// Any [`DbError`] of a statement.
    pub async fn mint_token(
        &self,
        allowed: &Allowed<MintToken>,
        who: &Who,
        name: &str,
        scopes: Scopes,
        expires_at: Option<Time>,
    ) -> Result<(ApiToken, Secret), DbError> {
        let now = self.clock.now();
        let text = Secret::from_random(TOKEN_PREFIX, self.random.bytes());
        let token = ApiToken {
            id: TokenId::new(self.random.uuid(now)),
            user: who.user,
            name: name.to_owned(),
            hint: text.hint(),
            scopes,
            created_at: now,
            expires_at,
            last_used_at: None,
        };
        let hash = self.keys.hash.digest(Purpose::ApiToken, text.expose().as_bytes());
        let mut tx = self.db.write().await?;
        api_tokens::insert(&mut tx, allowed, &token, hash).await?;
        let fact = Fact::TokenCreated { token: token.id, user: who.user };
        facts::append(&mut tx, &self.random, now, who.actor, fact).await?;
        tx.commit().await?;
        Ok((token, text))
    }

    /// Withdraws an API token of `who`; says whether there was one.
    ///
    /// # Errors
    ///
    /// Any [`DbError`] of a statement.
    pub async fn revoke_token(&self, allowed: &Allowed<MintToken>, who: &Who, id: TokenId) -> Result<bool, DbError> {
        let now = self.clock.now();
        let mut tx = self.db.write().await?;
        if !api_tokens::revoke(&mut tx, allowed, who.user, id, now).await? {
            return Ok(false);
        }
        facts::append(&mut tx, &self.random, now, who.actor, Fact::TokenRevoked { token: id }).await?;
        tx.commit().await?;
        self.accounts_changed();
        Ok(true)
    }

    /// Writes a new event with its stream and a first stream key, and opens its room.
    ///
    /// # Errors
    ///
    /// Any [`DbError`] of a statement.
    pub async fn create_event(
        &self,
        allowed: &Allowed<CreateEvent>,
        actor: Actor,
        event: &Event,
    ) -> Result<(), DbError> {
        let now = self.clock.now();
        let mut tx = self.db.write().await?;
        events::insert(&mut tx, allowed, event).await?;
        // Whoever makes an event gets its first key with it.
        let (key, text) = self.fresh_key(event.id, NewKey::default(), now);
        stream_keys::insert_first(&mut tx, allowed, &key, self.key_hash(&text)).await?;
        facts::append(&mut tx, &self.random, now, actor, Fact::EventCreated { event: event.id }).await?;
        let event = event.clone();
        self.commit_then(tx, move |rooms| rooms.open(&event)).await
    }

    /// Changes settings of the event of the permission with `edit`, which is given them as they are while nobody else can
    /// change them; says whether there is such an event.
    ///
    /// # Errors
    ///
    /// Any [`DbError`] of a statement, and what `edit` says; then nothing has changed.
    pub async fn edit_event<E: From<DbError>>(
        &self,
        allowed: &Allowed<Organise>,
        actor: Actor,
        edit: impl FnOnce(&mut Event) -> Result<(), E>,
    ) -> Result<bool, E> {
        let mut tx = self.db.write().await?;
        events::lock(&mut tx, allowed.event).await?;
        let Some(mut event) = events::read(&mut tx, allowed.event).await? else { return Ok(false) };
        edit(&mut event)?;
        Ok(self.write_event(tx, allowed, actor, &event).await?)
    }

    async fn write_event(
        &self,
        mut tx: Tx,
        allowed: &Allowed<Organise>,
        actor: Actor,
        event: &Event,
    ) -> Result<bool, DbError> {
        if !events::update(&mut tx, allowed, event).await? {
            return Ok(false);
        }
        facts::append(&mut tx, &self.random, self.clock.now(), actor, Fact::EventChanged { event: event.id }).await?;
        let changed = event.clone();
        self.commit_into(tx, self.rooms.room(event.id), move |room| room.change(&changed)).await?;
        self.bus.hint(Hint::Event(event.id, Topic::Settings));
        Ok(true)
    }

    /// Deletes an event with everything that belongs to it, and sends its viewers home; says whether there was one.
    ///
    /// # Errors
    ///
    /// Any [`DbError`] of a statement.
    pub async fn delete_event(&self, allowed: &Allowed<Organise>, actor: Actor) -> Result<bool, DbError> {
        let event = allowed.event;
        let mut tx = self.db.write().await?;
        if !events::delete(&mut tx, allowed).await? {
            return Ok(false);
        }
        facts::append(&mut tx, &self.random, self.clock.now(), actor, Fact::EventDeleted { event }).await?;
        self.commit_then(tx, move |rooms| {
            // First the door, then those inside: nobody can slip in between.
            let room = rooms.close(event);
            for seat in room.iter().flat_map(|room| room.seats()) {
                rooms.forget(seat.session, EndReason::Ended);
            }
        })
        .await?;
        Ok(true)
    }

    /// Makes another stream key for the event of the permission.
    ///
    /// # Errors
    ///
    /// Any [`DbError`] of a statement.
    pub async fn create_key(
        &self,
        allowed: &Allowed<Broadcast>,
        actor: Actor,
        new: NewKey,
    ) -> Result<(StreamKey, Secret), DbError> {
        let (event, now) = (allowed.event, self.clock.now());
        let (key, text) = self.fresh_key(event, new, now);
        let mut tx = self.db.write().await?;
        stream_keys::insert(&mut tx, allowed, &key, self.key_hash(&text)).await?;
        facts::append(&mut tx, &self.random, now, actor, Fact::KeyCreated { event, key: key.id }).await?;
        tx.commit().await?;
        Ok((key, text))
    }

    /// Changes name, end, ranges and limits of a stream key with `edit`; gives the key as it is then, or `None` when there
    /// is none that was not withdrawn. Whoever publishes with it learns its new end from the live hub, which the caller
    /// tells.
    ///
    /// # Errors
    ///
    /// Any [`DbError`] of a statement.
    pub async fn change_key(
        &self,
        allowed: &Allowed<Broadcast>,
        actor: Actor,
        key: KeyId,
        edit: impl FnOnce(&mut StreamKey),
    ) -> Result<Option<StreamKey>, DbError> {
        let (event, now) = (allowed.event, self.clock.now());
        let mut tx = self.db.write().await?;
        events::lock(&mut tx, event).await?;
        let Some(mut row) = stream_keys::read(&mut tx, allowed, key).await? else { return Ok(None) };
        edit(&mut row);
        if !stream_keys::update(&mut tx, allowed, &row).await? {
            return Ok(None);
        }
        facts::append(&mut tx, &self.random, now, actor, Fact::KeyChanged { event, key }).await?;
        tx.commit().await?;
        Ok(Some(row))
    }

    /// Makes a successor for a stream key that works, with the same restrictions; the old one ends after `overlap`, or
    /// when it would have ended anyway. `None` when there is no such key. The caller tells the live hub.
    ///
    /// # Errors
    ///
    /// Any [`DbError`] of a statement.
    pub async fn rotate_key(
        &self,
        allowed: &Allowed<Broadcast>,
        actor: Actor,
        key: KeyId,
        overlap: Duration,
    ) -> Result<Option<Rotated>, DbError> {
        let (event, now) = (allowed.event, self.clock.now());
        let mut tx = self.db.write().await?;
        events::lock(&mut tx, event).await?;
        let Some(mut old) = stream_keys::read(&mut tx, allowed, key).await? else { return Ok(None) };
        if old.revoked_at.is_some() || old.used_up || old.expires_at.is_some_and(|end| now >= end) {
            return Ok(None);
        }
        let like = NewKey {
            name: old.name.clone(),
            expires_at: old.expires_at,
            networks: old.networks.clone(),
            limits: old.limits,
            one_time: old.one_time,
        };
        let (new, text) = self.fresh_key(event, like, now);
        let end = now.plus(overlap);
        old.expires_at = Some(old.expires_at.map_or(end, |before| before.min(end)));
        stream_keys::insert(&mut tx, allowed, &new, self.key_hash(&text)).await?;
        stream_keys::update(&mut tx, allowed, &old).await?;
        facts::append(&mut tx, &self.random, now, actor, Fact::KeyCreated { event, key: new.id }).await?;
        let fact = Fact::KeyRotated { event, key, successor: new.id };
        facts::append(&mut tx, &self.random, now, actor, fact).await?;
        tx.commit().await?;
        Ok(Some(Rotated { old, new, text }))
    }

    fn fresh_key(&self, event: EventId, new: NewKey, now: Time) -> (StreamKey, Secret) {
        let id = KeyId::new(self.random.uuid(now));
        let text = Secret::from_random("", self.random.bytes());
        let NewKey { name, expires_at, networks, limits, one_time } = new;
        let key = StreamKey {
            sealed: self.keys.vault.seal(Sealed::StreamKey(id), text.expose(), &self.random),
            hint: text.hint(),
            name,
            expires_at,
            networks,
            limits,
            one_time,
            ..StreamKey::new(id, event, now)
        };
        (key, text)
    }

    fn key_hash(&self, text: &Secret) -> [u8; 32] {
        self.keys.hash.digest(Purpose::StreamKey, text.expose().as_bytes())
    }

    /// Withdraws a stream key of the event; says whether there was one to withdraw. Whoever publishes with it is stopped by
    /// the live hub, which the caller tells.
    ///
    /// # Errors
    ///
    /// Any [`DbError`] of a statement.
    pub async fn revoke_key(&self, allowed: &Allowed<Broadcast>, actor: Actor, key: KeyId) -> Result<bool, DbError> {
        let (event, now) = (allowed.event, self.clock.now());
        let mut tx = self.db.write().await?;
        if !stream_keys::revoke(&mut tx, allowed, key, now).await? {
            return Ok(false);
        }
        facts::append(&mut tx, &self.random, now, actor, Fact::KeyRevoked { event, key }).await?;
        tx.commit().await?;
        Ok(true)
    }

    /// Opens a sealed secret for an organiser and writes down that they looked.
    ///
    /// # Errors
    ///
    /// [`RevealError`].
    pub async fn reveal_to(
        &self,
        allowed: &Allowed<Reveal>,
        actor: Actor,
        sealed: &[u8],
    ) -> Result<Secret, RevealError> {
        let secret = self.keys.vault.open(allowed, sealed)?;
        let fact = match (allowed.event, allowed.sealed) {
            (Some(event), Sealed::StreamKey(key)) => Fact::KeyRevealed { event, key },
            (Some(event), Sealed::Code(invitation)) => Fact::CodeRevealed { event, invitation },
            // The server's own secrets are shown to nobody: the law allows them to nobody who would come here.
            _ => return Err(RevealError::Unopenable(Unopenable)),
        };
        let mut tx = self.db.write().await?;
        facts::append(&mut tx, &self.random, self.clock.now(), actor, fact).await?;
        tx.commit().await?;
        Ok(secret)
    }
}

/// What a stream key is made from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NewKey {
    /// What organisers call it; may be empty.
    pub name: String,
    /// When it ends by itself.
    pub expires_at: Option<Time>,
    /// Only from these ranges of addresses; empty for all.
    pub networks: Vec<Network>,
    /// What may be sent with it, instead of what the event allows.
    pub limits: Option<Limits>,
    /// Good for one broadcast.
    pub one_time: bool,
}

/// A stream key and its successor.
#[derive(Debug)]
pub struct Rotated {
    /// The key that ends.
    pub old: StreamKey,
    /// The one that stays.
    pub new: StreamKey,
    /// Its text.
    pub text: Secret,
}

/// Why a secret is not shown.
#[derive(Debug, thiserror::Error)]
pub enum RevealError {
    /// Another master key sealed it.
    #[error(transparent)]
    Unopenable(#[from] Unopenable),
    /// Nobody sees a secret without a line in the log.
    #[error("the log cannot be written")]
    Db(#[from] DbError),
}
