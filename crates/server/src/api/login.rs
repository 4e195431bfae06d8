//! Signing in: password, second factor, passkey, identity provider; and confirming that it is still you.

use axum::extract::State;
use axum::response::{AppendHeaders, IntoResponse, Redirect, Response};
use http::header::SET_COOKIE;
use http::{HeaderMap, StatusCode};
use serde::{Deserialize, Serialize};
use stagedoor_domain::access::{Profile, Secret};
use utoipa::{IntoParams, ToSchema};

use super::Api;
use super::account::{User, set_cookie};
use super::extract::{
    Arriving, BaseUrl, FAMILIAR_COOKIE, ForeignQuery, Json, Organiser, PROVIDER_COOKIE, USER_COOKIE, cookie,
};
use super::problem::{Body, Problem};
use crate::access::{
    FactorRefused, Options, PASSWORD_BYTES_MAX, PASSWORD_CHARS_MIN, ProviderRefused, PublicKeyCredential, Return,
    Returned, Shown, SignIn, SignInRefused, SignedIn, is_good_password, passkeys_work_at,
};
use crate::ports::oidc::OidcError;

/// Where the identity provider sends people back to.
const CALLBACK: &str = "/api/v1/login/provider/callback";

/// What somebody types to sign in.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Credentials {
    /// The account's name.
    username: String,
    /// Its password.
    #[schema(format = Password, max_length = 256)]
    password: String,
}

/// The ways in.
#[derive(Serialize, ToSchema)]
pub(super) struct Ways {
    /// Whether passkeys work here: they belong to a name, not to an address.
    passkeys: bool,
    /// The identity provider, if there is one.
    provider: Option<ProviderWay>,
}

/// The identity provider.
#[derive(Serialize, ToSchema)]
pub(super) struct ProviderWay {
    /// What the button says.
    name: String,
}

/// Which ways to sign in there are.
#[utoipa::path(get, path = "/api/v1/login", tag = "account", operation_id = "ways_to_sign_in", security(()),
    responses((status = 200, body = Ways), (status = "default", body = Body)))]
pub(super) async fn ways(State(api): State<Api>, BaseUrl(base): BaseUrl) -> Json<Ways> {
    let provider = api.access.provider_name().map(|name| ProviderWay { name: name.to_owned() });
    Json(Ways { passkeys: passkeys_work_at(&base), provider })
}

fn refused(refused: SignInRefused) -> Problem {
    match refused {
        SignInRefused::Wrong => {
            Problem::new(StatusCode::UNAUTHORIZED, "wrong_credentials", "The name or the password is wrong.")
        }
        SignInRefused::TooLate => too_late(),
        SignInRefused::TooMany { retry_after } => {
            let detail = "Too many wrong passwords from your network. Wait a moment and try again.";
            Problem::new(StatusCode::TOO_MANY_REQUESTS, "too_many_attempts", detail).retry_after(retry_after)
        }
        SignInRefused::Busy => Problem::unavailable(),
        SignInRefused::Db(error) => error.into(),
    }
}

fn too_late() -> Problem {
    Problem::new(StatusCode::UNAUTHORIZED, "too_late", "This took too long, or was tried too often. Begin again.")
}

/// A second factor that is not right is told apart from a password that is not: whoever sees it knows the password.
fn second_refused(reason: SignInRefused) -> Problem {
    match reason {
        SignInRefused::Wrong => {
            Problem::new(StatusCode::UNAUTHORIZED, "wrong_second_factor", "This is not right, or was used before.")
        }
        other => refused(other),
    }
}

pub(super) fn factor_refused(refused: FactorRefused) -> Problem {
    match refused {
        FactorRefused::Wrong => {
            Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "wrong_second_factor", "This is not right.")
        }
        FactorRefused::TooLate => Problem::new(StatusCode::CONFLICT, "too_late", "This took too long. Begin again."),
        FactorRefused::NoName => {
            let detail = "Passkeys belong to a name. Open this page by its name instead of its address.";
            Problem::new(StatusCode::CONFLICT, "passkeys_need_a_name", detail)
        }
        FactorRefused::TooMany => Problem::new(StatusCode::CONFLICT, "too_many", "Remove one first."),
        FactorRefused::Unopenable(error) => {
            tracing::error!(error = &error as &dyn std::error::Error, "a second factor cannot be opened");
            Problem::internal()
        }
        FactorRefused::Db(error) => error.into(),
    }
}

