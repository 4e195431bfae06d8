//! Takes up a broadcast where a process that is no more left it.
//!
//! The segments it finished are in the database. Those it had begun, or had not yet written down, may have been seen by
//! players, so their numbers are spent: they become GAP segments that cover the time until now.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use stagedoor_domain::Time;
use stagedoor_media::package::hls::KeyLine;
use stagedoor_media::package::{Body, Piece, Resume, Segmenter, StoredSegment, Window};
use stagedoor_media::{Kind, WallTime};

use super::plan::Plan;
use super::sealing;
use crate::access::Access;
use crate::ports::blobs::{Blobs, Key};
use crate::ports::db::broadcasts::Latest;
use crate::ports::db::streams::Numbers;
use crate::ports::db::{Db, DbError, segments};

/// A GAP segment is at most this long: the target duration of every playlist.
const GAP_MAX: Duration = Duration::from_secs(4);

/// What is left of a broadcast.
pub(super) struct Restored {
    pub windows: Vec<(Kind, Window)>,
    pub multivariant: Option<String>,
    pub segmenter: Segmenter,
    /// The numbers to go on with.
    pub numbers: Numbers,
}

/// Reads what is left of `latest`.
pub(super) async fn restore(
    access: &Access,
    db: &Db,
    blobs: &Blobs,
    latest: &Latest,
    numbers: Numbers,
    now: Time,
) -> Result<Restored, DbError> {
    let plan = Plan::from(latest);
    let (Some(origin), now) = (latest.origin, WallTime(now.millis())) else {
        // It was let in and died before its first part.
        let segmenter = plan.segmenter(numbers);
        return Ok(Restored { windows: Vec::new(), multivariant: None, segmenter, numbers });
    };
    let mut kept = Vec::new();
    let mut next_discontinuity = 0;
    let mut first_discontinuity = HashMap::new();
    for kind in [Kind::Video, Kind::Audio] {
        let segments = segments::of(db, plan.stream, kind).await?;
        if let (Some(first), Some(last)) = (segments.first(), segments.last()) {
            let own = u64::from(first.segment.discontinuity);
            first_discontinuity.insert(kind, first.discontinuity_sequence.saturating_sub(own));
            next_discontinuity = last.discontinuity_sequence.max(next_discontinuity);
            kept.push((kind, segments.into_iter().map(|numbered| numbered.segment).collect()));
        }
    }
    let next_msn = hole(&mut kept, numbers.next_msn, now);
    let header = |kind| {
        let (_, segments) = kept.iter().find(|&&(other, _)| other == kind)?;
        segments.last().map(|last| last.init)
    };
    let resume = Resume {
        next_msn,
        origin: WallTime(origin.millis()),
        ended: now,
        part_target: latest.part_target,
        video_init: header(Kind::Video),
        audio_init: header(Kind::Audio),
    };
    let mut windows = Vec::new();
    for (kind, segments) in kept {
        let mut ids: Vec<u32> = segments.iter().map(|segment| segment.init).collect();
        ids.dedup();
        let mut headers = Vec::new();
        for id in ids {
            match blobs.get(Key::Init(plan.stream, kind, id)).await {
                Ok(Some(bytes)) => headers.push((id, bytes)),
                Ok(None) => tracing::warn!(stream = %plan.stream, id, "a stored header is missing"),
                Err(error) => {
                    tracing::error!(error = &error as &dyn std::error::Error, "a stored header cannot be read");
                }
            }
        }
        let mut window = plan.window(kind);
        let line = |first_msn| {
            let (method, key) = (sealing::method(plan.encryption)?, access.named_content_key(plan.stream, first_msn)?);
            Some(Arc::new(KeyLine::new(method, first_msn, &key.id, &key.iv)))
        };
        window.restore(segments, first_discontinuity.get(&kind).copied().unwrap_or(0), headers, line);
        window.add(Piece { rendition: kind, body: Body::Begin { part_target: latest.part_target } });
        windows.push((kind, window));
    }
    let multivariant = match blobs.get(Key::Multivariant(plan.stream)).await {
        Ok(text) => text.and_then(|text| String::from_utf8(text.into()).ok()),
        Err(error) => {
            tracing::error!(error = &error as &dyn std::error::Error, "a stored playlist cannot be read");
            None
        }
    };
    let numbers = Numbers { next_msn, next_discontinuity, ..numbers };
    Ok(Restored { windows, multivariant, segmenter: plan.resume(resume), numbers })
}

