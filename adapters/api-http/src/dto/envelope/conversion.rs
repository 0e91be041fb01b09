//! Between the JSON form and the protocol's own types, both ways.

use casemate_protocol::command::{
    AddEvidence, AdoptPolicies, AmendOrder, Approve, Beneficiary, CancelAllOrders, CancelOrder, CancelScope,
    CancelTransfer, CancelWithdrawal, Change, ChangeRootKey, CloseAccount, ContestLink, DepositClaim, LeaveBreaker,
    LimitTerms, MarketTerms, OrderKind, OrderReference, OutsideReference, PlaceOrder, Propose, QuoteLadder, QuoteLevel,
    RequestTransfer, RequestWithdrawal, RevokeGrant, SetDeadMan, SubmitPrice, TimeInForce, Waiting,
};
use casemate_protocol::envelope::{Evidence, Intent, Signer};
use casemate_protocol::grant::{ActionSet, GrantTerms, MarketScope};
use casemate_protocol::policy::{PolicyFile, PolicySet};
use casemate_protocol::{
    AccountId, Action, AssetId, BoundedVec, ClientOrderId, Command, Digest, DurationMs, Envelope, FeedId, GrantNumber,
    MarketId, OrderNumber, PolicyEpoch, PriceNanos, PriceTicks, ProposalNumber, QuantityLots, QuoteMicros, RatioPpm,
    SegmentId, TimeMs, TransferNumber, WithdrawalNumber,
};

use super::{
    ActionJson, AddEvidenceJson, AdoptPoliciesJson, AmendOrderJson, BeneficiaryJson, CancelOrderJson, CancelScopeJson,
    ChangeJson, ChangeRootKeyJson, CloseAccountJson, CommandJson, ContestLinkJson, DepositClaimJson, EnvelopeJson,
    EvidenceJson, GrantNumberJson, GrantTermsJson, LeaveBreakerJson, LimitTermsJson, MarketTermsJson, OrderKindJson,
    OrderReferenceJson, PlaceOrderJson, PolicyFileJson, ProposeJson, QuoteLadderJson, QuoteLevelJson,
    RequestTransferJson, RequestWithdrawalJson, SegmentNumberJson, SetDeadManJson, SignatureJson, SignerJson,
    SubmitPriceJson, TimeInForceJson, UnsignedEnvelopeJson, UntilJson, WaitingJson,
};
use crate::error::{ApiError, ApiRule};
use crate::values::{HexBytes, Int, KeyText};

impl EnvelopeJson {
    /// The envelope that this says.
    ///
    /// # Errors
    /// `ValueOutOfRange`: a list is longer than its maximum; the message names the field.
    pub fn into_envelope(self) -> Result<Envelope, ApiError> {
        let Self { version, chain_id, account, signer, nonce, valid_until_ms, group, commands, evidence, signature } =
            self;
        let unsigned =
            UnsignedEnvelopeJson { version, chain_id, account, signer, nonce, valid_until_ms, group, commands };
        let intent = unsigned.into_intent()?;
        let pieces: Result<Vec<Evidence>, ApiError> = evidence.into_iter().map(Evidence::try_from).collect();
        Ok(Envelope { intent, evidence: bounded("evidence", pieces?)?, signature: signature.into_signature()? })
    }
}

impl UnsignedEnvelopeJson {
    /// The intent that this says.
    ///
    /// # Errors
    /// `ValueOutOfRange`: a list is longer than its maximum; the message names the field.
    pub fn into_intent(self) -> Result<Intent, ApiError> {
        let commands: Result<Vec<Command>, ApiError> = self.commands.into_iter().map(Command::try_from).collect();
        Ok(Intent {
            version: self.version,
            chain_id: Digest(self.chain_id.0),
            account: AccountId::new(self.account),
            signer: self.signer.into(),
            nonce: self.nonce,
            valid_until_ms: TimeMs::from_ms(self.valid_until_ms),
            group: self.group.into(),
            commands: bounded("commands", commands?)?,
        })
    }
}

impl From<SignerJson> for Signer {
    fn from(signer: SignerJson) -> Self {
        Self { role: signer.role.into(), key: signer.key.0 }
    }
}

