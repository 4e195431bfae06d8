//! Signing in and out, and API tokens.

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::header::SET_COOKIE;
use http::{HeaderMap, StatusCode};
use serde::{Deserialize, Serialize};
use stagedoor_domain::Time;
use stagedoor_domain::access::{MintToken, Organise};
use stagedoor_domain::id::{TokenId, UserId};
use utoipa::ToSchema;

use super::Api;
use super::extract::{Address, BaseUrl, Json, Organiser, Page, Paging, Path, Query, USER_COOKIE, cookie, line};
use super::problem::{Body, Problem};
use crate::access::{SignInRefused, Who};
use crate::ports::db::api_tokens::{self, ApiToken};

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

/// An organiser.
#[derive(Serialize, ToSchema)]
pub(super) struct User {
    /// The account.
    #[schema(value_type = String, examples("usr_01kaf3x6m8e9t8s2v4w6y8z0ab"))]
    id: UserId,
    /// What they type to sign in.
    username: String,
    /// What they may do.
    #[schema(examples("admin"))]
    role: &'static str,
}

impl From<&Who> for User {
    fn from(who: &Who) -> Self {
        Self { id: who.user, username: who.username.clone(), role: who.facts.role.as_str() }
    }
}

/// Sign in: the answer sets the cookie that says so for a week.
#[utoipa::path(post, path = "/api/v1/login", tag = "account", security(()), request_body = Credentials, responses(
    (status = 200, body = User),
    (status = 401, body = Body, description = "`wrong_credentials`"),
    (status = 429, body = Body, description = "`too_many_attempts`, with `Retry-After`"),
    (status = "default", body = Body),
))]
pub(super) async fn login(
    State(api): State<Api>,
    Address(address): Address,
    BaseUrl(base): BaseUrl,
    Json(credentials): Json<Credentials>,
) -> Result<Response, Problem> {
    let signed_in = api.access.sign_in(&credentials.username, &credentials.password, address).await;
    let signed_in = signed_in.map_err(|refused| match refused {
        SignInRefused::Wrong => {
            Problem::new(StatusCode::UNAUTHORIZED, "wrong_credentials", "The name or the password is wrong.")
        }
        SignInRefused::TooMany { retry_after } => {
            let detail = "Too many wrong passwords from your network. Wait a moment and try again.";
            Problem::new(StatusCode::TOO_MANY_REQUESTS, "too_many_attempts", detail).retry_after(retry_after)
        }
        SignInRefused::Busy => Problem::unavailable(),
        SignInRefused::Db(error) => error.into(),
    })?;
    let age = signed_in.max_age.as_secs();
    let cookie = set_cookie(USER_COOKIE, signed_in.cookie.expose(), "/", age, &base);
    Ok(([(SET_COOKIE, cookie)], Json(User::from(&signed_in.who))).into_response())
}

/// A `Set-Cookie` that scripts cannot read and other sites cannot send. An age of zero takes the cookie away.
pub(super) fn set_cookie(name: &str, value: &str, path: &str, age_s: u64, base: &str) -> String {
    let secure = if base.starts_with("https://") { "; Secure" } else { "" };
    format!("{name}={value}; Path={path}; Max-Age={age_s}; HttpOnly; SameSite=Strict{secure}")
}

/// Sign out.
#[utoipa::path(post, path = "/api/v1/logout", tag = "account", security(()), responses(
    (status = 204, description = "Signed out, also when nobody was signed in"),
    (status = "default", body = Body),
))]
pub(super) async fn logout(
    State(api): State<Api>,
    BaseUrl(base): BaseUrl,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    if let Some(cookie) = cookie(&headers, USER_COOKIE) {
        api.access.sign_out(cookie).await?;
    }
    let gone = set_cookie(USER_COOKIE, "", "/", 0, &base);
    Ok((StatusCode::NO_CONTENT, [(SET_COOKIE, gone)]).into_response())
}

