//! HLS over HTTP: from a path to shared bytes.
//!
//! # Source
//! HTTP Live Streaming 2nd Edition, draft-pantos-hls-rfc8216bis-22, section 6.2 (server responsibilities).

use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{
    ACCEPT_ENCODING, ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_MAX_AGE, ALLOW, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_TYPE, RETRY_AFTER, USER_AGENT, VARY,
    X_CONTENT_TYPE_OPTIONS,
};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Response, StatusCode, Uri};
use metrics::Counter;
use stagedoor_domain::access::Denied;
use stagedoor_domain::id::StreamId;
use stagedoor_media::Kind;
use stagedoor_media::package::hls::{Directives, Verdict};
use stagedoor_media::package::{Edge, Stored};

use super::{Media, licence};
use crate::access::{Access, NoKey, Seat};
use crate::live::{Channel, Hub, Rendition, State, Text};

/// A playlist request waits at most three target durations for its part.
const BLOCKED_MAX: Duration = Duration::from_secs(12);

/// A broadcast that has begun has its first part within this time, unless its encoder sends no keyframe.
const FIRST_PART_MAX: Duration = Duration::from_secs(5);

/// The answer to every request without the right to watch, whatever the reason.
const REFUSED: &[u8] = br#"{"type":"about:blank","title":"Forbidden","status":403,"code":"playback_refused","detail":"This playback link is not valid, or no longer valid. Open the event page and enter your code again."}"#;

/// Whether tokens are checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenCheck {
    /// At every request: the only way to run.
    EveryRequest,
    /// Never: everyone who knows a stream's id may watch. For measuring what the check costs.
    DangerSkipped,
}

/// Answers media requests.
pub struct Deliver {
    access: Arc<Access>,
    hub: Arc<Hub>,
    check: TokenCheck,
    counters: Counters,
}

struct Counters {
    playlists: Counter,
    parts: Counter,
    segments: Counter,
    keys: Counter,
    keys_refused: Counter,
    authorizations: Counter,
    refused: Counter,
    bytes: Counter,
}

impl Deliver {
    /// Serves what `hub` has to those whom `access` admits.
    #[must_use]
    pub fn new(access: Arc<Access>, hub: Arc<Hub>, check: TokenCheck) -> Self {
        let requests = |kind: &'static str| metrics::counter!("deliver_requests_total", "kind" => kind);
        let counters = Counters {
            playlists: requests("playlist"),
            parts: requests("part"),
            segments: requests("segment"),
            keys: requests("key"),
            keys_refused: metrics::counter!("deliver_keys_refused_total"),
            authorizations: requests("authorization"),
            refused: metrics::counter!("deliver_refused_total"),
            bytes: metrics::counter!("deliver_bytes_total"),
        };
        Self { access, hub, check, counters }
    }

    /// The answer to `method uri`; `uri` starts with `/live/`.
    ///
    /// A playlist or a hinted part that does not exist yet is waited for, at most [`BLOCKED_MAX`].
    pub async fn respond(&self, method: &Method, uri: &Uri, headers: &HeaderMap) -> Response<Media> {
        match *method {
            Method::GET | Method::HEAD => {}
            Method::OPTIONS => return preflight(),
            _ => return method_not_allowed(),
        }
        let Some(target) = Target::parse(uri.path()) else { return self.refused() };
        if let Resource::Key(first_msn) = target.resource {
            return self.key(&target, first_msn);
        }
        // Every request, on its own, before anything is looked up.
        let Some((stream, seat)) = self.admit(&target) else { return self.refused() };
        let Some(channel) = self.hub.channel(stream) else { return not_started() };
        // What is weighed against the stream is the stream: a player without compression fetches more playlist than sound.
        let weighed = *method == Method::GET && target.resource.is_media();
        let response = self.resource(&channel, target.resource, uri.query(), headers).await;
        self.counters.bytes.increment(response.body().bytes());
        let Some(seat) = seat else { return response };
        self.access.shows_agent(&seat, headers.get(USER_AGENT).map(HeaderValue::as_bytes).unwrap_or_default());
        if weighed { response.map(|body| body.weighed_for(seat)) } else { response }
    }

