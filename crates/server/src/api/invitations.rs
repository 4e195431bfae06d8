//! Who is invited, and who is watching.

use std::collections::HashMap;

use axum::extract::State;
use http::StatusCode;
use serde::{Deserialize, Serialize};
use stagedoor_domain::Time;
use stagedoor_domain::access::{InvitationState, Look, Moderate, Organise, Reveal, Sealed};
use stagedoor_domain::id::{EventId, InvitationId, SessionId};
use utoipa::{IntoParams, ToSchema};

use super::Api;
use super::extract::{BaseUrl, Json, Organiser, Page, Paging, Path, Query, line, room};
use super::problem::{Body, Problem};
use crate::access::{NewInvitee, Report, Seat};
use crate::people;
use crate::ports::db::invitations;

/// Tags put on at once at most.
const TAGS_MAX: usize = 20;
/// Letters of a tag at most: it fits on a label.
const TAG_CHARS_MAX: usize = 50;

/// Somebody with an active session.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub(super) struct Viewer {
    /// The session.
    #[schema(value_type = String, examples("ses_01kaf3x6m8e9t8s2v4w6y8z0ab"))]
    pub(super) session: SessionId,
    /// The invitation it came from.
    #[schema(value_type = String)]
    invitation: InvitationId,
    /// The invitee.
    name: String,
    /// When the session was opened.
    #[schema(value_type = String, format = DateTime)]
    joined_at: Time,
    /// When it last asked for something.
    #[schema(value_type = String, format = DateTime)]
    last_seen_at: Time,
    /// The browser in words.
    #[schema(examples("Chrome on Android"))]
    device: String,
    /// Whether it is watching right now.
    pub(super) watching: bool,
    /// Lines of the picture that is shown, as the page says.
    height: Option<u32>,
    /// Behind the broadcaster, as the page says.
    latency_ms: Option<u32>,
    /// How often the picture stopped, as the page says.
    stalls: Option<u32>,
    /// Whether the page is in the foreground, as it says.
    visible: Option<bool>,
}

impl Viewer {
    pub(super) fn of(seat: &Seat, now: Time) -> Self {
        Self::with(seat, seat.is_watching(now), seat.report())
    }

    /// A seat as somebody found it.
    pub(super) fn with(seat: &Seat, watching: bool, report: Report) -> Self {
        Self {
            session: seat.session,
            invitation: seat.invitation,
            name: seat.name.clone(),
            joined_at: seat.created_at,
            last_seen_at: seat.last_seen(),
            device: seat.device.clone(),
            watching,
            height: report.height,
            latency_ms: report.latency_ms,
            stalls: report.stalls,
            visible: report.visible,
        }
    }
}

/// Where an invitation stands. It is about the present code: a new code begins at `created` again.
#[derive(Clone, Copy, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
#[schema(as = InvitationState)]
pub(super) enum StateName {
    /// Nobody was told yet.
    Created,
    /// A message with the code waits for its turn.
    Queued,
    /// The message was handed over.
    Sent,
    /// The message arrived.
    Delivered,
    /// The message could not be delivered.
    Failed,
    /// The link in it was opened.
    Opened,
    /// Its code was used at least once.
    Redeemed,
    /// Withdrawn for good.
    Revoked,
    /// Its time was up.
    Expired,
}

impl From<InvitationState> for StateName {
    fn from(state: InvitationState) -> Self {
        match state {
            InvitationState::Created => Self::Created,
            InvitationState::Queued => Self::Queued,
            InvitationState::Sent => Self::Sent,
            InvitationState::Delivered => Self::Delivered,
            InvitationState::Failed => Self::Failed,
            InvitationState::Opened => Self::Opened,
            InvitationState::Redeemed => Self::Redeemed,
            InvitationState::Revoked => Self::Revoked,
            InvitationState::Expired => Self::Expired,
        }
    }
}

/// An invitee.
#[derive(Serialize, ToSchema)]
pub(super) struct Invitation {
    /// The invitation.
    #[schema(value_type = String, examples("inv_01kaf3x6m8e9t8s2v4w6y8z0ab"))]
    id: InvitationId,
    /// Who they are.
    name: String,
    state: StateName,
    /// When they were invited.
    #[schema(value_type = String, format = DateTime)]
    created_at: Time,
    /// When their code was first used.
    #[schema(value_type = Option<String>, format = DateTime)]
    redeemed_at: Option<Time>,
    /// Their active session.
    session: Option<Viewer>,
}

fn shown(row: invitations::Invitation, session: Option<Viewer>) -> Invitation {
    Invitation {
        state: row.state.into(),
        id: row.id,
        name: row.name,
        created_at: row.created_at,
        redeemed_at: row.redeemed_at,
        session,
    }
}

