//! Liquidation: closes positions of accounts whose equity fell below maintenance margin, and says who bears what is lost.
//!
//! Owns:        uncovered losses, the backstop's results (written through the segment's primitives).   Reads: positions, risk,
//!              books, prices.
//! Commands:    the `System` work `Liquidate` and `RepayDeficit`.   Events: `LiquidationStepped`, `LiquidationSliced`,
//!              `PositionPassed`, `InsurancePaid`, `LossUncovered`, `DeficitRepaid`, and trades.
//! Invariants:  L1 the queue finds exactly what a scan of all rows finds. L2 losses fall in a fixed order: the account's
//!              margin, insurance within its cap, the backstop within its cap, profit on the other side, and what nothing
//!              covers is written down and repaid by insurance first. L3 no slice trades worse than the bankruptcy price while
//!              there is anybody who can bear the loss.
//! Not here:    who is below maintenance (`risk`); when liquidation stops (`breaker`).

mod deleverage;
pub mod draining;
mod evolve;
mod losses;
mod queue;
mod risk_queue;
pub mod slice;
mod step;
#[cfg(test)]
mod tests;

pub(crate) use evolve::{DRAW_WINDOW, evolve};
pub(crate) use losses::{repay_deficit, repayable};
pub(crate) use risk_queue::{RiskQueue, liquidatable};
pub(crate) use step::liquidate;
