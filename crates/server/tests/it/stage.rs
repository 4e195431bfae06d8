//! A server in memory, and the people who use it: `stage.admin()`, `stage.browser()`, `admin.invite(…)`,
//! `browser.redeem(…)`.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::ConnectInfo;
use http::{HeaderMap, Method, Request, StatusCode, Uri};
use http_body_util::BodyExt;
use serde_json::{Value, json};
use stagedoor_domain::Time;
use stagedoor_domain::id::{InvitationId, SessionId};
use stagedoor_server::access::{Access, MasterKey};
use stagedoor_server::api;
use stagedoor_server::config::Config;
use stagedoor_server::deliver::{Deliver, TokenCheck};
use stagedoor_server::facts::seal::Sealer;
use stagedoor_server::live::Hub;
use stagedoor_server::messages::{Gateways, Messages};
use stagedoor_server::people::People;
use stagedoor_server::ports::World;
use stagedoor_server::ports::blobs::Blobs;
use stagedoor_server::ports::bus::Bus;
use stagedoor_server::ports::clock::Clock;
use stagedoor_server::ports::db::Db;
use stagedoor_server::ports::fetch::Fetch;
use stagedoor_server::ports::random::Random;
use stagedoor_server::telemetry;
use stagedoor_server::webhooks::Sender;
use stagedoor_testkit::database::Scratch;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;

/// What people choose.
pub const PASSWORD: &str = "correct horse battery";

/// What the clock shows at first.
pub const STARTED: Time = Time::from_millis(1_795_203_000_000);

/// What browsers call this server.
pub const HOST: &str = "stage.test";

pub struct Stage {
    pub access: Arc<Access>,
    pub people: Arc<People>,
    pub hub: Arc<Hub>,
    pub messages: Arc<Messages>,
    pub clock: Clock,
    pub db: Db,
    pub router: Router,
    pub stop: CancellationToken,
    pub deliver: Deliver,
    bus: Bus,
    pub world: World,
    pub sealer: Arc<Sealer>,
    pub sender: Arc<Sender>,
    password: String,
    /// Where its pages say that they come from.
    origin: String,
    url: String,
    folder: PathBuf,
}

/// Runs `body` on a stage of its own, on SQLite and on PostgreSQL, and takes everything away.
pub async fn on_both(body: impl AsyncFn(&Stage)) {
    for scratch in [Scratch::sqlite(), Scratch::postgres().await] {
        on(scratch, Config::default(), &body).await;
    }
}

/// Runs `body` on a stage with SQLite: for what no query decides.
pub async fn on_sqlite(body: impl AsyncFn(&Stage)) {
    on(Scratch::sqlite(), Config::default(), &body).await;
}

pub async fn configured(config: Config, body: impl AsyncFn(&Stage)) {
    on(Scratch::sqlite(), config, &body).await;
}

/// The same on SQLite and on PostgreSQL.
pub async fn configured_on_both(config: Config, body: impl AsyncFn(&Stage)) {
    for scratch in [Scratch::sqlite(), Scratch::postgres().await] {
        on(scratch, config.clone(), &body).await;
    }
}

async fn on(scratch: Scratch, config: Config, body: &impl AsyncFn(&Stage)) {
    let stage = Stage::open(&scratch, config).await;
    body(&stage).await;
    stage.stop.cancel();
    stage.hub.stop().await;
    stage.db.close().await;
    std::fs::remove_dir_all(&stage.folder).unwrap();
    scratch.remove().await;
}

