//! The order in which losses fall, once an account's equity is too low for the book. INVARIANT(L2): the order of the calls
//! in [`resolve`] is that order.
//!
//! Whatever insurance adds, it adds to lots that change hands in the same step: an account whose position stays open gets
//! nothing that a better price would leave with it.

use casemate_protocol::event::{DeficitRepaid, InsurancePaid, LossUncovered, PassCause, PositionPassed};
use casemate_protocol::units::{PPM, Round, div_round};
use casemate_protocol::{AccountId, Event, QuantityLots, QuoteMicros, Reject, Side};

use super::deleverage::{cuts_against, pass_cuts};
use super::evolve::DRAW_WINDOW;
use super::risk_queue::take_deleveraging;
use super::slice::insurance_room;
use super::step::{Closing, Floor, closing_with, health_of, margin_of, markets_by_maintenance, trade_slice};
use crate::context::BlockContext;
use crate::market::Work;
use crate::market::fill::Fill;
use crate::risk::{FillAhead, Health, Reserved, Risk, maintenance_at_mark};
use crate::segment::Segment;

/// Lets others bear what the account cannot, after a slice has traded in a market or in none.
pub(super) fn bear(work: &mut Work<'_>, account: AccountId, traded: Option<u16>) -> Result<(), Reject> {
    let worst = markets_by_maintenance(work, account).into_iter().next();
    if let Some(place) = worst.filter(|place| is_beyond_the_book(work, account, *place)) {
        resolve(work, account, place)?;
    }
    write_off(work, account, worst.or(traded));
    Ok(())
}

/// Whether so little equity is left that the book is no place for the rest.
fn is_beyond_the_book(work: &Work<'_>, account: AccountId, place: u16) -> bool {
    let Health { equity, maintenance } = health_of(work, account);
    let is_safe = Health { equity, maintenance }.is_safe();
    let floor = margin_of(work.segment, place).map(|(_, margin)| {
        i128::from(margin.rules.liquidation.backstop_below.ppm()).saturating_mul(maintenance.into())
    });
    !is_safe && floor.is_some_and(|floor| i128::from(equity).saturating_mul(PPM) < floor)
}

/// Insurance, backstop, deleveraging, in this order, for the account's worst position.
fn resolve(work: &mut Work<'_>, account: AccountId, place: u16) -> Result<(), Reject> {
    let aid = Aid::for_account(work, account, place);
    let Some(closing) = closing_with(work, account, place, aid.amount) else { return Ok(()) };
    let taken = backstop_lots(work, &closing);
    if let Some(backstop) = work.segment.clearing().map(|clearing| clearing.backstop).filter(|_| taken != 0) {
        aid.pay(work, &closing, taken);
        pass(work, &closing, backstop, taken, closing.bankruptcy_of(taken), PassCause::Backstop);
        return Ok(());
    }
    if closing.equity.is_positive() || !take_deleveraging(work.segment) {
        return Ok(());
    }
    let cuts = cuts_against(work, &closing);
    if cuts.is_empty() {
        // Nobody's profit is there to bear it: better a loss that is written down than a risk that stays.
        trade_slice(work, account, place, Floor::Slippage)?;
        return Ok(());
    }
    aid.pay(work, &closing, cuts.iter().fold(0u64, |sum, cut| sum.saturating_add(cut.lots)));
    pass_cuts(work, &closing, &cuts);
    Ok(())
}

/// What insurance would add to make an account's negative equity good.
struct Aid {
    account: AccountId,
    /// The market whose share of the fund it comes from, as its place in the segment.
    charged: u16,
    /// For everything that the account holds.
    amount: QuoteMicros,
}

impl Aid {
    fn for_account(work: &Work<'_>, account: AccountId, place: u16) -> Self {
        let missing = QuoteMicros::from_micros(health_of(work, account).equity.saturating_neg());
        let charged = market_of_loss(work, account).unwrap_or(place);
        let amount = missing.min(room_of(work, charged)).max(QuoteMicros::ZERO);
        Self { account, charged, amount }
    }

    /// Pays for lots that are about to change hands: their part of the position, and of it the part that is behind it.
    fn pay(&self, work: &mut Work<'_>, closing: &Closing, lots: u64) {
        let part = |amount: i64, part: i128, whole: i128| {
            let product = i128::from(amount).saturating_mul(part);
            let paid = div_round(product, whole.max(1), Round::Up).unwrap_or(0).min(amount.into());
            i64::try_from(paid).unwrap_or(0)
        };
        let share = closing.share;
        let behind = part(self.amount.micros(), share.part.micros().into(), share.whole.micros().into());
        let amount = part(behind, lots.into(), closing.lots().into());
        pay(work, self.account, self.charged, QuoteMicros::from_micros(amount));
    }
}

