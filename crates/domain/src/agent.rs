//! A browser in words that an organiser understands, `Chrome on Android`, and whether two of them may be one.

use std::fmt;

/// Letters that are looked at: longer ones are not browsers.
const CHARS_MAX: usize = 512;
/// What is shown of who says nothing that is known.
const UNKNOWN: &str = "Unknown device";

/// Marks and names. Most browsers claim to be the ones before them, so the pretenders come first.
const BROWSERS: [(&str, &str); 9] = [
    ("Edg", "Edge"),
    ("OPR/", "Opera"),
    ("SamsungBrowser", "Samsung Internet"),
    ("Firefox/", "Firefox"),
    ("FxiOS", "Firefox"),
    ("CriOS", "Chrome"),
    ("Chrome/", "Chrome"),
    ("Safari/", "Safari"),
    ("curl/", "curl"),
];
const SYSTEMS: [(&str, &str); 7] = [
    ("iPhone", "iPhone"),
    ("iPad", "iPad"),
    ("Android", "Android"),
    ("CrOS", "ChromeOS"),
    ("Windows", "Windows"),
    ("Mac OS X", "Mac"),
    ("Linux", "Linux"),
];

/// What a `User-Agent` calls itself, roughly: enough to show, too little to recognise a person by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Agent {
    browser: Option<&'static str>,
    system: Option<&'static str>,
}

impl Agent {
    /// What the value of a `User-Agent` header says.
    #[must_use]
    pub fn of(user_agent: &str) -> Self {
        let end = user_agent.char_indices().nth(CHARS_MAX).map_or(user_agent.len(), |(end, _)| end);
        let agent = &user_agent[..end];
        let find =
            |names: &[(&str, &'static str)]| names.iter().find(|(mark, _)| agent.contains(mark)).map(|(_, name)| *name);
        Self { browser: find(&BROWSERS), system: find(&SYSTEMS) }
    }

    /// The inverse of the text form; what it does not know is unknown.
    #[must_use]
    pub fn named(words: &str) -> Self {
        let (browser, system) = words.split_once(" on ").unwrap_or((words, words));
        let find = |names: &[(&str, &'static str)], wanted: &str| {
            names.iter().find(|(_, name)| *name == wanted).map(|(_, name)| *name)
        };
        Self { browser: find(&BROWSERS, browser), system: find(&SYSTEMS, system) }
    }

    /// Whether somebody who came in with this may be the one who now shows `other`: a page that is asked to look like
    /// the desktop's shows another system, and a system's own player shows no browser. Who said nothing that is known
    /// when they came in may be anybody.
    #[must_use]
    pub fn may_be(&self, other: &Self) -> bool {
        // Apple's telephones, tablets and computers show each other's names, for the sake of pages and of televisions.
        let maker = |system: &'static str| if matches!(system, "iPhone" | "iPad" | "Mac") { "Apple" } else { system };
        match (self.browser, self.system, other.browser, other.system) {
            (None, None, ..) => true,
            (Some(before), _, Some(now), _) => before == now,
            (_, Some(before), None, Some(now)) | (None, Some(before), _, Some(now)) => maker(before) == maker(now),
            _ => false,
        }
    }
}

impl fmt::Display for Agent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.browser, self.system) {
            (Some(browser), Some(system)) => write!(f, "{browser} on {system}"),
            (Some(name), None) | (None, Some(name)) => f.write_str(name),
            (None, None) => f.write_str(UNKNOWN),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PIXEL: &str = "Mozilla/5.0 (Linux; Android 16; Pixel 9) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/156.0.0.0 Mobile Safari/537.36";
    const DESKTOP_SITE: &str =
        "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/156.0.0.0 Safari/537.36";
    const IPHONE: &str = "Mozilla/5.0 (iPhone; CPU iPhone OS 26_1 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/26.1 Mobile/15E148 Safari/604.1";
    const IPHONE_PLAYER: &str = "AppleCoreMedia/1.0.0.23B85 (iPhone; U; CPU OS 26_1 like Mac OS X; en_us)";
    const TELEVISION: &str = "AppleCoreMedia/1.0.0.23J352 (Apple TV; U; CPU OS 26_1 like Mac OS X; en_us)";
    const FIREFOX: &str = "Mozilla/5.0 (X11; Linux x86_64; rv:153.0) Gecko/20100101 Firefox/153.0";
    const EDGE: &str = "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/156.0.0.0 Safari/537.36 Edg/156.0";

    #[test]
    fn common_browsers_are_named_and_found_again_by_name() {
        for (agent, expected) in [
            (PIXEL, "Chrome on Android"),
            (IPHONE, "Safari on iPhone"),
            (FIREFOX, "Firefox on Linux"),
            (EDGE, "Edge on Windows"),
            (IPHONE_PLAYER, "iPhone"),
            (TELEVISION, "Mac"),
            ("curl/8.5.0", "curl"),
            ("<script>alert(1)</script>", "Unknown device"),
            ("", "Unknown device"),
            (&"é".repeat(2_000), "Unknown device"),
        ] {
            let found = Agent::of(agent);
            assert_eq!(found.to_string(), expected);
            assert_eq!(Agent::named(expected), found, "{expected}");
        }
        for nonsense in ["", " on ", "Netscape on Amiga", "a on b on c"] {
            assert_eq!(Agent::named(nonsense), Agent { browser: None, system: None }, "{nonsense}");
        }
    }

    #[test]
    fn the_same_device_in_another_coat_is_the_same_and_another_program_is_not() {
        for (came_in, fetches, same) in [
            (PIXEL, PIXEL, true),
            (PIXEL, DESKTOP_SITE, true),
            (IPHONE, IPHONE_PLAYER, true),
            (IPHONE, TELEVISION, true),
            ("node", "Lavf/61.7.100", true),
            ("", PIXEL, true),
            (PIXEL, FIREFOX, false),
            (EDGE, PIXEL, false),
            (PIXEL, "curl/8.5.0", false),
            (PIXEL, "Lavf/61.7.100", false),
            (PIXEL, "", false),
            (EDGE, IPHONE_PLAYER, false),
        ] {
            assert_eq!(Agent::of(came_in).may_be(&Agent::of(fetches)), same, "{came_in} and {fetches}");
        }
    }
}
