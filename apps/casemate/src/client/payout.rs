//! `casemate payout`: the book of addresses that an account's money may leave to.

use casemate_protocol::Command;
use casemate_protocol::command::{OutsideReference, PayoutAddress};
use clap::Subcommand;

use super::http::Http;
use super::reading::{Pass, ReaderArgs};
use super::signing::SignerArgs;
use super::withdraw::parse_destination;
use super::{NodeUrl, rows, show_receipt, table, text};
use crate::error::CliError;

/// What can be done with the book.
#[derive(Subcommand, Debug)]
pub enum PayoutCommand {
    /// Adds an address, usable once it has cooled off; the first one makes the book binding.
    Add {
        #[command(flatten)]
        root: SignerArgs,
        #[command(flatten)]
        address: AddressArgs,
        #[command(flatten)]
        node: NodeUrl,
    },
    /// Takes an address out, at once; a book that loses its last one binds until it has cooled off.
    Remove {
        #[command(flatten)]
        root: SignerArgs,
        #[command(flatten)]
        address: AddressArgs,
        #[command(flatten)]
        node: NodeUrl,
    },
    /// Shows the book.
    List {
        #[command(flatten)]
        whose: ReaderArgs,
        #[command(flatten)]
        node: NodeUrl,
    },
}

/// An address.
#[derive(clap::Args, Clone, Debug)]
pub struct AddressArgs {
    /// Outside chain.
    #[arg(long, default_value = "1")]
    chain: u32,
    /// Payout address on it, in hexadecimal.
    #[arg(long, value_name = "HEX", value_parser = parse_destination)]
    destination: OutsideReference,
}

/// Runs a `payout` command.
///
/// # Errors
/// The node's refusal, or no node.
pub fn run(command: &PayoutCommand) -> Result<(), CliError> {
    match command {
        PayoutCommand::Add { root, address, node } => ask(root, address, node, Command::AddPayoutAddress),
        PayoutCommand::Remove { root, address, node } => ask(root, address, node, Command::RemovePayoutAddress),
        PayoutCommand::List { whose, node } => {
            let http = node.connect()?;
            let (account, pass) = whose.open(&http)?;
            show(&http, account, &pass, node.json)
        }
    }
}

fn ask(
    root: &SignerArgs,
    address: &AddressArgs,
    node: &NodeUrl,
    way: fn(Box<PayoutAddress>) -> Command,
) -> Result<(), CliError> {
    let http = node.connect()?;
    let (identity, account) = root.identity(&http)?;
    let address = PayoutAddress { chain: address.chain, destination: address.destination.clone() };
    show_receipt(&identity.submit(&http, way(Box::new(address)))?, node.json)?;
    match account["account"].as_u64().filter(|_| !node.json) {
        Some(account) => show(&http, account, &identity.pass(&http)?, false),
        None => Ok(()),
    }
}

fn show(http: &Http, account: u64, pass: &Pass, is_json: bool) -> Result<(), CliError> {
    let account = http.get_with(&format!("/v1/accounts/{account}"), pass)?;
    let book = &account["safeguards"]["address_book"];
    if is_json {
        outln!("{book:#}");
        return Ok(());
    }
    if book["binds"] != true {
        outln!("the book does not bind: money may leave to any address");
        return Ok(());
    }
    outln!("waiting clock {} ms", text(&account["safeguards"]["waiting_ms"]));
    let mut addresses = table(["chain", "destination", "usable", "from (waiting clock, ms)"]);
    for entry in rows(book, "addresses") {
        addresses.add_row(["chain", "destination", "is_usable", "usable_waiting_ms"].map(|name| text(&entry[name])));
    }
    outln!("{addresses}");
    if book["opens_waiting_ms"] != 0 {
        outln!("no address is left; the book binds until {} ms", text(&book["opens_waiting_ms"]));
    }
    Ok(())
}
