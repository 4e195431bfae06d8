//! H.264: the decoder configuration record, the sequence parameter set, keyframes.

mod slice;

use bytes::Bytes;

use super::CodecError;
use super::bits::{self, BitReader, ByteReader};

pub use slice::{ParameterSets, is_slice};

const RECORD: &str = "H.264 configuration";

/// NAL unit types, ISO/IEC 14496-10 table 7-1.
const NAL_IDR: u8 = 5;
const NAL_SEI: u8 = 6;
const NAL_SPS: u8 = 7;
/// SEI payload type of a recovery point, ISO/IEC 14496-10 section D.2.8.
const SEI_RECOVERY_POINT: u32 = 6;

/// An `AVCDecoderConfigurationRecord` and what it says.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Config {
    /// The record as it arrived: the body of the `avcC` box.
    pub record: Bytes,
    /// `profile_idc`: 66 baseline, 77 main, 100 high.
    pub profile: u8,
    /// The constraint flags that stand between profile and level.
    pub compatibility: u8,
    /// `level_idc`: ten times the level.
    pub level: u8,
    /// Bytes of each NAL unit's length: 1, 2 or 4.
    pub nal_length_size: u8,
    /// Picture width in pixels after cropping, 1 to 65,535.
    pub width: u32,
    /// Picture height in pixels after cropping, 1 to 65,535.
    pub height: u32,
    /// Frames per second as a fraction, when the parameter set carries timing.
    pub frame_rate: Option<(u32, u32)>,
}

impl Config {
    /// Parses a record.
    ///
    /// # Errors
    ///
    /// The record is cut off, is not version 1, has no sequence parameter set or one that says no picture size.
    ///
    /// # Source
    ///
    /// ISO/IEC 14496-15 section 5.3.3.1; ISO/IEC 14496-10 sections 7.3.2.1.1 and E.1.1.
    pub fn parse(avcc: Bytes) -> Result<Self, CodecError> {
        CodecError::check_length(RECORD, &avcc)?;
        let truncated = || CodecError::Truncated { record: RECORD };
        let mut reader = ByteReader::new(avcc.clone());
        let head = reader.take(6).ok_or_else(truncated)?;
        if head[0] != 1 {
            return Err(CodecError::Malformed { record: RECORD, what: "its version is not 1" });
        }
        let nal_length_size = (head[4] & 3) + 1;
        if nal_length_size == 3 {
            return Err(CodecError::Malformed { record: RECORD, what: "NAL unit lengths of 3 bytes" });
        }
        let mut first_sps = None;
        for _ in 0..head[5] & 0x1f {
            let length = reader.u16().ok_or_else(truncated)?;
            let nal = reader.take(usize::from(length)).ok_or_else(truncated)?;
            first_sps.get_or_insert(nal);
        }
        let pps_count = reader.u8().ok_or_else(truncated)?;
        for _ in 0..pps_count {
            let length = reader.u16().ok_or_else(truncated)?;
            reader.take(usize::from(length)).ok_or_else(truncated)?;
        }
        let malformed = |what| CodecError::Malformed { record: RECORD, what };
        let sps = first_sps.ok_or(malformed("it has no sequence parameter set"))?;
        if pps_count == 0 {
            return Err(malformed("it has no picture parameter set"));
        }
        let sps = Sps::parse(&sps).ok_or(malformed("its sequence parameter set cannot be read"))?;
        Ok(Self {
            profile: head[1],
            compatibility: head[2],
            level: head[3],
            nal_length_size,
            width: sps.width,
            height: sps.height,
            frame_rate: sps.frame_rate,
            record: avcc,
        })
    }

    pub(super) fn codec_string(&self) -> String {
        format!("avc1.{:02x}{:02x}{:02x}", self.profile, self.compatibility, self.level)
    }
}

/// Whether decoding can start at this access unit: it holds an IDR picture or a recovery point.
///
/// Encoders have been seen to set the container's keyframe flag on pictures that are neither, and to leave it off
/// pictures that are.
#[must_use]
pub fn is_keyframe(config: &Config, payload: &[u8]) -> bool {
    bits::nal_units(payload, config.nal_length_size).any(|nal| match nal.first().map(|head| head & 0x1f) {
        Some(NAL_IDR) => true,
        Some(NAL_SEI) => has_recovery_point(&nal[1..]),
        _ => false,
    })
}

