//! Accounts and teams: who governs them, and what they find in a new one.

use std::time::Duration;

use stagedoor_domain::access::{Administer, Allowed, Govern, Profile, Role, Secret, Secure};
use stagedoor_domain::fact::{Fact, Factor};
use stagedoor_domain::id::{BrowserId, TeamId, UserId};

use super::Access;
use super::signin::{SignInRefused, Who};
use crate::facts::{self, Actor};
use crate::ports::db::teams::{self, Team};
use crate::ports::db::users::{self, User};
use crate::ports::db::{DbError, browsers, factors};

/// A password that somebody else has seen is good for choosing another for this long.
const ONCE: Duration = Duration::from_secs(7 * 24 * 60 * 60);

/// An account whose password somebody has just made; the only moment it is known.
#[derive(Debug)]
pub struct FirstAdmin {
    /// What to type.
    pub username: String,
    /// And behind it.
    pub password: Secret,
}

/// Why an account is not changed.
#[derive(Debug, thiserror::Error)]
pub enum GovernRefused {
    /// It is the last owner's.
    #[error("there would be no owner")]
    LastOwner,
    /// There is no such account.
    #[error("there is no such account")]
    Gone,
    /// The name is somebody else's.
    #[error("the name is taken")]
    Taken,
    /// Too many passwords are being hashed.
    #[error("too many passwords are being checked")]
    Busy,
    /// The database did not answer.
    #[error("the account cannot be changed")]
    Db(#[from] DbError),
}

impl From<SignInRefused> for GovernRefused {
    fn from(refused: SignInRefused) -> Self {
        match refused {
            SignInRefused::Db(error) => Self::Db(error),
            _ => Self::Busy,
        }
    }
}

/// A change of an account, field by field.
#[derive(Clone, Debug, Default)]
pub struct AccountChange {
    /// What others call them.
    pub name: Option<String>,
    /// Whether it opens anything.
    pub disabled: Option<bool>,
}

impl Access {
    /// Makes an owner called `username` when there is no account at all. The password is in the answer and nowhere else.
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
            name: String::new(),
            password: hash,
            once_until: None,
            role: Role::Owner,
            disabled_at: None,
            totp: None,
            subject: None,
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

    /// Gives the account called `username` a new password, takes its second factors away and signs all its browsers out;
    /// `None` without such an account. For the operator who lost theirs.
    ///
    /// # Errors
    ///
    /// [`SignInRefused::Db`] and [`SignInRefused::Busy`].
    pub async fn reset_password(&self, username: &str) -> Result<Option<FirstAdmin>, SignInRefused> {
        let Some(user) = users::by_username(&self.db, username).await? else { return Ok(None) };
        let (password, hash) = self.fresh_password().await?;
        let mut tx = self.db.write().await?;
        users::set_password(&mut tx, user.id, &hash, None).await?;
        let now = self.clock.now();
        for factor in factors::forget_all(&mut tx, user.id).await? {
            let fact = Fact::FactorRemoved { user: user.id, factor };
            facts::append(&mut tx, &self.random, now, Actor::Operator, fact).await?;
        }
        let fact = Fact::PasswordChanged { user: user.id };
        facts::append(&mut tx, &self.random, now, Actor::Operator, fact).await?;
        tx.commit().await?;
        self.accounts_changed();
        Ok(Some(FirstAdmin { username: user.username, password }))
    }

    async fn fresh_password(&self) -> Result<(Secret, String), SignInRefused> {
        // Twenty letters, 100 bits: long enough never to be guessed, short enough to be typed once.
        let password = Secret::from_random("", self.random.bytes()).expose()[..20].to_owned();
        let hash = self.passwords.hash(password.clone(), &self.random).await.map_err(|_| SignInRefused::Busy)?;
        Ok((Secret::new(password), hash))
    }

    /// A fresh id for an account that is to be made.
    #[must_use]
    pub fn new_user_id(&self) -> UserId {
        UserId::new(self.random.uuid(self.clock.now()))
    }

    /// Makes an account with the role of the permission. Its one-time password is in the answer and nowhere else.
    ///
    /// # Errors
    ///
    /// [`GovernRefused`].
    pub async fn create_user(
        &self,
        allowed: &Allowed<Govern>,
        actor: Actor,
        username: &str,
        name: &str,
    ) -> Result<(User, Secret), GovernRefused> {
        let (password, hash) = self.fresh_password().await?;
        let now = self.clock.now();
        let role = allowed.gets.unwrap_or(Role::Analyst);
        let user = User {
            id: allowed.user,
            username: username.to_owned(),
            name: name.to_owned(),
            password: hash,
            once_until: Some(now.plus(ONCE)),
            role,
            disabled_at: None,
            totp: None,
            subject: None,
            created_at: now,
        };
        let mut tx = self.db.write().await?;
        match users::insert_by(&mut tx, allowed, &user).await {
            Err(DbError::Exists) => return Err(GovernRefused::Taken),
            inserted => inserted?,
        }
        facts::append(&mut tx, &self.random, now, actor, Fact::UserCreated { user: user.id, role }).await?;
        tx.commit().await?;
        Ok((user, password))
    }

