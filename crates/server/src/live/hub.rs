//! Every stream's channel, and the broadcasts that are running.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use bytes::Bytes;
use stagedoor_domain::Time;
use stagedoor_domain::access::{Allowed, KeyState, Pass, Publish};
use stagedoor_domain::id::{BroadcastId, KeyId, StreamId};
use stagedoor_domain::stream::Broadcast;
use stagedoor_media::Kind;
use stagedoor_media::package::Segmenter;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::archive::Archive;
use super::channel::{Channel, Rendition};
use super::packager::{Attached, Expiry, Outcome, Packager, Parts, Wanted};
use super::plan::Plan;
use super::playlist::Text;
use super::publisher::{Occupied, Place, Publisher, SIGN_OF_LIFE, StopReason};
use super::restore::{Restored, restore};
use super::ring::Ring;
use super::sealing::Sealing;
use super::status::{State, StreamStatus};
use crate::access::{Access, PublishTokensError};
use crate::ports::blobs::{Blobs, Key};
use crate::ports::clock::Clock;
use crate::ports::db::streams::Numbers;
use crate::ports::db::{Db, DbError, Tx, broadcasts, stream_keys, streams};
use crate::ports::follow::follow;
use crate::ports::random::Random;

/// An ended broadcast can be played to its end for its DVR window and this long.
const LINGER: Duration = Duration::from_secs(60);

/// Why nobody can publish now.
#[derive(Debug, thiserror::Error)]
pub enum PublishError {
    /// Another publisher is connected and alive.
    #[error("this stream is already live from another encoder")]
    AlreadyLive {
        /// It has the same stream key, and another address.
        elsewhere: bool,
    },
    /// The stream key is good for one broadcast, and that was another one.
    #[error("the stream key was used for another broadcast")]
    UsedUp,
    /// The stream key was revoked while its publisher was being let in.
    #[error("the stream key was revoked")]
    Revoked,
    /// The server is stopping.
    #[error("the server is stopping")]
    Stopping,
    /// The database does not answer.
    #[error("the broadcast cannot be written down")]
    Db(#[from] DbError),
}

/// Spends what is good for one broadcast on this one, if and when `tx` commits.
async fn spend(tx: &mut Tx, pass: Pass, broadcast: BroadcastId) -> Result<(), PublishError> {
    match pass {
        Pass::OneTimeKey(key) if !stream_keys::spend(tx, key, broadcast).await? => Err(PublishError::UsedUp),
        Pass::OneTimeKey(_) | Pass::Key(_) | Pass::Token(_) => Ok(()),
    }
}

/// All live streams.
pub struct Hub {
    access: Arc<Access>,
    db: Db,
    blobs: Blobs,
    clock: Clock,
    random: Random,
    archive: Mutex<Option<Archive>>,
    archive_task: Mutex<Option<JoinHandle<()>>>,
    streams: RwLock<HashMap<StreamId, Arc<Stream>>>,
    tasks: TaskTracker,
    stop: CancellationToken,
}

/// One stream: its channel, the place for a publisher, and the broadcast that is running.
struct Stream {
    channel: Arc<Channel>,
    place: Place,
    /// Held while a publisher joins the broadcast that is running or begins one, so that no two begin.
    beginning: tokio::sync::Mutex<()>,
    running: Mutex<Option<Running>>,
}

#[derive(Clone)]
struct Running {
    broadcast: BroadcastId,
    ring: Ring,
    wanted: Arc<watch::Sender<Wanted>>,
    /// The numbers that the packager has not used; exact once it has ended.
    unused: watch::Receiver<Numbers>,
    /// Ends the wait for the last viewers of an ended broadcast.
    superseded: CancellationToken,
    /// The event is no more.
    deleted: CancellationToken,
}

/// A broadcast that is to run.
struct Begin {
    plan: Plan,
    broadcast: BroadcastId,
    machine: Broadcast,
    segmenter: Segmenter,
    numbers: Numbers,
}

impl Stream {
    fn new(stream: StreamId) -> Self {
        Self {
            channel: Arc::new(Channel::new(stream)),
            place: Place::default(),
            beginning: tokio::sync::Mutex::default(),
            running: Mutex::new(None),
        }
    }

    /// The broadcast that a publisher may join.
    fn running(&self) -> Option<Running> {
        let running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        running.clone().filter(|running| !running.wanted.is_closed())
    }
}

impl Hub {
    /// An empty hub that keeps what it must in `db` and `blobs`, and has its keys from `access`.
    #[must_use]
    pub fn start(access: Arc<Access>, db: Db, blobs: Blobs, clock: Clock, random: Random) -> Arc<Self> {
        let (archive, task) = Archive::start(access.clone(), db.clone(), blobs.clone(), random.clone());
        Arc::new(Self {
            access,
            db,
            blobs,
            clock,
            random,
            archive: Mutex::new(Some(archive)),
            archive_task: Mutex::new(Some(task)),
            streams: RwLock::default(),
            tasks: TaskTracker::new(),
            stop: CancellationToken::new(),
        })
    }

