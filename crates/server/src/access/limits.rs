//! Limits on guessing: what is counted is only what was wrong.
//!
//! An address may be wrong a few times a minute; then it waits. All addresses together have a budget; beyond it everybody
//! proves work first (see `proof`), also those with the right code, until it cools. A name that many addresses guess at
//! waits too, except for browsers that have signed in with it before: nobody is locked out of their own desk by name.

use std::collections::{HashMap, VecDeque};
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use stagedoor_domain::id::{InvitationId, KeyId};
use tokio::sync::MutexGuard;

/// What "a minute" means here: a sliding one.
const WINDOW: Duration = Duration::from_secs(60);
/// Addresses remembered at a time: about 2 MiB. When more are wrong within a minute the table is emptied, and the budget
/// over all addresses is what still holds.
const ADDRESSES_MAX: usize = 10_000;
/// Lines in which requests of the same address wait for each other.
const TURNS: usize = 64;

/// Whose wrong guesses are counted: an address, or whatever else has a hash.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Key(u128);

impl From<IpAddr> for Key {
    fn from(address: IpAddr) -> Self {
        Self(key(address))
    }
}

impl From<uuid::Uuid> for Key {
    fn from(id: uuid::Uuid) -> Self {
        Self(id.as_u128())
    }
}

impl From<InvitationId> for Key {
    fn from(id: InvitationId) -> Self {
        Self(id.uuid().as_u128())
    }
}

impl From<KeyId> for Key {
    fn from(id: KeyId) -> Self {
        Self(id.uuid().as_u128())
    }
}

impl From<[u8; 32]> for Key {
    fn from(hash: [u8; 32]) -> Self {
        // Half of a hash is as unlikely to be another's as we need.
        Self(hash.iter().take(16).fold(0, |number, byte| number << 8 | u128::from(*byte)))
    }
}

/// Counters of wrong guesses. `now` is monotonic.
pub(super) struct Limits {
    per_address: usize,
    total: usize,
    window: Duration,
    state: Mutex<State>,
    turns: [tokio::sync::Mutex<()>; TURNS],
}

#[derive(Default)]
struct State {
    addresses: HashMap<u128, VecDeque<Duration>>,
    all: VecDeque<Duration>,
}

impl std::fmt::Debug for Limits {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Limits").field("per_address", &self.per_address).field("total", &self.total).finish()
    }
}

/// What counts as one address: an IPv4 address, or an IPv6 network of 64 bits, because that is what one customer gets.
pub(super) fn key(address: IpAddr) -> u128 {
    match address.to_canonical() {
        IpAddr::V4(address) => u128::from(u32::from(address)),
        IpAddr::V6(address) => u128::from(address) & !u128::from(u64::MAX),
    }
}

fn forget(times: &mut VecDeque<Duration>, now: Duration, window: Duration) {
    while times.front().is_some_and(|at| now.saturating_sub(*at) >= window) {
        times.pop_front();
    }
}

impl Limits {
    /// At least one of each: zero would lock everybody out.
    pub(super) fn new(per_address: u32, total: u32) -> Self {
        Self {
            per_address: usize::try_from(per_address).unwrap_or(usize::MAX).max(1),
            total: usize::try_from(total).unwrap_or(usize::MAX).max(1),
            window: WINDOW,
            state: Mutex::default(),
            turns: std::array::from_fn(|_| tokio::sync::Mutex::default()),
        }
    }

    /// So many of each within `window`, and no budget for all together.
    pub(super) fn each_within(window: Duration, each: u32) -> Self {
        Self { window, ..Self::new(each, u32::MAX) }
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until no other guess of this address, or of whoever else is counted, is being checked. Held across the check:
    /// otherwise a thousand guesses sent at once would all be looked up before the first is counted. Right guesses of many
    /// people behind one address pass one after the other, at the speed of one row lookup each.
    pub(super) async fn turn(&self, who: impl Into<Key>) -> MutexGuard<'_, ()> {
        let Key(key) = who.into();
        let spread = (key ^ key >> 64 ^ key >> 32) % TURNS as u128;
        self.turns[usize::try_from(spread).unwrap_or(0)].lock().await
    }

