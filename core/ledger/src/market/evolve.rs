//! How events change a segment. Cannot fail: what could be wrong was refused before the event was written.

use casemate_protocol::event::{OrderRested, TradeExecuted};
use casemate_protocol::units::{PPM, Round, div_round, notional};
use casemate_protocol::{Event, QuantityLots, QuoteMicros, Side, TimeMs};

use super::fill::Fill;
use crate::context::BlockContext;
use crate::risk::value;
use crate::segment::{RestingOrder, Segment, TotalField};
use crate::{breaker, conduct, funds, liquidation, price, proposals};

/// Applies one event to the segment that it belongs to. Events of accounts and grants change nothing here.
pub(crate) fn evolve(segment: &mut Segment, block: &BlockContext, event: &Event) {
    match event {
        Event::OrderRested(rested) => order_rested(segment, block, rested),
        Event::OrderRemoved(removed) => {
            if let Some(slot) = slot_of(segment, removed.account, removed.number) {
                segment.unlink_order(slot);
            }
        }
        Event::OrderReduced(reduced) => {
            if let Some(slot) = slot_of(segment, reduced.account, reduced.number) {
                segment.set_remaining(slot, reduced.quantity);
            }
        }
        Event::TradeExecuted(trade) => trade_executed(segment, block, trade),
        Event::RemainderDropped(dropped) => use_order_number(segment, dropped.number.number()),
        Event::LadderLevelSkipped(_) => {}
        Event::DeadManSet(set) => segment.set_dead_man(set.account, set.fires_ms, set.origin),
        Event::GrantWatched(watched) => {
            segment.watch_grant(watched.account, watched.grant, watched.expires_ms, watched.loss_max, watched.origin);
        }
        Event::GrantUnwatched(watched) => {
            segment.unwatch_grant(watched.account, watched.grant, watched.expires_ms);
        }
        Event::GrantLossLowered(lowered) => segment.lower_grant_loss(lowered.account, lowered.grant, lowered.loss_max),
        Event::AccountClosed(closed) if closed.segment == segment.id() => {
            segment.add_total(TotalField::Bonds, i128::from(closed.bond.micros()).saturating_neg());
            // It came in with the deposit that opened the account, so it is principal.
            segment.add_deposited(closed.account, closed.bond);
        }
        Event::AccountOpened(_)
        | Event::AccountClosed(_)
        | Event::GrantRegistered(_)
        | Event::GrantRevoked(_)
        | Event::PayoutAddressAdded(_)
        | Event::PayoutAddressRemoved(_)
        | Event::RootKeyChangeAnnounced(_)
        | Event::RootKeyChangeCancelled(_)
        | Event::RootKeyChanged(_)
        | Event::GuardianChangeAnnounced(_)
        | Event::GuardianChangeCancelled(_)
        | Event::GuardiansChanged(_)
        | Event::GuardianVoted(_)
        | Event::RecoveryBegun(_)
        | Event::RecoveryCancelled(_)
        | Event::AccountFrozen(_)
        | Event::RecoveryCompleted(_) => {}
        Event::PriceObserved(_)
        | Event::PriceAggregated(_)
        | Event::MarkMoved(_)
        | Event::FundingSettled(_)
        | Event::RegimeMoved(_) => price::evolve(segment, block, event),
        Event::LiquidationStepped(_)
        | Event::LiquidationSliced(_)
        | Event::PositionPassed(_)
        | Event::InsurancePaid(_)
        | Event::LossUncovered(_)
        | Event::DeficitRepaid(_) => liquidation::evolve(segment, block, event),
        Event::BreakerMoved(_) => breaker::evolve(segment, block, event),
        Event::ProposalMade(_) | Event::ProposalApproved(_) | Event::ProposalEnded(_) => {
            proposals::evolve(segment, event);
        }
        // It changes the venue, which the ledger does.
        Event::PolicyAdopted(_) => {}
        Event::ConductAlerted(_) | Event::ConductBandMoved(_) | Event::LinksContested(_) => {
            conduct::evolve(segment, event)
        }
        Event::DepositAttested(_)
        | Event::DepositAccepted(_)
        | Event::DepositCredited(_)
        | Event::WithdrawalRequested(_)
        | Event::WithdrawalCancelled(_)
        | Event::WithdrawalReleased(_)
        | Event::TransferRequested(_)
        | Event::TransferCancelled(_)
        | Event::TransferReleased(_)
        | Event::TransferArrived(_)
        | Event::LeavingHeld(_)
        | Event::EvidenceAdded(_)
        | Event::PrincipalExitRequested(_) => funds::evolve(segment, block, event),
    }
}

fn slot_of(
    segment: &Segment,
    account: casemate_protocol::AccountId,
    number: casemate_protocol::OrderNumber,
) -> Option<u32> {
    let orders = segment.sub_account(account)?.orders();
    let place = orders.binary_search_by_key(&number.number(), |order| order.number).ok()?;
    orders.get(place).map(|order| order.slot)
}

