//! The session: from the first byte of a connection to the last tag of a broadcast.

use std::collections::VecDeque;
use std::time::Duration;

use bytes::{Buf, Bytes, BytesMut};
use thiserror::Error;

use super::amf0::{self, Value};
use super::chunk;
use super::handshake::{self, Handshake, Progress};
use super::message::{self, Command, Message};
use super::publish::PublishRequest;
use crate::container::flv::{Tag, TagKind};

/// How many random bytes a session needs at its start.
pub const RANDOM_BYTES: usize = handshake::BLOCK;

/// The chunk size of our answers, so that each is one chunk.
const CHUNK_SIZE_OUT: usize = 4_096;

/// How many bytes either side may send before an acknowledgement. The value that servers commonly use; encoders wait
/// for it nowhere, but librtmp reports it back.
const WINDOW_BYTES: u32 = 2_500_000;

/// An acknowledgement is not sent more often than this, whatever the peer asks for.
const WINDOW_BYTES_MIN: u32 = 64 * 1024;

/// Streams that one connection may create. Encoders create one, FMLE-style encoders two.
const STREAMS_MAX: u32 = 8;

/// The longest description of a refusal, in bytes: ffmpeg keeps 255 and cuts the rest.
const DESCRIPTION_BYTES_MAX: usize = 255;

/// Chunk streams for our answers: 2 is the protocol's own, 3 is customary for commands.
const CHUNK_STREAM_CONTROL: u8 = 2;
const CHUNK_STREAM_COMMAND: u8 = 3;

/// What one connection may cost. The defaults are the limits of the product.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes held for a connection that may not publish yet: unfinished messages, and what arrives while the decision
    /// is being made. Default 256 KiB.
    pub before_publish_bytes_max: usize,
    /// Bytes of one message of a publisher, and of all its unfinished messages together. Default 16 MiB, which is the
    /// most that the protocol can express.
    pub message_bytes_max: usize,
    /// Chunk streams at once. Default 64, of which encoders use about five.
    pub chunk_streams_max: usize,
    /// From the first byte to the `publish` command. Default 10 s.
    pub publish_within: Duration,
    /// Without a byte from a publisher. Default 10 s.
    pub idle_max: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            before_publish_bytes_max: 256 * 1024,
            message_bytes_max: 16 * 1024 * 1024,
            chunk_streams_max: 64,
            publish_within: Duration::from_secs(10),
            idle_max: Duration::from_secs(10),
        }
    }
}

/// What a session wants done, in this order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Output {
    /// Write these bytes to the peer.
    Send(Bytes),
    /// Something happened.
    Event(Event),
    /// End the connection once everything is written. Shut down the sending side first and go on reading for a moment:
    /// closing with unread bytes resets the connection, and the encoder loses the reason it was just sent.
    Close,
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// The peer asks to publish. Answer with [`Session::accept_publish`] or [`Session::reject_publish`]. The session
    /// sets no deadline for the answer.
    Publish(PublishRequest),
    /// Media of an accepted broadcast.
    Tag(Tag),
    /// The encoder ended its broadcast in an orderly way. It may ask to publish again on the same connection, within
    /// the same time as at the start.
    Unpublish,
}

/// Why a publisher is refused or stopped: decides the status code that its encoder sees.
///
/// Every encoder gets the description; whether it shows it depends on the code. ffmpeg and GStreamer show any; librtmp
/// (OBS) logs `Denied`, `Rejected` and `Failed`, but waits in silence after `BadName`. So [`Rejection::BadName`] is
/// followed by a second status with the code `Rejected`, which the others no longer read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rejection {
    /// `NetStream.Publish.BadName`: the name is not free, or there is no such name.
    BadName,
    /// `NetStream.Publish.Denied`: the key is unknown, expired or revoked.
    Denied,
    /// `NetStream.Publish.Rejected`: what is sent cannot be broadcast, such as a codec that is not supported; or the
    /// organiser ended it.
    Unsupported,
    /// `NetStream.Failed`: the server is at fault.
    Failed,
}

