//! Signing in and out, step by step, and showing again that it is you.
//!
//! ```text
//! password ─▶ wrong
//!          ─▶ a one-time password ─▶ choose another ─┐
//!          ─▶ no second factor ──────────────────────┼─▶ signed in
//!          ─▶ second factor: totp, recovery, passkey ┘
//! passkey  ─▶ signed in: it is something they have and, by its own check, something they know or are
//! provider ─▶ signed in: second factors are the provider's matter
//! ```
//!
//! Between two steps a ticket waits in memory. Whatever is wrong counts for the address and for the name, and the answer to a wrong
//! password is the same, in words and in time, whether the account exists, is disabled or does not.

use std::net::IpAddr;
use std::sync::PoisonError;
use std::time::Duration;

use stagedoor_domain::Time;
use stagedoor_domain::access::{Credential, Digest, Purpose, Role, Scopes, Secret};
use stagedoor_domain::fact::{Fact, Way};
use stagedoor_domain::id::{BrowserId, TeamId, UserId};
use tokio::sync::watch;

use super::Access;
use super::limits::{Key, Limits};
use super::password::PASSWORD_BYTES_MAX;
use crate::facts::{self, Actor};
use crate::ports::db::browsers::{self, Browser, Method};
use crate::ports::db::users::{self, User};
use crate::ports::db::{DbError, Tx, api_tokens, factors, teams};

/// A signed-in browser stays so for a week; then a person signs in again.
const SIGNED_IN: Duration = Duration::from_secs(7 * 24 * 60 * 60);
/// How long after the database last answered somebody may still send viewers out: longer than an outage that anybody sits
/// through.
const REMEMBERED: Duration = Duration::from_secs(10 * 60);
/// Organisers who are remembered.
const REMEMBERED_MAX: usize = 1_000;
/// `last_seen_at` of a browser and `last_used_at` of an API token are written at most this often.
const SEEN_EVERY: Duration = Duration::from_secs(60);
/// Whoever asks waits this long for it, no longer.
const NOTE_WAIT: Duration = Duration::from_millis(250);
/// Wrong second factors before the password has to be typed again.
const TRIES_MAX: u32 = 5;
/// Wrong passwords for one name, whether anybody has it or not, from browsers that never signed in with it …
pub(super) const WRONG_PER_NAME: u32 = 10;
/// … within this time. Those browsers wait; a familiar one, a passkey and the identity provider do not. Whoever is signed
/// in and shows their password again has as many, counted apart.
pub(super) const GUESSING: Duration = Duration::from_secs(60);
/// Six digits are few: whoever knows a password, or has a stolen cookie, and comes from many addresses has this many wrong
/// ones …
pub(super) const WRONG_DIGITS: u32 = 50;
/// … within this time, which makes it years.
pub(super) const GUESSING_DIGITS: Duration = Duration::from_secs(24 * 60 * 60);
/// A browser is familiar with a name for this long after it signed in with it.
const FAMILIAR: Duration = Duration::from_secs(180 * 24 * 60 * 60);
/// What API tokens begin with, so that scanners for leaked secrets can know them.
pub(super) const TOKEN_PREFIX: &str = "sd_";
/// A person's own password has at least this many characters: long enough to outlast guessing at five a minute for ever,
/// and a stolen table for years, without rules about its letters that make passwords worse.
pub const PASSWORD_CHARS_MIN: usize = 12;

/// An organiser as the guard knows them.
#[derive(Clone, Debug)]
pub struct Who {
    /// Who they are.
    pub user: UserId,
    /// What they type to sign in.
    pub username: String,
    /// What others call them; may be empty.
    pub name: String,
    /// What they may do.
    pub role: Role,
    /// How they showed who they are.
    pub credential: Credential,
    /// The browser they sit at, if they do.
    pub browser: Option<BrowserId>,
    /// When that ends by itself.
    pub expires_at: Option<Time>,
    /// When they last showed that it is them.
    pub confirmed_at: Time,
    /// What they may use it for.
    pub scopes: Scopes,
    /// Whose events are theirs.
    pub teams: Vec<TeamId>,
    /// For the log.
    pub actor: Actor,
}

