//! Money on its way out comes back to an account that is liquidated: it was margin until it left.

use casemate_protocol::event::{TransferEnded, WithdrawalEnded};
use casemate_protocol::{AccountId, Event, TransferNumber, WithdrawalNumber};

use crate::market::Work;
use crate::segment::{OUTBOUND_TRANSFER, OUTBOUND_WITHDRAWAL};

/// Takes back every withdrawal and principal exit of an account that waits: it was recovered, and whoever had the key
/// before may have asked for them. Transfers stay, because they lead nowhere out.
pub(crate) fn recall_withdrawals(work: &mut Work<'_>, account: AccountId) {
    let segment = work.segment.id();
    let of_account = (account.number(), OUTBOUND_WITHDRAWAL, 0)..=(account.number(), OUTBOUND_WITHDRAWAL, u64::MAX);
    let waiting: Vec<u64> = work.segment.outbound_of.range(of_account).map(|(_, _, number)| *number).collect();
    for number in waiting {
        work.emit(Event::WithdrawalCancelled(WithdrawalEnded { segment, number: WithdrawalNumber::new(number) }));
    }
}

/// Takes back every withdrawal, principal exit and transfer of an account that waits.
pub(crate) fn recall_all(work: &mut Work<'_>, account: AccountId) {
    let segment = work.segment.id();
    let of_account = (account.number(), 0, 0)..=(account.number(), u8::MAX, u64::MAX);
    let waiting: Vec<(u8, u64)> =
        work.segment.outbound_of.range(of_account).map(|(_, kind, number)| (*kind, *number)).collect();
    for (kind, number) in waiting {
        match kind {
            OUTBOUND_WITHDRAWAL => {
                let number = WithdrawalNumber::new(number);
                work.emit(Event::WithdrawalCancelled(WithdrawalEnded { segment, number }));
            }
            OUTBOUND_TRANSFER => {
                let number = TransferNumber::new(number);
                work.emit(Event::TransferCancelled(TransferEnded { from: segment, number }));
            }
            _ => {}
        }
    }
}
