//! Events and their stream.

use std::time::Duration;

use axum::extract::State;
use http::StatusCode;
use serde::{Deserialize, Serialize};
use stagedoor_domain::Time;
use stagedoor_domain::access::{Broadcast, Browse, CreateEvent, Look, Organise, Reveal, Sealed};
use stagedoor_domain::event::{
    DVR_WINDOW_DEFAULT, DVR_WINDOW_MAX, DVR_WINDOW_MIN, Latency, Policy, RECONNECT_WINDOW_DEFAULT, RECONNECT_WINDOW_MAX,
};
use stagedoor_domain::id::{EventId, KeyId, StreamId, TeamId};
use utoipa::ToSchema;

use super::extract::{BaseUrl, Json, Organiser, Page, Paging, Path, Query, RtmpUrls, line, present, room};
use super::policy::{PolicyChange, PolicySchema};
use super::problem::{Body, Problem};
use super::{Api, carried_out};
use crate::live::StreamStatus;
use crate::ports::db::events::{self, Counted};
use crate::ports::db::{DbError, stream_keys};

/// How far behind the broadcaster viewers are.
#[derive(Clone, Copy, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
#[schema(as = Latency)]
pub(super) enum LatencyName {
    /// About one second.
    Ultra,
    /// About two seconds.
    Low,
    /// Ten to fifteen seconds, the gentlest on everything in between.
    Standard,
}

impl From<LatencyName> for Latency {
    fn from(name: LatencyName) -> Self {
        match name {
            LatencyName::Ultra => Self::Ultra,
            LatencyName::Low => Self::Low,
            LatencyName::Standard => Self::Standard,
        }
    }
}

impl From<Latency> for LatencyName {
    fn from(latency: Latency) -> Self {
        match latency {
            Latency::Ultra => Self::Ultra,
            Latency::Low => Self::Low,
            Latency::Standard => Self::Standard,
        }
    }
}

/// An event.
#[derive(Serialize, ToSchema)]
pub(super) struct Event {
    /// The event.
    #[schema(value_type = String, examples("evt_01kaf3x6m8e9t8s2v4w6y8z0ab"))]
    id: EventId,
    /// What people read.
    title: String,
    latency: LatencyName,
    /// When it is meant to begin.
    #[schema(value_type = Option<String>, format = DateTime)]
    starts_at: Option<Time>,
    /// How far back viewers may go.
    dvr_window_ms: u64,
    /// How long viewers hold while the publisher is away.
    reconnect_window_ms: u64,
    /// Whose it is; `null` for everybody's who has an account.
    #[schema(value_type = Option<String>)]
    team_id: Option<TeamId>,
    /// Who gets in, how many, and how they are written to.
    #[schema(value_type = PolicySchema)]
    policy: Policy,
    /// When it was made.
    #[schema(value_type = String, format = DateTime)]
    created_at: Time,
    /// What is on air right now.
    stream: StreamStatus,
    /// People watching right now.
    watching: u64,
    /// Invitations that were not withdrawn.
    invited: u64,
    /// Those of them whose code was used.
    redeemed: u64,
    /// The page that invitees open.
    viewer_url: String,
}

/// What an event is made from.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NewEvent {
    /// One line, 1 to 200 characters.
    #[schema(min_length = 1, max_length = 200)]
    title: String,
    /// By default `low`.
    latency: Option<LatencyName>,
    /// When it is meant to begin.
    #[schema(value_type = Option<String>, format = DateTime)]
    starts_at: Option<Time>,
    /// 60 000 to 86 400 000, by default 900 000.
    #[schema(minimum = 60_000, maximum = 86_400_000, default = 900_000)]
    dvr_window_ms: Option<u64>,
    /// 0 to 3 600 000, by default 60 000.
    #[schema(minimum = 0, maximum = 3_600_000, default = 60_000)]
    reconnect_window_ms: Option<u64>,
    /// One of your teams; without it the event is everybody's who has an account.
    #[schema(value_type = Option<String>)]
    team_id: Option<TeamId>,
    /// Sections that are absent have their defaults.
    policy: Option<PolicyChange>,
}

