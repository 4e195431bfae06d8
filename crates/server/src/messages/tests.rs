//! The queue on both databases, against a server that behaves like Twilio and one that takes letters.
#![allow(clippy::unwrap_used)]

mod crash;
mod letters;
mod trouble;

use stagedoor_domain::Time;
use stagedoor_domain::event::{MessagePolicy, Policy, QuietHours};
use stagedoor_domain::id::{InvitationId, MessageId, SendId};
use stagedoor_domain::message::{self, Failure, Kind, PauseCause, SendState, State};
use stagedoor_testkit::twilio::{self, Behave};

use super::*;
use crate::access::{Contact, MasterKey, NewInvitee, SealedFor};
use crate::config::{Hidden, Sms, SmsGateway};
use crate::facts::Actor;
use crate::ports::bus::Bus;
use crate::ports::clock::Clock;
use crate::ports::db::events::Event;
use crate::ports::db::messages::{Filter, NewSingle};
use crate::ports::db::sends::Send;
use crate::ports::db::testing::{both, proof, sample};
use crate::ports::db::{Db, DbError, invitations, opt_outs, sends};
use crate::ports::random::Random;

/// An event, whoever is invited to it, and the world around.
struct House {
    world: World,
    access: Arc<Access>,
    event: Event,
    twilio: twilio::Twilio,
    carrier: Arc<Messages>,
}

/// 2026-11-20T19:30:00Z.
const START: i64 = 1_795_203_000_000;

impl House {
    async fn open(db: &Db, policy: MessagePolicy) -> Self {
        let world = World {
            db: db.clone(),
            clock: Clock::manual(Time::from_millis(START)),
            random: Random::system(),
            bus: Bus::local(),
        };
        let access = Access::start(world.clone(), config::Access::default(), &MasterKey::new([7; 32])).await.unwrap();
        let now = world.clock.now();
        let policy = Policy { messages: policy, ..Policy::default() };
        let event = Event { starts_at: Some(now), policy, ..sample::evening(&world.random, now) };
        access.create_event(&proof::create(), Actor::Operator, &event).await.unwrap();
        let twilio = twilio::Twilio::start().await;
        let carrier = carrier(&world, &access, &twilio);
        Self { world, access, event, twilio, carrier }
    }

    async fn invite(&self, name: &str, phone: &str) -> InvitationId {
        let contact = Contact { phone: phone.parse().ok(), ..Contact::default() };
        let new = NewInvitee { contact, ..NewInvitee::named(name) };
        self.access.invite(&proof::organise(self.event.id), Actor::Operator, &new).await.unwrap().invitation.id
    }

    async fn guests(&self, count: u32) -> Vec<InvitationId> {
        let mut guests = Vec::new();
        for number in 0..count {
            guests.push(self.invite(&format!("Guest {number}"), &format!("+336{number:08}")).await);
            // Ids sort by their time: the guests are in order from here on.
            self.world.clock.advance(Duration::from_millis(1));
        }
        guests
    }

    async fn order(&self, ids: &[InvitationId]) -> SendId {
        self.order_as(ids, |send| send).await
    }

    async fn order_as(&self, ids: &[InvitationId], change: impl FnOnce(Send) -> Send) -> SendId {
        let now = self.world.clock.now();
        let send = change(Send {
            id: SendId::new(self.world.random.uuid(now)),
            event: self.event.id,
            channel: Channel::Sms,
            kind: Kind::Invitation,
            round: 0,
            state: SendState::Running,
            paused_because: None,
            selection: serde_json::json!({ "ids": ids }).to_string(),
            cursor: None,
            expanded: false,
            total: 0,
            organiser: "House".into(),
            base_url: "https://stage.example.org".into(),
            not_before: now,
            created_at: now,
        });
        let mut tx = self.world.db.write().await.unwrap();
        sends::insert(&mut tx, &proof::organise(self.event.id), &send).await.unwrap();
        tx.commit().await.unwrap();
        send.id
    }

    /// Lets `seconds` pass, a turn in each.
    async fn pass(&self, seconds: u64) {
        for _ in 0..seconds {
            self.carrier.turn().await.unwrap();
            self.world.clock.advance(Duration::from_secs(1));
        }
    }

    async fn send(&self, id: SendId) -> Send {
        sends::get(&self.world.db, self.event.id, id).await.unwrap().unwrap()
    }

    /// In the order of the guests.
    async fn messages(&self) -> Vec<Message> {
        let all = messages::list(&self.world.db, self.event.id, Filter::default(), None, 10_000).await.unwrap();
        let mut all: Vec<_> = all.into_iter().map(|listed| listed.message).collect();
        all.sort_by_key(|message| message.invitation);
        all
    }