impl From<&Envelope> for EnvelopeJson {
    fn from(envelope: &Envelope) -> Self {
        let intent = &envelope.intent;
        Self {
            version: intent.version,
            chain_id: intent.chain_id.into(),
            account: intent.account.number(),
            signer: SignerJson { role: intent.signer.role.into(), key: KeyText(intent.signer.key) },
            nonce: intent.nonce,
            valid_until_ms: intent.valid_until_ms.ms(),
            group: intent.group.into(),
            commands: intent.commands.iter().map(CommandJson::from).collect(),
            evidence: envelope.evidence.iter().map(EvidenceJson::from).collect(),
            signature: SignatureJson::from(&envelope.signature),
        }
    }
}

impl TryFrom<CommandJson> for Command {
    type Error = ApiError;

    fn try_from(json: CommandJson) -> Result<Self, ApiError> {
        Ok(match json {
            CommandJson::OpenAccount => Self::OpenAccount,
            CommandJson::CloseAccount(close) => Self::CloseAccount(Box::new(CloseAccount {
                chain: close.chain,
                destination: outside("destination", close.destination)?,
            })),
            CommandJson::RegisterGrant(terms) => Self::RegisterGrant(Box::new(terms.into_terms()?)),
            CommandJson::RevokeGrant(grant) => {
                Self::RevokeGrant(RevokeGrant { number: GrantNumber::new(grant.number) })
            }
            CommandJson::AddPayoutAddress(address) => Self::AddPayoutAddress(Box::new(address.try_into()?)),
            CommandJson::RemovePayoutAddress(address) => Self::RemovePayoutAddress(Box::new(address.try_into()?)),
            CommandJson::ChangeRootKey(change) => Self::ChangeRootKey(ChangeRootKey { key: change.key.0 }),
            CommandJson::CancelRootKeyChange => Self::CancelRootKeyChange,
            CommandJson::AcceptRootKey => Self::AcceptRootKey,
            CommandJson::SetGuardians(set) => Self::SetGuardians(Box::new(set.try_into()?)),
            CommandJson::CancelGuardianChange => Self::CancelGuardianChange,
            CommandJson::VoteAsGuardian(vote) => Self::VoteAsGuardian(vote.into()),
            CommandJson::CancelRecovery => Self::CancelRecovery,
            CommandJson::AttestDeposit(claim) => Self::AttestDeposit(Box::new(claim.into_claim()?)),
            CommandJson::RequestWithdrawal(request) => Self::RequestWithdrawal(Box::new(request.try_into()?)),
            CommandJson::RequestPrincipalExit(request) => Self::RequestPrincipalExit(Box::new(request.try_into()?)),
            CommandJson::SubmitPrice(submit) => Self::SubmitPrice(SubmitPrice {
                feed: FeedId::new(submit.feed),
                price: PriceNanos::from_nanos(submit.price_nanos.0),
                confidence: PriceNanos::from_nanos(submit.confidence_nanos.0),
                source_ms: TimeMs::from_ms(submit.source_ms),
            }),
            CommandJson::Propose(propose) => Self::Propose(Box::new(propose.into_propose()?)),
            CommandJson::Approve(approve) => Self::Approve(Approve {
                segment: SegmentId::new(approve.segment),
                number: ProposalNumber::new(approve.number),
            }),
            CommandJson::CancelWithdrawal(cancel) => Self::CancelWithdrawal(CancelWithdrawal {
                segment: SegmentId::new(cancel.segment),
                number: WithdrawalNumber::new(cancel.number),
            }),
            CommandJson::RequestTransfer(request) => Self::RequestTransfer(RequestTransfer {
                from: SegmentId::new(request.from),
                to: SegmentId::new(request.to),
                amount: QuoteMicros::from_micros(request.amount_quote_micros.0),
            }),
            CommandJson::AddEvidence(added) => Self::AddEvidence(AddEvidence {
                segment: SegmentId::new(added.segment),
                waiting: match added.waiting {
                    WaitingJson::Withdrawal(number) => Waiting::Withdrawal(WithdrawalNumber::new(number)),
                    WaitingJson::Transfer(number) => Waiting::Transfer(TransferNumber::new(number)),
                },
            }),
            CommandJson::CancelTransfer(cancel) => Self::CancelTransfer(CancelTransfer {
                segment: SegmentId::new(cancel.segment),
                number: TransferNumber::new(cancel.number),
            }),
            CommandJson::PlaceOrder(order) => Self::PlaceOrder(order.into()),
            CommandJson::AmendOrder(amend) => Self::AmendOrder(AmendOrder {
                market: MarketId::new(amend.market),
                order: amend.order.into(),
                price: PriceTicks::from_ticks(amend.price_ticks.0),
                quantity: QuantityLots::from_lots(amend.quantity_lots.0),
            }),
            CommandJson::CancelOrder(cancel) => {
                Self::CancelOrder(CancelOrder { market: MarketId::new(cancel.market), order: cancel.order.into() })
            }
            CommandJson::CancelAllOrders(scope) => Self::CancelAllOrders(CancelAllOrders {
                scope: match scope {
                    CancelScopeJson::Market(market) => CancelScope::Market(MarketId::new(market)),
                    CancelScopeJson::Segment(segment) => CancelScope::Segment(SegmentId::new(segment)),
                },
            }),
            CommandJson::QuoteLadder(ladder) => Self::QuoteLadder(Box::new(QuoteLadder {
                market: MarketId::new(ladder.market),
                bids: bounded("bids", ladder.bids.into_iter().map(QuoteLevel::from).collect())?,
                asks: bounded("asks", ladder.asks.into_iter().map(QuoteLevel::from).collect())?,
            })),
            CommandJson::ContestLink(contest) => {
                Self::ContestLink(ContestLink { segment: SegmentId::new(contest.segment) })
            }
            CommandJson::SetDeadMan(set) => Self::SetDeadMan(SetDeadMan {
                segment: SegmentId::new(set.segment),
                timeout_ms: DurationMs::from_ms(set.timeout_ms),
            }),
        })
    }
}

