//! One step of an account's liquidation, and the order in which losses fall.

use casemate_protocol::command::{SelfTradeMode, Side};
use casemate_protocol::event::{
    DeficitRepaid, InsurancePaid, LiquidationSliced, LiquidationStepped, LossUncovered, PassCause, PositionPassed,
    RemovalCause,
};
use casemate_protocol::units::{PPM, Round, div_round};
use casemate_protocol::{
    AccountId, ClientOrderId, Event, OrderNumber, PriceUse, QuantityLots, QuoteMicros, Reject, TimeMs,
};

use super::deleverage::deleverage;
use super::evolve::DRAW_WINDOW;
use super::risk_queue::take_deleveraging;
use super::slice::{
    MarginShare, PriceLimits, SliceLimits, bankruptcy_notional, insurance_room, limit_price, slice_lots,
};
use crate::context::{BlockContext, CommandContext};
use crate::market::fill::Fill;
use crate::market::{Arriving, MarketNow, Remainder, Taking, Work, match_order, remove_where};
use crate::price::median_depth;
use crate::risk::{FillAhead, Health, Held, Reserved, Risk, maintenance_at_mark};
use crate::segment::{Margin, Market, Position, Segment};

/// A position that is being closed.
#[derive(Clone, Copy, Debug)]
pub(super) struct Closing {
    pub(super) account: AccountId,
    /// Market, as its place in the segment.
    pub(super) market: u16,
    pub(super) position: Position,
    pub(super) held: Held,
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
}

/// Takes one step to liquidate an account: its orders go, then a slice of its worst position trades on the book; if its
/// equity is too low for that, insurance pays what is missing, the backstop takes over, and what is left is deleveraged.
/// Nothing happens to an account that is safe by now. INVARIANT(L2): the order of these calls is the order of losses.
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
    remove_where(work, account, RemovalCause::Liquidated, |_| true);
    for market in markets_by_maintenance(work, account) {
        if trade_slice(work, account, market, Floor::Bankruptcy)? {
            break;
        }
    }
    let health = health_of(work, account);
    if is_beyond_the_book(work, account, &health) {
        resolve(work, account)?;
    }
    write_off(work, account);
    Ok(())
}

/// `System`: insurance has money again and repays losses that had stayed uncovered, before it pays for anything new.
pub(crate) fn repay_deficit(work: &mut Work<'_>) {
    let segment = work.segment.id();
    let amount = repayable(work.segment, work.block());
    if amount.is_positive() {
        work.emit(Event::DeficitRepaid(DeficitRepaid { segment, amount }));
    }
}

/// What insurance may repay now of uncovered losses: no more than the market with the smallest share of the fund might use.
pub(crate) fn repayable(segment: &Segment, block: &BlockContext) -> QuoteMicros {
    let Some(clearing) = segment.clearing() else { return QuoteMicros::ZERO };
    let shares = segment.markets().iter().filter_map(|market| market.margin());
    let share = shares.map(|margin| margin.rules.liquidation.insurance_share_max).min().unwrap_or_default();
    let drawn = QuoteMicros::from_micros(clearing.facts.insurance_drawn.left(block.waiting_ms, DRAW_WINDOW));
    let room = insurance_room(segment.totals.insurance, drawn, share);
    let uncovered = i64::try_from(segment.totals.uncovered).unwrap_or(i64::MAX);
    room.min(QuoteMicros::from_micros(uncovered))
}

fn health_of(work: &Work<'_>, account: AccountId) -> Health {
    let risk = Risk::new(work.segment.markets(), work.block().waiting_ms);
    work.segment.sub_account(account).map(|row| risk.health(row)).unwrap_or_default()
}

/// The account's markets whose price is good enough, the one that needs most margin first.
fn markets_by_maintenance(work: &Work<'_>, account: AccountId) -> Vec<u16> {
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

/// What is being closed in a market, as things are now.
fn closing(segment: &Segment, risk: &Risk<'_>, account: AccountId, place: u16) -> Option<Closing> {
    let row = segment.sub_account(account)?;
    let (market, position) = (segment.market(place)?, row.position(place));
    let held = risk.held(&position, market, market.margin()?);
    let health = risk.health(row);
    let share = MarginShare {
        part: QuoteMicros::from_micros(held.maintenance),
        whole: QuoteMicros::from_micros(health.maintenance),
    };
    // Only what is behind the position counts; its own funding and rounding are in the equity already.
    let bankruptcy =
        bankruptcy_notional(QuoteMicros::from_micros(health.equity), QuoteMicros::from_micros(held.value), share)?;
    (position.lots() != 0).then_some(Closing { account, market: place, position, held, bankruptcy })
}

fn closing_now(work: &Work<'_>, account: AccountId, place: u16) -> Option<Closing> {
    closing(work.segment, &Risk::new(work.segment.markets(), work.block().waiting_ms), account, place)
}

/// How bad the price of a slice may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Floor {
    /// No worse than the bankruptcy price, and no further from the index than slippage allows.
    Bankruptcy,
    /// Only no further from the index than slippage allows.
    Slippage,
}

