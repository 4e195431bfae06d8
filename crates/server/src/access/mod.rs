//! The door: gathers facts, asks [`stagedoor_domain::access::decide`], and does what it says.
//!
//! `approach` asks where somebody comes from (`geo`), `admission` keeps the line when the house is full, `viewer` lets
//! invitees in and out, `takeovers` asks one screen whether another may go on,
//! `removal` sends viewers out. `signin` lets organisers in, `factors` asks them for a second thing, `provider` asks somebody
//! else who they are, `accounts` says who has one, and `organiser` is what they do then. `keys` and `vault` keep what is
//! secret at rest, `limits` and `proof` stand before every guess, `rooms` holds who is in. A media request passes
//! through [`Access::watch`], which touches nothing but memory.

mod accounts;
mod admission;
mod approach;
mod changes;
mod codes;
mod details;
mod ending;
mod factors;
mod geo;
mod invitations;
mod keys;
mod letters;
mod limits;
mod many;
mod organiser;
mod own;
mod password;
mod pending;
mod preview;
mod proof;
mod provider;
mod refusals;
mod rekey;
mod removal;
mod rooms;
mod signin;
mod takeovers;
mod vault;
mod viewer;

#[cfg(test)]
mod tests;

use std::net::IpAddr;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use stagedoor_domain::Time;
use stagedoor_domain::access::{
    Allowed, Denied, EndReason, Facts, Publish, Publisher, Purpose, SessionState, Viewer, Watch, decide,
};
use stagedoor_domain::id::{SessionId, StreamId};
use tokio::sync::{broadcast, watch};
use tokio_util::sync::CancellationToken;

pub use accounts::{AccountChange, FirstAdmin, GovernRefused};
pub use admission::{InLine, NotQueued, Queued};
pub use approach::ApproachRefused;
pub use changes::{Change, ChangeRefused};
pub use codes::{Renewed, Telling};
pub use details::Details;
pub use ending::Ended;
pub use factors::{
    Enrolment, FactorRefused, MadePasskey, Options, PublicKeyCredential, RegisterPublicKeyCredential, passkeys_work_at,
};
pub use geo::{About, Geo, GeoError, Place};
pub use invitations::{Contact, ContactError, NewInvitation, NewInvitee, Note, Recipient, Taken};
pub use keys::{MASTER_KEY, MasterKey, MasterKeyError};
pub use letters::{SealedFor, Written, signed_by_twilio};
pub use organiser::RevealError;
pub use password::PASSWORD_BYTES_MAX;
pub use preview::Preview;
pub use proof::{BITS as PROOF_BITS, Proof, solve};
pub use provider::{Departure, ProviderRefused, Return, Returned};
pub use rekey::{Rekeyed, rekeyed};
pub use removal::{SendOut, SentOut};
pub use rooms::{Attendance, Over, Report, Room, Seat};
pub use signin::{Arrival, Factors, PASSWORD_CHARS_MIN, Shown, SignIn, SignInRefused, SignedIn, Who, is_good_password};
pub use takeovers::Asked;
pub use vault::Unopenable;
pub use viewer::{RedeemAttempt, RedeemRefused, Redeemed};

use crate::config;
use crate::facts::Actor;
use crate::ports::World;
use crate::ports::bus::Bus;
use crate::ports::clock::Clock;
use crate::ports::db::{Db, DbError, concurrency, events, sessions, stream_keys};
use crate::ports::oidc::Provider;
use crate::ports::random::Random;
use admission::Lines;
use keys::Keys;
use limits::Limits;
use password::Passwords;
use pending::Pending;
use rekey::Rekeying;
use removal::Orders;
use rooms::{NewSeat, Rooms};
use takeovers::Questions;

/// How often the sweep looks for sessions whose time is up.
const SWEEP: Duration = Duration::from_secs(1);
/// Every how many sweeps it is written down how many were watching.
const SAMPLE_EVERY: u32 = 10;
/// Every how many sweeps `last_seen` is written down.
const SAVE_EVERY: u32 = 60;
/// Rows per transaction when `last_seen` is written down, so that nobody else waits long for the writer.
const SAVE_ROWS: usize = 500;

