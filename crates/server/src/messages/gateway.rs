//! What messages leave the house through.

use std::time::Duration;

use futures_util::future::BoxFuture;
use stagedoor_domain::Time;
use stagedoor_domain::access::Secret;
use stagedoor_domain::id::MessageId;
use stagedoor_domain::message::Failure;

/// A message as the gateway is given it: complete, addressed, and claimed by whoever holds it.
pub struct Letter {
    /// Which message: a gateway that can carry it does, so that what it has can be found again.
    pub id: MessageId,
    /// The number or address.
    pub to: Secret,
    /// Who lives there.
    pub name: String,
    /// Of a letter.
    pub subject: Option<String>,
    /// What is said.
    pub body: Secret,
    /// When it was claimed: what the gateway took, it took later.
    pub claimed_at: Time,
}

impl std::fmt::Debug for Letter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Letter").field("id", &self.id).finish_non_exhaustive()
    }
}

/// What became of a letter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The gateway has it.
    Sent {
        /// What the gateway calls it.
        reference: Option<String>,
    },
    /// The gateway does not have it and will never take it.
    Refused(Failure),
    /// The gateway does not have it, and may take it later.
    Later {
        /// How long the gateway wants to be left alone.
        after: Option<Duration>,
    },
    /// The gateway does not have it, and takes nothing from us: our settings are wrong.
    Misconfigured,
    /// Nobody knows whether the gateway has it. It must not be given again before the gateway was asked.
    Unknown,
}

/// What the gateway says when it is asked whether it has a letter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Found {
    /// It has it.
    Yes {
        /// What the gateway calls it.
        reference: Option<String>,
    },
    /// It does not have it at this moment.
    No,
    /// It did not answer.
    NoAnswer,
    /// It cannot be asked.
    CannotTell,
}

/// Something that takes letters. An implementation keeps no state about them: what is known stands in the database.
pub trait Gateway: std::fmt::Debug + Send + Sync {
    /// Gives a letter away, once. Answers within [`SEND_MAX`].
    fn send<'a>(&'a self, letter: &'a Letter) -> BoxFuture<'a, Outcome>;

    /// Asks for a letter whose outcome is [`Unknown`](Outcome::Unknown). Answers within [`SEND_MAX`].
    fn find<'a>(&'a self, letter: &'a Letter) -> BoxFuture<'a, Found>;

    /// Whether what was given away stays readable here, because nobody else will show it.
    fn keeps(&self) -> bool {
        false
    }
}

/// The longest that a gateway is waited for. A claim lasts longer, so that nobody else looks for a letter that is still
/// being given away.
pub const SEND_MAX: Duration = Duration::from_secs(30);

/// No gateway: messages stay in the house and are shown in the control room.
#[derive(Debug)]
pub struct Outbox;

impl Gateway for Outbox {
    fn send<'a>(&'a self, _: &'a Letter) -> BoxFuture<'a, Outcome> {
        Box::pin(async { Outcome::Sent { reference: None } })
    }

    /// The claimed row is the outbox: what was claimed is in it.
    fn find<'a>(&'a self, _: &'a Letter) -> BoxFuture<'a, Found> {
        Box::pin(async { Found::Yes { reference: None } })
    }

    fn keeps(&self) -> bool {
        true
    }
}