impl Stage {
    async fn open(scratch: &Scratch, config: Config) -> Self {
        let clock = Clock::manual(STARTED);
        let random = Random::system();
        let db = Db::open(scratch.url()).await.unwrap();
        let folder = std::env::temp_dir().join(format!("stagedoor-it-{}", random.uuid(clock.now()).simple()));
        std::fs::create_dir_all(folder.join("media")).unwrap();
        let config = Config { data_dir: folder.clone(), ..config };
        let origin = config.http.public_url.clone().unwrap_or_else(|| format!("http://{HOST}"));
        let origin = origin.trim_end_matches('/').to_owned();
        let master = MasterKey::new([3; 32]);
        let bus = Bus::local();
        let world = World { db: db.clone(), clock: clock.clone(), random: random.clone(), bus: bus.clone() };
        let access = Access::start(world.clone(), config.access.clone(), &master).await.unwrap();
        let messages = Messages::new(world.clone(), access.clone(), Gateways::of(&config).unwrap(), config.sms.clone());
        if let Some(provider) = stagedoor_server::ports::oidc::Provider::new(&config.oidc).unwrap() {
            access.use_provider(provider);
        }
        if let Some(tokens) = stagedoor_server::access::PublishTokens::load(&config.publish).unwrap() {
            access.use_publish_tokens(tokens);
        }
        let people = People::new(world.clone(), access.clone(), folder.join("imports")).unwrap();
        let admin = access.first_admin("ada").await.unwrap().unwrap();
        let blobs = Blobs::folder(&folder.join("media")).unwrap();
        let hub = Hub::start(access.clone(), db.clone(), blobs, clock.clone(), random.clone());
        let stop = CancellationToken::new();
        let sealer = Sealer::new(world.clone(), access.log_key().await.unwrap());
        let fetch = Fetch::new(config.outbound.clone());
        let sender = Sender::new(world.clone(), access.clone(), fetch.clone());
        let parts = api::Parts {
            config,
            db: db.clone(),
            clock: clock.clone(),
            random,
            bus: bus.clone(),
            access: access.clone(),
            people: people.clone(),
            hub: hub.clone(),
            boards: api::Boards::default(),
            metrics: telemetry::metrics().unwrap(),
            sealer: sealer.clone(),
            fetch,
            rtmp_port: 1935,
            rtmps_port: None,
            stop: stop.clone(),
        };
        let router = api::router(parts);
        let deliver = Deliver::new(access.clone(), hub.clone(), TokenCheck::EveryRequest);
        let password = admin.password.expose().to_owned();
        Self {
            access,
            people,
            hub,
            messages,
            clock,
            db,
            router,
            stop,
            deliver,
            bus,
            world,
            sealer,
            sender,
            password,
            origin,
            url: scratch.url().to_owned(),
            folder,
        }
    }

    /// Every byte that is kept: the database, and the folder for everything that must survive.
    pub async fn kept(&self) -> Vec<u8> {
        let mut all = stagedoor_testkit::database::dump(&self.url).await;
        let mut folders = vec![self.folder.clone()];
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    folders.push(path);
                } else {
                    all.extend(std::fs::read(path).unwrap());
                }
            }
        }
        all
    }

    /// Where blobs are kept.
    pub fn media_folder(&self) -> PathBuf {
        self.folder.join("media")
    }

    /// The hub of a process that starts on what this one leaves behind.
    pub fn another_hub(&self) -> Arc<Hub> {
        let blobs = Blobs::folder(&self.folder.join("media")).unwrap();
        Hub::start(self.access.clone(), self.db.clone(), blobs, self.clock.clone(), Random::system())
    }

    /// The router of a process that starts on the same database, with the sessions it finds there.
    pub async fn restarted(&self) -> (Arc<Access>, Router) {
        let (db, clock, bus) = (self.db.clone(), self.clock.clone(), self.bus.clone());
        let random = Random::system();
        let world = World { db: db.clone(), clock: clock.clone(), random: random.clone(), bus: bus.clone() };
        let config = Config { data_dir: self.folder.clone(), ..Config::default() };
        let access = Access::start(world.clone(), config.access.clone(), &MasterKey::new([3; 32])).await.unwrap();
        let people = People::new(world.clone(), access.clone(), self.folder.join("imports")).unwrap();
        let parts = api::Parts {
            config,
            db,
            clock,
            random,
            bus,
            access: access.clone(),
            people,
            hub: self.hub.clone(),
            boards: api::Boards::default(),
            metrics: telemetry::metrics().unwrap(),
            sealer: self.sealer.clone(),
            fetch: Fetch::new(Config::default().outbound),
            rtmp_port: 1935,
            rtmps_port: None,
            stop: self.stop.clone(),
        };
        (access, api::router(parts))
    }

    /// Seats `count` people in the database; whoever starts on it finds them.
    pub async fn crowd(&self, event: &str, count: u32) {
        let now = self.clock.now();
        let mut tx = self.db.write().await.unwrap();
        for number in 0..count {
            let id = |kind: u128| uuid::Uuid::from_u128(kind << 64 | 0x7000_8000 << 32 | u128::from(number));
            let invitation = InvitationId::new(id(1)).to_string();
            let name = format!("Guest {number:05}");
            let hash = |kind: u8| {
                let mut hash = vec![kind; 32];
                hash[..4].copy_from_slice(&number.to_be_bytes());
                hash
            };
            let sql = "INSERT INTO invitations (id, event_id, name, name_folded, code_hash, code_sealed, created_at, redeemed_at)
                VALUES ($1, $2, $3, $3, $4, $5, $6, $6)";
            let args =
                [invitation.as_str().into(), event.into(), name.into(), hash(1).into(), vec![0_u8].into(), now.into()];
            tx.execute(sql, args).await.unwrap();
            let sql = "INSERT INTO sessions (id, event_id, invitation_id, cookie_hash, device, created_at, expires_at, last_seen_at)
                VALUES ($1, $2, $3, $4, 'Firefox on Linux', $5, $6, $5)";
            let args = [
                SessionId::new(id(2)).to_string().into(),
                event.into(),
                invitation.into(),
                hash(2).into(),
                now.into(),
                now.plus(Duration::from_secs(86_400)).into(),
            ];
            tx.execute(sql, args).await.unwrap();
        }
        tx.commit().await.unwrap();
    }

    /// Somebody's browser, at an address of its own, without any cookie.
    pub fn browser(&self) -> Browser<'_> {
        static NEXT: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(1);
        let number = NEXT.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        // 10.x.y.z: a million different homes.
        self.browser_at(IpAddr::from((0x0a00_0000 + number).to_be_bytes()))
    }

    pub fn browser_at(&self, address: IpAddr) -> Browser<'_> {
        Browser { stage: self, address, cookies: Mutex::default() }
    }

    /// The administrator, signed in.
    pub async fn admin(&self) -> Browser<'_> {
        let admin = self.browser();
        let answer = admin.post("/api/v1/login", json!({"username": "ada", "password": self.password})).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        admin
    }

    /// Somebody whom the administrator gave this role and who has chosen a password, signed in.
    pub async fn person(&self, admin: &Browser<'_>, username: &str, role: &str) -> Browser<'_> {
        let made = admin.post("/api/v1/users", json!({"username": username, "role": role})).await;
        assert_eq!(made.status, 201, "{made:?}");
        let browser = self.browser();
        let once = json!({"username": username, "password": made.at("/one_time_password")});
        let ticket = browser.post("/api/v1/login", once).await.at("/ticket");
        let own = json!({"ticket": ticket, "password": PASSWORD});
        let answer = browser.post("/api/v1/login/password", own).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        browser
    }

    pub fn password(&self) -> &str {
        &self.password
    }

    pub fn pass(&self, seconds: u64) {
        self.clock.advance(Duration::from_secs(seconds));
    }

    /// A media request, as the socket's loop hands it over.
    pub async fn media(&self, url: &str) -> (StatusCode, String) {
        let path = url.strip_prefix(&format!("http://{HOST}")).unwrap_or(url);
        let Ok(uri) = path.parse::<Uri>() else { return (StatusCode::BAD_REQUEST, String::new()) };
        let response = self.deliver.respond(&Method::GET, &uri, &HeaderMap::new()).await;
        let status = response.status();
        let headers = format!("{:?}", response.headers());
        let mut body = response.into_body();
        let mut bytes = Vec::new();
        while let Some(piece) = body.take_next() {
            bytes.extend_from_slice(&piece);
        }
        (status, format!("{headers}\n{}", String::from_utf8_lossy(&bytes)))
    }

    /// Whether a media URL is let in. Without a broadcast the answer to those who are is "not yet", not "no".
    pub async fn lets_in(&self, url: &str) -> bool {
        self.media(url).await.0 != StatusCode::FORBIDDEN
    }
}

