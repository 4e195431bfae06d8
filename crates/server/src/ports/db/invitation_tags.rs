//! Words that organisers put on invitees, to find them together.

use std::collections::HashMap;

use stagedoor_domain::access::{Allowed, Organise};
use stagedoor_domain::id::{EventId, InvitationId};

use super::{Db, DbError, Many, Tx, Value};

/// Tags of an event that are told of at most.
const TOLD_MAX: u32 = 1_000;
/// Invitees whose tags are looked up with one statement.
const IDS: usize = 50;

static ADD: Many = Many::new(
    "INSERT INTO invitation_tags (event_id, tag, invitation_id) VALUES ",
    3,
    " ON CONFLICT (event_id, tag, invitation_id) DO NOTHING",
);

/// Puts tags on people; those who have one keep it.
///
/// # Errors
///
/// Any [`DbError`] of a statement.
pub async fn add(
    tx: &mut Tx,
    allowed: &Allowed<Organise>,
    people: &[InvitationId],
    tags: &[String],
) -> Result<(), DbError> {
    let rows = people
        .iter()
        .flat_map(|id| tags.iter().map(|tag| vec![allowed.event.into(), tag.as_str().into(), (*id).into()]));
    tx.many(&ADD, rows.collect()).await
}

/// Puts tags of their own on each of these people; those who have one keep it.
///
/// # Errors
///
/// Any [`DbError`] of a statement.
pub async fn add_each(
    tx: &mut Tx,
    allowed: &Allowed<Organise>,
    people: &[(InvitationId, Vec<String>)],
) -> Result<(), DbError> {
    let rows = people
        .iter()
        .flat_map(|(id, tags)| tags.iter().map(|tag| vec![allowed.event.into(), tag.as_str().into(), (*id).into()]));
    tx.many(&ADD, rows.collect()).await
}

/// Takes tags off people who have them.
///
/// # Errors
///
/// Any [`DbError`] of a statement.
pub async fn remove(
    tx: &mut Tx,
    allowed: &Allowed<Organise>,
    people: &[InvitationId],
    tags: &[String],
) -> Result<(), DbError> {
    const SQL: &str = "DELETE FROM invitation_tags WHERE event_id = $1 AND tag = $2 AND invitation_id IN ($3, $4, $5, $6,
        $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21, $22, $23, $24, $25, $26, $27, $28, $29, $30,
        $31, $32, $33, $34, $35, $36, $37, $38, $39, $40, $41, $42, $43, $44, $45, $46, $47, $48, $49, $50, $51, $52)";
    for tag in tags {
        for some in people.chunks(IDS) {
            tx.execute(SQL, [allowed.event.into(), tag.as_str().into()].into_iter().chain(filled(some))).await?;
        }
    }
    Ok(())
}

/// Gives somebody exactly these tags.
///
/// # Errors
///
/// Any [`DbError`] of a statement.
pub async fn replace(
    tx: &mut Tx,
    allowed: &Allowed<Organise>,
    invitation: InvitationId,
    tags: &[String],
) -> Result<(), DbError> {
    let sql = "DELETE FROM invitation_tags WHERE invitation_id = $1 AND event_id = $2";
    tx.execute(sql, [invitation.into(), allowed.event.into()]).await?;
    add(tx, allowed, &[invitation], tags).await
}

/// The tags of these people, in alphabetical order; whoever has none is not in it.
///
/// # Errors
///
/// Any [`DbError`] of a statement.
pub async fn of(db: &Db, people: &[InvitationId]) -> Result<HashMap<InvitationId, Vec<String>>, DbError> {
    const SQL: &str = "SELECT invitation_id, tag FROM invitation_tags WHERE invitation_id IN ($1, $2, $3, $4, $5, $6, $7,
        $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21, $22, $23, $24, $25, $26, $27, $28, $29, $30, $31,
        $32, $33, $34, $35, $36, $37, $38, $39, $40, $41, $42, $43, $44, $45, $46, $47, $48, $49, $50)";
    let mut tags: HashMap<InvitationId, Vec<String>> = HashMap::new();
    for some in people.chunks(IDS) {
        for row in db.all(SQL, filled(some)).await? {
            tags.entry(row.parse("invitation_id")?).or_default().push(row.text("tag")?);
        }
    }
    for tags in tags.values_mut() {
        // Here and not by the databases, which put letters in different orders.
        tags.sort_unstable();
    }
    Ok(tags)
}

/// The tags of an event, and how many people have each.
///
/// # Errors
///
/// Any [`DbError`] of a statement.
pub async fn of_event(db: &Db, event: EventId) -> Result<Vec<(String, u64)>, DbError> {
    let sql = "SELECT tag, COUNT(*) AS n FROM invitation_tags WHERE event_id = $1 GROUP BY tag ORDER BY tag LIMIT $2";
    let rows = db.all(sql, [event.into(), TOLD_MAX.into()]).await?;
    let mut tags: Vec<_> =
        rows.iter().map(|row| Ok((row.text("tag")?, row.count("n")?))).collect::<Result<_, DbError>>()?;
    tags.sort_unstable();
    Ok(tags)
}

/// As many arguments as a statement has; the last one again where there are fewer.
fn filled(people: &[InvitationId]) -> impl Iterator<Item = Value> {
    people.iter().chain(people.last().into_iter().cycle()).take(IDS).map(|id| Value::from(*id))
}

#[cfg(test)]
mod tests {
    use super::super::testing::{both, proof, sample};
    use super::*;

    #[tokio::test]
    async fn tags_are_put_on_and_taken_off_in_their_own_event() {
        both(async |db| {
            let event = sample::event(&db).await.id;
            let allowed = proof::organise(event);
            let mut people = Vec::new();
            for number in 0..60 {
                people.push(sample::invitation_named(&db, event, "Ada", number).await.id);
            }
            let tags = |tags: &[&str]| tags.iter().map(|tag| (*tag).to_owned()).collect::<Vec<_>>();
            let mut tx = db.write().await.unwrap();
            add(&mut tx, &allowed, &people, &tags(&["vip", "press"])).await.unwrap();
            add(&mut tx, &allowed, &people[..1], &tags(&["vip"])).await.unwrap();
            remove(&mut tx, &proof::organise(sample::event_id()), &people, &tags(&["vip"])).await.unwrap();
            tx.commit().await.unwrap();
            assert_eq!(of_event(&db, event).await.unwrap(), [("press".to_owned(), 60), ("vip".to_owned(), 60)]);
            let mut tx = db.write().await.unwrap();
            remove(&mut tx, &allowed, &people[..55], &tags(&["vip", "unknown"])).await.unwrap();
            replace(&mut tx, &allowed, people[0], &tags(&["zebra", "Ada"])).await.unwrap();
            replace(&mut tx, &allowed, people[1], &[]).await.unwrap();
            tx.commit().await.unwrap();
            let of = of(&db, &people).await.unwrap();
            assert_eq!((of.len(), of.get(&people[1])), (59, None));
            assert_eq!((&of[&people[0]], &of[&people[59]]), (&tags(&["Ada", "zebra"]), &tags(&["press", "vip"])));
            assert_eq!(of_event(&db, sample::event_id()).await.unwrap(), []);
        })
        .await;
    }
}
