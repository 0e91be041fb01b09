//! Withdrawals and transfers that have not ended. An account has few of them, and the ledger finds them by number only.

use std::collections::BTreeMap;

use casemate_ledger::Ledger;
use casemate_ledger::segment::{Held, Segment, TransferState, WithdrawalState};
use casemate_protocol::command::Waiting;
use casemate_protocol::policy::Tier;
use casemate_protocol::{AccountId, Digest, Event, QuoteMicros, SegmentId, TransferNumber, WithdrawalNumber};
use serde::Serialize;
use utoipa::ToSchema;

use crate::dto::event::MoveOwners;
use crate::values::{HexArray, Int, Signed};

/// Every move that has not ended.
#[derive(Debug, Default)]
pub struct Moves {
    withdrawals: BTreeMap<(u16, u64), Pending>,
    transfers: BTreeMap<(u16, u64), Pending>,
}

#[derive(Clone, Copy, Debug)]
struct Pending {
    account: AccountId,
    amount: QuoteMicros,
    due_waiting_ms: u64,
    is_principal_exit: bool,
    held: Option<HeldJson>,
    /// Target of a transfer.
    to: Option<u16>,
}

/// Withdrawals and transfers of an account that have not ended.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct MovesJson {
    /// Height of the last durable block.
    pub height: u64,
    /// State root after it.
    pub state_root: HexArray<32>,
    /// The account.
    pub account: u64,
    /// Withdrawals that were not released.
    pub withdrawals: Vec<WithdrawalJson>,
    /// Transfers that have not arrived.
    pub transfers: Vec<TransferJson>,
}

/// A withdrawal that waits.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct WithdrawalJson {
    /// The segment that pays.
    pub segment: u16,
    /// Its number there.
    pub number: u64,
    /// How much.
    pub amount_quote_micros: Signed,
    /// Waiting clock of the chain at which its delay is over.
    pub due_waiting_ms: u64,
    /// Principal that leaves by the slow way.
    pub is_principal_exit: bool,
    /// What holds it back although its delay is over; null if nothing does.
    pub held: Option<HeldJson>,
}

/// A policy asks for more evidence than something came with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct HeldJson {
    /// Least tier that is enough; null if none is.
    pub tier_required: Option<u8>,
    /// Waiting clock of the chain at which it is judged again.
    pub again_waiting_ms: u64,
}

/// A transfer that is on its way.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct TransferJson {
    /// The segment that pays.
    pub from: u16,
    /// The segment that receives.
    pub to: u16,
    /// Its number in its source.
    pub number: u64,
    /// How much.
    pub amount_quote_micros: Signed,
    /// Waiting clock of the chain at which its delay is over.
    pub due_waiting_ms: u64,
    /// What holds it back although its delay is over; null if nothing does.
    pub held: Option<HeldJson>,
}

impl HeldJson {
    fn of(held: Held) -> Self {
        Self { tier_required: held.required.map(Tier::number), again_waiting_ms: held.again_ms.ms() }
    }
}

impl Moves {
    /// What waits in a ledger.
    pub fn of_ledger(ledger: &Ledger) -> Self {
        let mut moves = Self::default();
        ledger.segments().iter().for_each(|segment| moves.add_segment(segment));
        moves
    }

    fn add_segment(&mut self, segment: &Segment) {
        let id = segment.id().number();
        for number in 1..=segment.totals().last_withdrawal {
            let found = segment.withdrawal(WithdrawalNumber::new(number));
            if let Some(withdrawal) = found.filter(|it| it.state == WithdrawalState::Pending) {
                let (account, amount) = (withdrawal.account, withdrawal.amount);
                let due_waiting_ms = withdrawal.due_waiting_ms.ms();
                let is_principal_exit = withdrawal.is_principal_exit;
                let held = withdrawal.held.map(HeldJson::of);
                let pending = Pending { account, amount, due_waiting_ms, is_principal_exit, held, to: None };
                self.withdrawals.insert((id, number), pending);
            }
        }
        for number in 1..=segment.totals().last_transfer {
            let found = segment.transfer(TransferNumber::new(number));
            if let Some(transfer) = found.filter(|it| it.state == TransferState::Pending) {
                let (account, amount) = (transfer.account, transfer.amount);
                let due_waiting_ms = transfer.due_waiting_ms.ms();
                let to = Some(transfer.to.number());
                let held = transfer.held.map(HeldJson::of);
                let pending = Pending { account, amount, due_waiting_ms, is_principal_exit: false, held, to };
                self.transfers.insert((id, number), pending);
            }
        }
    }