/// The market in which the account's positions lose most: where a loss comes from, its share of insurance pays.
fn market_of_loss(work: &Work<'_>, account: AccountId) -> Option<u16> {
    let risk = Risk::new(work.segment.markets(), work.block().waiting_ms);
    let positions = work.segment.sub_account(account)?.positions().iter();
    let losses = positions.filter(|position| position.lots() != 0).filter_map(|position| {
        let (market, margin) = margin_of(work.segment, position.market)?;
        Some((risk.held(position, market, margin).profit, position.market))
    });
    losses.min().filter(|(profit, _)| *profit < 0).map(|(_, market)| market)
}

/// What insurance may still pay for a market.
fn room_of(work: &Work<'_>, place: u16) -> QuoteMicros {
    let Some((_, margin)) = margin_of(work.segment, place) else { return QuoteMicros::ZERO };
    let rules = &margin.rules.liquidation;
    let used = margin.pricing.insurance_used.left(work.block().waiting_ms, rules.insurance_window_ms);
    insurance_room(work.segment.totals.insurance, QuoteMicros::from_micros(used), rules.insurance_share_max)
}

fn pay(work: &mut Work<'_>, account: AccountId, place: u16, amount: QuoteMicros) {
    let Some(market) = work.segment.market(place).map(|market| market.rules.id) else { return };
    if amount.is_positive() {
        let segment = work.segment.id();
        work.emit(Event::InsurancePaid(InsurancePaid { segment, market, account, amount }));
    }
}

/// How many lots the backstop takes over: as much as its loss cap and its own margin let it.
fn backstop_lots(work: &Work<'_>, closing: &Closing) -> u64 {
    let segment = &*work.segment;
    let Some(backstop) = segment.clearing().map(|clearing| clearing.backstop) else { return 0 };
    let Some((market, margin)) = margin_of(segment, closing.market) else { return 0 };
    let Some(row) = segment.sub_account(backstop).filter(|_| backstop != closing.account) else { return 0 };
    let risk = Risk::new(segment.markets(), work.block().waiting_ms);
    let before = row.position(closing.market);
    let shown = risk.held(&before, market, margin).profit;
    let lost = shown.saturating_add(margin.pricing.backstop_realised).saturating_neg();
    let cap = margin.rules.liquidation.backstop_loss_max.micros();
    let side = closing.side().opposite();
    let most = market.rules.position_lots_max.lots();
    let fits = |lots: u64| {
        let fill = Fill { side, quantity: QuantityLots::from_lots(lots), notional: closing.bankruptcy_of(lots) };
        let ahead = FillAhead { market: closing.market, fill, fee: QuoteMicros::ZERO, reserved: Reserved::OnArrival };
        let signed = i64::try_from(lots).unwrap_or(i64::MAX).saturating_mul(if side == Side::Bid { 1 } else { -1 });
        let held = before.lots().saturating_add(signed);
        // What the price is worse than the mark is lost at once, and what it may still lose counts as lost: a cap that is
        // looked at afterwards is none.
        let at_once = closing.beyond_mark(lots);
        let loss = lost.saturating_add(at_once).max(0).saturating_add(maintenance_at_mark(held, market, margin));
        held.unsigned_abs() <= most && loss <= cap && !risk.free_after(row, &ahead).is_negative()
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

/// Once an account has lost every position and still owes, insurance pays for the market that was closed last, and what
/// nothing covers is written down.
fn write_off(work: &mut Work<'_>, account: AccountId, last: Option<u16>) {
    let owes = |work: &Work<'_>| {
        let row = work.segment.sub_account(account)?;
        let is_flat = row.positions().iter().all(|position| position.lots() == 0);
        let owed = row.cash().checked_neg()?;
        (is_flat && owed.is_positive()).then_some(owed)
    };
    let Some(owed) = owes(work) else { return };
    if let Some(place) = last {
        pay(work, account, place, owed.min(room_of(work, place)));
    }
    if let Some(amount) = owes(work) {
        let segment = work.segment.id();
        work.emit(Event::LossUncovered(LossUncovered { segment, account, amount }));
    }
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
