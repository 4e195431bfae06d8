//! Encrypts what the packager makes, once for all viewers. Keys are arguments, and so is the moment from which one counts.
//!
//! ```text
//! Piece ─▶ Sealer::seal(piece, &ContentKey) ─▶ Sealed ─▶ package::Window::add_sealed
//! ```
//!
//! | method | what is encrypted | what plays it |
//! |---|---|---|
//! | [`Method::Aes128`] | each part and each segment as a whole, AES-128-CBC with PKCS#7 padding | hls.js, Safari, ffmpeg, GStreamer |
//! | [`Method::Cbcs`] | samples: one of ten blocks of video, all whole blocks of sound | what has Encrypted Media Extensions |
//!
//! Initialization segments hold no pictures and no sound, and outlive the keys: they are kept clear. Under `aes-128` they
//! are given out encrypted, once for each key, by [`ContentKey::header`]; under `cbcs` as they are.
//!
//! **AES-128 and parts.** A part is a resource of its own: it is encrypted on its own, with the key of its segment and that
//! key's initialization vector. All parts may begin alike in their first block, which is the size of a box; in their second
//! block is their own number. A segment is encrypted as one text, so it is not the concatenation of its parts; its share of
//! each part is made when the part is, and only the last block is left for its end. Where a playlist lists no parts, nothing
//! is encrypted twice.
//!
//! **`cbcs`.** A segment is the concatenation of its parts. In H.264 the headers of NAL units and slices stay clear, to the
//! byte; what cannot be read is protected but for its first [`UNREAD_CLEAR`] bytes. H.265 and AV1 have no map here:
//! [`Sealer::covers`] says so, and they are never let through in the clear.
//!
//! # Source
//!
//! draft-pantos-hls-rfc8216bis-22 sections 3.2 (a part is in the format of a segment), 4.4.4.4 (EXT-X-KEY), 4.4.4.5
//! (EXT-X-MAP), 4.4.4.9 (the key of a segment is its parts'), 5.2 (initialization vectors), 6.2.3 (encrypting);
//! ISO/IEC 23001-7 sections 9.5.2 (subsamples of NAL units), 9.6 (patterns), 9.7 (whole-block full sample), 10.4 (`cbcs`);
//! NIST FIPS 197, SP 800-38A section 6.2 (CBC); RFC 5652 section 6.3 (padding).

use std::fmt;
use std::sync::Arc;

use aes::Aes128;
use bytes::Bytes;
use cbc::cipher::{
    Array, BlockModeDecrypt as _, BlockModeEncrypt as _, InnerIvInit as _, KeyInit as _, KeyIvInit as _, consts::U16,
};

use crate::codec::{Codec, h264};
use crate::container::mp4::{self, Protection, Subsample};
use crate::frame::Kind;
use crate::package::hls::KeyLine;
use crate::package::{Body, Piece};

const BLOCK: usize = 16;
/// Blocks of a pattern: one is encrypted, nine are not.
const PATTERN: usize = 10;
/// Bytes of a slice that stay clear when its header cannot be read: more than a header of a live encoder takes.
pub const UNREAD_CLEAR: usize = 64;

/// Size and name of a box.
const BOX_HEADER: usize = 8;
/// One of 256 is right: so many are wrong once in 10^111 times.
const TRIES_MAX: u32 = 65_536;

type Cbc = cbc::Encryptor<Aes128>;

/// How media is encrypted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Method {
    /// Whole parts and segments.
    Aes128,
    /// Samples, by common encryption.
    Cbcs,
}

/// The key of one period. Its text form shows its name only.
#[derive(Clone, PartialEq, Eq)]
pub struct ContentKey {
    /// The number of the first segment that it seals: how playlists call it.
    pub first_msn: u64,
    /// KID: how licences call it.
    pub id: [u8; 16],
    /// The initialization vector of everything that it seals.
    pub iv: [u8; 16],
    secret: [u8; 16],
}

impl fmt::Debug for ContentKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ContentKey({} ****)", self.first_msn)
    }
}

impl ContentKey {
    /// A key; `secret` and `iv` are random.
    #[must_use]
    pub fn new(first_msn: u64, id: [u8; 16], secret: [u8; 16], iv: [u8; 16]) -> Self {
        Self { first_msn, id, iv, secret }
    }

    /// The key itself: for whoever was allowed to have it.
    #[must_use]
    pub fn expose(&self) -> &[u8; 16] {
        &self.secret
    }

