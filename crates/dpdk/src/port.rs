//! Ports: found by their devargs, configured once, polled by queues.

use std::ffi::{CStr, CString, c_int, c_uint};
use std::fmt::{self, Write as _};
use std::fs;
use std::os::fd::RawFd;
use std::path::PathBuf;
use std::ptr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use dpdk_sys as sys;
use types::LinkType;

use crate::capture;
use crate::eal::{Process, error_text, exists, lock};
use crate::queue::{RxQueue, Timestamps, TxLimits, TxQueue};
use crate::{Eal, Pool, xdp};

/// Ethernet header, and the checksum that drivers count in their frame lengths but frames do not have.
const ETHERNET_BYTES: u32 = 14;
const CRC_BYTES: u32 = 4;
/// Room for two VLAN tags.
const TAGS_BYTES: u32 = 8;

/// Where a packet's arrival time comes from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Clock {
    /// From the packet, where the driver notes it: `net_pcap` gives the capture's own time.
    Packet,
    /// From the machine: its clock is read once for each burst that brought packets.
    #[default]
    Host,
    /// From the caller, by [`RxQueue::set_now`].
    Given,
}

/// How a port is set up.
#[derive(Clone, Debug)]
pub struct PortConfig {
    /// Receive queues.
    pub rx_queues: u16,
    /// Transmit queues.
    pub tx_queues: u16,
    /// Descriptors of a receive queue; what the driver cannot do is adjusted.
    pub rx_descriptors: u16,
    /// Descriptors of a transmit queue; likewise.
    pub tx_descriptors: u16,
    /// Whether frames to other addresses are received; a tap wants them.
    pub promiscuous: bool,
    /// The MTU, where the device lets it be set; `None` leaves it.
    pub mtu: Option<u16>,
    /// Where arrival times come from.
    pub clock: Clock,
}

impl Default for PortConfig {
    fn default() -> Self {
        Self {
            rx_queues: 1,
            tx_queues: 1,
            rx_descriptors: 1024,
            tx_descriptors: 1024,
            promiscuous: true,
            mtu: None,
            clock: Clock::default(),
        }
    }
}

/// Why a port cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PortError {
    /// No driver feels responsible for the name.
    #[error(
        "port {port}: no DPDK driver takes a device of this name. A virtual device is its driver's name and \
         a number (net_pcap0, net_af_packet0, net_af_xdp0, net_memif0, net_tap0, net_ring0, net_null0), \
         a NIC its PCI address (0000:3b:00.0)"
    )]
    NoDriver {
        /// The device.
        port: String,
    },
    /// A PCI address where nothing is.
    #[error("port {port}: no PCI device has this address (`lspci -D` lists them)")]
    NoSuchDevice {
        /// The device.
        port: String,
    },
    /// A NIC that the kernel's driver has.
    #[error(
        "port {port}: the device belongs to kernel driver {driver}. Give it to DPDK: \
         `dpdk-devbind.py --bind=vfio-pci {port}` (and leave out --no-pci)"
    )]
    WrongDriver {
        /// The device.
        port: String,
        /// The kernel driver that has it.
        driver: String,
    },
    /// The driver did not take the device.
    #[error(
        "port {port}: its driver refused it: {reason}. What the driver said is on standard error; \
         check the arguments `{devargs}`"
    )]
    Refused {
        /// The device.
        port: String,
        /// All of its arguments.
        devargs: String,
        /// The error's text.
        reason: String,
    },
    /// A capture file that cannot be read.
    #[error("port {port}: {path}: {reason}")]
    Capture {
        /// The device.
        port: String,
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// A capture file of something else than Ethernet.
    #[error(
        "port {port}: {path} has link type {number}, and DPDK ports carry Ethernet (1) only; \
         `snipe replay` reads it"
    )]
    Link {
        /// The device.
        port: String,
        /// The file.
        path: PathBuf,
        /// The link type's number.
        number: u32,
    },
    /// Two ports of one device.
    #[error("port {port}: the device is in use as another port already")]
    InUse {
        /// The device.
        port: String,
    },
    /// Not enough queues.
    #[error("port {port}: wants {wanted} {kind} queues, device offers {offered}")]
    TooFewQueues {
        /// The device.
        port: String,
        /// "RX" or "TX".
        kind: &'static str,
        /// Queues asked for.
        wanted: u16,
        /// Queues there are.
        offered: u16,
    },
    /// `Clock::Packet` where the driver notes no time.
    #[error("port {port}: driver {driver} gives no packet times; set clock = \"host\"")]
    NoPacketClock {
        /// The device.
        port: String,
        /// Its driver.
        driver: String,
    },
    /// A call that failed.
    #[error("port {port}: {step} failed: {reason}{hint}")]
    Failed {
        /// The device.
        port: String,
        /// What was attempted.
        step: &'static str,
        /// The error's text.
        reason: String,
        /// What may help, or nothing.
        hint: &'static str,
    },
}