impl Rejection {
    fn codes(self) -> &'static [&'static str] {
        match self {
            Self::BadName => &["NetStream.Publish.BadName", "NetStream.Publish.Rejected"],
            Self::Denied => &["NetStream.Publish.Denied"],
            Self::Unsupported => &["NetStream.Publish.Rejected"],
            Self::Failed => &["NetStream.Failed"],
        }
    }
}

/// How far a connection has come; named in errors and metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Phase {
    /// Before the end of C2.
    Handshake,
    /// Before `connect`.
    Connect,
    /// Connected, nothing published.
    Publish,
    /// `publish` waits for its answer.
    Decision,
    /// On air.
    Publishing,
    /// Told to close.
    Closing,
}

impl Phase {
    /// A lower-case word for logs and metrics.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Handshake => "handshake",
            Self::Connect => "connect",
            Self::Publish => "publish",
            Self::Decision => "decision",
            Self::Publishing => "publishing",
            Self::Closing => "closing",
        }
    }
}

/// Why a connection has to be dropped. None of these is seen with an encoder that works.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum SessionError {
    /// The first byte is not that of RTMP.
    #[error("not RTMP: the first byte is {found:#04x} instead of 0x03")]
    NotRtmp {
        /// C0.
        found: u8,
    },
    /// The chunk stream is broken, or beyond its limits.
    #[error(transparent)]
    Chunk(#[from] chunk::Error),
    /// A command cannot be read.
    #[error("a command cannot be read")]
    Command(#[source] amf0::Error),
    /// A message that makes no sense where it stands.
    #[error("unexpected {0}")]
    Unexpected(&'static str),
    /// Media arrived faster than the decision whether to take it.
    #[error("more than {bytes_max} bytes before publishing was allowed")]
    TooEarly {
        /// The limit.
        bytes_max: usize,
    },
    /// The peer did not get as far as `publish` in time.
    #[error("no publish after {seconds} s (in phase {})", phase.as_str())]
    TooSlow {
        /// Where it stopped.
        phase: Phase,
        /// How long it was given.
        seconds: u64,
    },
    /// A publisher went silent.
    #[error("no byte for {seconds} s")]
    Idle {
        /// How long it was given.
        seconds: u64,
    },
}

#[derive(Debug)]
enum State {
    Handshake(Handshake),
    /// Waiting for `connect`.
    Connect,
    /// Waiting for `publish`.
    Publish,
    /// `publish` was handed to the caller. Bytes that arrive meanwhile wait here, unread and counted.
    Decision {
        stream: u32,
        early: Vec<u8>,
    },
    Publishing {
        stream: u32,
    },
    Closing,
}

/// What `connect` said.
#[derive(Debug, Default)]
struct Connection {
    app: String,
    tc_url: String,
    encoder: String,
    /// The client announced Enhanced RTMP, so the answer does too.
    enhanced: bool,
}

/// One RTMP connection. See the [module](super) for its place and [the crate](crate) for the grammar.
#[derive(Debug)]
pub struct Session {
    limits: Limits,
    random: Box<[u8; RANDOM_BYTES]>,
    state: State,
    reader: chunk::Reader,
    connection: Connection,
    streams: u32,
    /// The name in `FCPublish`, which wants a status of its own when the broadcast begins.
    announced: bool,
    window_bytes: u32,
    acknowledged: u64,
    out: BytesMut,
    events: VecDeque<Event>,
    close_told: bool,
    /// An error found where no result can be returned; the next `feed` or `wake` returns it.
    error: Option<SessionError>,
    now: Duration,
    /// Since when the peer owes us its next step.
    since: Duration,
}

impl Session {
    /// A session for a connection that was accepted at `now`. `random` must not be predictable.
    #[must_use]
    pub fn new(limits: Limits, random: [u8; RANDOM_BYTES], now: Duration) -> Self {
        Self {
            limits,
            random: Box::new(random),
            state: State::Handshake(Handshake::new()),
            reader: chunk::Reader::new(chunk::Limits {
                message_bytes_max: limits.before_publish_bytes_max,
                streams_max: limits.chunk_streams_max,
            }),
            connection: Connection::default(),
            streams: 0,
            announced: false,
            window_bytes: WINDOW_BYTES,
            acknowledged: 0,
            out: BytesMut::new(),
            events: VecDeque::new(),
            close_told: false,
            error: None,
            now,
            since: now,
        }
    }

    /// How far the connection has come.
    #[must_use]
    pub fn phase(&self) -> Phase {
        match self.state {
            State::Handshake(_) => Phase::Handshake,
            State::Connect => Phase::Connect,
            State::Publish => Phase::Publish,
            State::Decision { .. } => Phase::Decision,
            State::Publishing { .. } => Phase::Publishing,
            State::Closing => Phase::Closing,
        }
    }

    /// Bytes held for the peer that are not output yet: unfinished messages, and what waits for a decision.
    #[must_use]
    pub fn buffered_bytes(&self) -> usize {
        let early = if let State::Decision { early, .. } = &self.state { early.len() } else { 0 };
        self.reader.unfinished_bytes() + early
    }

    /// Takes what arrived. Call [`Session::poll`] until it gives nothing before feeding more: outputs grow with input.
    ///
    /// # Errors
    ///
    /// [`SessionError`] when the connection must be dropped. What [`Session::poll`] still gives should be written
    /// first; feeding again gives the same error.
    pub fn feed(&mut self, bytes: &[u8], now: Duration) -> Result<(), SessionError> {
        self.now = now;
        if let Some(error) = self.error {
            return Err(error);
        }
        if !bytes.is_empty() && self.phase() == Phase::Publishing {
            self.since = now;
        }
        self.process(bytes).inspect_err(|&error| self.error = Some(error))
    }

    /// The next thing to do, or `None` when there is nothing.
    pub fn poll(&mut self) -> Option<Output> {
        if !self.out.is_empty() {
            return Some(Output::Send(self.out.split().freeze()));
        }
        if let Some(event) = self.events.pop_front() {
            return Some(Output::Event(event));
        }
        if matches!(self.state, State::Closing) && !self.close_told {
            self.close_told = true;
            return Some(Output::Close);
        }
        None
    }

    /// When to call [`Session::wake`] if nothing arrives; `None` while the peer owes us nothing.
    #[must_use]
    pub fn next_wake(&self) -> Option<Duration> {
        if self.error.is_some() {
            return Some(self.now);
        }
        match self.state {
            State::Handshake(_) | State::Connect | State::Publish => Some(self.since + self.limits.publish_within),
            State::Publishing { .. } => Some(self.since + self.limits.idle_max),
            State::Decision { .. } | State::Closing => None,
        }
    }

    /// Time passed.
    ///
    /// # Errors
    ///
    /// [`SessionError::TooSlow`] and [`SessionError::Idle`] when the peer missed its deadline, or an earlier error.
    pub fn wake(&mut self, now: Duration) -> Result<(), SessionError> {
        self.now = now;
        if let Some(error) = self.error {
            return Err(error);
        }
        if self.next_wake().is_none_or(|at| now < at) {
            return Ok(());
        }
        let error = if let phase @ (Phase::Handshake | Phase::Connect | Phase::Publish) = self.phase() {
            SessionError::TooSlow { phase, seconds: self.limits.publish_within.as_secs() }
        } else {
            SessionError::Idle { seconds: self.limits.idle_max.as_secs() }
        };
        self.error = Some(error);
        Err(error)
    }

    /// The peer may publish. Without effect unless an [`Event::Publish`] waits for its answer.
    pub fn accept_publish(&mut self, now: Duration) {
        let State::Decision { stream, early } = &mut self.state else { return };
        let (stream, early) = (*stream, std::mem::take(early));
        self.state = State::Publishing { stream };
        self.now = now;
        self.since = now;
        self.reader.set_limits(chunk::Limits {
            message_bytes_max: self.limits.message_bytes_max,
            streams_max: self.limits.chunk_streams_max,
        });
        self.send_user_control(message::EVENT_STREAM_BEGIN, stream);
        if self.announced {
            self.send_status(0, "onFCPublish", "status", "NetStream.Publish.Start", "");
        }
        self.send_status(stream, "onStatus", "status", "NetStream.Publish.Start", "You are on air.");
        if let Err(error) = self.process(&early) {
            self.error = Some(error);
        }
    }

    /// The peer may not publish: it is told the reason, and the connection closes. `description` is a sentence for the
    /// person at the encoder, at most 255 bytes; it must not say more than they may know. Without effect unless an
    /// [`Event::Publish`] waits for its answer.
    pub fn reject_publish(&mut self, rejection: Rejection, description: &str) {
        if let State::Decision { stream, .. } = self.state {
            self.refuse(stream, rejection.codes(), description);
        }
    }

    /// Ends a running broadcast: the encoder is told the reason, and the connection closes. `description` as for
    /// [`Session::reject_publish`]. Without effect unless something is being published.
    pub fn stop(&mut self, rejection: Rejection, description: &str) {
        if let State::Publishing { stream } = self.state {
            self.refuse(stream, rejection.codes(), description);
        }
    }

    fn process(&mut self, mut input: &[u8]) -> Result<(), SessionError> {
        if let State::Handshake(handshake) = &mut self.state {
            match handshake.feed(&mut input, &self.random, &mut self.out) {
                Err(found) => return Err(SessionError::NotRtmp { found }),
                Ok(Progress::NeedMore) => return Ok(()),
                Ok(Progress::Done) => self.state = State::Connect,
            }
        }
        loop {
            match &mut self.state {
                State::Closing => return Ok(()),
                State::Decision { early, .. } => {
                    let bytes_max = self.limits.before_publish_bytes_max;
                    if early.len() + input.len() + self.reader.unfinished_bytes() > bytes_max {
                        return Err(SessionError::TooEarly { bytes_max });
                    }
                    early.extend_from_slice(input);
                    return Ok(());
                }
                _ => {}
            }
            let Some(message) = self.reader.read(&mut input)? else { return Ok(()) };
            self.receive(message)?;
            self.acknowledge();
        }
    }

    fn acknowledge(&mut self) {
        let consumed = self.reader.consumed();
        if consumed - self.acknowledged >= u64::from(self.window_bytes) {
            self.acknowledged = consumed;
            // The counter of the protocol has 32 bits and wraps.
            self.send_control(message::ACKNOWLEDGEMENT, &(consumed as u32).to_be_bytes());
        }
    }

    fn receive(&mut self, message: Message) -> Result<(), SessionError> {
        match message.kind {
            message::SET_CHUNK_SIZE => {
                let bytes = message.number().ok_or(SessionError::Unexpected("chunk size message"))?;
                self.reader.set_chunk_size(bytes)?;
            }
            message::ABORT => {
                let id = message.number().ok_or(SessionError::Unexpected("abort message"))?;
                self.reader.abort(id);
            }
            message::WINDOW_ACK_SIZE => {
                if let Some(bytes) = message.number() {
                    self.window_bytes = bytes.clamp(WINDOW_BYTES_MIN, WINDOW_BYTES);
                }
            }
            message::USER_CONTROL => self.user_control(&message.payload),
            message::COMMAND_AMF0 | message::COMMAND_AMF3 => {
                match Command::parse(&message.amf()) {
                    Ok(Some(command)) => self.command(&command, message.stream)?,
                    Ok(None) => {}
                    // On air a strange command is not worth a broadcast.
                    Err(_) if self.phase() == Phase::Publishing => {}
                    Err(error) => return Err(SessionError::Command(error)),
                }
            }
            message::AUDIO | message::VIDEO | message::DATA_AMF0 | message::DATA_AMF3 | message::AGGREGATE => {
                self.media(message);
            }
            // Acknowledgements, bandwidth, shared objects, and whatever may come.
            _ => {}
        }
        Ok(())
    }

    fn user_control(&mut self, payload: &[u8]) {
        if let Some((event, rest)) = payload.split_first_chunk::<2>()
            && u16::from_be_bytes(*event) == message::EVENT_PING_REQUEST
            && let Some(time) = rest.first_chunk::<4>()
        {
            self.send_user_control(message::EVENT_PING_RESPONSE, u32::from_be_bytes(*time));
        }
    }

    fn command(&mut self, command: &Command, stream: u32) -> Result<(), SessionError> {
        if command.name == "connect" {
            return self.connect(command);
        }
        if matches!(self.state, State::Connect) {
            return Err(SessionError::Unexpected("command before connect"));
        }
        match &*command.name {
            "createStream" => self.create_stream(command.transaction),
            "publish" => self.publish(command, stream),
            "play" | "play2" => {
                let description = "This server takes broadcasts in. To watch, open the viewer link in a browser.";
                self.refuse(stream, &["NetStream.Play.Failed"], description);
            }
            "FCPublish" => {
                self.announced = true;
                self.send_result(command.transaction, None);
            }
            "FCUnpublish" => {
                self.unpublish();
                self.send_result(command.transaction, None);
            }
            "deleteStream" => {
                // Without a number: an encoder that means the only stream it has.
                let named = command.arguments.get(1).and_then(Value::as_number);
                if let State::Publishing { stream } = self.state
                    && named.is_none_or(|named| named == f64::from(stream))
                {
                    self.unpublish();
                }
            }
            "closeStream" => self.unpublish(),
            "getStreamLength" => self.send_result(command.transaction, Some(0.0)),
            "releaseStream" | "_checkbw" => self.send_result(command.transaction, None),
            // Answers to calls we never make, and whatever may come.
            _ => {}
        }
        Ok(())
    }

    fn connect(&mut self, command: &Command) -> Result<(), SessionError> {
        if !matches!(self.state, State::Connect) {
            return Err(SessionError::Unexpected("second connect"));
        }
        let object = command.arguments.first();
        let member = |name: &str| object.and_then(|object| object.member(name));
        let text = |name: &str| member(name).and_then(Value::as_str).unwrap_or_default().to_owned();
        self.connection = Connection {
            app: text("app"),
            tc_url: text("tcUrl"),
            encoder: text("flashVer"),
            enhanced: ["fourCcList", "videoFourCcInfoMap", "audioFourCcInfoMap", "capsEx"]
                .iter()
                .any(|name| member(name).is_some()),
        };
        // Before any answer, also a refusal: the answer is written in chunks of this size.
        self.send_control(message::WINDOW_ACK_SIZE, &WINDOW_BYTES.to_be_bytes());
        let mut bandwidth = WINDOW_BYTES.to_be_bytes().to_vec();
        bandwidth.push(2); // "dynamic": as strict as the last one, or not at all
        self.send_control(message::SET_PEER_BANDWIDTH, &bandwidth);
        self.send_control(message::SET_CHUNK_SIZE, &(CHUNK_SIZE_OUT as u32).to_be_bytes());
        let answer = amf0::Writer::new();
        if self.connection.app.contains("authmod=") || self.connection.tc_url.contains("authmod=") {
            // librtmp logs a description only when it contains the name of the mode; ffmpeg looks for it in the first
            // object, so nothing may stand before it.
            let description = "This server knows no user name and password (authmod=adobe). Switch authentication off \
                               in the encoder: the stream key is enough.";
            let answer = answer.string("_error").number(command.transaction).null();
            self.send_command(0, status(answer, "error", "NetConnection.Connect.Rejected", description));
            self.state = State::Closing;
            return Ok(());
        }
        let mut answer = answer.string("_result").number(command.transaction).object();
        answer = answer.name("fmsVer").string("FMS/3,0,1,123").name("capabilities").number(31.0);
        if self.connection.enhanced {
            answer = enhanced_capabilities(answer);
        }
        let encoding = member("objectEncoding").and_then(Value::as_number).unwrap_or(0.0);
        answer =
            answer.end().object().name("level").string("status").name("code").string("NetConnection.Connect.Success");
        answer = answer.name("description").string("Connected.").name("objectEncoding").number(encoding).end();
        self.send_command(0, answer);
        self.state = State::Publish;
        Ok(())
    }

    fn create_stream(&mut self, transaction: f64) {
        if self.streams < STREAMS_MAX {
            self.streams += 1;
            self.send_result(transaction, Some(f64::from(self.streams)));
        } else {
            let writer = amf0::Writer::new().string("_error").number(transaction).null();
            let writer = status(writer, "error", "NetConnection.Call.Failed", "Too many streams on one connection.");
            self.send_command(0, writer);
        }
    }

    fn publish(&mut self, command: &Command, stream: u32) {
        if !matches!(self.state, State::Publish) {
            let description = "This connection is publishing already.";
            self.send_status(stream, "onStatus", "error", "NetStream.Publish.BadName", description);
            return;
        }
        let name = command.text(1).unwrap_or_default();
        let Connection { app, tc_url, encoder, .. } = &self.connection;
        self.events.push_back(Event::Publish(PublishRequest::new(app, name, tc_url, encoder)));
        self.state = State::Decision { stream, early: Vec::new() };
    }

    fn unpublish(&mut self) {
        let State::Publishing { stream } = self.state else { return };
        self.send_status(stream, "onStatus", "status", "NetStream.Unpublish.Success", "The broadcast has ended.");
        self.events.push_back(Event::Unpublish);
        self.state = State::Publish;
        self.announced = false;
        self.since = self.now;
    }

    fn media(&mut self, message: Message) {
        let State::Publishing { stream } = self.state else { return };
        // Media of a second stream on this connection, whose publishing was refused. An encoder that numbers its only
        // stream differently from what it was told is let through.
        if message.stream != stream && (1..=self.streams).contains(&message.stream) {
            return;
        }
        match message.kind {
            message::AUDIO => self.tag(TagKind::Audio, message.timestamp_ms, message.payload),
            message::VIDEO => self.tag(TagKind::Video, message.timestamp_ms, message.payload),
            message::AGGREGATE => self.aggregate(message.timestamp_ms, message.payload),
            _ => self.tag(TagKind::Script, message.timestamp_ms, without_set_data_frame(message.amf())),
        }
    }

    fn tag(&mut self, kind: TagKind, timestamp_ms: u32, payload: Bytes) {
        // An empty audio message means silence, an empty video message nothing: neither is a tag.
        if !payload.is_empty() {
            self.events.push_back(Event::Tag(Tag { kind, timestamp_ms, payload }));
        }
    }

    /// FLV tags one after the other in one message. Their time stamps count from the first of them, which stands for
    /// the time of the message. What does not parse ends the message quietly: the rest of the broadcast is intact.
    fn aggregate(&mut self, timestamp_ms: u32, mut rest: Bytes) {
        const HEADER: usize = 11;
        const TRAILER: usize = 4;
        let mut first = None;
        while rest.len() >= HEADER {
            let length = usize::from(rest[1]) << 16 | usize::from(rest[2]) << 8 | usize::from(rest[3]);
            let time = u32::from_be_bytes([rest[7], rest[4], rest[5], rest[6]]);
            let kind = rest[0] & 0x1f;
            rest.advance(HEADER);
            if rest.len() < length {
                return;
            }
            let payload = rest.split_to(length);
            rest.advance(rest.len().min(TRAILER));
            let time = timestamp_ms.wrapping_add(time.wrapping_sub(*first.get_or_insert(time)));
            match kind {
                message::AUDIO => self.tag(TagKind::Audio, time, payload),
                message::VIDEO => self.tag(TagKind::Video, time, payload),
                message::DATA_AMF0 => self.tag(TagKind::Script, time, without_set_data_frame(payload)),
                _ => {}
            }
        }
    }

    fn refuse(&mut self, stream: u32, codes: &[&str], description: &str) {
        for code in codes {
            self.send_status(stream, "onStatus", "error", code, description);
        }
        self.state = State::Closing;
    }

    fn send_result(&mut self, transaction: f64, number: Option<f64>) {
        // Zero says that no answer is expected.
        if transaction != 0.0 {
            let writer = amf0::Writer::new().string("_result").number(transaction).null();
            let writer = match number {
                Some(number) => writer.number(number),
                None => writer.null(),
            };
            self.send_command(0, writer);
        }
    }

    fn send_status(&mut self, stream: u32, name: &str, level: &str, code: &str, description: &str) {
        let writer = amf0::Writer::new().string(name).number(0.0).null();
        self.send_command(stream, status(writer, level, code, super::clip(description, DESCRIPTION_BYTES_MAX)));
    }

    fn send_command(&mut self, stream: u32, writer: amf0::Writer) {
        let payload = writer.into_bytes().into();
        let message = Message { kind: message::COMMAND_AMF0, stream, timestamp_ms: 0, payload };
        chunk::write(&mut self.out, CHUNK_STREAM_COMMAND, &message, CHUNK_SIZE_OUT);
    }

    fn send_user_control(&mut self, event: u16, value: u32) {
        let mut payload = event.to_be_bytes().to_vec();
        payload.extend_from_slice(&value.to_be_bytes());
        self.send_control(message::USER_CONTROL, &payload);
    }

    fn send_control(&mut self, kind: u8, payload: &[u8]) {
        // Shorter than the chunk size that both sides start with, so it may come before ours is announced.
        chunk::write(&mut self.out, CHUNK_STREAM_CONTROL, &chunk::control(kind, payload), CHUNK_SIZE_OUT);
    }
}

/// The members that answer an Enhanced RTMP `connect`. We forward (4) these codecs; of the extended capabilities we
/// parse ModEx (4), and take one track where there are many.
fn enhanced_capabilities(writer: amf0::Writer) -> amf0::Writer {
    const CAN_FORWARD: f64 = 4.0;
    const CAPS_MOD_EX: f64 = 4.0;
    const VIDEO: [&str; 3] = ["avc1", "hvc1", "av01"];
    const AUDIO: [&str; 2] = ["mp4a", "Opus"];
    let map = |writer: amf0::Writer, name: &str, codecs: &[&str]| {
        let writer = writer.name(name).object();
        codecs.iter().fold(writer, |writer, codec| writer.name(codec).number(CAN_FORWARD)).end()
    };
    let writer = writer.name("fourCcList").strings(&[VIDEO.as_slice(), &AUDIO].concat());
    let writer = map(writer, "videoFourCcInfoMap", &VIDEO);
    let writer = map(writer, "audioFourCcInfoMap", &AUDIO);
    writer.name("capsEx").number(CAPS_MOD_EX)
}

fn status(writer: amf0::Writer, level: &str, code: &str, description: &str) -> amf0::Writer {
    let writer = writer.object().name("level").string(level).name("code").string(code);
    writer.name("description").string(description).end()
}

/// RTMP wraps metadata in a call of `@setDataFrame`; in an FLV tag the name of the data comes first.
fn without_set_data_frame(mut payload: Bytes) -> Bytes {
    const CALL: &[u8] = b"\x02\x00\x0d@setDataFrame";
    if payload.starts_with(CALL) {
        payload.advance(CALL.len());
    }
    payload
}
