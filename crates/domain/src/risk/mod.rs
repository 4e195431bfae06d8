//! What is noticed about viewers, and what follows from it.
//!
//! ```text
//! page: signals ──┐
//! server: silence,├─▶ Ledger::note ─▶ Score ─▶ judge(policy) ─▶ Nothing | Caution(warn, blur, pause) | SendOut(proof)
//! requests, places┘
//! ```
//!
//! A signal says that something is odd, not who is guilty: a page knows little of the machine it runs on, and every
//! signal has people who set it off without meaning harm. So points are few and [decay](ledger::FRESH), one kind of
//! evidence never sends anybody out, and an event does no more than its organiser has asked for: by default it only
//! writes down. Screen recorders and cameras are seen by nothing here.
//!
//! [`heartbeat`] shows that a page is there and [`standing`] what it says of its guards, [`signal`] is the table, [`ledger`] adds up, [`traffic`] and [`travel`]
//! judge what the server sees by itself. The browser a session came in with is [`crate::agent`]'s matter.

pub mod heartbeat;
pub mod ledger;
pub mod signal;
pub mod standing;
pub mod traffic;
pub mod travel;

pub use heartbeat::HeartbeatKey;
pub use ledger::{Action, Ledger, Score, Tampered, Verdict};
pub use signal::{Class, Signal, Source};
pub use standing::{Guard, Standing, Unmarked};
