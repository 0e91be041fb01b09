//! One step of an account's liquidation: what waits to leave comes back, orders go, a slice trades on the book.

use casemate_protocol::command::{SelfTradeMode, Side};
use casemate_protocol::event::{LiquidationSliced, LiquidationStepped, RemovalCause};
use casemate_protocol::limits::{
    MAKERS_REMOVED_MAX, MATCH_STEPS_MAX, OPEN_ORDERS_MAX, PENDING_MOVES_MAX, RECORD_EVENTS_MAX,
};
use casemate_protocol::units::{PPM, Round, div_round};
use casemate_protocol::{
    AccountId, ClientOrderId, Event, OrderNumber, PriceUse, QuantityLots, QuoteMicros, Reject, TimeMs,
};

use super::losses::bear;
use super::slice::{MarginShare, PriceLimits, SliceLimits, bankruptcy_notional, limit_price, slice_lots};
use crate::context::CommandContext;
use crate::funds::recall_all;
use crate::market::{Arriving, MarketNow, Remainder, Taking, Work, match_order, remove_where};
use crate::price::median_depth;
use crate::risk::{Health, Held, Risk};
use crate::segment::{Margin, Market, Position, Segment};

/// A position that is being closed.
#[derive(Clone, Copy, Debug)]
pub(super) struct Closing {
    pub(super) account: AccountId,
    /// Market, as its place in the segment.
    pub(super) market: u16,
    pub(super) position: Position,
    pub(super) held: Held,
    /// The position's part in the account's maintenance margin.
    pub(super) share: MarginShare,
    /// The account's equity, with what insurance adds.
    pub(super) equity: QuoteMicros,
    /// The notional at which closing all of it leaves nothing of the equity behind it.
    pub(super) bankruptcy: QuoteMicros,
}

impl Closing {
    pub(super) fn side(&self) -> Side {
        if self.position.lots() > 0 { Side::Ask } else { Side::Bid }
    }

    pub(super) fn lots(&self) -> u64 {
        self.position.lots().unsigned_abs()
    }

    /// What some of the lots change hands for at the bankruptcy price, rounded for the account.
    pub(super) fn bankruptcy_of(&self, lots: u64) -> QuoteMicros {
        let round = if self.side() == Side::Ask { Round::Up } else { Round::Down };
        let product = i128::from(self.bankruptcy.micros().max(0)).saturating_mul(i128::from(lots));
        let part = div_round(product, i128::from(self.lots().max(1)), round).unwrap_or(0);
        QuoteMicros::from_micros(i64::try_from(part).unwrap_or(i64::MAX))
    }

    /// What the bankruptcy price of some of the lots costs whoever takes them, beyond the mark; negative is a gain.
    pub(super) fn beyond_mark(&self, lots: u64) -> i64 {
        let product = i128::from(self.held.value.saturating_abs()).saturating_mul(i128::from(lots));
        let (round, sign) = if self.side() == Side::Ask { (Round::Down, 1) } else { (Round::Up, -1) };
        let value = div_round(product, i128::from(self.lots().max(1)), round).unwrap_or(0);
        let cost = i128::from(self.bankruptcy_of(lots).micros()).saturating_sub(value).saturating_mul(sign);
        i64::try_from(cost).unwrap_or(i64::MAX)
    }
}

/// Takes one step to liquidate an account: money on its way out comes back, its orders go, then a slice of its worst position
/// trades on the book; if its equity is too low for that, others bear the loss in their order ([`bear`]). Nothing happens to
/// an account that is safe by now.
pub(crate) fn liquidate(work: &mut Work<'_>, account: AccountId) -> Result<(), Reject> {
    let health = health_of(work, account);
    if health.is_safe() {
        return Ok(());
    }
    let segment = work.segment.id();
    work.emit(Event::LiquidationStepped(LiquidationStepped {
        segment,
        account,
        equity: QuoteMicros::from_micros(health.equity),
        maintenance: QuoteMicros::from_micros(health.maintenance),
    }));
    // What is on its way out was margin until it left.
    recall_all(work, account);
    if health_of(work, account).is_safe() {
        return Ok(());
    }
    remove_where(work, account, RemovalCause::Liquidated, |_| true);
    let first_event = work.events.len();
    let mut traded = None;
    for market in markets_by_maintenance(work, account) {
        let is_spent = work.events.len().saturating_sub(first_event) >= REMOVALS_MAX;
        traded = (!is_spent && trade_slice(work, account, market, Floor::Bankruptcy)?).then_some(market);
        if is_spent || traded.is_some() {
            break;
        }
    }
    bear(work, account, traded)
}

