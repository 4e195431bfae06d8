//! Pages that answer and pages that do not, and what follows from what is noticed.

use stagedoor_domain::event::ProtectionPolicy;
use stagedoor_domain::incident::Kind;
use stagedoor_domain::risk::heartbeat::{Answer, Bad, Questions};
use stagedoor_domain::risk::{Action, Signal, Standing, Unmarked};
use stagedoor_testkit::geo::{Database, sample};

use super::*;
use crate::ports::db::incidents;
use crate::ports::db::testing::proof;

const S: Duration = Duration::from_secs(1);

impl Door {
    async fn protect(&self, protection: ProtectionPolicy) {
        let edit = |event: &mut Event| -> Result<(), DbError> {
            event.policy.protection = protection;
            Ok(())
        };
        assert!(self.access.edit_event(&proof::organise(self.event.id), Actor::Operator, edit).await.unwrap());
    }

    async fn seated(&self) -> Arc<Seat> {
        let invited = self.invite().await;
        self.redeem(&invited.code.to_string(), None).await.unwrap().seat
    }

    /// So many seconds in which the seats are looked at, as they are while the server runs.
    fn pass(&self, seconds: u64) {
        for _ in 0..seconds {
            self.clock.advance(S);
            self.access.listen();
        }
    }

    async fn suspected(&self) -> Vec<incidents::Incident> {
        self.access.write_notices().await.unwrap();
        let found = incidents::list(&self.access.db, Some(self.event.id), None, 50).await.unwrap();
        found.into_iter().filter(|incident| incident.kind == Kind::Tampering).collect()
    }

    async fn facts(&self, kind: &str) -> usize {
        let sql = "SELECT COUNT(*) AS n FROM facts WHERE data LIKE $1";
        let row = self.access.db.one(sql, [format!("%\"{kind}\"%").into()]).await.unwrap().unwrap();
        usize::try_from(row.int("n").unwrap()).unwrap()
    }
}

/// A page with one socket.
struct Page {
    seat: Arc<Seat>,
    questions: Questions,
}

impl Page {
    fn of(seat: &Arc<Seat>) -> Self {
        Self { seat: Arc::clone(seat), questions: Questions::default() }
    }

    fn answers(&mut self, access: &Access) -> Result<(), Bad> {
        let (nonce, _) = access.ask_page(&self.seat, &mut self.questions).unwrap();
        let key = access.guard(&self.seat).unwrap().key;
        let mac = key.sign(&nonce, "f", Some(1), 2);
        let answer = Answer { nonce: &nonce, guard: "f", position_ms: Some(1), frames: 2, mac: &mac };
        access.page_answers(&self.seat, &mut self.questions, &answer)
    }
}

#[tokio::test]
async fn three_questions_without_an_answer_are_silence_and_one_answer_heals() {
    both(async |db| {
        let door = open(&db).await;
        door.access.listen();
        let seat = door.seated().await;
        door.pass(17);
        assert!(!seat.is_silent(), "the third answer may be under way");
        door.pass(1);
        assert!(seat.is_silent());

        assert_eq!(seat.standing(), None, "nobody said anything about guards");
        let mut page = Page::of(&seat);
        assert_eq!(page.answers(&door.access), Ok(()));
        assert!(!seat.is_silent(), "at once");
        assert_eq!(seat.standing(), Standing::read("f"));
        for _ in 0..20 {
            door.pass(5);
            // Another socket each time: silence is the session's and not a connection's.
            assert_eq!(Page::of(&seat).answers(&door.access), Ok(()));
            assert!(!seat.is_silent());
        }
        door.pass(18);
        assert!(seat.is_silent());
        assert_eq!(seat.standing(), None, "what it said is not known to be so any more");
    })
    .await;
}

#[tokio::test]
async fn only_a_good_answer_heals() {
    both(async |db| {
        let door = open(&db).await;
        door.access.listen();
        let (seat, other) = (door.seated().await, door.seated().await);
        door.pass(18);
        let mut questions = Questions::default();
        let (nonce, _) = door.access.ask_page(&seat, &mut questions).unwrap();
        let key = door.access.guard(&other).unwrap().key;
        let mac = key.sign(&nonce, "f", None, 2);
        let answer = Answer { nonce: &nonce, guard: "f", position_ms: None, frames: 2, mac: &mac };
        assert_eq!(door.access.page_answers(&seat, &mut questions, &answer), Err(Bad::Mac), "another session's key");
        assert!(seat.is_silent() && seat.standing().is_none());
    })
    .await;
}

