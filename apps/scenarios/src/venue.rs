//! From a venue's tables to genesis, and from names to accounts, keys and markets.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use casemate_ledger::SeededKeys;
use casemate_protocol::clearing::{
    BreakerRules, ClearingRules, FeedRules, FundingRules, LiquidationRules, MarginRules, MarginTier, Officers,
    PrincipalExitRules, ProposalRules, RatioLevels,
};
use casemate_protocol::conduct::{ConductRules, DamageRules};
use casemate_protocol::envelope::SignerRole;
use casemate_protocol::genesis::{
    AccountRules, Genesis, LimiterRules, LogMode, MarketRules, Principal, PrincipalKind, SafeguardRules,
    SeededAccounts, SegmentRules, WindowCap,
};
use casemate_protocol::grant::GrantLifetimes;
use casemate_protocol::hash::{self, Domain};
use casemate_protocol::limits::GRANT_LIFETIME_MS_MAX;
use casemate_protocol::policy::PolicySet;
use casemate_protocol::regime::{RegimeLevels, RegimeRules};
use casemate_protocol::{
    AccountId, AssetId, BoundedVec, DurationMs, FeePpm, FeedId, MarketId, OperatorId, PriceNanos, PriceTicks,
    PublicKey, QuantityLots, QuoteMicros, RatioPpm, SegmentId, TickValueMicros, TimeMs,
};
use ed25519_zebra::SigningKey;

use crate::live::{KeyHolder, LiveKeys};
use crate::number::Number;
use crate::rules::{
    BreakerTable, ChainRules, ConductTable, DamageTable, FeedTable, MarketTable, RegimeTable, Rules, SegmentTable,
};

/// Block time of height 0. Which day it is decides nothing.
pub(crate) const GENESIS_MS: u64 = 1_600_000_000_000;

/// What the session of a party may trade, and so may lose: more than any scenario moves, so that no budget stops anything.
const SESSION_NOTIONAL: QuoteMicros = QuoteMicros::from_micros(1_000_000_000_000_000);

/// The name of a party's session, which the party's name follows.
const SESSION_OF: &str = "session of ";

/// Whom a name stands for, and with which of its keys.
pub(crate) fn holder(name: &str) -> (&str, SignerRole) {
    match name.strip_prefix(SESSION_OF) {
        Some(party) => (party, SignerRole::Session),
        None => (name, SignerRole::Root),
    }
}

/// The name under which a party's session signs.
pub(crate) fn session_of(party: &str) -> String {
    format!("{SESSION_OF}{party}")
}

/// A genesis and its names.
#[derive(Clone, Debug)]
pub(crate) struct Venue {
    pub(crate) genesis: Genesis,
    pub(crate) accounts: BTreeMap<String, AccountId>,
    pub(crate) markets: BTreeMap<String, MarketNames>,
    /// Names of the accounts that genesis seeds, in the order of their numbers.
    seeded: Vec<String>,
    /// Keys of a running venue, by name; without one, keys derive from names.
    live: Option<BTreeMap<String, SigningKey>>,
}

/// What a market's numbers mean.
#[derive(Clone, Copy, Debug)]
pub(crate) struct MarketNames {
    pub(crate) id: MarketId,
    pub(crate) feed: FeedId,
    pub(crate) segment: SegmentId,
    pub(crate) tick_size: Number,
    pub(crate) lot_size: Number,
    pub(crate) order_lots_max: u64,
}

