//! What the packager must know of an event.

use std::time::Duration;

use stagedoor_domain::access::Publish;
use stagedoor_domain::event::{EncryptionPolicy, Latency};
use stagedoor_domain::id::{EventId, StreamId};
use stagedoor_media::Kind;
use stagedoor_media::package::{self, Limits, Segmenter, Window};

use crate::ports::db::broadcasts::Latest;
use crate::ports::db::streams::Numbers;

/// How one broadcast is packaged, from its first publisher to its end.
#[derive(Clone, Copy, Debug)]
pub(super) struct Plan {
    pub stream: StreamId,
    pub event: EventId,
    pub latency: package::Latency,
    pub dvr_window: Duration,
    pub reconnect_window: Duration,
    pub encryption: EncryptionPolicy,
}

impl From<&Publish> for Plan {
    fn from(publish: &Publish) -> Self {
        let &Publish { stream, event, latency, dvr_window, reconnect_window, encryption, .. } = publish;
        Self { stream, event, latency: packaging(latency), dvr_window, reconnect_window, encryption }
    }
}

impl From<&Latest> for Plan {
    fn from(latest: &Latest) -> Self {
        let &Latest { stream, event, latency, dvr_window, reconnect_window, encryption, .. } = latest;
        Self { stream, event, latency: packaging(latency), dvr_window, reconnect_window, encryption }
    }
}

impl Plan {
    /// A segmenter for a new broadcast, whose numbers begin with these.
    pub(super) fn segmenter(&self, numbers: Numbers) -> Segmenter {
        let first = package::First { msn: numbers.next_msn, init: numbers.next_init };
        Segmenter::new(package::Config { latency: self.latency, first, ..package::Config::default() })
    }

    /// A segmenter that goes on with a broadcast.
    pub(super) fn resume(&self, resume: package::Resume) -> Segmenter {
        let config = package::Config { latency: self.latency, resume: Some(resume), ..package::Config::default() };
        Segmenter::new(config)
    }

    /// An empty window of one rendition.
    pub(super) fn window(&self, kind: Kind) -> Window {
        Window::new(kind, Limits { window: self.dvr_window, ..Limits::default() })
    }
}

/// The organiser's word for it in the packager's language.
fn packaging(latency: Latency) -> package::Latency {
    match latency {
        Latency::Ultra => package::Latency::Ultra,
        Latency::Low => package::Latency::Low,
        Latency::Standard => package::Latency::Standard,
    }
}
