//! Executing a block: the phases in their fixed order (DESIGN §4), every command through the gate, a record each.
//!
//! Phases without content are absent, the rest keep their order: (1) time and what fell due; (2) proposals and approvals;
//! (3) price commands, in an order of their own, then one aggregate a feed; (4) marks and funding; (5) breakers that
//! tighten; (6) cancels and size-down amends of orders that rested before this block; (7) liquidations; (9) all other
//! commands in block order; (10) releases; (11) breakers that loosen, laws and roots. After each piece of work in (7) and
//! (10) the breakers look again, so that a trip binds what comes next. Triggers take their place, (8), when they come.

mod records;

use std::ops::Range;

use casemate_audit::RecordHeader;
use casemate_gate::{Included, PolicyDecider, judge_leaving, pipeline};
use casemate_ledger::{BlockContext, BrokenLaw, Law, Ledger, PolicyInForce};
use casemate_protocol::block::SealSecret;
use casemate_protocol::command::{Change, Command, SystemWork};
use casemate_protocol::envelope::GroupMode;
use casemate_protocol::limits::RECORD_EVENTS_MAX;
use casemate_protocol::parallel::Parallel;
use casemate_protocol::{Digest, Event, PolicyEpoch, RecordIndex, Reject, RejectCode, SegmentId, SystemCommand};

/// What executing a block did, besides changing the state.
#[derive(Debug, Default)]
pub struct Executed {
    /// Headers of the block's records, in order.
    pub records: Vec<RecordHeader>,
    /// The records' leaves in the log, in order.
    pub leaves: Vec<Digest>,
    /// The canonical list of the records' encoded bodies: their number, then each after its length.
    pub bodies: Vec<u8>,
    /// Where each body lies in `bodies`, without its length.
    pub body_ranges: Vec<Range<usize>>,
    /// Verdicts, envelope by envelope in block order.
    pub envelopes: Vec<EnvelopeOutcome>,
    /// Trades in the block.
    pub trades: u64,
    /// Segments that failed a law.
    pub broken: Vec<BrokenLaw>,
    /// State root after the block.
    pub state_root: Digest,
    /// This machine could not evaluate the policy in force: nothing of the block may stand here.
    pub has_policy_fault: bool,
}

/// Verdicts of one envelope.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EnvelopeOutcome {
    /// The envelope's id.
    pub envelope: Digest,
    /// One for each command, in order.
    pub commands: Vec<CommandOutcome>,
}

/// Verdict of one command and where it is recorded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CommandOutcome {
    /// The record.
    pub record: RecordIndex,
    /// The refusal, if it was refused.
    pub refusal: Option<Reject>,
}

/// Stages of execution, for those who measure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stages {
    /// Inclusion: nonces, weights, keys.
    Inclusion,
    /// Commands through gate and ledger, phase by phase.
    Commands,
    /// Records: encoding, sealing, log.
    Records,
    /// Rows, trees and state root.
    StateRoot,
    /// The log's tree and the header.
    Header,
}

/// Told when a stage begins, so that a driver with a clock can measure. Core has none.
pub trait StageTimer {
    /// A stage begins; the one before it ends.
    fn begin(&mut self, stage: Stages);
}

impl StageTimer for () {
    fn begin(&mut self, _stage: Stages) {}
}

/// One command's verdict before its record is written.
struct Entry<'a> {
    source: EntrySource<'a>,
    segment: Option<SegmentId>,
    verdict: Result<(), Reject>,
    events: Range<usize>,
}

#[derive(Clone, Copy)]
enum EntrySource<'a> {
    Command { seat: &'a Included, asked: &'a Command, envelope: usize, command: usize },
    System(SystemCommand),
}

pub(crate) struct Execution<'a> {
    ledger: &'a mut Ledger,
    block: BlockContext,
    policy: &'a dyn PolicyDecider,
    /// That of the policy in force when the block began.
    policy_epoch: PolicyEpoch,
    included: &'a [Included],
    first_record: u64,
    entries: Vec<Entry<'a>>,
    events: Vec<Event>,
    /// Commands done in an earlier phase than that of their place.
    done_early: Vec<(usize, usize)>,
    /// This machine could not judge something that was due to leave.
    has_policy_fault: bool,
}

