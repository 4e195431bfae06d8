//! The server side of an RTMP connection, without sockets: bytes in, bytes and events out.
//!
//! ```text
//! socket ─bytes─▶ Session::feed ─▶ handshake ─▶ chunk::Reader ─▶ Message ─┬─ commands ─▶ answers   (Output::Send)
//!                                                                         ├─ publish  ─▶ Event::Publish
//!                                                                         └─ media    ─▶ Event::Tag(flv::Tag)
//! ```
//!
//! What it deliberately does not do: play (a player is told where to look instead), RTMPE, RTMPT, the digest handshake,
//! Adobe's `authmod` logins, shared objects, AMF3 values.
//!
//! # Source
//!
//! Adobe, *RTMP 1.0* (2012). Veovera, *Enhanced RTMP v2*, "Enhancing NetConnection connect Command". The commands
//! `releaseStream`, `FCPublish` and `FCUnpublish` are in no specification; they are answered as librtmp (OBS), ffmpeg
//! and GStreamer expect.

pub mod amf0;
pub mod chunk;
mod handshake;
mod message;
mod publish;
mod session;

pub use message::Message;
pub use publish::PublishRequest;
pub use session::{Event, Limits, Output, Phase, RANDOM_BYTES, Rejection, Session, SessionError};

/// The longest beginning of `text` that fits in `bytes_max` bytes.
pub(crate) fn clip(text: &str, bytes_max: usize) -> &str {
    let mut end = text.len().min(bytes_max);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}
