//! Genesis: every rule and limit of a chain, and the listing checks that a market must pass.
//!
//! There is no default in code and no value that means "off": a missing limit is an error. The chain id is the hash
//! of the canonical bytes of this structure.

mod error;
mod recovery;
mod safeguards;

use borsh::{BorshDeserialize, BorshSerialize};

use crate::BoundedVec;
use crate::clearing::{ClearingRules, FeedRules, MarginRules, Officers, ProposalRules};
use crate::conduct::ConductRules;
use crate::grant::GrantLifetimes;
use crate::hash::{self, Digest, Domain};
use crate::ids::{AccountId, AssetId, FeedId, MarketId, OperatorId, SegmentId};
use crate::keys::PublicKey;
use crate::limits::{
    ATTESTORS_MAX, AUDITORS_MAX, BALANCE_MICROS_MAX, FEEDS_MAX, LIMITER_WINDOWS_MAX, MARKETS_MAX, OPEN_ORDERS_MAX,
    ORIGIN_BYTES_MAX, PASSKEY_ORIGINS_MAX, POSITION_NOTIONAL_MICROS_MAX, PRICE_TICKS_MAX, PUBLISHERS_MAX,
    QUANTITY_LOTS_MAX, SEGMENTS_MAX, WITHDRAWAL_DELAY_MS_MIN,
};
use crate::policy::PolicySet;
use crate::units::{
    DurationMs, FeePpm, PPM, PriceTicks, QuantityLots, QuoteMicros, RatioPpm, TickValueMicros, TimeMs, notional,
};
pub use error::{GenesisError, GenesisPlace, GenesisRule};
pub use recovery::RecoveryRules;
pub use safeguards::SafeguardRules;

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
    pub attestors: BoundedVec<Principal, ATTESTORS_MAX>,
    /// How many distinct operators must attest a deposit.
    pub attestor_quorum: u16,
    /// Who may publish prices.
    pub publishers: BoundedVec<Principal, PUBLISHERS_MAX>,
    /// Who reopens a segment after a breaker.
    pub risk_officers: Officers,
    /// Who decides what risk officers cannot: leaving Halted.
    pub governors: Officers,
    /// How their proposals become changes.
    pub proposals: ProposalRules,
    /// Price feeds, in the order of their ids from 1.
    pub feeds: BoundedVec<FeedRules, FEEDS_MAX>,
    /// The segments, in the order of their ids from 1.
    pub segments: BoundedVec<SegmentRules, SEGMENTS_MAX>,
    /// The markets, in the order of their ids from 1.
    pub markets: BoundedVec<MarketRules, MARKETS_MAX>,
    /// Segments that clear on margin, in the order of the segments. In all others collateral is full, which only a
    /// development chain may have.
    pub clearing: BoundedVec<ClearingRules, SEGMENTS_MAX>,
    /// Margin of the markets of those segments, in the order of the markets.
    pub margins: BoundedVec<MarginRules, MARKETS_MAX>,
    /// Pages on which passkeys may sign; none refuses passkeys.
    pub passkey_origins: BoundedVec<PasskeyOrigin, PASSKEY_ORIGINS_MAX>,
    /// Accounts that exist from the start; development chains only.
    pub seeded: Option<SeededAccounts>,
    /// Policies in force from the start; without a file, the built-in table.
    pub policies: PolicySet,
    /// Who reads what is not public to check it, as far as policies let them; none is allowed.
    pub auditors: BoundedVec<Principal, AUDITORS_MAX>,
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
    /// Longest lives of new grants, by the worst regime of the venue.
    pub grant_lifetimes: GrantLifetimes,
    /// Delays of what guards an account against its own keys.
    pub safeguards: SafeguardRules,
}

/// A page on which passkeys may sign.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct PasskeyOrigin {
    /// Its origin as browsers write it: scheme, host and, unless it is the scheme's own, port.
    pub origin: BoundedVec<u8, ORIGIN_BYTES_MAX>,
    /// The relying party that its passkeys are made for: the host, or a domain above it.
    pub relying_party: BoundedVec<u8, ORIGIN_BYTES_MAX>,
}

impl PasskeyOrigin {
    /// What an authenticator writes of the relying party: its plain SHA-256.
    #[must_use]
    pub fn relying_party_hash(&self) -> Digest {
        hash::plain(&[self.relying_party.as_slice()])
    }

    /// Whether a browser would let a page of this origin ask for this relying party's passkeys.
    fn is_well_formed(&self, is_development: bool) -> bool {
        let (Ok(origin), Ok(party)) =
            (core::str::from_utf8(self.origin.as_slice()), core::str::from_utf8(self.relying_party.as_slice()))
        else {
            return false;
        };
        let rest = match origin.split_once("://") {
            Some(("https", rest)) => rest,
            Some(("http", rest)) if is_development => rest,
            _ => return false,
        };
        let (host, port) = rest.split_once(':').map_or((rest, None), |(host, port)| (host, Some(port)));
        let is_port_fine = port.is_none_or(|port| !port.starts_with('0') && port.parse::<u16>().is_ok());
        let is_under = host == party || host.strip_suffix(party).is_some_and(|above| above.ends_with('.'));
        is_host(host) && is_host(party) && is_port_fine && is_under && (origin.starts_with("https") || host == LOCAL)
    }
}

