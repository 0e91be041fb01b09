//! Whether what a scenario says is so.

use casemate_protocol::{QuoteMicros, SegmentId};

use super::Stage;
use crate::number::Number;
use crate::orders;
use crate::script::Check;

impl Stage<'_> {
    /// Whether something is so, and if not, what is.
    pub(super) fn check(&self, check: &Check) -> Result<(), String> {
        match check {
            Check::Position { who, is_long, quantity, market, from } => {
                self.check_position(who, (*is_long, *quantity), market, *from)
            }
            Check::Flat { who, market } => {
                let held = self.market(market).map_or(0, |names| self.held(who, &names));
                if held == 0 { Ok(()) } else { Err(format!("{who} holds {held} lots of {market}")) }
            }
            Check::Has { who, amount, segment } => {
                let cash = self.client.row(who, SegmentId::new(*segment)).map_or(QuoteMicros::ZERO, |row| row.cash());
                let is_so = cash.micros() >= amount.micros();
                if is_so { Ok(()) } else { Err(format!("{who} has {cash} in segment {segment}")) }
            }
            Check::Took { who, amount, segment } => {
                let key = (self.client.account(who), SegmentId::new(*segment));
                let took = self.observed.released.get(&key).copied().unwrap_or(0);
                let shown = QuoteMicros::from_micros(took);
                if took >= amount.micros() { Ok(()) } else { Err(format!("{who} took {shown} from segment {segment}")) }
            }
            Check::Liquidated { who, was } => {
                let is_so = self.observed.liquidated.contains(&self.client.account(who)) == *was;
                let not = if *was { "not " } else { "" };
                if is_so { Ok(()) } else { Err(format!("{who} was {not}liquidated")) }
            }
            Check::Breaker { segment, state } => {
                let id = SegmentId::new(*segment);
                let is = self.client.segment(id).map_or(*state, |segment| segment.breaker_state());
                if is == *state { Ok(()) } else { Err(format!("segment {segment} is {}", is.name())) }
            }
            Check::Index { market, within_ppm, price } => self.check_index(market, *within_ppm, *price),
            Check::Bids { market, within_ppm, amount } => {
                let least = self.observed.worst(check).unwrap_or(0);
                let shown = QuoteMicros::from_micros(least);
                let rate = Number::whole(i64::from(*within_ppm)).scaled_ppm(100);
                if least >= amount.micros() {
                    Ok(())
                } else {
                    Err(format!("bids of {market} within {rate} % fell to {shown}"))
                }
            }
            Check::Trades { market, within_ppm } => {
                let most = self.observed.worst(check).unwrap_or(0);
                let rate = Number::whole(most).scaled_ppm(100);
                let is_so = most <= i64::from(*within_ppm);
                if is_so { Ok(()) } else { Err(format!("{market} traded {rate} % from its index")) }
            }
        }
    }

    fn check_position(
        &self,
        who: &str,
        (is_long, quantity): (bool, Number),
        market: &str,
        from: Option<Number>,
    ) -> Result<(), String> {
        let names = self.market(market).ok_or_else(|| format!("there is no market {market}"))?;
        let position = self.position(who, &names).unwrap_or_default();
        let lots = i64::try_from(orders::lots(&names, quantity)?).unwrap_or(i64::MAX);
        let wanted = if is_long { lots } else { -lots };
        if position.lots() != wanted {
            return Err(format!("{who} holds {} lots of {market}, not {wanted}", position.lots()));
        }
        let Some(from) = from else { return Ok(()) };
        let tick_value = self.client.market(&names).map_or(0, |market| i64::from(market.rules().tick_value.micros()));
        let ticks = i64::try_from(orders::whole_ticks(&names, from)?).unwrap_or(i64::MAX);
        let cost = wanted.saturating_mul(ticks).saturating_mul(tick_value);
        if position.entry_notional() == cost {
            return Ok(());
        }
        let (is, shown) = (QuoteMicros::from_micros(position.entry_notional()), QuoteMicros::from_micros(cost));
        Err(format!("{who} opened {market} for {is}, not {shown}"))
    }

    fn check_index(&self, market: &str, within_ppm: u32, price: Number) -> Result<(), String> {
        let names = self.market(market).ok_or_else(|| format!("there is no market {market}"))?;
        let (index, wanted) = (orders::index(&self.client, &names).ticks(), orders::whole_ticks(&names, price)?);
        let distance = u128::from(index.abs_diff(wanted)) * 1_000_000;
        if distance <= u128::from(within_ppm) * u128::from(wanted) {
            return Ok(());
        }
        let shown = names.tick_size.scaled_ppm(i128::from(index) * 1_000_000);
        Err(format!("the index of {market} is {shown}"))
    }
}
