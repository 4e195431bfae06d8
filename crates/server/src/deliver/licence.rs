//! ClearKey: a licence is the keys themselves, in JSON, for players that ask for them by their identifiers.
//!
//! # Source
//!
//! W3C Encrypted Media Extensions, section 9.1 "Clear Key": 9.1.3 (license request format), 9.1.4 (license format).

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use stagedoor_media::seal::ContentKey;

/// Bytes of a request at most.
pub const REQUEST_BYTES_MAX: usize = 4 * 1024;
/// Keys of a licence at most: a player asks for one, or for those of its tracks.
const KEYS_MAX: usize = 16;

#[derive(Deserialize)]
struct Request<'a> {
    #[serde(borrow)]
    kids: Vec<std::borrow::Cow<'a, str>>,
}

#[derive(Serialize)]
struct Licence {
    keys: Vec<Jwk>,
    /// Nothing is kept beyond the page: "persistent-license" is not granted.
    r#type: &'static str,
}

#[derive(Serialize)]
struct Jwk {
    kty: &'static str,
    kid: String,
    k: String,
}

/// The KIDs that a request names; `None` for what is no request.
pub(super) fn wanted(body: &[u8]) -> Option<Vec<[u8; 16]>> {
    if body.len() > REQUEST_BYTES_MAX {
        return None;
    }
    let request: Request<'_> = serde_json::from_slice(body).ok()?;
    if request.kids.is_empty() || request.kids.len() > KEYS_MAX {
        return None;
    }
    request.kids.iter().map(|kid| URL_SAFE_NO_PAD.decode(kid.as_bytes()).ok()?.try_into().ok()).collect()
}

/// The licence with these keys.
pub(super) fn licence(keys: &[Arc<ContentKey>]) -> Bytes {
    let keys = keys
        .iter()
        .map(|key| Jwk { kty: "oct", kid: URL_SAFE_NO_PAD.encode(key.id), k: URL_SAFE_NO_PAD.encode(key.expose()) })
        .collect();
    // Three texts always are JSON; an empty licence opens nothing.
    serde_json::to_vec(&Licence { keys, r#type: "temporary" }).unwrap_or_default().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_and_its_licence_are_those_of_the_standard() {
        // The examples of sections 9.1.3 and 9.1.4.
        let kids = wanted(br#"{"kids":["LwVHf8JLtPrv2GUXFW2v_A"],"type":"temporary"}"#).unwrap();
        let secret: [u8; 16] = URL_SAFE_NO_PAD.decode("tQ0bJVWb6b0KPL6KtZIy_A").unwrap().try_into().unwrap();
        let key = Arc::new(ContentKey::new(0, kids[0], secret, [0; 16]));
        let text = r#"{"keys":[{"kty":"oct","kid":"LwVHf8JLtPrv2GUXFW2v_A","k":"tQ0bJVWb6b0KPL6KtZIy_A"}],"type":"temporary"}"#;
        assert_eq!(licence(&[key]), text);
    }

    #[test]
    fn what_is_no_request_asks_for_nothing() {
        let many = format!(r#"{{"kids":[{}]}}"#, vec![r#""LwVHf8JLtPrv2GUXFW2v_A""#; 17].join(","));
        let long = format!(r#"{{"kids":["LwVHf8JLtPrv2GUXFW2v_A"]{}}}"#, " ".repeat(REQUEST_BYTES_MAX));
        for body in ["", "[]", "{}", r#"{"kids":[]}"#, r#"{"kids":["short"]}"#, r#"{"kids":[7]}"#, &many, &long, "\0\0"]
        {
            assert_eq!(wanted(body.as_bytes()), None, "{body:.40}");
        }
    }
}
