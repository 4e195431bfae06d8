//! What administrators do with webhooks, each with its fact.

use std::time::Duration;

use serde_json::json;
use stagedoor_domain::access::{Administer, Allowed};
use stagedoor_domain::fact::Fact;
use stagedoor_domain::id::{DeliveryId, WebhookId};

use super::dispatch::{WEBHOOKS_MAX, give_up, payload};
use super::{Actor, append};
use crate::ports::World;
use crate::ports::bus::Hint;
use crate::ports::db::deliveries::{self, Delivery, State};
use crate::ports::db::webhooks::{self, Webhook};
use crate::ports::db::{DbError, Tx};

/// How long the old secret signs beside a new one: time for whoever runs the receiver to put the new one in place.
pub const OVERLAP: Duration = Duration::from_secs(24 * 60 * 60);
/// The type of a test delivery.
const TEST: &str = "webhook.test";

/// Why a webhook was not made.
#[derive(Debug, thiserror::Error)]
pub enum CreateError {
    /// There are as many as there may be.
    #[error("there are {WEBHOOKS_MAX} webhooks already")]
    TooMany,
    /// The database did not answer as it should; [`DbError::Gone`] without its event.
    #[error(transparent)]
    Db(#[from] DbError),
}

async fn note(tx: &mut Tx, world: &World, actor: Actor, fact: Fact) -> Result<(), DbError> {
    append(tx, &world.random, world.clock.now(), actor, fact).await
}

/// Makes a webhook.
///
/// # Errors
///
/// [`CreateError`].
pub async fn create(
    world: &World,
    allowed: &Allowed<Administer>,
    actor: Actor,
    webhook: &Webhook,
) -> Result<(), CreateError> {
    let mut tx = world.db.write().await?;
    if webhooks::count(&mut tx).await? >= u64::from(WEBHOOKS_MAX) {
        return Err(CreateError::TooMany);
    }
    webhooks::insert(&mut tx, allowed, webhook).await?;
    note(&mut tx, world, actor, Fact::WebhookCreated { webhook: webhook.id }).await?;
    tx.commit().await?;
    world.bus.hint(Hint::Facts);
    Ok(())
}

/// Writes address, types, event and state; says whether there is such a webhook. What waits for one that is turned off is
/// given up.
///
/// # Errors
///
/// Any [`DbError`] of a statement; [`DbError::Gone`] without its event.
pub async fn change(
    world: &World,
    allowed: &Allowed<Administer>,
    actor: Actor,
    webhook: &Webhook,
) -> Result<bool, DbError> {
    let mut tx = world.db.write().await?;
    if !webhooks::update(&mut tx, allowed, webhook).await? {
        return Ok(false);
    }
    note(&mut tx, world, actor, Fact::WebhookChanged { webhook: webhook.id }).await?;
    tx.commit().await?;
    world.bus.hint(Hint::Facts);
    if webhook.disabled.is_some() {
        give_up(world).await?;
    }
    Ok(true)
}

/// Puts a new secret in place; the old one signs as well for [`OVERLAP`]. Says whether there is such a webhook.
///
/// # Errors
///
/// Any [`DbError`] of a statement.
pub async fn rotate(
    world: &World,
    allowed: &Allowed<Administer>,
    actor: Actor,
    webhook: WebhookId,
    sealed: Vec<u8>,
) -> Result<bool, DbError> {
    let until = world.clock.now().plus(OVERLAP);
    let mut tx = world.db.write().await?;
    if !webhooks::rotate(&mut tx, allowed, webhook, sealed, until).await? {
        return Ok(false);
    }
    note(&mut tx, world, actor, Fact::WebhookRotated { webhook }).await?;
    tx.commit().await?;
    world.bus.hint(Hint::Facts);
    Ok(true)
}

/// Deletes a webhook with its deliveries; says whether there was one.
///
/// # Errors
///
/// Any [`DbError`] of a statement.
pub async fn delete(
    world: &World,
    allowed: &Allowed<Administer>,
    actor: Actor,
    webhook: WebhookId,
) -> Result<bool, DbError> {
    // Up to a hundred thousand and their attempts: in steps, between which others write. What comes meanwhile goes with it.
    loop {
        let mut tx = world.db.write().await?;
        let gone = deliveries::clear(&mut tx, webhook).await?;
        tx.commit().await?;
        if gone == 0 {
            break;
        }
    }
    let mut tx = world.db.write().await?;
    if !webhooks::delete(&mut tx, allowed, webhook).await? {
        return Ok(false);
    }
    note(&mut tx, world, actor, Fact::WebhookDeleted { webhook }).await?;
    tx.commit().await?;
    world.bus.hint(Hint::Facts);
    Ok(true)
}

/// Sends something that means nothing, to see whether it arrives.
///
/// # Errors
///
/// Any [`DbError`] of a statement; [`DbError::Gone`] without such a webhook.
pub async fn test(world: &World, _: &Allowed<Administer>, webhook: WebhookId) -> Result<Delivery, DbError> {
    let now = world.clock.now();
    let delivery = Delivery {
        id: DeliveryId::new(world.random.uuid(now)),
        webhook,
        fact: None,
        kind: TEST.to_owned(),
        body: payload(TEST, now, json!({"webhook": webhook.to_string()})),
        state: State::Waiting,
        attempts: 0,
        due_at: now,
        created_at: now,
    };
    let mut tx = world.db.write().await?;
    deliveries::insert(&mut tx, &delivery).await?;
    tx.commit().await?;
    world.bus.hint(Hint::Deliveries);
    Ok(delivery)
}

/// Sends a delivery once more, with the same id; says whether there is such a delivery.
///
/// # Errors
///
/// Any [`DbError`] of a statement.
pub async fn replay(
    world: &World,
    _: &Allowed<Administer>,
    actor: Actor,
    webhook: WebhookId,
    delivery: DeliveryId,
) -> Result<bool, DbError> {
    let mut tx = world.db.write().await?;
    if !deliveries::replay(&mut tx, webhook, delivery, world.clock.now()).await? {
        return Ok(false);
    }
    note(&mut tx, world, actor, Fact::WebhookReplayed { webhook, delivery }).await?;
    tx.commit().await?;
    world.bus.hint(Hint::Deliveries);
    Ok(true)
}