/// Walks the messages of an SEI NAL unit. Emulation prevention bytes can only stand inside payloads, where they shift
/// the walk; a recovery point is among the first messages when there is one, so the walk is good enough unescaped.
fn has_recovery_point(mut sei: &[u8]) -> bool {
    // More than two bytes: the last is the trailing bits.
    while sei.len() > 2 {
        let Some((payload_type, rest)) = sei_number(sei) else { return false };
        if payload_type == SEI_RECOVERY_POINT {
            return true;
        }
        let Some((size, rest)) = sei_number(rest) else { return false };
        let Some(rest) = usize::try_from(size).ok().and_then(|size| rest.get(size..)) else { return false };
        sei = rest;
    }
    false
}

/// A number coded as a run of 255s and a last byte.
fn sei_number(mut bytes: &[u8]) -> Option<(u32, &[u8])> {
    let mut value = 0u32;
    loop {
        let (&byte, rest) = bytes.split_first()?;
        value = value.checked_add(u32::from(byte))?;
        bytes = rest;
        if byte != 255 {
            return Some((value, bytes));
        }
    }
}

struct Sps {
    width: u32,
    height: u32,
    frame_rate: Option<(u32, u32)>,
    slices: slice::Sps,
}

impl Sps {
    fn parse(nal: &[u8]) -> Option<Self> {
        let (&head, body) = nal.split_first()?;
        if head & 0x1f != NAL_SPS {
            return None;
        }
        let rbsp = bits::unescape(body);
        let mut bits = BitReader::new(&rbsp);
        let profile = bits.u8(8)?;
        bits.skip(16)?; // constraint flags and level
        let id = bits.ue()?;
        let mut chroma_format = 1;
        let mut separate_planes = false;
        if matches!(profile, 100 | 110 | 122 | 244 | 44 | 83 | 86 | 118 | 128 | 138 | 139 | 134 | 135) {
            chroma_format = bits.ue()?;
            if chroma_format == 3 {
                separate_planes = bits.flag()?;
            }
            bits.ue()?; // bit_depth_luma_minus8
            bits.ue()?; // bit_depth_chroma_minus8
            bits.flag()?; // qpprime_y_zero_transform_bypass_flag
            if bits.flag()? {
                let lists = if chroma_format == 3 { 12 } else { 8 };
                for index in 0..lists {
                    if bits.flag()? {
                        skip_scaling_list(&mut bits, if index < 6 { 16 } else { 64 })?;
                    }
                }
            }
        }
        let frame_num_bits = counter_bits(bits.ue()?)?;
        let order = match bits.ue()? {
            0 => slice::Order::Lsb { bits: counter_bits(bits.ue()?)? },
            1 => {
                let always_zero = bits.flag()?;
                bits.se()?; // offset_for_non_ref_pic
                bits.se()?; // offset_for_top_to_bottom_field
                let count = bits.ue()?;
                if count > 255 {
                    return None;
                }
                for _ in 0..count {
                    bits.se()?;
                }
                slice::Order::Deltas { always_zero }
            }
            _ => slice::Order::Decoding,
        };
        bits.ue()?; // max_num_ref_frames
        bits.flag()?; // gaps_in_frame_num_value_allowed_flag
        let width_mbs = bits.ue()?.checked_add(1)?;
        let height_units = bits.ue()?.checked_add(1)?;
        let frame_mbs_only = bits.flag()?;
        if !frame_mbs_only {
            bits.flag()?; // mb_adaptive_frame_field_flag
        }
        bits.flag()?; // direct_8x8_inference_flag
        let field_factor = if frame_mbs_only { 1 } else { 2 };
        let mut width = width_mbs.checked_mul(16)?;
        let mut height = height_units.checked_mul(16)?.checked_mul(field_factor)?;
        if bits.flag()? {
            let (unit_x, unit_y) = match (chroma_format, separate_planes) {
                (1, false) => (2, 2),
                (2, false) => (2, 1),
                _ => (1, 1),
            };
            let crop_x = bits.ue()?.checked_add(bits.ue()?)?.checked_mul(unit_x)?;
            let crop_y = bits.ue()?.checked_add(bits.ue()?)?.checked_mul(unit_y)?.checked_mul(field_factor)?;
            width = width.checked_sub(crop_x)?;
            height = height.checked_sub(crop_y)?;
        }
        // A sample entry has 16 bits for each.
        if !(1..=0xffff).contains(&width) || !(1..=0xffff).contains(&height) {
            return None;
        }
        let slices = slice::Sps {
            id,
            monochrome: chroma_format == 0 || separate_planes,
            separate_planes,
            frame_num_bits,
            order,
            frame_mbs_only,
        };
        // Timing is a courtesy: a parameter set that breaks off inside it still says how large the pictures are.
        Some(Self { width, height, frame_rate: vui_frame_rate(&mut bits), slices })
    }
}

