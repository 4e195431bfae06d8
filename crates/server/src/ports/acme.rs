//! Certificates that the server fetches itself, from Let's Encrypt or any other authority that speaks ACME.
//!
//! ```text
//! due? → account (made once, kept) → order → a certificate that answers the question at our own port 443 → files → Tls::look
//! ```
//!
//! The only kind of question that is answered is TLS-ALPN-01: it comes to the port that the certificate is for, so nothing
//! else has to be reachable. What is fetched goes into files, which are taken up as if somebody else had written them.
//!
//! # Source
//!
//! RFC 8555 (ACME), RFC 8737 (TLS-ALPN-01).

use std::collections::HashMap;
use std::fs::{DirBuilder, File, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use instant_acme::{
    Account, AccountBuilder, AccountCredentials, AuthorizationStatus, ChallengeType, Identifier, NewAccount, NewOrder,
    OrderStatus, RetryPolicy,
};
use rcgen::{CertificateParams, CustomExtension, DistinguishedName, KeyPair};
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::sign::CertifiedKey;
use serde::{Deserialize, Serialize};
use stagedoor_domain::Time;
use tokio_util::sync::CancellationToken;

use super::tls::{Tls, TlsError, fetched_folder};
use crate::config;

/// How often it is looked whether a new certificate is due.
const LOOK_EVERY: Duration = Duration::from_secs(60 * 60);
/// After a failure it is tried again this soon, then after twice that, and so on: authorities count failures, five in an
/// hour are the most that Let's Encrypt forgives.
const AGAIN: Duration = Duration::from_secs(2 * 60);
const AGAIN_MAX: Duration = Duration::from_secs(6 * 60 * 60);
/// One order at most: an authority that does not answer is asked again later.
const ORDER_MAX: Duration = Duration::from_secs(5 * 60);

/// Why there is no new certificate; for the operator.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "each message says what it is and what to do")]
pub enum AcmeError {
    #[error("the authority cannot be asked, or says no")]
    Authority(#[from] instant_acme::Error),
    #[error(
        "the authority could not convince itself that {names} is here: port 443 of each name must lead to tls.https_listen"
    )]
    NotConvinced { names: String },
    #[error("the authority does not know the challenge tls-alpn-01")]
    NoChallenge,
    #[error("the authority took longer than five minutes")]
    TooSlow,
    #[error("{} cannot be read or written", path.display())]
    File { path: PathBuf, source: std::io::Error },
    #[error("{} is not what was written there", path.display())]
    Account { path: PathBuf, source: serde_json::Error },
    #[error("a key or a request cannot be made")]
    Make(#[from] rcgen::Error),
    #[error("the key that answers the authority cannot be used")]
    Key(#[source] rustls::Error),
    #[error("the new certificate cannot be used")]
    Unusable(#[from] TlsError),
}

/// Who we are to an authority.
#[derive(Serialize, Deserialize)]
struct Kept {
    /// Which one.
    directory: String,
    credentials: AccountCredentials,
}

/// A certificate and its key, in PEM form.
struct Pair {
    certificate: String,
    key: String,
}

/// Fetches certificates for the names in the configuration, and renews them.
pub struct Acme {
    names: Vec<String>,
    directory: String,
    contact: Option<String>,
    roots: Option<PathBuf>,
    folder: PathBuf,
    tls: Tls,
    /// Fetched, and not in the files yet: a disk that is full is no reason to order again.
    unwritten: Mutex<Option<Pair>>,
}

impl Acme {
    /// `None` without names. `tls` is the one that the files are for.
    #[must_use]
    pub fn new(config: &config::Tls, data_dir: &Path, tls: Tls) -> Option<Self> {
        let config::Tls { acme_names, acme_directory, acme_contact, acme_roots, .. } = config.clone();
        (!acme_names.is_empty()).then(|| Self {
            names: acme_names.iter().map(|name| name.to_ascii_lowercase()).collect(),
            directory: acme_directory,
            contact: acme_contact,
            roots: acme_roots,
            folder: fetched_folder(data_dir),
            tls,
            unwritten: Mutex::default(),
        })
    }

    /// Renews in time, until `stop`.
    pub async fn keep(&self, now: impl Fn() -> Time, stop: CancellationToken) {
        let mut again = AGAIN;
        loop {
            let renewed = tokio::select! {
                () = stop.cancelled() => return,
                renewed = self.renew(now()) => renewed,
            };
            let pause = match renewed {
                Ok(made) => {
                    if made {
                        metrics::counter!("tls_orders_total", "result" => "made").increment(1);
                        tracing::info!(expires_at = %self.tls.expires_at(), "a new TLS certificate was fetched");
                    }
                    again = AGAIN;
                    LOOK_EVERY
                }
                Err(error) => {
                    metrics::counter!("tls_orders_total", "result" => "failed").increment(1);
                    tracing::error!(
                        error = &error as &dyn std::error::Error,
                        again_s = again.as_secs(),
                        "no TLS certificate could be fetched"
                    );
                    let pause = again;
                    again = (again * 2).min(AGAIN_MAX);
                    pause
                }
            };
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(pause) => {}
            }
        }
    }

    /// Fetches a certificate if one is due: there is none, it is for other names, or less than a third of its time is left.
    ///
    /// # Errors
    ///
    /// [`AcmeError`]; then what was in use stays, and what was fetched and could not be written is written the next time.
    pub async fn renew(&self, now: Time) -> Result<bool, AcmeError> {
        if !self.tls.is_due(&self.names, now) {
            return Ok(false);
        }
        let pair = self.fetched().await?;
        let files = [("key.pem", pair.key.as_bytes()), ("certificate.pem", pair.certificate.as_bytes())];
        if let Err(error) = self.write(&files) {
            *self.unwritten() = Some(pair);
            return Err(error);
        }
        self.tls.look()?;
        Ok(true)
    }

    /// The pair that could not be written the last time, or else a new one.
    async fn fetched(&self) -> Result<Pair, AcmeError> {
        let unwritten = self.unwritten().take();
        if let Some(pair) = unwritten {
            return Ok(pair);
        }
        let ordered = tokio::time::timeout(ORDER_MAX, self.order()).await;
        self.tls.answer(HashMap::new());
        ordered.map_err(|_| AcmeError::TooSlow)?
    }

    fn unwritten(&self) -> MutexGuard<'_, Option<Pair>> {
        self.unwritten.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn order(&self) -> Result<Pair, AcmeError> {
        let account = self.account().await?;
        let names: Vec<Identifier> = self.names.iter().cloned().map(Identifier::Dns).collect();
        let mut order = account.new_order(&NewOrder::new(&names)).await?;
        let mut answers = HashMap::new();
        let mut authorizations = order.authorizations();
        while let Some(authorization) = authorizations.next().await {
            let mut authorization = authorization?;
            if authorization.status == AuthorizationStatus::Valid {
                continue;
            }
            let mut challenge = authorization.challenge(ChallengeType::TlsAlpn01).ok_or(AcmeError::NoChallenge)?;
            let name = challenge.identifier().to_string();
            answers.insert(name.clone(), answer(&name, challenge.key_authorization().digest().as_ref())?);
            // All of them: the authority may come for the first while the second is being asked about.
            self.tls.answer(answers.clone());
            challenge.set_ready().await?;
        }
        if order.poll_ready(&RetryPolicy::default()).await? != OrderStatus::Ready {
            return Err(AcmeError::NotConvinced { names: self.names.join(", ") });
        }
        let key = KeyPair::generate()?;
        let mut params = CertificateParams::new(self.names.clone())?;
        params.distinguished_name = DistinguishedName::new();
        order.finalize_csr(params.serialize_request(&key)?.der()).await?;
        let certificate = order.poll_certificate(&RetryPolicy::default()).await?;
        Ok(Pair { certificate, key: key.serialize_pem() })
    }

    /// The account that was made before, or a new one: made once for each authority, and kept.
    async fn account(&self) -> Result<Account, AcmeError> {
        let path = self.folder.join("account.json");
        match std::fs::read(&path) {
            Ok(bytes) => {
                let wrong = |source| AcmeError::Account { path: path.clone(), source };
                let kept: Kept = serde_json::from_slice(&bytes).map_err(wrong)?;
                if kept.directory == self.directory {
                    return Ok(self.builder()?.from_credentials(kept.credentials).await?);
                }
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(source) => return Err(AcmeError::File { path, source }),
        }
        let contact: Option<String> = self.contact.as_ref().map(|address| format!("mailto:{address}"));
        let contact: Vec<&str> = contact.iter().map(String::as_str).collect();
        // Who names the authority in the configuration agrees to what it asks for: the page about it says so.
        let new = NewAccount { contact: &contact, terms_of_service_agreed: true, only_return_existing: false };
        let (account, credentials) = self.builder()?.create(&new, self.directory.clone(), None).await?;
        let kept = Kept { directory: self.directory.clone(), credentials };
        let bytes = serde_json::to_vec(&kept).map_err(|source| AcmeError::Account { path, source })?;
        self.write(&[("account.json", bytes.as_slice())])?;
        Ok(account)
    }

    fn builder(&self) -> Result<AccountBuilder, AcmeError> {
        Ok(match &self.roots {
            Some(roots) => Account::builder_with_root(roots)?,
            None => Account::builder()?,
        })
    }

    /// Each file whole, and nobody else's to read. All of them are whole beside the old ones before the first takes the place
    /// of one, so that a full disk leaves the old ones as they are.
    fn write(&self, files: &[(&str, &[u8])]) -> Result<(), AcmeError> {
        let (folder, new) = (&self.folder, |name: &str| self.folder.join(format!("{name}.new")));
        DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(|source| not_written(folder, source))?;
        for (name, bytes) in files {
            write_new(&new(name), bytes).map_err(|source| not_written(&new(name), source))?;
        }
        for (name, _) in files {
            let path = folder.join(name);
            std::fs::rename(new(name), &path).map_err(|source| not_written(&path, source))?;
        }
        File::open(folder).and_then(|folder| folder.sync_all()).map_err(|source| not_written(folder, source))
    }
}

fn not_written(path: &Path, source: std::io::Error) -> AcmeError {
    AcmeError::File { path: path.to_owned(), source }
}

/// A file that is for nobody else to read, down to the disk. One that a crash left there is of no use.
fn write_new(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

/// A certificate that shows the authority what it asked for.
fn answer(name: &str, digest: &[u8]) -> Result<Arc<CertifiedKey>, AcmeError> {
    let mut params = CertificateParams::new([name.to_owned()])?;
    params.custom_extensions.push(CustomExtension::new_acme_identifier(digest));
    let pair = KeyPair::generate()?;
    let certificate = params.self_signed(&pair)?;
    let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(pair.serialize_der()));
    let key = rustls::crypto::aws_lc_rs::sign::any_supported_type(&key).map_err(AcmeError::Key)?;
    // Not `from_der`, which looks into the certificate and refuses an extension that it does not know.
    Ok(Arc::new(CertifiedKey::new(vec![certificate.der().clone()], key)))
}
