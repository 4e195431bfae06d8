//! A code changes hands over HTTP: the real routes, both databases, and the sockets of both sides.
//!
//! What must hold whatever happens at the same moment: never two players, never a code that nobody can use, and whoever
//! waits is told at once how it ended.

use std::net::SocketAddr;
use std::rc::Rc;
use std::time::{Duration, Instant};

use futures_util::SinkExt;
use serde_json::{Value, json};
use stagedoor_domain::Time;
use stagedoor_domain::id::EventId;
use tokio_tungstenite::tungstenite::Message;

use crate::feeds::{OURS, Socket, connect, listening, next};
use crate::stage::{Answer, Browser, Invited, Stage, on_both};

/// A word that is told at once is told sooner.
const AT_ONCE: Duration = Duration::from_secs(2);

/// An evening with one invitee, who watches on the first screen.
struct Evening<'a> {
    stage: &'a Stage,
    server: SocketAddr,
    admin: Rc<Browser<'a>>,
    event: String,
    invited: Invited,
    holder: Browser<'a>,
    hls: String,
}

impl<'a> Evening<'a> {
    async fn begin(stage: &'a Stage) -> Self {
        Self::of(stage, listening(stage).await, Rc::new(stage.admin().await)).await
    }

    async fn of(stage: &'a Stage, server: SocketAddr, admin: Rc<Browser<'a>>) -> Self {
        let event = admin.create_event("Evening").await;
        let invited = admin.invite(&event, "Ada").await;
        let holder = stage.browser();
        let hls = holder.enter(&event, &invited.code).await;
        Self { stage, server, admin, event, invited, holder, hls }
    }

    fn path(&self, rest: &str) -> String {
        format!("/api/v1/events/{}{rest}", self.event)
    }

    /// Somebody comes with the code and is told that the first screen is asked; their question.
    async fn ask(&self, contender: &Browser<'_>) -> String {
        let asked = contender.redeem(&self.event, &self.invited.code).await;
        assert_eq!((asked.status, asked.at("/waiting")), (202, "takeover".to_owned()), "{asked:?}");
        asked.at("/takeover/id")
    }

    async fn answer(&self, holder: &Browser<'_>, question: &str, approve: bool) -> Answer {
        let path = self.path(&format!("/sessions/current/takeovers/{question}"));
        holder.post(&path, json!({"approve": approve})).await
    }

    /// The feed of the holder's page, past its first word.
    async fn page(&self, holder: &Browser<'_>) -> Socket {
        let mut page = connect(self.server, holder, &self.path("/sessions/current/feed"), OURS).await.unwrap();
        assert_eq!(next(&mut page).await.unwrap()["type"], "state");
        page
    }

    /// The feed of a page that waits for an answer, past its first word.
    async fn waits(&self, contender: &Browser<'_>, question: &str) -> Socket {
        let path = self.path(&format!("/takeovers/{question}/feed"));
        let mut wait = connect(self.server, contender, &path, OURS).await.unwrap();
        assert_eq!(told(&mut wait).await, "pending");
        wait
    }