/// A port that was found. Queues come from [`Port::start`]. It is closed when it and they are dropped.
#[derive(Clone, Debug)]
pub struct Port(pub(crate) Arc<Open>);

#[derive(Debug)]
pub(crate) struct Open {
    pub(crate) id: u16,
    name: String,
    devargs: String,
    started: AtomicBool,
    /// The sockets of `net_af_xdp`, which keeps them open as long as the port is.
    xdp_sockets: Mutex<Vec<RawFd>>,
    process: Arc<Process>,
}

/// The queues of a started port.
#[derive(Debug)]
pub struct Queues {
    /// One for each receive queue asked for.
    pub rx: Vec<RxQueue>,
    /// One for each transmit queue asked for.
    pub tx: Vec<TxQueue>,
}

/// What a port can do. A virtual device may have nearly none of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Abilities {
    /// The device.
    pub device: String,
    /// Its driver.
    pub driver: String,
    /// Receive queues at most.
    pub rx_queues: u16,
    /// Transmit queues at most.
    pub tx_queues: u16,
    /// Whether packets can be spread over queues by IP addresses alone, so that fragments stay together.
    pub rss_ip: bool,
    /// Entries of the table that RSS goes through; 0 where there is none.
    pub reta: u16,
    /// The MTU now; `None` where there is none.
    pub mtu: Option<u16>,
    /// Whether packets come with their time.
    pub packet_clock: bool,
    /// The memory socket it is on; `None` where it is on none.
    pub socket: Option<u32>,
    /// Whether the link is up, and its speed in Mbit/s; `None` where the driver cannot say.
    pub link: Option<(bool, u32)>,
    /// Whether frames may be sent that others hold, too.
    pub takes_shared: bool,
    /// Whether frames of several segments may be sent.
    pub takes_segments: bool,
    /// Whether it reads a file and will once have nothing more to give.
    pub file_like: bool,
}

/// What a port has counted since it was started.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PortStats {
    /// Packets received.
    pub rx_packets: u64,
    /// Bytes received.
    pub rx_bytes: u64,
    /// Packets that the device lost because nobody fetched them.
    pub rx_missed: u64,
    /// Packets with errors.
    pub rx_errors: u64,
    /// Packets lost because the pool was empty.
    pub rx_no_buffer: u64,
    /// Packets sent.
    pub tx_packets: u64,
    /// Bytes sent.
    pub tx_bytes: u64,
    /// Packets that could not be sent.
    pub tx_errors: u64,
}

impl PortStats {
    /// Packets that were lost before anybody could receive them.
    #[must_use]
    pub const fn lost(&self) -> u64 {
        self.rx_missed.saturating_add(self.rx_errors).saturating_add(self.rx_no_buffer)
    }
}

/// The parts of `rte_eth_dev_info` that are used.
struct Info {
    raw: sys::rte_eth_dev_info,
    driver: String,
}

