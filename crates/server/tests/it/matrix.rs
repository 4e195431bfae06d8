//! Every route as everybody: who is let in, and by which law.
//!
//! `matrix.txt` is generated and committed, so that every change of who may do what is a line in review. What may stand in
//! it is judged by laws that know nothing of the handlers: [`expected`] asks `domain::access::rights` for the right that
//! the sample names, [`forbidden`] goes by the look of the address alone, and no answer may show what its reader may not
//! see. A route without a sample fails: see [`samples`].

mod samples;

use std::fmt::Write as _;
use std::io::Write as _;
use std::net::IpAddr;
use std::sync::Mutex;

use axum::body::Body;
use http::{Method, Request};
use serde_json::{Value, json};
use stagedoor_domain::access::{Organise, Role, Scope, Scopes, rights};
use stagedoor_server::access::{Contact, NewInvitee};
use stagedoor_server::ports::db::renewals;

use crate::laws::{compare, routes};
use crate::stage::{Answer, Browser, HOST, PASSWORD, Stage, on_sqlite};
use samples::{Payload, Sample, Whom, sample};

/// Shown to nobody outside the team.
const TITLE: &str = "Velvet evening";
/// Shown to nobody outside the team.
const GUEST: &str = "Ottoline Marksworth";
/// Shown in the clear to nobody without the right to see people: the middle of a number, the end of a local part. A mask has
/// neither.
const CONTACTS: [&str; 2] = ["3369988", ".guest@"];

/// Who calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Anonymous,
    /// With a session in the event of the paths, or in another one.
    Viewer {
        here: bool,
    },
    /// Signed in at a browser, in the event's team or in another one.
    Person {
        role: Role,
        inside: bool,
    },
    /// An owner's token.
    Token(Scopes),
}

pub struct Actor {
    label: &'static str,
    kind: Kind,
    username: String,
    address: IpAddr,
    cookies: Mutex<String>,
    token: Option<String>,
}

/// A server with two teams, an event of each, and everybody who may ask for something.
pub struct World<'a> {
    stage: &'a Stage,
    pub ada: Browser<'a>,
    pub event: String,
    other: String,
    team: String,
    pub guest: String,
}

impl<'a> World<'a> {
    async fn build(stage: &'a Stage) -> (Self, Vec<Actor>) {
        let ada = stage.admin().await;
        let team = async |name: &str| ada.post("/api/v1/teams", json!({"name": name})).await.at("/id");
        let (choir, band) = (team("Choir").await, team("Band").await);
        let event = async |title: &str, team: &str| {
            ada.post("/api/v1/events", json!({"title": title, "team_id": team})).await.at("/id")
        };
        let (here, there) = (event(TITLE, &choir).await, event("Brass night", &band).await);
        let mut world = Self { stage, ada, event: here, other: there, team: choir, guest: String::new() };
        world.guest = world.invitee(GUEST).await;
        let mut actors = vec![world.actor("anonymous", Kind::Anonymous)];
        for (label, here) in [("viewer", true), ("viewer'", false)] {
            let viewer = world.actor(label, Kind::Viewer { here });
            world.sign_in(&viewer).await;
            actors.push(viewer);
        }
        for (inside, team) in [(true, world.team.clone()), (false, band)] {
            for role in Role::ALL {
                let label = label(role, inside);
                let mut actor = world.actor(label, Kind::Person { role, inside });
                actor.username = label.replace('\'', ".");
                let new = json!({"username": actor.username, "role": role.as_str(), "teams": [team]});
                let made = world.ada.post("/api/v1/users", new).await;
                assert_eq!(made.status, 201, "{made:?}");
                world.choose_password(&actor, &made.at("/one_time_password")).await;
                actors.push(actor);
            }
        }
        for scope in Scope::ALL {
            actors.push(world.token(token_label(scope), [scope].into_iter().collect()).await);
        }
        actors.push(world.token("t:all", Scopes::ALL).await);
        (world, actors)
    }

