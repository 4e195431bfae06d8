//! AAC: the `AudioSpecificConfig`.

use bytes::Bytes;

use super::CodecError;
use super::bits::BitReader;

const RECORD: &str = "AAC configuration";

/// Sampling frequencies by index, ISO/IEC 14496-3 table 1.18.
const SAMPLE_RATES: [u32; 13] =
    [96_000, 88_200, 64_000, 48_000, 44_100, 32_000, 24_000, 22_050, 16_000, 12_000, 11_025, 8_000, 7_350];
/// Audio object types, ISO/IEC 14496-3 table 1.17.
const AOT_SBR: u8 = 5;
const AOT_PS: u8 = 29;
/// Announces backward compatible signalling of SBR behind the base configuration.
const SYNC_EXTENSION: u32 = 0x2b7;

/// An `AudioSpecificConfig` and what it says.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Config {
    /// The configuration as it arrived: the `DecoderSpecificInfo` of the `esds` box.
    pub record: Bytes,
    /// The audio object type of the codec string: 2 AAC-LC, 5 HE-AAC, 29 HE-AAC v2.
    pub object_type: u8,
    /// Samples per second that an access unit counts in. Half of `sample_rate` when bandwidth is replicated (HE-AAC).
    pub core_rate: u32,
    /// Samples per second of the decoded sound.
    pub sample_rate: u32,
    /// Samples per access unit at `core_rate`: 1,024 or 960.
    pub samples_per_frame: u32,
    /// Channels, 1 to 48.
    pub channels: u8,
}

impl Config {
    /// Parses a configuration.
    ///
    /// # Errors
    ///
    /// The configuration is cut off, or says a sample rate or a channel layout that AAC does not have.
    ///
    /// # Source
    ///
    /// ISO/IEC 14496-3 sections 1.6.2.1 (`AudioSpecificConfig`), 4.4.1 (`GASpecificConfig`) and 4.4.1.1
    /// (`program_config_element`).
    pub fn parse(asc: Bytes) -> Result<Self, CodecError> {
        CodecError::check_length(RECORD, &asc)?;
        let truncated = || CodecError::Truncated { record: RECORD };
        let malformed = |what| CodecError::Malformed { record: RECORD, what };
        let mut bits = BitReader::new(&asc);
        let mut object_type = read_object_type(&mut bits).ok_or_else(truncated)?;
        let core_rate = read_sample_rate(&mut bits).ok_or_else(truncated)?;
        let channel_layout = bits.u8(4).ok_or_else(truncated)?;
        let mut sample_rate = core_rate;
        let mut base_type = object_type;
        if object_type == AOT_SBR || object_type == AOT_PS {
            sample_rate = read_sample_rate(&mut bits).ok_or_else(truncated)?;
            base_type = read_object_type(&mut bits).ok_or_else(truncated)?;
        }
        if !(1_000..=192_000).contains(&core_rate) || !(1_000..=192_000).contains(&sample_rate) {
            return Err(malformed("its sample rate is not between 1 and 192 kHz"));
        }
        // The object types that share GASpecificConfig and are carried as raw access units of AAC.
        if !matches!(base_type, 1..=4) {
            return Err(CodecError::Unsupported { what: "an AAC object type other than main, LC, SSR or LTP" });
        }
        let short_frames = bits.flag().ok_or_else(truncated)?;
        if bits.flag().ok_or_else(truncated)? {
            bits.skip(14).ok_or_else(truncated)?; // coreCoderDelay
        }
        bits.flag().ok_or_else(truncated)?; // extensionFlag
        let mut channels = match channel_layout {
            0 => read_program_config(&mut bits).ok_or_else(truncated)?,
            1..=6 => channel_layout,
            7 | 12 | 14 => 8,
            11 => 7,
            _ => return Err(malformed("its channel layout is reserved")),
        };
        if channels == 0 {
            return Err(malformed("it has no channels"));
        }
        if object_type == 2
            && channel_layout != 0
            && let Some((extended_type, extended_rate)) = read_sync_extension(&mut bits)
        {
            object_type = extended_type;
            sample_rate = extended_rate;
        }
        if object_type == AOT_PS {
            channels = 2; // parametric stereo: one coded channel, two decoded
        }
        Ok(Self {
            object_type,
            core_rate,
            sample_rate,
            samples_per_frame: if short_frames { 960 } else { 1_024 },
            channels,
            record: asc,
        })
    }