impl Port {
    /// Finds a device by its devargs, a virtual one (`net_pcap0,rx_pcap=x.pcap`) or a PCI address with or
    /// without arguments, and attaches it where that was not done yet.
    ///
    /// # Errors
    /// [`PortError`], which names the device and says what to do.
    pub fn probe(eal: &Eal, devargs: &str) -> Result<Self, PortError> {
        let name = device_name(devargs);
        let own = || name.clone();
        let refused =
            |reason: String| PortError::Refused { port: own(), devargs: devargs.to_owned(), reason };
        check_captures(&name, devargs)?;
        let c_args = CString::new(devargs).map_err(|_| refused("a NUL byte".to_owned()))?;
        let c_name = CString::new(name.as_str()).map_err(|_| refused("a NUL byte".to_owned()))?;

        // SAFETY: EAL runs, as `eal` says; the string lives through the call.
        let probed = unsafe { sys::rte_dev_probe(c_args.as_ptr()) };
        let id = find(&c_name);
        let id = match (probed, id) {
            // Attached by an EAL argument or at start.
            (0, Some(id)) => id,
            (error, Some(id)) if error == -libc::EEXIST => id,
            (error, _) => return Err(why_not_probed(&name, devargs, error)),
        };
        let mut ports = lock(&eal.0.ports);
        if ports.contains(&id) {
            return Err(PortError::InUse { port: own() });
        }
        ports.push(id);
        drop(ports);
        Ok(Self(Arc::new(Open {
            id,
            name,
            devargs: devargs.to_owned(),
            started: AtomicBool::new(false),
            xdp_sockets: Mutex::new(Vec::new()),
            process: Arc::clone(&eal.0),
        })))
    }

