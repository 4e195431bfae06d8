//! Who is watching.

use axum::extract::State;
use serde::Serialize;
use stagedoor_domain::Time;
use stagedoor_domain::access::Look;
use stagedoor_domain::event::ProtectionPolicy;
use stagedoor_domain::id::{EventId, InvitationId, SessionId};
use stagedoor_domain::risk::{Guard, Signal, Standing};
use utoipa::ToSchema;

use super::Api;
use super::extract::{Json, Organiser, Page, Paging, Path, Query, room};
use super::problem::{Body, Problem};
use crate::access::{Details, Report, Seat, Suspicion};

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
    /// Whether its page does not answer: three questions went without a good answer. Never where the event does not ask.
    silent: bool,
    /// The guards that the event asks for and that do not stand on this device, as its page last said: `watermark_dom`,
    /// `watermark_style`, `watermark_geometry`, `watermark_occlusion`, `watermark_hit`, `watermark_pixels`, `api_patched`,
    /// `watching`. `null` while nobody knows: before the first answer, while the page is silent, where nobody asks.
    #[schema(value_type = Option<Vec<String>>, examples(json!(["watermark_occlusion"])))]
    guards_missing: Option<Vec<Guard>>,
    /// Points for what was noticed; they fade. From 2 on there is an incident.
    risk: u32,
    /// What was noticed and still counts: names from the table in the operator's book.
    #[schema(value_type = Vec<String>, examples(json!(["window_size"])))]
    signals: Vec<Signal>,
}

impl Viewer {
    pub(super) fn of(seat: &Seat, protection: ProtectionPolicy, now: Time) -> Self {
        Self::with(seat, Shown::of(seat, protection, now))
    }

    /// A seat as somebody found it.
    pub(super) fn with(seat: &Seat, shown: Shown) -> Self {
        let Shown { watching, report, silent, guards, suspicion, .. } = shown;
        let Details { name, place, phone } = seat.details();
        Self {
            phone: phone.flatten(),
            place,
            session: seat.session,
            invitation: seat.invitation,
            name: name.to_string(),
            joined_at: seat.created_at,
            last_seen_at: seat.last_seen(),
            device: seat.device.clone(),
            watching,
            height: report.height,
            latency_ms: report.latency_ms,
            stalls: report.stalls,
            visible: report.visible,
            silent,
            guards_missing: guards.map(Guards::missing),
            risk: suspicion.points,
            signals: Signal::of_bits(suspicion.signals).collect(),
        }
    }
}

/// What changes of a seat while somebody is in it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Shown {
    pub(super) watching: bool,
    pub(super) report: Report,
    pub(super) silent: bool,
    /// `None` while nobody knows.
    pub(super) guards: Option<Guards>,
    pub(super) suspicion: Suspicion,
    pub(super) details: u32,
}

/// Guards of a page, and whether its event asks for a mark.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Guards {
    standing: Standing,
    with_mark: bool,
}

impl Shown {
    /// A seat at `now`, in an event that asks for this.
    pub(super) fn of(seat: &Seat, protection: ProtectionPolicy, now: Time) -> Self {
        let with_mark = protection.watermark;
        let standing = seat.standing().filter(|_| protection.guard);
        Self {
            watching: seat.is_watching(now),
            report: seat.report(),
            silent: seat.is_silent(),
            guards: standing.map(|standing| Guards { standing, with_mark }),
            suspicion: seat.suspicion(),
            details: seat.details_version(),
        }
    }
}

impl Guards {
    /// Whether a mark is on the picture, as the page says.
    pub(super) fn is_marked(self) -> bool {
        self.with_mark && self.standing.is_marked()
    }

    pub(super) fn missing(self) -> Vec<Guard> {
        self.standing.missing(self.with_mark).collect()
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
    let (now, protection) = (api.clock.now(), room.policy().protection);
    Ok(Json(Page::of(
        seats.take(wanted).collect(),
        limit,
        |seat| seat.session.to_string(),
        |seat| Viewer::of(&seat, protection, now),
    )))
}
