//! Finding, changing and showing invitees, through the API, as each role may.

use std::time::Duration;

use serde_json::{Value, json};

use crate::stage::{Answer, Browser, Stage, on_both, on_sqlite};

/// Somebody with all that can be known; the answer of having invited them.
async fn hedy(admin: &Browser<'_>, event: &str) -> Answer {
    let body = json!({
        "name": "Hédy Lamarr", "phone": "06 12 34 56 78", "email": "Hedy@example.org", "language": "fr",
        "note": "front row", "tags": ["vip", "press", "vip"], "plus_ones": 2, "max_uses": 5,
    });
    let answer = admin.post(&format!("/api/v1/events/{event}/invitations"), body).await;
    assert_eq!(answer.status, 201, "{answer:?}");
    answer
}

async fn french(admin: &Browser<'_>) -> String {
    let event = admin.create_event("Evening").await;
    let policy = json!({"policy": {"messages": {"default_country": "FR"}}});
    assert_eq!(admin.patch(&format!("/api/v1/events/{event}"), policy).await.status, 200);
    event
}

fn names(answer: &Answer) -> Vec<String> {
    let data = answer.json()["data"].as_array().cloned().unwrap_or_default();
    data.iter().map(|each| each["name"].as_str().unwrap().to_owned()).collect()
}

