//! Whether one session can have been at two places.
//!
//! Addresses are where a database says they are, give or take some hundred kilometres. So only what is far beyond that,
//! and faster than an airliner, is odd.

use std::time::Duration;

use crate::event::Country;

/// Faster than anybody travels, kilometres an hour.
const SPEED_KM_H: f64 = 1_000.0;
/// How far from its place in the database an address may be, twice: once at each end.
const UNSURE_KM: f64 = 500.0;
/// Without coordinates: another country sooner than this is odd. Countries border on each other.
const BORDER: Duration = Duration::from_secs(10 * 60);
/// Kilometres.
const EARTH_RADIUS: f64 = 6_371.0;

/// Where an address is, as far as that matters here.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Spot {
    /// The country, if it is known.
    pub country: Option<Country>,
    /// Latitude and longitude in degrees, if they are known.
    pub at: Option<(f64, f64)>,
}

impl Spot {
    /// Kilometres to `other` along the surface; `None` when one of the two is not known well enough.
    ///
    /// # Source
    ///
    /// The haversine formula, on a sphere: wrong by half a percent at most.
    fn distance_km(&self, other: &Self) -> Option<f64> {
        let good = |(latitude, longitude): &(f64, f64)| latitude.abs() <= 90.0 && longitude.abs() <= 180.0;
        let (here, there) = (self.at.filter(good)?, other.at.filter(good)?);
        let half_sine = |angle: f64| (angle.to_radians() / 2.0).sin().powi(2);
        let level = here.0.to_radians().cos() * there.0.to_radians().cos();
        let chord = half_sine(there.0 - here.0) + level * half_sine(there.1 - here.1);
        Some(2.0 * EARTH_RADIUS * chord.clamp(0.0, 1.0).sqrt().asin())
    }

    /// Whether nobody can have come from here to `other` in `time`. What is not known is possible.
    #[must_use]
    pub fn is_beyond_reach(&self, other: &Self, time: Duration) -> bool {
        match (self.distance_km(other), self.country, other.country) {
            (Some(distance), ..) => distance - UNSURE_KM > SPEED_KM_H * time.as_secs_f64() / 3_600.0,
            (None, Some(here), Some(there)) => here != there && time < BORDER,
            (None, ..) => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const MINUTE: Duration = Duration::from_secs(60);

    fn spot(country: &str, at: Option<(f64, f64)>) -> Spot {
        Spot { country: country.parse().ok(), at }
    }

    #[test]
    fn near_places_slow_changes_and_unknown_places_are_possible() {
        let lyon = spot("FR", Some((45.76, 4.84)));
        let geneva = spot("CH", Some((46.2, 6.14)));
        let berlin = spot("DE", Some((52.52, 13.4)));
        let tokyo = spot("JP", Some((35.68, 139.69)));
        let distance = lyon.distance_km(&tokyo).unwrap();
        assert!((9_600.0..9_900.0).contains(&distance), "{distance}");
        for (from, to, time, odd) in [
            (lyon, lyon, Duration::ZERO, false),
            (lyon, geneva, Duration::ZERO, false),
            (lyon, berlin, MINUTE, true),
            (lyon, berlin, 60 * MINUTE, false),
            (lyon, tokyo, 60 * MINUTE, true),
            (lyon, tokyo, 12 * 60 * MINUTE, false),
            (lyon, Spot::default(), MINUTE, false),
            (spot("FR", None), spot("DE", None), MINUTE, true),
            (spot("FR", None), spot("DE", None), 10 * MINUTE, false),
            (spot("FR", None), spot("FR", None), MINUTE, false),
            (spot("FR", None), tokyo, MINUTE, true),
            (spot("FR", Some((f64::NAN, 0.0))), spot("FR", Some((0.0, 1e9))), MINUTE, false),
        ] {
            assert_eq!(from.is_beyond_reach(&to, time), odd, "{from:?} to {to:?} in {time:?}");
        }
    }

    proptest! {
        #[test]
        fn more_time_never_makes_a_journey_odder(a in (-90.0..90.0, -180.0..180.0), b in (-90.0..90.0, -180.0..180.0), seconds in 0..200_000_u64, more in 0..200_000_u64) {
            let (from, to) = (Spot { country: None, at: Some(a) }, Spot { country: None, at: Some(b) });
            let time = Duration::from_secs(seconds);
            prop_assert!(from.is_beyond_reach(&to, time) || !from.is_beyond_reach(&to, time + Duration::from_secs(more)));
            prop_assert_eq!(from.is_beyond_reach(&to, time), to.is_beyond_reach(&from, time));
        }
    }
}
