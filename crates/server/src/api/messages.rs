//! What is said to invitees: templates, orders, single messages, and how far they are.
//!
//! A handler writes rows; whoever carries messages reads them. Nothing here talks to a gateway.

use std::collections::HashMap;

use axum::extract::State as Shared;
use http::StatusCode;
use serde::{Deserialize, Serialize};
use stagedoor_domain::Time;
use stagedoor_domain::access::{Look, Moderate, Organise, SeePeople};
use stagedoor_domain::event::MessagePolicy;
use stagedoor_domain::fact::Fact;
use stagedoor_domain::id::{EventId, InvitationId, MessageId, SendId};
use stagedoor_domain::incident::Kind::BudgetReached;
use stagedoor_domain::message::{
    self, BUILT_IN, BadTemplate, Channel, Failure, Filling, Kind, PauseCause, Segments, SendState, State, Template,
};
use stagedoor_domain::person::{Email, Phone};
use utoipa::{IntoParams, ToSchema};

use super::Api;
use super::extract::{BaseUrl, Json, Organiser, Page, Paging, Path, Query, room};
use super::people::SelectionBody;
use super::problem::{Body, Problem};
use crate::access::{Room, SealedFor, Written};
use crate::config::SmsGateway;
use crate::facts::{self, incident};
use crate::ports::bus::{Hint, Topic};
use crate::ports::db::messages::{Filter, Listed, NewSingle};
use crate::ports::db::sends::{Send, Tally};
use crate::ports::db::{events, invitations, message_templates, messages, opt_outs, selection, sends, teams};

/// Bytes of a language tag at most (RFC 5646 asks for 35).
const LANGUAGE_BYTES_MAX: usize = 35;

macro_rules! shown {
    ($(#[$doc:meta])* $name:ident($rename:literal) of $of:ty { $($(#[$variant_doc:meta])* $variant:ident,)* }) => {
        $(#[$doc])*
        #[derive(ToSchema)]
        #[schema(as = $name, rename_all = $rename)]
        #[expect(dead_code, reason = "it describes the domain's type")]
        pub(super) enum $name {
            $($(#[$variant_doc])* $variant,)*
        }

        const _: fn(&$of) = |value| match value { $(<$of>::$variant => {},)* };
    };
}
shown! {
    /// By what a message travels.
    MessageChannel("snake_case") of Channel { Sms, Email, }
}
shown! {
    /// What a message is for.
    MessageKind("snake_case") of Kind { Invitation, Reminder, NewCode, Direct, Test, }
}
shown! {
    /// Where a message stands.
    MessageState("snake_case") of State { Queued, Sending, Sent, Delivered, Failed, Suppressed, }
}
shown! {
    /// Why a message was not sent, or did not arrive. With `unknown` a person decides whether to try again.
    MessageFailure("snake_case") of Failure {
        Unknown, NoAddress, BadAddress, OptedOut, NotInvited, Superseded, Cancelled, Refused, Unavailable, Undelivered,
        Budget,
    }
}
shown! {
    /// Where an order stands.
    SendStateName("snake_case") of SendState { Running, Paused, Done, Cancelled, }
}
shown! {
    /// Why an order waits.
    SendPauseCause("snake_case") of PauseCause { QuietHours, Budget, PrefixBudget, Gateway, Person, }
}

// Templates.

/// What messages of one channel, kind and language say.
#[derive(Serialize, ToSchema)]
#[schema(as = MessageTemplate)]
pub(super) struct TemplateView {
    #[schema(value_type = MessageChannel)]
    channel: Channel,
    #[schema(value_type = MessageKind)]
    kind: Kind,
    /// A BCP 47 tag in lower case.
    #[schema(examples("en"))]
    language: String,
    /// Of a letter.
    subject: Option<String>,
    /// With `{name}`, `{code}`, `{link}`, `{title}`, `{starts_at}`, `{organiser}`.
    body: String,
    /// Whether nobody changed it.
    built_in: bool,
    /// When somebody did.
    #[schema(value_type = Option<String>, format = DateTime)]
    updated_at: Option<Time>,
}

/// All templates of an event.
#[derive(Serialize, ToSchema)]
pub(super) struct Templates {
    /// The organiser's own and the built-in ones.
    data: Vec<TemplateView>,
}

/// What a template is to say.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NewTemplate {
    /// For letters only.
    #[schema(max_length = 200)]
    subject: Option<String>,
    /// 1 to 1600 characters; an invitation needs `{link}` or `{code}`.
    #[schema(min_length = 1, max_length = 1600)]
    body: String,
}

/// The templates of an event.
#[utoipa::path(get, path = "/api/v1/events/{event}/templates", operation_id = "list_templates", tag = "messages",
    params(("event" = String, Path)), security(("organiser_cookie" = []), ("api_token" = [])),
    responses((status = 200, body = Templates), (status = "default", body = Body)))]
pub(super) async fn list_templates(
    Shared(api): Shared<Api>,
    organiser: Organiser,
    Path(event): Path<EventId>,
) -> Result<Json<Templates>, Problem> {
    let _allowed = organiser.may(&api, Look { event })?;
    room(&api, event)?;
    let written = message_templates::of_event(&api.db, event).await?;
    let mut data: Vec<TemplateView> = Vec::new();
    for channel in Channel::ALL.iter().copied() {
        for kind in Kind::WITH_TEMPLATE {
            for language in BUILT_IN {
                let is_it = |each: &&message_templates::Written| {
                    each.channel == channel && each.kind == kind && each.language == language
                };
                if written.iter().find(is_it).is_none()
                    && let Some(template) = message::built_in(channel, kind, language)
                {
                    let Template { subject, body } = template;
                    let language = language.to_owned();
                    data.push(TemplateView {
                        channel,
                        kind,
                        language,
                        subject,
                        body,
                        built_in: true,
                        updated_at: None,
                    });
                }
            }
        }
    }
    data.extend(written.into_iter().map(template_view));
    data.sort_by(|a, b| (a.channel, a.kind, &a.language).cmp(&(b.channel, b.kind, &b.language)));
    Ok(Json(Templates { data }))
}

fn template_view(written: message_templates::Written) -> TemplateView {
    TemplateView {
        channel: written.channel,
        kind: written.kind,
        language: written.language,
        subject: written.template.subject,
        body: written.template.body,
        built_in: false,
        updated_at: Some(written.updated_at),
    }
}

/// The template that a path names.
fn named(channel: &str, kind: &str, language: &str) -> Result<(Channel, Kind, String), Problem> {
    let channel = Channel::from_name(channel).ok_or_else(Problem::not_found)?;
    let kind = Kind::from_name(kind).filter(|kind| kind.has_template()).ok_or_else(Problem::not_found)?;
    let language = language.to_ascii_lowercase();
    let first = language.split('-').next().unwrap_or_default();
    let is_tag = language.len() <= LANGUAGE_BYTES_MAX
        && (2..=3).contains(&first.len())
        && first.bytes().all(|byte| byte.is_ascii_lowercase())
        && language
            .split('-')
            .skip(1)
            .all(|group| (1..=8).contains(&group.len()) && group.bytes().all(|byte| byte.is_ascii_alphanumeric()));
    if is_tag { Ok((channel, kind, language)) } else { Err(Problem::not_found()) }
}

fn checked(template: &Template, channel: Channel, kind: Kind) -> Result<(), Problem> {
    message::check(template, channel, kind).map_err(|bad| {
        let pointer = if bad == BadTemplate::Subject { "/subject" } else { "/body" };
        Problem::field(pointer, sentence(&bad.to_string()))
    })
}

/// An error's words as a sentence.
fn sentence(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map_or(String::new(), |first| format!("{}{}.", first.to_uppercase(), letters.as_str()))
}

/// Write a template.
#[utoipa::path(put, path = "/api/v1/events/{event}/templates/{channel}/{kind}/{language}", operation_id = "put_template",
    tag = "messages",
    params(("event" = String, Path), ("channel" = String, Path), ("kind" = String, Path), ("language" = String, Path)),
    request_body = NewTemplate, security(("organiser_cookie" = []), ("api_token" = [])),
    responses((status = 200, body = TemplateView), (status = 422, body = Body), (status = "default", body = Body)))]