/// Where somebody signs in.
#[derive(Clone, Copy, Debug)]
pub struct Arrival<'a> {
    /// The address that limits count by; it is not kept.
    pub address: IpAddr,
    /// Their browser in words.
    pub device: &'a str,
    /// What it shows of the last time somebody signed in with it.
    pub familiar: Option<&'a str>,
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
    /// The cookie by which this browser is known to be familiar with the name; it opens nothing.
    pub familiar: Secret,
    /// How long it is.
    pub familiar_age: Duration,
}

/// What comes after a right password.
#[derive(Debug)]
pub enum SignIn {
    /// Nothing: they are in.
    Done(Box<SignedIn>),
    /// A second factor.
    SecondFactor {
        /// Stands for the password that was right.
        ticket: Secret,
        /// What they have.
        factors: Factors,
    },
    /// The password was one that somebody else has seen: they choose their own.
    NewPassword {
        /// Stands for the password that was right.
        ticket: Secret,
    },
}

/// Which second factors somebody has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Factors {
    /// One-time passwords.
    pub totp: bool,
    /// At least one passkey.
    pub passkey: bool,
    /// At least one recovery code.
    pub recovery: bool,
}

impl Factors {
    /// Whether a password alone is not enough. Recovery codes do not count: they stand in for one of the others.
    #[must_use]
    pub fn any(self) -> bool {
        self.totp || self.passkey
    }
}

