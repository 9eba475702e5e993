//! The control socket from outside: what is asked, and what is answered.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod common;

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use common::{Answer, Instance, SLICE, Served, record, settings};
use control::{
    Client, ClientError, Identities, Limits, PseudonymKey, ServeError, ServerSettings, SessionJson,
    SessionQuery, Tcp, serve,
};

fn line(n: u64, identities: &Identities) -> String {
    let record = record(n);
    let mut line = Vec::new();
    let probe = if n % 2 == 0 { "probe-1" } else { "probe-2" };
    SessionJson::new(&record, Some(probe), identities).write_line(&mut line).unwrap();
    String::from_utf8(line).unwrap()
}

fn lines(served: &Served, query: &str) -> Result<String, ClientError> {
    let mut lines = Vec::new();
    Client::new(served.socket()).unwrap().sessions(&SessionQuery::parse(query).unwrap(), |line| {
        assert_eq!(line.iter().filter(|&&byte| byte == b'\n').count(), 1);
        lines.write_all(line)
    })?;
    Ok(String::from_utf8(lines).unwrap())
}

fn running_message(error: &ServeError) -> String {
    let mut text = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}

#[test]
fn every_route_answers() {
    let served = Served::new(Instance::default());
    let version = served.get("/version");
    assert_eq!((version.status, version.json()["version"].as_str()), (200, Some(env!("CARGO_PKG_VERSION"))));
    let stats = served.get("/stats");
    assert_eq!(stats.body, served.instance.account().to_json().unwrap());
    assert!(
        stats.head.contains("content-type: application/json") && stats.head.contains("no-store"),
        "{stats:?}"
    );
    let openapi = served.get("/openapi.json");
    assert_eq!(openapi.json()["openapi"], "3.1.0");
    let head = served.say(b"HEAD /stats HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n");
    assert_eq!((head.status, head.body.as_str()), (200, ""));
    assert_eq!(Client::new(served.socket()).unwrap().stats().unwrap(), served.instance.account());
}

#[test]
fn sessions_are_one_object_or_lines() {
    for sessions in [0, 1, SLICE, SLICE + 1, 1_000] {
        let served = Served::new(Instance { sessions, ..Instance::default() });
        let wanted: Vec<String> = (0..sessions).map(|n| line(n, &Identities::Clear)).collect();
        let answer = served.get("/sessions");
        let json = answer.json();
        let listed = json["sessions"].as_array().unwrap();
        assert_eq!(listed.len() as u64, sessions);
        assert_eq!(json.as_object().unwrap().len(), 1);
        let each: Vec<serde_json::Value> =
            wanted.iter().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(*listed, each);
        assert_eq!(lines(&served, "").unwrap(), wanted.concat());
        let request = "GET /sessions HTTP/1.0\r\naccept: text/html;q=0.1, application/x-ndjson;q=1\r\n\r\n";
        let answer = served.say(request.as_bytes());
        assert!(answer.head.contains("content-type: application/x-ndjson"), "{}", answer.head);
        assert_eq!(answer.body, wanted.concat());
    }
}

#[test]
fn what_is_asked_reaches_the_dataplane_and_the_limit_holds_over_slices() {
    let served = Served::new(Instance::default());
    for limit in [1, SLICE, SLICE + 1, 999, 1_000, 1_001] {
        let listed = lines(&served, &format!("limit={limit}")).unwrap();
        assert_eq!(listed.lines().count() as u64, limit.min(1_000));
        served.instance.filters.lock().unwrap().clear();
    }
    let answer = served.get("/sessions?limit=1");
    assert_eq!(answer.json()["sessions"].as_array().unwrap().len(), 1);
    assert_eq!(served.instance.filters.lock().unwrap().len(), 1, "one slice was enough");

    let query = "imsi=001010000000700&ue_ip=10.0.2.188&teid=0xaf1";
    assert_eq!(lines(&served, query).unwrap(), line(700, &Identities::Clear));
    let asked = served.instance.filters.lock().unwrap().pop().unwrap();
    assert_eq!(asked.imsi, record(700).imsi);
    assert_eq!(asked.ue_ip, Some("10.0.2.188".parse().unwrap()));
    assert_eq!(asked.teid, Some(types::Teid(0xaf1)));
    // Nobody: an answer like any other, though no slice has anything.
    assert_eq!(lines(&served, "imsi=999999999999999").unwrap(), "");
    assert_eq!(served.get("/sessions?imsi=999999999999999").body, "{\"sessions\":[\n]}\n");
}

