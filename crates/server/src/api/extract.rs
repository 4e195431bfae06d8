//! What handlers are given: who asks, and what they sent, already understood.

use std::net::IpAddr;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::rejection::BytesRejection;
use axum::extract::{FromRequest, FromRequestParts, Request};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_TYPE, COOKIE, USER_AGENT};
use http::request::Parts;
use http::{HeaderMap, StatusCode, Uri};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer, Serialize};
use stagedoor_domain::access::{Action, Allowed};
use stagedoor_domain::agent::Agent;
use stagedoor_domain::id::EventId;
use utoipa::openapi::path::ParameterIn;
use utoipa::{IntoParams, ToSchema};

use super::problem::{FieldError, Problem};
use super::{Api, client};
use crate::access::{Arrival, Room, Seat, Who};

pub(super) const USER_COOKIE: &str = "stagedoor_user";
pub(super) const QUEUE_COOKIE: &str = "stagedoor_queue";
pub(super) const TAKEOVER_COOKIE: &str = "stagedoor_takeover";
pub(super) const VIEWER_COOKIE: &str = "stagedoor_viewer";
/// Says that this browser has signed in with a name before; sent to where one signs in and nowhere else.
pub(super) const FAMILIAR_COOKIE: &str = "stagedoor_familiar";
/// By which a browser is known when it comes back from the identity provider.
pub(super) const PROVIDER_COOKIE: &str = "stagedoor_provider";

/// Letters of a parameter that nobody knows, as they are repeated.
const NAME_SHOWN_CHARS: usize = 60;

/// The value of a cookie, if it was sent exactly once: of two, one was put there by somebody else.
pub(super) fn cookie<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    let mut values = headers
        .get_all(COOKIE)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(';'))
        .filter_map(|pair| pair.trim().split_once('='))
        .filter(|(key, _)| *key == name)
        .map(|(_, value)| value);
    let value = values.next()?;
    values.next().is_none().then_some(value)
}

/// A signed-in organiser.
#[derive(Debug)]
pub(super) struct Organiser(pub(super) Who);

impl Organiser {
    /// Asks the law.
    pub(super) fn may<A: Action>(&self, api: &Api, action: A) -> Result<Allowed<A>, Problem> {
        Ok(api.access.may(&self.0, action)?)
    }
}

impl FromRequestParts<Api> for Organiser {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, api: &Api) -> Result<Self, Problem> {
        let who = match shown(&parts.headers) {
            Shown::Token(token) => api.access.organiser_by_token(token).await?,
            Shown::Cookie(cookie) => api.access.organiser_by_cookie(cookie).await?,
            Shown::Nothing => None,
        };
        who.map(Self).ok_or_else(Problem::signed_out)
    }
}

/// What an organiser shows.
enum Shown<'a> {
    Token(&'a str),
    Cookie(&'a str),
    Nothing,
}

fn shown(headers: &HeaderMap) -> Shown<'_> {
    // A header that somebody set on purpose is meant, also when there is a cookie.
    match headers.get(AUTHORIZATION) {
        Some(header) => match header.to_str().ok().and_then(|value| value.strip_prefix("Bearer ")) {
            Some(token) => Shown::Token(token.trim()),
            None => Shown::Nothing,
        },
        None => cookie(headers, USER_COOKIE).map_or(Shown::Nothing, Shown::Cookie),
    }
}

/// An organiser who sends viewers out: while the database is away, as they were when it last answered. What they do then
/// is asked of the law all the same.
pub(super) struct Steward(pub(super) Organiser);

/// How long a database may take to say who somebody is when that is known from before.
const STEWARD_WAITS: Duration = Duration::from_secs(2);

