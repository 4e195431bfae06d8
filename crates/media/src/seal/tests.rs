use std::time::Duration;

use super::*;
use crate::codec::testing::hex;
use crate::package::testing::{Source, video_track};
use crate::package::{Config, Latency, Limits, Segmenter, Stored, Window, hls};

fn array(text: &str) -> [u8; 16] {
    hex(text).as_ref().try_into().unwrap()
}

fn key(first_msn: u64) -> ContentKey {
    let secret = array("2b7e151628aed2a6abf7158809cf4f3c");
    ContentKey::new(first_msn, [7; 16], secret, array("000102030405060708090a0b0c0d0e0f"))
}

fn decrypt(key: &ContentKey, sealed: &[u8]) -> Vec<u8> {
    let mut out = sealed.to_vec();
    let (blocks, rest) = Array::<u8, U16>::slice_as_chunks_mut(&mut out);
    assert!(rest.is_empty(), "whole blocks");
    cbc::Decryptor::<Aes128>::new(&key.secret.into(), &key.iv.into()).decrypt_blocks(blocks);
    out
}

/// With the padding checked and taken off.
fn unpadded(key: &ContentKey, sealed: &[u8]) -> Vec<u8> {
    let mut out = decrypt(key, sealed);
    let count = *out.last().unwrap();
    assert!((1..=16).contains(&count) && out.ends_with(&vec![count; usize::from(count)]));
    out.truncate(out.len() - usize::from(count));
    out
}

#[test]
fn whole_texts_are_the_vectors_of_the_standard() {
    // SP 800-38A, F.2.1 CBC-AES128.Encrypt.
    let plain = hex("6bc1bee22e409f96e93d7e117393172aae2d8a571e03ac9c9eb76fac45af8e51\
         30c81c46a35ce411e5fbc1191a0a52eff69f2445df4f9b17ad2b417be66c3710");
    let expected = hex("7649abac8119b246cee98e9b12e9197d5086cb9b507219ee95db113a917678b2\
         73bed6b8e3c1743b7116e69e222295163ff1caa1681fac09120eca307586e1a7");
    let key = key(0);
    let sealed = whole(&key, &plain);
    assert_eq!(sealed[..64], expected[..]);
    assert_eq!(sealed.len(), 80, "sixteen bytes of padding behind whole blocks");
    assert_eq!(unpadded(&key, &sealed), plain);
}

#[test]
fn a_text_in_pieces_is_the_text_as_a_whole() {
    let key = key(0);
    let text: Vec<u8> = (0..200_u8).collect();
    for first in [0, 1, 15, 16, 17, 100, 199, 200] {
        for second in [0, 5, 16, 31] {
            let mut chain = Chain::new(&key);
            let end = (first + second).min(text.len());
            let mut sealed = chain.push(&text[..first]);
            sealed.extend(chain.push(&text[first..end]));
            sealed.extend(chain.push(&text[end..]));
            sealed.extend(chain.finish());
            assert_eq!(sealed, whole(&key, &text), "{first} and {second}");
        }
    }
}

#[test]
fn video_is_encrypted_one_block_in_ten_and_its_end_is_clear() {
    let key = key(0);
    let fresh = Fresh { cipher: Aes128::new(&key.secret.into()), iv: key.iv };
    let plain: Vec<u8> = (0..350).map(|byte: u32| byte as u8).collect();
    let mut range = plain.clone();
    pattern(&fresh, &mut range);
    let changed: Vec<_> = (0..350).filter(|&at| range[at] != plain[at]).map(|at| at / 16).collect();
    assert!(changed.iter().all(|block| [0, 10, 20].contains(block)), "{changed:?}");
    // The encrypted blocks are one chain.
    let chained: Vec<u8> = [0, 160, 320].iter().flat_map(|&at| range[at..at + 16].to_vec()).collect();
    let expected: Vec<u8> = [0, 160, 320].iter().flat_map(|&at| plain[at..at + 16].to_vec()).collect();
    assert_eq!(decrypt(&key, &chained), expected);
    // Fifteen bytes are no block.
    let mut short = plain[..175].to_vec();
    pattern(&fresh, &mut short);
    assert_eq!(short[160..], plain[160..175]);
}

