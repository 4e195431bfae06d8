//! Invitees: from a code to a seat, and out again.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use stagedoor_domain::Time;
use stagedoor_domain::access::token::Claims;
use stagedoor_domain::access::{
    Allowed, Code, Denied, EndReason, Entry, Facts, Holder, Invitee, Organise, Purpose, Redeem, Secret, SessionState,
    Standing, TakeoverInput, TakeoverState, decide,
};
use stagedoor_domain::fact::Fact;
use stagedoor_domain::id::{EventId, InvitationId, SessionId};

use super::admission::{Queued, Turn};
use super::approach::ApproachRefused;
use super::proof::Proof;
use super::rooms::{NewSeat, Seat};
use super::takeovers::{self as questions, Asked};
use super::{Access, Ended};
use crate::facts::{self, Actor};
use crate::ports::bus::{Hint, Topic};
use crate::ports::db::invitations::Invitation;
use crate::ports::db::sessions::Session;
use crate::ports::db::{DbError, Tx, events, invitations, sessions, takeovers};

/// Somebody with a code.
#[derive(Debug)]
pub struct RedeemAttempt<'a> {
    /// Where they want to get in.
    pub event: EventId,
    /// What they typed.
    pub code: &'a str,
    /// Where they are.
    pub address: IpAddr,
    /// The viewer cookie of their browser.
    pub cookie: Option<&'a str>,
    /// Their browser in words.
    pub device: &'a str,
    /// The ticket of their place in line.
    pub ticket: Option<&'a str>,
    /// The ticket of their question to another screen.
    pub asking: Option<&'a str>,
    /// The solved challenge, if they were asked for one.
    pub proof: Option<&'a Proof>,
}

/// Somebody who got in.
#[derive(Debug)]
pub struct Redeemed {
    /// Their seat.
    pub seat: Arc<Seat>,
    /// The cookie that carries their session.
    pub cookie: Secret,
}

