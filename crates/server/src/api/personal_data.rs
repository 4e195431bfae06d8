//! What is known about one invitee: handed out to them, or erased.

use axum::extract::State;
use http::StatusCode;
use serde::Serialize;
use stagedoor_domain::Time;
use stagedoor_domain::access::{Export, Organise};
use stagedoor_domain::id::{EventId, FactId, InvitationId, MessageId, SessionId};
use utoipa::ToSchema;

use super::Api;
use super::extract::{Json, Organiser, Path};
use super::problem::{Body, Problem};
use crate::people::Known;

/// All that is kept about somebody who is invited.
#[derive(Serialize, ToSchema)]
pub(super) struct PersonalData {
    /// The invitation.
    #[schema(value_type = String)]
    invitation: InvitationId,
    /// Who they are.
    name: String,
    /// Their telephone, in E.164.
    phone: Option<String>,
    /// Their e-mail address.
    email: Option<String>,
    /// What organisers noted about them.
    note: String,
    /// A BCP 47 tag; empty for the event's language.
    language: String,
    /// What they are sorted under.
    tags: Vec<String>,
    /// Where their invitation stands.
    state: String,
    /// When they were invited.
    #[schema(value_type = String, format = DateTime)]
    created_at: Time,
    /// When their code was first used.
    #[schema(value_type = Option<String>, format = DateTime)]
    redeemed_at: Option<Time>,
    /// When their invitation was withdrawn.
    #[schema(value_type = Option<String>, format = DateTime)]
    revoked_at: Option<Time>,
    /// Since when an organiser keeps them out.
    #[schema(value_type = Option<String>, format = DateTime)]
    blocked_at: Option<Time>,
    /// Since when they want no text messages.
    #[schema(value_type = Option<String>, format = DateTime)]
    opted_out_at: Option<Time>,
    /// When they were erased.
    #[schema(value_type = Option<String>, format = DateTime)]
    erased_at: Option<Time>,
    /// Whose guest they are.
    #[schema(value_type = Option<String>)]
    guest_of: Option<InvitationId>,
    /// Whom they bring.
    #[schema(value_type = Vec<String>)]
    guests: Vec<InvitationId>,
    /// How their invitation came to where it stands.
    history: Vec<PersonalStep>,
    /// Their visits, oldest first.
    sessions: Vec<PersonalSession>,
    /// What was written to them, oldest first.
    messages: Vec<PersonalMessage>,
    /// The entries of the log that name their invitation.
    #[schema(value_type = Vec<String>)]
    facts: Vec<FactId>,
}

/// A step in the life of an invitation.
#[derive(Serialize, ToSchema)]
pub(super) struct PersonalStep {
    /// Where it stood from then on.
    state: String,
    /// When.
    #[schema(value_type = String, format = DateTime)]
    at: Time,
    /// A few words, or nothing.
    detail: String,
}

/// A visit.
#[derive(Serialize, ToSchema)]
pub(super) struct PersonalSession {
    /// The session.
    #[schema(value_type = String)]
    id: SessionId,
    /// The browser in words.
    device: String,
    /// When it began.
    #[schema(value_type = String, format = DateTime)]
    created_at: Time,
    /// When it was last seen, to the minute.
    #[schema(value_type = String, format = DateTime)]
    last_seen_at: Time,
    /// When it was over.
    #[schema(value_type = Option<String>, format = DateTime)]
    ended_at: Option<Time>,
    /// Why.
    end_reason: Option<String>,
}

/// A message.
#[derive(Serialize, ToSchema)]
pub(super) struct PersonalMessage {
    /// The message.
    #[schema(value_type = String)]
    id: MessageId,
    /// By what it travelled.
    channel: String,
    /// What it was for.
    kind: String,
    /// Where it stands.
    state: String,
    /// When it was made.
    #[schema(value_type = String, format = DateTime)]
    created_at: Time,
    /// When a gateway took it.
    #[schema(value_type = Option<String>, format = DateTime)]
    sent_at: Option<Time>,
    /// To which number or address, as far as it is kept.
    to: Option<String>,
    /// The subject of a letter, as far as it is kept.
    subject: Option<String>,
    /// What it said, as far as it is kept.
    body: Option<String>,
}

