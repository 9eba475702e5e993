//! The DPDK ports that a configuration names.

use std::fs;
use std::path::Path;

use batch::Frame as _;
use control::{Config, Lcores, Role, Target as To};
use dpdk::{Clock, Eal, Pool, Port, PortConfig, PortError, RxQueue, TxQueue};
use pipeline::{Source, Target};
use types::{LinkType, PortId, ProbeId};

use super::DESCRIPTORS;
use crate::command::files::InUse;
use crate::command::plan;
use crate::failure::{self, Failure};

/// Whether devargs name a PCI device (`0000:3b:00.0`) and not a virtual one.
pub(super) fn is_pci(device: &str) -> bool {
    let name = device.split(',').next().unwrap_or(device).trim_start_matches("pci:");
    name.contains(':') && name.chars().all(|c| c.is_ascii_hexdigit() || c == ':' || c == '.')
}

/// The values of one devarg.
fn arguments<'a>(device: &'a str, name: &'a str) -> impl Iterator<Item = &'a str> {
    device.split(',').filter_map(move |arg| arg.strip_prefix(name)?.strip_prefix('='))
}

/// The files that ports read and write themselves.
pub(super) fn files(config: &Config) -> impl Iterator<Item = &Path> {
    let named = |port| ["rx_pcap", "tx_pcap"].into_iter().flat_map(move |name| arguments(port, name));
    config.ports.iter().flat_map(move |port| named(port.device.as_str())).map(Path::new)
}

/// The longest frame that `net_pcap` of 22.11 hands on whole.
const PCAP_FRAME_MAX: usize = 65_535;

/// Looks at what ports need before DPDK does, whose words say little. Returns how many packets each
/// port has to give, where that is known: `net_pcap` reads any capture as if it were Ethernet, stops at
/// what it cannot read, and never says so.
pub(super) fn check(config: &Config) -> Result<Vec<Option<u64>>, Failure> {
    let mut packets = Vec::new();
    let mut read = InUse::default();
    for port in &config.ports {
        let wrong = |what: String| Failure::input(format_args!("port {}: {what}", port.name));
        for name in ["iface", "rx_iface", "rx_iface_in", "tx_iface"] {
            for interface in arguments(&port.device, name) {
                if !Path::new("/sys/class/net").join(interface).exists() {
                    return Err(wrong(format!(
                        "there is no interface {interface}; `ip link` shows those there are"
                    )));
                }
            }
        }
        let is_client = arguments(&port.device, "role").any(|role| role == "client");
        let is_file = arguments(&port.device, "socket-abstract").any(|value| value == "no");
        for socket in arguments(&port.device, "socket").filter(|_| is_client && is_file) {
            if !Path::new(socket).exists() {
                return Err(wrong(format!("there is no socket {socket}; start its server first")));
            }
        }
        let mut count = Some(0);
        for file in arguments(&port.device, "rx_pcap") {
            let found = capture_packets(file).map_err(wrong)?;
            count = count.zip(found).map(|(count, found)| count + found);
            read.add(Path::new(file));
        }
        let endless = arguments(&port.device, "infinite_rx").any(|value| value != "0");
        packets.push(count.filter(|_| !endless));
    }
    for port in &config.ports {
        if let Some(file) = arguments(&port.device, "tx_pcap").find(|file| read.has(Path::new(file))) {
            return Err(Failure::input(format_args!(
                "port {}: {file} is also read; choose another name",
                port.name
            )));
        }
    }
    Ok(packets)
}

/// Reads a capture through to its end. `None` for what cannot be read twice.
fn capture_packets(file: &str) -> Result<Option<u64>, String> {
    if fs::metadata(file).is_ok_and(|found| !found.is_file()) {
        return Ok(None);
    }
    replay::check_ethernet(file).map_err(|error| failure::chain(&error))?;
    let mut reader = replay::CaptureReader::open(file).map_err(|error| failure::chain(&error))?;
    let mut count = 0;
    loop {
        match reader.next_packet().map_err(|error| failure::chain(&error))? {
            None => break,
            Some(packet) if packet.link != LinkType::Ethernet => {
                return Err(format!(
                    "{file}: packet {} is not Ethernet, which is all that net_pcap knows; \
                     `snipe replay` reads it",
                    count + 1
                ));
            }
            Some(packet) if packet.frame.len() > PCAP_FRAME_MAX => {
                return Err(format!(
                    "{file}: packet {} has {} bytes, and net_pcap hands on {PCAP_FRAME_MAX} at most; \
                     `snipe replay` reads it",
                    count + 1,
                    packet.frame.len()
                ));
            }
            Some(_) => count += 1,
        }
    }
    reader.warnings().iter().for_each(failure::warn);
    Ok(Some(count))
}

