//! A page shows that its guards are standing: every few seconds it signs a number that it has never seen before.
//!
//! ```text
//! server ─ nonce ─▶ page ─ nonce, guards, position, frames, HMAC-SHA-256 of all of it ─▶ judge: good, or why not
//! ```
//!
//! The key is the session's own and comes with the session, so an answer shows a page that speaks for this session now.
//! It does not show that the page is honest: whoever reads its code can sign as well. What it buys is that a player
//! alone, without the page around it, falls [silent](SILENT_AFTER), and that whoever changes the page must keep up.
//!
//! # Source
//!
//! RFC 2104 (HMAC) with SHA-256, FIPS 180-4.

use std::fmt::{self, Write as _};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;

/// How often a page is asked.
pub const EVERY: Duration = Duration::from_secs(5);
/// So many questions without a good answer, one after the other, are silence.
pub const MISSES: usize = 3;
/// How long an answer may be under way: a telephone between two masts.
pub const ANSWER_MAX: Duration = Duration::from_secs(3);
/// A session without a good answer for so long is silent: [`MISSES`] questions, and the time of an answer.
pub const SILENT_AFTER: Duration = Duration::from_secs(EVERY.as_secs() * MISSES as u64 + ANSWER_MAX.as_secs());

/// Bytes of a question.
pub const NONCE_BYTES: usize = 16;
/// Letters of a question: unpadded base64url.
const NONCE_CHARS: usize = 22;
/// Hexadecimal digits that say which guards stand.
const GUARD_DIGITS_MAX: usize = 8;
/// Numbers beyond this are not exact in a page.
const NUMBER_MAX: u64 = (1 << 53) - 1;
/// The longest text that is signed: nonce, guards and two numbers of 16 digits, with the dots.
const SIGNED_BYTES_MAX: usize = NONCE_CHARS + GUARD_DIGITS_MAX + 2 * 16 + 3;

/// What a page of one session signs with.
#[derive(Clone)]
pub struct HeartbeatKey([u8; 32]);

impl HeartbeatKey {
    /// The key with these bytes.
    #[must_use]
    pub fn new(key: [u8; 32]) -> Self {
        Self(key)
    }

    /// As the page is given it: base64url without padding. For the page of this session and nobody else.
    #[must_use]
    pub fn expose(&self) -> String {
        URL_SAFE_NO_PAD.encode(self.0)
    }

    /// The inverse of [`expose`](Self::expose).
    #[must_use]
    pub fn read(text: &str) -> Option<Self> {
        let bytes = URL_SAFE_NO_PAD.decode(text).ok()?;
        bytes.try_into().ok().map(Self)
    }

    /// The signature of an answer, as a page makes it.
    #[must_use]
    pub fn sign(&self, nonce: &str, guard: &str, position_ms: Option<u64>, frames: u64) -> String {
        let mac = Signed::of(nonce, guard, position_ms, frames).map(|text| self.mac(&text).finalize().into_bytes());
        mac.map(|mac| URL_SAFE_NO_PAD.encode(mac)).unwrap_or_default()
    }

    fn mac(&self, text: &Signed) -> Hmac<Sha256> {
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.0).expect("HMAC takes a key of any length");
        mac.update(text.bytes());
        mac
    }
}

impl fmt::Debug for HeartbeatKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("HeartbeatKey(****)")
    }
}

/// What is signed, written without asking for memory: ten thousand pages answer every five seconds.
struct Signed {
    text: [u8; SIGNED_BYTES_MAX],
    length: usize,
}

impl Signed {
    /// `None` for what is too long to be right.
    fn of(nonce: &str, guard: &str, position_ms: Option<u64>, frames: u64) -> Option<Self> {
        let mut signed = Self { text: [0; SIGNED_BYTES_MAX], length: 0 };
        match position_ms {
            Some(position_ms) => write!(signed, "{nonce}.{guard}.{position_ms}.{frames}"),
            None => write!(signed, "{nonce}.{guard}..{frames}"),
        }
        .ok()?;
        Some(signed)
    }

    fn bytes(&self) -> &[u8] {
        &self.text[..self.length]
    }
}

