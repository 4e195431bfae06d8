//! What the packager writes, read by someone else: ffmpeg decodes it to the same pictures and sound as the source, and
//! mp4-atom finds every box in its place.
//!
//! Needs `ffmpeg` in the path and fails without it. The fixtures are made by `fixtures/make.sh`.

// A test may read its fixtures; the core may not.
#![allow(clippy::disallowed_methods, clippy::unwrap_used)]

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use bytes::Bytes;
use mp4_atom::{Atom, Decode, Header, ReadAtom, ReadFrom};
use stagedoor_media::codec::{Codec, aac, av1, h265, opus};
use stagedoor_media::container::flv::{self, Demuxer, Output, TagKind};
use stagedoor_media::container::mp4;
use stagedoor_media::package::{Body, Config, Latency, Piece, Segmenter, Stored, Tracks, Window};
use stagedoor_media::seal::{ContentKey, Method, Sealer};
use stagedoor_media::{Frame, Kind, Timescale, Track, WallTime};

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(name)
}

// ---- reading fixtures

/// The frames of an FLV file through the demuxer that RTMP uses.
fn flv_frames(name: &str) -> Vec<Frame> {
    let data = std::fs::read(fixture(name)).unwrap();
    let mut demuxer = Demuxer::new();
    let mut frames = Vec::new();
    let mut place = 13;
    while place + 11 <= data.len() {
        let number = |at: usize, bytes: usize| data[at..at + bytes].iter().fold(0, |n, &b| n << 8 | u32::from(b));
        let size = number(place + 1, 3) as usize;
        let kind = match data[place] {
            8 => TagKind::Audio,
            9 => TagKind::Video,
            _ => TagKind::Script,
        };
        let timestamp_ms = number(place + 7, 1) << 24 | number(place + 4, 3);
        let payload = Bytes::copy_from_slice(&data[place + 11..place + 11 + size]);
        demuxer.feed(flv::Tag { kind, timestamp_ms, payload }).unwrap();
        while let Some(output) = demuxer.poll() {
            if let Output::Frame(frame) = output {
                frames.push(frame);
            }
        }
        place += 11 + size + 4;
    }
    frames
}

/// The body of the first box with one of the names on the path.
fn find<'a>(data: &'a [u8], kind: &[u8; 4]) -> Option<&'a [u8]> {
    let place = data.windows(4).position(|window| window == kind)?;
    let size = u32::from_be_bytes(data[place - 4..place].try_into().unwrap()) as usize;
    data.get(place + 4..place - 4 + size)
}

/// The frames of a fragmented MP4 file with one track, with times in milliseconds as RTMP would bring them.
fn mp4_frames(name: &str) -> Vec<Frame> {
    let data = std::fs::read(fixture(name)).unwrap();
    let record = |kind| find(&data, kind).map(Bytes::copy_from_slice);
    let codec = if let Some(record) = record(b"hvcC") {
        Codec::H265(h265::Config::parse(record).unwrap())
    } else if let Some(record) = record(b"av1C") {
        Codec::Av1(av1::Config::parse(record).unwrap())
    } else if let Some(dops) = record(b"dOps") {
        // Back to the header that Enhanced RTMP carries: little-endian, version 1.
        let mut head = b"OpusHead\x01".to_vec();
        head.push(dops[1]);
        head.extend([dops[3], dops[2], dops[7], dops[6], dops[5], dops[4], dops[9], dops[8], dops[10]]);
        Codec::Opus(opus::Config::parse(head.into()).unwrap())
    } else {
        let esds = record(b"esds").unwrap();
        let place = esds.iter().position(|&byte| byte == 5).unwrap();
        let config = &esds[place + 5..place + 5 + usize::from(esds[place + 4])];
        Codec::Aac(aac::Config::parse(Bytes::copy_from_slice(config)).unwrap())
    };
    let mdhd = find(&data, b"mdhd").unwrap();
    let scale = Timescale::new(u32::from_be_bytes(mdhd[12..16].try_into().unwrap())).unwrap();
    let track = Arc::new(Track { codec, timescale: Timescale::MILLIS });
    let mut frames = Vec::new();
    let mut reader = std::io::Cursor::new(&data);
    while let Ok(Some(header)) = Option::<Header>::read_from(&mut reader) {
        let start = reader.position() as usize - 8;
        if header.kind != mp4_atom::Moof::KIND {
            reader.set_position((start + 8 + header.size.unwrap()) as u64);
            continue;
        }
        let moof = mp4_atom::Moof::read_atom(&header, &mut reader).unwrap();
        let traf = &moof.traf[0];
        let mut time = traf.tfdt.as_ref().unwrap().base_media_decode_time as i64;
        for trun in &traf.trun {
            let mut offset = (start as i64 + i64::from(trun.data_offset.unwrap())) as usize;
            for (index, entry) in trun.samples.iter().enumerate() {
                let size = entry.size.or(traf.tfhd.default_sample_size).unwrap() as usize;
                let duration = entry.duration.or(traf.tfhd.default_sample_duration).unwrap();
                let flags = entry.flags.or(traf.tfhd.default_sample_flags).unwrap_or(0);
                let pts = time + entry.cts.unwrap_or(0);
                let dts = scale.rescale(time, Timescale::MILLIS);
                frames.push(Frame {
                    track: track.clone(),
                    dts,
                    cts: i32::try_from(scale.rescale(pts, Timescale::MILLIS) - dts).unwrap(),
                    keyframe: track.kind() == Kind::Audio || (index == 0 && flags & 0x1_0000 == 0),
                    payload: Bytes::copy_from_slice(&data[offset..offset + size]),
                });
                offset += size;
                time += i64::from(duration);
            }
        }
    }
    assert!(frames.len() > 100, "{name} has {} frames", frames.len());
    frames
}

