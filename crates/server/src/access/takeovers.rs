//! A code that is in use, on a second device: the first one is asked.
//!
//! ```text
//! a right code, a present holder → a row, a ticket ─▶ the holder's page asks ─▶ an answer, or time ─▶ the code once more
//! ```
//!
//! What becomes of a question is [`TakeoverState::next`], and what time makes of it is [`Circumstances::due`]; here are
//! the rows, the transactions and who is told. The rows are the truth: every timer in them is a time, so that a process
//! that starts goes on where another one stopped, and one that shares the database hears of answers given elsewhere
//! within a second. Whoever moves a question holds the row of its invitation, as does whoever lets somebody in or ends a
//! session: of two at the same moment, one is first.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use stagedoor_domain::Time;
use stagedoor_domain::access::takeover::{
    ASKED_MAX, ASKED_OFTEN, CLAIM, CONTENDER_SILENT, Circumstances, HolderIs, WINDOW,
};
use stagedoor_domain::access::{EndReason, Purpose, Secret, SessionState, Standing, TakeoverInput, TakeoverState};
use stagedoor_domain::event::TakeoverPolicy;
use stagedoor_domain::fact::Fact;
use stagedoor_domain::id::{EventId, TakeoverId};
use stagedoor_domain::incident::Kind;
use tokio::sync::watch;

use super::rooms::Rooms;
use super::{Access, Ended, RedeemAttempt, RedeemRefused, Seat};
use crate::facts::incident::{self, Raise};
use crate::facts::{self, Actor};
use crate::ports::bus::{Hint, Topic};
use crate::ports::db::invitations::Invitation;
use crate::ports::db::sessions::Session;
use crate::ports::db::takeovers::Takeover;
use crate::ports::db::{DbError, Tx, sessions, takeovers};

/// How long after a start everybody's page has to connect again before its silence means something.
const SETTLING: Duration = CONTENDER_SILENT;
/// A contender that was noted as heard of so lately need not be noted again.
const NOTED: Duration = Duration::from_secs(5);
/// How long answered questions are kept: long enough to explain an evening. What happened stays in the log.
const KEPT: Duration = Duration::from_secs(24 * 60 * 60);

/// A question, for whoever asked it.
#[derive(Debug)]
pub struct Asked {
    /// Which.
    pub takeover: TakeoverId,
    /// The browser that is asked, in words.
    pub device: String,
    /// Until when it may be answered.
    pub expires_at: Time,
    /// What shows that it is theirs; nothing when they have it already.
    pub ticket: Option<Secret>,
}

/// Open questions in memory, for those who wait for an answer.
#[derive(Debug, Default)]
pub(super) struct Questions {
    open: Mutex<HashMap<TakeoverId, watch::Sender<Arc<Takeover>>>>,
}

impl Questions {
    /// Tells both sides where a question stands. What is told late is no news.
    pub(super) fn tell(&self, rooms: &Rooms, question: Takeover) {
        let question = Arc::new(question);
        {
            let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
            if question.state.is_open() {
                let known = open.entry(question.id).or_insert_with(|| watch::Sender::new(Arc::clone(&question)));
                if known.borrow().state.comes_before(question.state) {
                    known.send_replace(Arc::clone(&question));
                }
            } else if let Some(known) = open.remove(&question.id) {
                known.send_replace(Arc::clone(&question));
            }
        }
        rooms.with(question.session, |seat| {
            if let Some(seat) = seat {
                seat.ask(&question);
            }
        });
    }

    /// Follows a question that is open.
    fn follow(&self, question: Takeover) -> watch::Receiver<Arc<Takeover>> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        open.entry(question.id).or_insert_with(|| watch::Sender::new(Arc::new(question))).subscribe()
    }

    pub(super) fn known(&self) -> Vec<Arc<Takeover>> {
        let open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        open.values().map(|known| Arc::clone(&known.borrow())).collect()
    }
}

/// How `question` stands for whoever comes with `ticket`.
pub(super) fn standing(question: Option<&Takeover>, ticket: Option<[u8; 32]>) -> Standing {
    match question {
        Some(question) if !question.state.is_open() => Standing::None,
        Some(question) if ticket == Some(question.ticket) => Standing::Own(question.state),
        Some(_) => Standing::Others,
        None => Standing::None,
    }
}