    /// A page in the foreground says so, and the server has heard it.
    async fn looks(&self, page: &mut Socket) {
        page.send(Message::text(r#"{"type":"report","visible":true,"height":720}"#)).await.unwrap();
        let viewers = self.path("/viewers");
        // When somebody was last seen is known to the second.
        let second = Time::from_millis(self.stage.clock.now().millis() / 1_000 * 1_000);
        for _ in 0..100 {
            let shown = self.admin.get(&viewers).await.json();
            if shown["data"][0]["visible"] == true && shown["data"][0]["last_seen_at"] == json!(second) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("the report was not heard");
    }

    async fn kick(&self) -> Answer {
        let session = self.admin.get(&self.path("/viewers")).await.at("/data/0/session");
        self.admin.post(&self.path(&format!("/viewers/{session}/kick")), json!({"reason": "Bye"})).await
    }

    /// Another code for the invitee.
    async fn regenerate(&self) -> Answer {
        let who = json!({"selection": {"ids": [self.invited.id]}});
        self.admin.post(&self.path("/invitations/regenerate"), who).await
    }

    async fn present_code(&self) -> String {
        self.admin.get(&self.path(&format!("/invitations/{}/code", self.invited.id))).await.at("/code")
    }

    /// How many sessions there are.
    async fn inside(&self) -> usize {
        self.admin.get(&self.path("/viewers")).await.json()["data"].as_array().unwrap().len()
    }

    /// Whether the code lets somebody in with whom nobody is in touch any more.
    async fn anybody_gets_in(&self) -> bool {
        self.stage.pass(31);
        self.stage.access.turn_takeovers().await.unwrap();
        self.stage.pass(31);
        self.stage.access.turn_takeovers().await.unwrap();
        let code = self.present_code().await;
        let stranger = self.stage.browser();
        let answer = stranger.redeem(&self.event, &code).await;
        answer.status == 201 && self.stage.lets_in(&answer.at("/playback/hls")).await && self.inside().await == 1
    }
}

/// The next word about a question on either side.
async fn told(socket: &mut Socket) -> String {
    let word = tokio::time::timeout(AT_ONCE, next(socket)).await.expect("told at once").expect("a word");
    word["state"].as_str().unwrap_or_else(|| panic!("{word}")).to_owned()
}

async fn next_word(socket: &mut Socket) -> Value {
    tokio::time::timeout(AT_ONCE, next(socket)).await.expect("told at once").expect("a word")
}

fn has_ticket(browser: &Browser<'_>, event: &str) -> bool {
    browser.cookie_header(&format!("/api/v1/events/{event}/sessions")).contains("stagedoor_takeover=")
}

#[tokio::test]
async fn what_was_given_once_is_taken_once_also_by_two_at_the_same_moment() {
    on_both(async |stage| {
        let (server, admin) = (listening(stage).await, Rc::new(stage.admin().await));
        for _ in 0..5 {
            let evening = Evening::of(stage, server, Rc::clone(&admin)).await;
            let (event, code) = (&evening.event, &evening.invited.code);
            let second = stage.browser();
            let question = evening.ask(&second).await;
            let mut wait = evening.waits(&second, &question).await;
            assert_eq!(evening.answer(&evening.holder, &question, true).await.at("/state"), "approved");
            assert_eq!(told(&mut wait).await, "approved");
            assert!(stage.lets_in(&evening.hls).await, "until the other one comes");

            // The same page twice: a double click, a second tab.
            let ticket = second.cookie_header(&evening.path("/sessions"));
            let claim = async || {
                let request = http::Request::post(evening.path("/sessions"))
                    .header("origin", "http://stage.test")
                    .header("content-type", "application/json")
                    .header("cookie", &ticket);
                stage.browser().raw(request.body(json!({"code": code}).to_string().into()).unwrap()).await
            };
            let (one, other) = tokio::join!(claim(), claim());
            let mut statuses = [one.status, other.status];
            statuses.sort_unstable();
            assert!(matches!(statuses, [201, 202 | 409]), "{one:?} {other:?}");
            assert_eq!(told(&mut wait).await, "claimed");
            assert!(!stage.lets_in(&evening.hls).await, "the first screen is out");
            assert_eq!(evening.inside().await, 1);
            let won = if one.status == 201 { one } else { other };
            assert!(stage.lets_in(&won.at("/playback/hls")).await);
            evening.holder.current(event).await.refused(401, "access_ended");
            assert!(evening.anybody_gets_in().await);
        }
    })
    .await;
}

#[tokio::test]
async fn a_new_code_during_the_dialog_ends_it_for_everybody() {
    on_both(async |stage| {
        let evening = Evening::begin(stage).await;
        let mut page = evening.page(&evening.holder).await;
        let second = stage.browser();
        let question = evening.ask(&second).await;
        assert_eq!(next_word(&mut page).await["type"], "takeover");
        let mut wait = evening.waits(&second, &question).await;

        assert_eq!(evening.regenerate().await.json()["sessions_ended"], 1);
        assert_eq!(told(&mut wait).await, "cancelled");
        assert!(next(&mut wait).await.is_none(), "the last word");
        let mut word = next_word(&mut page).await;
        if word["type"] == "takeover_over" {
            word = next_word(&mut page).await;
        }
        assert_eq!((&word["type"], &word["reason"]), (&json!("bye"), &json!("code_changed")));
        assert!(!stage.lets_in(&evening.hls).await);

        // The page that waited asks again, as pages do, and is judged by what holds now.
        second.redeem(&evening.event, &evening.invited.code).await.refused(403, "code_invalid");
        assert_eq!(evening.answer(&evening.holder, &question, true).await.status, 401, "who is out gives nothing away");
        let code = evening.present_code().await;
        assert_ne!(code, evening.invited.code);
        second.enter(&evening.event, &code).await;
        assert!(!has_ticket(&second, &evening.event));
        assert_eq!(evening.inside().await, 1);
    })
    .await;
}

#[tokio::test]
async fn a_holder_who_is_sent_out_during_the_dialog_leaves_a_code_that_works() {
    on_both(async |stage| {
        let evening = Evening::begin(stage).await;
        let mut page = evening.page(&evening.holder).await;
        let second = stage.browser();
        let question = evening.ask(&second).await;
        next_word(&mut page).await;
        let mut wait = evening.waits(&second, &question).await;
        assert_eq!(evening.kick().await.json(), json!({"sessions": 1, "recorded": true}));
        assert_eq!(told(&mut wait).await, "cancelled");
        let mut word = next_word(&mut page).await;
        if word["type"] == "takeover_over" {
            word = next_word(&mut page).await;
        }
        assert_eq!(word, json!({"type": "bye", "reason": "kicked", "message": "Bye"}));
        assert!(!stage.lets_in(&evening.hls).await);
        let hls = second.enter(&evening.event, &evening.invited.code).await;
        assert!(stage.lets_in(&hls).await);
        assert_eq!(evening.inside().await, 1);
        // Kept out for good, nobody is asked and nobody gets in, whoever waited.
        let question = evening.ask(&evening.holder).await;
        let mut wait = evening.waits(&evening.holder, &question).await;
        let block = evening.path(&format!("/invitations/{}/block", evening.invited.id));
        assert_eq!(evening.admin.post(&block, json!({})).await.status, 204);
        assert_eq!(told(&mut wait).await, "cancelled");
        evening.holder.redeem(&evening.event, &evening.invited.code).await.refused(403, "blocked");
        assert_eq!(evening.inside().await, 0);
    })
    .await;
}

#[tokio::test]
async fn a_page_that_is_loaded_again_is_asked_again_with_the_time_that_is_left() {
    on_both(async |stage| {
        let evening = Evening::begin(stage).await;
        let mut page = evening.page(&evening.holder).await;
        let second = stage.browser();
        let question = evening.ask(&second).await;
        let asked = next_word(&mut page).await;
        assert_eq!(asked["id"], question.as_str());
        assert!(!asked.to_string().contains(&second.address.to_string()), "never an address");
        page.close(None).await.unwrap();
        drop(page);
        stage.pass(15);
        assert_eq!(evening.holder.current(&evening.event).await.status, 200);
        let mut page = evening.page(&evening.holder).await;
        assert_eq!(next_word(&mut page).await, asked, "the same question, and the same end of it");

        // A second tab of the same browser is asked too, and both hear the answer that one of them gives.
        let mut tab = evening.page(&evening.holder).await;
        assert_eq!(next_word(&mut tab).await, asked);
        assert_eq!(evening.answer(&evening.holder, &question, false).await.at("/state"), "declined");
        assert_eq!((told(&mut page).await, told(&mut tab).await), ("declined".into(), "declined".into()));
        let standing = second.get(&evening.path(&format!("/takeovers/{question}"))).await;
        assert_eq!(standing.at("/state"), "declined");
        assert!(!has_ticket(&second, &evening.event), "there is nothing more to ask with it");
        assert!(stage.lets_in(&evening.hls).await);
        // Whoever opens the page after that is told nothing that would open a dialog.
        let mut page = evening.page(&evening.holder).await;
        assert_eq!(next_word(&mut page).await["type"], "takeover_over");
    })
    .await;
}

#[tokio::test]
async fn a_holder_who_closes_the_page_makes_way_after_the_grace_and_not_before() {
    on_both(async |stage| {
        let evening = Evening::begin(stage).await;
        let mut page = evening.page(&evening.holder).await;
        evening.looks(&mut page).await;
        let second = stage.browser();
        let question = evening.ask(&second).await;
        let mut wait = evening.waits(&second, &question).await;
        page.close(None).await.unwrap();
        drop(page);
        let standing = evening.path(&format!("/takeovers/{question}"));
        for _ in 0..2 {
            stage.pass(14);
            assert_eq!(second.get(&standing).await.at("/state"), "pending");
            stage.access.turn_takeovers().await.unwrap();
        }
        assert!(stage.access.room(evening.event.parse().unwrap()).unwrap().seated() == 1);
        stage.pass(2);
        stage.access.turn_takeovers().await.unwrap();
        assert_eq!(told(&mut wait).await, "approved", "thirty seconds without a sign of life");
        assert_eq!(evening.inside().await, 1);
        let hls = second.enter(&evening.event, &evening.invited.code).await;
        assert!(!has_ticket(&second, &evening.event), "claimed");
        assert!(stage.lets_in(&hls).await && !stage.lets_in(&evening.hls).await);
        assert_eq!(evening.inside().await, 1);
    })
    .await;
}

#[tokio::test]
async fn of_two_who_ask_at_the_same_moment_one_is_heard_and_then_the_other() {
    on_both(async |stage| {
        let evening = Evening::begin(stage).await;
        let (event, code) = (&evening.event, &evening.invited.code);
        let (a, b) = (stage.browser(), stage.browser());
        let (first, second) = tokio::join!(a.redeem(event, code), b.redeem(event, code));
        let (first, second, heard, other) =
            if first.status == 202 { (first, second, &a, &b) } else { (second, first, &b, &a) };
        assert_eq!(first.at("/waiting"), "takeover");
        second.refused(409, "takeover_pending");
        assert!(!has_ticket(other, event));
        let question = first.at("/takeover/id");
        let mut wait = evening.waits(heard, &question).await;
        // Nobody hears of a question that is not theirs.
        let path = evening.path(&format!("/takeovers/{question}"));
        other.get(&path).await.refused(404, "no_takeover");
        assert_eq!(connect(evening.server, other, &format!("{path}/feed"), OURS).await.err(), Some(404));
        other.delete(&path).await;
        assert_eq!(heard.get(&path).await.at("/state"), "pending");

        // The one who was heard gives up: the holder's dialog closes, and the other is heard at once.
        let mut page = evening.page(&evening.holder).await;
        assert_eq!(next_word(&mut page).await["id"], question.as_str());
        assert_eq!(heard.delete(&path).await.status, 204);
        assert!(!has_ticket(heard, event));
        assert_eq!(told(&mut wait).await, "cancelled");
        assert_eq!(told(&mut page).await, "cancelled");
        let question = evening.ask(other).await;
        assert_eq!(next_word(&mut page).await["id"], question.as_str());
        assert_eq!(evening.answer(&evening.holder, &question, true).await.at("/state"), "approved");
        other.enter(event, code).await;
        assert_eq!(evening.inside().await, 1);
    })
    .await;
}

#[tokio::test]
async fn an_answer_in_the_very_moment_in_which_time_is_up_is_one_answer_for_both() {
    on_both(async |stage| {
        let (server, admin) = (listening(stage).await, Rc::new(stage.admin().await));
        let (mut given, mut too_late) = (0, 0);
        for round in 0..12 {
            let evening = Evening::of(stage, server, Rc::clone(&admin)).await;
            let mut page = evening.page(&evening.holder).await;
            evening.looks(&mut page).await;
            let second = stage.browser();
            let question = evening.ask(&second).await;
            assert_eq!(next_word(&mut page).await["type"], "takeover");
            let mut wait = evening.waits(&second, &question).await;
            let standing = evening.path(&format!("/takeovers/{question}"));
            for _ in 0..5 {
                stage.pass(10);
                evening.looks(&mut page).await;
                second.get(&standing).await;
            }
            // A millisecond before the end, the end, and the answer, in whatever order the database takes them.
            stage.clock.advance(Duration::from_millis(9_999));
            evening.looks(&mut page).await;
            second.get(&standing).await;
            let time = async {
                stage.clock.advance(Duration::from_millis(1));
                stage.access.turn_takeovers().await.unwrap();
            };
            let answered = if round % 2 == 0 {
                tokio::join!(evening.answer(&evening.holder, &question, true), time).0
            } else {
                tokio::join!(time, evening.answer(&evening.holder, &question, true)).1
            };
            let state = answered.at("/state");
            assert_eq!(told(&mut wait).await, state, "round {round}");
            assert_eq!(told(&mut page).await, state);
            assert_eq!(second.get(&standing).await.at("/state"), state);
            let claim = second.redeem(&evening.event, &evening.invited.code).await;
            match state.as_str() {
                "approved" => {
                    given += 1;
                    assert_eq!(claim.status, 201);
                }
                "expired" => {
                    too_late += 1;
                    assert_eq!((claim.status, claim.at("/waiting")), (202, "takeover".into()), "asked anew");
                    assert!(stage.lets_in(&evening.hls).await);
                }
                other => panic!("{other}"),
            }
            assert_eq!(evening.inside().await, 1);
        }
        assert_eq!(given + too_late, 12);
    })
    .await;
}

/// Whoever acts in a round, all at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Act {
    Approve,
    Decline,
    Leave,
    Claim,
    ThirdAsks,
    GiveUp,
    Kick,
    Regenerate,
    EndAll,
    Time,
    Reload,
}

const ACTS: [Act; 11] = [
    Act::Approve,
    Act::Decline,
    Act::Leave,
    Act::Claim,
    Act::ThirdAsks,
    Act::GiveUp,
    Act::Kick,
    Act::Regenerate,
    Act::EndAll,
    Act::Time,
    Act::Reload,
];

/// Every pair of acts in the same moment, on an open question and on one that was answered with yes.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn whatever_two_do_at_the_same_moment_there_is_one_player_at_most_and_the_code_works() {
    on_both(async |stage| {
        let (server, admin) = (listening(stage).await, Rc::new(stage.admin().await));
        let begun = Instant::now();
        for given in [false, true] {
            for (at, first) in ACTS.iter().enumerate() {
                for second in &ACTS[at..] {
                    let evening = Evening::of(stage, server, Rc::clone(&admin)).await;
                    round(&evening, given, *first, *second).await;
                }
            }
        }
        assert!(begun.elapsed() < Duration::from_secs(240), "it hangs");
    })
    .await;
}

async fn round(evening: &Evening<'_>, given: bool, first: Act, second: Act) {
    let what = format!("given: {given}, {first:?} and {second:?}");
    let stage = evening.stage;
    let (contender, third) = (stage.browser(), stage.browser());
    let question = evening.ask(&contender).await;
    if given {
        assert_eq!(evening.answer(&evening.holder, &question, true).await.at("/state"), "approved");
    }
    let act = async |act: Act| -> Option<Answer> {
        let takeover = evening.path(&format!("/takeovers/{question}"));
        let current = evening.path("/sessions/current");
        let code = &evening.invited.code;
        Some(match act {
            Act::Approve => evening.answer(&evening.holder, &question, true).await,
            Act::Decline => evening.answer(&evening.holder, &question, false).await,
            Act::Leave => evening.holder.delete(&current).await,
            Act::Claim => contender.redeem(&evening.event, code).await,
            Act::ThirdAsks => third.redeem(&evening.event, code).await,
            Act::GiveUp => contender.delete(&takeover).await,
            Act::Kick => {
                let listed = evening.admin.get(&evening.path("/viewers")).await.json();
                let session = listed["data"][0]["session"].as_str()?.to_owned();
                evening.admin.post(&evening.path(&format!("/viewers/{session}/kick")), json!({})).await
            }
            Act::Regenerate => evening.regenerate().await,
            Act::EndAll => evening.admin.post(&evening.path("/viewers/end-all"), json!({})).await,
            Act::Time => {
                stage.pass(61);
                stage.access.turn_takeovers().await.unwrap();
                return None;
            }
            Act::Reload => evening.holder.redeem(&evening.event, code).await,
        })
    };
    let (one, other) = tokio::join!(act(first), act(second));
    let mut players = usize::from(stage.lets_in(&evening.hls).await);
    for answer in [&one, &other].into_iter().flatten() {
        assert!(answer.status < 500, "{what}: {answer:?}");
        let playing = answer.json().pointer("/playback/hls").and_then(Value::as_str).map(str::to_owned);
        if let Some(hls) = playing.filter(|hls| session_of(hls) != session_of(&evening.hls)) {
            players += usize::from(stage.lets_in(&hls).await);
        }
    }
    let same = |answer: &Option<Answer>| answer.as_ref().and_then(|answer| Some(answer.json().get("id")?.to_string()));
    if same(&one).is_some() && same(&one) == same(&other) {
        // Two answers about one session.
        players = players.min(1);
    }
    assert!(players <= 1, "{what}: {players} players\n{one:?}\n{other:?}");
    assert!(evening.inside().await <= 1, "{what}: {one:?} {other:?}");
    let event: EventId = evening.event.parse().unwrap();
    assert_eq!(stage.access.room(event).unwrap().seated(), evening.inside().await, "{what}");
    assert!(evening.anybody_gets_in().await, "{what}: {one:?} {other:?}");
}

/// What tells one playback address from another: a session's token is the same each time it is made.
fn session_of(hls: &str) -> &str {
    hls.split("/live/").nth(1).and_then(|rest| rest.split('/').next()).unwrap_or(hls)
}
