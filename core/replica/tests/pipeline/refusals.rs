//! Every refusal is reached by a scenario, or there is a reason why it cannot be reached yet. The match has no rest, so
//! a new code without either does not compile.

use casemate_protocol::command::{
    AmendOrder, Beneficiary, CancelTransfer, CancelWithdrawal, CloseAccount, MarketTerms, OrderKind, OrderReference,
    PlaceOrder, QuoteLadder, QuoteLevel, RequestTransfer, RequestWithdrawal, RevokeGrant, SetDeadMan, TimeInForce,
};
use casemate_protocol::envelope::SignerRole;
use casemate_protocol::genesis::Genesis;
use casemate_protocol::grant::{ActionSet, GrantTerms, MarketScope};
use casemate_protocol::limits::{ENVELOPE_VALIDITY_MS_MAX, POSITIONS_MAX};
use casemate_protocol::{
    AccountId, Action, AssetId, ClientOrderId, Command, Digest, DurationMs, GrantNumber, MarketId, OrderNumber,
    PriceTicks, PublicKey, QuantityLots, RatioPpm, RejectCode, SegmentId, Side, TimeMs, TransferNumber,
    WithdrawalNumber,
};

use crate::kit::{
    FIRST, OPEN_ORDERS_MAX, OPENING_MIN, Venue, ask, bid, cancel, claim, genesis, list, micros, opener_key, order,
    public_key, root_key, session_key, terms,
};
use crate::wallets::refusal;
use crate::{adoption, held};

/// What a scenario ended with.
type Verdict = Result<(), RejectCode>;

/// Refusals of prices, margin, breakers and proposals: `clearing.rs` has their scenarios.
fn by_clearing(code: RejectCode) -> fn() -> Verdict {
    use crate::clearing as on_margin;
    use RejectCode as Code;
    match code {
        Code::GrantLossExceeded => on_margin::grant_loss_exceeded,
        Code::NotAPublisher => on_margin::not_a_publisher,
        Code::TransferMarginShort => on_margin::transfer_margin_short,
        Code::PrincipalExceeded => on_margin::principal_exceeded,
        Code::OpenInterestMax => on_margin::open_interest_max,
        Code::WorseThanBankruptcy => on_margin::worse_than_bankruptcy,
        Code::PriceNotGoodEnough => on_margin::price_not_good_enough,
        Code::FeedNotFound => on_margin::feed_not_found,
        Code::PriceNotPositive => on_margin::price_not_positive,
        Code::SourceTimeAhead => on_margin::source_time_ahead,
        Code::SourceTimeNotLater => on_margin::source_time_not_later,
        Code::SourceTimeTooOld => on_margin::source_time_too_old,
        Code::PriceBeyondRange => on_margin::price_beyond_range,
        Code::BreakerForbids => on_margin::breaker_forbids,
        Code::ProposalNotFound => on_margin::proposal_not_found,
        Code::OldValueDiffers => on_margin::old_value_differs,
        Code::ChangeNotAllowed => on_margin::change_not_allowed,
        Code::AlreadyApproved => on_margin::already_approved,
        Code::ProposalLifeNotAllowed => on_margin::proposal_life_not_allowed,
        Code::ProposalsMax => on_margin::proposals_max,
        Code::GovernorRequired => on_margin::governor_required,
        Code::NotAnOfficer => on_margin::not_an_officer,
        other => panic!("`{}` has its scenario elsewhere", other.name()),
    }
}

/// Refusals of grants that are carved out of another: `children.rs` has their scenarios.
fn by_children(code: RejectCode) -> fn() -> Verdict {
    use crate::children as child;
    use RejectCode as Code;
    match code {
        Code::ChildActionsWider => child::actions_wider,
        Code::ChildMarketsWider => child::markets_wider,
        Code::ChildEndsLater => child::ends_later,
        Code::ChildRateWider => child::rate_wider,
        Code::ChildNotionalWider => child::notional_wider,
        Code::ChildLossWider => child::loss_wider,
        Code::ChildTooDeep => child::too_deep,
        Code::GrantParentEnded => child::parent_ended,
        Code::NotOwnChild => child::not_own_child,
        other => panic!("`{}` has its scenario elsewhere", other.name()),
    }
}

