//! How one signs in: password, one-time passwords, recovery codes, passkeys, the identity provider.

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::StatusCode;
use http::header::SET_COOKIE;
use serde::{Deserialize, Serialize};
use stagedoor_domain::Time;
use stagedoor_domain::access::{Profile, Secret, Secure};
use stagedoor_domain::id::PasskeyId;
use utoipa::ToSchema;

use super::Api;
use super::account::set_cookie;
use super::extract::{Arriving, BaseUrl, Json, Organiser, Path, USER_COOKIE, line};
use super::login::{Destination, away, callback, factor_refused, good_password, not_confirmed, provider_refused};
use super::problem::{Body, Problem};
use crate::access::{MadePasskey, Options, RegisterPublicKeyCredential, passkeys_work_at};
use crate::ports::db::{factors, users};

/// A change of one's own password.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct PasswordChange {
    /// The one you have.
    #[schema(format = Password, max_length = 256)]
    present: String,
    /// The one you want: twelve characters or more.
    #[schema(format = Password, min_length = 12, max_length = 256)]
    new: String,
}

/// Change my password. My other browsers are signed out.
#[utoipa::path(put, path = "/api/v1/me/password", tag = "account", operation_id = "change_password",
    security(("organiser_cookie" = [])), request_body = PasswordChange, responses(
    (status = 204, description = "Changed; this browser has a new cookie"),
    (status = 403, body = Body, description = "`wrong_confirmation`: that is not the present one"),
    (status = 422, body = Body),
    (status = "default", body = Body),
))]
pub(super) async fn change_password(
    State(api): State<Api>,
    arriving: Arriving,
    organiser: Organiser,
    BaseUrl(base): BaseUrl,
    Json(change): Json<PasswordChange>,
) -> Result<Response, Problem> {
    let _allowed = organiser.may(&api, Profile)?;
    good_password("/new", &change.new)?;
    let signed_in = api
        .access
        .change_password(&organiser.0, &change.present, &change.new, arriving.arrival())
        .await
        .map_err(not_confirmed)?;
    let age = signed_in.max_age.as_secs();
    let cookie = set_cookie(USER_COOKIE, signed_in.cookie.expose(), "/", age, &base);
    Ok((StatusCode::NO_CONTENT, [(SET_COOKIE, cookie)]).into_response())
}

/// How I sign in.
#[derive(Serialize, ToSchema)]
pub(super) struct SignInWays {
    /// Whether I have a password here.
    password: bool,
    /// Whether one-time passwords are on.
    totp: bool,
    /// Recovery codes that are left.
    recovery_left: u64,
    /// My passkeys, newest first.
    passkeys: Vec<Passkey>,
    /// Whether passkeys can be made on this page: they belong to a name, not to an address.
    passkeys_work: bool,
    /// What the identity provider is called, if there is one.
    provider: Option<String>,
    /// Whether an account there is linked to mine.
    linked: bool,
}

/// One of my passkeys.
#[derive(Serialize, ToSchema)]
pub(super) struct Passkey {
    /// The passkey.
    #[schema(value_type = String)]
    id: PasskeyId,
    /// What I call it.
    name: String,
    /// When it was added.
    #[schema(value_type = String, format = DateTime)]
    created_at: Time,
    /// When I last signed in with it.
    #[schema(value_type = Option<String>, format = DateTime)]
    last_used_at: Option<Time>,
}

impl From<factors::Passkey> for Passkey {
    fn from(row: factors::Passkey) -> Self {
        Self { id: row.id, name: row.name, created_at: row.created_at, last_used_at: row.last_used_at }
    }
}

/// How I sign in.
#[utoipa::path(get, path = "/api/v1/me/sign-in", tag = "account", operation_id = "my_sign_in",
    security(("organiser_cookie" = [])),
    responses((status = 200, body = SignInWays), (status = "default", body = Body)))]
pub(super) async fn mine(
    State(api): State<Api>,
    organiser: Organiser,
    BaseUrl(base): BaseUrl,
) -> Result<Json<SignInWays>, Problem> {
    let _allowed = organiser.may(&api, Profile)?;
    let user = users::by_id(&api.db, organiser.0.user).await?.ok_or_else(Problem::signed_out)?;
    Ok(Json(SignInWays {
        password: !user.password.is_empty(),
        totp: user.totp.is_some(),
        recovery_left: factors::recovery_left(&api.db, user.id).await?,
        passkeys: factors::passkeys(&api.db, user.id).await?.into_iter().map(Passkey::from).collect(),
        passkeys_work: passkeys_work_at(&base),
        provider: api.access.provider_name().map(str::to_owned),
        linked: user.subject.is_some(),
    }))
}

