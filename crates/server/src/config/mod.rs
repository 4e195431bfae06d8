//! What the operator decides: one struct per section, read from TOML and the environment.
//!
//! Everything has a default that works on one machine. A key that does not exist is refused with its line and the nearest
//! key that does: a typing error must not become a default. `STAGEDOOR_HTTP_LISTEN` stands for `listen` in `[http]`, and
//! the environment wins over the file.

mod hidden;
mod load;

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::ops::RangeInclusive;
use std::path::PathBuf;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize};

pub use hidden::Hidden;
pub use load::ConfigError;
pub use stagedoor_domain::network::Network;

/// The whole configuration.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// The folder for everything that must survive a restart: the SQLite file, media, the master key.
    pub data_dir: PathBuf,
    /// `[http]`
    pub http: Http,
    /// `[rtmp]`
    pub rtmp: Rtmp,
    /// `[publish]`
    pub publish: Publish,
    /// `[tls]`
    pub tls: Tls,
    /// `[database]`
    pub database: Database,
    /// `[access]`
    pub access: Access,
    /// `[geo]`
    pub geo: Geo,
    /// `[admin]`
    pub admin: Admin,
    /// `[outbound]`
    pub outbound: Outbound,
    /// `[oidc]`
    pub oidc: Oidc,
    /// `[sms]`
    pub sms: Sms,
    /// `[email]`
    pub email: Email,
}

/// The organisation's identity provider, by OpenID Connect. Without an issuer there is none.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Oidc {
    /// Where the provider is: the address that its tokens name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub issuer: Option<String>,
    /// What the provider calls us.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_id: Option<String>,
    /// What we show to the provider. Without it, PKCE alone protects the exchange.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_secret: Option<Hidden>,
    /// What the button on the sign-in page calls the provider.
    pub name: String,
    /// What is asked for, beside `openid`.
    pub scopes: Vec<String>,
    /// The claim of the ID token that holds somebody's groups.
    pub groups_claim: String,
    /// Which group gives which role. Somebody in none of them has no account here, unless they had one before.
    pub roles: BTreeMap<String, String>,
}

/// Pages, API and media.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Http {
    /// Where to listen; port 0 takes a free one.
    pub listen: SocketAddr,
    /// How the world reaches this server, for links: `https://stage.example.org`. Without it, links repeat the host that
    /// the request was sent to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub public_url: Option<String>,
    /// Reverse proxies whose `X-Forwarded-For` and `X-Forwarded-Proto` are believed; none by default, because whoever is
    /// believed can pretend to be any address.
    pub trusted_proxies: Vec<Network>,
    /// Connections at a time, by HTTP, HTTPS and WebSocket together; more wait in the kernel's queue.
    pub connections: u32,
    /// Connections of one address (IPv6: one /64) at a time; more are closed. Trusted proxies are not counted.
    pub connections_per_address: u32,
}

/// RTMP in.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Rtmp {
    /// Where to listen; port 0 takes a free one. 1935 is what every encoder expects.
    pub listen: SocketAddr,
    /// How encoders reach it, for the settings that organisers copy: `rtmp://ingest.example.org`. Without it, the host
    /// of the page and the port of `listen`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub public_url: Option<String>,
    /// Connections at a time, by RTMP and RTMPS together; more wait in the kernel's queue.
    pub connections: u32,
    /// Connections of one address (IPv6: one /64) at a time; more are closed.
    pub connections_per_address: u32,
}

/// Whose publish tokens are taken where a stream key is. Without all three, nobody's.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Publish {
    /// Who signs them: what their `iss` must be.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub token_issuer: Option<String>,
    /// What this installation is called in them: what must be in their `aud`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub token_audience: Option<String>,
    /// A file of one to sixteen public keys in PEM form, Ed25519 or P-256, one of which must have signed them. Taken up
    /// within ten seconds when it changes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub token_keys: Option<PathBuf>,
}

