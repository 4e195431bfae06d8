//! From a file and the environment to a [`Config`].

use std::path::{Path, PathBuf};

use toml::{Table, Value};

use super::Config;

/// What the environment variables begin with.
const PREFIX: &str = "STAGEDOOR_";
/// Variables with this prefix belong to other parts: to the tests, to the vault, to the choice of the file, to
/// `stagedoor load`.
const NOT_CONFIG: [&str; 5] =
    ["STAGEDOOR_TEST_", "STAGEDOOR_MASTER_KEY", "STAGEDOOR_CONFIG", "STAGEDOOR_LOG", "STAGEDOOR_API_TOKEN"];
/// A configuration longer than this is none.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// Why there is no configuration. Its text is for the operator.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("cannot read {}", path.display())]
    Unreadable {
        /// Which file.
        path: PathBuf,
        /// Why not.
        #[source]
        source: std::io::Error,
    },
    /// The file says something that makes no sense.
    #[error("{}, line {line}: {message}{}", path.display(), Hint(hint))]
    Wrong {
        /// Which file.
        path: PathBuf,
        /// Counted from 1.
        line: usize,
        /// What is wrong.
        message: String,
        /// The nearest key that exists.
        hint: Option<String>,
    },
    /// An environment variable says something that makes no sense.
    #[error("environment variable {name}: {message}{}", Hint(hint))]
    Environment {
        /// Which variable.
        name: String,
        /// What is wrong.
        message: String,
        /// The nearest key that exists.
        hint: Option<String>,
    },
}

struct Hint<'a>(&'a Option<String>);

impl std::fmt::Display for Hint<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.0 {
            Some(hint) => write!(f, "; did you mean `{hint}`?"),
            None => Ok(()),
        }
    }
}

impl Config {
    /// The configuration in `file`, if one is given, overlaid by the `STAGEDOOR_…` variables of `environment`.
    ///
    /// # Errors
    ///
    /// [`ConfigError`], in words that name the line or the variable.
    pub fn load(
        file: Option<&Path>,
        environment: impl IntoIterator<Item = (String, String)>,
    ) -> Result<Self, ConfigError> {
        let mut table = match file {
            Some(path) => read(path)?,
            None => Table::new(),
        };
        let mut config = Config::default();
        if file.is_some() {
            config = parse(&table).map_err(|message| environment_error("(file)", &message))?;
        }
        let mut variables: Vec<_> = environment
            .into_iter()
            .filter(|(name, _)| name.starts_with(PREFIX) && !NOT_CONFIG.iter().any(|other| name.starts_with(other)))
            .collect();
        // One order, whatever the operating system says: the first wrong variable is always the same one.
        variables.sort();
        for (name, text) in variables {
            let key = name[PREFIX.len()..].to_lowercase();
            set(&mut table, &key, value(&text));
            config = match parse(&table) {
                Ok(config) => config,
                Err(message) => {
                    // A telephone number, or a password of digits, looks like a number and is a text.
                    set(&mut table, &key, Value::String(text));
                    parse(&table).map_err(|_| environment_error(&name, &message))?
                }
            };
        }
        Ok(config)
    }
}

fn parse(table: &Table) -> Result<Config, String> {
    Config::deserialize_table(table.clone())
}

impl Config {
    fn deserialize_table(table: Table) -> Result<Self, String> {
        table.try_into().map_err(|error: toml::de::Error| error.message().to_owned())
    }
}

fn read(path: &Path) -> Result<Table, ConfigError> {
    let unreadable = |source| ConfigError::Unreadable { path: path.to_owned(), source };
    let bytes = std::fs::metadata(path).map_err(unreadable)?.len();
    if bytes > FILE_BYTES_MAX {
        return Err(unreadable(std::io::Error::other("it is larger than 1 MiB")));
    }
    let text = std::fs::read_to_string(path).map_err(unreadable)?;
    let wrong = |error: toml::de::Error| {
        let at = error.span().map_or(0, |span| span.start).min(text.len());
        let line = text.as_bytes()[..at].iter().filter(|byte| **byte == b'\n').count() + 1;
        let message = error.message().to_owned();
        ConfigError::Wrong { path: path.to_owned(), line, hint: nearest(&message), message }
    };
    // Once as what it should be, which knows the line of a mistake; once as a table, which can be overlaid.
    toml::from_str::<Config>(&text).map_err(wrong)?;
    toml::from_str::<Table>(&text).map_err(wrong)
}

