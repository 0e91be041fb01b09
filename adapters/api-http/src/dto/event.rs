//! Events as an account's own stream tells them.

mod safeguards;

use casemate_protocol::command::Waiting;
use casemate_protocol::conduct::{BandCause, Figure};
use casemate_protocol::event::{PassCause, PositionPassed, RemovalCause, TradeExecuted};
use casemate_protocol::policy::Tier;
use casemate_protocol::{AccountId, Event, OrderNumber, QuoteMicros, SegmentId, Side};
use serde::Serialize;
use utoipa::ToSchema;

use safeguards::{guardian_events, safeguard_event};

use super::envelope::{ChangeJson, GuardianActJson, GuardianSetJson, SideJson, WaitingJson, action_words};
use crate::values::{HexBytes, Int, KeyText, Signed, Unsigned};

/// Something that happened to an account.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(tag = "event", rename_all = "snake_case")]
#[expect(missing_docs, reason = "fields are named as in the protocol's events, where they are explained")]
pub enum AccountEventJson {
    AccountOpened {
        root_key: KeyText,
    },
    AccountClosed {
        bond_quote_micros: Signed,
    },
    GrantRegistered {
        grant: u32,
        /// The grant that it was carved out of; 0 if it stands by itself.
        parent: u32,
        session_key: KeyText,
        actions: Vec<super::envelope::ActionJson>,
        expires_ms: u64,
    },
    GrantRevoked {
        grant: u32,
    },
    PayoutAddressAdded {
        chain: u32,
        destination: HexBytes,
        usable_waiting_ms: u64,
    },
    PayoutAddressRemoved {
        chain: u32,
        destination: HexBytes,
        opens_waiting_ms: u64,
    },
    RootKeyChangeAnnounced {
        key: KeyText,
        ready_waiting_ms: u64,
    },
    RootKeyChangeCancelled {
        key: KeyText,
    },
    RootKeyChanged {
        key: KeyText,
    },
    GuardianChangeAnnounced {
        guardians: GuardianSetJson,
        due_waiting_ms: u64,
    },
    GuardianChangeCancelled {
        is_by_guardians: bool,
    },
    GuardiansChanged {
        guardians: GuardianSetJson,
    },
    /// Told to the guarded account and to the guardian.
    GuardianVoted {
        account: u64,
        guardian: u64,
        act: GuardianActJson,
        lapses_waiting_ms: u64,
    },
    /// Told to an account that guards another one from now on.
    GuardsAccount {
        account: u64,
    },
    RecoveryBegun {
        key: KeyText,
        ready_waiting_ms: u64,
    },
    RecoveryCancelled {
        key: KeyText,
        again_waiting_ms: u64,
    },
    AccountFrozen {
        until_waiting_ms: u64,
        again_waiting_ms: u64,
    },
    RecoveryCompleted {
        key: KeyText,
        held_until_waiting_ms: u64,
    },
    DepositCredited {
        segment: u16,
        amount_quote_micros: Signed,
        bond_quote_micros: Signed,
    },
    WithdrawalRequested {
        segment: u16,
        withdrawal: u64,
        amount_quote_micros: Signed,
    },
    LeavingHeld {
        segment: u16,
        waiting: WaitingJson,
        tier_required: Option<u8>,
        again_waiting_ms: u64,
    },
    EvidenceAdded {
        segment: u16,
        waiting: WaitingJson,
        tier: u8,
    },
    WithdrawalCancelled {
        segment: u16,
        withdrawal: u64,
    },
    WithdrawalReleased {
        segment: u16,
        withdrawal: u64,
    },
    TransferRequested {
        from: u16,
        transfer: u64,
        to: u16,
        amount_quote_micros: Signed,
    },
    TransferCancelled {
        from: u16,
        transfer: u64,
    },
    TransferReleased {
        from: u16,
        transfer: u64,
    },
    TransferArrived {
        from: u16,
        transfer: u64,
        to: u16,
        amount_quote_micros: Signed,
    },
    OrderRested {
        market: u16,
        order: u64,
        client_id: Unsigned,
        side: SideJson,
        price_ticks: Unsigned,
        quantity_lots: Unsigned,
    },
    OrderRemoved {
        market: u16,
        order: u64,
        quantity_lots: Unsigned,
        cause: &'static str,
    },
    OrderReduced {
        market: u16,
        order: u64,
        quantity_lots: Unsigned,
    },
    Filled {
        market: u16,
        trade: u64,
        order: u64,
        role: &'static str,
        side: SideJson,
        price_ticks: Unsigned,
        quantity_lots: Unsigned,
        fee_quote_micros: Signed,
    },
    DeadManSet {
        segment: u16,
        fires_ms: u64,
    },
    PrincipalExitRequested {
        segment: u16,
        withdrawal: u64,
        amount_quote_micros: Signed,
    },
    LiquidationStepped {
        segment: u16,
        equity_quote_micros: Signed,
        maintenance_quote_micros: Signed,
    },
    LiquidationSliced {
        market: u16,
        traded_quote_micros: Signed,
        fee_quote_micros: Signed,
    },
    PositionPassed {
        market: u16,
        role: &'static str,
        side: SideJson,
        quantity_lots: Unsigned,
        notional_quote_micros: Signed,
        cause: &'static str,
    },
    InsurancePaid {
        segment: u16,
        market: u16,
        amount_quote_micros: Signed,
    },
    LossUncovered {
        segment: u16,
        amount_quote_micros: Signed,
    },
    PriceObserved {
        feed: u16,
        price_nanos: Unsigned,
        confidence_nanos: Unsigned,
        source_ms: u64,
    },
    ConductAlerted {
        segment: u16,
        alert: u64,
        detector: &'static str,
        market: u16,
        seen_ms: u64,
        score_ppm: u32,
        level: u8,
        figures: Vec<FigureJson>,
    },
    ConductBandMoved {
        segment: u16,
        from: u8,
        to: u8,
        cause: &'static str,
        alert: u64,
    },
    LinksContested {
        segment: u16,
    },
    ProposalMade {
        segment: u16,
        proposal: u64,
        change: ChangeJson,
        expires_ms: u64,
    },
}

