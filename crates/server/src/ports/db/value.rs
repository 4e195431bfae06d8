//! Arguments and rows, so that a query is written once and not once per database.

use std::str::FromStr;
use std::time::Duration;

use sqlx::postgres::PgRow;
use sqlx::sqlite::SqliteRow;
use sqlx::{ColumnIndex, Decode, Postgres, Row as _, Sqlite, Type};
use stagedoor_domain::Time;

use super::DbError;

/// An argument of a query. Also an absent one has a type: PostgreSQL wants to know.
#[derive(Clone, Debug)]
pub enum Value {
    /// TEXT
    Text(Option<String>),
    /// BIGINT
    Int(Option<i64>),
    /// BOOLEAN
    Bool(Option<bool>),
    /// BYTEA
    Bytes(Option<Vec<u8>>),
}

macro_rules! from {
    ($($source:ty => |$value:ident| $variant:ident($convert:expr);)*) => {$(
        impl From<$source> for Value {
            fn from($value: $source) -> Self {
                Self::$variant(Some($convert))
            }
        }
        impl From<Option<$source>> for Value {
            fn from(value: Option<$source>) -> Self {
                Self::$variant(value.map(|$value| $convert))
            }
        }
    )*};
}

from! {
    &str => |value| Text(value.to_owned());
    String => |value| Text(value);
    i64 => |value| Int(value);
    u32 => |value| Int(i64::from(value));
    bool => |value| Bool(value);
    Vec<u8> => |value| Bytes(value);
    [u8; 32] => |value| Bytes(value.to_vec());
    Time => |value| Int(value.millis());
    Duration => |value| Int(i64::try_from(value.as_millis()).unwrap_or(i64::MAX));
}

impl From<u64> for Value {
    /// Counters stay far below 2^63; one that does not is stored as 2^63 - 1.
    fn from(value: u64) -> Self {
        Self::Int(Some(i64::try_from(value).unwrap_or(i64::MAX)))
    }
}

impl From<Option<u64>> for Value {
    /// As for a counter that is there.
    fn from(value: Option<u64>) -> Self {
        Self::Int(value.map(|value| i64::try_from(value).unwrap_or(i64::MAX)))
    }
}

macro_rules! from_ids {
    ($($id:ident),*) => {$(
        impl From<stagedoor_domain::id::$id> for Value {
            fn from(id: stagedoor_domain::id::$id) -> Self {
                Self::Text(Some(id.to_string()))
            }
        }
        impl From<Option<stagedoor_domain::id::$id>> for Value {
            fn from(id: Option<stagedoor_domain::id::$id>) -> Self {
                Self::Text(id.map(|id| id.to_string()))
            }
        }
    )*};
}
from_ids!(
    EventId,
    StreamId,
    BroadcastId,
    SessionId,
    InvitationId,
    UserId,
    KeyId,
    TokenId,
    FactId,
    TeamId,
    ImportId,
    SendId,
    RenewalId,
    MessageId,
    TakeoverId,
    WebhookId,
    DeliveryId,
    IncidentId,
    PasskeyId,
    BrowserId,
    ContentKeyId
);

/// A row of an answer; columns are asked for by name.
#[derive(Debug)]
pub struct Row(Inner);

#[derive(Debug)]
enum Inner {
    Sqlite(Box<SqliteRow>),
    Postgres(Box<PgRow>),
}

impl From<SqliteRow> for Row {
    fn from(row: SqliteRow) -> Self {
        Self(Inner::Sqlite(Box::new(row)))
    }
}

impl From<PgRow> for Row {
    fn from(row: PgRow) -> Self {
        Self(Inner::Postgres(Box::new(row)))
    }
}