/// What is shown as a second factor, or to confirm that it is still them.
#[derive(Clone, Copy, Debug)]
pub enum Shown<'a> {
    /// Their password.
    Password(&'a str),
    /// Six digits from an app.
    Totp(&'a str),
    /// A recovery code.
    Recovery(&'a str),
}

/// What waits for its other half.
#[derive(Debug)]
pub(super) enum Waiting {
    /// A right password waits for a second factor.
    SecondFactor { user: UserId },
    /// A right one-time password waits for one of their own.
    NewPassword { user: UserId },
    /// A secret waits for the first one-time password that it makes.
    Enrol { user: UserId, secret: Secret },
    /// A challenge waits for a new passkey.
    AddPasskey { user: UserId, state: Box<webauthn_rs::prelude::PasskeyRegistration> },
    /// A challenge waits for one of somebody's passkeys.
    Passkey {
        user: UserId,
        state: Box<webauthn_rs::prelude::PasskeyAuthentication>,
        /// The ticket of the right password that it is the second half of; it is used up with it.
        after: Option<Secret>,
    },
    /// A challenge waits for anybody's passkey.
    AnyPasskey { state: Box<webauthn_rs::prelude::DiscoverableAuthentication> },
    /// A journey to the identity provider waits for its return.
    Provider(Box<super::provider::Journey>),
}

/// Why somebody is not signed in.
#[derive(Debug, thiserror::Error)]
pub enum SignInRefused {
    /// No such account, or another password, or another second factor.
    #[error("the name or the password is wrong")]
    Wrong,
    /// The ticket was used, is too old, or was tried too often.
    #[error("the sign-in took too long")]
    TooLate,
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

/// Whether this can be somebody's own password.
#[must_use]
pub fn is_good_password(password: &str) -> bool {
    password.chars().count() >= PASSWORD_CHARS_MIN && password.len() <= PASSWORD_BYTES_MAX
}

impl Access {
    /// Checks a password, the first step.
    ///
    /// # Errors
    ///
    /// [`SignInRefused`].
    pub async fn sign_in(&self, username: &str, password: &str, arrival: Arrival<'_>) -> Result<SignIn, SignInRefused> {
        let _turn = self.logins.turn(arrival.address).await;
        self.may_guess(arrival.address)?;
        self.may_guess_at(username, &self.names, arrival)?;
        let user = users::by_username(&self.db, username).await?;
        let verified = self.verify(password, user.as_ref()).await?;
        let now = self.clock.now();
        let opens = |user: &User| user.disabled_at.is_none() && user.once_until.is_none_or(|until| now < until);
        let Some(user) = user.filter(|user| verified && opens(user)) else {
            self.names.wrong(self.name_hash(username), self.clock.elapsed());
            return Err(self.wrong(arrival.address, Way::Password).await);
        };
        if user.once_until.is_some() {
            let ticket = self.wait(Waiting::NewPassword { user: user.id }, arrival.address);
            return Ok(SignIn::NewPassword { ticket });
        }
        self.after_password(user, arrival).await
    }

    /// The step after a right password of one's own.
    async fn after_password(&self, user: User, arrival: Arrival<'_>) -> Result<SignIn, SignInRefused> {
        let factors = self.factors(&user).await?;
        if factors.any() {
            let ticket = self.wait(Waiting::SecondFactor { user: user.id }, arrival.address);
            return Ok(SignIn::SecondFactor { ticket, factors });
        }
        Ok(SignIn::Done(Box::new(self.let_in(user, arrival, Method::Password, false).await?)))
    }

    /// Checks a second factor against the ticket of a right password.
    ///
    /// # Errors
    ///
    /// [`SignInRefused`]; after the fifth wrong one the ticket is gone.
    pub async fn second_factor(
        &self,
        ticket: &str,
        shown: Shown<'_>,
        arrival: Arrival<'_>,
    ) -> Result<SignedIn, SignInRefused> {
        let _turn = self.logins.turn(arrival.address).await;
        self.may_guess(arrival.address)?;
        let user = self.second_factor_of(ticket).ok_or(SignInRefused::TooLate)?;
        let user = users::by_id(&self.db, user).await?.filter(|user| user.disabled_at.is_none());
        let user = user.ok_or(SignInRefused::TooLate)?;
        let _theirs = self.second_factors.turn(self.name_hash(&user.username)).await;
        self.may_guess_at(&user.username, &self.second_factors, arrival)?;
        // A password is what the ticket stands for already; it is no second one.
        let right = !matches!(shown, Shown::Password(_)) && self.is_right(&user, shown).await?;
        if !right {
            self.second_factors.wrong(self.name_hash(&user.username), self.clock.elapsed());
            return Err(self.wrong(arrival.address, Way::SecondFactor).await);
        }
        self.use_up(ticket)?;
        self.let_in(user, arrival, Method::Password, true).await
    }

    /// A ticket lets one browser in: of two right factors that come at once, one is too late.
    pub(super) fn use_up(&self, ticket: &str) -> Result<(), SignInRefused> {
        self.known.take(ticket, self.clock.elapsed()).map(drop).ok_or(SignInRefused::TooLate)
    }

    /// Whose password the ticket stands for; counts as a try.
    pub(super) fn second_factor_of(&self, ticket: &str) -> Option<UserId> {
        self.known.look(ticket, self.clock.elapsed(), TRIES_MAX, |waiting| match waiting {
            Waiting::SecondFactor { user } => Some(*user),
            _ => None,
        })
    }

    /// Replaces a password that somebody else has seen, against the ticket it gave.
    ///
    /// # Errors
    ///
    /// [`SignInRefused`]. The caller has asked [`is_good_password`].
    pub async fn choose_password(
        &self,
        ticket: &str,
        password: &str,
        arrival: Arrival<'_>,
    ) -> Result<SignIn, SignInRefused> {
        let waiting = self.known.take(ticket, self.clock.elapsed());
        let Some(Waiting::NewPassword { user }) = waiting else { return Err(SignInRefused::TooLate) };
        let user = users::by_id(&self.db, user).await?.filter(|user| user.disabled_at.is_none());
        let user = user.ok_or(SignInRefused::TooLate)?;
        self.set_own_password(user.id, password, Actor::User(user.id)).await?;
        self.after_password(user, arrival).await
    }

    pub(super) async fn set_own_password(
        &self,
        user: UserId,
        password: &str,
        actor: Actor,
    ) -> Result<(), SignInRefused> {
        let hash = self.passwords.hash(password.to_owned(), &self.random).await.map_err(|_| SignInRefused::Busy)?;
        let mut tx = self.db.write().await?;
        users::set_password(&mut tx, user, &hash, None).await?;
        facts::append(&mut tx, &self.random, self.clock.now(), actor, Fact::PasswordChanged { user }).await?;
        tx.commit().await?;
        self.accounts_changed();
        Ok(())
    }

    /// Changes `who`'s own password against the one they have. Their other browsers are signed out; the answer is the
    /// cookie that replaces the one of this browser.
    ///
    /// # Errors
    ///
    /// [`SignInRefused`]. The caller has asked [`is_good_password`].
    pub async fn change_password(
        &self,
        who: &Who,
        present: &str,
        new: &str,
        arrival: Arrival<'_>,
    ) -> Result<SignedIn, SignInRefused> {
        let _turn = self.logins.turn(arrival.address).await;
        self.may_guess(arrival.address)?;
        let user = users::by_id(&self.db, who.user).await?.ok_or(SignInRefused::Wrong)?;
        self.is_still(&user, Shown::Password(present), arrival.address).await?;
        let second = match who.browser {
            Some(browser) => {
                browsers::by_id(&self.db, browser).await?.is_some_and(|row| row.second_factor_at.is_some())
            }
            None => false,
        };
        self.set_own_password(user.id, new, who.actor).await?;
        self.let_in(user, arrival, Method::Password, second).await
    }

    /// Checks again that it is `who` who sits there. Somebody with a second factor may show that or their password.
    ///
    /// # Errors
    ///
    /// [`SignInRefused`].
    pub async fn confirm(&self, who: &Who, shown: Shown<'_>, arrival: Arrival<'_>) -> Result<(), SignInRefused> {
        let _turn = self.logins.turn(arrival.address).await;
        self.may_guess(arrival.address)?;
        let user = users::by_id(&self.db, who.user).await?.ok_or(SignInRefused::Wrong)?;
        self.is_still(&user, shown, arrival.address).await?;
        self.confirmed(who, !matches!(shown, Shown::Password(_))).await?;
        Ok(())
    }

    pub(super) async fn confirmed(&self, who: &Who, second_factor: bool) -> Result<(), DbError> {
        let Some(browser) = who.browser else { return Ok(()) };
        let now = self.clock.now();
        let mut tx = self.db.write().await?;
        browsers::confirm(&mut tx, browser, now, second_factor).await?;
        facts::append(&mut tx, &self.random, now, who.actor, Fact::Confirmed { user: who.user }).await?;
        tx.commit().await
    }

    /// Checks what somebody shows who is signed in as `user`. Whoever stole their cookie may come from many addresses, so
    /// what is wrong counts for the account, as at the sign-in page. No browser is let past here: a familiar one is just
    /// what was robbed. Passwords are counted apart from those that strangers type at the sign-in page: they would keep
    /// everybody from confirming. Second factors are not: whoever gets as far as those there knows the password.
    async fn is_still(&self, user: &User, shown: Shown<'_>, address: IpAddr) -> Result<(), SignInRefused> {
        let (limit, counted, way): (_, Key, _) = match shown {
            Shown::Password(_) => (&self.names, user.id.uuid().into(), Way::Password),
            Shown::Totp(_) | Shown::Recovery(_) => {
                (&self.second_factors, self.name_hash(&user.username).into(), Way::SecondFactor)
            }
        };
        // Of many that come at once, none is checked before the one ahead is counted.
        let _turn = limit.turn(counted).await;
        let checked = limit.check(counted, self.clock.elapsed());
        checked.map_err(|retry_after| SignInRefused::TooMany { retry_after })?;
        if self.is_right(user, shown).await? {
            return Ok(());
        }
        limit.wrong(counted, self.clock.elapsed());
        Err(self.wrong(address, way).await)
    }

    async fn is_right(&self, user: &User, shown: Shown<'_>) -> Result<bool, SignInRefused> {
        Ok(match shown {
            Shown::Password(password) => self.verify(password, Some(user)).await?,
            Shown::Totp(code) => self.totp_is_right(user, code).await?,
            Shown::Recovery(code) => self.use_recovery(user.id, code).await?,
        })
    }

    /// Whether `password` is that of `user`; takes as long when there is no user, or none with a password.
    async fn verify(&self, password: &str, user: Option<&User>) -> Result<bool, SignInRefused> {
        let hash = user.map(|user| user.password.clone()).filter(|hash| !hash.is_empty());
        let fits = password.len() <= PASSWORD_BYTES_MAX;
        let password = if fits { password.to_owned() } else { String::new() };
        let verified = self.passwords.verify(password, hash).await.map_err(|_| SignInRefused::Busy)?;
        Ok(verified && fits)
    }

    /// Whether this address may guess now.
    pub(super) fn may_guess(&self, address: IpAddr) -> Result<(), SignInRefused> {
        let checked = self.logins.check(address, self.clock.elapsed());
        checked.map_err(|retry_after| SignInRefused::TooMany { retry_after })
    }

    /// Whether anybody may guess at this name now. A browser that has signed in with it always may, as far as its address
    /// allows: whoever attacks a name must not keep its owner out.
    fn may_guess_at(&self, username: &str, limit: &Limits, arrival: Arrival<'_>) -> Result<(), SignInRefused> {
        let checked = limit.check(self.name_hash(username), self.clock.elapsed());
        let Err(retry_after) = checked else { return Ok(()) };
        match arrival.familiar {
            Some(familiar) if self.is_familiar(username, familiar) => Ok(()),
            _ => Err(SignInRefused::TooMany { retry_after }),
        }
    }

    /// What a name is counted by; the same whether anybody has it or not, however it is typed.
    fn name_hash(&self, username: &str) -> [u8; 32] {
        self.keys.hash.digest(Purpose::UserCookie, format!("name {}", username.trim().to_lowercase()).as_bytes())
    }

    /// A fresh text that says that its browser has signed in with this name.
    fn familiar(&self, username: &str) -> Secret {
        let random = Secret::from_random("", self.random.bytes());
        let proof = self.familiar_hash(username, random.expose());
        let proof: String = proof.iter().map(|byte| format!("{byte:02x}")).collect();
        Secret::new(format!("{}.{proof}", random.expose()))
    }

    fn familiar_hash(&self, username: &str, random: &str) -> [u8; 32] {
        let text = format!("familiar {random} {}", username.trim().to_lowercase());
        self.keys.hash.digest(Purpose::UserCookie, text.as_bytes())
    }

    fn is_familiar(&self, username: &str, shown: &str) -> bool {
        let Some((random, proof)) = shown.split_once('.') else { return false };
        let right: String = self.familiar_hash(username, random).iter().map(|byte| format!("{byte:02x}")).collect();
        // Hashes are compared: how long it takes tells nothing about the right one.
        let hash = |text: &str| self.keys.hash.digest(Purpose::UserCookie, text.as_bytes());
        hash(proof) == hash(&right)
    }

    /// Counts a wrong guess and writes it down.
    pub(super) async fn wrong(&self, address: IpAddr, way: Way) -> SignInRefused {
        self.logins.wrong(address, self.clock.elapsed());
        match self.write_sign_in_refused(Actor::Stranger, way).await {
            Ok(()) => SignInRefused::Wrong,
            Err(error) => SignInRefused::Db(error),
        }
    }

    /// Writes down that somebody failed to sign in.
    pub(super) async fn write_sign_in_refused(&self, actor: Actor, way: Way) -> Result<(), DbError> {
        let mut tx = self.db.write().await?;
        let fact = Fact::SignInRefused { way: Some(way) };
        facts::append(&mut tx, &self.random, self.clock.now(), actor, fact).await?;
        tx.commit().await
    }

    /// Keeps what somebody known to us has begun.
    pub(super) fn wait(&self, waiting: Waiting, address: IpAddr) -> Secret {
        self.known.put(waiting, address, self.clock.elapsed(), &self.random)
    }

    /// Makes this browser one that `user` is signed in with.
    pub(super) async fn let_in(
        &self,
        user: User,
        arrival: Arrival<'_>,
        method: Method,
        second_factor: bool,
    ) -> Result<SignedIn, SignInRefused> {
        let now = self.clock.now();
        let cookie = Secret::from_random("", self.random.bytes());
        let browser = Browser {
            id: BrowserId::new(self.random.uuid(now)),
            user: user.id,
            device: arrival.device.to_owned(),
            method,
            created_at: now,
            expires_at: now.plus(SIGNED_IN),
            last_seen_at: now,
            confirmed_at: now,
            second_factor_at: second_factor.then_some(now),
        };
        let hash = self.keys.hash.digest(Purpose::UserCookie, cookie.expose().as_bytes());
        let mut tx = self.db.write().await?;
        browsers::insert(&mut tx, &browser, hash).await?;
        facts::append(&mut tx, &self.random, now, Actor::User(user.id), Fact::SignedIn { user: user.id }).await?;
        tx.commit().await?;
        let familiar = self.familiar(&user.username);
        let who = self.person(user, &browser).await?;
        Ok(SignedIn { who, cookie, max_age: SIGNED_IN, familiar, familiar_age: FAMILIAR })
    }

    /// Signs the browser with this cookie out, and writes it down when somebody was signed in there.
    ///
    /// # Errors
    ///
    /// Any [`DbError`] of a statement.
    pub async fn sign_out(&self, cookie: &str) -> Result<(), DbError> {
        let hash = self.keys.hash.digest(Purpose::UserCookie, cookie.as_bytes());
        let mut tx = self.db.write().await?;
        let Some(user) = browsers::delete_by_cookie(&mut tx, hash).await? else { return Ok(()) };
        facts::append(&mut tx, &self.random, self.clock.now(), Actor::User(user), Fact::SignedOut { user }).await?;
        tx.commit().await?;
        self.accounts_changed();
        Ok(())
    }

    /// Whose browser shows this cookie. Nobody's, when their account is disabled.
    ///
    /// # Errors
    ///
    /// Any [`DbError`] of a statement.
    pub async fn organiser_by_cookie(&self, cookie: &str) -> Result<Option<Who>, DbError> {
        let hash = self.keys.hash.digest(Purpose::UserCookie, cookie.as_bytes());
        let version = *self.accounts.borrow();
        let who = self.by_cookie(hash).await?;
        self.remember(hash, who.as_ref(), version);
        Ok(who)
    }

    /// Whose browser showed this cookie when the database last answered: for what must be done while it is away. Nobody's
    /// when that is more than ten minutes ago, or when anything about accounts has changed since.
    #[must_use]
    pub fn organiser_remembered_by_cookie(&self, cookie: &str) -> Option<Who> {
        self.remembered(self.keys.hash.digest(Purpose::UserCookie, cookie.as_bytes()))
    }

    /// The same for a program.
    #[must_use]
    pub fn organiser_remembered_by_token(&self, token: &str) -> Option<Who> {
        self.remembered(self.keys.hash.digest(Purpose::ApiToken, token.as_bytes()))
    }

    fn remembered(&self, hash: Digest) -> Option<Who> {
        let (now, organisers) = (self.clock.elapsed(), self.organisers.lock().unwrap_or_else(PoisonError::into_inner));
        organisers.get(&hash).filter(|(_, read)| now.saturating_sub(*read) < REMEMBERED).map(|(who, _)| who.clone())
    }

    /// Remembers what was read while accounts were as `version` says.
    fn remember(&self, hash: Digest, who: Option<&Who>, version: u64) {
        let now = self.clock.elapsed();
        let mut organisers = self.organisers.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(who) = who.filter(|_| *self.accounts.borrow() == version) else {
            organisers.remove(&hash);
            return;
        };
        if organisers.len() >= REMEMBERED_MAX && !organisers.contains_key(&hash) {
            organisers.retain(|_, (_, read)| now.saturating_sub(*read) < REMEMBERED);
            if organisers.len() >= REMEMBERED_MAX {
                organisers.clear();
            }
        }
        organisers.insert(hash, (who.clone(), now));
    }

    async fn by_cookie(&self, hash: Digest) -> Result<Option<Who>, DbError> {
        let Some(browser) = browsers::by_cookie(&self.db, hash).await? else { return Ok(None) };
        let now = self.clock.now();
        if now.since(browser.last_seen_at) >= SEEN_EVERY && now < browser.expires_at {
            self.note(async |tx| browsers::seen(tx, browser.id, now).await).await;
        }
        self.sitting_at(&browser).await
    }

    async fn sitting_at(&self, browser: &Browser) -> Result<Option<Who>, DbError> {
        match users::by_id(&self.db, browser.user).await? {
            Some(user) if user.disabled_at.is_none() => self.person(user, browser).await.map(Some),
            _ => Ok(None),
        }
    }

    /// A person at a browser.
    async fn person(&self, user: User, browser: &Browser) -> Result<Who, DbError> {
        Ok(Who {
            teams: teams::of_user(&self.db, user.id).await?,
            user: user.id,
            username: user.username,
            name: user.name,
            role: user.role,
            credential: Credential::Cookie,
            browser: Some(browser.id),
            expires_at: Some(browser.expires_at),
            confirmed_at: browser.confirmed_at,
            scopes: Scopes::ALL,
            actor: Actor::User(user.id),
        })
    }

    /// For whom this API token acts. For nobody, when their account is disabled.
    ///
    /// # Errors
    ///
    /// Any [`DbError`] of a statement.
    pub async fn organiser_by_token(&self, token: &str) -> Result<Option<Who>, DbError> {
        if !token.starts_with(TOKEN_PREFIX) {
            return Ok(None);
        }
        let hash = self.keys.hash.digest(Purpose::ApiToken, token.as_bytes());
        let version = *self.accounts.borrow();
        let who = self.by_token(hash).await?;
        self.remember(hash, who.as_ref(), version);
        Ok(who)
    }

    async fn by_token(&self, hash: Digest) -> Result<Option<Who>, DbError> {
        let Some(token) = api_tokens::by_hash(&self.db, hash).await? else { return Ok(None) };
        let now = self.clock.now();
        if token.last_used_at.is_none_or(|at| now.since(at) >= SEEN_EVERY) {
            self.note(async |tx| api_tokens::used(tx, token.id, now).await).await;
        }
        self.acting(&token).await
    }

    /// Writes down that somebody was here, if that can be done soon. A question is answered also while a long list is being
    /// written or the disk is full; the next one writes it down.
    async fn note(&self, write: impl AsyncFnOnce(&mut Tx) -> Result<(), DbError>) {
        let noted = async {
            let mut tx = self.db.write().await?;
            write(&mut tx).await?;
            tx.commit().await
        };
        match tokio::time::timeout(NOTE_WAIT, noted).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::debug!(%error, "that somebody was here is not written down"),
            Err(_) => tracing::debug!("that somebody was here is not written down: the database is busy"),
        }
    }

    async fn acting(&self, token: &api_tokens::ApiToken) -> Result<Option<Who>, DbError> {
        let user = users::by_id(&self.db, token.user).await?.filter(|user| user.disabled_at.is_none());
        let Some(user) = user else { return Ok(None) };
        Ok(Some(Who {
            teams: teams::of_user(&self.db, token.user).await?,
            user: token.user,
            username: user.username,
            name: user.name,
            role: user.role,
            credential: Credential::Token,
            browser: None,
            expires_at: token.expires_at,
            confirmed_at: token.created_at,
            scopes: token.scopes,
            actor: Actor::Token(token.id),
        }))
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
            name: user.name,
            role: Role::Owner,
            credential: Credential::Operator,
            browser: None,
            expires_at: None,
            confirmed_at: self.clock.now(),
            scopes: Scopes::ALL,
            teams: Vec::new(),
            actor: Actor::Operator,
        }))
    }

    /// What `who` is now: `None` when they are signed out, disabled or gone, or their token was withdrawn. For whoever
    /// holds on to them for longer than a request.
    ///
    /// # Errors
    ///
    /// Any [`DbError`] of a statement.
    pub async fn reread(&self, who: &Who) -> Result<Option<Who>, DbError> {
        match (who.credential, who.browser, who.actor) {
            (Credential::Cookie, Some(browser), _) => match browsers::by_id(&self.db, browser).await? {
                Some(browser) => self.sitting_at(&browser).await,
                None => Ok(None),
            },
            (Credential::Token, _, Actor::Token(token)) => match api_tokens::by_id(&self.db, token).await? {
                Some(token) => self.acting(&token).await,
                None => Ok(None),
            },
            (Credential::Operator, ..) => Ok(Some(who.clone())),
            _ => Ok(None),
        }
    }

    /// Changes whenever an account, a team or a signed-in browser does: whoever holds on to a [`Who`] reads it again.
    #[must_use]
    pub fn accounts(&self) -> watch::Receiver<u64> {
        self.accounts.subscribe()
    }

    pub(super) fn accounts_changed(&self) {
        self.accounts.send_modify(|version| *version = version.wrapping_add(1));
        self.organisers.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    /// Which second factors an account has.
    ///
    /// # Errors
    ///
    /// Any [`DbError`] of a statement.
    pub async fn factors(&self, user: &User) -> Result<Factors, DbError> {
        Ok(Factors {
            totp: user.totp.is_some(),
            passkey: !factors::passkeys(&self.db, user.id).await?.is_empty(),
            recovery: factors::recovery_left(&self.db, user.id).await? > 0,
        })
    }
}
