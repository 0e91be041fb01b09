//! `casemate policy explain`.

use std::path::PathBuf;

use casemate_policy_cedar::{Explanation, Policies, describe, explain};
use casemate_protocol::QuoteMicros;
use casemate_protocol::policy::{
    ConductBand, PolicyAction, PolicyKind, PolicyQuestion, PolicyRegime, SegmentState, Tier,
};
use serde_json::{Value, json};

use super::{compiled, tier_in_words};
use crate::client::amount::parse_quote;
use crate::error::CliError;

/// Arguments of `policy explain`.
#[derive(clap::Args, Debug)]
pub struct ExplainArgs {
    /// Folder with the policies.
    #[arg(long, value_name = "DIR")]
    policies: PathBuf,
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
    let (policies, decider) = compiled(&args.policies)?;
    let question = PolicyQuestion {
        kind: args.kind,
        action: args.action,
        state: args.state,
        regime: args.regime,
        amount: args.amount,
        conduct: args.conduct,
    };
    let explanation = explain(&decider, &policies, &question);
    if args.json {
        outln!("{:#}", as_json(&policies, &explanation));
    } else {
        show(&policies, &explanation);
    }
    Ok(())
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
