//! Conduct in a block: what is seen of it, and what it tells.
//!
//! While a block runs, what happens is only queued. When the block stands, it is taken in, once, in the order in which it
//! happened; what that found is told at the start of the next block, by `System` work with a record of its own. So a block
//! is judged by what stood before it, a block that is taken back has taught nothing, and statistics need no way back.

use casemate_protocol::conduct::BandCause;
use casemate_protocol::event::{
    ConductAlerted, ConductBandMoved, DepositCredited, LinksContested, OrderReduced, OrderRemoved, RemovalCause,
    TradeExecuted, WithdrawalEnded, WithdrawalRequested,
};
use casemate_protocol::units::notional;
use casemate_protocol::{
    AccountId, Command, DurationMs, Event, MarketId, OrderNumber, PriceTicks, QuantityLots, Reject, RejectCode, Side,
    TimeMs,
};

use super::observation::{Act, Cancelled, LeaveAsked, Observation, Traded, address, outside};
use crate::context::CommandContext;
use crate::market::Work;
use crate::segment::{RestingOrder, Segment, TotalField};

/// Alerts, and moves of bands, that a segment tells in one block at most.
const TOLD_MAX: usize = 256;
/// A contest holds for so long, and then there can be another one: what was inferred anew has faded to half.
const CONTEST_AGAIN: DurationMs = DurationMs::from_ms(7 * 24 * 60 * 60 * 1_000);
/// Rows looked at in a block, to let faded ones go.
const SWEPT: u64 = 16;

impl Segment {
    /// Queues what an event of a command means, before it takes effect.
    pub(crate) fn see(&mut self, context: &CommandContext, event: &Event) {
        // What the ledger does by itself is nobody's conduct, but for money that comes and goes.
        let is_own = !context.account.is_none();
        let (market, act) = match event {
            Event::OrderRested(rested) if is_own => {
                (rested.market, Some(Act::Rested { account: rested.account, lots: rested.quantity }))
            }
            Event::OrderRemoved(removed) if is_own && removed.account == context.account => {
                (removed.market, self.seen_removed(context, removed))
            }
            Event::OrderReduced(reduced) if is_own => (reduced.market, self.seen_reduced(context, reduced)),
            Event::TradeExecuted(trade) if is_own => {
                self.see_openings(context, trade);
                (trade.market, self.seen_trade(trade))
            }
            Event::DepositCredited(credited) => (MarketId::NONE, self.seen_deposit(credited)),
            Event::WithdrawalRequested(requested) => (MarketId::NONE, self.seen_request(requested)),
            Event::WithdrawalReleased(released) => (MarketId::NONE, self.seen_release(released)),
            Event::LinksContested(contested) => (MarketId::NONE, Some(Act::Contested { account: contested.account })),
            _ => return,
        };
        if let Some(act) = act {
            self.queue(Observation { at: context.block.time_ms, market, act });
        }
    }

    /// Queues that a command with orders was accepted.
    pub(crate) fn see_accepted(&mut self, context: &CommandContext, command: &Command) {
        let messages = match command {
            // Whoever amends takes one order out and brings another (R§4.2 D3).
            Command::AmendOrder(_) => 2,
            Command::PlaceOrder(_) | Command::QuoteLadder(_) | Command::CancelAllOrders(_) => 1,
            _ => return,
        };
        let act = Act::Placed { account: context.account, messages };
        let market = command.market().unwrap_or(MarketId::NONE);
        self.queue(Observation { at: context.block.time_ms, market, act });
    }

    /// Queues that a key of an account was added.
    pub(crate) fn see_key(&mut self, account: AccountId, at: TimeMs) {
        self.queue(Observation { at, market: MarketId::NONE, act: Act::KeyChanged { account } });
    }

    /// Queues that a command was refused.
    pub(crate) fn see_refused(&mut self, account: AccountId, market: MarketId, code: RejectCode, at: TimeMs) {
        self.queue(Observation { at, market, act: Act::Refused { account, code } });
    }

    /// The block stands: takes in what it queued.
    pub(crate) fn learn(&mut self, now: TimeMs) {
        let mut found = Vec::new();
        let seen = core::mem::take(&mut self.seen);
        for observation in &seen {
            self.conduct.observe(observation, &mut found);
        }
        // Keeps the room that it has.
        self.seen = seen;
        self.seen.clear();
        let sub_accounts = &self.sub_accounts;
        let stated = |account: AccountId| sub_accounts.row(account.number()).map_or(0, |row| row.conduct_band);
        self.conduct.keep(found, self.totals.last_alert, stated, now);
        self.conduct.sweep(SWEPT, now);
    }

