//! Where the header of a slice ends: common encryption leaves it in the clear, so that a decoder can be driven by
//! somebody who has no key.
//!
//! Nothing is kept of what a header says; it is read only to be passed over. What cannot be read has no end here, and the
//! caller decides what that means.

use super::bits::{self, BitReader};
use super::{NAL_IDR, NAL_SPS};

/// A slice of a picture that is not an IDR picture, ISO/IEC 14496-10 table 7-1.
const NAL_SLICE: u8 = 1;
const NAL_PPS: u8 = 8;
/// Bytes of a slice that are looked at: a header with every table in it is a few hundred.
const HEADER_BYTES_MAX: usize = 1_024;
/// Reference pictures of a slice at most, ISO/IEC 14496-10 section 7.4.3.
const REFERENCES_MAX: u32 = 32;
/// Parameter sets of each kind that are remembered. There may be 32 and 256; encoders have one or two.
const SETS_MAX: usize = 32;

/// Whether a NAL unit holds coded pictures: all of its kinds, also those that nobody uses.
#[must_use]
pub fn is_slice(nal: &[u8]) -> bool {
    nal.first().is_some_and(|head| matches!(head & 0x1f, 1..=5 | 19..=21))
}

/// What a sequence parameter set says about the headers of slices.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Sps {
    pub(super) id: u32,
    /// `ChromaArrayType` is 0.
    pub(super) monochrome: bool,
    pub(super) separate_planes: bool,
    pub(super) frame_num_bits: u32,
    pub(super) order: Order,
    pub(super) frame_mbs_only: bool,
}

/// `pic_order_cnt_type`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Order {
    Lsb { bits: u32 },
    Deltas { always_zero: bool },
    Decoding,
}

/// What a picture parameter set says about the headers of slices.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Pps {
    id: u32,
    sps: u32,
    cabac: bool,
    bottom_field_order: bool,
    references: [u32; 2],
    weighted: bool,
    weighted_bipred: u32,
    deblocking: bool,
    redundant: bool,
}

impl Pps {
    fn parse(nal: &[u8]) -> Option<Self> {
        let rbsp = bits::unescape(nal.get(1..)?);
        let mut bits = BitReader::new(&rbsp);
        let (id, sps) = (bits.ue()?, bits.ue()?);
        let cabac = bits.flag()?;
        let bottom_field_order = bits.flag()?;
        // Slice groups belong to profiles that no encoder for live video offers.
        if bits.ue()? != 0 {
            return None;
        }
        let references = [bits.ue()?.checked_add(1)?, bits.ue()?.checked_add(1)?];
        let weighted = bits.flag()?;
        let weighted_bipred = bits.u(2)?;
        bits.se()?; // pic_init_qp_minus26
        bits.se()?; // pic_init_qs_minus26
        bits.se()?; // chroma_qp_index_offset
        let deblocking = bits.flag()?;
        bits.flag()?; // constrained_intra_pred_flag
        let redundant = bits.flag()?;
        Some(Self { id, sps, cabac, bottom_field_order, references, weighted, weighted_bipred, deblocking, redundant })
    }
}

/// The parameter sets that slices refer to. Later ones replace those with their number.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ParameterSets {
    sequence: Vec<Sps>,
    picture: Vec<Pps>,
}

impl ParameterSets {
    /// Those of a configuration record that [`Config::parse`](super::Config::parse) accepted.
    #[must_use]
    pub fn of(config: &super::Config) -> Self {
        let mut sets = Self::default();
        let mut rest = config.record.get(5..).unwrap_or_default();
        for mask in [0x1f, 0xff] {
            let Some((&count, after)) = rest.split_first() else { break };
            rest = after;
            for _ in 0..count & mask {
                let Some((length, after)) = rest.split_at_checked(2) else { return sets };
                let length = usize::from(u16::from_be_bytes([length[0], length[1]]));
                let Some((nal, after)) = after.split_at_checked(length) else { return sets };
                sets.learn(nal);
                rest = after;
            }
        }
        sets
    }

    /// Takes over a parameter set; other NAL units change nothing.
    pub fn learn(&mut self, nal: &[u8]) {
        match nal.first().map(|head| head & 0x1f) {
            Some(NAL_SPS) => {
                if let Some(sps) = super::Sps::parse(nal) {
                    self.sequence.retain(|known| known.id != sps.slices.id);
                    self.sequence.truncate(SETS_MAX - 1);
                    self.sequence.insert(0, sps.slices);
                }
            }
            Some(NAL_PPS) => {
                if let Some(pps) = Pps::parse(nal) {
                    self.picture.retain(|known| known.id != pps.id);
                    self.picture.truncate(SETS_MAX - 1);
                    self.picture.insert(0, pps);
                }
            }
            _ => {}
        }
    }

