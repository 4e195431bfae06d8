//! Lists on their way in, on both databases.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::stream;
use stagedoor_domain::Time;
use stagedoor_domain::access::{InvitationState, Reveal, Sealed};
use stagedoor_domain::event::Country;
use stagedoor_domain::id::{EventId, ImportId};
use stagedoor_domain::sheet::Columns;

use super::*;
use crate::access::MasterKey;
use crate::config;
use crate::facts::Actor;
use crate::ports::bus::Bus;
use crate::ports::clock::Clock;
use crate::ports::db::imports::{self, Import, State};
use crate::ports::db::selection::Filter;
use crate::ports::db::testing::{both, proof, sample};
use crate::ports::db::{Db, invitations};
use crate::ports::random::Random;
use stagedoor_testkit::database::Scratch;

struct House {
    people: Arc<People>,
    access: Arc<Access>,
    db: Db,
    clock: Clock,
    event: EventId,
    folder: PathBuf,
}

async fn open(db: &Db) -> House {
    let clock = Clock::manual(Time::from_millis(1_795_203_000_000));
    let random = Random::system();
    let world = World { db: db.clone(), clock: clock.clone(), random: random.clone(), bus: Bus::local() };
    let master = MasterKey::new([7; 32]);
    let access = Access::start(world.clone(), config::Access::default(), &master).await.unwrap();
    let event = sample::evening(&random, clock.now());
    access.create_event(&proof::create(), Actor::Operator, &event).await.unwrap();
    let folder = std::env::temp_dir().join(format!("stagedoor-people-{}", random.uuid(clock.now()).simple()));
    let people = People::new(world, access.clone(), folder.clone()).unwrap();
    House { people, access, db: db.clone(), clock, event: event.id, folder }
}

impl Drop for House {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

impl House {
    async fn upload(&self, name: &str, bytes: &[u8]) -> Result<View, ImportError> {
        let pieces: Vec<_> =
            bytes.chunks(1_000).map(|piece| Ok::<_, Infallible>(Bytes::copy_from_slice(piece))).collect();
        let upload = Upload { name, announced: None };
        self.people.upload(&proof::organise(self.event), upload, stream::iter(pieces)).await
    }

    async fn start(&self, id: ImportId, columns: Columns) {
        let settings = Settings {
            columns,
            country: "FR".parse::<Country>().ok(),
            language: "fr".into(),
            tags: vec!["vip".into()],
        };
        let started = self.people.start(&proof::organise(self.event), Actor::Operator, id, &settings).await;
        assert!(started.unwrap());
    }

    async fn turn(&self, batches: usize) {
        self.people.turn(&CancellationToken::new(), batches).await.unwrap();
    }

    async fn read(&self, bytes: &[u8]) -> Import {
        let view = self.upload("list.csv", bytes).await.unwrap();
        let id = view.import.id;
        self.start(id, view.mapping).await;
        self.turn(usize::MAX).await;
        self.import(id).await
    }

    async fn import(&self, id: ImportId) -> Import {
        imports::get(&self.db, self.event, id).await.unwrap().unwrap()
    }

    /// Name → telephone and address, in the clear.
    async fn everybody(&self) -> BTreeMap<String, (String, String)> {
        let mut all = BTreeMap::new();
        for row in invitations::list(&self.db, self.event, &Filter::default(), None, 1_000).await.unwrap() {
            let allowed = proof::of(Reveal { event: Some(row.event), sealed: Sealed::Contact(row.id) });
            let contact = self.access.contact(&allowed, &row).unwrap();
            let phone = contact.phone.map(|phone| phone.expose().to_owned()).unwrap_or_default();
            let email = contact.email.map(|email| email.expose().to_owned()).unwrap_or_default();
            assert!(all.insert(row.name, (phone, email)).is_none());
        }
        all
    }

    /// Name → how many guests they may bring.
    async fn plus_ones(&self) -> BTreeMap<String, u32> {
        let rows = invitations::list(&self.db, self.event, &Filter::default(), None, 1_000).await.unwrap();
        rows.into_iter().map(|row| (row.name, row.plus_ones)).collect()
    }

