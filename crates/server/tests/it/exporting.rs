//! Lists on their way out, through the API: who may, who is in them, and that they come back in as they went out.

use std::collections::BTreeSet;
use std::time::Duration;

use axum::body::{Body, HttpBody as _};
use axum::extract::ConnectInfo;
use http::Request;
use http_body_util::BodyExt as _;
use serde_json::json;
use stagedoor_domain::sheet::{Piece, Splitter, plain_text};
use tokio_util::sync::CancellationToken;
use tower::ServiceExt as _;

use crate::stage::{Answer, Browser, HOST, Stage, on_both, on_sqlite};

/// Name, number, address, language, note, tags, how many guests they may bring.
type Person = [String; 7];
/// Where these stand in a row.
const AT: [usize; 7] = [0, 1, 2, 3, 4, 5, 11];

/// Whom spreadsheets would like to compute, break over several lines, or take the plus from.
fn people() -> Vec<Person> {
    let all = [
        ["Ada Lovelace", "+33612345678", "ada@example.org", "en", "front row", "press, vip", "2"],
        [
            "Zoë \"Z\" Kravitz, Jr.",
            "+447400123456",
            "",
            "fr",
            "- wheelchair\n- two guests; vegan",
            "table 1; left",
            "0",
        ],
        ["=HYPERLINK(\"https://evil.example\",\"x\")", "+15417543010", "", "", "=1+1", "=1+1, @home", "1"],
        ["@SUM(A1:A9)", "+4915112345678", "+tag@example.org", "pt-BR", "+33 is not my number", "-", "0"],
        ["+cmd|' /C calc'!A0", "", "calc@example.org", "", "@here", "", "100"],
        ["-2+3", "+819012345678", "", "", "  inner  spaces stay ", "a  b", "0"],
        ["'=quoted by hand", "+5511961234567", "", "", "'t Hooft", "'n tag", "0"],
        ["＝1+1", "+393123456789", "", "", "_x0041_ & <b>", "<b>, _x0041_", "0"],
        ["O'Brien | Óscar; Ó", "+353851234567", "", "ga", "tab\there", "Ünïcode", "3"],
    ];
    all.map(|row| row.map(|cell| cell.trim().to_owned())).to_vec()
}

async fn invite(admin: &Browser<'_>, event: &str, people: &[Person]) {
    for [name, phone, email, language, note, tags, guests] in people {
        let tags: Vec<_> = tags.split(", ").filter(|tag| !tag.is_empty()).collect();
        let guests: u32 = guests.parse().unwrap();
        let body = json!({"name": name, "phone": phone, "email": email, "language": language, "note": note,
            "tags": tags, "plus_ones": guests});
        let answer = admin.post(&format!("/api/v1/events/{event}/invitations"), body).await;
        assert_eq!(answer.status, 201, "{answer:?}");
    }
}

async fn export(browser: &Browser<'_>, event: &str, query: &str) -> Answer {
    browser.get(&format!("/api/v1/events/{event}/invitations/export?{query}")).await
}

/// The rows of a CSV, as a program reads them, apostrophes and all.
fn rows(text: &str) -> Vec<Vec<String>> {
    let mut splitter = Splitter::new(b',');
    splitter.feed(text.strip_prefix('\u{feff}').expect("the mark of UTF-8").as_bytes());
    let mut rows = Vec::new();
    while let Some(piece) = splitter.next(true) {
        match piece {
            Piece::Record(record) => rows.push(record.cells),
            Piece::Bad { .. } => panic!("{piece:?}"),
        }
    }
    rows
}

/// Who is in a CSV.
fn listed(text: &str) -> BTreeSet<Person> {
    let rows = rows(text);
    rows.iter().skip(1).map(|row| AT.map(|at| plain_text(&row[at]).to_owned())).collect()
}

fn names(answer: &Answer) -> Vec<String> {
    assert_eq!(answer.status, 200, "{answer:?}");
    rows(&answer.text).iter().skip(1).map(|row| row[0].clone()).collect()
}