impl From<&Command> for CommandJson {
    fn from(command: &Command) -> Self {
        match command {
            Command::OpenAccount => Self::OpenAccount,
            Command::CloseAccount(close) => Self::CloseAccount(CloseAccountJson {
                chain: close.chain,
                destination: HexBytes(close.destination.as_slice().to_vec()),
            }),
            Command::RegisterGrant(terms) => Self::RegisterGrant(GrantTermsJson::from(&**terms)),
            Command::RevokeGrant(revoke) => Self::RevokeGrant(GrantNumberJson { number: revoke.number.number() }),
            Command::AddPayoutAddress(address) => Self::AddPayoutAddress((&**address).into()),
            Command::RemovePayoutAddress(address) => Self::RemovePayoutAddress((&**address).into()),
            Command::ChangeRootKey(change) => Self::ChangeRootKey(ChangeRootKeyJson { key: KeyText(change.key) }),
            Command::CancelRootKeyChange => Self::CancelRootKeyChange,
            Command::AcceptRootKey => Self::AcceptRootKey,
            Command::SetGuardians(set) => Self::SetGuardians((&**set).into()),
            Command::CancelGuardianChange => Self::CancelGuardianChange,
            Command::VoteAsGuardian(vote) => Self::VoteAsGuardian((*vote).into()),
            Command::CancelRecovery => Self::CancelRecovery,
            Command::AttestDeposit(claim) => Self::AttestDeposit(DepositClaimJson::from(&**claim)),
            Command::RequestWithdrawal(request) => Self::RequestWithdrawal((&**request).into()),
            Command::RequestPrincipalExit(request) => Self::RequestPrincipalExit((&**request).into()),
            Command::SubmitPrice(submit) => Self::SubmitPrice(SubmitPriceJson {
                feed: submit.feed.number(),
                price_nanos: Int(submit.price.nanos()),
                confidence_nanos: Int(submit.confidence.nanos()),
                source_ms: submit.source_ms.ms(),
            }),
            Command::Propose(propose) => Self::Propose(ProposeJson::from(&**propose)),
            Command::Approve(approve) => {
                Self::Approve(SegmentNumberJson { segment: approve.segment.number(), number: approve.number.number() })
            }
            Command::CancelWithdrawal(cancel) => Self::CancelWithdrawal(SegmentNumberJson {
                segment: cancel.segment.number(),
                number: cancel.number.number(),
            }),
            Command::RequestTransfer(request) => Self::RequestTransfer(RequestTransferJson {
                from: request.from.number(),
                to: request.to.number(),
                amount_quote_micros: Int(request.amount.micros()),
            }),
            Command::AddEvidence(added) => {
                Self::AddEvidence(AddEvidenceJson { segment: added.segment.number(), waiting: added.waiting.into() })
            }
            Command::CancelTransfer(cancel) => Self::CancelTransfer(SegmentNumberJson {
                segment: cancel.segment.number(),
                number: cancel.number.number(),
            }),
            Command::PlaceOrder(order) => Self::PlaceOrder(PlaceOrderJson::from(order)),
            Command::AmendOrder(amend) => Self::AmendOrder(AmendOrderJson {
                market: amend.market.number(),
                order: amend.order.into(),
                price_ticks: Int(amend.price.ticks()),
                quantity_lots: Int(amend.quantity.lots()),
            }),
            Command::CancelOrder(cancel) => {
                Self::CancelOrder(CancelOrderJson { market: cancel.market.number(), order: cancel.order.into() })
            }
            Command::CancelAllOrders(cancel) => Self::CancelAllOrders(match cancel.scope {
                CancelScope::Market(market) => CancelScopeJson::Market(market.number()),
                CancelScope::Segment(segment) => CancelScopeJson::Segment(segment.number()),
            }),
            Command::QuoteLadder(ladder) => Self::QuoteLadder(QuoteLadderJson {
                market: ladder.market.number(),
                bids: ladder.bids.iter().map(QuoteLevelJson::from).collect(),
                asks: ladder.asks.iter().map(QuoteLevelJson::from).collect(),
            }),
            Command::ContestLink(contest) => Self::ContestLink(ContestLinkJson { segment: contest.segment.number() }),
            Command::SetDeadMan(set) => {
                Self::SetDeadMan(SetDeadManJson { segment: set.segment.number(), timeout_ms: set.timeout_ms.ms() })
            }
        }
    }
}