    fn actor(&self, label: &'static str, kind: Kind) -> Actor {
        let address = self.stage.browser().address;
        Actor { label, kind, username: String::new(), address, cookies: Mutex::default(), token: None }
    }

    async fn token(&self, label: &'static str, scopes: Scopes) -> Actor {
        let scopes: Vec<&str> = scopes.iter().map(Scope::as_str).collect();
        let new = json!({"name": label, "scopes": scopes});
        let text = self.ada.post("/api/v1/tokens", new).await.at("/token");
        let scopes = scopes.iter().filter_map(|name| Scope::from_name(name)).collect();
        Actor { token: Some(text), ..self.actor(label, Kind::Token(scopes)) }
    }

    async fn choose_password(&self, actor: &Actor, once: &str) {
        let browser = self.stage.browser_at(actor.address);
        let step = browser.post("/api/v1/login", json!({"username": actor.username, "password": once})).await;
        let own = json!({"ticket": step.at("/ticket"), "password": PASSWORD});
        let chosen = browser.post("/api/v1/login/password", own).await;
        assert_eq!(chosen.status, 200, "{chosen:?}");
        *actor.cookies.lock().unwrap() = browser.cookie_header("/");
    }

    /// Gives somebody the cookie they have; again, when a request has ended what they had.
    async fn sign_in(&self, actor: &Actor) {
        let browser = self.stage.browser_at(actor.address);
        match actor.kind {
            Kind::Anonymous | Kind::Token(_) => (),
            Kind::Viewer { here } => {
                let event = if here { &self.event } else { &self.other };
                let code = self.ada.invite(event, actor.label).await.code;
                browser.enter(event, &code).await;
                *actor.cookies.lock().unwrap() = browser.cookie_header(&format!("/api/v1/events/{event}/"));
            }
            Kind::Person { .. } => {
                let credentials = json!({"username": actor.username, "password": PASSWORD});
                let answer = browser.post("/api/v1/login", credentials).await;
                assert_eq!(answer.status, 200, "{} cannot sign in again: {answer:?}", actor.label);
                *actor.cookies.lock().unwrap() = browser.cookie_header("/");
            }
        }
    }

    /// Asks as `actor`, whose cookies stay as they were.
    async fn call(&self, actor: &Actor, method: &Method, path: &str, body: &Payload) -> Answer {
        let mut request = Request::builder().method(method).uri(path).header("origin", format!("http://{HOST}"));
        if let Some(token) = &actor.token {
            request = request.header("authorization", format!("Bearer {token}"));
        }
        let cookies = actor.cookies.lock().unwrap().clone();
        if !cookies.is_empty() {
            request = request.header("cookie", cookies);
        }
        let (kind, body) = match body {
            Payload::None => ("", Body::empty()),
            Payload::Json(value) => ("application/json", Body::from(value.to_string())),
            Payload::Raw(kind, text) => (*kind, Body::from(*text)),
        };
        if !kind.is_empty() {
            request = request.header("content-type", kind);
        }
        self.stage.browser_at(actor.address).raw(request.body(body).unwrap()).await
    }

    // What samples are made of: each new, in the event of the team.

    pub async fn made(&self, path: &str, body: Value) -> Answer {
        let answer = self.ada.post(path, body).await;
        assert!(answer.status < 300, "{path}: {answer:?}");
        answer
    }

    pub fn here(&self, rest: &str) -> String {
        format!("/api/v1/events/{}{rest}", self.event)
    }

    pub async fn new_event(&self) -> String {
        self.made("/api/v1/events", json!({"title": TITLE, "team_id": self.team})).await.at("/id")
    }

    pub async fn invitation(&self) -> String {
        self.ada.invite(&self.event, GUEST).await.id
    }

