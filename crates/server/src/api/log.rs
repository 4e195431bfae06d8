//! The log of what happened: looked through, and taken away with its proof.

use std::collections::BTreeMap;

use axum::body::{Body as HttpBody, Bytes};
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use futures_util::stream;
use http::header::{CACHE_CONTROL, CONTENT_DISPOSITION, CONTENT_TYPE};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use stagedoor_domain::Time;
use stagedoor_domain::access::Audit;
use stagedoor_domain::id::{EventId, FactId};
use utoipa::{IntoParams, ToSchema};

use super::Api;
use super::extract::{Json, Organiser, Page, Paging, Query};
use super::problem::{Body, Problem};
use crate::facts::seal::ExportError;
use crate::ports::db::facts::{self, Kept, Wanted};
use crate::ports::db::names;

/// Which entries are wanted; every parameter narrows.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct Filter {
    /// Of this event.
    event: Option<String>,
    /// By them: the id of a person, a token or a viewer, or `operator`, `publisher`, `system`, `stranger`.
    #[param(max_length = 60)]
    actor: Option<String>,
    /// A type (`stream.live`), or a group of types (`stream.*`).
    #[param(max_length = 60)]
    r#type: Option<String>,
    /// Not before.
    #[param(value_type = Option<String>, format = DateTime)]
    from: Option<String>,
    /// Before.
    #[param(value_type = Option<String>, format = DateTime)]
    to: Option<String>,
    /// Entries at most: 1 to 100, by default 50.
    #[param(minimum = 1, maximum = 100, default = 50)]
    limit: Option<u32>,
    /// `next_cursor` of the page before.
    cursor: Option<String>,
}

impl Filter {
    fn wanted(&self) -> Result<Wanted, Problem> {
        let time = |pointer: &str, text: &Option<String>| {
            let time = text.as_deref().map(str::parse::<Time>).transpose();
            time.map_err(|_| {
                Problem::field(pointer, "This is not a time as in RFC 3339, such as 2026-11-21T18:00:00Z.")
            })
        };
        let event = self.event.as_deref().map(str::parse::<EventId>).transpose();
        let word = |pointer: &str, text: &Option<String>| {
            let fits = |text: &str| {
                text.len() <= 60
                    && text
                        .bytes()
                        .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"_.".contains(&byte))
            };
            match text {
                Some(text) if !fits(text) => Err(Problem::field(pointer, "There is nothing of that name.")),
                text => Ok(text.clone()),
            }
        };
        // A group's star stands for whatever follows the dot.
        let kind =
            self.r#type.as_ref().map(|kind| kind.strip_suffix(".*").map_or(kind.clone(), |group| format!("{group}.")));
        Ok(Wanted {
            event: event.map_err(|_| Problem::field("/event", "This is not the id of an event."))?,
            actor: word("/actor", &self.actor)?,
            kind: word("/type", &kind)?,
            from: time("/from", &self.from)?,
            to: time("/to", &self.to)?,
        })
    }
}

/// Something that happened.
#[derive(Serialize, ToSchema)]
pub(super) struct LogEntry {
    /// The entry.
    #[schema(value_type = String, examples("fct_01kaf3x6m8e9t8s2v4w6y8z0ab"))]
    id: FactId,
    /// Its number in the sealed chain; absent for a few seconds after it happened.
    seq: Option<u64>,
    /// When it happened.
    #[schema(value_type = String, format = DateTime)]
    at: Time,
    /// Who did it: an id, or `operator`, `publisher`, `system`, `stranger`.
    actor: String,
    /// What happened.
    #[schema(examples("session.started"))]
    r#type: String,
    /// The event it belongs to.
    #[schema(value_type = Option<String>)]
    event: Option<EventId>,
    /// The ids it is about, by their role.
    #[schema(value_type = Object)]
    data: Value,
}

impl From<Kept> for LogEntry {
    fn from(kept: Kept) -> Self {
        let mut data: Value = serde_json::from_str(&kept.data).unwrap_or_default();
        if let Some(fields) = data.as_object_mut() {
            fields.remove("type");
        }
        Self { id: kept.id, seq: kept.seq, at: kept.at, actor: kept.actor, r#type: kept.kind, event: kept.event, data }
    }
}

/// A part of the log.
#[derive(Serialize, ToSchema)]
pub(super) struct LogPage {
    /// The entries, newest first.
    data: Vec<LogEntry>,
    /// For the next page; absent on the last one.
    next_cursor: Option<String>,
    /// What the ids in these entries are called now, as far as they still have names.
    names: BTreeMap<String, String>,
}

/// Look through the log.
#[utoipa::path(get, path = "/api/v1/log", operation_id = "list_log", tag = "log", params(Filter),
    security(("organiser_cookie" = []), ("api_token" = [])),
    responses((status = 200, body = LogPage), (status = "default", body = Body)))]
