//! Invitations: a person, the hash of their code, and where it stands.

use std::collections::HashMap;

use stagedoor_domain::Time;
use stagedoor_domain::access::{Allowed, Bring, Digest, InvitationState, Moderate, Organise};
use stagedoor_domain::id::{EventId, InvitationId};

use super::fold::fold;
use super::selection::{self, Filter};
use super::{Db, DbError, Many, Row, Tx, Value};

/// An invitee.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Invitation {
    /// The name of the row.
    pub id: InvitationId,
    /// What they are invited to.
    pub event: EventId,
    /// Who they are.
    pub name: String,
    /// Where the present code stands.
    pub state: InvitationState,
    /// Since when.
    pub state_at: Time,
    /// Their code, sealed by the vault.
    pub sealed: Vec<u8>,
    /// How many codes they have had, counted from 1.
    pub code_generation: u32,
    /// When they were invited.
    pub created_at: Time,
    /// When their code was first used.
    pub redeemed_at: Option<Time>,
    /// When the invitation was withdrawn.
    pub revoked_at: Option<Time>,
    /// When it ends by itself.
    pub expires_at: Option<Time>,
    /// Visits with the present code; to go on elsewhere is the same visit.
    pub uses: u32,
    /// Visits that it is good for; without it, any number.
    pub max_uses: Option<u32>,
    /// Guests that they may bring.
    pub plus_ones: u32,
    /// Whose guest they are.
    pub guest_of: Option<InvitationId>,
    /// A BCP 47 tag; empty for the event's language.
    pub language: String,
    /// Since when an organiser keeps them out.
    pub blocked_at: Option<Time>,
    /// When they were forgotten.
    pub erased_at: Option<Time>,
    /// The key of this person, sealed by the vault; taken away when they are forgotten.
    pub person_key: Option<Vec<u8>>,
    /// How they are reached, sealed by the key of this person.
    pub contact: Option<Vec<u8>>,
}

impl Invitation {
    /// An invitation with a code and a name and nothing else.
    #[must_use]
    pub fn new(id: InvitationId, event: EventId, name: &str, sealed: Vec<u8>, now: Time) -> Self {
        Self {
            id,
            event,
            name: name.to_owned(),
            state: InvitationState::Created,
            state_at: now,
            sealed,
            code_generation: 1,
            created_at: now,
            redeemed_at: None,
            revoked_at: None,
            expires_at: None,
            uses: 0,
            max_uses: None,
            plus_ones: 0,
            guest_of: None,
            language: String::new(),
            blocked_at: None,
            erased_at: None,
            person_key: None,
            contact: None,
        }
    }

    /// Whether its code opened as many sessions as it may.
    #[must_use]
    pub fn used_up(&self) -> bool {
        self.max_uses.is_some_and(|max| self.uses >= max)
    }
}

/// What a row is found by without being opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hashes {
    /// Of the code.
    pub code: Digest,
    /// Of the telephone number.
    pub phone: Option<Digest>,
    /// Of the e-mail address.
    pub email: Option<Digest>,
}

impl Hashes {
    /// Of an invitation that cannot be reached by anything.
    #[must_use]
    pub fn of_code(code: Digest) -> Self {
        Self { code, phone: None, email: None }
    }
}

/// A step in the life of an invitation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// Where it stood from then on.
    pub state: InvitationState,
    /// When.
    pub at: Time,
    /// A few words, or nothing.
    pub detail: String,
}

macro_rules! columns {
    () => {
        "id, event_id, name, state, state_at, code_sealed, code_generation, created_at, redeemed_at, revoked_at, expires_at,
         uses, max_uses, plus_ones, guest_of, language, blocked_at, erased_at, person_key, contact_sealed"
    };
}

macro_rules! select {
    ($rest:literal) => {
        concat!("SELECT ", columns!(), " FROM invitations ", $rest)
    };
}

/// Invitees with what they are found by: for [`sealed`](super::sealed).
pub(super) const SELECT_HASHED: &str = concat!(
    "SELECT ",
    columns!(),
    ", code_hash, phone_hash, email_hash FROM invitations WHERE id > $1 ORDER BY id LIMIT $2"
);

pub(super) fn invitation(row: &Row) -> Result<Invitation, DbError> {
    Ok(Invitation {
        id: row.parse("id")?,
        event: row.parse("event_id")?,
        name: row.text("name")?,
        state: row.known("state", InvitationState::from_name)?,
        state_at: row.time("state_at")?,
        sealed: row.bytes("code_sealed")?,
        code_generation: row.small("code_generation")?,
        created_at: row.time("created_at")?,
        redeemed_at: row.time_maybe("redeemed_at")?,
        revoked_at: row.time_maybe("revoked_at")?,
        expires_at: row.time_maybe("expires_at")?,
        uses: row.small("uses")?,
        max_uses: row.small_maybe("max_uses")?,
        plus_ones: row.small("plus_ones")?,
        guest_of: row.parse_maybe("guest_of")?,
        language: row.text("language")?,
        blocked_at: row.time_maybe("blocked_at")?,
        erased_at: row.time_maybe("erased_at")?,
        person_key: row.bytes_maybe("person_key")?,
        contact: row.bytes_maybe("contact_sealed")?,
    })
}

