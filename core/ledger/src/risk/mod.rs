//! Risk: the one calculation that says what an account needs, used by every check, match, withdrawal and liquidation.
//!
//! Owns:        no table.        Reads: sub-accounts, market facts and prices.
//! Commands:    none.            Events: none.
//! Invariants:  R1 an action that leaves free collateral equal or larger is never refused for collateral.
//!              R2 check, match, withdrawal, liquidation and preview use the same calculation. R3 margin and losses round up,
//!              assets down. R4 a change judged in advance needs what the account needs after it. R5 but nobody below
//!              maintenance margin trades himself nearer to bankruptcy.
//! Not here:    where prices come from (`price`); what happens to an account that has too little (`liquidation`).

mod full;
#[cfg(test)]
mod tests;
pub(crate) mod value;

use casemate_protocol::units::{Round, div_round, notional};
use casemate_protocol::{DurationMs, PriceTicks, QuantityLots, QuoteMicros, RatioPpm, Reject, RejectCode, Side};

use crate::market::fill::{Fill, fill_effect};
use crate::price::maturing::{Maturing, Maturity, Realised, after_realising, take_up_to, unmatured_after_loss};
use crate::segment::{Margin, Market, Position, SubAccount};
use value::{Ageing, Prices, counted_profit, notional_at, value_at};

/// The calculation, for the markets of one segment at one moment of the waiting clock.
#[derive(Clone, Copy, Debug)]
pub struct Risk<'a> {
    markets: &'a [Market],
    waiting_ms: DurationMs,
}

/// What an account has and needs for opening, withdrawing and transferring.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct InitialView {
    /// Cash and profit that count: losses at the worse price, profit only when it is old enough.
    pub counted_equity: i64,
    /// Initial margin of positions and resting orders.
    pub requirement: i64,
    /// Size of all positions.
    pub gross_notional: i64,
}

/// What an account has and needs to be left alone.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Health {
    /// Cash and all profit and loss at the mark.
    pub equity: i64,
    /// Maintenance margin of its positions.
    pub maintenance: i64,
}

impl Health {
    /// Below this an account is liquidated.
    #[must_use]
    pub const fn is_safe(&self) -> bool {
        self.equity >= self.maintenance
    }
}

impl InitialView {
    /// What the account may use for more.
    #[must_use]
    pub const fn free(&self) -> QuoteMicros {
        QuoteMicros::from_micros(self.counted_equity.saturating_sub(self.requirement))
    }

    /// What a withdrawal leaves at least: initial margin, or a share of everything held (DESIGN §6).
    #[must_use]
    pub fn must_stay(&self, transfer_margin: RatioPpm) -> QuoteMicros {
        let share = QuoteMicros::from_micros(self.gross_notional).scale(transfer_margin, Round::Up);
        QuoteMicros::from_micros(self.requirement).max(share.unwrap_or(QuoteMicros::from_micros(i64::MAX)))
    }
}

impl<'a> Risk<'a> {
    /// The calculation for these markets, as of a moment of the waiting clock.
    #[must_use]
    pub const fn new(markets: &'a [Market], waiting_ms: DurationMs) -> Self {
        Self { markets, waiting_ms }
    }

    /// What is free for more, with one market's position replaced by a hypothetical one.
    #[must_use]
    pub fn free_collateral(&self, account: &SubAccount, instead: Option<&Position>) -> QuoteMicros {
        self.initial(account, instead).free()
    }

    /// What the account has and needs for more, with one market's position replaced by a hypothetical one.
    #[must_use]
    pub fn initial(&self, account: &SubAccount, instead: Option<&Position>) -> InitialView {
        self.initial_with(account, instead, account.maturing())
    }

    /// As [`Self::initial`], with other young profit than the account's own.
    fn initial_with(&self, account: &SubAccount, instead: Option<&Position>, young: &[Maturing]) -> InitialView {
        let mut view = InitialView { counted_equity: account.cash().micros(), ..InitialView::default() };
        let (below, above) = around(account.positions(), instead);
        let mut young_left = young;
        // Positions and young profit are both in the order of markets.
        for position in below.iter().chain(instead).chain(above) {
            let (of_no_position, own) = take_up_to(&mut young_left, position.market);
            view.counted_equity = view.counted_equity.saturating_sub(self.unmatured(of_no_position));
            self.add_initial(&mut view, position, own);
        }
        view.counted_equity = view.counted_equity.saturating_sub(self.unmatured(young_left));
        view
    }

