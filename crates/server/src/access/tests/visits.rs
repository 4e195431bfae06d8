//! Who watches stays, on both databases and by a clock that is set.

use stagedoor_domain::access::{EndAll, Visit};

use super::*;

const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(60 * 60);

impl Door {
    /// A request for media in every minute, each followed by a sweep.
    async fn watch_for(&self, token: &str, duration: Duration) {
        let end = self.clock.now().plus(duration);
        while self.clock.now() < end {
            self.clock.advance(MINUTE);
            assert_eq!(self.watch(token).map(|_| ()), Ok(()), "at {}", self.clock.now());
            self.access.prolong().await.unwrap();
            self.access.expire().await.unwrap();
        }
    }

    /// The same house after another process has taken it over.
    async fn restarted(self, db: &Db) -> Self {
        Self { access: start(db, &self.clock).await, ..self }
    }
}

#[tokio::test]
async fn who_watches_across_the_end_of_a_session_is_never_refused_and_keeps_the_address() {
    both(async |db| {
        let mut door = open(&db).await;
        let code = door.invite().await.code.to_string();
        let redeemed = door.redeem(&code, None).await.unwrap();
        let (token, first_end) = (door.access.playback_token(&redeemed.seat), redeemed.seat.expires_at());
        door.watch_for(&token, 11 * HOUR).await;
        // Nothing but the row is left of what this process knew.
        door = door.restarted(&db).await;
        door.watch_for(&token, 3 * HOUR).await;
        assert!(door.clock.now() > first_end);
        let seat = door.access.seat(door.event.id, redeemed.cookie.expose()).unwrap();
        assert!(
            seat.expires_at() >= door.clock.now().plus(11 * HOUR),
            "there is always time for a database to come back"
        );
        assert_eq!(door.access.playback_token(&seat), token);
    })
    .await;
}

#[tokio::test]
async fn who_was_away_for_longer_than_a_session_lasts_is_refused() {
    both(async |db| {
        let door = open(&db).await;
        let code = door.invite().await.code.to_string();
        let redeemed = door.redeem(&code, None).await.unwrap();
        let token = door.access.playback_token(&redeemed.seat);
        door.watch_for(&token, 2 * HOUR).await;
        for _ in 0..2 {
            door.clock.advance(11 * HOUR - MINUTE);
            // It was swept all the while, and nobody was there.
            door.access.prolong().await.unwrap();
            door.access.expire().await.unwrap();
            door.watch_for(&token, MINUTE).await;
        }
        door.clock.advance(12 * HOUR);
        door.access.prolong().await.unwrap();
        assert_eq!(door.watch(&token), Err(Denied::Expired));
        door.access.prolong().await.unwrap();
        door.access.expire().await.unwrap();
        assert_eq!(door.watch(&token), Err(Denied::Unknown));
        assert_eq!(redeemed.seat.over(), Some(EndReason::Expired));
    })
    .await;
}

#[tokio::test]
async fn a_session_is_over_after_a_week_whoever_still_watches() {
    both(async |db| {
        let door = open(&db).await;
        let redeemed = door.redeem(&door.invite().await.code.to_string(), None).await.unwrap();
        let token = door.access.playback_token(&redeemed.seat);
        let began = door.clock.now();
        while door.clock.now().since(began) < Visit::LONGEST {
            assert_eq!(door.watch(&token).map(|_| ()), Ok(()));
            door.access.prolong().await.unwrap();
            door.clock.advance(HOUR / 2);
        }
        assert_eq!(redeemed.seat.expires_at(), began.plus(Visit::LONGEST));
        assert_eq!(door.watch(&token), Err(Denied::Expired));
    })
    .await;
}

#[tokio::test]
async fn a_session_that_was_prolonged_ends_at_once_like_any_other() {
    both(async |db| {
        let door = open(&db).await;
        let event = door.event.id;
        let mut inside = Vec::new();
        for _ in 0..4 {
            let invited = door.invite().await;
            let seat = door.redeem(&invited.code.to_string(), None).await.unwrap().seat;
            inside.push((invited.invitation.id, door.access.playback_token(&seat), seat));
        }
        let everybody = |expected: [bool; 4]| {
            let seen: Vec<_> = inside.iter().map(|(_, token, _)| door.watch(token).is_ok()).collect();
            assert_eq!(seen, expected);
        };
        for _ in 0..14 {
            door.clock.advance(HOUR);
            everybody([true; 4]);
            door.access.prolong().await.unwrap();
        }
        let [kicked, withdrawn, left, _] = &inside[..] else { panic!("four") };
        door.access
            .kick(&proof::moderate(event), Actor::Operator, &[kicked.2.session], SendOut::default())
            .await
            .unwrap();
        everybody([false, true, true, true]);
        door.access.withdraw(&proof::organise(event), Actor::Operator, withdrawn.0).await.unwrap();
        everybody([false, false, true, true]);
        door.access.leave(&left.2).await.unwrap();
        everybody([false, false, false, true]);
        // What is over is not prolonged, neither here nor in a process that starts.
        door.clock.advance(2 * HOUR);
        everybody([false, false, false, true]);
        door.access.prolong().await.unwrap();
        door.access.end_all(&proof::of(EndAll { event }), Actor::Operator, None).await.unwrap();
        everybody([false; 4]);
        let again = start(&db, &door.clock).await;
        again.prolong().await.unwrap();
        for (_, token, _) in &inside {
            assert!(again.watch(token, &door.event.stream.to_string()).is_err());
        }
        assert!(sessions::all_active(&db).await.unwrap().is_empty());
    })
    .await;
}

#[tokio::test]
async fn an_invitation_that_ends_ends_the_session_that_goes_on() {
    both(async |db| {
        let door = open(&db).await;
        let new = NewInvitee { expires_at: Some(door.clock.now().plus(14 * HOUR)), ..NewInvitee::named("Ada") };
        let invited = door.access.invite(&proof::organise(door.event.id), Actor::Operator, &new).await.unwrap();
        let seat = door.redeem(&invited.code.to_string(), None).await.unwrap().seat;
        let token = door.access.playback_token(&seat);
        door.watch_for(&token, 13 * HOUR).await;
        door.clock.advance(HOUR);
        assert!(door.watch(&token).is_ok());
        door.access.prolong().await.unwrap();
        door.access.expire().await.unwrap();
        assert_eq!((door.watch(&token), seat.over()), (Err(Denied::Unknown), Some(EndReason::Expired)));
    })
    .await;
}

#[tokio::test]
async fn a_page_that_does_not_answer_is_not_somebody_who_stays() {
    both(async |db| {
        let mut door = open(&db).await;
        door.event.policy.protection.guard = true;
        let event = door.event.clone();
        door.access.rooms.room(event.id).unwrap().change(&event);
        let seat = door.redeem(&door.invite().await.code.to_string(), None).await.unwrap().seat;
        let token = door.access.playback_token(&seat);
        let end = seat.expires_at();
        for _ in 0..3 * 60 * 60 / 4 {
            door.clock.advance(Duration::from_secs(4));
            door.access.listen();
        }
        assert!(seat.is_silent() && door.watch(&token).is_ok());
        door.access.prolong().await.unwrap();
        assert_eq!(seat.expires_at(), end, "somebody fetches media, and nobody answers for them");
    })
    .await;
}
