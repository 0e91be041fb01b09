//! Stage 1: bytes become an envelope of this chain.
//!
//! # Order of checks
//!
//! The first failure wins, and which one that is, is part of the protocol: clients and replicas must name the same
//! number. Cheap checks come before dear ones.
//!
//! | stage | refusal | rule |
//! |---|---|---|
//! | 1 | `EnvelopeTooLarge` | at most 65,536 bytes |
//! | 1 | `Malformed` | the version is there |
//! | 1 | `EnvelopeVersionUnsupported` | the version is the one this software reads |
//! | 1 | `Malformed` | the rest is canonical: nothing missing, nothing left over, known tags, lists within their maximum |
//! | 1 | `EnvelopeEmpty` | at least one command |
//! | 1 | `WrongChain` | the chain id is this chain's |
//! | 1 | `OpeningMalformed` | account 0 exactly if the envelope opens an account: one command, root key, nonce 1 |
//! | 1 | `GroupCommandNotAllowed` | an all-or-nothing group holds no account, grant, deposit, price or governance command |
//! | 1 | `SignatureFormUnfit` | the signature has the form of its key's scheme |
//! | 1 | `WalletCommandCount` | a wallet signs one command |
//! | 1 | `EvidenceCommandCount` | evidence is for one command |
//! | 1 | `EvidenceOfOtherIntent` | each piece of evidence names this intent |
//! | 2 | `KeyInvalid` | the root key that an opening brings is canonical and not of small order |
//! | 2 | `PasskeyDataMalformed` | a passkey's two texts begin as WebAuthn says |
//! | 2 | `PasskeyChallengeWrong` | it answered the envelope digest |
//! | 2 | `PasskeyUserNotVerified` | its user was there and was verified |
//! | 2 | `SignatureNotLow` | s of an ECDSA signature is in its lower half |
//! | 2 | `SignatureInvalid` | the signature fits key and envelope digest |
//! | 4 | `ProofNotSupported` | each piece of evidence is of a kind that is verified here, and holds |
//!
//! Not here: whether a group stays in one segment (`GroupSpansSegments`). Which segment a market belongs to is state,
//! and nothing in these stages may depend on state.

use casemate_protocol::envelope::{EnvelopeDigests, GroupMode, Intent, SignerRole};
use casemate_protocol::{Action, Command, Digest, Envelope, Reject, RejectCode, SignatureForm};

use crate::weight;

/// An envelope that is well formed and meant for this chain. Nobody has looked at its signature yet.
#[derive(Debug)]
pub struct Decoded {
    bytes: Vec<u8>,
    envelope: Envelope,
    digests: EnvelopeDigests,
    weight: u32,
}

impl Decoded {
    /// Decodes what arrived. The bytes are kept, because a block carries exactly these.
    ///
    /// # Errors
    /// The refusals of stage 1, in the order of the table above.
    pub fn from_bytes(bytes: Vec<u8>, chain_id: &Digest) -> Result<Self, Reject> {
        let (envelope, digests) = Envelope::decode(&bytes)?;
        require_chain(&envelope.intent, chain_id)?;
        require_opening_rule(&envelope.intent)?;
        require_group_rule(&envelope.intent)?;
        require_form(&envelope)?;
        require_evidence_rule(&envelope, &digests.intent)?;
        let weight = weight::of_envelope(&envelope, bytes.len());
        Ok(Self { bytes, envelope, digests, weight })
    }

    /// The bytes that arrived.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The envelope in them.
    #[must_use]
    pub const fn envelope(&self) -> &Envelope {
        &self.envelope
    }

    /// Its id, and what its signature signs.
    #[must_use]
    pub const fn digests(&self) -> &EnvelopeDigests {
        &self.digests
    }

    /// Its verification weight.
    #[must_use]
    pub const fn weight(&self) -> u32 {
        self.weight
    }

