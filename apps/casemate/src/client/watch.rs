//! `casemate watch`: prints a stream, one message per line, until it is told to stop.

use std::net::{TcpStream, ToSocketAddrs as _};
use std::time::Duration;

use clap::ValueEnum;
use serde_json::{Value, json};
use tungstenite::client::IntoClientRequest as _;
use tungstenite::http::HeaderValue;
use tungstenite::{Message, WebSocket};

use super::amount::show_quote;
use super::http::{Http, refusal};
use super::reading::{Pass, ReaderArgs};
use super::{NodeUrl, rows, text};
use crate::error::CliError;

/// Arguments of `watch`.
#[derive(clap::Args, Debug)]
pub struct WatchArgs {
    /// What to watch.
    channel: WatchedChannel,
    /// The market of `book` and `trades`.
    #[arg(long)]
    market: Option<u16>,
    /// Of `account`: which, and with which key.
    #[command(flatten)]
    whose: ReaderArgs,
    /// The last sequence that you have: shows what came since.
    #[arg(long, value_name = "SEQUENCE")]
    after: Option<u64>,
    /// Ends after so many messages.
    #[arg(long)]
    count: Option<u64>,
    #[command(flatten)]
    node: NodeUrl,
}

/// A channel of the stream.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum WatchedChannel {
    /// Every block.
    Blocks,
    /// Moves of breakers.
    Breakers,
    /// Liquidations of all markets.
    Liquidations,
    /// A book by level.
    Book,
    /// Trades of a market.
    Trades,
    /// What happens to an account.
    Account,
}

/// Runs `watch`.
///
/// # Errors
/// The node's refusal, no node, or the stream ended before `--count` messages.
pub fn run(args: &WatchArgs) -> Result<(), CliError> {
    let http = args.node.connect()?;
    let mine = match args.channel {
        WatchedChannel::Account => Some(args.whose.open(&http)?),
        _ => None,
    };
    let (account, mut pass) = mine.map_or((None, None), |(account, pass)| (Some(account), Some(pass)));
    let mut stream = open(&http, pass.as_ref())?;
    let channel = match args.channel {
        WatchedChannel::Blocks => "blocks",
        WatchedChannel::Breakers => "breakers",
        WatchedChannel::Liquidations => "liquidations",
        WatchedChannel::Book => "book",
        WatchedChannel::Trades => "trades",
        WatchedChannel::Account => "account",
    };
    let request = json!({
        "op": "subscribe", "channel": channel, "market": args.market, "account": account, "after": args.after,
    });
    stream.send(Message::text(request.to_string())).map_err(|error| broken(&error))?;
    let mut shown = 0;
    while args.count.is_none_or(|count| shown < count) {
        // The node pings several times a minute, so this comes round in time however little happens.
        if let Some(old) = pass.as_mut().filter(|pass| pass.is_old()) {
            *old = args.whose.renew(&http)?;
            let shown = json!({ "op": "authorize", "pass": old.text() });
            stream.send(Message::text(shown.to_string())).map_err(|error| broken(&error))?;
        }
        match stream.read().map_err(|error| broken(&error))? {
            Message::Text(message) => {
                let message: Value = serde_json::from_str(&message)
                    .map_err(|_error| CliError::defect("the node sends something that is not JSON"))?;
                if message["channel"] == "error" {
                    return Err(refusal(&message["error"]));
                }
                if message["channel"] == "authorized" {
                    continue;
                }
                if args.node.json {
                    outln!("{message}");
                } else {
                    show(&message);
                }
                shown += 1;
            }
            Message::Close(frame) => {
                let reason = frame.map_or_else(String::new, |frame| format!(": {}", frame.reason));
                return Err(CliError::new(format!("the node ended the stream{reason}"), RESUME_HINT));
            }
            _ => {}
        }
    }
    // The node need not hear of it; it notices.
    let _ = stream.close(None);
    Ok(())
}

fn open(http: &Http, pass: Option<&Pass>) -> Result<WebSocket<TcpStream>, CliError> {
    let host = http.host();
    let no_node = |error: &dyn std::fmt::Display| {
        CliError::new(
            format!("no stream from `{host}`: {error}"),
            "check that a node runs there, or name it with --url",
        )
    };
    let with_port = if host.contains(':') { host.to_owned() } else { format!("{host}:80") };
    let address = with_port.to_socket_addrs().map_err(|error| no_node(&error))?.next();
    let address = address.ok_or_else(|| no_node(&"the name has no address"))?;
    let socket = TcpStream::connect_timeout(&address, CONNECT_WAIT_MAX).map_err(|error| no_node(&error))?;
    let mut request = format!("ws://{host}/v1/stream").into_client_request().map_err(|error| no_node(&error))?;
    if let Some(pass) = pass {
        // Letters of base64url and one space.
        let header = HeaderValue::from_str(&pass.header()).map_err(|error| no_node(&error))?;
        request.headers_mut().insert("authorization", header);
    }
    let (stream, _) = tungstenite::client(request, socket).map_err(|error| no_node(&error))?;
    Ok(stream)
}

fn broken(error: &tungstenite::Error) -> CliError {
    CliError::new(format!("the stream broke: {error}"), RESUME_HINT)
}

fn show(message: &Value) {
    let gap =
        if message["has_gap"] == true { ", with a gap before it: read the resource for what is missing" } else { "" };
    outln!("{} {} at {}{gap}", text(&message["channel"]), text(&message["kind"]), message["sequence"]);
    for (side, name) in [("bid", "bids"), ("ask", "asks")] {
        for level in rows(message, name) {
            outln!("  {side} {} ticks: {} lots", text(&level["price_ticks"]), text(&level["quantity_lots"]));
        }
    }
    for trade in rows(message, "trades") {
        let (lots, ticks) = (text(&trade["quantity_lots"]), text(&trade["price_ticks"]));
        outln!("  trade {}: {lots} lots at {ticks} ticks, taker {}", trade["number"], text(&trade["taker_side"]));
    }
    for block in rows(message, "blocks") {
        outln!(
            "  block {}: {} envelopes, state root {}",
            block["height"],
            block["envelope_count"],
            text(&block["state_root"])
        );
    }
    for moved in rows(message, "moves") {
        let (from, to, cause) = (text(&moved["from"]), text(&moved["to"]), text(&moved["cause"]));
        outln!("  block {}: segment {} from {from} to {to}: {cause}", moved["height"], moved["segment"]);
    }
    for it in rows(message, "liquidations") {
        let place = match it["market"].as_u64() {
            Some(market) => format!("market {market}"),
            None => format!("segment {}", it["segment"]),
        };
        let (step, amount) = (text(&it["step"]).replace('_', " "), show_quote(&it["amount_quote_micros"]));
        outln!("  block {}: {place}: {step}, {amount}", it["height"]);
    }
    for event in rows(message, "events") {
        outln!("  {event}");
    }
}

const CONNECT_WAIT_MAX: Duration = Duration::from_secs(5);
const RESUME_HINT: &str = "watch again with --after and the last sequence that you have";
