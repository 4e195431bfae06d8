//! The keys of this installation, all derived from one master key.

use std::io::{ErrorKind, Read, Write};
use std::path::{Path, PathBuf};

use stagedoor_domain::access::HashKey;
use stagedoor_domain::access::token::TokenKey;

use super::proof::ChallengeKey;
use super::vault::Vault;
use crate::ports::random::Random;

/// The environment variable that holds the master key instead of the file: 64 hexadecimal digits.
pub const MASTER_KEY: &str = "STAGEDOOR_MASTER_KEY";
const FILE: &str = "master.key";
/// 64 digits and a line end; more is not a key.
const FILE_BYTES_MAX: u64 = 128;

/// 32 bytes that everything secret at rest hangs on. Losing it loses all codes and stream keys; viewers would need new
/// invitations.
pub struct MasterKey([u8; 32]);

/// Why there is no master key.
#[derive(Debug, thiserror::Error)]
pub enum MasterKeyError {
    /// It is not 64 hexadecimal digits.
    #[error("the master key in {0} is not 64 hexadecimal digits")]
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
        Self(key)
    }

    /// The key in `variable` (the value of [`MASTER_KEY`]), else the one in `data_dir/master.key`, which is made with
    /// mode 0600 when there is none.
    ///
    /// # Errors
    ///
    /// [`MasterKeyError`], in words for the operator.
    pub fn load(data_dir: &Path, variable: Option<&str>, random: &Random) -> Result<Self, MasterKeyError> {
        if let Some(text) = variable {
            return parse(text).ok_or_else(|| MasterKeyError::Malformed(MASTER_KEY.to_owned()));
        }
        let path = data_dir.join(FILE);
        let failed = |source| MasterKeyError::File { path: path.clone(), source };
        match std::fs::File::open(&path) {
            Ok(file) => {
                let mut text = String::new();
                file.take(FILE_BYTES_MAX).read_to_string(&mut text).map_err(failed)?;
                parse(&text).ok_or_else(|| MasterKeyError::Malformed(path.display().to_string()))
            }
            Err(error) if error.kind() == ErrorKind::NotFound => {
                let key: [u8; 32] = random.bytes();
                write_new(&path, &key).map_err(failed)?;
                Ok(Self(key))
            }
            Err(error) => Err(failed(error)),
        }
    }

    /// A key for one purpose, named by `context`.
    fn derive(&self, context: &str) -> [u8; 32] {
        blake3::derive_key(context, &self.0)
    }

    /// Tells two master keys apart without telling anything about them.
    pub(super) fn fingerprint(&self) -> String {
        blake3::Hash::from_bytes(self.derive("stagedoor 2026-11 fingerprint")).to_hex()[..32].to_owned()
    }
}

/// Made once and durably: a key that seals rows must not vanish with the power.
fn write_new(path: &Path, key: &[u8; 32]) -> std::io::Result<()> {
    use std::os::unix::fs::OpenOptionsExt;
    let text = format!("{}\n", blake3::Hash::from_bytes(*key).to_hex());
    let mut file = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()
}

fn parse(text: &str) -> Option<MasterKey> {
    Some(MasterKey(*blake3::Hash::from_hex(text.trim_end()).ok()?.as_bytes()))
}

/// One key per purpose: what signs tokens cannot open the vault.
#[derive(Debug)]
pub(super) struct Keys {
    pub(super) hash: HashKey,
    pub(super) token: TokenKey,
    pub(super) vault: Vault,
    pub(super) challenge: ChallengeKey,
}

impl Keys {
    pub(super) fn derive(master: &MasterKey) -> Self {
        Self {
            hash: HashKey::new(master.derive("stagedoor 2026-11 stored hashes")),
            token: TokenKey::new(master.derive("stagedoor 2026-11 playback tokens")),
            vault: Vault::new(master.derive("stagedoor 2026-11 vault")),
            challenge: ChallengeKey::new(master.derive("stagedoor 2026-11 challenges")),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn the_key_file_is_made_once_and_is_private() {
        let folder = std::env::temp_dir().join(format!("stagedoor-keys-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let random = Random::system();
        let made = MasterKey::load(&folder, None, &random).unwrap();
        let read = MasterKey::load(&folder, None, &random).unwrap();
        assert_eq!(made.0, read.0);
        assert_eq!(std::fs::metadata(folder.join(FILE)).unwrap().permissions().mode() & 0o777, 0o600);
        std::fs::write(folder.join(FILE), "short").unwrap();
        assert!(matches!(MasterKey::load(&folder, None, &random), Err(MasterKeyError::Malformed(_))));
        std::fs::remove_dir_all(&folder).unwrap();
        assert!(matches!(MasterKey::load(&folder, None, &random), Err(MasterKeyError::File { .. })));
        assert!(MasterKey::load(&folder, Some(&"ab".repeat(32)), &random).is_ok());
        assert!(matches!(MasterKey::load(&folder, Some("ab"), &random), Err(MasterKeyError::Malformed(_))));
    }

    #[test]
    fn purposes_have_different_keys_and_nothing_shows_them() {
        let master = MasterKey::new([1; 32]);
        assert_ne!(master.derive("a"), master.derive("b"));
        assert_ne!(master.fingerprint(), MasterKey::new([2; 32]).fingerprint());
        let shown = format!("{master:?} {:?}", Keys::derive(&master));
        assert!(!shown.contains("1, 1") && !shown.contains(&"01".repeat(4)), "{shown}");
    }
}