    pub(super) fn codec_string(&self) -> String {
        format!("mp4a.40.{}", self.object_type)
    }
}

fn read_object_type(bits: &mut BitReader<'_>) -> Option<u8> {
    match bits.u8(5)? {
        31 => Some(32 + bits.u8(6)?),
        object_type => Some(object_type),
    }
}

/// Reserved indexes give 0, which no caller accepts.
fn read_sample_rate(bits: &mut BitReader<'_>) -> Option<u32> {
    match bits.u8(4)? {
        15 => bits.u(24),
        index => Some(SAMPLE_RATES.get(usize::from(index)).copied().unwrap_or(0)),
    }
}

/// The number of channels of a `program_config_element`.
fn read_program_config(bits: &mut BitReader<'_>) -> Option<u8> {
    bits.skip(4 + 2 + 4)?; // element_instance_tag, object_type, sampling_frequency_index
    let front = bits.u8(4)?;
    let side = bits.u8(4)?;
    let back = bits.u8(4)?;
    let low_frequency = bits.u8(2)?;
    bits.skip(3 + 4)?; // num_assoc_data_elements, num_valid_cc_elements
    for mixdown_bits in [4, 4, 3] {
        if bits.flag()? {
            bits.skip(mixdown_bits)?;
        }
    }
    let mut channels = low_frequency;
    for _ in 0..front + side + back {
        channels += if bits.flag()? { 2 } else { 1 };
        bits.skip(4)?; // tag
    }
    Some(channels)
}

/// SBR and PS announced behind the configuration, as (object type, sample rate).
fn read_sync_extension(bits: &mut BitReader<'_>) -> Option<(u8, u32)> {
    if bits.u(11)? != SYNC_EXTENSION || read_object_type(bits)? != AOT_SBR || !bits.flag()? {
        return None;
    }
    let rate = read_sample_rate(bits).filter(|rate| (1_000..=192_000).contains(rate))?;
    let parametric = bits.u(11) == Some(0x548) && bits.flag() == Some(true);
    Some((if parametric { AOT_PS } else { AOT_SBR }, rate))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::Codec;
    use crate::codec::testing::{hex, survives_damage};

    fn facts(asc: &str) -> (String, u32, u32, u8) {
        let config = Config::parse(hex(asc)).unwrap();
        let (core_rate, sample_rate, channels) = (config.core_rate, config.sample_rate, config.channels);
        (Codec::Aac(config).codec_string(), core_rate, sample_rate, channels)
    }

    #[test]
    fn a_configuration_says_object_type_rates_and_channels() {
        assert_eq!(facts("1190"), ("mp4a.40.2".into(), 48_000, 48_000, 2));
        // ffmpeg writes a sync extension that says: no SBR.
        assert_eq!(facts("119056e500"), ("mp4a.40.2".into(), 48_000, 48_000, 2));
        assert_eq!(facts("123056e500"), ("mp4a.40.2".into(), 44_100, 44_100, 6));
    }

    #[test]
    fn high_efficiency_counts_in_core_samples_and_sounds_at_twice_the_rate() {
        // Explicit: type 5, 24 kHz, stereo, 48 kHz, LC.
        assert_eq!(facts("2b118800"), ("mp4a.40.5".into(), 24_000, 48_000, 2));
        // Backward compatible: LC at 22.05 kHz, sync extension with SBR at 44.1 kHz.
        assert_eq!(facts("139056e5a0"), ("mp4a.40.5".into(), 22_050, 44_100, 2));
    }

    #[test]
    fn a_damaged_configuration_is_an_error_or_a_value_but_never_a_panic() {
        for asc in ["119056e500", "2b118800", "139056e5a0", "1180043c80"] {
            survives_damage(&hex(asc), Config::parse);
        }
    }

    #[test]
    fn what_is_not_aac_is_refused_in_words() {
        let error = Config::parse(hex("f94000")).unwrap_err();
        assert_eq!(error.to_string(), "an AAC object type other than main, LC, SSR or LTP is not supported");
        assert_eq!(Config::parse(hex("11")).unwrap_err().to_string(), "the AAC configuration ends too early");
        assert_eq!(
            Config::parse(hex("1690")).unwrap_err().to_string(),
            "the AAC configuration is not valid: its sample rate is not between 1 and 192 kHz"
        );
    }
}