    async fn states(&self) -> Vec<(State, Option<Failure>)> {
        self.messages().await.into_iter().map(|message| (message.state, message.failure)).collect()
    }

    fn numbers(&self) -> Vec<String> {
        self.twilio.taken().into_iter().map(|taken| taken.to).collect()
    }

    /// Everybody was written to, and nobody twice.
    #[track_caller]
    fn each_once(&self, count: u32) {
        let mut numbers = self.numbers();
        numbers.sort();
        let expected: Vec<_> = (0..count).map(|number| format!("+336{number:08}")).collect();
        assert_eq!(numbers, expected);
    }

    async fn change(&self, policy: MessagePolicy) {
        let edit = |event: &mut Event| -> Result<(), DbError> {
            event.policy.messages = policy;
            Ok(())
        };
        let allowed = proof::organise(self.event.id);
        assert!(self.access.edit_event(&allowed, Actor::Operator, edit).await.unwrap());
    }

    async fn resume(&self, id: SendId) {
        let mut tx = self.world.db.write().await.unwrap();
        assert!(sends::resume(&mut tx, &proof::organise(self.event.id), id).await.unwrap());
        messages::wake(&mut tx, self.event.id, self.world.clock.now()).await.unwrap();
        tx.commit().await.unwrap();
    }
}

/// Another carrier, as a process has it that starts on what the last one left behind.
fn carrier(world: &World, access: &Arc<Access>, twilio: &twilio::Twilio) -> Arc<Messages> {
    carrier_as(world, access, twilio, |twilio| twilio)
}

fn carrier_as(
    world: &World,
    access: &Arc<Access>,
    twilio: &twilio::Twilio,
    change: impl FnOnce(Twilio) -> Twilio,
) -> Arc<Messages> {
    let sms = Sms {
        gateway: SmsGateway::Twilio,
        account_sid: Some(twilio::ACCOUNT.into()),
        auth_token: Some(Hidden::new(twilio::TOKEN)),
        from: Some("+15005550006".into()),
        base_url: twilio.url(),
        price_milli: 100,
        prices_milli: vec![("+44".into(), 250)],
        ..Sms::default()
    };
    let gateways = Gateways {
        sms: Box::new(change(Twilio::new(&sms, Some("https://stage.example.org")).unwrap())),
        email: Box::new(Outbox),
    };
    Messages::new(world.clone(), access.clone(), gateways, sms)
}

fn fast() -> MessagePolicy {
    MessagePolicy { per_second: 100, ..MessagePolicy::default() }
}

#[tokio::test]
async fn an_order_reaches_everybody_once_at_the_rate_of_the_event() {
    both(async |db| {
        let house = House::open(&db, MessagePolicy::default()).await;
        let guests = house.guests(5).await;
        let order = house.order(&guests).await;
        let mut seen = Vec::new();
        for _ in 0..6 {
            house.carrier.turn().await.unwrap();
            house.carrier.turn().await.unwrap();
            seen.push(house.numbers().len());
            house.world.clock.advance(Duration::from_secs(1));
        }
        assert_eq!(seen, [1, 2, 3, 4, 5, 5]);
        house.each_once(5);
        let send = house.send(order).await;
        assert_eq!((send.state, send.total), (SendState::Done, 5));
        let first = &house.twilio.taken()[0];
        let code = house.access.contact_for_sending(guests[0]).await.unwrap().unwrap().code;
        let link = format!("https://stage.example.org/e/{}#{}", house.event.id, code.expose());
        assert_eq!(first.body, format!("Guest 0, you are invited to Evening. Come in here: {link}"));
        assert!(first.callback.starts_with("https://stage.example.org/hooks/twilio/status?message=msg_"));
        let row = invitations::by_id(&db, guests[0]).await.unwrap().unwrap();
        assert_eq!(row.state.as_str(), "sent");
        let history: Vec<_> = invitations::history(&db, guests[0]).await.unwrap();
        assert_eq!(history.iter().map(|step| step.state.as_str()).collect::<Vec<_>>(), ["queued", "sent"]);
        // The text is not kept; whom it went to is, for the list.
        let message = &house.messages().await[0];
        let person = SealedFor { invitation: row.id, person_key: row.person_key.as_deref().unwrap() };
        let kept = house.access.open_message(message.id, Some(person), message.payload.as_deref().unwrap()).unwrap();
        assert_eq!((kept.to.as_str(), kept.body.as_str()), ("+33600000000", ""));
        assert_eq!(message.reference.as_deref(), Some(first.sid.as_str()));
    })
    .await;
}

