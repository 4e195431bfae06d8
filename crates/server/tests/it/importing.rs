//! Lists of invitees through the API.

use axum::body::Body;
use http::Request;
use serde_json::json;
use tokio_util::sync::CancellationToken;

use crate::stage::{Answer, Browser, HOST, on_both, on_sqlite};

async fn upload(browser: &Browser<'_>, event: &str, kind: &str, list: &str) -> Answer {
    let request = Request::post(format!("/api/v1/events/{event}/imports?name=guests.csv"))
        .header("origin", format!("http://{HOST}"))
        .header("content-type", kind);
    browser.raw(request.body(Body::from(list.to_owned())).unwrap()).await
}

#[tokio::test]
async fn a_list_is_uploaded_looked_at_started_and_read() {
    on_both(async |stage| {
        let admin = stage.admin().await;
        let event = admin.create_event("Evening").await;
        let list = "Name,Phone,E-mail\nAda,0612345678,ada@example.org\nBob,12,\n";
        let made = upload(&admin, &event, "text/csv; charset=utf-8", list).await;
        assert_eq!(made.status, 201, "{made:?}");
        assert_eq!((made.at("/state"), made.at("/name")), ("uploaded".into(), "guests.csv".into()));
        assert_eq!(made.json()["mapping"], json!({"name": 0, "phone": 1, "email": 2}));
        assert_eq!(made.json()["columns"], json!(["Name", "Phone", "E-mail"]));
        assert_eq!(made.json()["sample"][0], json!(["Ada", "0612345678", "ada@example.org"]));
        let path = format!("/api/v1/events/{event}/imports/{}", made.at("/id"));
        assert_eq!(admin.get(&path).await.json()["sample"][1][0], "Bob");

        for (mapping, pointer) in [(json!({"name": 3}), "/mapping"), (json!({"note": 0}), "/mapping")] {
            let refused = admin.post(&format!("{path}/start"), json!({"mapping": mapping})).await;
            refused.refused(422, "invalid");
            assert_eq!(refused.at("/errors/0/pointer"), pointer);
        }
        let chosen = json!({"mapping": {"name": 0, "phone": 1, "email": 2}, "default_country": "FR", "language": "FR",
            "tags": ["vip"]});
        let started = admin.post(&format!("{path}/start"), chosen.clone()).await;
        assert_eq!((started.status, started.at("/state")), (202, "running".into()), "{started:?}");
        admin.post(&format!("{path}/start"), chosen).await.refused(409, "already_started");
        stage.people.turn(&CancellationToken::new(), usize::MAX).await.unwrap();
        let done = admin.get(&path).await.json();
        assert_eq!(
            (&done["state"], &done["created"], &done["errors"], &done["rows"]),
            (&json!("done"), &json!(1), &json!(1), &json!(2))
        );
        assert_eq!(done["sample"], json!([]));
        let errors = admin.get(&format!("{path}/errors.csv")).await;
        assert_eq!(errors.header("content-type"), "text/csv; charset=utf-8");
        assert!(errors.text.starts_with("line,field,problem,meaning\r\n3,phone,invalid_phone,"), "{}", errors.text);
        assert_eq!(admin.get(&format!("/api/v1/events/{event}/imports")).await.at("/data/0/state"), "done");
        admin.delete(&path).await.refused(404, "not_found");
        let other = admin.create_event("Other").await;
        let foreign = path.replace(&event, &other);
        admin.get(&foreign).await.refused(404, "not_found");
        admin.get(&format!("{foreign}/errors.csv")).await.refused(404, "not_found");
    })
    .await;
}

#[tokio::test]
async fn tags_of_a_list_are_added_to_those_that_people_have() {
    on_both(async |stage| {
        let admin = stage.admin().await;
        let event = admin.create_event("Evening").await;
        let base = format!("/api/v1/events/{event}/invitations");
        let known = json!({"name": "Ada", "phone": "+33612345678", "tags": ["family"]});
        assert_eq!(admin.post(&base, known).await.status, 201);
        let many = (0..21).map(|n| n.to_string()).collect::<Vec<_>>().join(",");
        let list = format!(
            "Name,Phone,Tags\nAda,+33612345678,\"vip, press\"\nBob,+33612345679,press\nBob,+33612345679,\"left, press\"\n\
             Eve,+33612345670,\nMallory,+33612345671,\"{many}\"\nTrent,+33612345672,{}\n",
            "x".repeat(51)
        );
        let made = upload(&admin, &event, "text/csv", &list).await;
        assert_eq!(made.json()["mapping"], json!({"name": 0, "phone": 1, "tags": 2}));
        let path = format!("/api/v1/events/{event}/imports/{}", made.at("/id"));
        admin.post(&format!("{path}/start"), json!({"mapping": {"name": 0, "tags": 3}})).await.refused(422, "invalid");
        let chosen = json!({"mapping": made.json()["mapping"], "tags": ["autumn"]});
        assert_eq!(admin.post(&format!("{path}/start"), chosen).await.status, 202);
        stage.people.turn(&CancellationToken::new(), usize::MAX).await.unwrap();
        let done = admin.get(&path).await.json();
        assert_eq!(
            (&done["created"], &done["merged"], &done["errors"]),
            (&json!(2), &json!(2), &json!(2)),
            "{done}"
        );
        let errors = admin.get(&format!("{path}/errors.csv")).await.text;
        assert!(errors.contains("6,tags,too_many,") && errors.contains("7,tags,too_long,"), "{errors}");

        let everybody = admin.get(&base).await.json();
        let mut tagged: Vec<_> = everybody["data"].as_array().unwrap().iter().collect();
        tagged.sort_by_key(|person| person["name"].as_str().map(str::to_owned));
        let tagged: Vec<_> = tagged.iter().map(|person| (&person["name"], &person["tags"])).collect();
        assert_eq!(tagged, [
            (&json!("Ada"), &json!(["autumn", "family", "press", "vip"])),
            (&json!("Bob"), &json!(["autumn", "left", "press"])),
            (&json!("Eve"), &json!(["autumn"])),
        ]);
    })
    .await;
}

#[tokio::test]
async fn what_is_no_list_is_refused() {
    on_sqlite(async |stage| {
        let admin = stage.admin().await;
        let event = admin.create_event("Evening").await;
        upload(&admin, &event, "application/json", "{}").await.refused(415, "not_a_list");
        upload(&admin, &event, "text/csv", "").await.refused(422, "empty_list");
        upload(&admin, &event, "text/csv", "PK\u{3}\u{4}").await.refused(422, "unreadable_list");
        upload(&stage.browser(), &event, "text/csv", "name\nAda\n").await.refused(401, "signed_out");
        upload(&admin, "evt_00000000000000000000000000", "text/csv", "name\n").await.refused(404, "not_found");
        let foreign = Request::post(format!("/api/v1/events/{event}/imports"))
            .header("origin", "https://evil.example")
            .header("content-type", "text/csv");
        admin.raw(foreign.body(Body::from("name\nAda\n")).unwrap()).await.refused(403, "foreign_origin");
    })
    .await;
}
