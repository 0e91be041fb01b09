//! What a participant may see in a second, and what it may answer.
//!
//! A participant is a function of seed, step and state: prices that have been, minutes that are over, and the ledger as the
//! last block left it. It remembers nothing of its own, so a run that was killed goes on from the chain alone.

use casemate_ledger::Ledger;
use casemate_ledger::risk::Risk;
use casemate_ledger::segment::{Margin, Market, Segment, SubAccount};
use casemate_protocol::command::{LimitTerms, OrderKind, PlaceOrder, SelfTradeMode, Side, TimeInForce};
use casemate_protocol::hash::{self, Domain};
use casemate_protocol::{
    AccountId, BreakerState, ClientOrderId, Command, PriceGrade, PriceTicks, QuantityLots, TimeMs,
};
use casemate_world::crowd::MinuteVolume;
use casemate_world::depth::Activity;
use casemate_world::past::Past;

use super::cast::Actor;
use super::venue::Venue;

/// A second of the replay, as participants see it.
#[derive(Clone, Copy)]
pub struct Scene<'a> {
    /// What draws come from.
    pub seed: &'a [u8; 32],
    /// Seconds since the first.
    pub step: u64,
    /// Block time.
    pub now: TimeMs,
    /// The state after the last block.
    pub ledger: &'a Ledger,
    /// Prices that have been, elsewhere.
    pub past: &'a Past,
    /// What was going on in the minutes that are over, in the size of this venue; none before the first.
    pub activity: Option<Activity>,
    /// Volume of the last whole minute, and of a minute on average.
    pub volume: MinuteVolume,
    /// The venue.
    pub venue: &'a Venue,
}

/// What participants want of a block.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Wishes {
    /// Money that they pay in, in micro-quote.
    pub deposits: Vec<(AccountId, u64)>,
    /// Commands that they sign.
    pub letters: Vec<Letter>,
}

/// Commands that one participant signs together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Letter {
    /// Who signs.
    pub from: Actor,
    /// What for.
    pub commands: Vec<Command>,
}

impl<'a> Scene<'a> {
    /// The segment. A genesis without it would not have opened.
    pub fn segment(&self) -> Option<&'a Segment> {
        self.ledger.segment(self.venue.place.segment)
    }

    /// The market and its margin.
    pub fn market(&self) -> Option<(&'a Market, &'a Margin)> {
        let market = self.segment()?.markets().get(usize::from(self.venue.place.market_place))?;
        Some((market, market.margin()?))
    }

    /// The account of a participant.
    pub const fn account(&self, actor: Actor) -> AccountId {
        actor.account(self.venue.place.late_offices)
    }

    /// An account's part in the segment.
    pub fn row(&self, account: AccountId) -> Option<&'a SubAccount> {
        self.segment()?.sub_account(account)
    }

    /// Signed lots of an account.
    pub fn lots(&self, account: AccountId) -> i64 {
        self.row(account).map_or(0, |row| row.position(self.venue.place.market_place).lots())
    }

    /// Cash and all profit and loss of an account at the mark, micro-quote.
    pub fn equity_micros(&self, account: AccountId) -> i64 {
        let risk = self.risk();
        self.row(account).zip(risk).map_or(0, |(row, risk)| risk.health(row).equity)
    }

    /// What an account may take out, micro-quote.
    pub fn free_micros(&self, account: AccountId) -> i64 {
        let risk = self.risk();
        self.row(account).zip(risk).map_or(0, |(row, risk)| risk.initial(row, None).free().micros())
    }

    fn risk(&self) -> Option<Risk<'a>> {
        Some(Risk::new(self.segment()?.markets(), self.ledger.chain().waiting_ms))
    }

    /// State of the breaker.
    pub fn breaker(&self) -> BreakerState {
        self.segment().map_or(BreakerState::Halted, Segment::breaker_state)
    }

    /// What the index is good for.
    pub fn grade(&self) -> PriceGrade {
        self.market().map_or(PriceGrade::Unusable, |(_, margin)| margin.pricing().grade)
    }

    /// A price in ticks, rounded down, at least one.
    pub fn ticks(&self, price_micros: u64) -> u64 {
        (price_micros.saturating_mul(NANOS_PER_MICRO) / self.venue.tick_size.nanos().max(1)).max(1)
    }

    /// What a lot is worth at a price, micro-quote, at least one.
    pub fn lot_micros(&self, ticks: u64) -> u64 {
        let tick_value = self.market().map_or(1, |(market, _)| u64::from(market.rules().tick_value.micros()));
        ticks.saturating_mul(tick_value).max(1)
    }

    /// An order that trades at once or not at all, no further from the price seen than a bound and within the band; none
    /// for no lots, and none while there is no price.
    pub fn take(&self, side: Side, lots: u64, slippage_ppm: u64, reach: Reach) -> Option<Command> {
        let (market, _) = self.market()?;
        let ticks = self.ticks(self.past.now_micros()?);
        let away = ticks.saturating_mul(slippage_ppm) / PPM;
        let price = match side {
            Side::Bid => ticks.saturating_add(away).min(market.facts().band_upper.ticks()),
            Side::Ask => ticks.saturating_sub(away).max(market.facts().band_lower.ticks()).max(1),
        };
        let lots = lots.min(market.rules().order_lots_max.lots());
        (lots > 0).then(|| {
            Command::PlaceOrder(PlaceOrder {
                market: self.venue.place.market,
                side,
                kind: OrderKind::Limit(LimitTerms {
                    price: PriceTicks::from_ticks(price),
                    time_in_force: TimeInForce::ImmediateOrCancel,
                }),
                quantity: QuantityLots::from_lots(lots),
                client_id: ClientOrderId::NONE,
                is_reduce_only: reach == Reach::Reduces,
                self_trade: SelfTradeMode::CancelResting,
            })
        })
    }

    /// An order that closes lots of a position.
    pub fn close(&self, held_lots: i64, lots: u64, slippage_ppm: u64) -> Option<Command> {
        let side = if held_lots > 0 { Side::Ask } else { Side::Bid };
        self.take(side, lots.min(held_lots.unsigned_abs()), slippage_ppm, Reach::Reduces)
    }

    /// Uniform in `0..bound`, by seed, purpose and places alone; 0 for a bound of 0.
    pub fn draw(&self, purpose: &[u8; 8], places: [u64; 2], bound: u64) -> u64 {
        let [first, second] = places.map(u64::to_le_bytes);
        let digest = hash::digest(Domain::Development, &[purpose, self.seed, &first, &second]).0;
        let mut head = [0; 8];
        head.copy_from_slice(&digest[..8]);
        ((u128::from(u64::from_le_bytes(head)) * u128::from(bound)) >> 64) as u64
    }
}

/// What an order may do to a position.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    /// Anything.
    Any,
    /// Only make it smaller.
    Reduces,
}

/// Parts per million of one; also micro-quote of one quote.
pub const PPM: u64 = 1_000_000;
const NANOS_PER_MICRO: u64 = 1_000;