    /// Whether it opens an account. Its key is then one that the ledger has never seen.
    #[must_use]
    pub const fn is_opening(&self) -> bool {
        self.envelope.intent.account.is_none()
    }

    /// Whether it is what an announced root key signs to take over, and nothing besides.
    #[must_use]
    pub fn is_acceptance(&self) -> bool {
        let intent = &self.envelope.intent;
        intent.signer.role == SignerRole::Root && matches!(intent.commands.as_slice(), [Command::AcceptRootKey])
    }

    /// Takes the stage apart. What comes out is plain data and proves nothing.
    #[must_use]
    pub fn into_parts(self) -> EnvelopeParts {
        let Self { bytes, envelope, digests, weight } = self;
        EnvelopeParts { bytes, envelope, digests, weight }
    }
}

/// What a stage holds, as plain data.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EnvelopeParts {
    /// The bytes that arrived.
    pub bytes: Vec<u8>,
    /// The envelope in them.
    pub envelope: Envelope,
    /// Its id, and what its signature signs.
    pub digests: EnvelopeDigests,
    /// Its verification weight.
    pub weight: u32,
}

fn require_chain(intent: &Intent, chain_id: &Digest) -> Result<(), Reject> {
    if intent.chain_id == *chain_id { Ok(()) } else { Err(RejectCode::WrongChain.into()) }
}

/// Account 0 and the opening command come together or not at all, so no later stage meets one without the other.
fn require_opening_rule(intent: &Intent) -> Result<(), Reject> {
    let opens = intent.commands.iter().any(|command| command.action() == Action::OpenAccount);
    let is_opening = intent.account.is_none();
    let is_as_documented = intent.commands.len() == 1 && intent.signer.role == SignerRole::Root && intent.nonce == 1;
    if opens == is_opening && (!opens || is_as_documented) { Ok(()) } else { Err(RejectCode::OpeningMalformed.into()) }
}

fn require_group_rule(intent: &Intent) -> Result<(), Reject> {
    let is_allowed = match intent.group {
        GroupMode::EachAlone => true,
        GroupMode::AllOrNothing => !intent.commands.iter().any(|command| stands_alone(command.action())),
    };
    if is_allowed { Ok(()) } else { Err(RejectCode::GroupCommandNotAllowed.into()) }
}

/// Evidence is bound to one command, so that nothing else can hide behind it.
fn require_evidence_rule(envelope: &Envelope, intent: &Digest) -> Result<(), Reject> {
    let (evidence, commands) = (envelope.evidence.as_slice(), envelope.intent.commands.len());
    if evidence.is_empty() {
        return Ok(());
    }
    if commands != 1 {
        let count = u64::try_from(commands).unwrap_or(u64::MAX);
        return Err(Reject::of(RejectCode::EvidenceCommandCount).required(1).present(count));
    }
    let is_of_this = evidence.iter().all(|piece| piece.intent == *intent);
    if is_of_this { Ok(()) } else { Err(RejectCode::EvidenceOfOtherIntent.into()) }
}

/// A wallet shows one action at a time, and what it does not show nobody has agreed to.
fn require_form(envelope: &Envelope) -> Result<(), Reject> {
    let (needed, present) = (envelope.intent.signer.key.form(), envelope.signature.form());
    if needed != present {
        return Err(Reject::of(RejectCode::SignatureFormUnfit)
            .required(needed.number().into())
            .present(present.number().into()));
    }
    let count = envelope.intent.commands.len();
    if present == SignatureForm::Eip712 && count != 1 {
        let count = u64::try_from(count).unwrap_or(u64::MAX);
        return Err(Reject::of(RejectCode::WalletCommandCount).required(1).present(count));
    }
    Ok(())
}

