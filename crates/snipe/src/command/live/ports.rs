//! The DPDK ports that a configuration names.

use control::{Config, Lcores, Role, Target as To};
use dpdk::{Clock, Eal, Pool, Port, PortConfig, PortError, RxQueue, TxQueue};
use pipeline::{Source, Target};
use types::{PortId, ProbeId};

use super::DESCRIPTORS;
use crate::command::plan;
use crate::failure::{self, Failure};

/// Whether devargs name a PCI device (`0000:3b:00.0`) and not a virtual one.
pub(super) fn is_pci(device: &str) -> bool {
    let name = device.split(',').next().unwrap_or(device).trim_start_matches("pci:");
    name.contains(':') && name.chars().all(|c| c.is_ascii_hexdigit() || c == ':' || c == '.')
}

/// `net_pcap` reads any capture as if it were Ethernet: others are refused here.
pub(super) fn check_captures(config: &Config) -> Result<(), Failure> {
    for (_, port) in config.taps() {
        for file in port.device.split(',').filter_map(|arg| arg.strip_prefix("rx_pcap=")) {
            replay::check_ethernet(file).map_err(|error| {
                Failure::input(format_args!("port {}: {}", port.name, failure::chain(&error)))
            })?;
        }
    }
    Ok(())
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

    pub(super) fn start(self, config: &Config, lcores: &Lcores, pool: &Pool) -> Result<Ports, Failure> {
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
                    taps.push(Tap { id, port, file_like: abilities.file_like, queues });
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

    /// Packets that NICs or the kernel lost before us.
    pub(super) fn missed(&self) -> u64 {
        self.taps.iter().filter_map(|tap| tap.port.stats().ok()).map(|stats| stats.lost()).sum()
    }
}
