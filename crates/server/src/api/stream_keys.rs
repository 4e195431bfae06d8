//! Stream keys: what they are good for, how they are replaced, when they were last used.

use std::time::Duration;

use axum::extract::State;
use http::StatusCode;
use serde::{Deserialize, Serialize};
use stagedoor_domain::Time;
use stagedoor_domain::access::Broadcast;
use stagedoor_domain::event::Policy;
use stagedoor_domain::id::{EventId, KeyId};
use stagedoor_domain::network::Network;
use stagedoor_domain::publish::{GRACE, Limits, OVERLAP_MAX};
use utoipa::ToSchema;

use super::extract::{Json, Organiser, Page, Paging, Path, Query, line, present, room};
use super::policy::PublishLimits;
use super::problem::{Body, Problem};
use super::{Api, carried_out};
use crate::access::{NewKey, Rotated};
use crate::ports::db::stream_keys;

/// A stream key, without its text.
#[derive(Serialize, ToSchema)]
pub(super) struct StreamKey {
    /// The key's row.
    #[schema(value_type = String)]
    id: KeyId,
    /// Its last letters.
    #[schema(examples("****abcd"))]
    hint: String,
    /// What organisers call it; may be empty.
    name: String,
    /// Only from these ranges of addresses; empty for all.
    #[schema(value_type = Vec<String>)]
    networks: Vec<Network>,
    /// What may be sent with it; `null` for what the event allows.
    #[schema(value_type = Option<PublishLimits>)]
    limits: Option<Limits>,
    /// Good for one broadcast, with all its reconnections.
    one_time: bool,
    /// That broadcast is over.
    used_up: bool,
    /// When it was made.
    #[schema(value_type = String, format = DateTime)]
    created_at: Time,
    /// When it ends by itself: nobody comes in with it any more.
    #[schema(value_type = Option<String>, format = DateTime)]
    expires_at: Option<Time>,
    /// When a broadcast is stopped that is on air with it at its end: five minutes after it.
    #[schema(value_type = Option<String>, format = DateTime)]
    stops_at: Option<Time>,
    /// When it was withdrawn.
    #[schema(value_type = Option<String>, format = DateTime)]
    revoked_at: Option<Time>,
    /// When a publisher last came with it.
    #[schema(value_type = Option<String>, format = DateTime)]
    last_used_at: Option<Time>,
    /// From where its last broadcast came, as far as anybody knows.
    #[schema(examples("Lyon, France"))]
    last_place: Option<String>,
    /// The block of addresses that it came from; the address itself is not kept.
    #[schema(value_type = Option<String>, examples("203.0.0.0/16"))]
    last_network: Option<Network>,
}

impl From<stream_keys::StreamKey> for StreamKey {
    fn from(key: stream_keys::StreamKey) -> Self {
        Self {
            id: key.id,
            hint: key.hint,
            name: key.name,
            networks: key.networks,
            limits: key.limits,
            one_time: key.one_time,
            used_up: key.used_up,
            created_at: key.created_at,
            expires_at: key.expires_at,
            stops_at: key.expires_at.map(|end| end.plus(GRACE)),
            revoked_at: key.revoked_at,
            last_used_at: key.last_used_at,
            last_place: key.last_place,
            last_network: key.last_origin.map(|origin| origin.block),
        }
    }
}

/// A new stream key with its text.
#[derive(Serialize, ToSchema)]
pub(super) struct StreamKeyMade {
    #[serde(flatten)]
    row: StreamKey,
    /// For the encoder.
    key: String,
}

/// What a stream key is made from.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NewStreamKey {
    /// One line, at most 200 characters: whom it is for.
    #[schema(max_length = 200)]
    name: Option<String>,
    /// When it ends by itself; without it, never.
    #[schema(value_type = Option<String>, format = DateTime)]
    expires_at: Option<Time>,
    /// Only from these ranges of addresses; without any, from everywhere.
    #[serde(default)]
    #[schema(value_type = Option<Vec<String>>, max_items = 256, examples(json!(["192.0.2.0/24"])))]
    networks: Vec<Network>,
    /// What may be sent with it, instead of what the event allows.
    #[schema(value_type = Option<PublishLimits>)]
    limits: Option<Limits>,
    /// Good for one broadcast, with all its reconnections.
    #[serde(default)]
    one_time: bool,
}

