//! Who is watching.

use axum::extract::State;
use serde::Serialize;
use stagedoor_domain::Time;
use stagedoor_domain::access::Look;
use stagedoor_domain::id::{EventId, InvitationId, SessionId};
use utoipa::ToSchema;

use super::Api;
use super::extract::{Json, Organiser, Page, Paging, Path, Query, room};
use super::problem::{Body, Problem};
use crate::access::{Details, Report, Seat};

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
    /// Their telephone number, masked; `null` when there is none, or it was not looked up yet.
    #[schema(examples("+33 6 •• •• 12 34"))]
    phone: Option<String>,
    /// Where they are, as far as the database of places knows.
    #[schema(examples("Lyon, France"))]
    place: Option<String>,
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
        let Details { place, phone } = seat.details();
        Self {
            phone: phone.flatten(),
            place,
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
