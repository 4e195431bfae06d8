//! Guests: whom an invitee brings along. Each has an invitation of their own with a code of their own, so that they watch
//! at the same time, and the organiser sees who brought whom.
//!
//! A guest comes in as their host may: as often, and until the same moment. From then on they are somebody of their own: a
//! new code for the host is none for the guest, and what is changed about the one stays as it is about the other. Only who
//! is withdrawn takes their guests along. A place that was given to somebody is not free again, whatever becomes of them:
//! otherwise a host could bring one after the other.

use std::time::Duration;

use stagedoor_domain::access::{
    Allowed, Bring, Code, Denied, Facts, Guest, Host, InvitationState, Reveal, Sealed, Secret, SessionState, decide,
};
use stagedoor_domain::fact::Fact;
use stagedoor_domain::id::InvitationId;

use super::invitations::{ContactError, NewInvitee};
use super::{Access, Seat};
use crate::facts::{self, Actor};
use crate::ports::bus::{Hint, Topic};
use crate::ports::db::invitations::{self, Invitation};
use crate::ports::db::{DbError, sessions};

/// Guests of one host in a minute at most: a family at the table, not a program.
pub(super) const PER_MINUTE: u32 = 20;
/// What a minute is here.
pub(super) const MINUTE: Duration = Duration::from_secs(60);

/// Whom somebody brought, and how many more they may bring.
#[derive(Debug, Default)]
pub struct Guests {
    /// In the order in which they were brought; without those who were withdrawn or forgotten.
    pub list: Vec<Brought>,
    /// How many more.
    pub left: u32,
}

/// Somebody who was brought along.
#[derive(Debug)]
pub struct Brought {
    /// The invitation.
    pub id: InvitationId,
    /// As their host called them.
    pub name: String,
    /// Where their invitation stands.
    pub state: InvitationState,
    /// Their code, as long as it waits for them.
    pub code: Option<Secret>,
}

/// Why nobody was brought along.
#[derive(Debug, thiserror::Error)]
pub enum BringRefused {
    /// The law says no.
    #[error("nobody may be brought along")]
    Denied(#[from] Denied),
    /// So many lately that it is not a person who asks.
    #[error("too many guests in a minute")]
    TooMany {
        /// When to try again.
        retry_after: Duration,
    },
    /// The database did not answer.
    #[error("the guest cannot be written down")]
    Db(#[from] DbError),
}

/// What the law is to know about somebody who asks about their guests.
fn host(invitation: &Invitation, session: Option<SessionState>, brought: u32, guest: Option<Guest>) -> Facts {
    Facts::Host(Host {
        session,
        invitation: invitation.state,
        expires_at: invitation.expires_at,
        blocked: invitation.blocked_at.is_some(),
        may_bring: brought < invitation.plus_ones,
        guest,
    })
}

/// What the law is to know about a guest whose code is asked for.
fn guest(row: &Invitation) -> Guest {
    let over = matches!(row.state, InvitationState::Redeemed | InvitationState::Revoked | InvitationState::Expired);
    // A code that an organiser put in its place is not the host's to hand out.
    let replaced = row.code_generation > 1;
    if over || replaced || row.blocked_at.is_some() || row.erased_at.is_some() { Guest::Gone } else { Guest::Expected }
}

impl Access {
    /// The guests of whoever sits here.
    ///
    /// # Errors
    ///
    /// [`ContactError`].
    pub async fn guests(&self, seat: &Seat) -> Result<Guests, ContactError> {
        let Some(row) = invitations::by_id(&self.db, seat.invitation).await? else { return Ok(Guests::default()) };
        // Most bring nobody, and ten thousand come in at once.
        if row.plus_ones == 0 {
            return Ok(Guests::default());
        }
        let session = sessions::get(&self.db, seat.session).await?.map(|session| session.state);
        let rows = invitations::guests(&self.db, seat.invitation).await?;
        let brought = u32::try_from(rows.len()).unwrap_or(u32::MAX);
        let mut list = Vec::with_capacity(rows.len());
        for each in rows {
            if each.revoked_at.is_some() || each.erased_at.is_some() {
                continue;
            }
            let reveal = Reveal { event: Some(row.event), sealed: Sealed::Code(each.id) };
            let code = match decide(reveal, &host(&row, session, brought, Some(guest(&each))), self.clock.now()) {
                Ok(allowed) => Some(self.keys.vault.open(&allowed, &each.sealed)?),
                Err(_) => None,
            };
            list.push(Brought { id: each.id, name: each.name, state: each.state, code });
        }
        Ok(Guests { list, left: row.plus_ones.saturating_sub(brought) })
    }

    /// Invites a guest of whoever sits here; their code, and how many more may be brought.
    ///
    /// # Errors
    ///
    /// [`BringRefused`]; then nobody was invited.
    pub async fn bring(&self, seat: &Seat, name: &str) -> Result<(Code, u32), BringRefused> {
        let (event, now, elapsed) = (seat.event, self.clock.now(), self.clock.elapsed());
        self.brought.check(seat.invitation, elapsed).map_err(|retry_after| BringRefused::TooMany { retry_after })?;
        self.brought.wrong(seat.invitation, elapsed);
        let mut tx = self.db.write().await?;
        // From here on nobody ends their session, withdraws them, or brings somebody in their name.
        let row = invitations::lock(&mut tx, seat.invitation).await?.ok_or(Denied::Unknown)?;
        let session = sessions::read(&mut tx, seat.session).await?.map(|session| session.state);
        let brought = invitations::brought(&mut tx, row.id).await?;
        let allowed: Allowed<Bring> = decide(Bring { event, host: row.id }, &host(&row, session, brought, None), now)?;
        let new = NewInvitee {
            language: row.language.clone(),
            expires_at: row.expires_at,
            max_uses: row.max_uses,
            ..NewInvitee::named(name)
        };
        let (invitation, code, hashes) = self.prepare(event, &new, now);
        invitations::insert_guest(&mut tx, &allowed, &invitation, &hashes).await?;
        let (actor, guest) = (Actor::Session(seat.session), invitation.id);
        for fact in [
            Fact::InvitationCreated { event, invitation: guest },
            Fact::GuestBrought { event, invitation: row.id, guest },
        ] {
            facts::append(&mut tx, &self.random, now, actor, fact).await?;
        }
        tx.commit().await?;
        self.bus.hint(Hint::Event(event, Topic::Invitations));
        Ok((code, row.plus_ones.saturating_sub(brought + 1)))
    }
}
