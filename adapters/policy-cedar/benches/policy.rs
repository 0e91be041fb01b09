//! What a decision costs, by table and by Cedar, and what compiling the shipped set costs.

use std::hint::black_box;
use std::path::PathBuf;

use casemate_policy_cedar::{CedarDecider, Policies, compile};
use casemate_protocol::PriceGrade as Grade;
use casemate_protocol::policy::{
    ConductBand, PolicyAction, PolicyKind, PolicyQuestion, PolicyRegime, SegmentState, Tier,
};
use casemate_protocol::policy::{PolicyFacts, Reading};
use casemate_protocol::{AccountId, QuoteMicros};
use criterion::{Criterion, criterion_group, criterion_main};

fn facts(action: PolicyAction) -> PolicyFacts {
    let question = PolicyQuestion {
        kind: PolicyKind::Trader,
        action,
        state: SegmentState::Normal,
        regime: PolicyRegime::Stressed,
        amount: QuoteMicros::from_micros(5_000_000_000),
        conduct: ConductBand::Watched,
    };
    let mut facts = PolicyFacts::bare(question, Tier::Proven);
    facts.account = AccountId::new(620);
    facts.account_age_ms = 86_400_000;
    facts.evidence.grant_age_ms = Some(60_000);
    let reading = Some(Reading { value: 1_000_000, grade: Grade::Valid });
    facts.feeds.redemption_ppm = reading;
    facts.feeds.external_depth_micros = reading;
    facts
}

fn decisions(criterion: &mut Criterion) {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../spec/policies");
    let Ok(policies) = Policies::read(&folder) else { panic!("the shipped set is not read") };
    let Ok(decider) = CedarDecider::new(&policies) else { panic!("the shipped set does not compile") };
    let order = facts(PolicyAction::PlaceOrder);
    let withdrawal = facts(PolicyAction::RequestWithdrawal);
    criterion.bench_function("policy::table/action=PlaceOrder", |bencher| {
        bencher.iter(|| black_box(decider.table().answer(black_box(&order.question))));
    });
    criterion.bench_function("policy::cedar/action=RequestWithdrawal", |bencher| {
        bencher.iter(|| black_box(decider.decide(black_box(&withdrawal))));
    });
    criterion.bench_function("policy::slow_path/action=RequestWithdrawal", |bencher| {
        bencher.iter(|| black_box(decider.permits(black_box(&withdrawal))));
    });
    criterion.bench_function("policy::cedar/action=PlaceOrder", |bencher| {
        bencher.iter(|| black_box(decider.decide(black_box(&order))));
    });
    let mut compiling = criterion.benchmark_group("policy::compile");
    compiling.sample_size(10);
    compiling.bench_function("set=shipped", |bencher| bencher.iter(|| black_box(compile(&policies))));
    compiling.finish();
}

criterion_group!(benches, decisions);
criterion_main!(benches);
