//! Who wants to publish what: the names an encoder sends, and the stream key among them.

use std::fmt;

use super::clip;

/// The longest name, application or address that is kept; the rest is cut off. Keys are far shorter.
const TEXT_BYTES_MAX: usize = 1_024;

/// Query parameters that are kept.
const QUERY_MAX: usize = 16;

/// A `publish` command together with what `connect` said before it.
///
/// Its `Debug` form hides everything that may hold the stream key.
#[derive(Clone, PartialEq, Eq)]
pub struct PublishRequest {
    /// The application, without query and surrounding slashes: `live`, or `live/KEY` when the key is in the address.
    pub app: String,
    /// What the encoder calls stream key, without query; may be empty.
    pub name: String,
    /// Parameters after `?` in the stream key, then in the application or address; percent-decoded.
    pub query: Vec<(String, String)>,
    /// The whole address as the encoder knows it, `rtmp://host/live`; may be empty.
    pub tc_url: String,
    /// What the encoder calls itself (`flashVer`): `FMLE/3.0 (compatible; FMSc/1.0)` for OBS.
    pub encoder: String,
}

impl PublishRequest {
    pub(super) fn new(app: &str, name: &str, tc_url: &str, encoder: &str) -> Self {
        let (name, name_query) = split(name);
        let (app, app_query) = split(app);
        let (_, url_query) = split(tc_url);
        // The application is cut out of the address, so their queries are the same text: one of them is enough.
        let address_query = if app_query.is_empty() { url_query } else { app_query };
        Self {
            app: clip(app.trim_matches('/'), TEXT_BYTES_MAX).to_owned(),
            name: clip(name.trim_matches('/'), TEXT_BYTES_MAX).to_owned(),
            query: parameters(name_query).chain(parameters(address_query)).take(QUERY_MAX).collect(),
            tc_url: clip(tc_url, TEXT_BYTES_MAX).to_owned(),
            encoder: clip(encoder, TEXT_BYTES_MAX).to_owned(),
        }
    }

    /// The stream key: `?token=` or `?key=` on either field, else the name, else the last part of the application.
    /// `None` when all of them are empty.
    #[must_use]
    pub fn key(&self) -> Option<&str> {
        let parameter = self.query.iter().find(|(name, _)| name == "token" || name == "key").map(|(_, value)| &**value);
        let last_of_app = self.app.rsplit('/').next();
        [parameter, Some(&*self.name), last_of_app].into_iter().flatten().find(|key| !key.is_empty())
    }
}

impl fmt::Debug for PublishRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PublishRequest").field("encoder", &self.encoder).finish_non_exhaustive()
    }
}

fn split(text: &str) -> (&str, &str) {
    text.split_once('?').unwrap_or((text, ""))
}

fn parameters(query: &str) -> impl Iterator<Item = (String, String)> {
    query.split(['&', '?']).filter(|pair| !pair.is_empty()).map(|pair| {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        (percent_decode(clip(name, TEXT_BYTES_MAX)), percent_decode(clip(value, TEXT_BYTES_MAX)))
    })
}

/// Replaces `%41` by `A`; whatever is not a complete escape stays as it is.
fn percent_decode(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut decoded = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        let escape = bytes.get(at + 1..at + 3).filter(|_| byte == b'%').and_then(|digits| {
            let digit = |d: u8| char::from(d).to_digit(16).and_then(|d| u8::try_from(d).ok());
            Some(digit(digits[0])? << 4 | digit(digits[1])?)
        });
        decoded.push(escape.unwrap_or(byte));
        at += if escape.is_some() { 3 } else { 1 };
    }
    String::from_utf8_lossy(&decoded).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(app: &str, name: &str) -> Option<String> {
        PublishRequest::new(app, name, &format!("rtmp://host/{app}"), "").key().map(str::to_owned)
    }

    #[test]
    fn the_key_is_the_name() {
        assert_eq!(key("live", "KEY").as_deref(), Some("KEY"));
    }

    #[test]
    fn the_key_may_be_the_last_part_of_the_address() {
        assert_eq!(key("live/KEY", "").as_deref(), Some("KEY"));
        assert_eq!(key("live/KEY/", "").as_deref(), Some("KEY"));
        assert_eq!(key("KEY", "").as_deref(), Some("KEY"));
    }

    #[test]
    fn the_key_may_be_a_parameter_of_either_field() {
        assert_eq!(key("live", "anything?token=KEY").as_deref(), Some("KEY"));
        assert_eq!(key("live", "?key=KEY").as_deref(), Some("KEY"));
        assert_eq!(key("live?token=K%45Y", "anything").as_deref(), Some("KEY"));
    }

    #[test]
    fn a_parameter_of_the_address_counts_when_the_application_lost_it() {
        let request = PublishRequest::new("live", "", "rtmp://host/live?token=KEY", "");
        assert_eq!(request.key(), Some("KEY"));
    }

    #[test]
    fn no_key_anywhere_is_none() {
        assert_eq!(key("", ""), None);
        assert_eq!(key("/", "?token="), None);
    }

    #[test]
    fn other_parameters_do_not_hide_the_name() {
        assert_eq!(key("live", "KEY?bitrate=1").as_deref(), Some("KEY"));
    }

    #[test]
    fn incomplete_escapes_stay_as_they_are() {
        assert_eq!(percent_decode("100%"), "100%");
        assert_eq!(percent_decode("%zz%4"), "%zz%4");
    }

    #[test]
    fn the_debug_form_does_not_show_the_key() {
        let request = PublishRequest::new("live/SECRET", "SECRET?token=SECRET", "rtmp://host/live/SECRET", "OBS");
        assert!(!format!("{request:?}").contains("SECRET"));
    }

    #[test]
    fn long_names_and_many_parameters_are_cut() {
        let request = PublishRequest::new("live", &format!("{}?{}", "é".repeat(4_000), "a=b&".repeat(900)), "", "");
        assert!(request.name.len() <= TEXT_BYTES_MAX);
        assert_eq!(request.query.len(), QUERY_MAX);
    }
}