    /// What the account has and needs to be left alone. Orders do not count: they are cancelled first.
    #[must_use]
    pub fn health(&self, account: &SubAccount) -> Health {
        self.health_and_size(account).0
    }

    /// Also the size of all its positions at the mark.
    pub(crate) fn health_and_size(&self, account: &SubAccount) -> (Health, i64) {
        let mut size = 0i64;
        let health = self.health_of_each(account, |_, held| size = size.saturating_add(held.notional));
        (health, size)
    }

    /// Also calls `visit` with each position on margin at the mark.
    pub(crate) fn health_of_each(&self, account: &SubAccount, mut visit: impl FnMut(&Position, Held)) -> Health {
        let mut health = Health { equity: account.cash().micros(), maintenance: 0 };
        for position in account.positions() {
            let Some((market, margin)) = self.margin(position) else { continue };
            let held = self.held(position, market, margin);
            health.equity = health.equity.saturating_add(held.profit);
            health.maintenance = health.maintenance.saturating_add(held.maintenance);
            visit(position, held);
        }
        health
    }

    /// Value, profit and maintenance of one position at the mark.
    pub(crate) fn held(&self, position: &Position, market: &Market, margin: &Margin) -> Held {
        if position.lots == 0 {
            // Orders alone; and what rounding left in a closed position, which is nothing but for damage.
            return Held { profit: position.entry_notional.saturating_neg(), ..Held::default() };
        }
        let (value, profit) = self.value_and_profit(position, market, margin);
        Held {
            value,
            notional: notional_at(position.lots, Prices::of(margin).mark, market.rules.tick_value),
            profit,
            maintenance: maintenance_at_mark(position.lots, market, margin),
        }
    }

    /// Value and profit of one position at the mark: what of [`Self::held`] costs little.
    pub(crate) fn value_and_profit(&self, position: &Position, market: &Market, margin: &Margin) -> (i64, i64) {
        let value = value_at(position.lots, Prices::of(margin).mark, market.rules.tick_value);
        let funding = value::funding_due(position, market.facts.funding_cumulative).owed.micros();
        (value, value.saturating_sub(position.entry_notional).saturating_sub(funding))
    }

    /// Equity if every market stood at the worse edge of its band, with one market's position replaced. Only for segments
    /// whose collateral is full.
    #[must_use]
    pub fn band_edge_equity(&self, account: &SubAccount, instead: Option<&Position>) -> QuoteMicros {
        let value = full::sum_positions(account, instead, |position| {
            self.markets.get(usize::from(position.market)).map_or(0, |market| full::edge_value(position, market))
        });
        QuoteMicros::from_micros(account.cash().micros().saturating_add(value))
    }

    /// What is free once a fill on margin has happened: exactly what the account has free then. INVARIANT(R4)
    pub(crate) fn free_after(&self, account: &SubAccount, fill: &FillAhead) -> QuoteMicros {
        let (after, realised) = self.after_fill(account, fill);
        let margin = self.markets.get(usize::from(fill.market)).and_then(|market| market.margin.as_deref());
        let young = margin.and_then(|margin| {
            after_realising(account.maturing(), &realised, self.waiting_ms, Maturity::of(&margin.rules))
        });
        let young = young.as_deref().unwrap_or(account.maturing());
        self.initial_with(account, Some(&after), young).free().saturating_add(realised.amount)
    }

    /// What the account has and needs once a fill on margin has happened.
    fn health_after(&self, account: &SubAccount, fill: &FillAhead) -> Health {
        let before = account.position(fill.market);
        let (after, realised) = self.after_fill(account, fill);
        let Health { equity, maintenance } = self.health(account);
        let Some((market, margin)) = self.margin(&after) else { return Health { equity, maintenance } };
        let (held, holds) = (self.held(&before, market, margin), self.held(&after, market, margin));
        Health {
            equity: equity
                .saturating_sub(held.profit)
                .saturating_add(holds.profit)
                .saturating_add(realised.amount.micros()),
            maintenance: maintenance.saturating_sub(held.maintenance).saturating_add(holds.maintenance),
        }
    }

