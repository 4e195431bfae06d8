//! Hands facts on: one task that takes what is not marked yet, asks the domain what follows, and writes it down.
//!
//! A mark rather than "greater than my cursor": on PostgreSQL a smaller id may commit later. What follows and the mark
//! are one transaction, and a delivery is unique for its fact and webhook, so a crash anywhere resumes.

use std::time::Duration;

use serde_json::{Map, Value, json};
use stagedoor_domain::Time;
use stagedoor_domain::fact::{Fact, Happened, Reaction, reactions};
use stagedoor_domain::id::{DeliveryId, EventId};
use stagedoor_domain::incident::Kind;
use stagedoor_domain::webhook::Endpoint;
use tokio_util::sync::CancellationToken;

use super::incident::{self, Raise};
use super::{Actor, append};
use crate::ports::World;
use crate::ports::bus::Hint;
use crate::ports::db::deliveries::{self, Delivery, State};
use crate::ports::db::facts::Kept;
use crate::ports::db::webhooks::{self, Disabled, Webhook};
use crate::ports::db::{DbError, facts, log};

/// Webhooks of an installation at most: each fact is written down once for each of them.
pub const WEBHOOKS_MAX: u32 = 50;
/// Facts in one transaction: with the most webhooks 3,200 deliveries.
const BATCH: u32 = 64;
/// Deliveries that wait for one webhook at most. Beyond it, the webhook is disabled and an incident is raised.
const WAITING_MAX: u32 = 100_000;
/// How often the dispatcher looks by itself.
const EVERY: Duration = Duration::from_secs(5);
/// How long it lets hints gather.
const GATHER: Duration = Duration::from_millis(100);
/// Bytes of a delivery's body at most, as Standard Webhooks asks; facts are a few hundred.
const BODY_BYTES_MAX: usize = 20_000;

/// Hands facts on, on hints and from time to time, until `stop`.
pub async fn run(world: &World, stop: CancellationToken) {
    let mut hints = world.bus.listen();
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(EVERY) => {}
            _ = hints.recv() => tokio::time::sleep(GATHER).await,
        }
        hints = hints.resubscribe();
        if let Err(error) = turn(world).await {
            tracing::warn!(error = &error as &dyn std::error::Error, "facts cannot be handed on");
        }
    }
}

/// Hands on everything that is there: one turn of [`run`].
///
/// # Errors
///
/// Any [`DbError`] of a statement.
pub async fn turn(world: &World) -> Result<(), DbError> {
    while facts::any_undispatched(&world.db).await? {
        let webhooks = webhooks::active(&world.db, WEBHOOKS_MAX).await?;
        for webhook in &webhooks {
            if deliveries::count_waiting(&world.db, webhook.id, WAITING_MAX).await? >= u64::from(WAITING_MAX) {
                disable(world, webhook, Disabled::Backlog).await?;
            }
        }
        batch(world, &webhooks).await?;
    }
    Ok(())
}

/// Stops sending to a webhook for good: what waits for it is given up, and somebody is told.
///
/// # Errors
///
/// Any [`DbError`] of a statement.
pub async fn disable(world: &World, webhook: &Webhook, because: Disabled) -> Result<(), DbError> {
    let now = world.clock.now();
    let mut tx = world.db.write().await?;
    if webhooks::disable(&mut tx, webhook.id, because).await? {
        deliveries::give_up(&mut tx, webhook.id).await?;
        let fact = Fact::WebhookDisabled { webhook: webhook.id };
        append(&mut tx, &world.random, now, Actor::System, fact).await?;
        incident::raise_in(&mut tx, &world.random, now, &Raise::new(Kind::WebhookDisabled, webhook.event)).await?;
    }
    tx.commit().await?;
    incident::hint(world, webhook.event);
    Ok(())
}