/// Reads a list in as it came out, with the columns that are guessed.
async fn import(stage: &Stage, admin: &Browser<'_>, event: &str, list: &Answer) {
    let request = Request::post(format!("/api/v1/events/{event}/imports?name=invitees"))
        .header("origin", format!("http://{HOST}"))
        .header("content-type", list.header("content-type"));
    let made = admin.raw(request.body(Body::from(list.bytes.clone())).unwrap()).await;
    assert_eq!(made.status, 201, "{made:?}");
    let mapping = made.json()["mapping"].clone();
    let expected = json!({"name": 0, "phone": 1, "email": 2, "language": 3, "note": 4, "tags": 5, "plus_ones": 11});
    assert_eq!(mapping, expected);
    let path = format!("/api/v1/events/{event}/imports/{}", made.at("/id"));
    let started = admin.post(&format!("{path}/start"), json!({"mapping": mapping})).await;
    assert_eq!(started.status, 202, "{started:?}");
    stage.people.turn(&CancellationToken::new(), usize::MAX).await.unwrap();
    let done = admin.get(&path).await;
    assert_eq!((done.at("/state"), done.at("/errors")), ("done".into(), "0".into()), "{done:?}");
}

#[tokio::test]
async fn a_list_comes_back_in_as_it_went_out() {
    on_both(async |stage| {
        let admin = stage.admin().await;
        let event = admin.create_event("Evening").await;
        invite(&admin, &event, &people()).await;
        let everybody: BTreeSet<Person> = people().into_iter().collect();

        let csv = export(&admin, &event, "").await;
        assert_eq!(csv.header("content-type"), "text/csv; charset=utf-8");
        assert_eq!(csv.header("content-disposition"), "attachment; filename=\"invitees.csv\"");
        assert_eq!(csv.header("cache-control"), "no-store");
        assert_eq!(listed(&csv.text), everybody);
        let xlsx = export(&admin, &event, "format=xlsx").await;
        assert_eq!(xlsx.header("content-type"), "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet");
        assert_eq!(xlsx.header("content-disposition"), "attachment; filename=\"invitees.xlsx\"");

        for list in [csv, xlsx] {
            let other = admin.create_event("Other").await;
            import(stage, &admin, &other, &list).await;
            assert_eq!(listed(&export(&admin, &other, "").await.text), everybody, "{:?}", list.headers);
            // Once more: everybody is known already.
            import(stage, &admin, &other, &list).await;
            assert_eq!(listed(&export(&admin, &other, "").await.text), everybody, "{:?}", list.headers);
        }
    })
    .await;
}

#[tokio::test]
async fn a_list_says_when_an_invitation_ends_and_how_often_it_is_good() {
    on_sqlite(async |stage| {
        let admin = stage.admin().await;
        let event = admin.create_event("Evening").await;
        let end = stage.clock.now().plus(Duration::from_secs(3_600)).to_string();
        let path = format!("/api/v1/events/{event}/invitations");
        for body in [json!({"name": "Ada", "expires_at": end, "max_uses": 3}), json!({"name": "Bob", "plus_ones": 2})] {
            assert_eq!(admin.post(&path, body).await.status, 201);
            stage.pass(1);
        }
        let rows = rows(&export(&admin, &event, "").await.text);
        assert_eq!(rows[1][11..], ["0", end.as_str(), "3"]);
        assert_eq!(rows[2][11..], ["2", "", ""]);
    })
    .await;
}

#[tokio::test]
async fn no_cell_of_a_csv_is_computed_and_no_code_is_in_it() {
    on_sqlite(async |stage| {
        let admin = stage.admin().await;
        let event = admin.create_event("Evening").await;
        invite(&admin, &event, &people()).await;
        let invited = admin.invite(&event, "Grace").await;
        stage.browser().enter(&event, &invited.code).await;
        let csv = export(&admin, &event, "").await;
        let rows = rows(&csv.text);
        assert_eq!(rows.len(), 11);
        for cell in rows.iter().flatten() {
            let first = cell.trim_start().chars().next();
            assert!(!first.is_some_and(|first| "=+-@＝＋－＠\t\r".contains(first)), "{cell:?}");
        }
        let head = "Name,Phone,E-mail,Language,Note,Tags,State,Invited,Code first used,Withdrawn,Kept out,\
                    Number of guests,Expires,Visits at most\r\n";
        assert!(csv.text.starts_with(&format!("\u{feff}{head}")), "{}", csv.text);
        let grace = rows.iter().find(|row| row[0] == "Grace").unwrap();
        assert_eq!(grace[6], "redeemed");
        assert_eq!(grace[8], stage.clock.now().to_string());
        assert!(!csv.text.contains(&invited.code) && !csv.text.contains(&invited.code.replace('-', "")));
    })
    .await;
}

