//! AV1: the codec configuration record, the sequence header, keyframes.

use bytes::Bytes;

use super::CodecError;
use super::bits::{self, BitReader, ByteReader};

const RECORD: &str = "AV1 configuration";

/// OBU types, AV1 specification section 6.2.2.
const OBU_SEQUENCE_HEADER: u8 = 1;
const OBU_FRAME_HEADER: u8 = 3;
const OBU_FRAME: u8 = 6;

/// An `AV1CodecConfigurationRecord` and what it says.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Config {
    /// The record as it arrived: the body of the `av1C` box.
    pub record: Bytes,
    /// `seq_profile`: 0 main, 1 high, 2 professional.
    pub profile: u8,
    /// `seq_level_idx_0`, 0 to 31.
    pub level: u8,
    /// High tier instead of main tier.
    pub high_tier: bool,
    /// 8, 10 or 12.
    pub bit_depth: u8,
    /// Picture width in pixels, 1 to 65,535.
    pub width: u32,
    /// Picture height in pixels, 1 to 65,535.
    pub height: u32,
    /// Frames per second as a fraction, when the sequence header carries timing.
    pub frame_rate: Option<(u32, u32)>,
}

impl Config {
    /// Parses a record.
    ///
    /// # Errors
    ///
    /// The record is cut off, is not version 1, or has no sequence header that says a picture size. (The format allows
    /// a record without sequence header, but then nothing says how large the pictures are before the first of them.)
    ///
    /// # Source
    ///
    /// AV1 Codec ISO Media File Format Binding v1.2.0 section 2.3; AV1 Bitstream specification section 5.5.1.
    pub fn parse(av1c: Bytes) -> Result<Self, CodecError> {
        CodecError::check_length(RECORD, &av1c)?;
        let malformed = |what| CodecError::Malformed { record: RECORD, what };
        let mut reader = ByteReader::new(av1c.clone());
        let head = reader.take(4).ok_or(CodecError::Truncated { record: RECORD })?;
        if head[0] != 0x81 {
            return Err(malformed("its version is not 1"));
        }
        let config_obus = reader.rest();
        let (_, sequence) = obus(&config_obus)
            .find(|(kind, _)| *kind == OBU_SEQUENCE_HEADER)
            .ok_or(CodecError::Unsupported { what: "an AV1 configuration without its sequence header" })?;
        let sequence = Sequence::parse(sequence).ok_or(malformed("its sequence header cannot be read"))?;
        let bit_depth = match (head[2] & 0x40 != 0, head[2] & 0x20 != 0) {
            (false, _) => 8,
            (true, false) => 10,
            (true, true) => 12,
        };
        Ok(Self {
            profile: head[1] >> 5,
            level: head[1] & 0x1f,
            high_tier: head[2] & 0x80 != 0,
            bit_depth,
            width: sequence.width,
            height: sequence.height,
            frame_rate: sequence.frame_rate,
            record: av1c,
        })
    }

    pub(super) fn codec_string(&self) -> String {
        let tier = if self.high_tier { 'H' } else { 'M' };
        format!("av01.{}.{:02}{tier}.{:02}", self.profile, self.level, self.bit_depth)
    }
}

/// Whether decoding can start at this temporal unit: its first frame is a key frame that is shown.
///
/// # Source
///
/// AV1 Codec ISO Media File Format Binding v1.2.0 section 2.4 (sync samples); AV1 specification section 5.9.2.
#[must_use]
pub fn is_keyframe(_config: &Config, payload: &[u8]) -> bool {
    let first = obus(payload).find(|(kind, _)| matches!(*kind, OBU_FRAME | OBU_FRAME_HEADER));
    // show_existing_frame 0, frame_type 00 (KEY_FRAME), show_frame 1.
    first.and_then(|(_, body)| body.first()).is_some_and(|head| head >> 4 == 0b0001)
}

/// The OBUs of a low-overhead bitstream as (type, body). Ends at the first that is broken.
fn obus(data: &[u8]) -> impl Iterator<Item = (u8, &[u8])> {
    let mut rest = data;
    std::iter::from_fn(move || {
        let (&head, mut after) = rest.split_first()?;
        if head & 0x80 != 0 {
            return None; // obu_forbidden_bit
        }
        if head & 0x04 != 0 {
            after = after.get(1..)?; // obu_extension_header
        }
        let size = if head & 0x02 != 0 {
            let (size, behind) = leb128(after)?;
            after = behind;
            size
        } else {
            after.len()
        };
        let (body, behind) = after.split_at_checked(size)?;
        rest = behind;
        Some((head >> 3 & 0x0f, body))
    })
}

