//! `stagedoor verify-audit`: whether an exported log is whole and unchanged. Needs nothing but the file.

use std::error::Error;
use std::fs::File;
use std::io::BufReader;
use std::path::PathBuf;

use clap::Args;

use crate::facts::chain;
use crate::facts::verify::verify;

/// Which file, and whose signatures count.
#[derive(Args, Debug)]
pub struct VerifyAuditArgs {
    /// The file that the log was exported to
    file: PathBuf,
    /// The public key that must have signed it, in base64; without it, compare the fingerprint that is printed with the
    /// one you noted
    #[arg(long, value_name = "KEY")]
    key: Option<String>,
}

/// Says that the log is good, or names the first line that is not.
///
/// # Errors
///
/// Whatever is wrong with it, in words.
pub fn run(args: &VerifyAuditArgs) -> Result<(), Box<dyn Error + Send + Sync>> {
    let key = args.key.as_deref().map(|text| chain::read_public(text).ok_or("--key is not a public key in base64"));
    let key = key.transpose()?;
    let name = args.file.display();
    let file = File::open(&args.file).map_err(|error| format!("cannot read {name}: {error}"))?;
    let report = verify(BufReader::new(file), key.as_ref()).map_err(|bad| format!("{name}, {bad}"))?;
    let before = match report.after {
        0 => String::new(),
        after => format!(" (behind the first {after}, which are not in this file)"),
    };
    super::print(&format!(
        "{name} is whole and unchanged: {} entries{before}, {} checkpoints, signed at {}\nkey {}{}",
        report.entries,
        report.checkpoints,
        report.at,
        report.fingerprint,
        if key.is_some() { "" } else { " (compare it with the one you noted: Log, in the control room)" },
    ));
    Ok(())
}
