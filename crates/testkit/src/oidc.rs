//! An identity provider that speaks OpenID Connect: discovery, keys, authorization, tokens with real signatures. It is
//! as strict as the standards ask, and lies when it is told to.
//!
//! # Source
//!
//! OpenID Connect Core 1.0 and Discovery 1.0, RFC 6749, RFC 7636, RFC 7517, RFC 7518, RFC 9207.
#![allow(clippy::unwrap_used)]

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair, RSA_PKCS1_SHA256, RsaKeyPair};
use aws_lc_rs::{digest, hmac};
use axum::extract::{Form, Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

/// What it knows us by.
pub const CLIENT: &str = "stagedoor";
/// What we show, when it asks.
pub const SECRET: &str = "s3cret-of-the-client";

/// Whoever sits before the provider's own sign-in page.
#[derive(Clone, Debug)]
pub struct Person {
    /// Their name there that never changes.
    pub subject: String,
    /// More claims of the ID token.
    pub claims: Value,
}

impl Person {
    /// Somebody in these groups.
    #[must_use]
    pub fn new(subject: &str, username: &str, groups: &[&str]) -> Self {
        let claims = json!({"preferred_username": username, "name": username, "groups": groups});
        Self { subject: subject.to_owned(), claims }
    }

    /// The same with another claim.
    #[must_use]
    pub fn with(mut self, claim: &str, value: impl Into<Value>) -> Self {
        self.claims[claim] = value.into();
        self
    }
}

/// What is wrong with the next answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lie {
    /// The ID token is for somebody else.
    OtherAudience,
    /// It is for us and for somebody else, who asked for it.
    OtherParty,
    /// It is from somebody else.
    OtherIssuer,
    /// Its time is over.
    Expired,
    /// It holds another nonce.
    OtherNonce,
    /// It holds no nonce.
    NoNonce,
    /// It holds no subject.
    NoSubject,
    /// Nobody signed it, and it says so.
    AlgNone,
    /// It is signed with our own secret.
    SharedSecret,
    /// It is signed with the public key, taken for a secret.
    PublicKeyAsSecret,
    /// It is signed with a key that is not published, under the name of one that is.
    OtherKey,
    /// The same, and it brings its key along.
    OwnKey,
    /// Its signature is of other words.
    OtherWords,
    /// It is for another access token.
    OtherAccessToken,
    /// There is none.
    NoIdToken,
    /// The answer at the browser names another issuer (RFC 9207).
    MixedUp,
    /// The answer at the browser names no issuer, although it always would.
    Nameless,
    /// The token endpoint has an error of its own.
    Broken,
    /// The token endpoint answers more than anybody reads.
    Endless,
}

/// How ID tokens are signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Algorithm {
    /// RSA with PKCS #1 v1.5 and SHA-256.
    Rs256,
    /// ECDSA on P-256 with SHA-256.
    Es256,
}

enum Key {
    Rsa(RsaKeyPair),
    Ec(EcdsaKeyPair),
}

impl Key {
    fn new(algorithm: Algorithm) -> Self {
        match algorithm {
            Algorithm::Rs256 => Self::Rsa(RsaKeyPair::generate(aws_lc_rs::rsa::KeySize::Rsa2048).unwrap()),
            Algorithm::Es256 => Self::Ec(EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap()),
        }
    }

    fn algorithm(&self) -> &'static str {
        match self {
            Self::Rsa(_) => "RS256",
            Self::Ec(_) => "ES256",
        }
    }

    fn public(&self) -> &[u8] {
        match self {
            Self::Rsa(key) => key.public_key().as_ref(),
            Self::Ec(key) => key.public_key().as_ref(),
        }
    }

    fn jwk(&self, kid: &str) -> Value {
        let public = self.public();
        match self {
            // RSAPublicKey in DER: a sequence of the modulus, 2048 bits after a zero, and of 65537.
            Self::Rsa(_) => json!({"kty": "RSA", "use": "sig", "alg": "RS256", "kid": kid,
                "n": encode(&public[9..9 + 256]), "e": "AQAB"}),
            // An uncompressed point: a four, x, y.
            Self::Ec(_) => json!({"kty": "EC", "use": "sig", "alg": "ES256", "crv": "P-256", "kid": kid,
                "x": encode(&public[1..33]), "y": encode(&public[33..])}),
        }
    }

    fn sign(&self, text: &[u8]) -> Vec<u8> {
        match self {
            Self::Rsa(key) => {
                let mut signature = vec![0; key.public_modulus_len()];
                key.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), text, &mut signature).unwrap();
                signature
            }
            Self::Ec(key) => key.sign(&SystemRandom::new(), text).unwrap().as_ref().to_vec(),
        }
    }
}

