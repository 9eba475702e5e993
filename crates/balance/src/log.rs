//! A binary logarithm in integers, so that every machine weighs probes alike.

/// Fractional bits of the result.
const FRACTION: u32 = 32;

/// log2(1 + i/256) in `FRACTION` bits, for i = 0 … 256.
const TABLE: [u64; 257] = table();

/// Squaring doubles a logarithm: each squaring of the mantissa gives one more bit of it.
#[expect(clippy::indexing_slicing, reason = "evaluated by the compiler, which checks the index")]
const fn table() -> [u64; 257] {
    let mut table = [0; 257];
    let mut i = 0;
    while i < 256 {
        let mut mantissa = (256 + i as u128) << 54;
        let mut bits = 0;
        let mut bit = FRACTION;
        while bit > 0 {
            bit -= 1;
            mantissa = (mantissa * mantissa) >> 62;
            if mantissa >> 63 != 0 {
                mantissa >>= 1;
                bits |= 1 << bit;
            }
        }
        table[i] = bits;
        i += 1;
    }
    table[256] = 1 << FRACTION;
    table
}

/// −log2(draw / 2^64) with 32 fractional bits, for a draw of 64 bits; 0 counts as 1. Falls as `draw`
/// rises; wrong by at most 3 × 10⁻⁶.
#[inline]
pub(crate) fn minus_log2(draw: u64) -> u64 {
    let draw = draw | 1;
    let zeros = draw.leading_zeros();
    // 1.0 ≤ mantissa < 2.0 as 1 + index/256 + rest/2^55/256
    let mantissa = (draw << zeros) << 1;
    let index = (mantissa >> 56) as usize;
    let rest = u128::from(mantissa << 8 >> 8);
    let (Some(&low), Some(&high)) = (TABLE.get(index), TABLE.get(index + 1)) else { return 0 };
    let log = low + ((u128::from(high - low) * rest) >> 56) as u64;
    ((u64::from(zeros) + 1) << FRACTION) - log
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn ends_of_the_range() {
        assert_eq!(minus_log2(1), 64 << FRACTION);
        assert_eq!(minus_log2(0), 64 << FRACTION);
        assert_eq!(minus_log2(1 << 63), 1 << FRACTION);
        assert!(minus_log2(u64::MAX) <= 2);
    }

    proptest! {
        #[test]
        fn is_the_logarithm(draw in 1_u64..) {
            let exact = 64.0 - ((draw | 1) as f64).log2();
            let ours = minus_log2(draw) as f64 / f64::from(FRACTION).exp2();
            prop_assert!((exact - ours).abs() < 4e-6, "{exact} {ours}");
        }

        #[test]
        fn falls_as_the_draw_rises(a: u64, b: u64) {
            let (a, b) = (a.min(b), a.max(b));
            prop_assert!(minus_log2(a) >= minus_log2(b));
        }
    }
}
