//! Invitations: a person and the hash of their code.

use stagedoor_domain::Time;
use stagedoor_domain::access::{Allowed, Digest, InvitationState, Organise};
use stagedoor_domain::id::{EventId, InvitationId};

use super::{Db, DbError, Row, Tx, before};

/// An invitee.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Invitation {
    /// The name of the row.
    pub id: InvitationId,
    /// What they are invited to.
    pub event: EventId,
    /// Who they are.
    pub name: String,
    /// Their code, sealed by the vault.
    pub sealed: Vec<u8>,
    /// When they were invited.
    pub created_at: Time,
    /// When their code was first used.
    pub redeemed_at: Option<Time>,
    /// When the invitation was withdrawn.
    pub revoked_at: Option<Time>,
}

impl Invitation {
    /// Where it stands.
    #[must_use]
    pub fn state(&self) -> InvitationState {
        match (self.revoked_at, self.redeemed_at) {
            (Some(_), _) => InvitationState::Revoked,
            (None, Some(_)) => InvitationState::Redeemed,
            (None, None) => InvitationState::Created,
        }
    }
}

fn invitation(row: &Row) -> Result<Invitation, DbError> {
    Ok(Invitation {
        id: row.parse("id")?,
        event: row.parse("event_id")?,
        name: row.text("name")?,
        sealed: row.bytes("code_sealed")?,
        created_at: row.time("created_at")?,
        redeemed_at: row.time_maybe("redeemed_at")?,
        revoked_at: row.time_maybe("revoked_at")?,
    })
}

/// Adds an invitation.
///
/// # Errors
///
/// [`DbError::Exists`] for a code that somebody has already: make another one.
pub async fn insert(tx: &mut Tx, _: &Allowed<Organise>, invitation: &Invitation, code: Digest) -> Result<(), DbError> {
    let sql = "INSERT INTO invitations (id, event_id, name, name_folded, code_hash, code_sealed, created_at)
               VALUES ($1, $2, $3, $4, $5, $6, $7)";
    let args = [
        invitation.id.into(),
        invitation.event.into(),
        invitation.name.as_str().into(),
        invitation.name.to_lowercase().into(),
        code.into(),
        invitation.sealed.clone().into(),
        invitation.created_at.into(),
    ];
    tx.execute(sql, args).await.map(|_| ())
}

/// One invitation of `event`.
///
/// # Errors
///
/// Any [`DbError`] of a statement.
pub async fn get(db: &Db, event: EventId, id: InvitationId) -> Result<Option<Invitation>, DbError> {
    let sql = "SELECT id, event_id, name, code_sealed, created_at, redeemed_at, revoked_at FROM invitations
               WHERE id = $1 AND event_id = $2";
    db.one(sql, [id.into(), event.into()]).await?.as_ref().map(invitation).transpose()
}

/// The invitations of `event` whose name contains `search` (in any case; empty finds all), newest first.
///
/// # Errors
///
/// Any [`DbError`] of a statement.
pub async fn list(
    db: &Db,
    event: EventId,
    search: &str,
    cursor: Option<InvitationId>,
    limit: u32,
) -> Result<Vec<Invitation>, DbError> {
    let sql = "SELECT id, event_id, name, code_sealed, created_at, redeemed_at, revoked_at FROM invitations
               WHERE event_id = $1 AND id < $2 AND name_folded LIKE $3 ESCAPE '!' ORDER BY id DESC LIMIT $4";
    let mut pattern = String::from("%");
    for letter in search.to_lowercase().chars() {
        if matches!(letter, '%' | '_' | '!') {
            pattern.push('!');
        }
        pattern.push(letter);
    }
    pattern.push('%');
    let args = [event.into(), before(cursor, InvitationId::new).into(), pattern.into(), limit.into()];
    db.all(sql, args).await?.iter().map(invitation).collect()
}

/// The invitation of `event` with this code, in whatever state.
///
/// # Errors
///
/// Any [`DbError`] of a statement.
pub async fn by_code(db: &Db, event: EventId, code: Digest) -> Result<Option<Invitation>, DbError> {
    let sql = "SELECT id, event_id, name, code_sealed, created_at, redeemed_at, revoked_at FROM invitations
               WHERE event_id = $1 AND code_hash = $2";
    db.one(sql, [event.into(), code.into()]).await?.as_ref().map(invitation).transpose()
}