impl FromRequestParts<Api> for Steward {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, api: &Api) -> Result<Self, Problem> {
        let known = match shown(&parts.headers) {
            Shown::Token(token) => api.access.organiser_remembered_by_token(token),
            Shown::Cookie(cookie) => api.access.organiser_remembered_by_cookie(cookie),
            Shown::Nothing => None,
        };
        let asked = Organiser::from_request_parts(parts, api);
        let Some(known) = known else { return asked.await.map(Self) };
        match tokio::time::timeout(STEWARD_WAITS, asked).await {
            Ok(Err(problem)) if problem.passes() => Ok(Self(Organiser(known))),
            Ok(asked) => asked.map(Self),
            Err(_elapsed) => Ok(Self(Organiser(known))),
        }
    }
}

/// A path parameter. What is malformed cannot exist: the answer is the same as for what does not.
#[derive(Debug)]
pub(super) struct Path<T>(pub(super) T);

impl<T: DeserializeOwned + Send, S: Send + Sync> FromRequestParts<S> for Path<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let path = axum::extract::Path::<T>::from_request_parts(parts, state).await;
        path.map(|axum::extract::Path(value)| Self(value)).map_err(|_| Problem::not_found())
    }
}

/// The room of the event in the path.
pub(super) fn room(api: &Api, event: EventId) -> Result<Arc<Room>, Problem> {
    api.access.room(event).ok_or_else(Problem::not_found)
}

/// A viewer with an active session in the event of the path.
pub(super) struct Viewer(pub(super) Arc<Seat>);

impl FromRequestParts<Api> for Viewer {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, api: &Api) -> Result<Self, Problem> {
        #[derive(Deserialize)]
        struct Of {
            event: EventId,
        }
        let Path(Of { event }) = Path::<Of>::from_request_parts(parts, api).await?;
        let nobody = || Problem::new(StatusCode::UNAUTHORIZED, "no_session", "Enter your code first.");
        let cookie = cookie(&parts.headers, VIEWER_COOKIE).ok_or_else(nobody)?;
        if let Some(seat) = api.access.seat(event, cookie) {
            return Ok(Self(seat));
        }
        match api.access.why_ended(event, cookie).await? {
            None => Err(nobody()),
            Some(_) => Err(Problem::new(StatusCode::UNAUTHORIZED, "access_ended", "Your access has ended.")),
        }
    }
}

/// The address that limits count by.
pub(super) struct Address(pub(super) IpAddr);

impl FromRequestParts<Api> for Address {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, api: &Api) -> Result<Self, Problem> {
        client::address(parts, &api.config).map(Self).ok_or_else(Problem::internal)
    }
}

/// Where somebody signs in: the address that limits count by, and their browser in words.
pub(super) struct Arriving {
    address: IpAddr,
    device: String,
    familiar: Option<String>,
}

impl Arriving {
    pub(super) fn arrival(&self) -> Arrival<'_> {
        Arrival { address: self.address, device: &self.device, familiar: self.familiar.as_deref() }
    }
}

impl FromRequestParts<Api> for Arriving {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, api: &Api) -> Result<Self, Problem> {
        let address = client::address(parts, &api.config).ok_or_else(Problem::internal)?;
        let agent = parts.headers.get(USER_AGENT).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let familiar = cookie(&parts.headers, FAMILIAR_COOKIE).map(str::to_owned);
        Ok(Self { address, device: Agent::of(agent).to_string(), familiar })
    }
}

/// The beginning of absolute links.
pub(super) struct BaseUrl(pub(super) String);

impl FromRequestParts<Api> for BaseUrl {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, api: &Api) -> Result<Self, Problem> {
        client::base_url(parts, &api.config).map(Self)
    }
}

/// Where encoders connect.
pub(super) struct RtmpUrls {
    /// `rtmp://host:1935`.
    pub(super) rtmp: String,
    /// `rtmps://host:1936`, when the server has a certificate.
    pub(super) rtmps: Option<String>,
}