/// A number that a detector measured.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct FigureJson {
    /// What it counts, with its unit.
    pub figure: &'static str,
    /// How much.
    pub value: Unsigned,
}

/// Who made a withdrawal or transfer, for events that name only its number.
pub trait MoveOwners {
    /// The owner of a segment's withdrawal.
    fn withdrawal(&self, segment: u16, number: u64) -> Option<AccountId>;
    /// The owner of a segment's transfer.
    fn transfer(&self, segment: u16, number: u64) -> Option<AccountId>;
}

/// What an event means to the accounts that it concerns. A trade of an account with itself cannot happen, so no account
/// comes twice.
pub fn account_events(event: &Event, owners: &impl MoveOwners) -> Vec<(AccountId, AccountEventJson)> {
    match event {
        Event::TradeExecuted(trade) => fills(trade).into(),
        Event::OrderRested(_) | Event::OrderRemoved(_) | Event::OrderReduced(_) | Event::DeadManSet(_) => {
            order_event(event).into_iter().collect()
        }
        Event::AccountOpened(_)
        | Event::AccountClosed(_)
        | Event::GrantRegistered(_)
        | Event::GrantRevoked(_)
        | Event::DepositCredited(_)
        | Event::WithdrawalRequested(_)
        | Event::WithdrawalCancelled(_)
        | Event::WithdrawalReleased(_)
        | Event::TransferRequested(_)
        | Event::TransferCancelled(_)
        | Event::TransferReleased(_)
        | Event::PrincipalExitRequested(_)
        | Event::LeavingHeld(_)
        | Event::EvidenceAdded(_)
        | Event::TransferArrived(_) => funds_event(event, owners).into_iter().collect(),
        Event::PayoutAddressAdded(_)
        | Event::PayoutAddressRemoved(_)
        | Event::RootKeyChangeAnnounced(_)
        | Event::RootKeyChangeCancelled(_)
        | Event::RootKeyChanged(_) => safeguard_event(event).into_iter().collect(),
        Event::GuardianChangeAnnounced(_)
        | Event::GuardianChangeCancelled(_)
        | Event::GuardiansChanged(_)
        | Event::GuardianVoted(_)
        | Event::RecoveryBegun(_)
        | Event::RecoveryCancelled(_)
        | Event::AccountFrozen(_)
        | Event::RecoveryCompleted(_) => guardian_events(event),
        Event::PositionPassed(passed) => passes(passed).into(),
        Event::ConductAlerted(_) | Event::ConductBandMoved(_) | Event::LinksContested(_) => conduct_event(event).into_iter().collect(),
        Event::LiquidationStepped(_)
        | Event::LiquidationSliced(_)
        | Event::InsurancePaid(_)
        | Event::LossUncovered(_)
        | Event::PriceObserved(_)
        | Event::ProposalMade(_) => clearing_event(event).into_iter().collect(),
        Event::DepositAttested(_)
        | Event::DepositAccepted(_)
        | Event::LadderLevelSkipped(_)
        | Event::RemainderDropped(_)
        // What it follows from, the child's registration, is told.
        | Event::GrantLossLowered(_)
        | Event::GrantWatched(_)
        | Event::GrantUnwatched(_)
        // Of markets, segments and operators, not of one account.
        | Event::PriceAggregated(_)
        | Event::MarkMoved(_)
        | Event::FundingSettled(_)
        | Event::RegimeMoved(_)
        | Event::DeficitRepaid(_)
        | Event::BreakerMoved(_)
        | Event::ProposalApproved(_)
        | Event::ProposalEnded(_)
        | Event::PolicyAdopted(_) => Vec::new(),
    }
}

