//! The whole server without its sockets: the real router, the real media path, a real database, a clock that stands
//! still until it is told.
#![allow(clippy::unwrap_used, missing_docs)]

mod abuse;
mod accounts;
mod admission;
mod broadcasting;
mod concurrency;
mod feeds;
mod hooks;
mod importing;
mod keys;
mod killed;
mod laws;
mod leaks;
mod log;
mod matrix;
mod messaging;
mod operation;
mod organising;
mod passkeys;
mod people;
mod preview;
mod privacy;
mod provenance;
mod refusals;
mod single_sign_on;
mod stage;
mod watching;
