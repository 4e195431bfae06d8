//! Whether the files for TLS can be used, and for how long.

use std::path::Path;
use std::time::SystemTime;

use stagedoor_domain::Time;

use super::Finding;
use crate::config;
use crate::ports::tls::Tls;

/// What there is to say of the certificate; nothing when none is named.
pub fn check(config: &config::Tls, data_dir: &Path, now: SystemTime) -> Option<Finding> {
    let tls = match Tls::load_or_begin(config, data_dir) {
        Ok(tls) => tls?,
        Err(error) => {
            let fix = "name a certificate and its key in PEM form that the server may read, or take [tls] out";
            return Some(Finding::error("tls", error.to_string(), fix));
        }
    };
    if tls.is_to_begin_with() {
        let names = config.acme_names.join(", ");
        let fix =
            "start the server, and let port 443 of each name lead to tls.https_listen; the log says what is wrong";
        return Some(Finding::warning("tls", format!("no usable certificate for {names} has been fetched yet"), fix));
    }
    let since = now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let now = Time::from_millis(i64::try_from(since.as_millis()).unwrap_or(i64::MAX));
    let days = tls.expires_at().since(now).as_secs() / 86_400;
    let until = format!("the certificate is good until {}", tls.expires_at());
    Some(match days {
        0 => Finding::error("tls", format!("{until}: a day or less"), "renew it; no restart is needed"),
        1..14 => Finding::warning("tls", format!("{until}: {days} days"), "renew it; no restart is needed"),
        _ => Finding::ok("tls", until),
    })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use stagedoor_testkit::tls::SelfSigned;

    use super::super::Severity;
    use super::*;

    #[test]
    fn a_certificate_is_judged_by_its_files_and_by_how_long_it_lasts() {
        let folder = std::env::temp_dir().join(format!("stagedoor-doctor-tls-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let made = SelfSigned::new("stage.test");
        std::fs::write(folder.join("cert.pem"), &made.certificate).unwrap();
        std::fs::write(folder.join("key.pem"), &made.key).unwrap();
        let (cert, key) = (Some(folder.join("cert.pem")), Some(folder.join("key.pem")));
        let config = config::Tls { certificate: cert, key, ..config::Tls::default() };
        let level = |days: i32| {
            let ends = SystemTime::UNIX_EPOCH + Duration::from_millis(SelfSigned::EXPIRES_MS.unsigned_abs());
            let day = Duration::from_secs(86_400);
            let now = if days < 0 { ends + day * days.unsigned_abs() } else { ends - day * days.unsigned_abs() };
            check(&config, &folder, now).unwrap().severity
        };
        assert_eq!(
            (level(30), level(13), level(0), level(-5)),
            (Severity::Ok, Severity::Warning, Severity::Error, Severity::Error)
        );
        assert!(check(&config::Tls::default(), &folder, SystemTime::UNIX_EPOCH).is_none(), "no TLS is no fault");
        let half = config::Tls { key: None, ..config };
        assert_eq!(check(&half, &folder, SystemTime::UNIX_EPOCH).unwrap().severity, Severity::Error);
        // To be fetched, and not there yet; or fetched as well as named.
        let names = vec!["stage.test".to_owned()];
        let fetched = config::Tls { acme_names: names.clone(), ..config::Tls::default() };
        assert_eq!(check(&fetched, &folder, SystemTime::UNIX_EPOCH).unwrap().severity, Severity::Warning);
        std::fs::create_dir_all(folder.join("acme")).unwrap();
        std::fs::write(folder.join("acme/certificate.pem"), &made.certificate).unwrap();
        std::fs::write(folder.join("acme/key.pem"), SelfSigned::new("stage.test").key).unwrap();
        let left_by_a_crash = check(&fetched, &folder, SystemTime::UNIX_EPOCH).unwrap();
        assert_eq!(left_by_a_crash.severity, Severity::Warning, "the server starts, and fetches another");
        let both = config::Tls { acme_names: names, ..half };
        assert_eq!(check(&both, &folder, SystemTime::UNIX_EPOCH).unwrap().severity, Severity::Error);
        std::fs::remove_dir_all(&folder).unwrap();
    }
}
