//! `casemate grant`: what a root key lets a session key do.

use casemate_protocol::command::RevokeGrant;
use casemate_protocol::grant::{ActionSet, GrantTerms, MarketScope};
use casemate_protocol::{BoundedVec, Command, GrantNumber, MarketId, QuoteMicros, TimeMs};
use clap::Subcommand;

use super::amount::parse_quote;
use super::signing::{SignerArgs, now_ms, public_key_argument};
use super::{NodeUrl, show_receipt};
use crate::error::CliError;

/// What can be done with grants.
#[derive(Subcommand, Debug)]
pub enum GrantCommand {
    /// Registers a session key for trading.
    Create {
        #[command(flatten)]
        root: SignerArgs,
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
        /// Most commands per minute.
        #[arg(long, default_value = "600")]
        commands_per_minute: u32,
        /// Hours until it ends.
        #[arg(long, default_value = "24")]
        hours: u64,
        /// This market only; may be given several times. All markets if not given.
        #[arg(long = "market", value_name = "MARKET")]
        markets: Vec<u16>,
        #[command(flatten)]
        node: NodeUrl,
    },
    /// Ends a grant now and cancels its resting orders.
    Revoke {
        #[command(flatten)]
        root: SignerArgs,
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
        GrantCommand::Create { root, session_key, notional, loss, commands_per_minute, hours, markets, node } => {
            let http = node.connect()?;
            let (identity, account) = root.identity(&http)?;
            let number = account["grant_number_next"].as_u64().and_then(|number| u32::try_from(number).ok());
            let number = GrantNumber::new(number.ok_or_else(|| CliError::defect("the node names no grant number"))?);
            let markets = match markets.as_slice() {
                [] => MarketScope::All,
                named => {
                    MarketScope::Only(BoundedVec::new(named.iter().copied().map(MarketId::new).collect()).ok_or_else(
                        || CliError::new("a grant names at most 16 markets", "name fewer, or none for all of them"),
                    )?)
                }
            };
            let now_ms = now_ms(&http)?;
            let terms = GrantTerms {
                number,
                parent: GrantNumber::NONE,
                session_key: public_key_argument(session_key)?,
                actions: ActionSet::TRADING,
                markets,
                notional_quote_micros_max: *notional,
                loss_quote_micros_max: loss.unwrap_or(*notional),
                commands_per_minute_max: *commands_per_minute,
                expires_ms: TimeMs::from_ms(now_ms.saturating_add(hours.saturating_mul(HOUR_MS))),
                register_before_ms: TimeMs::from_ms(now_ms.saturating_add(REGISTER_WITHIN_MS)),
            };
            let receipt = identity.submit(&http, Command::RegisterGrant(Box::new(terms)))?;
            show_receipt(&receipt, node.json)?;
            if !node.json {
                outln!("grant {number} is live for {hours} hours");
            }
            Ok(())
        }
        GrantCommand::Revoke { root, number, node } => {
            let http = node.connect()?;
            let (identity, _) = root.identity(&http)?;
            let revoke = RevokeGrant { number: GrantNumber::new(*number) };
            show_receipt(&identity.submit(&http, Command::RevokeGrant(revoke))?, node.json)
        }
    }
}

const HOUR_MS: u64 = 3_600_000;
/// The terms are sent at once, so they need not stay good for long.
const REGISTER_WITHIN_MS: u64 = 600_000;