impl Access {
    pub(super) fn ticket_hash(&self, ticket: &str) -> [u8; 32] {
        self.keys.hash.digest(Purpose::TakeoverTicket, ticket.as_bytes())
    }

    /// When the holder of `session` was last seen. Nobody was unseen while nobody could look: a process that starts
    /// gives everybody the grace anew.
    pub(super) fn seen_at(&self, session: &Session) -> Time {
        let seat = self.rooms.with(session.id, |seat| seat.map(|seat| seat.last_seen()));
        session.last_seen_at.max(self.started).max(seat.unwrap_or(session.last_seen_at))
    }

    pub(super) fn is_present(&self, session: &Session, now: Time) -> bool {
        now.since(self.seen_at(session)) < Duration::from_secs(self.settings.grace_s)
    }

    /// What time and the holder have to say about a question.
    fn circumstances(&self, question: &Takeover, holder: Option<&Session>, now: Time) -> Circumstances {
        let policy =
            self.rooms.room(question.event).map_or_else(TakeoverPolicy::default, |room| room.policy().takeover);
        let holder = match holder.map(|holder| (holder, holder.state)) {
            None => HolderIs::Over(EndReason::Ended),
            Some((_, SessionState::Ended(reason))) => HolderIs::Over(reason),
            Some((holder, SessionState::Active)) if holder.expires_at <= now => HolderIs::Over(EndReason::Expired),
            Some((holder, SessionState::Active)) if !self.is_present(holder, now) => HolderIs::Unseen,
            Some((holder, SessionState::Active)) => {
                match self.rooms.with(holder.id, |seat| seat.is_some_and(|seat| seat.is_attended(now))) {
                    true => HolderIs::Attending,
                    false => HolderIs::Away,
                }
            }
        };
        Circumstances {
            now,
            answer_until: question.answer_until.max(self.started.plus(SETTLING)),
            claim_until: question.claim_until.map(|until| until.max(self.started.plus(CLAIM))),
            heard_at: question.heard_at.max(self.started),
            holder,
            unanswered: policy.unanswered,
        }
    }

    /// Moves a question by `input`, as a part of `tx` that holds its invitation. An input that comes too late changes
    /// nothing.
    pub(super) async fn step(
        &self,
        tx: &mut Tx,
        question: Takeover,
        input: TakeoverInput,
        actor: Actor,
        ended: &mut Ended,
    ) -> Result<Takeover, DbError> {
        let Some(state) = question.state.next(input) else { return Ok(question) };
        let now = self.clock.now();
        let from = question.state;
        let claim_until = if state == TakeoverState::Approved { Some(now.plus(CLAIM)) } else { question.claim_until };
        let question = Takeover { state, claim_until, ..question };
        if !takeovers::step(tx, from, &question, now).await? {
            // Only who ends all sessions at once comes between, and then it is over.
            return Ok(Takeover { state: TakeoverState::Cancelled, ..question });
        }
        let fact = Fact::TakeoverChanged { event: question.event, takeover: question.id, state };
        facts::append(tx, &self.random, now, actor, fact).await?;
        ended.questions.push(question.clone());
        Ok(question)
    }

    /// The question about a code as it stands now that time has passed, as a part of `tx` that holds the invitation.
    pub(super) async fn question(
        &self,
        tx: &mut Tx,
        question: Takeover,
        now: Time,
        ended: &mut Ended,
    ) -> Result<Takeover, DbError> {
        let holder = sessions::read(tx, question.session).await?;
        match self.circumstances(&question, holder.as_ref(), now).due(question.state) {
            Some(input) => self.step(tx, question, input, Actor::System, ended).await,
            None => Ok(question),
        }
    }

