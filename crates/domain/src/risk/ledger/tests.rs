use proptest::prelude::*;

use super::super::signal::TABLE;
use super::*;

const S: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);

fn noted(signals: impl IntoIterator<Item = Signal>) -> Ledger {
    let mut ledger = Ledger::default();
    for signal in signals {
        ledger.note(signal, Duration::ZERO);
    }
    ledger
}

fn signals() -> impl Strategy<Value = Vec<(usize, u64)>> {
    prop::collection::vec((0..Signal::COUNT, 0..900_000_u64), 0..60)
}

#[test]
fn whatever_one_kind_of_evidence_says_nobody_is_sent_out_for_it() {
    for class in Class::ALL {
        let mut ledger = noted(Signal::ALL.into_iter().filter(|signal| signal.about().class == class));
        let score = ledger.score(Duration::ZERO);
        assert!(score.classes() == 1 && score.points() <= CLASS_POINTS_MAX, "{class:?}: {score:?}");
        assert!(!matches!(ledger.judge(Action::Kick, Duration::ZERO), Verdict::SendOut(_)), "{class:?}");
    }
    const { assert!(CLASS_POINTS_MAX < KICK_POINTS, "two kinds are needed by arithmetic alone") };
}

#[test]
fn two_kinds_and_six_points_send_out_where_the_event_says_so_and_nowhere_else() {
    let seen = [Signal::FingerprintChange, Signal::RequestPattern];
    for (policy, action) in [
        (Action::Log, Action::Log),
        (Action::Warn, Action::Warn),
        (Action::Blur, Action::Blur),
        (Action::Pause, Action::Pause),
        (Action::Kick, Action::Kick),
    ] {
        let mut ledger = noted(seen);
        assert_eq!(ledger.judge(policy, Duration::ZERO).action(), action);
        assert!(ledger.score(Duration::ZERO).is_flagged(), "organisers hear of it under any policy");
    }
    let mut less = noted(seen);
    let later = FRESH + S;
    assert_eq!(less.judge(Action::Kick, later).action(), Action::Pause, "after its minute it is less than six");
}

#[test]
fn the_ladder_has_its_steps() {
    for (seen, action) in [
        (vec![Signal::Hidden, Signal::ContextMenu, Signal::Shortcut], Action::Log),
        (vec![Signal::WindowSize], Action::Log),
        (vec![Signal::ConsoleTime], Action::Warn),
        (vec![Signal::ConsoleReads], Action::Blur),
        (vec![Signal::ConsoleReads, Signal::WindowSize], Action::Pause),
        (vec![Signal::ConsoleReads, Signal::ConsoleTime, Signal::DebuggerPause, Signal::ConsoleTools], Action::Pause),
        (vec![Signal::ConsoleReads, Signal::WatermarkStyle], Action::Kick),
    ] {
        assert_eq!(noted(seen.clone()).judge(Action::Kick, Duration::ZERO).action(), action, "{seen:?}");
    }
}

/// Causes that set off several signals at once and mean no harm.
#[test]
fn no_innocent_cause_sends_anybody_out() {
    use Signal as S;
    for (cause, seen) in [
        ("a side panel and a zoomed window", vec![S::WindowSize]),
        (
            "a web developer at work",
            vec![S::ConsoleReads, S::ConsoleTime, S::DebuggerPause, S::WindowSize, S::Shortcut],
        ),
        (
            "a web developer who also uses a small window",
            vec![S::ConsoleReads, S::ConsoleTime, S::DebuggerPause, S::WindowSize, S::PictureInPicture],
        ),
        ("an extension for dark colours", vec![S::WatermarkStyle, S::ApiPatched]),
        ("a translator", vec![S::WatermarkDom, S::WatermarkHit, S::WatermarkAbsent]),
        ("a filter that keeps the guard's file away", vec![S::WatermarkAbsent, S::ApiPatched]),
        ("a privacy browser with noise on canvases", vec![S::WatermarkPixels, S::ApiPatched]),
        ("a kiosk on a virtual machine", vec![S::Automation, S::WindowSize]),
        ("a bad network", vec![S::HeartbeatMissed, S::Hidden, S::KeyRequests]),
        ("a traveller with a VPN", vec![S::ImpossibleTravel, S::ManyTabs]),
        ("somebody with a television", vec![S::RemotePlayback, S::NativeFullscreen, S::PictureInPicture, S::Hidden]),
        ("somebody who jumps about on a bad network", vec![S::RequestPattern, S::HeartbeatMissed]),
        ("a telephone that turns again and again", vec![S::WatermarkGeometry, S::WatermarkHit, S::WindowSize]),
    ] {
        let verdict = noted(seen.clone()).judge(Action::Kick, Duration::ZERO);
        assert!(!matches!(verdict, Verdict::SendOut(_)), "{cause}: {:?}", noted(seen).score(Duration::ZERO));
    }
}

