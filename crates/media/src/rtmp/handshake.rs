//! The opening of an RTMP connection: two blocks of 1,536 bytes each way.
//!
//! Only the simple form is spoken. Encoders that offer the digest form recognise a server version of zero and go on
//! without it.
//!
//! # Source
//!
//! Adobe, *RTMP 1.0* (2012), section 5.2. Deviations, all for encoders in the field: S2 repeats C1 byte for byte, also
//! in the field that should carry our time (librtmp, which OBS uses, compares all of it); the content of C2 is not
//! compared with S1 (Flash-era encoders answer with a digest there); the zero field of C1 may be anything.

use bytes::BytesMut;

/// The length of C1, C2, S1 and S2.
pub(crate) const BLOCK: usize = 1_536;

/// C0 of plain RTMP. 6 would be RTMPE, 8 and 9 its variants; 32 and above is text, such as HTTP.
const VERSION: u8 = 3;

/// What the client has sent so far.
#[derive(Debug)]
pub(crate) struct Handshake {
    received: Vec<u8>,
    stage: Stage,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Opening,
    Echo,
}

/// Whether the chunk stream may begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Progress {
    NeedMore,
    Done,
}

impl Handshake {
    pub(crate) fn new() -> Self {
        Self { received: Vec::new(), stage: Stage::Opening }
    }

    /// Takes what it needs from the front of `input`, and writes S0, S1 and S2 to `out` when C0 and C1 are complete.
    /// `random` fills S1. Gives the version byte back when it is not 3.
    pub(crate) fn feed(&mut self, input: &mut &[u8], random: &[u8; BLOCK], out: &mut BytesMut) -> Result<Progress, u8> {
        let length = match self.stage {
            Stage::Opening => 1 + BLOCK,
            Stage::Echo => BLOCK,
        };
        let (taken, rest) = input.split_at(input.len().min(length - self.received.len()));
        self.received.extend_from_slice(taken);
        *input = rest;
        if self.stage == Stage::Opening
            && let Some(&version) = self.received.first()
            && version != VERSION
        {
            return Err(version);
        }
        if self.received.len() < length {
            return Ok(Progress::NeedMore);
        }
        match self.stage {
            Stage::Opening => {
                out.extend_from_slice(&[VERSION]);
                // Time and version are zero: the version tells the client that we do not speak the digest form.
                out.extend_from_slice(&[0; 8]);
                out.extend_from_slice(&random[8..]);
                out.extend_from_slice(&self.received[1..]);
                self.received.clear();
                self.stage = Stage::Echo;
                self.feed(input, random, out)
            }
            Stage::Echo => Ok(Progress::Done),
        }
    }
}
