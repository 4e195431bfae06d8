//! Who is meant, as requests say it: by name, or by what they have in common.

use serde::Deserialize;
use stagedoor_domain::access::{InvitationState, SeePeople};
use stagedoor_domain::id::{EventId, InvitationId};
use stagedoor_domain::person::Email;
use utoipa::ToSchema;

use super::StateName;
use crate::api::Api;
use crate::api::extract::{Organiser, room};
use crate::api::problem::Problem;
use crate::people;
use crate::ports::db::selection::{self, Filter, Hashes, Reached, Selection};

/// Invitees that are named one by one at most: what fits in a request. A filter has no such limit.
const IDS_MAX: usize = 1_800;
/// Letters of a search at most.
const SEARCH_CHARS_MAX: usize = 200;
/// Languages that a filter may name.
const LANGUAGES_MAX: usize = 20;

/// Some invitees: by their ids, or all who match a filter.
#[derive(Deserialize, ToSchema)]
#[serde(untagged)]
pub(in crate::api) enum SelectionBody {
    /// These, at most 1800.
    Ids {
        /// Which ones.
        #[schema(value_type = Vec<String>, max_items = 1800)]
        ids: Vec<InvitationId>,
    },
    /// All who match when it is carried out.
    Filter {
        /// What they have in common.
        filter: FilterBody,
        /// But not these.
        #[serde(default)]
        #[schema(value_type = Vec<String>, required = false)]
        except: Vec<InvitationId>,
    },
}

/// What invitees have in common; what is absent matches everybody.
#[derive(Default, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
#[schema(as = SelectionFilter)]
pub(in crate::api) struct FilterBody {
    /// Parts of a name, in any order, in any case, with or without accents. A whole telephone number or e-mail address
    /// finds whoever has it, for those who may see people.
    #[schema(max_length = 200)]
    pub(super) search: Option<String>,
    /// Where their invitation stands: one of these.
    #[schema(value_type = Vec<StateName>, required = false)]
    pub(super) states: Vec<InvitationState>,
    /// What they are tagged with: one of these, at most 10.
    #[schema(max_items = 10, required = false)]
    pub(super) tags: Vec<String>,
    /// Their own language: one of these, at most 20.
    #[schema(max_items = 20, required = false)]
    pub(super) languages: Vec<String>,
    /// Whether an organiser keeps them out.
    pub(super) blocked: Option<bool>,
}

impl FilterBody {
    /// What is meant by it when `organiser` asks. `pointer` is where it stands in the request.
    pub(super) fn understood(
        self,
        api: &Api,
        organiser: &Organiser,
        event: EventId,
        pointer: &str,
    ) -> Result<Filter, Problem> {
        let at = |field: &str| format!("{pointer}/{field}");
        let Self { search, mut states, tags, languages, blocked } = self;
        if tags.len() > selection::TAGS_MAX {
            return Err(Problem::field(&at("tags"), "A filter has at most 10 tags."));
        }
        if languages.len() > LANGUAGES_MAX {
            return Err(Problem::field(&at("languages"), "A filter has at most 20 languages."));
        }
        let languages = languages.iter().enumerate().map(|(place, text)| {
            super::language(&format!("{pointer}/languages/{place}"), text)
                .map(|tag| if tag.is_empty() { None } else { Some(tag) })
        });
        let languages: Vec<_> = languages.collect::<Result<Vec<_>, _>>()?.into_iter().flatten().collect();
        states.sort_unstable_by_key(|state| state.as_str());
        states.dedup();
        let search = search.map(|text| text.trim().to_owned()).filter(|text| !text.is_empty());
        if search.as_ref().is_some_and(|text| text.chars().count() > SEARCH_CHARS_MAX) {
            return Err(Problem::field(&at("search"), "This is longer than any name."));
        }
        let contact = match &search {
            Some(text) if organiser.may(api, SeePeople { event }).is_ok() => reached(api, event, text)?,
            _ => None,
        };
        let search = search.filter(|_| contact.is_none());
        Ok(Filter { search, contact, states, tags, languages, blocked })
    }
}

/// What a whole number or address is looked up by.
fn reached(api: &Api, event: EventId, text: &str) -> Result<Option<Reached>, Problem> {
    if let Ok(email) = text.parse::<Email>() {
        return Ok(Some(Reached::Email(Hashes::new(api.access.email_hashes(&email)))));
    }
    if text.chars().any(char::is_alphabetic) {
        return Ok(None);
    }
    let country = room(api, event)?.policy().messages.default_country;
    let hashes = |phone| Hashes::new(api.access.phone_hashes_of_rows(&phone));
    Ok(people::normalise(text, country).map(|phone| Reached::Phone(hashes(phone))))
}

impl SelectionBody {
    /// Who is meant by it when `organiser` asks.
    pub(in crate::api) fn understood(
        self,
        api: &Api,
        organiser: &Organiser,
        event: EventId,
    ) -> Result<Selection, Problem> {
        let too_many = || Problem::field("/selection", "Name at most 1800 people, or use a filter.");
        match self {
            Self::Ids { ids } if ids.len() > IDS_MAX => Err(too_many()),
            Self::Ids { ids } => Ok(Selection::Ids { ids }),
            Self::Filter { except, .. } if except.len() > IDS_MAX => Err(too_many()),
            Self::Filter { filter, except } => {
                let filter = filter.understood(api, organiser, event, "/selection/filter")?;
                Ok(Selection::Filter { filter, except })
            }
        }
    }
}
