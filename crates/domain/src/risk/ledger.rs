//! What was noticed about one session, what that amounts to, and what follows.
//!
//! Each signal counts once, however often it is seen; seeing it again only makes it fresh. Points stay whole for a
//! minute and then halve with the signal's half-life, and a kind of evidence counts [`CLASS_POINTS_MAX`] at most, so
//! that one cause, however many signals it sets off, stays below what it takes to be [sent out](Verdict::SendOut).

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::signal::{Class, Signal};

/// Points that one kind of evidence counts at most.
pub const CLASS_POINTS_MAX: u32 = 4;
/// Points from which a viewer is warned, if the event says so.
pub const WARN_POINTS: u32 = 2;
/// Points from which the picture is blurred until the viewer has read why.
pub const BLUR_POINTS: u32 = 3;
/// Points from which playing stops until the viewer has read why.
pub const PAUSE_POINTS: u32 = 4;
/// Points from which a viewer is sent out …
pub const KICK_POINTS: u32 = 6;
/// … when they come from so many kinds of evidence.
pub const KICK_CLASSES: u32 = 2;
/// Whoever has read a caution is not told the same again for so long.
pub const AGAIN_AFTER: Duration = Duration::from_secs(60);
/// Points are whole for so long, and begin to go after it: what is seen within a minute is seen together.
pub const FRESH: Duration = Duration::from_secs(60);
/// Letters of a page's own words about a signal that are kept.
pub const DETAIL_CHARS_MAX: usize = 80;

/// One point, in the unit that is counted in.
const POINT: u32 = 1_000;

/// What an event does about what is noticed: at most this.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Action {
    /// It is written down and shown to organisers.
    #[default]
    Log,
    /// The viewer is told what was seen.
    Warn,
    /// The picture is blurred until the viewer has read what was seen.
    Blur,
    /// Playing stops until the viewer has read what was seen.
    Pause,
    /// The viewer is sent out.
    Kick,
}

impl Action {
    /// Every action, mildest first.
    pub const ALL: [Self; 5] = [Self::Log, Self::Warn, Self::Blur, Self::Pause, Self::Kick];

    /// `log`, `warn`, `blur`, `pause` or `kick`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Log => "log",
            Self::Warn => "warn",
            Self::Blur => "blur",
            Self::Pause => "pause",
            Self::Kick => "kick",
        }
    }
}

/// What everything that was noticed amounts to at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Score {
    /// Thousandths of a point.
    milli: u32,
    /// Kinds of evidence with points.
    classes: u32,
}

impl Score {
    /// Whole points, rounded.
    #[must_use]
    pub fn points(self) -> u32 {
        (self.milli + POINT / 2) / POINT
    }

    /// Kinds of evidence that have points.
    #[must_use]
    pub fn classes(self) -> u32 {
        self.classes
    }

    /// What it calls for, if everything is permitted.
    fn calls_for(self) -> Action {
        let at_least = |points: u32| self.milli >= points * POINT;
        if at_least(KICK_POINTS) && self.classes >= KICK_CLASSES {
            Action::Kick
        } else if at_least(PAUSE_POINTS) {
            Action::Pause
        } else if at_least(BLUR_POINTS) {
            Action::Blur
        } else if at_least(WARN_POINTS) {
            Action::Warn
        } else {
            Action::Log
        }
    }

    /// Whether an organiser should hear of it, whatever the event does about it.
    #[must_use]
    pub fn is_flagged(self) -> bool {
        self.calls_for() > Action::Log
    }

    /// What an event with this policy does about it: what it calls for, and no more than is permitted.
    #[must_use]
    pub fn action(self, policy: Action) -> Action {
        self.calls_for().min(policy)
    }
}

/// The proof that a viewer may be sent out for tampering: nobody but [`Ledger::judge`] can make one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tampered(());

/// What follows now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Nothing that was not said already.
    Nothing,
    /// The viewer is told: [`Action::Warn`], [`Action::Blur`] or [`Action::Pause`].
    Caution(Action),
    /// The viewer is sent out.
    SendOut(Tampered),
}

impl Verdict {
    /// What was done.
    #[must_use]
    pub fn action(self) -> Action {
        match self {
            Self::Nothing => Action::Log,
            Self::Caution(action) => action,
            Self::SendOut(_) => Action::Kick,
        }
    }
}

#[derive(Clone, Copy, Debug)]
struct Noted {
    at: Duration,
    times: u32,
}

/// What the viewer was told.
#[derive(Clone, Copy, Debug)]
struct Told {
    action: Action,
    at: Duration,
    acknowledged: bool,
}

/// What was noticed about one session. Of fixed size: a place for each signal there is. `now` is monotonic.
#[derive(Clone, Debug)]
pub struct Ledger {
    noted: [Option<Noted>; Signal::COUNT],
    told: Option<Told>,
}

impl Default for Ledger {
    fn default() -> Self {
        Self { noted: [None; Signal::COUNT], told: None }
    }
}

