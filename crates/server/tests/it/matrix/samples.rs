//! One request for every route, which the right person is answered 2xx to.

use serde_json::{Value, json};

use super::{Actor, TITLE, World};
use crate::refusals::filled;
use crate::stage::PASSWORD;

/// Who is let in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Whom {
    /// Everybody, whoever they are.
    Everybody,
    /// Whoever shows a ticket, a signature or a cookie that nobody in the matrix has: everybody is kept out.
    Ticket,
    /// The viewer whose session it is.
    Viewer,
    /// Every organiser at a browser, about their own account.
    Own,
    /// Whoever has this right, by its name in `domain::access::rights`; two with a `+` between.
    Right(&'static str),
}

/// What is sent.
pub enum Payload {
    None,
    Json(Value),
    Raw(&'static str, &'static str),
}

pub struct Sample {
    pub whom: Whom,
    pub body: Payload,
    /// It is about the team's event, although its address does not say so.
    pub inside: bool,
    /// It is made for one person: somebody else needs another.
    pub personal: bool,
    /// It ends what the caller is signed in with.
    pub signs_out: bool,
    parameters: Vec<(&'static str, String)>,
    query: &'static str,
    answer: Option<u16>,
}

const EVERYBODY: Sample = Sample::of(Whom::Everybody);
const TICKET: Sample = Sample::of(Whom::Ticket);
const VIEWER: Sample = Sample::of(Whom::Viewer);
const OWN: Sample = Sample::of(Whom::Own);

const fn right(name: &'static str) -> Sample {
    Sample::of(Whom::Right(name))
}

impl Sample {
    const fn of(whom: Whom) -> Self {
        Self {
            whom,
            body: Payload::None,
            inside: false,
            personal: false,
            signs_out: false,
            parameters: Vec::new(),
            query: "",
            answer: None,
        }
    }

    /// The value of a parameter of the path; `{event}` is the team's event unless it is said here.
    fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.parameters.push((name, value.into()));
        self
    }

    fn query(self, query: &'static str) -> Self {
        Self { query, ..self }
    }

    fn json(self, value: Value) -> Self {
        Self { body: Payload::Json(value), ..self }
    }

    fn raw(self, kind: &'static str, text: &'static str) -> Self {
        Self { body: Payload::Raw(kind, text), ..self }
    }

    /// What those who are let in are answered when it is not 2xx: by the handler, after the law was asked.
    fn answered(self, status: u16) -> Self {
        Self { answer: Some(status), ..self }
    }

    fn personal(self) -> Self {
        Self { personal: true, ..self }
    }

    fn inside(self) -> Self {
        Self { inside: true, ..self }
    }

    fn signs_out(self) -> Self {
        Self { signs_out: true, ..self }
    }

    pub fn lets_in(&self, status: u16) -> bool {
        status < 400 || self.answer == Some(status)
    }

    /// The guard that the OpenAPI document must tell.
    pub fn guard(&self) -> &'static str {
        match self.whom {
            Whom::Everybody | Whom::Ticket => "open",
            Whom::Viewer => "viewer",
            Whom::Own => "organiser_not_token",
            Whom::Right(_) => "organiser",
        }
    }

    /// Whether the path names something by its id beside the event.
    pub fn names_a_thing(&self) -> bool {
        self.parameters.iter().any(|(name, value)| *name != "event" && value.contains('_'))
    }

    /// The same things in another event.
    pub fn elsewhere(&self, event: &str, path: &str) -> String {
        self.path(event, &path.replace("{event}", event))
    }

    pub fn path(&self, event: &str, path: &str) -> String {
        let fill = |path: String, (name, value): &(&'static str, String)| path.replace(&format!("{{{name}}}"), value);
        let path = self.parameters.iter().fold(path.to_owned(), fill).replace("{event}", event);
        assert!(!path.contains('{'), "the sample says nothing of a parameter of {path}");
        format!("{path}{}", self.query)
    }
}

