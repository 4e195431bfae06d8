//! Signing in at the organisation's identity provider.
//!
//! An account belongs to a subject of an issuer and to nothing else: not to an e-mail address, which changes hands, and
//! not to a name that is the same by chance. The provider makes accounts for people whose groups are mapped to a role,
//! and decides the role of those it made, at every sign-in.

use std::net::IpAddr;

use stagedoor_domain::access::{Allowed, Purpose, Role, Secret, Secure};
use stagedoor_domain::fact::{Fact, Factor, Way};
use stagedoor_domain::id::UserId;

use super::Access;
use super::signin::{Arrival, SignInRefused, SignedIn, Waiting, Who};
use crate::facts::{self, Actor};
use crate::ports::db::browsers::Method;
use crate::ports::db::users::{self, User};
use crate::ports::db::{DbError, Tx};
use crate::ports::oidc::{Answer, Begun, Identity, OidcError, Provider};

/// Names that are tried for somebody new whose name is taken.
const NAMES_MAX: u32 = 20;
/// Longer names are cut.
const NAME_CHARS_MAX: usize = 64;

/// A journey to the provider that waits for its return.
#[derive(Debug)]
pub(super) struct Journey {
    begun: Begun,
    /// Hash of the cookie of the browser that set out: nobody else's browser may come back.
    browser: [u8; 32],
    /// Where the person wanted to go.
    next: String,
    /// Whose account it is to be linked to; `None` for signing in.
    link: Option<UserId>,
}

/// Somebody who sets out for the provider.
#[derive(Debug)]
pub struct Departure {
    /// Where to send their browser.
    pub url: String,
    /// The cookie by which it is known when it comes back.
    pub cookie: Secret,
}

/// Somebody who came back.
#[derive(Debug)]
pub enum Return {
    /// Signed in, on their way to this path.
    SignedIn(Box<SignedIn>, String),
    /// Their account is linked, on their way to this path.
    Linked(String),
}

/// What came back with somebody.
#[derive(Clone, Copy, Debug)]
pub struct Returned<'a> {
    /// By which the journey is found.
    pub state: &'a str,
    /// What the token endpoint wants to see.
    pub code: &'a str,
    /// Who says so.
    pub issuer: Option<&'a str>,
    /// The cookie of the browser.
    pub cookie: &'a str,
}

