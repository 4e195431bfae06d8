//! Everything that touches the world: sockets, files, the database, and the machines driven between them.
//!
//! ARCHITECTURE.md draws the floors. Modules import downwards only, features never import each other, and
//! `app` alone sees them all.

pub mod access;
pub mod api;
pub mod app;
pub mod assets;
pub mod cli;
pub mod config;
pub mod deliver;
pub mod facts;
pub mod http;
pub mod ingest;
pub mod live;
pub mod messages;
pub mod people;
pub mod ports;
pub mod telemetry;
pub mod webhooks;