    /// The name of the device: its devargs without arguments.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.0.name
    }

    /// What the device can do.
    ///
    /// # Errors
    /// Where the driver does not even say who it is.
    pub fn abilities(&self) -> Result<Abilities, PortError> {
        let Info { raw, driver } = self.info()?;
        let id = self.0.id;
        let mut mtu = 0;
        // SAFETY: the port is open as long as `Open` is; the place is ours.
        let has_mtu = unsafe { sys::rte_eth_dev_get_mtu(id, &raw mut mtu) } == 0;
        let (mut up, mut mbps) = (0, 0);
        // SAFETY: as above.
        let has_link = unsafe { sys::snipe_link(id, &raw mut up, &raw mut mbps) } == 0;
        // SAFETY: as above.
        let socket = unsafe { sys::rte_eth_dev_socket_id(id) };
        let known = Driver::of(&driver);
        Ok(Abilities {
            device: self.0.name.clone(),
            rx_queues: raw.max_rx_queues,
            tx_queues: raw.max_tx_queues,
            rss_ip: raw.flow_type_rss_offloads & sys::SNIPE_RSS_IP != 0,
            reta: raw.reta_size,
            mtu: has_mtu.then_some(mtu),
            packet_clock: known == Driver::Pcap,
            // SOCKET_ID_ANY is -1.
            socket: u32::try_from(socket).ok(),
            link: has_link.then_some((up != 0, mbps)),
            takes_shared: known.takes_shared(),
            takes_segments: known.takes_segments(raw.tx_offload_capa),
            file_like: known.is_file_like(&self.0.devargs),
            driver,
        })
    }

    /// Configures the device and starts it. Received frames are of `pool`.
    ///
    /// # Errors
    /// [`PortError`], which names the device and says what to do.
    pub fn start(&self, config: &PortConfig, pool: &Pool) -> Result<Queues, PortError> {
        // AcqRel: a port is configured by one caller, once.
        if self.0.started.swap(true, Ordering::AcqRel) {
            return Err(PortError::InUse { port: self.0.name.clone() });
        }
        let queues = self.start_once(config, pool);
        if queues.is_err() {
            // Release: pairs with the swap above. Another configuration may work.
            self.0.started.store(false, Ordering::Release);
        }
        queues
    }

    fn start_once(&self, config: &PortConfig, pool: &Pool) -> Result<Queues, PortError> {
        let Info { raw: info, driver } = self.info()?;
        let known = Driver::of(&driver);
        let asked = config;
        let mut config = config.clone();
        if known.pairs_queues() {
            // Those that nobody asked for are there and stay idle.
            let pairs = config.rx_queues.max(config.tx_queues);
            (config.rx_queues, config.tx_queues) = (pairs, pairs);
        }
        let config = &config;
        let timestamps = match config.clock {
            Clock::Packet if known == Driver::Pcap => Timestamps::of_pcap()
                .ok_or(PortError::NoPacketClock { port: self.0.name.clone(), driver: driver.clone() })?,
            Clock::Packet => return Err(PortError::NoPacketClock { port: self.0.name.clone(), driver }),
            Clock::Host => Timestamps::Host,
            Clock::Given => Timestamps::Given(0),
        };
        for (kind, wanted, offered) in
            [("RX", config.rx_queues, info.max_rx_queues), ("TX", config.tx_queues, info.max_tx_queues)]
        {
            if wanted > offered {
                return Err(PortError::TooFewQueues { port: self.0.name.clone(), kind, wanted, offered });
            }
        }
        if known == Driver::AfPacket {
            self.warn_of_cuts();
        }
        let overhead = overhead(&info);
        self.configure(config, &info, pool, overhead)?;
        let is_xdp = known == Driver::AfXdp;
        let others = if is_xdp { xdp::sockets() } else { Vec::new() };
        self.set_up_queues(config, pool)?;
        if is_xdp {
            let own = xdp::sockets().into_iter().filter(|socket| !others.contains(socket));
            *lock(&self.0.xdp_sockets) = own.collect();
        }
        // SAFETY: the port is configured, all its queues are set up.
        self.check("starting", unsafe { sys::rte_eth_dev_start(self.0.id) }, "")?;
        if config.promiscuous {
            // SAFETY: the port is open.
            let result = unsafe { sys::rte_eth_promiscuous_enable(self.0.id) };
            if result != 0 && result != -libc::ENOTSUP {
                tracing::warn!(port = %self.0.name, error = %error_text(result), "not promiscuous");
            }
        }
        let mut mtu = 0;
        // SAFETY: the port is open, the place is ours.
        let has_mtu = unsafe { sys::rte_eth_dev_get_mtu(self.0.id, &raw mut mtu) } == 0;
        let limits = TxLimits {
            frame_max: known.frame_max(&self.0.devargs, has_mtu.then_some(mtu), overhead),
            takes_shared: known.takes_shared(),
            takes_segments: known.takes_segments(info.tx_offload_capa),
        };
        let file_like = known.is_file_like(&self.0.devargs);
        let queue = |queue| RxQueue::new(self.clone(), queue, timestamps, file_like, pool.clone());
        let rx = (0..asked.rx_queues).map(queue);
        let tx = (0..asked.tx_queues).map(|queue| TxQueue::new(self.clone(), queue, limits));
        Ok(Queues { rx: rx.collect(), tx: tx.collect() })
    }

    /// What the port has counted.
    ///
    /// # Errors
    /// Where the driver does not count.
    pub fn stats(&self) -> Result<PortStats, PortError> {
        let mut stats = sys::rte_eth_stats::default();
        // SAFETY: the port is open, the place is ours and of the type asked for.
        let result = unsafe { sys::rte_eth_stats_get(self.0.id, &raw mut stats) };
        self.check("reading its counters", result, "")?;
        // The driver's `imissed` has what a socket dropped for any other reason, and not this.
        let ring_full: u64 = lock(&self.0.xdp_sockets).iter().map(|&socket| xdp::ring_full(socket)).sum();
        Ok(PortStats {
            rx_packets: stats.ipackets,
            rx_bytes: stats.ibytes,
            rx_missed: stats.imissed.saturating_add(ring_full),
            rx_errors: stats.ierrors,
            rx_no_buffer: stats.rx_nombuf,
            tx_packets: stats.opackets,
            tx_bytes: stats.obytes,
            tx_errors: stats.oerrors,
        })
    }

    fn configure(
        &self,
        config: &PortConfig,
        info: &sys::rte_eth_dev_info,
        pool: &Pool,
        overhead: u32,
    ) -> Result<(), PortError> {
        let mut conf = sys::rte_eth_conf::default();
        let rss = info.flow_type_rss_offloads & sys::SNIPE_RSS_IP;
        if config.rx_queues > 1 && rss != 0 {
            conf.rxmode.mq_mode = sys::rte_eth_rx_mq_mode::RTE_ETH_MQ_RX_RSS;
            conf.rx_adv_conf.rss_conf.rss_hf = rss;
        }
        // An MTU that the device does not know of is not for the configuration to ask, which would fail.
        let known = |mtu: &u16| u32::from(*mtu) + overhead <= info.max_rx_pktlen;
        let mtu = config.mtu.map(|mtu| mtu.clamp(info.min_mtu, info.max_mtu.max(info.min_mtu)));
        if let Some(mtu) = mtu.filter(known) {
            conf.rxmode.mtu = u32::from(mtu);
        }
        let frame = u32::from(mtu.unwrap_or(1500)) + overhead;
        let room = pool.buffer_bytes().saturating_sub(sys::RTE_PKTMBUF_HEADROOM as usize);
        if frame as usize > room {
            conf.rxmode.offloads |= sys::SNIPE_RX_OFFLOAD_SCATTER & info.rx_offload_capa;
        }
        conf.txmode.offloads |= sys::SNIPE_TX_OFFLOAD_MULTI_SEGS & info.tx_offload_capa;
        // SAFETY: the port is open and was not started; `conf` lives through the call, which copies it.
        let result = unsafe {
            sys::rte_eth_dev_configure(self.0.id, config.rx_queues, config.tx_queues, &raw const conf)
        };
        self.check("configuring", result, "")?;
        if let Some(mtu) = mtu {
            let result = if known(&mtu) {
                // SAFETY: the port is open and configured.
                unsafe { sys::rte_eth_dev_set_mtu(self.0.id, mtu) }
            } else {
                -libc::ENOTSUP
            };
            if result != 0 {
                tracing::warn!(port = %self.0.name, mtu, error = %error_text(result), "MTU stays as it is");
            }
        }
        Ok(())
    }

    fn set_up_queues(&self, config: &PortConfig, pool: &Pool) -> Result<(), PortError> {
        let id = self.0.id;
        let (mut rx, mut tx) = (config.rx_descriptors, config.tx_descriptors);
        // SAFETY: the port is open and configured, the places are ours.
        let result = unsafe { sys::rte_eth_dev_adjust_nb_rx_tx_desc(id, &raw mut rx, &raw mut tx) };
        self.check("adjusting descriptors", result, "")?;
        // SAFETY: the port is open.
        let socket = unsafe { sys::rte_eth_dev_socket_id(id) };
        // SOCKET_ID_ANY is -1 in C's `unsigned`.
        let socket = c_uint::from_ne_bytes(socket.to_ne_bytes());
        for queue in 0..config.rx_queues {
            // SAFETY: the port is configured with this queue and not started; the pool stays mapped as
            // long as EAL runs, which `Open` sees to.
            let result =
                unsafe { sys::rte_eth_rx_queue_setup(id, queue, rx, socket, ptr::null(), pool.pointer()) };
            let hint = match -result {
                libc::EINVAL | libc::ENOMEM => {
                    "; are the pool's buffers large enough for the MTU (of net_af_packet: for framesz)?"
                }
                _ => "",
            };
            self.check("setting up an RX queue", result, hint)?;
        }
        for queue in 0..config.tx_queues {
            // SAFETY: as above.
            let result = unsafe { sys::rte_eth_tx_queue_setup(id, queue, tx, socket, ptr::null()) };
            self.check("setting up a TX queue", result, "")?;
        }
        Ok(())
    }

    /// `net_af_packet` receives the beginning of a frame that is longer than its slot, and says nothing.
    fn warn_of_cuts(&self) {
        let devargs = &self.0.devargs;
        let slot = argument(devargs, "framesz").last().and_then(|text| text.parse().ok());
        // The kernel's header and address, aligned, and what it leaves for a link header: measured.
        let longest = slot.unwrap_or(2048_usize).saturating_sub(66);
        let mtu = argument(devargs, "iface").last().and_then(kernel_mtu).unwrap_or(0);
        if mtu + ETHERNET_BYTES as usize > longest {
            tracing::warn!(
                port = %self.0.name,
                "frames longer than {longest} bytes are cut when received, and the interface has MTU {mtu}: \
                 give the port a larger framesz (and blocksz), and the pool buffers that hold it"
            );
        }
    }

    fn info(&self) -> Result<Info, PortError> {
        let mut raw = sys::rte_eth_dev_info::default();
        // SAFETY: the port is open, the place is ours and of the type asked for.
        let result = unsafe { sys::rte_eth_dev_info_get(self.0.id, &raw mut raw) };
        self.check("asking the driver", result, "")?;
        if raw.driver_name.is_null() {
            return Ok(Info { raw, driver: "unknown".to_owned() });
        }
        // SAFETY: the driver's name is a constant of the driver, which is not unloaded.
        let driver = unsafe { CStr::from_ptr(raw.driver_name) }.to_string_lossy().into_owned();
        Ok(Info { raw, driver })
    }

    fn check(&self, step: &'static str, result: c_int, hint: &'static str) -> Result<(), PortError> {
        if result >= 0 {
            return Ok(());
        }
        Err(PortError::Failed { port: self.0.name.clone(), step, reason: error_text(result), hint })
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        // AcqRel is not needed: the last owner is alone. Relaxed reads what it or an owner before it wrote.
        if self.started.load(Ordering::Relaxed) {
            // SAFETY: the queues hold this `Open`, so nobody polls any more.
            let result = unsafe { sys::rte_eth_dev_stop(self.id) };
            if result != 0 {
                tracing::warn!(port = %self.name, error = %error_text(result), "did not stop");
            }
        }
        // SAFETY: as above; the id is not used after this.
        let result = unsafe { sys::rte_eth_dev_close(self.id) };
        if result != 0 {
            tracing::warn!(port = %self.name, error = %error_text(result), "did not close");
        }
        lock(&self.process.ports).retain(|id| *id != self.id);
    }
}

