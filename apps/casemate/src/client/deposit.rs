//! `casemate deposit`: states a deposit as the attestors of a development chain, whose keys derive from a public seed.

use casemate_node::development_keys::{attestor_key, public_key, public_key_text};
use casemate_node::genesis_file::DEVELOPMENT_SEED;
use casemate_protocol::command::{Beneficiary, DepositClaim};
use casemate_protocol::{AccountId, AssetId, BoundedVec, Command, QuoteMicros, SegmentId};
use serde_json::Value;

use super::amount::parse_quote;
use super::http::Http;
use super::signing::{Identity, account_with, public_key_argument, random};
use super::{NodeUrl, rows, show_receipt};
use crate::error::CliError;

/// Arguments of `deposit`.
#[derive(clap::Args, Debug)]
pub struct DepositArgs {
    /// How much, in quote.
    #[arg(long, value_parser = parse_quote, value_name = "QUOTE")]
    amount: QuoteMicros,
    /// To an open account.
    #[arg(long, required_unless_present = "root_key", conflicts_with = "root_key")]
    account: Option<u64>,
    /// To a root key that may open its account later: the key, or the file of it.
    #[arg(long, value_name = "KEY or FILE")]
    root_key: Option<String>,
    /// The segment whose vault holds it.
    #[arg(long, default_value = "1")]
    segment: u16,
    #[command(flatten)]
    node: NodeUrl,
}

/// Runs `deposit`.
///
/// # Errors
/// The chain is not a development chain with derived attestors, or the node refuses.
pub fn run(args: &DepositArgs) -> Result<(), CliError> {
    let http = args.node.connect()?;
    let chain = http.get("/v1/chain")?;
    if chain["is_development"] != true {
        return Err(CliError::new(
            "this is not a development chain: its deposits are stated by real attestors",
            "send money the way that the venue says",
        ));
    }
    let claim = claim(args, &chain)?;
    let quorum = usize::try_from(chain["attestor_quorum"].as_u64().unwrap_or_default()).unwrap_or(usize::MAX);
    let mut last = Value::Null;
    for (index, attestor) in (0..).zip(rows(&chain, "attestors").take(quorum)) {
        last = attest(&http, index, attestor, &claim)?;
        if last["commands"][0]["is_accepted"] != true {
            break;
        }
    }
    show_receipt(&last, args.node.json)?;
    if !args.node.json {
        outln!("{} deposited to segment {} by {quorum} attestors", args.amount, args.segment);
    }
    Ok(())
}

fn claim(args: &DepositArgs, chain: &Value) -> Result<DepositClaim, CliError> {
    let segment = rows(chain, "segments").find(|segment| segment["segment"] == args.segment).ok_or_else(|| {
        let count = rows(chain, "segments").count();
        CliError::new(format!("segment `{}` does not exist", args.segment), format!("name a segment from 1 to {count}"))
    })?;
    let asset = segment["asset"].as_u64().and_then(|asset| u16::try_from(asset).ok()).unwrap_or_default();
    let beneficiary = match (args.account, &args.root_key) {
        (Some(account), _) => Beneficiary::Account(AccountId::new(account)),
        (None, Some(key)) => Beneficiary::RootKey(public_key_argument(key)?),
        (None, None) => return Err(CliError::new("nobody is named", "use --account or --root-key")),
    };
    // Every call is a new deposit: its outside transaction is made up.
    let transaction = BoundedVec::new(random::<32>()?.to_vec()).unwrap_or_default();
    Ok(DepositClaim {
        chain: DEVELOPMENT_OUTSIDE_CHAIN,
        transaction,
        output: 0,
        asset: AssetId::new(asset),
        amount: args.amount,
        segment: SegmentId::new(args.segment),
        beneficiary,
    })
}

fn attest(http: &Http, index: u64, attestor: &Value, claim: &DepositClaim) -> Result<Value, CliError> {
    let key = attestor_key(&DEVELOPMENT_SEED, index);
    let named = attestor["root_key"].as_str().unwrap_or_default();
    if public_key_text(&public_key(&key)) != named {
        return Err(CliError::new(
            format!("attestor {} of this chain has a key of its own: `{named}`", index + 1),
            "deposits can be stated here only on chains of `casemate genesis init --dev`",
        ));
    }
    // Attestors of a development chain sign for everybody who has this command.
    for _ in 0..ATTEMPTS_MAX {
        let account = account_with(http, &key, attestor["account"].as_u64().unwrap_or_default())?;
        let identity = Identity::of(key, &account)?;
        let receipt = identity.submit_if_first(http, Command::AttestDeposit(Box::new(claim.clone())))?;
        if let Some(receipt) = receipt {
            return Ok(receipt);
        }
    }
    Err(CliError::new(
        format!("others used every nonce of attestor {} first, `{ATTEMPTS_MAX}` times", index + 1),
        "try again in a moment",
    ))
}

const ATTEMPTS_MAX: u32 = 20;

/// Nothing outside stands behind it.
const DEVELOPMENT_OUTSIDE_CHAIN: u32 = 1;
