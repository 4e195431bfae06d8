//! Lists of people as they come out of spreadsheets and go back into them: rows from text, which column is what, cells
//! that no spreadsheet runs as a formula.

mod cell;
mod columns;
mod rows;

pub use cell::{csv_cell, csv_row, plain_text, safe_text};
pub use columns::{Columns, Field, has_header};
pub use rows::{Piece, Problem, ROW_BYTES_MAX, Record, SEPARATORS, Splitter, separator};
