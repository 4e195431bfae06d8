//! Publish tokens: JSON Web Tokens that another system of the organisation signs, accepted where a stream key is.
//!
//! What makes such tokens dangerous is left out: the algorithm is the key's and not the token's choice, no key is named,
//! carried or fetched by a token, and what is not understood is refused, not ignored.
//!
//! The file of keys is compared with what is in use every few seconds. A key that is gone from it opens nothing any more;
//! what becomes of a broadcast that is on air by it is the live hub's matter.
//!
//! # Source
//!
//! RFC 7519 (JSON Web Token), RFC 7515 section 7.1 (compact form), RFC 8037 (`EdDSA` with Ed25519), RFC 7518 section 3.4
//! (`ES256`), by the rules of RFC 8725 (best current practices). Narrower than these: no header parameter but `alg` and
//! `typ`, no claim but those of [`Claims`], times in whole seconds, 1,024 bytes at most.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use arc_swap::ArcSwap;
use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED, ED25519, ParsedPublicKey};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde::Deserialize;
use stagedoor_domain::Time;
use stagedoor_domain::access::{PublishToken, Signer};
use stagedoor_domain::id::EventId;

use crate::config;

/// The one `typ` of a publish token: a token that was signed for another purpose is none.
pub const TYPE: &str = "publish+jwt";

/// Longer texts are no tokens. Also what the RTMP session keeps of a stream name.
pub const TOKEN_BYTES_MAX: usize = 1_024;

/// Keys at once: some for each system that signs, with their successors.
const KEYS_MAX: usize = 16;

/// A file of sixteen keys, and some room for what stands between them.
const FILE_BYTES_MAX: usize = 16 * 1_024;

/// What stands before the 32 bytes of an Ed25519 key (RFC 8410, section 4).
const SPKI_ED25519: [u8; 12] = [0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];

/// What stands before the 65 bytes of an uncompressed point on P-256 (RFC 5480, section 2).
const SPKI_P256: [u8; 26] = [
    0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a, 0x86, 0x48, 0xce,
    0x3d, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00,
];

/// Why publish tokens cannot be taken.
#[derive(Debug, thiserror::Error)]
pub enum PublishTokensError {
    /// Some of the three settings are there and some are not.
    #[error("publish needs token_issuer, token_audience and token_keys together")]
    Incomplete,
    /// The file cannot be read.
    #[error("the file of publish.token_keys, {}, cannot be read", path.display())]
    File {
        /// Which file.
        path: PathBuf,
        /// Why not.
        #[source]
        source: std::io::Error,
    },
    /// What is in it are not public keys that we take.
    #[error(
        "{}: publish.token_keys wants one to sixteen PUBLIC KEY blocks in PEM form, each Ed25519 or P-256",
        path.display()
    )]
    Keys {
        /// Which file.
        path: PathBuf,
    },
}

/// Whose publish tokens are taken.
#[derive(Debug)]
pub struct PublishTokens {
    issuer: String,
    audience: String,
    path: PathBuf,
    current: ArcSwap<Loaded>,
}

/// The file as it was read, and what is in it.
#[derive(Debug)]
struct Loaded {
    text: String,
    keys: Vec<Key>,
}

#[derive(Debug)]
struct Key {
    signer: Signer,
    algorithm: Algorithm,
    key: ParsedPublicKey,
}

