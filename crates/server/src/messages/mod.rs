//! Carries out what organisers ordered to be said: durable, in order, at the event's pace, and never twice.
//!
//! ```text
//! order (send) ─expand─▶ queued ─claim, committed─▶ sending ─gateway─▶ settle: sent | failed | queued again
//!                                                       └ died, or nobody knows ─look─▶ sent | queued again | failed
//! ```
//!
//! Everything that is known stands in the database; whoever dies between two arrows leaves a message that the next
//! process finds where it was. Before the gateway is asked, the claim is committed; a claim without an answer is looked
//! up at the gateway and never repeated blindly. Orders come from the API as rows, and reports of the gateway too: this
//! module only reads them.

mod claim;
mod gateway;
mod settle;
mod smtp;
mod twilio;

#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::sync::atomic::AtomicU32;
use std::time::Duration;

use stagedoor_domain::Time;
use stagedoor_domain::access::Secret;
use stagedoor_domain::id::EventId;
use stagedoor_domain::incident::Kind;
use stagedoor_domain::message::Channel;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

pub use gateway::{Found, Gateway, Letter, Outbox, Outcome, SEND_MAX};
pub use smtp::{Smtp, SmtpError};
pub use twilio::{Twilio, TwilioError};

use crate::access::{Access, ContactError, Written};
use crate::config::{self, Config};
use crate::facts::incident::{self, Raise};
use crate::ports::World;
use crate::ports::bus::{Hint, Topic};
use crate::ports::db::messages::Message;
use crate::ports::db::{DbError, Tx, messages};
use claim::Turn;

/// How long a claim holds before somebody else looks what became of it: longer than the gateway is waited for.
const LEASE: Duration = Duration::from_secs(60);
const _: () = assert!(LEASE.as_secs() >= 2 * SEND_MAX.as_secs(), "a claim outlives the wait for its gateway");
/// A claim that is closer to its end than this is not acted on: whoever slept over it has lost it.
const LEASE_LEFT_MIN: Duration = SEND_MAX;
/// Messages in the gateways' hands at once; more wait in the database.
const IN_HAND_MAX: usize = 64;
/// The longest sleep: hints get lost, other processes give none, and clocks are set.
const SLEEP_MAX: Duration = Duration::from_secs(5);

/// Where text messages and letters leave the house.
#[derive(Debug)]
pub struct Gateways {
    /// For text messages.
    pub sms: Box<dyn Gateway>,
    /// For letters.
    pub email: Box<dyn Gateway>,
}

