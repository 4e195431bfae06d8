//! Common encryption in MP4: what a protected track and its fragments say about how they are sealed.
//!
//! Only the scheme `cbcs` with one constant initialization vector per key: a sample needs nothing of its own but the map of
//! what is clear in it. The key that is in force stands in every fragment as a sample group, because a live stream changes
//! its key while the track, and with it the initialization segment, goes on. Nothing is encrypted here: the bytes are handed
//! to whoever has the key.
//!
//! # Source
//!
//! ISO/IEC 23001-7 sections 6 (sample groups), 7 (auxiliary information), 8.1 (`pssh`), 8.2 (`tenc`), 7.2 (`senc`), 10.4
//! (`cbcs`); ISO/IEC 14496-12 sections 8.7.8, 8.7.9 (`saiz`, `saio`), 8.9 (`sbgp`, `sgpd`), 8.12 (`sinf`); the common
//! system of W3C "cenc" Initialization Data Format.

use bytes::Bytes;

use super::boxes::Writer;
use crate::frame::Kind;

/// The common system: whoever has a key under one of these identifiers.
const COMMON_SYSTEM: [u8; 16] =
    [0x10, 0x77, 0xef, 0xec, 0xc0, 0xb2, 0x4d, 0x02, 0xac, 0xe3, 0x3c, 0x1e, 0x52, 0xe2, 0xfb, 0x4b];
/// The first group description of the fragment itself.
const OWN_GROUP: u32 = 0x1_0001;
/// Sizes of auxiliary information are one byte: two for the count, six for each entry.
pub(crate) const SUBSAMPLES_MAX: usize = 42;

/// With which key a track or a fragment is sealed. No secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Protection {
    /// KID: how the key is called.
    pub key: [u8; 16],
    /// The initialization vector with which every protected range begins.
    pub iv: [u8; 16],
}

/// Bytes of a sample that are clear, and bytes behind them that are protected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Subsample {
    /// In the clear.
    pub clear: u16,
    /// Protected: the first 16 of every 160 encrypted.
    pub protected: u32,
}

/// One of ten blocks of video is encrypted, and of sound every whole one.
fn pattern(kind: Kind) -> u8 {
    match kind {
        Kind::Video => 0x19,
        Kind::Audio => 0,
    }
}

/// What follows in a protected sample entry.
pub(super) fn scheme(w: &mut Writer, kind: Kind, format: &[u8; 4], protection: &Protection) {
    w.boxed(b"sinf", |w| {
        w.boxed(b"frma", |w| w.bytes(format));
        w.full(b"schm", 0, 0, |w| {
            w.bytes(b"cbcs");
            w.u32(0x0001_0000);
        });
        w.boxed(b"schi", |w| {
            w.full(b"tenc", 1, 0, |w| {
                w.u8(0);
                entry(w, kind, protection);
            });
        });
    });
}

/// What `tenc` and `seig` have in common.
fn entry(w: &mut Writer, kind: Kind, protection: &Protection) {
    w.u8(pattern(kind));
    w.u8(1); // protected
    w.u8(0); // no initialization vector per sample
    w.bytes(&protection.key);
    w.u8(16);
    w.bytes(&protection.iv);
}

/// Which key is needed, for players that ask for it by that.
pub(super) fn system(w: &mut Writer, protection: &Protection) {
    w.full(b"pssh", 1, 0, |w| {
        w.bytes(&COMMON_SYSTEM);
        w.u32(1);
        w.bytes(&protection.key);
        w.u32(0);
    });
}

/// A fragment made by [`fragment`](super::fragment), with its samples sealed by `seal`, which gets each of them and says
/// which ranges it protected; none for the whole sample. `None` for bytes that are no such fragment.
#[must_use]
pub fn protected(
    kind: Kind,
    fragment: &[u8],
    protection: &Protection,
    mut seal: impl FnMut(&mut [u8]) -> Vec<Subsample>,
) -> Option<Bytes> {
    let (moof, rest) = child(fragment, b"moof")?;
    let (mdat, _) = child(rest, b"mdat")?;
    let (mfhd, rest) = boxed(moof, b"mfhd")?;
    let (traf, _) = child(rest, b"traf")?;
    let sizes = sizes(traf)?;
    let mut media = mdat.to_vec();
    let mut maps = Vec::with_capacity(sizes.samples.len());
    let mut at = 0_usize;
    for &size in &sizes.samples {
        let sample = media.get_mut(at..at.checked_add(size)?)?;
        maps.push(seal(sample));
        at += size;
    }
    let entries: usize = maps.iter().map(Vec::len).sum();
    let mut w = Writer::with_capacity(fragment.len() + 320 + maps.len() * 3 + entries * 6);
    let mut offset_at = 0;
    w.boxed(b"moof", |w| {
        w.bytes(mfhd);
        system(w, protection);
        w.boxed(b"traf", |w| {
            offset_at = w.position() + sizes.offset_at;
            w.bytes(traf);
            write_map(w, &maps);
            w.full(b"sgpd", 1, 0, |w| {
                w.bytes(b"seig");
                w.u32(37);
                w.u32(1);
                w.u8(0);
                entry(w, kind, protection);
            });
            w.full(b"sbgp", 0, 0, |w| {
                w.bytes(b"seig");
                w.u32(1);
                w.u32(count(maps.len()));
                w.u32(OWN_GROUP);
            });
        });
    });
    w.set_u32(offset_at, count(w.position() + 8));
    w.u32(count(media.len() + 8));
    w.bytes(b"mdat");
    w.bytes(&media);
    Some(w.into_vec().into())
}

