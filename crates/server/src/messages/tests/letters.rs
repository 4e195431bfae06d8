//! Letters, over a real conversation with a mail server, and what stays in the house.

use stagedoor_testkit::smtp::{Behave, Smtp as MailServer};

use super::*;
use crate::config::Email;

async fn house_with(db: &Db, server: &MailServer) -> House {
    let mut house = House::open(db, fast()).await;
    let email = Email {
        url: Some(Hidden::new(format!("smtp://door:pass%20word@{}", server.address()))),
        from: Some("Stagedoor <door@stage.example>".into()),
        starttls: false,
    };
    let gateways = Gateways { sms: Box::new(Outbox), email: Box::new(Smtp::new(&email).unwrap().unwrap()) };
    house.carrier = Messages::new(house.world.clone(), house.access.clone(), gateways, Sms::default());
    house
}

impl House {
    async fn invite_by_letter(&self, name: &str, email: &str) -> InvitationId {
        let contact = Contact { email: Some(email.parse().unwrap()), ..Contact::default() };
        let new = NewInvitee { contact, language: "fr".into(), ..NewInvitee::named(name) };
        self.access.invite(&proof::organise(self.event.id), Actor::Operator, &new).await.unwrap().invitation.id
    }

    async fn write(&self, guests: &[InvitationId]) {
        self.order_as(guests, |send| Send { channel: Channel::Email, ..send }).await;
        self.pass(3).await;
    }
}

#[tokio::test]
async fn a_letter_arrives_as_it_was_meant() {
    both(async |db| {
        let server = MailServer::start().await;
        let house = house_with(&db, &server).await;
        let guest = house.invite_by_letter("Zoë Žižková", "zoe@example.org").await;
        house.write(&[guest]).await;
        let taken = server.taken();
        assert_eq!(taken.len(), 1);
        assert_eq!((taken[0].from.as_str(), taken[0].to.as_str()), ("<door@stage.example>", "<zoe@example.org>"));
        let text = &taken[0].text;
        assert!(text.contains("From: Stagedoor <door@stage.example>\r\n"), "{text}");
        assert!(text.contains("Subject: Votre invitation : Evening\r\n"), "{text}");
        assert!(text.contains("Date: Fri, 20 Nov 2026 19:30:00 +0000\r\n"), "{text}");
        let message = &house.messages().await[0];
        assert!(text.contains(&format!("Message-ID: <{}@stage.example>\r\n", message.id)), "{text}");
        assert!(text.contains("Content-Type: text/plain; charset=utf-8\r\n"), "{text}");
        assert!(text.is_ascii(), "encoded for servers that know no other");
        // AUTH PLAIN of door and "pass word".
        assert_eq!(server.signed_in(), ["AGRvb3IAcGFzcyB3b3Jk"]);
        assert_eq!((message.state, message.cost_milli), (State::Sent, 0));
    })
    .await;
}

#[tokio::test]
async fn what_a_refusal_means_depends_on_when_it_comes() {
    both(async |db| {
        use State::{Failed, Queued, Sent};
        for (behave, expected, taken) in [
            (Behave::Say("RCPT", "550 no such user"), (Failed, Some(Failure::BadAddress)), 0),
            (Behave::Say("RCPT", "451 try later"), (Queued, None), 0),
            (Behave::Say("RCPT", ""), (Queued, None), 0),
            (Behave::Say("MAIL", "550 who are you"), (Queued, None), 0),
            (Behave::Say("AUTH", "535 wrong"), (Queued, None), 0),
            (Behave::Say("DATA", "554 no"), (Failed, Some(Failure::Refused)), 0),
            (Behave::Say("END", "554 spam"), (Failed, Some(Failure::Refused)), 0),
            (Behave::Say("END", "452 full"), (Queued, None), 0),
            (Behave::TakeAndBreak, (State::Sending, None), 1),
            (Behave::Take, (Sent, None), 1),
        ] {
            let server = MailServer::start().await;
            let house = house_with(&db, &server).await;
            let guest = house.invite_by_letter("Ada", "ada@example.org").await;
            server.script([behave]);
            house.write(&[guest]).await;
            assert_eq!((house.states().await[0], server.taken().len()), (expected, taken), "{behave:?}");
            house.pass(60).await;
            // What was not taken is tried again; what may have been taken is for a person to decide.
            let unknown = behave == Behave::TakeAndBreak;
            let paused = matches!(behave, Behave::Say("MAIL" | "AUTH", _));
            let end = match expected {
                (Queued, _) if !paused => (Sent, None),
                _ if unknown => (Failed, Some(Failure::Unknown)),
                other => other,
            };
            assert_eq!(house.states().await[0], end, "{behave:?}");
            assert!(server.taken().len() <= 1, "{behave:?}");
        }
    })
    .await;
}

#[tokio::test]
async fn without_a_server_letters_and_texts_stay_in_the_house() {
    both(async |db| {
        let mut house = House::open(&db, fast()).await;
        let gateways = Gateways::of(&Config::default()).unwrap();
        house.carrier = Messages::new(house.world.clone(), house.access.clone(), gateways, Sms::default());
        let guests = house.guests(2).await;
        house.order(&guests).await;
        house.pass(2).await;
        assert_eq!(house.twilio.requests(), 0);
        let message = &house.messages().await[0];
        assert_eq!((message.state, message.cost_milli), (State::Sent, 0));
        let row = invitations::by_id(&db, guests[0]).await.unwrap().unwrap();
        let person = SealedFor { invitation: row.id, person_key: row.person_key.as_deref().unwrap() };
        let kept = house.access.open_message(message.id, Some(person), message.payload.as_deref().unwrap()).unwrap();
        assert!(kept.body.starts_with("Guest 0, you are invited to Evening."), "the outbox shows what it said");
        assert!(house.access.open_message(message.id, None, message.payload.as_deref().unwrap()).is_err());
    })
    .await;
}
