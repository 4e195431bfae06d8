//! `stagedoor demo`: the whole platform with an event, an invitee and a sample broadcast, ready to be looked at.
//!
//! Nothing here is special: the event, the code and the keys are made as an organiser would make them.

mod sample;

use std::error::Error;
use std::net::SocketAddr;
use std::path::PathBuf;

use clap::Args;
use serde::Serialize;
use stagedoor_domain::access::{Broadcast, CreateEvent, MintToken, Organise, Reveal, Scopes, Sealed, Secret};
use stagedoor_domain::event::{DVR_WINDOW_DEFAULT, Latency, Policy, RECONNECT_WINDOW_DEFAULT};
use stagedoor_domain::id::{EventId, StreamId};
use tokio_util::sync::CancellationToken;

use crate::access::{NewInvitee, NewKey, RedeemAttempt, Who};
use crate::app::App;
use crate::config::Config;
use crate::deliver::TokenCheck;
use crate::ports::db::events::Event;
use crate::ports::db::selection::Filter;
use crate::ports::db::{DbError, api_tokens, events, invitations, stream_keys};

const TITLE: &str = "Stagedoor demo";
const GUEST: &str = "Demo guest";
const PLAYER: &str = "Demo player";
const TOKEN: &str = "demo";

/// What the demo can be told.
#[derive(Args, Debug)]
pub struct DemoArgs {
    /// Print one line of JSON when ready, instead of a page for people
    #[arg(long)]
    json: bool,
    /// Leave the stream to a real publisher
    #[arg(long)]
    no_sample: bool,
    /// Folder for everything that is kept
    #[arg(long, value_name = "FOLDER", default_value = "data/demo")]
    data_dir: PathBuf,
    /// Where to serve pages, API and media; port 0 picks a free one
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8080")]
    http: SocketAddr,
    /// Where encoders connect; port 0 picks a free one
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:1935")]
    rtmp: SocketAddr,
    /// Database instead of the embedded one, for example postgres://user@host/name
    #[arg(long, value_name = "URL")]
    database: Option<String>,
    /// How far behind live the demo event is
    #[arg(long, value_name = "MODE", default_value = "low", value_parser = ["ultra", "low", "standard"])]
    latency: String,
    /// DANGER: serve media to everyone, to measure what checking tokens costs
    #[arg(long, hide = true)]
    danger_open_media: bool,
}

/// What a person or a test needs to know.
#[derive(Serialize)]
struct Ready {
    viewer_url: String,
    code: String,
    event: EventId,
    admin_url: String,
    admin_user: String,
    admin_password: String,
    api_token: String,
    rtmp_url: String,
    stream_key: String,
    hls_url: String,
    /// The encrypted doors, when there is a certificate.
    #[serde(skip_serializing_if = "Option::is_none")]
    https_url: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    rtmps_url: Option<String>,
}

/// Runs the demo until `stop`.
///
/// # Errors
///
/// Whatever keeps it from starting, in words.
pub async fn run(args: DemoArgs, stop: CancellationToken) -> Result<(), Box<dyn Error + Send + Sync>> {
    // What the arguments do not say, STAGEDOOR_… variables may.
    let mut config = Config { data_dir: args.data_dir.clone(), ..Config::load(None, std::env::vars())? };
    config.http.listen = args.http;
    config.rtmp.listen = args.rtmp;
    if args.database.is_some() {
        config.database.url.clone_from(&args.database);
    }
    let check = if args.danger_open_media { TokenCheck::DangerSkipped } else { TokenCheck::EveryRequest };
    let app = App::build(config, check).await?;
    let ready = prepare(&app, Latency::from_name(&args.latency).unwrap_or_default()).await?;
    let publish_url = format!("{}/{}", ready.rtmp_url, ready.stream_key);
    if args.json {
        super::print(&serde_json::to_string(&ready)?);
    } else {
        super::print(&page(&ready, args.no_sample));
    }
    if args.danger_open_media {
        tracing::warn!("media is open to everyone (--danger-open-media)");
    }
    let sample = async {
        if !args.no_sample {
            sample::publish(publish_url, stop.clone()).await;
        }
    };
    tokio::join!(app.run(stop.clone()), sample);
    Ok(())
}

