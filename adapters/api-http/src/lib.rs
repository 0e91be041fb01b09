//! HTTP and WebSocket in front of a node.
//!
//! ```text
//! POST envelope ─> decode once ─> Venue::submit ··· durable ─> receipt
//! GET  account  ─> Venue::ask ─ between two blocks ─ reads rows ··· durable ─> answer
//! GET  book     ─> Hub, kept by durable blocks         WebSocket <─ bounded queue <─ Hub
//! ```
//!
//! - **Only what is durable is served.** Answers about state carry the height and the state root that they are of.
//! - The adapter knows the state and its rules' names, and no node: what it needs of one is in [`ports`].
//! - Numbers that may pass 2^53 are strings, and names end in units ([`values`]).
//! - A reader that is slow, silent or greedy is cut off by limits ([`Limits`]); it holds up nobody else.
//! - Accounts of a chain that is not a development chain are not served at all until there are grants for reading.
//!
//! Deliberately absent: TLS (a proxy in front has it), sessions and cookies (every envelope is signed), any decision about
//! an envelope.

pub mod dto;
pub mod error;
pub mod feed;
pub mod hub;
pub mod metrics;
pub mod ports;
pub mod values;

mod asking;
mod body;
mod routes;
mod server;

pub use routes::{Service, openapi};
pub use server::{Limits, Server};
