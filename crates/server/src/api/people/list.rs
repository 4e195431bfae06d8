//! Finding people.

use std::collections::BTreeMap;

use axum::extract::State;
use serde::{Deserialize, Serialize};
use stagedoor_domain::access::{InvitationState, Look};
use stagedoor_domain::id::{EventId, InvitationId};
use utoipa::{IntoParams, ToSchema};

use super::selection::FilterBody;
use super::{Invitation, Shown, views};
use crate::api::Api;
use crate::api::extract::{Json, Organiser, Path, Queries, room};
use crate::api::problem::{Body, Problem};
use crate::ports::db::selection::{self, Filter};
use crate::ports::db::{invitation_tags, invitations};

/// Invitees on one page at most: a screenful of a large monitor many times over.
const LIMIT_MAX: u32 = 500;

/// Whom to look for: what a filter says, with commas between several.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(in crate::api) struct Wanted {
    /// Parts of a name, in any order, in any case, with or without accents. A whole telephone number or e-mail address
    /// finds whoever has it, for those who may see people.
    #[param(max_length = 200)]
    search: Option<String>,
    /// Where their invitation stands: one of these.
    #[param(example = "sent,delivered")]
    states: Option<String>,
    /// What they are tagged with: one of these, at most 10.
    #[param(example = "press,vip")]
    tags: Option<String>,
    /// Their own language: one of these, at most 20.
    #[param(example = "fr,de")]
    languages: Option<String>,
    /// Whether an organiser keeps them out.
    blocked: Option<bool>,
}

pub(super) fn several(text: Option<&str>) -> impl Iterator<Item = &str> {
    text.unwrap_or_default().split(',').map(str::trim).filter(|one| !one.is_empty())
}

impl Wanted {
    pub(super) fn understood(self, api: &Api, organiser: &Organiser, event: EventId) -> Result<Filter, Problem> {
        let state =
            |name| InvitationState::from_name(name).ok_or_else(|| Problem::field("/states", "There is no such state."));
        let states = several(self.states.as_deref()).map(state).collect::<Result<_, _>>()?;
        let texts = |text: Option<String>| several(text.as_deref()).map(str::to_owned).collect();
        let (tags, languages) = (texts(self.tags), texts(self.languages));
        FilterBody { search: self.search, states, tags, languages, blocked: self.blocked }
            .understood(api, organiser, event, "")
    }
}

/// Which part of the list, and in which form.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(in crate::api) struct Part {
    /// Numbers, addresses and notes in the clear: for those who may see people. Each is a line in the log.
    reveal: Option<bool>,
    /// Entries at most: 1 to 500, by default 50.
    #[param(minimum = 1, maximum = 500, default = 50)]
    limit: Option<u32>,
    /// `next_cursor` of the page before.
    cursor: Option<String>,
}

/// A part of the list of invitees.
#[derive(Serialize, ToSchema)]
pub(in crate::api) struct InvitationPage {
    /// The entries, newest first.
    data: Vec<Invitation>,
    /// For the next page; absent on the last one.
    next_cursor: Option<String>,
    /// Invitees who match; on the first page only.
    matching: Option<u64>,
    /// Invitees at all; on the first page only.
    total: Option<u64>,
    /// How many of those who match all but `states` stand where; on the first page only.
    #[schema(value_type = Option<BTreeMap<String, u64>>)]
    by_state: Option<BTreeMap<&'static str, u64>>,
}

/// How many there are.
struct Counted {
    matching: u64,
    total: u64,
    by_state: BTreeMap<&'static str, u64>,
}