    /// An initialization segment as a playlist names it behind an `aes-128` key: encrypted as a whole, with a `free` box
    /// at its end that makes the key's initialization vector the last block of the text.
    ///
    /// GStreamer's hlsdemux goes on from a header to the segment behind it as if they were one text; here both ways of
    /// reading that segment are the same. Whoever begins anew, as the draft says, finds a box that says nothing.
    #[must_use]
    pub fn header(&self, clear: &[u8]) -> Bytes {
        let mut text = clear.to_vec();
        // The box has its own eight bytes, a block to try with and a block that follows from it, of which padding is one byte.
        let mut size = BOX_HEADER + 2 * BLOCK - 1;
        size += (2 * BLOCK - 1 - (clear.len() + size) % BLOCK) % BLOCK;
        // Less than four blocks.
        text.extend_from_slice(&[0, 0, 0, size as u8]);
        text.extend_from_slice(b"free");
        text.resize(clear.len() + size + 1 - 2 * BLOCK, 0);
        let cipher = Aes128::new(&self.secret.into());
        encrypt(&mut Fresh { cipher: cipher.clone(), iv: self.iv }.cbc(), &mut text);
        let mut iv = [0; BLOCK];
        iv.copy_from_slice(&text[text.len() - BLOCK..]);
        let tries = Fresh { cipher, iv };
        let mut last = self.iv;
        let (blocks, _) = Array::<u8, U16>::slice_as_chunks_mut(&mut last);
        cbc::Decryptor::<Aes128>::new(&self.secret.into(), &[0; BLOCK].into()).decrypt_blocks(blocks);
        for number in 0..TRIES_MAX {
            let mut tried = u128::from(number).to_be_bytes();
            encrypt(&mut tries.cbc(), &mut tried);
            // The last block decrypts to this one and `last`, one on top of the other: its last byte is to be padding.
            if tried[BLOCK - 1] ^ last[BLOCK - 1] == 1 {
                text.extend_from_slice(&tried);
                text.extend_from_slice(&self.iv);
                return text.into();
            }
        }
        whole(self, clear)
    }

    fn protection(&self) -> Protection {
        Protection { key: self.id, iv: self.iv }
    }
}

/// A piece as it is served.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sealed {
    /// The piece, with sealed bytes where it had clear ones.
    pub piece: Piece,
    /// With the beginning and the end of a segment: the number of its key.
    pub key: Option<u64>,
    /// With the beginning of a segment: its `EXT-X-KEY` line.
    pub line: Option<Arc<KeyLine>>,
    /// What the segment has of a part or of its own end, where that is not the part itself.
    pub share: Option<Bytes>,
}

/// What cannot be sealed, and must not be served.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unsealable {
    /// There is no map of what is clear in this codec.
    #[error("{0} cannot be encrypted with cbcs")]
    Codec(&'static str),
    /// The bytes are no fragment.
    #[error("a part is not a fragment")]
    Fragment,
}

/// See the [module](self). One for each broadcast.
pub struct Sealer {
    method: Method,
    video: Lane,
    audio: Lane,
}

/// What must be known of one rendition.
#[derive(Default)]
struct Lane {
    lists_parts: bool,
    codec: Option<Cover>,
    /// The segment that is open, as one text.
    segment: Option<Chain>,
    line: Option<(u64, Arc<KeyLine>)>,
}

enum Cover {
    H264 { length_bytes: usize, sets: h264::ParameterSets },
    Sound,
    Unknown(&'static str),
}

/// What every protected range begins with anew.
struct Fresh {
    cipher: Aes128,
    iv: [u8; BLOCK],
}

impl Fresh {
    fn cbc(&self) -> Cbc {
        Cbc::inner_iv_init(self.cipher.clone(), &self.iv.into())
    }
}

/// A text that is encrypted piece by piece.
struct Chain {
    cbc: Cbc,
    /// Less than a block that waits for the next piece.
    rest: Vec<u8>,
    any: bool,
}

impl Chain {
    fn new(key: &ContentKey) -> Self {
        Self { cbc: Cbc::new(&key.secret.into(), &key.iv.into()), rest: Vec::with_capacity(BLOCK), any: false }
    }

    fn push(&mut self, bytes: &[u8]) -> Vec<u8> {
        self.any = true;
        let mut out = Vec::with_capacity(self.rest.len() + bytes.len() + BLOCK);
        out.append(&mut self.rest);
        out.extend_from_slice(bytes);
        let whole = out.len() / BLOCK * BLOCK;
        self.rest.extend_from_slice(&out[whole..]);
        out.truncate(whole);
        encrypt(&mut self.cbc, &mut out);
        out
    }

