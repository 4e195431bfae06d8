//! The HTTP door: accepts connections, bounds them, and sends each request to the media path or to the router.
//!
//! Media requests (`/live/…`) are the overwhelming majority and do not pass the router: they need neither extractors
//! nor layers, and a viewer costs two of them per part and rendition. Everything else is [`axum`].
//! Over TLS a browser chooses HTTP/2, where many requests share a connection; without TLS there is HTTP/1.1 only.
//! WebSockets come by HTTP/1.1 either way.

use std::convert::Infallible;
use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::Router;
use axum::extract::ConnectInfo;
use bytes::Bytes;
use http::header::{CONNECTION, UPGRADE};
use http::{HeaderValue, Request, Response, StatusCode};
use http_body::{Frame, SizeHint};
use http_body_util::{BodyExt as _, Limited};
use hyper::body::Incoming;
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower::Service as _;

use crate::access::{Door, Inside};
use crate::deliver::{Deliver, LICENCE_REQUEST_BYTES_MAX, Media, is_licence};
use crate::ports::tls::{ACME_TLS, Encrypted, Handshake};
use crate::telemetry;

/// A request head must be complete within this time, and a connection kept alive must ask again within it.
const HEAD_TIMEOUT: Duration = Duration::from_secs(10);

/// A client that takes nothing of an answer for this long is gone. A part is taken within seconds by whoever can play it.
const TAKE_TIMEOUT: Duration = Duration::from_secs(60);

/// A client that is told to go has this long to do so.
const PARTING: Duration = Duration::from_secs(2);

/// Bytes of a request head at most; also what a connection may buffer.
const HEAD_BYTES_MAX: usize = 16 * 1024;

/// Requests of one HTTP/2 connection at once: a player has a dozen, a page a few more.
const STREAMS_MAX: u32 = 100;

/// Bytes of answers that one HTTP/2 request may keep waiting in memory for a slow reader.
const SEND_BUFFER_BYTES_MAX: usize = 64 * 1024;

/// An HTTP/2 client is asked for a sign of life this often, and has as long to give it.
const PING: Duration = Duration::from_secs(20);

/// How long requests under way may go on after the stop was asked for.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(3);

/// Everything that answers HTTP.
#[derive(Clone)]
pub struct Service {
    /// The media path.
    pub deliver: Arc<Deliver>,
    /// Everything else.
    pub router: Router,
}

