//! Bytes and time: what arrives on a wire becomes [`Frame`]s, and frames become what players ask for.
//!
//! ```text
//! rtmp::Session → flv::Tag → flv::Demuxer → Frame → package::Segmenter → Piece → package::Window → Snapshot → hls text
//!                                                                          Piece → seal::Sealer → Sealed → Window
//! ```
//!
//! # The law of this crate
//!
//! No clock, no sockets, no files, no tasks, no randomness: `now`, wall time and keys are arguments. Every byte that
//! comes from a network is untrusted: a length is never believed before the bytes behind it have arrived, every buffer
//! has a written bound, and no input can panic. `clippy.toml` beside this crate enforces the first half, the fuzz
//! targets in `fuzz/` the second.
//!
//! # The grammar of its machines
//!
//! Every machine here has the same shape. *Getters* take `&self`. `feed(…)` or `push(…)` takes input. *Commands* mutate
//! and return nothing that must be acted upon at once. `poll()` drains outputs until `None`. `next_wake()` says when to
//! come back although nothing arrived. `now` is always a [`Duration`](std::time::Duration) since a moment the caller
//! chose once (usually the start of the process); it never goes back.

pub mod codec;
pub mod container;
pub mod frame;
pub mod package;
pub mod rtmp;
pub mod seal;
pub mod time;

pub use frame::{Frame, Kind, Track};
pub use time::{Timescale, WallTime};
