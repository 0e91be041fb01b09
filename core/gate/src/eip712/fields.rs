//! The type of each action: its name and its own fields, before those that every type has.

use core::fmt::Display;

use casemate_protocol::command::{
    AmendOrder, Beneficiary, CancelScope, Change, DepositClaim, GuardianAct, GuardianSet, OrderKind, OrderReference,
    OutsideReference, PlaceOrder, Propose, QuoteLadder, QuoteLevel, RequestTransfer, RequestWithdrawal, SelfTradeMode,
    SubmitPrice, TimeInForce, VoteAsGuardian, Waiting,
};
use casemate_protocol::grant::{ActionSet, GrantTerms, MarketScope};
use casemate_protocol::{Action, Command, MarketId, SegmentId, Side};

use super::time_text::time_text;
use super::{Field, Value};

/// The type's name, and the fields that say what is to be done.
pub(super) fn of_command(command: &Command) -> (&'static str, Vec<Field>) {
    match command {
        Command::OpenAccount => ("OpenAccount", Vec::new()),
        Command::CloseAccount(close) => ("CloseAccount", payout(close.chain, &close.destination).into()),
        Command::RegisterGrant(terms) => ("RegisterGrant", grant(terms)),
        Command::RevokeGrant(revoke) => ("RevokeGrant", vec![number("grant", revoke.number.number())]),
        Command::AddPayoutAddress(address) => ("AddPayoutAddress", payout(address.chain, &address.destination).into()),
        Command::RemovePayoutAddress(address) => {
            ("RemovePayoutAddress", payout(address.chain, &address.destination).into())
        }
        Command::ChangeRootKey(change) => ("ChangeRootKey", vec![text("newRootKey", change.key)]),
        Command::CancelRootKeyChange => ("CancelRootKeyChange", Vec::new()),
        Command::AcceptRootKey => ("AcceptRootKey", Vec::new()),
        Command::SetGuardians(set) => ("SetGuardians", guardians(set)),
        Command::CancelGuardianChange => ("CancelGuardianChange", Vec::new()),
        Command::VoteAsGuardian(vote) => ("VoteAsGuardian", guardian_vote(vote)),
        Command::CancelRecovery => ("CancelRecovery", Vec::new()),
        Command::AttestDeposit(claim) => ("AttestDeposit", deposit(claim)),
        Command::RequestWithdrawal(request) => ("RequestWithdrawal", withdrawal(request)),
        Command::RequestPrincipalExit(request) => ("RequestPrincipalExit", withdrawal(request)),
        Command::CancelWithdrawal(cancel) => {
            ("CancelWithdrawal", vec![number("withdrawal", cancel.number.number()), segment(cancel.segment)])
        }
        Command::RequestTransfer(request) => ("RequestTransfer", transfer(request)),
        Command::AddEvidence(added) => {
            let waiting = match added.waiting {
                Waiting::Withdrawal(number) => format!("withdrawal {number}"),
                Waiting::Transfer(number) => format!("transfer {number}"),
            };
            ("AddEvidence", vec![text("waiting", waiting), segment(added.segment)])
        }
        Command::CancelTransfer(cancel) => {
            ("CancelTransfer", vec![number("transfer", cancel.number.number()), segment(cancel.segment)])
        }
        Command::PlaceOrder(order) => ("PlaceOrder", place_order(order)),
        Command::AmendOrder(amend) => ("AmendOrder", amend_order(amend)),
        Command::CancelOrder(cancel) => ("CancelOrder", vec![market(cancel.market), reference(cancel.order)]),
        Command::CancelAllOrders(cancel) => ("CancelAllOrders", vec![scope(cancel.scope)]),
        Command::QuoteLadder(ladder) => ("QuoteLadder", quote_ladder(ladder)),
        Command::ContestLink(contest) => ("ContestLink", vec![segment(contest.segment)]),
        Command::SetDeadMan(set) => {
            ("SetDeadMan", vec![segment(set.segment), number("timeoutMs", set.timeout_ms.ms())])
        }
        Command::SubmitPrice(submit) => ("SubmitPrice", price(submit)),
        Command::Propose(propose) => ("Propose", proposal(propose)),
        Command::Approve(approve) => {
            ("Approve", vec![number("proposal", approve.number.number()), segment(approve.segment)])
        }
    }
}