    /// Position and realised result after a fill that has not happened.
    fn after_fill(&self, account: &SubAccount, ahead: &FillAhead) -> (Position, Realised) {
        let before = account.position(ahead.market);
        let effect = fill_effect(before.lots, before.entry_notional, &ahead.fill);
        let mut after = Position { lots: effect.lots, entry_notional: effect.entry_notional, ..before };
        let mut amount = effect.cash_delta.saturating_sub(ahead.fee);
        let mut ageing = Ageing::default();
        let market = self.markets.get(usize::from(ahead.market));
        if let Some(market) = market.filter(|market| market.margin.is_some()) {
            if ahead.reserved == Reserved::ByOrder {
                release_reserve(&mut after, &ahead.fill);
            }
            let cumulative = market.facts.funding_cumulative;
            after.funding_entry = cumulative;
            amount = amount.saturating_sub(value::funding_due(&before, cumulative).owed);
            ageing = Ageing::of(&before, &effect, market);
            after.entry_gain = ageing.entry_gain;
        }
        (after, ageing.realised(ahead.market, amount))
    }

    fn margin(&self, position: &Position) -> Option<(&'a Market, &'a Margin)> {
        let market = self.markets.get(usize::from(position.market))?;
        Some((market, market.margin.as_deref()?))
    }

    /// Adds a position with the young profit of its market.
    fn add_initial(&self, view: &mut InitialView, position: &Position, young: &[Maturing]) {
        let Some(market) = self.markets.get(usize::from(position.market)) else { return };
        let Some(margin) = market.margin.as_deref() else {
            view.requirement = view.requirement.saturating_add(full::requirement(position, market));
            return;
        };
        let prices = Prices::of(margin);
        let tick_value = market.rules.tick_value;
        let profit = counted_profit(position, margin, &prices, market.facts.funding_cumulative, tick_value);
        // A loss eats the youngest profit of its market first, realised or not: closing changes nothing of what counts.
        let unmatured = if young.is_empty() {
            0
        } else {
            let loss = QuoteMicros::from_micros(profit.min(0).saturating_neg());
            unmatured_after_loss(young, loss, self.waiting_ms, Maturity::of(&margin.rules)).micros()
        };
        let counted = profit.saturating_add(position.entry_gain).saturating_sub(unmatured);
        view.counted_equity = view.counted_equity.saturating_add(counted);
        view.requirement =
            view.requirement.saturating_add(order_and_position_margin(position, market, margin, &prices));
        let size = notional_at(position.lots, prices.high, tick_value);
        view.gross_notional = view.gross_notional.saturating_add(size);
    }

    /// Profit that fills made and that is too young to count, in all markets.
    #[must_use]
    pub fn young_realised(&self, account: &SubAccount) -> QuoteMicros {
        QuoteMicros::from_micros(self.unmatured(account.maturing()))
    }

    /// What of this profit is too young to count.
    fn unmatured(&self, young: &[Maturing]) -> i64 {
        young.iter().fold(0i64, |sum, entry| {
            let market = self.markets.get(usize::from(entry.market)).and_then(|market| market.margin.as_deref());
            let young = market.map_or(0, |margin| {
                let age = self.waiting_ms.saturating_sub(entry.start_ms);
                Maturity::of(&margin.rules).unmatured(entry.amount, age).micros()
            });
            sum.saturating_add(young)
        })
    }
}

/// Positions of markets before and after one that is looked at instead; all and none if none is.
fn around<'a>(positions: &'a [Position], instead: Option<&Position>) -> (&'a [Position], &'a [Position]) {
    let Some(market) = instead.map(|position| position.market) else { return (positions, &[]) };
    let below = positions.partition_point(|position| position.market < market);
    let up_to = positions.partition_point(|position| position.market <= market);
    (positions.get(..below).unwrap_or_default(), positions.get(up_to..).unwrap_or_default())
}