/// The one host that browsers trust without encryption.
const LOCAL: &str = "localhost";

/// Labels of small letters, digits and hyphens, separated by dots.
fn is_host(text: &str) -> bool {
    let is_letter = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    text.split('.').all(|label| !label.is_empty() && label.bytes().all(is_letter))
}

/// A party that genesis names: an account from the start, with its operator. Attestors have the first account numbers,
/// then come publishers, risk officers, governors, the backstops of segments and auditors, each in the order of genesis.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Principal {
    /// Quorums count operators, not keys.
    pub operator: OperatorId,
    /// Root key of its account.
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
    /// From where conduct alerts and an act is damage.
    pub conduct: ConductRules,
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

/// What a party that genesis names is there for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PrincipalKind {
    /// Attests deposits.
    Attestor,
    /// Publishes prices.
    Publisher,
    /// Reopens segments after a breaker.
    RiskOfficer,
    /// Decides what risk officers cannot.
    Governor,
    /// Takes over positions that the book cannot close.
    Backstop,
    /// Reads what it must to check.
    Auditor,
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
        self.validate_clearing()
    }

    /// The parties that have accounts from the start, in the order of their account numbers from 1.
    pub fn principals(&self) -> impl Iterator<Item = (PrincipalKind, &Principal)> {
        let kind = |kind: PrincipalKind| move |principal| (kind, principal);
        let attestors = self.attestors.iter().map(kind(PrincipalKind::Attestor));
        let publishers = self.publishers.iter().map(kind(PrincipalKind::Publisher));
        let officers = self.risk_officers.members.iter().map(kind(PrincipalKind::RiskOfficer));
        let governors = self.governors.members.iter().map(kind(PrincipalKind::Governor));
        let backstops = self.clearing.iter().map(|rules| (PrincipalKind::Backstop, &rules.backstop));
        let auditors = self.auditors.iter().map(kind(PrincipalKind::Auditor));
        attestors.chain(publishers).chain(officers).chain(governors).chain(backstops).chain(auditors)
    }

    /// Account of the publisher in a place of the list, from 0.
    #[must_use]
    pub fn publisher_account(&self, place: u16) -> AccountId {
        let before = u64::try_from(self.attestors.len()).unwrap_or(u64::MAX);
        AccountId::new(before.saturating_add(u64::from(place)).saturating_add(1))
    }

    /// Account of a segment's backstop, if the segment clears on margin.
    #[must_use]
    pub fn backstop_account(&self, segment: SegmentId) -> Option<AccountId> {
        let place = self.clearing.iter().position(|rules| rules.segment == segment)?;
        let before = [
            self.attestors.len(),
            self.publishers.len(),
            self.risk_officers.members.len(),
            self.governors.members.len(),
            place,
        ];
        let number =
            before.into_iter().fold(1u64, |sum, count| sum.saturating_add(u64::try_from(count).unwrap_or(u64::MAX)));
        Some(AccountId::new(number))
    }

    /// The rules of a feed.
    #[must_use]
    pub fn feed(&self, id: FeedId) -> Option<&FeedRules> {
        self.feeds.as_slice().get(usize::from(id.number()).checked_sub(1)?)
    }

    /// The clearing rules of a segment, if it clears on margin.
    #[must_use]
    pub fn clearing_of(&self, segment: SegmentId) -> Option<&ClearingRules> {
        self.clearing.iter().find(|rules| rules.segment == segment)
    }

    /// The margin rules of a market, if its segment clears on margin.
    #[must_use]
    pub fn margin_of(&self, market: MarketId) -> Option<&MarginRules> {
        self.margins.iter().find(|rules| rules.market == market)
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
        require(self.accounts.grant_lifetimes.is_well_formed(), place, GenesisRule::GrantLifetimes)?;
        require(self.accounts.safeguards.are_sound(), place, GenesisRule::SafeguardTimes)?;
        require(self.accounts.safeguards.recovery.are_sound(), place, GenesisRule::RecoveryTimes)?;
        require(self.attestor_quorum > 0, place, GenesisRule::AttestorQuorum)?;
        let operators = distinct_operators(self.attestors.as_slice());
        require(
            operators.is_some_and(|count| usize::from(self.attestor_quorum) <= count),
            place,
            GenesisRule::AttestorQuorum,
        )?;
        let all: Vec<PublicKey> = self.principals().map(|(_, principal)| principal.root_key).collect();
        let mut keys = all.clone();
        keys.sort_unstable();
        keys.dedup();
        require(keys.len() == all.len(), place, GenesisRule::PrincipalKeysDistinct)?;
        let is_fine = |origin: &PasskeyOrigin| origin.is_well_formed(self.is_development);
        require(self.passkey_origins.iter().all(is_fine), place, GenesisRule::PasskeyOrigins)?;
        self.validate_officers()?;
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
        let is_lifetime_fine =
            (1..=self.accounts.grant_lifetimes.calm_ms.ms()).contains(&seeded.grant_lifetime_ms.ms());
        require(has_budgets && is_lifetime_fine, place, GenesisRule::SeededInRange)?;
        let is_in_budget = |market: &MarketRules| {
            notional(market.reference_price, seeded.position_lots, market.tick_value)
                .is_some_and(|traded| traded <= seeded.grant_notional)
        };
        require(self.markets.iter().all(is_in_budget), place, GenesisRule::SeededInRange)
    }
}