async fn signed_in(api: &Api, signed_in: &SignedIn, base: &str) -> Result<Response, Problem> {
    let age = signed_in.max_age.as_secs();
    let cookie = set_cookie(USER_COOKIE, signed_in.cookie.expose(), "/", age, base);
    let age = signed_in.familiar_age.as_secs();
    let familiar = set_cookie(FAMILIAR_COOKIE, signed_in.familiar.expose(), "/api/v1/login", age, base);
    let cookies = AppendHeaders([(SET_COOKIE, cookie), (SET_COOKIE, familiar)]);
    Ok((cookies, Json(User::of(api, &signed_in.who).await?)).into_response())
}

async fn next_step(api: &Api, step: SignIn, base: &str) -> Result<Response, Problem> {
    match step {
        SignIn::Done(done) => signed_in(api, &done, base).await,
        SignIn::SecondFactor { ticket, factors } => {
            let methods = [("totp", factors.totp), ("passkey", factors.passkey), ("recovery", factors.recovery)];
            let methods = methods.into_iter().filter(|(_, has)| *has).map(|(name, _)| name).collect();
            let detail = "The password is right. Now show your second factor.";
            Err(Problem::new(StatusCode::UNAUTHORIZED, "second_factor_required", detail)
                .ticket(ticket.expose(), methods))
        }
        SignIn::NewPassword { ticket } => {
            let detail = "This password was good once. Choose your own.";
            Err(Problem::new(StatusCode::UNAUTHORIZED, "new_password_required", detail)
                .ticket(ticket.expose(), Vec::new()))
        }
    }
}

/// Sign in: the answer sets the cookie that says so for a week.
///
/// Whoever has a second factor is answered 401 `second_factor_required` with a `ticket` and the `methods` they have;
/// whoever has a password that somebody else has seen, 401 `new_password_required` with a `ticket`.
#[utoipa::path(post, path = "/api/v1/login", tag = "account", security(()), request_body = Credentials, responses(
    (status = 200, body = User),
    (status = 401, body = Body, description = "`wrong_credentials`, `second_factor_required`, `new_password_required`"),
    (status = 429, body = Body, description = "`too_many_attempts`, with `Retry-After`"),
    (status = "default", body = Body),
))]
pub(super) async fn login(
    State(api): State<Api>,
    arriving: Arriving,
    BaseUrl(base): BaseUrl,
    Json(credentials): Json<Credentials>,
) -> Result<Response, Problem> {
    let step = api.access.sign_in(&credentials.username, &credentials.password, arriving.arrival()).await;
    next_step(&api, step.map_err(refused)?, &base).await
}

/// A second factor, with the ticket of the right password. Either of the two codes.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct SecondFactor {
    /// From the answer to the password.
    ticket: String,
    /// A one-time password from an app: six digits.
    totp: Option<String>,
    /// A recovery code.
    recovery: Option<String>,
}

/// Sign in, second step: a one-time password or a recovery code. For a passkey, see `/login/passkey`.
#[utoipa::path(post, path = "/api/v1/login/second-factor", tag = "account", security(()),
    request_body = SecondFactor, responses(
    (status = 200, body = User),
    (status = 401, body = Body, description = "`wrong_second_factor`, or `too_late`: begin again"),
    (status = 429, body = Body, description = "`too_many_attempts`, with `Retry-After`"),
    (status = "default", body = Body),
))]
pub(super) async fn second_factor(
    State(api): State<Api>,
    arriving: Arriving,
    BaseUrl(base): BaseUrl,
    Json(factor): Json<SecondFactor>,
) -> Result<Response, Problem> {
    let shown = match (&factor.totp, &factor.recovery) {
        (Some(code), None) => Shown::Totp(code),
        (None, Some(code)) => Shown::Recovery(code),
        _ => return Err(Problem::field("/totp", "Send either totp or recovery.")),
    };
    let done = api.access.second_factor(&factor.ticket, shown, arriving.arrival()).await.map_err(second_refused)?;
    signed_in(&api, &done, &base).await
}

pub(super) fn good_password(pointer: &str, password: &str) -> Result<(), Problem> {
    if is_good_password(password) {
        return Ok(());
    }
    let detail =
        format!("A password has {PASSWORD_CHARS_MIN} characters at least and {PASSWORD_BYTES_MAX} bytes at most.");
    Err(Problem::field(pointer, detail))
}

/// A password of one's own, with the ticket of the one that was good once.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct OwnPassword {
    /// From the answer to the password that was good once.
    ticket: String,
    /// Twelve characters or more.
    #[schema(format = Password, min_length = 12, max_length = 256)]
    password: String,
}

