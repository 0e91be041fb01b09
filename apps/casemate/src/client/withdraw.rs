//! `casemate withdraw` and `casemate exit`: ask for money to leave, and for principal to leave by the slow way.

use casemate_api_http::values::HexBytes;
use casemate_protocol::command::{OutsideReference, RequestWithdrawal};
use casemate_protocol::limits::OUTSIDE_REFERENCE_BYTES_MAX;
use casemate_protocol::{BoundedVec, Command, QuoteMicros, SegmentId};
use serde_json::Value;

use super::amount::{parse_quote, show_quote};
use super::signing::SignerArgs;
use super::{NodeUrl, rows, show_receipt_and, table, text};
use crate::error::CliError;

/// Arguments of `withdraw`.
#[derive(clap::Args, Debug)]
pub struct WithdrawArgs {
    #[command(flatten)]
    root: SignerArgs,
    /// How much, in quote.
    #[arg(long, value_parser = parse_quote, value_name = "QUOTE")]
    amount: QuoteMicros,
    /// The segment that pays.
    #[arg(long, default_value = "1")]
    segment: u16,
    /// Outside chain.
    #[arg(long, default_value = "1")]
    chain: u32,
    /// Payout address on it, in hexadecimal.
    #[arg(long, value_name = "HEX", value_parser = parse_destination)]
    destination: OutsideReference,
    #[command(flatten)]
    node: NodeUrl,
}

/// An address of some outside chain, in hexadecimal.
///
/// # Errors
/// What was expected.
pub fn parse_destination(digits: &str) -> Result<OutsideReference, String> {
    let bytes: Option<HexBytes> = serde_json::from_value(Value::from(digits)).ok();
    let expected = || format!("up to {OUTSIDE_REFERENCE_BYTES_MAX} bytes in hexadecimal");
    bytes.and_then(|HexBytes(bytes)| BoundedVec::new(bytes)).ok_or_else(expected)
}

/// Runs `withdraw`.
///
/// # Errors
/// The node's refusal, or no node.
pub fn run(args: &WithdrawArgs) -> Result<(), CliError> {
    ask(args, Command::RequestWithdrawal)
}

/// Runs `exit`.
///
/// # Errors
/// The node's refusal, or no node.
pub fn exit(args: &WithdrawArgs) -> Result<(), CliError> {
    ask(args, Command::RequestPrincipalExit)
}

fn ask(args: &WithdrawArgs, way: fn(Box<RequestWithdrawal>) -> Command) -> Result<(), CliError> {
    let http = args.node.connect()?;
    let (identity, account) = args.root.identity(&http)?;
    let request = RequestWithdrawal {
        segment: SegmentId::new(args.segment),
        amount: args.amount,
        chain: args.chain,
        destination: args.destination.clone(),
    };
    let receipt = identity.submit(&http, way(Box::new(request)))?;
    let mut moves = Value::Null;
    let newest = || {
        moves = http.get_with(&format!("/v1/accounts/{}/moves", account["account"]), &identity.pass(&http)?)?;
        let of_segment = rows(&moves, "withdrawals").filter(|withdrawal| withdrawal["segment"] == args.segment);
        let number = of_segment.filter_map(|withdrawal| withdrawal["number"].as_u64()).max();
        Ok(number.map_or(Value::Null, Value::from))
    };
    show_receipt_and(&receipt, args.node.json, "withdrawal", newest)?;
    if args.node.json {
        return Ok(());
    }
    let mut waiting = table(["segment", "withdrawal", "amount", "way", "due (waiting clock, ms)"]);
    for withdrawal in rows(&moves, "withdrawals") {
        waiting.add_row([
            text(&withdrawal["segment"]),
            text(&withdrawal["number"]),
            show_quote(&withdrawal["amount_quote_micros"]),
            (if withdrawal["is_principal_exit"] == true { "slow exit" } else { "ordinary" }).to_owned(),
            text(&withdrawal["due_waiting_ms"]),
        ]);
    }
    outln!("{waiting}");
    Ok(())
}