/// Whether an action can never be part of an all-or-nothing group. These write tables that belong to no segment, and a
/// group is undone segment by segment; prices and proposals have a phase of their own, and evidence is for what waits.
const fn stands_alone(action: Action) -> bool {
    match action {
        Action::OpenAccount
        | Action::CloseAccount
        | Action::RegisterGrant
        | Action::RevokeGrant
        | Action::AddPayoutAddress
        | Action::RemovePayoutAddress
        | Action::ChangeRootKey
        | Action::CancelRootKeyChange
        | Action::AcceptRootKey
        | Action::SetGuardians
        | Action::CancelGuardianChange
        | Action::VoteAsGuardian
        | Action::CancelRecovery
        | Action::AttestDeposit
        | Action::SubmitPrice
        | Action::Propose
        | Action::Approve
        | Action::AddEvidence => true,
        Action::RequestWithdrawal
        | Action::CancelWithdrawal
        | Action::RequestTransfer
        | Action::CancelTransfer
        | Action::RequestPrincipalExit
        | Action::PlaceOrder
        | Action::AmendOrder
        | Action::CancelOrder
        | Action::CancelAllOrders
        | Action::QuoteLadder
        | Action::SetDeadMan
        | Action::ContestLink => false,
    }
}

/// Envelopes for the tests of this crate.
#[cfg(test)]
pub(crate) mod fixture {
    use casemate_protocol::command::{LimitTerms, OrderKind, PlaceOrder, SelfTradeMode, Side, TimeInForce};
    use casemate_protocol::envelope::{ENVELOPE_VERSION, Signer, digests_without_evidence};
    use casemate_protocol::hash::{self, Domain};
    use casemate_protocol::{
        AccountId, BoundedVec, ClientOrderId, Command, MarketId, PriceTicks, PublicKey, QuantityLots, SignatureBytes,
        TimeMs,
    };
    use ed25519_zebra::SigningKey;

    use super::*;

    pub(crate) fn chain_id() -> Digest {
        hash::digest(Domain::Development, &[b"a chain for tests"])
    }

    pub(crate) fn signing_key(number: u64) -> SigningKey {
        SigningKey::from(hash::digest(Domain::Development, &[b"key", &number.to_le_bytes()]).0)
    }

    pub(crate) fn public_key(key: &SigningKey) -> PublicKey {
        PublicKey::Ed25519(key.verification_key().into())
    }

    pub(crate) fn order(client_id: u64) -> Command {
        Command::PlaceOrder(PlaceOrder {
            market: MarketId::new(1),
            side: Side::Bid,
            kind: OrderKind::Limit(LimitTerms {
                price: PriceTicks::from_ticks(10_000),
                time_in_force: TimeInForce::GoodTillCancel,
            }),
            quantity: QuantityLots::from_lots(5),
            client_id: ClientOrderId::new(client_id),
            is_reduce_only: false,
            self_trade: SelfTradeMode::CancelResting,
        })
    }

    pub(crate) fn intent(key: PublicKey, nonce: u64, group: GroupMode, commands: Vec<Command>) -> Intent {
        Intent {
            version: ENVELOPE_VERSION,
            chain_id: chain_id(),
            account: AccountId::new(7),
            signer: Signer { role: SignerRole::Root, key },
            nonce,
            valid_until_ms: TimeMs::from_ms(1_000_000),
            group,
            commands: BoundedVec::new(commands).unwrap(),
        }
    }

    /// An intent of `count` orders under the first key.
    pub(crate) fn orders(count: u64, group: GroupMode) -> Intent {
        intent(public_key(&signing_key(1)), 1, group, (0..count).map(order).collect())
    }

    /// The intent that opens an account for a key.
    pub(crate) fn opening(key: PublicKey) -> Intent {
        Intent { account: AccountId::NONE, ..intent(key, 1, GroupMode::EachAlone, vec![Command::OpenAccount]) }
    }

    /// The bytes of an intent with the signature that `sign` makes of its envelope digest.
    pub(crate) fn sealed(intent: &Intent, sign: impl FnOnce(&[u8; 32]) -> [u8; 64]) -> Vec<u8> {
        let signature = SignatureBytes::Ed25519(sign(digests_without_evidence(intent).envelope.bytes()));
        Envelope { intent: intent.clone(), evidence: BoundedVec::empty(), signature }.encode()
    }

