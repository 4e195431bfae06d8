//! The door: gathers facts, asks [`stagedoor_domain::access::decide`], and does what it says.
//!
//! `approach` asks where somebody comes from (`geo`), `admission` keeps the line when the house is full, `viewer` lets
//! invitees in and out, `openings` notes that a link was opened, `takeovers` asks one screen whether another may go on,
//! `removal` sends viewers out, `codes` and `renewals` give new codes to one and to many, `guests` lets an invitee bring
//! somebody along. `heartbeat` asks their pages whether they are there, `risk` notes what is odd about them. `signin`
//! lets organisers in, `factors` asks them for a second thing, `provider` asks somebody else who they are, `accounts`
//! says who has one, and `organiser` is what they do then. `visits` lets those who watch stay. `publishing` lets encoders in, `publish_tokens` those with a
//! token that somebody else signed. `keys` and `vault` keep what is secret at rest, `content` gives out what broadcasts
//! are encrypted with, `limits`, `quota`, `occupancy` and `proof` stand before every guess, `rooms` holds who is in. A media request passes
//! through [`Access::watch`], which touches nothing but memory.

mod accounts;
mod admission;
mod approach;
mod changes;
mod codes;
mod content;
mod details;
mod ending;
mod factors;
mod geo;
mod guests;
mod heartbeat;
mod invitations;
mod keys;
mod letters;
mod limits;
mod many;
mod occupancy;
mod openings;
mod organiser;
mod own;
mod password;
mod pending;
mod preview;
mod proof;
mod provider;
mod publish_tokens;
mod publishing;
mod quota;
mod refusals;
mod rekey;
mod removal;
mod renewals;
mod risk;
mod rooms;
mod signin;
mod takeovers;
mod vault;
mod viewer;
mod visits;

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use stagedoor_domain::Time;
use stagedoor_domain::access::{Allowed, Denied, Digest, EndReason, Facts, SessionState, Viewer, Watch, decide};
use stagedoor_domain::id::{SessionId, StreamId};
use tokio::sync::{Notify, broadcast, watch};
use tokio_util::sync::CancellationToken;

pub use accounts::{AccountChange, FirstAdmin, GovernRefused};
pub use admission::{InLine, NotQueued, Queued};
pub use approach::ApproachRefused;
pub use changes::{Change, ChangeRefused};
pub use codes::{Renewed, Telling};
pub use content::NoKey;
pub use details::Details;
pub use ending::Ended;
pub use factors::{
    Enrolment, FactorRefused, MadePasskey, Options, PublicKeyCredential, RegisterPublicKeyCredential, passkeys_work_at,
};
pub use geo::{About, Geo, GeoError, Place};
pub use guests::{BringRefused, Brought, Guests};
pub use heartbeat::{Guard, Watermark};
pub use invitations::{Contact, ContactError, NewInvitation, NewInvitee, Note, Recipient, Taken};
pub use keys::{MASTER_KEY, MasterKey, MasterKeyError};
pub use letters::{SealedFor, Written, signed_by_twilio};
pub use occupancy::{Closed, Door, Inside, Occupancy, Occupied};
pub use organiser::{NewKey, RevealError, Rotated};
pub use password::PASSWORD_BYTES_MAX;
pub use preview::Preview;
pub use proof::{BITS as PROOF_BITS, Proof, solve};
pub use provider::{Departure, ProviderRefused, Return, Returned};
pub use publish_tokens::{PublishTokens, PublishTokensError, TYPE as PUBLISH_TOKEN_TYPE};
pub use publishing::{PublishAttempt, PublishDenied};
pub use quota::{Standing, WINDOW as QUOTA_WINDOW};
pub use rekey::{Rekeyed, rekeyed};
pub use removal::{SendOut, SentOut};
pub use risk::{Caution, Suspicion};
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
use crate::ports::db::{Db, DbError, concurrency, events, sessions};
use crate::ports::oidc::Provider;
use crate::ports::random::Random;
use admission::Lines;
use keys::Keys;
use limits::Limits;
use password::Passwords;
use pending::Pending;
use quota::Quota;
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
    listening: heartbeat::Listening,
    notices: risk::Notices,
    openings: openings::Openings,
    /// A commit was not answered: memory may not know who is out.
    doubt: Arc<AtomicBool>,
    /// Somebody ordered new codes for many.
    renewing: Notify,
    /// Who was brought lately, by their hosts.
    brought: Limits,
    /// When this process began: nobody was looked for before.
    started: Time,
    codes: Limits,
    content: content::Content,
    /// What is written down of those who were refused.
    refusals: Limits,
    /// What is written down of those whom the identity provider's word did not let in.
    turned_back: Limits,
    proofs: proof::Used,
    previews: preview::Previews,
    logins: Limits,
    names: Limits,
    second_factors: Limits,
    stream_keys: Limits,
    /// What is asked of the API, by address and by what they show.
    asked: (Quota, Quota),
    /// WebSockets that are open.
    feeds: Arc<Occupancy>,
    /// What organisers were told of keys that somebody else may have.
    suspicions: Limits,
    passwords: Passwords,
    /// What people whom we know have begun.
    known: Pending<signin::Waiting>,
    /// What anybody has begun: where strangers push each other out, they push out nobody else.
    strangers: Pending<signin::Waiting>,
    provider: OnceLock<Provider>,
    publish_tokens: OnceLock<PublishTokens>,
    accounts: watch::Sender<u64>,
    /// Who they were when the database last answered, and when that was.
    organisers: Mutex<HashMap<Digest, (Who, Duration)>>,
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