/// Sign in with a password that was good once: choose your own. A second factor is asked for afterwards.
#[utoipa::path(post, path = "/api/v1/login/password", tag = "account", operation_id = "choose_password", security(()),
    request_body = OwnPassword, responses(
    (status = 200, body = User),
    (status = 401, body = Body, description = "`too_late`, or `second_factor_required`"),
    (status = 422, body = Body),
    (status = "default", body = Body),
))]
pub(super) async fn choose_password(
    State(api): State<Api>,
    arriving: Arriving,
    BaseUrl(base): BaseUrl,
    Json(own): Json<OwnPassword>,
) -> Result<Response, Problem> {
    good_password("/password", &own.password)?;
    let step = api.access.choose_password(&own.ticket, &own.password, arriving.arrival()).await;
    next_step(&api, step.map_err(refused)?, &base).await
}

/// Whose passkey is asked for.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct PasskeyQuestion {
    /// From the answer to a right password: only that account's passkeys are asked for. Absent, any passkey of this site
    /// says who it is.
    ticket: Option<String>,
}

/// What a page calls `navigator.credentials.get` with.
#[derive(Serialize, ToSchema)]
pub(super) struct PasskeyChallenge {
    /// Names the challenge; send it back with the answer.
    challenge: String,
    /// As the Web Authentication standard writes it in JSON.
    #[schema(value_type = Object)]
    options: Options,
}

impl From<(Secret, Options)> for PasskeyChallenge {
    fn from((challenge, options): (Secret, Options)) -> Self {
        Self { challenge: challenge.expose().to_owned(), options }
    }
}

/// Ask for a passkey.
#[utoipa::path(post, path = "/api/v1/login/passkey/start", tag = "account", operation_id = "ask_passkey", security(()),
    request_body = PasskeyQuestion, responses(
    (status = 200, body = PasskeyChallenge),
    (status = 409, body = Body, description = "`passkeys_need_a_name`"),
    (status = "default", body = Body),
))]
pub(super) async fn ask_passkey(
    State(api): State<Api>,
    arriving: Arriving,
    BaseUrl(base): BaseUrl,
    Json(question): Json<PasskeyQuestion>,
) -> Result<Json<PasskeyChallenge>, Problem> {
    let arrival = arriving.arrival();
    let asked = match &question.ticket {
        None => api.access.ask_any_passkey(&base, arrival),
        Some(ticket) => api.access.ask_passkey_after_password(&base, ticket, arrival).await,
    };
    Ok(Json(asked.map_err(factor_refused)?.into()))
}

/// A signed challenge.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct PasskeyAnswer {
    /// Which challenge.
    challenge: String,
    /// What `navigator.credentials.get` answered, as the Web Authentication standard writes it in JSON.
    #[schema(value_type = Object)]
    credential: PublicKeyCredential,
}

/// Sign in with a passkey: alone, or as the second step after a password.
#[utoipa::path(post, path = "/api/v1/login/passkey", tag = "account", operation_id = "sign_in_by_passkey",
    security(()), request_body = PasskeyAnswer, responses(
    (status = 200, body = User),
    (status = 401, body = Body, description = "`wrong_second_factor`, or `too_late`"),
    (status = 429, body = Body, description = "`too_many_attempts`, with `Retry-After`"),
    (status = "default", body = Body),
))]
pub(super) async fn by_passkey(
    State(api): State<Api>,
    arriving: Arriving,
    BaseUrl(base): BaseUrl,
    Json(answer): Json<PasskeyAnswer>,
) -> Result<Response, Problem> {
    let done = api
        .access
        .sign_in_by_passkey(&base, &answer.challenge, &answer.credential, arriving.arrival())
        .await
        .map_err(second_refused)?;
    signed_in(&api, &done, &base).await
}

/// Where somebody wants to go after signing in.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Destination {
    /// A path of this site; the start page when absent.
    pub(super) next: Option<String>,
    /// Ask them again, also when they are signed in at the provider.
    #[serde(default)]
    pub(super) again: bool,
}

impl Destination {
    /// Only a path of this site: an address that somebody else chose must not be where signing in leads.
    pub(super) fn path(&self) -> String {
        let own = |path: &&String| {
            path.starts_with('/') && !path.starts_with("//") && !path.contains(['\\', '\n', '\r']) && path.is_ascii()
        };
        self.next.as_ref().filter(own).cloned().unwrap_or_else(|| "/".to_owned())
    }
}

