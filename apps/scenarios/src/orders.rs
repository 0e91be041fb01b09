//! From what somebody does to the commands that ask for it.

use casemate_ledger::funds::limiter::capacity_max;
use casemate_ledger::risk::Risk;
use casemate_ledger::segment::{Segment, SubAccount};
use casemate_protocol::clearing::FINE_PER_TICK;
use casemate_protocol::command::{
    Approve, Beneficiary, CancelAllOrders, CancelScope, Change, DepositClaim, LeaveBreaker, LimitTerms, OrderKind,
    PlaceOrder, Propose, QuoteLadder, QuoteLevel, RequestWithdrawal, SelfTradeMode, Side, SubmitPrice, TimeInForce,
};
use casemate_protocol::limits::ENVELOPE_COMMANDS_MAX;
use casemate_protocol::units::{Round, price_moved};
use casemate_protocol::{
    AccountId, AssetId, BoundedVec, BreakerState, ClientOrderId, Command, PriceTicks, ProposalNumber, QuantityLots,
    QuoteMicros, SegmentId, TimeMs,
};

use crate::client::Client;
use crate::number::Number;
use crate::script::Price;
use crate::venue::{MarketNames, price as price_of};

/// The outside chain that all money of a scenario comes from and goes to.
const OUTSIDE_CHAIN: u32 = 1;

/// An order before it has a size that the market takes at once.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Wish {
    pub(crate) is_bid: bool,
    pub(crate) lots: u64,
    pub(crate) price: PriceTicks,
    pub(crate) time_in_force: TimeInForce,
    pub(crate) is_reduce_only: bool,
}

/// Orders that are together what is wished, none larger than the market takes.
///
/// # Errors
/// It takes more of them than one envelope holds.
pub(crate) fn orders(market: &MarketNames, wish: &Wish) -> Result<Vec<Command>, String> {
    let most = market.order_lots_max.max(1);
    let count = wish.lots.div_ceil(most);
    if count > ENVELOPE_COMMANDS_MAX as u64 {
        return Err(format!(
            "`{}` lots take `{count}` orders of at most `{most}` lots, and one envelope holds `{ENVELOPE_COMMANDS_MAX}`",
            wish.lots
        ));
    }
    let order = |index: u64| {
        let lots = wish.lots.saturating_sub(index * most).min(most);
        Command::PlaceOrder(PlaceOrder {
            market: market.id,
            side: if wish.is_bid { Side::Bid } else { Side::Ask },
            kind: OrderKind::Limit(LimitTerms { price: wish.price, time_in_force: wish.time_in_force }),
            quantity: QuantityLots::from_lots(lots),
            client_id: ClientOrderId::NONE,
            is_reduce_only: wish.is_reduce_only,
            self_trade: SelfTradeMode::CancelResting,
        })
    };
    Ok((0..count).map(order).collect())
}

/// Whole lots of a quantity, rounded down.
///
/// # Errors
/// There is no such number of lots.
pub(crate) fn lots(market: &MarketNames, quantity: Number) -> Result<u64, String> {
    let lots = quantity.divided_by(market.lot_size);
    lots.ok_or_else(|| format!("`{quantity}` is more than a market with lots of `{}` can count", market.lot_size))
}

/// A price in whole ticks, rounded down.
///
/// # Errors
/// There is no such number of ticks.
pub(crate) fn whole_ticks(market: &MarketNames, price: Number) -> Result<u64, String> {
    let ticks = price.divided_by(market.tick_size);
    ticks.ok_or_else(|| format!("`{price}` is more than a market with ticks of `{}` can count", market.tick_size))
}

/// A price in ticks, rounded down; what a market has no index for yet is zero.
///
/// # Errors
/// There is no such number of ticks.
pub(crate) fn ticks(client: &Client, market: &MarketNames, price: Price) -> Result<PriceTicks, String> {
    match price {
        Price::At(number) => whole_ticks(market, number).map(PriceTicks::from_ticks),
        Price::Index { by_ppm } => {
            Ok(price_moved(index(client, market), by_ppm, Round::Down).unwrap_or(PriceTicks::ZERO))
        }
    }
}

/// Lots of a quote on each side.
///
/// # Errors
/// It is more than one order may be.
pub(crate) fn quoted_lots(market: &MarketNames, quantity: Number) -> Result<u64, String> {
    let (lots, most) = (lots(market, quantity)?, market.order_lots_max);
    if lots > most {
        return Err(format!("a quote of `{lots}` lots is larger than an order may be: `{most}` lots"));
    }
    Ok(lots)
}