    /// Asks the holder of a code, and commits; or says once more that it was asked.
    ///
    /// # Errors
    ///
    /// [`RedeemRefused::TakeoverPending`] for a third device, [`RedeemRefused::TooManyTakeovers`], or a [`DbError`].
    pub(super) async fn ask(
        &self,
        mut tx: Tx,
        invitation: &Invitation,
        holder: &Session,
        (question, standing): (Option<Takeover>, Standing),
        attempt: &RedeemAttempt<'_>,
        mut ended: Ended,
    ) -> Result<Asked, RedeemRefused> {
        let now = self.clock.now();
        if let (Standing::Own(_), Some(question)) = (standing, question) {
            takeovers::heard(&mut tx, question.id, now).await?;
            self.commit(tx, ended).await?;
            let Takeover { id, answer_until, .. } = question;
            return Ok(Asked { takeover: id, device: holder.device.clone(), expires_at: answer_until, ticket: None });
        }
        if standing == Standing::Others {
            return Err(RedeemRefused::TakeoverPending);
        }
        let since = Time::from_millis(now.millis().saturating_sub(i64::try_from(WINDOW.as_millis()).unwrap_or(0)));
        let limit = u32::try_from(ASKED_MAX).unwrap_or(u32::MAX);
        let lately = takeovers::asked(&mut tx, invitation.id, since, limit).await?;
        if let Some(first) = lately.get(ASKED_MAX - 1) {
            return Err(RedeemRefused::TooManyTakeovers { retry_after: first.plus(WINDOW).since(now) });
        }
        let ticket = Secret::from_random("", self.random.bytes());
        let answer = self.rooms.room(attempt.event).ok_or(RedeemRefused::NoEvent)?.policy().takeover.answer_s;
        let question = Takeover {
            id: TakeoverId::new(self.random.uuid(now)),
            event: attempt.event,
            invitation: invitation.id,
            session: holder.id,
            ticket: self.ticket_hash(ticket.expose()),
            device: attempt.device.to_owned(),
            place: self.place(attempt.address).to_string(),
            state: TakeoverState::Pending,
            asked_at: now,
            answer_until: now.plus(Duration::from_secs(answer.into())),
            claim_until: None,
            heard_at: now,
        };
        takeovers::insert(&mut tx, &question).await.map_err(|error| match error {
            // The invitation is held, so this cannot happen; if it does, the database's promise is worth more than ours.
            DbError::Exists => RedeemRefused::TakeoverPending,
            error => RedeemRefused::Db(error),
        })?;
        let Takeover { id, event, answer_until, .. } = question;
        let fact = Fact::TakeoverAsked { event, takeover: id, invitation: invitation.id, session: holder.id };
        facts::append(&mut tx, &self.random, now, Actor::Stranger, fact).await?;
        let often = lately.len() + 1 >= ASKED_OFTEN;
        if often {
            let raise = Raise::new(Kind::RepeatedTakeovers, Some(event)).invitation(invitation.id);
            incident::raise_in(&mut tx, &self.random, now, &raise).await?;
        }
        ended.questions.push(question);
        self.commit(tx, ended).await?;
        if often {
            self.bus.hint(Hint::Event(event, Topic::Incidents));
        }
        Ok(Asked { takeover: id, device: holder.device.clone(), expires_at: answer_until, ticket: Some(ticket) })
    }

    /// The holder answers; where the question stands then. `None` when they were not asked this.
    ///
    /// # Errors
    ///
    /// Any [`DbError`] of a statement.
    pub async fn answer(&self, seat: &Seat, takeover: TakeoverId, yes: bool) -> Result<Option<TakeoverState>, DbError> {
        let now = self.clock.now();
        let mut tx = self.db.write().await?;
        sessions::hold(&mut tx, seat.session).await?;
        let question = takeovers::read(&mut tx, takeover).await?;
        let Some(question) = question.filter(|question| question.session == seat.session) else { return Ok(None) };
        let mut ended = Ended::default();
        let question = self.question(&mut tx, question, now, &mut ended).await?;
        let input = if yes { TakeoverInput::Consent } else { TakeoverInput::Decline };
        let question = self.step(&mut tx, question, input, Actor::Session(seat.session), &mut ended).await?;
        self.commit(tx, ended).await?;
        Ok(Some(question.state))
    }

    async fn asked_by(&self, event: EventId, takeover: TakeoverId, ticket: &str) -> Result<Option<Takeover>, DbError> {
        let question = takeovers::get(&self.db, takeover).await?;
        let ticket = self.ticket_hash(ticket);
        Ok(question.filter(|question| question.event == event && question.ticket == ticket))
    }

