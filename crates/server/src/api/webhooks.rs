//! Webhooks: where facts are delivered to, and what became of each delivery.

use axum::extract::State;
use http::StatusCode;
use serde::{Deserialize, Serialize};
use stagedoor_domain::Time;
use stagedoor_domain::access::Administer;
use stagedoor_domain::id::{DeliveryId, EventId, FactId, WebhookId};
use stagedoor_domain::webhook::is_type;
use utoipa::ToSchema;

use super::Api;
use super::extract::{Json, Organiser, Page, Paging, Path, Query};
use super::problem::{Body, FieldError, Problem};
use crate::facts::hooks::{self, CreateError};
use crate::ports::db::DbError;
use crate::ports::db::deliveries::{self, Attempt as AttemptRow, Delivery as DeliveryRow, State as DeliveryState};
use crate::ports::db::webhooks::{self, Disabled, Webhook as Row};

/// Types that one webhook may name.
const TYPES_MAX: usize = 50;
/// Attempts that are shown with a delivery.
const ATTEMPTS_SHOWN: u32 = 20;

/// Where facts are delivered to.
#[derive(Serialize, ToSchema)]
pub(super) struct Webhook {
    /// The webhook.
    #[schema(value_type = String, examples("whk_01kaf3x6m8e9t8s2v4w6y8z0ab"))]
    id: WebhookId,
    /// The address.
    #[schema(examples("https://hooks.example.org/stagedoor"))]
    url: String,
    /// Types of facts (`stream.live`) and groups of them (`stream.*`); none means all.
    types: Vec<String>,
    /// Only facts of this event.
    #[schema(value_type = Option<String>)]
    event: Option<EventId>,
    /// Whether anything is sent.
    state: StateName,
    /// Why nothing is: `by_hand`, `gone` (the receiver answered 410), `failing` (a delivery was tried for days in vain),
    /// `backlog` (too many deliveries waited).
    disabled_because: Option<&'static str>,
    /// Nothing is sent until then, because the receiver asked for it.
    #[schema(value_type = Option<String>, format = DateTime)]
    paused_until: Option<Time>,
    /// Until when the secret before the present one signs as well.
    #[schema(value_type = Option<String>, format = DateTime)]
    previous_secret_until: Option<Time>,
    /// When it was made.
    #[schema(value_type = String, format = DateTime)]
    created_at: Time,
}

/// Whether anything is sent to a webhook.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
#[schema(as = WebhookState)]
pub(super) enum StateName {
    /// Facts are delivered.
    Active,
    /// Nothing is sent.
    Disabled,
}

impl Webhook {
    fn of(row: Row, now: Time) -> Self {
        Self {
            state: if row.disabled.is_some() { StateName::Disabled } else { StateName::Active },
            disabled_because: row.disabled.map(Disabled::as_str),
            paused_until: (row.paused_until > now).then_some(row.paused_until),
            previous_secret_until: row.previous.map(|(_, until)| until).filter(|until| *until > now),
            id: row.id,
            url: row.url,
            types: row.types,
            event: row.event,
            created_at: row.created_at,
        }
    }
}

/// A webhook with its new secret, which is shown this once.
#[derive(Serialize, ToSchema)]
pub(super) struct WebhookSecret {
    #[serde(flatten)]
    webhook: Webhook,
    /// What deliveries are signed with, as libraries for Standard Webhooks want it.
    #[schema(examples("whsec_…"))]
    secret: String,
}

/// A new webhook.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NewWebhook {
    /// The address: http or https, on the public internet unless the server's configuration says otherwise.
    #[schema(max_length = 2000)]
    url: String,
    /// Types of facts and groups of them; none means all.
    #[serde(default)]
    types: Vec<String>,
    /// Only facts of this event.
    #[schema(value_type = Option<String>)]
    event: Option<EventId>,
}

/// What changes; absent fields stay.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct WebhookChanges {
    /// The address.
    #[schema(max_length = 2000)]
    url: Option<String>,
    /// Types of facts and groups of them; none means all.
    types: Option<Vec<String>>,
    /// Turn it on or off. What waits for one that is turned off is given up.
    state: Option<StateName>,
}

