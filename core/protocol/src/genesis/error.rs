//! Rules of genesis, and how a file that breaks one is refused.

use crate::ids::{FeedId, MarketId, SegmentId};

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
    /// A price feed.
    Feed(FeedId),
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
    WeightBudgetPositive "the weight budget must refill, and its burst must hold the heaviest envelope (4000)";
    GrantLifetimes "the longest lives of new grants must be above zero, at most 30 days, and not rise from calm to extreme";
    SafeguardTimes "delays of safeguards must be above zero and at most 60 days";
    RecoveryTimes "times of guardians and recovery must be above zero and at most 60 days; a change of guardians waits longer than a recovery, a freeze lasts at least as long as one, and the window of cancels (1 to 8) is longer than that many recoveries with their pauses and votes";
    AttestorQuorum "the attestor quorum must be above zero and within the number of distinct operators, which count from 1";
    PrincipalKeysDistinct "attestors, publishers, risk officers, governors, backstops and auditors must all have distinct keys";
    PasskeyOrigins "a passkey origin must be `https://` and a host in small letters, with a port if it needs one, and its relying party that host or a domain above it; a development chain may have `http://localhost`";
    PrincipalOperators "operators count from 1";
    OfficerQuorum "the quorums of risk officers and governors must be above zero and within the number of their distinct operators, which count from 1";
    ProposalTimes "a proposal's delay must be above zero and below its longest life, which is at most 30 days";
    ClearingInOrder "clearing and margin rules must stand in the order of segments and markets, each once";
    FullCollateralOnlyInDevelopment "a segment without clearing rules needs `development = true`: full collateral without prices from outside is for trying things out";
    MarketExists "margin rules must name a market that exists";
    MarginWhereClearing "a market has margin rules exactly if its segment clears on margin";
    FeedOfSegment "a market on margin must name a feed of its own segment";
    FeedOfClearingSegment "a feed must name a segment that clears on margin";
    FeedPublishers "a feed must name publishers that exist, in rising order, and a number of operators above zero and within theirs";
    FeedPricePositive "a feed's reference price must be above zero";
    FeedAges "a feed's ages must be above zero, and new risk must not be taken at an age at which nothing is liquidated";
    FeedLimits "a feed's confidence and cap must be above zero and at most 1000000 ppm";
    TickSizePositive "the tick size must be above zero";
    IndexInRange "the feed's reference price must be at least one tick and at most the market's highest price";
    TiersInOrder "margin tiers must begin at zero and rise in notional and rates";
    TierRates "margin rates must be above zero, maintenance at most initial, initial at most 1000000 ppm";
    SizeAddOnPositive "the size add-on's rate and notional must be above zero";
    OpenInterestPositive "the open-interest maximum must be above zero";
    BasisInRange "the basis maximum must be above zero and at most 1000000 ppm, its window above zero";
    MaturityPositive "cliff and ramp of profit must be above zero";
    ExtendedMoveInRange "the extended move must be above zero and at most 1000000 ppm";
    FundingInRange "the funding interval must divide eight hours, its rates be above zero and at most 1000000 ppm, its impact notional above zero";
    LiquidationInRange "liquidation rates, amounts and windows must be above zero and shares at most 1000000 ppm";
    LiquidationFeeWithinMaintenance "the liquidation fee must be at most a quarter of the lowest maintenance rate";
    MaintenanceCoversLiquidation "maintenance of the largest position must cover the worst move that the price cap allows while it is liquidated, the fee and the slippage";
    RegimeLevels "regime levels must be above zero and rise from elevated to extreme, and a regime must be left below them";
    RegimeTimes "regime times must be above zero";
    Policies "the policies must compile: `casemate policy check` on their folder says what is wrong";
    TransferMarginInRange "the transfer margin must be above zero and at most 1000000 ppm";
    PrincipalExitLimited "the slow principal exit needs a delay of at least 1000 ms and a window and amount above zero";
    BreakerLevels "breaker levels must be above zero and rise from leave to halted, and the deficit floor must be above zero";
    BreakerTimes "breaker times must be above zero, and the cooldown at most its maximum";
    SeededOnlyInDevelopment "seeded accounts need `development = true`";
    SeededInRange "seeded accounts need a count, balance, budgets and lifetime above zero and in range (the lifetime within that of new grants while calm), and positions within the budgets";
    DelayAboveMinimum "withdrawal and transfer delays must be at least 1000 ms";
    LimitPositive "a limit must be above zero: zero never means no limit";
    LimiterPresent "a segment needs at least one outbound limiter window";
    OpenOrdersInRange "the open-order limit must be above zero and at most 1024";
    ConductLimits "conduct limits must be above zero, shares at most 1000000 ppm and counts at most 1000000: zero never means off";
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
            GenesisPlace::Feed(id) => write!(formatter, "feed `{id}` of genesis: {}", self.rule.sentence()),
            GenesisPlace::Market(id) => {
                write!(formatter, "market `{id}` fails its listing check: {}", self.rule.sentence())
            }
        }
    }
}

impl core::error::Error for GenesisError {}
