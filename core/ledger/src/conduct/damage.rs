//! Stage 7: the two-key rule for a command, from the state at the moment at which it takes effect.
//!
//! The first key is looked at first: almost nobody is anomalous, and only for who is are the facts of the second put together.

use casemate_protocol::command::{OrderKind, QuoteLevel, TimeInForce};
use casemate_protocol::units::{Round, notional, price_moved};
use casemate_protocol::{
    AccountId, Command, DurationMs, MarketId, PriceTicks, QuantityLots, QuoteMicros, Reject, RejectCode, SegmentId,
    Side, TimeMs,
};

use super::execution::distance_ppm;
use super::features::share_ppm;
use super::spoof::NEAR_PPM;
use super::two_keys::{ANOMALOUS, Blockable, Damage, Gate, NewRisk, ValueLeaves};
use crate::context::BlockContext;
use crate::ledger::Ledger;
use crate::market::require_own_order;
use crate::risk::Risk;
use crate::segment::{Market, Segment, SubAccount};

/// Orders of the other side, and of the own, that the facts look at.
const LOOKED_AT: usize = 256;

/// An order as far as its damage goes.
#[derive(Clone, Copy)]
struct Asked {
    side: Side,
    limit: PriceTicks,
    lots: QuantityLots,
    takes: bool,
    rests: bool,
    /// Resting lots of its side that it takes the place of.
    replaces: u64,
}

impl Ledger {
    /// Stage 7. INVARIANT(C1): only orders that can add to a position, money that leaves and keys that change are asked
    /// about; everything else passes unread.
    ///
    /// # Errors
    /// One of the refusals 8xx, with the detector that fired: the account is anomalous, *and* the command would do damage.
    pub fn judge_conduct(&self, block: &BlockContext, account: AccountId, command: &Command) -> Result<(), Reject> {
        match command {
            Command::PlaceOrder(_) | Command::AmendOrder(_) | Command::QuoteLadder(_) => {
                let market = command.market().unwrap_or(MarketId::NONE);
                let id = self.segment_of(market);
                self.judge_in(block, account, id, market, |segment| segment.asked(account, command, block.time_ms))
            }
            Command::RequestWithdrawal(request) => self.judge_leaving(block, account, request.segment, request.amount),
            Command::RequestTransfer(request) => self.judge_leaving(block, account, request.from, request.amount),
            Command::RegisterGrant(_) | Command::SetGuardians(_) => self.segments.iter().try_for_each(|segment| {
                self.judge_in(block, account, Some(segment.id()), MarketId::NONE, |segment| {
                    segment.keys_change(account)
                })
            }),
            _ => Ok(()),
        }
    }

    /// The worst band that a segment states for an account, 0 to 3.
    #[must_use]
    pub fn conduct_band(&self, account: AccountId) -> u8 {
        self.segments.iter().map(|segment| segment.conduct_band(account)).max().unwrap_or(0)
    }

    fn judge_leaving(
        &self,
        block: &BlockContext,
        account: AccountId,
        segment: SegmentId,
        amount: QuoteMicros,
    ) -> Result<(), Reject> {
        self.judge_in(block, account, Some(segment), MarketId::NONE, |segment| {
            let pending = segment.sub_account(account).map_or(QuoteMicros::ZERO, SubAccount::pending);
            let reserve = i64::try_from(segment.totals.vault()).unwrap_or(i64::MAX);
            let net_outflow = amount.saturating_add(pending);
            vec![Blockable::ValueLeaves(ValueLeaves { net_outflow, reserve: QuoteMicros::from_micros(reserve) })]
        })
    }

    fn judge_in(
        &self,
        block: &BlockContext,
        account: AccountId,
        id: Option<SegmentId>,
        market: MarketId,
        acts: impl Fn(&Segment) -> Vec<Blockable>,
    ) -> Result<(), Reject> {
        // What names nothing is refused by name later.
        let Some(segment) = id.and_then(|id| self.segment(id)) else { return Ok(()) };
        let (level, detector) = segment.conduct.level(account, market, block.time_ms);
        if level < ANOMALOUS {
            return Ok(());
        }
        let judged = acts(segment).into_iter().map(|act| segment.conduct.gate(account, market, &act, block.time_ms));
        let damage = judged.filter_map(|gate| match gate {
            Gate::Block(damage) => Some(damage),
            Gate::Pass | Gate::Alert => None,
        });
        damage.min().map_or(Ok(()), |damage| Err(Reject::of(code(damage)).present(detector.into())))
    }
}

