//! The organisation's identity provider: the only place that speaks OpenID Connect.
//!
//! ```text
//! begin  ─▶ an address of the provider, with state, nonce and PKCE challenge
//! finish ◀─ the code that came back ─▶ token endpoint ─▶ ID token, verified ─▶ who it is
//! ```
//!
//! # Source
//!
//! OpenID Connect Core 1.0 (code flow), Discovery 1.0, RFC 7636 (PKCE, S256 only), RFC 9207 (issuer in the answer), and
//! RFC 9700 for what not to do. ID tokens are verified against the provider's published keys; algorithms with a shared
//! secret and `none` are refused.

use std::collections::BTreeMap;
use std::pin::Pin;
use std::time::{Duration, UNIX_EPOCH};

use openidconnect::core::{
    CoreAuthDisplay, CoreAuthPrompt, CoreAuthenticationFlow, CoreClaimName, CoreClaimType, CoreClientAuthMethod,
    CoreErrorResponseType, CoreGenderClaim, CoreGrantType, CoreJsonWebKey, CoreJweContentEncryptionAlgorithm,
    CoreJweKeyManagementAlgorithm, CoreJwsSigningAlgorithm, CoreResponseMode, CoreResponseType, CoreRevocableToken,
    CoreRevocationErrorResponse, CoreSubjectIdentifierType, CoreTokenIntrospectionResponse, CoreTokenType,
};
use openidconnect::{
    AccessTokenHash, AdditionalClaims, AdditionalProviderMetadata, AsyncHttpClient, AuthorizationCode, Client,
    ClientId, ClientSecret, CsrfToken, EmptyExtraTokenFields, EndpointMaybeSet, EndpointNotSet, EndpointSet,
    HttpRequest, HttpResponse, IdTokenFields, IssuerUrl, Nonce, OAuth2TokenResponse, PkceCodeChallenge,
    PkceCodeVerifier, ProviderMetadata, RedirectUrl, RequestTokenError, Scope, StandardErrorResponse,
    StandardTokenResponse, TokenResponse,
};
use serde::{Deserialize, Serialize};
use stagedoor_domain::Time;
use stagedoor_domain::access::Role;
use tokio::sync::Mutex;

use super::clock::Clock;
use crate::config;

/// One request to the provider; a person is waiting.
const REQUEST_MAX: Duration = Duration::from_secs(5);
/// Documents and tokens are a few KiB.
const BODY_BYTES_MAX: usize = 256 * 1024;
/// What the provider says about itself is asked again after this long.
const KNOWN_FOR: Duration = Duration::from_secs(60 * 60);
/// A key that we do not know makes us ask again, but not more often than this.
const ASK_AGAIN: Duration = Duration::from_secs(10);
/// Keys have two halves: whoever can verify cannot sign.
const ALGORITHMS: [CoreJwsSigningAlgorithm; 9] = [
    CoreJwsSigningAlgorithm::EcdsaP256Sha256,
    CoreJwsSigningAlgorithm::EcdsaP384Sha384,
    CoreJwsSigningAlgorithm::EdDsa,
    CoreJwsSigningAlgorithm::RsaSsaPkcs1V15Sha256,
    CoreJwsSigningAlgorithm::RsaSsaPkcs1V15Sha384,
    CoreJwsSigningAlgorithm::RsaSsaPkcs1V15Sha512,
    CoreJwsSigningAlgorithm::RsaSsaPssSha256,
    CoreJwsSigningAlgorithm::RsaSsaPssSha384,
    CoreJwsSigningAlgorithm::RsaSsaPssSha512,
];

/// Claims beside the standard ones: groups are among them, under whatever name.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Claims {
    #[serde(flatten)]
    all: BTreeMap<String, serde_json::Value>,
}
impl AdditionalClaims for Claims {}

/// RFC 9207: whether the provider always says who answers.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct SaysWho {
    #[serde(default)]
    authorization_response_iss_parameter_supported: bool,
}
impl AdditionalProviderMetadata for SaysWho {}

type Metadata = ProviderMetadata<
    SaysWho,
    CoreAuthDisplay,
    CoreClientAuthMethod,
    CoreClaimName,
    CoreClaimType,
    CoreGrantType,
    CoreJweContentEncryptionAlgorithm,
    CoreJweKeyManagementAlgorithm,
    CoreJsonWebKey,
    CoreResponseMode,
    CoreResponseType,
    CoreSubjectIdentifierType,
>;

type Tokens = StandardTokenResponse<
    IdTokenFields<
        Claims,
        EmptyExtraTokenFields,
        CoreGenderClaim,
        CoreJweContentEncryptionAlgorithm,
        CoreJwsSigningAlgorithm,
    >,
    CoreTokenType,