    fn files(&self) -> usize {
        std::fs::read_dir(&self.folder).unwrap().count()
    }
}

fn person(phone: &str, email: &str) -> (String, String) {
    (phone.to_owned(), email.to_owned())
}

#[tokio::test]
async fn a_list_is_understood_read_and_thrown_away() {
    both(async |db| {
        let house = open(&db).await;
        let list = "Nom;Téléphone;Courriel\r\nAda;06 12 34 56 78;ada@example.org\r\nBob;;BOB@example.org\r\n\
                    Eve;12;\r\nZoé;+44 7400 123456;\r\nAda again;+33612345678;\r\nBobby;;bob@example.org\r\n";
        let view = house.upload("liste.csv", list.as_bytes()).await.unwrap();
        assert_eq!(view.columns, ["Nom", "Téléphone", "Courriel"]);
        let columns = Columns { name: Some(0), phone: Some(1), email: Some(2), ..Columns::default() };
        assert_eq!((view.mapping, view.header), (columns, true));
        assert_eq!(view.sample[0], ["Ada", "06 12 34 56 78", "ada@example.org"]);
        assert_eq!(house.people.sample(&view.import).await.unwrap(), view.sample);
        assert_eq!(house.files(), 1);
        house.start(view.import.id, columns).await;
        house.turn(usize::MAX).await;
        let done = house.import(view.import.id).await;
        assert_eq!((done.state, done.file_key.is_none(), house.files()), (State::Done, true, 0));
        let counts = (done.progress.rows, done.progress.created, done.progress.merged, done.progress.errors);
        assert_eq!(counts, (6, 3, 2, 1));
        let everybody = house.everybody().await;
        assert_eq!(everybody["Ada"], person("+33612345678", "ada@example.org"));
        assert_eq!(everybody["Bob"], person("", "BOB@example.org"));
        assert_eq!(everybody["Zoé"], person("+447400123456", ""));
        let errors = imports::errors(&db, done.id, 0, 10).await.unwrap();
        assert_eq!(errors.len(), 1);
        assert_eq!(
            (errors[0].line, errors[0].field.as_str(), errors[0].problem.as_str()),
            (4, "phone", "invalid_phone")
        );
        let (sheet, _) = house.people.error_rows(done.id, 0).await.unwrap();
        assert!(sheet.starts_with("4,phone,invalid_phone,") && !sheet.contains("12"), "{sheet}");
        let ada = &invitations::list(&db, house.event, &Filter::named("ada"), None, 9).await.unwrap()[0];
        assert_eq!((ada.language.as_str(), ada.state), ("fr", InvitationState::Created));
        let sending = house.access.contact_for_sending(ada.id).await.unwrap().unwrap();
        assert_eq!(sending.phone.unwrap().expose(), "+33612345678");
        assert_eq!((sending.code.expose().len(), sending.code_generation), (14, 1));
    })
    .await;
}

#[tokio::test]
async fn the_same_list_again_invites_nobody_and_adds_what_was_missing() {
    both(async |db| {
        let house = open(&db).await;
        house.read(b"name,phone,email\nAda,+33612345678,\nBob,,bob@example.org\n").await;
        let second = b"name,phone,email\nAda L.,0612345678,ada@example.org\nBob,+33612345679,bob@example.org\n\
                       Eve,+33612345670,bob@example.org\n";
        let again = house.read(second).await;
        assert_eq!((again.progress.created, again.progress.merged), (1, 2), "two telephones are two people");
        let everybody = house.everybody().await;
        assert_eq!(everybody["Ada"], person("+33612345678", "ada@example.org"));
        assert_eq!(everybody["Bob"], person("+33612345679", "bob@example.org"));
        assert_eq!(everybody["Eve"], person("+33612345670", "bob@example.org"));
        let third = house.read(second).await;
        assert_eq!((third.progress.created, third.progress.merged), (0, 3));
    })
    .await;
}

#[tokio::test]
async fn of_two_numbers_of_guests_the_larger_counts_within_a_list_and_when_it_is_imported_again() {
    both(async |db| {
        let house = open(&db).await;
        let first = b"name,phone,email,number of guests\nAda,+33612345678,,\nBob,+33612345679,,3\n\
                      Bobby,0612345679,,1\nEve,,eve@example.org,1\nEva,,EVE@example.org,4\n";
        let done = house.read(first).await;
        assert_eq!((done.progress.created, done.progress.merged, done.progress.errors), (3, 2, 0));
        let expected = |all: [(&str, u32); 3]| BTreeMap::from(all.map(|(name, guests)| (name.to_owned(), guests)));
        assert_eq!(house.plus_ones().await, expected([("Ada", 0), ("Bob", 3), ("Eve", 4)]));

        let corrected = b"name,phone,email,number of guests\nAda,+33612345678,,2\nBob,+33612345679,,\n\
                          Eve,,eve@example.org,1\n";
        let again = house.read(corrected).await;
        assert_eq!((again.progress.created, again.progress.merged, again.progress.errors), (0, 3, 0));
        assert_eq!(house.plus_ones().await, expected([("Ada", 2), ("Bob", 3), ("Eve", 4)]));
    })
    .await;
}

fn long_list(rows: u64) -> String {
    let mut list = String::from("name,phone,email,note\n");
    for row in 0..rows {
        // Every tenth is a twin of the one before, every fiftieth makes no sense.
        let number = if row % 10 == 9 { row - 1 } else { row };
        let phone = if row % 50 == 25 { "none".to_owned() } else { format!("+3361{number:07}") };
        list.push_str(&format!("Guest {row},{phone},guest{number}@example.org,\"row \"\"{row}\"\"\"\n"));
    }
    list
}

#[tokio::test]
async fn a_process_that_dies_between_batches_goes_on_and_invites_nobody_twice() {
    both(async |db| {
        let house = open(&db).await;
        let view = house.upload("long.csv", long_list(5_200).as_bytes()).await.unwrap();
        let id = view.import.id;
        house.start(id, view.mapping).await;
        let mut turns = 0;
        let mut position = 0;
        while house.import(id).await.state == State::Running {
            // Each turn is a process of its own: nothing is carried over in memory.
            house.turn(1).await;
            turns += 1;
            let now = house.import(id).await.progress.position;
            assert!(now > position || house.import(id).await.state == State::Done);
            position = now;
            assert!(turns < 50);
        }
        let done = house.import(id).await;
        assert!(turns >= 5, "{turns}");
        assert_eq!((done.state, done.progress.rows, done.progress.errors), (State::Done, 5_200, 104));
        let people = invitations::count(&db, house.event).await.unwrap();
        assert_eq!((people, done.progress.created, done.progress.merged), (5_200 - 104 - 520, 4_576, 520));
    })
    .await;
}

#[tokio::test]
async fn a_batch_that_is_not_committed_is_read_again_whole() {
    both(async |db| {
        let house = open(&db).await;
        let view = house.upload("long.csv", long_list(600).as_bytes()).await.unwrap();
        house.start(view.import.id, view.mapping).await;
        let import = house.import(view.import.id).await;
        // The process dies after everything was written and before the commit.
        let mut tx = db.write().await.unwrap();
        let next = imports::Progress { position: 10, line: 2, rows: 1, ..import.progress };
        assert!(imports::progress(&mut tx, import.id, 0, &next).await.unwrap());
        house.access.take_in(&mut tx, house.event, vec![crate::access::NewInvitee::named("Ghost")], &[]).await.unwrap();
        drop(tx);
        house.turn(usize::MAX).await;
        assert_eq!(house.import(import.id).await.progress.rows, 600);
        assert!(!house.everybody().await.contains_key("Ghost"));
    })
    .await;
}

#[tokio::test]
async fn every_encoding_and_a_workbook_are_read_alike() {
    let scratch = Scratch::sqlite();
    let db = Db::open(scratch.url()).await.unwrap();
    let text = "Name\tHandynummer\nJürgen\t0151 23456789\n";
    let utf16: Vec<u8> = format!("\u{feff}{text}").encode_utf16().flat_map(u16::to_le_bytes).collect();
    let windows = encoding_rs::WINDOWS_1252.encode(text).0.into_owned();
    let mut workbook = rust_xlsxwriter::Workbook::new();
    let sheet = workbook.add_worksheet();
    sheet.write(0, 0, "Name").unwrap();
    sheet.write(0, 1, "Handynummer").unwrap();
    sheet.write(1, 0, "Jürgen").unwrap();
    sheet.write(1, 1, 4_915_123_456_789_f64).unwrap();
    let xlsx = workbook.save_to_buffer().unwrap();
    for bytes in [text.as_bytes().to_vec(), [b"\xef\xbb\xbf", text.as_bytes()].concat(), utf16, windows, xlsx] {
        let house = open(&db).await;
        let view = house.upload("x", &bytes).await.unwrap();
        let settings = Settings { columns: view.mapping, country: "DE".parse().ok(), ..Settings::default() };
        let organise = proof::organise(house.event);
        house.people.start(&organise, Actor::Operator, view.import.id, &settings).await.unwrap();
        house.turn(usize::MAX).await;
        assert_eq!(house.everybody().await["Jürgen"].0, "+4915123456789");
        assert_eq!(house.files(), 0);
    }
    db.close().await;
    scratch.remove().await;
}

#[tokio::test]
async fn how_long_a_list_takes_does_not_depend_on_how_it_is_written() {
    let scratch = Scratch::sqlite();
    let db = Db::open(scratch.url()).await.unwrap();
    let text = long_list(2_400);
    let utf16: Vec<u8> = text.encode_utf16().flat_map(u16::to_le_bytes).collect();
    let mut left = Vec::new();
    for bytes in [text.as_bytes().to_vec(), utf16] {
        let house = open(&db).await;
        let view = house.upload("long.csv", &bytes).await.unwrap();
        assert_eq!(view.import.bytes, text.len() as u64);
        let id = view.import.id;
        house.start(id, view.mapping).await;
        house.turn(1).await;
        house.clock.advance(Duration::from_secs(10));
        left.push(house.people.view(house.import(id).await).unwrap().eta.unwrap());
        assert!(house.people.cancel(&proof::organise(house.event), Actor::Operator, id).await.unwrap());
    }
    assert_eq!(left[0], left[1]);
    db.close().await;
    scratch.remove().await;
}

#[tokio::test]
async fn whose_name_has_a_word_of_a_header_in_it_is_invited() {
    both(async |db| {
        let house = open(&db).await;
        let done = house.read(b"Marcella Rossi\nIsmail Kaya\nAnna Lang\n").await;
        assert_eq!((done.progress.rows, done.progress.created), (3, 3));
        let done = house.read(b"Marcello Bianchi,+393123456789\nGaston Martin,+33612345678\n").await;
        assert_eq!((done.progress.rows, done.progress.created, done.progress.errors), (2, 2, 0));
        let everybody = house.everybody().await;
        assert!(everybody.contains_key("Marcella Rossi"), "{everybody:?}");
        assert_eq!(everybody["Marcello Bianchi"], person("+393123456789", ""));
    })
    .await;
}

#[tokio::test]
async fn people_whose_numbers_a_spreadsheet_shortened_are_told_and_not_made_one() {
    both(async |db| {
        let house = open(&db).await;
        let done = house.read(b"name,phone\nAda,4.91512E+12\nBob,4.91512E+12\nEve,+4915123456789\n").await;
        assert_eq!((done.progress.created, done.progress.merged, done.progress.errors), (1, 0, 2));
        let (sheet, _) = house.people.error_rows(done.id, 0).await.unwrap();
        assert!(sheet.starts_with("2,phone,shortened_phone,") && sheet.contains(".xlsx"), "{sheet}");
    })
    .await;
}

#[tokio::test]
async fn what_is_no_list_is_refused_and_leaves_nothing_behind() {
    let scratch = Scratch::sqlite();
    let db = Db::open(scratch.url()).await.unwrap();
    let house = open(&db).await;
    assert!(matches!(house.upload("x", b"").await, Err(ImportError::Empty)));
    assert!(matches!(house.upload("x", b"\n\n,,\n").await, Err(ImportError::Empty)));
    assert!(matches!(house.upload("x", b"PK\x03\x04 but no workbook").await, Err(ImportError::Unreadable)));
    let organise = proof::organise(house.event);
    let broken = stream::iter([Ok(Bytes::from_static(b"name\n")), Err("gone")]);
    let upload = Upload { name: "x", announced: None };
    assert!(matches!(house.people.upload(&organise, upload, broken).await, Err(ImportError::Incomplete)));
    let huge = Upload { name: "x", announced: Some(1 << 31) };
    let nothing = stream::iter(Vec::<Result<Bytes, Infallible>>::new());
    assert!(matches!(house.people.upload(&organise, huge, nothing).await, Err(ImportError::TooLarge)));
    assert_eq!(house.files(), 0);

    for _ in 0..10 {
        house.upload("x", b"name\nAda\n").await.unwrap();
    }
    assert!(matches!(house.upload("x", b"name\nAda\n").await, Err(ImportError::TooMany)));
    house.clock.advance(Duration::from_secs(25 * 60 * 60));
    house.turn(0).await;
    assert_eq!(house.files(), 0, "nobody started them for a day");

    let quotes = format!("name\n\"{}\nAda\ny\"{}\nBob\n", "x".repeat(200), "z".repeat(70_000));
    let done = house.read(quotes.as_bytes()).await;
    assert_eq!((done.state, done.progress.created, done.progress.errors), (State::Done, 2, 2));
    db.close().await;
    scratch.remove().await;
}

#[tokio::test]
async fn an_organiser_stops_a_list_and_who_was_invited_stays() {
    both(async |db| {
        let house = open(&db).await;
        let view = house.upload("long.csv", long_list(2_400).as_bytes()).await.unwrap();
        let id = view.import.id;
        house.start(id, view.mapping).await;
        house.turn(1).await;
        let organise = proof::organise(house.event);
        assert!(house.people.cancel(&organise, Actor::Operator, id).await.unwrap());
        assert!(!house.people.cancel(&organise, Actor::Operator, id).await.unwrap());
        house.turn(usize::MAX).await;
        let now = house.import(id).await;
        assert_eq!((now.state, now.progress.rows, house.files()), (State::Cancelled, 1_000, 0));
        assert!(invitations::count(&db, house.event).await.unwrap() > 400);
    })
    .await;
}

#[tokio::test]
async fn a_file_on_the_disk_and_the_rows_of_a_list_show_no_number() {
    let scratch = Scratch::sqlite();
    let db = Db::open(scratch.url()).await.unwrap();
    let house = open(&db).await;
    let view = house.upload("x.csv", long_list(50).as_bytes()).await.unwrap();
    for entry in std::fs::read_dir(&house.folder).unwrap() {
        let bytes = std::fs::read(entry.unwrap().path()).unwrap();
        assert!(!bytes.windows(6).any(|window| window == b"+33610"));
    }
    assert!(!format!("{:?}", view.import).contains("+3361"), "the row repeats nothing of the list");
    db.close().await;
    scratch.remove().await;
}

/// Resident memory of this process in bytes.
fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/statm").unwrap();
    status.split(' ').nth(1).unwrap().parse::<u64>().unwrap() * 4096
}

