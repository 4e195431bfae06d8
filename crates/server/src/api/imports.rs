//! Lists of invitees that come in.

use axum::body::Body as HttpBody;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures_util::stream;
use http::header::{CONTENT_DISPOSITION, CONTENT_LENGTH, CONTENT_TYPE};
use http::{HeaderMap, StatusCode};
use serde::{Deserialize, Serialize};
use stagedoor_domain::Time;
use stagedoor_domain::access::{Look, Organise, SeePeople};
use stagedoor_domain::event::Country;
use stagedoor_domain::id::{EventId, ImportId};
use stagedoor_domain::sheet::{Columns, csv_row};
use utoipa::{IntoParams, ToSchema};

use super::Api;
use super::extract::{Json, Organiser, Page, Paging, Path, Query, room};
use super::people::{language, tags};
use super::problem::{Body, Problem};
use crate::people::{ImportError, Settings, Upload, View};
use crate::ports::db::DbError;
use crate::ports::db::imports::{self, State as ListState};

/// Where a list stands.
#[derive(Clone, Copy, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum ImportState {
    /// It waits for `start`.
    Uploaded,
    /// It is being read.
    Running,
    /// It was read to its end.
    Done,
    /// It cannot be read on; see `failure`.
    Failed,
    /// Somebody stopped it, or nobody started it for a day.
    Cancelled,
}

/// Which column holds what, counted from 0.
#[derive(Clone, Copy, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Mapping {
    /// Who they are, or their first name.
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<u16>,
    /// Their family name, put behind the name.
    #[serde(skip_serializing_if = "Option::is_none")]
    family: Option<u16>,
    /// Their telephone.
    #[serde(skip_serializing_if = "Option::is_none")]
    phone: Option<u16>,
    /// Their e-mail address.
    #[serde(skip_serializing_if = "Option::is_none")]
    email: Option<u16>,
    /// Their language.
    #[serde(skip_serializing_if = "Option::is_none")]
    language: Option<u16>,
    /// A note.
    #[serde(skip_serializing_if = "Option::is_none")]
    note: Option<u16>,
    /// How many guests they may bring, at most 100.
    #[serde(skip_serializing_if = "Option::is_none")]
    plus_ones: Option<u16>,
    /// Words to find them by, with commas between them: at most 20 of 50 characters. Whoever has some keeps them.
    #[serde(skip_serializing_if = "Option::is_none")]
    tags: Option<u16>,
}

impl From<Columns> for Mapping {
    fn from(columns: Columns) -> Self {
        let Columns { name, family, phone, email, language, note, plus_ones, tags } = columns;
        Self { name, family, phone, email, language, note, plus_ones, tags }
    }
}

impl From<Mapping> for Columns {
    fn from(mapping: Mapping) -> Self {
        let Mapping { name, family, phone, email, language, note, plus_ones, tags } = mapping;
        Self { name, family, phone, email, language, note, plus_ones, tags }
    }
}

/// A list of invitees.
#[derive(Serialize, ToSchema)]
pub(super) struct Import {
    /// The list.
    #[schema(value_type = String, examples("imp_01kaf3x6m8e9t8s2v4w6y8z0ab"))]
    id: ImportId,
    state: ImportState,
    /// What the file was called.
    name: String,
    /// Bytes of its text.
    bytes: u64,
    /// What the first row says about each column; numbers when it says nothing.
    columns: Vec<String>,
    /// Whether the first row is about the columns.
    header: bool,
    /// The first rows, for those who may see people, as long as the list is not started.
    sample: Vec<Vec<String>>,
    /// A guess before the list is started, then what was chosen.
    mapping: Mapping,
    /// Rows read.
    rows: u64,
    /// People invited.
    created: u64,
    /// Rows about people who were invited already.
    merged: u64,
    /// Rows that say nothing we understand.
    errors: u64,
    /// Until it is done.
    eta_ms: Option<u64>,
    /// With `failed`: `unclosed_quotes` or `damaged`.
    failure: Option<String>,
    /// When it arrived.
    #[schema(value_type = String, format = DateTime)]
    created_at: Time,
    /// When it was over.
    #[schema(value_type = Option<String>, format = DateTime)]
    ended_at: Option<Time>,
}

