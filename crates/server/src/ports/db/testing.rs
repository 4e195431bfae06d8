//! Every query on both databases: each test gets a database of its own, and takes it away.
#![allow(clippy::unwrap_used)]

use super::Db;
use stagedoor_testkit::database::Scratch;

/// Runs `body` on a fresh SQLite database and on a fresh PostgreSQL schema.
pub(crate) async fn both(body: impl AsyncFn(Db)) {
    for scratch in [Scratch::sqlite(), Scratch::postgres().await] {
        let db = Db::open(scratch.url()).await.unwrap();
        body(db.clone()).await;
        db.close().await;
        scratch.remove().await;
    }
}

/// The extreme values of each type go in and come out.
pub(crate) async fn values(db: &Db) {
    let sql = "SELECT CAST($1 AS TEXT) AS t, CAST($2 AS BIGINT) AS i, CAST($3 AS BIGINT) AS n, CAST($4 AS TEXT) AS m";
    let args = ["".into(), i64::MIN.into(), super::Value::Int(None), super::Value::Text(None)];
    let row = db.one(sql, args).await.unwrap().unwrap();
    assert_eq!(row.text("t").unwrap(), "");
    assert_eq!(row.int("i").unwrap(), i64::MIN);
    assert_eq!(row.time_maybe("n").unwrap(), None);
    assert_eq!(row.parse_maybe::<String>("m").unwrap(), None);
    assert!(row.text("absent").is_err());
}

/// Permissions, as the operator of the machine has them.
pub(crate) mod proof {
    use stagedoor_domain::Time;
    use stagedoor_domain::access::{
        Action, Administer, Allowed, Broadcast, CreateEvent, Credential, Facts, MintToken, Moderate, Organise,
        Organiser, Reach, Role, Scopes, decide,
    };
    use stagedoor_domain::id::EventId;

    pub(crate) fn of<A: Action>(action: A) -> Allowed<A> {
        let operator = Organiser {
            role: Role::Owner,
            credential: Credential::Operator,
            expires_at: None,
            scopes: Scopes::ALL,
            reach: Reach::Inside,
            confirmed_at: Time::from_millis(0),
        };
        decide(action, &Facts::Organiser(operator), Time::from_millis(0)).unwrap()
    }

    pub(crate) fn create() -> Allowed<CreateEvent> {
        of(CreateEvent)
    }

    pub(crate) fn organise(event: EventId) -> Allowed<Organise> {
        of(Organise { event })
    }

    pub(crate) fn moderate(event: EventId) -> Allowed<Moderate> {
        of(Moderate { event })
    }

    pub(crate) fn broadcast(event: EventId) -> Allowed<Broadcast> {
        of(Broadcast { event })
    }

    pub(crate) fn administer() -> Allowed<Administer> {
        of(Administer)
    }

    pub(crate) fn mint() -> Allowed<MintToken> {
        of(MintToken)
    }
}

/// Rows to begin with.
pub(crate) mod sample {
    use std::sync::atomic::{AtomicU64, Ordering};
    use std::time::Duration;

    use stagedoor_domain::Time;
    use stagedoor_domain::access::{Role, SessionState};
    use stagedoor_domain::event::{Latency, Policy};
    use stagedoor_domain::id::{EventId, InvitationId, KeyId, SessionId, StreamId, UserId};
    use uuid::Uuid;

    use super::super::events::Event;
    use super::super::invitations::{Hashes, Invitation};
    use super::super::sessions::Session;
    use super::super::stream_keys::StreamKey;
    use super::super::users::User;
    use super::super::{Db, events, invitations, stream_keys, users};
    use super::proof;
    use crate::ports::random::Random;

    /// Each one larger than the one before.
    pub(crate) fn uuid() -> Uuid {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        Uuid::from_u128(u128::from(NEXT.fetch_add(1, Ordering::Relaxed)) << 64 | 0x7000_8000)
    }

    pub(crate) fn user_id() -> UserId {
        UserId::new(uuid())
    }

    pub(crate) fn event_id() -> EventId {
        EventId::new(uuid())
    }

    pub(crate) async fn user(db: &Db, username: &str) -> UserId {
        let user = User {
            id: user_id(),
            username: username.into(),
            name: String::new(),
            password: "$argon2id$".into(),
            once_until: None,
            role: Role::Owner,
            disabled_at: None,
            totp: None,
            subject: None,
            created_at: Time::from_millis(1),
        };
        let mut tx = db.write().await.unwrap();
        users::insert(&mut tx, &user).await.unwrap();
        tx.commit().await.unwrap();
        user.id
    }

    /// An event as nobody has set it, which is not in a database yet.
    pub(crate) fn evening(random: &Random, now: Time) -> Event {
        Event {
            id: EventId::new(random.uuid(now)),
            stream: StreamId::new(random.uuid(now)),
            title: "Evening".into(),
            latency: Latency::Low,
            starts_at: None,
            dvr_window: Duration::from_secs(900),
            reconnect_window: Duration::from_secs(60),
            epoch: 0,
            team: None,
            policy: Policy::default(),
            created_at: now,
        }
    }

    pub(crate) async fn event(db: &Db) -> Event {
        let evening = evening(&Random::system(), Time::from_millis(1));
        let event = Event { id: event_id(), stream: StreamId::new(uuid()), ..evening };
        let mut tx = db.write().await.unwrap();
        events::insert(&mut tx, &proof::create(), &event).await.unwrap();
        tx.commit().await.unwrap();
        event
    }

    pub(crate) async fn stream_key(db: &Db, event: EventId, hash: u8) -> StreamKey {
        let key = StreamKey {
            sealed: vec![1, 2, 3],
            hint: "****abcd".into(),
            expires_at: (hash == 1).then(|| Time::from_millis(1_000)),
            ..StreamKey::new(KeyId::new(uuid()), event, Time::from_millis(1))
        };
        let mut tx = db.write().await.unwrap();
        stream_keys::insert(&mut tx, &proof::broadcast(event), &key, [hash; 32]).await.unwrap();
        tx.commit().await.unwrap();
        key
    }

    pub(crate) async fn invitation(db: &Db, event: EventId) -> Invitation {
        static NEXT: AtomicU64 = AtomicU64::new(100);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        invitation_named(db, event, "Ada", u8::try_from(100 + number % 150).unwrap()).await
    }

    pub(crate) async fn invitation_named(db: &Db, event: EventId, name: &str, hash: u8) -> Invitation {
        let invitation = Invitation::new(InvitationId::new(uuid()), event, name, vec![9], Time::from_millis(1));
        let mut tx = db.write().await.unwrap();
        invitations::insert(&mut tx, &proof::organise(event), &invitation, &Hashes::of_code([hash; 32])).await.unwrap();
        tx.commit().await.unwrap();
        invitation
    }

    pub(crate) fn session(invitation: &Invitation, cookie: u8) -> Session {
        Session {
            id: SessionId::new(uuid()),
            event: invitation.event,
            invitation: invitation.id,
            cookie: [cookie; 32],
            device: "Firefox on Linux".into(),
            created_at: Time::from_millis(1),
            expires_at: Time::from_millis(100),
            last_seen_at: Time::from_millis(1),
            state: SessionState::Active,
        }
    }
}