    /// The 16 bytes of a key, to those who may have it at this moment.
    ///
    /// A key that does not exist is refused like one that somebody may not have, in every byte.
    fn key(&self, target: &Target<'_>, first_msn: u64) -> Response<Media> {
        self.counters.keys.increment(1);
        let key = self
            .access
            .read_key(target.token, target.stream)
            .map_err(NoKey::Refused)
            .and_then(|allowed| self.access.content_key(&allowed, first_msn));
        match key {
            Ok(key) => secret(Bytes::copy_from_slice(key.expose()), "application/octet-stream"),
            Err(reason) => self.no_key(reason),
        }
    }

    /// The answer to a request for a licence: `body` is at most [`REQUEST_BYTES_MAX`] long; `uri` is one of
    /// [`is_licence`].
    #[must_use]
    pub fn licence(&self, uri: &Uri, body: &[u8]) -> Response<Media> {
        self.counters.keys.increment(1);
        let Some(Target { token, stream, resource: Resource::Licence }) = Target::parse(uri.path()) else {
            return self.refused();
        };
        let keys = self.access.read_key(token, stream).map_err(NoKey::Refused).and_then(|allowed| {
            let wanted = licence::wanted(body).ok_or(NoKey::Refused(Denied::Unknown))?;
            wanted.iter().map(|id| self.access.content_key_called(&allowed, id)).collect::<Result<Vec<_>, _>>()
        });
        match keys {
            Ok(keys) => secret(licence::licence(&keys), "application/json"),
            Err(reason) => self.no_key(reason),
        }
    }

    fn no_key(&self, reason: NoKey) -> Response<Media> {
        self.counters.keys_refused.increment(1);
        match reason {
            NoKey::Refused(denied) => {
                tracing::debug!(reason = denied.as_str(), "a key was refused");
                self.refused()
            }
            NoKey::TooMany => too_many(),
        }
    }

    /// Whether a request for `path`, which begins with `/live/`, would be let in: what a cache in front asks before it hands
    /// out what it has. No body, no database; the same check as for the media itself, and a sign of life of the viewer.
    #[must_use]
    pub fn authorize(&self, method: &Method, path: &str) -> Response<Media> {
        if !matches!(*method, Method::GET | Method::HEAD) {
            return method_not_allowed();
        }
        self.counters.authorizations.increment(1);
        let admitted = Target::parse(path).is_some_and(|target| self.admit(&target).is_some());
        let mut response = Response::new(Media::empty());
        *response.status_mut() = if admitted { StatusCode::NO_CONTENT } else { StatusCode::FORBIDDEN };
        if !admitted {
            self.counters.refused.increment(1);
        }
        response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        response
    }

    /// The stream, and who watches it.
    fn admit(&self, target: &Target<'_>) -> Option<(StreamId, Option<Arc<Seat>>)> {
        match self.check {
            TokenCheck::EveryRequest => {
                let (allowed, seat) = self.access.watching(target.token, target.stream).ok()?;
                Some((allowed.stream, seat))
            }
            TokenCheck::DangerSkipped => Some((target.stream.parse().ok()?, None)),
        }
    }

    async fn resource(
        &self,
        channel: &Channel,
        resource: Resource,
        query: Option<&str>,
        headers: &HeaderMap,
    ) -> Response<Media> {
        match resource {
            Resource::Multivariant => {
                self.counters.playlists.increment(1);
                match multivariant(channel).await {
                    Some(text) => playlist(&text, headers, "max-age=1"),
                    None => not_started(),
                }
            }
            Resource::Playlist(kind) => {
                self.counters.playlists.increment(1);
                let Some(rendition) = channel.rendition(kind) else { return not_found() };
                media_playlist(&rendition, query.unwrap_or(""), headers).await
            }
            Resource::Init(kind, id, key) => {
                self.counters.segments.increment(1);
                let Some(rendition) = channel.rendition(kind) else { return not_found() };
                let bytes = match key {
                    None => rendition.init(id),
                    Some(first_msn) => {
                        let key = self.access.named_content_key(channel.stream(), first_msn);
                        key.and_then(|key| rendition.sealed_init(id, &key))
                    }
                };
                match bytes {
                    Some(bytes) => media(kind, bytes.into()),
                    None => not_found(),
                }
            }
            Resource::Segment(kind, msn) => {
                self.counters.segments.increment(1);
                let Some(rendition) = channel.rendition(kind) else { return not_found() };
                match rendition.segment(msn) {
                    Some(Stored::Memory(parts)) => media(kind, Media::chain(parts)),
                    Some(Stored::Spilled { .. }) => match self.hub.spilled(channel.stream(), kind, msn).await {
                        Some(bytes) => media(kind, bytes.into()),
                        None => not_found(),
                    },
                    None => not_found(),
                }
            }
            Resource::Part(kind, msn, index) => {
                self.counters.parts.increment(1);
                let Some(rendition) = channel.rendition(kind) else { return not_found() };
                match part(&rendition, msn, index).await {
                    Some(bytes) => media(kind, bytes.into()),
                    None => not_found(),
                }
            }
            // Keys were answered above, and a licence is asked for with a body.
            Resource::Key(_) | Resource::Licence | Resource::Unknown => not_found(),
        }
    }

