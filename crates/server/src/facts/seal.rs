//! Seals the log: gives every fact a number and a hash that holds the one before, and signs the end now and then.
//!
//! Appending a fact waits for none of this. Whoever holds the row of the chain's end goes on with it, so that several
//! processes seal one chain. What is sealed is never changed: the database refuses it, and a change behind its back shows
//! in the export.

use std::sync::Arc;
use std::time::Duration;

use ed25519_dalek::SigningKey;
use stagedoor_domain::access::{Allowed, Audit};
use stagedoor_domain::fact::Fact;
use tokio_util::sync::CancellationToken;

use super::chain::{self, NotCanonical, Statement};
use super::{Actor, append};
use crate::ports::World;
use crate::ports::db::log::{self, Checkpoint, Head};
use crate::ports::db::{DbError, facts};

/// Entries in one transaction: about ten milliseconds of the writer's time.
const BATCH: u32 = 256;
/// How often the sealer looks by itself.
const EVERY: Duration = Duration::from_secs(5);
/// How long it lets hints gather.
const GATHER: Duration = Duration::from_millis(250);
/// A checkpoint is signed after so many entries …
const CHECKPOINT_ENTRIES: u64 = 1_000;
/// … or when entries have waited so long for one.
const CHECKPOINT_AFTER: Duration = Duration::from_secs(60);
/// Entries in one piece of an export: about 100 KiB.
const EXPORT_ENTRIES: u32 = 256;

/// The one who seals.
pub struct Sealer {
    world: World,
    key: SigningKey,
}

impl std::fmt::Debug for Sealer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Sealer(****)")
    }
}

/// How far the log is sealed.
#[derive(Clone, Debug)]
pub struct Sealed {
    /// Where the chain ends.
    pub head: Head,
    /// The public key in base64.
    pub key: String,
    /// What people compare.
    pub fingerprint: String,
}

/// Why there is no export.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    /// It should begin behind an entry that is not there.
    #[error("the log has no such entry")]
    NoSuchEntry,
    /// The database did not answer as it should.
    #[error("the log cannot be read")]
    Db(#[from] DbError),
}

fn corrupt(_: NotCanonical) -> DbError {
    DbError::Corrupt("data".to_owned())
}

impl Sealer {
    /// Seals with `key`.
    #[must_use]
    pub fn new(world: World, key: SigningKey) -> Arc<Self> {
        Arc::new(Self { world, key })
    }

    /// Seals what is new, on hints and from time to time, until `stop`.
    pub async fn run(&self, stop: CancellationToken) {
        let mut hints = self.world.bus.listen();
        loop {
            tokio::select! {
                () = stop.cancelled() => break,
                () = tokio::time::sleep(EVERY) => {}
                _ = hints.recv() => tokio::time::sleep(GATHER).await,
            }
            // Hints that came meanwhile are about the same.
            hints = hints.resubscribe();
            if let Err(error) = self.turn().await {
                tracing::warn!(error = &error as &dyn std::error::Error, "the log cannot be sealed");
            }
        }
        if let Err(error) = self.checkpoint().await {
            tracing::warn!(error = &error as &dyn std::error::Error, "the log's last checkpoint cannot be signed");
        }
    }

    /// Seals everything that is there: one turn of [`run`](Self::run).
    ///
    /// # Errors
    ///
    /// Any [`DbError`] of a statement.
    pub async fn turn(&self) -> Result<(), DbError> {
        let db = &self.world.db;
        loop {
            let (head, now) = (log::get(db).await?, self.world.clock.now());
            let stale = head.seq > head.checkpoint_seq && now.since(head.checkpoint_at) >= CHECKPOINT_AFTER;
            if !stale && facts::count_unsealed(db, 1).await? == 0 {
                return Ok(());
            }
            if self.batch(Sign::WhenDue).await?.1 < u64::from(BATCH) {
                return Ok(());
            }
        }
    }

    /// Seals everything that is there and signs the end.
    ///
    /// # Errors
    ///
    /// Any [`DbError`] of a statement.
    pub async fn checkpoint(&self) -> Result<Head, DbError> {
        loop {
            let (head, sealed) = self.batch(Sign::Now).await?;
            if sealed < u64::from(BATCH) {
                return Ok(head);
            }
        }
    }

    /// One transaction: the new end, and how many entries were sealed.
    async fn batch(&self, sign: Sign) -> Result<(Head, u64), DbError> {
        let now = self.world.clock.now();
        let mut tx = self.world.db.write().await?;
        let mut head = log::hold(&mut tx).await?;
        let before = head.clone();
        for entry in facts::unsealed(&mut tx, BATCH).await? {
            let seq = head.seq + 1;
            let hash = chain::seal(&entry, seq, &head.hash).map_err(corrupt)?;
            facts::seal(&mut tx, entry.id, seq, &hash).await?;
            head = Head { seq, hash, ..head };
        }
        let waiting = head.seq - head.checkpoint_seq;
        let due = match sign {
            Sign::Now => true,
            Sign::WhenDue => waiting >= CHECKPOINT_ENTRIES || now.since(head.checkpoint_at) >= CHECKPOINT_AFTER,
        };
        if waiting > 0 && due {
            let statement = Statement::Checkpoint { seq: head.seq, hash: &head.hash, at: now };
            let line = chain::sign(statement, &self.key).map_err(corrupt)?;
            log::insert(&mut tx, &Checkpoint { seq: head.seq, at: now, line }).await?;
            head.checkpoint_seq = head.seq;
            head.checkpoint_at = now;
        }
        if head != before {
            log::put(&mut tx, &head).await?;
        }
        tx.commit().await?;
        let sealed = head.seq - before.seq;
        Ok((head, sealed))
    }

