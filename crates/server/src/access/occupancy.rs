//! How many of something may be at a time: connections in all and of one address, feeds of one session.
//!
//! A place is taken before anything is done for whoever takes it, and is free again when it is dropped, however its holder
//! ends.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::limits::Key;
use crate::config::Network;

/// So many at a time of each. Holds one entry for each that has any.
#[derive(Debug)]
pub struct Occupancy {
    each: u32,
    taken: Mutex<HashMap<Key, u32>>,
}

/// One of them, until it is dropped.
#[derive(Debug)]
pub struct Occupied {
    of: Arc<Occupancy>,
    who: Key,
}

impl Occupancy {
    /// At least one: zero would lock everybody out.
    #[must_use]
    pub fn new(each: u32) -> Arc<Self> {
        Arc::new(Self { each: each.max(1), taken: Mutex::default() })
    }

    /// A place for `who`; `None` when they hold as many as they may.
    #[must_use]
    pub fn take(self: &Arc<Self>, who: impl Into<Key>) -> Option<Occupied> {
        let who = who.into();
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        let count = taken.entry(who).or_default();
        if *count >= self.each {
            return None;
        }
        *count += 1;
        Some(Occupied { of: self.clone(), who })
    }
}

impl Drop for Occupied {
    fn drop(&mut self) {
        let mut taken = self.of.taken.lock().unwrap_or_else(PoisonError::into_inner);
        if let Entry::Occupied(mut entry) = taken.entry(self.who) {
            match *entry.get() {
                0 | 1 => drop(entry.remove()),
                count => *entry.get_mut() = count - 1,
            }
        }
    }
}

/// Where connections come in.
#[derive(Clone, Debug)]
pub struct Door {
    all: Arc<Semaphore>,
    each: Arc<Occupancy>,
    proxies: Arc<[Network]>,
}

/// A connection's place, until the last who holds it drops it.
#[derive(Clone, Debug)]
pub struct Inside(#[expect(dead_code, reason = "held, not read")] Arc<(OwnedSemaphorePermit, Option<Occupied>)>);

/// The door is gone: the server stops.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the door is closed")]
pub struct Closed;

impl Door {
    /// `all` connections at a time, `each` of one address (IPv6: one /64). Those of `proxies` are only counted in all: one
    /// of them speaks for many.
    #[must_use]
    pub fn new(all: u32, each: u32, proxies: &[Network]) -> Self {
        let all = usize::try_from(all).unwrap_or(usize::MAX).clamp(1, Semaphore::MAX_PERMITS);
        Self { all: Arc::new(Semaphore::new(all)), each: Occupancy::new(each), proxies: proxies.into() }
    }

    /// Waits until there is room for one more; whoever knocks meanwhile waits in the kernel's queue.
    ///
    /// # Errors
    ///
    /// [`Closed`], never while the server runs.
    pub async fn vacancy(&self) -> Result<OwnedSemaphorePermit, Closed> {
        self.all.clone().acquire_owned().await.map_err(|_| Closed)
    }

    /// The place of a connection from `address`; `None` when it has as many as it may.
    #[must_use]
    pub fn admit(&self, vacancy: OwnedSemaphorePermit, address: IpAddr) -> Option<Inside> {
        let address = address.to_canonical();
        let place = match self.proxies.iter().any(|network| network.contains(address)) {
            true => None,
            false => Some(self.each.take(address)?),
        };
        Some(Inside(Arc::new((vacancy, place))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    async fn knock(door: &Door, address: &str) -> Option<Inside> {
        door.admit(door.vacancy().await.unwrap(), ip(address))
    }

    #[tokio::test]
    async fn an_address_has_its_places_and_gets_them_back() {
        let door = Door::new(100, 2, &["10.0.0.0/8".parse().unwrap()]);
        let first = knock(&door, "192.0.2.1").await.unwrap();
        let second = knock(&door, "::ffff:192.0.2.1").await.unwrap();
        assert!(knock(&door, "192.0.2.1").await.is_none());
        let other = knock(&door, "192.0.2.2").await;
        assert!(other.is_some(), "others are not affected");
        let shared = second.clone();
        drop(second);
        assert!(knock(&door, "192.0.2.1").await.is_none(), "a feed still holds it");
        drop(shared);
        assert!(knock(&door, "192.0.2.1").await.is_some());
        let proxied: Vec<_> = futures_util::future::join_all((0..50).map(|_| knock(&door, "10.1.2.3"))).await;
        assert!(proxied.iter().all(Option::is_some), "a trusted proxy speaks for many");
        drop((first, other, proxied));
        assert!(door.each.taken.lock().unwrap().is_empty(), "nothing is left of those who are gone");
        assert_eq!(door.all.available_permits(), 100);
    }

    #[tokio::test]
    async fn a_network_of_64_bits_is_one_address() {
        let door = Door::new(100, 1, &[]);
        let _held = knock(&door, "2001:db8:0:7::1").await.unwrap();
        assert!(knock(&door, "2001:db8:0:7:ffff::9").await.is_none());
        assert!(knock(&door, "2001:db8:0:8::1").await.is_some());
    }

    #[tokio::test]
    async fn a_full_house_waits_and_a_refused_one_takes_no_room() {
        let door = Door::new(2, 1, &[]);
        let held = knock(&door, "192.0.2.1").await.unwrap();
        assert!(knock(&door, "192.0.2.1").await.is_none());
        let other = knock(&door, "192.0.2.2").await;
        let mut waiting = std::pin::pin!(door.vacancy());
        assert!(futures_util::poll!(waiting.as_mut()).is_pending());
        drop(held);
        assert!(waiting.await.is_ok());
        drop(other);
    }
}
