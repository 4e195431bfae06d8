//! People and teams: who has an account, what they may do, and whose events are theirs.

use std::collections::HashMap;

use axum::extract::State;
use http::StatusCode;
use serde::{Deserialize, Serialize};
use stagedoor_domain::Time;
use stagedoor_domain::access::{Administer, Allowed, Govern, Role, Secret};
use stagedoor_domain::id::{TeamId, UserId};
use utoipa::ToSchema;

use super::Api;
use super::extract::{Json, Organiser, Page, Paging, Path, Query, line};
use super::problem::{Body, Problem};
use crate::access::{AccountChange, GovernRefused};
use crate::ports::db::teams::{self, Team as TeamRow};
use crate::ports::db::users::{self, Listed};
use crate::ports::db::{DbError, browsers};

/// An account, as those see it who govern accounts.
#[derive(Serialize, ToSchema)]
pub(super) struct Account {
    /// The account.
    #[schema(value_type = String)]
    id: UserId,
    /// What they type to sign in.
    username: String,
    /// What others call them; may be empty.
    name: String,
    /// `owner`, `admin`, `organiser`, `moderator`, `broadcaster` or `analyst`.
    role: &'static str,
    /// Whose events are theirs.
    #[schema(value_type = Vec<String>)]
    teams: Vec<TeamId>,
    /// Since when the account opens nothing.
    #[schema(value_type = Option<String>, format = DateTime)]
    disabled_at: Option<Time>,
    /// Whether they have not chosen a password of their own yet.
    waiting: bool,
    /// Whether a password alone does not let them in.
    second_factor: bool,
    /// Whether they sign in at the identity provider.
    provider: bool,
    /// When the account was made.
    #[schema(value_type = String, format = DateTime)]
    created_at: Time,
    /// When one of their signed-in browsers was last seen, to the minute.
    #[schema(value_type = Option<String>, format = DateTime)]
    last_seen_at: Option<Time>,
}

fn account(listed: Listed, teams: Vec<TeamId>) -> Account {
    let user = listed.user;
    Account {
        id: user.id,
        second_factor: user.totp.is_some() || listed.passkeys > 0,
        username: user.username,
        name: user.name,
        role: user.role.as_str(),
        teams,
        disabled_at: user.disabled_at,
        waiting: user.once_until.is_some(),
        provider: user.subject.is_some(),
        created_at: user.created_at,
        last_seen_at: listed.last_seen_at,
    }
}

fn role(pointer: &str, name: &str) -> Result<Role, Problem> {
    Role::from_name(name)
        .ok_or_else(|| Problem::field(pointer, "Choose owner, admin, organiser, moderator, broadcaster or analyst."))
}

/// A name to type: letters that every keyboard has, an e-mail address among them.
fn username(text: &str) -> Result<String, Problem> {
    let name = text.trim().to_lowercase();
    let fits = (2..=64).contains(&name.len())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._@+-".contains(&byte));
    if fits {
        Ok(name)
    } else {
        let detail = "A user name has 2 to 64 letters, digits or any of . _ @ + -";
        Err(Problem::field("/username", detail))
    }
}

impl From<GovernRefused> for Problem {
    fn from(refused: GovernRefused) -> Self {
        match refused {
            GovernRefused::LastOwner => {
                let detail = "Somebody has to be owner. Make somebody else one first.";
                Self::new(StatusCode::CONFLICT, "last_owner", detail)
            }
            GovernRefused::Gone => Self::not_found(),
            GovernRefused::Taken => Self::field("/username", "This name is taken."),
            GovernRefused::Busy => Self::unavailable(),
            GovernRefused::Db(error) => error.into(),
        }
    }
}

/// The permission to change this account, which must exist.
async fn govern(
    api: &Api,
    organiser: &Organiser,
    user: UserId,
    gets: Option<Role>,
) -> Result<Allowed<Govern>, Problem> {
    // Who may not see accounts learns nothing about which there are.
    let _allowed = organiser.may(api, Administer)?;
    let holds = users::by_id(&api.db, user).await?.ok_or_else(Problem::not_found)?.role;
    organiser.may(api, Govern { user, holds: Some(holds), gets })
}