/// What changes; what is absent stays.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct EventChange {
    /// One line, 1 to 200 characters.
    #[schema(min_length = 1, max_length = 200)]
    title: Option<String>,
    /// Used from the next broadcast on.
    latency: Option<LatencyName>,
    /// When it is meant to begin; `null` takes it away.
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = Option<String>, format = DateTime)]
    starts_at: Option<Option<Time>>,
    /// 60 000 to 86 400 000. Used from the next broadcast on.
    #[schema(minimum = 60_000, maximum = 86_400_000)]
    dvr_window_ms: Option<u64>,
    /// 0 to 3 600 000. Used from the next broadcast on.
    #[schema(minimum = 0, maximum = 3_600_000)]
    reconnect_window_ms: Option<u64>,
    /// One of your teams; `null` makes the event everybody's who has an account.
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = Option<String>)]
    team_id: Option<Option<TeamId>>,
    /// Each section replaces that section as a whole.
    policy: Option<PolicyChange>,
}

fn no_team() -> Problem {
    Problem::field("/team_id", "There is no such team, or it is not yours.")
}

/// A team that `organiser` may give an event to: their own, or any for those who see every event.
fn team(organiser: &Organiser, team: TeamId) -> Result<TeamId, Problem> {
    let who = &organiser.0;
    if who.role.sees_every_event() || who.teams.contains(&team) { Ok(team) } else { Err(no_team()) }
}

/// The only thing an event's row belongs to is its team.
fn unless_the_team_is_gone(error: DbError) -> Problem {
    match error {
        DbError::Gone => no_team(),
        error => error.into(),
    }
}

fn dvr_window(ms: u64) -> Result<Duration, Problem> {
    let window = Duration::from_millis(ms);
    if (DVR_WINDOW_MIN..=DVR_WINDOW_MAX).contains(&window) {
        Ok(window)
    } else {
        Err(Problem::field("/dvr_window_ms", "The window is between one minute and one day."))
    }
}

fn reconnect_window(ms: u64) -> Result<Duration, Problem> {
    let window = Duration::from_millis(ms);
    if window <= RECONNECT_WINDOW_MAX {
        Ok(window)
    } else {
        Err(Problem::field("/reconnect_window_ms", "The reconnect window is at most one hour."))
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

fn shown(api: &Api, base: &str, counted: Counted) -> Event {
    let Counted { event, invited, redeemed } = counted;
    let watching = api.access.room(event.id).map_or(0, |room| room.watching(api.clock.now()));
    Event {
        viewer_url: format!("{base}/e/{}", event.id),
        stream: (*api.hub.status(event.stream)).clone(),
        watching: u64::try_from(watching).unwrap_or(u64::MAX),
        invited,
        redeemed,
        id: event.id,
        title: event.title,
        latency: event.latency.into(),
        starts_at: event.starts_at,
        dvr_window_ms: millis(event.dvr_window),
        reconnect_window_ms: millis(event.reconnect_window),
        team_id: event.team,
        policy: event.policy,
        created_at: event.created_at,
    }
}

/// All events.
#[utoipa::path(get, path = "/api/v1/events", tag = "events", params(Paging),
    security(("organiser_cookie" = []), ("api_token" = [])),
    responses((status = 200, body = Page<Event>), (status = "default", body = Body)))]
pub(super) async fn list(
    State(api): State<Api>,
    organiser: Organiser,
    BaseUrl(base): BaseUrl,
    Query(paging): Query<Paging>,
) -> Result<Json<Page<Event>>, Problem> {
    let _allowed = organiser.may(&api, Browse)?;
    let limit = paging.limit()?;
    let member = (!organiser.0.role.sees_every_event()).then_some(organiser.0.user);
    let rows = events::list(&api.db, member, paging.cursor()?, limit + 1).await?;
    Ok(Json(Page::of(rows, limit, |row| row.event.id.to_string(), |row| shown(&api, &base, row))))
}

/// Make an event. It has a stream and a stream key at once.
#[utoipa::path(post, path = "/api/v1/events", tag = "events", request_body = NewEvent,
    security(("organiser_cookie" = []), ("api_token" = [])),
    responses((status = 201, body = Event), (status = 422, body = Body), (status = "default", body = Body)))]