    /// Takes up the broadcasts that were running when the process before this one ended: their viewers hold, their
    /// publishers have the whole reconnect window to come back, and segment numbers go on.
    ///
    /// # Errors
    ///
    /// [`DbError`] when the database does not answer.
    pub async fn restore(&self) -> Result<(), DbError> {
        for latest in broadcasts::latest(&self.db).await? {
            let stream = self.stream(latest.stream);
            if latest.ended_at.is_some() {
                let status = StreamStatus { state: State::Ended, since: latest.ended_at, ..StreamStatus::idle() };
                stream.channel.set_status(status);
                continue;
            }
            let numbers = streams::numbers(&self.db, latest.stream).await?;
            self.access.load_content_keys(latest.stream).await?;
            let restored = restore(&self.access, &self.db, &self.blobs, &latest, numbers, self.clock.now()).await?;
            let Restored { windows, multivariant, segmenter, numbers } = restored;
            for (kind, window) in windows {
                stream.channel.set_rendition(Arc::new(Rendition::new(kind, window)));
            }
            stream.channel.set_multivariant(multivariant.map(Text::new));
            let since = Some(self.clock.now());
            let plan = Plan::from(&latest);
            let encryption = Some(plan.encryption.into());
            stream.channel.set_status(StreamStatus { state: State::Away, since, encryption, ..StreamStatus::idle() });
            let machine = Broadcast::restored(plan.reconnect_window, self.clock.elapsed());
            let begin = Begin { plan, broadcast: latest.broadcast, machine, segmenter, numbers };
            if self.run(&stream, begin).is_err() {
                break;
            }
        }
        Ok(())
    }

    /// What viewers of `stream` share; `None` when it was never live.
    #[must_use]
    pub fn channel(&self, stream: StreamId) -> Option<Arc<Channel>> {
        let streams = self.streams.read().unwrap_or_else(PoisonError::into_inner);
        streams.get(&stream).map(|stream| stream.channel.clone())
    }

    /// What is known of `stream` now.
    #[must_use]
    pub fn status(&self, stream: StreamId) -> Arc<StreamStatus> {
        self.channel(stream).map_or_else(|| Arc::new(StreamStatus::idle()), |channel| channel.current_status())
    }

    /// The status of `stream`, now and whenever it changes.
    #[must_use]
    pub fn watch(&self, stream: StreamId) -> watch::Receiver<Arc<StreamStatus>> {
        self.stream(stream).channel.status()
    }

    /// The state of `stream` and since when, now and whenever one of them changes.
    #[must_use]
    pub fn watch_state(&self, stream: StreamId) -> watch::Receiver<(State, Option<Time>)> {
        self.stream(stream).channel.state()
    }

    /// Lets a publisher in, taking the place over from a dead connection if need be (which takes up to two seconds).
    ///
    /// # Errors
    ///
    /// [`PublishError`] when another publisher is alive, or nothing new can begin.
    pub async fn publish(&self, allowed: Allowed<Publish>, encoder: &str) -> Result<Publisher, PublishError> {
        if self.stop.is_cancelled() {
            return Err(PublishError::Stopping);
        }
        let publish = *allowed;
        let stream = self.stream(publish.stream);
        let patience = tokio::time::sleep(SIGN_OF_LIFE);
        let ticket = stream.place.take(patience).await.map_err(|Occupied| {
            let running = publish.with.key().zip(stream.running());
            let elsewhere =
                running.is_some_and(|(key, running)| running.wanted.borrow().is_elsewhere(key, publish.address));
            PublishError::AlreadyLive { elsewhere }
        })?;
        let running = {
            let _turn = stream.beginning.lock().await;
            // A database that takes its time looks like a dead connection to the next contender.
            if ticket.is_stopped() {
                return Err(PublishError::AlreadyLive { elsewhere: false });
            }
            match stream.running() {
                Some(running) => {
                    self.join(publish.with, running.broadcast).await?;
                    running
                }
                None => self.begin(&stream, &publish).await?,
            }
        };
        if ticket.is_stopped() {
            return Err(PublishError::AlreadyLive { elsewhere: false });
        }
        let attached = Arc::new(Attached {
            number: ticket.number(),
            occupant: ticket.occupant(),
            pass: publish.with,
            address: publish.address,
            expires_at: Expiry::new(publish.expires_at),
            encoder: encoder.chars().filter(|letter| !letter.is_control()).take(128).collect(),
            connected_at: self.clock.now(),
        });
        running.wanted.send_modify(|wanted| wanted.attach(attached.clone()));
        let publisher = Publisher::new(ticket, running.ring, running.wanted, publish.limits, self.clock.clone());
        self.look_again(&attached).await?;
        Ok(publisher)
    }

