//! From an order to messages, and from a message to a claim.

use std::time::Duration;

use stagedoor_domain::Time;
use stagedoor_domain::access::InvitationState;
use stagedoor_domain::event::MessagePolicy;
use stagedoor_domain::fact::Fact;
use stagedoor_domain::id::{EventId, MessageId, SendId};
use stagedoor_domain::incident::Kind;
use stagedoor_domain::message::{
    self, Channel, Failure, Filling, PauseCause, Purse, Segments, SendState, State, Template,
};
use stagedoor_domain::person::Phone;

use super::{Claimed, LEASE, Messages, TurnError, letter};
use crate::access::{Recipient, SealedFor, Written};
use crate::facts::{self, Actor};
use crate::ports::db::messages::{Claim, Made, Message};
use crate::ports::db::sends::Send;
use crate::ports::db::{DbError, Tx, events, invitations, message_templates, messages, opt_outs, selection, sends};

/// Messages of a send that are made in one transaction, so that nobody else waits long for the writer.
const EXPAND_ROWS: u32 = 500;
/// Messages that turn out not to be sent, passed over within one claim.
const PASSED_OVER_MAX: usize = 100;

/// What is said when the money for numbers with a prefix is spent, and everybody else was written to.
const PREFIX_BUDGET_REACHED: &str = "Sending to some numbers stopped: what may be spent on their prefix is spent. \
    Everybody else was written to. Raise the budget of the prefix in the settings of the event, then resume the order.";

/// What a claim came to.
#[derive(Debug)]
pub(super) enum Turn {
    /// A message is in our hands.
    Claimed(Box<Claimed>),
    /// There is nothing to send now.
    Nothing,
    /// Some messages were passed over; there may be more.
    Again,
}

/// What is to be done with a queued message.
enum Verdict {
    Send(Box<(Written, Option<Recipient>, Claim)>),
    Drop(State, Failure),
    Hold(PauseCause),
}

impl Messages {
    /// Makes some messages of an order that has none for somebody; says whether there was such an order.
    pub(super) async fn expand(&self) -> Result<bool, TurnError> {
        let Some((event, id)) = sends::unexpanded(&self.world.db).await?.first().copied() else { return Ok(false) };
        let now = self.world.clock.now();
        let mut tx = self.world.db.write().await?;
        // In the order of rows.
        events::lock(&mut tx, event).await?;
        messages::wake(&mut tx, event, now).await?;
        let Some(send) = sends::lock_unexpanded(&mut tx, id).await? else { return Ok(true) };
        let corrupt = |_| DbError::Corrupt("selection".to_owned());
        let selection = serde_json::from_str(&send.selection).map_err(corrupt)?;
        let page = selection::page(&self.world.db, event, &selection, send.cursor, EXPAND_ROWS).await?;
        for (place, invitation) in (0_u64..).zip(&page.ids) {
            // Ids sort by their time: messages go out in the order of the selection.
            let id = MessageId::new(self.world.random.uuid(now.plus(Duration::from_millis(place))));
            if messages::make(&mut tx, id, &send, *invitation, now).await? == Made::Queued {
                let detail = send.channel.as_str();
                invitations::advance(&mut tx, *invitation, InvitationState::Queued, now, detail).await?;
            }
        }
        match page.next {
            Some(cursor) => sends::expanded_to(&mut tx, id, cursor).await?,
            None => sends::fully_expanded(&mut tx, id).await?,
        }
        tx.commit().await?;
        self.hint(event);
        Ok(true)
    }