    /// With everything that is only shown to whoever may see people.
    pub async fn invitee(&self, name: &str) -> String {
        let IpAddr::V4(unique) = self.stage.browser().address else { unreachable!() };
        let number = u32::from(unique) % 10_000;
        let who = self.stage.access.operator("ada").await.unwrap().unwrap();
        let allowed = self.stage.access.may(&who, Organise { event: self.event.parse().unwrap() }).unwrap();
        let contact = Contact {
            phone: Some(format!("+3369988{number:04}").parse().unwrap()),
            email: Some(format!("m{number}.guest@marksworth.example").parse().unwrap()),
            ..Contact::default()
        };
        let new = NewInvitee { contact, ..NewInvitee::named(name) };
        self.stage.access.invite(&allowed, who.actor, &new).await.unwrap().invitation.id.to_string()
    }

    /// The code of a new invitation.
    pub async fn code(&self) -> String {
        self.ada.invite(&self.event, GUEST).await.code
    }

    pub async fn session(&self) -> String {
        let (viewer, code) = (self.stage.browser(), self.code().await);
        viewer.enter(&self.event, &code).await;
        viewer.current(&self.event).await.at("/id")
    }

    /// An event with a list that waits to be started: an event takes a few of those at a time.
    pub async fn upload(&self) -> (String, String) {
        let event = self.new_event().await;
        let request = Request::post(format!("/api/v1/events/{event}/imports?name=guests.csv"))
            .header("origin", format!("http://{HOST}"))
            .header("content-type", "text/csv");
        let answer = self.ada.raw(request.body(Body::from("Name\nAda\n")).unwrap()).await;
        assert_eq!(answer.status, 201, "{answer:?}");
        (event, answer.at("/id"))
    }

    /// An order for new codes that is being carried out; the one before is called off.
    pub async fn renewal(&self) -> String {
        let (access, who) = (&self.stage.access, self.stage.access.operator("ada").await.unwrap().unwrap());
        let event = self.event.parse().unwrap();
        let allowed = access.may(&who, Organise { event }).unwrap();
        for id in renewals::running(&self.stage.db).await.unwrap() {
            access.cancel_renewal(&allowed, who.actor, id).await.unwrap();
        }
        let people = [self.invitation().await.parse().unwrap()];
        access.order_renewal(&allowed, who.actor, &people, None, None).await.unwrap().id.to_string()
    }

    pub async fn order(&self) -> String {
        let order = json!({"selection": {"ids": [self.invitee(GUEST).await]}, "channel": "sms", "kind": "invitation"});
        self.made(&self.here("/sends"), order).await.at("/id")
    }

    pub async fn message(&self) -> String {
        let path = self.here(&format!("/invitations/{}/message", self.guest));
        self.made(&path, json!({"channel": "sms", "body": "Hello"})).await.at("/id")
    }

    pub async fn webhook(&self) -> String {
        self.made("/api/v1/webhooks", json!({"url": "https://hooks.example.org/x"})).await.at("/id")
    }

    pub async fn user(&self) -> String {
        let name = self.stage.browser().address.to_string();
        self.made("/api/v1/users", json!({"username": name, "role": "analyst"})).await.at("/id")
    }

    pub async fn new_team(&self) -> String {
        let name = self.stage.browser().address.to_string();
        self.made("/api/v1/teams", json!({"name": name})).await.at("/id")
    }

    pub async fn incident(&self) -> String {
        let guesser = self.stage.browser();
        for _ in 0..4 {
            guesser.redeem(&self.event, "AAAA-BBBB-CCCC").await;
        }
        let id = stagedoor_domain::id::IncidentId::new(uuid::Uuid::from_u128(0x7000_8000 << 32 | 1)).to_string();
        let now = self.stage.clock.now();
        let sql = "INSERT INTO incidents (id, event_id, kind, subject, text, at, last_at, times)
            VALUES ($1, $2, 'code_guessing', $2, $3, $4, $4, 1) ON CONFLICT DO NOTHING";
        let mut tx = self.stage.db.write().await.unwrap();
        tx.execute(sql, [id.as_str().into(), self.event.as_str().into(), GUEST.into(), now.into()]).await.unwrap();
        tx.commit().await.unwrap();
        id
    }

