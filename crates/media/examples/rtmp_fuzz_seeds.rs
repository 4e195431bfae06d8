//! Cuts the captures in `fixtures/rtmp` into seeds for the fuzz targets: run it after recording them anew.
//!
//! ```text
//! cargo run -p stagedoor-media --example rtmp_fuzz_seeds -- crates/media
//! ```
#![allow(clippy::disallowed_methods, reason = "an example reads and writes files")]

use std::io::{Error, ErrorKind};
use std::path::Path;
use std::time::Duration;

use bytes::BytesMut;
use stagedoor_media::container::flv::{Tag, TagKind};
use stagedoor_media::rtmp::{Event, Limits, Output, RANDOM_BYTES, Session, chunk};

const HANDSHAKE_BYTES: usize = 1 + 2 * RANDOM_BYTES;
/// Enough for the opening, both sequence headers and a few frames.
const SESSION_SEED_BYTES: usize = 2_500;
const TAG_SEED_BYTES: usize = 2_000;

fn main() -> Result<(), Error> {
    let root =
        std::env::args().nth(1).ok_or_else(|| Error::new(ErrorKind::InvalidInput, "usage: SEEDS crates/media"))?;
    let root = Path::new(&root);
    for entry in std::fs::read_dir(root.join("fixtures/rtmp"))? {
        let path = entry?.path();
        let (Some("rtmp"), Some(name)) =
            (path.extension().and_then(|text| text.to_str()), path.file_stem().and_then(|text| text.to_str()))
        else {
            continue;
        };
        let capture = std::fs::read(&path)?;
        let session = &capture[HANDSHAKE_BYTES..capture.len().min(HANDSHAKE_BYTES + SESSION_SEED_BYTES)];
        // Accepted, and cut into pieces of 32 bytes.
        write(root, "rtmp_session", name, &[&[0x7d], session].concat())?;

        let tags = tags(&capture)?;
        let mut seed = Vec::new();
        for tag in &tags {
            if seed.len() + tag.payload.len() < TAG_SEED_BYTES {
                seed.push(kind(tag));
                seed.extend(tag.timestamp_ms.to_be_bytes());
                seed.extend((tag.payload.len() as u16).to_be_bytes());
                seed.extend_from_slice(&tag.payload);
            }
        }
        write(root, "flv_tag", name, &seed)?;

        if let Some(script) = tags.iter().find(|tag| tag.kind == TagKind::Script) {
            write(root, "amf0", name, &script.payload)?;
        }
    }
    let mut out = BytesMut::from(&[15_u8][..]);
    for (chunk_stream, size, time) in [(3, 20, 0), (4, 700, 40), (6, 300, 0x0100_0000), (4, 700, 80)] {
        let payload = vec![chunk_stream; size].into();
        let message = stagedoor_media::rtmp::Message { kind: 9, stream: 1, timestamp_ms: time, payload };
        chunk::write(&mut out, chunk_stream, &message, 241);
    }
    write(root, "rtmp_chunk", "four-messages", &out)
}

fn kind(tag: &Tag) -> u8 {
    match tag.kind {
        TagKind::Audio => 8,
        TagKind::Video => 9,
        TagKind::Script => 18,
    }
}

fn tags(capture: &[u8]) -> Result<Vec<Tag>, Error> {
    let mut session = Session::new(Limits::default(), [0; RANDOM_BYTES], Duration::ZERO);
    let mut tags = Vec::new();
    for piece in capture.chunks(1_000) {
        session.feed(piece, Duration::ZERO).map_err(Error::other)?;
        session.accept_publish(Duration::ZERO);
        while let Some(output) = session.poll() {
            if let Output::Event(Event::Tag(tag)) = output {
                tags.push(tag);
            }
        }
    }
    Ok(tags)
}

fn write(root: &Path, target: &str, name: &str, seed: &[u8]) -> Result<(), Error> {
    let folder = root.join("fuzz/corpus").join(target);
    std::fs::create_dir_all(&folder)?;
    std::fs::write(folder.join(name), seed)
}
