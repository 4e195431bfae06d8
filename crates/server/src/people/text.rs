//! From bytes of any usual encoding to UTF-8, a piece at a time.

use std::io::{self, Read};

use encoding_rs::{Decoder, Encoding, UTF_8, UTF_16BE, UTF_16LE, WINDOWS_1252};
use serde::{Deserialize, Serialize};

/// Bytes looked at to tell UTF-16 without a mark.
const SAMPLE: usize = 4 * 1024;

/// How a text is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Written {
    #[serde(rename = "utf-8")]
    Utf8,
    #[serde(rename = "utf-16le")]
    Utf16Le,
    #[serde(rename = "utf-16be")]
    Utf16Be,
    #[serde(rename = "windows-1252")]
    Windows1252,
}

impl Written {
    fn encoding(self) -> &'static Encoding {
        match self {
            Self::Utf8 => UTF_8,
            Self::Utf16Le => UTF_16LE,
            Self::Utf16Be => UTF_16BE,
            Self::Windows1252 => WINDOWS_1252,
        }
    }
}

/// Finds out how a text is written while it passes by. Only at its end is UTF-8 told from Windows-1252 for sure.
#[derive(Debug, Default)]
pub(super) struct Detector {
    head: Vec<u8>,
    /// The beginning of a letter whose end comes with the next bytes.
    tail: Vec<u8>,
    not_utf8: bool,
}

impl Detector {
    pub(super) fn see(&mut self, bytes: &[u8]) {
        let missing = SAMPLE.saturating_sub(self.head.len()).min(bytes.len());
        self.head.extend_from_slice(&bytes[..missing]);
        if self.not_utf8 {
            return;
        }
        let mut bytes = bytes;
        // At most three bytes are carried over: a letter has four.
        while !self.tail.is_empty() && !bytes.is_empty() {
            self.tail.push(bytes[0]);
            bytes = &bytes[1..];
            match std::str::from_utf8(&self.tail) {
                Ok(_) => self.tail.clear(),
                Err(error) if error.error_len().is_some() => {
                    self.not_utf8 = true;
                    return;
                }
                Err(_) => {}
            }
        }
        match std::str::from_utf8(bytes) {
            Ok(_) => {}
            Err(error) if error.error_len().is_some() => self.not_utf8 = true,
            Err(error) => self.tail = bytes[error.valid_up_to()..].to_vec(),
        }
    }

    pub(super) fn written(&self) -> Written {
        if let Some((encoding, _)) = Encoding::for_bom(&self.head) {
            return match encoding {
                found if found == UTF_16LE => Written::Utf16Le,
                found if found == UTF_16BE => Written::Utf16Be,
                _ => Written::Utf8,
            };
        }
        // In the letters of most of the world's spreadsheets one byte of two is zero.
        let zeros = |odd: usize| self.head.iter().skip(odd).step_by(2).filter(|byte| **byte == 0).count();
        let (even, odd) = (zeros(0), zeros(1));
        if odd * 4 > self.head.len() / 2 && even * 8 < odd {
            Written::Utf16Le
        } else if even * 4 > self.head.len() / 2 && odd * 8 < even {
            Written::Utf16Be
        } else if self.not_utf8 || !self.tail.is_empty() {
            Written::Windows1252
        } else {
            Written::Utf8
        }
    }
}

/// Reads UTF-8 out of a reader of anything.
pub(super) struct Utf8<R> {
    inner: R,
    decoder: Decoder,
    raw: Vec<u8>,
    ended: bool,
}

impl<R: Read> Utf8<R> {
    /// The mark at the beginning is taken away.
    pub(super) fn new(inner: R, written: Written) -> Self {
        Self {
            inner,
            decoder: written.encoding().new_decoder_with_bom_removal(),
            raw: vec![0; 16 * 1024],
            ended: false,
        }
    }

    /// The next piece of text, replaced into `text`; false at the end.
    pub(super) fn next(&mut self, text: &mut String) -> io::Result<bool> {
        text.clear();
        while text.is_empty() {
            if self.ended {
                return Ok(false);
            }
            let some = self.inner.read(&mut self.raw)?;
            self.ended = some == 0;
            let room = self.decoder.max_utf8_buffer_length(some).unwrap_or(4 * some + 16);
            text.reserve(room);
            let _ = self.decoder.decode_to_string(&self.raw[..some], text, self.ended);
        }
        Ok(true)
    }

    /// Bytes of all the text that is left.
    pub(super) fn length(mut self) -> io::Result<u64> {
        let (mut text, mut bytes) = (String::new(), 0);
        while self.next(&mut text)? {
            bytes += text.len() as u64;
        }
        Ok(bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read(bytes: &[u8], chunk: usize) -> (Written, String) {
        let mut detector = Detector::default();
        for part in bytes.chunks(chunk) {
            detector.see(part);
        }
        let written = detector.written();
        let mut reader = Utf8::new(bytes, written);
        let (mut all, mut text) = (String::new(), String::new());
        while reader.next(&mut text).unwrap() {
            all.push_str(&text);
        }
        (written, all)
    }

    fn utf16(text: &str, big: bool, mark: bool) -> Vec<u8> {
        let text = if mark { format!("\u{feff}{text}") } else { text.to_owned() };
        text.encode_utf16().flat_map(|unit| if big { unit.to_be_bytes() } else { unit.to_le_bytes() }).collect()
    }

    #[test]
    fn every_usual_encoding_becomes_the_same_text() {
        let text = "Nom;Téléphone\nZoë Müller;+33 6 12 34 56 78 \u{20ac}\n";
        let windows = WINDOWS_1252.encode(text).0.into_owned();
        for (bytes, expected) in [
            (text.as_bytes().to_vec(), Written::Utf8),
            ([b"\xef\xbb\xbf", text.as_bytes()].concat(), Written::Utf8),
            (utf16(text, false, true), Written::Utf16Le),
            (utf16(text, true, true), Written::Utf16Be),
            (utf16(text, false, false), Written::Utf16Le),
            (utf16(text, true, false), Written::Utf16Be),
            (windows, Written::Windows1252),
        ] {
            for chunk in [1, 2, 3, 7, 1_000] {
                assert_eq!(read(&bytes, chunk), (expected, text.to_owned()), "{expected:?} by {chunk}");
            }
        }
        let late = [&b"x".repeat(100_000)[..], b"\xe9"].concat();
        assert_eq!(read(&late, 4_096).0, Written::Windows1252, "what comes late is seen as well");
        assert_eq!(read(b"", 1), (Written::Utf8, String::new()));
    }

    proptest! {
        #[test]
        fn no_bytes_panic_and_utf8_is_told(bytes in proptest::collection::vec(any::<u8>(), 0..200), chunk in 1_usize..9) {
            let (written, text) = read(&bytes, chunk);
            prop_assert!(text.len() <= 3 * bytes.len() + 3);
            if written == Written::Utf8 && !bytes.starts_with(b"\xef\xbb\xbf") {
                prop_assert_eq!(text.as_bytes(), &bytes[..]);
            }
        }
    }
}
