//! Decimal text to scaled integers, exactly.

use super::KlineProblem;
use super::problem::shown;

/// A decimal number of at least zero in units of 10⁻ᵈ, with `decimals` = d; what is finer is rounded to the nearest unit,
/// halves up. Digits, and a point with digits behind it if there is one: no sign, no exponent, no blanks.
///
/// Rounding to nearest never turns two numbers around, so what holds for prices in the text holds for them rounded.
pub(super) fn scaled(text: &str, decimals: usize) -> Result<u64, KlineProblem> {
    let (whole, fraction) = match text.split_once('.') {
        Some((whole, fraction)) => (require_digits(whole, text)?, require_digits(fraction, text)?),
        None => (require_digits(text, text)?, ""),
    };
    let too_large = || KlineProblem::TooLarge { found: shown(text.as_bytes()) };
    let kept = fraction.bytes().chain(std::iter::repeat(b'0')).take(decimals);
    let units = whole
        .bytes()
        .chain(kept)
        .try_fold(0_u64, |value, digit| value.checked_mul(10)?.checked_add(u64::from(digit - b'0')));
    let rounds_up = fraction.as_bytes().get(decimals).is_some_and(|digit| *digit >= b'5');
    units.and_then(|units| units.checked_add(u64::from(rounds_up))).ok_or_else(too_large)
}

/// A whole number of at least zero.
pub(super) fn whole(text: &str) -> Result<u64, KlineProblem> {
    require_digits(text, text)?.parse().map_err(|_overflow| KlineProblem::TooLarge { found: shown(text.as_bytes()) })
}

/// At least one digit and nothing else; `all` is what the error shows.
fn require_digits<'a>(part: &'a str, all: &str) -> Result<&'a str, KlineProblem> {
    if !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit()) {
        return Ok(part);
    }
    let found = shown(all.as_bytes());
    let behind_sign = part.strip_prefix('-').unwrap_or("");
    if behind_sign.starts_with(|character: char| character.is_ascii_digit()) {
        return Err(KlineProblem::Negative { found });
    }
    Err(KlineProblem::NotANumber { found })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn decimals_are_exact_and_what_is_finer_is_rounded_half_up() {
        assert_eq!(scaled("56738.76", 6), Ok(56_738_760_000));
        assert_eq!(scaled("121666", 6), Ok(121_666_000_000));
        assert_eq!(scaled("3.214", 6), Ok(3_214_000));
        assert_eq!(scaled("22.34500000", 6), Ok(22_345_000));
        assert_eq!(scaled("123277.83064680", 6), Ok(123_277_830_647));
        assert_eq!(scaled("0.0000004", 6), Ok(0));
        assert_eq!(scaled("0.0000005", 6), Ok(1));
        assert_eq!(scaled("0.99999950", 6), Ok(1_000_000));
        assert_eq!(scaled("18446744073709.551615", 6), Ok(u64::MAX));
        assert_eq!(scaled("007.5", 0), Ok(8));
    }

    #[test]
    fn what_is_no_plain_decimal_is_refused() {
        for text in ["", ".", "1.", ".5", "1e3", "+1", " 1", "1 ", "1,5", "1.2.3", "0x1", "nan", "１"] {
            assert!(matches!(scaled(text, 6), Err(KlineProblem::NotANumber { .. })), "{text}");
        }
        assert!(matches!(scaled("-1.5", 6), Err(KlineProblem::Negative { .. })));
        assert!(matches!(scaled("18446744073709.5516155", 6), Err(KlineProblem::TooLarge { .. })));
        assert!(matches!(scaled("99999999999999999999", 0), Err(KlineProblem::TooLarge { .. })));
        assert!(matches!(whole("18446744073709551616"), Err(KlineProblem::TooLarge { .. })));
    }

    proptest! {
        #[test]
        fn prop_what_is_written_is_read(value in any::<u64>()) {
            let text = format!("{}.{:06}", value / 1_000_000, value % 1_000_000);
            prop_assert_eq!(scaled(&text, 6), Ok(value));
        }

        #[test]
        fn prop_rounding_keeps_the_order(a in 0..10_u64.pow(12), b in 0..10_u64.pow(12)) {
            let text = |value: u64| format!("{}.{:08}", value / 100_000_000, value % 100_000_000);
            let (low, high) = (a.min(b), a.max(b));
            prop_assert!(scaled(&text(low), 6).unwrap() <= scaled(&text(high), 6).unwrap());
        }
    }
}
