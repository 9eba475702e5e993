//! DPDK, made safe: start and end ([`Eal`]), ports and their queues ([`Port`], [`RxQueue`], [`TxQueue`]),
//! packet buffers ([`Pool`], [`Mbuf`]), rings ([`Ring`]) and logical cores ([`Eal::launch`]).
//!
//! Queues, mbufs and pools are what the dataplane's traits ask for, so it runs on them without knowing
//! DPDK. This crate knows no protocol and makes no decision; it prints nothing on standard output, never
//! panics, and reads the clock at most once a burst. DPDK's functions are called for bursts; only freeing
//! a single frame by dropping it is a call for one packet.
//!
//! ```no_run
//! use batch::{Batch, Burst, RxQueue as _, TxQueue as _};
//! use dpdk::{Clock, Eal, Pool, PoolConfig, Port, PortConfig};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! // The control thread and one worker share CPU 0.
//! let lcores = dpdk::lcores_argument(0, &[0])?;
//! let eal = Eal::init(["--no-huge", "--no-pci", "-m", "256", &lcores])?;
//! let pool = Pool::new(&eal, "rx", &PoolConfig { buffers: 16_383, ..PoolConfig::default() })?;
//!
//! let tap = Port::probe(&eal, "net_pcap0,rx_pcap=demo.pcap")?;
//! println!("{}", tap.abilities()?);
//! let config = PortConfig { clock: Clock::Packet, ..PortConfig::default() };
//! let mut rx = tap.start(&config, &pool)?.rx.remove(0);
//! let probe = Port::probe(&eal, "net_null0")?;
//! let mut tx = probe.start(&PortConfig::default(), &pool)?.tx.remove(0);
//!
//! let worker = eal.workers().next().ok_or("no worker")?;
//! let worker = eal.launch(worker, move || {
//!     let (mut batch, mut burst, mut packets) = (Batch::new(), Burst::new(), 0);
//!     while rx.receive(&mut batch) > 0 {
//!         for slot in batch.live() {
//!             burst.extend(batch.take(slot).map(|packet| packet.frame));
//!         }
//!         packets += tx.send(&mut burst);
//!         burst.clear();
//!         batch.clear();
//!     }
//!     packets
//! })?;
//! println!("{} packets; {:?}", worker.join()?, tap.stats()?);
//! # Ok(())
//! # }
//! ```

mod capture;
mod eal;
mod lcore;
mod mbuf;
mod pool;
mod port;
mod queue;
mod ring;
mod xdp;

pub use eal::{Eal, EalError};
pub use lcore::{Lcore, LcoreError, RegisteredThread, Worker, lcores_argument};
pub use mbuf::Mbuf;
pub use pool::{Pool, PoolConfig, PoolError};
pub use port::{Abilities, Clock, Port, PortConfig, PortError, PortStats, Queues};
pub use queue::{RxQueue, TxQueue};
pub use ring::{Owned, Receiver, Ring, RingError, Sender};