impl TryFrom<RequestWithdrawalJson> for RequestWithdrawal {
    type Error = ApiError;

    fn try_from(json: RequestWithdrawalJson) -> Result<Self, ApiError> {
        Ok(Self {
            segment: SegmentId::new(json.segment),
            amount: QuoteMicros::from_micros(json.amount_quote_micros.0),
            chain: json.chain,
            destination: outside("destination", json.destination)?,
        })
    }
}

impl From<&RequestWithdrawal> for RequestWithdrawalJson {
    fn from(request: &RequestWithdrawal) -> Self {
        Self {
            segment: request.segment.number(),
            amount_quote_micros: Int(request.amount.micros()),
            chain: request.chain,
            destination: HexBytes(request.destination.as_slice().to_vec()),
        }
    }
}

impl ProposeJson {
    fn into_propose(self) -> Result<Propose, ApiError> {
        let change = match self.change {
            ChangeJson::LeaveBreaker(LeaveBreakerJson { from, to }) => {
                Change::LeaveBreaker(LeaveBreaker { from: from.into(), to: to.into() })
            }
            ChangeJson::AdoptPolicies(adopt) => Change::AdoptPolicies(Box::new(adopt.into_change()?)),
        };
        Ok(Propose { segment: SegmentId::new(self.segment), change, expires_ms: TimeMs::from_ms(self.expires_ms) })
    }
}

impl AdoptPoliciesJson {
    fn into_change(self) -> Result<AdoptPolicies, ApiError> {
        let file = |file: PolicyFileJson| {
            Ok(PolicyFile {
                name: bounded("name", file.name.into_bytes())?,
                text: bounded("text", file.text.into_bytes())?,
            })
        };
        let files = self.files.into_iter().map(file).collect::<Result<Vec<_>, ApiError>>()?;
        Ok(AdoptPolicies {
            old_epoch: PolicyEpoch::new(self.old_epoch),
            set: PolicySet { files: bounded("files", files)? },
            table: Digest(self.table.0),
            is_tightening: self.is_tightening,
        })
    }
}