    /// Changes an account, and gives it the role of the permission: all of it or nothing.
    ///
    /// # Errors
    ///
    /// [`GovernRefused`].
    pub async fn change_user(
        &self,
        allowed: &Allowed<Govern>,
        actor: Actor,
        change: &AccountChange,
    ) -> Result<(), GovernRefused> {
        let (user, now) = (allowed.user, self.clock.now());
        let role = allowed.holds.zip(allowed.gets).filter(|(from, to)| from != to);
        let mut tx = self.db.write().await?;
        if role.is_some() || change.disabled.is_some() {
            // Before any row is touched: who waits for us must hold nothing that we wait for.
            users::one_at_a_time(&mut tx).await?;
        }
        match change.disabled {
            Some(true) => {
                if !users::disable(&mut tx, allowed, now).await? {
                    return Err(GovernRefused::LastOwner);
                }
                facts::append(&mut tx, &self.random, now, actor, Fact::UserDisabled { user }).await?;
            }
            Some(false) => {
                if !users::enable(&mut tx, allowed).await? {
                    return Err(GovernRefused::Gone);
                }
                facts::append(&mut tx, &self.random, now, actor, Fact::UserEnabled { user }).await?;
            }
            None => {}
        }
        if let Some((from, to)) = role {
            if !users::set_role(&mut tx, allowed).await? {
                return Err(GovernRefused::LastOwner);
            }
            facts::append(&mut tx, &self.random, now, actor, Fact::RoleChanged { user, from, to }).await?;
        }
        if let Some(name) = &change.name
            && !users::rename(&mut tx, user, name).await?
        {
            return Err(GovernRefused::Gone);
        }
        tx.commit().await?;
        self.accounts_changed();
        Ok(())
    }

    /// Deletes an account with its browsers, tokens and factors. What it did stays in the log, by its id.
    ///
    /// # Errors
    ///
    /// [`GovernRefused`].
    pub async fn delete_user(&self, allowed: &Allowed<Govern>, actor: Actor) -> Result<(), GovernRefused> {
        let user = allowed.user;
        let mut tx = self.db.write().await?;
        if !users::delete(&mut tx, allowed).await? {
            return Err(GovernRefused::LastOwner);
        }
        facts::append(&mut tx, &self.random, self.clock.now(), actor, Fact::UserDeleted { user }).await?;
        tx.commit().await?;
        self.accounts_changed();
        Ok(())
    }

    /// Gives an account a one-time password, for somebody who forgot theirs; all its browsers are signed out.
    ///
    /// # Errors
    ///
    /// [`GovernRefused`].
    pub async fn one_time_password(&self, allowed: &Allowed<Govern>, actor: Actor) -> Result<Secret, GovernRefused> {
        let (password, hash) = self.fresh_password().await?;
        let now = self.clock.now();
        let mut tx = self.db.write().await?;
        if !users::set_password(&mut tx, allowed.user, &hash, Some(now.plus(ONCE))).await? {
            return Err(GovernRefused::Gone);
        }
        facts::append(&mut tx, &self.random, now, actor, Fact::PasswordChanged { user: allowed.user }).await?;
        tx.commit().await?;
        self.accounts_changed();
        Ok(password)
    }

    /// Takes every second factor away from an account, for somebody who lost theirs; all its browsers are signed out.
    ///
    /// # Errors
    ///
    /// Any [`DbError`] of a statement.
    pub async fn forget_factors(&self, allowed: &Allowed<Govern>, actor: Actor) -> Result<(), DbError> {
        let (user, now) = (allowed.user, self.clock.now());
        let mut tx = self.db.write().await?;
        let gone = factors::forget_all(&mut tx, user).await?;
        browsers::delete_others(&mut tx, user, None).await?;
        for factor in gone {
            facts::append(&mut tx, &self.random, now, actor, Fact::FactorRemoved { user, factor }).await?;
        }
        tx.commit().await?;
        self.accounts_changed();
        Ok(())
    }

    /// Changes what others call `who`.
    ///
    /// # Errors
    ///
    /// Any [`DbError`] of a statement.
    pub async fn rename_me(&self, _: &Allowed<Profile>, who: &Who, name: &str) -> Result<(), DbError> {
        let mut tx = self.db.write().await?;
        users::rename(&mut tx, who.user, name).await?;
        tx.commit().await
    }

