//! Random sequences of commands in which every rule of the page bites often.
//!
//! A [`Step`] is what proptest makes and shrinks. [`Step::resolve`] turns it into an [`Input`] for the state at hand:
//! picks a resting order to amend, signs with the root key where the session's grant is over. Give the same input to
//! the ledger and, with [`feed`], to the model.

use casemate_protocol::command::{
    AmendOrder, CancelAllOrders, CancelOrder, CancelScope, Command, LimitTerms, MarketTerms, OrderKind, OrderReference,
    PlaceOrder, QuoteLadder, QuoteLevel, SelfTradeMode, SetDeadMan, Side, TimeInForce,
};
use casemate_protocol::event::OrderRested;
use casemate_protocol::{
    AccountId, BoundedVec, ClientOrderId, DurationMs, Event, GrantNumber, MarketId, OrderNumber, PriceTicks,
    QuantityLots, RatioPpm, RecordIndex, Reject, SegmentId, TimeMs,
};
use proptest::prelude::{Just, Strategy, any};
use proptest::{collection, option, prop_oneof, sample};

use super::Model;
use super::world::{ACCOUNTS, START_MS, World};

/// A world and what happens in it.
#[derive(Clone, Debug)]
pub struct Sequence {
    /// Whether each market has a segment of its own.
    pub has_two_segments: bool,
    /// What happens.
    pub steps: Vec<Step>,
}

/// One thing that happens.
#[derive(Clone, Debug)]
pub enum Step {
    /// An account asks for something, with its root key or under a grant.
    Act { account: AccountId, grant: Option<GrantNumber>, plan: Plan },
    /// A block ends and the next one starts. If it is behind, it has no room for the work of its start.
    Wait { ms: u64, is_behind: bool },
    /// There is room now for work that had to wait.
    CatchUp,
    /// A grant is revoked.
    Revoke { account: AccountId, grant: GrantNumber },
}

/// A command that may depend on which orders rest.
#[derive(Clone, Debug)]
pub enum Plan {
    /// Exactly this.
    Send(Command),
    /// Places a reduce-only order on the side that reduces a position of the account, if it has one.
    Reduce(PlaceOrder),
    /// Amends an order; without a price it keeps its own.
    Amend { market: MarketId, pick: Pick, price: Option<PriceTicks>, quantity: QuantityLots },
    /// Cancels an order.
    Cancel { market: MarketId, pick: Pick },
}

/// Which order.
#[derive(Clone, Debug)]
pub enum Pick {
    /// One of the account's resting orders in any market, if it has any.
    Resting(sample::Index),
    /// This one in the market of the plan, whether it exists or not.
    Named(OrderReference),
}

/// A step for the state at hand.
#[derive(Clone, Debug)]
pub enum Input {
    /// A command that passed the gate.
    Command { account: AccountId, grant: Option<GrantNumber>, command: Command },
    /// See [`Step::Wait`].
    Wait { ms: u64, is_behind: bool },
    /// See [`Step::CatchUp`].
    CatchUp,
    /// A grant is revoked.
    Revoke { account: AccountId, grant: GrantNumber },
}

impl Sequence {
    /// The world that the sequence happens in.
    pub fn world(&self) -> World {
        if self.has_two_segments { World::two_segments() } else { World::one_segment() }
    }
}

impl Step {
    /// What the step means now.
    pub fn resolve(&self, model: &Model, time_ms: TimeMs) -> Input {
        match self {
            Self::Act { account, grant, plan } => Input::Command {
                account: *account,
                // The gate refuses commands under a grant that is over; its owner falls back to the root key.
                grant: grant.filter(|grant| model.is_grant_live(*account, *grant, time_ms)),
                command: plan.resolve(model, *account),
            },
            Self::Wait { ms, is_behind } => Input::Wait { ms: *ms, is_behind: *is_behind },
            Self::CatchUp => Input::CatchUp,
            Self::Revoke { account, grant } => Input::Revoke { account: *account, grant: *grant },
        }
    }
}

impl Plan {
    fn resolve(&self, model: &Model, account: AccountId) -> Command {
        match self {
            Self::Send(command) => command.clone(),
            Self::Reduce(place) => {
                let markets = model.markets.iter().map(|market| market.rules.id);
                let mut positions = markets.map(|market| (market, model.position(market, account).0));
                let (market, lots) = positions.find(|(_, lots)| *lots != 0).unwrap_or((place.market, 0));
                let side = if lots < 0 { Side::Bid } else { Side::Ask };
                Command::PlaceOrder(PlaceOrder { market, side, is_reduce_only: true, ..*place })
            }
            Self::Amend { market, pick, price, quantity } => {
                let (market, order, own_price) = pick.resolve(model, *market, account);
                let price = price.unwrap_or(own_price);
                Command::AmendOrder(AmendOrder { market, order, price, quantity: *quantity })
            }
            Self::Cancel { market, pick } => {
                let (market, order, _) = pick.resolve(model, *market, account);
                Command::CancelOrder(CancelOrder { market, order })
            }
        }
    }
}