static INSERT: Many = Many::new(
    "INSERT INTO invitations (id, event_id, name, name_folded, state, state_at, code_hash, code_sealed, code_generation,
         created_at, expires_at, max_uses, plus_ones, guest_of, language, person_key, contact_sealed, phone_hash, email_hash)
     VALUES ",
    19,
    "",
);

/// Adds invitations.
///
/// # Errors
///
/// [`DbError::Exists`] for a code that somebody has already (make another one), or a telephone number that somebody at
/// this event has.
pub async fn insert_all(tx: &mut Tx, _: &Allowed<Organise>, new: &[(Invitation, Hashes)]) -> Result<(), DbError> {
    write(tx, new).await
}

/// Adds the guest of somebody who is inside. The row of the host is locked by whoever calls.
///
/// # Errors
///
/// As [`insert_all`].
pub async fn insert_guest(
    tx: &mut Tx,
    allowed: &Allowed<Bring>,
    guest: &Invitation,
    hashes: &Hashes,
) -> Result<(), DbError> {
    let guest = Invitation { event: allowed.event, guest_of: Some(allowed.host), ..guest.clone() };
    write(tx, &[(guest, *hashes)]).await
}

async fn write(tx: &mut Tx, new: &[(Invitation, Hashes)]) -> Result<(), DbError> {
    let rows = new.iter().map(|(invitation, hashes)| {
        vec![
            invitation.id.into(),
            invitation.event.into(),
            invitation.name.as_str().into(),
            fold(&invitation.name).into(),
            invitation.state.as_str().into(),
            invitation.state_at.into(),
            hashes.code.into(),
            invitation.sealed.clone().into(),
            invitation.code_generation.into(),
            invitation.created_at.into(),
            invitation.expires_at.into(),
            invitation.max_uses.into(),
            invitation.plus_ones.into(),
            invitation.guest_of.into(),
            invitation.language.as_str().into(),
            invitation.person_key.clone().into(),
            invitation.contact.clone().into(),
            hashes.phone.into(),
            hashes.email.into(),
        ]
    });
    tx.many(&INSERT, rows.collect()).await
}

/// Adds an invitation.
///
/// # Errors
///
/// As [`insert_all`].
pub async fn insert(
    tx: &mut Tx,
    allowed: &Allowed<Organise>,
    invitation: &Invitation,
    hashes: &Hashes,
) -> Result<(), DbError> {
    insert_all(tx, allowed, &[(invitation.clone(), *hashes)]).await
}

/// Which column people are looked up by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum By {
    /// The hash of their telephone number.
    Phone,
    /// The hash of their e-mail address.
    Email,
}

/// Arguments of [`of_hashes`]; what is missing is filled up with the last one.
const HASHES: usize = 50;

/// Without an order: for one by id, SQLite would walk through all people of the event instead of looking up the few.
macro_rules! of_hashes {
    ($column:literal) => {
        concat!(
            "SELECT ", columns!(), ", ", $column, " AS hash, phone_hash IS NOT NULL AS has_phone FROM invitations
             WHERE event_id = $1 AND ", $column, " IN ($2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17,
             $18, $19, $20, $21, $22, $23, $24, $25, $26, $27, $28, $29, $30, $31, $32, $33, $34, $35, $36, $37, $38, $39,
             $40, $41, $42, $43, $44, $45, $46, $47, $48, $49, $50, $51)"
        )
    };
}

/// Somebody who was found by how they are reached.
#[derive(Clone, Debug)]
pub struct Found {
    /// The row.
    pub invitation: Invitation,
    /// By which hash.
    pub hash: Digest,
    /// Whether their telephone is known.
    pub has_phone: bool,
}

/// The people of `event` with these telephone numbers or addresses, oldest first.
///
/// # Errors
///
/// Any [`DbError`] of a statement.
pub async fn of_hashes(tx: &mut Tx, event: EventId, by: By, hashes: &[Digest]) -> Result<Vec<Found>, DbError> {
    let sql = match by {
        By::Phone => of_hashes!("phone_hash"),
        By::Email => of_hashes!("email_hash"),
    };
    let mut found = Vec::new();
    for some in hashes.chunks(HASHES) {
        let Some(last) = some.last() else { continue };
        let hashes = some.iter().chain(std::iter::repeat(last)).take(HASHES);
        let args = std::iter::once(event.into()).chain(hashes.map(|hash| (*hash).into()));
        for row in tx.all(sql, args).await? {
            found.push(Found {
                invitation: invitation(&row)?,
                hash: row.digest("hash")?,
                has_phone: row.bool("has_phone")?,
            });
        }
    }
    found.sort_unstable_by_key(|found| found.invitation.id);
    Ok(found)
}

