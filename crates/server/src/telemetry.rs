//! What the server says about itself: metrics in Prometheus' text format, and logs.
//!
//! Names follow Prometheus' rules (`snake_case`, base units, `_total` for counters). No label holds an id, an address or
//! anything else without a small bound.

use std::panic::AssertUnwindSafe;
use std::sync::OnceLock;

use futures_util::FutureExt as _;
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use tracing_subscriber::EnvFilter;

/// The recorder could not be put in place.
#[derive(Debug, thiserror::Error)]
#[error("another metrics recorder is in place")]
pub struct TelemetryError;

/// Renders the metrics of this process.
#[derive(Clone)]
pub struct Metrics(PrometheusHandle);

impl Metrics {
    /// The text of `/metrics`.
    #[must_use]
    pub fn render(&self) -> String {
        self.0.run_upkeep();
        self.0.render()
    }
}

/// The process's metrics; the first call puts the recorder in place.
///
/// # Errors
///
/// [`TelemetryError`] when somebody else has.
pub fn metrics() -> Result<Metrics, TelemetryError> {
    static HANDLE: OnceLock<Option<PrometheusHandle>> = OnceLock::new();
    let install = || {
        let seconds = [0.001, 0.005, 0.025, 0.1, 0.5, 1.0, 5.0, 15.0];
        let builder = PrometheusBuilder::new().set_buckets_for_metric(Matcher::Suffix("_seconds".to_owned()), &seconds);
        let handle = builder.ok()?.install_recorder().ok()?;
        describe();
        Some(handle)
    };
    HANDLE.get_or_init(install).clone().map(Metrics).ok_or(TelemetryError)
}

/// Runs the task of one connection. A panic in it ends this task and no other, and is counted.
pub async fn contained(what: &'static str, task: impl Future<Output = ()>) {
    // What the task owns is dropped with it; what it shares is behind locks that go on after a panic.
    if AssertUnwindSafe(task).catch_unwind().await.is_err() {
        metrics::counter!("session_panics_total", "in" => what).increment(1);
        tracing::error!(what, "the task of a connection panicked");
    }
}

fn describe() {
    use metrics::{Unit, describe_counter, describe_gauge, describe_histogram};
    describe_gauge!("http_connections", "Open HTTP connections.");
    describe_counter!("http_connections_refused_total", "Connections of addresses that had too many.");
    describe_counter!("http_limited_total", "Requests beyond the quota of an address or a session.");
    describe_counter!("ingest_connections_refused_total", "RTMP connections of addresses that had too many.");
    describe_counter!("session_panics_total", "Tasks of single connections that ended in a bug of ours.");
    describe_counter!("deliver_requests_total", "Media requests that were let in, by kind.");
    describe_counter!("deliver_refused_total", "Media requests without the right to watch.");
    describe_counter!("deliver_bytes_total", Unit::Bytes, "Bytes of media and playlists handed to connections.");
    describe_counter!("ingest_publishers_refused_total", "Publishers that were refused at the door.");
    describe_counter!("ingest_connections_failed_total", "RTMP connections that ended with an error.");
    describe_counter!("ingest_tags_damaged_total", "Pieces of media that could not be read and were left out.");
    describe_histogram!("feed_look_seconds", Unit::Seconds, "One comparison of a room with what its organisers saw.");
    describe_counter!(
        "feed_resynchronised_total",
        "Organisers' pages that read too slowly and were told everything again."
    );
    describe_counter!(
        "door_refusals_unwritten_total",
        "Refusals at the door, or back from the identity provider, beyond what is written down in a minute."
    );
    describe_counter!("door_openings_dropped_total", "Opened links beyond what waits to be written down.");
    describe_counter!("messages_given_total", "Messages given to a gateway, by channel and by what came of it.");
    describe_gauge!(
        "access_sealed_waiting",
        "Secrets that the pass after a change of the master key has not looked at yet."
    );
    describe_counter!("tls_orders_total", "Certificates fetched by the server itself, by what came of it.");
    describe_gauge!("live_window_bytes", Unit::Bytes, "Media of live windows in memory.");
    describe_counter!("live_frames_skipped_total", "Frames that a slow reader of a live stream lost.");
    describe_counter!("archive_jobs_lost_total", "Segments and states not kept because storage was too slow.");
    describe_counter!("archive_jobs_failed_total", "Segments and states not kept because storage failed.");
}

/// Sends logs to standard error: lines for people, or JSON. `STAGEDOOR_LOG` chooses what (`info`, `stagedoor_server=debug`).
pub fn logs(json: bool) {
    let filter = EnvFilter::try_from_env("STAGEDOOR_LOG").unwrap_or_else(|_| EnvFilter::new("info,sqlx=warn"));
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    // A second call, as in tests, changes nothing.
    let _already_set = if json { builder.json().try_init() } else { builder.with_target(false).try_init() };
}
