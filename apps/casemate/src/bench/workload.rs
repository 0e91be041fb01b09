//! The load of every engine row, seeded: the same seed gives the same bytes.
//!
//! | share | command |
//! |---|---|
//! | 55 % | limit orders, good till cancelled; two in five are priced to fill on arrival |
//! | 25 % | cancels of live orders |
//! | 10 % | mass quotes of eight levels |
//! | 5 % | amends of live orders: half smaller at the same price, half to another price |
//! | 5 % | half immediate-or-cancel, half reduce-only, both priced to fill |
//!
//! Accounts are drawn uniformly from all; a cancel or amend comes from the owner of a live order, and owners were drawn
//! uniformly. A simple book for each market follows what the engine will do, so that orders that are named are live.

use std::collections::{BTreeMap, HashMap, VecDeque};

use casemate_node::development_keys::{public_key, session_key, sign_envelope};
use casemate_protocol::command::{
    AmendOrder, CancelOrder, LimitTerms, OrderKind, OrderReference, PlaceOrder, QuoteLadder, QuoteLevel, SelfTradeMode,
    TimeInForce,
};
use casemate_protocol::envelope::{ENVELOPE_VERSION, GroupMode, Intent, Signer, SignerRole};
use casemate_protocol::{
    AccountId, BoundedVec, ClientOrderId, Command, Digest, DurationMs, MarketId, PriceTicks, QuantityLots, Side, TimeMs,
};
use chacha20::ChaCha20Rng;
use chacha20::rand_core::{Rng, SeedableRng};
use rayon::prelude::*;

use super::engine::{Chain, Load, START_PRICE_TICKS};
use super::row::RowPlan;

/// Makes loads.
pub struct Workload {
    rng: ChaCha20Rng,
    seed: [u8; 32],
    chain_id: Digest,
    commands_per_envelope: usize,
    accounts: u64,
    /// Account number of the first seeded account.
    first_account: u64,
    valid_until_ms: TimeMs,
    books: Vec<SimpleBook>,
    /// Live orders that may be named, with those that are gone left in until they are met.
    named: Vec<u64>,
    live: HashMap<u64, Live>,
    ladders: HashMap<(u64, u16), Vec<u64>>,
    next_nonce: HashMap<u64, u64>,
    next_client_id: u64,
}

#[derive(Clone, Copy)]
struct Live {
    owner: u64,
    market: u16,
    side: Side,
    price: u64,
    lots: u64,
}

/// Orders by price and queue; all that the load needs to know of matching.
#[derive(Default)]
struct SimpleBook {
    bids: BTreeMap<u64, VecDeque<u64>>,
    asks: BTreeMap<u64, VecDeque<u64>>,
}

/// Resting orders of each market before anything is measured.
const OPENING_ORDERS: usize = 1_500;
/// Passive orders stand this far from the start price at most.
const DEPTH_TICKS: u64 = 200;
/// Named orders stand deeper than this many ticks, where no fill reaches within a block.
const SAFE_DEPTH_TICKS: u64 = 25;

impl Workload {
    pub fn new(plan: &RowPlan, seed: [u8; 32], chain_id: Digest) -> Self {
        Self {
            rng: ChaCha20Rng::from_seed(seed),
            seed,
            chain_id,
            commands_per_envelope: plan.commands_per_envelope,
            accounts: plan.accounts,
            first_account: 0,
            valid_until_ms: TimeMs::ZERO,
            books: (0..plan.markets).map(|_| SimpleBook::default()).collect(),
            named: Vec::new(),
            live: HashMap::new(),
            ladders: HashMap::new(),
            next_nonce: HashMap::new(),
            next_client_id: 1,
        }
    }

    /// Resting orders for every market.
    pub fn opening(&mut self, chain: &Chain) -> Load {
        self.first_account = 1 + chain.node.genesis().principals().count() as u64;
        self.valid_until_ms = chain.time_ms.plus(DurationMs::from_ms(20 * 60 * 60 * 1_000));
        let mut intents = Vec::new();
        for market in 0..self.books.len() as u16 {
            for _ in 0..OPENING_ORDERS / 50 {
                let account = self.draw_account();
                let commands = (0..50).map(|_| self.passive_order(account, market)).collect();
                intents.push((account, self.intent(account, commands)));
            }
        }
        self.sign(intents)
    }

