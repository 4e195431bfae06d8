//! An encoder made of bytes, and the session it talks to.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use stagedoor_media::container::flv::Tag;
use stagedoor_media::rtmp::amf0::{Reader, Value, Writer};
use stagedoor_media::rtmp::{
    Event, Limits, Message, Output, PublishRequest, RANDOM_BYTES, Session, SessionError, chunk,
};

pub const AUDIO: u8 = 8;
pub const VIDEO: u8 = 9;
pub const DATA: u8 = 18;
pub const COMMAND: u8 = 20;

pub fn at(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// C0 and C1, then C2.
pub fn handshake() -> Vec<u8> {
    let mut bytes = vec![3];
    bytes.extend((0..RANDOM_BYTES * 2).map(|n| n as u8));
    bytes
}

pub fn message(kind: u8, stream: u32, timestamp_ms: u32, payload: impl Into<Bytes>) -> Message {
    Message { kind, stream, timestamp_ms, payload: payload.into() }
}

/// In chunks of the size that connections start with.
pub fn chunked(chunk_stream: u8, message: &Message) -> Vec<u8> {
    let mut out = BytesMut::new();
    chunk::write(&mut out, chunk_stream, message, 128);
    out.to_vec()
}

pub fn command(stream: u32, writer: Writer) -> Vec<u8> {
    chunked(3, &message(COMMAND, stream, 0, writer.into_bytes()))
}

pub fn connect(app: &str, tc_url: &str) -> Vec<u8> {
    let writer = Writer::new().string("connect").number(1.0).object();
    let writer = writer.name("app").string(app).name("flashVer").string("FMLE/3.0").name("tcUrl").string(tc_url);
    command(0, writer.end())
}

pub fn call(name: &str, transaction: f64, argument: &str) -> Vec<u8> {
    command(0, Writer::new().string(name).number(transaction).null().string(argument))
}

pub fn create_stream(transaction: f64) -> Vec<u8> {
    command(0, Writer::new().string("createStream").number(transaction).null())
}

pub fn publish(stream: u32, name: &str) -> Vec<u8> {
    command(stream, Writer::new().string("publish").number(5.0).null().string(name).string("live"))
}

pub fn delete_stream(stream: u32) -> Vec<u8> {
    command(0, Writer::new().string("deleteStream").number(6.0).null().number(f64::from(stream)))
}

/// Everything an encoder sends up to and including `publish`.
pub fn opening(app: &str, name: &str) -> Vec<u8> {
    [
        handshake(),
        connect(app, &format!("rtmp://host/{app}")),
        call("releaseStream", 2.0, name),
        call("FCPublish", 3.0, name),
        create_stream(4.0),
        publish(1, name),
    ]
    .concat()
}

/// A session and everything it has output.
pub struct Server {
    pub session: Session,
    pub sent: Vec<u8>,
    pub events: Vec<Event>,
    pub closed: bool,
}

impl Server {
    pub fn new() -> Self {
        Self::with(Limits::default())
    }

    pub fn with(limits: Limits) -> Self {
        let session = Session::new(limits, [0xaa; RANDOM_BYTES], at(0));
        Self { session, sent: Vec::new(), events: Vec::new(), closed: false }
    }

    /// A session that has accepted a publisher, with its events taken.
    pub fn on_air() -> Self {
        let mut server = Self::new();
        server.feed(&opening("live", "KEY")).unwrap();
        server.session.accept_publish(at(0));
        server.drain();
        server.events.clear();
        server
    }

    pub fn feed(&mut self, bytes: &[u8]) -> Result<(), SessionError> {
        self.feed_at(bytes, at(0))
    }

    pub fn feed_at(&mut self, bytes: &[u8], now: Duration) -> Result<(), SessionError> {
        let result = self.session.feed(bytes, now);
        self.drain();
        result
    }

    pub fn drain(&mut self) {
        while let Some(output) = self.session.poll() {
            match output {
                Output::Send(bytes) => self.sent.extend_from_slice(&bytes),
                Output::Event(event) => self.events.push(event),
                Output::Close => self.closed = true,
            }
        }
    }

    pub fn request(&self) -> &PublishRequest {
        self.events
            .iter()
            .find_map(|event| if let Event::Publish(request) = event { Some(request) } else { None })
            .expect("a publish event")
    }

    pub fn tags(&self) -> Vec<Tag> {
        self.events
            .iter()
            .filter_map(|event| if let Event::Tag(tag) = event { Some(tag.clone()) } else { None })
            .collect()
    }

    /// The messages sent after the handshake.
    pub fn messages(&self) -> Vec<Message> {
        let mut reader = chunk::Reader::new(chunk::Limits { message_bytes_max: 1 << 20, streams_max: 64 });
        let mut rest = &self.sent[1 + 2 * RANDOM_BYTES..];
        let mut messages = Vec::new();
        while let Some(message) = reader.read(&mut rest).unwrap() {
            if message.kind == 1 {
                reader.set_chunk_size(u32::from_be_bytes(message.payload[..].try_into().unwrap())).unwrap();
            }
            messages.push(message);
        }
        assert!(rest.is_empty() && reader.unfinished_bytes() == 0, "an encoder reads every answer to its end");
        messages
    }

    /// The commands sent, decoded.
    pub fn commands(&self) -> Vec<Vec<Value>> {
        self.messages()
            .iter()
            .filter(|message| message.kind == COMMAND)
            .map(|message| values(&message.payload))
            .collect()
    }

    /// `level`, `code` and `description` of every status sent.
    pub fn statuses(&self) -> Vec<(String, String, String)> {
        let text = |value: &Value, name| value.member(name).and_then(Value::as_str).unwrap_or_default().to_owned();
        self.commands()
            .iter()
            .filter(|command| command[0].as_str() == Some("onStatus"))
            .map(|command| (text(&command[3], "level"), text(&command[3], "code"), text(&command[3], "description")))
            .collect()
    }

    pub fn codes(&self) -> Vec<String> {
        self.statuses().into_iter().map(|(_, code, _)| code).collect()
    }
}

pub fn values(bytes: &[u8]) -> Vec<Value> {
    let mut reader = Reader::new(bytes);
    let mut values = Vec::new();
    while let Some(value) = reader.value().unwrap() {
        values.push(value);
    }
    values
}