>;

type Party = Client<
    Claims,
    CoreAuthDisplay,
    CoreGenderClaim,
    CoreJweContentEncryptionAlgorithm,
    CoreJsonWebKey,
    CoreAuthPrompt,
    StandardErrorResponse<CoreErrorResponseType>,
    Tokens,
    CoreTokenIntrospectionResponse,
    CoreRevocableToken,
    CoreRevocationErrorResponse,
    EndpointSet,
    EndpointNotSet,
    EndpointNotSet,
    EndpointNotSet,
    EndpointMaybeSet,
    EndpointMaybeSet,
>;

/// Why the provider did not help.
#[derive(Debug, thiserror::Error)]
pub enum OidcError {
    /// `[oidc]` is not complete, or not right.
    #[error("[oidc] {0}")]
    Config(String),
    /// The provider does not answer, or not as it should.
    #[error("the identity provider cannot be asked: {0}")]
    Unavailable(String),
    /// The provider's answer is not to be believed, or not to us.
    #[error("the identity provider's answer is refused: {0}")]
    Refused(String),
}

/// Why a request failed.
#[derive(Debug, thiserror::Error)]
enum CallError {
    #[error(transparent)]
    Request(#[from] reqwest::Error),
    #[error("the answer is larger than {BODY_BYTES_MAX} bytes")]
    TooLarge,
    #[error("the answer is {0}")]
    Broken(http::StatusCode),
    #[error(transparent)]
    Http(#[from] http::Error),
}

/// The organisation's identity provider.
pub struct Provider {
    settings: config::Oidc,
    issuer: IssuerUrl,
    http: Http,
    known: Mutex<Option<(Duration, Metadata)>>,
}

impl std::fmt::Debug for Provider {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Provider").field("issuer", &self.issuer.as_str()).finish_non_exhaustive()
    }
}

/// Asks the provider: in bounded time, for bounded answers, and goes nowhere else.
struct Http(reqwest::Client);

impl Http {
    async fn ask(&self, request: HttpRequest) -> Result<HttpResponse, CallError> {
        let (parts, body) = request.into_parts();
        let request = self.0.request(parts.method, parts.uri.to_string()).headers(parts.headers).body(body);
        let mut response = request.send().await?;
        if response.status().is_server_error() {
            return Err(CallError::Broken(response.status()));
        }
        let mut answer = http::Response::builder().status(response.status());
        if let Some(headers) = answer.headers_mut() {
            headers.extend(response.headers().clone());
        }
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await? {
            if body.len() + chunk.len() > BODY_BYTES_MAX {
                return Err(CallError::TooLarge);
            }
            body.extend_from_slice(&chunk);
        }
        Ok(answer.body(body)?)
    }
}

impl<'c> AsyncHttpClient<'c> for Http {
    type Error = CallError;
    type Future = Pin<Box<dyn Future<Output = Result<HttpResponse, CallError>> + Send + 'c>>;

    fn call(&'c self, request: HttpRequest) -> Self::Future {
        Box::pin(self.ask(request))
    }
}

/// Somebody on their way to the provider.
#[derive(Debug)]
pub struct Begun {
    /// Where to send their browser.
    pub url: String,
    /// What comes back with them.
    pub state: String,
    nonce: Nonce,
    verifier: PkceCodeVerifier,
    redirect: String,
}

/// What came back with somebody.
#[derive(Clone, Copy, Debug)]
pub struct Answer<'a> {
    /// The code for the token endpoint.
    pub code: &'a str,
    /// Who says so.
    pub issuer: Option<&'a str>,
}

/// Who somebody is at the provider.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// The provider.
    pub issuer: String,
    /// Their name there that never changes.
    pub subject: String,
    /// What they would like to be called when they sign in, if the provider says.
    pub username: Option<String>,
    /// What others call them, if the provider says.
    pub name: Option<String>,
    /// The mightiest role that one of their groups is mapped to; `None` when none is.
    pub role: Option<Role>,
}