impl fmt::Write for Signed {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let end = self.length.checked_add(text.len()).ok_or(fmt::Error)?;
        self.text.get_mut(self.length..end).ok_or(fmt::Error)?.copy_from_slice(text.as_bytes());
        self.length = end;
        Ok(())
    }
}

/// An answer as somebody sent it.
#[derive(Clone, Copy, Debug)]
pub struct Answer<'a> {
    /// The question that it answers.
    pub nonce: &'a str,
    /// Which guards stand: a bit each, one to eight lower-case hexadecimal digits.
    pub guard: &'a str,
    /// Where the player is in the media, in milliseconds; without media, nothing.
    pub position_ms: Option<u64>,
    /// Pictures that were shown since the page was opened.
    pub frames: u64,
    /// The signature: base64url without padding.
    pub mac: &'a str,
}

/// Why an answer is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Bad {
    /// Nobody asked that, or it was answered, or too much was asked since.
    #[error("nobody asked that")]
    Nonce,
    /// The guards are not one to eight lower-case hexadecimal digits, or a number is larger than a page can hold.
    #[error("the answer is malformed")]
    Malformed,
    /// It was not signed with the key of this session.
    #[error("the signature is wrong")]
    Mac,
}

/// The last questions to one page: at most [`MISSES`], so that an answer that took its time still counts.
#[derive(Clone, Debug, Default)]
pub struct Questions {
    open: [Option<[u8; NONCE_BYTES]>; MISSES],
    next: usize,
}

impl Questions {
    /// Asks; the oldest open question is forgotten. Its text is what the page is sent.
    pub fn ask(&mut self, nonce: [u8; NONCE_BYTES]) -> String {
        self.open[self.next] = Some(nonce);
        self.next = (self.next + 1) % MISSES;
        URL_SAFE_NO_PAD.encode(nonce)
    }

