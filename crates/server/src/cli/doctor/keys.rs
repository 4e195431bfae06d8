//! Whether the master keys that the rows hang on are at hand.

use std::path::Path;

use sqlx::{ConnectOptions as _, Connection as _};

use super::{Finding, PATIENCE};
use crate::access::{MASTER_KEY, MasterKey};

const CHECK: &str = "master key";
const NAMES: &str = "SELECT value FROM settings WHERE name = 'master_key_fingerprint'";

/// Compares the keys at hand with those in the database; nothing before the first start.
pub(super) async fn check(folder: &Path, url: &str) -> Option<Finding> {
    let asked = tokio::time::timeout(PATIENCE, names(url)).await;
    // A database that cannot be asked is another finding.
    let names = asked.ok()?.ok()?;
    let variable = std::env::var(MASTER_KEY).ok();
    let keys = match variable {
        Some(text) => MasterKey::parse(&text).map(Some),
        None => MasterKey::in_file(folder),
    };
    match keys {
        Ok(keys) => Some(judge(&names, keys.as_ref())),
        Err(error) => {
            Some(Finding::error(CHECK, error.to_string(), "put back a copy of it; docs/operate/keys.md has the form"))
        }
    }
}

async fn names(url: &str) -> Result<String, sqlx::Error> {
    if let Some(path) = url.strip_prefix("sqlite://") {
        let options = sqlx::sqlite::SqliteConnectOptions::new().filename(path).read_only(true);
        let mut connection = options.connect().await?;
        let names = sqlx::query_scalar(NAMES).fetch_one(&mut connection).await?;
        connection.close().await?;
        return Ok(names);
    }
    let mut connection = sqlx::postgres::PgConnection::connect(url).await?;
    let names = sqlx::query_scalar(NAMES).fetch_one(&mut connection).await?;
    connection.close().await?;
    Ok(names)
}

fn judge(names: &str, keys: Option<&MasterKey>) -> Finding {
    let missing: Vec<_> = names.split(' ').filter(|name| keys.is_none_or(|keys| !keys.has(name))).collect();
    if let Some(name) = missing.first() {
        let name = name.get(..8).unwrap_or(name);
        return Finding::error(
            CHECK,
            format!("rows hang on the master key {name}, which is not at hand: the server will not start"),
            format!("put its line back into master.key in the data folder, or behind a comma into {MASTER_KEY}"),
        );
    }
    let (present, older) = keys.map_or((String::new(), 0), |keys| (keys.name(), keys.older()));
    match (names.split(' ').count(), older) {
        (1, 0) => Finding::ok(CHECK, format!("everything hangs on {present}")),
        (1, _) if keys.is_some_and(|keys| keys.fingerprint() == names) => Finding::warning(
            CHECK,
            format!("everything hangs on {present}; the older keys at hand are needed no more"),
            "take them away: `stagedoor rotate-key --finish`, or by hand from the environment",
        ),
        _ => Finding::warning(
            CHECK,
            format!("rows move to {present}, and some may still hang on an older key"),
            "let the server run until `stagedoor rotate-key --status` says that everything hangs on one",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::super::Severity;
    use super::*;
    use crate::access::{Access, rekeyed};
    use crate::config;
    use crate::ports::World;
    use crate::ports::bus::Bus;
    use crate::ports::clock::Clock;
    use crate::ports::db::testing::both;
    use crate::ports::random::Random;

    #[tokio::test]
    async fn keys_at_hand_are_compared_with_those_that_rows_hang_on() {
        both(async |db| {
            let clock = Clock::manual(stagedoor_domain::Time::from_millis(1_795_203_000_000));
            let world = World { db: db.clone(), clock, random: Random::system(), bus: Bus::local() };
            let (old, new) = (MasterKey::new([1; 32]), MasterKey::new([2; 32]));
            let names = async || crate::ports::db::settings::get(&db, "master_key_fingerprint").await.unwrap().unwrap();
            let access = Access::start(world, config::Access::default(), &old).await.unwrap();
            let severity = |names: &str, keys: Option<&MasterKey>| judge(names, keys).severity;
            assert_eq!(severity(&names().await, Some(&old)), Severity::Ok);
            assert_eq!(severity(&names().await, Some(&new)), Severity::Error);
            assert_eq!(severity(&names().await, None), Severity::Error);
            let finding = judge(&names().await, Some(&new));
            assert!(finding.text.contains(&old.name()), "{}", finding.text);
            let both = new.clone().after(&old);
            assert_eq!(severity(&names().await, Some(&both)), Severity::Warning, "it waits for the server");
            access.take_up(&both).await.unwrap();
            assert_eq!(rekeyed(&db).await.unwrap().unwrap().hang_on.len(), 2);
            assert_eq!(severity(&names().await, Some(&both)), Severity::Warning);
            assert_eq!(severity(&names().await, Some(&new)), Severity::Error);
        })
        .await;
    }
}
