//! A plain flood of one URL: how many answers and bytes a server gives per second of processor time.
//!
//! Each connection asks again as soon as it has its answer. Bodies are thrown away in the kernel, so that the same
//! client measures our server and nginx with the same small share of the machine.

use std::cell::{Cell, RefCell};
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use super::http::{Connection, HeaderBlock, Scratch, Take, Url};
use super::stats::{Histogram, Problem};
use super::viewer::Clock;

/// A pause after an error, so that a dead server is not hammered.
const PAUSE: Duration = Duration::from_millis(100);

/// What one thread counted after the warm-up.
#[derive(Debug, Clone, Default)]
pub struct Flood {
    /// Answers with status 200.
    pub answers: u64,
    /// Their body bytes.
    pub bytes: u64,
    /// Request to last byte.
    pub latency: Histogram,
    /// Errors by kind, warm-up included.
    pub errors: std::collections::BTreeMap<Problem, u64>,
}

impl Flood {
    /// Adds what another thread counted.
    pub fn merge(&mut self, other: &Flood) {
        self.answers += other.answers;
        self.bytes += other.bytes;
        self.latency.merge(&other.latency);
        for (problem, count) in &other.errors {
            *self.errors.entry(*problem).or_default() += count;
        }
    }
}

/// What the connections of a thread share.
pub struct Target {
    /// What is asked for.
    pub url: Url,
    /// Where.
    pub address: SocketAddr,
    /// The time of the run.
    pub clock: Clock,
    /// When counting begins: microseconds of the run.
    pub steady_from_us: Cell<i64>,
    /// An answer that takes longer is an error.
    pub timeout: Duration,
    /// The read buffer.
    pub scratch: Scratch,
    /// The counters.
    pub flood: RefCell<Flood>,
}

/// Asks until the future is dropped.
pub async fn ask(target: Rc<Target>) {
    let headers = HeaderBlock::minimal(&target.url.authority, None);
    let mut connection = Connection::new(target.address, target.scratch.clone());
    let path = [target.url.path.as_str()];
    loop {
        let sent_us = target.clock.now_us();
        let get = connection.get(&path, &headers, Take::Discard);
        let problem = match tokio::time::timeout(target.timeout, get).await {
            Ok(Ok(answer)) if answer.status == 200 => {
                if sent_us >= target.steady_from_us.get() {
                    let mut flood = target.flood.borrow_mut();
                    flood.answers += 1;
                    flood.bytes += answer.bytes;
                    flood.latency.record(target.clock.now_us() - sent_us);
                }
                continue;
            }
            Ok(Ok(answer)) => Problem::Status(answer.status),
            Ok(Err(failure)) => Problem::Transport(failure),
            Err(_) => Problem::Timeout,
        };
        *target.flood.borrow_mut().errors.entry(problem).or_default() += 1;
        tokio::time::sleep(PAUSE).await;
    }
}