    /// Whether they may guess now; if not, after how long.
    pub(super) fn check(&self, who: impl Into<Key>, now: Duration) -> Result<(), Duration> {
        let mut state = self.state();
        let Some(times) = state.addresses.get_mut(&who.into().0) else { return Ok(()) };
        forget(times, now, self.window);
        match times.front() {
            Some(first) if times.len() >= self.per_address => Err((*first + self.window).saturating_sub(now)),
            _ => Ok(()),
        }
    }

    /// Whether the budget over all addresses is used up.
    pub(super) fn is_hot(&self, now: Duration) -> bool {
        let mut state = self.state();
        forget(&mut state.all, now, self.window);
        state.all.len() >= self.total
    }

    /// Counts a wrong guess.
    pub(super) fn wrong(&self, who: impl Into<Key>, now: Duration) {
        let Key(who) = who.into();
        let mut state = self.state();
        forget(&mut state.all, now, self.window);
        // Nobody asks about a budget without an end, so nothing is remembered for it.
        if self.total < u32::MAX as usize {
            if state.all.len() >= self.total {
                state.all.pop_front();
            }
            state.all.push_back(now);
        }
        if state.addresses.len() >= ADDRESSES_MAX && !state.addresses.contains_key(&who) {
            state.addresses.retain(|_, times| {
                forget(times, now, self.window);
                !times.is_empty()
            });
            if state.addresses.len() >= ADDRESSES_MAX {
                state.addresses.clear();
            }
        }
        let times = state.addresses.entry(who).or_default();
        forget(times, now, self.window);
        if times.len() >= self.per_address {
            times.pop_front();
        }
        times.push_back(now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn the_sixth_guess_in_a_minute_waits_until_the_first_is_a_minute_old() {
        let limits = Limits::new(5, 100);
        for second in 0..5 {
            assert_eq!(limits.check(ip("192.0.2.1"), at(second)), Ok(()));
            limits.wrong(ip("192.0.2.1"), at(second));
        }
        assert_eq!(limits.check(ip("192.0.2.1"), at(10)), Err(at(50)));
        assert_eq!(limits.check(ip("::ffff:192.0.2.1"), at(10)), Err(at(50)), "the same address in other clothes");
        assert_eq!(limits.check(ip("192.0.2.2"), at(10)), Ok(()));
        assert_eq!(limits.check(ip("192.0.2.1"), at(60)), Ok(()));
        limits.wrong(ip("192.0.2.1"), at(60));
        assert_eq!(limits.check(ip("192.0.2.1"), at(60)), Err(at(1)));
    }

    #[test]
    fn an_ipv6_network_of_64_bits_is_one_address() {
        let limits = Limits::new(5, 100);
        for last in 0..5 {
            limits.wrong(ip(&format!("2001:db8:0:7:{last}::1")), at(0));
        }
        assert!(limits.check(ip("2001:db8:0:7:ffff::9"), at(1)).is_err());
        assert!(limits.check(ip("2001:db8:0:8::1"), at(1)).is_ok());
    }

    #[test]
    fn the_budget_of_all_addresses_runs_hot_and_cools() {
        let limits = Limits::new(5, 100);
        for number in 0..100_u32 {
            assert!(!limits.is_hot(at(1)));
            limits.wrong(IpAddr::from(number.to_be_bytes()), at(1));
        }
        assert!(limits.is_hot(at(60)));
        assert!(!limits.is_hot(at(61)));
    }

    #[test]
    fn a_million_addresses_use_bounded_memory() {
        let limits = Limits::new(5, 100);
        for number in 0..1_000_000_u32 {
            limits.wrong(IpAddr::from(number.to_be_bytes()), at(1));
        }
        let state = limits.state();
        assert!(state.addresses.len() <= ADDRESSES_MAX && state.all.len() <= 100);
    }
}
