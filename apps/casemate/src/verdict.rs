//! Receipts and refusals as JSON: a stable interface, the same in every command.

use casemate_api_http::error::ErrorDetail;
use casemate_node::solo::Receipt;
use casemate_protocol::Reject;
use serde_json::{Value, json};

/// Where an envelope stands and what became of its commands.
pub fn receipt_json(receipt: &Receipt) -> Value {
    let command = |outcome: &casemate_replica::CommandOutcome| match &outcome.refusal {
        None => json!({ "record": outcome.record.number(), "is_accepted": true }),
        Some(reject) => {
            json!({ "record": outcome.record.number(), "is_accepted": false, "refusal": refusal_json(reject) })
        }
    };
    json!({
        "envelope": receipt.envelope.to_string(),
        "height": receipt.height,
        "position": receipt.position,
        "is_duplicate": receipt.is_duplicate,
        "commands": receipt.commands.iter().map(command).collect::<Vec<_>>(),
    })
}

/// The rule that refused, what it required and what was there, as the HTTP interface says it.
pub fn refusal_json(reject: &Reject) -> Value {
    // String keys and no failing parts, so it always encodes.
    serde_json::to_value(ErrorDetail::refusal(reject)).unwrap_or_default()
}
