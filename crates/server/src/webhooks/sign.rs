//! The signature of a delivery.
//!
//! # Source
//!
//! Standard Webhooks 1.0.0, "Signature scheme": HMAC-SHA256 of `id.timestamp.body`, as `v1,` and base64; several with a
//! space between.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;

/// The value of `webhook-signature`: one signature for each key.
pub(super) fn header(keys: &[Vec<u8>], id: &str, seconds: i64, body: &[u8]) -> String {
    let signatures: Vec<_> = keys.iter().map(|key| format!("v1,{}", one(key, id, seconds, body))).collect();
    signatures.join(" ")
}

fn one(key: &[u8], id: &str, seconds: i64, body: &[u8]) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes a key of any length");
    mac.update(format!("{id}.{seconds}.").as_bytes());
    mac.update(body);
    STANDARD.encode(mac.finalize().into_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_example_of_the_standard_is_signed_as_it_says() {
        // The vector that Standard Webhooks' own libraries are tested with.
        let key = STANDARD.decode("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").unwrap();
        let (id, seconds, body) = ("msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, br#"{"test": 2432232314}"#);
        let expected = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=";
        assert_eq!(header(std::slice::from_ref(&key), id, seconds, body), expected);
        let two = header(&[vec![1; 32], key], id, seconds, body);
        assert!(two.starts_with("v1,") && two.ends_with(&format!(" {expected}")), "{two}");
    }
}
