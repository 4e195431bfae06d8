//! The chunk stream: messages cut into chunks, and several messages interleaved on one connection.
//!
//! A payload is copied once, from what the socket gave into the buffer that becomes the message. A length is believed
//! only as far as bytes have arrived: a buffer starts small and doubles, except that a chunk stream which has already
//! delivered a message of some size is trusted with that size (up to [`TRUST_MAX`]), so that a steady stream of media
//! neither grows nor copies.
//!
//! # Source
//!
//! Adobe, *RTMP 1.0* (2012), section 5.3. Deviations: a first chunk of type 1 is accepted on a chunk stream not seen
//! before, counting from time zero (librtmp opens its control stream this way); a chunk size above 16,777,215 counts as
//! that, since no message is longer.

use bytes::{BufMut, Bytes, BytesMut};
use thiserror::Error;

use super::message::Message;

/// The chunk size both sides start with.
const CHUNK_SIZE_START: usize = 128;

/// No message is longer than its 24-bit length field can say, so no chunk needs to be.
const CHUNK_SIZE_MAX: usize = 0xff_ffff;

/// A time stamp field with this value says that the real one follows in four bytes.
const EXTENDED: u32 = 0xff_ffff;

/// The longest chunk header: three bytes of basic header, eleven of message header, four of extended time stamp.
const HEADER_MAX: usize = 18;

/// The first allocation for a message on a chunk stream that has not delivered anything yet.
const FIRST_RESERVE: usize = 4 * 1024;

/// The largest allocation made because an earlier message was as long.
const TRUST_MAX: usize = 1024 * 1024;

/// What a chunk stream may cost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of one message, and of all unfinished messages together.
    pub message_bytes_max: usize,
    /// Chunk streams open at once.
    pub streams_max: usize,
}

/// Why a chunk stream cannot go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum Error {
    /// A chunk refers to an earlier one that was never sent.
    #[error("chunk stream {0} continues a message that never began")]
    NoHistory(u32),
    /// A new message begins before the last one on the same chunk stream is complete.
    #[error("chunk stream {0} begins a message inside another")]
    Overlap(u32),
    /// The message announces more bytes than allowed.
    #[error("a message of {bytes} bytes is announced and {bytes_max} are allowed")]
    MessageTooLong {
        /// What the header says.
        bytes: usize,
        /// The limit.
        bytes_max: usize,
    },
    /// All unfinished messages together are larger than allowed.
    #[error("more than {bytes_max} bytes of unfinished messages")]
    TooMuchUnfinished {
        /// The limit.
        bytes_max: usize,
    },
    /// Too many chunk streams.
    #[error("more than {streams_max} chunk streams")]
    TooManyStreams {
        /// The limit.
        streams_max: usize,
    },
    /// A chunk size of zero, or with the top bit set.
    #[error("a chunk size of {0} is not possible")]
    ChunkSize(u32),
}

/// One chunk stream: the last header, and the message that is arriving.
#[derive(Debug)]
struct Stream {
    id: u32,
    /// The time stamp field of the last header: absolute after type 0, a difference after types 1 and 2. A type 3 chunk
    /// that begins a message adds it again, whichever it was.
    field: u32,
    extended: bool,
    timestamp_ms: u32,
    length: usize,
    kind: u8,
    message_stream: u32,
    body: BytesMut,
    /// The header of a message has been read and its last byte has not.
    unfinished: bool,
    /// The longest message this stream has delivered, up to [`TRUST_MAX`].
    trusted: usize,
}

impl Stream {
    fn new(id: u32) -> Self {
        Self {
            id,
            field: 0,
            extended: false,
            timestamp_ms: 0,
            length: 0,
            kind: 0,
            message_stream: 0,
            body: BytesMut::new(),
            unfinished: false,
            trusted: 0,
        }
    }

    /// Makes room for `more` bytes that are at hand.
    fn reserve(&mut self, more: usize) {
        let needed = self.body.len() + more;
        if needed > self.body.capacity() {
            let target = needed.max(self.body.len() * 2).max(self.trusted).max(FIRST_RESERVE).min(self.length);
            self.body.reserve(target - self.body.len());
        }
    }

    fn finish(&mut self) -> Message {
        self.unfinished = false;
        self.trusted = self.trusted.max(self.length.min(TRUST_MAX));
        Message {
            kind: self.kind,
            stream: self.message_stream,
            timestamp_ms: self.timestamp_ms,
            payload: std::mem::take(&mut self.body).freeze(),
        }
    }
}