/// Devices that were found and are not started yet.
#[derive(Debug)]
pub(super) struct Devices {
    /// In the order of the configuration.
    ports: Vec<Port>,
    /// The ports of probes that bring their own: `memif:`.
    own: Vec<(ProbeId, Port)>,
}

/// Started ports.
#[derive(Debug)]
pub(super) struct Ports {
    taps: Vec<Tap>,
    /// The transmit queues of each probe that is a port.
    probes: Vec<(ProbeId, Vec<TxQueue>)>,
}

#[derive(Debug)]
struct Tap {
    id: PortId,
    port: Port,
    file_like: bool,
    /// Packets that its files hold, where that is known.
    packets: Option<u64>,
    queues: Vec<RxQueue>,
}

fn named(what: &str, name: &str, error: &PortError) -> Failure {
    Failure::input(format_args!("{what} {name}: {}", failure::chain(error)))
}

impl Devices {
    pub(super) fn probe(eal: &Eal, config: &Config) -> Result<Self, Failure> {
        let mut ports = Vec::new();
        for port in &config.ports {
            let device = Port::probe(eal, &port.device).map_err(|error| named("port", &port.name, &error))?;
            ports.push(device);
        }
        let mut own = Vec::new();
        for (id, probe) in (0..=u8::MAX).map(ProbeId).zip(&config.probes) {
            if let To::Memif(socket) = &probe.to {
                let device = format!(
                    "net_memif{},role=server,id=0,socket={},socket-abstract=no",
                    100 + u16::from(id.0),
                    socket.display()
                );
                let port = Port::probe(eal, &device).map_err(|error| named("probe", &probe.name, &error))?;
                own.push((id, port));
            }
        }
        Ok(Self { ports, own })
    }

    /// The memory that is near the first port.
    pub(super) fn socket(&self) -> Option<u32> {
        self.ports.first()?.abilities().ok()?.socket
    }

    /// Starts all of them. `packets` is what [`check`] has found.
    pub(super) fn start(
        self,
        config: &Config,
        lcores: &Lcores,
        pool: &Pool,
        packets: &[Option<u64>],
    ) -> Result<Ports, Failure> {
        let mut taps = Vec::new();
        let mut probes = Vec::new();
        for ((id, spec), port) in (0..=u16::MAX).map(PortId).zip(&config.ports).zip(self.ports) {
            let failed = |error: &PortError| named("port", &spec.name, error);
            let abilities = port.abilities().map_err(|error| failed(&error))?;
            match spec.role {
                Role::Tap => {
                    let wanted = lcores.rx.len().min(usize::from(abilities.rx_queues)).max(1) as u16;
                    // Without RSS a second queue would stay empty.
                    let rx_queues = if abilities.rss_ip || abilities.file_like { wanted } else { 1 };
                    let clock = match spec.clock {
                        control::Clock::Host => Clock::Host,
                        control::Clock::Packet => Clock::Packet,
                    };
                    let settings = PortConfig { rx_queues, tx_queues: 0, clock, ..common() };
                    let queues = port.start(&settings, pool).map_err(|error| failed(&error))?.rx;
                    let spread = match (abilities.rss_ip, rx_queues) {
                        (_, 1) => "in software, by inner addresses: one queue",
                        (true, _) => {
                            "over queues by RSS of the IP addresses, then in software by inner addresses"
                        }
                        (false, _) => {
                            "in software, by inner addresses: the port cannot spread by IP addresses"
                        }
                    };
                    announce("tap", &spec.name, &format!("packets are spread {spread}"), &port);
                    let packets = packets.get(usize::from(id.0)).copied().flatten();
                    taps.push(Tap { id, port, file_like: abilities.file_like, packets, queues });
                }
                Role::Egress => {
                    let queues = start_egress(&port, lcores, pool).map_err(|error| failed(&error))?;
                    announce("port", &spec.name, "a queue for each worker", &port);
                    let is_target = |probe: &control::Probe| probe.to == To::Port(id);
                    let users: Vec<_> = (0..=u8::MAX)
                        .map(ProbeId)
                        .zip(&config.probes)
                        .filter(|(_, p)| is_target(p))
                        .collect();
                    match users.as_slice() {
                        [(probe, _)] => probes.push((*probe, queues)),
                        _ => {
                            return Err(Failure::input(format_args!(
                                "port {}: is the target of {} probes; give each probe a port of its own",
                                spec.name,
                                users.len()
                            )));
                        }
                    }
                }
            }
        }
        for (id, port) in self.own {
            let name = config.probe(id).map_or("", |probe| probe.name.as_str());
            let queues = start_egress(&port, lcores, pool).map_err(|error| named("probe", name, &error))?;
            probes.push((id, queues));
        }
        Ok(Ports { taps, probes })
    }
}

/// Says what a started port can do, and how it is used therefore.
fn announce(role: &str, name: &str, use_of_it: &str, port: &Port) {
    match port.abilities() {
        Ok(abilities) => tracing::info!("{role} {name}: {use_of_it}\n{abilities}"),
        Err(error) => tracing::warn!("{role} {name}: {}", failure::chain(&error)),
    }
}

