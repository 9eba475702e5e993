//! The configuration: its types, and how a file becomes one.

mod check;
mod read;
mod value;

use std::fmt;
use std::fs::File;
use std::io::Read;
use std::net::{IpAddr, SocketAddr};
use std::num::NonZeroU16;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::time::Duration;

use types::{PortId, ProbeId};

use crate::message::{ConfigError, Problem, Source, Warning};

/// The longest file that is read. A thousand probes would fit a hundred times.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// A whole configuration: every value checked, every name resolved, defaults filled in.
///
/// `snipe run` takes it whole ([`Config::for_run`]); `snipe replay` takes the same file and ignores
/// `eal`, `ports`, `lcores`, `state` and `api` ([`Config::for_replay`]). [`Config::default`] is the
/// empty file.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Config {
    /// Keys the choice of probes and the correlation ids; boxes that shall agree share it.
    pub cluster_key: Option<ClusterKey>,
    /// What records and alerts hold.
    pub subscriber_ids: SubscriberIds,
    /// `run` ends when every file-like port has been empty for 200 ms.
    pub stop_when_idle: bool,
    /// `[eal]`
    pub eal: Eal,
    /// `[[port]]`, in the order of the file: [`PortId`] is the index.
    pub ports: Vec<Port>,
    /// `[[probe]]`, in the order of the file: [`ProbeId`] is the index. At most [`ProbeId::MAX`].
    pub probes: Vec<Probe>,
    /// `[[group]]`. Where the file has probes and no group: one, `default`, of all probes.
    pub groups: Vec<Group>,
    /// `[lcores]`
    pub lcores: Option<Lcores>,
    /// `[tracker]`
    pub tracker: Tracker,
    /// `[tdb]`
    pub tdb: Tdb,
    /// `[rules]`
    pub rules: Rules,
    /// `[state]`
    pub state: State,
    /// `[api]`: without it no socket is opened.
    pub api: Option<Api>,
    /// What stands in the way of `run`, found while the places in the file were known.
    run_problems: Vec<Problem>,
}

/// A shared secret: `Debug` does not show it.
#[derive(Clone, PartialEq, Eq)]
pub struct ClusterKey(String);

impl ClusterKey {
    /// The text as it is in the file.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for ClusterKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ClusterKey(…)")
    }
}

/// Reads a duration as the configuration has them: `30s`, `200ms`, `1.5h`.
///
/// # Errors
/// What can be given.
pub fn parse_duration(text: &str) -> Result<Duration, String> {
    value::duration(text).map_err(|wanted| format!("give {wanted}"))
}

/// How records and alerts name subscribers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SubscriberIds {
    /// As on the wire.
    #[default]
    Clear,
    /// As a keyed pseudonym.
    Pseudonym,
}

/// `[eal]`: what DPDK's environment is told.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Eal {
    /// Arguments as on the command line of a DPDK program, without the program's name.
    pub args: Vec<String>,
}

/// `[[port]]`: a DPDK port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Port {
    /// Unique among ports.
    pub name: String,
    /// DPDK devargs: a PCI address or a vdev, with its options.
    pub device: String,
    /// Where the engine's time comes from; the same for all taps.
    pub clock: Clock,
    /// Encapsulations of a tunnelled tap, unpacked before anything else. `replay` ignores ports and
    /// takes its `--decap` instead.
    pub decap: Vec<Decap>,
    /// Our address there, for probes reached through it. Not built yet.
    pub network: Option<Network>,
    /// Whether packets are received from it or sent to it.
    pub role: Role,
}

/// What a port is for. It follows from the probes: a port that a probe names is never polled.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Role {
    /// Packets are received from it.
    #[default]
    Tap,
    /// A probe is reached through it.
    Egress,
}

/// Where the engine's time comes from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Clock {
    /// The machine's clock, read once a tick.
    #[default]
    Host,
    /// The packets' own timestamps: for ports that play capture files.
    Packet,
}

/// An encapsulation of the tap itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decap {
    /// RFC 7348.
    Vxlan,
    /// RFC 2784, RFC 2890.
    Gre,
    /// ERSPAN over GRE.
    Erspan,
}

