//! Opus: the identification header and how long a packet lasts.

use bytes::Bytes;

use super::CodecError;

const RECORD: &str = "Opus header";

/// Opus time stamps always count at 48 kHz, whatever was recorded.
pub const SAMPLE_RATE: u32 = 48_000;

/// An `OpusHead` identification header and what it says.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Config {
    /// The header as it arrived, beginning with `OpusHead`.
    pub record: Bytes,
    /// Channels, 1 to 255.
    pub channels: u8,
    /// Samples at 48 kHz that a decoder throws away at the start.
    pub pre_skip: u16,
    /// The sample rate of the recording, for information only; 0 is unknown.
    pub input_rate: u32,
    /// Gain to apply, in 1/256 dB.
    pub output_gain: i16,
    /// 0 for mono and stereo, 1 for surround in Vorbis order.
    pub mapping_family: u8,
    /// Stream count, coupled count and one byte per channel; empty for family 0.
    pub mapping: Bytes,
}

impl Config {
    /// Parses an identification header.
    ///
    /// # Errors
    ///
    /// The header is cut off, does not begin with `OpusHead`, or has a version or channel count that does not exist.
    ///
    /// # Source
    ///
    /// RFC 7845 section 5.1.
    pub fn parse(id_header: Bytes) -> Result<Self, CodecError> {
        CodecError::check_length(RECORD, &id_header)?;
        let truncated = CodecError::Truncated { record: RECORD };
        let malformed = |what| CodecError::Malformed { record: RECORD, what };
        if id_header.len() < 19 {
            return Err(truncated);
        }
        if &id_header[..8] != b"OpusHead" {
            return Err(malformed("it does not begin with OpusHead"));
        }
        if id_header[8] >> 4 != 0 {
            return Err(malformed("its version is not 1"));
        }
        let channels = id_header[9];
        let mapping_family = id_header[18];
        if channels == 0 || (mapping_family == 0 && channels > 2) {
            return Err(malformed("its channel count is not possible"));
        }
        let mapping = if mapping_family == 0 {
            Bytes::new()
        } else {
            let end = 19 + 2 + usize::from(channels);
            if id_header.len() < end {
                return Err(truncated);
            }
            id_header.slice(19..end)
        };
        Ok(Self {
            channels,
            pre_skip: u16::from_le_bytes([id_header[10], id_header[11]]),
            input_rate: u32::from_le_bytes([id_header[12], id_header[13], id_header[14], id_header[15]]),
            output_gain: i16::from_le_bytes([id_header[16], id_header[17]]),
            mapping_family,
            mapping,
            record: id_header,
        })
    }
}

/// How many samples at 48 kHz a packet decodes to: 120 to 5,760. `None` for an empty or impossible packet.
///
/// # Source
///
/// RFC 6716 section 3.1 (the TOC byte) and 3.2.5 (frame count).
#[must_use]
pub fn packet_samples(packet: &[u8]) -> Option<u32> {
    let toc = *packet.first()?;
    let frame = match toc >> 3 {
        // SILK: 10, 20, 40, 60 ms.
        config @ 0..=11 => [480, 960, 1_920, 2_880][usize::from(config & 3)],
        // Hybrid: 10, 20 ms.
        config @ 12..=15 => [480, 960][usize::from(config & 1)],
        // CELT: 2.5, 5, 10, 20 ms.
        config => [120, 240, 480, 960][usize::from(config & 3)],
    };
    let count = match toc & 3 {
        0 => 1,
        1 | 2 => 2,
        _ => u32::from(packet.get(1)? & 0x3f),
    };
    // A packet lasts at most 120 ms.
    Some(frame * count).filter(|samples| (120..=5_760).contains(samples))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::testing::{hex, survives_damage};

    const STEREO: &str = "4f707573486561640102380180bb0000000000";
    const SURROUND: &str = "4f707573486561640106380180bb00000000010402000401020305";

    #[test]
    fn a_header_says_channels_and_pre_skip() {
        let config = Config::parse(hex(STEREO)).unwrap();
        assert_eq!((config.channels, config.pre_skip, config.input_rate), (2, 312, 48_000));
        let config = Config::parse(hex(SURROUND)).unwrap();
        assert_eq!((config.channels, config.mapping_family, config.mapping.len()), (6, 1, 8));
    }

    #[test]
    fn a_damaged_header_is_an_error_or_a_value_but_never_a_panic() {
        survives_damage(&hex(STEREO), Config::parse);
        survives_damage(&hex(SURROUND), Config::parse);
    }

    #[test]
    fn the_first_byte_of_a_packet_says_how_long_it_is() {
        assert_eq!(packet_samples(&[0xfc]), Some(960), "CELT 20 ms, one frame");
        assert_eq!(packet_samples(&[0xfd]), Some(1_920), "two frames");
        assert_eq!(packet_samples(&[0x1b, 0x02]), Some(5_760), "SILK 60 ms, two frames by count");
        assert_eq!(packet_samples(&[0x1b, 0x3f]), None, "longer than 120 ms");
        assert_eq!(packet_samples(&[0x03]), None);
        assert_eq!(packet_samples(&[]), None);
    }
}
