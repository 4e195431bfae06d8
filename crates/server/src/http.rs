//! The HTTP door: accepts connections, bounds them, and sends each request to the media path or to the router.
//!
//! Media requests (`/live/…`) are the overwhelming majority and do not pass the router: they need neither extractors
//! nor layers, and a viewer costs two of them per part and rendition. Everything else is [`axum`].
//! What is absent on purpose: TLS and HTTP/2, which a proxy in front adds today.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::Router;
use axum::extract::ConnectInfo;
use bytes::Bytes;
use http::{Request, Response};
use http_body::{Frame, SizeHint};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower::Service as _;

use crate::deliver::{Deliver, Media};

/// A request head must be complete within this time, and a connection kept alive must ask again within it.
const HEAD_TIMEOUT: Duration = Duration::from_secs(10);

/// Bytes of a request head at most; also what a connection may buffer.
const HEAD_BYTES_MAX: usize = 16 * 1024;

/// How long requests under way may go on after the stop was asked for.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(3);

/// Everything that answers HTTP.
pub struct Service {
    /// The media path.
    pub deliver: Arc<Deliver>,
    /// Everything else.
    pub router: Router,
}

/// Serves until `stop`, then lets requests under way end within [`DRAIN_TIMEOUT`].
///
/// At most `connections_max` connections are open at once; further ones wait in the kernel's queue.
pub async fn serve(listener: TcpListener, service: Service, connections_max: usize, stop: CancellationToken) {
    let service = Arc::new(service);
    let places = Arc::new(Semaphore::new(connections_max));
    let tasks = TaskTracker::new();
    let open = metrics::gauge!("http_connections");
    loop {
        let accepted = tokio::select! {
            () = stop.cancelled() => break,
            accepted = accept(&listener, &places) => accepted,
        };
        let (stream, address, place) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                // Out of file descriptors, mostly: connections end by themselves, so waiting is the cure.
                tracing::warn!(%error, "cannot accept a connection");
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        let (service, stop, open) = (service.clone(), stop.clone(), open.clone());
        tasks.spawn(async move {
            open.increment(1.0);
            connection(stream, address, service, stop).await;
            open.decrement(1.0);
            drop(place);
        });
    }
    drop(listener);
    tasks.close();
    let _the_rest_is_dropped = tokio::time::timeout(DRAIN_TIMEOUT, tasks.wait()).await;
}

type Accepted = (tokio::net::TcpStream, SocketAddr, tokio::sync::OwnedSemaphorePermit);

async fn accept(listener: &TcpListener, places: &Arc<Semaphore>) -> std::io::Result<Accepted> {
    let place = places.clone().acquire_owned().await.map_err(std::io::Error::other)?;
    let (stream, address) = listener.accept().await?;
    stream.set_nodelay(true)?;
    Ok((stream, address, place))
}

async fn connection(
    stream: tokio::net::TcpStream,
    address: SocketAddr,
    service: Arc<Service>,
    stop: CancellationToken,
) {
    let patience = Arc::new(Patience::new());
    let watch = patience.clone();
    let answer = service_fn(move |request: Request<Incoming>| {
        let service = service.clone();
        let busy = patience.busy();
        async move {
            let response = respond(&service, address, request).await;
            Ok::<_, Infallible>(response.map(|content| Body { content, _busy: busy }))
        }
    });
    let connection = http1::Builder::new()
        .header_read_timeout(None)
        .max_buf_size(HEAD_BYTES_MAX)
        .half_close(false)
        .serve_connection(TokioIo::new(stream), answer)
        .with_upgrades();
    let mut connection = std::pin::pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = watch.exhausted() => return,
        () = stop.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::trace!(%error, "connection ended");
    }
}

/// How long a connection has been without a request under way.
///
/// hyper has a timer for this, but makes, arms and drops one for every request. This one is set once and looks again
/// when it fires.
struct Patience {
    began: tokio::time::Instant,
    /// Milliseconds after `began` at which the last answer was done; [`BUSY`] while there is a request.
    idle_since: AtomicU64,
}

const BUSY: u64 = u64::MAX;

impl Patience {
    fn new() -> Self {
        Self { began: tokio::time::Instant::now(), idle_since: AtomicU64::new(0) }
    }

    fn busy(self: &Arc<Self>) -> Busy {
        self.idle_since.store(BUSY, Ordering::Relaxed);
        Busy(self.clone())
    }

    async fn exhausted(&self) {
        let mut until = self.began + HEAD_TIMEOUT;
        loop {
            tokio::time::sleep_until(until).await;
            until = match self.idle_since.load(Ordering::Relaxed) {
                BUSY => tokio::time::Instant::now() + HEAD_TIMEOUT,
                since => self.began + Duration::from_millis(since) + HEAD_TIMEOUT,
            };
            if until <= tokio::time::Instant::now() {
                return;
            }
        }
    }
}

/// A request under way, until the last byte of its answer was taken.
struct Busy(Arc<Patience>);

impl Drop for Busy {
    fn drop(&mut self) {
        let since = u64::try_from(self.0.began.elapsed().as_millis()).unwrap_or(0);
        self.0.idle_since.store(since, Ordering::Relaxed);
    }
}

async fn respond(service: &Service, address: SocketAddr, mut request: Request<Incoming>) -> Response<Content> {
    if request.uri().path().starts_with("/live/") {
        return service.deliver.respond(request.method(), request.uri(), request.headers()).await.map(Content::Media);
    }
    request.extensions_mut().insert(ConnectInfo(address));
    let mut router = service.router.clone();
    match router.call(request).await {
        Ok(response) => response.map(Content::Router),
        Err(never) => match never {},
    }
}

/// A response body of either path.
struct Body {
    content: Content,
    _busy: Busy,
}

enum Content {
    Media(Media),
    Router(axum::body::Body),
}

impl http_body::Body for Body {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        match &mut self.get_mut().content {
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