/// Where to go.
#[derive(Serialize, ToSchema)]
pub(super) struct Way {
    /// An address of the identity provider.
    url: String,
}

pub(super) fn callback(base: &str) -> String {
    format!("{base}{CALLBACK}")
}

/// The answer that sends somebody to the provider, with the cookie by which their browser is known when it comes back.
/// `Lax`, because they come back from another site.
pub(super) fn away(departure: &crate::access::Departure, base: &str) -> Response {
    let secure = if base.starts_with("https://") { "; Secure" } else { "" };
    let value = departure.cookie.expose();
    let cookie = format!("{PROVIDER_COOKIE}={value}; Path={CALLBACK}; Max-Age=300; HttpOnly; SameSite=Lax{secure}");
    ([(SET_COOKIE, cookie)], Json(Way { url: departure.url.clone() })).into_response()
}

/// Set out for the identity provider.
#[utoipa::path(post, path = "/api/v1/login/provider", tag = "account", operation_id = "sign_in_by_provider",
    security(()), request_body = Destination, responses(
    (status = 200, body = Way),
    (status = 404, body = Body, description = "`no_provider`"),
    (status = 503, body = Body, description = "`provider_unavailable`"),
    (status = "default", body = Body),
))]
pub(super) async fn depart(
    State(api): State<Api>,
    arriving: Arriving,
    BaseUrl(base): BaseUrl,
    Json(destination): Json<Destination>,
) -> Result<Response, Problem> {
    let departure = api
        .access
        .depart(&callback(&base), &destination.path(), destination.again, arriving.arrival())
        .await
        .map_err(provider_refused)?;
    Ok(away(&departure, &base))
}

pub(super) fn provider_refused(refused: ProviderRefused) -> Problem {
    match refused {
        ProviderRefused::None => {
            Problem::new(StatusCode::NOT_FOUND, "no_provider", "There is no identity provider here.")
        }
        ProviderRefused::Db(error) => error.into(),
        other => {
            tracing::warn!(error = &other as &dyn std::error::Error, "the identity provider cannot be asked");
            let detail = "The identity provider does not answer. Try again in a moment.";
            Problem::new(StatusCode::SERVICE_UNAVAILABLE, "provider_unavailable", detail)
                .retry_after(std::time::Duration::from_secs(5))
        }
    }
}

/// What the identity provider sends people back with.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct ProviderAnswer {
    /// For the token endpoint.
    code: Option<String>,
    /// By which the journey is found.
    state: Option<String>,
    /// Who answers (RFC 9207).
    iss: Option<String>,
    /// Why there is no code.
    error: Option<String>,
}

/// Come back from the identity provider: signs in and goes on to the page that was asked for, or to the sign-in page with
/// `?problem=`: `provider_refused`, `provider_unavailable`, `too_late`, `no_role` or `linked`.
#[utoipa::path(get, path = "/api/v1/login/provider/callback", tag = "account",
    operation_id = "come_back_from_provider", security(()), params(ProviderAnswer),
    responses((status = 303, description = "To a page of this site"), (status = "default", body = Body)))]
pub(super) async fn come_back(
    State(api): State<Api>,
    arriving: Arriving,
    BaseUrl(base): BaseUrl,
    headers: HeaderMap,
    ForeignQuery(answer): ForeignQuery<ProviderAnswer>,
) -> Response {
    let forget = format!("{PROVIDER_COOKIE}=; Path={CALLBACK}; Max-Age=0; HttpOnly; SameSite=Lax");
    let problem = |name: &str| {
        let to = format!("/sign-in?problem={name}");
        ([(SET_COOKIE, forget.clone())], Redirect::to(&to)).into_response()
    };
    let (Some(code), Some(state), None) = (&answer.code, &answer.state, &answer.error) else {
        return problem("provider_refused");
    };
    let Some(cookie) = cookie(&headers, PROVIDER_COOKIE) else { return problem("too_late") };
    let returned = Returned { state, code, issuer: answer.iss.as_deref(), cookie };
    match api.access.arrive(returned, arriving.arrival()).await {
        Ok(Return::SignedIn(signed_in, next)) => {
            let age = signed_in.max_age.as_secs();
            let cookie = set_cookie(USER_COOKIE, signed_in.cookie.expose(), "/", age, &base);
            let mut response = Redirect::to(&next).into_response();
            for value in [cookie, forget] {
                if let Ok(value) = value.parse() {
                    response.headers_mut().append(SET_COOKIE, value);
                }
            }
            response
        }
        Ok(Return::Linked(next)) => ([(SET_COOKIE, forget)], Redirect::to(&next)).into_response(),
        // The cookie stays: whoever follows somebody else's link loses nothing of their own way.
        Err(ProviderRefused::TooLate) => Redirect::to("/sign-in?problem=too_late").into_response(),
        Err(ProviderRefused::NoRole) => problem("no_role"),
        Err(ProviderRefused::Linked) => problem("linked"),
        Err(error @ (ProviderRefused::Db(_) | ProviderRefused::Oidc(OidcError::Unavailable(_)))) => {
            tracing::warn!(error = &error as &dyn std::error::Error, "the identity provider cannot be asked");
            problem("provider_unavailable")
        }
        Err(error) => {
            tracing::warn!(
                error = &error as &dyn std::error::Error,
                "somebody cannot come in by the identity provider"
            );
            problem("provider_refused")
        }
    }
}

