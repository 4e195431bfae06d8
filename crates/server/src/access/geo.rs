//! Where an address is, as far as a database on this machine knows. Nobody is asked over the network.
//!
//! The database is read into memory and read again when its file changes, so that a new one takes effect without a
//! restart. A file that cannot be read, or is gone, leaves the last good one in use.

use std::fmt;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use arc_swap::ArcSwapOption;
use maxminddb::{MaxMindDbError, Reader, geoip2};
use stagedoor_domain::event::Country;
use stagedoor_domain::risk::travel::Spot;

/// Letters of a city's or country's name that are kept: it is shown in one line.
const NAME_CHARS_MAX: usize = 60;
/// What a place is called that nobody knows.
pub(super) const UNKNOWN_PLACE: &str = "unknown place";
/// How often the file is looked at.
const LOOK_EVERY: Duration = Duration::from_secs(10);

/// Where addresses are. Without a database, nowhere that is known.
#[derive(Default)]
pub struct Geo {
    database: ArcSwapOption<Database>,
    file: Mutex<File>,
}

#[derive(Debug, Default)]
struct File {
    path: Option<PathBuf>,
    /// What it looked like when it was last read, also when that failed: it is not read again until it changes.
    seen: Option<(SystemTime, u64)>,
    /// When it was last looked at, on the monotonic clock.
    looked: Option<Duration>,
}

struct Database {
    reader: Reader<Vec<u8>>,
    about: About,
}

/// What a database says about itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct About {
    /// `GeoLite2-City`, for one.
    pub kind: String,
    /// When it was made.
    pub built_at: stagedoor_domain::Time,
}

/// Why a database cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum GeoError {
    /// The file cannot be read.
    #[error("the file cannot be read")]
    File(#[from] std::io::Error),
    /// It is no MaxMind database.
    #[error("the file is no MaxMind database")]
    Format(#[from] MaxMindDbError),
}

/// Where somebody is, as far as anybody knows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Place {
    /// The country's two letters.
    pub country: Option<Country>,
    /// The country's name in English.
    pub country_name: Option<String>,
    /// The city's name in English.
    pub city: Option<String>,
    /// Latitude and longitude in thousandths of a degree.
    pub at: Option<(i32, i32)>,
}

impl Place {
    /// As much of it as distances are judged by.
    #[must_use]
    pub fn spot(&self) -> Spot {
        let degrees = |thousandths: i32| f64::from(thousandths) / 1_000.0;
        Spot { country: self.country, at: self.at.map(|(latitude, longitude)| (degrees(latitude), degrees(longitude))) }
    }
}

impl fmt::Display for Place {
    /// `Lyon, France`, `France`, `FR` or `unknown place`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let country = self.country_name.as_deref().or(self.country.as_ref().map(Country::as_str));
        match (&self.city, country) {
            (Some(city), Some(country)) => write!(f, "{city}, {country}"),
            (Some(one), None) => f.write_str(one),
            (None, Some(one)) => f.write_str(one),
            (None, None) => f.write_str(UNKNOWN_PLACE),
        }
    }
}

impl fmt::Debug for Geo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Geo").field("database", &self.about()).finish_non_exhaustive()
    }
}

impl Geo {
    /// Reads addresses from `path` from now on.
    ///
    /// # Errors
    ///
    /// [`GeoError`] when it cannot be read now; it is tried again when the file changes.
    pub async fn read_from(&self, path: &Path) -> Result<(), GeoError> {
        *self.file() = File { path: Some(path.to_owned()), ..File::default() };
        self.look(path).await
    }

    /// Reads the file again if it changed, looking at most every ten seconds; `now` is monotonic. One turn of the
    /// background task.
    pub async fn refresh(&self, now: Duration) {
        let path = {
            let mut file = self.file();
            if file.looked.is_some_and(|looked| now.saturating_sub(looked) < LOOK_EVERY) {
                return;
            }
            file.looked = Some(now);
            file.path.clone()
        };
        if let Some(path) = path
            && let Err(error) = self.look(&path).await
        {
            tracing::warn!(error = &error as &dyn std::error::Error, "the database of places cannot be read");
        }
    }

    async fn look(&self, path: &Path) -> Result<(), GeoError> {
        let about = tokio::fs::metadata(path).await?;
        let seen = Some((about.modified()?, about.len()));
        if std::mem::replace(&mut self.file().seen, seen) == seen {
            return Ok(());
        }
        let database = Database::new(tokio::fs::read(path).await?)?;
        self.database.store(Some(Arc::new(database)));
        Ok(())
    }

    fn file(&self) -> std::sync::MutexGuard<'_, File> {
        self.file.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What the database in use says about itself.
    #[must_use]
    pub fn about(&self) -> Option<About> {
        self.database.load().as_ref().map(|database| database.about.clone())
    }

    /// Where `address` is. A record that cannot be understood is no knowledge.
    #[must_use]
    pub fn place(&self, address: IpAddr) -> Place {
        let database = self.database.load();
        let Some(database) = database.as_ref() else { return Place::default() };
        let found = database.reader.lookup(address.to_canonical()).and_then(|found| found.decode::<geoip2::City>());
        let Ok(Some(record)) = found else { return Place::default() };
        Place {
            country: record.country.iso_code.and_then(|code| code.parse().ok()),
            country_name: record.country.names.english.map(name),
            city: record.city.names.english.map(name),
            at: thousandths(record.location.latitude).zip(thousandths(record.location.longitude)),
        }
    }
}

