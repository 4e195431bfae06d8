//! Organisers: signing in, the first administrator, API tokens, stream keys, events.

use std::net::IpAddr;
use std::time::Duration;

use stagedoor_domain::Time;
use stagedoor_domain::access::{
    Action, Allowed, Credential, Denied, EndReason, Facts, MintToken, Organise, Organiser, Purpose, Reveal, Role,
    Sealed, Secret, decide,
};
use stagedoor_domain::fact::Fact;
use stagedoor_domain::id::{EventId, KeyId, TokenId, UserId};

use super::password::PASSWORD_BYTES_MAX;
use super::{Access, Unopenable};
use crate::facts::{self, Actor};
use crate::ports::db::api_tokens::ApiToken;
use crate::ports::db::events::Event;
use crate::ports::db::stream_keys::StreamKey;
use crate::ports::db::users::User;
use crate::ports::db::{DbError, api_tokens, events, stream_keys, users};

/// A signed-in browser stays so for a week; then a person signs in again.
const SIGNED_IN: Duration = Duration::from_secs(7 * 24 * 60 * 60);
/// `last_used_at` of an API token is written at most this often.
const USED_EVERY: Duration = Duration::from_secs(60);
/// What API tokens begin with, so that scanners for leaked secrets can know them.
const TOKEN_PREFIX: &str = "sd_";

/// An organiser as the guard knows them.
#[derive(Clone, Debug)]
pub struct Who {
    /// Who they are.
    pub user: UserId,
    /// What they type to sign in.
    pub username: String,
    /// What the law needs to know.
    pub facts: Organiser,
    /// For the log.
    pub actor: Actor,
}

/// A browser that has just signed in.
#[derive(Debug)]
pub struct SignedIn {
    /// Who.
    pub who: Who,
    /// The cookie that says so.
    pub cookie: Secret,
    /// How long it does.
    pub max_age: Duration,
}

/// Why somebody is not signed in.
#[derive(Debug, thiserror::Error)]
pub enum SignInRefused {
    /// No such account, or another password.
    #[error("the name or the password is wrong")]
    Wrong,
    /// Too many wrong passwords from this address.
    #[error("too many wrong passwords")]
    TooMany {
        /// When to try again.
        retry_after: Duration,
    },
    /// Too many passwords are being checked right now.
    #[error("too many passwords are being checked")]
    Busy,
    /// The database did not answer.
    #[error("the password cannot be checked")]
    Db(#[from] DbError),
}

/// The administrator that was made because there was none; the only moment their password is known.
#[derive(Debug)]
pub struct FirstAdmin {
    /// What to type.
    pub username: String,
    /// And behind it.
    pub password: Secret,
}

impl Who {
    /// Asks the law.
    ///
    /// # Errors
    ///
    /// [`Denied`], with the reason.
    pub fn may<A: Action>(&self, action: A, now: Time) -> Result<Allowed<A>, Denied> {
        decide(action, &Facts::Organiser(self.facts), now)
    }
}

impl Access {
    /// Signs a browser in.
    ///
    /// # Errors
    ///
    /// [`SignInRefused`].
    pub async fn sign_in(&self, username: &str, password: &str, address: IpAddr) -> Result<SignedIn, SignInRefused> {
        let _turn = self.logins.turn(address).await;
        let elapsed = self.clock.elapsed();
        self.logins.check(address, elapsed).map_err(|retry_after| SignInRefused::TooMany { retry_after })?;
        let user = users::by_username(&self.db, username).await?;
        let hash = user.as_ref().map(|user| user.password.clone());
        let fits = password.len() <= PASSWORD_BYTES_MAX;
        let password = if fits { password.to_owned() } else { String::new() };
        let verified = self.passwords.verify(password, hash).await.map_err(|_| SignInRefused::Busy)?;
        let now = self.clock.now();
        let Some(user) = user.filter(|_| verified && fits) else {
            self.logins.wrong(address, elapsed);
            let mut tx = self.db.write().await?;
            facts::append(&mut tx, &self.random, now, Actor::Stranger, Fact::SignInRefused).await?;
            tx.commit().await?;
            return Err(SignInRefused::Wrong);
        };
        let cookie = Secret::from_random("", self.random.bytes());
        let expires_at = now.plus(SIGNED_IN);
        let hash = self.keys.hash.digest(Purpose::UserCookie, cookie.expose().as_bytes());
        let mut tx = self.db.write().await?;
        users::sign_in(&mut tx, user.id, hash, now, expires_at).await?;
        facts::append(&mut tx, &self.random, now, Actor::User(user.id), Fact::SignedIn { user: user.id }).await?;
        tx.commit().await?;
        let facts = Organiser { role: user.role, credential: Credential::Cookie, expires_at: Some(expires_at) };
        let who = Who { user: user.id, username: user.username, facts, actor: Actor::User(user.id) };
        Ok(SignedIn { who, cookie, max_age: SIGNED_IN })
    }