/// Serves until `stop`, then lets requests under way end within [`DRAIN_TIMEOUT`]. With a handshake it is HTTPS.
///
/// Each connection takes a place of `door`; when it is full they wait in the kernel's queue. One more from an address that
/// has as many as it may is closed. A connection whose task has a bug in it takes nobody with it.
pub async fn serve(
    listener: TcpListener,
    handshake: Option<Handshake>,
    service: Service,
    door: Door,
    stop: CancellationToken,
) {
    let service = Arc::new(service);
    let tasks = TaskTracker::new();
    let crowded = metrics::counter!("http_connections_refused_total");
    loop {
        let accepted = tokio::select! {
            () = stop.cancelled() => break,
            accepted = accept(&listener, &door) => accepted,
        };
        let (stream, address, inside) = match accepted {
            Ok(Some(accepted)) => accepted,
            Ok(None) => {
                crowded.increment(1);
                continue;
            }
            Err(error) => {
                // Out of file descriptors, mostly: connections end by themselves, so waiting is the cure.
                tracing::warn!(%error, "cannot accept a connection");
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        let (service, stop, handshake) = (service.clone(), stop.clone(), handshake.clone());
        tasks.spawn(telemetry::contained("http", async move {
            let _open = Open::new();
            let visitor = Visitor { service, address, encrypted: handshake.is_some(), inside };
            match handshake {
                None => http1(stream, visitor, stop).await,
                Some(handshake) => encrypted(stream, &handshake, visitor, stop).await,
            }
        }));
    }
    drop(listener);
    tasks.close();
    let _the_rest_is_dropped = tokio::time::timeout(DRAIN_TIMEOUT, tasks.wait()).await;
}

type Accepted = (TcpStream, SocketAddr, Inside);

/// The next connection; `None` for one that had to be closed.
async fn accept(listener: &TcpListener, door: &Door) -> std::io::Result<Option<Accepted>> {
    let vacancy = door.vacancy().await.map_err(std::io::Error::other)?;
    let (stream, address) = listener.accept().await?;
    let Some(inside) = door.admit(vacancy, address.ip()) else { return Ok(None) };
    stream.set_nodelay(true)?;
    Ok(Some((stream, address, inside)))
}

/// One of the open connections, as the gauge counts them.
struct Open;

impl Open {
    fn new() -> Self {
        metrics::gauge!("http_connections").increment(1.0);
        Self
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        metrics::gauge!("http_connections").decrement(1.0);
    }
}

/// Who is at the other end, and who answers them.
#[derive(Clone)]
struct Visitor {
    service: Arc<Service>,
    address: SocketAddr,
    /// Whether it is our TLS that they came through.
    encrypted: bool,
    /// Their place, which a WebSocket goes on holding when the connection has become one.
    inside: Inside,
}

async fn encrypted(stream: TcpStream, handshake: &Handshake, visitor: Visitor, stop: CancellationToken) {
    let stream = tokio::select! {
        stream = handshake.shake(stream) => stream,
        () = stop.cancelled() => return,
    };
    match stream {
        Ok(stream) => match stream.get_ref().1.alpn_protocol() {
            Some(b"h2") => http2(stream, visitor, stop).await,
            // An authority has seen what it came for.
            Some(ACME_TLS) => {}
            _ => http1(stream, visitor, stop).await,
        },
        Err(error) => tracing::trace!(%error, "no TLS handshake"),
    }
}

async fn http1<S>(stream: S, visitor: Visitor, stop: CancellationToken)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let patience = Arc::new(Patience::new());
    let connection = http1::Builder::new()
        .header_read_timeout(None)
        .max_buf_size(HEAD_BYTES_MAX)
        .half_close(false)
        .serve_connection(TokioIo::new(Watched::new(stream, &patience, None)), answer(visitor, patience.clone()))
        .with_upgrades();
    let mut connection = std::pin::pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        _ = patience.exhausted() => return,
        () = stop.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::trace!(%error, "connection ended");
    }
}

async fn http2<S>(stream: S, visitor: Visitor, stop: CancellationToken)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let patience = Arc::new(Patience::new());
    let connection = http2::Builder::new(TokioExecutor::new())
        .timer(TokioTimer::new())
        .max_concurrent_streams(STREAMS_MAX)
        .max_header_list_size(u32::try_from(HEAD_BYTES_MAX).unwrap_or(u32::MAX))
        .max_send_buf_size(SEND_BUFFER_BYTES_MAX)
        .keep_alive_interval(PING)
        .keep_alive_timeout(PING)
        .serve_connection(
            TokioIo::new(Watched::new(stream, &patience, Some(Frames::default()))),
            answer(visitor, patience.clone()),
        );
    let mut connection = std::pin::pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        never_asked = patience.exhausted() => {
            if never_asked {
                return;
            }
            connection.as_mut().graceful_shutdown();
            tokio::time::timeout(PARTING, connection).await.unwrap_or(Ok(()))
        }
        () = stop.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::trace!(%error, "connection ended");
    }
}

/// What answers the requests of one connection.
fn answer(
    visitor: Visitor,
    patience: Arc<Patience>,
) -> impl hyper::service::Service<
    Request<Incoming>,
    Response = Response<Body>,
    Error = Infallible,
    Future = impl Future<Output = Result<Response<Body>, Infallible>> + Send + 'static,