/// Makes what the demo shows, or finds it from the last time.
async fn prepare(app: &App, latency: Latency) -> Result<Ready, Box<dyn Error + Send + Sync>> {
    let now = app.clock.now();
    // The last start's password is known to nobody, so each start has one of its own.
    let admin = match &app.first_admin {
        Some(made) => (made.username.clone(), made.password.expose().to_owned()),
        None => {
            let reset = app.access.reset_password(&app.config.admin.username).await?;
            let reset = reset.ok_or("this data folder belongs to another installation: choose another --data-dir")?;
            (reset.username, reset.password.expose().to_owned())
        }
    };
    let who = app.access.operator(&admin.0).await?.ok_or("the administrator is gone")?;
    let event = match events::all(&app.db).await?.into_iter().find(|event| event.title == TITLE) {
        Some(mut event) => {
            event.latency = latency;
            let organise = app.access.may(&who, Organise { event: event.id })?;
            let edit = |event: &mut Event| -> Result<(), DbError> {
                event.latency = latency;
                Ok(())
            };
            app.access.edit_event(&organise, who.actor, edit).await?;
            event
        }
        None => {
            let event = Event {
                id: EventId::new(app.random.uuid(now)),
                stream: StreamId::new(app.random.uuid(now)),
                title: TITLE.to_owned(),
                latency,
                starts_at: None,
                dvr_window: DVR_WINDOW_DEFAULT,
                reconnect_window: RECONNECT_WINDOW_DEFAULT,
                epoch: 0,
                team: None,
                policy: Policy::default(),
                created_at: now,
            };
            let create = app.access.may(&who, CreateEvent)?;
            app.access.create_event(&create, who.actor, &event).await?;
            event
        }
    };
    let stream_key = match stream_keys::current(&app.db, event.id, now).await? {
        Some(key) => reveal(app, &who, event.id, Sealed::StreamKey(key.id), &key.sealed).await?,
        None => {
            let broadcast = app.access.may(&who, Broadcast { event: event.id })?;
            app.access.create_key(&broadcast, who.actor, NewKey::default()).await?.1
        }
    };
    let code = guest_code(app, &who, event.id).await?;
    let token = player_token(app, &who, event.id).await?;
    let api_token = api_token(app, &who).await?;

    let (http, tls) = (app.http_address()?, app.tls_addresses());
    let base = format!("http://{}", reachable(http));
    Ok(Ready {
        viewer_url: format!("{base}/e/{}", event.id),
        code,
        event: event.id,
        admin_url: format!("{base}/"),
        admin_user: admin.0,
        admin_password: admin.1,
        api_token,
        rtmp_url: format!("rtmp://{}/live", reachable(app.rtmp_address()?)),
        stream_key: stream_key.expose().to_owned(),
        hls_url: format!("{base}/live/{token}/{}/index.m3u8", event.stream),
        https_url: tls.map(|(https, _)| format!("https://{}", reachable(https))),
        rtmps_url: tls.map(|(_, rtmps)| format!("rtmps://{}/live", reachable(rtmps))),
    })
}

async fn reveal(
    app: &App,
    who: &Who,
    event: EventId,
    what: Sealed,
    sealed: &[u8],
) -> Result<Secret, Box<dyn Error + Send + Sync>> {
    let allowed = app.access.may(who, Reveal { event: Some(event), sealed: what })?;
    Ok(app.access.reveal_to(&allowed, who.actor, sealed).await?)
}

/// The code of the guest: the same one as long as the data folder lives.
async fn guest_code(app: &App, who: &Who, event: EventId) -> Result<String, Box<dyn Error + Send + Sync>> {
    let found = invitations::list(&app.db, event, &Filter::named(GUEST), None, 10).await?;
    if let Some(guest) = found.into_iter().find(|guest| guest.name == GUEST && guest.revoked_at.is_none()) {
        let code = reveal(app, who, event, Sealed::Code(guest.id), &guest.sealed).await?;
        return Ok(code.expose().to_owned());
    }
    let organise = app.access.may(who, Organise { event })?;
    Ok(app.access.invite(&organise, who.actor, &NewInvitee::named(GUEST)).await?.code.to_string())
}

/// A playback token of a fresh session, for players that are no browsers; the last start's ends.
async fn player_token(app: &App, who: &Who, event: EventId) -> Result<String, Box<dyn Error + Send + Sync>> {
    let organise = app.access.may(who, Organise { event })?;
    for old in invitations::list(&app.db, event, &Filter::named(PLAYER), None, 10).await? {
        if old.name == PLAYER && old.revoked_at.is_none() {
            app.access.withdraw(&organise, who.actor, old.id).await?;
        }
    }
    let code = app.access.invite(&organise, who.actor, &NewInvitee::named(PLAYER)).await?.code.to_string();
    let attempt = RedeemAttempt {
        event,
        code: &code,
        address: std::net::Ipv4Addr::LOCALHOST.into(),
        cookie: None,
        device: "Player",
        ticket: None,
        asking: None,
        proof: None,
    };
    let redeemed = app.access.redeem(attempt).await?;
    Ok(app.access.playback_token(&redeemed.seat))
}

/// An API token; the last start's ends.
async fn api_token(app: &App, who: &Who) -> Result<String, Box<dyn Error + Send + Sync>> {
    let mint = app.access.may(who, MintToken)?;
    for old in api_tokens::list(&app.db, who.user, None, 100).await? {
        if old.name == TOKEN {
            app.access.revoke_token(&mint, who, old.id).await?;
        }
    }
    let (_, token) = app.access.mint_token(&mint, who, TOKEN, Scopes::ALL, None).await?;
    Ok(token.expose().to_owned())
}

/// An address that a browser on this machine can open.
fn reachable(address: SocketAddr) -> SocketAddr {
    if !address.ip().is_unspecified() {
        return address;
    }
    SocketAddr::from((std::net::Ipv4Addr::LOCALHOST, address.port()))
}

fn page(ready: &Ready, no_sample: bool) -> String {
    let Ready { viewer_url, code, admin_url, admin_user, admin_password, rtmp_url, stream_key, .. } = ready;
    let broadcast = if no_sample {
        "Publish to it:"
    } else {
        "A sample is live. To publish your own, start again with --no-sample:"
    };
    format!(
        "\n  Stagedoor is ready.\n\n  \
         Watch         {viewer_url}#{code}\n  \
         Code          {code}\n\n  \
         Control room  {admin_url}\n  \
         Sign in       {admin_user} / {admin_password}   (new at every start of the demo)\n\n  \
         {broadcast}\n  \
         OBS server    {rtmp_url}\n  \
         Stream key    {stream_key}\n\n  \
         Ctrl-C ends it.\n"
    )
}
