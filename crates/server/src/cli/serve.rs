//! `stagedoor serve`: the server as it is configured.

use std::error::Error;
use std::path::PathBuf;

use clap::Args;
use tokio_util::sync::CancellationToken;

use crate::app::App;
use crate::config::Config;
use crate::deliver::TokenCheck;

/// What the server can be told; everything else is in its configuration.
#[derive(Args, Debug)]
pub struct ServeArgs {
    /// Configuration file; STAGEDOOR_… variables win over it
    #[arg(long, value_name = "FILE", env = "STAGEDOOR_CONFIG")]
    config: Option<PathBuf>,
    /// Log as JSON, one object a line
    #[arg(long)]
    pub json_logs: bool,
}

/// Serves until `stop`.
///
/// # Errors
///
/// Whatever keeps it from starting, in words.
pub async fn run(args: ServeArgs, stop: CancellationToken) -> Result<(), Box<dyn Error + Send + Sync>> {
    let config = Config::load(args.config.as_deref(), std::env::vars())?;
    let app = App::build(config, TokenCheck::EveryRequest).await?;
    if let Some(admin) = &app.first_admin {
        super::print(&format!(
            "\n  The first administrator was made. This is the only time the password is shown.\n\n  \
             Sign in   {} / {}\n",
            admin.username,
            admin.password.expose()
        ));
    }
    if let Some((https, rtmps)) = app.tls_addresses() {
        tracing::info!(%https, %rtmps, "encrypted doors");
    }
    tracing::info!(http = %app.http_address()?, rtmp = %app.rtmp_address()?, "ready");
    app.run(stop).await;
    Ok(())
}