/// A code and the link that carries it.
#[derive(Serialize, ToSchema)]
pub(super) struct Code {
    /// For the invitee.
    #[schema(examples("ABCD-EFGH-JKLM"))]
    code: String,
    /// The viewer page with the code behind `#`, which browsers do not send.
    #[schema(examples("https://stage.example.org/e/evt_01kaf3x6m8e9t8s2v4w6y8z0ab#ABCD-EFGH-JKLM"))]
    link: String,
}

impl Code {
    fn new(base: &str, event: EventId, code: String) -> Self {
        Self { link: format!("{base}/e/{event}#{code}"), code }
    }
}

/// A new invitation with its code.
#[derive(Serialize, ToSchema)]
pub(super) struct InvitationMade {
    #[serde(flatten)]
    invitation: Invitation,
    #[serde(flatten)]
    code: Code,
}

/// Who is to be invited.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NewInvitation {
    /// One line, 1 to 200 characters.
    #[schema(min_length = 1, max_length = 200)]
    name: String,
}

/// A language tag as somebody wrote it.
pub(super) fn language(pointer: &str, text: &str) -> Result<String, Problem> {
    let text = text.trim();
    if text.is_empty() {
        return Ok(String::new());
    }
    people::language_tag(text).ok_or_else(|| Problem::field(pointer, "This is no language tag, like en or pt-BR."))
}

/// Tags as somebody wrote them: each a line of 1 to 50 characters, at most 20.
pub(super) fn tags(pointer: &str, tags: &[String]) -> Result<Vec<String>, Problem> {
    if tags.len() > TAGS_MAX {
        return Err(Problem::field(pointer, "There are at most 20 tags."));
    }
    let tags = tags.iter().enumerate().map(|(at, tag)| self::tag(&format!("{pointer}/{at}"), tag));
    let mut tags = tags.collect::<Result<Vec<_>, _>>()?;
    tags.sort();
    tags.dedup();
    Ok(tags)
}

/// One tag.
fn tag(pointer: &str, text: &str) -> Result<String, Problem> {
    let tag = line(pointer, text)?;
    if tag.chars().count() > TAG_CHARS_MAX {
        return Err(Problem::field(pointer, "A tag has at most 50 characters."));
    }
    Ok(tag)
}

/// Whom to look for.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct Search {
    /// Part of a name, in any case.
    #[param(max_length = 200)]
    search: Option<String>,
    /// Entries at most: 1 to 100, by default 50.
    #[param(minimum = 1, maximum = 100, default = 50)]
    limit: Option<u32>,
    /// `next_cursor` of the page before.
    cursor: Option<String>,
}

/// The invitations to an event.
#[utoipa::path(get, path = "/api/v1/events/{event}/invitations", operation_id = "list_invitations", tag = "people",
    params(("event" = String, Path), Search), security(("organiser_cookie" = []), ("api_token" = [])),
    responses((status = 200, body = Page<Invitation>), (status = "default", body = Body)))]
pub(super) async fn list(
    State(api): State<Api>,
    organiser: Organiser,
    Path(event): Path<EventId>,
    Query(search): Query<Search>,
) -> Result<Json<Page<Invitation>>, Problem> {
    let _allowed = organiser.may(&api, Look { event })?;
    let room = room(&api, event)?;
    let Search { search, limit, cursor } = search;
    let paging = Paging { limit, cursor };
    let limit = paging.limit()?;
    let search = search.unwrap_or_default();
    if search.chars().count() > 200 {
        return Err(Problem::field("/search", "This is longer than any name."));
    }
    let rows = invitations::list(&api.db, event, search.trim(), paging.cursor()?, limit + 1).await?;
    let now = api.clock.now();
    let mut inside: HashMap<_, _> = room.seats().into_iter().map(|seat| (seat.invitation, seat)).collect();
    Ok(Json(Page::of(
        rows,
        limit,
        |row| row.id.to_string(),
        |row| {
            let session = inside.remove(&row.id).map(|seat| Viewer::of(&seat, now));
            shown(row, session)
        },
    )))
}

/// Invite somebody.
#[utoipa::path(post, path = "/api/v1/events/{event}/invitations", operation_id = "create_invitation", tag = "people", params(("event" = String, Path)),
    request_body = NewInvitation, security(("organiser_cookie" = []), ("api_token" = [])),
    responses((status = 201, body = InvitationMade), (status = 422, body = Body), (status = "default", body = Body)))]
