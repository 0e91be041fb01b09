//! The policy in force, and what it asks of an account now.

use casemate_ledger::Ledger;
use casemate_protocol::policy::{PolicyAction, PolicyQuestion, Tier};
use casemate_protocol::{AccountId, MarketId, QuoteMicros, SegmentId};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::envelope::PolicyFileJson;
use crate::ports::StateView;
use crate::values::{HexArray, Int, Signed};

/// The policy in force, with its texts: whoever compiles them comes to the same table.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PolicyJson {
    /// Height of the state.
    pub height: u64,
    /// Counts the sets from that of genesis, which is 0.
    pub epoch: u32,
    /// Digest of the texts.
    pub set: HexArray<32>,
    /// Digest of the table that they compile into.
    pub table: HexArray<32>,
    /// Cells of the table.
    pub cells: u64,
    /// Amounts at which bands begin.
    pub amount_borders_micros: Vec<Signed>,
    /// The texts; none if the built-in table is in force.
    pub files: Vec<PolicyFileJson>,
}

/// What the policy in force asks of an account for an action now.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AccountPolicyJson {
    /// Height of the state.
    pub height: u64,
    /// Epoch of the policy.
    pub epoch: u32,
    /// What the account is there for.
    pub kind: String,
    /// The action.
    pub action: String,
    /// State of the segment's breaker.
    pub state: String,
    /// How wild the market is, or the wildest of segment or venue.
    pub regime: String,
    /// The amount asked about, with what waits to leave and what left within a day.
    pub amount_quote_micros: Signed,
    /// What the account's conduct looks like.
    pub conduct: String,
    /// Least tier of evidence; null if none is enough.
    pub tier: Option<u8>,
    /// Whether rules besides the table may ask for more.
    pub asks_slow_path: bool,
}

/// An action of an account, done to something.
#[derive(Clone, Copy, Debug)]
pub struct Asked {
    /// The account.
    pub account: AccountId,
    /// What it would do.
    pub action: PolicyAction,
    /// To which segment.
    pub segment: Option<SegmentId>,
    /// To which market.
    pub market: Option<MarketId>,
    /// How much would leave.
    pub amount: QuoteMicros,
}

impl PolicyJson {
    /// Reads the policy in force.
    #[must_use]
    pub fn read(view: &StateView<'_>) -> Self {
        let (policy, stamp) = (view.ledger.policy(), view.ledger.chain().policy);
        Self {
            height: view.ledger.chain().height.number(),
            epoch: stamp.epoch.number(),
            set: stamp.set.into(),
            table: stamp.table.into(),
            cells: u64::try_from(policy.table().cells_count()).unwrap_or(u64::MAX),
            amount_borders_micros: policy.table().borders().iter().map(|border| Int(border.micros())).collect(),
            files: policy.set().files.iter().map(PolicyFileJson::from).collect(),
        }
    }
}

impl AccountPolicyJson {
    /// Answers what is asked; none if there is no such account.
    #[must_use]
    pub fn read(view: &StateView<'_>, asked: &Asked) -> Option<Self> {
        let ledger = view.ledger;
        ledger.accounts().account(asked.account)?;
        let segment = asked.market.map_or(asked.segment, |market| ledger.segment_of(market));
        let question = ledger.question_about(asked.account, asked.action, segment, asked.market, asked.amount);
        Some(Self::of(ledger, &question))
    }

    fn of(ledger: &Ledger, question: &PolicyQuestion) -> Self {
        let answer = ledger.policy().table().answer(question);
        let question = question.normalised();
        Self {
            height: ledger.chain().height.number(),
            epoch: ledger.chain().policy.epoch.number(),
            kind: question.kind.name().to_owned(),
            action: question.action.name().to_owned(),
            state: question.state.name().to_owned(),
            regime: question.regime.name().to_owned(),
            amount_quote_micros: Int(question.amount.micros()),
            conduct: question.conduct.name().to_owned(),
            tier: answer.least.map(Tier::number),
            asks_slow_path: answer.asks_slow_path,
        }
    }
}
