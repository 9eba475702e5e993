//! Any bytes at all, as what a client sends.

use std::sync::Arc;
use std::time::Duration;

use session::{Filter, Record};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::sync::watch;
use tokio::time::timeout;
use types::ProbeId;

use super::{Backend, Busy, Cursor, Limits, Page, connection, routes};
use crate::events::Events;
use crate::feed::{Fed, FeedEntry, FeedError};
use crate::identities::Identities;
use crate::stats::Stats;
use crate::testing;

/// Three sessions in two slices.
struct Few(Identities, Events);

impl Backend for Few {
    fn stats(&self) -> Stats {
        Stats::new("0.1.0")
    }

    fn sessions(&self, _filter: &Filter, from: Cursor) -> Result<Page, Busy> {
        let record = |id| Record { correlation_id: id, ..testing::full_session() };
        Ok(match from {
            Cursor::START => Page { records: vec![record(1), record(2)], next: Some(Cursor(2)) },
            _ => Page { records: vec![record(3)], next: None },
        })
    }

    fn probe_name(&self, probe: ProbeId) -> Option<&str> {
        (probe == ProbeId(0)).then_some("probe-1")
    }

    fn identities(&self) -> &Identities {
        &self.0
    }

    fn events(&self) -> &Events {
        &self.1
    }

    fn identify(&self, entries: Vec<FeedEntry>) -> Result<Fed, FeedError> {
        Ok(Fed { accepted: entries.len(), sessions: 0 })
    }
}

/// Gives these bytes to the handler of a connection, in pieces of `piece` bytes, and returns what it
/// answers until it closes. The same code serves the socket.
#[must_use]
pub fn converse(bytes: &[u8], piece: usize) -> Vec<u8> {
    let limits =
        Limits { head: Duration::from_millis(200), idle: Duration::from_millis(200), ..Limits::default() };
    let Ok(runtime) = super::runtime(&limits) else { return Vec::new() };
    let answer = runtime.block_on(async {
        let (ours, theirs) = tokio::io::duplex(4096);
        let (_stop, stopped) = watch::channel(false);
        let few = Few(Identities::Clear, Events::new(&Identities::Clear));
        let routes = routes::routes(Arc::new(few), &limits, stopped.clone());
        let limits = limits.clone();
        let served =
            tokio::spawn(async move { connection::converse(theirs, routes, &limits, stopped).await });
        let (mut from, mut to) = tokio::io::split(ours);
        let sent = async {
            for part in bytes.chunks(piece.max(1)) {
                // Refused once the other side has closed.
                if to.write_all(part).await.is_err() {
                    break;
                }
            }
            let _ = to.shutdown().await;
        };
        let mut answer = Vec::new();
        let read = from.read_to_end(&mut answer);
        let ended = timeout(Duration::from_secs(10), async { tokio::join!(sent, read) }).await;
        assert!(ended.is_ok(), "the handler neither answers nor closes");
        let panicked = served.await.is_err();
        assert!(!panicked, "the handler of a connection panicked");
        answer
    });
    runtime.shutdown_background();
    answer
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn answer(bytes: &[u8], piece: usize) -> String {
        String::from_utf8(converse(bytes, piece)).unwrap()
    }

    /// The statuses of all answers on one connection.
    fn statuses(answer: &[u8]) -> Vec<u16> {
        let text = String::from_utf8_lossy(answer);
        let heads = text.match_indices("HTTP/1.");
        heads.filter_map(|(at, _)| text.get(at + 9..at + 12)?.parse().ok()).collect()
    }

    #[test]
    fn a_request_is_answered_however_it_is_cut() {
        for piece in [1, 2, 7, 4096] {
            let text = answer(b"GET /version HTTP/1.1\r\nhost: snipe\r\nconnection: close\r\n\r\n", piece);
            assert!(text.starts_with("HTTP/1.1 200 OK\r\n"), "{text}");
            assert!(text.ends_with("{\"name\":\"snipe\",\"version\":\"0.1.0\"}\n"), "{text}");
        }
    }

    #[test]
    fn several_requests_at_once_are_answered_in_order() {
        let requests = "GET /sessions?limit=1 HTTP/1.1\r\nhost: a\r\n\r\nPOST /stats HTTP/1.1\r\nhost: a\r\n\r\nGET /nope HTTP/1.1\r\nhost: a\r\n\r\n";
        assert_eq!(statuses(&converse(requests.as_bytes(), 4096)), [200, 405, 404]);
    }

    #[test]
    fn nonsense_is_refused() {
        for (nonsense, status) in [
            (&b"nonsense\r\n\r\n"[..], 400),
            (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 400),
            (b"GET /stats HTTP/9.9\r\n\r\n", 400),
            (b"GET /stats HTTP/1.1\r\nbad header\r\n\r\n", 400),
            (b"GET /stats HTTP/1.1\r\ncontent-length: -1\r\n\r\n", 400),
            (b"GET /stats HTTP/1.1\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\n", 400),
        ] {
            let answer = converse(nonsense, 4096);
            assert_eq!(statuses(&answer), [status], "{}", nonsense.escape_ascii());
        }
        assert_eq!(converse(b"", 1), b"");
    }

    /// Requests with pieces that are right, wrong and absurd.
    fn request() -> impl Strategy<Value = Vec<u8>> {
        let pieces = prop::sample::select(vec![
            "GET ",
            "HEAD ",
            "POST ",
            "OPTIONS ",
            "/sessions",
            "/stats",
            "/version",
            "/openapi.json",
            "?",
            "&",
            "imsi=001010000000001",
            "imsi=p-0000000000000007",
            "ue_ip=10.0.0.1",
            "teid=0x",
            "limit=",
            "1",
            "0",
            "%",
            "%00",
            "%ff",
            " HTTP/1.1\r\n",
            " HTTP/1.0\r\n",
            "\r\n",
            "\r\n\r\n",
            "host: a\r\n",
            "content-length: 5\r\n",
            "transfer-encoding: chunked\r\n",
            "connection: close\r\n",
            "accept: application/x-ndjson\r\n",
            "expect: 100-continue\r\n",
            "upgrade: h2c\r\n",
            "\0",
            "é",
        ]);
        let piece = prop_oneof![
            4 => pieces.prop_map(|text| text.as_bytes().to_vec()),
            1 => prop::collection::vec(any::<u8>(), 0..40),
        ];
        prop::collection::vec(piece, 0..24).prop_map(|pieces| pieces.concat())
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

        /// The handler survives anything, answers only with statuses it means, and always lets go.
        #[test]
        fn any_bytes(bytes in request(), piece in 1_usize..80) {
            let answer = converse(&bytes, piece);
            for status in statuses(&answer) {
                let known = [100, 200, 400, 404, 405, 413, 414, 431, 505];
                prop_assert!(known.contains(&status), "{status} to {}", bytes.escape_ascii());
            }
        }

        #[test]
        fn any_query(query in "\\PC{0,60}") {
            let path = query.replace([' ', '#'], "");
            let request = format!("GET /sessions?{path} HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n");
            let answer = converse(request.as_bytes(), 4096);
            prop_assert!(matches!(statuses(&answer)[..], [200 | 400]), "{request:?}");
        }
    }
}
