//! The compiled policy: for each cell that can occur, the least tier or never.
//!
//! A table is canonical bytes with a hash, so that every replica can say that it compiled the same; reading it checks what
//! a table must be, floors included, so that bytes from elsewhere are as good as an own compilation or refused.

use borsh::io::{Error, ErrorKind, Read, Write};
use borsh::{BorshDeserialize, BorshSerialize};

use super::{ActionScope, ConductBand, PolicyAction, PolicyKind, PolicyQuestion, PolicyRegime, SegmentState, Tier};
use crate::BoundedVec;
use crate::hash::{self, Digest, Domain};
use crate::limits::{POLICY_AMOUNT_BORDERS_MAX, POLICY_CELLS_MAX, POLICY_SLOW_RULES_MAX};
use crate::units::QuoteMicros;

/// Version of the vocabulary that places cells: another one is another table.
const TABLE_VERSION: u16 = 1;

/// A cell that no evidence opens.
const NEVER: u8 = u8::MAX;

/// A rule that the table does not hold, because it looks at more than a cell.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, BorshSerialize, BorshDeserialize)]
pub struct SlowRule {
    /// Digest of the rule's canonical text.
    pub digest: Digest,
    /// Whether the rule only ever refuses.
    pub is_forbid: bool,
}

/// What the table says about a question.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TableAnswer {
    /// The least tier that is enough; none if no evidence is.
    pub least: Option<Tier>,
    /// Whether a rule of the slow path may apply as well, so that the table is not the last word.
    pub asks_slow_path: bool,
}

/// What is wrong with a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TableError {
    /// The borders of amounts are not above zero and rising.
    Borders,
    /// There are more borders or cells than a table may have.
    TooLarge,
    /// The rules of the slow path are not in order, or there are too many.
    SlowRules,
    /// Something that no policy may forbid is forbidden, or asks for more than it may.
    Floor {
        /// Where.
        question: PolicyQuestion,
        /// What the cell says.
        least: Option<Tier>,
        /// The most that it may say.
        floor: Tier,
    },
}

/// The compiled policy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PolicyTable {
    borders: BoundedVec<QuoteMicros, POLICY_AMOUNT_BORDERS_MAX>,
    slow_rules: BoundedVec<SlowRule, POLICY_SLOW_RULES_MAX>,
    /// Of each kind, one bit for each action that a rule of the slow path may apply to.
    slow_actions: Vec<u64>,
    cells: BoundedVec<u8, POLICY_CELLS_MAX>,
    /// Where the cells of a kind and an action begin. Derived.
    starts: Vec<usize>,
}

impl PolicyTable {
    /// Asks `answer` about each cell that can occur, in order, and keeps what it says. `borders` are the least amounts of
    /// each band but the first.
    ///
    /// # Errors
    /// What `answer` fails with, or what is wrong with the table that comes of it.
    pub fn fill<E: From<TableError>>(
        borders: &[QuoteMicros],
        slow_rules: &[SlowRule],
        applies_slowly: impl Fn(PolicyKind, PolicyAction) -> bool,
        mut answer: impl FnMut(&PolicyQuestion) -> Result<Option<Tier>, E>,
    ) -> Result<Self, E> {
        let slow_actions = PolicyKind::ALL.iter().map(|&kind| {
            let bits = PolicyAction::ALL.iter().filter(|&&action| applies_slowly(kind, action));
            bits.fold(0_u64, |mask, action| mask | bit(*action))
        });
        let mut cells = Vec::new();
        for question in questions(borders) {
            cells.push(answer(&question)?.map_or(NEVER, Tier::number));
        }
        Ok(Self::assemble(borders.to_vec(), slow_rules.to_vec(), slow_actions.collect(), cells)?)
    }

    /// A table that permits nothing.
    pub(super) const fn closed() -> Self {
        Self {
            borders: BoundedVec::empty(),
            slow_rules: BoundedVec::empty(),
            slow_actions: Vec::new(),
            cells: BoundedVec::empty(),
            starts: Vec::new(),
        }
    }