/// Maintenance margin of signed lots at the mark.
pub(crate) fn maintenance_at_mark(lots: i64, market: &Market, margin: &Margin) -> i64 {
    let notional = notional_at(lots, Prices::of(margin).mark, market.rules.tick_value);
    let maintenance = margin.rules.maintenance_margin(QuoteMicros::from_micros(notional));
    maintenance.map_or(i64::MAX, QuoteMicros::micros)
}

/// One position at the mark.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Held {
    /// Signed value.
    pub(crate) value: i64,
    /// Size.
    pub(crate) notional: i64,
    /// Profit or loss, funding included.
    pub(crate) profit: i64,
    /// Maintenance margin.
    pub(crate) maintenance: i64,
}

/// Initial margin of a market: the worst of the position as it is, with all bids filled, and with all asks filled; with
/// what the orders would lose at once.
fn order_and_position_margin(position: &Position, market: &Market, margin: &Margin, prices: &Prices) -> i64 {
    let tick_value = market.rules.tick_value;
    let need = |lots: i64, order_loss: i64| {
        let size = QuoteMicros::from_micros(notional_at(lots, prices.high, tick_value));
        margin.rules.initial_margin(size).map_or(i64::MAX, QuoteMicros::micros).saturating_add(order_loss)
    };
    // Margin never falls with size, so bids of a long and asks of a short need at least what the position does.
    let is_less = position.lots >= 0 && position.bid_lots != 0 || position.lots <= 0 && position.ask_lots != 0;
    let mut most = if is_less { 0 } else { need(position.lots, 0) };
    if position.bid_lots != 0 {
        let worth = value_at(position.bid_lots, prices.low, tick_value);
        let loss = position.bid_notional.saturating_sub(worth).max(0);
        most = most.max(need(position.lots.saturating_add(position.bid_lots), loss));
    }
    if position.ask_lots != 0 {
        let worth = notional_at(position.ask_lots, prices.high, tick_value);
        let loss = worth.saturating_sub(position.ask_notional).max(0);
        most = most.max(need(position.lots.saturating_sub(position.ask_lots), loss));
    }
    most
}

/// Refuses unless free collateral is at least zero after a change, or not smaller than before it. `before` is what was
/// free before the command, where the command has changed something since; else what is free now.
///
/// # Errors
/// `InsufficientFreeCollateral` with what the change needs and what was there.
pub fn require_free(
    risk: &Risk<'_>,
    account: &SubAccount,
    after: &Position,
    cash_delta: QuoteMicros,
    before: Option<QuoteMicros>,
) -> Result<(), Reject> {
    let free_after = risk.free_collateral(account, Some(after)).saturating_add(cash_delta);
    require_no_less(free_after, || before.unwrap_or_else(|| risk.free_collateral(account, None)))
}

/// INVARIANT(R1)
fn require_no_less(free_after: QuoteMicros, free_before: impl FnOnce() -> QuoteMicros) -> Result<(), Reject> {
    if !free_after.is_negative() {
        return Ok(());
    }
    let free_before = free_before();
    if free_after >= free_before {
        return Ok(());
    }
    let needed = free_before.saturating_sub(free_after);
    Err(Reject::of(RejectCode::InsufficientFreeCollateral).quote(needed, free_before))
}

/// Refuses a fill that leaves an account below maintenance margin with a worse ratio of equity to maintenance margin than
/// before: what stays open would be worth less to whoever takes it over, and the other side of the fill, which may be the
/// account's own, would have the difference. INVARIANT(R5)
fn require_no_worse_ratio(risk: &Risk<'_>, account: &SubAccount, ahead: &FillAhead) -> Result<(), Reject> {
    let (before, after) = (risk.health(account), risk.health_after(account, ahead));
    let product = |equity: i64, maintenance: i64| i128::from(equity).saturating_mul(i128::from(maintenance));
    if after.is_safe() || product(after.equity, before.maintenance) >= product(before.equity, after.maintenance) {
        return Ok(());
    }
    let share = div_round(product(before.equity, after.maintenance), before.maintenance.max(1).into(), Round::Up);
    let needed = share.and_then(|share| i64::try_from(share).ok()).unwrap_or(after.maintenance).min(after.maintenance);
    let code = RejectCode::WorseThanBankruptcy;
    Err(Reject::of(code).quote(QuoteMicros::from_micros(needed), QuoteMicros::from_micros(after.equity)))
}

