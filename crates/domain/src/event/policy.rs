//! What an organiser decides about an event beyond its title: who gets in, how many, how a code changes hands, how
//! messages are sent, how long people are remembered.
//!
//! Kept as one JSON value with a default for every field, so that an event of an older version means what it meant.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::access::{Provenance, Range, Visitor};
use crate::network::Network;
use crate::publish::Limits;
use crate::risk;

/// Everything that is decided per event.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Policy {
    /// From where one may come in.
    pub access: AccessPolicy,
    /// What happens when a code is used on a second device.
    pub takeover: TakeoverPolicy,
    /// How many get in, and how fast.
    pub admission: AdmissionPolicy,
    /// How messages go out.
    pub messages: MessagePolicy,
    /// How long people are remembered.
    pub privacy: PrivacyPolicy,
    /// How what is shown is encrypted.
    pub encryption: EncryptionPolicy,
    /// What is asked of viewers' pages, and what follows when something is odd.
    pub protection: ProtectionPolicy,
    /// What an encoder may send, unless its stream key says otherwise.
    pub publish: Limits,
}

/// From where one may come in.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AccessPolicy {
    /// Only these countries; empty for all. At most [`Policy::LIST_MAX`].
    pub countries: Vec<Country>,
    /// With a list of countries: an address whose country nobody knows, or no database to look it up in.
    pub unknown_country: UnknownCountry,
    /// Only these ranges of addresses; empty for all. At most [`Policy::LIST_MAX`].
    pub networks: Vec<Network>,
}

impl AccessPolicy {
    /// How somebody at `address`, in `country` as far as anybody knows, stands with these rules. Where there are both
    /// countries and ranges, both must fit.
    #[must_use]
    pub fn visitor(&self, address: IpAddr, country: Option<Country>) -> Visitor {
        let inside = self.networks.is_empty() || self.networks.iter().any(|network| network.contains(address));
        let country = match country {
            _ if self.countries.is_empty() => Provenance::Listed,
            None => Provenance::Unknown(self.unknown_country),
            Some(country) if self.countries.contains(&country) => Provenance::Listed,
            Some(_) => Provenance::Unlisted,
        };
        Visitor { network: if inside { Range::Inside } else { Range::Outside }, country }
    }
}

/// What becomes of an address whose country nobody knows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum UnknownCountry {
    /// Refused: a list of countries that can be walked around is none.
    #[default]
    Deny,
    /// Let in.
    Allow,
}

/// What happens when a code is used on a second device while the first one is watching.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TakeoverPolicy {
    /// How long the first device has to answer, in seconds: 15 to 120.
    pub answer_s: u32,
    /// When it does not answer.
    pub unanswered: Unanswered,
}

/// What happens when nobody answers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Unanswered {
    /// The second device stays out.
    #[default]
    Deny,
    /// The second device gets in.
    Allow,
}

/// How many get in, and how fast.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AdmissionPolicy {
    /// Sessions at once; beyond them people wait in order. Without it, as many as come.
    pub capacity: Option<u32>,
    /// People let in per second; beyond it they wait in order. Without it, as fast as the server can.
    pub per_second: Option<u32>,
}

/// How messages go out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct MessagePolicy {
    /// Messages per second: 1 to 100.
    pub per_second: u32,
    /// When nobody is to be woken but for a new code; without it messages go at any hour.
    pub quiet_hours: Option<QuietHours>,
    /// What the event may spend, in thousandths of the currency unit that the gateway charges; without it, anything.
    pub budget_milli: Option<u64>,
    /// What may be spent on numbers that begin with a prefix (`+44`), in thousandths. At most [`Policy::LIST_MAX`].
    pub prefix_budget_milli: Vec<(String, u64)>,
    /// The country whose numbers come without `+`: `FR`.
    pub default_country: Option<Country>,
    /// The language of those who have none of their own: a BCP 47 tag.
    pub default_language: String,
}

/// A time of day to be silent, in the event's time zone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct QuietHours {
    /// Minutes after midnight at which they begin: 0 to 1439.
    pub from_minute: u16,
    /// Minutes after midnight at which they end; smaller than the beginning when midnight lies between.
    pub to_minute: u16,
    /// Minutes east of UTC: -720 to 840.
    pub utc_offset_minutes: i16,
}

/// How long people are remembered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PrivacyPolicy {
    /// Days after the last broadcast until telephone numbers and addresses are erased; without it, never by itself.
    pub retention_days: Option<u32>,
}

/// How what is shown is encrypted. A broadcast keeps to its end what it began with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct EncryptionPolicy {
    /// Which way.
    pub method: Encryption,
    /// How long one key is used, in seconds: 4 to 600. It changes between segments.
    pub key_period_s: u32,
}

/// Ways to encrypt.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Encryption {
    /// None.
    #[default]
    #[serde(rename = "off")]
    Off,
    /// Whole parts and segments: plays nearly everywhere.
    #[serde(rename = "aes-128")]
    Aes128,
    /// Samples, by common encryption: for players with Encrypted Media Extensions.
    #[serde(rename = "cbcs")]
    Cbcs,
}

