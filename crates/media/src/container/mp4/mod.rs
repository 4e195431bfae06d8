//! Fragmented MP4 (CMAF): one initialization segment per track, and movie fragments of its samples.
//!
//! [`init`] says how to decode, [`fragment`] carries samples. One track per file, always with track ID 1. Configuration
//! records go into the sample entry byte for byte as they arrived.
//!
//! No edit lists: presentation starts where the first sample's composition time says. Opus pre-skip is in `dOps` only.
//! Reading MP4 is not done here.

mod boxes;
mod protect;

use bytes::Bytes;

use crate::codec::{Codec, aac, opus};
use crate::frame::{Kind, Track};
use crate::time::Timescale;
use boxes::Writer;

pub(crate) use protect::SUBSAMPLES_MAX;
pub use protect::{Protection, Subsample, protected};

const TRACK_ID: u32 = 1;

/// `sample_flags`: depends on no other sample, and is a sync sample.
const FLAGS_SYNC: u32 = 0x0200_0000;
/// `sample_flags`: depends on others, and is not a sync sample.
const FLAGS_NON_SYNC: u32 = 0x0101_0000;

/// The scale that a track of this codec has in MP4: 90 kHz for video, the sample rate of its access units for audio.
#[must_use]
pub fn timescale(codec: &Codec) -> Timescale {
    let rate = match codec {
        Codec::H264(_) | Codec::H265(_) | Codec::Av1(_) => return Timescale::VIDEO,
        Codec::Aac(config) => config.core_rate,
        Codec::Opus(_) => opus::SAMPLE_RATE,
    };
    // The codec refuses a rate of zero.
    Timescale::new(rate).unwrap_or(Timescale::VIDEO)
}

/// One sample of a fragment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sample {
    /// How long until the next sample's decode time, in ticks of the track's MP4 scale.
    pub duration: u32,
    /// Presentation time minus decode time, in the same ticks.
    pub cts: i32,
    /// Decoding can start here.
    pub keyframe: bool,
    /// The coded data.
    pub payload: Bytes,
}

/// The initialization segment (`ftyp` and `moov`) of a track.
///
/// # Source
///
/// ISO/IEC 14496-12 sections 8.2 to 8.8; ISO/IEC 14496-15 sections 5.4.2 and 8.4.1 (`avc1`, `hvc1`); AV1 in ISOBMFF
/// v1.2.0 section 2.2 (`av01`); ISO/IEC 14496-14 section 5.6 (`mp4a`, `esds`); Encapsulation of Opus in ISOBMFF section
/// 4.3 (`Opus`, `dOps`); CMAF ISO/IEC 23000-19 section 7.2 (brands).
#[must_use]
pub fn init(track: &Track) -> Bytes {
    header(track, None)
}

/// [`init`] for a track whose samples are protected, with the key that is in force now.
#[must_use]
pub fn init_protected(track: &Track, protection: &Protection) -> Bytes {
    header(track, Some(protection))
}

fn header(track: &Track, protection: Option<&Protection>) -> Bytes {
    let codec = &track.codec;
    let kind = codec.kind();
    let scale = timescale(codec).ticks_per_second();
    let mut w = Writer::with_capacity(1_024);
    w.boxed(b"ftyp", |w| {
        w.bytes(b"iso6");
        w.u32(0);
        w.bytes(b"iso6cmfcmp41");
    });
    w.boxed(b"moov", |w| {
        w.full(b"mvhd", 0, 0, |w| {
            w.zeros(8); // creation and modification: a live stream has neither
            w.u32(scale);
            w.u32(0); // duration: unknown
            w.u32(0x0001_0000); // rate 1.0
            w.u16(0x0100); // volume 1.0
            w.zeros(10);
            matrix(w);
            w.zeros(24);
            w.u32(TRACK_ID + 1);
        });
        w.boxed(b"trak", |w| {
            // Enabled, in movie, in preview.
            w.full(b"tkhd", 0, 7, |w| {
                w.zeros(8);
                w.u32(TRACK_ID);
                w.zeros(4 + 4 + 8);
                w.u16(0); // layer
                w.u16(0); // alternate group
                w.u16(if kind == Kind::Audio { 0x0100 } else { 0 });
                w.u16(0);
                matrix(w);
                let (width, height) = codec.resolution().unwrap_or((0, 0));
                w.u32(width << 16);
                w.u32(height << 16);
            });
            w.boxed(b"mdia", |w| media(w, codec, scale, protection));
        });
        w.boxed(b"mvex", |w| {
            w.full(b"trex", 0, 0, |w| {
                w.u32(TRACK_ID);
                w.u32(1); // sample description
                w.u32(0); // duration
                w.u32(0); // size
                w.u32(if kind == Kind::Audio { FLAGS_SYNC } else { FLAGS_NON_SYNC });
            });
        });
        if let Some(protection) = protection {
            protect::system(w, protection);
        }
    });
    w.into_vec().into()
}

