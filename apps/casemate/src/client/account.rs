//! `casemate account` and `casemate positions`.

use std::path::{Path, PathBuf};

use casemate_node::development_keys::read_key_file;
use casemate_protocol::Command;
use clap::Subcommand;
use serde_json::Value;

use super::amount::show_quote;
use super::http::Http;
use super::reading::{ReaderArgs, account_of_key};
use super::signing::{Identity, chain_id, now_ms};
use super::{NodeUrl, rows, show_receipt_and, table, text};
use crate::error::CliError;

/// What can be done with accounts.
#[derive(Subcommand, Debug)]
pub enum AccountCommand {
    /// Opens the account of a root key, to which a deposit waits.
    Open {
        /// File of the root key.
        #[arg(long, value_name = "FILE")]
        key: PathBuf,
        #[command(flatten)]
        node: NodeUrl,
    },
    /// Shows balances, grants and resting orders.
    Show {
        #[command(flatten)]
        whose: ReaderArgs,
        #[command(flatten)]
        node: NodeUrl,
    },
}

/// Arguments of `positions`.
#[derive(clap::Args, Debug)]
pub struct PositionsArgs {
    #[command(flatten)]
    whose: ReaderArgs,
    #[command(flatten)]
    node: NodeUrl,
}

fn read(whose: &ReaderArgs, http: &Http) -> Result<Value, CliError> {
    let (account, pass) = whose.open(http)?;
    http.get_with(&format!("/v1/accounts/{account}"), &pass)
}

/// Runs an `account` command.
///
/// # Errors
/// The node's refusal, or no node.
pub fn run(command: &AccountCommand) -> Result<(), CliError> {
    match command {
        AccountCommand::Open { key, node } => open(key, node),
        AccountCommand::Show { whose, node } => {
            let account = read(whose, &node.connect()?)?;
            if node.json {
                outln!("{account:#}");
            } else {
                show(&account);
            }
            Ok(())
        }
    }
}

fn open(key: &Path, node: &NodeUrl) -> Result<(), CliError> {
    let http = node.connect()?;
    let key = read_key_file(key)?;
    let chain = http.get("/v1/chain")?;
    let envelope = Identity::opening(key).sign(chain_id(&chain)?, now_ms(&http)?, vec![Command::OpenAccount])?;
    let receipt = http.submit(&envelope.encode())?;
    let number = || account_of_key(&http, &key).map(Value::from);
    let account = show_receipt_and(&receipt, node.json, "account", number)?;
    if !node.json {
        outln!("account {account} is open");
    }
    Ok(())
}

fn show(account: &Value) {
    let status = if account["is_open"] == true { "open" } else { "closed" };
    outln!("account {} ({status}), after block {}", account["account"], account["height"]);
    outln!("root key {}, next nonce {}", text(&account["root_key"]), account["root_nonce_next"]);
    outln!("bond {} in segment {}", show_quote(&account["bond_quote_micros"]), account["bond_segment"]);
    let mut cash = table(["segment", "cash", "set aside", "moves"]);
    for part in rows(account, "segments") {
        cash.add_row([
            text(&part["segment"]),
            show_quote(&part["cash_quote_micros"]),
            show_quote(&part["pending_quote_micros"]),
            text(&part["pending_moves"]),
        ]);
    }
    outln!("{cash}");
    let mut grants = table([
        "grant",
        "parent",
        "session key",
        "live",
        "next nonce",
        "notional used",
        "left",
        "loss left",
        "commands/min",
    ]);
    for grant in rows(account, "grants") {
        grants.add_row([
            text(&grant["number"]),
            if grant["parent"] == 0 { "-".to_owned() } else { text(&grant["parent"]) },
            text(&grant["session_key"]),
            text(&grant["is_live"]),
            text(&grant["nonce_next"]),
            show_quote(&grant["notional_used_quote_micros"]),
            show_quote(&grant["notional_left_quote_micros"]),
            show_quote(&grant["loss_left_quote_micros"]),
            text(&grant["commands_per_minute_max"]),
        ]);
    }
    outln!("{grants}");
    let mut orders = table(["market", "order", "client id", "side", "price (ticks)", "left (lots)"]);
    for order in rows(account, "segments").flat_map(|part| rows(part, "orders")) {
        let columns = ["market", "number", "client_id", "side", "price_ticks", "remaining_lots"];
        orders.add_row(columns.map(|column| text(&order[column])));
    }
    outln!("{orders}");
}

/// Runs `positions`.
///
/// # Errors
/// The node's refusal, or no node.
pub fn positions(args: &PositionsArgs) -> Result<(), CliError> {
    let account = read(&args.whose, &args.node.connect()?)?;
    let positions: Vec<&Value> = rows(&account, "segments").flat_map(|part| rows(part, "positions")).collect();
    if args.node.json {
        let shown = serde_json::json!({
            "account": account["account"],
            "height": account["height"],
            "state_root": account["state_root"],
            "positions": positions,
        });
        outln!("{shown:#}");
        return Ok(());
    }
    let mut shown = table(["market", "lots", "entry notional", "reference (ticks)", "unrealised"]);
    for position in positions {
        shown.add_row([
            text(&position["market"]),
            text(&position["position_lots"]),
            show_quote(&position["entry_notional_quote_micros"]),
            text(&position["reference_price_ticks"]),
            show_quote(&position["unrealised_pnl_quote_micros"]),
        ]);
    }
    outln!("{shown}");
    Ok(())
}