fn checked(api: &Api, url: Option<&str>, types: Option<&[String]>) -> Result<(), Problem> {
    let mut errors = Vec::new();
    let mut wrong = |pointer: String, detail: String| errors.push(FieldError { pointer, detail });
    if let Some(url) = url
        && let Err(refused) = api.fetch.check(url)
    {
        let text = refused.to_string();
        let mut letters = text.chars();
        let first = letters.next().map(char::to_uppercase).into_iter().flatten();
        wrong("/url".to_owned(), format!("{}.", first.chain(letters).collect::<String>()));
    }
    let types = types.unwrap_or_default();
    if types.len() > TYPES_MAX {
        wrong("/types".to_owned(), format!("These are more than {TYPES_MAX}."));
    }
    for (at, kind) in types.iter().enumerate().filter(|(_, kind)| !is_type(kind)) {
        let _ = kind;
        wrong(format!("/types/{at}"), "Write a type as stream.live, or a group of types as stream.*.".to_owned());
    }
    if errors.is_empty() { Ok(()) } else { Err(Problem::invalid(errors)) }
}

/// Without its event there is no webhook for it.
fn no_event(error: DbError) -> Problem {
    match error {
        DbError::Gone => Problem::field("/event", "There is no such event."),
        error => error.into(),
    }
}

/// All webhooks.
#[utoipa::path(get, path = "/api/v1/webhooks", operation_id = "list_webhooks", tag = "webhooks", params(Paging),
    security(("organiser_cookie" = []), ("api_token" = [])),
    responses((status = 200, body = Page<Webhook>), (status = "default", body = Body)))]
pub(super) async fn list(
    State(api): State<Api>,
    organiser: Organiser,
    Query(paging): Query<Paging>,
) -> Result<Json<Page<Webhook>>, Problem> {
    let _allowed = organiser.may(&api, Administer)?;
    let (limit, now) = (paging.limit()?, api.clock.now());
    let rows = webhooks::list(&api.db, paging.cursor()?, limit + 1).await?;
    Ok(Json(Page::of(rows, limit, |row| row.id.to_string(), |row| Webhook::of(row, now))))
}

/// Make a webhook. Its secret is in the answer and nowhere else.
#[utoipa::path(post, path = "/api/v1/webhooks", operation_id = "create_webhook", tag = "webhooks",
    request_body = NewWebhook, security(("organiser_cookie" = []), ("api_token" = [])),
    responses(
        (status = 201, body = WebhookSecret),
        (status = 409, body = Body, description = "`too_many_webhooks`"),
        (status = 422, body = Body),
        (status = "default", body = Body),
    ))]
pub(super) async fn create(
    State(api): State<Api>,
    organiser: Organiser,
    Json(new): Json<NewWebhook>,
) -> Result<(StatusCode, Json<WebhookSecret>), Problem> {
    let allowed = organiser.may(&api, Administer)?;
    checked(&api, Some(&new.url), Some(&new.types))?;
    let now = api.clock.now();
    let id = WebhookId::new(api.random.uuid(now));
    let (secret, sealed) = api.access.fresh_webhook_secret(&allowed, id);
    let row = Row {
        id,
        url: new.url,
        types: new.types,
        event: new.event,
        disabled: None,
        secret: sealed,
        previous: None,
        paused_until: Time::from_millis(0),
        created_at: now,
    };
    hooks::create(&api.world(), &allowed, organiser.0.actor, &row).await.map_err(|error| match error {
        CreateError::TooMany => {
            Problem::new(StatusCode::CONFLICT, "too_many_webhooks", "There are as many webhooks as there may be.")
        }
        CreateError::Db(error) => no_event(error),
    })?;
    let made = WebhookSecret { webhook: Webhook::of(row, now), secret: secret.expose().to_owned() };
    Ok((StatusCode::CREATED, Json(made)))
}

async fn found(api: &Api, id: WebhookId) -> Result<Row, Problem> {
    webhooks::get(&api.db, id).await?.ok_or_else(Problem::not_found)
}

/// One webhook.
#[utoipa::path(get, path = "/api/v1/webhooks/{webhook}", operation_id = "read_webhook", tag = "webhooks",
    params(("webhook" = String, Path)), security(("organiser_cookie" = []), ("api_token" = [])),
    responses((status = 200, body = Webhook), (status = 404, body = Body), (status = "default", body = Body)))]
pub(super) async fn read(
    State(api): State<Api>,
    organiser: Organiser,
    Path(id): Path<WebhookId>,
) -> Result<Json<Webhook>, Problem> {
    let _allowed = organiser.may(&api, Administer)?;
    Ok(Json(Webhook::of(found(&api, id).await?, api.clock.now())))
}

/// Change a webhook, or turn it on or off.
#[utoipa::path(patch, path = "/api/v1/webhooks/{webhook}", operation_id = "change_webhook", tag = "webhooks",
    params(("webhook" = String, Path)), request_body = WebhookChanges,
    security(("organiser_cookie" = []), ("api_token" = [])),
    responses((status = 200, body = Webhook), (status = 404, body = Body), (status = 422, body = Body),
        (status = "default", body = Body)))]
