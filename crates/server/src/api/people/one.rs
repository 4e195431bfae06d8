//! One person: inviting them, what is known about them, and what that becomes.

use axum::extract::State;
use http::StatusCode;
use serde::{Deserialize, Serialize};
use stagedoor_domain::Time;
use stagedoor_domain::access::{Look, Moderate, Organise, Reveal, Sealed};
use stagedoor_domain::event::Country;
use stagedoor_domain::id::{EventId, InvitationId};
use utoipa::{IntoParams, ToSchema};

use super::{Invitation, Shown, StateName, views};
use crate::access::{Change, ChangeRefused, Contact, NewInvitee, Note};
use crate::api::Api;
use crate::api::extract::{BaseUrl, Json, Organiser, Path, Query, line, present, room};
use crate::api::problem::{Body, Problem};
use crate::people::PLUS_ONES_MAX;
use crate::ports::db::{DbError, invitations};

/// Visits that a code may be limited to at most.
const USES_MAX: u32 = 1_000_000;

/// A code and the link that carries it.
#[derive(Serialize, ToSchema)]
pub(in crate::api) struct Code {
    /// For the invitee.
    #[schema(examples("ABCD-EFGH-JKLM"))]
    code: String,
    /// The viewer page with the code behind `#`, which browsers do not send.
    #[schema(examples("https://stage.example.org/e/evt_01kaf3x6m8e9t8s2v4w6y8z0ab#ABCD-EFGH-JKLM"))]
    link: String,
}

impl Code {
    pub(in crate::api) fn new(base: &str, event: EventId, code: String) -> Self {
        Self { link: format!("{base}/e/{event}#{code}"), code }
    }
}

/// A new invitation with its code.
#[derive(Serialize, ToSchema)]
pub(in crate::api) struct InvitationMade {
    #[serde(flatten)]
    invitation: Invitation,
    #[serde(flatten)]
    code: Code,
}

/// Who is to be invited.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::api) struct NewInvitation {
    /// One line, 1 to 200 characters.
    #[schema(min_length = 1, max_length = 200)]
    name: String,
    /// Their telephone number; without a country code it is of the event's default country.
    #[serde(default)]
    phone: Option<String>,
    /// Their e-mail address.
    #[serde(default)]
    email: Option<String>,
    /// Their language, as a BCP 47 tag; the event's without it.
    #[serde(default)]
    language: Option<String>,
    /// What organisers want to remember, at most 2000 characters.
    #[serde(default)]
    #[schema(max_length = 2000)]
    note: Option<String>,
    /// At most 20.
    #[serde(default)]
    #[schema(max_items = 20, required = false)]
    tags: Vec<String>,
    /// When the invitation ends by itself.
    #[serde(default)]
    #[schema(value_type = Option<String>, format = DateTime)]
    expires_at: Option<Time>,
    /// Visits that the code is good for, at least 1; any number without it.
    #[serde(default)]
    #[schema(minimum = 1, maximum = 1_000_000)]
    max_uses: Option<u32>,
    /// Guests that they may bring, at most 100.
    #[serde(default)]
    #[schema(maximum = 100, required = false)]
    plus_ones: u32,
}

/// What is to change about somebody. What is absent stays; `null` takes away.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::api) struct InvitationChange {
    /// One line, 1 to 200 characters.
    #[schema(min_length = 1, max_length = 200)]
    name: Option<String>,
    /// A telephone number; without a country code it is of the event's default country.
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = Option<String>)]
    phone: Option<Option<String>>,
    /// An e-mail address.
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = Option<String>)]
    email: Option<Option<String>>,
    /// A BCP 47 tag; `null` for the event's language.
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = Option<String>)]
    language: Option<Option<String>>,
    /// At most 2000 characters.
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = Option<String>, max_length = 2000)]
    note: Option<Option<String>>,
    /// All their tags, at most 20.
    #[schema(max_items = 20)]
    tags: Option<Vec<String>>,
    /// When the invitation ends by itself. One that has expired goes on when its end is moved or taken away.
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = Option<String>, format = DateTime)]
    expires_at: Option<Option<Time>>,
    /// Visits that the code is good for, at least 1.
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = Option<u32>, minimum = 1, maximum = 1_000_000)]
    max_uses: Option<Option<u32>>,
    /// Guests that they may bring, at most 100. Those who were brought already stay.
    #[schema(maximum = 100)]
    plus_ones: Option<u32>,
}

