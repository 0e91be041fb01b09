//! What others read of an account's row: for faces that show an account, never for rules.

use casemate_protocol::{GrantNumber, QuoteMicros, SegmentId};

use super::Account;

impl Account {
    /// The number that the next grant must have.
    #[must_use]
    pub const fn next_grant(&self) -> GrantNumber {
        self.next_grant
    }

    /// The bond, and the segment that holds it.
    #[must_use]
    pub const fn bond(&self) -> (QuoteMicros, SegmentId) {
        (self.bond, self.bond_segment)
    }
}