impl Pick {
    /// The order, its market and its price.
    fn resolve(&self, model: &Model, market: MarketId, account: AccountId) -> (MarketId, OrderReference, PriceTicks) {
        let any_price = PriceTicks::from_ticks(100);
        match self {
            Self::Named(reference) => (market, *reference, any_price),
            Self::Resting(index) => {
                let books = model.markets.iter().flat_map(|market| model.resting(market.rules.id));
                let orders: Vec<OrderRested> = books.filter(|order| order.account == account).collect();
                match orders.get(index.index(orders.len().max(1))) {
                    Some(order) => (order.market, OrderReference::Number(order.number), order.price),
                    None => (market, OrderReference::Number(OrderNumber::NONE), any_price),
                }
            }
        }
    }
}

/// Gives an input to the model. Time passes in `time_ms`.
///
/// # Errors
/// The refusal of a command or revocation.
pub fn feed(model: &mut Model, time_ms: &mut TimeMs, origin: RecordIndex, input: &Input) -> Result<Vec<Event>, Reject> {
    match input {
        Input::Command { account, grant, command } => model.apply(*account, *grant, *time_ms, origin, command),
        Input::Wait { ms, is_behind } => {
            *time_ms = time_ms.plus(DurationMs::from_ms(*ms));
            Ok(if *is_behind { Vec::new() } else { model.start_block(*time_ms) })
        }
        Input::CatchUp => Ok(model.start_block(*time_ms)),
        Input::Revoke { account, grant } => model.revoke_grant(*account, *grant, *time_ms),
    }
}

/// Sequences of 30 to 80 steps. Some begin with a situation that chance alone hardly ever makes.
pub fn sequence() -> impl Strategy<Value = Sequence> {
    let start = prop_oneof![5 => Just(Vec::new()), 2 => squeeze(), 1 => lean()];
    let steps = collection::vec(step(), 30..=80);
    (prop_oneof![3 => Just(false), 1 => Just(true)], start, steps).prop_map(|(has_two_segments, mut start, steps)| {
        start.extend(steps);
        Sequence { has_two_segments, steps: start }
    })
}

/// A plain limit order.
fn limit(market: u16, side: Side, price: u64, quantity: u64) -> PlaceOrder {
    PlaceOrder {
        market: MarketId::new(market),
        side,
        kind: OrderKind::Limit(LimitTerms {
            price: PriceTicks::from_ticks(price),
            time_in_force: TimeInForce::GoodTillCancel,
        }),
        quantity: QuantityLots::from_lots(quantity),
        client_id: ClientOrderId::NONE,
        is_reduce_only: false,
        self_trade: SelfTradeMode::CancelResting,
    }
}

/// A poor account sells all it can of market 2 and offers more, then two rich accounts trade the price up twofold, and
/// somebody moves.
fn squeeze() -> impl Strategy<Value = Vec<Step>> {
    let act = |account, side, price, quantity| send(account, None, limit(2, side, price, quantity));
    // Cash of 5,000 carries 16 lots at 100, and so on by halves.
    let seller = prop_oneof![Just((4, 16)), Just((5, 8)), Just((6, 4))];
    (seller, 0..=3_u64, 95..=105_u64, 130..=148_u64, 180..=215_u64, 0..=60_u64, any::<bool>()).prop_map(
        move |((seller, carried), offered, price, higher, highest, above, is_seller_moving)| {
            let sold = carried - offered;
            let last = if is_seller_moving {
                act(seller, Side::Bid, highest + above, 2 * sold)
            } else {
                act(1, Side::Bid, highest + above, 20)
            };
            vec![
                act(seller, Side::Ask, price, sold),
                act(1, Side::Bid, price, sold),
                act(seller, Side::Ask, highest + above, offered),
                act(2, Side::Ask, higher, 1),
                act(1, Side::Bid, higher, 1),
                act(2, Side::Ask, highest, 1),
                act(1, Side::Bid, highest, 1),
                act(2, Side::Ask, highest + above, 10),
                last,
            ]
        },
    )
}