    /// Takes the next message of an event into our hands, if its turn has come.
    pub(super) async fn claim(&self, event: EventId) -> Result<Turn, TurnError> {
        let now = self.world.clock.now();
        let Some(room) = self.access.room(event) else { return Ok(Turn::Nothing) };
        let policy = room.policy();
        let policy = &policy.messages;
        let interval = Duration::from_millis(u64::from(1_000 / policy.per_second.clamp(1, 1_000)));
        let quiet = policy.quiet_hours.as_ref().and_then(|quiet| quiet.silent_until(now));
        let mut tx = self.world.db.write().await?;
        // Those who are passed over are held as well.
        events::lock(&mut tx, event).await?;
        let Some(turn) = messages::take_turn(&mut tx, event, now, interval).await? else { return Ok(Turn::Nothing) };

        let only = quiet.map(|_| message::Kind::AT_ANY_HOUR);
        let orders = sends::running(&mut tx, event, now, only).await?;
        let mut orders = orders.iter();
        let mut order: Option<&Send> = None;
        let mut told = false;
        for _ in 0..PASSED_OVER_MAX {
            let next = match order {
                None => messages::next_single(&mut tx, event, now).await?,
                Some(order) => messages::next_of_send(&mut tx, order.id, now).await?,
            };
            let Some(message) = next else {
                // Nothing (more) of this order: close it if it is over, go on with the next one.
                if let Some(order) = order {
                    told |= self.close(&mut tx, order.id, event, now).await?;
                }
                order = orders.next();
                if order.is_some() {
                    continue;
                }
                let wake = self.wake_at(&mut tx, event, now, quiet).await?;
                messages::rest(&mut tx, event, now, wake).await?;
                self.commit(tx, event, told).await?;
                return Ok(Turn::Nothing);
            };
            match self.judge(&mut tx, &message, order, policy, turn.spent_milli, now).await? {
                Verdict::Send(ready) => {
                    let (payload, recipient, claim) = *ready;
                    let Some(number) = messages::claim(&mut tx, &message, &claim).await? else { continue };
                    self.commit(tx, event, told).await?;
                    return Ok(Turn::Claimed(Box::new(Claimed {
                        letter: letter(&message, payload, recipient.map(|recipient| recipient.name), now),
                        lease_until: claim.lease_until,
                        message: Message {
                            state: State::Sending,
                            claim: number,
                            claimed_at: Some(now),
                            attempts: message.attempts + 1,
                            looks: 0,
                            missing: 0,
                            code_generation: claim.code_generation,
                            cost_milli: claim.cost_milli,
                            cost_prefix: claim.cost_prefix,
                            payload: Some(claim.payload),
                            ..message
                        },
                    })));
                }
                Verdict::Drop(state, failure) => self.drop_it(&mut tx, &message, state, failure, now).await?,
                Verdict::Hold(PauseCause::PrefixBudget) => {
                    messages::hold(&mut tx, message.id, PauseCause::PrefixBudget.as_str()).await?;
                }
                Verdict::Hold(because) => {
                    if let Some(send) = message.send
                        && sends::pause(&mut tx, event, send, because).await?
                    {
                        let fact = Fact::SendPaused { event, send, because };
                        facts::append(&mut tx, &self.world.random, now, Actor::System, fact).await?;
                        self.raise(&mut tx, Kind::BudgetReached, event, None).await?;
                        told = true;
                    }
                    order = orders.next();
                    if order.is_none() {
                        break;
                    }
                }
            }
        }
        // Many were passed over: what is known is kept, and the turn is not used up.
        messages::rest(&mut tx, event, now, Some(now)).await?;
        self.commit(tx, event, told).await?;
        Ok(Turn::Again)
    }

    /// Ends an order that has nothing more to send; says whether an organiser is told.
    async fn close(&self, tx: &mut Tx, send: SendId, event: EventId, now: Time) -> Result<bool, DbError> {
        let (fact, told) = match sends::finish(tx, send).await? {
            Some(SendState::Done) => (Fact::SendDone { event, send }, false),
            Some(_) => {
                self.raise(tx, Kind::BudgetReached, event, Some(PREFIX_BUDGET_REACHED)).await?;
                (Fact::SendPaused { event, send, because: PauseCause::PrefixBudget }, true)
            }
            None => return Ok(false),
        };
        facts::append(tx, &self.world.random, now, Actor::System, fact).await.map(|()| told)
    }

    /// When an event that has nothing to send now has something.
    async fn wake_at(
        &self,
        tx: &mut Tx,
        event: EventId,
        now: Time,
        quiet: Option<Time>,
    ) -> Result<Option<Time>, DbError> {
        let due = messages::next_due(tx, event, now, quiet.map(|_| message::Kind::AT_ANY_HOUR)).await?;
        // Of whatever kind: what begins in quiet hours and has to wait is looked at once, and rests again.
        let begin = sends::next_begin(tx, event, now).await?;
        let morning = match quiet {
            Some(end) => (!sends::running(tx, event, end, None).await?.is_empty()).then_some(end),
            None => None,
        };
        Ok([due, begin, morning].into_iter().flatten().min())
    }

