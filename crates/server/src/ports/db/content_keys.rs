//! Keys of broadcasts, sealed.

use stagedoor_domain::id::{ContentKeyId, StreamId};

use super::{Db, DbError};

/// The key of a stretch of segments.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ContentKeyRow {
    /// The name of the row; its 128 bits are the KID.
    pub id: ContentKeyId,
    /// Whose broadcasts.
    pub stream: StreamId,
    /// The first segment that it is used for.
    pub first_msn: u64,
    /// The key and its initialization vector, sealed by the vault.
    pub sealed: Vec<u8>,
}

/// Adds a key.
///
/// # Errors
///
/// Any [`DbError`] of a statement; [`DbError::Gone`] when the stream was deleted.
pub async fn insert(db: &Db, key: &ContentKeyRow) -> Result<(), DbError> {
    let sql = "INSERT INTO content_keys (id, stream_id, first_msn, sealed) VALUES ($1, $2, $3, $4)";
    let mut tx = db.write().await?;
    tx.execute(sql, [key.id.into(), key.stream.into(), key.first_msn.into(), key.sealed.clone().into()]).await?;
    tx.commit().await
}

/// The keys of a stream that segments may still need, oldest first.
///
/// # Errors
///
/// Any [`DbError`] of a statement.
pub async fn of(db: &Db, stream: StreamId) -> Result<Vec<ContentKeyRow>, DbError> {
    let sql = "SELECT id, stream_id, first_msn, sealed FROM content_keys WHERE stream_id = $1 ORDER BY first_msn, id";
    let rows = db.all(sql, [stream.into()]).await?;
    rows.iter()
        .map(|row| {
            Ok(ContentKeyRow {
                id: row.parse("id")?,
                stream: row.parse("stream_id")?,
                first_msn: row.count("first_msn")?,
                sealed: row.bytes("sealed")?,
            })
        })
        .collect()
}

/// Removes the keys of a stream that no segment which is kept needs, of those that began before `msn`. Returns the first
/// one that is needed, if any is.
///
/// # Errors
///
/// Any [`DbError`] of a statement.
pub async fn remove_unused(db: &Db, stream: StreamId, msn: u64) -> Result<Option<u64>, DbError> {
    let mut tx = db.write().await?;
    let sql = "SELECT MIN(key_msn) AS first FROM segments WHERE stream_id = $1";
    let first = match tx.one(sql, [stream.into()]).await? {
        Some(row) => row.count_maybe("first")?,
        None => None,
    };
    let sql = "DELETE FROM content_keys WHERE stream_id = $1 AND first_msn < $2";
    tx.execute(sql, [stream.into(), first.unwrap_or(msn).min(msn).into()]).await?;
    tx.commit().await?;
    Ok(first)
}

#[cfg(test)]
mod tests {
    use super::super::segments::{self, Numbered};
    use super::super::testing::{both, sample};
    use super::*;
    use stagedoor_media::package::StoredSegment;
    use stagedoor_media::{Kind, WallTime};

    fn key(stream: StreamId, first_msn: u64) -> ContentKeyRow {
        let id = ContentKeyId::new(uuid::Uuid::from_u128(u128::from(first_msn) + 1));
        ContentKeyRow { id, stream, first_msn, sealed: vec![7, 8] }
    }

    #[tokio::test]
    async fn keys_are_kept_as_long_as_a_segment_needs_them() {
        both(async |db| {
            let stream = sample::event(&db).await.stream;
            for first_msn in [10, 0, 5] {
                insert(&db, &key(stream, first_msn)).await.unwrap();
            }
            assert_eq!(of(&db, stream).await.unwrap(), [key(stream, 0), key(stream, 5), key(stream, 10)]);
            let segment = StoredSegment {
                msn: 7,
                duration: std::time::Duration::from_secs(2),
                wall: WallTime(1),
                discontinuity: false,
                init: 0,
                gap: false,
                bytes: 1,
                key: Some(5),
            };
            let numbered = Numbered { segment, discontinuity_sequence: 0 };
            segments::insert(&db, stream, Kind::Video, &numbered).await.unwrap();
            assert_eq!(remove_unused(&db, stream, 100).await.unwrap(), Some(5));
            assert_eq!(of(&db, stream).await.unwrap(), [key(stream, 5), key(stream, 10)]);
            segments::delete(&db, stream, Kind::Video, 7).await.unwrap();
            assert_eq!(remove_unused(&db, stream, 10).await.unwrap(), None);
            assert_eq!(of(&db, stream).await.unwrap(), [key(stream, 10)]);
        })
        .await;
    }
}