/// What is wrong with `[sms]` or `[email]`.
#[derive(Debug, thiserror::Error)]
pub enum GatewayError {
    /// `[sms]`
    #[error(transparent)]
    Twilio(#[from] TwilioError),
    /// `[email]`
    #[error(transparent)]
    Smtp(#[from] SmtpError),
}

impl Gateways {
    /// What the configuration names.
    ///
    /// # Errors
    ///
    /// [`GatewayError`], in words for the operator.
    pub fn of(config: &Config) -> Result<Self, GatewayError> {
        let sms: Box<dyn Gateway> = match config.sms.gateway {
            config::SmsGateway::Outbox => Box::new(Outbox),
            config::SmsGateway::Twilio => Box::new(Twilio::new(&config.sms, config.http.public_url.as_deref())?),
        };
        let email: Box<dyn Gateway> = match Smtp::new(&config.email)? {
            None => Box::new(Outbox),
            Some(smtp) => Box::new(smtp),
        };
        Ok(Self { sms, email })
    }

    fn of_channel(&self, channel: Channel) -> &dyn Gateway {
        match channel {
            Channel::Sms => &*self.sms,
            Channel::Email => &*self.email,
        }
    }
}

/// The carrier of messages. One per process, behind an `Arc`; several processes may share a database.
#[derive(Debug)]
pub struct Messages {
    world: World,
    access: Arc<Access>,
    gateways: Gateways,
    prices: config::Sms,
    failures: Failures,
}

/// How often each gateway failed since it last worked, as far as this process knows.
#[derive(Debug, Default)]
struct Failures {
    sms: AtomicU32,
    email: AtomicU32,
}

impl Failures {
    fn of_channel(&self, channel: Channel) -> &AtomicU32 {
        match channel {
            Channel::Sms => &self.sms,
            Channel::Email => &self.email,
        }
    }
}

/// Why a turn was not finished. What it was about stays where it was.
#[derive(Debug, thiserror::Error)]
pub enum TurnError {
    /// The database did not answer.
    #[error("the queue of messages cannot be read or written")]
    Db(#[from] DbError),
    /// Something sealed cannot be opened.
    #[error("a message cannot be sealed or opened")]
    Contact(#[from] ContactError),
}

/// A message that was claimed, with all that the gateway needs.
#[derive(Debug)]
pub struct Claimed {
    message: Message,
    letter: Letter,
    lease_until: Time,
}

impl Messages {
    /// A carrier; nothing is sent before [`turn`](Self::turn) or [`run`](Self::run).
    #[must_use]
    pub fn new(world: World, access: Arc<Access>, gateways: Gateways, prices: config::Sms) -> Arc<Self> {
        Arc::new(Self { world, access, gateways, prices, failures: Failures::default() })
    }

    /// Sends what is to be sent until `stop`; what the gateways have in hand then is waited for.
    pub async fn run(self: Arc<Self>, stop: CancellationToken) {
        let mut hints = self.world.bus.listen();
        let mut in_hand = JoinSet::new();
        while !stop.is_cancelled() {
            let until = match self.begin(&mut in_hand).await {
                Ok(until) => until,
                Err(error) => {
                    tracing::warn!(error = &error as &dyn std::error::Error, "messages wait");
                    SLEEP_MAX
                }
            };
            let wait = tokio::time::sleep(until.clamp(Duration::from_millis(10), SLEEP_MAX));
            tokio::select! {
                () = stop.cancelled() => {}
                () = wait => {}
                Some(_) = in_hand.join_next(), if in_hand.len() >= IN_HAND_MAX => {}
                () = heard(&mut hints) => {}
            }
            while in_hand.try_join_next().is_some() {}
        }
        while in_hand.join_next().await.is_some() {}
    }

    /// Begins everything that is due; says how long there is nothing more.
    async fn begin(self: &Arc<Self>, in_hand: &mut JoinSet<()>) -> Result<Duration, TurnError> {
        while self.expand().await? {}
        for message in self.doubtful(IN_HAND_MAX.saturating_sub(in_hand.len())).await? {
            let this = self.clone();
            in_hand.spawn(async move { in_doubt(this.look(message).await) });
        }
        let now = self.world.clock.now();
        for event in messages::awake(&self.world.db, now).await? {
            while in_hand.len() < IN_HAND_MAX {
                match self.claim(event).await? {
                    Turn::Nothing => break,
                    Turn::Again => {}
                    Turn::Claimed(claimed) => {
                        let this = self.clone();
                        in_hand.spawn(async move { in_doubt(this.deliver(*claimed).await) });
                    }
                }
            }
        }
        if in_hand.len() >= IN_HAND_MAX {
            return Ok(SLEEP_MAX);
        }
        let next = messages::next_wake(&self.world.db).await?;
        Ok(next.map_or(SLEEP_MAX, |next| next.since(self.world.clock.now())))
    }

    /// Does everything that is due now, to its end: one turn of [`run`](Self::run) for whoever moves the clock. Says how
    /// many messages were given to a gateway.
    ///
    /// # Errors
    ///
    /// [`TurnError`]; what was begun is finished by a later turn.
    pub async fn turn(&self) -> Result<u32, TurnError> {
        while self.expand().await? {}
        for message in self.doubtful(IN_HAND_MAX).await? {
            self.look(message).await?;
        }
        let mut given = 0;
        for event in messages::awake(&self.world.db, self.world.clock.now()).await? {
            loop {
                match self.claim(event).await? {
                    Turn::Nothing => break,
                    Turn::Again => {}
                    Turn::Claimed(claimed) => {
                        self.deliver(*claimed).await?;
                        given += 1;
                    }
                }
            }
        }
        Ok(given)
    }

    /// Gives a claimed message to its gateway and writes down what became of it.
    async fn deliver(&self, claimed: Claimed) -> Result<(), TurnError> {
        let Some(outcome) = self.give(&claimed).await else { return Ok(()) };
        self.settle(&claimed, outcome).await
    }

    /// Asks the gateway to take a message; `None` when the claim is too old to be acted on.
    async fn give(&self, claimed: &Claimed) -> Option<Outcome> {
        if self.world.clock.now().plus(LEASE_LEFT_MIN) > claimed.lease_until {
            return None;
        }
        let gateway = self.gateways.of_channel(claimed.message.channel);
        let outcome = tokio::time::timeout(SEND_MAX, gateway.send(&claimed.letter)).await;
        Some(outcome.unwrap_or(Outcome::Unknown))
    }

    fn hint(&self, event: EventId) {
        self.world.bus.hint(Hint::Event(event, Topic::Messages));
    }

    /// Makes it true, and says so: also to whoever shows incidents, when there is something new for them.
    async fn commit(&self, tx: Tx, event: EventId, incidents: bool) -> Result<(), DbError> {
        tx.commit().await?;
        self.hint(event);
        if incidents {
            incident::hint(&self.world, Some(event));
        }
        Ok(())
    }

    /// Tells an organiser, if and when `tx` commits.
    async fn raise(&self, tx: &mut Tx, kind: Kind, event: EventId, text: Option<&str>) -> Result<(), DbError> {
        let raise = Raise { text: text.map(str::to_owned), ..Raise::new(kind, Some(event)) };
        incident::raise_in(tx, &self.world.random, self.world.clock.now(), &raise).await.map(|_| ())
    }
}

/// What could not be written down is looked up when its claim is over.
fn in_doubt(result: Result<(), TurnError>) {
    if let Err(error) = result {
        tracing::warn!(error = &error as &dyn std::error::Error, "a message stays in doubt");
    }
}

/// Waits for news about messages; whoever missed some looks at once.
async fn heard(hints: &mut tokio::sync::broadcast::Receiver<Hint>) {
    use tokio::sync::broadcast::error::RecvError;
    loop {
        match hints.recv().await {
            Ok(Hint::Event(_, Topic::Messages | Topic::Settings)) | Err(RecvError::Lagged(_)) => return,
            Ok(_) => {}
            Err(RecvError::Closed) => return std::future::pending().await,
        }
    }
}

fn letter(message: &Message, payload: Written, name: Option<String>, claimed_at: Time) -> Letter {
    Letter {
        id: message.id,
        to: Secret::new(payload.to),
        name: name.unwrap_or_default(),
        subject: payload.subject,
        body: Secret::new(payload.body),
        claimed_at,
    }
}