/// The hub of permission. One per process, behind an `Arc`.
#[derive(Debug)]
pub struct Access {
    db: Db,
    clock: Clock,
    random: Random,
    bus: Bus,
    settings: config::Access,
    keys: Keys,
    rekeying: Rekeying,
    geo: Geo,
    lines: Lines,
    rooms: Arc<Rooms>,
    questions: Arc<Questions>,
    orders: Orders,
    /// When this process began: nobody was looked for before.
    started: Time,
    codes: Limits,
    proofs: proof::Used,
    previews: preview::Previews,
    logins: Limits,
    names: Limits,
    second_factors: Limits,
    stream_keys: Limits,
    passwords: Passwords,
    /// What people whom we know have begun.
    known: Pending<signin::Waiting>,
    /// What anybody has begun: where strangers push each other out, they push out nobody else.
    strangers: Pending<signin::Waiting>,
    provider: OnceLock<Provider>,
    accounts: watch::Sender<u64>,
}

/// Why the door cannot be opened for business.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The database did not answer as it should.
    #[error("the sessions cannot be loaded")]
    Db(#[from] DbError),
    /// Rows hang on a master key that nobody gave us.
    #[error(
        "rows hang on the master key {missing}, which is not among those at hand ({given}): put its line back into \
         data_dir/master.key behind the first one, or behind a comma into STAGEDOOR_MASTER_KEY"
    )]
    MissingMasterKey {
        /// Its name.
        missing: String,
        /// The names of those at hand.
        given: String,
    },
}

/// Somebody who wants to publish.
#[derive(Clone, Copy, Debug)]
pub struct PublishAttempt<'a> {
    /// The key as the encoder sent it.
    pub key: &'a str,
    /// Where the encoder is.
    pub address: IpAddr,
}

/// Why somebody may not publish.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PublishDenied {
    /// The law says no.
    #[error("this stream key may not publish")]
    Denied(#[source] Denied),
    /// Too many wrong keys from this address.
    #[error("too many wrong stream keys")]
    TooManyAttempts,
    /// The database is away: fail closed, try again.
    #[error("stream keys cannot be checked at the moment")]
    Unavailable,
}

impl Access {
    /// Loads events and sessions into memory.
    ///
    /// # Errors
    ///
    /// [`StartError`], in words for the operator.
    pub async fn start(world: World, settings: config::Access, master: &MasterKey) -> Result<Arc<Self>, StartError> {
        let agreed = rekey::agree(&world, Duration::from_secs(settings.session_s), master).await?;
        let World { db, clock, random, bus } = world;
        let rooms = Arc::new(Rooms::new());
        for event in events::all(&db).await? {
            rooms.open(&event);
        }
        for (session, name) in sessions::all_active(&db).await? {
            let new = NewSeat {
                session: session.id,
                invitation: session.invitation,
                name,
                device: session.device,
                created_at: session.created_at,
                expires_at: session.expires_at,
                last_seen: session.last_seen_at,
                cookie: session.cookie,
            };
            rooms.sit(session.event, new);
        }
        for (event, peak) in concurrency::peaks(&db).await? {
            if let Some(room) = rooms.room(event) {
                room.had_peak(peak);
            }
        }
        Ok(Arc::new(Self {
            keys: Keys::new(master, &agreed.before, &agreed.kept),
            rekeying: Rekeying::new(master, &agreed, clock.elapsed()),
            geo: Geo::default(),
            lines: Lines::restore(&db, clock.now()).await?,
            questions: Arc::default(),
            orders: Orders::default(),
            started: clock.now(),
            codes: Limits::new(settings.wrong_per_address, settings.wrong_total),
            proofs: proof::Used::default(),
            previews: preview::Previews::default(),
            // Passwords and keys have no budget over all addresses: nobody must be able to keep organisers out. What many
            // addresses guess together is counted by the name they guess at.
            logins: Limits::new(settings.wrong_per_address, u32::MAX),
            names: Limits::each_within(signin::GUESSING, signin::WRONG_PER_NAME),
            second_factors: Limits::each_within(signin::GUESSING_DIGITS, signin::WRONG_DIGITS),
            stream_keys: Limits::new(settings.wrong_per_address, u32::MAX),
            passwords: Passwords::new(),
            known: Pending::default(),
            strangers: Pending::default(),
            provider: OnceLock::new(),
            accounts: watch::Sender::new(0),
            db,
            clock,
            random,
            bus,
            settings,
            rooms,
        }))
    }

