//! RTMP over TCP: the shell around [`Session`].
//!
//! One task per connection: read, feed, poll, write. Bounds before a publisher is let in are the session's (bytes,
//! time); here are the number of connections and the time a write may take.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use metrics::Counter;
use stagedoor_media::container::flv::{self, DemuxError};
use stagedoor_media::rtmp::{Event, Limits, Output, Phase, PublishRequest, Rejection, Session, SessionError};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::admit::admit;
use crate::access::{Access, Door, Inside};
use crate::live::{Hub, Publisher, StopReason};
use crate::ports::clock::Clock;
use crate::ports::random::Random;
use crate::ports::tls::Handshake;
use crate::telemetry;

/// Bytes read at once.
const READ_MAX: usize = 64 * 1024;

/// An encoder that does not take our (tiny) answers for this long is gone.
const WRITE_TIMEOUT: Duration = Duration::from_secs(10);

/// After the last word an encoder's bytes are read and thrown away for this long, at most this many.
const PARTING: Duration = Duration::from_secs(2);
const PARTING_BYTES_MAX: usize = 4 * 1024 * 1024;

/// Accepts encoders.
#[derive(Clone)]
pub struct Rtmp {
    /// Who may publish.
    pub access: Arc<Access>,
    /// Where frames go.
    pub hub: Arc<Hub>,
    /// The time.
    pub clock: Clock,
    /// For handshakes.
    pub random: Random,
}