impl<'a> Execution<'a> {
    pub(crate) fn new(
        ledger: &'a mut Ledger,
        block: BlockContext,
        policy: &'a dyn PolicyDecider,
        included: &'a [Included],
        first_record: u64,
    ) -> Self {
        let commands = included.iter().map(|included| included.envelope().envelope().intent.commands.len()).sum();
        let policy_epoch = ledger.chain().policy.epoch;
        Self {
            ledger,
            block,
            policy,
            policy_epoch,
            included,
            first_record,
            entries: Vec::with_capacity(commands),
            events: Vec::with_capacity(commands),
            done_early: Vec::new(),
            has_policy_fault: false,
        }
    }

    /// Runs all phases, writes the records and brings the state root up to date.
    pub(crate) fn run<P: Parallel, T: StageTimer>(
        mut self,
        secret: &SealSecret,
        parallel: &P,
        timer: &mut T,
    ) -> Executed {
        timer.begin(Stages::Commands);
        let broken = self.run_phases();
        self.refuse_faulted(&broken);
        self.note_refusals();
        timer.begin(Stages::Records);
        let mut executed = self.write_records(secret, parallel);
        let is_fault =
            |entry: &Entry<'_>| entry.verdict.is_err_and(|reject| reject.code() == RejectCode::PolicyEngineFault);
        executed.has_policy_fault = self.has_policy_fault || self.entries.iter().any(is_fault);
        executed.broken = broken;
        timer.begin(Stages::StateRoot);
        executed.state_root = self.ledger.seal(secret, parallel);
        executed
    }

    /// Phases 1 to 10, and the laws. If a segment fails one, they run again without it; each segment fails once at most.
    fn run_phases(&mut self) -> Vec<BrokenLaw> {
        self.ledger.begin_commands();
        let mut all_broken = Vec::new();
        loop {
            self.phase_due();
            self.phase_governance();
            self.phase_prices();
            self.phase_marks();
            self.look_at_breakers();
            self.phase_cancels();
            self.phase_liquidations();
            self.phase_commands();
            self.phase_releases();
            self.phase_reliefs();
            let broken = self.ledger.enforce_laws_and(&self.too_long());
            if broken.is_empty() {
                return all_broken;
            }
            all_broken.extend(broken);
            self.entries.clear();
            self.events.clear();
            self.done_early.clear();
        }
    }

    /// Segments of which something has more events than its record holds. Without its events nobody could replay it, so it
    /// is undone like whatever breaks a law. Commands of no segment have a handful, and credits at most `CREDITS_MAX`.
    fn too_long(&self) -> Vec<BrokenLaw> {
        let too_long = self.entries.iter().filter(|entry| entry.events.len() > RECORD_EVENTS_MAX);
        too_long.filter_map(|entry| Some(BrokenLaw { segment: entry.segment?, law: Law::RecordFits })).collect()
    }

    /// Phase 1.
    fn phase_due(&mut self) {
        for command in self.ledger.due_at_start(&self.block) {
            self.run_system(command);
        }
        for command in self.ledger.due_conduct(&self.block) {
            self.run_system(command);
        }
    }

    /// Phase 2.
    fn phase_governance(&mut self) {
        for (envelope, command) in self.places_of(|asked| matches!(asked, Command::Propose(_) | Command::Approve(_))) {
            self.run_command(envelope, command);
            self.done_early.push((envelope, command));
        }
    }

    /// Phase 3. By feed, publisher, source time and price: whatever order they have in the block, each has the same verdict.
    fn phase_prices(&mut self) {
        let mut places = self.places_of(|asked| matches!(asked, Command::SubmitPrice(_)));
        places.sort_by_key(|&(envelope, command)| {
            self.source(envelope, command).and_then(|source| match source {
                EntrySource::Command { seat, asked: Command::SubmitPrice(price), .. } => {
                    let account = seat.envelope().envelope().intent.account;
                    Some((price.feed, account, price.source_ms, price.price, price.confidence))
                }
                EntrySource::Command { .. } | EntrySource::System(_) => None,
            })
        });
        for (envelope, command) in places {
            self.run_command(envelope, command);
            self.done_early.push((envelope, command));
        }
        for command in self.ledger.due_aggregates(&self.block) {
            self.run_system(command);
        }
    }

