//! Seals a broadcast's pieces before anybody can see them, and changes keys at the borders of segments.
//!
//! A key begins with a segment, for pictures and sound alike: whichever rendition comes to a segment first decides, the
//! other one follows. A period is cut before the segment that might outlast it, however long it becomes, so that nobody who
//! lost the right to keys can decrypt for longer. What cannot be sealed becomes a gap: it is never served in the clear.

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
    periods: Periods,
    /// Newest last.
    keys: VecDeque<Arc<ContentKey>>,
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
            periods: Periods::of(Duration::from_secs(plan.encryption.key_period_s.into())),
            keys: VecDeque::with_capacity(KEYS),
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
        if self.periods.begins_another(msn, wall) || self.keys.is_empty() {
            self.make(msn);
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

/// Where one key ends and the next begins.
///
/// How long a segment becomes is not known when it begins: keyframes come when they come. So a key ends as soon as the
/// longest possible segment would not fit into its period any more. A segment that is longer than the whole period has a key
/// of its own.
struct Periods {
    period: Duration,
    /// When the newest key's first segment began.
    since: Option<WallTime>,
    /// The last segment for which it was decided.
    decided: Option<u64>,
}

impl Periods {
    fn of(period: Duration) -> Self {
        Self { period, since: None, decided: None }
    }

    /// Whether the segment `msn`, which begins at `wall`, begins another period than the one before it.
    fn begins_another(&mut self, msn: u64, wall: WallTime) -> bool {
        if self.decided.is_some_and(|decided| msn <= decided) {
            return false;
        }
        self.decided = Some(msn);
        let end = wall.plus(SEGMENT_MAX);
        let over = self.since.is_some_and(|since| end.since(since) > self.period);
        if over || self.since.is_none() {
            self.since = Some(wall);
        }
        over
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The segments of each key, when segments are so many milliseconds long.
    fn keys(period_s: u64, lengths: &[i64]) -> Vec<Vec<i64>> {
        let (mut periods, mut wall) = (Periods::of(Duration::from_secs(period_s)), 1_795_203_000_000);
        let mut keys: Vec<Vec<i64>> = Vec::new();
        for (msn, length) in (5..).zip(lengths) {
            let begins = periods.begins_another(msn, WallTime(wall));
            assert!(!periods.begins_another(msn, WallTime(wall)), "the other rendition follows");
            match keys.last_mut().filter(|_| !begins) {
                Some(key) => key.push(*length),
                None => keys.push(vec![*length]),
            }
            wall += length;
        }
        keys
    }

    #[test]
    fn a_key_ends_before_a_segment_that_might_outlast_it() {
        assert_eq!(keys(10, &[2_000; 7]), [vec![2_000; 3], vec![2_000; 3], vec![2_000]]);
        assert_eq!(keys(10, &[2_000, 2_000, 2_000, 2_000, 4_000]), [vec![2_000; 3], vec![2_000, 4_000]]);
        assert_eq!(keys(4, &[2_000, 4_200, 2_000]), [[2_000], [4_200], [2_000]], "each its own");
        assert_eq!(keys(600, &[4_000; 10]).len(), 1);
    }

    proptest! {
        #[test]
        fn no_key_covers_more_than_its_period_or_one_segment(
            period_s in 4..40_u64,
            lengths in prop::collection::vec(1..4_500_i64, 1..300),
        ) {
            let period_ms = i64::try_from(period_s * 1_000).unwrap();
            let found = keys(period_s, &lengths);
            for key in &found {
                let longest = key.iter().copied().max().unwrap_or_default();
                prop_assert!(key.iter().sum::<i64>() <= period_ms.max(longest), "{key:?}");
            }
            prop_assert_eq!(found.concat(), lengths);
        }
    }
}