    /// A browser that `actor` is signed in with and does not sit at.
    pub async fn browser_of(&self, actor: &Actor) -> String {
        if !matches!(actor.kind, Kind::Person { .. }) {
            return "brw_01kaf3x6m8e9t8s2v4w6y8z0ab".to_owned();
        }
        let browser = self.stage.browser_at(actor.address);
        browser.post("/api/v1/login", json!({"username": actor.username, "password": PASSWORD})).await;
        let listed = browser.get("/api/v1/me/browsers").await.json();
        let rows = listed["data"].as_array().unwrap();
        rows.iter().find(|row| row["current"] == json!(true)).unwrap()["id"].as_str().unwrap().to_owned()
    }

    /// A token that `actor` has made.
    pub async fn token_of(&self, actor: &Actor) -> String {
        if !matches!(actor.kind, Kind::Person { .. }) {
            return "tok_01kaf3x6m8e9t8s2v4w6y8z0ab".to_owned();
        }
        let new = Payload::Json(json!({"name": "mine"}));
        self.call(actor, &Method::POST, "/api/v1/tokens", &new).await.at("/id")
    }
}

fn label(role: Role, inside: bool) -> &'static str {
    match (role, inside) {
        (Role::Owner, true) => "owner",
        (Role::Admin, true) => "admin",
        (Role::Organiser, true) => "organiser",
        (Role::Moderator, true) => "moderator",
        (Role::Broadcaster, true) => "broadcaster",
        (Role::Analyst, true) => "analyst",
        (Role::Owner, false) => "owner'",
        (Role::Admin, false) => "admin'",
        (Role::Organiser, false) => "organiser'",
        (Role::Moderator, false) => "moderator'",
        (Role::Broadcaster, false) => "broadcaster'",
        (Role::Analyst, false) => "analyst'",
    }
}

fn token_label(scope: Scope) -> &'static str {
    match scope {
        Scope::Read => "t:read",
        Scope::Organise => "t:organise",
        Scope::Moderate => "t:moderate",
        Scope::Broadcast => "t:broadcast",
        Scope::People => "t:people",
        Scope::Administer => "t:administer",
    }
}

/// Whether the event of the team exists for them at all.
fn reaches(kind: Kind) -> bool {
    match kind {
        Kind::Anonymous => false,
        Kind::Viewer { here } => here,
        Kind::Person { role, inside } => inside || role.sees_every_event(),
        Kind::Token(_) => true,
    }
}

/// What somebody may do, by the law of the domain.
fn has(kind: Kind, right: &str) -> bool {
    match kind {
        Kind::Anonymous | Kind::Viewer { .. } => false,
        Kind::Person { role, .. } => rights(role, Scopes::ALL).contains(&right),
        Kind::Token(scopes) => rights(Role::Owner, scopes).contains(&right),
    }
}

/// Whether somebody is to be let in where the sample says what it takes.
fn expected(sample: &Sample, kind: Kind) -> bool {
    match sample.whom {
        Whom::Everybody => true,
        Whom::Ticket => false,
        Whom::Viewer => kind == Kind::Viewer { here: true },
        Whom::Own => matches!(kind, Kind::Person { .. }),
        Whom::Right(rights) => rights.split('+').all(|right| has(kind, right)) && (!sample.inside || reaches(kind)),
    }
}

