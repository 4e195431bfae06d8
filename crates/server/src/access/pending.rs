//! What was begun and waits for its other half: a password for its second factor, a challenge for its signature.
//!
//! In memory, named by a secret that is good once. A restart forgets it all, and people begin again.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use stagedoor_domain::access::Secret;

use super::limits::key;
use crate::ports::random::Random;

/// Long enough to fetch a telephone from another room.
const LIFETIME: Duration = Duration::from_secs(5 * 60);
/// Entries at a time: a few MiB. Beyond it the oldest goes.
const ENTRIES_MAX: usize = 10_000;
/// Entries of one address at a time: one person's impatience, or a class room's beginning.
const PER_ADDRESS_MAX: usize = 50;

/// Things that wait. `now` is monotonic.
pub(super) struct Pending<T>(Mutex<HashMap<String, Entry<T>>>);

struct Entry<T> {
    what: T,
    address: u128,
    until: Duration,
    tries: u32,
}

impl<T> std::fmt::Debug for Pending<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Pending(…)")
    }
}

impl<T> Default for Pending<T> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<T> Pending<T> {
    fn entries(&self) -> std::sync::MutexGuard<'_, HashMap<String, Entry<T>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Keeps `what` until it is taken; the answer names it. Of too many from one address, the oldest goes: somebody who
    /// begins again and again harms only themselves.
    pub(super) fn put(&self, what: T, address: IpAddr, now: Duration, random: &Random) -> Secret {
        let ticket = Secret::from_random("", random.bytes());
        self.put_as(ticket.expose(), what, address, now);
        ticket
    }

    /// The same under a name that cannot be guessed either.
    pub(super) fn put_as(&self, ticket: &str, what: T, address: IpAddr, now: Duration) {
        let address = key(address);
        let mut entries = self.entries();
        entries.retain(|_, entry| entry.until > now);
        let theirs = entries.values().filter(|entry| entry.address == address).count();
        if theirs >= PER_ADDRESS_MAX {
            drop_oldest(&mut entries, |entry| entry.address == address);
        } else if entries.len() >= ENTRIES_MAX {
            drop_oldest(&mut entries, |_| true);
        }
        entries.insert(ticket.to_owned(), Entry { what, address, until: now + LIFETIME, tries: 0 });
    }

    /// What `ticket` names, once.
    pub(super) fn take(&self, ticket: &str, now: Duration) -> Option<T> {
        let entry = self.entries().remove(ticket)?;
        (entry.until > now).then_some(entry.what)
    }

    /// What `look` sees in what `ticket` names, which stays until it is taken. At most `tries` times: with the next it is
    /// gone.
    pub(super) fn look<R>(
        &self,
        ticket: &str,
        now: Duration,
        tries: u32,
        look: impl FnOnce(&T) -> Option<R>,
    ) -> Option<R> {
        let mut entries = self.entries();
        let entry = entries.get_mut(ticket).filter(|entry| entry.until > now)?;
        entry.tries += 1;
        if entry.tries > tries {
            entries.remove(ticket);
            return None;
        }
        look(&entry.what)
    }
}

fn drop_oldest<T>(entries: &mut HashMap<String, Entry<T>>, among: impl Fn(&Entry<T>) -> bool) {
    let oldest = entries.iter().filter(|(_, entry)| among(entry)).min_by_key(|(_, entry)| entry.until);
    if let Some(name) = oldest.map(|(name, _)| name.clone()) {
        entries.remove(&name);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOME: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 1));

    fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn a_ticket_is_good_once_and_for_five_minutes() {
        let (pending, random) = (Pending::default(), Random::seeded(1));
        let ticket = pending.put(7, HOME, at(0), &random);
        assert_eq!(pending.take("something else", at(1)), None);
        assert_eq!(pending.take(ticket.expose(), at(299)), Some(7));
        assert_eq!(pending.take(ticket.expose(), at(299)), None);
        let late = pending.put(8, HOME, at(0), &random);
        assert_eq!(pending.take(late.expose(), at(300)), None);
    }

    #[test]
    fn a_ticket_is_looked_at_a_few_times_only() {
        let (pending, random) = (Pending::default(), Random::seeded(2));
        let ticket = pending.put(7, HOME, at(0), &random);
        for _ in 0..3 {
            assert_eq!(pending.look(ticket.expose(), at(1), 3, |seven| Some(*seven)), Some(7));
        }
        assert_eq!(pending.look(ticket.expose(), at(1), 3, |seven| Some(*seven)), None);
        assert_eq!(pending.take(ticket.expose(), at(1)), None);
        let last = pending.put(8, HOME, at(0), &random);
        assert_eq!(pending.look(last.expose(), at(1), 1, |eight| Some(*eight)), Some(8));
        assert_eq!(pending.take(last.expose(), at(1)), Some(8), "the last look may be the right one");
    }

    #[test]
    fn one_address_pushes_out_its_own_oldest_and_nobody_elses() {
        let (pending, random) = (Pending::default(), Random::seeded(3));
        let other = pending.put(0, IpAddr::from([198, 51, 100, 1]), at(0), &random);
        let first = pending.put(1, HOME, at(1), &random);
        for second in 0..60 {
            pending.put(2, HOME, at(2 + second), &random);
        }
        assert_eq!(pending.take(first.expose(), at(100)), None);
        assert_eq!(pending.take(other.expose(), at(100)), Some(0));
        assert!(pending.entries().len() <= PER_ADDRESS_MAX);
    }

    #[test]
    fn a_hundred_thousand_beginnings_use_bounded_memory() {
        let (pending, random) = (Pending::default(), Random::seeded(4));
        for number in 0..ENTRIES_MAX + 50 {
            let address = IpAddr::from(u32::try_from(number).unwrap().to_be_bytes());
            let mut entries = pending.entries();
            // The pruning scan is linear; only the last few go through it here.
            if number < ENTRIES_MAX - 10 {
                let entry = Entry { what: 0, address: key(address), until: at(400), tries: 0 };
                entries.insert(number.to_string(), entry);
                continue;
            }
            drop(entries);
            pending.put(0, address, at(1), &random);
        }
        assert!(pending.entries().len() <= ENTRIES_MAX);
    }
}
