//! The API of a running instance: HTTP/1.1 and JSON on a Unix socket, and over TCP with a token.
//!
//! It has one thread of its own and asks the dataplane through [`Backend`], in slices: packets never
//! wait for a client, however slow or many.

mod connection;
mod events;
mod query;
mod routes;
mod socket;
mod stream;
mod token;

#[cfg(any(test, fuzzing))]
mod fuzz;

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use session::{Filter, Record};
use tokio::runtime::{Builder, Runtime};
use tokio::sync::watch;
use types::ProbeId;

use crate::config::{Api, Tcp};
use crate::events::Events;
use crate::feed::{Fed, FeedEntry, FeedError};
use crate::identities::Identities;
use crate::stats::Stats;
use socket::SocketFile;

pub(crate) use socket::PATH_BYTES_MAX as SOCKET_PATH_BYTES_MAX;

#[cfg(any(test, fuzzing))]
pub use fuzz::converse;
pub use query::{QueryError, SessionQuery, Subscriber, parse_imsi, parse_limit, parse_teid, parse_ue_ip};
pub use token::TokenError;

/// What the API asks the dataplane. Every method is called from threads that may wait, at most
/// [`Limits::waiting`] at a time, and none from one that handles packets.
pub trait Backend: Send + Sync + 'static {
    /// The accounting at one instant.
    fn stats(&self) -> Stats;

    /// The next slice of the sessions that `filter` admits, from `from` on. A slice is bounded by the
    /// work for the dataplane, not by what it holds: it may be empty and not the last. A session that
    /// is there from the first slice to the last is in exactly one of them; one that comes or goes
    /// meanwhile may be in one. Beyond [`Filter::limit`] nothing need be given.
    ///
    /// # Errors
    /// The dataplane did not answer in time. The same slice is asked for again a little later.
    fn sessions(&self, filter: &Filter, from: Cursor) -> Result<Page, Busy>;

    /// The name of a probe.
    fn probe_name(&self, probe: ProbeId) -> Option<&str>;

    /// How subscribers are named.
    fn identities(&self) -> &Identities;

    /// Where it tells what happens.
    fn events(&self) -> &Events;

    /// Takes over whose UE addresses are, in this order.
    ///
    /// # Errors
    /// It could not take all of them; those before hold.
    fn identify(&self, entries: Vec<FeedEntry>) -> Result<Fed, FeedError>;
}

/// A place in the session table; what it means is the backend's affair.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Cursor(pub u64);

impl Cursor {
    /// Before the first session.
    pub const START: Self = Self(0);
}

/// A slice of the sessions.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Page {
    /// The sessions in it: a thousand or so, so that a slice is a matter of microseconds for the
    /// dataplane and of a megabyte for the answer.
    pub records: Vec<Record>,
    /// Where the next slice begins; `None` behind the last.
    pub next: Option<Cursor>,
}

/// The dataplane did not answer in time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the dataplane does not answer in time: try again")]
pub struct Busy;

/// What bounds a client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Clients at a time. One more is told so.
    pub connections: usize,
    /// Calls of the [`Backend`] at a time.
    pub waiting: usize,
    /// Bytes of a request's head.
    pub head_bytes: usize,
    /// Bytes of a request's body.
    pub body_bytes: usize,
    /// A request's head must be there in so much time.
    pub head: Duration,
    /// A client that neither sends nor takes anything for so long is gone.
    pub idle: Duration,
    /// Clients of `GET /events` at a time: they stay, and others must find room.
    pub listeners: usize,
    /// Where nothing happens, they are told so this often: more often than `idle`.
    pub heartbeat: Duration,
    /// What is being answered may take so long when the server stops.
    pub closing: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 64,
            waiting: 4,
            head_bytes: 16 << 10,
            body_bytes: 1 << 20,
            head: Duration::from_secs(10),
            idle: Duration::from_secs(30),
            listeners: 32,
            heartbeat: Duration::from_secs(15),
            closing: Duration::from_millis(500),
        }
    }
}

/// Where to listen, and what bounds a client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerSettings {
    /// The Unix socket. Who may write to it may ask everything: mode 0660.
    pub socket: PathBuf,
    /// The group of the socket's file; `None` leaves that of the process.
    pub group: Option<String>,
    /// TCP besides.
    pub tcp: Option<Tcp>,
    /// Bounds.
    pub limits: Limits,
}

impl From<&Api> for ServerSettings {
    fn from(api: &Api) -> Self {
        Self {
            socket: api.socket.clone(),
            group: api.group.clone(),
            tcp: api.tcp.clone(),
            limits: Limits::default(),
        }
    }
}