impl Venue {
    /// The venue that tables describe, with these parties as ordinary accounts. A party that a feed names as a publisher
    /// is one.
    ///
    /// # Errors
    /// Why the tables are no genesis.
    pub(crate) fn of(rules: &Rules, parties: &[String]) -> Result<Self, String> {
        let chain = &rules.chain;
        let publishers = publishers(rules);
        let is_publisher = |name: &&String| !publishers.contains(name);
        let seeded: Vec<String> = parties.iter().filter(is_publisher).cloned().collect();
        let mut genesis = genesis_of_chain(chain, &publishers, seeded.len())?;
        let (mut segments, mut clearing) = (Vec::new(), Vec::new());
        for (number, (name, table)) in (1u16..).zip(&rules.segment) {
            if *name != number.to_string() {
                return Err(format!("segments are numbered from 1, and `{name}` is not the next number"));
            }
            segments.push(segment_rules(number, table)?);
            clearing.push(clearing_rules(number, table));
        }
        let (mut markets, mut margins, mut feeds, mut names) = (vec![], vec![], vec![], BTreeMap::new());
        for (number, (name, table)) in (1u16..).zip(&rules.market) {
            let named = |message: String| format!("market.{name}: {message}");
            let market = market_names(number, table).map_err(named)?;
            markets.push(market_rules(&market, table).map_err(named)?);
            margins.push(margin_rules(&market, table).map_err(named)?);
            feeds.push(feed_rules(&market, table, &publishers).map_err(named)?);
            names.insert(name.clone(), market);
        }
        genesis.segments = list(segments)?;
        genesis.clearing = list(clearing)?;
        genesis.markets = list(markets)?;
        genesis.margins = list(margins)?;
        genesis.feeds = list(feeds)?;
        let accounts = accounts(chain, &publishers, rules.segment.len(), &seeded);
        Ok(Self { genesis, accounts, markets: names, seeded, live: None })
    }

    /// The same venue under another name and with other keys, for a node that derives those of seeded accounts itself.
    pub(crate) fn signed_with(mut self, name: &str, keys: LiveKeys) -> Self {
        self.genesis.name = BoundedVec::new(name.as_bytes().to_vec()).unwrap_or_default();
        if let Some(seeded) = &mut self.genesis.seeded {
            seeded.seed = keys.seed;
        }
        let names: BTreeMap<AccountId, &String> =
            self.accounts.iter().map(|(name, account)| (*account, name)).collect();
        let mut by_name = BTreeMap::new();
        let mut next = 1..;
        let mut sign = |kind, index, principal: &mut Principal| {
            let key = (keys.key)(&keys.seed, KeyHolder::Principal(kind, index));
            principal.root_key = public_key(&key);
            let account = next.next().map(AccountId::new);
            if let Some(name) = account.and_then(|account| names.get(&account)) {
                by_name.insert((*name).clone(), key);
            }
        };
        // In the order of their account numbers.
        let genesis = &mut self.genesis;
        for (kind, list) in [
            (PrincipalKind::Attestor, genesis.attestors.as_mut_slice()),
            (PrincipalKind::Publisher, genesis.publishers.as_mut_slice()),
            (PrincipalKind::RiskOfficer, genesis.risk_officers.members.as_mut_slice()),
            (PrincipalKind::Governor, genesis.governors.members.as_mut_slice()),
        ] {
            list.iter_mut().zip(0..).for_each(|(principal, index)| sign(kind, index, principal));
        }
        for (rules, index) in genesis.clearing.as_mut_slice().iter_mut().zip(0..) {
            sign(PrincipalKind::Backstop, index, &mut rules.backstop);
        }
        for (principal, index) in genesis.auditors.as_mut_slice().iter_mut().zip(0..) {
            sign(PrincipalKind::Auditor, index, principal);
        }
        let roots = self.seeded.iter().zip(0..).map(|(name, index)| (name.clone(), KeyHolder::Root(index)));
        let sessions = self.seeded.iter().zip(0..).map(|(name, index)| (session_of(name), KeyHolder::Session(index)));
        by_name.extend(roots.chain(sessions).map(|(name, holder)| (name, (keys.key)(&keys.seed, holder))));
        self.live = Some(by_name);
        self
    }

    /// Keys of the seeded accounts, in the order of their numbers.
    pub(crate) fn seeded_keys(&self) -> impl Iterator<Item = SeededKeys> + '_ {
        self.seeded.iter().map(|name| SeededKeys {
            root: public_key(&self.signing_key(name)),
            session: public_key(&self.signing_key(&session_of(name))),
        })
    }

    /// What somebody signs with.
    pub(crate) fn signing_key(&self, name: &str) -> SigningKey {
        let live = self.live.as_ref().and_then(|live| live.get(name));
        live.copied().unwrap_or_else(|| signing_key(name))
    }
}

