//! The whole pipeline: bytes in, blocks and records out, on a small venue.
#![cfg(test)]

mod adoption;
mod agreement;
mod attacks;
mod book;
mod children;
mod clearing;
mod clearing_laws;
mod conduct;
mod containment;
mod coverage;
mod golden;
mod guardians;
mod held;
mod kit;
mod laws;
mod model;
mod outflow;
mod phases;
mod policies;
mod preview;
mod proofs;
mod reads;
mod refusals;
mod safeguards;
mod sessions;
mod wallets;
