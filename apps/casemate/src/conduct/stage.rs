//! Recorded order flow, with injected acts among it, through a book and past the detectors.
//!
//! **Owners.** The record names none. An order that comes within two seconds of the cancel of one of the same side and size
//! is taken for the same owner's, since that is what a requote looks like; every other order is drawn for one of a crowd.
//! Requotes are what detectors of spoofing and stuffing could mistake, so this guess is against them.

use std::collections::BTreeMap;
use std::num::NonZeroU64;

use casemate_ledger::conduct::two_keys::NewRisk;
use casemate_ledger::conduct::{Act, Alert, Blockable, Cancelled, Conduct, Detector, Gate, Observation, Traded};
use casemate_protocol::command::Side;
use casemate_protocol::{
    AccountId, DurationMs, MarketId, OrderNumber, PriceTicks, QuantityLots, QuoteMicros, TimeMs, TradeNumber,
};

use super::book::{Book, Resting};
use super::injection::{Injected, What};
use crate::order_flow::plan::{OrderStep, Plan, Step, account_index};

/// The market of the evaluation.
pub const MARKET: MarketId = MarketId::new(1);
/// Accounts from here on were injected; all others are of the record.
pub const FIRST_INJECTED: u64 = 1_000_000;
/// Numbers of injected orders; those of the record are smaller.
const FIRST_INJECTED_ORDER: u64 = 1 << 40;
/// A requote comes within this of its cancel.
const REQUOTE_MS: u64 = 2_000;
/// Depth that an order is held against.
const NEAR_PPM: u64 = 10_000;

/// What came of a run.
#[derive(Clone, Debug, Default)]
pub struct Played {
    /// All alerts, in order.
    pub alerts: Vec<Alert>,
    /// Orders of the record that were placed.
    pub honest_orders: u64,
    /// Of these, by accounts in band 1, 2 and 3 at that moment.
    pub honest_in_band: [u64; 3],
    /// Of these, what the two-key rule would have refused.
    pub honest_blocked: u64,
    /// Injected orders, and how many of them it would have refused.
    pub injected_orders: u64,
    /// See `injected_orders`.
    pub injected_blocked: u64,
    /// Trades.
    pub trades: u64,
    /// Observations that conduct took in.
    pub observations: u64,
}

impl Played {
    /// When an account was first told of by a detector.
    pub fn first_alert(&self, account: u64, detector: Detector) -> Option<u64> {
        let of = |alert: &&Alert| alert.account.number() == account && alert.evidence.detector() == detector;
        self.alerts.iter().find(of).map(|alert| alert.at.ms())
    }

    /// Accounts of the record that a detector told of.
    pub fn honest_told(&self, detector: Detector) -> Vec<u64> {
        let told = self.alerts.iter().filter(|alert| alert.evidence.detector() == detector);
        let mut accounts: Vec<u64> =
            told.map(|alert| alert.account.number()).filter(|account| (1..FIRST_INJECTED).contains(account)).collect();
        accounts.sort_unstable();
        accounts.dedup();
        accounts
    }
}

/// A run on its way.
pub struct Stage {
    conduct: Conduct,
    book: Book,
    owners: BTreeMap<u64, u64>,
    /// Cancelled, by side and lots: when, and whose.
    cancelled: BTreeMap<(bool, u64), (u64, u64)>,
    crowd: NonZeroU64,
    seed: [u8; 32],
    last_price: u64,
    arrivals: u64,
    played: Played,
}

impl Stage {
    /// Plays the record with acts among it, which are sorted by time.
    pub fn play(plan: &Plan, crowd: u64, seed: u64, acts: &[Injected]) -> Played {
        let mut bytes = [0; 32];
        bytes[..8].copy_from_slice(&seed.to_le_bytes());
        let mut stage = Self {
            conduct: Conduct::default(),
            book: Book::default(),
            owners: BTreeMap::new(),
            cancelled: BTreeMap::new(),
            crowd: NonZeroU64::new(crowd).unwrap_or(NonZeroU64::MIN),
            seed: bytes,
            last_price: 0,
            arrivals: 0,
            played: Played::default(),
        };
        let mut acts = acts.iter().peekable();
        let mut now = 0;
        for step in &plan.steps {
            let (Step::Open(OrderStep { time, .. }) | Step::Create(OrderStep { time, .. })) = step else {
                if let Step::Cancel(cancel) = step {
                    now = now.max(cancel.time.ms());
                    stage.inject_up_to(&mut acts, now);
                    stage.cancel_recorded(cancel.id, now);
                }
                continue;
            };
            now = now.max(time.ms());
            stage.inject_up_to(&mut acts, now);
            if let Step::Open(order) | Step::Create(order) = step {
                stage.place_recorded(order, now);
            }
        }
        stage.played
    }

