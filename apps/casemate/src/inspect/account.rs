//! One account, read from the bytes of its proofs and from nothing else.

use borsh::BorshDeserialize;
use casemate_api_http::dto::safeguards::SafeguardsJson;
use casemate_ledger::accounts::Account;
use casemate_ledger::accounts::safeguards::Safeguard;
use casemate_ledger::{SubAccountRow, VaultRow};
use casemate_node::Node;
use casemate_node::development_keys::public_key_text;
use casemate_protocol::block::Header;
use casemate_protocol::hash::Hex;
use casemate_protocol::merkle::{RowProof, TableKind};
use casemate_protocol::{AccountId, MarketId, QuoteMicros, SegmentId};
use serde_json::{Value, json};

use super::{Sheet, Shown, last_header};
use crate::error::CliError;

pub fn inspect(node: &Node, number: u64, segment: Option<u16>) -> Result<Shown, CliError> {
    let header = last_header(node)?;
    let ledger = node.replica().ledger();
    let id = AccountId::new(number);
    let proof = ledger.prove_account(id).ok_or_else(|| {
        let last = ledger.accounts().last_account();
        CliError::new(format!("account `{number}` does not exist"), format!("name an account from 1 to {last}"))
    })?;
    let row = proven(&proof, &header, TableKind::Accounts, 0, number)?;
    let account: Account = borsh::from_slice(row).map_err(|_error| unreadable("account"))?;
    let segments = match segment {
        None => ledger.segments().iter().map(casemate_ledger::segment::Segment::id).collect(),
        Some(named) => {
            vec![ledger.segment(SegmentId::new(named)).map(casemate_ledger::segment::Segment::id).ok_or_else(|| {
                CliError::new(
                    format!("segment `{named}` does not exist"),
                    format!("name a segment from 1 to {}", ledger.segments().len()),
                )
            })?]
        }
    };
    let live = account.grants().iter().filter(|grant| grant.is_live(header.time_ms)).count();
    let status = if account.is_open() { "open" } else { "closed" };
    let mut sheet = Sheet::default();
    sheet.line("account", format!("{number} ({status})"));
    sheet.line("root key", public_key_text(account.root_key()));
    sheet.line("next root nonce", account.nonces().next().to_string());
    sheet.line("live grants", live);
    let safeguards = inspect_safeguards(node, &header, id, &mut sheet)?;
    let mut segments_json = Vec::new();
    for segment in segments {
        segments_json.push(inspect_segment(node, &header, id, segment, &mut sheet)?);
    }
    let json = json!({
        "account": number,
        "is_open": account.is_open(),
        "root_key": public_key_text(account.root_key()),
        "next_root_nonce": account.nonces().next(),
        "live_grants": live,
        "safeguards": safeguards,
        "segments": segments_json,
        "proof": proof_json(&header),
    });
    sheet.proof(format!("verified against state root {} of block {}", header.state_root, header.height));
    Ok(Shown { text: sheet.0, json })
}

/// What guards the account against its own keys; nothing if it never used any of it.
fn inspect_safeguards(node: &Node, header: &Header, account: AccountId, sheet: &mut Sheet) -> Result<Value, CliError> {
    let ledger = node.replica().ledger();
    let Some(proof) = ledger.prove_safeguard(account) else { return Ok(Value::Null) };
    let row = proven(&proof, header, TableKind::Safeguards, 0, proof.index)?;
    let row: Safeguard = borsh::from_slice(row).map_err(|_error| unreadable("safeguards"))?;
    if row.account() != account {
        return Err(unreadable("safeguards"));
    }
    let shown = SafeguardsJson::of(&row, ledger.chain().waiting_ms);
    sheet.line("waiting clock", format!("{} ms", shown.waiting_ms));
    for entry in &shown.address_book.addresses {
        let from = if entry.is_usable { "usable".to_owned() } else { format!("from {} ms", entry.usable_waiting_ms) };
        sheet.line("payout address", format!("{} on chain {}, {from}", Hex(&entry.destination.0), entry.chain));
    }
    if let Some(announced) = &shown.announced_root_key {
        sheet.line("announced root key", format!("{} from {} ms", announced.key, announced.ready_waiting_ms));
    }
    sheet.line("former root keys", shown.former_root_keys.len());
    let guardians = &shown.guarding.guardians;
    sheet.line("guardians", format!("{} accounts, any {} decide", guardians.accounts.len(), guardians.threshold));
    serde_json::to_value(&shown).map_err(|_error| unreadable("safeguards"))
}