#[derive(Debug)]
enum State {
    /// Collecting a header.
    Header,
    /// `left` bytes of this chunk are still to come, for the stream at `index`.
    Body { index: usize, left: usize },
}

/// Puts messages together from bytes.
#[derive(Debug)]
pub struct Reader {
    limits: Limits,
    chunk_size: usize,
    streams: Vec<Stream>,
    header: [u8; HEADER_MAX],
    header_len: usize,
    state: State,
    unfinished_bytes: usize,
    consumed: u64,
}

impl Reader {
    /// A reader at the start of a chunk stream.
    #[must_use]
    pub fn new(limits: Limits) -> Self {
        Self {
            limits,
            chunk_size: CHUNK_SIZE_START,
            streams: Vec::new(),
            header: [0; HEADER_MAX],
            header_len: 0,
            state: State::Header,
            unfinished_bytes: 0,
            consumed: 0,
        }
    }

    /// From now on these limits hold.
    pub fn set_limits(&mut self, limits: Limits) {
        self.limits = limits;
    }

    /// The peer announced this chunk size. Holds from the next chunk on.
    ///
    /// # Errors
    ///
    /// [`Error::ChunkSize`] for 0 and for values above 31 bits.
    pub fn set_chunk_size(&mut self, bytes: u32) -> Result<(), Error> {
        if bytes == 0 || bytes > 0x7fff_ffff {
            return Err(Error::ChunkSize(bytes));
        }
        self.chunk_size = usize::try_from(bytes).unwrap_or(CHUNK_SIZE_MAX).min(CHUNK_SIZE_MAX);
        Ok(())
    }

    /// The peer will not complete the message it began on chunk stream `id`.
    pub fn abort(&mut self, id: u32) {
        if let Some(stream) = self.streams.iter_mut().find(|stream| stream.id == id) {
            self.unfinished_bytes -= stream.body.len();
            stream.body = BytesMut::new();
            stream.unfinished = false;
        }
    }

    /// Bytes taken by [`Reader::read`] so far.
    #[must_use]
    pub fn consumed(&self) -> u64 {
        self.consumed
    }

    /// Bytes held for messages that are not complete.
    #[must_use]
    pub fn unfinished_bytes(&self) -> usize {
        self.unfinished_bytes
    }

    /// Takes bytes from the front of `input` up to the end of the next message, or all of them and gives `None`.
    ///
    /// # Errors
    ///
    /// [`Error`] when the bytes are not a chunk stream within the limits. The reader is then of no further use.
    pub fn read(&mut self, input: &mut &[u8]) -> Result<Option<Message>, Error> {
        loop {
            match self.state {
                State::Header => {
                    if !self.collect_header(input) {
                        return Ok(None);
                    }
                    let index = self.begin_chunk()?;
                    let stream = &self.streams[index];
                    let left = self.chunk_size.min(stream.length - stream.body.len());
                    self.state = State::Body { index, left };
                }
                State::Body { index, left } => {
                    let taken = left.min(input.len());
                    let stream = &mut self.streams[index];
                    if taken > 0 {
                        if self.unfinished_bytes + taken > self.limits.message_bytes_max {
                            return Err(Error::TooMuchUnfinished { bytes_max: self.limits.message_bytes_max });
                        }
                        let (bytes, rest) = input.split_at(taken);
                        stream.reserve(taken);
                        stream.body.extend_from_slice(bytes);
                        *input = rest;
                        self.unfinished_bytes += taken;
                        self.consumed += taken as u64;
                    }
                    if taken < left {
                        self.state = State::Body { index, left: left - taken };
                        return Ok(None);
                    }
                    self.state = State::Header;
                    if stream.body.len() == stream.length {
                        self.unfinished_bytes -= stream.length;
                        return Ok(Some(stream.finish()));
                    }
                }
            }
        }
    }

    /// Takes header bytes until the header is complete. False when `input` ends before.
    fn collect_header(&mut self, input: &mut &[u8]) -> bool {
        loop {
            let missing = self.header_length() - self.header_len;
            if missing == 0 {
                return true;
            }
            let (taken, rest) = input.split_at(missing.min(input.len()));
            self.header[self.header_len..self.header_len + taken.len()].copy_from_slice(taken);
            self.header_len += taken.len();
            self.consumed += taken.len() as u64;
            *input = rest;
            if taken.len() < missing {
                return false;
            }
        }
    }