/// What changes of a stream key; what is absent stays.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct StreamKeyChange {
    /// One line, at most 200 characters; empty for none.
    #[schema(max_length = 200)]
    name: Option<String>,
    /// When it ends by itself; `null` for never. Counts at once, also for a broadcast that is on air with it.
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = Option<String>, format = DateTime)]
    expires_at: Option<Option<Time>>,
    /// Only from these ranges of addresses; empty for all. Counts from the next connection on.
    #[schema(value_type = Option<Vec<String>>, max_items = 256)]
    networks: Option<Vec<Network>>,
    /// What may be sent with it; `null` for what the event allows. Counts from the next connection on.
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = Option<PublishLimits>)]
    limits: Option<Option<Limits>>,
}

/// How a stream key is replaced.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Rotation {
    /// How long the old key goes on, in seconds.
    #[schema(minimum = 60, maximum = 86_400, default = 900)]
    overlap_s: Option<u64>,
}

/// Long enough to type a key into an encoder, short enough to be over tonight.
const OVERLAP_DEFAULT: Duration = Duration::from_secs(15 * 60);
/// Shorter is no overlap: whoever wants none revokes the key.
const OVERLAP_MIN: Duration = Duration::from_secs(60);

/// A stream key and its successor.
#[derive(Serialize, ToSchema)]
pub(super) struct StreamKeyRotated {
    /// The key that ends.
    old: StreamKey,
    /// The one that stays, with its text.
    new: StreamKeyMade,
}

fn name(text: &str) -> Result<String, Problem> {
    if text.trim().is_empty() { Ok(String::new()) } else { line("/name", text) }
}

fn networks(list: &[Network]) -> Result<(), Problem> {
    if list.len() <= Policy::LIST_MAX {
        Ok(())
    } else {
        Err(Problem::field("/networks", "There are at most 256 ranges."))
    }
}

fn limits(limits: Option<&Limits>) -> Result<(), Problem> {
    match limits {
        Some(limits) if !limits.are_possible() => Err(Problem::field("/limits", Limits::RANGES)),
        _ => Ok(()),
    }
}

fn in_future(api: &Api, end: Option<Time>) -> Result<(), Problem> {
    match end {
        Some(end) if end <= api.clock.now() => Err(Problem::field("/expires_at", "This is in the past.")),
        _ => Ok(()),
    }
}

/// The stream keys of an event, also those that were withdrawn.
#[utoipa::path(get, path = "/api/v1/events/{event}/stream-keys", tag = "events", operation_id = "list_keys",
    params(("event" = String, Path), Paging), security(("organiser_cookie" = []), ("api_token" = [])),
    responses((status = 200, body = Page<StreamKey>), (status = "default", body = Body)))]
pub(super) async fn list(
    State(api): State<Api>,
    organiser: Organiser,
    Path(event): Path<EventId>,
    Query(paging): Query<Paging>,
) -> Result<Json<Page<StreamKey>>, Problem> {
    let _allowed = organiser.may(&api, Broadcast { event })?;
    room(&api, event)?;
    let limit = paging.limit()?;
    let rows = stream_keys::list(&api.db, event, paging.cursor()?, limit + 1).await?;
    Ok(Json(Page::of(rows, limit, |row| row.id.to_string(), StreamKey::from)))
}

/// Make another stream key. Older ones go on working until they end or are withdrawn.
#[utoipa::path(post, path = "/api/v1/events/{event}/stream-keys", tag = "events", operation_id = "create_key",
    params(("event" = String, Path)), request_body = NewStreamKey,
    security(("organiser_cookie" = []), ("api_token" = [])),
    responses((status = 201, body = StreamKeyMade), (status = 422, body = Body), (status = "default", body = Body)))]
pub(super) async fn create(
    State(api): State<Api>,
    organiser: Organiser,
    Path(event): Path<EventId>,
    Json(new): Json<NewStreamKey>,
) -> Result<(StatusCode, Json<StreamKeyMade>), Problem> {
    let allowed = organiser.may(&api, Broadcast { event })?;
    room(&api, event)?;
    in_future(&api, new.expires_at)?;
    networks(&new.networks)?;
    limits(new.limits.as_ref())?;
    let new = NewKey {
        name: name(new.name.as_deref().unwrap_or_default())?,
        expires_at: new.expires_at,
        networks: new.networks,
        limits: new.limits,
        one_time: new.one_time,
    };
    let (row, text) = api.access.create_key(&allowed, organiser.0.actor, new).await?;
    Ok((StatusCode::CREATED, Json(StreamKeyMade { row: row.into(), key: text.expose().to_owned() })))
}

