//! Who fetches more than can be watched: looked at once in a while, from what the media path counted.
//!
//! What a stream brings forth is taken from its measured bitrates, at the highest since it went live: somebody who goes
//! back from a still picture to the concert before it fetches more than is made at that moment, and is no copier. A
//! window in which the stream was not live all the time is not judged.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use stagedoor_domain::id::EventId;
use stagedoor_domain::risk::{Signal, traffic};
use tokio_util::sync::CancellationToken;

use crate::access::{Access, Room};
use crate::live::{Hub, State, StreamStatus};

/// How often bitrates are looked at.
const LOOK: Duration = Duration::from_secs(5);

/// What is being added up about a room.
#[derive(Clone, Copy, Debug)]
struct Window {
    since: Duration,
    /// The highest since the stream went live, bits per second.
    peak_bps: u64,
}

/// Every room that is live.
#[derive(Debug, Default)]
pub struct Patterns(HashMap<EventId, Window>);

/// Looks who fetches more than can be watched, until `stop`. `elapsed` is monotonic.
pub async fn watch_patterns(
    access: Arc<Access>,
    hub: Arc<Hub>,
    elapsed: impl Fn() -> Duration,
    stop: CancellationToken,
) {
    let mut patterns = Patterns::default();
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(LOOK) => {}
        }
        patterns.look(&access, &hub, elapsed());
    }
}

/// What a stream brings forth, in bits per second; `None` while it is not live, or nothing was measured yet.
fn made_bps(status: &StreamStatus) -> Option<u64> {
    let video = status.video.as_ref().map_or(0, |video| video.bitrate_bps);
    let audio = status.audio.as_ref().map_or(0, |audio| audio.bitrate_bps);
    (status.state == State::Live).then_some(video.saturating_add(audio)).filter(|bps| *bps > 0)
}

impl Patterns {
    /// One look at every room.
    pub fn look(&mut self, access: &Access, hub: &Hub, now: Duration) {
        let rooms = access.rooms();
        self.0.retain(|event, _| rooms.iter().any(|room| room.event == *event));
        for room in rooms {
            self.turn(access, &room, made_bps(&hub.status(room.stream)), now);
        }
    }

    fn turn(&mut self, access: &Access, room: &Room, bps: Option<u64>, now: Duration) {
        let Some(bps) = bps else {
            if self.0.remove(&room.event).is_some() {
                forget(room);
            }
            return;
        };
        let window = self.0.entry(room.event).or_insert_with(|| {
            forget(room);
            Window { since: now, peak_bps: 0 }
        });
        window.peak_bps = window.peak_bps.max(bps);
        let length = now.saturating_sub(window.since);
        if length < traffic::WINDOW {
            return;
        }
        window.since = now;
        let millis = u64::try_from(length.as_millis()).unwrap_or(u64::MAX);
        let made = (window.peak_bps / 8).saturating_mul(millis) / 1_000;
        let mut odd = Vec::new();
        room.each(|seat| {
            if seat.weigh(Some(made), length) {
                odd.push(Arc::clone(seat));
            }
        });
        for seat in odd {
            access.noticed(&seat, Signal::RequestPattern, "");
        }
    }
}

fn forget(room: &Room) {
    room.each(|seat| {
        seat.weigh(None, Duration::ZERO);
    });
}

#[cfg(test)]
mod tests;
