//! Getting in: invitations and sessions through the public API, before anything is measured.
//!
//! Each viewer gets a code of its own (made here, or read from a file) and redeems it, as a person would. How long
//! that takes is reported apart from the playing.

use std::cell::Cell;
use std::rc::Rc;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::http::{Answer, Connection, Credentials, Scratch, Url};
use super::page::Page;

/// Requests under way at a time.
const PARALLEL: usize = 8;
/// A request that takes longer is an error.
const TIMEOUT: Duration = Duration::from_secs(30);
/// Attempts when the server says "too many" or is not reachable for a moment.
const ATTEMPTS: usize = 4;
/// The longest `Retry-After` that is obeyed.
const PATIENCE_S: u64 = 60;

/// What is needed to make sessions.
#[derive(Debug, Clone)]
pub struct Door {
    /// Base URL of the API, such as `http://127.0.0.1:8080`.
    pub api: Url,
    /// Token of an organiser; needed to make invitations.
    pub token: Option<String>,
    /// Event the sessions are for.
    pub event: String,
}

/// The sessions that were made.
#[derive(Debug, Default)]
pub struct Made {
    /// One playlist URL per viewer.
    pub urls: Vec<Url>,
    /// The page around each of them.
    pub pages: Vec<Page>,
    /// The session behind each URL.
    pub sessions: Vec<String>,
    /// Invitations made here, to be removed afterwards.
    pub invitations: Vec<String>,
    /// How long it took.
    pub seconds: f64,
}

/// Makes `count` sessions, from the given codes or from new invitations. Runs on a `LocalSet`.
///
/// # Errors
///
/// The first problem, as a sentence; a load test with half of its viewers would only mislead.
pub async fn make(door: Rc<Door>, given: Vec<String>, count: usize) -> Result<Made, String> {
    let began = Instant::now();
    let (codes, invitations) = codes(Rc::clone(&door), given, count).await?;
    let codes = Rc::new(codes);
    let (made, outcome) = in_parallel(&door, count, async move |door, connection, number| {
        redeem(door, connection, codes.get(number).map_or("", String::as_str)).await
    })
    .await;
    if let Err(problem) = outcome {
        remove(&door, invitations).await;
        return Err(problem);
    }
    let mut all = Made { invitations, seconds: began.elapsed().as_secs_f64(), ..Made::default() };
    for (session, url, page) in made {
        all.sessions.push(session);
        all.urls.push(url);
        all.pages.push(page);
    }
    Ok(all)
}

/// Codes for `count` viewers who redeem them later, and the invitations made for that. Runs on a `LocalSet`.
///
/// # Errors
///
/// As [`make`].
pub async fn codes(door: Rc<Door>, mut given: Vec<String>, count: usize) -> Result<(Vec<String>, Vec<String>), String> {
    if !given.is_empty() {
        if given.len() < count {
            return Err(format!("{} codes are not enough for {count} viewers", given.len()));
        }
        given.truncate(count);
        return Ok((given, Vec::new()));
    }
    if door.token.is_none() {
        return Err("making invitations needs --api-token; or give codes with --codes FILE".to_owned());
    }
    let (made, outcome) = in_parallel(&door, count, invite).await;
    let (invitations, codes) = made.into_iter().unzip();
    match outcome {
        Ok(()) => Ok((codes, invitations)),
        Err(problem) => {
            remove(&door, invitations).await;
            Err(problem)
        }
    }
}

/// Does `work` for each number below `count`, over some connections at a time, in no order; what was made until the first
/// problem, and that.
async fn in_parallel<T, F>(door: &Rc<Door>, count: usize, work: F) -> (Vec<T>, Result<(), String>)
where
    T: 'static,
    F: AsyncFn(&Door, &mut Connection, usize) -> Result<T, String> + 'static,
{
    let address = match door.api.resolve().await {
        Ok(address) => address,
        Err(problem) => return (Vec::new(), Err(problem)),
    };
    let scratch = Scratch::new();
    let next = Rc::new(Cell::new(0usize));
    let work = Rc::new(work);
    let mut workers = tokio::task::JoinSet::new();
    for _ in 0..PARALLEL.min(count) {
        let (door, next, work) = (Rc::clone(door), Rc::clone(&next), Rc::clone(&work));
        let mut connection = Connection::new(address, scratch.clone());
        workers.spawn_local(async move {
            let mut made = Vec::new();
            while next.get() < count {
                let number = next.replace(next.get() + 1);
                match work(&door, &mut connection, number).await {
                    Ok(one) => made.push(one),
                    Err(problem) => {
                        next.set(count);
                        return (made, Err(problem));
                    }
                }
            }
            (made, Ok(()))
        });
    }
    let (mut made, mut outcome) = (Vec::with_capacity(count), Ok(()));
    while let Some(worker) = workers.join_next().await {
        let (mine, result) = worker.unwrap_or_else(|error| (Vec::new(), Err(format!("a worker broke: {error}"))));
        made.extend(mine);
        outcome = outcome.and(result);
    }
    (made, outcome)
}

