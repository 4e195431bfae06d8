//! A new master key while everybody watches: taken up at once, then everything that hangs on the one before is sealed and
//! hashed again, a few rows at a time.
//!
//! ```text
//! setting master_key_fingerprint: the names of the master keys that rows hang on
//!   "a"  ──take_up──▶  "a b"   one transaction, with a new key for the hashes of short texts; new rows hang on b
//!        passes:               every row is opened by whichever key does, and sealed by b, unless it is already
//!   "b"  ◀──settle──           after a pass that found nothing to do: a is needed no more
//! ```
//!
//! What is done shows in the rows themselves. A process that dies begins its pass again and finds that most was done. Keys of
//! single people are sealed anew, not replaced: what they seal stays as it is.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use stagedoor_domain::access::{Code, Purpose, Sealed};
use stagedoor_domain::fact::Fact;
use tokio_util::sync::CancellationToken;

use super::keys::{Kept, MasterKey, MasterKeyError, short};
use super::own::LOG_KEY;
use super::{Access, StartError, visits};
use crate::facts::{self, Actor};
use crate::ports::World;
use crate::ports::db::sealed::{self, Column, Person};
use crate::ports::db::{Db, DbError, events, settings};

/// The setting with the names of the master keys that rows hang on.
const FINGERPRINT: &str = "master_key_fingerprint";
/// The setting with what outlives a master key, sealed.
const KEPT: &str = "kept_keys";
/// The setting with how far a change of keys is.
const PROGRESS: &str = "master_key_progress";
/// How often the file of the master key is looked at, and how long after a pass the next one begins.
const LOOK_EVERY: Duration = Duration::from_secs(5);
/// Rows of a transaction: a few milliseconds in which nobody else writes.
const BATCH_ROWS: u32 = 200;
/// Whoever sealed a row with the key before has written it down by then, or given up: waiting for the database takes five
/// seconds at most, and what takes longer is sealed when it is written.
const IN_FLIGHT: Duration = Duration::from_secs(30);

/// What the database and the operator agree on.
pub(super) struct Agreed {
    /// Master keys that rows hang on, beside the present one.
    pub(super) before: Vec<MasterKey>,
    pub(super) kept: Kept,
    /// The names of all of them, as the database knows them.
    names: String,
    /// Whether the present one is new.
    turned: bool,
}

/// Where a change of keys stands, in this process.
pub(super) struct Rekeying(Mutex<State>);

struct State {
    master: MasterKey,
    kept: Kept,
    /// The names of the keys that rows hang on, as this process knows them.
    names: String,
    moving: bool,
    /// When the present key was taken up; monotonic.
    since: Duration,
    /// Where a new key would appear.
    folder: Option<PathBuf>,
    /// What is wrong with the file, as it was told last.
    told: String,
}

/// How far a change of keys is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rekeyed {
    /// The names of the master keys that rows hang on, oldest first; one when no change is under way.
    pub hang_on: Vec<String>,
    /// Secrets that were looked at in the present pass.
    pub done: u64,
    /// Secrets that there are.
    pub total: u64,
}

#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
struct Progress {
    done: u64,
    total: u64,
}

impl std::fmt::Debug for Rekeying {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Rekeying(****)")
    }
}