#[tokio::test]
async fn a_list_has_who_is_meant_and_nobody_who_was_forgotten() {
    on_both(async |stage| {
        let admin = stage.admin().await;
        let event = admin.create_event("Evening").await;
        let mut ids = Vec::new();
        for (name, tags) in
            [("Ada", json!(["vip"])), ("Bob", json!(["vip", "press"])), ("Eve", json!([])), ("Žofie", json!([]))]
        {
            let body = json!({"name": name, "tags": tags, "phone": format!("+3361234567{}", ids.len())});
            ids.push(admin.post(&format!("/api/v1/events/{event}/invitations"), body).await.at("/id"));
            stage.pass(1);
        }
        let elsewhere = admin.create_event("Other").await;
        let stranger = admin.invite(&elsewhere, "Mallory").await;
        let [ada, bob, eve, zofie] = ids.try_into().unwrap();
        let base = format!("/api/v1/events/{event}/invitations");
        assert_eq!(admin.delete(&format!("{base}/{eve}")).await.status, 204);

        for (query, expected) in [
            (String::new(), vec!["Ada", "Bob", "Eve", "Žofie"]),
            ("states=revoked".into(), vec!["Eve"]),
            ("tags=vip".into(), vec!["Ada", "Bob"]),
            ("tags=vip&search=bo".into(), vec!["Bob"]),
            ("search=zof".into(), vec!["Žofie"]),
            ("search=%2B33612345671".into(), vec!["Bob"]),
            (format!("ids={zofie},{ada},{},{ada}", stranger.id), vec!["Ada", "Žofie"]),
            ("ids=".into(), vec![]),
            (format!("except={ada},{eve}"), vec!["Bob", "Žofie"]),
            (format!("tags=vip&except={ada}"), vec!["Bob"]),
        ] {
            assert_eq!(names(&export(&admin, &event, &query).await), expected, "{query}");
        }
        stage.pass(1);
        let csv = export(&admin, &event, "search=bob").await;
        assert_eq!(rows(&csv.text)[1][5], "press, vip");

        assert_eq!(admin.delete(&format!("{base}/{bob}/personal-data")).await.status, 204);
        stage.pass(1);
        assert_eq!(names(&export(&admin, &event, "").await), ["Ada", "Eve", "Žofie"]);
        stage.pass(1);
        assert_eq!(names(&export(&admin, &event, &format!("ids={bob},{ada}")).await), ["Ada"]);

        let log = admin.get("/api/v1/log?type=invitation.list_exported").await;
        let told = |at: usize| (log.at(&format!("/data/{at}/data/count")), log.at(&format!("/data/{at}/data/whom")));
        assert_eq!(told(0), ("1".into(), "named".into()));
        assert_eq!(told(1), ("3".into(), "everybody".into()));
        assert_eq!(told(2), ("1".into(), "matching".into()));
        assert_eq!(log.json()["data"].as_array().unwrap().len(), 13);
        assert!(!log.text.contains("zof") && !log.text.contains("33612345671"), "what was looked for is not told");
    })
    .await;
}