impl From<Known> for PersonalData {
    fn from(known: Known) -> Self {
        let Known { invitation, contact, opted_out, tags, history, guests, visits, letters, facts } = known;
        let filled = |text: String| (!text.is_empty()).then_some(text);
        Self {
            invitation: invitation.id,
            name: invitation.name,
            phone: contact.phone.map(|phone| phone.expose().to_owned()),
            email: contact.email.map(|email| email.expose().to_owned()),
            note: contact.note.0,
            language: invitation.language,
            tags,
            state: invitation.state.as_str().to_owned(),
            created_at: invitation.created_at,
            redeemed_at: invitation.redeemed_at,
            revoked_at: invitation.revoked_at,
            blocked_at: invitation.blocked_at,
            opted_out_at: opted_out,
            erased_at: invitation.erased_at,
            guest_of: invitation.guest_of,
            guests,
            history: history
                .into_iter()
                .map(|step| PersonalStep { state: step.state.as_str().to_owned(), at: step.at, detail: step.detail })
                .collect(),
            sessions: visits
                .into_iter()
                .map(|visit| PersonalSession {
                    id: visit.session,
                    device: visit.device,
                    created_at: visit.created_at,
                    last_seen_at: visit.last_seen_at,
                    ended_at: visit.ended_at,
                    end_reason: visit.end_reason,
                })
                .collect(),
            messages: letters
                .into_iter()
                .map(|(letter, written)| {
                    let written = written.unwrap_or_default();
                    PersonalMessage {
                        id: letter.id,
                        channel: letter.channel,
                        kind: letter.kind,
                        state: letter.state,
                        created_at: letter.created_at,
                        sent_at: letter.sent_at,
                        to: filled(written.to),
                        subject: written.subject,
                        body: filled(written.body),
                    }
                })
                .collect(),
            facts,
        }
    }
}

/// Everything that is kept about an invitee, for themself. Every time is written to the log of facts.
#[utoipa::path(get, path = "/api/v1/events/{event}/invitations/{invitation}/personal-data",
    operation_id = "export_personal_data", tag = "people",
    params(("event" = String, Path), ("invitation" = String, Path)),
    security(("organiser_cookie" = []), ("api_token" = [])),
    responses((status = 200, body = PersonalData), (status = 404, body = Body), (status = "default", body = Body)))]
pub(super) async fn export(
    State(api): State<Api>,
    organiser: Organiser,
    Path((event, invitation)): Path<(EventId, InvitationId)>,
) -> Result<Json<PersonalData>, Problem> {
    let allowed = organiser.may(&api, Export { event })?;
    let known = api.people.personal_data(&allowed, organiser.0.actor, invitation).await.map_err(|error| {
        tracing::error!(error = &error as &dyn std::error::Error, "what is known about somebody cannot be opened");
        Problem::internal()
    })?;
    Ok(Json(known.ok_or_else(Problem::not_found)?.into()))
}

/// Erase an invitee: their sessions end, their code opens nothing, and nothing that is kept leads to them. For good.
#[utoipa::path(delete, path = "/api/v1/events/{event}/invitations/{invitation}/personal-data",
    operation_id = "erase_personal_data", tag = "people",
    params(("event" = String, Path), ("invitation" = String, Path)),
    security(("organiser_cookie" = []), ("api_token" = [])),
    responses((status = 204, description = "Erased"), (status = 404, body = Body), (status = "default", body = Body)))]
pub(super) async fn erase(
    State(api): State<Api>,
    organiser: Organiser,
    Path((event, invitation)): Path<(EventId, InvitationId)>,
) -> Result<StatusCode, Problem> {
    let allowed = organiser.may(&api, Organise { event })?;
    match api.people.erase(&allowed, organiser.0.actor, invitation).await? {
        true => Ok(StatusCode::NO_CONTENT),
        false => Err(Problem::not_found()),
    }
}
