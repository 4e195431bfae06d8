//! Hub 3: live broadcasts. A publisher puts frames in, viewers' requests read pieces out, and neither waits for the other.
//!
//! ```text
//! ingest ─▶ Hub::publish ─▶ Publisher ─▶ ring ─▶ packager (a task) ─▶ Window ─▶ Playlist ─▶ deliver
//!                                             sealing ┘  └─▶ archive (a task): blobs + segment rows
//! ```
//!
//! Invariants: one publisher per stream; media sequence numbers never go back, also across a restart; a reader never
//! slows a publisher, storage never slows a broadcast; a broadcast that was live when the process died is away when it
//! is back. Absent on purpose: who may publish or watch (that is `access`), and how bytes reach a player (`deliver`).

mod archive;
mod channel;
mod health;
mod hub;
mod packager;
mod plan;
mod playlist;
mod publisher;
mod restore;
mod ring;
mod sealing;
mod status;
#[cfg(test)]
mod testing;

pub use channel::{Channel, Rendition};
pub use hub::{Hub, PublishError};
pub use playlist::{Playlist, Text};
pub use publisher::{Publisher, StopReason};
pub use status::{Advice, AudioStatus, EncryptionStatus, PublisherStatus, Severity, State, StreamStatus, VideoStatus};
