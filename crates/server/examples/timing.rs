//! Asks the door about wrong secrets, and whether the time that the answer takes tells how nearly right they were.
//!
//! For each kind of secret there are three classes: wrong; wrong in the same way, as a control; and nearly right, which is a
//! secret that exists with another last letter (or, where it is about existence, one that exists). All that is to be asked is
//! written before anything is asked, in an order drawn by lot. Two classes are compared by Welch's t; what takes the same
//! time stays below 4.5. A comparison that stops at the first wrong letter goes through the same mill, to show that it
//! would be seen.
//!
//! ```text
//! cargo run --release -p stagedoor-server --example timing -- --samples 100000
//! ```

use std::error::Error;
use std::hint::black_box;
use std::io::Write as _;
use std::net::{IpAddr, Ipv4Addr};
use std::time::{Duration, Instant};

use clap::Parser;
use http::{HeaderMap, Method, StatusCode};
use serde::Serialize;
use stagedoor_domain::Time;
use stagedoor_domain::access::{
    Broadcast, Code, CreateEvent, Denied, Govern, MintToken, Organise, Role, Scopes, Secret,
};
use stagedoor_domain::event::{DVR_WINDOW_DEFAULT, Latency, Policy, RECONNECT_WINDOW_DEFAULT};
use stagedoor_domain::id::{EventId, StreamId};
use stagedoor_server::access::{
    Access, Arrival, MasterKey, NewInvitee, NewKey, PublishAttempt, PublishDenied, RedeemAttempt, RedeemRefused,
    SignInRefused, Who,
};
use stagedoor_server::config;
use stagedoor_server::deliver::{Deliver, TokenCheck};
use stagedoor_server::live::Hub;
use stagedoor_server::ports::World;
use stagedoor_server::ports::blobs::Blobs;
use stagedoor_server::ports::bus::Bus;
use stagedoor_server::ports::clock::Clock;
use stagedoor_server::ports::db::Db;
use stagedoor_server::ports::db::events::Event;
use stagedoor_server::ports::random::Random;

type Outcome<T> = Result<T, Box<dyn Error + Send + Sync>>;

const HERE: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
const NOW: Time = Time::from_millis(1_795_203_000_000);
/// Secrets of each class, so that no single one of them decides.
const POOL: usize = 200;
/// Secrets that nobody has, of each class of them: so many that what a few of them happen to hash to makes no difference
/// between two classes, as it did of 0.2 µs with as few as there are real ones.
const MADE_UP: usize = 20_000;
/// Names of each class: fewer, because each costs a password.
const NAMES: usize = 50;
/// Asked before the first that counts.
const WARMING: usize = 1_000;
/// Bytes of the one refusal.
const REFUSAL_BYTES: u64 = 192;
/// The slowest tenth of all is mostly the machine's own doing: a comparison without it sees more.
const USUAL: f64 = 0.9;

#[derive(Parser)]
struct Options {
    /// Samples of each class.
    #[arg(long, default_value_t = 100_000)]
    samples: usize,
    /// Samples of each class of user names: each costs the hash of a password.
    #[arg(long, default_value_t = 2_000)]
    names: usize,
    /// Addresses of parts that are guessed without a right token; none of them may be answered with anything but the refusal.
    #[arg(long, default_value_t = 1_000_000)]
    guesses: u64,
    /// What the lot is drawn with; another one each time when absent. It is printed.
    #[arg(long)]
    seed: Option<u64>,
}

#[derive(Serialize)]
struct Report {
    seed: u64,
    /// Addresses of parts that were guessed, and how many of them were not refused to the letter.
    guesses: u64,
    guessed: u64,
    rows: Vec<Row>,
}

/// What is known about one kind of secret.
#[derive(Serialize)]
struct Row {
    what: &'static str,
    samples: usize,
    median_ns: f64,
    /// Wrong against wrong.
    control: Comparison,
    /// Wrong against nearly right.
    nearly: Comparison,
}

#[derive(Serialize)]
struct Comparison {
    /// Of all samples.
    all: Welch,
    /// Without the slowest tenth.
    usual: Welch,
}

/// Welch's t, for two samples of different variance.
#[derive(Serialize)]
struct Welch {
    t: f64,
    difference_ns: f64,
    /// A difference from here on would have been seen.
    seen_from_ns: f64,
}

