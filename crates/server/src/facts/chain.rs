//! The sealed log as text: one canonical JSON line for each entry, chained by hashes, and signed lines between them.
//!
//! ```text
//! {"log":{"after":0,"key":…,"prev":…,"product":"stagedoor","version":1},"signature":…}
//! {"actor":…,"at":…,"data":{…},"hash":H1,"id":…,"prev":H0,"seq":1}
//! {"actor":…,"at":…,"data":{…},"hash":H2,"id":…,"prev":H1,"seq":2}
//! {"checkpoint":{"at":…,"hash":H2,"key":…,"seq":2},"signature":…}
//! {"end":{"after":0,"at":…,"hash":H2,"key":…,"seq":2},"signature":…}
//! ```
//!
//! `hash` is the SHA-256 of the line without `hash`, in hexadecimal; `signature` is the Ed25519 signature of the line
//! without `signature`, in base64. Both are taken of the canonical form, and a line that is not in it is refused, so there
//! is one text for each log.
//!
//! # Source
//!
//! RFC 8785 (JSON canonicalisation) for what facts are made of: objects, arrays, strings, booleans, null and integers of
//! at most 53 bits. Other numbers are refused. RFC 8032 for Ed25519.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};
use ed25519_dalek::{Signature, Signer as _, SigningKey, VerifyingKey};
use serde_json::{Map, Value, json};
use sha2::{Digest as _, Sha256};
use stagedoor_domain::Time;

use crate::ports::db::facts::Kept;

/// The hash before the first entry.
pub const GENESIS: &str = "0000000000000000000000000000000000000000000000000000000000000000";
/// The largest integer that every JSON reader keeps.
const INTEGER_MAX: u64 = (1 << 53) - 1;
/// Objects in objects at most.
const DEPTH_MAX: usize = 16;

/// A value that has no canonical form here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a value has no canonical form")]
pub struct NotCanonical;

/// The one text of a value.
///
/// # Errors
///
/// [`NotCanonical`] for fractions, for integers beyond 53 bits, and for what is nested too deeply.
pub fn canonical(value: &Value) -> Result<String, NotCanonical> {
    let mut out = String::new();
    write(value, DEPTH_MAX, &mut out)?;
    Ok(out)
}

fn write(value: &Value, depth: usize, out: &mut String) -> Result<(), NotCanonical> {
    let deeper = depth.checked_sub(1).ok_or(NotCanonical)?;
    match value {
        Value::Null => out.push_str("null"),
        Value::Bool(true) => out.push_str("true"),
        Value::Bool(false) => out.push_str("false"),
        Value::Number(number) => {
            let size = number.as_u64().or_else(|| number.as_i64().map(i64::unsigned_abs));
            if size.is_none_or(|size| size > INTEGER_MAX) {
                return Err(NotCanonical);
            }
            out.push_str(&number.to_string());
        }
        Value::String(text) => quoted(text, out)?,
        Value::Array(values) => {
            out.push('[');
            for (at, value) in values.iter().enumerate() {
                if at > 0 {
                    out.push(',');
                }
                write(value, deeper, out)?;
            }
            out.push(']');
        }
        Value::Object(fields) => {
            let mut fields: Vec<_> = fields.iter().collect();
            fields.sort_by(|a, b| a.0.encode_utf16().cmp(b.0.encode_utf16()));
            out.push('{');
            for (at, (name, value)) in fields.into_iter().enumerate() {
                if at > 0 {
                    out.push(',');
                }
                quoted(name, out)?;
                out.push(':');
                write(value, deeper, out)?;
            }
            out.push('}');
        }
    }
    Ok(())
}

fn quoted(text: &str, out: &mut String) -> Result<(), NotCanonical> {
    out.push_str(&serde_json::to_string(text).map_err(|_| NotCanonical)?);
    Ok(())
}

/// The hash of an entry at place `seq` after `prev`, and its fields without the hash.
fn fields(entry: &Kept, seq: u64, prev: &str) -> Result<Map<String, Value>, NotCanonical> {
    let data: Value = serde_json::from_str(&entry.data).map_err(|_| NotCanonical)?;
    let mut fields = Map::new();
    fields.insert("actor".to_owned(), entry.actor.clone().into());
    fields.insert("at".to_owned(), entry.at.to_string().into());
    fields.insert("data".to_owned(), data);
    if let Some(event) = entry.event {
        fields.insert("event".to_owned(), event.to_string().into());
    }
    fields.insert("id".to_owned(), entry.id.to_string().into());
    fields.insert("prev".to_owned(), prev.into());
    fields.insert("seq".to_owned(), seq.into());
    Ok(fields)
}

/// The hash that seals an entry at place `seq` behind the entry with the hash `prev`.
///
/// # Errors
///
/// [`NotCanonical`].
pub fn seal(entry: &Kept, seq: u64, prev: &str) -> Result<String, NotCanonical> {
    hash_of(fields(entry, seq, prev)?)
}

