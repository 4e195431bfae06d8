//! The line in front of a full house: who comes in next, and how long it takes.
//!
//! One [`Line`] per event. People stand in the order of the moment they came; each invitation has one place, however
//! many pages ask for it. A place is kept for a while by whoever does not ask (a phone in a pocket, a tunnel), but does
//! not hold up the others: those who were heard from lately are called past it, and its owner is called as soon as they
//! ask again. Who is called has a seat waiting for a moment.
//!
//! Times are the server's, seats are counted by the caller. Nothing here remembers across a restart: the moment somebody
//! came stands in their ticket, and [`Line::ask`] puts them back where they were.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use crate::event::AdmissionPolicy;
use crate::id::InvitationId;
use crate::time::Time;

/// Who was heard from within it is waiting at this moment: a page asks at least every [`POLL_MAX`].
pub const FRESH: Duration = Duration::from_secs(25);
/// How long a place is kept for somebody who does not ask: a call on the phone that shows the page, or a restart of the
/// server. It is also how old a ticket may be.
pub const KEPT: Duration = Duration::from_secs(5 * 60);
/// How long a seat waits for somebody who was called: they ask again within [`POLL_MAX`].
pub const CALL: Duration = Duration::from_secs(30);
/// The shortest and the longest wait before a page asks again.
pub const POLL_MIN: Duration = Duration::from_secs(2);
/// See [`POLL_MIN`].
pub const POLL_MAX: Duration = Duration::from_secs(15);
/// Places at most; about ten megabytes.
pub const PLACES_MAX: usize = 100_000;

/// A line this short is counted anew for everybody who asks; a longer one at most four times a second.
const SHORT: usize = 64;
const TURN_MS: i64 = 250;
/// Seconds over which is measured how fast people come in.
const MEASURED_S: usize = 60;

/// What the caller knows of the house at a moment.
#[derive(Clone, Copy, Debug)]
pub struct House {
    /// The time.
    pub now: Time,
    /// Seats that are taken.
    pub seated: u32,
    /// People the whole server can let in at this moment, over all events.
    pub hands: u32,
    /// Whether those who stood here before a restart are still coming back: nobody is called until they have.
    pub settling: bool,
}

/// What somebody who asks is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// Come in; a seat waits for [`CALL`].
    Enter,
    /// Not yet.
    Wait(Wait),
    /// The line is as long as a line can be.
    Full,
}

/// A place in the line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wait {
    /// When its owner came.
    pub since: Time,
    /// People in front who are waiting at this moment.
    pub ahead: u32,
    /// How long it takes at the present pace; `None` when that depends on who leaves, and nobody did lately.
    pub eta: Option<Duration>,
    /// When to ask again.
    pub poll: Duration,
}

#[derive(Clone, Copy, Debug)]
struct Place {
    seen_at: Time,
    called_until: Option<Time>,
    ahead: u32,
    /// Was told to wait.
    waited: bool,
}

impl Place {
    fn is_called(&self, now: Time) -> bool {
        self.called_until.is_some_and(|until| now < until)
    }

    fn is_kept(&self, now: Time) -> bool {
        now.since(self.seen_at) < KEPT || self.is_called(now)
    }

    fn is_fresh(&self, now: Time) -> bool {
        now.since(self.seen_at) < FRESH
    }
}

/// The line of one event.
#[derive(Debug)]
pub struct Line {
    places: BTreeMap<(Time, InvitationId), Place>,
    since: HashMap<InvitationId, Time>,
    /// Of the last turn, kept up to date in between.
    called: u32,
    waiting: u32,
    /// Thousandths of people who may be let in by the rate.
    credit_milli: u64,
    credited_at: Time,
    turned_at: Time,
    /// People called in each of the last seconds; the index is the second modulo their number.
    pace: [u32; MEASURED_S],
    paced_at: i64,
    opened_at: Time,
    last_since: Time,
}

