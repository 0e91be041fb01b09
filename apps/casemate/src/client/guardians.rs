//! `casemate guardians` and `casemate recovery`: who can recover an account, and what they are at.

use casemate_node::development_keys::parse_public_key;
use casemate_protocol::command::{GuardianAct, GuardianSet, VoteAsGuardian};
use casemate_protocol::{AccountId, BoundedVec, Command, PublicKey};
use clap::Subcommand;
use serde_json::Value;

use super::http::Http;
use super::reading::{Pass, ReaderArgs};
use super::signing::{Identity, SignerArgs};
use super::{NodeUrl, rows, show_receipt, text};
use crate::error::CliError;

/// What can be done about guardians.
#[derive(Subcommand, Debug)]
pub enum GuardiansCommand {
    /// Announces other guardians; they guard once the delay of the chain has passed.
    Set {
        #[command(flatten)]
        root: SignerArgs,
        /// How many of them must agree; at least 2. Leave it and the guardians out for nobody.
        #[arg(long, value_name = "COUNT", default_value_t = 0)]
        threshold: u8,
        /// A guardian's account; once for each, at most nine.
        #[arg(long = "guardian", value_name = "ACCOUNT")]
        guardians: Vec<u64>,
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
    /// Shows who guards an account, who is to, and how they voted.
    Show {
        #[command(flatten)]
        whose: ReaderArgs,
        #[command(flatten)]
        node: NodeUrl,
    },
}

/// What guardians, and the owner, can do about a recovery.
#[derive(Subcommand, Debug)]
pub enum RecoveryCommand {
    /// A guardian votes for another root key. With the last vote needed a delay begins; then the key accepts.
    Vote {
        #[command(flatten)]
        ballot: Ballot,
        /// The new key's public half, as `casemate keys show` says it.
        #[arg(long, value_name = "KEY", value_parser = parse_key)]
        new_key: PublicKey,
    },
    /// A guardian votes that nothing leaves the account for a while.
    Freeze {
        #[command(flatten)]
        ballot: Ballot,
    },
    /// A guardian votes against the announced change of guardians.
    Stop {
        #[command(flatten)]
        ballot: Ballot,
    },
    /// The present root key stops the recovery; it can do so only so many times.
    Cancel {
        #[command(flatten)]
        root: SignerArgs,
        #[command(flatten)]
        node: NodeUrl,
    },
    /// Shows the recovery, the freeze and the votes.
    Show {
        #[command(flatten)]
        whose: ReaderArgs,
        #[command(flatten)]
        node: NodeUrl,
    },
}

/// Who votes about whom.
#[derive(clap::Args, Clone, Debug)]
pub struct Ballot {
    #[command(flatten)]
    guardian: SignerArgs,
    /// The account that is guarded.
    #[arg(long, value_name = "ACCOUNT")]
    of: u64,
    #[command(flatten)]
    node: NodeUrl,
}

fn parse_key(text: &str) -> Result<PublicKey, String> {
    parse_public_key(text).ok_or_else(|| "expected a public key, as `casemate keys show` says it".to_owned())
}

/// Runs a `guardians` command.
///
/// # Errors
/// The node's refusal, or no node.
pub fn run_guardians(command: &GuardiansCommand) -> Result<(), CliError> {
    match command {
        GuardiansCommand::Set { root, threshold, guardians, node } => {
            let accounts = BoundedVec::new(guardians.iter().copied().map(AccountId::new).collect())
                .ok_or_else(|| CliError::new("there are too many guardians", "name at most nine"))?;
            let set = GuardianSet { threshold: *threshold, accounts };
            ask(root, node, Command::SetGuardians(Box::new(set)))
        }
        GuardiansCommand::Cancel { root, node } => ask(root, node, Command::CancelGuardianChange),
        GuardiansCommand::Show { whose, node } => {
            let http = node.connect()?;
            let (account, pass) = whose.open(&http)?;
            show(&http, account, &pass, node.json)
        }
    }
}

/// Runs a `recovery` command.
///
/// # Errors
/// The node's refusal, or no node.
pub fn run_recovery(command: &RecoveryCommand) -> Result<(), CliError> {
    match command {
        RecoveryCommand::Vote { ballot, new_key } => ballot.cast(GuardianAct::Recover(*new_key)),
        RecoveryCommand::Freeze { ballot } => ballot.cast(GuardianAct::Freeze),
        RecoveryCommand::Stop { ballot } => ballot.cast(GuardianAct::StopChange),
        RecoveryCommand::Cancel { root, node } => ask(root, node, Command::CancelRecovery),
        RecoveryCommand::Show { whose, node } => {
            let http = node.connect()?;
            let (account, pass) = whose.open(&http)?;
            show(&http, account, &pass, node.json)
        }
    }
}

impl Ballot {
    fn cast(&self, act: GuardianAct) -> Result<(), CliError> {
        let http = self.node.connect()?;
        let (identity, _) = self.guardian.identity(&http)?;
        let vote = Command::VoteAsGuardian(VoteAsGuardian { account: AccountId::new(self.of), act });
        show_receipt(&identity.submit(&http, vote)?, self.node.json)?;
        if !self.node.json {
            outln!("voted; the votes about account {} are shown to whoever has a key of it", self.of);
        }
        Ok(())
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
    let guarding = &safeguards["guarding"];
    if is_json {
        let shown = serde_json::json!({
            "waiting_ms": safeguards["waiting_ms"],
            "announced_root_key": safeguards["announced_root_key"],
            "guarding": guarding,
        });
        outln!("{shown:#}");
        return Ok(());
    }
    if !guarding.is_object() {
        outln!("nobody guards the account");
        return Ok(());
    }
    outln!("waiting clock {} ms", text(&safeguards["waiting_ms"]));
    outln!("{}", guards(&guarding["guardians"]));
    let announced = &guarding["announced"];
    if announced.is_object() {
        outln!("announced, from {} ms: {}", text(&announced["due_waiting_ms"]), guards(&announced["guardians"]));
    }
    for vote in rows(guarding, "votes") {
        let until = text(&vote["lapses_waiting_ms"]);
        outln!("account {} votes until {until} ms: {}", text(&vote["guardian"]), vote["act"]);
    }
    let key = &safeguards["announced_root_key"];
    if guarding["is_recovery_under_way"] == true {
        outln!("recovery: {} can take over from {} ms", text(&key["key"]), text(&key["ready_waiting_ms"]));
    }
    if guarding["is_held"] == true {
        let [frozen, held] = ["frozen_until_waiting_ms", "held_until_waiting_ms"].map(|name| text(&guarding[name]));
        outln!("nothing leaves: frozen until {frozen} ms, held after a recovery until {held} ms");
    }
    Ok(())
}

fn guards(set: &Value) -> String {
    let accounts: Vec<String> = rows(set, "accounts").map(text).collect();
    if accounts.is_empty() {
        return "nobody guards the account".to_owned();
    }
    format!("any {} of accounts {} decide", text(&set["threshold"]), accounts.join(", "))
}
