//! A tunnelled tap is unpacked before anything else looks at it.

use std::ops::Range;
use std::sync::Arc;

use batch::{Batch, Frame, RxCounters, Slot, Stage, TxCounters};
use types::{DropReason, LinkType, TrafficClass};
use wire::Unpack;

use crate::linear::Linear;

/// Takes the VXLAN, GRE or ERSPAN headers of a tap away; what was inside is the packet from then on.
/// A packet that no tap has wrapped stays as it is.
pub struct Decap<F: Frame> {
    allowed: wire::Decap,
    pool: F::Pool,
    received: Arc<RxCounters>,
    drops: Arc<TxCounters>,
    linear: Linear,
}

impl<F: Frame> Decap<F> {
    /// Unpacks these tunnels. `pool` gives the buffers for packets that have to be rewritten; where
    /// it has none, the packet is dropped and counted as [`DropReason::PoolEmpty`], of class other.
    #[must_use]
    pub fn new(
        allowed: wire::Decap,
        pool: F::Pool,
        received: Arc<RxCounters>,
        drops: Arc<TxCounters>,
    ) -> Self {
        Self { allowed, pool, received, drops, linear: Linear::new() }
    }

    /// Leaves only `inner`, behind `header` if there is one. Returns how many bytes less there are.
    fn rewrite(
        &mut self,
        mut frame: F,
        inner: &Range<usize>,
        header: Option<[u8; 14]>,
    ) -> Option<(F, usize)> {
        let cut = header.map_or(Some(inner.start), |header| inner.start.checked_sub(header.len()))?;
        let before = frame.len();
        // Bytes are only copied where they have to be written or lie in several segments.
        if header.is_some() || !(frame.truncate(inner.end) && frame.trim_front(cut)) {
            frame = frame.make_private(&mut self.pool).ok()?;
            if !(frame.truncate(inner.end) && frame.trim_front(cut)) {
                return None;
            }
        }
        if let Some(header) = header {
            *frame.head_mut()?.first_chunk_mut::<14>()? = header;
        }
        let less = before - frame.len();
        Some((frame, less))
    }

    fn replace(&mut self, batch: &mut Batch<F>, slot: Slot, inner: &Range<usize>, header: Option<[u8; 14]>) {
        let Some(packet) = batch.take_frame(slot) else { return };
        match self.rewrite(packet, inner, header) {
            Some((frame, less)) => {
                batch.put_frame(slot, frame);
                let wire_bytes = batch.wire_bytes.get(slot);
                batch.wire_bytes.set(slot, wire_bytes.saturating_sub(u32::try_from(less).unwrap_or(0)));
            }
            None => {
                // Nothing has looked at what is inside.
                self.received.class(TrafficClass::Other, 1);
                self.drops.dropped(DropReason::PoolEmpty, 1);
            }
        }
    }
}

impl<F: Frame> Stage<F> for Decap<F> {
    fn run(&mut self, batch: &mut Batch<F>) {
        for slot in batch.live() {
            let Some(frame) = batch.frame(slot) else { continue };
            match wire::unpack(LinkType::Ethernet, self.linear.bytes(frame), self.allowed) {
                Unpack::Inner { range, header } => self.replace(batch, slot, &range, header),
                Unpack::Bad(reason) => batch.malformed.set(slot, Some(reason)),
                Unpack::None => {}
            }
        }
    }
}
