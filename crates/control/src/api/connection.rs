//! Clients: how they are let in, how long they may be idle, and how they are let go.

use std::future::pending;
use std::io;
use std::net::TcpListener as StdTcpListener;
use std::os::unix::net::UnixListener as StdUnixListener;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, UnixListener};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::time::{Instant, Sleep, sleep, timeout};

use super::token::Token;
use super::{Limits, routes};

/// Headers of a request.
const HEADERS_MAX: usize = 64;
/// Clients too many that are told so at a time; others are closed without a word.
const TURNED_AWAY: usize = 16;
/// After a failed accept: the reason (no file descriptor, no memory) does not go by itself.
const RECOVERY: Duration = Duration::from_millis(100);

/// Where clients come from, and what they are answered with.
pub(super) struct Listeners {
    unix: UnixListener,
    unix_routes: Router,
    tcp: Option<(TcpListener, Router)>,
}

impl Listeners {
    /// Takes listeners that do not block. Needs the context of a runtime.
    pub(super) fn new(
        unix: StdUnixListener,
        tcp: Option<(StdTcpListener, Token)>,
        routes: Router,
    ) -> io::Result<Self> {
        let unix = UnixListener::from_std(unix)?;
        let tcp = match tcp {
            None => None,
            Some((listener, token)) => {
                Some((TcpListener::from_std(listener)?, routes::behind_token(routes.clone(), token)))
            }
        };
        Ok(Self { unix, unix_routes: routes, tcp })
    }

    /// Serves until it is told to stop.
    pub(super) async fn serve(self, limits: &Limits, mut stop: watch::Receiver<bool>) {
        let door = Door {
            places: Arc::new(Semaphore::new(limits.connections)),
            porches: Arc::new(Semaphore::new(TURNED_AWAY)),
            full: routes::full(limits.connections),
            limits: limits.clone(),
            stop: stop.clone(),
        };
        loop {
            let accepted = tokio::select! {
                () = told(&mut stop) => break,
                accepted = self.unix.accept() => {
                    accepted.map(|(stream, _)| door.admit(stream, &self.unix_routes))
                }
                accepted = accept_tcp(self.tcp.as_ref()) => {
                    accepted.map(|(stream, routes)| door.admit(stream, routes))
                }
            };
            if let Err(error) = accepted {
                tracing::warn!("the API cannot take a client: {error}");
                sleep(RECOVERY).await;
            }
        }
        // What is being answered has its own bound; this one is for a bound that does not hold.
        let all = u32::try_from(limits.connections).unwrap_or(u32::MAX);
        let _ = timeout(limits.closing * 2, door.places.acquire_many(all)).await;
    }
}

async fn accept_tcp(tcp: Option<&(TcpListener, Router)>) -> io::Result<(tokio::net::TcpStream, &Router)> {
    match tcp {
        Some((listener, routes)) => listener.accept().await.map(|(stream, _)| (stream, routes)),
        None => pending().await,
    }
}

struct Door {
    places: Arc<Semaphore>,
    porches: Arc<Semaphore>,
    full: Router,
    limits: Limits,
    stop: watch::Receiver<bool>,
}

impl Door {
    fn admit<S>(&self, stream: S, routes: &Router)
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let free = |places: &Arc<Semaphore>| Arc::clone(places).try_acquire_owned().ok();
        let (routes, place) = match free(&self.places) {
            Some(place) => (routes.clone(), place),
            None => match free(&self.porches) {
                Some(porch) => (self.full.clone(), porch),
                None => return,
            },
        };
        let (limits, stop) = (self.limits.clone(), self.stop.clone());
        tokio::spawn(async move {
            converse(stream, routes, &limits, stop).await;
            drop::<OwnedSemaphorePermit>(place);
        });
    }
}

/// Answers one client until it goes, is idle for too long, or the server stops.
pub(super) async fn converse<S>(stream: S, routes: Router, limits: &Limits, mut stop: watch::Receiver<bool>)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let io = TokioIo::new(Idle::new(stream, limits.idle));
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new())
        .header_read_timeout(limits.head)
        .max_header_size(limits.head_bytes)
        .max_buf_size(limits.head_bytes.saturating_mul(2).max(8192))
        .max_headers(HEADERS_MAX)
        // A client may say at once that it sends no more, and wait for the answer.
        .half_close(true);
    let mut connection = pin!(http.serve_connection(io, TowerToHyperService::new(routes)));
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = told(&mut stop) => {
            connection.as_mut().graceful_shutdown();
            timeout(limits.closing, connection).await.unwrap_or(Ok(()))
        }
    };
    if let Err(error) = ended {
        // Of a client that sent nonsense or went away nobody need know.
        tracing::debug!("a client of the API: {error}");
    }
}

/// Returns when it is time to stop; also when whoever says so has gone.
pub(super) async fn told(stop: &mut watch::Receiver<bool>) {
    // What it returns holds a lock: it does not leave this function.
    let _ = stop.wait_for(|&stop| stop).await;
}

/// A stream that fails when nothing moves in either direction for a while.
struct Idle<S> {
    stream: S,
    idle: Duration,
    timer: Pin<Box<Sleep>>,
}

impl<S> Idle<S> {
    fn new(stream: S, idle: Duration) -> Self {
        Self { stream, idle, timer: Box::pin(sleep(idle)) }
    }

    fn watch<T>(&mut self, moved: Poll<io::Result<T>>, cx: &mut Context<'_>) -> Poll<io::Result<T>> {
        if moved.is_ready() {
            self.timer.as_mut().reset(Instant::now() + self.idle);
            return moved;
        }
        ready!(self.timer.as_mut().poll(cx));
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Idle<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let moved = Pin::new(&mut self.stream).poll_read(cx, buf);
        self.watch(moved, cx)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Idle<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let moved = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.watch(moved, cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let moved = Pin::new(&mut self.stream).poll_write_vectored(cx, bytes);
        self.watch(moved, cx)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    // A socket has nothing to flush: this is always done, and moves nothing.
    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
