//! Laws of the calculation for any state that trading leads to.

use proptest::prelude::*;

use super::*;
use crate::market::fill::Fill;

/// One thing that happens to the bench.
#[derive(Clone, Copy, Debug)]
enum Act {
    /// Trader and other trade: market, whether the trader buys, lots, ticks away from the mark.
    Trade(u16, bool, u64, i64),
    /// The mark moves by so many ticks.
    Move(u16, i64),
    /// Time passes.
    Wait(u64),
    /// Each lot held long pays so many 1/65536 micro-quote.
    Fund(u16, i64),
    /// An order of the trader comes to rest: market, whether a bid, lots, ticks away from the mark.
    Rest(u16, bool, u64, i64),
    /// What is published, and what the price is good for.
    Grade(u16, i64, PriceGrade),
}

fn act() -> impl Strategy<Value = Act> {
    let market = || 0..2u16;
    let grade = prop_oneof![
        4 => Just(PriceGrade::Valid),
        2 => Just(PriceGrade::Clamped),
        1 => Just(PriceGrade::Uncertain),
        1 => Just(PriceGrade::Unusable),
        1 => Just(PriceGrade::Aged),
    ];
    prop_oneof![
        4 => (market(), any::<bool>(), 1..400u64, -300..300i64).prop_map(|(m, b, l, t)| Act::Trade(m, b, l, t)),
        4 => (market(), -700..700i64).prop_map(|(m, t)| Act::Move(m, t)),
        3 => (1..40_000u64).prop_map(Act::Wait),
        2 => (market(), -2_000_000_000..2_000_000_000i64).prop_map(|(m, f)| Act::Fund(m, f)),
        1 => (market(), any::<bool>(), 1..300u64, -300..300i64).prop_map(|(m, b, l, t)| Act::Rest(m, b, l, t)),
        1 => (market(), -500..500i64, grade).prop_map(|(m, t, g)| Act::Grade(m, t, g)),
    ]
}

fn acts() -> impl Strategy<Value = Vec<Act>> {
    proptest::collection::vec(act(), 1..24)
}

impl Bench {
    fn mark_ticks(&self, market: u16) -> u64 {
        self.segment.markets[usize::from(market)].margin.as_ref().unwrap().pricing.mark.fine() >> 16
    }

    fn near(&self, market: u16, distance: i64) -> u64 {
        self.mark_ticks(market).saturating_add_signed(distance).clamp(100, 100_000)
    }

    fn act(&mut self, act: Act) {
        match act {
            Act::Trade(market, buys, lots, distance) => {
                let ticks = self.near(market, distance);
                let (buyer, seller) = if buys { (TRADER, OTHER) } else { (OTHER, TRADER) };
                self.trade(market, buyer, seller, lots, ticks);
            }
            Act::Move(market, distance) => self.jump(market, self.near(market, distance)),
            Act::Wait(ms) => {
                self.waiting_ms = self.waiting_ms.saturating_add(DurationMs::from_ms(ms));
                for market in 0..2 {
                    let (ticks, pricing) = (self.mark_ticks(market), self.pricing_of(market));
                    self.jump(market, ticks);
                    self.pricing(market, |now| now.published = pricing.published);
                }
            }
            Act::Fund(market, cumulative) => self.fund(market, cumulative),
            Act::Rest(market, is_bid, lots, distance) => {
                let side = if is_bid { Side::Bid } else { Side::Ask };
                self.rest(TRADER, market, side, lots, self.near(market, distance));
            }
            Act::Grade(market, distance, grade) => {
                let published = fine(self.near(market, distance));
                self.pricing(market, |pricing| (pricing.published, pricing.grade) = (published, grade));
            }
        }
    }

    fn pricing_of(&self, market: u16) -> Pricing {
        self.segment.markets[usize::from(market)].margin.as_ref().unwrap().pricing.clone()
    }

    /// A bench on which all this has happened.
    fn after(acts: &[Act]) -> Self {
        let mut bench = Self::new();
        for account in [TRADER, OTHER] {
            bench.deposit(account, 20 * QUOTE);
        }
        acts.iter().for_each(|act| bench.act(*act));
        bench
    }