    /// Where the question stands for whoever asked it; asking counts as a sign of life. `None` for anybody else.
    ///
    /// # Errors
    ///
    /// Any [`DbError`] of a statement.
    pub async fn takeover(
        &self,
        event: EventId,
        takeover: TakeoverId,
        ticket: &str,
    ) -> Result<Option<Takeover>, DbError> {
        let Some(question) = self.asked_by(event, takeover, ticket).await? else { return Ok(None) };
        self.contender_is_there(&question).await?;
        Ok(Some(question))
    }

    /// Follows a question for whoever asked it, until it is closed. `None` for anybody else.
    ///
    /// # Errors
    ///
    /// Any [`DbError`] of a statement.
    pub async fn follow_takeover(
        &self,
        event: EventId,
        takeover: TakeoverId,
        ticket: &str,
    ) -> Result<Option<watch::Receiver<Arc<Takeover>>>, DbError> {
        let Some(question) = self.takeover(event, takeover, ticket).await? else { return Ok(None) };
        Ok(Some(match question.state.is_open() {
            true => self.questions.follow(question),
            false => watch::Sender::new(Arc::new(question)).subscribe(),
        }))
    }

    /// The contender was heard of. It is written down every few seconds, and only while the question is open.
    ///
    /// # Errors
    ///
    /// Any [`DbError`] of a statement.
    pub async fn contender_is_there(&self, question: &Takeover) -> Result<(), DbError> {
        let now = self.clock.now();
        if !question.state.is_open() || now.since(question.heard_at) < NOTED {
            return Ok(());
        }
        let mut tx = self.db.write().await?;
        takeovers::heard(&mut tx, question.id, now).await?;
        tx.commit().await
    }

    /// The contender gives up.
    ///
    /// # Errors
    ///
    /// Any [`DbError`] of a statement.
    pub async fn give_up_takeover(&self, event: EventId, takeover: TakeoverId, ticket: &str) -> Result<(), DbError> {
        let Some(question) = self.asked_by(event, takeover, ticket).await? else { return Ok(()) };
        let mut tx = self.db.write().await?;
        sessions::hold_invitation(&mut tx, question.invitation).await?;
        let Some(question) = takeovers::read(&mut tx, takeover).await? else { return Ok(()) };
        let mut ended = Ended::default();
        self.step(&mut tx, question, TakeoverInput::ContenderGone, Actor::Stranger, &mut ended).await?;
        self.commit(tx, ended).await
    }

    /// Hears of answers given elsewhere, and does what time says to open questions: one turn of [`run`](Self::run).
    /// Bounded by the number of open questions, of which a code has one.
    ///
    /// # Errors
    ///
    /// Any [`DbError`] of a statement.
    pub async fn turn_takeovers(&self) -> Result<(), DbError> {
        let open = takeovers::open(&self.db).await?;
        let still: HashSet<_> = open.iter().map(|question| question.id).collect();
        for known in self.questions.known().iter().filter(|known| !still.contains(&known.id)) {
            // What has no row went with its event.
            let gone = || Takeover { state: TakeoverState::Cancelled, ..Takeover::clone(known) };
            let question = takeovers::get(&self.db, known.id).await?.unwrap_or_else(gone);
            self.questions.tell(&self.rooms, question);
        }
        for question in open {
            self.questions.tell(&self.rooms, question.clone());
            let holder = sessions::get(&self.db, question.session).await?;
            let circumstances = self.circumstances(&question, holder.as_ref(), self.clock.now());
            if circumstances.due(question.state).is_none() {
                continue;
            }
            // Judged once more where nobody can come between.
            let mut tx = self.db.write().await?;
            sessions::hold_invitation(&mut tx, question.invitation).await?;
            let Some(question) = takeovers::read(&mut tx, question.id).await? else { continue };
            let mut ended = Ended::default();
            self.question(&mut tx, question, self.clock.now(), &mut ended).await?;
            self.commit(tx, ended).await?;
        }
        Ok(())
    }

    /// Forgets who asked whom a day ago: one turn of [`run`](Self::run).
    pub(super) async fn forget_takeovers(&self) -> Result<(), DbError> {
        let kept = i64::try_from(KEPT.as_millis()).unwrap_or(i64::MAX);
        let before = Time::from_millis(self.clock.now().millis().saturating_sub(kept));
        let mut tx = self.db.write().await?;
        takeovers::forget(&mut tx, before).await?;
        tx.commit().await
    }
}