    fn refused(&self) -> Response<Media> {
        self.counters.refused.increment(1);
        let mut response = problem(StatusCode::FORBIDDEN, REFUSED);
        response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        response
    }
}

/// A path taken apart; the token is not checked yet.
struct Target<'a> {
    token: &'a str,
    stream: &'a str,
    resource: Resource,
}

#[derive(Debug, PartialEq, Eq)]
enum Resource {
    Multivariant,
    Playlist(Kind),
    /// A header; with the number of the key that it is encrypted with.
    Init(Kind, u32, Option<u64>),
    Segment(Kind, u64),
    Part(Kind, u64, u32),
    Key(u64),
    Licence,
    /// Names nothing we have; told only to those who may watch.
    Unknown,
}

impl<'a> Target<'a> {
    /// `/live/{token}/{stream}/{resource}`.
    fn parse(path: &'a str) -> Option<Self> {
        let (token, rest) = path.strip_prefix("/live/")?.split_once('/')?;
        let (stream, resource) = rest.split_once('/')?;
        Some(Self { token, stream, resource: Resource::parse(resource) })
    }
}

impl Resource {
    /// Whether it is a piece of the stream itself.
    fn is_media(&self) -> bool {
        matches!(self, Self::Init(..) | Self::Segment(..) | Self::Part(..))
    }

    fn parse(path: &str) -> Self {
        if path == "index.m3u8" {
            return Self::Multivariant;
        }
        if path == "licence" {
            return Self::Licence;
        }
        if let Some(first_msn) = path.strip_prefix("key/") {
            return number(first_msn).map_or(Self::Unknown, Self::Key);
        }
        let Some((kind, name)) = path.split_once('/') else { return Self::Unknown };
        let kind = match kind {
            "video" => Kind::Video,
            "audio" => Kind::Audio,
            _ => return Self::Unknown,
        };
        if name == "index.m3u8" {
            return Self::Playlist(kind);
        }
        if let Some(id) = name.strip_prefix("init.").and_then(|name| name.strip_suffix(".mp4")) {
            return match id.split_once('.') {
                None => number(id).map_or(Self::Unknown, |id| Self::Init(kind, id, None)),
                Some((id, key)) => match (number(id), number(key)) {
                    (Some(id), Some(key)) => Self::Init(kind, id, Some(key)),
                    _ => Self::Unknown,
                },
            };
        }
        let Some(name) = name.strip_suffix(".m4s") else { return Self::Unknown };
        match name.split_once('.') {
            None => number(name).map_or(Self::Unknown, |msn| Self::Segment(kind, msn)),
            Some((msn, index)) => match (number(msn), number(index)) {
                (Some(msn), Some(index)) => Self::Part(kind, msn, index),
                _ => Self::Unknown,
            },
        }
    }
}

/// One spelling per number: digits only, no sign, no leading zero, so that a cache holds one copy.
fn number<T: FromStr>(text: &str) -> Option<T> {
    let canonical = text == "0" || !text.starts_with('0');
    (canonical && text.bytes().all(|byte| byte.is_ascii_digit())).then(|| text.parse().ok())?
}

/// The multivariant playlist. Whoever comes in the moment between a publisher and its first part waits for it.
async fn multivariant(channel: &Channel) -> Option<Text> {
    if let Some(text) = channel.multivariant() {
        return Some(text);
    }
    if channel.status().borrow().state != State::Live {
        return None;
    }
    tokio::time::timeout(FIRST_PART_MAX, channel.first_multivariant()).await.ok().flatten()
}

