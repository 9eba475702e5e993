//! The other end of the control socket: what the commands ask a running instance with.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::body::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper::header::{ACCEPT, CONNECTION, HOST};
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::net::UnixStream;
use tokio::runtime::{Builder, Runtime};
use tokio::time::timeout;

use crate::api::{SOCKET_PATH_BYTES_MAX, SessionQuery};
use crate::feed::{Fed, FeedEntry};
use crate::stats::Stats;

/// An instance that says nothing for so long has failed.
const SILENCE: Duration = Duration::from_secs(30);
/// An answer that is read whole.
const WHOLE_BYTES_MAX: usize = 64 << 20;
/// A session on its line.
const LINE_BYTES_MAX: usize = 16 << 20;

/// Asks a running instance; every call is a connection of its own.
#[derive(Debug)]
pub struct Client {
    socket: PathBuf,
    runtime: Runtime,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ClientError {
    /// Nobody is there.
    #[error(
        "cannot connect to {}: {source}: is snipe running? give --socket PATH or set SNIPE_SOCKET",
        socket.display()
    )]
    NobodyThere {
        /// What was tried.
        socket: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// Not for this user.
    #[error(
        "cannot connect to {}: permission denied: the socket is for its owner and its group (ls -l shows which)",
        socket.display()
    )]
    NotAllowed {
        /// What was tried.
        socket: PathBuf,
    },
    /// The kernel's limit, unix(7).
    #[error(
        "{}: the path of a socket has at most {SOCKET_PATH_BYTES_MAX} bytes, this one {}",
        socket.display(), socket.as_os_str().len()
    )]
    PathTooLong {
        /// What was given.
        socket: PathBuf,
    },
    /// No event queue.
    #[error("cannot ask: {0}")]
    Runtime(#[source] io::Error),
    /// The instance said no.
    #[error("{message}")]
    Refused {
        /// Of HTTP.
        status: u16,
        /// What it says.
        message: String,
    },
    /// No answer, or it stopped in the middle.
    #[error("{}: no answer for {} s: the instance may hang", socket.display(), SILENCE.as_secs())]
    Silent {
        /// Who was asked.
        socket: PathBuf,
    },
    /// The answer ended before its end.
    #[error("{}: the answer broke off; has the instance stopped? ({source})", socket.display())]
    BrokeOff {
        /// Who was asked.
        socket: PathBuf,
        /// What HTTP says.
        source: hyper::Error,
    },
    /// What came is no answer of a snipe.
    #[error("{}: not the answer of a snipe: {what}", socket.display())]
    Strange {
        /// Who was asked.
        socket: PathBuf,
        /// What is odd about it.
        what: String,
    },
    /// Whoever takes the answer failed.
    #[error("cannot write: {0}")]
    Sink(#[source] io::Error),
}

/// How often a flag is looked at.
const TICK: Duration = Duration::from_millis(20);

/// Returns when the flag is set.
async fn set(flag: &AtomicBool) {
    while !flag.load(Ordering::Relaxed) {
        tokio::time::sleep(TICK).await;
    }
}

impl Client {
    /// For the instance that listens there.
    ///
    /// # Errors
    /// The path is too long, or this process can have no event queue.
    pub fn new(socket: &Path) -> Result<Self, ClientError> {
        let socket = socket.to_owned();
        if socket.as_os_str().len() > SOCKET_PATH_BYTES_MAX {
            return Err(ClientError::PathTooLong { socket });
        }
        let runtime = Builder::new_current_thread().enable_all().build().map_err(ClientError::Runtime)?;
        Ok(Self { socket, runtime })
    }

    /// The accounting.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub fn stats(&self) -> Result<Stats, ClientError> {
        let mut whole = Vec::new();
        self.get("/stats", "application/json", |bytes| {
            whole.extend_from_slice(bytes);
            if whole.len() > WHOLE_BYTES_MAX { Err(self.strange(&"it is too long")) } else { Ok(()) }
        })?;
        serde_json::from_slice(&whole).map_err(|error| self.strange(&error))
    }

    /// The sessions that are asked for, each as a line of `sessions.jsonl` with its line break. They
    /// are handed over as they come.
    ///
    /// # Errors
    /// See [`ClientError`]; what `take` returns ends it as [`ClientError::Sink`].
    pub fn sessions(
        &self,
        query: &SessionQuery,
        mut take: impl FnMut(&[u8]) -> io::Result<()>,
    ) -> Result<(), ClientError> {
        let query = query.to_query();
        let path = if query.is_empty() { "/sessions".to_owned() } else { format!("/sessions?{query}") };
        let mut cut: Vec<u8> = Vec::new();
        self.get(&path, "application/x-ndjson", |bytes| {
            let mut lines = bytes.split_inclusive(|&byte| byte == b'\n');
            if !cut.is_empty() {
                cut.extend_from_slice(lines.next().unwrap_or_default());
                if cut.len() > LINE_BYTES_MAX {
                    return Err(self.strange(&"a line has no end"));
                }
                if !cut.ends_with(b"\n") {
                    return Ok(());
                }
                take(&cut).map_err(ClientError::Sink)?;
                cut.clear();
            }
            for line in lines {
                if line.ends_with(b"\n") {
                    take(line).map_err(ClientError::Sink)?;
                } else {
                    cut.extend_from_slice(line);
                }
            }
            Ok(())
        })?;
        if cut.is_empty() { Ok(()) } else { Err(self.strange(&"the last line has no end")) }
    }

    /// Follows what happens, each event as one line of JSON without its line break, until `stop` is set or the
    /// instance stops. Returns whether it has stopped.
    ///
    /// # Errors
    /// See [`ClientError`]; what `take` returns ends it as [`ClientError::Sink`].
    pub fn events(
        &self,
        stop: &AtomicBool,
        mut take: impl FnMut(&str) -> io::Result<()>,
    ) -> Result<bool, ClientError> {
        let mut cut: Vec<u8> = Vec::new();
        let told = self.answer("/events", "text/event-stream", Bytes::new(), |bytes| {
            cut.extend_from_slice(bytes);
            if cut.len() > LINE_BYTES_MAX {
                return Err(self.strange(&"a line has no end"));
            }
            let whole = cut.iter().rposition(|&byte| byte == b'\n').map_or(0, |last| last + 1);
            let lines: Vec<u8> = cut.drain(..whole).collect();
            for line in String::from_utf8_lossy(&lines).lines() {
                // What else there is (names, numbers, heartbeats) is in it, or is for nobody.
                if let Some(json) = line.strip_prefix("data: ") {
                    take(json).map_err(ClientError::Sink)?;
                }
            }
            Ok(())
        });
        self.runtime.block_on(async {
            tokio::select! {
                ended = told => ended.map(|()| true),
                () = set(stop) => Ok(false),
            }
        })
    }

    /// Tells whose UE addresses are.
    ///
    /// # Errors
    /// See [`ClientError`]; of a table that is full, [`ClientError::Refused`].
    pub fn identify(&self, entries: &[FeedEntry]) -> Result<Fed, ClientError> {
        let list = serde_json::Value::Array(entries.iter().map(FeedEntry::to_json).collect());
        let mut whole = Vec::new();
        let take = |bytes: &[u8]| {
            whole.extend_from_slice(bytes);
            Ok(())
        };
        let asked = self.answer("/identities", "application/json", list.to_string().into(), take);
        self.runtime.block_on(asked)?;
        let fed: serde_json::Value = serde_json::from_slice(&whole).map_err(|error| self.strange(&error))?;
        let number = |field: &str| fed.get(field).and_then(serde_json::Value::as_u64);
        match (number("accepted"), number("sessions")) {
            (Some(accepted), Some(sessions)) => {
                Ok(Fed { accepted: usize::try_from(accepted).unwrap_or(usize::MAX), sessions })
            }
            _ => Err(self.strange(&"no numbers")),
        }
    }

    fn strange(&self, what: &dyn std::fmt::Display) -> ClientError {
        ClientError::Strange { socket: self.socket.clone(), what: what.to_string() }
    }

    /// One request; the body of a good answer goes to `take` as it comes.
    fn get(
        &self,
        path: &str,
        accept: &str,
        take: impl FnMut(&[u8]) -> Result<(), ClientError>,
    ) -> Result<(), ClientError> {
        self.runtime.block_on(self.answer(path, accept, Bytes::new(), take))
    }

    async fn answer(
        &self,
        path: &str,
        accept: &str,
        body: Bytes,
        mut take: impl FnMut(&[u8]) -> Result<(), ClientError>,
    ) -> Result<(), ClientError> {
        let stream = self.in_time(UnixStream::connect(&self.socket)).await?;
        let stream = stream.map_err(|source| self.not_there(source))?;
        let broke_off = |source| ClientError::BrokeOff { socket: self.socket.clone(), source };
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(broke_off)?;
        // It ends with the answer; what goes wrong with it shows there too.
        let driven = tokio::spawn(connection);
        let method = if body.is_empty() { Method::GET } else { Method::POST };
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header(HOST, "snipe")
            .header(ACCEPT, accept)
            .header(CONNECTION, "close")
            .body(Full::new(body))
            .map_err(|error| self.strange(&error))?;
        let answer = self.in_time(sender.send_request(request)).await?.map_err(broke_off)?;
        let status = answer.status();
        let mut refusal = Vec::new();
        self.body(answer, |bytes| match status {
            StatusCode::OK => take(bytes),
            _ if refusal.len() > 4096 => Ok(()),
            _ => {
                refusal.extend_from_slice(bytes);
                Ok(())
            }
        })
        .await?;
        driven.abort();
        if status == StatusCode::OK { Ok(()) } else { Err(self.refused(status, &refusal)) }
    }

    async fn body(
        &self,
        mut answer: Response<Incoming>,
        mut take: impl FnMut(&[u8]) -> Result<(), ClientError>,
    ) -> Result<(), ClientError> {
        while let Some(frame) = self.in_time(answer.frame()).await? {
            let frame =
                frame.map_err(|source| ClientError::BrokeOff { socket: self.socket.clone(), source })?;
            if let Some(bytes) = frame.data_ref() {
                take(bytes)?;
            }
        }
        Ok(())
    }

    async fn in_time<T>(&self, answer: impl Future<Output = T>) -> Result<T, ClientError> {
        let silent = |_| ClientError::Silent { socket: self.socket.clone() };
        timeout(SILENCE, answer).await.map_err(silent)
    }

    fn not_there(&self, source: io::Error) -> ClientError {
        let socket = self.socket.clone();
        match source.kind() {
            io::ErrorKind::PermissionDenied => ClientError::NotAllowed { socket },
            _ => ClientError::NobodyThere { socket, source },
        }
    }

    fn refused(&self, status: StatusCode, body: &[u8]) -> ClientError {
        #[derive(serde::Deserialize)]
        struct Refusal {
            error: String,
        }
        match serde_json::from_slice::<Refusal>(body) {
            Ok(Refusal { error: message }) => ClientError::Refused { status: status.as_u16(), message },
            Err(_) => self.strange(&format_args!("status {status}")),
        }
    }
}
