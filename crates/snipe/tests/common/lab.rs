//! A small network: namespaces joined by a bridge that floods, and programs in them. All of it ends when
//! it is dropped, also where an assertion fails.

use std::io::{Read, Write as _};
use std::process::{Child, ChildStdin, Command, ExitStatus, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::{Ran, number};

/// How long anything is waited for.
const PATIENCE: Duration = Duration::from_secs(30);
const PAUSE: Duration = Duration::from_millis(20);

/// Calls `look` until it finds something.
#[track_caller]
pub fn until<T>(what: &str, mut look: impl FnMut() -> Result<T, String>) -> T {
    let began = Instant::now();
    loop {
        match look() {
            Ok(found) => return found,
            Err(why) => assert!(began.elapsed() < PATIENCE, "waited in vain for {what}: {why}"),
        }
        std::thread::sleep(PAUSE);
    }
}

/// The namespace of the bridge.
pub const BRIDGE: &str = "bridge";

/// Namespaces of its own: one for the bridge, one for each host.
pub struct Lab {
    prefix: String,
    spaces: Vec<&'static str>,
}

impl Lab {
    /// `None` where we may not make namespaces.
    pub fn new(hosts: &[&'static str]) -> Option<Self> {
        static LABS: AtomicU32 = AtomicU32::new(0);
        let prefix = format!("snipe-{}-{}", std::process::id(), LABS.fetch_add(1, Ordering::Relaxed));
        let mut lab = Self { prefix, spaces: Vec::new() };
        for space in [BRIDGE].into_iter().chain(hosts.iter().copied()) {
            let made =
                Command::new("ip").args(["netns", "add", &lab.name(space)]).stderr(Stdio::null()).status();
            if !made.is_ok_and(|status| status.success()) {
                return None;
            }
            lab.spaces.push(space);
            // What IPv6 says by itself would be in every count. A kernel without it has nothing to turn off.
            let quiet =
                "for of in all default; do echo 1 >/proc/sys/net/ipv6/conf/$of/disable_ipv6; done; true";
            lab.runs(space, &["sh", "-c", quiet]);
            lab.ip(space, "link set lo up");
        }
        // A bridge that forgets at once where an address is sends every frame to every port.
        lab.ip(BRIDGE, "link add br0 type bridge ageing_time 0 mcast_snooping 0 stp_state 0");
        lab.ip(BRIDGE, "link set br0 up");
        Some(lab)
    }

    fn name(&self, space: &str) -> String {
        format!("{}-{space}", self.prefix)
    }

    /// Gives a namespace an interface that is the far end of a port of the bridge; returns the port.
    #[track_caller]
    pub fn plug(&self, space: &str, interface: &str) -> String {
        let (port, name) = (format!("{space}-{interface}"), self.name(space));
        self.ip(BRIDGE, &format!("link add {port} type veth peer name {interface} netns {name}"));
        self.ip(BRIDGE, &format!("link set {port} master br0 up"));
        self.ip(space, &format!("link set {interface} up"));
        port
    }

    /// Runs `ip` on a namespace.
    #[track_caller]
    pub fn ip(&self, space: &str, args: &str) {
        let name = self.name(space);
        let output = Command::new("ip").args(["-n", &name]).args(args.split(' ')).output().unwrap();
        assert!(output.status.success(), "ip {args}: {}", String::from_utf8_lossy(&output.stderr));
    }

    /// A program in a namespace, which ends with us.
    pub fn command(&self, space: &str, program: &str) -> Command {
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "KILL", "ip", "netns", "exec", &self.name(space), program]);
        command.stdin(Stdio::null());
        command
    }

    /// Runs a program in a namespace to its end; returns what it printed.
    #[track_caller]
    pub fn runs(&self, space: &str, args: &[&str]) -> String {
        let mut command = self.command(space, args[0]);
        command.args(&args[1..]);
        let ran = Program::start(command).finish();
        assert_eq!(ran.status, Some(0), "{args:?}: {ran:?}");
        ran.stdout
    }

    /// What the kernel has counted on an interface.
    #[track_caller]
    pub fn counters(&self, space: &str, interface: &str) -> Counters {
        let name = self.name(space);
        let output = Command::new("ip")
            .args(["-n", &name, "-s", "-j", "link", "show", "dev", interface])
            .output()
            .unwrap();
        let links: Value = serde_json::from_slice(&output.stdout).unwrap();
        let count = |way, what| number(&links[0], &["stats64", way, what]);
        Counters {
            received: count("rx", "packets"),
            dropped: count("rx", "dropped"),
            sent: count("tx", "packets"),
            unsent: count("tx", "dropped"),
        }
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        // Interfaces go with their namespaces.
        for space in &self.spaces {
            let _ = Command::new("ip").args(["netns", "del", &self.name(space)]).status();
        }
    }
}