pub(super) async fn change(
    State(api): State<Api>,
    organiser: Organiser,
    Path(id): Path<WebhookId>,
    Json(changes): Json<WebhookChanges>,
) -> Result<Json<Webhook>, Problem> {
    let allowed = organiser.may(&api, Administer)?;
    let before = found(&api, id).await?;
    checked(&api, changes.url.as_deref(), changes.types.as_deref())?;
    let (disabled, paused_until) = match changes.state {
        Some(StateName::Active) => (None, Time::from_millis(0)),
        Some(StateName::Disabled) => (before.disabled.or(Some(Disabled::ByHand)), before.paused_until),
        None => (before.disabled, before.paused_until),
    };
    let row = Row {
        url: changes.url.unwrap_or(before.url),
        types: changes.types.unwrap_or(before.types),
        disabled,
        paused_until,
        ..before
    };
    if !hooks::change(&api.world(), &allowed, organiser.0.actor, &row).await? {
        return Err(Problem::not_found());
    }
    Ok(Json(Webhook::of(row, api.clock.now())))
}

/// Delete a webhook with its deliveries.
#[utoipa::path(delete, path = "/api/v1/webhooks/{webhook}", operation_id = "delete_webhook", tag = "webhooks",
    params(("webhook" = String, Path)), security(("organiser_cookie" = []), ("api_token" = [])),
    responses((status = 204, description = "Deleted"), (status = 404, body = Body), (status = "default", body = Body)))]
pub(super) async fn delete(
    State(api): State<Api>,
    organiser: Organiser,
    Path(id): Path<WebhookId>,
) -> Result<StatusCode, Problem> {
    let allowed = organiser.may(&api, Administer)?;
    match hooks::delete(&api.world(), &allowed, organiser.0.actor, id).await? {
        true => Ok(StatusCode::NO_CONTENT),
        false => Err(Problem::not_found()),
    }
}

/// Give a webhook a new secret. For a day deliveries carry two signatures, one with each secret.
#[utoipa::path(post, path = "/api/v1/webhooks/{webhook}/rotate", operation_id = "rotate_webhook", tag = "webhooks",
    params(("webhook" = String, Path)), security(("organiser_cookie" = []), ("api_token" = [])),
    responses((status = 200, body = WebhookSecret), (status = 404, body = Body), (status = "default", body = Body)))]
pub(super) async fn rotate(
    State(api): State<Api>,
    organiser: Organiser,
    Path(id): Path<WebhookId>,
) -> Result<Json<WebhookSecret>, Problem> {
    let allowed = organiser.may(&api, Administer)?;
    let (secret, sealed) = api.access.fresh_webhook_secret(&allowed, id);
    if !hooks::rotate(&api.world(), &allowed, organiser.0.actor, id, sealed).await? {
        return Err(Problem::not_found());
    }
    let webhook = Webhook::of(found(&api, id).await?, api.clock.now());
    Ok(Json(WebhookSecret { webhook, secret: secret.expose().to_owned() }))
}

/// One fact on its way to one webhook.
#[derive(Serialize, ToSchema)]
pub(super) struct Delivery {
    /// The delivery; the receiver knows it as `webhook-id`.
    #[schema(value_type = String, examples("dlv_01kaf3x6m8e9t8s2v4w6y8z0ab"))]
    id: DeliveryId,
    /// The fact; absent for a test.
    #[schema(value_type = Option<String>)]
    fact: Option<FactId>,
    /// The fact's type.
    #[schema(examples("session.started"))]
    r#type: String,
    /// `waiting`, `delivered` or `failed`.
    #[schema(examples("delivered"))]
    state: &'static str,
    /// When it is tried next.
    #[schema(value_type = Option<String>, format = DateTime)]
    next_at: Option<Time>,
    /// When it was made.
    #[schema(value_type = String, format = DateTime)]
    created_at: Time,
    /// What is sent.
    body: String,
    /// The last attempts, newest first.
    attempts: Vec<Attempt>,
}

/// One try.
#[derive(Serialize, ToSchema)]
#[schema(as = DeliveryAttempt)]
pub(super) struct Attempt {
    /// When it began.
    #[schema(value_type = String, format = DateTime)]
    at: Time,
    /// What the receiver answered.
    status: Option<u16>,
    /// Why there was no answer.
    error: Option<String>,
    /// How long it took.
    took_ms: u64,
}

