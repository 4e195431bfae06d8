//! From text to rows: comma-separated values as spreadsheets really write them, in bounded memory.
//!
//! Bytes go in by [`Splitter::feed`], rows come out by [`Splitter::next`]. A line that is too long is skipped to its end; a
//! quote that is never closed spoils its own line and not the rest of the file.
//!
//! # Source
//!
//! RFC 4180, section 2. Deviations, all towards what exists: other separators, any line end, rows of different lengths,
//! quotes inside of unquoted cells, text after a closing quote (it is kept), empty lines (they are skipped).

/// Bytes of one row at most: sixteen cells of four kilobytes. A quote that is not closed within them is a mistake.
pub const ROW_BYTES_MAX: usize = 64 * 1024;
/// Cells of one row at most; what comes behind them is not looked at.
const CELLS_MAX: usize = 256;
/// What may stand between two cells.
pub const SEPARATORS: [u8; 4] = [b',', b';', b'\t', b'|'];

/// One row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// The line it begins on, counted from 1.
    pub line: u64,
    /// Bytes of text up to and including its line end: where the next row begins.
    pub end: u64,
    /// Its cells without their quotes, not trimmed.
    pub cells: Vec<String>,
}

/// What [`Splitter::next`] finds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Piece {
    /// A row.
    Record(Record),
    /// A line that is none.
    Bad {
        /// Which, counted from 1.
        line: u64,
        /// Where to go on, as in [`Record::end`].
        end: u64,
        /// Why not.
        problem: Problem,
    },
}

/// Why a line is no row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Problem {
    /// It is longer than [`ROW_BYTES_MAX`].
    TooLong,
    /// A quote is opened and not closed.
    UnclosedQuote,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Before the first byte of a cell.
    Start,
    /// In a cell without quotes, or behind a closing quote.
    Plain,
    /// Between quotes.
    Quoted,
    /// Behind a quote that closes, unless another one follows.
    Quote,
    /// In the rest of a line that is too long.
    Skip,
}

/// Splits text into rows. Holds at most one row and what was fed last.
#[derive(Debug)]
pub struct Splitter {
    separator: u8,
    /// What was fed and not yet given out or skipped: it begins with the present row.
    text: Vec<u8>,
    /// Where the present row begins in `text`.
    start: usize,
    /// What of it was read.
    at: usize,
    state: State,
    cell: Vec<u8>,
    cells: Vec<String>,
    /// Bytes before `text[start]`.
    position: u64,
    line: u64,
}

impl Splitter {
    /// A splitter for the beginning of a text.
    #[must_use]
    pub fn new(separator: u8) -> Self {
        Self::resume(separator, 0, 1)
    }

    /// A splitter that is fed from byte `position` on, which is the beginning of line `line`.
    #[must_use]
    pub fn resume(separator: u8, position: u64, line: u64) -> Self {
        Self {
            separator,
            text: Vec::new(),
            start: 0,
            at: 0,
            state: State::Start,
            cell: Vec::new(),
            cells: Vec::new(),
            position,
            line,
        }
    }

    /// Takes more text: UTF-8, cut anywhere.
    pub fn feed(&mut self, text: &[u8]) {
        self.text.drain(..self.start);
        self.at -= self.start;
        self.start = 0;
        self.text.extend_from_slice(text);
    }

