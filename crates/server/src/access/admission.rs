//! The line in front of events that are full, or that let people in at a certain rate, or when everybody comes at once.
//!
//! ```text
//! a right code → hand? ── yes ─▶ a seat
//!                  └─ no ─▶ a place in the line, with a ticket ─▶ asks now and then ─▶ called ─▶ a seat
//! ```
//!
//! Who is next is decided by [`Line`]; here are the lines of all events, the tickets, and the house that a line is in
//! front of. A ticket is signed and says who came when: the line itself need not survive a restart, its people bring it
//! back. What does survive is that there was one, so that nobody is called before they had the time to come back.
//!
//! At most [`HANDS`] people are let in at the same moment, over all events: beyond it they stand in line for a second
//! instead of in front of a database that answers nobody in time.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use stagedoor_domain::Time;
use stagedoor_domain::access::admission::{Answer, House, KEPT, Line, POLL_MAX, Wait};
use stagedoor_domain::access::{EndReason, Facts, HashKey, Purpose, Redeem, Secret, Standing, decide};
use stagedoor_domain::id::{EventId, InvitationId};

use super::viewer::invitee;
use super::{Access, Ended, Room};
use crate::facts::Actor;
use crate::ports::bus::{Hint, Topic};
use crate::ports::db::invitations::Invitation;
use crate::ports::db::{Db, DbError, admission, invitations, sessions};

/// People let in at the same moment: what a database does in a fraction of a second.
pub const HANDS: u32 = 256;
/// How long after a restart those who stood in line have to come back: every page asks within [`POLL_MAX`].
const SETTLING: Duration = Duration::from_secs(POLL_MAX.as_secs() + 5);
/// How often it is noted that a line still stands.
const NOTED: Duration = Duration::from_secs(60);
/// While people wait, the seat of somebody who was not heard from for so long is given to them.
const ABANDONED: Duration = Duration::from_secs(120);
/// Event, invitation, since, seen, and a MAC of them.
const TICKET_BYTES: usize = 16 + 16 + 8 + 8 + 32;

/// A place in line, for its owner.
#[derive(Debug)]
pub struct Queued {
    /// What brings them back to their place.
    pub ticket: Secret,
    /// Where they stand.
    pub wait: Wait,
}

/// What somebody in line is told.
#[derive(Debug)]
pub enum InLine {
    /// Come in now, with the code.
    Admitted,
    /// Not yet.
    Queued(Queued),
}

/// Why there is no place to tell about.
#[derive(Debug, thiserror::Error)]
pub enum NotQueued {
    /// The ticket is none of ours, or for another event.
    #[error("there is no such place")]
    NoPlace,
    /// The line is as long as a line can be.
    #[error("the line is too long")]
    Full,
}

/// All lines.
#[derive(Debug)]
pub(super) struct Lines {
    lines: RwLock<HashMap<EventId, Arc<Mutex<Standee>>>>,
    hands: AtomicU32,
    /// Until when those who stood here before a restart may come back.
    settling: Mutex<HashMap<EventId, Time>>,
}

/// A line, and what was last said about it.
#[derive(Debug)]
struct Standee {
    line: Line,
    told: u32,
    noted_at: Option<Time>,
}

/// One of [`HANDS`].
#[derive(Debug)]
pub(super) struct Hand<'a>(&'a AtomicU32);

impl Drop for Hand<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Whether there is one now.
pub(super) enum Turn<'a> {
    Now(Hand<'a>),
    Later(Queued),
    Full,
}

/// What a ticket says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Ticket {
    event: EventId,
    invitation: InvitationId,
    since: Time,
    seen: Time,
}

impl Ticket {
    fn sign(&self, key: &HashKey) -> Secret {
        let mut bytes = Vec::with_capacity(TICKET_BYTES);
        bytes.extend_from_slice(self.event.uuid().as_bytes());
        bytes.extend_from_slice(self.invitation.uuid().as_bytes());
        bytes.extend_from_slice(&self.since.millis().to_be_bytes());
        bytes.extend_from_slice(&self.seen.millis().to_be_bytes());
        bytes.extend_from_slice(&key.digest(Purpose::QueueTicket, &bytes));
        Secret::new(URL_SAFE_NO_PAD.encode(bytes))
    }