pub(super) async fn put_template(
    Shared(api): Shared<Api>,
    organiser: Organiser,
    Path((event, channel, kind, language)): Path<(EventId, String, String, String)>,
    Json(new): Json<NewTemplate>,
) -> Result<Json<TemplateView>, Problem> {
    let allowed = organiser.may(&api, Organise { event })?;
    room(&api, event)?;
    let (channel, kind, language) = named(&channel, &kind, &language)?;
    let template = Template { subject: new.subject, body: new.body };
    checked(&template, channel, kind)?;
    let now = api.clock.now();
    let written = message_templates::Written { channel, kind, language, template, updated_at: now };
    let mut tx = api.db.write().await?;
    if !message_templates::put(&mut tx, &allowed, &written).await? {
        return Err(Problem::new(StatusCode::CONFLICT, "too_many", "An event has at most 500 templates."));
    }
    facts::append(&mut tx, &api.random, now, organiser.0.actor, Fact::EventChanged { event }).await?;
    tx.commit().await?;
    hint(&api, event);
    Ok(Json(template_view(written)))
}

/// Go back to the built-in template.
#[utoipa::path(delete, path = "/api/v1/events/{event}/templates/{channel}/{kind}/{language}",
    operation_id = "delete_template", tag = "messages",
    params(("event" = String, Path), ("channel" = String, Path), ("kind" = String, Path), ("language" = String, Path)),
    security(("organiser_cookie" = []), ("api_token" = [])),
    responses((status = 204, description = "Gone"), (status = 404, body = Body), (status = "default", body = Body)))]
pub(super) async fn delete_template(
    Shared(api): Shared<Api>,
    organiser: Organiser,
    Path((event, channel, kind, language)): Path<(EventId, String, String, String)>,
) -> Result<StatusCode, Problem> {
    let allowed = organiser.may(&api, Organise { event })?;
    let (channel, kind, language) = named(&channel, &kind, &language)?;
    let mut tx = api.db.write().await?;
    if !message_templates::delete(&mut tx, &allowed, channel, kind, &language).await? {
        return Err(Problem::not_found());
    }
    let fact = Fact::EventChanged { event };
    facts::append(&mut tx, &api.random, api.clock.now(), organiser.0.actor, fact).await?;
    tx.commit().await?;
    hint(&api, event);
    Ok(StatusCode::NO_CONTENT)
}

/// A text to look at.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct PreviewRequest {
    #[schema(value_type = MessageChannel)]
    channel: Channel,
    /// For letters only.
    subject: Option<String>,
    /// What is said.
    #[schema(max_length = 1600)]
    body: String,
    /// In which language it is meant: a text is shown as it is, in whatever language.
    #[expect(dead_code, reason = "pages send it along")]
    language: Option<String>,
    /// Whose name is put in; without it, a name of an ordinary length.
    #[schema(value_type = Option<String>)]
    invitation: Option<InvitationId>,
}