pub struct Browser<'a> {
    stage: &'a Stage,
    pub address: IpAddr,
    cookies: Mutex<BTreeMap<String, Cookie>>,
}

struct Cookie {
    value: String,
    path: String,
}

/// What came back.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: HeaderMap,
    pub text: String,
    /// What `text` is made of, for what is none.
    pub bytes: bytes::Bytes,
}

impl Answer {
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or(Value::Null)
    }

    /// A text at a JSON pointer.
    pub fn at(&self, pointer: &str) -> String {
        match self.json().pointer(pointer) {
            Some(Value::String(text)) => text.clone(),
            Some(other) => other.to_string(),
            None => panic!("nothing at {pointer}: {self:?}"),
        }
    }

    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    /// Asserts a problem with this status and code.
    #[track_caller]
    pub fn refused(&self, status: u16, code: &str) {
        assert_eq!((self.status, self.at("/code")), (status, code.to_owned()), "{self:?}");
        assert_eq!(self.header("content-type"), "application/problem+json");
        assert_eq!(self.json()["status"], status);
        assert_eq!(self.json()["type"], "about:blank");
        assert!(!self.at("/detail").is_empty() && !self.at("/title").is_empty());
    }
}

/// Somebody who was invited.
#[derive(Debug)]
pub struct Invited {
    pub id: String,
    pub code: String,
}