    /// The bytes of an intent, signed as it should be.
    pub(crate) fn signed(intent: &Intent, key: &SigningKey) -> Vec<u8> {
        sealed(intent, |digest| key.sign(digest).to_bytes())
    }

    /// A decoded intent under a signature of zeros.
    pub(crate) fn decoded(intent: &Intent) -> Decoded {
        Decoded::from_bytes(sealed(intent, |_| [0; 64]), &chain_id()).unwrap()
    }
}

#[cfg(test)]
mod tests {
    use casemate_protocol::command::RevokeGrant;
    use casemate_protocol::envelope::Signer;
    use casemate_protocol::limits::ENVELOPE_SIZE_BYTES_MAX;
    use casemate_protocol::{AccountId, BoundedVec, GrantNumber};
    use proptest::prelude::*;

    use super::fixture::{chain_id, opening, order, orders, public_key, sealed, signing_key};
    use super::*;

    fn refusal(bytes: Vec<u8>) -> Option<RejectCode> {
        Decoded::from_bytes(bytes, &chain_id()).err().map(|reject| reject.code())
    }

    fn refusal_of(intent: &Intent) -> Option<RejectCode> {
        refusal(sealed(intent, |_| [0; 64]))
    }

    fn an_opening() -> Intent {
        opening(public_key(&signing_key(1)))
    }

    #[test]
    fn decoding_keeps_the_bytes_and_computes_digests_and_weight() {
        let bytes = sealed(&orders(2, GroupMode::EachAlone), |_| [9; 64]);
        let (envelope, digests) = Envelope::decode(&bytes).unwrap();
        let parts = Decoded::from_bytes(bytes.clone(), &chain_id()).unwrap().into_parts();
        let weight = weight::of_envelope(&envelope, bytes.len());
        assert_eq!(parts, EnvelopeParts { bytes, envelope, digests, weight });
    }

    #[test]
    fn an_opening_is_account_zero_root_key_nonce_one_and_nothing_else() {
        assert_eq!(refusal_of(&an_opening()), None);
        let with = |change: fn(&mut Intent)| {
            let mut intent = an_opening();
            change(&mut intent);
            refusal_of(&intent)
        };
        let malformed = Some(RejectCode::OpeningMalformed);
        assert_eq!(with(|intent| intent.account = AccountId::new(1)), malformed);
        assert_eq!(with(|intent| intent.signer.role = SignerRole::Session), malformed);
        assert_eq!(with(|intent| intent.nonce = 2), malformed);
        assert_eq!(with(|intent| intent.nonce = 0), malformed);
        assert_eq!(with(|intent| intent.commands = BoundedVec::new(vec![order(1)]).unwrap()), malformed);
        let twice = vec![Command::OpenAccount, Command::OpenAccount];
        let with_an_order = vec![order(1), Command::OpenAccount];
        for commands in [twice, with_an_order] {
            for account in [AccountId::NONE, AccountId::new(3)] {
                let commands = BoundedVec::new(commands.clone()).unwrap();
                assert_eq!(refusal_of(&Intent { account, commands, ..an_opening() }), malformed);
            }
        }
    }

