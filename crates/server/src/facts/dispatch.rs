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
pub const WEBHOOKS_MAX: u32 = 1_000;
/// Facts in one transaction, when there are few webhooks.
const BATCH: u32 = 64;
/// Deliveries in one transaction at most: with more webhooks, fewer facts.
const BATCH_DELIVERIES: u32 = 3_000;
/// What may wait. Beyond it, webhooks are disabled and incidents are raised.
const WAITING: Waiting = Waiting { for_one: 100_000, for_all: 1_000_000 };
/// After so many new deliveries those that wait are counted again: so many more than [`WAITING`] there may be.
const COUNT_EVERY: u64 = 10_000;
/// How often the dispatcher looks by itself.
const EVERY: Duration = Duration::from_secs(5);
/// How long it lets hints gather.
const GATHER: Duration = Duration::from_millis(100);
/// Bytes of a delivery's body at most, as Standard Webhooks asks; facts are a few hundred.
const BODY_BYTES_MAX: usize = 20_000;

/// Deliveries that may wait.
#[derive(Clone, Copy)]
struct Waiting {
    for_one: u64,
    /// About a gigabyte.
    for_all: u64,
}

/// New deliveries since those that wait were counted; `None` before the first count.
type Uncounted = Option<u64>;

/// Hands facts on, on hints and from time to time, until `stop`.
pub async fn run(world: &World, stop: CancellationToken) {
    let mut hints = world.bus.listen();
    let mut uncounted = None;
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(EVERY) => {}
            _ = hints.recv() => tokio::time::sleep(GATHER).await,
        }
        hints = hints.resubscribe();
        if let Err(error) = hand_on(world, &mut uncounted).await {
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
    hand_on(world, &mut None).await
}

async fn hand_on(world: &World, uncounted: &mut Uncounted) -> Result<(), DbError> {
    while facts::any_undispatched(&world.db).await? {
        let mut webhooks = webhooks::active(&world.db, WEBHOOKS_MAX).await?;
        if uncounted.is_none_or(|made| made >= COUNT_EVERY) {
            trim(world, &mut webhooks, WAITING).await?;
            *uncounted = Some(0);
        }
        let made = batch(world, &webhooks).await?;
        *uncounted = uncounted.map(|before| before.saturating_add(made));
    }
    Ok(())
}

/// Disables webhooks for which too much waits; and while too much waits in all, the one for which most does.
async fn trim(world: &World, webhooks: &mut Vec<Webhook>, most: Waiting) -> Result<(), DbError> {
    let backlogs = deliveries::backlogs(&world.db, WEBHOOKS_MAX).await?;
    let mut in_all: u64 = backlogs.iter().map(|(_, waiting)| *waiting).sum();
    for (id, waiting) in backlogs {
        if waiting < most.for_one && in_all < most.for_all {
            // Those that follow have fewer.
            return Ok(());
        }
        in_all = in_all.saturating_sub(waiting);
        if let Some(at) = webhooks.iter().position(|webhook| webhook.id == id) {
            disable(world, &webhooks.remove(at), Disabled::Backlog).await?;
        }
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
        let fact = Fact::WebhookDisabled { webhook: webhook.id };
        append(&mut tx, &world.random, now, Actor::System, fact).await?;
        incident::raise_in(&mut tx, &world.random, now, &Raise::new(Kind::WebhookDisabled, webhook.event)).await?;
    }
    tx.commit().await?;
    incident::hint(world, webhook.event);
    give_up(world).await
}

/// Gives up what waits for webhooks that are disabled, in steps: it may be a hundred thousand, and nobody else waits for all
/// of them. Whoever dies on the way leaves the rest to the next call; nothing is sent to a disabled webhook meanwhile.
///
/// # Errors
///
/// Any [`DbError`] of a statement.
pub async fn give_up(world: &World) -> Result<(), DbError> {
    loop {
        let mut tx = world.db.write().await?;
        let given_up = deliveries::give_up(&mut tx).await?;
        tx.commit().await?;
        if given_up == 0 {
            return Ok(());
        }
    }
}

/// One transaction; says how many deliveries it made at most.
async fn batch(world: &World, webhooks: &[Webhook]) -> Result<u64, DbError> {
    let now = world.clock.now();
    let endpoints: Vec<_> = webhooks
        .iter()
        .map(|webhook| Endpoint { id: webhook.id, event: webhook.event, types: &webhook.types })
        .collect();
    let each = u32::try_from(endpoints.len()).unwrap_or(u32::MAX).max(1);
    let mut raised: Vec<EventId> = Vec::new();
    let mut made = 0;
    let mut tx = world.db.write().await?;
    log::hold_dispatch(&mut tx).await?;
    for entry in facts::undispatched(&mut tx, (BATCH_DELIVERIES / each).clamp(1, BATCH)).await? {
        let before = match (entry.kind.as_str(), entry.event) {
            ("stream.ended", Some(event)) => facts::stream_before(&mut tx, event, entry.id).await?,
            _ => None,
        };
        let happened = Happened { kind: &entry.kind, event: entry.event, before: before.as_deref() };
        let text = body(&entry);
        for reaction in reactions(happened, &endpoints) {
            match reaction {
                Reaction::Deliver(webhook) => {
                    let delivery = Delivery {
                        id: DeliveryId::new(world.random.uuid(now)),
                        webhook,
                        fact: Some(entry.id),
                        kind: entry.kind.clone(),
                        body: text.clone(),
                        state: State::Waiting,
                        attempts: 0,
                        due_at: now,
                        created_at: now,
                    };
                    deliveries::insert(&mut tx, &delivery).await?;
                    made += 1;
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
    if made > 0 {
        world.bus.hint(Hint::Deliveries);
    }
    Ok(made)
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
            happen(&world, Fact::SignInRefused { way: None }).await;
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
            assert_eq!(deliveries::backlogs(&db, 9).await.unwrap(), [(webhook.id, 150)]);
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

    #[tokio::test]
    async fn who_lets_too_much_wait_is_left_out_and_the_others_are_not() {
        both(async |db| {
            let world = world(&db);
            let event = sample::event(&db).await.id;
            let (stream, broadcast) = (StreamId::new(sample::uuid()), BroadcastId::new(sample::uuid()));
            let happens = async || happen(&world, Fact::StreamLive { event, stream, broadcast }).await;
            let slow = sample_webhook(&db).await;
            for _ in 0..6 {
                happens().await;
            }
            turn(&world).await.unwrap();
            let quick = sample_webhook(&db).await;
            for _ in 0..3 {
                happens().await;
            }
            turn(&world).await.unwrap();
            let waiting = async || deliveries::backlogs(&db, 9).await.unwrap();
            assert_eq!(waiting().await, [(slow.id, 9), (quick.id, 3)]);
            let trimmed = async |for_one, for_all| {
                let mut webhooks = webhooks::active(&db, 9).await.unwrap();
                trim(&world, &mut webhooks, Waiting { for_one, for_all }).await.unwrap();
                webhooks.len()
            };
            assert_eq!(trimmed(10, 13).await, 2);
            assert_eq!(trimmed(10, 12).await, 1, "the one that has most, when it is too much in all");
            assert_eq!(waiting().await, [(quick.id, 3)]);
            assert_eq!(webhooks::get(&db, slow.id).await.unwrap().unwrap().disabled, Some(Disabled::Backlog));
            assert_eq!(trimmed(3, 99).await, 0);
            assert_eq!(waiting().await, []);
            let told = incidents::list(&db, None, None, 9).await.unwrap();
            assert_eq!(told.iter().map(|told| told.kind).collect::<Vec<_>>(), [Kind::WebhookDisabled]);
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
