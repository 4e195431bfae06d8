//! Some of an event's invitees, by name or by what they have in common: what every list, count and act on many asks.
//!
//! One text answers every filter: it walks `invitations_by_name`, which holds all that a filter looks at. A whole number or
//! address has a text of its own that begins at its own index. So has a tag, whose people stand in the order of their ids
//! too: a page of them is read from there as far as it goes, while all of them are counted beside the walk.

use serde::{Deserialize, Serialize};
use stagedoor_domain::access::{Digest, InvitationState};
use stagedoor_domain::id::{EventId, InvitationId};

use super::fold::fold;
use super::{Db, DbError, Value, before};

/// Words of a search that are looked for one by one; what follows them is one more.
const WORDS: usize = 4;
/// Tags that a filter may name.
pub const TAGS_MAX: usize = 10;
/// Ids that are looked up with one statement.
const IDS: usize = 50;

/// Who is meant.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Selection {
    /// These, as far as they are invited to the event.
    Ids {
        /// Which ones.
        ids: Vec<InvitationId>,
    },
    /// All who match, whoever they are when it is asked.
    Filter {
        /// What they have in common.
        filter: Filter,
        /// But not these.
        #[serde(default)]
        except: Vec<InvitationId>,
    },
}

/// What invitees have in common; what is absent matches everybody.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Filter {
    /// Parts of their name, in any order, in any case, with or without accents.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub search: Option<String>,
    /// How they are reached: the number or address itself is in no filter, and so in no row that keeps one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub contact: Option<Reached>,
    /// Where their invitation stands: one of these.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub states: Vec<InvitationState>,
    /// What they are tagged with: one of these at least, of which there are at most [`TAGS_MAX`].
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<String>,
    /// Their own language, as a BCP 47 tag: one of these.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub languages: Vec<String>,
    /// Whether an organiser keeps them out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub blocked: Option<bool>,
}

/// The keyed hashes of a whole number or address.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Reached {
    /// Of a telephone number.
    Phone(Hashes),
    /// Of an e-mail address.
    Email(Hashes),
}

/// Under which a row may be found: the present one, and older ones while rows move to it. At most [`Hashes::MAX`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Written")]
pub struct Hashes(Vec<Digest>);

/// As rows keep them: one alone, in those that were written when there was one.
#[derive(Deserialize)]
#[serde(untagged)]
enum Written {
    One(Digest),
    Several(Vec<Digest>),
}

impl From<Written> for Hashes {
    fn from(written: Written) -> Self {
        match written {
            Written::One(hash) => Self(vec![hash]),
            Written::Several(hashes) => Self(hashes),
        }
    }
}

impl Hashes {
    /// As many keys as there may be, beside which a row finds none.
    pub const MAX: usize = 8;

    /// These, the present one first; what is more than [`MAX`](Self::MAX) is left away.
    #[must_use]
    pub fn new(mut hashes: Vec<Digest>) -> Self {
        hashes.truncate(Self::MAX);
        Self(hashes)
    }
}

/// Some of a selection, in the order of their ids.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page {
    /// Who.
    pub ids: Vec<InvitationId>,
    /// After whom to go on; `None` when that was all.
    pub next: Option<InvitationId>,
}

macro_rules! reached {
    ($column:literal) => {
        concat!(
            "AND i.",
            $column,
            " IN ($11, $22, $23, $24, $25, $26, $27, $28)
             AND (CAST($12 AS TEXT) IS NULL OR EXISTS (SELECT 1 FROM invitation_tags t
             WHERE t.event_id = $1 AND t.invitation_id = i.id
             AND t.tag IN ($12, $13, $14, $15, $16, $17, $18, $19, $20, $21)))"
        )
    };
}