impl From<&Propose> for ProposeJson {
    fn from(propose: &Propose) -> Self {
        Self {
            segment: propose.segment.number(),
            change: (&propose.change).into(),
            expires_ms: propose.expires_ms.ms(),
        }
    }
}

impl From<&Change> for ChangeJson {
    fn from(change: &Change) -> Self {
        match change {
            Change::LeaveBreaker(LeaveBreaker { from, to }) => {
                Self::LeaveBreaker(LeaveBreakerJson { from: (*from).into(), to: (*to).into() })
            }
            Change::AdoptPolicies(adopt) => Self::AdoptPolicies(AdoptPoliciesJson {
                old_epoch: adopt.old_epoch.number(),
                files: adopt.set.files.iter().map(PolicyFileJson::from).collect(),
                table: adopt.table.into(),
                is_tightening: adopt.is_tightening,
            }),
        }
    }
}

impl From<Waiting> for WaitingJson {
    fn from(waiting: Waiting) -> Self {
        match waiting {
            Waiting::Withdrawal(number) => Self::Withdrawal(number.number()),
            Waiting::Transfer(number) => Self::Transfer(number.number()),
        }
    }
}

impl From<&PolicyFile> for PolicyFileJson {
    fn from(file: &PolicyFile) -> Self {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Self { name: text(file.name.as_slice()), text: text(file.text.as_slice()) }
    }
}

impl GrantTermsJson {
    fn into_terms(self) -> Result<GrantTerms, ApiError> {
        let markets = match self.markets {
            None => MarketScope::All,
            Some(named) => MarketScope::Only(bounded("markets", named.into_iter().map(MarketId::new).collect())?),
        };
        Ok(GrantTerms {
            number: GrantNumber::new(self.number),
            parent: GrantNumber::new(self.parent),
            session_key: self.session_key.0,
            actions: self.actions.into_iter().fold(ActionSet::EMPTY, |set, action| set.with(action.into())),
            markets,
            notional_quote_micros_max: QuoteMicros::from_micros(self.notional_quote_micros_max.0),
            loss_quote_micros_max: QuoteMicros::from_micros(self.loss_quote_micros_max.0),
            commands_per_minute_max: self.commands_per_minute_max,
            expires_ms: TimeMs::from_ms(self.expires_ms),
            register_before_ms: TimeMs::from_ms(self.register_before_ms),
        })
    }
}

impl From<&GrantTerms> for GrantTermsJson {
    fn from(terms: &GrantTerms) -> Self {
        Self {
            number: terms.number.number(),
            parent: terms.parent.number(),
            session_key: KeyText(terms.session_key),
            actions: action_words(terms.actions),
            markets: market_numbers(&terms.markets),
            notional_quote_micros_max: Int(terms.notional_quote_micros_max.micros()),
            loss_quote_micros_max: Int(terms.loss_quote_micros_max.micros()),
            commands_per_minute_max: terms.commands_per_minute_max,
            expires_ms: terms.expires_ms.ms(),
            register_before_ms: terms.register_before_ms.ms(),
        }
    }
}

/// The words of a set of actions.
pub fn action_words(actions: ActionSet) -> Vec<ActionJson> {
    Action::ALL.into_iter().filter(|action| actions.contains(*action)).map(ActionJson::from).collect()
}

/// The markets of a scope; none for all of them.
pub fn market_numbers(scope: &MarketScope) -> Option<Vec<u16>> {
    match scope {
        MarketScope::All => None,
        MarketScope::Only(markets) => Some(markets.iter().map(|market| market.number()).collect()),
    }
}