#[test]
fn the_map_of_a_picture_leaves_headers_clear_and_nothing_else() {
    let mut sets = match Cover::of(&video_track().codec) {
        Cover::H264 { sets, .. } => sets,
        _ => panic!("a track of H.264"),
    };
    let nal = |bytes: &[u8]| [&u32::try_from(bytes.len()).unwrap().to_be_bytes(), bytes].concat();
    let sei = nal(&[6, 5, 1, 0x80]);
    // A slice whose header cannot be read, longer and shorter than what stays clear of it.
    let (long, short) = (nal(&[&[0x21_u8][..], &[0x11; 399]].concat()), nal(&[&[0x21_u8][..], &[0x11; 19]].concat()));
    let sample = [sei.clone(), long.clone(), sei.clone(), short.clone()].concat();
    let map = nal_map(&sample, 4, &mut sets);
    let clear = u16::try_from(sei.len() + 4 + UNREAD_CLEAR).unwrap();
    assert_eq!(map[0], Subsample { clear, protected: 400 - 64 });
    assert_eq!(map[1], Subsample { clear: u16::try_from(sei.len() + short.len()).unwrap(), protected: 0 });
    assert_eq!(map.len(), 2);
    // What is no NAL unit is protected.
    assert_eq!(nal_map(&[0xff; 9], 4, &mut sets), [Subsample { clear: 0, protected: 9 }]);
    assert_eq!(nal_map(&[], 4, &mut sets), []);
}

#[test]
fn a_map_covers_its_sample_however_many_nal_units_there_are() {
    let mut sets = h264::ParameterSets::default();
    let slice = [&[0, 0, 0, 100, 0x21][..], &[0x33; 99]].concat();
    let sei = [&[0, 1, 0x86, 0xa0, 6][..], &[0; 99_999]].concat();
    for (name, sample) in [("slices", slice.repeat(300)), ("messages", [sei, slice.clone()].concat().repeat(40))] {
        let map = nal_map(&sample, 4, &mut sets);
        assert!(map.len() <= mp4::SUBSAMPLES_MAX, "{name}: {}", map.len());
        let covered: usize = map.iter().map(|part| usize::from(part.clear) + part.protected as usize).sum();
        assert_eq!(covered, sample.len(), "{name}");
    }
}

/// A broadcast of six seconds, sealed with a key for every second segment.
fn sealed(method: Method, latency: Latency) -> (Window, Window, Vec<ContentKey>) {
    let source = Source::default();
    let mut segmenter = Segmenter::new(Config { latency, expect: Some(source.tracks()), ..Config::default() });
    let mut sealer = Sealer::new(method);
    let keys: Vec<_> = (0..8).map(|place| key(place * 2)).collect();
    let mut clear = Window::new(Kind::Video, Limits::default());
    let mut window = Window::new(Kind::Video, Limits::default());
    let mut pieces = Vec::new();
    for (frame, wall) in source.frames(0, 9_000) {
        segmenter.push(frame, wall);
        pieces.extend(std::iter::from_fn(|| segmenter.poll()));
    }
    segmenter.end();
    pieces.extend(std::iter::from_fn(|| segmenter.poll()));
    for piece in pieces {
        let msn = match piece.body {
            Body::SegmentStart { msn, .. } | Body::Part { msn, .. } | Body::SegmentEnd { msn, .. } => msn,
            _ => 0,
        };
        clear.add(piece.clone());
        window.add_sealed(sealer.seal(piece, &keys[usize::try_from(msn / 2).unwrap()]).unwrap());
    }
    (clear, window, keys)
}