impl fmt::Display for Abilities {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let yes = |flag: bool| if flag { "yes" } else { "no" };
        let mut link = "unknown".to_owned();
        if let Some((up, mbps)) = self.link {
            (if up { "up" } else { "down" }).clone_into(&mut link);
            // 0 and all ones mean that nobody knows.
            if up && mbps != 0 && mbps != u32::MAX {
                write!(link, ", {mbps} Mbit/s")?;
            }
        }
        let number =
            |value: Option<u32>, none: &str| value.map_or(none.to_owned(), |value| value.to_string());
        let rows = [
            ("driver", self.driver.clone()),
            ("queues", format!("{} RX, {} TX", self.rx_queues, self.tx_queues)),
            ("RSS by IP addresses", format!("{} (table of {})", yes(self.rss_ip), self.reta)),
            ("MTU", number(self.mtu.map(u32::from), "none")),
            ("packet times", yes(self.packet_clock).to_owned()),
            ("memory socket", number(self.socket, "any")),
            ("link", link),
            ("shared frames", yes(self.takes_shared).to_owned()),
            ("segmented frames", yes(self.takes_segments).to_owned()),
        ];
        writeln!(f, "port {}", self.device)?;
        for (name, value) in rows {
            writeln!(f, "  {name:<20} {value}")?;
        }
        Ok(())
    }
}

