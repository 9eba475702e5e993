//! A word among five that other threads change.

use core::sync::atomic::{AtomicU64, Ordering};

/// Finds a word among five: one implementation for each way the processor can.
pub trait Equal: Copy {
    /// A bit for each of `words` that was `word` when it was read, the lowest for the first. Each is read
    /// once, with the ordering of a relaxed load.
    fn equal(self, words: &[AtomicU64; 5], word: u64) -> u32;
}

/// One word after the other: every processor can.
#[derive(Clone, Copy, Debug, Default)]
pub struct OneByOne;

impl Equal for OneByOne {
    #[inline(always)]
    fn equal(self, words: &[AtomicU64; 5], word: u64) -> u32 {
        let bit = |(place, own): (usize, &AtomicU64)| u32::from(own.load(Ordering::Relaxed) == word) << place;
        words.iter().enumerate().map(bit).fold(0, |bits, bit| bits | bit)
    }
}

/// Four at a time. The fewer instructions a look-up has, the more look-ups fit into the window in which
/// the processor waits for memory: bulk look-ups among 10 million tunnels take 0.75 of the cycles.
#[cfg(target_arch = "x86_64")]
#[derive(Clone, Copy, Debug)]
pub struct Avx(());

#[cfg(target_arch = "x86_64")]
impl Avx {
    /// If this processor can.
    #[must_use]
    pub fn detect() -> Option<Self> {
        std::arch::is_x86_feature_detected!("avx").then_some(Self(()))
    }
}

#[cfg(target_arch = "x86_64")]
impl Equal for Avx {
    #[inline(always)]
    fn equal(self, words: &[AtomicU64; 5], word: u64) -> u32 {
        let [.., last] = words;
        let mask: u32;
        // SAFETY: AVX is there: `detect` is the only way to a value of this type. The block reads the
        // first four of five words that are borrowed, aligned to eight bytes and so each in one piece, as
        // four relaxed loads would (no `pure`: it stays where it is), and writes registers only.
        unsafe {
            core::arch::asm!(
                "vmovq {all}, {word}",
                "vpunpcklqdq {all}, {all}, {all}",
                "vpcmpeqq {two}, {all}, xmmword ptr [{words}]",
                "vpcmpeqq {all}, {all}, xmmword ptr [{words} + 16]",
                "vpackssdw {two}, {two}, {all}",
                "vmovmskps {mask:e}, {two}",
                words = in(reg) words.as_ptr(),
                word = in(reg) word,
                all = out(xmm_reg) _,
                two = out(xmm_reg) _,
                mask = lateout(reg) mask,
                options(readonly, nostack, preserves_flags),
            );
        }
        mask | u32::from(last.load(Ordering::Relaxed) == word) << 4
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    fn check(equal: impl Equal) {
        let words: [AtomicU64; 5] = [7, 1 << 63, 7, 0, u64::MAX].map(AtomicU64::new);
        for (word, expected) in
            [(7, 0b101), (1 << 63, 0b10), (0, 0b1000), (u64::MAX, 0b1_0000), (7 << 32, 0), (1, 0)]
        {
            assert_eq!(equal.equal(&words, word), expected, "{word:#x}");
        }
        // A word whose halves agree with two of them.
        words[1].store(0x1111_1111_2222_2222, Ordering::Relaxed);
        assert_eq!(equal.equal(&words, 0x1111_1111_0000_0007), 0);
        assert_eq!(equal.equal(&words, 0x2222_2222), 0);
        assert_eq!(equal.equal(&words, 0x1111_1111_2222_2222), 0b10);
        // At every alignment that words have.
        let many: Vec<AtomicU64> = (0..64).map(AtomicU64::new).collect();
        for (start, five) in many.windows(5).filter_map(<[_]>::first_chunk::<5>).enumerate() {
            for place in 0..5 {
                assert_eq!(equal.equal(five, (start + place) as u64), 1 << place);
            }
            assert_eq!(equal.equal(five, start as u64 + 5), 0);
        }
    }

    #[test]
    fn one_by_one() {
        check(OneByOne);
    }

    #[cfg(target_arch = "x86_64")]
    #[test]
    fn with_avx() {
        if let Some(avx) = Avx::detect() {
            check(avx);
        }
    }
}
