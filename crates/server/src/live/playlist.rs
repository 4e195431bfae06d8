//! Playlist text, rendered once and shared by everyone who asks.
//!
//! A [`Playlist`] is one state of one rendition. Nothing is rendered when it is made; the first request for a form
//! renders and compresses it, all others get the same bytes. Twenty streams without viewers therefore render nothing,
//! and a stream with ten thousand viewers renders as often as one with one.

use std::io::Write;
use std::sync::OnceLock;

use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use stagedoor_media::package::Snapshot;
use stagedoor_media::package::hls::{self, Form, RenditionReport, Skip};

/// One text in both encodings.
#[derive(Clone, Debug)]
pub struct Text {
    /// As it is, UTF-8.
    pub plain: Bytes,
    /// The same, gzipped.
    pub gzip: Bytes,
}

impl Text {
    /// Compresses `text` once.
    #[must_use]
    pub fn new(text: String) -> Self {
        // Level 4 is where playlists stop getting noticeably smaller; it costs tens of microseconds, once per part.
        let mut encoder = GzEncoder::new(Vec::with_capacity(text.len() / 4 + 64), Compression::new(4));
        let gzip = encoder.write_all(text.as_bytes()).and_then(|()| encoder.finish());
        let plain = Bytes::from(text);
        // Writing into a Vec does not fail; were it ever to, an identity body is still right.
        let gzip = gzip.map_or_else(|_| plain.clone(), Bytes::from);
        Self { plain, gzip }
    }
}

/// One state of one rendition's media playlist.
pub struct Playlist {
    snapshot: Snapshot,
    reports: Vec<RenditionReport>,
    full: OnceLock<Text>,
    delta: OnceLock<Text>,
    delta_v2: OnceLock<Text>,
}

impl Playlist {
    /// A playlist of `snapshot` that reports how far the other renditions are.
    #[must_use]
    pub fn new(snapshot: Snapshot, reports: Vec<RenditionReport>) -> Self {
        Self { snapshot, reports, full: OnceLock::new(), delta: OnceLock::new(), delta_v2: OnceLock::new() }
    }

    /// What the text is made from.
    #[must_use]
    pub fn snapshot(&self) -> &Snapshot {
        &self.snapshot
    }

    /// The text in `form`, rendered at the first call.
    pub fn text(&self, form: Form) -> &Text {
        let cell = match form {
            Form::Full => &self.full,
            Form::Delta(Skip::V1) => &self.delta,
            Form::Delta(Skip::V2) => &self.delta_v2,
        };
        cell.get_or_init(|| Text::new(hls::media_playlist(&self.snapshot, &self.reports, form)))
    }
}
