//! Packets on their way from the receiver to the workers, in the order of the input where that is
//! asked for: a packet that was held comes late, and those behind it wait for it.

use std::collections::VecDeque;

use batch::{Frame, Packet};

use crate::Dispatch;

/// Puts packets back into the order in which they came in.
#[derive(Debug)]
pub(crate) struct Outbox<F> {
    /// In the order of their numbers; `None` is a packet that is held.
    window: VecDeque<Option<Packet<F>>>,
    /// The number of the first place.
    first: u64,
    ordered: bool,
    packets: usize,
}

impl<F: Frame> Outbox<F> {
    /// `ordered`: by [`batch::Meta::sequence`], which must have no gaps in the end; else as they come.
    /// Room for `packets` is reserved.
    pub(crate) fn new(ordered: bool, packets: usize) -> Self {
        Self { window: VecDeque::with_capacity(packets), first: 0, ordered, packets: 0 }
    }

    /// Packets that wait in it.
    pub(crate) const fn packets(&self) -> usize {
        self.packets
    }

    /// Takes a packet whose place in the stream is settled, and hands it on if it is next.
    #[inline(always)]
    pub(crate) fn put(&mut self, packet: Packet<F>, dispatch: &mut Dispatch<F>) {
        let next = self.window.is_empty() && (!self.ordered || packet.meta.sequence == self.first);
        if next && dispatch.has_room() {
            self.first = self.first.wrapping_add(1);
            dispatch.send(packet);
        } else {
            self.keep(packet);
        }
    }

    #[cold]
    #[inline(never)]
    fn keep(&mut self, packet: Packet<F>) {
        self.packets += 1;
        if !self.ordered {
            self.window.push_back(Some(packet));
            return;
        }
        let place = packet.meta.sequence.wrapping_sub(self.first) as usize;
        if self.window.len() <= place {
            self.window.resize_with(place + 1, || None);
        }
        if let Some(slot) = self.window.get_mut(place) {
            *slot = Some(packet);
        }
    }

    /// Hands on what is next, as far as the workers take it. Returns whether nothing that could go is
    /// left.
    #[inline(always)]
    pub(crate) fn flush(&mut self, dispatch: &mut Dispatch<F>) -> bool {
        while let Some(Some(_)) = self.window.front() {
            if !dispatch.has_room() {
                return false;
            }
            let Some(Some(packet)) = self.window.pop_front() else { break };
            self.packets -= 1;
            self.first = self.first.wrapping_add(1);
            dispatch.send(packet);
        }
        true
    }
}
