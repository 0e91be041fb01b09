//! Rules of segments that clear on margin: prices from outside, margin, funding, liquidation, breakers, and who may
//! govern them.
//!
//! A segment either clears on margin, then it has [`ClearingRules`] and each of its markets [`MarginRules`] and a feed, or
//! its collateral is full (`docs/trading-rules.md`). Nothing has a default and nothing has a value that means "off".

use borsh::{BorshDeserialize, BorshSerialize};

use crate::BoundedVec;
use crate::genesis::{GenesisRule, MarketRules, Principal, WindowCap};
use crate::ids::{FeedId, MarketId, SegmentId};
use crate::limits::{
    FEED_PUBLISHERS_MAX, MARGIN_TIERS_MAX, OFFICERS_MAX, POSITION_NOTIONAL_MICROS_MAX, PROPOSAL_LIFE_MS_MAX,
    WITHDRAWAL_DELAY_MS_MIN,
};
use crate::regime::RegimeRules;
use crate::units::{DurationMs, FineTicks, PPM, PriceNanos, QuoteMicros, RatioPpm, Round, div_round};

/// A set of principals of which several must agree. Quorums count operators.
#[derive(Clone, Debug, Default, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Officers {
    /// Its members, accounts from the start.
    pub members: BoundedVec<Principal, OFFICERS_MAX>,
    /// Distinct operators that must approve.
    pub quorum: u16,
}

/// How proposals become changes (DESIGN §12).
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct ProposalRules {
    /// Block time, outages not counted, between the last approval that is needed and the change.
    pub delay_ms: DurationMs,
    /// Longest life of a proposal.
    pub life_ms_max: DurationMs,
}

/// A price feed: who publishes it and what its prices are good for.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct FeedRules {
    /// Its id.
    pub id: FeedId,
    /// The segment that uses it.
    pub segment: SegmentId,
    /// Places in genesis' list of publishers, from 0.
    pub publishers: BoundedVec<u16, FEED_PUBLISHERS_MAX>,
    /// Independent operators without whom there is no price.
    pub operators_min: u16,
    /// The price that the cap refers to before the first one comes.
    pub reference_price: PriceNanos,
    /// Older observations are left out of the aggregate.
    pub observation_age_ms_max: DurationMs,
    /// Age of the aggregate up to which new risk is taken.
    pub open_age_ms_max: DurationMs,
    /// Age up to which margin trusts it and liquidation acts on it.
    pub liquidate_age_ms_max: DurationMs,
    /// Confidence interval, as a share of the price, up to which it is certain enough for margin.
    pub confidence_max: RatioPpm,
    /// How far the price in use may move in a second of block time; unused time saves up for at most ten seconds.
    pub move_per_second_max: RatioPpm,
}

/// One bracket of margin rates: what lies above `notional_from` pays them (R§3.2).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct MarginTier {
    /// Where the bracket begins; the first begins at zero.
    pub notional_from: QuoteMicros,
    /// Initial rate.
    pub initial: RatioPpm,
    /// Maintenance rate; what counts is at least half of the initial margin.
    pub maintenance: RatioPpm,
}

/// Margin, funding and liquidation of one market.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct MarginRules {
    /// The market.
    pub market: MarketId,
    /// Where its index comes from.
    pub feed: FeedId,
    /// Price of the underlying per tick of the market.
    pub tick_size: PriceNanos,
    /// Brackets, the smallest positions first.
    pub tiers: BoundedVec<MarginTier, MARGIN_TIERS_MAX>,
    /// Add-on for size: this rate times the square root of notional over `size_notional`.
    pub size_rate: RatioPpm,
    /// See `size_rate`.
    pub size_notional: QuoteMicros,
    /// Open interest beyond which nothing that adds to it is taken.
    pub open_interest_notional_max: QuoteMicros,
    /// How far from the index the mark may be.
    pub basis_max: RatioPpm,
    /// Time constant of the average distance between book and index.
    pub basis_window_ms: DurationMs,
    /// Profit younger than this counts for nothing but maintenance.
    pub profit_cliff_ms: DurationMs,
    /// After the cliff profit comes to count in equal parts over this time.
    pub profit_ramp_ms: DurationMs,
    /// How far a price that cannot be trusted is assumed to have moved against a position.
    pub extended_move: RatioPpm,
    /// Funding.
    pub funding: FundingRules,
    /// Liquidation.
    pub liquidation: LiquidationRules,
    /// When it counts as rough.
    pub regime: RegimeRules,
}

