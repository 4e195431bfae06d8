//! Names of things: one type per noun, so that a stream cannot be passed where a session is meant.
//!
//! The text form is a prefix and 26 letters, `str_01kaf3…`: the 128 bits of a UUID in lower-case Crockford base32, most
//! significant first. UUIDs of version 7 begin with the time, so ids sort by their age, as text and as bytes. There is one
//! text for each id: upper case, look-alikes and spare bits are refused.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use uuid::Uuid;

const ALPHABET: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";
const LETTERS: usize = 26;
const NO_VALUE: u8 = 0xff;
/// The value of each byte as a letter: ids are read on every media request.
const VALUES: [u8; 256] = {
    let mut values = [NO_VALUE; 256];
    let mut value = 0;
    while value < ALPHABET.len() {
        values[ALPHABET[value] as usize] = value as u8;
        value += 1;
    }
    values
};

/// The text is not an id of the expected kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not an id: {prefix}_ and 26 letters are expected")]
pub struct BadId {
    /// The prefix that was expected, without the underscore.
    pub prefix: &'static str,
}

macro_rules! ids {
    ($($(#[$doc:meta])* $name:ident = $prefix:literal;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(Uuid);

        impl $name {
            /// What the text form begins with, without the underscore.
            pub const PREFIX: &'static str = $prefix;

            /// The id with these 128 bits; version 7 is expected of whoever makes a new one.
            #[must_use]
            pub const fn new(uuid: Uuid) -> Self {
                Self(uuid)
            }

            /// The 128 bits.
            #[must_use]
            pub const fn uuid(self) -> Uuid {
                self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write_id($prefix, self.0, f)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write_id($prefix, self.0, f)
            }
        }

        impl FromStr for $name {
            type Err = BadId;
            fn from_str(text: &str) -> Result<Self, BadId> {
                read_id($prefix, text).map(Self).ok_or(BadId { prefix: $prefix })
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }
    )*};
}

ids! {
    /// What an organiser schedules and invites to.
    EventId = "evt";
    /// Where a publisher's media arrives; one per event.
    StreamId = "str";
    /// One time of being on air on a stream.
    BroadcastId = "brd";
    /// One viewer let in by one code.
    SessionId = "ses";
    /// One invitee with one code.
    InvitationId = "inv";
    /// A person who organises.
    UserId = "usr";
    /// A stream key (its row, never its text).
    KeyId = "key";
    /// An API token (its row, never its text).
    TokenId = "tok";
    /// An entry of the log of facts.
    FactId = "fct";
    /// People who share events.
    TeamId = "tem";
    /// One upload of a list of invitees.
    ImportId = "imp";
    /// One order to send something to some invitees.
    SendId = "snd";
    /// One order to give many invitees new codes.
    RenewalId = "rnw";
    /// One message to one person.
    MessageId = "msg";
    /// One request to take a code over to another device.
    TakeoverId = "tko";
    /// An address that facts are delivered to.
    WebhookId = "whk";
    /// One fact on its way to one webhook.
    DeliveryId = "dlv";
    /// Something suspicious that was noticed.
    IncidentId = "inc";
    /// Somebody's passkey.
    PasskeyId = "psk";
    /// A browser that somebody is signed in with.
    BrowserId = "brw";
    /// The key of a stretch of a broadcast (its row, never its bytes). Its 128 bits are the KID of common encryption.
    ContentKeyId = "cek";
}

fn write_id(prefix: &str, uuid: Uuid, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let bits = uuid.as_u128();
    let mut text = [0_u8; LETTERS];
    for (index, letter) in text.iter_mut().enumerate() {
        let shift = 5 * (LETTERS - 1 - index);
        *letter = ALPHABET[usize::from((bits >> shift) as u8 & 31)];
    }
    f.write_str(prefix)?;
    f.write_str("_")?;
    f.write_str(std::str::from_utf8(&text).map_err(|_| fmt::Error)?)
}

fn read_id(prefix: &str, text: &str) -> Option<Uuid> {
    let letters = text.strip_prefix(prefix)?.strip_prefix('_')?.as_bytes();
    // 26 letters hold 130 bits: the first may use three of its five.
    if letters.len() != LETTERS || letters[0] > b'7' {
        return None;
    }
    let mut bits = 0_u128;
    for letter in letters {
        let value = VALUES[usize::from(*letter)];
        if value == NO_VALUE {
            return None;
        }
        bits = bits << 5 | u128::from(value);
    }
    Some(Uuid::from_u128(bits))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn an_id_has_one_text_form() {
        let id = SessionId::new(Uuid::from_u128(0x0199_0000_0000_7000_8000_0000_0000_0001));
        let text = id.to_string();
        assert_eq!(text, "ses_01k4000000e008000000000001");
        assert_eq!(text.len(), 30);
        assert_eq!(text.parse(), Ok(id));
        assert!(text.to_uppercase().parse::<SessionId>().is_err());
        assert!(text.replace("ses", "str").parse::<SessionId>().is_err());
        assert!(format!("ses_8{}", &text[5..]).parse::<SessionId>().is_err(), "spare bits");
        assert!(text[..29].parse::<SessionId>().is_err());
        assert!(format!("{text}0").parse::<SessionId>().is_err());
    }

    #[test]
    fn an_id_is_its_text_in_json() {
        let id = EventId::new(Uuid::from_u128(7));
        let json = serde_json::to_string(&id).unwrap();
        assert_eq!(json, "\"evt_00000000000000000000000007\"");
        assert_eq!(serde_json::from_str::<EventId>(&json).unwrap(), id);
        assert!(serde_json::from_str::<StreamId>(&json).is_err());
    }

    proptest! {
        #[test]
        fn every_id_survives_its_text_and_sorts_like_it(a in any::<u128>(), b in any::<u128>()) {
            let (a, b) = (StreamId::new(Uuid::from_u128(a)), StreamId::new(Uuid::from_u128(b)));
            prop_assert_eq!(a.to_string().parse(), Ok(a));
            prop_assert_eq!(a.cmp(&b), a.to_string().cmp(&b.to_string()));
        }

        #[test]
        fn no_text_panics(text in "(str_)?.{0,40}") {
            let _ = text.parse::<StreamId>();
        }
    }
}