fn payout(chain: u32, destination: &OutsideReference) -> [Field; 2] {
    [number("chain", chain), bytes("destination", destination.as_slice())]
}

fn guardians(set: &GuardianSet) -> Vec<Field> {
    let count = set.accounts.as_slice().len();
    let decide = if set.is_empty() { "nobody".to_owned() } else { format!("any {} of {count}", set.threshold) };
    vec![text("guardians", listed(set.accounts.iter())), text("decide", decide)]
}

fn guardian_vote(vote: &VoteAsGuardian) -> Vec<Field> {
    let (act, key) = match vote.act {
        GuardianAct::Recover(key) => ("give the account another root key", key.to_string()),
        GuardianAct::Freeze => ("let nothing leave the account for a while", "none".to_owned()),
        GuardianAct::StopChange => ("keep the guardians that there are", "none".to_owned()),
    };
    vec![number("guardedAccount", vote.account.number()), text("vote", act), text("newRootKey", key)]
}

fn withdrawal(request: &RequestWithdrawal) -> Vec<Field> {
    let [chain, destination] = payout(request.chain, &request.destination);
    vec![text("amount", request.amount), chain, destination, segment(request.segment)]
}

fn transfer(request: &RequestTransfer) -> Vec<Field> {
    vec![
        text("amount", request.amount),
        number("fromSegment", request.from.number()),
        number("toSegment", request.to.number()),
    ]
}

fn grant(terms: &GrantTerms) -> Vec<Field> {
    let markets = match &terms.markets {
        MarketScope::All => "all".to_owned(),
        MarketScope::Only(markets) => listed(markets.iter()),
    };
    vec![
        text("sessionKey", terms.session_key),
        text("actions", actions(terms.actions)),
        text("markets", markets),
        text("notionalMax", terms.notional_quote_micros_max),
        text("lossMax", terms.loss_quote_micros_max),
        number("commandsPerMinuteMax", terms.commands_per_minute_max),
        text("expires", time_text(terms.expires_ms)),
        text("registerBefore", time_text(terms.register_before_ms)),
        number("grant", terms.number.number()),
        number("parentGrant", terms.parent.number()),
    ]
}

fn deposit(claim: &DepositClaim) -> Vec<Field> {
    let beneficiary = match claim.beneficiary {
        Beneficiary::Account(account) => format!("account {account}"),
        Beneficiary::RootKey(key) => key.to_string(),
    };
    vec![
        text("amount", claim.amount),
        number("asset", claim.asset.number()),
        segment(claim.segment),
        text("beneficiary", beneficiary),
        number("chain", claim.chain),
        bytes("transaction", claim.transaction.as_slice()),
        number("output", claim.output),
    ]
}

fn proposal(propose: &Propose) -> Vec<Field> {
    let change = match &propose.change {
        Change::LeaveBreaker(leave) => format!("breaker from {} to {}", leave.from.name(), leave.to.name()),
        Change::AdoptPolicies(adopt) => {
            let (set, table, epoch) = (adopt.set.digest(), adopt.table, adopt.old_epoch);
            let class = if adopt.is_tightening { "tightening" } else { "loosening" };
            format!("policies {set} after epoch {epoch}, table {table}, {class}")
        }
    };
    vec![text("change", change), segment(propose.segment), text("expires", time_text(propose.expires_ms))]
}