    fn inject_up_to<'a>(&mut self, acts: &mut std::iter::Peekable<impl Iterator<Item = &'a Injected>>, now: u64) {
        while let Some(act) = acts.next_if(|act| act.at_ms <= now) {
            self.inject(act);
        }
    }

    fn place_recorded(&mut self, order: &OrderStep, now: u64) {
        let (is_bid, lots) = (order.side == Side::Bid, order.quantity.lots());
        let requoted = self.cancelled.remove(&(is_bid, lots)).filter(|(at, _)| now.saturating_sub(*at) <= REQUOTE_MS);
        let drawn = || 1 + account_index(&self.seed, order.id, self.crowd);
        let account = requoted.map_or_else(drawn, |(_, account)| account);
        self.owners.insert(order.id, account);
        self.place(account, order.id, (order.side, order.price.ticks(), lots), now);
    }

    fn cancel_recorded(&mut self, id: u64, now: u64) {
        let Some(order) = self.book.order(id).copied() else { return };
        self.cancelled.insert((order.side == Side::Bid, order.lots), (now, order.account));
        self.cancel(id, now);
    }

    fn inject(&mut self, act: &Injected) {
        let Injected { at_ms, account, key, what } = *act;
        let order = FIRST_INJECTED_ORDER + key;
        match what {
            What::Inside { side, lots } => {
                // One tick better than the best where there is room, so that it is next to be hit.
                let (Some(bid), Some(ask)) = (self.book.best(Side::Bid), self.book.best(Side::Ask)) else { return };
                let price = match side {
                    Side::Bid => (bid + 1).min(ask.saturating_sub(1)),
                    Side::Ask => ask.saturating_sub(1).max(bid + 1),
                };
                self.place(account, order, (side, price, lots), at_ms);
            }
            What::Away { side, lots, away_ppm } => {
                let Some(best) = self.book.best(side) else { return };
                let away = best * away_ppm / 1_000_000;
                let price = if side == Side::Bid { best - away } else { best + away };
                self.place(account, order, (side, price, lots), at_ms);
            }
            What::Hit { key: hit } => {
                let Some(target) = self.book.order(FIRST_INJECTED_ORDER + hit).copied() else { return };
                self.place(account, order, (target.side.opposite(), target.price, target.lots), at_ms);
                // What another order took first is not for the book to keep.
                self.book.remove(order);
            }
            What::Cancel => self.cancel(order, at_ms),
        }
    }

    fn place(&mut self, account: u64, id: u64, (side, price, lots): (Side, u64, u64), now: u64) {
        self.count(account, (side, price, lots), now);
        self.observe(now, Act::Placed { account: AccountId::new(account), messages: 1 });
        self.arrivals += 1;
        let arrival = OrderNumber::new(self.arrivals);
        let fills = self.book.place(Resting { id, account, side, price, lots, rested_ms: now });
        for fill in &fills {
            self.played.trades += 1;
            self.last_price = fill.price;
            let trade = Traded {
                trade: TradeNumber::new(self.played.trades),
                maker: AccountId::new(fill.maker),
                taker: AccountId::new(account),
                taker_order: arrival,
                taker_side: side,
                price: PriceTicks::from_ticks(fill.price),
                // The record has no index beside its own prices, so losses against one are not judged.
                index: PriceTicks::ZERO,
                lots: QuantityLots::from_lots(fill.lots),
                // A tick of 0.01 and a lot of 0.0001: their product is a millionth.
                notional: QuoteMicros::from_micros(i64::try_from(fill.price * fill.lots).unwrap_or(i64::MAX)),
            };
            self.observe(now, Act::Traded(trade));
        }
        if let Some(rested) = self.book.order(id).copied() {
            let lots = QuantityLots::from_lots(rested.lots);
            self.observe(now, Act::Rested { account: AccountId::new(account), lots });
        }
    }

    fn cancel(&mut self, id: u64, now: u64) {
        let Some(order) = self.book.order(id).copied() else { return };
        let distance_ppm = self.book.distance_ppm(order.side, order.price);
        self.book.remove(id);
        let cancel = Cancelled {
            account: AccountId::new(order.account),
            order: OrderNumber::new(id),
            side: order.side,
            lots: QuantityLots::from_lots(order.lots),
            age: DurationMs::from_ms(now.saturating_sub(order.rested_ms)),
            messages: 1,
            distance_ppm,
        };
        self.observe(now, Act::Cancelled(cancel));
    }

    /// Whom a band or a block would touch, before the order is seen.
    fn count(&mut self, account: u64, (side, price, lots): (Side, u64, u64), now: u64) {
        let (id, at) = (AccountId::new(account), TimeMs::from_ms(now));
        let is_near = u64::from(self.book.distance_ppm(side, price)) <= NEAR_PPM;
        let reached = self.book.reached(side, price, lots);
        let step = reached.filter(|_| self.last_price > 0).map_or(0, |price| price.abs_diff(self.last_price));
        let risk = NewRisk {
            resting_lots: if is_near && reached.is_none() { lots } else { 0 },
            depth_lots: self.book.depth(side, NEAR_PPM),
            step_ppm: u32::try_from(step * 1_000_000 / self.last_price.max(1)).unwrap_or(u32::MAX),
            ..NewRisk::default()
        };
        let gate = self.conduct.gate(id, MARKET, &Blockable::NewRisk(risk), at);
        let is_blocked = u64::from(matches!(gate, Gate::Block(_)));
        if account >= FIRST_INJECTED {
            self.played.injected_orders += 1;
            self.played.injected_blocked += is_blocked;
            return;
        }
        self.played.honest_orders += 1;
        self.played.honest_blocked += is_blocked;
        let band = self.conduct.band(id, at);
        if let Some(count) =
            usize::from(band).checked_sub(1).and_then(|place| self.played.honest_in_band.get_mut(place))
        {
            *count += 1;
        }
    }

    fn observe(&mut self, now: u64, act: Act) {
        self.played.observations += 1;
        let observation = Observation { at: TimeMs::from_ms(now), market: MARKET, act };
        self.conduct.observe(&observation, &mut self.played.alerts);
    }
}
