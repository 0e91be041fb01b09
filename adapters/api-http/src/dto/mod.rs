//! What travels as JSON. One file for each thing that can be asked for; a further read is one more file and one handler.

pub mod account;
pub mod block;
pub mod chain;
pub mod envelope;
pub mod event;
pub mod liquidation;
pub mod margin;
pub mod market;
pub mod policy;
pub mod proof;
pub mod read_pass;
pub mod receipt;
pub mod safeguards;
pub mod segment;
pub mod typed_data;
