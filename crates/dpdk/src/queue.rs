//! The queues of a started port, as the dataplane uses them.

use std::ffi::c_int;
use std::mem;
use std::time::{SystemTime, UNIX_EPOCH};

use arrayvec::ArrayVec;
use batch::{BATCH, Batch, Burst, Frame};
use dpdk_sys as sys;
use types::DropReason;

use crate::{Mbuf, Pool, Port};

/// Where arrival times come from, ready for use.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Timestamps {
    /// Microseconds since 1970 in a dynamic field of the mbuf.
    Micros { offset: usize, flag: u64, last_ns: u64 },
    /// The machine's clock, read for each burst that is not empty.
    Host,
    /// What the caller said last.
    Given(u64),
}

impl Timestamps {
    /// Where `net_pcap` puts the time of the capture.
    pub(crate) fn of_pcap() -> Option<Self> {
        let (mut offset, mut flag): (c_int, u64) = (0, 0);
        // SAFETY: EAL runs, as there is a port; the places are ours. Registering again finds what is there.
        let result = unsafe { sys::rte_mbuf_dyn_rx_timestamp_register(&raw mut offset, &raw mut flag) };
        let offset = usize::try_from(offset).ok()?;
        (result == 0).then_some(Self::Micros { offset, flag, last_ns: 0 })
    }
}

/// One receive queue. Frames of an idle queue's pool stay with the device until the port is closed.
#[derive(Debug)]
pub struct RxQueue {
    port: Port,
    queue: u16,
    timestamps: Timestamps,
    /// Its time is over when its packets are: it reads files.
    file_like: bool,
    // The device fills buffers of this pool.
    _pool: Pool,
}

impl RxQueue {
    pub(crate) fn new(port: Port, queue: u16, timestamps: Timestamps, file_like: bool, pool: Pool) -> Self {
        Self { port, queue, timestamps, file_like, _pool: pool }
    }

    /// The port it is of.
    #[must_use]
    pub const fn port(&self) -> &Port {
        &self.port
    }

    /// Sets the arrival time of what is received from now on, where the clock is [`Clock::Given`].
    ///
    /// [`Clock::Given`]: crate::Clock::Given
    pub const fn set_now(&mut self, now_ns: u64) {
        if let Timestamps::Given(time) = &mut self.timestamps {
            *time = now_ns;
        }
    }
}

impl batch::RxQueue for RxQueue {
    type Frame = Mbuf;

    fn receive(&mut self, batch: &mut Batch<Mbuf>) -> usize {
        let mut frames: ArrayVec<Mbuf, BATCH> = ArrayVec::new();
        let room = batch.room() as u16;
        let place = frames.as_mut_ptr().cast::<*mut sys::rte_mbuf>();
        // SAFETY: `frames` has room for `BATCH` pointers, which is what an `Mbuf` is, and `room` is at
        // most that. The port runs as long as `self.port` is there; no other value polls this queue,
        // as each was made once, and `&mut self` keeps two threads from doing so.
        let got = unsafe { sys::snipe_rx_burst(self.port.0.id, self.queue, place, room) };
        if got == 0 {
            return 0;
        }
        // SAFETY: the driver wrote `got` mbufs and gave its reference to each of them up.
        unsafe { frames.set_len(usize::from(got)) };
        let pushed = match &mut self.timestamps {
            Timestamps::Micros { offset, flag, last_ns } => {
                batch.extend_received(frames.into_iter().map(|frame| {
                    if let Some(micros) = frame.dynamic(*offset, *flag) {
                        *last_ns = micros.wrapping_mul(1000);
                    }
                    arrived(frame, *last_ns)
                }))
            }
            Timestamps::Host => {
                let now_ns = host_ns();
                batch.extend_received(frames.into_iter().map(|frame| arrived(frame, now_ns)))
            }
            Timestamps::Given(now_ns) => {
                batch.extend_received(frames.into_iter().map(|frame| arrived(frame, *now_ns)))
            }
        };
        debug_assert_eq!(pushed, usize::from(got), "no more was asked for than the batch has room for");
        usize::from(got)
    }

    fn now_ns(&self) -> Option<u64> {
        match self.timestamps {
            // A live interface stamps packets with the machine's clock.
            Timestamps::Micros { .. } if self.file_like => None,
            Timestamps::Micros { .. } | Timestamps::Host => Some(host_ns()),
            Timestamps::Given(now_ns) => Some(now_ns),
        }
    }
}

/// The machine's clock.
fn host_ns() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    now.as_secs().wrapping_mul(1_000_000_000).wrapping_add(u64::from(now.subsec_nanos()))
}

/// A frame with its time and its length.
#[inline(always)]
fn arrived(frame: Mbuf, time_ns: u64) -> (Mbuf, u64, u32) {
    // An mbuf's length is 32 bits.
    let wire_bytes = frame.len() as u32;
    (frame, time_ns, wire_bytes)
}

/// What a port can send.
#[derive(Clone, Copy, Debug)]
pub(crate) struct TxLimits {
    pub(crate) frame_max: usize,
    pub(crate) takes_shared: bool,
    pub(crate) takes_segments: bool,
}

/// One transmit queue.
#[derive(Debug)]
pub struct TxQueue {
    port: Port,
    queue: u16,
    limits: TxLimits,
}

impl TxQueue {
    pub(crate) const fn new(port: Port, queue: u16, limits: TxLimits) -> Self {
        Self { port, queue, limits }
    }

    /// The port it is of.
    #[must_use]
    pub const fn port(&self) -> &Port {
        &self.port
    }

    /// The longest frame that can be sent, in bytes.
    #[must_use]
    pub const fn frame_max(&self) -> usize {
        self.limits.frame_max
    }
}

impl batch::TxQueue for TxQueue {
    type Frame = Mbuf;

    fn send(&mut self, burst: &mut Burst<Mbuf>) -> usize {
        let place = burst.as_mut_ptr().cast::<*mut sys::rte_mbuf>();
        let count = burst.len() as u16;
        // SAFETY: the burst holds `count` pointers, which is what an `Mbuf` is. The port runs as long as
        // `self.port` is there; no other value sends on this queue, and `&mut self` keeps two
        // threads from doing so.
        let sent = unsafe { sys::snipe_tx_burst(self.port.0.id, self.queue, place, count) };
        let sent = usize::from(sent.min(count));
        // What was accepted is the driver's: forgotten here, not freed.
        burst.drain(..sent).for_each(mem::forget);
        sent
    }

    fn takes_shared(&self) -> bool {
        self.limits.takes_shared
    }

    fn fits(&self, frame: &Mbuf) -> Result<(), DropReason> {
        let long = frame.len() > self.limits.frame_max;
        if long || (!self.limits.takes_segments && frame.segment_count() > 1) {
            return Err(DropReason::ProbeMtu);
        }
        Ok(())
    }
}
