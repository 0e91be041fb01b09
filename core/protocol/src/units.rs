//! Money, price, quantity, ratio and time as distinct types.
//!
//! No type converts silently to another, none wraps, and each division names its rounding. The constructor's name
//! carries the unit. Money is signed micro-quote in an `i64`: listing checks (`genesis`) prove that sums on the hot
//! path stay inside it; totals over all accounts are `i128`.

use borsh::{BorshDeserialize, BorshSerialize};

/// One million: the denominator of [`RatioPpm`] and [`FeePpm`].
pub const PPM: i128 = 1_000_000;
const PPM_I64: i64 = 1_000_000;

/// The direction of a division that loses something. The vault never rounds against itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Round {
    /// Towards positive infinity.
    Up,
    /// Towards negative infinity.
    Down,
}

/// Divides with an explicit rounding direction. `None` for a zero divisor.
///
/// ```
/// use casemate_protocol::units::{div_round, Round};
/// assert_eq!(div_round(7, 2, Round::Up), Some(4));
/// assert_eq!(div_round(-7, 2, Round::Up), Some(-3));
/// assert_eq!(div_round(-7, 2, Round::Down), Some(-4));
/// ```
#[must_use]
pub fn div_round(numerator: i128, divisor: i128, round: Round) -> Option<i128> {
    // The processor divides 64 bits many times faster than 128, and amounts rarely need more.
    let (quotient, remainder) = match (i64::try_from(numerator), i64::try_from(divisor)) {
        (Ok(numerator), Ok(divisor)) if divisor > 0 => {
            (numerator.checked_div(divisor)?.into(), numerator.checked_rem(divisor)?.into())
        }
        _ => (numerator.checked_div(divisor)?, numerator.checked_rem(divisor)?),
    };
    if remainder == 0 {
        return Some(quotient);
    }
    let is_negative = (remainder < 0) != (divisor < 0);
    match (round, is_negative) {
        (Round::Up, false) => quotient.checked_add(1),
        (Round::Down, true) => quotient.checked_sub(1),
        (Round::Up, true) | (Round::Down, false) => Some(quotient),
    }
}

macro_rules! unit {
    ($(#[$meta:meta])* $name:ident($inner:ty), $constructor:ident, $accessor:ident) => {
        $(#[$meta])*
        #[derive(
            Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, BorshSerialize, BorshDeserialize,
        )]
        #[repr(transparent)]
        pub struct $name($inner);

        impl $name {
            /// Zero of this unit.
            pub const ZERO: Self = Self(0);

            /// Names the unit of a bare number.
            #[must_use]
            pub const fn $constructor(value: $inner) -> Self {
                Self(value)
            }

            /// The bare number, in the unit of the method's name.
            #[must_use]
            pub const fn $accessor(self) -> $inner {
                self.0
            }

            /// Sum, or `None` where it leaves the range.
            #[must_use]
            pub const fn checked_add(self, other: Self) -> Option<Self> {
                match self.0.checked_add(other.0) {
                    Some(value) => Some(Self(value)),
                    None => None,
                }
            }

            /// Difference, or `None` where it leaves the range.
            #[must_use]
            pub const fn checked_sub(self, other: Self) -> Option<Self> {
                match self.0.checked_sub(other.0) {
                    Some(value) => Some(Self(value)),
                    None => None,
                }
            }

            /// Sum, held at the end of the range.
            #[must_use]
            pub const fn saturating_add(self, other: Self) -> Self {
                Self(self.0.saturating_add(other.0))
            }

            /// Difference, held at the end of the range.
            #[must_use]
            pub const fn saturating_sub(self, other: Self) -> Self {
                Self(self.0.saturating_sub(other.0))
            }

            /// True for exactly zero.
            #[must_use]
            pub const fn is_zero(self) -> bool {
                self.0 == 0
            }
        }
    };
}

unit! {
    /// An amount of the quote asset in millionths, signed.
    QuoteMicros(i64), from_micros, micros
}
unit! {
    /// A price in ticks of its market.
    PriceTicks(u64), from_ticks, ticks
}
unit! {
    /// A price from outside: billionths of the quote asset for one unit of the underlying.
    PriceNanos(u64), from_nanos, nanos
}
unit! {
    /// A price in 1/65536 of a tick of its market: what index and mark are kept in, so that they round once a position.
    FineTicks(u64), from_fine, fine
}
unit! {
    /// An unsigned quantity in lots of its market.
    QuantityLots(u64), from_lots, lots
}
unit! {
    /// A signed position in lots: positive is long.
    PositionLots(i64), from_lots, lots
}
unit! {
    /// A non-negative ratio in parts per million.
    RatioPpm(u32), from_ppm, ppm
}
unit! {
    /// A fee rate in parts per million; negative is a rebate.
    FeePpm(i32), from_ppm, ppm
}
unit! {
    /// Block time: milliseconds since the Unix epoch as chosen by the driver and agreed by replicas.
    TimeMs(u64), from_ms, ms
}
unit! {
    /// A length of block time in milliseconds.
    DurationMs(u64), from_ms, ms
}
unit! {
    /// Micro-quote per tick per lot of a market: what makes fills exact.
    TickValueMicros(u32), from_micros, micros
}

