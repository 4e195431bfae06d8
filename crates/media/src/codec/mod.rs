//! What a codec's configuration record says: parameter sets, keyframes, and the codec string that players ask for.
//!
//! A record arrives once per sequence header, is parsed once and is kept byte for byte, because the same bytes go into
//! the sample entry of the initialization segment. What is parsed is only what the rest of the house needs: size, frame
//! rate, sample rate, channels and the codec string. No picture is decoded here, and nothing is guessed: a field that a
//! record does not carry is `None`.

mod bits;

pub mod aac;
pub mod av1;
pub mod h264;
pub mod h265;
pub mod opus;

use crate::frame::Kind;

/// The longest configuration record that is believed. A long H.264 record with many parameter sets is a few hundred
/// bytes; a record is kept for as long as the broadcast, so its size is bounded.
pub const RECORD_BYTES_MAX: usize = 16 * 1024;

/// A codec with its parsed configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Codec {
    /// H.264 (AVC).
    H264(h264::Config),
    /// H.265 (HEVC).
    H265(h265::Config),
    /// AV1.
    Av1(av1::Config),
    /// AAC: LC, HE and HE v2.
    Aac(aac::Config),
    /// Opus.
    Opus(opus::Config),
}

impl Codec {
    /// Video or audio.
    #[must_use]
    pub fn kind(&self) -> Kind {
        match self {
            Self::H264(_) | Self::H265(_) | Self::Av1(_) => Kind::Video,
            Self::Aac(_) | Self::Opus(_) => Kind::Audio,
        }
    }

    /// The name people know: `H.264`, `H.265`, `AV1`, `AAC`, `Opus`.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::H264(_) => "H.264",
            Self::H265(_) => "H.265",
            Self::Av1(_) => "AV1",
            Self::Aac(_) => "AAC",
            Self::Opus(_) => "Opus",
        }
    }

    /// The codec string of CODECS attributes and MIME types, such as `avc1.64001f` or `mp4a.40.2`.
    ///
    /// # Source
    ///
    /// RFC 6381 section 3; ISO/IEC 14496-15 annex E (HEVC); AV1 Codec ISO Media File Format Binding section 5.
    #[must_use]
    pub fn codec_string(&self) -> String {
        match self {
            Self::H264(config) => config.codec_string(),
            Self::H265(config) => config.codec_string(),
            Self::Av1(config) => config.codec_string(),
            Self::Aac(config) => config.codec_string(),
            Self::Opus(_) => "opus".to_owned(),
        }
    }

    /// Width and height of the pictures in pixels, cropping applied; `None` for audio.
    #[must_use]
    pub fn resolution(&self) -> Option<(u32, u32)> {
        match self {
            Self::H264(config) => Some((config.width, config.height)),
            Self::H265(config) => Some((config.width, config.height)),
            Self::Av1(config) => Some((config.width, config.height)),
            Self::Aac(_) | Self::Opus(_) => None,
        }
    }

    /// Frames per second as a reduced fraction (numerator, denominator), when the parameter sets say it.
    #[must_use]
    pub fn frame_rate(&self) -> Option<(u32, u32)> {
        match self {
            Self::H264(config) => config.frame_rate,
            Self::H265(config) => config.frame_rate,
            Self::Av1(config) => config.frame_rate,
            Self::Aac(_) | Self::Opus(_) => None,
        }
    }

    /// Samples per second of the decoded sound; `None` for video.
    #[must_use]
    pub fn sample_rate(&self) -> Option<u32> {
        match self {
            Self::Aac(config) => Some(config.sample_rate),
            Self::Opus(_) => Some(opus::SAMPLE_RATE),
            Self::H264(_) | Self::H265(_) | Self::Av1(_) => None,
        }
    }

    /// Channels of the decoded sound; `None` for video.
    #[must_use]
    pub fn channels(&self) -> Option<u8> {
        match self {
            Self::Aac(config) => Some(config.channels),
            Self::Opus(config) => Some(config.channels),
            Self::H264(_) | Self::H265(_) | Self::Av1(_) => None,
        }
    }
}

/// Why a configuration record cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CodecError {
    /// The record ends before everything it announces.
    #[error("the {record} ends too early")]
    Truncated {
        /// Which record.
        record: &'static str,
    },
    /// The record contradicts its format.
    #[error("the {record} is not valid: {what}")]
    Malformed {
        /// Which record.
        record: &'static str,
        /// What is wrong with it.
        what: &'static str,
    },
    /// The record is valid, but this server cannot carry what it describes.
    #[error("{what} is not supported")]
    Unsupported {
        /// What it describes.
        what: &'static str,
    },
}

impl CodecError {
    /// Refuses records beyond [`RECORD_BYTES_MAX`].
    fn check_length(record: &'static str, bytes: &[u8]) -> Result<(), Self> {
        if bytes.len() > RECORD_BYTES_MAX {
            return Err(Self::Malformed { record, what: "it is longer than 16 KiB" });
        }
        Ok(())
    }
}

#[cfg(test)]
pub(crate) mod testing {
    use bytes::Bytes;

    /// Hexadecimal text as bytes.
    pub(crate) fn hex(text: &str) -> Bytes {
        let digit = |index: usize| u8::from_str_radix(&text[index..index + 2], 16).expect("hexadecimal");
        (0..text.len()).step_by(2).map(digit).collect()
    }

    /// Calls `parse` with every prefix of `record` and with each of its bits flipped: nothing may panic.
    pub(crate) fn survives_damage<T>(record: &Bytes, parse: impl Fn(Bytes) -> T) {
        for length in 0..record.len() {
            parse(record.slice(..length));
        }
        for bit in 0..record.len() * 8 {
            let mut damaged = record.to_vec();
            damaged[bit / 8] ^= 1 << (bit % 8);
            parse(damaged.into());
        }
    }
}
