//! The RTMP session and the FLV demuxer seen from outside: encoders made by hand and encoders that were recorded.
#![allow(clippy::unwrap_used, reason = "tests")]

mod captures;
mod client;
mod flv;
mod session;