impl Provider {
    /// The provider in `[oidc]`; `None` without one.
    ///
    /// # Errors
    ///
    /// [`OidcError::Config`], in words for the operator.
    pub fn new(settings: &config::Oidc) -> Result<Option<Self>, OidcError> {
        let config = |text: &str| OidcError::Config(text.to_owned());
        let Some(issuer) = &settings.issuer else { return Ok(None) };
        if settings.client_id.is_none() {
            return Err(config("has an issuer but no client_id"));
        }
        let issuer = IssuerUrl::new(issuer.clone()).map_err(|_| config("issuer is not a URL"))?;
        let url = issuer.url();
        let local = matches!(url.host_str(), Some("localhost" | "127.0.0.1" | "[::1]"));
        if url.scheme() != "https" && !(url.scheme() == "http" && local) {
            return Err(config("issuer must begin with https://"));
        }
        if let Some(unknown) = settings.roles.values().find(|role| Role::from_name(role).is_none()) {
            return Err(OidcError::Config(format!("roles names the role {unknown:?}, which is none")));
        }
        let http = reqwest::Client::builder()
            .timeout(REQUEST_MAX)
            // An answer that sends us elsewhere would choose whom we talk to.
            .redirect(reqwest::redirect::Policy::none())
            .https_only(!local)
            .no_proxy()
            .build()
            .map_err(|error| OidcError::Config(error.to_string()))?;
        Ok(Some(Self { settings: settings.clone(), issuer, http: Http(http), known: Mutex::default() }))
    }

    /// What the button says.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.settings.name
    }

    /// What the provider says about itself, not older than `age`.
    async fn metadata(&self, clock: &Clock, age: Duration) -> Result<Metadata, OidcError> {
        let mut known = self.known.lock().await;
        if let Some((at, metadata)) = &*known
            && clock.elapsed().saturating_sub(*at) < age
        {
            return Ok(metadata.clone());
        }
        let metadata = Metadata::discover_async(self.issuer.clone(), &self.http).await;
        let metadata = metadata.map_err(|error| OidcError::Unavailable(chain(&error)))?;
        *known = Some((clock.elapsed(), metadata.clone()));
        Ok(metadata)
    }

    fn party(&self, metadata: Metadata, redirect: &str) -> Result<Party, OidcError> {
        let id = ClientId::new(self.settings.client_id.clone().unwrap_or_default());
        let secret = self.settings.client_secret.as_ref().map(|secret| ClientSecret::new(secret.expose().to_owned()));
        let redirect = RedirectUrl::new(redirect.to_owned()).map_err(|error| OidcError::Config(error.to_string()))?;
        Ok(Client::from_provider_metadata(metadata, id, secret).set_redirect_uri(redirect))
    }

    /// Where to send somebody who wants to sign in, and what to remember of it. `again` asks the provider to ask them,
    /// also when they are signed in there.
    ///
    /// # Errors
    ///
    /// [`OidcError`].
    pub async fn begin(&self, clock: &Clock, redirect: &str, again: bool) -> Result<Begun, OidcError> {
        let party = self.party(self.metadata(clock, KNOWN_FOR).await?, redirect)?;
        let (challenge, verifier) = PkceCodeChallenge::new_random_sha256();
        let mut request = party
            .authorize_url(CoreAuthenticationFlow::AuthorizationCode, CsrfToken::new_random, Nonce::new_random)
            .set_pkce_challenge(challenge);
        for scope in self.settings.scopes.iter().filter(|scope| *scope != "openid") {
            request = request.add_scope(Scope::new(scope.clone()));
        }
        if again {
            request = request.add_prompt(CoreAuthPrompt::Login);
        }
        let (url, state, nonce) = request.url();
        Ok(Begun {
            url: url.to_string(),
            state: state.secret().clone(),
            nonce,
            verifier,
            redirect: redirect.to_owned(),
        })
    }

    /// Who came back. The caller has found `begun` by the state that came with them.
    ///
    /// # Errors
    ///
    /// [`OidcError`].
    pub async fn finish(&self, clock: &Clock, begun: Begun, answer: Answer<'_>) -> Result<Identity, OidcError> {
        let refused = |why: &str| OidcError::Refused(why.to_owned());
        let metadata = self.metadata(clock, KNOWN_FOR).await?;
        match answer.issuer {
            Some(issuer) if issuer != self.issuer.as_str() => return Err(refused("it is from another issuer")),
            None if metadata.additional_metadata().authorization_response_iss_parameter_supported => {
                return Err(refused("it does not say who its issuer is"));
            }
            Some(_) | None => {}
        }
        let party = self.party(metadata, &begun.redirect)?;
        let tokens = party
            .exchange_code(AuthorizationCode::new(answer.code.to_owned()))
            .map_err(|error| OidcError::Unavailable(error.to_string()))?
            .set_pkce_verifier(begun.verifier)
            .request_async(&self.http)
            .await
            .map_err(|error| match error {
                RequestTokenError::Request(_) => OidcError::Unavailable(chain(&error)),
                _ => OidcError::Refused(chain(&error)),
            })?;
        let now = clock.now();
        match self.verified(&party, &tokens, &begun.nonce, now) {
            Ok(identity) => Ok(identity),
            // Keys are changed now and then: with what the provider says now it may be right.
            Err(_) => {
                let party = self.party(self.metadata(clock, ASK_AGAIN).await?, &begun.redirect)?;
                self.verified(&party, &tokens, &begun.nonce, now)
            }
        }
    }

    fn verified(&self, party: &Party, tokens: &Tokens, nonce: &Nonce, now: Time) -> Result<Identity, OidcError> {
        let failed = |error: &dyn std::error::Error| OidcError::Refused(chain(error));
        let token = tokens.id_token().ok_or_else(|| OidcError::Refused("it holds no ID token".to_owned()))?;
        let now = UNIX_EPOCH + Duration::from_millis(u64::try_from(now.millis()).unwrap_or(0));
        let verifier = party.id_token_verifier().set_allowed_algs(ALGORITHMS).set_time_fn(move || now.into());
        let claims = token.claims(&verifier, nonce).map_err(|error| failed(&error))?;
        if let Some(expected) = claims.access_token_hash() {
            let algorithm = token.signing_alg().map_err(|error| failed(&error))?;
            let key = token.signing_key(&verifier).map_err(|error| failed(&error))?;
            let actual =
                AccessTokenHash::from_token(tokens.access_token(), algorithm, key).map_err(|error| failed(&error))?;
            if actual != *expected {
                return Err(OidcError::Refused("its access token is not the one it was signed with".to_owned()));
            }
        }
        let username = claims.preferred_username().map(|name| name.as_str().to_owned());
        let email = claims.email().filter(|_| claims.email_verified() == Some(true));
        Ok(Identity {
            issuer: claims.issuer().as_str().to_owned(),
            subject: claims.subject().as_str().to_owned(),
            username: username.or_else(|| email.map(|email| email.as_str().to_owned())),
            name: claims.name().and_then(|name| name.get(None)).map(|name| name.as_str().to_owned()),
            role: self.role(&claims.additional_claims().all),
        })
    }

    /// The mightiest role of all groups. Groups are a list, or one text.
    fn role(&self, claims: &BTreeMap<String, serde_json::Value>) -> Option<Role> {
        let groups: Vec<&str> = match claims.get(&self.settings.groups_claim) {
            Some(serde_json::Value::Array(groups)) => groups.iter().filter_map(|group| group.as_str()).collect(),
            Some(serde_json::Value::String(group)) => vec![group],
            _ => Vec::new(),
        };
        let roles: Vec<Role> = groups
            .iter()
            .filter_map(|group| self.settings.roles.get(*group))
            .filter_map(|role| Role::from_name(role))
            .collect();
        Role::ALL.into_iter().find(|role| roles.contains(role))
    }
}