/// Keys, grants and money.
fn funds_event(event: &Event, owners: &impl MoveOwners) -> Option<(AccountId, AccountEventJson)> {
    use AccountEventJson as Json;
    Some(match event {
        Event::AccountOpened(it) => (it.account, Json::AccountOpened { root_key: KeyText(it.root_key) }),
        Event::AccountClosed(it) => (it.account, Json::AccountClosed { bond_quote_micros: Int(it.bond.micros()) }),
        Event::GrantRegistered(it) => {
            let json = Json::GrantRegistered {
                grant: it.terms.number.number(),
                parent: it.terms.parent.number(),
                session_key: KeyText(it.terms.session_key),
                actions: action_words(it.terms.actions),
                expires_ms: it.terms.expires_ms.ms(),
            };
            (it.account, json)
        }
        Event::GrantRevoked(it) => (it.account, Json::GrantRevoked { grant: it.number.number() }),
        Event::DepositCredited(it) => {
            let json = Json::DepositCredited {
                segment: it.segment.number(),
                amount_quote_micros: Int(it.amount.micros()),
                bond_quote_micros: Int(it.bond.micros()),
            };
            (it.account, json)
        }
        Event::WithdrawalRequested(it) => {
            let (segment, withdrawal) = (it.segment.number(), it.number.number());
            let amount_quote_micros = Int(it.amount.micros());
            (it.account, Json::WithdrawalRequested { segment, withdrawal, amount_quote_micros })
        }
        Event::PrincipalExitRequested(it) => {
            let (segment, withdrawal) = (it.segment.number(), it.number.number());
            let amount_quote_micros = Int(it.amount.micros());
            (it.account, Json::PrincipalExitRequested { segment, withdrawal, amount_quote_micros })
        }
        Event::LeavingHeld(it) => {
            let json = Json::LeavingHeld {
                segment: it.segment.number(),
                waiting: it.waiting.into(),
                tier_required: it.required.map(Tier::number),
                again_waiting_ms: it.again_ms.ms(),
            };
            (owner_of(it.segment, it.waiting, owners)?, json)
        }
        Event::EvidenceAdded(it) => {
            let (segment, tier) = (it.segment.number(), it.tier.number());
            let json = Json::EvidenceAdded { segment, waiting: it.waiting.into(), tier };
            (owner_of(it.segment, it.waiting, owners)?, json)
        }
        Event::WithdrawalCancelled(it) => {
            let (segment, withdrawal) = (it.segment.number(), it.number.number());
            (owners.withdrawal(segment, withdrawal)?, Json::WithdrawalCancelled { segment, withdrawal })
        }
        Event::WithdrawalReleased(it) => {
            let (segment, withdrawal) = (it.segment.number(), it.number.number());
            (owners.withdrawal(segment, withdrawal)?, Json::WithdrawalReleased { segment, withdrawal })
        }
        Event::TransferRequested(it) => {
            let (from, transfer, to) = (it.from.number(), it.number.number(), it.to.number());
            let amount_quote_micros = Int(it.amount.micros());
            (it.account, Json::TransferRequested { from, transfer, to, amount_quote_micros })
        }
        Event::TransferCancelled(it) => {
            let (from, transfer) = (it.from.number(), it.number.number());
            (owners.transfer(from, transfer)?, Json::TransferCancelled { from, transfer })
        }
        Event::TransferReleased(it) => {
            let (from, transfer) = (it.from.number(), it.number.number());
            (owners.transfer(from, transfer)?, Json::TransferReleased { from, transfer })
        }
        Event::TransferArrived(it) => {
            let (from, transfer, to) = (it.from.number(), it.number.number(), it.to.number());
            let amount_quote_micros = Int(it.amount.micros());
            (it.account, Json::TransferArrived { from, transfer, to, amount_quote_micros })
        }
        _ => return None,
    })
}

