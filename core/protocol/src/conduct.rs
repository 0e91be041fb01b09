//! Words of conduct: detectors, what they measured, why a band moved, and the limits that genesis sets for a segment.

use borsh::{BorshDeserialize, BorshSerialize};

use crate::units::{QuoteMicros, RatioPpm};

/// Which detector. The number is permanent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, BorshSerialize, BorshDeserialize)]
#[borsh(use_discriminant = true)]
#[repr(u8)]
pub enum Detector {
    /// D1.
    Wash = 1,
    /// D2.
    Spoof = 2,
    /// D3.
    Stuffing = 3,
    /// D4.
    Ignition = 4,
    /// D4, the market's part.
    Pump = 5,
    /// D7.
    Sandwich = 6,
    /// D8.
    Collusion = 7,
    /// D9.
    Takeover = 8,
    /// Refusals.
    Refusals = 9,
}

impl Detector {
    /// All of them, by their numbers.
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

    /// The permanent number.
    #[must_use]
    pub const fn number(self) -> u8 {
        match self {
            Self::Wash => 1,
            Self::Spoof => 2,
            Self::Stuffing => 3,
            Self::Ignition => 4,
            Self::Pump => 5,
            Self::Sandwich => 6,
            Self::Collusion => 7,
            Self::Takeover => 8,
            Self::Refusals => 9,
        }
    }

    /// The detector with this number.
    #[must_use]
    pub fn from_number(number: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|detector| detector.number() == number)
    }

    /// As people call it, with its number in R§4.2.
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
}

/// Figures of one alert at most.
pub const FIGURES_MAX: usize = 8;

/// A number that a detector measured, and what it counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Figure {
    /// What.
    pub kind: FigureKind,
    /// How much.
    pub value: u64,
}

macro_rules! figures {
    ($($number:literal $name:ident $word:literal $meaning:literal;)*) => {
        /// What a figure counts. The number is permanent.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, BorshSerialize, BorshDeserialize)]
        #[borsh(use_discriminant = true)]
        #[repr(u8)]
        pub enum FigureKind {
            $(#[doc = $meaning] $name = $number,)*
        }

        impl FigureKind {
            /// All of them, by their numbers.
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];

            /// The word for it, with its unit.
            #[must_use]
            pub const fn word(self) -> &'static str {
                match self { $(Self::$name => $word,)* }
            }
        }
    };
}

figures! {
    1 Trade "trade" "The trade that filled the measure.";
    2 Order "order" "The order that filled the measure.";
    3 OtherAccount "other_account" "The other account.";
    4 Gross "gross_micros" "Traded between two accounts, faded, in micro-quote.";
    5 MeanNet "mean_net_micros" "What they were apart after each trade, in micro-quote.";
    6 Exclusive "exclusive_ppm" "The smaller share of either one's trading that is with the other.";
    7 Hits "hits_ppm" "Hits, in parts per million of one.";
    8 Quick "quick_lots" "Lots that left quickly.";
    9 OtherSide "other_side_lots" "Lots that left quickly on the other side.";
    10 Filled "filled_lots" "Lots that filled.";
    11 Messages "messages" "Messages, faded.";
    12 Trades "trades" "Trades, faded.";
    13 Excess "excess_millis" "Excess over the past, in thousandths of a deviation.";
    14 Usual "usual_millis" "Messages a second that are usual, in thousandths.";
    15 Start "start_ticks" "Where a run began.";
    16 Peak "peak_ticks" "How far it came.";
    17 Share "share_ppm" "Share of all, in parts per million.";
    18 Unwound "unwound_ppm" "What part was turned over.";
    19 Reversed "reversed_ppm" "How much of the run was given back.";
    20 Run "run_ppm" "How far the price ran.";
    21 Ratio "ratio_millis" "Buying of the moment over that of the past, in thousandths.";
    22 FirstOrder "first_order" "The first leg.";
    23 LastOrder "last_order" "The last leg.";
    24 Between "between_order" "The order between them.";
    25 Gain "gain_ticks" "What a lot gained.";
    26 Weight "weight_ppm" "Weight of a link.";
    27 Loss "loss_ppm" "By how much a fill was worse than the index.";
    28 UsualLoss "usual_loss_ppm" "By how much fills are usually worse.";
    29 Notional "notional_micros" "Notional in micro-quote.";
    30 Refused "refused" "Refused commands, faded.";
    31 LastCode "last_refusal" "The rule that refused last, as in the registry of refusals.";
    32 KeyAge "key_age_ms" "How long ago a key changed.";
    33 Value "value_ppm" "What is asked for, of what was there.";
}

/// Why a band moved.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
#[borsh(use_discriminant = true)]
#[repr(u8)]
pub enum BandCause {
    /// An alert about the account.
    Alerted = 1,
    /// An alert about an account that this one seems to be one with.
    Linked = 2,
    /// Evidence faded.
    Faded = 3,
}