/// The only two. Their names in the header must be written like this.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
enum Algorithm {
    #[serde(rename = "EdDSA")]
    EdDsa,
    #[serde(rename = "ES256")]
    Es256,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Header {
    alg: Algorithm,
    typ: String,
}

/// Everything that a token may say. A claim that is not here may restrict what it is good for, so it is refused.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Claims {
    /// Who signed it.
    iss: String,
    /// For whom.
    aud: Audience,
    /// The event to publish to.
    sub: EventId,
    /// Its end, in seconds since 1970.
    exp: i64,
    /// Its beginning.
    #[serde(default)]
    nbf: Option<i64>,
    /// When it was made. Nothing follows from it.
    #[serde(default, rename = "iat")]
    _iat: Option<i64>,
    /// Its name. Nothing follows from it.
    #[serde(default, rename = "jti")]
    _jti: Option<String>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Audience {
    One(String),
    Many(Vec<String>),
}

impl Audience {
    fn has(&self, name: &str) -> bool {
        match self {
            Self::One(one) => one == name,
            Self::Many(many) => many.iter().any(|one| one == name),
        }
    }
}

/// The text is no token that one of the keys signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Forged;

impl PublishTokens {
    /// What the settings say; `None` when they say nothing.
    ///
    /// # Errors
    ///
    /// [`PublishTokensError`], in words for the operator.
    pub fn load(settings: &config::Publish) -> Result<Option<Self>, PublishTokensError> {
        let (issuer, audience, path) = match (&settings.token_issuer, &settings.token_audience, &settings.token_keys) {
            (None, None, None) => return Ok(None),
            (Some(issuer), Some(audience), Some(path)) if !issuer.is_empty() && !audience.is_empty() => {
                (issuer, audience, path)
            }
            _ => return Err(PublishTokensError::Incomplete),
        };
        let current = ArcSwap::from_pointee(Loaded::of(path, read(path)?)?);
        Ok(Some(Self { issuer: issuer.clone(), audience: audience.clone(), path: path.clone(), current }))
    }

    /// Whether the file has changed and was taken up.
    ///
    /// # Errors
    ///
    /// [`PublishTokensError`]; then the keys in use stay: a file that is being written shuts nobody out.
    pub fn look(&self) -> Result<bool, PublishTokensError> {
        let text = read(&self.path)?;
        if text == self.current.load().text {
            return Ok(false);
        }
        self.current.store(Arc::new(Loaded::of(&self.path, text)?));
        Ok(true)
    }

    /// Whether tokens of `signer` are still taken.
    #[must_use]
    pub fn trusts(&self, signer: Signer) -> bool {
        self.current.load().keys.iter().any(|key| key.signer == signer)
    }

    /// How many keys there are.
    #[must_use]
    pub fn count(&self) -> usize {
        self.current.load().keys.len()
    }

    /// Whether a text is meant to be a token: stream keys have no full stop in them.
    pub(super) fn is_meant_by(text: &str) -> bool {
        text.contains('.')
    }

