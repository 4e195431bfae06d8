//! Certificates that sign themselves.

/// A certificate and its key, in PEM form.
#[derive(Debug)]
pub struct SelfSigned {
    /// The certificate.
    pub certificate: String,
    /// The private key.
    pub key: String,
}

impl SelfSigned {
    /// When all of them end: 2030-01-01, in milliseconds since 1970.
    pub const EXPIRES_MS: i64 = 1_893_456_000_000;

    /// For one name, with a key of its own.
    ///
    /// # Panics
    ///
    /// When `name` cannot be a host.
    #[must_use]
    pub fn new(name: &str) -> Self {
        let mut params = rcgen::CertificateParams::new([name.to_owned()]).expect("a host");
        params.not_after = rcgen::date_time_ymd(2030, 1, 1);
        let key = rcgen::KeyPair::generate().expect("randomness");
        let certificate = params.self_signed(&key).expect("a key that can sign");
        Self { certificate: certificate.pem(), key: key.serialize_pem() }
    }
}
