//! What tests are made of. Nothing here ships.

pub mod database;
pub mod geo;
pub mod oidc;
pub mod passkey;
pub mod smtp;
pub mod tls;
pub mod twilio;
