//! What a withdrawal needs as the venue's state moves: the tier that the policies in force ask of a trader's withdrawal of
//! 5,000, from the moves of regime and breaker that records tell of.
//!
//! A run that goes on where another was killed reads the kept records and says the same. What they say is held against the
//! ledger's own question after every block.

use casemate_ledger::Ledger;
use casemate_protocol::policy::{
    ConductBand, PolicyAction, PolicyKind, PolicyQuestion, PolicyRegime, PolicyTable, SegmentState, Tier,
};
use casemate_protocol::{AccountId, Event, QuoteMicros};

use super::venue::SEGMENT;

/// The withdrawal asked about, micro-quote: below the shipped policies' limits of a calm market, above those of an
/// elevated one.
pub const WITHDRAWAL_QUOTE_MICROS: i64 = 5_000 * 1_000_000;

/// The tier needed now, and every move of it.
#[derive(Debug)]
pub struct Scrutiny {
    table: PolicyTable,
    state: SegmentState,
    regime: PolicyRegime,
    least: Option<Tier>,
    moves: Vec<TierMove>,
}

/// The tier needed moved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TierMove {
    /// Needed before; none if nothing was enough.
    pub from: Option<Tier>,
    /// Needed since.
    pub to: Option<Tier>,
    /// What the segment's breaker was in by then.
    pub state: SegmentState,
    /// How wild its market was by then.
    pub regime: PolicyRegime,
    /// Time of the block.
    pub block_time_ms: u64,
}

impl Scrutiny {
    /// At genesis: a segment that trades in a calm market, under these policies.
    pub fn new(table: PolicyTable) -> Self {
        let (state, regime) = (SegmentState::Normal, PolicyRegime::Calm);
        let least = least(&table, state, regime);
        Self { table, state, regime, least, moves: Vec::new() }
    }

    /// Takes in an event of a block.
    pub fn absorb(&mut self, event: &Event) {
        match event {
            Event::RegimeMoved(moved) => self.regime = moved.to.into(),
            Event::BreakerMoved(moved) => self.state = moved.to.into(),
            _ => {}
        }
    }

    /// A block is over.
    pub fn end_block(&mut self, block_time_ms: u64) {
        let to = least(&self.table, self.state, self.regime);
        if to != self.least {
            let (state, regime) = (self.state, self.regime);
            self.moves.push(TierMove { from: self.least, to, state, regime, block_time_ms });
            self.least = to;
        }
    }

    /// Whether the ledger would put the same question to its policies.
    pub fn agrees_with(&self, ledger: &Ledger, trader: AccountId) -> bool {
        let amount = QuoteMicros::from_micros(WITHDRAWAL_QUOTE_MICROS);
        let asked = ledger.question_about(trader, PolicyAction::RequestWithdrawal, Some(SEGMENT), None, amount);
        (asked.state, asked.regime) == (self.state, self.regime) && *ledger.policy().table() == self.table
    }

    /// Every move of the tier needed.
    pub fn moves(&self) -> &[TierMove] {
        &self.moves
    }
}

fn least(table: &PolicyTable, state: SegmentState, regime: PolicyRegime) -> Option<Tier> {
    let question = PolicyQuestion {
        kind: PolicyKind::Trader,
        action: PolicyAction::RequestWithdrawal,
        state,
        regime,
        amount: QuoteMicros::from_micros(WITHDRAWAL_QUOTE_MICROS),
        conduct: ConductBand::Ordinary,
    };
    table.answer(&question).least
}