    /// What a token says, to which event it wants to publish, and who signed it. Says nothing about whether it is still
    /// good: that is [`decide`](stagedoor_domain::access::decide)'s matter.
    pub(super) fn verify(&self, text: &str) -> Result<(EventId, PublishToken, Signer), Forged> {
        if text.len() > TOKEN_BYTES_MAX {
            return Err(Forged);
        }
        let (signed, signature) = text.rsplit_once('.').ok_or(Forged)?;
        let (header, claims) = signed.split_once('.').ok_or(Forged)?;
        let header: Header = decoded(header)?;
        let signature = URL_SAFE_NO_PAD.decode(signature).map_err(|_| Forged)?;
        // Before a claim is so much as looked at.
        if header.typ != TYPE {
            return Err(Forged);
        }
        let current = self.current.load();
        let by = current
            .keys
            .iter()
            .find(|key| key.algorithm == header.alg && key.key.verify_sig(signed.as_bytes(), &signature).is_ok());
        let signer = by.ok_or(Forged)?.signer;
        let claims: Claims = decoded(claims)?;
        let time = |seconds: i64| seconds.checked_mul(1_000).map(Time::from_millis).ok_or(Forged);
        let token = PublishToken {
            for_us: claims.iss == self.issuer && claims.aud.has(&self.audience),
            not_before: claims.nbf.map(time).transpose()?,
            expires_at: time(claims.exp)?,
        };
        Ok((claims.sub, token, signer))
    }
}

/// A part of a token: base64url without padding, and a JSON object without anything before or after it.
fn decoded<T: for<'a> Deserialize<'a>>(part: &str) -> Result<T, Forged> {
    let bytes = URL_SAFE_NO_PAD.decode(part).map_err(|_| Forged)?;
    // A list of the values in the right order would pass for the object, too.
    if bytes.first() != Some(&b'{') {
        return Err(Forged);
    }
    serde_json::from_slice(&bytes).map_err(|_| Forged)
}

fn read(path: &Path) -> Result<String, PublishTokensError> {
    use std::io::Read as _;
    let mut text = String::new();
    let bound = u64::try_from(FILE_BYTES_MAX).unwrap_or(u64::MAX);
    let read = std::fs::File::open(path).and_then(|file| file.take(bound).read_to_string(&mut text));
    read.map(|_| text).map_err(|source| PublishTokensError::File { path: path.to_owned(), source })
}

impl Loaded {
    fn of(path: &Path, text: String) -> Result<Self, PublishTokensError> {
        let keys = keys(&text).ok_or_else(|| PublishTokensError::Keys { path: path.to_owned() })?;
        Ok(Self { text, keys })
    }
}

/// The keys of a PEM file; `None` when there are none, too many, or others.
fn keys(text: &str) -> Option<Vec<Key>> {
    const BEGIN: &str = "-----BEGIN ";
    const END: &str = "-----";
    let mut keys = Vec::new();
    for block in text.split(BEGIN).skip(1) {
        let (label, rest) = block.split_once(END)?;
        let (body, _) = rest.split_once(END)?;
        if label != "PUBLIC KEY" {
            return None;
        }
        let body: String = body.split_ascii_whitespace().collect();
        keys.push(key(&STANDARD.decode(body).ok()?)?);
    }
    (1..=KEYS_MAX).contains(&keys.len()).then_some(keys)
}

/// A key in its one usual form: other encodings of the same key are not worth a reader of ASN.1.
fn key(der: &[u8]) -> Option<Key> {
    let (algorithm, parsed) = if let Some(key) = der.strip_prefix(&SPKI_ED25519) {
        (Algorithm::EdDsa, ParsedPublicKey::new(&ED25519, key))
    } else {
        (Algorithm::Es256, ParsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, der.strip_prefix(&SPKI_P256)?))
    };
    let mut signer = Signer([0; 32]);
    signer.0.copy_from_slice(digest(&SHA256, der).as_ref());
    parsed.ok().map(|key| Key { signer, algorithm, key })
}

