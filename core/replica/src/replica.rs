//! The replica: proposes, verifies, adopts and discards blocks, and answers questions about its state.

use borsh::io::{Read, Write};
use borsh::{BorshDeserialize, BorshSerialize};
use casemate_audit::Log;
use casemate_gate::{
    Authenticated, BlockBudget, Decoded, Included, NoProofs, PolicyDecider, ProofVerifier, authenticate_block,
};
use casemate_ledger::{BlockContext, Ledger, PolicyInForce, SeededKeys, SnapshotError};
use casemate_protocol::block::{Block, EnvelopeBytes, Header, PROTOCOL_VERSION, SealSecret, envelope_root};
use casemate_protocol::genesis::{Genesis, GenesisError, GenesisPlace, GenesisRule};
use casemate_protocol::parallel::Parallel;
use casemate_protocol::{BoundedVec, Digest, OperatorId, PolicyEpoch, Reject, TimeMs};

use crate::execute::{Executed, Execution, StageTimer, Stages, TOUCH_AHEAD};
use crate::invalid::InvalidBlock;

/// One replica.
#[derive(Clone)]
pub struct Replica<D> {
    ledger: Ledger,
    log: Log,
    policy: D,
    proofs: &'static dyn ProofVerifier,
    last: LastBlock,
    pending: Option<Pending>,
}

/// The last block that stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
struct LastBlock {
    id: Digest,
    state_root: Digest,
}

/// A block that was executed and neither adopted nor discarded.
#[derive(Clone)]
struct Pending {
    id: Digest,
    state_root: Digest,
    log_before: Log,
}

/// A block that this replica proposes, executed already.
#[derive(Debug)]
pub struct Proposal {
    /// The block.
    pub block: Block,
    /// What it did.
    pub executed: Executed,
    /// Envelopes that were left out, by their place in the input, and why.
    pub left_out: Vec<(usize, Reject, Authenticated)>,
}

/// What a snapshot says of itself before the state begins.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct SnapshotHeader {
    last: LastBlock,
    log: Log,
}

impl<D: PolicyDecider> Replica<D> {
    /// A replica at height 0.
    ///
    /// # Errors
    /// A rule of genesis that does not hold.
    pub fn new<P: Parallel>(
        genesis: &Genesis,
        seeded: impl Iterator<Item = SeededKeys>,
        policy: D,
        parallel: &P,
    ) -> Result<Self, GenesisError> {
        let mut ledger = Ledger::new(genesis, seeded)?;
        if !genesis.policies.is_empty() {
            let table = policy
                .compile(&genesis.policies)
                .map_err(|_refused| GenesisError { place: GenesisPlace::Chain, rule: GenesisRule::Policies })?;
            ledger.start_policy(PolicyInForce::new(genesis.policies.clone(), table));
        }
        // Everything in genesis is public, so the rows of height 0 hide nothing.
        let state_root = ledger.seal(&SealSecret([0; 32]), parallel);
        ledger.settle();
        let last = LastBlock { id: Digest::ZERO, state_root };
        Ok(Self { ledger, log: Log::default(), policy, proofs: &NoProofs, last, pending: None })
    }

    /// The same replica with another verifier of evidence. Without one it verifies no kind.
    #[must_use]
    pub fn with_proofs(self, proofs: &'static dyn ProofVerifier) -> Self {
        Self { proofs, ..self }
    }

