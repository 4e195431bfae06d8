//! What the vault sealed, wherever it is: read and replaced piece by piece when the master key changes.

use stagedoor_domain::access::Digest;
use stagedoor_domain::id::InvitationId;

use super::invitations::{self, Invitation};
use super::{Db, DbError, Tx};

/// A column that the vault seals, beside those of invitations.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Column {
    /// The text of a stream key.
    StreamKey,
    /// The secret behind one-time passwords.
    Totp,
    /// What deliveries are signed with.
    Webhook,
    /// What they were signed with before.
    WebhookBefore,
    /// The key of an uploaded list.
    ImportFile,
    /// What a stretch of a broadcast is encrypted with.
    ContentKey,
    /// A message to nobody who is invited; others are sealed by the key of their person.
    Message,
}

/// The three statements about a column.
struct Sql {
    page: &'static str,
    replace: &'static str,
    count: &'static str,
}

macro_rules! sql {
    ($table:literal, $column:literal, $where:literal) => {
        Sql {
            page: concat!(
                "SELECT id, ",
                $column,
                " AS sealed FROM ",
                $table,
                " WHERE id > $1 AND ",
                $column,
                " IS NOT NULL",
                $where,
                " ORDER BY id LIMIT $2"
            ),
            replace: concat!("UPDATE ", $table, " SET ", $column, " = $1 WHERE id = $2 AND ", $column, " = $3"),
            count: concat!("SELECT COUNT(*) AS n FROM ", $table, " WHERE ", $column, " IS NOT NULL", $where),
        }
    };
}

impl Column {
    /// Every one of them.
    pub const ALL: [Self; 7] = [
        Self::StreamKey,
        Self::Totp,
        Self::Webhook,
        Self::WebhookBefore,
        Self::ImportFile,
        Self::ContentKey,
        Self::Message,
    ];

    fn sql(self) -> Sql {
        match self {
            Self::StreamKey => sql!("stream_keys", "key_sealed", ""),
            Self::Totp => sql!("users", "totp_sealed", ""),
            Self::Webhook => sql!("webhooks", "secret_sealed", ""),
            Self::WebhookBefore => sql!("webhooks", "previous_sealed", ""),
            Self::ImportFile => sql!("imports", "file_key", ""),
            Self::ContentKey => sql!("content_keys", "sealed", ""),
            Self::Message => sql!("messages", "payload_sealed", " AND invitation_id IS NULL"),
        }
    }
}

/// What is sealed in a column, in the order of the rows' names behind the one called `after`.
///
/// # Errors
///
/// Any [`DbError`] of a statement.
pub async fn page(db: &Db, column: Column, after: &str, limit: u32) -> Result<Vec<(String, Vec<u8>)>, DbError> {
    let rows = db.all(column.sql().page, [after.into(), limit.into()]).await?;
    rows.iter().map(|row| Ok((row.text("id")?, row.bytes("sealed")?))).collect()
}

/// Replaces what is sealed in a row, unless somebody else did.
///
/// # Errors
///
/// Any [`DbError`] of a statement.
pub async fn replace(tx: &mut Tx, column: Column, id: &str, old: Vec<u8>, new: Vec<u8>) -> Result<(), DbError> {
    tx.execute(column.sql().replace, [new.into(), id.into(), old.into()]).await.map(|_| ())
}

/// An invitee with what is sealed and hashed about them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Person {
    /// The row.
    pub invitation: Invitation,
    /// Of the code.
    pub code: Digest,
    /// Of the telephone number.
    pub phone: Option<Digest>,
    /// Of the e-mail address.
    pub email: Option<Digest>,
}

/// Invitees of all events, in the order of their names behind the one called `after`.
///
/// # Errors
///
/// Any [`DbError`] of a statement.
pub async fn people(db: &Db, after: Option<InvitationId>, limit: u32) -> Result<Vec<Person>, DbError> {
    let after = after.map(|id| id.to_string()).unwrap_or_default();
    let rows = db.all(invitations::SELECT_HASHED, [after.into(), limit.into()]).await?;
    rows.iter()
        .map(|row| {
            Ok(Person {
                invitation: invitations::invitation(row)?,
                code: row.digest("code_hash")?,
                phone: row.digest_maybe("phone_hash")?,
                email: row.digest_maybe("email_hash")?,
            })
        })
        .collect()
}

