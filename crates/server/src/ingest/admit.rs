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
            Self::UnknownKey | Self::Expired | Self::Revoked | Self::TooManyAttempts => Rejection::Denied,
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
        PublishDenied::Denied(_) => Refusal::UnknownKey,
        PublishDenied::TooManyAttempts => Refusal::TooManyAttempts,
        PublishDenied::Unavailable => Refusal::Unavailable,
    })?;
    hub.publish(allowed, encoder).await.map_err(|error| match error {
        PublishError::AlreadyLive => Refusal::AlreadyLive,
        PublishError::Stopping => Refusal::Unavailable,
        PublishError::Db(error) => {
            tracing::error!(error = &error as &dyn std::error::Error, "a broadcast cannot begin");
            Refusal::Unavailable
        }
    })
}
