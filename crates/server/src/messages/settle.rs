//! From the gateway's answer to the row, and what became of messages that nobody answered for.

use std::sync::atomic::Ordering;
use std::time::Duration;

use stagedoor_domain::Time;
use stagedoor_domain::access::InvitationState;
use stagedoor_domain::fact::Fact;
use stagedoor_domain::incident::Kind;
use stagedoor_domain::message::{self, Channel, Failure, PauseCause, Recovery, State};
use stagedoor_domain::person::Phone;

use super::{Claimed, Found, LEASE, Messages, Outcome, SEND_MAX, TurnError, letter};
use crate::access::SealedFor;
use crate::facts::{self, Actor, incident};
use crate::ports::db::messages::{Message, Settled};
use crate::ports::db::{DbError, Tx, invitations, messages, opt_outs, sends, sessions};

/// From an unknown outcome to the first look: what the gateway took is in its list by then.
const FIRST_LOOK: Duration = Duration::from_secs(30);
/// Failures of a gateway in a row after which an organiser is told: one alone is weather.
const FAILURES_TOLD: u32 = 5;
/// Messages that are looked for in one turn.
const LOOKS_PER_TURN: u32 = 32;

impl Messages {
    /// Writes down what became of a claimed message, unless somebody else has it in hand by now.
    pub(super) async fn settle(&self, claimed: &Claimed, outcome: Outcome) -> Result<(), TurnError> {
        let Claimed { message, letter, .. } = claimed;
        let now = self.world.clock.now();
        let (event, channel) = (message.event, message.channel.as_str());
        let result = match &outcome {
            Outcome::Sent { .. } => "sent",
            Outcome::Refused(_) => "refused",
            Outcome::Later { .. } => "later",
            Outcome::Misconfigured => "misconfigured",
            Outcome::Unknown => "unknown",
        };
        metrics::counter!("messages_given_total", "channel" => channel, "result" => result).increment(1);
        let mut told = self.failing(message.channel, &outcome);
        let mut tx = self.about(message, now).await?;
        if told {
            self.raise(&mut tx, Kind::GatewayFailing, event, None).await?;
        }
        match outcome {
            Outcome::Sent { reference } => told |= self.sent(&mut tx, message, reference, now).await?,
            Outcome::Refused(failure) => {
                if failure == Failure::OptedOut
                    && let Ok(phone) = letter.to.expose().parse::<Phone>()
                {
                    opt_outs::add(&mut tx, self.access.phone_hash(&phone), now).await?;
                }
                let state = if failure == Failure::OptedOut { State::Suppressed } else { State::Failed };
                self.drop_it(&mut tx, message, state, failure, now).await?;
            }
            Outcome::Later { after } => {
                let [jitter] = self.world.random.bytes::<1>();
                match message::backoff(message.attempts, after, jitter) {
                    None => self.drop_it(&mut tx, message, State::Failed, Failure::Unavailable, now).await?,
                    Some(wait) => {
                        if after.is_some() {
                            // Asked for by the gateway: not only this message waits.
                            messages::slow_down(&mut tx, event, now.plus(wait)).await?;
                        }
                        self.queue_again(&mut tx, message, now.plus(wait)).await?;
                    }
                }
            }
            Outcome::Misconfigured => match message.send {
                None => self.drop_it(&mut tx, message, State::Failed, Failure::Refused, now).await?,
                Some(send) => {
                    self.queue_again(&mut tx, message, now).await?;
                    let because = PauseCause::Gateway;
                    if sends::pause(&mut tx, event, send, because).await? {
                        let fact = Fact::SendPaused { event, send, because };
                        facts::append(&mut tx, &self.world.random, now, Actor::System, fact).await?;
                    }
                }
            },
            Outcome::Unknown => {
                messages::doubt(&mut tx, message, 0, now.plus(FIRST_LOOK)).await?;
            }
        }
        self.commit(tx, event, told).await?;
        Ok(())
    }

    /// A transaction that writes down what became of a message: it holds what comes before the message in the order of
    /// rows, and wakes the event.
    async fn about(&self, message: &Message, now: Time) -> Result<Tx, DbError> {
        let mut tx = self.world.db.write().await?;
        messages::wake(&mut tx, message.event, now).await?;
        if let Some(invitation) = message.invitation {
            sessions::hold_invitation(&mut tx, invitation).await?;
        }
        Ok(tx)
    }

    /// Counts what a gateway answered; says whether an organiser is to be told that it fails.
    fn failing(&self, channel: Channel, outcome: &Outcome) -> bool {
        let failures = self.failures.of_channel(channel);
        match outcome {
            // Also who says that a number cannot be has done their work.
            Outcome::Sent { .. } | Outcome::Refused(Failure::BadAddress | Failure::OptedOut) => {
                failures.store(0, Ordering::Relaxed);
                false
            }
            // It will not go away by itself.
            Outcome::Misconfigured => true,
            Outcome::Refused(_) | Outcome::Later { .. } | Outcome::Unknown => {
                failures.fetch_add(1, Ordering::Relaxed) + 1 >= FAILURES_TOLD
            }
        }
    }

    /// The gateway has it; says whether that ends an incident.
    async fn sent(
        &self,
        tx: &mut Tx,
        message: &Message,
        reference: Option<String>,
        now: Time,
    ) -> Result<bool, TurnError> {
        let payload = if self.gateways.of_channel(message.channel).keeps() {
            message.payload.clone()
        } else {
            // Whom it went to stays, for the list; what it said is theirs.
            self.access.only_address(tx, message).await?
        };
        let settled = Settled { reference, sent_at: Some(now), payload, ..Settled::default() };
        if messages::settle(tx, message, State::Sent, settled).await? {
            let fact = Fact::MessageSent { event: message.event, message: message.id };
            facts::append(tx, &self.world.random, now, Actor::System, fact).await?;
            self.advance(tx, message, InvitationState::Sent, message.channel.as_str(), now).await?;
            let (kind, event) = (Kind::GatewayFailing, message.event);
            return Ok(incident::over_in(tx, &self.world.random, now, Actor::System, kind, event).await?);
        }
        Ok(false)
    }