/// The venue's index in ticks, rounded down.
pub(crate) fn index(client: &Client, market: &MarketNames) -> PriceTicks {
    let index =
        client.market(market).and_then(|market| market.margin()).map_or(0, |margin| margin.pricing().index.fine());
    PriceTicks::from_ticks(index / FINE_PER_TICK)
}

/// Two quotes, this far from the index on each side; none while there is no index.
pub(crate) fn ladder(client: &Client, market: &MarketNames, lots: u64, distance_ppm: u32) -> Option<Command> {
    let index = index(client, market);
    if index.is_zero() || lots == 0 {
        return None;
    }
    let level = |by_ppm: i64, round| {
        let price = price_moved(index, by_ppm, round)?;
        let quantity = QuantityLots::from_lots(lots);
        BoundedVec::new(vec![QuoteLevel { price, quantity }])
    };
    let distance = i64::from(distance_ppm);
    let (bids, asks) = (level(-distance, Round::Down)?, level(distance, Round::Up)?);
    Some(Command::QuoteLadder(Box::new(QuoteLadder { market: market.id, bids, asks })))
}

/// A ladder without levels: it takes back what was quoted.
pub(crate) fn no_ladder(market: &MarketNames) -> Command {
    let ladder = QuoteLadder { market: market.id, bids: BoundedVec::empty(), asks: BoundedVec::empty() };
    Command::QuoteLadder(Box::new(ladder))
}

/// All orders of a segment.
pub(crate) fn cancel_all(segment: SegmentId) -> Command {
    Command::CancelAllOrders(CancelAllOrders { scope: CancelScope::Segment(segment) })
}

/// A publisher's word, believed to a twentieth of a per cent.
pub(crate) fn submit(market: &MarketNames, price: Number, source_ms: u64) -> Command {
    Command::SubmitPrice(SubmitPrice {
        feed: market.feed,
        price: price_of(price),
        confidence: price_of(price.scaled_ppm(500)),
        source_ms: TimeMs::from_ms(source_ms),
    })
}

/// An attestor's statement; the number names the outside transaction.
pub(crate) fn deposit(number: u64, account: AccountId, amount: Number, segment: SegmentId) -> Command {
    Command::AttestDeposit(Box::new(DepositClaim {
        chain: OUTSIDE_CHAIN,
        transaction: BoundedVec::new(number.to_le_bytes().to_vec()).unwrap_or_default(),
        output: 0,
        asset: AssetId::new(1),
        amount: QuoteMicros::from_micros(amount.micros()),
        segment,
        beneficiary: Beneficiary::Account(account),
    }))
}

/// A withdrawal to an address that names its account.
pub(crate) fn withdrawal(account: AccountId, amount: QuoteMicros, segment: SegmentId) -> RequestWithdrawal {
    RequestWithdrawal {
        segment,
        amount,
        chain: OUTSIDE_CHAIN,
        destination: BoundedVec::new(account.number().to_le_bytes().to_vec()).unwrap_or_default(),
    }
}

/// What the rules would let an account ask for now, from zero.
pub(crate) fn withdrawable(client: &Client, segment: &Segment, row: &SubAccount) -> QuoteMicros {
    let Some(clearing) = segment.clearing() else { return QuoteMicros::ZERO };
    let view = Risk::new(segment.markets(), client.ledger().chain().waiting_ms).initial(row, None);
    let must_stay = view.must_stay(clearing.rules().transfer_margin);
    let counted = QuoteMicros::from_micros(view.counted_equity).saturating_sub(must_stay);
    counted.min(row.cash()).max(QuoteMicros::ZERO)
}

/// What an account may ask for at once: the limiter lets no single withdrawal be larger than its capacity.
pub(crate) fn withdrawable_at_once(client: &Client, segment: &Segment, row: &SubAccount) -> QuoteMicros {
    let rules = client.ledger().genesis().segment(segment.id());
    let capacity = rules.map_or(QuoteMicros::ZERO, |rules| capacity_max(rules, segment.totals().vault()));
    withdrawable(client, segment, row).min(capacity)
}

/// A proposal to let a breaker go back to Normal.
pub(crate) fn reopen(segment: SegmentId, from: BreakerState, expires_ms: u64) -> Command {
    let change = Change::LeaveBreaker(LeaveBreaker { from, to: BreakerState::Normal });
    Command::Propose(Box::new(Propose { segment, change, expires_ms: TimeMs::from_ms(expires_ms) }))
}

/// Another officer's approval.
pub(crate) fn approve(segment: SegmentId, number: u64) -> Command {
    Command::Approve(Approve { segment, number: ProposalNumber::new(number) })
}