#[tokio::test]
async fn the_same_order_given_twice_says_it_once() {
    both(async |db| {
        let house = House::open(&db, fast()).await;
        let guests = house.guests(3).await;
        for _ in 0..3 {
            house.order(&guests).await;
        }
        house.pass(6).await;
        house.each_once(3);
        // Once more on purpose, and with a new code.
        house.order_as(&guests[..1], |send| Send { round: 1, ..send }).await;
        house.pass(2).await;
        assert_eq!(house.numbers().len(), 4);
    })
    .await;
}

#[tokio::test]
async fn a_gateway_that_is_busy_is_left_alone_as_long_as_it_asks() {
    both(async |db| {
        let house = House::open(&db, fast()).await;
        let guests = house.guests(3).await;
        house.twilio.script([Behave::Take, Behave::Refuse(429, 20_429, Some(40))]);
        house.order(&guests).await;
        house.pass(39).await;
        assert_eq!((house.numbers().len(), house.twilio.requests()), (1, 2), "nobody else is tried either");
        house.pass(20).await;
        house.each_once(3);
        assert_eq!(house.twilio.requests(), 4);
    })
    .await;
}

#[tokio::test]
async fn what_the_gateway_refuses_for_good_is_not_asked_again() {
    both(async |db| {
        let house = House::open(&db, fast()).await;
        let guests = house.guests(4).await;
        let refusals = [(400, 21_610), (400, 21_211), (400, 30_007)];
        house.twilio.script(refusals.map(|(status, code)| Behave::Refuse(status, code, None)));
        let order = house.order(&guests).await;
        house.pass(8).await;
        assert_eq!(
            house.states().await,
            [
                (State::Suppressed, Some(Failure::OptedOut)),
                (State::Failed, Some(Failure::BadAddress)),
                (State::Failed, Some(Failure::Refused)),
                (State::Sent, None),
            ]
        );
        assert_eq!(house.twilio.requests(), 4);
        assert_eq!(messages::spent(&db, house.event.id).await.unwrap(), 100, "only what was taken costs");
        assert_eq!(house.send(order).await.state, SendState::Done);
        assert_eq!(opt_outs::of_event(&db, house.event.id).await.unwrap(), 1);
        assert_eq!(invitations::by_id(&db, guests[1]).await.unwrap().unwrap().state.as_str(), "failed");
        // Tried again by a new order: not by who opted out.
        house.order(&guests).await;
        house.pass(6).await;
        let mut numbers = house.numbers();
        numbers.sort();
        assert_eq!(numbers, ["+33600000001", "+33600000002", "+33600000003"]);
    })
    .await;
}

#[tokio::test]
async fn wrong_settings_stop_an_order_instead_of_burning_it() {
    both(async |db| {
        let house = House::open(&db, fast()).await;
        let guests = house.guests(3).await;
        house.twilio.script([Behave::Refuse(401, 20_003, None)]);
        let order = house.order(&guests).await;
        house.pass(3).await;
        let send = house.send(order).await;
        assert_eq!((send.state, send.paused_because), (SendState::Paused, Some(PauseCause::Gateway)));
        assert_eq!(house.twilio.requests(), 1);
        house.resume(order).await;
        house.pass(6).await;
        house.each_once(3);
    })
    .await;
}

#[tokio::test]
async fn nobody_is_woken_in_the_quiet_hours() {
    both(async |db| {
        // 19:30 UTC is 20:30 there; quiet from 20:30 to 08:00.
        let quiet = QuietHours { from_minute: 20 * 60 + 30, to_minute: 8 * 60, utc_offset_minutes: 60 };
        let house = House::open(&db, MessagePolicy { quiet_hours: Some(quiet), ..fast() }).await;
        let guests = house.guests(3).await;
        let order = house.order(&guests).await;
        house.pass(3).await;
        assert_eq!(house.twilio.requests(), 0);
        let next = messages::next_wake(&db).await.unwrap().unwrap();
        assert_eq!(
            next,
            Time::from_millis(START + (11 * 60 + 30) * 60_000),
            "there is nothing to do until the morning"
        );
        // One who is awake is answered.
        let id = MessageId::new(house.world.random.uuid(house.world.clock.now()));
        let row = invitations::by_id(&db, guests[0]).await.unwrap().unwrap();
        let person = SealedFor { invitation: row.id, person_key: row.person_key.as_deref().unwrap() };
        let draft = Written { body: "{name}: {link}".into(), base_url: "https://s".into(), ..Written::default() };
        let payload = house.access.seal_message(id, Some(person), &draft).unwrap();
        let (event, invitation) = (house.event.id, Some(guests[0]));
        let single = NewSingle { id, event, invitation, channel: Channel::Sms, kind: Kind::Direct, payload };
        let mut tx = db.write().await.unwrap();
        messages::insert_single(&mut tx, &single, house.world.clock.now()).await.unwrap();
        tx.commit().await.unwrap();
        house.pass(1).await;
        assert!(house.twilio.taken()[0].body.starts_with("Guest 0: https://s/e/evt_"));
        house.world.clock.advance(Duration::from_secs(12 * 3_600));
        house.pass(6).await;
        assert_eq!(house.numbers().len(), 4);
        assert_eq!(house.send(order).await.state, SendState::Done);
    })
    .await;
}