    /// How many bytes of a NAL unit its own header and the header of its slice take, counted as they stand there: with
    /// emulation prevention bytes, and the last byte as a whole. `None` for a NAL unit that is no slice of a plain picture,
    /// or cannot be read.
    ///
    /// # Source
    ///
    /// ISO/IEC 14496-10 sections 7.3.3 (slice header), 7.3.3.1 to 7.3.3.3; ISO/IEC 23001-7 section 9.5.2 asks for it.
    #[must_use]
    pub fn header_bytes(&self, nal: &[u8]) -> Option<usize> {
        let (&head, body) = nal.split_first()?;
        let kind = head & 0x1f;
        if !matches!(kind, NAL_SLICE | NAL_IDR) {
            return None;
        }
        let start = body.get(..body.len().min(HEADER_BYTES_MAX))?;
        let rbsp = bits::unescape(start);
        let mut bits = BitReader::new(&rbsp);
        self.pass(&mut bits, kind == NAL_IDR, head >> 5 & 3 != 0)?;
        let wanted = bits.position().div_ceil(8);
        Some(1 + escaped(start, wanted))
    }

    fn pass(&self, bits: &mut BitReader<'_>, idr: bool, reference: bool) -> Option<()> {
        bits.ue()?; // first_mb_in_slice
        let kind = bits.ue()? % 5;
        let (p, b, sp) = (kind == 0, kind == 1, kind == 3);
        let intra = matches!(kind, 2 | 4);
        let id = bits.ue()?;
        let pps = self.picture.iter().find(|pps| pps.id == id)?;
        let sps = self.sequence.iter().find(|sps| sps.id == pps.sps)?;
        if sps.separate_planes {
            bits.skip(2)?;
        }
        bits.u(sps.frame_num_bits)?;
        let field = !sps.frame_mbs_only && bits.flag()?;
        if field {
            bits.flag()?; // bottom_field_flag
        }
        if idr {
            bits.ue()?; // idr_pic_id
        }
        match sps.order {
            Order::Lsb { bits: count } => {
                bits.u(count)?;
                if pps.bottom_field_order && !field {
                    bits.se()?;
                }
            }
            Order::Deltas { always_zero: false } => {
                bits.se()?;
                if pps.bottom_field_order && !field {
                    bits.se()?;
                }
            }
            Order::Deltas { always_zero: true } | Order::Decoding => {}
        }
        if pps.redundant {
            bits.ue()?;
        }
        if b {
            bits.flag()?; // direct_spatial_mv_pred_flag
        }
        let mut references = pps.references;
        if !intra && bits.flag()? {
            references[0] = bits.ue()?.checked_add(1)?;
            if b {
                references[1] = bits.ue()?.checked_add(1)?;
            }
        }
        if references.iter().any(|&count| count > REFERENCES_MAX) {
            return None;
        }
        let lists = if intra { 0 } else { 1 + usize::from(b) };
        for _ in 0..lists {
            pass_modification(bits)?;
        }
        if (pps.weighted && (p || sp)) || (pps.weighted_bipred == 1 && b) {
            bits.ue()?; // luma_log2_weight_denom
            if !sps.monochrome {
                bits.ue()?;
            }
            for count in references.into_iter().take(lists) {
                pass_weights(bits, count, sps.monochrome)?;
            }
        }
        if reference {
            pass_marking(bits, idr)?;
        }
        if pps.cabac && !intra {
            bits.ue()?; // cabac_init_idc
        }
        bits.se()?; // slice_qp_delta
        if matches!(kind, 3 | 4) {
            if sp {
                bits.flag()?;
            }
            bits.se()?;
        }
        if pps.deblocking && bits.ue()? != 1 {
            bits.se()?;
            bits.se()?;
        }
        Some(())
    }
}

/// `ref_pic_list_modification` of one list.
fn pass_modification(bits: &mut BitReader<'_>) -> Option<()> {
    if bits.flag()? {
        // Every turn takes bits: the end of the input is the bound.
        while bits.ue()? != 3 {
            bits.ue()?;
        }
    }
    Some(())
}

/// The weights of one list in `pred_weight_table`.
fn pass_weights(bits: &mut BitReader<'_>, references: u32, monochrome: bool) -> Option<()> {
    for _ in 0..references {
        if bits.flag()? {
            bits.se()?;
            bits.se()?;
        }
        if !monochrome && bits.flag()? {
            for _ in 0..4 {
                bits.se()?;
            }
        }
    }
    Some(())
}