async fn batch(world: &World, webhooks: &[Webhook]) -> Result<(), DbError> {
    let now = world.clock.now();
    let endpoints: Vec<_> = webhooks
        .iter()
        .map(|webhook| Endpoint { id: webhook.id, event: webhook.event, types: &webhook.types })
        .collect();
    let mut raised: Vec<EventId> = Vec::new();
    let mut tx = world.db.write().await?;
    log::hold_dispatch(&mut tx).await?;
    for entry in facts::undispatched(&mut tx, BATCH).await? {
        let before = match (entry.kind.as_str(), entry.event) {
            ("stream.ended", Some(event)) => facts::stream_before(&mut tx, event, entry.id).await?,
            _ => None,
        };
        let happened = Happened { kind: &entry.kind, event: entry.event, before: before.as_deref() };
        for reaction in reactions(happened, &endpoints) {
            match reaction {
                Reaction::Deliver(webhook) => {
                    let delivery = Delivery {
                        id: DeliveryId::new(world.random.uuid(now)),
                        webhook,
                        fact: Some(entry.id),
                        kind: entry.kind.clone(),
                        body: body(&entry),
                        state: State::Waiting,
                        attempts: 0,
                        due_at: now,
                        created_at: now,
                    };
                    deliveries::insert(&mut tx, &delivery).await?;
                }
                Reaction::Raise(kind) => {
                    incident::raise_in(&mut tx, &world.random, now, &Raise::new(kind, entry.event)).await?;
                    raised.extend(entry.event);
                }
            }
        }
        facts::dispatched(&mut tx, entry.id).await?;
    }
    tx.commit().await?;
    for event in raised {
        incident::hint(world, Some(event));
    }
    if !endpoints.is_empty() {
        world.bus.hint(Hint::Deliveries);
    }
    Ok(())
}

/// What a webhook is sent: the fact without its type, which stands outside, and with its id.
fn body(entry: &Kept) -> String {
    let mut data: Map<String, Value> = serde_json::from_str(&entry.data).unwrap_or_default();
    data.remove("type");
    data.insert("id".to_owned(), entry.id.to_string().into());
    let whole = payload(&entry.kind, entry.at, Value::Object(data));
    if whole.len() <= BODY_BYTES_MAX {
        return whole;
    }
    payload(&entry.kind, entry.at, json!({"id": entry.id.to_string()}))
}

/// The body of a delivery.
///
/// # Source
///
/// Standard Webhooks 1.0.0, "Payload structure".
#[must_use]
pub fn payload(kind: &str, at: Time, data: Value) -> String {
    json!({"type": kind, "timestamp": at.to_string(), "data": data}).to_string()
}

#[cfg(test)]
mod tests {
    use stagedoor_domain::id::{BroadcastId, StreamId};

    use super::*;
    use crate::ports::bus::Bus;
    use crate::ports::clock::Clock;
    use crate::ports::db::incidents;
    use crate::ports::db::testing::{both, sample};
    use crate::ports::db::webhooks::tests::sample_webhook;
    use crate::ports::random::Random;

    fn world(db: &crate::ports::db::Db) -> World {
        let clock = Clock::manual(Time::from_millis(1_000_000));
        World { db: db.clone(), clock, random: Random::system(), bus: Bus::local() }
    }

    async fn happen(world: &World, fact: Fact) {
        let mut tx = world.db.write().await.unwrap();
        append(&mut tx, &world.random, world.clock.now(), Actor::Publisher, fact).await.unwrap();
        tx.commit().await.unwrap();
        world.clock.advance(Duration::from_millis(1));
    }

