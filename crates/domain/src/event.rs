//! What an organiser schedules.

mod policy;

use std::time::Duration;

use serde::{Deserialize, Serialize};

pub use policy::{
    AccessPolicy, AdmissionPolicy, BadPolicy, Country, Encryption, EncryptionPolicy, MessagePolicy, Policy,
    PrivacyPolicy, ProtectionPolicy, QuietHours, TakeoverPolicy, Unanswered, UnknownCountry,
};

/// How far behind the broadcaster viewers are, and what it costs in requests.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Latency {
    /// Parts of 0.2 s: about one second behind.
    Ultra,
    /// Parts of 0.5 s: about two seconds behind.
    #[default]
    Low,
    /// No parts, segments of 4 s: ten to fifteen seconds behind, the gentlest on everything in between.
    Standard,
}

impl Latency {
    /// `ultra`, `low` or `standard`: as in JSON and in the database.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ultra => "ultra",
            Self::Low => "low",
            Self::Standard => "standard",
        }
    }

    /// The inverse of [`as_str`](Self::as_str).
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::Ultra, Self::Low, Self::Standard].into_iter().find(|latency| latency.as_str() == name)
    }
}

/// Letters of a title or a name at most: it fits on a phone's screen and in a table.
pub const NAME_CHARS_MAX: usize = 200;

/// How far back a viewer may go by default.
pub const DVR_WINDOW_DEFAULT: Duration = Duration::from_secs(15 * 60);
/// The shortest window: below it a player has nothing to recover from.
pub const DVR_WINDOW_MIN: Duration = Duration::from_secs(60);
/// The longest window: a day of spilled segments.
pub const DVR_WINDOW_MAX: Duration = Duration::from_secs(24 * 60 * 60);

/// How long viewers hold while the publisher is away, by default: an encoder restarts within it.
pub const RECONNECT_WINDOW_DEFAULT: Duration = Duration::from_secs(60);
/// The longest reconnect window: beyond it an audience has gone home.
pub const RECONNECT_WINDOW_MAX: Duration = Duration::from_secs(60 * 60);