/// `dec_ref_pic_marking`.
fn pass_marking(bits: &mut BitReader<'_>, idr: bool) -> Option<()> {
    if idr {
        return bits.skip(2);
    }
    if bits.flag()? {
        loop {
            match bits.ue()? {
                0 => break,
                3 => {
                    bits.ue()?;
                    bits.ue()?;
                }
                1 | 2 | 4 | 6 => {
                    bits.ue()?;
                }
                5 => {}
                _ => return None,
            }
        }
    }
    Some(())
}

/// How many bytes of `nal` hold its first `wanted` bytes without emulation prevention.
fn escaped(nal: &[u8], wanted: usize) -> usize {
    let mut zeros = 0;
    let mut found = 0;
    for (place, &byte) in nal.iter().enumerate() {
        if found == wanted {
            return place;
        }
        if zeros >= 2 && byte == 3 {
            zeros = 0;
            continue;
        }
        zeros = if byte == 0 { zeros + 1 } else { 0 };
        found += 1;
    }
    nal.len()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::h264::Config;
    use crate::codec::testing::hex;

    /// `ffmpeg -f lavfi -i testsrc2=s=1920x1080:r=30 -c:v libx264 -pix_fmt yuv420p`: High, CABAC, weighted P.
    const HIGH_1080P: &str =
        "01640028ffe1001b67640028acd940780227e5c044000003000400000300f03c60c65801000668ebe3cb22c0fdf8f800";

    fn sets() -> ParameterSets {
        ParameterSets::of(&Config::parse(hex(HIGH_1080P)).unwrap())
    }

    #[test]
    fn the_header_of_an_idr_slice_ends_where_its_fields_do() {
        // first_mb 0 `1`, type 7 `0001000`, pps 0 `1`, frame_num 0 `0000`, idr_pic_id 0 `1`, order `000000`,
        // marking `00`, qp delta 0 `1`, deblocking idc 0 `1`, alpha `1`, beta `1`: 26 bits, and ones behind them.
        let sets = sets();
        assert_eq!(sets.sequence.len(), 1);
        assert_eq!(sets.picture.len(), 1);
        let Order::Lsb { bits } = sets.sequence[0].order else { panic!("{:?}", sets.sequence[0]) };
        let fields = format!(
            "1{}1{}1{}00111{}",
            "0001000",
            "0".repeat(sets.sequence[0].frame_num_bits as usize),
            "0".repeat(bits as usize),
            if sets.picture[0].deblocking { "1" } else { "" }
        );
        let mut text = fields.clone();
        while text.len() % 8 != 0 || text.len() < 160 {
            text.push('1');
        }
        let mut nal = vec![0x65];
        nal.extend(
            text.as_bytes().chunks(8).map(|bits| u8::from_str_radix(std::str::from_utf8(bits).unwrap(), 2).unwrap()),
        );
        assert_eq!(sets.header_bytes(&nal), Some(1 + fields.len().div_ceil(8)));
    }

    #[test]
    fn emulation_prevention_counts_as_it_stands() {
        assert_eq!(escaped(&[0, 0, 3, 1, 5, 6], 3), 4);
        assert_eq!(escaped(&[0, 0, 3, 0, 0, 3, 1], 4), 5);
        assert_eq!(escaped(&[9, 9], 2), 2);
    }

    #[test]
    fn what_is_no_slice_or_cannot_be_read_has_no_header() {
        let sets = sets();
        for nal in [&[0x67_u8, 1, 2][..], &[0x06, 5, 1], &[0x65], &[], &[0x42, 0x88, 0x84]] {
            assert_eq!(sets.header_bytes(nal), None, "{nal:02x?}");
        }
        assert_eq!(ParameterSets::default().header_bytes(&[0x65, 0x88, 0x84, 0, 0x10]), None);
        assert!(is_slice(&[0x65]) && is_slice(&[0x41]) && is_slice(&[0x02]) && !is_slice(&[0x67]) && !is_slice(&[]));
    }

    #[test]
    fn no_bytes_make_it_panic() {
        let mut sets = sets();
        let mut state = 0x9e37_79b9_u32;
        for round in 0..20_000_usize {
            let nal: Vec<u8> = (0..round % 64)
                .map(|place| {
                    state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                    if place == 0 { [0x65, 0x41, 0x68, 0x67][round % 4] } else { (state >> 24) as u8 }
                })
                .collect();
            if round % 8 >= 6 {
                sets.learn(&nal);
            }
            assert!(sets.header_bytes(&nal).is_none_or(|bytes| bytes <= nal.len()), "{nal:02x?}");
        }
    }
}
