use proptest::prelude::*;

use super::*;
use crate::testing::golden::{assert_golden, hex_of, table};
use crate::testing::{arbitrary, examples};

fn refusal(bytes: &[u8]) -> RejectCode {
    ReadPass::decode(bytes).unwrap_err().code()
}

fn unsigned(terms: ReadTerms) -> ReadPass {
    ReadPass { terms, signature: SignatureBytes::Ed25519([0; 64]) }
}

proptest! {
    #[test]
    fn prop_decode_inverts_encode(pass in arbitrary::read_pass()) {
        let (decoded, digest) = ReadPass::decode(&pass.encode()).unwrap();
        prop_assert_eq!(digest, pass.terms.digest());
        prop_assert_eq!(decoded, pass);
    }

    #[test]
    fn prop_a_flipped_bit_is_refused_or_another_pass(pass in arbitrary::read_pass(), place in any::<prop::sample::Index>()) {
        let bytes = pass.encode();
        let bit = place.index(bytes.len() * 8);
        let mut flipped = bytes.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        let terms_length = borsh::to_vec(&pass.terms).unwrap().len();
        match ReadPass::decode(&flipped) {
            Err(reject) => prop_assert_eq!(reject.code(), RejectCode::PassMalformed),
            Ok((other, digest)) => {
                prop_assert_eq!(other.encode(), flipped, "decode then encode is the identity on everything that decodes");
                prop_assert_eq!(digest == pass.terms.digest(), bit / 8 >= terms_length, "every bit of the terms is signed");
            }
        }
    }

    #[test]
    fn prop_a_shortened_or_lengthened_pass_is_refused(
        pass in arbitrary::read_pass(),
        place in any::<prop::sample::Index>(),
        tail in prop::collection::vec(any::<u8>(), 1..80),
    ) {
        let mut bytes = pass.encode();
        prop_assert_eq!(refusal(&bytes[..place.index(bytes.len())]), RejectCode::PassMalformed);
        bytes.extend(tail);
        prop_assert_eq!(refusal(&bytes), RejectCode::PassMalformed);
    }

    #[test]
    fn prop_any_bytes_decode_to_what_they_are_or_not_at_all(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        if let Ok((pass, _)) = ReadPass::decode(&bytes) {
            prop_assert_eq!(pass.encode(), bytes);
        }
    }
}

#[test]
fn an_account_is_named_exactly_where_one_reads() {
    let of_key = examples::read_terms(ReadScope::Key);
    let of_account = examples::read_terms(ReadScope::Account);
    assert!(ReadPass::decode(&unsigned(of_key).encode()).is_ok());
    assert!(ReadPass::decode(&unsigned(of_account).encode()).is_ok());
    let wrong = ReadTerms { account: AccountId::new(7), ..of_key };
    assert_eq!(refusal(&unsigned(wrong).encode()), RejectCode::PassMalformed);
    for scope in [ReadScope::Account, ReadScope::Market(MarketId::new(1)), ReadScope::Auditor] {
        let wrong = ReadTerms { scope, ..of_key };
        assert_eq!(refusal(&unsigned(wrong).encode()), RejectCode::PassMalformed);
    }
}

#[test]
fn another_version_and_too_many_bytes_are_refused() {
    let terms = ReadTerms { version: READ_PASS_VERSION + 1, ..examples::read_terms(ReadScope::Account) };
    assert_eq!(refusal(&unsigned(terms).encode()), RejectCode::PassMalformed);
    assert_eq!(refusal(&vec![0; READ_PASS_SIZE_BYTES_MAX + 1]), RejectCode::PassMalformed);
}

/// Bytes and digests of passes of each scope, without a signature: `core/gate` has signed ones.
#[test]
fn golden_read_terms() {
    let scopes = [ReadScope::Account, ReadScope::Market(MarketId::new(3)), ReadScope::Auditor, ReadScope::Key];
    let row = |scope: ReadScope| {
        let terms = examples::read_terms(scope);
        [scope.number().to_string(), terms.account.to_string(), hex_of(&terms), terms.digest().to_string()]
    };
    assert_golden("read-terms.tsv", &table(["scope", "account", "bytes", "digest"], &scopes.map(row)));
}