/// Resting orders, and the switch that guards them.
fn order_event(event: &Event) -> Option<(AccountId, AccountEventJson)> {
    use AccountEventJson as Json;
    Some(match event {
        Event::OrderRested(it) => {
            let json = Json::OrderRested {
                market: it.market.number(),
                order: it.number.number(),
                client_id: Int(it.client_id.number()),
                side: it.side.into(),
                price_ticks: Int(it.price.ticks()),
                quantity_lots: Int(it.quantity.lots()),
            };
            (it.account, json)
        }
        Event::OrderRemoved(it) => {
            let (market, order) = (it.market.number(), it.number.number());
            let (quantity_lots, cause) = (Int(it.quantity.lots()), cause_word(it.cause));
            (it.account, Json::OrderRemoved { market, order, quantity_lots, cause })
        }
        Event::OrderReduced(it) => {
            let (market, order) = (it.market.number(), it.number.number());
            (it.account, Json::OrderReduced { market, order, quantity_lots: Int(it.quantity.lots()) })
        }
        Event::DeadManSet(it) => {
            (it.account, Json::DeadManSet { segment: it.segment.number(), fires_ms: it.fires_ms.ms() })
        }
        _ => return None,
    })
}

/// Both sides of a trade.
fn fills(trade: &TradeExecuted) -> [(AccountId, AccountEventJson); 2] {
    let filled = |order: OrderNumber, role, side: Side, fee: QuoteMicros| AccountEventJson::Filled {
        market: trade.market.number(),
        trade: trade.number.number(),
        order: order.number(),
        role,
        side: side.into(),
        price_ticks: Int(trade.price.ticks()),
        quantity_lots: Int(trade.quantity.lots()),
        fee_quote_micros: Int(fee.micros()),
    };
    let side = trade.taker_side;
    let maker = filled(trade.maker_order, "maker", side.opposite(), trade.maker_fee);
    [(trade.maker, maker), (trade.taker, filled(trade.taker_order, "taker", side, trade.taker_fee))]
}