impl FromRequestParts<Api> for RtmpUrls {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, api: &Api) -> Result<Self, Problem> {
        let url = |port| client::rtmp_url(parts, &api.config, port);
        let rtmps = api.rtmps_port.map(|port| url(client::RtmpPort::Tls(port))).transpose()?;
        Ok(Self { rtmp: url(client::RtmpPort::Plain(api.rtmp_port))?, rtmps })
    }
}

/// A JSON body.
#[derive(Debug)]
pub(super) struct Json<T>(pub(super) T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Json<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        // Asked for exactly: a form of another site can send `text/plain`, but not this.
        let json = request.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).is_some_and(|value| {
            let essence = value.split(';').next().unwrap_or_default().trim();
            essence.eq_ignore_ascii_case("application/json")
        });
        if !json {
            let detail = "Send JSON, with Content-Type: application/json.";
            return Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "not_json", detail));
        }
        let bytes = Bytes::from_request(request, state).await.map_err(|rejection| match rejection {
            BytesRejection::FailedToBufferBody(error) if error.status() == StatusCode::PAYLOAD_TOO_LARGE => {
                Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "too_large", "The body is larger than 64 KiB.")
            }
            _ => Problem::new(StatusCode::BAD_REQUEST, "incomplete", "The body did not arrive completely."),
        })?;
        let mut reader = serde_json::Deserializer::from_slice(&bytes);
        let value = serde_path_to_error::deserialize(&mut reader).map_err(|error| {
            let pointer = pointer(error.path());
            let cause = error.into_inner();
            if cause.is_data() {
                Problem::invalid(vec![FieldError { pointer, detail: sentence(&cause) }])
            } else {
                let detail = format!("The body is not JSON (line {}, column {}).", cause.line(), cause.column());
                Problem::new(StatusCode::BAD_REQUEST, "malformed_json", detail)
            }
        })?;
        reader.end().map_err(|_| {
            Problem::new(StatusCode::BAD_REQUEST, "malformed_json", "There is more after the end of the JSON value.")
        })?;
        Ok(Self(value))
    }
}

fn pointer(path: &serde_path_to_error::Path) -> String {
    use serde_path_to_error::Segment;
    path.iter().fold(String::new(), |pointer, segment| match segment {
        Segment::Seq { index } => format!("{pointer}/{index}"),
        Segment::Map { key } => format!("{pointer}/{}", key.replace('~', "~0").replace('/', "~1")),
        Segment::Enum { variant } => format!("{pointer}/{variant}"),
        Segment::Unknown => pointer,
    })
}

/// serde's sentence without the position, which the pointer tells better.
fn sentence(error: &serde_json::Error) -> String {
    let text = error.to_string();
    text.rsplit_once(" at line ").map_or(text.as_str(), |(sentence, _)| sentence).to_owned()
}

impl<T: Serialize> IntoResponse for Json<T> {
    fn into_response(self) -> Response {
        axum::Json(self.0).into_response()
    }
}

/// Which part of a list is wanted.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct Paging {
    /// Entries at most: 1 to 100, by default 50.
    #[param(minimum = 1, maximum = 100, default = 50)]
    pub(super) limit: Option<u32>,
    /// `next_cursor` of the page before.
    pub(super) cursor: Option<String>,
}

impl Paging {
    pub(super) fn limit(&self) -> Result<u32, Problem> {
        match self.limit.unwrap_or(50) {
            limit @ 1..=100 => Ok(limit),
            _ => Err(Problem::field("/limit", "A page has 1 to 100 entries.")),
        }
    }

    pub(super) fn cursor<T: FromStr>(&self) -> Result<Option<T>, Problem> {
        let cursor = self.cursor.as_deref().map(str::parse).transpose();
        cursor.map_err(|_| Problem::field("/cursor", "Use next_cursor of the page before."))
    }
}

/// A part of a list.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Page<T> {
    /// The entries, newest first.
    pub(super) data: Vec<T>,
    /// For the next page; absent on the last one.
    pub(super) next_cursor: Option<String>,
}

