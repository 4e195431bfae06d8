//! The chunk stream: bytes in one piece and byte by byte give the same messages and the same end, and what is held
//! stays within the limit. The first byte chooses the chunk size.
#![no_main]

use libfuzzer_sys::fuzz_target;
use stagedoor_media::rtmp::Message;
use stagedoor_media::rtmp::chunk::{Error, Limits, Reader};

const LIMITS: Limits = Limits { message_bytes_max: 64 * 1024, streams_max: 8 };

fn read<'a>(pieces: impl Iterator<Item = &'a [u8]>, chunk_size: u32) -> (Vec<Message>, Option<Error>) {
    let mut reader = Reader::new(LIMITS);
    reader.set_chunk_size(chunk_size).expect("not zero");
    let mut messages = Vec::new();
    for mut piece in pieces {
        loop {
            match reader.read(&mut piece) {
                Ok(Some(message)) => messages.push(message),
                Ok(None) => break,
                Err(error) => return (messages, Some(error)),
            }
            assert!(reader.unfinished_bytes() <= LIMITS.message_bytes_max);
        }
        assert!(piece.is_empty());
    }
    (messages, None)
}

fuzz_target!(|data: &[u8]| {
    let Some((first, data)) = data.split_first() else { return };
    let chunk_size = u32::from(*first) * 16 + 1;
    assert_eq!(read(std::iter::once(data), chunk_size), read(data.chunks(1), chunk_size));
});