/// The development key of a name: no secret, and the same everywhere.
fn signing_key(name: &str) -> SigningKey {
    let mut keys = KEYS.lock().unwrap_or_else(PoisonError::into_inner);
    let derive = || SigningKey::from(hash::digest(Domain::Development, &[b"scenario party", name.as_bytes()]).0);
    *keys.entry(name.to_owned()).or_insert_with(derive)
}

/// Derived once: how far a control can be loosened is found by making hundreds of geneses.
static KEYS: Mutex<BTreeMap<String, SigningKey>> = Mutex::new(BTreeMap::new());

pub(crate) fn public_key(key: &SigningKey) -> PublicKey {
    PublicKey::Ed25519(key.verification_key().into())
}

fn numbered(role: &str, count: u16) -> Vec<String> {
    (1..=count).map(|number| format!("{role}-{number}")).collect()
}

/// Ordinary publishers, then parties that feeds name besides.
fn publishers(rules: &Rules) -> Vec<String> {
    let mut names = numbered("publisher", rules.chain.publishers);
    for name in rules.market.values().flat_map(|market| &market.feed.publishers) {
        if !names.contains(name) {
            names.push(name.clone());
        }
    }
    names
}

/// In the order of their account numbers.
fn principal_names(chain: &ChainRules, publishers: &[String], segments: usize) -> Vec<String> {
    let mut names = numbered("attestor", chain.attestors);
    names.extend_from_slice(publishers);
    names.extend(numbered("risk-officer", chain.risk_officers));
    names.extend(numbered("governor", chain.governors));
    names.extend(numbered("backstop", u16::try_from(segments).unwrap_or(u16::MAX)));
    names
}

fn accounts(
    chain: &ChainRules,
    publishers: &[String],
    segments: usize,
    seeded: &[String],
) -> BTreeMap<String, AccountId> {
    let names = principal_names(chain, publishers, segments).into_iter().chain(seeded.iter().cloned());
    names.zip(1..).map(|(name, number)| (name, AccountId::new(number))).collect()
}

/// Each of them another operator.
fn principals(names: &[String], first_operator: u16) -> Vec<Principal> {
    let principal = |(name, operator): (&String, u16)| Principal {
        operator: OperatorId::new(operator),
        root_key: public_key(&signing_key(name)),
    };
    names.iter().zip(first_operator..).map(principal).collect()
}

fn genesis_of_chain(chain: &ChainRules, publishers: &[String], seeded: usize) -> Result<Genesis, String> {
    let officers = |role, count, quorum, first_operator| {
        Ok::<_, String>(Officers { members: list(principals(&numbered(role, count), first_operator))?, quorum })
    };
    Ok(Genesis {
        name: list(b"casemate scenario".to_vec())?,
        time_ms: TimeMs::from_ms(GENESIS_MS),
        is_development: true,
        log_mode: LogMode::Open,
        accounts: AccountRules {
            bond: quote(chain.account_bond),
            opening_deposit_min: quote(chain.opening_deposit_min),
            weight_burst: chain.weight_burst,
            weight_per_second: chain.weight_per_second,
            // Scenarios register no grants.
            grant_lifetimes: GrantLifetimes::same(DurationMs::from_ms(GRANT_LIFETIME_MS_MAX)),
            safeguards: SafeguardRules::STAGED,
        },
        attestors: list(principals(&numbered("attestor", chain.attestors), 1))?,
        attestor_quorum: chain.attestor_quorum_operators,
        publishers: list(principals(publishers, 101))?,
        risk_officers: officers("risk-officer", chain.risk_officers, chain.risk_officer_quorum_operators, 201)?,
        governors: officers("governor", chain.governors, chain.governor_quorum_operators, 301)?,
        proposals: ProposalRules {
            delay_ms: DurationMs::from_ms(chain.proposal_delay_ms),
            life_ms_max: DurationMs::from_ms(chain.proposal_life_max_ms),
        },
        feeds: BoundedVec::empty(),
        segments: BoundedVec::empty(),
        markets: BoundedVec::empty(),
        clearing: BoundedVec::empty(),
        margins: BoundedVec::empty(),
        passkey_origins: BoundedVec::empty(),
        seeded: Some(SeededAccounts {
            count: u64::try_from(seeded).unwrap_or(u64::MAX),
            seed: [0; 32],
            // Nothing to speak of: whoever needs money deposits it. Sessions may lose all of it.
            balance: QuoteMicros::from_micros(1),
            position_lots: QuantityLots::ZERO,
            grant_notional: SESSION_NOTIONAL,
            grant_commands_per_minute: 600,
            grant_lifetime_ms: DurationMs::from_ms(GRANT_LIFETIME_MS_MAX),
        }),
        policies: PolicySet::default(),
        auditors: BoundedVec::empty(),
    })
}