> {
    service_fn(move |request: Request<Incoming>| {
        let (visitor, mut busy) = (visitor.clone(), patience.busy());
        async move {
            let asks_for_another_protocol = request.headers().contains_key(UPGRADE);
            let mut response = respond(&visitor, request).await;
            if asks_for_another_protocol && response.status() != StatusCode::SWITCHING_PROTOCOLS {
                // A proxy that stops looking after such a request would hand on whatever its sender writes next, and we
                // would take that for the proxy's own words.
                response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
            }
            busy.answers();
            Ok(response.map(|content| Body { content, busy }))
        }
    })
}

/// How long a connection has been without progress: nothing asked, or nothing taken of an answer. What HTTP/2 says by itself
/// is none: somebody who sends PING after PING, and has every one of them acknowledged, asks for nothing.
///
/// hyper has a timer for the former, but makes, arms and drops one for every request. This one is set once and looks again
/// when it fires. A request that is being worked on has a time limit of its own.
struct Patience {
    /// See [`HEAD_TIMEOUT`].
    head: Duration,
    /// See [`TAKE_TIMEOUT`].
    take: Duration,
    began: tokio::time::Instant,
    /// Requests that are being worked on: one at most with HTTP/1.1.
    asked: AtomicU32,
    /// Answers that are being made while they are taken.
    answering: AtomicU32,
    /// What was written last waits for the client to take it.
    stuck: AtomicBool,
    /// Milliseconds after `began` at which a request or its answer went on last; 0 for a connection that has never asked for
    /// anything.
    last: AtomicU64,
}

impl Patience {
    fn new() -> Self {
        Self {
            head: HEAD_TIMEOUT,
            take: TAKE_TIMEOUT,
            began: tokio::time::Instant::now(),
            asked: AtomicU32::new(0),
            answering: AtomicU32::new(0),
            stuck: AtomicBool::new(false),
            last: AtomicU64::new(0),
        }
    }

    fn busy(self: &Arc<Self>) -> Busy {
        self.asked.fetch_add(1, Ordering::Relaxed);
        Busy { patience: self.clone(), answering: false }
    }

    fn went_on(&self) {
        let last = u64::try_from(self.began.elapsed().as_millis()).unwrap_or(0);
        self.last.store(last.max(1), Ordering::Relaxed);
    }

    /// Ends when there was no progress for too long; whether there has never been any.
    async fn exhausted(&self) -> bool {
        let mut until = self.began + self.head;
        loop {
            tokio::time::sleep_until(until).await;
            let asked = self.asked.load(Ordering::Acquire);
            let last = self.last.load(Ordering::Relaxed);
            // What nobody asked for is not an answer that they have to be given time for.
            let stuck = last > 0 && self.stuck.load(Ordering::Relaxed);
            let taking = self.answering.load(Ordering::Acquire) > 0 || stuck;
            let since = self.began + Duration::from_millis(last);
            until = match (asked, taking) {
                (0, false) => since + self.head,
                (0, true) => since + self.take,
                _ => tokio::time::Instant::now() + self.head,
            };
            if until <= tokio::time::Instant::now() {
                return last == 0;
            }
        }
    }
}

/// A connection that notices when the client takes something: hyper is done with a body when it has the last of it in its
/// buffers, and a page may be half a megabyte at once.
struct Watched<S> {
    stream: S,
    patience: Arc<Patience>,
    /// Where HTTP/2 is in what it writes; HTTP/1.1 writes nothing but answers.
    frames: Option<Frames>,
    /// Something of an answer was written since everything was last flushed.
    unflushed: bool,
}

impl<S> Watched<S> {
    fn new(stream: S, patience: &Arc<Patience>, frames: Option<Frames>) -> Self {
        Self { stream, patience: patience.clone(), frames, unflushed: false }
    }