pub(super) fn health_of(work: &Work<'_>, account: AccountId) -> Health {
    let risk = Risk::new(work.segment.markets(), work.block().waiting_ms);
    work.segment.sub_account(account).map(|row| risk.health(row)).unwrap_or_default()
}

/// The account's markets whose price is good enough, the one that needs most margin first.
pub(super) fn markets_by_maintenance(work: &Work<'_>, account: AccountId) -> Vec<u16> {
    let risk = Risk::new(work.segment.markets(), work.block().waiting_ms);
    let positions = work.segment.sub_account(account).map_or(&[][..], |row| row.positions());
    let held = |position: &Position| {
        let market = work.segment.market(position.market)?;
        let margin = market.margin()?;
        let is_open = position.lots() != 0 && margin.pricing.grade.allows(PriceUse::Liquidation);
        is_open.then(|| (risk.held(position, market, margin).maintenance, position.market))
    };
    let mut markets: Vec<(i64, u16)> = positions.iter().filter_map(held).collect();
    markets.sort_unstable_by(|left, right| right.0.cmp(&left.0).then(left.1.cmp(&right.1)));
    markets.into_iter().map(|(_, market)| market).collect()
}

/// What is being closed in a market, as things are now and with what insurance would add to the account's equity.
pub(super) fn closing_with(work: &Work<'_>, account: AccountId, place: u16, aid: QuoteMicros) -> Option<Closing> {
    let segment = &*work.segment;
    let risk = Risk::new(segment.markets(), work.block().waiting_ms);
    let row = segment.sub_account(account)?;
    let (market, position) = (segment.market(place)?, row.position(place));
    let held = risk.held(&position, market, market.margin()?);
    let health = risk.health(row);
    let share = MarginShare {
        part: QuoteMicros::from_micros(held.maintenance),
        whole: QuoteMicros::from_micros(health.maintenance),
    };
    let equity = QuoteMicros::from_micros(health.equity).saturating_add(aid);
    // Only what is behind the position counts; its own funding and rounding are in the equity already.
    let bankruptcy = bankruptcy_notional(equity, QuoteMicros::from_micros(held.value), share)?;
    (position.lots() != 0).then_some(Closing { account, market: place, position, held, share, equity, bankruptcy })
}

/// How bad the price of a slice may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Floor {
    /// No worse than the bankruptcy price, and no further from the index than slippage allows.
    Bankruptcy,
    /// Only no further from the index than slippage allows.
    Slippage,
}

/// Trades a slice of a position on the book. Whether anything traded. INVARIANT(L3)
pub(super) fn trade_slice(work: &mut Work<'_>, account: AccountId, place: u16, floor: Floor) -> Result<bool, Reject> {
    let Some(closing) = closing_with(work, account, place, QuoteMicros::ZERO) else { return Ok(false) };
    let Some((quantity, limit)) = slice_of(work.segment, &closing, floor) else { return Ok(false) };
    let Some(id) = work.segment.market(place).map(|market| market.rules.id) else { return Ok(false) };
    let market = MarketNow::of(work.segment, id)?;
    let order = Arriving {
        side: closing.side(),
        limit,
        quantity,
        taking: Taking::Allowed,
        remainder: Remainder::Dropped,
        self_trade: SelfTradeMode::CancelResting,
        is_reduce_only: true,
        is_ladder: false,
        is_liquidation: true,
        client_id: ClientOrderId::NONE,
        expires_ms: TimeMs::ZERO,
        number: None,
    };
    let context = CommandContext { account, grant: None, ..*work.context };
    let number = OrderNumber::new(work.segment.totals.last_order).next();
    let first_event = work.events.len();
    let mut as_account = Work { segment: work.segment, events: work.events, context: &context };
    match_order(&mut as_account, &market, &order, number)?;
    let traded = traded_since(work, first_event);
    if traded.is_zero() {
        return Ok(false);
    }
    charge_fee(work, account, place, traded);
    Ok(true)
}