    /// What verifies evidence.
    #[must_use]
    pub const fn proofs(&self) -> &'static dyn ProofVerifier {
        self.proofs
    }

    /// The state, including a block that was executed and does not stand yet.
    #[must_use]
    pub const fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    /// What answers for rules of policies that the state's table does not hold.
    #[must_use]
    pub const fn decider(&self) -> &D {
        &self.policy
    }

    /// The log of records.
    #[must_use]
    pub const fn log(&self) -> &Log {
        &self.log
    }

    /// Id of the last block that stands; zero at height 0.
    #[must_use]
    pub const fn last_block_id(&self) -> &Digest {
        &self.last.id
    }

    /// State root after the last block that stands.
    #[must_use]
    pub const fn state_root(&self) -> &Digest {
        &self.last.state_root
    }

    /// Builds and executes the next block from envelopes whose signatures were checked.
    ///
    /// The block is pending afterwards: adopt it once it is durable or decided, or discard it.
    ///
    /// # Errors
    /// `Busy` with another block pending, `HeightOrTime` if time does not grow, `PolicyFault`.
    pub fn propose<P: Parallel, T: StageTimer>(
        &mut self,
        envelopes: Vec<Authenticated>,
        time_ms: TimeMs,
        secret: SealSecret,
        parallel: &P,
        timer: &mut T,
    ) -> Result<Proposal, InvalidBlock> {
        if self.pending.is_some() {
            return Err(InvalidBlock::Busy);
        }
        timer.begin(Stages::Inclusion);
        let context = self.begin(time_ms)?;
        let mut budget = BlockBudget::default();
        let mut included = Vec::with_capacity(envelopes.len());
        let mut left_out = Vec::new();
        let mut envelopes = envelopes.into_iter();
        for place in 0..envelopes.len() {
            touch_ahead(&self.ledger, place, envelopes.as_slice());
            let Some(envelope) = envelopes.next() else { break };
            match budget.include(&mut self.ledger, &context, envelope) {
                Ok(seat) => included.push(seat),
                Err((reject, envelope)) => left_out.push((place, reject, envelope)),
            }
        }
        let log_before = self.log.clone();
        let epoch = self.ledger.chain().policy.epoch;
        let executed = self.execute_included(&context, &included, &secret, parallel, timer);
        if executed.has_policy_fault {
            self.ledger.roll_back_block();
            self.log = log_before;
            return Err(InvalidBlock::PolicyFault);
        }
        let header = self.header(&context, &included, &secret, epoch, executed.state_root);
        let envelopes = included.into_iter().filter_map(|seat| EnvelopeBytes::new(seat.into_bytes())).collect();
        let block = Block { header, seal_secret: secret, envelopes: BoundedVec::new(envelopes).unwrap_or_default() };
        self.pending = Some(Pending { id: block.header.id(), state_root: executed.state_root, log_before });
        Ok(Proposal { block, executed, left_out })
    }

    /// Checks a block in full: signatures, inclusion, execution, roots. It is pending afterwards.
    ///
    /// # Errors
    /// The first rule that the block breaks; the state is then as before.
    pub fn verify<P: Parallel>(&mut self, block: &Block, parallel: &P) -> Result<Executed, InvalidBlock> {
        if self.pending.is_some() {
            return Err(InvalidBlock::Busy);
        }
        self.require_header(block)?;
        let envelopes = self.authenticate(block, parallel)?;
        let context = self.begin(block.header.time_ms)?;
        let log_before = self.log.clone();
        let verdict = self.include_and_execute(&context, envelopes, block, parallel);
        match verdict {
            Ok(executed) => {
                self.pending = Some(Pending { id: block.header.id(), state_root: executed.state_root, log_before });
                Ok(executed)
            }
            Err(invalid) => {
                self.ledger.roll_back_block();
                self.log = log_before;
                Err(invalid)
            }
        }
    }

    /// The pending block stands.
    pub fn adopt(&mut self) {
        if let Some(pending) = self.pending.take() {
            self.ledger.settle();
            self.last = LastBlock { id: pending.id, state_root: pending.state_root };
        }
    }

    /// Nothing of the pending block remains.
    pub fn discard(&mut self) {
        if let Some(pending) = self.pending.take() {
            self.ledger.roll_back_block();
            self.log = pending.log_before;
        }
    }

    /// Verifies a block and adopts it: what a follower does with a decided block. A pending block of the same id is
    /// adopted as it is; another one is discarded first. Returns what execution did, unless it had been done before.
    ///
    /// # Errors
    /// As [`Replica::verify`].
    pub fn execute<P: Parallel>(&mut self, block: &Block, parallel: &P) -> Result<Option<Executed>, InvalidBlock> {
        if self.pending.as_ref().is_some_and(|pending| pending.id == block.header.id()) {
            self.adopt();
            return Ok(None);
        }
        self.discard();
        let executed = self.verify(block, parallel)?;
        self.adopt();
        Ok(Some(executed))
    }

    /// Writes a snapshot of what stands.
    ///
    /// # Errors
    /// Only what the writer returns. Nothing may be pending.
    pub fn write_snapshot<W: Write>(&self, writer: &mut W) -> borsh::io::Result<()> {
        debug_assert!(self.pending.is_none(), "a snapshot holds what stands");
        SnapshotHeader { last: self.last, log: self.log.clone() }.serialize(writer)?;
        self.ledger.write_snapshot(writer)
    }

    /// Reads a snapshot and checks it row by row against the state root that it names.
    ///
    /// # Errors
    /// [`SnapshotError`].
    pub fn read_snapshot<R: Read, P: Parallel>(
        genesis: &Genesis,
        policy: D,
        reader: &mut R,
        parallel: &P,
    ) -> Result<Self, SnapshotError> {
        let header = SnapshotHeader::deserialize_reader(reader).map_err(|_error| SnapshotError::Malformed)?;
        let ledger = Ledger::read_snapshot(genesis, &header.last.state_root, reader, parallel)?;
        ledger.proposed_sets().for_each(|set| policy.prepare(set));
        Ok(Self { ledger, log: header.log, policy, proofs: &NoProofs, last: header.last, pending: None })
    }

    /// Makes a segment's cash wrong in the block of a height, as a bug of ours would.
    #[cfg(feature = "testing")]
    pub fn break_law_for_testing(&mut self, segment: casemate_protocol::SegmentId, height: casemate_protocol::Height) {
        self.ledger.break_law_for_testing(segment, height);
    }

    /// Makes what a segment does in the block of a height have more events than a record holds, as a bug of ours would.
    #[cfg(feature = "testing")]
    pub fn flood_record_for_testing(
        &mut self,
        segment: casemate_protocol::SegmentId,
        height: casemate_protocol::Height,
    ) {
        self.ledger.flood_record_for_testing(segment, height);
    }

    fn begin(&mut self, time_ms: TimeMs) -> Result<BlockContext, InvalidBlock> {
        let height = self.ledger.chain().height.next();
        self.ledger.begin_block(height, time_ms).ok_or(InvalidBlock::HeightOrTime)
    }

    fn execute_included<P: Parallel, T: StageTimer>(
        &mut self,
        context: &BlockContext,
        included: &[Included],
        secret: &SealSecret,
        parallel: &P,
        timer: &mut T,
    ) -> Executed {
        let execution = Execution::new(&mut self.ledger, *context, &self.policy, included, self.log.size());
        let executed = execution.run(secret, parallel, timer);
        timer.begin(Stages::Header);
        for leaf in &executed.leaves {
            self.log.append(*leaf);
        }
        executed
    }

    fn include_and_execute<P: Parallel>(
        &mut self,
        context: &BlockContext,
        envelopes: Vec<Authenticated>,
        block: &Block,
        parallel: &P,
    ) -> Result<Executed, InvalidBlock> {
        let mut budget = BlockBudget::default();
        let mut included = Vec::with_capacity(envelopes.len());
        let mut envelopes = envelopes.into_iter();
        for position in 0..u32::try_from(envelopes.len()).unwrap_or(u32::MAX) {
            touch_ahead(&self.ledger, usize::try_from(position).unwrap_or(usize::MAX), envelopes.as_slice());
            let Some(envelope) = envelopes.next() else { break };
            let seat = budget
                .include(&mut self.ledger, context, envelope)
                .map_err(|(reject, _)| InvalidBlock::Envelope { position, reject })?;
            included.push(seat);
        }
        let executed = self.execute_included(context, &included, &block.seal_secret, parallel, &mut ());
        if executed.has_policy_fault {
            return Err(InvalidBlock::PolicyFault);
        }
        if executed.state_root != block.header.state_root {
            return Err(InvalidBlock::StateRoot);
        }
        if self.log.size() != block.header.log_size || self.log.root() != block.header.log_root {
            return Err(InvalidBlock::LogRoot);
        }
        Ok(executed)
    }

    fn authenticate<P: Parallel>(&self, block: &Block, parallel: &P) -> Result<Vec<Authenticated>, InvalidBlock> {
        let mut decoded = Vec::with_capacity(block.envelopes.len());
        for (bytes, position) in block.envelopes.iter().zip(0u32..) {
            let envelope = Decoded::from_bytes(bytes.as_slice().to_vec(), self.ledger.chain_id())
                .map_err(|reject| InvalidBlock::Envelope { position, reject })?;
            decoded.push(envelope);
        }
        authenticate_block(decoded, self.proofs, parallel).map_err(|(position, reject)| InvalidBlock::Envelope {
            position: u32::try_from(position).unwrap_or(u32::MAX),
            reject,
        })
    }

    fn require_header(&self, block: &Block) -> Result<(), InvalidBlock> {
        let header = &block.header;
        let rules = [
            (header.protocol_version == PROTOCOL_VERSION, InvalidBlock::ProtocolVersion),
            (header.chain_id == *self.ledger.chain_id(), InvalidBlock::WrongChain),
            (header.height == self.ledger.chain().height.next(), InvalidBlock::HeightOrTime),
            (header.parent == self.last.id, InvalidBlock::Parent),
            (header.policy_epoch == self.ledger.chain().policy.epoch, InvalidBlock::PolicyEpoch),
            (u32::try_from(block.envelopes.len()) == Ok(header.envelope_count), InvalidBlock::Envelopes),
            (block.seal_secret.commitment() == header.seal_commitment, InvalidBlock::SealSecret),
            (header.proposer == OperatorId::NONE, InvalidBlock::ReservedField),
            (header.randomness_reveal == Digest::ZERO, InvalidBlock::ReservedField),
            (header.next_validators == Digest::ZERO, InvalidBlock::ReservedField),
        ];
        if let Some((_, broken)) = rules.into_iter().find(|(holds, _)| !holds) {
            return Err(broken);
        }
        let root = envelope_root(block.envelopes.iter().map(BoundedVec::as_slice));
        if root == header.envelope_root { Ok(()) } else { Err(InvalidBlock::Envelopes) }
    }

    fn header(
        &self,
        context: &BlockContext,
        included: &[Included],
        secret: &SealSecret,
        policy_epoch: PolicyEpoch,
        state_root: Digest,
    ) -> Header {
        Header {
            protocol_version: PROTOCOL_VERSION,
            chain_id: *self.ledger.chain_id(),
            height: context.height,
            time_ms: context.time_ms,
            parent: self.last.id,
            proposer: OperatorId::NONE,
            policy_epoch,
            envelope_count: u32::try_from(included.len()).unwrap_or(u32::MAX),
            envelope_root: envelope_root(included.iter().map(|seat| seat.envelope().bytes())),
            state_root,
            log_size: self.log.size(),
            log_root: self.log.root(),
            seal_commitment: secret.commitment(),
            randomness_reveal: Digest::ZERO,
            next_validators: Digest::ZERO,
        }
    }
}

/// Loads the accounts of the next envelopes; see `casemate_ledger`'s module `touch`.
fn touch_ahead(ledger: &Ledger, place: usize, ahead: &[Authenticated]) {
    if !place.is_multiple_of(TOUCH_AHEAD) {
        return;
    }
    let touched = ahead.iter().take(TOUCH_AHEAD).fold(0u64, |sum, envelope| {
        let intent = &envelope.envelope().intent;
        sum.wrapping_add(ledger.touch_account(intent.account, &intent.signer.key))
    });
    core::hint::black_box(touched);
}
