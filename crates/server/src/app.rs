//! The assembly: what this server is made of, in the order in which it is put together.
//!
//! The only module that sees them all.

use std::fs::DirBuilder;
use std::net::SocketAddr;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::PathBuf;
use std::sync::Arc;

use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::access::{
    self, Access, Door, FirstAdmin, MASTER_KEY, MasterKey, MasterKeyError, PublishTokens, PublishTokensError,
    RevealError, SignInRefused,
};
use crate::config::Config;
use crate::deliver::{Deliver, TokenCheck, watch_patterns};
use crate::facts::dispatch;
use crate::facts::seal::Sealer;
use crate::ingest::rtmp::{self, Rtmp};
use crate::live::Hub;
use crate::messages::{GatewayError, Gateways, Messages};
use crate::people::People;
use crate::ports::World;
use crate::ports::acme::Acme;
use crate::ports::blobs::{BlobError, Blobs};
use crate::ports::bus::Bus;
use crate::ports::clock::Clock;
use crate::ports::db::{Db, DbError};
use crate::ports::fetch::Fetch;
use crate::ports::listen::listen;
use crate::ports::oidc::{OidcError, Provider};
use crate::ports::random::Random;
use crate::ports::tls::{Tls, TlsError};
use crate::webhooks::Sender;
use crate::{api, http, telemetry};