// ---- packaging

fn package(frames: &[Frame], latency: Latency) -> Vec<Piece> {
    let has = |kind| frames.iter().any(|frame| frame.track.kind() == kind);
    let expect = Some(Tracks { video: has(Kind::Video), audio: has(Kind::Audio) });
    let mut segmenter = Segmenter::new(Config { latency, expect, ..Config::default() });
    let mut pieces = Vec::new();
    for frame in frames {
        segmenter.push(frame.clone(), WallTime(1_767_225_600_000 + frame.dts));
        pieces.extend(std::iter::from_fn(|| segmenter.poll()));
    }
    segmenter.end();
    pieces.extend(std::iter::from_fn(|| segmenter.poll()));
    pieces
}

/// The initialization segment and all segments of a rendition, as a player that joins at the beginning gets them.
fn file(pieces: &[Piece], kind: Kind) -> Vec<u8> {
    let mut window = Window::new(kind, stagedoor_media::package::Limits::default());
    pieces.iter().cloned().for_each(|piece| window.add(piece));
    let mut file = window.init(0).unwrap().to_vec();
    let mut parts = Vec::new();
    for msn in 0.. {
        match window.segment(msn) {
            Some(Stored::Memory(bytes)) => bytes.iter().for_each(|bytes| file.extend_from_slice(bytes)),
            Some(Stored::Spilled { .. }) => panic!("nothing was stored"),
            None => break,
        }
        for index in 0.. {
            let Some(part) = window.part(msn, index) else { break };
            parts.extend_from_slice(&part);
        }
    }
    let init = window.init(0).unwrap().len();
    assert_eq!(parts, file[init..], "the parts of a segment are the segment");
    file
}

// ---- ffmpeg

/// One line per decoded frame: its size and the hash of its pixels or samples.
fn decoded(input: &Path, stream: &str) -> Vec<String> {
    decoded_with(&[], input, stream)
}

