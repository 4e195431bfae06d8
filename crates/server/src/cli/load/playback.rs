//! The virtual picture: how much has been fetched, where the playhead would be, and when it would have stood still.
//!
//! Positions are microseconds relative to the live edge at the moment the viewer saw its first playlist, so the
//! playhead starts near minus the hold-back. Pure: the time is an argument.

/// An interruption shorter than this is the rounding of durations, not something a person could see.
const STALL_MIN_US: i64 = 10_000;
/// Playback begins with at least this much ahead of the playhead. A media element plays nothing before it has decoded a
/// few frames; without it, a start two milliseconds before the end of a part would be counted as a stall at once.
const AHEAD_MIN_US: i64 = 100_000;
/// A broadcast has at most a picture and a sound.
pub const TRACKS: usize = 2;

/// What one arrival of media changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Change {
    /// This arrival made the first picture possible; the time it took since the viewer began, microseconds.
    pub joined_us: Option<i64>,
    /// This arrival ended an interruption of this length, microseconds.
    pub stalled_us: Option<i64>,
}

/// The playback of one viewer.
#[derive(Debug, Clone)]
pub struct Playback {
    began_us: i64,
    tracks: usize,
    /// Wall clock of the live edge in the first playlist that came, to align the second one with it.
    edge_wall_us: Option<i64>,
    /// Where playback starts: the latest of what the tracks can offer.
    start: i64,
    /// End of what each track has.
    ends: [Option<i64>; TRACKS],
    /// A moment and the position of the playhead at it, once playing.
    anchor: Option<(i64, i64)>,
}

impl Playback {
    /// A viewer that pressed the button at `now_us` and will have this many tracks, 1 or 2.
    pub fn new(now_us: i64, tracks: usize) -> Playback {
        let tracks = tracks.clamp(1, TRACKS);
        Playback { began_us: now_us, tracks, edge_wall_us: None, start: i64::MIN, ends: [None; TRACKS], anchor: None }
    }

    /// Tells how many tracks there are, once the multivariant playlist is known.
    pub fn tracks(&mut self, tracks: usize) {
        self.tracks = tracks.clamp(1, TRACKS);
    }

    /// A track has its first playlist: its live edge by wall clock, how far behind it the playhead wants to be, and how
    /// far behind it the first media will begin. Returns the position at which that media begins.
    pub fn opened(&mut self, edge_wall_us: Option<i64>, hold_back_us: i64, first_media_us: i64) -> i64 {
        let shift = match (edge_wall_us, self.edge_wall_us) {
            (Some(mine), Some(reference)) => mine - reference,
            (Some(mine), None) => {
                self.edge_wall_us = Some(mine);
                0
            }
            _ => 0,
        };
        let begins = shift - first_media_us;
        self.start = self.start.max(begins).max(-hold_back_us);
        begins
    }

    /// A track has everything up to `end` now.
    pub fn arrived(&mut self, track: usize, end: i64, now_us: i64) -> Change {
        let mut change = Change::default();
        let dry = self.dry_at();
        self.ends[track.min(TRACKS - 1)] = Some(end);
        match (self.anchor, dry) {
            (None, _) if self.common_end().is_some_and(|end| end >= self.start + AHEAD_MIN_US) => {
                self.anchor = Some((now_us, self.start));
                change.joined_us = Some(now_us - self.began_us);
            }
            (Some((since, position)), Some(dry)) if now_us > dry => {
                // The playhead has been standing at the old end since `dry`.
                let stood_at = position + (dry - since);
                if self.common_end().is_some_and(|end| end > stood_at) {
                    if now_us - dry >= STALL_MIN_US {
                        change.stalled_us = Some(now_us - dry);
                    }
                    self.anchor = Some((now_us, stood_at));
                }
            }
            _ => {}
        }
        change
    }

    /// Where the playhead is, once playing.
    pub fn playhead(&self, now_us: i64) -> Option<i64> {
        let (since, position) = self.anchor?;
        Some((position + (now_us - since)).min(self.common_end()?))
    }

    /// How long the playhead has been standing still at `now_us`, if it is.
    pub fn standing(&self, now_us: i64) -> Option<i64> {
        let stood = now_us - self.dry_at()?;
        (stood >= STALL_MIN_US).then_some(stood)
    }

    /// When the playhead reaches (or reached) the end of what all tracks have.
    fn dry_at(&self) -> Option<i64> {
        let (since, position) = self.anchor?;
        Some(since + (self.common_end()? - position))
    }

    fn common_end(&self) -> Option<i64> {
        let mut ends = self.ends[..self.tracks].iter().copied();
        ends.try_fold(i64::MAX, |least, end| Some(least.min(end?)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const S: i64 = 1_000_000;

    #[test]
    fn playing_begins_when_both_tracks_have_the_first_picture() {
        let mut playback = Playback::new(0, 2);
        assert_eq!(playback.opened(Some(100 * S), 2 * S, 3 * S), -3 * S);
        assert_eq!(playback.opened(Some(100 * S + 1000), 2 * S, 2 * S), -2 * S + 1000);
        assert_eq!(playback.arrived(0, -2 * S + S / 2, 10_000), Change::default());
        assert_eq!(playback.arrived(1, -2 * S + S / 2, 20_000).joined_us, Some(20_000));
        assert_eq!(playback.playhead(20_000), Some(-2 * S + 1000));
    }

    #[test]
    fn media_that_comes_in_time_never_stalls() {
        let mut playback = Playback::new(0, 1);
        let mut end = playback.opened(None, S, S);
        for tick in 0..100 {
            end += S / 2;
            assert_eq!(playback.arrived(0, end, tick * S / 2).stalled_us, None);
        }
        assert_eq!(playback.standing(100 * S / 2), None);
    }

    #[test]
    fn a_late_part_is_one_stall_of_its_lateness() {
        let mut playback = Playback::new(0, 1);
        let begins = playback.opened(None, S, S);
        playback.arrived(0, begins + S, 0);
        assert_eq!(playback.standing(3 * S / 2), Some(S / 2));
        assert_eq!(playback.arrived(0, begins + 2 * S, 3 * S / 2).stalled_us, Some(S / 2));
        assert_eq!(
            playback.arrived(0, begins + 3 * S, 5 * S / 2).stalled_us,
            None,
            "playback went on from where it stood"
        );
    }

    #[test]
    fn the_slower_track_holds_the_playhead() {
        let mut playback = Playback::new(0, 2);
        let begins = playback.opened(None, S, S);
        playback.arrived(0, begins + 10 * S, 0);
        playback.arrived(1, begins + S, 0);
        assert_eq!(playback.playhead(5 * S), Some(begins + S));
        assert_eq!(playback.arrived(0, begins + 11 * S, 3 * S).stalled_us, None, "more picture does not help");
        assert_eq!(playback.arrived(1, begins + 2 * S, 4 * S).stalled_us, Some(3 * S));
    }

    #[test]
    fn a_list_shorter_than_the_hold_back_starts_at_its_beginning() {
        let mut playback = Playback::new(0, 1);
        let begins = playback.opened(None, 12 * S, 4 * S);
        playback.arrived(0, begins + 4 * S, S);
        assert_eq!(playback.playhead(S), Some(-4 * S));
    }
}
