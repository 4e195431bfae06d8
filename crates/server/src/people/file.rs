//! Files that hold people while they wait: sealed in pieces, readable from any place, useless without their key.
//!
//! Each piece of 64 KiB is sealed by itself; its nonce is its number and whether it is the last, so that pieces can
//! neither be swapped nor cut off. The key is used for one file.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use chacha20poly1305::aead::{Aead, KeyInit};
use chacha20poly1305::{XChaCha20Poly1305, XNonce};

/// Bytes sealed at a time.
const PIECE: usize = 64 * 1024;
const TAG: usize = 16;

fn nonce(number: u64, last: bool) -> XNonce {
    let mut nonce = [0; 24];
    nonce[..8].copy_from_slice(&number.to_be_bytes());
    nonce[23] = u8::from(last);
    XNonce::from(nonce)
}

fn broken() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "the sealed file is damaged, or of another key")
}

/// Writes a sealed file.
pub(super) struct Writer {
    file: File,
    cipher: XChaCha20Poly1305,
    waiting: Vec<u8>,
    pieces: u64,
}

impl Writer {
    /// A new file that nobody else may read.
    pub(super) fn create(path: &Path, key: [u8; 32]) -> io::Result<Self> {
        let file = File::options().write(true).create_new(true).mode(0o600).open(path)?;
        Ok(Self { file, cipher: XChaCha20Poly1305::new(&key.into()), waiting: Vec::with_capacity(PIECE), pieces: 0 })
    }

    fn piece(&mut self, last: bool) -> io::Result<()> {
        let sealed = self.cipher.encrypt(&nonce(self.pieces, last), self.waiting.as_slice()).map_err(|_| broken())?;
        self.file.write_all(&sealed)?;
        self.pieces += 1;
        self.waiting.clear();
        Ok(())
    }

    /// Seals what is left; from here on the file survives the power.
    pub(super) fn finish(mut self) -> io::Result<()> {
        self.piece(true)?;
        self.file.sync_all()
    }
}

impl Write for Writer {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        // A full piece waits for more: the last one is marked.
        if self.waiting.len() == PIECE {
            self.piece(false)?;
        }
        let some = bytes.len().min(PIECE - self.waiting.len());
        self.waiting.extend_from_slice(&bytes[..some]);
        Ok(some)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Reads a sealed file, from any place of it.
pub(super) struct Reader {
    file: File,
    cipher: XChaCha20Poly1305,
    /// Bytes of the file when it is open.
    bytes: u64,
    pieces: u64,
    position: u64,
    /// The piece that was read last.
    open: Option<(u64, Vec<u8>)>,
}

impl Reader {
    pub(super) fn open(path: &Path, key: [u8; 32]) -> io::Result<Self> {
        let file = File::open(path)?;
        let sealed = file.metadata()?.len();
        let pieces = sealed.div_ceil((PIECE + TAG) as u64);
        let bytes = sealed.checked_sub(pieces * TAG as u64).filter(|_| pieces > 0).ok_or_else(broken)?;
        Ok(Self { file, cipher: XChaCha20Poly1305::new(&key.into()), bytes, pieces, position: 0, open: None })
    }

    fn piece(&mut self, number: u64) -> io::Result<&[u8]> {
        if self.open.as_ref().is_none_or(|(open, _)| *open != number) {
            let start = number * (PIECE + TAG) as u64;
            self.file.seek(SeekFrom::Start(start))?;
            let mut sealed = Vec::with_capacity(PIECE + TAG);
            (&mut self.file).take((PIECE + TAG) as u64).read_to_end(&mut sealed)?;
            let last = number + 1 == self.pieces;
            let text = self.cipher.decrypt(&nonce(number, last), sealed.as_slice()).map_err(|_| broken())?;
            self.open = Some((number, text));
        }
        Ok(self.open.as_ref().map_or(&[], |(_, text)| text.as_slice()))
    }
}

impl Read for Reader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        // Also an empty file has a last piece, whose absence would be noticed.
        let number = (self.position / PIECE as u64).min(self.pieces - 1);
        let position = self.position;
        let inside = usize::try_from(position - number * PIECE as u64).unwrap_or(usize::MAX);
        let piece = self.piece(number)?;
        let rest = piece.get(inside..).unwrap_or_default();
        let some = rest.len().min(buffer.len());
        buffer[..some].copy_from_slice(&rest[..some]);
        self.position = position + some as u64;
        Ok(some)
    }
}

impl Seek for Reader {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let position = match to {
            SeekFrom::Start(position) => Some(position),
            SeekFrom::End(back) => self.bytes.checked_add_signed(back),
            SeekFrom::Current(way) => self.position.checked_add_signed(way),
        };
        self.position = position.ok_or_else(|| io::Error::from(io::ErrorKind::InvalidInput))?;
        Ok(self.position)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(name: &str) -> std::path::PathBuf {
        std::env::temp_dir().join(format!("stagedoor-file-{}-{name}", std::process::id()))
    }

    fn written(name: &str, text: &[u8]) -> std::path::PathBuf {
        let path = path(name);
        let _ = std::fs::remove_file(&path);
        let mut writer = Writer::create(&path, [1; 32]).unwrap();
        writer.write_all(text).unwrap();
        writer.finish().unwrap();
        path
    }

    #[test]
    fn what_was_written_is_read_whole_and_from_any_place() {
        for (name, length) in
            [("empty", 0), ("one", 1), ("piece", PIECE), ("more", PIECE + 1), ("three", 3 * PIECE - 5)]
        {
            let text: Vec<u8> = (0..length).map(|at| u8::try_from(at % 251).unwrap()).collect();
            let path = written(name, &text);
            let mut all = Vec::new();
            Reader::open(&path, [1; 32]).unwrap().read_to_end(&mut all).unwrap();
            assert!(all == text, "{name}");
            let mut reader = Reader::open(&path, [1; 32]).unwrap();
            let half = u64::try_from(length / 2).unwrap();
            reader.seek(SeekFrom::Start(half)).unwrap();
            all.clear();
            reader.read_to_end(&mut all).unwrap();
            assert!(all == text[length / 2..], "{name}");
            assert_eq!(reader.seek(SeekFrom::End(0)).unwrap(), u64::try_from(length).unwrap());
            std::fs::remove_file(path).unwrap();
        }
    }

    #[test]
    fn a_file_shows_nothing_and_no_change_to_it_goes_unnoticed() {
        let text = b"+33612345678\n".repeat(10_000);
        let path = written("sealed", &text);
        let sealed = std::fs::read(&path).unwrap();
        assert!(!sealed.windows(8).any(|window| window == b"61234567"));
        let read = |bytes: &[u8], key: u8| {
            std::fs::write(&path, bytes).unwrap();
            let mut all = Vec::new();
            Reader::open(&path, [key; 32]).and_then(|mut reader| reader.read_to_end(&mut all)).map(|_| all)
        };
        assert_eq!(read(&sealed, 1).unwrap(), text);
        assert!(read(&sealed, 2).is_err());
        let mut changed = sealed.clone();
        changed[70_000] ^= 1;
        assert!(read(&changed, 1).is_err());
        for shorter in [0, 1, 15, 16, PIECE + TAG, sealed.len() - 1] {
            assert!(read(&sealed[..shorter], 1).is_err(), "{shorter}");
        }
        let mut swapped = sealed[PIECE + TAG..].to_vec();
        swapped.extend_from_slice(&sealed[..PIECE + TAG]);
        assert!(read(&swapped, 1).is_err());
        std::fs::remove_file(path).unwrap();
    }
}
