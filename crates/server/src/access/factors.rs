//! Second factors: one-time passwords, recovery codes and passkeys.
//!
//! # Source
//!
//! RFC 6238 (TOTP) with SHA-1, six digits and 30 seconds, because that is what every app can do; one step of skew. A step
//! is accepted once (section 5.2). W3C Web Authentication Level 3 with user verification required.

use qrcodegen::{QrCode, QrCodeEcc};
use stagedoor_domain::Time;
use stagedoor_domain::access::{Allowed, Facts, Purpose, Reveal, Sealed, Secret, Secure, decide};
use stagedoor_domain::fact::{Fact, Factor, Way};
use stagedoor_domain::id::{PasskeyId, UserId};
use totp_rs::{Builder, Totp};
use webauthn_rs::prelude::{Passkey, PasskeyRegistration, Url, Webauthn, WebauthnBuilder};
pub use webauthn_rs::prelude::{PublicKeyCredential, RegisterPublicKeyCredential};

use super::signin::{Arrival, SignInRefused, SignedIn, Waiting, Who};
use super::{Access, Unopenable};
use crate::facts;
use crate::ports::db::browsers::Method;
use crate::ports::db::users::{self, User};
use crate::ports::db::{DbError, Tx, factors};

/// What apps show beside the account's name.
const ISSUER: &str = "Stagedoor";
/// Enough for years of lost telephones, few enough to print.
const RECOVERY_CODES: usize = 10;
/// Letters of a recovery code: 50 bits each, so that guessing at five a minute is hopeless.
const RECOVERY_LETTERS: usize = 10;

/// A secret that an app is to learn.
#[derive(Debug)]
pub struct Enrolment {
    /// Stands for it until the app has shown that it knows.
    pub ticket: Secret,
    /// Base32, to be typed.
    pub secret: Secret,
    /// `otpauth://…`, for a link.
    pub url: Secret,
    /// The same as an SVG, to be photographed.
    pub qr: Secret,
}