#[test]
fn a_caution_is_said_once_and_again_when_it_gets_worse_or_goes_on_after_it_was_read() {
    let mut ledger = noted([Signal::ConsoleTime]);
    assert_eq!(ledger.judge(Action::Pause, Duration::ZERO), Verdict::Caution(Action::Warn));
    ledger.note(Signal::ConsoleTime, S);
    assert_eq!(ledger.judge(Action::Pause, S), Verdict::Nothing, "the same again");
    ledger.note(Signal::ConsoleReads, 2 * S);
    assert_eq!(ledger.judge(Action::Pause, 2 * S), Verdict::Caution(Action::Pause), "worse");
    assert_eq!(ledger.judge(Action::Pause, 3 * MINUTE), Verdict::Nothing, "it stands until it is read");
    ledger.acknowledge();
    ledger.note(Signal::ConsoleReads, 4 * MINUTE);
    assert_eq!(ledger.judge(Action::Pause, 4 * MINUTE), Verdict::Caution(Action::Pause), "read, and it goes on");
    ledger.acknowledge();
    assert_eq!(ledger.judge(Action::Pause, 4 * MINUTE + S), Verdict::Nothing, "it was just read");
    assert_eq!(ledger.judge(Action::Pause, 60 * MINUTE), Verdict::Nothing, "it has passed");
    ledger.note(Signal::ConsoleTime, 60 * MINUTE);
    assert_eq!(ledger.judge(Action::Pause, 60 * MINUTE), Verdict::Caution(Action::Warn), "and it begins anew");
}

#[test]
fn nobody_is_sent_out_twice_for_the_same() {
    let mut ledger = noted([Signal::FingerprintChange, Signal::RequestPattern]);
    assert!(matches!(ledger.judge(Action::Kick, Duration::ZERO), Verdict::SendOut(_)));
    ledger.note(Signal::FingerprintChange, S);
    assert_eq!(ledger.judge(Action::Kick, S), Verdict::Nothing, "they are on their way out");
}

#[test]
fn evidence_is_told_in_words() {
    let mut ledger = noted([Signal::ConsoleReads]);
    ledger.note(Signal::ConsoleReads, Duration::ZERO);
    ledger.note(Signal::WatermarkStyle, Duration::ZERO);
    assert_eq!(
        ledger.evidence(Some((Signal::WatermarkStyle, "opacity 0")), Duration::ZERO),
        "Seen: an open console read what was written to it (2 times); the mark was made invisible or unreadable by \
         style (“opacity 0”). That is 6 points from 2 kinds of evidence."
    );
    assert_eq!(detail("a\u{202e}b\n\u{7f}é<i>"), "ab<i>");
    assert_eq!(detail(&"x".repeat(500)).len(), DETAIL_CHARS_MAX);
}

proptest! {
    #[test]
    fn one_more_signal_never_makes_the_score_smaller(before in signals(), signal in 0..Signal::COUNT, at in 0..900_000_u64) {
        let mut ledger = Ledger::default();
        let mut seen = before;
        seen.sort_by_key(|(_, at)| *at);
        for (signal, at) in seen.into_iter().filter(|(_, when)| *when <= at) {
            ledger.note(Signal::ALL[signal], Duration::from_millis(at));
        }
        let now = Duration::from_millis(at);
        let score = ledger.score(now);
        ledger.note(Signal::ALL[signal], now);
        let after = ledger.score(now);
        prop_assert!(after.milli >= score.milli && after.classes >= score.classes);
    }

    #[test]
    fn time_only_takes_points_away_and_in_the_end_all_of_them(seen in signals(), steps in prop::collection::vec(1..600_000_u64, 1..20)) {
        let mut ledger = Ledger::default();
        for (signal, at) in seen {
            ledger.note(Signal::ALL[signal], Duration::from_millis(at));
        }
        let mut now = Duration::from_millis(900_000);
        let mut before = ledger.score(now);
        for step in steps {
            now += Duration::from_millis(step);
            let score = ledger.score(now);
            prop_assert!(score.milli <= before.milli && score.classes <= before.classes);
            before = score;
        }
        let longest = TABLE.iter().map(|about| about.half_life).max().unwrap();
        let end = now + longest * 9;
        prop_assert_eq!(ledger.score(end), Score::default());
        prop_assert!(ledger.is_blank(end));
    }

    #[test]
    fn a_kick_has_two_kinds_six_points_and_an_event_that_wants_it(seen in signals(), policy in 0..5_usize) {
        let policy = Action::ALL[policy];
        let mut ledger = Ledger::default();
        let mut seen = seen;
        seen.sort_by_key(|(_, at)| *at);
        for (signal, at) in seen {
            let now = Duration::from_millis(at);
            ledger.note(Signal::ALL[signal], now);
            let verdict = ledger.judge(policy, now);
            prop_assert!(verdict.action() <= policy);
            if let Verdict::SendOut(_) = verdict {
                let score = ledger.score(now);
                prop_assert!(score.classes >= 2 && score.milli >= 6_000 && policy == Action::Kick);
            }
        }
    }

    #[test]
    fn a_half_life_halves(milli in 20..3_000_u32, minutes in 1..30_u64) {
        let half_life = Duration::from_secs(minutes * 60);
        prop_assert_eq!(left(milli, Duration::ZERO, half_life), milli);
        prop_assert_eq!(left(milli, half_life, half_life), milli / 2);
        prop_assert_eq!(left(milli, half_life * 40, half_life), 0);
        prop_assert_eq!(left(milli, Duration::MAX, half_life), 0);
    }
}

#[test]
fn a_ledger_is_of_fixed_size() {
    assert!(size_of::<Ledger>() <= 1_024, "{}", size_of::<Ledger>());
}
