//! Sends deliveries to webhooks: what the dispatcher has written down, signed, tried until it arrives or is given up.
//!
//! ```text
//! deliveries (due) ─claim, leased─▶ sign ─▶ ports::fetch ─▶ domain::webhook::judge ─▶ delivered | put off | given up
//! ```
//!
//! A delivery is leased while it is sent, so one that was on its way when the process died is sent again, with the same
//! `webhook-id`: receivers get everything at least once and tell repetitions by it. Order is not promised.
//!
//! Each webhook has a few deliveries on their way at most, so a slow receiver waits for itself; in all there are a few
//! hundred, given out in turn; and receivers that do not answer share a part of these, so that however many of them there are,
//! the others go on.
//!
//! # Source
//!
//! Standard Webhooks 1.0.0.

mod places;
mod sign;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http::header::{CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderMap, HeaderValue, Method};
use stagedoor_domain::Time;
use stagedoor_domain::webhook::{self, Verdict};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::access::Access;
use crate::facts::dispatch::{self, WEBHOOKS_MAX};
use crate::ports::World;
use crate::ports::bus::Hint;
use crate::ports::db::deliveries::{self, Attempt, Delivery, State};
use crate::ports::db::webhooks::{self, Disabled, Webhook};
use crate::ports::db::{DbError, Tx};
use crate::ports::fetch::{Answer, Fetch, FetchError, Request};
use places::Places;

/// How long a receiver may take: Standard Webhooks asks for 15 to 30 s.
const TIMEOUT: Duration = Duration::from_secs(20);
/// How long a delivery is nobody else's: longer than an attempt with everything around it.
const LEASE: Duration = Duration::from_secs(60);
/// How often the sender looks by itself: the shortest wait of the schedule is five seconds.
const EVERY: Duration = Duration::from_secs(1);
/// How long it lets places become free before it looks who wants them.
const GATHER: Duration = Duration::from_millis(10);
/// How long deliveries that ended are kept.
const KEPT: Duration = Duration::from_secs(30 * 24 * 60 * 60);
/// Every how many looks by itself old deliveries are forgotten.
const FORGET_EVERY: u32 = 600;

/// Sends deliveries.
#[derive(Debug)]
pub struct Sender {
    world: World,
    access: Arc<Access>,
    fetch: Fetch,
    places: Mutex<Places>,
}

/// A delivery that is ours to send, one of the few of its webhook.
struct Claimed {
    sender: Arc<Sender>,
    webhook: Webhook,
    delivery: Delivery,
}

impl Drop for Claimed {
    fn drop(&mut self) {
        self.sender.places().leave(self.webhook.id);
    }
}

impl Sender {
    /// Sends with the secrets that `access` opens.
    #[must_use]
    pub fn new(world: World, access: Arc<Access>, fetch: Fetch) -> Arc<Self> {
        Arc::new(Self { world, access, fetch, places: Mutex::default() })
    }