/// The same invitation as it is now, held until the transaction ends: an update that changes nothing locks a row on
/// both databases.
///
/// # Errors
///
/// Any [`DbError`] of a statement.
pub async fn lock(tx: &mut Tx, id: InvitationId) -> Result<Option<Invitation>, DbError> {
    let sql = "UPDATE invitations SET name = name WHERE id = $1
               RETURNING id, event_id, name, code_sealed, created_at, redeemed_at, revoked_at";
    tx.one(sql, [id.into()]).await?.as_ref().map(invitation).transpose()
}

/// Notes the first use of a code.
///
/// # Errors
///
/// Any [`DbError`] of a statement.
pub async fn redeemed(tx: &mut Tx, id: InvitationId, now: Time) -> Result<(), DbError> {
    let sql = "UPDATE invitations SET redeemed_at = $1 WHERE id = $2 AND redeemed_at IS NULL";
    tx.execute(sql, [now.into(), id.into()]).await.map(|_| ())
}

/// Withdraws an invitation of `event`; says whether there was one to withdraw.
///
/// # Errors
///
/// Any [`DbError`] of a statement.
pub async fn revoke(
    tx: &mut Tx,
    _: &Allowed<Organise>,
    event: EventId,
    id: InvitationId,
    now: Time,
) -> Result<bool, DbError> {
    let sql = "UPDATE invitations SET revoked_at = $1 WHERE id = $2 AND event_id = $3 AND revoked_at IS NULL";
    Ok(tx.execute(sql, [now.into(), id.into(), event.into()]).await? > 0)
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
            assert_eq!(made.state(), InvitationState::Created);
            assert_eq!(get(&db, event.id, made.id).await.unwrap(), Some(made.clone()));
            assert_eq!(get(&db, sample::event_id(), made.id).await.unwrap(), None, "of another event");

            let mut tx = db.write().await.unwrap();
            redeemed(&mut tx, made.id, Time::from_millis(5)).await.unwrap();
            redeemed(&mut tx, made.id, Time::from_millis(6)).await.unwrap();
            let now = lock(&mut tx, made.id).await.unwrap().unwrap();
            assert_eq!((now.redeemed_at, now.state()), (Some(Time::from_millis(5)), InvitationState::Redeemed));
            assert!(
                !revoke(&mut tx, &proof::organise(), sample::event_id(), made.id, Time::from_millis(7)).await.unwrap()
            );
            assert!(revoke(&mut tx, &proof::organise(), event.id, made.id, Time::from_millis(7)).await.unwrap());
            assert!(!revoke(&mut tx, &proof::organise(), event.id, made.id, Time::from_millis(8)).await.unwrap());
            tx.commit().await.unwrap();
            let now = get(&db, event.id, made.id).await.unwrap().unwrap();
            assert_eq!((now.revoked_at, now.state()), (Some(Time::from_millis(7)), InvitationState::Revoked));
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
            assert!(matches!(insert(&mut tx, &proof::organise(), &twin, [7; 32]).await, Err(DbError::Exists)));
        })
        .await;
    }

    #[tokio::test]
    async fn names_are_searched_in_any_case_and_literally() {
        both(async |db| {
            let event = sample::event(&db).await;
            for (number, name) in ["Ada Žižková", "100% Bob", "a_b", "!x"].into_iter().enumerate() {
                sample::invitation_named(&db, event.id, name, u8::try_from(number).unwrap()).await;
            }
            for (search, found) in [
                ("", 4),
                ("ada", 1),
                ("ŽIŽKOVÁ", 1),
                ("0%", 1),
                ("%", 1),
                ("_", 1),
                ("!", 1),
                ("zzz", 0),
                ("'; DROP TABLE invitations; --", 0),
            ] {
                assert_eq!(list(&db, event.id, search, None, 9).await.unwrap().len(), found, "{search}");
            }
            let first = list(&db, event.id, "", None, 3).await.unwrap();
            let rest = list(&db, event.id, "", Some(first[2].id), 3).await.unwrap();
            assert_eq!((first.len(), rest.len()), (3, 1));
            assert_eq!(rest[0].name, "Ada Žižková");
        })
        .await;
    }
}
