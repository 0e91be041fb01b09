//! Evidence in its JSON form, both ways.

use casemate_protocol::Digest;
use casemate_protocol::envelope::{Evidence, EvidenceKind};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::conversion::bounded;
use crate::error::ApiError;
use crate::values::{HexArray, HexBytes};

/// A piece of evidence beyond the signature.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct EvidenceJson {
    /// What it is: 1 a credential, 2 a membership.
    pub kind: u16,
    /// Digest of the intent that it was made for.
    pub intent: HexArray<32>,
    /// What its kind says.
    pub body: HexBytes,
}

impl TryFrom<EvidenceJson> for Evidence {
    type Error = ApiError;

    fn try_from(json: EvidenceJson) -> Result<Self, ApiError> {
        let body = bounded("body", json.body.0)?;
        Ok(Self { kind: EvidenceKind::new(json.kind), intent: Digest(json.intent.0), body })
    }
}

impl From<&Evidence> for EvidenceJson {
    fn from(evidence: &Evidence) -> Self {
        let Evidence { kind, intent, body } = evidence;
        Self { kind: kind.number(), intent: (*intent).into(), body: HexBytes(body.as_slice().to_vec()) }
    }
}

#[cfg(test)]
mod tests {
    use casemate_protocol::testing::examples;
    use casemate_protocol::{Action, BoundedVec};

    use super::super::EnvelopeJson;
    use super::*;

    #[test]
    fn evidence_comes_back_from_json_as_it_went() {
        let mut envelope = examples::envelope(vec![examples::command(Action::RequestWithdrawal)]);
        let body = BoundedVec::new(vec![1, 2, 255]).unwrap();
        let piece = Evidence { kind: EvidenceKind::CREDENTIAL, intent: envelope.intent.digest(), body };
        envelope.evidence = BoundedVec::new(vec![piece]).unwrap();
        let json = serde_json::to_vec(&EnvelopeJson::from(&envelope)).unwrap();
        assert_eq!(crate::body::json::<EnvelopeJson>(&json).unwrap().into_envelope().unwrap(), envelope);
    }
}