    /// How long the header is, as far as the bytes collected tell; never less than what is collected.
    fn header_length(&self) -> usize {
        let Some(&first) = self.header[..self.header_len].first() else { return 1 };
        let basic = basic_length(first);
        if self.header_len < basic {
            return basic;
        }
        let message = match first >> 6 {
            0 => 11,
            1 => 7,
            2 => 3,
            _ => 0,
        };
        if self.header_len < basic + message {
            return basic + message;
        }
        let extended = if message == 0 {
            let id = chunk_stream_id(&self.header);
            self.streams.iter().any(|stream| stream.id == id && stream.extended)
        } else {
            u24(&self.header[basic..]) == EXTENDED
        };
        basic + message + if extended { 4 } else { 0 }
    }

    /// Applies the collected header and gives the index of its stream.
    fn begin_chunk(&mut self) -> Result<usize, Error> {
        let header = &self.header[..self.header_len];
        self.header_len = 0;
        let id = chunk_stream_id(header);
        let format = header[0] >> 6;
        let fields = &header[basic_length(header[0])..];
        let index = match self.streams.iter().position(|stream| stream.id == id) {
            Some(index) => index,
            None if format >= 2 => return Err(Error::NoHistory(id)),
            None if self.streams.len() >= self.limits.streams_max => {
                return Err(Error::TooManyStreams { streams_max: self.limits.streams_max });
            }
            None => {
                self.streams.push(Stream::new(id));
                self.streams.len() - 1
            }
        };
        let stream = &mut self.streams[index];
        if stream.unfinished {
            return if format == 3 { Ok(index) } else { Err(Error::Overlap(id)) };
        }
        if format < 3 {
            stream.field = u24(fields);
            stream.extended = stream.field == EXTENDED;
            if stream.extended {
                stream.field = u32_be(&fields[fields.len() - 4..]);
            }
        }
        if format < 2 {
            stream.length = u24(&fields[3..]) as usize;
            stream.kind = fields[6];
        }
        if format == 0 {
            // The one field of RTMP that is little-endian.
            stream.message_stream = u32_be(&fields[7..]).swap_bytes();
            stream.timestamp_ms = stream.field;
        } else {
            stream.timestamp_ms = stream.timestamp_ms.wrapping_add(stream.field);
        }
        if stream.length > self.limits.message_bytes_max {
            return Err(Error::MessageTooLong { bytes: stream.length, bytes_max: self.limits.message_bytes_max });
        }
        stream.unfinished = true;
        Ok(index)
    }
}

fn basic_length(first: u8) -> usize {
    match first & 0x3f {
        0 => 2,
        1 => 3,
        _ => 1,
    }
}

/// The chunk stream id of a header that has at least its basic part.
fn chunk_stream_id(header: &[u8]) -> u32 {
    match header[0] & 0x3f {
        0 => 64 + u32::from(header[1]),
        1 => 64 + u32::from(header[1]) + u32::from(header[2]) * 256,
        id => u32::from(id),
    }
}

fn u24(bytes: &[u8]) -> u32 {
    u32::from_be_bytes([0, bytes[0], bytes[1], bytes[2]])
}

fn u32_be(bytes: &[u8]) -> u32 {
    u32::from_be_bytes([bytes[0], bytes[1], bytes[2], bytes[3]])
}

/// Cuts one message into chunks of `chunk_size` and appends them to `out`. The chunk stream id must be within 2–63, the
/// payload below 16 MiB; time stamps from 16,777,215 on are written in their extended form.
pub fn write(out: &mut BytesMut, chunk_stream: u8, message: &Message, chunk_size: usize) {
    debug_assert!((2..64).contains(&chunk_stream) && message.payload.len() <= CHUNK_SIZE_MAX && chunk_size > 0);
    let extended = message.timestamp_ms >= EXTENDED;
    let field = message.timestamp_ms.min(EXTENDED);
    out.reserve(message.payload.len() + message.payload.len() / chunk_size * 5 + HEADER_MAX);
    out.put_u8(chunk_stream);
    out.put_uint(u64::from(field), 3);
    out.put_uint(message.payload.len() as u64, 3);
    out.put_u8(message.kind);
    out.put_u32_le(message.stream);
    if extended {
        out.put_u32(message.timestamp_ms);
    }
    for (number, chunk) in message.payload.chunks(chunk_size).enumerate() {
        if number > 0 {
            out.put_u8(0xc0 | chunk_stream);
            if extended {
                out.put_u32(message.timestamp_ms);
            }
        }
        out.put_slice(chunk);
    }
}

/// A message of the connection itself at time zero.
pub(crate) fn control(kind: u8, payload: &[u8]) -> Message {
    Message { kind, stream: 0, timestamp_ms: 0, payload: Bytes::copy_from_slice(payload) }
}

#[cfg(test)]
mod tests;