/// Why a second factor is not added or accepted.
#[derive(Debug, thiserror::Error)]
pub enum FactorRefused {
    /// It is not right.
    #[error("the second factor is not right")]
    Wrong,
    /// What was begun is over.
    #[error("it took too long")]
    TooLate,
    /// The page was opened by an address instead of a name, and passkeys belong to names.
    #[error("passkeys need a name")]
    NoName,
    /// There are as many as there may be.
    #[error("there are too many")]
    TooMany,
    /// The secret cannot be opened.
    #[error(transparent)]
    Unopenable(#[from] Unopenable),
    /// The database did not answer.
    #[error("the second factor cannot be kept")]
    Db(#[from] DbError),
}

impl From<FactorRefused> for SignInRefused {
    fn from(refused: FactorRefused) -> Self {
        match refused {
            FactorRefused::TooLate => Self::TooLate,
            FactorRefused::Db(error) => Self::Db(error),
            FactorRefused::Wrong | FactorRefused::NoName | FactorRefused::TooMany => Self::Wrong,
            FactorRefused::Unopenable(error) => {
                tracing::error!(error = &error as &dyn std::error::Error, "a second factor cannot be opened");
                Self::Busy
            }
        }
    }
}

fn totp(secret: &Secret, username: &str) -> Option<Totp> {
    let secret = totp_rs::Secret::try_from_base32(secret.expose()).ok()?;
    // A colon would separate the issuer from the account.
    let account = username.replace(':', " ");
    Builder::new().with_secret(secret).with_account_name(account).with_issuer(Some(ISSUER)).build().ok()
}

/// Light modules around a QR code, as its standard (ISO/IEC 18004) wants: without them no telephone finds it.
const QUIET: i32 = 4;

/// `text` as a QR code, dark on white whatever is behind it, sharp at every size.
fn drawn(text: &str) -> Option<String> {
    let code = QrCode::encode_text(text, QrCodeEcc::Medium).ok()?;
    let side = code.size() + 2 * QUIET;
    let mut dark = String::new();
    for y in 0..code.size() {
        let mut x = 0;
        while x < code.size() {
            let length = (x..code.size()).take_while(|x| code.get_module(*x, y)).count();
            if length > 0 {
                let (x, y) = (x + QUIET, y + QUIET);
                dark.push_str(&format!("M{x} {y}h{length}v1h-{length}z"));
            }
            x += i32::try_from(length).ok()? + 1;
        }
    }
    Some(format!(
        r##"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {side} {side}" shape-rendering="crispEdges"><path fill="#fff" d="M0 0h{side}v{side}H0z"/><path d="{dark}"/></svg>"##
    ))
}

fn seconds(now: Time) -> u64 {
    u64::try_from(now.millis()).unwrap_or(0) / 1_000
}

/// The relying party that a page at `base` belongs to; `None` for an address without a name.
fn relying_party(base: &str) -> Option<Webauthn> {
    let origin = Url::parse(base).ok()?;
    let id = origin.domain()?.to_owned();
    WebauthnBuilder::new(&id, &origin).ok()?.rp_name(ISSUER).build().ok()
}

/// Whether pages at `base` can use passkeys at all.
#[must_use]
pub fn passkeys_work_at(base: &str) -> bool {
    relying_party(base).is_some()
}

impl Access {
    /// Makes a secret for one-time passwords; nothing changes until [`confirm_totp`](Self::confirm_totp).
    ///
    /// # Errors
    ///
    /// [`FactorRefused`].
    pub fn enrol_totp(&self, _: &Allowed<Secure>, who: &Who, arrival: Arrival<'_>) -> Result<Enrolment, FactorRefused> {
        let secret = Secret::new(totp_rs::Secret::from(self.random.bytes::<20>()).to_base32());
        let totp = totp(&secret, &who.username).ok_or(FactorRefused::Wrong)?;
        let url = totp.to_url().map_err(|_| FactorRefused::Wrong)?;
        let qr = drawn(&url).ok_or(FactorRefused::Wrong)?;
        let waiting = Waiting::Enrol { user: who.user, secret: secret.clone() };
        let ticket = self.wait(waiting, arrival.address);
        Ok(Enrolment { ticket, secret, url: Secret::new(url), qr: Secret::new(qr) })
    }

    /// Turns one-time passwords on, against the first one that the app makes. The answer is the recovery codes, when they
    /// had none.
    ///
    /// # Errors
    ///
    /// [`FactorRefused`].
    pub async fn confirm_totp(
        &self,
        _: &Allowed<Secure>,
        who: &Who,
        ticket: &str,
        code: &str,
    ) -> Result<Option<Vec<Secret>>, FactorRefused> {
        let now = self.clock.now();
        let secret = self.known.look(ticket, self.clock.elapsed(), 5, |waiting| match waiting {
            Waiting::Enrol { user, secret } if *user == who.user => Some(secret.clone()),
            _ => None,
        });
        let secret = secret.ok_or(FactorRefused::TooLate)?;
        let totp = totp(&secret, &who.username).ok_or(FactorRefused::Wrong)?;
        let step = totp.check(code.trim(), seconds(now)).ok_or(FactorRefused::Wrong)?;
        self.known.take(ticket, self.clock.elapsed()).ok_or(FactorRefused::TooLate)?;
        let sealed = self.keys.vault.seal(Sealed::Totp(who.user), secret.expose(), &self.random);
        let mut tx = self.db.write().await?;
        factors::set_totp(&mut tx, who.user, Some(sealed), step).await?;
        let fact = Fact::FactorAdded { user: who.user, factor: Factor::Totp };
        facts::append(&mut tx, &self.random, now, who.actor, fact).await?;
        let codes = self.recovery_with_first(&mut tx, who).await?;
        tx.commit().await?;
        Ok(codes)
    }

    /// Turns one-time passwords off.
    ///
    /// # Errors
    ///
    /// Any [`DbError`] of a statement.
    pub async fn remove_totp(&self, _: &Allowed<Secure>, who: &Who) -> Result<(), DbError> {
        let mut tx = self.db.write().await?;
        factors::set_totp(&mut tx, who.user, None, 0).await?;
        let fact = Fact::FactorRemoved { user: who.user, factor: Factor::Totp };
        facts::append(&mut tx, &self.random, self.clock.now(), who.actor, fact).await?;
        tx.commit().await
    }

    /// Whether `code` is a one-time password of `user` that was not used yet; uses it up.
    pub(super) async fn totp_is_right(&self, user: &User, code: &str) -> Result<bool, FactorRefused> {
        let Some(sealed) = &user.totp else { return Ok(false) };
        let now = self.clock.now();
        let reveal = Reveal { event: None, sealed: Sealed::Totp(user.id) };
        let allowed = decide(reveal, &Facts::Server, now).map_err(|_| Unopenable)?;
        let secret = self.keys.vault.open(&allowed, sealed)?;
        let step = totp(&secret, &user.username).and_then(|totp| totp.check(code.trim(), seconds(now)));
        let Some(step) = step else { return Ok(false) };
        let mut tx = self.db.write().await?;
        let fresh = factors::use_totp_step(&mut tx, user.id, step).await?;
        tx.commit().await?;
        Ok(fresh)
    }

    /// Makes new recovery codes; the old ones stop working.
    ///
    /// # Errors
    ///
    /// Any [`DbError`] of a statement.
    pub async fn new_recovery(&self, _: &Allowed<Secure>, who: &Who) -> Result<Vec<Secret>, DbError> {
        let mut tx = self.db.write().await?;
        let codes = self.write_recovery(&mut tx, who).await?;
        tx.commit().await?;
        Ok(codes)
    }

    async fn recovery_with_first(&self, tx: &mut Tx, who: &Who) -> Result<Option<Vec<Secret>>, DbError> {
        if factors::recovery_left(&self.db, who.user).await? > 0 {
            return Ok(None);
        }
        self.write_recovery(tx, who).await.map(Some)
    }

    async fn write_recovery(&self, tx: &mut Tx, who: &Who) -> Result<Vec<Secret>, DbError> {
        let codes: Vec<Secret> = (0..RECOVERY_CODES)
            .map(|_| {
                let letters = Secret::from_random("", self.random.bytes()).expose()[..RECOVERY_LETTERS].to_owned();
                Secret::new(format!("{}-{}", &letters[..5], &letters[5..]))
            })
            .collect();
        let hashes: Vec<_> = codes.iter().map(|code| self.recovery_hash(code.expose())).collect();
        factors::set_recovery(tx, who.user, &hashes).await?;
        let fact = Fact::FactorAdded { user: who.user, factor: Factor::Recovery };
        facts::append(tx, &self.random, self.clock.now(), who.actor, fact).await?;
        Ok(codes)
    }

    /// However somebody types it: without the hyphen, in capitals, with spaces.
    fn recovery_hash(&self, code: &str) -> [u8; 32] {
        let letters: String = code.chars().filter(char::is_ascii_alphanumeric).collect();
        self.keys.hash.digest(Purpose::RecoveryCode, letters.to_ascii_lowercase().as_bytes())
    }

    pub(super) async fn use_recovery(&self, user: UserId, code: &str) -> Result<bool, DbError> {
        let mut tx = self.db.write().await?;
        if !factors::use_recovery(&mut tx, user, self.recovery_hash(code)).await? {
            return Ok(false);
        }
        let (now, actor) = (self.clock.now(), facts::Actor::User(user));
        facts::append(&mut tx, &self.random, now, actor, Fact::RecoveryUsed { user }).await?;
        tx.commit().await?;
        Ok(true)
    }

    /// What a browser needs to make a passkey for `who`.
    ///
    /// # Errors
    ///
    /// [`FactorRefused`].
    pub async fn begin_passkey(
        &self,
        _: &Allowed<Secure>,
        who: &Who,
        base: &str,
        arrival: Arrival<'_>,
    ) -> Result<(Secret, Options), FactorRefused> {
        let party = relying_party(base).ok_or(FactorRefused::NoName)?;
        let have = factors::passkeys(&self.db, who.user).await?;
        if have.len() >= factors::PASSKEYS_MAX as usize {
            return Err(FactorRefused::TooMany);
        }
        let have = have.into_iter().map(|passkey| passkey.credential_id).collect();
        let shown = if who.name.is_empty() { &who.username } else { &who.name };
        let (options, state) = party
            .start_passkey_registration(who.user.uuid(), &who.username, shown, Some(have))
            .map_err(|_| FactorRefused::Wrong)?;
        let mut options = json(&options)?;
        // Preferred, not required: a security key without room for one still is a second factor after a password.
        if let Some(selection) = options.pointer_mut("/publicKey/authenticatorSelection") {
            selection["residentKey"] = "preferred".into();
        }
        let waiting = Waiting::AddPasskey { user: who.user, state: Box::new(state) };
        Ok((self.wait(waiting, arrival.address), options))
    }

    /// Keeps a passkey that a browser made. The second answer is the recovery codes, when they had none.
    ///
    /// # Errors
    ///
    /// [`FactorRefused`].
    pub async fn add_passkey(
        &self,
        _: &Allowed<Secure>,
        who: &Who,
        base: &str,
        made: &MadePasskey<'_>,
    ) -> Result<(factors::Passkey, Option<Vec<Secret>>), FactorRefused> {
        let party = relying_party(base).ok_or(FactorRefused::NoName)?;
        let state: Box<PasskeyRegistration> = match self.known.take(made.ticket, self.clock.elapsed()) {
            Some(Waiting::AddPasskey { user, state }) if user == who.user => state,
            _ => return Err(FactorRefused::TooLate),
        };
        let passkey = party.finish_passkey_registration(made.credential, &state).map_err(|_| FactorRefused::Wrong)?;
        let now = self.clock.now();
        let row = factors::Passkey {
            id: PasskeyId::new(self.random.uuid(now)),
            user: who.user,
            credential_id: passkey.cred_id().to_vec(),
            credential: serde_json::to_string(&passkey).map_err(|_| FactorRefused::Wrong)?,
            name: made.name.to_owned(),
            created_at: now,
            last_used_at: None,
        };
        let mut tx = self.db.write().await?;
        match factors::insert_passkey(&mut tx, &row).await {
            Err(DbError::Exists) => return Err(FactorRefused::Wrong),
            inserted => inserted?,
        }
        let fact = Fact::FactorAdded { user: who.user, factor: Factor::Passkey };
        facts::append(&mut tx, &self.random, now, who.actor, fact).await?;
        let codes = self.recovery_with_first(&mut tx, who).await?;
        tx.commit().await?;
        Ok((row, codes))
    }

    /// Removes one of `who`'s passkeys; says whether there was one.
    ///
    /// # Errors
    ///
    /// Any [`DbError`] of a statement.
    pub async fn remove_passkey(&self, _: &Allowed<Secure>, who: &Who, id: PasskeyId) -> Result<bool, DbError> {
        let mut tx = self.db.write().await?;
        if !factors::delete_passkey(&mut tx, who.user, id).await? {
            return Ok(false);
        }
        let fact = Fact::FactorRemoved { user: who.user, factor: Factor::Passkey };
        facts::append(&mut tx, &self.random, self.clock.now(), who.actor, fact).await?;
        tx.commit().await?;
        Ok(true)
    }

    /// A challenge for any passkey of this site: whoever has one says by it who they are. Names no account, so it tells
    /// nothing about any.
    ///
    /// # Errors
    ///
    /// [`FactorRefused::NoName`].
    pub fn ask_any_passkey(&self, base: &str, arrival: Arrival<'_>) -> Result<(Secret, Options), FactorRefused> {
        let party = relying_party(base).ok_or(FactorRefused::NoName)?;
        let (mut options, state) = party.start_discoverable_authentication().map_err(|_| FactorRefused::Wrong)?;
        // A button asks for it, not a field that fills itself in.
        options.mediation = None;
        let waiting = Waiting::AnyPasskey { state: Box::new(state) };
        let options = json(&options)?;
        Ok((self.strangers.put(waiting, arrival.address, self.clock.elapsed(), &self.random), options))
    }

    /// A challenge for the passkeys of whoever typed the right password for `ticket`.
    ///
    /// # Errors
    ///
    /// [`FactorRefused`].
    pub async fn ask_passkey_after_password(
        &self,
        base: &str,
        ticket: &str,
        arrival: Arrival<'_>,
    ) -> Result<(Secret, Options), FactorRefused> {
        let user = self.second_factor_of(ticket).ok_or(FactorRefused::TooLate)?;
        self.challenge(base, user, Some(Secret::new(ticket.to_owned())), arrival).await
    }

    /// A challenge for the passkeys of `user`.
    ///
    /// # Errors
    ///
    /// [`FactorRefused`].
    pub async fn ask_passkey_of(
        &self,
        base: &str,
        user: UserId,
        arrival: Arrival<'_>,
    ) -> Result<(Secret, Options), FactorRefused> {
        self.challenge(base, user, None, arrival).await
    }

    async fn challenge(
        &self,
        base: &str,
        user: UserId,
        after: Option<Secret>,
        arrival: Arrival<'_>,
    ) -> Result<(Secret, Options), FactorRefused> {
        let party = relying_party(base).ok_or(FactorRefused::NoName)?;
        let rows = factors::passkeys(&self.db, user).await?;
        let have: Vec<Passkey> = rows.iter().filter_map(|row| serde_json::from_str(&row.credential).ok()).collect();
        if have.is_empty() {
            return Err(FactorRefused::Wrong);
        }
        let (options, state) = party.start_passkey_authentication(&have).map_err(|_| FactorRefused::Wrong)?;
        let options = json(&options)?;
        Ok((self.wait(Waiting::Passkey { user, state: Box::new(state), after }, arrival.address), options))
    }

    /// Signs in whoever's passkey signed the challenge.
    ///
    /// # Errors
    ///
    /// [`SignInRefused`].
    pub async fn sign_in_by_passkey(
        &self,
        base: &str,
        challenge: &str,
        signed: &PublicKeyCredential,
        arrival: Arrival<'_>,
    ) -> Result<SignedIn, SignInRefused> {
        let _turn = self.logins.turn(arrival.address).await;
        self.may_guess(arrival.address)?;
        let owner = match self.passkey_owner(base, challenge, signed).await {
            Ok((user, after)) => users::by_id(&self.db, user).await?.map(|user| (user, after)),
            Err(FactorRefused::Wrong) => None,
            Err(error) => return Err(error.into()),
        };
        let Some((user, after)) = owner.filter(|(user, _)| user.disabled_at.is_none()) else {
            return Err(self.wrong(arrival.address, Way::Passkey).await);
        };
        if let Some(ticket) = after {
            self.use_up(ticket.expose())?;
        }
        self.let_in(user, arrival, Method::Passkey, true).await
    }

    /// Confirms that it is `who` by a passkey of theirs.
    ///
    /// # Errors
    ///
    /// [`SignInRefused`].
    pub async fn confirm_by_passkey(
        &self,
        who: &Who,
        base: &str,
        challenge: &str,
        signed: &PublicKeyCredential,
        arrival: Arrival<'_>,
    ) -> Result<(), SignInRefused> {
        let _turn = self.logins.turn(arrival.address).await;
        self.may_guess(arrival.address)?;
        match self.passkey_owner(base, challenge, signed).await {
            Ok((user, _)) if user == who.user => Ok(self.confirmed(who, true).await?),
            Ok(_) | Err(FactorRefused::Wrong) => Err(self.wrong(arrival.address, Way::Passkey).await),
            Err(error) => Err(error.into()),
        }
    }

    /// Whose passkey signed the challenge, and after which password. Uses the challenge up.
    async fn passkey_owner(
        &self,
        base: &str,
        challenge: &str,
        signed: &PublicKeyCredential,
    ) -> Result<(UserId, Option<Secret>), FactorRefused> {
        let party = relying_party(base).ok_or(FactorRefused::NoName)?;
        let now = self.clock.elapsed();
        let waiting = self.known.take(challenge, now).or_else(|| self.strangers.take(challenge, now));
        let waiting = waiting.ok_or(FactorRefused::TooLate)?;
        let row = factors::passkey_by_credential(&self.db, &signed.raw_id).await?.ok_or(FactorRefused::Wrong)?;
        let mut passkey: Passkey = serde_json::from_str(&row.credential).map_err(|_| FactorRefused::Wrong)?;
        let mut password = None;
        let verified = match waiting {
            Waiting::Passkey { user, state, after } if user == row.user => {
                password = after;
                party.finish_passkey_authentication(signed, &state)
            }
            Waiting::AnyPasskey { state } => {
                let (owner, _) =
                    party.identify_discoverable_authentication(signed).map_err(|_| FactorRefused::Wrong)?;
                if owner != row.user.uuid() {
                    return Err(FactorRefused::Wrong);
                }
                party.finish_discoverable_authentication_v2(signed, *state, &passkey)
            }
            _ => return Err(FactorRefused::Wrong),
        };
        let verified = verified.map_err(|_| FactorRefused::Wrong)?;
        if !verified.user_verified() {
            return Err(FactorRefused::Wrong);
        }
        passkey.update_credential(&verified);
        let text = serde_json::to_string(&passkey).map_err(|_| FactorRefused::Wrong)?;
        let mut tx = self.db.write().await?;
        factors::passkey_used(&mut tx, row.id, &text, self.clock.now()).await?;
        tx.commit().await?;
        Ok((row.user, password))
    }
}

/// What a browser's `navigator.credentials` is called with, as the standard writes it in JSON.
pub type Options = serde_json::Value;

fn json(options: &impl serde::Serialize) -> Result<Options, FactorRefused> {
    serde_json::to_value(options).map_err(|_| FactorRefused::Wrong)
}

/// What a browser answered when it was asked for a new passkey.
#[derive(Debug)]
pub struct MadePasskey<'a> {
    /// The ticket of the challenge.
    pub ticket: &'a str,
    /// What its owner calls it.
    pub name: &'a str,
    /// What the authenticator made.
    pub credential: &'a RegisterPublicKeyCredential,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_time_passwords_are_those_of_the_standard() {
        // RFC 6238, appendix B: the secret is "12345678901234567890"; of its eight digits we use the last six.
        let secret = Secret::new("GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ".into());
        let totp = totp(&secret, "ada:x").unwrap();
        for (at, code) in [(59, "287082"), (1_111_111_109, "081804"), (20_000_000_000, "353130")] {
            assert_eq!(totp.check(code, at), Some(at / 30));
            assert_eq!(totp.check(code, at + 30), Some(at / 30), "one step of skew");
            assert_eq!(totp.check(code, at + 60), None);
        }
        for nonsense in ["", "28708", "2870822", "28708a", "-87082", "２８７０８２"] {
            assert_eq!(totp.check(nonsense, 59), None, "{nonsense}");
        }
        let url = totp.to_url().unwrap();
        assert!(url.starts_with("otpauth://totp/") && url.contains("issuer=Stagedoor"), "{url}");
    }

