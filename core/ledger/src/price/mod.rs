//! Prices: what publishers say becomes one price with a grade; what follows from it is mark, funding and maturity of profit.
//!
//! Owns:        feeds and pricing of markets (written through the segment's primitives).   Reads: books, rules of genesis.
//! Commands:    `SubmitPrice`, and the `System` work that aggregates, moves marks and settles funding.
//!              Events: `PriceObserved`, `PriceAggregated`, `MarkMoved`, `FundingSettled`.
//! Invariants:  P1 fewer than half of the operators never move a price out of the range of the others.
//!              P2 the price in use never passes the price published, and never moves faster than its cap.
//!              P3 no profit counts before the cliff, and nothing that is done with it makes it count earlier.
//!              P4 the order of price commands in a block changes nothing.
//! Not here:    what a grade allows (`casemate_protocol::PriceGrade`); margin (`risk`); breakers (`breaker`).

pub mod aggregate;
mod evolve;
pub mod mark;
pub mod maturing;
mod observe;
pub mod stable;
mod work;

pub(crate) use evolve::{evolve, median_depth};
pub(crate) use observe::observe;
pub(crate) use work::{aggregate_price, due_aggregates, due_funding, due_marks, move_mark, settle_funding};
