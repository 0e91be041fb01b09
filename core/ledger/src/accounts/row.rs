//! An account's row: its keys, grants, nonces and budgets.

use borsh::io::{Read, Write};
use borsh::{BorshDeserialize, BorshSerialize};
use casemate_protocol::genesis::AccountRules;
use casemate_protocol::grant::{ActionSet, GrantTerms, MarketScope};
use casemate_protocol::limits::FRESH_GRANT_MS;
use casemate_protocol::nonce::NonceWindow;
use casemate_protocol::{DurationMs, GrantNumber, PublicKey, QuoteMicros, SegmentId, SignatureForm, TimeMs};

use crate::paged::Row;

/// An account.
///
/// There are as many rows as accounts, so their size is a budget: the two halves of [`WeightBudget`] stand apart to leave
/// room for the counter between them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    pub(crate) root_key: PublicKey,
    pub(crate) status: AccountStatus,
    /// The segment that holds the bond.
    pub(crate) bond_segment: SegmentId,
    pub(crate) next_grant: GrantNumber,
    pub(crate) bond: QuoteMicros,
    /// Nonces of the root key.
    pub(crate) nonces: NonceWindow,
    weight_left: u32,
    /// Latest counter of the passkey that is the root key; zero as long as it gave none.
    pub(crate) passkey_count: u32,
    weight_as_of_ms: TimeMs,
    /// Live grants, and ended ones until the next registration sweeps them.
    pub(crate) grants: Box<[Grant]>,
}

/// Whether an account can act.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
#[borsh(use_discriminant = true)]
#[repr(u8)]
pub enum AccountStatus {
    /// Can act.
    Open = 1,
    /// Closed for good.
    Closed = 2,
}

/// A registered session key and what it may do.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Grant {
    pub(crate) session_key: PublicKey,
    pub(crate) is_revoked: bool,
    pub(crate) number: GrantNumber,
    pub(crate) actions: ActionSet,
    /// `None` for a grant that stands by itself and reaches all markets, which most do: it takes no room.
    narrowed: Option<Box<Narrowed>>,
    /// Without what was carved out for children.
    pub(crate) notional_max: QuoteMicros,
    /// The same of losses.
    pub(crate) loss_max: QuoteMicros,
    pub(crate) expires_ms: TimeMs,
    pub(crate) registered_ms: TimeMs,
    pub(crate) nonces: NonceWindow,
    pub(crate) rate: RateBudget,
}

/// What few grants say.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
struct Narrowed {
    /// The grant that it was carved out of; none if it stands by itself.
    parent: GrantNumber,
    /// Where it may act.
    markets: MarketScope,
}

/// Verification weight that an account may still use; refills with block time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct WeightBudget {
    left: u32,
    as_of_ms: TimeMs,
}

/// Commands of a session in the current minute of block time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct RateBudget {
    per_minute_max: u32,
    used: u32,
    minute_began_ms: TimeMs,
}

const MINUTE_MS: u64 = 60_000;

static ALL_MARKETS: MarketScope = MarketScope::All;

impl Account {
    /// A new account with a full weight budget, its opening nonce used.
    #[must_use]
    pub(crate) fn new(root_key: PublicKey, bond_segment: SegmentId, bond: QuoteMicros, rules: &AccountRules) -> Self {
        let mut nonces = NonceWindow::default();
        // The opening envelope has nonce 1 of the root key.
        nonces.consume(1);
        Self {
            root_key,
            status: AccountStatus::Open,
            bond_segment,
            next_grant: GrantNumber::new(1),
            bond,
            nonces,
            weight_left: rules.weight_burst,
            passkey_count: 0,
            weight_as_of_ms: TimeMs::ZERO,
            grants: Box::default(),
        }
    }

    /// The root key.
    #[must_use]
    pub const fn root_key(&self) -> &PublicKey {
        &self.root_key
    }

