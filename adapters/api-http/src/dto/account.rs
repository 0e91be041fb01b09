//! One account, as it stood after one durable block.

use casemate_ledger::accounts::{Account, Grant};
use casemate_ledger::segment::{GrantUsage, RestingOrder, Segment, SubAccount};
use casemate_protocol::{AccountId, MarketId, QuoteMicros, TimeMs};
use serde::Serialize;
use utoipa::ToSchema;

use super::envelope::{ActionJson, SideJson, action_words, market_numbers};
use super::safeguards::SafeguardsJson;
use crate::ports::StateView;
use crate::values::{HexArray, Int, KeyText, Signed, Unsigned, Wide};

/// An account with its balances, positions, orders and grants.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct AccountJson {
    /// Height of the block after which this was so; durable.
    pub height: u64,
    /// State root after it.
    pub state_root: HexArray<32>,
    /// Its block time.
    pub time_ms: u64,
    /// The account.
    pub account: u64,
    /// Whether it can act.
    pub is_open: bool,
    /// Its root key.
    pub root_key: KeyText,
    /// The lowest nonce above every used one of the root key.
    pub root_nonce_next: u64,
    /// The number that the next grant must have.
    pub grant_number_next: u32,
    /// The longest life of a grant that is registered now, in the venue's present regime.
    pub grant_lifetime_ms_max: u64,
    /// Locked until the account closes.
    pub bond_quote_micros: Signed,
    /// The segment that holds the bond.
    pub bond_segment: u16,
    /// Live and recently ended grants.
    pub grants: Vec<GrantJson>,
    /// What guards it against its own keys; none if it never used any of this.
    pub safeguards: Option<SafeguardsJson>,
    /// The segments in which it has anything.
    pub segments: Vec<SubAccountJson>,
}

/// A grant. Holds no secret: a session's secret key never leaves its owner.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct GrantJson {
    /// Its number in the account.
    pub number: u32,
    /// The grant that it was carved out of; 0 if it stands by itself.
    pub parent: u32,
    /// Live grants that were carved out of it.
    pub children: Vec<u32>,
    /// The session key.
    pub session_key: KeyText,
    /// Whether the session can act now.
    pub is_live: bool,
    /// Whether it counts as fresh evidence: registered by the root key, by itself, in the last 10 minutes.
    pub is_fresh: bool,
    /// Whether it was revoked, or a grant above it.
    pub is_revoked: bool,
    /// The lowest nonce above every used one.
    pub nonce_next: u64,
    /// What it may do.
    pub actions: Vec<ActionJson>,
    /// The markets it reaches; none for all.
    pub markets: Option<Vec<u16>>,
    /// Most notional over its life, without what its children were given.
    pub notional_quote_micros_max: Signed,
    /// Notional that it has used: traded, and reserved by resting orders.
    pub notional_used_quote_micros: Signed,
    /// What is left of it, to trade or to give to a child; 0 if the grant ended.
    pub notional_left_quote_micros: Signed,
    /// Most that its fills may cost against the index over its life, fees included and what its children were given
    /// left out.
    pub loss_quote_micros_max: Signed,
    /// What they cost so far.
    pub loss_used_quote_micros: Signed,
    /// What is left of it; 0 if the grant ended.
    pub loss_left_quote_micros: Signed,
    /// Most commands per minute, without what its children were given.
    pub commands_per_minute_max: u32,
    /// Its end.
    pub expires_ms: u64,
}

/// What an account has in a segment.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct SubAccountJson {
    /// The segment.
    pub segment: u16,
    /// Cash, without what is set aside.
    pub cash_quote_micros: Signed,
    /// Set aside for withdrawals and transfers.
    pub pending_quote_micros: Signed,
    /// How many of those there are.
    pub pending_moves: u32,
    /// Deposits and arrivals less everything that was asked to leave: what the slow exit counts as principal.
    pub net_deposits_quote_micros: Signed,
    /// Conduct band, 0 to 3; see `docs/conduct.md`.
    pub conduct_band: u8,
    /// When the dead-man switch fires; 0 if it is not armed.
    pub dead_man_fires_ms: u64,
    /// Positions, by market.
    pub positions: Vec<PositionJson>,
    /// Resting orders, by number.
    pub orders: Vec<OrderJson>,
}