pub(super) fn hash_of(fields: Map<String, Value>) -> Result<String, NotCanonical> {
    Ok(hex(&Sha256::digest(canonical(&Value::Object(fields))?)))
}

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::new(), |mut text, byte| {
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// The line of a sealed entry, with the hash that it was given then: if the row was changed since, the line shows it.
///
/// # Errors
///
/// [`NotCanonical`].
pub fn line(entry: &Kept, seq: u64, prev: &str, hash: &str) -> Result<String, NotCanonical> {
    let mut fields = fields(entry, seq, prev)?;
    fields.insert("hash".to_owned(), hash.into());
    canonical(&Value::Object(fields))
}

/// What is signed.
#[derive(Clone, Copy, Debug)]
pub enum Statement<'a> {
    /// An export begins behind entry `after`, whose hash is `prev`.
    Log {
        /// Entries before the first one here.
        after: u64,
        /// The hash of the last of them.
        prev: &'a str,
    },
    /// The chain up to entry `seq` is the one with this hash.
    Checkpoint {
        /// The last entry.
        seq: u64,
        /// Its hash.
        hash: &'a str,
        /// When this was signed.
        at: Time,
    },
    /// The export is complete.
    End {
        /// As in [`Self::Log`].
        after: u64,
        /// The last entry.
        seq: u64,
        /// Its hash.
        hash: &'a str,
        /// When this was signed.
        at: Time,
    },
}

/// The line of a statement, signed.
///
/// # Errors
///
/// [`NotCanonical`]: never for counters that fit.
pub fn sign(statement: Statement<'_>, key: &SigningKey) -> Result<String, NotCanonical> {
    let public = public(&key.verifying_key());
    let (name, body) = match statement {
        Statement::Log { after, prev } => {
            ("log", json!({"after": after, "key": public, "prev": prev, "product": "stagedoor", "version": 1}))
        }
        Statement::Checkpoint { seq, hash, at } => {
            ("checkpoint", json!({"at": at.to_string(), "hash": hash, "key": public, "seq": seq}))
        }
        Statement::End { after, seq, hash, at } => {
            ("end", json!({"after": after, "at": at.to_string(), "hash": hash, "key": public, "seq": seq}))
        }
    };
    let mut fields = Map::new();
    fields.insert(name.to_owned(), body);
    let signature = key.sign(canonical(&Value::Object(fields.clone()))?.as_bytes());
    fields.insert("signature".to_owned(), STANDARD.encode(signature.to_bytes()).into());
    canonical(&Value::Object(fields))
}

/// Whether `signature` is that of `fields` by `key`.
pub(super) fn is_signed(fields: Map<String, Value>, signature: &str, key: &VerifyingKey) -> bool {
    let signed = || {
        let text = canonical(&Value::Object(fields)).ok()?;
        let signature = Signature::from_slice(&STANDARD.decode(signature).ok()?).ok()?;
        key.verify_strict(text.as_bytes(), &signature).ok()
    };
    signed().is_some()
}

/// The text of a public key: base64 of its 32 bytes.
#[must_use]
pub fn public(key: &VerifyingKey) -> String {
    STANDARD.encode(key.as_bytes())
}

/// The inverse of [`public`].
#[must_use]
pub fn read_public(text: &str) -> Option<VerifyingKey> {
    let bytes: [u8; 32] = STANDARD.decode(text).ok()?.try_into().ok()?;
    VerifyingKey::from_bytes(&bytes).ok()
}

/// What people compare: `SHA256:` and the hash of the public key's bytes in base64.
#[must_use]
pub fn fingerprint(key: &VerifyingKey) -> String {
    format!("SHA256:{}", STANDARD_NO_PAD.encode(Sha256::digest(key.as_bytes())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_has_one_text() {
        let value: Value = serde_json::from_str(
            r#" { "b" : [1, -2, true, null], "a" : "ä\u20ac\n\u0001\"\\/", "\ud83d\ude00": {}, "\ufb33": "" } "#,
        )
        .unwrap();
        let text = "{\"a\":\"ä€\\n\\u0001\\\"\\\\/\",\"b\":[1,-2,true,null],\"\u{1f600}\":{},\"\u{fb33}\":\"\"}";
        assert_eq!(canonical(&value).unwrap(), text, "names are sorted as UTF-16, as RFC 8785 wants");
        for bad in ["1.5", "1e3", "9007199254740992", "-9007199254740992"] {
            assert_eq!(canonical(&serde_json::from_str(bad).unwrap()), Err(NotCanonical), "{bad}");
        }
        let deep = format!("{}{}", "[".repeat(40), "]".repeat(40));
        assert_eq!(canonical(&serde_json::from_str(&deep).unwrap()), Err(NotCanonical));
    }

    #[test]
    fn a_key_survives_its_text_and_has_a_fingerprint() {
        let key = SigningKey::from_bytes(&[7; 32]).verifying_key();
        assert_eq!(read_public(&public(&key)), Some(key));
        assert_eq!(read_public("AAAA"), None);
        assert_eq!(fingerprint(&key).len(), 7 + 43);
    }
}