fn inspect_segment(
    node: &Node,
    header: &Header,
    account: AccountId,
    segment: SegmentId,
    sheet: &mut Sheet,
) -> Result<Value, CliError> {
    let ledger = node.replica().ledger();
    let (table, index) = (segment.number(), account.number());
    let vault = ledger.prove_vault(segment).ok_or_else(|| unreadable("vault"))?;
    let vault: VaultRow =
        borsh::from_slice(proven(&vault, header, TableKind::Vault, table, 0)?).map_err(|_error| unreadable("vault"))?;
    sheet.line("segment", segment);
    let sub_account = match ledger.prove_sub_account(segment, account) {
        None => None,
        Some(proof) => {
            let row = SubAccount::read(proven(&proof, header, TableKind::SubAccounts, table, index)?)
                .ok_or_else(|| unreadable("sub-account"))?;
            Some(row)
        }
    };
    let Some(SubAccount { head, positions }) = sub_account else {
        sheet.line("  cash", "none: the account has no part in this segment");
        sheet.line("  vault", format!("{} of asset {}", quote(vault.balance), vault.asset));
        return Ok(json!({ "segment": table, "sub_account": null, "vault_micros": vault.balance.to_string() }));
    };
    sheet.line("  cash", head.cash);
    sheet.line("  set aside", format!("{} for {} withdrawals and transfers", head.pending, head.pending_count));
    let net_deposits = QuoteMicros::from_micros(head.net_deposits);
    sheet.line("  net deposits", format!("{net_deposits}: what came in less what was asked to leave"));
    if head.conduct_band > 0 {
        sheet.line("  conduct band", format!("{} of 3", head.conduct_band));
    }
    let mut positions_json = Vec::new();
    for position in positions {
        let market = market_id(node, segment, position.market)?;
        let notional = QuoteMicros::from_micros(position.entry_notional);
        sheet.line(
            &format!("  market {market}"),
            format!(
                "{} lots, entry notional {notional}; {} resting orders: bids {} lots, asks {} lots",
                position.lots, position.order_count, position.bid_lots, position.ask_lots
            ),
        );
        positions_json.push(json!({
            "market": market.number(),
            "lots": position.lots,
            "entry_notional_micros": position.entry_notional.to_string(),
            "entry_gain_micros": position.entry_gain.to_string(),
            "funding_settled_at": position.funding_entry.to_string(),
            "resting_orders": position.order_count,
            "bid_lots": position.bid_lots,
            "ask_lots": position.ask_lots,
        }));
    }
    sheet.line("  vault", format!("{} of asset {}", quote(vault.balance), vault.asset));
    Ok(json!({
        "segment": table,
        "sub_account": {
            "cash_micros": head.cash.micros().to_string(),
            "cash": head.cash.to_string(),
            "pending_micros": head.pending.micros().to_string(),
            "pending_moves": head.pending_count,
            "net_deposits_micros": head.net_deposits.to_string(),
            "conduct_band": head.conduct_band,
            "positions": positions_json,
        },
        "vault_micros": vault.balance.to_string(),
    }))
}

/// The row that a proof shows, if it is the row asked for and leads to the header's state root.
fn proven<'a>(
    proof: &'a RowProof,
    header: &Header,
    kind: TableKind,
    segment: u16,
    index: u64,
) -> Result<&'a [u8], CliError> {
    let is_asked_for = proof.table.kind == kind && proof.table.segment == segment && proof.index == index;
    if is_asked_for && proof.state_root() == Some(header.state_root) {
        return Ok(proof.row.as_slice());
    }
    Err(CliError::defect(format!("a proof of {kind:?} does not lead to the state root of block `{}`", header.height)))
}

/// A sub-account as its row shows it.
struct SubAccount {
    head: SubAccountRow,
    positions: Vec<PositionRow>,
}

/// A position as a sub-account's row shows it.
#[derive(BorshDeserialize)]
struct PositionRow {
    market: u16,
    order_count: u32,
    lots: i64,
    entry_notional: i64,
    entry_gain: i64,
    funding_entry: i64,
    bid_lots: i64,
    _bid_notional: i64,
    ask_lots: i64,
    _ask_notional: i64,
}

impl SubAccount {
    fn read(row: &[u8]) -> Option<Self> {
        let mut rest = row;
        let head = SubAccountRow::deserialize(&mut rest).ok()?;
        let positions = match u8::deserialize(&mut rest).ok()? {
            0 => Vec::new(),
            _ => Vec::deserialize(&mut rest).ok()?,
        };
        Some(Self { head, positions })
    }
}

fn market_id(node: &Node, segment: SegmentId, place: u16) -> Result<MarketId, CliError> {
    let segment = node.replica().ledger().segment(segment);
    let market = segment.and_then(|segment| segment.markets().get(usize::from(place)));
    market.map(|market| market.rules().id).ok_or_else(|| unreadable("position"))
}

fn proof_json(header: &Header) -> Value {
    json!({
        "is_verified": true,
        "height": header.height.number(),
        "state_root": header.state_root.to_string(),
    })
}

fn quote(micros: i128) -> String {
    i64::try_from(micros)
        .map_or_else(|_| format!("{micros} micros"), |micros| QuoteMicros::from_micros(micros).to_string())
}

fn unreadable(what: &str) -> CliError {
    CliError::defect(format!("the proven row of the {what} does not decode"))
}
