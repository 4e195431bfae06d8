//! TLS: one certificate from files, taken up again when they change, and handshakes with a deadline.
//!
//! The same certificate serves HTTPS and RTMPS. Who writes the files does not matter: certbot, acme.sh and their like, or
//! `acme` next door. Until the first is fetched, one that vouches for nobody keeps the doors open for the authority.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use rcgen::{CertificateParams, KeyPair};
use rustls::ServerConfig;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use stagedoor_domain::Time;
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tokio_util::sync::CancellationToken;
use x509_parser::prelude::{FromDer as _, GeneralName, X509Certificate};

use super::follow::follow;
use crate::config;

/// A client that has not finished its handshake by then is gone; the same time as for a request's head.
const HANDSHAKE_MAX: Duration = Duration::from_secs(10);
/// Bytes of a file at most: the longest chain in use is a tenth of that.
const FILE_BYTES_MAX: u64 = 256 * 1024;
/// Before a certificate ends this soon the log says so, once a day.
const WARN_BEFORE: Duration = Duration::from_secs(14 * 24 * 60 * 60);
const WARN_EVERY: Duration = Duration::from_secs(24 * 60 * 60);

/// What an authority says it speaks when it looks whether a name is here (RFC 8737, section 6.2).
pub const ACME_TLS: &[u8] = b"acme-tls/1";