    /// Phase 4.
    fn phase_marks(&mut self) {
        for command in self.ledger.due_marks(&self.block) {
            self.run_system(command);
        }
        for command in self.ledger.due_funding(&self.block) {
            self.run_system(command);
        }
        for command in self.ledger.due_regimes(&self.block) {
            self.run_system(command);
        }
    }

    /// Phase 5, and whenever something that triggers look at has changed since.
    fn look_at_breakers(&mut self) {
        for command in self.ledger.due_trips(&self.block) {
            self.run_system(command);
        }
    }

    /// Phase 7. A liquidation can trip its segment to Halted, which ends those behind it.
    fn phase_liquidations(&mut self) {
        for command in self.ledger.due_liquidations(&self.block) {
            if self.ledger.may_liquidate(command.work.segment()) {
                self.run_system(command);
                self.look_at_breakers();
            }
        }
    }

    /// Phase 11, before the laws: what may be loosened by now.
    fn phase_reliefs(&mut self) {
        for command in self.ledger.due_reliefs(&self.block) {
            self.offer_policy(&command.work);
            self.run_system(command);
        }
    }

    /// What a proposed set compiles into, before its proposal is carried out; nothing for other work.
    fn offer_policy(&mut self, work: &SystemWork) {
        let SystemWork::CarryOutProposal(named) = work else { return };
        let Some(set) = self.ledger.set_to_adopt(named).cloned() else { return };
        if let Ok(table) = self.policy.compile(&set) {
            self.ledger.offer_policy(PolicyInForce::new(set, table));
        }
    }

    /// Compiles a set that was proposed while others vote on it.
    fn prepare_policy(&self, asked: &Command) {
        if let Command::Propose(propose) = asked
            && let Change::AdoptPolicies(adopt) = &propose.change
        {
            self.policy.prepare(&adopt.set);
        }
    }

    /// Places of the commands that are wanted, outside of groups, in block order.
    fn places_of(&self, wanted: impl Fn(&Command) -> bool) -> Vec<(usize, usize)> {
        let alone = self.included.iter().enumerate().filter_map(|(envelope, seat)| {
            let intent = &seat.envelope().envelope().intent;
            (intent.group == GroupMode::EachAlone).then_some((envelope, intent.commands.as_slice()))
        });
        let places = alone.flat_map(|(envelope, commands)| {
            let wanted = commands.iter().enumerate().filter(|(_, asked)| wanted(asked));
            wanted.map(|(command, _)| (envelope, command)).collect::<Vec<_>>()
        });
        places.collect()
    }

    /// Phase 6: cancels and size-down amends of orders that rested before this block, so that nobody who wants out is
    /// behind somebody who wants in. Cancel-all takes the older orders here and the younger ones at its place.
    fn phase_cancels(&mut self) {
        let included = self.included;
        for (envelope, seat) in included.iter().enumerate() {
            self.touch_ahead(envelope, is_cancel_like);
            let intent = &seat.envelope().envelope().intent;
            if intent.group == GroupMode::AllOrNothing {
                continue;
            }
            for (command, asked) in intent.commands.iter().enumerate() {
                if matches!(asked, Command::CancelAllOrders(_)) {
                    self.cancel_all_early(envelope, command);
                } else if self.ledger.is_early(intent.account, asked, self.block.time_ms) {
                    self.run_command(envelope, command);
                    self.done_early.push((envelope, command));
                }
            }
        }
    }

