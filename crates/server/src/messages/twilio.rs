//! Text messages through Twilio.
//!
//! # Source
//!
//! Twilio, "Messages resource" (API version 2010-04-01), "Error and warning dictionary", "Twilio API responses" (429 and
//! `Retry-After`). Two choices of ours: `SmartEncoded` is off, so that a listed body is the one that was sent; and the
//! list is asked by `To` alone and filtered by `date_created`, because a message that still waits at Twilio has no
//! `date_sent` and would not be listed by it.

use std::time::Duration;

use futures_util::future::BoxFuture;
use http::StatusCode;
use http::header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap, RETRY_AFTER};
use reqwest::Url;
use serde::Deserialize;
use stagedoor_domain::message::Failure;

use super::gateway::{Found, Gateway, Letter, Outcome, SEND_MAX};
use crate::config::{self, Hidden};

/// How long Twilio may think about a request. What it says later nobody hears: then the message is looked for.
const ANSWER_MAX: Duration = Duration::from_secs(25);
const _: () = assert!(ANSWER_MAX.as_secs() < SEND_MAX.as_secs(), "who waits for the gateway waits longer than it does");

/// Messages of one number that are looked through: far more than one event sends to anybody in an hour.
const LISTED: &str = "50";
/// How far Twilio's clock may be behind ours when its list is read.
const SKEW: Duration = Duration::from_secs(300);
/// Bytes of an answer at most: fifty messages of ten segments.
const ANSWER_BYTES_MAX: usize = 1 << 20;

/// The account that messages are sent from.
pub struct Twilio {
    client: reqwest::Client,
    messages: Url,
    answer_max: Duration,
    authorization: Hidden,
    from: Sender,
    callback: Option<String>,
}

impl std::fmt::Debug for Twilio {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Twilio(****)")
    }
}

#[derive(Debug)]
enum Sender {
    Number(String),
    Service(String),
}