/// An address with its prefix, and the router to everywhere else.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Network {
    /// Ours.
    pub ip: IpAddr,
    /// Bits of the network part.
    pub prefix: u8,
    /// In the same network.
    pub gateway: Option<IpAddr>,
}

/// `[[probe]]`: where packets go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Probe {
    /// Unique among probes; letters, digits, `-`, `_`, `.`: it becomes a file name in `replay`.
    pub name: String,
    /// Where it is. `replay` writes a capture file for every probe, whatever this says.
    pub to: Target,
    /// Its share relative to the others.
    pub weight: NonZeroU16,
    /// For tunnels: the port they leave by. Not built yet.
    pub via: Option<PortId>,
    /// For ports: the VLAN tag that is put on. Not built yet.
    pub vlan: Option<NonZeroU16>,
    /// For files: when a new one is begun. Not built yet.
    pub rotation: Rotation,
}

/// Where a probe is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// `file:PATH`: a capture file, relative to the working directory.
    File(PathBuf),
    /// `port:NAME`: a DPDK port.
    Port(PortId),
    /// `memif:SOCKET`: shared memory; we are the server, id 0.
    Memif(PathBuf),
    /// `vxlan:IP:VNI`. Not built yet.
    Vxlan {
        /// The other end.
        ip: IpAddr,
        /// 24 bits.
        vni: u32,
    },
    /// `geneve:IP:VNI`. Not built yet.
    Geneve {
        /// The other end.
        ip: IpAddr,
        /// 24 bits.
        vni: u32,
    },
    /// `null`: counted and forgotten.
    Null,
}

/// When a capture-file probe begins a new file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rotation {
    /// After so many bytes.
    pub bytes: Option<u64>,
    /// After so much time.
    pub secs: Option<u32>,
    /// All files of the probe together; the oldest goes first.
    pub disk_max_bytes: Option<u64>,
}

/// `[[group]]`: probes that share a load.
#[derive(Clone, Debug, PartialEq)]
pub struct Group {
    /// Unique among groups.
    pub name: String,
    /// Its members, each once, at least one.
    pub probes: Vec<ProbeId>,
    /// How packets are spread over them.
    pub mode: Mode,
    /// The most that a probe may have, relative to the mean. Not built yet.
    pub max_imbalance: Option<f64>,
    /// What happens when a probe comes back. Not built yet.
    pub on_return: OnReturn,
}

impl Group {
    /// The group that packets go to unless a rule says otherwise.
    pub const DEFAULT: &'static str = "default";
}

/// How a group spreads packets over its probes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mode {
    /// One probe for one session.
    #[default]
    Session,
    /// By the inner five-tuple.
    Flow,
    /// Every probe gets every packet.
    Copy,
}

/// What happens to moved sessions when their probe comes back.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnReturn {
    /// They stay.
    #[default]
    Sticky,
    /// They go back.
    Rebalance,
}

/// `[lcores]`: which core has which role; roles may share a core.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lcores {
    /// The control thread.
    pub control: u32,
    /// Cores that poll ports; never empty, each once.
    pub rx: Vec<u32>,
    /// Cores that balance and send; never empty, each once.
    pub workers: Vec<u32>,
}

/// `[tracker]`: signalling and sessions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tracker {
    /// Where GTP-C and PFCP go.
    pub control: Control,
    /// What else goes to every probe.
    pub broadcast_also: Vec<BroadcastAlso>,
    /// How long packets of an unknown tunnel wait for its session.
    pub hold_ms: u32,
    /// How much may wait.
    pub hold_bytes: u64,
    /// What becomes of a session that becomes known.
    pub unknown: Unknown,
    /// Size of the session table.
    pub sessions_max: u32,
    /// Size of the tunnel table.
    pub tunnels_max: u32,
    /// A session without packets for so long has expired.
    pub idle_secs: u32,
    /// The same for a session whose signalling was never seen.
    pub unknown_idle_secs: u32,
    /// PLMNs of our own, 5 or 6 digits each.
    pub home_plmns: Vec<String>,
}

impl Default for Tracker {
    fn default() -> Self {
        Self {
            control: Control::default(),
            broadcast_also: Vec::new(),
            hold_ms: 20,
            hold_bytes: 64 << 20,
            unknown: Unknown::default(),
            sessions_max: 1_000_000,
            tunnels_max: 4_000_000,
            idle_secs: 86_400,
            unknown_idle_secs: 300,
            home_plmns: Vec::new(),
        }
    }
}