impl From<View> for Import {
    fn from(view: View) -> Self {
        let View { import, columns, header, sample, mapping, eta } = view;
        Self {
            id: import.id,
            state: match import.state {
                ListState::Uploaded => ImportState::Uploaded,
                ListState::Running => ImportState::Running,
                ListState::Done => ImportState::Done,
                ListState::Failed => ImportState::Failed,
                ListState::Cancelled => ImportState::Cancelled,
            },
            name: import.name,
            bytes: import.bytes,
            columns,
            header,
            sample,
            mapping: mapping.into(),
            rows: import.progress.rows,
            created: import.progress.created,
            merged: import.progress.merged,
            errors: import.progress.errors,
            eta_ms: eta.map(|eta| u64::try_from(eta.as_millis()).unwrap_or(u64::MAX)),
            failure: import.failure,
            created_at: import.created_at,
            ended_at: import.ended_at,
        }
    }
}

impl From<ImportError> for Problem {
    fn from(error: ImportError) -> Self {
        let unreadable = |code, detail: &str| Self::new(StatusCode::UNPROCESSABLE_ENTITY, code, detail);
        match error {
            ImportError::TooLarge => Self::new(
                StatusCode::PAYLOAD_TOO_LARGE,
                "too_large",
                "A list has at most 1 GiB, a workbook at most 32 MiB. Save it as CSV, or in parts.",
            ),
            ImportError::TooMany => Self::new(
                StatusCode::CONFLICT,
                "too_many_imports",
                "Ten lists of this event wait or are being read. Start or delete some first.",
            ),
            ImportError::Incomplete => {
                Self::new(StatusCode::BAD_REQUEST, "incomplete", "The list did not arrive completely.")
            }
            ImportError::Unreadable => unreadable(
                "unreadable_list",
                "This is neither comma-separated text nor an Excel workbook that we can read.",
            ),
            ImportError::Empty => unreadable("empty_list", "There is nothing in this list."),
            ImportError::Db(error) => error.into(),
            ImportError::Io(_) | ImportError::Sealed(_) => {
                tracing::error!(error = &error as &dyn std::error::Error, "a list of invitees cannot be kept");
                Self::internal()
            }
        }
    }
}

/// What the file is called.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct UploadName {
    /// What the file is called.
    #[param(max_length = 200)]
    name: Option<String>,
}

/// Upload a list: comma-separated text in any usual encoding, or an Excel workbook. It is not read before `start`.
#[utoipa::path(post, path = "/api/v1/events/{event}/imports", operation_id = "upload_import", tag = "people",
    params(("event" = String, Path), UploadName), security(("organiser_cookie" = []), ("api_token" = [])),
    request_body(content((String = "text/csv"), (Vec<u8> = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"))),
    responses((status = 201, body = Import), (status = 413, body = Body), (status = 415, body = Body),
        (status = 422, body = Body, description = "`empty_list` or `unreadable_list`"), (status = "default", body = Body)))]
pub(super) async fn upload(
    State(api): State<Api>,
    organiser: Organiser,
    Path(event): Path<EventId>,
    Query(UploadName { name }): Query<UploadName>,
    headers: HeaderMap,
    body: HttpBody,
) -> Result<(StatusCode, Json<Import>), Problem> {
    let allowed = organiser.may(&api, Organise { event })?;
    let _sees = organiser.may(&api, SeePeople { event })?;
    room(&api, event)?;
    let essence = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let essence = essence.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    let known = ["text/csv", "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"];
    if !known.contains(&essence.as_str()) {
        let detail = "Send text/csv, or an Excel workbook with its own type.";
        return Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "not_a_list", detail));
    }
    let announced =
        headers.get(CONTENT_LENGTH).and_then(|value| value.to_str().ok()).and_then(|text| text.parse().ok());
    let name = name.unwrap_or_default();
    let upload = Upload { name: &name, announced };
    let view = api.people.upload(&allowed, upload, body.into_data_stream()).await?;
    Ok((StatusCode::CREATED, Json(view.into())))
}