/// What somebody would read.
#[derive(Serialize, ToSchema)]
pub(super) struct TextPreview {
    /// The text, with a code that opens nothing.
    text: String,
    /// Of a letter.
    subject: Option<String>,
    /// `gsm7` or `ucs2`; absent for letters.
    encoding: Option<&'static str>,
    /// Parts that are paid for; none for letters.
    segments: u32,
    /// What the limits of a part (160 or 70, 153 or 67 in longer messages) count.
    characters: u32,
    /// What it would cost, in thousandths, at the default price.
    cost_milli: u64,
    /// Names in braces that nothing stands behind.
    unknown: Vec<String>,
}

/// A code that opens nothing: it is never given out because its letters spell it.
const SAMPLE_CODE: &str = "SAMP-LEXX-CODE";

struct Sample {
    title: String,
    starts_at: String,
    organiser: String,
    link: String,
}

impl Sample {
    async fn of(api: &Api, event: EventId, room: &Room, base: &str, organiser: &Organiser) -> Result<Self, Problem> {
        let (title, starts_at) = events::heading(&api.db, event).await?.ok_or_else(Problem::not_found)?;
        let quiet = room.policy().messages.quiet_hours.as_ref().map_or(0, |quiet| quiet.utc_offset_minutes);
        Ok(Self {
            title,
            starts_at: message::starts_at(starts_at, quiet),
            organiser: inviter(api, room, organiser).await?,
            link: format!("{base}/e/{event}#{SAMPLE_CODE}"),
        })
    }

    fn fill(&self, text: &str, name: &str) -> String {
        message::fill(
            text,
            &Filling {
                name,
                code: SAMPLE_CODE,
                link: &self.link,
                title: &self.title,
                starts_at: &self.starts_at,
                organiser: &self.organiser,
            },
        )
    }
}

/// Whom texts name as who invites: the team that the event belongs to, else whoever orders.
pub(super) async fn inviter(api: &Api, room: &Room, organiser: &Organiser) -> Result<String, Problem> {
    let team = match room.team() {
        None => None,
        Some(id) => teams::name(&api.db, id).await?,
    };
    Ok(team.unwrap_or_else(|| organiser.0.username.clone()))
}

/// Show what a text would look like, and what it would cost.
#[utoipa::path(post, path = "/api/v1/events/{event}/templates/preview", operation_id = "preview_template",
    tag = "messages", params(("event" = String, Path)), request_body = PreviewRequest,
    security(("organiser_cookie" = []), ("api_token" = [])),
    responses((status = 200, body = TextPreview), (status = 422, body = Body), (status = "default", body = Body)))]
pub(super) async fn preview(
    Shared(api): Shared<Api>,
    organiser: Organiser,
    BaseUrl(base): BaseUrl,
    Path(event): Path<EventId>,
    Json(request): Json<PreviewRequest>,
) -> Result<Json<TextPreview>, Problem> {
    let _allowed = organiser.may(&api, Organise { event })?;
    let room = room(&api, event)?;
    if request.body.chars().count() > Template::BODY_CHARS_MAX {
        return Err(Problem::field("/body", sentence(&BadTemplate::TooLong.to_string())));
    }
    let name = match request.invitation {
        None => "Ada Lovelace".to_owned(),
        Some(id) => invitations::get(&api.db, event, id).await?.ok_or_else(Problem::not_found)?.name,
    };
    let sample = Sample::of(&api, event, &room, &base, &organiser).await?;
    let template = Template { subject: request.subject, body: request.body };
    let unknown = template.unknown();
    let text = sample.fill(&template.body, &name);
    let size = Segments::of(&text);
    let sms = request.channel == Channel::Sms;
    Ok(Json(TextPreview {
        subject: template.subject.map(|subject| sample.fill(&subject, &name)),
        encoding: sms.then(|| size.encoding.as_str()),
        segments: if sms { size.segments } else { 0 },
        characters: size.characters,
        cost_milli: if sms && api.config.sms.gateway != SmsGateway::Outbox {
            u64::from(size.segments).saturating_mul(api.config.sms.price_milli)
        } else {
            0
        },
        text,
        unknown,
    }))
}

// Single messages.

/// A message to oneself.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct TestRequest {
    #[schema(value_type = MessageChannel)]
    channel: Channel,
    /// For letters only.
    subject: Option<String>,
    /// What is said.
    #[schema(min_length = 1, max_length = 1600)]
    body: String,
    /// Where to: a number in E.164 (`+33612345678`) or an e-mail address.
    to: String,
}

/// A few words to one person.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct DirectRequest {
    #[schema(value_type = MessageChannel)]
    channel: Channel,
    /// For letters only.
    subject: Option<String>,
    /// What is said, with the same placeholders as in templates.
    #[schema(min_length = 1, max_length = 1600)]
    body: String,
}