/// Change a stream key: name, end, ranges of addresses, limits.
#[utoipa::path(patch, path = "/api/v1/events/{event}/stream-keys/{key}", tag = "events", operation_id = "change_key",
    params(("event" = String, Path), ("key" = String, Path)), request_body = StreamKeyChange,
    security(("organiser_cookie" = []), ("api_token" = [])),
    responses((status = 200, body = StreamKey), (status = 404, body = Body), (status = 422, body = Body),
        (status = "default", body = Body)))]
pub(super) async fn change(
    State(api): State<Api>,
    organiser: Organiser,
    Path((event, key)): Path<(EventId, KeyId)>,
    Json(change): Json<StreamKeyChange>,
) -> Result<Json<StreamKey>, Problem> {
    let allowed = organiser.may(&api, Broadcast { event })?;
    let stream = room(&api, event)?.stream;
    in_future(&api, change.expires_at.flatten())?;
    networks(change.networks.as_deref().unwrap_or_default())?;
    limits(change.limits.flatten().as_ref())?;
    let called = change.name.as_deref().map(name).transpose()?;
    let row = carried_out(async move {
        let changed = api.access.change_key(&allowed, organiser.0.actor, key, |row| {
            row.name = called.unwrap_or(std::mem::take(&mut row.name));
            row.expires_at = change.expires_at.unwrap_or(row.expires_at);
            row.networks = change.networks.unwrap_or(std::mem::take(&mut row.networks));
            row.limits = change.limits.unwrap_or(row.limits);
        });
        let row = changed.await?.ok_or_else(Problem::not_found)?;
        api.hub.key_ends(stream, key, row.expires_at);
        Ok(row)
    });
    Ok(Json(row.await?.into()))
}

/// Replace a stream key without a gap: a new one with the same restrictions works at once, the old one ends a little
/// later.
#[utoipa::path(post, path = "/api/v1/events/{event}/stream-keys/{key}/rotate", tag = "events",
    operation_id = "rotate_key", params(("event" = String, Path), ("key" = String, Path)), request_body = Rotation,
    security(("organiser_cookie" = []), ("api_token" = [])),
    responses((status = 201, body = StreamKeyRotated),
        (status = 404, body = Body, description = "There is no such key, or it does not work any more"),
        (status = 422, body = Body), (status = "default", body = Body)))]
pub(super) async fn rotate(
    State(api): State<Api>,
    organiser: Organiser,
    Path((event, key)): Path<(EventId, KeyId)>,
    Json(rotation): Json<Rotation>,
) -> Result<(StatusCode, Json<StreamKeyRotated>), Problem> {
    let allowed = organiser.may(&api, Broadcast { event })?;
    let stream = room(&api, event)?.stream;
    let overlap = rotation.overlap_s.map_or(OVERLAP_DEFAULT, Duration::from_secs);
    if !(OVERLAP_MIN..=OVERLAP_MAX).contains(&overlap) {
        return Err(Problem::field("/overlap_s", "Between a minute and a day."));
    }
    let rotated = carried_out(async move {
        let rotated = api.access.rotate_key(&allowed, organiser.0.actor, key, overlap).await?;
        let rotated = rotated.ok_or_else(Problem::not_found)?;
        api.hub.key_ends(stream, key, rotated.old.expires_at);
        Ok(rotated)
    });
    let Rotated { old, new, text } = rotated.await?;
    let new = StreamKeyMade { row: new.into(), key: text.expose().to_owned() };
    Ok((StatusCode::CREATED, Json(StreamKeyRotated { old: old.into(), new })))
}

/// Withdraw a stream key. Whoever publishes with it is disconnected.
#[utoipa::path(delete, path = "/api/v1/events/{event}/stream-keys/{key}", tag = "events", operation_id = "revoke_key",
    params(("event" = String, Path), ("key" = String, Path)),
    security(("organiser_cookie" = []), ("api_token" = [])),
    responses((status = 204, description = "Withdrawn"), (status = 404, body = Body), (status = "default", body = Body)))]
pub(super) async fn revoke(
    State(api): State<Api>,
    organiser: Organiser,
    Path((event, key)): Path<(EventId, KeyId)>,
) -> Result<StatusCode, Problem> {
    let allowed = organiser.may(&api, Broadcast { event })?;
    let stream = room(&api, event)?.stream;
    carried_out(async move {
        let revoked = api.access.revoke_key(&allowed, organiser.0.actor, key).await?;
        // Also for one that was withdrawn before, if it is of this stream: the answer to that may have been lost.
        api.hub.revoke(stream, key);
        if revoked { Ok(StatusCode::NO_CONTENT) } else { Err(Problem::not_found()) }
    })
    .await
}