#[tokio::test]
async fn a_new_code_goes_out_in_the_quiet_hours_while_invitations_wait() {
    both(async |db| {
        let quiet = QuietHours { from_minute: 20 * 60 + 30, to_minute: 8 * 60, utc_offset_minutes: 60 };
        let house = House::open(&db, MessagePolicy { quiet_hours: Some(quiet), ..fast() }).await;
        let guests = house.guests(3).await;
        let morning = Time::from_millis(START + (11 * 60 + 30) * 60_000);
        let invitations = house.order(&guests).await;
        house.pass(2).await;
        assert_eq!(messages::next_wake(&db).await.unwrap(), Some(morning));
        let code = house.order_as(&guests[..1], |send| Send { kind: Kind::NewCode, ..send }).await;
        house.pass(4).await;
        house.each_once(1);
        assert_eq!(house.send(code).await.state, SendState::Done);
        assert_eq!(messages::next_wake(&db).await.unwrap(), Some(morning));

        // One that begins in the night wakes the event by itself, and so does one that the gateway takes later.
        let begin = house.world.clock.now().plus(Duration::from_secs(3_600));
        let code = house.order_as(&guests[1..2], |send| Send { kind: Kind::NewCode, not_before: begin, ..send }).await;
        house.pass(2).await;
        assert_eq!((house.numbers().len(), messages::next_wake(&db).await.unwrap()), (1, Some(begin)));
        house.twilio.script([Behave::Refuse(429, 20_429, None)]);
        house.world.clock.advance(begin.since(house.world.clock.now()));
        house.pass(2).await;
        let again = messages::next_wake(&db).await.unwrap().unwrap();
        assert!(again > house.world.clock.now() && again < morning, "{again:?}");
        house.pass(10).await;
        house.each_once(2);
        assert_eq!(house.send(code).await.state, SendState::Done);

        assert_eq!(house.send(invitations).await.state, SendState::Running);
        assert_eq!(messages::next_wake(&db).await.unwrap(), Some(morning));
        house.world.clock.advance(morning.since(house.world.clock.now()));
        house.pass(6).await;
        assert_eq!((house.numbers().len(), house.send(invitations).await.state), (5, SendState::Done));
    })
    .await;
}

#[tokio::test]
async fn an_event_never_spends_more_than_it_may() {
    both(async |db| {
        let house = House::open(&db, MessagePolicy { budget_milli: Some(250), ..fast() }).await;
        let guests = house.guests(4).await;
        let order = house.order(&guests).await;
        house.pass(3).await;
        let send = house.send(order).await;
        assert_eq!((send.state, send.paused_because), (SendState::Paused, Some(PauseCause::Budget)));
        assert_eq!(house.numbers().len(), 2);
        assert_eq!(messages::spent(&db, house.event.id).await.unwrap(), 200);
        house.resume(order).await;
        house.pass(2).await;
        assert_eq!(house.send(order).await.state, SendState::Paused, "there is no more money than before");
        house.change(MessagePolicy { budget_milli: Some(400), ..fast() }).await;
        house.resume(order).await;
        house.pass(6).await;
        house.each_once(4);
    })
    .await;
}

#[tokio::test]
async fn a_dear_prefix_waits_for_money_and_lets_others_pass() {
    both(async |db| {
        let caps = vec![("+44".to_owned(), 600)];
        let house = House::open(&db, MessagePolicy { prefix_budget_milli: caps, ..fast() }).await;
        let mut guests = Vec::new();
        for number in 0..5 {
            guests.push(house.invite("Dear", &format!("+44791112345{number}")).await);
            house.world.clock.advance(Duration::from_millis(1));
        }
        house.world.clock.advance(Duration::from_millis(1));
        guests.push(house.invite("Ada", "+33600000000").await);
        let order = house.order(&guests).await;
        house.pass(9).await;
        assert_eq!(house.numbers(), ["+447911123450", "+447911123451", "+33600000000"]);
        let send = house.send(order).await;
        assert_eq!((send.state, send.paused_because), (SendState::Paused, Some(PauseCause::PrefixBudget)));
        house.change(MessagePolicy { prefix_budget_milli: vec![("+44".to_owned(), 5_000)], ..fast() }).await;
        house.resume(order).await;
        house.pass(6).await;
        assert_eq!((house.numbers().len(), house.send(order).await.state), (6, SendState::Done));
    })
    .await;
}