/// A message.
#[derive(Serialize, ToSchema)]
#[schema(as = Message)]
pub(super) struct MessageView {
    #[schema(value_type = String, examples("msg_01kaf3x6m8e9t8s2v4w6y8z0ab"))]
    id: MessageId,
    /// The order it belongs to; absent for a single act.
    #[schema(value_type = Option<String>)]
    send: Option<SendId>,
    /// To whom; absent for a message to oneself.
    #[schema(value_type = Option<String>)]
    invitation: Option<InvitationId>,
    /// Who that is; empty for a message to oneself.
    name: String,
    #[schema(value_type = MessageChannel)]
    channel: Channel,
    #[schema(value_type = MessageKind)]
    kind: Kind,
    /// Where to, masked; empty as long as nobody looked it up, and when it was forgotten.
    #[schema(examples("+33 6 •• •• 56 78"))]
    to: String,
    #[schema(value_type = MessageState)]
    state: State,
    /// What it says, when it went nowhere but here and the role may see people.
    text: Option<String>,
    /// Of a letter, like `text`.
    subject: Option<String>,
    /// Why it was not sent, or did not arrive.
    #[schema(value_type = Option<MessageFailure>)]
    error: Option<Failure>,
    /// How often the gateway was asked to take it.
    attempts: u32,
    /// What it cost, in thousandths.
    cost_milli: u64,
    #[schema(value_type = String, format = DateTime)]
    created_at: Time,
    /// When the gateway took it.
    #[schema(value_type = Option<String>, format = DateTime)]
    sent_at: Option<Time>,
}

fn message_view(api: &Api, listed: Listed, people: bool) -> Result<MessageView, Problem> {
    let Listed { message, name, person_key } = listed;
    let person = match (&person_key, message.invitation) {
        (Some(person_key), Some(invitation)) => Some(SealedFor { invitation, person_key }),
        _ => None,
    };
    let written = match &message.payload {
        Some(sealed) if message.invitation.is_none() || person.is_some() => {
            api.access.open_message(message.id, person, sealed).map_err(unreadable)?
        }
        // Forgotten, or not addressed yet.
        _ => Written::default(),
    };
    let to = match message.channel {
        Channel::Sms => written.to.parse::<Phone>().ok().map(|phone| phone.masked()),
        Channel::Email => written.to.parse::<Email>().ok().map(|email| email.masked()),
    };
    let readable = people && matches!(message.state, State::Sent | State::Delivered) && !written.body.is_empty();
    Ok(MessageView {
        id: message.id,
        send: message.send,
        invitation: message.invitation,
        name,
        channel: message.channel,
        kind: message.kind,
        to: to.unwrap_or_default(),
        state: message.state,
        subject: written.subject.filter(|_| readable),
        text: readable.then_some(written.body),
        error: message.failure,
        attempts: message.attempts,
        cost_milli: message.cost_milli,
        created_at: message.created_at,
        sent_at: message.sent_at,
    })
}

pub(super) fn unreadable(error: crate::access::ContactError) -> Problem {
    tracing::error!(error = &error as &dyn std::error::Error, "a message cannot be sealed or opened");
    Problem::internal()
}

/// Send a text to oneself, to see what it looks like. It counts and costs like any other.
#[utoipa::path(post, path = "/api/v1/events/{event}/templates/test", operation_id = "test_template", tag = "messages",
    params(("event" = String, Path)), request_body = TestRequest,
    security(("organiser_cookie" = []), ("api_token" = [])),
    responses((status = 202, body = MessageView), (status = 422, body = Body), (status = "default", body = Body)))]
pub(super) async fn test(
    Shared(api): Shared<Api>,
    organiser: Organiser,
    BaseUrl(base): BaseUrl,
    Path(event): Path<EventId>,
    Json(request): Json<TestRequest>,
) -> Result<(StatusCode, Json<MessageView>), Problem> {
    let _allowed = organiser.may(&api, Organise { event })?;
    let room = room(&api, event)?;
    let template = Template { subject: request.subject, body: request.body };
    checked(&template, request.channel, Kind::Test)?;
    let to = request.to.trim();
    let known = match request.channel {
        Channel::Sms => to.parse::<Phone>().is_ok(),
        Channel::Email => to.parse::<Email>().is_ok(),
    };
    if !known {
        return Err(Problem::field("/to", "This is no number with its country code, or no e-mail address."));
    }
    let sample = Sample::of(&api, event, &room, &base, &organiser).await?;
    let name = &organiser.0.username;
    let written = Written {
        to: to.to_owned(),
        subject: template.subject.map(|subject| sample.fill(&subject, name)),
        body: sample.fill(&template.body, name),
        base_url: String::new(),
    };
    single(&api, &organiser, event, None, request.channel, Kind::Test, &written).await
}

/// Write to one invitee. It goes out at once, also in quiet hours.
#[utoipa::path(post, path = "/api/v1/events/{event}/invitations/{invitation}/message", operation_id = "write_to_invitee",
    tag = "messages", params(("event" = String, Path), ("invitation" = String, Path)), request_body = DirectRequest,
    security(("organiser_cookie" = []), ("api_token" = [])),
    responses((status = 202, body = MessageView), (status = 422, body = Body), (status = "default", body = Body)))]
pub(super) async fn direct(
    Shared(api): Shared<Api>,
    organiser: Organiser,
    BaseUrl(base): BaseUrl,
    Path((event, invitation)): Path<(EventId, InvitationId)>,
    Json(request): Json<DirectRequest>,
) -> Result<(StatusCode, Json<MessageView>), Problem> {
    let _allowed = organiser.may(&api, Moderate { event })?;
    room(&api, event)?;
    let template = Template { subject: request.subject, body: request.body };
    checked(&template, request.channel, Kind::Direct)?;
    let row = invitations::get(&api.db, event, invitation).await?.ok_or_else(Problem::not_found)?;
    let (phone, email) = api.access.masked(&row).map_err(unreadable)?;
    let reachable = match request.channel {
        Channel::Sms => phone.is_some(),
        Channel::Email => email.is_some(),
    };
    if !reachable {
        return Err(Problem::field("/channel", "There is no number or address of this kind."));
    }
    let written = Written { to: String::new(), subject: template.subject, body: template.body, base_url: base };
    single(&api, &organiser, event, Some(&row), request.channel, Kind::Direct, &written).await
}