/// Why somebody did not get in.
#[derive(Debug, thiserror::Error)]
pub enum RedeemRefused {
    /// There is no such event.
    #[error("there is no such event")]
    NoEvent,
    /// The event is not shown where they are.
    #[error("the event is not shown where they are")]
    Approach(#[source] ApproachRefused),
    /// The code is right, and they wait for their turn.
    #[error("they wait in line")]
    Queued(Queued),
    /// The code is right, and there is not even a place in line.
    #[error("the line is too long")]
    QueueFull,
    /// No invitation to this event has this code.
    #[error("the code is wrong")]
    CodeInvalid,
    /// Somebody else is watching with it, and is asked whether it may go on here.
    #[error("the other screen is asked")]
    Asked(Asked),
    /// Somebody else is watching with it, and another device has asked before.
    #[error("another device has asked")]
    TakeoverPending,
    /// Somebody else is watching with it, and was asked too often lately.
    #[error("the other screen was asked too often")]
    TooManyTakeovers {
        /// When it may be asked again.
        retry_after: Duration,
    },
    /// The invitation was withdrawn.
    #[error("the invitation was withdrawn")]
    AccessEnded,
    /// The invitation's time is over.
    #[error("the invitation has expired")]
    Expired,
    /// An organiser keeps this invitee out.
    #[error("the invitee is kept out")]
    Blocked,
    /// The code opened as many sessions as it may.
    #[error("the invitation is used up")]
    UsedUp,
    /// Too many wrong codes from this address.
    #[error("too many wrong codes")]
    TooMany {
        /// When to try again.
        retry_after: Duration,
    },
    /// Too many wrong codes from everywhere: work has to be proven first.
    #[error("work has to be proven")]
    ProofRequired {
        /// What to solve.
        challenge: String,
    },
    /// The database did not answer.
    #[error("the code cannot be checked")]
    Db(#[from] DbError),
}

/// What the law is to know about an invitation.
pub(super) fn invitee(invitation: &Invitation, holder: Option<Holder>, takeover: Standing) -> Invitee {
    Invitee {
        invitation: invitation.state,
        expires_at: invitation.expires_at,
        blocked: invitation.blocked_at.is_some(),
        used_up: invitation.used_up(),
        holder,
        takeover,
    }
}

impl From<ApproachRefused> for RedeemRefused {
    fn from(refused: ApproachRefused) -> Self {
        match refused {
            ApproachRefused::NoEvent => Self::NoEvent,
            refused => Self::Approach(refused),
        }
    }
}

impl Access {
    /// Lets somebody in with a code. The same browser goes on with its session; another one gets in when nobody is
    /// watching with the code, or when whoever is watching has made way.
    ///
    /// # Errors
    ///
    /// [`RedeemRefused`].
    pub async fn redeem(&self, attempt: RedeemAttempt<'_>) -> Result<Redeemed, RedeemRefused> {
        let (event, address, before) = (attempt.event, attempt.address, self.weather());
        let mut known = None;
        let redeemed = self.judge(attempt, &mut known).await;
        if let Err(refused) = &redeemed {
            self.note_refused((event, known), address, refused, before).await;
        }
        redeemed
    }

    /// `known` becomes whose code it is, whatever comes of it.
    async fn judge(
        &self,
        attempt: RedeemAttempt<'_>,
        known: &mut Option<InvitationId>,
    ) -> Result<Redeemed, RedeemRefused> {
        // Before anything they present is looked at.
        let _approached =
            self.approach(attempt.event, attempt.address).inspect_err(|_| self.turned_away(attempt.event))?;
        let guesses = self.codes.turn(attempt.address).await;
        let (elapsed, now) = (self.clock.elapsed(), self.clock.now());
        self.codes.check(attempt.address, elapsed).map_err(|retry_after| RedeemRefused::TooMany { retry_after })?;
        if self.codes.is_hot(elapsed)
            && !attempt.proof.is_some_and(|proof| self.proofs.accept(&self.keys.challenge, proof, now))
        {
            let challenge = self.keys.challenge.challenge(now, &self.random);
            return Err(RedeemRefused::ProofRequired { challenge });
        }
        let Some(invitation) = self.presented(attempt.event, attempt.code).await? else {
            self.codes.wrong(attempt.address, elapsed);
            return Err(RedeemRefused::CodeInvalid);
        };
        *known = Some(invitation.id);
        // The guess was right: others behind the same address need not wait for what follows.
        drop(guesses);
        let room = self.rooms.room(attempt.event).ok_or(RedeemRefused::NoEvent)?;
        let hand = match self.turn(&room, &invitation, attempt.ticket, attempt.cookie).await? {
            Turn::Now(hand) => hand,
            Turn::Later(queued) => return Err(RedeemRefused::Queued(queued)),
            Turn::Full => return Err(RedeemRefused::QueueFull),
        };
        let entered = self.enter(&invitation, &attempt, now).await;
        drop(hand);
        // Whoever could not be let in for the database's sake is still called; everybody else needs the place no more.
        if !matches!(entered, Err(RedeemRefused::Db(_))) {
            self.lines.leave(attempt.event, invitation.id, now);
        }
        entered
    }

    /// The invitation to `event` whose code somebody presents, in whatever state.
    pub(super) async fn presented(&self, event: EventId, code: &str) -> Result<Option<Invitation>, DbError> {
        let Ok(code) = code.parse::<Code>() else { return Ok(None) };
        // Rows move from older hashes to newer ones: looked for in that order, none slips through.
        let mut found = None;
        for hash in self.keys.hash.digests(Purpose::Code, code.as_bytes()).into_iter().rev() {
            found = found.or(invitations::by_code(&self.db, event, hash).await?);
        }
        Ok(found)
    }

    /// The second half of [`redeem`](Self::redeem): the code was right when the invitation was read.
    pub(super) async fn enter(
        &self,
        read: &Invitation,
        attempt: &RedeemAttempt<'_>,
        now: Time,
    ) -> Result<Redeemed, RedeemRefused> {
        self.caught_up().await?;
        let mut tx = self.db.write().await?;
        // From here on nobody else can redeem or withdraw this invitation until we are done.
        let invitation = invitations::lock(&mut tx, read.id).await?;
        // It may have got another code since it was read: whoever waited for their turn here has an old one.
        let same_code = |row: &Invitation| row.code_generation == read.code_generation;
        let Some(invitation) = invitation.filter(same_code) else { return Err(RedeemRefused::CodeInvalid) };
        let held = sessions::active_of(&mut tx, invitation.id).await?;
        let cookie = attempt.cookie.map(|cookie| self.keys.hash.digest(Purpose::ViewerCookie, cookie.as_bytes()));
        let holder = held.as_ref().filter(|held| held.expires_at > now).map(|held| match held {
            // Memory knows nothing of a session that another process began: there is nothing to go on with, nor anybody
            // to ask but whoever is here.
            held if cookie == Some(held.cookie) => match self.rooms.with(held.id, |seat| seat.is_some()) {
                true => Holder::SameBrowser,
                false => Holder::Absent,
            },
            held if self.is_present(held, now) => Holder::Present,
            _ => Holder::Absent,
        });
        let mut ended = Ended::default();
        let question = match takeovers::open_of(&mut tx, invitation.id).await? {
            Some(question) => Some(self.question(&mut tx, question, now, &mut ended).await?),
            None => None,
        };
        let standing = questions::standing(question.as_ref(), attempt.asking.map(|ticket| self.ticket_hash(ticket)));
        let facts = Facts::Invitee(invitee(&invitation, holder, standing));
        let action = Redeem { event: invitation.event, invitation: invitation.id };
        let allowed = match (decide(action, &facts, now), &held) {
            (Ok(allowed), _) => allowed,
            (Err(Denied::CodeInUse), Some(held)) => {
                let asked = self.ask(tx, &invitation, held, (question, standing), attempt, ended).await?;
                return Err(RedeemRefused::Asked(asked));
            }
            // Whoever made way has gone already, and somebody else was first.
            (Err(Denied::CodeInUse), None) => return Err(RedeemRefused::TakeoverPending),
            (Err(Denied::Expired), _) => return Err(RedeemRefused::Expired),
            (Err(Denied::Blocked), _) => return Err(RedeemRefused::Blocked),
            (Err(Denied::UsedUp), _) => return Err(RedeemRefused::UsedUp),
            (Err(_), _) => return Err(RedeemRefused::AccessEnded),
        };
        let entry = Entry::past(holder, standing);
        if let (Some(Entry::Resume), Some(held), Some(cookie)) = (entry, &held, attempt.cookie) {
            let seat = self.rooms.with(held.id, |seat| seat.cloned()).ok_or(RedeemRefused::AccessEnded)?;
            seat.seen(now);
            return Ok(Redeemed { seat, cookie: Secret::new(cookie.to_owned()) });
        }
        let reason = match entry {
            Some(Entry::TakeOver) => EndReason::TakenOver,
            Some(Entry::Replace) => EndReason::Replaced,
            _ => EndReason::Expired,
        };
        if let Some(held) = &held {
            self.end_row(&mut tx, (held.id, held.event), reason.into(), Actor::System, &mut ended).await?;
        }
        if let (Standing::Own(_), Some(question)) = (standing, question) {
            // Nobody is there to be asked any more; or they said yes, and this changes nothing.
            let question = self.step(&mut tx, question, TakeoverInput::HolderUnseen, Actor::System, &mut ended).await?;
            let question = self.step(&mut tx, question, TakeoverInput::Claim, Actor::Stranger, &mut ended).await?;
            if question.state != TakeoverState::Claimed {
                return Err(RedeemRefused::TakeoverPending);
            }
        }
        if entry.is_none_or(|entry| entry.is_another_use(standing)) {
            invitations::redeemed(&mut tx, invitation.id, now).await?;
        }
        self.begin(tx, &allowed, &invitation, attempt.device, ended).await
    }

    /// Begins a new session and commits.
    async fn begin(
        &self,
        mut tx: Tx,
        allowed: &Allowed<Redeem>,
        invitation: &Invitation,
        device: &str,
        mut ended: Ended,
    ) -> Result<Redeemed, RedeemRefused> {
        let now = self.clock.now();
        let cookie = Secret::from_random("", self.random.bytes());
        let session = Session {
            id: SessionId::new(self.random.uuid(now)),
            event: allowed.event,
            invitation: allowed.invitation,
            cookie: self.keys.hash.digest(Purpose::ViewerCookie, cookie.expose().as_bytes()),
            device: device.to_owned(),
            created_at: now,
            expires_at: now.plus(Duration::from_secs(self.settings.session_s)),
            last_seen_at: now,
            state: SessionState::Active,
        };
        sessions::insert(&mut tx, &session).await.map_err(|error| match error {
            // The row was locked, so this cannot happen; if it does, the database's promise is worth more than ours.
            DbError::Exists => RedeemRefused::TakeoverPending,
            DbError::Gone => RedeemRefused::NoEvent,
            error => RedeemRefused::Db(error),
        })?;
        let fact = Fact::SessionStarted { event: session.event, session: session.id, invitation: invitation.id };
        facts::append(&mut tx, &self.random, now, Actor::Session(session.id), fact).await?;
        // Seated before the commit: whoever withdraws the invitation right after it must find the seat. Until the
        // commit nobody holds a token or a cookie for it.
        let new = NewSeat {
            session: session.id,
            invitation: invitation.id,
            name: invitation.name.clone(),
            device: session.device,
            created_at: now,
            came: self.clock.elapsed(),
            expires_at: session.expires_at,
            last_seen: now,
            cookie: session.cookie,
        };
        let seat = self.rooms.sit(session.event, new).ok_or(RedeemRefused::NoEvent)?;
        ended.begun = Some(session.id);
        self.commit(tx, ended).await?;
        Ok(Redeemed { seat, cookie })
    }

    /// The playback token of a seat, for the path of its media URLs: good for as long as its session may last at most.
    /// Whether the session goes on for so long is asked with every request.
    #[must_use]
    pub fn playback_token(&self, seat: &Seat) -> String {
        let epoch = self.rooms.room(seat.event).map_or(0, |room| room.epoch());
        let claims = Claims { session: seat.session, stream: seat.stream, epoch, expires_at: self.latest_end(seat) };
        self.keys.token.sign(&claims)
    }

    /// The seat of the browser with this cookie in `event`. Asks memory only.
    #[must_use]
    pub fn seat(&self, event: EventId, cookie: &str) -> Option<Arc<Seat>> {
        let hash = self.keys.hash.digest(Purpose::ViewerCookie, cookie.as_bytes());
        let seat = self.rooms.by_cookie(&hash)?;
        (seat.event == event && seat.over().is_none() && seat.expires_at() > self.clock.now()).then_some(seat)
    }

    /// Why the session of this cookie in `event` is over; `None` when there never was one.
    ///
    /// # Errors
    ///
    /// Any [`DbError`] of a statement.
    pub async fn why_ended(&self, event: EventId, cookie: &str) -> Result<Option<EndReason>, DbError> {
        let hash = self.keys.hash.digest(Purpose::ViewerCookie, cookie.as_bytes());
        let session = sessions::by_cookie(&self.db, event, hash).await?;
        Ok(session.map(|session| match session.state {
            SessionState::Ended(reason) => reason,
            SessionState::Active => EndReason::Expired,
        }))
    }

    /// The viewer leaves.
    ///
    /// # Errors
    ///
    /// Any [`DbError`] of a statement.
    pub async fn leave(&self, seat: &Seat) -> Result<(), DbError> {
        let (mut tx, mut ended) = (self.db.write().await?, Ended::default());
        let actor = Actor::Session(seat.session);
        self.end_in(&mut tx, (seat.session, seat.event), EndReason::Left, actor, &mut ended).await?;
        self.commit(tx, ended).await
    }

    /// Withdraws an invitation, with those of the guests it brought, and ends their sessions; says whether there was one
    /// to withdraw.
    ///
    /// # Errors
    ///
    /// Any [`DbError`] of a statement.
    pub async fn withdraw(
        &self,
        allowed: &Allowed<Organise>,
        actor: Actor,
        invitation: InvitationId,
    ) -> Result<bool, DbError> {
        let event = allowed.event;
        let mut tx = self.db.write().await?;
        events::lock(&mut tx, event).await?;
        let theirs = self.withdraw_in(&mut tx, allowed, actor, &[invitation]).await?;
        if theirs.is_empty() {
            return Ok(false);
        }
        let ended = self.end_sessions_of(&mut tx, actor, &theirs, EndReason::Revoked).await?;
        self.commit(tx, ended).await?;
        self.bus.hint(Hint::Event(event, Topic::Invitations));
        Ok(true)
    }
}
