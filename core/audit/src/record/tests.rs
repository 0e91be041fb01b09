use casemate_protocol::RejectCode;
use casemate_protocol::testing::golden::{assert_golden, hex_of, table};
use casemate_protocol::testing::{arbitrary, examples, known_tags};
use proptest::prelude::*;

use super::*;
use crate::log::{Log, inclusion_proof};

fn source() -> impl Strategy<Value = RecordSource> {
    let names = (arbitrary::digest(), any::<u16>(), arbitrary::account_id(), arbitrary::public_key());
    let command = (names, arbitrary::policy_epoch(), arbitrary::action()).prop_map(|(names, policy_epoch, action)| {
        let (envelope, command_index, account, signer_key) = names;
        RecordSource::Command { envelope, command_index, account, signer_key, policy_epoch, action }
    });
    prop_oneof![command, arbitrary::system_command().prop_map(RecordSource::System)]
}

fn verdict() -> impl Strategy<Value = Verdict> {
    prop_oneof![Just(Verdict::Accepted), arbitrary::reject().prop_map(Verdict::Refused)]
}

fn body() -> impl Strategy<Value = RecordBody> {
    let events = prop::collection::vec(arbitrary::event(), 0..6);
    (source(), verdict(), events).prop_map(|(source, verdict, events)| RecordBody {
        source,
        verdict,
        events: BoundedVec::new(events).unwrap(),
    })
}

fn bytes_of(body: &RecordBody) -> Vec<u8> {
    let mut bytes = Vec::new();
    encode_body(&mut bytes, &body.source, &body.verdict, body.events.as_slice()).unwrap();
    bytes
}

fn sealed(secret: &SealSecret, index: u64, body: &RecordBody) -> OpenedRecord {
    let index = RecordIndex::new(index);
    let header = seal(secret, index, Height::new(7), 3, &bytes_of(body));
    OpenedRecord { header, salt: record_salt(secret, index), body: body.clone() }
}

/// A log of a few records with this one at its index.
fn log_with(record: &OpenedRecord) -> (Vec<Digest>, Log) {
    let other = |place: u64| merkle::leaf_hash(&place.to_le_bytes());
    let mut leaves: Vec<Digest> = (0..record.header.index.number() + 5).map(other).collect();
    leaves[usize::try_from(record.header.index.number()).unwrap()] = record.header.leaf();
    let mut log = Log::default();
    for leaf in &leaves {
        log.append(*leaf);
    }
    (leaves, log)
}

proptest! {
    #[test]
    fn prop_a_streamed_body_is_the_encoded_body(body in body(), before in prop::collection::vec(any::<u8>(), 0..9)) {
        let mut streamed = before.clone();
        encode_body(&mut streamed, &body.source, &body.verdict, body.events.as_slice()).unwrap();
        let encoded = borsh::to_vec(&body).unwrap();
        prop_assert_eq!(&streamed[before.len()..], &encoded);
        prop_assert_eq!(&streamed[..before.len()], &before, "bytes are appended, not replaced");
        prop_assert_eq!(borsh::from_slice::<RecordBody>(&encoded).unwrap(), body);
    }

    #[test]
    fn prop_a_sealed_record_opens(body in body(), secret in arbitrary::seal_secret(), index in 0u64..40) {
        let record = sealed(&secret, index, &body);
        prop_assert!(record.verify());
        prop_assert_eq!(borsh::from_slice::<OpenedRecord>(&borsh::to_vec(&record).unwrap()).unwrap(), record.clone());
        let (leaves, log) = log_with(&record);
        let proof = inclusion_proof(&leaves, record.header.index, log.size()).unwrap();
        prop_assert!(record.header.is_in_log(&proof, log.size(), &log.root()));
    }

    /// Whatever is changed in an opened record, the body no longer fits the header or the header no longer the log.
    #[test]
    fn prop_a_changed_record_does_not_open(
        body in body(),
        secret in arbitrary::seal_secret(),
        place in any::<prop::sample::Index>(),
    ) {
        let record = sealed(&secret, 9, &body);
        let (leaves, log) = log_with(&record);
        let proof = inclusion_proof(&leaves, record.header.index, log.size()).unwrap();
        let bytes = borsh::to_vec(&record).unwrap();
        let bit = place.index(bytes.len() * 8);
        let mut flipped = bytes;
        flipped[bit / 8] ^= 1 << (bit % 8);
        if let Ok(changed) = borsh::from_slice::<OpenedRecord>(&flipped) {
            let is_in_log = changed.header.is_in_log(&proof, log.size(), &log.root());
            prop_assert!(!(changed.verify() && is_in_log), "bit {} changed unnoticed", bit);
            prop_assert_eq!(is_in_log, changed.header == record.header);
        }
    }

    #[test]
    fn prop_another_body_does_not_open(body in body(), other in body(), secret in arbitrary::seal_secret()) {
        prop_assume!(body != other);
        let record = sealed(&secret, 9, &body);
        let swapped = OpenedRecord { body: other, ..record };
        prop_assert!(!swapped.verify());
    }

    #[test]
    fn prop_equal_bodies_have_unequal_commitments(body in body(), secret in arbitrary::seal_secret(), index in 0u64..1 << 40) {
        let one = sealed(&secret, index, &body);
        let other = sealed(&secret, index + 1, &body);
        prop_assert_ne!(one.header.commitment, other.header.commitment);
        let salt_of_other = OpenedRecord { salt: other.salt, ..one };
        prop_assert!(!salt_of_other.verify(), "the salt of one record opens no other");
    }

    #[test]
    fn prop_a_commitment_without_the_secret_tells_nothing(
        body in body(),
        secret in arbitrary::seal_secret(),
        guess in arbitrary::seal_secret(),
    ) {
        prop_assume!(secret != guess);
        let (record, guessed) = (sealed(&secret, 9, &body), sealed(&guess, 9, &body));
        prop_assert_ne!(record.header.commitment, guessed.header.commitment);
        let opened_by_guess = OpenedRecord { header: record.header, ..guessed };
        prop_assert!(!opened_by_guess.verify());
    }

    #[test]
    fn prop_a_leaf_is_the_leaf_hash_of_the_encoded_header(body in body(), index in any::<u64>(), position in any::<u32>()) {
        let secret = examples::seal_secret();
        let header = seal(&secret, RecordIndex::new(index), Height::new(index), position, &bytes_of(&body));
        let encoded = borsh::to_vec(&header).unwrap();
        prop_assert_eq!(encoded.len(), HEADER_SIZE_BYTES);
        prop_assert_eq!(header.leaf(), merkle::leaf_hash(&encoded));
        prop_assert_eq!(borsh::from_slice::<RecordHeader>(&encoded).unwrap(), header);
    }
}