/// Drivers whose ways differ from what their abilities say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Driver {
    Pcap,
    Null,
    Ring,
    Memif,
    Bonding,
    Tap,
    AfPacket,
    AfXdp,
    Other,
}

impl Driver {
    fn of(name: &str) -> Self {
        match name {
            "net_pcap" => Self::Pcap,
            "net_null" => Self::Null,
            "net_ring" => Self::Ring,
            "net_memif" => Self::Memif,
            "net_bonding" => Self::Bonding,
            "net_tap" => Self::Tap,
            "net_af_packet" => Self::AfPacket,
            "net_af_xdp" => Self::AfXdp,
            _ => Self::Other,
        }
    }

    /// Whether a port with these arguments reads files, and so comes to an end.
    fn is_file_like(self, devargs: &str) -> bool {
        self == Self::Pcap && argument(devargs, "rx_pcap").next().is_some()
    }

    /// A ring hands the mbuf itself to another reader, who may write; a bond to a port of any kind;
    /// memif's zero-copy mode gives the buffer to the peer. All others only read what they send.
    const fn takes_shared(self) -> bool {
        !matches!(self, Self::Ring | Self::Memif | Self::Bonding)
    }

    /// These walk the segments though they do not say so.
    const fn takes_segments(self, offloads: u64) -> bool {
        let walks =
            matches!(self, Self::Pcap | Self::Null | Self::Ring | Self::Memif | Self::Tap | Self::AfPacket);
        walks || offloads & sys::SNIPE_TX_OFFLOAD_MULTI_SEGS != 0
    }

