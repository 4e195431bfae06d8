//! Some of an event's invitees, by name or by what they have in common.

use serde::{Deserialize, Serialize};
use stagedoor_domain::access::InvitationState;
use stagedoor_domain::id::{EventId, InvitationId};

use super::{Db, DbError, Value};

/// Who is meant.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Selection {
    /// These.
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
pub struct Filter {
    /// Part of their name, in any case.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub search: Option<String>,
    /// Where their invitation stands.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state: Option<InvitationState>,
    /// What they are tagged with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tag: Option<String>,
}

/// Some of a selection, in the order of their ids.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page {
    /// Who.
    pub ids: Vec<InvitationId>,
    /// After whom to go on; `None` when that was all.
    pub next: Option<InvitationId>,
}

macro_rules! matching {
    ($what:literal, $rest:literal) => {
        concat!(
            "SELECT ",
            $what,
            " FROM invitations i WHERE i.event_id = $1 AND i.id > $2 AND i.name_folded LIKE $3 ESCAPE '!'
             AND (CAST($4 AS TEXT) IS NULL OR i.state = $4)
             AND (CAST($5 AS TEXT) IS NULL OR EXISTS (SELECT 1 FROM invitation_tags t
                 WHERE t.event_id = $1 AND t.tag = $5 AND t.invitation_id = i.id)) ",
            $rest
        )
    };
}

fn matching_args(event: EventId, filter: &Filter, after: Option<InvitationId>) -> [Value; 5] {
    let mut pattern = String::from("%");
    for letter in filter.search.as_deref().unwrap_or_default().trim().to_lowercase().chars() {
        if matches!(letter, '%' | '_' | '!') {
            pattern.push('!');
        }
        pattern.push(letter);
    }
    pattern.push('%');
    let after = after.map_or(String::new(), |id| id.to_string());
    [
        event.into(),
        after.into(),
        pattern.into(),
        filter.state.map(InvitationState::as_str).into(),
        filter.tag.as_deref().into(),
    ]
}

/// The next `limit` of a selection after `after`.
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
    let most = usize::try_from(limit).unwrap_or(usize::MAX);
    let (mut ids, except): (Vec<InvitationId>, &[InvitationId]) = match selection {
        Selection::Ids { ids } => {
            let mut ids: Vec<_> = ids.iter().copied().filter(|id| after.is_none_or(|after| *id > after)).collect();
            ids.sort_unstable();
            ids.dedup();
            ids.truncate(most);
            (ids, &[])
        }
        Selection::Filter { filter, except } => {
            let sql = matching!("i.id", "ORDER BY i.id LIMIT $6");
            let args = matching_args(event, filter, after).into_iter().chain([limit.into()]);
            let rows = db.all(sql, args).await?;
            (rows.iter().map(|row| row.parse("id")).collect::<Result<_, _>>()?, except)
        }
    };
    let next = if ids.len() == most { ids.last().copied() } else { None };
    ids.retain(|id| !except.contains(id));
    Ok(Page { ids, next })
}

/// How many a selection has now.
///
/// # Errors
///
/// Any [`DbError`] of a statement.
pub async fn count(db: &Db, event: EventId, selection: &Selection) -> Result<u64, DbError> {
    match selection {
        Selection::Ids { ids } => Ok(ids.len() as u64),
        Selection::Filter { filter, except } => {
            let row = db.one(matching!("COUNT(*) AS n", ""), matching_args(event, filter, None)).await?;
            let all = row.map_or(Ok(0), |row| row.count("n"))?;
            Ok(all.saturating_sub(except.len() as u64))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{both, sample};
    use super::*;

    fn filter(search: Option<&str>, state: Option<InvitationState>, tag: Option<&str>) -> Selection {
        let filter = Filter { search: search.map(str::to_owned), state, tag: tag.map(str::to_owned) };
        Selection::Filter { filter, except: Vec::new() }
    }

    #[tokio::test]
    async fn everybody_who_matches_is_met_once_page_by_page() {
        both(async |db| {
            let event = sample::event(&db).await.id;
            let mut all = Vec::new();
            for (number, name) in ["Ada", "Bob", "adam", "100% Eve", "Zoë"].into_iter().enumerate() {
                all.push(sample::invitation_named(&db, event, name, u8::try_from(number).unwrap()).await.id);
            }
            let elsewhere = sample::event(&db).await.id;
            sample::invitation_named(&db, elsewhere, "Ada", 99).await;
            let mut tx = db.write().await.unwrap();
            let tag = "INSERT INTO invitation_tags (event_id, tag, invitation_id) VALUES ($1, 'vip', $2)";
            tx.execute(tag, [event.into(), all[1].into()]).await.unwrap();
            tx.commit().await.unwrap();

            let everybody = filter(None, None, None);
            let mut met = Vec::new();
            let mut after = None;
            loop {
                let page = page(&db, event, &everybody, after, 2).await.unwrap();
                met.extend(page.ids);
                after = page.next;
                if after.is_none() {
                    break;
                }
            }
            assert_eq!(met, all);
            assert_eq!(count(&db, event, &everybody).await.unwrap(), 5);
            for (selection, expected) in [
                (filter(Some("ADA"), None, None), vec![all[0], all[2]]),
                (filter(Some("%"), None, None), vec![all[3]]),
                (filter(None, Some(InvitationState::Sent), None), vec![]),
                (filter(None, Some(InvitationState::Created), Some("vip")), vec![all[1]]),
                (Selection::Ids { ids: vec![all[4], all[0], all[4]] }, vec![all[0], all[4]]),
            ] {
                let found = page(&db, event, &selection, None, 9).await.unwrap();
                assert_eq!((found.ids, found.next), (expected, None), "{selection:?}");
            }
            let but = Selection::Filter { filter: Filter::default(), except: vec![all[0], all[1]] };
            let first = page(&db, event, &but, None, 2).await.unwrap();
            assert_eq!((first.ids, first.next), (vec![], Some(all[1])), "an empty page is not the end");
            assert_eq!(count(&db, event, &but).await.unwrap(), 3);
        })
        .await;
    }

    #[test]
    fn a_selection_survives_its_json() {
        for json in
            [r#"{"ids":[]}"#, r#"{"filter":{},"except":[]}"#, r#"{"filter":{"state":"sent","tag":"a"},"except":[]}"#]
        {
            let selection: Selection = serde_json::from_str(json).unwrap();
            assert_eq!(serde_json::to_string(&selection).unwrap(), json);
        }
        assert!(serde_json::from_str::<Selection>("{}").is_err());
    }
}