async fn single(
    api: &Api,
    organiser: &Organiser,
    event: EventId,
    invitee: Option<&invitations::Invitation>,
    channel: Channel,
    kind: Kind,
    written: &Written,
) -> Result<(StatusCode, Json<MessageView>), Problem> {
    let now = api.clock.now();
    let id = MessageId::new(api.random.uuid(now));
    let person = invitee
        .and_then(|row| row.person_key.as_deref().map(|person_key| SealedFor { invitation: row.id, person_key }));
    let payload = api.access.seal_message(id, person, written).map_err(unreadable)?;
    let new = NewSingle { id, event, invitation: invitee.map(|row| row.id), channel, kind, payload };
    let mut tx = api.db.write().await?;
    messages::insert_single(&mut tx, &new, now).await?;
    let fact = Fact::MessageOrdered { event, message: id };
    facts::append(&mut tx, &api.random, now, organiser.0.actor, fact).await?;
    tx.commit().await?;
    hint(api, event);
    let listed = messages::get(&api.db, event, id).await?.ok_or_else(Problem::not_found)?;
    Ok((StatusCode::ACCEPTED, Json(message_view(api, listed, false)?)))
}

// Orders.

/// What is to be sent, and to whom.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NewSend {
    selection: SelectionBody,
    #[schema(value_type = MessageChannel)]
    channel: Channel,
    /// `invitation`, `reminder` or `new_code`.
    #[schema(value_type = MessageKind)]
    kind: Kind,
    /// When it begins; at once without it.
    #[serde(default)]
    #[schema(value_type = Option<String>, format = DateTime)]
    at: Option<Time>,
    /// Say the same thing once more also to those who had it. Without it, nobody is told anything twice.
    #[serde(default)]
    #[schema(required = false)]
    again: bool,
}

/// How many messages failed for a reason.
#[derive(Serialize, ToSchema)]
pub(super) struct FailureCount {
    #[schema(value_type = MessageFailure)]
    error: Failure,
    count: u64,
}

/// An order, and how far it is.
#[derive(Serialize, ToSchema)]
#[schema(as = Send)]
pub(super) struct SendView {
    #[schema(value_type = String, examples("snd_01kaf3x6m8e9t8s2v4w6y8z0ab"))]
    id: SendId,
    #[schema(value_type = MessageKind)]
    kind: Kind,
    #[schema(value_type = MessageChannel)]
    channel: Channel,
    #[schema(value_type = SendStateName)]
    state: SendState,
    /// Messages; fewer in the end than at first, when some of those who are meant had it already.
    total: u64,
    /// Those that wait for their turn.
    queued: u64,
    /// Those that the gateway took.
    sent: u64,
    /// Those that arrived.
    delivered: u64,
    failed: u64,
    /// Why they failed, the most frequent reason first.
    failures: Vec<FailureCount>,
    /// Those that were deliberately not sent.
    suppressed: u64,
    /// Messages per second.
    per_second: u32,
    /// How long the rest takes, quiet hours and older orders included; absent while it waits for a person.
    eta_ms: Option<u64>,
    #[schema(value_type = Option<SendPauseCause>)]
    paused_because: Option<PauseCause>,
    /// What it cost, in thousandths.
    spent_milli: u64,
    /// When it begins.
    #[schema(value_type = String, format = DateTime)]
    at: Time,
    #[schema(value_type = String, format = DateTime)]
    created_at: Time,
}

/// Orders as they are shown, with what is ahead of them.
async fn send_views(
    api: &Api,
    event: EventId,
    policy: &MessagePolicy,
    rows: Vec<Send>,
) -> Result<Vec<SendView>, Problem> {
    let open = sends::open(&api.db, event).await?;
    let ids = || rows.iter().chain(&open).map(|send| send.id);
    let (Some(first), Some(last)) = (ids().min(), ids().max()) else { return Ok(Vec::new()) };
    let tallies: HashMap<SendId, Tally> = sends::tallies(&api.db, event, first, last).await?.into_iter().collect();
    let failures = match tallies.values().any(|tally| tally.failed > 0) {
        true => sends::failures(&api.db, event, first, last).await?,
        false => Vec::new(),
    };
    let now = api.clock.now();
    let quiet = policy.quiet_hours.as_ref();
    let silent_at = |at: Time| quiet.is_some_and(|quiet| quiet.silent_until(at).is_some());
    let waiting = |send: &Send| {
        let tally = tallies.get(&send.id).copied().unwrap_or_default();
        let gone = tally.sent + tally.delivered + tally.failed + tally.suppressed;
        if send.expanded { tally.queued } else { send.total.saturating_sub(gone) }
    };
    let view = |send: Send| {
        let tally = tallies.get(&send.id).copied().unwrap_or_default();
        let queued = waiting(&send);
        let begins = send.not_before.since(now);
        let running = send.state == SendState::Running;
        let at_any_hour = send.kind == Kind::AT_ANY_HOUR;
        let quiet = quiet.filter(|_| !at_any_hour);
        let eta = running.then(|| {
            let start = now.plus(begins);
            // What goes out at any hour does not wait for what sleeps.
            let overtakes = at_any_hour && silent_at(start);
            let older = open.iter().filter(|other| other.id < send.id);
            let ahead: u64 = older.filter(|other| !overtakes || other.kind == Kind::AT_ANY_HOUR).map(&waiting).sum();
            begins + message::eta(queued.saturating_add(ahead), policy.per_second, quiet, start)
        });
        let asleep = running && begins.is_zero() && silent_at(now) && !at_any_hour;
        SendView {
            id: send.id,
            kind: send.kind,
            channel: send.channel,
            state: if asleep { SendState::Paused } else { send.state },
            total: send.total,
            queued,
            sent: tally.sent,
            delivered: tally.delivered,
            failed: tally.failed,
            failures: failures
                .iter()
                .filter(|(of, ..)| *of == send.id)
                .map(|(_, error, count)| FailureCount { error: *error, count: *count })
                .collect(),
            suppressed: tally.suppressed,
            per_second: policy.per_second,
            eta_ms: eta.map(|eta| u64::try_from(eta.as_millis()).unwrap_or(u64::MAX)),
            paused_because: if asleep { Some(PauseCause::QuietHours) } else { send.paused_because },
            spent_milli: tally.spent_milli,
            at: send.not_before,
            created_at: send.created_at,
        }
    };
    Ok(rows.iter().cloned().map(view).collect())
}

