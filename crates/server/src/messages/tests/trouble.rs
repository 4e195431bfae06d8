//! A gateway that fails, or hangs: what is waited for, and who is told.

use stagedoor_domain::incident::Kind as Odd;

use super::*;
use crate::ports::db::incidents::{self, Incident};

impl House {
    async fn incidents(&self) -> Vec<Incident> {
        incidents::list(&self.world.db, Some(self.event.id), None, 9).await.unwrap()
    }
}

#[tokio::test]
async fn a_gateway_that_hangs_is_not_waited_for_and_not_asked_twice() {
    both(async |db| {
        for (taken, behave) in [(true, Behave::TakeAndHang), (false, Behave::Hang)] {
            let mut house = House::open(&db, fast()).await;
            let impatient = |twilio: Twilio| twilio.impatient(Duration::from_millis(100));
            house.carrier = carrier_as(&house.world, &house.access, &house.twilio, impatient);
            let guests = house.guests(1).await;
            house.twilio.script([behave.clone()]);
            house.order(&guests).await;
            house.carrier.turn().await.unwrap();
            assert_eq!(house.states().await, [(State::Sending, None)], "{behave:?}");
            assert_eq!((house.twilio.requests(), house.twilio.looks()), (1, 0), "{behave:?}");
            for _ in 0..20 {
                house.world.clock.advance(Duration::from_secs(10));
                house.carrier.turn().await.unwrap();
            }
            house.each_once(1);
            assert_eq!(house.twilio.requests(), if taken { 1 } else { 2 }, "{behave:?}");
            assert_eq!(house.states().await, [(State::Sent, None)], "{behave:?}");
        }
    })
    .await;
}

#[tokio::test]
async fn wrong_settings_are_told_at_once() {
    both(async |db| {
        let house = House::open(&db, fast()).await;
        let guests = house.guests(2).await;
        house.twilio.script([Behave::Refuse(401, 20_003, None)]);
        let order = house.order(&guests).await;
        house.pass(2).await;
        assert_eq!(house.incidents().await.iter().map(|told| told.kind).collect::<Vec<_>>(), [Odd::GatewayFailing]);
        house.resume(order).await;
        house.pass(4).await;
        house.each_once(2);
        assert!(house.incidents().await[0].acknowledged_at.is_some());
    })
    .await;
}

#[tokio::test]
async fn an_organiser_is_told_that_the_money_is_spent() {
    both(async |db| {
        let house = House::open(&db, MessagePolicy { budget_milli: Some(100), ..fast() }).await;
        let guests = house.guests(2).await;
        house.order(&guests).await;
        house.pass(3).await;
        let told = house.incidents().await;
        assert_eq!((told.len(), told[0].kind, told[0].times), (1, Odd::BudgetReached, 1));
        assert!(told[0].text.contains("Raise its budget"), "{}", told[0].text);

        let caps = vec![("+44".to_owned(), 0)];
        let house = House::open(&db, MessagePolicy { prefix_budget_milli: caps, ..fast() }).await;
        let guests = [house.invite("Dear", "+447911123456").await, house.invite("Ada", "+33600000000").await];
        house.order(&guests).await;
        house.pass(3).await;
        let told = house.incidents().await;
        assert_eq!((told.len(), told[0].kind), (1, Odd::BudgetReached));
        assert!(told[0].text.contains("their prefix") && !told[0].text.contains("+44"), "{}", told[0].text);
        assert_eq!(house.numbers(), ["+33600000000"]);
    })
    .await;
}
