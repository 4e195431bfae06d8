//! A workbook with one sheet of text, a row at a time: of a hundred thousand rows, those of the present piece are held.
//!
//! Nothing of it ever lies on the disk, where it would be people in the clear. Every cell is text and says so, so that
//! no spreadsheet computes one or takes the plus from a telephone number.
//!
//! # Source
//!
//! ECMA-376 part 1 (5th edition), sections 18.2, 18.3.1 and 18.8 for the parts, 22.9.2.19 for what XML has no letter for;
//! PKWARE APPNOTE 6.3.10, sections 4.3.7, 4.3.9, 4.3.12 and 4.3.16 for the archive. Lengths stand behind the data,
//! as section 4.4.4, bit 3 has it: nobody knows them before.

use std::io::{self, Write as _};

use flate2::write::DeflateEncoder;
use flate2::{Compression, Crc};

/// Rows of a sheet at most, the words at the top included: what spreadsheets hold.
pub(super) const ROWS_MAX: u64 = 1_048_576;
/// Columns at most: a letter each.
const COLUMNS_MAX: usize = 26;

const PARTS: [(&str, &str); 5] = [
    (
        "[Content_Types].xml",
        r#"<Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types"><Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/><Default Extension="xml" ContentType="application/xml"/><Override PartName="/xl/workbook.xml" ContentType="application/vnd.openxmlformats-officedocument.spreadsheetml.sheet.main+xml"/><Override PartName="/xl/styles.xml" ContentType="application/vnd.openxmlformats-officedocument.spreadsheetml.styles+xml"/><Override PartName="/xl/worksheets/sheet1.xml" ContentType="application/vnd.openxmlformats-officedocument.spreadsheetml.worksheet+xml"/></Types>"#,
    ),
    (
        "_rels/.rels",
        r#"<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships"><Relationship Id="rId1" Type="http://schemas.openxmlformats.org/officeDocument/2006/relationships/officeDocument" Target="xl/workbook.xml"/></Relationships>"#,
    ),
    (
        "xl/workbook.xml",
        r#"<workbook xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main" xmlns:r="http://schemas.openxmlformats.org/officeDocument/2006/relationships"><sheets><sheet name="Invitees" sheetId="1" r:id="rId1"/></sheets></workbook>"#,
    ),
    (
        "xl/_rels/workbook.xml.rels",
        r#"<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships"><Relationship Id="rId1" Type="http://schemas.openxmlformats.org/officeDocument/2006/relationships/worksheet" Target="worksheets/sheet1.xml"/><Relationship Id="rId2" Type="http://schemas.openxmlformats.org/officeDocument/2006/relationships/styles" Target="styles.xml"/></Relationships>"#,
    ),
    // Format 49 is text: a cell stays what it is also when somebody edits it. Style 1 is that, style 2 is that in bold.
    (
        "xl/styles.xml",
        r#"<styleSheet xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"><fonts count="2"><font><sz val="11"/><name val="Calibri"/></font><font><b/><sz val="11"/><name val="Calibri"/></font></fonts><fills count="2"><fill><patternFill patternType="none"/></fill><fill><patternFill patternType="gray125"/></fill></fills><borders count="1"><border><left/><right/><top/><bottom/><diagonal/></border></borders><cellStyleXfs count="1"><xf numFmtId="0" fontId="0" fillId="0" borderId="0"/></cellStyleXfs><cellXfs count="3"><xf numFmtId="0" fontId="0" fillId="0" borderId="0" xfId="0"/><xf numFmtId="49" fontId="0" fillId="0" borderId="0" xfId="0" applyNumberFormat="1"/><xf numFmtId="49" fontId="1" fillId="0" borderId="0" xfId="0" applyNumberFormat="1" applyFont="1"/></cellXfs></styleSheet>"#,
    ),
];
const XML: &str = "<?xml version=\"1.0\" encoding=\"UTF-8\" standalone=\"yes\"?>\n";
const SHEET: &str = r#"<worksheet xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"><sheetViews><sheetView workbookViewId="0"><pane ySplit="1" topLeftCell="A2" activePane="bottomLeft" state="frozen"/></sheetView></sheetViews>"#;
const SHEET_END: &str = "</sheetData></worksheet>";

