//! `stagedoor rotate-key`: a new master key, taken up by the running server without sending anybody home.

use std::error::Error;
use std::path::PathBuf;

use clap::Args;

use crate::access::{MASTER_KEY, MasterKey, Rekeyed, rekeyed};
use crate::config::Config;
use crate::ports::db::Db;
use crate::ports::random::Random;

/// Where, and which step.
#[derive(Args, Debug)]
pub struct RotateKeyArgs {
    /// Configuration file; STAGEDOOR_… variables win over it
    #[arg(long, value_name = "FILE", env = "STAGEDOOR_CONFIG")]
    config: Option<PathBuf>,
    /// Say how far it is, and change nothing
    #[arg(long, conflicts_with = "finish")]
    status: bool,
    /// Take away the keys that nothing hangs on any more
    #[arg(long)]
    finish: bool,
}

/// Puts a new key before the present one in the file of the master key; with `--finish`, takes older ones away.
///
/// # Errors
///
/// Whatever keeps it from doing so, in words.
pub async fn run(args: RotateKeyArgs) -> Result<(), Box<dyn Error + Send + Sync>> {
    let config = Config::load(args.config.as_deref(), std::env::vars())?;
    let variable = std::env::var(MASTER_KEY).ok();
    let random = Random::system();
    let db = Db::open(&config.database_url()).await?;
    let state = rekeyed(&db).await?;
    db.close().await;
    let Some(state) = state else { return Err("the server was never started: there is nothing to rotate".into()) };
    if args.status {
        super::print(&status(&state));
        return Ok(());
    }
    if variable.is_some() {
        return Err(by_hand(&state).into());
    }
    let present = MasterKey::load(&config.data_dir, None, &random)?;
    if args.finish {
        return finish(&config, &present, &state);
    }
    if state.hang_on.len() > 1 || present.older() > 0 {
        return Err(format!("a change of keys is not finished: {}", status(&state)).into());
    }
    let new = MasterKey::new(random.bytes()).after(&present);
    let path = new.put_in_file(&config.data_dir)?;
    super::print(&format!(
        "The new master key {} is the first line of {}; {} is the second.\n\
         A running server takes it up within seconds and seals everything anew; one that starts does so then.\n\
         See how far it is:      stagedoor rotate-key --status\n\
         When it is done:        stagedoor rotate-key --finish\n\
         Keep a copy of the file: backups made until then need both keys.",
        new.name(),
        path.display(),
        present.name()
    ));
    Ok(())
}

fn finish(config: &Config, keys: &MasterKey, state: &Rekeyed) -> Result<(), Box<dyn Error + Send + Sync>> {
    if state.hang_on != [keys.name()] {
        return Err(format!("the older keys are still needed: {}", status(state)).into());
    }
    let path = keys.alone().put_in_file(&config.data_dir)?;
    super::print(&format!(
        "{} holds {} alone. Backups from before still need the older keys.",
        path.display(),
        keys.name()
    ));
    Ok(())
}

fn status(state: &Rekeyed) -> String {
    match state.hang_on.as_slice() {
        [key] => format!("everything hangs on the master key {key}"),
        keys => format!(
            "rows hang on the master keys {}; {} of {} secrets were looked at in this pass",
            keys.join(", "),
            state.done,
            state.total
        ),
    }
}

/// What to do when the key is in the environment, which no program can change for another.
fn by_hand(state: &Rekeyed) -> String {
    let now = status(state);
    if state.hang_on.len() > 1 {
        return format!("{MASTER_KEY} is set, and {now}. When one is left, start the server with that one alone.");
    }
    format!(
        "{MASTER_KEY} is set, so the new key goes there: make one with `openssl rand -hex 32`, set {MASTER_KEY} to the new \
         key, a comma and the present one, and restart the server. Now {now}."
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Folder(PathBuf);

    impl Drop for Folder {
        fn drop(&mut self) {
            let _gone = std::fs::remove_dir_all(&self.0);
        }
    }

    #[test]
    fn older_keys_are_taken_away_when_nothing_hangs_on_them_and_not_before() {
        let folder = Folder(std::env::temp_dir().join(format!("stagedoor-rotate-{}", std::process::id())));
        std::fs::create_dir_all(&folder.0).unwrap();
        let config = Config { data_dir: folder.0.clone(), ..Config::default() };
        let old = MasterKey::new([1; 32]);
        let both = MasterKey::new([2; 32]).after(&old);
        both.put_in_file(&folder.0).unwrap();
        let state = |hang_on: Vec<String>| Rekeyed { hang_on, done: 3, total: 7 };
        let refused = finish(&config, &both, &state(vec![old.name(), both.name()])).unwrap_err().to_string();
        assert!(refused.contains("3 of 7") && refused.contains(&old.name()), "{refused}");
        assert!(finish(&config, &both, &state(vec![old.name()])).is_err());
        assert_eq!(MasterKey::in_file(&folder.0).unwrap().unwrap().older(), 1);
        finish(&config, &both, &state(vec![both.name()])).unwrap();
        assert_eq!(MasterKey::in_file(&folder.0).unwrap().unwrap().names(), [both.name()]);
    }
}