    /// The last block, with the padding.
    fn finish(mut self) -> [u8; BLOCK] {
        // One to sixteen bytes, each of which says how many: `rest` is shorter than a block.
        let missing = BLOCK - self.rest.len();
        self.rest.resize(BLOCK, missing as u8);
        encrypt(&mut self.cbc, &mut self.rest);
        let mut last = [0; BLOCK];
        last.copy_from_slice(&self.rest);
        last
    }
}

/// Encrypts the whole blocks of `bytes` where they stand.
fn encrypt(cbc: &mut Cbc, bytes: &mut [u8]) {
    let (blocks, _) = Array::<u8, U16>::slice_as_chunks_mut(bytes);
    cbc.encrypt_blocks(blocks);
}

/// One text encrypted as a whole.
fn whole(key: &ContentKey, bytes: &[u8]) -> Bytes {
    let mut chain = Chain::new(key);
    let mut out = chain.push(bytes);
    out.extend_from_slice(&chain.finish());
    out.into()
}

impl Sealer {
    /// Seals a broadcast with this method.
    #[must_use]
    pub fn new(method: Method) -> Self {
        Self { method, video: Lane::default(), audio: Lane::default() }
    }

    /// Whether tracks of this codec can be sealed.
    ///
    /// # Errors
    ///
    /// [`Unsealable::Codec`].
    pub fn covers(method: Method, codec: &Codec) -> Result<(), Unsealable> {
        match (method, codec) {
            (Method::Aes128, _) | (Method::Cbcs, Codec::H264(_) | Codec::Aac(_) | Codec::Opus(_)) => Ok(()),
            (Method::Cbcs, Codec::H265(_) | Codec::Av1(_)) => Err(Unsealable::Codec(codec.name())),
        }
    }

    /// Seals a piece with the key of its segment; headers take the newest key.
    ///
    /// # Errors
    ///
    /// [`Unsealable`]: then nothing of the piece may be served.
    pub fn seal(&mut self, piece: Piece, key: &ContentKey) -> Result<Sealed, Unsealable> {
        let method = self.method;
        let kind = piece.rendition;
        let lane = match kind {
            Kind::Video => &mut self.video,
            Kind::Audio => &mut self.audio,
        };
        let mut sealed = Sealed { piece, key: None, line: None, share: None };
        match &mut sealed.piece.body {
            Body::Begin { part_target } => lane.lists_parts = part_target.is_some(),
            Body::Init { track, bytes, .. } => {
                lane.codec = Some(Cover::of(&track.codec));
                if method == Method::Cbcs {
                    Self::covers(method, &track.codec)?;
                    *bytes = mp4::init_protected(track, &key.protection());
                }
            }
            Body::SegmentStart { .. } => {
                sealed.key = Some(key.first_msn);
                sealed.line = Some(lane.line(method, key));
                lane.segment = (method == Method::Aes128).then(|| Chain::new(key));
            }
            Body::Part { gap: true, .. } => {}
            Body::Part { bytes, .. } => match (method, &mut lane.segment) {
                (Method::Aes128, Some(segment)) if lane.lists_parts => {
                    sealed.share = Some(segment.push(bytes).into());
                    *bytes = whole(key, bytes);
                }
                (Method::Aes128, Some(segment)) => *bytes = segment.push(bytes).into(),
                (Method::Aes128, None) => return Err(Unsealable::Fragment),
                (Method::Cbcs, _) => *bytes = lane.fragment(kind, bytes, key)?,
            },
            Body::SegmentEnd { .. } => {
                sealed.key = Some(key.first_msn);
                let segment = lane.segment.take().filter(|segment| segment.any);
                sealed.share = segment.map(|segment| Bytes::copy_from_slice(&segment.finish()));
            }
            Body::End => {}
        }
        Ok(sealed)
    }
}

impl Lane {
    fn line(&mut self, method: Method, key: &ContentKey) -> Arc<KeyLine> {
        match &self.line {
            Some((first_msn, line)) if *first_msn == key.first_msn => Arc::clone(line),
            _ => {
                let line = Arc::new(KeyLine::new(method, key.first_msn, &key.id, &key.iv));
                self.line = Some((key.first_msn, Arc::clone(&line)));
                line
            }
        }
    }