enum Reach {
    By(fn() -> Verdict),
    NotYet(&'static str),
}

#[test]
fn every_refusal_is_reached_or_has_a_reason_why_not() {
    let mut reached = 0;
    for &code in RejectCode::ALL {
        match reach(code) {
            Reach::By(scenario) => {
                assert_eq!(scenario(), Err(code), "the scenario of `{}` ended otherwise", code.name());
                reached += 1;
            }
            Reach::NotYet(reason) => assert!(!reason.is_empty()),
        }
    }
    assert_eq!(reached + 6, RejectCode::ALL.len(), "six refusals cannot be reached in this version");
}

#[expect(clippy::too_many_lines, reason = "one arm for each refusal")]
fn reach(code: RejectCode) -> Reach {
    use RejectCode as Code;
    let by: fn() -> Verdict = match code {
        Code::GrantLossExceeded
        | Code::NotAPublisher
        | Code::NotAnOfficer
        | Code::TransferMarginShort
        | Code::PrincipalExceeded
        | Code::OpenInterestMax
        | Code::WorseThanBankruptcy
        | Code::PriceNotGoodEnough
        | Code::FeedNotFound
        | Code::PriceNotPositive
        | Code::SourceTimeAhead
        | Code::SourceTimeNotLater
        | Code::SourceTimeTooOld
        | Code::PriceBeyondRange
        | Code::BreakerForbids
        | Code::ProposalNotFound
        | Code::OldValueDiffers
        | Code::ChangeNotAllowed
        | Code::AlreadyApproved
        | Code::ProposalLifeNotAllowed
        | Code::ProposalsMax
        | Code::GovernorRequired => by_clearing(code),
        Code::EvidenceNotMore => held::evidence_not_more,
        Code::PolicySetUnreadable => adoption::policy_set_unreadable,
        Code::VenueChangeElsewhere => adoption::venue_change_elsewhere,
        Code::GovernorsLoosen => adoption::governors_loosen,
        Code::RiskOfficersTighten => adoption::risk_officers_tighten,
        Code::ChildActionsWider
        | Code::ChildMarketsWider
        | Code::ChildEndsLater
        | Code::ChildRateWider
        | Code::ChildNotionalWider
        | Code::ChildLossWider
        | Code::ChildTooDeep
        | Code::GrantParentEnded
        | Code::NotOwnChild => by_children(code),
        Code::ConductOutflow => crate::conduct::outflow,
        Code::ConductKeysWhilePending => crate::conduct::keys_while_pending,
        Code::ConductPriceStep => crate::conduct::price_step,
        Code::ConductOwnLoss => crate::conduct::own_loss,
        Code::ConductBookDepth => crate::conduct::book_depth,
        Code::ConductOpenInterest => crate::conduct::open_interest,
        Code::ContestedLately => crate::conduct::contested_lately,
        Code::DestinationNotInBook => || crate::safeguards::refusal(RejectCode::DestinationNotInBook),
        Code::DestinationCooling => || crate::safeguards::refusal(RejectCode::DestinationCooling),
        Code::AddressBookBinds => || crate::safeguards::refusal(RejectCode::AddressBookBinds),
        Code::PayoutAddressKnown => || crate::safeguards::refusal(RejectCode::PayoutAddressKnown),
        Code::PayoutAddressNotFound => || crate::safeguards::refusal(RejectCode::PayoutAddressNotFound),
        Code::PayoutAddressesMax => || crate::safeguards::refusal(RejectCode::PayoutAddressesMax),
        Code::RootKeyChangePending => || crate::safeguards::refusal(RejectCode::RootKeyChangePending),
        Code::RootKeyChangeNotFound => || crate::safeguards::refusal(RejectCode::RootKeyChangeNotFound),
        Code::RootKeyChangeWaiting => || crate::safeguards::refusal(RejectCode::RootKeyChangeWaiting),
        Code::RootKeyInUse => || crate::safeguards::refusal(RejectCode::RootKeyInUse),
        Code::FormerRootKeysMax => || crate::safeguards::refusal(RejectCode::FormerRootKeysMax),
        Code::RootKeyReplaced => || crate::safeguards::refusal(RejectCode::RootKeyReplaced),
        Code::NotAGuardian
        | Code::GuardianThresholdNotAllowed
        | Code::GuardianTwice
        | Code::GuardianIsSelf
        | Code::GuardianNotFound
        | Code::GuardianChangePending
        | Code::GuardianChangeNotFound
        | Code::RecoveryPending
        | Code::RecoveryNotFound
        | Code::RecoveryPaused
        | Code::RecoveryCancelsMax
        | Code::FreezeSpent
        | Code::AccountFrozen
        | Code::RecoveryHold
        | Code::GuardiansUnchanged => crate::guardians::scenario(code),
        Code::RootKeyNotProven => || crate::safeguards::refusal(RejectCode::RootKeyNotProven),
        Code::EvidenceTooLow => || {
            let mut venue = crate::policies::venue("RequestWithdrawal Proven");
            let letter = venue.root(FIRST, vec![withdraw(1)]);
            venue.step(&[letter]).only()
        },
        Code::PolicyErred => || {
            let mut venue = crate::policies::venue("erring RequestWithdrawal Rooted");
            let letter = venue.root(FIRST, vec![withdraw(1)]);
            venue.step(&[letter]).only()
        },
        Code::PolicyEngineFault => return Reach::NotYet("it is a fault of one machine, and no record of it stands"),
        Code::PassMissing => {
            return Reach::NotYet("what serves reads refuses who brings no pass; it is no verdict on one");
        }
        Code::PassMalformed => || crate::reads::refusal(RejectCode::PassMalformed),
        Code::PassOfAnotherChain => || crate::reads::refusal(RejectCode::PassOfAnotherChain),
        Code::PassNotYetValid => || crate::reads::refusal(RejectCode::PassNotYetValid),
        Code::PassExpired => || crate::reads::refusal(RejectCode::PassExpired),
        Code::PassLifeNotAllowed => || crate::reads::refusal(RejectCode::PassLifeNotAllowed),
        Code::PassSignatureInvalid => || crate::reads::refusal(RejectCode::PassSignatureInvalid),
        Code::PassDoesNotCover => || crate::reads::refusal(RejectCode::PassDoesNotCover),
        Code::ReadNotPermitted => || crate::reads::refusal(RejectCode::ReadNotPermitted),
        Code::ReadEvidenceTooLow => || crate::reads::refusal(RejectCode::ReadEvidenceTooLow),
        Code::ProofNotSupported => crate::proofs::proof_not_supported,
        Code::EvidenceOfOtherIntent => crate::proofs::evidence_of_other_intent,
        Code::EvidenceCommandCount => crate::proofs::evidence_command_count,
        // Stateless.
        Code::EnvelopeTooLarge => || bytes(|bytes| bytes.resize(70_000, 0)),
        Code::EnvelopeVersionUnsupported => || bytes(|bytes| bytes[0] = 9),
        Code::Malformed => || bytes(|bytes| bytes.push(0)),
        Code::EnvelopeEmpty => || {
            let mut venue = Venue::new();
            let letter = venue.root(FIRST, vec![]);
            venue.step(&[letter]).only()
        },
        Code::WrongChain => || {
            let mut venue = Venue::new();
            let mut letter = venue.root(FIRST, vec![bid(1, 900, 2)]);
            letter.intent.chain_id = Digest([1; 32]);
            venue.step(&[letter]).only()
        },
        Code::KeyInvalid => || grant(|terms| terms.session_key = PublicKey::Ed25519([0; 32])),
        Code::SignatureInvalid => || bytes(|bytes| *bytes.last_mut().unwrap() ^= 1),
        Code::GroupCommandNotAllowed => || {
            let mut venue = Venue::new();
            let group = venue.root(FIRST, vec![revoke(1), bid(1, 900, 2)]).group();
            venue.step(&[group]).only()
        },
        Code::OpeningMalformed => || {
            let mut venue = Venue::new();
            let letter = venue.opening(opener_key(0)).nonce(2);
            venue.step(&[letter]).only()
        },
        // Wallets and passkeys.
        Code::SignatureFormUnfit => || refusal(RejectCode::SignatureFormUnfit),
        Code::WalletCommandCount => || refusal(RejectCode::WalletCommandCount),
        Code::SignatureNotLow => || refusal(RejectCode::SignatureNotLow),
        Code::PasskeyDataMalformed => || refusal(RejectCode::PasskeyDataMalformed),
        Code::PasskeyChallengeWrong => || refusal(RejectCode::PasskeyChallengeWrong),
        Code::PasskeyUserNotVerified => || refusal(RejectCode::PasskeyUserNotVerified),
        Code::PasskeyOriginNotAllowed => || refusal(RejectCode::PasskeyOriginNotAllowed),
        Code::PasskeyCounterNotHigher => || refusal(RejectCode::PasskeyCounterNotHigher),
        // Inclusion.
        Code::AccountNotFound => || {
            let mut venue = Venue::new();
            let letter = venue.letter(999, SignerRole::Root, root_key(FIRST), vec![bid(1, 900, 2)]);
            venue.step(&[letter]).only()
        },
        Code::AccountClosed => || {
            let mut venue = Venue::new();
            venue.ask(4, close())?;
            venue.ask(4, bid(1, 900, 2))
        },
        Code::KeyNotOfAccount => || {
            let mut venue = Venue::new();
            let letter = venue.letter(FIRST, SignerRole::Root, root_key(FIRST + 1), vec![bid(1, 900, 2)]);
            venue.step(&[letter]).only()
        },
        Code::GrantRevoked => || {
            let mut venue = Venue::new();
            venue.ask(FIRST, revoke(1))?;
            venue.ask_session(FIRST, 1, bid(1, 900, 2))
        },
        Code::GrantExpired => || {
            let mut venue = Venue::new();
            venue.wait(crate::kit::GRANT_LIFETIME_MS);
            venue.ask_session(FIRST, 1, bid(1, 900, 2))
        },
        Code::EnvelopeExpired => || {
            let mut venue = Venue::new();
            let time_ms = venue.time_ms;
            let letter = venue.root(FIRST, vec![bid(1, 900, 2)]).valid_until(time_ms + 9);
            venue.step(&[letter]).only()
        },
        Code::ValidityTooLong => || {
            let mut venue = Venue::new();
            let time_ms = venue.time_ms + ENVELOPE_VALIDITY_MS_MAX + 11;
            let letter = venue.root(FIRST, vec![bid(1, 900, 2)]).valid_until(time_ms);
            venue.step(&[letter]).only()
        },
        Code::NonceOutOfWindow => || {
            let mut venue = Venue::new();
            let letter = venue.root(FIRST, vec![bid(1, 900, 2)]).nonce(66);
            venue.step(&[letter]).only()
        },
        Code::NonceUsed => || {
            let mut venue = Venue::new();
            let letter = venue.root(FIRST, vec![bid(1, 900, 2)]).nonce(1);
            venue.step(&[letter]).only()
        },
        Code::WeightExceeded => || {
            let mut venue = Venue::new();
            let letters: Vec<_> = (0..5).map(|_| venue.root(FIRST, vec![cancel(1, 1); 64])).collect();
            let step = venue.step(&letters);
            assert_eq!(step.refused_outside.first().map(|(place, _)| *place), Some(4));
            step.only()
        },
        Code::BlockFull => block_full,
        Code::NoUnclaimedDeposit => || {
            let mut venue = Venue::new();
            let beneficiary = Beneficiary::RootKey(public_key(&opener_key(0)));
            venue.attest(&[1, 2], &claim(1, OPENING_MIN - 1, beneficiary));
            let letter = venue.opening(opener_key(0));
            venue.step(&[letter]).only()
        },
        Code::RootKeyTaken => || {
            let mut venue = Venue::new();
            venue.open(0, OPENING_MIN);
            let letter = venue.opening(opener_key(0));
            venue.step(&[letter]).only()
        },
        Code::GroupSpansSegments => || {
            let mut venue = Venue::new();
            let group = venue.root(FIRST, vec![bid(1, 900, 2), bid(3, 900, 2)]).group();
            venue.step(&[group]).only()
        },
        // Grants.
        Code::ActionNotGranted => || session_of(|terms| terms.actions = ActionSet::EMPTY.with(Action::CancelOrder)),
        Code::MarketNotGranted => {
            || session_of(|terms| terms.markets = MarketScope::Only(list(vec![MarketId::new(3)])))
        }
        Code::GrantRateExceeded => || {
            let mut venue = Venue::new();
            let mut slow = terms(&venue, FIRST, 2);
            slow.commands_per_minute_max = 1;
            venue.ask(FIRST, Command::RegisterGrant(Box::new(slow)))?;
            venue.ask_session(FIRST, 2, bid(1, 900, 2))?;
            venue.ask_session(FIRST, 2, bid(1, 900, 2))
        },
        Code::GrantNotionalExceeded => || session_of(|terms| terms.notional_quote_micros_max = micros(100)),
        Code::GrantLossBudgetTooSmall => || grant(|terms| terms.loss_quote_micros_max = micros(1)),
        Code::GrantNumberNotNext => || grant(|terms| terms.number = GrantNumber::new(7)),
        Code::GrantsLiveMax => || {
            let mut venue = Venue::new();
            for number in 2..=16 {
                let more = terms(&venue, FIRST, number);
                venue.ask(FIRST, Command::RegisterGrant(Box::new(more)))?;
            }
            let more = terms(&venue, FIRST, 17);
            venue.ask(FIRST, Command::RegisterGrant(Box::new(more)))
        },
        Code::SessionKeyTaken => || grant(|terms| terms.session_key = public_key(&session_key(FIRST + 1, 1))),
        Code::GrantLifetimeNotAllowed => || grant(|terms| terms.expires_ms = TimeMs::from_ms(u64::MAX)),
        Code::GrantRegistrationLate => || grant(|terms| terms.register_before_ms = TimeMs::from_ms(5)),
        Code::GrantNotFound => || Venue::new().ask(FIRST, revoke(5)),
        Code::GrantActionsNotAllowed => {
            || grant(|terms| terms.actions = ActionSet::TRADING.with(Action::RequestWithdrawal))
        }
        Code::GrantActionsMissing => || grant(|terms| terms.actions = ActionSet::EMPTY),
        Code::GrantMarketsMissing => || grant(|terms| terms.markets = MarketScope::Only(list(vec![]))),
        Code::GrantBudgetMissing => || grant(|terms| terms.commands_per_minute_max = 0),
        // Policy.
        Code::ChildGrantNotSupported => {
            return Reach::NotYet("children were refused before there were any; numbers are permanent");
        }
        Code::RootRequired => || Venue::new().ask_session(FIRST, 1, withdraw(1)),
        Code::NotAnAttestor => {
            return Reach::NotYet("the built-in policy refuses the same command first, with `PolicyForbids`");
        }
        Code::PolicyForbids => || {
            let claim = claim(1, 1, Beneficiary::Account(AccountId::new(FIRST)));
            Venue::new().ask(FIRST, Command::AttestDeposit(Box::new(claim)))
        },
        // Money.
        Code::AmountNotPositive => || Venue::new().ask(FIRST, withdraw(0)),
        Code::AmountOverflow => {
            return Reach::NotYet("listing proves that price, quantity and fees of any order stay in range");
        }
        Code::InsufficientFreeCollateral => || Venue::new().ask(FIRST, withdraw(20_000_001)),
        Code::SegmentNotFound => || {
            let transfer = RequestTransfer { from: SegmentId::new(1), to: SegmentId::new(9), amount: micros(1) };
            Venue::new().ask(FIRST, Command::RequestTransfer(transfer))
        },
        Code::AssetNotOfSegment => || {
            let mut claim = claim(1, 1, Beneficiary::Account(AccountId::new(FIRST)));
            claim.asset = AssetId::new(2);
            Venue::new().attest(&[1], &claim).only()
        },
        Code::DepositAlreadyAttested => || {
            let mut venue = Venue::new();
            let claim = claim(1, 1, Beneficiary::Account(AccountId::new(FIRST)));
            venue.attest(&[1], &claim).only()?;
            venue.attest(&[1], &claim).only()
        },
        Code::DepositAlreadyCredited => || {
            let mut venue = Venue::new();
            let claim = claim(1, 1, Beneficiary::Account(AccountId::new(FIRST)));
            venue.attest(&[1, 2], &claim);
            venue.attest(&[1], &claim).only()
        },
        Code::InboundCapExceeded => || deposit(100_000_001),
        Code::BeneficiaryNotFound => || {
            let claim = claim(1, 1, Beneficiary::Account(AccountId::new(u64::MAX)));
            Venue::new().attest(&[1], &claim).only()
        },
        Code::WithdrawalNotFound => || {
            let cancel = CancelWithdrawal { segment: SegmentId::new(1), number: WithdrawalNumber::new(1) };
            let mut venue = Venue::new();
            venue.ask(FIRST, withdraw(1))?;
            // It exists, and belongs to somebody else.
            venue.ask(FIRST + 1, Command::CancelWithdrawal(cancel))
        },
        Code::PendingMovesMax => || {
            let mut venue = Venue::new();
            let letter = venue.root(FIRST, vec![withdraw(1); 17]);
            let step = venue.step(&[letter]);
            step.verdict(0, 15)?;
            step.verdict(0, 16)
        },
        Code::LimiterCapacityExceeded => || Venue::new().ask(FIRST, withdraw(3_000_001)),
        Code::TransferNotFound => || {
            let cancel = CancelTransfer { segment: SegmentId::new(1), number: TransferNumber::new(1) };
            Venue::new().ask(FIRST, Command::CancelTransfer(cancel))
        },
        Code::SameSegment => || {
            let transfer = RequestTransfer { from: SegmentId::new(1), to: SegmentId::new(1), amount: micros(1) };
            Venue::new().ask(FIRST, Command::RequestTransfer(transfer))
        },
        Code::AccountNotEmpty => || Venue::new().ask(FIRST, close()),
        Code::BalanceTooLarge => || {
            let mut genesis = genesis();
            let mut segments = genesis.segments.clone().into_vec();
            segments[0].inbound.amount_max = micros(i64::MAX);
            genesis.segments = list(segments);
            let mut venue = Venue::of(genesis);
            venue.attest(&[1, 2], &claim(1, i64::MAX, Beneficiary::Account(AccountId::new(FIRST)))).verdict(1, 0)
        },
        Code::DestinationEmpty => || {
            let close = CloseAccount { chain: 1, destination: list(vec![]) };
            Venue::new().ask(4, Command::CloseAccount(Box::new(close)))
        },
        Code::BeneficiaryClosed => || {
            let mut venue = Venue::new();
            venue.ask(4, close())?;
            venue.attest(&[1], &claim(1, 1, Beneficiary::Account(AccountId::new(4)))).only()
        },
        Code::AccountsMax => return Reach::NotYet("four thousand million accounts do not fit a test"),
        Code::OutputAlreadyCredited => || {
            let mut venue = Venue::new();
            venue.attest(&[1, 2], &claim(1, 1, Beneficiary::Account(AccountId::new(FIRST))));
            venue.attest(&[1], &claim(1, 2, Beneficiary::Account(AccountId::new(FIRST)))).only()
        },
        // Trading.
        Code::MarketNotFound => || Venue::new().ask(FIRST, bid(9, 900, 2)),
        Code::QuantityBelowMinimum => || Venue::new().ask(FIRST, bid(1, 900, 0)),
        Code::QuantityTooLarge => || Venue::new().ask(FIRST, bid(1, 900, u64::MAX)),
        Code::PriceOutOfRange => || Venue::new().ask(FIRST, bid(1, u64::MAX, 2)),
        Code::PriceOutsideBand => || Venue::new().ask(FIRST, bid(1, 1_101, 2)),
        Code::PostOnlyWouldTake => || against_an_ask(limit(TimeInForce::PostOnly)),
        Code::FillOrKillNotFillable => || against_an_ask(limit(TimeInForce::FillOrKill)),
        Code::ReduceOnlyWouldIncrease => || {
            let order = PlaceOrder { is_reduce_only: true, ..limit(TimeInForce::GoodTillCancel) };
            Venue::new().ask(FIRST, Command::PlaceOrder(order))
        },
        Code::OpenOrdersMax => || {
            let mut venue = Venue::new();
            let count = usize::try_from(OPEN_ORDERS_MAX).unwrap();
            let letter = venue.root(FIRST, vec![bid(1, 900, 2); count + 1]);
            let step = venue.step(&[letter]);
            step.verdict(0, count - 1)?;
            step.verdict(0, count)
        },
        Code::PositionsMax => positions_max,
        Code::ClientIdInUse => || {
            let mut venue = Venue::new();
            let mut named = order(1, Side::Bid, 900, 2, TimeInForce::GoodTillCancel);
            named.client_id = ClientOrderId::new(5);
            venue.ask(FIRST, Command::PlaceOrder(named))?;
            named.market = MarketId::new(2);
            venue.ask(FIRST, Command::PlaceOrder(named))
        },
        Code::OrderNotFound => || {
            let mut venue = Venue::new();
            venue.ask(FIRST, bid(1, 900, 2))?;
            let order = OrderReference::Number(OrderNumber::new(1));
            let (price, quantity) = (PriceTicks::from_ticks(901), QuantityLots::from_lots(2));
            // It rests, and belongs to somebody else.
            venue.ask(FIRST + 1, Command::AmendOrder(AmendOrder { market: MarketId::new(1), order, price, quantity }))
        },
        Code::GoodTillTimePast => || {
            let terms = TimeInForce::GoodTillTime(TimeMs::from_ms(crate::kit::GENESIS_MS + 10));
            Venue::new().ask(FIRST, Command::PlaceOrder(order(1, Side::Bid, 900, 2, terms)))
        },
        Code::LadderNotSorted => || Venue::new().ask(FIRST, ladder(&[900, 900], &[])),
        Code::LadderCrossed => || Venue::new().ask(FIRST, ladder(&[1_000], &[1_000])),
        Code::BandEdgeInsolvent => band_edge_insolvent,
        Code::PositionTooLarge => || {
            let mut venue = Venue::new();
            venue.ask(FIRST, bid(1, 900, 100))?;
            venue.ask(FIRST, bid(1, 900, 51))
        },
        Code::NoLiquidity => || {
            let mut market = order(1, Side::Bid, 900, 2, TimeInForce::GoodTillCancel);
            market.kind = OrderKind::Market(MarketTerms { slippage_ppm_max: RatioPpm::from_ppm(u32::MAX) });
            Venue::new().ask(FIRST, Command::PlaceOrder(market))
        },
        Code::DeadManTimeoutNotAllowed => || {
            let set = SetDeadMan { segment: SegmentId::new(1), timeout_ms: DurationMs::from_ms(999) };
            Venue::new().ask(FIRST, Command::SetDeadMan(set))
        },
        // Segments.
        Code::SegmentFaulted => || {
            let mut venue = Venue::new();
            let height = venue.ledger().chain().height.next();
            venue.replica.break_law_for_testing(SegmentId::new(1), height);
            venue.ask(FIRST, bid(1, 900, 2))
        },
        Code::GroupRolledBack => || {
            let mut venue = Venue::new();
            let group = venue.root(FIRST, vec![bid(1, 900, 2), cancel(1, 50)]).group();
            venue.step(&[group]).only()
        },
        Code::SegmentHalted => || {
            let mut venue = Venue::new();
            let height = venue.ledger().chain().height.next();
            venue.replica.break_law_for_testing(SegmentId::new(1), height);
            venue.wait(10);
            venue.ask(FIRST, bid(1, 900, 2))
        },
    };
    Reach::By(by)
}

fn bytes(change: fn(&mut Vec<u8>)) -> Verdict {
    let mut venue = Venue::new();
    let mut sealed = venue.root(FIRST, vec![bid(1, 900, 2)]).sealed();
    change(&mut sealed);
    venue.step_after(10, vec![sealed]).only()
}

fn grant(change: fn(&mut GrantTerms)) -> Verdict {
    let mut venue = Venue::new();
    let mut changed = terms(&venue, FIRST, 2);
    change(&mut changed);
    venue.ask(FIRST, Command::RegisterGrant(Box::new(changed)))
}

/// An order under a grant with something changed.
fn session_of(change: fn(&mut GrantTerms)) -> Verdict {
    let mut venue = Venue::new();
    let mut changed = terms(&venue, FIRST, 2);
    change(&mut changed);
    venue.ask(FIRST, Command::RegisterGrant(Box::new(changed)))?;
    venue.ask_session(FIRST, 2, bid(1, 900, 2))
}

fn deposit(amount: i64) -> Verdict {
    let claim = claim(1, amount, Beneficiary::Account(AccountId::new(FIRST)));
    Venue::new().attest(&[1, 2], &claim).verdict(1, 0)
}

fn limit(time_in_force: TimeInForce) -> PlaceOrder {
    order(1, Side::Bid, 1_000, 4, time_in_force)
}

/// The order meets two lots for sale at its price.
fn against_an_ask(order: PlaceOrder) -> Verdict {
    let mut venue = Venue::new();
    venue.ask(FIRST + 1, ask(1, 1_000, 2))?;
    venue.ask(FIRST, Command::PlaceOrder(order))
}

fn revoke(number: u32) -> Command {
    Command::RevokeGrant(RevokeGrant { number: GrantNumber::new(number) })
}

fn close() -> Command {
    Command::CloseAccount(Box::new(CloseAccount { chain: 1, destination: list(vec![1]) }))
}

fn withdraw(amount: i64) -> Command {
    Command::RequestWithdrawal(Box::new(RequestWithdrawal {
        segment: SegmentId::new(1),
        amount: micros(amount),
        chain: 1,
        destination: list(vec![1]),
    }))
}

fn ladder(bids: &[u64], asks: &[u64]) -> Command {
    let level = |&price| QuoteLevel { price: PriceTicks::from_ticks(price), quantity: QuantityLots::from_lots(2) };
    Command::QuoteLadder(Box::new(QuoteLadder {
        market: MarketId::new(1),
        bids: list(bids.iter().map(level).collect()),
        asks: list(asks.iter().map(level).collect()),
    }))
}

fn with(change: impl FnOnce(&mut Genesis)) -> Venue {
    let mut genesis = genesis();
    change(&mut genesis);
    Venue::of(genesis)
}

/// More bytes than a block holds, from as many accounts as their weight needs.
fn block_full() -> Verdict {
    let mut venue = with(|genesis| genesis.accounts.weight_burst = 200_000);
    let prices: Vec<u64> = (1..=30).rev().collect();
    let letters: Vec<_> = (0..70).map(|_| venue.root(FIRST, vec![ladder(&prices, &[]); 63])).collect();
    let size_bytes: usize = letters.iter().map(|letter| letter.sealed().len()).sum();
    assert!(size_bytes > 2_000_000);
    let more: Vec<_> = (0..70).map(|_| venue.root(FIRST + 1, vec![ladder(&prices, &[]); 63])).collect();
    venue.step(&[letters, more].concat()).only()
}

/// One market more in a segment than an account may be in.
fn positions_max() -> Verdict {
    let mut venue = with(|genesis| {
        let mut markets = genesis.markets.clone().into_vec();
        for id in 4..=u16::try_from(POSITIONS_MAX).unwrap() + 2 {
            let mut market = markets[0];
            market.id = MarketId::new(id);
            markets.push(market);
        }
        genesis.markets = list(markets);
        let mut segments = genesis.segments.clone().into_vec();
        segments[0].open_orders_max = 100;
        genesis.segments = list(segments);
    });
    let in_one: Vec<u16> = (1..=u16::try_from(POSITIONS_MAX).unwrap() + 2).filter(|&id| id != 3).collect();
    for part in in_one.chunks(32) {
        let letter = venue.root(FIRST, part.iter().map(|&market| bid(market, 900, 2)).collect());
        let step = venue.step(&[letter]);
        let last = part.len() - 1;
        step.verdict(0, last)?;
    }
    Ok(())
}

/// A short under water buys back at the far edge of the band: the price is fair, but the fee lowers its equity.
fn band_edge_insolvent() -> Verdict {
    let mut venue = Venue::new();
    for buyer in [FIRST + 1, FIRST + 2] {
        venue.ask(buyer, bid(1, 1_000, 75))?;
    }
    for lots in [75, 75] {
        venue.ask(FIRST, ask(1, 1_000, lots))?;
    }
    let mut price = 1_000;
    while price < 2_200 {
        price += price / 10;
        venue.ask(FIRST + 3, ask(1, price, 2))?;
        venue.ask(FIRST + 4, bid(1, price, 2))?;
    }
    let edge = price + price.div_ceil(10);
    venue.ask(FIRST + 3, ask(1, edge, 2))?;
    let mut back = order(1, Side::Bid, edge, 2, TimeInForce::ImmediateOrCancel);
    back.is_reduce_only = true;
    venue.ask(FIRST, Command::PlaceOrder(back))
}