/// What shows that it is still you: one of them.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Confirmation {
    /// Your password.
    #[schema(format = Password, max_length = 256)]
    password: Option<String>,
    /// A one-time password from an app.
    totp: Option<String>,
    /// A signed challenge of `/me/confirm/passkey`.
    passkey: Option<PasskeyAnswer>,
}

/// Confirm that it is still you, after 403 `confirm_sign_in`.
#[utoipa::path(post, path = "/api/v1/me/confirm", tag = "account", operation_id = "confirm_sign_in",
    security(("organiser_cookie" = [])), request_body = Confirmation, responses(
    (status = 204, description = "Confirmed"),
    (status = 403, body = Body, description = "`wrong_confirmation`"),
    (status = 429, body = Body, description = "`too_many_attempts`, with `Retry-After`"),
    (status = "default", body = Body),
))]
pub(super) async fn confirm(
    State(api): State<Api>,
    arriving: Arriving,
    organiser: Organiser,
    BaseUrl(base): BaseUrl,
    Json(confirmation): Json<Confirmation>,
) -> Result<StatusCode, Problem> {
    let _allowed = organiser.may(&api, Profile)?;
    let arrival = arriving.arrival();
    let confirmed = match (&confirmation.password, &confirmation.totp, &confirmation.passkey) {
        (Some(password), None, None) => api.access.confirm(&organiser.0, Shown::Password(password), arrival).await,
        (None, Some(code), None) => api.access.confirm(&organiser.0, Shown::Totp(code), arrival).await,
        (None, None, Some(answer)) => {
            let (challenge, credential) = (&answer.challenge, &answer.credential);
            api.access.confirm_by_passkey(&organiser.0, &base, challenge, credential, arrival).await
        }
        _ => return Err(Problem::field("/password", "Send one of password, totp and passkey.")),
    };
    confirmed.map_err(not_confirmed)?;
    Ok(StatusCode::NO_CONTENT)
}

/// Not 401: whoever sits there stays signed in.
pub(super) fn not_confirmed(reason: SignInRefused) -> Problem {
    match reason {
        SignInRefused::Wrong | SignInRefused::TooLate => {
            Problem::new(StatusCode::FORBIDDEN, "wrong_confirmation", "This is not right.")
        }
        other => refused(other),
    }
}

/// Ask for a passkey of mine, to confirm that it is still me.
#[utoipa::path(post, path = "/api/v1/me/confirm/passkey", tag = "account", operation_id = "ask_my_passkey",
    security(("organiser_cookie" = [])),
    responses((status = 200, body = PasskeyChallenge), (status = "default", body = Body)))]
pub(super) async fn ask_my_passkey(
    State(api): State<Api>,
    arriving: Arriving,
    organiser: Organiser,
    BaseUrl(base): BaseUrl,
) -> Result<Json<PasskeyChallenge>, Problem> {
    let _allowed = organiser.may(&api, Profile)?;
    let asked = api.access.ask_passkey_of(&base, organiser.0.user, arriving.arrival()).await;
    Ok(Json(asked.map_err(factor_refused)?.into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signing_in_leads_to_a_path_of_this_site() {
        for (next, path) in [
            ("/events/evt_1?x=1#y", "/events/evt_1?x=1#y"),
            ("//evil.example", "/"),
            ("/\\evil.example", "/"),
            ("https://evil.example", "/"),
            ("javascript:alert(1)", "/"),
            ("/a\r\nset-cookie: x=y", "/"),
            ("", "/"),
        ] {
            assert_eq!(Destination { next: Some(next.into()), again: false }.path(), path);
        }
    }
}