    /// Signs the browser with this cookie out.
    ///
    /// # Errors
    ///
    /// Any [`DbError`] of a statement.
    pub async fn sign_out(&self, cookie: &str) -> Result<(), DbError> {
        let mut tx = self.db.write().await?;
        users::sign_out(&mut tx, self.keys.hash.digest(Purpose::UserCookie, cookie.as_bytes())).await?;
        tx.commit().await
    }

    /// Whose browser shows this cookie.
    ///
    /// # Errors
    ///
    /// Any [`DbError`] of a statement.
    pub async fn organiser_by_cookie(&self, cookie: &str) -> Result<Option<Who>, DbError> {
        let hash = self.keys.hash.digest(Purpose::UserCookie, cookie.as_bytes());
        let found = users::by_cookie(&self.db, hash).await?;
        Ok(found.map(|(user, expires_at)| Who {
            user: user.id,
            username: user.username,
            facts: Organiser { role: user.role, credential: Credential::Cookie, expires_at: Some(expires_at) },
            actor: Actor::User(user.id),
        }))
    }

    /// For whom this API token acts.
    ///
    /// # Errors
    ///
    /// Any [`DbError`] of a statement.
    pub async fn organiser_by_token(&self, token: &str) -> Result<Option<Who>, DbError> {
        if !token.starts_with(TOKEN_PREFIX) {
            return Ok(None);
        }
        let hash = self.keys.hash.digest(Purpose::ApiToken, token.as_bytes());
        let Some((token, role, username)) = api_tokens::by_hash(&self.db, hash).await? else { return Ok(None) };
        let now = self.clock.now();
        if token.last_used_at.is_none_or(|at| now.since(at) >= USED_EVERY) {
            let mut tx = self.db.write().await?;
            api_tokens::used(&mut tx, token.id, now).await?;
            tx.commit().await?;
        }
        let facts = Organiser { role, credential: Credential::Token, expires_at: None };
        Ok(Some(Who { user: token.user, username, facts, actor: Actor::Token(token.id) }))
    }

    /// Whoever runs this process on its own machine may do everything: for the demo and for tools of the command line.
    /// They act in the name of the first account called `username`.
    ///
    /// # Errors
    ///
    /// Any [`DbError`] of a statement.
    pub async fn operator(&self, username: &str) -> Result<Option<Who>, DbError> {
        let user = users::by_username(&self.db, username).await?;
        Ok(user.map(|user| Who {
            user: user.id,
            username: user.username,
            facts: Organiser { role: Role::Admin, credential: Credential::Operator, expires_at: None },
            actor: Actor::Operator,
        }))
    }

    /// Makes an administrator called `username` when there is no account at all. The password is in the answer and
    /// nowhere else.
    ///
    /// # Errors
    ///
    /// [`SignInRefused::Db`] and [`SignInRefused::Busy`].
    pub async fn first_admin(&self, username: &str) -> Result<Option<FirstAdmin>, SignInRefused> {
        if users::any(&self.db).await? {
            return Ok(None);
        }
        let (password, hash) = self.fresh_password().await?;
        let now = self.clock.now();
        let user = User {
            id: UserId::new(self.random.uuid(now)),
            username: username.to_owned(),
            password: hash,
            role: Role::Admin,
            created_at: now,
        };
        let mut tx = self.db.write().await?;
        match users::insert(&mut tx, &user).await {
            Ok(()) => tx.commit().await?,
            // Another process was faster: then that one shows the password.
            Err(DbError::Exists) => return Ok(None),
            Err(error) => return Err(error.into()),
        }
        Ok(Some(FirstAdmin { username: username.to_owned(), password }))
    }

    /// Gives the account called `username` a new password and signs all its browsers out; `None` without such an
    /// account. For the operator who lost theirs.
    ///
    /// # Errors
    ///
    /// [`SignInRefused::Db`] and [`SignInRefused::Busy`].
    pub async fn reset_password(&self, username: &str) -> Result<Option<FirstAdmin>, SignInRefused> {
        let Some(user) = users::by_username(&self.db, username).await? else { return Ok(None) };
        let (password, hash) = self.fresh_password().await?;
        let mut tx = self.db.write().await?;
        users::set_password(&mut tx, user.id, &hash).await?;
        tx.commit().await?;
        Ok(Some(FirstAdmin { username: user.username, password }))
    }

