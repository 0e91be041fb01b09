//! Errors as their reader gets them: which rule, what it required, what was there, and what to do.
//!
//! Refusals of the engine keep their numbers, which are below 1,000; what this adapter itself refuses has numbers from
//! 1,000 on. Both are permanent.

use axum::body::Body;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use casemate_protocol::reject::Measure;
use casemate_protocol::{Reject, RejectCode};
use serde::Serialize;
use utoipa::ToSchema;

use crate::access::SCHEME;
use crate::ports::{Failure, NotTaken};
use crate::values::{Int, Signed};

/// A refusal or failure, with its status.
#[derive(Clone, Debug)]
pub struct ApiError {
    status: StatusCode,
    /// On the heap, so that a result that is fine stays small.
    error: Box<ErrorDetail>,
}

/// Body of every error.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct ErrorBody {
    /// What was refused or failed.
    pub error: ErrorDetail,
}

/// One error.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct ErrorDetail {
    /// Permanent number: below 1000 a refusal of the engine, from 1000 on one of this interface.
    pub number: u16,
    /// Permanent name.
    pub name: &'static str,
    /// What happened, for people.
    pub message: String,
    /// What `required` and `present` count: `count`, `quote_micros`, `ms`, `ticks`, `lots`, `action` or `bytes`.
    pub measure: Option<&'static str>,
    /// What the rule requires.
    pub required: Option<Signed>,
    /// What was there.
    pub present: Option<Signed>,
    /// The family of rules that refused.
    pub rule: Option<&'static str>,
    /// What to do about it.
    pub hint: String,
}

macro_rules! api_rules {
    ($($number:literal $name:ident $status:ident $rule:literal, $hint:literal;)*) => {
        /// What this interface refuses by itself. Numbers are permanent.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum ApiRule {
            $(#[doc = $hint] $name,)*
        }

        impl ApiRule {
            /// Every rule, in the order of the numbers.
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];

            /// The permanent number.
            #[must_use]
            pub const fn number(self) -> u16 {
                match self { $(Self::$name => $number,)* }
            }

            /// The permanent name.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$name => stringify!($name),)* }
            }

            const fn status(self) -> StatusCode {
                match self { $(Self::$name => StatusCode::$status,)* }
            }

            const fn rule(self) -> &'static str {
                match self { $(Self::$name => $rule,)* }
            }

            const fn hint(self) -> &'static str {
                match self { $(Self::$name => $hint,)* }
            }
        }
    };
}

api_rules! {
    1000 PathNotFound NOT_FOUND "request", "GET /openapi.json lists every path";
    1001 MethodNotAllowed METHOD_NOT_ALLOWED "request", "GET /openapi.json lists the methods of every path";
    1002 BodyTooLarge PAYLOAD_TOO_LARGE "request", "split the commands over several envelopes";
    1003 BodyTooSlow REQUEST_TIMEOUT "request", "send the whole body at once";
    1004 JsonMalformed BAD_REQUEST "request", "compare with the schema in GET /openapi.json";
    1005 ContentTypeNotSupported UNSUPPORTED_MEDIA_TYPE "request", "send application/octet-stream with the canonical bytes, or application/json";
    1006 ParameterInvalid BAD_REQUEST "request", "GET /openapi.json says what each parameter takes";
    // 1007 was AccountDataNotPublic, before there were read passes. The number stays its own.
    1008 BlockNotFound NOT_FOUND "lookup", "GET /health names the last block";
    1009 ReceiptNotFound NOT_FOUND "lookup", "check the envelope id; an envelope that was refused before inclusion has no receipt";
    1010 KeyNotFound NOT_FOUND "lookup", "only root keys of accounts are found; open the account first";
    1011 QueueFull SERVICE_UNAVAILABLE "capacity", "wait a second, then send the same again";
    1012 NodeStopping SERVICE_UNAVAILABLE "capacity", "wait until the node runs again, then send the same again";
    1013 MachineFailed INTERNAL_SERVER_ERROR "machine", "see the node's own messages; after a restart the same bytes get their first receipt if they are in a block";
    1014 AnswerTooSlow GATEWAY_TIMEOUT "capacity", "ask again; of an envelope send the same bytes again, which are never included twice";
    1015 TooManyConnections SERVICE_UNAVAILABLE "capacity", "reuse connections, or wait until others close theirs";
    1016 SubscriptionInvalid BAD_REQUEST "stream", "send one JSON object for each subscription, as docs/http-api.md shows";
    1017 ReaderTooSlow TOO_MANY_REQUESTS "stream", "connect again and resync: subscribe, and take the snapshot or ask for what came after the last sequence you have";
    1018 OriginNotAllowed FORBIDDEN "stream", "open the stream from a page that this node serves, or from a program";
    1019 ValueOutOfRange BAD_REQUEST "request", "compare with the schema in GET /openapi.json";
    1020 NotPreviewed BAD_REQUEST "request", "preview an order, a withdrawal, a slow exit or a transfer: everything else needs no margin";
    1021 UpgradeRequired UPGRADE_REQUIRED "stream", "open a WebSocket at this path";
}

