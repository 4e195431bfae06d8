//! What is counted: histograms of fixed size, errors by kind, and the first sight of each part.
//!
//! Each thread counts for itself and nothing is shared but [`FirstSeen`]; the sums are made at the end.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Mutex;

use super::http::Failure;

/// Buckets per doubling: a quantile is at most 1/64 (1.6 %) off.
const STEPS: u64 = 64;
const STEP_BITS: u32 = STEPS.trailing_zeros();
/// Values are capped at 2^40 µs, about twelve days.
const OCTAVES: usize = 40 - STEP_BITS as usize + 1;

/// A histogram of microseconds with logarithmic buckets: 18 KiB whatever is put in.
#[derive(Debug, Clone)]
pub struct Histogram {
    counts: Box<[u64]>,
    count: u64,
    max: u64,
}

impl Default for Histogram {
    fn default() -> Self {
        Histogram { counts: vec![0; OCTAVES * STEPS as usize].into(), count: 0, max: 0 }
    }
}

impl Histogram {
    /// Counts a value in microseconds; negative values count as zero.
    pub fn record(&mut self, value_us: i64) {
        let value = u64::try_from(value_us).unwrap_or(0).min((1 << 40) - 1);
        self.counts[bucket(value)] += 1;
        self.count += 1;
        self.max = self.max.max(value);
    }

    /// Adds what another thread counted.
    pub fn merge(&mut self, other: &Histogram) {
        for (mine, theirs) in self.counts.iter_mut().zip(&other.counts) {
            *mine += theirs;
        }
        self.count += other.count;
        self.max = self.max.max(other.max);
    }

    /// How many values were counted.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// The largest value, microseconds.
    pub fn max(&self) -> u64 {
        self.max
    }

    /// The value that `per_mille` thousandths of all values do not exceed, microseconds; `None` when nothing was counted.
    pub fn quantile(&self, per_mille: u64) -> Option<u64> {
        if self.count == 0 {
            return None;
        }
        let wanted = (self.count * per_mille).div_ceil(1000).max(1);
        let mut seen = 0;
        for (index, count) in self.counts.iter().enumerate() {
            seen += count;
            if seen >= wanted {
                return Some(upper(index).min(self.max));
            }
        }
        Some(self.max)
    }
}

fn bucket(value: u64) -> usize {
    if value < STEPS {
        return value as usize;
    }
    let octave = value.ilog2() - STEP_BITS + 1;
    let step = (value >> (octave - 1)) - STEPS;
    (u64::from(octave) * STEPS + step) as usize
}

/// The largest value of a bucket.
fn upper(index: usize) -> u64 {
    let (octave, step) = (index as u64 / STEPS, index as u64 % STEPS);
    if octave == 0 { step } else { ((STEPS + step + 1) << (octave - 1)) - 1 }
}

/// A kind of error, as it is reported.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Problem {
    /// The request got no usable answer.
    Transport(Failure),
    /// No complete answer in time.
    Timeout,
    /// An answer that is not 200.
    Status(u16),
    /// A playlist that cannot be read; why.
    Playlist(&'static str),
    /// `EXT-X-MEDIA-SEQUENCE` went back.
    SequenceWentBack,
    /// A blocking reload was answered without the part it waited for.
    AwaitedMissing,
    /// A delta update skips segments the viewer has never seen.
    DeltaHole,
    /// A part or segment that does not begin with an fMP4 box.
    NotMedia,
    /// The stream left the viewer behind: the next part was no longer listed.
    FellBehind,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Problem::Transport(Failure::Connect) => f.write_str("connect"),
            Problem::Transport(Failure::Closed) => f.write_str("closed"),
            Problem::Transport(Failure::Malformed) => f.write_str("malformed_http"),
            Problem::Transport(Failure::TooLarge) => f.write_str("too_large"),
            Problem::Timeout => f.write_str("timeout"),
            Problem::Status(status) => write!(f, "status_{status}"),
            Problem::Playlist(why) => write!(f, "playlist: {why}"),
            Problem::SequenceWentBack => f.write_str("media_sequence_went_back"),
            Problem::AwaitedMissing => f.write_str("awaited_part_missing"),
            Problem::DeltaHole => f.write_str("delta_hole"),
            Problem::NotMedia => f.write_str("not_media"),
            Problem::FellBehind => f.write_str("fell_behind"),
        }
    }
}

/// What a thread counts during one phase (ramp or steady).
#[derive(Debug, Clone, Default)]
pub struct Stats {
    /// Playlist answers, multivariant ones included.
    pub playlists: u64,
    /// Playlist answers that were delta updates.
    pub deltas: u64,
    /// Parts fetched.
    pub parts: u64,
    /// Whole segments fetched.
    pub segments: u64,
    /// Initialisation sections fetched.
    pub inits: u64,
    /// Playlist bytes on the wire, without heads.
    pub playlist_bytes: u64,
    /// Media bytes on the wire, without heads.
    pub media_bytes: u64,
    /// Errors by kind. Statuses are the only open set, at most 1000.
    pub errors: BTreeMap<Problem, u64>,
    /// Interruptions of the virtual playback.
    pub stalls: u64,
    /// Their total length, microseconds.
    pub stalled_us: i64,
    /// Media declared as gap and therefore not fetched, microseconds.
    pub gap_us: i64,
    /// Kept connections the server had closed meanwhile.
    pub reopened: u64,
    /// Playlist answer after the awaited part was first seen by any viewer of this run.
    pub wait_first: Histogram,
    /// Playlist answer after the awaited part's end by PROGRAM-DATE-TIME.
    pub wait_clock: Histogram,
    /// Last byte of a part after its end by PROGRAM-DATE-TIME.
    pub part_age: Histogram,
    /// Wall clock minus PROGRAM-DATE-TIME at the virtual playhead.
    pub glass: Histogram,
    /// Request to last byte of a part.
    pub part_fetch: Histogram,
    /// Start of a viewer to its first picture.
    pub join: Histogram,
    /// The organiser's request to send a viewer out was answered, to the first refusal of that viewer.
    pub kick: Histogram,
}

