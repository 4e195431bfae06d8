//! The whole server without its sockets: the real router, the real media path, a real database, a clock that stands
//! still until it is told.
#![allow(clippy::unwrap_used, missing_docs)]

mod abuse;
mod broadcasting;
mod feeds;
mod laws;
mod operation;
mod organising;
mod refusals;
mod stage;
mod watching;