/// Funding of a perpetual (R§3.7).
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct FundingRules {
    /// Time between settlements, a divisor of eight hours.
    pub interval_ms: DurationMs,
    /// Interest for eight hours.
    pub interest: RatioPpm,
    /// How far interest may pull the rate from the premium, for eight hours.
    pub clamp: RatioPpm,
    /// Largest rate of one settlement, in either direction.
    pub rate_max: RatioPpm,
    /// Notional for which the premium asks the book's prices.
    pub impact_notional: QuoteMicros,
}

/// Liquidation of a market's positions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct LiquidationRules {
    /// What a liquidated account pays to insurance on the notional closed, as far as it has it.
    pub fee: RatioPpm,
    /// Share of the book's depth that one slice may take.
    pub depth_share: RatioPpm,
    /// Least notional of a slice.
    pub slice_min: QuoteMicros,
    /// Notional of all slices of the market in a second; unused time saves up for at most ten seconds.
    pub per_second_max: QuoteMicros,
    /// How far from the index a slice may trade; depth is counted up to there.
    pub slippage_max: RatioPpm,
    /// Below this share of maintenance margin, the backstop takes what is left.
    pub backstop_below: RatioPpm,
    /// The most that a takeover may bring the backstop to lose in the market: what it has lost there, and the maintenance
    /// margin of what it then holds.
    pub backstop_loss_max: QuoteMicros,
    /// Share of the insurance fund that the market may use within the window.
    pub insurance_share_max: RatioPpm,
    /// Time in which the share is free again.
    pub insurance_window_ms: DurationMs,
}

/// Rules of a segment that clears on margin.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct ClearingRules {
    /// The segment.
    pub segment: SegmentId,
    /// Who takes over what the book cannot: an account from the start, with its own capital and no special rights.
    pub backstop: Principal,
    /// Share of gross notional that a withdrawal leaves behind at least.
    pub transfer_margin: RatioPpm,
    /// The way out that no state but Halted holds up: principal, to the root key, slowly.
    pub principal_exit: PrincipalExitRules,
    /// Breakers.
    pub breakers: BreakerRules,
}

/// The slow principal exit (DESIGN §3, §10).
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct PrincipalExitRules {
    /// Delay between request and release.
    pub delay_ms: DurationMs,
    /// What may leave this way in a window.
    pub limit: WindowCap,
}

/// Triggers of a segment's breaker (R§5.3). Levels rise from state to state; `leave` is below the first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct BreakerRules {
    /// Move of an index against its mean of the last five minutes.
    pub price_move: RatioLevels,
    /// Distance between mark and index, and between the price published and the price in use.
    pub divergence: RatioLevels,
    /// Age of a feed's price, in parts per million of the age up to which liquidation acts on it.
    pub price_age: RatioLevels,
    /// Share of the insurance fund used within an hour, if it is more than the deficit floor.
    pub insurance_draw: RatioLevels,
    /// Share of the withdrawal limiter in use.
    pub outflow: RatioLevels,
    /// Losses that nothing covered, above which withdrawals are gated; insurance used up to here counts as no draw.
    pub deficit_floor: QuoteMicros,
    /// How long all clear tests must hold before a state is left.
    pub clear_ms: DurationMs,
    /// Least time in a state; doubles with each new trip within a day.
    pub cooldown_ms: DurationMs,
    /// Longest least time.
    pub cooldown_ms_max: DurationMs,
}

/// Levels of one trigger.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct RatioLevels {
    /// At or below it the clear test holds.
    pub leave: RatioPpm,
    /// At or above it the segment is Elevated.
    pub elevated: RatioPpm,
    /// At or above it the segment is ReduceOnly.
    pub reduce_only: RatioPpm,
    /// At or above it the segment is WithdrawGated.
    pub withdraw_gated: RatioPpm,
    /// At or above it the segment is Halted.
    pub halted: RatioPpm,
}

/// State of a segment's breaker, from loose to strict (R§5.2). Numbers 5 (Auction), 7 (Recovery) and 8 (WindDown) are
/// kept for states to come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, BorshSerialize, BorshDeserialize)]
#[borsh(use_discriminant = true)]
#[repr(u8)]
pub enum BreakerState {
    /// Everything that the rules allow.
    #[default]
    Normal = 1,
    /// New risk of takers and everything that leaves is limited to half.
    Elevated = 2,
    /// A fill needs at least one side that reduces; only principal leaves.
    ReduceOnly = 3,
    /// Nothing leaves but the slow principal exit.
    WithdrawGated = 4,
    /// Cancels and deposits only.
    Halted = 6,
}