async fn one_send(api: &Api, event: EventId, id: SendId) -> Result<SendView, Problem> {
    let room = room(api, event)?;
    let send = sends::get(&api.db, event, id).await?.ok_or_else(Problem::not_found)?;
    let views = send_views(api, event, &room.policy().messages, vec![send]).await?;
    views.into_iter().next().ok_or_else(Problem::not_found)
}

/// Order messages to some invitees.
#[utoipa::path(post, path = "/api/v1/events/{event}/sends", operation_id = "create_send", tag = "messages",
    params(("event" = String, Path)), request_body = NewSend,
    security(("organiser_cookie" = []), ("api_token" = [])),
    responses((status = 201, body = SendView), (status = 422, body = Body), (status = "default", body = Body)))]
pub(super) async fn create_send(
    Shared(api): Shared<Api>,
    organiser: Organiser,
    BaseUrl(base): BaseUrl,
    Path(event): Path<EventId>,
    Json(new): Json<NewSend>,
) -> Result<(StatusCode, Json<SendView>), Problem> {
    let allowed = organiser.may(&api, Organise { event })?;
    let room = room(&api, event)?;
    if !new.kind.has_template() {
        return Err(Problem::field("/kind", "This is invitation, reminder or new_code."));
    }
    let selection = new.selection.understood(&api, &organiser, event)?;
    let now = api.clock.now();
    let total = selection::count(&api.db, event, &selection).await?;
    let text = serde_json::to_string(&selection).map_err(|_| Problem::internal())?;
    let organiser_name = inviter(&api, &room, &organiser).await?;
    let mut tx = api.db.write().await?;
    let round = match new.again {
        false => 0,
        true => sends::last_round(&mut tx, event, new.channel, new.kind).await?.saturating_add(1),
    };
    let send = Send {
        id: SendId::new(api.random.uuid(now)),
        event,
        channel: new.channel,
        kind: new.kind,
        round,
        state: SendState::Running,
        paused_because: None,
        selection: text,
        cursor: None,
        expanded: false,
        total,
        organiser: organiser_name,
        base_url: base,
        not_before: new.at.map_or(now, |at| at.max(now)),
        created_at: now,
    };
    sends::insert(&mut tx, &allowed, &send).await?;
    let fact = Fact::SendCreated { event, send: send.id };
    facts::append(&mut tx, &api.random, now, organiser.0.actor, fact).await?;
    tx.commit().await?;
    hint(&api, event);
    Ok((StatusCode::CREATED, Json(one_send(&api, event, send.id).await?)))
}

/// The orders of an event.
#[utoipa::path(get, path = "/api/v1/events/{event}/sends", operation_id = "list_sends", tag = "messages",
    params(("event" = String, Path), Paging), security(("organiser_cookie" = []), ("api_token" = [])),
    responses((status = 200, body = Page<SendView>), (status = "default", body = Body)))]
pub(super) async fn list_sends(
    Shared(api): Shared<Api>,
    organiser: Organiser,
    Path(event): Path<EventId>,
    Query(paging): Query<Paging>,
) -> Result<Json<Page<SendView>>, Problem> {
    let _allowed = organiser.may(&api, Look { event })?;
    let room = room(&api, event)?;
    let limit = paging.limit()?;
    let rows = sends::list(&api.db, event, paging.cursor()?, limit + 1).await?;
    let views = send_views(&api, event, &room.policy().messages, rows).await?;
    Ok(Json(Page::of(views, limit, |view| view.id.to_string(), |view| view)))
}

/// One order.
#[utoipa::path(get, path = "/api/v1/events/{event}/sends/{send}", operation_id = "read_send", tag = "messages",
    params(("event" = String, Path), ("send" = String, Path)),
    security(("organiser_cookie" = []), ("api_token" = [])),
    responses((status = 200, body = SendView), (status = 404, body = Body), (status = "default", body = Body)))]
pub(super) async fn read_send(
    Shared(api): Shared<Api>,
    organiser: Organiser,
    Path((event, send)): Path<(EventId, SendId)>,
) -> Result<Json<SendView>, Problem> {
    let _allowed = organiser.may(&api, Look { event })?;
    Ok(Json(one_send(&api, event, send).await?))
}

