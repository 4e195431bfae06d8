//! The log of what happened: appended in the transaction that made it true, so that neither exists without the other.
//!
//! Two readers stand beside each other, and neither is needed to write: [`dispatch`] hands facts on (deliveries,
//! incidents), [`seal`] chains and signs them. [`verify`] says offline whether an export is whole. Deliberately not here:
//! sending deliveries, which needs the vault and the network.

pub mod chain;
pub mod dispatch;
pub mod hooks;
pub mod incident;
pub mod seal;
pub mod verify;

use stagedoor_domain::Time;
use stagedoor_domain::fact::Fact;
use stagedoor_domain::id::{FactId, SessionId, TokenId, UserId};

use crate::ports::db::{DbError, Tx, facts};
use crate::ports::random::Random;

/// Who made something happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Actor {
    /// A signed-in organiser.
    User(UserId),
    /// A program.
    Token(TokenId),
    /// A viewer.
    Session(SessionId),
    /// Whoever runs the server on its own machine.
    Operator,
    /// An encoder.
    Publisher,
    /// The server itself: time was up.
    System,
    /// Nobody we know.
    Stranger,
}

impl Actor {
    /// How the log names them.
    #[must_use]
    pub fn name(self) -> String {
        match self {
            Self::User(id) => id.to_string(),
            Self::Token(id) => id.to_string(),
            Self::Session(id) => id.to_string(),
            Self::Operator => "operator".to_owned(),
            Self::Publisher => "publisher".to_owned(),
            Self::System => "system".to_owned(),
            Self::Stranger => "stranger".to_owned(),
        }
    }

    /// Whom the log names so.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        let parties = [Self::Operator, Self::Publisher, Self::System, Self::Stranger];
        let party = parties.into_iter().find(|party| party.name() == name);
        let user = || name.parse().ok().map(Self::User);
        let token = || name.parse().ok().map(Self::Token);
        party.or_else(user).or_else(token).or_else(|| name.parse().ok().map(Self::Session))
    }
}

/// Appends `fact` to the log, if and when `tx` commits.
///
/// # Errors
///
/// Any [`DbError`] of a statement.
pub async fn append(tx: &mut Tx, random: &Random, now: Time, actor: Actor, fact: Fact) -> Result<(), DbError> {
    let entry = facts::Entry { id: FactId::new(random.uuid(now)), at: now, actor: actor.name(), fact };
    facts::insert(tx, &entry).await
}
