//! The JSON API, its documents, the health checks and the pages: everything that HTTP serves except media.
//!
//! ```text
//! request → layers (request id, time limit, headers, origin) → extractors (who asks) → handler → Result<answer, Problem>
//! ```
//!
//! A handler asks the law for an `Allowed<…>` before it touches anything. Which route has which guard is in
//! `routes.txt`; those without are in `open_routes.txt`.

mod account;
mod accounts;
mod board;
mod client;
mod concurrency;
mod events;
mod extract;
mod factors;
mod feed;
mod guests;
mod health;
mod hooks;
mod imports;
mod incidents;
mod invitations;
mod layers;
mod log;
mod login;
mod messages;
mod pages;
mod people;
mod personal_data;
mod places;
mod policy;
mod preview;
mod problem;
mod removal;
mod renewals;
mod stream_keys;
mod takeovers;
mod viewer;
mod webhooks;

use std::sync::Arc;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::middleware;
use axum::routing::get;
use tokio_util::sync::CancellationToken;
use utoipa::openapi::security::{ApiKey, ApiKeyValue, HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::{Modify, OpenApi};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

pub use board::Boards;

use self::problem::Problem;
use crate::access::Access;
use crate::config::Config;
use crate::facts::seal::Sealer;
use crate::live::Hub;
use crate::people::People;
use crate::ports::World;
use crate::ports::bus::Bus;
use crate::ports::clock::Clock;
use crate::ports::db::Db;
use crate::ports::fetch::Fetch;
use crate::ports::random::Random;
use crate::telemetry::Metrics;

/// Carries `act` out to its end, also when whoever asked for it has gone: what was committed is told to those it concerns.
async fn carried_out<T: Send + 'static>(
    act: impl Future<Output = Result<T, Problem>> + Send + 'static,
) -> Result<T, Problem> {
    // It ends early by a bug only, which was logged, or with the whole runtime, when nobody waits here.
    tokio::spawn(act).await.unwrap_or_else(|_| Err(Problem::internal()))
}

/// Bytes of a request body at most: the longest is a title and a few numbers.
const BODY_BYTES_MAX: usize = 64 * 1024;

/// What the API is made of.
pub struct Parts {
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
    /// What organisers see of each room.
    pub boards: Boards,
    /// What `/metrics` shows.
    pub metrics: Metrics,
    /// Seals the log.
    pub sealer: Arc<Sealer>,
    /// Knows which addresses may be used.
    pub fetch: Fetch,
    /// The port that encoders connect to, as it really is.
    pub rtmp_port: u16,
    /// The encrypted one, when there is a certificate.
    pub rtmps_port: Option<u16>,
    /// Cancelled when the server stops: feeds say goodbye, `/readyz` says no.
    pub stop: CancellationToken,
}

impl Parts {
    fn world(&self) -> World {
        let Self { db, clock, random, bus, .. } = self;
        World { db: db.clone(), clock: clock.clone(), random: random.clone(), bus: bus.clone() }
    }
}

/// What handlers share.
pub(crate) type Api = Arc<Parts>;

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Stagedoor",
        description = "Everything that the pages do. Times are RFC 3339 in UTC, durations are milliseconds, lists are \
            read by cursor. Errors are RFC 9457 problems with a stable `code`. Unsafe requests with a cookie need an \
            `Origin` of this server.",
        license(name = "Apache-2.0 OR MIT", identifier = "Apache-2.0 OR MIT"),
    ),
    modifiers(&Security),
    components(schemas(problem::Body, board::OrganiserMessage, feed::ViewerMessage, feed::ViewerReport,
        feed::ViewerHeartbeat, feed::ViewerSignals, feed::ViewerAcknowledge, takeovers::ContenderMessage)),
    tags(
        (name = "account", description = "Signing in, one's own account, API tokens"),
        (name = "accounts", description = "People and teams"),
        (name = "events", description = "Events, their stream and their stream keys"),
        (name = "people", description = "Who is invited, and who is watching"),
        (name = "messages", description = "What is said to invitees, by text message and letter"),
        (name = "viewer", description = "What an invitee's browser does"),
        (name = "log", description = "What happened, and what is odd"),
        (name = "webhooks", description = "Where facts are delivered to"),
        (name = "operation", description = "For whoever runs the server"),
    )
)]
struct Document;