fn place_order(order: &PlaceOrder) -> Vec<Field> {
    let price = match order.kind {
        OrderKind::Limit(limit) => format!("{} ticks", limit.price.ticks()),
        OrderKind::Market(market) => format!("market, at most {} ppm from the best", market.slippage_ppm_max.ppm()),
    };
    let stands = match order.kind {
        OrderKind::Market(_) => "now only".to_owned(),
        OrderKind::Limit(limit) => match limit.time_in_force {
            TimeInForce::GoodTillCancel => "until cancelled".to_owned(),
            TimeInForce::GoodTillTime(time) => format!("until {}", time_text(time)),
            TimeInForce::ImmediateOrCancel => "now only".to_owned(),
            TimeInForce::FillOrKill => "now and whole only".to_owned(),
            TimeInForce::PostOnly => "until cancelled, never taking".to_owned(),
            TimeInForce::PostOnlySlide => "until cancelled, never taking, moved if it must".to_owned(),
        },
    };
    let self_trade = match order.self_trade {
        SelfTradeMode::CancelResting => "cancel resting",
        SelfTradeMode::CancelArriving => "cancel arriving",
        SelfTradeMode::CancelBoth => "cancel both",
    };
    let side = match order.side {
        Side::Bid => "buy",
        Side::Ask => "sell",
    };
    vec![
        text("side", side),
        market(order.market),
        number("quantityLots", order.quantity.lots()),
        text("price", price),
        text("stands", stands),
        Field { name: "reduceOnly", value: Value::Flag(order.is_reduce_only) },
        text("selfTrade", self_trade),
        number("clientOrderId", order.client_id.number()),
    ]
}

fn quote_ladder(ladder: &QuoteLadder) -> Vec<Field> {
    let levels = |levels: &[QuoteLevel]| {
        listed(levels.iter().map(|level| format!("{} lots at {} ticks", level.quantity.lots(), level.price.ticks())))
    };
    vec![
        market(ladder.market),
        text("bids", levels(ladder.bids.as_slice())),
        text("asks", levels(ladder.asks.as_slice())),
    ]
}

fn amend_order(amend: &AmendOrder) -> Vec<Field> {
    vec![
        market(amend.market),
        reference(amend.order),
        number("quantityLots", amend.quantity.lots()),
        number("priceTicks", amend.price.ticks()),
    ]
}

fn price(submit: &SubmitPrice) -> Vec<Field> {
    vec![
        number("feed", submit.feed.number()),
        number("priceNanos", submit.price.nanos()),
        number("confidenceNanos", submit.confidence.nanos()),
        text("seen", time_text(submit.source_ms)),
    ]
}

fn scope(scope: CancelScope) -> Field {
    match scope {
        CancelScope::Market(market) => text("scope", format_args!("market {market}")),
        CancelScope::Segment(segment) => text("scope", format_args!("segment {segment}")),
    }
}

fn reference(order: OrderReference) -> Field {
    match order {
        OrderReference::Number(number) => text("order", format_args!("order {number}")),
        OrderReference::Client(id) => text("order", format_args!("client order {id}")),
    }
}

fn market(market: MarketId) -> Field {
    number("market", market.number())
}

fn segment(segment: SegmentId) -> Field {
    number("segment", segment.number())
}

/// The names of the actions in a set, and the numbers of those that have no name.
fn actions(set: ActionSet) -> String {
    let named = |number: u8| Action::ALL.into_iter().find(|action| action.number() == number);
    listed(set.numbers().map(|number| named(number).map_or_else(|| number.to_string(), |action| format!("{action:?}"))))
}

fn listed(items: impl Iterator<Item = impl Display>) -> String {
    let texts: Vec<String> = items.map(|item| item.to_string()).collect();
    if texts.is_empty() { "none".to_owned() } else { texts.join(", ") }
}

fn text(name: &'static str, text: impl Display) -> Field {
    Field { name, value: Value::Text(text.to_string()) }
}

fn number(name: &'static str, number: impl Into<u64>) -> Field {
    Field { name, value: Value::Number(number.into()) }
}

fn bytes(name: &'static str, bytes: &[u8]) -> Field {
    Field { name, value: Value::Bytes(bytes.to_vec()) }
}
