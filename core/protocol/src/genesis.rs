//! Genesis: every rule and limit of a chain, and the listing checks that a market must pass.
//!
//! There is no default in code and no value that means "off": a missing limit is an error. The chain id is the hash
//! of the canonical bytes of this structure.

use borsh::{BorshDeserialize, BorshSerialize};

use crate::BoundedVec;
use crate::hash::{self, Digest, Domain};
use crate::ids::{AssetId, MarketId, OperatorId, SegmentId};
use crate::keys::PublicKey;
use crate::limits::{
    ATTESTORS_MAX, BALANCE_MICROS_MAX, GRANT_LIFETIME_MS_MAX, LIMITER_WINDOWS_MAX, MARKETS_MAX, OPEN_ORDERS_MAX,
    POSITION_NOTIONAL_MICROS_MAX, PRICE_TICKS_MAX, QUANTITY_LOTS_MAX, SEGMENTS_MAX, WITHDRAWAL_DELAY_MS_MIN,
};
use crate::units::{
    DurationMs, FeePpm, PPM, PriceTicks, QuantityLots, QuoteMicros, RatioPpm, TickValueMicros, TimeMs, notional,
};

/// Whether record bodies are public.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
#[borsh(use_discriminant = true)]
#[repr(u8)]
pub enum LogMode {
    /// The log shows headers and commitments; a body is disclosed alone with its salt.
    Sealed = 1,
    /// Everything is public and pseudonymous.
    Open = 2,
}

/// Every rule of a chain at its start.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Genesis {
    /// The chain's name, for people.
    pub name: BoundedVec<u8, 64>,
    /// Block time of height 0.
    pub time_ms: TimeMs,
    /// A development chain: seeded accounts and one-party arrangements are allowed, and every face says so.
    pub is_development: bool,
    /// Sealed or open record bodies.
    pub log_mode: LogMode,
    /// Rules for accounts.
    pub accounts: AccountRules,
    /// Who may attest deposits.
    pub attestors: BoundedVec<Attestor, ATTESTORS_MAX>,
    /// How many distinct operators must attest a deposit.
    pub attestor_quorum: u16,
    /// The segments, in the order of their ids from 1.
    pub segments: BoundedVec<SegmentRules, SEGMENTS_MAX>,
    /// The markets, in the order of their ids from 1.
    pub markets: BoundedVec<MarketRules, MARKETS_MAX>,
    /// Accounts that exist from the start; development chains only.
    pub seeded: Option<SeededAccounts>,
}

/// Rules for accounts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct AccountRules {
    /// Locked when an account opens, returned when it closes.
    pub bond: QuoteMicros,
    /// Least deposit that opens an account; covers the bond.
    pub opening_deposit_min: QuoteMicros,
    /// Verification weight that an account can save up.
    pub weight_burst: u32,
    /// Verification weight that an account regains in a second of block time.
    pub weight_per_second: u32,
}

/// An attestor of deposits: an account from the start, with its operator.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Attestor {
    /// Quorums count operators, not keys.
    pub operator: OperatorId,
    /// Root key of the attestor's account; attestors have the first account numbers, in this order.
    pub root_key: PublicKey,
}

/// Accounts that a development chain starts with.
///
/// Their keys derive from the seed (`node` derives them; the ledger gets them as input), each has one session grant
/// for trading and the same balance in every segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct SeededAccounts {
    /// How many.
    pub count: u64,
    /// Where their keys come from.
    pub seed: [u8; 32],
    /// Cash of each in each segment.
    pub balance: QuoteMicros,
    /// Lots that every two neighbours hold against each other in one market, in turn over the markets; zero for none.
    /// They count as traded under the grants, at the market's reference price.
    pub position_lots: QuantityLots,
    /// Notional and loss budget of each grant.
    pub grant_notional: QuoteMicros,
    /// Command rate of each grant.
    pub grant_commands_per_minute: u32,
    /// Life of each grant from genesis time.
    pub grant_lifetime_ms: DurationMs,
}

/// Rules of a segment.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct SegmentRules {
    /// Its id.
    pub id: SegmentId,
    /// The asset its vault holds.
    pub asset: AssetId,
    /// Delay between request and release of a withdrawal.
    pub withdrawal_delay_ms: DurationMs,
    /// Delay between request and departure of a transfer.
    pub transfer_delay_ms: DurationMs,
    /// Deposits accepted in a window at most.
    pub inbound: WindowCap,
    /// Withdrawals and transfers out, over several refilling windows; all must have room.
    pub outbound: BoundedVec<LimiterRules, LIMITER_WINDOWS_MAX>,
    /// Resting orders of one account at most.
    pub open_orders_max: u32,
    /// Shortest dead-man timeout.
    pub dead_man_timeout_min_ms: DurationMs,
    /// Share of net fees that goes to insurance.
    pub fee_share_insurance: RatioPpm,
    /// Share of net fees that goes to validators; the venue has the rest.
    pub fee_share_validators: RatioPpm,
}