struct Security;

impl Modify for Security {
    fn modify(&self, openapi: &mut utoipa::openapi::OpenApi) {
        let components = openapi.components.get_or_insert_default();
        let cookie = |name| SecurityScheme::ApiKey(ApiKey::Cookie(ApiKeyValue::new(name)));
        components.add_security_scheme("organiser_cookie", cookie(extract::USER_COOKIE));
        components.add_security_scheme("viewer_cookie", cookie(extract::VIEWER_COOKIE));
        let bearer = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).bearer_format("sd_…").build();
        components.add_security_scheme("api_token", SecurityScheme::Http(bearer));
    }
}

fn documented() -> OpenApiRouter<Api> {
    OpenApiRouter::with_openapi(Document::openapi())
        .routes(routes!(login::ways, login::login))
        .routes(routes!(login::second_factor))
        .routes(routes!(login::choose_password))
        .routes(routes!(login::ask_passkey))
        .routes(routes!(login::by_passkey))
        .routes(routes!(login::depart))
        .routes(routes!(login::come_back))
        .routes(routes!(account::logout))
        .routes(routes!(account::me, account::change_me))
        .routes(routes!(login::confirm))
        .routes(routes!(login::ask_my_passkey))
        .routes(routes!(account::list_browsers, account::sign_out_elsewhere))
        .routes(routes!(account::sign_out_browser))
        .routes(routes!(factors::mine))
        .routes(routes!(factors::change_password))
        .routes(routes!(factors::enrol_totp, factors::remove_totp))
        .routes(routes!(factors::confirm_totp))
        .routes(routes!(factors::new_recovery))
        .routes(routes!(factors::begin_passkey))
        .routes(routes!(factors::add_passkey))
        .routes(routes!(factors::remove_passkey))
        .routes(routes!(factors::link_provider, factors::unlink_provider))
        .routes(routes!(accounts::list, accounts::create))
        .routes(routes!(accounts::read, accounts::change, accounts::delete))
        .routes(routes!(accounts::one_time_password))
        .routes(routes!(accounts::forget_factors))
        .routes(routes!(accounts::list_teams, accounts::create_team))
        .routes(routes!(accounts::rename_team, accounts::delete_team))
        .routes(routes!(accounts::join_team, accounts::leave_team))
        .routes(routes!(account::list_tokens, account::create_token))
        .routes(routes!(account::revoke_token))
        .routes(routes!(events::list, events::create))
        .routes(routes!(events::read, events::change, events::delete))
        .routes(routes!(events::ingest))
        .routes(routes!(stream_keys::list, stream_keys::create))
        .routes(routes!(stream_keys::change, stream_keys::revoke))
        .routes(routes!(stream_keys::rotate))
        .routes(routes!(events::end_broadcast))
        .routes(routes!(people::list, people::create))
        .routes(routes!(people::list_tags, people::tag_many))
        .routes(routes!(people::revoke_many))
        .routes(routes!(people::regenerate))
        .routes(routes!(people::export))
        .routes(routes!(people::count_many))
        .routes(routes!(renewals::list))
        .routes(routes!(renewals::read, renewals::cancel))
        .routes(routes!(people::read, people::change, people::revoke))
        .routes(routes!(people::contact))
        .routes(routes!(people::code))
        .routes(routes!(people::unblock))
        .routes(routes!(personal_data::export, personal_data::erase))
        .routes(routes!(imports::list, imports::upload))
        .routes(routes!(imports::read, imports::cancel))
        .routes(routes!(imports::start))
        .routes(routes!(imports::errors))
        .routes(routes!(invitations::viewers))
        .routes(routes!(removal::kick_many))
        .routes(routes!(removal::kick))
        .routes(routes!(removal::end_all))
        .routes(routes!(removal::block))
        .routes(routes!(messages::list_templates))
        .routes(routes!(messages::put_template, messages::delete_template))
        .routes(routes!(messages::preview))
        .routes(routes!(messages::test))
        .routes(routes!(messages::direct))
        .routes(routes!(messages::list_sends, messages::create_send))
        .routes(routes!(messages::read_send))
        .routes(routes!(messages::pause_send))
        .routes(routes!(messages::resume_send))
        .routes(routes!(messages::cancel_send))
        .routes(routes!(messages::retry_send))
        .routes(routes!(messages::list_messages))
        .routes(routes!(messages::retry_message))
        .routes(routes!(messages::messaging))
        .routes(routes!(hooks::twilio_status))
        .routes(routes!(hooks::twilio_inbound))
        .routes(routes!(feed::organiser))
        .routes(routes!(concurrency::history))
        .routes(routes!(preview::hold))
        .routes(routes!(viewer::door))
        .routes(routes!(viewer::opened))
        .routes(routes!(viewer::redeem))
        .routes(routes!(viewer::current, viewer::leave))
        .routes(routes!(viewer::queue, viewer::leave_queue))
        .routes(routes!(guests::list, guests::bring))
        .routes(routes!(feed::viewer))
        .routes(routes!(takeovers::read, takeovers::give_up))
        .routes(routes!(takeovers::feed))
        .routes(routes!(takeovers::answer))
        .routes(routes!(places::read))
        .routes(routes!(log::list))
        .routes(routes!(log::key))
        .routes(routes!(log::export))
        .routes(routes!(incidents::of_event))
        .routes(routes!(incidents::list))
        .routes(routes!(incidents::acknowledge))
        .routes(routes!(webhooks::list, webhooks::create))
        .routes(routes!(webhooks::read, webhooks::change, webhooks::delete))
        .routes(routes!(webhooks::rotate))
        .routes(routes!(webhooks::test))
        .routes(routes!(webhooks::list_deliveries))
        .routes(routes!(webhooks::replay))
        .routes(routes!(health::livez))
        .routes(routes!(health::readyz))
        .routes(routes!(health::metrics))
}