async fn shown(api: &Api, user: UserId) -> Result<Account, Problem> {
    let row = users::by_id(&api.db, user).await?.ok_or_else(Problem::not_found)?;
    let last_seen_at = browsers::of_user(&api.db, user, api.clock.now()).await?;
    let listed = Listed {
        passkeys: u64::from(api.access.factors(&row).await?.passkey),
        last_seen_at: last_seen_at.iter().map(|browser| browser.last_seen_at).max(),
        user: row,
    };
    Ok(account(listed, teams::of_user(&api.db, user).await?))
}

/// Everybody with an account, newest first.
#[utoipa::path(get, path = "/api/v1/users", tag = "accounts", operation_id = "list_users", params(Paging),
    security(("organiser_cookie" = []), ("api_token" = [])),
    responses((status = 200, body = Page<Account>), (status = "default", body = Body)))]
pub(super) async fn list(
    State(api): State<Api>,
    organiser: Organiser,
    Query(paging): Query<Paging>,
) -> Result<Json<Page<Account>>, Problem> {
    let allowed = organiser.may(&api, Administer)?;
    let limit = paging.limit()?;
    let rows = users::list(&api.db, &allowed, paging.cursor()?, limit + 1).await?;
    let mut teams: HashMap<UserId, Vec<TeamId>> = HashMap::new();
    for (team, user) in teams::members(&api.db, &allowed).await? {
        teams.entry(user).or_default().push(team);
    }
    let entry = |row: Listed| {
        let mine = teams.remove(&row.user.id).unwrap_or_default();
        account(row, mine)
    };
    Ok(Json(Page::of(rows, limit, |row| row.user.id.to_string(), entry)))
}

/// A new account.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NewAccount {
    /// What they will type to sign in: 2 to 64 letters, digits or any of `._@+-`.
    #[schema(min_length = 2, max_length = 64)]
    username: String,
    /// What others call them: one line, at most 200 characters.
    #[schema(max_length = 200)]
    name: Option<String>,
    /// `admin`, `organiser`, `moderator`, `broadcaster`, `analyst`; `owner` by owners only.
    role: String,
    /// Teams to put them in.
    #[serde(default)]
    #[schema(value_type = Vec<String>)]
    teams: Vec<TeamId>,
}

/// A new account with its one-time password, which is shown this once.
#[derive(Serialize, ToSchema)]
pub(super) struct AccountMade {
    #[serde(flatten)]
    account: Account,
    /// Good for a week, and for choosing another.
    #[schema(format = Password)]
    one_time_password: String,
}

fn optional_line(pointer: &str, text: Option<&str>) -> Result<String, Problem> {
    match text.map(str::trim) {
        None | Some("") => Ok(String::new()),
        Some(text) => line(pointer, text),
    }
}

/// Make an account. Give its one-time password to its owner: they choose their own with it.
#[utoipa::path(post, path = "/api/v1/users", tag = "accounts", operation_id = "create_user", request_body = NewAccount,
    security(("organiser_cookie" = []), ("api_token" = [])), responses(
    (status = 201, body = AccountMade),
    (status = 403, body = Body, description = "`role_too_low`, or `confirm_sign_in`"),
    (status = 422, body = Body),
    (status = "default", body = Body),
))]
pub(super) async fn create(
    State(api): State<Api>,
    organiser: Organiser,
    Json(new): Json<NewAccount>,
) -> Result<(StatusCode, Json<AccountMade>), Problem> {
    let administer = organiser.may(&api, Administer)?;
    let user = api.access.new_user_id();
    let allowed = organiser.may(&api, Govern { user, holds: None, gets: Some(role("/role", &new.role)?) })?;
    let (username, name) = (username(&new.username)?, optional_line("/name", new.name.as_deref())?);
    let known: Vec<TeamId> = teams::all(&api.db).await?.iter().map(|team| team.id).collect();
    if let Some(at) = new.teams.iter().position(|team| !known.contains(team)) {
        return Err(Problem::field(&format!("/teams/{at}"), "There is no such team."));
    }
    let (_, password) = api.access.create_user(&allowed, organiser.0.actor, &username, &name).await?;
    for team in &new.teams {
        api.access.join_team(&administer, organiser.0.actor, *team, user).await?;
    }
    let account = shown(&api, user).await?;
    Ok((StatusCode::CREATED, Json(AccountMade { account, one_time_password: password.expose().to_owned() })))
}

