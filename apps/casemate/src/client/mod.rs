//! The client: commands against a running node's HTTP interface.
//!
//! Keys stay here: envelopes and read passes are signed on this side, and only canonical bytes travel. Tables are for people; `--json`
//! prints what the node answered, for programs.

pub mod account;
pub mod breakers;
pub mod deposit;
pub mod evidence;
pub mod grant;
pub mod guardians;
pub mod margin;
pub mod officers;
pub mod order;
pub mod payout;
pub mod reading;
pub mod root_key;
pub mod watch;
pub mod withdraw;

pub mod amount;
pub mod http;
pub mod signing;

use comfy_table::Table;
use comfy_table::presets::UTF8_HORIZONTAL_ONLY;
use serde_json::Value;

use crate::error::CliError;
use http::Http;

/// Which node to talk to, and how to show what it says.
#[derive(clap::Args, Clone, Debug)]
pub struct NodeUrl {
    /// The node.
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:8080")]
    url: String,
    /// Prints the node's JSON on standard output.
    #[arg(long)]
    pub json: bool,
}

impl NodeUrl {
    /// The node's interface.
    ///
    /// # Errors
    /// The URL does not parse.
    pub fn connect(&self) -> Result<Http, CliError> {
        Http::new(&self.url)
    }
}

/// A receipt for people or programs; a refused command makes the whole call fail.
pub fn show_receipt(receipt: &Value, is_json: bool) -> Result<(), CliError> {
    if is_json {
        outln!("{receipt:#}");
    } else {
        let note = if receipt["is_duplicate"] == true { " (included before)" } else { "" };
        let (height, position) = (&receipt["height"], &receipt["position"]);
        outln!("envelope {} is durable: block {height}, place {position}{note}", text(&receipt["envelope"]));
    }
    match refused(receipt) {
        None => Ok(()),
        Some(verdict) => Err(http::refusal(&verdict["refusal"])),
    }
}

/// The same of an envelope that makes something. Its number, which `made` asks for, stands in the JSON under this name; null
/// if it cannot be told any more.
pub fn show_receipt_and(
    receipt: &Value,
    is_json: bool,
    name: &str,
    made: impl FnOnce() -> Result<Value, CliError>,
) -> Result<Value, CliError> {
    if !is_json || refused(receipt).is_some() {
        show_receipt(receipt, is_json)?;
        return made();
    }
    // What became durable is told whatever becomes of the question.
    let made = made();
    let mut receipt = receipt.clone();
    receipt[name] = made.as_ref().map_or(Value::Null, Value::clone);
    show_receipt(&receipt, is_json)?;
    made
}

fn refused(receipt: &Value) -> Option<&Value> {
    rows(receipt, "commands").find(|verdict| verdict["is_accepted"] != true)
}

/// A table without vertical lines.
/// A table for people.
pub fn table<const N: usize>(header: [&str; N]) -> Table {
    let mut table = Table::new();
    table.load_style(UTF8_HORIZONTAL_ONLY).set_header(header);
    table
}

/// A value as people read it: strings without their quotes.
/// A value as people read it.
pub fn text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// Rows of a list.
/// The items of a list in an object; none if it is missing.
pub fn rows<'a>(value: &'a Value, name: &str) -> impl Iterator<Item = &'a Value> {
    value[name].as_array().into_iter().flatten()
}