/// Of an interface: packets received, those of them that its driver dropped, packets sent, packets that
/// could not be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Counters {
    pub received: u64,
    pub dropped: u64,
    pub sent: u64,
    pub unsent: u64,
}

impl Counters {
    /// What was counted after `earlier`.
    pub fn since(self, earlier: Self) -> Self {
        Self {
            received: self.received - earlier.received,
            dropped: self.dropped - earlier.dropped,
            sent: self.sent - earlier.sent,
            unsent: self.unsent - earlier.unsent,
        }
    }
}

type Said = Arc<Mutex<Vec<u8>>>;

/// A program that runs; it is killed where it has not ended.
pub struct Program {
    what: String,
    child: Child,
    /// Where the command has asked for it.
    stdin: Option<ChildStdin>,
    said: [Said; 2],
    readers: Vec<JoinHandle<()>>,
}

impl Program {
    #[track_caller]
    pub fn start(mut command: Command) -> Self {
        let what = format!("{command:?}");
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect(&what);
        let stdin = child.stdin.take();
        let (stdout, read_stdout) = listen(child.stdout.take().unwrap());
        let (stderr, read_stderr) = listen(child.stderr.take().unwrap());
        Self { what, child, stdin, said: [stdout, stderr], readers: vec![read_stdout, read_stderr] }
    }

    /// Waits until the program has said this.
    #[track_caller]
    pub fn says(&mut self, text: &str) {
        until(text, || {
            let ended = self.child.try_wait().unwrap().is_some();
            let said =
                self.said.each_ref().map(|said| String::from_utf8_lossy(&said.lock().unwrap()).into_owned());
            let found = said.iter().any(|said| said.contains(text));
            assert!(found || !ended, "{} has ended: {said:?}", self.what);
            if found { Ok(()) } else { Err(format!("{} said {said:?}", self.what)) }
        });
    }

    /// Gives the program a line to read.
    #[track_caller]
    pub fn tell(&mut self, line: &str) {
        writeln!(self.stdin.as_mut().unwrap(), "{line}").unwrap();
    }

    #[track_caller]
    pub fn signal(&self, name: &str) {
        let id = self.child.id().to_string();
        assert!(Command::new("kill").args([&format!("-{name}"), &id]).status().unwrap().success());
    }

    /// Waits for the end.
    #[track_caller]
    pub fn finish(mut self) -> Ran {
        self.stdin = None;
        let status: ExitStatus =
            until(&format!("the end of {}", self.what), || match self.child.try_wait().unwrap() {
                Some(status) => Ok(status),
                None => Err("it runs".to_owned()),
            });
        self.readers.drain(..).for_each(|reader| reader.join().unwrap());
        let [stdout, stderr] = self.said.each_ref().map(|said| std::mem::take(&mut *said.lock().unwrap()));
        Ran::from(Output { status, stdout, stderr })
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // One that has ended is not there to be killed.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn listen(mut from: impl Read + Send + 'static) -> (Said, JoinHandle<()>) {
    let said = Said::default();
    let heard = Arc::clone(&said);
    let reader = std::thread::spawn(move || {
        let mut part = [0; 4096];
        while let Ok(n @ 1..) = from.read(&mut part) {
            heard.lock().unwrap().extend(&part[..n]);
        }
    });
    (said, reader)
}