    #[test]
    fn the_drawing_has_every_dark_module_once_and_a_margin() {
        let text = "otpauth://totp/Stagedoor:ada?secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ&issuer=Stagedoor";
        let (code, svg) = (QrCode::encode_text(text, QrCodeEcc::Medium).unwrap(), drawn(text).unwrap());
        let path = svg.rsplit_once("d=\"").unwrap().1.split('"').next().unwrap();
        let mut dark = std::collections::BTreeSet::new();
        for run in path.split('M').skip(1) {
            let numbers: Vec<i32> = run.split([' ', 'h', 'v']).take(3).map(|number| number.parse().unwrap()).collect();
            for x in numbers[0]..numbers[0] + numbers[2] {
                assert!(dark.insert((x - 4, numbers[1] - 4)), "{x} {}", numbers[1]);
            }
        }
        for y in -4..code.size() + 4 {
            for x in -4..code.size() + 4 {
                assert_eq!(dark.contains(&(x, y)), code.get_module(x, y), "{x} {y}");
            }
        }
    }

    #[test]
    fn passkeys_belong_to_names() {
        for (base, works) in [
            ("https://stage.example.org", true),
            ("http://localhost:8080", true),
            ("http://127.0.0.1:8080", false),
            ("http://[::1]:8080", false),
            ("nonsense", false),
        ] {
            assert_eq!(passkeys_work_at(base), works, "{base}");
        }
    }
}
