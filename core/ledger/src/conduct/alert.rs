//! Alerts: what a detector saw, with the numbers that made it fire and where to look.

use borsh::{BorshDeserialize, BorshSerialize};
use casemate_protocol::{AccountId, MarketId, OrderNumber, TimeMs, TradeNumber};

use super::ignition::{IgnitionFigures, PumpFigures};
use super::refusals::RefusalFigures;
use super::sandwich::SandwichFigures;
use super::spoof::SpoofFigures;
use super::stuffing::StuffingFigures;
use super::takeover::{LossFigures, TakeoverFigures};
use super::wash::WashFigures;

/// Something that a detector saw.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Alert {
    /// When.
    pub at: TimeMs,
    /// Where; none for moves of money and keys.
    pub market: MarketId,
    /// Whom it is about: the account that speaks for the cluster; none if it is the market as a whole.
    pub account: AccountId,
    /// How far the detector is over its thresholds, in parts per million of them, from a million.
    pub score_ppm: u32,
    /// How rare that is for the account, 0 to 10.
    pub level: u8,
    /// The account's band with this alert.
    pub band: u8,
    /// Why.
    pub evidence: Evidence,
}

/// Why a detector fired.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
#[borsh(use_discriminant = true)]
#[repr(u8)]
pub enum Evidence {
    /// D1: an account and its own cluster traded with each other.
    SelfTrade {
        /// The two accounts.
        accounts: [AccountId; 2],
        /// The trade.
        trade: TradeNumber,
    } = 1,
    /// D1: two accounts trade with each other and end where they began.
    Wash {
        /// The other one.
        with: AccountId,
        /// The trade that filled the measure.
        trade: TradeNumber,
        /// The numbers.
        figures: WashFigures,
    } = 2,
    /// D2.
    Spoof {
        /// The order that filled the measure.
        order: OrderNumber,
        /// The numbers.
        figures: SpoofFigures,
    } = 3,
    /// D3.
    Stuffing(StuffingFigures) = 4,
    /// D4.
    Ignition {
        /// The trade at which half of the run was given back.
        trade: TradeNumber,
        /// The numbers.
        figures: IgnitionFigures,
    } = 5,
    /// D4, the market's part.
    Pump {
        /// The trade that filled the measure.
        trade: TradeNumber,
        /// The numbers.
        figures: PumpFigures,
    } = 6,
    /// D7.
    Sandwich(SandwichFigures) = 7,
    /// D8: a link reached the weight that it is acted on at.
    Collusion {
        /// The other account.
        with: AccountId,
        /// Its weight.
        weight_ppm: u32,
    } = 8,
    /// D9: money is asked to leave.
    Takeover(TakeoverFigures) = 9,
    /// D9: a key trades against its owner.
    Loss {
        /// The trade.
        trade: TradeNumber,
        /// The numbers.
        figures: LossFigures,
    } = 10,
    /// A surge of refusals of an account or, without one, of a market.
    Refusals(RefusalFigures) = 11,
}

/// Which detector.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Detector {
    /// D1.
    Wash,
    /// D2.
    Spoof,
    /// D3.
    Stuffing,
    /// D4.
    Ignition,
    /// D4, the market's part.
    Pump,
    /// D7.
    Sandwich,
    /// D8.
    Collusion,
    /// D9.
    Takeover,
    /// Refusals.
    Refusals,
}

impl Detector {
    /// All of them, by their numbers in R§4.2.
    pub const ALL: [Self; 9] = [
        Self::Wash,
        Self::Spoof,
        Self::Stuffing,
        Self::Ignition,
        Self::Pump,
        Self::Sandwich,
        Self::Collusion,
        Self::Takeover,
        Self::Refusals,
    ];

    /// As people call it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Wash => "D1 wash",
            Self::Spoof => "D2 spoof",
            Self::Stuffing => "D3 stuffing",
            Self::Ignition => "D4 ignition",
            Self::Pump => "D4 pump",
            Self::Sandwich => "D7 sandwich",
            Self::Collusion => "D8 collusion",
            Self::Takeover => "D9 takeover",
            Self::Refusals => "refusals",
        }
    }

    /// Its bit among those of a row.
    #[must_use]
    pub const fn bit(self) -> u16 {
        match self {
            Self::Wash => 1,
            Self::Spoof => 2,
            Self::Stuffing => 4,
            Self::Ignition => 8,
            Self::Pump => 16,
            Self::Sandwich => 32,
            Self::Collusion => 64,
            Self::Takeover => 128,
            Self::Refusals => 256,
        }
    }
}

impl Evidence {
    /// The detector that gives such evidence.
    #[must_use]
    pub const fn detector(&self) -> Detector {
        match self {
            Self::SelfTrade { .. } | Self::Wash { .. } => Detector::Wash,
            Self::Spoof { .. } => Detector::Spoof,
            Self::Stuffing(_) => Detector::Stuffing,
            Self::Ignition { .. } => Detector::Ignition,
            Self::Pump { .. } => Detector::Pump,
            Self::Sandwich(_) => Detector::Sandwich,
            Self::Collusion { .. } => Detector::Collusion,
            Self::Takeover(_) | Self::Loss { .. } => Detector::Takeover,
            Self::Refusals(_) => Detector::Refusals,
        }
    }
}