/// Goes on past anything but a database that is away: a row that makes no sense must not keep everybody else waiting.
fn past(result: Result<(), DbError>) -> Result<(), DbError> {
    match result {
        Err(error @ DbError::Unavailable(_)) => Err(error),
        Err(error) => {
            tracing::error!(error = &error as &dyn std::error::Error, "a part of the sweep failed");
            Ok(())
        }
        Ok(()) => Ok(()),
    }
}

impl Access {
    /// Loads events and sessions into memory.
    ///
    /// # Errors
    ///
    /// [`StartError`], in words for the operator.
    pub async fn start(world: World, settings: config::Access, master: &MasterKey) -> Result<Arc<Self>, StartError> {
        let agreed = rekey::agree(&world, visits::longest(&settings), master).await?;
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
                came: clock.elapsed(),
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
            listening: heartbeat::Listening::default(),
            notices: risk::Notices::default(),
            openings: openings::Openings::default(),
            doubt: Arc::default(),
            renewing: Notify::new(),
            brought: Limits::each_within(guests::MINUTE, guests::PER_MINUTE),
            started: clock.now(),
            codes: Limits::new(settings.wrong_per_address, settings.wrong_total),
            content: content::Content::default(),
            refusals: Limits::new(refusals::NOTES_PER_ADDRESS, refusals::NOTES_TOTAL),
            turned_back: Limits::new(refusals::NOTES_PER_ADDRESS, refusals::NOTES_TOTAL),
            proofs: proof::Used::default(),
            previews: preview::Previews::default(),
            // Passwords and keys have no budget over all addresses: nobody must be able to keep organisers out. What many
            // addresses guess together is counted by the name they guess at.
            logins: Limits::new(settings.wrong_per_address, u32::MAX),
            names: Limits::each_within(signin::GUESSING, signin::WRONG_PER_NAME),
            second_factors: Limits::each_within(signin::GUESSING_DIGITS, signin::WRONG_DIGITS),
            stream_keys: Limits::new(settings.wrong_per_address, u32::MAX),
            asked: (Quota::new(settings.requests_per_address), Quota::new(settings.requests_per_session)),
            feeds: Occupancy::new(settings.feeds_each),
            suspicions: Limits::each_within(publishing::SUSPECTED_WITHIN, publishing::SUSPICIONS),
            passwords: Passwords::new(),
            known: Pending::default(),
            strangers: Pending::default(),
            provider: OnceLock::new(),
            publish_tokens: OnceLock::new(),
            accounts: watch::Sender::new(0),
            organisers: Mutex::default(),
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
        self.watching(token, stream).map(|(allowed, _)| allowed)
    }

    /// The same, with the seat of whoever watches; previews have none.
    ///
    /// # Errors
    ///
    /// As [`watch`](Self::watch).
    pub fn watching(&self, token: &str, stream: &str) -> Result<(Allowed<Watch>, Option<Arc<Seat>>), Denied> {
        let now = self.clock.now();
        let claims = self.keys.token.verify(token, now).map_err(|_| Denied::Unknown)?;
        let wanted: StreamId = stream.parse().map_err(|_| Denied::OtherStream)?;
        self.rooms.with(claims.session, |seat| {
            let Some(seat) = seat else {
                return self.watch_preview(&claims, wanted, now).map(|allowed| (allowed, None));
            };
            let facts = Facts::Viewer(Viewer {
                session: Some(seat.over().map_or(SessionState::Active, SessionState::Ended)),
                expires_at: claims.expires_at.min(seat.expires_at()),
                epoch_is_current: seat.epoch_is(claims.epoch),
                stream_matches: claims.stream == wanted && seat.stream == wanted,
            });
            let allowed = decide(Watch { session: seat.session, stream: wanted, event: seat.event }, &facts, now)?;
            seat.seen(now);
            Ok((allowed, Some(Arc::clone(seat))))
        })
    }