    fn assemble(
        borders: Vec<QuoteMicros>,
        slow_rules: Vec<SlowRule>,
        slow_actions: Vec<u64>,
        cells: Vec<u8>,
    ) -> Result<Self, TableError> {
        if borders.first().is_some_and(|first| *first <= QuoteMicros::ZERO) || !is_rising(&borders) {
            return Err(TableError::Borders);
        }
        if !is_rising(&slow_rules) {
            return Err(TableError::SlowRules);
        }
        let starts = starts(borders.len());
        let table = Self {
            borders: BoundedVec::new(borders).ok_or(TableError::TooLarge)?,
            slow_rules: BoundedVec::new(slow_rules).ok_or(TableError::SlowRules)?,
            slow_actions,
            cells: BoundedVec::new(cells).ok_or(TableError::TooLarge)?,
            starts,
        };
        table.require_floors()?;
        Ok(table)
    }

    fn require_floors(&self) -> Result<(), TableError> {
        for question in questions(self.borders.as_slice()) {
            let Some(floor) = question.floor() else { continue };
            let least = self.answer(&question).least;
            if least.is_none_or(|least| least > floor) {
                return Err(TableError::Floor { question, least, floor });
            }
        }
        Ok(())
    }

    /// What the policy says about a question. What cannot occur is never permitted.
    #[must_use]
    pub fn answer(&self, question: &PolicyQuestion) -> TableAnswer {
        let kind = usize::from(question.kind.number());
        let least = self.place(question).and_then(|place| self.cells.as_slice().get(place)).copied();
        let mask = self.slow_actions.get(kind).copied().unwrap_or(0);
        TableAnswer { least: least.and_then(Tier::from_number), asks_slow_path: mask & bit(question.action) != 0 }
    }

    fn place(&self, question: &PolicyQuestion) -> Option<usize> {
        if !question.kind.can_ask(question.action) {
            return None;
        }
        let question = question.normalised();
        let start = *self.starts.get(pair(question.kind, question.action))?;
        let bands = bands_of(question.action, self.borders.len());
        let band = self.borders.as_slice().partition_point(|border| *border <= question.amount);
        let inside = usize::from(question.state.number())
            .checked_mul(PolicyRegime::ALL.len())?
            .checked_add(usize::from(question.regime.number()))?
            .checked_mul(bands)?
            .checked_add(band)?
            .checked_mul(ConductBand::ALL.len())?
            .checked_add(usize::from(question.conduct.number()))?;
        start.checked_add(inside)
    }

    /// The least amounts of each band but the first.
    #[must_use]
    pub fn borders(&self) -> &[QuoteMicros] {
        self.borders.as_slice()
    }

    /// The rules that the table does not hold.
    #[must_use]
    pub fn slow_rules(&self) -> &[SlowRule] {
        self.slow_rules.as_slice()
    }

    /// How many cells there are.
    #[must_use]
    pub fn cells_count(&self) -> usize {
        self.cells.len()
    }

    /// One question for each cell, with the least amount of its band.
    pub fn questions(&self) -> impl Iterator<Item = PolicyQuestion> + '_ {
        questions(self.borders.as_slice())
    }

    /// Hash of the canonical bytes: what a proposal carries and every replica must come to.
    #[must_use]
    pub fn digest(&self) -> Digest {
        hash::digest_of(Domain::PolicyTable, self)
    }
}

impl BorshSerialize for PolicyTable {
    fn serialize<W: Write>(&self, writer: &mut W) -> borsh::io::Result<()> {
        TABLE_VERSION.serialize(writer)?;
        self.borders.serialize(writer)?;
        self.slow_rules.serialize(writer)?;
        self.slow_actions.iter().try_for_each(|mask| mask.serialize(writer))?;
        self.cells.serialize(writer)
    }
}

