//! Stopped at every step, and no answer at every step: nobody is written to twice, and nobody is forgotten.

use super::*;
use crate::messages::claim::Turn;

/// Where the process dies. After each of them a new process starts on what is in the database.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Death {
    /// The order is written down.
    AfterOrder,
    /// Its messages are made.
    AfterExpand,
    /// A message is claimed, and the gateway was not asked.
    AfterClaim,
    /// The gateway has the message and did not answer yet.
    WhileGiving,
    /// The gateway answered, and that is not written down.
    AfterGiving,
    /// It is written down.
    AfterSettle,
    /// The gateway did not answer; the doubt is written down.
    AfterDoubt,
    /// Somebody looks for a claim that nobody answers for.
    WhileLooking,
    /// The gateway was asked for it, and its answer is not written down.
    AfterLooking,
}

const DEATHS: [Death; 9] = [
    Death::AfterOrder,
    Death::AfterExpand,
    Death::AfterClaim,
    Death::WhileGiving,
    Death::AfterGiving,
    Death::AfterSettle,
    Death::AfterDoubt,
    Death::WhileLooking,
    Death::AfterLooking,
];

impl House {
    async fn claimed(&self) -> Claimed {
        match self.carrier.claim(self.event.id).await.unwrap() {
            Turn::Claimed(claimed) => *claimed,
            other => panic!("{other:?}"),
        }
    }

    /// Works as far as `death`; what was in hand there is lost.
    async fn live_until(&self, death: Death) {
        if death == Death::AfterOrder {
            return;
        }
        while self.carrier.expand().await.unwrap() {}
        if death == Death::AfterExpand {
            return;
        }
        let claimed = self.claimed().await;
        if death == Death::AfterClaim {
            return;
        }
        if death == Death::WhileGiving {
            self.twilio.script([Behave::TakeAndHang]);
            let given = self.carrier.give(&claimed);
            let taken = async {
                while self.twilio.taken().is_empty() {
                    tokio::task::yield_now().await;
                }
            };
            tokio::select! {
                outcome = given => panic!("{outcome:?}"),
                () = taken => return,
            }
        }
        if matches!(death, Death::AfterDoubt | Death::WhileLooking | Death::AfterLooking) {
            self.twilio.script([Behave::TakeAndBreak]);
        }
        let outcome = self.carrier.give(&claimed).await.unwrap();
        if death == Death::AfterGiving {
            return;
        }
        self.carrier.settle(&claimed, outcome).await.unwrap();
        if matches!(death, Death::AfterSettle | Death::AfterDoubt) {
            return;
        }
        self.world.clock.advance(Duration::from_secs(31));
        let now = self.world.clock.now();
        let mut tx = self.world.db.write().await.unwrap();
        let doubtful = messages::take_over(&mut tx, now, now.plus(LEASE), 9).await.unwrap();
        tx.commit().await.unwrap();
        assert_eq!(doubtful.len(), 1);
        if death == Death::WhileLooking {
            return;
        }
        let reopened = self.carrier.reopen(doubtful[0].clone(), now).await.unwrap().unwrap();
        let found = self.carrier.gateways.sms.find(&reopened.letter).await;
        assert!(matches!(found, Found::Yes { .. }), "{found:?}");
    }

    /// A new process on the same database, and time for it to find everything.
    async fn start_again(&mut self) {
        self.carrier = carrier(&self.world, &self.access, &self.twilio);
        for _ in 0..40 {
            self.carrier.turn().await.unwrap();
            self.world.clock.advance(Duration::from_secs(10));
        }
    }
}

#[tokio::test]
async fn a_process_that_dies_at_any_step_has_written_to_everybody_once_in_the_end() {
    both(async |db| {
        for death in DEATHS {
            let mut house = House::open(&db, fast()).await;
            let guests = house.guests(3).await;
            let order = house.order(&guests).await;
            house.live_until(death).await;
            house.start_again().await;
            let mut numbers = house.numbers();
            numbers.sort();
            assert_eq!(numbers, ["+33600000000", "+33600000001", "+33600000002"], "{death:?}");
            assert!(house.states().await.iter().all(|state| *state == (State::Sent, None)), "{death:?}");
            assert_eq!(house.send(order).await.state, SendState::Done, "{death:?}");
        }
    })
    .await;
}

#[tokio::test]
async fn a_process_that_dies_at_one_step_after_another_has_too() {
    both(async |db| {
        let mut house = House::open(&db, fast()).await;
        let guests = house.guests(8).await;
        house.order(&guests).await;
        for death in [Death::AfterClaim, Death::AfterGiving, Death::AfterClaim, Death::AfterSettle, Death::AfterClaim] {
            house.live_until(death).await;
            house.carrier = carrier(&house.world, &house.access, &house.twilio);
            // Fast enough that the lease of the last one still holds.
            house.world.clock.advance(Duration::from_secs(1));
        }
        house.start_again().await;
        house.each_once(8);
    })
    .await;
}

