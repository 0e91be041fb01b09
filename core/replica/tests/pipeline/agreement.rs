//! The slow model of margin and liquidation agrees with the ledger after every block of any sequence.

use casemate_protocol::AccountId;
use casemate_protocol::command::Beneficiary;
use proptest::prelude::*;

use crate::kit::random::Choices;
use crate::kit::{Letter, REFERENCE, Step, Venue, claim, sequences, storm};
use crate::model::{Model, Tally, Wrong};

/// A venue in a storm and the model that follows it.
struct Watched {
    venue: Venue,
    model: Model,
    tally: Tally,
}

impl Watched {
    /// The model begins at height 0 and follows the blocks with which a storm begins.
    fn new() -> Self {
        let venue = Venue::of(storm::genesis());
        let model = Model::of(&venue.genesis, venue.ledger());
        let mut watched = Self { venue, model, tally: Tally::default() };
        let claim = claim(1, 400_000_000, Beneficiary::Account(AccountId::new(storm::MAKER)));
        let first = watched.venue.attest(&[1, 2], &claim);
        watched.follow(&first).expect("a deposit");
        for feed in [1, 2] {
            let step = watched.venue.publish(feed, REFERENCE);
            watched.follow(&step).expect("the first prices");
        }
        watched
    }

    fn follow(&mut self, step: &Step) -> Result<(), Wrong> {
        let tally = self.model.block(self.venue.time_ms, &step.records)?;
        self.tally.add(&tally);
        self.model.require_agreement(self.venue.ledger(), &mut self.tally)
    }

    fn play(&mut self, bytes: &[u8]) -> Result<(), Wrong> {
        let mut choices = Choices::new(bytes);
        while !choices.is_over() {
            let letters = storm::block(&mut choices, &mut self.venue);
            let step_ms = storm::step_ms(&mut choices);
            let step = self.venue.propose(step_ms, letters.iter().map(Letter::sealed).collect());
            self.venue.replica.adopt();
            let height = step.block.header.height;
            self.follow(&step).map_err(|wrong| format!("block {height:?}: {wrong}"))?;
        }
        Ok(())
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(sequences(24)))]

    /// INVARIANT(R2) INVARIANT(R3) INVARIANT(L2): equity, maintenance, initial margin, what counts, positions, cash,
    /// insurance and open losses, who is liquidated first, and who bears what.
    #[test]
    fn prop_margin_and_liquidation_agree_with_the_slow_model(bytes in proptest::collection::vec(any::<u8>(), 300..2_500)) {
        let mut watched = Watched::new();
        if let Err(wrong) = watched.play(&bytes) {
            return Err(TestCaseError::fail(wrong));
        }
    }
}

/// The agreement is worth something only if there is something to agree about: what storms reach is counted here.
#[test]
fn storms_reach_every_step_of_a_liquidation_and_the_model_agrees_in_all_of_them() {
    let mut tally = Tally::default();
    for seed in 0..u64::from(sequences(STORMS)) {
        let mut watched = Watched::new();
        if let Err(wrong) = watched.play(&storm::bytes(seed, 2_500)) {
            panic!("storm {seed}: {wrong}");
        }
        tally.add(&watched.tally);
    }
    // A quarter of the storms may miss what is rare.
    if sequences(STORMS) < STORMS {
        return;
    }
    let reached = [
        (tally.steps, 90, "steps of liquidations"),
        (tally.slices, 6, "slices"),
        (tally.insured, 5, "payments of insurance"),
        (tally.insured_in_part, 3, "payments that were not enough"),
        (tally.taken_over, 20, "takeovers"),
        (tally.deleveraged, 5, "deleveraged positions"),
        (tally.fundings, 150, "settlements of funding"),
        (tally.unripe, 1_000, "accounts whose profit did not count"),
        (tally.half_ripe, 60, "accounts whose profit counted in part"),
        (tally.money_out, 150, "releases of money"),
    ];
    for (count, least, what) in reached {
        assert!(count >= least, "only {count} {what}: {tally:?}");
    }
}

/// Storms of the counted test.
const STORMS: u32 = 36;
