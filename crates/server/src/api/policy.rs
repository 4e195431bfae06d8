//! How an event's policy looks in JSON.
//!
//! What is read and written is the domain's own [`Policy`]; the types here say to the OpenAPI document what that looks
//! like, because the domain knows nothing of documents. A test holds the two together.

use serde::{Deserialize, Serialize};
use stagedoor_domain::event::{self, BadPolicy, Policy};
use stagedoor_domain::publish;
use stagedoor_domain::risk::Action;
use utoipa::ToSchema;

use super::problem::Problem;

/// What is decided about an event beyond its title. What is absent has its default.
#[derive(ToSchema)]
#[schema(as = Policy)]
#[expect(dead_code, reason = "it describes the domain's type")]
pub(super) struct PolicySchema {
    access: AccessPolicy,
    takeover: TakeoverPolicy,
    admission: AdmissionPolicy,
    messages: MessagePolicy,
    privacy: PrivacyPolicy,
    encryption: EncryptionPolicy,
    protection: ProtectionPolicy,
    publish: PublishLimits,
}

/// From where one may come in.
#[derive(ToSchema)]
#[expect(dead_code, reason = "it describes the domain's type")]
pub(super) struct AccessPolicy {
    /// Only these countries (ISO 3166-1, two letters); empty for all.
    #[schema(required = false, max_items = 256, examples(json!(["FR", "DE"])))]
    countries: Vec<String>,
    /// With a list of countries: an address whose country nobody knows, or no database to look it up in.
    #[schema(required = false)]
    unknown_country: UnknownCountry,
    /// Only these ranges of addresses; empty for all.
    #[schema(required = false, max_items = 256, examples(json!(["10.0.0.0/8", "fd00::/8"])))]
    networks: Vec<String>,
}

/// What becomes of an address whose country nobody knows.
#[derive(ToSchema)]
#[schema(rename_all = "lowercase")]
#[expect(dead_code, reason = "it describes the domain's type")]
pub(super) enum UnknownCountry {
    /// Refused, the default.
    Deny,
    /// Let in.
    Allow,
}

/// What happens when a code is used on a second device while the first one is watching.
#[derive(ToSchema)]
#[expect(dead_code, reason = "it describes the domain's type")]
pub(super) struct TakeoverPolicy {
    /// How long the first device has to answer, in seconds.
    #[schema(required = false, minimum = 15, maximum = 120, default = 60)]
    answer_s: u32,
    /// When it does not answer.
    #[schema(required = false)]
    unanswered: Unanswered,
}

/// What happens when nobody answers.
#[derive(ToSchema)]
#[schema(rename_all = "lowercase")]
#[expect(dead_code, reason = "it describes the domain's type")]
pub(super) enum Unanswered {
    /// The second device stays out, the default.
    Deny,
    /// The second device gets in.
    Allow,
}

/// How many get in, and how fast.
#[derive(ToSchema)]
#[expect(dead_code, reason = "it describes the domain's type")]
pub(super) struct AdmissionPolicy {
    /// Sessions at once; beyond them people wait in order. Without it, as many as come.
    #[schema(minimum = 1)]
    capacity: Option<u32>,
    /// People let in per second; beyond it they wait in order. Without it, as fast as the server can.
    #[schema(minimum = 1, maximum = 10_000)]
    per_second: Option<u32>,
}

/// How messages go out.
#[derive(ToSchema)]
#[expect(dead_code, reason = "it describes the domain's type")]
pub(super) struct MessagePolicy {
    /// Messages per second.
    #[schema(required = false, minimum = 1, maximum = 100, default = 1)]
    per_second: u32,
    /// When nobody is to be woken but for a new code; without it messages go at any hour.
    quiet_hours: Option<QuietHours>,
    /// What the event may spend, in thousandths of the currency unit that the gateway charges; without it, anything.
    budget_milli: Option<u64>,
    /// Pairs of a prefix and what may be spent on numbers that begin with it, in thousandths.
    #[schema(required = false, max_items = 256, value_type = Vec<serde_json::Value>, examples(json!([["+44", 5_000]])))]
    prefix_budget_milli: Vec<(String, u64)>,
    /// The country whose numbers come without `+`.
    #[schema(examples("FR"))]
    default_country: Option<String>,
    /// The language of those who have none of their own: a BCP 47 tag.
    #[schema(required = false, default = "en")]
    default_language: String,
}