    /// A ticket of ours for `event`, however old.
    fn read(key: &HashKey, event: EventId, text: &str) -> Option<Self> {
        let bytes: [u8; TICKET_BYTES] = URL_SAFE_NO_PAD.decode(text).ok()?.try_into().ok()?;
        let (said, mac) = bytes.split_at(TICKET_BYTES - 32);
        // Compared in constant time.
        if blake3::Hash::from_bytes(key.digest(Purpose::QueueTicket, said)) != blake3::Hash::from_slice(mac).ok()? {
            return None;
        }
        let uuid = |at: usize| uuid::Uuid::from_slice(&said[at..at + 16]).ok();
        let time = |at: usize| Some(Time::from_millis(i64::from_be_bytes(said[at..at + 8].try_into().ok()?)));
        let ticket = Self {
            event: EventId::new(uuid(0)?),
            invitation: InvitationId::new(uuid(16)?),
            since: time(32)?,
            seen: time(40)?,
        };
        (ticket.event == event).then_some(ticket)
    }

    /// Since when its owner stands in line; nothing when they were away for too long.
    fn since(&self, now: Time) -> Option<Time> {
        (now.since(self.seen) < KEPT).then_some(self.since)
    }
}

impl Lines {
    pub(super) async fn restore(db: &Db, now: Time) -> Result<Self, DbError> {
        let stood = admission::all(db).await?;
        // Older tickets are void: nobody comes back.
        let lately = stood.into_iter().filter(|(_, seen)| now.since(*seen) < KEPT + NOTED);
        Ok(Self {
            lines: RwLock::default(),
            hands: AtomicU32::new(0),
            settling: Mutex::new(lately.map(|(event, _)| (event, now.plus(SETTLING))).collect()),
        })
    }

    fn of(&self, event: EventId) -> Option<Arc<Mutex<Standee>>> {
        self.lines.read().unwrap_or_else(PoisonError::into_inner).get(&event).cloned()
    }

    fn is_settling(&self, event: EventId, now: Time) -> bool {
        let settling = self.settling.lock().unwrap_or_else(PoisonError::into_inner);
        settling.get(&event).is_some_and(|until| now < *until)
    }

    fn house(&self, room: &Room, now: Time) -> House {
        House {
            now,
            seated: u32::try_from(room.seated()).unwrap_or(u32::MAX),
            hands: HANDS.saturating_sub(self.hands.load(Ordering::Relaxed)),
            settling: self.is_settling(room.event, now),
        }
    }

    /// A hand for whoever needs no seat of their own: they have one already, or will be refused.
    pub(super) fn hand(&self) -> Hand<'_> {
        self.hands.fetch_add(1, Ordering::Relaxed);
        Hand(&self.hands)
    }

    fn ask(&self, room: &Room, invitation: InvitationId, since: Option<Time>, now: Time) -> Answer {
        let standee = {
            let mut lines = self.lines.write().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(
                lines
                    .entry(room.event)
                    .or_insert_with(|| Arc::new(Mutex::new(Standee { line: Line::new(now), told: 0, noted_at: None }))),
            )
        };
        let mut standee = standee.lock().unwrap_or_else(PoisonError::into_inner);
        standee.line.ask(invitation, since, &room.policy().admission, self.house(room, now))
    }

    /// Whether somebody with the right code may sit down in `room` now. Without rules, without a line and with a hand
    /// free this touches one counter.
    fn turn(&self, key: &HashKey, room: &Room, invitation: InvitationId, ticket: Option<&str>, now: Time) -> Turn<'_> {
        let policy = room.policy().admission;
        let free = policy.capacity.is_none() && policy.per_second.is_none();
        if free && self.of(room.event).is_none() && !self.is_settling(room.event, now) {
            let hand = self.hand();
            if self.hands.load(Ordering::Relaxed) <= HANDS {
                return Turn::Now(hand);
            }
        }
        let ticket = ticket.and_then(|text| Ticket::read(key, room.event, text));
        let since = ticket.filter(|ticket| ticket.invitation == invitation).and_then(|ticket| ticket.since(now));
        match self.ask(room, invitation, since, now) {
            Answer::Enter => Turn::Now(self.hand()),
            Answer::Wait(wait) => Turn::Later(queued(key, room.event, invitation, wait, now)),
            Answer::Full => Turn::Full,
        }
    }

    /// They sit, or went home.
    pub(super) fn leave(&self, event: EventId, invitation: InvitationId, now: Time) {
        if let Some(standee) = self.of(event) {
            standee.lock().unwrap_or_else(PoisonError::into_inner).line.leave(invitation, now);
        }
    }
}

