//! Letters through a mail server.
//!
//! # Source
//!
//! RFC 5321 (SMTP), RFC 3207 (STARTTLS), RFC 4954 (AUTH); lettre speaks them. The phases are walked here one by one,
//! because what an error means depends on when it comes: until the whole letter was handed over, the server does not
//! have it; after that, only its answer tells (RFC 5321, section 6.1).

use std::time::Duration;

use futures_util::future::BoxFuture;
use lettre::address::{Address, Envelope};
use lettre::message::{Mailbox, header::ContentType};
use lettre::transport::smtp::authentication::{Credentials, Mechanism};
use lettre::transport::smtp::client::{AsyncSmtpConnection, TlsParameters};
use lettre::transport::smtp::commands::{Data, Mail, Rcpt};
use lettre::transport::smtp::extension::ClientId;
use reqwest::Url;
use stagedoor_domain::message::Failure;

use super::gateway::{Found, Gateway, Letter, Outcome};
use crate::config;

/// To the point where the server waits for the letter.
const HANDSHAKE_MAX: Duration = Duration::from_secs(15);
/// For the letter and the answer. RFC 5321 allows ten minutes; a server that needs more than this has a queue in trouble.
const LETTER_MAX: Duration = Duration::from_secs(14);

/// A mail server that takes letters from us.
pub struct Smtp {
    host: String,
    port: u16,
    implicit_tls: bool,
    starttls: bool,
    credentials: Option<Credentials>,
    from: Mailbox,
}

impl std::fmt::Debug for Smtp {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Smtp").field("host", &self.host).field("port", &self.port).finish_non_exhaustive()
    }
}

/// What is wrong with `[email]`.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "each message says what it is and what to do")]
pub enum SmtpError {
    #[error("email.url must be smtp://user:password@host:port or smtps://…")]
    Url,
    #[error("email.from is missing, or no address: write it like Stagedoor <door@example.org>")]
    From,
}

/// Where in the conversation a refusal came.
#[derive(Clone, Copy)]
enum Phase {
    Greeting,
    Sender,
    Recipient,
    Letter,
}

impl Smtp {
    /// The server of `[email]`, when there is one.
    ///
    /// # Errors
    ///
    /// [`SmtpError`], in words for the operator.
    pub fn new(email: &config::Email) -> Result<Option<Self>, SmtpError> {
        let Some(url) = &email.url else { return Ok(None) };
        let url: Url = url.expose().parse().map_err(|_| SmtpError::Url)?;
        let implicit_tls = match url.scheme() {
            "smtp" => false,
            "smtps" => true,
            _ => return Err(SmtpError::Url),
        };
        let host = url.host_str().filter(|host| !host.is_empty()).ok_or(SmtpError::Url)?;
        let user = decoded(url.username()).ok_or(SmtpError::Url)?;
        let password = decoded(url.password().unwrap_or_default()).ok_or(SmtpError::Url)?;
        let from = email.from.as_deref().and_then(|from| from.parse().ok()).ok_or(SmtpError::From)?;
        Ok(Some(Self {
            host: host.trim_matches(['[', ']']).to_owned(),
            port: url.port().unwrap_or(if implicit_tls { 465 } else { 587 }),
            implicit_tls,
            starttls: email.starttls && !implicit_tls,
            credentials: (!user.is_empty()).then(|| Credentials::new(user, password)),
            from,
        }))
    }

    fn compose(&self, letter: &Letter) -> Option<(Envelope, Vec<u8>)> {
        let to: Address = letter.to.expose().parse().ok()?;
        let date = std::time::UNIX_EPOCH + Duration::from_millis(u64::try_from(letter.claimed_at.millis()).ok()?);
        let message = lettre::Message::builder()
            .from(self.from.clone())
            .to(Mailbox::new(Some(letter.name.clone()), to.clone()))
            .subject(letter.subject.clone().unwrap_or_default())
            .date(date)
            // Always the same for the same message: servers on the way know a letter by it.
            .message_id(Some(format!("<{}@{}>", letter.id, self.from.email.domain())))
            .header(ContentType::TEXT_PLAIN)
            .body(letter.body.expose().to_owned())
            .ok()?;
        let envelope = Envelope::new(Some(self.from.email.clone()), vec![to]).ok()?;
        Some((envelope, message.formatted()))
    }

    /// Everything before the letter itself.
    async fn greet(&self) -> Result<AsyncSmtpConnection, Outcome> {
        let hello = ClientId::default();
        let tls = || TlsParameters::new(self.host.clone()).map_err(|_| Outcome::Misconfigured);
        let implicit = if self.implicit_tls { Some(tls()?) } else { None };
        let mut connection = AsyncSmtpConnection::connect_tokio1(
            (self.host.as_str(), self.port),
            Some(HANDSHAKE_MAX),
            &hello,
            implicit,
            None,
        )
        .await
        .map_err(|error| meaning(&error, Phase::Greeting))?;
        if self.starttls {
            if !connection.can_starttls() {
                return Err(Outcome::Misconfigured);
            }
            connection.starttls(tls()?, &hello).await.map_err(|error| meaning(&error, Phase::Greeting))?;
        }
        if let Some(credentials) = &self.credentials {
            let mechanisms = [Mechanism::Plain, Mechanism::Login];
            connection.auth(&mechanisms, credentials).await.map_err(|error| meaning(&error, Phase::Greeting))?;
        }
        Ok(connection)
    }