/// The lists of an event.
#[utoipa::path(get, path = "/api/v1/events/{event}/imports", operation_id = "list_imports", tag = "people",
    params(("event" = String, Path), Paging), security(("organiser_cookie" = []), ("api_token" = [])),
    responses((status = 200, body = Page<Import>), (status = "default", body = Body)))]
pub(super) async fn list(
    State(api): State<Api>,
    organiser: Organiser,
    Path(event): Path<EventId>,
    Query(paging): Query<Paging>,
) -> Result<Json<Page<Import>>, Problem> {
    let _allowed = organiser.may(&api, Look { event })?;
    room(&api, event)?;
    let limit = paging.limit()?;
    let rows = imports::list(&api.db, event, paging.cursor()?, limit + 1).await?;
    let views = rows.into_iter().map(|row| api.people.view(row)).collect::<Result<Vec<_>, _>>()?;
    Ok(Json(Page::of(views, limit, |view| view.import.id.to_string(), Import::from)))
}

/// One list.
#[utoipa::path(get, path = "/api/v1/events/{event}/imports/{import}", operation_id = "get_import", tag = "people",
    params(("event" = String, Path), ("import" = String, Path)), security(("organiser_cookie" = []), ("api_token" = [])),
    responses((status = 200, body = Import), (status = 404, body = Body), (status = "default", body = Body)))]
pub(super) async fn read(
    State(api): State<Api>,
    organiser: Organiser,
    Path((event, import)): Path<(EventId, ImportId)>,
) -> Result<Json<Import>, Problem> {
    let _allowed = organiser.may(&api, Look { event })?;
    let row = imports::get(&api.db, event, import).await?.ok_or_else(Problem::not_found)?;
    let sample = match organiser.may(&api, SeePeople { event }) {
        Ok(_) => api.people.sample(&row).await?,
        Err(_) => Vec::new(),
    };
    let view = api.people.view(row)?;
    Ok(Json(View { sample, ..view }.into()))
}

/// How a list is to be read.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct StartImport {
    mapping: Mapping,
    /// The country of numbers without a country code, two letters; by default the event's.
    #[schema(value_type = Option<String>, examples("FR"))]
    default_country: Option<Country>,
    /// The language of those who have none: a BCP 47 tag; by default the event's.
    language: Option<String>,
    /// What everybody on the list is tagged with.
    #[serde(default)]
    #[schema(max_items = 20)]
    tags: Vec<String>,
}

/// Begin to read a list. Everybody on it who is not invited yet gets an invitation; nobody is told before a message is
/// sent.
#[utoipa::path(post, path = "/api/v1/events/{event}/imports/{import}/start", operation_id = "start_import", tag = "people",
    params(("event" = String, Path), ("import" = String, Path)), request_body = StartImport,
    security(("organiser_cookie" = []), ("api_token" = [])),
    responses((status = 202, body = Import), (status = 404, body = Body),
        (status = 409, body = Body, description = "`already_started`"), (status = 422, body = Body),
        (status = "default", body = Body)))]