#[tokio::test]
async fn only_who_may_take_people_out_of_the_house_does() {
    on_sqlite(async |stage| {
        let admin = stage.admin().await;
        let event = admin.create_event("Evening").await;
        invite(&admin, &event, &people()).await;
        for role in ["moderator", "broadcaster", "analyst"] {
            let somebody = stage.person(&admin, role, role).await;
            for query in ["", "format=xlsx", "ids="] {
                export(&somebody, &event, query).await.refused(403, "role_too_low");
            }
        }
        let otto = stage.person(&admin, "otto", "organiser").await;
        assert_eq!(names(&export(&otto, &event, "").await).len(), 9);
        export(&stage.browser(), &event, "").await.refused(401, "signed_out");
        export(&admin, "evt_00000000000000000000000000", "").await.refused(404, "not_found");

        let many = vec!["inv_01kaf3x6m8e9t8s2v4w6y8z0ab"; 401].join(",");
        for (query, pointer) in [
            ("ids=x".to_owned(), "/ids"),
            (format!("ids={many}"), "/ids"),
            (format!("except={many}"), "/except"),
            ("ids=&tags=vip".to_owned(), "/ids"),
            ("states=lost".to_owned(), "/states"),
        ] {
            let refused = export(&admin, &event, &query).await;
            refused.refused(422, "invalid");
            assert_eq!(refused.at("/errors/0/pointer"), pointer, "{query}");
        }
        export(&admin, &event, "format=pdf").await.refused(400, "bad_query");

        let log = admin.get("/api/v1/log?type=invitation.list_exported").await;
        assert_eq!(log.json()["data"].as_array().unwrap().len(), 1, "a refusal takes nothing out: {log:?}");
        // A browser that was left signed in overnight.
        stage.clock.advance(Duration::from_secs(12 * 60 * 60));
        export(&otto, &event, "").await.refused(403, "confirm_sign_in");
    })
    .await;
}

/// The body of an export, not read yet.
async fn begun(stage: &Stage, browser: &Browser<'_>, event: &str, query: &str) -> Body {
    let path = format!("/api/v1/events/{event}/invitations/export?{query}");
    let mut request = Request::get(&path)
        .header("host", HOST)
        .header("cookie", browser.cookie_header(&path))
        .body(Body::empty())
        .unwrap();
    request.extensions_mut().insert(ConnectInfo(std::net::SocketAddr::new(browser.address, 40_000)));
    let response = stage.router.clone().oneshot(request).await.unwrap();
    assert_eq!(response.status(), 200);
    response.into_body()
}

#[tokio::test]
async fn a_long_list_is_written_down_first_and_then_goes_out_page_by_page() {
    on_sqlite(async |stage| {
        let admin = stage.admin().await;
        let event = admin.create_event("Evening").await;
        stage.crowd(&event, 10_000).await;
        for format in ["csv", "xlsx"] {
            let mut body = begun(stage, &admin, &event, &format!("format={format}")).await;
            let log = admin.get("/api/v1/log?type=invitation.list_exported&limit=1").await;
            assert_eq!(log.at("/data/0/data/count"), "10000", "before a byte of {format} was read");
            assert!(!body.is_end_stream());
            let (mut all, mut most) = (Vec::new(), 0);
            while let Some(frame) = body.frame().await {
                let piece = frame.unwrap().into_data().unwrap();
                most = most.max(piece.len());
                all.extend_from_slice(&piece);
            }
            assert!(most < 128 * 1024, "{most} bytes of {format} at once");
            if format == "csv" {
                assert!(all.len() > 4 * most, "{} bytes, {most} at once", all.len());
                let rows = rows(std::str::from_utf8(&all).unwrap());
                assert_eq!((rows.len(), rows[10_000][0].as_str()), (10_001, "Guest 09999"));
            } else {
                assert!(all.starts_with(b"PK\x03\x04"));
            }
        }
    })
    .await;
}

#[tokio::test]
async fn a_list_that_cannot_be_read_to_its_end_breaks_off() {
    on_sqlite(async |stage| {
        let admin = stage.admin().await;
        let event = admin.create_event("Evening").await;
        stage.crowd(&event, 1_200).await;
        invite(&admin, &event, &people()).await;
        let sql = "UPDATE invitations SET contact_sealed = $1 WHERE name = 'Ada Lovelace'";
        let mut tx = stage.db.write().await.unwrap();
        tx.execute(sql, [vec![1_u8, 2, 3].into()]).await.unwrap();
        tx.commit().await.unwrap();
        for format in ["csv", "xlsx"] {
            let body = begun(stage, &admin, &event, &format!("format={format}")).await;
            assert!(body.collect().await.is_err(), "half of a {format} looks whole");
        }
    })
    .await;
}