/// Let an order wait.
#[utoipa::path(post, path = "/api/v1/events/{event}/sends/{send}/pause", operation_id = "pause_send", tag = "messages",
    params(("event" = String, Path), ("send" = String, Path)),
    security(("organiser_cookie" = []), ("api_token" = [])),
    responses((status = 200, body = SendView), (status = 404, body = Body), (status = "default", body = Body)))]
pub(super) async fn pause_send(
    Shared(api): Shared<Api>,
    organiser: Organiser,
    Path((event, send)): Path<(EventId, SendId)>,
) -> Result<Json<SendView>, Problem> {
    let _allowed = organiser.may(&api, Organise { event })?;
    let because = PauseCause::Person;
    let mut tx = api.db.write().await?;
    if sends::pause(&mut tx, event, send, because).await? {
        let fact = Fact::SendPaused { event, send, because };
        facts::append(&mut tx, &api.random, api.clock.now(), organiser.0.actor, fact).await?;
        tx.commit().await?;
        hint(&api, event);
    }
    Ok(Json(one_send(&api, event, send).await?))
}

/// Let an order go on that waits.
#[utoipa::path(post, path = "/api/v1/events/{event}/sends/{send}/resume", operation_id = "resume_send",
    tag = "messages", params(("event" = String, Path), ("send" = String, Path)),
    security(("organiser_cookie" = []), ("api_token" = [])),
    responses((status = 200, body = SendView), (status = 404, body = Body), (status = "default", body = Body)))]
pub(super) async fn resume_send(
    Shared(api): Shared<Api>,
    organiser: Organiser,
    Path((event, send)): Path<(EventId, SendId)>,
) -> Result<Json<SendView>, Problem> {
    let allowed = organiser.may(&api, Organise { event })?;
    let now = api.clock.now();
    let mut tx = api.db.write().await?;
    events::lock(&mut tx, event).await?;
    messages::wake(&mut tx, event, now).await?;
    if sends::resume(&mut tx, &allowed, send).await? {
        let actor = organiser.0.actor;
        facts::append(&mut tx, &api.random, now, actor, Fact::SendResumed { event, send }).await?;
        let over = incident::over_in(&mut tx, &api.random, now, actor, BudgetReached, event).await?;
        tx.commit().await?;
        hint(&api, event);
        if over {
            incident::hint(&api.world(), Some(event));
        }
    }
    Ok(Json(one_send(&api, event, send).await?))
}

/// Call an order off. What has gone out has gone out.
#[utoipa::path(post, path = "/api/v1/events/{event}/sends/{send}/cancel", operation_id = "cancel_send",
    tag = "messages", params(("event" = String, Path), ("send" = String, Path)),
    security(("organiser_cookie" = []), ("api_token" = [])),
    responses((status = 200, body = SendView), (status = 404, body = Body), (status = "default", body = Body)))]
pub(super) async fn cancel_send(
    Shared(api): Shared<Api>,
    organiser: Organiser,
    Path((event, send)): Path<(EventId, SendId)>,
) -> Result<Json<SendView>, Problem> {
    let allowed = organiser.may(&api, Organise { event })?;
    let mut tx = api.db.write().await?;
    // Whoever makes or claims messages of it holds the event.
    events::lock(&mut tx, event).await?;
    if sends::cancel(&mut tx, &allowed, send).await? {
        let fact = Fact::SendCancelled { event, send };
        facts::append(&mut tx, &api.random, api.clock.now(), organiser.0.actor, fact).await?;
        tx.commit().await?;
        hint(&api, event);
    }
    Ok(Json(one_send(&api, event, send).await?))
}

/// How many messages are tried again.
#[derive(Serialize, ToSchema)]
pub(super) struct SendRetried {
    /// None when nothing had failed, or only for the reason `unknown`.
    retried: u64,
}

/// Messages that are queued again in one transaction, so that nobody else waits long for the writer.
const RETRY_ROWS: u32 = 1_000;

/// Try everything again that failed of an order, and nothing else. Of messages with the error `unknown` nobody knows whether
/// they arrived: a person decides about each.
#[utoipa::path(post, path = "/api/v1/events/{event}/sends/{send}/retry", operation_id = "retry_send", tag = "messages",
    params(("event" = String, Path), ("send" = String, Path)),
    security(("organiser_cookie" = []), ("api_token" = [])),
    responses((status = 202, body = SendRetried), (status = 404, body = Body), (status = "default", body = Body)))]
pub(super) async fn retry_send(
    Shared(api): Shared<Api>,
    organiser: Organiser,
    Path((event, send)): Path<(EventId, SendId)>,
) -> Result<(StatusCode, Json<SendRetried>), Problem> {
    let _allowed = organiser.may(&api, Organise { event })?;
    sends::get(&api.db, event, send).await?.ok_or_else(Problem::not_found)?;
    let now = api.clock.now();
    let mut retried = 0;
    let mut after = None;
    // Once through the order: what fails again meanwhile waits for the next press of the button.
    loop {
        let mut tx = api.db.write().await?;
        // As above.
        events::lock(&mut tx, event).await?;
        let tried = messages::retry_failed(&mut tx, (event, send), after, now, RETRY_ROWS).await?;
        let Some(last) = tried.last().copied() else { break };
        let count = u32::try_from(tried.len()).unwrap_or(u32::MAX);
        let fact = Fact::SendRetried { event, send, count };
        facts::append(&mut tx, &api.random, now, organiser.0.actor, fact).await?;
        tx.commit().await?;
        hint(&api, event);
        retried += u64::from(count);
        after = Some(last);
    }
    Ok((StatusCode::ACCEPTED, Json(SendRetried { retried })))
}

