//! The casemate command: makes and checks genesis files and keys, runs an embedded node, talks to a running one, shows and
//! proves what a folder holds, runs a development venue, replays recorded order flow, recorded prices and scenarios, evaluates
//! conduct, and measures.
//!
//! Standard output is data, standard error is for people. Exit code 0 is success, 1 a failure that is told with a hint,
//! 2 wrong usage.

#![cfg_attr(not(test), deny(clippy::print_stdout))]

#[macro_use]
mod output;

mod bench;
mod client;
mod conduct;
mod error;
mod genesis;
mod inspect;
mod keys;
mod node;
mod order_flow;
mod policy;
mod price_replay;
mod replay;
mod scenario_replay;
mod up;
mod verdict;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use error::CliError;

/// A zero-trust clearing engine for crypto derivatives.
#[derive(Parser, Debug)]
#[command(name = "casemate", version, arg_required_else_help = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand, Debug)]
enum Command {
    /// Runs a development venue with everybody who makes one, and a page to look at it.
    Up(up::UpArgs),
    /// Makes and checks genesis files.
    #[command(subcommand)]
    Genesis(genesis::GenesisCommand),
    /// Makes and shows keys.
    #[command(subcommand)]
    Keys(keys::KeysCommand),
    /// Runs a node on a data folder; serves HTTP, or reads envelopes from standard input and writes receipts.
    Node(node::NodeArgs),
    /// Opens and shows accounts of a running node.
    #[command(subcommand)]
    Account(client::account::AccountCommand),
    /// Shows an account's positions.
    Positions(client::account::PositionsArgs),
    /// States a deposit as the attestors of a development chain.
    Deposit(client::deposit::DepositArgs),
    /// Registers and revokes session keys.
    #[command(subcommand)]
    Grant(client::grant::GrantCommand),
    /// Signs a read pass for other programs, such as `curl -H "Authorization: Casemate PASS"`.
    ReadPass(client::reading::ReadPassArgs),
    /// Places and cancels orders.
    #[command(subcommand)]
    Order(client::order::OrderCommand),
    /// Keeps the book of addresses that money may leave to.
    #[command(subcommand)]
    Payout(client::payout::PayoutCommand),
    /// Changes the key that an account belongs to.
    #[command(subcommand)]
    RootKey(client::root_key::RootKeyCommand),
    /// Names the accounts that can recover an account.
    #[command(subcommand)]
    Guardians(client::guardians::GuardiansCommand),
    /// Recovers or freezes an account that one guards; stops a recovery of one's own.
    #[command(subcommand)]
    Recovery(client::guardians::RecoveryCommand),
    /// Asks for money to leave.
    Withdraw(client::withdraw::WithdrawArgs),
    /// Asks for principal to leave by the slow way, which no breaker short of Halted holds up.
    Exit(client::withdraw::WithdrawArgs),
    /// Signs again for a withdrawal or transfer that is held back, with a key that policies take as stronger evidence.
    Evidence(client::evidence::EvidenceArgs),
    /// Shows what an account has and needs, or what an order or withdrawal would do about it.
    Margin(client::margin::MarginArgs),
    /// Shows what holds segments back.
    Breakers(client::breakers::BreakersArgs),
    /// Proposes as an officer that a breaker moves to a looser state.
    Propose(client::breakers::ProposeArgs),
    /// Approves a proposal as an officer.
    Approve(client::officers::ApproveArgs),
    /// Prints a stream of a running node.
    Watch(client::watch::WatchArgs),
    /// Shows what a data folder holds, with proofs checked.
    #[command(subcommand)]
    Inspect(inspect::InspectCommand),
    /// Runs recorded order flow, recorded prices or scenarios through the engine.
    Replay(replay::ReplayArgs),
    /// Evaluates the detectors of conduct on recorded and injected manipulation, and contests what they inferred.
    #[command(subcommand)]
    Conduct(conduct::ConductCommand),
    /// Checks, compares and explains policies.
    #[command(subcommand)]
    Policy(policy::PolicyCommand),
    /// Measures the engine against bare signature verification.
    Bench(bench::BenchArgs),
}

fn main() -> ExitCode {
    let done = match Cli::parse().command {
        Command::Up(args) => up::run(&args),
        Command::Genesis(command) => genesis::run(&command),
        Command::Keys(command) => keys::run(&command),
        Command::Node(args) => node::run(&args),
        Command::Account(command) => client::account::run(&command),
        Command::Positions(args) => client::account::positions(&args),
        Command::Deposit(args) => client::deposit::run(&args),
        Command::Grant(command) => client::grant::run(&command),
        Command::ReadPass(args) => client::reading::run(&args),
        Command::Order(command) => client::order::run(&command),
        Command::Payout(command) => client::payout::run(&command),
        Command::RootKey(command) => client::root_key::run(&command),
        Command::Guardians(command) => client::guardians::run_guardians(&command),
        Command::Recovery(command) => client::guardians::run_recovery(&command),
        Command::Withdraw(args) => client::withdraw::run(&args),
        Command::Exit(args) => client::withdraw::exit(&args),
        Command::Evidence(args) => client::evidence::run(&args),
        Command::Margin(args) => client::margin::run(&args),
        Command::Breakers(args) => client::breakers::run(&args),
        Command::Propose(args) => client::breakers::propose(&args),
        Command::Approve(args) => client::officers::approve(&args),
        Command::Watch(args) => client::watch::run(&args),
        Command::Inspect(command) => inspect::run(&command),
        Command::Replay(args) => replay::run(&args),
        Command::Conduct(command) => conduct::run(&command),
        Command::Policy(command) => policy::run(&command),
        Command::Bench(args) => bench::run(&args),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            report(&error);
            ExitCode::FAILURE
        }
    }
}

fn report(error: &CliError) {
    eprintln!("error: {error}");
    eprintln!("hint: {}", error.hint());
}