/// A position in a market.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct PositionJson {
    /// The market.
    pub market: u16,
    /// Signed: above zero is long.
    pub position_lots: Signed,
    /// Signed notional that it was opened with.
    pub entry_notional_quote_micros: Signed,
    /// Value at the reference price minus entry notional; funding that is not settled left out.
    pub unrealised_pnl_quote_micros: Wide,
    /// The price that values it.
    pub reference_price_ticks: Unsigned,
    /// Lots of resting bids that are not reduce-only.
    pub bid_lots: Unsigned,
    /// Lots of resting asks that are not reduce-only.
    pub ask_lots: Unsigned,
}

/// A resting order.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct OrderJson {
    /// Its number in the segment.
    pub number: u64,
    /// The owner's name for it; `0` for none.
    pub client_id: Unsigned,
    /// The market.
    pub market: u16,
    /// Buy or sell.
    pub side: SideJson,
    /// Its price.
    pub price_ticks: Unsigned,
    /// What is left to fill.
    pub remaining_lots: Unsigned,
    /// May only reduce.
    pub is_reduce_only: bool,
    /// Part of the owner's ladder.
    pub is_ladder: bool,
    /// Its end; 0 for none.
    pub expires_ms: u64,
    /// The grant it was placed under; 0 for the root key.
    pub grant: u32,
    /// The record it comes from.
    pub record: u64,
}

impl AccountJson {
    /// Reads an account; none if it does not exist.
    #[must_use]
    pub fn read(view: &StateView<'_>, id: AccountId) -> Option<Self> {
        let ledger = view.ledger;
        let chain = ledger.chain();
        let account = ledger.accounts().account(id)?;
        let (bond, bond_segment) = account.bond();
        let parts = || ledger.segments().iter().filter_map(|segment| Some((segment, segment.sub_account(id)?)));
        Some(Self {
            height: chain.height.number(),
            state_root: view.state_root.into(),
            time_ms: chain.time_ms.ms(),
            account: id.number(),
            is_open: account.is_open(),
            root_key: KeyText(*account.root_key()),
            root_nonce_next: account.nonces().next(),
            grant_number_next: account.next_grant().number(),
            grant_lifetime_ms_max: ledger.grant_lifetime_max().ms(),
            bond_quote_micros: Int(bond.micros()),
            bond_segment: bond_segment.number(),
            grants: grants(account, chain.time_ms, || parts().map(|(_, part)| part)),
            safeguards: ledger.accounts().safeguards().of(id).map(|row| SafeguardsJson::of(row, chain.waiting_ms)),
            segments: parts().map(|(segment, part)| SubAccountJson::of(segment, part, id)).collect(),
        })
    }
}

fn children(account: &Account, parent: &Grant, now_ms: TimeMs) -> Vec<u32> {
    let is_child = |grant: &&Grant| grant.parent() == parent.number() && grant.is_live(now_ms);
    account.grants().iter().filter(is_child).map(|grant| grant.number().number()).collect()
}