    /// Whether a receive queue and a transmit queue are one thing: neither can be had without the other.
    const fn pairs_queues(self) -> bool {
        matches!(self, Self::AfXdp)
    }

    /// The longest frame that can be sent.
    fn frame_max(self, devargs: &str, mtu: Option<u16>, overhead: u32) -> usize {
        let by_mtu =
            mtu.map_or(usize::from(u16::MAX), |mtu| usize::from(mtu) + (overhead - CRC_BYTES) as usize);
        match self {
            // They have an MTU and do not keep to it.
            Self::Pcap | Self::Null | Self::Ring | Self::Memif => usize::from(u16::MAX),
            // The MTU is the kernel's and not the one that DPDK has. Longer frames than a slot of the ring
            // (2048 bytes unless `framesz` says otherwise) holds behind the kernel's header of 32 are
            // taken by the driver and dropped.
            Self::AfPacket => {
                let slot = argument(devargs, "framesz").last().and_then(|text| text.parse().ok());
                let by_kernel = argument(devargs, "iface").last().and_then(kernel_mtu);
                let by_kernel = by_kernel.map_or(usize::from(u16::MAX), |mtu| mtu + ETHERNET_BYTES as usize);
                by_kernel.min(slot.unwrap_or(2048_usize).saturating_sub(32))
            }
            Self::Bonding | Self::Tap | Self::AfXdp | Self::Other => by_mtu,
        }
    }
}

/// Bytes that the device counts to a frame beside its MTU: header, tags and checksum.
fn overhead(info: &sys::rte_eth_dev_info) -> u32 {
    let usual = ETHERNET_BYTES + CRC_BYTES;
    if info.max_mtu == u16::MAX || info.max_rx_pktlen == u32::MAX {
        return usual;
    }
    match info.max_rx_pktlen.checked_sub(u32::from(info.max_mtu)) {
        Some(bytes) if (usual..=usual + TAGS_BYTES).contains(&bytes) => bytes,
        _ => usual,
    }
}

/// The device's name in its devargs: no arguments, no bus, PCI addresses with their domain.
fn device_name(devargs: &str) -> String {
    let name = devargs.split(',').next().unwrap_or_default().trim();
    let name = name.strip_prefix("vdev:").or_else(|| name.strip_prefix("pci:")).unwrap_or(name);
    if is_pci(&format!("0000:{name}")) { format!("0000:{name}") } else { name.to_owned() }
}

/// Whether this is a PCI address with a domain: `0000:3b:00.0`.
fn is_pci(name: &str) -> bool {
    let mut parts = name.split([':', '.']);
    let mut hex = |digits: usize| {
        parts.next().is_some_and(|part| part.len() == digits && part.bytes().all(|b| b.is_ascii_hexdigit()))
    };
    hex(4) && hex(2) && hex(2) && hex(1) && parts.next().is_none()
}

/// The MTU that the kernel has for an interface.
fn kernel_mtu(interface: &str) -> Option<usize> {
    fs::read_to_string(format!("/sys/class/net/{interface}/mtu")).ok()?.trim().parse().ok()
}

/// The values of one argument in devargs.
fn argument<'a>(devargs: &'a str, key: &'a str) -> impl Iterator<Item = &'a str> {
    devargs.split(',').skip(1).filter_map(move |pair| {
        let (name, value) = pair.split_once('=')?;
        (name.trim() == key).then_some(value)
    })
}

/// `net_pcap` says nothing of what is wrong with a file, and takes every link type for Ethernet.
fn check_captures(name: &str, devargs: &str) -> Result<(), PortError> {
    if !name.starts_with("net_pcap") && !name.starts_with("eth_pcap") {
        return Ok(());
    }
    for path in argument(devargs, "rx_pcap") {
        let path = PathBuf::from(path);
        match capture::link_type(&path) {
            Ok(number) if number == LinkType::Ethernet.number() => {}
            Ok(number) => return Err(PortError::Link { port: name.to_owned(), path, number }),
            Err(error) => {
                return Err(PortError::Capture { port: name.to_owned(), path, reason: error.to_string() });
            }
        }
    }
    Ok(())
}