impl QuoteMicros {
    /// The amount times a ratio, rounded as told. `None` where it leaves the range.
    #[must_use]
    pub fn scale(self, ratio: RatioPpm, round: Round) -> Option<Self> {
        scale_micros(self, i64::from(ratio.ppm()), round)
    }

    /// A fee on this amount, rounded up (against the payer; a rebate shrinks). `None` where it leaves the range.
    #[must_use]
    pub fn fee(self, rate: FeePpm) -> Option<Self> {
        scale_micros(self, i64::from(rate.ppm()), Round::Up)
    }

    /// The amount without its sign. `None` for the one value that has no counterpart.
    #[must_use]
    pub const fn checked_abs(self) -> Option<Self> {
        match self.0.checked_abs() {
            Some(value) => Some(Self(value)),
            None => None,
        }
    }

    /// The amount with the opposite sign.
    #[must_use]
    pub const fn checked_neg(self) -> Option<Self> {
        match self.0.checked_neg() {
            Some(value) => Some(Self(value)),
            None => None,
        }
    }

    /// True below zero.
    #[must_use]
    pub const fn is_negative(self) -> bool {
        self.0 < 0
    }

    /// True above zero.
    #[must_use]
    pub const fn is_positive(self) -> bool {
        self.0 > 0
    }
}

fn scale_micros(amount: QuoteMicros, ppm: i64, round: Round) -> Option<QuoteMicros> {
    // Most amounts fit, and dividing 64 bits by a constant needs no division.
    if let Some(product) = amount.0.checked_mul(ppm) {
        let down = product.div_euclid(PPM_I64);
        let is_exact = product.rem_euclid(PPM_I64) == 0;
        return Some(QuoteMicros(if is_exact || round == Round::Down { down } else { down.saturating_add(1) }));
    }
    let product = i128::from(amount.0).checked_mul(i128::from(ppm))?;
    i64::try_from(div_round(product, PPM, round)?).ok().map(QuoteMicros)
}

impl core::fmt::Display for QuoteMicros {
    /// Decimal quote with six places, as people read it: `12.500000`.
    fn fmt(&self, formatter: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        let magnitude = self.0.unsigned_abs();
        let sign = if self.0 < 0 { "-" } else { "" };
        write!(formatter, "{sign}{}.{:06}", magnitude / 1_000_000, magnitude % 1_000_000)
    }
}

impl TimeMs {
    /// This moment plus a length of time, held at the end of the range.
    #[must_use]
    pub const fn plus(self, duration: DurationMs) -> Self {
        Self(self.0.saturating_add(duration.0))
    }

    /// Time passed since an earlier moment; zero if `earlier` lies ahead.
    #[must_use]
    pub const fn since(self, earlier: Self) -> DurationMs {
        DurationMs(self.0.saturating_sub(earlier.0))
    }
}

impl PositionLots {
    /// Size without direction.
    #[must_use]
    pub const fn size(self) -> QuantityLots {
        QuantityLots(self.0.unsigned_abs())
    }

    /// True for a long position.
    #[must_use]
    pub const fn is_long(self) -> bool {
        self.0 > 0
    }

    /// True for a short position.
    #[must_use]
    pub const fn is_short(self) -> bool {
        self.0 < 0
    }
}

/// Notional of a fill: price × quantity × tick value, exact. `None` where it leaves the range of money.
#[must_use]
pub fn notional(price: PriceTicks, quantity: QuantityLots, tick_value: TickValueMicros) -> Option<QuoteMicros> {
    // No market has a tick value of zero, so a product that leaves 64 bits on the way leaves the range of money too.
    let micros = price.0.checked_mul(quantity.0)?.checked_mul(u64::from(tick_value.0))?;
    i64::try_from(micros).ok().map(QuoteMicros)
}

/// A price moved by a ratio of itself, rounded as told; never below one tick.
#[must_use]
pub fn price_moved(price: PriceTicks, by_ppm: i64, round: Round) -> Option<PriceTicks> {
    let factor = PPM.checked_add(i128::from(by_ppm))?;
    let moved = div_round(i128::from(price.0).checked_mul(factor)?, PPM, round)?;
    u64::try_from(moved.max(1)).ok().map(PriceTicks)
}

#[cfg(test)]
mod tests;
