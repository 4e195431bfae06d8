//! One's own account: who am I, browsers, API tokens.

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::header::SET_COOKIE;
use http::{HeaderMap, StatusCode};
use serde::{Deserialize, Serialize};
use stagedoor_domain::Time;
use stagedoor_domain::access::{Browse, MintToken, Profile, Scope, Scopes, rights};
use stagedoor_domain::id::{BrowserId, TeamId, TokenId, UserId};
use utoipa::ToSchema;

use super::Api;
use super::extract::{BaseUrl, Json, Organiser, Page, Paging, Path, Query, USER_COOKIE, cookie, line};
use super::problem::{Body, Problem};
use crate::access::Who;
use crate::ports::db::api_tokens::{self, ApiToken};
use crate::ports::db::{browsers, teams};

/// An organiser, and what they may do: pages show what works and hide what would be refused.
#[derive(Serialize, ToSchema)]
pub(super) struct User {
    /// The account.
    #[schema(value_type = String, examples("usr_01kaf3x6m8e9t8s2v4w6y8z0ab"))]
    id: UserId,
    /// What they type to sign in.
    username: String,
    /// What others call them; may be empty.
    name: String,
    /// What they may do.
    #[schema(examples("organiser"))]
    role: &'static str,
    /// Whose events are theirs.
    teams: Vec<MyTeam>,
    /// What their role, or their token's scopes, allow: `look`, `create_event`, `organise`, `moderate`, `end_all`,
    /// `broadcast`, `see_people`, `export`, `administer`, `govern_owners`, `audit`.
    rights: Vec<&'static str>,
}

/// A team of one's own.
#[derive(Serialize, ToSchema)]
pub(super) struct MyTeam {
    /// The team.
    #[schema(value_type = String)]
    id: TeamId,
    /// What people call it.
    name: String,
}

impl User {
    pub(super) async fn of(api: &Api, who: &Who) -> Result<Self, Problem> {
        let all = teams::all(&api.db).await?;
        let mine = all.into_iter().filter(|team| who.teams.contains(&team.id));
        Ok(Self {
            id: who.user,
            username: who.username.clone(),
            name: who.name.clone(),
            role: who.role.as_str(),
            teams: mine.map(|team| MyTeam { id: team.id, name: team.name }).collect(),
            rights: rights(who.role, who.scopes),
        })
    }
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
    let _allowed = organiser.may(&api, Browse)?;
    Ok(Json(User::of(&api, &organiser.0).await?))
}

/// What to change of one's own account.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct MeChange {
    /// What others call me: one line, at most 200 characters; empty for the user name.
    #[schema(max_length = 200)]
    name: String,
}

/// Change what others call me.
#[utoipa::path(patch, path = "/api/v1/me", tag = "account", operation_id = "change_me", request_body = MeChange,
    security(("organiser_cookie" = [])),
    responses((status = 200, body = User), (status = 422, body = Body), (status = "default", body = Body)))]
pub(super) async fn change_me(
    State(api): State<Api>,
    mut organiser: Organiser,
    Json(change): Json<MeChange>,
) -> Result<Json<User>, Problem> {
    let allowed = organiser.may(&api, Profile)?;
    let name = if change.name.trim().is_empty() { String::new() } else { line("/name", &change.name)? };
    api.access.rename_me(&allowed, &organiser.0, &name).await?;
    organiser.0.name = name;
    Ok(Json(User::of(&api, &organiser.0).await?))
}

/// A browser that is signed in.
#[derive(Serialize, ToSchema)]
pub(super) struct Browser {
    /// The browser.
    #[schema(value_type = String)]
    id: BrowserId,
    /// In words.
    #[schema(examples("Firefox on Linux"))]
    device: String,
    /// How: `password`, `passkey` or `provider`.
    method: &'static str,
    /// When.
    #[schema(value_type = String, format = DateTime)]
    signed_in_at: Time,
    /// When it last asked for something, to the minute.
    #[schema(value_type = String, format = DateTime)]
    last_seen_at: Time,
    /// When it is signed out by itself.
    #[schema(value_type = String, format = DateTime)]
    expires_at: Time,
    /// When a second factor was last shown on it.
    #[schema(value_type = Option<String>, format = DateTime)]
    second_factor_at: Option<Time>,
    /// Whether it is the one that asks.
    current: bool,
}

/// My signed-in browsers, newest first.
#[derive(Serialize, ToSchema)]
pub(super) struct Browsers {
    data: Vec<Browser>,
}

/// My signed-in browsers.
#[utoipa::path(get, path = "/api/v1/me/browsers", tag = "account", operation_id = "list_browsers",
    security(("organiser_cookie" = [])),
    responses((status = 200, body = Browsers), (status = "default", body = Body)))]
