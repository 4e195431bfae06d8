//! What an organiser wrote instead of the built-in texts.

use stagedoor_domain::Time;
use stagedoor_domain::access::{Allowed, Organise};
use stagedoor_domain::id::EventId;
use stagedoor_domain::message::{Channel, Kind, Template};

use super::{Db, DbError, Row, Tx};

/// Templates of an event at most: two channels, three kinds, and more languages than any audience speaks.
pub const PER_EVENT_MAX: u32 = 500;

/// A template of an event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Written {
    /// By what it travels.
    pub channel: Channel,
    /// What it is for.
    pub kind: Kind,
    /// A BCP 47 tag in lower case.
    pub language: String,
    /// What it says.
    pub template: Template,
    /// When it was last changed.
    pub updated_at: Time,
}

fn written(row: &Row) -> Result<Written, DbError> {
    Ok(Written {
        channel: row.known("channel", Channel::from_name)?,
        kind: row.known("kind", Kind::from_name)?,
        language: row.text("language")?,
        template: Template { subject: row.parse_maybe("subject")?, body: row.text("body")? },
        updated_at: row.time("updated_at")?,
    })
}

/// All of an event, in a stable order.
///
/// # Errors
///
/// Any [`DbError`] of a statement.
pub async fn of_event(db: &Db, event: EventId) -> Result<Vec<Written>, DbError> {
    let sql = "SELECT channel, kind, language, subject, body, updated_at FROM message_templates WHERE event_id = $1
               ORDER BY channel, kind, language LIMIT $2";
    db.all(sql, [event.into(), PER_EVENT_MAX.into()]).await?.iter().map(written).collect()
}

/// The languages that this channel and kind was written in.
///
/// # Errors
///
/// Any [`DbError`] of a statement.
pub async fn of_kind(db: &Db, event: EventId, channel: Channel, kind: Kind) -> Result<Vec<Written>, DbError> {
    let sql = "SELECT channel, kind, language, subject, body, updated_at FROM message_templates
               WHERE event_id = $1 AND channel = $2 AND kind = $3 ORDER BY language LIMIT $4";
    let args = [event.into(), channel.as_str().into(), kind.as_str().into(), PER_EVENT_MAX.into()];
    db.all(sql, args).await?.iter().map(written).collect()
}

/// Writes one, over the one there is; says whether there is room for it.
///
/// # Errors
///
/// Any [`DbError`] of a statement.
pub async fn put(tx: &mut Tx, allowed: &Allowed<Organise>, new: &Written) -> Result<bool, DbError> {
    let sql = "SELECT COUNT(*) AS n FROM message_templates WHERE event_id = $1";
    let there = tx.one(sql, [allowed.event.into()]).await?.map_or(Ok(0), |row| row.count("n"))?;
    if there >= u64::from(PER_EVENT_MAX) {
        return Ok(false);
    }
    let sql = "INSERT INTO message_templates (event_id, channel, kind, language, subject, body, updated_at)
               VALUES ($1, $2, $3, $4, $5, $6, $7)
               ON CONFLICT (event_id, channel, kind, language)
               DO UPDATE SET subject = excluded.subject, body = excluded.body, updated_at = excluded.updated_at";
    let args = [
        allowed.event.into(),
        new.channel.as_str().into(),
        new.kind.as_str().into(),
        new.language.as_str().into(),
        new.template.subject.clone().into(),
        new.template.body.as_str().into(),
        new.updated_at.into(),
    ];
    tx.execute(sql, args).await.map(|_| true)
}

/// Goes back to the built-in text; says whether there was another.
///
/// # Errors
///
/// Any [`DbError`] of a statement.
pub async fn delete(
    tx: &mut Tx,
    allowed: &Allowed<Organise>,
    channel: Channel,
    kind: Kind,
    language: &str,
) -> Result<bool, DbError> {
    let sql = "DELETE FROM message_templates WHERE event_id = $1 AND channel = $2 AND kind = $3 AND language = $4";
    let args = [allowed.event.into(), channel.as_str().into(), kind.as_str().into(), language.into()];
    Ok(tx.execute(sql, args).await? > 0)
}

#[cfg(test)]
mod tests {
    use super::super::testing::{both, proof, sample};
    use super::*;

    #[tokio::test]
    async fn a_template_is_written_over_and_taken_back() {
        both(async |db| {
            let event = sample::event(&db).await.id;
            let allowed = proof::organise(event);
            let one = |body: &str, at| Written {
                channel: Channel::Email,
                kind: Kind::Reminder,
                language: "pt-br".into(),
                template: Template { subject: Some("Olá".into()), body: body.into() },
                updated_at: Time::from_millis(at),
            };
            let mut tx = db.write().await.unwrap();
            assert!(put(&mut tx, &allowed, &one("a", 1)).await.unwrap());
            assert!(put(&mut tx, &allowed, &one("b", 2)).await.unwrap());
            let sms =
                Written { channel: Channel::Sms, template: Template { subject: None, body: "c".into() }, ..one("", 3) };
            assert!(put(&mut tx, &allowed, &sms).await.unwrap());
            tx.commit().await.unwrap();
            assert_eq!(of_event(&db, event).await.unwrap(), [one("b", 2), sms.clone()]);
            assert_eq!(of_kind(&db, event, Channel::Sms, Kind::Reminder).await.unwrap(), [sms]);
            assert_eq!(of_kind(&db, event, Channel::Sms, Kind::Invitation).await.unwrap(), []);
            assert_eq!(of_event(&db, sample::event_id()).await.unwrap(), []);
            let mut tx = db.write().await.unwrap();
            let other = proof::organise(sample::event_id());
            assert!(!delete(&mut tx, &other, Channel::Email, Kind::Reminder, "pt-br").await.unwrap());
            assert!(delete(&mut tx, &allowed, Channel::Email, Kind::Reminder, "pt-br").await.unwrap());
            assert!(!delete(&mut tx, &allowed, Channel::Email, Kind::Reminder, "pt-br").await.unwrap());
        })
        .await;
    }
}