async fn media_playlist(rendition: &Rendition, query: &str, headers: &HeaderMap) -> Response<Media> {
    let Ok(directives) = Directives::parse(query) else {
        return problem(
            StatusCode::BAD_REQUEST,
            br#"{"type":"about:blank","title":"Bad Request","status":400,"code":"bad_directive","detail":"_HLS_msn and _HLS_part are numbers, and _HLS_part needs _HLS_msn."}"#,
        );
    };
    let mut current = rendition.playlist();
    let follow = async {
        loop {
            match current.snapshot().verdict(&directives) {
                Verdict::Ready => return Ok(current),
                Verdict::TooFar => return Err(TooFar),
                Verdict::Wait { until } => rendition.passed(until).await,
            }
            current = rendition.playlist();
        }
    };
    match tokio::time::timeout(BLOCKED_MAX, follow).await {
        Ok(Ok(current)) => {
            let cache = if directives.msn.is_some() { "max-age=24" } else { "max-age=1" };
            playlist(current.text(directives.form()), headers, cache)
        }
        Ok(Err(TooFar)) => problem(
            StatusCode::BAD_REQUEST,
            br#"{"type":"about:blank","title":"Bad Request","status":400,"code":"too_far_ahead","detail":"The playlist asked for is further ahead than the live edge allows."}"#,
        ),
        Err(_elapsed) => unavailable(),
    }
}

struct TooFar;

/// The bytes of a part; one that is due next is waited for, any other that is absent is not.
async fn part(rendition: &Rendition, msn: u64, index: u32) -> Option<Bytes> {
    if let Some(bytes) = rendition.part(msn, index) {
        return Some(bytes);
    }
    let wanted = Edge { msn, part: index };
    if rendition.edge() != wanted {
        return None;
    }
    tokio::time::timeout(BLOCKED_MAX, rendition.passed(wanted)).await.ok()?;
    rendition.part(msn, index)
}

/// A playlist answer in the encoding the client takes.
fn playlist(text: &Text, request: &HeaderMap, cache: &'static str) -> Response<Media> {
    let gzip = request
        .get(ACCEPT_ENCODING)
        .and_then(|value| value.to_str().ok())
        .is_some_and(|value| value.split(',').any(accepts_gzip));
    let mut response = Response::new(Media::from(if gzip { text.gzip.clone() } else { text.plain.clone() }));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/vnd.apple.mpegurl"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static(cache));
    headers.insert(VARY, HeaderValue::from_static("accept-encoding"));
    anywhere(headers);
    if gzip {
        headers.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    }
    response
}

/// `gzip`, `x-gzip` or `*`, unless refused by a weight of zero.
fn accepts_gzip(coding: &str) -> bool {
    let mut fields = coding.split(';').map(str::trim);
    let name = fields.next().unwrap_or("");
    let refused = fields.any(|field| matches!(field, "q=0" | "q=0.0" | "q=0.00" | "q=0.000"));
    matches!(name, "gzip" | "x-gzip" | "*") && !refused
}

/// Media never changes under its name.
fn media(kind: Kind, body: Media) -> Response<Media> {
    let mut response = Response::new(body);
    let headers = response.headers_mut();
    let content_type = match kind {
        Kind::Video => "video/mp4",
        Kind::Audio => "audio/mp4",
    };
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("max-age=3600, immutable"));
    anywhere(headers);
    response
}

/// Bytes for one viewer at one moment: nobody keeps them on the way.
fn secret(bytes: Bytes, content_type: &'static str) -> Response<Media> {
    let mut response = Response::new(Media::from(bytes));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    anywhere(headers);
    response
}

/// Whether a request is for a licence: it has a body, which is to be read before [`Deliver::licence`] answers.
#[must_use]
pub fn is_licence(method: &Method, uri: &Uri) -> bool {
    *method == Method::POST && uri.path().ends_with("/licence")
}