/// HTTPS and RTMPS without a proxy. Without a certificate there is neither.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Tls {
    /// The certificate and those that lead to the root, in PEM form: certbot's `fullchain.pem`. When the file changes,
    /// the next connection uses what is in it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub certificate: Option<PathBuf>,
    /// Its private key in PEM form, without a passphrase: certbot's `privkey.pem`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<PathBuf>,
    /// Names that the server fetches a certificate for by itself, instead of `certificate` and `key`. Who sets them agrees to
    /// the terms of the authority.
    pub acme_names: Vec<String>,
    /// Where the authority's directory is.
    pub acme_directory: String,
    /// An address of mail that the authority may write to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub acme_contact: Option<String>,
    /// A file with the certificates that the authority's own server is checked by, in PEM form. Only for an authority of
    /// one's own; by default those of the system.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub acme_roots: Option<PathBuf>,
    /// Where to listen for HTTPS; port 0 takes a free one. Browsers expect 443.
    pub https_listen: SocketAddr,
    /// Where to listen for RTMPS; port 0 takes a free one. Encoders expect 1936 or 443.
    pub rtmps_listen: SocketAddr,
}

/// Where rows live.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Database {
    /// `sqlite:///var/lib/stagedoor/stagedoor.db` or `postgres://user:password@host/name`. Without it, a SQLite file in
    /// `data_dir`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
}

/// Getting in.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Access {
    /// How long a session goes on after it was last watched, in seconds; a week in all at most. Twelve hours are a day at
    /// an event, and a night away from it.
    pub session_s: u64,
    /// How long after its last request a viewer still counts as present, in seconds: their code cannot be used
    /// elsewhere until then. Longer than a tunnel, shorter than fetching another device. 5 to 3 600.
    #[serde(deserialize_with = "grace_s")]
    pub grace_s: u64,
    /// Wrong codes or passwords from one address (IPv6: one /64) in a minute before it has to wait.
    pub wrong_per_address: u32,
    /// Wrong codes in a minute over all addresses before everybody has to prove work.
    pub wrong_total: u32,
    /// Requests to the API from one address (IPv6: one /64) in a minute.
    pub requests_per_address: u32,
    /// Requests to the API with one cookie or token in a minute.
    pub requests_per_session: u32,
    /// WebSockets of one viewer's session, or of one organiser, at a time.
    pub feeds_each: u32,
}

/// Players ask every four seconds at the latest: with less than this, whoever watches would count as gone in between.
const GRACE_S: RangeInclusive<u64> = 5..=3_600;

fn grace_s<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
    let seconds = u64::deserialize(deserializer)?;
    if GRACE_S.contains(&seconds) {
        return Ok(seconds);
    }
    let (least, most) = (GRACE_S.start(), GRACE_S.end());
    Err(D::Error::custom(format_args!("access.grace_s is {seconds}: it must be {least} to {most} seconds")))
}

/// Where addresses are.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Geo {
    /// A MaxMind database (`GeoLite2-City.mmdb` or `-Country.mmdb`). It is read again when the file changes. Without
    /// it, no country is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub database: Option<PathBuf>,
}

/// Organisers and operators.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Admin {
    /// The name of the administrator that is made at the first start.
    pub username: String,
    /// A separate listener for `/metrics`. Without it, `/metrics` is on the `[http]` listener and answers this machine
    /// only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub metrics_listen: Option<SocketAddr>,
}

/// Requests to addresses that people typed in, such as webhooks.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Outbound {
    /// Ports that may be connected to. Only those of web servers by default: whoever may name an address must not talk
    /// to a database through this server.
    pub ports: Vec<u16>,
    /// Networks that may be reached although they are not on the public internet; none by default.
    pub private_networks: Vec<Network>,
}

/// Text messages.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Sms {
    /// `outbox`: messages are shown in the control room and go nowhere; `twilio`: they go out.
    pub gateway: SmsGateway,
    /// The account at Twilio: `AC…`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub account_sid: Option<String>,
    /// Its secret, which also signs what Twilio reports.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub auth_token: Option<Hidden>,
    /// A file with the secret, instead of `auth_token`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub auth_token_file: Option<PathBuf>,
    /// The number that messages come from, or the sender's name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    /// A messaging service that chooses the number, instead of `from`: `MG…`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub messaging_service_sid: Option<String>,
    /// Where the API is; only for tests and for regional endpoints.
    pub base_url: String,
    /// What a segment costs, in thousandths of the currency unit: what budgets and estimates count with.
    pub price_milli: u64,
    /// What it costs to numbers that begin with a prefix; the longest one counts.
    pub prices_milli: Vec<(String, u64)>,
}

/// What text messages go through.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SmsGateway {
    /// Nothing: they are shown in the control room.
    #[default]
    Outbox,
    /// Twilio's REST API.
    Twilio,
}

