//! What a command is judged against besides the state: the block, the signer, the record it will have.

use casemate_protocol::policy::Tier;
use casemate_protocol::{AccountId, DurationMs, GrantNumber, Height, QuoteMicros, RecordIndex, TimeMs};

/// The block in which commands take effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BlockContext {
    /// Height of the block.
    pub height: Height,
    /// Block time.
    pub time_ms: TimeMs,
    /// What waiting clocks gain in this block.
    pub step_ms: DurationMs,
    /// The waiting clock in this block: block time without outages.
    pub waiting_ms: DurationMs,
}

/// A command's place: who acts, by which right, under which record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CommandContext {
    /// The block.
    pub block: BlockContext,
    /// The acting account.
    pub account: AccountId,
    /// The grant it acts under; `None` for the root key.
    pub grant: Option<GrantFacts>,
    /// The record of the verdict.
    pub record: RecordIndex,
    /// The evidence that the command came with; what waits keeps it.
    pub tier: Tier,
}

/// What a segment needs to know of a grant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GrantFacts {
    /// Its number in the account.
    pub number: GrantNumber,
    /// Its end.
    pub expires_ms: TimeMs,
    /// Most notional over its life.
    pub notional_max: QuoteMicros,
    /// Notional used in other segments, resting orders included.
    pub used_elsewhere: QuoteMicros,
    /// Most that its fills may cost against the index over its life, fees included.
    pub loss_max: QuoteMicros,
    /// What they cost in other segments.
    pub lost_elsewhere: QuoteMicros,
}

impl CommandContext {
    /// The grant's number, or none for the root key.
    #[must_use]
    pub fn grant_number(&self) -> GrantNumber {
        self.grant.map_or(GrantNumber::NONE, |grant| grant.number)
    }
}