impl DepositClaimJson {
    fn into_claim(self) -> Result<DepositClaim, ApiError> {
        Ok(DepositClaim {
            chain: self.chain,
            transaction: outside("transaction", self.transaction)?,
            output: self.output,
            asset: AssetId::new(self.asset),
            amount: QuoteMicros::from_micros(self.amount_quote_micros.0),
            segment: SegmentId::new(self.segment),
            beneficiary: match self.beneficiary {
                BeneficiaryJson::Account(account) => Beneficiary::Account(AccountId::new(account)),
                BeneficiaryJson::RootKey(key) => Beneficiary::RootKey(key.0),
            },
        })
    }
}

impl From<&DepositClaim> for DepositClaimJson {
    fn from(claim: &DepositClaim) -> Self {
        Self {
            chain: claim.chain,
            transaction: HexBytes(claim.transaction.as_slice().to_vec()),
            output: claim.output,
            asset: claim.asset.number(),
            amount_quote_micros: Int(claim.amount.micros()),
            segment: claim.segment.number(),
            beneficiary: match claim.beneficiary {
                Beneficiary::Account(account) => BeneficiaryJson::Account(account.number()),
                Beneficiary::RootKey(key) => BeneficiaryJson::RootKey(KeyText(key)),
            },
        }
    }
}

impl From<PlaceOrderJson> for PlaceOrder {
    fn from(order: PlaceOrderJson) -> Self {
        Self {
            market: MarketId::new(order.market),
            side: order.side.into(),
            kind: match order.kind {
                OrderKindJson::Limit(limit) => OrderKind::Limit(LimitTerms {
                    price: PriceTicks::from_ticks(limit.price_ticks.0),
                    time_in_force: limit.time_in_force.into(),
                }),
                OrderKindJson::Market(market) => {
                    OrderKind::Market(MarketTerms { slippage_ppm_max: RatioPpm::from_ppm(market.slippage_ppm_max) })
                }
            },
            quantity: QuantityLots::from_lots(order.quantity_lots.0),
            client_id: ClientOrderId::new(order.client_id.0),
            is_reduce_only: order.is_reduce_only,
            self_trade: order.self_trade.into(),
        }
    }
}

impl From<&PlaceOrder> for PlaceOrderJson {
    fn from(order: &PlaceOrder) -> Self {
        Self {
            market: order.market.number(),
            side: order.side.into(),
            kind: match order.kind {
                OrderKind::Limit(limit) => OrderKindJson::Limit(LimitTermsJson {
                    price_ticks: Int(limit.price.ticks()),
                    time_in_force: limit.time_in_force.into(),
                }),
                OrderKind::Market(market) => {
                    OrderKindJson::Market(MarketTermsJson { slippage_ppm_max: market.slippage_ppm_max.ppm() })
                }
            },
            quantity_lots: Int(order.quantity.lots()),
            client_id: Int(order.client_id.number()),
            is_reduce_only: order.is_reduce_only,
            self_trade: order.self_trade.into(),
        }
    }
}

impl From<TimeInForceJson> for TimeInForce {
    fn from(json: TimeInForceJson) -> Self {
        match json {
            TimeInForceJson::GoodTillCancel => Self::GoodTillCancel,
            TimeInForceJson::GoodTillTime(until) => Self::GoodTillTime(TimeMs::from_ms(until.until_ms)),
            TimeInForceJson::ImmediateOrCancel => Self::ImmediateOrCancel,
            TimeInForceJson::FillOrKill => Self::FillOrKill,
            TimeInForceJson::PostOnly => Self::PostOnly,
            TimeInForceJson::PostOnlySlide => Self::PostOnlySlide,
        }
    }
}

impl From<TimeInForce> for TimeInForceJson {
    fn from(value: TimeInForce) -> Self {
        match value {
            TimeInForce::GoodTillCancel => Self::GoodTillCancel,
            TimeInForce::GoodTillTime(until) => Self::GoodTillTime(UntilJson { until_ms: until.ms() }),
            TimeInForce::ImmediateOrCancel => Self::ImmediateOrCancel,
            TimeInForce::FillOrKill => Self::FillOrKill,
            TimeInForce::PostOnly => Self::PostOnly,
            TimeInForce::PostOnlySlide => Self::PostOnlySlide,
        }
    }
}