pub(super) async fn list(
    State(api): State<Api>,
    organiser: Organiser,
    Query(filter): Query<Filter>,
) -> Result<Json<LogPage>, Problem> {
    let _allowed = organiser.may(&api, Audit)?;
    let wanted = filter.wanted()?;
    let paging = Paging { limit: filter.limit, cursor: filter.cursor };
    let limit = paging.limit()?;
    let rows = facts::find(&api.db, &wanted, paging.cursor()?, limit + 1).await?;
    let page = Page::of(rows, limit, |row| row.id.to_string(), LogEntry::from);
    let ids = page.data.iter().flat_map(|entry| {
        let inside = entry.data.as_object().into_iter().flat_map(|fields| fields.values()).filter_map(Value::as_str);
        inside.chain([entry.actor.as_str()]).collect::<Vec<_>>()
    });
    let names = names::of(&api.db, ids).await?;
    Ok(Json(LogPage { data: page.data, next_cursor: page.next_cursor, names }))
}

/// How far the log is sealed.
#[derive(Serialize, ToSchema)]
pub(super) struct LogKey {
    /// Always `Ed25519`.
    algorithm: &'static str,
    /// The public key: 32 bytes in base64.
    public_key: String,
    /// What people compare, and note somewhere else: the hash of the key.
    #[schema(examples("SHA256:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU"))]
    fingerprint: String,
    /// Entries in the sealed chain.
    sealed: u64,
    /// The last entry that a checkpoint signs.
    signed: u64,
    /// When that was signed; absent before the first.
    #[schema(value_type = Option<String>, format = DateTime)]
    signed_at: Option<Time>,
}

/// The key that signs the log, and how far it has.
#[utoipa::path(get, path = "/api/v1/log/key", operation_id = "log_key", tag = "log",
    security(("organiser_cookie" = []), ("api_token" = [])),
    responses((status = 200, body = LogKey), (status = "default", body = Body)))]
pub(super) async fn key(State(api): State<Api>, organiser: Organiser) -> Result<Json<LogKey>, Problem> {
    let _allowed = organiser.may(&api, Audit)?;
    let sealed = api.sealer.sealed().await?;
    Ok(Json(LogKey {
        algorithm: "Ed25519",
        public_key: sealed.key,
        fingerprint: sealed.fingerprint,
        sealed: sealed.head.seq,
        signed: sealed.head.checkpoint_seq,
        signed_at: (sealed.head.checkpoint_seq > 0).then_some(sealed.head.checkpoint_at),
    }))
}

/// Where an export begins.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct After {
    /// Only entries behind this number; by default all.
    #[param(minimum = 0, default = 0)]
    after: Option<u64>,
}

/// Take the log away: a JSON line for each entry, with signed checkpoints and a signed end. `stagedoor verify-audit` says
/// whether such a file is whole and unchanged.
#[utoipa::path(get, path = "/api/v1/log/export", operation_id = "export_log", tag = "log", params(After),
    security(("organiser_cookie" = []), ("api_token" = [])),
    responses(
        (status = 200, body = String, content_type = "application/jsonl", description = "The log"),
        (status = "default", body = Body),
    ))]
pub(super) async fn export(
    State(api): State<Api>,
    organiser: Organiser,
    Query(After { after }): Query<After>,
) -> Result<Response, Problem> {
    let allowed = organiser.may(&api, Audit)?;
    let export =
        api.sealer.export(&allowed, organiser.0.actor, after.unwrap_or(0)).await.map_err(|error| match error {
            ExportError::NoSuchEntry => Problem::field("/after", "The log has no such entry."),
            ExportError::Db(error) => error.into(),
        })?;
    let pieces = stream::try_unfold(export, async |mut export| {
        let piece = export.piece().await?;
        Ok::<_, crate::ports::db::DbError>(piece.map(|piece| (Bytes::from(piece), export)))
    });
    let headers = [
        (CONTENT_TYPE, "application/jsonl"),
        (CONTENT_DISPOSITION, "attachment; filename=\"stagedoor-log.jsonl\""),
        (CACHE_CONTROL, "no-store"),
    ];
    Ok((headers, HttpBody::from_stream(pieces)).into_response())
}
