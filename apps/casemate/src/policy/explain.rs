//! `casemate policy explain`.

use std::path::PathBuf;

use casemate_policy_cedar::{CedarDecider, Explanation, Policies, describe, explain};
use casemate_protocol::QuoteMicros;
use casemate_protocol::policy::{
    ConductBand, PolicyAction, PolicyKind, PolicyQuestion, PolicyRegime, SegmentState, Tier,
};
use serde_json::{Value, json};

use super::{compiled, review, tier_in_words};
use crate::client::amount::parse_quote;
use crate::client::http::Http;
use crate::client::reading::ReaderArgs;
use crate::client::text;
use crate::error::CliError;

/// Arguments of `policy explain`.
#[derive(clap::Args, Debug)]
pub struct ExplainArgs {
    /// Folder with the policies. Without it a node is asked what is in force, and how things stand with the account.
    #[arg(long, value_name = "DIR", required_unless_present_any = ["account", "key"])]
    policies: Option<PathBuf>,
    /// An account of a running venue, read with `--key`: its kind, conduct, and what left lately are the node's to say.
    #[command(flatten)]
    whose: ReaderArgs,
    /// The segment that it is done to, of a running venue.
    #[arg(long, conflicts_with = "policies")]
    segment: Option<u16>,
    /// The market that it is done to, of a running venue.
    #[arg(long, conflicts_with = "policies")]
    market: Option<u16>,
    /// The node.
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:8080")]
    url: String,
    /// What the principal is there for, such as `Trader`.
    #[arg(long, default_value = "Trader", value_parser = |text: &str| word(text, PolicyKind::ALL, |kind| kind.name()))]
    kind: PolicyKind,
    /// What is to be done, such as `RequestWithdrawal`.
    #[arg(long, value_parser = |text: &str| word(text, PolicyAction::ALL, |action| action.name()))]
    action: PolicyAction,
    /// State of the segment's breaker.
    #[arg(long, default_value = "Normal", value_parser = |text: &str| word(text, SegmentState::ALL, |state| state.name()))]
    state: SegmentState,
    /// How wild the market is.
    #[arg(long, default_value = "Calm", value_parser = |text: &str| word(text, PolicyRegime::ALL, |regime| regime.name()))]
    regime: PolicyRegime,
    /// How much leaves, with what is pending and what left within a day.
    #[arg(long, default_value = "0", value_parser = parse_quote, value_name = "QUOTE")]
    amount: QuoteMicros,
    /// What the account's conduct looks like.
    #[arg(long, default_value = "Ordinary", value_parser = |text: &str| word(text, ConductBand::ALL, |band| band.name()))]
    conduct: ConductBand,
    /// Prints one JSON object.
    #[arg(long)]
    json: bool,
}

/// Runs `policy explain`.
///
/// # Errors
/// What is wrong with a file, or why the set does not compile.
pub fn run(args: &ExplainArgs) -> Result<(), CliError> {
    let (policies, decider, question) = match &args.policies {
        Some(folder) => {
            let (policies, decider) = compiled(folder)?;
            (policies, decider, args.question())
        }
        None => args.ask_node()?,
    };
    let explanation = explain(&decider, &policies, &question);
    if args.json {
        outln!("{:#}", as_json(&policies, &explanation));
    } else {
        show(&policies, &explanation);
    }
    Ok(())
}

impl ExplainArgs {
    fn question(&self) -> PolicyQuestion {
        PolicyQuestion {
            kind: self.kind,
            action: self.action,
            state: self.state,
            regime: self.regime,
            amount: self.amount,
            conduct: self.conduct,
        }
    }

