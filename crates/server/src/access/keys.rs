//! The keys of this installation, and which master key they hang on.
//!
//! The master key seals; it can be replaced while everybody watches. What must not change with it, since nobody has the
//! texts to do it again, is kept in the database, sealed: the keys of stored hashes, and for a while what signed the
//! playback tokens that are still in players.

use std::io::{ErrorKind, Read, Write};
use std::path::{Path, PathBuf};

use arc_swap::ArcSwap;
use serde::{Deserialize, Serialize};
use stagedoor_domain::Time;
use stagedoor_domain::access::token::{Claims, Forged, TokenKey};
use stagedoor_domain::access::{Digest, HashKey, Purpose};

use super::proof::ChallengeKey;
use super::vault::{Cipher, Vault};
use crate::ports::random::Random;

/// The environment variable that holds the master key instead of the file: 64 hexadecimal digits; older ones behind it.
pub const MASTER_KEY: &str = "STAGEDOOR_MASTER_KEY";
const FILE: &str = "master.key";
/// Keys at most: the present one, and those that a change of keys that was broken off and begun again left behind.
const KEYS_MAX: usize = 8;
/// That many lines of 64 digits, and some room for line ends; more is no list of keys.
const FILE_BYTES_MAX: u64 = 1_024;
/// Letters of a key's name that are shown: enough to tell eight keys apart.
const NAME_CHARS: usize = 8;

/// 32 bytes that everything secret at rest hangs on, and the ones before it that rows may still hang on. Losing it loses
/// all codes and stream keys; viewers would need new invitations.
#[derive(Clone)]
pub struct MasterKey {
    present: [u8; 32],
    older: Vec<[u8; 32]>,
}

/// Why there is no master key.
#[derive(Debug, thiserror::Error)]
pub enum MasterKeyError {
    /// It is not 64 hexadecimal digits, or there are too many of them.
    #[error("the master key in {0} is not 64 hexadecimal digits a line, on one to eight lines")]
    Malformed(String),
    /// The file can neither be read nor made.
    #[error("cannot read or make the master key file {}", path.display())]
    File {
        /// Which file.
        path: PathBuf,
        /// Why not.
        #[source]
        source: std::io::Error,
    },
}

impl std::fmt::Debug for MasterKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("MasterKey(****)")
    }
}

impl MasterKey {
    /// The key with these bytes.
    #[must_use]
    pub fn new(key: [u8; 32]) -> Self {
        Self { present: key, older: Vec::new() }
    }

    /// The same, in place of `before`, which is still readable.
    #[must_use]
    pub fn after(mut self, before: &Self) -> Self {
        self.older.extend(std::iter::once(&before.present).chain(&before.older).filter(|key| **key != self.present));
        self
    }

    /// The key in `variable` (the value of [`MASTER_KEY`]), else the one in `data_dir/master.key`, which is made with
    /// mode 0600 when there is none. The first one is the present one; older ones follow it, on lines of their own or
    /// behind commas.
    ///
    /// # Errors
    ///
    /// [`MasterKeyError`], in words for the operator.
    pub fn load(data_dir: &Path, variable: Option<&str>, random: &Random) -> Result<Self, MasterKeyError> {
        if let Some(text) = variable {
            return Self::parse(text);
        }
        if let Some(key) = Self::in_file(data_dir)? {
            return Ok(key);
        }
        let key = Self::new(random.bytes());
        let path = data_dir.join(FILE);
        write_new(&path, &key).map_err(|source| MasterKeyError::File { path, source })?;
        Ok(key)
    }

    /// The key in the value of [`MASTER_KEY`].
    ///
    /// # Errors
    ///
    /// [`MasterKeyError::Malformed`].
    pub fn parse(text: &str) -> Result<Self, MasterKeyError> {
        parse(text).ok_or_else(|| MasterKeyError::Malformed(MASTER_KEY.to_owned()))
    }

    /// The key in `data_dir/master.key`, if there is one.
    ///
    /// # Errors
    ///
    /// [`MasterKeyError`], in words for the operator.
    pub fn in_file(data_dir: &Path) -> Result<Option<Self>, MasterKeyError> {
        let path = data_dir.join(FILE);
        let failed = |source| MasterKeyError::File { path: path.clone(), source };
        match std::fs::File::open(&path) {
            Ok(file) => {
                let mut text = String::new();
                file.take(FILE_BYTES_MAX).read_to_string(&mut text).map_err(failed)?;
                parse(&text).map(Some).ok_or_else(|| MasterKeyError::Malformed(path.display().to_string()))
            }
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(failed(error)),
        }
    }

