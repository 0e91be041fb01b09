//! `casemate margin`: what an account has and needs, and what an order or withdrawal would do about it.

use casemate_protocol::QuoteMicros;
use clap::ValueEnum;
use serde_json::{Value, json};

use super::amount::{parse_quote, show_quote};
use super::reading::ReaderArgs;
use super::{NodeUrl, http, rows, table, text};
use crate::error::CliError;

/// Arguments of `margin`.
#[derive(clap::Args, Debug)]
pub struct MarginArgs {
    #[command(flatten)]
    whose: ReaderArgs,
    /// Shows what an order in this market would do instead; with `--side` and `--lots`.
    #[arg(long, requires = "side", requires = "lots", conflicts_with = "withdraw")]
    market: Option<u16>,
    /// Buy or sell.
    #[arg(long, requires = "market")]
    side: Option<PreviewSide>,
    /// How many lots.
    #[arg(long, requires = "market")]
    lots: Option<u64>,
    /// Limit of the order, in ticks; a market order within 1 % if not given.
    #[arg(long, requires = "market")]
    price_ticks: Option<u64>,
    /// Shows what a withdrawal of this much would do instead.
    #[arg(long, value_parser = parse_quote, value_name = "QUOTE")]
    withdraw: Option<QuoteMicros>,
    /// The segment that would pay, with `--withdraw`.
    #[arg(long, default_value = "1", requires = "withdraw")]
    segment: u16,
    #[command(flatten)]
    node: NodeUrl,
}

/// A side of the book, as the interface writes it.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum PreviewSide {
    /// Buys.
    Bid,
    /// Sells.
    Ask,
}

/// Runs `margin`.
///
/// # Errors
/// The node's refusal, no node, or a previewed command that would be refused.
pub fn run(args: &MarginArgs) -> Result<(), CliError> {
    let http = args.node.connect()?;
    let (account, pass) = args.whose.open(&http)?;
    let Some(command) = previewed(args) else {
        let margin = http.get_with(&format!("/v1/accounts/{account}/margin"), &pass)?;
        if args.node.json {
            outln!("{margin:#}");
        } else {
            outln!("account {account}, after block {}", margin["height"]);
            show(rows(&margin, "segments").map(|standing| (text(&standing["segment"]), standing)));
        }
        return Ok(());
    };
    let preview = http.post_with(&format!("/v1/accounts/{account}/margin/preview"), &command, &pass)?;
    if args.node.json {
        outln!("{preview:#}");
    } else {
        for fill in rows(&preview, "fills") {
            let (lots, ticks) = (text(&fill["quantity_lots"]), text(&fill["price_ticks"]));
            outln!("would trade {lots} lots at {ticks} ticks for a fee of {}", show_quote(&fill["fee_quote_micros"]));
        }
        outln!("would rest {} lots", text(&preview["resting_lots"]));
        show([("before".to_owned(), &preview["before"]), ("after".to_owned(), &preview["after"])].into_iter());
    }
    if preview["is_accepted"] == true { Ok(()) } else { Err(http::refusal(&preview["refusal"])) }
}

/// The command to preview, in the words of the interface.
fn previewed(args: &MarginArgs) -> Option<Value> {
    if let Some(amount) = args.withdraw {
        let amount = amount.micros().to_string();
        let request =
            json!({ "segment": args.segment, "amount_quote_micros": amount, "chain": 1, "destination": "00" });
        return Some(json!({ "request_withdrawal": request }));
    }
    let (market, side, lots) = (args.market?, args.side?, args.lots?);
    let kind = match args.price_ticks {
        Some(ticks) => json!({ "limit": { "price_ticks": ticks.to_string(), "time_in_force": "good_till_cancel" } }),
        None => json!({ "market": { "slippage_ppm_max": PREVIEW_SLIPPAGE_PPM } }),
    };
    let side = match side {
        PreviewSide::Bid => "bid",
        PreviewSide::Ask => "ask",
    };
    Some(json!({ "place_order": {
        "market": market, "side": side, "kind": kind, "quantity_lots": lots.to_string(), "self_trade": "cancel_resting",
    } }))
}

fn show<'a>(standings: impl Iterator<Item = (String, &'a Value)>) {
    let mut shown = table(["", "equity", "counts", "initial", "free", "maintenance", "withdrawable", "young profit"]);
    for (name, standing) in standings {
        let quote = |field: &str| show_quote(&standing[format!("{field}_quote_micros")]);
        shown.add_row([
            name,
            quote("equity"),
            quote("counted_equity"),
            quote("initial"),
            quote("free"),
            quote("maintenance"),
            quote("withdrawable"),
            quote("young_profit"),
        ]);
    }
    outln!("{shown}");
}

const PREVIEW_SLIPPAGE_PPM: u32 = 10_000;
