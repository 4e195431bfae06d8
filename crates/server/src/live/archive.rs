//! What must outlive the process: finished segments, headers, the states of broadcasts.
//!
//! One task for all streams writes to storage and the database. A broadcast hands over and goes on at once; when storage
//! is so slow that [`JOBS_MAX`] jobs wait, further ones are dropped and counted, the affected segments leave the window
//! early, and viewers at the live edge notice nothing.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use metrics::Counter;
use stagedoor_domain::fact::Fact;
use stagedoor_domain::id::{BroadcastId, StreamId};
use stagedoor_domain::stream::State;
use stagedoor_domain::time::Time;
use stagedoor_media::Kind;
use stagedoor_media::package::Stored;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use super::channel::Rendition;
use super::plan::Plan;
use crate::access::Access;
use crate::facts::{self, Actor};
use crate::ports::blobs::{BlobError, Blobs, Key};
use crate::ports::db::content_keys::{self, ContentKeyRow};
use crate::ports::db::segments::Numbered;
use crate::ports::db::streams::Numbers;
use crate::ports::db::{Db, DbError, broadcasts, segments, streams};
use crate::ports::random::Random;

/// Jobs that may wait: some minutes of a dozen streams.
const JOBS_MAX: usize = 1_024;

enum Job {
    Init(StreamId, Kind, u32, Bytes),
    ContentKey(ContentKeyRow),
    Multivariant(StreamId, Bytes),
    Segment(StreamId, Arc<Rendition>, Numbered),
    Reserve(StreamId, Numbers),
    Clear(StreamId, u64),
    Forget(StreamId),
    Began { broadcast: BroadcastId, origin: Time, part_target: Option<Duration> },
    Entered { plan: Plan, broadcast: BroadcastId, state: State, at: Time },
}

/// Takes what is to be kept; never waits.
#[derive(Clone)]
pub(super) struct Archive {
    jobs: mpsc::Sender<Job>,
    lost: Counter,
}

impl Archive {
    /// Starts the task. It ends, after all that was handed over, when the last `Archive` is dropped.
    pub(super) fn start(access: Arc<Access>, db: Db, blobs: Blobs, random: Random) -> (Self, JoinHandle<()>) {
        let (jobs, waiting) = mpsc::channel(JOBS_MAX);
        let task = tokio::spawn(Worker { access, db, blobs, random }.run(waiting));
        (Self { jobs, lost: metrics::counter!("archive_jobs_lost_total") }, task)
    }

    /// Keeps a header.
    pub(super) fn init(&self, stream: StreamId, kind: Kind, id: u32, bytes: Bytes) {
        self.hand_over(Job::Init(stream, kind, id, bytes));
    }

    /// Keeps a key. Handed over before the segments that it seals, so that none of them is kept without it.
    pub(super) fn content_key(&self, key: ContentKeyRow) {
        self.hand_over(Job::ContentKey(key));
    }

    /// Keeps the newest multivariant playlist.
    pub(super) fn multivariant(&self, stream: StreamId, text: Bytes) {
        self.hand_over(Job::Multivariant(stream, text));
    }

    /// Keeps a finished segment, then lets its memory go when the window says so.
    pub(super) fn segment(&self, stream: StreamId, rendition: &Arc<Rendition>, segment: Numbered) {
        self.hand_over(Job::Segment(stream, rendition.clone(), segment));
    }

    /// Promises that no number from these on has been used.
    pub(super) fn reserve(&self, stream: StreamId, numbers: Numbers) {
        self.hand_over(Job::Reserve(stream, numbers));
    }

    /// Forgets the segments below `msn`.
    pub(super) fn clear(&self, stream: StreamId, msn: u64) {
        self.hand_over(Job::Clear(stream, msn));
    }

    /// Removes all that is kept of a stream whose event was deleted.
    pub(super) fn forget(&self, stream: StreamId) {
        self.hand_over(Job::Forget(stream));
    }

    /// Writes down what the packaging of a broadcast must keep to.
    pub(super) fn began(&self, broadcast: BroadcastId, origin: Time, part_target: Option<Duration>) {
        self.hand_over(Job::Began { broadcast, origin, part_target });
    }

    /// Writes down that a broadcast has entered a state.
    pub(super) fn entered(&self, plan: Plan, broadcast: BroadcastId, state: State, at: Time) {
        self.hand_over(Job::Entered { plan, broadcast, state, at });
    }

    fn hand_over(&self, job: Job) {
        if self.jobs.try_send(job).is_err() {
            self.lost.increment(1);
        }
    }
}

struct Worker {
    access: Arc<Access>,
    db: Db,
    blobs: Blobs,
    random: Random,
}

