//! Verification weight: what it costs every replica to check an envelope, in hundredths of an envelope with one order.
//! One unit is about 0.1 µs of one core.
//!
//! Accounts spend weight from a budget that refills, and a block has a total, so nobody can make replicas check more
//! than was paid for. An envelope weighs as much when it is refused as when it is accepted.

use casemate_protocol::limits::{ENVELOPE_COMMANDS_MAX, ENVELOPE_SIZE_BYTES_MAX};
use casemate_protocol::{Envelope, SignatureForm};

/// One Ed25519 signature, checked in a batch of distinct keys.
pub const SIGNATURE_WEIGHT: u32 = 84;

/// One signature by a wallet: the typed data is built and hashed again, and a key is recovered.
pub const WALLET_SIGNATURE_WEIGHT: u32 = 320;

/// One assertion by a passkey: two hashes, a square root and a signature on P-256, 24 times an Ed25519 signature in a batch.
pub const PASSKEY_SIGNATURE_WEIGHT: u32 = 2_200;

/// One command: looking up who may, deciding and recording. With a signature and the bytes around them, an envelope
/// with one order weighs 100.
pub const COMMAND_WEIGHT: u32 = 12;

/// Bytes that weigh one unit: 64 bytes are hashed twice, decoded and written in about 0.1 µs. A started unit counts
/// whole. A full ladder of quotes, the longest command, adds 17 for its bytes to the 12 of any command.
pub const BYTES_PER_WEIGHT: u32 = 64;

/// Weight of the heaviest envelope that decodes: the dearest signature, all commands and all bytes.
pub const ENVELOPE_WEIGHT_MAX: u32 = sum(SignatureForm::WebAuthn, COMMANDS_MAX, SIZE_BYTES_MAX);

/// What genesis requires an account's weight budget to hold at least.
pub const WEIGHT_BURST_MIN: u32 = 4_000;

/// The weight of an envelope that arrived as this many bytes.
#[must_use]
pub fn of_envelope(envelope: &Envelope, size_bytes: usize) -> u32 {
    let command_count = u32::try_from(envelope.intent.commands.len()).unwrap_or(COMMANDS_MAX);
    sum(envelope.intent.signer.key.form(), command_count, u32::try_from(size_bytes).unwrap_or(SIZE_BYTES_MAX))
}

const fn sum(form: SignatureForm, command_count: u32, size_bytes: u32) -> u32 {
    let signature = match form {
        SignatureForm::Ed25519 => SIGNATURE_WEIGHT,
        SignatureForm::Eip712 => WALLET_SIGNATURE_WEIGHT,
        SignatureForm::WebAuthn => PASSKEY_SIGNATURE_WEIGHT,
    };
    signature + COMMAND_WEIGHT * command_count + size_bytes.div_ceil(BYTES_PER_WEIGHT)
}

#[expect(clippy::as_conversions, reason = "constants have no `try_from`, and 64 fits")]
const COMMANDS_MAX: u32 = ENVELOPE_COMMANDS_MAX as u32;
#[expect(clippy::as_conversions, reason = "constants have no `try_from`, and 65,536 fits")]
const SIZE_BYTES_MAX: u32 = ENVELOPE_SIZE_BYTES_MAX as u32;

const _: () = assert!(
    ENVELOPE_WEIGHT_MAX <= WEIGHT_BURST_MIN,
    "an account with a full budget can send any envelope that decodes, or it could never send it at all"
);

#[cfg(test)]
mod tests {
    use casemate_protocol::envelope::GroupMode;
    use casemate_protocol::limits::{BLOCK_ENVELOPES_MAX, BLOCK_WEIGHT_MAX};
    use proptest::prelude::*;

    use super::*;
    use crate::decode::fixture;

    #[test]
    fn an_envelope_with_one_order_weighs_a_hundred() {
        let item = fixture::decoded(&fixture::orders(1, GroupMode::EachAlone));
        assert_eq!(item.weight(), 100);
    }

    #[test]
    fn a_block_has_room_for_full_count_of_single_orders_and_for_hundreds_of_the_heaviest() {
        let single = u64::from(fixture::decoded(&fixture::orders(1, GroupMode::EachAlone)).weight());
        let count_max = u64::try_from(BLOCK_ENVELOPES_MAX).unwrap();
        assert!(single * count_max <= BLOCK_WEIGHT_MAX);
        assert!(u64::from(ENVELOPE_WEIGHT_MAX) * 400 <= BLOCK_WEIGHT_MAX);
    }

    #[test]
    fn the_heaviest_envelope_weighs_what_the_table_says() {
        assert_eq!(ENVELOPE_WEIGHT_MAX, 2_200 + 64 * 12 + 65_536 / 64);
    }

    const FORMS: [SignatureForm; 3] = [SignatureForm::Ed25519, SignatureForm::Eip712, SignatureForm::WebAuthn];

    proptest! {
        #[test]
        fn prop_more_commands_or_more_bytes_never_weigh_less(
            command_count in 1..=COMMANDS_MAX, more_commands in 0u32..64, size_bytes in 1..=SIZE_BYTES_MAX, more_bytes in 0u32..65_536
        ) {
            for form in FORMS {
                let weight = sum(form, command_count, size_bytes);
                prop_assert!(sum(form, command_count + more_commands, size_bytes) >= weight);
                prop_assert!(sum(form, command_count, size_bytes + more_bytes) >= weight);
                prop_assert!(weight > SIGNATURE_WEIGHT + COMMAND_WEIGHT * command_count);
                prop_assert!(weight <= ENVELOPE_WEIGHT_MAX);
            }
        }

        #[test]
        fn prop_splitting_commands_over_envelopes_always_weighs_more(
            left in 1u32..32, right in 1u32..32, left_bytes in 1u32..30_000, right_bytes in 1u32..30_000
        ) {
            for form in FORMS {
                let split = sum(form, left, left_bytes) + sum(form, right, right_bytes);
                prop_assert!(split > sum(form, left + right, left_bytes + right_bytes));
            }
        }
    }
}