/// Media plays on any page whose viewer has the address, and is never anything but media.
fn anywhere(headers: &mut HeaderMap) {
    headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
    headers.insert(CROSS_ORIGIN_RESOURCE_POLICY, HeaderValue::from_static("cross-origin"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
}

const CROSS_ORIGIN_RESOURCE_POLICY: HeaderName = HeaderName::from_static("cross-origin-resource-policy");

fn problem(status: StatusCode, body: &'static [u8]) -> Response<Media> {
    let mut response = Response::new(Media::from(Bytes::from_static(body)));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
    // A part that is not there yet will be there in a moment.
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    anywhere(headers);
    response
}

fn not_found() -> Response<Media> {
    problem(
        StatusCode::NOT_FOUND,
        br#"{"type":"about:blank","title":"Not Found","status":404,"code":"not_found","detail":"There is nothing here, or not any more."}"#,
    )
}

fn not_started() -> Response<Media> {
    let mut response = problem(
        StatusCode::NOT_FOUND,
        br#"{"type":"about:blank","title":"Not Found","status":404,"code":"not_started","detail":"This broadcast has not started yet."}"#,
    );
    response.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("2"));
    response
}

fn too_many() -> Response<Media> {
    let mut response = problem(
        StatusCode::TOO_MANY_REQUESTS,
        br#"{"type":"about:blank","title":"Too Many Requests","status":429,"code":"too_many_requests","detail":"This visit asks for keys faster than any player needs them."}"#,
    );
    response.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("10"));
    response
}

fn unavailable() -> Response<Media> {
    let mut response = problem(
        StatusCode::SERVICE_UNAVAILABLE,
        br#"{"type":"about:blank","title":"Service Unavailable","status":503,"code":"not_in_time","detail":"The part that was asked for did not arrive in time."}"#,
    );
    response.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("1"));
    response
}

fn preflight() -> Response<Media> {
    let mut response = Response::new(Media::empty());
    *response.status_mut() = StatusCode::NO_CONTENT;
    let headers = response.headers_mut();
    headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
    headers.insert(ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static("GET, HEAD, POST, OPTIONS"));
    headers.insert(ACCESS_CONTROL_ALLOW_HEADERS, HeaderValue::from_static("*"));
    headers.insert(ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static("86400"));
    response
}

fn method_not_allowed() -> Response<Media> {
    let mut response = problem(
        StatusCode::METHOD_NOT_ALLOWED,
        br#"{"type":"about:blank","title":"Method Not Allowed","status":405,"code":"method_not_allowed","detail":"Media is read with GET or HEAD."}"#,
    );
    response.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD, OPTIONS"));
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_names_one_resource() {
        assert_eq!(Resource::parse("index.m3u8"), Resource::Multivariant);
        assert_eq!(Resource::parse("audio/index.m3u8"), Resource::Playlist(Kind::Audio));
        assert_eq!(Resource::parse("video/init.3.mp4"), Resource::Init(Kind::Video, 3, None));
        assert_eq!(Resource::parse("audio/init.3.812.mp4"), Resource::Init(Kind::Audio, 3, Some(812)));
        assert_eq!(Resource::parse("video/812.m4s"), Resource::Segment(Kind::Video, 812));
        assert_eq!(Resource::parse("video/812.3.m4s"), Resource::Part(Kind::Video, 812, 3));
        assert_eq!(Resource::parse("key/812"), Resource::Key(812));
        assert_eq!(Resource::parse("licence"), Resource::Licence);
    }

    #[test]
    fn other_spellings_of_a_name_are_not_that_name() {
        for path in [
            "",
            "/",
            "video",
            "video/",
            "VIDEO/1.m4s",
            "video/01.m4s",
            "video/+1.m4s",
            "video/-1.m4s",
            "video/1.m4s/",
            "video/1.2.3.m4s",
            "video/1..m4s",
            "video/.1.m4s",
            "video//1.m4s",
            "../video/1.m4s",
            "video/%31.m4s",
            "video/18446744073709551616.m4s",
            "video/init..mp4",
            "video/init.3..mp4",
            "video/init.3.01.mp4",
            "video/init.3.8.1.mp4",
            "video/1.m4s\0",
            "video/ 1.m4s",
            "key/",
            "key/01",
            "key/1/",
            "key/1.bin/x.css",
            "video/key/1",
            "licence/",
        ] {
            assert_eq!(Resource::parse(path), Resource::Unknown, "{path:?}");
        }
    }

    #[test]
    fn gzip_is_sent_only_to_those_who_take_it() {
        for (value, expected) in [
            ("gzip, deflate, br", true),
            ("br;q=1.0, gzip;q=0.5", true),
            ("*", true),
            ("identity", false),
            ("gzip;q=0", false),
            ("", false),
        ] {
            let accepted = value.split(',').any(accepts_gzip);
            assert_eq!(accepted, expected, "{value:?}");
        }
    }
}