/// A workbook on its way out.
#[derive(Debug)]
pub(super) struct Workbook {
    archive: Archive,
    rows: u64,
}

impl Workbook {
    /// A workbook with these words at the top of its columns, each with its width in letters.
    pub(super) fn new(columns: &[(&str, u16)]) -> io::Result<Self> {
        let mut archive = Archive::default();
        for (name, xml) in PARTS {
            archive.begin(name)?;
            archive.write(XML)?;
            archive.write(xml)?;
            archive.end()?;
        }
        archive.begin("xl/worksheets/sheet1.xml")?;
        archive.write(XML)?;
        archive.write(SHEET)?;
        let widths = columns.iter().zip(1..).map(|((_, width), at)| {
            format!("<col min=\"{at}\" max=\"{at}\" width=\"{width}\" style=\"1\" customWidth=\"1\"/>")
        });
        archive.write(&format!("<cols>{}</cols><sheetData>", widths.collect::<String>()))?;
        let mut workbook = Self { archive, rows: 0 };
        let words: Vec<&str> = columns.iter().map(|(word, _)| *word).collect();
        workbook.styled(&words, 2)?;
        Ok(workbook)
    }

    /// Adds a row.
    pub(super) fn row<T: AsRef<str>>(&mut self, cells: &[T]) -> io::Result<()> {
        self.styled(cells, 1)
    }

    fn styled<T: AsRef<str>>(&mut self, cells: &[T], style: u8) -> io::Result<()> {
        if self.rows == ROWS_MAX {
            return Err(too_large());
        }
        self.rows += 1;
        let row = self.rows;
        let mut xml = format!("<row r=\"{row}\">");
        for (column, cell) in (b'A'..).zip(cells.iter().take(COLUMNS_MAX)) {
            let cell = cell.as_ref();
            if !cell.is_empty() {
                let column = char::from(column);
                let head =
                    format!("<c r=\"{column}{row}\" s=\"{style}\" t=\"inlineStr\"><is><t xml:space=\"preserve\">");
                xml.push_str(&head);
                escape(cell, &mut xml);
                xml.push_str("</t></is></c>");
            }
        }
        xml.push_str("</row>");
        self.archive.write(&xml)
    }

    /// The bytes since the last time; as long as rows are added there may be none.
    pub(super) fn take(&mut self) -> Vec<u8> {
        self.archive.take()
    }

    /// The last bytes.
    pub(super) fn finish(mut self) -> io::Result<Vec<u8>> {
        self.archive.write(SHEET_END)?;
        self.archive.end()?;
        self.archive.finish()
    }
}

/// Text as XML and spreadsheets read it back: lines end with a line feed, and what XML has no letter for is left out.
fn escape(text: &str, xml: &mut String) {
    let mut rest = text;
    while let Some(letter) = rest.chars().next() {
        match letter {
            '&' => xml.push_str("&amp;"),
            '<' => xml.push_str("&lt;"),
            '>' => xml.push_str("&gt;"),
            '\r' if rest[1..].starts_with('\n') => {}
            '\r' => xml.push('\n'),
            '\n' | '\t' => xml.push(letter),
            '\u{fffe}' | '\u{ffff}' => {}
            // `_x0041_` would be read as the letter with that number.
            '_' if is_escape(rest) => xml.push_str("_x005F_"),
            letter if letter.is_control() => {}
            letter => xml.push(letter),
        }
        rest = &rest[letter.len_utf8()..];
    }
}