/// A passkey's answer that parses, and answers nothing.
fn credential() -> Value {
    let response = json!({"attestationObject": "AAAA", "clientDataJSON": "AAAA", "authenticatorData": "AAAA",
        "signature": "AAAA"});
    json!({"id": "AAAA", "rawId": "AAAA", "type": "public-key", "response": response})
}

/// A request for `route` as `who` would send it; `None` for a route that is not here.
pub async fn sample(world: &World<'_>, who: &Actor, route: &str) -> Option<Sample> {
    let made = within_an_event(world, route).await;
    let made = if made.is_some() { made } else { of_the_house(world, route).await };
    let made = if made.is_some() { made } else { of_an_account(world, who, route).await };
    let path = route.split_once(' ')?.1;
    made.map(|made| if path.contains("{event}") { made.inside() } else { made })
}

async fn within_an_event(world: &World<'_>, route: &str) -> Option<Sample> {
    let (method, path) = route.split_once(' ')?;
    let rest = path.strip_prefix("/api/v1/events")?;
    let upload = async |name: &'static str| {
        let (event, import) = world.upload().await;
        right(name).with("event", event).with("import", import)
    };
    let text = json!({"channel": "sms", "body": "{name}: {link}"});
    Some(match format!("{method} {rest}").as_str() {
        "GET " => right("look"),
        "POST " => right("create_event").json(json!({"title": "Another"})),
        "GET /{event}" => right("look"),
        "PATCH /{event}" => right("organise").json(json!({"title": TITLE})),
        "DELETE /{event}" => right("organise").with("event", world.new_event().await),
        "POST /{event}/broadcast/end" => right("broadcast").answered(409),
        "GET /{event}/concurrency" => right("look"),
        "GET /{event}/door" => EVERYBODY,
        "GET /{event}/feed" => right("look").answered(426),
        "GET /{event}/ingest" => right("broadcast"),
        "GET /{event}/incidents" => right("look"),
        "POST /{event}/preview" => right("look"),

        "GET /{event}/imports" => right("look"),
        "POST /{event}/imports" => right("organise+see_people").raw("text/csv", "Name\nAda\n"),
        "GET /{event}/imports/{import}" => upload("look").await,
        "DELETE /{event}/imports/{import}" => upload("organise").await,
        "GET /{event}/imports/{import}/errors.csv" => upload("look").await,
        "POST /{event}/imports/{import}/start" => upload("organise").await.json(json!({"mapping": {"name": 0}})),

        "GET /{event}/invitations" => right("look"),
        "POST /{event}/invitations" => right("organise").json(json!({"name": "Hedy"})),
        "GET /{event}/invitations/export" => right("export"),
        "GET /{event}/invitations/tags" => right("look"),
        "POST /{event}/invitations/tags" => right("organise").json(json!({"selection": {"filter": {}}, "add": ["x"]})),
        "POST /{event}/invitations/revoke" => right("organise").json(json!({"selection": {"ids": []}})),
        "POST /{event}/invitations/regenerate" => right("organise").json(json!({"selection": {"ids": []}})),
        "POST /{event}/invitations/count" => right("organise").json(json!({"selection": {"ids": []}})),
        "GET /{event}/renewals" => right("look"),
        "GET /{event}/renewals/{renewal}" => right("look").with("renewal", world.renewal().await),
        "DELETE /{event}/renewals/{renewal}" => right("organise").with("renewal", world.renewal().await),
        "GET /{event}/invitations/{invitation}" => right("look").with("invitation", world.guest.clone()),
        "PATCH /{event}/invitations/{invitation}" => {
            right("organise").with("invitation", world.invitation().await).json(json!({"plus_ones": 1}))
        }
        "GET /{event}/invitations/{invitation}/contact" => right("see_people").with("invitation", world.guest.clone()),
        "POST /{event}/invitations/{invitation}/unblock" => {
            right("moderate").with("invitation", world.guest.clone()).json(json!({}))
        }
        "DELETE /{event}/invitations/{invitation}" => right("organise").with("invitation", world.invitation().await),
        "GET /{event}/invitations/{invitation}/code" => right("see_people").with("invitation", world.guest.clone()),
        "GET /{event}/invitations/{invitation}/personal-data" => {
            right("export").with("invitation", world.guest.clone())
        }
        "DELETE /{event}/invitations/{invitation}/personal-data" => {
            right("organise").with("invitation", world.invitation().await)
        }
        "POST /{event}/invitations/{invitation}/message" => {
            right("moderate").with("invitation", world.guest.clone()).json(json!({"channel": "sms", "body": "Hello"}))
        }

        "GET /{event}/messages" => right("look"),
        "GET /{event}/messaging" => right("look"),
        // It has not failed, and only those who may try again are told.
        "POST /{event}/messages/{message}/retry" => {
            right("organise").with("message", world.message().await).answered(409)
        }
        "GET /{event}/sends" => right("look"),
        "POST /{event}/sends" => {
            let ids = [world.guest.clone()];
            right("organise").json(json!({"selection": {"ids": ids}, "channel": "sms", "kind": "invitation"}))
        }
        "GET /{event}/sends/{send}" => right("look").with("send", world.order().await),
        "POST /{event}/sends/{send}/pause" => right("organise").with("send", world.order().await),
        "POST /{event}/sends/{send}/resume" => right("organise").with("send", world.order().await),
        "POST /{event}/sends/{send}/cancel" => right("organise").with("send", world.order().await),
        "POST /{event}/sends/{send}/retry" => right("organise").with("send", world.order().await),
        "GET /{event}/templates" => right("look"),
        "POST /{event}/templates/preview" => right("organise").json(text),
        "POST /{event}/templates/test" => {
            right("organise").json(json!({"channel": "sms", "body": "{name}: {link}", "to": "+33612345678"}))
        }
        "PUT /{event}/templates/{channel}/{kind}/{language}" => {
            let template = right("organise").json(json!({"body": "{name}: {link}"}));
            template.with("channel", "sms").with("kind", "invitation").with("language", "en")
        }
        "DELETE /{event}/templates/{channel}/{kind}/{language}" => {
            let address = world.here("/templates/sms/reminder/de");
            world.ada.put(&address, json!({"body": "{name}: {link}"})).await;
            right("organise").with("channel", "sms").with("kind", "reminder").with("language", "de")
        }

        "GET /{event}/stream-keys" => right("broadcast"),
        "POST /{event}/stream-keys" => right("broadcast").json(json!({})),
        "PATCH /{event}/stream-keys/{key}" => {
            let key = world.made(&world.here("/stream-keys"), json!({})).await.at("/id");
            right("broadcast").with("key", key).json(json!({"name": "Camera 2"}))
        }
        "POST /{event}/stream-keys/{key}/rotate" => {
            let key = world.made(&world.here("/stream-keys"), json!({})).await.at("/id");
            right("broadcast").with("key", key).json(json!({}))
        }
        "DELETE /{event}/stream-keys/{key}" => {
            let key = world.made(&world.here("/stream-keys"), json!({})).await.at("/id");
            right("broadcast").with("key", key)
        }

        "GET /{event}/viewers" => right("look"),
        "POST /{event}/viewers/{session}/kick" => {
            right("moderate").with("session", world.session().await).json(json!({"reason": "x"}))
        }
        "POST /{event}/viewers/kick" => right("moderate").json(json!({"sessions": [world.session().await]})),
        "POST /{event}/viewers/end-all" => right("end_all").json(json!({"reason": "x"})),
        "POST /{event}/invitations/{invitation}/block" => {
            right("moderate").with("invitation", world.invitation().await).json(json!({}))
        }

        "POST /{event}/openings" => EVERYBODY.json(json!({"code": world.code().await})),
        "POST /{event}/sessions" => EVERYBODY.json(json!({"code": world.code().await})).signs_out(),
        "GET /{event}/sessions/current" => VIEWER,
        "DELETE /{event}/sessions/current" => VIEWER.signs_out(),
        "GET /{event}/sessions/current/guests" => VIEWER,
        // Who may bring nobody is told so, after the law was asked.
        "POST /{event}/sessions/current/guests" => VIEWER.json(json!({"name": "Bob"})).answered(409),
        "GET /{event}/sessions/current/feed" => VIEWER.answered(426),
        // To answer takes being asked: who may, and what then, is told in `access::tests::handover`.
        "POST /{event}/sessions/current/takeovers/{takeover}" => {
            VIEWER.with("takeover", filled("{takeover}")).json(json!({"approve": true})).answered(404)
        }
        "GET /{event}/takeovers/{takeover}" => TICKET.with("takeover", filled("{takeover}")),
        "GET /{event}/takeovers/{takeover}/feed" => TICKET.with("takeover", filled("{takeover}")),
        "DELETE /{event}/takeovers/{takeover}" => EVERYBODY.with("takeover", filled("{takeover}")),
        "GET /{event}/queue/current" => TICKET,
        "DELETE /{event}/queue/current" => EVERYBODY,
        _ => return None,
    })
}