    fn places(&self) -> std::sync::MutexGuard<'_, Places> {
        self.places.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sends what is due until `stop`; what is on its way then is sent to its end or to its time limit.
    pub async fn run(self: Arc<Self>, stop: CancellationToken) {
        let mut hints = self.world.bus.listen();
        let mut sending = JoinSet::new();
        let mut looks = 0_u32;
        // Hints of other things may come faster than this: they do not put it off.
        let mut tick = tokio::time::interval(EVERY);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = stop.cancelled() => break,
                _ = tick.tick() => looks = looks.wrapping_add(1),
                hint = hints.recv() => if !matches!(hint, Ok(Hint::Deliveries)) { continue },
                // A place is free: there may be more for it.
                Some(_) = sending.join_next() => {
                    tokio::time::sleep(GATHER).await;
                    while sending.try_join_next().is_some() {}
                }
            }
            match self.claim().await {
                Ok(claimed) => {
                    for one in claimed {
                        sending.spawn(send(one));
                    }
                }
                Err(error) => {
                    tracing::warn!(error = &error as &dyn std::error::Error, "deliveries cannot be taken up");
                    tokio::time::sleep(EVERY).await;
                }
            }
            if looks >= FORGET_EVERY {
                looks = 0;
                if let Err(error) = self.forget().await {
                    tracing::warn!(error = &error as &dyn std::error::Error, "old deliveries cannot be forgotten");
                }
            }
        }
        while sending.join_next().await.is_some() {}
    }

    /// Sends everything that is due now, and waits for it: one turn of [`run`](Self::run), for tests.
    ///
    /// # Errors
    ///
    /// Any [`DbError`] of a statement.
    pub async fn turn(self: &Arc<Self>) -> Result<usize, DbError> {
        let mut sent = 0;
        loop {
            let mut sending: JoinSet<_> = self.claim().await?.into_iter().map(send).collect();
            if sending.is_empty() {
                return Ok(sent);
            }
            while sending.join_next().await.is_some() {
                sent += 1;
            }
        }
    }

    /// Takes what is due, as far as there are places.
    async fn claim(self: &Arc<Self>) -> Result<Vec<Claimed>, DbError> {
        let mut all = Vec::new();
        loop {
            let before = all.len();
            self.claim_some(&mut all).await?;
            // Whoever was given more places than they have deliveries left some for the next round.
            if all.len() == before {
                return Ok(all);
            }
        }
    }

    async fn claim_some(self: &Arc<Self>, all: &mut Vec<Claimed>) -> Result<(), DbError> {
        let now = self.world.clock.now();
        if self.places().are_taken() {
            return Ok(());
        }
        let due = webhooks::due(&self.world.db, now, WEBHOOKS_MAX).await?;
        let given = self.places().give(&due);
        if given.is_empty() {
            return Ok(());
        }
        let mut wanted = Vec::with_capacity(given.len());
        for (id, places) in given {
            if let Some(webhook) = webhooks::get(&self.world.db, id).await? {
                wanted.push((webhook, places));
            }
        }
        let mut tx = self.world.db.write().await?;
        let mut taken = Vec::new();
        for (webhook, places) in &wanted {
            for delivery in deliveries::claim(&mut tx, webhook.id, now, now.plus(LEASE), *places).await? {
                taken.push((webhook.clone(), delivery));
            }
        }
        tx.commit().await?;
        for (webhook, delivery) in taken {
            self.places().enter(webhook.id);
            all.push(Claimed { sender: self.clone(), webhook, delivery });
        }
        Ok(())
    }

    async fn forget(&self) -> Result<(), DbError> {
        let now = self.world.clock.now();
        let before =
            Time::from_millis(now.millis().saturating_sub(i64::try_from(KEPT.as_millis()).unwrap_or(i64::MAX)));
        dispatch::give_up(&self.world).await?;
        let active = webhooks::active(&self.world.db, WEBHOOKS_MAX).await?;
        self.places().keep(|id| active.iter().any(|webhook| webhook.id == id));
        loop {
            let mut tx = self.world.db.write().await?;
            let gone = deliveries::forget(&mut tx, before).await?;
            tx.commit().await?;
            if gone == 0 {
                return Ok(());
            }
        }
    }

    /// One attempt: what came back, and how it is told in the list of attempts.
    async fn attempt(&self, webhook: &Webhook, delivery: &Delivery) -> (webhook::Answer, Attempt) {
        let (at, began) = (self.world.clock.now(), self.world.clock.elapsed());
        let answer = match self.request(webhook, delivery, at) {
            Ok(headers) => {
                let request = Request {
                    method: Method::POST,
                    url: &webhook.url,
                    headers,
                    body: Bytes::from(delivery.body.clone()),
                    timeout: TIMEOUT,
                    // What a receiver says is its own business; the status is enough.
                    answer_bytes_max: 0,
                };
                self.fetch.send(request).await.map_err(|error| words(&error))
            }
            Err(why) => Err(why),
        };
        let took = self.world.clock.elapsed().saturating_sub(began);
        match answer {
            Ok(Answer { status, headers, .. }) => {
                let answer = webhook::Answer { status: Some(status), retry_after: retry_after(&headers, at) };
                (answer, Attempt { at, status: Some(status), error: None, took })
            }
            Err(error) => {
                let answer = webhook::Answer { status: None, retry_after: None };
                (answer, Attempt { at, status: None, error: Some(error), took })
            }
        }
    }

    fn request(&self, webhook: &Webhook, delivery: &Delivery, at: Time) -> Result<HeaderMap, String> {
        let unopenable = |error: crate::access::Unopenable| error.to_string();
        let mut keys = vec![self.access.webhook_key(webhook.id, &webhook.secret).map_err(unopenable)?];
        if let Some((previous, until)) = &webhook.previous
            && *until > at
        {
            keys.push(self.access.webhook_key(webhook.id, previous).map_err(unopenable)?);
        }
        let id = delivery.id.to_string();
        let seconds = at.millis().div_euclid(1_000);
        let signature = sign::header(&keys, &id, seconds, delivery.body.as_bytes());
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        for (name, value) in
            [("webhook-id", id), ("webhook-timestamp", seconds.to_string()), ("webhook-signature", signature)]
        {
            headers.insert(name, HeaderValue::try_from(value).map_err(|_| "a header cannot be made".to_owned())?);
        }
        Ok(headers)
    }

    /// Writes down what became of an attempt.
    async fn settle(&self, claimed: &Claimed, answer: webhook::Answer, attempt: &Attempt) -> Result<(), DbError> {
        let Claimed { webhook, delivery, .. } = claimed;
        let now = self.world.clock.now();
        let jitter = u32::from_be_bytes(self.world.random.bytes());
        let verdict = webhook::judge(answer, delivery.attempts, jitter);
        self.places().noted(webhook.id, verdict == Verdict::Delivered);
        let mut tx = self.world.db.write().await?;
        deliveries::attempted(&mut tx, delivery.id, attempt).await?;
        let mut disable = None;
        match verdict {
            Verdict::Delivered => deliveries::finish(&mut tx, delivery.id, State::Delivered).await?,
            Verdict::Again { wait, pause } => {
                deliveries::put_off(&mut tx, delivery.id, now.plus(wait)).await?;
                if !pause.is_zero() {
                    webhooks::pause(&mut tx, webhook.id, now.plus(pause)).await?;
                }
            }
            Verdict::GiveUp => {
                deliveries::finish(&mut tx, delivery.id, State::Failed).await?;
                disable = self.why_disable(&mut tx, webhook, delivery).await?;
            }
            Verdict::Gone => {
                deliveries::finish(&mut tx, delivery.id, State::Failed).await?;
                disable = Some(Disabled::Gone);
            }
        }
        tx.commit().await?;
        if let Some(because) = disable {
            dispatch::disable(&self.world, webhook, because).await?;
        }
        let outcome = match verdict {
            Verdict::Delivered => "delivered",
            Verdict::Again { .. } => "again",
            Verdict::GiveUp => "given_up",
            Verdict::Gone => "gone",
        };
        metrics::counter!("webhook_attempts_total", "outcome" => outcome).increment(1);
        Ok(())
    }

    /// A delivery was tried for days. If nothing that is younger arrived either, nobody is there.
    async fn why_disable(
        &self,
        tx: &mut Tx,
        webhook: &Webhook,
        delivery: &Delivery,
    ) -> Result<Option<Disabled>, DbError> {
        let arrives = deliveries::arrived_since(tx, webhook.id, delivery.created_at).await?;
        Ok((!arrives).then_some(Disabled::Failing))
    }
}