#[tokio::test]
async fn nobody_is_silent_for_what_the_server_did() {
    both(async |db| {
        let door = open(&db).await;
        door.access.listen();
        let seat = door.seated().await;
        let key = door.access.guard(&seat).unwrap().key.expose();
        // The process stood still, or the machine slept.
        door.clock.advance(100 * S);
        door.access.listen();
        assert!(!seat.is_silent(), "nobody was there to listen");
        door.pass(17);
        assert!(!seat.is_silent(), "and everybody gets their time anew");

        // It starts again: the page keeps its key, and has all its time to come back.
        let again = start(&db, &door.clock).await;
        let seat = again.rooms.with(seat.session, |seat| seat.cloned()).unwrap();
        assert_eq!(again.guard(&seat).unwrap().key.expose(), key);
        let door = Door { access: again, ..door };
        door.access.listen();
        door.pass(17);
        assert!(!seat.is_silent());
        door.pass(1);
        assert!(seat.is_silent());
        assert_eq!(Page::of(&seat).answers(&door.access), Ok(()));

        // The organiser turns it off, and on again.
        door.protect(ProtectionPolicy { guard: false, ..ProtectionPolicy::default() }).await;
        door.pass(60);
        assert!(!seat.is_silent(), "nobody asks");
        assert!(door.access.guard(&seat).is_none());
        assert_eq!(door.access.ask_page(&seat, &mut Questions::default()), None);
        door.protect(ProtectionPolicy::default()).await;
        door.pass(17);
        assert!(!seat.is_silent(), "nobody had asked");
        door.pass(2);
        assert!(seat.is_silent());
    })
    .await;
}

#[tokio::test]
async fn who_fetches_media_and_does_not_answer_is_noted_unless_it_is_nearly_everybody() {
    both(async |db| {
        let door = open(&db).await;
        door.access.listen();
        let seats = [door.seated().await, door.seated().await];
        for _ in 0..61 {
            door.pass(1);
            // The one fetches media; the other one is gone.
            let _allowed = door.watch(&door.access.playback_token(&seats[0])).unwrap();
        }
        assert_eq!((seats[0].suspicion().points, seats[1].suspicion().points), (2, 0));
        let incidents = door.suspected().await;
        assert_eq!(incidents.len(), 1);
        assert_eq!(incidents[0].session, Some(seats[0].session));
        assert!(incidents[0].text.contains("no page answers for it"), "{}", incidents[0].text);

        let mut many = Vec::new();
        for _ in 0..9 {
            many.push(door.seated().await);
        }
        for _ in 0..70 {
            door.pass(1);
            for seat in &many {
                let _allowed = door.watch(&door.access.playback_token(seat)).unwrap();
            }
        }
        assert!(many.iter().all(|seat| seat.is_silent() && seat.suspicion().points == 0), "it is not them");
    })
    .await;
}

#[tokio::test]
async fn what_is_noticed_is_written_down_and_fades_and_by_default_nothing_is_done_about_it() {
    both(async |db| {
        let door = open(&db).await;
        let seat = door.seated().await;
        let cautioned = seat.cautioned();
        door.access.noticed(&seat, Signal::WindowSize, "");
        assert_eq!(seat.suspicion().points, 1);
        assert_eq!(door.suspected().await, [], "a side panel is nobody's business");
        door.access.noticed(&seat, Signal::ConsoleReads, "Error.name \u{202e}read twice");
        door.access.noticed(&seat, Signal::ConsoleReads, "again");
        door.access.noticed(&seat, Signal::WatermarkStyle, "opacity 0");
        let incidents = door.suspected().await;
        assert_eq!(incidents.len(), 1, "one for one session");
        assert_eq!(
            incidents[0].text,
            "Seen: the window is much larger than the page in it, as with docked developer tools; an open console read \
             what was written to it (2 times); the mark was made invisible or unreadable by style (“opacity 0”). That is \
             7 points from 2 kinds of evidence. Nothing was done about it."
        );
        assert_eq!((incidents[0].times, incidents[0].invitation), (2, Some(seat.invitation)));
        assert_eq!(door.facts("session.suspected").await, 2, "each thing once");
        assert_eq!(*cautioned.borrow(), None);
        assert!(seat.over().is_none());

        door.pass(60 * 100);
        assert_eq!(seat.suspicion(), Suspicion::default());
        assert!(door.suspected().await.len() == 1);
    })
    .await;
}