fn matrix(w: &mut Writer) {
    for value in [0x0001_0000, 0, 0, 0, 0x0001_0000, 0, 0, 0, 0x4000_0000] {
        w.u32(value);
    }
}

fn media(w: &mut Writer, codec: &Codec, scale: u32, protection: Option<&Protection>) {
    let (handler, name): (&[u8; 4], &[u8]) = match codec.kind() {
        Kind::Video => (b"vide", b"video\0"),
        Kind::Audio => (b"soun", b"audio\0"),
    };
    w.full(b"mdhd", 0, 0, |w| {
        w.zeros(8);
        w.u32(scale);
        w.u32(0);
        w.u16(0x55c4); // language: und
        w.u16(0);
    });
    w.full(b"hdlr", 0, 0, |w| {
        w.u32(0);
        w.bytes(handler);
        w.zeros(12);
        w.bytes(name);
    });
    w.boxed(b"minf", |w| {
        match codec.kind() {
            Kind::Video => w.full(b"vmhd", 0, 1, |w| w.zeros(8)),
            Kind::Audio => w.full(b"smhd", 0, 0, |w| w.zeros(4)),
        }
        w.boxed(b"dinf", |w| {
            w.full(b"dref", 0, 0, |w| {
                w.u32(1);
                w.full(b"url ", 0, 1, |_| {}); // the media is in this file
            });
        });
        w.boxed(b"stbl", |w| {
            w.full(b"stsd", 0, 0, |w| {
                w.u32(1);
                sample_entry(w, codec, protection);
            });
            w.full(b"stts", 0, 0, |w| w.u32(0));
            w.full(b"stsc", 0, 0, |w| w.u32(0));
            w.full(b"stsz", 0, 0, |w| w.zeros(8));
            w.full(b"stco", 0, 0, |w| w.u32(0));
        });
    });
}

fn sample_entry(w: &mut Writer, codec: &Codec, protection: Option<&Protection>) {
    let (kind, format) = match codec {
        Codec::H264(_) => (Kind::Video, b"avc1"),
        Codec::H265(_) => (Kind::Video, b"hvc1"),
        Codec::Av1(_) => (Kind::Video, b"av01"),
        Codec::Aac(_) => (Kind::Audio, b"mp4a"),
        Codec::Opus(_) => (Kind::Audio, b"Opus"),
    };
    let name = match (protection, kind) {
        (None, _) => format,
        (Some(_), Kind::Video) => b"encv",
        (Some(_), Kind::Audio) => b"enca",
    };
    w.boxed(name, |w| {
        sample_format(w, codec);
        if let Some(protection) = protection {
            protect::scheme(w, kind, format, protection);
        }
    });
}

fn sample_format(w: &mut Writer, codec: &Codec) {
    match codec {
        Codec::H264(config) => visual_entry(w, (config.width, config.height), b"avcC", &config.record),
        Codec::H265(config) => visual_entry(w, (config.width, config.height), b"hvcC", &config.record),
        Codec::Av1(config) => visual_entry(w, (config.width, config.height), b"av1C", &config.record),
        Codec::Aac(config) => {
            audio_entry(w, config.channels, config.core_rate);
            elementary_stream(w, config);
        }
        Codec::Opus(config) => {
            audio_entry(w, config.channels, opus::SAMPLE_RATE);
            // The same fields as OpusHead, but big-endian and with version 0.
            w.boxed(b"dOps", |w| {
                w.u8(0);
                w.u8(config.channels);
                w.u16(config.pre_skip);
                w.u32(config.input_rate);
                w.bytes(&config.output_gain.to_be_bytes());
                w.u8(config.mapping_family);
                w.bytes(&config.mapping);
            });
        }
    }
}

fn visual_entry(w: &mut Writer, (width, height): (u32, u32), record_kind: &[u8; 4], record: &[u8]) {
    // The codecs refuse sizes beyond 16 bits.
    let narrow = |size| u16::try_from(size).unwrap_or(u16::MAX);
    w.zeros(6);
    w.u16(1); // data reference
    w.zeros(16);
    w.u16(narrow(width));
    w.u16(narrow(height));
    w.u32(0x0048_0000); // 72 dpi
    w.u32(0x0048_0000);
    w.u32(0);
    w.u16(1); // frames per sample
    w.zeros(32); // compressor name
    w.u16(0x0018); // depth
    w.u16(0xffff);
    w.boxed(record_kind, |w| w.bytes(record));
}