async fn send(claimed: Claimed) {
    let sender = claimed.sender.clone();
    let (answer, attempt) = sender.attempt(&claimed.webhook, &claimed.delivery).await;
    match sender.settle(&claimed, answer, &attempt).await {
        // It was deleted while it was on its way.
        Ok(()) | Err(DbError::Gone) => {}
        Err(error) => {
            // The lease ends by itself, and it is sent again.
            tracing::warn!(
                error = &error as &dyn std::error::Error,
                "what became of a delivery cannot be written down"
            );
        }
    }
}

/// A failure for the list of attempts, with its cause but without the address.
fn words(error: &FetchError) -> String {
    /// A cause is a line, not a story.
    const CHARS_MAX: usize = 200;
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(inner) = cause {
        text = format!("{text}: {inner}");
        cause = inner.source();
    }
    text.chars().map(|letter| if letter.is_control() { ' ' } else { letter }).take(CHARS_MAX).collect()
}

/// `Retry-After`, in seconds or as a date.
///
/// # Source
///
/// RFC 9110, section 10.2.3.
fn retry_after(headers: &HeaderMap, now: Time) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    if let Ok(seconds) = text.parse::<u32>() {
        return Some(Duration::from_secs(seconds.into()));
    }
    Some(date(text)?.since(now))
}

/// `Sun, 06 Nov 1994 08:49:37 GMT`, the only form of a date that is still written.
fn date(text: &str) -> Option<Time> {
    const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let parts: Vec<_> = text.split_ascii_whitespace().collect();
    let [_, day, month, year, time, "GMT"] = parts.as_slice() else { return None };
    let month = MONTHS.iter().position(|name| name == month)? + 1;
    format!("{year}-{month:02}-{day:0>2}T{time}Z").parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_receiver_may_ask_for_time_in_seconds_or_by_date() {
        let now: Time = "1994-11-06T08:49:00Z".parse().unwrap();
        for (text, seconds) in [
            ("120", Some(120)),
            (" 0 ", Some(0)),
            ("Sun, 06 Nov 1994 08:49:37 GMT", Some(37)),
            ("Sun, 06 Nov 1994 08:00:00 GMT", Some(0)),
            ("soon", None),
            ("-5", None),
            ("Sun, 06 Nov 1994 08:49:37 CET", None),
            ("Sun, 99 Nov 1994 08:49:37 GMT", None),
        ] {
            let headers = HeaderMap::from_iter([(RETRY_AFTER, HeaderValue::from_static(text))]);
            assert_eq!(retry_after(&headers, now), seconds.map(Duration::from_secs), "{text}");
        }
        assert_eq!(retry_after(&HeaderMap::new(), now), None);
    }
}