    /// Whether the account is open.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.status == AccountStatus::Open
    }

    /// Nonces of the root key.
    #[must_use]
    pub const fn nonces(&self) -> &NonceWindow {
        &self.nonces
    }

    /// The grant of a session key, live or ended.
    #[must_use]
    pub fn grant_of(&self, session_key: &PublicKey) -> Option<&Grant> {
        self.grants.iter().find(|grant| grant.session_key == *session_key)
    }

    /// Live and recently ended grants.
    #[must_use]
    pub fn grants(&self) -> &[Grant] {
        &self.grants
    }

    /// A grant by its number, live or ended.
    #[must_use]
    pub fn grant(&self, number: GrantNumber) -> Option<&Grant> {
        self.grants.iter().find(|grant| grant.number == number)
    }

    /// The verification weight left at a time.
    #[must_use]
    pub fn weight_left(&self, rules: &AccountRules, now_ms: TimeMs) -> u32 {
        self.weight().refilled(rules, now_ms).left
    }

    /// Latest counter of the passkey that is the root key; zero if the root key is none, or counts nothing.
    #[must_use]
    pub const fn passkey_count(&self) -> u32 {
        self.passkey_count
    }

    /// The verification budget as it was last written.
    pub(crate) const fn weight(&self) -> WeightBudget {
        WeightBudget { left: self.weight_left, as_of_ms: self.weight_as_of_ms }
    }

    pub(crate) const fn set_weight(&mut self, weight: WeightBudget) {
        self.weight_left = weight.left;
        self.weight_as_of_ms = weight.as_of_ms;
    }
}

/// The fields in order; the counter stands only in the rows of accounts that a passkey opened.
impl BorshSerialize for Account {
    fn serialize<W: Write>(&self, writer: &mut W) -> borsh::io::Result<()> {
        self.root_key.serialize(writer)?;
        self.status.serialize(writer)?;
        self.bond_segment.serialize(writer)?;
        self.next_grant.serialize(writer)?;
        self.bond.serialize(writer)?;
        self.nonces.serialize(writer)?;
        self.weight().serialize(writer)?;
        self.grants.serialize(writer)?;
        if self.root_key.form() == SignatureForm::WebAuthn { self.passkey_count.serialize(writer) } else { Ok(()) }
    }
}

impl BorshDeserialize for Account {
    fn deserialize_reader<R: Read>(reader: &mut R) -> borsh::io::Result<Self> {
        let root_key = PublicKey::deserialize_reader(reader)?;
        let status = BorshDeserialize::deserialize_reader(reader)?;
        let bond_segment = BorshDeserialize::deserialize_reader(reader)?;
        let next_grant = BorshDeserialize::deserialize_reader(reader)?;
        let bond = BorshDeserialize::deserialize_reader(reader)?;
        let nonces = BorshDeserialize::deserialize_reader(reader)?;
        let weight = WeightBudget::deserialize_reader(reader)?;
        let grants = BorshDeserialize::deserialize_reader(reader)?;
        let has_count = root_key.form() == SignatureForm::WebAuthn;
        let passkey_count = if has_count { u32::deserialize_reader(reader)? } else { 0 };
        let (weight_left, weight_as_of_ms) = (weight.left, weight.as_of_ms);
        Ok(Self {
            root_key,
            status,
            bond_segment,
            next_grant,
            bond,
            nonces,
            weight_left,
            passkey_count,
            weight_as_of_ms,
            grants,
        })
    }
}

impl Grant {
    /// A grant with full budgets.
    #[must_use]
    pub(crate) fn new(terms: &GrantTerms, registered_ms: TimeMs) -> Self {
        let is_narrowed = terms.markets != MarketScope::All || !terms.parent.is_none();
        Self {
            session_key: terms.session_key,
            is_revoked: false,
            number: terms.number,
            actions: terms.actions,
            narrowed: is_narrowed.then(|| Box::new(Narrowed { parent: terms.parent, markets: terms.markets.clone() })),
            notional_max: terms.notional_quote_micros_max,
            loss_max: terms.loss_quote_micros_max,
            expires_ms: terms.expires_ms,
            registered_ms,
            nonces: NonceWindow::default(),
            rate: RateBudget { per_minute_max: terms.commands_per_minute_max, used: 0, minute_began_ms: registered_ms },
        }
    }

    /// Gives a child its rate and budgets for good.
    pub(crate) fn carve(&mut self, child: &Self) {
        self.notional_max = self.notional_max.saturating_sub(child.notional_max);
        self.loss_max = self.loss_max.saturating_sub(child.loss_max);
        self.rate.per_minute_max = self.rate.per_minute_max.saturating_sub(child.rate.per_minute_max);
    }

    /// The grant's number in its account.
    #[must_use]
    pub const fn number(&self) -> GrantNumber {
        self.number
    }

    /// The session key.
    #[must_use]
    pub const fn session_key(&self) -> &PublicKey {
        &self.session_key
    }

    /// The grant that it was carved out of; none if it stands by itself.
    #[must_use]
    pub fn parent(&self) -> GrantNumber {
        self.narrowed.as_ref().map_or(GrantNumber::NONE, |narrowed| narrowed.parent)
    }