fn max_uses(uses: Option<u32>) -> Result<Option<u32>, Problem> {
    match uses {
        Some(uses) if !(1..=USES_MAX).contains(&uses) => {
            Err(Problem::field("/max_uses", "This is 1 to 1000000, or absent for any number."))
        }
        uses => Ok(uses),
    }
}

fn plus_ones(guests: u32) -> Result<u32, Problem> {
    if guests > PLUS_ONES_MAX {
        return Err(Problem::field("/plus_ones", "One person may bring at most 100 guests."));
    }
    Ok(guests)
}

fn country(api: &Api, event: EventId) -> Result<Option<Country>, Problem> {
    Ok(room(api, event)?.policy().messages.default_country)
}

fn phone_taken() -> Problem {
    Problem::new(StatusCode::CONFLICT, "phone_taken", "Somebody at this event has this telephone number already.")
}

fn unless_refused(refused: ChangeRefused) -> Problem {
    match refused {
        ChangeRefused::NoInvitation => Problem::not_found(),
        ChangeRefused::Forgotten => Problem::new(
            StatusCode::CONFLICT,
            "erased",
            "This person's data was erased: nothing is written about them.",
        ),
        ChangeRefused::PhoneTaken => phone_taken(),
        ChangeRefused::Contact(error) => super::unreadable(error),
    }
}

async fn one(
    api: &Api,
    organiser: &Organiser,
    event: EventId,
    id: InvitationId,
    shown: Shown,
) -> Result<Invitation, Problem> {
    let row = invitations::get(&api.db, event, id).await?.ok_or_else(Problem::not_found)?;
    views(api, organiser, event, vec![row], shown).await?.pop().ok_or_else(Problem::not_found)
}

/// Invite somebody.
#[utoipa::path(post, path = "/api/v1/events/{event}/invitations", operation_id = "create_invitation", tag = "people",
    params(("event" = String, Path)), request_body = NewInvitation,
    security(("organiser_cookie" = []), ("api_token" = [])),
    responses((status = 201, body = InvitationMade), (status = 409, body = Body, description = "`phone_taken`"),
        (status = 422, body = Body), (status = "default", body = Body)))]
pub(in crate::api) async fn create(
    State(api): State<Api>,
    organiser: Organiser,
    BaseUrl(base): BaseUrl,
    Path(event): Path<EventId>,
    Json(new): Json<NewInvitation>,
) -> Result<(StatusCode, Json<InvitationMade>), Problem> {
    let allowed = organiser.may(&api, Organise { event })?;
    let country = country(&api, event)?;
    let contact = Contact {
        phone: new.phone.as_deref().map_or(Ok(None), |text| super::phone("/phone", text, country))?,
        email: new.email.as_deref().map_or(Ok(None), |text| super::email("/email", text))?,
        note: new.note.as_deref().map_or(Ok(Note::default()), |text| super::note("/note", text))?,
    };
    let invitee = NewInvitee {
        name: line("/name", &new.name)?,
        contact,
        language: new.language.as_deref().map_or(Ok(String::new()), |text| super::language("/language", text))?,
        expires_at: new.expires_at,
        max_uses: max_uses(new.max_uses)?,
        plus_ones: plus_ones(new.plus_ones)?,
        tags: super::tags("/tags", &new.tags)?,
    };
    let made = api.access.invite(&allowed, organiser.0.actor, &invitee).await.map_err(|error| match error {
        DbError::Exists => phone_taken(),
        error => error.into(),
    })?;
    let code = Code::new(&base, event, made.code.to_string());
    let invitation = one(&api, &organiser, event, made.invitation.id, Shown::Masked).await?;
    Ok((StatusCode::CREATED, Json(InvitationMade { invitation, code })))
}

/// A step in the life of an invitation.
#[derive(Serialize, ToSchema)]
pub(in crate::api) struct InvitationStep {
    state: StateName,
    #[schema(value_type = String, format = DateTime)]
    at: Time,
    /// By what a message went, why it failed, or nothing.
    detail: String,
}

/// An invitee, how their invitation came to where it stands, and whom they bring.
#[derive(Serialize, ToSchema)]
pub(in crate::api) struct InvitationDetail {
    #[serde(flatten)]
    invitation: Invitation,
    /// Oldest first.
    history: Vec<InvitationStep>,
    /// In the order of their invitations.
    guests: Vec<Invitation>,
}