    /// How far the log is sealed, and with which key.
    ///
    /// # Errors
    ///
    /// Any [`DbError`] of a statement.
    pub async fn sealed(&self) -> Result<Sealed, DbError> {
        let key = self.key.verifying_key();
        Ok(Sealed {
            head: log::get(&self.world.db).await?,
            key: chain::public(&key),
            fingerprint: chain::fingerprint(&key),
        })
    }

    /// An export of everything behind entry `after`: sealed and signed up to now, with the fact that it was taken.
    ///
    /// # Errors
    ///
    /// [`ExportError`].
    pub async fn export(self: &Arc<Self>, _: &Allowed<Audit>, actor: Actor, after: u64) -> Result<Export, ExportError> {
        let World { db, clock, random, .. } = &self.world;
        let mut tx = db.write().await?;
        append(&mut tx, random, clock.now(), actor, Fact::LogExported).await?;
        tx.commit().await?;
        let head = self.checkpoint().await?;
        let prev = match after {
            0 => chain::GENESIS.to_owned(),
            _ => {
                let found = facts::sealed(&self.world.db, after - 1, after, 1).await?;
                found.into_iter().next().and_then(|entry| entry.hash).ok_or(ExportError::NoSuchEntry)?
            }
        };
        Ok(Export { sealer: self.clone(), after, next: Next::Beginning, seq: after, prev, last: head })
    }
}

/// Whether a checkpoint is signed.
#[derive(Clone, Copy)]
enum Sign {
    Now,
    WhenDue,
}

/// An export on its way, a piece at a time.
#[derive(Debug)]
pub struct Export {
    sealer: Arc<Sealer>,
    after: u64,
    next: Next,
    seq: u64,
    prev: String,
    last: Head,
}

#[derive(Clone, Copy, Debug)]
enum Next {
    Beginning,
    Entries,
    Nothing,
}

impl Export {
    /// The next lines; `None` after the last.
    ///
    /// # Errors
    ///
    /// Any [`DbError`] of a statement.
    pub async fn piece(&mut self) -> Result<Option<String>, DbError> {
        match self.next {
            Next::Beginning => {
                self.next = Next::Entries;
                let statement = Statement::Log { after: self.after, prev: &self.prev };
                Ok(Some(format!("{}\n", chain::sign(statement, &self.sealer.key).map_err(corrupt)?)))
            }
            Next::Entries if self.seq < self.last.seq => self.entries().await.map(Some),
            Next::Entries => {
                self.next = Next::Nothing;
                let now = self.sealer.world.clock.now();
                let statement = Statement::End { after: self.after, seq: self.seq, hash: &self.prev, at: now };
                Ok(Some(format!("{}\n", chain::sign(statement, &self.sealer.key).map_err(corrupt)?)))
            }
            Next::Nothing => Ok(None),
        }
    }

    async fn entries(&mut self) -> Result<String, DbError> {
        let db = &self.sealer.world.db;
        let entries = facts::sealed(db, self.seq, self.last.seq, EXPORT_ENTRIES).await?;
        let end = entries.last().and_then(|entry| entry.seq).ok_or_else(|| DbError::Corrupt("seq".to_owned()))?;
        let mut checkpoints = log::checkpoints(db, self.seq, end).await?.into_iter().peekable();
        let mut text = String::new();
        for entry in entries {
            let (seq, hash) = entry.seq.zip(entry.hash.clone()).ok_or_else(|| DbError::Corrupt("seq".to_owned()))?;
            text.push_str(&chain::line(&entry, seq, &self.prev, &hash).map_err(corrupt)?);
            text.push('\n');
            self.seq = seq;
            self.prev = hash;
            while let Some(checkpoint) = checkpoints.next_if(|checkpoint| checkpoint.seq <= seq) {
                text.push_str(&checkpoint.line);
                text.push('\n');
            }
        }
        Ok(text)
    }
}

#[cfg(test)]
mod tests {
    use stagedoor_domain::Time;

    use super::*;
    use crate::facts::verify::verify;
    use crate::ports::bus::Bus;
    use crate::ports::clock::Clock;
    use crate::ports::db::Db;
    use crate::ports::db::testing::{both, proof};
    use crate::ports::random::Random;

    fn world(db: &Db) -> World {
        let clock = Clock::manual(Time::from_millis(1_000_000));
        World { db: db.clone(), clock, random: Random::system(), bus: Bus::local() }
    }