/// Every getter fails with [`DbError::Failed`] for a column that is missing or of another type, and with
/// [`DbError::Corrupt`] for a value that the domain does not know.
#[expect(clippy::missing_errors_doc, reason = "said once, above")]
impl Row {
    fn get<'r, T>(&'r self, column: &str) -> Result<T, DbError>
    where
        T: Decode<'r, Sqlite> + Type<Sqlite> + Decode<'r, Postgres> + Type<Postgres>,
        for<'c> &'c str: ColumnIndex<SqliteRow> + ColumnIndex<PgRow>,
    {
        Ok(match &self.0 {
            Inner::Sqlite(row) => row.try_get(column)?,
            Inner::Postgres(row) => row.try_get(column)?,
        })
    }

    /// A text.
    pub fn text(&self, column: &str) -> Result<String, DbError> {
        self.get(column)
    }

    /// A number.
    pub fn int(&self, column: &str) -> Result<i64, DbError> {
        self.get(column)
    }

    /// A number, or nothing.
    pub fn int_maybe(&self, column: &str) -> Result<Option<i64>, DbError> {
        self.get(column)
    }

    /// A number that is never negative.
    pub fn count(&self, column: &str) -> Result<u64, DbError> {
        u64::try_from(self.int(column)?).map_err(|_| DbError::Corrupt(column.to_owned()))
    }

    /// A number that is never negative, or nothing.
    pub fn count_maybe(&self, column: &str) -> Result<Option<u64>, DbError> {
        let number = self.int_maybe(column)?;
        number.map(|number| u64::try_from(number).map_err(|_| DbError::Corrupt(column.to_owned()))).transpose()
    }

    /// A truth value.
    pub fn bool(&self, column: &str) -> Result<bool, DbError> {
        self.get(column)
    }

    /// Bytes.
    pub fn bytes(&self, column: &str) -> Result<Vec<u8>, DbError> {
        self.get(column)
    }

    /// Bytes, or nothing.
    pub fn bytes_maybe(&self, column: &str) -> Result<Option<Vec<u8>>, DbError> {
        self.get(column)
    }

    /// A number of things that fits 32 bits.
    pub fn small(&self, column: &str) -> Result<u32, DbError> {
        u32::try_from(self.int(column)?).map_err(|_| DbError::Corrupt(column.to_owned()))
    }

    /// A number of things, or nothing.
    pub fn small_maybe(&self, column: &str) -> Result<Option<u32>, DbError> {
        let value: Option<i64> = self.get(column)?;
        value.map(|value| u32::try_from(value).map_err(|_| DbError::Corrupt(column.to_owned()))).transpose()
    }

    /// A text, or nothing.
    pub fn text_maybe(&self, column: &str) -> Result<Option<String>, DbError> {
        self.get(column)
    }

    /// A hash.
    pub fn digest(&self, column: &str) -> Result<[u8; 32], DbError> {
        self.bytes(column)?.try_into().map_err(|_| DbError::Corrupt(column.to_owned()))
    }

    /// 32 bytes, or nothing.
    pub fn digest_maybe(&self, column: &str) -> Result<Option<[u8; 32]>, DbError> {
        let bytes = self.bytes_maybe(column)?;
        bytes.map(|bytes| bytes.try_into().map_err(|_| DbError::Corrupt(column.to_owned()))).transpose()
    }

    /// A moment.
    pub fn time(&self, column: &str) -> Result<Time, DbError> {
        Ok(Time::from_millis(self.int(column)?))
    }

    /// A moment, or nothing.
    pub fn time_maybe(&self, column: &str) -> Result<Option<Time>, DbError> {
        Ok(self.get::<Option<i64>>(column)?.map(Time::from_millis))
    }

    /// A duration in milliseconds.
    pub fn duration(&self, column: &str) -> Result<Duration, DbError> {
        Ok(Duration::from_millis(self.count(column)?))
    }

    /// Anything with a text form, such as an id.
    pub fn parse<T: FromStr>(&self, column: &str) -> Result<T, DbError> {
        self.text(column)?.parse().map_err(|_| DbError::Corrupt(column.to_owned()))
    }

    /// Anything with a text form, or nothing.
    pub fn parse_maybe<T: FromStr>(&self, column: &str) -> Result<Option<T>, DbError> {
        let text: Option<String> = self.get(column)?;
        text.map(|text| text.parse().map_err(|_| DbError::Corrupt(column.to_owned()))).transpose()
    }

    /// A text that `read` knows.
    pub fn known<T>(&self, column: &str, read: impl FnOnce(&str) -> Option<T>) -> Result<T, DbError> {
        read(&self.text(column)?).ok_or_else(|| DbError::Corrupt(column.to_owned()))
    }
}
