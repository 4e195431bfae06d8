//! A server that behaves like Twilio's Messages resource, as badly as it is told to.
#![allow(clippy::unwrap_used)]

use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;
use tokio::task::JoinHandle;

/// What becomes of one request to send.
#[derive(Clone, Debug)]
pub enum Behave {
    /// Taken, and said so.
    Take,
    /// Taken at once, and said so later.
    TakeSlowly(Duration),
    /// Taken, and the connection broke before anything was said.
    TakeAndBreak,
    /// Taken, and nothing is ever said.
    TakeAndHang,
    /// Taken, and an error was said.
    TakeAndFail(u16),
    /// Not taken, and the connection broke before anything was said.
    Break,
    /// Not taken, and nothing is ever said.
    Hang,
    /// Not taken: status, Twilio's code, seconds to wait.
    Refuse(u16, u32, Option<u32>),
}

/// A message that was taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Taken {
    /// What Twilio calls it.
    pub sid: String,
    /// The number it goes to.
    pub to: String,
    /// What it says.
    pub body: String,
    /// Where reports go.
    pub callback: String,
    /// Every field as it was sent.
    pub fields: Vec<(String, String)>,
}

/// How a request goes: whom it is to, and for the how manieth time.
type Temper = Box<dyn Fn(&str, u32) -> Behave + Send>;

#[derive(Default)]
struct State {
    script: VecDeque<Behave>,
    temper: Option<Temper>,
    asked: BTreeMap<String, u32>,
    taken: Vec<Taken>,
    requests: u32,
    answers: u32,
    look_answers: u32,
    looks: u32,
    hidden_looks: u32,
    failing_looks: u32,
    unreadable: Option<fn(&str) -> bool>,
    look_time: Duration,
    date: Option<String>,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    changed: Notify,
}

impl Shared {
    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The server; it is gone when this is dropped.
pub struct Twilio {
    address: SocketAddr,
    shared: Arc<Shared>,
    task: JoinHandle<()>,
}

/// The account that it knows.
pub const ACCOUNT: &str = "AC00000000000000000000000000000001";
/// The secret of that account.
pub const TOKEN: &str = "0123456789abcdef0123456789abcdef";
/// `ACCOUNT:TOKEN` in base64.
const BASIC: &str =
    "Basic QUMwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMTowMTIzNDU2Nzg5YWJjZGVmMDEyMzQ1Njc4OWFiY2RlZg==";

impl Drop for Twilio {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Twilio {
    /// Listens on a free port.
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared::default());
        let state = shared.clone();
        let task = tokio::spawn(async move {
            // Connections end with the server: the set aborts them when it is dropped.
            let mut connections = tokio::task::JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                connections.spawn(serve(stream, state.clone()));
            }
        });
        Self { address, shared, task }
    }

    /// What `base_url` must be.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// How the next requests go, in order; after them everything is taken.
    pub fn script(&self, behaviours: impl IntoIterator<Item = Behave>) {
        self.lock().script = behaviours.into_iter().collect();
    }

    /// How requests go that the script does not tell about, by the number they are to and how often it was asked for.
    pub fn temper(&self, temper: impl Fn(&str, u32) -> Behave + Send + 'static) {
        self.lock().temper = Some(Box::new(temper));
    }

    /// The next looks at the list do not show what was taken.
    pub fn hide_from_looks(&self, looks: u32) {
        self.lock().hidden_looks = looks;
    }

    /// The next looks at the list are answered with an error.
    pub fn fail_looks(&self, looks: u32) {
        self.lock().failing_looks = looks;
    }

    /// Looks at the list for these numbers are always answered with an error.
    pub fn unreadable(&self, numbers: fn(&str) -> bool) {
        self.lock().unreadable = Some(numbers);
    }

    /// How long every look at the list takes from now on.
    pub fn look_time(&self, time: Duration) {
        self.lock().look_time = time;
    }

    /// `date_created` of listed messages.
    pub fn date(&self, date: &str) {
        self.lock().date = Some(date.to_owned());
    }

    /// Everything that was taken, in order.
    #[must_use]
    pub fn taken(&self) -> Vec<Taken> {
        self.lock().taken.clone()
    }

    /// How often it was asked to send.
    #[must_use]
    pub fn requests(&self) -> u32 {
        self.lock().requests
    }

    /// How often its list was read.
    #[must_use]
    pub fn looks(&self) -> u32 {
        self.lock().looks
    }

    /// How many requests to send it answered.
    #[must_use]
    pub fn answers(&self) -> u32 {
        self.lock().answers
    }

    /// How many looks at its list it answered.
    #[must_use]
    pub fn look_answers(&self) -> u32 {
        self.lock().look_answers
    }

    /// Waits until something holds; it is asked after every request and every answer.
    pub async fn until(&self, holds: impl Fn(&Self) -> bool) {
        loop {
            let changed = self.shared.changed.notified();
            tokio::pin!(changed);
            changed.as_mut().enable();
            if holds(self) {
                return;
            }
            changed.await;
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.shared.lock()
    }
}