/// An error with its causes, for the operator's log.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(issuer: &str) -> config::Oidc {
        config::Oidc {
            issuer: Some(issuer.to_owned()),
            client_id: Some("stagedoor".to_owned()),
            roles: [("crew".to_owned(), "moderator".to_owned()), ("heads".to_owned(), "admin".to_owned())].into(),
            ..config::Oidc::default()
        }
    }

    #[test]
    fn a_provider_is_complete_and_speaks_tls() {
        assert!(Provider::new(&config::Oidc::default()).unwrap().is_none());
        assert!(Provider::new(&settings("https://id.example.org/realms/main")).unwrap().is_some());
        assert!(Provider::new(&settings("http://127.0.0.1:9000")).unwrap().is_some(), "for trying it out");
        for issuer in ["http://id.example.org", "ftp://id.example.org", "nonsense", "https://"] {
            assert!(matches!(Provider::new(&settings(issuer)), Err(OidcError::Config(_))), "{issuer}");
        }
        let nobody = config::Oidc { client_id: None, ..settings("https://id.example.org") };
        assert!(matches!(Provider::new(&nobody), Err(OidcError::Config(_))));
        let roles = [("all".to_owned(), "root".to_owned())].into();
        let root = config::Oidc { roles, ..settings("https://id.example.org") };
        assert!(matches!(Provider::new(&root), Err(OidcError::Config(_))));
    }

    #[test]
    fn the_mightiest_mapped_group_decides() {
        let provider = Provider::new(&settings("https://id.example.org")).unwrap().unwrap();
        let role = |groups: serde_json::Value| provider.role(&[("groups".to_owned(), groups)].into());
        assert_eq!(role(serde_json::json!(["crew", "heads", "all"])), Some(Role::Admin));
        assert_eq!(role(serde_json::json!(["crew"])), Some(Role::Moderator));
        assert_eq!(role(serde_json::json!("crew")), Some(Role::Moderator));
        for nothing in
            [serde_json::json!(["all"]), serde_json::json!([]), serde_json::json!([7]), serde_json::json!({})]
        {
            assert_eq!(role(nothing), None);
        }
        assert_eq!(provider.role(&BTreeMap::new()), None);
    }
}