/// Who am I?
#[utoipa::path(get, path = "/api/v1/me", tag = "account",
    security(("organiser_cookie" = []), ("api_token" = [])),
    responses((status = 200, body = User), (status = 401, body = Body), (status = "default", body = Body)))]
pub(super) async fn me(State(api): State<Api>, organiser: Organiser) -> Result<Json<User>, Problem> {
    let _allowed = organiser.may(&api, Organise)?;
    Ok(Json(User::from(&organiser.0)))
}

/// An API token, without its text.
#[derive(Serialize, ToSchema)]
pub(super) struct Token {
    /// The token.
    #[schema(value_type = String)]
    id: TokenId,
    /// What its maker calls it.
    name: String,
    /// Its last letters.
    hint: String,
    /// When it was made.
    #[schema(value_type = String, format = DateTime)]
    created_at: Time,
    /// When it was last used, to the minute.
    #[schema(value_type = Option<String>, format = DateTime)]
    last_used_at: Option<Time>,
}

impl From<ApiToken> for Token {
    fn from(token: ApiToken) -> Self {
        Self {
            id: token.id,
            name: token.name,
            hint: token.hint,
            created_at: token.created_at,
            last_used_at: token.last_used_at,
        }
    }
}

/// A new API token with its text, which is shown this once.
#[derive(Serialize, ToSchema)]
pub(super) struct TokenMade {
    #[serde(flatten)]
    row: Token,
    /// For `Authorization: Bearer`.
    #[schema(examples("sd_…"))]
    token: String,
}

/// What a new API token is called.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NewToken {
    /// One line, 1 to 200 characters.
    #[schema(min_length = 1, max_length = 200)]
    name: String,
}

/// My API tokens.
#[utoipa::path(get, path = "/api/v1/tokens", tag = "account", params(Paging),
    security(("organiser_cookie" = []), ("api_token" = [])),
    responses((status = 200, body = Page<Token>), (status = "default", body = Body)))]
pub(super) async fn list_tokens(
    State(api): State<Api>,
    organiser: Organiser,
    Query(paging): Query<Paging>,
) -> Result<Json<Page<Token>>, Problem> {
    let _allowed = organiser.may(&api, Organise)?;
    let limit = paging.limit()?;
    let rows = api_tokens::list(&api.db, organiser.0.user, paging.cursor()?, limit + 1).await?;
    Ok(Json(Page::of(rows, limit, |row| row.id.to_string(), Token::from)))
}

/// Make an API token. It acts as you, except that it cannot make or withdraw tokens.
#[utoipa::path(post, path = "/api/v1/tokens", tag = "account", request_body = NewToken,
    security(("organiser_cookie" = [])),
    responses((status = 201, body = TokenMade), (status = "default", body = Body)))]
pub(super) async fn create_token(
    State(api): State<Api>,
    organiser: Organiser,
    Json(new): Json<NewToken>,
) -> Result<(StatusCode, Json<TokenMade>), Problem> {
    let allowed = organiser.may(&api, MintToken)?;
    let name = line("/name", &new.name)?;
    let (row, text) = api.access.mint_token(&allowed, &organiser.0, &name).await?;
    Ok((StatusCode::CREATED, Json(TokenMade { row: row.into(), token: text.expose().to_owned() })))
}

/// Withdraw an API token.
#[utoipa::path(delete, path = "/api/v1/tokens/{token}", tag = "account", params(("token" = String, Path)),
    security(("organiser_cookie" = [])),
    responses((status = 204, description = "Withdrawn"), (status = "default", body = Body)))]
pub(super) async fn revoke_token(
    State(api): State<Api>,
    organiser: Organiser,
    Path(token): Path<TokenId>,
) -> Result<StatusCode, Problem> {
    let allowed = organiser.may(&api, MintToken)?;
    match api.access.revoke_token(&allowed, &organiser.0, token).await? {
        true => Ok(StatusCode::NO_CONTENT),
        false => Err(Problem::not_found()),
    }
}