/// Limits of a segment's conduct. Zero never means off; see docs/conduct.md for what each one does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct ConductRules {
    /// D1: what a pair trades, faded, before it can be a wash.
    pub wash_gross_min: QuoteMicros,
    /// D2: a hit is so many usual orders.
    pub spoof_usual_orders: u32,
    /// D3: messages, faded over ten seconds.
    pub stuffing_messages: u32,
    /// D4: a run of the price with one account behind it.
    pub ignition_run: RatioPpm,
    /// D4: a run of the price that is a pump.
    pub pump_run: RatioPpm,
    /// D9: fills that are worse than the index by less are usual.
    pub loss_of_fill: RatioPpm,
    /// Refusals of an account, faded over a minute.
    pub refusals_of_account: u32,
    /// Refusals of a market, faded over a minute.
    pub refusals_of_market: u32,
    /// What is damage.
    pub damage: DamageRules,
}

/// From where an act of an anomalous account is damage.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct DamageRules {
    /// Share of what the vault holds that would leave.
    pub outflow: RatioPpm,
    /// Share of an account's money that waits to leave while its keys change.
    pub pending: RatioPpm,
    /// How far an order would move the price.
    pub price_step: RatioPpm,
    /// Share of its equity that an order would cost against the index.
    pub own_loss: RatioPpm,
    /// Share of its side of the book, near the touch, that an order would be.
    pub book_depth: RatioPpm,
    /// Share of open interest that the account would hold.
    pub open_interest: RatioPpm,
}

impl ConductRules {
    /// The starting points of this project: what development chains and the evaluation of detectors use. Genesis names each
    /// of them; nothing falls back to these.
    pub const STARTING: Self = Self {
        wash_gross_min: QuoteMicros::from_micros(10_000_000_000),
        spoof_usual_orders: 10,
        stuffing_messages: 300,
        ignition_run: RatioPpm::from_ppm(10_000),
        pump_run: RatioPpm::from_ppm(80_000),
        loss_of_fill: RatioPpm::from_ppm(5_000),
        refusals_of_account: 20,
        refusals_of_market: 500,
        damage: DamageRules {
            outflow: RatioPpm::from_ppm(25_000),
            pending: RatioPpm::from_ppm(25_000),
            price_step: RatioPpm::from_ppm(20_000),
            own_loss: RatioPpm::from_ppm(25_000),
            book_depth: RatioPpm::from_ppm(500_000),
            open_interest: RatioPpm::from_ppm(100_000),
        },
    };

    /// Whether every limit is above zero, shares are at most the whole, and counts fit the sums that they are compared with.
    #[must_use]
    pub fn is_in_range(&self) -> bool {
        let counts =
            [self.spoof_usual_orders, self.stuffing_messages, self.refusals_of_account, self.refusals_of_market];
        let damage = &self.damage;
        let shares = [
            self.ignition_run,
            self.pump_run,
            self.loss_of_fill,
            damage.outflow,
            damage.pending,
            damage.price_step,
            damage.own_loss,
            damage.book_depth,
            damage.open_interest,
        ];
        self.wash_gross_min.is_positive()
            && counts.iter().all(|count| (1..=COUNT_MAX).contains(count))
            && shares.iter().all(|share| (1..=1_000_000).contains(&share.ppm()))
    }
}

/// Sums of counts are kept in 1/256 in 32 bits.
const COUNT_MAX: u32 = 1_000_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn detectors_and_figures_have_the_numbers_of_their_bytes() {
        for detector in Detector::ALL {
            assert_eq!(borsh::to_vec(&detector).unwrap(), [detector.number()]);
            assert_eq!(Detector::from_number(detector.number()), Some(detector));
        }
        assert_eq!(Detector::from_number(0), None);
        let numbers: Vec<u8> = FigureKind::ALL.iter().map(|kind| borsh::to_vec(kind).unwrap()[0]).collect();
        assert_eq!(numbers, (1..=33).collect::<Vec<u8>>());
        let words: std::collections::BTreeSet<&str> = FigureKind::ALL.iter().map(|kind| kind.word()).collect();
        assert_eq!(words.len(), FigureKind::ALL.len());
    }

    #[test]
    fn zero_is_no_limit_and_a_share_is_at_most_the_whole() {
        assert!(ConductRules::STARTING.is_in_range());
        let none = ConductRules { refusals_of_account: 0, ..ConductRules::STARTING };
        let more = ConductRules { pump_run: RatioPpm::from_ppm(1_000_001), ..ConductRules::STARTING };
        let damage = DamageRules { own_loss: RatioPpm::from_ppm(0), ..ConductRules::STARTING.damage };
        let free = ConductRules { damage, ..ConductRules::STARTING };
        assert!([none, more, free].iter().all(|rules| !rules.is_in_range()));
    }
}