/// How somebody is reached, ready for its row.
#[derive(Clone, Debug, Default)]
pub struct SealedContact {
    /// The key of this person, sealed by the vault.
    pub person_key: Option<Vec<u8>>,
    /// What it seals.
    pub contact: Option<Vec<u8>>,
    /// Of the telephone number.
    pub phone: Option<Digest>,
    /// Of the e-mail address.
    pub email: Option<Digest>,
}

/// Writes how somebody is reached, in place of what was there.
///
/// # Errors
///
/// [`DbError::Exists`] for a telephone number that somebody else at this event has.
pub async fn set_contact(
    tx: &mut Tx,
    _: &Allowed<Organise>,
    id: InvitationId,
    contact: &SealedContact,
) -> Result<(), DbError> {
    let sql =
        "UPDATE invitations SET person_key = $1, contact_sealed = $2, phone_hash = $3, email_hash = $4 WHERE id = $5";
    let SealedContact { person_key, contact, phone, email } = contact.clone();
    tx.execute(sql, [person_key.into(), contact.into(), phone.into(), email.into(), id.into()]).await.map(|_| ())
}

/// Writes somebody's language.
///
/// # Errors
///
/// Any [`DbError`] of a statement.
pub async fn set_language(tx: &mut Tx, _: &Allowed<Organise>, id: InvitationId, language: &str) -> Result<(), DbError> {
    let sql = "UPDATE invitations SET language = $1 WHERE id = $2";
    tx.execute(sql, [language.into(), id.into()]).await.map(|_| ())
}

/// Lets somebody bring this many guests; whoever may bring more goes on doing so.
///
/// # Errors
///
/// Any [`DbError`] of a statement.
pub async fn raise_plus_ones(
    tx: &mut Tx,
    _: &Allowed<Organise>,
    id: InvitationId,
    plus_ones: u32,
) -> Result<(), DbError> {
    let sql = "UPDATE invitations SET plus_ones = $1 WHERE id = $2 AND plus_ones < $1";
    tx.execute(sql, [plus_ones.into(), id.into()]).await.map(|_| ())
}

/// One invitation of `event`.
///
/// # Errors
///
/// Any [`DbError`] of a statement.
pub async fn get(db: &Db, event: EventId, id: InvitationId) -> Result<Option<Invitation>, DbError> {
    let sql = select!("WHERE id = $1 AND event_id = $2");
    db.one(sql, [id.into(), event.into()]).await?.as_ref().map(invitation).transpose()
}

/// One invitation, of whatever event.
///
/// # Errors
///
/// Any [`DbError`] of a statement.
pub async fn by_id(db: &Db, id: InvitationId) -> Result<Option<Invitation>, DbError> {
    db.one(select!("WHERE id = $1"), [id.into()]).await?.as_ref().map(invitation).transpose()
}

/// How an invitation came to where it stands, oldest first; that it was created is not in it.
///
/// # Errors
///
/// Any [`DbError`] of a statement.
pub async fn history(db: &Db, id: InvitationId) -> Result<Vec<Step>, DbError> {
    // An invitation has a handful of steps; a thousand is somebody's loop, of which the first thousand tell enough.
    let sql = "SELECT state, at, detail FROM invitation_history WHERE invitation_id = $1 ORDER BY number LIMIT 1000";
    let rows = db.all(sql, [id.into()]).await?;
    rows.iter()
        .map(|row| {
            Ok(Step {
                state: row.known("state", InvitationState::from_name)?,
                at: row.time("at")?,
                detail: row.text("detail")?,
            })
        })
        .collect()
}

/// Takes an invitation a step further for what is told about one of its codes; of a code that was replaced since, nothing
/// is true any more.
///
/// # Errors
///
/// Any [`DbError`] of a statement.
pub async fn advance_code(
    tx: &mut Tx,
    id: InvitationId,
    code_generation: u32,
    to: InvitationState,
    at: Time,
    detail: &str,
) -> Result<bool, DbError> {
    // Held, so that no new code comes between this look and the step.
    match lock(tx, id).await? {
        Some(row) if row.code_generation == code_generation => advance(tx, id, to, at, detail).await,
        _ => Ok(false),
    }
}

/// Gives an invitation of the event of the permission another code: it begins anew, and what the old one came to is
/// forgotten. Says whether it may still be used at all: one that was withdrawn, has expired or is nobody's any more stays
/// as it is.
///
/// # Errors
///
/// [`DbError::Exists`] for a code that somebody has already (make another one).
pub async fn renew(
    tx: &mut Tx,
    allowed: &Allowed<Organise>,
    id: InvitationId,
    code: (Digest, Vec<u8>),
    now: Time,
) -> Result<bool, DbError> {
    let sql = "UPDATE invitations SET code_hash = $1, code_sealed = $2, code_generation = code_generation + 1,
                   state = 'created', state_at = $3, uses = 0, redeemed_at = NULL
               WHERE id = $4 AND event_id = $5 AND state NOT IN ('revoked', 'expired') AND erased_at IS NULL";
    let args = [code.0.into(), code.1.into(), now.into(), id.into(), allowed.event.into()];
    if tx.execute(sql, args).await? == 0 {
        return Ok(false);
    }
    note(tx, id, InvitationState::Created, now, "new code").await.map(|()| true)
}