pub(super) async fn create(
    State(api): State<Api>,
    organiser: Organiser,
    BaseUrl(base): BaseUrl,
    Json(new): Json<NewEvent>,
) -> Result<(StatusCode, Json<Event>), Problem> {
    let allowed = organiser.may(&api, CreateEvent)?;
    let now = api.clock.now();
    let event = events::Event {
        id: EventId::new(api.random.uuid(now)),
        stream: StreamId::new(api.random.uuid(now)),
        title: line("/title", &new.title)?,
        latency: new.latency.map_or_else(Latency::default, Latency::from),
        starts_at: new.starts_at,
        dvr_window: new.dvr_window_ms.map_or(Ok(DVR_WINDOW_DEFAULT), dvr_window)?,
        reconnect_window: new.reconnect_window_ms.map_or(Ok(RECONNECT_WINDOW_DEFAULT), reconnect_window)?,
        epoch: 0,
        team: new.team_id.map(|id| team(&organiser, id)).transpose()?,
        policy: new.policy.map_or_else(|| Ok(Policy::default()), |policy| policy.applied(&Policy::default()))?,
        created_at: now,
    };
    api.access.create_event(&allowed, organiser.0.actor, &event).await.map_err(unless_the_team_is_gone)?;
    let counted = Counted { event, invited: 0, redeemed: 0 };
    Ok((StatusCode::CREATED, Json(shown(&api, &base, counted))))
}

/// One event.
#[utoipa::path(get, path = "/api/v1/events/{event}", tag = "events", params(("event" = String, Path)),
    security(("organiser_cookie" = []), ("api_token" = [])),
    responses((status = 200, body = Event), (status = 404, body = Body), (status = "default", body = Body)))]
pub(super) async fn read(
    State(api): State<Api>,
    organiser: Organiser,
    BaseUrl(base): BaseUrl,
    Path(event): Path<EventId>,
) -> Result<Json<Event>, Problem> {
    let _allowed = organiser.may(&api, Look { event })?;
    let counted = events::get(&api.db, event).await?.ok_or_else(Problem::not_found)?;
    Ok(Json(shown(&api, &base, counted)))
}

/// Change an event's settings.
#[utoipa::path(patch, path = "/api/v1/events/{event}", tag = "events", params(("event" = String, Path)),
    request_body = EventChange, security(("organiser_cookie" = []), ("api_token" = [])),
    responses((status = 200, body = Event), (status = 422, body = Body), (status = "default", body = Body)))]
pub(super) async fn change(
    State(api): State<Api>,
    organiser: Organiser,
    BaseUrl(base): BaseUrl,
    Path(event): Path<EventId>,
    Json(change): Json<EventChange>,
) -> Result<Json<Event>, Problem> {
    let allowed = organiser.may(&api, Organise { event })?;
    let edited = api.access.edit_event(&allowed, organiser.0.actor, |row| apply(row, change, &organiser)).await;
    if !edited.map_err(Unchanged::problem)? {
        return Err(Problem::not_found());
    }
    let counted = events::get(&api.db, event).await?.ok_or_else(Problem::not_found)?;
    Ok(Json(shown(&api, &base, counted)))
}

/// Why an event stays as it is.
enum Unchanged {
    Db(DbError),
    Refused(Problem),
}

impl From<DbError> for Unchanged {
    fn from(error: DbError) -> Self {
        Self::Db(error)
    }
}

impl From<Problem> for Unchanged {
    fn from(problem: Problem) -> Self {
        Self::Refused(problem)
    }
}

impl Unchanged {
    fn problem(self) -> Problem {
        match self {
            Self::Db(error) => unless_the_team_is_gone(error),
            Self::Refused(problem) => problem,
        }
    }
}

fn apply(row: &mut events::Event, change: EventChange, organiser: &Organiser) -> Result<(), Unchanged> {
    if let Some(title) = change.title {
        row.title = line("/title", &title)?;
    }
    if let Some(latency) = change.latency {
        row.latency = latency.into();
    }
    if let Some(starts_at) = change.starts_at {
        row.starts_at = starts_at;
    }
    if let Some(ms) = change.dvr_window_ms {
        row.dvr_window = dvr_window(ms)?;
    }
    if let Some(ms) = change.reconnect_window_ms {
        row.reconnect_window = reconnect_window(ms)?;
    }
    if let Some(to) = change.team_id {
        row.team = to.map(|id| team(organiser, id)).transpose()?;
    }
    if let Some(policy) = change.policy {
        row.policy = policy.applied(&row.policy)?;
    }
    Ok(())
}

/// Delete an event with everything that belongs to it. The broadcast ends, viewers are sent home.
#[utoipa::path(delete, path = "/api/v1/events/{event}", tag = "events", params(("event" = String, Path)),
    security(("organiser_cookie" = []), ("api_token" = [])),
    responses((status = 204, description = "Deleted"), (status = 404, body = Body), (status = "default", body = Body)))]
