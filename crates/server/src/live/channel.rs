//! What all viewers of one stream share.
//!
//! A [`Channel`] outlives its publisher: it is there while the broadcaster is away, and stays for a while after the
//! end so that players can read the end of the playlist. Its [`Rendition`]s are replaced when a new broadcast begins.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arc_swap::{ArcSwap, ArcSwapOption};
use bytes::Bytes;
use metrics::Gauge;
use stagedoor_domain::Time;
use stagedoor_domain::id::StreamId;
use stagedoor_media::Kind;
use stagedoor_media::package::hls::RenditionReport;
use stagedoor_media::package::{Edge, Snapshot, Stored, Window};
use stagedoor_media::seal::ContentKey;
use tokio::sync::watch;

use super::playlist::{Playlist, Text};
use super::status::{State, StreamStatus};

/// One stream as its viewers see it.
pub struct Channel {
    stream: StreamId,
    video: ArcSwapOption<Rendition>,
    audio: ArcSwapOption<Rendition>,
    multivariant: watch::Sender<Option<Text>>,
    status: watch::Sender<Arc<StreamStatus>>,
    /// The two things of the status that viewers are told, apart from it: figures change every second, and thousands of
    /// pages need not be woken for them.
    state: watch::Sender<(State, Option<Time>)>,
}

impl Channel {
    pub(super) fn new(stream: StreamId) -> Self {
        Self {
            stream,
            video: ArcSwapOption::empty(),
            audio: ArcSwapOption::empty(),
            multivariant: watch::Sender::new(None),
            status: watch::Sender::new(Arc::new(StreamStatus::idle())),
            state: watch::Sender::new((State::Idle, None)),
        }
    }

    /// Whose channel this is.
    #[must_use]
    pub fn stream(&self) -> StreamId {
        self.stream
    }

    /// The pictures or the sound; `None` while there are none.
    #[must_use]
    pub fn rendition(&self, kind: Kind) -> Option<Arc<Rendition>> {
        self.slot(kind).load_full()
    }

    /// The multivariant playlist; `None` before the first part.
    #[must_use]
    pub fn multivariant(&self) -> Option<Text> {
        self.multivariant.borrow().clone()
    }

    /// The multivariant playlist, as soon as there is one. Cancel-safe; the caller bounds the time.
    pub async fn first_multivariant(&self) -> Option<Text> {
        let mut text = self.multivariant.subscribe();
        // The sender lives in `self`, so the wait cannot fail.
        let text = text.wait_for(Option::is_some).await.ok()?;
        text.clone()
    }

    /// The stream's status, now and whenever it changes.
    #[must_use]
    pub fn status(&self) -> watch::Receiver<Arc<StreamStatus>> {
        self.status.subscribe()
    }

    /// The stream's state and since when, now and whenever one of them changes.
    #[must_use]
    pub fn state(&self) -> watch::Receiver<(State, Option<Time>)> {
        self.state.subscribe()
    }

    pub(super) fn set_status(&self, status: StreamStatus) {
        self.state.send_if_modified(|current| {
            let state = (status.state, status.since);
            std::mem::replace(current, state) != state
        });
        self.status.send_if_modified(|current| {
            let changed = **current != status;
            if changed {
                *current = Arc::new(status);
            }
            changed
        });
    }

    pub(super) fn current_status(&self) -> Arc<StreamStatus> {
        self.status.borrow().clone()
    }

    pub(super) fn set_rendition(&self, rendition: Arc<Rendition>) {
        self.slot(rendition.kind()).store(Some(rendition));
    }

    pub(super) fn set_multivariant(&self, text: Option<Text>) {
        self.multivariant.send_replace(text);
    }

    /// Nothing to play any more, or not yet.
    pub(super) fn clear(&self) {
        self.multivariant.send_replace(None);
        self.video.store(None);
        self.audio.store(None);
    }

    fn slot(&self, kind: Kind) -> &ArcSwapOption<Rendition> {
        match kind {
            Kind::Video => &self.video,
            Kind::Audio => &self.audio,
        }
    }
}

/// Pictures or sound of a channel: the live window and the text that describes it.
pub struct Rendition {
    kind: Kind,
    window: Mutex<Window>,
    playlist: ArcSwap<Playlist>,
    // How far it is, on two clocks: a player that asks for whole segments must not be woken by every part, and one that
    // asks for parts has nothing to do at the end of a segment, when the next part is still being made.
    parts: watch::Sender<Edge>,
    segments: watch::Sender<Edge>,
    held: Held,
    sealed_init: Mutex<Option<SealedInit>>,
}