macro_rules! text {
    ($what:literal, $besides:expr, $rest:literal) => {
        text!($what, "invitations i WHERE", $besides, $rest)
    };
    ($what:literal, $from:literal, $besides:expr, $rest:literal) => {
        concat!(
            "SELECT ",
            $what,
            " FROM ",
            $from,
            " i.event_id = $1
             AND (CAST($4 AS TEXT) IS NULL OR i.name_folded LIKE $4 ESCAPE '!')
             AND (CAST($5 AS TEXT) IS NULL OR i.name_folded LIKE $5 ESCAPE '!')
             AND (CAST($6 AS TEXT) IS NULL OR i.name_folded LIKE $6 ESCAPE '!')
             AND (CAST($7 AS TEXT) IS NULL OR i.name_folded LIKE $7 ESCAPE '!')
             AND (CAST($8 AS TEXT) IS NULL OR $8 LIKE '% ' || i.state || ' %')
             AND (CAST($9 AS TEXT) IS NULL OR $9 LIKE '% ' || i.language || ' %')
             AND (CAST($10 AS BIGINT) IS NULL OR (i.blocked_at IS NOT NULL) = ($10 = 1)) ",
            $besides,
            " ",
            $rest
        )
    };
}

/// The same question in five texts: for everybody, for those with one of several tags, for those with a number, for those
/// with an address, for those with a tag.
type Texts = [&'static str; 5];

macro_rules! texts {
    ($what:literal, $rest:literal, $tagged:expr) => {
        [
            text!($what, "", $rest),
            text!(
                $what,
                "AND i.id IN (SELECT t.invitation_id FROM invitation_tags t WHERE t.event_id = $1
                AND t.tag IN ($11, $12, $13, $14, $15, $16, $17, $18, $19, $20))",
                $rest
            ),
            text!($what, reached!("phone_hash"), $rest),
            text!($what, reached!("email_hash"), $rest),
            $tagged,
        ]
    };
}

/// Ids of those with a tag. Cross joined, because SQLite then begins with the first table.
macro_rules! tagged {
    ($rest:literal) => {
        text!(
            "i.id AS id",
            "invitation_tags t CROSS JOIN invitations i WHERE i.event_id = t.event_id AND i.id = t.invitation_id AND",
            "AND t.event_id = $1 AND t.tag = $11",
            $rest
        )
    };
}

/// Some ids of an event.
macro_rules! these {
    ($besides:literal) => {
        concat!(
            "SELECT id FROM invitations WHERE event_id = $1 AND id IN ($2, $3, $4, $5, $6, $7, $8, $9, $10, $11,
             $12, $13, $14, $15, $16, $17, $18, $19, $20, $21, $22, $23, $24, $25, $26, $27, $28, $29, $30, $31, $32, $33,
             $34, $35, $36, $37, $38, $39, $40, $41, $42, $43, $44, $45, $46, $47, $48, $49, $50, $51) ",
            $besides,
            " ORDER BY id"
        )
    };
}

/// How people are read, oldest first: by a filter, and by their ids.
struct Oldest {
    matching: Texts,
    these: &'static str,
}

const INVITED: Oldest = Oldest {
    matching: texts!(
        "i.id AS id",
        "AND i.id > $2 ORDER BY i.id LIMIT $3",
        tagged!("AND t.invitation_id > $2 ORDER BY t.invitation_id LIMIT $3")
    ),
    these: these!(""),
};
const REMEMBERED: Oldest = Oldest {
    matching: texts!(
        "i.id AS id",
        "AND i.erased_at IS NULL AND i.id > $2 ORDER BY i.id LIMIT $3",
        tagged!("AND i.erased_at IS NULL AND t.invitation_id > $2 ORDER BY t.invitation_id LIMIT $3")
    ),
    these: these!("AND erased_at IS NULL"),
};
const NEWEST: Texts = texts!(
    "i.id AS id",
    "AND i.id < $2 ORDER BY i.id DESC LIMIT $3",
    tagged!("AND t.invitation_id < $2 ORDER BY t.invitation_id DESC LIMIT $3")
);
const BY_STATE: Texts = texts!(
    "i.state AS state, COUNT(*) AS n",
    "AND i.id > $2 GROUP BY i.state LIMIT $3",
    text!(
        "i.state AS state, COUNT(*) AS n",
        "AND i.id IN (SELECT t.invitation_id FROM invitation_tags t WHERE t.event_id = $1 AND t.tag = $11)",
        "AND i.id > $2 GROUP BY i.state LIMIT $3"
    )
);

/// The same of everybody: in the order of `invitations_by_state`.
const ALL_BY_STATE: &str = "SELECT state, COUNT(*) AS n FROM invitations WHERE event_id = $1 GROUP BY state LIMIT $2";

/// Rows of an answer by state: there are fewer states.
const STATES: u32 = 100;