    /// Whether a queued message goes out, and as what.
    async fn judge(
        &self,
        tx: &mut Tx,
        message: &Message,
        order: Option<&Send>,
        policy: &MessagePolicy,
        spent: u64,
        now: Time,
    ) -> Result<Verdict, TurnError> {
        let (row, recipient) = match message.invitation {
            None => (None, None),
            Some(id) => {
                // Held, so that no new code comes between this look and the claim.
                let row = invitations::lock(tx, id).await?;
                let Some(recipient) = self.access.contact_for_sending(id).await? else {
                    return Ok(Verdict::Drop(State::Suppressed, Failure::NotInvited));
                };
                (row, Some(recipient))
            }
        };
        let person = row
            .as_ref()
            .and_then(|row| row.person_key.as_deref().map(|person_key| SealedFor { invitation: row.id, person_key }));
        let payload = match self.compose(message, order, recipient.as_ref(), person, policy).await? {
            Ok(payload) => payload,
            Err(failure) => return Ok(Verdict::Drop(State::Failed, failure)),
        };
        let code_generation = recipient.as_ref().map_or(0, |recipient| recipient.code_generation);
        if message.send.is_some() && messages::has_twin(tx, message, code_generation).await? {
            return Ok(Verdict::Drop(State::Suppressed, Failure::Superseded));
        }
        let (mut segments, mut cost_milli, mut cost_prefix) = (1, 0, None);
        if message.channel == Channel::Sms {
            let Ok(phone) = payload.to.parse::<Phone>() else {
                return Ok(Verdict::Drop(State::Failed, Failure::BadAddress));
            };
            if opt_outs::contains(tx, &self.access.phone_hashes(&phone)).await? {
                return Ok(Verdict::Drop(State::Suppressed, Failure::OptedOut));
            }
            segments = Segments::of(&payload.body).segments;
            if !self.gateways.sms.keeps() {
                let prices = &self.prices;
                cost_milli = message::price_milli(segments, &payload.to, &prices.prices_milli, prices.price_milli);
            }
            let capped = message::longest_prefix(&payload.to, &policy.prefix_budget_milli);
            let of_prefix = match capped {
                None => (0, None),
                Some((prefix, budget)) => (messages::spent_on(tx, message.event, prefix).await?, Some(*budget)),
            };
            cost_prefix = capped.map(|(prefix, _)| prefix.clone());
            let held = match message::purse(cost_milli, (spent, policy.budget_milli), of_prefix) {
                Purse::Enough => None,
                Purse::EventEmpty => Some(PauseCause::Budget),
                Purse::PrefixEmpty => Some(PauseCause::PrefixBudget),
            };
            if let Some(because) = held {
                // A single act does not wait for more money.
                return Ok(match message.send {
                    Some(_) => Verdict::Hold(because),
                    None => Verdict::Drop(State::Failed, Failure::Budget),
                });
            }
        }
        let sealed = self.access.seal_message(message.id, person, &payload)?;
        let claim = Claim {
            payload: sealed,
            code_generation,
            segments,
            cost_milli,
            cost_prefix,
            now,
            lease_until: now.plus(LEASE),
        };
        Ok(Verdict::Send(Box::new((payload, recipient, claim))))
    }

    /// What a message says, and to whom.
    async fn compose(
        &self,
        message: &Message,
        order: Option<&Send>,
        recipient: Option<&Recipient>,
        person: Option<SealedFor<'_>>,
        policy: &MessagePolicy,
    ) -> Result<Result<Written, Failure>, TurnError> {
        let draft = match (&message.payload, message.kind.has_template()) {
            (Some(sealed), false) => Some(self.access.open_message(message.id, person, sealed)?),
            _ => None,
        };
        let Some(recipient) = recipient else {
            // To whoever it says, as it stands.
            return Ok(draft.ok_or(Failure::NoAddress));
        };
        let address = match message.channel {
            Channel::Sms => recipient.phone.as_ref(),
            Channel::Email => recipient.email.as_ref(),
        };
        let Some(to) = address else { return Ok(Err(Failure::NoAddress)) };
        if let Some(draft) = &draft
            && !draft.to.is_empty()
        {
            // Filled at an earlier attempt.
            return Ok(Ok(Written { to: to.expose().to_owned(), ..draft.clone() }));
        }
        let Some((title, starts_at)) = events::heading(&self.world.db, message.event).await? else {
            return Ok(Err(Failure::NotInvited));
        };
        let (template, base_url, organiser) = match (draft, order) {
            (Some(draft), _) => (Template { subject: draft.subject, body: draft.body }, draft.base_url, String::new()),
            (None, Some(order)) => {
                let template = self.template(message, &recipient.language, policy).await?;
                (template, order.base_url.clone(), order.organiser.clone())
            }
            (None, None) => return Ok(Err(Failure::Refused)),
        };
        let offset = policy.quiet_hours.as_ref().map_or(0, |quiet| quiet.utc_offset_minutes);
        let starts_at = message::starts_at(starts_at, offset);
        let code = recipient.code.expose();
        let link = format!("{base_url}/e/{}#{code}", message.event);
        let filling = Filling {
            name: &recipient.name,
            code,
            link: &link,
            title: &title,
            starts_at: &starts_at,
            organiser: &organiser,
        };
        Ok(Ok(Written {
            to: to.expose().to_owned(),
            subject: template.subject.map(|subject| message::fill(&subject, &filling)),
            body: message::fill(&template.body, &filling),
            base_url: String::new(),
        }))
    }

    /// The text for somebody who speaks `language`: the event's own in that language or its first part, else built in;
    /// else the same in the event's language.
    async fn template(&self, message: &Message, language: &str, policy: &MessagePolicy) -> Result<Template, DbError> {
        let written = message_templates::of_kind(&self.world.db, message.event, message.channel, message.kind).await?;
        let written = written.iter().map(|each| (each.language.as_str(), &each.template));
        let languages = [language, &policy.default_language];
        Ok(message::choose(written, message.channel, message.kind, languages)
            .unwrap_or_else(|| Template { subject: None, body: String::new() }))
    }
}
