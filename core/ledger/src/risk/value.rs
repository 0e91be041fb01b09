//! What positions are worth at fine prices: pure calculations, rounded against the account.

use casemate_protocol::clearing::FINE_PER_TICK;
use casemate_protocol::{FineTicks, PriceGrade, QuantityLots, QuoteMicros, TickValueMicros};

use crate::market::fill::{FillEffect, closed_cost};
use crate::price::mark::funding_due as exact_funding_due;
use crate::price::maturing::Realised;
use crate::segment::{Margin, Market, Position, Pricing};

/// Fine units of one micro-quote.
pub(crate) const FINE: i128 = 1 << 16;
const FINE_BITS: u32 = 16;
const _: () = assert!(FINE_PER_TICK == 1 << FINE_BITS, "values and prices have the same fraction");

/// Value of signed lots at a price: positive for longs, rounded down.
pub(crate) fn value_at(lots: i64, price: FineTicks, tick_value: TickValueMicros) -> i64 {
    // A shift to the right rounds down, also below zero. Most values fit, and 64 bits cost a third.
    let fine = i64::try_from(price.fine()).ok();
    if let Some(product) = fine.and_then(|fine| lots.checked_mul(fine)?.checked_mul(tick_value.micros().into())) {
        return product >> FINE_BITS;
    }
    let product =
        i128::from(lots).saturating_mul(i128::from(price.fine())).saturating_mul(i128::from(tick_value.micros()));
    saturate(product >> FINE_BITS)
}

/// Size of a position at a price, rounded up.
pub(crate) fn notional_at(lots: i64, price: FineTicks, tick_value: TickValueMicros) -> i64 {
    value_at(lots.saturating_abs().saturating_neg(), price, tick_value).saturating_neg()
}

/// Funding that a position owes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct FundingDue {
    /// Rounded up; negative is received.
    pub(crate) owed: QuoteMicros,
    /// What rounding takes too much, in 1/65536 micro-quote.
    pub(crate) dust: i128,
}

/// What a position owes up to a cumulative funding.
pub(crate) fn funding_due(position: &Position, cumulative: i64) -> FundingDue {
    if position.funding_entry == cumulative {
        return FundingDue { owed: QuoteMicros::ZERO, dust: 0 };
    }
    let exact = exact_funding_due(position.lots, cumulative, position.funding_entry);
    let owed = exact.saturating_neg().div_euclid(FINE).saturating_neg();
    FundingDue { owed: QuoteMicros::from_micros(saturate(owed)), dust: owed.saturating_mul(FINE).saturating_sub(exact) }
}

/// Prices at which a market's positions are judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Prices {
    /// For maintenance.
    pub(crate) mark: FineTicks,
    /// For losses of longs.
    pub(crate) low: FineTicks,
    /// For losses of shorts, and for the size of positions.
    pub(crate) high: FineTicks,
    /// Whether a profit counts at all.
    pub(crate) counts_profit: bool,
}

impl Prices {
    /// Prices of a market by what its price is good for (DESIGN §7): the worse of published and in use while the two
    /// differ; no profit while publishers disagree; far out while the price cannot be trusted.
    pub(crate) fn of(margin: &Margin) -> Self {
        let pricing = &margin.pricing;
        let mark = if pricing.mark.is_zero() { pricing.index } else { pricing.mark };
        match pricing.grade {
            PriceGrade::Valid | PriceGrade::Aged => Self { mark, low: mark, high: mark, counts_profit: true },
            PriceGrade::Clamped | PriceGrade::Uncertain => {
                let moved = moved_with(mark, pricing);
                let counts_profit = pricing.grade == PriceGrade::Clamped;
                Self { mark, low: mark.min(moved), high: mark.max(moved), counts_profit }
            }
            PriceGrade::Unusable => {
                let far = share_up(mark, margin.rules.extended_move.ppm());
                Self { mark, low: mark.saturating_sub(far), high: mark.saturating_add(far), counts_profit: false }
            }
        }
    }
}

/// The mark as it would be if the index were what is published.
fn moved_with(mark: FineTicks, pricing: &Pricing) -> FineTicks {
    if pricing.published >= pricing.index {
        mark.saturating_add(pricing.published.saturating_sub(pricing.index))
    } else {
        mark.saturating_sub(pricing.index.saturating_sub(pricing.published))
    }
}

fn share_up(price: FineTicks, ppm: u32) -> FineTicks {
    let share = u128::from(price.fine()).saturating_mul(u128::from(ppm)).div_ceil(1_000_000);
    FineTicks::from_fine(u64::try_from(share).unwrap_or(u64::MAX))
}