impl ApiError {
    /// A refusal by a rule of this interface.
    #[must_use]
    pub fn of(rule: ApiRule, message: impl Into<String>) -> Self {
        let error = ErrorDetail {
            number: rule.number(),
            name: rule.name(),
            message: message.into(),
            measure: None,
            required: None,
            present: None,
            rule: Some(rule.rule()),
            hint: rule.hint().to_owned(),
        };
        Self { status: rule.status(), error: Box::new(error) }
    }

    /// What was required and what was there.
    #[must_use]
    pub fn numbers(mut self, measure: &'static str, required: u64, present: u64) -> Self {
        let held = |number: u64| Int(i64::try_from(number).unwrap_or(i64::MAX));
        self.error.measure = Some(measure);
        (self.error.required, self.error.present) = (Some(held(required)), Some(held(present)));
        self
    }

    /// A refusal of the engine, outside of any block.
    #[must_use]
    pub fn refused(reject: &Reject) -> Self {
        Self { status: status_of(reject.code()), error: Box::new(ErrorDetail::refusal(reject)) }
    }

    /// The machine failed.
    #[must_use]
    pub fn failed(failure: Failure) -> Self {
        let mut failed = Self::of(ApiRule::MachineFailed, failure.message);
        failed.error.hint = failure.hint;
        failed
    }

    /// The error itself.
    #[must_use]
    pub fn detail(&self) -> &ErrorDetail {
        &self.error
    }

    /// Its HTTP status.
    #[must_use]
    pub const fn status(&self) -> StatusCode {
        self.status
    }
}

impl ErrorDetail {
    /// A refusal of the engine.
    #[must_use]
    pub fn refusal(reject: &Reject) -> Self {
        let code = reject.code();
        let (required, present) = reject.numbers();
        let measure = match code.measure() {
            Measure::Nothing => None,
            Measure::Count => Some("count"),
            Measure::Quote => Some("quote_micros"),
            Measure::Milliseconds => Some("ms"),
            Measure::Ticks => Some("ticks"),
            Measure::Lots => Some("lots"),
            Measure::Action => Some("action"),
            Measure::Detector => Some("detector"),
            Measure::Tier => Some("tier"),
        };
        Self {
            number: code.number(),
            name: code.name(),
            message: reject.to_string(),
            measure,
            // A rule that compares with nothing, such as an id that names nothing, has only what was there.
            required: measure.filter(|_| code.message().contains("{required}")).map(|_| Int(required)),
            present: measure.filter(|_| code.message().contains("{present}")).map(|_| Int(present)),
            rule: Some(rule_of(code)),
            hint: code.hint().to_owned(),
        }
    }
}

impl From<NotTaken> for ApiError {
    fn from(not_taken: NotTaken) -> Self {
        match not_taken {
            NotTaken::QueueFull => Self::of(ApiRule::QueueFull, "too many requests wait for the node already"),
            NotTaken::Stopped => Self::of(ApiRule::NodeStopping, "the node is stopping or has stopped"),
        }
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let is_overloaded = self.status == StatusCode::SERVICE_UNAVAILABLE;
        let wants_pass = self.status == StatusCode::UNAUTHORIZED;
        let mut response = json_response(self.status, &ErrorBody { error: *self.error });
        if is_overloaded {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
        }
        if wants_pass {
            response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static(SCHEME));
        }
        response
    }
}