#[derive(Debug, thiserror::Error)]
enum ArchiveError {
    #[error(transparent)]
    Blob(#[from] BlobError),
    #[error(transparent)]
    Db(#[from] DbError),
}

impl Worker {
    async fn run(self, mut jobs: mpsc::Receiver<Job>) {
        let failed = metrics::counter!("archive_jobs_failed_total");
        while let Some(job) = jobs.recv().await {
            if let Err(error) = self.work(job).await {
                failed.increment(1);
                tracing::error!(error = &error as &dyn std::error::Error, "a broadcast is not being kept");
            }
        }
    }

    async fn work(&self, job: Job) -> Result<(), ArchiveError> {
        match job {
            Job::Init(stream, kind, id, bytes) => self.blobs.put(Key::Init(stream, kind, id), vec![bytes]).await?,
            Job::ContentKey(key) => match content_keys::insert(&self.db, &key).await {
                // The event was deleted a moment ago.
                Err(DbError::Gone) => {}
                inserted => inserted?,
            },
            Job::Multivariant(stream, text) => self.blobs.put(Key::Multivariant(stream), vec![text]).await?,
            Job::Segment(stream, rendition, segment) => self.segment(stream, &rendition, segment).await?,
            Job::Reserve(stream, numbers) => streams::reserve(&self.db, stream, numbers).await?,
            Job::Clear(stream, below) => self.clear(stream, below).await?,
            // Its rows went with the event.
            Job::Forget(stream) => {
                self.access.forget_content_keys(stream, u64::MAX);
                self.blobs.delete_all(stream).await?;
            }
            Job::Began { broadcast, origin, part_target } => {
                let mut tx = self.db.write().await?;
                broadcasts::began(&mut tx, broadcast, origin, part_target).await?;
                tx.commit().await?;
            }
            Job::Entered { plan, broadcast, state, at } => {
                let mut tx = self.db.write().await?;
                broadcasts::enter(&mut tx, broadcast, state, at).await?;
                let (event, stream) = (plan.event, plan.stream);
                let fact = match state {
                    State::Idle => None,
                    State::Live => Some(Fact::StreamLive { event, stream, broadcast }),
                    State::Away { .. } => Some(Fact::StreamAway { event, stream, broadcast }),
                    State::Ended => Some(Fact::StreamEnded { event, stream, broadcast }),
                };
                if let Some(fact) = fact {
                    facts::append(&mut tx, &self.random, at, Actor::Publisher, fact).await?;
                }
                tx.commit().await?;
            }
        }
        Ok(())
    }

    async fn segment(&self, stream: StreamId, rendition: &Rendition, numbered: Numbered) -> Result<(), ArchiveError> {
        let (kind, msn) = (rendition.kind(), numbered.segment.msn);
        if !numbered.segment.gap {
            let parts = match rendition.segment(msn) {
                Some(Stored::Memory(parts)) => parts,
                // Memory ran out before storage had its turn: the segment is lost to both.
                Some(Stored::Spilled { .. }) | None => return Ok(()),
            };
            self.blobs.put(Key::Segment(stream, kind, msn), parts).await?;
        }
        match segments::insert(&self.db, stream, kind, &numbered).await {
            // The event was deleted a moment ago.
            Err(DbError::Gone) => return Ok(self.blobs.delete(Key::Segment(stream, kind, msn)).await?),
            inserted => inserted?,
        }
        let expired = {
            let mut window = rendition.window();
            window.spilled(msn);
            window.expired()
        };
        for msn in expired {
            self.forget(stream, kind, msn).await?;
        }
        // Once in every period, with the first segment of a new one.
        if numbered.segment.key == Some(msn) {
            self.forget_keys(stream, msn).await?;
        }
        Ok(())
    }

    /// Forgets the keys from before `msn` that no segment needs any more.
    async fn forget_keys(&self, stream: StreamId, msn: u64) -> Result<(), ArchiveError> {
        let needed = content_keys::remove_unused(&self.db, stream, msn).await?;
        self.access.forget_content_keys(stream, needed.unwrap_or(msn).min(msn));
        Ok(())
    }

    async fn clear(&self, stream: StreamId, below: u64) -> Result<(), ArchiveError> {
        for (kind, msn) in segments::below(&self.db, stream, below).await? {
            self.forget(stream, kind, msn).await?;
        }
        self.forget_keys(stream, below).await
    }

    async fn forget(&self, stream: StreamId, kind: Kind, msn: u64) -> Result<(), ArchiveError> {
        self.blobs.delete(Key::Segment(stream, kind, msn)).await?;
        segments::delete(&self.db, stream, kind, msn).await?;
        Ok(())
    }
}
