//! For whoever runs the server.

use std::net::SocketAddr;
use std::time::Duration;

use axum::extract::{ConnectInfo, State};
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use http::header::CONTENT_TYPE;
use serde::Serialize;
use utoipa::ToSchema;

use super::Api;
use super::extract::{Address, Json};
use super::problem::{Body, Problem};
use crate::telemetry::Metrics;

/// A database that takes longer to say anything is not ready.
const PING_MAX: Duration = Duration::from_secs(2);

/// What is ready and what is not.
#[derive(Serialize, ToSchema)]
pub(super) struct Readiness {
    /// All of the below.
    ready: bool,
    /// The database answers.
    database: bool,
    /// More than a gibibyte of the disk of `data_dir` is free, or a tenth of a smaller one.
    disk: bool,
    /// The server is not about to stop.
    serving: bool,
}

/// The process is alive.
#[utoipa::path(get, path = "/livez", tag = "operation", security(()), responses((status = 200, body = String)))]
pub(super) async fn livez() -> &'static str {
    "ok\n"
}

/// Whether to send traffic here.
#[utoipa::path(get, path = "/readyz", tag = "operation", security(()),
    responses((status = 200, body = Readiness), (status = 503, body = Readiness)))]
pub(super) async fn readyz(State(api): State<Api>) -> (StatusCode, Json<Readiness>) {
    let database = matches!(tokio::time::timeout(PING_MAX, api.db.ping()).await, Ok(Ok(())));
    let folder = api.config.data_dir.clone();
    let disk = tokio::task::spawn_blocking(move || disk_is_free(&folder)).await.unwrap_or(false);
    let serving = !api.stop.is_cancelled();
    let ready = database && disk && serving;
    let status = if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, Json(Readiness { ready, database, disk, serving }))
}

/// A large disk that is nine tenths full has room for days: only little room is a reason to send nobody here.
const DISK_FREE: u64 = 1 << 30;

fn disk_is_free(folder: &std::path::Path) -> bool {
    rustix::fs::statvfs(folder).is_ok_and(|disk| {
        let bytes = |blocks: u64| blocks.saturating_mul(disk.f_frsize);
        bytes(disk.f_bavail) > DISK_FREE.min(bytes(disk.f_blocks) / 10)
    })
}

/// Prometheus' metrics, for this machine only.
#[utoipa::path(get, path = "/metrics", tag = "operation", security(()),
    responses((status = 200, body = String, content_type = "text/plain"),
        (status = 404, body = Body, description = "Asked from another machine")))]
pub(super) async fn metrics(
    State(api): State<Api>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    Address(address): Address,
) -> Result<Response, Problem> {
    // A proxy on this machine that is not listed as trusted still is this machine: both must be.
    if !(peer.ip().to_canonical().is_loopback() && address.is_loopback()) {
        return Err(Problem::not_found());
    }
    Ok(text(&api.metrics))
}

/// The metrics in Prometheus' text format.
pub(super) fn text(metrics: &Metrics) -> Response {
    ([(CONTENT_TYPE, "text/plain; version=0.0.4")], metrics.render()).into_response()
}