/// An account sells in market 1, bids for more than it sold, so that part of the bids counts on the short position, and
/// closes it with an order that only reduces, as maker or as taker.
fn lean() -> impl Strategy<Value = Vec<Step>> {
    // The first can carry everything, the others their short position.
    let seller = prop_oneof![Just((1, 20)), Just((5, 20)), Just((6, 10))];
    let grant = prop_oneof![Just(None), Just(Some(GrantNumber::new(2)))];
    (seller, grant, 95..=99_u64, 15..=20_u64, 1..=20_u64, any::<bool>()).prop_map(
        |((seller, sold), grant, price, more, offered, is_maker)| {
            let closing = PlaceOrder { is_reduce_only: true, ..limit(1, Side::Bid, 100, sold) };
            let mut close = [send(seller, grant, closing), send(3, None, limit(1, Side::Ask, 100, offered))];
            if !is_maker {
                close.reverse();
            }
            let mut steps = vec![
                send(seller, None, limit(1, Side::Ask, 100, sold)),
                send(2, None, limit(1, Side::Bid, 100, sold)),
                send(seller, grant, limit(1, Side::Bid, price, more)),
                send(seller, None, limit(1, Side::Bid, price - 1, sold - 5)),
            ];
            steps.extend(close);
            steps
        },
    )
}

fn send(account: u64, grant: Option<GrantNumber>, order: PlaceOrder) -> Step {
    Step::Act { account: AccountId::new(account), grant, plan: Plan::Send(Command::PlaceOrder(order)) }
}

fn step() -> impl Strategy<Value = Step> {
    let grant = prop_oneof![6 => Just(None), 4 => (1..=3_u32).prop_map(|number| Some(GrantNumber::new(number)))];
    let act = (account(), grant, plan()).prop_map(|(account, grant, plan)| Step::Act { account, grant, plan });
    let revoke =
        (account(), 1..=3_u32).prop_map(|(account, number)| Step::Revoke { account, grant: GrantNumber::new(number) });
    let wait = (1..=200_u64, prop_oneof![2 => Just(false), 1 => Just(true)])
        .prop_map(|(ms, is_behind)| Step::Wait { ms, is_behind });
    prop_oneof![
        180 => act,
        12 => wait,
        2 => revoke,
        1 => Just(Step::CatchUp),
    ]
}

fn account() -> impl Strategy<Value = AccountId> {
    (1..=ACCOUNTS).prop_map(AccountId::new)
}

fn plan() -> impl Strategy<Value = Plan> {
    let amend = (priced(), any::<bool>(), pick()).prop_map(|((market, price, quantity), moves, pick)| Plan::Amend {
        market,
        pick,
        price: moves.then_some(PriceTicks::from_ticks(price)),
        quantity: QuantityLots::from_lots(quantity),
    });
    let cancel = (market(), pick()).prop_map(|(market, pick)| Plan::Cancel { market, pick });
    prop_oneof![
        60 => place().prop_map(|place| Plan::Send(Command::PlaceOrder(place))),
        8 => place().prop_map(Plan::Reduce),
        10 => amend,
        4 => cancel,
        2 => cancel_all().prop_map(Plan::Send),
        6 => ladder().prop_map(Plan::Send),
        2 => dead_man().prop_map(Plan::Send),
    ]
}

/// Mostly the two that exist.
fn market() -> impl Strategy<Value = MarketId> {
    prop_oneof![20 => Just(1), 20 => Just(2), 1 => Just(0), 1 => Just(3)].prop_map(MarketId::new)
}

/// A market with a price that may mean something there, and a quantity.
fn priced() -> impl Strategy<Value = (MarketId, u64, u64)> {
    market().prop_flat_map(|market| (Just(market), price(market), quantity()))
}

fn price(market: MarketId) -> impl Strategy<Value = u64> {
    let (wide, edges) = if market == MarketId::new(1) {
        (85..=115_u64, vec![0, 1, 2, 139, 140, 141, u64::MAX])
    } else {
        (55..=250_u64, vec![0, 1, 2, 399, 400, 401, u64::MAX])
    };
    prop_oneof![24 => 97..=103_u64, 12 => wide, 1 => sample::select(edges)]
}

fn quantity() -> impl Strategy<Value = u64> {
    prop_oneof![10 => 2..=6_u64, 6 => 1..=20_u64, 1 => sample::select(vec![0, 1, 20, 21, u64::MAX])]
}

fn place() -> impl Strategy<Value = PlaceOrder> {
    let self_trade =
        sample::select(vec![SelfTradeMode::CancelResting, SelfTradeMode::CancelArriving, SelfTradeMode::CancelBoth]);
    let slippage = sample::select(vec![0, 1_000, 20_000, 100_000, 700_000, 1_000_000, u32::MAX]);
    let is_reduce_only = prop_oneof![9 => Just(false), 1 => Just(true)];
    (priced(), side(), option::weighted(0.1, slippage), time_in_force(), client_id(), is_reduce_only, self_trade)
        .prop_map(
            |((market, price, quantity), side, slippage, time_in_force, client_id, is_reduce_only, self_trade)| {
                PlaceOrder {
                    market,
                    side,
                    kind: match slippage {
                        Some(ppm) => OrderKind::Market(MarketTerms { slippage_ppm_max: RatioPpm::from_ppm(ppm) }),
                        None => OrderKind::Limit(LimitTerms { price: PriceTicks::from_ticks(price), time_in_force }),
                    },
                    quantity: QuantityLots::from_lots(quantity),
                    client_id,
                    is_reduce_only,
                    self_trade,
                }
            },
        )
}

