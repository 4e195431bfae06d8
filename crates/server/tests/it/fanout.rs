//! What many webhooks and a long backlog cost: measured on demand, and held against bounds that any machine keeps.
//!
//! `cargo nextest run -p stagedoor-server --run-ignored only fanout --no-capture`

#![expect(clippy::print_stdout, reason = "what it measured")]

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use axum::Router;
use axum::routing::post;
use http::StatusCode;
use serde_json::json;
use stagedoor_server::config::{Config, Outbound};
use stagedoor_server::facts::dispatch;
use tokio::net::TcpListener;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::hooks::waiting;
use crate::stage::{Browser, Stage, configured_on_both};

/// Nothing takes longer, or something hangs.
const PATIENCE: Duration = Duration::from_secs(300);

/// Counts, and says no more.
#[derive(Default)]
struct Counts {
    quick: AtomicU32,
    slow: AtomicU32,
    at_once: AtomicU32,
    most_at_once: AtomicU32,
    more: Notify,
}

struct Receiver {
    port: u16,
    counts: Arc<Counts>,
    task: tokio::task::JoinHandle<()>,
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Receiver {
    /// `/quick` answers after 20 ms, `/slow` after 100 ms.
    async fn open() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let counts = Arc::<Counts>::default();
        let hook = |which: fn(&Counts) -> &AtomicU32, takes: u64| {
            let counts = counts.clone();
            post(async move || {
                let at_once = counts.at_once.fetch_add(1, Ordering::Relaxed) + 1;
                counts.most_at_once.fetch_max(at_once, Ordering::Relaxed);
                tokio::time::sleep(Duration::from_millis(takes)).await;
                counts.at_once.fetch_sub(1, Ordering::Relaxed);
                which(&counts).fetch_add(1, Ordering::Relaxed);
                counts.more.notify_waiters();
                StatusCode::NO_CONTENT
            })
        };
        let router = Router::new()
            .route("/quick", hook(|counts| &counts.quick, 20))
            .route("/slow", hook(|counts| &counts.slow, 100));
        let task = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { port, counts, task }
    }

    fn config(&self) -> Config {
        let outbound = Outbound { ports: vec![self.port], private_networks: vec!["127.0.0.0/8".parse().unwrap()] };
        Config { outbound, ..Config::default() }
    }

    fn quick(&self) -> u32 {
        self.counts.quick.load(Ordering::Relaxed)
    }

    async fn until_quick(&self, count: u32) {
        let enough = async {
            loop {
                let more = self.counts.more.notified();
                tokio::pin!(more);
                more.as_mut().enable();
                if self.quick() >= count {
                    return;
                }
                more.await;
            }
        };
        tokio::time::timeout(PATIENCE, enough).await.unwrap();
    }
}

/// Resident memory of this process in MiB: server and receiver together.
fn resident_mib() -> f64 {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap();
    let pages: f64 = statm.split(' ').nth(1).unwrap().parse().unwrap();
    pages * 4_096.0 / 1_048_576.0
}

async fn hook(admin: &Browser<'_>, receiver: &Receiver, path: &str) -> String {
    let url = format!("http://127.0.0.1:{}{path}", receiver.port);
    let made = admin.post("/api/v1/webhooks", json!({"url": url, "types": ["event.*"]})).await;
    assert_eq!(made.status, 201, "{made:?}");
    made.at("/id")
}

/// Hands on and sends, as the server does, while `body` runs.
async fn running(stage: &Stage, body: impl AsyncFnOnce()) {
    let stop = CancellationToken::new();
    let sending = tokio::spawn(stage.sender.clone().run(stop.clone()));
    let (world, until) = (stage.world.clone(), stop.clone());
    let handing_on = tokio::spawn(async move { dispatch::run(&world, until).await });
    body().await;
    stop.cancel();
    sending.await.unwrap();
    handing_on.await.unwrap();
}

fn name(stage: &Stage) -> &'static str {
    if matches!(stage.db, stagedoor_server::ports::db::Db::Postgres(_)) { "PostgreSQL" } else { "SQLite" }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "measures"]