    async fn address(&self, envelope: &Envelope) -> Result<AsyncSmtpConnection, Outcome> {
        let mut connection = self.greet().await?;
        let mail = Mail::new(envelope.from().cloned(), Vec::new());
        connection.command(mail).await.map_err(|error| meaning(&error, Phase::Sender))?;
        for to in envelope.to() {
            let rcpt = Rcpt::new(to.clone(), Vec::new());
            connection.command(rcpt).await.map_err(|error| meaning(&error, Phase::Recipient))?;
        }
        connection.command(Data).await.map_err(|error| meaning(&error, Phase::Letter))?;
        Ok(connection)
    }

    async fn deliver(&self, letter: &Letter) -> Outcome {
        let Some((envelope, text)) = self.compose(letter) else { return Outcome::Refused(Failure::BadAddress) };
        let mut connection = match tokio::time::timeout(HANDSHAKE_MAX, self.address(&envelope)).await {
            Ok(Ok(connection)) => connection,
            Ok(Err(outcome)) => return outcome,
            Err(_elapsed) => return Outcome::Later { after: None },
        };
        match tokio::time::timeout(LETTER_MAX, connection.message(&text)).await {
            Ok(Ok(_)) => {
                // It has the letter; whether it also says goodbye does not matter.
                drop(connection);
                Outcome::Sent { reference: None }
            }
            Ok(Err(error)) if error.is_transient() || error.is_permanent() => meaning(&error, Phase::Letter),
            Ok(Err(_)) | Err(_) => Outcome::Unknown,
        }
    }
}

impl Gateway for Smtp {
    fn send<'a>(&'a self, letter: &'a Letter) -> BoxFuture<'a, Outcome> {
        Box::pin(self.deliver(letter))
    }

    /// A mail server cannot be asked for what it took.
    fn find<'a>(&'a self, _: &'a Letter) -> BoxFuture<'a, Found> {
        Box::pin(async { Found::CannotTell })
    }
}

fn meaning(error: &lettre::transport::smtp::Error, phase: Phase) -> Outcome {
    if !error.is_permanent() {
        return Outcome::Later { after: None };
    }
    match phase {
        Phase::Greeting | Phase::Sender => Outcome::Misconfigured,
        Phase::Recipient => Outcome::Refused(Failure::BadAddress),
        Phase::Letter => Outcome::Refused(Failure::Refused),
    }
}

/// `%40` and its like in the user and password of a URL.
fn decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, tail)) = rest.split_first() {
        if *first == b'%' {
            let digits = std::str::from_utf8(tail.get(..2)?).ok()?;
            bytes.push(u8::from_str_radix(digits, 16).ok()?);
            rest = &tail[2..];
        } else {
            bytes.push(*first);
            rest = tail;
        }
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Email, Hidden};

    fn email(url: &str, from: Option<&str>) -> Email {
        Email { url: Some(Hidden::new(url)), from: from.map(str::to_owned), starttls: true }
    }

    #[test]
    fn the_url_says_how_to_reach_the_server() {
        let from = Some("Stagedoor <door@example.org>");
        let smtp = Smtp::new(&email("smtps://u%40x:p%3Aw@mail.example.org", from)).unwrap().unwrap();
        assert_eq!(
            (smtp.host.as_str(), smtp.port, smtp.implicit_tls, smtp.starttls),
            ("mail.example.org", 465, true, false)
        );
        assert_eq!(smtp.credentials, Some(Credentials::new("u@x".into(), "p:w".into())));
        let smtp = Smtp::new(&email("smtp://mail.example.org:25", from)).unwrap().unwrap();
        assert_eq!((smtp.port, smtp.starttls, smtp.credentials), (25, true, None));
        assert!(Smtp::new(&Email::default()).unwrap().is_none());
        assert!(!format!("{:?}", Smtp::new(&email("smtp://u:tell-nobody@h", from))).contains("tell"));
        for url in ["", "mail.example.org", "http://mail.example.org", "smtp://", "smtp://u:%zz@h"] {
            assert!(matches!(Smtp::new(&email(url, from)), Err(SmtpError::Url)), "{url}");
        }
        for from in [None, Some("nobody"), Some("")] {
            assert!(matches!(Smtp::new(&email("smtp://h", from)), Err(SmtpError::From)), "{from:?}");
        }
    }
}