const fn takes_and_rests(time_in_force: TimeInForce) -> (bool, bool) {
    match time_in_force {
        TimeInForce::GoodTillCancel | TimeInForce::GoodTillTime(_) => (true, true),
        TimeInForce::ImmediateOrCancel | TimeInForce::FillOrKill => (true, false),
        TimeInForce::PostOnly | TimeInForce::PostOnlySlide => (false, true),
    }
}

const fn code(damage: Damage) -> RejectCode {
    match damage {
        Damage::Outflow => RejectCode::ConductOutflow,
        Damage::KeysWhilePending => RejectCode::ConductKeysWhilePending,
        Damage::PriceStep => RejectCode::ConductPriceStep,
        Damage::OwnLoss => RejectCode::ConductOwnLoss,
        Damage::BookDepth => RejectCode::ConductBookDepth,
        Damage::OpenInterest => RejectCode::ConductOpenInterest,
    }
}

impl Segment {
    fn keys_change(&self, account: AccountId) -> Vec<Blockable> {
        let Some(row) = self.sub_account(account) else { return Vec::new() };
        let size = |amount: QuoteMicros| u64::try_from(amount.micros()).unwrap_or(0);
        let all = size(row.pending()).saturating_add(size(row.cash()));
        vec![Blockable::KeysChange { pending_ppm: share_ppm(size(row.pending()), all) }]
    }

    /// What the orders of a command would do, by side; nothing where they only reduce.
    fn asked(&self, account: AccountId, command: &Command, now: TimeMs) -> Vec<Blockable> {
        let place = command.market().and_then(|id| self.market_place(id));
        let Some((place, market)) = place.and_then(|place| Some((place, self.market(place)?))) else {
            return Vec::new();
        };
        let asked = match command {
            Command::PlaceOrder(order) if !order.is_reduce_only => {
                let (limit, takes, rests) = match order.kind {
                    OrderKind::Limit(terms) => {
                        let (takes, rests) = takes_and_rests(terms.time_in_force);
                        (Some(terms.price), takes, rests)
                    }
                    OrderKind::Market(terms) => (market.bound(order.side, terms.slippage_ppm_max.ppm()), true, false),
                };
                limit.map(|limit| {
                    vec![Asked { side: order.side, limit, lots: order.quantity, takes, rests, replaces: 0 }]
                })
            }
            Command::AmendOrder(amend) => {
                let order = require_own_order(self, account, place, amend.order).ok().map(|(_, order)| order);
                let grows = |price, lots| price != amend.price || amend.quantity > lots;
                let order = order.filter(|order| !order.is_reduce_only && grows(order.price, order.remaining));
                order.map(|order| {
                    let (side, limit, lots) = (order.side, amend.price, amend.quantity);
                    vec![Asked { side, limit, lots, takes: true, rests: true, replaces: order.remaining.lots() }]
                })
            }
            Command::QuoteLadder(ladder) => {
                let level = |side| {
                    move |level: &QuoteLevel| Asked {
                        side,
                        limit: level.price,
                        lots: level.quantity,
                        takes: false,
                        rests: true,
                        // Whatever rests may be of the ladder that it replaces.
                        replaces: u64::MAX,
                    }
                };
                let bids = ladder.bids.iter().map(level(Side::Bid));
                Some(bids.chain(ladder.asks.iter().map(level(Side::Ask))).collect())
            }
            _ => None,
        };
        let asked = asked.unwrap_or_default();
        let lost = self.conduct.lost_of(account, now);
        let with_lost = |risk: NewRisk| match risk.loss.is_positive() {
            // Many small losses are a large one.
            true => NewRisk { loss: risk.loss.saturating_add(lost), ..risk },
            false => risk,
        };
        let sides = [Side::Bid, Side::Ask].into_iter();
        sides
            .filter_map(|side| self.new_risk(account, place, market, side, &asked))
            .map(with_lost)
            .map(Blockable::NewRisk)
            .collect()
    }

