//! A whole session after its handshake. The first byte says how the input is cut into pieces, and what becomes of a
//! request to publish. Whatever the cut, what is sent and what happens is the same; what is held stays within the
//! limits; tags go through the demuxer.
#![no_main]

use std::time::Duration;

use libfuzzer_sys::fuzz_target;
use stagedoor_media::container::flv::Demuxer;
use stagedoor_media::rtmp::{Event, Limits, Output, Phase, RANDOM_BYTES, Rejection, Session, SessionError};

const LIMITS: Limits = Limits {
    before_publish_bytes_max: 16 * 1024,
    message_bytes_max: 128 * 1024,
    chunk_streams_max: 64,
    publish_within: Duration::from_secs(10),
    idle_max: Duration::from_secs(10),
};

type Outcome = (Vec<u8>, Vec<Event>, bool, Option<SessionError>);

fn run<'a>(pieces: impl Iterator<Item = &'a [u8]>, answer: u8) -> Outcome {
    let mut session = Session::new(LIMITS, [7; RANDOM_BYTES], Duration::ZERO);
    let mut handshake = [3; 1 + 2 * RANDOM_BYTES];
    handshake[1..].fill(9);
    session.feed(&handshake, Duration::ZERO).expect("a handshake");
    let (mut sent, mut events, mut closed, mut error) = (Vec::new(), Vec::new(), false, None);
    let mut now = Duration::ZERO;
    for piece in pieces.chain([&[][..], &[]]) {
        now += Duration::from_micros(1);
        error = session.feed(piece, now).err();
        loop {
            while let Some(output) = session.poll() {
                match output {
                    Output::Send(bytes) => sent.extend_from_slice(&bytes),
                    Output::Event(event) => events.push(event),
                    Output::Close => closed = true,
                }
            }
            if session.phase() != Phase::Decision {
                break;
            }
            match answer % 4 {
                0 => session.reject_publish(Rejection::BadName, "no"),
                _ => session.accept_publish(now),
            }
        }
        let limit = if session.phase() == Phase::Publishing { LIMITS.message_bytes_max } else { 144 * 1024 };
        assert!(session.buffered_bytes() <= limit);
        if error.is_some() {
            assert_eq!(session.next_wake(), Some(now));
            break;
        }
    }
    (sent, events, closed, error)
}

fuzz_target!(|data: &[u8]| {
    let Some((&first, data)) = data.split_first() else { return };
    let whole = run(std::iter::once(data), first);
    let cut = run(data.chunks(usize::from(first >> 2) + 1), first);
    // A decision that is made in the middle of a piece lets more or fewer early bytes in; only then may ends differ.
    if !matches!(whole.3, Some(SessionError::TooEarly { .. })) {
        assert_eq!(whole, cut);
    }
    let mut demuxer = Demuxer::new();
    for event in whole.1 {
        if let Event::Tag(tag) = event {
            let _ = demuxer.feed(tag);
            while demuxer.poll().is_some() {}
        }
    }
});
