//! One block.

use casemate_node::Node;
use casemate_protocol::block::envelope_root;
use casemate_protocol::{BoundedVec, Digest, Envelope};
use serde_json::{Value, json};

use super::{Sheet, Shown, no_block, read_block};
use crate::error::CliError;

pub fn inspect(node: &Node, height: &str) -> Result<Shown, CliError> {
    let height = match height {
        "latest" => node.height(),
        number => number.parse().map_err(|_error| {
            CliError::new(format!("`{number}` is not a height"), "name a number from 1 on, or `latest`")
        })?,
    };
    if height == 0 || height > node.height() {
        return Err(no_block(node, height));
    }
    let block = read_block(node, height)?;
    let header = &block.header;
    require_links(node, height, header.parent, header.id())?;
    let is_whole = envelope_root(block.envelopes.iter().map(BoundedVec::as_slice)) == header.envelope_root
        && block.seal_secret.commitment() == header.seal_commitment;
    if !is_whole {
        return Err(CliError::defect(format!("block `{height}`: body and header do not fit")));
    }
    let log_size_before = if height == 1 { 0 } else { read_block(node, height - 1)?.header.log_size };
    let envelopes = envelopes(block.envelopes.iter().map(BoundedVec::as_slice))?;
    let mut sheet = Sheet::default();
    sheet.line("block", height);
    sheet.line("id", header.id().to_string());
    sheet.line("parent", header.parent);
    sheet.line("time", format!("{} ms since 1970-01-01 UTC", header.time_ms.ms()));
    sheet.line("envelopes", header.envelope_count);
    sheet.line("records", format!("{} from index {log_size_before}", header.log_size - log_size_before));
    sheet.line("state root", header.state_root);
    sheet.line("log root", format!("{} over {} records", header.log_root, header.log_size));
    sheet.line("policy epoch", header.policy_epoch);
    sheet.proof("envelope root, seal commitment and links to the blocks beside it are verified");
    let json = json!({
        "height": height,
        "id": header.id().to_string(),
        "parent": header.parent.to_string(),
        "time_ms": header.time_ms.ms(),
        "protocol_version": header.protocol_version,
        "chain_id": header.chain_id.to_string(),
        "policy_epoch": header.policy_epoch.number(),
        "envelope_count": header.envelope_count,
        "envelope_root": header.envelope_root.to_string(),
        "envelopes": envelopes,
        "first_record": log_size_before,
        "record_count": header.log_size - log_size_before,
        "state_root": header.state_root.to_string(),
        "log_size": header.log_size,
        "log_root": header.log_root.to_string(),
        "is_verified": true,
    });
    Ok(Shown { text: sheet.0, json })
}

/// The block before is its parent, and the block behind, or the state, names it as theirs.
fn require_links(node: &Node, height: u64, parent: Digest, id: Digest) -> Result<(), CliError> {
    let before = if height == 1 { Digest::ZERO } else { read_block(node, height - 1)?.header.id() };
    let named = if height == node.height() {
        *node.replica().last_block_id()
    } else {
        read_block(node, height + 1)?.header.parent
    };
    if before == parent && named == id {
        return Ok(());
    }
    Err(CliError::defect(format!("block `{height}` is not linked to the blocks beside it")))
}

fn envelopes<'a>(blobs: impl Iterator<Item = &'a [u8]>) -> Result<Vec<Value>, CliError> {
    blobs
        .zip(0u32..)
        .map(|(bytes, position)| {
            let (envelope, digests) =
                Envelope::decode(bytes).map_err(|reject| CliError::defect(format!("envelope {position}: {reject}")))?;
            Ok(json!({
                "position": position,
                "id": digests.intent.to_string(),
                "account": envelope.intent.account.number(),
                "nonce": envelope.intent.nonce,
                "commands": envelope.intent.commands.iter().map(|command| format!("{:?}", command.action())).collect::<Vec<_>>(),
                "size_bytes": bytes.len(),
            }))
        })
        .collect()
}