    /// Phase 9.
    fn phase_commands(&mut self) {
        let included = self.included;
        let mut early = core::mem::take(&mut self.done_early);
        early.sort_unstable();
        let mut early = early.into_iter().peekable();
        for (envelope, seat) in included.iter().enumerate() {
            self.touch_ahead(envelope, |command| !is_cancel_like(command));
            let intent = &seat.envelope().envelope().intent;
            if intent.group == GroupMode::AllOrNothing {
                self.run_group(envelope);
                continue;
            }
            for command in 0..intent.commands.len() {
                if early.next_if_eq(&(envelope, command)).is_none() {
                    self.run_command(envelope, command);
                }
            }
        }
    }

    /// Phase 10. What is due to leave is judged by the policy in force once more.
    fn phase_releases(&mut self) {
        for due in self.ledger.due_releases(&self.block) {
            let Ok(command) = judge_leaving(self.ledger, &self.block, self.policy, due) else {
                self.has_policy_fault = true;
                return;
            };
            self.run_system(command);
            self.look_at_breakers();
        }
    }

    /// Loads what the commands of the next envelopes need; see `casemate_ledger`'s module `touch`.
    fn touch_ahead(&self, envelope: usize, wanted: impl Fn(&Command) -> bool) {
        if !envelope.is_multiple_of(TOUCH_AHEAD) {
            return;
        }
        let ahead = self.included.iter().skip(envelope).take(TOUCH_AHEAD);
        let intents = ahead.map(|seat| &seat.envelope().envelope().intent);
        let touched = intents.fold(0u64, |sum, intent| {
            let commands = intent.commands.iter().filter(|command| wanted(command)).take(TOUCHED_COMMANDS_MAX);
            commands.fold(sum, |sum, command| {
                sum.wrapping_add(self.ledger.touch_command(intent.account, &intent.signer.key, command))
            })
        });
        core::hint::black_box(touched);
    }

    fn next_record(&self) -> RecordIndex {
        RecordIndex::new(self.first_record.saturating_add(u64::try_from(self.entries.len()).unwrap_or(u64::MAX)))
    }

    /// Cancel-all takes the older orders now and speaks at its own place, where it is judged, counted and, if there is
    /// a reason, refused.
    fn cancel_all_early(&mut self, envelope: usize, command: usize) {
        let Some(source) = self.source(envelope, command) else { return };
        let EntrySource::Command { seat, asked, .. } = source else { return };
        let start = self.events.len();
        let record = self.next_record();
        let accounts = self.ledger.accounts_savepoint();
        let verdict = pipeline::verify(self.ledger, &self.block, self.policy, seat, asked)
            .and_then(|verified| self.ledger.cancel_all_early(&self.block, verified, record, &mut self.events));
        self.ledger.roll_back_accounts(accounts);
        if verdict.is_ok() && self.events.len() > start {
            self.push(source, self.ledger.segment_of_command(asked), verdict, start);
        }
    }

    /// One command of an envelope, through the gate.
    fn run_command(&mut self, envelope: usize, command: usize) -> bool {
        let Some(source) = self.source(envelope, command) else { return false };
        let EntrySource::Command { seat, asked, .. } = source else { return false };
        let start = self.events.len();
        let record = self.next_record();
        let segment = self.ledger.segment_of_command(asked);
        let verdict = match pipeline::verify(self.ledger, &self.block, self.policy, seat, asked) {
            Ok(verified) => self.ledger.apply(&self.block, verified, record, &mut self.events),
            Err(reject) => Err(reject),
        };
        let is_accepted = verdict.is_ok();
        if is_accepted {
            self.prepare_policy(asked);
        }
        self.push(source, segment, verdict, start);
        for follow_up in self.ledger.take_follow_ups() {
            self.run_system(follow_up);
        }
        is_accepted
    }

