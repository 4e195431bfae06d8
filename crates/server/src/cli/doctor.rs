//! `stagedoor doctor`: what is wrong with this machine, each finding with its fix in words.
//!
//! Each check looks at one thing, changes nothing (but for a file it removes again), takes a few seconds at most and
//! never stops the others. It deliberately does not repair.

mod certificate;
mod keys;

use std::fs;
use std::io::{self, Write};
use std::net::{IpAddr, SocketAddr, TcpListener, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::{ExitCode, Stdio};
use std::time::{Duration, SystemTime};

use clap::Args;
use serde::Serialize;
use sqlx::{ConnectOptions as _, Connection as _};

use super::limits;
use crate::access::PublishTokens;
use crate::config::Config;

/// A check that takes longer is a finding itself.
const PATIENCE: Duration = Duration::from_secs(10);
/// Debian 12's; older ones lack what we pass them.
const FFMPEG_MIN: (u32, u32) = (5, 1);
/// Connections of a viewer at a time: picture, sound, and the page's feed.
const FILES_PER_VIEWER: u64 = 3;
/// Files beside the viewers': database, storage, publishers, listeners.
const FILES_BESIDE: u64 = 1024;
const GIB: u64 = 1024 * 1024 * 1024;
/// Less free space than this and recordings, spilled segments and the database soon fail.
const SPACE_ERROR: u64 = GIB / 2;
/// Less than this (or 10 %) and it is time to act.
const SPACE_WARNING: u64 = 5 * GIB;
/// A clock that says less than this (2026-01-01, in seconds) is wrong.
const CLOCK_MIN_S: u64 = 1_767_225_600;
/// Clocks may differ by this much before tokens and playlists are affected.
const SKEW_MAX: Duration = Duration::from_secs(1);
/// Files in the data folder may be this much newer than now (rounding of file systems).
const FUTURE_MAX: Duration = Duration::from_secs(60);

/// Arguments of `stagedoor doctor`.
#[derive(Debug, Clone, Args)]
pub struct DoctorArgs {
    /// Configuration to judge, with the STAGEDOOR_… variables over it, as the server reads them.
    #[arg(long, value_name = "FILE", env = "STAGEDOOR_CONFIG")]
    pub config: Option<PathBuf>,

    /// Another address for the web server.
    #[arg(long, value_name = "ADDRESS")]
    pub http: Option<SocketAddr>,

    /// Another address for publishers.
    #[arg(long, value_name = "ADDRESS")]
    pub rtmp: Option<SocketAddr>,

    /// Another folder for everything that is kept.
    #[arg(long, value_name = "FOLDER")]
    pub data_dir: Option<PathBuf>,

    /// Host name under which viewers and encoders reach this machine by TLS, when it is not that of http.public_url.
    #[arg(long, value_name = "NAME")]
    pub tls_name: Option<String>,

    /// Viewers that are expected at a time.
    #[arg(long, default_value_t = 1000, value_name = "N")]
    pub viewers: u64,

    /// Print one JSON object instead of the table.
    #[arg(long)]
    pub json: bool,
}

/// How bad a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Nothing to do.
    Ok,
    /// It runs, but something will be missing or will fail later.
    Warning,
    /// It will not run.
    Error,
}

/// What one check found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// Name of the check, such as `port.rtmp`.
    pub check: &'static str,
    /// How bad.
    pub severity: Severity,
    /// What is so.
    pub text: String,
    /// What to do about it; present unless all is well.
    pub fix: Option<String>,
}

impl Finding {
    fn ok(check: &'static str, text: impl Into<String>) -> Finding {
        Finding { check, severity: Severity::Ok, text: text.into(), fix: None }
    }

    fn warning(check: &'static str, text: impl Into<String>, fix: impl Into<String>) -> Finding {
        Finding { check, severity: Severity::Warning, text: text.into(), fix: Some(fix.into()) }
    }

    fn error(check: &'static str, text: impl Into<String>, fix: impl Into<String>) -> Finding {
        Finding { check, severity: Severity::Error, text: text.into(), fix: Some(fix.into()) }
    }
}

