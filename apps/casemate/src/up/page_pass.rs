//! The pass of the page that `casemate up` serves.
//!
//! The page shows accounts of others, so it reads as everybody must: under a pass, here of the chain's auditor, or of a risk
//! officer where genesis names no auditor and policies let one. Keys of a development chain derive from a seed that anybody
//! can read, so whoever loads the page could have signed it.

use std::sync::Arc;

use casemate_api_http::{PagePass, base64url};
use casemate_node::development_keys::{auditor_key, public_key, risk_officer_key, sign_read_pass};
use casemate_protocol::genesis::{Genesis, PrincipalKind};
use casemate_protocol::read_pass::ReadScope;
use ed25519_zebra::SigningKey;

use crate::client::reading::{LIFE_MS_MAX, terms_from_now};

/// Makes passes with a derived key of the chain; none if it has no such key.
pub fn of(genesis: &Genesis) -> Option<PagePass> {
    let seed = genesis.seeded?.seed;
    let derived = |kind: PrincipalKind, derive: fn(&[u8; 32], u64) -> SigningKey| {
        let (account, (_, first)) = (1u64..).zip(genesis.principals()).find(|(_, (named, _))| *named == kind)?;
        let key = derive(&seed, 0);
        (first.root_key == public_key(&key)).then_some((account, key))
    };
    let (account, key) = derived(PrincipalKind::Auditor, auditor_key)
        .or_else(|| derived(PrincipalKind::RiskOfficer, risk_officer_key))?;
    let chain_id = genesis.chain_id();
    Some(Arc::new(move || {
        let terms = terms_from_now(chain_id, account, public_key(&key), ReadScope::Auditor, LIFE_MS_MAX);
        Some(base64url::encode(&sign_read_pass(terms, &key).encode()))
    }))
}