/// Takes an invitation a step further, and writes the step down with a few words (never a number or an address);
/// says whether it went: a step back is none, and whoever reports one comes too late.
///
/// # Errors
///
/// Any [`DbError`] of a statement.
pub async fn advance(
    tx: &mut Tx,
    id: InvitationId,
    to: InvitationState,
    at: Time,
    detail: &str,
) -> Result<bool, DbError> {
    let mut from = String::from(" ");
    for state in InvitationState::ALL.into_iter().filter(|state| state.may_become(to)) {
        from.push_str(state.as_str());
        from.push(' ');
    }
    let sql = "UPDATE invitations SET state = $1, state_at = $2 WHERE id = $3 AND CAST($4 AS TEXT) LIKE '% ' || state || ' %'";
    if tx.execute(sql, [to.as_str().into(), at.into(), id.into(), from.into()]).await? == 0 {
        return Ok(false);
    }
    note(tx, id, to, at, detail).await?;
    Ok(true)
}

/// Writes a step down. The invitation's row is locked by whoever calls.
async fn note(tx: &mut Tx, id: InvitationId, state: InvitationState, at: Time, detail: &str) -> Result<(), DbError> {
    let sql = "INSERT INTO invitation_history (invitation_id, number, state, at, detail)
               SELECT CAST($1 AS TEXT), COALESCE(MAX(number), 0) + 1, CAST($2 AS TEXT), CAST($3 AS BIGINT),
                   CAST($4 AS TEXT)
               FROM invitation_history WHERE invitation_id = $1";
    tx.execute(sql, [id.into(), state.as_str().into(), at.into(), detail.into()]).await.map(|_| ())
}

/// The invitations of `event` that match, newest first, from below `cursor` on.
///
/// # Errors
///
/// Any [`DbError`] of a statement.
pub async fn list(
    db: &Db,
    event: EventId,
    filter: &Filter,
    cursor: Option<InvitationId>,
    limit: u32,
) -> Result<Vec<Invitation>, DbError> {
    let ids = selection::newest(db, event, filter, cursor, limit).await?;
    of_ids(db, &ids).await
}

/// Arguments of [`of_ids`]; what is missing is filled up with the last one.
const IDS: usize = 50;

/// These invitations, of whatever event, in the order of `ids`; without those that are gone.
///
/// # Errors
///
/// Any [`DbError`] of a statement.
pub async fn of_ids(db: &Db, ids: &[InvitationId]) -> Result<Vec<Invitation>, DbError> {
    const SQL: &str = select!(
        "WHERE id IN ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21, $22,
         $23, $24, $25, $26, $27, $28, $29, $30, $31, $32, $33, $34, $35, $36, $37, $38, $39, $40, $41, $42, $43, $44, $45,
         $46, $47, $48, $49, $50)"
    );
    let mut found = HashMap::with_capacity(ids.len());
    for some in ids.chunks(IDS) {
        let Some(last) = some.last() else { continue };
        let args = some.iter().chain(std::iter::repeat(last)).take(IDS).map(|id| Value::from(*id));
        for row in db.all(SQL, args).await? {
            let invitation = invitation(&row)?;
            found.insert(invitation.id, invitation);
        }
    }
    Ok(ids.iter().filter_map(|id| found.remove(id)).collect())
}

/// Guests of one person that are told of at most: more than anybody may bring.
const GUESTS_MAX: u32 = 1_000;

/// Whom somebody brought along and who is not withdrawn.
///
/// # Errors
///
/// Any [`DbError`] of a statement.
pub async fn guests_in(tx: &mut Tx, host: InvitationId) -> Result<Vec<InvitationId>, DbError> {
    let sql = "SELECT id FROM invitations WHERE guest_of = $1 AND revoked_at IS NULL ORDER BY id LIMIT $2";
    tx.all(sql, [host.into(), GUESTS_MAX.into()]).await?.iter().map(|row| row.parse("id")).collect()
}

/// How many guests somebody brought, whatever became of them.
///
/// # Errors
///
/// Any [`DbError`] of a statement.
pub async fn brought(tx: &mut Tx, host: InvitationId) -> Result<u32, DbError> {
    let row = tx.one("SELECT COUNT(*) AS n FROM invitations WHERE guest_of = $1", [host.into()]).await?;
    row.map_or(Ok(0), |row| row.small("n"))
}