fn common() -> PortConfig {
    PortConfig { rx_descriptors: DESCRIPTORS, tx_descriptors: DESCRIPTORS, ..PortConfig::default() }
}

/// A queue for each worker, so that nobody waits for a lock.
fn start_egress(port: &Port, lcores: &Lcores, pool: &Pool) -> Result<Vec<TxQueue>, PortError> {
    let tx_queues = u16::try_from(lcores.workers.len()).unwrap_or(u16::MAX);
    let settings = PortConfig { rx_queues: 0, tx_queues, promiscuous: false, ..common() };
    let mut queues = port.start(&settings, pool)?.tx;
    // Handed out from the end.
    queues.reverse();
    Ok(queues)
}

impl Ports {
    /// Whether every tap reads files, and so can wait.
    pub(super) fn are_file_like(&self) -> bool {
        self.taps.iter().all(|tap| tap.file_like)
    }

    /// Whether any tap reads a file.
    pub(super) fn any_file(&self) -> bool {
        self.taps.iter().any(|tap| tap.file_like)
    }

    /// Says where a port has given fewer packets than its files hold: libpcap stops at what it cannot
    /// read, and skips packets that do not fit its first interface.
    pub(super) fn check_complete(&self, config: &Config) -> Result<(), Failure> {
        for tap in &self.taps {
            let Some((held, read)) = tap.packets.zip(tap.port.stats().ok().map(|stats| stats.rx_packets))
            else {
                continue;
            };
            if tap.file_like && read != held {
                let name = config.port(tap.id).map_or("", |port| port.name.as_str());
                return Err(Failure::work(format_args!(
                    "port {name}: its captures hold {held} packets, and net_pcap has read {read}; \
                     `editcap -F pcap` makes a file that it can read, `snipe replay` reads this one"
                )));
            }
        }
        Ok(())
    }

    /// What each receiving core polls: of every tap, the queues whose number fits.
    pub(super) fn sources(&mut self, config: &Config, receivers: usize) -> Vec<Vec<Source<RxQueue>>> {
        let mut sources: Vec<Vec<_>> = (0..receivers).map(|_| Vec::new()).collect();
        for tap in &mut self.taps {
            let decap = config.port(tap.id).map(|port| plan::decap_set(port.decap.iter().copied()));
            for (place, queue) in tap.queues.drain(..).enumerate() {
                // Taps with one queue each are shared out over the cores, too.
                let core = (place + usize::from(tap.id.0)) % receivers.max(1);
                if let Some(sources) = sources.get_mut(core) {
                    sources.push(Source { queue, port: tap.id, decap: decap.unwrap_or_default() });
                }
            }
        }
        sources
    }

    /// The targets of the next worker.
    pub(super) fn targets(&mut self, config: &Config) -> Vec<Target<TxQueue>> {
        let mut target = |id: ProbeId, to: &To| match to {
            To::File(_) => Target::Writer,
            _ => {
                let queues = self.probes.iter_mut().find(|(probe, _)| *probe == id);
                queues.and_then(|(_, queues)| queues.pop()).map_or(Target::Null, Target::Port)
            }
        };
        (0..=u8::MAX).map(ProbeId).zip(&config.probes).map(|(id, probe)| target(id, &probe.to)).collect()
    }

    /// Packets that were read from files so far.
    pub(super) fn read_from_files(&self) -> u64 {
        let taps = self.taps.iter().filter(|tap| tap.file_like);
        taps.filter_map(|tap| tap.port.stats().ok()).map(|stats| stats.rx_packets).sum()
    }

    /// The counts of the taps, for whoever asks later.
    pub(super) fn counts(&self) -> Counts {
        let count =
            |tap: &Tap| TapCount { port: tap.port.clone(), packets: tap.packets.filter(|_| tap.file_like) };
        Counts(self.taps.iter().map(count).collect())
    }
}

/// What the taps have counted.
#[derive(Debug)]
pub(super) struct Counts(Vec<TapCount>);

#[derive(Debug)]
struct TapCount {
    port: Port,
    /// Packets that its files hold, where it reads files and that is known.
    packets: Option<u64>,
}

impl Counts {
    /// Packets that NICs or the kernel lost before us. Of a file: what was not read of it, unless that
    /// is because somebody has `interrupted` the reading.
    pub(super) fn missed(&self, interrupted: bool) -> u64 {
        let missed = |tap: &TapCount| {
            let stats = tap.port.stats().ok()?;
            Some(match tap.packets {
                None => stats.lost(),
                Some(_) if interrupted => 0,
                Some(held) => held.saturating_sub(stats.rx_packets),
            })
        };
        self.0.iter().filter_map(missed).sum()
    }
}