fn slice_of(
    segment: &Segment,
    closing: &Closing,
    floor: Floor,
) -> Option<(QuantityLots, casemate_protocol::PriceTicks)> {
    let (market, margin) = margin_of(segment, closing.market)?;
    let (pricing, rules) = (&margin.pricing, &margin.rules.liquidation);
    let lots = closing.lots();
    let per_lot = div_round(closing.held.notional.into(), i128::from(lots.max(1)), Round::Up)?;
    // What earlier slices took of this sample of depth is not there any more.
    let depth = pricing.slice_left.max(rules.slice_min);
    let quantity = slice_lots(
        &SliceLimits {
            position: QuantityLots::from_lots(lots),
            lot_notional: QuoteMicros::from_micros(i64::try_from(per_lot).ok()?),
            depth: unshare(depth, rules.depth_share.ppm()),
            median_depth: median_depth(pricing).max(unshare(rules.slice_min, rules.depth_share.ppm())),
            budget: pricing.budget_left,
        },
        rules,
    );
    let limit = limit_price(&PriceLimits {
        is_long: closing.position.lots() > 0,
        position: QuantityLots::from_lots(lots),
        bankruptcy: match (floor, closing.side()) {
            (Floor::Bankruptcy, _) => closing.bankruptcy,
            (Floor::Slippage, Side::Ask) => QuoteMicros::ZERO,
            (Floor::Slippage, Side::Bid) => QuoteMicros::from_micros(i64::MAX),
        },
        tick_value: market.rules.tick_value,
        index: pricing.index,
        slippage_max: rules.slippage_max,
    })?;
    (!quantity.is_zero()).then_some((quantity, limit.min(market.rules.price_max)))
}

/// The amount of which this is the share.
fn unshare(amount: QuoteMicros, share_ppm: u32) -> QuoteMicros {
    let whole = div_round(i128::from(amount.micros()).saturating_mul(PPM), i128::from(share_ppm.max(1)), Round::Up);
    QuoteMicros::from_micros(whole.and_then(|whole| i64::try_from(whole).ok()).unwrap_or(i64::MAX))
}

pub(super) fn margin_of(segment: &Segment, place: u16) -> Option<(&Market, &Margin)> {
    let market = segment.market(place)?;
    Some((market, market.margin()?))
}

/// Notional of the trades since an event.
fn traded_since(work: &Work<'_>, first_event: usize) -> QuoteMicros {
    let events = work.events.get(first_event..).unwrap_or_default();
    events.iter().fold(QuoteMicros::ZERO, |sum, event| {
        let Event::TradeExecuted(trade) = event else { return sum };
        let place = work.segment.market_place(trade.market);
        let tick_value = place.and_then(|place| work.segment.market(place)).map(|market| market.rules.tick_value);
        let traded = tick_value
            .and_then(|tick_value| casemate_protocol::units::notional(trade.price, trade.quantity, tick_value));
        sum.saturating_add(traded.unwrap_or_default())
    })
}

/// The fee on what traded, as far as equity is left.
fn charge_fee(work: &mut Work<'_>, account: AccountId, place: u16, traded: QuoteMicros) {
    let Some((market, margin)) = margin_of(work.segment, place) else { return };
    let fee = traded.scale(margin.rules.liquidation.fee, Round::Up).unwrap_or_default();
    let market = market.rules.id;
    let left = QuoteMicros::from_micros(health_of(work, account).equity.max(0));
    work.emit(Event::LiquidationSliced(LiquidationSliced { market, account, traded, fee: fee.min(left) }));
}

/// After so many events of orders that could not trade, a step looks at no further market.
const REMOVALS_MAX: usize = 512;
#[expect(clippy::as_conversions, reason = "widening only, and `From` is not usable in constants")]
const _: () = assert!(
    RECORD_EVENTS_MAX
        > (OPEN_ORDERS_MAX + PENDING_MOVES_MAX + 2 * (MATCH_STEPS_MAX + MAKERS_REMOVED_MAX)) as usize
            + REMOVALS_MAX
            + 8,
    "own orders, moves that come back, a slice within the bankruptcy price, and cuts or a slice beyond it fit one record"
);