/// Whom nobody lets in, whatever the sample says: by the look of the address.
fn forbidden(method: &Method, path: &str, guard: &str, kind: Kind) -> Option<&'static str> {
    if guard == "open" {
        return None;
    }
    let safe = method == Method::GET;
    let within = |words: &[&str]| path.split('/').any(|part| words.contains(&part));
    // A preview is a look, and one's own tokens and settings are one's own.
    let own = path.starts_with("/api/v1/me") || path.starts_with("/api/v1/tokens");
    let changes = !safe && !own && !path.ends_with("/preview");
    match kind {
        Kind::Anonymous => Some("a stranger came past a guard"),
        Kind::Viewer { here } => match guard {
            "viewer" if here => None,
            _ => Some("a viewer sees their own session and nothing else"),
        },
        Kind::Person { .. } | Kind::Token(_) if guard == "viewer" => Some("an organiser is no viewer"),
        Kind::Person { role, inside } => match role {
            _ if path.contains("{event}") && !inside && !role.sees_every_event() => Some("the event is another team's"),
            Role::Owner | Role::Admin => None,
            _ if within(&["users", "teams", "webhooks", "log", "settings"]) => Some("this is for administrators"),
            Role::Organiser => None,
            _ if within(&["code", "contact", "export", "export.csv", "export.xlsx", "person"]) => {
                Some("only organisers take something out of the house")
            }
            Role::Moderator
                if changes
                    && !within(&["viewers", "sessions", "takeovers", "acknowledge", "message", "block", "unblock"]) =>
            {
                Some("a moderator acts on the room only")
            }
            Role::Broadcaster if changes && !within(&["stream-keys", "broadcast"]) => {
                Some("a broadcaster changes stream keys and the broadcast only")
            }
            Role::Analyst if changes => Some("an analyst changes nothing"),
            Role::Moderator | Role::Broadcaster | Role::Analyst => None,
        },
        Kind::Token(_) if path.starts_with("/api/v1/me/") || (own && !safe) => {
            Some("a program has no say about a person's account")
        }
        Kind::Token(scopes) if scopes == [Scope::Read].into_iter().collect() && changes => {
            Some("a token that reads does not write")
        }
        Kind::Token(_) => None,
    }
}

/// What an answer shows that its reader may not see.
fn leaked(answer: &Answer, guard: &str, kind: Kind) -> Option<&'static str> {
    if guard == "open" || answer.status >= 400 {
        return None;
    }
    if !reaches(kind) && [TITLE, GUEST].iter().any(|mark| answer.text.contains(mark)) {
        return Some("it shows another team's event");
    }
    if !has(kind, "see_people") && CONTACTS.iter().any(|mark| answer.text.contains(mark)) {
        return Some("it shows how to reach a guest");
    }
    None
}