/// Why somebody is not let in by the provider's word.
#[derive(Debug, thiserror::Error)]
pub enum ProviderRefused {
    /// There is none.
    #[error("there is no identity provider")]
    None,
    /// The journey is unknown, over, or another browser's.
    #[error("the journey is over")]
    TooLate,
    /// None of their groups has a role here, or their account is disabled.
    #[error("they have no role here")]
    NoRole,
    /// Another account is linked to this subject.
    #[error("the subject has another account")]
    Linked,
    /// The provider did not help.
    #[error(transparent)]
    Oidc(#[from] OidcError),
    /// The database did not answer.
    #[error("the account cannot be read")]
    Db(#[from] DbError),
}

impl Access {
    /// Signs people in by this provider from now on. Once, when the server is put together.
    pub fn use_provider(&self, provider: Provider) {
        // The first one stays; there is only one.
        let _ = self.provider.set(provider);
    }

    /// What the button says; `None` without a provider.
    #[must_use]
    pub fn provider_name(&self) -> Option<&str> {
        self.provider.get().map(Provider::name)
    }

    /// Sends somebody to the provider, to come back to `redirect` and to go on to `next`.
    ///
    /// # Errors
    ///
    /// [`ProviderRefused`].
    pub async fn depart(
        &self,
        redirect: &str,
        next: &str,
        again: bool,
        arrival: Arrival<'_>,
    ) -> Result<Departure, ProviderRefused> {
        self.set_out(redirect, next, again, None, arrival).await
    }

    /// Sends `who` to the provider to link the account there to theirs.
    ///
    /// # Errors
    ///
    /// [`ProviderRefused`].
    pub async fn depart_to_link(
        &self,
        _: &Allowed<Secure>,
        who: &Who,
        redirect: &str,
        next: &str,
        arrival: Arrival<'_>,
    ) -> Result<Departure, ProviderRefused> {
        self.set_out(redirect, next, true, Some(who.user), arrival).await
    }

    async fn set_out(
        &self,
        redirect: &str,
        next: &str,
        again: bool,
        link: Option<UserId>,
        arrival: Arrival<'_>,
    ) -> Result<Departure, ProviderRefused> {
        let provider = self.provider.get().ok_or(ProviderRefused::None)?;
        let begun = provider.begin(&self.clock, redirect, again).await?;
        let url = begun.url.clone();
        let cookie = Secret::from_random("", self.random.bytes());
        let journey = Journey { browser: self.browser_hash(cookie.expose()), next: next.to_owned(), link, begun };
        let state = journey.begun.state.clone();
        let waiting = Waiting::Provider(Box::new(journey));
        self.strangers.put_as(&state, waiting, arrival.address, self.clock.elapsed());
        Ok(Departure { url, cookie })
    }

    fn browser_hash(&self, cookie: &str) -> [u8; 32] {
        self.keys.hash.digest(Purpose::UserCookie, format!("provider {cookie}").as_bytes())
    }

    /// Takes somebody in who came back from the provider.
    ///
    /// # Errors
    ///
    /// [`ProviderRefused`].
    pub async fn arrive(&self, returned: Returned<'_>, arrival: Arrival<'_>) -> Result<Return, ProviderRefused> {
        let provider = self.provider.get().ok_or(ProviderRefused::None)?;
        let waiting = self.strangers.take(returned.state, self.clock.elapsed());
        let Some(Waiting::Provider(journey)) = waiting else { return Err(ProviderRefused::TooLate) };
        // Hashes are compared: how long it takes tells nothing about the cookie.
        if journey.browser != self.browser_hash(returned.cookie) {
            return Err(ProviderRefused::TooLate);
        }
        let link = journey.link;
        let answer = Answer { code: returned.code, issuer: returned.issuer };
        let arrived = self.take_word(provider, *journey, answer, arrival).await;
        if let Err(refused) = &arrived {
            self.note_turned_back(refused, link, arrival.address).await;
        }
        arrived
    }

    /// The second half of [`arrive`](Self::arrive): whoever set out is back, and the provider says who they are.
    async fn take_word(
        &self,
        provider: &Provider,
        journey: Journey,
        answer: Answer<'_>,
        arrival: Arrival<'_>,
    ) -> Result<Return, ProviderRefused> {
        let Journey { begun, next, link, .. } = journey;
        let identity = provider.finish(&self.clock, begun, answer).await?;
        if let Some(user) = link {
            self.link(user, &identity).await?;
            return Ok(Return::Linked(next));
        }
        let user = self.account_of(&identity).await?;
        let signed_in = self.let_in(user, arrival, Method::Provider, false).await;
        match signed_in {
            Ok(signed_in) => Ok(Return::SignedIn(Box::new(signed_in), next)),
            Err(SignInRefused::Db(error)) => Err(error.into()),
            Err(_) => Err(ProviderRefused::NoRole),
        }
    }

    /// Writes down that somebody was not let in by the provider's word. Anybody can set out and come back with nonsense, so
    /// no more is written down of an address, or of all together, than at the door of an event. A provider that does not
    /// answer has refused nobody.
    async fn note_turned_back(&self, refused: &ProviderRefused, link: Option<UserId>, address: IpAddr) {
        match refused {
            ProviderRefused::NoRole | ProviderRefused::Linked | ProviderRefused::Oidc(OidcError::Refused(_)) => {}
            ProviderRefused::None
            | ProviderRefused::TooLate
            | ProviderRefused::Oidc(OidcError::Config(_) | OidcError::Unavailable(_))
            | ProviderRefused::Db(_) => return,
        }
        let elapsed = self.clock.elapsed();
        if self.turned_back.check(address, elapsed).is_err() || self.turned_back.is_hot(elapsed) {
            metrics::counter!("door_refusals_unwritten_total").increment(1);
            return;
        }
        self.turned_back.wrong(address, elapsed);
        // Whoever wanted to link an account is signed in.
        let actor = link.map_or(Actor::Stranger, Actor::User);
        if let Err(error) = self.write_sign_in_refused(actor, Way::Provider).await {
            tracing::warn!(error = &error as &dyn std::error::Error, "a refused sign-in cannot be written down");
        }
    }

    async fn link(&self, user: UserId, identity: &Identity) -> Result<(), ProviderRefused> {
        // Who set out may be gone, or kept out, by the time they are back.
        if users::by_id(&self.db, user).await?.is_none_or(|user| user.disabled_at.is_some()) {
            return Err(ProviderRefused::NoRole);
        }
        let mut tx = self.db.write().await?;
        let subject = Some((identity.issuer.as_str(), identity.subject.as_str()));
        match users::set_subject(&mut tx, user, subject).await {
            Err(DbError::Exists) => return Err(ProviderRefused::Linked),
            set => set?,
        }
        let fact = Fact::FactorAdded { user, factor: Factor::Provider };
        facts::append(&mut tx, &self.random, self.clock.now(), Actor::User(user), fact).await?;
        tx.commit().await?;
        Ok(())
    }

    /// The account of whom the provider vouches for: the one that is linked, or a new one when their groups say so.
    async fn account_of(&self, identity: &Identity) -> Result<User, ProviderRefused> {
        let Some(user) = users::by_subject(&self.db, &identity.issuer, &identity.subject).await? else {
            let role = identity.role.ok_or(ProviderRefused::NoRole)?;
            return self.made_by_provider(identity, role).await;
        };
        if user.disabled_at.is_some() {
            return Err(ProviderRefused::NoRole);
        }
        // Somebody with a password of their own was here before; their role is given here.
        if !user.password.is_empty() {
            return Ok(user);
        }
        let role = identity.role.ok_or(ProviderRefused::NoRole)?;
        if role == user.role {
            return Ok(user);
        }
        let mut tx = self.db.write().await?;
        if !users::set_role_by_provider(&mut tx, user.id, role).await? {
            tracing::warn!("the identity provider takes the role away from the last owner, who keeps it");
            return Ok(user);
        }
        let fact = Fact::RoleChanged { user: user.id, from: user.role, to: role };
        facts::append(&mut tx, &self.random, self.clock.now(), Actor::System, fact).await?;
        tx.commit().await?;
        self.accounts_changed();
        Ok(User { role, ..user })
    }

    async fn made_by_provider(&self, identity: &Identity, role: Role) -> Result<User, ProviderRefused> {
        let wanted = username(identity.username.as_deref().unwrap_or(&identity.subject));
        let now = self.clock.now();
        for number in 1..=NAMES_MAX {
            let user = User {
                id: UserId::new(self.random.uuid(now)),
                // A name that is taken is somebody else's, however similar.
                username: if number == 1 { wanted.clone() } else { format!("{wanted}-{number}") },
                name: identity.name.clone().unwrap_or_default().chars().take(NAME_CHARS_MAX).collect(),
                password: String::new(),
                once_until: None,
                role,
                disabled_at: None,
                totp: None,
                subject: Some((identity.issuer.clone(), identity.subject.clone())),
                created_at: now,
            };
            let mut tx = self.db.write().await?;
            match insert(self, &mut tx, &user).await {
                Ok(()) => tx.commit().await?,
                Err(DbError::Exists) => continue,
                Err(error) => return Err(error.into()),
            }
            return Ok(user);
        }
        Err(ProviderRefused::Linked)
    }
}

async fn insert(access: &Access, tx: &mut Tx, user: &User) -> Result<(), DbError> {
    users::insert(tx, user).await?;
    let fact = Fact::UserCreated { user: user.id, role: user.role };
    facts::append(tx, &access.random, user.created_at, Actor::System, fact).await
}

/// Letters that a user name may have; others become hyphens.
fn username(wanted: &str) -> String {
    let name: String = wanted
        .to_lowercase()
        .chars()
        .take(NAME_CHARS_MAX - 3)
        .map(|letter| if letter.is_ascii_alphanumeric() || "._@+-".contains(letter) { letter } else { '-' })
        .collect();
    let name = name.trim_matches('-');
    if name.len() < 2 { format!("user-{name}") } else { name.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_name_is_made_of_letters_that_can_be_typed() {
        for (wanted, name) in [
            ("Ada.Lovelace@example.org", "ada.lovelace@example.org"),
            ("Ada Lovelace", "ada-lovelace"),
            ("Žižka", "i-ka"),
            ("", "user-"),
            ("x", "user-x"),
            ("a\nb:c", "a-b-c"),
        ] {
            assert_eq!(username(wanted), name);
        }
        assert!(username(&"x".repeat(500)).len() <= NAME_CHARS_MAX);
    }
}
