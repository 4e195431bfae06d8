//! Incidents: what an organiser should hear about while an event runs.
//!
//! An incident says that something is odd, not who is guilty. It carries ids and a sentence, never a telephone number, a
//! code or an address.

use std::fmt;

use serde::{Deserialize, Serialize};

/// What is odd.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// Wrong codes arrive faster than people mistype.
    CodeGuessing,
    /// The encoder is gone, and viewers wait.
    StreamAway,
    /// The encoder did not come back in time: the broadcast ended by itself.
    StreamLost,
    /// A gateway refuses or loses messages.
    GatewayFailing,
    /// Deliveries to a webhook were given up.
    WebhookDisabled,
    /// Sending stopped because the money for it is spent.
    BudgetReached,
    /// One code is asked for by one device after the other.
    RepeatedTakeovers,
    /// A viewer's page or requests are odd in ways that copying would be.
    Tampering,
    /// A stream key came from elsewhere than for its last broadcast.
    KeyElsewhere,
    /// A stream key was tried elsewhere while its broadcast was on air.
    KeyWhileLive,
}

/// How loudly it is said.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Good to know.
    Info,
    /// Worth a look.
    Warning,
    /// Viewers notice.
    Critical,
}

impl Kind {
    /// Every kind.
    pub const ALL: [Self; 10] = [
        Self::CodeGuessing,
        Self::StreamAway,
        Self::StreamLost,
        Self::GatewayFailing,
        Self::WebhookDisabled,
        Self::BudgetReached,
        Self::RepeatedTakeovers,
        Self::Tampering,
        Self::KeyElsewhere,
        Self::KeyWhileLive,
    ];

    /// The name in JSON and in the database.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::CodeGuessing => "code_guessing",
            Self::StreamAway => "stream_away",
            Self::StreamLost => "stream_lost",
            Self::GatewayFailing => "gateway_failing",
            Self::WebhookDisabled => "webhook_disabled",
            Self::BudgetReached => "budget_reached",
            Self::RepeatedTakeovers => "repeated_takeovers",
            Self::Tampering => "tampering",
            Self::KeyElsewhere => "key_elsewhere",
            Self::KeyWhileLive => "key_while_live",
        }
    }

    /// The inverse of [`as_str`](Self::as_str).
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == name)
    }

    /// How loudly this kind is said.
    #[must_use]
    pub fn severity(self) -> Severity {
        match self {
            Self::WebhookDisabled
            | Self::RepeatedTakeovers
            | Self::StreamAway
            | Self::CodeGuessing
            | Self::Tampering
            | Self::KeyElsewhere => Severity::Warning,
            Self::StreamLost | Self::GatewayFailing | Self::BudgetReached | Self::KeyWhileLive => Severity::Critical,
        }
    }

    /// What it means, in a sentence for an organiser.
    #[must_use]
    pub fn sentence(self) -> &'static str {
        match self {
            Self::CodeGuessing => {
                "Many wrong codes are being tried. Everybody has to prove work before the next try; nobody is locked out."
            }
            Self::StreamAway => "The encoder is gone. Viewers hold until it is back or the reconnect window is over.",
            Self::StreamLost => "The encoder did not come back in time, so the broadcast ended.",
            Self::GatewayFailing => {
                "Messages cannot be handed over: the gateway refuses them or does not answer. None is lost. Look at the \
                 gateway's status page and at its settings on this server; then resume the orders that wait."
            }
            Self::WebhookDisabled => {
                "A webhook was disabled because it does not accept deliveries. Mend the receiver, enable the webhook \
                 again, and replay what it missed."
            }
            Self::BudgetReached => {
                "Sending stopped: what this event may spend on messages is spent. Raise its budget in the settings of \
                 the event, then resume the order."
            }
            Self::RepeatedTakeovers => "One code is asked for by one device after the other. It may have been shared.",
            Self::Tampering => "A viewer's page or requests look as if somebody tried to copy. It is no proof.",
            Self::KeyElsewhere => {
                "A stream key was used from elsewhere than for its last broadcast. If that was not you, rotate or revoke it."
            }
            Self::KeyWhileLive => {
                "A stream key was tried from elsewhere while its broadcast is on air. It was refused. If that was not you, \
                 rotate the key."
            }
        }
    }
}

impl Kind {
    /// What is said when it is over by itself, for the kinds of which the server notices that.
    #[must_use]
    pub fn over(self) -> Option<&'static str> {
        match self {
            Self::GatewayFailing => Some("The gateway takes messages again."),
            Self::BudgetReached => Some("The order was resumed."),
            Self::CodeGuessing
            | Self::StreamAway
            | Self::StreamLost
            | Self::WebhookDisabled
            | Self::RepeatedTakeovers
            | Self::Tampering
            | Self::KeyElsewhere
            | Self::KeyWhileLive => None,
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Severity {
    /// The name in JSON.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Info => "info",
            Self::Warning => "warning",
            Self::Critical => "critical",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_has_one_name_in_json_and_in_the_database() {
        for kind in Kind::ALL {
            assert_eq!(serde_json::to_string(&kind).unwrap(), format!("\"{kind}\""));
            assert_eq!(Kind::from_name(kind.as_str()), Some(kind));
            assert!(kind.sentence().ends_with('.') && kind.over().is_none_or(|text| text.ends_with('.')));
            assert!(!kind.sentence().contains("  "), "{kind}");
        }
        assert_eq!(Kind::from_name("CodeGuessing"), None);
    }
}
