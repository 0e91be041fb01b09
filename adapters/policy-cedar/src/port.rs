//! The port of the gate: sets as they stand in genesis and in proposals, compiled once and kept.
//!
//! Compiling fills every cell and takes long beside a block; reading a set for the slow path takes milliseconds. So they are
//! kept apart: who only decides never waits for a table, which the ledger has.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use casemate_gate::{DecisionFault, PolicyDecider, SetAnswer, SetRefused};
use casemate_ledger::PolicyInForce;
use casemate_protocol::hash::Digest;
use casemate_protocol::policy::{PolicyFacts, PolicySet, PolicyTable};

use crate::compile::compile_slices;
use crate::decide::answer_by;
use crate::error::PolicyError;
use crate::files::{Policies, PolicyFolder};
use crate::slices::Slices;

/// Sets that are kept: the one in force, the one before, and some that are proposed.
const SETS_KEPT: usize = 8;

/// Compiles sets with Cedar, and decides by Cedar where a table does not. Cheap to clone; clones share what they know.
#[derive(Clone, Debug, Default)]
pub struct CedarPolicies {
    /// The set asked about last comes first.
    kept: Arc<Mutex<VecDeque<Kept>>>,
}

/// What is known of one set. Whoever asks while another finds out waits for it.
#[derive(Clone, Debug)]
struct Kept {
    set: Digest,
    read: Arc<OnceLock<Result<Read, PolicyError>>>,
    table: Arc<OnceLock<Result<PolicyTable, PolicyError>>>,
}

/// A set that was read and sorted.
#[derive(Debug)]
struct Read {
    policies: Policies,
    slices: Slices,
}

impl Kept {
    fn read(&self, set: &PolicySet) -> &Result<Read, PolicyError> {
        self.read.get_or_init(|| {
            let policies = Policies::load(&PolicyFolder::of_set(set)?)?;
            let slices = Slices::of(&policies)?;
            Ok(Read { policies, slices })
        })
    }

    fn table(&self, set: &PolicySet) -> &Result<PolicyTable, PolicyError> {
        self.table.get_or_init(|| match self.read(set) {
            Ok(read) => compile_slices(&read.policies, &read.slices),
            Err(error) => Err(error.clone()),
        })
    }
}

impl CedarPolicies {
    /// Knows no set yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// What is known of a set; forgets the one that nobody asked about for longest.
    fn kept(&self, set: Digest) -> Kept {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(first) = kept.front().filter(|first| first.set == set) {
            return first.clone();
        }
        let place = kept.iter().position(|known| known.set == set);
        let found = place.and_then(|place| kept.remove(place));
        let found = found.unwrap_or_else(|| Kept { set, read: Arc::default(), table: Arc::default() });
        kept.truncate(SETS_KEPT.saturating_sub(1));
        kept.push_front(found.clone());
        found
    }
}

impl PolicyDecider for CedarPolicies {
    fn compile(&self, set: &PolicySet) -> Result<PolicyTable, SetRefused> {
        if set.is_empty() {
            return Ok(PolicyTable::built_in());
        }
        let table = self.kept(set.digest()).table(set).clone();
        table.map_err(|error| SetRefused(error.to_string()))
    }

    fn read(&self, set: &PolicySet) -> Result<(), SetRefused> {
        if set.is_empty() {
            return Ok(());
        }
        match self.kept(set.digest()).read(set) {
            Ok(_) => Ok(()),
            Err(error) => Err(SetRefused(error.to_string())),
        }
    }

    fn prepare(&self, set: &PolicySet) {
        let (kept, set) = (self.kept(set.digest()), set.clone());
        // Whoever needs the table waits for this thread or, if it could not be started, does the work.
        let named = std::thread::Builder::new().name("policies".to_owned());
        let _unless_there_is_no_thread = named.spawn(move || kept.table(&set).is_ok());
    }

    fn decide(&self, policy: &PolicyInForce, facts: &PolicyFacts) -> Result<SetAnswer, DecisionFault> {
        let kept = self.kept(*policy.set_digest());
        // A set that compiled once is read again everywhere; what is not is a fault of this machine.
        let read = kept.read(policy.set()).as_ref().map_err(|_refused| DecisionFault)?;
        answer_by(&read.slices, policy.table(), facts).map_err(|_fault| DecisionFault)
    }
}