/// Replaces what is sealed and hashed about an invitee, unless somebody else did. What follows a telephone number of theirs
/// that was hashed follows it to its new hash: that they want no messages.
///
/// # Errors
///
/// [`DbError::Exists`] for a telephone number that somebody else at their event has under its new hash.
pub async fn replace_person(tx: &mut Tx, old: &Person, new: &Person) -> Result<(), DbError> {
    let sql =
        "UPDATE invitations SET code_sealed = $1, code_hash = $2, person_key = $3, phone_hash = $4, email_hash = $5
               WHERE id = $6 AND code_sealed = $7 AND person_key IS NOT DISTINCT FROM $8
                   AND contact_sealed IS NOT DISTINCT FROM $9";
    let args = [
        new.invitation.sealed.clone().into(),
        new.code.into(),
        new.invitation.person_key.clone().into(),
        new.phone.into(),
        new.email.into(),
        new.invitation.id.into(),
        old.invitation.sealed.clone().into(),
        old.invitation.person_key.clone().into(),
        old.invitation.contact.clone().into(),
    ];
    let replaced = tx.execute(sql, args).await? > 0;
    if let (true, Some(before), Some(now)) = (replaced, old.phone, new.phone)
        && before != now
    {
        let sql = "INSERT INTO opt_outs (phone_hash, at) SELECT $1, at FROM opt_outs WHERE phone_hash = $2
                   ON CONFLICT DO NOTHING";
        tx.execute(sql, [now.into(), before.into()]).await?;
    }
    Ok(())
}

/// How many secrets are sealed, invitees counted as one each.
///
/// # Errors
///
/// Any [`DbError`] of a statement.
pub async fn count(db: &Db) -> Result<u64, DbError> {
    let mut all = 0;
    for sql in Column::ALL.map(|column| column.sql().count).into_iter().chain(["SELECT COUNT(*) AS n FROM invitations"])
    {
        all += db.one(sql, []).await?.map_or(Ok(0), |row| row.count("n"))?;
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::super::opt_outs;
    use super::super::testing::{both, sample};
    use super::*;
    use stagedoor_domain::Time;

    #[tokio::test]
    async fn what_is_sealed_is_found_and_replaced_unless_somebody_was_faster() {
        both(async |db| {
            let event = sample::event(&db).await;
            let key = sample::stream_key(&db, event.id, 1).await;
            for column in Column::ALL {
                let found = page(&db, column, "", 10).await.unwrap();
                assert_eq!(found.len(), usize::from(column == Column::StreamKey), "{column:?}");
            }
            let (id, sealed) = page(&db, Column::StreamKey, "", 10).await.unwrap().remove(0);
            assert_eq!((id.as_str(), &sealed), (key.id.to_string().as_str(), &key.sealed));
            assert!(page(&db, Column::StreamKey, &id, 10).await.unwrap().is_empty());
            for (old, new, now) in [(vec![0xee], vec![1], sealed.clone()), (sealed.clone(), vec![2], vec![2])] {
                for column in Column::ALL {
                    let mut tx = db.write().await.unwrap();
                    replace(&mut tx, column, &id, old.clone(), new.clone()).await.unwrap();
                    tx.commit().await.unwrap();
                }
                assert_eq!(page(&db, Column::StreamKey, "", 10).await.unwrap()[0].1, now);
            }
            assert_eq!(count(&db).await.unwrap(), 1);
        })
        .await;
    }

    #[tokio::test]
    async fn a_person_gets_new_hashes_and_their_opt_out_follows() {
        both(async |db| {
            let event = sample::event(&db).await;
            sample::invitation_named(&db, event.id, "Ada", 1).await;
            let mut tx = db.write().await.unwrap();
            tx.execute("UPDATE invitations SET phone_hash = $1", [[5_u8; 32].into()]).await.unwrap();
            opt_outs::add(&mut tx, [5; 32], Time::from_millis(9)).await.unwrap();
            tx.commit().await.unwrap();
            let old = people(&db, None, 10).await.unwrap().remove(0);
            assert_eq!((old.code, old.phone, old.email), ([1; 32], Some([5; 32]), None));
            assert!(people(&db, Some(old.invitation.id), 10).await.unwrap().is_empty());
            let mut new = Person { code: [2; 32], phone: Some([6; 32]), ..old.clone() };
            new.invitation.sealed = vec![7];
            new.invitation.person_key = Some(vec![8]);
            let mut tx = db.write().await.unwrap();
            replace_person(&mut tx, &old, &new).await.unwrap();
            // What it was is gone: a second time changes nothing.
            replace_person(&mut tx, &old, &Person { code: [3; 32], ..new.clone() }).await.unwrap();
            assert!(opt_outs::contains(&mut tx, &[[6; 32]]).await.unwrap());
            tx.commit().await.unwrap();
            assert_eq!(people(&db, None, 10).await.unwrap(), [new]);
        })
        .await;
    }
}