/// The kinds of facts about an event that were written, newest first.
async fn facts(admin: &Browser<'_>, event: &str) -> Vec<String> {
    let log = admin.get(&format!("/api/v1/log?event={event}&limit=100")).await;
    assert_eq!(log.status, 200, "{log:?}");
    log.json()["data"].as_array().unwrap().iter().map(|fact| fact["type"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn everything_about_somebody_is_kept_masked_and_shown_to_those_who_may_see_it() {
    on_both(async |stage| {
        let admin = stage.admin().await;
        let event = french(&admin).await;
        let made = hedy(&admin, &event).await;
        assert_eq!((made.at("/phone"), made.at("/email")), ("+33 6 •• •• 56 78".into(), "H•••@example.org".into()));
        assert_eq!((made.json()["masked"].clone(), made.json()["note"].clone()), (json!(true), json!(null)));
        assert_eq!(made.json()["tags"], json!(["press", "vip"]));
        let path = format!("/api/v1/events/{event}/invitations/{}", made.at("/id"));
        let read = admin.get(&path).await.json();
        assert_eq!((&read["uses"], &read["max_uses"], &read["plus_ones"]), (&json!(0), &json!(5), &json!(2)));
        assert_eq!(
            (&read["language"], &read["state"], &read["session"]),
            (&json!("fr"), &json!("created"), &json!(null))
        );
        assert_eq!(read["history"].as_array().unwrap().len(), 1, "that they were invited");
        assert_eq!(read["guests"], json!([]));

        // In the clear by its own right, each time with a line in the log.
        let contact = admin.get(&format!("{path}/contact")).await.json();
        assert_eq!(contact, json!({"phone": "+33612345678", "email": "Hedy@example.org", "note": "front row"}));
        let revealed = admin.get(&format!("{path}?reveal=true")).await.json();
        assert_eq!((&revealed["phone"], &revealed["masked"]), (&json!("+33612345678"), &json!(false)));
        let list = admin.get(&format!("/api/v1/events/{event}/invitations?reveal=true")).await.json();
        assert_eq!(list["data"][0]["note"], "front row");
        let looks = facts(&admin, &event).await.iter().filter(|kind| *kind == "invitation.contact_revealed").count();
        assert_eq!(looks, 3);

        // Who may not see people sees masks, and finds nobody by a number.
        for role in ["moderator", "broadcaster", "analyst"] {
            let person = stage.person(&admin, role, role).await;
            assert_eq!(person.get(&path).await.at("/phone"), "+33 6 •• •• 56 78");
            person.get(&format!("{path}/contact")).await.refused(403, "role_too_low");
            person.get(&format!("{path}?reveal=true")).await.refused(403, "role_too_low");
            let list = format!("/api/v1/events/{event}/invitations");
            person.get(&format!("{list}?reveal=true")).await.refused(403, "role_too_low");
            assert_eq!(names(&person.get(&format!("{list}?search=%2B33612345678")).await), [""; 0], "{role}");
            assert_eq!(names(&person.get(&format!("{list}?search=hedy@example.org")).await), [""; 0], "{role}");
            assert_eq!(names(&person.get(&format!("{list}?search=hedy")).await), ["Hédy Lamarr"], "{role}");
            person.patch(&path, json!({"name": "x"})).await.refused(403, "role_too_low");
            let tagging = json!({"selection": {"filter": {}}, "add": ["x"]});
            person.post(&format!("{list}/tags"), tagging).await.refused(403, "role_too_low");
        }
        assert_eq!(admin.get(&format!("{path}/contact")).await.status, 200);
        admin
            .get(&format!("/api/v1/events/{event}/invitations/inv_01kaf3x6m8e9t8s2v4w6y8z0ab/contact"))
            .await
            .refused(404, "not_found");
        // Of another event it does not exist.
        let other = admin.create_event("Other").await;
        for rest in ["", "/contact", "/code"] {
            let path = format!("/api/v1/events/{other}/invitations/{}{rest}", made.at("/id"));
            admin.get(&path).await.refused(404, "not_found");
        }
    })
    .await;
}

#[tokio::test]
async fn people_are_found_by_what_is_known_about_them_and_counted() {
    on_both(async |stage| {
        let admin = stage.admin().await;
        let event = french(&admin).await;
        let base = format!("/api/v1/events/{event}/invitations");
        let hedy = hedy(&admin, &event).await.at("/id");
        for (name, tags) in [("Ada Lovelace", json!(["press"])), ("Grace Hopper", json!([])), ("Ada Yonath", json!([]))]
        {
            stage.pass(1);
            let made = admin.post(&base, json!({"name": name, "tags": tags})).await;
            assert_eq!(made.status, 201, "{made:?}");
        }
        stage.pass(1);
        let revoked = admin.invite(&event, "Rosalind Franklin").await.id;
        assert_eq!(admin.delete(&format!("{base}/{revoked}")).await.status, 204);
        for (query, expected) in [
            ("search=HEDY", vec!["Hédy Lamarr"]),
            ("search=lamarr%20h%C3%A9dy", vec!["Hédy Lamarr"]),
            ("search=%2B33%206%2012%2034%2056%2078", vec!["Hédy Lamarr"]),
            ("search=0612345678", vec!["Hédy Lamarr"]),
            ("search=hedy@EXAMPLE.org", vec!["Hédy Lamarr"]),
            ("search=061234567", vec![]),
            ("search=edy@example.org", vec![]),
            ("tags=press", vec!["Ada Lovelace", "Hédy Lamarr"]),
            ("tags=vip,none", vec!["Hédy Lamarr"]),
            ("states=revoked", vec!["Rosalind Franklin"]),
            ("states=revoked,created&search=ada", vec!["Ada Yonath", "Ada Lovelace"]),
            ("languages=FR", vec!["Hédy Lamarr"]),
            ("blocked=true", vec![]),
            ("search=ada&tags=press", vec!["Ada Lovelace"]),
        ] {
            let answer = admin.get(&format!("{base}?{query}")).await;
            assert_eq!(names(&answer), expected, "{query}");
            assert_eq!(answer.json()["matching"], expected.len(), "{query}");
            assert_eq!(answer.json()["total"], 5, "{query}");
        }
        let all = admin.get(&base).await.json();
        assert_eq!((&all["by_state"]["created"], &all["by_state"]["revoked"]), (&json!(4), &json!(1)));
        assert_eq!(all["by_state"]["delivered"], 0, "every state is there");
        let ada = admin.get(&format!("{base}?search=ada&states=revoked")).await.json();
        assert_eq!((&ada["matching"], &ada["by_state"]["created"]), (&json!(0), &json!(2)), "of all states");

        // Page by page, each once; the figures come with the first page.
        let (mut met, mut cursor, mut pages) = (Vec::new(), String::new(), 0);
        loop {
            let page = admin.get(&format!("{base}?limit=2{cursor}")).await;
            assert_eq!(page.json()["matching"].is_null(), pages > 0);
            met.extend(names(&page));
            pages += 1;
            match page.json()["next_cursor"].as_str() {
                Some(next) => cursor = format!("&cursor={next}"),
                None => break,
            }
        }
        assert_eq!((met.len(), pages, met[4].as_str()), (5, 3, "Hédy Lamarr"));

        let tags = json!({"data": [{"tag": "press", "invitations": 2}, {"tag": "vip", "invitations": 1}]});
        assert_eq!(admin.get(&format!("{base}/tags")).await.json(), tags);
        let tagging = |selection: Value| json!({"selection": selection, "add": ["late", "vip"], "remove": ["press"]});
        let tag = async |selection| admin.post(&format!("{base}/tags"), tagging(selection)).await;
        assert_eq!(tag(json!({"filter": {"tags": ["press"]}})).await.json(), json!({"changed": 2}));
        assert_eq!(admin.get(&format!("{base}/{hedy}")).await.json()["tags"], json!(["late", "vip"]));
        let elsewhere = admin.create_event("Other").await;
        let stranger = admin.invite(&elsewhere, "Stranger").await.id;
        assert_eq!(tag(json!({"ids": [hedy, stranger]})).await.json(), json!({"changed": 1}));
        assert_eq!(tag(json!({"filter": {}, "except": [hedy]})).await.json(), json!({"changed": 4}));

        for (query, pointer) in [
            ("states=lost", "/states"),
            ("limit=0", "/limit"),
            ("limit=501", "/limit"),
            ("cursor=inv_x", "/cursor"),
            ("languages=english%20please", "/languages/0"),
            ("tags=1,2,3,4,5,6,7,8,9,10,11", "/tags"),
        ] {
            let answer = admin.get(&format!("{base}?{query}")).await;
            answer.refused(422, "invalid");
            assert_eq!(answer.at("/errors/0/pointer"), pointer, "{query}");
        }
        admin.get(&format!("{base}?search={}", "x".repeat(201))).await.refused(422, "invalid");
        admin.get(&format!("{base}?blocked=maybe")).await.refused(400, "bad_query");
        for (body, pointer) in [
            (json!({"selection": {"filter": {}}, "add": [""]}), "/add/0"),
            (json!({"selection": {"filter": {}}, "add": ["a,b"]}), "/add/0"),
            (json!({"selection": {"filter": {}}, "add": ["x"], "remove": ["x"]}), "/add/0"),
            (json!({"selection": {"filter": {"states": ["lost"]}}}), "/selection"),
            (json!({"selection": {"ids": vec![&hedy; 1_801]}}), "/selection"),
        ] {
            let answer = admin.post(&format!("{base}/tags"), body).await;
            answer.refused(422, "invalid");
            assert_eq!(answer.at("/errors/0/pointer"), pointer);
        }
    })
    .await;
}

#[tokio::test]
async fn what_is_known_about_somebody_changes_field_by_field() {
    on_both(async |stage| {
        let admin = stage.admin().await;
        let event = french(&admin).await;
        let base = format!("/api/v1/events/{event}/invitations");
        let path = format!("{base}/{}", hedy(&admin, &event).await.at("/id"));
        let before = admin.get(&format!("{path}/contact")).await.json();
        let nothing = admin.patch(&path, json!({})).await;
        assert_eq!((nothing.status, nothing.at("/name").as_str()), (200, "Hédy Lamarr"));
        assert_eq!(admin.get(&format!("{path}/contact")).await.json(), before);

        let changed = admin
            .patch(
                &path,
                json!({"name": "Hedy L.", "phone": "06 12 34 56 99", "note": null, "tags": [], "plus_ones": 0}),
            )
            .await;
        assert_eq!((changed.status, changed.at("/phone")), (200, "+33 6 •• •• 56 99".to_owned()), "{changed:?}");
        let contact = admin.get(&format!("{path}/contact")).await.json();
        assert_eq!(contact, json!({"phone": "+33612345699", "email": "Hedy@example.org", "note": null}));
        let search = async |text: &str| names(&admin.get(&format!("{base}?search={text}")).await);
        assert_eq!(search("0612345678").await, [""; 0], "the old number finds nobody");
        assert_eq!(search("0612345699").await, ["Hedy L."]);
        let gone = json!({"phone": null, "email": null, "language": null, "max_uses": null});
        let gone = admin.patch(&path, gone).await.json();
        assert_eq!((&gone["phone"], &gone["email"], &gone["language"]), (&json!(null), &json!(null), &json!(null)));
        assert_eq!((&gone["max_uses"], &gone["tags"]), (&json!(null), &json!([])));

        // A number is somebody's once.
        let ada = admin.post(&base, json!({"name": "Ada", "phone": "+33612345698"})).await;
        assert_eq!(ada.status, 201);
        admin.patch(&path, json!({"phone": "+33612345698", "name": "x"})).await.refused(409, "phone_taken");
        admin.post(&base, json!({"name": "Bob", "phone": "06 12 34 56 98"})).await.refused(409, "phone_taken");
        assert_eq!(admin.get(&path).await.at("/name"), "Hedy L.", "nothing of it was kept");

        for (body, pointer) in [
            (json!({"name": " "}), "/name"),
            (json!({"name": null}), ""),
            (json!({"phone": "12"}), "/phone"),
            (json!({"phone": "+1 555 =cmd"}), "/phone"),
            (json!({"email": "a@b"}), "/email"),
            (json!({"language": "klingon please"}), "/language"),
            (json!({"note": "x".repeat(2_001)}), "/note"),
            (json!({"tags": vec!["x"; 21]}), "/tags"),
            (json!({"expires_at": "tomorrow"}), "/expires_at"),
            (json!({"max_uses": 0}), "/max_uses"),
            (json!({"max_uses": 1_000_001}), "/max_uses"),
            (json!({"plus_ones": 101}), "/plus_ones"),
            (json!({"plus_ones": -1}), "/plus_ones"),
            (json!({"code": "ABCD"}), "/code"),
        ] {
            if pointer.is_empty() {
                // No name is the same as none given.
                assert_eq!(admin.patch(&path, body).await.status, 200);
                continue;
            }
            let answer = admin.patch(&path, body.clone()).await;
            answer.refused(422, "invalid");
            assert_eq!(answer.at("/errors/0/pointer"), pointer, "{body}");
        }
        admin.patch(&format!("{base}/inv_01kaf3x6m8e9t8s2v4w6y8z0ab"), json!({})).await.refused(404, "not_found");
        let other = admin.create_event("Other").await;
        let elsewhere = path.replace(&event, &other);
        admin.patch(&elsewhere, json!({"name": "x"})).await.refused(404, "not_found");
        assert!(facts(&admin, &event).await.contains(&"invitation.changed".to_owned()));
    })
    .await;
}

#[tokio::test]
async fn an_invitation_ends_by_itself_with_its_session_and_goes_on_when_its_end_is_moved() {
    on_both(async |stage| {
        let admin = stage.admin().await;
        let event = admin.create_event("Evening").await;
        let invited = admin.invite(&event, "Ada").await;
        let path = format!("/api/v1/events/{event}/invitations/{}", invited.id);
        let viewer = stage.browser();
        let media = viewer.enter(&event, &invited.code).await;
        assert!(stage.lets_in(&media).await);
        let end = stage.clock.now().plus(std::time::Duration::from_secs(60));
        assert_eq!(admin.patch(&path, json!({"expires_at": end.to_string()})).await.status, 200);
        stage.pass(59);
        stage.access.expire().await.unwrap();
        assert!(stage.lets_in(&media).await);
        stage.pass(1);
        stage.access.expire().await.unwrap();
        assert!(!stage.lets_in(&media).await, "the session went with it");
        let now = admin.get(&path).await.json();
        assert_eq!((&now["state"], &now["session"]), (&json!("expired"), &json!(null)));
        viewer.redeem(&event, &invited.code).await.refused(410, "invitation_expired");

        let later = stage.clock.now().plus(std::time::Duration::from_secs(60));
        let moved = admin.patch(&path, json!({"expires_at": later.to_string()})).await;
        assert_eq!(moved.at("/state"), "redeemed", "where it stood before");
        viewer.enter(&event, &invited.code).await;
        let history = moved.json()["history"].clone();
        let states: Vec<_> = history.as_array().unwrap().iter().map(|step| step["state"].as_str().unwrap()).collect();
        assert_eq!(states, ["created", "redeemed", "expired", "redeemed"]);
    })
    .await;
}

#[tokio::test]
async fn whoever_was_kept_out_is_let_in_again() {
    on_both(async |stage| {
        let admin = stage.admin().await;
        let event = admin.create_event("Evening").await;
        let invited = admin.invite(&event, "Ada").await;
        let path = format!("/api/v1/events/{event}/invitations/{}", invited.id);
        block(stage, &invited.id).await;
        stage.browser().redeem(&event, &invited.code).await.refused(403, "blocked");
        assert_eq!(names(&admin.get(&format!("/api/v1/events/{event}/invitations?blocked=true")).await), ["Ada"]);
        let analyst = stage.person(&admin, "ann", "analyst").await;
        analyst.post(&format!("{path}/unblock"), json!({})).await.refused(403, "role_too_low");
        let moderator = stage.person(&admin, "mo", "moderator").await;
        let unblocked = moderator.post(&format!("{path}/unblock"), json!({})).await;
        assert_eq!((unblocked.status, unblocked.json()["blocked_at"].clone()), (200, json!(null)), "{unblocked:?}");
        assert_eq!(moderator.post(&format!("{path}/unblock"), json!({})).await.status, 200, "asked twice");
        stage.browser().enter(&event, &invited.code).await;
        let written = facts(&admin, &event).await;
        assert_eq!(written.iter().filter(|kind| *kind == "invitation.unblocked").count(), 1);
        admin
            .post(&path.replace(&invited.id, "inv_01kaf3x6m8e9t8s2v4w6y8z0ab"), json!({}))
            .await
            .refused(405, "method_not_allowed");
    })
    .await;
}

/// Keeps somebody out, as whoever kicks them does.
async fn block(stage: &Stage, invitation: &str) {
    let mut tx = stage.db.write().await.unwrap();
    let sql = "UPDATE invitations SET blocked_at = $1 WHERE id = $2";
    tx.execute(sql, [stage.clock.now().into(), invitation.into()]).await.unwrap();
    tx.commit().await.unwrap();
}

#[tokio::test]
async fn a_number_that_changes_leaves_what_was_written_readable() {
    on_sqlite(async |stage| {
        let admin = stage.admin().await;
        let event = french(&admin).await;
        let made = hedy(&admin, &event).await;
        let base = format!("/api/v1/events/{event}");
        let message = json!({"channel": "sms", "body": "Doors open at eight."});
        let path = format!("{base}/invitations/{}", made.at("/id"));
        assert_eq!(admin.post(&format!("{path}/message"), message).await.status, 202);
        stage.messages.turn().await.unwrap();
        assert_eq!(admin.patch(&path, json!({"phone": "+33612345699"})).await.status, 200);
        let list = admin.get(&format!("{base}/messages")).await;
        assert_eq!(
            (list.at("/data/0/text"), list.at("/data/0/to")),
            ("Doors open at eight.".into(), "+33 6 •• •• 56 78".into())
        );
    })
    .await;
}

#[tokio::test]
async fn a_new_code_ends_the_session_on_the_old_one_and_calls_its_message_off() {
    on_both(async |stage| {
        let admin = stage.admin().await;
        let event = french(&admin).await;
        let base = format!("/api/v1/events/{event}");
        let made = hedy(&admin, &event).await;
        let (id, old) = (made.at("/id"), made.at("/code"));
        let untouched = admin.invite(&event, "Ada").await;
        let (viewer, other) = (stage.browser(), stage.browser());
        let (media, theirs) = (viewer.enter(&event, &old).await, other.enter(&event, &untouched.code).await);
        let order = json!({"selection": {"ids": [id]}, "channel": "sms", "kind": "reminder"});
        let waiting = admin.post(&format!("{base}/sends"), order).await.at("/id");
        let pause = admin.post(&format!("{base}/sends/{waiting}/pause"), json!({})).await;
        assert_eq!(pause.at("/state"), "paused");
        stage.messages.turn().await.unwrap();

        let elsewhere = admin.create_event("Other").await;
        let stranger = admin.invite(&elsewhere, "Stranger").await;
        let body = json!({"selection": {"ids": [id, stranger.id]}, "send": {"channel": "sms"}});
        let analyst = stage.person(&admin, "mo", "moderator").await;
        analyst.post(&format!("{base}/invitations/regenerate"), body.clone()).await.refused(403, "role_too_low");
        let renewed = admin.post(&format!("{base}/invitations/regenerate"), body).await;
        assert_eq!((renewed.status, renewed.json()["changed"].clone()), (200, json!(1)), "{renewed:?}");
        assert_eq!(renewed.json()["sessions_ended"], 1);
        assert!(!stage.lets_in(&media).await, "at once");
        assert!(stage.lets_in(&theirs).await, "nobody else's");
        stage.browser().redeem(&event, &old).await.refused(403, "code_invalid");
        stage.browser().enter(&elsewhere, &stranger.code).await;
        let now = admin.get(&format!("{base}/invitations/{id}")).await.json();
        assert_eq!((&now["state"], &now["uses"], &now["redeemed_at"]), (&json!("queued"), &json!(0), &json!(null)));

        // What waited to tell the old code goes nowhere, also when it is let go on; the new one goes out.
        assert_eq!(admin.post(&format!("{base}/sends/{waiting}/resume"), json!({})).await.status, 200);
        for _ in 0..3 {
            stage.messages.turn().await.unwrap();
            stage.pass(1);
        }
        let called_off = admin.get(&format!("{base}/messages?send={waiting}")).await;
        assert_eq!(
            (called_off.at("/data/0/state"), called_off.at("/data/0/error")),
            ("suppressed".into(), "superseded".into())
        );
        let told = admin.get(&format!("{base}/messages?send={}", renewed.at("/send"))).await;
        assert_eq!((told.at("/data/0/state"), told.at("/data/0/kind")), ("sent".into(), "new_code".into()));
        let new = admin.get(&format!("{base}/invitations/{id}/code")).await.at("/code");
        assert!(new != old && told.at("/data/0/text").contains(&new));
        stage.browser().enter(&event, &new).await;
        let written = facts(&admin, &event).await;
        for kind in ["invitation.codes_replaced", "session.ended", "send.created"] {
            assert!(written.contains(&kind.to_owned()), "{kind}");
        }
    })
    .await;
}

#[tokio::test]
async fn many_are_withdrawn_at_once_with_their_sessions() {
    on_both(async |stage| {
        let admin = stage.admin().await;
        let event = admin.create_event("Evening").await;
        let base = format!("/api/v1/events/{event}/invitations");
        let (ada, bob) = (admin.invite(&event, "Ada").await, admin.invite(&event, "Bob").await);
        let viewer = stage.browser();
        let media = viewer.enter(&event, &ada.code).await;
        let body = json!({"selection": {"filter": {"search": "ada"}}});
        let moderator = stage.person(&admin, "mo", "moderator").await;
        moderator.post(&format!("{base}/revoke"), body.clone()).await.refused(403, "role_too_low");
        let done = admin.post(&format!("{base}/revoke"), body.clone()).await.json();
        assert_eq!(done, json!({"changed": 1, "sessions_ended": 1}));
        assert!(!stage.lets_in(&media).await);
        stage.browser().redeem(&event, &ada.code).await.refused(410, "access_ended");
        assert_eq!(admin.post(&format!("{base}/revoke"), body).await.json()["changed"], 0, "once");
        stage.browser().enter(&event, &bob.code).await;
        // Who was withdrawn gets no new code.
        let renew = json!({"selection": {"filter": {}}});
        assert_eq!(admin.post(&format!("{base}/regenerate"), renew).await.json()["changed"], 1);
        for body in [json!({}), json!({"selection": {}}), json!({"selection": {"ids": ["x"]}})] {
            admin.post(&format!("{base}/revoke"), body.clone()).await.refused(422, "invalid");
            admin.post(&format!("{base}/regenerate"), body).await.refused(422, "invalid");
        }
    })
    .await;
}

/// Waits until the database counts so many people of an event.
async fn counted(stage: &Stage, sql: &'static str, event: &str, people: u64) {
    while stage.db.one(sql, [event.into()]).await.unwrap().unwrap().count("n").unwrap() < people {}
}

#[tokio::test]
async fn whoever_closes_the_page_half_way_has_tagged_and_withdrawn_everybody_all_the_same() {
    // Two steps of 500, and some.
    const PEOPLE: u32 = 1_100;
    // Longer than two steps take on a busy machine.
    const PATIENCE: Duration = Duration::from_secs(60);
    on_both(async |stage| {
        let admin = stage.admin().await;
        let event = admin.create_event("Evening").await;
        let base = format!("/api/v1/events/{event}/invitations");
        stage.crowd(&event, PEOPLE).await;
        let everybody = json!({"filter": {}});
        // As many tags as there may be: a step takes its time.
        let tags: Vec<_> = (0..20).map(|number| format!("tag {number}")).collect();
        let acts = [
            (
                "tags",
                json!({"selection": everybody, "add": tags}),
                "SELECT COUNT(*) AS n FROM invitation_tags WHERE event_id = $1 AND tag = 'tag 0'",
            ),
            (
                "revoke",
                json!({"selection": everybody}),
                "SELECT COUNT(*) AS n FROM invitations WHERE event_id = $1 AND revoked_at IS NOT NULL",
            ),
        ];
        for (act, body, sql) in acts {
            let path = format!("{base}/{act}");
            tokio::select! {
                answer = admin.post(&path, body) => panic!("{act}: nobody could leave before it was over: {answer:?}"),
                () = counted(stage, sql, &event, 500) => {}
            }
            // The request is dropped, as it is when a browser hangs up.
            let done = tokio::time::timeout(PATIENCE, counted(stage, sql, &event, u64::from(PEOPLE))).await;
            assert!(done.is_ok(), "{act}: it stopped half way");
        }
        let sql = "SELECT COUNT(*) AS n FROM sessions WHERE event_id = $1 AND ended_at IS NULL";
        assert_eq!(stage.db.one(sql, [event.as_str().into()]).await.unwrap().unwrap().count("n").unwrap(), 0);
    })
    .await;
}