/// Why a breaker moved.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
#[borsh(use_discriminant = true)]
#[repr(u8)]
pub enum BreakerCause {
    /// An index moved too far too fast.
    PriceMove = 1,
    /// Mark and index, or the prices published and in use, are too far apart.
    Divergence = 2,
    /// A price is too old.
    StalePrice = 3,
    /// Losses stayed uncovered.
    Deficit = 4,
    /// Insurance was used too fast.
    InsuranceDraw = 5,
    /// Money left too fast.
    Outflow = 6,
    /// A law failed.
    LawFailed = 7,
    /// All clear tests held for long enough.
    Cleared = 8,
    /// Those who may decided it.
    Decided = 9,
}

/// What a price is good for, from best to worst (R§1.3).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, BorshSerialize, BorshDeserialize)]
#[borsh(use_discriminant = true)]
#[repr(u8)]
pub enum PriceGrade {
    /// Everything.
    Valid = 1,
    /// A little old: no new risk.
    Aged = 2,
    /// The price published is beyond the cap: no new risk; margin at the worse of both; liquidation at the capped one.
    Clamped = 3,
    /// Publishers are too far apart or unsure: no new risk, no funding, no profit counts; margin at the worse of published
    /// and used. The median still moves the price in use: as long as fewer than half lie, it is an honest one's.
    Uncertain = 4,
    /// Too old, too few operators, or none yet: assets count as zero, liabilities at the last good price and further.
    #[default]
    Unusable = 5,
}

/// What a price is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PriceUse {
    /// Taking on risk.
    NewRisk,
    /// Settling funding.
    Funding,
    /// Valuing positions for margin and withdrawal.
    Margin,
    /// Liquidating.
    Liquidation,
}

impl PriceGrade {
    /// Whether a price of this grade is good enough.
    #[must_use]
    pub const fn allows(self, wanted: PriceUse) -> bool {
        match wanted {
            PriceUse::NewRisk => matches!(self, Self::Valid),
            PriceUse::Funding => matches!(self, Self::Valid | Self::Aged | Self::Clamped),
            PriceUse::Margin | PriceUse::Liquidation => !matches!(self, Self::Unusable),
        }
    }

    /// The permanent number.
    #[must_use]
    pub const fn number(self) -> u8 {
        match self {
            Self::Valid => 1,
            Self::Aged => 2,
            Self::Clamped => 3,
            Self::Uncertain => 4,
            Self::Unusable => 5,
        }
    }
}

impl BreakerState {
    /// The permanent number.
    #[must_use]
    pub const fn number(self) -> u8 {
        match self {
            Self::Normal => 1,
            Self::Elevated => 2,
            Self::ReduceOnly => 3,
            Self::WithdrawGated => 4,
            Self::Halted => 6,
        }
    }

    /// The name, as people read it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Normal => "Normal",
            Self::Elevated => "Elevated",
            Self::ReduceOnly => "ReduceOnly",
            Self::WithdrawGated => "WithdrawGated",
            Self::Halted => "Halted",
        }
    }
}

impl BreakerCause {
    /// The name, as people read it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::PriceMove => "price move",
            Self::Divergence => "divergence",
            Self::StalePrice => "stale price",
            Self::Deficit => "uncovered loss",
            Self::InsuranceDraw => "insurance draw",
            Self::Outflow => "outflow",
            Self::LawFailed => "law failed",
            Self::Cleared => "cleared",
            Self::Decided => "decided",
        }
    }
}

/// Fine ticks of one tick.
pub const FINE_PER_TICK: u64 = 1 << 16;

/// A price from outside in fine ticks of a market, rounded down. `None` where it leaves the range.
#[must_use]
pub fn fine_ticks(price: PriceNanos, tick_size: PriceNanos) -> Option<FineTicks> {
    let scaled = u128::from(price.nanos()).checked_mul(u128::from(FINE_PER_TICK))?;
    u64::try_from(scaled.checked_div(u128::from(tick_size.nanos()))?).ok().map(FineTicks::from_fine)
}