/// A secret for one-time passwords, shown this once.
#[derive(Serialize, ToSchema)]
pub(super) struct Enrolment {
    /// Send it back with the first code.
    ticket: String,
    /// To be typed into an app.
    secret: String,
    /// `otpauth://…`, to be opened by an app.
    url: String,
    /// The same to be photographed: a picture as a `data:` URL.
    qr: String,
}

/// Begin with one-time passwords. Nothing changes until the first code is confirmed.
#[utoipa::path(post, path = "/api/v1/me/totp", tag = "account", operation_id = "enrol_totp",
    security(("organiser_cookie" = [])), responses(
    (status = 200, body = Enrolment),
    (status = 403, body = Body, description = "`confirm_sign_in`"),
    (status = "default", body = Body),
))]
pub(super) async fn enrol_totp(
    State(api): State<Api>,
    arriving: Arriving,
    organiser: Organiser,
) -> Result<Json<Enrolment>, Problem> {
    let allowed = organiser.may(&api, Secure)?;
    let enrolment = api.access.enrol_totp(&allowed, &organiser.0, arriving.arrival()).map_err(factor_refused)?;
    Ok(Json(Enrolment {
        ticket: enrolment.ticket.expose().to_owned(),
        secret: enrolment.secret.expose().to_owned(),
        url: enrolment.url.expose().to_owned(),
        qr: format!("data:image/svg+xml;base64,{}", STANDARD.encode(enrolment.qr.expose())),
    }))
}

/// The first code that an app made.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct FirstCode {
    /// From the beginning.
    ticket: String,
    /// Six digits.
    code: String,
}

/// Recovery codes, shown this once.
#[derive(Serialize, ToSchema)]
pub(super) struct RecoveryCodes {
    /// Each works once; empty when there were some already.
    recovery_codes: Vec<String>,
}

fn shown(codes: Option<Vec<Secret>>) -> Vec<String> {
    codes.unwrap_or_default().iter().map(|code| code.expose().to_owned()).collect()
}

/// Turn one-time passwords on, with the first code.
#[utoipa::path(post, path = "/api/v1/me/totp/confirm", tag = "account", operation_id = "confirm_totp",
    security(("organiser_cookie" = [])), request_body = FirstCode, responses(
    (status = 200, body = RecoveryCodes),
    (status = 409, body = Body, description = "`too_late`"),
    (status = 422, body = Body, description = "`wrong_second_factor`"),
    (status = "default", body = Body),
))]
pub(super) async fn confirm_totp(
    State(api): State<Api>,
    organiser: Organiser,
    Json(first): Json<FirstCode>,
) -> Result<Json<RecoveryCodes>, Problem> {
    let allowed = organiser.may(&api, Secure)?;
    let codes = api.access.confirm_totp(&allowed, &organiser.0, &first.ticket, &first.code).await;
    Ok(Json(RecoveryCodes { recovery_codes: shown(codes.map_err(factor_refused)?) }))
}

/// Turn one-time passwords off.
#[utoipa::path(delete, path = "/api/v1/me/totp", tag = "account", operation_id = "remove_totp",
    security(("organiser_cookie" = [])),
    responses((status = 204, description = "Off"), (status = "default", body = Body)))]
pub(super) async fn remove_totp(State(api): State<Api>, organiser: Organiser) -> Result<StatusCode, Problem> {
    let allowed = organiser.may(&api, Secure)?;
    api.access.remove_totp(&allowed, &organiser.0).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Make new recovery codes. The old ones stop working.
#[utoipa::path(post, path = "/api/v1/me/recovery-codes", tag = "account", operation_id = "new_recovery_codes",
    security(("organiser_cookie" = [])),
    responses((status = 200, body = RecoveryCodes), (status = "default", body = Body)))]
pub(super) async fn new_recovery(State(api): State<Api>, organiser: Organiser) -> Result<Json<RecoveryCodes>, Problem> {
    let allowed = organiser.may(&api, Secure)?;
    let codes = api.access.new_recovery(&allowed, &organiser.0).await?;
    Ok(Json(RecoveryCodes { recovery_codes: shown(Some(codes)) }))
}

/// What a page calls `navigator.credentials.create` with.
#[derive(Serialize, ToSchema)]
pub(super) struct NewPasskeyChallenge {
    /// Names the challenge; send it back with the passkey.
    challenge: String,
    /// As the Web Authentication standard writes it in JSON.
    #[schema(value_type = Object)]
    options: Options,
}

/// Begin with a new passkey.
#[utoipa::path(post, path = "/api/v1/me/passkeys/start", tag = "account", operation_id = "begin_passkey",
    security(("organiser_cookie" = [])), responses(
    (status = 200, body = NewPasskeyChallenge),
    (status = 409, body = Body, description = "`passkeys_need_a_name`, `too_many`"),
    (status = "default", body = Body),
))]
pub(super) async fn begin_passkey(
    State(api): State<Api>,
    arriving: Arriving,
    organiser: Organiser,
    BaseUrl(base): BaseUrl,
) -> Result<Json<NewPasskeyChallenge>, Problem> {
    let allowed = organiser.may(&api, Secure)?;
    let begun = api.access.begin_passkey(&allowed, &organiser.0, &base, arriving.arrival()).await;
    let (challenge, options) = begun.map_err(factor_refused)?;
    Ok(Json(NewPasskeyChallenge { challenge: challenge.expose().to_owned(), options }))
}

