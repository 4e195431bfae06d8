use super::*;
use crate::package::testing::{Source, broadcast, segments};

#[test]
fn a_broadcast_becomes_segments_of_two_seconds() {
    let pieces = broadcast(Latency::Low, &Source::default(), 9);
    let video = segments(&pieces, Kind::Video);
    assert_eq!(video.len(), 5);
    assert_eq!(segments(&pieces, Kind::Audio).len(), 5);
}