fn is_escape(text: &str) -> bool {
    matches!(text.as_bytes(), [b'_', b'x', digits @ .., ] if digits.len() > 4
        && digits[..4].iter().all(u8::is_ascii_hexdigit) && digits[4] == b'_')
}

fn too_large() -> io::Error {
    io::Error::new(io::ErrorKind::FileTooLarge, "a workbook cannot hold so much")
}

/// An archive that is written once, from its beginning to its end.
#[derive(Debug, Default)]
struct Archive {
    /// What nobody has taken yet.
    out: Vec<u8>,
    taken: u64,
    open: Option<Open>,
    /// Of each part what stands in the directory.
    directory: Vec<u8>,
    parts: u16,
}

/// The part that is being written.
#[derive(Debug)]
struct Open {
    name: &'static str,
    at: u32,
    encoder: DeflateEncoder<Vec<u8>>,
    crc: Crc,
    packed: u64,
}

/// Version 2.0, lengths behind the data, deflated, the first day that an archive knows.
const FIELDS: [u8; 10] = [20, 0, 8, 0, 8, 0, 0, 0, 0x21, 0];

impl Archive {
    fn position(&self) -> io::Result<u32> {
        u32::try_from(self.taken + self.out.len() as u64).map_err(|_| too_large())
    }

    fn begin(&mut self, name: &'static str) -> io::Result<()> {
        let at = self.position()?;
        self.out.extend_from_slice(b"PK\x03\x04");
        self.out.extend_from_slice(&FIELDS);
        self.out.extend_from_slice(&[0; 12]);
        self.name_of(name);
        let encoder = DeflateEncoder::new(Vec::new(), Compression::default());
        self.open = Some(Open { name, at, encoder, crc: Crc::new(), packed: 0 });
        Ok(())
    }

    fn name_of(&mut self, name: &str) {
        let bytes = u16::try_from(name.len()).unwrap_or_default();
        self.out.extend_from_slice(&bytes.to_le_bytes());
        self.out.extend_from_slice(&[0; 2]);
        self.out.extend_from_slice(name.as_bytes());
    }

    fn write(&mut self, text: &str) -> io::Result<()> {
        let Some(open) = &mut self.open else { return Ok(()) };
        open.crc.update(text.as_bytes());
        open.encoder.write_all(text.as_bytes())?;
        open.packed += open.encoder.get_ref().len() as u64;
        self.out.append(open.encoder.get_mut());
        Ok(())
    }

    fn end(&mut self) -> io::Result<()> {
        let Some(Open { name, at, encoder, crc, packed }) = self.open.take() else { return Ok(()) };
        let (sum, bytes) = (crc.sum(), encoder.total_in());
        let rest = encoder.finish()?;
        let packed = packed + rest.len() as u64;
        self.out.extend_from_slice(&rest);
        let (packed, bytes) =
            (u32::try_from(packed).map_err(|_| too_large())?, u32::try_from(bytes).map_err(|_| too_large())?);
        let lengths = [sum, packed, bytes].map(u32::to_le_bytes).concat();
        self.out.extend_from_slice(b"PK\x07\x08");
        self.out.extend_from_slice(&lengths);
        let length = u16::try_from(name.len()).unwrap_or_default();
        let entry = [
            b"PK\x01\x02\x14\x00".as_slice(),
            &FIELDS,
            &lengths,
            &length.to_le_bytes(),
            // Neither more fields nor a comment, on the first disk, of no kind and with no rights.
            &[0; 12],
            &at.to_le_bytes(),
            name.as_bytes(),
        ];
        self.directory.extend_from_slice(&entry.concat());
        self.parts += 1;
        Ok(())
    }

    fn take(&mut self) -> Vec<u8> {
        self.taken += self.out.len() as u64;
        std::mem::take(&mut self.out)
    }