/// Why the files cannot be used; for the operator.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "each message says what it is and what to do")]
pub enum TlsError {
    #[error("tls.certificate and tls.key belong together: {} is missing", missing)]
    HalfConfigured { missing: &'static str },
    #[error("{} cannot be read", path.display())]
    Unreadable { path: PathBuf, source: std::io::Error },
    #[error("{} is larger than 256 KiB, which no certificate is", path.display())]
    TooLarge { path: PathBuf },
    #[error("{} holds no certificate in PEM form (-----BEGIN CERTIFICATE-----)", path.display())]
    NoCertificate { path: PathBuf },
    #[error("{} holds no private key in PEM form (PKCS #8, PKCS #1 or SEC 1, without a passphrase)", path.display())]
    NoKey { path: PathBuf },
    #[error("the certificate and the key do not belong together, or are of a kind that is not supported")]
    Mismatch(#[source] rustls::Error),
    #[error("tls.acme_names and tls.certificate exclude each other: fetch certificates, or name files")]
    Both,
    #[error("TLS cannot be set up")]
    Setup(#[source] rustls::Error),
    #[error("a certificate to begin with cannot be made")]
    Begin(#[source] rcgen::Error),
}

/// A request or publisher that came over our TLS.
#[derive(Clone, Copy, Debug)]
pub struct Encrypted;

/// The certificate in use, and the two kinds of handshake with it.
#[derive(Clone, Debug)]
pub struct Tls {
    certificate: Arc<Certificate>,
    https: Arc<ServerConfig>,
    rtmps: Arc<ServerConfig>,
}

#[derive(Debug)]
struct Certificate {
    files: Files,
    /// By ourselves: they may not be there yet.
    fetched: bool,
    current: ArcSwap<Loaded>,
    /// What an authority is shown that asks for a name.
    answers: ArcSwap<HashMap<String, Arc<CertifiedKey>>>,
}

#[derive(Debug)]
struct Files {
    certificate: PathBuf,
    key: PathBuf,
}

#[derive(Debug)]
struct Loaded {
    /// Both files as they were read, to see whether they have changed.
    pem: Pem,
    key: Arc<CertifiedKey>,
    begins_at: Time,
    expires_at: Time,
    names: Vec<String>,
}

/// Both files' bytes. The key's never leave this module.
#[derive(PartialEq)]
struct Pem {
    certificate: Vec<u8>,
    key: Vec<u8>,
}

impl std::fmt::Debug for Pem {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Pem(…)")
    }
}

/// Where fetched certificates are kept, and the account that they belong to.
pub(super) fn fetched_folder(data_dir: &Path) -> PathBuf {
    data_dir.join("acme")
}

impl Tls {
    /// Reads the files that are named, or those that were fetched; `None` when there is to be no TLS.
    ///
    /// # Errors
    ///
    /// [`TlsError`], in words for the operator.
    pub fn load_or_begin(config: &config::Tls, data_dir: &Path) -> Result<Option<Self>, TlsError> {
        let mut config = config.clone();
        if !config.acme_names.is_empty() {
            if config.certificate.is_some() || config.key.is_some() {
                return Err(TlsError::Both);
            }
            let folder = fetched_folder(data_dir);
            (config.certificate, config.key) = (Some(folder.join("certificate.pem")), Some(folder.join("key.pem")));
        }
        Self::load(&config)
    }

    /// Reads the files; `None` when none are named. Those that the server fetches itself may be absent, or of no use since it
    /// died between the two: then it begins without them, and others are due.
    ///
    /// # Errors
    ///
    /// [`TlsError`], in words for the operator.
    pub fn load(config: &config::Tls) -> Result<Option<Self>, TlsError> {
        let fetched = !config.acme_names.is_empty();
        let files = match (&config.certificate, &config.key) {
            (None, None) => return Ok(None),
            (Some(_), None) => return Err(TlsError::HalfConfigured { missing: "tls.key" }),
            (None, Some(_)) => return Err(TlsError::HalfConfigured { missing: "tls.certificate" }),
            (Some(certificate), Some(key)) => Files { certificate: certificate.clone(), key: key.clone() },
        };
        let loaded = match files.read().and_then(|pem| pem.loaded(&files)) {
            Err(error) if fetched && error.is_mended_by_fetching() => {
                if !error.is_absence() {
                    tracing::error!(
                        error = &error as &dyn std::error::Error,
                        "the TLS certificate that was fetched cannot be used: another one is to be fetched"
                    );
                }
                Loaded::to_begin_with(&config.acme_names, &files)?
            }
            loaded => loaded?,
        };
        let current = ArcSwap::from_pointee(loaded);
        let certificate = Arc::new(Certificate { files, fetched, current, answers: ArcSwap::default() });
        let config = |protocols: &[&[u8]]| {
            let mut config = ServerConfig::builder_with_provider(provider())
                .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])
                .map_err(TlsError::Setup)?
                .with_no_client_auth()
                .with_cert_resolver(certificate.clone());
            config.alpn_protocols = protocols.iter().map(|name| name.to_vec()).collect();
            Ok(Arc::new(config))
        };
        let web: &[&[u8]] = if fetched { &[b"h2", b"http/1.1", ACME_TLS] } else { &[b"h2", b"http/1.1"] };
        let (https, rtmps) = (config(web)?, config(&[])?);
        Ok(Some(Self { certificate, https, rtmps }))
    }

    /// Handshakes that agree on HTTP/2 or HTTP/1.1.
    #[must_use]
    pub fn https(&self) -> Handshake {
        Handshake(TlsAcceptor::from(self.https.clone()))
    }

    /// Handshakes with encoders.
    #[must_use]
    pub fn rtmps(&self) -> Handshake {
        Handshake(TlsAcceptor::from(self.rtmps.clone()))
    }

    /// When the certificate in use ends.
    #[must_use]
    pub fn expires_at(&self) -> Time {
        self.certificate.current.load().expires_at
    }

    /// Whether there is none that vouches for anybody: one is still to be fetched.
    #[must_use]
    pub fn is_to_begin_with(&self) -> bool {
        self.expires_at().millis() == 0
    }

    /// Whether it is time for another certificate for `names`: less than a third of its time is left, it is for other names,
    /// or it is the one to begin with, which has no time at all.
    pub(super) fn is_due(&self, names: &[String], now: Time) -> bool {
        let current = self.certificate.current.load();
        let lasts = current.expires_at.since(current.begins_at);
        let other = names.iter().any(|name| !current.names.contains(name));
        other || current.expires_at.since(now) <= lasts / 3
    }

    /// What an authority is shown that asks for one of these names.
    pub(super) fn answer(&self, answers: HashMap<String, Arc<CertifiedKey>>) {
        self.certificate.answers.store(Arc::new(answers));
    }

    /// Takes up new files until `stop`. Files that cannot be used, or only one of which was replaced yet, change nothing.
    pub async fn keep(&self, now: impl Fn() -> Time, stop: CancellationToken) {
        let mut warned: Option<tokio::time::Instant> = None;
        let look = || {
            let changed = self.look();
            let left = self.expires_at().since(now());
            metrics::gauge!("tls_certificate_seconds_left").set(left.as_secs_f64());
            if left < WARN_BEFORE && !self.is_to_begin_with() && warned.is_none_or(|at| at.elapsed() > WARN_EVERY) {
                warned = Some(tokio::time::Instant::now());
                tracing::warn!(days = left.as_secs() / 86_400, "the TLS certificate ends soon: renew it");
            }
            changed
        };
        follow("the TLS certificate", stop, look).await;
    }

    /// Whether the files have changed and were taken up.
    ///
    /// # Errors
    ///
    /// [`TlsError`]; then what was in use stays.
    pub fn look(&self) -> Result<bool, TlsError> {
        let Certificate { files, current, fetched, .. } = &*self.certificate;
        let pem = match files.read() {
            // Not fetched yet.
            Err(error) if *fetched && error.is_absence() => return Ok(false),
            read => read?,
        };
        if pem == current.load().pem {
            return Ok(false);
        }
        current.store(Arc::new(pem.loaded(files)?));
        Ok(true)
    }
}

impl TlsError {
    fn is_absence(&self) -> bool {
        matches!(self, Self::Unreadable { source, .. } if source.kind() == std::io::ErrorKind::NotFound)
    }

