//! Certificates that the server fetches itself, from Pebble: Let's Encrypt's own authority for tests, which checks every
//! signature and comes to look for every name.

use std::net::{SocketAddr, UdpSocket};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::ServerName;
use stagedoor_domain::Time;
use stagedoor_server::access::Door;
use stagedoor_server::config;
use stagedoor_server::deliver::{Deliver, TokenCheck};
use stagedoor_server::http::{self, Service};
use stagedoor_server::ports::acme::{Acme, AcmeError};
use stagedoor_server::ports::clock::Clock;
use stagedoor_server::ports::tls::Tls;
use stagedoor_testkit::tls::SelfSigned;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use x509_parser::prelude::{FromDer as _, X509Certificate};

use crate::stage::{Stage, on_sqlite};

/// Says where every name is: here, but for one that is where nobody listens.
fn name_server() -> SocketAddr {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let address = socket.local_addr().unwrap();
    std::thread::spawn(move || {
        let mut query = [0; 512];
        while let Ok((bytes, from)) = socket.recv_from(&mut query) {
            let query = &query[..bytes];
            let Some(end) = query.iter().skip(12).position(|byte| *byte == 0).map(|at| 12 + at) else { continue };
            let Some(question) = query.get(12..end + 5) else { continue };
            let is_a = question[question.len() - 4..] == [0, 1, 0, 1];
            let last = if question.windows(7).any(|name| name == b"nowhere") { 9 } else { 1 };
            let mut answer = query[..2].to_vec();
            answer.extend([0x81, 0x80, 0, 1, 0, u8::from(is_a), 0, 0, 0, 0]);
            answer.extend_from_slice(question);
            if is_a {
                answer.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 1, 0, 4, 127, 0, 0, last]);
            }
            let _whoever_asked_is_gone = socket.send_to(&answer, from);
        }
    });
    address
}

/// The authority; it ends with the test.
struct Pebble {
    child: Child,
    directory: String,
    roots: PathBuf,
}

impl Drop for Pebble {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

impl Pebble {
    /// Looks for names at port `tls`.
    async fn start(folder: &Path, tls: u16) -> Self {
        let own = SelfSigned::new("localhost");
        let (roots, key) = (folder.join("pebble.pem"), folder.join("pebble.key"));
        std::fs::write(&roots, own.certificate).unwrap();
        std::fs::write(&key, own.key).unwrap();
        let port = free_port();
        let config = serde_json::json!({"pebble": {
            "listenAddress": format!("127.0.0.1:{port}"), "managementListenAddress": format!("127.0.0.1:{}", free_port()),
            "certificate": roots, "privateKey": key, "httpPort": free_port(), "tlsPort": tls,
            "ocspResponderURL": "", "externalAccountBindingRequired": false,
        }});
        let file = folder.join("pebble.json");
        std::fs::write(&file, config.to_string()).unwrap();
        let child = Command::new("pebble")
            .args(["-config", file.to_str().unwrap(), "-dnsserver", &name_server().to_string()])
            .envs([("PEBBLE_VA_NOSLEEP", "1"), ("PEBBLE_WFE_NONCEREJECT", "5")])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("pebble: `make setup` installs it");
        while TcpStream::connect(("127.0.0.1", port)).await.is_err() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Self { child, directory: format!("https://localhost:{port}/dir"), roots }
    }

