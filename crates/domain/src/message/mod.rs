//! Messages to invitees: what they cost, what they say, when they may go out, and where one stands.
//!
//! ```text
//! template ─fill─▶ text ─segments─▶ price          queued → sending → sent → delivered
//! policy (rate, quiet hours) ─▶ eta                          ↘ uncertain: looked up, never repeated blindly
//! ```
//!
//! A message is one *intent*: this person, this kind, this code, this channel. It reaches the gateway at most once unless
//! the gateway itself says that it did not take it.

mod inbound;
mod quiet;
mod retry;
mod segments;
mod template;

use serde::{Deserialize, Serialize};

pub use inbound::{Inbound, inbound};
pub use quiet::eta;
pub use retry::{ATTEMPTS_MAX, LOOKS_MAX, Recovery, backoff, recover};
pub use segments::{Encoding, Segments};
pub use template::{BUILT_IN, BadTemplate, Filling, Placeholder, Template, built_in, check, choose, fill, starts_at};

macro_rules! named {
    ($(#[$doc:meta])* $name:ident { $($(#[$variant_doc:meta])* $variant:ident = $text:literal,)* }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(rename_all = "snake_case")]
        pub enum $name {
            $($(#[$variant_doc])* $variant,)*
        }

        impl $name {
            /// Every one.
            pub const ALL: &[Self] = &[$(Self::$variant,)*];

            /// The name in JSON and in the database.
            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $text,)*
                }
            }

            /// The inverse of [`as_str`](Self::as_str).
            #[must_use]
            pub fn from_name(name: &str) -> Option<Self> {
                Self::ALL.iter().copied().find(|each| each.as_str() == name)
            }
        }
    };
}

named! {
    /// By what a message travels.
    Channel {
        /// A text message to a telephone.
        Sms = "sms",
        /// A letter to an e-mail address.
        Email = "email",
    }
}

named! {
    /// What a message is for.
    Kind {
        /// The first one, with the code.
        Invitation = "invitation",
        /// The event is near.
        Reminder = "reminder",
        /// The code was replaced.
        NewCode = "new_code",
        /// A few words to one person.
        Direct = "direct",
        /// To the organiser themself, to see what it looks like.
        Test = "test",
    }
}

impl Kind {
    /// The kinds that have a template.
    pub const WITH_TEMPLATE: [Self; 3] = [Self::Invitation, Self::Reminder, Self::NewCode];

    /// The kind whose orders go out in quiet hours too: without their new code people are locked out, and would be until
    /// the morning.
    pub const AT_ANY_HOUR: Self = Self::NewCode;

    /// Whether there is a template for it.
    #[must_use]
    pub fn has_template(self) -> bool {
        Self::WITH_TEMPLATE.contains(&self)
    }
}

named! {
    /// Where a message stands.
    State {
        /// It waits for its turn.
        Queued = "queued",
        /// The gateway was asked, or is about to be; whoever finds it so later must look before asking again.
        Sending = "sending",
        /// The gateway took it.
        Sent = "sent",
        /// It arrived.
        Delivered = "delivered",
        /// It will not arrive.
        Failed = "failed",
        /// It was deliberately not sent.
        Suppressed = "suppressed",
    }
}

named! {
    /// Why a message was not sent, or did not arrive.
    Failure {
        /// The gateway may or may not have taken it, and cannot tell. A person decides.
        Unknown = "unknown",
        /// There is no number or address of this channel.
        NoAddress = "no_address",
        /// The gateway says that the number or address cannot be.
        BadAddress = "bad_address",
        /// The person asked for no more messages.
        OptedOut = "opted_out",
        /// The invitation was withdrawn, has expired, or its person was erased.
        NotInvited = "not_invited",
        /// Another message about the same thing exists.
        Superseded = "superseded",
        /// An organiser called the send off.
        Cancelled = "cancelled",
        /// The gateway refuses this message whenever it is asked.
        Refused = "refused",
        /// The gateway did not take it, however often it was asked.
        Unavailable = "unavailable",
        /// The carrier did not deliver it.
        Undelivered = "undelivered",
        /// It would have cost more than the event may spend.
        Budget = "budget",
    }
}

named! {
    /// Where a send stands.
    SendState {
        /// Its messages go out.
        Running = "running",
        /// They wait.
        Paused = "paused",
        /// Nothing is left to be sent.
        Done = "done",
        /// Called off.
        Cancelled = "cancelled",
    }
}

named! {
    /// Why a send waits.
    PauseCause {
        /// Nobody is to be woken for it now; it goes on by itself.
        QuietHours = "quiet_hours",
        /// The event has spent what it may.
        Budget = "budget",
        /// What may be spent on the numbers that are left is spent.
        PrefixBudget = "prefix_budget",
        /// The gateway does not know us: its settings are wrong.
        Gateway = "gateway",
        /// An organiser stopped it.
        Person = "person",
    }
}