#[test]
fn subscribers_with_pseudonyms_are_found_by_them() {
    let key = || Identities::Pseudonym(PseudonymKey::new("change me"));
    let served = Served::new(Instance { identities: key(), ..Instance::default() });
    let wanted = line(700, &key());
    assert!(!wanted.contains("001010000000700"));
    let pseudonym = key().imsi(record(700).imsi.unwrap()).to_string();
    assert_eq!(lines(&served, &format!("imsi={pseudonym}&limit=1")).unwrap(), wanted);
    assert_eq!(lines(&served, "imsi=001010000000700").unwrap(), wanted);
    assert_eq!(lines(&served, "imsi=p-0000000000000000").unwrap(), "");
    // Where identities are clear, nobody has a pseudonym.
    let clear = Served::new(Instance::default());
    let answer = clear.get(&format!("/sessions?imsi={pseudonym}"));
    assert_eq!(answer.status, 400);
    assert!(answer.error().contains("ask for the IMSI itself"), "{answer:?}");
}

#[test]
fn what_cannot_be_asked_is_an_error_in_json() {
    let served = Served::new(Instance::default());
    for (path, status, message) in [
        (
            "/",
            404,
            "there is no /; there are /events, /identities, /sessions, /stats, /version, /openapi.json",
        ),
        (
            "/sessions/",
            404,
            "there is no /sessions/; there are /events, /identities, /sessions, /stats, /version, /openapi.json",
        ),
        ("/sessions?imssi=1", 400, "unknown parameter `imssi`; there are imsi, ue_ip, teid, limit"),
        ("/sessions?limit=many", 400, "limit=many: give a number from 1 on"),
        ("/sessions?teid=1&teid=1", 400, "`teid` is there twice"),
    ] {
        let answer = served.get(path);
        assert_eq!((answer.status, answer.error().as_str()), (status, message));
    }
    let answer = served.say(b"POST /stats HTTP/1.0\r\ncontent-length: 0\r\n\r\n");
    assert_eq!((answer.status, answer.error().as_str()), (405, "/stats cannot be asked with POST"));
    assert!(answer.head.contains("allow: get,head"), "{answer:?}");
    assert!(served.instance.filters.lock().unwrap().is_empty(), "the dataplane was not asked");
}

#[test]
fn what_is_no_http_is_refused() {
    let served = Served::new(Instance::default());
    for (bytes, status) in [
        (b"nonsense\r\n\r\n".to_vec(), 400),
        (vec![0; 100_000], 400),
        (format!("GET /stats HTTP/1.1\r\nx: {}\r\n\r\n", "y".repeat(100_000)).into_bytes(), 431),
        (format!("GET /stats HTTP/1.1\r\n{}\r\n", "x: y\r\n".repeat(1_000)).into_bytes(), 431),
        (format!("GET /{} HTTP/1.1\r\n\r\n", "x".repeat(100_000)).into_bytes(), 431),
    ] {
        let answer = served.say(&bytes);
        assert_eq!(answer.status, status, "{answer:?}");
        // The next one is served as ever.
        assert_eq!(served.get("/version").status, 200);
    }
    // A head below the limit is none too many.
    let long = format!("GET /version HTTP/1.0\r\nx: {}\r\n\r\n", "y".repeat(12_000));
    assert_eq!(served.say(long.as_bytes()).status, 200);
}

#[test]
fn the_socket_is_private_and_goes_with_the_server() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("run/snipe/snipe.sock");
    let server = serve(&settings(path.clone()), Arc::new(Instance::default())).unwrap();
    let mode = fs::metadata(&path).unwrap().permissions().mode();
    assert_eq!(mode & 0o7777, 0o660);
    assert_eq!(server.socket(), path);
    server.stop();
    assert!(!path.exists());
    assert!(path.parent().unwrap().exists());

    // A file that is somebody else's by now stays.
    let server = serve(&settings(path.clone()), Arc::new(Instance::default())).unwrap();
    fs::remove_file(&path).unwrap();
    fs::write(&path, "precious").unwrap();
    drop(server);
    assert_eq!(fs::read_to_string(&path).unwrap(), "precious");
}