async fn counted(api: &Api, event: EventId, filter: &Filter) -> Result<Counted, Problem> {
    let in_any_state = Filter { states: Vec::new(), ..filter.clone() };
    let by_state = selection::by_state(&api.db, event, &in_any_state).await?;
    let is_meant = |state| filter.states.is_empty() || filter.states.contains(state);
    let matching = by_state.iter().filter(|(state, _)| is_meant(state)).map(|(_, n)| n).sum();
    let total = if in_any_state.is_empty() {
        by_state.iter().map(|(_, n)| n).sum()
    } else {
        invitations::count(&api.db, event).await?
    };
    let mut named: BTreeMap<_, _> = InvitationState::ALL.into_iter().map(|state| (state.as_str(), 0)).collect();
    named.extend(by_state.into_iter().map(|(state, n)| (state.as_str(), n)));
    Ok(Counted { matching, total, by_state: named })
}

/// The invitations to an event.
#[utoipa::path(get, path = "/api/v1/events/{event}/invitations", operation_id = "list_invitations", tag = "people",
    params(("event" = String, Path), Wanted, Part), security(("organiser_cookie" = []), ("api_token" = [])),
    responses((status = 200, body = InvitationPage), (status = 422, body = Body), (status = "default", body = Body)))]
pub(in crate::api) async fn list(
    State(api): State<Api>,
    organiser: Organiser,
    Path(event): Path<EventId>,
    Queries(wanted, part): Queries<Wanted, Part>,
) -> Result<Json<InvitationPage>, Problem> {
    let _allowed = organiser.may(&api, Look { event })?;
    room(&api, event)?;
    let limit = match part.limit.unwrap_or(50) {
        limit @ 1..=LIMIT_MAX => limit,
        _ => return Err(Problem::field("/limit", "A page has 1 to 500 entries.")),
    };
    let cursor: Option<InvitationId> = part
        .cursor
        .as_deref()
        .map(str::parse)
        .transpose()
        .map_err(|_| Problem::field("/cursor", "Use next_cursor of the page before."))?;
    let filter = wanted.understood(&api, &organiser, event)?;
    // One too many says that there is more.
    let mut ids = selection::newest(&api.db, event, &filter, cursor, limit + 1).await?;
    let most = usize::try_from(limit).unwrap_or(usize::MAX);
    let more = ids.len() > most;
    ids.truncate(most);
    let next_cursor = ids.last().filter(|_| more).map(InvitationId::to_string);
    let rows = invitations::of_ids(&api.db, &ids).await?;
    let shown = if part.reveal == Some(true) { Shown::Clear } else { Shown::Masked };
    let data = views(&api, &organiser, event, rows, shown).await?;
    let counted = match cursor {
        None => Some(counted(&api, event, &filter).await?),
        Some(_) => None,
    };
    Ok(Json(InvitationPage {
        data,
        next_cursor,
        matching: counted.as_ref().map(|counted| counted.matching),
        total: counted.as_ref().map(|counted| counted.total),
        by_state: counted.map(|counted| counted.by_state),
    }))
}

/// A tag and how many have it.
#[derive(Serialize, ToSchema)]
pub(in crate::api) struct Tag {
    /// The tag.
    tag: String,
    /// Invitees who have it.
    invitations: u64,
}

/// The tags of an event.
#[derive(Serialize, ToSchema)]
pub(in crate::api) struct Tags {
    /// In alphabetical order, the first thousand.
    data: Vec<Tag>,
}

/// The tags that invitees to an event have.
#[utoipa::path(get, path = "/api/v1/events/{event}/invitations/tags", operation_id = "list_tags", tag = "people",
    params(("event" = String, Path)), security(("organiser_cookie" = []), ("api_token" = [])),
    responses((status = 200, body = Tags), (status = "default", body = Body)))]
pub(in crate::api) async fn list_tags(
    State(api): State<Api>,
    organiser: Organiser,
    Path(event): Path<EventId>,
) -> Result<Json<Tags>, Problem> {
    let _allowed = organiser.may(&api, Look { event })?;
    room(&api, event)?;
    let tags = invitation_tags::of_event(&api.db, event).await?;
    let data = tags.into_iter().map(|(tag, invitations)| Tag { tag, invitations }).collect();
    Ok(Json(Tags { data }))
}