/// A cap that refills over a window.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct WindowCap {
    /// Time in which the whole cap refills.
    pub window_ms: DurationMs,
    /// Most that the window lets through at once.
    pub amount_max: QuoteMicros,
}

/// One window of the withdrawal limiter: capacity refills to max(floor, share of the vault) over the window (R§5.4).
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct LimiterRules {
    /// Time in which the whole capacity refills.
    pub window_ms: DurationMs,
    /// Least capacity.
    pub floor: QuoteMicros,
    /// Capacity as a share of the vault.
    pub vault_share: RatioPpm,
}

/// Rules of a market: a linear perpetual.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct MarketRules {
    /// Its id.
    pub id: MarketId,
    /// Its segment.
    pub segment: SegmentId,
    /// Micro-quote per tick per lot.
    pub tick_value: TickValueMicros,
    /// Highest price.
    pub price_max: PriceTicks,
    /// The price that bands refer to before the first trade.
    pub reference_price: PriceTicks,
    /// Prices further than this from the last trade are refused where they could trade.
    pub band: RatioPpm,
    /// Smallest order.
    pub order_lots_min: QuantityLots,
    /// Largest order.
    pub order_lots_max: QuantityLots,
    /// Largest position, resting orders included.
    pub position_lots_max: QuantityLots,
    /// Maker fee; negative is a rebate.
    pub maker_fee: FeePpm,
    /// Taker fee.
    pub taker_fee: FeePpm,
}

impl Genesis {
    /// The chain id.
    #[must_use]
    pub fn chain_id(&self) -> Digest {
        hash::digest_of(Domain::Genesis, self)
    }

    /// Checks every rule that relates values to each other, listing checks included.
    ///
    /// # Errors
    /// The first rule that fails, and where.
    pub fn validate(&self) -> Result<(), GenesisError> {
        self.validate_chain()?;
        for (index, segment) in self.segments.iter().enumerate() {
            let place = GenesisPlace::Segment(segment.id);
            require(
                u16::try_from(index).is_ok_and(|index| segment.id == SegmentId::new(index).next()),
                place,
                GenesisRule::IdsInOrder,
            )?;
            segment.validate().map_err(|rule| GenesisError { place, rule })?;
        }
        for (index, market) in self.markets.iter().enumerate() {
            let place = GenesisPlace::Market(market.id);
            require(
                u16::try_from(index).is_ok_and(|index| market.id == MarketId::new(index).next()),
                place,
                GenesisRule::IdsInOrder,
            )?;
            require(self.segment(market.segment).is_some(), place, GenesisRule::SegmentExists)?;
            market.validate().map_err(|rule| GenesisError { place, rule })?;
            let seeded_lots = self.seeded.map_or(QuantityLots::ZERO, |seeded| seeded.position_lots);
            require(seeded_lots <= market.position_lots_max, place, GenesisRule::SeededInRange)?;
        }
        Ok(())
    }

    /// The rules of a segment.
    #[must_use]
    pub fn segment(&self, id: SegmentId) -> Option<&SegmentRules> {
        self.segments.as_slice().get(usize::from(id.number()).checked_sub(1)?)
    }

    /// The rules of a market.
    #[must_use]
    pub fn market(&self, id: MarketId) -> Option<&MarketRules> {
        self.markets.as_slice().get(usize::from(id.number()).checked_sub(1)?)
    }

