//! Evidence beyond a signature: refused by its kind as long as nothing verifies it, bound to the envelope that it came with.

use casemate_gate::ProofVerifier;
use casemate_protocol::command::RequestWithdrawal;
use casemate_protocol::envelope::{Evidence, EvidenceKind};
use casemate_protocol::genesis::Genesis;
use casemate_protocol::parallel::Sequential;
use casemate_protocol::{AccountId, Command, Digest, Reject, RejectCode, SegmentId};
use casemate_replica::Replica;

use crate::kit::words::{self, Words};
use crate::kit::{Letter, Step, Venue, first_seeded, genesis, list, micros, seeded_keys};

/// Withdrawals take a proof.
const PROVEN: &str = "RequestWithdrawal regime Calm Proven";

/// Takes for a proof what ends in the digest of the intent that it is verified for.
struct Bound;

/// Takes anything for a proof: what a verifier must not do.
struct Credulous;

impl ProofVerifier for Bound {
    fn verify(&self, evidence: &Evidence, _account: AccountId, intent: &Digest) -> Result<(), Reject> {
        let is_bound = evidence.body.as_slice().ends_with(intent.bytes());
        if is_bound { Ok(()) } else { Err(RejectCode::SignatureInvalid.into()) }
    }
}

impl ProofVerifier for Credulous {
    fn verify(&self, _evidence: &Evidence, _account: AccountId, _intent: &Digest) -> Result<(), Reject> {
        Ok(())
    }
}

fn venue(proofs: Option<&'static dyn ProofVerifier>) -> Venue<Words> {
    let genesis = Genesis { policies: words::set(PROVEN), ..genesis() };
    let replica = Replica::new(&genesis, seeded_keys(&genesis), Words, &Sequential).unwrap();
    let replica = match proofs {
        Some(proofs) => replica.with_proofs(proofs),
        None => replica,
    };
    Venue::at_start(genesis, replica)
}

fn withdrawal(venue: &mut Venue<Words>) -> Letter {
    let account = first_seeded(venue.ledger().genesis());
    let command = Command::RequestWithdrawal(Box::new(RequestWithdrawal {
        segment: SegmentId::new(1),
        amount: micros(5),
        chain: 1,
        destination: list(vec![1]),
    }));
    venue.root(account, vec![command])
}

/// A proof for this letter.
fn proof_for(letter: &Letter) -> Evidence {
    let intent = letter.intent.digest();
    Evidence { kind: EvidenceKind::CREDENTIAL, intent, body: list(intent.bytes().to_vec()) }
}

fn outside(step: &Step) -> RejectCode {
    let [(0, code)] = step.refused_outside[..] else { panic!("{:?}", step.refused_outside) };
    code
}

pub fn proof_not_supported() -> Result<(), RejectCode> {
    let mut venue = venue(None);
    let letter = withdrawal(&mut venue);
    let proof = proof_for(&letter);
    venue.step(&[letter.evidence(proof)]).only()
}

pub fn evidence_of_other_intent() -> Result<(), RejectCode> {
    let mut venue = venue(Some(&Bound));
    let lifted = proof_for(&withdrawal(&mut venue));
    let letter = withdrawal(&mut venue).evidence(lifted);
    venue.step(&[letter]).only()
}

pub fn evidence_command_count() -> Result<(), RejectCode> {
    let mut venue = venue(Some(&Bound));
    let mut letter = withdrawal(&mut venue);
    let command = letter.intent.commands.as_slice()[0].clone();
    letter.intent.commands = list(vec![command.clone(), command]);
    let proof = proof_for(&letter);
    venue.step(&[letter.evidence(proof)]).only()
}

#[test]
fn nobody_verifies_proofs_yet_and_the_refusal_says_so_and_takes_no_nonce() {
    let mut venue = venue(None);
    for kind in [EvidenceKind::CREDENTIAL, EvidenceKind::MEMBERSHIP, EvidenceKind::new(777)] {
        let letter = withdrawal(&mut venue);
        let evidence = Evidence { kind, ..proof_for(&letter) };
        let step = venue.step(&[letter.clone().evidence(evidence)]);
        assert_eq!(outside(&step), RejectCode::ProofNotSupported);
        // The same nonce, without the evidence: included, and told what it lacks.
        assert_eq!(venue.step(&[letter]).only(), Err(RejectCode::EvidenceTooLow));
    }
}

#[test]
fn a_proof_for_this_withdrawal_opens_what_the_root_key_alone_does_not() {
    let mut venue = venue(Some(&Bound));
    let bare = withdrawal(&mut venue);
    assert_eq!(venue.step(&[bare]).only(), Err(RejectCode::EvidenceTooLow));
    let letter = withdrawal(&mut venue);
    let proof = proof_for(&letter);
    assert_eq!(venue.step(&[letter.evidence(proof)]).only(), Ok(()));
}

#[test]
fn a_membership_proof_is_no_credential() {
    let mut venue = venue(Some(&Bound));
    let letter = withdrawal(&mut venue);
    let proof = Evidence { kind: EvidenceKind::MEMBERSHIP, ..proof_for(&letter) };
    assert_eq!(venue.step(&[letter.evidence(proof)]).only(), Err(RejectCode::EvidenceTooLow));
}

#[test]
fn evidence_lifted_from_another_envelope_is_refused_whatever_it_says_of_itself() {
    let mut venue = venue(Some(&Bound));
    let first = withdrawal(&mut venue);
    let lifted = proof_for(&first);
    assert_eq!(venue.step(&[first.evidence(lifted.clone())]).only(), Ok(()));
    // As it is: it names another intent.
    let second = withdrawal(&mut venue);
    let step = venue.step(&[second.clone().evidence(lifted.clone())]);
    assert_eq!(outside(&step), RejectCode::EvidenceOfOtherIntent);
    // Relabelled: its body is bound to the other intent, and the verifier says so.
    let relabelled = Evidence { intent: second.intent.digest(), ..lifted };
    assert_ne!(venue.step(&[second.evidence(relabelled)]).refused_outside, []);
}

#[test]
fn without_a_verifier_that_binds_a_lifted_proof_would_open_the_second_withdrawal() {
    let mut venue = venue(Some(&Credulous));
    let first = withdrawal(&mut venue);
    let lifted = proof_for(&first);
    let second = withdrawal(&mut venue);
    let relabelled = Evidence { intent: second.intent.digest(), ..lifted };
    assert_eq!(venue.step(&[second.evidence(relabelled)]).only(), Ok(()));
}

#[test]
fn evidence_can_be_neither_added_nor_taken_away_after_signing() {
    let mut venue = venue(Some(&Bound));
    let letter = withdrawal(&mut venue);
    let with = letter.clone().evidence(proof_for(&letter)).sealed();
    let without = letter.sealed();
    let intent_bytes = borsh::to_vec(&letter.intent).unwrap();
    // Evidence of one, signature of the other.
    let splice = |evidence_of: &[u8], signature_of: &[u8]| {
        let evidence = &evidence_of[intent_bytes.len()..evidence_of.len() - 64];
        [&intent_bytes, evidence, &signature_of[signature_of.len() - 64..]].concat()
    };
    assert_eq!(splice(&with, &with), with);
    for forged in [splice(&with, &without), splice(&without, &with)] {
        assert_eq!(outside(&venue.step_after(10, vec![forged])), RejectCode::SignatureInvalid);
    }
}