/// Whom somebody brings along, in the order of their invitations.
///
/// # Errors
///
/// Any [`DbError`] of a statement.
pub async fn guests(db: &Db, host: InvitationId) -> Result<Vec<Invitation>, DbError> {
    let sql = select!("WHERE guest_of = $1 ORDER BY id LIMIT $2");
    db.all(sql, [host.into(), GUESTS_MAX.into()]).await?.iter().map(invitation).collect()
}

/// Writes what is known about an invitee that is not sealed: name, language, end, uses and guests.
///
/// # Errors
///
/// Any [`DbError`] of a statement.
pub async fn update(tx: &mut Tx, _: &Allowed<Organise>, row: &Invitation) -> Result<(), DbError> {
    let sql = "UPDATE invitations SET name = $1, name_folded = $2, language = $3, expires_at = $4, max_uses = $5,
               plus_ones = $6 WHERE id = $7";
    let args = [
        row.name.as_str().into(),
        fold(&row.name).into(),
        row.language.as_str().into(),
        row.expires_at.into(),
        row.max_uses.into(),
        row.plus_ones.into(),
        row.id.into(),
    ];
    tx.execute(sql, args).await.map(|_| ())
}

/// Takes an invitation that had expired back to where it stood before; says whether it had. Its new end is written by the
/// caller.
///
/// # Errors
///
/// Any [`DbError`] of a statement.
pub async fn revive(tx: &mut Tx, id: InvitationId, now: Time) -> Result<bool, DbError> {
    let sql = "UPDATE invitations SET state_at = $1, state = COALESCE((SELECT h.state FROM invitation_history h
                   WHERE h.invitation_id = $2 AND h.state <> 'expired' ORDER BY h.number DESC LIMIT 1), 'created')
               WHERE id = $2 AND state = 'expired' RETURNING state";
    let Some(row) = tx.one(sql, [now.into(), id.into()]).await? else { return Ok(false) };
    let state = row.known("state", InvitationState::from_name)?;
    note(tx, id, state, now, "extended").await.map(|()| true)
}

/// Keeps an invitee out; says whether they were not kept out before.
///
/// # Errors
///
/// Any [`DbError`] of a statement.
pub async fn block(tx: &mut Tx, event: EventId, id: InvitationId, now: Time) -> Result<bool, DbError> {
    let sql = "UPDATE invitations SET blocked_at = $1 WHERE id = $2 AND event_id = $3 AND blocked_at IS NULL";
    Ok(tx.execute(sql, [now.into(), id.into(), event.into()]).await? > 0)
}

/// Lets somebody in again who was kept out of the event of the permission; says whether they were.
///
/// # Errors
///
/// Any [`DbError`] of a statement.
pub async fn unblock(tx: &mut Tx, allowed: &Allowed<Moderate>, id: InvitationId) -> Result<bool, DbError> {
    let sql = "UPDATE invitations SET blocked_at = NULL WHERE id = $1 AND event_id = $2 AND blocked_at IS NOT NULL";
    Ok(tx.execute(sql, [id.into(), allowed.event.into()]).await? > 0)
}

/// Some invitations whose time is up and that do not say so yet.
///
/// # Errors
///
/// Any [`DbError`] of a statement.
pub async fn due(db: &Db, now: Time, limit: u32) -> Result<Vec<(EventId, InvitationId)>, DbError> {
    let sql = "SELECT event_id, id FROM invitations WHERE expires_at <= $1 AND state NOT IN ('expired', 'revoked')
               ORDER BY expires_at LIMIT $2";
    let rows = db.all(sql, [now.into(), limit.into()]).await?;
    rows.iter().map(|row| Ok((row.parse("event_id")?, row.parse("id")?))).collect()
}

/// How many people are invited to `event`, in whatever state.
///
/// # Errors
///
/// Any [`DbError`] of a statement.
pub async fn count(db: &Db, event: EventId) -> Result<u64, DbError> {
    let row = db.one("SELECT COUNT(*) AS people FROM invitations WHERE event_id = $1", [event.into()]).await?;
    row.map_or(Ok(0), |row| row.count("people"))
}

/// The invitation of `event` with this code, in whatever state.
///
/// Asked for is whichever comes next in the order of the hashes: a code that nobody has reads a row like one of another
/// event, and takes as long.
///
/// # Errors
///
/// Any [`DbError`] of a statement.
pub async fn by_code(db: &Db, event: EventId, code: Digest) -> Result<Option<Invitation>, DbError> {
    let sql =
        concat!("SELECT ", columns!(), ", code_hash FROM invitations WHERE code_hash >= $1 ORDER BY code_hash LIMIT 1");
    let Some(row) = db.one(sql, [code.into()]).await? else { return Ok(None) };
    let found = row.digest("code_hash")? == code && row.parse::<EventId>("event_id")? == event;
    found.then(|| invitation(&row)).transpose()
}

/// The same invitation as it is now, held until the transaction ends: an update that changes nothing locks a row on
/// both databases.
///
/// # Errors
///
/// Any [`DbError`] of a statement.
pub async fn lock(tx: &mut Tx, id: InvitationId) -> Result<Option<Invitation>, DbError> {
    let sql = concat!("UPDATE invitations SET name = name WHERE id = $1 RETURNING ", columns!());
    tx.one(sql, [id.into()]).await?.as_ref().map(invitation).transpose()
}

