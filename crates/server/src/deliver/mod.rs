//! What players fetch: playlists, init segments, parts and segments, each under `/live/{token}/{stream}/`.
//!
//! Every request is checked first and on its own: the token in the path, then the resource. What is sent is shared by
//! all viewers; nothing is rendered, copied or encrypted for one of them.

mod hls;
mod media;

pub use hls::{Deliver, TokenCheck};
pub use media::Media;
