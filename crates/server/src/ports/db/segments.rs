//! Finished segments of live windows: what a restarted process needs to go on where the one before it stopped.

use std::time::Duration;

use stagedoor_domain::id::StreamId;
use stagedoor_media::package::StoredSegment;
use stagedoor_media::{Kind, WallTime};

use super::{Db, DbError, Row};

/// A finished segment, and how many discontinuities there were on its stream up to and including it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Numbered {
    /// The segment.
    pub segment: StoredSegment,
    /// Discontinuities, its own included.
    pub discontinuity_sequence: u64,
}

/// Adds a finished segment; one that is there already stays as it is.
///
/// # Errors
///
/// Any [`DbError`] of a statement.
pub async fn insert(db: &Db, stream: StreamId, kind: Kind, numbered: &Numbered) -> Result<(), DbError> {
    let Numbered { segment, discontinuity_sequence } = numbered;
    let sql = "INSERT INTO segments (stream_id, kind, msn, duration_us, wall_ms, discontinuity, discontinuity_sequence, \
        gap, init_id, bytes, key_msn) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11) \
        ON CONFLICT (stream_id, kind, msn) DO NOTHING";
    let duration_us = i64::try_from(segment.duration.as_micros()).unwrap_or(i64::MAX);
    let mut tx = db.write().await?;
    let values = [
        stream.into(),
        kind.as_str().into(),
        segment.msn.into(),
        duration_us.into(),
        segment.wall.0.into(),
        segment.discontinuity.into(),
        (*discontinuity_sequence).into(),
        segment.gap.into(),
        segment.init.into(),
        segment.bytes.into(),
        segment.key.into(),
    ];
    tx.execute(sql, values).await?;
    tx.commit().await
}

/// All segments of a rendition, oldest first.
///
/// # Errors
///
/// Any [`DbError`] of a statement.
pub async fn of(db: &Db, stream: StreamId, kind: Kind) -> Result<Vec<Numbered>, DbError> {
    let sql = "SELECT msn, duration_us, wall_ms, discontinuity, discontinuity_sequence, gap, init_id, bytes, key_msn \
        FROM segments WHERE stream_id = $1 AND kind = $2 ORDER BY msn";
    db.all(sql, [stream.into(), kind.as_str().into()]).await?.iter().map(read).collect()
}

fn read(row: &Row) -> Result<Numbered, DbError> {
    let segment = StoredSegment {
        msn: row.count("msn")?,
        duration: Duration::from_micros(row.count("duration_us")?),
        wall: WallTime(row.int("wall_ms")?),
        discontinuity: row.bool("discontinuity")?,
        gap: row.bool("gap")?,
        init: u32::try_from(row.count("init_id")?).map_err(|_| DbError::Corrupt("init_id".to_owned()))?,
        bytes: row.count("bytes")?,
        key: row.count_maybe("key_msn")?,
    };
    Ok(Numbered { segment, discontinuity_sequence: row.count("discontinuity_sequence")? })
}

/// The segments below `msn`, of both renditions.
///
/// # Errors
///
/// Any [`DbError`] of a statement.
pub async fn below(db: &Db, stream: StreamId, msn: u64) -> Result<Vec<(Kind, u64)>, DbError> {
    let sql = "SELECT kind, msn FROM segments WHERE stream_id = $1 AND msn < $2 ORDER BY msn";
    let kind = |name: &str| [Kind::Video, Kind::Audio].into_iter().find(|kind| kind.as_str() == name);
    let rows = db.all(sql, [stream.into(), msn.into()]).await?;
    rows.iter().map(|row| Ok((row.known("kind", kind)?, row.count("msn")?))).collect()
}

/// Removes a segment, if it is there.
///
/// # Errors
///
/// Any [`DbError`] of a statement.
pub async fn delete(db: &Db, stream: StreamId, kind: Kind, msn: u64) -> Result<(), DbError> {
    let mut tx = db.write().await?;
    let sql = "DELETE FROM segments WHERE stream_id = $1 AND kind = $2 AND msn = $3";
    tx.execute(sql, [stream.into(), kind.as_str().into(), msn.into()]).await?;
    tx.commit().await
}

#[cfg(test)]
mod tests {
    use super::super::testing::{both, sample};
    use super::*;

    fn segment(msn: u64) -> Numbered {
        let segment = StoredSegment {
            msn,
            duration: Duration::from_micros(2_002_333),
            wall: WallTime(1_700_000_000_123),
            discontinuity: msn == 7,
            gap: msn == 8,
            init: 3,
            bytes: 250_000,
            key: (msn != 9).then_some(5),
        };
        Numbered { segment, discontinuity_sequence: 4 }
    }

    #[tokio::test]
    async fn segments_come_back_as_they_were_in_their_order() {
        both(async |db| {
            let stream = sample::event(&db).await.stream;
            for msn in [8, 7, 9, 7] {
                insert(&db, stream, Kind::Video, &segment(msn)).await.unwrap();
            }
            insert(&db, stream, Kind::Audio, &segment(7)).await.unwrap();
            assert_eq!(of(&db, stream, Kind::Video).await.unwrap(), [segment(7), segment(8), segment(9)]);
            let mut old = below(&db, stream, 8).await.unwrap();
            old.sort();
            assert_eq!(old, [(Kind::Video, 7), (Kind::Audio, 7)]);
            delete(&db, stream, Kind::Video, 7).await.unwrap();
            delete(&db, stream, Kind::Video, 7).await.unwrap();
            assert_eq!(of(&db, stream, Kind::Video).await.unwrap(), [segment(8), segment(9)]);
        })
        .await;
    }
}