/// The result as JSON.
#[derive(Debug, Serialize)]
struct Report<'a> {
    worst: Severity,
    findings: &'a [Finding],
}

/// Runs all checks and prints the findings on standard output.
///
/// Exit code 0: it can run (there may be warnings). 1: something must be fixed first.
pub async fn run(args: DoctorArgs) -> ExitCode {
    let findings = examine(&args).await;
    let worst = findings.iter().map(|finding| finding.severity).max().unwrap_or(Severity::Ok);
    let mut out = io::stdout().lock();
    let written = if args.json {
        serde_json::to_writer(&mut out, &Report { worst, findings: &findings })
            .map_err(io::Error::from)
            .and_then(|()| writeln!(out))
    } else {
        table(&findings, &mut out)
    };
    if written.is_err() || worst == Severity::Error { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

/// Runs all checks, in the order in which a person would fix them.
pub async fn examine(args: &DoctorArgs) -> Vec<Finding> {
    let mut findings = Vec::new();
    // With a broken configuration the rest is judged as if there were none.
    let mut config = Config::load(args.config.as_deref(), std::env::vars()).unwrap_or_else(|error| {
        let fix = "correct it; docs/operate lists every key with its default";
        findings.push(Finding::error("config", error.to_string(), fix));
        Config::default()
    });
    config.http.listen = args.http.unwrap_or(config.http.listen);
    config.rtmp.listen = args.rtmp.unwrap_or(config.rtmp.listen);
    if let Some(folder) = &args.data_dir {
        config.data_dir.clone_from(folder);
    }
    let folder = config.data_dir.as_path();
    findings.push(port("port.http", "--http", config.http.listen));
    findings.push(port("port.rtmp", "--rtmp", config.rtmp.listen));
    if config.tls.certificate.is_some() || !config.tls.acme_names.is_empty() {
        findings.push(port("port.https", "tls.https_listen", config.tls.https_listen));
        findings.push(port("port.rtmps", "tls.rtmps_listen", config.tls.rtmps_listen));
    }
    findings.extend(certificate::check(&config.tls, folder, SystemTime::now()));
    findings.extend(publish_tokens(&config.publish));
    findings.push(open_files(limits::files().1, args.viewers));
    findings.push(data_folder(folder));
    findings.extend(space(folder));
    findings.push(database(&config.database_url()).await);
    findings.extend(keys::check(folder, &config.database_url()).await);
    findings.push(clock(SystemTime::now(), newest_file(folder)));
    findings.push(clock_sync().await);
    findings.extend(ffmpeg().await);
    if let Some(name) = args.tls_name.as_deref().or_else(|| config.http.public_url.as_deref().and_then(secure_name)) {
        findings.push(tls_name(name).await);
    }
    findings
}

/// Whether publish tokens can be taken; nothing when none are wanted.
fn publish_tokens(settings: &crate::config::Publish) -> Option<Finding> {
    const CHECK: &str = "publish_tokens";
    let keys = |count: usize| if count == 1 { "1 key".to_owned() } else { format!("{count} keys") };
    match PublishTokens::load(settings) {
        Ok(tokens) => tokens.map(|tokens| Finding::ok(CHECK, format!("signed by one of {}", keys(tokens.count())))),
        Err(error) => {
            let fix = "set all three keys of [publish], and write what `openssl pkey -pubout` prints into the file";
            Some(Finding::error(CHECK, error.to_string(), fix))
        }
    }
}

/// The host name in an `https://` address.
fn secure_name(url: &str) -> Option<&str> {
    let host = url.strip_prefix("https://")?.split(['/', '?', '#']).next()?;
    match host.find(']') {
        Some(end) => host.get(..=end),
        None => host.split(':').next(),
    }
}

/// Whether the database can be used.
async fn database(url: &str) -> Finding {
    if let Some(path) = url.strip_prefix("sqlite://") {
        return sqlite(Path::new(path)).await;
    }
    if url.starts_with("postgres://") || url.starts_with("postgresql://") {
        return postgres(url).await;
    }
    Finding::error(
        "database",
        "database.url begins with neither sqlite:// nor postgres://",
        "use sqlite://FILE or postgres://USER:PASSWORD@HOST/DATABASE, or leave it out for a file in the data folder",
    )
}

fn table(findings: &[Finding], out: &mut impl Write) -> io::Result<()> {
    for finding in findings {
        let severity = match finding.severity {
            Severity::Ok => "ok",
            Severity::Warning => "warning",
            Severity::Error => "ERROR",
        };
        writeln!(out, "{severity:<8} {:<14} {}", finding.check, finding.text)?;
        if let Some(fix) = &finding.fix {
            writeln!(out, "{:<8} {:<14} → {fix}", "", "")?;
        }
    }
    let count = |severity| findings.iter().filter(|finding| finding.severity == severity).count();
    let (warnings, errors) = (count(Severity::Warning), count(Severity::Error));
    writeln!(out, "\n{} checks, {warnings} warnings, {errors} errors", findings.len())
}

/// Whether a port can be listened on, or who holds it.
fn port(check: &'static str, option: &str, address: SocketAddr) -> Finding {
    let error = match TcpListener::bind(address) {
        Ok(_) => return Finding::ok(check, format!("{address} is free")),
        Err(error) => error,
    };
    match error.kind() {
        io::ErrorKind::AddrInUse => match holder(address.port()) {
            Some((pid, name)) if name == "stagedoor" => {
                Finding::ok(check, format!("{address} is held by a running stagedoor (process {pid})"))
            }
            Some((pid, name)) => Finding::error(
                check,
                format!("{address} is held by {name} (process {pid})"),
                format!("stop {name}, or choose another port with {option}"),
            ),
            None => Finding::error(
                check,
                format!("{address} is in use by a process that may not be looked at from here"),
                format!("run the doctor as root to see which, or choose another port with {option}"),
            ),
        },
        io::ErrorKind::PermissionDenied => Finding::error(
            check,
            format!("{address} may not be opened by this user: ports below 1024 are reserved"),
            format!(
                "grant CAP_NET_BIND_SERVICE (AmbientCapabilities= in the unit), or choose a higher port with {option}"
            ),
        ),
        io::ErrorKind::AddrNotAvailable => Finding::error(
            check,
            format!("{} is not an address of this machine", address.ip()),
            format!("use 0.0.0.0 (or [::]) or one of this machine's own addresses with {option}"),
        ),
        _ => Finding::error(
            check,
            format!("{address} cannot be opened: {error}"),
            format!("choose another address with {option}"),
        ),
    }
}

/// Process and name of whoever listens on a TCP port, as far as `/proc` shows it to this user.
fn holder(port: u16) -> Option<(u32, String)> {
    let tables = ["/proc/net/tcp", "/proc/net/tcp6"].map(|path| fs::read_to_string(path).unwrap_or_default());
    let inodes: Vec<String> = tables
        .iter()
        .flat_map(|table| table.lines().skip(1))
        .filter_map(|line| listening_inode(line, port))
        .map(|inode| format!("socket:[{inode}]"))
        .collect();
    for process in fs::read_dir("/proc").ok()?.flatten() {
        let Some(pid) = process.file_name().to_str().and_then(|name| name.parse::<u32>().ok()) else { continue };
        let Ok(files) = fs::read_dir(process.path().join("fd")) else { continue };
        let holds = files
            .flatten()
            .filter_map(|file| fs::read_link(file.path()).ok())
            .any(|target| target.to_str().is_some_and(|target| inodes.iter().any(|inode| inode == target)));
        if holds {
            let name = fs::read_to_string(process.path().join("comm")).unwrap_or_default();
            return Some((pid, name.trim().to_owned()));
        }
    }
    None
}

/// The inode of a listening socket in a line of `/proc/net/tcp`.
///
/// # Source
///
/// proc_pid_net(5): `sl local_address rem_address st tx:rx tr:tm->when retrnsmt uid timeout inode`; state 0A listens.
fn listening_inode(line: &str, port: u16) -> Option<&str> {
    let fields: Vec<&str> = line.split_ascii_whitespace().collect();
    let local = u16::from_str_radix(fields.get(1)?.rsplit_once(':')?.1, 16).ok()?;
    (local == port && *fields.get(3)? == "0A").then_some(*fields.get(9)?)
}

/// Whether as many viewers as expected can be connected.
fn open_files(hard: Option<u64>, viewers: u64) -> Finding {
    let needed = viewers.saturating_mul(FILES_PER_VIEWER).saturating_add(FILES_BESIDE);
    match hard {
        None => Finding::ok("open_files", "no limit"),
        Some(hard) if hard >= needed => {
            let room = (hard - FILES_BESIDE) / FILES_PER_VIEWER;
            Finding::ok("open_files", format!("{hard} open files are allowed, enough for {room} viewers"))
        }
        Some(hard) => {
            let room = hard.saturating_sub(FILES_BESIDE) / FILES_PER_VIEWER;
            Finding::warning(
                "open_files",
                format!("{hard} open files are allowed, enough for {room} of {viewers} viewers"),
                format!("set LimitNOFILE={needed} in the unit, or a hard nofile limit in /etc/security/limits.conf"),
            )
        }
    }
}

/// Whether the data folder can be written; it is made when it is missing, as the server would do.
fn data_folder(folder: &Path) -> Finding {
    let shown = folder.display();
    let fix = format!("give this user write access to {shown}, or choose another folder with --data-dir");
    if !folder.exists() {
        // The nearest folder that exists decides whether it can be made.
        let parent = folder.ancestors().skip(1).find(|path| path.exists() || path.as_os_str().is_empty());
        let parent = parent.filter(|path| !path.as_os_str().is_empty()).unwrap_or(Path::new("."));
        return match probe(parent) {
            Ok(()) => Finding::ok("data_folder", format!("{shown} does not exist yet and can be made")),
            Err(error) => Finding::error("data_folder", format!("{shown} cannot be made: {error}"), fix),
        };
    }
    match probe(folder) {
        Ok(()) => Finding::ok("data_folder", format!("{shown} can be written")),
        Err(error) => Finding::error("data_folder", format!("{shown} cannot be written: {error}"), fix),
    }
}

/// Writes a small file through to the disk and removes it.
fn probe(folder: &Path) -> io::Result<()> {
    let path = folder.join(format!(".stagedoor-doctor-{}", std::process::id()));
    let written = fs::File::create_new(&path).and_then(|mut file| {
        file.write_all(b"stagedoor")?;
        file.sync_all()
    });
    let removed = if path.exists() { fs::remove_file(&path) } else { Ok(()) };
    written.and(removed)
}

/// Free space and free inodes where the data folder is or will be.
fn space(folder: &Path) -> Vec<Finding> {
    let place = folder.ancestors().find(|path| path.exists()).unwrap_or(Path::new("."));
    let Ok(disk) = rustix::fs::statvfs(place) else {
        return vec![Finding::warning(
            "disk",
            format!("the file system of {} does not tell its free space", place.display()),
            "watch it by other means",
        )];
    };
    let (free, size) = (disk.f_bavail.saturating_mul(disk.f_frsize), disk.f_blocks.saturating_mul(disk.f_frsize));
    let mut findings = vec![space_finding(free, size)];
    if disk.f_files > 0 && disk.f_favail < disk.f_files / 100 {
        findings.push(Finding::warning(
            "disk.inodes",
            "fewer than 1 % of the inodes are free",
            "remove small files nobody needs, or use a file system with more inodes",
        ));
    }
    findings
}

fn space_finding(free: u64, size: u64) -> Finding {
    let percent = (u128::from(free) * 100).checked_div(u128::from(size)).unwrap_or(0);
    let text = format!("{:.1} GiB free ({percent} %)", free as f64 / GIB as f64);
    let fix = "free some space, or move the data folder to a larger disk with --data-dir";
    if free < SPACE_ERROR {
        Finding::error("disk", text, fix)
    } else if free < SPACE_WARNING || percent < 10 {
        Finding::warning("disk", text, fix)
    } else {
        Finding::ok("disk", text)
    }
}

/// Whether the SQLite file is sound, if there is one.
async fn sqlite(path: &Path) -> Finding {
    let shown = path.display();
    if !path.exists() {
        return Finding::ok("database", format!("SQLite, {shown} will be made at the first start"));
    }
    let check = async {
        let options = sqlx::sqlite::SqliteConnectOptions::new().filename(path).read_only(true);
        let mut connection = options.connect().await?;
        let answer: String = sqlx::query_scalar("PRAGMA quick_check(1)").fetch_one(&mut connection).await?;
        connection.close().await?;
        Ok::<String, sqlx::Error>(answer)
    };
    match tokio::time::timeout(PATIENCE, check).await {
        Ok(Ok(answer)) if answer == "ok" => Finding::ok("database", format!("SQLite, {shown} is sound")),
        Ok(Ok(answer)) => Finding::error(
            "database",
            format!("SQLite, {shown} is damaged: {answer}"),
            "stop the server and restore the last backup; `sqlite3 FILE .recover` may save the rest",
        ),
        Ok(Err(error)) => Finding::error(
            "database",
            format!("SQLite, {shown} cannot be read: {error}"),
            "check that it is a Stagedoor database and that this user may read it and its folder",
        ),
        Err(_) => Finding::warning(
            "database",
            format!("SQLite, {shown} could not be checked within {} s", PATIENCE.as_secs()),
            "look for a slow disk, or for a process that locks the file",
        ),
    }
}

/// Whether PostgreSQL answers and has the same time as this machine. The password is never shown.
async fn postgres(url: &str) -> Finding {
    let fix = "check that PostgreSQL runs, that host, user, password and database in database.url are right, and that \
               pg_hba.conf lets this machine in";
    let ask = async {
        let mut connection = sqlx::postgres::PgConnection::connect(url).await?;
        let before = SystemTime::now();
        let (version, micros): (String, i64) = sqlx::query_as(
            "SELECT current_setting('server_version'), (extract(epoch FROM clock_timestamp()) * 1000000)::bigint",
        )
        .fetch_one(&mut connection)
        .await?;
        let travel = before.elapsed().unwrap_or_default();
        connection.close().await?;
        Ok::<_, sqlx::Error>((version, micros, before, travel))
    };
    match tokio::time::timeout(PATIENCE, ask).await {
        Ok(Ok((version, micros, before, travel))) => {
            let theirs = SystemTime::UNIX_EPOCH + Duration::from_micros(u64::try_from(micros).unwrap_or(0));
            let mine = before + travel / 2;
            let skew = theirs.duration_since(mine).unwrap_or_else(|error| error.duration());
            if skew > SKEW_MAX + travel {
                Finding::warning(
                    "database",
                    format!("PostgreSQL {version} answers, but its clock differs by {:.1} s", skew.as_secs_f64()),
                    "synchronise the clocks of both machines (chrony or systemd-timesyncd)",
                )
            } else {
                Finding::ok("database", format!("PostgreSQL {version} answers in {:.1} ms", travel.as_secs_f64() * 1e3))
            }
        }
        Ok(Err(error)) => Finding::error("database", format!("PostgreSQL refuses: {error}"), fix),
        Err(_) => {
            Finding::error("database", format!("PostgreSQL does not answer within {} s", PATIENCE.as_secs()), fix)
        }
    }
}

/// When the newest file directly in the data folder was written.
fn newest_file(folder: &Path) -> Option<SystemTime> {
    let entries = fs::read_dir(folder).ok()?.flatten().take(10_000);
    entries.filter_map(|entry| entry.metadata().ok()?.modified().ok()).max()
}

/// Whether the clock can be right at all.
fn clock(now: SystemTime, newest_file: Option<SystemTime>) -> Finding {
    let fix = "set the clock, and let chrony or systemd-timesyncd keep it";
    let seconds = now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs();
    if seconds < CLOCK_MIN_S {
        return Finding::error("clock", "the clock is before 2026: no session or certificate will be valid", fix);
    }
    let ahead = newest_file.and_then(|newest| newest.duration_since(now).ok()).unwrap_or_default();
    if ahead > FUTURE_MAX {
        let text = format!("files in the data folder are {} s newer than now: the clock went back", ahead.as_secs());
        return Finding::error("clock", text, fix);
    }
    Finding::ok("clock", "plausible")
}

/// Whether something keeps the clock right.
async fn clock_sync() -> Finding {
    let answer = output("timedatectl", &["show", "--property=NTPSynchronized", "--value"]).await;
    let synchronised = match answer.as_deref().map(str::trim) {
        Some("yes") => Some(true),
        Some("no") => Some(false),
        _ if Path::new("/run/systemd/timesync/synchronized").exists() => Some(true),
        _ => None,
    };
    let fix = "run chrony or systemd-timesyncd; in a container the host does it";
    match synchronised {
        Some(true) => Finding::ok("clock.sync", "synchronised"),
        Some(false) => Finding::warning("clock.sync", "the clock is not synchronised", fix),
        None => Finding::warning("clock.sync", "cannot tell whether the clock is synchronised", fix),
    }
}

/// ffmpeg, its version and the encoders that matter.
async fn ffmpeg() -> Vec<Finding> {
    let fix = "apt install ffmpeg (5.1 or newer); without it broadcasts are still passed through untouched, but the \
               demo's sample and every conversion are missing";
    let Some(version) = output("ffmpeg", &["-hide_banner", "-version"]).await else {
        return vec![Finding::warning("ffmpeg", "not found, or it does not run", fix)];
    };
    let name = version.split_ascii_whitespace().nth(2).unwrap_or("unknown").to_owned();
    let mut findings = vec![match ffmpeg_version(&name) {
        Some(found) if found < FFMPEG_MIN => Finding::warning("ffmpeg", format!("version {name} is too old"), fix),
        _ => Finding::ok("ffmpeg", format!("version {name}")),
    }];
    let list = output("ffmpeg", &["-hide_banner", "-encoders"]).await.unwrap_or_default();
    findings.push(encoders(&list));
    findings
}

/// `5.1.9-0+deb12u1` or `n7.1` to major and minor; `None` for builds without a release number.
fn ffmpeg_version(name: &str) -> Option<(u32, u32)> {
    let mut numbers = name.trim_start_matches('n').split(['.', '-', '+']);
    Some((numbers.next()?.parse().ok()?, numbers.next().and_then(|minor| minor.parse().ok()).unwrap_or(0)))
}

fn encoders(list: &str) -> Finding {
    // ` V....D libx264   H.264 …`: the name is the second column.
    let names: Vec<&str> = list.lines().filter_map(|line| line.split_ascii_whitespace().nth(1)).collect();
    let found =
        |wanted: &[&'static str]| wanted.iter().copied().filter(|name| names.contains(name)).collect::<Vec<_>>();
    let video = found(&["libx264", "h264_nvenc", "h264_qsv", "h264_vaapi", "h264_v4l2m2m", "libopenh264"]);
    let audio = found(&["aac", "libfdk_aac"]);
    let opus = found(&["libopus"]);
    let mut missing = Vec::new();
    for (kind, have) in [("H.264", &video), ("AAC", &audio), ("Opus", &opus)] {
        if have.is_empty() {
            missing.push(kind);
        }
    }
    let text = format!("H.264 by {}; AAC by {}; Opus by {}", join(&video), join(&audio), join(&opus));
    if missing.is_empty() {
        Finding::ok("ffmpeg.codecs", text)
    } else {
        Finding::warning(
            "ffmpeg.codecs",
            text,
            format!("install an ffmpeg with an encoder for {}: Debian's has them all", missing.join(", ")),
        )
    }
}

fn join(names: &[&str]) -> String {
    if names.is_empty() { "nothing".to_owned() } else { names.join(", ") }
}

/// Whether the TLS name leads here.
async fn tls_name(name: &str) -> Finding {
    let check = "tls_name";
    if name.starts_with('[') || name.parse::<IpAddr>().is_ok() || name == "localhost" || !name.contains('.') {
        return Finding::error(
            check,
            format!("{name} is not a public host name"),
            "use a DNS name: certificates are issued for names, and OBS refuses TLS to a bare address",
        );
    }
    let found = tokio::time::timeout(PATIENCE, tokio::net::lookup_host((name, 443))).await;
    let addresses: Vec<IpAddr> = match found {
        Ok(Ok(addresses)) => addresses.map(|address| address.ip()).collect(),
        Ok(Err(_)) | Err(_) => Vec::new(),
    };
    if addresses.is_empty() {
        return Finding::error(
            check,
            format!("{name} has no address in DNS"),
            format!("add an A or AAAA record for {name} that points to this machine"),
        );
    }
    let shown: Vec<String> = addresses.iter().map(IpAddr::to_string).collect();
    // Only an address of this machine can be bound.
    if addresses.iter().any(|address| UdpSocket::bind((*address, 0)).is_ok()) {
        Finding::ok(check, format!("{name} leads to this machine ({})", shown.join(", ")))
    } else {
        Finding::warning(
            check,
            format!("{name} leads to {}, which is not an address of this machine", shown.join(", ")),
            "right behind a NAT or a proxy that forwards here; else correct the DNS record",
        )
    }
}

/// What a program prints, when it runs and succeeds in time.
async fn output(program: &str, arguments: &[&str]) -> Option<String> {
    let mut command = tokio::process::Command::new(program);
    command.args(arguments).stdin(Stdio::null()).stderr(Stdio::null()).kill_on_drop(true);
    let output = tokio::time::timeout(PATIENCE, command.output()).await.ok()?.ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_free_port_is_fine_and_a_held_one_names_its_holder() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let held = port("port.http", "--http", address);
        assert_eq!(held.severity, Severity::Error);
        assert!(held.text.contains(&format!("process {}", std::process::id())), "{}", held.text);
        drop(listener);
        assert_eq!(port("port.http", "--http", address).severity, Severity::Ok);
    }

    #[test]
    fn an_address_of_another_machine_is_an_error() {
        let finding = port("port.rtmp", "--rtmp", "192.0.2.1:0".parse().unwrap());
        assert_eq!(finding.severity, Severity::Error);
        assert!(finding.fix.unwrap().contains("--rtmp"));
    }

    #[test]
    fn only_listening_sockets_of_that_port_count() {
        let listening = "0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000 0 0 4242 1";
        assert_eq!(listening_inode(listening, 8080), Some("4242"));
        assert_eq!(listening_inode(listening, 8081), None);
        assert_eq!(listening_inode(&listening.replace(" 0A ", " 01 "), 8080), None);
        assert_eq!(listening_inode("nonsense", 8080), None);
    }

    #[test]
    fn the_open_file_limit_is_judged_by_the_viewers() {
        assert_eq!(open_files(None, 1_000_000).severity, Severity::Ok);
        assert_eq!(open_files(Some(20_000), 2000).severity, Severity::Ok);
        let tight = open_files(Some(1024), 2000);
        assert_eq!(tight.severity, Severity::Warning);
        assert!(tight.text.contains("0 of 2000") && tight.fix.unwrap().contains("7024"));
    }

    #[test]
    fn disk_space_has_two_thresholds() {
        let severity = |free, size| space_finding(free, size).severity;
        assert_eq!(severity(50 * GIB, 100 * GIB), Severity::Ok);
        assert_eq!(severity(9 * GIB, 100 * GIB), Severity::Warning);
        assert_eq!(severity(4 * GIB, 5 * GIB), Severity::Warning);
        assert_eq!(severity(GIB / 4, 100 * GIB), Severity::Error);
        assert_eq!(severity(0, 0), Severity::Error);
    }

    #[test]
    fn a_folder_that_can_be_made_is_fine_and_one_under_a_file_is_not() {
        let base = std::env::temp_dir().join(format!("stagedoor-doctor-test-{}", std::process::id()));
        fs::create_dir_all(&base).unwrap();
        fs::write(base.join("file"), b"x").unwrap();
        assert_eq!(data_folder(&base).severity, Severity::Ok);
        assert_eq!(data_folder(&base.join("new/deeper")).severity, Severity::Ok);
        assert_eq!(data_folder(&base.join("file")).severity, Severity::Error);
        assert_eq!(fs::read_dir(&base).unwrap().count(), 1, "nothing is left behind");
        fs::remove_dir_all(&base).unwrap();
    }

    #[tokio::test]
    async fn a_file_that_is_no_database_is_an_error() {
        let path = std::env::temp_dir().join(format!("stagedoor-doctor-test-{}.db", std::process::id()));
        fs::write(&path, vec![b'x'; 8192]).unwrap();
        assert_eq!(sqlite(&path).await.severity, Severity::Error);
        fs::remove_file(&path).unwrap();
        assert_eq!(sqlite(&path).await.severity, Severity::Ok, "it will be made");
    }

    #[tokio::test]
    async fn a_postgres_that_is_not_there_is_an_error_that_hides_the_password() {
        let finding = postgres("postgres://someone:hunter2@127.0.0.1:1/none").await;
        assert_eq!(finding.severity, Severity::Error);
        assert!(!finding.text.contains("hunter2"));
    }

    #[test]
    fn a_clock_before_our_time_or_behind_its_files_is_an_error() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(CLOCK_MIN_S + 1000);
        assert_eq!(clock(now, None).severity, Severity::Ok);
        assert_eq!(clock(now, Some(now + Duration::from_secs(30))).severity, Severity::Ok);
        assert_eq!(clock(now, Some(now + Duration::from_secs(3600))).severity, Severity::Error);
        assert_eq!(clock(SystemTime::UNIX_EPOCH, None).severity, Severity::Error);
    }

    #[test]
    fn ffmpeg_versions_are_read() {
        assert_eq!(ffmpeg_version("5.1.9-0+deb12u1"), Some((5, 1)));
        assert_eq!(ffmpeg_version("n7.1"), Some((7, 1)));
        assert_eq!(ffmpeg_version("8-dev"), Some((8, 0)));
        assert_eq!(ffmpeg_version("N-118-gabc"), None);
    }

    #[test]
    fn a_missing_encoder_is_a_warning_that_names_it() {
        let all = " V....D libx264  H.264\n A....D aac  AAC\n A....D libopus  Opus\n";
        assert_eq!(encoders(all).severity, Severity::Ok);
        let finding = encoders(&all.replace("libopus", "other"));
        assert_eq!(finding.severity, Severity::Warning);
        assert!(finding.fix.unwrap().contains("Opus"));
    }

    #[tokio::test]
    async fn names_that_cannot_have_a_certificate_are_refused() {
        for name in ["localhost", "192.0.2.7", "studio"] {
            assert_eq!(tls_name(name).await.severity, Severity::Error, "{name}");
        }
    }

    #[test]
    fn the_tls_name_is_taken_from_a_secure_address_only() {
        assert_eq!(secure_name("https://stage.example.org:8443/x"), Some("stage.example.org"));
        assert_eq!(secure_name("https://[2001:db8::1]:8443"), Some("[2001:db8::1]"));
        assert_eq!(secure_name("http://stage.example.org"), None);
    }

    #[tokio::test]
    async fn a_broken_configuration_is_a_finding_and_the_rest_is_still_judged() {
        let args = DoctorArgs {
            config: Some(PathBuf::from("/nonexistent/stagedoor.toml")),
            http: Some("127.0.0.1:0".parse().unwrap()),
            rtmp: Some("127.0.0.1:0".parse().unwrap()),
            data_dir: Some(std::env::temp_dir()),
            tls_name: None,
            viewers: 10,
            json: false,
        };
        let findings = examine(&args).await;
        assert_eq!((findings[0].check, findings[0].severity), ("config", Severity::Error));
        for check in ["port.http", "port.rtmp", "open_files", "data_folder", "disk", "database", "clock", "ffmpeg"] {
            assert!(findings.iter().any(|finding| finding.check == check), "{check}");
        }
    }

    #[test]
    fn every_finding_that_is_not_ok_tells_its_fix_in_the_table() {
        let findings = [Finding::ok("a", "fine"), Finding::error("b", "broken", "mend it")];
        let mut out = Vec::new();
        table(&findings, &mut out).unwrap();
        let text = String::from_utf8(out).unwrap();
        assert!(text.contains("→ mend it") && text.contains("2 checks, 0 warnings, 1 errors"), "{text}");
    }
}
