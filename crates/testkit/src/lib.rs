//! What tests are made of. Nothing here ships.

pub mod database;