async fn of_the_house(world: &World<'_>, route: &str) -> Option<Sample> {
    let delivery = async || {
        let hook = world.webhook().await;
        let delivery = world.made(&format!("/api/v1/webhooks/{hook}/test"), json!({})).await.at("/id");
        right("administer").with("webhook", hook).with("delivery", delivery)
    };
    Some(match route {
        "GET /livez" => EVERYBODY,
        // Whether there is room on the disk is the machine's matter, not the law's.
        "GET /readyz" => EVERYBODY.answered(503),
        // For the monitor's own address, which is not among these.
        "GET /metrics" => TICKET,
        "GET /api/v1/geo" => right("look"),

        "GET /api/v1/incidents" => right("audit"),
        "POST /api/v1/incidents/{incident}/acknowledge" => {
            right("moderate").with("incident", world.incident().await).inside()
        }
        "GET /api/v1/log" | "GET /api/v1/log/export" | "GET /api/v1/log/key" => right("audit"),

        "GET /api/v1/users" => right("administer"),
        "POST /api/v1/users" => {
            let name = world.new_team().await.replace('_', ".");
            right("administer").json(json!({"username": name, "role": "analyst"}))
        }
        "GET /api/v1/users/{user}" => right("administer").with("user", world.user().await),
        "PATCH /api/v1/users/{user}" => {
            right("administer").with("user", world.user().await).json(json!({"role": "moderator"}))
        }
        "DELETE /api/v1/users/{user}" => right("administer").with("user", world.user().await),
        "POST /api/v1/users/{user}/password" => right("administer").with("user", world.user().await),
        "DELETE /api/v1/users/{user}/second-factor" => right("administer").with("user", world.user().await),

        "GET /api/v1/teams" => right("administer"),
        "POST /api/v1/teams" => {
            let name = world.new_team().await;
            right("administer").json(json!({"name": format!("The other {name}")}))
        }
        "PATCH /api/v1/teams/{team}" => {
            let team = world.new_team().await;
            right("administer").json(json!({"name": format!("Once {team}")})).with("team", team)
        }
        "DELETE /api/v1/teams/{team}" => right("administer").with("team", world.new_team().await),
        "PUT /api/v1/teams/{team}/members/{user}" => {
            right("administer").with("team", world.new_team().await).with("user", world.user().await)
        }
        "DELETE /api/v1/teams/{team}/members/{user}" => {
            let (team, user) = (world.new_team().await, world.user().await);
            world.ada.put(&format!("/api/v1/teams/{team}/members/{user}"), json!({})).await;
            right("administer").with("team", team).with("user", user)
        }

        "GET /api/v1/webhooks" => right("administer"),
        "POST /api/v1/webhooks" => right("administer").json(json!({"url": "https://hooks.example.org/x"})),
        "GET /api/v1/webhooks/{webhook}" => right("administer").with("webhook", world.webhook().await),
        "PATCH /api/v1/webhooks/{webhook}" => {
            right("administer").with("webhook", world.webhook().await).json(json!({"types": ["event.*"]}))
        }
        "DELETE /api/v1/webhooks/{webhook}" => right("administer").with("webhook", world.webhook().await),
        "GET /api/v1/webhooks/{webhook}/deliveries" => right("administer").with("webhook", world.webhook().await),
        "POST /api/v1/webhooks/{webhook}/deliveries/{delivery}/replay" => delivery().await,
        "POST /api/v1/webhooks/{webhook}/rotate" => right("administer").with("webhook", world.webhook().await),
        "POST /api/v1/webhooks/{webhook}/test" => right("administer").with("webhook", world.webhook().await),

        // Twilio's signature opens these; there is no Twilio here.
        "POST /hooks/twilio/inbound" => {
            TICKET.raw("application/x-www-form-urlencoded", "From=%2B33612345678&Body=STOP")
        }
        "POST /hooks/twilio/status" => TICKET
            .raw("application/x-www-form-urlencoded", "MessageStatus=sent")
            .query("?message=msg_01kaf3x6m8e9t8s2v4w6y8z0ab"),
        _ => return None,
    })
}