/// A code that waits to be exchanged.
struct Grant {
    person: Person,
    challenge: String,
    redirect: String,
    nonce: Option<String>,
}

struct Inner {
    url: String,
    now: i64,
    key: Key,
    kid: String,
    algorithm: Algorithm,
    person: Option<Person>,
    lies: VecDeque<Lie>,
    grants: HashMap<String, Grant>,
    secrets: Vec<String>,
    prompts: Vec<String>,
    exchanges: u32,
    issued: u32,
    asks_for_secret: bool,
}

/// The provider; it is gone when this is dropped.
pub struct Provider {
    inner: Arc<Mutex<Inner>>,
    url: String,
    task: JoinHandle<()>,
}

impl Drop for Provider {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Provider {
    /// Listens on a free port. `now` is what its clock shows, in seconds.
    pub async fn start(algorithm: Algorithm, now: i64) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let inner = Arc::new(Mutex::new(Inner {
            url: url.clone(),
            now,
            key: Key::new(algorithm),
            kid: "first".to_owned(),
            algorithm,
            person: None,
            lies: VecDeque::new(),
            grants: HashMap::new(),
            secrets: Vec::new(),
            prompts: Vec::new(),
            exchanges: 0,
            issued: 0,
            asks_for_secret: true,
        }));
        let router = Router::new()
            .route("/.well-known/openid-configuration", get(discovery))
            .route("/keys", get(keys))
            .route("/authorize", get(authorize))
            .route("/token", post(token))
            // One request for a connection: when it goes away, it is gone.
            .layer(axum::middleware::map_response(async |mut response: Response| {
                response.headers_mut().insert("connection", "close".parse().unwrap());
                response
            }))
            .with_state(inner.clone());
        let task = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { inner, url, task }
    }

    /// Its issuer.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Who sits there from now on; `None` clicks "cancel".
    pub fn seat(&self, person: Option<Person>) {
        self.lock().person = person;
    }

    /// Lies the next time.
    pub fn lie(&self, lie: Lie) {
        self.lock().lies.push_back(lie);
    }

    /// What its clock shows, in seconds.
    pub fn set_now(&self, now: i64) {
        self.lock().now = now;
    }

    /// Clients without a secret are let in too.
    pub fn ask_for_no_secret(&self) {
        self.lock().asks_for_secret = false;
    }

    /// Signs with another key from now on, and publishes only that one.
    pub fn rotate(&self) {
        let mut inner = self.lock();
        inner.key = Key::new(inner.algorithm);
        inner.kid = format!("after {}", inner.kid);
    }

    /// Goes away.
    pub fn close(&self) {
        self.task.abort();
    }

    /// Everything that nobody else may learn: codes, verifiers and tokens.
    #[must_use]
    pub fn secrets(&self) -> Vec<String> {
        self.lock().secrets.clone()
    }

    /// What it was asked to ask people, each time.
    #[must_use]
    pub fn prompts(&self) -> Vec<String> {
        self.lock().prompts.clone()
    }

    /// How often its token endpoint was asked.
    #[must_use]
    pub fn exchanges(&self) -> u32 {
        self.lock().exchanges
    }
}

type Shared = Arc<Mutex<Inner>>;
type Fields = HashMap<String, String>;

fn lock(shared: &Shared) -> std::sync::MutexGuard<'_, Inner> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

