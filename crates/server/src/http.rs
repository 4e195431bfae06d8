//! The HTTP door: accepts connections, bounds them, and sends each request to the media path or to the router.
//!
//! Media requests (`/live/…`) are the overwhelming majority and do not pass the router: they need neither extractors
//! nor layers, and a viewer costs two of them per part and rendition. Everything else is [`axum`].
//! What is absent on purpose: TLS and HTTP/2, which a proxy in front adds today.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
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
use hyper_util::rt::{TokioIo, TokioTimer};
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
    let answer = service_fn(move |request: Request<Incoming>| {
        let service = service.clone();
        async move { Ok::<_, Infallible>(respond(&service, address, request).await) }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .max_buf_size(HEAD_BYTES_MAX)
        .half_close(false)
        .serve_connection(TokioIo::new(stream), answer)
        .with_upgrades();
    let mut connection = std::pin::pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = stop.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::trace!(%error, "connection ended");
    }
}

async fn respond(service: &Service, address: SocketAddr, mut request: Request<Incoming>) -> Response<Body> {
    if request.uri().path().starts_with("/live/") {
        return service.deliver.respond(request.method(), request.uri(), request.headers()).await.map(Body::Media);
    }
    request.extensions_mut().insert(ConnectInfo(address));
    let mut router = service.router.clone();
    match router.call(request).await {
        Ok(response) => response.map(Body::Router),
        Err(never) => match never {},
    }
}

/// A response body of either path.
enum Body {
    Media(Media),
    Router(axum::body::Body),
}

impl http_body::Body for Body {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        match self.get_mut() {
            Self::Media(media) => Poll::Ready(media.take_next().map(|bytes| Ok(Frame::data(bytes)))),
            Self::Router(body) => Pin::new(body).poll_frame(context),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Media(media) => media.is_empty(),
            Self::Router(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Media(media) => SizeHint::with_exact(media.bytes()),
            Self::Router(body) => body.size_hint(),
        }
    }
}
