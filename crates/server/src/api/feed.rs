//! WebSockets: what organisers see live, and how viewers hear about the broadcast and the end of their access.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::extract::ws::rejection::WebSocketUpgradeRejection;
use axum::extract::ws::{Message, WebSocket, WebSocketUpgrade};
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use stagedoor_domain::Time;
use stagedoor_domain::access::{EndReason, Organise};
use stagedoor_domain::id::{EventId, SessionId};
use tokio::time::{Instant, MissedTickBehavior};
use utoipa::ToSchema;

use super::Api;
use super::extract::{self, Organiser, Path, room};
use super::invitations::Viewer;
use super::problem::{Body, Problem};
use crate::access::{Report, Room, Seat, Who};
use crate::live::{self, StreamStatus};

/// At most one message of a kind in this time.
const TICK: Duration = Duration::from_secs(1);
/// A client that does not take a message in this time is gone.
const SEND_MAX: Duration = Duration::from_secs(10);
/// The server asks for a sign of life this often …
const PING: Duration = Duration::from_secs(20);
/// … and gives up after this long without one.
const SILENCE_MAX: Duration = Duration::from_secs(60);
/// A report is a hundred bytes.
const MESSAGE_BYTES_MAX: usize = 4 * 1024;

type Upgrade = Result<WebSocketUpgrade, WebSocketUpgradeRejection>;

fn bounded(upgrade: Upgrade) -> Result<WebSocketUpgrade, Problem> {
    let upgrade = upgrade.map_err(|_| {
        Problem::new(
            http::StatusCode::UPGRADE_REQUIRED,
            "upgrade_required",
            "This is a WebSocket: connect to it as one.",
        )
    })?;
    Ok(upgrade.max_message_size(MESSAGE_BYTES_MAX).max_frame_size(MESSAGE_BYTES_MAX))
}

/// A socket with deadlines.
struct Socket {
    inner: WebSocket,
    heard: Instant,
    pinged: Instant,
}

/// The other side is gone, or as good as.
struct Gone;

impl Socket {
    fn new(inner: WebSocket) -> Self {
        Self { inner, heard: Instant::now(), pinged: Instant::now() }
    }

    async fn send_raw(&mut self, message: Message) -> Result<(), Gone> {
        match tokio::time::timeout(SEND_MAX, self.inner.send(message)).await {
            Ok(Ok(())) => Ok(()),
            _ => Err(Gone),
        }
    }

    async fn send(&mut self, message: &impl Serialize) -> Result<(), Gone> {
        let text = serde_json::to_string(message).map_err(|_| Gone)?;
        self.send_raw(Message::Text(text.into())).await
    }

    /// The next text. Pings are answered and closing is noticed underneath. Cancel safe.
    async fn text(&mut self) -> Result<String, Gone> {
        loop {
            let message = match self.inner.recv().await {
                Some(Ok(message)) => message,
                Some(Err(_)) | None => return Err(Gone),
            };
            self.heard = Instant::now();
            if let Message::Text(text) = message {
                return Ok(text.as_str().to_owned());
            }
        }
    }

    /// Called every second: asks for a sign of life, and gives up without one.
    async fn keep_alive(&mut self) -> Result<(), Gone> {
        if self.heard.elapsed() > SILENCE_MAX {
            return Err(Gone);
        }
        if self.pinged.elapsed() > PING {
            self.pinged = Instant::now();
            self.send_raw(Message::Ping(bytes::Bytes::new())).await?;
        }
        Ok(())
    }

    /// Says goodbye properly, so that the other side need not guess.
    async fn close(mut self) {
        let _ = self.send_raw(Message::Close(None)).await;
    }
}

/// What the server tells an organiser.
#[derive(Debug, Serialize, ToSchema)]
#[serde(tag = "type", rename_all = "lowercase")]
pub(super) enum OrganiserMessage {
    /// Everything, first.
    Snapshot {
        /// What is on air.
        stream: StreamStatus,
        /// Everybody with an active session.
        viewers: Vec<Viewer>,
        /// People watching right now.
        watching: u64,
    },
    /// The stream has changed.
    Stream {
        /// What is on air.
        stream: StreamStatus,
    },
    /// Viewers have come, changed or gone.
    Viewers {
        /// New sessions.
        joined: Vec<Viewer>,
        /// Sessions of which something changed.
        changed: Vec<Viewer>,
        /// Sessions that ended.
        #[schema(value_type = Vec<String>)]
        left: Vec<SessionId>,
        /// People watching right now.
        watching: u64,
    },
}