impl Browser<'_> {
    pub async fn get(&self, path: &str) -> Answer {
        self.send(Method::GET, path, None).await
    }

    pub async fn post(&self, path: &str, body: Value) -> Answer {
        self.send(Method::POST, path, Some(body)).await
    }

    pub async fn patch(&self, path: &str, body: Value) -> Answer {
        self.send(Method::PATCH, path, Some(body)).await
    }

    pub async fn put(&self, path: &str, body: Value) -> Answer {
        self.send(Method::PUT, path, Some(body)).await
    }

    pub async fn delete(&self, path: &str) -> Answer {
        self.send(Method::DELETE, path, None).await
    }

    /// As a page of this server sends it.
    pub async fn send(&self, method: Method, path: &str, body: Option<Value>) -> Answer {
        let mut request = Request::builder().method(method).uri(path).header("origin", &self.stage.origin);
        if body.is_some() {
            request = request.header("content-type", "application/json");
        }
        let body = body.map_or_else(Body::empty, |body| Body::from(body.to_string()));
        self.raw(request.body(body).unwrap()).await
    }

    /// Exactly this, plus `Host`, the address and the cookies of this browser.
    pub async fn raw(&self, mut request: Request<Body>) -> Answer {
        let cookies = self.cookie_header(request.uri().path());
        let headers = request.headers_mut();
        headers.entry("host").or_insert(HOST.parse().unwrap());
        if !cookies.is_empty() && !headers.contains_key("cookie") {
            headers.insert("cookie", cookies.parse().unwrap());
        }
        request.extensions_mut().insert(ConnectInfo(SocketAddr::new(self.address, 40_000)));
        let response = self.stage.router.clone().oneshot(request).await.unwrap();
        let (parts, body) = response.into_parts();
        for cookie in parts.headers.get_all("set-cookie") {
            self.keep(cookie.to_str().unwrap());
        }
        let bytes = body.collect().await.unwrap().to_bytes();
        let text = String::from_utf8_lossy(&bytes).into_owned();
        Answer { status: parts.status.as_u16(), headers: parts.headers, text, bytes }
    }

    pub fn cookie_header(&self, path: &str) -> String {
        let cookies = self.cookies.lock().unwrap();
        let sent = cookies.iter().filter(|(_, cookie)| path.starts_with(&cookie.path));
        sent.map(|(name, cookie)| format!("{name}={}", cookie.value)).collect::<Vec<_>>().join("; ")
    }

    fn keep(&self, text: &str) {
        // The one cookie that has to come along from the identity provider's site opens nothing by itself.
        let same_site = if text.starts_with("stagedoor_provider=") { "; SameSite=Lax" } else { "; SameSite=Strict" };
        assert!(text.contains("; HttpOnly") && text.contains(same_site), "{text}");
        let (name, rest) = text.split_once('=').unwrap();
        let value = rest.split(';').next().unwrap().to_owned();
        let path = rest.split("Path=").nth(1).unwrap().split(';').next().unwrap().to_owned();
        let mut cookies = self.cookies.lock().unwrap();
        if text.contains("Max-Age=0;") || text.ends_with("Max-Age=0") {
            cookies.remove(name);
        } else {
            cookies.insert(name.to_owned(), Cookie { value, path });
        }
    }

    pub fn has_cookies(&self) -> bool {
        !self.cookies.lock().unwrap().is_empty()
    }

    // What organisers do.

    /// The id of a new event.
    pub async fn create_event(&self, title: &str) -> String {
        self.create_event_with(json!({"title": title})).await
    }

    /// The id of a new event with settings of its own.
    pub async fn create_event_with(&self, event: Value) -> String {
        let answer = self.post("/api/v1/events", event).await;
        assert_eq!(answer.status, 201, "{answer:?}");
        answer.at("/id")
    }

    pub async fn invite(&self, event: &str, name: &str) -> Invited {
        let answer = self.post(&format!("/api/v1/events/{event}/invitations"), json!({"name": name})).await;
        assert_eq!(answer.status, 201, "{answer:?}");
        Invited { id: answer.at("/id"), code: answer.at("/code") }
    }

    pub async fn token(&self, name: &str) -> String {
        let answer = self.post("/api/v1/tokens", json!({"name": name})).await;
        assert_eq!(answer.status, 201, "{answer:?}");
        answer.at("/token")
    }

    // What viewers do.

    pub async fn redeem(&self, event: &str, code: &str) -> Answer {
        self.post(&format!("/api/v1/events/{event}/sessions"), json!({"code": code})).await
    }

    /// Lets this browser in; the address of its video.
    pub async fn enter(&self, event: &str, code: &str) -> String {
        let answer = self.redeem(event, code).await;
        assert_eq!(answer.status, 201, "{answer:?}");
        answer.at("/playback/hls")
    }

    pub async fn current(&self, event: &str) -> Answer {
        self.get(&format!("/api/v1/events/{event}/sessions/current")).await
    }
}