impl FeedRules {
    /// Checks the feed against the number of publishers that genesis names.
    ///
    /// # Errors
    /// The first rule that fails.
    pub fn validate(&self, publishers: &[Principal]) -> Result<(), GenesisRule> {
        let mut operators = Vec::with_capacity(self.publishers.len());
        for place in &self.publishers {
            let publisher = publishers.get(usize::from(*place)).ok_or(GenesisRule::FeedPublishers)?;
            operators.push(publisher.operator);
        }
        operators.sort_unstable();
        operators.dedup();
        let is_quorum_fine = self.operators_min > 0 && usize::from(self.operators_min) <= operators.len();
        hold(is_quorum_fine, GenesisRule::FeedPublishers)?;
        hold(self.publishers.as_slice().is_sorted_by(|left, right| left < right), GenesisRule::FeedPublishers)?;
        hold(!self.reference_price.is_zero(), GenesisRule::FeedPricePositive)?;
        let ages = [self.open_age_ms_max, self.liquidate_age_ms_max];
        hold(!self.observation_age_ms_max.is_zero() && !self.open_age_ms_max.is_zero(), GenesisRule::FeedAges)?;
        hold(ages.is_sorted(), GenesisRule::FeedAges)?;
        hold(is_share(self.confidence_max), GenesisRule::FeedLimits)?;
        hold(is_share(self.move_per_second_max), GenesisRule::FeedLimits)
    }
}

impl MarginRules {
    /// The listing checks of DESIGN §6 for a market on margin.
    ///
    /// # Errors
    /// The first rule that fails.
    pub fn validate(&self, market: &MarketRules, feed: &FeedRules) -> Result<(), GenesisRule> {
        hold(!self.tick_size.is_zero(), GenesisRule::TickSizePositive)?;
        let index = fine_ticks(feed.reference_price, self.tick_size).ok_or(GenesisRule::IndexInRange)?;
        let ticks = index.fine() / FINE_PER_TICK;
        hold(ticks > 0 && ticks <= market.price_max.ticks(), GenesisRule::IndexInRange)?;
        self.validate_tiers()?;
        hold(self.size_rate.ppm() > 0 && self.size_notional.is_positive(), GenesisRule::SizeAddOnPositive)?;
        hold(self.open_interest_notional_max.is_positive(), GenesisRule::OpenInterestPositive)?;
        let basis = is_share(self.basis_max) && !self.basis_window_ms.is_zero();
        hold(basis, GenesisRule::BasisInRange)?;
        hold(!self.profit_cliff_ms.is_zero() && !self.profit_ramp_ms.is_zero(), GenesisRule::MaturityPositive)?;
        hold(is_share(self.extended_move), GenesisRule::ExtendedMoveInRange)?;
        self.funding.validate()?;
        self.liquidation.validate()?;
        self.regime.validate()?;
        let first = self.tiers.iter().next().ok_or(GenesisRule::TiersInOrder)?;
        let quarter = first.maintenance.ppm() / 4;
        hold(self.liquidation.fee.ppm() <= quarter, GenesisRule::LiquidationFeeWithinMaintenance)?;
        self.require_time_to_liquidate(market, feed, ticks)
    }

    /// Maintenance covers the worst move that the price cap lets through while the largest position is worked off, with
    /// the fee and the slippage.
    fn require_time_to_liquidate(&self, market: &MarketRules, feed: &FeedRules, ticks: u64) -> Result<(), GenesisRule> {
        let rule = GenesisRule::MaintenanceCoversLiquidation;
        let lots = i128::from(market.position_lots_max.lots());
        let largest = i128::from(ticks)
            .checked_mul(lots)
            .and_then(|product| product.checked_mul(i128::from(market.tick_value.micros())));
        let largest = largest.filter(|size| *size <= i128::from(POSITION_NOTIONAL_MICROS_MAX)).ok_or(rule)?;
        let per_second = i128::from(self.liquidation.per_second_max.micros());
        let seconds = div_round(largest, per_second, Round::Up).ok_or(rule)?.max(1);
        let size = i64::try_from(largest).map_err(|_| rule)?;
        let maintenance = self.maintenance_margin(QuoteMicros::from_micros(size)).ok_or(rule)?;
        let rate =
            div_round(i128::from(maintenance.micros()).saturating_mul(PPM), largest.max(1), Round::Down).ok_or(rule)?;
        let worst_move = i128::from(feed.move_per_second_max.ppm()).saturating_mul(seconds);
        let needed = worst_move
            .saturating_add(i128::from(self.liquidation.fee.ppm()))
            .saturating_add(i128::from(self.liquidation.slippage_max.ppm()));
        hold(rate >= needed, rule)
    }