/// One account.
#[utoipa::path(get, path = "/api/v1/users/{user}", tag = "accounts", operation_id = "read_user",
    params(("user" = String, Path)), security(("organiser_cookie" = []), ("api_token" = [])),
    responses((status = 200, body = Account), (status = 404, body = Body), (status = "default", body = Body)))]
pub(super) async fn read(
    State(api): State<Api>,
    organiser: Organiser,
    Path(user): Path<UserId>,
) -> Result<Json<Account>, Problem> {
    let _allowed = organiser.may(&api, Administer)?;
    Ok(Json(shown(&api, user).await?))
}

/// What to change of an account.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct AccountPatch {
    /// What others call them; empty for the user name.
    #[schema(max_length = 200)]
    name: Option<String>,
    /// Another role. Owners make and unmake owners; nobody else does.
    role: Option<String>,
    /// Whether the account opens nothing. Its browsers are signed out and its tokens refused at once.
    disabled: Option<bool>,
}

/// Change an account. What it may do changes with its next request, and its open pages notice within seconds.
#[utoipa::path(patch, path = "/api/v1/users/{user}", tag = "accounts", operation_id = "change_user",
    params(("user" = String, Path)), request_body = AccountPatch,
    security(("organiser_cookie" = []), ("api_token" = [])), responses(
    (status = 200, body = Account),
    (status = 403, body = Body, description = "`role_too_low`, or `confirm_sign_in`"),
    (status = 409, body = Body, description = "`last_owner`, or `yourself`"),
    (status = 422, body = Body),
    (status = "default", body = Body),
))]
pub(super) async fn change(
    State(api): State<Api>,
    organiser: Organiser,
    Path(user): Path<UserId>,
    Json(patch): Json<AccountPatch>,
) -> Result<Json<Account>, Problem> {
    let gets = patch.role.as_deref().map(|name| role("/role", name)).transpose()?;
    let allowed = govern(&api, &organiser, user, gets).await?;
    if patch.disabled == Some(true) {
        not_yourself(&organiser, user)?;
    }
    let name = patch.name.as_deref().map(|name| optional_line("/name", Some(name))).transpose()?;
    let change = AccountChange { name, disabled: patch.disabled };
    api.access.change_user(&allowed, organiser.0.actor, &change).await?;
    Ok(Json(shown(&api, user).await?))
}

/// Nobody shuts themselves out by a slip of the hand.
fn not_yourself(organiser: &Organiser, user: UserId) -> Result<(), Problem> {
    if organiser.0.user == user {
        let detail = "This is your own account. Ask somebody else to do it.";
        return Err(Problem::new(StatusCode::CONFLICT, "yourself", detail));
    }
    Ok(())
}

/// Delete an account with its browsers and tokens. What it did stays in the log, by its id.
#[utoipa::path(delete, path = "/api/v1/users/{user}", tag = "accounts", operation_id = "delete_user",
    params(("user" = String, Path)), security(("organiser_cookie" = []), ("api_token" = [])), responses(
    (status = 204, description = "Deleted"),
    (status = 409, body = Body, description = "`last_owner`, or `yourself`"),
    (status = "default", body = Body),
))]
pub(super) async fn delete(
    State(api): State<Api>,
    organiser: Organiser,
    Path(user): Path<UserId>,
) -> Result<StatusCode, Problem> {
    let allowed = govern(&api, &organiser, user, None).await?;
    not_yourself(&organiser, user)?;
    api.access.delete_user(&allowed, organiser.0.actor).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// A one-time password, shown this once.
#[derive(Serialize, ToSchema)]
pub(super) struct OneTimePassword {
    /// Good for a week, and for choosing another.
    #[schema(format = Password)]
    one_time_password: String,
}

impl From<Secret> for OneTimePassword {
    fn from(password: Secret) -> Self {
        Self { one_time_password: password.expose().to_owned() }
    }
}

/// Give an account a one-time password, for somebody who forgot theirs. Their browsers are signed out.
#[utoipa::path(post, path = "/api/v1/users/{user}/password", tag = "accounts", operation_id = "one_time_password",
    params(("user" = String, Path)), security(("organiser_cookie" = []), ("api_token" = [])),
    responses((status = 200, body = OneTimePassword), (status = 404, body = Body),
        (status = "default", body = Body)))]
