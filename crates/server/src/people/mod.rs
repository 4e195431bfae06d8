//! Lists of invitees: in from spreadsheets and out to them, in bounded memory; and forgetting people in time.
//!
//! ```text
//! upload → file (sealed, in data_dir/imports) → columns guessed → an organiser says start
//!   text: bytes of any encoding → UTF-8 ─▶ sheet::Splitter: rows ─▶ candidate: checked ─▶ batch ─▶ one transaction:
//!                                                                 people, errors, and where to go on
//!
//! whom an organiser means → a line in the log → export: a page of people, opened ─▶ CSV or workbook ─▶ the next page
//! ```
//!
//! What was read and where to go on are one transaction, so that a process that dies goes on without inviting anybody
//! twice. An uploaded file is never on the disk in the clear, and is gone when it was read.

mod candidate;
mod erase;
mod export;
mod file;
mod import;
mod phone;
mod retention;
mod text;
mod workbook;
mod xlsx;

#[cfg(test)]
mod tests;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

pub use candidate::{PLUS_ONES_MAX, TAG_CHARS_MAX, TAGS_MAX, language_tag};
pub use erase::Known;
pub use export::{ExportError, Form, Outgoing};
pub use import::{ImportError, Settings, Upload, View};
pub use phone::normalise;

use crate::access::Access;
use crate::ports::World;
use crate::ports::bus::{Hint, Topic};

/// How often work is looked for without a hint.
const LOOK_EVERY: Duration = Duration::from_secs(5);

/// Lists in and out. One per process, behind an `Arc`.
#[derive(Debug)]
pub struct People {
    world: World,
    access: Arc<Access>,
    /// Where uploaded lists wait, sealed.
    folder: PathBuf,
    /// Whether the database still holds something of people who were forgotten.
    scrub: AtomicBool,
}

impl People {
    /// Lists that wait in `folder`, which is made when there is none.
    ///
    /// # Errors
    ///
    /// An IO error when it cannot be made.
    pub fn new(world: World, access: Arc<Access>, folder: PathBuf) -> std::io::Result<Arc<Self>> {
        std::fs::create_dir_all(&folder)?;
        Ok(Arc::new(Self { world, access, folder, scrub: AtomicBool::new(true) }))
    }

    /// Reads lists that organisers started and forgets people in time, until `stop`. What a process that died began is gone on
    /// with.
    pub async fn run(&self, stop: CancellationToken) {
        let mut hints = self.world.bus.listen();
        let mut retained = None::<Duration>;
        loop {
            let now = self.world.clock.elapsed();
            if retained.is_none_or(|then| now.saturating_sub(then) >= retention::LOOK_EVERY) {
                match self.retain(&stop).await {
                    Ok(()) => retained = Some(now),
                    Err(error) => tracing::warn!(error = &error as &dyn std::error::Error, "nobody could be forgotten"),
                }
            }
            if let Err(error) = self.scrub().await {
                tracing::warn!(error = &error as &dyn std::error::Error, "what was deleted is not overwritten yet");
            }
            match self.turn(&stop, usize::MAX).await {
                Ok(()) => {}
                Err(error) => {
                    tracing::warn!(error = &error as &dyn std::error::Error, "a list of invitees waits");
                }
            }
            let hinted = async {
                loop {
                    match hints.recv().await {
                        Ok(Hint::Event(_, Topic::Imports)) | Err(_) => break,
                        Ok(_) => {}
                    }
                }
            };
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(LOOK_EVERY) => {}
                () = hinted => {}
            }
        }
    }
}