    fn fragment(&mut self, kind: Kind, bytes: &[u8], key: &ContentKey) -> Result<Bytes, Unsealable> {
        let Some(cover) = &mut self.codec else { return Err(Unsealable::Fragment) };
        if let Cover::Unknown(codec) = cover {
            return Err(Unsealable::Codec(codec));
        }
        let fresh = Fresh { cipher: Aes128::new(&key.secret.into()), iv: key.iv };
        mp4::protected(kind, bytes, &key.protection(), |sample| cover.sample(sample, &fresh))
            .ok_or(Unsealable::Fragment)
    }
}

impl Cover {
    fn of(codec: &Codec) -> Self {
        match codec {
            Codec::H264(config) => {
                Self::H264 { length_bytes: usize::from(config.nal_length_size), sets: h264::ParameterSets::of(config) }
            }
            Codec::Aac(_) | Codec::Opus(_) => Self::Sound,
            Codec::H265(_) | Codec::Av1(_) => Self::Unknown(codec.name()),
        }
    }

    fn sample(&mut self, sample: &mut [u8], fresh: &Fresh) -> Vec<Subsample> {
        match self {
            Self::H264 { length_bytes, sets } => {
                let map = nal_map(sample, *length_bytes, sets);
                let mut at = 0;
                for part in &map {
                    at += usize::from(part.clear);
                    let end = at + part.protected as usize;
                    pattern(fresh, &mut sample[at..end]);
                    at = end;
                }
                map
            }
            Self::Sound => {
                encrypt(&mut fresh.cbc(), sample);
                Vec::new()
            }
            Self::Unknown(_) => Vec::new(),
        }
    }
}

/// Encrypts the first block of every ten; what is left of less than a block stays as it is.
fn pattern(fresh: &Fresh, range: &mut [u8]) {
    let mut cbc = fresh.cbc();
    for stretch in range.chunks_mut(BLOCK * PATTERN) {
        if let Some(block) = stretch.get_mut(..BLOCK) {
            encrypt(&mut cbc, block);
        }
    }
}

/// What is clear and what is protected in a sample of NAL units.
fn nal_map(sample: &[u8], length_bytes: usize, sets: &mut h264::ParameterSets) -> Vec<Subsample> {
    let mut map = Map { entries: Vec::new(), clear: 0 };
    let mut at = 0;
    while at < sample.len() {
        let rest = &sample[at..];
        let nal = rest.split_at_checked(length_bytes).and_then(|(length, after)| {
            let length = length.iter().fold(0_usize, |value, &byte| value << 8 | usize::from(byte));
            after.get(..length)
        });
        let Some(nal) = nal else {
            // No NAL unit, and nothing that a decoder would show. It is protected all the same.
            map.add(0, rest.len());
            break;
        };
        let size = length_bytes + nal.len();
        if map.entries.len() + 1 >= mp4::SUBSAMPLES_MAX {
            // More slices than a map has room for: the rest is protected as one.
            map.add(0, rest.len());
            break;
        }
        if h264::is_slice(nal) {
            let header = sets.header_bytes(nal).unwrap_or(UNREAD_CLEAR).min(nal.len());
            map.add(length_bytes + header, nal.len() - header);
        } else {
            sets.learn(nal);
            map.add(size, 0);
        }
        at += size;
    }
    map.finish()
}

struct Map {
    entries: Vec<Subsample>,
    clear: usize,
}

impl Map {
    fn add(&mut self, clear: usize, protected: usize) {
        self.clear += clear;
        if protected > 0 {
            self.close(u32::try_from(protected).unwrap_or(u32::MAX));
        }
    }

    fn close(&mut self, protected: u32) {
        while self.clear > usize::from(u16::MAX) && self.entries.len() + 2 < mp4::SUBSAMPLES_MAX {
            self.entries.push(Subsample { clear: u16::MAX, protected: 0 });
            self.clear -= usize::from(u16::MAX);
        }
        let clear = u16::try_from(self.clear).unwrap_or(u16::MAX);
        // What is clear and has no place in the map is protected with the rest.
        let excess = u32::try_from(self.clear - usize::from(clear)).unwrap_or(u32::MAX);
        self.entries.push(Subsample { clear, protected: protected.saturating_add(excess) });
        self.clear = 0;
    }

    fn finish(mut self) -> Vec<Subsample> {
        if self.clear > 0 {
            self.close(0);
        }
        self.entries
    }
}

#[cfg(test)]
mod tests;