    /// Counts a request to the API: where its address stands, and where what it shows stands, if it shows anything. Right
    /// or wrong is not asked: that is for later, and costs more.
    #[must_use]
    pub fn asks(&self, address: IpAddr, shown: Option<&[u8]>) -> (Standing, Option<Standing>) {
        let now = self.clock.elapsed();
        let by_address = self.asked.0.ask(address, now);
        let counted = shown.filter(|_| by_address.wait.is_none());
        (by_address, counted.map(|shown| self.asked.1.ask(*blake3::hash(shown).as_bytes(), now)))
    }

    /// A place for one more WebSocket of a session, a question or an organiser; `None` when they hold as many as they may.
    #[must_use]
    pub fn feed(&self, whose: uuid::Uuid) -> Option<Occupied> {
        self.feeds.take(whose)
    }

    /// Tells which sessions end, and why. A listener that is too slow misses some and is told so; whoever must not miss
    /// one waits on its [`Seat::ended`].
    #[must_use]
    pub fn ended(&self) -> broadcast::Receiver<(SessionId, EndReason)> {
        self.rooms.ended()
    }

    /// Every room.
    #[must_use]
    pub fn rooms(&self) -> Vec<Arc<Room>> {
        self.rooms.rooms()
    }

    /// The room of an event.
    #[must_use]
    pub fn room(&self, event: stagedoor_domain::id::EventId) -> Option<Arc<Room>> {
        self.rooms.room(event)
    }

    /// Ends sessions whose time is up, writes down who was seen and which links were opened, listens who is there and notes
    /// what is odd, until `stop`.
    pub async fn run(&self, stop: CancellationToken) {
        // Each for itself: whoever listens waits for no database.
        tokio::join!(
            self.keep_sweeping(&stop),
            self.keep_listening(&stop),
            self.keep_noticing(&stop),
            self.keep_writing_openings(&stop),
        );
    }

    async fn keep_sweeping(&self, stop: &CancellationToken) {
        let mut sweeps = 0_u32;
        loop {
            tokio::select! {
                () = stop.cancelled() => break,
                () = tokio::time::sleep(SWEEP) => {}
            }
            sweeps = sweeps.wrapping_add(1);
            self.geo.refresh(self.clock.elapsed()).await;
            if let Err(error) = self.sweep(sweeps).await {
                // Expired sessions are refused anyway; what was not written is tried again.
                tracing::warn!(error = &error as &dyn std::error::Error, "sessions cannot be swept");
            }
        }
        if let Err(error) = self.save_seen().await {
            tracing::warn!(error = &error as &dyn std::error::Error, "who was seen last cannot be written down");
        }
    }

    /// What time does, once.
    ///
    /// # Errors
    ///
    /// [`DbError::Unavailable`]: there is no use in going on.
    async fn sweep(&self, sweeps: u32) -> Result<(), DbError> {
        past(self.catch_up().await)?;
        past(self.settle_doubts().await)?;
        past(self.prolong().await)?;
        past(self.expire().await)?;
        self.count();
        if sweeps.is_multiple_of(SAMPLE_EVERY) {
            past(self.sample().await)?;
        }
        past(self.turn_lines().await)?;
        past(self.turn_takeovers().await)?;
        if sweeps.is_multiple_of(SAVE_EVERY) {
            past(self.save_seen().await)?;
            past(self.forget_takeovers().await)?;
        }
        Ok(())
    }

    /// Ends the sessions and invitations whose time is up: one turn of [`run`](Self::run).
    ///
    /// # Errors
    ///
    /// Any [`DbError`] of a statement.
    pub async fn expire(&self) -> Result<(), DbError> {
        let now = self.clock.now();
        for seat in self.rooms.all().into_iter().filter(|seat| seat.expires_at() <= now) {
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
        let mut changed: Vec<_> = self
            .rooms
            .all()
            .into_iter()
            .filter(|seat| seat.last_seen().millis() / 1_000 != seat.saved_seen.load(Ordering::Relaxed))
            .collect();
        changed.sort_unstable_by_key(|seat| seat.event);
        let of_one_event = changed.chunk_by(|one, other| one.event == other.event);
        for some in of_one_event.flat_map(|seats| seats.chunks(SAVE_ROWS)) {
            let mut tx = self.db.write().await?;
            // Several sessions: whoever ends several of them waits, or we do.
            if let Some(seat) = some.first() {
                events::lock(&mut tx, seat.event).await?;
            }
            // To the second: pages report every five, so that ten thousand of them are a few statements.
            let mut by_second: BTreeMap<i64, Vec<SessionId>> = BTreeMap::new();
            let noted: Vec<_> = some.iter().map(|seat| (seat, seat.last_seen().millis() / 1_000)).collect();
            for (seat, second) in &noted {
                by_second.entry(*second).or_default().push(seat.session);
            }
            for (second, sessions) in by_second {
                sessions::seen(&mut tx, &sessions, Time::from_millis(second * 1_000)).await?;
            }
            tx.commit().await?;
            for (seat, second) in noted {
                seat.saved_seen.store(second, Ordering::Relaxed);
            }
        }
        Ok(())
    }
}