/// What `[sms]` lacks.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "each message says what it is and what to do")]
pub enum TwilioError {
    #[error("sms.gateway is twilio, but {0} is not set")]
    Missing(&'static str),
    #[error("sms.auth_token_file cannot be read")]
    File(#[source] std::io::Error),
    #[error("sms.base_url is no address")]
    Url,
    #[error("no connections can be made")]
    Client(#[source] reqwest::Error),
}

#[derive(Deserialize)]
struct Accepted {
    sid: String,
}

#[derive(Deserialize)]
struct Refusal {
    #[serde(default)]
    code: u32,
}

#[derive(Deserialize)]
struct Listing {
    messages: Vec<Listed>,
}

#[derive(Deserialize)]
struct Listed {
    sid: String,
    #[serde(default)]
    body: Option<String>,
    /// RFC 2822: `Fri, 20 Nov 2026 19:30:00 +0000`.
    #[serde(default)]
    date_created: Option<String>,
}

impl Twilio {
    /// The account of `[sms]`. Reports come to `public_url`; without one there are none.
    ///
    /// # Errors
    ///
    /// [`TwilioError`], in words for the operator.
    pub fn new(sms: &config::Sms, public_url: Option<&str>) -> Result<Self, TwilioError> {
        use base64::Engine as _;
        let account = sms.account_sid.as_deref().ok_or(TwilioError::Missing("sms.account_sid"))?;
        let token = sms.secret().map_err(TwilioError::File)?.ok_or(TwilioError::Missing("sms.auth_token"))?;
        let from = match (&sms.messaging_service_sid, &sms.from) {
            (Some(service), _) => Sender::Service(service.clone()),
            (None, Some(number)) => Sender::Number(number.clone()),
            (None, None) => return Err(TwilioError::Missing("sms.from")),
        };
        let messages = format!("{}/2010-04-01/Accounts/{account}/Messages.json", sms.base_url.trim_end_matches('/'));
        let client = reqwest::Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            // Repeating is decided in one place, and that is not here.
            .retry(reqwest::retry::never())
            .connect_timeout(Duration::from_secs(10))
            .build()
            .map_err(TwilioError::Client)?;
        let pair = base64::engine::general_purpose::STANDARD.encode(format!("{account}:{}", token.expose()));
        Ok(Self {
            client,
            messages: messages.parse().map_err(|_| TwilioError::Url)?,
            answer_max: ANSWER_MAX,
            authorization: Hidden::new(format!("Basic {pair}")),
            from,
            callback: public_url.map(|url| format!("{}/hooks/twilio/status", url.trim_end_matches('/'))),
        })
    }

    /// The same, with less patience than [`ANSWER_MAX`].
    #[cfg(test)]
    pub(super) fn impatient(self, answer_max: Duration) -> Self {
        Self { answer_max, ..self }
    }

    fn form(&self, letter: &Letter) -> String {
        let mut form = self.messages.clone();
        {
            let mut pairs = form.query_pairs_mut();
            pairs.append_pair("To", letter.to.expose());
            match &self.from {
                Sender::Number(number) => pairs.append_pair("From", number),
                Sender::Service(service) => pairs.append_pair("MessagingServiceSid", service),
            };
            pairs.append_pair("Body", letter.body.expose()).append_pair("SmartEncoded", "false");
            if let Some(callback) = &self.callback {
                // With our own name of the message: a report may come before the answer that tells Twilio's.
                pairs.append_pair("StatusCallback", &format!("{callback}?message={}", letter.id));
            }
        }
        form.query().unwrap_or_default().to_owned()
    }

    async fn post(&self, letter: &Letter) -> Outcome {
        let request = self
            .client
            .post(self.messages.clone())
            .timeout(self.answer_max)
            .header(AUTHORIZATION, self.authorization.expose())
            .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
            .body(self.form(letter));
        match request.send().await {
            // No connection, no request.
            Err(error) if error.is_connect() => Outcome::Later { after: None },
            Err(error) => {
                tracing::warn!(message = %letter.id, kind = kind(&error), "Twilio broke off");
                Outcome::Unknown
            }
            Ok(response) => {
                let (status, headers) = (response.status(), response.headers().clone());
                let body = bounded(response).await;
                outcome(status, &headers, body.as_deref(), letter)
            }
        }
    }

    async fn list(&self, letter: &Letter) -> Found {
        let mut url = self.messages.clone();
        url.query_pairs_mut().append_pair("To", letter.to.expose()).append_pair("PageSize", LISTED);
        let request = self.client.get(url).timeout(self.answer_max).header(AUTHORIZATION, self.authorization.expose());
        let listing = match request.send().await {
            Ok(response) if response.status() == StatusCode::OK => bounded(response).await,
            _ => None,
        };
        let Some(listing) = listing.and_then(|body| serde_json::from_slice::<Listing>(&body).ok()) else {
            return Found::NoAnswer;
        };
        let since = letter.claimed_at.millis() - i64::try_from(SKEW.as_millis()).unwrap_or(0);
        let ours = listing.messages.into_iter().find(|listed| {
            let fresh = listed.date_created.as_deref().and_then(rfc2822_ms).is_none_or(|created| created >= since);
            // A trial account puts a sentence of its own in front.
            fresh && listed.body.as_deref().is_some_and(|body| body.ends_with(letter.body.expose()))
        });
        ours.map_or(Found::No, |listed| Found::Yes { reference: Some(listed.sid) })
    }
}

impl Gateway for Twilio {
    fn send<'a>(&'a self, letter: &'a Letter) -> BoxFuture<'a, Outcome> {
        Box::pin(self.post(letter))
    }

    fn find<'a>(&'a self, letter: &'a Letter) -> BoxFuture<'a, Found> {
        Box::pin(self.list(letter))
    }
}

/// The answer's body; `None` when it breaks off or is too long.
async fn bounded(mut response: reqwest::Response) -> Option<Vec<u8>> {
    let mut body = Vec::new();
    while let Some(piece) = response.chunk().await.ok()? {
        if body.len() + piece.len() > ANSWER_BYTES_MAX {
            return None;
        }
        body.extend_from_slice(&piece);
    }
    Some(body)
}

/// What an error is, without the address in it.
fn kind(error: &reqwest::Error) -> &'static str {
    if error.is_timeout() {
        "timeout"
    } else if error.is_request() {
        "request"
    } else {
        "other"
    }
}

fn outcome(status: StatusCode, headers: &HeaderMap, body: Option<&[u8]>, letter: &Letter) -> Outcome {
    let code = || body.and_then(|body| serde_json::from_slice::<Refusal>(body).ok()).map_or(0, |refusal| refusal.code);
    let outcome = match status.as_u16() {
        200..=299 => {
            let accepted = body.and_then(|body| serde_json::from_slice::<Accepted>(body).ok());
            return Outcome::Sent { reference: accepted.map(|accepted| accepted.sid) };
        }
        429 => Outcome::Later { after: retry_after(headers) },
        401 | 403 => Outcome::Misconfigured,
        400 | 404 | 405 | 406 | 409..=428 | 430..=499 => match code() {
            // The person wrote STOP.
            21_610 => Outcome::Refused(Failure::OptedOut),
            // No number, not reachable, not a mobile one.
            21_211 | 21_214 | 21_217 | 21_612 | 21_614 => Outcome::Refused(Failure::BadAddress),
            // The sender is not ours, or cannot send text messages.
            20_003 | 20_404 | 21_212 | 21_603 | 21_606 | 21_659 | 21_701..=21_705 => Outcome::Misconfigured,
            // Too many requests, in the older spelling; the sender's queue is full.
            20_429 | 21_611 => Outcome::Later { after: retry_after(headers) },
            _ => Outcome::Refused(Failure::Refused),
        },
        // 408 and everything of the server's: it may have been taken before something broke.
        _ => Outcome::Unknown,
    };
    tracing::info!(message = %letter.id, status = status.as_u16(), code = code(), "Twilio did not take a message");
    outcome
}

fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let seconds = headers.get(RETRY_AFTER)?.to_str().ok()?.trim().parse().ok()?;
    Some(Duration::from_secs(seconds))
}

/// `Fri, 20 Nov 2026 19:30:00 +0000` in milliseconds since 1970; Twilio writes no other zone.
fn rfc2822_ms(text: &str) -> Option<i64> {
    const MONTHS: &str = "JanFebMarAprMayJunJulAugSepOctNovDec";
    let mut words = text.split_once(", ")?.1.split(' ');
    let (day, month, year, time) = (words.next()?, words.next()?, words.next()?, words.next()?);
    let month = MONTHS.find(month).filter(|at| month.len() == 3 && at % 3 == 0)? / 3 + 1;
    let (day, year): (u8, u16) = (day.parse().ok()?, year.parse().ok()?);
    let time: stagedoor_domain::Time = format!("{year:04}-{month:02}-{day:02}T{time}Z").parse().ok()?;
    Some(time.millis())
}

#[cfg(test)]
mod tests {
    use stagedoor_domain::Time;
    use stagedoor_domain::access::Secret;
    use stagedoor_domain::id::MessageId;

