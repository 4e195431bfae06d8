//! H.265: the decoder configuration record, the sequence parameter set, keyframes.

use bytes::Bytes;

use super::CodecError;
use super::bits::{self, BitReader, ByteReader};

const RECORD: &str = "H.265 configuration";

/// NAL unit types, ISO/IEC 23008-2 table 7-1.
const NAL_IRAP: std::ops::RangeInclusive<u8> = 16..=21;
const NAL_SPS: u8 = 33;

/// An `HEVCDecoderConfigurationRecord` and what it says.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Config {
    /// The record as it arrived: the body of the `hvcC` box.
    pub record: Bytes,
    /// `general_profile_space`, 0 to 3.
    pub profile_space: u8,
    /// High tier instead of main tier.
    pub high_tier: bool,
    /// `general_profile_idc`: 1 main, 2 main 10.
    pub profile: u8,
    /// `general_profile_compatibility_flags`, the first flag in the most significant bit.
    pub compatibility: u32,
    /// `general_constraint_indicator_flags`.
    pub constraints: [u8; 6],
    /// `general_level_idc`: thirty times the level.
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
    /// ISO/IEC 14496-15 section 8.3.3.1; ISO/IEC 23008-2 sections 7.3.2.2 and E.2.1.
    pub fn parse(hvcc: Bytes) -> Result<Self, CodecError> {
        CodecError::check_length(RECORD, &hvcc)?;
        let truncated = || CodecError::Truncated { record: RECORD };
        let malformed = |what| CodecError::Malformed { record: RECORD, what };
        let mut reader = ByteReader::new(hvcc.clone());
        let head = reader.take(23).ok_or_else(truncated)?;
        if head[0] != 1 {
            return Err(malformed("its version is not 1"));
        }
        let nal_length_size = (head[21] & 3) + 1;
        if nal_length_size == 3 {
            return Err(malformed("NAL unit lengths of 3 bytes"));
        }
        let mut first_sps = None;
        for _ in 0..head[22] {
            let nal_type = reader.u8().ok_or_else(truncated)? & 0x3f;
            for _ in 0..reader.u16().ok_or_else(truncated)? {
                let length = reader.u16().ok_or_else(truncated)?;
                let nal = reader.take(usize::from(length)).ok_or_else(truncated)?;
                if nal_type == NAL_SPS {
                    first_sps.get_or_insert(nal);
                }
            }
        }
        let sps = first_sps.ok_or(malformed("it has no sequence parameter set"))?;
        let sps = Sps::parse(&sps).ok_or(malformed("its sequence parameter set cannot be read"))?;
        Ok(Self {
            profile_space: head[1] >> 6,
            high_tier: head[1] & 0x20 != 0,
            profile: head[1] & 0x1f,
            compatibility: u32::from_be_bytes([head[2], head[3], head[4], head[5]]),
            constraints: [head[6], head[7], head[8], head[9], head[10], head[11]],
            level: head[12],
            nal_length_size,
            width: sps.width,
            height: sps.height,
            frame_rate: sps.frame_rate,
            record: hvcc,
        })
    }

    pub(super) fn codec_string(&self) -> String {
        let space = ["", "A", "B", "C"][usize::from(self.profile_space & 3)];
        let tier = if self.high_tier { 'H' } else { 'L' };
        // The flags are written in reverse bit order, without leading zeros.
        let compatibility = self.compatibility.reverse_bits();
        let mut text = format!("hvc1.{space}{}.{compatibility:X}.{tier}{}", self.profile, self.level);
        // Trailing zero bytes of the constraints are left out.
        let kept = self.constraints.iter().rposition(|&byte| byte != 0).map_or(0, |last| last + 1);
        for byte in &self.constraints[..kept] {
            text.push_str(&format!(".{byte:X}"));
        }
        text
    }
}

/// Whether decoding can start at this access unit: its pictures are intra random access points.
#[must_use]
pub fn is_keyframe(config: &Config, payload: &[u8]) -> bool {
    bits::nal_units(payload, config.nal_length_size)
        .any(|nal| nal.first().is_some_and(|head| NAL_IRAP.contains(&(head >> 1 & 0x3f))))
}

struct Sps {
    width: u32,
    height: u32,
    frame_rate: Option<(u32, u32)>,
}

