//! Events of conduct.

use borsh::{BorshDeserialize, BorshSerialize};

use crate::bounded::BoundedVec;
use crate::conduct::{BandCause, Detector, FIGURES_MAX, Figure};
use crate::ids::{AccountId, MarketId, SegmentId};
use crate::units::TimeMs;

/// See [`Event::ConductAlerted`](crate::Event::ConductAlerted).
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct ConductAlerted {
    /// The segment.
    pub segment: SegmentId,
    /// The alert's number in its segment.
    pub number: u64,
    /// Which detector fired.
    pub detector: Detector,
    /// Where.
    pub market: MarketId,
    /// Whom it is about: the account that speaks for its cluster; none if it is the market as a whole.
    pub account: AccountId,
    /// When it was seen: the time of the block before.
    pub at: TimeMs,
    /// How far the detector is over its thresholds, in parts per million of them, from a million.
    pub score_ppm: u32,
    /// How rare that is for the account, 0 to 10.
    pub level: u8,
    /// What it measured.
    pub figures: BoundedVec<Figure, FIGURES_MAX>,
}

/// See [`Event::ConductBandMoved`](crate::Event::ConductBandMoved).
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct ConductBandMoved {
    /// The segment.
    pub segment: SegmentId,
    /// The account.
    pub account: AccountId,
    /// From which band, 0 to 3.
    pub from: u8,
    /// To which.
    pub to: u8,
    /// Why.
    pub cause: BandCause,
    /// The alert that raised it last; zero if evidence faded.
    pub alert: u64,
}

/// See [`Event::LinksContested`](crate::Event::LinksContested).
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct LinksContested {
    /// The segment.
    pub segment: SegmentId,
    /// Who contested.
    pub account: AccountId,
}