/// Trades a slice of a position on the book. Whether anything traded. INVARIANT(L3)
fn trade_slice(work: &mut Work<'_>, account: AccountId, place: u16, floor: Floor) -> Result<bool, Reject> {
    let Some(closing) = closing_now(work, account, place) else { return Ok(false) };
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

fn margin_of(segment: &Segment, place: u16) -> Option<(&Market, &Margin)> {
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

/// Whether so little equity is left that the book is no place for the rest.
fn is_beyond_the_book(work: &Work<'_>, account: AccountId, health: &Health) -> bool {
    if health.is_safe() {
        return health.equity < 0;
    }
    let worst = markets_by_maintenance(work, account).into_iter().next();
    let below = worst.and_then(|place| margin_of(work.segment, place));
    below.is_some_and(|(_, margin)| {
        let floor = i128::from(margin.rules.liquidation.backstop_below.ppm()).saturating_mul(health.maintenance.into());
        i128::from(health.equity).saturating_mul(PPM) < floor
    })
}

/// Insurance, backstop, deleveraging, in this order, for the account's worst position.
fn resolve(work: &mut Work<'_>, account: AccountId) -> Result<(), Reject> {
    let Some(place) = markets_by_maintenance(work, account).into_iter().next() else { return Ok(()) };
    pay_from_insurance(work, account, place);
    let Some(closing) = closing_now(work, account, place) else { return Ok(()) };
    let taken = take_over(work, &closing);
    let Some(closing) = closing_now(work, account, place) else { return Ok(()) };
    if !taken.is_zero() || health_of(work, account).equity > 0 {
        return Ok(());
    }
    if !take_deleveraging(work.segment) {
        return Ok(());
    }
    if deleverage(work, &closing) == 0 {
        // Nobody's profit is there to bear it: better a loss that is written down than a risk that stays.
        trade_slice(work, account, place, Floor::Slippage)?;
    }
    Ok(())
}

/// Makes negative equity good, as far as the market's share of the fund goes.
fn pay_from_insurance(work: &mut Work<'_>, account: AccountId, place: u16) {
    let missing = health_of(work, account).equity.saturating_neg();
    let Some((market, margin)) = margin_of(work.segment, place) else { return };
    let rules = &margin.rules.liquidation;
    let used = margin.pricing.insurance_used.left(work.block().waiting_ms, rules.insurance_window_ms);
    let room = insurance_room(work.segment.totals.insurance, QuoteMicros::from_micros(used), rules.insurance_share_max);
    let amount = QuoteMicros::from_micros(missing).min(room);
    let market = market.rules.id;
    if amount.is_positive() {
        let segment = work.segment.id();
        work.emit(Event::InsurancePaid(InsurancePaid { segment, market, account, amount }));
    }
}

/// The backstop takes over as much as its loss cap and its own margin let it. How many lots it took.
fn take_over(work: &mut Work<'_>, closing: &Closing) -> QuantityLots {
    let taken = backstop_lots(work, closing);
    let Some(backstop) = work.segment.clearing().map(|clearing| clearing.backstop) else { return QuantityLots::ZERO };
    if taken != 0 {
        pass(work, closing, backstop, taken, closing.bankruptcy_of(taken), PassCause::Backstop);
    }
    QuantityLots::from_lots(taken)
}

fn backstop_lots(work: &Work<'_>, closing: &Closing) -> u64 {
    let segment = &*work.segment;
    let Some(backstop) = segment.clearing().map(|clearing| clearing.backstop) else { return 0 };
    let Some((market, margin)) = margin_of(segment, closing.market) else { return 0 };
    let Some(row) = segment.sub_account(backstop).filter(|_| backstop != closing.account) else { return 0 };
    let risk = Risk::new(segment.markets(), work.block().waiting_ms);
    let before = row.position(closing.market);
    let shown = risk.held(&before, market, margin).profit;
    let loss = shown.saturating_add(margin.pricing.backstop_realised).saturating_neg().max(0);
    let room = margin.rules.liquidation.backstop_loss_max.micros().saturating_sub(loss);
    let side = closing.side().opposite();
    let most = market.rules.position_lots_max.lots();
    let fits = |lots: u64| {
        let fill = Fill { side, quantity: QuantityLots::from_lots(lots), notional: closing.bankruptcy_of(lots) };
        let ahead = FillAhead { market: closing.market, fill, fee: QuoteMicros::ZERO, reserved: Reserved::OnArrival };
        let signed = i64::try_from(lots).unwrap_or(i64::MAX).saturating_mul(if side == Side::Bid { 1 } else { -1 });
        let held = before.lots().saturating_add(signed);
        // What it may still lose counts as lost: a cap that is looked at afterwards is none.
        let may_lose = maintenance_at_mark(held, market, margin);
        held.unsigned_abs() <= most && may_lose <= room && !risk.free_after(row, &ahead).is_negative()
    };
    // Everything, or half of it, or a quarter, and so on.
    (0..u64::BITS)
        .map(|halvings| closing.lots() >> halvings)
        .take_while(|lots| *lots > 0)
        .find(|lots| fits(*lots))
        .unwrap_or(0)
}

/// Lets lots pass to another account.
pub(super) fn pass(
    work: &mut Work<'_>,
    closing: &Closing,
    to: AccountId,
    lots: u64,
    notional: QuoteMicros,
    cause: PassCause,
) {
    let Some(market) = work.segment.market(closing.market).map(|market| market.rules.id) else { return };
    work.emit(Event::PositionPassed(PositionPassed {
        market,
        from: closing.account,
        to,
        from_side: closing.side(),
        quantity: QuantityLots::from_lots(lots),
        notional,
        cause,
    }));
}

/// What nothing covered is written down, once an account has lost every position and still owes.
fn write_off(work: &mut Work<'_>, account: AccountId) {
    let Some(row) = work.segment.sub_account(account) else { return };
    let is_flat = row.positions().iter().all(|position| position.lots() == 0);
    if !is_flat || !row.cash().is_negative() {
        return;
    }
    let owed = row.cash().checked_neg().unwrap_or_default();
    let segment = work.segment.id();
    work.emit(Event::LossUncovered(LossUncovered { segment, account, amount: owed }));
}
