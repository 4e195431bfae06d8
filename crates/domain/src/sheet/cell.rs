//! Cells that go out: no spreadsheet may run one as a formula, and a telephone number must stay one.
//!
//! A cell that begins with `=`, `+`, `-`, `@`, a tab or a carriage return would be computed. It gets an apostrophe in
//! front, which spreadsheets show or swallow and never compute. A telephone number begins with `+` and gets one too: as a
//! number it would lose its plus and its last digits. The importer takes the apostrophe away again.
//!
//! # Source
//!
//! OWASP, CSV Injection; RFC 4180, section 2 for the quotes.

/// What spreadsheets begin a formula with, also in the full-width form that some of them fold.
const FORMULA: [char; 10] = ['=', '+', '-', '@', '\t', '\r', '＝', '＋', '－', '＠'];

/// Whether a spreadsheet might compute it.
fn is_computed(text: &str) -> bool {
    let first = text.trim_start_matches(' ').chars().next();
    first.is_some_and(|first| FORMULA.contains(&first)) || text.starts_with('\n')
}

/// The text with an apostrophe in front if it could be computed, or if it looks as if it had got one already: so that
/// [`plain_text`] takes away what was put there and nothing else.
#[must_use]
pub fn safe_text(text: &str) -> String {
    if is_computed(text.trim_start_matches('\'')) { format!("'{text}") } else { text.to_owned() }
}

/// The text as it was before [`safe_text`], whatever it was.
#[must_use]
pub fn plain_text(text: &str) -> &str {
    match text.strip_prefix('\'') {
        Some(rest) if is_computed(rest.trim_start_matches('\'')) => rest,
        _ => text,
    }
}

/// A cell of comma-separated values: safe, and in quotes when it needs them.
#[must_use]
pub fn csv_cell(text: &str) -> String {
    let text = safe_text(text);
    if text.contains([',', ';', '\t', '|', '"', '\n', '\r', '\'']) || text.starts_with(' ') || text.ends_with(' ') {
        format!("\"{}\"", text.replace('"', "\"\""))
    } else {
        text
    }
}

/// A row of comma-separated values with its line end.
#[must_use]
pub fn csv_row<T: AsRef<str>>(cells: &[T]) -> String {
    let mut row = cells.iter().map(|cell| csv_cell(cell.as_ref())).collect::<Vec<_>>().join(",");
    row.push_str("\r\n");
    row
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_could_be_computed_is_not() {
        for text in
            ["=1+1", "+33612345678", "-2", "@SUM(A1)", "\t=1", "\r=1", "\n=1", " =1", "＝1", "=HYPERLINK(\"x\")"]
        {
            assert!(safe_text(text).starts_with('\''), "{text:?}");
            let cell = csv_cell(text);
            assert!(cell.starts_with("\"'"), "{cell:?}");
        }
        for text in ["Ada", "33", "a=b", "", "é", "'quoted"] {
            assert_eq!(safe_text(text), text);
        }
    }

    #[test]
    fn a_row_is_quoted_as_the_standard_says() {
        assert_eq!(csv_row(&["Ada", "a \"b\", c", "", "x\ny"]), "Ada,\"a \"\"b\"\", c\",,\"x\ny\"\r\n");
    }

    proptest! {
        #[test]
        fn what_was_made_safe_is_made_plain_again_and_nothing_else_is(text in "['=+ @\\-\t\r\n＝a]{0,8}") {
            let safe = safe_text(&text);
            prop_assert_eq!(plain_text(&safe), text);
            prop_assert!(!is_computed(&safe));
        }
    }
}