    /// What became of writing the beginning of `slices`.
    fn wrote(&mut self, slices: &[IoSlice<'_>], wrote: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        let answers = match (&mut self.frames, &wrote) {
            (Some(frames), Poll::Ready(Ok(written))) => frames.carry(slices, *written),
            (None, Poll::Ready(_)) => true,
            _ => false,
        };
        if answers {
            self.unflushed = true;
            self.patience.went_on();
        }
        self.patience.stuck.store(wrote.is_pending(), Ordering::Relaxed);
        wrote
    }
}

/// Where in a frame of HTTP/2 the writing has got to, to tell answers from what the protocol says by itself.
///
/// # Source
/// RFC 9113, sections 4.1 (frame format) and 6 (frame definitions).
#[derive(Default)]
struct Frames {
    head: [u8; FRAME_HEAD],
    /// Bytes of `head` that were written.
    known: usize,
    /// Bytes of the frame's payload that are still to be written.
    left: usize,
    /// Whether the frame is part of an answer.
    answers: bool,
}

/// Length in three bytes, type in one, flags in one, stream in four.
const FRAME_HEAD: usize = 9;
/// The types of frames that answers are made of: DATA, HEADERS, CONTINUATION.
const ANSWERS: [u8; 3] = [0x0, 0x1, 0x9];