/// The port of a device that EAL has.
fn find(name: &CStr) -> Option<u16> {
    let mut id = 0;
    // SAFETY: EAL runs; the string lives through the call, the place is ours.
    if unsafe { sys::rte_eth_dev_get_port_by_name(name.as_ptr(), &raw mut id) } == 0 {
        return Some(id);
    }
    // Some drivers name their ports in their own way; then the device is asked for its ports.
    let mut iterator = sys::rte_dev_iterator::default();
    // SAFETY: as above; the iterator is ours.
    if unsafe { sys::rte_eth_iterator_init(&raw mut iterator, name.as_ptr()) } != 0 {
        return None;
    }
    // SAFETY: the iterator was just made.
    let id = unsafe { sys::rte_eth_iterator_next(&raw mut iterator) };
    if u32::from(id) >= sys::RTE_MAX_ETHPORTS {
        // At its end an iterator has freed what it had.
        return None;
    }
    // SAFETY: it was made above and is not used after this.
    unsafe { sys::rte_eth_iterator_cleanup(&raw mut iterator) };
    Some(id)
}

fn why_not_probed(name: &str, devargs: &str, error: c_int) -> PortError {
    let port = name.to_owned();
    if is_pci(name) {
        let path = format!("/sys/bus/pci/devices/{name}");
        if !exists(&path) {
            return PortError::NoSuchDevice { port };
        }
        let driver = fs::read_link(format!("{path}/driver")).ok();
        let driver = driver.and_then(|link| Some(link.file_name()?.to_string_lossy().into_owned()));
        match driver.as_deref() {
            Some("vfio-pci" | "igb_uio" | "uio_pci_generic" | "mlx5_core" | "mlx4_core") => {}
            Some(driver) => return PortError::WrongDriver { port, driver: driver.to_owned() },
            None => return PortError::WrongDriver { port, driver: "(none)".to_owned() },
        }
    } else if error == 0 || error == -libc::ENODEV || error == -libc::EFAULT || error == -libc::EINVAL {
        let known = ["net_", "eth_", "virtio_user"].iter().any(|prefix| name.starts_with(prefix));
        if !known || error != -libc::EINVAL {
            return PortError::NoDriver { port };
        }
    }
    let reason = if error == 0 { "it made no network port".to_owned() } else { error_text(error) };
    PortError::Refused { port, devargs: devargs.to_owned(), reason }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_in_devargs() {
        assert_eq!(device_name("net_pcap0,rx_pcap=a.pcap"), "net_pcap0");
        assert_eq!(device_name("vdev:net_null1"), "net_null1");
        assert_eq!(device_name("0000:3b:00.0,representor=0"), "0000:3b:00.0");
        assert_eq!(device_name("3b:00.1"), "0000:3b:00.1");
        assert_eq!(device_name("pci:0000:3b:00.1"), "0000:3b:00.1");
        assert!(!is_pci("0000:3b:00"));
        assert!(!is_pci("0000:zz:00.0"));
        assert!(!is_pci("0000:3b:00.0.0"));
    }

    #[test]
    fn arguments_in_devargs() {
        let devargs = "net_af_packet0,iface=eth0,framesz=4096,framesz=9216";
        assert_eq!(argument(devargs, "framesz").collect::<Vec<_>>(), ["4096", "9216"]);
        assert_eq!(argument("framesz=1", "framesz").count(), 0);
    }

    #[test]
    fn longest_frames() {
        assert_eq!(Driver::of("net_ice").frame_max("", Some(1500), 26), 1522);
        assert_eq!(Driver::of("net_tap").frame_max("", Some(1500), 18), 1514);
        assert_eq!(Driver::of("net_af_packet").frame_max("net_af_packet0,iface=x/y", Some(1500), 18), 2016);
        // The loopback interface is the one that every machine has.
        let lo = kernel_mtu("lo").map_or(0, |mtu| mtu + 14).min(100_000 - 32);
        assert_eq!(Driver::of("net_af_packet").frame_max("a,iface=lo,framesz=100000", None, 18), lo);
        assert_eq!(Driver::of("net_pcap").frame_max("", Some(1500), 18), 65_535);
    }
}