fn decoded_with(options: &[&str], input: &Path, stream: &str) -> Vec<String> {
    let is_mp4 = input.extension().is_some_and(|extension| extension == "mp4");
    let output = Command::new("ffmpeg")
        .args(["-v", "error", "-xerror"])
        .args(if is_mp4 { &["-ignore_editlist", "1"][..] } else { &[] })
        .args(options)
        .arg("-i")
        .arg(input)
        .args(["-map", &format!("0:{stream}:0"), "-fps_mode", "passthrough", "-f", "framehash", "-hash", "md5", "-"])
        .output();
    let output = match output {
        Ok(output) => output,
        Err(error) => panic!("this test needs ffmpeg, which cannot be started ({error}): apt install ffmpeg"),
    };
    assert!(output.status.success(), "ffmpeg: {}", String::from_utf8_lossy(&output.stderr));
    assert!(output.stderr.is_empty(), "ffmpeg: {}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).unwrap();
    let fields = |line: &str| line.split(',').skip(4).map(str::trim).collect::<Vec<_>>().join(" ");
    text.lines().filter(|line| !line.starts_with('#')).map(fields).collect()
}

fn check(name: &str, frames: &[Frame], kind: Kind) {
    for latency in [Latency::Ultra, Latency::Low, Latency::Standard] {
        let pieces = package(frames, latency);
        let segments = pieces.iter().filter(|piece| matches!(piece.body, Body::SegmentEnd { .. })).count();
        assert!(segments >= 2, "{name} became {segments} segments");
        let bytes = file(&pieces, kind);
        check_boxes(&bytes, frames.iter().find(|frame| frame.track.kind() == kind).unwrap());
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR"));
        let path = folder.join(format!("{name}.{}.{latency:?}.mp4", kind.as_str()));
        std::fs::write(&path, &bytes).unwrap();
        let stream = if kind == Kind::Video { "v" } else { "a" };
        let (source, ours) = (decoded(&fixture(name), stream), decoded(&path, stream));
        assert!(source.len() > 100);
        assert_eq!(ours.len(), source.len(), "{name}: every frame is there");
        assert!(ours == source, "{name} decodes to something else in {latency:?}");
    }
}

/// Reads every box with mp4-atom and follows the decode times through all fragments.
fn check_boxes(bytes: &[u8], first: &Frame) {
    let scale = mp4::timescale(&first.track.codec);
    let mut reader = std::io::Cursor::new(bytes);
    let mut expected = None;
    let mut kinds = Vec::new();
    while let Some(header) = Option::<Header>::read_from(&mut reader).unwrap() {
        kinds.push(header.kind);
        let start = reader.position();
        match header.kind {
            mp4_atom::Moov::KIND => {
                let moov = mp4_atom::Moov::read_atom(&header, &mut reader).unwrap();
                assert_eq!(moov.trak[0].mdia.mdhd.timescale, scale.ticks_per_second());
                assert_eq!(moov.mvex.unwrap().trex[0].track_id, moov.trak[0].tkhd.track_id);
                let resolution = first.track.codec.resolution();
                let tkhd = &moov.trak[0].tkhd;
                assert_eq!(
                    resolution.unwrap_or((0, 0)),
                    (u32::from(tkhd.width.integer()), u32::from(tkhd.height.integer()))
                );
            }
            mp4_atom::Moof::KIND => {
                let moof = mp4_atom::Moof::read_atom(&header, &mut reader).unwrap();
                let traf = &moof.traf[0];
                let time = traf.tfdt.as_ref().unwrap().base_media_decode_time;
                if let Some(expected) = expected {
                    assert_eq!(time, expected, "a fragment begins where the one before it ended");
                }
                let default = traf.tfhd.default_sample_duration;
                let trun = &traf.trun[0];
                let length: u64 = trun.samples.iter().map(|e| u64::from(e.duration.or(default).unwrap())).sum();
                expected = Some(time + length);
                // The data begins right behind the header of mdat.
                let moof_size = reader.position() - (start - 8);
                assert_eq!(u64::try_from(trun.data_offset.unwrap()).unwrap(), moof_size + 8);
            }
            _ => {}
        }
        reader.set_position(start + header.size.unwrap() as u64);
    }
    assert_eq!(kinds[..2], [mp4_atom::Ftyp::KIND, mp4_atom::Moov::KIND]);
    assert!(kinds.len() > 10);
    let mut head = bytes;
    assert_eq!(Header::decode(&mut head).unwrap().kind, mp4_atom::Ftyp::KIND);
}

#[test]
fn h264_and_aac_from_flv_decode_to_the_same_pictures_and_sound() {
    let frames = flv_frames("h264_aac.flv");
    check("h264_aac.flv", &frames, Kind::Video);
    check("h264_aac.flv", &frames, Kind::Audio);
}

#[test]
fn h265_decodes_to_the_same_pictures() {
    check("h265.mp4", &mp4_frames("h265.mp4"), Kind::Video);
}

#[test]
fn av1_decodes_to_the_same_pictures() {
    check("av1.mp4", &mp4_frames("av1.mp4"), Kind::Video);
}

#[test]
fn opus_decodes_to_the_same_sound() {
    check("opus.mp4", &mp4_frames("opus.mp4"), Kind::Audio);
}

#[test]
fn aac_at_44_1_khz_decodes_to_the_same_sound() {
    check("aac.mp4", &mp4_frames("aac.mp4"), Kind::Audio);
}

/// A rendition sealed with one key.
fn sealed_window(pieces: &[Piece], kind: Kind, method: Method, key: &ContentKey) -> Window {
    let mut window = Window::new(kind, stagedoor_media::package::Limits::default());
    let mut sealer = Sealer::new(method);
    for piece in pieces.iter().filter(|piece| piece.rendition == kind) {
        window.add_sealed(sealer.seal(piece.clone(), key).unwrap());
    }
    window
}

/// The hash of each coded sample in a file of one fragment, as ffmpeg takes it out.
fn samples(options: &[&str], name: &str, bytes: &[u8]) -> Vec<String> {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    std::fs::write(&path, bytes).unwrap();
    let mut command = Command::new("ffmpeg");
    // Not what it says while it looks at pictures without those before them: only samples are taken out.
    command.args(["-v", "fatal"]).args(options).arg("-i").arg(&path);
    let output = command.args(["-c", "copy", "-f", "framehash", "-hash", "md5", "-"]).output().unwrap();
    assert!(output.status.success() && output.stderr.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).unwrap();
    // Times, size and hash; what follows is what the file says beside the samples.
    let columns = |line: &str| line.split(',').take(6).collect::<Vec<_>>().join(",");
    text.lines().filter(|line| !line.starts_with('#')).map(columns).collect()
}

#[test]
fn cbcs_decrypts_to_the_same_samples() {
    let secret = *b"sixteen secrets!";
    let hex: String = secret.iter().map(|byte| format!("{byte:02x}")).collect();
    let key = ContentKey::new(0, [0x5a; 16], secret, *b"a constant start");
    for (name, frames, kinds) in [
        ("h264_aac.flv", flv_frames("h264_aac.flv"), &[Kind::Video, Kind::Audio][..]),
        ("opus.mp4", mp4_frames("opus.mp4"), &[Kind::Audio]),
    ] {
        let pieces = package(&frames, Latency::Low);
        for &kind in kinds {
            let mut clear = Window::new(kind, stagedoor_media::package::Limits::default());
            pieces.iter().cloned().for_each(|piece| clear.add(piece));
            let sealed = sealed_window(&pieces, kind, Method::Cbcs, &key);
            let (was, is) = (clear.init(0).unwrap(), sealed.init(0).unwrap());
            let file = sealed.segment(0).map(|stored| match stored {
                Stored::Memory(parts) => [&is[..], &parts.concat()].concat(),
                Stored::Spilled { .. } => panic!("nothing was stored"),
            });
            assert!(find(&file.unwrap(), b"schm").is_some_and(|body| body[4..8] == *b"cbcs"));
            // One fragment each: some releases of ffmpeg lose count of encrypted samples over several.
            let parts = pieces.iter().filter(|piece| piece.rendition == kind).filter_map(|piece| match piece.body {
                Body::Part { msn, index, independent: true, .. } => Some((msn, index)),
                _ => None,
            });
            let mut compared = 0;
            for (msn, index) in parts.take(4) {
                let (before, after) = (clear.part(msn, index).unwrap(), sealed.part(msn, index).unwrap());
                assert_ne!(before, after);
                let before =
                    samples(&[], &format!("{name}.{}.clear.mp4", kind.as_str()), &[was.clone(), before].concat());
                let options = ["-decryption_key", hex.as_str()];
                let file = [is.clone(), after].concat();
                let after = samples(&options, &format!("{name}.{}.sealed.mp4", kind.as_str()), &file);
                assert!(before.len() > 5, "{name} {msn}.{index}");
                assert_eq!(before, after, "{name} {msn}.{index}");
                compared += 1;
            }
            assert!(compared > 2, "{name}");
        }
    }
}

#[test]
fn a_playlist_of_aes_128_segments_decrypts_to_the_same_pictures() {
    let secret = *b"sixteen secrets!";
    let key = ContentKey::new(0, [0x5a; 16], secret, [0; 16]);
    let pieces = package(&flv_frames("h264_aac.flv"), Latency::Low);
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("aes-128");
    std::fs::create_dir_all(&folder).unwrap();
    let window = sealed_window(&pieces, Kind::Video, Method::Aes128, &key);
    let mut playlist = "#EXTM3U\n#EXT-X-VERSION:7\n#EXT-X-TARGETDURATION:4\n#EXT-X-MEDIA-SEQUENCE:0\n\
        #EXT-X-MAP:URI=\"init.mp4\"\n#EXT-X-KEY:METHOD=AES-128,URI=\"key\"\n"
        .to_owned();
    std::fs::write(folder.join("key"), secret).unwrap();
    std::fs::write(folder.join("init.mp4"), window.init(0).unwrap()).unwrap();
    for msn in 0.. {
        let Some(Stored::Memory(segment)) = window.segment(msn) else { break };
        std::fs::write(folder.join(format!("{msn}.m4s")), segment.concat()).unwrap();
        playlist.push_str(&format!("#EXTINF:2,\n{msn}.m4s\n"));
    }
    playlist.push_str("#EXT-X-ENDLIST\n");
    let path = folder.join("index.m3u8");
    std::fs::write(&path, playlist).unwrap();
    let options = ["-allowed_extensions", "ALL"];
    let ours = decoded_with(&options, &path, "v");
    assert!(ours == decoded(&fixture("h264_aac.flv"), "v"), "it decrypts to something else");
}

#[test]
fn configuration_records_are_kept_byte_for_byte() {
    for (name, record) in [("h265.mp4", b"hvcC"), ("av1.mp4", b"av1C"), ("opus.mp4", b"dOps")] {
        let frames = mp4_frames(name);
        let source = std::fs::read(fixture(name)).unwrap();
        let init = mp4::init(&frames[0].track);
        assert_eq!(find(&init, record), find(&source, record), "{name}");
    }
}