pub(super) async fn one_time_password(
    State(api): State<Api>,
    organiser: Organiser,
    Path(user): Path<UserId>,
) -> Result<Json<OneTimePassword>, Problem> {
    let allowed = govern(&api, &organiser, user, None).await?;
    not_yourself(&organiser, user)?;
    Ok(Json(api.access.one_time_password(&allowed, organiser.0.actor).await?.into()))
}

/// Take every second factor away from an account, for somebody who lost theirs. Their browsers are signed out.
#[utoipa::path(delete, path = "/api/v1/users/{user}/second-factor", tag = "accounts",
    operation_id = "forget_second_factor", params(("user" = String, Path)),
    security(("organiser_cookie" = []), ("api_token" = [])),
    responses((status = 204, description = "Taken away"), (status = 404, body = Body),
        (status = "default", body = Body)))]
pub(super) async fn forget_factors(
    State(api): State<Api>,
    organiser: Organiser,
    Path(user): Path<UserId>,
) -> Result<StatusCode, Problem> {
    let allowed = govern(&api, &organiser, user, None).await?;
    not_yourself(&organiser, user)?;
    api.access.forget_factors(&allowed, organiser.0.actor).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// People who share events.
#[derive(Serialize, ToSchema)]
pub(super) struct Team {
    /// The team.
    #[schema(value_type = String)]
    id: TeamId,
    /// What people call it.
    name: String,
    /// Who is in it.
    #[schema(value_type = Vec<String>)]
    members: Vec<UserId>,
    /// When it was made.
    #[schema(value_type = String, format = DateTime)]
    created_at: Time,
}

/// Every team, by name.
#[derive(Serialize, ToSchema)]
pub(super) struct Teams {
    data: Vec<Team>,
}

/// All teams, by name.
#[utoipa::path(get, path = "/api/v1/teams", tag = "accounts", operation_id = "list_teams",
    security(("organiser_cookie" = []), ("api_token" = [])),
    responses((status = 200, body = Teams), (status = "default", body = Body)))]
pub(super) async fn list_teams(State(api): State<Api>, organiser: Organiser) -> Result<Json<Teams>, Problem> {
    let allowed = organiser.may(&api, Administer)?;
    let mut members: HashMap<TeamId, Vec<UserId>> = HashMap::new();
    for (team, user) in teams::members(&api.db, &allowed).await? {
        members.entry(team).or_default().push(user);
    }
    let entry = |team: TeamRow| Team {
        members: members.remove(&team.id).unwrap_or_default(),
        id: team.id,
        name: team.name,
        created_at: team.created_at,
    };
    Ok(Json(Teams { data: teams::all(&api.db).await?.into_iter().map(entry).collect() }))
}

/// What a team is called.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct TeamName {
    /// One line, 1 to 200 characters.
    #[schema(min_length = 1, max_length = 200)]
    name: String,
}

fn taken(error: DbError) -> Problem {
    match error {
        DbError::Exists => Problem::field("/name", "A team is called so already."),
        error => error.into(),
    }
}

/// Make a team.
#[utoipa::path(post, path = "/api/v1/teams", tag = "accounts", operation_id = "create_team", request_body = TeamName,
    security(("organiser_cookie" = []), ("api_token" = [])),
    responses((status = 201, body = Team), (status = 422, body = Body), (status = "default", body = Body)))]