/// A response with a JSON body.
pub fn json_response<T: Serialize>(status: StatusCode, body: &T) -> Response {
    // Our own bodies have string keys and no failing parts, so they always encode.
    let bytes = serde_json::to_vec(body).unwrap_or_default();
    let mut response = Response::new(Body::from(bytes));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// The family of rules that a refusal belongs to, by the hundreds of its number.
fn rule_of(code: RejectCode) -> &'static str {
    match code.number() / 100 {
        1 if (140..150).contains(&code.number()) => "reads",
        1 => "inclusion",
        2 => "grant",
        3 => "policy",
        4 => "funds",
        5 => "trading",
        6 => "prices and breakers",
        7 => "proposals",
        8 => "conduct",
        9 => "segment",
        _ => "ledger",
    }
}

/// The status of a refusal that stands in no block.
fn status_of(code: RejectCode) -> StatusCode {
    match code {
        RejectCode::EnvelopeTooLarge => StatusCode::PAYLOAD_TOO_LARGE,
        RejectCode::SignatureInvalid
        | RejectCode::KeyNotOfAccount
        | RejectCode::PassMissing
        | RejectCode::PassMalformed
        | RejectCode::PassOfAnotherChain
        | RejectCode::PassNotYetValid
        | RejectCode::PassExpired
        | RejectCode::PassLifeNotAllowed
        | RejectCode::PassSignatureInvalid
        | RejectCode::PasskeyChallengeWrong
        | RejectCode::PasskeyUserNotVerified
        | RejectCode::PasskeyOriginNotAllowed
        | RejectCode::PasskeyCounterNotHigher => StatusCode::UNAUTHORIZED,
        RejectCode::AccountNotFound | RejectCode::MarketNotFound | RejectCode::SegmentNotFound => StatusCode::NOT_FOUND,
        RejectCode::AccountClosed
        | RejectCode::GrantRevoked
        | RejectCode::GrantExpired
        | RejectCode::PassDoesNotCover
        | RejectCode::ReadNotPermitted
        | RejectCode::ReadEvidenceTooLow => StatusCode::FORBIDDEN,
        RejectCode::NonceOutOfWindow
        | RejectCode::NonceUsed
        | RejectCode::NoUnclaimedDeposit
        | RejectCode::RootKeyTaken => StatusCode::CONFLICT,
        RejectCode::WeightExceeded | RejectCode::GrantRateExceeded => StatusCode::TOO_MANY_REQUESTS,
        RejectCode::BlockFull => StatusCode::SERVICE_UNAVAILABLE,
        _ => match code.number() / 100 {
            1 => StatusCode::BAD_REQUEST,
            2 | 3 => StatusCode::FORBIDDEN,
            9 => StatusCode::SERVICE_UNAVAILABLE,
            _ => StatusCode::UNPROCESSABLE_ENTITY,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_this_interface_lie_above_those_of_the_engine_and_are_distinct() {
        let engine = RejectCode::ALL.iter().map(|code| code.number()).max().unwrap();
        let numbers: Vec<u16> = ApiRule::ALL.iter().map(|rule| rule.number()).collect();
        assert!(engine < numbers[0]);
        assert!(numbers.is_sorted_by(|before, after| before < after));
    }

    #[test]
    fn every_refusal_maps_to_an_error_of_the_client_or_a_capacity() {
        for &code in RejectCode::ALL {
            let status = ApiError::refused(&Reject::of(code)).status();
            assert!(status.is_client_error() || status == StatusCode::SERVICE_UNAVAILABLE, "{code:?}");
        }
    }

    #[test]
    fn a_refusal_says_what_was_required_and_what_was_there() {
        let reject = Reject::of(RejectCode::NonceOutOfWindow).required(7).present(99);
        let error = ErrorDetail::refusal(&reject);
        assert_eq!((error.required, error.present, error.measure), (Some(Int(7)), Some(Int(99)), Some("count")));
        let unknown = ErrorDetail::refusal(&Reject::of(RejectCode::MarketNotFound).present(9));
        assert_eq!((unknown.required, unknown.present), (None, Some(Int(9))));
        let silent = ErrorDetail::refusal(&Reject::of(RejectCode::SignatureInvalid));
        assert_eq!((silent.required, silent.present, silent.measure), (None, None, None));
    }
}