/// The width of a counter that is coded as four less; at most 16 bits.
fn counter_bits(minus_four: u32) -> Option<u32> {
    (minus_four <= 12).then_some(minus_four + 4)
}

fn skip_scaling_list(bits: &mut BitReader<'_>, size: u32) -> Option<()> {
    let mut last = 8i32;
    let mut next = 8i32;
    for _ in 0..size {
        if next != 0 {
            next = last.checked_add(bits.se()?)?.checked_add(256)? % 256;
        }
        if next != 0 {
            last = next;
        }
    }
    Some(())
}

fn vui_frame_rate(bits: &mut BitReader<'_>) -> Option<(u32, u32)> {
    if !bits.flag()? {
        return None;
    }
    if bits.flag()? && bits.u(8)? == 255 {
        bits.skip(32)?; // sar_width, sar_height
    }
    if bits.flag()? {
        bits.flag()?; // overscan_appropriate_flag
    }
    if bits.flag()? {
        bits.skip(4)?; // video_format, video_full_range_flag
        if bits.flag()? {
            bits.skip(24)?; // colour description
        }
    }
    if bits.flag()? {
        bits.ue()?; // chroma_sample_loc_type_top_field
        bits.ue()?; // chroma_sample_loc_type_bottom_field
    }
    if !bits.flag()? {
        return None;
    }
    let units_in_tick = u64::from(bits.u(32)?);
    let time_scale = u64::from(bits.u(32)?);
    // A tick is a field, and a frame is two.
    bits::frame_rate(time_scale, units_in_tick * 2)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::testing::{hex, survives_damage};
    use crate::codec::{Codec, RECORD_BYTES_MAX};

    /// `ffmpeg -f lavfi -i testsrc2=s=1920x1080:r=30 -c:v libx264 -pix_fmt yuv420p`: cropped from 1088 lines.
    const HIGH_1080P: &str =
        "01640028ffe1001b67640028acd940780227e5c044000003000400000300f03c60c65801000668ebe3cb22c0fdf8f800";
    /// `ffmpeg -f lavfi -i testsrc2=s=640x360:r=30000/1001 -c:v libx264 -profile:v baseline`.
    const BASELINE_NTSC: &str = "0142c01effe100186742c01ed900a02ff9701100000303e90000ea600f162e4801000568cb83cb20";

    #[test]
    fn a_record_says_size_rate_and_codec_string() {
        let config = Config::parse(hex(HIGH_1080P)).unwrap();
        assert_eq!((config.width, config.height), (1920, 1080));
        assert_eq!(config.frame_rate, Some((30, 1)));
        assert_eq!(config.nal_length_size, 4);
        assert_eq!(Codec::H264(config).codec_string(), "avc1.640028");
        let config = Config::parse(hex(BASELINE_NTSC)).unwrap();
        assert_eq!((config.width, config.height), (640, 360));
        assert_eq!(config.frame_rate, Some((30_000, 1_001)));
        assert_eq!(Codec::H264(config).codec_string(), "avc1.42c01e");
    }

    #[test]
    fn a_damaged_record_is_an_error_or_a_value_but_never_a_panic() {
        survives_damage(&hex(HIGH_1080P), Config::parse);
        survives_damage(&hex(BASELINE_NTSC), Config::parse);
    }

    #[test]
    fn a_record_without_parameter_sets_is_refused() {
        let error = Config::parse(hex("01640028ffe000")).unwrap_err();
        assert_eq!(error.to_string(), "the H.264 configuration is not valid: it has no sequence parameter set");
        let error = Config::parse(hex("0164")).unwrap_err();
        assert_eq!(error.to_string(), "the H.264 configuration ends too early");
        assert!(Config::parse(vec![1; RECORD_BYTES_MAX + 1].into()).is_err());
    }

    #[test]
    fn decoding_starts_at_an_idr_picture_or_a_recovery_point() {
        let config = Config::parse(hex(HIGH_1080P)).unwrap();
        assert!(is_keyframe(&config, &hex("000000026588")));
        assert!(!is_keyframe(&config, &hex("00000002419a")));
        // Unregistered user data, then a recovery point, then a slice of a non-IDR picture.
        assert!(is_keyframe(&config, &hex("00000009060502aabb06018480000000024188")));
        assert!(!is_keyframe(&config, &hex("00000006060502aabb80000000024188")));
        assert!(!is_keyframe(&config, &hex("0000000206ff")));
        assert!(!is_keyframe(&config, &hex("ffffffff65")));
        assert!(!is_keyframe(&config, &[]));
    }
}
