//! RTMP messages: what the chunk stream carries once it is put together again.
//!
//! # Source
//!
//! Adobe, *RTMP 1.0* (2012), sections 5.4, 6.2 and 7.1; the format byte of the AMF3 types: Veovera, *Enhanced RTMP v2*,
//! "Important AMF3-encoded Historical Specification Clarification".

use bytes::{Buf, Bytes};

use super::amf0;

pub(crate) const SET_CHUNK_SIZE: u8 = 1;
pub(crate) const ABORT: u8 = 2;
pub(crate) const ACKNOWLEDGEMENT: u8 = 3;
pub(crate) const USER_CONTROL: u8 = 4;
pub(crate) const WINDOW_ACK_SIZE: u8 = 5;
pub(crate) const SET_PEER_BANDWIDTH: u8 = 6;
pub(crate) const AUDIO: u8 = 8;
pub(crate) const VIDEO: u8 = 9;
pub(crate) const DATA_AMF3: u8 = 15;
pub(crate) const COMMAND_AMF3: u8 = 17;
pub(crate) const DATA_AMF0: u8 = 18;
pub(crate) const COMMAND_AMF0: u8 = 20;
pub(crate) const AGGREGATE: u8 = 22;

pub(crate) const EVENT_STREAM_BEGIN: u16 = 0;
pub(crate) const EVENT_PING_REQUEST: u16 = 6;
pub(crate) const EVENT_PING_RESPONSE: u16 = 7;

/// One message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// The message type id: 8 is audio, 9 video, 18 data, 20 a command …
    pub kind: u8,
    /// The message stream it belongs to; 0 is the connection itself.
    pub stream: u32,
    /// Milliseconds on a clock of the sender's choice, wrapping at 32 bits.
    pub timestamp_ms: u32,
    /// The content.
    pub payload: Bytes,
}

impl Message {
    /// The payload without the format byte that the AMF3 message types put in front of their AMF0 content.
    pub(crate) fn amf(&self) -> Bytes {
        let mut payload = self.payload.clone();
        if matches!(self.kind, DATA_AMF3 | COMMAND_AMF3) && payload.first() == Some(&0) {
            payload.advance(1);
        }
        payload
    }

    /// The payload as a big-endian number, as in the protocol control messages.
    pub(crate) fn number(&self) -> Option<u32> {
        self.payload.first_chunk::<4>().map(|bytes| u32::from_be_bytes(*bytes))
    }
}

/// A remote call: `connect`, `createStream`, `publish` …
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Command {
    pub(crate) name: String,
    /// 0 when no answer is expected.
    pub(crate) transaction: f64,
    /// The command object first, then the arguments.
    pub(crate) arguments: Vec<amf0::Value>,
}

/// Arguments of one command, at most; `publish` has three.
const ARGUMENTS_MAX: usize = 16;

impl Command {
    pub(crate) fn parse(bytes: &[u8]) -> Result<Option<Self>, amf0::Error> {
        let mut reader = amf0::Reader::new(bytes);
        let Some(amf0::Value::String(name)) = reader.value()? else { return Ok(None) };
        let transaction = reader.value()?.and_then(|value| value.as_number()).unwrap_or(0.0);
        let mut arguments = Vec::new();
        while arguments.len() < ARGUMENTS_MAX
            && let Some(value) = reader.value()?
        {
            arguments.push(value);
        }
        Ok(Some(Self { name, transaction, arguments }))
    }

    /// The text at `index` of the arguments, where 0 is the command object.
    pub(crate) fn text(&self, index: usize) -> Option<&str> {
        self.arguments.get(index).and_then(amf0::Value::as_str)
    }
}