    /// Whether the token in a media URL may read the stream in it. Asks memory only; notes that the session was seen.
    ///
    /// # Errors
    ///
    /// [`Denied`], for the log. The client is told the same thing whatever it is.
    pub fn watch(&self, token: &str, stream: &str) -> Result<Allowed<Watch>, Denied> {
        let now = self.clock.now();
        let claims = self.keys.token.verify(token, now).map_err(|_| Denied::Unknown)?;
        let wanted: StreamId = stream.parse().map_err(|_| Denied::OtherStream)?;
        self.rooms.with(claims.session, |seat| {
            let Some(seat) = seat else { return self.watch_preview(&claims, wanted, now) };
            let facts = Facts::Viewer(Viewer {
                session: Some(seat.over().map_or(SessionState::Active, SessionState::Ended)),
                expires_at: claims.expires_at.min(seat.expires_at),
                epoch_is_current: seat.epoch_is(claims.epoch),
                stream_matches: claims.stream == wanted && seat.stream == wanted,
            });
            let allowed = decide(Watch { session: seat.session, stream: wanted, event: seat.event }, &facts, now)?;
            seat.seen(now);
            Ok(allowed)
        })
    }

    /// Whether an encoder may publish, and where to.
    ///
    /// # Errors
    ///
    /// [`PublishDenied`].
    pub async fn publish(&self, attempt: PublishAttempt<'_>) -> Result<Allowed<Publish>, PublishDenied> {
        let _turn = self.stream_keys.turn(attempt.address).await;
        let elapsed = self.clock.elapsed();
        self.stream_keys.check(attempt.address, elapsed).map_err(|_| PublishDenied::TooManyAttempts)?;
        let unavailable = |error: DbError| {
            tracing::error!(error = &error as &dyn std::error::Error, "a stream key cannot be checked");
            PublishDenied::Unavailable
        };
        let hash = self.keys.hash.digest(Purpose::StreamKey, attempt.key.as_bytes());
        let Some(target) = stream_keys::by_hash(&self.db, hash).await.map_err(unavailable)? else {
            self.stream_keys.wrong(attempt.address, elapsed);
            return Err(PublishDenied::Denied(Denied::Unknown));
        };
        let now = self.clock.now();
        let action = Publish {
            stream: target.stream,
            event: target.key.event,
            key: target.key.id,
            latency: target.latency,
            dvr_window: target.dvr_window,
            reconnect_window: target.reconnect_window,
        };
        let facts = Facts::Publisher(Publisher { key: target.key.state(), expires_at: target.key.expires_at });
        let allowed = decide(action, &facts, now).map_err(PublishDenied::Denied)?;
        let noted = async {
            let mut tx = self.db.write().await?;
            stream_keys::used(&mut tx, target.key.id, now).await?;
            tx.commit().await
        };
        noted.await.map_err(unavailable)?;
        Ok(allowed)
    }

    /// Tells which sessions end, and why. A listener that is too slow misses some and is told so; whoever must not miss
    /// one waits on its [`Seat::ended`].
    #[must_use]
    pub fn ended(&self) -> broadcast::Receiver<(SessionId, EndReason)> {
        self.rooms.ended()
    }

    /// The room of an event.
    #[must_use]
    pub fn room(&self, event: stagedoor_domain::id::EventId) -> Option<Arc<Room>> {
        self.rooms.room(event)
    }

