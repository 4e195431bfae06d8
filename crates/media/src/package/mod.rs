//! From frames to what an HLS player asks for.
