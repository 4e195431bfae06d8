//! The signals: what may be noticed about a viewer, what it is worth, and who sets it off without meaning harm.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// Who notices a signal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Source {
    /// The viewer's page, and says so: as honest as the browser it runs in.
    Page,
    /// The server.
    Server,
}

/// A kind of evidence. Signals of one kind may have one cause, so they never decide anything hard by themselves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Class {
    /// The browser's developer tools.
    Tools,
    /// The personal mark on the picture.
    Watermark,
    /// The page's own ground: its functions, and who drives the browser.
    Scripts,
    /// Where the picture is shown.
    Display,
    /// Who watches, and from where.
    Identity,
    /// What is asked of the server.
    Traffic,
    /// The page does not answer.
    Silence,
}

impl Class {
    /// Every kind.
    pub const ALL: [Self; 7] =
        [Self::Tools, Self::Watermark, Self::Scripts, Self::Display, Self::Identity, Self::Traffic, Self::Silence];

    /// The name in documents.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Tools => "tools",
            Self::Watermark => "watermark",
            Self::Scripts => "scripts",
            Self::Display => "display",
            Self::Identity => "identity",
            Self::Traffic => "traffic",
            Self::Silence => "silence",
        }
    }
}

/// What is to be known about a signal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct About {
    /// The signal.
    pub signal: Signal,
    /// The name on the wire, in the log and in documents.
    pub name: &'static str,
    /// Who notices it.
    pub source: Source,
    /// What kind of evidence it is.
    pub class: Class,
    /// Points when it is fresh: 0 for what is shown and never held against anybody, at most 3.
    pub points: u32,
    /// The time in which half of its points are gone.
    pub half_life: Duration,
    /// What was seen, for an organiser: the beginning of a sentence.
    pub seen: &'static str,
    /// Who sets it off without meaning harm.
    pub innocent: &'static str,
}

macro_rules! signals {
    ($($signal:ident $name:literal $source:ident $class:ident $points:literal $minutes:literal $seen:literal $innocent:literal)*) => {
        /// Something that was noticed.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(rename_all = "snake_case")]
        pub enum Signal {
            $(#[doc = $seen] $signal,)*
        }

        impl Signal {
            /// Every signal, in the order of the table.
            pub const ALL: [Self; TABLE.len()] = [$(Self::$signal,)*];
        }

        /// Everything that may be noticed.
        pub const TABLE: [About; [$($points,)*].len()] = [$(About {
            signal: Signal::$signal,
            name: $name,
            source: Source::$source,
            class: Class::$class,
            points: $points,
            half_life: Duration::from_secs($minutes * 60),
            seen: $seen,
            innocent: $innocent,
        },)*];
    };
}

// signal, name, source, class, points, half-life in minutes, what was seen, who sets it off innocently
signals! {
    ContextMenu "context_menu" Page Tools 0 5
        "the context menu was asked for on the picture"
        "Anybody who right-clicks; people who use the menu to read aloud or to translate."
    Shortcut "shortcut" Page Tools 0 5
        "a shortcut for developer tools, source, print or save was pressed"
        "A slip of the fingers, a screen reader's own shortcuts."
    WindowSize "window_size" Page Tools 1 5
        "the window is much larger than the page in it, as with docked developer tools"
        "Side panels, vertical tabs, split view, a zoomed window, an on-screen keyboard."
    ConsoleReads "console_reads" Page Tools 3 10
        "an open console read what was written to it"
        "A web developer who left the tools open; an engine that changed how it logs."
    ConsoleTime "console_time" Page Tools 2 10
        "writing to the console took as long as it does when it is shown"
        "A very slow or busy computer; measured twice, and never on telephones."
    DebuggerPause "debugger_pause" Page Tools 3 10
        "a debugger statement stopped"
        "A computer that slept or froze in that half second."
    ConsoleTools "console_tools" Page Tools 3 10
        "a console for telephones was loaded into the page"
        "A tester's browser that injects one everywhere."
    WatermarkDom "watermark_dom" Page Watermark 2 10
        "the mark was taken out of the page or moved in it"
        "An extension that rearranges pages: translators, reading modes."
    WatermarkStyle "watermark_style" Page Watermark 3 10
        "the mark was made invisible or unreadable by style"
        "Extensions that force dark colours onto everything; forced colours are allowed for."
    WatermarkGeometry "watermark_geometry" Page Watermark 2 10
        "the mark was moved off the picture or made too small"
        "A telephone in the middle of turning, beyond the half second it is given."
    WatermarkOcclusion "watermark_occlusion" Page Watermark 2 10
        "something covers the mark"
        "A browser's own bubbles, an extension's filter on a parent of the player."
    WatermarkHit "watermark_hit" Page Watermark 1 5
        "something lies over the picture"
        "Tooltips, a password manager's or an extension's button."
    WatermarkPixels "watermark_pixels" Page Watermark 2 10
        "the mark's own pixels are not what was drawn"
        "Browsers that put noise on canvases against fingerprinting, beyond the tolerance."
    ApiPatched "api_patched" Page Scripts 2 10
        "functions of the browser that copying needs were replaced"
        "Ad blockers and privacy extensions that wrap some of them."
    PictureInPicture "picture_in_picture" Page Display 1 5
        "the picture was put into a window of its own, without the mark"
        "Anybody who would like to do something else meanwhile."
    RemotePlayback "remote_playback" Page Display 1 5
        "the picture was sent to another screen"
        "Somebody who would like to watch on the television."
    NativeFullscreen "native_fullscreen" Page Display 1 5
        "the browser's own full screen was used, which shows no mark"
        "Anybody on a telephone whose browser does that by itself."
    Hidden "hidden" Page Display 0 5
        "the page is in the background while it plays"
        "Everybody who listens."
    PageCapture "page_capture" Page Display 3 10
        "this page asked to record a screen"
        "An extension that records meetings; our page never asks."
    Automation "automation" Page Scripts 2 10
        "the browser is driven by a program"
        "Kiosks, test benches, remote desktops on virtual machines."
    ManyTabs "many_tabs" Page Identity 1 5
        "the session is open in several tabs"
        "A link that was opened twice."
    HeartbeatMissed "heartbeat_missed" Server Silence 2 5
        "media is fetched, and no page answers for it"
        "A network that lets video through and WebSockets not; a page from before an upgrade."
    WatermarkAbsent "watermark_absent" Server Watermark 3 10
        "the picture plays, and the page says that the mark is not on it"
        "An ad blocker or an office's filter that keeps the guard's file away; a browser too old to run it."
    RequestPattern "request_pattern" Server Traffic 3 10
        "much more media is fetched than can be watched in that time"
        "Somebody who jumps about in the recording for minutes."
    FingerprintChange "fingerprint_change" Server Identity 3 20
        "the media is fetched by another browser than the one that came in"
        "A browser that is told to show itself as another one in the middle of an event."
    ImpossibleTravel "impossible_travel" Server Identity 2 20
        "the session came from two places too far apart for the time between"
        "A VPN that is switched on or off, a telephone that roams, a wrong entry in the database of places."
    KeyRequests "key_requests" Server Traffic 3 10
        "keys are asked for far more often than a player needs them"
        "A player that starts again and again on a bad network."
}

impl Signal {
    /// How many there are.
    pub const COUNT: usize = TABLE.len();

    /// What is to be known about it.
    #[must_use]
    pub fn about(self) -> &'static About {
        &TABLE[self.index()]
    }

    /// Its place in the [`TABLE`].
    pub(super) fn index(self) -> usize {
        self as usize
    }

    /// Its place as a bit, for sets of signals.
    #[must_use]
    pub fn bit(self) -> u32 {
        1 << self.index()
    }

    /// The signals of a set, in the order of the table.
    pub fn of_bits(bits: u32) -> impl Iterator<Item = Self> {
        Self::ALL.into_iter().filter(move |signal| bits & signal.bit() != 0)
    }

    /// The name on the wire, in the log and in documents.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        self.about().name
    }

    /// The signal that a page calls so. What only the server can notice is not a page's to say.
    #[must_use]
    pub fn from_page(name: &str) -> Option<Self> {
        TABLE.iter().find(|about| about.source == Source::Page && about.name == name).map(|about| about.signal)
    }
}