#[tokio::test]
async fn the_viewer_is_told_what_the_event_says_until_they_have_read_it() {
    both(async |db| {
        let door = open(&db).await;
        door.protect(ProtectionPolicy { action: Action::Blur, ..ProtectionPolicy::default() }).await;
        let seat = door.seated().await;
        door.access.noticed(&seat, Signal::ConsoleReads, "");
        door.access.noticed(&seat, Signal::WatermarkStyle, "");
        let told = Some(Caution { action: Action::Blur, signals: Signal::ConsoleReads.bit() });
        assert_eq!(*seat.cautioned().borrow(), told, "and whoever comes back is told it again");
        seat.acknowledge();
        assert_eq!(*seat.cautioned().borrow(), None);
        assert!(seat.over().is_none(), "more than it says is not done");
        assert!(
            door.suspected().await[0].text.ends_with("Nothing was done about it."),
            "the last thing changed nothing"
        );
        assert_eq!(door.facts("session.ended").await, 0);
    })
    .await;
}

#[tokio::test]
async fn two_kinds_of_evidence_send_out_where_the_event_says_so_and_the_code_still_works() {
    both(async |db| {
        let door = open(&db).await;
        door.protect(ProtectionPolicy { action: Action::Kick, ..ProtectionPolicy::default() }).await;
        let invited = door.invite().await;
        let seat = door.redeem(&invited.code.to_string(), None).await.unwrap().seat;
        let token = door.access.playback_token(&seat);
        for signal in [Signal::ConsoleReads, Signal::ConsoleTime, Signal::DebuggerPause, Signal::ConsoleTools] {
            door.access.noticed(&seat, signal, "");
        }
        door.access.write_notices().await.unwrap();
        assert!(door.watch(&token).is_ok(), "one kind is never enough");
        door.access.noticed(&seat, Signal::WatermarkStyle, "");
        door.access.write_notices().await.unwrap();
        assert!(door.watch(&token).is_err());
        let over = seat.ended().await;
        assert_eq!(over.reason, EndReason::Tampering);
        let words = over.words.unwrap();
        assert!(words.contains("the mark was made invisible") && words.contains("enter your code again"), "{words}");
        let incidents = door.suspected().await;
        assert!(incidents[0].text.ends_with("The viewer was sent out; the code still works."), "{}", incidents[0].text);
        assert_eq!(door.facts("session.ended").await, 1);

        let back = door.redeem(&invited.code.to_string(), None).await.unwrap().seat;
        assert_eq!(back.suspicion(), Suspicion::default(), "they begin anew");
    })
    .await;
}

#[tokio::test]
async fn another_program_with_the_same_address_of_the_media_is_noted_and_the_systems_player_is_not() {
    both(async |db| {
        let door = open(&db).await;
        let seat = door.seated().await;
        let (firefox, player) = ("Mozilla/5.0 (X11; Linux x86_64; rv:153.0) Firefox/153.0", "Lavf/61.7.100");
        for agent in [firefox, "Mozilla/5.0 (Windows NT 10.0) Firefox/153.0"] {
            door.access.shows_agent(&seat, agent.as_bytes());
        }
        assert_eq!(seat.suspicion().points, 0);
        for _ in 0..5 {
            door.access.shows_agent(&seat, player.as_bytes());
            door.access.shows_agent(&seat, firefox.as_bytes());
        }
        assert_eq!(seat.suspicion().points, 3);
        let incidents = door.suspected().await;
        assert!(incidents[0].text.contains("(“Firefox, then Unknown device”)"), "{}", incidents[0].text);
        door.access.shows_agent(&seat, b"\xff\xfe");
    })
    .await;
}

/// Whether a page of `seat` is odd after ninety seconds of answers with these guards, in which it plays or does not.
fn is_odd_without_mark(door: &Door, seat: &Arc<Seat>, guard: &str, visible: bool, plays: bool) -> bool {
    let (mut attendance, mut unmarked) = (seat.attend(), Unmarked::default());
    attendance.reported(Report { visible: Some(visible), ..Report::default() }, door.clock.now());
    for turn in 0..19 {
        door.pass(5);
        let frames = if plays { 120 * (turn + 1) } else { 120 };
        let answer = Answer { nonce: "", guard, position_ms: Some(1), frames, mac: "" };
        door.access.look_for_mark(seat, &attendance, &mut unmarked, &answer);
    }
    seat.suspicion().signals & Signal::WatermarkAbsent.bit() != 0
}