impl Rekeying {
    pub(super) fn new(master: &MasterKey, agreed: &Agreed, now: Duration) -> Self {
        Self(Mutex::new(State {
            master: master.clone(),
            kept: agreed.kept.clone(),
            names: agreed.names.clone(),
            moving: !agreed.before.is_empty(),
            since: now,
            folder: None,
            told: String::new(),
        }))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How far a change of keys is, as the database says; `None` before the first start.
///
/// # Errors
///
/// Any [`DbError`] of a statement.
pub async fn rekeyed(db: &Db) -> Result<Option<Rekeyed>, DbError> {
    let Some(names) = settings::get(db, FINGERPRINT).await? else { return Ok(None) };
    let progress = settings::get(db, PROGRESS).await?;
    let Progress { done, total } = progress.and_then(|text| serde_json::from_str(&text).ok()).unwrap_or_default();
    Ok(Some(Rekeyed { hang_on: names.split(' ').map(|name| short(name).to_owned()).collect(), done, total }))
}

/// Compares the master key with the one that the rows hang on; a new one is noted, so that whoever starts from here on needs
/// both until all rows have moved. Tokens signed by the one before count for `longest`, as long as a session may last.
pub(super) async fn agree(world: &World, longest: Duration, master: &MasterKey) -> Result<Agreed, StartError> {
    let now = world.clock.now();
    let mut tx = world.db.write().await?;
    let known = settings::lock(&mut tx, FINGERPRINT).await?;
    let present = master.fingerprint();
    let mut names: Vec<_> = known.as_deref().unwrap_or(&present).split(' ').map(str::to_owned).collect();
    let mut keys = Vec::new();
    for name in &names {
        let missing =
            || StartError::MissingMasterKey { missing: short(name).to_owned(), given: master.names().join(", ") };
        keys.push(master.called(name).ok_or_else(missing)?);
    }
    let sealed = settings::lock(&mut tx, KEPT).await?;
    let mut kept = match &sealed {
        Some(text) => open_kept(text, std::iter::once(master).chain(&keys))?,
        None => Kept { hashes: keys.iter().take(1).map(MasterKey::first_hash_key).collect(), tokens: Vec::new() },
    };
    kept.tokens.retain(|(_, until)| now < *until);
    let turned = !names.contains(&present);
    if turned {
        kept.hashes.push(world.random.bytes());
        kept.tokens.extend(keys.last().map(|key| (key.token_key(), now.plus(longest))));
        names.push(present.clone());
        facts::append(&mut tx, &world.random, now, Actor::Operator, Fact::MasterKeyChanged).await?;
    }
    if turned || known.is_none() || sealed.is_none() {
        settings::put(&mut tx, FINGERPRINT, &names.join(" ")).await?;
        let json = serde_json::to_vec(&kept).map_err(|_| DbError::Corrupt(KEPT.to_owned()))?;
        let text = STANDARD.encode(master.cipher().seal(Sealed::Keys, &json, &world.random));
        settings::put(&mut tx, KEPT, &text).await?;
        tx.commit().await?;
    }
    keys.retain(|key| key.fingerprint() != present);
    Ok(Agreed { before: keys, kept, names: names.join(" "), turned })
}

fn open_kept<'a>(text: &str, mut keys: impl Iterator<Item = &'a MasterKey>) -> Result<Kept, DbError> {
    let corrupt = || DbError::Corrupt(KEPT.to_owned());
    let sealed = STANDARD.decode(text).map_err(|_| corrupt())?;
    let json = keys.find_map(|key| key.cipher().plain(Sealed::Keys, &sealed).ok()).ok_or_else(corrupt)?;
    let kept: Kept = serde_json::from_slice(&json).map_err(|_| corrupt())?;
    if kept.hashes.is_empty() { Err(corrupt()) } else { Ok(kept) }
}

impl Access {
    /// A new master key may appear in this folder's file from now on, and is taken up.
    pub fn watch_key(&self, folder: &Path) {
        self.rekeying.state().folder = Some(folder.to_owned());
    }

    /// Seals with this master key from now on. Nobody notices: what hangs on the one before is opened by it until it was
    /// sealed anew.
    ///
    /// # Errors
    ///
    /// [`StartError::MissingMasterKey`] without one that rows still hang on; then everything stays as it was.
    pub async fn take_up(&self, master: &MasterKey) -> Result<(), StartError> {
        let agreed = agree(&self.world(), visits::longest(&self.settings), master).await?;
        self.keys.turn(master, &agreed.before, &agreed.kept);
        {
            let mut state = self.rekeying.state();
            state.master = master.clone();
            state.kept = agreed.kept;
            state.names = agreed.names;
            state.moving = !agreed.before.is_empty();
            state.since = self.clock.elapsed();
        }
        if agreed.turned {
            tracing::info!(key = master.name(), "a new master key was taken up; everything sealed is sealed anew");
        }
        Ok(())
    }

    /// Takes up new master keys and seals anew what hangs on older ones, until `stop`.
    pub async fn keep_keys(&self, stop: CancellationToken) {
        while !stop.is_cancelled() {
            self.look_for_key().await;
            if let Err(error) = self.rekey(&stop).await {
                // What was not done shows in the rows; the next pass finds it.
                tracing::warn!(error = &error as &dyn std::error::Error, "not everything could be sealed anew");
            }
            tokio::select! {
                () = stop.cancelled() => {}
                () = tokio::time::sleep(LOOK_EVERY) => {}
            }
        }
    }