    /// The key may have been revoked or given another end after it was judged, when nobody was on air by it who could have
    /// been told. Whoever changes it from now on finds `attached`.
    async fn look_again(&self, attached: &Attached) -> Result<(), PublishError> {
        let Some(key) = attached.pass.key() else { return Ok(()) };
        match stream_keys::by_id(&self.db, key).await? {
            Some(key) if key.state() == KeyState::Active => {
                attached.expires_at.set(key.expires_at);
                Ok(())
            }
            _ => Err(PublishError::Revoked),
        }
    }

    /// Spends what is good for one broadcast on the one that is running.
    async fn join(&self, pass: Pass, broadcast: BroadcastId) -> Result<(), PublishError> {
        if matches!(pass, Pass::OneTimeKey(_)) {
            let mut tx = self.db.write().await?;
            spend(&mut tx, pass, broadcast).await?;
            tx.commit().await?;
        }
        Ok(())
    }

    /// Ends the broadcast of `stream` now: the publisher is told, viewers play to the end.
    pub fn end(&self, stream: StreamId) {
        let stream = self.stream(stream);
        stream.place.stop(StopReason::Ended);
        if let Some(running) = stream.running() {
            running.wanted.send_modify(Wanted::end);
        }
    }

    /// Ends the broadcast of `stream` and removes all that is kept of it: its event was deleted.
    pub fn forget(&self, stream: StreamId) {
        self.end(stream);
        let removed = self.streams.write().unwrap_or_else(PoisonError::into_inner).remove(&stream);
        let running = removed.and_then(|stream| stream.running.lock().unwrap_or_else(PoisonError::into_inner).take());
        if let Some(running) = running {
            // Its packager may have a few things left to hand over; it has them removed after that.
            running.deleted.cancel();
        }
        if let Ok(archive) = self.archive() {
            archive.forget(stream);
        }
    }

    /// Stops whoever publishes on `stream` with `key`.
    pub fn revoke(&self, stream: StreamId, key: KeyId) {
        let stream = self.stream(stream);
        if stream.running().is_some_and(|running| running.wanted.borrow().with_key(key).is_some()) {
            stream.place.stop(StopReason::Revoked);
        }
    }

    /// [Follows](Self::follow_signers) the file of those whose publish tokens are taken, until `stop`.
    pub async fn keep_signers(&self, stop: CancellationToken) {
        follow("the file of publish tokens' keys", stop, || self.follow_signers()).await;
    }

    /// Takes up the file of those whose publish tokens are taken, if it has changed, and stops whoever is on air by a token
    /// of somebody who is not in it any more. Says whether it has changed; never where no tokens are taken.
    ///
    /// # Errors
    ///
    /// [`PublishTokensError`]; then the keys in use stay.
    pub fn follow_signers(&self) -> Result<bool, PublishTokensError> {
        let Some(tokens) = self.access.publish_tokens() else { return Ok(false) };
        let changed = tokens.look()?;
        let streams: Vec<_> = self.streams.read().unwrap_or_else(PoisonError::into_inner).values().cloned().collect();
        // Every time: somebody may have been let in by the old keys and have taken the place after the new ones came.
        for stream in streams {
            let Some(running) = stream.running() else { continue };
            let signer = running.wanted.borrow().signer();
            if signer.is_some_and(|signer| !tokens.trusts(signer)) {
                tracing::warn!(stream = %stream.channel.stream(), "a publisher is stopped: its token's key is gone");
                stream.place.stop(StopReason::Withdrawn);
            }
        }
        Ok(changed)
    }

    /// Whoever publishes on `stream` with `key` goes by its new end.
    pub fn key_ends(&self, stream: StreamId, key: KeyId, expires_at: Option<Time>) {
        if let Some(running) = self.stream(stream).running()
            && let Some(publisher) = running.wanted.borrow().with_key(key)
        {
            publisher.expires_at.set(expires_at);
        }
    }

    /// The bytes of a header that has left memory; `None` when it is gone.
    pub async fn spilled_init(&self, stream: StreamId, kind: Kind, id: u32) -> Option<Bytes> {
        self.read(Key::Init(stream, kind, id)).await
    }