impl Filter {
    /// Whoever's name has all words of `search` in it.
    #[must_use]
    pub fn named(search: &str) -> Self {
        Self { search: Some(search.to_owned()), ..Self::default() }
    }

    /// Whether it matches everybody.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// The text of `texts` that answers this filter, and its arguments.
    fn asked(
        &self,
        texts: Texts,
        event: EventId,
        bound: Option<InvitationId>,
        limit: u32,
    ) -> (&'static str, Vec<Value>) {
        let mut args: Vec<Value> = vec![event.into(), bound.map_or(String::new(), |id| id.to_string()).into()];
        args.push(limit.into());
        let folded = self.search.as_deref().map(fold).unwrap_or_default();
        let mut words = folded.trim().splitn(WORDS, char::is_whitespace).map(str::trim).filter(|word| !word.is_empty());
        args.extend((0..WORDS).map(|_| Value::from(words.next().map(containing))));
        let states = self.states.iter().map(|state| state.as_str());
        args.push(one_of(states).into());
        args.push(one_of(self.languages.iter().map(String::as_str)).into());
        args.push(self.blocked.map(i64::from).into());
        let (text, hashes) = match (&self.contact, self.tags.is_empty()) {
            (Some(Reached::Phone(hashes)), _) => (texts[2], Some(hashes)),
            (Some(Reached::Email(hashes)), _) => (texts[3], Some(hashes)),
            (None, false) if self.tags.len() > 1 => (texts[1], None),
            (None, false) => {
                args.extend(self.tags.first().map(|tag| tag.as_str().into()));
                return (texts[4], args);
            }
            (None, true) => return (texts[0], args),
        };
        // What is missing is filled up with the last one; without any, nobody is found.
        let last = hashes.and_then(|Hashes(hashes)| hashes.last()).copied();
        let mut hashes = hashes.map(|Hashes(hashes)| {
            let all = hashes.iter().copied().map(Some).chain(std::iter::repeat(last));
            all.take(Hashes::MAX).map(Value::from).collect::<Vec<_>>().into_iter()
        });
        args.extend(hashes.as_mut().and_then(Iterator::next));
        let last = self.tags.last().map(String::as_str);
        let tags = self.tags.iter().map(|tag| Some(tag.as_str())).chain(std::iter::repeat(last));
        args.extend(tags.take(TAGS_MAX).map(Value::from));
        args.extend(hashes.into_iter().flatten());
        (text, args)
    }
}

/// A pattern that matches every text with `word` in it.
fn containing(word: &str) -> String {
    let mut pattern = String::from("%");
    for letter in word.chars() {
        if matches!(letter, '%' | '_' | '!') {
            pattern.push('!');
        }
        pattern.push(letter);
    }
    pattern.push('%');
    pattern
}

/// Names with a space before and after each; none at all for none.
fn one_of<'a>(names: impl Iterator<Item = &'a str>) -> Option<String> {
    let text = names.fold(String::from(" "), |text, name| text + name + " ");
    (text.len() > 1).then_some(text)
}

/// The next `limit` of a selection after `after`, oldest first.
///
/// # Errors
///
/// Any [`DbError`] of a statement.
pub async fn page(
    db: &Db,
    event: EventId,
    selection: &Selection,
    after: Option<InvitationId>,
    limit: u32,
) -> Result<Page, DbError> {
    oldest(db, event, &INVITED, selection, after, limit).await
}

/// As [`page`], without those who were forgotten.
///
/// # Errors
///
/// Any [`DbError`] of a statement.
pub async fn remembered(
    db: &Db,
    event: EventId,
    selection: &Selection,
    after: Option<InvitationId>,
    limit: u32,
) -> Result<Page, DbError> {
    oldest(db, event, &REMEMBERED, selection, after, limit).await
}

async fn oldest(
    db: &Db,
    event: EventId,
    texts: &Oldest,
    selection: &Selection,
    after: Option<InvitationId>,
    limit: u32,
) -> Result<Page, DbError> {
    let most = usize::try_from(limit).unwrap_or(usize::MAX);
    match selection {
        Selection::Ids { ids } => {
            let mut ids: Vec<_> = ids.iter().copied().filter(|id| after.is_none_or(|after| *id > after)).collect();
            ids.sort_unstable();
            ids.dedup();
            let next = (ids.len() > most).then(|| ids[most - 1]);
            ids.truncate(most);
            Ok(Page { ids: known(db, event, texts.these, &ids).await?, next })
        }
        Selection::Filter { filter, except } => {
            let (sql, args) = filter.asked(texts.matching, event, after, limit);
            let rows = db.all_planned(sql, args).await?;
            let mut ids = rows.iter().map(|row| row.parse("id")).collect::<Result<Vec<_>, _>>()?;
            let next = if ids.len() == most { ids.last().copied() } else { None };
            ids.retain(|id| !except.contains(id));
            Ok(Page { ids, next })
        }
    }
}