fn welch(one: &[f64], other: &[f64]) -> Welch {
    let mean = |sample: &[f64]| sample.iter().sum::<f64>() / sample.len() as f64;
    let (first, second) = (mean(one), mean(other));
    let spread = |sample: &[f64], mean: f64| {
        let squares: f64 = sample.iter().map(|value| (value - mean) * (value - mean)).sum();
        squares / (sample.len() as f64 - 1.0) / sample.len() as f64
    };
    let error = (spread(one, first) + spread(other, second)).sqrt();
    Welch { t: (second - first) / error, difference_ns: second - first, seen_from_ns: 4.5 * error }
}

fn compare(one: &[f64], other: &[f64]) -> Comparison {
    let mut both = [one, other].concat();
    both.sort_unstable_by(f64::total_cmp);
    let slow = both[((both.len() - 1) as f64 * USUAL) as usize];
    let usual = |sample: &[f64]| sample.iter().copied().filter(|value| *value <= slow).collect::<Vec<_>>();
    Comparison { all: welch(one, other), usual: welch(&usual(one), &usual(other)) }
}

/// How questions are made of the secrets of a class.
#[derive(Clone, Copy)]
enum Asked {
    /// With another last letter.
    Nearly,
    /// As they are.
    Whole,
}

struct Lot(Random);

impl Lot {
    fn below(&self, bound: usize) -> usize {
        (u64::from_le_bytes(self.0.bytes()) % bound as u64) as usize
    }

    fn of<'a>(&self, pool: &'a [String]) -> &'a str {
        &pool[self.below(pool.len())]
    }

    /// `secret` with the last letter of some other one.
    fn nearly(&self, secret: &str, letters: &[String]) -> String {
        loop {
            let (at, last) = secret.char_indices().next_back().unwrap_or((0, ' '));
            match self.of(letters).chars().next_back() {
                Some(other) if other != last => return format!("{}{other}", &secret[..at]),
                _ => {}
            }
        }
    }
}

/// Wrong, wrong again, and nearly right.
type Pools = [Vec<String>; 3];

async fn measure(
    what: &'static str,
    (lot, samples): (&Lot, usize),
    (pools, asked): (&Pools, Asked),
    ask: impl AsyncFn(&str) -> bool,
) -> Outcome<Row> {
    let mut classes: Vec<usize> = (0..3 * samples).map(|number| number % 3).collect();
    for number in (1..classes.len()).rev() {
        classes.swap(number, lot.below(number + 1));
    }
    let questions: Vec<(usize, String)> = classes
        .into_iter()
        .map(|class| {
            let secret = lot.of(&pools[class]);
            match asked {
                // The same letters for every class.
                Asked::Nearly => (class, lot.nearly(secret, &pools[0])),
                Asked::Whole => (class, secret.to_owned()),
            }
        })
        .collect();
    for (_, text) in questions.iter().take(WARMING.min(samples)) {
        ask(text).await;
    }
    let mut times = [const { Vec::<f64>::new() }; 3];
    for (class, text) in &questions {
        let begun = Instant::now();
        let refused = black_box(ask(black_box(text)).await);
        let took = begun.elapsed();
        if !refused {
            return Err(format!("{what}: a wrong one was not refused as wrong").into());
        }
        times[*class].push(took.as_nanos() as f64);
    }
    let mut all = times.concat();
    all.sort_unstable_by(f64::total_cmp);
    let [wrong, again, nearly] = times;
    Ok(Row {
        what,
        samples,
        median_ns: all[all.len() / 2],
        control: compare(&wrong, &again),
        nearly: compare(&wrong, &nearly),
    })
}

/// What a careless server would do.
fn leaky(secret: &str, guess: &str) -> bool {
    secret.len() == guess.len()
        && secret.bytes().zip(guess.bytes()).all(|(one, other)| black_box(one) == black_box(other))
}

/// A house with people in it, and everything that opens something in it.
struct House {
    db: Db,
    access: std::sync::Arc<Access>,
    who: Who,
    random: Random,
    clock: Clock,
}

impl House {
    async fn open(folder: &std::path::Path, random: &Random) -> Outcome<Self> {
        let db = Db::open(&format!("sqlite://{}", folder.join("timing.db").display())).await?;
        let clock = Clock::manual(NOW);
        let world = World { db: db.clone(), clock: clock.clone(), random: random.clone(), bus: Bus::local() };
        // Nobody waits, or each question would be answered by the limits.
        let settings = config::Access { wrong_per_address: u32::MAX, wrong_total: u32::MAX, ..Default::default() };
        let access = Access::start(world, settings, &MasterKey::new(random.bytes())).await?;
        access.first_admin("ada").await?;
        let who = access.operator("ada").await?.ok_or("nobody is there")?;
        Ok(Self { db, access, who, random: random.clone(), clock })
    }