const HELP: &str = "Every route needs a sample request, so that a refusal is one of the law and not of a bad body.
Add an arm to `sample` in crates/server/tests/it/matrix/samples.rs, for example

    \"POST /api/v1/events/{event}/things/{thing}\" =>
        right(\"organise\").with(\"thing\", world.thing().await).json(json!({\"name\": \"x\"})),

with the right that it takes (a name of domain::access::rights, \"a+b\" for two; or OWN, VIEWER, TICKET, EVERYBODY), an id
for every parameter but {event}, and a body that the right person is answered 2xx to. Things are made new by functions of `World`
in matrix.rs. Then write the table anew: UPDATE=1 cargo nextest run -p stagedoor-server --test it -E 'test(matrix)'";

/// Says it where it is also seen when the output of tests is thrown away.
#[track_caller]
fn insist(found: &[String], help: &str) {
    if !found.is_empty() {
        let text = format!("\n{} unexpected:\n  {}\n\n{help}\n", found.len(), found.join("\n  "));
        let _ = std::io::stderr().write_all(text.as_bytes());
        panic!("{text}");
    }
}

#[tokio::test]
async fn the_matrix_of_routes_and_people_keeps_the_laws() {
    on_sqlite(async |stage| {
        let (world, actors) = World::build(stage).await;
        let mut found = Vec::new();
        let mut table = String::from(
            "# Every route as everybody: the answer's status. Generated: UPDATE=1 cargo test -p stagedoor-server --test it matrix\n\
             # ' is somebody of another event or team; t: is an owner's API token with one scope.\n\n",
        );
        let mut head = vec![format!("{:<78}", "")];
        head.extend(actors.iter().map(|actor| format!("{:>5}", actor.label.chars().take(5).collect::<String>())));
        let _ = writeln!(table, "{}\n", head.join(" ").trim_end());
        for (method, path, guard) in routes() {
            let route = format!("{method} {path}");
            let method: Method = method.parse().unwrap();
            let mut line = format!("{:<78}", route.replace("/api/v1", ""));
            let mut ready: Option<Sample> = None;
            for actor in &actors {
                let made = match ready.take() {
                    Some(made) => Some(made),
                    None => sample(&world, actor, &route).await,
                };
                let Some(made) = made else {
                    found.push(format!("{route} has no sample"));
                    break;
                };
                let full = made.path(&world.event, &path);
                let answer = world.call(actor, &method, &full, &made.body).await;
                let is_in = made.lets_in(answer.status);
                let told = if is_in && answer.status == 503 { 200 } else { answer.status };
                let _ = write!(line, " {told:>5}");
                let place = || format!("{route} as {}: {} {}", actor.label, answer.status, answer.text);
                if made.guard() != guard {
                    found.push(format!("{route}: its guard is {guard:?}, its sample is for {:?}", made.whom));
                    break;
                }
                match (is_in, expected(&made, actor.kind)) {
                    (true, false) => found.push(format!("LET IN: {}", place())),
                    (false, true) => found.push(format!("KEPT OUT: {}", place())),
                    _ => {}
                }
                if is_in && let Some(why) = forbidden(&method, &path, &guard, actor.kind) {
                    found.push(format!("{why}: {}", place()));
                }
                if let Some(what) = leaked(&answer, &guard, actor.kind) {
                    found.push(format!("{what}: {}", place()));
                }
                if answer.status >= 500 && !is_in {
                    found.push(format!("BROKEN: {}", place()));
                }
                if is_in && made.signs_out {
                    world.sign_in(actor).await;
                }
                // What was used up is made anew; what belongs to somebody is another one for everybody.
                if !made.personal && (!is_in || method == Method::GET) {
                    ready = Some(made);
                }
            }
            let _ = writeln!(table, "{}", line.trim_end());
        }
        insist(&found, HELP);
        compare("tests/it/matrix.txt", &table);
    })
    .await;
}

#[tokio::test]
async fn what_belongs_to_others_is_not_reached_through_what_is_ones_own() {
    on_sqlite(async |stage| {
        let (world, actors) = World::build(stage).await;
        let of = |label: &str| actors.iter().find(|actor| actor.label == label).unwrap();
        let (mut found, mut tried) = (Vec::new(), 0);
        for (method, path, _) in routes() {
            let route = format!("{method} {path}");
            let method: Method = method.parse().unwrap();
            // The thing of an administrator of the team …
            let Some(made) = sample(&world, of("admin"), &route).await else { continue };
            let elsewhere = made.elsewhere(&world.other, &path);
            let thieves = match made.whom {
                Whom::Right(_) if path.contains("{event}") && made.names_a_thing() => {
                    // … through an event where they may everything, …
                    [of("owner"), of("organiser'")].map(|thief| (thief, elsewhere.clone())).to_vec()
                }
                // … or through their own account.
                Whom::Own if made.names_a_thing() => {
                    [of("owner"), of("organiser'")].map(|thief| (thief, made.path(&world.event, &path))).to_vec()
                }
                _ => continue,
            };
            for (thief, path) in thieves {
                tried += 1;
                let answer = world.call(thief, &method, &path, &made.body).await;
                if answer.status != 404 {
                    found.push(format!("{route} as {}: {} {}", thief.label, answer.status, answer.text));
                }
            }
        }
        insist(&found, "What is somebody else's does not exist: 404.");
        assert!(tried >= 30, "{tried}");
    })
    .await;
}
