//! Everything that is known of one request: the cell, and what rules of the slow path may look at besides.

use super::{PolicyQuestion, Tier};
use crate::clearing::PriceGrade;
use crate::ids::{AccountId, MarketId, SegmentId};

/// Everything that a rule may look at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PolicyFacts {
    /// The cell.
    pub question: PolicyQuestion,
    /// The evidence presented.
    pub tier: Tier,
    /// Who asks; zero for nobody.
    pub account: AccountId,
    /// Block time since the account was opened.
    pub account_age_ms: u64,
    /// The segment that it is done to, where it is done to one.
    pub segment: SegmentId,
    /// The market that it is done to, where it is done to one.
    pub market: MarketId,
    /// What is behind the tier.
    pub evidence: EvidenceFacts,
    /// What feeds say.
    pub feeds: FeedFacts,
}

/// What is behind a tier.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct EvidenceFacts {
    /// Approvals of the kind that the action names.
    pub approvals: u32,
    /// Age of the grant, if a session signed whose grant the root key registered by itself.
    pub grant_age_ms: Option<u64>,
}

/// What risk-factor feeds say; nothing where there is no feed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FeedFacts {
    /// Depth of other venues close to the price.
    pub external_depth_micros: Option<Reading>,
    /// Volume of other venues within a day.
    pub external_volume_micros: Option<Reading>,
    /// Open interest of other venues.
    pub open_interest_micros: Option<Reading>,
    /// Reserves behind the collateral.
    pub reserves_micros: Option<Reading>,
    /// What the collateral redeems at, of par.
    pub redemption_ppm: Option<Reading>,
    /// Whether other venues are open.
    pub venue_status: Option<VenueStatus>,
}

/// One value of a feed, with how good it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reading {
    /// The value, in the unit of the feed.
    pub value: i64,
    /// How good it is.
    pub grade: PriceGrade,
}

/// Whether other venues are open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum VenueStatus {
    /// All of them.
    Open,
    /// Some, or slowly.
    Degraded,
    /// None that counts.
    Closed,
}

impl PolicyFacts {
    /// A question and a tier with nothing else known: an account of no age, no approvals, no feeds.
    #[must_use]
    pub fn bare(question: PolicyQuestion, tier: Tier) -> Self {
        Self {
            question: question.normalised(),
            tier,
            account: AccountId::NONE,
            account_age_ms: 0,
            segment: SegmentId::NONE,
            market: MarketId::NONE,
            evidence: EvidenceFacts::default(),
            feeds: FeedFacts::default(),
        }
    }
}
