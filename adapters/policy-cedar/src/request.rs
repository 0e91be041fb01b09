//! What is known about one request, and how Cedar is told.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::LazyLock;

use casemate_protocol::policy::{
    ActionScope, FeedFacts, PolicyAction, PolicyFacts, PolicyKind, PolicyQuestion, Tier, VenueStatus,
};
use casemate_protocol::{PriceGrade as Grade, QuoteMicros};
use cedar_policy::{Context, Entities, Entity, EntityId, EntityTypeName, EntityUid, Request, RestrictedExpression};

use crate::expression::Mentions;

/// How facts are put to Cedar.
pub(crate) trait AskCedar {
    /// What Cedar is asked; the entities that policies may look into, with the action's groups. What policies do not mention
    /// is left out: it plays no part and costs time.
    fn request(&self, action_entities: &[Entity], mentions: &Mentions) -> Result<(Request, Entities), String>;
}

impl AskCedar for PolicyFacts {
    fn request(&self, action_entities: &[Entity], mentions: &Mentions) -> Result<(Request, Entities), String> {
        let question = self.question.normalised();
        let principal = uid(question.kind.name(), &self.account.number().to_string());
        let segment = uid("Segment", &self.segment.number().to_string());
        let (resource, parents) = match question.action.scope() {
            ActionScope::Venue => (venue(), HashSet::new()),
            ActionScope::Segment => (segment, HashSet::from([venue()])),
            ActionScope::Market => {
                (uid("Market", &self.market.number().to_string()), HashSet::from([segment, venue()]))
            }
        };
        let mut entities = action_entities.to_vec();
        entities.push(Entity::new_no_attrs(resource.clone(), parents));
        let attributes = [("number", self.account.number()), ("ageMs", self.account_age_ms)];
        if question.kind != PolicyKind::Anonymous && attributes.iter().any(|(name, _)| mentions.has(name)) {
            let attributes = attributes.map(|(name, value)| (name.to_owned(), long(value)));
            let asker = Entity::new(principal.clone(), HashMap::from(attributes), HashSet::new());
            entities.push(asker.map_err(|error| error.to_string())?);
        }
        let entities = Entities::from_entities(entities, None).map_err(|error| error.to_string())?;
        let request = Request::new(principal, action_uid(question.action), resource, context(self, mentions)?, None);
        Ok((request.map_err(|error| error.to_string())?, entities))
    }
}

fn context(facts: &PolicyFacts, mentions: &Mentions) -> Result<Context, String> {
    let mut pairs = cell_pairs(&facts.question.normalised(), facts.tier);
    if mentions.has("evidence") {
        let mut evidence = vec![("approvals".to_owned(), long(u64::from(facts.evidence.approvals)))];
        evidence.extend(facts.evidence.grant_age_ms.map(|age_ms| ("grantAgeMs".to_owned(), long(age_ms))));
        pairs.push(("evidence".to_owned(), record(evidence)?));
    }
    if mentions.has("feeds") {
        pairs.push(("feeds".to_owned(), feeds_expression(&facts.feeds, mentions)?));
    }
    Context::from_pairs(pairs).map_err(|error| error.to_string())
}
fn feeds_expression(feeds: &FeedFacts, mentions: &Mentions) -> Result<RestrictedExpression, String> {
    let readings = [
        ("externalDepthMicros", feeds.external_depth_micros),
        ("externalVolumeMicros", feeds.external_volume_micros),
        ("openInterestMicros", feeds.open_interest_micros),
        ("reservesMicros", feeds.reserves_micros),
        ("redemptionPpm", feeds.redemption_ppm),
    ];
    let mut pairs = Vec::new();
    for (name, reading) in readings {
        let Some(reading) = reading.filter(|_| mentions.has(name)) else { continue };
        let grade = match reading.grade {
            Grade::Valid => "Valid",
            Grade::Aged => "Aged",
            Grade::Clamped => "Clamped",
            Grade::Uncertain => "Uncertain",
            Grade::Unusable => "Unusable",
        };
        let fields = vec![
            ("value".to_owned(), RestrictedExpression::new_long(reading.value)),
            ("grade".to_owned(), word("Grade", grade)),
        ];
        pairs.push((name.to_owned(), record(fields)?));
    }
    if let Some(status) = feeds.venue_status {
        let name = match status {
            VenueStatus::Open => "Open",
            VenueStatus::Degraded => "Degraded",
            VenueStatus::Closed => "Closed",
        };
        pairs.push(("venueStatus".to_owned(), word("VenueStatus", name)));
    }
    record(pairs)
}
/// A request of a cell alone: what policies of the hot path look at, and nothing else.
pub(crate) fn cell_request(question: &PolicyQuestion, tier: Tier) -> Result<Request, String> {
    let question = question.normalised();
    let context = Context::from_pairs(cell_pairs(&question, tier)).map_err(|error| error.to_string())?;
    let resource = uid(question.action.scope().name(), "0");
    Request::new(uid(question.kind.name(), "0"), action_uid(question.action), resource, context, None)
        .map_err(|error| error.to_string())
}