/// Liquidation, prices and proposals.
fn clearing_event(event: &Event) -> Option<(AccountId, AccountEventJson)> {
    use AccountEventJson as Json;
    Some(match event {
        Event::LiquidationStepped(it) => {
            let json = Json::LiquidationStepped {
                segment: it.segment.number(),
                equity_quote_micros: Int(it.equity.micros()),
                maintenance_quote_micros: Int(it.maintenance.micros()),
            };
            (it.account, json)
        }
        Event::LiquidationSliced(it) => {
            let json = Json::LiquidationSliced {
                market: it.market.number(),
                traded_quote_micros: Int(it.traded.micros()),
                fee_quote_micros: Int(it.fee.micros()),
            };
            (it.account, json)
        }
        Event::InsurancePaid(it) => {
            let (segment, market) = (it.segment.number(), it.market.number());
            (it.account, Json::InsurancePaid { segment, market, amount_quote_micros: Int(it.amount.micros()) })
        }
        Event::LossUncovered(it) => {
            let amount_quote_micros = Int(it.amount.micros());
            (it.account, Json::LossUncovered { segment: it.segment.number(), amount_quote_micros })
        }
        Event::PriceObserved(it) => {
            let json = Json::PriceObserved {
                feed: it.feed.number(),
                price_nanos: Int(it.price.nanos()),
                confidence_nanos: Int(it.confidence.nanos()),
                source_ms: it.source_ms.ms(),
            };
            (it.publisher, json)
        }
        Event::ProposalMade(it) => {
            let json = Json::ProposalMade {
                segment: it.segment.number(),
                proposal: it.number.number(),
                change: (&it.change).into(),
                expires_ms: it.expires_ms.ms(),
            };
            (it.proposer, json)
        }
        _ => return None,
    })
}

fn owner_of(segment: SegmentId, waiting: Waiting, owners: &dyn MoveOwners) -> Option<AccountId> {
    match waiting {
        Waiting::Withdrawal(number) => owners.withdrawal(segment.number(), number.number()),
        Waiting::Transfer(number) => owners.transfer(segment.number(), number.number()),
    }
}

/// What detectors of conduct found about one account. What they found about a market is in the market's records alone.
fn conduct_event(event: &Event) -> Option<(AccountId, AccountEventJson)> {
    use AccountEventJson as Json;
    match event {
        Event::ConductAlerted(it) if !it.account.is_none() => {
            let figure = |figure: &Figure| FigureJson { figure: figure.kind.word(), value: Int(figure.value) };
            let json = Json::ConductAlerted {
                segment: it.segment.number(),
                alert: it.number,
                detector: it.detector.name(),
                market: it.market.number(),
                seen_ms: it.at.ms(),
                score_ppm: it.score_ppm,
                level: it.level,
                figures: it.figures.iter().map(figure).collect(),
            };
            Some((it.account, json))
        }
        Event::ConductBandMoved(it) => {
            let cause = match it.cause {
                BandCause::Alerted => "alerted",
                BandCause::Linked => "linked",
                BandCause::Faded => "faded",
            };
            let (segment, alert) = (it.segment.number(), it.alert);
            Some((it.account, Json::ConductBandMoved { segment, from: it.from, to: it.to, cause, alert }))
        }
        Event::LinksContested(it) => Some((it.account, Json::LinksContested { segment: it.segment.number() })),
        _ => None,
    }
}

/// Both sides of a position that passed without an order.
fn passes(passed: &PositionPassed) -> [(AccountId, AccountEventJson); 2] {
    let side = |role, side: Side| AccountEventJson::PositionPassed {
        market: passed.market.number(),
        role,
        side: side.into(),
        quantity_lots: Int(passed.quantity.lots()),
        notional_quote_micros: Int(passed.notional.micros()),
        cause: match passed.cause {
            PassCause::Backstop => "backstop",
            PassCause::Deleveraging => "deleveraging",
        },
    };
    [(passed.from, side("from", passed.from_side)), (passed.to, side("to", passed.from_side.opposite()))]
}

const fn cause_word(cause: RemovalCause) -> &'static str {
    match cause {
        RemovalCause::Cancelled => "cancelled",
        RemovalCause::CancelledAll => "cancelled_all",
        RemovalCause::Amended => "amended",
        RemovalCause::LadderReplaced => "ladder_replaced",
        RemovalCause::SelfTrade => "self_trade",
        RemovalCause::Expired => "expired",
        RemovalCause::GrantEnded => "grant_ended",
        RemovalCause::GrantRevoked => "grant_revoked",
        RemovalCause::DeadMan => "dead_man",
        RemovalCause::MakerRisk => "maker_risk",
        RemovalCause::NothingToReduce => "nothing_to_reduce",
        RemovalCause::Liquidated => "liquidated",
        RemovalCause::Breaker => "breaker",
        RemovalCause::GrantLoss => "grant_loss",
    }
}
