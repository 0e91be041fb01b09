//! Profit that would count too early: by a price better than the mark, by closing while no profit counts.

use super::*;

const DEPOSIT: i64 = 10_000 * QUOTE;
const ATTACKER: u64 = 3;

/// A market in which the trader's 25,000 lots have doubled just now: 25,000 of profit too young to count.
fn doubled() -> Bench {
    let mut bench = Bench::new();
    for account in [TRADER, OTHER, ATTACKER] {
        bench.deposit(account, DEPOSIT);
    }
    bench.trade(0, TRADER, OTHER, 25_000, PAR);
    bench.jump(0, 2 * PAR);
    assert_eq!(bench.initial(TRADER).counted_equity, DEPOSIT);
    bench
}

/// Cause: only moves of the mark aged, so a price better than the mark counted at once. The trader bought at the upper edge
/// of the band from a second account and sold back at the mark; what the second account won was free to leave, and its
/// loser paid with young profit. Seven rounds in one block took all of it. Fix: what a price is better than the mark waits.
#[test]
fn young_profit_does_not_become_old_by_passing_it_to_another_account() {
    let mut bench = doubled();
    for round in 1..=7 {
        bench.trade(0, TRADER, ATTACKER, 20_000, 2 * PAR + 1_800);
        assert_eq!(bench.initial(ATTACKER).counted_equity, DEPOSIT, "round {round}: what was sold dear");
        assert_eq!(bench.initial(TRADER).counted_equity, DEPOSIT.min(DEPOSIT + (25_000 - 3_600 * round) * QUOTE));
        bench.trade(0, ATTACKER, TRADER, 20_000, 2 * PAR);
        assert_eq!(bench.row(ATTACKER).cash().micros(), DEPOSIT + 3_600 * round * QUOTE);
        assert_eq!(bench.initial(ATTACKER).counted_equity, DEPOSIT, "round {round}: what closing realised");
        assert_eq!(bench.risk().young_realised(&bench.row(ATTACKER)).micros(), 3_600 * round * QUOTE);
    }
    // It waits like any profit: a grid of 22.5 s, the cliff, and half of the ramp.
    bench.waiting_ms = DurationMs::from_ms(1_012_500 + CLIFF_MS + RAMP_MS / 2);
    assert_eq!(bench.initial(ATTACKER).counted_equity, DEPOSIT + 25_200 / 2 * QUOTE);
}

#[test]
fn a_long_bought_below_the_mark_counts_nothing_of_it_until_it_has_waited() {
    let mut bench = Bench::new();
    bench.deposit(TRADER, 20 * QUOTE);
    bench.trade(0, TRADER, OTHER, 100, PAR - 400);
    assert_eq!(bench.initial(TRADER).counted_equity, 20 * QUOTE, "neither a profit nor a loss");
    assert_eq!(bench.health(TRADER).equity, 24 * QUOTE, "maintenance sees it");
    // A fall eats it first, and what was below the mark does not make up for more.
    bench.jump(0, PAR - 300);
    assert_eq!(bench.initial(TRADER).counted_equity, 20 * QUOTE);
    bench.jump(0, PAR - 500);
    assert_eq!(bench.initial(TRADER).counted_equity, 19 * QUOTE);
    // Closing a part at the mark changes nothing of what counts.
    bench.trade(0, OTHER, TRADER, 25, PAR - 500);
    assert_eq!(bench.initial(TRADER).counted_equity, 19 * QUOTE);
    assert_eq!(bench.row(TRADER).position(0).entry_notional(), 72 * QUOTE, "its entry is its price");
    bench.jump(0, PAR);
    bench.waiting_ms = DurationMs::from_ms(1_012_500 + CLIFF_MS + RAMP_MS);
    bench.jump(0, PAR);
    // 25 were sold for one less than they cost in all, the others are worth three more; and all of it is old.
    assert_eq!(bench.health(TRADER).equity, 22_750_000);
    assert_eq!(bench.initial(TRADER).counted_equity, 22_750_000 - young_of_the_fall(&bench));
}

/// What the mark's stay below par still keeps from counting.
fn young_of_the_fall(bench: &Bench) -> i64 {
    let long = bench.segment.markets[0].margin.as_ref().unwrap().pricing.window.long();
    value_at(75, fine(PAR), TickValueMicros::from_micros(100)) - value_at(75, long, TickValueMicros::from_micros(100))
}

/// Cause: what closing realised counted as far as it was old, though of the open position nothing counted while publishers
/// disagreed or no price could be trusted. Fix: closing lets count on what counted.
#[test]
fn closing_while_no_profit_counts_makes_none_count() {
    for grade in [PriceGrade::Uncertain, PriceGrade::Unusable] {
        let mut bench = Bench::new();
        bench.deposit(TRADER, 20 * QUOTE);
        bench.trade(0, TRADER, OTHER, 100, PAR);
        bench.mark(0, PAR + 3_000);
        bench.pricing(0, |pricing| pricing.grade = grade);
        assert_eq!(bench.initial(TRADER).counted_equity, 20 * QUOTE, "{grade:?}");
        bench.trade(0, OTHER, TRADER, 100, PAR + 3_000);
        assert_eq!(bench.initial(TRADER).counted_equity, 20 * QUOTE, "{grade:?}");
        assert_eq!(bench.risk().young_realised(&bench.row(TRADER)).micros(), 30 * QUOTE, "it waits from now");
    }
}

#[test]
fn closing_while_the_cap_holds_the_price_back_lets_count_what_counted_at_the_worse_price() {
    let mut bench = Bench::new();
    bench.deposit(TRADER, 20 * QUOTE);
    bench.trade(0, TRADER, OTHER, 100, PAR);
    bench.mark(0, PAR + 3_000);
    bench.pricing(0, |pricing| {
        pricing.published = fine(PAR + 1_000);
        pricing.grade = PriceGrade::Clamped;
    });
    assert_eq!(bench.initial(TRADER).counted_equity, 30 * QUOTE);
    bench.trade(0, OTHER, TRADER, 100, PAR + 3_000);
    assert_eq!(bench.initial(TRADER).counted_equity, 30 * QUOTE, "the capped price makes no more of it count");
}