/// Serves until `stop`; publishers are told why they have to go. With a handshake it is RTMPS: RTMP inside TLS.
///
/// Each connection takes a place of `door`; when it is full they wait in the kernel's queue. One more from an address that
/// has as many as it may is closed.
pub async fn serve(
    listener: TcpListener,
    handshake: Option<Handshake>,
    rtmp: Rtmp,
    door: Door,
    stop: CancellationToken,
) {
    let rtmp = Arc::new(rtmp);
    let tasks = TaskTracker::new();
    loop {
        let accepted = tokio::select! {
            () = stop.cancelled() => break,
            accepted = accept(&listener, &door) => accepted,
        };
        let (socket, address, inside) = match accepted {
            Ok(Some(accepted)) => accepted,
            Ok(None) => {
                metrics::counter!("ingest_connections_refused_total").increment(1);
                continue;
            }
            Err(error) => {
                tracing::warn!(%error, "cannot accept an RTMP connection");
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        let (rtmp, stop, handshake) = (rtmp.clone(), stop.clone(), handshake.clone());
        tasks.spawn(telemetry::contained("rtmp", async move {
            let ended = match handshake {
                None => Connection::new(&rtmp, socket, address).run(&stop).await,
                Some(handshake) => match handshake.shake(socket).await {
                    Ok(socket) => Connection::new(&rtmp, Box::new(socket), address).run(&stop).await,
                    Err(error) => Err(ConnectionError::Handshake(error)),
                },
            };
            match ended {
                Ok(()) => tracing::debug!("RTMP connection closed"),
                Err(error) => {
                    metrics::counter!("ingest_connections_failed_total").increment(1);
                    tracing::info!(error = &error as &dyn std::error::Error, "RTMP connection failed");
                }
            }
            drop(inside);
        }));
    }
    tasks.close();
    tasks.wait().await;
}

type Accepted = (TcpStream, SocketAddr, Inside);

/// The next connection; `None` for one that had to be closed.
async fn accept(listener: &TcpListener, door: &Door) -> std::io::Result<Option<Accepted>> {
    let vacancy = door.vacancy().await.map_err(std::io::Error::other)?;
    let (socket, address) = listener.accept().await?;
    let Some(inside) = door.admit(vacancy, address.ip()) else { return Ok(None) };
    socket.set_nodelay(true)?;
    Ok(Some((socket, address, inside)))
}

#[derive(Debug, thiserror::Error)]
enum ConnectionError {
    #[error("no TLS handshake")]
    Handshake(#[source] std::io::Error),
    #[error("the connection broke")]
    Io(#[from] std::io::Error),
    #[error("the encoder does not read our answers")]
    WriteTimeout,
    #[error("the encoder broke the protocol")]
    Session(#[from] SessionError),
}

struct Connection<'a, S> {
    rtmp: &'a Rtmp,
    socket: S,
    address: SocketAddr,
    session: Session,
    demuxer: flv::Demuxer,
    publisher: Option<Publisher>,
    damaged: Counter,
}

impl<'a, S: AsyncRead + AsyncWrite + Unpin> Connection<'a, S> {
    fn new(rtmp: &'a Rtmp, socket: S, address: SocketAddr) -> Self {
        let session = Session::new(Limits::default(), rtmp.random.bytes(), rtmp.clock.elapsed());
        let damaged = metrics::counter!("ingest_tags_damaged_total");
        Self { rtmp, socket, address, session, demuxer: flv::Demuxer::new(), publisher: None, damaged }
    }

    /// Runs until either side ends it; what the session still has to say is said in any case.
    async fn run(mut self, stop: &CancellationToken) -> Result<(), ConnectionError> {
        let mut buffer = BytesMut::with_capacity(READ_MAX);
        while self.session.phase() != Phase::Closing {
            let pause = self.session.next_wake().map(|at| at.saturating_sub(self.rtmp.clock.elapsed()));
            let went_on = tokio::select! {
                read = self.socket.read_buf(&mut buffer) => {
                    if read? == 0 {
                        return Ok(());
                    }
                    if let Some(publisher) = &self.publisher {
                        publisher.sign_of_life();
                    }
                    let fed = self.session.feed(&buffer, self.rtmp.clock.elapsed());
                    buffer.clear();
                    fed
                }
                () = sleep(pause) => self.session.wake(self.rtmp.clock.elapsed()),
                reason = stopped(self.publisher.as_ref()) => {
                    let (rejection, description) = farewell(reason);
                    self.session.stop(rejection, &description);
                    Ok(())
                }
                // Publishers hear it from the hub; others have nothing to lose.
                () = stop.cancelled(), if self.publisher.is_none() => return Ok(()),
            };
            let drained = self.drain().await;
            went_on?;
            drained?;
        }
        self.publisher = None;
        self.part(&mut buffer).await;
        Ok(())
    }

    /// Does what the session asks for.
    async fn drain(&mut self) -> Result<(), ConnectionError> {
        while let Some(output) = self.session.poll() {
            match output {
                Output::Send(bytes) => self.send(bytes).await?,
                Output::Event(Event::Publish(request)) => self.publish(request).await?,
                Output::Event(Event::Tag(tag)) => self.tag(tag),
                Output::Event(Event::Unpublish) => self.publisher = None,
                Output::Close => break,
            }
        }
        Ok(())
    }

    async fn send(&mut self, bytes: Bytes) -> Result<(), ConnectionError> {
        match tokio::time::timeout(WRITE_TIMEOUT, self.socket.write_all(&bytes)).await {
            Ok(written) => Ok(written?),
            Err(_elapsed) => Err(ConnectionError::WriteTimeout),
        }
    }

    async fn publish(&mut self, request: PublishRequest) -> Result<(), ConnectionError> {
        let Rtmp { access, hub, clock, .. } = self.rtmp;
        let key = request.key().unwrap_or_default();
        match admit(access, hub, key, self.address.ip(), &request.encoder).await {
            Ok(publisher) => {
                self.demuxer = flv::Demuxer::new();
                self.publisher = Some(publisher);
                self.session.accept_publish(clock.elapsed());
            }
            Err(refusal) => {
                metrics::counter!("ingest_publishers_refused_total").increment(1);
                tracing::info!(%refusal, "a publisher was refused");
                self.session.reject_publish(refusal.rejection(), &refusal.to_string());
            }
        }
        Ok(())
    }

    /// One damaged tag does not end a show; a codec that nobody can play does, with the reason.
    fn tag(&mut self, tag: flv::Tag) {
        let Some(publisher) = &self.publisher else { return };
        let fed = self.demuxer.feed(tag);
        while let Some(output) = self.demuxer.poll() {
            if let flv::Output::Frame(frame) = output {
                publisher.push(frame);
            }
        }
        match fed {
            Ok(()) => {}
            Err(DemuxError::Malformed { .. }) => self.damaged.increment(1),
            Err(error @ DemuxError::Unsupported { .. }) => {
                tracing::info!(%error, "a publisher was stopped");
                self.session.stop(Rejection::Unsupported, &error.to_string());
            }
        }
    }

    /// Closes so that the encoder can still read why: a socket closed over unread bytes is reset.
    async fn part(&mut self, buffer: &mut BytesMut) {
        let listen = async {
            self.socket.shutdown().await?;
            let mut left = PARTING_BYTES_MAX;
            while left > 0 {
                buffer.clear();
                let read = self.socket.read_buf(buffer).await?;
                if read == 0 {
                    break;
                }
                left = left.saturating_sub(read);
            }
            std::io::Result::Ok(())
        };
        let _gone_either_way = tokio::time::timeout(PARTING, listen).await;
    }
}

/// Never, when nothing is due.
async fn sleep(pause: Option<Duration>) {
    match pause {
        Some(pause) => tokio::time::sleep(pause).await,
        None => std::future::pending().await,
    }
}

/// Never, while nobody publishes.
async fn stopped(publisher: Option<&Publisher>) -> StopReason {
    match publisher {
        Some(publisher) => publisher.stopped().await,
        None => std::future::pending().await,
    }
}

/// What the encoder shows to its user.
fn farewell(reason: StopReason) -> (Rejection, String) {
    let (rejection, text) = match reason {
        StopReason::TakenOver => (Rejection::BadName, "The same stream was published again from elsewhere."),
        StopReason::Revoked => (Rejection::Denied, "This stream key was revoked."),
        StopReason::Withdrawn => (
            Rejection::Denied,
            "This publish token is not accepted here any more. Ask whoever gave it to you for a new one.",
        ),
        StopReason::Expired => (Rejection::Denied, "This stream key has expired. Ask the organiser for a new one."),
        StopReason::Exceeded(excess) => return (Rejection::Unsupported, excess.to_string()),
        StopReason::Ended => (Rejection::Unsupported, "The organiser has ended the broadcast."),
        StopReason::Stopping => (Rejection::Failed, "The server is restarting: publish again in a moment."),
    };
    (rejection, text.to_owned())
}