#[test]
fn a_body_holds_its_maximum_of_events_and_no_more() {
    let body = example_bodies()[0].1.clone();
    let events = vec![Event::AccountOpened(opened()); RECORD_EVENTS_MAX + 1];
    let mut bytes = vec![1, 2, 3];
    let refused = encode_body(&mut bytes, &body.source, &body.verdict, &events);
    assert_eq!(refused, Err(TooManyEvents { count: RECORD_EVENTS_MAX + 1 }));
    assert_eq!(bytes, [1, 2, 3], "nothing is half written");
    assert_eq!(refused.unwrap_err().to_string(), "`4097` events do not fit one record, which holds `4096`");

    let mut bytes = Vec::new();
    encode_body(&mut bytes, &body.source, &body.verdict, &events[1..]).unwrap();
    assert_eq!(borsh::from_slice::<RecordBody>(&bytes).unwrap().events.len(), RECORD_EVENTS_MAX);
}

fn opened() -> casemate_protocol::event::AccountOpened {
    let opened = examples::events().into_iter().find_map(|event| match event {
        Event::AccountOpened(opened) => Some(opened),
        _ => None,
    });
    opened.unwrap()
}

#[test]
fn a_proof_for_another_place_or_size_does_not_place_a_header() {
    let body = example_bodies()[0].1.clone();
    let record = sealed(&examples::seal_secret(), 2, &body);
    let (leaves, log) = log_with(&record);
    // One path can lead to one root for several sizes, so the size that a proof states must be the log's.
    for size in 3..=log.size() + 1 {
        for index in 0..size {
            let Some(proof) = inclusion_proof(&leaves, RecordIndex::new(index), size) else {
                continue;
            };
            let is_right = index == 2 && size == log.size();
            assert_eq!(record.header.is_in_log(&proof, log.size(), &log.root()), is_right, "{index} of {size}");
        }
    }
    let proof = inclusion_proof(&leaves, record.header.index, log.size()).unwrap();
    assert!(!record.header.is_in_log(&proof, log.size() + 1, &log.root()));
    let elsewhere = RecordHeader { index: RecordIndex::new(3), ..record.header };
    assert!(!elsewhere.is_in_log(&proof, log.size(), &log.root()));
}

/// Every other tag is refused. Numbers are permanent: this list only ever grows.
#[test]
fn only_these_tags_are_known() {
    assert_eq!(known_tags::<RecordSource>(), [1, 2]);
    assert_eq!(known_tags::<Verdict>(), [1, 2]);
}

fn example_bodies() -> Vec<(&'static str, RecordBody)> {
    let command = RecordSource::Command {
        envelope: examples::intent(vec![examples::command(Action::PlaceOrder)]).digest(),
        command_index: 1,
        account: AccountId::new(42),
        signer_key: examples::key(0x5e),
        policy_epoch: PolicyEpoch::new(0),
        action: Action::PlaceOrder,
    };
    let system = RecordSource::System(examples::system_command(examples::system_works()[0]));
    let refused = Verdict::Refused(Reject::of(RejectCode::OpenOrdersMax).required(200).present(201));
    let body = |source, verdict, events| RecordBody { source, verdict, events: BoundedVec::new(events).unwrap() };
    vec![
        ("accepted", body(command, Verdict::Accepted, examples::events())),
        ("refused", body(command, refused, vec![])),
        ("refused-again", body(command, refused, vec![])),
        ("system", body(system, Verdict::Accepted, vec![])),
    ]
}

#[test]
fn golden_records() {
    let secret = examples::seal_secret();
    let mut log = Log::default();
    let mut rows = Vec::new();
    for (name, body) in example_bodies() {
        let index = RecordIndex::new(log.size());
        let position = u32::try_from(rows.len()).unwrap();
        let header = seal(&secret, index, Height::new(1_000), position, &bytes_of(&body));
        assert_eq!(log.append(header.leaf()), index);
        rows.push([
            name.to_owned(),
            hex_of(&secret),
            hex_of(&body),
            hex_of(&record_salt(&secret, index)),
            hex_of(&header),
            header.leaf().to_string(),
            log.root().to_string(),
        ]);
    }
    let columns = ["name", "seal_secret", "body", "salt", "header", "leaf", "log_root_after"];
    assert_golden("records.tsv", &table(columns, &rows));
}