    fn validate_tiers(&self) -> Result<(), GenesisRule> {
        let tiers = self.tiers.as_slice();
        let is_first_zero = tiers.first().is_some_and(|tier| tier.notional_from.is_zero());
        hold(is_first_zero, GenesisRule::TiersInOrder)?;
        for tier in tiers {
            let rates = tier.maintenance.ppm() > 0 && tier.maintenance <= tier.initial && is_share(tier.initial);
            hold(rates, GenesisRule::TierRates)?;
        }
        for pair in tiers.windows(2) {
            let [before, tier] = pair else { continue };
            hold(before.notional_from < tier.notional_from, GenesisRule::TiersInOrder)?;
            let rising = before.initial <= tier.initial && before.maintenance <= tier.maintenance;
            hold(rising, GenesisRule::TiersInOrder)?;
        }
        Ok(())
    }

    /// Initial margin of one position of a notional: its brackets and the add-on for size, rounded up. `None` where it
    /// leaves the range, or for a negative notional.
    #[must_use]
    pub fn initial_margin(&self, notional: QuoteMicros) -> Option<QuoteMicros> {
        let brackets = self.bracket_sum(notional, |tier| tier.initial)?;
        brackets.checked_add(self.size_add_on(notional)?)
    }

    /// Maintenance margin of one position of a notional: the larger of its brackets and half of initial margin.
    #[must_use]
    pub fn maintenance_margin(&self, notional: QuoteMicros) -> Option<QuoteMicros> {
        let brackets = self.bracket_sum(notional, |tier| tier.maintenance)?;
        let initial = self.initial_margin(notional)?;
        let half = initial.micros().checked_add(1)?.checked_div(2)?;
        Some(brackets.max(QuoteMicros::from_micros(half)))
    }

    /// What each bracket takes of the notional that lies in it, summed, each rounded up.
    fn bracket_sum(&self, notional: QuoteMicros, rate: impl Fn(&MarginTier) -> RatioPpm) -> Option<QuoteMicros> {
        if notional.is_negative() {
            return None;
        }
        let mut sum = QuoteMicros::ZERO;
        let ends = self.tiers.iter().skip(1).map(|tier| tier.notional_from).chain([QuoteMicros::from_micros(i64::MAX)]);
        for (tier, end) in self.tiers.iter().zip(ends) {
            if notional <= tier.notional_from {
                break;
            }
            let inside = notional.min(end).checked_sub(tier.notional_from)?;
            sum = sum.checked_add(inside.scale(rate(tier), Round::Up)?)?;
        }
        Some(sum)
    }

    /// Rate times notional times the square root of notional over the market's constant, rounded up.
    ///
    /// Exact where the root is a whole number of hundredths, and the straight line between two of them: what comes out never
    /// jumps and its slope never falls, which the bounds of liquidation rest on. The line between one and two hundredths goes
    /// on downwards to nothing, which it reaches at 4/70,000 of the constant; smaller notionals have no add-on.
    fn size_add_on(&self, notional: QuoteMicros) -> Option<QuoteMicros> {
        let size = i128::from(notional.micros());
        let constant = i128::from(self.size_notional.micros());
        let rate = i128::from(self.size_rate.ppm());
        // Most positions are that small, and every one is judged again and again.
        if size.saturating_mul(NO_ADD_ON_BELOW) <= constant {
            return Some(QuoteMicros::ZERO);
        }
        let scaled = size.checked_mul(ROOT_SCALE_SQUARED)?;
        let square = scaled.checked_div(constant)?;
        let root = match u64::try_from(square) {
            Ok(square) => square.isqrt().into(),
            Err(_) => square.checked_isqrt()?,
        };
        let root = root.max(1);
        let beyond = scaled.checked_sub(constant.checked_mul(root)?.checked_mul(root)?)?;
        // With r for the root, size · r at its own hundredth, and from there (r + 1)²/(2r + 1) more for each of size.
        let (next, both) = (root.checked_add(1)?, root.checked_mul(2)?.checked_add(1)?);
        let more = div_round(beyond.checked_mul(next)?.checked_mul(next)?.checked_mul(rate)?, both, Round::Up)?;
        let product = scaled.checked_mul(root)?.checked_mul(rate)?.checked_add(more)?;
        let micros = div_round(product, ROOT_SCALE_SQUARED.checked_mul(ROOT_SCALE)?.checked_mul(PPM)?, Round::Up)?;
        i64::try_from(micros).ok().map(|micros| QuoteMicros::from_micros(micros.max(0)))
    }
}