impl Genesis {
    fn validate_officers(&self) -> Result<(), GenesisError> {
        let place = GenesisPlace::Chain;
        self.proposals.validate().map_err(|rule| GenesisError { place, rule })?;
        let publishers = distinct_operators(self.publishers.as_slice());
        require(self.publishers.is_empty() || publishers.is_some(), place, GenesisRule::PrincipalOperators)?;
        let auditors = distinct_operators(self.auditors.as_slice());
        require(self.auditors.is_empty() || auditors.is_some(), place, GenesisRule::PrincipalOperators)?;
        for officers in [&self.risk_officers, &self.governors] {
            if self.clearing.is_empty() && officers.members.is_empty() && officers.quorum == 0 {
                continue;
            }
            let count = distinct_operators(officers.members.as_slice());
            let is_fine = officers.quorum > 0 && count.is_some_and(|count| usize::from(officers.quorum) <= count);
            require(is_fine, place, GenesisRule::OfficerQuorum)?;
        }
        Ok(())
    }

    /// A segment clears on margin whole or not at all, and a market on margin has a feed of its segment.
    fn validate_clearing(&self) -> Result<(), GenesisError> {
        for (index, feed) in self.feeds.iter().enumerate() {
            let place = GenesisPlace::Feed(feed.id);
            let is_next = u16::try_from(index).is_ok_and(|index| feed.id == FeedId::new(index).next());
            require(is_next, place, GenesisRule::IdsInOrder)?;
            require(self.clearing_of(feed.segment).is_some(), place, GenesisRule::FeedOfClearingSegment)?;
            feed.validate(self.publishers.as_slice()).map_err(|rule| GenesisError { place, rule })?;
        }
        let is_sorted = self.clearing.as_slice().is_sorted_by(|left, right| left.segment < right.segment)
            && self.margins.as_slice().is_sorted_by(|left, right| left.market < right.market);
        require(is_sorted, GenesisPlace::Chain, GenesisRule::ClearingInOrder)?;
        for rules in &self.clearing {
            let place = GenesisPlace::Segment(rules.segment);
            require(self.segment(rules.segment).is_some(), place, GenesisRule::SegmentExists)?;
            rules.validate().map_err(|rule| GenesisError { place, rule })?;
        }
        for segment in &self.segments {
            let is_margined = self.clearing_of(segment.id).is_some();
            require(
                is_margined || self.is_development,
                GenesisPlace::Segment(segment.id),
                GenesisRule::FullCollateralOnlyInDevelopment,
            )?;
        }
        for rules in &self.margins {
            require(
                self.market(rules.market).is_some(),
                GenesisPlace::Market(rules.market),
                GenesisRule::MarketExists,
            )?;
        }
        for market in &self.markets {
            let place = GenesisPlace::Market(market.id);
            let margin = self.margin_of(market.id);
            require(
                self.clearing_of(market.segment).is_some() == margin.is_some(),
                place,
                GenesisRule::MarginWhereClearing,
            )?;
            let Some(margin) = margin else { continue };
            let feed = self.feed(margin.feed).filter(|feed| feed.segment == market.segment);
            let feed = feed.ok_or(GenesisError { place, rule: GenesisRule::FeedOfSegment })?;
            margin.validate(market, feed).map_err(|rule| GenesisError { place, rule })?;
        }
        Ok(())
    }
}

/// How many operators a list of principals has; none if one of them has no operator.
fn distinct_operators(principals: &[Principal]) -> Option<usize> {
    let mut operators: Vec<OperatorId> = principals.iter().map(|principal| principal.operator).collect();
    operators.sort_unstable();
    operators.dedup();
    operators.iter().all(|operator| !operator.is_none()).then_some(operators.len())
}

/// The heaviest single envelope must fit an account's budget, or the account could never act.
const LEAST_WEIGHT_BURST: u32 = 4_000;

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
        hold(shares <= PPM, GenesisRule::FeeSharesWithinWhole)?;
        hold(self.conduct.is_in_range(), GenesisRule::ConductLimits)
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

#[cfg(test)]
mod tests;