fn write_map(w: &mut Writer, maps: &[Vec<Subsample>]) {
    let whole = maps.iter().all(Vec::is_empty);
    // Whole samples under a constant vector have no auxiliary information; `senc` alone says so to those who look.
    if !whole {
        let size = |map: &Vec<Subsample>| u8::try_from(2 + 6 * map.len()).unwrap_or(u8::MAX);
        w.full(b"saiz", 0, 0, |w| {
            w.u8(0);
            w.u32(count(maps.len()));
            maps.iter().for_each(|map| w.u8(size(map)));
        });
        w.full(b"saio", 0, 0, |w| {
            w.u32(1);
            // Behind this number, the header of `senc` and its count, counted from the beginning of `moof`.
            w.u32(count(w.position() + 4 + 16));
        });
    }
    w.full(b"senc", 0, if whole { 0 } else { 2 }, |w| {
        w.u32(count(maps.len()));
        for map in maps.iter().filter(|_| !whole) {
            w.u16(u16::try_from(map.len()).unwrap_or(u16::MAX));
            for subsample in map {
                w.u16(subsample.clear);
                w.u32(subsample.protected);
            }
        }
    });
}

/// Parts are far below 4 GiB.
fn count(size: usize) -> u32 {
    u32::try_from(size).unwrap_or(u32::MAX)
}

struct Sizes {
    /// Where in `traf`'s body the offset of the data stands.
    offset_at: usize,
    samples: Vec<usize>,
}

/// What `trun` says of the samples.
fn sizes(traf: &[u8]) -> Option<Sizes> {
    const DURATIONS: u32 = 0x100;
    const SIZES: u32 = 0x200;
    const FLAGS: u32 = 0x400;
    const COMPOSITION: u32 = 0x800;
    let mut rest = traf;
    loop {
        let (size, kind) = head(rest)?;
        if kind != b"trun" {
            rest = rest.get(size..)?;
            continue;
        }
        let trun = rest.get(8..size)?;
        let columns = number(trun, 0)? & 0x00ff_ffff;
        if columns & 1 == 0 || columns & SIZES == 0 {
            return None;
        }
        let row = (columns & (DURATIONS | SIZES | FLAGS | COMPOSITION)).count_ones() as usize * 4;
        let before = if columns & DURATIONS == 0 { 0 } else { 4 };
        let rows = trun.get(12..)?.chunks_exact(row);
        let samples: Vec<usize> =
            rows.map(|row| number(row, before).map(|size| size as usize)).collect::<Option<_>>()?;
        let counted = number(trun, 4)? as usize == samples.len();
        let offset_at = traf.len() - rest.len() + 16;
        return counted.then_some(Sizes { offset_at, samples });
    }
}

fn number(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_be_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}

fn head(bytes: &[u8]) -> Option<(usize, &[u8])> {
    let size = number(bytes, 0)? as usize;
    (size >= 8).then_some((size, bytes.get(4..8)?))
}

/// The first box, which must be of this kind, and what follows it.
fn boxed<'a>(bytes: &'a [u8], kind: &[u8; 4]) -> Option<(&'a [u8], &'a [u8])> {
    let (size, found) = head(bytes)?;
    (found == kind).then(|| bytes.split_at_checked(size))?
}

/// The body of the first box, which must be of this kind, and what follows it.
fn child<'a>(bytes: &'a [u8], kind: &[u8; 4]) -> Option<(&'a [u8], &'a [u8])> {
    let (whole, rest) = boxed(bytes, kind)?;
    Some((whole.get(8..)?, rest))
}