async fn what_a_thousand_webhooks_cost() {
    const FACTS: u32 = 10;
    let receiver = Receiver::open().await;
    configured_on_both(receiver.config(), async |stage| {
        let admin = stage.admin().await;
        for _ in 0..dispatch::WEBHOOKS_MAX {
            hook(&admin, &receiver, "/quick").await;
        }
        dispatch::turn(&stage.world).await.unwrap();
        let (memory, arrived) = (resident_mib(), receiver.quick());
        receiver.counts.most_at_once.store(0, Ordering::Relaxed);
        for number in 0..FACTS {
            admin.create_event(&format!("Evening {number}")).await;
        }
        let began = Instant::now();
        dispatch::turn(&stage.world).await.unwrap();
        let handed_on = began.elapsed();
        running(stage, async || receiver.until_quick(arrived + FACTS * dispatch::WEBHOOKS_MAX).await).await;
        let most = receiver.counts.most_at_once.load(Ordering::Relaxed);
        println!(
            "{}: {FACTS} facts to {} webhooks: written down in {handed_on:.1?}, all arrived after {:.1?}; {most} at once at \
             most; {:+.1} MiB",
            name(stage),
            dispatch::WEBHOOKS_MAX,
            began.elapsed(),
            resident_mib() - memory,
        );
        assert!(most <= 256, "{most} at once");
        assert!(resident_mib() - memory < 64.0);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "measures"]
async fn what_a_backlog_of_a_hundred_thousand_costs() {
    const BACKLOG: u32 = 99_000;
    const LIVE: u32 = 50;
    let receiver = Receiver::open().await;
    configured_on_both(receiver.config(), async |stage| {
        let admin = stage.admin().await;
        let slow = hook(&admin, &receiver, "/slow").await;
        hook(&admin, &receiver, "/quick").await;
        waiting(stage, &slow, BACKLOG).await;
        let memory = resident_mib();
        let mut waits = Vec::new();
        let mut writes = Vec::new();
        let slow_before = receiver.counts.slow.load(Ordering::Relaxed);
        let began = Instant::now();
        running(stage, async || {
            for number in 0..LIVE {
                let arrived = receiver.quick();
                let begin = Instant::now();
                admin.create_event(&format!("Evening {number}")).await;
                receiver.until_quick(arrived + 1).await;
                waits.push(begin.elapsed());
            }
            let served = receiver.counts.slow.load(Ordering::Relaxed) - slow_before;
            println!(
                "{}: beside {BACKLOG} that wait for a slow one ({:.0}/s arrive there): {LIVE} live deliveries, {} \
                 (20 ms of it in the receiver); {:+.1} MiB",
                name(stage),
                f64::from(served) / began.elapsed().as_secs_f64(),
                worst(&mut waits, "from the act to the arrival"),
                resident_mib() - memory,
            );
            // Turned off with all that waits, while others write.
            let path = format!("/api/v1/webhooks/{slow}");
            let begin = Instant::now();
            let off = async {
                let answer = admin.patch(&path, json!({"state": "disabled"})).await;
                assert_eq!(answer.status, 200, "{answer:?}");
                begin.elapsed()
            };
            tokio::pin!(off);
            let took = loop {
                let begin = Instant::now();
                tokio::select! {
                    took = &mut off => break took,
                    _ = admin.create_event("Meanwhile") => writes.push(begin.elapsed()),
                }
            };
            println!(
                "{}: turned off with its backlog in {took:.1?}; meanwhile {} others wrote, {}",
                name(stage),
                writes.len(),
                worst(&mut writes, "each"),
            );
        })
        .await;
        assert!(resident_mib() - memory < 64.0);
        waits.sort_unstable();
        assert!(waits[waits.len() / 2] < Duration::from_secs(2), "live deliveries wait for the backlog: {waits:?}");
    })
    .await;
}

fn worst(times: &mut [Duration], what: &str) -> String {
    times.sort_unstable();
    let at = |share: usize| times.get((times.len() * share / 100).min(times.len().saturating_sub(1)));
    let (Some(half), Some(most)) = (at(50), at(100)) else { return "none".to_owned() };
    format!("{what}: p50 {half:.0?}, largest {most:.0?}")
}