#[cfg(test)]
mod tests {
    use aws_lc_rs::rand::SystemRandom;
    use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _};
    use serde_json::{Value, json};

    use super::*;

    const ISSUER: &str = "https://studio.example.org";
    const AUDIENCE: &str = "https://stage.example.org";
    const NOW_S: i64 = 1_795_203_000;

    fn tokens_of(keys: Vec<Key>) -> PublishTokens {
        let current = ArcSwap::from_pointee(Loaded { text: String::new(), keys });
        PublishTokens { issuer: ISSUER.into(), audience: AUDIENCE.into(), path: PathBuf::new(), current }
    }

    struct Studio {
        ed: Ed25519KeyPair,
        ec: EcdsaKeyPair,
    }

    impl Studio {
        fn new() -> Self {
            let ed = Ed25519KeyPair::from_seed_unchecked(&[7; 32]).unwrap();
            let pkcs8 = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &SystemRandom::new()).unwrap();
            let ec = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, pkcs8.as_ref()).unwrap();
            Self { ed, ec }
        }

        fn pem(&self) -> String {
            let block = |prefix: &[u8], key: &[u8]| {
                format!(
                    "-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n",
                    STANDARD.encode([prefix, key].concat())
                )
            };
            let (ed, ec) = (self.ed.public_key().as_ref(), self.ec.public_key().as_ref());
            format!("# of the studio\n{}{}", block(&SPKI_ED25519, ed), block(&SPKI_P256, ec))
        }

        fn tokens(&self) -> PublishTokens {
            tokens_of(keys(&self.pem()).unwrap())
        }

        fn sign_raw(&self, header: &str, claims: &str, by: Algorithm) -> String {
            let signed = format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(claims));
            let signature = match by {
                Algorithm::EdDsa => self.ed.sign(signed.as_bytes()).as_ref().to_vec(),
                Algorithm::Es256 => self.ec.sign(&SystemRandom::new(), signed.as_bytes()).unwrap().as_ref().to_vec(),
            };
            format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature))
        }

        fn sign(&self, claims: &Value, by: Algorithm) -> String {
            let alg = if by == Algorithm::EdDsa { "EdDSA" } else { "ES256" };
            self.sign_raw(&json!({"alg": alg, "typ": TYPE}).to_string(), &claims.to_string(), by)
        }
    }

    fn event() -> EventId {
        EventId::new(uuid::Uuid::from_u128(7))
    }

    fn claims() -> Value {
        json!({"iss": ISSUER, "aud": AUDIENCE, "sub": event(), "exp": NOW_S + 60, "nbf": NOW_S, "iat": NOW_S, "jti": "1"})
    }

    #[test]
    fn what_was_signed_by_either_algorithm_is_read() {
        let signer = Studio::new();
        let tokens = signer.tokens();
        assert_eq!(tokens.count(), 2);
        for by in [Algorithm::EdDsa, Algorithm::Es256] {
            let (event_of_it, token, by_whom) = tokens.verify(&signer.sign(&claims(), by)).unwrap();
            let at = |seconds: i64| Time::from_millis(seconds * 1_000);
            let (for_us, not_before, expires_at) = (true, Some(at(NOW_S)), at(NOW_S + 60));
            assert_eq!((event_of_it, token), (event(), PublishToken { for_us, not_before, expires_at }));
            assert!(tokens.trusts(by_whom));
        }
        let mut many = claims();
        many["aud"] = json!(["https://other.example.org", AUDIENCE]);
        assert!(tokens.verify(&signer.sign(&many, Algorithm::EdDsa)).unwrap().1.for_us);
        for (claim, value) in [("iss", json!("https://other.example.org")), ("aud", json!("stage")), ("aud", json!([]))]
        {
            let mut wrong = claims();
            wrong[claim] = value;
            assert!(!tokens.verify(&signer.sign(&wrong, Algorithm::EdDsa)).unwrap().1.for_us, "{claim}");
        }
    }

    #[test]
    fn every_changed_letter_and_every_cut_is_forged() {
        let signer = Studio::new();
        let tokens = signer.tokens();
        let letters = b"ABCXYZabcxyz0189-_=.+/ \0";
        let mut tried = 0;
        for by in [Algorithm::EdDsa, Algorithm::Es256] {
            let text = signer.sign(&claims(), by);
            for at in 0..text.len() {
                for letter in letters.iter().filter(|letter| **letter != text.as_bytes()[at]) {
                    let mut bytes = text.clone().into_bytes();
                    bytes[at] = *letter;
                    assert_eq!(tokens.verify(std::str::from_utf8(&bytes).unwrap()), Err(Forged), "{letter} at {at}");
                    tried += 1;
                }
                assert_eq!(tokens.verify(&text[..at]), Err(Forged));
                assert_eq!(tokens.verify(&text[at..]).is_ok(), at == 0);
                tried += 1;
            }
        }
        assert!(tried >= 5_000, "{tried}");
    }

    #[test]
    fn no_trick_of_the_header_is_taken_although_the_signature_is_genuine() {
        let signer = Studio::new();
        let tokens = signer.tokens();
        let good = claims().to_string();
        let long = "k".repeat(10_000);
        for header in [
            r#"{"alg":"none","typ":"publish+jwt"}"#,
            r#"{"alg":"None","typ":"publish+jwt"}"#,
            r#"{"alg":"eddsa","typ":"publish+jwt"}"#,
            r#"{"alg":"HS256","typ":"publish+jwt"}"#,
            r#"{"alg":"RS256","typ":"publish+jwt"}"#,
            r#"{"alg":"ES384","typ":"publish+jwt"}"#,
            r#"{"alg":"ES256","typ":"publish+jwt"}"#,
            r#"{"alg":["EdDSA"],"typ":"publish+jwt"}"#,
            r#"{"alg":"EdDSA"}"#,
            r#"{"typ":"publish+jwt"}"#,
            r#"{"alg":"EdDSA","typ":"JWT"}"#,
            r#"{"alg":"EdDSA","typ":"at+jwt"}"#,
            r#"{"alg":"EdDSA","typ":"PUBLISH+JWT"}"#,
            r#"{"alg":"EdDSA","alg":"EdDSA","typ":"publish+jwt"}"#,
            r#"{"alg":"EdDSA","typ":"publish+jwt","typ":"publish+jwt"}"#,
            r#"{"alg":"EdDSA","typ":"publish+jwt","kid":"../../dev/null"}"#,
            r#"{"alg":"EdDSA","typ":"publish+jwt","kid":"' OR 1=1 --"}"#,
            r#"{"alg":"EdDSA","typ":"publish+jwt","kid":"https://evil.example.org/key"}"#,
            &format!(r#"{{"alg":"EdDSA","typ":"publish+jwt","kid":"{long}"}}"#),
            r#"{"alg":"EdDSA","typ":"publish+jwt","jku":"https://evil.example.org/jwks"}"#,
            r#"{"alg":"EdDSA","typ":"publish+jwt","x5u":"https://evil.example.org/x"}"#,
            r#"{"alg":"EdDSA","typ":"publish+jwt","x5c":["MII"]}"#,
            r#"{"alg":"EdDSA","typ":"publish+jwt","jwk":{"kty":"OKP","crv":"Ed25519","x":"AA"}}"#,
            r#"{"alg":"EdDSA","typ":"publish+jwt","crit":["exp"]}"#,
            r#"{"alg":"EdDSA","typ":"publish+jwt","b64":false}"#,
            r#"{"alg":"EdDSA","typ":"publish+jwt","zip":"DEF"}"#,
            r#"{"alg":"EdDSA","typ":"publish+jwt"} {}"#,
            r#"["EdDSA","publish+jwt"] "#,
            "[]",
            "{}",
            "",
            &"[".repeat(700),
        ] {
            assert_eq!(tokens.verify(&signer.sign_raw(header, &good, Algorithm::EdDsa)), Err(Forged), "{header}");
        }
        // The public key as a secret of HMAC: no key here has anything to do with HMAC.
        let hmac = signer.sign_raw(r#"{"alg":"HS256","typ":"publish+jwt"}"#, &good, Algorithm::Es256);
        assert_eq!(tokens.verify(&hmac), Err(Forged));
        let stranger = Studio { ed: Ed25519KeyPair::from_seed_unchecked(&[8; 32]).unwrap(), ..Studio::new() };
        for by in [Algorithm::EdDsa, Algorithm::Es256] {
            assert_eq!(tokens.verify(&stranger.sign(&claims(), by)), Err(Forged));
        }
        assert_eq!(tokens_of(Vec::new()).verify(&signer.sign(&claims(), Algorithm::EdDsa)), Err(Forged));
    }

    #[test]
    fn claims_that_are_missing_twice_there_unknown_or_of_another_kind_are_forged() {
        let signer = Studio::new();
        let tokens = signer.tokens();
        let refused = |text: &str| {
            let header = r#"{"alg":"EdDSA","typ":"publish+jwt"}"#;
            assert_eq!(tokens.verify(&signer.sign_raw(header, text, Algorithm::EdDsa)), Err(Forged), "{text}");
        };
        for missing in ["iss", "aud", "sub", "exp"] {
            let mut claims = claims();
            claims.as_object_mut().unwrap().remove(missing);
            refused(&claims.to_string());
        }
        for (claim, value) in [
            ("exp", json!("1795203060")),
            ("exp", json!(1_795_203_060.5)),
            ("exp", json!(null)),
            ("exp", json!(i64::MAX)),
            ("exp", json!(u64::MAX)),
            ("exp", json!(1e300)),
            ("nbf", json!("now")),
            ("nbf", json!(i64::MIN)),
            ("iat", json!({})),
            ("jti", json!(7)),
            ("iss", json!([ISSUER])),
            ("aud", json!({"a": AUDIENCE})),
            ("sub", json!("evt_")),
            ("sub", json!("str_01kaf3x6m8e9t8s2v4w6y8z0ab")),
            ("sub", json!(["evt_01kaf3x6m8e9t8s2v4w6y8z0ab"])),
            ("scope", json!("admin")),
            ("cnf", json!({"ip": "192.0.2.1"})),
        ] {
            let mut claims = claims();
            claims[claim] = value;
            refused(&claims.to_string());
        }
        let good = claims().to_string();
        refused(&good.replacen('{', r#"{"exp":9999999999,"#, 1));
        refused(&good.replacen('{', &format!(r#"{{"sub":"{}","#, event()), 1));
        refused(&format!("{good}{good}"));
        refused(&format!("\u{feff}{good}"));
        refused("");
        refused("null");
        refused(&"[".repeat(500));
    }

    #[test]
    fn only_public_keys_of_the_two_kinds_are_read() {
        let signer = Studio::new();
        let pem = signer.pem();
        assert_eq!(keys(&pem).map(|keys| keys.len()), Some(2));
        let point = STANDARD.encode([&SPKI_P256[..], &[4], &[1; 64]].concat());
        let short = STANDARD.encode([&SPKI_ED25519[..], &[1; 31]].concat());
        for text in [
            String::new(),
            "MCowBQYDK2VwAyEA".to_owned(),
            pem.replace("PUBLIC KEY", "PRIVATE KEY"),
            pem.replace("PUBLIC KEY", "CERTIFICATE"),
            pem.replace("-----END PUBLIC KEY-----", ""),
            pem.replacen("MFkw", "MFkx", 1),
            format!("-----BEGIN PUBLIC KEY-----\n{point}\n-----END PUBLIC KEY-----\n"),
            format!("-----BEGIN PUBLIC KEY-----\n{short}\n-----END PUBLIC KEY-----\n"),
            pem.repeat(9),
        ] {
            assert!(keys(&text).is_none(), "{text}");
        }
    }

    #[test]
    fn the_file_is_taken_up_when_it_changes_and_what_cannot_be_used_changes_nothing() {
        let path = std::env::temp_dir().join(format!("stagedoor-publish-keys-{}.pem", std::process::id()));
        let settings = config::Publish {
            token_issuer: Some(ISSUER.into()),
            token_audience: Some(AUDIENCE.into()),
            token_keys: Some(path.clone()),
        };
        let studio = Studio::new();
        let both = studio.pem();
        let ed_only = both.rsplit_once("-----BEGIN").unwrap().0;
        std::fs::write(&path, &both).unwrap();
        let tokens = PublishTokens::load(&settings).unwrap().unwrap();
        let (ed, ec) = (studio.sign(&claims(), Algorithm::EdDsa), studio.sign(&claims(), Algorithm::Es256));
        let gone = tokens.verify(&ec).unwrap().2;
        assert!(!tokens.look().unwrap(), "nothing changed");

        for unusable in ["", "nonsense", &both[..60], &both.replace("PUBLIC", "PRIVATE")] {
            std::fs::write(&path, unusable).unwrap();
            assert!(matches!(tokens.look(), Err(PublishTokensError::Keys { .. })));
        }
        std::fs::remove_file(&path).unwrap();
        assert!(matches!(tokens.look(), Err(PublishTokensError::File { .. })));
        assert!(tokens.verify(&ec).is_ok() && tokens.trusts(gone), "what was in use stays");

        std::fs::write(&path, ed_only).unwrap();
        assert!(tokens.look().unwrap());
        assert_eq!((tokens.count(), tokens.trusts(gone), tokens.verify(&ec)), (1, false, Err(Forged)));
        assert!(tokens.verify(&ed).is_ok());
        std::fs::write(&path, &both).unwrap();
        assert!(tokens.look().unwrap() && tokens.trusts(gone), "and comes back");
        std::fs::remove_file(&path).unwrap();
    }

    #[test]
    fn settings_are_whole_or_absent() {
        let whole = config::Publish {
            token_issuer: Some(ISSUER.into()),
            token_audience: Some(AUDIENCE.into()),
            token_keys: Some("/nowhere/keys.pem".into()),
        };
        assert!(PublishTokens::load(&config::Publish::default()).unwrap().is_none());
        assert!(matches!(PublishTokens::load(&whole), Err(PublishTokensError::File { .. })));
        for part in [
            config::Publish { token_issuer: None, ..whole.clone() },
            config::Publish { token_audience: Some(String::new()), ..whole.clone() },
            config::Publish { token_keys: None, ..whole },
        ] {
            assert!(matches!(PublishTokens::load(&part), Err(PublishTokensError::Incomplete)));
        }
    }
}