    /// Lets an event take effect.
    pub fn apply(&mut self, event: &Event) {
        match event {
            Event::WithdrawalRequested(it) | Event::PrincipalExitRequested(it) => {
                let due_waiting_ms = it.due_waiting_ms.ms();
                let is_principal_exit = matches!(event, Event::PrincipalExitRequested(_));
                let (account, amount) = (it.account, it.amount);
                let pending = Pending { account, amount, due_waiting_ms, is_principal_exit, held: None, to: None };
                self.withdrawals.insert((it.segment.number(), it.number.number()), pending);
            }
            Event::WithdrawalCancelled(it) | Event::WithdrawalReleased(it) => {
                self.withdrawals.remove(&(it.segment.number(), it.number.number()));
            }
            Event::TransferRequested(it) => {
                let (due_waiting_ms, to) = (it.due_waiting_ms.ms(), Some(it.to.number()));
                let (account, amount) = (it.account, it.amount);
                let pending = Pending { account, amount, due_waiting_ms, is_principal_exit: false, held: None, to };
                self.transfers.insert((it.from.number(), it.number.number()), pending);
            }
            Event::TransferCancelled(it) => {
                self.transfers.remove(&(it.from.number(), it.number.number()));
            }
            Event::TransferArrived(it) => {
                self.transfers.remove(&(it.from.number(), it.number.number()));
            }
            Event::LeavingHeld(it) => {
                let held =
                    HeldJson { tier_required: it.required.map(Tier::number), again_waiting_ms: it.again_ms.ms() };
                if let Some(pending) = self.pending_mut(it.segment, it.waiting) {
                    pending.held = Some(held);
                }
            }
            // Every other event moves nothing between the venue and the outside, or between segments.
            _ => {}
        }
    }

    fn pending_mut(&mut self, segment: SegmentId, waiting: Waiting) -> Option<&mut Pending> {
        match waiting {
            Waiting::Withdrawal(number) => self.withdrawals.get_mut(&(segment.number(), number.number())),
            Waiting::Transfer(number) => self.transfers.get_mut(&(segment.number(), number.number())),
        }
    }

    /// What an account has on its way.
    pub fn of_account(&self, account: AccountId, height: u64, state_root: Digest) -> MovesJson {
        let own = |(_, pending): &(&(u16, u64), &Pending)| pending.account == account;
        let withdrawals = self.withdrawals.iter().filter(own).map(|(&(segment, number), pending)| WithdrawalJson {
            segment,
            number,
            amount_quote_micros: Int(pending.amount.micros()),
            due_waiting_ms: pending.due_waiting_ms,
            is_principal_exit: pending.is_principal_exit,
            held: pending.held,
        });
        let transfers = self.transfers.iter().filter(own).map(|(&(from, number), pending)| TransferJson {
            from,
            to: pending.to.unwrap_or_default(),
            number,
            amount_quote_micros: Int(pending.amount.micros()),
            due_waiting_ms: pending.due_waiting_ms,
            held: pending.held,
        });
        MovesJson {
            height,
            state_root: state_root.into(),
            account: account.number(),
            withdrawals: withdrawals.collect(),
            transfers: transfers.collect(),
        }
    }
}

impl MoveOwners for Moves {
    fn withdrawal(&self, segment: u16, number: u64) -> Option<AccountId> {
        self.withdrawals.get(&(segment, number)).map(|pending| pending.account)
    }

    fn transfer(&self, segment: u16, number: u64) -> Option<AccountId> {
        self.transfers.get(&(segment, number)).map(|pending| pending.account)
    }
}