    /// The next row or bad line; `None` when more text is needed, or at the end of the text when `last` says that no
    /// more will come.
    pub fn next(&mut self, last: bool) -> Option<Piece> {
        loop {
            if self.state == State::Skip && !self.skip(last) {
                return None;
            }
            let Some(byte) = self.text.get(self.at).copied() else {
                return if last { self.finish() } else { self.too_long_so_far() };
            };
            if self.at - self.start >= ROW_BYTES_MAX {
                return Some(self.bad());
            }
            match (self.state, byte) {
                (State::Start, b'"') => self.state = State::Quoted,
                (State::Quoted, b'"') => self.state = State::Quote,
                (State::Quote, b'"') => {
                    self.cell.push(b'"');
                    self.state = State::Quoted;
                }
                (State::Quoted, other) => self.cell.push(other),
                (_, b'\r') => match self.text.get(self.at + 1) {
                    None if !last => return None,
                    Some(b'\n') => {
                        self.at += 1;
                        if let Some(record) = self.row() {
                            return Some(record);
                        }
                        continue;
                    }
                    _ => {
                        if let Some(record) = self.row() {
                            return Some(record);
                        }
                        continue;
                    }
                },
                (_, b'\n') => {
                    if let Some(record) = self.row() {
                        return Some(record);
                    }
                    continue;
                }
                (_, other) if other == self.separator => self.end_cell(),
                (_, other) => {
                    self.cell.push(other);
                    self.state = State::Plain;
                }
            }
            self.at += 1;
        }
    }

    /// The line that comes next, counted from 1.
    #[must_use]
    pub fn line(&self) -> u64 {
        self.line
    }

    fn end_cell(&mut self) {
        if self.cells.len() < CELLS_MAX {
            self.cells.push(String::from_utf8_lossy(&self.cell).into_owned());
        }
        self.cell.clear();
        self.state = State::Start;
    }

    /// The row that the line end at `at` ends; `None` for an empty line.
    fn row(&mut self) -> Option<Piece> {
        self.end_cell();
        let cells = std::mem::take(&mut self.cells);
        let line = self.line;
        self.at += 1;
        self.advance();
        let blank = cells.iter().all(|cell| cell.trim().is_empty());
        (!blank).then_some(Piece::Record(Record { line, end: self.position, cells }))
    }

    /// Leaves everything up to `at` behind.
    fn advance(&mut self) {
        let passed = &self.text[self.start..self.at];
        self.line += lines(passed);
        self.position += passed.len() as u64;
        self.start = self.at;
    }

    /// Without a line end, and too long already: said early, so that no more than a row is ever held.
    fn too_long_so_far(&mut self) -> Option<Piece> {
        (self.at - self.start >= ROW_BYTES_MAX).then(|| self.bad())
    }

    /// The present line is none: goes on behind its end, or looks for it.
    fn bad(&mut self) -> Piece {
        let line = self.line;
        let problem = if matches!(self.state, State::Quoted) { Problem::UnclosedQuote } else { Problem::TooLong };
        self.cell.clear();
        self.cells.clear();
        self.state = State::Start;
        match self.text[self.start..self.at].iter().position(|byte| *byte == b'\n') {
            Some(end) => {
                self.at = self.start + end + 1;
                self.advance();
            }
            None => {
                self.state = State::Skip;
                self.advance();
            }
        }
        Piece::Bad { line, end: self.position, problem }
    }

    /// Whether the end of the line that is too long was found.
    fn skip(&mut self, last: bool) -> bool {
        match self.text[self.start..].iter().position(|byte| *byte == b'\n') {
            Some(end) => {
                self.at = self.start + end + 1;
                self.state = State::Start;
            }
            None => self.at = self.text.len(),
        }
        self.advance();
        self.state == State::Start || last
    }

    /// The row that ends with the text.
    fn finish(&mut self) -> Option<Piece> {
        if self.start == self.text.len() {
            return None;
        }
        match self.state {
            State::Skip => None,
            State::Quoted => Some(self.bad()),
            _ => {
                self.end_cell();
                let cells = std::mem::take(&mut self.cells);
                let line = self.line;
                self.advance();
                let blank = cells.iter().all(|cell| cell.trim().is_empty());
                (!blank).then_some(Piece::Record(Record { line, end: self.position, cells }))
            }
        }
    }
}

/// Line ends in `text`: `\n`, `\r\n` or `\r`.
fn lines(text: &[u8]) -> u64 {
    let ends = text.iter().enumerate().filter(|(at, byte)| match byte {
        b'\n' => true,
        b'\r' => text.get(at + 1) != Some(&b'\n'),
        _ => false,
    });
    ends.count() as u64
}