    /// The set in force, compiled here, and the cell that the account's action falls into now.
    fn ask_node(&self) -> Result<(Policies, CedarDecider, PolicyQuestion), CliError> {
        let http = Http::new(&self.url)?;
        let told = http.get("/v1/policy")?;
        let set = review::set_of(&told)?;
        if set.is_empty() {
            return Err(CliError::new(
                "the built-in table is in force, which has no policies to name",
                "GET /v1/accounts/ACCOUNT/policy says which tier an action needs",
            ));
        }
        let (segment, market) = (self.segment.map(|id| ("segment", id)), self.market.map(|id| ("market", id)));
        let places: String =
            [segment, market].into_iter().flatten().map(|(name, id)| format!("&{name}={id}")).collect();
        let (action, amount) = (self.action.name(), self.amount.micros());
        let (account, pass) = self.whose.open(&http)?;
        let path = format!("/v1/accounts/{account}/policy?action={action}&amount_quote_micros={amount}{places}");
        let question = question_of(&http.get_with(&path, &pass)?)?;
        let (policies, decider) = review::compiled_from(&set)?;
        Ok((policies, decider, question))
    }
}

/// The cell that a node names.
fn question_of(told: &Value) -> Result<PolicyQuestion, CliError> {
    fn named<T>(told: &Value, field: &str, of: impl Fn(&str) -> Option<T>) -> Result<T, CliError> {
        let unknown = || CliError::defect(format!("the node names the unknown {field} {}", told[field]));
        told[field].as_str().and_then(of).ok_or_else(unknown)
    }
    let micros =
        text(&told["amount_quote_micros"]).parse().map_err(|_| CliError::defect("the node names no amount"))?;
    Ok(PolicyQuestion {
        kind: named(told, "kind", PolicyKind::from_name)?,
        action: named(told, "action", PolicyAction::from_name)?,
        state: named(told, "state", SegmentState::from_name)?,
        regime: named(told, "regime", PolicyRegime::from_name)?,
        amount: QuoteMicros::from_micros(micros),
        conduct: named(told, "conduct", ConductBand::from_name)?,
    })
}

/// A word of the vocabulary, or all there are.
fn word<T: Copy>(text: &str, words: &[T], name: impl Fn(T) -> &'static str) -> Result<T, String> {
    let found = words.iter().copied().find(|candidate| name(*candidate).eq_ignore_ascii_case(text));
    found.ok_or_else(|| format!("one of {}", words.iter().map(|word| name(*word)).collect::<Vec<_>>().join(", ")))
}

fn as_json(policies: &Policies, explanation: &Explanation) -> Value {
    let named = |ids: &[String]| {
        let places = ids.iter().map(|id| {
            let place = policies.policy(id).map(|policy| policy.place().to_string());
            json!({ "id": id, "place": place })
        });
        places.collect::<Vec<_>>()
    };
    let remedies = explanation
        .remedies
        .iter()
        .map(|remedy| json!({ "change": remedy.change, "tier": remedy.least.map(Tier::number) }));
    json!({
        "question": describe(&explanation.question),
        "tier": explanation.least.map(Tier::number),
        "permitted_by": named(&explanation.permitted_by),
        "held_by": named(&explanation.held_by),
        "may_add": named(&explanation.may_add),
        "would_change": remedies.collect::<Vec<_>>(),
    })
}

fn show(policies: &Policies, explanation: &Explanation) {
    outln!("{}", describe(&explanation.question));
    outln!("needs tier   {}", tier_in_words(explanation.least));
    let show_ids = |title: &str, ids: &[String]| {
        for id in ids {
            let place = policies.policy(id).map(|policy| policy.place().to_string()).unwrap_or_default();
            outln!("{title:12} {id} ({place})");
        }
    };
    show_ids("permitted by", &explanation.permitted_by);
    show_ids("held by", &explanation.held_by);
    if explanation.least.is_none() && explanation.held_by.is_empty() {
        outln!("held by      nothing: no policy permits it");
    }
    show_ids("may add", &explanation.may_add);
    for remedy in &explanation.remedies {
        outln!("with {}: {}", remedy.change, tier_in_words(remedy.least));
    }
}