    /// Puts this key, with its older ones behind it, into `data_dir/master.key`: whole or not at all.
    ///
    /// # Errors
    ///
    /// [`MasterKeyError::File`].
    pub fn put_in_file(&self, data_dir: &Path) -> Result<PathBuf, MasterKeyError> {
        let (path, draft) = (data_dir.join(FILE), data_dir.join("master.key.new"));
        let put = || {
            match std::fs::remove_file(&draft) {
                Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
                _ => {}
            }
            write_new(&draft, self)?;
            std::fs::rename(&draft, &path)?;
            std::fs::File::open(data_dir)?.sync_all()
        };
        match put() {
            Ok(()) => Ok(path),
            Err(source) => Err(MasterKeyError::File { path, source }),
        }
    }

    /// The present key without the older ones.
    #[must_use]
    pub fn alone(&self) -> Self {
        Self::new(self.present)
    }

    /// How many older ones there are.
    #[must_use]
    pub fn older(&self) -> usize {
        self.older.len()
    }

    /// Whether the key with this fingerprint is at hand.
    #[must_use]
    pub fn has(&self, fingerprint: &str) -> bool {
        self.called(fingerprint).is_some()
    }

    /// A few letters that tell this key apart from others without telling anything about it.
    #[must_use]
    pub fn name(&self) -> String {
        short(&fingerprint(&self.present)).to_owned()
    }

    /// The names of all keys at hand, the present one first.
    #[must_use]
    pub fn names(&self) -> Vec<String> {
        self.all().map(|key| short(&fingerprint(key)).to_owned()).collect()
    }

    fn all(&self) -> impl Iterator<Item = &[u8; 32]> {
        std::iter::once(&self.present).chain(&self.older)
    }

    /// Tells master keys apart in the database.
    #[must_use]
    pub fn fingerprint(&self) -> String {
        fingerprint(&self.present)
    }

    /// The key with this fingerprint, if it is at hand.
    pub(super) fn called(&self, name: &str) -> Option<Self> {
        self.all().find(|key| fingerprint(key) == name).map(|key| Self::new(*key))
    }

    /// A key for one purpose, named by `context`.
    fn derive(&self, context: &str) -> [u8; 32] {
        blake3::derive_key(context, &self.present)
    }

    /// What seals with it.
    pub(super) fn cipher(&self) -> Cipher {
        Cipher::new(self.derive("stagedoor 2026-11 vault"))
    }

    /// What stored hashes are keyed with as long as no other master key came.
    pub(super) fn first_hash_key(&self) -> [u8; 32] {
        self.derive("stagedoor 2026-11 stored hashes")
    }

    /// What playback tokens are signed with.
    pub(super) fn token_key(&self) -> [u8; 32] {
        self.derive("stagedoor 2026-11 playback tokens")
    }
}

fn fingerprint(key: &[u8; 32]) -> String {
    let hash = blake3::derive_key("stagedoor 2026-11 fingerprint", key);
    blake3::Hash::from_bytes(hash).to_hex()[..32].to_owned()
}

/// As much of a fingerprint as is shown to people.
pub(super) fn short(fingerprint: &str) -> &str {
    fingerprint.get(..NAME_CHARS).unwrap_or(fingerprint)
}

/// Made once and durably: a key that seals rows must not vanish with the power.
fn write_new(path: &Path, key: &MasterKey) -> std::io::Result<()> {
    use std::os::unix::fs::OpenOptionsExt;
    let text: String = key.all().map(|key| format!("{}\n", blake3::Hash::from_bytes(*key).to_hex())).collect();
    let mut file = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()
}

fn parse(text: &str) -> Option<MasterKey> {
    let words =
        text.split(|letter: char| letter.is_ascii_whitespace() || letter == ',').filter(|word| !word.is_empty());
    let mut keys = words.map(|word| blake3::Hash::from_hex(word).ok().map(|key| *key.as_bytes()));
    let present = keys.next()??;
    let older = keys.collect::<Option<Vec<_>>>()?;
    (older.len() < KEYS_MAX).then_some(MasterKey { present, older })
}