/// The separator of a text that begins like this: the one that cuts its first rows most often into the same number of
/// cells.
#[must_use]
pub fn separator(sample: &str) -> u8 {
    let score = |separator: u8| {
        let mut splitter = Splitter::new(separator);
        splitter.feed(sample.as_bytes());
        let mut widths = Vec::new();
        while let Some(piece) = splitter.next(false) {
            if let Piece::Record(record) = piece {
                widths.push(record.cells.len());
            }
            if widths.len() == 20 {
                break;
            }
        }
        if widths.is_empty()
            && let Some(Piece::Record(record)) = splitter.next(true)
        {
            widths.push(record.cells.len());
        }
        let first = widths.first().copied().unwrap_or(1);
        let alike = widths.iter().filter(|width| **width == first).count();
        if first < 2 { 0 } else { alike * 1_000 / widths.len() * 100 + first.min(99) }
    };
    SEPARATORS.into_iter().rev().max_by_key(|separator| score(*separator)).unwrap_or(b',')
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn all(text: &[u8], chunk: usize) -> Vec<Piece> {
        let mut splitter = Splitter::new(b',');
        let mut pieces = Vec::new();
        for part in text.chunks(chunk) {
            splitter.feed(part);
            while let Some(piece) = splitter.next(false) {
                pieces.push(piece);
            }
            assert!(splitter.text.len() <= ROW_BYTES_MAX + 2 * chunk, "{} bytes are held", splitter.text.len());
        }
        while let Some(piece) = splitter.next(true) {
            pieces.push(piece);
        }
        pieces
    }

    fn cells(text: &str) -> Vec<Vec<String>> {
        all(text.as_bytes(), 7)
            .into_iter()
            .map(|piece| match piece {
                Piece::Record(record) => record.cells,
                Piece::Bad { problem, .. } => vec![format!("{problem:?}")],
            })
            .collect()
    }

    #[test]
    fn rows_are_read_as_spreadsheets_write_them() {
        assert_eq!(
            cells("a,b\r\nc,\"d \"\"e\"\", f\ng\"\n\n,h\n"),
            [vec!["a", "b"], vec!["c", "d \"e\", f\ng"], vec!["", "h"]]
        );
        assert_eq!(cells("a\rb\rc"), [["a"], ["b"], ["c"]]);
        assert_eq!(cells("5\" disc,\"x\"y"), [["5\" disc", "xy"]]);
        assert_eq!(cells(""), Vec::<Vec<String>>::new());
        assert_eq!(cells("\n\r\n ,\n"), Vec::<Vec<String>>::new());
    }

    #[test]
    fn positions_and_lines_are_where_the_next_row_begins() {
        let text = "a\n\"b\nb\"\r\nc\r\r\nd";
        let pieces = all(text.as_bytes(), 3);
        let found: Vec<_> = pieces
            .iter()
            .map(|piece| match piece {
                Piece::Record(record) => (record.line, record.end, record.cells[0].as_str()),
                Piece::Bad { .. } => panic!("{piece:?}"),
            })
            .collect();
        assert_eq!(found, [(1, 2, "a"), (2, 9, "b\nb"), (4, 11, "c"), (6, 14, "d")]);
        for (line, end, _) in &found[..3] {
            let mut rest = Splitter::resume(b',', *end, line + 1);
            rest.feed(&text.as_bytes()[usize::try_from(*end).unwrap()..]);
            let first = rest.next(true);
            assert!(matches!(first, Some(Piece::Record(_))), "{first:?}");
        }
    }

    #[test]
    fn a_quote_that_is_never_closed_spoils_its_own_line_only() {
        let mut text = String::from("a,b\n\"oops,c\n");
        for number in 0..20_000 {
            text.push_str(&format!("row {number},x\n"));
        }
        let pieces = all(text.as_bytes(), 4_096);
        assert_eq!(pieces.len(), 20_002);
        assert!(matches!(pieces[1], Piece::Bad { line: 2, problem: Problem::UnclosedQuote, .. }), "{:?}", pieces[1]);
        assert!(
            matches!(&pieces[20_001], Piece::Record(record) if record.line == 20_002 && record.cells[0] == "row 19999")
        );
        let short = all(b"a\n\"b\nc\n", 100);
        assert!(matches!(short[1], Piece::Bad { line: 2, .. }) && short.len() == 3, "{short:?}");
    }

    #[test]
    fn a_line_of_a_hundred_mebibytes_is_skipped_in_the_memory_of_one_row() {
        let mut splitter = Splitter::new(b',');
        splitter.feed(b"a\n");
        let chunk = vec![b'x'; 64 * 1024];
        let mut pieces = Vec::new();
        for _ in 0..1_600 {
            splitter.feed(&chunk);
            while let Some(piece) = splitter.next(false) {
                pieces.push(piece);
            }
            assert!(splitter.text.capacity() <= 4 * ROW_BYTES_MAX, "{}", splitter.text.capacity());
        }
        splitter.feed(b"\nb\n");
        while let Some(piece) = splitter.next(true) {
            pieces.push(piece);
        }
        assert_eq!(pieces.len(), 3, "{pieces:?}");
        assert!(matches!(pieces[1], Piece::Bad { line: 2, problem: Problem::TooLong, .. }));
        let end = 2 + 1_600 * 64 * 1024 + 1 + 2;
        assert_eq!(pieces[2], Piece::Record(Record { line: 3, end, cells: vec!["b".into()] }));
    }

    #[test]
    fn the_separator_is_the_one_that_cuts_evenly() {
        for (text, expected) in [
            ("name,phone\nAda,1\n", b','),
            ("name;phone\n\"Ada, Countess\";1\nBob;2\n", b';'),
            ("name\tphone\nAda, x\t1\n", b'\t'),
            ("name|phone\nAda|1\n", b'|'),
            ("name\nAda\n", b','),
            ("name;phone", b';'),
            ("", b','),
        ] {
            assert_eq!(char::from(separator(text)), char::from(expected), "{text}");
        }
    }

    proptest! {
        #[test]
        fn rows_do_not_depend_on_where_the_text_is_cut(text in "[a\",\r\n]{0,60}", chunk in 1_usize..9) {
            prop_assert_eq!(all(text.as_bytes(), chunk), all(text.as_bytes(), 1_000));
        }

        #[test]
        fn no_bytes_panic_and_every_byte_is_passed_once(text in proptest::collection::vec(any::<u8>(), 0..400), chunk in 1_usize..50) {
            let mut splitter = Splitter::new(b';');
            let mut end = 0;
            for part in text.chunks(chunk) {
                splitter.feed(part);
                while let Some(piece) = splitter.next(false) {
                    let (Piece::Record(Record { end: next, .. }) | Piece::Bad { end: next, .. }) = piece;
                    prop_assert!(next > end);
                    end = next;
                }
            }
            while splitter.next(true).is_some() {}
            prop_assert_eq!(splitter.position, text.len() as u64);
        }

        #[test]
        fn what_csv_row_writes_is_read_back(rows in proptest::collection::vec(proptest::collection::vec("[ -~é\n\r\"]{1,12}", 1..5), 1..6)) {
            let text: String = rows.iter().map(|row| super::super::cell::csv_row(row)).collect();
            let read: Vec<Vec<String>> = all(text.as_bytes(), 16).into_iter().filter_map(|piece| match piece {
                Piece::Record(record) => Some(record.cells),
                Piece::Bad { .. } => None,
            }).collect();
            let written: Vec<Vec<String>> = rows
                .iter()
                .map(|row| row.iter().map(|cell| super::super::cell::safe_text(cell)).collect::<Vec<_>>())
                .filter(|row| !row.iter().all(|cell| cell.trim().is_empty()))
                .collect();
            prop_assert_eq!(read, written);
        }
    }
}