    async fn happen(world: &World, count: usize) {
        let mut tx = world.db.write().await.unwrap();
        for _ in 0..count {
            let now = world.clock.now();
            append(&mut tx, &world.random, now, Actor::Stranger, Fact::SignInRefused { way: None }).await.unwrap();
        }
        tx.commit().await.unwrap();
    }

    async fn exported(sealer: &Arc<Sealer>, after: u64) -> String {
        let mut export = sealer.export(&proof::of(Audit), Actor::Operator, after).await.unwrap();
        let mut text = String::new();
        while let Some(piece) = export.piece().await.unwrap() {
            text.push_str(&piece);
        }
        text
    }

    #[tokio::test]
    async fn everything_is_sealed_once_and_the_export_proves_it() {
        both(async |db| {
            let world = world(&db);
            let sealer = Sealer::new(world.clone(), SigningKey::from_bytes(&[4; 32]));
            assert_eq!(verify(exported(&sealer, 0).await.as_bytes(), None).unwrap().entries, 1, "that it was taken");
            happen(&world, 600).await;
            sealer.turn().await.unwrap();
            happen(&world, 30).await;
            let text = exported(&sealer, 0).await;
            let report = verify(text.as_bytes(), Some(&sealer.key.verifying_key())).unwrap();
            assert_eq!((report.entries, report.after), (632, 0));
            assert!(report.checkpoints >= 1);
            let report = verify(exported(&sealer, 600).await.as_bytes(), None).unwrap();
            assert_eq!((report.entries, report.after), (33, 600));
            let refused = sealer.export(&proof::of(Audit), Actor::Operator, 700).await;
            assert!(matches!(refused, Err(ExportError::NoSuchEntry)));
            assert_eq!(sealer.sealed().await.unwrap().head.seq, 634);
        })
        .await;
    }

    #[tokio::test]
    async fn many_sealers_make_one_chain() {
        both(async |db| {
            let world = world(&db);
            let mut tasks = tokio::task::JoinSet::new();
            for _ in 0..4 {
                let (world, db) = (world.clone(), db.clone());
                tasks.spawn(async move {
                    let sealer = Sealer::new(World { db, ..world.clone() }, SigningKey::from_bytes(&[4; 32]));
                    for _ in 0..5 {
                        happen(&world, 20).await;
                        sealer.turn().await.unwrap();
                    }
                });
            }
            tasks.join_all().await;
            let sealer = Sealer::new(world, SigningKey::from_bytes(&[4; 32]));
            let report = verify(exported(&sealer, 0).await.as_bytes(), None).unwrap();
            assert_eq!(report.entries, 401);
        })
        .await;
    }

    #[tokio::test]
    async fn a_checkpoint_is_signed_when_entries_have_waited_a_minute() {
        both(async |db| {
            let world = world(&db);
            let sealer = Sealer::new(world.clone(), SigningKey::from_bytes(&[4; 32]));
            happen(&world, 1).await;
            sealer.turn().await.unwrap();
            let first = sealer.sealed().await.unwrap().head;
            assert_eq!((first.seq, first.checkpoint_seq), (1, 1), "the first one at once");
            happen(&world, 1).await;
            sealer.turn().await.unwrap();
            assert_eq!(sealer.sealed().await.unwrap().head.checkpoint_seq, 1);
            world.clock.advance(CHECKPOINT_AFTER);
            sealer.turn().await.unwrap();
            assert_eq!(sealer.sealed().await.unwrap().head.checkpoint_seq, 2);
            sealer.turn().await.unwrap();
            assert_eq!(crate::ports::db::log::checkpoints(&db, 0, 9).await.unwrap().len(), 2);
        })
        .await;
    }

    #[tokio::test]
    async fn a_row_that_was_changed_behind_our_back_shows_in_the_export() {
        let scratch = stagedoor_testkit::database::Scratch::sqlite();
        let db = Db::open(scratch.url()).await.unwrap();
        let world = world(&db);
        let sealer = Sealer::new(world.clone(), SigningKey::from_bytes(&[4; 32]));
        happen(&world, 5).await;
        sealer.checkpoint().await.unwrap();
        // Whoever owns the file can take the triggers away.
        let mut tx = db.write().await.unwrap();
        tx.execute("DROP TRIGGER facts_are_not_changed", []).await.unwrap();
        tx.execute("DROP TRIGGER facts_are_not_deleted", []).await.unwrap();
        tx.execute("UPDATE facts SET actor = 'operator' WHERE seq = 3", []).await.unwrap();
        tx.commit().await.unwrap();
        // Line 1 is the beginning, so entry 3 is line 4.
        assert_eq!(verify(exported(&sealer, 0).await.as_bytes(), None).unwrap_err().line, 4);
        let mut tx = db.write().await.unwrap();
        tx.execute("DELETE FROM facts WHERE seq = 3", []).await.unwrap();
        tx.commit().await.unwrap();
        assert_eq!(verify(exported(&sealer, 0).await.as_bytes(), None).unwrap_err().line, 4);
        db.close().await;
        scratch.remove().await;
    }
}