#[tokio::test]
async fn a_page_that_plays_without_the_mark_that_it_was_told_of_is_odd_and_nobody_else_is() {
    both(async |db| {
        let door = open(&db).await;
        let with_mark = ProtectionPolicy { watermark: true, action: Action::Blur, ..ProtectionPolicy::default() };
        let early = door.seated().await;
        assert!(door.access.guard(&early).unwrap().watermark.is_none());
        assert!(!is_odd_without_mark(&door, &early, "0", true, true), "no mark is asked for");
        door.protect(with_mark).await;
        assert!(!is_odd_without_mark(&door, &early, "0", true, true), "its page was never told");

        for (guard, visible, plays, odd) in [
            ("0", true, true, true),
            ("c0", true, true, true),
            ("ff", true, true, false),
            ("1", true, true, false),
            ("0", false, true, false),
            ("0", true, false, false),
        ] {
            let seat = door.seated().await;
            assert!(door.access.guard(&seat).unwrap().watermark.is_some());
            assert_eq!(is_odd_without_mark(&door, &seat, guard, visible, plays), odd, "{guard} {visible} {plays}");
            let told = seat.cautioned().borrow().map(|caution| caution.action);
            assert_eq!(told, odd.then_some(Action::Blur), "{guard} {visible} {plays}");
        }

        let seat = door.seated().await;
        let _told = door.access.guard(&seat);
        door.protect(ProtectionPolicy::default()).await;
        assert!(!is_odd_without_mark(&door, &seat, "0", true, true), "it is not asked for any more");
    })
    .await;
}

#[tokio::test]
async fn two_places_too_far_apart_are_noted_and_another_address_alone_is_not() {
    both(async |db| {
        let door = open(&db).await;
        let folder = std::env::temp_dir().join(format!("stagedoor-travel-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join("places.mmdb"), Database::sample().bytes()).unwrap();
        door.access.geo().read_from(&folder.join("places.mmdb")).await.unwrap();
        let _gone = std::fs::remove_dir_all(&folder);
        let seat = door.seated().await;
        for address in [sample::LYON, "203.0.113.77".parse().unwrap(), sample::NOWHERE, sample::FRANCE, sample::LYON] {
            door.access.came_from(&seat, address);
        }
        assert_eq!(seat.suspicion().points, 0);
        door.clock.advance(3600 * S);
        door.access.came_from(&seat, sample::BERLIN);
        assert_eq!(seat.suspicion().points, 0, "by air");
        door.clock.advance(60 * S);
        door.access.came_from(&seat, sample::LYON);
        assert_eq!(seat.suspicion(), Suspicion { points: 2, signals: Signal::ImpossibleTravel.bit() });
    })
    .await;
}

#[tokio::test]
async fn the_mark_names_the_viewer_and_stays_the_same() {
    both(async |db| {
        let door = open(&db).await;
        door.protect(ProtectionPolicy { watermark: true, ..ProtectionPolicy::default() }).await;
        let seat = door.seated().await;
        door.access.know_number(&seat).await;
        let mark = door.access.guard(&seat).unwrap().watermark.unwrap();
        let tail = seat.session.to_string()[24..].to_ascii_uppercase();
        assert_eq!(mark.lines, ["Ada".to_owned(), format!("{}-{}", &tail[..4], &tail[4..])]);
        assert_eq!(door.access.guard(&seat).unwrap().watermark.unwrap().seed, mark.seed);
        let other = door.seated().await;
        assert_ne!(door.access.guard(&other).unwrap().watermark.unwrap().seed, mark.seed);
        door.protect(ProtectionPolicy::default()).await;
        assert!(door.access.guard(&seat).unwrap().watermark.is_none());
    })
    .await;
}

#[tokio::test]
async fn what_is_noticed_while_the_queue_is_full_is_shown_and_not_kept() {
    both(async |db| {
        let door = open(&db).await;
        let mut last = None;
        for _ in 0..3 {
            last = Some(door.seated().await);
        }
        let seat = last.unwrap();
        for turn in 0..600_u64 {
            door.clock.advance(7_200 * S);
            for signal in [Signal::ConsoleReads, Signal::WatermarkStyle] {
                door.access.noticed(&seat, signal, "");
            }
            assert_eq!(seat.suspicion().points, 6, "{turn}");
        }
        assert_eq!(door.access.notices.len(), 1_024);
    })
    .await;
}