impl Encryption {
    /// Every way.
    pub const ALL: [Self; 3] = [Self::Off, Self::Aes128, Self::Cbcs];

    /// `off`, `aes-128` or `cbcs`: as in JSON and in the database.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::Aes128 => "aes-128",
            Self::Cbcs => "cbcs",
        }
    }

    /// The inverse of [`as_str`](Self::as_str).
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|method| method.as_str() == name)
    }
}

impl Default for EncryptionPolicy {
    fn default() -> Self {
        // Five segments: whoever is sent out has at most this much left, and a player asks six times a minute.
        Self { method: Encryption::Off, key_period_s: 10 }
    }
}

/// What is asked of viewers' pages, and what follows when something is odd.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ProtectionPolicy {
    /// Pages answer every few seconds, and say what they notice. Without it nobody is asked and no page says anything;
    /// what the server sees by itself it sees all the same.
    pub guard: bool,
    /// The most that follows.
    pub action: risk::Action,
    /// The viewer's name, masked number and session move over the picture. Nothing without `guard`, which keeps it there.
    pub watermark: bool,
}

impl Default for ProtectionPolicy {
    fn default() -> Self {
        // Every event is by invitation, and asking costs viewers nothing. What follows is for organisers to decide, and a
        // mark is for everybody to see.
        Self { guard: true, action: risk::Action::Log, watermark: false }
    }
}

impl Default for TakeoverPolicy {
    fn default() -> Self {
        // Long enough to find the other phone, short enough to wait for.
        Self { answer_s: 60, unanswered: Unanswered::Deny }
    }
}

impl Default for MessagePolicy {
    fn default() -> Self {
        Self {
            // What a long number at Twilio carries.
            per_second: 1,
            quiet_hours: None,
            budget_milli: None,
            prefix_budget_milli: Vec::new(),
            default_country: None,
            default_language: "en".to_owned(),
        }
    }
}

/// A setting that makes no sense.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{pointer}: {detail}")]
pub struct BadPolicy {
    /// Which: a JSON pointer into the policy.
    pub pointer: &'static str,
    /// A sentence for a person.
    pub detail: &'static str,
}

impl Policy {
    /// Countries, networks or prefixes at most: all countries there are.
    pub const LIST_MAX: usize = 256;

    /// Whether every number is in its range.
    ///
    /// # Errors
    ///
    /// The first [`BadPolicy`].
    pub fn check(&self) -> Result<(), BadPolicy> {
        let rules = [
            (self.access.countries.len() <= Self::LIST_MAX, "/access/countries", "There are at most 256 countries."),
            (self.access.networks.len() <= Self::LIST_MAX, "/access/networks", "There are at most 256 ranges."),
            ((15..=120).contains(&self.takeover.answer_s), "/takeover/answer_s", "The answer takes 15 to 120 seconds."),
            (self.admission.capacity != Some(0), "/admission/capacity", "At least one person must fit in."),
            (
                self.admission.per_second.is_none_or(|rate| (1..=10_000).contains(&rate)),
                "/admission/per_second",
                "Between 1 and 10 000 people per second.",
            ),
            (
                (1..=100).contains(&self.messages.per_second),
                "/messages/per_second",
                "Between 1 and 100 messages per second.",
            ),
            (
                self.messages.quiet_hours.as_ref().is_none_or(QuietHours::is_possible),
                "/messages/quiet_hours",
                "Minutes of a day, and an offset between -720 and 840.",
            ),
            (
                self.messages.prefix_budget_milli.len() <= Self::LIST_MAX
                    && self.messages.prefix_budget_milli.iter().all(|(prefix, _)| is_prefix(prefix)),
                "/messages/prefix_budget_milli",
                "At most 256 prefixes, each a + and one to six digits.",
            ),
            (
                is_language(&self.messages.default_language),
                "/messages/default_language",
                "This is no language tag, like en or pt-BR.",
            ),
            (
                self.privacy.retention_days.is_none_or(|days| days <= 3_650),
                "/privacy/retention_days",
                "At most ten years.",
            ),
            (
                (4..=600).contains(&self.encryption.key_period_s),
                "/encryption/key_period_s",
                "A key is used for 4 to 600 seconds.",
            ),
            (self.publish.are_possible(), "/publish", Limits::RANGES),
        ];
        match rules.into_iter().find(|(holds, ..)| !holds) {
            None => Ok(()),
            Some((_, pointer, detail)) => Err(BadPolicy { pointer, detail }),
        }
    }
}

impl QuietHours {
    fn is_possible(&self) -> bool {
        self.from_minute < 1_440 && self.to_minute < 1_440 && (-720..=840).contains(&self.utc_offset_minutes)
    }
}

fn is_prefix(text: &str) -> bool {
    text.strip_prefix('+')
        .is_some_and(|digits| (1..=6).contains(&digits.len()) && digits.bytes().all(|digit| digit.is_ascii_digit()))
}

