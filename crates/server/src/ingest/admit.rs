//! The one door for publishers.

use std::net::IpAddr;
use std::sync::Arc;

use stagedoor_domain::access::Denied;
use stagedoor_media::rtmp::Rejection;

use crate::access::{Access, PublishAttempt, PublishDenied};
use crate::live::{Hub, PublishError, Publisher};

/// Why a publisher stays outside. The text is for the person at the encoder.
#[derive(Debug, thiserror::Error)]
pub(super) enum Refusal {
    #[error("The stream key is not known here. Copy it again from the event page.")]
    UnknownKey,
    #[error("This stream key has expired. Create a new one on the event page.")]
    Expired,
    #[error("This stream key was revoked. Create a new one on the event page.")]
    Revoked,
    #[error("This stream key may not be used from this network. Ask the organiser to allow it.")]
    Network,
    #[error("This stream key was good for one broadcast, and that one is over. Create a new one on the event page.")]
    UsedUp,
    // One sentence for whatever is wrong with a token: whoever forges them learns nothing.
    #[error("This publish token is not accepted here. Ask whoever gave it to you for a new one.")]
    Token,
    #[error("This stream is already live from another encoder. Stop that one first, or use another key.")]
    AlreadyLive,
    #[error("Too many wrong stream keys from this address. Wait a minute and try again.")]
    TooManyAttempts,
    #[error("The server cannot start a broadcast at the moment. Try again in a few seconds.")]
    Unavailable,
}

impl Refusal {
    /// The status that makes encoders show the text.
    pub(super) fn rejection(&self) -> Rejection {
        match self {
            Self::AlreadyLive => Rejection::BadName,
            Self::UnknownKey
            | Self::Expired
            | Self::Revoked
            | Self::Network
            | Self::UsedUp
            | Self::Token
            | Self::TooManyAttempts => Rejection::Denied,
            Self::Unavailable => Rejection::Failed,
        }
    }
}

/// Checks `key` and takes the stream's place for a publisher.
pub(super) async fn admit(
    access: &Access,
    hub: &Arc<Hub>,
    key: &str,
    address: IpAddr,
    encoder: &str,
) -> Result<Publisher, Refusal> {
    let allowed = access.publish(PublishAttempt { key, address }).await.map_err(|denied| match denied {
        PublishDenied::Denied(Denied::Expired) => Refusal::Expired,
        PublishDenied::Denied(Denied::Ended) => Refusal::Revoked,
        PublishDenied::Denied(Denied::NetworkRefused) => Refusal::Network,
        PublishDenied::Denied(Denied::UsedUp) => Refusal::UsedUp,
        PublishDenied::Denied(_) => Refusal::UnknownKey,
        PublishDenied::Token => Refusal::Token,
        PublishDenied::TooManyAttempts => Refusal::TooManyAttempts,
        PublishDenied::Unavailable => Refusal::Unavailable,
    })?;
    let admitted = hub.publish(allowed, encoder).await;
    let noted = match admitted {
        Ok(_) => access.published(&allowed).await,
        Err(PublishError::AlreadyLive { elsewhere: true }) => access.tried_while_live(&allowed).await,
        Err(_) => Ok(()),
    };
    if let Err(error) = noted {
        // A show does not wait for its footnotes.
        tracing::error!(error = &error as &dyn std::error::Error, "where a publisher came from cannot be noted");
    }
    admitted.map_err(|error| match error {
        PublishError::AlreadyLive { .. } => Refusal::AlreadyLive,
        PublishError::UsedUp => Refusal::UsedUp,
        PublishError::Revoked => Refusal::Revoked,
        PublishError::Stopping => Refusal::Unavailable,
        PublishError::Db(error) => {
            tracing::error!(error = &error as &dyn std::error::Error, "a broadcast cannot begin");
            Refusal::Unavailable
        }
    })
}