/// `X-Twilio-Signature` of a form that is posted to `url`.
///
/// # Source
///
/// Twilio, "Webhooks security": HMAC-SHA1 of the whole address and the sorted names and values.
#[must_use]
pub fn signature(url: &str, fields: &[(String, String)]) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, TOKEN.as_bytes());
    let mut signed = hmac::Context::with_key(&key);
    signed.update(url.as_bytes());
    let mut sorted = fields.to_vec();
    sorted.sort();
    for (name, value) in sorted {
        signed.update(name.as_bytes());
        signed.update(value.as_bytes());
    }
    STANDARD.encode(signed.sign())
}

/// Reports what became of a message to the address that its sender named: the status that is answered.
pub async fn report(taken: &Taken, status: &str, error: Option<u32>) -> u16 {
    let mut fields = vec![
        ("AccountSid".to_owned(), ACCOUNT.to_owned()),
        ("MessageSid".to_owned(), taken.sid.clone()),
        ("MessageStatus".to_owned(), status.to_owned()),
        ("To".to_owned(), taken.to.clone()),
    ];
    fields.extend(error.map(|code| ("ErrorCode".to_owned(), code.to_string())));
    let (host, path) = taken.callback.strip_prefix("http://").unwrap().split_once('/').unwrap();
    let (body, signature) = (encode_form(&fields), signature(&taken.callback, &fields));
    let request = format!(
        "POST /{path} HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/x-www-form-urlencoded\r\n\
         X-Twilio-Signature: {signature}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    );
    let mut stream = TcpStream::connect(host).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.unwrap();
    String::from_utf8_lossy(&answer).split(' ').nth(1).unwrap().parse().unwrap()
}

/// The name-value pairs of a form or a query.
#[must_use]
pub fn decode_form(text: &str) -> Vec<(String, String)> {
    text.split('&')
        .filter(|pair| !pair.is_empty())
        .map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            (unescape(name), unescape(value))
        })
        .collect()
}

/// The inverse of [`decode_form`].
#[must_use]
pub fn encode_form(fields: &[(String, String)]) -> String {
    let pairs: Vec<_> = fields.iter().map(|(name, value)| format!("{}={}", escape(name), escape(value))).collect();
    pairs.join("&")
}

fn escape(text: &str) -> String {
    text.bytes()
        .map(|byte| match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' => char::from(byte).to_string(),
            b' ' => "+".to_owned(),
            _ => format!("%{byte:02X}"),
        })
        .collect()
}

fn unescape(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut out = Vec::new();
    let mut at = 0;
    while at < bytes.len() {
        match bytes[at] {
            b'+' => out.push(b' '),
            b'%' => {
                out.push(u8::from_str_radix(&text[at + 1..at + 3], 16).unwrap());
                at += 2;
            }
            byte => out.push(byte),
        }
        at += 1;
    }
    String::from_utf8(out).unwrap()
}

fn quoted(text: &str) -> String {
    let mut out = String::from("\"");
    for letter in text.chars() {
        match letter {
            '"' | '\\' => out.extend(['\\', letter]),
            '\n' => out.push_str("\\n"),
            letter => out.push(letter),
        }
    }
    out.push('"');
    out
}

/// What is said to a request.
enum Said {
    /// This, after this time.
    Text(String, Duration),
    /// Nothing, and the connection breaks.
    Broken,
    /// Nothing, ever.
    Nothing,
}

/// Serves requests on one connection until it breaks.
async fn serve(mut stream: TcpStream, shared: Arc<Shared>) {
    let mut buffer = Vec::new();
    while let Some((head, body)) = read_request(&mut stream, &mut buffer).await {
        let said = answer(&head, &body, &mut shared.lock());
        shared.changed.notify_waiters();
        match said {
            Said::Text(text, after) => {
                tokio::time::sleep(after).await;
                if stream.write_all(text.as_bytes()).await.is_err() {
                    return;
                }
                {
                    let mut state = shared.lock();
                    let answers = if head.starts_with("GET ") { &mut state.look_answers } else { &mut state.answers };
                    *answers += 1;
                }
                shared.changed.notify_waiters();
            }
            Said::Broken => return,
            Said::Nothing => std::future::pending::<()>().await,
        }
    }
}

async fn read_request(stream: &mut TcpStream, buffer: &mut Vec<u8>) -> Option<(String, String)> {
    loop {
        if let Some(end) = buffer.windows(4).position(|four| four == b"\r\n\r\n") {
            let head = String::from_utf8_lossy(&buffer[..end]).into_owned();
            let length: usize = header(&head, "content-length").map_or(0, |value| value.parse().unwrap());
            if buffer.len() >= end + 4 + length {
                let body = String::from_utf8_lossy(&buffer[end + 4..end + 4 + length]).into_owned();
                buffer.drain(..end + 4 + length);
                return Some((head, body));
            }
        }
        let mut piece = [0; 4_096];
        match stream.read(&mut piece).await {
            Ok(0) | Err(_) => return None,
            Ok(read) => buffer.extend_from_slice(&piece[..read]),
        }
    }
}