/// What outlives a master key, as it is kept: sealed as JSON.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct Kept {
    /// What hashes are or were keyed with, oldest first.
    pub(super) hashes: Vec<[u8; 32]>,
    /// What signed playback tokens before, and until when it counts.
    pub(super) tokens: Vec<([u8; 32], Time)>,
}

impl std::fmt::Debug for Kept {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Kept(****)")
    }
}

/// Whether all rows hang on the present master key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Rows {
    /// They do.
    Settled,
    /// Some hang on one before.
    Moving,
}

/// The keys of stored hashes.
///
/// Long random secrets (cookies, tokens, stream keys) keep the first one for good: nobody can try 2^160 of them, and nobody
/// has them to hash them again. Codes, numbers and addresses are short enough to be tried by somebody who has the key, so
/// they get a new one with each master key.
#[derive(Debug)]
pub(super) struct Hashing(ArcSwap<HashRing>);

#[derive(Debug)]
struct HashRing {
    first: HashKey,
    /// Newest first.
    keys: Vec<HashKey>,
    rows: Rows,
}

impl Hashing {
    fn ring(kept: &Kept, rows: Rows) -> HashRing {
        let keys: Vec<_> = kept.hashes.iter().rev().map(|key| HashKey::new(*key)).collect();
        let first = keys.last().cloned().expect("there is a first key from the first start on");
        HashRing { first, keys, rows }
    }

    pub(super) fn new(kept: &Kept, rows: Rows) -> Self {
        Self(ArcSwap::from_pointee(Self::ring(kept, rows)))
    }

    pub(super) fn turn(&self, kept: &Kept, rows: Rows) {
        self.0.store(std::sync::Arc::new(Self::ring(kept, rows)));
    }

    /// The key of long random secrets.
    pub(super) fn lasting(&self) -> HashKey {
        self.0.load().first.clone()
    }

    /// The hash under which `text` is stored from now on.
    pub(super) fn digest(&self, purpose: Purpose, text: &[u8]) -> Digest {
        let ring = self.0.load();
        let newest = ring.keys.first().unwrap_or(&ring.first);
        if is_short(purpose) { newest.digest(purpose, text) } else { ring.first.digest(purpose, text) }
    }

    /// The hashes under which a row may be found by `text`: the present one, and older ones while rows move.
    pub(super) fn digests(&self, purpose: Purpose, text: &[u8]) -> Vec<Digest> {
        let count = match self.0.load().rows {
            Rows::Settled => 1,
            Rows::Moving => KEYS_MAX,
        };
        let mut all = self.every_digest(purpose, text);
        all.truncate(count);
        all
    }

    /// The hashes under which `text` was ever stored, newest first: for what cannot be hashed again, because nobody knows
    /// the text.
    pub(super) fn every_digest(&self, purpose: Purpose, text: &[u8]) -> Vec<Digest> {
        let ring = self.0.load();
        if is_short(purpose) {
            ring.keys.iter().map(|key| key.digest(purpose, text)).collect()
        } else {
            vec![ring.first.digest(purpose, text)]
        }
    }
}

/// Whether somebody who has the key could try all texts that there are.
fn is_short(purpose: Purpose) -> bool {
    match purpose {
        Purpose::Code | Purpose::Phone | Purpose::Email => true,
        Purpose::StreamKey
        | Purpose::ApiToken
        | Purpose::UserCookie
        | Purpose::ViewerCookie
        | Purpose::QueueTicket
        | Purpose::TakeoverTicket
        | Purpose::RecoveryCode
        | Purpose::Heartbeat
        | Purpose::Watermark => false,
    }
}

/// What signs playback tokens, and what did before.
#[derive(Debug)]
pub(super) struct Tokens(ArcSwap<TokenRing>);

#[derive(Debug)]
struct TokenRing {
    present: TokenKey,
    older: Vec<(TokenKey, Time)>,
}

impl Tokens {
    fn ring(master: &MasterKey, kept: &Kept) -> TokenRing {
        let older = kept.tokens.iter().map(|(key, until)| (TokenKey::new(*key), *until)).collect();
        TokenRing { present: TokenKey::new(master.token_key()), older }
    }