async fn of_an_account(world: &World<'_>, who: &Actor, route: &str) -> Option<Sample> {
    Some(match route {
        "GET /api/v1/login" => EVERYBODY,
        "POST /api/v1/login" => EVERYBODY.json(json!({"username": "moderator", "password": PASSWORD})),
        "POST /api/v1/login/passkey" => TICKET.json(json!({"challenge": "x", "credential": credential()})),
        "POST /api/v1/login/passkey/start" => EVERYBODY.json(json!({})),
        "POST /api/v1/login/password" => TICKET.json(json!({"ticket": "x", "password": PASSWORD})),
        // There is no identity provider here.
        "POST /api/v1/login/provider" => EVERYBODY.json(json!({})).answered(404),
        "GET /api/v1/login/provider/callback" => EVERYBODY,
        "POST /api/v1/login/second-factor" => TICKET.json(json!({"ticket": "x", "totp": "000000"})),
        "POST /api/v1/logout" => EVERYBODY.signs_out(),

        "GET /api/v1/me" => right("look"),
        "PATCH /api/v1/me" => OWN.json(json!({"name": "Me"})),
        "GET /api/v1/me/browsers" => OWN,
        "DELETE /api/v1/me/browsers" => OWN,
        "DELETE /api/v1/me/browsers/{browser}" => OWN.with("browser", world.browser_of(who).await).personal(),
        "POST /api/v1/me/confirm" => OWN.json(json!({"password": PASSWORD})),
        "POST /api/v1/me/confirm/passkey" => OWN.answered(422),
        "POST /api/v1/me/passkeys" => {
            OWN.json(json!({"challenge": "x", "name": "key", "credential": credential()})).answered(409)
        }
        "POST /api/v1/me/passkeys/start" => OWN,
        "DELETE /api/v1/me/passkeys/{passkey}" => OWN.with("passkey", filled("{passkey}")).answered(404),
        "PUT /api/v1/me/password" => OWN.json(json!({"present": PASSWORD, "new": PASSWORD})).signs_out(),
        "GET /api/v1/me/sign-in" => OWN,
        "POST /api/v1/me/provider" => OWN.json(json!({})).answered(404),
        "DELETE /api/v1/me/provider" => OWN,
        "POST /api/v1/me/recovery-codes" => OWN,
        "POST /api/v1/me/totp" => OWN,
        "DELETE /api/v1/me/totp" => OWN,
        "POST /api/v1/me/totp/confirm" => OWN.json(json!({"ticket": "x", "code": "000000"})).answered(409),

        "GET /api/v1/tokens" => right("look"),
        "POST /api/v1/tokens" => OWN.json(json!({"name": "mine", "scopes": ["read"]})),
        "DELETE /api/v1/tokens/{token}" => OWN.with("token", world.token_of(who).await).personal(),
        _ => return None,
    })
}
