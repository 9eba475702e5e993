//! Which CPU does what, and the loops that run there.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use control::Lcores;
use dpdk::{Eal, LcoreError, Mbuf, RxQueue, TxQueue};
use pipeline::{Receiver, Worker, Writer};

use super::Dataplane;
use crate::command::files::FileProbe;

/// The CPUs of the dataplane, and the roles of each.
#[derive(Debug)]
pub(super) struct Cores {
    cores: Vec<Core>,
}

#[derive(Debug)]
struct Core {
    cpu: u32,
    /// Places in [`Lcores::rx`] and [`Lcores::workers`].
    receiver: Option<usize>,
    worker: Option<usize>,
    /// Another busy thread lives on this CPU: the control thread's, or the writer's.
    shared: bool,
}

impl Cores {
    /// One loop for each CPU, whatever the number of its roles.
    pub(super) fn place(lcores: &Lcores) -> Self {
        let mut cpus: Vec<u32> = lcores.rx.iter().chain(&lcores.workers).copied().collect();
        cpus.sort_unstable();
        cpus.dedup();
        let core = |cpu| Core {
            cpu,
            receiver: lcores.rx.iter().position(|&rx| rx == cpu),
            worker: lcores.workers.iter().position(|&worker| worker == cpu),
            shared: cpu == lcores.control,
        };
        Self { cores: cpus.into_iter().map(core).collect() }
    }

    /// The CPUs, in the order of DPDK's worker lcores.
    pub(super) fn cpus(&self) -> Vec<u32> {
        self.cores.iter().map(|core| core.cpu).collect()
    }

    /// Starts all loops. Where one does not start, those before it are in `running`.
    pub(super) fn launch(
        &self,
        eal: &Eal,
        dataplane: &mut Dataplane,
        phase: &Arc<Phase>,
        running: &mut Vec<dpdk::Worker<()>>,
    ) -> Result<(), LcoreError> {
        let mut receivers: Vec<_> = dataplane.receivers.drain(..).map(Some).collect();
        let mut workers: Vec<_> = dataplane.workers.drain(..).map(Some).collect();
        for (core, lcore) in self.cores.iter().zip(eal.workers()) {
            let mut receiver = core.receiver.and_then(|place| receivers.get_mut(place)?.take());
            let mut worker = core.worker.and_then(|place| workers.get_mut(place)?.take());
            let (phase, shared) = (Arc::clone(phase), core.shared);
            running.push(eal.launch(lcore, move || work(&mut receiver, &mut worker, &phase, shared))?);
        }
        Ok(())
    }
}

/// How far the shutdown has come: ports, then workers, then files.
#[derive(Debug)]
pub(super) struct Phase {
    stop: AtomicBool,
    receivers: AtomicUsize,
    workers: AtomicUsize,
}

impl Phase {
    pub(super) fn new(receivers: usize, workers: usize) -> Self {
        Self {
            stop: AtomicBool::new(false),
            receivers: AtomicUsize::new(receivers),
            workers: AtomicUsize::new(workers),
        }
    }

    /// Nothing more is to be received.
    pub(super) fn stop(&self) {
        // Release pairs with the Acquire load in `work`; nothing but the flag is handed over.
        self.stop.store(true, Ordering::Release);
    }
}

/// Counts one role out when it is dropped: at its end, or where its core fails.
struct Present<'a>(&'a AtomicUsize);

impl Drop for Present<'_> {
    fn drop(&mut self) {
        // Release pairs with the Acquire loads of those who wait for it: what was pushed before is seen.
        self.0.fetch_sub(1, Ordering::Release);
    }
}

/// One CPU's loop. Returns when what its receiver has received was handed on, and all that its worker
/// was given has had its outcome.
fn work(
    receiver: &mut Option<Receiver<RxQueue>>,
    worker: &mut Option<Worker<Mbuf, TxQueue>>,
    phase: &Phase,
    shared: bool,
) {
    let mut receiving = receiver.is_some().then(|| Present(&phase.receivers));
    let mut working = worker.is_some().then(|| Present(&phase.workers));
    while receiving.is_some() || working.is_some() {
        let mut moved = 0;
        if let Some(queues) = receiver {
            if !phase.stop.load(Ordering::Acquire) {
                moved += queues.poll();
            } else if queues.has_tracker() && phase.receivers.load(Ordering::Acquire) > 1 {
                // Others may still have something to tell it.
                moved += queues.serve();
            } else if queues.finish() {
                *receiver = None;
                receiving = None;
            }
        }
        if let Some(stages) = worker {
            let fed = phase.receivers.load(Ordering::Acquire) > 0;
            moved += stages.poll();
            if !fed && stages.finish() {
                *worker = None;
                working = None;
            }
        }
        if moved == 0 {
            if shared {
                thread::yield_now();
            } else {
                std::hint::spin_loop();
            }
        }
    }
}

/// How long the writer sleeps when there is nothing to write.
const PAUSE: Duration = Duration::from_micros(200);
/// How long a packet may stay in a buffer before it is in the file.
const FLUSH_EVERY: Duration = Duration::from_millis(250);

/// The writer's loop. Returns when the workers are done and everything is in the files.
pub(super) fn write(writer: &mut Writer<Mbuf, FileProbe>, phase: &Phase) {
    let mut flushed = Instant::now();
    loop {
        let fed = phase.workers.load(Ordering::Acquire) > 0;
        let written = writer.poll();
        if written == 0 {
            if !fed {
                writer.flush();
                return;
            }
            thread::sleep(PAUSE);
        }
        if flushed.elapsed() >= FLUSH_EVERY {
            writer.flush();
            flushed = Instant::now();
        }
    }
}