    fn validate_chain(&self) -> Result<(), GenesisError> {
        let place = GenesisPlace::Chain;
        require(!self.segments.is_empty(), place, GenesisRule::SegmentExists)?;
        require(self.accounts.bond.is_positive(), place, GenesisRule::BondPositive)?;
        require(self.accounts.opening_deposit_min >= self.accounts.bond, place, GenesisRule::OpeningDepositCoversBond)?;
        require(
            self.accounts.weight_per_second > 0 && self.accounts.weight_burst >= LEAST_WEIGHT_BURST,
            place,
            GenesisRule::WeightBudgetPositive,
        )?;
        require(self.attestor_quorum > 0, place, GenesisRule::AttestorQuorum)?;
        let mut operators: Vec<OperatorId> = self.attestors.iter().map(|attestor| attestor.operator).collect();
        operators.sort_unstable();
        operators.dedup();
        require(operators.iter().all(|operator| !operator.is_none()), place, GenesisRule::AttestorQuorum)?;
        require(usize::from(self.attestor_quorum) <= operators.len(), place, GenesisRule::AttestorQuorum)?;
        let mut keys: Vec<PublicKey> = self.attestors.iter().map(|attestor| attestor.root_key).collect();
        keys.sort_unstable();
        keys.dedup();
        require(keys.len() == self.attestors.len(), place, GenesisRule::AttestorKeysDistinct)?;
        let Some(seeded) = &self.seeded else { return Ok(()) };
        require(self.is_development, place, GenesisRule::SeededOnlyInDevelopment)?;
        require(
            seeded.count > 0 && seeded.count <= crate::limits::ACCOUNTS_MAX / 2,
            place,
            GenesisRule::SeededInRange,
        )?;
        let is_balance_fine = seeded.balance.is_positive() && seeded.balance.micros() <= BALANCE_MICROS_MAX;
        require(is_balance_fine, place, GenesisRule::SeededInRange)?;
        let has_budgets = seeded.grant_notional.is_positive() && seeded.grant_commands_per_minute > 0;
        let is_lifetime_fine = (1..=GRANT_LIFETIME_MS_MAX).contains(&seeded.grant_lifetime_ms.ms());
        require(has_budgets && is_lifetime_fine, place, GenesisRule::SeededInRange)?;
        let is_in_budget = |market: &MarketRules| {
            notional(market.reference_price, seeded.position_lots, market.tick_value)
                .is_some_and(|traded| traded <= seeded.grant_notional)
        };
        require(self.markets.iter().all(is_in_budget), place, GenesisRule::SeededInRange)
    }
}

/// The heaviest single envelope must fit an account's budget, or the account could never act.
const LEAST_WEIGHT_BURST: u32 = 2_000;

impl SegmentRules {
    fn validate(&self) -> Result<(), GenesisRule> {
        hold(!self.asset.is_none(), GenesisRule::AssetNamed)?;
        let delays = self.withdrawal_delay_ms.ms() >= WITHDRAWAL_DELAY_MS_MIN
            && self.transfer_delay_ms.ms() >= WITHDRAWAL_DELAY_MS_MIN;
        hold(delays, GenesisRule::DelayAboveMinimum)?;
        hold(!self.inbound.window_ms.is_zero() && self.inbound.amount_max.is_positive(), GenesisRule::LimitPositive)?;
        hold(!self.outbound.is_empty(), GenesisRule::LimiterPresent)?;
        for window in &self.outbound {
            let is_share_fine = window.vault_share.ppm() > 0 && i128::from(window.vault_share.ppm()) <= PPM;
            hold(
                is_share_fine && !window.window_ms.is_zero() && window.floor.is_positive(),
                GenesisRule::LimitPositive,
            )?;
        }
        hold(self.open_orders_max > 0 && self.open_orders_max <= OPEN_ORDERS_MAX, GenesisRule::OpenOrdersInRange)?;
        hold(!self.dead_man_timeout_min_ms.is_zero(), GenesisRule::LimitPositive)?;
        let shares =
            i128::from(self.fee_share_insurance.ppm()).saturating_add(i128::from(self.fee_share_validators.ppm()));
        hold(shares <= PPM, GenesisRule::FeeSharesWithinWhole)
    }
}

impl MarketRules {
    /// The listing checks of a market (DESIGN §5): ranges, tick value, and sums that stay in `i64`.
    ///
    /// # Errors
    /// The first rule that fails.
    pub fn validate(&self) -> Result<(), GenesisRule> {
        hold(self.tick_value.micros() > 0, GenesisRule::TickValuePositive)?;
        hold(!self.price_max.is_zero() && self.price_max.ticks() <= PRICE_TICKS_MAX, GenesisRule::PriceInRange)?;
        hold(
            !self.reference_price.is_zero() && self.reference_price <= self.price_max,
            GenesisRule::ReferencePriceInRange,
        )?;
        hold(self.band.ppm() > 0 && i128::from(self.band.ppm()) <= PPM, GenesisRule::BandInRange)?;
        let lots = [self.order_lots_min, self.order_lots_max, self.position_lots_max];
        hold(lots.is_sorted() && !self.order_lots_min.is_zero(), GenesisRule::LotsInOrder)?;
        hold(self.position_lots_max.lots() <= QUANTITY_LOTS_MAX, GenesisRule::LotsInOrder)?;
        // Twice: a price at the far edge of the band reaches up to double the highest traded price.
        let worst = notional(self.price_max, self.position_lots_max, self.tick_value)
            .and_then(|worst| worst.checked_add(worst));
        hold(
            worst.is_some_and(|worst| worst.micros() <= POSITION_NOTIONAL_MICROS_MAX),
            GenesisRule::NotionalFitsMoney,
        )?;
        hold(self.taker_fee.ppm() >= 0 && i128::from(self.taker_fee.ppm()) < PPM, GenesisRule::FeesInRange)?;
        hold(self.maker_fee.ppm() <= self.taker_fee.ppm(), GenesisRule::FeesInRange)?;
        hold(self.maker_fee.ppm().saturating_add(self.taker_fee.ppm()) >= 0, GenesisRule::RebateWithinTakerFee)
    }
}