/// Watch an event live: a WebSocket. First a `snapshot`, then `stream` and `viewers`, each at most once a second.
#[utoipa::path(get, path = "/api/v1/events/{event}/feed", tag = "people", params(("event" = String, Path)),
    security(("organiser_cookie" = []), ("api_token" = [])),
    responses((status = 101, description = "`OrganiserMessage`s follow"), (status = "default", body = Body)))]
pub(super) async fn organiser(
    State(api): State<Api>,
    organiser: Organiser,
    Path(event): Path<EventId>,
    upgrade: Upgrade,
) -> Result<Response, Problem> {
    let _allowed = organiser.may(&api, Organise)?;
    let room = room(&api, event)?;
    let upgrade = bounded(upgrade)?;
    Ok(upgrade
        .on_upgrade(move |socket| async move {
            let mut socket = Socket::new(socket);
            if show(&api, &organiser.0, &room, &mut socket).await.is_ok() {
                socket.close().await;
            }
        })
        .into_response())
}

fn viewers(room: &Room, now: Time) -> HashMap<SessionId, Viewer> {
    room.seats().iter().map(|seat| (seat.session, Viewer::of(seat, now))).collect()
}

fn watching(viewers: &HashMap<SessionId, Viewer>) -> u64 {
    viewers.values().filter(|viewer| viewer.watching).count() as u64
}

fn sorted(mut viewers: Vec<Viewer>) -> Vec<Viewer> {
    viewers.sort_unstable_by_key(|viewer| viewer.session);
    viewers
}

/// What happened between two looks; `None` for nothing.
fn difference(before: &HashMap<SessionId, Viewer>, after: &HashMap<SessionId, Viewer>) -> Option<OrganiserMessage> {
    let (mut joined, mut changed) = (Vec::new(), Vec::new());
    for (session, viewer) in after {
        match before.get(session) {
            None => joined.push(viewer.clone()),
            Some(old) if old.differs(viewer) => changed.push(viewer.clone()),
            Some(_) => {}
        }
    }
    let mut left: Vec<SessionId> = before.keys().filter(|session| !after.contains_key(session)).copied().collect();
    left.sort_unstable();
    if joined.is_empty() && changed.is_empty() && left.is_empty() {
        return None;
    }
    Some(OrganiserMessage::Viewers {
        joined: sorted(joined),
        changed: sorted(changed),
        left,
        watching: watching(after),
    })
}

async fn show(api: &Api, who: &Who, room: &Arc<Room>, socket: &mut Socket) -> Result<(), Gone> {
    let mut status = api.hub.watch(room.stream);
    let mut known = viewers(room, api.clock.now());
    let stream = (**status.borrow_and_update()).clone();
    let snapshot = OrganiserMessage::Snapshot {
        stream,
        viewers: sorted(known.values().cloned().collect()),
        watching: watching(&known),
    };
    socket.send(&snapshot).await?;
    let mut tick = tokio::time::interval(TICK);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = api.stop.cancelled() => return Ok(()),
            // Whatever an organiser's page says is only a sign of life.
            text = socket.text() => drop(text?),
            _ = tick.tick() => {
                let now = api.clock.now();
                // Signed-in time runs out here as well, and a deleted event has nothing to show.
                if who.may(Organise, now).is_err() || api.access.room(room.event).is_none() {
                    return Ok(());
                }
                socket.keep_alive().await?;
                if status.has_changed().unwrap_or(false) {
                    let stream = (**status.borrow_and_update()).clone();
                    socket.send(&OrganiserMessage::Stream { stream }).await?;
                }
                let present = viewers(room, now);
                if let Some(message) = difference(&known, &present) {
                    socket.send(&message).await?;
                    known = present;
                }
            }
        }
    }
}

/// What the server tells a viewer.
#[derive(Debug, Serialize, ToSchema)]
#[serde(tag = "type", rename_all = "lowercase")]
pub(super) enum ViewerMessage {
    /// Whether the event is on air; first, and whenever it changes.
    State {
        /// Where the broadcast stands.
        state: live::State,
        /// Since when.
        #[schema(value_type = Option<String>, format = DateTime)]
        since: Option<Time>,
    },
    /// The session is over; the last message. After `stopping` it is not: connect again.
    Bye {
        /// Why.
        reason: Bye,
    },
}

