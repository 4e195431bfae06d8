//! What is written to people: sealed as long as it is kept, and reports about it, believed only when they are signed.

use hmac::{Hmac, KeyInit, Mac};
use serde::{Deserialize, Serialize};
use sha1::Sha1;
use stagedoor_domain::access::{Allowed, Facts, Reveal, Sealed, decide};
use stagedoor_domain::id::{InvitationId, MessageId};

use super::vault::Cipher;
use super::{Access, ContactError, Unopenable};
use crate::ports::db::messages::Message;
use crate::ports::db::{Tx, invitations};

/// To whom something is sealed: the key of that person opens it, so that who forgets the person forgets this as well.
#[derive(Clone, Copy, Debug)]
pub struct SealedFor<'a> {
    /// The invitee.
    pub invitation: InvitationId,
    /// Their key, as it is in their row.
    pub person_key: &'a [u8],
}

/// To whom a message goes and what it says. Its `Debug` form shows nothing.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Written {
    /// The number or address; empty in a draft, which is addressed and filled when it is sent.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub to: String,
    /// Of a letter.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<String>,
    /// What is said; empty when only the address is kept.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub body: String,
    /// How links begin, in a draft.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub base_url: String,
}

impl std::fmt::Debug for Written {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Written(****)")
    }
}

impl Access {
    /// Seals what a message says and to whom. Without an invitee, the vault's own key seals it.
    ///
    /// # Errors
    ///
    /// [`ContactError`], when the person's key was sealed by another key.
    pub fn seal_message(
        &self,
        id: MessageId,
        person: Option<SealedFor<'_>>,
        written: &Written,
    ) -> Result<Vec<u8>, ContactError> {
        let what = Sealed::Message(id);
        let text = serde_json::to_string(written).map_err(|_| Unopenable)?;
        Ok(match person {
            Some(person) => self.cipher_of(person)?.seal(what, text.as_bytes(), &self.random),
            None => self.keys.vault.seal(what, &text, &self.random),
        })
    }

    /// Opens what [`seal_message`](Self::seal_message) sealed: for the server itself, to send it or to mask it.
    ///
    /// # Errors
    ///
    /// [`ContactError`].
    pub fn open_message(
        &self,
        id: MessageId,
        person: Option<SealedFor<'_>>,
        sealed: &[u8],
    ) -> Result<Written, ContactError> {
        let allowed = self.for_the_server(Sealed::Message(id))?;
        let text = match person {
            Some(person) => self.cipher_of(person)?.open(&allowed, sealed)?,
            None => self.keys.vault.open(&allowed, sealed)?,
        };
        Ok(serde_json::from_str(text.expose()).map_err(|_| Unopenable)?)
    }

    /// What is kept of a message that the gateway has: whom it went to, for the list, and nothing of what it said. `None` when
    /// there is nothing to keep, or its person was forgotten meanwhile. A part of `tx`, which holds the invitation from then
    /// on.
    ///
    /// # Errors
    ///
    /// [`ContactError`].
    pub async fn only_address(&self, tx: &mut Tx, message: &Message) -> Result<Option<Vec<u8>>, ContactError> {
        let Some(sealed) = &message.payload else { return Ok(None) };
        let row = match message.invitation {
            None => None,
            Some(id) => invitations::lock(tx, id).await?,
        };
        let person = match &row {
            None => None,
            Some(row) => match &row.person_key {
                None => return Ok(None),
                Some(person_key) => Some(SealedFor { invitation: row.id, person_key }),
            },
        };
        let written = self.open_message(message.id, person, sealed)?;
        let address = Written { to: written.to, ..Written::default() };
        self.seal_message(message.id, person, &address).map(Some)
    }

    fn cipher_of(&self, person: SealedFor<'_>) -> Result<Cipher, ContactError> {
        let allowed = self.for_the_server(Sealed::Contact(person.invitation))?;
        let key = self.keys.vault.open_bytes(&allowed, person.person_key)?;
        Ok(Cipher::new(key.try_into().map_err(|_| Unopenable)?))
    }

    fn for_the_server(&self, sealed: Sealed) -> Result<Allowed<Reveal>, ContactError> {
        Ok(decide(Reveal { event: None, sealed }, &Facts::Server, self.clock.now())?)
    }
}

/// Whether Twilio signed a request to `url` (as Twilio called it, with its query) with these form fields. The comparison
/// takes the same time for every wrong signature.
///
/// # Source
///
/// Twilio, "Webhooks security", "Validating signatures from Twilio": HMAC-SHA1 over the URL and, sorted by name, the name
/// and value of every field, in base64.
#[must_use]
pub fn signed_by_twilio(auth_token: &str, url: &str, fields: &[(String, String)], signature: &str) -> bool {
    use base64::Engine as _;
    let Ok(signature) = base64::engine::general_purpose::STANDARD.decode(signature) else { return false };
    let Ok(mut mac) = <Hmac<Sha1> as KeyInit>::new_from_slice(auth_token.as_bytes()) else { return false };
    mac.update(url.as_bytes());
    let mut sorted: Vec<_> = fields.iter().collect();
    sorted.sort();
    for (name, value) in sorted {
        mac.update(name.as_bytes());
        mac.update(value.as_bytes());
    }
    mac.verify_slice(&signature).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn field(name: &str, value: &str) -> (String, String) {
        (name.to_owned(), value.to_owned())
    }

    #[test]
    fn the_example_of_the_documentation_is_genuine_and_nothing_near_it() {
        // "Validating signatures from Twilio": auth token 12345, and the signature that its libraries test with.
        let url = "https://mycompany.com/myapp.php?foo=1&bar=2";
        let fields = [
            field("CallSid", "CA1234567890ABCDE"),
            field("Caller", "+14158675309"),
            field("Digits", "1234"),
            field("From", "+14158675309"),
            field("To", "+18005551212"),
        ];
        let signature = "RSOYDt4T1cUTdK1PDd93/VVr8B8=";
        assert!(signed_by_twilio("12345", url, &fields, signature));
        let mut shuffled = fields.clone();
        shuffled.reverse();
        assert!(signed_by_twilio("12345", url, &shuffled, signature));
        assert!(!signed_by_twilio("12346", url, &fields, signature));
        assert!(!signed_by_twilio("12345", &url[..url.len() - 1], &fields, signature));
        assert!(!signed_by_twilio("12345", url, &fields[1..], signature));
        for wrong in ["", "x", "RSOYDt4T1cUTdK1PDd93/VVr8B4=", "RSOYDt4T1cUTdK1PDd93"] {
            assert!(!signed_by_twilio("12345", url, &fields, wrong), "{wrong}");
        }
    }
}