fn cell_pairs(question: &PolicyQuestion, tier: Tier) -> Vec<(String, RestrictedExpression)> {
    vec![
        ("tier".to_owned(), long(u64::from(tier.number()))),
        ("state".to_owned(), word("SegmentState", question.state.name())),
        ("regime".to_owned(), word("Regime", question.regime.name())),
        ("conduct".to_owned(), word("ConductBand", question.conduct.name())),
        ("amountMicros".to_owned(), RestrictedExpression::new_long(question.amount.micros())),
    ]
}

pub(crate) fn action_uid(action: PolicyAction) -> EntityUid {
    uid("Action", action.name())
}

/// The name of a type. Cedar parses names with its whole grammar, which costs more than a decision, so each is parsed once.
pub(crate) fn type_name(name: &str) -> EntityTypeName {
    static KNOWN: LazyLock<BTreeMap<&'static str, EntityTypeName>> = LazyLock::new(|| {
        let kinds = PolicyKind::ALL.iter().map(|kind| kind.name());
        kinds.chain(TYPES).map(|name| (name, parsed(name))).collect()
    });
    KNOWN.get(name).cloned().unwrap_or_else(|| parsed(name))
}

/// Types of the schema besides the kinds.
const TYPES: [&str; 9] =
    ["Action", "Venue", "Segment", "Market", "SegmentState", "Regime", "ConductBand", "Grade", "VenueStatus"];

fn parsed(name: &str) -> EntityTypeName {
    #[expect(
        clippy::expect_used,
        reason = "names of the vocabulary are identifiers; tests ask about every one of them"
    )]
    name.parse().expect("a word of the vocabulary is an identifier")
}

fn uid(type_of: &str, id: &str) -> EntityUid {
    EntityUid::from_type_name_and_id(type_name(type_of), EntityId::new(id))
}

fn venue() -> EntityUid {
    uid("Venue", "0")
}

fn word(type_of: &str, name: &str) -> RestrictedExpression {
    RestrictedExpression::new_entity_uid(uid(type_of, name))
}

/// Cedar's numbers end where signed ones do; nothing here comes near.
fn long(value: u64) -> RestrictedExpression {
    RestrictedExpression::new_long(i64::try_from(value).unwrap_or(i64::MAX))
}

fn record(pairs: Vec<(String, RestrictedExpression)>) -> Result<RestrictedExpression, String> {
    RestrictedExpression::new_record(pairs).map_err(|error| error.to_string())
}

/// A cell in words: `Trader, RequestWithdrawal of 10,000, segment Normal, regime Calm, conduct Ordinary`.
#[must_use]
pub fn describe(question: &PolicyQuestion) -> String {
    let mut text = format!("{}, {}", question.kind.name(), question.action.name());
    if question.action.has_amount() {
        text += &format!(" of {}", describe_amount(question.amount));
    }
    if question.action.scope() != ActionScope::Venue {
        text += &format!(", segment {}", question.state.name());
    }
    text + &format!(", regime {}, conduct {}", question.regime.name(), question.conduct.name())
}

/// An amount with thousands set apart, and its fraction only where there is one: `10,000`, `0.000001`.
#[must_use]
pub fn describe_amount(amount: QuoteMicros) -> String {
    let micros = amount.micros().unsigned_abs();
    let digits = (micros / 1_000_000).to_string();
    let mut text = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    let fraction = format!("{:06}", micros % 1_000_000);
    let fraction = fraction.trim_end_matches('0');
    let sign = if amount.micros() < 0 { "-" } else { "" };
    if fraction.is_empty() { format!("{sign}{text}") } else { format!("{sign}{text}.{fraction}") }
}
