//! The outside world of a replay or a demonstration: what prices do, who reports them, how deep makers quote, and what
//! a crowd of traders wants.
//!
//! It is a crate of its own because it knows the future: the worst hour of a file, the next price. Whatever decides on
//! the venue's side must not be able to link it; apps that stage the world and the venue can.
//!
//! ```text
//! klines ─ minutes, gaps ─> bridge ─ 60 seconds each ─> steps ─┬─> past ─> publishers ─ observations
//! generator ─ minutes without end ──> bridge ──────────────────┘    └───> crowd ─ intents
//!                                      minutes' volume and range ──────> depth ─ what makers quote
//! ```
//!
//! - [`klines`] reads one-minute candles of a CSV file, strictly; a missing minute is an outage and no error.
//! - [`bridge`] makes sixty one-second prices of a candle.
//! - [`steps`] lays the seconds of a selection out in time, outages included.
//! - [`generator`] makes candles without end from statistics of a crash day.
//! - [`past`] is all that anybody in this world may see: prices that have been.
//! - [`publishers`] turns prices into what oracles report: late, noisy, with a confidence, and one falls silent.
//! - [`depth`] says how much makers quote for the volume and range there was.
//! - [`crowd`] says what traders want to do.
//!
//! Everything is a pure function of a [`Seed`] and its inputs, in integers. Deliberately absent: the engine, keys,
//! accounts, a wall clock. Prices are micro-quote per unit of base, money is micro-quote, time is Unix milliseconds.

pub mod bridge;
pub mod crowd;
pub mod depth;
mod draws;
pub mod generator;
pub mod klines;
pub mod past;
pub mod publishers;
pub mod steps;

pub use draws::Seed;

#[cfg(test)]
mod recorded_data;

/// One unit of quote, in micro-quote; also parts per million of one.
pub const MICROS: u64 = 1_000_000;

/// The highest price, in micro-quote: a billion of quote. Leaves room to multiply.
pub const PRICE_MICROS_MAX: u64 = 1_000_000_000 * MICROS;

/// The latest time, Unix milliseconds: in the year 5138. Leaves room to add.
pub const TIME_MS_MAX: u64 = 100_000_000_000_000;

/// A minute, in milliseconds.
pub const MINUTE_MS: u64 = 60_000;

/// A second, in milliseconds.
pub const SECOND_MS: u64 = 1_000;

/// A day, in milliseconds.
pub const DAY_MS: u64 = 24 * 60 * MINUTE_MS;