    async fn fresh_password(&self) -> Result<(Secret, String), SignInRefused> {
        // Twenty letters, 100 bits: long enough never to be guessed, short enough to be typed once.
        let password = Secret::from_random("", self.random.bytes()).expose()[..20].to_owned();
        let hash = self.passwords.hash(password.clone(), &self.random).await.map_err(|_| SignInRefused::Busy)?;
        Ok((Secret::new(password), hash))
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
    ) -> Result<(ApiToken, Secret), DbError> {
        let now = self.clock.now();
        let text = Secret::from_random(TOKEN_PREFIX, self.random.bytes());
        let token = ApiToken {
            id: TokenId::new(self.random.uuid(now)),
            user: who.user,
            name: name.to_owned(),
            hint: text.hint(),
            created_at: now,
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
        Ok(true)
    }

    /// Writes a new event with its stream and a first stream key, and opens its room.
    ///
    /// # Errors
    ///
    /// Any [`DbError`] of a statement.
    pub async fn create_event(&self, allowed: &Allowed<Organise>, actor: Actor, event: &Event) -> Result<(), DbError> {
        let now = self.clock.now();
        let mut tx = self.db.write().await?;
        events::insert(&mut tx, allowed, event).await?;
        let (key, text) = self.fresh_key(event.id, None, now);
        stream_keys::insert(&mut tx, allowed, &key, self.key_hash(&text)).await?;
        facts::append(&mut tx, &self.random, now, actor, Fact::EventCreated { event: event.id }).await?;
        tx.commit().await?;
        self.rooms.open(event.id, event.stream, event.epoch);
        Ok(())
    }

    /// Writes changed settings of an event; says whether there is one.
    ///
    /// # Errors
    ///
    /// Any [`DbError`] of a statement.
    pub async fn change_event(
        &self,
        allowed: &Allowed<Organise>,
        actor: Actor,
        event: &Event,
    ) -> Result<bool, DbError> {
        let mut tx = self.db.write().await?;
        if !events::update(&mut tx, allowed, event).await? {
            return Ok(false);
        }
        facts::append(&mut tx, &self.random, self.clock.now(), actor, Fact::EventChanged { event: event.id }).await?;
        tx.commit().await?;
        Ok(true)
    }

    /// Deletes an event with everything that belongs to it, and sends its viewers home; says whether there was one.
    ///
    /// # Errors
    ///
    /// Any [`DbError`] of a statement.
    pub async fn delete_event(
        &self,
        allowed: &Allowed<Organise>,
        actor: Actor,
        event: EventId,
    ) -> Result<bool, DbError> {
        let mut tx = self.db.write().await?;
        if !events::delete(&mut tx, allowed, event).await? {
            return Ok(false);
        }
        facts::append(&mut tx, &self.random, self.clock.now(), actor, Fact::EventDeleted { event }).await?;
        tx.commit().await?;
        // First the door, then those inside: nobody can slip in between.
        let room = self.rooms.close(event);
        for seat in room.iter().flat_map(|room| room.seats()) {
            self.forget(seat.session, EndReason::Ended);
        }
        Ok(true)
    }

    /// Makes another stream key for `event`.
    ///
    /// # Errors
    ///
    /// Any [`DbError`] of a statement.
    pub async fn create_key(
        &self,
        allowed: &Allowed<Organise>,
        actor: Actor,
        event: EventId,
        expires_at: Option<Time>,
    ) -> Result<(StreamKey, Secret), DbError> {
        let now = self.clock.now();
        let (key, text) = self.fresh_key(event, expires_at, now);
        let mut tx = self.db.write().await?;
        stream_keys::insert(&mut tx, allowed, &key, self.key_hash(&text)).await?;
        facts::append(&mut tx, &self.random, now, actor, Fact::KeyCreated { event, key: key.id }).await?;
        tx.commit().await?;
        Ok((key, text))
    }

    fn fresh_key(&self, event: EventId, expires_at: Option<Time>, now: Time) -> (StreamKey, Secret) {
        let id = KeyId::new(self.random.uuid(now));
        let text = Secret::from_random("", self.random.bytes());
        let key = StreamKey {
            id,
            event,
            sealed: self.keys.vault.seal(Sealed::StreamKey(id), text.expose(), &self.random),
            hint: text.hint(),
            created_at: now,
            expires_at,
            revoked_at: None,
            last_used_at: None,
        };
        (key, text)
    }

    fn key_hash(&self, text: &Secret) -> [u8; 32] {
        self.keys.hash.digest(Purpose::StreamKey, text.expose().as_bytes())
    }

    /// Withdraws a stream key of `event`; says whether there was one to withdraw. Whoever publishes with it is stopped by
    /// the live hub, which the caller tells.
    ///
    /// # Errors
    ///
    /// Any [`DbError`] of a statement.
    pub async fn revoke_key(
        &self,
        allowed: &Allowed<Organise>,
        actor: Actor,
        event: EventId,
        key: KeyId,
    ) -> Result<bool, DbError> {
        let now = self.clock.now();
        let mut tx = self.db.write().await?;
        if !stream_keys::revoke(&mut tx, allowed, event, key, now).await? {
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
        event: EventId,
        sealed: &[u8],
    ) -> Result<Secret, RevealError> {
        let secret = self.keys.vault.open(allowed, sealed)?;
        let fact = match allowed.0 {
            Sealed::StreamKey(key) => Fact::KeyRevealed { event, key },
            Sealed::Code(invitation) => Fact::CodeRevealed { event, invitation },
        };
        let mut tx = self.db.write().await?;
        facts::append(&mut tx, &self.random, self.clock.now(), actor, fact).await?;
        tx.commit().await?;
        Ok(secret)
    }
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