fn bytes(window: &Window, msn: u64) -> Vec<u8> {
    match window.segment(msn) {
        Some(Stored::Memory(parts)) => parts.concat(),
        other => panic!("segment {msn}: {other:?}"),
    }
}

#[test]
fn parts_and_segments_decrypt_each_on_its_own_to_what_they_were() {
    for latency in [Latency::Low, Latency::Standard] {
        let (clear, window, keys) = sealed(Method::Aes128, latency);
        for msn in 0..2_u64 {
            let key = &keys[usize::try_from(msn / 2).unwrap()];
            assert_eq!(unpadded(key, &bytes(&window, msn)), bytes(&clear, msn));
            for index in 0..4 {
                let (Some(part), Some(was)) = (window.part(msn, index), clear.part(msn, index)) else { break };
                if latency.has_parts() {
                    assert_eq!(unpadded(key, &part), was, "{msn}.{index}");
                }
                assert!(!part.windows(4).any(|four| four == b"moof"), "nothing of it is in the clear");
            }
        }
        assert_eq!(window.init(0), clear.init(0), "headers are kept clear");
        let spilled: u64 =
            window.to_spill().iter().map(|spill| spill.bytes.iter().map(|b| b.len() as u64).sum::<u64>()).sum();
        assert!(spilled.is_multiple_of(16) && window.memory_bytes() >= spilled, "what is stored is the segment");
    }
}

#[test]
fn a_header_is_followed_by_an_empty_box_and_its_text_ends_as_the_next_one_begins() {
    let segment: Vec<u8> = (0..100_u8).collect();
    for length in 700..740_u16 {
        let key = ContentKey::new(0, [7; 16], [length as u8; 16], (u128::from(length) << 60).to_be_bytes());
        let clear: Vec<u8> = (0..length).map(|byte| byte as u8).collect();
        let sealed = key.header(&clear);
        let plain = unpadded(&key, &sealed);
        assert_eq!(plain[..clear.len()], clear);
        let empty = &plain[clear.len()..];
        assert_eq!((&empty[..4], &empty[4..8]), (&u32::try_from(empty.len()).unwrap().to_be_bytes()[..], &b"free"[..]));
        assert!(empty.len() <= BOX_HEADER + 3 * BLOCK, "{}", empty.len());
        // Who goes on without beginning anew, as GStreamer does, reads what was sealed from the beginning.
        assert_eq!(sealed[sealed.len() - BLOCK..], key.iv);
        let both = decrypt(&key, &[&sealed[..], &whole(&key, &segment)].concat());
        assert_eq!(both[sealed.len()..][..segment.len()], segment);
    }
}

#[test]
fn memory_is_given_back_to_the_byte() {
    let (_, mut window, _) = sealed(Method::Aes128, Latency::Low);
    for msn in 0..10 {
        window.spilled(msn);
    }
    let held: u64 = (0..10)
        .filter_map(|msn| match window.segment(msn)? {
            Stored::Memory(media) => {
                let parts: usize = (0..100).map_while(|index| window.part(msn, index)).map(|part| part.len()).sum();
                Some((media.iter().map(Bytes::len).sum::<usize>() + parts) as u64)
            }
            Stored::Spilled { .. } => None,
        })
        .sum();
    assert_eq!(window.memory_bytes(), held);
}

#[test]
fn a_playlist_says_the_key_once_for_each_period_and_a_header_behind_it_is_encrypted() {
    for (method, name) in [(Method::Aes128, "AES-128"), (Method::Cbcs, "SAMPLE-AES")] {
        let (_, window, _) = sealed(method, Latency::Low);
        let text = hls::media_playlist(&window.snapshot(), &[], hls::Form::Full);
        let mut lines = text.lines().filter(|line| line.starts_with("#EXT-X-KEY") || line.starts_with("#EXT-X-MAP"));
        if method == Method::Cbcs {
            assert_eq!(lines.next(), Some("#EXT-X-MAP:URI=\"init.0.mp4\""), "{text}");
        }
        let mut keys = 0;
        while let Some(line) = lines.next() {
            let number = keys * 2;
            let start =
                format!("#EXT-X-KEY:METHOD={name},URI=\"../key/{number}\",IV=0x000102030405060708090a0b0c0d0e0f");
            assert!(line.starts_with(&start), "{line}");
            if method == Method::Aes128 {
                assert_eq!(lines.next(), Some(format!("#EXT-X-MAP:URI=\"init.0.{number}.mp4\"").as_str()), "{text}");
            }
            keys += 1;
        }
        assert!(keys >= 2, "{text}");
    }
}

