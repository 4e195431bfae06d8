//! What surrounds every request.

use std::panic::AssertUnwindSafe;
use std::time::Duration;

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use futures_util::FutureExt;
use http::header::{
    AUTHORIZATION, CACHE_CONTROL, CONNECTION, CONTENT_LENGTH, CONTENT_SECURITY_POLICY, COOKIE, ORIGIN, UPGRADE,
};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use tracing::Instrument;

use super::extract::{self, USER_COOKIE, VIEWER_COOKIE};
use super::problem::Problem;
use super::{Api, BODY_BYTES_MAX, client};
use crate::access::{QUOTA_WINDOW, Standing};
use crate::ports::tls::Encrypted;

/// How long an answer may take, the arrival of the body included: longer than any query, and what a request head is
/// given too, so that a client that dawdles holds nothing for longer.
const ANSWER_MAX: Duration = Duration::from_secs(10);

/// How long a list of invitees may take to arrive: a gibibyte over a slow line.
const UPLOAD_MAX: Duration = Duration::from_secs(60 * 60);

/// How long an act on many may take: a hundred thousand invitees, a third of a millisecond each on a busy machine, and
/// some more. It goes step by step, and nobody else waits for it.
const MANY_MAX: Duration = Duration::from_secs(5 * 60);

/// How long this request may take: everything is quick but a list that is carried in or out, and acts on many.
fn patience(request: &Request) -> Duration {
    let path = request.uri().path();
    match *request.method() {
        _ if is_upload(request) => UPLOAD_MAX,
        Method::POST if MANY.iter().any(|many| path.ends_with(many)) => MANY_MAX,
        _ => ANSWER_MAX,
    }
}

/// A list of invitees, which has bounds of its own.
fn is_upload(request: &Request) -> bool {
    request.method() == Method::POST && request.uri().path().ends_with("/imports")
}