/// 100 000 rows on SQLite. Run it alone and optimised:
/// `cargo nextest run --cargo-profile bench-like -p stagedoor-server --run-ignored only a_hundred_thousand`.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "a measurement"]
#[expect(clippy::print_stdout, reason = "a measurement")]
async fn a_hundred_thousand_rows_are_read_within_ten_seconds() {
    let rows = std::env::var("STAGEDOOR_TEST_ROWS").ok().and_then(|rows| rows.parse().ok()).unwrap_or(100_000_u64);
    let scratch = Scratch::sqlite();
    let db = Db::open(scratch.url()).await.unwrap();
    let house = open(&db).await;
    let before_upload = resident();
    // Made as it goes, so that the list itself is not what is measured.
    let mut row = 0;
    let list = stream::iter(std::iter::from_fn(move || {
        if row >= rows {
            return None;
        }
        let mut text = String::new();
        if row == 0 {
            text.push_str("name,phone,email,note\n");
        }
        for _ in 0..1_000 {
            // Twelve real-looking ranges; every number once.
            text.push_str(&format!(
                "Guest {row},+336{:08},guest{row}@example.org,table {}\n",
                10_000_000 + row % 90_000_000,
                row % 40
            ));
            row += 1;
        }
        Some(Ok::<_, Infallible>(Bytes::from(text)))
    }));
    let started = Instant::now();
    let upload = Upload { name: "long.csv", announced: None };
    let view = house.people.upload(&proof::organise(house.event), upload, list).await.unwrap();
    let uploaded = started.elapsed();
    house.start(view.import.id, view.mapping).await;
    let started = Instant::now();
    let people = house.people.clone();
    let work = tokio::spawn(async move { people.turn(&CancellationToken::new(), usize::MAX).await.unwrap() });
    let mut most = 0;
    while !work.is_finished() {
        most = most.max(resident());
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    work.await.unwrap();
    let read = started.elapsed();
    let done = house.import(view.import.id).await;
    let extra = most.saturating_sub(before_upload) / 1024 / 1024;
    println!(
        "{rows} rows, {} MB: uploaded in {uploaded:?}, read in {read:?}, {extra} MiB more resident; {:?}",
        view.import.bytes / 1_000_000,
        done.progress
    );
    assert_eq!(done.progress.created, rows);
    db.close().await;
    scratch.remove().await;
}
