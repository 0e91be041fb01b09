//! Alerts: what a detector saw, with the numbers that made it fire and where to look.

use borsh::{BorshDeserialize, BorshSerialize};
pub use casemate_protocol::conduct::Detector;
use casemate_protocol::conduct::{FIGURES_MAX, Figure, FigureKind as Kind};
use casemate_protocol::{AccountId, BoundedVec, MarketId, OrderNumber, QuoteMicros, TimeMs, TradeNumber};

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
    /// Its number among those of its segment.
    pub number: u64,
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

impl Evidence {
    /// The numbers behind it, as the event of the alert carries them.
    #[must_use]
    pub fn figures(&self) -> BoundedVec<Figure, FIGURES_MAX> {
        let size = |amount: QuoteMicros| amount.micros().unsigned_abs();
        let figures: Vec<(Kind, u64)> = match self {
            Self::SelfTrade { accounts: [first, _], trade } => {
                vec![(Kind::Trade, trade.number()), (Kind::OtherAccount, first.number())]
            }
            Self::Wash { with, trade, figures } => vec![
                (Kind::Trade, trade.number()),
                (Kind::OtherAccount, with.number()),
                (Kind::Gross, size(figures.gross)),
                (Kind::MeanNet, size(figures.mean_net)),
                (Kind::Exclusive, figures.exclusive_ppm.into()),
            ],
            Self::Spoof { order, figures } => vec![
                (Kind::Order, order.number()),
                (Kind::Hits, figures.hits_ppm.into()),
                (Kind::Quick, figures.quick_lots),
                (Kind::OtherSide, figures.other_lots),
                (Kind::Filled, figures.filled_lots),
            ],
            Self::Stuffing(figures) => vec![
                (Kind::Messages, figures.messages.into()),
                (Kind::Trades, figures.trades.into()),
                (Kind::Excess, figures.excess_millis.into()),
                (Kind::Usual, figures.mean_millis.into()),
            ],
            Self::Ignition { trade, figures } => vec![
                (Kind::Trade, trade.number()),
                (Kind::Start, figures.start.ticks()),
                (Kind::Peak, figures.peak.ticks()),
                (Kind::Share, figures.share_ppm.into()),
                (Kind::Unwound, figures.unwound_ppm.into()),
                (Kind::Reversed, figures.reversed_ppm.into()),
            ],
            Self::Pump { trade, figures } => vec![
                (Kind::Trade, trade.number()),
                (Kind::Run, figures.run_ppm.into()),
                (Kind::Ratio, figures.ratio_millis.into()),
            ],
            Self::Sandwich(figures) => {
                let [first, last] = figures.orders;
                vec![
                    (Kind::FirstOrder, first),
                    (Kind::LastOrder, last),
                    (Kind::Between, figures.between),
                    (Kind::Gain, figures.gain_ticks),
                    (Kind::Hits, figures.hits_ppm.into()),
                ]
            }
            Self::Collusion { with, weight_ppm } => {
                vec![(Kind::OtherAccount, with.number()), (Kind::Weight, (*weight_ppm).into())]
            }
            Self::Takeover(figures) => {
                vec![(Kind::KeyAge, figures.key_age.ms()), (Kind::Value, figures.value_ppm.into())]
            }
            Self::Loss { trade, figures } => vec![
                (Kind::Trade, trade.number()),
                (Kind::Loss, figures.loss_ppm.into()),
                (Kind::UsualLoss, figures.usual_ppm.into()),
                (Kind::Excess, figures.excess_millis.into()),
                (Kind::Notional, size(figures.notional)),
            ],
            Self::Refusals(figures) => vec![
                (Kind::Refused, figures.refused.into()),
                (Kind::Share, figures.share_ppm.into()),
                (Kind::Excess, figures.excess_millis.into()),
                (Kind::LastCode, figures.last_code.into()),
            ],
        };
        let figures = figures.into_iter().map(|(kind, value)| Figure { kind, value }).collect();
        BoundedVec::new(figures).unwrap_or_default()
    }
}