/// Acts on as many invitees as there are.
const MANY: [&str; 4] = ["/invitations/tags", "/invitations/revoke", "/invitations/regenerate", "/retry"];

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Request id, time limit, headers for every answer, and a last net for bugs.
pub(super) async fn outermost(State(api): State<Api>, request: Request, next: Next) -> Response {
    let id = format!("req_{}", api.random.uuid(api.clock.now()).simple());
    // The path may hold an id, which is fine; the query is not logged.
    let span = tracing::info_span!("http", id, method = %request.method(), path = request.uri().path());
    let patience = patience(&request);
    let encrypted = request.extensions().get::<Encrypted>().is_some();
    let answer = AssertUnwindSafe(next.run(request)).catch_unwind();
    let answer = tokio::time::timeout(patience, answer).instrument(span.clone()).await;
    let mut response = match answer {
        Ok(Ok(response)) => response,
        Ok(Err(_panic)) => {
            metrics::counter!("http_panics_total").increment(1);
            span.in_scope(|| tracing::error!("a handler panicked"));
            Problem::internal().into_response()
        }
        Err(_elapsed) => {
            let detail = "The answer took too long. Try again in a few seconds.";
            Problem::new(StatusCode::SERVICE_UNAVAILABLE, "timeout", detail)
                .retry_after(Duration::from_secs(2))
                .into_response()
        }
    };
    let class = match response.status().as_u16() {
        100..=199 => "1xx",
        200..=299 => "2xx",
        300..=399 => "3xx",
        400..=499 => "4xx",
        _ => "5xx",
    };
    metrics::counter!("http_requests_total", "status" => class).increment(1);
    let headers = response.headers_mut();
    if let Ok(id) = HeaderValue::from_str(&id) {
        headers.insert(REQUEST_ID, id);
    }
    for (name, value) in [
        ("x-content-type-options", "nosniff"),
        ("referrer-policy", "no-referrer"),
        ("x-frame-options", "DENY"),
        ("cross-origin-opener-policy", "same-origin"),
        ("cross-origin-resource-policy", "same-origin"),
        ("permissions-policy", "camera=(), microphone=(), geolocation=(), display-capture=()"),
    ] {
        headers.insert(HeaderName::from_static(name), HeaderValue::from_static(value));
    }
    // Pages bring their own policy and assets their own lifetime; nothing else is a document or may be kept.
    headers
        .entry(CONTENT_SECURITY_POLICY)
        .or_insert(HeaderValue::from_static("default-src 'none'; frame-ancestors 'none'"));
    headers.entry(CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    if encrypted || api.config.http.public_url.as_deref().is_some_and(|url| url.starts_with("https://")) {
        let value = HeaderValue::from_static("max-age=31536000");
        headers.insert(HeaderName::from_static("strict-transport-security"), value);
    }
    response
}

/// Bytes of a path and its query at most: the longest names four hundred invitees who are to be exported.
const URI_BYTES_MAX: usize = 13 * 1024;

/// Refuses what is too large before anything reads it, and what is too much before anything works for it. Answers of the
/// API say how much more there may be.
///
/// # Source
///
/// draft-ietf-httpapi-ratelimit-headers-08. `t` is the time until the whole quota is there again.
pub(super) async fn bounded(State(api): State<Api>, request: Request, next: Next) -> Response {
    let uri = request.uri();
    let length = uri.path().len() + uri.query().map_or(0, |query| query.len() + 1);
    if length > URI_BYTES_MAX {
        return Problem::new(StatusCode::URI_TOO_LONG, "uri_too_long", "This address is too long.").into_response();
    }
    let announced = request.headers().get(CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
    if announced.is_some_and(|bytes| bytes > BODY_BYTES_MAX as u64) && !is_upload(&request) {
        return Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "too_large", "The body is too large.").into_response();
    }
    if !uri.path().starts_with("/api/") {
        return next.run(request).await;
    }
    let (parts, body) = request.into_parts();
    let Some(address) = client::address(&parts, &api.config) else {
        return Problem::internal().into_response();
    };
    let (by_address, by_session) = api.access.asks(address, credential(&parts.headers));
    let standings = [("address", Some(by_address)), ("session", by_session)];
    let standings = standings.into_iter().filter_map(|(name, standing)| Some((name, standing?)));
    let refused = standings.clone().find_map(|(name, standing)| Some((name, standing.wait?)));
    let mut response = match refused {
        Some((policy, wait)) => {
            metrics::counter!("http_limited_total", "policy" => policy).increment(1);
            let detail = "Too many requests. Wait a moment.";
            Problem::new(StatusCode::TOO_MANY_REQUESTS, "rate_limited", detail).retry_after(wait).into_response()
        }
        None => next.run(Request::from_parts(parts, body)).await,
    };
    let (mut policies, mut limits) = (Vec::new(), Vec::new());
    for (name, Standing { quota, remaining, full_in, .. }) in standings {
        policies.push(format!("\"{name}\";q={quota};w={}", QUOTA_WINDOW.as_secs()));
        limits.push(format!("\"{name}\";r={remaining};t={}", full_in.as_millis().div_ceil(1_000)));
    }
    for (name, items) in [("ratelimit-policy", policies), ("ratelimit", limits)] {
        if let Ok(value) = HeaderValue::from_str(&items.join(", ")) {
            response.headers_mut().insert(HeaderName::from_static(name), value);
        }
    }
    response
}

/// What a request shows, as it came: whether it is worth anything is asked later.
fn credential(headers: &HeaderMap) -> Option<&[u8]> {
    match headers.get(AUTHORIZATION) {
        Some(value) => Some(value.as_bytes()),
        None => [USER_COOKIE, VIEWER_COOKIE].iter().find_map(|name| extract::cookie(headers, name)).map(str::as_bytes),
    }
}

/// Refuses what another site makes a browser send: an unsafe request or a WebSocket with a foreign `Origin`, or with our
/// cookie and no `Origin` at all. A program with a bearer token is not a browser that can be tricked.
pub(super) async fn same_origin(State(api): State<Api>, request: Request, next: Next) -> Response {
    let (parts, body) = request.into_parts();
    let headers = &parts.headers;
    let safe = matches!(parts.method, Method::GET | Method::HEAD | Method::OPTIONS);
    let socket = headers.contains_key(UPGRADE)
        || headers.get(CONNECTION).is_some_and(|value| value.as_bytes().to_ascii_lowercase().ends_with(b"upgrade"));
    let guarded = !safe || socket;
    if guarded && !headers.contains_key(AUTHORIZATION) {
        let cookies = carries_ours(headers);
        let mut origins = headers.get_all(ORIGIN).iter();
        let ours = match (origins.next(), origins.next()) {
            (None, _) => !cookies,
            (Some(origin), None) => origin.to_str().is_ok_and(|origin| is_ours(origin, &parts, &api)),
            // No browser says it twice.
            (Some(_), Some(_)) => false,
        };
        if !ours {
            let detail = "This request came from another site.";
            return Problem::new(StatusCode::FORBIDDEN, "foreign_origin", detail).into_response();
        }
    }
    next.run(Request::from_parts(parts, body)).await
}

/// Whether a cookie of ours was sent, in whatever number: all their names begin alike.
fn carries_ours(headers: &HeaderMap) -> bool {
    let values = headers.get_all(COOKIE).iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(';')).any(|pair| pair.trim_start().starts_with("stagedoor_"))
}

/// Only the host is compared with `Host`: a proxy in front may speak TLS where we do not. Where we are known by HTTPS, a
/// page that came without is not ours: whoever sits on the line may have written it.
fn is_ours(origin: &str, parts: &http::request::Parts, api: &Api) -> bool {
    let Some((scheme, host)) = origin.split_once("://") else { return false };
    if !matches!(scheme, "http" | "https") {
        return false;
    }
    let public = api.config.http.public_url.as_deref().and_then(|url| url.split_once("://"));
    let by_tls = client::encrypted(parts) || public.is_some_and(|(scheme, _)| scheme == "https");
    if scheme == "http" && by_tls {
        return false;
    }
    let public = public.map(|(_, rest)| rest.trim_end_matches('/'));
    [client::host(parts), public].into_iter().flatten().any(|own| own.eq_ignore_ascii_case(host))
}
