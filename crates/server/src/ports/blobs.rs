//! Stored bytes: segments and headers that have left memory.
//!
//! Keys are typed, so that no name from outside ever becomes a path. Writes are atomic: a reader sees all of a blob or
//! none of it. Absent on purpose: listing, attributes and signing; what exists is known to the database.

use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::StreamExt as _;
use object_store::local::LocalFileSystem;
use object_store::memory::InMemory;
use object_store::{ObjectStore, ObjectStoreExt as _, PutPayload};
use stagedoor_domain::id::StreamId;
use stagedoor_media::Kind;

/// The name of a blob.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Key {
    /// The header of a rendition.
    Init(StreamId, Kind, u32),
    /// A finished segment.
    Segment(StreamId, Kind, u64),
    /// The newest multivariant playlist.
    Multivariant(StreamId),
}

impl Key {
    fn path(self) -> object_store::path::Path {
        let text = match self {
            Self::Init(stream, kind, id) => format!("live/{stream}/{}/init.{id}.mp4", kind.as_str()),
            Self::Segment(stream, kind, msn) => format!("live/{stream}/{}/{msn}.m4s", kind.as_str()),
            Self::Multivariant(stream) => format!("live/{stream}/index.m3u8"),
        };
        object_store::path::Path::from(text)
    }
}

/// The store refused or failed.
#[derive(Debug, thiserror::Error)]
#[error("stored bytes cannot be {action}")]
pub struct BlobError {
    action: &'static str,
    #[source]
    source: object_store::Error,
}

/// A place for bytes.
#[derive(Clone)]
pub struct Blobs(Arc<dyn ObjectStore>);

impl Blobs {
    /// Files under `folder`, which exists.
    ///
    /// # Errors
    ///
    /// [`BlobError`] when the folder cannot be used.
    pub fn folder(folder: &Path) -> Result<Self, BlobError> {
        let store =
            LocalFileSystem::new_with_prefix(folder).map_err(|source| BlobError { action: "opened", source })?;
        Ok(Self(Arc::new(store)))
    }

    /// Memory, for tests.
    #[must_use]
    pub fn memory() -> Self {
        Self(Arc::new(InMemory::new()))
    }

    /// Stores `pieces`, one after the other, under `key`.
    ///
    /// # Errors
    ///
    /// [`BlobError`]; nothing is visible under `key` then, or what was there before.
    pub async fn put(&self, key: Key, pieces: Vec<Bytes>) -> Result<(), BlobError> {
        let payload: PutPayload = pieces.into_iter().collect();
        self.0.put(&key.path(), payload).await.map_err(|source| BlobError { action: "written", source })?;
        Ok(())
    }

    /// The bytes under `key`, whole; `None` when there are none.
    ///
    /// # Errors
    ///
    /// [`BlobError`] when the store fails.
    pub async fn get(&self, key: Key) -> Result<Option<Bytes>, BlobError> {
        let read = async { self.0.get(&key.path()).await?.bytes().await };
        match read.await {
            Ok(bytes) => Ok(Some(bytes)),
            Err(object_store::Error::NotFound { .. }) => Ok(None),
            Err(source) => Err(BlobError { action: "read", source }),
        }
    }

    /// Removes everything of a stream.
    ///
    /// # Errors
    ///
    /// [`BlobError`] when the store fails; some may be left then.
    pub async fn delete_all(&self, stream: StreamId) -> Result<(), BlobError> {
        let prefix = object_store::path::Path::from(format!("live/{stream}"));
        let mut found = self.0.list(Some(&prefix));
        while let Some(blob) = found.next().await {
            let deleted = async { self.0.delete(&blob?.location).await };
            match deleted.await {
                Ok(()) | Err(object_store::Error::NotFound { .. }) => {}
                Err(source) => return Err(BlobError { action: "deleted", source }),
            }
        }
        Ok(())
    }

    /// Removes what is under `key`, if anything.
    ///
    /// # Errors
    ///
    /// [`BlobError`] when the store fails.
    pub async fn delete(&self, key: Key) -> Result<(), BlobError> {
        match self.0.delete(&key.path()).await {
            Ok(()) | Err(object_store::Error::NotFound { .. }) => Ok(()),
            Err(source) => Err(BlobError { action: "deleted", source }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_is_put_is_read_until_it_is_deleted_on_disk_and_in_memory() {
        let folder = std::env::temp_dir().join(format!("stagedoor-blobs-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        for blobs in [Blobs::memory(), Blobs::folder(&folder).unwrap()] {
            let key = Key::Segment(StreamId::new(uuid::Uuid::from_u128(7)), Kind::Video, 812);
            assert_eq!(blobs.get(key).await.unwrap(), None);
            blobs.put(key, vec![Bytes::from("ab"), Bytes::from("c")]).await.unwrap();
            assert_eq!(blobs.get(key).await.unwrap().as_deref(), Some(b"abc".as_slice()));
            blobs.delete(key).await.unwrap();
            blobs.delete(key).await.unwrap();
            assert_eq!(blobs.get(key).await.unwrap(), None);

            let other = Key::Init(StreamId::new(uuid::Uuid::from_u128(8)), Kind::Audio, 0);
            blobs.put(key, vec![Bytes::from("a")]).await.unwrap();
            blobs.put(other, vec![Bytes::from("b")]).await.unwrap();
            blobs.delete_all(StreamId::new(uuid::Uuid::from_u128(7))).await.unwrap();
            assert_eq!(blobs.get(key).await.unwrap(), None);
            assert!(blobs.get(other).await.unwrap().is_some());
        }
        std::fs::remove_dir_all(&folder).unwrap();
    }
}