pub(super) async fn delete(
    State(api): State<Api>,
    organiser: Organiser,
    Path(event): Path<EventId>,
) -> Result<StatusCode, Problem> {
    let allowed = organiser.may(&api, Organise { event })?;
    let stream = room(&api, event)?.stream;
    carried_out(async move {
        if !api.access.delete_event(&allowed, organiser.0.actor).await? {
            return Err(Problem::not_found());
        }
        api.hub.forget(stream);
        Ok(StatusCode::NO_CONTENT)
    })
    .await
}

/// What to type into the encoder.
#[derive(Serialize, ToSchema)]
pub(super) struct Ingest {
    rtmp: RtmpIngest,
    /// The same inside TLS (RTMPS), when the server has a certificate. Better, wherever the encoder can.
    rtmps: Option<RtmpIngest>,
    /// The stream key in the clear.
    stream_key: String,
    /// The key's row.
    #[schema(value_type = String)]
    key_id: KeyId,
    /// When the key ends by itself.
    #[schema(value_type = Option<String>, format = DateTime)]
    expires_at: Option<Time>,
}

/// RTMP addresses.
#[derive(Serialize, ToSchema)]
pub(super) struct RtmpIngest {
    /// For encoders that ask for server and key.
    #[schema(examples("rtmp://stage.example.org:1935/live"))]
    server: String,
    /// For encoders that ask for one address.
    #[schema(examples("rtmp://stage.example.org:1935/live/KEY"))]
    url: String,
}

/// What to type into the encoder. Every look is written to the log of facts.
#[utoipa::path(get, path = "/api/v1/events/{event}/ingest", tag = "events", params(("event" = String, Path)),
    security(("organiser_cookie" = []), ("api_token" = [])),
    responses((status = 200, body = Ingest),
        (status = 404, body = Body, description = "No such event, or `no_key`: it has no key that works"),
        (status = "default", body = Body)))]
pub(super) async fn ingest(
    State(api): State<Api>,
    organiser: Organiser,
    servers: RtmpUrls,
    Path(event): Path<EventId>,
) -> Result<Json<Ingest>, Problem> {
    let _allowed = organiser.may(&api, Broadcast { event })?;
    room(&api, event)?;
    let key = stream_keys::current(&api.db, event, api.clock.now()).await?.ok_or_else(|| {
        Problem::new(StatusCode::NOT_FOUND, "no_key", "This event has no stream key that works. Make a new one.")
    })?;
    let reveal = organiser.may(&api, Reveal { event: Some(event), sealed: Sealed::StreamKey(key.id) })?;
    let text = api.access.reveal_to(&reveal, organiser.0.actor, &key.sealed).await?;
    let at = |base: String| {
        let server = format!("{base}/live");
        RtmpIngest { url: format!("{server}/{}", text.expose()), server }
    };
    let (rtmp, rtmps) = (at(servers.rtmp), servers.rtmps.map(at));
    Ok(Json(Ingest { rtmp, rtmps, stream_key: text.expose().to_owned(), key_id: key.id, expires_at: key.expires_at }))
}

/// End the broadcast now. The publisher is told, viewers see the end. Publishing again begins a new broadcast.
#[utoipa::path(post, path = "/api/v1/events/{event}/broadcast/end", tag = "events", params(("event" = String, Path)),
    security(("organiser_cookie" = []), ("api_token" = [])),
    responses((status = 200, body = StreamStatus), (status = 404, body = Body), (status = "default", body = Body)))]
pub(super) async fn end_broadcast(
    State(api): State<Api>,
    organiser: Organiser,
    Path(event): Path<EventId>,
) -> Result<Json<StreamStatus>, Problem> {
    use crate::live::State as S;
    let _allowed = organiser.may(&api, Broadcast { event })?;
    let stream = room(&api, event)?.stream;
    let mut status = api.hub.watch(stream);
    api.hub.end(stream);
    // The packager says so itself, as soon as it has written its last piece; longer than this is not worth waiting for.
    let over = status.wait_for(|status| matches!(status.state, S::Idle | S::Ended));
    let _ = tokio::time::timeout(Duration::from_secs(2), over).await;
    Ok(Json((*api.hub.status(stream)).clone()))
}