fn segment_rules(number: u16, table: &SegmentTable) -> Result<SegmentRules, String> {
    let window = |&(window_ms, floor, vault_share_ppm): &(u64, Number, u32)| LimiterRules {
        window_ms: DurationMs::from_ms(window_ms),
        floor: quote(floor),
        vault_share: RatioPpm::from_ppm(vault_share_ppm),
    };
    Ok(SegmentRules {
        id: SegmentId::new(number),
        asset: AssetId::new(1),
        withdrawal_delay_ms: DurationMs::from_ms(table.withdrawal_delay_ms),
        transfer_delay_ms: DurationMs::from_ms(table.transfer_delay_ms),
        inbound: WindowCap {
            window_ms: DurationMs::from_ms(table.inbound.window_ms),
            amount_max: quote(table.inbound.amount_max),
        },
        outbound: list(table.outbound.iter().map(window).collect())?,
        open_orders_max: table.open_orders_max,
        dead_man_timeout_min_ms: DurationMs::from_ms(table.dead_man_timeout_min_ms),
        fee_share_insurance: RatioPpm::from_ppm(table.fee_share_insurance_ppm),
        fee_share_validators: RatioPpm::from_ppm(table.fee_share_validators_ppm),
        conduct: conduct_rules(&table.conduct),
    })
}

fn conduct_rules(table: &ConductTable) -> ConductRules {
    let DamageTable { outflow_ppm, pending_ppm, price_step_ppm, own_loss_ppm, book_depth_ppm, open_interest_ppm } =
        table.damage;
    ConductRules {
        wash_gross_min: quote(table.wash_gross_min),
        spoof_usual_orders: table.spoof_usual_orders,
        stuffing_messages: table.stuffing_messages,
        ignition_run: RatioPpm::from_ppm(table.ignition_run_ppm),
        pump_run: RatioPpm::from_ppm(table.pump_run_ppm),
        loss_of_fill: RatioPpm::from_ppm(table.loss_of_fill_ppm),
        refusals_of_account: table.refusals_of_account,
        refusals_of_market: table.refusals_of_market,
        damage: DamageRules {
            outflow: RatioPpm::from_ppm(outflow_ppm),
            pending: RatioPpm::from_ppm(pending_ppm),
            price_step: RatioPpm::from_ppm(price_step_ppm),
            own_loss: RatioPpm::from_ppm(own_loss_ppm),
            book_depth: RatioPpm::from_ppm(book_depth_ppm),
            open_interest: RatioPpm::from_ppm(open_interest_ppm),
        },
    }
}

fn clearing_rules(number: u16, table: &SegmentTable) -> ClearingRules {
    let backstop = format!("backstop-{number}");
    ClearingRules {
        segment: SegmentId::new(number),
        backstop: Principal { operator: OperatorId::new(400 + number), root_key: public_key(&signing_key(&backstop)) },
        transfer_margin: RatioPpm::from_ppm(table.transfer_margin_ppm),
        principal_exit: PrincipalExitRules {
            delay_ms: DurationMs::from_ms(table.principal_exit_delay_ms),
            limit: WindowCap {
                window_ms: DurationMs::from_ms(table.principal_exit.window_ms),
                amount_max: quote(table.principal_exit.amount_max),
            },
        },
        breakers: breaker_rules(&table.breakers),
    }
}

