//! Arithmetic in whole numbers, so that every machine ranks alike, and how the numbers are shown.

use baton_model::NanoUsd;

/// One, in millionths.
pub(super) const ONE: u64 = 1_000_000;

/// `part / whole` in millionths, at most one; a whole of nothing counts as one.
pub(super) fn ratio(part: u64, whole: u64) -> u64 {
    if whole == 0 {
        return ONE;
    }
    let share = u128::from(part) * u128::from(ONE) / u128::from(whole);
    u64::try_from(share).unwrap_or(ONE).min(ONE)
}

/// The binary logarithm of `over / under` in millionths; 0 where it is not above one.
pub(super) fn doublings(over: u64, under: u64) -> u64 {
    if under == 0 || over <= under {
        return 0;
    }
    // 32 bits behind the point; the quotient fits because `over` has at most 64 bits.
    let mut rest = (u128::from(over) << 32) / u128::from(under);
    let whole = u64::from(rest.ilog2().saturating_sub(32));
    rest >>= whole;
    let mut millionths = whole * ONE;
    let mut step = ONE / 2;
    while step > 0 {
        rest = (rest * rest) >> 32;
        if rest >= 2 << 32 {
            rest >>= 1;
            millionths += step;
        }
        step /= 2;
    }
    millionths
}

/// Numbers that look random and follow from the first one alone (splitmix64).
pub(super) const fn dice(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut mixed = *state;
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

/// `$0.00042`: no more digits than the amount has.
pub(crate) fn dollars(amount: NanoUsd) -> String {
    let text = amount.to_string();
    let short = text.trim_end_matches('0');
    match short.strip_suffix('.') {
        Some(whole) => whole.to_owned(),
        None => short.to_owned(),
    }
}

/// `0.74`, from millionths.
pub(super) fn share(millionths: u64) -> String {
    let hundredths = (millionths + 5_000) / 10_000;
    format!("{}.{:02}", hundredths / 100, hundredths % 100)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn logarithms_are_right_to_four_digits() {
        for (over, under) in [(1, 1), (2, 1), (3, 1), (10, 3), (1_000_000_007, 13), (u64::MAX, 1), (5, 4)] {
            #[expect(clippy::cast_precision_loss, reason = "four digits are compared")]
            let exact = ((over as f64 / under as f64).log2() * 1e6).round();
            #[expect(clippy::cast_precision_loss, reason = "small enough")]
            let ours = doublings(over, under) as f64;
            assert!((exact - ours).abs() < 100.0, "{over}/{under}: {exact} {ours}");
        }
    }

    #[test]
    fn amounts_are_shown_without_empty_digits() {
        assert_eq!(dollars(NanoUsd(420_000)), "$0.00042");
        assert_eq!(dollars(NanoUsd(2_000_000_000)), "$2");
        assert_eq!(dollars(NanoUsd(0)), "$0");
        assert_eq!(share(745_000), "0.75");
        assert_eq!(share(ONE), "1.00");
    }
}