impl<T> Page<T> {
    /// From `limit + 1` rows at most: the one too many says that there is more.
    pub(super) fn of<R>(mut rows: Vec<R>, limit: u32, id: impl Fn(&R) -> String, entry: impl FnMut(R) -> T) -> Self {
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        let more = rows.len() > limit;
        rows.truncate(limit);
        let next_cursor = if more { rows.last().map(id) } else { None };
        Self { data: rows.into_iter().map(entry).collect(), next_cursor }
    }
}

/// Query parameters. One that is not known here is refused by its name: a filter that is misspelt must not find everybody.
pub(super) struct Query<T>(pub(super) T);

/// The same, of two kinds.
pub(super) struct Queries<A, B>(pub(super) A, pub(super) B);

/// Query parameters that somebody else sends people here with, who may add some of their own (RFC 6749, section 4.1.2).
pub(super) struct ForeignQuery<T>(pub(super) T);

impl<T: DeserializeOwned + IntoParams, S: Send + Sync> FromRequestParts<S> for Query<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        all_known(&parts.uri, &[names::<T>()])?;
        read_query(&parts.uri).map(Self)
    }
}

impl<A, B, S> FromRequestParts<S> for Queries<A, B>
where
    A: DeserializeOwned + IntoParams,
    B: DeserializeOwned + IntoParams,
    S: Send + Sync,
{
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        all_known(&parts.uri, &[names::<A>(), names::<B>()])?;
        Ok(Self(read_query(&parts.uri)?, read_query(&parts.uri)?))
    }
}

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for ForeignQuery<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        read_query(&parts.uri).map(Self)
    }
}

fn bad_query(detail: String) -> Problem {
    Problem::new(StatusCode::BAD_REQUEST, "bad_query", detail)
}

fn read_query<T: DeserializeOwned>(uri: &Uri) -> Result<T, Problem> {
    let query = axum::extract::Query::<T>::try_from_uri(uri);
    query.map(|axum::extract::Query(value)| value).map_err(|rejection| bad_query(rejection.body_text()))
}

/// What the API's description calls the parameters.
fn names<T: IntoParams>() -> Vec<String> {
    T::into_params(|| Some(ParameterIn::Query)).into_iter().map(|parameter| parameter.name).collect()
}

fn all_known(uri: &Uri, known: &[Vec<String>]) -> Result<(), Problem> {
    let given: Vec<(String, String)> = read_query(uri)?;
    let unknown = given.into_iter().map(|(name, _)| name).find(|name| !known.iter().flatten().any(|own| own == name));
    let Some(unknown) = unknown else { return Ok(()) };
    let unknown: String = unknown.chars().take(NAME_SHOWN_CHARS).collect();
    let known: Vec<_> = known.iter().flatten().map(String::as_str).collect();
    Err(bad_query(format!("There is no parameter `{unknown}` here, only: {}.", known.join(", "))))
}

/// Tells `null` from absent.
pub(super) fn present<'de, D: Deserializer<'de>, T: Deserialize<'de>>(
    deserializer: D,
) -> Result<Option<Option<T>>, D::Error> {
    Option::<T>::deserialize(deserializer).map(Some)
}

/// A name or title as people typed it: trimmed, not empty, not too long, one line.
pub(super) fn line(pointer: &str, text: &str) -> Result<String, Problem> {
    use stagedoor_domain::event::NAME_CHARS_MAX;
    let text = text.trim();
    if text.is_empty() {
        return Err(Problem::field(pointer, "This is empty."));
    }
    if text.chars().count() > NAME_CHARS_MAX {
        return Err(Problem::field(pointer, format!("This is longer than {NAME_CHARS_MAX} characters.")));
    }
    if text.chars().any(char::is_control) {
        return Err(Problem::field(pointer, "This contains a control character or a line break."));
    }
    Ok(text.to_owned())
}
