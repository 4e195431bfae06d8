//! What gateways report. Each report is signed with a secret that only the gateway and we have; without the signature it
//! was never made.
//!
//! Reports come twice and in any order. A message only goes forward, so what is old changes nothing, and a report that
//! overtakes the answer to the request it is about counts as that answer.

use axum::extract::State as Shared;
use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, StatusCode, Uri};
use reqwest::Url;
use serde::Deserialize;
use stagedoor_domain::access::InvitationState;
use stagedoor_domain::fact::Fact;
use stagedoor_domain::id::MessageId;
use stagedoor_domain::message::{Failure, Inbound, State, inbound};
use stagedoor_domain::person::Phone;
use utoipa::IntoParams;

use super::Api;
use super::extract::{BaseUrl, Query};
use super::messages::unreadable;
use super::problem::{Body, Problem};
use crate::access::signed_by_twilio;
use crate::config::SmsGateway;
use crate::facts::{self, Actor};
use crate::ports::bus::{Hint, Topic};
use crate::ports::db::messages::{Message, Settled};
use crate::ports::db::{Tx, invitations, messages, opt_outs, sessions};

/// Fields of a report at most; Twilio sends about thirty.
const FIELDS_MAX: usize = 100;

/// A form that Twilio signed.
struct Report(Vec<(String, String)>);

impl Report {
    fn field(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// The form, if Twilio signed it for the address that it called.
    fn open(api: &Api, base: &str, uri: &Uri, headers: &HeaderMap, body: &Bytes) -> Result<Self, Problem> {
        let forged = || Problem::new(StatusCode::FORBIDDEN, "not_signed", "This is not signed by the gateway.");
        if api.config.sms.gateway != SmsGateway::Twilio {
            return Err(Problem::not_found());
        }
        let secret = api.config.sms.secret().ok().flatten().ok_or_else(forged)?;
        let signature = headers.get("x-twilio-signature").and_then(|value| value.to_str().ok()).ok_or_else(forged)?;
        let text = std::str::from_utf8(body).map_err(|_| forged())?;
        let mut form: Url = "http://form.invalid".parse().map_err(|_| Problem::internal())?;
        form.set_query(Some(text));
        let fields: Vec<_> =
            form.query_pairs().take(FIELDS_MAX).map(|(name, value)| (name.into_owned(), value.into_owned())).collect();
        let called = format!("{base}{}", uri.path_and_query().map_or("", |path| path.as_str()));
        if signed_by_twilio(secret.expose(), &called, &fields, signature) { Ok(Self(fields)) } else { Err(forged()) }
    }
}

/// Which message a report is about.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct About {
    /// As we named it when we sent it.
    #[param(value_type = String)]
    message: MessageId,
}

/// Twilio reports what became of a message.
#[utoipa::path(post, path = "/hooks/twilio/status", operation_id = "twilio_status", tag = "messages", params(About),
    request_body(content = String, content_type = "application/x-www-form-urlencoded"),
    responses((status = 204, description = "Noted"), (status = 403, body = Body), (status = "default", body = Body)))]