/// Refuses a fill that the account cannot carry.
///
/// On margin the account must have free collateral left after it, or no less than before; and if it has none left, be
/// safe or no nearer to bankruptcy than before. Where collateral is full, a
/// fill must not lower band-edge equity below zero, and if the account's order only reduces, it must not lower free
/// collateral below zero: other orders may count on the position it closes.
///
/// # Errors
/// `BandEdgeInsolvent` with the equity it would leave, `InsufficientFreeCollateral` as [`require_free`],
/// `WorseThanBankruptcy` with the equity that is needed behind what stays open.
pub fn require_fill(risk: &Risk<'_>, account: &SubAccount, fill: &ProposedFill) -> Result<(), Reject> {
    let Some(market) = risk.markets.get(usize::from(fill.market)) else { return Ok(()) };
    let traded = notional(fill.price, fill.quantity, market.rules.tick_value);
    let traded = traded.ok_or(Reject::of(RejectCode::AmountOverflow))?;
    let ahead = FillAhead {
        market: fill.market,
        fill: Fill { side: fill.side, quantity: fill.quantity, notional: traded },
        fee: fill.fee,
        reserved: fill.reserved,
    };
    if market.margin.is_some() {
        let free_after = risk.free_after(account, &ahead);
        require_no_less(free_after, || risk.free_collateral(account, None))?;
        // What counts is never more than what there is, so whoever has something free after it is safe after it.
        return if free_after.is_negative() { require_no_worse_ratio(risk, account, &ahead) } else { Ok(()) };
    }
    let (after, realised) = risk.after_fill(account, &ahead);
    let cash_delta = realised.amount;
    let equity = risk.band_edge_equity(account, Some(&after)).saturating_add(cash_delta);
    if equity.is_negative() && equity < risk.band_edge_equity(account, None) {
        return Err(Reject::of(RejectCode::BandEdgeInsolvent).quote(QuoteMicros::ZERO, equity));
    }
    if fill.reserved == Reserved::NotAtAll {
        require_free(risk, account, &after, cash_delta, None)?;
    }
    Ok(())
}

/// Takes what a fill uses of its resting order off the sums of resting orders.
fn release_reserve(position: &mut Position, fill: &Fill) {
    let lots = i64::try_from(fill.quantity.lots()).unwrap_or(i64::MAX);
    let (side_lots, side_notional) = match fill.side {
        Side::Bid => (&mut position.bid_lots, &mut position.bid_notional),
        Side::Ask => (&mut position.ask_lots, &mut position.ask_notional),
    };
    *side_lots = side_lots.saturating_sub(lots);
    *side_notional = side_notional.saturating_sub(fill.notional.micros());
}

/// A fill that has not happened, with what it changes hands for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct FillAhead {
    /// Market, as its place in the segment.
    pub(crate) market: u16,
    /// The account's side of it.
    pub(crate) fill: Fill,
    /// What the account pays.
    pub(crate) fee: QuoteMicros,
    /// What the account's order has reserved.
    pub(crate) reserved: Reserved,
}

/// One side of a fill that has not happened.
#[derive(Clone, Copy, Debug)]
pub struct ProposedFill {
    /// Market, as its place in the segment.
    pub market: u16,
    /// The account's side.
    pub side: Side,
    /// Lots.
    pub quantity: QuantityLots,
    /// Price.
    pub price: PriceTicks,
    /// What the account pays.
    pub fee: QuoteMicros,
    /// What the account's order has reserved.
    pub reserved: Reserved,
}

/// What an order has reserved before it fills.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reserved {
    /// It only reduces, and reserved nothing.
    NotAtAll,
    /// It rests, and its reserve is in the account's sums.
    ByOrder,
    /// It arrives: it was checked whole, and is in no sum.
    OnArrival,
}