    async fn queue_again(&self, tx: &mut Tx, message: &Message, not_before: Time) -> Result<(), DbError> {
        // A draft is needed again; a text that was filled is filled anew.
        let payload = if message.kind.has_template() { None } else { message.payload.clone() };
        let settled = Settled { not_before: Some(not_before), refund: true, payload, ..Settled::default() };
        messages::settle(tx, message, State::Queued, settled).await.map(|_| ())
    }

    /// A message that does not go out, and did not cost anything unless nobody knows.
    pub(super) async fn drop_it(
        &self,
        tx: &mut Tx,
        message: &Message,
        state: State,
        failure: Failure,
        now: Time,
    ) -> Result<(), DbError> {
        let payload = if message.kind.has_template() { None } else { message.payload.clone() };
        let refund = failure != Failure::Unknown;
        let settled = Settled { failure: Some(failure), refund, payload, ..Settled::default() };
        if messages::settle(tx, message, state, settled).await? {
            let fact = Fact::MessageFailed { event: message.event, message: message.id, reason: failure };
            facts::append(tx, &self.world.random, now, Actor::System, fact).await?;
            self.advance(tx, message, InvitationState::Failed, failure.as_str(), now).await?;
        }
        Ok(())
    }

    async fn advance(
        &self,
        tx: &mut Tx,
        message: &Message,
        to: InvitationState,
        detail: &str,
        now: Time,
    ) -> Result<(), DbError> {
        match message.invitation {
            Some(id) if message.kind.has_template() => {
                invitations::advance_code(tx, id, message.code_generation, to, now, detail).await.map(|_| ())
            }
            _ => Ok(()),
        }
    }

    /// Takes messages into our hands whose claim is over, `most` of them.
    pub(super) async fn doubtful(&self, most: usize) -> Result<Vec<Message>, DbError> {
        let most = u32::try_from(most).unwrap_or(LOOKS_PER_TURN).min(LOOKS_PER_TURN);
        if most == 0 {
            return Ok(Vec::new());
        }
        let now = self.world.clock.now();
        let mut tx = self.world.db.write().await?;
        let doubtful = messages::take_over(&mut tx, now, now.plus(LEASE), most).await?;
        if !doubtful.is_empty() {
            tx.commit().await?;
        }
        Ok(doubtful)
    }

    /// Asks the gateway for a message in doubt, and writes down what it says.
    pub(super) async fn look(&self, message: Message) -> Result<(), TurnError> {
        let Some(claimed) = self.reopen(message, self.world.clock.now()).await? else { return Ok(()) };
        let gateway = self.gateways.of_channel(claimed.message.channel);
        let found = tokio::time::timeout(SEND_MAX, gateway.find(&claimed.letter)).await;
        self.resolve(&claimed, found.unwrap_or(Found::NoAnswer)).await
    }

    /// The letter of a claim that somebody else made.
    pub(super) async fn reopen(&self, message: Message, now: Time) -> Result<Option<Claimed>, TurnError> {
        let row = match message.invitation {
            None => None,
            Some(id) => invitations::by_id(&self.world.db, id).await?,
        };
        let person = row
            .as_ref()
            .and_then(|row| row.person_key.as_deref().map(|person_key| SealedFor { invitation: row.id, person_key }));
        let (Some(sealed), true) = (&message.payload, message.invitation.is_none() || person.is_some()) else {
            // Forgotten meanwhile: nobody can tell any more, and nobody is to be written to.
            let mut tx = self.about(&message, now).await?;
            self.drop_it(&mut tx, &message, State::Failed, Failure::Unknown, now).await?;
            tx.commit().await?;
            return Ok(None);
        };
        let payload = self.access.open_message(message.id, person, sealed)?;
        let claimed_at = message.claimed_at.unwrap_or(message.created_at);
        let letter = letter(&message, payload, row.map(|row| row.name), claimed_at);
        Ok(Some(Claimed { lease_until: now.plus(LEASE), letter, message }))
    }

    /// Writes down what the gateway says about a message in doubt.
    async fn resolve(&self, claimed: &Claimed, found: Found) -> Result<(), TurnError> {
        let Claimed { message, .. } = claimed;
        let now = self.world.clock.now();
        let (missing, cannot_tell) = (message.missing + u32::from(found == Found::No), found == Found::CannotTell);
        let (answer, reference) = match found {
            Found::Yes { reference } => (Some(true), reference),
            Found::No => (Some(false), None),
            Found::NoAnswer | Found::CannotTell => (None, None),
        };
        let recovery = match cannot_tell {
            true => Recovery::Unknown,
            false => message::recover(answer, message.looks, missing),
        };
        let mut over = false;
        let mut tx = self.about(message, now).await?;
        match recovery {
            Recovery::Sent => over = self.sent(&mut tx, message, reference, now).await?,
            Recovery::Again if message.attempts < message::ATTEMPTS_MAX => {
                self.queue_again(&mut tx, message, now).await?;
            }
            Recovery::Look(wait) => {
                messages::doubt(&mut tx, message, missing, now.plus(wait)).await?;
            }
            Recovery::Again | Recovery::Unknown => {
                self.drop_it(&mut tx, message, State::Failed, Failure::Unknown, now).await?;
            }
        }
        self.commit(tx, message.event, over).await?;
        Ok(())
    }
}
