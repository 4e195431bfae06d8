//! `stagedoor reset-password`: a new password for an organiser who lost theirs.

use std::error::Error;
use std::path::PathBuf;

use clap::Args;

use crate::access::{Access, MASTER_KEY, MasterKey};
use crate::config::Config;
use crate::ports::World;
use crate::ports::bus::Bus;
use crate::ports::clock::Clock;
use crate::ports::db::Db;
use crate::ports::random::Random;

/// Whose password, and where.
#[derive(Args, Debug)]
pub struct ResetPasswordArgs {
    /// Configuration file; STAGEDOOR_… variables win over it
    #[arg(long, value_name = "FILE", env = "STAGEDOOR_CONFIG")]
    config: Option<PathBuf>,
    /// The account; without it, the one named in the configuration
    username: Option<String>,
}

/// Sets and prints a new password; all browsers of the account are signed out. The server may be running.
///
/// # Errors
///
/// Whatever keeps it from doing so, in words.
pub async fn run(args: ResetPasswordArgs) -> Result<(), Box<dyn Error + Send + Sync>> {
    let config = Config::load(args.config.as_deref(), std::env::vars())?;
    let username = args.username.unwrap_or_else(|| config.admin.username.clone());
    let db = Db::open(&config.database_url()).await?;
    let world = World { db: db.clone(), clock: Clock::system(), random: Random::system(), bus: Bus::local() };
    let master = MasterKey::load(&config.data_dir, std::env::var(MASTER_KEY).ok().as_deref(), &world.random)?;
    let access = Access::start(world, config.access, &master).await?;
    let reset = access.reset_password(&username).await?;
    db.close().await;
    let reset = reset.ok_or_else(|| format!("there is no account called {username}"))?;
    super::print(&format!("{} / {}", reset.username, reset.password.expose()));
    Ok(())
}
