//! One record: its body against the commitment in its header, its header against the log root of the last block.

use casemate_audit::{OpenedRecord, RecordSource, Verdict, inclusion_proof};
use casemate_node::Node;
use casemate_node::node::{KeptRecord, decode_block, decode_records};
use casemate_protocol::Digest;
use casemate_protocol::block::Header;
use casemate_protocol::merkle::InclusionProof;
use indicatif::ProgressBar;
use serde_json::{Value, json};

use super::{Sheet, Shown, last_header};
use crate::error::CliError;
use crate::verdict::refusal_json;

pub fn inspect(node: &Node, index: u64) -> Result<Shown, CliError> {
    let header = last_header(node)?;
    if index >= header.log_size {
        let size = header.log_size;
        let held = if size == 0 { "is empty".to_owned() } else { format!("has records `0` to `{}`", size - 1) };
        return Err(CliError::new(format!("there is no record `{index}`: the log {held}"), "receipts name records"));
    }
    let (record, leaves) = find(node, index)?;
    let proof = prove(&record, &leaves, &header)?;
    let KeptRecord { header: place, salt, body } = &record;
    let mut sheet = Sheet::default();
    sheet.line("record", index);
    sheet.line("block", format!("{}, place {}", place.height, place.position));
    sheet.line("commitment", place.commitment);
    sheet.line("source", source_text(&body.source));
    sheet.line(
        "verdict",
        match &body.verdict {
            Verdict::Accepted => "accepted".to_owned(),
            Verdict::Refused(reject) => format!("refused with {}: {reject}", reject.code().number()),
        },
    );
    for event in &body.events {
        sheet.line("event", format!("{event:?}"));
    }
    sheet.proof("body and salt verified against the record's commitment");
    sheet.proof(format!(
        "verified against log root {} of block {} ({} hashes)",
        header.log_root,
        header.height,
        proof.path.len()
    ));
    let json = json!({
        "index": index,
        "height": place.height.number(),
        "position": place.position,
        "commitment": place.commitment.to_string(),
        "salt": salt.to_string(),
        "source": source_json(&body.source),
        "is_accepted": body.verdict == Verdict::Accepted,
        "refusal": match &body.verdict {
            Verdict::Accepted => Value::Null,
            Verdict::Refused(reject) => refusal_json(reject),
        },
        "events": body.events.iter().map(|event| format!("{event:?}")).collect::<Vec<_>>(),
        "proof": {
            "is_verified": true,
            "height": header.height.number(),
            "log_size": header.log_size,
            "log_root": header.log_root.to_string(),
            "path": proof.path.iter().map(ToString::to_string).collect::<Vec<_>>(),
        },
    });
    Ok(Shown { text: sheet.0, json })
}

/// Reads the whole log: the record, and the leaves that its proof is made of.
fn find(node: &Node, index: u64) -> Result<(KeptRecord, Vec<Digest>), CliError> {
    let incomplete = || {
        CliError::new(
            "records of the oldest blocks are not kept in this folder, so no proof can be made from it",
            "remove the folder's records and snapshots and start the node again: it makes them anew from the blocks",
        )
    };
    if node.records().held().is_none_or(|(first, _)| first > 1) {
        return Err(incomplete());
    }
    let progress = ProgressBar::new(node.height());
    let (mut found, mut leaves) = (None, Vec::new());
    let blocks = node.journal().read_from(1)?;
    let records = node.records().read_from(1)?;
    for (kept_block, kept_records) in blocks.zip(records) {
        let (kept_block, kept_records) = (kept_block?, kept_records?);
        let block = decode_block(kept_block.height, &kept_block.payload)?;
        for record in decode_records(&block, &kept_records.payload)? {
            leaves.push(record.header.leaf());
            if record.header.index.number() == index {
                found = Some(record);
            }
        }
        progress.inc(1);
    }
    progress.finish_and_clear();
    found.map(|record| (record, leaves)).ok_or_else(incomplete)
}

fn prove(record: &KeptRecord, leaves: &[Digest], last: &Header) -> Result<InclusionProof, CliError> {
    let KeptRecord { header, salt, body } = record.clone();
    let index = header.index;
    let opened = OpenedRecord { header, salt, body };
    let proof = inclusion_proof(leaves, index, last.log_size);
    match proof.filter(|proof| opened.verify() && header.is_in_log(proof, last.log_size, &last.log_root)) {
        Some(proof) => Ok(proof),
        None => Err(CliError::new(
            format!("record `{index}` does not fit the log root of block `{}`", last.height),
            "the folder's records are damaged: remove its records and snapshots, and start the node again",
        )),
    }
}

fn source_text(source: &RecordSource) -> String {
    match source {
        RecordSource::Command { envelope, command_index, account, action, policy_epoch, .. } => format!(
            "account {account}: {action:?}, command {command_index} of envelope {envelope}, policy epoch {policy_epoch}"
        ),
        RecordSource::System(command) => {
            format!("the ledger itself: {:?}, from record {}", command.work, command.origin)
        }
    }
}

fn source_json(source: &RecordSource) -> Value {
    match source {
        RecordSource::Command { envelope, command_index, account, signer_key, policy_epoch, action } => json!({
            "kind": "command",
            "envelope": envelope.to_string(),
            "command_index": command_index,
            "account": account.number(),
            "signer_key": casemate_node::development_keys::public_key_text(signer_key),
            "policy_epoch": policy_epoch.number(),
            "action": format!("{action:?}"),
        }),
        RecordSource::System(command) => json!({
            "kind": "system",
            "origin_record": command.origin.number(),
            "work": format!("{:?}", command.work),
        }),
    }
}