fn hold(holds: bool, rule: GenesisRule) -> Result<(), GenesisRule> {
    if holds { Ok(()) } else { Err(rule) }
}

fn require(holds: bool, place: GenesisPlace, rule: GenesisRule) -> Result<(), GenesisError> {
    if holds { Ok(()) } else { Err(GenesisError { place, rule }) }
}

/// A rule of genesis that does not hold, and where.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GenesisError {
    /// Where.
    pub place: GenesisPlace,
    /// Which rule.
    pub rule: GenesisRule,
}

/// A part of genesis.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GenesisPlace {
    /// The chain as a whole.
    Chain,
    /// A segment.
    Segment(SegmentId),
    /// A market.
    Market(MarketId),
}

macro_rules! genesis_rules {
    ($($name:ident $sentence:literal;)*) => {
        /// A rule of genesis.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum GenesisRule {
            $(#[doc = $sentence] $name,)*
        }

        impl GenesisRule {
            /// Every rule.
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];

            /// What the rule asks, for people.
            #[must_use]
            pub const fn sentence(self) -> &'static str {
                match self { $(Self::$name => $sentence,)* }
            }
        }
    };
}

genesis_rules! {
    IdsInOrder "ids must count up from 1 in the order of the file";
    SegmentExists "a segment must exist, and each market must name one";
    AssetNamed "a segment must name its asset by a number above zero";
    BondPositive "the account bond must be above zero";
    OpeningDepositCoversBond "the opening deposit must be at least the bond";
    WeightBudgetPositive "the weight budget must refill, and its burst must hold the heaviest envelope (2000)";
    AttestorQuorum "the attestor quorum must be above zero and within the number of distinct operators, which count from 1";
    AttestorKeysDistinct "attestors must have distinct keys";
    SeededOnlyInDevelopment "seeded accounts need `development = true`";
    SeededInRange "seeded accounts need a count, balance, budgets and lifetime above zero and in range, and positions within the budgets";
    DelayAboveMinimum "withdrawal and transfer delays must be at least 1000 ms";
    LimitPositive "a limit must be above zero: zero never means no limit";
    LimiterPresent "a segment needs at least one outbound limiter window";
    OpenOrdersInRange "the open-order limit must be above zero and at most 1024";
    FeeSharesWithinWhole "fee shares together must not exceed the whole (1000000 ppm)";
    TickValuePositive "the tick value must be above zero";
    PriceInRange "the highest price must be above zero and at most 2^40 ticks";
    ReferencePriceInRange "the reference price must be above zero and at most the highest price";
    BandInRange "the price band must be above zero and at most 1000000 ppm";
    LotsInOrder "order minimum, order maximum and position maximum must be above zero, in this order, and at most 2^44 lots";
    NotionalFitsMoney "highest price times largest position times tick value must be at most 2^54 micro-quote";
    FeesInRange "fees must be below the whole, the taker fee not negative, the maker fee not above it";
    RebateWithinTakerFee "the maker rebate must not exceed the taker fee";
}

impl core::fmt::Display for GenesisError {
    fn fmt(&self, formatter: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self.place {
            GenesisPlace::Chain => write!(formatter, "genesis: {}", self.rule.sentence()),
            GenesisPlace::Segment(id) => write!(formatter, "segment `{id}` of genesis: {}", self.rule.sentence()),
            GenesisPlace::Market(id) => {
                write!(formatter, "market `{id}` fails its listing check: {}", self.rule.sentence())
            }
        }
    }
}

impl core::error::Error for GenesisError {}

#[cfg(test)]
mod tests;