/// Why the server cannot start; for the person who starts it.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "each message says what it is and what to do")]
pub enum StartError {
    #[error("the data folder {} cannot be made or used", path.display())]
    DataDir { path: PathBuf, source: std::io::Error },
    #[error("the database cannot be opened")]
    Db(#[from] DbError),
    #[error("the master key cannot be loaded")]
    MasterKey(#[from] MasterKeyError),
    #[error(transparent)]
    Access(#[from] access::StartError),
    #[error(transparent)]
    Oidc(#[from] OidcError),
    #[error(transparent)]
    PublishTokens(#[from] PublishTokensError),
    #[error("the first administrator cannot be made")]
    FirstAdmin(#[from] SignInRefused),
    #[error("the key that signs the log cannot be loaded")]
    LogKey(#[from] RevealError),
    #[error("media cannot be stored")]
    Blobs(#[from] BlobError),
    #[error("messages have nowhere to go")]
    Gateways(#[from] GatewayError),
    #[error(
        "{what} cannot listen on {address}: choose another address with --{option}, or stop the program that uses it"
    )]
    Listen { what: &'static str, option: &'static str, address: SocketAddr, source: std::io::Error },
    #[error(transparent)]
    Tls(#[from] TlsError),
    #[error("{what} cannot listen on {address}: choose another tls.{setting}, or stop the program that uses it")]
    ListenTls { what: &'static str, setting: &'static str, address: SocketAddr, source: std::io::Error },
    #[error("metrics cannot listen on {address}: choose another admin.metrics_listen")]
    Metrics { address: SocketAddr, source: std::io::Error },
    #[error("metrics cannot be collected")]
    Telemetry(#[from] telemetry::TelemetryError),
}

/// A server that is ready to run.
pub struct App {
    /// What the operator decided.
    pub config: Config,
    /// The database.
    pub db: Db,
    /// The time.
    pub clock: Clock,
    /// Randomness.
    pub random: Random,
    /// Hints that something changed.
    pub bus: Bus,
    /// Who may do what.
    pub access: Arc<Access>,
    /// Lists of invitees.
    pub people: Arc<People>,
    /// What is live.
    pub hub: Arc<Hub>,
    /// What is said to invitees.
    pub messages: Arc<Messages>,
    /// The administrator that was made at this start, when there was none: the only moment to show the password.
    pub first_admin: Option<FirstAdmin>,
    sealer: Arc<Sealer>,
    http: TcpListener,
    rtmp: TcpListener,
    tls: Option<TlsDoors>,
    metrics_http: Option<TcpListener>,
    token_check: TokenCheck,
    metrics: telemetry::Metrics,
}

/// The encrypted doors beside the open ones.
struct TlsDoors {
    tls: Tls,
    /// Fetches the certificate, when that is the server's own business.
    acme: Option<Acme>,
    https: TcpListener,
    rtmps: TcpListener,
}

impl TlsDoors {
    fn open(config: &Config) -> Result<Option<Self>, StartError> {
        let Config { tls: config, data_dir, .. } = config;
        let Some(tls) = Tls::load_or_begin(config, data_dir)? else { return Ok(None) };
        let acme = Acme::new(config, data_dir, tls.clone());
        let door = |what, setting, address| {
            listen(address).map_err(|source| StartError::ListenTls { what, setting, address, source })
        };
        let https = door("HTTPS", "https_listen", config.https_listen)?;
        let rtmps = door("RTMPS", "rtmps_listen", config.rtmps_listen)?;
        Ok(Some(Self { tls, acme, https, rtmps }))
    }

    fn rtmps_port(&self) -> Option<u16> {
        self.rtmps.local_addr().ok().map(|address| address.port())
    }

    async fn serve(
        doors: Option<Self>,
        (service, door): (http::Service, Door),
        (rtmp, rtmp_door): (Rtmp, Door),
        stop: CancellationToken,
    ) {
        let Some(Self { tls, acme, https, rtmps }) = doors else { return };
        let clock = rtmp.clock.clone();
        tokio::join!(
            http::serve(https, Some(tls.https()), service, door, stop.clone()),
            rtmp::serve(rtmps, Some(tls.rtmps()), rtmp, rtmp_door, stop.clone()),
            tls.keep(|| clock.now(), stop.clone()),
            async {
                if let Some(acme) = acme {
                    acme.keep(|| clock.now(), stop.clone()).await;
                }
            },
        );
    }
}

impl App {
    /// Puts everything together and binds the ports; nothing is served yet.
    ///
    /// # Errors
    ///
    /// [`StartError`], in words for the operator.
    pub async fn build(config: Config, token_check: TokenCheck) -> Result<Self, StartError> {
        let metrics = telemetry::metrics()?;
        let (clock, random) = (Clock::system(), Random::system());
        let media = config.data_dir.join("media");
        let folder = |source| StartError::DataDir { path: media.clone(), source };
        // Codes, keys and people are in there: a new folder is nobody else's to read.
        DirBuilder::new().recursive(true).mode(0o700).create(&media).map_err(folder)?;

        let db = Db::open(&config.database_url()).await?;
        let variable = std::env::var(MASTER_KEY).ok();
        let master = MasterKey::load(&config.data_dir, variable.as_deref(), &random)?;
        let world = World { db: db.clone(), clock: clock.clone(), random: random.clone(), bus: Bus::local() };
        let access = Access::start(world.clone(), config.access.clone(), &master).await?;
        if variable.is_none() {
            access.watch_key(&config.data_dir);
        }
        if let Some(path) = &config.geo.database
            && let Err(error) = access.geo().read_from(path).await
        {
            // Events go on; those that are for certain countries only stay closed to countries that nobody knows.
            tracing::error!(error = &error as &dyn std::error::Error, path = %path.display(), "no country is known");
        }
        let sealer = Sealer::new(world.clone(), access.log_key().await?);
        if let Some(provider) = Provider::new(&config.oidc)? {
            access.use_provider(provider);
        }
        if let Some(tokens) = PublishTokens::load(&config.publish)? {
            access.use_publish_tokens(tokens);
        }
        let messages = Messages::new(world.clone(), access.clone(), Gateways::of(&config)?, config.sms.clone());
        let first_admin = access.first_admin(&config.admin.username).await?;

        let lists = config.data_dir.join("imports");
        let people = People::new(world.clone(), access.clone(), lists.clone())
            .map_err(|source| StartError::DataDir { path: lists, source })?;

        let hub = Hub::start(access.clone(), db.clone(), Blobs::folder(&media)?, clock.clone(), random.clone());
        hub.restore().await?;

        let door = |what, option, address| {
            listen(address).map_err(|source| StartError::Listen { what, option, address, source })
        };
        let http = door("HTTP", "http", config.http.listen)?;
        let rtmp = door("RTMP", "rtmp", config.rtmp.listen)?;
        let tls = TlsDoors::open(&config)?;
        let metrics_http = config
            .admin
            .metrics_listen
            .map(|address| listen(address).map_err(|source| StartError::Metrics { address, source }));
        let metrics_http = metrics_http.transpose()?;
        let bus = world.bus;
        Ok(Self {
            config,
            db,
            clock,
            random,
            bus,
            access,
            people,
            hub,
            messages,
            first_admin,
            sealer,
            http,
            rtmp,
            tls,
            metrics_http,
            token_check,
            metrics,
        })
    }

    /// Where pages, API and media are served.
    ///
    /// # Errors
    ///
    /// An IO error when the operating system does not know.
    pub fn http_address(&self) -> std::io::Result<SocketAddr> {
        self.http.local_addr()
    }

    /// Where encoders connect.
    ///
    /// # Errors
    ///
    /// An IO error when the operating system does not know.
    pub fn rtmp_address(&self) -> std::io::Result<SocketAddr> {
        self.rtmp.local_addr()
    }

    /// Where the same is served over TLS: HTTPS and RTMPS. `None` without a certificate.
    #[must_use]
    pub fn tls_addresses(&self) -> Option<(SocketAddr, SocketAddr)> {
        let doors = self.tls.as_ref()?;
        Some((doors.https.local_addr().ok()?, doors.rtmps.local_addr().ok()?))
    }

    /// Serves until `stop`; then viewers and publishers are told, what is to be kept is written, and all is closed.
    pub async fn run(self, stop: CancellationToken) {
        let Self {
            config,
            db,
            clock,
            random,
            bus,
            access,
            people,
            hub,
            sealer,
            messages,
            http,
            rtmp,
            tls,
            metrics_http,
            token_check,
            metrics,
            ..
        } = self;
        let world = World { db: db.clone(), clock: clock.clone(), random: random.clone(), bus: bus.clone() };
        let fetch = Fetch::new(config.outbound.clone());
        let sender = Sender::new(world.clone(), access.clone(), fetch.clone());
        let rtmp_port = rtmp.local_addr().map_or(config.rtmp.listen.port(), |address| address.port());
        let metrics_router = api::metrics_router(metrics.clone());
        let proxies = &config.http.trusted_proxies;
        let door = Door::new(config.http.connections, config.http.connections_per_address, proxies);
        let rtmp_door = Door::new(config.rtmp.connections, config.rtmp.connections_per_address, proxies);
        let router = api::router(api::Parts {
            config,
            db: db.clone(),
            clock: clock.clone(),
            random: random.clone(),
            bus,
            access: access.clone(),
            people: people.clone(),
            hub: hub.clone(),
            boards: api::Boards::default(),
            metrics,
            sealer: sealer.clone(),
            fetch,
            rtmp_port,
            rtmps_port: tls.as_ref().and_then(TlsDoors::rtmps_port),
            stop: stop.clone(),
        });
        let deliver = Arc::new(Deliver::new(access.clone(), hub.clone(), token_check));
        let patterns = {
            let clock = clock.clone();
            watch_patterns(access.clone(), hub.clone(), move || clock.elapsed(), stop.clone())
        };
        let ingest = Rtmp { access: access.clone(), hub: hub.clone(), clock, random };
        let service = http::Service { deliver, router };
        let publishers = async {
            stop.cancelled().await;
            hub.stop().await;
        };
        tokio::join!(
            http::serve(http, None, service.clone(), door.clone(), stop.clone()),
            rtmp::serve(rtmp, None, ingest.clone(), rtmp_door.clone(), stop.clone()),
            TlsDoors::serve(tls, (service, door), (ingest, rtmp_door), stop.clone()),
            access.run(stop.clone()),
            patterns,
            access.keep_keys(stop.clone()),
            access.give_new_codes(stop.clone()),
            people.run(stop.clone()),
            sealer.run(stop.clone()),
            hub.keep_signers(stop.clone()),
            dispatch::run(&world, stop.clone()),
            sender.run(stop.clone()),
            messages.run(stop.clone()),
            serve_metrics(metrics_http, metrics_router, stop.clone()),
            publishers,
        );
        db.close().await;
    }
}

/// The listener of its own that `/metrics` may have.
async fn serve_metrics(listener: Option<TcpListener>, router: axum::Router, stop: CancellationToken) {
    let Some(listener) = listener else { return };
    tokio::select! {
        _ = axum::serve(listener, router) => {}
        () = stop.cancelled() => {}
    }
}
