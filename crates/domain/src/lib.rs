//! Nouns and rules: values in, decisions out.
//!
//! ```text
//! code → invitation → session → playback token ─┐
//! stream key ───────────────────────────────────┼→ access::decide(action, facts, now) → Allowed<action> | Denied
//! password, cookie, API token → organiser ──────┘
//! ```
//!
//! # The law of this crate
//!
//! No clock, no sockets, no files, no tasks, no randomness: `now`, random bytes and keys are arguments. The policy of the
//! whole product (who may do what) is the one `match` in [`access::decide`], and what follows
//! from what is odd about a viewer is [`risk::Ledger::judge`]; everybody else gathers facts and obeys.

pub mod access;
pub mod agent;
pub mod event;
pub mod fact;
pub mod id;
pub mod incident;
pub mod message;
pub mod network;
pub mod person;
pub mod publish;
pub mod risk;
pub mod sheet;
pub mod stream;
pub mod time;
pub mod webhook;

pub use time::Time;