/// Letters.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Email {
    /// The mail server: `smtp://user:password@host:587`, or `smtps://` for TLS from the first byte. Without it, letters
    /// are shown in the control room and go nowhere.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub url: Option<Hidden>,
    /// Whom letters are from: `Stagedoor <door@example.org>`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    /// With `smtp://`: nothing is said before the connection is encrypted. Off only for a server on this machine.
    pub starttls: bool,
}

fn anywhere(port: u16) -> SocketAddr {
    SocketAddr::from((Ipv4Addr::UNSPECIFIED, port))
}

impl Default for Config {
    fn default() -> Self {
        Self {
            data_dir: PathBuf::from("data"),
            http: Http::default(),
            rtmp: Rtmp::default(),
            publish: Publish::default(),
            tls: Tls::default(),
            database: Database::default(),
            access: Access::default(),
            geo: Geo::default(),
            admin: Admin::default(),
            outbound: Outbound::default(),
            oidc: Oidc::default(),
            sms: Sms::default(),
            email: Email::default(),
        }
    }
}

impl Default for Http {
    fn default() -> Self {
        Self {
            listen: anywhere(8080),
            public_url: None,
            trusted_proxies: Vec::new(),
            // Every viewer holds a few, and a page a WebSocket.
            connections: 60_000,
            // Two thousand viewers behind one address; whoever has fewer than ten of them cannot fill the house.
            connections_per_address: 6_000,
        }
    }
}

impl Default for Rtmp {
    fn default() -> Self {
        // Most are strangers who have ten seconds to say a stream key.
        Self { listen: anywhere(1935), public_url: None, connections: 8_192, connections_per_address: 256 }
    }
}

impl Default for Tls {
    fn default() -> Self {
        Self {
            certificate: None,
            key: None,
            acme_names: Vec::new(),
            acme_directory: "https://acme-v02.api.letsencrypt.org/directory".to_owned(),
            acme_contact: None,
            acme_roots: None,
            https_listen: anywhere(8443),
            rtmps_listen: anywhere(1936),
        }
    }
}

impl Default for Access {
    fn default() -> Self {
        Self {
            session_s: 12 * 60 * 60,
            grace_s: 30,
            wrong_per_address: 5,
            wrong_total: 100,
            // A page asks for about five things when it is opened: an office of two thousand that comes in at once.
            requests_per_address: 12_000,
            // A hundred a second: more than any page, and enough for a program that invites people one by one.
            requests_per_session: 6_000,
            // As many tabs and screens as one person has, with room for some that the network has forgotten.
            feeds_each: 32,
        }
    }
}

impl Default for Oidc {
    fn default() -> Self {
        Self {
            issuer: None,
            client_id: None,
            client_secret: None,
            name: "single sign-on".to_owned(),
            scopes: vec!["profile".to_owned(), "email".to_owned()],
            groups_claim: "groups".to_owned(),
            roles: BTreeMap::new(),
        }
    }
}

impl Default for Sms {
    fn default() -> Self {
        Self {
            gateway: SmsGateway::Outbox,
            account_sid: None,
            auth_token: None,
            auth_token_file: None,
            from: None,
            messaging_service_sid: None,
            base_url: "https://api.twilio.com".to_owned(),
            // Dear enough that a budget holds nearly everywhere; who knows better writes it down.
            price_milli: 80,
            prices_milli: Vec::new(),
        }
    }
}

impl Default for Email {
    fn default() -> Self {
        Self { url: None, from: None, starttls: true }
    }
}

impl Default for Admin {
    fn default() -> Self {
        Self { username: "admin".to_owned(), metrics_listen: None }
    }
}

impl Default for Outbound {
    fn default() -> Self {
        Self { ports: vec![80, 443, 8080, 8443], private_networks: Vec::new() }
    }
}

impl Config {
    /// `database.url`, or the SQLite file in `data_dir`.
    #[must_use]
    pub fn database_url(&self) -> String {
        match &self.database.url {
            Some(url) => url.clone(),
            None => format!("sqlite://{}", self.data_dir.join("stagedoor.db").display()),
        }
    }
}

impl Sms {
    /// The secret, from wherever it is.
    ///
    /// # Errors
    ///
    /// An IO error when the file cannot be read.
    pub fn secret(&self) -> std::io::Result<Option<Hidden>> {
        match (&self.auth_token, &self.auth_token_file) {
            (Some(token), _) => Ok(Some(token.clone())),
            (None, Some(path)) => Ok(Some(Hidden::new(std::fs::read_to_string(path)?.trim()))),
            (None, None) => Ok(None),
        }
    }
}