/// Why a feed ends.
#[derive(Clone, Copy, Debug, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum Bye {
    /// An organiser ended it.
    Revoked,
    /// The viewer left, or the event is gone.
    Ended,
    /// Its time was up.
    Expired,
    /// The code was used in another browser.
    Replaced,
    /// The server restarts.
    Stopping,
}

impl From<EndReason> for Bye {
    fn from(reason: EndReason) -> Self {
        match reason {
            EndReason::Revoked => Self::Revoked,
            EndReason::Replaced => Self::Replaced,
            EndReason::Expired => Self::Expired,
            EndReason::Left | EndReason::Ended => Self::Ended,
        }
    }
}

/// What a viewer's page tells the server, every five seconds.
#[derive(Debug, Deserialize, ToSchema)]
#[expect(dead_code, reason = "what pages say is documented whole; not all of it is shown yet")]
pub(super) struct ViewerReport {
    /// Always `report`.
    #[serde(rename = "type")]
    kind: String,
    /// Behind the broadcaster.
    latency_ms: Option<f64>,
    /// Lines of the picture that is shown.
    height: Option<f64>,
    /// How often the picture stopped.
    stalls: Option<f64>,
    /// Where the player is in the media.
    position_ms: Option<f64>,
    /// The page is in the foreground.
    visible: Option<bool>,
    /// The player is playing.
    playing: Option<bool>,
}

/// Keep a viewer's page up to date: a WebSocket. The page sends a `ViewerReport` every five seconds.
#[utoipa::path(get, path = "/api/v1/events/{event}/sessions/current/feed", tag = "viewer",
    params(("event" = String, Path)), security(("viewer_cookie" = [])),
    responses((status = 101, description = "`ViewerMessage`s follow"), (status = 401, body = Body),
        (status = "default", body = Body)))]
pub(super) async fn viewer(
    State(api): State<Api>,
    viewer: extract::Viewer,
    upgrade: Upgrade,
) -> Result<Response, Problem> {
    let upgrade = bounded(upgrade)?;
    Ok(upgrade
        .on_upgrade(move |socket| async move {
            let mut socket = Socket::new(socket);
            if let Ok(reason) = accompany(&api, &viewer.0, &mut socket).await {
                let _ = socket.send(&ViewerMessage::Bye { reason }).await;
                socket.close().await;
            }
        })
        .into_response())
}

async fn accompany(api: &Api, seat: &Seat, socket: &mut Socket) -> Result<Bye, Gone> {
    let mut status = api.hub.watch(seat.stream);
    let mut told = None;
    let mut tick = tokio::time::interval(TICK);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        let (state, since) = {
            let status = status.borrow_and_update();
            (status.state, status.since)
        };
        if told != Some(state) {
            told = Some(state);
            socket.send(&ViewerMessage::State { state, since }).await?;
        }
        tokio::select! {
            reason = seat.ended() => return Ok(reason.into()),
            () = api.stop.cancelled() => return Ok(Bye::Stopping),
            changed = status.changed() => if changed.is_err() { return Ok(Bye::Stopping) },
            text = socket.text() => {
                if let Some(report) = understood(&text?) {
                    seat.reported(report, api.clock.now());
                }
            }
            _ = tick.tick() => socket.keep_alive().await?,
        }
    }
}

/// A report as far as it can be believed: numbers that no player has are left out. Anything else is ignored.
fn understood(text: &str) -> Option<Report> {
    let report: ViewerReport = serde_json::from_str(text).ok()?;
    if report.kind != "report" {
        return None;
    }
    let number = |value: Option<f64>, most: f64| {
        let value = value.filter(|value| (0.0..=most).contains(value))?;
        // In range and not negative: exact enough for a table.
        Some(value.round() as u32)
    };
    Some(Report {
        height: number(report.height, 16_384.0),
        latency_ms: number(report.latency_ms, 86_400_000.0),
        stalls: number(report.stalls, 1_000_000.0),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_is_believed_as_far_as_it_makes_sense() {
        let report = understood(r#"{"type":"report","latency_ms":1830.4,"height":720,"stalls":-1,"position_ms":null}"#);
        assert_eq!(report, Some(Report { height: Some(720), latency_ms: Some(1_830), stalls: None }));
        for nonsense in ["", "[]", "{}", r#"{"type":"x"}"#, r#"{"type":"report","height":"720"}"#, "\u{0}"] {
            assert_eq!(understood(nonsense), None, "{nonsense}");
        }
        assert_eq!(understood(r#"{"type":"report","height":1e300}"#), Some(Report::default()));
    }
}
