//! Guests, on both databases.

use futures_util::future::join_all;

use super::*;
use crate::ports::db::{events, invitations};

async fn host(door: &Door, plus_ones: u32) -> (NewInvitation, Redeemed) {
    let new = NewInvitee { plus_ones, max_uses: Some(3), ..NewInvitee::named("Ada") };
    let invited = door.access.invite(&proof::organise(door.event.id), Actor::Operator, &new).await.unwrap();
    let redeemed = door.redeem(&invited.code.to_string(), None).await.unwrap();
    (invited, redeemed)
}

#[tokio::test]
async fn a_host_brings_as_many_as_they_may_and_not_one_more_at_the_same_moment() {
    both(async |db| {
        let door = open(&db).await;
        let (invited, host) = host(&door, 3).await;
        let all = join_all((0..8).map(|number| {
            let (door, host) = (&door, &host);
            async move { door.access.bring(&host.seat, &format!("Guest {number}")).await }
        }))
        .await;
        let mut codes: Vec<_> =
            all.iter().filter_map(|each| each.as_ref().ok()).map(|(code, _)| code.to_string()).collect();
        assert_eq!(codes.len(), 3, "{all:?}");
        let refused = all.iter().filter(|each| matches!(each, Err(BringRefused::Denied(Denied::UsedUp)))).count();
        assert_eq!(refused, 5, "{all:?}");
        let guests = door.access.guests(&host.seat).await.unwrap();
        assert_eq!((guests.list.len(), guests.left), (3, 0));
        let shown: Vec<_> = guests.list.iter().map(|guest| guest.code.as_ref().unwrap().expose().to_owned()).collect();
        codes.sort();
        let mut sorted = shown.clone();
        sorted.sort();
        assert_eq!(sorted, codes, "a code is shown again as long as it waits");

        // Each has a session of their own beside the host's.
        let mut tokens = vec![door.access.playback_token(&host.seat)];
        for code in &codes {
            let seat = door.redeem(code, None).await.unwrap().seat;
            tokens.push(door.access.playback_token(&seat));
        }
        assert!(tokens.iter().all(|token| door.watch(token).is_ok()));
        let guests = door.access.guests(&host.seat).await.unwrap();
        assert!(guests.list.iter().all(|guest| guest.code.is_none()), "and not when they came");
        let rows = invitations::guests(&db, invited.invitation.id).await.unwrap();
        assert!(rows.iter().all(|row| row.guest_of == Some(invited.invitation.id) && row.max_uses == Some(3)));
        assert!(rows.iter().all(|row| row.plus_ones == 0), "a guest brings nobody");

        // A new code for the host is none for their guests.
        let allowed = proof::organise(door.event.id);
        let only_host = [invited.invitation.id];
        assert_eq!(door.access.renew(&allowed, Actor::Operator, &only_host, None, None).await.unwrap().changed, 1);
        let watching: Vec<_> = tokens.iter().map(|token| door.watch(token).is_ok()).collect();
        assert_eq!(watching, [false, true, true, true]);
        let over = door.access.bring(&host.seat, "Eve").await;
        assert!(matches!(over, Err(BringRefused::Denied(Denied::Ended))), "{over:?}");

        // Who is withdrawn takes their guests along.
        assert!(door.access.withdraw(&allowed, Actor::Operator, invited.invitation.id).await.unwrap());
        assert!(tokens.iter().all(|token| door.watch(token).is_err()));
        for code in &codes {
            assert!(matches!(door.redeem(code, None).await, Err(RedeemRefused::AccessEnded)));
        }
        let facts = "SELECT COUNT(*) AS n FROM facts WHERE data LIKE '%invitation.revoked%'";
        assert_eq!(db.one(facts, []).await.unwrap().unwrap().int("n").unwrap(), 4, "each is told");
    })
    .await;
}

#[tokio::test]
async fn a_guest_is_as_their_host_was_and_somebody_of_their_own_from_then_on() {
    both(async |db| {
        let door = open(&db).await;
        let event = door.event.id;
        let (allowed, moderate) = (proof::organise(event), proof::moderate(event));
        let (invited, host) = host(&door, 2).await;
        let id = invited.invitation.id;
        let end = door.clock.now().plus(Duration::from_secs(600));
        let change = Change { expires_at: Some(Some(end)), language: Some("fr".into()), ..Change::default() };
        door.access.change_invitee(&allowed, Actor::Operator, id, change).await.unwrap();
        let (code, left) = door.access.bring(&host.seat, "Bob").await.unwrap();
        assert_eq!(left, 1);
        let guest = invitations::guests(&db, id).await.unwrap().remove(0);
        assert_eq!((guest.expires_at, guest.language.as_str()), (Some(end), "fr"));
        let later = Change { expires_at: Some(None), plus_ones: Some(1), ..Change::default() };
        door.access.change_invitee(&allowed, Actor::Operator, id, later).await.unwrap();
        let full = door.access.bring(&host.seat, "Eve").await;
        assert!(matches!(full, Err(BringRefused::Denied(Denied::UsedUp))), "{full:?}");
        assert_eq!(door.access.guests(&host.seat).await.unwrap().left, 0);

        // What an organiser put in place of a code is not the host's to hand out; and a place is given once.
        assert_eq!(door.access.renew(&allowed, Actor::Operator, &[guest.id], None, None).await.unwrap().changed, 1);
        assert!(door.access.guests(&host.seat).await.unwrap().list[0].code.is_none());
        assert!(matches!(door.redeem(&code.to_string(), None).await, Err(RedeemRefused::CodeInvalid)));
        assert!(door.access.withdraw(&allowed, Actor::Operator, guest.id).await.unwrap());
        let guests = door.access.guests(&host.seat).await.unwrap();
        assert_eq!((guests.list.len(), guests.left), (0, 0));

        // Of a host who is kept out nobody comes any more through them; those who came stay.
        let more = Change { plus_ones: Some(2), ..Change::default() };
        door.access.change_invitee(&allowed, Actor::Operator, id, more).await.unwrap();
        let (code, _) = door.access.bring(&host.seat, "Carl").await.unwrap();
        let carl = door.redeem(&code.to_string(), None).await.unwrap().seat;
        let mut tx = db.write().await.unwrap();
        events::lock(&mut tx, event).await.unwrap();
        invitations::block(&mut tx, event, id, door.clock.now()).await.unwrap();
        tx.commit().await.unwrap();
        let blocked = door.access.bring(&host.seat, "Dan").await;
        assert!(matches!(blocked, Err(BringRefused::Denied(Denied::Blocked))), "{blocked:?}");
        assert!(door.access.unblock(&moderate, Actor::Operator, id).await.unwrap());
        assert!(carl.over().is_none());
    })
    .await;
}

#[tokio::test]
async fn a_program_that_brings_many_in_a_minute_waits() {
    both(async |db| {
        let door = open(&db).await;
        let (_, host) = host(&door, 100).await;
        for number in 0..20 {
            door.access.bring(&host.seat, &format!("Guest {number}")).await.unwrap();
        }
        let Err(BringRefused::TooMany { retry_after }) = door.access.bring(&host.seat, "One more").await else {
            panic!("the twenty-first in a minute")
        };
        assert_eq!(retry_after, Duration::from_secs(60));
        door.clock.advance(retry_after);
        assert_eq!(door.access.bring(&host.seat, "One more").await.unwrap().1, 79);
        assert_eq!(door.access.guests(&host.seat).await.unwrap().list.len(), 21);
    })
    .await;
}