fn grants<'a, I: Iterator<Item = &'a SubAccount>>(
    account: &Account,
    now_ms: TimeMs,
    parts: impl Fn() -> I,
) -> Vec<GrantJson> {
    let sum = |grant: &Grant, part_of: fn(&GrantUsage) -> i64| {
        let number = grant.number();
        let usages = parts().flat_map(|part| part.usage()).filter(move |usage| usage.grant() == number);
        usages.fold(0i64, |sum, usage| sum.saturating_add(part_of(usage)))
    };
    let used = |usage: &GrantUsage| usage.traded().micros().saturating_add(usage.reserved().micros());
    let left = |grant: &Grant, most: QuoteMicros, used: i64| {
        if grant.is_live(now_ms) { most.micros().saturating_sub(used).max(0) } else { 0 }
    };
    let show = |grant: &Grant| {
        let (notional_used, loss_used) = (sum(grant, used), sum(grant, |usage| usage.lost().micros()));
        let (commands_per_minute_max, _) = grant.rate_at(now_ms);
        GrantJson {
            number: grant.number().number(),
            parent: grant.parent().number(),
            children: children(account, grant, now_ms),
            session_key: KeyText(*grant.session_key()),
            is_live: grant.is_live(now_ms),
            is_fresh: grant.is_fresh(now_ms),
            is_revoked: grant.is_revoked(),
            nonce_next: grant.nonces().next(),
            actions: action_words(grant.actions()),
            markets: market_numbers(grant.markets()),
            notional_quote_micros_max: Int(grant.notional_max().micros()),
            notional_used_quote_micros: Int(notional_used),
            notional_left_quote_micros: Int(left(grant, grant.notional_max(), notional_used)),
            loss_quote_micros_max: Int(grant.loss_max().micros()),
            loss_used_quote_micros: Int(loss_used),
            loss_left_quote_micros: Int(left(grant, grant.loss_max(), loss_used)),
            commands_per_minute_max,
            expires_ms: grant.expires_ms().ms(),
        }
    };
    account.grants().iter().map(show).collect()
}

impl SubAccountJson {
    fn of(segment: &Segment, part: &SubAccount, id: AccountId) -> Self {
        let market = |place: u16| segment.markets().get(usize::from(place));
        let order = |order: &RestingOrder| OrderJson {
            number: order.number.number(),
            client_id: Int(order.client_id),
            market: market(order.market).map_or(MarketId::NONE, |market| market.rules().id).number(),
            side: order.side.into(),
            price_ticks: Int(order.price.ticks()),
            remaining_lots: Int(order.remaining.lots()),
            is_reduce_only: order.is_reduce_only,
            is_ladder: order.is_ladder,
            expires_ms: order.expires_ms.ms(),
            grant: order.grant,
            record: order.origin.number(),
        };
        Self {
            segment: segment.id().number(),
            cash_quote_micros: Int(part.cash().micros()),
            pending_quote_micros: Int(part.pending().micros()),
            pending_moves: part.pending_count(),
            net_deposits_quote_micros: Int(part.net_deposits().micros()),
            conduct_band: segment.conduct_band(id),
            dead_man_fires_ms: part.dead_man_ms().ms(),
            positions: PositionJson::all(segment, part),
            orders: segment.resting_orders(id).map(order).collect(),
        }
    }
}

impl PositionJson {
    /// Every position of an account in a segment.
    #[must_use]
    pub fn all(segment: &Segment, part: &SubAccount) -> Vec<Self> {
        let shown = part.positions().iter().filter(|position| !position.is_empty()).filter_map(|position| {
            let market = segment.market(position.market_place())?;
            let price = market.facts().reference_price;
            let tick_value = market.rules().tick_value.micros();
            let value = i128::from(position.lots()) * i128::from(price.ticks()) * i128::from(tick_value);
            Some(Self {
                market: market.rules().id.number(),
                position_lots: Int(position.lots()),
                entry_notional_quote_micros: Int(position.entry_notional()),
                unrealised_pnl_quote_micros: Int(value - i128::from(position.entry_notional())),
                reference_price_ticks: Int(price.ticks()),
                bid_lots: Int(position.bid_lots().lots()),
                ask_lots: Int(position.ask_lots().lots()),
            })
        });
        shown.collect()
    }
}

/// The account of a root key.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct KeyJson {
    /// Height of the block after which this was so; durable.
    pub height: u64,
    /// State root after it.
    pub state_root: HexArray<32>,
    /// The key.
    pub root_key: KeyText,
    /// The account that it opened.
    pub account: u64,
}
