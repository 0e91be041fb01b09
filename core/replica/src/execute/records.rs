//! The records of a block: a body for each verdict, sealed, with its leaf; and the verdicts envelope by envelope.

use std::ops::Range;

use casemate_audit::{RecordHeader, RecordSource, Verdict, encode_body, seal};
use casemate_protocol::block::SealSecret;
use casemate_protocol::parallel::Parallel;
use casemate_protocol::{Digest, Event, RecordIndex};

use super::{CommandOutcome, Entry, EntrySource, EnvelopeOutcome, Executed, Execution};

impl Execution<'_> {
    /// Encodes and seals a record for each verdict, in order.
    pub(super) fn write_records<P: Parallel>(&self, secret: &SealSecret, parallel: &P) -> Executed {
        let mut pieces: Vec<RecordPiece<'_>> = self
            .entries
            .chunks(RECORDS_PER_PIECE)
            .zip((0u32..).step_by(RECORDS_PER_PIECE))
            .map(|(entries, first)| RecordPiece { entries, first, ..RecordPiece::default() })
            .collect();
        parallel.for_each_mut(&mut pieces, |piece| self.write_piece(secret, piece));
        let mut executed = Executed { envelopes: self.outcomes(), ..Executed::default() };
        executed.records.reserve(self.entries.len());
        executed.body_ranges.reserve(self.entries.len());
        let body_bytes = pieces.iter().map(|piece| piece.bodies.len()).sum::<usize>();
        executed.bodies.reserve_exact(body_bytes.saturating_add(LENGTH_SIZE_BYTES));
        executed.bodies.extend_from_slice(&length_bytes(self.entries.len()));
        for piece in pieces {
            let offset = executed.bodies.len();
            executed.bodies.extend_from_slice(&piece.bodies);
            executed.records.extend_from_slice(&piece.headers);
            executed.leaves.extend_from_slice(&piece.leaves);
            executed.body_ranges.extend(
                piece.ranges.iter().map(|range| range.start.saturating_add(offset)..range.end.saturating_add(offset)),
            );
        }
        let is_trade = |event: &&Event| matches!(event, Event::TradeExecuted(_));
        let trades = self.entries.iter().flat_map(|entry| self.events_of(entry)).filter(is_trade).count();
        executed.trades = u64::try_from(trades).unwrap_or(u64::MAX);
        executed
    }

    fn write_piece(&self, secret: &SealSecret, piece: &mut RecordPiece<'_>) {
        for (entry, place) in piece.entries.iter().zip(piece.first..) {
            let length_at = piece.bodies.len();
            piece.bodies.extend_from_slice(&[0; LENGTH_SIZE_BYTES]);
            let start = piece.bodies.len();
            let verdict = match entry.verdict {
                Ok(()) => Verdict::Accepted,
                Err(reject) => Verdict::Refused(reject),
            };
            let encoded = encode_body(&mut piece.bodies, &self.source_of(entry), &verdict, self.events_of(entry));
            debug_assert!(encoded.is_ok(), "what is too long was undone before");
            let range = start..piece.bodies.len();
            if let Some(length) = piece.bodies.get_mut(length_at..start) {
                length.copy_from_slice(&length_bytes(range.len()));
            }
            let body = piece.bodies.get(range.clone()).unwrap_or(&[]);
            let index = RecordIndex::new(self.first_record.saturating_add(u64::from(place)));
            let header = seal(secret, index, self.block.height, place, body);
            piece.leaves.push(header.leaf());
            piece.headers.push(header);
            piece.ranges.push(range);
        }
    }

    fn events_of(&self, entry: &Entry<'_>) -> &[Event] {
        self.events.get(entry.events.clone()).unwrap_or(&[])
    }

    fn source_of(&self, entry: &Entry<'_>) -> RecordSource {
        match entry.source {
            EntrySource::System(command) => RecordSource::System(command),
            EntrySource::Command { seat, command, asked, .. } => RecordSource::Command {
                envelope: seat.envelope().digests().intent,
                command_index: u16::try_from(command).unwrap_or(u16::MAX),
                account: seat.envelope().envelope().intent.account,
                signer_key: seat.envelope().envelope().intent.signer.key,
                policy_epoch: self.policy_epoch,
                action: asked.action(),
            },
        }
    }

    /// Verdicts by envelope and command. Cancel-all may have two records; its last one counts.
    fn outcomes(&self) -> Vec<EnvelopeOutcome> {
        let mut outcomes: Vec<EnvelopeOutcome> = self
            .included
            .iter()
            .map(|seat| EnvelopeOutcome {
                envelope: seat.envelope().digests().intent,
                commands: vec![
                    CommandOutcome { record: RecordIndex::NONE, refusal: None };
                    seat.envelope().envelope().intent.commands.len()
                ],
            })
            .collect();
        for (entry, record) in self.entries.iter().zip(self.first_record..) {
            let EntrySource::Command { envelope, command, .. } = entry.source else { continue };
            let outcome = outcomes.get_mut(envelope).and_then(|outcome| outcome.commands.get_mut(command));
            if let Some(outcome) = outcome {
                *outcome = CommandOutcome { record: RecordIndex::new(record), refusal: entry.verdict.err() };
            }
        }
        outcomes
    }
}

/// Records that one piece of parallel work writes.
const RECORDS_PER_PIECE: usize = 256;

/// Bytes that the length of a list or of a body takes, as borsh writes it.
const LENGTH_SIZE_BYTES: usize = 4;

fn length_bytes(length: usize) -> [u8; LENGTH_SIZE_BYTES] {
    u32::try_from(length).unwrap_or(u32::MAX).to_le_bytes()
}

#[derive(Default)]
struct RecordPiece<'a> {
    entries: &'a [Entry<'a>],
    first: u32,
    bodies: Vec<u8>,
    ranges: Vec<Range<usize>>,
    headers: Vec<RecordHeader>,
    leaves: Vec<Digest>,
}