    /// The next part of the load.
    pub fn next(&mut self, envelopes: usize, _chain: &Chain) -> Load {
        let mut intents = Vec::with_capacity(envelopes);
        for _ in 0..envelopes {
            let (account, commands) =
                if self.commands_per_envelope == 1 { self.one_command() } else { self.many_commands() };
            intents.push((account, self.intent(account, commands)));
        }
        self.sign(intents)
    }

    fn one_command(&mut self) -> (u64, Vec<Command>) {
        match self.below(100) {
            0..55 => {
                let account = self.draw_account();
                let market = self.draw_market();
                (account, vec![self.limit_order(account, market)])
            }
            55..80 => match self.draw_live() {
                Some((id, live)) => (live.owner, vec![self.cancel(id, live)]),
                None => self.fallback(),
            },
            80..90 => {
                let account = self.draw_account();
                let market = self.draw_market();
                (account, vec![self.ladder(account, market)])
            }
            90..95 => match self.draw_live() {
                Some((id, live)) => (live.owner, vec![self.amend(id, live)]),
                None => self.fallback(),
            },
            _ => {
                let account = self.draw_account();
                (account, vec![self.immediate(account)])
            }
        }
    }

    /// Many commands of one account: named orders are its own, placed earlier in the same envelope.
    fn many_commands(&mut self) -> (u64, Vec<Command>) {
        let account = self.draw_account();
        let count = self.commands_per_envelope;
        let share = |percent: usize| count * percent / 100;
        let mut commands = Vec::with_capacity(count);
        let mut own = Vec::new();
        while commands.len() < count - share(25) - share(10) - share(5) - share(5) {
            let market = self.draw_market();
            let before = self.next_client_id;
            commands.push(self.limit_order(account, market));
            own.extend((before..self.next_client_id).filter(|id| self.live.contains_key(id)));
        }
        for _ in 0..share(5) {
            commands.push(self.immediate(account));
        }
        for _ in 0..share(10) {
            let market = self.draw_market();
            commands.push(self.ladder(account, market));
        }
        own.retain(|id| self.live.get(id).is_some_and(|live| depth(live.side, live.price) > SAFE_DEPTH_TICKS / 5));
        let mut named = own.into_iter();
        while commands.len() < count {
            let is_amend = commands.len() < count - share(25);
            let next = named.next().and_then(|id| self.live.get(&id).copied().map(|live| (id, live)));
            commands.push(match next {
                Some((id, live)) if is_amend => self.amend(id, live),
                Some((id, live)) => self.cancel(id, live),
                None => {
                    let market = self.draw_market();
                    self.passive_order(account, market)
                }
            });
        }
        (account, commands)
    }

    fn fallback(&mut self) -> (u64, Vec<Command>) {
        let account = self.draw_account();
        let market = self.draw_market();
        (account, vec![self.passive_order(account, market)])
    }

    fn limit_order(&mut self, account: u64, market: u16) -> Command {
        if self.below(100) < 40 {
            let side = self.draw_side();
            if let Some(taking) = self.taking_order(account, market, side, TimeInForce::GoodTillCancel, false) {
                return taking;
            }
        }
        self.passive_order(account, market)
    }

    fn passive_order(&mut self, account: u64, market: u16) -> Command {
        let side = self.draw_side();
        let price = self.passive_price(side, 1);
        let lots = 1 + self.below(10);
        let id = self.rest(Live { owner: account, market, side, price, lots });
        self.named.push(id);
        place(market, side, price, lots, id, TimeInForce::GoodTillCancel, false)
    }