pub(super) async fn twilio_status(
    Shared(api): Shared<Api>,
    BaseUrl(base): BaseUrl,
    Query(about): Query<About>,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Result<StatusCode, Problem> {
    let report = Report::open(&api, &base, &uri, &headers, &body)?;
    let (to, failure) = match report.field("MessageStatus") {
        Some("sent") => (State::Sent, None),
        Some("delivered" | "read") => (State::Delivered, None),
        Some("failed" | "undelivered" | "canceled") => match report.field("ErrorCode") {
            Some("21610") => (State::Suppressed, Some(Failure::OptedOut)),
            _ => (State::Failed, Some(Failure::Undelivered)),
        },
        // On its way: Twilio has it, which the answer to our request says as well.
        Some("accepted" | "queued" | "sending" | "scheduled") => (State::Sent, None),
        _ => return Ok(StatusCode::NO_CONTENT),
    };
    let reference = report.field("MessageSid");
    let Some((event, invitee)) = messages::about(&api.db, about.message).await? else {
        return Ok(StatusCode::NO_CONTENT);
    };
    let now = api.clock.now();
    let mut tx = api.db.write().await?;
    // In the order of rows: whoever gives a new code holds the same ones.
    messages::wake(&mut tx, event, now).await?;
    if let Some(invitation) = invitee {
        sessions::hold_invitation(&mut tx, invitation).await?;
    }
    let Some(message) = messages::lock(&mut tx, about.message).await? else { return Ok(StatusCode::NO_CONTENT) };
    if of_another_attempt(&message, reference, to) || !forward(&message, to) {
        return Ok(StatusCode::NO_CONTENT);
    }
    let settled = Settled {
        failure,
        reference: reference.map(str::to_owned),
        sent_at: message.sent_at.is_none().then_some(now),
        payload: kept(&api, &mut tx, &message, to).await?,
        ..Settled::default()
    };
    if messages::settle(&mut tx, &message, to, settled).await? {
        let id = message.id;
        let (fact, step) = match (to, failure) {
            (State::Delivered, _) => (Fact::MessageDelivered { event, message: id }, InvitationState::Delivered),
            (_, Some(reason)) => (Fact::MessageFailed { event, message: id, reason }, InvitationState::Failed),
            _ => (Fact::MessageSent { event, message: id }, InvitationState::Sent),
        };
        facts::append(&mut tx, &api.random, now, Actor::System, fact).await?;
        if let Some(invitation) = message.invitation
            && message.kind.has_template()
        {
            let detail = failure.map_or(message.channel.as_str(), Failure::as_str);
            invitations::advance_code(&mut tx, invitation, message.code_generation, step, now, detail).await?;
        }
        tx.commit().await?;
        api.bus.hint(Hint::Event(event, Topic::Messages));
        api.bus.hint(Hint::Event(event, Topic::Invitations));
    }
    Ok(StatusCode::NO_CONTENT)
}

/// Whether a report says nothing about the attempt that counts. A message that is tried again keeps the name of the attempt
/// before until the gateway gives it a new one: what became of that attempt is known, unless it did arrive after all. Then
/// the new one is not needed.
fn of_another_attempt(message: &Message, reference: Option<&str>, to: State) -> bool {
    let Some(known) = message.reference.as_deref() else { return false };
    let same = reference == Some(known);
    match message.state {
        State::Queued | State::Sending if same => to != State::Delivered,
        // A name that we have not heard yet is the new one's, whose answer is on its way.
        State::Sending => false,
        _ => !same,
    }
}

/// Whether the report is news. That something was taken is none for what was given up as undelivered.
fn forward(message: &Message, to: State) -> bool {
    let stale = message.state == State::Failed && message.failure == Some(Failure::Undelivered) && to == State::Sent;
    message.state.may_become(to) && !stale
}

/// What stays of a message. Of one that the gateway tells about before it has answered our request, that is whom it went
/// to, as of any other: what it said was needed to look for it.
async fn kept(api: &Api, tx: &mut Tx, message: &Message, to: State) -> Result<Option<Vec<u8>>, Problem> {
    match (message.state, to) {
        (State::Sent, _) => Ok(message.payload.clone()),
        (State::Sending, State::Sent | State::Delivered) => {
            api.access.only_address(tx, message).await.map_err(unreadable)
        }
        _ => Ok(None),
    }
}

/// Somebody answered a message: STOP, START, or anything else, which nobody reads.
#[utoipa::path(post, path = "/hooks/twilio/inbound", operation_id = "twilio_inbound", tag = "messages",
    request_body(content = String, content_type = "application/x-www-form-urlencoded"),
    responses((status = 200, description = "An empty answer in TwiML", body = String, content_type = "text/xml"),
        (status = 403, body = Body), (status = "default", body = Body)))]
pub(super) async fn twilio_inbound(
    Shared(api): Shared<Api>,
    BaseUrl(base): BaseUrl,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Result<impl axum::response::IntoResponse, Problem> {
    let report = Report::open(&api, &base, &uri, &headers, &body)?;
    let phone = report.field("From").and_then(|from| from.parse::<Phone>().ok());
    let asked = inbound(report.field("Body").unwrap_or_default(), report.field("OptOutType"));
    if let (Some(phone), Inbound::Stop | Inbound::Start) = (phone, asked) {
        let mut tx = api.db.write().await?;
        match asked {
            Inbound::Stop => opt_outs::add(&mut tx, api.access.phone_hash(&phone), api.clock.now()).await?,
            _ => opt_outs::remove(&mut tx, &api.access.phone_hashes(&phone)).await?,
        }
        tx.commit().await?;
    }
    // Twilio itself confirms STOP and START and answers HELP; an answer of ours would be a second one.
    let empty = r#"<?xml version="1.0" encoding="UTF-8"?><Response/>"#;
    Ok(([(CONTENT_TYPE, "text/xml")], empty))
}