#[tokio::test]
async fn an_order_is_paused_resumed_and_called_off_between_two_messages() {
    both(async |db| {
        let house = House::open(&db, MessagePolicy::default()).await;
        let guests = house.guests(6).await;
        let order = house.order(&guests).await;
        house.pass(2).await;
        let mut tx = db.write().await.unwrap();
        assert!(sends::pause(&mut tx, house.event.id, order, PauseCause::Person).await.unwrap());
        tx.commit().await.unwrap();
        house.pass(5).await;
        assert_eq!(house.numbers().len(), 2);
        house.resume(order).await;
        house.pass(2).await;
        assert_eq!(house.numbers().len(), 4);
        let mut tx = db.write().await.unwrap();
        assert!(sends::cancel(&mut tx, &proof::organise(house.event.id), order).await.unwrap());
        tx.commit().await.unwrap();
        house.pass(5).await;
        assert_eq!(house.numbers().len(), 4);
        let tally = sends::tallies(&db, house.event.id, order, order).await.unwrap()[0].1;
        assert_eq!((tally.sent, tally.suppressed, tally.queued), (4, 2, 0));
        assert_eq!(house.states().await[5], (State::Suppressed, Some(Failure::Cancelled)));
    })
    .await;
}

#[tokio::test]
async fn whom_nothing_can_be_sent_is_passed_over_without_taking_a_turn() {
    both(async |db| {
        let house = House::open(&db, MessagePolicy::default()).await;
        let mut guests = vec![house.invite("No number", "").await];
        house.world.clock.advance(Duration::from_millis(1));
        guests.extend(house.guests(3).await);
        let order = house.order(&guests).await;
        house.carrier.expand().await.unwrap();
        let allowed = proof::organise(house.event.id);
        assert!(house.access.withdraw(&allowed, Actor::Operator, guests[1]).await.unwrap());
        let mut tx = db.write().await.unwrap();
        let phone = "+33600000001".parse().unwrap();
        opt_outs::add(&mut tx, house.access.phone_hash(&phone), house.world.clock.now()).await.unwrap();
        tx.commit().await.unwrap();
        assert_eq!(house.carrier.turn().await.unwrap(), 1);
        assert_eq!(house.numbers(), ["+33600000002"]);
        house.pass(2).await;
        assert_eq!(
            house.states().await[..3],
            [
                (State::Failed, Some(Failure::NoAddress)),
                (State::Suppressed, Some(Failure::NotInvited)),
                (State::Suppressed, Some(Failure::OptedOut)),
            ]
        );
        assert_eq!(house.send(order).await.state, SendState::Done);
    })
    .await;
}

#[tokio::test]
async fn a_new_code_meets_no_old_message() {
    both(async |db| {
        let house = House::open(&db, MessagePolicy::default()).await;
        let guests = house.guests(2).await;
        house.order(&guests).await;
        house.carrier.expand().await.unwrap();
        // A code is replaced while its message waits: what goes out carries the new one, once.
        let mut tx = db.write().await.unwrap();
        let sql = "UPDATE invitations SET code_generation = code_generation + 1 WHERE id = $1";
        tx.execute(sql, [guests[0].into()]).await.unwrap();
        tx.commit().await.unwrap();
        house.order(&guests).await;
        house.pass(4).await;
        house.each_once(2);
        let generations: Vec<_> =
            house.messages().await.iter().map(|each| (each.state, each.code_generation)).collect();
        assert!(generations.contains(&(State::Sent, 2)) && generations.contains(&(State::Sent, 1)), "{generations:?}");
    })
    .await;
}

#[tokio::test]
async fn nothing_goes_out_before_its_time() {
    both(async |db| {
        let house = House::open(&db, fast()).await;
        let guests = house.guests(1).await;
        let at = house.world.clock.now().plus(Duration::from_secs(10));
        house.order_as(&guests, |send| Send { not_before: at, ..send }).await;
        house.pass(10).await;
        assert_eq!(house.twilio.requests(), 0);
        house.pass(1).await;
        house.each_once(1);
    })
    .await;
}
