//! The server's own secrets: what signs the log, and what signs deliveries to webhooks. Nobody is shown them again.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ed25519_dalek::SigningKey;
use stagedoor_domain::access::{Administer, Allowed, Facts, Reveal, Sealed, Secret, decide};
use stagedoor_domain::id::WebhookId;

use super::{Access, RevealError, Unopenable};
use crate::ports::db::{DbError, settings};

/// The name of the setting that holds the sealed key.
pub(super) const LOG_KEY: &str = "log_signing_key";
/// What secrets of webhooks begin with.
///
/// # Source
///
/// Standard Webhooks 1.0.0, "Signature scheme": `whsec_` and 24 to 64 bytes in base64.
const WEBHOOK_PREFIX: &str = "whsec_";

impl Access {
    /// The key that signs the log; made at the first start, and sealed.
    ///
    /// # Errors
    ///
    /// [`RevealError`].
    pub async fn log_key(&self) -> Result<SigningKey, RevealError> {
        if let Some(key) = self.read_log_key().await? {
            return Ok(key);
        }
        let secret = STANDARD.encode(self.random.bytes::<32>());
        let sealed = STANDARD.encode(self.keys.vault.seal(Sealed::Signing, &secret, &self.random));
        let mut tx = self.db.write().await?;
        // Another process may be faster: then its key is ours too.
        settings::put_first(&mut tx, LOG_KEY, &sealed).await?;
        tx.commit().await?;
        let made = self.read_log_key().await?;
        made.ok_or_else(|| DbError::Corrupt(LOG_KEY.to_owned()).into())
    }

    async fn read_log_key(&self) -> Result<Option<SigningKey>, RevealError> {
        let Some(sealed) = settings::get(&self.db, LOG_KEY).await? else { return Ok(None) };
        let sealed = STANDARD.decode(sealed).map_err(|_| Unopenable)?;
        let secret = self.open_own(Sealed::Signing, &sealed)?;
        let bytes = STANDARD.decode(secret.expose()).ok().and_then(|bytes| <[u8; 32]>::try_from(bytes).ok());
        Ok(Some(SigningKey::from_bytes(&bytes.ok_or(Unopenable)?)))
    }

    /// A fresh secret for a webhook: to be shown once, and sealed.
    #[must_use]
    pub fn fresh_webhook_secret(&self, _: &Allowed<Administer>, id: WebhookId) -> (Secret, Vec<u8>) {
        let secret = Secret::new(format!("{WEBHOOK_PREFIX}{}", STANDARD.encode(self.random.bytes::<32>())));
        let sealed = self.keys.vault.seal(Sealed::Webhook(id), secret.expose(), &self.random);
        (secret, sealed)
    }

    /// The bytes that sign deliveries to a webhook.
    ///
    /// # Errors
    ///
    /// [`Unopenable`].
    pub fn webhook_key(&self, id: WebhookId, sealed: &[u8]) -> Result<Vec<u8>, Unopenable> {
        let secret = self.open_own(Sealed::Webhook(id), sealed)?;
        let text = secret.expose().strip_prefix(WEBHOOK_PREFIX).ok_or(Unopenable)?;
        STANDARD.decode(text).map_err(|_| Unopenable)
    }

    fn open_own(&self, what: Sealed, sealed: &[u8]) -> Result<Secret, Unopenable> {
        let reveal = Reveal { event: None, sealed: what };
        let allowed = decide(reveal, &Facts::Server, self.clock.now()).map_err(|_| Unopenable)?;
        self.keys.vault.open(&allowed, sealed)
    }
}