/// A time of day to be silent, in the event's time zone.
#[derive(ToSchema)]
#[expect(dead_code, reason = "it describes the domain's type")]
pub(super) struct QuietHours {
    /// Minutes after midnight at which they begin.
    #[schema(maximum = 1_439)]
    from_minute: u16,
    /// Minutes after midnight at which they end; smaller than the beginning when midnight lies between.
    #[schema(maximum = 1_439)]
    to_minute: u16,
    /// Minutes east of UTC.
    #[schema(minimum = -720, maximum = 840)]
    utc_offset_minutes: i16,
}

/// How long people are remembered.
#[derive(ToSchema)]
#[expect(dead_code, reason = "it describes the domain's type")]
pub(super) struct PrivacyPolicy {
    /// Days after the last broadcast until telephone numbers and addresses are erased; without it, never by itself.
    #[schema(maximum = 3_650)]
    retention_days: Option<u32>,
}

/// How what is shown is encrypted. A broadcast keeps to its end what it began with.
#[derive(ToSchema)]
#[expect(dead_code, reason = "it describes the domain's type")]
pub(super) struct EncryptionPolicy {
    /// Which way.
    #[schema(required = false)]
    method: Encryption,
    /// How long one key is used, in seconds: a viewer who was sent out can decrypt for no longer.
    #[schema(required = false, minimum = 4, maximum = 600, default = 10)]
    key_period_s: u32,
}

/// Ways to encrypt.
#[derive(ToSchema)]
#[expect(dead_code, reason = "it describes the domain's type")]
pub(super) enum Encryption {
    /// None, the default.
    #[schema(rename = "off")]
    Off,
    /// Whole parts and segments: plays nearly everywhere.
    #[schema(rename = "aes-128")]
    Aes128,
    /// Samples, by common encryption: for players with Encrypted Media Extensions.
    #[schema(rename = "cbcs")]
    Cbcs,
}

/// What is asked of viewers' pages, and what follows when something is odd.
#[derive(ToSchema)]
#[expect(dead_code, reason = "it describes the domain's type")]
pub(super) struct ProtectionPolicy {
    /// Pages answer every few seconds, and say what they notice.
    #[schema(required = false, default = true)]
    guard: bool,
    /// The most that follows.
    #[schema(required = false)]
    action: ActionName,
    /// The viewer's name, masked number and session move over the picture. Nothing without `guard`.
    #[schema(required = false, default = false)]
    watermark: bool,
}

/// What follows when something odd is noticed about a viewer. Each step is taken from so many points on, as far as the
/// event permits it.
#[derive(Clone, Copy, Debug, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum ActionName {
    /// It is written down and shown to organisers, the default.
    Log,
    /// From 2 points on the viewer is told what was seen.
    Warn,
    /// From 3 points on the picture is blurred until the viewer has read why.
    Blur,
    /// From 4 points on playing stops until the viewer has read why.
    Pause,
    /// From 6 points and two kinds of evidence on the viewer is sent out; the code still works.
    Kick,
}

impl From<Action> for ActionName {
    fn from(action: Action) -> Self {
        match action {
            Action::Log => Self::Log,
            Action::Warn => Self::Warn,
            Action::Blur => Self::Blur,
            Action::Pause => Self::Pause,
            Action::Kick => Self::Kick,
        }
    }
}

/// What an encoder may send. Whoever stays above it is stopped with a sentence that says so.
#[derive(ToSchema)]
#[expect(dead_code, reason = "it describes the domain's type")]
pub(super) struct PublishLimits {
    /// Pictures and sound together, in kbit/s, over ten seconds.
    #[schema(required = false, minimum = 100, maximum = 400_000, default = 60_000)]
    bitrate_kbps: u32,
    /// The longer side of the picture, in pixels.
    #[schema(required = false, minimum = 16, maximum = 8_192, default = 4_096)]
    long_side: u32,
    /// The shorter side of the picture, in pixels.
    #[schema(required = false, minimum = 16, maximum = 8_192, default = 2_304)]
    short_side: u32,
    /// Pictures per second, over ten seconds.
    #[schema(required = false, minimum = 1, maximum = 480, default = 120)]
    fps: u32,
}