impl Frames {
    /// Whether there is something of an answer in the first `written` bytes of `slices`.
    fn carry(&mut self, slices: &[IoSlice<'_>], mut written: usize) -> bool {
        let mut answers = false;
        for slice in slices {
            let bytes = &slice[..slice.len().min(written)];
            written -= bytes.len();
            answers |= self.pass(bytes);
        }
        answers
    }

    fn pass(&mut self, mut bytes: &[u8]) -> bool {
        let mut answers = false;
        while !bytes.is_empty() {
            if self.left == 0 {
                let (head, rest) = bytes.split_at(bytes.len().min(FRAME_HEAD - self.known));
                self.head[self.known..self.known + head.len()].copy_from_slice(head);
                self.known += head.len();
                bytes = rest;
                if self.known < FRAME_HEAD {
                    break;
                }
                let [high, middle, low, kind, ..] = self.head;
                self.left = usize::from(high) << 16 | usize::from(middle) << 8 | usize::from(low);
                self.answers = ANSWERS.contains(&kind);
                self.known = 0;
            } else {
                let taken = bytes.len().min(self.left);
                self.left -= taken;
                bytes = &bytes[taken..];
            }
            answers |= self.answers;
        }
        answers
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Watched<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Watched<S> {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let wrote = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.wrote(&[IoSlice::new(bytes)], wrote)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let wrote = Pin::new(&mut self.stream).poll_write_vectored(context, slices);
        self.wrote(slices, wrote)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    // TLS keeps what was written until it is flushed.
    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut self.stream).poll_flush(context);
        let stuck = self.patience.stuck.load(Ordering::Relaxed);
        if flushed.is_pending() != stuck {
            self.patience.stuck.store(flushed.is_pending(), Ordering::Relaxed);
        }
        if flushed.is_ready() {
            let answered = std::mem::take(&mut self.unflushed);
            if stuck && answered {
                self.patience.went_on();
            }
        }
        flushed
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

/// A request under way, until the last of its answer is in the connection's buffers.
struct Busy {
    patience: Arc<Patience>,
    answering: bool,
}

impl Busy {
    /// From now on it is the client who has to take something.
    fn answers(&mut self) {
        self.patience.went_on();
        self.patience.answering.fetch_add(1, Ordering::Release);
        self.patience.asked.fetch_sub(1, Ordering::Release);
        self.answering = true;
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        self.patience.went_on();
        let count = if self.answering { &self.patience.answering } else { &self.patience.asked };
        count.fetch_sub(1, Ordering::Release);
    }
}

async fn respond(visitor: &Visitor, mut request: Request<Incoming>) -> Response<Content> {
    let Visitor { service, address, encrypted, inside } = visitor;
    if request.uri().path().starts_with("/live/") {
        if is_licence(request.method(), request.uri()) {
            let (head, body) = request.into_parts();
            let body = Limited::new(body, LICENCE_REQUEST_BYTES_MAX).collect();
            // One that is too long or too slow is answered like one that makes no sense.
            let body = match tokio::time::timeout(HEAD_TIMEOUT, body).await {
                Ok(Ok(body)) => body.to_bytes(),
                Ok(Err(_)) | Err(_) => Bytes::new(),
            };
            return service.deliver.licence(&head.uri, &body).map(Content::Media);
        }
        return service.deliver.respond(request.method(), request.uri(), request.headers()).await.map(Content::Media);
    }
    if let Some(path) = request.uri().path().strip_prefix("/authorize").filter(|path| path.starts_with("/live/")) {
        return service.deliver.authorize(request.method(), path).map(Content::Media);
    }
    request.extensions_mut().insert(ConnectInfo(*address));
    if *encrypted {
        request.extensions_mut().insert(Encrypted);
    }
    if request.headers().contains_key(UPGRADE) {
        request.extensions_mut().insert(inside.clone());
    }
    let mut router = service.router.clone();
    match router.call(request).await {
        Ok(response) => response.map(Content::Router),
        Err(never) => match never {},
    }
}

/// A response body of either path.
struct Body {
    content: Content,
    busy: Busy,
}

enum Content {
    Media(Media),
    Router(axum::body::Body),
}

impl http_body::Body for Body {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        let Self { content, busy } = self.get_mut();
        busy.patience.went_on();
        match content {
            Content::Media(media) => Poll::Ready(media.take_next().map(|bytes| Ok(Frame::data(bytes)))),
            Content::Router(body) => Pin::new(body).poll_frame(context),
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.content {
            Content::Media(media) => media.is_empty(),
            Content::Router(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.content {
            Content::Media(media) => SizeHint::with_exact(media.bytes()),
            Content::Router(body) => body.size_hint(),
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;

    const SHORT: Duration = Duration::from_millis(50);
    const LONG: Duration = Duration::from_secs(60);
    const PIECE: usize = 1_000;

    fn patience(head: Duration, take: Duration) -> Arc<Patience> {
        Arc::new(Patience { head, take, ..Patience::new() })
    }

    #[tokio::test]
    async fn who_takes_an_answer_slowly_gets_all_of_it_although_hyper_is_done_with_it() {
        let (stream, mut client) = tokio::io::duplex(PIECE);
        let patience = patience(SHORT, LONG);
        let mut server = Watched::new(stream, &patience, None);
        let answer = server.write_all(&[7; 5 * PIECE]);
        let taken = async {
            for _ in 0..5 {
                tokio::time::sleep(SHORT * 3).await;
                client.read_exact(&mut [0; PIECE]).await.unwrap();
            }
        };
        let all = async { tokio::join!(answer, taken).0.unwrap() };
        tokio::select! {
            () = all => {}
            _ = patience.exhausted() => panic!("cut off in the middle of an answer"),
        }
    }

    #[tokio::test]
    async fn who_takes_nothing_of_an_answer_is_gone_in_the_end() {
        let (stream, _client) = tokio::io::duplex(PIECE);
        let patience = patience(SHORT, SHORT * 6);
        let mut server = Watched::new(stream, &patience, None);
        let began = tokio::time::Instant::now();
        tokio::select! {
            _ = server.write_all(&[7; 5 * PIECE]) => panic!("nobody takes it"),
            never_asked = patience.exhausted() => assert!(!never_asked),
        }
        assert!(began.elapsed() >= SHORT * 6, "{:?}", began.elapsed());
    }

    #[tokio::test]
    async fn who_has_taken_everything_and_asks_for_nothing_is_gone_soon() {
        let (stream, mut client) = tokio::io::duplex(PIECE);
        let patience = patience(SHORT, LONG);
        let mut server = Watched::new(stream, &patience, None);
        let answer = async {
            server.write_all(&[7; 2 * PIECE]).await.unwrap();
            server.flush().await.unwrap();
        };
        let ((), taken) = tokio::join!(answer, async { client.read_exact(&mut [0; 2 * PIECE]).await });
        taken.unwrap();
        let gone = tokio::time::timeout(LONG / 2, patience.exhausted()).await;
        assert_eq!(gone, Ok(false));
    }

    /// A frame of HTTP/2: its type, and so many bytes.
    fn frame(kind: u8, bytes: usize) -> Vec<u8> {
        let [.., high, middle, low] = bytes.to_be_bytes();
        let mut frame = vec![high, middle, low, kind, 0, 0, 0, 0, 1];
        frame.resize(FRAME_HEAD + bytes, 7);
        frame
    }

    const DATA: u8 = 0x0;
    const HEADERS: u8 = 0x1;
    const SETTINGS: u8 = 0x4;
    const PING: u8 = 0x6;

    #[test]
    fn an_answer_is_told_from_what_http_2_says_by_itself_however_it_is_cut() {
        let all = [
            (frame(SETTINGS, 0), false),
            (frame(PING, 8), false),
            (frame(HEADERS, 40), true),
            (frame(DATA, 70_000), true),
            (frame(PING, 8), false),
            (frame(DATA, 0), true),
            (frame(SETTINGS, 18), false),
        ];
        let mut whole = Frames::default();
        for (frame, answers) in &all {
            assert_eq!(whole.carry(&[IoSlice::new(frame)], frame.len()), *answers);
        }
        for cut in [1, 2, 5, 8, 9, 10, 13, 4_096] {
            let mut frames = Frames::default();
            for (frame, answers) in &all {
                let found = frame.chunks(cut).map(|bytes| frames.carry(&[IoSlice::new(bytes)], bytes.len()));
                assert_eq!(found.filter(|found| *found).count() > 0, *answers, "{cut}");
            }
        }
        let (mut frames, ping, data) = (Frames::default(), frame(PING, 8), frame(DATA, 5));
        let slices = [IoSlice::new(&ping), IoSlice::new(&data)];
        assert!(!frames.carry(&slices, ping.len() + 4), "not all was taken");
        assert!(frames.carry(&[IoSlice::new(&data[4..])], data.len() - 4));
    }

    /// Whether a connection that acknowledges PINGs all the time is taken for one that has never asked; `None` if it goes on.
    async fn pinged(patience: &Arc<Patience>) -> Option<bool> {
        let (stream, mut client) = tokio::io::duplex(PIECE);
        let mut server = Watched::new(stream, patience, Some(Frames::default()));
        let acknowledging = async {
            server.write_all(&frame(SETTINGS, 0)).await.unwrap();
            while server.write_all(&frame(PING, 8)).await.is_ok() {
                server.flush().await.unwrap();
                tokio::time::sleep(SHORT / 5).await;
            }
        };
        let mut read = tokio::io::sink();
        tokio::select! {
            () = acknowledging => unreachable!("it goes on"),
            _ = tokio::io::copy(&mut client, &mut read) => unreachable!("the server holds it open"),
            never_asked = patience.exhausted() => Some(never_asked),
            () = tokio::time::sleep(SHORT * 20) => None,
        }
    }

    #[tokio::test]
    async fn pings_are_no_progress_before_a_request_after_it_or_while_nothing_is_taken_of_the_answer() {
        assert_eq!(pinged(&patience(SHORT, LONG)).await, Some(true), "nothing was ever asked");

        let answered = patience(SHORT, LONG);
        answered.busy().answers();
        assert_eq!(pinged(&answered).await, Some(false));

        let untaken = patience(SHORT, SHORT * 4);
        let mut busy = untaken.busy();
        busy.answers();
        assert_eq!(pinged(&untaken).await, Some(false));

        let worked_on = patience(SHORT, SHORT);
        let _busy = worked_on.busy();
        assert_eq!(pinged(&worked_on).await, None, "a request that is worked on has a limit of its own");
    }
}
