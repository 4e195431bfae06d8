//! The pages: static files with a strict policy.

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::header::{ACCEPT, CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, ETAG, IF_NONE_MATCH};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri};

use super::Api;
use super::extract::Path;
use super::problem::Problem;
use crate::assets;

/// The control room; its own router reads the rest of the path.
pub(super) async fn admin(State(api): State<Api>, headers: HeaderMap) -> Result<Response, Problem> {
    page(&api, "admin/index.html", &headers)
}

/// The viewer page, the same for every event: what it shows it asks for.
pub(super) async fn viewer(State(api): State<Api>, headers: HeaderMap) -> Result<Response, Problem> {
    page(&api, "player/index.html", &headers)
}

/// What an address that leads nowhere says: a page to somebody who followed it in a browser, a problem to a program.
pub(super) async fn nowhere(State(api): State<Api>, method: Method, uri: Uri, headers: HeaderMap) -> Response {
    let accepts = headers.get(ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let browsed = method == Method::GET && accepts.contains("text/html") && !uri.path().starts_with("/api/");
    match browsed.then(|| page(&api, "admin/index.html", &HeaderMap::new())) {
        Some(Ok(page)) => (StatusCode::NOT_FOUND, page).into_response(),
        _ => Problem::not_found().into_response(),
    }
}

/// A file whose name holds its hash: it never changes.
pub(super) async fn asset(Path(path): Path<String>, headers: HeaderMap) -> Result<Response, Problem> {
    // `/assets/player/x.js` is `player/assets/player/x.js` in the folder of built pages.
    let owner = path.split('/').next().unwrap_or_default();
    let file = assets::get(&format!("{owner}/assets/{path}")).ok_or_else(Problem::not_found)?;
    Ok(sent(file, HeaderValue::from_static("public, max-age=31536000, immutable"), &headers))
}

fn page(api: &Api, name: &str, headers: &HeaderMap) -> Result<Response, Problem> {
    let file = assets::get(name).ok_or_else(|| {
        let detail = "The pages are not part of this build. Build them with `make pages` and start again.";
        Problem::new(StatusCode::NOT_FOUND, "no_pages", detail)
    })?;
    let mut response = sent(file, HeaderValue::from_static("no-cache"), headers);
    let policy = HeaderValue::from_str(&policy(api)).map_err(|_| Problem::internal())?;
    response.headers_mut().insert(CONTENT_SECURITY_POLICY, policy);
    let robots = (HeaderName::from_static("x-robots-tag"), HeaderValue::from_static("noindex"));
    response.headers_mut().insert(robots.0, robots.1);
    Ok(response)
}

/// Own files only, no inline script or style, no strings as code, no frames. Media comes from `blob:` because that is how
/// a page feeds a `<video>`. The hash is that of the empty string: the player's controls make empty `<style>` elements
/// and fill them by script, which no policy governs; a style with anything in it stays refused. Markup and scripts'
/// addresses that a script writes must have been vouched for by one of two Trusted Types policies (`kit/src/trusted.ts`),
/// so that an injected `innerHTML` throws.
fn policy(api: &Api) -> String {
    // Links carry `public_url`; a page that was opened by another name must still reach the media behind it.
    let public = api.config.http.public_url.as_deref().filter(|url| !url.contains([';', ',', ' '])).unwrap_or_default();
    format!(
        "default-src 'none'; script-src 'self'; style-src 'self' \
         'sha256-47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU='; img-src 'self' data: blob:; font-src 'self'; \
         connect-src 'self' {public}; media-src 'self' blob: {public}; worker-src 'self'; manifest-src 'self'; \
         base-uri 'none'; form-action 'none'; frame-ancestors 'none'; object-src 'none'; \
         require-trusted-types-for 'script'; trusted-types stagedoor default"
    )
}

fn sent(file: assets::File, cache: HeaderValue, headers: &HeaderMap) -> Response {
    let known = headers.get(IF_NONE_MATCH).is_some_and(|tag| tag.as_bytes() == file.etag.as_bytes());
    let etag = HeaderValue::from_str(&file.etag).unwrap_or(HeaderValue::from_static("\"\""));
    let mut response = if known { StatusCode::NOT_MODIFIED.into_response() } else { file.bytes.into_response() };
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(file.content_type));
    response.headers_mut().insert(CACHE_CONTROL, cache);
    response.headers_mut().insert(ETAG, etag);
    response
}
