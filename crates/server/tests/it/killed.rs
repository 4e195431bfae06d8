//! `kill -9` on the real server while it sends, and while it gives out new codes: at every step, and at moments that a seed
//! chooses.
//!
//! The process is the one that ships, and nothing in it knows about this test: where it stands is seen from outside, by
//! what Twilio was asked and by what is in the database. Nobody can move the clock of a process; but while none runs,
//! what it wrote down can be made older. That is how minutes pass here.

#![expect(clippy::print_stdout, reason = "seeds, steps and what the server said: shown when it fails")]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use stagedoor_server::ports::db::{Db, Tx};
use stagedoor_testkit::database::Scratch;
use stagedoor_testkit::twilio::{self, Behave, Twilio};

use crate::process::Process;

/// Who is written to while the steps are walked, some in each of them, and then all the others at once.
const PEOPLE: u32 = 220;
const PER_STEP: usize = 4;
/// Kills at moments of chance.
const KILLS: u64 = 10;
/// Longer than a lease and than the time between two looks.
const MINUTE: i64 = 61_000;
/// Nothing takes longer, or something hangs.
const PATIENCE: Duration = Duration::from_secs(20);

/// Where the process dies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    /// The order was taken, and little more.
    Ordered,
    /// A message is claimed, and the gateway did not take it.
    Claimed,
    /// The gateway took it and did not answer.
    Given,
    /// The gateway answered, and that is not written down.
    Answered,
    /// It is written down.
    Settled,
    /// The line broke after the gateway took it, and the doubt is written down.
    Doubted,
    /// The gateway is asked whether it has it.
    Looking,
    /// It answered that, and it is not written down.
    Looked,
}

const STEPS: [Step; 8] = [
    Step::Ordered,
    Step::Claimed,
    Step::Given,
    Step::Answered,
    Step::Settled,
    Step::Doubted,
    Step::Looking,
    Step::Looked,
];

/// Numbers that Twilio never lists: whoever is in doubt about them stays so.
fn unreadable(number: &str) -> bool {
    number.ends_with('7')
}

fn phone(number: u32) -> String {
    format!("+336{number:08}")
}