    use super::*;

    fn letter() -> Letter {
        Letter {
            id: MessageId::new(uuid::Uuid::from_u128(1)),
            to: Secret::new("+33612345678".into()),
            name: "Ada".into(),
            subject: None,
            body: Secret::new("Hello & welcome: €1".into()),
            claimed_at: Time::from_millis(0),
        }
    }

    fn answer(status: u16, body: &str) -> Outcome {
        outcome(StatusCode::from_u16(status).unwrap(), &HeaderMap::new(), Some(body.as_bytes()), &letter())
    }

    #[test]
    fn every_answer_has_one_meaning() {
        use Outcome::{Later, Misconfigured, Refused, Sent, Unknown};
        let refusal = |code: u32| format!(r#"{{"code":{code},"message":"x","more_info":"y","status":400}}"#);
        for (status, body, expected) in [
            (201, r#"{"sid":"SM1","status":"queued"}"#.to_owned(), Sent { reference: Some("SM1".into()) }),
            (201, "<html>".to_owned(), Sent { reference: None }),
            (400, refusal(21_610), Refused(Failure::OptedOut)),
            (400, refusal(21_211), Refused(Failure::BadAddress)),
            (400, refusal(21_614), Refused(Failure::BadAddress)),
            (400, refusal(21_606), Misconfigured),
            (400, refusal(21_408), Refused(Failure::Refused)),
            (400, "not json".to_owned(), Refused(Failure::Refused)),
            (401, refusal(20_003), Misconfigured),
            (404, refusal(20_404), Misconfigured),
            (429, refusal(20_429), Later { after: None }),
            (400, refusal(21_611), Later { after: None }),
            (408, String::new(), Unknown),
            (500, refusal(20_500), Unknown),
            (502, "<html>".to_owned(), Unknown),
            (503, String::new(), Unknown),
            (302, String::new(), Unknown),
        ] {
            assert_eq!(answer(status, &body), expected, "{status} {body}");
        }
        let mut headers = HeaderMap::new();
        headers.insert(RETRY_AFTER, "7".parse().unwrap());
        let busy = outcome(StatusCode::TOO_MANY_REQUESTS, &headers, None, &letter());
        assert_eq!(busy, Later { after: Some(Duration::from_secs(7)) });
    }

    #[test]
    fn dates_are_read() {
        assert_eq!(rfc2822_ms("Fri, 20 Nov 2026 19:30:00 +0000"), Some(1_795_203_000_000));
        assert_eq!(rfc2822_ms("Thu, 01 Jan 1970 00:00:01 +0000"), Some(1_000));
        for text in ["", "2026-11-20", "Fri, 20 Nob 2026 19:30:00 +0000", "Fri, 20 anF 2026 19:30:00 +0000", "Fri, "] {
            assert_eq!(rfc2822_ms(text), None, "{text}");
        }
    }

    #[test]
    fn what_is_missing_is_named_and_nothing_secret_is_shown() {
        let mut sms = config::Sms { gateway: config::SmsGateway::Twilio, ..config::Sms::default() };
        assert!(Twilio::new(&sms, None).unwrap_err().to_string().contains("sms.account_sid"));
        sms.account_sid = Some("AC1".into());
        assert!(Twilio::new(&sms, None).unwrap_err().to_string().contains("sms.auth_token"));
        sms.auth_token = Some(Hidden::new("tell-nobody"));
        assert!(Twilio::new(&sms, None).unwrap_err().to_string().contains("sms.from"));
        sms.from = Some("+15005550006".into());
        let twilio = Twilio::new(&sms, Some("https://stage.example.org/")).unwrap();
        let form = twilio.form(&letter());
        assert!(
            form.starts_with("To=%2B33612345678&From=%2B15005550006&Body=Hello+%26+welcome%3A+%E2%82%AC1&"),
            "{form}"
        );
        assert!(
            form.contains("StatusCallback=https%3A%2F%2Fstage.example.org%2Fhooks%2Ftwilio%2Fstatus%3Fmessage%3Dmsg_")
        );
        let shown = format!("{twilio:?}{:?}", letter());
        assert!(!shown.contains("tell") && !shown.contains("+336") && !shown.contains("welcome"), "{shown}");
    }
}