fn audio_entry(w: &mut Writer, channels: u8, rate: u32) {
    w.zeros(6);
    w.u16(1); // data reference
    w.zeros(8);
    w.u16(u16::from(channels));
    w.u16(16); // bits per sample, by convention
    w.zeros(4);
    // 16.16 fixed point; rates that do not fit are read from the codec's own configuration.
    w.u32(u16::try_from(rate).map_or(0, |rate| u32::from(rate) << 16));
}

fn elementary_stream(w: &mut Writer, config: &aac::Config) {
    let record = config.record.len();
    w.full(b"esds", 0, 0, |w| {
        descriptor(w, 3, 3 + (5 + 13 + (5 + record)) + (5 + 1));
        w.u16(0); // ES_ID
        w.u8(0);
        descriptor(w, 4, 13 + 5 + record);
        w.u8(0x40); // MPEG-4 audio
        w.u8(0x15); // audio stream
        w.zeros(3 + 4 + 4); // buffer size and bit rates: unknown
        descriptor(w, 5, record);
        w.bytes(&config.record);
        descriptor(w, 6, 1);
        w.u8(2); // predefined: MP4
    });
}

/// A descriptor's tag and its length in four bytes of seven bits. Records are at most 16 KiB, so four are enough.
fn descriptor(w: &mut Writer, tag: u8, length: usize) {
    w.u8(tag);
    for shift in [21, 14, 7, 0] {
        let more = if shift == 0 { 0 } else { 0x80 };
        w.u8((length >> shift & 0x7f) as u8 | more);
    }
}

/// A movie fragment: `moof` and `mdat` with `samples`, the first of them decoded at `decode_time`.
///
/// One allocation; each payload is copied once. The caller keeps the sum of payloads below 2 GiB.
///
/// # Source
///
/// ISO/IEC 14496-12 section 8.8 (`mfhd`, `tfhd`, `tfdt`, `trun`); CMAF ISO/IEC 23000-19 section 7.3.2.
#[must_use]
pub fn fragment(kind: Kind, sequence: u32, decode_time: u64, samples: &[Sample]) -> Bytes {
    const DATA_OFFSET: u32 = 0x1;
    const DURATIONS: u32 = 0x100;
    const SIZES: u32 = 0x200;
    const FLAGS: u32 = 0x400;
    const COMPOSITION: u32 = 0x800;
    const BASE_IS_MOOF: u32 = 0x02_0000;
    const DEFAULT_DURATION: u32 = 0x8;
    // Columns that would only repeat themselves are left out.
    let duration = samples.first().map_or(0, |first| first.duration);
    let same_duration = samples.iter().all(|sample| sample.duration == duration);
    let mut columns = DATA_OFFSET | SIZES;
    if !same_duration {
        columns |= DURATIONS;
    }
    if kind == Kind::Video && samples.iter().any(|sample| sample.keyframe) {
        columns |= FLAGS;
    }
    if samples.iter().any(|sample| sample.cts != 0) {
        columns |= COMPOSITION;
    }
    let row = (columns & (DURATIONS | SIZES | FLAGS | COMPOSITION)).count_ones() as usize * 4;
    let tfhd = if same_duration { 20 } else { 16 };
    let moof = 8 + 16 + (8 + tfhd + 20 + (20 + row * samples.len()));
    let payload: usize = samples.iter().map(|sample| sample.payload.len()).sum();
    let mut w = Writer::with_capacity(moof + 8 + payload);
    w.boxed(b"moof", |w| {
        w.full(b"mfhd", 0, 0, |w| w.u32(sequence));
        w.boxed(b"traf", |w| {
            w.full(b"tfhd", 0, BASE_IS_MOOF | if same_duration { DEFAULT_DURATION } else { 0 }, |w| {
                w.u32(TRACK_ID);
                if same_duration {
                    w.u32(duration);
                }
            });
            w.full(b"tfdt", 1, 0, |w| w.u64(decode_time));
            // Version 1: composition offsets are signed.
            w.full(b"trun", 1, columns, |w| {
                w.u32(u32::try_from(samples.len()).unwrap_or(u32::MAX));
                w.u32(u32::try_from(moof + 8).unwrap_or(u32::MAX));
                for sample in samples {
                    if columns & DURATIONS != 0 {
                        w.u32(sample.duration);
                    }
                    w.u32(u32::try_from(sample.payload.len()).unwrap_or(u32::MAX));
                    if columns & FLAGS != 0 {
                        w.u32(if sample.keyframe { FLAGS_SYNC } else { FLAGS_NON_SYNC });
                    }
                    if columns & COMPOSITION != 0 {
                        w.i32(sample.cts);
                    }
                }
            });
        });
    });
    w.u32(u32::try_from(payload + 8).unwrap_or(u32::MAX));
    w.bytes(b"mdat");
    for sample in samples {
        w.bytes(&sample.payload);
    }
    w.into_vec().into()
}