/// In which form somebody is shown.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(in crate::api) struct Form {
    /// Number, address and note in the clear: for those who may see people. It is a line in the log.
    reveal: Option<bool>,
}

async fn detail(
    api: &Api,
    organiser: &Organiser,
    event: EventId,
    id: InvitationId,
    shown: Shown,
) -> Result<InvitationDetail, Problem> {
    let invitation = one(api, organiser, event, id, shown).await?;
    let created = InvitationStep { state: StateName::Created, at: invitation.created_at, detail: String::new() };
    let steps = invitations::history(&api.db, id).await?;
    let steps =
        steps.into_iter().map(|step| InvitationStep { state: step.state.into(), at: step.at, detail: step.detail });
    let history = std::iter::once(created).chain(steps).collect();
    let guests = invitations::guests(&api.db, id).await?;
    let guests = views(api, organiser, event, guests, Shown::Masked).await?;
    Ok(InvitationDetail { invitation, history, guests })
}

/// One invitation.
#[utoipa::path(get, path = "/api/v1/events/{event}/invitations/{invitation}", operation_id = "read_invitation",
    tag = "people", params(("event" = String, Path), ("invitation" = String, Path), Form),
    security(("organiser_cookie" = []), ("api_token" = [])),
    responses((status = 200, body = InvitationDetail), (status = 404, body = Body), (status = "default", body = Body)))]
pub(in crate::api) async fn read(
    State(api): State<Api>,
    organiser: Organiser,
    Path((event, invitation)): Path<(EventId, InvitationId)>,
    Query(form): Query<Form>,
) -> Result<Json<InvitationDetail>, Problem> {
    let _allowed = organiser.may(&api, Look { event })?;
    let shown = if form.reveal == Some(true) { Shown::Clear } else { Shown::Masked };
    Ok(Json(detail(&api, &organiser, event, invitation, shown).await?))
}

/// Change what is known about somebody.
#[utoipa::path(patch, path = "/api/v1/events/{event}/invitations/{invitation}", operation_id = "change_invitation",
    tag = "people", params(("event" = String, Path), ("invitation" = String, Path)), request_body = InvitationChange,
    security(("organiser_cookie" = []), ("api_token" = [])),
    responses((status = 200, body = InvitationDetail), (status = 404, body = Body),
        (status = 409, body = Body, description = "`phone_taken`, `erased`"), (status = 422, body = Body),
        (status = "default", body = Body)))]
pub(in crate::api) async fn change(
    State(api): State<Api>,
    organiser: Organiser,
    Path((event, invitation)): Path<(EventId, InvitationId)>,
    Json(body): Json<InvitationChange>,
) -> Result<Json<InvitationDetail>, Problem> {
    let allowed = organiser.may(&api, Organise { event })?;
    let country = country(&api, event)?;
    let text = |text: Option<Option<String>>| text.map(Option::unwrap_or_default);
    let change = Change {
        name: body.name.as_deref().map(|name| line("/name", name)).transpose()?,
        phone: text(body.phone).map(|text| super::phone("/phone", &text, country)).transpose()?,
        email: text(body.email).map(|text| super::email("/email", &text)).transpose()?,
        note: text(body.note).map(|text| super::note("/note", &text)).transpose()?,
        language: text(body.language).map(|text| super::language("/language", &text)).transpose()?,
        tags: body.tags.as_deref().map(|tags| super::tags("/tags", tags)).transpose()?,
        expires_at: body.expires_at,
        max_uses: body.max_uses.map(max_uses).transpose()?,
        plus_ones: body.plus_ones.map(plus_ones).transpose()?,
    };
    api.access.change_invitee(&allowed, organiser.0.actor, invitation, change).await.map_err(unless_refused)?;
    Ok(Json(detail(&api, &organiser, event, invitation, Shown::Masked).await?))
}

/// How somebody is reached, and what was noted about them.
#[derive(Serialize, ToSchema)]
pub(in crate::api) struct ContactView {
    /// In E.164.
    #[schema(examples("+33612341234"))]
    phone: Option<String>,
    email: Option<String>,
    note: Option<String>,
}