impl Stats {
    /// Counts an error.
    pub fn problem(&mut self, problem: Problem) {
        *self.errors.entry(problem).or_default() += 1;
    }

    /// All errors.
    pub fn error_count(&self) -> u64 {
        self.errors.values().sum()
    }

    /// Requests that were answered.
    pub fn answers(&self) -> u64 {
        self.playlists + self.parts + self.segments + self.inits
    }

    /// Adds what another thread, or the other phase, counted.
    pub fn merge(&mut self, other: &Stats) {
        self.playlists += other.playlists;
        self.deltas += other.deltas;
        self.parts += other.parts;
        self.segments += other.segments;
        self.inits += other.inits;
        self.playlist_bytes += other.playlist_bytes;
        self.media_bytes += other.media_bytes;
        for (problem, count) in &other.errors {
            *self.errors.entry(*problem).or_default() += count;
        }
        self.stalls += other.stalls;
        self.stalled_us += other.stalled_us;
        self.gap_us += other.gap_us;
        self.reopened += other.reopened;
        self.wait_first.merge(&other.wait_first);
        self.wait_clock.merge(&other.wait_clock);
        self.part_age.merge(&other.part_age);
        self.glass.merge(&other.glass);
        self.part_fetch.merge(&other.part_fetch);
        self.join.merge(&other.join);
        self.kick.merge(&other.kick);
    }
}

/// Slots of [`FirstSeen`]. Parts are a fraction of a second apart, so this remembers minutes.
const FIRST_SLOTS: usize = 1024;

/// When each (rendition, msn, part) was first seen by any viewer: the earliest proof that the server had it.
///
/// A fixed table; a newer part replaces the older one in its slot.
pub struct FirstSeen(Mutex<Vec<Slot>>);

/// Rendition, media sequence number and part; then the moment in microseconds of the run.
type Slot = ((u8, u64, u32), i64);

impl FirstSeen {
    /// An empty table.
    pub fn new() -> FirstSeen {
        FirstSeen(Mutex::new(vec![((u8::MAX, 0, 0), 0); FIRST_SLOTS]))
    }

    /// Notes that a part was seen now, and says when it was first seen.
    pub fn note(&self, rendition: u8, msn: u64, part: u32, now_us: i64) -> i64 {
        let key = (rendition, msn, part);
        let slot =
            (msn.wrapping_mul(61).wrapping_add(u64::from(part)) * 2 + u64::from(rendition)) as usize % FIRST_SLOTS;
        let mut slots = match self.0.lock() {
            Ok(slots) => slots,
            Err(poisoned) => poisoned.into_inner(),
        };
        let (known, since) = &mut slots[slot];
        if *known == key {
            *since = (*since).min(now_us);
            return *since;
        }
        // A viewer that is far behind must not push out what the others are waiting for.
        if *known < key || known.0 == u8::MAX {
            (*known, *since) = (key, now_us);
        }
        now_us
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_within_two_percent() {
        let mut histogram = Histogram::default();
        for value in 1..=100_000 {
            histogram.record(value);
        }
        for (per_mille, exact) in [(500, 50_000.0), (990, 99_000.0), (999, 99_900.0)] {
            let found = histogram.quantile(per_mille).unwrap() as f64;
            assert!((found / exact - 1.0).abs() < 0.02, "{per_mille}: {found}");
        }
        assert_eq!(histogram.quantile(1000), Some(100_000));
    }

    #[test]
    fn extreme_values_have_a_bucket() {
        let mut histogram = Histogram::default();
        for value in [i64::MIN, -1, 0, 63, 64, 65, 127, 128, i64::MAX] {
            histogram.record(value);
        }
        assert_eq!(histogram.count(), 9);
        assert_eq!(histogram.quantile(1), Some(0));
        assert_eq!(histogram.max(), (1 << 40) - 1);
        assert_eq!(Histogram::default().quantile(500), None);
    }

    #[test]
    fn each_bucket_begins_where_the_one_before_ends() {
        for index in 0..OCTAVES * STEPS as usize - 1 {
            assert_eq!(bucket(upper(index)), index);
            assert_eq!(bucket(upper(index) + 1), index + 1);
        }
    }

    #[test]
    fn the_first_sight_of_a_part_is_kept_and_the_past_does_not_push_it_out() {
        let seen = FirstSeen::new();
        assert_eq!(seen.note(0, 7, 1, 100), 100);
        assert_eq!(seen.note(0, 7, 1, 150), 100);
        assert_eq!(seen.note(1, 7, 1, 120), 120);
        assert_eq!(seen.note(0, 7, 2, 160), 160);
        for msn in 8..5000 {
            seen.note(0, msn, 0, msn as i64);
        }
        assert_eq!(seen.note(0, 4999, 0, 9999), 4999);
        seen.note(0, 4999 - FIRST_SLOTS as u64, 0, 1);
        assert_eq!(seen.note(0, 4999, 0, 9999), 4999);
    }
}