/// Numbers and lists are written as in the file; everything else is a text without quotes.
fn value(text: &str) -> Value {
    toml::from_str::<Table>(&format!("value = {text}"))
        .ok()
        .and_then(|mut table| table.remove("value"))
        .filter(|value| matches!(value, Value::Integer(_) | Value::Boolean(_) | Value::Array(_) | Value::Table(_)))
        .unwrap_or_else(|| Value::String(text.to_owned()))
}

/// Puts `value` where `name` points: `http_listen` is `listen` in `[http]`, `data_dir` is at the top.
fn set(table: &mut Table, name: &str, value: Value) {
    let sections =
        ["http", "rtmp", "publish", "tls", "database", "access", "geo", "admin", "oidc", "outbound", "sms", "email"];
    match name.split_once('_').filter(|(section, _)| sections.contains(section)) {
        Some((section, key)) => {
            let section = table.entry(section).or_insert_with(|| Value::Table(Table::new()));
            if let Value::Table(section) = section {
                section.insert(key.to_owned(), value);
            }
        }
        None => {
            table.insert(name.to_owned(), value);
        }
    }
}

fn environment_error(name: &str, message: &str) -> ConfigError {
    ConfigError::Environment { name: name.to_owned(), message: message.to_owned(), hint: nearest(message) }
}

/// The key nearest to an unknown one, from serde's sentence "unknown field `a`, expected one of `b`, `c`".
fn nearest(message: &str) -> Option<String> {
    let mut names = message.strip_prefix("unknown field ")?.split('`').skip(1).step_by(2);
    let unknown = names.next()?;
    let (distance, name) = names.map(|name| (distance(unknown, name), name)).min()?;
    (distance <= 3).then(|| name.to_owned())
}

