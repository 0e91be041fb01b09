//! How events of liquidation change a segment.

use casemate_protocol::Event;
use casemate_protocol::event::{InsurancePaid, PositionPassed};
use casemate_protocol::{DurationMs, QuoteMicros};

use crate::breaker;
use crate::context::BlockContext;
use crate::market::fill::Fill;
use crate::segment::{Segment, TotalField};

/// Applies an event of liquidation.
pub(crate) fn evolve(segment: &mut Segment, block: &BlockContext, event: &Event) {
    match event {
        Event::LiquidationSliced(sliced) => {
            segment.add_cash(sliced.account, sliced.fee.checked_neg().unwrap_or_default());
            segment.add_total(TotalField::Insurance, sliced.fee.micros().into());
            let Some(place) = segment.market_place(sliced.market) else { return };
            segment.change_pricing(place, |pricing, _| {
                pricing.slice_left = pricing.slice_left.saturating_sub(sliced.traded);
                pricing.budget_left = pricing.budget_left.saturating_sub(sliced.traded);
            });
        }
        Event::PositionPassed(passed) => position_passed(segment, block, passed),
        Event::InsurancePaid(paid) => insurance_paid(segment, block, paid),
        Event::LossUncovered(loss) => {
            segment.add_cash(loss.account, loss.amount);
            segment.add_total(TotalField::Uncovered, loss.amount.micros().into());
            breaker::note_clear(segment, block);
        }
        Event::DeficitRepaid(repaid) => {
            let amount = i128::from(repaid.amount.micros()).saturating_neg();
            segment.add_total(TotalField::Insurance, amount);
            segment.add_total(TotalField::Uncovered, amount);
            segment.change_clearing(|facts, _| {
                facts.insurance_drawn.add(repaid.amount.micros(), block.waiting_ms, DRAW_WINDOW);
            });
            breaker::note_clear(segment, block);
        }
        _ => {}
    }
}

fn position_passed(segment: &mut Segment, block: &BlockContext, passed: &PositionPassed) {
    let Some(place) = segment.market_place(passed.market) else { return };
    segment.remember_facts(place);
    let sides = [(passed.from, passed.from_side), (passed.to, passed.from_side.opposite())];
    for (account, side) in sides {
        let fill = Fill { side, quantity: passed.quantity, notional: passed.notional };
        segment.apply_fill(account, place, &fill, QuoteMicros::ZERO, block.waiting_ms);
    }
}

fn insurance_paid(segment: &mut Segment, block: &BlockContext, paid: &InsurancePaid) {
    segment.add_total(TotalField::Insurance, i128::from(paid.amount.micros()).saturating_neg());
    segment.add_cash(paid.account, paid.amount);
    if let Some(place) = segment.market_place(paid.market) {
        segment.change_pricing(place, |pricing, rules| {
            let window_ms = rules.liquidation.insurance_window_ms;
            pricing.insurance_used.add(paid.amount.micros(), block.waiting_ms, window_ms);
        });
    }
    segment.change_clearing(|facts, _| {
        facts.insurance_drawn.add(paid.amount.micros(), block.waiting_ms, DRAW_WINDOW);
    });
    breaker::note_clear(segment, block);
}

/// The breaker looks at what insurance paid within an hour.
pub(crate) const DRAW_WINDOW: DurationMs = DurationMs::from_ms(3_600_000);
