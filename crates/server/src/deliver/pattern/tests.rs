use std::net::IpAddr;

use stagedoor_domain::Time;

use super::*;
use crate::access::{MasterKey, NewInvitee, RedeemAttempt};
use crate::config;
use crate::facts::Actor;
use crate::ports::World;
use crate::ports::bus::Bus;
use crate::ports::clock::Clock;
use crate::ports::db::testing::{both, proof, sample};
use crate::ports::random::Random;

#[tokio::test]
async fn who_empties_the_recording_is_noted_and_who_watches_it_is_not() {
    both(async |db| {
        let (clock, random) = (Clock::manual(Time::from_millis(1_795_203_000_000)), Random::system());
        let world = World { db: db.clone(), clock: clock.clone(), random: random.clone(), bus: Bus::local() };
        let access = Access::start(world, config::Access::default(), &MasterKey::new([7; 32])).await.unwrap();
        let event = sample::evening(&random, clock.now());
        access.create_event(&proof::create(), Actor::Operator, &event).await.unwrap();
        let mut seats = Vec::new();
        for name in ["Ada", "Eve"] {
            let new = NewInvitee::named(name);
            let invited = access.invite(&proof::organise(event.id), Actor::Operator, &new).await.unwrap();
            let address = IpAddr::from([192, 0, 2, 1]);
            let (code, device) = (invited.code.to_string(), "Firefox");
            let (cookie, ticket, asking, proof) = (None, None, None, None);
            let attempt =
                RedeemAttempt { event: event.id, code: &code, address, cookie, ticket, asking, device, proof };
            seats.push(access.redeem(attempt).await.unwrap().seat);
        }
        let room = access.room(event.id).unwrap();
        let mut patterns = Patterns::default();
        // Eight megabits, a megabyte a second; Eve fetches twice what there is, and a still picture in between is no
        // excuse for anybody else's having been noted.
        let evening = |seconds: u64, bps: Option<u64>, patterns: &mut Patterns| {
            for _ in 0..seconds / 5 {
                clock.advance(Duration::from_secs(5));
                seats[0].took(5_000_000);
                seats[1].took(10_500_000);
                patterns.turn(&access, &room, bps, clock.elapsed());
            }
            (seats[0].suspicion().points, seats[1].suspicion().points)
        };
        assert_eq!(evening(5, Some(8_000_000), &mut patterns), (0, 0));
        assert_eq!(evening(120, Some(8_000_000), &mut patterns), (0, 0), "once is a few jumps");
        assert_eq!(evening(60, Some(300_000), &mut patterns), (0, 0), "a still picture");
        assert_eq!(evening(60, Some(8_000_000), &mut patterns), (0, 3), "twice is a copy");

        access.listen();
        assert_eq!(evening(200, None, &mut patterns), (0, 3), "nothing is made, nothing is weighed");
        clock.advance(Duration::from_secs(6 * 3_600));
        access.listen();
        assert_eq!(evening(125, Some(8_000_000), &mut patterns), (0, 0), "and it begins anew");
    })
    .await;
}
