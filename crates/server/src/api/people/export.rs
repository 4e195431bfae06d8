//! Taking a list away.

use axum::body::{Body as HttpBody, Bytes};
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use futures_util::stream;
use http::header::{CACHE_CONTROL, CONTENT_DISPOSITION, CONTENT_TYPE};
use serde::Deserialize;
use stagedoor_domain::access::Export;
use stagedoor_domain::id::{EventId, InvitationId};
use utoipa::{IntoParams, ToSchema};

use super::list::{Wanted, several};
use super::unreadable;
use crate::api::Api;
use crate::api::extract::{Organiser, Path, Queries, room};
use crate::api::problem::{Body, Problem};
use crate::people::{ExportError, Form};
use crate::ports::db::selection::Selection;

/// Invitees that are named one by one at most: what fits into the head of a request. A filter has no such limit.
const IDS_MAX: usize = 400;

/// As what a list is taken away.
#[derive(Clone, Copy, Default, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
#[schema(as = ExportFormat)]
pub(in crate::api) enum Format {
    /// Comma-separated values in UTF-8, for programs.
    #[default]
    Csv,
    /// An Excel workbook, for people: every cell is text.
    Xlsx,
}

impl Format {
    fn form(self) -> Form {
        match self {
            Self::Csv => Form::Csv,
            Self::Xlsx => Form::Workbook,
        }
    }

    /// The kind of the file, and what it is called.
    fn headers(self) -> (&'static str, &'static str) {
        match self {
            Self::Csv => ("text/csv; charset=utf-8", "attachment; filename=\"invitees.csv\""),
            Self::Xlsx => (
                "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
                "attachment; filename=\"invitees.xlsx\"",
            ),
        }
    }
}

/// As what, and whom instead of those who match.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(in crate::api) struct Taken {
    /// By default `csv`.
    #[param(inline)]
    format: Option<Format>,
    /// These and nobody else, at most 400; then nothing else says whom.
    #[param(example = "inv_01kaf3x6m8e9t8s2v4w6y8z0ab,inv_01kaf3x6m8e9t8s2v4w6y8z0ac")]
    ids: Option<String>,
    /// Who matches, but not these, at most 400.
    except: Option<String>,
}

fn people(pointer: &str, text: Option<&str>) -> Result<Vec<InvitationId>, Problem> {
    if several(text).count() > IDS_MAX {
        return Err(Problem::field(pointer, "Name at most 400 people, or use a filter."));
    }
    let ids = several(text).map(str::parse).collect::<Result<_, _>>();
    ids.map_err(|_| Problem::field(pointer, "These are not ids of invitations, with commas between them."))
}

/// Take a list of invitees away: names, telephone numbers, addresses and notes in the clear, tags, where each invitation
/// stands and since when; never a code. Every time is written to the log of facts before the first byte is sent. Who was
/// erased is not in it. An answer that breaks off is not the whole list.
///
/// In CSV, a cell that a spreadsheet could compute (a telephone number is one, because of its `+`) has an apostrophe in
/// front, which an import takes away again.
#[utoipa::path(get, path = "/api/v1/events/{event}/invitations/export", operation_id = "export_invitations",
    tag = "people", params(("event" = String, Path), Wanted, Taken),
    security(("organiser_cookie" = []), ("api_token" = [])),
    responses(
        (status = 200, description = "The list", content(
            (String = "text/csv"),
            (Vec<u8> = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"),
        )),
        (status = 404, body = Body), (status = 422, body = Body), (status = "default", body = Body),
    ))]
pub(in crate::api) async fn export(
    State(api): State<Api>,
    organiser: Organiser,
    Path(event): Path<EventId>,
    Queries(wanted, taken): Queries<Wanted, Taken>,
) -> Result<Response, Problem> {
    let allowed = organiser.may(&api, Export { event })?;
    room(&api, event)?;
    let (ids, except) = (people("/ids", taken.ids.as_deref())?, people("/except", taken.except.as_deref())?);
    let filter = wanted.understood(&api, &organiser, event)?;
    let selection = match taken.ids {
        Some(_) if !filter.is_empty() || !except.is_empty() => {
            return Err(Problem::field("/ids", "Either name people, or say what they have in common."));
        }
        Some(_) => Selection::Ids { ids },
        None => Selection::Filter { filter, except },
    };
    let format = taken.format.unwrap_or_default();
    let list = api.people.export(allowed, organiser.0.actor, selection, format.form()).await;
    let list = list.map_err(|error| match error {
        ExportError::TooMany => {
            let detail = "A workbook holds 1,048,575 people. Use CSV, or a filter.";
            Problem::field("/format", detail)
        }
        ExportError::Contact(error) => unreadable(error),
        ExportError::Workbook(error) => {
            tracing::error!(%error, "a list of invitees cannot be begun");
            Problem::internal()
        }
    })?;
    // What goes wrong from here on can only be told by breaking off.
    let pieces = stream::try_unfold(list, async |mut list| {
        let piece = list.piece().await.inspect_err(|error| {
            tracing::error!(error = error as &dyn std::error::Error, "a list of invitees breaks off");
        })?;
        Ok::<_, ExportError>(piece.map(|piece| (Bytes::from(piece), list)))
    });
    let (kind, name) = format.headers();
    let headers = [(CONTENT_TYPE, kind), (CONTENT_DISPOSITION, name), (CACHE_CONTROL, "no-store")];
    Ok((headers, HttpBody::from_stream(pieces)).into_response())
}