/// Notes a use of a code.
///
/// # Errors
///
/// Any [`DbError`] of a statement.
pub async fn redeemed(tx: &mut Tx, id: InvitationId, now: Time) -> Result<(), DbError> {
    let sql = "UPDATE invitations SET uses = uses + 1, redeemed_at = COALESCE(redeemed_at, $1) WHERE id = $2";
    tx.execute(sql, [now.into(), id.into()]).await?;
    advance(tx, id, InvitationState::Redeemed, now, "").await.map(|_| ())
}

/// Withdraws an invitation of the event of the permission; says whether there was one to withdraw.
///
/// # Errors
///
/// Any [`DbError`] of a statement.
pub async fn revoke(tx: &mut Tx, allowed: &Allowed<Organise>, id: InvitationId, now: Time) -> Result<bool, DbError> {
    let sql = "UPDATE invitations SET revoked_at = $1 WHERE id = $2 AND event_id = $3 AND revoked_at IS NULL";
    if tx.execute(sql, [now.into(), id.into(), allowed.event.into()]).await? == 0 {
        return Ok(false);
    }
    advance(tx, id, InvitationState::Revoked, now, "").await.map(|_| true)
}

#[cfg(test)]
mod tests {
    use super::super::testing::{both, proof, sample};
    use super::*;

    #[tokio::test]
    async fn an_invitation_goes_from_created_to_redeemed_to_revoked() {
        both(async |db| {
            let event = sample::event(&db).await;
            let made = sample::invitation(&db, event.id).await;
            assert_eq!(made.state, InvitationState::Created);
            assert_eq!(get(&db, event.id, made.id).await.unwrap(), Some(made.clone()));
            assert_eq!(get(&db, sample::event_id(), made.id).await.unwrap(), None, "of another event");

            let mut tx = db.write().await.unwrap();
            redeemed(&mut tx, made.id, Time::from_millis(5)).await.unwrap();
            redeemed(&mut tx, made.id, Time::from_millis(6)).await.unwrap();
            let now = lock(&mut tx, made.id).await.unwrap().unwrap();
            assert_eq!((now.redeemed_at, now.state), (Some(Time::from_millis(5)), InvitationState::Redeemed));
            assert!(
                !revoke(&mut tx, &proof::organise(sample::event_id()), made.id, Time::from_millis(7)).await.unwrap()
            );
            assert!(revoke(&mut tx, &proof::organise(event.id), made.id, Time::from_millis(7)).await.unwrap());
            assert!(!revoke(&mut tx, &proof::organise(event.id), made.id, Time::from_millis(8)).await.unwrap());
            tx.commit().await.unwrap();
            let now = get(&db, event.id, made.id).await.unwrap().unwrap();
            assert_eq!((now.revoked_at, now.state), (Some(Time::from_millis(7)), InvitationState::Revoked));
        })
        .await;
    }

    #[tokio::test]
    async fn steps_go_forward_and_are_written_down_in_their_order() {
        use InvitationState as S;
        both(async |db| {
            let event = sample::event(&db).await;
            let made = sample::invitation(&db, event.id).await;
            let mut tx = db.write().await.unwrap();
            let mut went = Vec::new();
            for (at, to) in
                [S::Sent, S::Queued, S::Failed, S::Queued, S::Delivered, S::Failed, S::Opened].into_iter().enumerate()
            {
                let at = Time::from_millis(10 + i64::try_from(at).unwrap());
                went.push(advance(&mut tx, made.id, to, at, to.as_str()).await.unwrap());
            }
            assert!(
                !advance(&mut tx, InvitationId::new(sample::uuid()), S::Sent, Time::from_millis(1), "").await.unwrap()
            );
            tx.commit().await.unwrap();
            assert_eq!(went, [true, false, true, true, true, false, true]);
            let steps = history(&db, made.id).await.unwrap();
            let states: Vec<_> = steps.iter().map(|step| step.state).collect();
            assert_eq!(states, [S::Sent, S::Failed, S::Queued, S::Delivered, S::Opened]);
            assert_eq!((steps[4].at, steps[4].detail.as_str()), (Time::from_millis(16), "opened"));
            let now = by_id(&db, made.id).await.unwrap().unwrap();
            assert_eq!((now.state, now.state_at), (S::Opened, Time::from_millis(16)));
        })
        .await;
    }