impl From<OrderReferenceJson> for OrderReference {
    fn from(json: OrderReferenceJson) -> Self {
        match json {
            OrderReferenceJson::Number(Int(number)) => Self::Number(OrderNumber::new(number)),
            OrderReferenceJson::ClientId(Int(number)) => Self::Client(ClientOrderId::new(number)),
        }
    }
}

impl From<OrderReference> for OrderReferenceJson {
    fn from(value: OrderReference) -> Self {
        match value {
            OrderReference::Number(number) => Self::Number(Int(number.number())),
            OrderReference::Client(client_id) => Self::ClientId(Int(client_id.number())),
        }
    }
}

impl From<QuoteLevelJson> for QuoteLevel {
    fn from(json: QuoteLevelJson) -> Self {
        Self {
            price: PriceTicks::from_ticks(json.price_ticks.0),
            quantity: QuantityLots::from_lots(json.quantity_lots.0),
        }
    }
}

impl From<&QuoteLevel> for QuoteLevelJson {
    fn from(level: &QuoteLevel) -> Self {
        Self { price_ticks: Int(level.price.ticks()), quantity_lots: Int(level.quantity.lots()) }
    }
}

pub(super) fn outside(field: &str, bytes: HexBytes) -> Result<OutsideReference, ApiError> {
    bounded(field, bytes.0)
}

pub(super) fn bounded<T, const MAX: usize>(field: &str, items: Vec<T>) -> Result<BoundedVec<T, MAX>, ApiError> {
    let count = |number: usize| u64::try_from(number).unwrap_or(u64::MAX);
    let present = count(items.len());
    BoundedVec::new(items).ok_or_else(|| {
        let message = format!("`{field}` has `{present}` elements, at most `{MAX}` are allowed");
        ApiError::of(ApiRule::ValueOutOfRange, message).numbers("count", count(MAX), present)
    })
}

#[cfg(test)]
mod tests {
    use casemate_protocol::testing::examples;

    use super::*;

    /// Every kind of command, so that a new one without a JSON form does not go unnoticed.
    #[test]
    fn every_command_comes_back_from_json_as_it_went() {
        for action in Action::ALL {
            let command = examples::command(action);
            let json = serde_json::to_string(&CommandJson::from(&command)).unwrap();
            let back = serde_json::from_str::<CommandJson>(&json).unwrap();
            assert_eq!(Command::try_from(back).unwrap(), command, "{json}");
        }
        let envelope = examples::envelope(Action::ALL.map(examples::command).to_vec());
        let json = serde_json::to_vec(&EnvelopeJson::from(&envelope)).unwrap();
        assert_eq!(crate::body::json::<EnvelopeJson>(&json).unwrap().into_envelope().unwrap(), envelope);
    }

    #[test]
    fn an_unknown_field_at_any_depth_is_refused_by_name_and_place() {
        let envelope = examples::envelope(vec![Command::PlaceOrder(examples::place_order())]);
        let json = serde_json::to_string(&EnvelopeJson::from(&envelope)).unwrap();
        for place in ["{\"version\"", "{\"role\"", "{\"market\"", "{\"price_ticks\""] {
            assert!(json.contains(place), "{place} in {json}");
            let spoilt = json.replacen(place, &place.replacen('{', "{\n\"surprise\":1,", 1), 1);
            let error = crate::body::json::<EnvelopeJson>(spoilt.as_bytes()).unwrap_err();
            let message = &error.detail().message;
            assert!(message.contains("`surprise`") && message.contains("line 2 column 10"), "{message}");
        }
    }

    #[test]
    fn a_list_longer_than_its_maximum_is_refused() {
        let many = vec![Command::OpenAccount; 65];
        let mut json = EnvelopeJson::from(&examples::envelope(vec![Command::OpenAccount]));
        json.commands = many.iter().map(CommandJson::from).collect();
        let error = json.into_envelope().unwrap_err();
        assert_eq!(error.detail().number, ApiRule::ValueOutOfRange.number());
        assert_eq!((error.detail().required, error.detail().present), (Some(Int(64)), Some(Int(65))));
    }
}
