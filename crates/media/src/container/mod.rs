//! Frames in and out of containers.

pub mod flv;