pub(super) async fn start(
    State(api): State<Api>,
    organiser: Organiser,
    Path((event, import)): Path<(EventId, ImportId)>,
    Json(body): Json<StartImport>,
) -> Result<(StatusCode, Json<Import>), Problem> {
    let allowed = organiser.may(&api, Organise { event })?;
    let row = imports::get(&api.db, event, import).await?.ok_or_else(Problem::not_found)?;
    let columns: Columns = body.mapping.into();
    let width = api.people.view(row)?.columns.len();
    let Columns { name, family, phone, email, language: spoken, note, plus_ones, tags: tagged } = columns;
    let chosen = [name, family, phone, email, spoken, note, plus_ones, tagged];
    if chosen.into_iter().flatten().any(|at| usize::from(at) >= width) {
        return Err(Problem::field("/mapping", "There is no such column in this list."));
    }
    if columns.name.is_none() && columns.phone.is_none() && columns.email.is_none() {
        return Err(Problem::field("/mapping", "Say where the name, the telephone number or the address is."));
    }
    let policy = room(&api, event)?.policy();
    let settings = Settings {
        columns,
        country: body.default_country.or(policy.messages.default_country),
        language: body.language.as_deref().map(|text| language("/language", text)).transpose()?.unwrap_or_default(),
        tags: tags("/tags", &body.tags)?,
    };
    if !api.people.start(&allowed, organiser.0.actor, import, &settings).await? {
        let detail = "This list was started already, or is over.";
        return Err(Problem::new(StatusCode::CONFLICT, "already_started", detail));
    }
    let row = imports::get(&api.db, event, import).await?.ok_or_else(Problem::not_found)?;
    Ok((StatusCode::ACCEPTED, Json(api.people.view(row)?.into())))
}

/// Stop reading a list, or throw it away before it is started. Who was invited by then stays invited.
#[utoipa::path(delete, path = "/api/v1/events/{event}/imports/{import}", operation_id = "cancel_import", tag = "people",
    params(("event" = String, Path), ("import" = String, Path)), security(("organiser_cookie" = []), ("api_token" = [])),
    responses((status = 204, description = "Stopped"), (status = 404, body = Body), (status = "default", body = Body)))]
pub(super) async fn cancel(
    State(api): State<Api>,
    organiser: Organiser,
    Path((event, import)): Path<(EventId, ImportId)>,
) -> Result<StatusCode, Problem> {
    let allowed = organiser.may(&api, Organise { event })?;
    match api.people.cancel(&allowed, organiser.0.actor, import).await? {
        true => Ok(StatusCode::NO_CONTENT),
        false => Err(Problem::not_found()),
    }
}

/// What was wrong with lines of a list, as a sheet: the first 10 000. What the lines say is not in it, because we do not
/// keep it.
#[utoipa::path(get, path = "/api/v1/events/{event}/imports/{import}/errors.csv", operation_id = "get_import_errors",
    tag = "people", params(("event" = String, Path), ("import" = String, Path)),
    security(("organiser_cookie" = []), ("api_token" = [])),
    responses((status = 200, body = String, content_type = "text/csv"), (status = 404, body = Body),
        (status = "default", body = Body)))]
pub(super) async fn errors(
    State(api): State<Api>,
    organiser: Organiser,
    Path((event, import)): Path<(EventId, ImportId)>,
) -> Result<Response, Problem> {
    let _allowed = organiser.may(&api, Look { event })?;
    imports::get(&api.db, event, import).await?.ok_or_else(Problem::not_found)?;
    let head = Bytes::from(csv_row(&["line", "field", "problem", "meaning"]));
    let pages = stream::unfold(Some(0), move |after| {
        let api = api.clone();
        async move {
            match api.people.error_rows(import, after?).await {
                Ok((text, next)) if !text.is_empty() => Some((Ok(Bytes::from(text)), next)),
                Ok(_) => None,
                Err(error) => Some((Err::<Bytes, DbError>(error), None)),
            }
        }
    });
    let body = futures_util::StreamExt::chain(stream::iter([Ok::<Bytes, DbError>(head)]), pages);
    let headers =
        [(CONTENT_TYPE, "text/csv; charset=utf-8"), (CONTENT_DISPOSITION, "attachment; filename=\"errors.csv\"")];
    Ok((headers, HttpBody::from_stream(body)).into_response())
}
