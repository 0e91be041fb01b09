//! `casemate grant`: what a root key lets a session key do, and a session another one.

use casemate_protocol::command::RevokeGrant;
use casemate_protocol::grant::{ActionSet, GrantTerms, MarketScope};
use casemate_protocol::{BoundedVec, Command, GrantNumber, MarketId, QuoteMicros, TimeMs};
use clap::Subcommand;
use serde_json::Value;

use super::amount::parse_quote;
use super::signing::{SignerArgs, now_ms, public_key_argument};
use super::{NodeUrl, rows, show_receipt};
use crate::error::CliError;

/// What can be done with grants.
#[derive(Subcommand, Debug)]
pub enum GrantCommand {
    /// Registers a session key for trading: with the root key, or as a child of another grant with that one's session key.
    Create {
        #[command(flatten)]
        signer: SignerArgs,
        /// The grant to carve it out of: rate and budgets are taken off it and never come back. A session key names its own.
        #[arg(long, value_name = "GRANT")]
        parent: Option<u32>,
        /// The session may register and revoke children of its own grant.
        #[arg(long)]
        may_share: bool,
        /// The session key, or the file of it.
        #[arg(long, value_name = "KEY or FILE")]
        session_key: String,
        /// Most notional over its whole life, in quote.
        #[arg(long, value_parser = parse_quote, value_name = "QUOTE")]
        notional: QuoteMicros,
        /// Most that its fills may cost against the index over its whole life, fees included; as much as the notional if
        /// not given.
        #[arg(long, value_parser = parse_quote, value_name = "QUOTE")]
        loss: Option<QuoteMicros>,
        /// Most commands per minute; 600 if not given, of a child 60.
        #[arg(long)]
        commands_per_minute: Option<u32>,
        /// Hours until it ends. If not given 24, or less if its parent ends before or the venue's regime allows no more.
        #[arg(long)]
        hours: Option<u64>,
        /// This market only; may be given several times. If not given, all markets that its parent reaches.
        #[arg(long = "market", value_name = "MARKET")]
        markets: Vec<u16>,
        #[command(flatten)]
        node: NodeUrl,
    },
    /// Ends a grant and its descendants now and cancels their resting orders.
    Revoke {
        #[command(flatten)]
        signer: SignerArgs,
        /// Its number in the account.
        #[arg(long)]
        number: u32,
        #[command(flatten)]
        node: NodeUrl,
    },
}

/// Runs a `grant` command.
///
/// # Errors
/// The node's refusal, or no node.
pub fn run(command: &GrantCommand) -> Result<(), CliError> {
    match command {
        GrantCommand::Create {
            signer,
            parent,
            may_share,
            session_key,
            notional,
            loss,
            commands_per_minute,
            hours,
            markets,
            node,
        } => {
            let http = node.connect()?;
            let (identity, account) = signer.identity(&http)?;
            let number = account["grant_number_next"].as_u64().and_then(|number| u32::try_from(number).ok());
            let number = GrantNumber::new(number.ok_or_else(|| CliError::defect("the node names no grant number"))?);
            let parent_row = parent.and_then(|parent| rows(&account, "grants").find(|row| row["number"] == parent));
            let now_ms = now_ms(&http)?;
            let expires_ms = expiry_ms(*hours, now_ms, &account, parent_row);
            let terms = GrantTerms {
                number,
                parent: parent.map_or(GrantNumber::NONE, GrantNumber::new),
                session_key: public_key_argument(session_key)?,
                actions: if *may_share { ActionSet::SESSION } else { ActionSet::TRADING },
                markets: market_scope(markets, parent_row)?,
                notional_quote_micros_max: *notional,
                loss_quote_micros_max: loss.unwrap_or(*notional),
                commands_per_minute_max: commands_per_minute.unwrap_or(if parent.is_some() { 60 } else { 600 }),
                expires_ms: TimeMs::from_ms(expires_ms),
                register_before_ms: TimeMs::from_ms(now_ms.saturating_add(REGISTER_WITHIN_MS)),
            };
            let minutes = expires_ms.saturating_sub(now_ms) / MINUTE_MS;
            let receipt = identity.submit(&http, Command::RegisterGrant(Box::new(terms)))?;
            show_receipt(&receipt, node.json)?;
            if !node.json {
                outln!("grant {number} is live for {} hours {} minutes", minutes / 60, minutes % 60);
            }
            Ok(())
        }
        GrantCommand::Revoke { signer, number, node } => {
            let http = node.connect()?;
            let (identity, _) = signer.identity(&http)?;
            let revoke = RevokeGrant { number: GrantNumber::new(*number) };
            show_receipt(&identity.submit(&http, Command::RevokeGrant(revoke))?, node.json)
        }
    }
}

/// The end asked for, or the latest that parent and regime allow within a day.
fn expiry_ms(hours: Option<u64>, now_ms: u64, account: &Value, parent: Option<&Value>) -> u64 {
    if let Some(hours) = hours {
        return now_ms.saturating_add(hours.saturating_mul(HOUR_MS));
    }
    let longest_ms = account["grant_lifetime_ms_max"].as_u64().unwrap_or(u64::MAX).min(24 * HOUR_MS);
    let parent_ends_ms = parent.and_then(|row| row["expires_ms"].as_u64()).unwrap_or(u64::MAX);
    now_ms.saturating_add(longest_ms).min(parent_ends_ms)
}

/// The markets named; without any those of the parent, and without a parent all.
fn market_scope(named: &[u16], parent: Option<&Value>) -> Result<MarketScope, CliError> {
    let number_of = |market: &Value| market.as_u64().and_then(|market| u16::try_from(market).ok());
    let inherited = || Some(parent?["markets"].as_array()?.iter().filter_map(number_of).collect());
    let numbers = if named.is_empty() { inherited() } else { Some(named.to_vec()) };
    let Some(numbers) = numbers else { return Ok(MarketScope::All) };
    let markets = BoundedVec::new(numbers.into_iter().map(MarketId::new).collect());
    let too_many = || CliError::new("a grant names at most 16 markets", "name fewer, or none for all of them");
    Ok(MarketScope::Only(markets.ok_or_else(too_many)?))
}

const MINUTE_MS: u64 = 60_000;
const HOUR_MS: u64 = 3_600_000;
/// The terms are sent at once, so they need not stay good for long.
const REGISTER_WITHIN_MS: u64 = 600_000;