    pub(super) fn new(master: &MasterKey, kept: &Kept) -> Self {
        Self(ArcSwap::from_pointee(Self::ring(master, kept)))
    }

    pub(super) fn turn(&self, master: &MasterKey, kept: &Kept) {
        self.0.store(std::sync::Arc::new(Self::ring(master, kept)));
    }

    pub(super) fn sign(&self, claims: &Claims) -> String {
        self.0.load().present.sign(claims)
    }

    pub(super) fn verify(&self, token: &str, now: Time) -> Result<Claims, Forged> {
        let ring = self.0.load();
        ring.present.verify(token).or_else(|forged| {
            let mut older = ring.older.iter().filter(|(_, until)| now < *until);
            older.find_map(|(key, _)| key.verify(token).ok()).ok_or(forged)
        })
    }
}

/// One key per purpose: what signs tokens cannot open the vault.
#[derive(Debug)]
pub(super) struct Keys {
    pub(super) hash: Hashing,
    pub(super) token: Tokens,
    pub(super) vault: Vault,
    pub(super) challenge: ChallengeKey,
}

impl Keys {
    /// The keys that hang on `master`, on the ones before it that rows still hang on, and what outlived others.
    pub(super) fn new(master: &MasterKey, before: &[MasterKey], kept: &Kept) -> Self {
        let older = before.iter().map(MasterKey::cipher).collect();
        Self {
            hash: Hashing::new(kept, rows(before)),
            token: Tokens::new(master, kept),
            vault: Vault::new(master.cipher(), older),
            challenge: ChallengeKey::new(master.derive("stagedoor 2026-11 challenges")),
        }
    }

    /// The same for everybody who holds these keys already. Challenges, which live for two minutes, change with the next
    /// start.
    pub(super) fn turn(&self, master: &MasterKey, before: &[MasterKey], kept: &Kept) {
        // Readers first: whoever finds a row by a new hash must be able to open it.
        self.vault.turn(master.cipher(), before.iter().map(MasterKey::cipher).collect());
        self.token.turn(master, kept);
        self.hash.turn(kept, rows(before));
    }
}