/// The init segment that was last encrypted as a whole.
struct SealedInit {
    init: u32,
    key: [u8; 16],
    bytes: Bytes,
}

/// What a window holds in memory, as part of the sum over all windows that `/metrics` shows.
struct Held {
    bytes: AtomicU64,
    sum: Gauge,
}

impl Held {
    fn set(&self, bytes: u64) {
        let before = self.bytes.swap(bytes, Ordering::Relaxed);
        self.sum.increment(bytes as f64 - before as f64);
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.set(0);
    }
}

/// Beyond every position: what is waited for will not come, read the playlist again.
const OVER: Edge = Edge { msn: u64::MAX, part: u32::MAX };

impl Rendition {
    pub(super) fn new(kind: Kind, window: Window) -> Self {
        let playlist = Playlist::new(window.snapshot(), Vec::new());
        let edge = window.edge();
        Self {
            kind,
            window: Mutex::new(window),
            playlist: ArcSwap::from_pointee(playlist),
            parts: watch::Sender::new(edge),
            segments: watch::Sender::new(edge),
            held: Held { bytes: AtomicU64::new(0), sum: metrics::gauge!("live_window_bytes") },
            sealed_init: Mutex::new(None),
        }
    }

    /// Pictures or sound.
    #[must_use]
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// The newest playlist.
    #[must_use]
    pub fn playlist(&self) -> Arc<Playlist> {
        self.playlist.load_full()
    }

    /// Waits until the edge is past `until` (its `part` at its highest: the whole segment), or nothing will follow.
    /// Cancel-safe; the caller bounds the time.
    pub async fn passed(&self, until: Edge) {
        let clock = if until.part == u32::MAX { &self.segments } else { &self.parts };
        // The sender lives in `self`, so the wait cannot fail.
        let mut clock = clock.subscribe();
        let _edge = clock.wait_for(|&edge| edge > until).await;
    }

    /// The part that is being made.
    #[must_use]
    pub fn edge(&self) -> Edge {
        *self.parts.borrow()
    }

    /// The bytes of init segment `id`.
    #[must_use]
    pub fn init(&self, id: u32) -> Option<Bytes> {
        self.window().init(id)
    }

    /// Init segment `id` as a playlist names it behind `key`, encrypted as a whole. The last one is kept: with each new key
    /// everybody who watches asks for the same.
    #[must_use]
    pub fn sealed_init(&self, id: u32, key: &ContentKey) -> Option<Bytes> {
        let clear = self.init(id)?;
        // Held while it is made, so that one makes it for all who wait. What a panic left is whole or missing.
        let mut last = self.sealed_init.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(kept) = last.as_ref().filter(|kept| kept.init == id && kept.key == key.id) {
            return Some(kept.bytes.clone());
        }
        let bytes = key.header(&clear);
        *last = Some(SealedInit { init: id, key: key.id, bytes: bytes.clone() });
        Some(bytes)
    }

    /// The bytes of a part, while it may be asked for.
    #[must_use]
    pub fn part(&self, msn: u64, index: u32) -> Option<Bytes> {
        self.window().part(msn, index)
    }

    /// Where a finished segment is.
    #[must_use]
    pub fn segment(&self, msn: u64) -> Option<Stored> {
        self.window().segment(msn)
    }

    /// The window, for the packager and the archive. Never held across an await.
    pub(super) fn window(&self) -> MutexGuard<'_, Window> {
        // A panic while the lock was held left at worst one piece out; the window itself stays consistent.
        self.window.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes `snapshot` of the window visible to players.
    pub(super) fn publish(&self, snapshot: Snapshot, others: Vec<RenditionReport>) {
        self.held.set(self.window().memory_bytes());
        let edge = if snapshot.ended() { OVER } else { snapshot.edge() };
        let last = snapshot.last();
        let before = self.playlist.swap(Arc::new(Playlist::new(snapshot, others)));
        self.parts.send_if_modified(|current| {
            *current = edge.max(*current);
            edge == OVER || before.snapshot().last() != last
        });
        self.segments.send_if_modified(|current| {
            let woken = edge.msn > current.msn;
            *current = edge.max(*current);
            woken
        });
    }
}