/// Covers the time from the last segment to `now` with GAP segments, at least up to number `spent - 1`; returns the
/// number after the last one.
fn hole(kept: &mut [(Kind, Vec<StoredSegment>)], spent: u64, now: WallTime) -> u64 {
    let mut next_msn = spent;
    let ends = |segments: &[StoredSegment]| {
        segments.last().map(|last| (last.msn + 1, last.wall.plus(last.duration), (last.init, last.key)))
    };
    // First make all renditions end at the same number, then go on together.
    for (_, segments) in kept.iter() {
        if let Some((next, end, _)) = ends(segments) {
            let needed = u64::try_from(now.since(end).as_millis().div_ceil(GAP_MAX.as_millis())).unwrap_or(u64::MAX);
            next_msn = next_msn.max(next.saturating_add(needed));
        }
    }
    for (_, segments) in kept.iter_mut() {
        let Some((next, end, (init, key))) = ends(segments) else { continue };
        let count = next_msn.saturating_sub(next);
        let Some(share) = u32::try_from(count).ok().and_then(|count| now.since(end).checked_div(count)) else {
            continue;
        };
        let share = share.max(Duration::from_millis(1));
        let mut wall = end;
        for msn in next..next_msn {
            segments.push(StoredSegment {
                msn,
                duration: share,
                wall,
                discontinuity: false,
                gap: true,
                init,
                bytes: 0,
                key,
            });
            wall = wall.plus(share);
        }
    }
    next_msn
}

#[cfg(test)]
mod tests {
    use super::*;

    fn segment(msn: u64) -> StoredSegment {
        StoredSegment {
            msn,
            duration: Duration::from_secs(2),
            wall: WallTime(i64::try_from(msn).unwrap() * 2_000),
            discontinuity: false,
            gap: false,
            init: 0,
            bytes: 1,
            key: None,
        }
    }

    #[test]
    fn spent_numbers_and_lost_time_become_gaps_in_both_renditions() {
        let mut kept = [(Kind::Video, vec![segment(5), segment(6)]), (Kind::Audio, vec![segment(5)])];
        // Video ends at 14 s, audio at 12 s, it is 24 s, and numbers up to 8 are spent.
        let next = hole(&mut kept, 9, WallTime(24_000));
        assert_eq!(next, 10);
        for (_, segments) in &kept {
            let numbers: Vec<_> = segments.iter().map(|segment| segment.msn).collect();
            assert_eq!(numbers, (5..10).collect::<Vec<_>>());
            let end = segments.last().map(|last| last.wall.plus(last.duration)).unwrap();
            assert!(WallTime(24_000).since(end) < Duration::from_millis(5), "{end:?}");
            assert!(segments.iter().all(|segment| segment.duration <= GAP_MAX));
            assert!(segments.iter().filter(|segment| segment.gap).all(|gap| gap.bytes == 0));
        }
    }

    #[test]
    fn a_quick_restart_still_spends_the_numbers_that_were_promised() {
        let mut kept = [(Kind::Video, vec![segment(5)])];
        assert_eq!(hole(&mut kept, 8, WallTime(12_100)), 8);
        assert_eq!(kept[0].1.len(), 3);
    }

    #[test]
    fn without_segments_numbers_simply_go_on() {
        assert_eq!(hole(&mut [], 8, WallTime(0)), 8);
    }
}
