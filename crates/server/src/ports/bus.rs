//! Hints that something changed, for whoever shows it or goes on working with it.
//!
//! A hint carries no truth: whoever hears one reads the database. Losing all of them costs a few seconds' delay and
//! nothing else, because every listener also looks by itself from time to time.

use stagedoor_domain::id::EventId;
use tokio::sync::broadcast;

/// Hints that a slow listener may be behind before it misses some.
const BACKLOG: usize = 1_024;

/// What changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Hint {
    /// Facts were appended to the log.
    Facts,
    /// Something waits to be delivered to a webhook.
    Deliveries,
    /// Something about an event.
    Event(EventId, Topic),
}

/// What about an event changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Topic {
    /// Its settings.
    Settings,
    /// Who is invited, and how far each invitation is.
    Invitations,
    /// Lists that are being imported.
    Imports,
    /// Messages on their way, templates.
    Messages,
    /// Somebody asks to take a code over, or was answered.
    Takeovers,
    /// Something suspicious.
    Incidents,
    /// Who is held back at the door.
    Waiting,
}

/// Carries hints within this process; cheap to clone.
#[derive(Clone, Debug)]
pub struct Bus(broadcast::Sender<Hint>);

impl Bus {
    /// A bus that nobody listens to yet.
    #[must_use]
    pub fn local() -> Self {
        Self(broadcast::Sender::new(BACKLOG))
    }

    /// Tells everybody who listens now; also when nobody does.
    pub fn hint(&self, hint: Hint) {
        let _ = self.0.send(hint);
    }

    /// Hears every hint from now on. A listener that is told it missed some looks at everything again.
    #[must_use]
    pub fn listen(&self) -> broadcast::Receiver<Hint> {
        self.0.subscribe()
    }
}

#[cfg(test)]
mod tests {
    use stagedoor_domain::id::EventId;
    use uuid::Uuid;

    use super::*;

    #[tokio::test]
    async fn a_hint_reaches_everybody_who_listens_and_needs_nobody() {
        let bus = Bus::local();
        bus.hint(Hint::Facts);
        let (mut one, mut two) = (bus.listen(), bus.listen());
        let hint = Hint::Event(EventId::new(Uuid::nil()), Topic::Imports);
        bus.hint(hint);
        assert_eq!((one.recv().await, two.recv().await), (Ok(hint), Ok(hint)));
    }
}