    /// Whether it counts as fresh evidence: it stands by itself, so the root key signed it, not long ago. A child is not
    /// its parent, whoever registered it.
    #[must_use]
    pub fn is_fresh(&self, now_ms: TimeMs) -> bool {
        self.is_live(now_ms) && self.parent().is_none() && now_ms.since(self.registered_ms).ms() < FRESH_GRANT_MS
    }

    /// Whether it was revoked.
    #[must_use]
    pub const fn is_revoked(&self) -> bool {
        self.is_revoked
    }

    /// The grant's end.
    #[must_use]
    pub const fn expires_ms(&self) -> TimeMs {
        self.expires_ms
    }

    /// When it was registered.
    #[must_use]
    pub const fn registered_ms(&self) -> TimeMs {
        self.registered_ms
    }

    /// What the session may do.
    #[must_use]
    pub const fn actions(&self) -> ActionSet {
        self.actions
    }

    /// Where it may do it.
    #[must_use]
    pub fn markets(&self) -> &MarketScope {
        self.narrowed.as_ref().map_or(&ALL_MARKETS, |narrowed| &narrowed.markets)
    }

    /// Most notional over the grant's life, without what its children were given.
    #[must_use]
    pub const fn notional_max(&self) -> QuoteMicros {
        self.notional_max
    }

    /// Most loss over the grant's life, without what its children were given.
    #[must_use]
    pub const fn loss_max(&self) -> QuoteMicros {
        self.loss_max
    }

    /// Nonces of the session key.
    #[must_use]
    pub const fn nonces(&self) -> &NonceWindow {
        &self.nonces
    }

    /// Whether the session can act at a time.
    #[must_use]
    pub fn is_live(&self, now_ms: TimeMs) -> bool {
        !self.is_revoked && now_ms < self.expires_ms
    }

    /// Commands that it may still give in this minute.
    #[must_use]
    pub fn rate_left(&self, now_ms: TimeMs) -> u32 {
        let rate = self.rate.at(now_ms);
        rate.per_minute_max.saturating_sub(rate.used)
    }

    /// Commands per minute allowed, and the number that one more would be.
    #[must_use]
    pub fn rate_at(&self, now_ms: TimeMs) -> (u32, u32) {
        let rate = self.rate.at(now_ms);
        (rate.per_minute_max, rate.used.saturating_add(1))
    }
}

impl WeightBudget {
    fn refilled(self, rules: &AccountRules, now_ms: TimeMs) -> Self {
        let per_second = u64::from(rules.weight_per_second);
        let gained = now_ms.since(self.as_of_ms).ms().saturating_mul(per_second) / 1_000;
        let left = u64::from(self.left).saturating_add(gained);
        if left >= u64::from(rules.weight_burst) {
            return Self { left: rules.weight_burst, as_of_ms: now_ms };
        }
        // Only the time that became weight is used up: with short blocks and a slow refill, the rest of each step would
        // otherwise be lost, and an account that acts in every block would never regain anything.
        let used_ms = gained.saturating_mul(1_000).div_ceil(per_second.max(1));
        Self {
            left: u32::try_from(left).unwrap_or(rules.weight_burst),
            as_of_ms: self.as_of_ms.plus(DurationMs::from_ms(used_ms)),
        }
    }

    /// The budget after using weight at a time.
    #[must_use]
    pub(crate) fn spend(self, rules: &AccountRules, now_ms: TimeMs, weight: u32) -> Self {
        let refilled = self.refilled(rules, now_ms);
        Self { left: refilled.left.saturating_sub(weight), ..refilled }
    }
}

impl RateBudget {
    fn at(self, now_ms: TimeMs) -> Self {
        if now_ms.since(self.minute_began_ms).ms() < MINUTE_MS {
            return self;
        }
        Self { used: 0, minute_began_ms: now_ms, ..self }
    }

    /// The budget after one more command at a time.
    #[must_use]
    pub(crate) fn spend(self, now_ms: TimeMs) -> Self {
        let now = self.at(now_ms);
        Self { used: now.used.saturating_add(1), ..now }
    }
}

impl Row for Account {
    fn touch(&self) -> u64 {
        self.grants.iter().fold(0, |sum, grant| sum ^ grant.expires_ms.ms())
    }

    fn encode_row(&self, out: &mut Vec<u8>) {
        // Writing into memory cannot fail.
        let _infallible = self.serialize(out);
    }
}
