use proptest::prelude::*;

use super::*;
use crate::command::{QuoteLadder, QuoteLevel};
use crate::limits::{EVIDENCE_BODY_BYTES_MAX, QUOTE_LEVELS_MAX};
use crate::testing::golden::{assert_golden, table};
use crate::testing::{arbitrary, examples};
use crate::{Action, MarketId, PriceTicks, QuantityLots};

fn code_of(result: Result<(Envelope, EnvelopeDigests), Reject>) -> RejectCode {
    result.unwrap_err().code()
}

fn every_example() -> Envelope {
    examples::envelope(Action::ALL.map(examples::command).to_vec())
}

/// Whoever changes a byte is found out: the bytes do not decode, or they are another envelope with another digest, or
/// only the signature differs, which then is not the one that was made for this digest.
fn assert_bound(original: &[u8], changed: &[u8]) {
    let (envelope, digests) = Envelope::decode(original).unwrap();
    let evidence_at = borsh::to_vec(&envelope.intent).unwrap().len();
    let signature_at = evidence_at + borsh::to_vec(&envelope.evidence).unwrap().len();
    match Envelope::decode(changed) {
        Err(reject) => assert!(
            [RejectCode::Malformed, RejectCode::EnvelopeVersionUnsupported, RejectCode::EnvelopeEmpty]
                .contains(&reject.code())
        ),
        Ok((envelope, changed_digests)) => {
            assert_eq!(envelope.encode(), changed, "decode then encode is the identity on everything that decodes");
            if original.get(..signature_at) == changed.get(..signature_at) {
                assert_eq!(digests, changed_digests, "the id never depends on the signature");
            } else {
                let is_same_intent = original.get(..evidence_at) == changed.get(..evidence_at);
                assert_eq!(digests.intent == changed_digests.intent, is_same_intent, "the id is that of the intent");
                assert_ne!(digests.envelope, changed_digests.envelope, "evidence is signed as well");
            }
        }
    }
}

proptest! {
    #[test]
    fn prop_decode_inverts_encode(envelope in arbitrary::envelope(8)) {
        let (decoded, digests) = Envelope::decode(&envelope.encode()).unwrap();
        prop_assert_eq!(&decoded, &envelope);
        prop_assert_eq!(digests, envelope.digests());
        prop_assert_eq!(digests.intent, envelope.intent.digest());
    }

    #[test]
    fn prop_a_flipped_bit_is_found_out(envelope in arbitrary::envelope(4), place in any::<prop::sample::Index>()) {
        let bytes = envelope.encode();
        let bit = place.index(bytes.len() * 8);
        let mut flipped = bytes.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        assert_bound(&bytes, &flipped);
    }

    #[test]
    fn prop_a_replaced_byte_is_found_out(
        envelope in arbitrary::envelope(4),
        place in any::<prop::sample::Index>(),
        byte in any::<u8>(),
    ) {
        let bytes = envelope.encode();
        let mut replaced = bytes.clone();
        replaced[place.index(bytes.len())] = byte;
        assert_bound(&bytes, &replaced);
    }

    #[test]
    fn prop_a_shortened_or_lengthened_envelope_is_refused(
        envelope in arbitrary::envelope(4),
        place in any::<prop::sample::Index>(),
        tail in prop::collection::vec(any::<u8>(), 1..80),
    ) {
        let mut bytes = envelope.encode();
        prop_assert_eq!(code_of(Envelope::decode(&bytes[..place.index(bytes.len())])), RejectCode::Malformed);
        bytes.extend(tail);
        prop_assert_eq!(code_of(Envelope::decode(&bytes)), RejectCode::Malformed);
    }

    #[test]
    fn prop_no_bytes_make_decode_panic(bytes in prop::collection::vec(any::<u8>(), 0..600)) {
        let _verdict = Envelope::decode(&bytes);
        let mut versioned = ENVELOPE_VERSION.to_le_bytes().to_vec();
        versioned.extend(bytes);
        let _verdict = Envelope::decode(&versioned);
    }
}

#[test]
fn every_command_survives_decode_and_encode() {
    let config = ProptestConfig { cases: 64, ..ProptestConfig::default() };
    for action in Action::ALL {
        let strategy = (arbitrary::command_of(action), arbitrary::signature_of(examples::key(0)));
        proptest!(config.clone(), |((command, signature) in strategy)| {
            prop_assert_eq!(command.action(), action);
            let envelope = Envelope { signature, ..examples::envelope(vec![command]) };
            let (decoded, _) = Envelope::decode(&envelope.encode()).unwrap();
            prop_assert_eq!(decoded, envelope);
        });
    }
}