    async fn event(&self) -> Outcome<Event> {
        let event = Event {
            id: EventId::new(self.random.uuid(NOW)),
            stream: StreamId::new(self.random.uuid(NOW)),
            title: "Evening".to_owned(),
            latency: Latency::Low,
            starts_at: None,
            dvr_window: DVR_WINDOW_DEFAULT,
            reconnect_window: RECONNECT_WINDOW_DEFAULT,
            epoch: 0,
            team: None,
            policy: Policy::default(),
            created_at: NOW,
        };
        let create = self.access.may(&self.who, CreateEvent)?;
        self.access.create_event(&create, self.who.actor, &event).await?;
        Ok(event)
    }

    async fn codes(&self, event: EventId) -> Outcome<Vec<String>> {
        let organise = self.access.may(&self.who, Organise { event })?;
        let mut codes = Vec::new();
        for _ in 0..POOL {
            codes.push(
                self.access.invite(&organise, self.who.actor, &NewInvitee::named("Guest")).await?.code.to_string(),
            );
        }
        Ok(codes)
    }

    async fn redeem(&self, event: EventId, code: &str) -> Result<(String, String), RedeemRefused> {
        let attempt = RedeemAttempt {
            event,
            code,
            address: HERE,
            cookie: None,
            device: "Firefox",
            ticket: None,
            asking: None,
            proof: None,
        };
        let redeemed = self.access.redeem(attempt).await?;
        Ok((self.access.playback_token(&redeemed.seat), redeemed.cookie.expose().to_owned()))
    }

    /// As many made up as there are real ones.
    fn made_up(&self, make: impl Fn() -> String) -> Vec<String> {
        (0..MADE_UP).map(|_| make()).collect()
    }

    fn pools(&self, real: Vec<String>, make: impl Fn() -> String) -> Pools {
        [self.made_up(&make), self.made_up(&make), real]
    }
}