/// Where signalling messages go.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Control {
    /// To every probe.
    #[default]
    Broadcast,
    /// Once to each probe that has, or by its subscriber will have, a session that a message concerns; of one
    /// that concerns none, to every probe.
    Follow,
}

/// Other signalling that goes to every probe.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BroadcastAlso {
    /// S1-AP, NGAP and all else over SCTP: IP protocol 132.
    Sctp,
    /// Diameter: TCP and SCTP ports 3868 and, over TLS or DTLS, 5868.
    Diameter,
}

/// What becomes of a session that becomes known after its first packets.
///
/// Until then it was an unknown session, pinned by its UE's address. Whatever is chosen, all sessions of one
/// IMSI are at one probe.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Unknown {
    /// It goes to the probe that is its own.
    #[default]
    Move,
    /// It stays where its packets have been going, until it ends; of several unknown sessions that it was, where
    /// the one went that was seen first. If another session of its IMSI is up, it goes to that one's probe
    /// instead; and those of the IMSI that come later go to where it stays. Two boxes agree then only on what
    /// both have seen from the beginning.
    Stay,
}

/// `[tdb]`: the time-dependent buffer. Not built yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tdb {
    /// Memory for look-back.
    pub bytes: u64,
    /// How far back.
    pub look_back: Duration,
    /// For every session, not only those a capture rule could hit.
    pub all: bool,
    /// Bytes kept of each packet.
    pub snap: u32,
}

impl Default for Tdb {
    fn default() -> Self {
        Self { bytes: 256 << 20, look_back: Duration::from_secs(30), all: false, snap: 256 }
    }
}

/// `[rules]`. Not built yet.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rules {
    /// Rule files, relative to the working directory.
    pub files: Vec<PathBuf>,
}

/// `[state]`: what outlives a run. Without it nothing does.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct State {
    /// The folder of checkpoint and journals.
    pub dir: Option<PathBuf>,
}

/// `[api]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Api {
    /// The Unix socket.
    pub socket: PathBuf,
    /// The group that may use it.
    pub group: Option<String>,
    /// TCP besides, never without a token.
    pub tcp: Option<Tcp>,
}

/// The API over TCP.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tcp {
    /// Address and port.
    pub listen: SocketAddr,
    /// Holds what a client must present.
    pub token_file: PathBuf,
}

/// More probes were asked for than one instance can serve.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{wanted} probes: one instance serves 1 to {}", ProbeId::MAX)]
pub struct TooManyProbes {
    /// How many were asked for.
    pub wanted: usize,
}