    /// Whether other files in place of these are all that is needed. Files that may not be read are somebody's to look at.
    fn is_mended_by_fetching(&self) -> bool {
        self.is_absence() || matches!(self, Self::NoCertificate { .. } | Self::NoKey { .. } | Self::Mismatch(_))
    }
}

impl Files {
    fn read(&self) -> Result<Pem, TlsError> {
        Ok(Pem { certificate: read(&self.certificate)?, key: read(&self.key)? })
    }
}

fn read(path: &Path) -> Result<Vec<u8>, TlsError> {
    let unreadable = |source| TlsError::Unreadable { path: path.to_owned(), source };
    if std::fs::metadata(path).map_err(unreadable)?.len() > FILE_BYTES_MAX {
        return Err(TlsError::TooLarge { path: path.to_owned() });
    }
    std::fs::read(path).map_err(unreadable)
}

impl Pem {
    fn loaded(self, files: &Files) -> Result<Loaded, TlsError> {
        let no_certificate = || TlsError::NoCertificate { path: files.certificate.clone() };
        let chain = CertificateDer::pem_slice_iter(&self.certificate).collect::<Result<Vec<_>, _>>();
        let chain = chain.map_err(|_| no_certificate())?;
        let own = chain.first().ok_or_else(no_certificate)?;
        let (_, parsed) = X509Certificate::from_der(own).map_err(|_| no_certificate())?;
        let time = |at: x509_parser::time::ASN1Time| Time::from_millis(at.timestamp().saturating_mul(1_000));
        let (begins_at, expires_at) = (time(parsed.validity().not_before), time(parsed.validity().not_after));
        let names = parsed.subject_alternative_name().ok().flatten();
        let names = names.iter().flat_map(|names| &names.value.general_names);
        let names = names.filter_map(|name| match name {
            GeneralName::DNSName(name) => Some(name.to_ascii_lowercase()),
            _ => None,
        });
        let names = names.collect();
        let key = PrivateKeyDer::from_pem_slice(&self.key).map_err(|_| TlsError::NoKey { path: files.key.clone() })?;
        let key = CertifiedKey::from_der(chain, key, &provider()).map_err(TlsError::Mismatch)?;
        Ok(Loaded { pem: self, key: Arc::new(key), begins_at, expires_at, names })
    }
}

impl Loaded {
    /// One that vouches for nobody and whose time is over: until one was fetched.
    fn to_begin_with(names: &[String], files: &Files) -> Result<Self, TlsError> {
        let pair = KeyPair::generate().map_err(TlsError::Begin)?;
        let params = CertificateParams::new(names).map_err(TlsError::Begin)?;
        let made = params.self_signed(&pair).map_err(TlsError::Begin)?;
        let pem = Pem { certificate: made.pem().into_bytes(), key: pair.serialize_pem().into_bytes() };
        let loaded = pem.loaded(files)?;
        let over = Time::from_millis(0);
        Ok(Self { begins_at: over, expires_at: over, ..loaded })
    }
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::aws_lc_rs::default_provider())
}