#[tokio::test]
async fn no_answer_is_never_a_reason_to_send_twice() {
    both(async |db| {
        for (taken, behave) in [
            (true, Behave::TakeAndBreak),
            (true, Behave::TakeAndFail(500)),
            (true, Behave::TakeAndFail(503)),
            (false, Behave::Break),
            (false, Behave::Refuse(500, 20_500, None)),
            (false, Behave::Refuse(502, 0, None)),
        ] {
            let house = House::open(&db, fast()).await;
            let guests = house.guests(1).await;
            house.twilio.script([behave.clone()]);
            house.order(&guests).await;
            house.pass(25).await;
            assert_eq!((house.twilio.requests(), house.twilio.looks()), (1, 0), "{behave:?}");
            house.pass(100).await;
            house.each_once(1);
            // Found at the first look; or not found at two of them, and then sent.
            let expected = if taken { (1, 1) } else { (2, 2) };
            assert_eq!((house.twilio.requests(), house.twilio.looks()), expected, "{behave:?}");
            assert_eq!(house.states().await, [(State::Sent, None)], "{behave:?}");
            assert_eq!(messages::spent(&db, house.event.id).await.unwrap(), 100, "{behave:?}");
        }
    })
    .await;
}

#[tokio::test]
async fn a_list_that_is_behind_or_broken_is_looked_at_again() {
    both(async |db| {
        let house = House::open(&db, fast()).await;
        let guests = house.guests(1).await;
        house.twilio.script([Behave::TakeAndBreak]);
        house.twilio.hide_from_looks(1);
        house.order(&guests).await;
        house.pass(120).await;
        assert_eq!((house.twilio.requests(), house.twilio.looks()), (1, 2));
        assert_eq!(house.states().await, [(State::Sent, None)]);

        let house = House::open(&db, fast()).await;
        let guests = house.guests(1).await;
        house.twilio.script([Behave::TakeAndBreak]);
        house.twilio.fail_looks(u32::MAX);
        house.order(&guests).await;
        house.pass(600).await;
        assert_eq!((house.twilio.requests(), house.twilio.looks()), (1, message::LOOKS_MAX));
        assert_eq!(house.states().await, [(State::Failed, Some(Failure::Unknown))]);
        // A new order does not decide what a person must; a person may.
        house.order(&guests).await;
        house.pass(5).await;
        assert_eq!(house.twilio.requests(), 1);
        let mut tx = db.write().await.unwrap();
        let id = house.messages().await[0].id;
        assert!(messages::retry(&mut tx, house.event.id, id, house.world.clock.now()).await.unwrap());
        tx.commit().await.unwrap();
        house.pass(5).await;
        assert_eq!((house.twilio.requests(), house.states().await), (2, vec![(State::Sent, None)]));
    })
    .await;
}

#[tokio::test]
async fn an_older_message_with_the_same_words_is_not_mistaken_for_this_one() {
    both(async |db| {
        let house = House::open(&db, fast()).await;
        let guests = house.guests(1).await;
        house.order(&guests).await;
        house.pass(1).await;
        // An hour later the same words once more, and the line breaks before Twilio has them.
        house.twilio.date("Fri, 20 Nov 2026 19:30:00 +0000");
        house.world.clock.advance(Duration::from_secs(3_600));
        house.twilio.script([Behave::Break]);
        house.order_as(&guests, |send| Send { round: 1, ..send }).await;
        house.pass(200).await;
        assert_eq!(house.numbers().len(), 2);
    })
    .await;
}

#[tokio::test]
async fn a_claim_that_was_slept_over_is_not_acted_on() {
    both(async |db| {
        let house = House::open(&db, fast()).await;
        let guests = house.guests(1).await;
        house.order(&guests).await;
        while house.carrier.expand().await.unwrap() {}
        let claimed = house.claimed().await;
        house.world.clock.advance(Duration::from_secs(31));
        assert_eq!(house.carrier.give(&claimed).await, None);
        assert_eq!(house.twilio.requests(), 0);
        house.pass(200).await;
        house.each_once(1);
        // Whoever wakes up later writes nothing down.
        house.carrier.settle(&claimed, Outcome::Refused(Failure::Refused)).await.unwrap();
        assert_eq!(house.states().await, [(State::Sent, None)]);
    })
    .await;
}

#[tokio::test]
async fn two_carriers_share_the_work_and_the_rate() {
    both(async |db| {
        let house = House::open(&db, MessagePolicy::default()).await;
        let guests = house.guests(6).await;
        house.order(&guests).await;
        let other = carrier(&house.world, &house.access, &house.twilio);
        for second in 1..=6 {
            let (one, two) = tokio::join!(house.carrier.turn(), other.turn());
            assert_eq!(one.unwrap() + two.unwrap(), 1, "second {second}");
            house.world.clock.advance(Duration::from_secs(1));
        }
        house.each_once(6);
    })
    .await;
}

#[tokio::test]
async fn an_order_of_many_is_made_piece_by_piece_and_goes_on_after_a_death() {
    both(async |db| {
        let house = House::open(&db, fast()).await;
        let guests = house.guests(1_100).await;
        let order = house.order(&guests).await;
        assert!(house.carrier.expand().await.unwrap());
        assert_eq!(house.messages().await.len(), 500);
        assert!(!house.send(order).await.expanded);
        // Dead here; the next one goes on at the cursor.
        let next = carrier(&house.world, &house.access, &house.twilio);
        while next.expand().await.unwrap() {}
        let send = house.send(order).await;
        assert_eq!((send.total, send.expanded), (1_100, true));
        let tally = sends::tallies(&db, house.event.id, order, order).await.unwrap()[0].1;
        assert_eq!(tally.queued, 1_100);
    })
    .await;
}