/// The add-on for size is exact at each multiple of one part in this of the square root.
const ROOT_SCALE: i128 = 100;
const ROOT_SCALE_SQUARED: i128 = ROOT_SCALE * ROOT_SCALE;
/// A notional of one part in this of the constant, or less, has no add-on: the line between one and two hundredths is at
/// zero there.
const NO_ADD_ON_BELOW: i128 = 7 * ROOT_SCALE_SQUARED / 4;

impl FundingRules {
    fn validate(&self) -> Result<(), GenesisRule> {
        let interval = self.interval_ms.ms();
        let divides = interval > 0 && EIGHT_HOURS_MS.checked_rem(interval) == Some(0);
        hold(divides, GenesisRule::FundingInRange)?;
        let rates = is_share(self.clamp) && is_share(self.rate_max) && i128::from(self.interest.ppm()) <= PPM;
        hold(rates && self.impact_notional.is_positive(), GenesisRule::FundingInRange)
    }
}

/// Funding rates are named for eight hours.
pub const EIGHT_HOURS_MS: u64 = 8 * 60 * 60 * 1_000;

impl LiquidationRules {
    fn validate(&self) -> Result<(), GenesisRule> {
        let shares = [self.fee, self.depth_share, self.slippage_max, self.backstop_below, self.insurance_share_max];
        hold(shares.into_iter().all(is_share), GenesisRule::LiquidationInRange)?;
        let amounts = [self.slice_min, self.per_second_max, self.backstop_loss_max];
        hold(amounts.into_iter().all(QuoteMicros::is_positive), GenesisRule::LiquidationInRange)?;
        hold(!self.insurance_window_ms.is_zero(), GenesisRule::LiquidationInRange)
    }
}

impl ClearingRules {
    /// Checks the rules of the segment that are not about one market.
    ///
    /// # Errors
    /// The first rule that fails.
    pub fn validate(&self) -> Result<(), GenesisRule> {
        hold(is_share(self.transfer_margin), GenesisRule::TransferMarginInRange)?;
        let exit = &self.principal_exit;
        let is_limited = !exit.limit.window_ms.is_zero() && exit.limit.amount_max.is_positive();
        hold(is_limited && exit.delay_ms.ms() >= WITHDRAWAL_DELAY_MS_MIN, GenesisRule::PrincipalExitLimited)?;
        self.breakers.validate()
    }
}

impl BreakerRules {
    fn validate(&self) -> Result<(), GenesisRule> {
        let triggers = [self.price_move, self.divergence, self.price_age, self.insurance_draw, self.outflow];
        for levels in triggers {
            let rising = [levels.leave, levels.elevated, levels.reduce_only, levels.withdraw_gated, levels.halted];
            hold(
                levels.leave.ppm() > 0 && rising.is_sorted() && levels.leave < levels.elevated,
                GenesisRule::BreakerLevels,
            )?;
        }
        hold(self.deficit_floor.is_positive(), GenesisRule::BreakerLevels)?;
        let times = !self.clear_ms.is_zero() && !self.cooldown_ms.is_zero() && self.cooldown_ms <= self.cooldown_ms_max;
        hold(times, GenesisRule::BreakerTimes)
    }
}

impl ProposalRules {
    /// Checks that a proposal can live longer than its delay, and that neither is nothing.
    ///
    /// # Errors
    /// `ProposalTimes`.
    pub fn validate(&self) -> Result<(), GenesisRule> {
        let is_fine = !self.delay_ms.is_zero()
            && self.delay_ms < self.life_ms_max
            && self.life_ms_max.ms() <= PROPOSAL_LIFE_MS_MAX;
        hold(is_fine, GenesisRule::ProposalTimes)
    }
}

/// Above nothing and at most the whole.
fn is_share(ratio: RatioPpm) -> bool {
    ratio.ppm() > 0 && i128::from(ratio.ppm()) <= PPM
}

fn hold(holds: bool, rule: GenesisRule) -> Result<(), GenesisRule> {
    if holds { Ok(()) } else { Err(rule) }
}

#[cfg(test)]
mod tests;