    /// The bytes of a segment that has left memory; `None` when it is gone.
    pub async fn spilled(&self, stream: StreamId, kind: Kind, msn: u64) -> Option<Bytes> {
        self.read(Key::Segment(stream, kind, msn)).await
    }

    async fn read(&self, key: Key) -> Option<Bytes> {
        match self.blobs.get(key).await {
            Ok(bytes) => bytes,
            Err(error) => {
                tracing::error!(error = &error as &dyn std::error::Error, "a stored segment cannot be read");
                None
            }
        }
    }

    /// Tells publishers to go, suspends broadcasts so that the next process takes them up, and waits until all is kept.
    pub async fn stop(&self) {
        self.stop.cancel();
        let streams: Vec<_> = self.streams.read().unwrap_or_else(PoisonError::into_inner).values().cloned().collect();
        for stream in streams {
            stream.place.stop(StopReason::Stopping);
        }
        self.tasks.close();
        self.tasks.wait().await;
        drop(self.archive.lock().unwrap_or_else(PoisonError::into_inner).take());
        let task = self.archive_task.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(task) = task {
            let _a_panic_was_logged = task.await;
        }
    }

    fn stream(&self, id: StreamId) -> Arc<Stream> {
        if let Some(stream) = self.streams.read().unwrap_or_else(PoisonError::into_inner).get(&id) {
            return stream.clone();
        }
        let mut streams = self.streams.write().unwrap_or_else(PoisonError::into_inner);
        streams.entry(id).or_insert_with(|| Arc::new(Stream::new(id))).clone()
    }

    fn archive(&self) -> Result<Archive, PublishError> {
        self.archive.lock().unwrap_or_else(PoisonError::into_inner).clone().ok_or(PublishError::Stopping)
    }

    /// A new broadcast on `stream`, numbered after everything that was ever shown there.
    async fn begin(&self, stream: &Stream, publish: &Publish) -> Result<Running, PublishError> {
        let plan = Plan::from(publish);
        let archive = self.archive()?;
        let now = self.clock.now();
        let broadcast = BroadcastId::new(self.random.uuid(now));
        // Before anything is written: a key that is good for one broadcast is not spent on one that cannot run.
        let kept = streams::numbers(&self.db, plan.stream).await?;
        let mut tx = self.db.write().await?;
        broadcasts::insert(&mut tx, broadcast, plan.stream, plan.encryption, now).await?;
        spend(&mut tx, publish.with, broadcast).await?;
        tx.commit().await?;
        let before = stream.running.lock().unwrap_or_else(PoisonError::into_inner).take();
        let numbers = match before {
            // It may still be writing down what it has used; its own count is exact.
            Some(before) => {
                before.superseded.cancel();
                *before.unused.borrow()
            }
            None => kept,
        };
        stream.channel.clear();
        archive.clear(plan.stream, numbers.next_msn);
        let machine = Broadcast::new(plan.reconnect_window);
        let segmenter = plan.segmenter(numbers);
        self.run(stream, Begin { plan, broadcast, machine, segmenter, numbers })
    }
}

impl Hub {
    /// Starts the task that packages a broadcast.
    fn run(&self, stream: &Stream, begin: Begin) -> Result<Running, PublishError> {
        let Begin { plan, broadcast, machine, segmenter, numbers: first } = begin;
        let archive = self.archive()?;
        let ring = Ring::new();
        let (wanted, follow) = watch::channel(Wanted::default());
        let (numbers, unused) = watch::channel(first);
        let running = Running {
            broadcast,
            ring,
            wanted: Arc::new(wanted),
            unused,
            superseded: CancellationToken::new(),
            deleted: CancellationToken::new(),
        };
        let packager = Packager::new(Parts {
            plan,
            broadcast,
            machine,
            segmenter,
            channel: stream.channel.clone(),
            frames: running.ring.subscribe(),
            wanted: follow,
            first,
            numbers,
            archive: archive.clone(),
            sealing: Sealing::of(&plan, &self.access),
            clock: self.clock.clone(),
        });
        let (channel, stop) = (stream.channel.clone(), self.stop.clone());
        let (superseded, deleted) = (running.superseded.clone(), running.deleted.clone());
        self.tasks.spawn(async move {
            if packager.run(stop.clone()).await == Outcome::Suspended {
                return;
            }
            tokio::select! {
                () = stop.cancelled() => {}
                () = superseded.cancelled() => {}
                () = deleted.cancelled() => archive.forget(plan.stream),
                () = tokio::time::sleep(plan.dvr_window + LINGER) => {
                    channel.clear();
                    archive.clear(plan.stream, u64::MAX);
                }
            }
        });
        *stream.running.lock().unwrap_or_else(PoisonError::into_inner) = Some(running.clone());
        Ok(running)
    }
}
