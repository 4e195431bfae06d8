//! Errors as the client sees them: RFC 9457 with a stable code and a kind sentence. The cause goes to the log, here and
//! nowhere else.

use std::time::Duration;

use axum::extract::Request;
use axum::response::{IntoResponse, Response};
use http::header::{CACHE_CONTROL, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderValue, StatusCode};
use serde::Serialize;
use stagedoor_domain::access::Denied;
use utoipa::ToSchema;

use crate::access::RevealError;
use crate::ports::db::DbError;

/// An error answer.
#[derive(Debug)]
pub(super) struct Problem {
    status: StatusCode,
    retry_after: Option<Duration>,
    body: Box<Body>,
}

/// What went wrong.
///
/// # Source
///
/// RFC 9457. `type` is always `about:blank`: the `code` is what programs act on.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Problem)]
pub(super) struct Body {
    /// Always `about:blank`.
    #[serde(rename = "type")]
    kind: &'static str,
    /// The HTTP status in words.
    title: &'static str,
    /// The HTTP status.
    status: u16,
    /// A sentence for a person.
    detail: String,
    /// A stable name for programs.
    code: &'static str,
    /// What is wrong with single fields.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(required = false)]
    errors: Vec<FieldError>,
    /// With `proof_required`: what to solve.
    #[serde(skip_serializing_if = "Option::is_none")]
    challenge: Option<String>,
    /// With `proof_required`: how many leading zero bits SHA-256 of `challenge:nonce` must have.
    #[serde(skip_serializing_if = "Option::is_none")]
    bits: Option<u32>,
    /// With `second_factor_required` and `new_password_required`: stands for the password that was right.
    #[serde(skip_serializing_if = "Option::is_none")]
    ticket: Option<String>,
    /// With `second_factor_required`: which they have, of `totp`, `passkey` and `recovery`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(required = false)]
    methods: Vec<&'static str>,
}

/// What is wrong with one field.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct FieldError {
    /// Which one: a JSON pointer into the body.
    pub(super) pointer: String,
    /// A sentence for a person.
    pub(super) detail: String,
}

impl Problem {
    pub(super) fn new(status: StatusCode, code: &'static str, detail: impl Into<String>) -> Self {
        let body = Body {
            kind: "about:blank",
            title: status.canonical_reason().unwrap_or("Error"),
            status: status.as_u16(),
            detail: detail.into(),
            code,
            errors: Vec::new(),
            challenge: None,
            bits: None,
            ticket: None,
            methods: Vec::new(),
        };
        Self { status, retry_after: None, body: Box::new(body) }
    }

    pub(super) fn not_found() -> Self {
        Self::new(StatusCode::NOT_FOUND, "not_found", "There is nothing here, or it is gone.")
    }

    pub(super) fn signed_out() -> Self {
        Self::new(StatusCode::UNAUTHORIZED, "signed_out", "Sign in first.")
    }

    pub(super) fn invalid(errors: Vec<FieldError>) -> Self {
        let mut problem = Self::new(StatusCode::UNPROCESSABLE_ENTITY, "invalid", "Some fields are not right.");
        problem.body.errors = errors;
        problem
    }

    pub(super) fn field(pointer: &str, detail: impl Into<String>) -> Self {
        Self::invalid(vec![FieldError { pointer: pointer.to_owned(), detail: detail.into() }])
    }

    pub(super) fn unavailable() -> Self {
        Self::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "unavailable",
            "This cannot be done at the moment. Try again in a few seconds.",
        )
        .retry_after(Duration::from_secs(2))
    }

    /// Whether trying again in a moment may work.
    pub(super) fn passes(&self) -> bool {
        self.status == StatusCode::SERVICE_UNAVAILABLE
    }

    pub(super) fn internal() -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", "Something went wrong on our side.")
    }

    pub(super) fn retry_after(mut self, wait: Duration) -> Self {
        self.retry_after = Some(wait);
        self
    }

    pub(super) fn ticket(mut self, ticket: &str, methods: Vec<&'static str>) -> Self {
        self.body.ticket = Some(ticket.to_owned());
        self.body.methods = methods;
        self
    }

    pub(super) fn challenge(mut self, challenge: String, bits: u32) -> Self {
        self.body.challenge = Some(challenge);
        self.body.bits = Some(bits);
        self
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        // Strings and numbers: it cannot fail.
        let json = serde_json::to_vec(&self.body).unwrap_or_default();
        let mut response = (self.status, json).into_response();
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if self.status == StatusCode::UNAUTHORIZED {
            headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer realm=\"stagedoor\""));
        }
        if let Some(wait) = self.retry_after {
            let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
            headers.insert(RETRY_AFTER, HeaderValue::from(seconds.max(1)));
        }
        response
    }
}

impl From<DbError> for Problem {
    fn from(error: DbError) -> Self {
        match error {
            DbError::Gone => return Self::not_found(),
            DbError::Unavailable(_) => {
                tracing::warn!(error = &error as &dyn std::error::Error, "the database is not available");
                return Self::unavailable();
            }
            _ => tracing::error!(error = &error as &dyn std::error::Error, "a request failed"),
        }
        Self::internal()
    }
}

impl From<Denied> for Problem {
    fn from(denied: Denied) -> Self {
        match denied {
            Denied::Unknown | Denied::Expired | Denied::Ended | Denied::OldEpoch => Self::signed_out(),
            Denied::OutOfReach => Self::not_found(),
            Denied::StepUp => {
                let detail = "You signed in a while ago. Show again that it is you.";
                Self::new(StatusCode::FORBIDDEN, "confirm_sign_in", detail)
            }
            Denied::RoleTooLow => {
                let detail = "Your role, or the scopes of your token, do not allow this. Ask an administrator.";
                Self::new(StatusCode::FORBIDDEN, "role_too_low", detail)
            }
            Denied::WrongCredential
            | Denied::OtherStream
            | Denied::CountryRefused
            | Denied::NetworkRefused
            | Denied::CodeInUse
            | Denied::Blocked
            | Denied::UsedUp
            | Denied::Silent
            | Denied::NotNow => {
                Self::new(StatusCode::FORBIDDEN, "forbidden", "This is not allowed with what you signed in with.")
            }
        }
    }
}

impl From<RevealError> for Problem {
    fn from(error: RevealError) -> Self {
        match error {
            RevealError::Db(error) => error.into(),
            RevealError::Unopenable(error) => {
                tracing::error!(error = &error as &dyn std::error::Error, "a request failed");
                Self::internal()
            }
        }
    }
}

/// The answer for a path with another method; the router adds `Allow`.
pub(super) async fn method_not_allowed(request: Request) -> Problem {
    let detail = format!("{} is not possible here.", request.method());
    Problem::new(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", detail)
}