#[test]
fn the_socket_is_for_a_group() {
    let folder = tempfile::tempdir().unwrap();
    let with = |group: &str| {
        let settings = settings(folder.path().join("snipe.sock"));
        let settings = ServerSettings { group: Some(group.to_owned()), ..settings };
        serve(&settings, Arc::new(Instance::default()))
    };
    let error = with("no-such-group").unwrap_err();
    assert!(matches!(error, ServeError::NoSuchGroup { .. }));
    assert!(
        error
            .to_string()
            .ends_with("there is no group `no-such-group` on this machine: see `group` in [api]")
    );
    assert!(!folder.path().join("snipe.sock").exists());
    // Where this is not root, only a group of one's own can be given.
    match with("daemon") {
        Ok(server) => {
            let gid = fs::metadata(server.socket()).unwrap().gid();
            let groups = fs::read_to_string("/etc/group").unwrap();
            assert!(
                groups.lines().any(|line| line.starts_with("daemon:") && line.contains(&format!(":{gid}:")))
            );
        }
        Err(error) => {
            assert!(running_message(&error).contains("cannot give the socket to its group: Operation not"));
            assert!(!folder.path().join("snipe.sock").exists(), "nothing is left behind");
        }
    }
}

#[test]
fn only_a_socket_that_nobody_answers_at_is_replaced() {
    let served = Served::new(Instance::default());
    let start = |path: &Path| serve(&settings(path.to_owned()), Arc::new(Instance::default()));
    let error = start(served.socket()).unwrap_err();
    assert!(matches!(error, ServeError::InUse { .. }));
    assert!(error.to_string().contains("snipe.sock: another snipe is running and answers there"), "{error}");
    assert_eq!(served.get("/version").status, 200, "the first one still answers");

    // One that listens and is too busy to accept.
    let full = served.folder.path().join("full.sock");
    let listener = UnixListener::bind(&full).unwrap();
    assert!(matches!(start(&full), Err(ServeError::InUse { .. })));
    // What it leaves when it is killed.
    drop(listener);
    assert!(full.exists());
    start(&full).unwrap().stop();
    assert!(!full.exists());

    let file = served.folder.path().join("file");
    fs::write(&file, "precious").unwrap();
    assert!(matches!(start(&file), Err(ServeError::NotASocket { .. })));
    // A link is not followed to what it shows.
    let link = served.folder.path().join("link");
    symlink(served.socket(), &link).unwrap();
    assert!(matches!(start(&link), Err(ServeError::NotASocket { .. })));
    assert_eq!(fs::read_to_string(&file).unwrap(), "precious");

    let below = start(&file.join("snipe.sock")).unwrap_err();
    assert!(matches!(below, ServeError::Directory { .. }), "{below:?}");
    let long = served.folder.path().join("x".repeat(108));
    let error = start(&long).unwrap_err().to_string();
    assert!(error.contains("the path of a socket has at most 107 bytes, this one "), "{error}");
}