    fn finish(mut self) -> io::Result<Vec<u8>> {
        let at = self.position()?;
        let bytes = u32::try_from(self.directory.len()).map_err(|_| too_large())?;
        self.out.append(&mut self.directory);
        self.out.extend_from_slice(b"PK\x05\x06\0\0\0\0");
        self.out.extend_from_slice(&self.parts.to_le_bytes());
        self.out.extend_from_slice(&self.parts.to_le_bytes());
        self.out.extend_from_slice(&bytes.to_le_bytes());
        self.out.extend_from_slice(&at.to_le_bytes());
        self.out.extend_from_slice(&[0; 2]);
        Ok(self.out)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use calamine::{Data, Reader as _, Xlsx};
    use proptest::prelude::*;

    use super::*;

    fn written(rows: &[Vec<String>]) -> Vec<u8> {
        let mut workbook = Workbook::new(&[("Name", 20), ("Phone", 16), ("Note", 40)]).unwrap();
        let mut bytes = workbook.take();
        for row in rows {
            workbook.row(row).unwrap();
            bytes.extend(workbook.take());
        }
        bytes.extend(workbook.finish().unwrap());
        bytes
    }

    fn read(bytes: Vec<u8>) -> Vec<Vec<Data>> {
        let mut workbook = Xlsx::new(Cursor::new(bytes)).unwrap();
        let sheet = workbook.worksheet_range("Invitees").unwrap();
        sheet.rows().map(<[Data]>::to_vec).collect()
    }

    #[test]
    fn what_is_written_is_read_back_and_every_cell_is_text() {
        let rows = [
            vec!["Ada <&> \"Countess\"".to_owned(), "+33612345678".to_owned(), "one\r\ntwo\rthree\n".to_owned()],
            vec!["=1+1".to_owned(), String::new(), "_x0041_ stays, \u{7}bells go".to_owned()],
        ];
        let texts: Vec<Vec<String>> =
            read(written(&rows)).iter().map(|row| row.iter().map(ToString::to_string).collect()).collect();
        let expected = [
            ["Name", "Phone", "Note"],
            ["Ada <&> \"Countess\"", "+33612345678", "one\ntwo\nthree\n"],
            ["=1+1", "", "_x0041_ stays, bells go"],
        ];
        assert_eq!(texts, expected);
        let formulas = Xlsx::new(Cursor::new(written(&rows))).unwrap().worksheet_formula("Invitees").unwrap();
        assert!(formulas.is_empty(), "{formulas:?}");
    }

    #[test]
    fn a_long_sheet_comes_in_pieces_as_it_is_written() {
        let mut workbook = Workbook::new(&[("Name", 20)]).unwrap();
        let (mut bytes, mut most) = (Vec::new(), 0);
        for row in 0..50_000 {
            workbook.row(&[format!("Guest {row} {}", row * 7_919 % 10_007)]).unwrap();
            let piece = workbook.take();
            most = most.max(piece.len());
            bytes.extend(piece);
        }
        assert!(most < 128 * 1024, "{most} bytes at once");
        let last = workbook.finish().unwrap();
        assert!(last.len() < 128 * 1024 && bytes.len() > 4 * last.len(), "{} and {}", bytes.len(), last.len());
        bytes.extend(last);
        assert_eq!(read(bytes).len(), 50_001);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(100))]
        #[test]
        fn no_text_breaks_a_workbook(rows in proptest::collection::vec(proptest::collection::vec(any::<String>(), 1..4), 0..6)) {
            let read = read(written(&rows));
            for (row, cells) in rows.iter().zip(read.iter().skip(1)) {
                for (cell, found) in row.iter().zip(cells) {
                    let kept: String = cell.replace("\r\n", "\n").replace('\r', "\n").chars()
                        .filter(|letter| !letter.is_control() || matches!(letter, '\n' | '\t'))
                        .filter(|letter| !matches!(letter, '\u{fffe}' | '\u{ffff}')).collect();
                    prop_assert_eq!(found.to_string(), kept);
                }
            }
        }
    }
}