fn leb128(bytes: &[u8]) -> Option<(usize, &[u8])> {
    let mut value = 0u64;
    for (index, &byte) in bytes.iter().take(8).enumerate() {
        value |= u64::from(byte & 0x7f) << (7 * index);
        if byte & 0x80 == 0 {
            return Some((usize::try_from(value).ok()?, bytes.get(index + 1..)?));
        }
    }
    None
}

struct Sequence {
    width: u32,
    height: u32,
    frame_rate: Option<(u32, u32)>,
}

impl Sequence {
    fn parse(body: &[u8]) -> Option<Self> {
        let mut bits = BitReader::new(body);
        bits.skip(3)?; // seq_profile
        bits.flag()?; // still_picture
        let mut frame_rate = None;
        if bits.flag()? {
            bits.skip(5)?; // seq_level_idx
        } else {
            frame_rate = skip_operating_points(&mut bits)?;
        }
        let width_bits = bits.u(4)? + 1;
        let height_bits = bits.u(4)? + 1;
        // 16 bits at most each, and one more than what is written.
        let width = bits.u(width_bits)? + 1;
        let height = bits.u(height_bits)? + 1;
        if width > 0xffff || height > 0xffff {
            return None;
        }
        Some(Self { width, height, frame_rate })
    }
}

/// Passes from the timing to the last operating point; the outer `Option` is about reading, the inner about timing.
#[allow(clippy::option_option)]
fn skip_operating_points(bits: &mut BitReader<'_>) -> Option<Option<(u32, u32)>> {
    let mut frame_rate = None;
    let mut buffer_delay_bits = None;
    if bits.flag()? {
        let units_in_tick = u64::from(bits.u(32)?);
        let time_scale = u64::from(bits.u(32)?);
        if bits.flag()? {
            let ticks_per_picture = u64::from(bits.ue()?) + 1;
            frame_rate = units_in_tick
                .checked_mul(ticks_per_picture)
                .and_then(|ticks_per_second| bits::frame_rate(time_scale, ticks_per_second));
        }
        if bits.flag()? {
            buffer_delay_bits = Some(bits.u(5)? + 1);
            bits.skip(32 + 5 + 5)?;
        }
    }
    let display_delay_present = bits.flag()?;
    for _ in 0..=bits.u(5)? {
        bits.skip(12)?; // operating_point_idc
        if bits.u(5)? > 7 {
            bits.flag()?; // seq_tier
        }
        if let Some(delay_bits) = buffer_delay_bits
            && bits.flag()?
        {
            bits.u(delay_bits)?; // decoder_buffer_delay
            bits.u(delay_bits)?; // encoder_buffer_delay
            bits.flag()?; // low_delay_mode_flag
        }
        if display_delay_present && bits.flag()? {
            bits.skip(4)?; // initial_display_delay_minus_1
        }
    }
    Some(frame_rate)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::Codec;
    use crate::codec::testing::{hex, survives_damage};

    /// `ffmpeg -f lavfi -i testsrc2=s=426x240:r=30 -c:v libsvtav1 -pix_fmt yuv420p`.
    const SVT_240P: &str = "81000c000a0b000000043ea7bc02f80040";
    /// `ffmpeg -f lavfi -i testsrc2=s=1280x720:r=60 -c:v libaom-av1 -pix_fmt yuv420p10`.
    const AOM_720P10: &str = "81084c000a0b00000042a67fd9e657ca02";

    #[test]
    fn a_record_says_size_and_codec_string() {
        let config = Config::parse(hex(SVT_240P)).unwrap();
        assert_eq!((config.width, config.height), (426, 240));
        assert_eq!(Codec::Av1(config).codec_string(), "av01.0.00M.08");
        let config = Config::parse(hex(AOM_720P10)).unwrap();
        assert_eq!((config.width, config.height), (1280, 720));
        assert_eq!(config.frame_rate, None);
        assert_eq!(Codec::Av1(config).codec_string(), "av01.0.08M.10");
    }

    #[test]
    fn a_damaged_record_is_an_error_or_a_value_but_never_a_panic() {
        survives_damage(&hex(SVT_240P), Config::parse);
        survives_damage(&hex(AOM_720P10), Config::parse);
    }

    #[test]
    fn a_record_without_sequence_header_is_refused_in_words() {
        let error = Config::parse(hex("81000c00")).unwrap_err();
        assert_eq!(error.to_string(), "an AV1 configuration without its sequence header is not supported");
    }

    #[test]
    fn decoding_starts_at_a_key_frame_that_is_shown() {
        let config = Config::parse(hex(SVT_240P)).unwrap();
        assert!(is_keyframe(&config, &hex("0a01003203100000")));
        assert!(!is_keyframe(&config, &hex("3203300000")), "an inter frame");
        assert!(!is_keyframe(&config, &hex("3203000000")), "a key frame that is not shown yet");
        assert!(!is_keyframe(&config, &hex("1a0180")), "an existing frame shown again");
        assert!(!is_keyframe(&config, &[]));
    }
}