    #[test]
    fn an_all_or_nothing_group_refuses_commands_that_stand_alone_and_no_others() {
        let revoke = Command::RevokeGrant(RevokeGrant { number: GrantNumber::new(1) });
        let mixed = vec![order(1), revoke.clone(), order(2)];
        for commands in [vec![revoke], mixed] {
            let commands = BoundedVec::new(commands).unwrap();
            let together = Intent { commands: commands.clone(), ..orders(1, GroupMode::AllOrNothing) };
            assert_eq!(refusal_of(&together), Some(RejectCode::GroupCommandNotAllowed));
            assert_eq!(refusal_of(&Intent { commands, ..orders(1, GroupMode::EachAlone) }), None);
        }
        assert_eq!(refusal_of(&orders(3, GroupMode::AllOrNothing)), None);
        let alone: Vec<Action> = Action::ALL.into_iter().filter(|&action| stands_alone(action)).collect();
        let account_grant_deposit = [
            Action::OpenAccount,
            Action::CloseAccount,
            Action::RegisterGrant,
            Action::RevokeGrant,
            Action::AddPayoutAddress,
            Action::RemovePayoutAddress,
            Action::ChangeRootKey,
            Action::CancelRootKeyChange,
            Action::AcceptRootKey,
            Action::AttestDeposit,
            Action::SetGuardians,
            Action::CancelGuardianChange,
            Action::VoteAsGuardian,
            Action::CancelRecovery,
            Action::SubmitPrice,
            Action::Propose,
            Action::Approve,
            Action::AddEvidence,
        ];
        assert_eq!(alone, account_grant_deposit);
    }

    /// Each input breaks one rule and as many later ones as can be broken with it; the earliest is named.
    #[test]
    fn the_first_broken_rule_of_the_table_wins() {
        let wrong_chain = Digest([1; 32]);
        let revoke = Command::RevokeGrant(RevokeGrant { number: GrantNumber::new(1) });
        let group = Intent { commands: BoundedVec::new(vec![revoke]).unwrap(), ..orders(1, GroupMode::AllOrNothing) };
        let opening = Intent { account: AccountId::NONE, ..group.clone() };
        let chain = Intent { chain_id: wrong_chain, ..opening.clone() };
        let empty = Intent { commands: BoundedVec::empty(), ..chain.clone() };
        let mut malformed = sealed(&empty, |_| [0; 64]);
        malformed.push(0);
        let mut version = malformed.clone();
        version[0] = 2;
        let mut too_large = version.clone();
        too_large.resize(ENVELOPE_SIZE_BYTES_MAX + 1, 0);

        assert_eq!(refusal(too_large), Some(RejectCode::EnvelopeTooLarge));
        assert_eq!(refusal(vec![2]), Some(RejectCode::Malformed));
        assert_eq!(refusal(version), Some(RejectCode::EnvelopeVersionUnsupported));
        assert_eq!(refusal(malformed), Some(RejectCode::Malformed));
        assert_eq!(refusal_of(&empty), Some(RejectCode::EnvelopeEmpty));
        assert_eq!(refusal_of(&chain), Some(RejectCode::WrongChain));
        assert_eq!(refusal_of(&opening), Some(RejectCode::OpeningMalformed));
        assert_eq!(refusal_of(&group), Some(RejectCode::GroupCommandNotAllowed));
    }

    /// The key of a good opening is looked at in stage 2, after the group rule of stage 1.
    #[test]
    fn the_group_rule_comes_before_the_key_of_an_opening() {
        let zero_key = casemate_protocol::PublicKey::Ed25519([0; 32]);
        let signer = Signer { role: SignerRole::Root, key: zero_key };
        let together = Intent { group: GroupMode::AllOrNothing, signer, ..an_opening() };
        assert_eq!(refusal_of(&together), Some(RejectCode::GroupCommandNotAllowed));
        assert_eq!(refusal_of(&Intent { signer, ..an_opening() }), None);
    }

    proptest! {
        #[test]
        fn prop_what_decodes_encodes_to_the_same_bytes(
            position in 0usize..200, bit in 0u32..8, is_cut in any::<bool>()
        ) {
            let mut bytes = sealed(&orders(1, GroupMode::EachAlone), |_| [5; 64]);
            let position = position % bytes.len();
            bytes[position] ^= 1 << bit;
            if is_cut {
                bytes.truncate(position);
            }
            if let Ok(item) = Decoded::from_bytes(bytes.clone(), &chain_id()) {
                prop_assert_eq!(item.envelope().encode(), bytes);
            }
        }
    }
}