impl Line {
    /// An empty line.
    #[must_use]
    pub fn new(now: Time) -> Self {
        Self {
            places: BTreeMap::new(),
            since: HashMap::new(),
            called: 0,
            waiting: 0,
            // A second's worth, whatever the rate will be.
            credit_milli: u64::MAX,
            credited_at: now,
            turned_at: now,
            pace: [0; MEASURED_S],
            paced_at: now.millis() / 1_000,
            opened_at: now,
            last_since: Time::from_millis(0),
        }
    }

    /// People who wait at this moment, by the last count.
    #[must_use]
    pub fn waiting(&self) -> u32 {
        self.waiting
    }

    /// Whether nobody has a place.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.places.is_empty()
    }

    /// Somebody with `invitation` asks to come in. `since` is when they came, if their ticket says so and they have no
    /// place that we know of.
    pub fn ask(
        &mut self,
        invitation: InvitationId,
        since: Option<Time>,
        policy: &AdmissionPolicy,
        house: House,
    ) -> Answer {
        let now = house.now;
        let known = self.since.get(&invitation).and_then(|since| self.places.get(&(*since, invitation)));
        let since = if known.is_some_and(|place| !place.is_kept(now)) {
            self.leave(invitation, now);
            None
        } else {
            since
        };
        let since = match self.since.get(&invitation) {
            Some(since) => *since,
            None if self.places.len() >= PLACES_MAX => return Answer::Full,
            None => {
                // No two come at the same moment: a thousand may come within one of the clock's.
                let since = since.unwrap_or_else(|| now.max(self.last_since.plus(Duration::from_millis(1))));
                self.last_since = self.last_since.max(since);
                if self.waiting == 0 {
                    // Another line than the last one: how fast that one moved says nothing.
                    self.opened_at = now;
                    self.pace = [0; MEASURED_S];
                }
                let place = Place { seen_at: now, called_until: None, ahead: self.waiting, waited: false };
                self.places.insert((since, invitation), place);
                self.since.insert(invitation, since);
                self.waiting = self.waiting.saturating_add(1);
                since
            }
        };
        let key = (since, invitation);
        if let Some(place) = self.places.get_mut(&key) {
            place.seen_at = now;
        }
        if self.places.len() <= SHORT || now.millis() - self.turned_at.millis() >= TURN_MS {
            self.turn(policy, house);
        }
        match self.places.get_mut(&key) {
            Some(place) if !place.is_called(now) => {
                place.waited = true;
                let ahead = place.ahead;
                let eta = self.eta(ahead, policy, house);
                Answer::Wait(Wait { since, ahead, eta, poll: self.poll(ahead) })
            }
            _ => Answer::Enter,
        }
    }

    /// Somebody sits down, or goes home: their place is free.
    pub fn leave(&mut self, invitation: InvitationId, now: Time) {
        let Some(since) = self.since.remove(&invitation) else { return };
        match self.places.remove(&(since, invitation)) {
            Some(place) if place.is_called(now) => self.called = self.called.saturating_sub(1),
            Some(_) => self.waiting = self.waiting.saturating_sub(1),
            None => {}
        }
    }

    /// Gives up the places of those who are gone, calls as many as there is room for, and counts.
    pub fn turn(&mut self, policy: &AdmissionPolicy, house: House) {
        let now = house.now;
        self.turned_at = now;
        self.refill(policy, now);
        let since = &mut self.since;
        self.places.retain(|(_, invitation), place| {
            let kept = place.is_kept(now);
            if !kept {
                since.remove(invitation);
            }
            kept
        });
        let called = self.places.values().filter(|place| place.is_called(now)).count();
        self.called = u32::try_from(called).unwrap_or(u32::MAX);
        let mut openings = self.openings(policy, house);
        let (mut ahead, mut newly, mut from_the_line) = (0_u32, 0_u32, 0_u32);
        for place in self.places.values_mut().filter(|place| !place.is_called(now)) {
            place.called_until = None;
            place.ahead = ahead;
            if !place.is_fresh(now) {
                continue;
            }
            if openings > 0 {
                openings -= 1;
                newly += 1;
                from_the_line += u32::from(place.waited);
                place.called_until = Some(now.plus(CALL));
            } else {
                ahead = ahead.saturating_add(1);
            }
        }
        self.waiting = ahead;
        self.called = self.called.saturating_add(newly);
        if policy.per_second.is_some() {
            self.credit_milli = self.credit_milli.saturating_sub(u64::from(newly) * 1_000);
        }
        self.count(from_the_line, now);
    }

    /// How many may be called now.
    fn openings(&self, policy: &AdmissionPolicy, house: House) -> u32 {
        if house.settling {
            return 0;
        }
        let seats = policy.capacity.map_or(u32::MAX, |capacity| capacity.saturating_sub(house.seated));
        let by_rate = match policy.per_second {
            Some(_) => u32::try_from(self.credit_milli / 1_000).unwrap_or(u32::MAX),
            None => u32::MAX,
        };
        by_rate.min(seats.min(house.hands).saturating_sub(self.called))
    }

    fn refill(&mut self, policy: &AdmissionPolicy, now: Time) {
        let passed_ms = u64::try_from(now.since(self.credited_at).as_millis()).unwrap_or(u64::MAX);
        self.credited_at = now;
        let rate = u64::from(policy.per_second.unwrap_or(0));
        // Never more than a second's worth: a quiet hour must not end in a stampede.
        self.credit_milli = self.credit_milli.saturating_add(passed_ms.saturating_mul(rate)).min(rate * 1_000);
    }

    fn count(&mut self, called: u32, now: Time) {
        let second = now.millis() / 1_000;
        let slot = |second: i64| usize::try_from(second.rem_euclid(MEASURED_S as i64)).unwrap_or(0);
        let passed = (second - self.paced_at).clamp(0, MEASURED_S as i64);
        for gone in 1..=passed {
            self.pace[slot(self.paced_at + gone)] = 0;
        }
        self.paced_at = self.paced_at.max(second);
        self.pace[slot(second)] = self.pace[slot(second)].saturating_add(called);
    }

    fn eta(&self, ahead: u32, policy: &AdmissionPolicy, house: House) -> Option<Duration> {
        if house.settling {
            return None;
        }
        let place = u64::from(ahead) + 1;
        let seats = policy
            .capacity
            .map_or(u32::MAX, |capacity| capacity.saturating_sub(house.seated).saturating_sub(self.called));
        let by_rate = policy.per_second.map(|rate| Duration::from_millis(place * 1_000 / u64::from(rate.max(1))));
        if let Some(eta) = by_rate
            && ahead < seats
        {
            return Some(eta);
        }
        let called: u64 = self.pace.iter().copied().map(u64::from).sum();
        let measured_ms = house.now.since(self.opened_at).as_millis().clamp(1_000, MEASURED_S as u128 * 1_000);
        let eta = (place * u64::try_from(measured_ms).unwrap_or(1_000)).checked_div(called).map(Duration::from_millis);
        // Whatever the others do, nobody comes in faster than the rate.
        eta.max(by_rate.filter(|_| eta.is_some()))
    }

    /// Those in front ask often, because a seat waits for them; a long line asks seldom, so that asking stays cheap.
    fn poll(&self, ahead: u32) -> Duration {
        if ahead < 100 {
            return POLL_MIN;
        }
        Duration::from_millis(u64::from(self.waiting) * 4).clamp(POLL_MIN, POLL_MAX)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use proptest::prelude::*;
    use uuid::Uuid;

    use super::*;

    const START: i64 = 1_000_000;

    fn invitation(number: u8) -> InvitationId {
        InvitationId::new(Uuid::from_u128(u128::from(number) + 1))
    }

    fn policy(capacity: Option<u32>, per_second: Option<u32>) -> AdmissionPolicy {
        AdmissionPolicy { capacity, per_second }
    }

    fn house(now_ms: i64, seated: u32) -> House {
        House { now: Time::from_millis(START + now_ms), seated, hands: u32::MAX, settling: false }
    }

    fn line() -> Line {
        Line::new(Time::from_millis(START))
    }

    fn ahead(answer: Answer) -> u32 {
        match answer {
            Answer::Wait(wait) => wait.ahead,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn with_room_everybody_comes_in_at_once() {
        let (mut line, open) = (line(), policy(None, None));
        for number in 0..200 {
            assert_eq!(line.ask(invitation(number), None, &open, house(0, number.into())), Answer::Enter);
            line.leave(invitation(number), house(0, 0).now);
        }
        assert!(line.is_empty());
    }

    #[test]
    fn a_full_house_makes_a_line_in_the_order_of_coming_and_a_leaver_lets_the_first_one_in() {
        let (mut line, two) = (line(), policy(Some(2), None));
        let places: Vec<u32> =
            (0..3).map(|n| ahead(line.ask(invitation(n), None, &two, house(i64::from(n), 2)))).collect();
        assert_eq!(places, [0, 1, 2]);
        // Refreshing changes nothing.
        assert_eq!(ahead(line.ask(invitation(2), None, &two, house(1_000, 2))), 2);
        assert_eq!(ahead(line.ask(invitation(1), None, &two, house(1_000, 1))), 0, "the first is called past nobody");
        assert_eq!(line.ask(invitation(0), None, &two, house(1_100, 1)), Answer::Enter);
        assert_eq!(line.ask(invitation(0), None, &two, house(1_200, 1)), Answer::Enter, "asked twice");
        line.leave(invitation(0), house(1_300, 2).now);
        assert_eq!(ahead(line.ask(invitation(2), None, &two, house(1_400, 2))), 1);
    }

    #[test]
    fn who_does_not_ask_is_passed_keeps_the_place_and_loses_it_after_five_minutes() {
        let (mut line, one) = (line(), policy(Some(1), None));
        for n in 0..2 {
            line.ask(invitation(n), None, &one, house(i64::from(n), 1));
        }
        let later = 25_001;
        assert_eq!(ahead(line.ask(invitation(1), None, &one, house(later, 1))), 0, "the first is not waiting now");
        assert_eq!(ahead(line.ask(invitation(0), None, &one, house(later, 1))), 0, "and has not lost the place");
        assert_eq!(ahead(line.ask(invitation(1), None, &one, house(later, 1))), 1);
        assert_eq!(ahead(line.ask(invitation(1), None, &one, house(later + 300_000, 1))), 0);
        assert_eq!(ahead(line.ask(invitation(0), None, &one, house(later + 300_001, 1))), 1, "came back too late");
    }

    #[test]
    fn who_is_called_and_does_not_come_gives_the_seat_to_the_next_and_keeps_the_place() {
        let (mut line, one) = (line(), policy(Some(1), None));
        for n in 0..2 {
            line.ask(invitation(n), None, &one, house(i64::from(n), 1));
        }
        line.turn(&one, house(1_000, 0));
        assert_eq!(ahead(line.ask(invitation(1), None, &one, house(2_000, 0))), 0, "the seat waits for the first");
        assert_eq!(line.ask(invitation(1), None, &one, house(31_500, 0)), Answer::Enter);
        assert_eq!(ahead(line.ask(invitation(0), None, &one, house(31_600, 0))), 0);
    }

    #[test]
    fn a_raised_capacity_calls_at_once_and_a_lowered_one_sends_nobody_out() {
        let mut line = line();
        for n in 0..4 {
            line.ask(invitation(n), None, &policy(Some(3), None), house(i64::from(n), 3));
        }
        assert_eq!(ahead(line.ask(invitation(3), None, &policy(Some(1), None), house(100, 3))), 3);
        assert_eq!(line.ask(invitation(3), None, &policy(Some(9), None), house(200, 3)), Answer::Enter);
        assert_eq!(line.waiting(), 0);
    }

    #[test]
    fn a_ticket_brings_back_the_order_after_a_restart() {
        let (mut line, one) = (line(), policy(Some(1), None));
        let settling = |now| House { settling: true, ..house(now, 0) };
        let came = |n: i64| Some(Time::from_millis(START - 60_000 + n));
        assert_eq!(ahead(line.ask(invitation(2), came(2), &one, settling(0))), 0);
        assert_eq!(ahead(line.ask(invitation(9), None, &one, settling(10))), 1, "a newcomer");
        assert_eq!(
            ahead(line.ask(invitation(1), came(1), &one, settling(20))),
            0,
            "in front of the one who was faster"
        );
        assert_eq!(ahead(line.ask(invitation(9), None, &one, settling(30))), 2);
        assert_eq!(line.ask(invitation(1), came(1), &one, house(40, 0)), Answer::Enter);
    }

    #[test]
    fn the_time_it_takes_is_told_when_it_is_known() {
        let (mut line, slow) = (line(), policy(None, Some(2)));
        let answers: Vec<_> = (0..12).map(|n| line.ask(invitation(n), None, &slow, house(0, 0))).collect();
        assert_eq!(answers.iter().filter(|answer| **answer == Answer::Enter).count(), 2);
        let Answer::Wait(last) = answers[11] else { panic!("{answers:?}") };
        assert_eq!((last.ahead, last.eta), (9, Some(Duration::from_secs(5))));
        // Nobody leaves a full house: nobody knows.
        let full = policy(Some(5), None);
        let mut line = Line::new(Time::from_millis(START));
        let Answer::Wait(wait) = line.ask(invitation(0), None, &full, house(0, 5)) else { panic!() };
        assert_eq!(wait.eta, None);
        // Six leave within six seconds: one a second.
        let mut line = Line::new(Time::from_millis(START));
        assert_eq!(line.ask(invitation(50), None, &full, house(0, 4)), Answer::Enter, "not from the line");
        line.leave(invitation(50), house(0, 5).now);
        for n in 0..20 {
            let Answer::Wait(wait) = line.ask(invitation(n), None, &full, house(10, 5)) else { panic!() };
            assert_eq!(wait.eta, None);
        }
        for n in 0..6 {
            assert_eq!(line.ask(invitation(n), None, &full, house(i64::from(n) * 1_000 + 1_010, 4)), Answer::Enter);
            line.leave(invitation(n), house(0, 5).now);
        }
        let Answer::Wait(wait) = line.ask(invitation(9), None, &full, house(6_010, 5)) else { panic!() };
        assert_eq!((wait.ahead, wait.eta), (3, Some(Duration::from_secs(4))));
    }

    #[test]
    fn a_quiet_hour_does_not_end_in_a_stampede() {
        let (mut line, slow) = (line(), policy(None, Some(3)));
        line.turn(&slow, house(3_600_000, 0));
        let entered = (0..50).filter(|n| line.ask(invitation(*n), None, &slow, house(3_600_000, 0)) == Answer::Enter);
        assert_eq!(entered.count(), 3);
    }

    #[test]
    fn a_busy_server_lets_people_wait_instead_of_failing() {
        let (mut line, open) = (line(), policy(None, None));
        let busy = |now, hands| House { hands, ..house(now, 0) };
        assert_eq!(ahead(line.ask(invitation(0), None, &open, busy(0, 0))), 0);
        assert_eq!(line.ask(invitation(0), None, &open, busy(10, 1)), Answer::Enter);
    }

    #[derive(Clone, Debug)]
    enum Step {
        Ask(u8),
        Sit(u8),
        Rise,
        Pass(i64),
        Capacity(Option<u32>),
        Rate(Option<u32>),
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            8 => (0..40_u8).prop_map(Step::Ask),
            4 => (0..40_u8).prop_map(Step::Sit),
            2 => Just(Step::Rise),
            4 => (0..4_000_i64).prop_map(Step::Pass),
            1 => (0..400_000_i64).prop_map(Step::Pass),
        ]
    }

    /// The same with an organiser who cannot decide.
    fn step_or_change() -> impl Strategy<Value = Step> {
        prop_oneof![
            10 => step(),
            1 => proptest::option::of(1..10_u32).prop_map(Step::Capacity),
            1 => proptest::option::of(1..20_u32).prop_map(Step::Rate),
        ]
    }

    /// Whether the numbers of the policy are checked: they cannot be while somebody changes them, because who was called
    /// under the old ones may still come.
    #[derive(Clone, Copy, PartialEq)]
    enum Numbers {
        Fixed,
        Changing,
    }

    fn hold(steps: Vec<Step>, mut policy: AdmissionPolicy, numbers: Numbers) -> Result<(), TestCaseError> {
        let (mut line, mut now) = (line(), 0_i64);
        let mut seated: BTreeSet<u8> = BTreeSet::new();
        // Who waits since when, and when they last asked: what an honest doorkeeper would write down.
        let mut waits: BTreeMap<u8, (i64, i64)> = BTreeMap::new();
        let mut entered = 0;
        for step in steps {
            let here = house(now, u32::try_from(seated.len()).unwrap());
            let (who, sits) = match step {
                Step::Ask(who) => (who, false),
                Step::Sit(who) => (who, true),
                Step::Pass(ms) => {
                    now += ms;
                    continue;
                }
                Step::Rise => {
                    seated.pop_first();
                    continue;
                }
                Step::Capacity(capacity) => {
                    policy.capacity = capacity;
                    continue;
                }
                Step::Rate(rate) => {
                    policy.per_second = rate;
                    continue;
                }
            };
            if seated.contains(&who) {
                continue;
            }
            let key = |since: i64, who: u8| (since, invitation(who));
            let kept = waits.get(&who).copied().filter(|(_, seen)| now - seen < 300_000);
            let since = kept.map_or(now, |(since, _)| since);
            let called = |line: &Line| -> BTreeSet<(Time, InvitationId)> {
                line.places.iter().filter(|(_, place)| place.is_called(here.now)).map(|(key, _)| *key).collect()
            };
            let called_before = called(&line);
            let answer = line.ask(invitation(who), None, &policy, here);
            waits.insert(who, (since, now));
            match answer {
                Answer::Enter if sits => {
                    line.leave(invitation(who), here.now);
                    waits.remove(&who);
                    seated.insert(who);
                    entered += 1;
                }
                Answer::Enter => {
                    let since = line.since.get(&invitation(who)).map_or(since, |since| since.millis() - START);
                    waits.insert(who, (since, now));
                }
                Answer::Wait(wait) => {
                    // A call that was missed outlasts the time for which a place is kept without one.
                    if kept.is_some() {
                        prop_assert_eq!(wait.since.millis(), START + since, "the place is kept");
                    }
                    waits.insert(who, (wait.since.millis() - START, now));
                    let since = wait.since.millis() - START;
                    let before = waits
                        .iter()
                        .filter(|(other, (came, seen))| key(*came, **other) < key(since, who) && now - seen < 25_000);
                    prop_assert!(wait.ahead as usize <= before.count(), "nobody waits for more than stand there");
                    let behind = called(&line).into_iter().filter(|other| *other > (wait.since, invitation(who)));
                    prop_assert!(behind.into_iter().all(|other| called_before.contains(&other)), "nobody is passed");
                }
                Answer::Full => prop_assert!(false),
            }
            if numbers == Numbers::Fixed {
                if let Some(capacity) = policy.capacity {
                    prop_assert!(called(&line).len() + seated.len() <= capacity as usize);
                }
                if let Some(rate) = policy.per_second {
                    let most = u64::from(rate) * (u64::try_from(now).unwrap() / 1_000 + 2);
                    prop_assert!(entered <= most, "{entered} in {now} ms at {rate}/s");
                }
            }
            prop_assert_eq!(line.places.len(), line.since.len());
        }
        Ok(())
    }

    proptest! {
        #[test]
        fn nobody_is_passed_the_house_is_never_overfull_and_the_rate_is_kept(
            steps in proptest::collection::vec(step(), 0..300),
            capacity in proptest::option::of(1..10_u32),
            rate in proptest::option::of(1..20_u32),
        ) {
            hold(steps, policy(capacity, rate), Numbers::Fixed)?;
        }

        #[test]
        fn an_organiser_may_change_the_numbers_at_any_time(steps in proptest::collection::vec(step_or_change(), 0..300)) {
            hold(steps, policy(Some(3), None), Numbers::Changing)?;
        }
    }
}