    async fn look_for_key(&self) {
        let (folder, name) = {
            let state = self.rekeying.state();
            (state.folder.clone(), state.master.fingerprint())
        };
        let Some(folder) = folder else { return };
        let result = match tokio::task::spawn_blocking(move || MasterKey::in_file(&folder)).await {
            Ok(Ok(Some(master))) if master.fingerprint() != name => self.take_up(&master).await.map_err(|error| {
                let text = error.to_string();
                tracing::error!(error = &error as &dyn std::error::Error, "the new master key cannot be taken up");
                text
            }),
            Ok(Err(error @ MasterKeyError::Malformed(_))) => Err(error.to_string()),
            _ => Ok(()),
        };
        let mut state = self.rekeying.state();
        let problem = result.err().unwrap_or_default();
        if problem != state.told && !problem.is_empty() {
            tracing::error!(problem, "the file of the master key cannot be used; the one before still is");
        }
        state.told = problem;
    }

    /// One pass over everything that is sealed, if rows hang on an older master key. Says whether none does any more.
    ///
    /// # Errors
    ///
    /// Any [`DbError`] of a statement.
    pub async fn rekey(&self, stop: &CancellationToken) -> Result<bool, DbError> {
        let (moving, since) = {
            let state = self.rekeying.state();
            (state.moving, state.since)
        };
        if !moving {
            return Ok(true);
        }
        let begun = self.clock.elapsed();
        let mut pass = Pass { done: 0, total: sealed::count(&self.db).await?, replaced: 0, lost: 0 };
        self.rekey_settings(&mut pass).await?;
        for column in Column::ALL {
            self.rekey_column(&mut pass, column, stop).await?;
        }
        self.rekey_people(&mut pass, stop).await?;
        if stop.is_cancelled() || pass.replaced > 0 || begun.saturating_sub(since) < IN_FLIGHT {
            return Ok(false);
        }
        if pass.lost > 0 {
            tracing::error!(
                rows = pass.lost,
                "some secrets open with none of the master keys at hand and are left as they are"
            );
        }
        self.settle().await
    }

    /// Nothing hangs on older keys any more.
    async fn settle(&self) -> Result<bool, DbError> {
        let (master, kept, names) = {
            let state = self.rekeying.state();
            (state.master.clone(), state.kept.clone(), state.names.clone())
        };
        let mut tx = self.db.write().await?;
        let known = settings::lock(&mut tx, FINGERPRINT).await?.unwrap_or_default();
        let settled_already = known == master.fingerprint();
        if known != names && !settled_already {
            // Another process took up another one: rows may hang on it.
            return Ok(false);
        }
        settings::put(&mut tx, FINGERPRINT, &master.fingerprint()).await?;
        settings::remove(&mut tx, PROGRESS).await?;
        let now = self.clock.now();
        if !settled_already {
            facts::append(&mut tx, &self.random, now, Actor::System, Fact::MasterKeyRotated).await?;
        }
        tx.commit().await?;
        let mut state = self.rekeying.state();
        if state.names == names {
            state.moving = false;
            state.names = master.fingerprint();
            self.keys.turn(&master, &[], &kept);
        }
        metrics::gauge!("access_sealed_waiting").set(0.0);
        tracing::info!(key = master.name(), "everything hangs on the new master key; older ones can be removed");
        Ok(true)
    }

    /// The server's own: what signs the log, and what outlives master keys.
    async fn rekey_settings(&self, pass: &mut Pass) -> Result<(), DbError> {
        for (name, what) in [(LOG_KEY, Sealed::Signing), (KEPT, Sealed::Keys)] {
            let mut tx = self.db.write().await?;
            let Some(text) = settings::lock(&mut tx, name).await? else { continue };
            let old = STANDARD.decode(text).map_err(|_| DbError::Corrupt(name.to_owned()))?;
            match self.keys.vault.anew(what, &old, &self.random) {
                Ok(None) => {}
                Ok(Some(new)) => {
                    settings::put(&mut tx, name, &STANDARD.encode(new)).await?;
                    tx.commit().await?;
                    pass.replaced += 1;
                }
                Err(_) => pass.lost += 1,
            }
        }
        Ok(())
    }

