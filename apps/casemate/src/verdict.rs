//! Receipts and refusals as JSON: a stable interface, the same in every command.

use casemate_node::solo::Receipt;
use casemate_protocol::Reject;
use casemate_protocol::reject::Measure;
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

/// The rule that refused, what it required and what was there; both `null` where it compares nothing.
pub fn refusal_json(reject: &Reject) -> Value {
    let code = reject.code();
    let (required, present) = reject.numbers();
    let measure = match code.measure() {
        Measure::Nothing => None,
        Measure::Count => Some("count"),
        Measure::Quote => Some("quote_micros"),
        Measure::Milliseconds => Some("ms"),
        Measure::Ticks => Some("ticks"),
        Measure::Lots => Some("lots"),
        Measure::Action => Some("action"),
    };
    json!({
        "number": code.number(),
        "name": code.name(),
        "message": reject.to_string(),
        "hint": code.hint(),
        "measure": measure,
        "required": measure.map(|_| required),
        "present": measure.map(|_| present),
    })
}