    /// Whether `answer` is a good one. Whatever it is, its question is answered with it: nothing is judged twice, and
    /// whoever sends nonsense has it checked once per question at most.
    ///
    /// # Errors
    ///
    /// [`Bad`].
    pub fn judge(&mut self, key: &HeartbeatKey, answer: &Answer<'_>) -> Result<(), Bad> {
        let mut nonce = [0; NONCE_BYTES];
        // Exactly one text per question: the length is checked, and base64 refuses spare bits.
        if answer.nonce.len() != NONCE_CHARS
            || URL_SAFE_NO_PAD.decode_slice_unchecked(answer.nonce, &mut nonce) != Ok(NONCE_BYTES)
        {
            return Err(Bad::Nonce);
        }
        let asked = self.open.iter_mut().find(|open| **open == Some(nonce)).ok_or(Bad::Nonce)?;
        *asked = None;
        let digits = answer.guard.bytes().all(|digit| matches!(digit, b'0'..=b'9' | b'a'..=b'f'));
        let numbers = answer.frames <= NUMBER_MAX && answer.position_ms.is_none_or(|at| at <= NUMBER_MAX);
        if !digits || !(1..=GUARD_DIGITS_MAX).contains(&answer.guard.len()) || !numbers {
            return Err(Bad::Malformed);
        }
        let signed = Signed::of(answer.nonce, answer.guard, answer.position_ms, answer.frames).ok_or(Bad::Malformed)?;
        let mut mac = [0; 32];
        if answer.mac.len() != 43 || URL_SAFE_NO_PAD.decode_slice_unchecked(answer.mac, &mut mac) != Ok(32) {
            return Err(Bad::Mac);
        }
        // In constant time.
        key.mac(&signed).verify_slice(&mac).map_err(|_| Bad::Mac)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn key() -> HeartbeatKey {
        HeartbeatKey::new([7; 32])
    }

    fn answered(questions: &mut Questions, nonce: &str, guard: &str, position_ms: Option<u64>) -> Result<(), Bad> {
        let mac = key().sign(nonce, guard, position_ms, 9);
        questions.judge(&key(), &Answer { nonce, guard, position_ms, frames: 9, mac: &mac })
    }

    #[test]
    fn the_signature_is_hmac_sha_256_over_the_text_of_the_wire() {
        // Python: hmac.new(b"\7" * 32, b"AAAAAAAAAAAAAAAAAAAAAA.1f.1500.42", "sha256")
        let nonce = "A".repeat(22);
        assert_eq!(key().sign(&nonce, "1f", Some(1_500), 42), "eEEJBe_jOm7CbfcrIsKCgvg9ZDifTxkg-lj9WTMFErU");
        assert_eq!(key().sign(&nonce, "1f", None, 42), "NCZQQzzV0a8fkF_t8_RLyFAY1dUEu5RElDZL1uDZNoE");
        assert_eq!(format!("{:?}", key()), "HeartbeatKey(****)");
        assert_eq!(HeartbeatKey::read(&key().expose()).map(|key| key.0), Some([7; 32]));
        assert!(HeartbeatKey::read("AAAA").is_none() && HeartbeatKey::read("é").is_none());
    }

    #[test]
    fn a_question_is_answered_once_by_whoever_has_the_key() {
        let mut questions = Questions::default();
        let nonce = questions.ask([1; 16]);
        assert_eq!(answered(&mut questions, &nonce, "1f", Some(0)), Ok(()));
        assert_eq!(answered(&mut questions, &nonce, "1f", Some(0)), Err(Bad::Nonce), "a second time");

        let nonce = questions.ask([2; 16]);
        let mac = HeartbeatKey::new([8; 32]).sign(&nonce, "1", None, 0);
        let answer = Answer { nonce: &nonce, guard: "1", position_ms: None, frames: 0, mac: &mac };
        assert_eq!(questions.judge(&key(), &answer), Err(Bad::Mac), "with another session's key");
        assert_eq!(answered(&mut questions, &nonce, "1", None), Err(Bad::Nonce), "and nobody tries twice");
    }

    #[test]
    fn an_answer_may_be_two_questions_late_and_no_later() {
        let mut questions = Questions::default();
        let asked: Vec<_> = (0..5_u8).map(|number| questions.ask([number; 16])).collect();
        let late: Vec<_> = asked.iter().map(|nonce| answered(&mut questions, nonce, "0", None)).collect();
        assert_eq!(late, [Err(Bad::Nonce), Err(Bad::Nonce), Ok(()), Ok(()), Ok(())]);
    }

    #[test]
    fn what_was_changed_after_signing_is_no_answer() {
        let mut questions = Questions::default();
        let mut changed = |change: fn(&mut Answer<'_>)| {
            let nonce = questions.ask([3; 16]);
            let mac = key().sign(&nonce, "1f", Some(100), 9);
            let mut answer = Answer { nonce: &nonce, guard: "1f", position_ms: Some(100), frames: 9, mac: &mac };
            change(&mut answer);
            questions.judge(&key(), &answer)
        };
        assert_eq!(changed(|_| {}), Ok(()));
        assert_eq!(changed(|answer| answer.guard = "1e"), Err(Bad::Mac));
        assert_eq!(changed(|answer| answer.position_ms = Some(101)), Err(Bad::Mac));
        assert_eq!(changed(|answer| answer.position_ms = None), Err(Bad::Mac));
        assert_eq!(changed(|answer| answer.frames = 10), Err(Bad::Mac));
        for guard in ["", "1F", "1g", "123456789", "0x1", "١", "1.1"] {
            let nonce = questions.ask([4; 16]);
            assert_eq!(answered(&mut questions, &nonce, guard, None), Err(Bad::Malformed), "{guard}");
        }
        let nonce = questions.ask([5; 16]);
        assert_eq!(answered(&mut questions, &nonce, "1", Some(u64::MAX)), Err(Bad::Malformed));
    }

    proptest! {
        #[test]
        fn no_answer_panics_or_passes(nonce in ".{0,30}", guard in ".{0,12}", mac in ".{0,50}", frames: u64) {
            let mut questions = Questions::default();
            questions.ask([6; 16]);
            let answer = Answer { nonce: &nonce, guard: &guard, position_ms: Some(frames), frames, mac: &mac };
            prop_assert!(questions.judge(&key(), &answer).is_err());
        }
    }
}