    #[tokio::test]
    async fn everything_about_an_invitee_survives_the_database_and_a_number_is_invited_once() {
        both(async |db| {
            let event = sample::event(&db).await;
            let host = sample::invitation(&db, event.id).await;
            let new = |code: u8| Invitation {
                expires_at: Some(Time::from_millis(50)),
                max_uses: Some(3),
                plus_ones: 2,
                guest_of: Some(host.id),
                language: "fr".into(),
                person_key: Some(vec![1]),
                contact: Some(vec![2]),
                ..Invitation::new(InvitationId::new(sample::uuid()), event.id, "Bob", vec![code], Time::from_millis(5))
            };
            let (made, twin) = (new(1), new(2));
            let hashes = |code| Hashes { code: [code; 32], phone: Some([8; 32]), email: Some([9; 32]) };
            let mut tx = db.write().await.unwrap();
            insert(&mut tx, &proof::organise(event.id), &made, &hashes(1)).await.unwrap();
            tx.commit().await.unwrap();
            assert_eq!(get(&db, event.id, made.id).await.unwrap(), Some(made.clone()));
            let mut tx = db.write().await.unwrap();
            let again = insert(&mut tx, &proof::organise(event.id), &twin, &hashes(2)).await;
            assert!(matches!(again, Err(DbError::Exists)), "{again:?}");
        })
        .await;
    }

    #[tokio::test]
    async fn a_code_is_found_in_its_own_event_only_and_belongs_to_one() {
        both(async |db| {
            let (a, b) = (sample::event(&db).await, sample::event(&db).await);
            let made = sample::invitation_named(&db, a.id, "Ada", 7).await;
            assert_eq!(by_code(&db, a.id, [7; 32]).await.unwrap(), Some(made.clone()));
            assert_eq!(by_code(&db, b.id, [7; 32]).await.unwrap(), None);
            assert_eq!(by_code(&db, a.id, [8; 32]).await.unwrap(), None);
            let twin = Invitation { id: InvitationId::new(sample::uuid()), ..made };
            let mut tx = db.write().await.unwrap();
            assert!(matches!(
                insert(&mut tx, &proof::organise(twin.event), &twin, &Hashes::of_code([7; 32])).await,
                Err(DbError::Exists)
            ));
        })
        .await;
    }

    #[tokio::test]
    async fn the_people_of_a_batch_are_looked_up_by_their_hashes() {
        both(async |db| {
            let event = sample::event(&db).await;
            let mut tx = db.write().await.unwrap();
            let mut made = Vec::new();
            for number in 0..120_u8 {
                let id = InvitationId::new(sample::uuid());
                let invitation = Invitation::new(id, event.id, "Ada", vec![number], Time::from_millis(1));
                let phone = (number % 2 == 0).then_some([number; 32]);
                made.push((invitation, Hashes { code: [number; 32], phone, email: Some([number; 32]) }));
            }
            insert_all(&mut tx, &proof::organise(event.id), &made).await.unwrap();
            let hashes: Vec<_> = (0..=255).rev().map(|number| [number; 32]).collect();
            let by_phone = of_hashes(&mut tx, event.id, By::Phone, &hashes).await.unwrap();
            let by_email = of_hashes(&mut tx, event.id, By::Email, &hashes).await.unwrap();
            assert_eq!((by_phone.len(), by_email.len()), (60, 120));
            assert!(by_email.is_sorted_by_key(|found| found.invitation.id), "oldest first");
            assert!(by_email.iter().all(|found| found.has_phone == (found.hash[0] % 2 == 0)));
            let other = of_hashes(&mut tx, sample::event_id(), By::Phone, &hashes).await.unwrap();
            assert!(other.is_empty(), "of another event");
            if let Tx::Sqlite(_) = &tx {
                let args = || std::iter::repeat_n("x".into(), HASHES + 1);
                for (sql, index) in [
                    (concat!("EXPLAIN QUERY PLAN ", of_hashes!("phone_hash")), "invitations_by_phone"),
                    (concat!("EXPLAIN QUERY PLAN ", of_hashes!("email_hash")), "invitations_by_email"),
                ] {
                    let plan = tx.one(sql, args()).await.unwrap().unwrap().text("detail").unwrap();
                    assert!(plan.contains(index), "{plan}");
                }
            }
        })
        .await;
    }