pub(super) async fn list_browsers(State(api): State<Api>, organiser: Organiser) -> Result<Json<Browsers>, Problem> {
    let _allowed = organiser.may(&api, Profile)?;
    let rows = browsers::of_user(&api.db, organiser.0.user, api.clock.now()).await?;
    let data = rows.into_iter().map(|row| Browser {
        current: Some(row.id) == organiser.0.browser,
        id: row.id,
        device: row.device,
        method: row.method.as_str(),
        signed_in_at: row.created_at,
        last_seen_at: row.last_seen_at,
        expires_at: row.expires_at,
        second_factor_at: row.second_factor_at,
    });
    Ok(Json(Browsers { data: data.collect() }))
}

/// Sign one of my browsers out.
#[utoipa::path(delete, path = "/api/v1/me/browsers/{browser}", tag = "account", operation_id = "sign_out_browser",
    params(("browser" = String, Path)), security(("organiser_cookie" = [])),
    responses((status = 204, description = "Signed out"), (status = 404, body = Body),
        (status = "default", body = Body)))]
pub(super) async fn sign_out_browser(
    State(api): State<Api>,
    organiser: Organiser,
    Path(browser): Path<BrowserId>,
) -> Result<StatusCode, Problem> {
    let allowed = organiser.may(&api, Profile)?;
    match api.access.sign_out_browser(&allowed, &organiser.0, browser).await? {
        true => Ok(StatusCode::NO_CONTENT),
        false => Err(Problem::not_found()),
    }
}

/// How many browsers were signed out.
#[derive(Serialize, ToSchema)]
pub(super) struct SignedOut {
    signed_out: u64,
}

/// Sign all my browsers out but this one.
#[utoipa::path(delete, path = "/api/v1/me/browsers", tag = "account", operation_id = "sign_out_elsewhere",
    security(("organiser_cookie" = [])),
    responses((status = 200, body = SignedOut), (status = "default", body = Body)))]
pub(super) async fn sign_out_elsewhere(
    State(api): State<Api>,
    organiser: Organiser,
) -> Result<Json<SignedOut>, Problem> {
    let allowed = organiser.may(&api, Profile)?;
    Ok(Json(SignedOut { signed_out: api.access.sign_out_elsewhere(&allowed, &organiser.0).await? }))
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
    /// What it may be used for: `read`, `organise`, `moderate`, `broadcast`, `people`, `administer`.
    scopes: Vec<&'static str>,
    /// When it was made.
    #[schema(value_type = String, format = DateTime)]
    created_at: Time,
    /// When it ends by itself.
    #[schema(value_type = Option<String>, format = DateTime)]
    expires_at: Option<Time>,
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
            scopes: token.scopes.iter().map(Scope::as_str).collect(),
            created_at: token.created_at,
            expires_at: token.expires_at,
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

/// What a new API token is called, and what it is for.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NewToken {
    /// One line, 1 to 200 characters.
    #[schema(min_length = 1, max_length = 200)]
    name: String,
    /// What it may be used for: any of `read`, `organise`, `moderate`, `broadcast`, `people`, `administer`; everything
    /// that you may do, when absent. It never does more than you.
    scopes: Option<Vec<String>>,
    /// When it ends by itself; never, when absent.
    #[schema(value_type = Option<String>, format = DateTime)]
    expires_at: Option<Time>,
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
    let _allowed = organiser.may(&api, Browse)?;
    let limit = paging.limit()?;
    let rows = api_tokens::list(&api.db, organiser.0.user, paging.cursor()?, limit + 1).await?;
    Ok(Json(Page::of(rows, limit, |row| row.id.to_string(), Token::from)))
}

/// Make an API token. It acts as you, as far as its scopes go, except that it cannot make or withdraw tokens.
#[utoipa::path(post, path = "/api/v1/tokens", tag = "account", request_body = NewToken,
    security(("organiser_cookie" = [])),
    responses((status = 201, body = TokenMade), (status = 422, body = Body), (status = "default", body = Body)))]
pub(super) async fn create_token(
    State(api): State<Api>,
    organiser: Organiser,
    Json(new): Json<NewToken>,
) -> Result<(StatusCode, Json<TokenMade>), Problem> {
    let allowed = organiser.may(&api, MintToken)?;
    let name = line("/name", &new.name)?;
    let scopes = match &new.scopes {
        None => Scopes::ALL,
        Some(names) if names.is_empty() => return Err(Problem::field("/scopes", "Choose at least one.")),
        Some(names) => {
            let scopes = names.iter().enumerate().map(|(at, name)| {
                Scope::from_name(name).ok_or_else(|| Problem::field(&format!("/scopes/{at}"), "This is not a scope."))
            });
            scopes.collect::<Result<Scopes, _>>()?
        }
    };
    if new.expires_at.is_some_and(|at| at <= api.clock.now()) {
        return Err(Problem::field("/expires_at", "This is in the past."));
    }
    let (row, text) = api.access.mint_token(&allowed, &organiser.0, &name, scopes, new.expires_at).await?;
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
