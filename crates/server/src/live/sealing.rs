//! Seals a broadcast's pieces before anybody can see them, and changes keys at the borders of segments.
//!
//! A key begins with a segment, for pictures and sound alike: whichever rendition comes to a segment first decides, the
//! other one follows. A period is cut before the segment that would outlast it, so that nobody who lost the right to keys
//! can decrypt for longer. What cannot be sealed becomes a gap: it is never served in the clear.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use stagedoor_domain::event::{Encryption, EncryptionPolicy};
use stagedoor_domain::id::StreamId;
use stagedoor_media::package::{Body, Piece, TARGET_DURATION};
use stagedoor_media::seal::{ContentKey, Method, Sealed, Sealer, Unsealable};
use stagedoor_media::{Kind, WallTime};

use super::plan::Plan;
use super::status::{Advice, Severity};
use crate::access::Access;
use crate::ports::db::content_keys::ContentKeyRow;

/// Keys at hand: one rendition may still be two segments behind the other, and a period has one segment at least.
const KEYS: usize = 4;
/// Wall times are in whole milliseconds, and segments in ticks: so much longer than its period is not longer.
const SLACK: Duration = Duration::from_millis(100);
/// No segment is longer: it rounds to the target duration.
const SEGMENT_MAX: Duration = TARGET_DURATION.saturating_add(Duration::from_millis(499));

/// The way an event's media is encrypted; `None` in the clear.
pub(super) fn method(encryption: EncryptionPolicy) -> Option<Method> {
    match encryption.method {
        Encryption::Off => None,
        Encryption::Aes128 => Some(Method::Aes128),
        Encryption::Cbcs => Some(Method::Cbcs),
    }
}

/// Seals one broadcast.
pub(super) struct Sealing {
    access: Arc<Access>,
    stream: StreamId,
    sealer: Sealer,
    period: Duration,
    /// How long the next segment may become: the longest so far, and what segments are meant to be at least.
    longest: Duration,
    /// When the newest segment began.
    begun: Option<WallTime>,
    /// Newest last.
    keys: VecDeque<Arc<ContentKey>>,
    /// When the newest key's first segment began.
    since: Option<WallTime>,
    /// The last segment for which it was decided whether it begins a period.
    decided: Option<u64>,
    /// Renditions whose open segment has media: pictures, sound.
    has_media: [bool; 2],
    /// What is not covered by the method.
    uncovered: Option<&'static str>,
    /// Keys that are to be kept.
    made: Vec<ContentKeyRow>,
}

impl Sealing {
    /// For a broadcast by this plan, if it is encrypted at all.
    pub(super) fn of(plan: &Plan, access: &Arc<Access>) -> Option<Self> {
        Some(Self {
            access: access.clone(),
            stream: plan.stream,
            sealer: Sealer::new(method(plan.encryption)?),
            period: Duration::from_secs(plan.encryption.key_period_s.into()),
            longest: plan.latency.segment_nominal(),
            begun: None,
            keys: VecDeque::with_capacity(KEYS),
            since: None,
            decided: None,
            has_media: [false; 2],
            uncovered: None,
            made: Vec::new(),
        })
    }

    /// Keys made since the last call, to be kept before the segments that they seal.
    pub(super) fn made(&mut self) -> Vec<ContentKeyRow> {
        std::mem::take(&mut self.made)
    }

    /// What to tell a broadcaster whose media cannot be shown.
    pub(super) fn advice(&self) -> Option<Advice> {
        let codec = self.uncovered?;
        Some(Advice {
            code: "codec_not_encrypted",
            severity: Severity::Error,
            text: format!(
                "Viewers see nothing: {codec} cannot be encrypted with cbcs. Choose H.264 in the encoder, or aes-128 in \
                 the settings of the event."
            ),
        })
    }

    /// A piece as it may be served; `next_msn` is the first segment number that was not used. `None` for a header that
    /// nothing can use.
    pub(super) fn seal(&mut self, piece: Piece, next_msn: u64) -> Option<Sealed> {
        let kind = piece.rendition;
        let key = match &piece.body {
            Body::SegmentStart { msn, wall, .. } => {
                *self.open(kind) = false;
                self.begin(*msn, *wall)
            }
            Body::Part { msn, .. } | Body::SegmentEnd { msn, .. } => self.key_of(*msn),
            Body::Begin { .. } | Body::Init { .. } | Body::End => self.newest(next_msn),
        };
        let mut clear = piece.clone();
        match self.sealer.seal(piece, &key) {
            Ok(mut sealed) => {
                match &mut sealed.piece.body {
                    Body::Init { .. } if kind == Kind::Video => self.uncovered = None,
                    Body::Part { gap: false, .. } => *self.open(kind) = true,
                    // All of its parts became gaps.
                    Body::SegmentEnd { gap, .. } => *gap |= !*self.open(kind),
                    _ => {}
                }
                Some(sealed)
            }
            Err(error) => {
                metrics::counter!("live_unsealed_total").increment(1);
                if let Unsealable::Codec(codec) = error {
                    self.uncovered = Some(codec);
                }
                let Body::Part { bytes, gap, .. } = &mut clear.body else { return None };
                *bytes = Bytes::new();
                *gap = true;
                Some(Sealed { piece: clear, key: None, line: None, share: None })
            }
        }
    }

    fn open(&mut self, kind: Kind) -> &mut bool {
        let [video, audio] = &mut self.has_media;
        match kind {
            Kind::Video => video,
            Kind::Audio => audio,
        }
    }

    /// The key of a segment that begins now.
    fn begin(&mut self, msn: u64, wall: WallTime) -> Arc<ContentKey> {
        if self.decided.is_none_or(|decided| msn > decided) {
            self.decided = Some(msn);
            if let Some(begun) = self.begun.replace(wall) {
                // Not the time that a broadcaster was away.
                self.longest = self.longest.max(wall.since(begun).min(SEGMENT_MAX));
            }
            let end = wall.plus(self.longest);
            let over = self.since.is_some_and(|since| end.since(since) > self.period + SLACK);
            if over || self.keys.is_empty() {
                self.make(msn);
                self.since = Some(wall);
            }
            self.since.get_or_insert(wall);
        }
        self.key_of(msn)
    }

    fn key_of(&mut self, msn: u64) -> Arc<ContentKey> {
        let found = self.keys.iter().rev().find(|key| key.first_msn <= msn).cloned();
        found.unwrap_or_else(|| self.newest(msn))
    }

    fn newest(&mut self, next_msn: u64) -> Arc<ContentKey> {
        match self.keys.back() {
            Some(key) => Arc::clone(key),
            None => self.make(next_msn),
        }
    }

    fn make(&mut self, first_msn: u64) -> Arc<ContentKey> {
        let (key, row) = self.access.make_content_key(self.stream, first_msn);
        self.made.push(row);
        if self.keys.len() >= KEYS {
            self.keys.pop_front();
        }
        self.keys.push_back(Arc::clone(&key));
        key
    }
}
