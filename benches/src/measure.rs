//! Windows of cycles, and what they say.

use std::sync::OnceLock;
use std::time::{Duration, Instant};

/// How much is measured.
#[derive(Clone, Copy, Debug)]
pub struct Scale {
    /// Windows for each rival.
    pub windows: usize,
    /// Length of a window. The shorter it is, the more of them nobody else disturbs.
    pub window: Duration,
    /// Packet buffers, and as many flows.
    pub buffers: usize,
    /// Entries of the tunnel table.
    pub tunnels: u32,
    /// Subscribers of the control plane, small and large.
    pub subscribers: [u32; 2],
}

impl Scale {
    /// What results are made of.
    pub const FULL: Self = Self {
        windows: 201,
        window: Duration::from_millis(1),
        buffers: 131_072,
        tunnels: 10_000_000,
        subscribers: [10_000, 500_000],
    };
    /// Everything once, for a test.
    pub const TINY: Self = Self {
        windows: 3,
        window: Duration::from_micros(20),
        buffers: 1_024,
        tunnels: 20_000,
        subscribers: [50, 200],
    };
}

/// One way to do the work of a group.
pub struct Rival<'a> {
    name: &'static str,
    packets: u64,
    run: Box<dyn FnMut(u64) + 'a>,
}

impl<'a> Rival<'a> {
    /// `run(n)` does the work `n` times; once is `packets` packets, or operations.
    pub fn new(name: &'static str, packets: u64, run: impl FnMut(u64) + 'a) -> Self {
        Self { name, packets, run: Box::new(run) }
    }
}

/// What one rival needs, in TSC cycles for a packet.
#[derive(Clone, Debug, serde::Serialize)]
pub struct Sample {
    /// Its name.
    pub name: &'static str,
    /// What a tenth of the windows stayed below: the machine's limit.
    pub p10: f64,
    /// What was seen.
    pub median: f64,
    /// What `p10` must not be above, where the project promises that.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bar: Option<f64>,
}

impl Sample {
    /// The two numbers of these windows.
    #[must_use]
    pub fn of(name: &'static str, mut windows: Vec<f64>) -> Self {
        windows.sort_by(f64::total_cmp);
        Self { name, p10: windows[windows.len() / 10], median: windows[windows.len() / 2], bar: None }
    }
}

/// TSC cycles in this time.
pub(crate) fn cycles(time: Duration) -> u64 {
    static PER_SECOND: OnceLock<f64> = OnceLock::new();
    let per_second = PER_SECOND.get_or_init(|| {
        let (start, from) = (Instant::now(), cpu::tsc());
        while start.elapsed() < Duration::from_millis(20) {
            std::hint::spin_loop();
        }
        (cpu::tsc() - from) as f64 / start.elapsed().as_secs_f64()
    });
    (time.as_secs_f64() * per_second) as u64
}

/// Measures all rivals window by window, each in turn, so that what disturbs one disturbs all.
#[must_use]
pub fn measure(scale: &Scale, mut rivals: Vec<Rival<'_>>) -> Vec<Sample> {
    let window = cycles(scale.window);
    let rounds: Vec<u64> = rivals.iter_mut().map(|rival| rounds_of(rival, window)).collect();
    let mut windows = vec![Vec::with_capacity(scale.windows); rivals.len()];
    for turn in 0..scale.windows {
        for place in 0..rivals.len() {
            // Nobody is always the one behind the same other.
            let index = (turn + place) % rivals.len();
            let (rival, rounds) = (&mut rivals[index], rounds[index]);
            let start = cpu::tsc();
            (rival.run)(rounds);
            let spent = cpu::tsc() - start;
            windows[index].push(spent as f64 / (rounds * rival.packets) as f64);
        }
    }
    rivals.iter().zip(windows).map(|(rival, windows)| Sample::of(rival.name, windows)).collect()
}

/// Rounds that fill a window. The quickest of three tries counts: the others met somebody.
fn rounds_of(rival: &mut Rival<'_>, window: u64) -> u64 {
    let mut rounds = 1;
    loop {
        let quickest = (0..3)
            .map(|_| {
                let start = cpu::tsc();
                (rival.run)(rounds);
                cpu::tsc() - start
            })
            .min()
            .unwrap_or(0)
            .max(1);
        if quickest * 4 >= window {
            return (rounds * window / quickest).max(1);
        }
        assert!(rounds < 1 << 40, "{} does nothing", rival.name);
        rounds *= 2;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sample_is_the_tenth_and_the_middle() {
        let sample = Sample::of("x", (0..201).rev().map(f64::from).collect());
        assert_eq!((sample.p10, sample.median), (20.0, 100.0));
        let sample = Sample::of("x", vec![3.0]);
        assert_eq!((sample.p10, sample.median), (3.0, 3.0));
    }

    #[test]
    fn every_rival_has_its_turn() {
        let (mut a, mut b) = (0, 0);
        let count = |sum: &mut u64, n| (0..n).for_each(|_| *std::hint::black_box(&mut *sum) += 1);
        let rivals = vec![Rival::new("a", 1, |n| count(&mut a, n)), Rival::new("b", 2, |n| count(&mut b, n))];
        let samples = measure(&Scale::TINY, rivals);
        assert_eq!(samples.iter().map(|sample| sample.name).collect::<Vec<_>>(), ["a", "b"]);
        assert!(a > 0 && b > 0);
    }
}