pub(super) async fn create(
    State(api): State<Api>,
    organiser: Organiser,
    BaseUrl(base): BaseUrl,
    Path(event): Path<EventId>,
    Json(new): Json<NewInvitation>,
) -> Result<(StatusCode, Json<InvitationMade>), Problem> {
    let allowed = organiser.may(&api, Organise { event })?;
    room(&api, event)?;
    let name = line("/name", &new.name)?;
    let made = api.access.invite(&allowed, organiser.0.actor, &NewInvitee::named(&name)).await?;
    let code = Code::new(&base, event, made.code.to_string());
    Ok((StatusCode::CREATED, Json(InvitationMade { invitation: shown(made.invitation, None), code })))
}

/// Withdraw an invitation. Its session ends at once, and its code never works again.
#[utoipa::path(delete, path = "/api/v1/events/{event}/invitations/{invitation}", tag = "people",
    params(("event" = String, Path), ("invitation" = String, Path)),
    security(("organiser_cookie" = []), ("api_token" = [])),
    responses((status = 204, description = "Withdrawn"), (status = 404, body = Body), (status = "default", body = Body)))]
pub(super) async fn revoke(
    State(api): State<Api>,
    organiser: Organiser,
    Path((event, invitation)): Path<(EventId, InvitationId)>,
) -> Result<StatusCode, Problem> {
    let allowed = organiser.may(&api, Organise { event })?;
    match api.access.withdraw(&allowed, organiser.0.actor, invitation).await? {
        true => Ok(StatusCode::NO_CONTENT),
        false => Err(Problem::not_found()),
    }
}

/// Show a code again. Every look is written to the log of facts.
#[utoipa::path(get, path = "/api/v1/events/{event}/invitations/{invitation}/code", tag = "people",
    params(("event" = String, Path), ("invitation" = String, Path)),
    security(("organiser_cookie" = []), ("api_token" = [])),
    responses((status = 200, body = Code), (status = 404, body = Body), (status = "default", body = Body)))]
pub(super) async fn code(
    State(api): State<Api>,
    organiser: Organiser,
    BaseUrl(base): BaseUrl,
    Path((event, invitation)): Path<(EventId, InvitationId)>,
) -> Result<Json<Code>, Problem> {
    let reveal = organiser.may(&api, Reveal { event: Some(event), sealed: Sealed::Code(invitation) })?;
    let row = invitations::get(&api.db, event, invitation).await?.ok_or_else(Problem::not_found)?;
    let code = api.access.reveal_to(&reveal, organiser.0.actor, &row.sealed).await?;
    Ok(Json(Code::new(&base, event, code.expose().to_owned())))
}

/// Everybody with an active session.
#[utoipa::path(get, path = "/api/v1/events/{event}/viewers", tag = "people",
    params(("event" = String, Path), Paging), security(("organiser_cookie" = []), ("api_token" = [])),
    responses((status = 200, body = Page<Viewer>), (status = "default", body = Body)))]
pub(super) async fn viewers(
    State(api): State<Api>,
    organiser: Organiser,
    Path(event): Path<EventId>,
    Query(paging): Query<Paging>,
) -> Result<Json<Page<Viewer>>, Problem> {
    let _allowed = organiser.may(&api, Look { event })?;
    let room = room(&api, event)?;
    let (limit, cursor) = (paging.limit()?, paging.cursor::<SessionId>()?);
    let wanted = usize::try_from(limit).unwrap_or(usize::MAX).saturating_add(1);
    let seats = room.seats().into_iter().rev().filter(|seat| cursor.is_none_or(|cursor| seat.session < cursor));
    let now = api.clock.now();
    Ok(Json(Page::of(
        seats.take(wanted).collect(),
        limit,
        |seat| seat.session.to_string(),
        |seat| Viewer::of(&seat, now),
    )))
}

/// End one session. The code still works: withdraw the invitation to keep somebody out.
#[utoipa::path(delete, path = "/api/v1/events/{event}/viewers/{session}", tag = "people",
    params(("event" = String, Path), ("session" = String, Path)),
    security(("organiser_cookie" = []), ("api_token" = [])),
    responses((status = 204, description = "Ended"), (status = 404, body = Body), (status = "default", body = Body)))]
pub(super) async fn kick(
    State(api): State<Api>,
    organiser: Organiser,
    Path((event, session)): Path<(EventId, SessionId)>,
) -> Result<StatusCode, Problem> {
    let allowed = organiser.may(&api, Moderate { event })?;
    match api.access.kick(&allowed, organiser.0.actor, session).await? {
        true => Ok(StatusCode::NO_CONTENT),
        false => Err(Problem::not_found()),
    }
}
