//! `casemate root-key`: changing the key that an account belongs to.

use std::path::PathBuf;

use casemate_node::development_keys::{parse_public_key, read_key_file};
use casemate_protocol::command::ChangeRootKey;
use casemate_protocol::{Command, PublicKey};
use clap::Subcommand;

use super::http::Http;
use super::reading::{Pass, ReaderArgs};
use super::signing::{Identity, SignerArgs, account_with};
use super::{NodeUrl, rows, show_receipt, text};
use crate::error::CliError;

/// What can be done with the root key.
#[derive(Subcommand, Debug)]
pub enum RootKeyCommand {
    /// Announces another root key; it can take over once the delay of the chain has passed.
    Change {
        #[command(flatten)]
        root: SignerArgs,
        /// The new key's public half, as `casemate keys show` says it.
        #[arg(long, value_name = "KEY", value_parser = parse_key)]
        new_key: PublicKey,
        #[command(flatten)]
        node: NodeUrl,
    },
    /// Takes the announcement back.
    Cancel {
        #[command(flatten)]
        root: SignerArgs,
        #[command(flatten)]
        node: NodeUrl,
    },
    /// The announced key takes over: it signs that itself. All sessions end.
    Accept {
        /// File of the new key.
        #[arg(long, value_name = "FILE")]
        key: PathBuf,
        /// The account.
        #[arg(long)]
        account: u64,
        #[command(flatten)]
        node: NodeUrl,
    },
    /// Shows the root key, the one that is announced, and those before.
    Show {
        #[command(flatten)]
        whose: ReaderArgs,
        #[command(flatten)]
        node: NodeUrl,
    },
}

fn parse_key(text: &str) -> Result<PublicKey, String> {
    parse_public_key(text).ok_or_else(|| {
        "expected a public key: `ed25519:` and 64 hexadecimal digits, `secp256k1:0x` and 40, or `p256:` and 64"
            .to_owned()
    })
}

/// Runs a `root-key` command.
///
/// # Errors
/// The node's refusal, or no node.
pub fn run(command: &RootKeyCommand) -> Result<(), CliError> {
    match command {
        RootKeyCommand::Change { root, new_key, node } => {
            ask(root, node, Command::ChangeRootKey(ChangeRootKey { key: *new_key }))
        }
        RootKeyCommand::Cancel { root, node } => ask(root, node, Command::CancelRootKeyChange),
        RootKeyCommand::Accept { key, account, node } => {
            let http = node.connect()?;
            let key = read_key_file(key)?;
            // Shown to it once it may take over, which says what it waits for until then.
            let shown = account_with(&http, &key, *account)?;
            let identity = Identity::announced(key, &shown)?;
            show_receipt(&identity.submit(&http, Command::AcceptRootKey)?, node.json)?;
            show_unless_json(&http, *account, &identity, node)
        }
        RootKeyCommand::Show { whose, node } => {
            let http = node.connect()?;
            let (account, pass) = whose.open(&http)?;
            show(&http, account, &pass, node.json)
        }
    }
}

fn ask(root: &SignerArgs, node: &NodeUrl, command: Command) -> Result<(), CliError> {
    let http = node.connect()?;
    let (identity, account) = root.identity(&http)?;
    show_receipt(&identity.submit(&http, command)?, node.json)?;
    account["account"].as_u64().map_or(Ok(()), |account| show_unless_json(&http, account, &identity, node))
}

fn show_unless_json(http: &Http, account: u64, identity: &Identity, node: &NodeUrl) -> Result<(), CliError> {
    if node.json { Ok(()) } else { show(http, account, &identity.pass(http)?, false) }
}

fn show(http: &Http, account: u64, pass: &Pass, is_json: bool) -> Result<(), CliError> {
    let account = http.get_with(&format!("/v1/accounts/{account}"), pass)?;
    let safeguards = &account["safeguards"];
    if is_json {
        let keys = serde_json::json!({
            "root_key": account["root_key"],
            "announced_root_key": safeguards["announced_root_key"],
            "former_root_keys": safeguards["former_root_keys"].as_array().cloned().unwrap_or_default(),
        });
        outln!("{keys:#}");
        return Ok(());
    }
    outln!("root key {}", text(&account["root_key"]));
    let announced = &safeguards["announced_root_key"];
    if announced.is_object() {
        let (ready, now) = (&announced["ready_waiting_ms"], &safeguards["waiting_ms"]);
        outln!("announced {}: can take over at {} ms, it is {}", text(&announced["key"]), text(ready), text(now));
    }
    for key in rows(safeguards, "former_root_keys") {
        outln!("before {}", text(key));
    }
    Ok(())
}