/// How many letters must be inserted, removed or changed (Levenshtein).
fn distance(a: &str, b: &str) -> usize {
    let mut row: Vec<usize> = (0..=b.chars().count()).collect();
    for (i, left) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, right) in b.chars().enumerate() {
            let changed = diagonal + usize::from(left != right);
            diagonal = row[j + 1];
            row[j + 1] = changed.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row.last().copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(text: &str) -> (PathBuf, tempfile::Folder) {
        let folder = tempfile::Folder::new();
        let path = folder.0.join("stagedoor.toml");
        std::fs::write(&path, text).unwrap();
        (path, folder)
    }

    mod tempfile {
        pub(super) struct Folder(pub(super) std::path::PathBuf);
        impl Folder {
            pub(super) fn new() -> Self {
                use std::sync::atomic::{AtomicU32, Ordering};
                static NEXT: AtomicU32 = AtomicU32::new(0);
                let number = NEXT.fetch_add(1, Ordering::Relaxed);
                let path = std::env::temp_dir().join(format!("stagedoor-config-{}-{number}", std::process::id()));
                std::fs::create_dir_all(&path).unwrap();
                Self(path)
            }
        }
        impl Drop for Folder {
            fn drop(&mut self) {
                let _ = std::fs::remove_dir_all(&self.0);
            }
        }
    }

    fn env(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn a_grace_that_players_cannot_keep_to_is_refused_in_words() {
        for wrong in ["0", "4", "3601", "-1", "\"30\"", "7.5"] {
            let (path, _folder) = file(&format!("[access]\ngrace_s = {wrong}\n"));
            let error = Config::load(Some(&path), []).unwrap_err().to_string();
            assert!(error.contains("line 2"), "{error}");
        }
        let (path, _folder) = file("[access]\ngrace_s = 4\n");
        let error = Config::load(Some(&path), []).unwrap_err().to_string();
        assert!(error.contains("access.grace_s is 4: it must be 5 to 3600 seconds"), "{error}");
        for right in ["5", "3600"] {
            let (path, _folder) = file(&format!("[access]\ngrace_s = {right}\n"));
            assert!(Config::load(Some(&path), []).is_ok());
        }
    }

    #[test]
    fn nothing_at_all_is_a_working_configuration() {
        assert_eq!(Config::load(None, []).unwrap(), Config::default());
        assert_eq!(Config::default().database_url(), "sqlite://data/stagedoor.db");
    }

    #[test]
    fn the_environment_wins_over_the_file() {
        let (path, _folder) = file("data_dir = \"/var/a\"\n[http]\nlisten = \"127.0.0.1:1\"\n[access]\ngrace_s = 7\n");
        let environment = env(&[
            ("STAGEDOOR_HTTP_LISTEN", "127.0.0.1:2"),
            ("STAGEDOOR_ACCESS_SESSION_S", "60"),
            ("STAGEDOOR_HTTP_TRUSTED_PROXIES", "[\"10.0.0.0/8\"]"),
            ("STAGEDOOR_DATABASE_URL", "postgres://db/x"),
            ("STAGEDOOR_SMS_FROM", "+15005550006"),
            ("STAGEDOOR_SMS_AUTH_TOKEN", "0123456789"),
            ("STAGEDOOR_TEST_POSTGRES", "ignored"),
            ("PATH", "ignored"),
        ]);
        let config = Config::load(Some(&path), environment).unwrap();
        assert_eq!(config.http.listen.port(), 2);
        assert_eq!((config.access.session_s, config.access.grace_s), (60, 7));
        assert_eq!(config.http.trusted_proxies.len(), 1);
        assert_eq!(config.data_dir, Path::new("/var/a"));
        assert_eq!(config.database_url(), "postgres://db/x");
        assert_eq!(config.sms.from.as_deref(), Some("+15005550006"), "a text of digits is a text");
        assert_eq!(config.sms.auth_token.map(|token| token.expose().to_owned()).as_deref(), Some("0123456789"));
    }

    #[test]
    fn an_unknown_key_is_refused_with_its_line_and_a_suggestion() {
        let (path, _folder) = file("[http]\nlisten = \"127.0.0.1:1\"\n\npublic_ur = \"x\"\n");
        let error = Config::load(Some(&path), []).unwrap_err().to_string();
        assert!(error.contains("line 4"), "{error}");
        assert!(error.contains("did you mean `public_url`?"), "{error}");
        let error = Config::load(None, env(&[("STAGEDOOR_RTMP_LISTN", "x")])).unwrap_err().to_string();
        assert!(error.contains("STAGEDOOR_RTMP_LISTN") && error.contains("did you mean `listen`?"), "{error}");
    }

    #[test]
    fn a_wrong_value_and_a_missing_file_are_told() {
        let (path, _folder) = file("[access]\n\nsession_s = \"long\"\n");
        let error = Config::load(Some(&path), []).unwrap_err().to_string();
        assert!(error.contains("line 3"), "{error}");
        let error = Config::load(None, env(&[("STAGEDOOR_HTTP_LISTEN", "nowhere")])).unwrap_err().to_string();
        assert!(error.contains("STAGEDOOR_HTTP_LISTEN"), "{error}");
        let error = Config::load(Some(Path::new("/nonexistent/stagedoor.toml")), []).unwrap_err().to_string();
        assert!(error.contains("/nonexistent/stagedoor.toml"), "{error}");
    }

    #[test]
    fn a_secret_in_the_configuration_is_not_shown() {
        let environment = env(&[
            ("STAGEDOOR_SMS_AUTH_TOKEN", "tell-nobody"),
            ("STAGEDOOR_SMS_PRICES_MILLI", "[[\"+44\", 45]]"),
            ("STAGEDOOR_EMAIL_URL", "smtp://u:tell-nobody@mail.example"),
        ]);
        let config = Config::load(None, environment).unwrap();
        assert_eq!(config.sms.prices_milli, [("+44".to_owned(), 45)]);
        assert_eq!(config.sms.secret().unwrap().unwrap().expose(), "tell-nobody");
        let shown = format!("{config:?}{}", toml::to_string(&config).unwrap());
        assert!(!shown.contains("tell-nobody"), "{shown}");
        let (path, _folder) = file("from-a-file\n");
        let sms = crate::config::Sms { auth_token_file: Some(path), ..crate::config::Sms::default() };
        assert_eq!(sms.secret().unwrap().unwrap().expose(), "from-a-file");
    }

    #[test]
    fn the_default_survives_being_written_down() {
        let text = toml::to_string(&Config::default()).unwrap();
        assert_eq!(toml::from_str::<Config>(&text).unwrap(), Config::default());
    }
}