    async fn rekey_column(&self, pass: &mut Pass, column: Column, stop: &CancellationToken) -> Result<(), DbError> {
        let mut after = String::new();
        while !stop.is_cancelled() {
            let rows = sealed::page(&self.db, column, &after, BATCH_ROWS).await?;
            let Some((last, _)) = rows.last() else { break };
            after.clone_from(last);
            pass.done += rows.len() as u64;
            let mut anew = Vec::new();
            for (id, old) in rows {
                let Some(what) = named(column, &id) else { return Err(DbError::Corrupt("id".to_owned())) };
                match self.keys.vault.anew(what, &old, &self.random) {
                    Ok(None) => {}
                    Ok(Some(new)) => anew.push((id, old, new)),
                    Err(_) => pass.lost += 1,
                }
            }
            if anew.is_empty() {
                continue;
            }
            let mut tx = self.db.write().await?;
            pass.replaced += anew.len() as u64;
            for (id, old, new) in anew {
                sealed::replace(&mut tx, column, &id, old, new).await?;
            }
            pass.note(&mut tx).await?;
            tx.commit().await?;
        }
        Ok(())
    }

    async fn rekey_people(&self, pass: &mut Pass, stop: &CancellationToken) -> Result<(), DbError> {
        let mut after = None;
        while !stop.is_cancelled() {
            let rows = sealed::people(&self.db, after, BATCH_ROWS).await?;
            let Some(last) = rows.last() else { break };
            after = Some(last.invitation.id);
            pass.done += rows.len() as u64;
            let anew: Vec<_> =
                rows.into_iter().filter_map(|old| self.person_anew(&old, pass).map(|new| (old, new))).collect();
            if anew.is_empty() {
                continue;
            }
            pass.replaced += anew.len() as u64;
            match self.replace_people(&anew, pass).await {
                Err(DbError::Exists) => {
                    for (old, new) in anew {
                        if let Err(DbError::Exists) = self.replace_people(&[(old.clone(), new.clone())], pass).await {
                            // Two rows with one number, of which one came when hashes differed: it keeps its number, and
                            // is not found by it.
                            let new = Person { phone: None, ..new };
                            self.replace_people(&[(old, new)], pass).await?;
                        }
                    }
                }
                other => other?,
            }
        }
        Ok(())
    }

    async fn replace_people(&self, anew: &[(Person, Person)], pass: &Pass) -> Result<(), DbError> {
        for some in anew.chunk_by(|one, other| one.0.invitation.event == other.0.invitation.event) {
            let Some((first, _)) = some.first() else { continue };
            let mut tx = self.db.write().await?;
            events::lock(&mut tx, first.invitation.event).await?;
            for (old, new) in some {
                sealed::replace_person(&mut tx, old, new).await?;
            }
            pass.note(&mut tx).await?;
            tx.commit().await?;
        }
        Ok(())
    }

    /// Somebody's row with everything sealed and hashed by the present keys; `None` when it is already. What is not hashed
    /// stays so.
    fn person_anew(&self, old: &Person, pass: &mut Pass) -> Option<Person> {
        let row = &old.invitation;
        if row.erased_at.is_some() {
            return None;
        }
        let mut new = old.clone();
        match self.keys.vault.anew(Sealed::Code(row.id), &row.sealed, &self.random) {
            Ok(anew) => new.invitation.sealed = anew.unwrap_or(new.invitation.sealed),
            Err(_) => pass.lost += 1,
        }
        let code = self.own(row.event, Sealed::Code(row.id)).ok();
        let code = code.and_then(|allowed| self.keys.vault.open(&allowed, &row.sealed).ok());
        if let Some(code) = code.and_then(|code| code.expose().parse::<Code>().ok()) {
            new.code = self.keys.hash.digest(Purpose::Code, code.as_bytes());
        }
        if let Some(key) = &row.person_key {
            match self.keys.vault.anew(Sealed::Contact(row.id), key, &self.random) {
                Ok(anew) => new.invitation.person_key = anew.or(new.invitation.person_key),
                Err(_) => pass.lost += 1,
            }
            let contact = self.own(row.event, Sealed::Contact(row.id)).ok();
            if let Some(contact) = contact.and_then(|allowed| self.contact(&allowed, row).ok()) {
                new.phone = old.phone.and(contact.phone.map(|phone| self.phone_hash(&phone)));
                new.email = old.email.and(contact.email.map(|email| self.email_hash(&email)));
            }
        }
        (new != *old).then_some(new)
    }

