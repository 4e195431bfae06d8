//! What a codec's configuration record says: parameter sets, keyframes, and the codec string that players ask for.

use crate::frame::Kind;

/// A codec with its parsed configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Codec {}

impl Codec {
    /// Video or audio.
    #[must_use]
    pub fn kind(&self) -> Kind {
        match *self {}
    }
}