impl Config {
    /// Reads and checks a file.
    ///
    /// # Errors
    /// The file cannot be read, is longer than any configuration, or something in it is wrong:
    /// then all that is wrong.
    pub fn load(path: impl AsRef<Path>) -> Result<(Self, Vec<Warning>), ConfigError> {
        let path = path.as_ref();
        let name = path.display().to_string();
        let unreadable = |why| ConfigError::Read { file: name.clone(), why };
        let file = File::open(path).map_err(unreadable)?;
        let mut bytes = Vec::new();
        // `take` and not the length in the metadata: a device or a pipe has none.
        file.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes).map_err(unreadable)?;
        Self::parse_bytes(&name, &bytes)
    }

    /// Checks a text; `name` is what messages call it.
    ///
    /// # Errors
    /// As [`Config::load`].
    pub fn parse(name: &str, text: &str) -> Result<(Self, Vec<Warning>), ConfigError> {
        Self::parse_bytes(name, text.as_bytes())
    }

    fn parse_bytes(name: &str, bytes: &[u8]) -> Result<(Self, Vec<Warning>), ConfigError> {
        if bytes.len() as u64 > FILE_BYTES_MAX {
            return Err(ConfigError::TooLong { file: name.to_owned(), max_bytes: FILE_BYTES_MAX });
        }
        // Editors on Windows put a byte order mark in front of UTF-8.
        let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
        match std::str::from_utf8(bytes) {
            Ok(text) => check::config(Source::new(name, text), text),
            Err(error) => Err(not_utf8(name, bytes, error.valid_up_to())),
        }
    }

    /// Whether `snipe run` can work with it.
    ///
    /// # Errors
    /// No port, no probe or no `[lcores]`; a loop from a port back to itself; a kind of probe that is
    /// not built yet.
    pub fn for_run(&self) -> Result<(), ConfigError> {
        if self.run_problems.is_empty() {
            Ok(())
        } else {
            Err(ConfigError::invalid(self.run_problems.clone()))
        }
    }

    /// What `snipe replay` takes of it: without `eal`, `ports`, `lcores`, `state` and `api`, and with
    /// one capture-file probe where the file has none.
    #[must_use]
    pub fn for_replay(mut self) -> Self {
        self.eal = Eal::default();
        self.ports.clear();
        self.lcores = None;
        self.state = State::default();
        self.api = None;
        self.run_problems.clear();
        if self.probes.is_empty() {
            self.replace_probes(1);
        }
        for probe in &mut self.probes {
            probe.to = Target::File(PathBuf::from(format!("{}.pcap", probe.name)));
            probe.via = None;
            probe.vlan = None;
            probe.rotation = Rotation::default();
        }
        self
    }

    /// `--probes N`: capture-file probes `probe-1` to `probe-N` in the one group `default`, instead of
    /// what the file says.
    ///
    /// # Errors
    /// None at all, or more than [`ProbeId::MAX`].
    pub fn set_probes(&mut self, count: usize) -> Result<(), TooManyProbes> {
        if count == 0 || count > ProbeId::MAX {
            return Err(TooManyProbes { wanted: count });
        }
        self.replace_probes(count);
        Ok(())
    }

    fn replace_probes(&mut self, count: usize) {
        let named = |n| Probe {
            name: format!("probe-{n}"),
            to: Target::File(PathBuf::from(format!("probe-{n}.pcap"))),
            weight: NonZeroU16::MIN,
            via: None,
            vlan: None,
            rotation: Rotation::default(),
        };
        self.probes = (1..=count).map(named).collect();
        self.groups = vec![Group::of_all(&self.probes)];
    }

    /// Ports that packets are received from.
    pub fn taps(&self) -> impl Iterator<Item = (PortId, &Port)> {
        let ids = (0..=u16::MAX).map(PortId);
        ids.zip(&self.ports).filter(|(_, port)| port.role == Role::Tap)
    }

    /// The group that packets go to unless a rule says otherwise; there is one wherever there is a
    /// probe.
    #[must_use]
    pub fn default_group(&self) -> Option<&Group> {
        self.groups.iter().find(|group| group.name == Group::DEFAULT)
    }

    /// The port with this number.
    #[must_use]
    pub fn port(&self, id: PortId) -> Option<&Port> {
        self.ports.get(usize::from(id.0))
    }

    /// The probe with this number.
    #[must_use]
    pub fn probe(&self, id: ProbeId) -> Option<&Probe> {
        self.probes.get(usize::from(id.0))
    }
}

impl Group {
    fn of_all(probes: &[Probe]) -> Self {
        Self {
            name: Self::DEFAULT.to_owned(),
            probes: (0..=u8::MAX).map(ProbeId).zip(probes).map(|(id, _)| id).collect(),
            mode: Mode::default(),
            max_imbalance: None,
            on_return: OnReturn::default(),
        }
    }
}

fn not_utf8(name: &str, bytes: &[u8], valid: usize) -> ConfigError {
    // What was read so far is right; the rest is shown as far as it can be.
    let text = String::from_utf8_lossy(bytes);
    let span: Range<usize> = valid..valid + char::REPLACEMENT_CHARACTER.len_utf8();
    let byte = bytes.get(valid).copied().unwrap_or_default();
    let problem = Problem::error(&Source::new(name, &text), span, format!("byte 0x{byte:02x} is not UTF-8"));
    let utf16 = bytes.starts_with(b"\xff\xfe") || bytes.starts_with(b"\xfe\xff");
    let problem = problem.label("this byte").help(if utf16 {
        "the file is UTF-16: save it as UTF-8"
    } else {
        "TOML is UTF-8: save the file in that encoding"
    });
    ConfigError::invalid(vec![problem])
}

#[cfg(test)]
mod tests;
