//! The answer to `GET /events`: it has no end but that of the server or of the client.

use std::convert::Infallible;
use std::time::Duration;

use axum::body::Bytes;
use futures_util::stream::{self, Stream};
use tokio::sync::{broadcast, watch};
use tokio::time::sleep;

use super::connection;
use crate::events::{Frame, lost};

/// What a client sees at once: that it is heard.
const WELCOME: &str = ": what happens from here on\n\n";
/// What it sees when nothing happens. It is no event; who listens knows that somebody talks.
const HEARTBEAT: &str = ":\n\n";

/// What the route has besides the backend.
#[derive(Clone, Debug)]
pub(super) struct Listening {
    pub(super) stop: watch::Receiver<bool>,
    pub(super) heartbeat: Duration,
    pub(super) listeners: usize,
    pub(super) body_bytes: usize,
}

struct Stage {
    frames: broadcast::Receiver<Frame>,
    listening: Listening,
    welcomed: bool,
}

/// Everything that is told from now on, until the server stops: what was told before that comes first.
pub(super) fn follow(
    frames: broadcast::Receiver<Frame>,
    listening: Listening,
) -> impl Stream<Item = Result<Bytes, Infallible>> {
    stream::unfold(Stage { frames, listening, welcomed: false }, |mut stage| async move {
        if !std::mem::replace(&mut stage.welcomed, true) {
            return Some((Ok(Bytes::from_static(WELCOME.as_bytes())), stage));
        }
        let Stage { frames, listening: Listening { stop, heartbeat, .. }, .. } = &mut stage;
        let bytes = tokio::select! {
            biased;
            told = frames.recv() => match told {
                Ok(frame) => Bytes::copy_from_slice(frame.as_bytes()),
                Err(broadcast::error::RecvError::Lagged(count)) => Bytes::from(lost(count)),
                Err(broadcast::error::RecvError::Closed) => return None,
            },
            () = connection::told(stop) => return None,
            () = sleep(*heartbeat) => Bytes::from_static(HEARTBEAT.as_bytes()),
        };
        Some((Ok(bytes), stage))
    })
}