/// What is left of `milli` after `since`: half of it after each half-life, on a straight line in between, and nothing
/// when less than a hundredth of a point is left.
fn left(milli: u32, since: Duration, half_life: Duration) -> u32 {
    let half_life = half_life.as_millis().max(1);
    let halvings = u32::try_from(since.as_millis() / half_life).unwrap_or(u32::MAX);
    let whole = u128::from(milli.checked_shr(halvings).unwrap_or(0));
    let part = since.as_millis() % half_life;
    let value = whole - whole * part / (2 * half_life);
    u32::try_from(value).ok().filter(|value| *value >= POINT / 100).unwrap_or(0)
}

impl Ledger {
    fn milli(&self, signal: Signal, now: Duration) -> u32 {
        let Some(noted) = self.noted[signal.index()] else { return 0 };
        let about = signal.about();
        left(about.points * POINT, now.saturating_sub(noted.at).saturating_sub(FRESH), about.half_life)
    }

    /// Notes that `signal` was noticed; says whether it is news: it was not noticed before, or not for so long that it
    /// counts for nothing any more.
    pub fn note(&mut self, signal: Signal, now: Duration) -> bool {
        let news =
            self.milli(signal, now) == 0 && !(signal.about().points == 0 && self.noted[signal.index()].is_some());
        let times = self.noted[signal.index()].map_or(0, |noted| noted.times);
        self.noted[signal.index()] = Some(Noted { at: now, times: times.saturating_add(1) });
        news
    }

    /// What it all amounts to.
    #[must_use]
    pub fn score(&self, now: Duration) -> Score {
        let of = |class: Class| -> u32 {
            let mine = Signal::ALL.into_iter().filter(|signal| signal.about().class == class);
            mine.map(|signal| self.milli(signal, now)).sum::<u32>().min(CLASS_POINTS_MAX * POINT)
        };
        Class::ALL
            .into_iter()
            .map(of)
            .filter(|milli| *milli > 0)
            .fold(Score::default(), |score, milli| Score { milli: score.milli + milli, classes: score.classes + 1 })
    }

    /// The signals that still have points, as [bits](Signal::bit).
    #[must_use]
    pub fn standing(&self, now: Duration) -> u32 {
        Signal::ALL
            .into_iter()
            .filter(|signal| self.milli(*signal, now) > 0)
            .fold(0, |bits, signal| bits | signal.bit())
    }

    /// What follows now, and remembers that it followed.
    pub fn judge(&mut self, policy: Action, now: Duration) -> Verdict {
        let score = self.score(now);
        if !score.is_flagged() {
            self.told = None;
            return Verdict::Nothing;
        }
        let action = score.action(policy);
        let due = self.told.is_none_or(|told| {
            let passed = now.saturating_sub(told.at) >= AGAIN_AFTER;
            action > told.action || passed && (told.acknowledged || told.action == Action::Kick)
        });
        if action == Action::Log || !due {
            return Verdict::Nothing;
        }
        self.told = Some(Told { action, at: now, acknowledged: false });
        match action {
            Action::Kick => Verdict::SendOut(Tampered(())),
            action => Verdict::Caution(action),
        }
    }

    /// The viewer has read what they were told.
    pub fn acknowledge(&mut self) {
        if let Some(told) = &mut self.told {
            told.acknowledged = true;
        }
    }

    /// The evidence in words, for an organiser: what was seen and how often, and what it comes to.
    /// `detail` is a page's own word about the signal that came last.
    #[must_use]
    pub fn evidence(&self, last: Option<(Signal, &str)>, now: Duration) -> String {
        let mut text = String::new();
        for signal in Signal::of_bits(self.standing(now)) {
            let Some(noted) = self.noted[signal.index()] else { continue };
            text.push_str(if text.is_empty() { "Seen: " } else { "; " });
            text.push_str(signal.about().seen);
            if noted.times > 1 {
                text.push_str(&format!(" ({} times)", noted.times));
            }
            if let Some((_, detail)) = last.filter(|(of, detail)| *of == signal && !detail.is_empty()) {
                text.push_str(&format!(" (“{detail}”)"));
            }
        }
        let score = self.score(now);
        let (points, classes) = (score.points(), score.classes());
        let plural = |count: u32| if count == 1 { "" } else { "s" };
        text.push_str(&format!(
            ". That is {points} point{} from {classes} kind{} of evidence.",
            plural(points),
            plural(classes)
        ));
        text
    }

    /// Whether nothing of it counts any more: then it can be forgotten.
    #[must_use]
    pub fn is_blank(&self, now: Duration) -> bool {
        self.standing(now) == 0
    }
}

/// A page's own words as far as they can be shown: letters, digits and signs of ASCII, [`DETAIL_CHARS_MAX`] of them.
#[must_use]
pub fn detail(text: &str) -> String {
    let printable = text.chars().filter(|letter| letter.is_ascii_graphic() || *letter == ' ');
    printable.take(DETAIL_CHARS_MAX).collect()
}

#[cfg(test)]
mod tests;