fn side() -> impl Strategy<Value = Side> {
    any::<bool>().prop_map(|buys| if buys { Side::Bid } else { Side::Ask })
}

fn time_in_force() -> impl Strategy<Value = TimeInForce> {
    prop_oneof![
        10 => Just(TimeInForce::GoodTillCancel),
        4 => (START_MS - 20..START_MS + 600).prop_map(|ms| TimeInForce::GoodTillTime(TimeMs::from_ms(ms))),
        3 => Just(TimeInForce::ImmediateOrCancel),
        2 => Just(TimeInForce::FillOrKill),
        2 => Just(TimeInForce::PostOnly),
        2 => Just(TimeInForce::PostOnlySlide),
    ]
}

fn client_id() -> impl Strategy<Value = ClientOrderId> {
    prop_oneof![3 => Just(0), 1 => 1..=4_u64].prop_map(ClientOrderId::new)
}

fn pick() -> impl Strategy<Value = Pick> {
    prop_oneof![
        8 => any::<sample::Index>().prop_map(Pick::Resting),
        1 => (0..=30_u64).prop_map(|number| Pick::Named(OrderReference::Number(OrderNumber::new(number)))),
        1 => (0..=4_u64).prop_map(|number| Pick::Named(OrderReference::Client(ClientOrderId::new(number)))),
    ]
}

fn cancel_all() -> impl Strategy<Value = Command> {
    let scope = prop_oneof![
        market().prop_map(CancelScope::Market),
        (0..=3_u16).prop_map(|number| CancelScope::Segment(SegmentId::new(number))),
    ];
    scope.prop_map(|scope| Command::CancelAllOrders(CancelAllOrders { scope }))
}

/// Ladders around a middle. Most are well-formed; some are shuffled, repeated or crossed.
fn ladder() -> impl Strategy<Value = Command> {
    let middle = prop_oneof![6 => 96..=104_u64, 2 => 80..=120_u64];
    let side = || collection::vec((1..=4_u64, prop_oneof![20 => 2..=5_u64, 1 => 0..=25_u64]), 0..=4);
    let faulty = sample::select(vec![Shape::Unsorted, Shape::Crossed, Shape::Touching]);
    let shape = prop_oneof![14 => Just(Shape::Fine), 2 => faulty];
    (market(), middle, side(), side(), shape).prop_map(|(market, middle, bids, asks, shape)| {
        let mut bids = levels(&bids, |distance| middle.saturating_sub(distance));
        let mut asks = levels(&asks, |distance| middle.saturating_add(distance));
        if shape == Shape::Crossed {
            core::mem::swap(&mut bids, &mut asks);
        }
        if shape == Shape::Touching {
            let level = QuoteLevel { price: PriceTicks::from_ticks(middle), quantity: QuantityLots::from_lots(2) };
            bids.insert(0, level);
            asks.insert(0, level);
        }
        if matches!(shape, Shape::Unsorted | Shape::Crossed) {
            bids.reverse();
            asks.reverse();
        }
        let (bids, asks) = (BoundedVec::new(bids).unwrap_or_default(), BoundedVec::new(asks).unwrap_or_default());
        Command::QuoteLadder(Box::new(QuoteLadder { market, bids, asks }))
    })
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Shape {
    Fine,
    Unsorted,
    Crossed,
    Touching,
}

/// Levels further and further from the middle.
fn levels(steps: &[(u64, u64)], price_at: impl Fn(u64) -> u64) -> Vec<QuoteLevel> {
    let mut distance = 0;
    let level = |(step, quantity): &(u64, u64)| {
        distance += step;
        QuoteLevel { price: PriceTicks::from_ticks(price_at(distance)), quantity: QuantityLots::from_lots(*quantity) }
    };
    steps.iter().map(level).collect()
}

fn dead_man() -> impl Strategy<Value = Command> {
    (0..=3_u16, sample::select(vec![0, 1, 99, 100, 120, 200, 5_000])).prop_map(|(segment, timeout_ms)| {
        Command::SetDeadMan(SetDeadMan {
            segment: SegmentId::new(segment),
            timeout_ms: DurationMs::from_ms(timeout_ms),
        })
    })
}