#[test]
fn of_many_that_start_at_once_one_wins() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("snipe.sock");
    // What an earlier one left.
    drop(UnixListener::bind(&path).unwrap());
    let servers: Vec<_> = thread::scope(|scope| {
        let start = || serve(&settings(path.clone()), Arc::new(Instance::default()));
        let threads: Vec<_> = (0..8).map(|_| scope.spawn(start)).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    assert_eq!(servers.iter().filter(|server| server.is_ok()).count(), 1, "{servers:?}");
    Client::new(&path).unwrap().stats().unwrap();
}

#[test]
fn many_clients_at_once() {
    let served = Served::new(Instance::default());
    thread::scope(|scope| {
        for _ in 0..16 {
            scope.spawn(|| {
                for _ in 0..5 {
                    assert_eq!(lines(&served, "limit=400").unwrap().lines().count(), 400);
                    assert_eq!(served.get("/stats").status, 200);
                }
            });
        }
    });
}

#[test]
fn one_client_too_many_is_told_so() {
    let limits = Limits { connections: 2, ..Limits::default() };
    let served = Served::with(Instance::default(), limits);
    // A request each, so that both are in.
    let held = [served.connect(), served.connect()].map(|mut stream| {
        stream.write_all(b"GET /version HTTP/1.1\r\nhost: a\r\n\r\n").unwrap();
        assert!(stream.read(&mut [0; 1_000]).unwrap() > 0);
        stream
    });
    let answer = served.get("/version");
    assert_eq!(answer.status, 503);
    assert_eq!(answer.error(), "2 clients are connected, and no more can be: try again");
    assert!(answer.head.contains("retry-after: 1"), "{answer:?}");
    drop(held);
    let start = Instant::now();
    while served.get("/version").status != 200 {
        assert!(start.elapsed() < Duration::from_secs(5));
    }
}

#[test]
fn who_neither_sends_nor_takes_is_let_go_and_hurts_nobody() {
    let idle = Duration::from_millis(500);
    let limits = Limits { idle, head: idle, ..Limits::default() };
    let served = Served::with(Instance { sessions: 100_000, ..Instance::default() }, limits);
    let mut never_reads = served.connect();
    never_reads.write_all(b"GET /sessions HTTP/1.1\r\nhost: a\r\n\r\n").unwrap();
    let silent = served.connect();
    let mut half = served.connect();
    half.write_all(b"GET /sessions HTTP/1.1\r\nho").unwrap();
    let start = Instant::now();
    assert_eq!(served.get("/stats").status, 200);
    assert!(start.elapsed() < Duration::from_millis(450), "others do not wait for them");

    for (mut stream, who) in [(silent, "silent"), (half, "half a request")] {
        let mut rest = Vec::new();
        // Closed; bytes that were not read may make it an error.
        let _ = stream.read_to_end(&mut rest);
        assert!(start.elapsed() < Duration::from_secs(10), "{who}");
    }
    // What was in flight is still there; the end of the answer is not.
    thread::sleep(idle * 3);
    let mut rest = Vec::new();
    let _ = never_reads.read_to_end(&mut rest);
    assert!(rest.starts_with(b"HTTP/1.1 200 OK\r\n"));
    assert!(rest.len() < 10_000_000, "{} bytes", rest.len());
    assert!(!rest.ends_with(b"0\r\n\r\n"), "an answer that was cut looks like one");
}

/// A header that never ends, a byte at a time: the time for it is bounded, not only the pauses.
#[test]
fn a_head_that_trickles_is_let_go() {
    let limits = Limits { head: Duration::from_millis(300), ..Limits::default() };
    let served = Served::with(Instance::default(), limits);
    let mut stream = served.connect();
    let start = Instant::now();
    let mut sent = stream.write_all(b"GET /stats HTTP/1.1\r\nx: ");
    while sent.is_ok() {
        assert!(start.elapsed() < Duration::from_secs(10), "it may trickle for ever");
        thread::sleep(Duration::from_millis(20));
        sent = stream.write_all(b"y");
    }
}

#[test]
fn a_busy_dataplane_is_asked_again_and_then_named() {
    let busy = |slice| Served::new(Instance { busy_from: Some(slice), ..Instance::default() });
    let served = busy(0);
    let answer = served.get("/sessions");
    assert_eq!(
        (answer.status, answer.error().as_str()),
        (503, "the dataplane does not answer in time: try again")
    );
    assert_eq!(served.instance.refusals.load(std::sync::atomic::Ordering::Relaxed), 11);
    let said = lines(&served, "").unwrap_err();
    assert_eq!(said.to_string(), "the dataplane does not answer in time: try again");
    assert_eq!(served.get("/stats").status, 200);

    // In the middle of an answer it can only break off; nobody takes the part for the whole.
    let served = busy(1);
    let mut listed = 0;
    let query = SessionQuery::default();
    let broken = Client::new(served.socket()).unwrap().sessions(&query, |_| {
        listed += 1;
        Ok(())
    });
    assert!(matches!(broken, Err(ClientError::BrokeOff { .. })), "{broken:?}");
    assert_eq!(listed, SLICE);
}

#[test]
fn a_backend_that_panics_fails_that_request_only() {
    let served = Served::new(Instance { sessions: u64::MAX, ..Instance::default() });
    let answer = served.get("/stats");
    assert_eq!((answer.status, answer.error().as_str()), (500, "this went wrong inside; the log says more"));
    assert_eq!(served.get("/version").status, 200);
}

#[test]
fn it_stops_in_time_whatever_clients_and_dataplane_do() {
    let served = Served::new(Instance { sessions: u64::MAX / 2, ..Instance::default() });
    let mut endless = served.connect();
    endless.write_all(b"GET /sessions HTTP/1.1\r\nhost: a\r\n\r\n").unwrap();
    let _idle = served.connect();
    assert_eq!(served.get("/version").status, 200);
    let (start, path) = (Instant::now(), served.socket().to_owned());
    served.server.stop();
    assert!(start.elapsed() < Duration::from_secs(4), "{:?}", start.elapsed());
    assert!(UnixStream::connect(path).is_err());

    let served = Served::new(Instance { pause: Duration::from_secs(6), ..Instance::default() });
    let mut waiting = served.connect();
    waiting.write_all(b"GET /stats HTTP/1.1\r\nhost: a\r\n\r\n").unwrap();
    thread::sleep(Duration::from_millis(100));
    let start = Instant::now();
    served.server.stop();
    assert!(start.elapsed() < Duration::from_secs(4), "{:?}", start.elapsed());
}

#[test]
fn over_tcp_a_token_is_needed() {
    let folder = tempfile::tempdir().unwrap();
    let token_file = folder.path().join("token");
    fs::write(&token_file, "0123456789abcdef\n").unwrap();
    let listen = "127.0.0.1:0".parse().unwrap();
    let settings = ServerSettings {
        tcp: Some(Tcp { listen, token_file: token_file.clone() }),
        ..settings(folder.path().join("snipe.sock"))
    };
    let start = || serve(&settings, Arc::new(Instance::default()));
    fs::set_permissions(&token_file, fs::Permissions::from_mode(0o644)).unwrap();
    let error = running_message(&start().unwrap_err());
    assert!(
        error.ends_with("token: not a token for `listen`: every user of this machine can read it: chmod o-r"),
        "{error}"
    );
    assert!(!settings.socket.exists());

    fs::set_permissions(&token_file, fs::Permissions::from_mode(0o600)).unwrap();
    let server = start().unwrap();
    let ask = |path: &str, header: &str| {
        let mut stream = TcpStream::connect(server.tcp().unwrap()).unwrap();
        stream.write_all(format!("GET {path} HTTP/1.0\r\n{header}\r\n").as_bytes()).unwrap();
        Answer::read(stream)
    };
    assert_eq!(ask("/stats", "authorization: Bearer 0123456789abcdef\r\n").status, 200);
    for path in ["/stats", "/sessions", "/openapi.json", "/nope"] {
        for wrong in ["", "authorization: Bearer 0123456789abcdeX\r\n", "authorization: Bearer\r\n"] {
            let answer = ask(path, wrong);
            assert_eq!(answer.status, 401, "{path} {wrong}");
            assert!(answer.head.contains("www-authenticate: bearer"), "{answer:?}");
            assert!(answer.error().contains("present the token"), "{answer:?}");
        }
    }
    // The socket asks for none.
    Client::new(server.socket()).unwrap().stats().unwrap();
}

#[test]
fn the_client_says_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    let ask =
        |name: &str| Client::new(&folder.path().join(name)).and_then(|client| client.stats()).unwrap_err();
    let error = ask("nobody.sock");
    assert!(matches!(error, ClientError::NobodyThere { .. }));
    let said = error.to_string();
    assert!(said.contains("nobody.sock: No such file or directory"), "{said}");
    assert!(said.ends_with("is snipe running? give --socket PATH or set SNIPE_SOCKET"), "{said}");
    drop(UnixListener::bind(folder.path().join("left.sock")).unwrap());
    assert!(ask("left.sock").to_string().contains("Connection refused"));
    assert!(matches!(ask(&"x".repeat(108)), ClientError::PathTooLong { .. }));

    // Somebody else's socket.
    let answers = |bytes: &'static [u8]| {
        let listener = UnixListener::bind(folder.path().join("other.sock")).unwrap();
        let other = thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            assert!(stream.read(&mut [0; 1_000]).unwrap() > 0);
            let _ = stream.write_all(bytes);
        });
        let error = ask("other.sock");
        other.join().unwrap();
        fs::remove_file(folder.path().join("other.sock")).unwrap();
        error
    };
    assert!(matches!(answers(b"SSH-2.0-OpenSSH\r\n"), ClientError::BrokeOff { .. }));
    assert!(matches!(answers(b""), ClientError::BrokeOff { .. }));
    let page = answers(b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\n<p/>");
    assert!(matches!(page, ClientError::Strange { .. }), "{page}");
    let page = answers(b"HTTP/1.1 418 Teapot\r\ncontent-length: 4\r\n\r\n<p/>");
    assert!(page.to_string().contains("not the answer of a snipe: status 418"), "{page}");
    let short = answers(b"HTTP/1.1 200 OK\r\ncontent-length: 400\r\n\r\n{}");
    assert!(matches!(short, ClientError::BrokeOff { .. }), "{short}");
}