impl State {
    /// Whether a message that stands here may go on to `next`, when the gateway says so. Reports come twice and in any
    /// order, so most of them change nothing.
    #[must_use]
    pub fn may_become(self, next: Self) -> bool {
        use State::{Delivered, Failed, Queued, Sending, Sent, Suppressed};
        match (self, next) {
            // Also at once to where a late report says that it is: then it is not sent again.
            (Queued, Sending | Sent | Delivered | Suppressed | Failed) => true,
            (Sending, Queued | Sent | Delivered | Failed | Suppressed) => true,
            (Sent, Delivered | Failed | Suppressed) => true,
            // A message that we gave up on did arrive after all: the carrier knows better.
            (Failed, Sent | Delivered) => true,
            // A person, or a new send, tries again what did not go out.
            (Failed | Suppressed, Queued) => true,
            _ => false,
        }
    }
}

/// The price of a message: segments times the price of the longest matching prefix, in thousandths.
#[must_use]
pub fn price_milli(segments: u32, number: &str, prices: &[(String, u64)], default_milli: u64) -> u64 {
    let each = longest_prefix(number, prices).map_or(default_milli, |(_, price)| *price);
    each.saturating_mul(u64::from(segments))
}

/// The entry whose prefix is the longest that `number` begins with.
#[must_use]
pub fn longest_prefix<'a>(number: &str, entries: &'a [(String, u64)]) -> Option<&'a (String, u64)> {
    entries.iter().filter(|(prefix, _)| number.starts_with(prefix.as_str())).max_by_key(|(prefix, _)| prefix.len())
}

/// What an event may still do with its money.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purse {
    /// Send it.
    Enough,
    /// The event has spent what it may.
    EventEmpty,
    /// What may be spent on such numbers is spent.
    PrefixEmpty,
}

/// Whether a message of `cost` may go: `spent` and `budget` of the event, then those of the number's prefix.
#[must_use]
pub fn purse(cost: u64, event: (u64, Option<u64>), prefix: (u64, Option<u64>)) -> Purse {
    let over = |(spent, budget): (u64, Option<u64>)| budget.is_some_and(|budget| spent.saturating_add(cost) > budget);
    if over(event) {
        Purse::EventEmpty
    } else if over(prefix) {
        Purse::PrefixEmpty
    } else {
        Purse::Enough
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_back() {
        for state in State::ALL {
            assert_eq!(State::from_name(state.as_str()), Some(*state));
            assert_eq!(serde_json::to_string(state).unwrap(), format!("\"{}\"", state.as_str()));
        }
        for kind in Kind::ALL {
            assert_eq!(serde_json::to_string(kind).unwrap(), format!("\"{}\"", kind.as_str()));
        }
        for failure in Failure::ALL {
            assert_eq!(serde_json::to_string(failure).unwrap(), format!("\"{}\"", failure.as_str()));
        }
        assert_eq!(Channel::from_name("fax"), None);
        assert!(!Kind::Direct.has_template() && Kind::NewCode.has_template());
    }

    #[test]
    fn reports_in_any_order_end_in_the_same_state() {
        use State::{Delivered, Sending, Sent};
        for order in [[Sent, Delivered, Sent], [Delivered, Sent, Delivered], [Sent, Sent, Delivered]] {
            let end = order.into_iter().fold(Sending, |state, next| if state.may_become(next) { next } else { state });
            assert_eq!(end, Delivered, "{order:?}");
        }
    }

    #[test]
    fn what_has_gone_out_is_never_queued_again_by_a_report() {
        for state in [State::Sent, State::Delivered] {
            assert!(!state.may_become(State::Queued) && !state.may_become(State::Sending), "{state:?}");
        }
        assert!(State::ALL.iter().all(|next| !State::Delivered.may_become(*next)));
    }

    #[test]
    fn the_longest_prefix_sets_the_price() {
        let prices = vec![("+4".to_owned(), 10), ("+44".to_owned(), 40), ("+447".to_owned(), 47)];
        assert_eq!(price_milli(2, "+447911123456", &prices, 8), 94);
        assert_eq!(price_milli(1, "+442071234567", &prices, 8), 40);
        assert_eq!(price_milli(3, "+33612345678", &prices, 8), 24);
        assert_eq!(price_milli(u32::MAX, "+4", &[("+4".to_owned(), u64::MAX)], 0), u64::MAX);
    }

    #[test]
    fn a_purse_is_never_overdrawn() {
        assert_eq!(purse(10, (90, Some(100)), (0, None)), Purse::Enough);
        assert_eq!(purse(11, (90, Some(100)), (0, None)), Purse::EventEmpty);
        assert_eq!(purse(5, (0, None), (6, Some(10))), Purse::PrefixEmpty);
        assert_eq!(purse(u64::MAX, (1, Some(u64::MAX - 1)), (0, None)), Purse::EventEmpty);
        assert_eq!(purse(0, (100, Some(100)), (0, Some(0))), Purse::Enough);
    }
}