    /// The band that the ledger states for an account, 0 to 3.
    #[must_use]
    pub fn conduct_band(&self, account: AccountId) -> u8 {
        if self.totals.banded == 0 {
            return 0;
        }
        self.sub_account(account).map_or(0, |row| row.conduct_band)
    }

    /// What its detectors know.
    #[must_use]
    pub const fn conduct(&self) -> &super::Conduct {
        &self.conduct
    }

    /// Whether there is anything to tell.
    pub(crate) fn has_conduct_news(&self, now: TimeMs) -> bool {
        let is_told = |number| number <= self.totals.last_alert;
        self.conduct.untold().any(|alert| !is_told(alert.number)) || self.band_moves(now).next().is_some()
    }

    fn band_moves(&self, now: TimeMs) -> impl Iterator<Item = (AccountId, u8, u8)> {
        let held = self.conduct.candidates(now);
        held.map(move |account| (account, self.conduct_band(account), self.conduct.band(account, now)))
            .filter(|(_, from, to)| from != to)
    }

    fn seen_removed(&self, context: &CommandContext, removed: &OrderRemoved) -> Option<Act> {
        let messages = match removed.cause {
            RemovalCause::Cancelled => 1,
            RemovalCause::CancelledAll | RemovalCause::Amended | RemovalCause::LadderReplaced => 0,
            _ => return None,
        };
        self.seen_leaving(context, removed.number, removed.quantity, messages)
    }

    fn seen_reduced(&self, context: &CommandContext, reduced: &OrderReduced) -> Option<Act> {
        let order = self.own_order(context.account, reduced.number)?;
        self.seen_leaving(context, reduced.number, order.remaining.saturating_sub(reduced.quantity), 0)
    }

    fn seen_leaving(
        &self,
        context: &CommandContext,
        number: OrderNumber,
        lots: QuantityLots,
        messages: u32,
    ) -> Option<Act> {
        let order = self.own_order(context.account, number)?;
        let best = self.market(order.market)?.book.best_price(order.side)?;
        Some(Act::Cancelled(Cancelled {
            account: context.account,
            order: number,
            side: order.side,
            lots,
            age: DurationMs::from_ms(context.block.time_ms.since(order.rested_ms).ms()),
            messages,
            distance_ppm: distance_ppm(best, order.price),
        }))
    }

    fn seen_trade(&self, trade: &TradeExecuted) -> Option<Act> {
        let market = self.market(self.market_place(trade.market)?)?;
        let index = market.margin().map_or(PriceTicks::ZERO, |margin| {
            let (index, published) = (margin.pricing.index, margin.pricing.published);
            // As budgets of grants count losses: against the worse of the two for the taker.
            let worse = if trade.taker_side == Side::Bid { index.min(published) } else { index.max(published) };
            PriceTicks::from_ticks(worse.fine() >> FINE_BITS)
        });
        Some(Act::Traded(Traded {
            trade: trade.number,
            maker: trade.maker,
            taker: trade.taker,
            taker_order: trade.taker_order,
            taker_side: trade.taker_side,
            price: trade.price,
            index,
            lots: trade.quantity,
            notional: notional(trade.price, trade.quantity, market.rules.tick_value).unwrap_or_default(),
        }))
    }

    /// Queues by how much a trade makes positions larger, of accounts that something is inferred about: no others are
    /// compared.
    fn see_openings(&mut self, context: &CommandContext, trade: &TradeExecuted) {
        for (account, side) in [(trade.taker, trade.taker_side), (trade.maker, trade.taker_side.opposite())] {
            if !self.conduct.clusters().has_links(account) {
                continue;
            }
            let place = self.market_place(trade.market);
            let held = place.and_then(|place| Some(self.sub_account(account)?.position(place).lots)).unwrap_or(0);
            let opposed = if side == Side::Bid { held.saturating_neg() } else { held };
            let closes = u64::try_from(opposed).unwrap_or(0);
            let lots = QuantityLots::from_lots(trade.quantity.lots().saturating_sub(closes));
            if lots.lots() > 0 {
                let act = Act::Opened { account, side, lots };
                self.queue(Observation { at: context.block.time_ms, market: trade.market, act });
            }
        }
    }