fn rows(before: &[MasterKey]) -> Rows {
    if before.is_empty() { Rows::Settled } else { Rows::Moving }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    struct Folder(PathBuf);

    impl Folder {
        fn new(name: &str) -> Self {
            let folder = std::env::temp_dir().join(format!("stagedoor-keys-{name}-{}", std::process::id()));
            std::fs::create_dir_all(&folder).unwrap();
            Self(folder)
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            let _gone = std::fs::remove_dir_all(&self.0);
        }
    }

    fn mode(folder: &Path) -> u32 {
        std::fs::metadata(folder.join(FILE)).unwrap().permissions().mode() & 0o777
    }

    fn kept(hashes: &[u8], tokens: &[(u8, i64)]) -> Kept {
        Kept {
            hashes: hashes.iter().map(|key| [*key; 32]).collect(),
            tokens: tokens.iter().map(|(key, until)| ([*key; 32], Time::from_millis(*until))).collect(),
        }
    }

    #[test]
    fn the_key_file_is_made_once_and_is_private() {
        let folder = Folder::new("made");
        let random = Random::system();
        let made = MasterKey::load(&folder.0, None, &random).unwrap();
        let read = MasterKey::load(&folder.0, None, &random).unwrap();
        assert_eq!(made.present, read.present);
        assert_eq!(mode(&folder.0), 0o600);
        std::fs::write(folder.0.join(FILE), "short").unwrap();
        assert!(matches!(MasterKey::load(&folder.0, None, &random), Err(MasterKeyError::Malformed(_))));
        let nowhere = folder.0.join("nowhere");
        assert!(matches!(MasterKey::load(&nowhere, None, &random), Err(MasterKeyError::File { .. })));
        assert!(MasterKey::load(&folder.0, Some(&"ab".repeat(32)), &random).is_ok());
        assert!(matches!(MasterKey::load(&folder.0, Some("ab"), &random), Err(MasterKeyError::Malformed(_))));
    }

    #[test]
    fn a_new_key_stands_before_the_older_ones_in_file_and_environment() {
        let folder = Folder::new("older");
        let (old, new) = (MasterKey::new([1; 32]), MasterKey::new([2; 32]));
        let both = new.clone().after(&old);
        for _ in 0..2 {
            both.put_in_file(&folder.0).unwrap();
        }
        assert_eq!(mode(&folder.0), 0o600);
        let read = MasterKey::in_file(&folder.0).unwrap().unwrap();
        assert_eq!((read.name(), read.names()), (new.name(), vec![new.name(), old.name()]));
        assert_eq!(read.called(&old.fingerprint()).unwrap().present, old.present);
        assert!(read.alone().called(&old.fingerprint()).is_none());
        assert_eq!(new.clone().after(&both).older(), 1, "a key is not older than itself");
        let (first, second) = ("ab".repeat(32), "cd".repeat(32));
        let random = Random::system();
        for text in [format!("{first},{second}"), format!("{first}\n{second}\n"), format!(" {first} {second}")] {
            let keys = MasterKey::load(&folder.0, Some(&text), &random).unwrap();
            assert_eq!((keys.present, keys.older()), ([0xab; 32], 1));
        }
        for text in ["", ",", &format!("{first},x"), &[first.as_str(); KEYS_MAX + 1].join(",")] {
            assert!(MasterKey::load(&folder.0, Some(text), &random).is_err(), "{text}");
        }
    }

    #[test]
    fn purposes_have_different_keys_and_nothing_shows_them() {
        let master = MasterKey::new([1; 32]);
        assert_ne!(master.derive("a"), master.derive("b"));
        assert_ne!(master.fingerprint(), MasterKey::new([2; 32]).fingerprint());
        let kept = kept(&[1], &[(1, 5)]);
        let shown = format!("{master:?} {kept:?} {:?}", Keys::new(&master, &[], &kept));
        assert!(!shown.contains("1, 1") && !shown.contains(&"01".repeat(4)), "{shown}");
    }

    #[test]
    fn short_texts_are_hashed_with_the_newest_key_and_found_by_older_ones_while_rows_move() {
        let hashing = Hashing::new(&kept(&[1], &[]), Rows::Settled);
        let (old, cookie) = (hashing.digest(Purpose::Code, b"x"), hashing.digest(Purpose::ViewerCookie, b"x"));
        assert_eq!(hashing.digests(Purpose::Code, b"x"), [old]);
        hashing.turn(&kept(&[1, 2], &[]), Rows::Moving);
        let new = hashing.digest(Purpose::Code, b"x");
        assert_ne!(new, old);
        assert_eq!(hashing.digests(Purpose::Code, b"x"), [new, old]);
        assert_eq!(hashing.digests(Purpose::ViewerCookie, b"x"), [cookie], "a long secret keeps its hash");
        hashing.turn(&kept(&[1, 2], &[]), Rows::Settled);
        assert_eq!(hashing.digests(Purpose::Code, b"x"), [new]);
        assert_eq!(hashing.every_digest(Purpose::Code, b"x"), [new, old]);
        assert_eq!(hashing.lasting().digest(Purpose::ViewerCookie, b"x"), cookie);
    }

    #[test]
    fn a_token_of_the_key_before_counts_until_its_time() {
        use stagedoor_domain::id::{SessionId, StreamId};
        use uuid::Uuid;
        let claims = Claims {
            session: SessionId::new(Uuid::from_u128(1)),
            stream: StreamId::new(Uuid::from_u128(2)),
            epoch: 1,
            expires_at: Time::from_millis(100),
        };
        let (old, new) = (MasterKey::new([1; 32]), MasterKey::new([2; 32]));
        let tokens = Tokens::new(&old, &kept(&[1], &[]));
        let token = tokens.sign(&claims);
        let mut kept = kept(&[1], &[]);
        kept.tokens = vec![(old.token_key(), Time::from_millis(50))];
        tokens.turn(&new, &kept);
        assert_eq!(tokens.verify(&token, Time::from_millis(49)), Ok(claims));
        assert_eq!(tokens.verify(&token, Time::from_millis(50)), Err(Forged));
        assert_eq!(tokens.verify(&tokens.sign(&claims), Time::from_millis(99)), Ok(claims));
    }
}