async fn everything(options: &Options, seed: u64, folder: &std::path::Path) -> Outcome<Report> {
    let random = Random::seeded(seed);
    let house = House::open(folder, &random).await?;
    let lot = (&Lot(random.clone()), options.samples);
    let access = &house.access;
    let mut rows = Vec::new();
    let code = || Code::from_random(house.random.bytes()).to_string();
    let secret = || Secret::from_random("", house.random.bytes()).expose().to_owned();

    let (event, other) = (house.event().await?, house.event().await?);
    let codes = house.codes(event.id).await?;
    let wrong = async |text: &str| matches!(house.redeem(event.id, text).await, Err(RedeemRefused::CodeInvalid));
    let pools = house.pools(codes.clone(), code);
    rows.push(measure("code, all letters but one right", lot, (&pools, Asked::Nearly), wrong).await?);
    let pools = house.pools(house.codes(other.id).await?, code);
    rows.push(measure("code of another event", lot, (&pools, Asked::Whole), wrong).await?);

    let (mut tokens, mut cookies) = (Vec::new(), Vec::new());
    for code in &codes {
        let (token, cookie) = house.redeem(event.id, code).await?;
        tokens.push(token);
        cookies.push(cookie);
    }
    let stream = event.stream.to_string();
    // What the token says is right in all classes; of the proof behind it all letters but one, or none.
    let forged = || {
        let (says, proof) = (house.random.bytes::<8>(), house.random.bytes::<32>());
        let claims = &tokens[usize::from(says[0]) % tokens.len()][..57];
        let letters = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
        let tail = (0..43).map(|at| char::from(letters[usize::from(proof[at % 32].rotate_left(at as u32 / 32)) % 64]));
        format!("{claims}{}", tail.collect::<String>())
    };
    let pools = house.pools(tokens.clone(), forged);
    let watch = async |text: &str| access.watch(text, &stream) == Err(Denied::Unknown);
    rows.push(measure("playback token, all letters but one right", lot, (&pools, Asked::Nearly), watch).await?);

    let pools = house.pools(cookies, secret);
    let seat = async |text: &str| access.seat(event.id, text).is_none();
    rows.push(measure("viewer cookie, all letters but one right", lot, (&pools, Asked::Nearly), seat).await?);

    let mut real = Vec::new();
    for _ in 0..POOL {
        let mint = access.may(&house.who, MintToken)?;
        real.push(access.mint_token(&mint, &house.who, "timing", Scopes::ALL, None).await?.1.expose().to_owned());
    }
    let pools = house.pools(real, || format!("sd_{}", secret()));
    let token = async |text: &str| matches!(access.organiser_by_token(text).await, Ok(None));
    rows.push(measure("API token, all letters but one right", lot, (&pools, Asked::Nearly), token).await?);

    let mut real = Vec::new();
    for _ in 0..POOL {
        let broadcast = access.may(&house.who, Broadcast { event: house.event().await?.id })?;
        real.push(access.create_key(&broadcast, house.who.actor, NewKey::default()).await?.1.expose().to_owned());
    }
    let pools = house.pools(real, secret);
    let publish = async |text: &str| {
        let attempt = PublishAttempt { key: text, address: HERE };
        matches!(access.publish(attempt).await, Err(PublishDenied::Denied(Denied::Unknown)))
    };
    rows.push(measure("stream key, all letters but one right", lot, (&pools, Asked::Nearly), publish).await?);

    // Somebody with a right address of their own, who guesses at others'.
    let (db, blobs) = (house.db.clone(), Blobs::folder(folder)?);
    let hub = Hub::start(access.clone(), db, blobs, house.clock.clone(), house.random.clone());
    let deliver = Deliver::new(access.clone(), hub, TokenCheck::EveryRequest);
    let refused = async |path: String| {
        let Ok(uri) = path.parse() else { return false };
        let answer = deliver.respond(&Method::GET, &uri, &HeaderMap::new()).await;
        answer.status() == StatusCode::FORBIDDEN && answer.body().bytes() == REFUSAL_BYTES
    };
    let mut streams = Vec::new();
    for _ in 0..POOL {
        streams.push(house.event().await?.stream.to_string());
    }
    let token = forged();
    let nowhere = || StreamId::new(house.random.uuid(NOW)).to_string();
    let pools = house.pools(streams.clone(), nowhere);
    let part = async |stream: &str| refused(format!("/live/{token}/{stream}/video/1.m4s")).await;
    rows.push(measure("part of a stream that exists, without a right token", lot, (&pools, Asked::Whole), part).await?);
    let mut guessed = 0;
    for number in 0..options.guesses {
        let token = if number % 2 == 0 { lot.0.of(&tokens).to_owned() } else { forged() };
        let name = format!("video/{}.{}.m4s", number % 1_000, number % 20);
        let path = format!("/live/{token}/{}/{name}", lot.0.of(&streams));
        guessed += u64::from(!refused(path).await);
    }

    let names = |from: &str| (0..NAMES).map(|number| format!("{from}{number:03}")).collect::<Vec<_>>();
    for username in names("real") {
        let user = access.new_user_id();
        let govern = access.may(&house.who, Govern { user, holds: None, gets: Some(Role::Analyst) })?;
        access.create_user(&govern, house.who.actor, &username, "").await?;
    }
    let pools = [names("none"), names("nope"), names("real")];
    let asked = std::cell::Cell::new(0_u32);
    let sign_in = async |text: &str| {
        // Ten wrong ones a minute for one name: time flies, outside of what is measured by the wall.
        asked.set(asked.get() + 1);
        if asked.get().is_multiple_of(50) {
            house.clock.advance(Duration::from_secs(61));
        }
        let arrival = Arrival { address: HERE, device: "Firefox", familiar: None };
        matches!(access.sign_in(text, "not the password", arrival).await, Err(SignInRefused::Wrong))
    };
    rows.push(measure("user name that exists", (lot.0, options.names), (&pools, Asked::Whole), sign_in).await?);

    let real = secret();
    let pools = house.pools(vec![real.clone()], secret);
    let careless = async |text: &str| !leaky(&real, text);
    rows.push(measure("CARELESS: stops at the first wrong letter", lot, (&pools, Asked::Nearly), careless).await?);
    Ok(Report { seed, guesses: options.guesses, guessed, rows })
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Outcome<()> {
    let options = Options::parse();
    if options.samples < 100 || options.names < 100 {
        return Err("a hundred samples of each class at least".into());
    }
    let seed = options.seed.unwrap_or_else(|| u64::from_le_bytes(Random::system().bytes()));
    writeln!(std::io::stderr(), "seed {seed}")?;
    let folder = std::env::temp_dir().join(format!("stagedoor-timing-{}", Random::system().uuid(NOW).simple()));
    std::fs::create_dir_all(&folder)?;
    let report = everything(&options, seed, &folder).await;
    std::fs::remove_dir_all(&folder)?;
    writeln!(std::io::stdout(), "{}", serde_json::to_string(&report?)?)?;
    Ok(())
}