    fn config(&self, names: &[&str]) -> config::Tls {
        config::Tls {
            acme_names: names.iter().map(|name| (*name).to_owned()).collect(),
            acme_directory: self.directory.clone(),
            acme_contact: Some("ada@stage.test".to_owned()),
            acme_roots: Some(self.roots.clone()),
            ..config::Tls::default()
        }
    }
}

/// A connection that takes every certificate. `None` when there is no handshake.
pub(crate) async fn connect(server: SocketAddr, protocol: &[u8], name: &str) -> Option<TlsStream<TcpStream>> {
    #[derive(Debug)]
    struct Anything(rustls::crypto::CryptoProvider);
    impl rustls::client::danger::ServerCertVerifier for Anything {
        fn verify_server_cert(
            &self,
            _: &rustls::pki_types::CertificateDer<'_>,
            _: &[rustls::pki_types::CertificateDer<'_>],
            _: &ServerName<'_>,
            _: &[u8],
            _: rustls::pki_types::UnixTime,
        ) -> Result<rustls::client::danger::ServerCertVerified, rustls::Error> {
            Ok(rustls::client::danger::ServerCertVerified::assertion())
        }
        fn verify_tls12_signature(
            &self,
            _: &[u8],
            _: &rustls::pki_types::CertificateDer<'_>,
            _: &rustls::DigitallySignedStruct,
        ) -> Result<rustls::client::danger::HandshakeSignatureValid, rustls::Error> {
            Ok(rustls::client::danger::HandshakeSignatureValid::assertion())
        }
        fn verify_tls13_signature(
            &self,
            _: &[u8],
            _: &rustls::pki_types::CertificateDer<'_>,
            _: &rustls::DigitallySignedStruct,
        ) -> Result<rustls::client::danger::HandshakeSignatureValid, rustls::Error> {
            Ok(rustls::client::danger::HandshakeSignatureValid::assertion())
        }
        fn supported_verify_schemes(&self) -> Vec<rustls::SignatureScheme> {
            self.0.signature_verification_algorithms.supported_schemes()
        }
    }
    let provider = rustls::crypto::aws_lc_rs::default_provider();
    let builder = rustls::ClientConfig::builder_with_provider(Arc::new(provider.clone()));
    let builder = builder.with_safe_default_protocol_versions().unwrap().dangerous();
    let mut client = builder.with_custom_certificate_verifier(Arc::new(Anything(provider))).with_no_client_auth();
    client.alpn_protocols = vec![protocol.to_vec()];
    let stream = TcpStream::connect(server).await.unwrap();
    let name = ServerName::try_from(name.to_owned()).unwrap();
    TlsConnector::from(Arc::new(client)).connect(name, stream).await.ok()
}

/// What is shown to whoever comes: issuer and serial number. `None` when there is no handshake.
async fn shown(server: SocketAddr, protocol: &[u8], name: &str) -> Option<(String, Vec<u8>, Vec<String>)> {
    let stream = connect(server, protocol, name).await?;
    let der = stream.get_ref().1.peer_certificates()?.first()?.to_vec();
    let (_, own) = X509Certificate::from_der(&der).unwrap();
    let names = own.subject_alternative_name().unwrap().unwrap().value.general_names.iter();
    let names = names.map(|name| name.to_string().replace("DNSName(", "").replace(')', "")).collect();
    Some((own.issuer().to_string(), own.raw_serial().to_vec(), names))
}

/// Serves a stage by HTTPS with what `tls` has.
fn serve(stage: &Stage, tls: &Tls, listener: TcpListener) {
    let deliver = Arc::new(Deliver::new(stage.access.clone(), stage.hub.clone(), TokenCheck::EveryRequest));
    let service = Service { deliver, router: stage.router.clone() };
    tokio::spawn(http::serve(listener, Some(tls.https()), service, Door::new(100, 100, &[]), stage.stop.clone()));
}

fn mode(path: &Path) -> u32 {
    std::fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[tokio::test]
async fn a_certificate_is_fetched_used_and_renewed_in_time_and_a_failure_leaves_the_one_in_use() {
    on_sqlite(async |stage| {
        let data = stage.media_folder();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let server = listener.local_addr().unwrap();
        let pebble = Pebble::start(&data, server.port()).await;
        let config = pebble.config(&["stage.test", "Door.stage.test"]);
        let tls = Tls::load_or_begin(&config, &data).unwrap().unwrap();
        serve(stage, &tls, listener);
        assert!(tls.is_to_begin_with() && !tls.look().unwrap());
        let at_first = shown(server, b"h2", "stage.test").await.unwrap();

        let acme = Acme::new(&config, &data, tls.clone()).unwrap();
        let now = Clock::system().now();
        assert!(acme.renew(now).await.unwrap());
        let fetched = shown(server, b"h2", "stage.test").await.unwrap();
        assert!(fetched.0.contains("Pebble"), "{fetched:?}");
        assert_ne!(fetched.1, at_first.1);
        let mut names = fetched.2.clone();
        names.sort();
        assert_eq!(names, ["door.stage.test", "stage.test"]);
        assert!(tls.expires_at() > now && !tls.is_to_begin_with());
        let folder = data.join("acme");
        assert_eq!(mode(&folder), 0o700);
        for file in ["account.json", "certificate.pem", "key.pem"] {
            assert_eq!(mode(&folder.join(file)), 0o600, "{file}");
        }
        assert_eq!(std::fs::read_dir(&folder).unwrap().count(), 3, "nothing is left of the writing");

        // In time, and not before; by the same account.
        let account = std::fs::read(folder.join("account.json")).unwrap();
        assert!(!acme.renew(now).await.unwrap());
        let later = Time::from_millis(tls.expires_at().millis() - 24 * 60 * 60 * 1_000);
        assert!(acme.renew(later).await.unwrap());
        let renewed = shown(server, b"http/1.1", "stage.test").await.unwrap();
        assert_ne!(renewed.1, fetched.1);
        assert_eq!(std::fs::read(folder.join("account.json")).unwrap(), account);

        // Whoever else says that they are the authority is shown nothing once it is done.
        assert_eq!(shown(server, b"acme-tls/1", "stage.test").await, None);
        assert_eq!(shown(server, b"acme-tls/1", "other.test").await, None);

        // The next process finds it; another name is another certificate.
        let again = Tls::load_or_begin(&config, &data).unwrap().unwrap();
        assert_eq!(again.expires_at(), tls.expires_at());
        assert!(!Acme::new(&config, &data, again).unwrap().renew(now).await.unwrap());
        let nowhere = pebble.config(&["stage.test", "nowhere.test"]);
        let refused = Acme::new(&nowhere, &data, tls.clone()).unwrap().renew(now).await;
        let told = matches!(refused, Err(AcmeError::NotConvinced { .. } | AcmeError::Authority(_)));
        assert!(told, "{refused:?}");
        assert_eq!(shown(server, b"h2", "stage.test").await.unwrap(), renewed, "what was in use stays");
    })
    .await;
}

#[tokio::test]
async fn a_pair_that_a_crash_left_is_fetched_anew_and_what_could_not_be_written_is_not_ordered_again() {
    on_sqlite(async |stage| {
        let data = stage.media_folder();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let server = listener.local_addr().unwrap();
        let pebble = Pebble::start(&data, server.port()).await;
        let config = pebble.config(&["stage.test"]);
        let folder = data.join("acme");
        std::fs::create_dir_all(&folder).unwrap();
        let (old, new) = (SelfSigned::new("stage.test"), SelfSigned::new("stage.test"));
        std::fs::write(folder.join("certificate.pem"), &old.certificate).unwrap();
        std::fs::write(folder.join("key.pem"), &new.key).unwrap();
        let tls = Tls::load_or_begin(&config, &data).unwrap().unwrap();
        serve(stage, &tls, listener);
        assert!(tls.is_to_begin_with() && shown(server, b"h2", "stage.test").await.is_some());

        // Where the second of the two would be written is no room.
        let full = folder.join("certificate.pem.new");
        std::fs::create_dir(&full).unwrap();
        let acme = Acme::new(&config, &data, tls.clone()).unwrap();
        let now = Clock::system().now();
        let refused = acme.renew(now).await;
        assert!(matches!(refused, Err(AcmeError::File { .. })), "{refused:?}");
        assert_eq!(std::fs::read_to_string(folder.join("certificate.pem")).unwrap(), old.certificate);
        assert_eq!(std::fs::read_to_string(folder.join("key.pem")).unwrap(), new.key, "neither is replaced");

        // There is room again, and nobody to order from.
        drop(pebble);
        std::fs::remove_dir(&full).unwrap();
        assert!(acme.renew(now).await.unwrap());
        assert!(shown(server, b"h2", "stage.test").await.unwrap().0.contains("Pebble"));
        assert!(tls.expires_at() > now);
        assert_eq!(mode(&folder.join("key.pem")), 0o600);
        let again = Tls::load_or_begin(&config, &data).unwrap().unwrap();
        assert_eq!(again.expires_at(), tls.expires_at());
    })
    .await;
}

#[test]
fn certificates_are_fetched_or_named_and_without_names_there_is_nothing_to_fetch() {
    let folder = Path::new("/nowhere");
    let names = vec!["stage.test".to_owned()];
    let both = config::Tls { acme_names: names, certificate: Some("x.pem".into()), ..config::Tls::default() };
    assert!(Tls::load_or_begin(&both, folder).unwrap_err().to_string().contains("exclude each other"));
    assert!(Tls::load_or_begin(&config::Tls::default(), folder).unwrap().is_none());
}
