//! Workbooks become text once, when they arrive: from there on there is one kind of list.
//!
//! A workbook is a ZIP archive, so its size says nothing about what is in it: everything is inflated and counted before
//! anything is believed.
//!
//! # Source
//!
//! PKWARE APPNOTE 6.3.10, sections 4.3.7, 4.3.12 and 4.3.16 for the archive. Deviation: ZIP64 is refused, because a
//! workbook within our bounds has no need of it.

use std::io::{self, Read, Seek, SeekFrom, Write};

use calamine::{DataRef, Reader as _, Xlsx};
use flate2::read::DeflateDecoder;

/// What an archive begins with.
pub(super) const MAGIC: &[u8] = b"PK\x03\x04";
/// Bytes of a workbook at most: some 200 000 people.
pub(super) const BYTES_MAX: u64 = 32 * 1024 * 1024;
/// Bytes of everything in it at most, read as a stream.
const INFLATED_MAX: u64 = 512 * 1024 * 1024;
/// Bytes of a part that is held in memory at most: the table of texts is the largest.
const PART_MAX: u64 = 32 * 1024 * 1024;
/// Parts at most: a sheet has a handful.
const PARTS_MAX: u16 = 1_000;
/// Columns that are looked at.
const COLUMNS_MAX: u32 = 256;
/// Letters of a cell that are kept.
const CELL_CHARS_MAX: usize = 4_096;
/// What a new line inside of a cell is on its way through the text, where lines are rows: Unicode's line separator.
pub(super) const NEW_LINE: char = '\u{2028}';