impl BorshDeserialize for PolicyTable {
    fn deserialize_reader<R: Read>(reader: &mut R) -> borsh::io::Result<Self> {
        let refused = |what| Error::new(ErrorKind::InvalidData, what);
        if u16::deserialize_reader(reader)? != TABLE_VERSION {
            return Err(refused("policy table of another version"));
        }
        let borders = BoundedVec::<QuoteMicros, POLICY_AMOUNT_BORDERS_MAX>::deserialize_reader(reader)?;
        let slow_rules = BoundedVec::<SlowRule, POLICY_SLOW_RULES_MAX>::deserialize_reader(reader)?;
        let mut slow_actions = Vec::with_capacity(PolicyKind::ALL.len());
        for &kind in PolicyKind::ALL {
            let mask = u64::deserialize_reader(reader)?;
            let can_be = PolicyAction::ALL.iter().filter(|&&action| kind.can_ask(action));
            if mask & !can_be.fold(0, |known, action| known | bit(*action)) != 0 {
                return Err(refused("policy table with a slow action that cannot occur"));
            }
            slow_actions.push(mask);
        }
        let cells = BoundedVec::<u8, POLICY_CELLS_MAX>::deserialize_reader(reader)?;
        if cells.len() != questions(borders.as_slice()).count() {
            return Err(refused("policy table with another number of cells than its borders make"));
        }
        if cells.iter().any(|&cell| cell != NEVER && Tier::from_number(cell).is_none()) {
            return Err(refused("policy table with a tier that does not exist"));
        }
        Self::assemble(borders.into_vec(), slow_rules.into_vec(), slow_actions, cells.into_vec())
            .map_err(|_| refused("policy table with borders, rules or floors that cannot be"))
    }
}

/// What a change of policy comes to, decided from cells and rules alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
#[borsh(use_discriminant = true)]
#[repr(u8)]
pub enum ChangeClass {
    /// Nothing changes.
    Same = 1,
    /// Nothing is easier than before.
    Tightening = 2,
    /// Nothing is harder than before.
    Loosening = 3,
    /// Some of each; it is decided on as a loosening.
    Both = 4,
}

impl ChangeClass {
    /// Whether nothing is easier than before.
    #[must_use]
    pub const fn is_tightening(self) -> bool {
        matches!(self, Self::Same | Self::Tightening)
    }

    /// The name, as people read it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Same => "same",
            Self::Tightening => "tightening",
            Self::Loosening => "loosening",
            Self::Both => "both",
        }
    }
}

/// A cell that two policies answer differently.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CellDifference {
    /// The cell, with the least amount in it.
    pub question: PolicyQuestion,
    /// Least tier before.
    pub old: Option<Tier>,
    /// Least tier after.
    pub new: Option<Tier>,
}

impl CellDifference {
    /// Whether the cell is harder to open than before.
    #[must_use]
    pub fn tightens(&self) -> bool {
        strictness(self.new) > strictness(self.old)
    }
}

/// All differences between two policies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PolicyComparison {
    /// Cells that differ, in their order.
    pub differences: Vec<CellDifference>,
    /// Rules of the slow path that only the new policy has.
    pub slow_added: Vec<SlowRule>,
    /// Rules of the slow path that only the old policy has.
    pub slow_removed: Vec<SlowRule>,
}

impl PolicyComparison {
    /// Compares two policies cell by cell, over the borders of both.
    #[must_use]
    pub fn of(old: &PolicyTable, new: &PolicyTable) -> Self {
        let mut borders: Vec<QuoteMicros> = old.borders().iter().chain(new.borders()).copied().collect();
        borders.sort_unstable();
        borders.dedup();
        let differences = questions(&borders).filter_map(|question| {
            let (before, after) = (old.answer(&question).least, new.answer(&question).least);
            (before != after).then_some(CellDifference { question, old: before, new: after })
        });
        let only = |of: &PolicyTable, other: &PolicyTable| {
            of.slow_rules().iter().filter(|rule| !other.slow_rules().contains(rule)).copied().collect()
        };
        Self { differences: differences.collect(), slow_added: only(new, old), slow_removed: only(old, new) }
    }