    fn seen_deposit(&self, credited: &DepositCredited) -> Option<Act> {
        let place = *self.deposit_index.get(&credited.claim_key)?;
        let claim = &self.deposits.get(usize::try_from(place).ok()?)?.claim;
        let source = outside(claim.chain, &claim.transaction);
        Some(Act::Deposited { account: credited.account, source, amount: credited.amount })
    }

    fn seen_request(&self, requested: &WithdrawalRequested) -> Option<Act> {
        let row = self.sub_account(requested.account)?;
        let account = requested.account;
        let address = address(requested.chain, &requested.destination);
        Some(Act::LeaveAsked(LeaveAsked {
            account,
            is_known_address: self.conduct.knows_address(account, address),
            amount: requested.amount,
            balance: row.cash().saturating_add(row.pending()),
        }))
    }

    fn seen_release(&self, released: &WithdrawalEnded) -> Option<Act> {
        let row = self.withdrawals.get(&released.number.number())?;
        Some(Act::Left { account: row.account, address: address(row.chain, &row.destination) })
    }

    fn own_order(&self, account: AccountId, number: OrderNumber) -> Option<&RestingOrder> {
        let orders = self.sub_account(account)?.orders();
        let place = orders.binary_search_by_key(&number.number(), |order| order.number).ok()?;
        self.orders.order(orders.get(place)?.slot)
    }
}

/// Fine ticks have 16 fractional bits.
const FINE_BITS: u32 = 16;

/// How far a price is from the best one of its side, in parts per million of that.
pub(super) fn distance_ppm(best: PriceTicks, price: PriceTicks) -> u32 {
    super::features::share_ppm(best.ticks().abs_diff(price.ticks()), best.ticks())
}

/// `System`: tells what detectors found, and moves bands.
pub(crate) fn move_conduct(work: &mut Work<'_>) {
    let (segment, now) = (work.segment.id(), work.block().time_ms);
    let told = work.segment.totals.last_alert;
    let alerts = work.segment.conduct.untold().filter(|alert| alert.number > told).take(TOLD_MAX);
    let alerts: Vec<Event> = alerts
        .map(|alert| {
            Event::ConductAlerted(Box::new(ConductAlerted {
                segment,
                number: alert.number,
                detector: alert.evidence.detector(),
                market: alert.market,
                account: alert.account,
                at: alert.at,
                score_ppm: alert.score_ppm,
                level: alert.level,
                figures: alert.evidence.figures(),
            }))
        })
        .collect();
    let moves: Vec<Event> = work
        .segment
        .band_moves(now)
        .take(TOLD_MAX)
        .map(|(account, from, to)| {
            let (raised_by, is_by_link) = work.segment.conduct.raised_by(account);
            let (cause, alert) = match (to > from, is_by_link) {
                (false, _) => (BandCause::Faded, 0),
                (true, true) => (BandCause::Linked, raised_by),
                (true, false) => (BandCause::Alerted, raised_by),
            };
            Event::ConductBandMoved(ConductBandMoved { segment, account, from, to, cause, alert })
        })
        .collect();
    alerts.into_iter().chain(moves).for_each(|event| work.emit(event));
}

/// Drops what is inferred about the account, from the next block on.
///
/// # Errors
/// `ContestedLately`.
pub(crate) fn contest(work: &mut Work<'_>) -> Result<(), Reject> {
    let (account, now) = (work.context.account, work.block().time_ms);
    let last = work.segment.conduct.contested_at(account);
    if !last.is_zero() && now.since(last) < CONTEST_AGAIN {
        return Err(Reject::of(RejectCode::ContestedLately).required(last.ms()).present(now.ms()));
    }
    work.emit(Event::LinksContested(LinksContested { segment: work.segment.id(), account }));
    Ok(())
}

/// Lets an event of conduct take effect.
pub(crate) fn evolve(segment: &mut Segment, event: &Event) {
    match event {
        Event::ConductAlerted(alerted) => {
            let step = i128::from(alerted.number).saturating_sub(segment.totals.last_alert.into());
            segment.add_total(TotalField::LastAlert, step);
        }
        Event::ConductBandMoved(moved) => {
            segment.put_conduct_band(moved.account, moved.to);
            let step = i128::from(moved.to > 0).saturating_sub(i128::from(moved.from > 0));
            if step != 0 {
                segment.add_total(TotalField::Banded, step);
            }
        }
        _ => {}
    }
}