fn breaker_rules(table: &BreakerTable) -> BreakerRules {
    let levels = |[leave, elevated, reduce_only, withdraw_gated, halted]: [u32; 5]| RatioLevels {
        leave: RatioPpm::from_ppm(leave),
        elevated: RatioPpm::from_ppm(elevated),
        reduce_only: RatioPpm::from_ppm(reduce_only),
        withdraw_gated: RatioPpm::from_ppm(withdraw_gated),
        halted: RatioPpm::from_ppm(halted),
    };
    BreakerRules {
        price_move: levels(table.price_move_ppm),
        divergence: levels(table.divergence_ppm),
        price_age: levels(table.price_age_ppm),
        insurance_draw: levels(table.insurance_draw_ppm),
        outflow: levels(table.outflow_ppm),
        deficit_floor: quote(table.deficit_floor),
        clear_ms: DurationMs::from_ms(table.clear_ms),
        cooldown_ms: DurationMs::from_ms(table.cooldown_ms),
        cooldown_ms_max: DurationMs::from_ms(table.cooldown_max_ms),
    }
}

fn market_names(number: u16, table: &MarketTable) -> Result<MarketNames, String> {
    Ok(MarketNames {
        id: MarketId::new(number),
        feed: FeedId::new(number),
        segment: SegmentId::new(table.segment),
        tick_size: table.tick_size,
        lot_size: table.lot_size,
        order_lots_max: whole("order_max", table.order_max, table.lot_size)?,
    })
}

/// How many ticks or lots a field is.
fn whole(name: &str, number: Number, size: Number) -> Result<u64, String> {
    number.divided_by(size).ok_or_else(|| format!("`{name}` of `{number}` is no number of sizes of `{size}`"))
}

fn market_rules(names: &MarketNames, table: &MarketTable) -> Result<MarketRules, String> {
    // Billionths of the quote for a unit times billionths of a unit: a micro-quote is 10^12 of them.
    let tick_value = table.tick_size.nanos().checked_mul(table.lot_size.nanos());
    let micros = tick_value.filter(|value| value % TICK_VALUE_SCALE == 0);
    let micros = micros.and_then(|value| u32::try_from(value / TICK_VALUE_SCALE).ok());
    let micros = micros.ok_or("tick size times lot size must be a whole number of millionths of the quote")?;
    Ok(MarketRules {
        id: names.id,
        segment: names.segment,
        tick_value: TickValueMicros::from_micros(micros),
        price_max: PriceTicks::from_ticks(whole("price_max", table.price_max, table.tick_size)?),
        reference_price: PriceTicks::from_ticks(whole("price", table.price, table.tick_size)?),
        band: RatioPpm::from_ppm(table.band_ppm),
        order_lots_min: QuantityLots::from_lots(1),
        order_lots_max: QuantityLots::from_lots(names.order_lots_max),
        position_lots_max: QuantityLots::from_lots(whole("position_max", table.position_max, table.lot_size)?),
        maker_fee: FeePpm::from_ppm(table.maker_fee_ppm),
        taker_fee: FeePpm::from_ppm(table.taker_fee_ppm),
    })
}

const TICK_VALUE_SCALE: i128 = 1_000_000_000_000;