/// As much of BCP 47 as a template needs: letters and digits in groups of up to eight.
fn is_language(text: &str) -> bool {
    text.len() <= 35
        && text.split('-').enumerate().all(|(index, group)| {
            let letters = group.bytes().all(|byte| byte.is_ascii_alphabetic());
            let known = group.bytes().all(|byte| byte.is_ascii_alphanumeric());
            if index == 0 { letters && (2..=3).contains(&group.len()) } else { known && (1..=8).contains(&group.len()) }
        })
}

/// A country: two letters of ISO 3166-1.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Country([u8; 2]);

/// The text is no country code.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a country is two letters, like FR")]
pub struct BadCountry;

impl Country {
    /// The two letters, in upper case.
    #[must_use]
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or("??")
    }
}

impl FromStr for Country {
    type Err = BadCountry;

    fn from_str(text: &str) -> Result<Self, BadCountry> {
        let letters: [u8; 2] = text.as_bytes().try_into().map_err(|_| BadCountry)?;
        if letters.iter().all(u8::is_ascii_alphabetic) {
            Ok(Self(letters.map(|letter| letter.to_ascii_uppercase())))
        } else {
            Err(BadCountry)
        }
    }
}

impl fmt::Display for Country {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for Country {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Serialize for Country {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for Country {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_policy_is_the_default_and_makes_sense() {
        let policy: Policy = serde_json::from_str("{}").unwrap();
        assert_eq!(policy, Policy::default());
        assert_eq!(policy.check(), Ok(()));
        let json = serde_json::to_string(&policy).unwrap();
        assert_eq!(serde_json::from_str::<Policy>(&json).unwrap(), policy);
        assert!(serde_json::from_str::<Policy>(r#"{"acces":{}}"#).is_err());
    }

    #[test]
    fn what_makes_no_sense_is_named() {
        for (json, pointer) in [
            (r#"{"takeover":{"answer_s":3}}"#, "/takeover/answer_s"),
            (r#"{"admission":{"capacity":0}}"#, "/admission/capacity"),
            (r#"{"admission":{"per_second":0}}"#, "/admission/per_second"),
            (r#"{"messages":{"per_second":0}}"#, "/messages/per_second"),
            (
                r#"{"messages":{"quiet_hours":{"from_minute":1440,"to_minute":0,"utc_offset_minutes":0}}}"#,
                "/messages/quiet_hours",
            ),
            (r#"{"messages":{"prefix_budget_milli":[["44",1]]}}"#, "/messages/prefix_budget_milli"),
            (r#"{"messages":{"default_language":"english please"}}"#, "/messages/default_language"),
            (r#"{"privacy":{"retention_days":100000}}"#, "/privacy/retention_days"),
            (r#"{"encryption":{"key_period_s":3}}"#, "/encryption/key_period_s"),
            (r#"{"encryption":{"key_period_s":601}}"#, "/encryption/key_period_s"),
        ] {
            let policy: Policy = serde_json::from_str(json).unwrap();
            assert_eq!(policy.check().unwrap_err().pointer, pointer, "{json}");
        }
    }

    #[test]
    fn a_visitor_is_held_against_countries_and_networks() {
        let rules = |json: &str| serde_json::from_str::<AccessPolicy>(json).unwrap();
        let (home, office) = ("203.0.113.9".parse().unwrap(), "10.1.2.3".parse().unwrap());
        let (fr, de) = (Some("FR".parse().unwrap()), Some("DE".parse().unwrap()));
        let (inside, outside) = (Range::Inside, Range::Outside);
        for (json, address, country, network, provenance) in [
            ("{}", home, None, inside, Provenance::Listed),
            ("{}", home, de, inside, Provenance::Listed),
            (r#"{"countries":["FR"]}"#, home, fr, inside, Provenance::Listed),
            (r#"{"countries":["FR"]}"#, home, de, inside, Provenance::Unlisted),
            (r#"{"countries":["FR"]}"#, home, None, inside, Provenance::Unknown(UnknownCountry::Deny)),
            (
                r#"{"countries":["FR"],"unknown_country":"allow"}"#,
                home,
                None,
                inside,
                Provenance::Unknown(UnknownCountry::Allow),
            ),
            (r#"{"networks":["10.0.0.0/8","fd00::/8"]}"#, office, None, inside, Provenance::Listed),
            (r#"{"networks":["10.0.0.0/8"]}"#, home, fr, outside, Provenance::Listed),
            (r#"{"networks":["10.0.0.0/8"],"countries":["FR"]}"#, office, de, inside, Provenance::Unlisted),
        ] {
            assert_eq!(rules(json).visitor(address, country), Visitor { network, country: provenance }, "{json}");
        }
    }

    #[test]
    fn a_country_is_two_letters() {
        assert_eq!("fr".parse::<Country>().unwrap().to_string(), "FR");
        for text in ["", "F", "FRA", "F1", "\u{e9}"] {
            assert_eq!(text.parse::<Country>(), Err(BadCountry), "{text}");
        }
    }
}
