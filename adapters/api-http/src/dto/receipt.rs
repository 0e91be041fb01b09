//! Receipts: where an envelope stands, and the verdicts of its commands.

use serde::Serialize;
use utoipa::ToSchema;

use crate::error::ErrorDetail;
use crate::ports::Receipt;
use crate::values::HexArray;

/// An envelope in a durable block.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct ReceiptJson {
    /// The envelope's id.
    pub envelope: HexArray<32>,
    /// Height of its block; durable.
    pub height: u64,
    /// Place in the block, from 0.
    pub position: u32,
    /// These bytes had been included before: nothing happened twice, and this is the first receipt.
    pub is_duplicate: bool,
    /// One verdict for each command, in order.
    pub commands: Vec<VerdictJson>,
}

/// Verdict of one command.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct VerdictJson {
    /// Index of its record in the log.
    pub record: u64,
    /// Whether it took effect.
    pub is_accepted: bool,
    /// Why not, if it was refused.
    pub refusal: Option<ErrorDetail>,
}

/// An envelope that was taken and not judged yet.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct AcceptedJson {
    /// The envelope's id; ask for its receipt.
    pub envelope: HexArray<32>,
}

impl From<&Receipt> for ReceiptJson {
    fn from(receipt: &Receipt) -> Self {
        Self {
            envelope: receipt.envelope.into(),
            height: receipt.height,
            position: receipt.position,
            is_duplicate: receipt.is_duplicate,
            commands: receipt
                .commands
                .iter()
                .map(|outcome| VerdictJson {
                    record: outcome.record.number(),
                    is_accepted: outcome.refusal.is_none(),
                    refusal: outcome.refusal.as_ref().map(ErrorDetail::refusal),
                })
                .collect(),
        }
    }
}
