//! Recorded order flow, made into commands for the engine, and the engine's answer compared with the record.
//!
//! The record is a level-3 file: every event of every order of another venue, and none of its trades. That makes it a
//! test of matching that nobody here wrote: if the same orders arrive in the same order and price-time priority holds,
//! the same orders must fill. So orders and cancels are sent, and fills are expected, compared and never sent.
//!
//! - [`rows`] reads the file, strictly.
//! - [`record`] says what each row means, given the rows before it. Plan and comparison both stand on it.
//! - [`plan`] turns rows into steps for the engine. Pure: the same rows give the same steps.
//! - [`recorded_book`] follows the record and knows its best prices.
//! - [`comparison`] holds replayed fills and prices against recorded ones, and names the cause of each difference.
//!
//! Deliberately absent: keys, accounts of a chain and the engine. A driver maps [`plan::account_index`] to its accounts,
//! signs, and feeds what happened to the comparison.

pub mod comparison;
pub mod plan;
pub mod record;
pub mod recorded_book;
pub mod rows;

#[cfg(test)]
mod tests;

/// Satoshi of one lot of the replay market: 0.0001 BTC.
pub const LOT_SATOSHI: u64 = 10_000;