    /// An order that takes exactly what the best opposite order offers, or part of it.
    fn taking_order(
        &mut self,
        account: u64,
        market: u16,
        side: Side,
        time_in_force: TimeInForce,
        is_reduce_only: bool,
    ) -> Option<Command> {
        let maker = self.book(market).best(side.opposite())?;
        let resting = self.live.get(&maker).copied()?;
        if resting.owner == account {
            return None;
        }
        let lots = if self.below(4) == 0 { 1 + self.below(resting.lots) } else { resting.lots };
        if lots == resting.lots {
            self.remove(maker);
        } else if let Some(live) = self.live.get_mut(&maker) {
            live.lots -= lots;
        }
        let id = self.next_client_id;
        self.next_client_id += 1;
        Some(place(market, side, resting.price, lots, id, time_in_force, is_reduce_only))
    }

    /// Half immediate-or-cancel, half reduce-only in the market where the account holds its position.
    fn immediate(&mut self, account: u64) -> Command {
        let (market, side, is_reduce_only) = if self.below(2) == 0 {
            (self.draw_market(), self.draw_side(), false)
        } else {
            let index = account - self.first_account;
            let market = ((index / 2) % self.books.len() as u64) as u16;
            (market, if index.is_multiple_of(2) { Side::Ask } else { Side::Bid }, true)
        };
        self.taking_order(account, market, side, TimeInForce::ImmediateOrCancel, is_reduce_only)
            .unwrap_or_else(|| self.passive_order(account, market))
    }

    fn cancel(&mut self, id: u64, live: Live) -> Command {
        self.remove(id);
        let order = OrderReference::Client(ClientOrderId::new(id));
        Command::CancelOrder(CancelOrder { market: MarketId::new(live.market + 1), order })
    }

    fn amend(&mut self, id: u64, live: Live) -> Command {
        let order = OrderReference::Client(ClientOrderId::new(id));
        let is_smaller = live.lots > 1 && self.below(2) == 0;
        let (price, lots) = if is_smaller {
            (live.price, live.lots - 1)
        } else {
            (self.passive_price(live.side, SAFE_DEPTH_TICKS + 1), live.lots)
        };
        if !is_smaller {
            self.book_mut(live.market).unlink(live.side, live.price, id);
            self.book_mut(live.market).link(live.side, price, id);
        }
        self.live.insert(id, Live { price, lots, ..live });
        Command::AmendOrder(AmendOrder {
            market: MarketId::new(live.market + 1),
            order,
            price: PriceTicks::from_ticks(price),
            quantity: QuantityLots::from_lots(lots),
        })
    }

    fn ladder(&mut self, account: u64, market: u16) -> Command {
        for id in self.ladders.remove(&(account, market)).unwrap_or_default() {
            self.remove(id);
        }
        let base = 20 + self.below(80);
        let mut ids = Vec::with_capacity(8);
        let mut side_levels = |workload: &mut Self, side: Side| {
            (0..4u64)
                .map(|level| {
                    let price = away(side, base + 2 * level);
                    let lots = 1 + workload.below(10);
                    ids.push(workload.rest(Live { owner: account, market, side, price, lots }));
                    QuoteLevel { price: PriceTicks::from_ticks(price), quantity: QuantityLots::from_lots(lots) }
                })
                .collect::<Vec<_>>()
        };
        let bids = side_levels(self, Side::Bid);
        let asks = side_levels(self, Side::Ask);
        self.ladders.insert((account, market), ids);
        Command::QuoteLadder(Box::new(QuoteLadder {
            market: MarketId::new(market + 1),
            bids: BoundedVec::new(bids).unwrap_or_default(),
            asks: BoundedVec::new(asks).unwrap_or_default(),
        }))
    }

    fn draw_live(&mut self) -> Option<(u64, Live)> {
        for _ in 0..32 {
            if self.named.is_empty() {
                return None;
            }
            let place = self.below(self.named.len() as u64) as usize;
            let id = self.named[place];
            match self.live.get(&id).copied() {
                None => {
                    self.named.swap_remove(place);
                }
                Some(live) if depth(live.side, live.price) > SAFE_DEPTH_TICKS => return Some((id, live)),
                Some(_) => {}
            }
        }
        None
    }

    fn rest(&mut self, live: Live) -> u64 {
        let id = self.next_client_id;
        self.next_client_id += 1;
        self.live.insert(id, live);
        self.book_mut(live.market).link(live.side, live.price, id);
        id
    }

