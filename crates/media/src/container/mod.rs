//! Frames in and out of containers.