    #[tokio::test]
    async fn what_is_known_about_somebody_is_changed_and_found_under_the_new_name() {
        both(async |db| {
            let event = sample::event(&db).await;
            let allowed = proof::organise(event.id);
            let host = sample::invitation(&db, event.id).await;
            let changed = Invitation {
                name: "Žofie".into(),
                language: "cs".into(),
                expires_at: Some(Time::from_millis(70)),
                max_uses: Some(2),
                plus_ones: 4,
                ..host.clone()
            };
            let guest = Invitation {
                guest_of: Some(host.id),
                ..Invitation::new(InvitationId::new(sample::uuid()), event.id, "Bob", vec![1], Time::from_millis(5))
            };
            let mut tx = db.write().await.unwrap();
            update(&mut tx, &allowed, &changed).await.unwrap();
            insert(&mut tx, &allowed, &guest, &Hashes::of_code([77; 32])).await.unwrap();
            tx.execute("UPDATE invitations SET blocked_at = 9 WHERE id = $1", [host.id.into()]).await.unwrap();
            assert!(!unblock(&mut tx, &proof::moderate(sample::event_id()), host.id).await.unwrap());
            assert!(unblock(&mut tx, &proof::moderate(event.id), host.id).await.unwrap());
            assert!(!unblock(&mut tx, &proof::moderate(event.id), host.id).await.unwrap(), "once");
            tx.commit().await.unwrap();
            assert_eq!(
                list(&db, event.id, &Filter::named("zof"), None, 9).await.unwrap(),
                std::slice::from_ref(&changed)
            );
            assert_eq!(
                list(&db, event.id, &Filter::default(), None, 9).await.unwrap(),
                [guest.clone(), changed.clone()]
            );
            assert_eq!(guests(&db, host.id).await.unwrap(), std::slice::from_ref(&guest));
            assert_eq!(guests(&db, guest.id).await.unwrap(), []);
            let missing = InvitationId::new(sample::uuid());
            assert_eq!(of_ids(&db, &[host.id, missing, guest.id]).await.unwrap(), [changed, guest]);
        })
        .await;
    }

    #[tokio::test]
    async fn a_new_code_begins_anew_and_what_is_told_of_the_old_one_comes_too_late() {
        use InvitationState as S;
        both(async |db| {
            let event = sample::event(&db).await;
            let made = sample::invitation_named(&db, event.id, "Ada", 7).await;
            let (allowed, at) = (proof::organise(event.id), Time::from_millis);
            let mut tx = db.write().await.unwrap();
            assert!(advance_code(&mut tx, made.id, 1, S::Sent, at(5), "sms").await.unwrap());
            redeemed(&mut tx, made.id, at(6)).await.unwrap();
            let elsewhere = proof::organise(sample::event_id());
            assert!(!renew(&mut tx, &elsewhere, made.id, ([8; 32], vec![8]), at(7)).await.unwrap());
            assert!(renew(&mut tx, &allowed, made.id, ([8; 32], vec![8]), at(7)).await.unwrap());
            assert!(!advance_code(&mut tx, made.id, 1, S::Delivered, at(8), "sms").await.unwrap(), "of the old code");
            assert!(advance_code(&mut tx, made.id, 2, S::Queued, at(9), "sms").await.unwrap());
            tx.commit().await.unwrap();
            let now = by_code(&db, event.id, [8; 32]).await.unwrap().unwrap();
            assert_eq!((now.state, now.uses, now.redeemed_at, now.code_generation), (S::Queued, 0, None, 2));
            assert_eq!(by_code(&db, event.id, [7; 32]).await.unwrap(), None);
            let states: Vec<_> = history(&db, made.id).await.unwrap().iter().map(|step| step.state).collect();
            assert_eq!(states, [S::Sent, S::Redeemed, S::Created, S::Queued]);
            let mut tx = db.write().await.unwrap();
            assert!(revoke(&mut tx, &allowed, made.id, at(10)).await.unwrap());
            assert!(
                !renew(&mut tx, &allowed, made.id, ([9; 32], vec![9]), at(11)).await.unwrap(),
                "withdrawn for good"
            );
        })
        .await;
    }

    #[tokio::test]
    async fn an_end_that_has_come_is_taken_back_to_where_it_stood() {
        use InvitationState as S;
        both(async |db| {
            let event = sample::event(&db).await;
            let (told, untold) = (sample::invitation(&db, event.id).await, sample::invitation(&db, event.id).await);
            let at = Time::from_millis;
            let mut tx = db.write().await.unwrap();
            let end = "UPDATE invitations SET expires_at = 50 WHERE event_id = $1";
            tx.execute(end, [event.id.into()]).await.unwrap();
            advance(&mut tx, told.id, S::Sent, at(5), "sms").await.unwrap();
            tx.commit().await.unwrap();
            assert_eq!(due(&db, at(49), 9).await.unwrap(), []);
            assert_eq!(due(&db, at(50), 9).await.unwrap().len(), 2);
            let mut tx = db.write().await.unwrap();
            assert!(!revive(&mut tx, told.id, at(51)).await.unwrap(), "it has not expired yet");
            for id in [told.id, untold.id] {
                assert!(advance(&mut tx, id, S::Expired, at(51), "").await.unwrap());
            }
            tx.commit().await.unwrap();
            assert_eq!(due(&db, at(99), 9).await.unwrap(), [], "they say so");
            let mut tx = db.write().await.unwrap();
            for id in [told.id, untold.id] {
                assert!(revive(&mut tx, id, at(60)).await.unwrap());
            }
            tx.commit().await.unwrap();
            let state = async |id| by_id(&db, id).await.unwrap().unwrap().state;
            assert_eq!((state(told.id).await, state(untold.id).await), (S::Sent, S::Created));
            let last = history(&db, told.id).await.unwrap().pop().unwrap();
            assert_eq!((last.state, last.detail.as_str()), (S::Sent, "extended"));
        })
        .await;
    }
}