/// Profit or loss since the position was opened, at the mark or a worse price, as it counts for initial margin and withdrawal;
/// what a better price gained is apart (see [`Ageing`]). A loss at the worse price, a profit only as far as the
/// mark has been there for long enough (DESIGN §6). Funding is judged as the next fill settles it. What is owed counts whole,
/// because a fill takes it out of cash, where profit too young to count cannot make up for it; what is received makes a loss
/// smaller and is no profit before a fill settles it: from then on it waits like any other.
pub(crate) fn counted_profit(
    position: &Position,
    margin: &Margin,
    prices: &Prices,
    cumulative: i64,
    tick_value: TickValueMicros,
) -> i64 {
    if position.lots == 0 {
        // What rounding left in a closed position, which is nothing but for damage.
        return position.entry_at_mark().saturating_neg();
    }
    let owed = funding_due(position, cumulative).owed.micros();
    let worse = if position.lots > 0 { prices.low } else { prices.high };
    let shown = value_at(position.lots, worse, tick_value).saturating_sub(position.entry_at_mark());
    if shown <= 0 {
        let with_funding = shown.saturating_sub(owed);
        return if owed < 0 { with_funding.min(0) } else { with_funding };
    }
    old_profit(position.lots, position.entry_at_mark(), margin, prices, tick_value).saturating_sub(owed.max(0))
}

/// What of the profit of signed lots counts: at the worse of the stable price and the price at which losses count, and nothing
/// while no profit counts.
fn old_profit(lots: i64, entry: i64, margin: &Margin, prices: &Prices, tick_value: TickValueMicros) -> i64 {
    if !prices.counts_profit {
        return 0;
    }
    let window = &margin.pricing.window;
    let price = if lots > 0 { window.long().min(prices.low) } else { window.short().max(prices.high) };
    value_at(lots, price, tick_value).saturating_sub(entry).max(0)
}

/// What a fill does to the profit that counts, besides cash: lots that it opens at a better price than the mark are taken in
/// at the mark, and the difference waits like a profit realised at that moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Ageing {
    /// The position's gain of entry after it.
    pub(crate) entry_gain: i64,
    /// Gain of entry of the lots that it opens, less that of the lots that it closes.
    of_entry: i64,
    /// What of the profit that it realises counted before it, so that it counts on: nothing for a loss.
    matured: i64,
}

impl Ageing {
    /// What a fill does; nothing where collateral is full.
    pub(crate) fn of(before: &Position, effect: &FillEffect, market: &Market) -> Self {
        let Some(margin) = market.margin.as_deref() else { return Self::default() };
        let (prices, tick_value) = (Prices::of(margin), market.rules.tick_value);
        let closed = before.lots.saturating_sub(effect.lots.clamp(before.lots.min(0), before.lots.max(0)));
        let opened = effect.lots.saturating_sub(before.lots.saturating_sub(closed));
        let mut made = 0;
        let mut cost = before.entry_notional.saturating_sub(effect.entry_notional);
        if opened != 0 {
            // What opens lots closes all that were held on the other side, or nothing.
            cost = if closed == 0 { 0 } else { before.entry_notional };
            let paid = effect.entry_notional.saturating_sub(before.entry_notional.saturating_sub(cost));
            // Rounded up, so that no part of a unit is profit at once.
            let at_mark = value_at(opened.saturating_neg(), prices.mark, tick_value).saturating_neg();
            made = at_mark.saturating_sub(paid).max(0);
        }
        let (mut settled, mut matured) = (0, 0);
        if closed != 0 {
            if before.entry_gain != 0 {
                let cost_at_mark = closed_cost(before.lots, before.entry_at_mark(), closed.saturating_abs());
                settled = cost_at_mark.saturating_sub(cost);
            }
            matured = old_profit(closed, cost.saturating_add(settled), margin, &prices, tick_value);
        }
        let of_entry = made.saturating_sub(settled);
        Self { entry_gain: before.entry_gain.saturating_add(of_entry), of_entry, matured }
    }

    /// What becomes of young profit when the fill adds an amount to cash, funding and fee included.
    pub(crate) const fn realised(&self, market: u16, amount: QuoteMicros) -> Realised {
        Realised { market, amount, of_entry: self.of_entry, matured: self.matured }
    }
}

/// What a fill costs against the index, fees included: what the loss budget of a session counts. While the cap holds the
/// index back, the published price counts where it is worse for the account: nobody gets a capped price for free.
pub(crate) fn fill_cost(
    is_buy: bool,
    quantity: QuantityLots,
    notional: QuoteMicros,
    fee: QuoteMicros,
    pricing: &Pricing,
    tick_value: TickValueMicros,
) -> QuoteMicros {
    let lots = i64::try_from(quantity.lots()).unwrap_or(i64::MAX);
    let (index, published) = (pricing.index, pricing.published);
    let price = if is_buy { index.min(published) } else { index.max(published) };
    let fair = value_at(lots, price, tick_value);
    let worse = if is_buy { notional.micros().saturating_sub(fair) } else { fair.saturating_sub(notional.micros()) };
    QuoteMicros::from_micros(worse.max(0).saturating_add(fee.micros().max(0)))
}

fn saturate(value: i128) -> i64 {
    i64::try_from(value).unwrap_or(if value < 0 { i64::MIN } else { i64::MAX })
}
