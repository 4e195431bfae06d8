//! The first question at the door of an event: may somebody from there come in at all?
//!
//! Asked before a code, a cookie or a proof of work is looked at, so that a refusal is the same for the right code and for
//! a wrong one. Asked again whenever a page is opened or loaded again; not on every media request: somebody who travels
//! with the picture running is not cut off in the middle of it.

use std::net::IpAddr;

use stagedoor_domain::access::{Allowed, Approach, Denied, Facts, decide};
use stagedoor_domain::id::EventId;

use super::Access;
use super::geo::{Geo, Place};

/// Why somebody may not even stand at the door.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ApproachRefused {
    /// There is no such event.
    #[error("there is no such event")]
    NoEvent,
    /// The event is not shown in their country, or nobody knows which that is.
    #[error("the country is not one of the event's")]
    Country,
    /// The event is shown in certain networks only.
    #[error("the address is in none of the event's networks")]
    Network,
}

impl Access {
    /// Where addresses are.
    #[must_use]
    pub fn geo(&self) -> &Geo {
        &self.geo
    }

    /// Where `address` is, as far as anybody knows.
    #[must_use]
    pub fn place(&self, address: IpAddr) -> Place {
        self.geo.place(address)
    }

    /// Whether somebody at `address` may try to come in.
    ///
    /// # Errors
    ///
    /// [`ApproachRefused`].
    pub fn approach(&self, event: EventId, address: IpAddr) -> Result<Allowed<Approach>, ApproachRefused> {
        let room = self.rooms.room(event).ok_or(ApproachRefused::NoEvent)?;
        let policy = room.policy();
        // Nobody is looked up whom no rule asks about.
        let country = if policy.access.countries.is_empty() { None } else { self.geo.place(address).country };
        let facts = Facts::Visitor(policy.access.visitor(address, country));
        decide(Approach { event }, &facts, self.clock.now()).map_err(|denied| match denied {
            Denied::NetworkRefused => ApproachRefused::Network,
            _ => ApproachRefused::Country,
        })
    }

    /// Counts somebody who came with a code and was turned away for where they are.
    pub(super) fn turned_away(&self, event: EventId) {
        if let Some(room) = self.rooms.room(event) {
            room.refused_one();
        }
    }
}