/// Sections that change; each replaces the whole section, and what is absent stays.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct PolicyChange {
    #[schema(value_type = Option<AccessPolicy>)]
    access: Option<event::AccessPolicy>,
    #[schema(value_type = Option<TakeoverPolicy>)]
    takeover: Option<event::TakeoverPolicy>,
    #[schema(value_type = Option<AdmissionPolicy>)]
    admission: Option<event::AdmissionPolicy>,
    #[schema(value_type = Option<MessagePolicy>)]
    messages: Option<event::MessagePolicy>,
    #[schema(value_type = Option<PrivacyPolicy>)]
    privacy: Option<event::PrivacyPolicy>,
    #[schema(value_type = Option<EncryptionPolicy>)]
    encryption: Option<event::EncryptionPolicy>,
    #[schema(value_type = Option<ProtectionPolicy>)]
    protection: Option<event::ProtectionPolicy>,
    #[schema(value_type = Option<PublishLimits>)]
    publish: Option<publish::Limits>,
}

impl PolicyChange {
    /// What `policy` becomes.
    ///
    /// # Errors
    ///
    /// A problem that names the setting that makes no sense.
    pub(super) fn applied(self, policy: &Policy) -> Result<Policy, Problem> {
        let policy = policy.clone();
        let changed = Policy {
            access: self.access.unwrap_or(policy.access),
            takeover: self.takeover.unwrap_or(policy.takeover),
            admission: self.admission.unwrap_or(policy.admission),
            messages: self.messages.unwrap_or(policy.messages),
            privacy: self.privacy.unwrap_or(policy.privacy),
            encryption: self.encryption.unwrap_or(policy.encryption),
            protection: self.protection.unwrap_or(policy.protection),
            publish: self.publish.unwrap_or(policy.publish),
        };
        match changed.check() {
            Ok(()) => Ok(changed),
            Err(BadPolicy { pointer, detail }) => Err(Problem::field(&format!("/policy{pointer}"), detail)),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    /// The JSON of a policy in which nothing is absent.
    fn whole() -> Value {
        let text = r#"{"access":{"countries":["FR"],"networks":["10.0.0.0/8"]},"admission":{"capacity":1,"per_second":1},
            "messages":{"quiet_hours":{"from_minute":0,"to_minute":1,"utc_offset_minutes":0},"budget_milli":1,
            "prefix_budget_milli":[["+44",1]],"default_country":"FR"},"privacy":{"retention_days":1}}"#;
        serde_json::to_value(serde_json::from_str::<Policy>(text).unwrap()).unwrap()
    }

    #[test]
    fn the_document_describes_the_policy_as_it_is() {
        let document: Value = serde_json::from_str(&super::super::openapi()).unwrap();
        let schemas = &document["components"]["schemas"];
        let keys =
            |value: &Value| value.as_object().unwrap().keys().cloned().collect::<std::collections::BTreeSet<_>>();
        let policy = whole();
        assert_eq!(keys(&schemas["Policy"]["properties"]), keys(&policy));
        for (section, name) in [
            ("access", "AccessPolicy"),
            ("takeover", "TakeoverPolicy"),
            ("admission", "AdmissionPolicy"),
            ("messages", "MessagePolicy"),
            ("privacy", "PrivacyPolicy"),
            ("encryption", "EncryptionPolicy"),
            ("protection", "ProtectionPolicy"),
            ("publish", "PublishLimits"),
        ] {
            assert_eq!(keys(&schemas[name]["properties"]), keys(&policy[section]), "{name}");
        }
        assert_eq!(keys(&schemas["QuietHours"]["properties"]), keys(&policy["messages"]["quiet_hours"]));
        for (name, value) in [
            ("UnknownCountry", &policy["access"]["unknown_country"]),
            ("Unanswered", &policy["takeover"]["unanswered"]),
            ("Encryption", &policy["encryption"]["method"]),
            ("ActionName", &policy["protection"]["action"]),
        ] {
            assert!(schemas[name].to_string().contains(&value.to_string()), "{name}");
        }
    }

    #[test]
    fn a_section_replaces_that_section_and_no_other() {
        let before: Policy = serde_json::from_value(whole()).unwrap();
        let change: PolicyChange = serde_json::from_str(r#"{"admission":{"capacity":7}}"#).unwrap();
        let after = change.applied(&before).unwrap();
        assert_eq!((after.admission.capacity, after.admission.per_second), (Some(7), None));
        assert_eq!((after.access, after.messages), (before.access, before.messages));
        assert!(serde_json::from_str::<PolicyChange>(r#"{"admision":{}}"#).is_err());
    }
}