pub(super) async fn create_team(
    State(api): State<Api>,
    organiser: Organiser,
    Json(new): Json<TeamName>,
) -> Result<(StatusCode, Json<Team>), Problem> {
    let allowed = organiser.may(&api, Administer)?;
    let name = line("/name", &new.name)?;
    let team = api.access.create_team(&allowed, organiser.0.actor, &name).await.map_err(taken)?;
    let team = Team { id: team.id, name: team.name, members: Vec::new(), created_at: team.created_at };
    Ok((StatusCode::CREATED, Json(team)))
}

/// Call a team something else.
#[utoipa::path(patch, path = "/api/v1/teams/{team}", tag = "accounts", operation_id = "rename_team",
    params(("team" = String, Path)), request_body = TeamName,
    security(("organiser_cookie" = []), ("api_token" = [])),
    responses((status = 204, description = "Renamed"), (status = 422, body = Body), (status = "default", body = Body)))]
pub(super) async fn rename_team(
    State(api): State<Api>,
    organiser: Organiser,
    Path(team): Path<TeamId>,
    Json(new): Json<TeamName>,
) -> Result<StatusCode, Problem> {
    let allowed = organiser.may(&api, Administer)?;
    let name = line("/name", &new.name)?;
    match api.access.rename_team(&allowed, team, &name).await.map_err(taken)? {
        true => Ok(StatusCode::NO_CONTENT),
        false => Err(Problem::not_found()),
    }
}

/// Delete a team that no event belongs to.
#[utoipa::path(delete, path = "/api/v1/teams/{team}", tag = "accounts", operation_id = "delete_team",
    params(("team" = String, Path)), security(("organiser_cookie" = []), ("api_token" = [])), responses(
    (status = 204, description = "Deleted"),
    (status = 409, body = Body, description = "`team_has_events`"),
    (status = "default", body = Body),
))]
pub(super) async fn delete_team(
    State(api): State<Api>,
    organiser: Organiser,
    Path(team): Path<TeamId>,
) -> Result<StatusCode, Problem> {
    let allowed = organiser.may(&api, Administer)?;
    match api.access.delete_team(&allowed, organiser.0.actor, team).await {
        Ok(true) => Ok(StatusCode::NO_CONTENT),
        Ok(false) => Err(Problem::not_found()),
        Err(DbError::Gone) => {
            let detail = "Events belong to this team. Give them to another first: they would be everybody's.";
            Err(Problem::new(StatusCode::CONFLICT, "team_has_events", detail))
        }
        Err(error) => Err(error.into()),
    }
}

/// Put somebody into a team.
#[utoipa::path(put, path = "/api/v1/teams/{team}/members/{user}", tag = "accounts", operation_id = "join_team",
    params(("team" = String, Path), ("user" = String, Path)),
    security(("organiser_cookie" = []), ("api_token" = [])),
    responses((status = 204, description = "They are in it"), (status = 404, body = Body),
        (status = "default", body = Body)))]
pub(super) async fn join_team(
    State(api): State<Api>,
    organiser: Organiser,
    Path((team, user)): Path<(TeamId, UserId)>,
) -> Result<StatusCode, Problem> {
    let allowed = organiser.may(&api, Administer)?;
    api.access.join_team(&allowed, organiser.0.actor, team, user).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Take somebody out of a team.
#[utoipa::path(delete, path = "/api/v1/teams/{team}/members/{user}", tag = "accounts", operation_id = "leave_team",
    params(("team" = String, Path), ("user" = String, Path)),
    security(("organiser_cookie" = []), ("api_token" = [])),
    responses((status = 204, description = "They are out of it"), (status = 404, body = Body),
        (status = "default", body = Body)))]
pub(super) async fn leave_team(
    State(api): State<Api>,
    organiser: Organiser,
    Path((team, user)): Path<(TeamId, UserId)>,
) -> Result<StatusCode, Problem> {
    let allowed = organiser.may(&api, Administer)?;
    match api.access.leave_team(&allowed, organiser.0.actor, team, user).await? {
        true => Ok(StatusCode::NO_CONTENT),
        false => Err(Problem::not_found()),
    }
}