fn order_rested(segment: &mut Segment, block: &BlockContext, rested: &OrderRested) {
    let Some(place) = segment.market_place(rested.market) else { return };
    let grant_expires_ms = segment
        .sub_account(rested.account)
        .and_then(|row| row.usage().iter().find(|usage| usage.grant == rested.grant.number()).copied())
        .map_or(TimeMs::ZERO, |usage| usage.expires_ms);
    use_order_number(segment, rested.number.number());
    let priority = segment.next_priority(place);
    segment.link_order(RestingOrder {
        price: rested.price,
        remaining: rested.quantity,
        number: rested.number,
        priority,
        client_id: rested.client_id.number(),
        expires_ms: rested.expires_ms,
        grant_expires_ms,
        rested_ms: block.time_ms,
        origin: rested.origin,
        account: u32::try_from(rested.account.number()).unwrap_or(u32::MAX),
        grant: rested.grant.number(),
        previous: crate::segment::NO_SLOT,
        next: crate::segment::NO_SLOT,
        market: place,
        side: rested.side,
        is_reduce_only: rested.is_reduce_only,
        is_ladder: rested.is_ladder,
    });
}

/// Numbers are used in order; an amended order keeps the one it has.
fn use_order_number(segment: &mut Segment, number: u64) {
    if number > segment.totals.last_order {
        segment.next_number(TotalField::LastOrder);
    }
}

fn trade_executed(segment: &mut Segment, block: &BlockContext, trade: &TradeExecuted) {
    let Some(place) = segment.market_place(trade.market) else { return };
    let Some(slot) = slot_of(segment, trade.maker, trade.maker_order) else { return };
    let Some(maker) = segment.orders.order(slot).copied() else { return };
    let tick_value = segment.market(place).map_or_else(Default::default, |market| market.rules.tick_value);
    let traded = notional(trade.price, trade.quantity, tick_value).unwrap_or_default();
    segment.next_number(TotalField::LastTrade);
    use_order_number(segment, trade.taker_order.number());
    let left = maker.remaining.saturating_sub(trade.quantity);
    if left.is_zero() {
        segment.unlink_order(slot);
    } else {
        segment.set_remaining(slot, left);
    }
    segment.remember_facts(place);
    let sides = [
        (trade.maker, maker.side, trade.maker_fee, casemate_protocol::GrantNumber::new(maker.grant)),
        (trade.taker, trade.taker_side, trade.taker_fee, trade.taker_grant),
    ];
    for (account, side, fee, _) in sides {
        let fill = Fill { side, quantity: trade.quantity, notional: traded };
        segment.apply_fill(account, place, &fill, fee, block.waiting_ms);
    }
    for (account, side, fee, grant) in sides {
        let lost = cost_against_index(segment, place, side == Side::Bid, trade.quantity, traded, fee);
        segment.add_traded(account, grant, traded, lost);
    }
    share_fees(segment, trade.maker_fee.saturating_add(trade.taker_fee));
    move_facts(segment, place, trade.price, trade.quantity);
}

/// What a fill cost its account against the index; nothing in a market without one.
fn cost_against_index(
    segment: &Segment,
    place: u16,
    is_buy: bool,
    quantity: QuantityLots,
    traded: QuoteMicros,
    fee: QuoteMicros,
) -> QuoteMicros {
    let Some(market) = segment.market(place) else { return QuoteMicros::ZERO };
    market.margin().map_or(QuoteMicros::ZERO, |margin| {
        value::fill_cost(is_buy, quantity, traded, fee, &margin.pricing, market.rules.tick_value)
    })
}

fn move_facts(segment: &mut Segment, place: u16, price: casemate_protocol::PriceTicks, quantity: QuantityLots) {
    let Some(market) = segment.markets.get_mut(usize::from(place)) else { return };
    let rules = market.rules;
    // On margin the band follows the mark, which nobody moves by trading with himself.
    if market.margin.is_none() && market.facts.reference_price != price {
        market.facts.move_reference(&rules, price);
    }
    market.facts.traded_lots = market.facts.traded_lots.saturating_add(quantity.lots());
}

/// Net fees go to insurance and validators by their shares, rounded down; the venue has the rest.
fn share_fees(segment: &mut Segment, net: QuoteMicros) {
    if net.is_zero() {
        return;
    }
    let net = i128::from(net.micros());
    let share = |ppm: u32| div_round(net.saturating_mul(i128::from(ppm)), PPM, Round::Down).unwrap_or(0);
    let insurance = share(segment.rules.fee_share_insurance.ppm());
    let validators = share(segment.rules.fee_share_validators.ppm());
    segment.add_total(TotalField::Insurance, insurance);
    segment.add_total(TotalField::FeesValidators, validators);
    segment.add_total(TotalField::FeesVenue, net.saturating_sub(insurance).saturating_sub(validators));
}
