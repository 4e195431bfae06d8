//! An authenticator in software: it makes passkeys and signs with them, as a telephone does, and lies when it is told to.
//!
//! # Source
//!
//! W3C Web Authentication Level 3, sections 5.8.1 (client data), 6.1 (authenticator data), 6.5 (attestation; the format is
//! `none`); RFC 9052 and RFC 9053 (the key as COSE); RFC 8949 (CBOR).
#![allow(clippy::unwrap_used)]

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

/// Somebody was there.
const PRESENT: u8 = 0x01;
/// They showed a finger, a face or a PIN.
const VERIFIED: u8 = 0x04;
/// A key follows.
const ATTESTED: u8 = 0x40;

/// What is wrong with an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lie {
    /// Nobody showed a finger, a face or a PIN.
    Unverified,
    /// Nobody was there at all.
    Absent,
    /// The page was of another site.
    OtherOrigin,
    /// The page was of a site whose name only ends like ours.
    LikeOrigin,
    /// The key is for another site.
    OtherSite,
    /// It answers another question.
    OtherChallenge,
    /// It answers the other kind of question.
    OtherKind,
    /// Another key signed.
    OtherKey,
    /// The signature is of other words.
    OtherWords,
    /// It says that it is somebody else's.
    OtherUser,
    /// The counter goes back, as that of a copy does.
    Copy,
}

/// A passkey on a device.
pub struct Passkey {
    key: EcdsaKeyPair,
    id: Vec<u8>,
    user: String,
    counter: u32,
}

fn encode(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

fn fresh() -> EcdsaKeyPair {
    EcdsaKeyPair::generate(&ECDSA_P256_SHA256_ASN1_SIGNING).unwrap()
}

fn client_data(kind: &str, challenge: &Value, origin: &str, lie: Option<Lie>) -> Vec<u8> {
    let kind = match (kind, lie) {
        ("webauthn.create", Some(Lie::OtherKind)) => "webauthn.get",
        (_, Some(Lie::OtherKind)) => "webauthn.create",
        _ => kind,
    };
    let origin = match lie {
        Some(Lie::OtherOrigin) => "https://evil.example".to_owned(),
        Some(Lie::LikeOrigin) => origin.replace("://", "://evil"),
        _ => origin.to_owned(),
    };
    let challenge = if lie == Some(Lie::OtherChallenge) { json!(encode(&[7; 32])) } else { challenge.clone() };
    json!({"type": kind, "challenge": challenge, "origin": origin, "crossOrigin": false}).to_string().into_bytes()
}

fn authenticator_data(site: &str, flags: u8, counter: u32, lie: Option<Lie>) -> Vec<u8> {
    let site = if lie == Some(Lie::OtherSite) { "evil.example" } else { site };
    let flags = match lie {
        Some(Lie::Unverified) => flags & !VERIFIED,
        Some(Lie::Absent) => flags & !(VERIFIED | PRESENT),
        _ => flags,
    };
    let mut data = digest(&SHA256, site.as_bytes()).as_ref().to_vec();
    data.push(flags);
    data.extend(counter.to_be_bytes());
    data
}

impl Passkey {
    /// Answers `navigator.credentials.create`: the passkey, and what the page sends.
    #[must_use]
    pub fn create(options: &Value, origin: &str, lie: Option<Lie>) -> (Self, Value) {
        let asked = &options["publicKey"];
        let key = fresh();
        let id = aws_lc_rs::rand::SystemRandom::new();
        let mut name = vec![0; 32];
        aws_lc_rs::rand::SecureRandom::fill(&id, &mut name).unwrap();
        let mut data = authenticator_data(asked["rp"]["id"].as_str().unwrap(), PRESENT | VERIFIED | ATTESTED, 0, lie);
        data.extend([0; 16]);
        data.extend(u16::try_from(name.len()).unwrap().to_be_bytes());
        data.extend(&name);
        // {1: 2 (EC2), 3: -7 (ES256), -1: 1 (P-256), -2: x, -3: y}
        let point = key.public_key().as_ref();
        data.extend([0xa5, 0x01, 0x02, 0x03, 0x26, 0x20, 0x01, 0x21, 0x58, 0x20]);
        data.extend(&point[1..33]);
        data.extend([0x22, 0x58, 0x20]);
        data.extend(&point[33..]);
        // {"fmt": "none", "attStmt": {}, "authData": …}
        let mut object = b"\xa3\x63fmt\x64none\x67attStmt\xa0\x68authData\x58".to_vec();
        object.push(u8::try_from(data.len()).unwrap());
        object.extend(&data);
        let client = client_data("webauthn.create", &asked["challenge"], origin, lie);
        let response = json!({"attestationObject": encode(&object), "clientDataJSON": encode(&client),
            "transports": ["internal"]});
        let answer = json!({"id": encode(&name), "rawId": encode(&name), "type": "public-key", "response": response,
            "extensions": {}});
        let user = asked["user"]["id"].as_str().unwrap().to_owned();
        (Self { key, id: name, user, counter: 0 }, answer)
    }

    /// What it is known by.
    #[must_use]
    pub fn id(&self) -> String {
        encode(&self.id)
    }

    /// Answers `navigator.credentials.get`.
    pub fn get(&mut self, options: &Value, origin: &str, lie: Option<Lie>) -> Value {
        let asked = &options["publicKey"];
        self.counter += 2;
        let counter = if lie == Some(Lie::Copy) { 1 } else { self.counter };
        let data = authenticator_data(asked["rpId"].as_str().unwrap(), PRESENT | VERIFIED, counter, lie);
        let client = client_data("webauthn.get", &asked["challenge"], origin, lie);
        let mut signed = data.clone();
        signed.extend(digest(&SHA256, if lie == Some(Lie::OtherWords) { b"other" } else { &client }).as_ref());
        let other = (lie == Some(Lie::OtherKey)).then(fresh);
        let signature = other.as_ref().unwrap_or(&self.key).sign(&SystemRandom::new(), &signed).unwrap();
        let user = if lie == Some(Lie::OtherUser) { encode(&[9; 16]) } else { self.user.clone() };
        let response = json!({"authenticatorData": encode(&data), "clientDataJSON": encode(&client),
            "signature": encode(signature.as_ref()), "userHandle": user});
        json!({"id": self.id(), "rawId": self.id(), "type": "public-key", "response": response, "extensions": {}})
    }
}
