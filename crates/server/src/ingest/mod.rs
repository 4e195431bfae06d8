//! Broadcasts coming in: from a socket to a [`Publisher`](crate::live::Publisher).
//!
//! Each protocol is a shell around a pure session of `media`; all of them pass [`admit`], the one door.

mod admit;
pub mod rtmp;
