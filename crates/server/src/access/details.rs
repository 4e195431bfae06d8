//! What organisers see of whoever sits in a seat: what they are called, where they are, and their number, masked.
//!
//! None of it decides anything. Name and number are those of the invitation, and follow it when it is changed; the number
//! is looked up when somebody looks at the room. The place is nowhere written down: a process that starts learns it when
//! the page comes back.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use super::Place;

/// What is known of somebody.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Details {
    /// The invitee.
    pub name: Arc<str>,
    /// City and country; `None` when no database knows.
    pub place: Option<String>,
    /// The telephone number, masked, once it was looked up. The inner `None` is somebody without one.
    pub phone: Option<Option<String>>,
}

/// [`Details`] that many may read, and whoever compares needs no lock.
#[derive(Debug)]
pub(super) struct Kept {
    details: Mutex<Details>,
    version: AtomicU32,
}

impl Kept {
    pub(super) fn of(name: &str) -> Self {
        let details = Details { name: name.into(), place: None, phone: None };
        Self { details: Mutex::new(details), version: AtomicU32::new(0) }
    }

    pub(super) fn get(&self) -> Details {
        self.details.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(super) fn version(&self) -> u32 {
        self.version.load(Ordering::Acquire)
    }

    fn change(&self, change: impl FnOnce(&mut Details)) {
        let mut details = self.details.lock().unwrap_or_else(PoisonError::into_inner);
        let shown = |of: &Details| (Arc::clone(&of.name), of.place.clone(), of.phone.clone().flatten());
        let before = shown(&details);
        change(&mut details);
        // Having looked for a number and found none is nothing new to show.
        if shown(&details) != before {
            self.version.fetch_add(1, Ordering::Release);
        }
    }

    pub(super) fn came_from(&self, place: &Place) {
        let known = place.country.is_some() || place.country_name.is_some() || place.city.is_some();
        let words: Option<String> = known.then(|| place.to_string());
        // Who is suddenly nowhere, behind a private network for one, is still where they were.
        self.change(|details| details.place = words.or_else(|| details.place.take()));
    }

    pub(super) fn is_called(&self, name: &str) {
        self.change(|details| {
            if *details.name != *name {
                details.name = name.into();
            }
        });
    }

    pub(super) fn is_reached_at(&self, phone: Option<String>) {
        self.change(|details| details.phone = Some(phone));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_known_counts_its_changes_and_keeps_a_place() {
        let kept = Kept::of("Ada");
        assert_eq!(kept.get(), Details { name: "Ada".into(), place: None, phone: None });
        let lyon = Place { city: Some("Lyon".into()), country_name: Some("France".into()), ..Place::default() };
        kept.came_from(&lyon);
        let first = kept.version();
        assert_eq!(kept.get().place.as_deref(), Some("Lyon, France"));
        kept.came_from(&lyon);
        kept.came_from(&Place::default());
        assert_eq!((kept.version(), kept.get().place.as_deref()), (first, Some("Lyon, France")));
        kept.is_reached_at(None);
        assert_eq!((kept.version(), kept.get().phone), (first, Some(None)));
        kept.is_reached_at(Some("+33 •• 12".into()));
        assert_eq!(kept.version(), first + 1);
        kept.is_called("Ada");
        assert_eq!(kept.version(), first + 1);
        kept.is_called("Ada Lovelace");
        assert_eq!((kept.version(), &*kept.get().name), (first + 2, "Ada Lovelace"));
    }
}
