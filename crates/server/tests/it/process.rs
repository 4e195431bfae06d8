//! The server as a process of its own: the one that ships, for tests in which it dies.

#![expect(clippy::print_stdout, reason = "what the server said: shown when it fails")]

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use serde_json::Value;
use tokio::io::{AsyncBufRead, AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

/// Longer than any start takes, or something hangs.
const PATIENCE: Duration = Duration::from_secs(40);

/// A server that is ready; it dies with this value.
pub struct Process {
    pub child: Child,
    /// Where it answers.
    pub origin: String,
    /// Of the administrator, if this start made one.
    pub password: Option<String>,
}

impl Process {
    /// Starts one on a folder and a database, with `more` of its configuration as variables, and waits until it is ready.
    pub async fn start(folder: &Path, database: &str, more: &[(&str, &str)]) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_stagedoor"))
            .args(["serve", "--json-logs"])
            .env_clear()
            .env("STAGEDOOR_DATA_DIR", folder)
            .envs([
                ("STAGEDOOR_DATABASE_URL", database),
                ("STAGEDOOR_HTTP_LISTEN", "127.0.0.1:0"),
                ("STAGEDOOR_RTMP_LISTEN", "127.0.0.1:0"),
            ])
            .envs(more.iter().copied())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let mut log = BufReader::new(child.stderr.take().unwrap());
        let mut said = BufReader::new(child.stdout.take().unwrap());
        let ready = tokio::time::timeout(PATIENCE, line_with(&mut log, "\"ready\"")).await.expect("it starts");
        let ready: Value = serde_json::from_str(&ready.expect("it says that it is ready")).unwrap();
        let origin = format!("http://{}", ready["fields"]["http"].as_str().unwrap());
        // Nobody reads on, and nobody may wait because of that.
        tokio::spawn(async move { while line_with(&mut log, "\u{0}").await.is_some() {} });
        let fresh = tokio::time::timeout(Duration::from_millis(1), line_with(&mut said, "Sign in")).await;
        let password = fresh.ok().flatten().and_then(|line| Some(line.trim().rsplit(' ').next()?.to_owned()));
        Self { child, origin, password }
    }
}

/// The next line with `part` in it; the others are shown when the test fails.
async fn line_with(lines: &mut (impl AsyncBufRead + Unpin), part: &str) -> Option<String> {
    let mut line = String::new();
    while lines.read_line(&mut line).await.unwrap() > 0 {
        if line.contains(part) {
            return Some(line);
        }
        print!("{line}");
        line.clear();
    }
    None
}