    fn remove(&mut self, id: u64) {
        if let Some(live) = self.live.remove(&id) {
            self.book_mut(live.market).unlink(live.side, live.price, id);
        }
    }

    fn book(&self, market: u16) -> &SimpleBook {
        &self.books[usize::from(market)]
    }

    fn book_mut(&mut self, market: u16) -> &mut SimpleBook {
        &mut self.books[usize::from(market)]
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.rng.next_u64() % bound.max(1)
    }

    fn draw_account(&mut self) -> u64 {
        self.first_account + self.below(self.accounts)
    }

    fn draw_market(&mut self) -> u16 {
        self.below(self.books.len() as u64) as u16
    }

    fn draw_side(&mut self) -> Side {
        if self.below(2) == 0 { Side::Bid } else { Side::Ask }
    }

    fn passive_price(&mut self, side: Side, least_depth: u64) -> u64 {
        let depth = least_depth + self.below(DEPTH_TICKS - least_depth);
        away(side, depth)
    }

    fn intent(&mut self, account: u64, commands: Vec<Command>) -> Intent {
        let nonce = self.next_nonce.entry(account).or_insert(1);
        let this_nonce = *nonce;
        *nonce += 1;
        Intent {
            version: ENVELOPE_VERSION,
            chain_id: self.chain_id,
            account: AccountId::new(account),
            // The key is filled in when the intent is signed.
            signer: Signer { role: SignerRole::Session, key: casemate_protocol::PublicKey::Ed25519([0; 32]) },
            nonce: this_nonce,
            valid_until_ms: self.valid_until_ms,
            group: GroupMode::EachAlone,
            commands: BoundedVec::new(commands).unwrap_or_default(),
        }
    }

    fn sign(&self, intents: Vec<(u64, Intent)>) -> Load {
        let commands = intents.iter().map(|(_, intent)| intent.commands.len() as u64).sum();
        let envelopes = intents
            .into_par_iter()
            .map(|(account, mut intent)| {
                let key = session_key(&self.seed, account - self.first_account);
                intent.signer.key = public_key(&key);
                sign_envelope(intent, &key).encode()
            })
            .collect();
        Load { envelopes, commands }
    }
}

impl SimpleBook {
    fn best(&self, side: Side) -> Option<u64> {
        let level = match side {
            Side::Bid => self.bids.values().next_back(),
            Side::Ask => self.asks.values().next(),
        };
        level.and_then(|queue| queue.front()).copied()
    }

    fn link(&mut self, side: Side, price: u64, id: u64) {
        self.side(side).entry(price).or_default().push_back(id);
    }

    fn unlink(&mut self, side: Side, price: u64, id: u64) {
        let levels = self.side(side);
        let Some(queue) = levels.get_mut(&price) else { return };
        queue.retain(|&resting| resting != id);
        if queue.is_empty() {
            levels.remove(&price);
        }
    }

    fn side(&mut self, side: Side) -> &mut BTreeMap<u64, VecDeque<u64>> {
        match side {
            Side::Bid => &mut self.bids,
            Side::Ask => &mut self.asks,
        }
    }
}

/// A price this many ticks from the start price, on the passive side.
fn away(side: Side, ticks: u64) -> u64 {
    match side {
        Side::Bid => START_PRICE_TICKS - ticks,
        Side::Ask => START_PRICE_TICKS + ticks,
    }
}

fn depth(side: Side, price: u64) -> u64 {
    match side {
        Side::Bid => START_PRICE_TICKS.saturating_sub(price),
        Side::Ask => price.saturating_sub(START_PRICE_TICKS),
    }
}

fn place(
    market: u16,
    side: Side,
    price: u64,
    lots: u64,
    client_id: u64,
    time_in_force: TimeInForce,
    is_reduce_only: bool,
) -> Command {
    Command::PlaceOrder(PlaceOrder {
        market: MarketId::new(market + 1),
        side,
        kind: OrderKind::Limit(LimitTerms { price: PriceTicks::from_ticks(price), time_in_force }),
        quantity: QuantityLots::from_lots(lots),
        client_id: ClientOrderId::new(client_id),
        is_reduce_only,
        self_trade: SelfTradeMode::CancelResting,
    })
}
