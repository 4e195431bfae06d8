//! Configuration records: the first byte chooses the codec, the second how many bytes are the record, the rest is a
//! coded frame that is looked at for a keyframe.
#![no_main]

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use stagedoor_media::codec::{Codec, aac, av1, h264, h265, opus};
use stagedoor_media::container::mp4;
use stagedoor_media::{Timescale, Track};

fuzz_target!(|data: &[u8]| {
    let Some((&[kind, length], rest)) = data.split_first_chunk::<2>() else { return };
    let (record, frame) = rest.split_at(usize::from(length).min(rest.len()));
    let record = Bytes::copy_from_slice(record);
    let codec = match kind % 5 {
        0 => h264::Config::parse(record.clone()).map(|config| {
            h264::is_keyframe(&config, frame);
            Codec::H264(config)
        }),
        1 => h265::Config::parse(record.clone()).map(|config| {
            h265::is_keyframe(&config, frame);
            Codec::H265(config)
        }),
        2 => av1::Config::parse(record.clone()).map(|config| {
            av1::is_keyframe(&config, frame);
            Codec::Av1(config)
        }),
        3 => aac::Config::parse(record.clone()).map(Codec::Aac),
        _ => opus::Config::parse(record.clone()).map(|config| {
            opus::packet_samples(frame);
            Codec::Opus(config)
        }),
    };
    match codec {
        Ok(codec) => {
            assert!(!codec.codec_string().is_empty());
            assert!(codec.resolution().is_none_or(|(width, height)| width > 0 && height > 0));
            let init = mp4::init(&Track { codec, timescale: Timescale::MILLIS });
            if kind % 5 < 4 {
                assert!(init.windows(record.len()).any(|window| window == record), "the record is kept as it is");
            }
        }
        Err(error) => assert!(!error.to_string().is_empty()),
    }
});