#[test]
fn every_flipped_bit_of_every_command_is_found_out() {
    let bytes = every_example().encode();
    for bit in 0..bytes.len() * 8 {
        let mut flipped = bytes.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        assert_bound(&bytes, &flipped);
    }
}

#[test]
fn every_truncation_is_malformed() {
    let bytes = every_example().encode();
    for length in 0..bytes.len() {
        assert_eq!(code_of(Envelope::decode(&bytes[..length])), RejectCode::Malformed, "{length} bytes");
    }
}

#[test]
fn every_trailing_byte_is_malformed() {
    let mut bytes = every_example().encode();
    for byte in 0..=u8::MAX {
        bytes.push(byte);
        assert_eq!(code_of(Envelope::decode(&bytes)), RejectCode::Malformed);
        bytes.pop();
    }
}

#[test]
fn another_version_is_refused_as_such_whatever_follows() {
    for version in [0, 2, u16::MAX] {
        let reject = Envelope::decode(&version.to_le_bytes()).unwrap_err();
        assert_eq!(reject.code(), RejectCode::EnvelopeVersionUnsupported);
        assert_eq!(reject.numbers(), (1, i64::from(version)));
    }
    assert_eq!(code_of(Envelope::decode(&[])), RejectCode::Malformed);
    assert_eq!(code_of(Envelope::decode(&[1])), RejectCode::Malformed);
}

#[test]
fn an_envelope_of_more_than_64_kib_is_refused_before_it_is_read() {
    let reject = Envelope::decode(&vec![0xff; ENVELOPE_SIZE_BYTES_MAX + 1]).unwrap_err();
    assert_eq!((reject.code(), reject.numbers()), (RejectCode::EnvelopeTooLarge, (65_536, 65_537)));
    assert_ne!(code_of(Envelope::decode(&vec![0xff; ENVELOPE_SIZE_BYTES_MAX])), RejectCode::EnvelopeTooLarge);
}

#[test]
fn lists_within_their_maximum_can_still_be_too_large_together() {
    let level = QuoteLevel { price: PriceTicks::from_ticks(1), quantity: QuantityLots::from_lots(1) };
    let levels = || BoundedVec::new(vec![level; QUOTE_LEVELS_MAX]).unwrap();
    let ladder = QuoteLadder { market: MarketId::new(1), bids: levels(), asks: levels() };
    let full = |count: usize| examples::envelope(vec![Command::QuoteLadder(Box::new(ladder.clone())); count]);
    assert!(Envelope::decode(&full(ENVELOPE_COMMANDS_MAX - 2).encode()).is_ok());
    let too_large = full(ENVELOPE_COMMANDS_MAX).encode();
    assert_eq!(code_of(Envelope::decode(&too_large)), RejectCode::EnvelopeTooLarge);
}

#[test]
fn an_envelope_without_commands_is_refused_as_empty() {
    assert_eq!(code_of(Envelope::decode(&examples::envelope(vec![]).encode())), RejectCode::EnvelopeEmpty);
}

#[test]
fn at_most_64_commands_decode() {
    let bytes_with = |count: usize| {
        let mut bytes = borsh::to_vec(&examples::intent(vec![])).unwrap();
        bytes.truncate(bytes.len() - 4);
        bytes.extend(u32::try_from(count).unwrap().to_le_bytes());
        bytes.extend(vec![Action::OpenAccount.number(); count]);
        bytes.extend(EMPTY_LIST);
        bytes.extend([0; 64]);
        bytes
    };
    let (full, _) = Envelope::decode(&bytes_with(ENVELOPE_COMMANDS_MAX)).unwrap();
    assert_eq!(full.intent.commands.len(), ENVELOPE_COMMANDS_MAX);
    for count in [ENVELOPE_COMMANDS_MAX + 1, 1_000] {
        assert_eq!(code_of(Envelope::decode(&bytes_with(count))), RejectCode::Malformed);
    }
}