impl Database {
    fn new(bytes: Vec<u8>) -> Result<Self, MaxMindDbError> {
        let reader = Reader::from_source(bytes)?;
        let metadata = reader.metadata();
        let built_ms = i64::try_from(metadata.build_epoch).unwrap_or(0).saturating_mul(1_000);
        let about =
            About { kind: name(&metadata.database_type), built_at: stagedoor_domain::Time::from_millis(built_ms) };
        Ok(Self { reader, about })
    }
}

/// A coordinate that makes sense.
fn thousandths(degrees: Option<f64>) -> Option<i32> {
    let degrees = degrees.filter(|degrees| degrees.abs() <= 180.0)?;
    // In range: exact enough for a city.
    Some((degrees * 1_000.0).round() as i32)
}

/// A name that fits into a line.
fn name(text: &str) -> String {
    text.chars().filter(|letter| !letter.is_control()).take(NAME_CHARS_MAX).collect()
}

#[cfg(test)]
mod tests {
    use stagedoor_testkit::geo::{Database, sample};

    use super::*;

    struct Folder(PathBuf);

    impl Folder {
        fn new(name: &str) -> Self {
            let path = std::env::temp_dir().join(format!("stagedoor-geo-{name}-{}", std::process::id()));
            std::fs::create_dir_all(&path).unwrap();
            Self(path)
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            let _ = std::fs::remove_dir_all(&self.0);
        }
    }

    #[tokio::test]
    async fn addresses_are_at_their_places() {
        let folder = Folder::new("places");
        let path = folder.0.join("places.mmdb");
        std::fs::write(&path, Database::sample().bytes()).unwrap();
        let geo = Geo::default();
        assert_eq!(geo.place(sample::LYON).to_string(), "unknown place", "no database yet");
        geo.read_from(&path).await.unwrap();
        for (address, place, country) in [
            (sample::LYON, "Lyon, France", Some("FR")),
            (sample::BERLIN, "Berlin, Germany", Some("DE")),
            (sample::FRANCE, "France", Some("FR")),
            (sample::NOWHERE, "unknown place", None),
            ("127.0.0.1".parse().unwrap(), "Lyon, France", Some("FR")),
            ("::ffff:198.51.100.7".parse().unwrap(), "Berlin, Germany", Some("DE")),
            ("2001:db9::1".parse().unwrap(), "unknown place", None),
        ] {
            let found = geo.place(address);
            assert_eq!((found.to_string().as_str(), found.country.as_ref().map(Country::as_str)), (place, country));
        }
        assert_eq!(geo.about().unwrap().kind, "Test-City");
    }

    #[tokio::test]
    async fn a_new_file_is_read_and_a_broken_or_missing_one_leaves_the_last_good_one() {
        let folder = Folder::new("changes");
        let path = folder.0.join("places.mmdb");
        let geo = Geo::default();
        assert!(matches!(geo.read_from(&path).await, Err(GeoError::File(_))));
        std::fs::write(&path, Database::sample().bytes()).unwrap();
        geo.refresh(Duration::from_secs(1)).await;
        assert_eq!(geo.place(sample::LYON).to_string(), "Lyon, France", "it is there now");

        std::fs::write(&path, b"no database").unwrap();
        geo.refresh(Duration::from_secs(5)).await;
        geo.refresh(Duration::from_secs(20)).await;
        assert_eq!(geo.place(sample::LYON).to_string(), "Lyon, France");
        std::fs::remove_file(&path).unwrap();
        geo.refresh(Duration::from_secs(40)).await;
        assert_eq!(geo.place(sample::LYON).to_string(), "Lyon, France");

        let moved = Database::default().city("203.0.113.0", 24, "BE", "Belgium", "Liège");
        std::fs::write(&path, moved.bytes()).unwrap();
        geo.refresh(Duration::from_secs(45)).await;
        assert_eq!(geo.place(sample::LYON).to_string(), "Lyon, France", "looked at a moment ago");
        geo.refresh(Duration::from_secs(60)).await;
        assert_eq!(geo.place(sample::LYON).to_string(), "Liège, Belgium");
    }

    #[test]
    fn no_bytes_make_it_panic() {
        let whole = Database::sample().bytes();
        for cut in (0..whole.len()).step_by(7) {
            let _ = super::Database::new(whole[..cut].to_vec());
        }
        for at in 0..whole.len() {
            for flip in [0x01, 0x80, 0xff] {
                let mut broken = whole.clone();
                broken[at] ^= flip;
                if let Ok(database) = super::Database::new(broken) {
                    let geo = Geo::default();
                    geo.database.store(Some(Arc::new(database)));
                    for address in [sample::LYON, sample::BERLIN, sample::FRANCE, sample::NOWHERE] {
                        let _ = geo.place(address);
                    }
                }
            }
        }
    }
}