/// SplitMix64: the next number of chance.
fn chance(seed: &mut u64) -> u64 {
    *seed = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mixed = (*seed ^ (*seed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

/// What a bad day at Twilio is like, by the number and by how often it was asked for.
fn bad_day(seed: u64, number: &str, nth: u32) -> Behave {
    if number.ends_with("37") && nth == 1 {
        return Behave::TakeAndBreak;
    }
    let digits: u64 = number.trim_start_matches('+').parse().unwrap();
    let mut seed = seed ^ digits << 8 ^ u64::from(nth);
    match chance(&mut seed) % 100 {
        0..8 => Behave::TakeSlowly(Duration::from_millis(chance(&mut seed) % 400)),
        8..14 => Behave::TakeAndBreak,
        14..20 => Behave::TakeAndFail(500),
        20..24 => Behave::Break,
        24..28 => Behave::Refuse(500, 20_500, None),
        28..32 => Behave::Refuse(429, 20_429, None),
        // Asks for time: then nobody is sent anything for five seconds.
        32 => Behave::Refuse(429, 20_429, Some(1)),
        33..36 => Behave::TakeAndHang,
        _ => Behave::Take,
    }
}

struct House {
    seed: u64,
    folder: PathBuf,
    database: String,
    db: Db,
    twilio: Twilio,
    server: Process,
    /// Times that it was started.
    lives: u32,
    http: reqwest::Client,
    cookie: String,
    event: String,
    invitations: Vec<String>,
}

impl House {
    async fn open(scratch: &Scratch, seed: u64, people: u32) -> Self {
        let folder = std::env::temp_dir().join(format!("stagedoor-killed-{seed}-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let twilio = Twilio::start().await;
        let server = start(&folder, scratch.url(), &twilio).await;
        let db = Db::open(scratch.url()).await.unwrap();
        let http = reqwest::Client::new();
        let password = server.password.clone().expect("the first start makes an administrator");
        let mut house = Self {
            seed,
            folder,
            database: scratch.url().to_owned(),
            db,
            twilio,
            server,
            lives: 1,
            http,
            cookie: String::new(),
            event: String::new(),
            invitations: Vec::new(),
        };
        let login = house.post("/login", json!({"username": "admin", "password": password})).await;
        let cookie = login.0.headers().get("set-cookie").unwrap().to_str().unwrap().to_owned();
        house.cookie = cookie.split(';').next().unwrap().to_owned();
        let policy = json!({"messages": {"per_second": 100}});
        house.event = house.made("/events", json!({"title": "Evening", "policy": policy})).await;
        house.invite(people).await;
        house
    }

    async fn post(&self, path: &str, body: Value) -> (reqwest::Response, u16) {
        let url = format!("{}/api/v1{path}", self.server.origin);
        let request = self.http.post(url).header("origin", &self.server.origin).header("cookie", &self.cookie);
        let answer = request.json(&body).send().await.unwrap();
        let status = answer.status().as_u16();
        (answer, status)
    }

    async fn made(&self, path: &str, body: Value) -> String {
        let (answer, status) = self.post(path, body).await;
        let text = answer.text().await.unwrap();
        assert_eq!(status, 201, "{path}: {text}");
        serde_json::from_str::<Value>(&text).unwrap()["id"].as_str().unwrap().to_owned()
    }

    async fn get(&self, path: &str) -> Value {
        let url = format!("{}/api/v1/events/{}{path}", self.server.origin, self.event);
        let answer = self.http.get(url).header("cookie", &self.cookie).send().await.unwrap();
        serde_json::from_str(&answer.text().await.unwrap()).unwrap()
    }

    /// From a list, as an organiser would.
    async fn invite(&mut self, people: u32) {
        let guests = (0..people).map(|number| format!("Guest {number:03},{}\n", phone(number)));
        let list = format!("Name,Phone\n{}", guests.collect::<String>());
        let url = format!("{}/api/v1/events/{}/imports", self.server.origin, self.event);
        let upload = self.http.post(url).header("origin", &self.server.origin).header("cookie", &self.cookie);
        let uploaded = upload.header("content-type", "text/csv; charset=utf-8").body(list).send().await.unwrap();
        let uploaded: Value = uploaded.json().await.unwrap();
        let import = uploaded["id"].as_str().unwrap();
        let start = json!({"mapping": {"name": 0, "phone": 1}});
        let (answer, status) = self.post(&format!("/events/{}/imports/{import}/start", self.event), start).await;
        assert_eq!(status, 202, "{}", answer.text().await.unwrap());
        self.until("the list", "SELECT COUNT(*) AS n FROM invitations", |n| n == i64::from(people)).await;
        let rows = self.db.all("SELECT id FROM invitations ORDER BY name", []).await.unwrap();
        self.invitations = rows.iter().map(|row| row.text("id").unwrap()).collect();
    }

    async fn order(&self, people: &[String]) {
        let body = json!({"selection": {"ids": people}, "channel": "sms", "kind": "invitation"});
        self.made(&format!("/events/{}/sends", self.event), body).await;
    }

    /// `kill -9`: nothing is flushed, nobody is told.
    async fn kill(&mut self) {
        self.server.child.start_kill().unwrap();
        let status = self.server.child.wait().await.unwrap();
        assert_eq!(std::os::unix::process::ExitStatusExt::signal(&status), Some(9), "it had ended by itself: {status}");
    }

    async fn start(&mut self) {
        self.server = start(&self.folder, &self.database, &self.twilio).await;
        self.lives += 1;
    }

    /// A minute passes while nothing runs.
    async fn pass(&self) {
        let mut tx = self.db.write().await.unwrap();
        for sql in [
            "UPDATE messages SET lease_until = lease_until - $1, claimed_at = claimed_at - $1, not_before = not_before - $1",
            "UPDATE message_pace SET next_at = next_at - $1, wake_at = wake_at - $1",
        ] {
            tx.execute(sql, [MINUTE.into()]).await.unwrap();
        }
        tx.commit().await.unwrap();
    }

    /// Whoever wants to write about a message waits from here on.
    async fn hold(&self) -> Tx {
        let mut tx = self.db.write().await.unwrap();
        if matches!(self.db, Db::Postgres(_)) {
            tx.execute("LOCK TABLE messages IN SHARE ROW EXCLUSIVE MODE", []).await.unwrap();
        }
        tx
    }

    async fn count(&self, sql: &'static str) -> i64 {
        self.db.one(sql, []).await.unwrap().unwrap().int("n").unwrap()
    }

    /// Waits until the database says so.
    async fn until(&self, what: &str, sql: &'static str, holds: impl Fn(i64) -> bool) {
        let begin = Instant::now();
        loop {
            let n = self.count(sql).await;
            if holds(n) {
                return;
            }
            assert!(begin.elapsed() < PATIENCE, "{what}: {n}");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    async fn twilio_until(&self, what: &str, holds: impl Fn(&Twilio) -> bool) {
        let waited = tokio::time::timeout(PATIENCE, self.twilio.until(holds)).await;
        assert!(waited.is_ok(), "{what}: {} requests, {} looks", self.twilio.requests(), self.twilio.looks());
    }

    /// Lets the process work as far as `step`, ends it there, and shows that it was there.
    async fn die_at(&mut self, step: Step, people: &[String]) {
        const SENDING: &str = "SELECT COUNT(*) AS n FROM messages WHERE state = 'sending'";
        const SENT: &str = "SELECT COUNT(*) AS n FROM messages WHERE state = 'sent'";
        const IN_DOUBT: &str =
            "SELECT COUNT(*) AS n FROM messages WHERE state = 'sending' AND lease_until < claimed_at + 45000";
        const LOOKED_FOR: &str = "SELECT COUNT(*) AS n FROM messages WHERE state = 'sending' AND looks > 0";
        let (requests, answers) = (self.twilio.requests(), self.twilio.answers());
        let each = |behave: Behave| vec![behave; PER_STEP];
        self.twilio.script(match step {
            Step::Ordered | Step::Settled => each(Behave::Take),
            Step::Claimed => each(Behave::Hang),
            Step::Given => each(Behave::TakeAndHang),
            Step::Answered => each(Behave::TakeSlowly(Duration::from_millis(300))),
            Step::Doubted | Step::Looking | Step::Looked => each(Behave::TakeAndBreak),
        });
        let sent = self.count(SENT).await;
        self.order(people).await;
        let asked = |twilio: &Twilio| twilio.requests() > requests;
        match step {
            Step::Ordered => self.kill().await,
            Step::Claimed | Step::Given => {
                self.twilio_until("a request", asked).await;
                self.kill().await;
                assert!(self.count(SENDING).await >= 1);
            }
            Step::Answered => {
                self.twilio_until("a request", asked).await;
                let tx = self.hold().await;
                let sent = self.count(SENT).await;
                self.twilio_until("an answer", |twilio| twilio.answers() > answers).await;
                self.kill().await;
                drop(tx);
                assert!(self.count(SENDING).await >= 1);
                assert_eq!(self.count(SENT).await, sent);
            }
            Step::Settled => {
                self.until("something sent", SENT, |n| n > sent).await;
                self.kill().await;
            }
            Step::Doubted => {
                self.until("doubt", IN_DOUBT, |n| n > 0).await;
                self.kill().await;
            }
            Step::Looking | Step::Looked => {
                self.until("doubt", IN_DOUBT, |n| n > 0).await;
                self.kill().await;
                self.pass().await;
                self.twilio.look_time(Duration::from_millis(if step == Step::Looked { 300 } else { 60_000 }));
                let (looks, answers) = (self.twilio.looks(), self.twilio.look_answers());
                self.start().await;
                self.twilio_until("a look", |twilio| twilio.looks() > looks).await;
                if step == Step::Looked {
                    let tx = self.hold().await;
                    self.twilio_until("an answer", |twilio| twilio.look_answers() > answers).await;
                    self.kill().await;
                    drop(tx);
                } else {
                    self.kill().await;
                }
                assert!(self.count(LOOKED_FOR).await >= 1);
                self.twilio.look_time(Duration::ZERO);
            }
        }
        self.twilio.script([]);
        self.pass().await;
        self.start().await;
    }

    /// Restarted, each time a minute later, until there is nothing more to do.
    async fn finish(&mut self) {
        const OPEN: &str = "SELECT COUNT(*) AS n FROM messages WHERE state IN ('queued', 'sending')";
        // Due, unless the event waits for longer than this life lasts; in the gateway's hands, unless it hangs there.
        const DUE: &str = "SELECT COUNT(*) AS n FROM messages m JOIN message_pace p ON p.event_id = m.event_id
            WHERE (m.state = 'queued' AND m.held IS NULL AND m.not_before <= $1 AND p.next_at < $1 + 500)
            OR (m.state = 'sending' AND m.lease_until <= $1)";
        for round in 1..=12 {
            // What the gateway said may still be on its way into the database: a moment of silence, longer each time.
            // A look that is cut off counts as one that was answered badly: none is under way when the process ends.
            let (begin, mut quiet, mut seen) = (Instant::now(), Instant::now(), None);
            let lost = self.twilio.looks() - self.twilio.look_answers();
            while quiet.elapsed() < Duration::from_millis(200 + 50 * round) && begin.elapsed() < PATIENCE {
                let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_millis();
                let now = i64::try_from(now).unwrap();
                let due = self.db.one(DUE, [now.into()]).await.unwrap().unwrap().int("n").unwrap();
                let twilio = &self.twilio;
                let sees = Some((due, twilio.requests(), twilio.answers(), twilio.looks(), twilio.look_answers()));
                let looking = twilio.looks() - twilio.look_answers() > lost;
                if due > 0 || looking || sees != seen {
                    (quiet, seen) = (Instant::now(), sees);
                }
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
            if self.count(OPEN).await == 0
                && self.count("SELECT COUNT(*) AS n FROM sends WHERE NOT expanded").await == 0
            {
                return;
            }
            self.kill().await;
            self.pass().await;
            self.start().await;
        }
        let left = self.get("/messages?limit=100&state=sending").await;
        panic!("{} messages are still open: {left}", self.count(OPEN).await);
    }

    /// Each got one, or is shown as in doubt and got at most one.
    async fn judge(&self) {
        let mut copies: BTreeMap<String, u32> = (0..PEOPLE).map(|number| (phone(number), 0)).collect();
        for taken in self.twilio.taken() {
            *copies.get_mut(&taken.to).expect("only who is invited") += 1;
        }
        let most = copies.values().max().unwrap();
        assert_eq!(*most, 1, "seed {}: somebody got two: {copies:?}", self.seed);
        let mut unknown = Vec::new();
        for state in ["failed", "suppressed", "queued", "sending"] {
            let list = self.get(&format!("/messages?state={state}&limit=100")).await;
            for each in list["data"].as_array().unwrap() {
                assert_eq!((state, each["error"].as_str()), ("failed", Some("unknown")), "seed {}: {each}", self.seed);
                let invitation = each["invitation"].as_str().unwrap();
                let number = self.invitations.iter().position(|id| id == invitation).unwrap();
                unknown.push(phone(u32::try_from(number).unwrap()));
            }
        }
        for number in &unknown {
            assert!(unreadable(number), "seed {}: Twilio's list could have told about {number}", self.seed);
            copies.remove(number);
        }
        let nobody: Vec<_> = copies.iter().filter(|(_, copies)| **copies == 0).collect();
        assert!(nobody.is_empty(), "seed {}: forgotten: {nobody:?}", self.seed);
        let (ones, doubts) = (copies.len(), unknown.len());
        println!("seed {}: {} lives, {ones} got one, {doubts} in doubt", self.seed, self.lives);
        assert!(doubts >= 1, "nobody was in doubt: this seed shows less than it should");
        assert!(self.twilio.requests() > PEOPLE, "nothing went wrong: this seed shows less than it should");
    }
}

/// The server with Twilio as its gateway.
async fn start(folder: &Path, database: &str, twilio: &Twilio) -> Process {
    let more = [
        ("STAGEDOOR_SMS_GATEWAY", "twilio"),
        ("STAGEDOOR_SMS_ACCOUNT_SID", twilio::ACCOUNT),
        ("STAGEDOOR_SMS_AUTH_TOKEN", twilio::TOKEN),
        ("STAGEDOOR_SMS_FROM", "+15005550006"),
        ("STAGEDOOR_SMS_BASE_URL", &twilio.url()),
    ];
    Process::start(folder, database, &more).await
}

async fn nobody_twice(scratch: Scratch, seed: u64) {
    let begin = Instant::now();
    let mut house = House::open(&scratch, seed, PEOPLE).await;
    house.twilio.unreadable(unreadable);
    let invited = begin.elapsed();
    let invitations = house.invitations.clone();
    let mut people = invitations.chunks(PER_STEP);
    for step in STEPS {
        println!("{step:?} at {:?}", begin.elapsed());
        house.die_at(step, people.next().unwrap()).await;
    }
    let walked = begin.elapsed();
    house.twilio.temper(move |number, nth| bad_day(seed, number, nth));
    house.order(&invitations).await;
    let mut moments = seed;
    for _ in 0..KILLS {
        tokio::time::sleep(Duration::from_millis(chance(&mut moments) % 500)).await;
        house.kill().await;
        house.pass().await;
        house.start().await;
    }
    let killed = begin.elapsed();
    house.twilio.temper(|_, _| Behave::Take);
    house.finish().await;
    println!("invited {invited:?}, walked {walked:?}, killed {killed:?}, finished {:?}", begin.elapsed());
    house.judge().await;
    house.kill().await;
    house.db.close().await;
    std::fs::remove_dir_all(&house.folder).unwrap();
    scratch.remove().await;
}

/// A seed of one's own: `STAGEDOOR_TEST_SEED=7`.
fn seed() -> u64 {
    let chosen = std::env::var("STAGEDOOR_TEST_SEED").ok().and_then(|seed| seed.parse().ok());
    chosen.unwrap_or(20_261_121)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_is_killed_again_and_again_writes_to_nobody_twice_on_sqlite() {
    nobody_twice(Scratch::sqlite(), seed()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_is_killed_again_and_again_writes_to_nobody_twice_on_postgresql() {
    nobody_twice(Scratch::postgres().await, seed() + 1).await;
}

/// New codes for more people than one step has, with the process killed between the steps and within them.
async fn each_once(scratch: Scratch, seed: u64) {
    const MANY: u32 = 1_260;
    const STEPS: i64 = 3;
    const STEP: &str = "SELECT COALESCE(MAX(step), 0) AS n FROM renewals";
    const RENEWED: &str = "SELECT COUNT(*) AS n FROM invitations WHERE code_generation = 2";
    const TOLD: &str = "SELECT COUNT(*) AS n FROM messages WHERE kind = 'new_code'";
    const ALIVE: &str = "SELECT COUNT(*) AS n FROM sessions WHERE ended_at IS NULL";
    let mut house = House::open(&scratch, seed, MANY).await;
    // One of the first step and one of the last are inside.
    let mut codes = Vec::new();
    let rows = house.db.all("SELECT id FROM invitations ORDER BY id", []).await.unwrap();
    for row in [rows.first(), rows.last()] {
        let id = row.unwrap().text("id").unwrap();
        let code = house.get(&format!("/invitations/{id}/code")).await["code"].as_str().unwrap().to_owned();
        let (entered, status) = house.post(&format!("/events/{}/sessions", house.event), json!({"code": code})).await;
        assert_eq!(status, 201, "{}", entered.text().await.unwrap());
        codes.push(code);
    }
    let body = json!({"selection": {"filter": {}}, "send": {"channel": "sms"}});
    let (answer, status) = house.post(&format!("/events/{}/invitations/regenerate", house.event), body).await;
    assert_eq!(status, 202, "{}", answer.text().await.unwrap());
    let mut moments = seed;
    for life in 0..12 {
        // Sometimes at once, sometimes a few milliseconds into a step, sometimes right behind one.
        let before = house.count(STEP).await;
        if life % 3 == 2 && before < STEPS {
            house.until("a step", STEP, |n| n > before).await;
        }
        tokio::time::sleep(Duration::from_millis(chance(&mut moments) % 25)).await;
        house.kill().await;
        let (step, renewed, told) = (house.count(STEP).await, house.count(RENEWED).await, house.count(TOLD).await);
        println!("seed {seed}, life {}: step {step}, {renewed} renewed, {told} to be told", house.lives);
        assert_eq!(renewed, (step * 500).min(i64::from(MANY)), "a step is done whole or not at all");
        assert_eq!(told, renewed, "who has a new code is told, and nobody else");
        let alive = house.count(ALIVE).await;
        assert_eq!(alive, if step == 0 { 2 } else { i64::from(step < STEPS) }, "at step {step}");
        house.start().await;
    }
    house.until("everybody", "SELECT COUNT(*) AS n FROM renewals WHERE state = 'done'", |n| n == 1).await;
    assert_eq!((house.count(RENEWED).await, house.count(TOLD).await), (i64::from(MANY), i64::from(MANY)));
    assert_eq!(house.count("SELECT COUNT(*) AS n FROM invitations WHERE code_generation <> 2").await, 0, "once each");
    assert_eq!(house.count(ALIVE).await, 0);
    assert_eq!(house.count("SELECT COUNT(*) AS n FROM facts WHERE data LIKE '%renewal.ended%'").await, 1);
    for code in &codes {
        let path = format!("/events/{}/sessions", house.event);
        let (refused, status) = house.post(&path, json!({"code": code})).await;
        assert_eq!(status, 403, "{}", refused.text().await.unwrap());
    }
    // What goes out is the new code, once to each of those whose turn comes while somebody waits.
    house.twilio_until("some texts", |twilio| twilio.taken().len() >= 50).await;
    let taken = house.twilio.taken();
    let people: std::collections::HashSet<_> = taken.iter().map(|text| &text.to).collect();
    assert_eq!(people.len(), taken.len(), "nobody twice");
    house.kill().await;
    house.db.close().await;
    std::fs::remove_dir_all(&house.folder).unwrap();
    scratch.remove().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_is_killed_again_and_again_gives_everybody_one_new_code_on_sqlite() {
    each_once(Scratch::sqlite(), seed() + 2).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_is_killed_again_and_again_gives_everybody_one_new_code_on_postgresql() {
    each_once(Scratch::postgres().await, seed() + 3).await;
}
