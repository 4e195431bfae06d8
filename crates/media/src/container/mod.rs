//! Frames in and out of containers.

pub mod flv;
pub mod mp4;