impl Delivery {
    fn of(row: DeliveryRow, attempts: Vec<AttemptRow>) -> Self {
        let attempts = attempts.into_iter().map(|attempt| Attempt {
            at: attempt.at,
            status: attempt.status,
            error: attempt.error,
            took_ms: u64::try_from(attempt.took.as_millis()).unwrap_or(u64::MAX),
        });
        Self {
            id: row.id,
            fact: row.fact,
            r#type: row.kind,
            state: row.state.as_str(),
            next_at: (row.state == DeliveryState::Waiting).then_some(row.due_at),
            created_at: row.created_at,
            body: row.body,
            attempts: attempts.collect(),
        }
    }
}

/// Deliveries of the last 30 days.
#[utoipa::path(get, path = "/api/v1/webhooks/{webhook}/deliveries", operation_id = "list_deliveries", tag = "webhooks",
    params(("webhook" = String, Path), Paging), security(("organiser_cookie" = []), ("api_token" = [])),
    responses((status = 200, body = Page<Delivery>), (status = 404, body = Body), (status = "default", body = Body)))]
pub(super) async fn list_deliveries(
    State(api): State<Api>,
    organiser: Organiser,
    Path(id): Path<WebhookId>,
    Query(paging): Query<Paging>,
) -> Result<Json<Page<Delivery>>, Problem> {
    let _allowed = organiser.may(&api, Administer)?;
    found(&api, id).await?;
    let limit = paging.limit()?;
    let rows = deliveries::list(&api.db, id, paging.cursor()?, limit + 1).await?;
    let mut with_attempts = Vec::new();
    for row in rows {
        let attempts = deliveries::attempts(&api.db, row.id, ATTEMPTS_SHOWN).await?;
        with_attempts.push((row, attempts));
    }
    Ok(Json(Page::of(
        with_attempts,
        limit,
        |(row, _)| row.id.to_string(),
        |(row, attempts)| Delivery::of(row, attempts),
    )))
}

/// Send a test: a delivery of type `webhook.test`.
#[utoipa::path(post, path = "/api/v1/webhooks/{webhook}/test", operation_id = "test_webhook", tag = "webhooks",
    params(("webhook" = String, Path)), security(("organiser_cookie" = []), ("api_token" = [])),
    responses(
        (status = 202, body = Delivery),
        (status = 404, body = Body),
        (status = 409, body = Body, description = "`webhook_disabled`"),
        (status = "default", body = Body),
    ))]
pub(super) async fn test(
    State(api): State<Api>,
    organiser: Organiser,
    Path(id): Path<WebhookId>,
) -> Result<(StatusCode, Json<Delivery>), Problem> {
    let allowed = organiser.may(&api, Administer)?;
    active(&api, id).await?;
    let delivery = hooks::test(&api.world(), &allowed, id).await?;
    Ok((StatusCode::ACCEPTED, Json(Delivery::of(delivery, Vec::new()))))
}

async fn active(api: &Api, id: WebhookId) -> Result<(), Problem> {
    match found(api, id).await?.disabled {
        None => Ok(()),
        Some(_) => {
            let detail = "Nothing is sent to this webhook. Turn it on first.";
            Err(Problem::new(StatusCode::CONFLICT, "webhook_disabled", detail))
        }
    }
}

/// Send a delivery once more, with the same `webhook-id`.
#[utoipa::path(post, path = "/api/v1/webhooks/{webhook}/deliveries/{delivery}/replay", operation_id = "replay_delivery",
    tag = "webhooks", params(("webhook" = String, Path), ("delivery" = String, Path)),
    security(("organiser_cookie" = []), ("api_token" = [])),
    responses(
        (status = 202, body = Delivery),
        (status = 404, body = Body),
        (status = 409, body = Body, description = "`webhook_disabled`"),
        (status = "default", body = Body),
    ))]
pub(super) async fn replay(
    State(api): State<Api>,
    organiser: Organiser,
    Path((id, delivery)): Path<(WebhookId, DeliveryId)>,
) -> Result<(StatusCode, Json<Delivery>), Problem> {
    let allowed = organiser.may(&api, Administer)?;
    active(&api, id).await?;
    if !hooks::replay(&api.world(), &allowed, organiser.0.actor, id, delivery).await? {
        return Err(Problem::not_found());
    }
    let row = deliveries::get(&api.db, id, delivery).await?.ok_or_else(Problem::not_found)?;
    let attempts = deliveries::attempts(&api.db, row.id, ATTEMPTS_SHOWN).await?;
    Ok((StatusCode::ACCEPTED, Json(Delivery::of(row, attempts))))
}
