//! The writer: takes packets from all workers and writes them into files, in the order of the input
//! where that is asked for.

use std::sync::Arc;

use batch::{BATCH, Frame, Meta, ProbeCounters, Sink, TxCounters};
use cpu::Consumer;
use types::DropReason;

/// A packet on its way to the writer.
#[derive(Debug)]
pub struct Handover<F> {
    /// Its bytes; `None` where it only keeps its place in the order.
    pub frame: Option<F>,
    /// What is known of it; its probes are those that the writer serves.
    pub meta: Meta,
    /// Whether the worker has counted the packet already.
    pub counted: bool,
}

/// Writes to the sinks of the probes.
#[derive(Debug)]
pub struct Writer<F, S> {
    inputs: Vec<Consumer<Handover<F>>>,
    order: Option<Consumer<u8>>,
    /// The worker whose packet is next in the order, where it was not there yet.
    awaited: Option<u8>,
    sinks: Vec<Option<S>>,
    counters: Arc<TxCounters>,
    probes: Arc<[ProbeCounters]>,
}

impl<F: Frame, S: Sink> Writer<F, S> {
    /// Packets written in one round at most.
    const ROUND: usize = 4 * BATCH;

    /// A writer that is fed by these rings, one from each worker, for the sinks of the probes in
    /// order. With `order`, which names the worker of each packet, packets are written in the order of
    /// the input; without it, as they come.
    #[must_use]
    pub fn new(
        inputs: Vec<Consumer<Handover<F>>>,
        order: Option<Consumer<u8>>,
        sinks: Vec<Option<S>>,
        counters: Arc<TxCounters>,
        probes: Arc<[ProbeCounters]>,
    ) -> Self {
        Self { inputs, order, awaited: None, sinks, counters, probes }
    }

    /// One round. Returns how many packets were handled.
    pub fn poll(&mut self) -> usize {
        let Self { inputs, order, awaited, sinks, counters, probes } = self;
        let mut write = |item| write(sinks, counters, probes, item);
        let Some(order) = order else {
            return inputs.iter_mut().map(|input| input.pop_each(Self::ROUND, &mut write)).sum();
        };
        let mut count = 0;
        while count < Self::ROUND {
            let Some(worker) = awaited.take().or_else(|| order.pop()) else { break };
            let Some(item) = inputs.get_mut(usize::from(worker)).and_then(Consumer::pop) else {
                *awaited = Some(worker);
                break;
            };
            write(item);
            count += 1;
        }
        count
    }

    /// Hands on what the sinks have kept back.
    pub fn flush(&mut self) {
        self.sinks.iter_mut().flatten().for_each(S::flush);
    }

    /// Takes the sinks out, at the end.
    #[must_use]
    pub fn into_sinks(self) -> Vec<Option<S>> {
        self.sinks
    }

    /// The sinks, to ask them how they are.
    pub fn sinks(&self) -> impl Iterator<Item = &S> {
        self.sinks.iter().flatten()
    }
}

#[inline(always)]
fn write<F: Frame, S: Sink>(
    sinks: &mut [Option<S>],
    counters: &TxCounters,
    probes: &[ProbeCounters],
    item: Handover<F>,
) {
    let Some(frame) = item.frame else { return };
    let mut outcome = Err(DropReason::ProbeWrite);
    for probe in item.meta.probes.iter() {
        let index = usize::from(probe.0);
        let (Some(Some(sink)), Some(counters)) = (sinks.get_mut(index), probes.get(index)) else { continue };
        match sink.write(&item.meta, &frame) {
            Ok(()) => {
                counters.sent(item.meta.class, frame.len() as u64);
                outcome = Ok(());
            }
            Err(reason) => {
                counters.dropped(reason, 1);
                outcome = outcome.map_err(|_| reason);
            }
        }
    }
    if !item.counted {
        match outcome {
            Ok(()) => counters.delivered(1),
            Err(reason) => counters.dropped(reason, 1),
        }
    }
}