    /// The class. A rule of the slow path tightens only if it is added and forbids; any other change of one counts as
    /// loosening, because nobody can tell from it what it let through.
    #[must_use]
    pub fn class(&self) -> ChangeClass {
        let cells_tighten = self.differences.iter().any(CellDifference::tightens);
        let cells_loosen = self.differences.iter().any(|difference| !difference.tightens());
        let rules_tighten = self.slow_added.iter().any(|rule| rule.is_forbid);
        let rules_loosen = !self.slow_removed.is_empty() || self.slow_added.iter().any(|rule| !rule.is_forbid);
        match (cells_tighten || rules_tighten, cells_loosen || rules_loosen) {
            (false, false) => ChangeClass::Same,
            (true, false) => ChangeClass::Tightening,
            (false, true) => ChangeClass::Loosening,
            (true, true) => ChangeClass::Both,
        }
    }
}

fn strictness(least: Option<Tier>) -> u8 {
    least.map_or(NEVER, Tier::number)
}

fn is_rising<T: Ord>(items: &[T]) -> bool {
    items.iter().zip(items.iter().skip(1)).all(|(one, next)| one < next)
}

const fn bit(action: PolicyAction) -> u64 {
    1 << action.number()
}

fn pair(kind: PolicyKind, action: PolicyAction) -> usize {
    usize::from(kind.number()).saturating_mul(PolicyAction::ALL.len()).saturating_add(usize::from(action.number()))
}

const fn bands_of(action: PolicyAction, borders_count: usize) -> usize {
    if action.has_amount() { borders_count.saturating_add(1) } else { 1 }
}

fn states_of(action: PolicyAction) -> &'static [SegmentState] {
    match action.scope() {
        ActionScope::Venue => &[SegmentState::Normal],
        ActionScope::Segment | ActionScope::Market => SegmentState::ALL,
    }
}

/// Where the cells of each kind and action begin; what cannot occur takes no room.
fn starts(borders_count: usize) -> Vec<usize> {
    let mut starts = Vec::with_capacity(PolicyKind::ALL.len().saturating_mul(PolicyAction::ALL.len()));
    let mut next = 0_usize;
    for &kind in PolicyKind::ALL {
        for &action in PolicyAction::ALL {
            starts.push(next);
            if kind.can_ask(action) {
                let cells = states_of(action)
                    .len()
                    .saturating_mul(PolicyRegime::ALL.len())
                    .saturating_mul(bands_of(action, borders_count))
                    .saturating_mul(ConductBand::ALL.len());
                next = next.saturating_add(cells);
            }
        }
    }
    starts
}

/// One question for each cell that can occur, in the order of the cells.
fn questions(borders: &[QuoteMicros]) -> impl Iterator<Item = PolicyQuestion> + '_ {
    let pairs = PolicyKind::ALL.iter().flat_map(|&kind| {
        PolicyAction::ALL.iter().filter(move |&&action| kind.can_ask(action)).map(move |&action| (kind, action))
    });
    pairs.flat_map(move |(kind, action)| {
        let bands = borders.iter().take(bands_of(action, borders.len()).saturating_sub(1)).copied();
        let amounts: Vec<QuoteMicros> = core::iter::once(QuoteMicros::ZERO).chain(bands).collect();
        let mut cells = Vec::new();
        for &state in states_of(action) {
            for &regime in PolicyRegime::ALL {
                for &amount in &amounts {
                    for &conduct in ConductBand::ALL {
                        cells.push(PolicyQuestion { kind, action, state, regime, amount, conduct });
                    }
                }
            }
        }
        cells
    })
}