impl fmt::Display for Signal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The table as it stands in the operator's book: Markdown, a row for each signal.
#[must_use]
pub fn document() -> String {
    let mut text = String::from(
        "| signal | noticed by | kind | points | half-life | what was seen | who sets it off without meaning harm |\n\
         |---|---|---|---|---|---|---|\n",
    );
    for About { name, source, class, points, half_life, seen, innocent, .. } in &TABLE {
        let source = match source {
            Source::Page => "page",
            Source::Server => "server",
        };
        let (class, minutes) = (class.as_str(), half_life.as_secs() / 60);
        text.push_str(&format!("| `{name}` | {source} | {class} | {points} | {minutes} min | {seen} | {innocent} |\n"));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_signal_has_one_name_and_a_story() {
        for (about, signal) in TABLE.iter().zip(Signal::ALL) {
            assert_eq!((about.signal, signal.about()), (signal, about));
            assert_eq!(serde_json::to_string(&signal).unwrap(), format!("\"{signal}\""));
            assert!(about.points <= 3 && about.half_life >= Duration::from_secs(60), "{signal}");
            assert!(about.innocent.ends_with('.') && !about.innocent.contains("  "), "{signal}");
            assert!(!about.seen.ends_with('.') && !about.seen.contains("  "), "{signal}");
            assert_eq!(Signal::of_bits(signal.bit()).collect::<Vec<_>>(), [signal]);
        }
        assert_eq!(Signal::of_bits(u32::MAX).count(), Signal::COUNT);
        assert!(document().lines().count() == Signal::COUNT + 2);
    }

    #[test]
    fn a_page_says_what_a_page_can_see() {
        assert_eq!(Signal::from_page("console_reads"), Some(Signal::ConsoleReads));
        for name in ["heartbeat_missed", "watermark_absent", "key_requests", "", "Console_Reads", "console_reads "] {
            assert_eq!(Signal::from_page(name), None, "{name}");
        }
        assert_eq!(TABLE.iter().filter(|about| about.source == Source::Page).count(), 21);
    }
}