/// The keys and maps of a broadcast by one key that changes its header with its second segment.
fn keys_and_maps(method: Method) -> Vec<String> {
    let key = key(0);
    let mut sealer = Sealer::new(method);
    let mut window = Window::new(Kind::Video, Limits::default());
    let wall = crate::package::testing::NEW_YEAR;
    let add = |window: &mut Window, sealer: &mut Sealer, body: Body| {
        window.add_sealed(sealer.seal(Piece { rendition: Kind::Video, body }, &key).unwrap());
    };
    add(&mut window, &mut sealer, Body::Begin { part_target: Some(Duration::from_millis(500)) });
    for msn in 0..2 {
        let (init, discontinuity) = (u32::try_from(msn).unwrap(), msn == 1);
        add(
            &mut window,
            &mut sealer,
            Body::Init { id: init, track: video_track(), bytes: Bytes::from_static(b"init") },
        );
        add(&mut window, &mut sealer, Body::SegmentStart { msn, wall, discontinuity, init });
        let duration = Duration::from_millis(500);
        let part = Body::Part { msn, index: 0, duration, independent: true, bytes: Bytes::new(), gap: true };
        add(&mut window, &mut sealer, part);
        add(&mut window, &mut sealer, Body::SegmentEnd { msn, duration, wall, discontinuity, init, gap: false });
    }
    let text = hls::media_playlist(&window.snapshot(), &[], hls::Form::Full);
    text.lines().filter(|line| line.contains("-KEY") || line.contains("-MAP")).map(str::to_owned).collect()
}

#[test]
fn a_second_map_is_not_said_to_be_encrypted_unless_it_is() {
    let [key, first, second] = keys_and_maps(Method::Aes128).try_into().unwrap();
    assert!(key.starts_with("#EXT-X-KEY:METHOD=AES-128,URI=\"../key/0\""), "{key}");
    assert_eq!([first, second], ["#EXT-X-MAP:URI=\"init.0.0.mp4\"", "#EXT-X-MAP:URI=\"init.1.0.mp4\""]);
    let [first, key, none, second, again] = keys_and_maps(Method::Cbcs).try_into().unwrap();
    assert_eq!([first, second], ["#EXT-X-MAP:URI=\"init.0.mp4\"", "#EXT-X-MAP:URI=\"init.1.mp4\""]);
    assert_eq!((none.as_str(), key), ("#EXT-X-KEY:METHOD=NONE", again));
}

#[test]
fn what_has_no_map_is_refused_and_not_served_in_the_clear() {
    let mut sealer = Sealer::new(Method::Cbcs);
    let body = Body::Part {
        msn: 0,
        index: 0,
        duration: Duration::from_millis(500),
        independent: true,
        bytes: Bytes::from_static(b"no fragment"),
        gap: false,
    };
    let piece = Piece { rendition: Kind::Video, body };
    assert_eq!(sealer.seal(piece.clone(), &key(0)), Err(Unsealable::Fragment));
    assert_eq!(Sealer::new(Method::Aes128).seal(piece, &key(0)), Err(Unsealable::Fragment));
    assert!(Sealer::covers(Method::Cbcs, &video_track().codec).is_ok());
}

#[test]
fn a_key_shows_its_name_only() {
    let text = format!("{:?}", key(12));
    assert_eq!(text, "ContentKey(12 ****)");
}
