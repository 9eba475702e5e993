//! The answer to `GET /sessions`, slice by slice: a slice is asked for when the client has taken the
//! one before, so that a million sessions need the memory of a thousand.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::Bytes;
use axum::http::HeaderValue;
use futures_util::stream::{self, BoxStream, Stream, StreamExt as _};
use tokio::task::spawn_blocking;
use tokio::time::sleep;

use super::query::SessionQuery;
use super::{Backend, Busy, Cursor};
use crate::session_json::SessionJson;

/// How often a busy dataplane is asked again, and after what pause.
const TRIES: usize = 10;
const PAUSE: Duration = Duration::from_millis(100);
/// A session as JSON, roughly.
const SESSION_BYTES: usize = 1024;

/// How sessions are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// `{ "sessions": [...] }`, one on each line.
    Object,
    /// As in `sessions.jsonl`.
    Lines,
}

impl Form {
    /// What the client wants: an object unless it says otherwise.
    pub(super) fn wanted(accept: Option<&HeaderValue>) -> Self {
        let accept = accept.and_then(|accept| accept.to_str().ok()).unwrap_or_default();
        let mut kinds = accept.split(',').map(|kind| kind.split(';').next().unwrap_or_default().trim());
        let lines = kinds.any(|kind| kind.eq_ignore_ascii_case(Self::Lines.name()));
        if lines { Self::Lines } else { Self::Object }
    }

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Object => "application/json",
            Self::Lines => "application/x-ndjson",
        }
    }
}

/// Why there is no more of the answer.
#[derive(Debug, thiserror::Error)]
pub(super) enum Broken {
    #[error(transparent)]
    Busy(#[from] Busy),
    #[error("a session cannot be written: {0}")]
    Write(#[from] io::Error),
    #[error("the backend failed: {0}")]
    Backend(#[from] tokio::task::JoinError),
}

impl Broken {
    pub(super) const fn is_busy(&self) -> bool {
        matches!(self, Self::Busy(_))
    }
}

/// The answer as a stream of bytes.
pub(super) struct Sessions(BoxStream<'static, Result<Bytes, Broken>>);

impl Sessions {
    /// Asks for the first slice, so that what goes wrong with it can still be said by a status.
    pub(super) async fn begin(
        backend: Arc<dyn Backend>,
        query: SessionQuery,
        form: Form,
    ) -> Result<Self, Broken> {
        let slices = Slices {
            backend,
            query,
            form,
            next: Some(Cursor::START),
            left: query.limit.unwrap_or(usize::MAX),
            begun: false,
            some: false,
        };
        let (first, slices) = slices.write_next().await?;
        let rest = stream::try_unfold(slices, |slices| async move {
            if slices.next.is_none() { Ok(None) } else { slices.write_next().await.map(Some) }
        });
        Ok(Self(stream::iter([Ok(first)]).chain(rest).boxed()))
    }
}

impl Stream for Sessions {
    type Item = Result<Bytes, Broken>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.0.poll_next_unpin(cx)
    }
}

/// How far the answer is.
struct Slices {
    backend: Arc<dyn Backend>,
    query: SessionQuery,
    form: Form,
    /// The next slice; `None` behind the last.
    next: Option<Cursor>,
    /// Sessions that may still be written.
    left: usize,
    /// Whether the answer has begun.
    begun: bool,
    /// Whether it has a session.
    some: bool,
}

impl Slices {
    /// The next slice that has something in it, or the end of the answer.
    async fn write_next(mut self) -> Result<(Bytes, Self), Broken> {
        let mut tries = 0;
        loop {
            // The dataplane's answer is waited for elsewhere: other clients go on.
            let asked = spawn_blocking(move || (self.write_slice(), self));
            let (written, slices) = asked.await?;
            self = slices;
            match written {
                Ok(bytes) if bytes.is_empty() && self.next.is_some() => tries = 0,
                Ok(bytes) => return Ok((bytes.into(), self)),
                Err(Broken::Busy(_)) if tries < TRIES => {
                    tries += 1;
                    sleep(PAUSE).await;
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// One slice; waits for the dataplane.
    fn write_slice(&mut self) -> Result<Vec<u8>, Broken> {
        let Some(from) = self.next else { return Ok(Vec::new()) };
        let page = self.backend.sessions(&self.query.filter(), from)?;
        let mut out = Vec::with_capacity(page.records.len() * SESSION_BYTES);
        if self.form == Form::Object && !self.begun {
            out.extend_from_slice(b"{\"sessions\":[");
        }
        self.begun = true;
        let identities = self.backend.identities();
        for record in page.records.iter().filter(|record| self.query.admits(record, identities)) {
            if self.left == 0 {
                break;
            }
            self.left -= 1;
            let probe = record.probe.and_then(|probe| self.backend.probe_name(probe));
            let session = SessionJson::new(record, probe, identities);
            match self.form {
                Form::Lines => session.write_line(&mut out)?,
                Form::Object => {
                    out.extend_from_slice(if self.some { b",\n" } else { b"\n" });
                    session.write(&mut out)?;
                }
            }
            self.some = true;
        }
        self.next = page.next.filter(|_| self.left > 0);
        if self.form == Form::Object && self.next.is_none() {
            out.extend_from_slice(b"\n]}\n");
        }
        Ok(out)
    }
}