    fn free(&self, account: u64) -> i64 {
        self.risk().free_collateral(&self.row(account), None).micros()
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_024))]

    /// INVARIANT(R4): what is judged in advance is what the account has once it has happened, to the unit, for orders that
    /// arrive and for orders that rest, whatever they open, close or turn round.
    #[test]
    fn prop_a_fill_judged_in_advance_leaves_exactly_what_the_account_has_after_it(
        acts in acts(), market in 0..2u16, buys: bool, lots in 1..900u64, distance in -400..400i64, fee in -40_000..40_000i64,
        rests: bool,
    ) {
        let mut bench = Bench::after(&acts);
        let side = if buys { Side::Bid } else { Side::Ask };
        let ticks = bench.near(market, distance);
        let slot = rests.then(|| bench.rest(TRADER, market, side, lots + 5, ticks));
        let quantity = QuantityLots::from_lots(lots);
        let tick_value = bench.segment.markets[usize::from(market)].rules.tick_value;
        let fill = Fill { side, quantity, notional: notional(PriceTicks::from_ticks(ticks), quantity, tick_value).unwrap() };
        let fee = QuoteMicros::from_micros(fee);
        let reserved = if rests { Reserved::ByOrder } else { Reserved::OnArrival };
        let foreseen = bench.risk().free_after(&bench.row(TRADER), &FillAhead { market, fill, fee, reserved });
        let waiting_ms = bench.waiting_ms;
        if let Some(slot) = slot {
            bench.segment.set_remaining(slot, QuantityLots::from_lots(5));
        }
        bench.segment.apply_fill(AccountId::new(TRADER), market, &fill, fee, waiting_ms);
        prop_assert_eq!(foreseen.micros(), bench.free(TRADER));
    }

    /// INVARIANT(R4): the same for an order that only comes to rest.
    #[test]
    fn prop_an_order_judged_in_advance_needs_exactly_what_it_needs_at_rest(
        acts in acts(), market in 0..2u16, is_bid: bool, lots in 1..900u64, distance in -400..400i64,
    ) {
        let mut bench = Bench::after(&acts);
        let ticks = bench.near(market, distance);
        let mut after = bench.row(TRADER).position(market);
        let worth = i64::try_from(lots * ticks * 100).unwrap();
        let (side, side_lots, side_notional) = match is_bid {
            true => (Side::Bid, &mut after.bid_lots, &mut after.bid_notional),
            false => (Side::Ask, &mut after.ask_lots, &mut after.ask_notional),
        };
        *side_lots += i64::try_from(lots).unwrap();
        *side_notional += worth;
        let foreseen = bench.risk().initial(&bench.row(TRADER), Some(&after));
        bench.rest(TRADER, market, side, lots, ticks);
        prop_assert_eq!(foreseen, bench.initial(TRADER));
        prop_assert!(bench.initial(TRADER).requirement >= 0);
    }

    /// INVARIANT(R1): closing at the mark or better frees collateral, however deep below initial margin the account is,
    /// unless its own resting orders of that side would then open more. It is refused only to an account that owes by now
    /// (R5), or whose equity is so little that the fee is more than its share.
    #[test]
    fn prop_closing_at_the_mark_or_better_never_makes_free_collateral_smaller(
        acts in acts(), market in 0..2u16, is_long: bool, share in 1..=4u64, better in 0..300u64, fee_ppm in 0..=400i64,
    ) {
        let mut acts = acts;
        if Bench::after(&acts).row(TRADER).position(market).lots == 0 {
            acts.push(Act::Trade(market, is_long, 100, 0));
        }
        let is_sold = Bench::after(&acts).row(TRADER).position(market).lots > 0;
        acts.retain(|act| !matches!(act, Act::Rest(of, is_bid, ..) if *of == market && *is_bid != is_sold));
        let bench = Bench::after(&acts);
        let row = bench.row(TRADER);
        let position = row.position(market);
        let side = if is_sold { Side::Ask } else { Side::Bid };
        let own = if is_sold { position.ask_lots } else { position.bid_lots };
        prop_assert!(position.lots != 0 && own == 0);
        let lots = (position.lots.unsigned_abs() * share).div_ceil(4);
        // A price that is a whole tick, at the mark or on the better side of it.
        let mark = bench.mark_ticks(market);
        let ticks = if side == Side::Ask { mark + better } else { mark - better.min(mark / 2) };
        let quantity = QuantityLots::from_lots(lots);
        let traded = notional(PriceTicks::from_ticks(ticks), quantity, TickValueMicros::from_micros(100)).unwrap();
        let fee = QuoteMicros::from_micros(traded.micros() * fee_ppm / 1_000_000);
        let close = ProposedFill {
            market, side, quantity, price: PriceTicks::from_ticks(ticks), fee, reserved: Reserved::NotAtAll,
        };
        let verdict = require_fill(&bench.risk(), &row, &close);
        if let Err(refused) = verdict {
            prop_assert_eq!(refused.code(), RejectCode::WorseThanBankruptcy);
            let health = bench.health(TRADER);
            // Maintenance margin is at least 3 % here, and the fee at most 0.04 %.
            prop_assert!(health.equity < health.maintenance / 50, "{health:?}");
        }
    }

    /// INVARIANT(R5): a fill leaves something free, or a safe account, or no worse ratio of equity to maintenance margin.
    #[test]
    fn prop_no_fill_brings_an_account_below_maintenance_nearer_to_bankruptcy(
        acts in acts(), market in 0..2u16, buys: bool, lots in 1..900u64, distance in -700..700i64, fee in 0..40_000i64,
    ) {
        let mut bench = Bench::after(&acts);
        let (side, ticks) = (if buys { Side::Bid } else { Side::Ask }, bench.near(market, distance));
        let (quantity, price) = (QuantityLots::from_lots(lots), PriceTicks::from_ticks(ticks));
        let fee = QuoteMicros::from_micros(fee);
        let proposed = ProposedFill { market, side, quantity, price, fee, reserved: Reserved::OnArrival };
        let verdict = require_fill(&bench.risk(), &bench.row(TRADER), &proposed);
        let before = bench.health(TRADER);
        let fill = Fill { side, quantity, notional: notional(price, quantity, TickValueMicros::from_micros(100)).unwrap() };
        let waiting_ms = bench.waiting_ms;
        bench.segment.apply_fill(AccountId::new(TRADER), market, &fill, fee, waiting_ms);
        let after = bench.health(TRADER);
        let product = |equity: i64, maintenance: i64| i128::from(equity) * i128::from(maintenance);
        let is_worse = !after.is_safe()
            && product(after.equity, before.maintenance) < product(before.equity, after.maintenance);
        match verdict {
            Ok(()) => prop_assert!(!is_worse, "{before:?} became {after:?}"),
            Err(refused) if refused.code() == RejectCode::WorseThanBankruptcy => prop_assert!(is_worse),
            Err(_) => prop_assert!(bench.free(TRADER) < 0),
        }
    }

    /// INVARIANT(R1): whatever is refused for collateral would have left less than there was, and less than nothing; and
    /// whatever is not refused for it leaves one of the two.
    #[test]
    fn prop_a_fill_is_refused_exactly_if_it_would_leave_less_than_before_and_less_than_nothing(
        acts in acts(), market in 0..2u16, buys: bool, lots in 1..900u64, distance in -400..400i64, fee in 0..40_000i64,
    ) {
        let mut bench = Bench::after(&acts);
        let (side, ticks) = (if buys { Side::Bid } else { Side::Ask }, bench.near(market, distance));
        let (quantity, price) = (QuantityLots::from_lots(lots), PriceTicks::from_ticks(ticks));
        let fee = QuoteMicros::from_micros(fee);
        let proposed = ProposedFill { market, side, quantity, price, fee, reserved: Reserved::OnArrival };
        let verdict = require_fill(&bench.risk(), &bench.row(TRADER), &proposed);
        let before = bench.free(TRADER);
        let fill = Fill { side, quantity, notional: notional(price, quantity, TickValueMicros::from_micros(100)).unwrap() };
        let waiting_ms = bench.waiting_ms;
        bench.segment.apply_fill(AccountId::new(TRADER), market, &fill, fee, waiting_ms);
        let after = bench.free(TRADER);
        let is_for_collateral = verdict.is_err_and(|refused| refused.code() == RejectCode::InsufficientFreeCollateral);
        prop_assert_eq!(is_for_collateral, after < 0 && after < before, "{} became {}", before, after);
    }

    /// INVARIANT(R3): rounding never makes anything: what two sides of a market are worth together is at most nothing, at
    /// the mark and as counted, and by at most one unit for each rounding below it.
    #[test]
    fn prop_a_position_and_its_counterpart_are_together_worth_at_most_nothing(acts in acts()) {
        let bench = Bench::after(&acts);
        let deposits = 40 * QUOTE;
        let equity = bench.health(TRADER).equity + bench.health(OTHER).equity;
        prop_assert!(equity <= deposits, "{equity}");
        // Value and funding of two positions in two markets, and funding settled by each trade.
        let roundings = 8 + 2 * i64::try_from(acts.len()).unwrap();
        prop_assert!(equity >= deposits - roundings, "{equity}");
        let counted = bench.initial(TRADER).counted_equity + bench.initial(OTHER).counted_equity;
        prop_assert!(counted <= deposits, "{counted}");
        prop_assert!(bench.initial(TRADER).counted_equity <= bench.health(TRADER).equity);
    }

    /// Profit counts only after cliff and ramp, wherever it comes from: until the cliff is over, no account counts more than
    /// it deposited, however its mark moves and at whatever prices it trades.
    #[test]
    fn prop_before_the_cliff_nobody_counts_more_than_was_deposited(acts in acts()) {
        let mut left_ms = CLIFF_MS;
        let acts: Vec<Act> = acts.into_iter().map(|act| match act {
            Act::Wait(ms) => {
                let waited_ms = ms.min(left_ms);
                left_ms -= waited_ms;
                Act::Wait(waited_ms)
            }
            other => other,
        }).collect();
        let bench = Bench::after(&acts);
        for account in [TRADER, OTHER] {
            let counted = bench.initial(account).counted_equity;
            prop_assert!(counted <= 20 * QUOTE, "{counted}");
        }
    }

    /// A first position at a better price than the mark counts neither as a profit nor as a loss.
    #[test]
    fn prop_opening_at_the_mark_or_better_leaves_what_counts_as_it_was(
        acts in acts(), market in 0..2u16, is_long: bool, lots in 1..900u64, better in 0..300u64, fraction in 0..1u64 << 16,
    ) {
        let mut bench = Bench::after(&acts);
        let position = bench.row(TRADER).position(market);
        let flat = Act::Trade(market, position.lots < 0, position.lots.unsigned_abs(), 0);
        if position.lots != 0 {
            bench.act(flat);
        }
        bench.pricing(market, |pricing| {
            pricing.grade = PriceGrade::Valid;
            pricing.mark = FineTicks::from_fine(pricing.mark.fine() + fraction);
        });
        let mark = bench.mark_ticks(market);
        let ticks = if is_long { mark - better.min(mark / 2) } else { mark + better + 1 };
        let before = bench.initial(TRADER).counted_equity;
        let (buyer, seller) = if is_long { (TRADER, OTHER) } else { (OTHER, TRADER) };
        bench.trade(market, buyer, seller, lots, ticks);
        prop_assert_eq!(bench.initial(TRADER).counted_equity, before);
    }

    /// Realising makes nothing count that did not: closing at the mark leaves what counts as it was or smaller, whatever the
    /// price is good for, if there was neither a loss nor funding that young profit could make up for.
    #[test]
    fn prop_closing_a_profit_at_the_mark_makes_no_more_of_it_count(
        acts in acts(), market in 0..2u16, is_long: bool, share in 1..=4u64, profit in 0..400i64, is_old: bool,
        published in -500..500i64, grade in any_grade(),
    ) {
        let acts: Vec<Act> = acts.into_iter().filter(|act| !matches!(act, Act::Fund(..))).collect();
        let mut bench = Bench::after(&acts);
        if bench.row(TRADER).position(market).lots == 0 {
            bench.act(Act::Trade(market, is_long, 100, 0));
        }
        let position = bench.row(TRADER).position(market);
        let entry = position.entry_at_mark() / position.lots / 100;
        let ticks = (entry + profit * position.lots.signum()).clamp(100, 100_000).unsigned_abs();
        if is_old { bench.mark(market, ticks) } else { bench.jump(market, ticks) }
        bench.act(Act::Grade(market, published, grade));
        let prices = Prices::of(bench.segment.markets[usize::from(market)].margin.as_deref().unwrap());
        let worse = if position.lots > 0 { prices.low } else { prices.high };
        if value_at(position.lots, worse, TickValueMicros::from_micros(100)) < position.entry_at_mark() {
            return Ok(());
        }
        let before = bench.initial(TRADER).counted_equity;
        bench.act(Act::Trade(market, position.lots < 0, (position.lots.unsigned_abs() * share).div_ceil(4), 0));
        let after = bench.initial(TRADER).counted_equity;
        prop_assert!(after <= before, "{before} became {after}");
    }
}

fn any_grade() -> impl Strategy<Value = PriceGrade> {
    prop::sample::select(vec![
        PriceGrade::Valid,
        PriceGrade::Aged,
        PriceGrade::Clamped,
        PriceGrade::Uncertain,
        PriceGrade::Unusable,
    ])
}