fn queued(key: &HashKey, event: EventId, invitation: InvitationId, wait: Wait, now: Time) -> Queued {
    let ticket = Ticket { event, invitation, since: wait.since, seen: now };
    Queued { ticket: ticket.sign(key), wait }
}

/// Whether the law would let somebody in with this invitation if nobody held it.
fn is_welcome(row: &Invitation, now: Time) -> bool {
    let facts = Facts::Invitee(invitee(row, None, Standing::None));
    decide(Redeem { event: row.event, invitation: row.id }, &facts, now).is_ok()
}

impl Access {
    /// Whether somebody whose code is right may sit down now. Who has a seat already needs none: this browser's own
    /// session goes on, and a device that takes a code over takes the seat with it. Who will be refused need not wait
    /// for it.
    ///
    /// # Errors
    ///
    /// Any [`DbError`] of a statement.
    pub(super) async fn turn(
        &self,
        room: &Room,
        invitation: &Invitation,
        ticket: Option<&str>,
        cookie: Option<&str>,
    ) -> Result<Turn<'_>, DbError> {
        if !is_welcome(invitation, self.clock.now()) {
            return Ok(Turn::Now(self.lines.hand()));
        }
        let invitation = invitation.id;
        let own = cookie.and_then(|cookie| self.seat(room.event, cookie));
        if own.is_some_and(|seat| seat.invitation == invitation) {
            return Ok(Turn::Now(self.lines.hand()));
        }
        let now = self.clock.now();
        let turn = self.lines.turn(&self.keys.hash.lasting(), room, invitation, ticket, now);
        if !matches!(turn, Turn::Now(_)) && sessions::is_held(&self.db, invitation).await? {
            self.lines.leave(room.event, invitation, now);
            return Ok(Turn::Now(self.lines.hand()));
        }
        Ok(turn)
    }

    /// Where the owner of a ticket stands; asking keeps the place. Whoever would be refused is not called: a seat that
    /// waits for them would be kept from everybody else.
    ///
    /// # Errors
    ///
    /// [`NotQueued`].
    pub async fn queue(&self, event: EventId, ticket: &str) -> Result<InLine, NotQueued> {
        let now = self.clock.now();
        let ticket = Ticket::read(&self.keys.hash.lasting(), event, ticket).ok_or(NotQueued::NoPlace)?;
        let room = self.rooms.room(event).ok_or(NotQueued::NoPlace)?;
        match self.lines.ask(&room, ticket.invitation, ticket.since(now), now) {
            Answer::Enter if self.is_welcome(event, ticket.invitation, now).await => Ok(InLine::Admitted),
            Answer::Enter => {
                self.lines.leave(event, ticket.invitation, now);
                Err(NotQueued::NoPlace)
            }
            Answer::Wait(wait) => {
                Ok(InLine::Queued(queued(&self.keys.hash.lasting(), event, ticket.invitation, wait, now)))
            }
            Answer::Full => Err(NotQueued::Full),
        }
    }

    /// Whether an invitation may be used at all, as far as anybody can tell: while the database is away, the code says.
    async fn is_welcome(&self, event: EventId, invitation: InvitationId, now: Time) -> bool {
        match invitations::get(&self.db, event, invitation).await {
            Ok(row) => row.is_some_and(|row| is_welcome(&row, now)),
            Err(_) => true,
        }
    }

    /// Gives the place of a ticket up.
    pub fn leave_queue(&self, event: EventId, ticket: &str) {
        if let Some(ticket) = Ticket::read(&self.keys.hash.lasting(), event, ticket) {
            self.lines.leave(event, ticket.invitation, self.clock.now());
        }
    }

    /// How many wait at the door of an event.
    #[must_use]
    pub fn queueing(&self, event: EventId) -> u32 {
        let line = self.lines.of(event);
        line.map_or(0, |line| line.lock().unwrap_or_else(PoisonError::into_inner).line.waiting())
    }

    /// Calls whoever's turn it is, gives up abandoned places and seats, and notes which lines stand: one turn of
    /// [`run`](Self::run).
    ///
    /// # Errors
    ///
    /// Any [`DbError`] of a statement.
    pub async fn turn_lines(&self) -> Result<(), DbError> {
        let now = self.clock.now();
        let all: Vec<_> = {
            let lines = self.lines.lines.read().unwrap_or_else(PoisonError::into_inner);
            lines.iter().map(|(event, line)| (*event, Arc::clone(line))).collect()
        };
        for (event, standee) in all {
            let Some(room) = self.rooms.room(event) else {
                self.lines.lines.write().unwrap_or_else(PoisonError::into_inner).remove(&event);
                continue;
            };
            let policy = room.policy().admission;
            let (waiting, note) = {
                let mut standee = standee.lock().unwrap_or_else(PoisonError::into_inner);
                standee.line.turn(&policy, self.lines.house(&room, now));
                let waiting = standee.line.waiting();
                if std::mem::replace(&mut standee.told, waiting) != waiting {
                    self.bus.hint(Hint::Event(event, Topic::Waiting));
                }
                let stale = standee.noted_at.is_none_or(|noted| now.since(noted) >= NOTED);
                let note = match (standee.line.is_empty(), standee.noted_at) {
                    (false, _) if stale => Some(Some(now)),
                    (true, Some(_)) => Some(None),
                    _ => None,
                };
                (waiting, note)
            };
            if let Some(note) = note {
                let mut tx = self.db.write().await?;
                match note {
                    Some(now) => admission::standing(&mut tx, event, now).await?,
                    None => admission::gone(&mut tx, event).await?,
                }
                tx.commit().await?;
                standee.lock().unwrap_or_else(PoisonError::into_inner).noted_at = note;
            }
            let rules = policy.capacity.is_some() || policy.per_second.is_some();
            if !rules && waiting == 0 {
                let mut lines = self.lines.lines.write().unwrap_or_else(PoisonError::into_inner);
                let empty = standee.lock().unwrap_or_else(PoisonError::into_inner).line.is_empty();
                // The table's and ours: nobody is about to step into a line that goes away.
                if empty && Arc::strong_count(&standee) == 2 {
                    lines.remove(&event);
                }
            }
            if waiting > 0
                && let Some(capacity) = policy.capacity
            {
                self.clear_abandoned(&room, capacity, waiting, now).await?;
            }
        }
        self.lines.settling.lock().unwrap_or_else(PoisonError::into_inner).retain(|_, until| now < *until);
        Ok(())
    }

    /// Ends sessions that nobody was heard from in, as far as others wait for their seats. Whoever comes back to one
    /// needs the code again, and a place in line.
    async fn clear_abandoned(&self, room: &Room, capacity: u32, waiting: u32, now: Time) -> Result<(), DbError> {
        let capacity = usize::try_from(capacity).unwrap_or(usize::MAX);
        let free = capacity.saturating_sub(room.seated());
        let wanted = usize::try_from(waiting).unwrap_or(usize::MAX).saturating_sub(free);
        let mut seats = room.seats();
        seats.retain(|seat| now.since(seat.last_seen()) >= ABANDONED);
        seats.sort_by_key(|seat| seat.last_seen());
        seats.truncate(wanted);
        if seats.is_empty() {
            return Ok(());
        }
        let (mut tx, mut ended) = (self.db.write().await?, Ended::default());
        for seat in &seats {
            self.end_in(&mut tx, (seat.session, seat.event), EndReason::Left, Actor::System, &mut ended).await?;
        }
        self.commit(tx, ended).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ticket_is_for_its_event_and_cannot_be_written_by_others() {
        let (key, other) = (HashKey::new([1; 32]), HashKey::new([2; 32]));
        let id = |number| uuid::Uuid::from_u128(number);
        let ticket = Ticket {
            event: EventId::new(id(1)),
            invitation: InvitationId::new(id(2)),
            since: Time::from_millis(5),
            seen: Time::from_millis(9),
        };
        let text = ticket.sign(&key);
        let text = text.expose();
        assert_eq!(Ticket::read(&key, ticket.event, text), Some(ticket));
        assert_eq!(Ticket::read(&other, ticket.event, text), None);
        assert_eq!(Ticket::read(&key, EventId::new(id(3)), text), None);
        let mut bytes = URL_SAFE_NO_PAD.decode(text).unwrap();
        for at in 0..bytes.len() {
            bytes[at] ^= 1;
            assert_eq!(Ticket::read(&key, ticket.event, &URL_SAFE_NO_PAD.encode(&bytes)), None, "byte {at}");
            bytes[at] ^= 1;
        }
        for text in ["", "x", &text[1..], &"A".repeat(text.len())] {
            assert_eq!(Ticket::read(&key, ticket.event, text), None, "{text}");
        }
        assert_eq!(ticket.since(Time::from_millis(10)), Some(ticket.since));
        assert_eq!(ticket.since(Time::from_millis(9).plus(KEPT)), None);
    }
}