    #[tokio::test]
    async fn a_fact_becomes_one_delivery_for_each_webhook_that_wants_it_and_no_more() {
        both(async |db| {
            let world = world(&db);
            let (one, two) = (sample_webhook(&db).await, sample_webhook(&db).await);
            let event = sample::event(&db).await.id;
            let (stream, broadcast) = (StreamId::new(sample::uuid()), BroadcastId::new(sample::uuid()));
            happen(&world, Fact::StreamLive { event, stream, broadcast }).await;
            happen(&world, Fact::SignInRefused).await;
            turn(&world).await.unwrap();
            turn(&world).await.unwrap();
            for webhook in [one, two] {
                let listed = deliveries::list(&db, webhook.id, None, 9).await.unwrap();
                assert_eq!(listed.len(), 1);
                let body: Value = serde_json::from_str(&listed[0].body).unwrap();
                assert_eq!(body["type"], "stream.live");
                assert_eq!(body["timestamp"], "1970-01-01T00:16:40.000Z");
                assert_eq!(body["data"]["event"], event.to_string());
                assert_eq!(body["data"]["id"], listed[0].fact.unwrap().to_string());
                assert_eq!(body["data"].get("type"), None);
            }
        })
        .await;
    }

    #[tokio::test]
    async fn several_dispatchers_make_no_more_of_a_fact_than_one() {
        both(async |db| {
            let world = world(&db);
            let webhook = sample_webhook(&db).await;
            let event = sample::event(&db).await.id;
            for _ in 0..150 {
                let (stream, broadcast) = (StreamId::new(sample::uuid()), BroadcastId::new(sample::uuid()));
                happen(&world, Fact::StreamLive { event, stream, broadcast }).await;
            }
            let mut tasks = tokio::task::JoinSet::new();
            for _ in 0..4 {
                let world = world.clone();
                tasks.spawn(async move { turn(&world).await.unwrap() });
            }
            tasks.join_all().await;
            assert_eq!(deliveries::count_waiting(&db, webhook.id, 999).await.unwrap(), 150);
        })
        .await;
    }

    #[tokio::test]
    async fn an_encoder_that_is_gone_is_an_incident_and_one_that_says_goodbye_is_not() {
        both(async |db| {
            let world = world(&db);
            let (lost, polite) = (sample::event(&db).await.id, sample::event(&db).await.id);
            let (stream, broadcast) = (StreamId::new(sample::uuid()), BroadcastId::new(sample::uuid()));
            happen(&world, Fact::StreamLive { event: lost, stream, broadcast }).await;
            happen(&world, Fact::StreamAway { event: lost, stream, broadcast }).await;
            happen(&world, Fact::StreamEnded { event: lost, stream, broadcast }).await;
            happen(&world, Fact::StreamLive { event: polite, stream, broadcast }).await;
            happen(&world, Fact::StreamEnded { event: polite, stream, broadcast }).await;
            // An event that is gone has no incidents, and does not hold up the others.
            happen(&world, Fact::StreamAway { event: sample::event_id(), stream, broadcast }).await;
            let mut hints = world.bus.listen();
            turn(&world).await.unwrap();
            let kinds = async |event| {
                let listed = incidents::list(&db, Some(event), None, 9).await.unwrap();
                let mut kinds: Vec<_> = listed.into_iter().map(|incident| incident.kind).collect();
                kinds.sort_by_key(|kind| kind.as_str());
                kinds
            };
            assert_eq!(kinds(lost).await, [Kind::StreamAway, Kind::StreamLost]);
            assert_eq!(kinds(polite).await, []);
            use crate::ports::bus::Topic;
            let heard = std::iter::from_fn(|| hints.try_recv().ok()).collect::<Vec<_>>();
            assert!(heard.contains(&Hint::Event(lost, Topic::Incidents)), "{heard:?}");
            assert!(!facts::any_undispatched(&db).await.unwrap());
        })
        .await;
    }

    #[test]
    fn a_body_stays_below_twenty_thousand_bytes() {
        let kept = |data: String| Kept {
            id: stagedoor_domain::id::FactId::new(sample::uuid()),
            at: Time::from_millis(0),
            actor: String::new(),
            kind: "from.the_future".into(),
            event: None,
            data,
            seq: None,
            hash: None,
        };
        assert!(body(&kept(json!({"type": "a", "x": "y".repeat(30_000)}).to_string())).len() < 200);
        assert!(body(&kept("no json".to_owned())).contains("from.the_future"));
    }
}