impl Sps {
    fn parse(nal: &[u8]) -> Option<Self> {
        let rbsp = bits::unescape(nal.get(2..)?);
        let mut bits = BitReader::new(&rbsp);
        bits.skip(4)?; // sps_video_parameter_set_id
        let sub_layers = bits.u(3)?; // sps_max_sub_layers_minus1
        bits.flag()?; // sps_temporal_id_nesting_flag
        skip_profile_tier_level(&mut bits, sub_layers)?;
        bits.ue()?; // sps_seq_parameter_set_id
        let chroma_format = bits.ue()?;
        if chroma_format == 3 {
            bits.flag()?; // separate_colour_plane_flag
        }
        let mut width = bits.ue()?;
        let mut height = bits.ue()?;
        if bits.flag()? {
            let (unit_x, unit_y) = match chroma_format {
                1 => (2, 2),
                2 => (2, 1),
                _ => (1, 1),
            };
            let crop_x = bits.ue()?.checked_add(bits.ue()?)?.checked_mul(unit_x)?;
            let crop_y = bits.ue()?.checked_add(bits.ue()?)?.checked_mul(unit_y)?;
            width = width.checked_sub(crop_x)?;
            height = height.checked_sub(crop_y)?;
        }
        // A sample entry has 16 bits for each.
        if !(1..=0xffff).contains(&width) || !(1..=0xffff).contains(&height) {
            return None;
        }
        // Timing is a courtesy: a parameter set that breaks off before it still says how large the pictures are.
        Some(Self { width, height, frame_rate: frame_rate(&mut bits, sub_layers) })
    }
}

fn skip_profile_tier_level(bits: &mut BitReader<'_>, sub_layers: u32) -> Option<()> {
    const PROFILE_BITS: usize = 88;
    const LEVEL_BITS: usize = 8;
    bits.skip(PROFILE_BITS + LEVEL_BITS)?;
    let mut to_skip = 0;
    for _ in 0..sub_layers {
        to_skip += if bits.flag()? { PROFILE_BITS } else { 0 };
        to_skip += if bits.flag()? { LEVEL_BITS } else { 0 };
    }
    if sub_layers > 0 {
        for _ in sub_layers..8 {
            bits.skip(2)?;
        }
    }
    bits.skip(to_skip)
}

/// Reads from the bit depths to the timing in the VUI.
fn frame_rate(bits: &mut BitReader<'_>, sub_layers: u32) -> Option<(u32, u32)> {
    bits.ue()?; // bit_depth_luma_minus8
    bits.ue()?; // bit_depth_chroma_minus8
    let poc_bits = bits.ue()?.checked_add(4).filter(|&bits| bits <= 16)?;
    let all_sub_layers = bits.flag()?;
    for _ in if all_sub_layers { 0 } else { sub_layers }..=sub_layers {
        bits.ue()?; // sps_max_dec_pic_buffering_minus1
        bits.ue()?; // sps_max_num_reorder_pics
        bits.ue()?; // sps_max_latency_increase_plus1
    }
    for _ in 0..6 {
        bits.ue()?; // block sizes and transform depths
    }
    if bits.flag()? && bits.flag()? {
        skip_scaling_lists(bits)?;
    }
    bits.flag()?; // amp_enabled_flag
    bits.flag()?; // sample_adaptive_offset_enabled_flag
    if bits.flag()? {
        bits.skip(8)?; // PCM bit depths
        bits.ue()?;
        bits.ue()?;
        bits.flag()?; // pcm_loop_filter_disabled_flag
    }
    skip_short_term_ref_pic_sets(bits)?;
    if bits.flag()? {
        let count = bits.ue()?;
        if count > 32 {
            return None;
        }
        for _ in 0..count {
            bits.u(poc_bits)?; // lt_ref_pic_poc_lsb_sps
            bits.flag()?; // used_by_curr_pic_lt_sps_flag
        }
    }
    bits.flag()?; // sps_temporal_mvp_enabled_flag
    bits.flag()?; // strong_intra_smoothing_enabled_flag
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
    bits.skip(3)?; // neutral_chroma_indication, field_seq, frame_field_info_present
    if bits.flag()? {
        for _ in 0..4 {
            bits.ue()?; // default display window
        }
    }
    if !bits.flag()? {
        return None;
    }
    let units_in_tick = u64::from(bits.u(32)?);
    let time_scale = u64::from(bits.u(32)?);
    bits::frame_rate(time_scale, units_in_tick)
}