impl ResolvesServerCert for Certificate {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        if hello.alpn().is_some_and(|mut spoken| spoken.any(|name| name == ACME_TLS)) {
            return self.answers.load().get(hello.server_name()?).cloned();
        }
        Some(self.current.load().key.clone())
    }
}

/// One kind of handshake.
#[derive(Clone)]
pub struct Handshake(TlsAcceptor);

impl Handshake {
    /// Shakes hands, in ten seconds at most.
    ///
    /// # Errors
    ///
    /// Whatever went wrong; a scan of the internet brings every kind.
    pub async fn shake(&self, stream: TcpStream) -> std::io::Result<TlsStream<TcpStream>> {
        let late = |_| std::io::Error::from(std::io::ErrorKind::TimedOut);
        tokio::time::timeout(HANDSHAKE_MAX, self.0.accept(stream)).await.map_err(late)?
    }
}

#[cfg(test)]
mod tests {
    use rustls::pki_types::ServerName;
    use stagedoor_testkit::tls::SelfSigned;
    use tokio_rustls::TlsConnector;

    use super::*;

    struct Folder(PathBuf);

    impl Folder {
        fn new(name: &str) -> Self {
            let path = std::env::temp_dir().join(format!("stagedoor-tls-{name}-{}", std::process::id()));
            std::fs::create_dir_all(&path).unwrap();
            Self(path)
        }

        fn put(&self, certificate: &str, key: &str) {
            std::fs::write(self.0.join("cert.pem"), certificate).unwrap();
            std::fs::write(self.0.join("key.pem"), key).unwrap();
        }

        fn config(&self) -> config::Tls {
            let (certificate, key) = (Some(self.0.join("cert.pem")), Some(self.0.join("key.pem")));
            config::Tls { certificate, key, ..config::Tls::default() }
        }

        fn load(&self) -> Result<Option<Tls>, TlsError> {
            Tls::load(&self.config())
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            let _ = std::fs::remove_dir_all(&self.0);
        }
    }

