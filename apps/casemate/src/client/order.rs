//! `casemate order`: places and cancels.

use casemate_protocol::command::{
    CancelAllOrders, CancelOrder, CancelScope, LimitTerms, MarketTerms, OrderKind, OrderReference, PlaceOrder,
    SelfTradeMode, Side, TimeInForce,
};
use casemate_protocol::{ClientOrderId, Command, MarketId, OrderNumber, PriceTicks, QuantityLots, RatioPpm};
use clap::{Subcommand, ValueEnum};

use super::signing::{SignerArgs, random};
use super::{NodeUrl, show_receipt};
use crate::error::CliError;

/// What can be done with orders.
#[derive(Subcommand, Debug)]
pub enum OrderCommand {
    /// Places an order.
    Place(PlaceArgs),
    /// Cancels one resting order, or all of a market.
    Cancel(CancelArgs),
}

/// Arguments of `order place`.
#[derive(clap::Args, Debug)]
pub struct PlaceArgs {
    #[command(flatten)]
    signer: SignerArgs,
    /// The market.
    #[arg(long)]
    market: u16,
    /// Buy or sell.
    #[arg(long)]
    side: SideArgument,
    /// How many lots.
    #[arg(long)]
    lots: u64,
    /// Worst price of a limit order, in ticks.
    #[arg(long, required_unless_present = "slippage_ppm", conflicts_with = "slippage_ppm")]
    price_ticks: Option<u64>,
    /// Makes it a market order: furthest from the best opposite price, in parts per million.
    #[arg(long)]
    slippage_ppm: Option<u32>,
    /// How long a limit order stands.
    #[arg(long, default_value = "good-till-cancel", conflicts_with = "slippage_ppm")]
    time_in_force: Standing,
    /// Your name for it, to cancel it by; drawn at random if not given.
    #[arg(long)]
    client_id: Option<u64>,
    /// May only bring the position closer to zero.
    #[arg(long)]
    reduce_only: bool,
    #[command(flatten)]
    node: NodeUrl,
}

/// Arguments of `order cancel`.
#[derive(clap::Args, Debug)]
pub struct CancelArgs {
    #[command(flatten)]
    signer: SignerArgs,
    /// The market.
    #[arg(long)]
    market: u16,
    #[command(flatten)]
    which: Which,
    #[command(flatten)]
    node: NodeUrl,
}

/// Which orders.
#[derive(clap::Args, Debug)]
#[group(required = true, multiple = false)]
pub struct Which {
    /// By your name for it.
    #[arg(long)]
    client_id: Option<u64>,
    /// By its number in the segment.
    #[arg(long)]
    number: Option<u64>,
    /// All of the account in the market.
    #[arg(long)]
    all: bool,
}

/// A side of the book.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum SideArgument {
    /// Buys.
    Bid,
    /// Sells.
    Ask,
}

/// How long a limit order stands.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum Standing {
    /// Until filled or cancelled.
    GoodTillCancel,
    /// What can trade now; the rest is dropped.
    ImmediateOrCancel,
    /// Whole now or not at all.
    FillOrKill,
    /// Never takes: refused if it would.
    PostOnly,
    /// Never takes: moved to where it rests.
    PostOnlySlide,
}

/// Runs an `order` command.
///
/// # Errors
/// The node's refusal, or no node.
pub fn run(command: &OrderCommand) -> Result<(), CliError> {
    match command {
        OrderCommand::Place(args) => place(args),
        OrderCommand::Cancel(args) => cancel(args),
    }
}

fn place(args: &PlaceArgs) -> Result<(), CliError> {
    let http = args.node.connect()?;
    let kind = match (args.price_ticks, args.slippage_ppm) {
        (Some(price), _) => OrderKind::Limit(LimitTerms {
            price: PriceTicks::from_ticks(price),
            time_in_force: match args.time_in_force {
                Standing::GoodTillCancel => TimeInForce::GoodTillCancel,
                Standing::ImmediateOrCancel => TimeInForce::ImmediateOrCancel,
                Standing::FillOrKill => TimeInForce::FillOrKill,
                Standing::PostOnly => TimeInForce::PostOnly,
                Standing::PostOnlySlide => TimeInForce::PostOnlySlide,
            },
        }),
        (None, Some(ppm)) => OrderKind::Market(MarketTerms { slippage_ppm_max: RatioPpm::from_ppm(ppm) }),
        (None, None) => return Err(CliError::new("no price is named", "use --price-ticks or --slippage-ppm")),
    };
    let client_id = match args.client_id {
        Some(client_id) => client_id,
        // Below 2^53, so that every reader can write it as a number.
        None => u64::from_le_bytes(random::<8>()?) >> 11,
    };
    let order = PlaceOrder {
        market: MarketId::new(args.market),
        side: match args.side {
            SideArgument::Bid => Side::Bid,
            SideArgument::Ask => Side::Ask,
        },
        kind,
        quantity: QuantityLots::from_lots(args.lots),
        client_id: ClientOrderId::new(client_id),
        is_reduce_only: args.reduce_only,
        self_trade: SelfTradeMode::CancelResting,
    };
    let (identity, _) = args.signer.identity(&http)?;
    show_receipt(&identity.submit(&http, Command::PlaceOrder(order))?, args.node.json)?;
    if !args.node.json {
        outln!("client id {client_id}");
    }
    Ok(())
}

fn cancel(args: &CancelArgs) -> Result<(), CliError> {
    let http = args.node.connect()?;
    let market = MarketId::new(args.market);
    let order = match (args.which.client_id, args.which.number) {
        (Some(client_id), _) => Some(OrderReference::Client(ClientOrderId::new(client_id))),
        (None, Some(number)) => Some(OrderReference::Number(OrderNumber::new(number))),
        (None, None) => None,
    };
    let command = match order {
        Some(order) => Command::CancelOrder(CancelOrder { market, order }),
        None => Command::CancelAllOrders(CancelAllOrders { scope: CancelScope::Market(market) }),
    };
    let (identity, _) = args.signer.identity(&http)?;
    show_receipt(&identity.submit(&http, command)?, args.node.json)
}