    fn new_risk(
        &self,
        account: AccountId,
        place: u16,
        market: &Market,
        side: Side,
        asked: &[Asked],
    ) -> Option<NewRisk> {
        let empty = SubAccount::default();
        let row = self.sub_account(account).unwrap_or(&empty);
        let position = row.position(place);
        let asked = || asked.iter().filter(|asked| asked.side == side);
        let lots = asked().fold(0u64, |sum, asked| sum.saturating_add(asked.lots.lots()));
        if lots == 0 {
            return None;
        }
        // What opposes the position, with all that rests on that side, is a reduction.
        let (held, resting) = match side {
            Side::Bid => (position.lots.saturating_neg(), position.bid_lots),
            Side::Ask => (position.lots, position.ask_lots),
        };
        let replaces = asked().map(|asked| asked.replaces).max().unwrap_or(0);
        let resting = u64::try_from(resting).unwrap_or(0).saturating_sub(replaces);
        if resting.saturating_add(lots) <= u64::try_from(held).unwrap_or(0) {
            return None;
        }
        let mut risk = NewRisk { equity: self.equity(row), ..NewRisk::default() };
        let own_best = market.book.best_price(side).unwrap_or(market.facts.reference_price);
        for asked in asked() {
            let left = if asked.takes { self.take(market, asked, &mut risk) } else { asked.lots.lots() };
            if asked.rests && left > 0 && distance_ppm(own_best, asked.limit) <= NEAR_PPM {
                risk.resting_lots = risk.resting_lots.saturating_add(left);
            }
        }
        let others = market.book.slots(side, &self.orders).filter_map(|slot| self.orders.order(slot)).take(LOOKED_AT);
        let near = others.filter(|order| order.owner() != account && distance_ppm(own_best, order.price) <= NEAR_PPM);
        risk.depth_lots = near.fold(0, |sum, order| sum.saturating_add(order.remaining.lots()));
        let signed = i64::try_from(lots).unwrap_or(i64::MAX);
        let signed = if side == Side::Bid { signed } else { signed.saturating_neg() };
        risk.cluster_lots = position.lots.saturating_add(signed).unsigned_abs();
        let open = u64::try_from(market.facts.open_long).unwrap_or(0);
        risk.open_interest_lots = open.saturating_add(risk.cluster_lots.saturating_sub(position.lots.unsigned_abs()));
        Some(risk)
    }

    /// What an order would take from the other side of the book: the step of the price, and what it costs against the index.
    /// Gives what is left of it.
    fn take(&self, market: &Market, asked: &Asked, risk: &mut NewRisk) -> u64 {
        let mut left = asked.lots.lots();
        let index = market.margin().map(|margin| margin.pricing.index.fine() >> 16).filter(|index| *index > 0);
        let from = market.facts.reference_price;
        let slots = market.book.slots(asked.side.opposite(), &self.orders).take(LOOKED_AT);
        for order in slots.filter_map(|slot| self.orders.order(slot)) {
            if left == 0 || !asked.side.crosses(asked.limit, order.price) {
                break;
            }
            let lots = left.min(order.remaining.lots());
            left = left.saturating_sub(lots);
            risk.step_ppm = risk.step_ppm.max(distance_ppm(from, order.price));
            let worse = index.map_or(0, |index| match asked.side {
                Side::Bid => order.price.ticks().saturating_sub(index),
                Side::Ask => index.saturating_sub(order.price.ticks()),
            });
            let cost = notional(PriceTicks::from_ticks(worse), QuantityLots::from_lots(lots), market.rules.tick_value);
            risk.loss = risk.loss.saturating_add(cost.unwrap_or_default());
        }
        left
    }

    fn equity(&self, row: &SubAccount) -> QuoteMicros {
        match self.clearing() {
            // What matures with time is not part of health.
            Some(_) => QuoteMicros::from_micros(Risk::new(&self.markets, DurationMs::ZERO).health(row).equity),
            None => row.cash(),
        }
    }
}

impl Market {
    /// The furthest price that a bounded market order accepts; nothing where there is nothing to meet.
    fn bound(&self, side: Side, slippage_ppm: u32) -> Option<PriceTicks> {
        let best = self.book.best_price(side.opposite())?;
        let slippage = i64::from(slippage_ppm);
        match side {
            Side::Bid => Some(price_moved(best, slippage, Round::Down)?.min(self.facts.band_upper)),
            Side::Ask => Some(price_moved(best, slippage.saturating_neg(), Round::Up)?.max(self.facts.band_lower)),
        }
    }
}