    /// What a client that trusts `made` only agrees on, or why it does not.
    async fn visit(tls: &Tls, made: &SelfSigned, protocols: &[&[u8]]) -> Result<Option<Vec<u8>>, String> {
        let mut roots = rustls::RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(made.certificate.as_bytes()).unwrap()).unwrap();
        let builder = rustls::ClientConfig::builder_with_provider(provider()).with_safe_default_protocol_versions();
        let mut client = builder.unwrap().with_root_certificates(roots).with_no_client_auth();
        client.alpn_protocols = protocols.iter().map(|name| name.to_vec()).collect();
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let stream = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (accepted, _) = listener.accept().await.unwrap();
        let name = ServerName::try_from("stage.test").unwrap();
        let (server, client) = (tls.https(), TlsConnector::from(Arc::new(client)));
        let (ours, theirs) = tokio::join!(server.shake(accepted), client.connect(name, stream));
        let theirs = theirs.map_err(|error| error.to_string())?;
        ours.unwrap();
        Ok(theirs.get_ref().1.alpn_protocol().map(<[u8]>::to_vec))
    }

    #[tokio::test]
    async fn a_certificate_is_taken_up_when_its_files_change_and_not_before_both_did() {
        let folder = Folder::new("turn");
        let (first, second) = (SelfSigned::new("stage.test"), SelfSigned::new("stage.test"));
        folder.put(&first.certificate, &first.key);
        let tls = folder.load().unwrap().unwrap();
        assert_eq!(visit(&tls, &first, &[b"h2", b"http/1.1"]).await, Ok(Some(b"h2".to_vec())));
        assert_eq!(visit(&tls, &first, &[b"http/1.1"]).await, Ok(Some(b"http/1.1".to_vec())));
        assert_eq!(visit(&tls, &first, &[]).await, Ok(None));
        assert!(!tls.look().unwrap(), "nothing changed");

        folder.put(&second.certificate, &first.key);
        assert!(matches!(tls.look(), Err(TlsError::Mismatch(_))));
        folder.put("", "");
        assert!(matches!(tls.look(), Err(TlsError::NoCertificate { .. })));
        assert!(visit(&tls, &first, &[]).await.is_ok(), "what was in use stays");

        folder.put(&second.certificate, &second.key);
        assert!(tls.look().unwrap());
        assert!(visit(&tls, &second, &[]).await.is_ok());
        assert!(visit(&tls, &first, &[]).await.is_err());
    }

    #[test]
    fn a_fetched_pair_that_cannot_be_used_is_due_again_and_a_named_one_is_refused() {
        let folder = Folder::new("fetched");
        let (made, other) = (SelfSigned::new("stage.test"), SelfSigned::new("stage.test"));
        let fetched = config::Tls { acme_names: vec!["stage.test".to_owned()], ..folder.config() };
        let now = Time::from_millis(SelfSigned::EXPIRES_MS - 1);
        let (certificate, key) = (made.certificate.as_str(), made.key.as_str());
        for (left, beside) in [(certificate, other.key.as_str()), ("nonsense", key), (certificate, "")] {
            folder.put(left, beside);
            assert!(folder.load().is_err(), "the operator's own files are the operator's to mend");
            let tls = Tls::load(&fetched).unwrap().unwrap();
            assert!(tls.is_to_begin_with() && tls.is_due(&fetched.acme_names, now));
            assert!(tls.look().is_err() && tls.is_to_begin_with());
            folder.put(certificate, key);
            assert!(tls.look().unwrap() && !tls.is_to_begin_with(), "what is fetched then is taken up");
        }
        std::fs::remove_file(folder.0.join("cert.pem")).unwrap();
        assert!(folder.load().is_err());
        assert!(Tls::load(&fetched).unwrap().unwrap().is_to_begin_with(), "one of the two is none");
        folder.put(&"x".repeat(300 * 1024), key);
        assert!(matches!(Tls::load(&fetched), Err(TlsError::TooLarge { .. })), "nothing that was fetched");
    }

    #[test]
    fn what_cannot_be_used_is_refused_in_words() {
        let folder = Folder::new("refused");
        let (made, other) = (SelfSigned::new("stage.test"), SelfSigned::new("stage.test"));
        assert!(Tls::load(&config::Tls::default()).unwrap().is_none(), "no certificate, no TLS");
        let half = config::Tls { key: None, ..folder.config() };
        let said = |result: Result<Option<Tls>, TlsError>| result.map(|_| ()).unwrap_err().to_string();
        assert!(said(Tls::load(&half)).contains("tls.key is missing"));
        assert!(said(folder.load()).contains("cert.pem cannot be read"));
        for (certificate, key, words) in [
            ("nonsense", made.key.as_str(), "holds no certificate"),
            ("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", &made.key, "holds no certificate"),
            (&made.certificate, "", "holds no private key"),
            (&made.certificate, &made.certificate, "holds no private key"),
            (&made.certificate, &other.key, "do not belong together"),
            (&"x".repeat(300 * 1024), &made.key, "larger than 256 KiB"),
        ] {
            folder.put(certificate, key);
            assert!(said(folder.load()).contains(words), "{words}");
        }
        folder.put(&made.certificate, &made.key);
        let tls = folder.load().unwrap().unwrap();
        assert_eq!(tls.expires_at(), Time::from_millis(SelfSigned::EXPIRES_MS));
        assert!(!format!("{tls:?}").contains("PRIVATE"));
    }
}