fn header<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    head.lines().find_map(|line| {
        let (key, value) = line.split_once(':')?;
        key.eq_ignore_ascii_case(name).then_some(value.trim())
    })
}

fn response(status: u16, extra: &str, body: &str) -> String {
    format!(
        "HTTP/1.1 {status} X\r\nContent-Type: application/json\r\nContent-Length: {}\r\n{extra}\r\n{body}",
        body.len()
    )
}

fn refusal(status: u16, code: u32, retry_after: Option<u32>) -> String {
    let extra = retry_after.map_or(String::new(), |seconds| format!("Retry-After: {seconds}\r\n"));
    let body = format!(
        r#"{{"code":{code},"message":"refused","more_info":"https://www.twilio.com/docs/errors/{code}","status":{status}}}"#
    );
    response(status, &extra, &body)
}

fn answer(head: &str, body: &str, state: &mut State) -> Said {
    let now = |text| Said::Text(text, Duration::ZERO);
    let mut words = head.split_whitespace();
    let (Some(method), Some(target)) = (words.next(), words.next()) else { return Said::Broken };
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    if header(head, "authorization") != Some(BASIC) {
        return now(refusal(401, 20_003, None));
    }
    if path != format!("/2010-04-01/Accounts/{ACCOUNT}/Messages.json") {
        return now(refusal(404, 20_404, None));
    }
    if method == "GET" {
        let text = list(query, state);
        return Said::Text(text, state.look_time);
    }
    if header(head, "content-type") != Some("application/x-www-form-urlencoded") {
        return now(refusal(415, 20_001, None));
    }
    let fields = decode_form(body);
    let field = |name: &str| fields.iter().find(|(key, _)| key == name).map(|(_, value)| value.clone());
    let to = field("To");
    state.requests += 1;
    let asked = state.asked.entry(to.clone().unwrap_or_default()).or_default();
    *asked += 1;
    let tempered = state.temper.as_ref().map(|temper| temper(to.as_deref().unwrap_or_default(), *asked));
    let behave = state.script.pop_front().or(tempered).unwrap_or(Behave::Take);
    match behave {
        Behave::Refuse(status, code, retry_after) => return now(refusal(status, code, retry_after)),
        Behave::Break => return Said::Broken,
        Behave::Hang => return Said::Nothing,
        Behave::Take | Behave::TakeSlowly(_) | Behave::TakeAndBreak | Behave::TakeAndHang | Behave::TakeAndFail(_) => {}
    }
    let (Some(to), Some(text)) = (to, field("Body")) else {
        return now(refusal(400, 21_604, None));
    };
    if field("From").is_none() && field("MessagingServiceSid").is_none() {
        return now(refusal(400, 21_603, None));
    }
    let sid = format!("SM{:032x}", state.taken.len() + 1);
    let callback = field("StatusCallback").unwrap_or_default();
    state.taken.push(Taken { sid: sid.clone(), to: to.clone(), body: text.clone(), callback, fields });
    let said = format!(
        r#"{{"sid":"{sid}","account_sid":"{ACCOUNT}","to":{},"body":{},"status":"queued","num_segments":"1","error_code":null}}"#,
        quoted(&to),
        quoted(&text)
    );
    match behave {
        Behave::Take => now(response(201, "", &said)),
        Behave::TakeSlowly(time) => Said::Text(response(201, "", &said), time),
        Behave::TakeAndFail(status) => now(refusal(status, 20_500, None)),
        Behave::TakeAndHang => Said::Nothing,
        _ => Said::Broken,
    }
}

fn list(query: &str, state: &mut State) -> String {
    state.looks += 1;
    if state.failing_looks > 0 {
        state.failing_looks -= 1;
        return refusal(503, 20_503, None);
    }
    let to = decode_form(query).into_iter().find(|(name, _)| name == "To").map(|(_, value)| value);
    if let (Some(unreadable), Some(to)) = (state.unreadable, &to)
        && unreadable(to)
    {
        return refusal(503, 20_503, None);
    }
    let hidden = state.hidden_looks > 0;
    state.hidden_looks = state.hidden_looks.saturating_sub(1);
    let date = state.date.as_deref().map_or("null".to_owned(), quoted);
    let entries: Vec<_> = state
        .taken
        .iter()
        .rev()
        .filter(|taken| !hidden && to.as_ref().is_none_or(|to| *to == taken.to))
        .take(50)
        .map(|taken| {
            format!(
                r#"{{"sid":"{}","to":{},"body":{},"status":"sent","date_created":{date},"date_sent":null}}"#,
                taken.sid,
                quoted(&taken.to),
                quoted(&taken.body)
            )
        })
        .collect();
    response(200, "", &format!(r#"{{"messages":[{}],"page_size":50,"next_page_uri":null}}"#, entries.join(",")))
}
