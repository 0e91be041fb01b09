//! After a block, the ledger must say what the model says.

use casemate_ledger::Ledger;
use casemate_ledger::risk::Risk;
use casemate_ledger::segment::Segment;
use casemate_protocol::AccountId;

use super::losses::Tally;
use super::{FINE, Model, SEGMENT, Sums, Wrong};

impl Model {
    /// Insurance, with what rounding of funding brought it in whole units.
    pub(super) fn insurance(&self) -> i128 {
        let dust: i128 = self.markets.iter().map(|market| market.funding_dust.div_euclid(FINE)).sum();
        self.sums.insurance + dust
    }

    /// Compares every account and every sum with the ledger's.
    pub fn require_agreement(&self, ledger: &Ledger, tally: &mut Tally) -> Result<(), Wrong> {
        let segment = ledger.segment(SEGMENT).expect("segment 1");
        self.require_conserved()?;
        self.require_sums(segment)?;
        let below = segment.scan_below_maintenance(ledger.chain().waiting_ms);
        let mut own = self.below_maintenance();
        own.sort_unstable();
        equal("accounts below maintenance", &own, &below)?;
        let risk = Risk::new(segment.markets(), ledger.chain().waiting_ms);
        for number in 1..=ledger.accounts().last_account().number() {
            let account = AccountId::new(number);
            self.require_account(segment, &risk, account, tally)
                .map_err(|wrong| format!("account {number}: {wrong}"))?;
        }
        Ok(())
    }

    /// Vault = cash with what is set aside, bonds and unclaimed + markets + insurance + fees, to 1/65536 of a unit, by the
    /// model's own numbers.
    fn require_conserved(&self) -> Result<(), Wrong> {
        let Sums { vault, pending, bonds, unclaimed, uncovered, fees_validators, fees_venue, .. } = self.sums;
        let cash: i128 = self.accounts.values().map(|row| row.cash).sum();
        let whole = cash + pending + bonds + unclaimed + self.insurance() - uncovered + fees_validators + fees_venue;
        let mut owed = whole * FINE;
        for (place, market) in self.markets.iter().enumerate() {
            let positions = || self.accounts.values().filter_map(|row| row.positions.get(&place));
            let lots: i128 = positions().map(|position| position.lots).sum();
            equal("longs less shorts", &0, &lots)?;
            // A position's entry is its cost: what the vault holds for its counterpart. Unsettled funding is on its way.
            owed -= positions().map(|position| position.entry * FINE).sum::<i128>();
            owed -= positions().map(|position| position.lots * (market.funding - position.funding_from)).sum::<i128>();
            owed += market.funding_dust.rem_euclid(FINE);
        }
        equal("what is owed", &(vault * FINE), &owed)
    }

    fn require_sums(&self, segment: &Segment) -> Result<(), Wrong> {
        let totals = segment.totals();
        let own = Sums { insurance: self.insurance(), ..self.sums };
        let theirs = Sums {
            vault: totals.vault(),
            pending: totals.pending,
            bonds: totals.bonds,
            unclaimed: totals.unclaimed,
            insurance: totals.insurance,
            uncovered: totals.uncovered,
            fees_validators: totals.fees_validators,
            fees_venue: totals.fees_venue,
        };
        equal("sums", &own, &theirs)
    }

    fn require_account(
        &self,
        segment: &Segment,
        risk: &Risk<'_>,
        account: AccountId,
        tally: &mut Tally,
    ) -> Result<(), Wrong> {
        let Some(row) = segment.sub_account(account) else {
            let is_empty = self.accounts.get(&account).is_none_or(|row| row.cash == 0 && row.positions.is_empty());
            return if is_empty { Ok(()) } else { Err("the ledger has no row".into()) };
        };
        let own = self.accounts.get(&account).ok_or("the model has no row")?;
        equal("cash", &own.cash, &row.cash().micros().into())?;
        for place in 0..self.markets.len() {
            let theirs = row.position(u16::try_from(place).expect("few"));
            let own = own.positions.get(&place).copied().unwrap_or_default();
            let position = (theirs.lots().into(), theirs.entry_notional().into());
            equal("lots and entry notional", &(own.lots, own.entry), &position)?;
            equal("gain of entry", &(own.aged_entry - own.entry), &theirs.entry_gain().into())?;
            let is_settled = own.lots == 0 || own.funding_from == theirs.funding_entry().into();
            equal("settled up to the same funding", &true, &is_settled)?;
        }
        let health = risk.health(row);
        equal("equity", &self.equity(account), &health.equity.into())?;
        equal("maintenance", &self.maintenance(account), &health.maintenance.into())?;
        let view = risk.initial(row, None);
        equal("initial margin", &self.requirement(account), &view.requirement.into())?;
        equal("gross notional", &self.gross(account), &view.gross_notional.into())?;
        let (counted, theirs) = (self.counted(account), i128::from(view.counted_equity));
        if theirs < counted.least || theirs > counted.most {
            return Err(format!("{theirs} counts, where {counted:?} does"));
        }
        equal(
            "free collateral",
            &(theirs - self.requirement(account)),
            &risk.free_collateral(row, None).micros().into(),
        )?;
        let (least, equity) = (counted.least.min(own.cash), self.equity(account));
        tally.unripe += u32::from(theirs < equity);
        tally.half_ripe += u32::from(theirs < equity && theirs > least && equity > own.cash);
        Ok(())
    }
}

fn equal<T: PartialEq + std::fmt::Debug>(what: &str, own: &T, theirs: &T) -> Result<(), Wrong> {
    if own == theirs { Ok(()) } else { Err(format!("{what}: the model has {own:?}, the ledger {theirs:?}")) }
}