// What went out.

/// Which messages to list.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct MessageSearch {
    /// Of this order.
    #[param(value_type = Option<String>)]
    send: Option<SendId>,
    /// That stand here.
    #[param(value_type = Option<String>)]
    state: Option<State>,
    /// To this invitee.
    #[param(value_type = Option<String>)]
    invitation: Option<InvitationId>,
    /// Entries at most: 1 to 100, by default 50.
    #[param(minimum = 1, maximum = 100, default = 50)]
    limit: Option<u32>,
    /// `next_cursor` of the page before.
    cursor: Option<String>,
}

/// The messages of an event.
#[utoipa::path(get, path = "/api/v1/events/{event}/messages", operation_id = "list_messages", tag = "messages",
    params(("event" = String, Path), MessageSearch), security(("organiser_cookie" = []), ("api_token" = [])),
    responses((status = 200, body = Page<MessageView>), (status = "default", body = Body)))]
pub(super) async fn list_messages(
    Shared(api): Shared<Api>,
    organiser: Organiser,
    Path(event): Path<EventId>,
    Query(search): Query<MessageSearch>,
) -> Result<Json<Page<MessageView>>, Problem> {
    let _allowed = organiser.may(&api, Look { event })?;
    room(&api, event)?;
    let people = organiser.may(&api, SeePeople { event }).is_ok();
    let MessageSearch { send, state, invitation, limit, cursor } = search;
    let paging = Paging { limit, cursor };
    let limit = paging.limit()?;
    let filter = Filter { send, invitation, state };
    let rows = messages::list(&api.db, event, filter, paging.cursor()?, limit + 1).await?;
    let views = rows.into_iter().map(|row| message_view(&api, row, people)).collect::<Result<Vec<_>, _>>()?;
    Ok(Json(Page::of(views, limit, |view| view.id.to_string(), |view| view)))
}

/// Try a message again that failed. With the error `unknown` it may have arrived: then it arrives twice.
#[utoipa::path(post, path = "/api/v1/events/{event}/messages/{message}/retry", operation_id = "retry_message",
    tag = "messages", params(("event" = String, Path), ("message" = String, Path)),
    security(("organiser_cookie" = []), ("api_token" = [])),
    responses((status = 202, body = MessageView), (status = 409, body = Body), (status = "default", body = Body)))]
pub(super) async fn retry_message(
    Shared(api): Shared<Api>,
    organiser: Organiser,
    Path((event, id)): Path<(EventId, MessageId)>,
) -> Result<(StatusCode, Json<MessageView>), Problem> {
    let _allowed = organiser.may(&api, Organise { event })?;
    let now = api.clock.now();
    messages::get(&api.db, event, id).await?.ok_or_else(Problem::not_found)?;
    let mut tx = api.db.write().await?;
    if !messages::retry(&mut tx, event, id, now).await? {
        return Err(Problem::new(
            StatusCode::CONFLICT,
            "not_failed",
            "Only a message that was not sent can be tried again.",
        ));
    }
    let fact = Fact::MessageOrdered { event, message: id };
    facts::append(&mut tx, &api.random, now, organiser.0.actor, fact).await?;
    tx.commit().await?;
    hint(&api, event);
    let listed = messages::get(&api.db, event, id).await?.ok_or_else(Problem::not_found)?;
    Ok((StatusCode::ACCEPTED, Json(message_view(&api, listed, false)?)))
}

/// What an event's messages go through.
#[derive(Serialize, ToSchema)]
pub(super) struct Messaging {
    /// `outbox` (shown here, sent nowhere) or `twilio`.
    sms: &'static str,
    /// `outbox` or `smtp`.
    email: &'static str,
    /// Invitees who want no text messages.
    opted_out: u64,
    /// Messages per second.
    per_second: u32,
    /// What the event has spent, in thousandths.
    spent_milli: u64,
    /// What it may spend, in thousandths; absent for anything.
    budget_milli: Option<u64>,
    /// What a segment costs by default, in thousandths.
    price_milli: u64,
    /// Whether the gateway's reports of delivery can reach this server.
    reports: bool,
}

/// What messages of an event go through, and what they cost so far.
#[utoipa::path(get, path = "/api/v1/events/{event}/messaging", operation_id = "read_messaging", tag = "messages",
    params(("event" = String, Path)), security(("organiser_cookie" = []), ("api_token" = [])),
    responses((status = 200, body = Messaging), (status = "default", body = Body)))]
pub(super) async fn messaging(
    Shared(api): Shared<Api>,
    organiser: Organiser,
    Path(event): Path<EventId>,
) -> Result<Json<Messaging>, Problem> {
    let _allowed = organiser.may(&api, Look { event })?;
    let policy = room(&api, event)?.policy();
    let twilio = api.config.sms.gateway == SmsGateway::Twilio;
    Ok(Json(Messaging {
        sms: if twilio { "twilio" } else { "outbox" },
        email: if api.config.email.url.is_some() { "smtp" } else { "outbox" },
        opted_out: opt_outs::of_event(&api.db, event).await?,
        per_second: policy.messages.per_second,
        spent_milli: messages::spent(&api.db, event).await?,
        budget_milli: policy.messages.budget_milli,
        price_milli: if twilio { api.config.sms.price_milli } else { 0 },
        reports: twilio && api.config.http.public_url.is_some(),
    }))
}

fn hint(api: &Api, event: EventId) {
    api.bus.hint(Hint::Event(event, Topic::Messages));
}