fn encode(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

async fn discovery(State(shared): State<Shared>) -> Json<Value> {
    let inner = lock(&shared);
    let url = &inner.url;
    Json(json!({
        "issuer": url,
        "authorization_endpoint": format!("{url}/authorize"),
        "token_endpoint": format!("{url}/token"),
        "jwks_uri": format!("{url}/keys"),
        "response_types_supported": ["code"],
        "grant_types_supported": ["authorization_code"],
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": [inner.key.algorithm()],
        "code_challenge_methods_supported": ["S256"],
        "token_endpoint_auth_methods_supported": ["client_secret_basic"],
        "authorization_response_iss_parameter_supported": true,
    }))
}

async fn keys(State(shared): State<Shared>) -> Json<Value> {
    let inner = lock(&shared);
    Json(json!({"keys": [inner.key.jwk(&inner.kid)]}))
}

/// Refused on a page of the provider's own: nobody is sent to an address that is not ours.
fn refused(why: &str) -> Response {
    (StatusCode::BAD_REQUEST, why.to_owned()).into_response()
}

async fn authorize(State(shared): State<Shared>, Query(asked): Query<Fields>) -> Response {
    let mut inner = lock(&shared);
    let field = |name: &str| asked.get(name).map(String::as_str);
    if field("client_id") != Some(CLIENT) {
        return refused("unknown client");
    }
    let Some(redirect) = field("redirect_uri").filter(|uri| uri.ends_with("/api/v1/login/provider/callback")) else {
        return refused("unknown redirect_uri");
    };
    let (Some(state), Some(challenge)) = (field("state"), field("code_challenge")) else {
        return refused("state and code_challenge are missing");
    };
    let openid = field("scope").is_some_and(|scopes| scopes.split(' ').any(|scope| scope == "openid"));
    if field("response_type") != Some("code") || field("code_challenge_method") != Some("S256") || !openid {
        return refused("only the code flow of OpenID Connect with S256");
    }
    inner.prompts.push(field("prompt").unwrap_or_default().to_owned());
    let issuer = match inner.lies.front() {
        Some(Lie::MixedUp) => Some("https://evil.example".to_owned()),
        Some(Lie::Nameless) => None,
        _ => Some(inner.url.clone()),
    };
    if matches!(inner.lies.front(), Some(Lie::MixedUp | Lie::Nameless)) {
        inner.lies.pop_front();
    }
    let issuer = issuer.map_or(String::new(), |issuer| format!("&iss={issuer}"));
    let Some(person) = inner.person.clone() else {
        return Redirect::to(&format!("{redirect}?error=access_denied&state={state}{issuer}")).into_response();
    };
    inner.issued += 1;
    let code = format!("code-{}-{}", inner.issued, encode(&fresh()));
    inner.secrets.push(code.clone());
    let nonce = field("nonce").map(str::to_owned);
    let grant = Grant { person, challenge: challenge.to_owned(), redirect: redirect.to_owned(), nonce };
    inner.grants.insert(code.clone(), grant);
    Redirect::to(&format!("{redirect}?code={code}&state={state}{issuer}")).into_response()
}

fn fresh() -> [u8; 24] {
    let mut bytes = [0; 24];
    aws_lc_rs::rand::fill(&mut bytes).unwrap();
    bytes
}

/// RFC 6749 section 5.2.
fn error(status: StatusCode, name: &str) -> Response {
    (status, Json(json!({"error": name, "error_description": "asked wrongly"}))).into_response()
}

async fn token(State(shared): State<Shared>, headers: HeaderMap, Form(sent): Form<Fields>) -> Response {
    let mut inner = lock(&shared);
    inner.exchanges += 1;
    let lie = inner.lies.pop_front();
    match lie {
        Some(Lie::Broken) => return (StatusCode::BAD_GATEWAY, "<html>nginx</html>").into_response(),
        Some(Lie::Endless) => return Json(json!({"access_token": "x".repeat(1 << 20)})).into_response(),
        _ => {}
    }
    let basic = format!("Basic {}", STANDARD.encode(format!("{CLIENT}:{SECRET}")));
    let shown = headers.get("authorization").is_some_and(|value| value == basic.as_str());
    let named = !inner.asks_for_secret && sent.get("client_id").is_some_and(|id| id == CLIENT);
    if !shown && !named {
        return error(StatusCode::UNAUTHORIZED, "invalid_client");
    }
    let field = |name: &str| sent.get(name).map(String::as_str).unwrap_or_default();
    if field("grant_type") != "authorization_code" {
        return error(StatusCode::BAD_REQUEST, "unsupported_grant_type");
    }
    // Once, also when it is used wrongly.
    let Some(grant) = inner.grants.remove(field("code")) else {
        return error(StatusCode::BAD_REQUEST, "invalid_grant");
    };
    let verifier = field("code_verifier");
    inner.secrets.push(verifier.to_owned());
    let challenge = encode(digest::digest(&digest::SHA256, verifier.as_bytes()).as_ref());
    if challenge != grant.challenge || field("redirect_uri") != grant.redirect {
        return error(StatusCode::BAD_REQUEST, "invalid_grant");
    }
    let access_token = format!("access-{}", encode(&fresh()));
    let mut answer = json!({"access_token": access_token, "token_type": "Bearer", "expires_in": 300});
    if lie != Some(Lie::NoIdToken) {
        let id_token = inner.id_token(&grant, &access_token, lie);
        inner.secrets.push(id_token.clone());
        answer["id_token"] = id_token.into();
    }
    inner.secrets.push(access_token);
    ([("cache-control", "no-store")], Json(answer)).into_response()
}

impl Inner {
    fn id_token(&self, grant: &Grant, access_token: &str, lie: Option<Lie>) -> String {
        let hash = |token: &str| encode(&digest::digest(&digest::SHA256, token.as_bytes()).as_ref()[..16]);
        let mut claims = grant.person.claims.clone();
        claims["iss"] = self.url.clone().into();
        claims["sub"] = grant.person.subject.clone().into();
        claims["aud"] = CLIENT.into();
        claims["iat"] = self.now.into();
        claims["exp"] = (self.now + 300).into();
        claims["nonce"] = grant.nonce.clone().into();
        claims["at_hash"] = hash(access_token).into();
        let mut header = json!({"typ": "JWT", "alg": self.key.algorithm(), "kid": self.kid});
        match lie {
            Some(Lie::OtherAudience) => claims["aud"] = "another-client".into(),
            Some(Lie::OtherParty) => {
                claims["aud"] = json!([CLIENT, "another-client"]);
                claims["azp"] = "another-client".into();
            }
            Some(Lie::OtherIssuer) => claims["iss"] = "https://evil.example".into(),
            Some(Lie::Expired) => claims["exp"] = (self.now - 1).into(),
            Some(Lie::OtherNonce) => claims["nonce"] = "another".into(),
            Some(Lie::NoNonce) => drop(claims.as_object_mut().unwrap().remove("nonce")),
            Some(Lie::NoSubject) => drop(claims.as_object_mut().unwrap().remove("sub")),
            Some(Lie::OtherAccessToken) => claims["at_hash"] = hash("another").into(),
            Some(Lie::AlgNone) => header["alg"] = "none".into(),
            Some(Lie::SharedSecret | Lie::PublicKeyAsSecret) => header["alg"] = "HS256".into(),
            Some(Lie::OwnKey) => {
                header["jku"] = "https://evil.example/keys".into();
                header["kid"] = "../../evil".into();
            }
            _ => {}
        }
        let other = matches!(lie, Some(Lie::OtherKey | Lie::OwnKey)).then(|| Key::new(self.algorithm));
        if lie == Some(Lie::OwnKey) {
            header["jwk"] = other.as_ref().unwrap().jwk("../../evil");
        }
        let text = format!("{}.{}", encode(header.to_string().as_bytes()), encode(claims.to_string().as_bytes()));
        let keyed = |key: &[u8]| {
            let key = hmac::Key::new(hmac::HMAC_SHA256, key);
            hmac::sign(&key, text.as_bytes()).as_ref().to_vec()
        };
        let signature = match (lie, other) {
            (Some(Lie::AlgNone), _) => Vec::new(),
            (Some(Lie::SharedSecret), _) => keyed(SECRET.as_bytes()),
            (Some(Lie::PublicKeyAsSecret), _) => keyed(self.key.public()),
            (Some(Lie::OtherWords), _) => self.key.sign(b"other words"),
            (_, Some(other)) => other.sign(text.as_bytes()),
            _ => self.key.sign(text.as_bytes()),
        };
        format!("{text}.{}", encode(&signature))
    }
}