/// Those of `ids` whom `sql` knows, in their order.
async fn known(db: &Db, event: EventId, sql: &'static str, ids: &[InvitationId]) -> Result<Vec<InvitationId>, DbError> {
    let mut known = Vec::with_capacity(ids.len());
    for some in ids.chunks(IDS) {
        let Some(last) = some.last() else { continue };
        let some = some.iter().chain(std::iter::repeat(last)).take(IDS).map(|id| Value::from(*id));
        for row in db.all(sql, std::iter::once(event.into()).chain(some)).await? {
            known.push(row.parse("id")?);
        }
    }
    Ok(known)
}

/// Those who match, newest first, from below `cursor` on.
///
/// # Errors
///
/// Any [`DbError`] of a statement.
pub async fn newest(
    db: &Db,
    event: EventId,
    filter: &Filter,
    cursor: Option<InvitationId>,
    limit: u32,
) -> Result<Vec<InvitationId>, DbError> {
    let (sql, args) = filter.asked(NEWEST, event, Some(before(cursor, InvitationId::new)), limit);
    db.all_planned(sql, args).await?.iter().map(|row| row.parse("id")).collect()
}

/// How many of those who match stand where.
///
/// # Errors
///
/// Any [`DbError`] of a statement.
pub async fn by_state(db: &Db, event: EventId, filter: &Filter) -> Result<Vec<(InvitationState, u64)>, DbError> {
    let rows = if filter.is_empty() {
        db.all(ALL_BY_STATE, [event.into(), STATES.into()]).await?
    } else {
        let (sql, args) = filter.asked(BY_STATE, event, None, STATES);
        db.all_planned(sql, args).await?
    };
    rows.iter().map(|row| Ok((row.known("state", InvitationState::from_name)?, row.count("n")?))).collect()
}

