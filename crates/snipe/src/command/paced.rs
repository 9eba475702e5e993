//! Packets at the pace they were captured at.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use batch::{Batch, RxQueue};
use replay::Finite;

/// A queue that hands packets out when they are due: so many times as fast as their own times say.
/// It can be ended before its time.
#[derive(Debug)]
pub(crate) struct Paced<Q: RxQueue> {
    inner: Q,
    factor: Option<f64>,
    waiting: Box<Batch<Q::Frame>>,
    start: Option<(Instant, u64)>,
    end: Arc<AtomicBool>,
}

impl<Q: RxQueue> Paced<Q> {
    /// Without a factor packets are due at once. Once `end` is set, there are no more.
    pub(crate) fn new(inner: Q, factor: Option<f64>, end: Arc<AtomicBool>) -> Self {
        Self { inner, factor, waiting: Box::default(), start: None, end }
    }

    /// Whether it was ended before its time.
    pub(crate) fn ended(&self) -> bool {
        self.end.load(Ordering::Relaxed)
    }

    /// The queue itself.
    pub(crate) const fn inner(&self) -> &Q {
        &self.inner
    }

    fn hand_out_due(&mut self, factor: f64, batch: &mut Batch<Q::Frame>) -> usize {
        if self.waiting.is_empty() {
            self.waiting.clear();
            self.inner.receive(&mut self.waiting);
        }
        let now = Instant::now();
        let mut count = 0;
        for slot in self.waiting.live() {
            let time_ns = self.waiting.time_ns.get(slot);
            let (start, first_ns) = *self.start.get_or_insert((now, time_ns));
            let due_secs = time_ns.saturating_sub(first_ns) as f64 / 1e9 / factor;
            if now.duration_since(start).as_secs_f64() < due_secs || batch.room() == 0 {
                break;
            }
            let Some(packet) = self.waiting.take(slot) else { continue };
            if batch.push_received(packet.frame, packet.meta.time_ns, packet.meta.wire_bytes).is_ok() {
                count += 1;
            }
        }
        count
    }
}

impl<Q: RxQueue> RxQueue for Paced<Q> {
    type Frame = Q::Frame;

    #[inline]
    fn receive(&mut self, batch: &mut Batch<Q::Frame>) -> usize {
        if self.ended() {
            return 0;
        }
        match self.factor {
            None => self.inner.receive(batch),
            Some(factor) => self.hand_out_due(factor, batch),
        }
    }
}

impl<Q: RxQueue + Finite> Finite for Paced<Q> {
    fn finished(&self) -> bool {
        self.ended() || self.inner.finished() && self.waiting.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use replay::HeapFrame;
    use std::time::Duration;

    /// Hands out its frames' times in one burst.
    struct Burst(Vec<u64>);

    impl RxQueue for Burst {
        type Frame = HeapFrame;

        fn receive(&mut self, batch: &mut Batch<HeapFrame>) -> usize {
            let times = std::mem::take(&mut self.0);
            for &time_ns in &times {
                batch.push_received(HeapFrame::from_vec(vec![0; 60]), time_ns, 60).unwrap();
            }
            times.len()
        }
    }

    impl Finite for Burst {
        fn finished(&self) -> bool {
            self.0.is_empty()
        }
    }

    fn received(queue: &mut Paced<Burst>) -> Vec<u64> {
        let mut batch = Batch::new();
        queue.receive(&mut batch);
        batch.live().map(|slot| batch.time_ns.get(slot)).collect()
    }

    #[test]
    fn without_a_factor_nothing_waits() {
        let mut queue = Paced::new(Burst(vec![5, 1_000_000_000_000]), None, Arc::default());
        assert_eq!(received(&mut queue).len(), 2);
        assert!(queue.finished());
    }

    #[test]
    fn a_packet_waits_until_it_is_due() {
        let far = 3_600_000_000_000;
        let mut queue = Paced::new(Burst(vec![5, 5, far]), Some(2.0), Arc::default());
        assert_eq!(received(&mut queue), [5, 5]);
        assert!(received(&mut queue).is_empty());
        assert!(!queue.finished());
        // Half an hour, at twice the speed, later:
        queue.start = queue.start.map(|(start, first)| (start - Duration::from_secs(1_801), first));
        assert_eq!(received(&mut queue), [far]);
        assert!(queue.finished());
    }

    #[test]
    fn an_ended_queue_has_no_more() {
        let mut queue = Paced::new(Burst(vec![5, 5]), None, Arc::default());
        queue.end.store(true, Ordering::Relaxed);
        assert!(received(&mut queue).is_empty());
        assert!(queue.finished());
    }
}