#[test]
fn evidence_of_any_kind_decodes_within_its_bounds_and_is_part_of_what_is_signed() {
    let piece = |kind: u16, size: usize| Evidence {
        kind: EvidenceKind::new(kind),
        intent: Digest([7; 32]),
        body: BoundedVec::new(vec![9; size]).unwrap_or_default(),
    };
    let mut envelope = examples::envelope(vec![examples::command(Action::RequestWithdrawal)]);
    let bare = envelope.digests();
    for kind in [0, 1, 2, 777, u16::MAX] {
        envelope.evidence = BoundedVec::new(vec![piece(kind, EVIDENCE_BODY_BYTES_MAX); ENVELOPE_EVIDENCE_MAX]).unwrap();
        let (decoded, digests) = Envelope::decode(&envelope.encode()).unwrap();
        assert_eq!((&decoded, digests), (&envelope, envelope.digests()));
        assert_eq!(digests.intent, bare.intent, "the id is that of the intent");
        assert_ne!(digests.envelope, bare.envelope);
    }
    // One piece more, or a body of one byte more.
    let intent = borsh::to_vec(&envelope.intent).unwrap();
    let with = |pieces: &[u8]| [&intent, pieces, &[0; 64]].concat();
    let nine = borsh::to_vec(&vec![piece(1, 1); ENVELOPE_EVIDENCE_MAX + 1]).unwrap();
    assert_eq!(code_of(Envelope::decode(&with(&nine))), RejectCode::Malformed);
    let mut long = borsh::to_vec(&vec![piece(1, EVIDENCE_BODY_BYTES_MAX)]).unwrap();
    let length_at = long.len() - EVIDENCE_BODY_BYTES_MAX - 4;
    long[length_at..length_at + 4].copy_from_slice(&4_097u32.to_le_bytes());
    long.push(9);
    assert_eq!(code_of(Envelope::decode(&with(&long))), RejectCode::Malformed);
}

#[test]
fn a_truth_value_is_zero_or_one() {
    let with = |is_reduce_only: bool| {
        let order = crate::command::PlaceOrder { is_reduce_only, ..examples::place_order() };
        examples::envelope(vec![Command::PlaceOrder(order)]).encode()
    };
    let (no, yes) = (with(false), with(true));
    let at = no.iter().zip(&yes).position(|(no, yes)| no != yes).unwrap();
    for byte in 0..=u8::MAX {
        let mut bytes = no.clone();
        bytes[at] = byte;
        assert_eq!(Envelope::decode(&bytes).is_ok(), byte <= 1, "truth value {byte}");
    }
}

#[test]
fn the_signature_is_not_part_of_the_id() {
    let mut envelope = every_example();
    let (_, before) = Envelope::decode(&envelope.encode()).unwrap();
    envelope.signature = SignatureBytes::Ed25519([0xff; 64]);
    assert_eq!(Envelope::decode(&envelope.encode()).unwrap().1, before);
}

#[test]
fn golden_envelopes() {
    let mut opening = examples::envelope(vec![Command::OpenAccount]);
    opening.intent.account = AccountId::NONE;
    opening.intent.nonce = 1;
    opening.intent.signer = Signer { role: SignerRole::Root, key: examples::key(0x11) };
    let mut group = examples::envelope([Action::CancelAllOrders, Action::SetDeadMan].map(examples::command).to_vec());
    group.intent.group = GroupMode::AllOrNothing;
    let order = examples::envelope(vec![examples::command(Action::PlaceOrder)]);
    let mut proven = examples::envelope(vec![examples::command(Action::RequestWithdrawal)]);
    let body = BoundedVec::new(vec![0xab; 3]).unwrap();
    let evidence = Evidence { kind: EvidenceKind::CREDENTIAL, intent: proven.intent.digest(), body };
    proven.evidence = BoundedVec::new(vec![evidence]).unwrap();
    let envelopes = [
        ("opening", opening),
        ("one-order", order),
        ("all-or-nothing", group),
        ("with-evidence", proven),
        ("every-command", every_example()),
    ];
    let rows = envelopes.map(|(name, envelope)| {
        let bytes = envelope.encode();
        let (decoded, digests) = Envelope::decode(&bytes).unwrap();
        assert_eq!(decoded, envelope);
        [name.to_owned(), hash::Hex(&bytes).to_string(), digests.intent.to_string(), digests.envelope.to_string()]
    });
    assert_golden("envelope.tsv", &table(["name", "bytes", "intent_digest", "envelope_digest"], &rows));
}

#[test]
fn the_digest_of_no_evidence_is_that_of_the_empty_list() {
    assert_eq!(EMPTY_LIST_DIGEST, hash::digest(Domain::Evidence, &[&EMPTY_LIST]));
}