    fn world(&self) -> World {
        World { db: self.db.clone(), clock: self.clock.clone(), random: self.random.clone(), bus: self.bus.clone() }
    }
}

/// One walk over everything that is sealed.
struct Pass {
    done: u64,
    total: u64,
    replaced: u64,
    /// Rows that no key opens.
    lost: u64,
}

impl Pass {
    /// Notes how far it is, where the operator's commands look.
    async fn note(&self, tx: &mut crate::ports::db::Tx) -> Result<(), DbError> {
        metrics::gauge!("access_sealed_waiting").set(self.total.saturating_sub(self.done) as f64);
        let progress = Progress { done: self.done, total: self.total };
        let text = serde_json::to_string(&progress).map_err(|_| DbError::Corrupt(PROGRESS.to_owned()))?;
        settings::put(tx, PROGRESS, &text).await
    }
}

fn named(column: Column, id: &str) -> Option<Sealed> {
    Some(match column {
        Column::StreamKey => Sealed::StreamKey(id.parse().ok()?),
        Column::Totp => Sealed::Totp(id.parse().ok()?),
        Column::Webhook | Column::WebhookBefore => Sealed::Webhook(id.parse().ok()?),
        Column::ImportFile => Sealed::ImportFile(id.parse().ok()?),
        Column::ContentKey => Sealed::ContentKey(id.parse().ok()?),
        Column::Message => Sealed::Message(id.parse().ok()?),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config;
    use crate::ports::bus::Bus;
    use crate::ports::clock::Clock;
    use crate::ports::db::testing::both;
    use crate::ports::random::Random;
    use stagedoor_domain::Time;

    #[tokio::test]
    async fn a_key_that_appears_in_the_file_is_taken_up_unless_an_older_one_is_missing() {
        both(async |db| {
            let folder =
                std::env::temp_dir().join(format!("stagedoor-rekey-{}", Random::system().uuid(Time::from_millis(1))));
            std::fs::create_dir_all(&folder).unwrap();
            let key = |number: u8| MasterKey::new([number; 32]);
            let clock = Clock::manual(Time::from_millis(1_795_203_000_000));
            let world = World { db: db.clone(), clock: clock.clone(), random: Random::system(), bus: Bus::local() };
            let access = Access::start(world, config::Access::default(), &key(1)).await.unwrap();
            access.log_key().await.unwrap();
            let hang_on = async || rekeyed(&db).await.unwrap().unwrap().hang_on;
            access.look_for_key().await;
            access.watch_key(&folder);
            access.look_for_key().await;
            assert_eq!(hang_on().await, [key(1).name()], "there is no file");
            for wrong in ["", "x", &"ab".repeat(31)] {
                std::fs::write(folder.join("master.key"), wrong).unwrap();
                access.look_for_key().await;
            }
            key(2).put_in_file(&folder).unwrap();
            access.look_for_key().await;
            assert_eq!(hang_on().await, [key(1).name()], "the old key is missing in it");
            assert!(access.rekey(&CancellationToken::new()).await.unwrap(), "there is nothing to do");
            key(2).after(&key(1)).put_in_file(&folder).unwrap();
            access.look_for_key().await;
            access.look_for_key().await;
            assert_eq!(hang_on().await, [key(1).name(), key(2).name()]);
            clock.advance(IN_FLIGHT);
            let mut passes = 1;
            while !access.rekey(&CancellationToken::new()).await.unwrap() {
                passes += 1;
                assert!(passes < 5);
            }
            assert_eq!(
                (passes, hang_on().await),
                (2, vec![key(2).name()]),
                "one to do it and one to see that it is done"
            );
            std::fs::remove_dir_all(&folder).unwrap();
        })
        .await;
    }
}