    /// All commands of an envelope, or none.
    fn run_group(&mut self, envelope: usize) {
        let included = self.included;
        let Some(seat) = included.get(envelope) else { return };
        let commands = seat.envelope().envelope().intent.commands.as_slice();
        let first_entry = self.entries.len();
        let first_event = self.events.len();
        let segment = self.one_segment(commands);
        let savepoint = segment.and_then(|segment| self.ledger.begin_group(segment));
        let (Some(_), Some(savepoint)) = (segment, savepoint) else {
            for command in 0..commands.len() {
                let spans = Err(Reject::of(RejectCode::GroupSpansSegments));
                self.push_if_there(envelope, command, None, spans, first_event);
            }
            return;
        };
        let failed = (0..commands.len()).find(|&command| !self.run_command(envelope, command));
        let Some(failed) = failed else { return };
        self.ledger.roll_back_group(savepoint);
        self.events.truncate(first_event);
        let cause = self
            .entries
            .last()
            .and_then(|entry| entry.verdict.err())
            .map_or(0, |reject| u64::from(reject.code().number()));
        let rolled_back = Err(Reject::of(RejectCode::GroupRolledBack).present(cause));
        for entry in self.entries.iter_mut().skip(first_entry).take(failed) {
            entry.verdict = rolled_back;
            entry.events = first_event..first_event;
        }
        if let Some(entry) = self.entries.last_mut() {
            entry.events = first_event..first_event;
        }
        for command in failed.saturating_add(1)..commands.len() {
            self.push_if_there(envelope, command, segment, rolled_back, first_event);
        }
    }

    /// The segment that all commands of a group write, if it is one.
    fn one_segment(&self, commands: &[Command]) -> Option<SegmentId> {
        let mut segments = commands.iter().map(|command| self.ledger.segment_of_command(command));
        let first = segments.next()??;
        segments.all(|segment| segment == Some(first)).then_some(first)
    }

    fn run_system(&mut self, command: SystemCommand) {
        let start = self.events.len();
        let record = self.next_record();
        let verified = pipeline::verify_system(&command);
        let verdict = self.ledger.apply(&self.block, verified, record, &mut self.events);
        self.push(EntrySource::System(command), command.work.segment(), verdict, start);
    }

    fn source(&self, envelope: usize, command: usize) -> Option<EntrySource<'a>> {
        let seat = self.included.get(envelope)?;
        let asked = seat.envelope().envelope().intent.commands.as_slice().get(command)?;
        Some(EntrySource::Command { seat, asked, envelope, command })
    }

    fn push_if_there(
        &mut self,
        envelope: usize,
        command: usize,
        segment: Option<SegmentId>,
        verdict: Result<(), Reject>,
        first_event: usize,
    ) {
        if let Some(source) = self.source(envelope, command) {
            self.push(source, segment, verdict, first_event);
        }
    }

    fn push(
        &mut self,
        source: EntrySource<'a>,
        segment: Option<SegmentId>,
        verdict: Result<(), Reject>,
        first_event: usize,
    ) {
        self.entries.push(Entry { source, segment, verdict, events: first_event..self.events.len() });
    }

    /// Commands of a segment that failed a law are refused, without events: their effects are gone.
    fn refuse_faulted(&mut self, broken: &[BrokenLaw]) {
        for entry in &mut self.entries {
            let Some(fault) = broken.iter().find(|fault| Some(fault.segment) == entry.segment) else { continue };
            entry.verdict = Err(Reject::of(RejectCode::SegmentFaulted).present(u64::from(fault.segment.number())));
            entry.events = 0..0;
        }
    }

    /// Refused commands are part of what an account did. In the order of their records.
    fn note_refusals(&mut self) {
        for entry in &self.entries {
            let (Err(reject), EntrySource::Command { seat, asked, .. }) = (&entry.verdict, entry.source) else {
                continue;
            };
            let account = seat.envelope().envelope().intent.account;
            self.ledger.note_refused(&self.block, account, asked, reject.code());
        }
    }
}

/// Envelopes whose rows are loaded together.
pub(crate) const TOUCH_AHEAD: usize = 32;
/// Commands of one envelope that are loaded ahead: they are of one account, so the first few load what is common.
const TOUCHED_COMMANDS_MAX: usize = 2;

/// Whether a command names an order of its account.
const fn is_cancel_like(command: &Command) -> bool {
    matches!(command, Command::CancelOrder(_) | Command::AmendOrder(_))
}