    /// Ends sessions whose time is up and writes down who was seen, until `stop`.
    pub async fn run(&self, stop: CancellationToken) {
        let mut sweeps = 0_u32;
        loop {
            tokio::select! {
                () = stop.cancelled() => break,
                () = tokio::time::sleep(SWEEP) => {}
            }
            sweeps = sweeps.wrapping_add(1);
            self.geo.refresh(self.clock.elapsed()).await;
            let result = async {
                self.catch_up().await?;
                self.expire().await?;
                self.count();
                if sweeps.is_multiple_of(SAMPLE_EVERY) {
                    self.sample().await?;
                }
                self.turn_lines().await?;
                self.turn_takeovers().await?;
                if sweeps.is_multiple_of(SAVE_EVERY) {
                    self.save_seen().await?;
                    self.forget_takeovers().await?;
                }
                Ok::<_, DbError>(())
            };
            if let Err(error) = result.await {
                // Expired sessions are refused anyway; what was not written is tried again.
                tracing::warn!(error = &error as &dyn std::error::Error, "sessions cannot be swept");
            }
        }
        if let Err(error) = self.save_seen().await {
            tracing::warn!(error = &error as &dyn std::error::Error, "who was seen last cannot be written down");
        }
    }

    /// Ends the sessions and invitations whose time is up: one turn of [`run`](Self::run).
    ///
    /// # Errors
    ///
    /// Any [`DbError`] of a statement.
    pub async fn expire(&self) -> Result<(), DbError> {
        let now = self.clock.now();
        for seat in self.rooms.all().into_iter().filter(|seat| seat.expires_at <= now) {
            let (mut tx, mut ended) = (self.db.write().await?, Ended::default());
            self.end_in(&mut tx, (seat.session, seat.event), EndReason::Expired, Actor::System, &mut ended).await?;
            self.commit(tx, ended).await?;
        }
        self.expire_invitations().await
    }

    /// Counts who is watching, so that a peak between two samples is not missed.
    fn count(&self) {
        let now = self.clock.now();
        for room in self.rooms.rooms() {
            room.counted(room.watching(now) as u64);
        }
    }

    /// Writes down how many are watching each event: one turn of [`run`](Self::run).
    ///
    /// # Errors
    ///
    /// Any [`DbError`] of a statement; the next sample is then not smaller than the one that was lost.
    pub async fn sample(&self) -> Result<(), DbError> {
        let now = self.clock.now();
        let samples: Vec<_> = self
            .rooms
            .rooms()
            .into_iter()
            .filter_map(|room| Some((room.sampled(room.watching(now) as u64)?, room)))
            .collect();
        if samples.is_empty() {
            return Ok(());
        }
        let written = async {
            let mut tx = self.db.write().await?;
            for (watching, room) in &samples {
                let sample = concurrency::Sample { at: now, watching: *watching };
                concurrency::insert(&mut tx, room.event, sample).await?;
            }
            tx.commit().await
        };
        let written = written.await;
        if written.is_err() {
            for (watching, room) in &samples {
                room.sample_lost(*watching);
            }
        }
        written
    }

    async fn save_seen(&self) -> Result<(), DbError> {
        use std::sync::atomic::Ordering;
        let changed: Vec<_> = self
            .rooms
            .all()
            .into_iter()
            .filter(|seat| seat.last_seen().millis() / 1_000 != seat.saved_seen.load(Ordering::Relaxed))
            .collect();
        for some in changed.chunks(SAVE_ROWS) {
            let mut tx = self.db.write().await?;
            for seat in some {
                sessions::seen(&mut tx, seat.session, seat.last_seen()).await?;
            }
            tx.commit().await?;
            for seat in some {
                seat.saved_seen.store(seat.last_seen().millis() / 1_000, Ordering::Relaxed);
            }
        }
        Ok(())
    }

    /// Takes an ended session out of memory and tells everybody who waits for that.
    fn forget(&self, session: SessionId, reason: EndReason) {
        self.rooms.forget(session, reason);
    }
}
