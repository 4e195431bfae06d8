//! What players fetch: playlists, init segments, parts and segments, each under `/live/{token}/{stream}/`.
//!
//! Every request is checked first and on its own: the token in the path, then the resource. What is sent is shared by
//! all viewers; nothing is rendered, copied or encrypted for one of them. Keys are what only those get who may have them
//! at this moment.

mod hls;
mod licence;
mod media;
mod pattern;

pub use hls::{Deliver, TokenCheck, is_licence};
pub use licence::REQUEST_BYTES_MAX as LICENCE_REQUEST_BYTES_MAX;
pub use media::Media;
pub use pattern::{Patterns, watch_patterns};