fn margin_rules(names: &MarketNames, table: &MarketTable) -> Result<MarginRules, String> {
    let tier = |&(from, initial_ppm, maintenance_ppm): &(Number, u32, u32)| MarginTier {
        notional_from: quote(from),
        initial: RatioPpm::from_ppm(initial_ppm),
        maintenance: RatioPpm::from_ppm(maintenance_ppm),
    };
    let (funding, liquidation) = (&table.funding, &table.liquidation);
    Ok(MarginRules {
        market: names.id,
        feed: names.feed,
        tick_size: price(table.tick_size),
        tiers: list(table.tiers.iter().map(tier).collect())?,
        size_rate: RatioPpm::from_ppm(table.size_rate_ppm),
        size_notional: quote(table.size_notional),
        open_interest_notional_max: quote(table.open_interest_max),
        basis_max: RatioPpm::from_ppm(table.basis_max_ppm),
        basis_window_ms: DurationMs::from_ms(table.basis_window_ms),
        profit_cliff_ms: DurationMs::from_ms(table.profit_cliff_ms),
        profit_ramp_ms: DurationMs::from_ms(table.profit_ramp_ms),
        extended_move: RatioPpm::from_ppm(table.extended_move_ppm),
        funding: FundingRules {
            interval_ms: DurationMs::from_ms(funding.interval_ms),
            interest: RatioPpm::from_ppm(funding.interest_ppm),
            clamp: RatioPpm::from_ppm(funding.clamp_ppm),
            rate_max: RatioPpm::from_ppm(funding.rate_max_ppm),
            impact_notional: quote(funding.impact_notional),
        },
        liquidation: LiquidationRules {
            fee: RatioPpm::from_ppm(liquidation.fee_ppm),
            depth_share: RatioPpm::from_ppm(liquidation.depth_share_ppm),
            slice_min: quote(liquidation.slice_min),
            per_second_max: quote(liquidation.per_second_max),
            slippage_max: RatioPpm::from_ppm(liquidation.slippage_max_ppm),
            backstop_below: RatioPpm::from_ppm(liquidation.backstop_below_ppm),
            backstop_loss_max: quote(liquidation.backstop_loss_max),
            insurance_share_max: RatioPpm::from_ppm(liquidation.insurance_share_max_ppm),
            insurance_window_ms: DurationMs::from_ms(liquidation.insurance_window_ms),
        },
        regime: regime_rules(&table.regime),
    })
}

fn regime_rules(table: &RegimeTable) -> RegimeRules {
    let levels = |[elevated, stressed, extreme]: [u32; 3]| RegimeLevels {
        elevated: RatioPpm::from_ppm(elevated),
        stressed: RatioPpm::from_ppm(stressed),
        extreme: RatioPpm::from_ppm(extreme),
    };
    RegimeRules {
        volatility: levels(table.volatility_ppm),
        jump: levels(table.jump_ppm),
        thinness: levels(table.thinness_ppm),
        spread: levels(table.spread_ppm),
        imbalance: levels(table.imbalance_ppm),
        leave: RatioPpm::from_ppm(table.leave_ppm),
        hold_ms: DurationMs::from_ms(table.hold_ms),
        volatility_window_ms: DurationMs::from_ms(table.volatility_window_ms),
        depth_window_ms: DurationMs::from_ms(table.depth_window_ms),
    }
}

fn feed_rules(names: &MarketNames, table: &MarketTable, publishers: &[String]) -> Result<FeedRules, String> {
    let feed: &FeedTable = &table.feed;
    let place = |name: &String| publishers.iter().position(|known| known == name);
    let mut places: Vec<u16> =
        feed.publishers.iter().filter_map(place).filter_map(|place| u16::try_from(place).ok()).collect();
    places.sort_unstable();
    Ok(FeedRules {
        id: names.feed,
        segment: names.segment,
        publishers: list(places)?,
        operators_min: feed.operators_min,
        reference_price: price(table.price),
        observation_age_ms_max: DurationMs::from_ms(feed.observation_age_max_ms),
        open_age_ms_max: DurationMs::from_ms(feed.open_age_max_ms),
        liquidate_age_ms_max: DurationMs::from_ms(feed.liquidate_age_max_ms),
        confidence_max: RatioPpm::from_ppm(feed.confidence_max_ppm),
        move_per_second_max: RatioPpm::from_ppm(feed.move_per_second_max_ppm),
    })
}

fn quote(number: Number) -> QuoteMicros {
    QuoteMicros::from_micros(number.micros())
}

pub(crate) fn price(number: Number) -> PriceNanos {
    PriceNanos::from_nanos(u64::try_from(number.nanos()).unwrap_or(u64::MAX))
}

pub(crate) fn list<T, const MAX: usize>(items: Vec<T>) -> Result<BoundedVec<T, MAX>, String> {
    let count = items.len();
    BoundedVec::new(items).ok_or_else(|| format!("{count} of something of which there are at most {MAX}"))
}