/// Show how somebody is reached. Every look is written to the log of facts.
#[utoipa::path(get, path = "/api/v1/events/{event}/invitations/{invitation}/contact", operation_id = "read_contact",
    tag = "people", params(("event" = String, Path), ("invitation" = String, Path)),
    security(("organiser_cookie" = []), ("api_token" = [])),
    responses((status = 200, body = ContactView), (status = 404, body = Body), (status = "default", body = Body)))]
pub(in crate::api) async fn contact(
    State(api): State<Api>,
    organiser: Organiser,
    Path((event, invitation)): Path<(EventId, InvitationId)>,
) -> Result<Json<ContactView>, Problem> {
    let reveal = organiser.may(&api, Reveal { event: Some(event), sealed: Sealed::Contact(invitation) })?;
    let row = invitations::get(&api.db, event, invitation).await?.ok_or_else(Problem::not_found)?;
    let mut contacts = api.access.reveal_contacts(organiser.0.actor, &[(reveal, &row)]).await?;
    let Contact { phone, email, note } = contacts.pop().unwrap_or_default();
    let Note(note) = note;
    Ok(Json(ContactView {
        phone: phone.map(|phone| phone.expose().to_owned()),
        email: email.map(|email| email.expose().to_owned()),
        note: Some(note).filter(|note| !note.is_empty()),
    }))
}

/// Withdraw an invitation, with those of the guests it brought. Its session ends at once, and its code never works again.
#[utoipa::path(delete, path = "/api/v1/events/{event}/invitations/{invitation}", operation_id = "revoke_invitation",
    tag = "people", params(("event" = String, Path), ("invitation" = String, Path)),
    security(("organiser_cookie" = []), ("api_token" = [])),
    responses((status = 204, description = "Withdrawn"), (status = 404, body = Body), (status = "default", body = Body)))]
pub(in crate::api) async fn revoke(
    State(api): State<Api>,
    organiser: Organiser,
    Path((event, invitation)): Path<(EventId, InvitationId)>,
) -> Result<StatusCode, Problem> {
    let allowed = organiser.may(&api, Organise { event })?;
    match api.access.withdraw(&allowed, organiser.0.actor, invitation).await? {
        true => Ok(StatusCode::NO_CONTENT),
        false => Err(Problem::not_found()),
    }
}

/// Let somebody in again who was kept out.
#[utoipa::path(post, path = "/api/v1/events/{event}/invitations/{invitation}/unblock", operation_id = "unblock_invitation",
    tag = "people", params(("event" = String, Path), ("invitation" = String, Path)),
    security(("organiser_cookie" = []), ("api_token" = [])),
    responses((status = 200, body = InvitationDetail), (status = 404, body = Body), (status = "default", body = Body)))]
pub(in crate::api) async fn unblock(
    State(api): State<Api>,
    organiser: Organiser,
    Path((event, invitation)): Path<(EventId, InvitationId)>,
) -> Result<Json<InvitationDetail>, Problem> {
    let allowed = organiser.may(&api, Moderate { event })?;
    // Whoever is not kept out any more is where this asks for them to be.
    api.access.unblock(&allowed, organiser.0.actor, invitation).await?;
    Ok(Json(detail(&api, &organiser, event, invitation, Shown::Masked).await?))
}

/// Show a code again. Every look is written to the log of facts.
#[utoipa::path(get, path = "/api/v1/events/{event}/invitations/{invitation}/code", operation_id = "read_code",
    tag = "people", params(("event" = String, Path), ("invitation" = String, Path)),
    security(("organiser_cookie" = []), ("api_token" = [])),
    responses((status = 200, body = Code), (status = 404, body = Body), (status = "default", body = Body)))]
pub(in crate::api) async fn code(
    State(api): State<Api>,
    organiser: Organiser,
    BaseUrl(base): BaseUrl,
    Path((event, invitation)): Path<(EventId, InvitationId)>,
) -> Result<Json<Code>, Problem> {
    let reveal = organiser.may(&api, Reveal { event: Some(event), sealed: Sealed::Code(invitation) })?;
    let row = invitations::get(&api.db, event, invitation).await?.ok_or_else(Problem::not_found)?;
    let code = api.access.reveal_to(&reveal, organiser.0.actor, &row.sealed).await?;
    Ok(Json(Code::new(&base, event, code.expose().to_owned())))
}
