//! The built pages: inside the binary, or read from `web/dist` while developing (a debug build).

use std::borrow::Cow;

use bytes::Bytes;
use rust_embed::RustEmbed;

#[derive(RustEmbed)]
#[folder = "../../web/dist"]
#[allow_missing = true]
struct Built;

/// A file of the pages.
#[derive(Debug)]
pub struct File {
    /// Its bytes; shared, not copied, when they are part of the binary.
    pub bytes: Bytes,
    /// Its media type, by its extension.
    pub content_type: &'static str,
    /// A quoted hash of its bytes.
    pub etag: String,
}

/// The file at `path` below `web/dist`. A path that climbs out of it names nothing.
#[must_use]
pub fn get(path: &str) -> Option<File> {
    let climbs = path.split('/').any(|part| matches!(part, "" | "." | "..")) || path.contains(['\\', '\0']);
    if climbs {
        return None;
    }
    let file = Built::get(path)?;
    let etag = format!("\"{}\"", &blake3::Hash::from_bytes(file.metadata.sha256_hash()).to_hex()[..32]);
    let bytes = match file.data {
        Cow::Borrowed(bytes) => Bytes::from_static(bytes),
        Cow::Owned(bytes) => Bytes::from(bytes),
    };
    Some(File { bytes, content_type: content_type(path), etag })
}

/// Only what the pages are made of; nothing else is served.
fn content_type(path: &str) -> &'static str {
    match path.rsplit_once('.').map_or("", |(_, extension)| extension) {
        "html" => "text/html; charset=utf-8",
        "js" | "mjs" => "text/javascript; charset=utf-8",
        "css" => "text/css; charset=utf-8",
        "json" | "webmanifest" => "application/json",
        "svg" => "image/svg+xml",
        "png" => "image/png",
        "webp" => "image/webp",
        "woff2" => "font/woff2",
        "wasm" => "application/wasm",
        _ => "application/octet-stream",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_that_climbs_names_nothing() {
        for path in
            ["", "/", "../Cargo.toml", "player/../../Cargo.toml", "./x", "a//b", "a\\..\\b", "a\0", "/etc/passwd"]
        {
            assert!(get(path).is_none(), "{path}");
        }
    }
}