/// Why the API cannot be served.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ServeError {
    /// The kernel's limit, unix(7).
    #[error(
        "{}: the path of a socket has at most {} bytes, this one {}: choose a shorter one",
        path.display(), socket::PATH_BYTES_MAX, path.as_os_str().len()
    )]
    PathTooLong {
        /// As configured.
        path: PathBuf,
    },
    /// The folder of the socket cannot be made.
    #[error("{}: cannot create the directory", path.display())]
    Directory {
        /// The folder.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// Somebody answers there.
    #[error(
        "{}: another snipe is running and answers there: stop it, or give this one a `socket` of its own in [api]",
        path.display()
    )]
    InUse {
        /// As configured.
        path: PathBuf,
    },
    /// Something else has that name.
    #[error("{}: is there already and is no socket: remove it, or change `socket` in [api]", path.display())]
    NotASocket {
        /// As configured.
        path: PathBuf,
    },
    /// The socket cannot be made.
    #[error("{}: cannot {what}", path.display())]
    Socket {
        /// As configured.
        path: PathBuf,
        /// What was tried.
        what: &'static str,
        /// What the system says.
        source: io::Error,
    },
    /// There is no such group.
    #[error("{}: there is no group `{group}` on this machine: see `group` in [api]", path.display())]
    NoSuchGroup {
        /// As configured.
        path: PathBuf,
        /// As configured.
        group: String,
    },
    /// The TCP port cannot be had.
    #[error("{listen}: cannot listen")]
    Listen {
        /// As configured.
        listen: SocketAddr,
        /// What the system says.
        source: io::Error,
    },
    /// The token of TCP.
    #[error("{}: not a token for `listen`", path.display())]
    Token {
        /// As configured.
        path: PathBuf,
        /// What is wrong with it.
        source: TokenError,
    },
    /// No thread, or no event queue.
    #[error("cannot start the thread of the API")]
    Thread(#[source] io::Error),
}

/// A running server. It stops, and its socket goes, when it is dropped.
#[derive(Debug)]
pub struct Server {
    stop: watch::Sender<bool>,
    thread: Option<JoinHandle<()>>,
    tcp: Option<SocketAddr>,
    // Last: the name goes when nobody listens any more.
    socket: SocketFile,
}

impl Server {
    /// Where it listens.
    #[must_use]
    pub fn socket(&self) -> &Path {
        self.socket.path()
    }

    /// Where it listens over TCP: the port that was given out, where the configured one is 0.
    #[must_use]
    pub const fn tcp(&self) -> Option<SocketAddr> {
        self.tcp
    }

    /// Takes no more clients, lets what is being answered end within [`Limits::closing`], and removes
    /// the socket.
    pub fn stop(self) {
        drop(self);
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Refused only where the thread has ended.
        let _ = self.stop.send(true);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Begins to serve. When it returns, clients can connect.
///
/// # Errors
/// See [`ServeError`]; then nothing is left behind.
pub fn serve(settings: &ServerSettings, backend: Arc<dyn Backend>) -> Result<Server, ServeError> {
    let tcp = settings.tcp.as_ref().map(listen).transpose()?;
    let address = tcp.as_ref().and_then(|(listener, _)| listener.local_addr().ok());
    let (listener, socket) = SocketFile::bind(&settings.socket, settings.group.as_deref())?;
    let runtime = runtime(&settings.limits).map_err(ServeError::Thread)?;
    let (stop, stopped) = watch::channel(false);
    let limits = settings.limits.clone();
    let routes = routes::routes(backend, &limits, stopped.clone());
    let serving = move || {
        let _context = runtime.enter();
        match connection::Listeners::new(listener, tcp, routes) {
            Ok(listeners) => runtime.block_on(listeners.serve(&limits, stopped)),
            Err(error) => tracing::error!("the API is not served: {error}"),
        }
        // A call of the backend that never returns is left behind.
        runtime.shutdown_timeout(Duration::from_secs(1));
    };
    let thread = thread::Builder::new().name("api".to_owned()).spawn(serving).map_err(ServeError::Thread)?;
    Ok(Server { stop, thread: Some(thread), tcp: address, socket })
}

fn runtime(limits: &Limits) -> io::Result<Runtime> {
    Builder::new_current_thread()
        .enable_all()
        .max_blocking_threads(limits.waiting.max(1))
        .thread_name("api-backend")
        .thread_keep_alive(Duration::from_secs(5))
        .build()
}

fn listen(tcp: &Tcp) -> Result<(TcpListener, token::Token), ServeError> {
    let token = token::Token::read(&tcp.token_file)
        .map_err(|source| ServeError::Token { path: tcp.token_file.clone(), source })?;
    let refused = |source| ServeError::Listen { listen: tcp.listen, source };
    let listener = TcpListener::bind(tcp.listen).map_err(refused)?;
    listener.set_nonblocking(true).map_err(refused)?;
    Ok((listener, token))
}