/// Sends one viewer out, who may come again.
///
/// # Errors
///
/// What the server said, as a sentence.
pub async fn kick(door: &Door, connection: &mut Connection, session: &str) -> Result<(), String> {
    let url = door.api.join(&format!("/api/v1/events/{}/viewers/{session}/kick", door.event))?;
    call(connection, "POST", &url, door.token.as_deref(), Some(r#"{"reason":"load test"}"#)).await.map(|_| ())
}

/// Ends every session of the event.
///
/// # Errors
///
/// What the server said, as a sentence.
pub async fn end_all(door: &Door, connection: &mut Connection) -> Result<(), String> {
    let url = door.api.join(&format!("/api/v1/events/{}/viewers/end-all", door.event))?;
    call(connection, "POST", &url, door.token.as_deref(), Some(r#"{"reason":"load test"}"#)).await.map(|_| ())
}

/// Removes invitations that were made here; what cannot be removed is left.
pub async fn remove(door: &Door, invitations: Vec<String>) {
    let Ok(address) = door.api.resolve().await else { return };
    let mut connection = Connection::new(address, Scratch::new());
    for invitation in invitations {
        let Ok(url) = door.api.join(&format!("/api/v1/events/{}/invitations/{invitation}", door.event)) else { return };
        if call(&mut connection, "DELETE", &url, door.token.as_deref(), None).await.is_err() {
            return;
        }
    }
}

async fn invite(door: &Door, connection: &mut Connection, number: usize) -> Result<(String, String), String> {
    let url = door.api.join(&format!("/api/v1/events/{}/invitations", door.event))?;
    let body = json!({ "name": format!("Load {:05}", number + 1) }).to_string();
    let (answer, _) = call(connection, "POST", &url, door.token.as_deref(), Some(&body)).await?;
    match (text(&answer, "/id"), text(&answer, "/code")) {
        (Some(id), Some(code)) => Ok((id, code)),
        _ => Err(format!("{}: an invitation without id or code", url.path)),
    }
}

async fn redeem(door: &Door, connection: &mut Connection, code: &str) -> Result<(String, Url, Page), String> {
    let url = door.api.join(&format!("/api/v1/events/{}/sessions", door.event))?;
    let body = json!({ "code": code }).to_string();
    let (answer, cookie) = call(connection, "POST", &url, None, Some(&body)).await?;
    match (text(&answer, "/id"), text(&answer, "/playback/hls"), cookie) {
        (Some(id), Some(hls), Some(cookie)) => Ok((id, Url::parse(&hls)?, Page::of(&answer, cookie, &url)?)),
        _ => Err(format!("{}: a session without id, playback.hls or cookie", url.path)),
    }
}

fn text(value: &Value, pointer: &str) -> Option<String> {
    value.pointer(pointer).and_then(Value::as_str).map(str::to_owned)
}

async fn call(
    connection: &mut Connection,
    method: &str,
    url: &Url,
    bearer: Option<&str>,
    body: Option<&str>,
) -> Result<(Value, Option<String>), String> {
    let mut attempt = 1;
    loop {
        let credentials = Credentials { bearer, cookie: None };
        let sent = tokio::time::timeout(TIMEOUT, connection.send_json(method, url, credentials, body)).await;
        let (pause_s, problem) = match sent {
            Ok(Ok(Answer { status: 200..=299, cookies, .. })) => {
                return Ok((serde_json::from_slice(&connection.body).unwrap_or(Value::Null), cookies));
            }
            Ok(Ok(answer @ Answer { status: 429 | 503, .. })) => {
                (answer.retry_after_s.unwrap_or(1).min(PATIENCE_S), refusal(&answer, &connection.body))
            }
            Ok(Ok(answer)) => return Err(format!("{method} {}: {}", url.path, refusal(&answer, &connection.body))),
            Ok(Err(failure)) => (1, format!("{failure:?} at {}", url.authority)),
            Err(_) => (1, "no answer in 30 s".to_owned()),
        };
        if attempt == ATTEMPTS {
            return Err(format!("{method} {}: {problem}", url.path));
        }
        attempt += 1;
        tokio::time::sleep(Duration::from_secs(pause_s)).await;
    }
}

/// The server's own words, if it explains itself by RFC 9457.
fn refusal(answer: &Answer, body: &[u8]) -> String {
    let problem: Value = serde_json::from_slice(body).unwrap_or(Value::Null);
    let words = text(&problem, "/detail").or_else(|| text(&problem, "/title")).unwrap_or_default();
    let code = text(&problem, "/code").map(|code| format!(" ({code})")).unwrap_or_default();
    format!("status {}{code} {words}", answer.status).trim_end().to_owned()
}
