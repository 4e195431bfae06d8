//! `kill -9` on the real server in front of which people stand in line: everybody comes back to their place.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use stagedoor_testkit::database::Scratch;

use crate::process::Process;

/// Who stands in line.
const PEOPLE: usize = 40;
/// Nothing takes longer, or something hangs.
const PATIENCE: Duration = Duration::from_secs(40);

struct Server {
    process: Process,
    http: reqwest::Client,
    /// Of the administrator.
    cookie: String,
}

/// Somebody with a code, and the cookies that their browser was given.
struct Guest {
    code: String,
    cookies: String,
}

/// What came back, and what its cookies are worth in the next request.
struct Answer {
    status: u16,
    body: Value,
    cookies: Option<String>,
}

impl Server {
    async fn ask(&self, method: reqwest::Method, path: &str, cookies: &str, body: Option<Value>) -> Answer {
        let url = format!("{}/api/v1{path}", self.process.origin);
        let mut request = self.http.request(method, url).header("origin", &self.process.origin);
        if !cookies.is_empty() {
            request = request.header("cookie", cookies);
        }
        if let Some(body) = body {
            request = request.json(&body);
        }
        let answer = request.send().await.unwrap();
        let set = answer.headers().get_all("set-cookie").iter();
        let pairs: Vec<_> = set.map(|cookie| cookie.to_str().unwrap().split(';').next().unwrap().to_owned()).collect();
        let status = answer.status().as_u16();
        let body = serde_json::from_str(&answer.text().await.unwrap()).unwrap_or(Value::Null);
        Answer { status, body, cookies: (!pairs.is_empty()).then(|| pairs.join("; ")) }
    }

    async fn organise(&self, method: reqwest::Method, path: &str, body: Value) -> Value {
        let answer = self.ask(method, path, &self.cookie, Some(body)).await;
        assert!(answer.status < 300, "{path}: {} {}", answer.status, answer.body);
        answer.body
    }

    /// Sends the code, as a page does that is loaded again while its owner waits.
    async fn redeem(&self, event: &str, guest: &mut Guest) -> Answer {
        let body = json!({"code": guest.code});
        let path = format!("/events/{event}/sessions");
        let answer = self.ask(reqwest::Method::POST, &path, &guest.cookies, Some(body)).await;
        if let Some(cookies) = &answer.cookies {
            guest.cookies.clone_from(cookies);
        }
        answer
    }

    /// Asks for the place, as a page does that waits.
    async fn standing(&self, event: &str, guest: &mut Guest) -> Answer {
        let path = format!("/events/{event}/queue/current");
        let answer = self.ask(reqwest::Method::GET, &path, &guest.cookies, None).await;
        if let Some(cookies) = &answer.cookies {
            guest.cookies.clone_from(cookies);
        }
        answer
    }
}

fn position(answer: &Answer) -> u64 {
    answer.body["queue"]["position"].as_u64().unwrap_or_else(|| panic!("{}: {}", answer.status, answer.body))
}

async fn keeps_its_places(scratch: Scratch, name: &str) {
    let folder: PathBuf = std::env::temp_dir().join(format!("stagedoor-waiting-{name}-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let http = reqwest::Client::new();
    let process = Process::start(&folder, scratch.url(), &[]).await;
    let password = process.password.clone().expect("the first start makes an administrator");
    let mut server = Server { process, http, cookie: String::new() };
    let login = json!({"username": "admin", "password": password});
    server.cookie = server.ask(reqwest::Method::POST, "/login", "", Some(login)).await.cookies.unwrap();
    let policy = json!({"admission": {"capacity": 1}});
    let event = server.organise(reqwest::Method::POST, "/events", json!({"title": "Evening", "policy": policy})).await;
    let event = event["id"].as_str().unwrap().to_owned();
    let mut guests = Vec::new();
    for number in 0..=PEOPLE {
        let path = format!("/events/{event}/invitations");
        let made = server.organise(reqwest::Method::POST, &path, json!({"name": format!("Guest {number}")})).await;
        guests.push(Guest { code: made["code"].as_str().unwrap().to_owned(), cookies: String::new() });
    }
    let mut inside = guests.remove(0);
    assert_eq!(server.redeem(&event, &mut inside).await.status, 201);
    for (place, guest) in (1..).zip(&mut guests) {
        let answer = server.redeem(&event, guest).await;
        assert_eq!((answer.status, position(&answer)), (202, place));
    }
    // Loading the page again, with or without asking first, costs nobody their place.
    for (place, guest) in (1..).zip(&mut guests).step_by(7) {
        assert_eq!(position(&server.redeem(&event, guest).await), place);
        assert_eq!(position(&server.standing(&event, guest).await), place);
    }
    // That there is a line is written down within a second or two: the row is what the next process goes by.
    let db = stagedoor_server::ports::db::Db::open(scratch.url()).await.unwrap();
    let began = Instant::now();
    while stagedoor_server::ports::db::admission::all(&db).await.unwrap().is_empty() {
        assert!(began.elapsed() < PATIENCE, "the line is written down");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    db.close().await;

    server.process.child.kill().await.unwrap();
    server.process = Process::start(&folder, scratch.url(), &[]).await;
    // While nobody was there the house has become larger: who is called now must be those in front.
    let path = format!("/events/{event}");
    let larger = json!({"policy": {"admission": {"capacity": 6}}});
    server.organise(reqwest::Method::PATCH, &path, larger).await;
    // The last one is back first, and whoever pushes hardest.
    for guest in guests.iter_mut().rev() {
        let answer = server.standing(&event, guest).await;
        assert_eq!(answer.body.get("admitted"), None, "nobody is called before all had the time to come back");
    }
    for (place, guest) in (1..).zip(&mut guests) {
        let answer = server.standing(&event, guest).await;
        assert_eq!((answer.status, position(&answer)), (200, place), "as before");
    }
    let began = Instant::now();
    let mut called = vec![false; guests.len()];
    while called.iter().filter(|called| **called).count() < 5 {
        assert!(began.elapsed() < PATIENCE, "{called:?}");
        // The last one asks first, in every round.
        for (at, guest) in guests.iter_mut().enumerate().rev() {
            called[at] = called[at] || server.standing(&event, guest).await.body["admitted"] == true;
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    let expected: Vec<_> = (0..guests.len()).map(|at| at < 5).collect();
    assert_eq!(called, expected, "those in front, and nobody else");
    for guest in &mut guests[..5] {
        assert_eq!(server.redeem(&event, guest).await.status, 201);
    }
    assert_eq!(position(&server.standing(&event, &mut guests[5]).await), 1);
    assert_eq!(server.redeem(&event, &mut inside).await.status, 201, "and who was in is in");
    server.process.child.kill().await.unwrap();
    std::fs::remove_dir_all(&folder).unwrap();
    scratch.remove().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_is_killed_keeps_the_line_in_order_on_sqlite() {
    keeps_its_places(Scratch::sqlite(), "sqlite").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_is_killed_keeps_the_line_in_order_on_postgresql() {
    keeps_its_places(Scratch::postgres().await, "postgresql").await;
}