/// Why a workbook cannot be read.
#[derive(Debug, thiserror::Error)]
pub(super) enum WorkbookError {
    /// It is none, or a damaged one.
    #[error("this is no workbook that can be read")]
    Malformed,
    /// What is in it is larger than anything we read.
    #[error("the workbook is too large")]
    TooLarge,
    /// A file failed us.
    #[error("the workbook cannot be read")]
    Io(#[from] io::Error),
}

/// Writes the first sheet as comma-separated UTF-8, a line for every row, and the width of each as it is.
pub(super) fn to_csv<R: Read + Seek>(mut workbook: R, out: &mut impl Write) -> Result<(), WorkbookError> {
    weigh(&mut workbook)?;
    workbook.seek(SeekFrom::Start(0))?;
    let mut workbook = Xlsx::new(io::BufReader::new(workbook)).map_err(|_| WorkbookError::Malformed)?;
    let sheet = workbook.sheet_names().into_iter().next().ok_or(WorkbookError::Malformed)?;
    let mut cells = workbook.worksheet_cells_reader(&sheet).map_err(|_| WorkbookError::Malformed)?;
    let (mut row, mut column) = (0_u32, 0_u32);
    while let Some(cell) = cells.next_cell().map_err(|_| WorkbookError::Malformed)? {
        let (at_row, at_column) = cell.get_position();
        // Rows and columns of a sheet only go on; one that goes back is not worth an order of its own.
        if at_row < row || at_column >= COLUMNS_MAX || (at_row == row && at_column < column) {
            continue;
        }
        while row < at_row {
            out.write_all(b"\r\n")?;
            row += 1;
            column = 0;
        }
        while column < at_column {
            out.write_all(b",")?;
            column += 1;
        }
        out.write_all(quoted(&text(cell.get_value())).as_bytes())?;
    }
    Ok(())
}

fn text(value: &DataRef<'_>) -> String {
    match value {
        DataRef::Int(number) => number.to_string(),
        // A telephone number that became a number: all its digits, and no exponent.
        DataRef::Float(number) if number.fract() == 0.0 && number.abs() < 1e18 => format!("{number:.0}"),
        DataRef::Float(number) => number.to_string(),
        DataRef::String(text) => text.clone(),
        DataRef::SharedString(text) => (*text).to_owned(),
        DataRef::Bool(value) => value.to_string(),
        DataRef::DateTimeIso(text) | DataRef::DurationIso(text) => text.clone(),
        _ => String::new(),
    }
}

/// On one line, so that lines of the text are rows of the sheet: a new line inside of a cell becomes [`NEW_LINE`].
fn quoted(text: &str) -> String {
    let letters = text.chars().filter(|letter| *letter != '\r').take(CELL_CHARS_MAX).map(|letter| match letter {
        '\n' => NEW_LINE,
        '\t' => '\t',
        letter if letter.is_control() => ' ',
        letter => letter,
    });
    format!("\"{}\"", letters.collect::<String>().replace('"', "\"\""))
}

fn number(bytes: &[u8], at: usize, width: usize) -> Result<u64, WorkbookError> {
    let bytes = bytes.get(at..at + width).ok_or(WorkbookError::Malformed)?;
    Ok(bytes.iter().rev().fold(0, |value, byte| value << 8 | u64::from(*byte)))
}

/// Inflates every part of the archive and counts.
fn weigh<R: Read + Seek>(archive: &mut R) -> Result<(), WorkbookError> {
    let length = archive.seek(SeekFrom::End(0))?;
    if length > BYTES_MAX {
        return Err(WorkbookError::TooLarge);
    }
    // The end of the directory: 22 bytes and a comment of 64 KiB at most.
    let tail_bytes = length.min(22 + 65_535);
    archive.seek(SeekFrom::Start(length - tail_bytes))?;
    let mut tail = Vec::new();
    archive.take(tail_bytes).read_to_end(&mut tail)?;
    let end = tail.windows(4).rposition(|window| window == b"PK\x05\x06").ok_or(WorkbookError::Malformed)?;
    let parts = number(&tail, end + 10, 2)?;
    let directory_bytes = number(&tail, end + 12, 4)?;
    let directory_at = number(&tail, end + 16, 4)?;
    if parts > u64::from(PARTS_MAX) || directory_bytes > 1024 * 1024 {
        return Err(WorkbookError::TooLarge);
    }
    archive.seek(SeekFrom::Start(directory_at))?;
    let mut directory = Vec::new();
    archive.take(directory_bytes).read_to_end(&mut directory)?;
    let (mut at, mut total) = (0_usize, 0_u64);
    for _ in 0..parts {
        if directory.get(at..at + 4) != Some(b"PK\x01\x02") {
            return Err(WorkbookError::Malformed);
        }
        let method = number(&directory, at + 10, 2)?;
        let packed = number(&directory, at + 20, 4)?;
        let name_bytes = usize::try_from(number(&directory, at + 28, 2)?).unwrap_or(0);
        let extra = usize::try_from(number(&directory, at + 30, 2)? + number(&directory, at + 32, 2)?).unwrap_or(0);
        let local_at = number(&directory, at + 42, 4)?;
        let name = directory.get(at + 46..at + 46 + name_bytes).ok_or(WorkbookError::Malformed)?;
        let streamed = name.windows(11).any(|window| window.eq_ignore_ascii_case(b"worksheets/"));
        let max = if streamed { INFLATED_MAX } else { PART_MAX };
        let weight = part(archive, local_at, packed, method, max)?;
        total += weight;
        if weight > max || total > INFLATED_MAX {
            return Err(WorkbookError::TooLarge);
        }
        at += 46 + name_bytes + extra;
    }
    Ok(())
}

/// Bytes of one part, counted up to a little beyond `max`.
fn part<R: Read + Seek>(
    archive: &mut R,
    local_at: u64,
    packed: u64,
    method: u64,
    max: u64,
) -> Result<u64, WorkbookError> {
    archive.seek(SeekFrom::Start(local_at))?;
    let mut head = [0; 30];
    archive.read_exact(&mut head).map_err(|_| WorkbookError::Malformed)?;
    if !head.starts_with(MAGIC) {
        return Err(WorkbookError::Malformed);
    }
    let data_at = local_at + 30 + number(&head, 26, 2)? + number(&head, 28, 2)?;
    archive.seek(SeekFrom::Start(data_at))?;
    let data = archive.take(packed);
    match method {
        0 => Ok(packed),
        8 => io::copy(&mut DeflateDecoder::new(data).take(max + 1), &mut io::sink())
            .map_err(|_| WorkbookError::Malformed),
        _ => Err(WorkbookError::Malformed),
    }
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use proptest::prelude::*;
    use rust_xlsxwriter::Workbook;

    use super::*;

    fn csv(bytes: &[u8]) -> Result<String, WorkbookError> {
        let mut out = Vec::new();
        to_csv(Cursor::new(bytes), &mut out).map(|()| String::from_utf8(out).unwrap())
    }

    fn sample() -> Vec<u8> {
        let mut workbook = Workbook::new();
        let sheet = workbook.add_worksheet();
        sheet.write(0, 0, "Name").unwrap();
        sheet.write(0, 1, "Phone").unwrap();
        sheet.write(1, 0, "Ada \"A\", x\ny").unwrap();
        sheet.write(1, 1, 33_612_345_678_f64).unwrap();
        sheet.write(4, 1, "0612345679").unwrap();
        workbook.save_to_buffer().unwrap()
    }

    #[test]
    fn a_sheet_becomes_lines_and_numbers_keep_their_digits() {
        let expected = "\"Name\",\"Phone\"\r\n\"Ada \"\"A\"\", x\u{2028}y\",\"33612345678\"\r\n\r\n\r\n,\"0612345679\"";
        assert_eq!(csv(&sample()).unwrap(), expected);
    }

    #[test]
    fn an_archive_that_inflates_beyond_all_bounds_is_refused_before_it_is_read() {
        let mut workbook = Workbook::new();
        let sheet = workbook.add_worksheet();
        // Shared texts: 40 MB of the same letter are a few kilobytes when packed.
        for row in 0..1_300 {
            sheet.write(row, 0, format!("{row}{}", "a".repeat(32_000))).unwrap();
        }
        let bytes = workbook.save_to_buffer().unwrap();
        assert!(bytes.len() < 1024 * 1024, "{}", bytes.len());
        assert!(matches!(csv(&bytes), Err(WorkbookError::TooLarge)));
    }

    #[test]
    fn a_damaged_workbook_is_an_error_and_never_a_panic() {
        let whole = sample();
        for cut in 0..whole.len() {
            assert!(csv(&whole[..cut]).is_err(), "{cut}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(200))]
        #[test]
        fn changed_bytes_never_panic(changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6)) {
            let mut bytes = sample();
            for (at, byte) in changes {
                let at = at.index(bytes.len());
                bytes[at] = byte;
            }
            let _ = csv(&bytes);
        }
    }
}