/// How many a selection has now.
///
/// # Errors
///
/// Any [`DbError`] of a statement.
pub async fn count(db: &Db, event: EventId, selection: &Selection) -> Result<u64, DbError> {
    match selection {
        Selection::Ids { ids } => {
            let mut ids = ids.clone();
            ids.sort_unstable();
            ids.dedup();
            Ok(known(db, event, INVITED.these, &ids).await?.len() as u64)
        }
        Selection::Filter { filter, except } => {
            let all: u64 = by_state(db, event, filter).await?.iter().map(|(_, n)| n).sum();
            Ok(all.saturating_sub(except.len() as u64))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{both, proof, sample};
    use super::super::{invitation_tags, invitations};
    use super::*;
    use stagedoor_domain::Time;

    fn everybody() -> Selection {
        Selection::Filter { filter: Filter::default(), except: Vec::new() }
    }

    async fn find(db: &Db, event: EventId, filter: Filter) -> Vec<InvitationId> {
        let newest = newest(db, event, &filter, None, 99).await.unwrap();
        let counted: u64 = by_state(db, event, &filter).await.unwrap().iter().map(|(_, n)| n).sum();
        let selection = Selection::Filter { filter, except: Vec::new() };
        let page = page(db, event, &selection, None, 99).await.unwrap();
        assert_eq!(page.next, None);
        assert_eq!(newest.iter().rev().copied().collect::<Vec<_>>(), page.ids, "{selection:?}");
        assert_eq!((counted, count(db, event, &selection).await.unwrap()), (page.ids.len() as u64, counted));
        page.ids
    }

    #[tokio::test]
    async fn everybody_is_met_once_page_by_page_in_both_directions() {
        both(async |db| {
            let event = sample::event(&db).await.id;
            let mut all = Vec::new();
            for number in 0..5 {
                all.push(sample::invitation_named(&db, event, "Ada", number).await.id);
            }
            let elsewhere = sample::event(&db).await.id;
            let other = sample::invitation_named(&db, elsewhere, "Ada", 99).await.id;
            let (mut up, mut after) = (Vec::new(), None);
            loop {
                let page = page(&db, event, &everybody(), after, 2).await.unwrap();
                up.extend(page.ids);
                after = page.next;
                if after.is_none() {
                    break;
                }
            }
            assert_eq!(up, all);
            let (mut down, mut cursor) = (Vec::new(), None);
            loop {
                let page = newest(&db, event, &Filter::default(), cursor, 2).await.unwrap();
                down.extend(page.iter().copied());
                cursor = page.last().copied();
                if page.len() < 2 {
                    break;
                }
            }
            down.reverse();
            assert_eq!(down, all);
            assert_eq!(count(&db, event, &everybody()).await.unwrap(), 5);

            let but = Selection::Filter { filter: Filter::default(), except: vec![all[0], all[1]] };
            let first = page(&db, event, &but, None, 2).await.unwrap();
            assert_eq!((first.ids, first.next), (vec![], Some(all[1])), "an empty page is not the end");
            assert_eq!(count(&db, event, &but).await.unwrap(), 3);
            // Of those who are named only those who are invited here, each once; pages may be empty.
            let named = Selection::Ids { ids: vec![all[4], other, all[0], all[4], InvitationId::new(sample::uuid())] };
            let found = page(&db, event, &named, None, 9).await.unwrap();
            assert_eq!((found.ids, found.next), (vec![all[0], all[4]], None));
            assert_eq!(count(&db, event, &named).await.unwrap(), 2);
            let mut met = Vec::new();
            let mut after = None;
            loop {
                let page = page(&db, event, &named, after, 1).await.unwrap();
                met.extend(page.ids);
                after = page.next;
                if after.is_none() {
                    break;
                }
            }
            assert_eq!(met, [all[0], all[4]]);
        })
        .await;
    }

    #[tokio::test]
    async fn a_filter_finds_those_who_have_all_of_it() {
        use InvitationState as S;
        both(async |db| {
            let event = sample::event(&db).await.id;
            let allowed = proof::organise(event);
            let mut all = Vec::new();
            for (number, name) in ["Ada Žižková", "Bob", "adam", "100% Eve", "Zoë Ada a_b !x"].into_iter().enumerate()
            {
                all.push(sample::invitation_named(&db, event, name, u8::try_from(number).unwrap()).await.id);
            }
            let now = Time::from_millis(5);
            let mut tx = db.write().await.unwrap();
            invitation_tags::add(&mut tx, &allowed, &all[1..3], &["vip".into(), "a,b".into()]).await.unwrap();
            invitation_tags::add(&mut tx, &allowed, &all[2..4], &["press".into()]).await.unwrap();
            invitations::set_language(&mut tx, &allowed, all[2], "fr").await.unwrap();
            invitations::set_language(&mut tx, &allowed, all[3], "pt-BR").await.unwrap();
            invitations::advance(&mut tx, all[0], S::Sent, now, "").await.unwrap();
            invitations::advance(&mut tx, all[1], S::Delivered, now, "").await.unwrap();
            let block = "UPDATE invitations SET blocked_at = 1, phone_hash = $1, email_hash = $2 WHERE id = $3";
            tx.execute(block, [[8; 32].into(), [9; 32].into(), all[2].into()]).await.unwrap();
            tx.commit().await.unwrap();

            let found = async |filter: Filter| find(&db, event, filter).await;
            for (search, expected) in [
                ("", vec![0, 1, 2, 3, 4]),
                ("ada", vec![0, 2, 4]),
                ("ŽIŽKOVÁ", vec![0]),
                ("zizk ADA", vec![0]),
                ("ada zoe", vec![4]),
                ("a b  c d", vec![]),
                ("a d a m", vec![2]),
                ("x ada zoe a_b ", vec![4]),
                ("0%", vec![3]),
                ("%", vec![3]),
                ("_", vec![4]),
                ("!", vec![4]),
                ("'; DROP TABLE invitations; --", vec![]),
            ] {
                let expected: Vec<_> = expected.into_iter().map(|at: usize| all[at]).collect();
                assert_eq!(found(Filter::named(search)).await, expected, "{search}");
            }
            // Under seven newer keys there is nobody; rows have not moved yet.
            let older = |hash: u8| Reached::Phone(Hashes::new((1..=hash).map(|byte| [byte; 32]).collect()));
            let tags = |tags: &[&str]| tags.iter().map(|tag| (*tag).to_owned()).collect::<Vec<_>>();
            for (filter, expected) in [
                (Filter { states: vec![S::Sent, S::Delivered], ..Filter::default() }, vec![0, 1]),
                (Filter { states: vec![S::Sent, S::Revoked], ..Filter::default() }, vec![0]),
                (Filter { tags: tags(&["vip"]), ..Filter::default() }, vec![1, 2]),
                (Filter { tags: tags(&["vip", "press"]), ..Filter::default() }, vec![1, 2, 3]),
                (Filter { tags: tags(&["a,b"]), states: vec![S::Delivered], ..Filter::default() }, vec![1]),
                (Filter { tags: tags(&["vi_", "%"]), ..Filter::default() }, vec![]),
                (Filter { languages: tags(&["fr", "pt-BR"]), ..Filter::default() }, vec![2, 3]),
                (Filter { languages: tags(&["pt"]), ..Filter::default() }, vec![]),
                (Filter { blocked: Some(true), ..Filter::default() }, vec![2]),
                (Filter { blocked: Some(false), search: Some("ada".into()), ..Filter::default() }, vec![0, 4]),
                (Filter { contact: Some(Reached::Phone(Hashes::new(vec![[8; 32]]))), ..Filter::default() }, vec![2]),
                (Filter { contact: Some(Reached::Email(Hashes::new(vec![[9; 32]]))), ..Filter::default() }, vec![2]),
                (Filter { contact: Some(Reached::Phone(Hashes::new(vec![[9; 32]]))), ..Filter::default() }, vec![]),
                (Filter { contact: Some(older(8)), ..Filter::default() }, vec![2]),
                (Filter { contact: Some(Reached::Phone(Hashes::new(vec![]))), ..Filter::default() }, vec![]),
                (
                    Filter {
                        contact: Some(Reached::Phone(Hashes::new(vec![[8; 32]]))),
                        tags: tags(&["press"]),
                        ..Filter::default()
                    },
                    vec![2],
                ),
                (
                    Filter {
                        contact: Some(Reached::Email(Hashes::new(vec![[9; 32]]))),
                        tags: tags(&["x"]),
                        ..Filter::default()
                    },
                    vec![],
                ),
            ] {
                let expected: Vec<_> = expected.into_iter().map(|at: usize| all[at]).collect();
                assert_eq!(found(filter.clone()).await, expected, "{filter:?}");
            }
            let mut states = by_state(&db, event, &Filter::default()).await.unwrap();
            states.sort_unstable_by_key(|(state, _)| state.as_str());
            assert_eq!(states, [(S::Created, 3), (S::Delivered, 1), (S::Sent, 1)]);
            if let Db::Sqlite { .. } = &db {
                let sql = "EXPLAIN QUERY PLAN SELECT state, COUNT(*) AS n FROM invitations WHERE event_id = $1 GROUP BY state";
                let plan = db.all(sql, [event.into()]).await.unwrap();
                let plan: Vec<_> = plan.iter().map(|row| row.text("detail").unwrap()).collect();
                assert!(plan.len() == 1 && plan[0].contains("invitations_by_state"), "{plan:?}");
            }
        })
        .await;
    }

    #[test]
    fn a_selection_survives_its_json() {
        for json in [
            r#"{"ids":[]}"#,
            r#"{"filter":{},"except":[]}"#,
            r#"{"filter":{"states":["sent"],"tags":["a"],"blocked":false},"except":[]}"#,
        ] {
            let selection: Selection = serde_json::from_str(json).unwrap();
            assert_eq!(serde_json::to_string(&selection).unwrap(), json);
        }
        assert!(serde_json::from_str::<Selection>("{}").is_err());
        let hash = serde_json::to_string(&[7_u8; 32]).unwrap();
        for (json, hashes) in [(hash.clone(), vec![[7; 32]]), (format!("[{hash},{hash}]"), vec![[7; 32]; 2])] {
            let read: Reached = serde_json::from_str(&format!("{{\"phone\":{json}}}")).unwrap();
            assert_eq!(read, Reached::Phone(Hashes::new(hashes)), "also of rows that know of one");
        }
    }
}
