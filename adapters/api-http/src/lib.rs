//! HTTP and WebSocket in front of a node.
//!
//! ```text
//! POST envelope ─> decode once ─> Venue::submit ··· durable ─> receipt
//! GET  account  ─> pass ─> Venue::ask ─ between two blocks ─ authorised there ─ reads rows ··· durable ─> answer
//! GET  book     ─> Hub, kept by durable blocks         WebSocket <─ bounded queue <─ Hub
//! ```
//!
//! - **Only what is durable is served.** Answers about state carry the height and the state root that they are of.
//! - The adapter knows the state and its rules' names, and no node: what it needs of one is in [`ports`].
//! - Numbers that may pass 2^53 are strings, and names end in units ([`values`]).
//! - A reader that is slow, silent or greedy is cut off by limits ([`Limits`]); it holds up nobody else.
//! - What is not public is shown to whoever brings a read pass that the gate authorises against the state that is read
//!   ([`access`]). Every route has a class, and chains of all kinds have the same.
//!
//! Deliberately absent: TLS (a proxy in front has it), sessions and cookies (every envelope and pass is signed), any decision
//! about an envelope.

pub mod access;
pub mod base64url;
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

pub use routes::{PagePass, Service, openapi};
pub use server::{Limits, Server};