fn skip_scaling_lists(bits: &mut BitReader<'_>) -> Option<()> {
    for size_id in 0..4u32 {
        for _ in (0..6).step_by(if size_id == 3 { 3 } else { 1 }) {
            if !bits.flag()? {
                bits.ue()?; // scaling_list_pred_matrix_id_delta
                continue;
            }
            if size_id > 1 {
                bits.se()?; // scaling_list_dc_coef_minus8
            }
            for _ in 0..64.min(1 << (4 + (size_id << 1))) {
                bits.se()?; // scaling_list_delta_coef
            }
        }
    }
    Some(())
}

fn skip_short_term_ref_pic_sets(bits: &mut BitReader<'_>) -> Option<()> {
    let count = bits.ue()?;
    if count > 64 {
        return None;
    }
    let mut previous_deltas = 0u32;
    for index in 0..count {
        if index != 0 && bits.flag()? {
            bits.flag()?; // delta_rps_sign
            bits.ue()?; // abs_delta_rps_minus1
            let mut deltas = 0;
            for _ in 0..=previous_deltas {
                let used = bits.flag()?;
                deltas += u32::from(used || bits.flag()?);
            }
            previous_deltas = deltas;
        } else {
            let deltas = bits.ue()?.checked_add(bits.ue()?)?;
            // At most 16 pictures before and 16 after.
            if deltas > 32 {
                return None;
            }
            for _ in 0..deltas {
                bits.ue()?; // delta_poc_minus1
                bits.flag()?; // used_by_curr_pic_flag
            }
            previous_deltas = deltas;
        }
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::Codec;
    use crate::codec::testing::{hex, survives_damage};

    /// `ffmpeg -f lavfi -i testsrc2=s=854x480:r=24 -c:v libx265 -pix_fmt yuv420p`, without its SEI.
    const MAIN_480P: &str = concat!(
        "0101600000009000000000005af000fcfdf8f800000f03a00001001840010c01ffff01600000030090000003000003005a95",
        "9809a10001002a42010101600000030090000003000003005aa006b201e1d796566924caf0168080000003008000000c04a2000100074401c172b46240",
    );
    /// `ffmpeg -f lavfi -i testsrc2=s=1280x720:r=25 -c:v libx265 -x265-params scaling-list=default -pix_fmt
    /// yuv420p10`, without its SEI.
    const MAIN10_720P: &str = concat!(
        "0102200000009000000000005df000fcfdfafa00000f03a00001001840010c01ffff02200000030090000003000003005d95",
        "9809a10001002c42010102200000030090000003000003005da00280802d1365959a49395e02d0100000030010000003019080a2000100074401c172b46240",
    );

    #[test]
    fn a_record_says_size_rate_and_codec_string() {
        let config = Config::parse(hex(MAIN_480P)).unwrap();
        assert_eq!((config.width, config.height), (854, 480));
        assert_eq!(config.frame_rate, Some((24, 1)));
        assert_eq!(Codec::H265(config).codec_string(), "hvc1.1.6.L90.90");
        let config = Config::parse(hex(MAIN10_720P)).unwrap();
        assert_eq!((config.width, config.height), (1280, 720));
        assert_eq!(config.frame_rate, Some((25, 1)));
        assert_eq!(Codec::H265(config).codec_string(), "hvc1.2.4.L93.90");
    }

    #[test]
    fn a_damaged_record_is_an_error_or_a_value_but_never_a_panic() {
        survives_damage(&hex(MAIN_480P), Config::parse);
        survives_damage(&hex(MAIN10_720P), Config::parse);
    }

    #[test]
    fn decoding_starts_at_an_intra_random_access_point() {
        let config = Config::parse(hex(MAIN_480P)).unwrap();
        assert!(is_keyframe(&config, &hex("000000032601af")), "IDR_W_RADL");
        assert!(is_keyframe(&config, &hex("000000032a01af")), "CRA");
        assert!(!is_keyframe(&config, &hex("000000030201af")), "TRAIL_R");
        assert!(!is_keyframe(&config, &[]));
    }
}