/// The OpenAPI 3.1 description of everything below, as JSON.
///
/// # Panics
///
/// Never: the description is made of strings and maps.
#[must_use]
pub fn openapi() -> String {
    let mut text = documented().into_openapi().to_pretty_json().expect("strings and maps are JSON");
    text.push('\n');
    text
}

/// Everything that HTTP serves except media.
pub fn router(parts: Parts) -> Router {
    let api: Api = Arc::new(parts);
    let (router, _) = documented().split_for_parts();
    router
        .route("/api/v1/openapi.json", get(document))
        .route("/", get(pages::admin))
        .route("/sign-in", get(pages::admin))
        .route("/settings", get(pages::admin))
        .route("/settings/{*rest}", get(pages::admin))
        .route("/log", get(pages::admin))
        .route("/webhooks", get(pages::admin))
        .route("/events/{*rest}", get(pages::admin))
        .route("/e/{event}", get(pages::viewer))
        .route("/assets/{*path}", get(pages::asset))
        .fallback(pages::nowhere)
        .method_not_allowed_fallback(problem::method_not_allowed)
        .layer(DefaultBodyLimit::max(BODY_BYTES_MAX))
        .layer(middleware::from_fn_with_state(api.clone(), layers::same_origin))
        .layer(middleware::from_fn_with_state(api.clone(), layers::bounded))
        .layer(middleware::from_fn_with_state(api.clone(), layers::outermost))
        .with_state(api)
}

/// `/metrics` for a listener of its own, where everybody who reaches it may read it.
pub fn metrics_router(metrics: Metrics) -> Router {
    Router::new().route("/metrics", get(move || async move { health::text(&metrics) }))
}

async fn document() -> impl axum::response::IntoResponse {
    static TEXT: std::sync::OnceLock<String> = std::sync::OnceLock::new();
    let text = TEXT.get_or_init(openapi).as_str();
    ([(http::header::CONTENT_TYPE, "application/json"), (http::header::CACHE_CONTROL, "no-cache")], text)
}
