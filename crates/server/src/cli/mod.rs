//! The command line.

mod demo;
mod doctor;
mod limits;
mod load;
mod reset_password;
mod rotate_key;
mod serve;
mod verify_audit;

use std::error::Error;
use std::io::Write as _;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use crate::telemetry;

/// Live video for those who are invited.
#[derive(Parser)]
#[command(name = "stagedoor", version, about)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run the server
    Serve(serve::ServeArgs),
    /// Run the server with an event, an invitee and a sample broadcast, ready to be looked at
    Demo(demo::DemoArgs),
    /// Be many viewers, and measure what they go through
    Load(load::LoadArgs),
    /// Give an organiser who lost theirs a new password
    ResetPassword(reset_password::ResetPasswordArgs),
    /// Replace the master key while everybody watches
    RotateKey(rotate_key::RotateKeyArgs),
    /// Say what is wrong with this machine, and how to mend it
    Doctor(doctor::DoctorArgs),
    /// Say whether an exported log is whole and unchanged
    VerifyAudit(verify_audit::VerifyAuditArgs),
}

/// Does what the arguments say.
#[must_use]
pub fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return fail(&error),
    };
    runtime.block_on(async {
        match arguments.command {
            Command::Load(args) => load::run(args).await,
            Command::Doctor(args) => doctor::run(args).await,
            Command::ResetPassword(args) => report(reset_password::run(args).await),
            Command::RotateKey(args) => report(rotate_key::run(args).await),
            Command::VerifyAudit(args) => report(verify_audit::run(&args)),
            Command::Serve(args) => {
                telemetry::logs(args.json_logs);
                report(serve::run(args, until_told()).await)
            }
            Command::Demo(args) => {
                telemetry::logs(false);
                report(demo::run(args, until_told()).await)
            }
        }
    })
}

/// Cancelled by Ctrl-C and SIGTERM.
fn until_told() -> CancellationToken {
    // Every viewer is a few connections; what is allowed is asked for.
    limits::raise_files();
    limits::write_no_core();
    let stop = CancellationToken::new();
    let told = stop.clone();
    tokio::spawn(async move {
        let mut terminate = match signal(SignalKind::terminate()) {
            Ok(terminate) => terminate,
            Err(error) => {
                tracing::error!(%error, "SIGTERM cannot be waited for");
                return;
            }
        };
        tokio::select! {
            _ = tokio::signal::ctrl_c() => {}
            _ = terminate.recv() => {}
        }
        told.cancel();
    });
    stop
}

fn report(result: Result<(), Box<dyn Error + Send + Sync>>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(&*error),
    }
}

/// Says on standard error what went wrong, with its causes.
fn fail(error: &(dyn Error + 'static)) -> ExitCode {
    let mut text = format!("stagedoor: {error}");
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(&format!("\n  because {error}"));
        cause = error.source();
    }
    let _nobody_reads = writeln!(std::io::stderr(), "{text}");
    ExitCode::FAILURE
}

/// Prints a result on standard output.
fn print(text: &str) {
    let mut out = std::io::stdout().lock();
    let _nobody_reads = writeln!(out, "{text}").and_then(|()| out.flush());
}