    /// Signs one of `who`'s browsers out; says whether there was one.
    ///
    /// # Errors
    ///
    /// Any [`DbError`] of a statement.
    pub async fn sign_out_browser(&self, _: &Allowed<Profile>, who: &Who, id: BrowserId) -> Result<bool, DbError> {
        let mut tx = self.db.write().await?;
        if !browsers::delete(&mut tx, who.user, id).await? {
            return Ok(false);
        }
        let fact = Fact::SignedOut { user: who.user };
        facts::append(&mut tx, &self.random, self.clock.now(), who.actor, fact).await?;
        tx.commit().await?;
        self.accounts_changed();
        Ok(true)
    }

    /// Signs all of `who`'s browsers out but the one they sit at; says how many.
    ///
    /// # Errors
    ///
    /// Any [`DbError`] of a statement.
    pub async fn sign_out_elsewhere(&self, _: &Allowed<Profile>, who: &Who) -> Result<u64, DbError> {
        let mut tx = self.db.write().await?;
        let gone = browsers::delete_others(&mut tx, who.user, who.browser).await?;
        if gone > 0 {
            let fact = Fact::SignedOut { user: who.user };
            facts::append(&mut tx, &self.random, self.clock.now(), who.actor, fact).await?;
        }
        tx.commit().await?;
        self.accounts_changed();
        Ok(gone)
    }

    /// Forgets who `who` is at the identity provider.
    ///
    /// # Errors
    ///
    /// Any [`DbError`] of a statement.
    pub async fn unlink(&self, _: &Allowed<Secure>, who: &Who) -> Result<(), DbError> {
        let mut tx = self.db.write().await?;
        users::set_subject(&mut tx, who.user, None).await?;
        let fact = Fact::FactorRemoved { user: who.user, factor: Factor::Provider };
        facts::append(&mut tx, &self.random, self.clock.now(), who.actor, fact).await?;
        tx.commit().await
    }

    /// Makes a team.
    ///
    /// # Errors
    ///
    /// [`DbError::Exists`] for a name that is taken.
    pub async fn create_team(&self, allowed: &Allowed<Administer>, actor: Actor, name: &str) -> Result<Team, DbError> {
        let now = self.clock.now();
        let team = Team { id: TeamId::new(self.random.uuid(now)), name: name.to_owned(), created_at: now };
        let mut tx = self.db.write().await?;
        teams::insert(&mut tx, allowed, &team).await?;
        facts::append(&mut tx, &self.random, now, actor, Fact::TeamCreated { team: team.id }).await?;
        tx.commit().await?;
        Ok(team)
    }

    /// Changes what people call a team; says whether there is one.
    ///
    /// # Errors
    ///
    /// [`DbError::Exists`] for a name that is taken.
    pub async fn rename_team(&self, allowed: &Allowed<Administer>, team: TeamId, name: &str) -> Result<bool, DbError> {
        let mut tx = self.db.write().await?;
        let renamed = teams::rename(&mut tx, allowed, team, name).await?;
        tx.commit().await?;
        Ok(renamed)
    }

    /// Deletes a team; says whether there was one.
    ///
    /// # Errors
    ///
    /// [`DbError::Gone`] while events belong to it: they would become everybody's.
    pub async fn delete_team(
        &self,
        allowed: &Allowed<Administer>,
        actor: Actor,
        team: TeamId,
    ) -> Result<bool, DbError> {
        let mut tx = self.db.write().await?;
        if !teams::delete(&mut tx, allowed, team).await? {
            return Ok(false);
        }
        facts::append(&mut tx, &self.random, self.clock.now(), actor, Fact::TeamDeleted { team }).await?;
        tx.commit().await?;
        self.accounts_changed();
        Ok(true)
    }

    /// Puts somebody into a team.
    ///
    /// # Errors
    ///
    /// [`DbError::Gone`] when there is no such team or account.
    pub async fn join_team(
        &self,
        allowed: &Allowed<Administer>,
        actor: Actor,
        team: TeamId,
        user: UserId,
    ) -> Result<(), DbError> {
        let mut tx = self.db.write().await?;
        teams::join(&mut tx, allowed, team, user).await?;
        facts::append(&mut tx, &self.random, self.clock.now(), actor, Fact::TeamJoined { team, user }).await?;
        tx.commit().await?;
        self.accounts_changed();
        Ok(())
    }

    /// Takes somebody out of a team; says whether they were in it.
    ///
    /// # Errors
    ///
    /// Any [`DbError`] of a statement.
    pub async fn leave_team(
        &self,
        allowed: &Allowed<Administer>,
        actor: Actor,
        team: TeamId,
        user: UserId,
    ) -> Result<bool, DbError> {
        let mut tx = self.db.write().await?;
        if !teams::leave(&mut tx, allowed, team, user).await? {
            return Ok(false);
        }
        facts::append(&mut tx, &self.random, self.clock.now(), actor, Fact::TeamLeft { team, user }).await?;
        tx.commit().await?;
        self.accounts_changed();
        Ok(true)
    }
}