/// A new passkey.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NewPasskey {
    /// Which challenge it answers.
    challenge: String,
    /// What to call it: one line, 1 to 200 characters.
    #[schema(min_length = 1, max_length = 200)]
    name: String,
    /// What `navigator.credentials.create` answered, as the Web Authentication standard writes it in JSON.
    #[schema(value_type = Object)]
    credential: RegisterPublicKeyCredential,
}

/// A passkey that was kept.
#[derive(Serialize, ToSchema)]
pub(super) struct PasskeyMade {
    #[serde(flatten)]
    row: Passkey,
    /// Each works once; empty when there were some already.
    recovery_codes: Vec<String>,
}

/// Keep a new passkey.
#[utoipa::path(post, path = "/api/v1/me/passkeys", tag = "account", operation_id = "add_passkey",
    security(("organiser_cookie" = [])), request_body = NewPasskey, responses(
    (status = 201, body = PasskeyMade),
    (status = 409, body = Body, description = "`too_late`"),
    (status = 422, body = Body),
    (status = "default", body = Body),
))]
pub(super) async fn add_passkey(
    State(api): State<Api>,
    organiser: Organiser,
    BaseUrl(base): BaseUrl,
    Json(new): Json<NewPasskey>,
) -> Result<(StatusCode, Json<PasskeyMade>), Problem> {
    let allowed = organiser.may(&api, Secure)?;
    let name = line("/name", &new.name)?;
    let made = MadePasskey { ticket: &new.challenge, name: &name, credential: &new.credential };
    let added = api.access.add_passkey(&allowed, &organiser.0, &base, &made).await;
    let (row, codes) = added.map_err(factor_refused)?;
    Ok((StatusCode::CREATED, Json(PasskeyMade { row: row.into(), recovery_codes: shown(codes) })))
}

/// Remove a passkey.
#[utoipa::path(delete, path = "/api/v1/me/passkeys/{passkey}", tag = "account", operation_id = "remove_passkey",
    params(("passkey" = String, Path)), security(("organiser_cookie" = [])),
    responses((status = 204, description = "Removed"), (status = 404, body = Body),
        (status = "default", body = Body)))]
pub(super) async fn remove_passkey(
    State(api): State<Api>,
    organiser: Organiser,
    Path(passkey): Path<PasskeyId>,
) -> Result<StatusCode, Problem> {
    let allowed = organiser.may(&api, Secure)?;
    match api.access.remove_passkey(&allowed, &organiser.0, passkey).await? {
        true => Ok(StatusCode::NO_CONTENT),
        false => Err(Problem::not_found()),
    }
}

/// Set out for the identity provider, to link the account there to mine.
#[utoipa::path(post, path = "/api/v1/me/provider", tag = "account", operation_id = "link_provider",
    security(("organiser_cookie" = [])), request_body = Destination,
    responses((status = 200, body = super::login::Way), (status = "default", body = Body)))]
pub(super) async fn link_provider(
    State(api): State<Api>,
    arriving: Arriving,
    organiser: Organiser,
    BaseUrl(base): BaseUrl,
    Json(destination): Json<Destination>,
) -> Result<Response, Problem> {
    let allowed = organiser.may(&api, Secure)?;
    let (redirect, next) = (callback(&base), destination.path());
    let departure = api.access.depart_to_link(&allowed, &organiser.0, &redirect, &next, arriving.arrival()).await;
    Ok(away(&departure.map_err(provider_refused)?, &base))
}

/// Forget the account at the identity provider that is linked to mine.
#[utoipa::path(delete, path = "/api/v1/me/provider", tag = "account", operation_id = "unlink_provider",
    security(("organiser_cookie" = [])), responses(
    (status = 204, description = "Forgotten"),
    (status = 409, body = Body, description = "`only_way_in`: there is no password"),
    (status = "default", body = Body),
))]
pub(super) async fn unlink_provider(State(api): State<Api>, organiser: Organiser) -> Result<StatusCode, Problem> {
    let allowed = organiser.may(&api, Secure)?;
    let user = users::by_id(&api.db, organiser.0.user).await?.ok_or_else(Problem::signed_out)?;
    if user.password.is_empty() {
        let detail = "This is your only way in.";
        return Err(Problem::new(StatusCode::CONFLICT, "only_way_in", detail));
    }
    api.access.unlink(&allowed, &organiser.0).await?;
    Ok(StatusCode::NO_CONTENT)
}
