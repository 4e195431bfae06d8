//! What the operator decides: one struct per section, read from TOML and the environment.
//!
//! Everything has a default that works on one machine. A key that does not exist is refused with its line and the nearest
//! key that does: a typing error must not become a default. `STAGEDOOR_HTTP_LISTEN` stands for `listen` in `[http]`, and
//! the environment wins over the file.

mod load;
mod network;

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

pub use load::ConfigError;
pub use network::Network;

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
    /// `[database]`
    pub database: Database,
    /// `[access]`
    pub access: Access,
    /// `[admin]`
    pub admin: Admin,
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
    /// How long one code's session lasts, in seconds. Twelve hours outlast any event.
    pub session_s: u64,
    /// How long after its last request a viewer still counts as present, in seconds: their code cannot be used
    /// elsewhere until then. Longer than a tunnel, shorter than fetching another device.
    pub grace_s: u64,
    /// Wrong codes or passwords from one address (IPv6: one /64) in a minute before it has to wait.
    pub wrong_per_address: u32,
    /// Wrong codes in a minute over all addresses before everybody has to prove work.
    pub wrong_total: u32,
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

fn anywhere(port: u16) -> SocketAddr {
    SocketAddr::from((Ipv4Addr::UNSPECIFIED, port))
}

impl Default for Config {
    fn default() -> Self {
        Self {
            data_dir: PathBuf::from("data"),
            http: Http::default(),
            rtmp: Rtmp::default(),
            database: Database::default(),
            access: Access::default(),
            admin: Admin::default(),
        }
    }
}

impl Default for Http {
    fn default() -> Self {
        Self { listen: anywhere(8080), public_url: None, trusted_proxies: Vec::new() }
    }
}

impl Default for Rtmp {
    fn default() -> Self {
        Self { listen: anywhere(1935), public_url: None }
    }
}

impl Default for Access {
    fn default() -> Self {
        Self { session_s: 12 * 60 * 60, grace_s: 30, wrong_per_address: 5, wrong_total: 100 }
    }
}

impl Default for Admin {
    fn default() -> Self {
        Self { username: "admin".to_owned(), metrics_listen: None }
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
