//! What each route and each channel shows, and the passes that open what is not public.
//!
//! One table has a row for every route ([`ROUTES`]); what has none is served to nobody. A request for anything that is not
//! public comes to its handler only with a pass whose signature holds ([`PassBook`]), and the handler reads the state through
//! [`Reader`] alone, which judges the pass against the very state that it reads. There is no exception for any kind of chain.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::extract::{FromRequestParts, MatchedPath, Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, Method, header};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use casemate_gate::read::authorize;
use casemate_gate::{AuthenticPass, DecodedPass, Read};
use casemate_protocol::limits::READ_PASS_SIZE_BYTES_MAX;
use casemate_protocol::{Digest, Reject, RejectCode};
use utoipa::openapi::security::{ApiKey, ApiKeyValue, SecurityRequirement, SecurityScheme};

use crate::error::ApiError;
use crate::ports::StateView;
use crate::routes::Service;
use crate::{asking, base64url};

/// Whose business something is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Everybody's.
    Public,
    /// The account's that it is about.
    OwnAccount,
    /// Of whoever holds the key that it is about.
    OwnKey,
    /// An auditor's; of one market, also of those who watch it.
    MarketOrAuditor,
}

/// Every route, by method and path. A receipt is its submitter's business because ids of envelopes are public and refusals
/// name amounts; it has them from the submission as well.
pub const ROUTES: &[(&str, &str, Access)] = &[
    ("GET", "/", Access::Public),
    ("GET", "/health", Access::Public),
    ("GET", "/metrics", Access::Public),
    ("GET", "/openapi.json", Access::Public),
    ("POST", "/v1/envelopes", Access::Public),
    ("POST", "/v1/typed-data", Access::Public),
    ("POST", "/v1/typed-data/read-pass", Access::Public),
    ("GET", "/v1/receipts/{envelope}", Access::OwnAccount),
    ("GET", "/v1/accounts", Access::MarketOrAuditor),
    ("GET", "/v1/accounts/{account}", Access::OwnAccount),
    ("GET", "/v1/accounts/{account}/margin", Access::OwnAccount),
    ("POST", "/v1/accounts/{account}/margin/preview", Access::OwnAccount),
    ("GET", "/v1/accounts/{account}/moves", Access::OwnAccount),
    ("GET", "/v1/accounts/{account}/policy", Access::OwnAccount),
    ("GET", "/v1/keys/{key}", Access::OwnKey),
    ("GET", "/v1/proofs/account/{account}", Access::OwnAccount),
    ("GET", "/v1/markets", Access::Public),
    ("GET", "/v1/markets/{market}", Access::Public),
    ("GET", "/v1/markets/{market}/book", Access::Public),
    ("GET", "/v1/markets/{market}/trades", Access::Public),
    ("GET", "/v1/policy", Access::Public),
    ("GET", "/v1/segments", Access::Public),
    ("GET", "/v1/breakers", Access::Public),
    ("GET", "/v1/liquidations", Access::Public),
    ("GET", "/v1/blocks/{height}", Access::Public),
    ("GET", "/v1/chain", Access::Public),
    // Each of its channels has a class of its own.
    ("GET", "/v1/stream", Access::Public),
];

/// The class of a route; none of what no row names.
fn access_of(method: &str, path: &str) -> Option<Access> {
    ROUTES.iter().find(|(verb, route, _)| *verb == method && *route == path).map(|(_, _, access)| *access)
}

/// Lets a request through to what is public, and to anything else only with a pass that its key signed and that is good now.
pub async fn require_pass(State(service): State<Service>, mut request: Request, next: Next) -> Response {
    let path = request.extensions().get::<MatchedPath>().map_or("", MatchedPath::as_str);
    let method = if *request.method() == Method::HEAD { "GET" } else { request.method().as_str() };
    if access_of(method, path) == Some(Access::Public) {
        return next.run(request).await;
    }
    match service.pass_of(request.headers()) {
        Ok(pass) => {
            request.extensions_mut().insert(Reader(pass));
            next.run(request).await
        }
        Err(error) => error.into_response(),
    }
}

impl Service {
    /// The pass that a request brings.
    fn pass_of(&self, headers: &HeaderMap) -> Result<Arc<AuthenticPass>, ApiError> {
        let brought = self.pass_in(headers)?;
        brought.ok_or_else(|| ApiError::refused(&Reject::of(RejectCode::PassMissing)))
    }

    /// The pass that a request brings, if it brings any.
    pub(crate) fn pass_in(&self, headers: &HeaderMap) -> Result<Option<Arc<AuthenticPass>>, ApiError> {
        let Some(value) = headers.get(header::AUTHORIZATION) else { return Ok(None) };
        let text = value.to_str().ok().and_then(|text| text.strip_prefix(SCHEME)?.strip_prefix(' '));
        let text = text.ok_or_else(|| ApiError::refused(&Reject::of(RejectCode::PassMissing)))?;
        self.pass_of_text(text.trim_matches(' ')).map(Some)
    }

    /// The pass in base64url, with its signature checked, and good now.
    pub(crate) fn pass_of_text(&self, text: &str) -> Result<Arc<AuthenticPass>, ApiError> {
        let bytes = base64url::decode(text).ok_or_else(|| ApiError::refused(&Reject::of(RejectCode::PassMalformed)))?;
        let pass = self.passes.authentic(&bytes).map_err(|reject| ApiError::refused(&reject))?;
        // Sooner than with the state, so that nobody waits for it in vain.
        pass.at(self.venue.clocks().reader_ms).map_err(|reject| ApiError::refused(&reject))?;
        Ok(pass)
    }
}

/// Whoever brought a pass. The only way to what is not public.
#[derive(Clone)]
pub struct Reader(Arc<AuthenticPass>);

impl<S: Send + Sync> FromRequestParts<S> for Reader {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, ApiError> {
        let reader = parts.extensions.get::<Self>().cloned();
        // A handler that asks for a reader under a route that is public shows nothing.
        reader.ok_or_else(|| ApiError::refused(&Reject::of(RejectCode::PassMissing)))
    }
}

impl Reader {
    /// Whoever brought this pass.
    pub(crate) const fn of(pass: Arc<AuthenticPass>) -> Self {
        Self(pass)
    }

    /// The pass.
    pub(crate) fn pass(&self) -> &AuthenticPass {
        &self.0
    }

    /// Looks at the state between two blocks if the pass opens this there.
    ///
    /// # Errors
    /// The refusal of the first stage that refuses; the node's.
    pub async fn look<T: Send + 'static>(
        &self,
        service: &Service,
        read: Read,
        look: impl FnOnce(&StateView<'_>) -> T + Send + 'static,
    ) -> Result<T, ApiError> {
        self.look_for(service, move |_view| read, look).await
    }

    /// The same where the state says whose business it is.
    ///
    /// # Errors
    /// As of [`Self::look`].
    pub async fn look_for<T: Send + 'static>(
        &self,
        service: &Service,
        read: impl FnOnce(&StateView<'_>) -> Read + Send + 'static,
        look: impl FnOnce(&StateView<'_>) -> T + Send + 'static,
    ) -> Result<T, ApiError> {
        let (pass, clocks) = (Arc::clone(&self.0), service.venue.clocks());
        let looked = asking::look(&*service.venue, move |view| {
            let _authorized = authorize(&pass, read(view), clocks, view.ledger, view.decider)?;
            Ok(look(view))
        });
        looked.await?.map_err(|reject: Reject| ApiError::refused(&reject))
    }
}

/// Passes whose signature was checked, so that whoever asks again and again pays for one. That a signature holds never changes;
/// everything else is judged on each read.
pub struct PassBook {
    chain_id: Digest,
    kept: Mutex<Kept>,
}

#[derive(Default)]
struct Kept {
    by_bytes: BTreeMap<Vec<u8>, Arc<AuthenticPass>>,
    /// The oldest first.
    in_order: VecDeque<Vec<u8>>,
}

impl PassBook {
    /// An empty book of a chain.
    #[must_use]
    pub fn new(chain_id: Digest) -> Self {
        Self { chain_id, kept: Mutex::default() }
    }

    /// The pass in canonical bytes, with its signature checked now or before.
    ///
    /// # Errors
    /// What [`DecodedPass::decode`] and [`DecodedPass::authenticate`] refuse.
    pub fn authentic(&self, bytes: &[u8]) -> Result<Arc<AuthenticPass>, Reject> {
        if bytes.len() > READ_PASS_SIZE_BYTES_MAX {
            return Err(Reject::of(RejectCode::PassMalformed));
        }
        if let Some(known) = self.lock().by_bytes.get(bytes) {
            return Ok(Arc::clone(known));
        }
        let pass = Arc::new(DecodedPass::decode(bytes, &self.chain_id)?.authenticate()?);
        let mut kept = self.lock();
        if kept.by_bytes.insert(bytes.to_vec(), Arc::clone(&pass)).is_none() {
            kept.in_order.push_back(bytes.to_vec());
        }
        while kept.in_order.len() > PASSES_KEPT_MAX {
            let Some(oldest) = kept.in_order.pop_front() else { break };
            kept.by_bytes.remove(&oldest);
        }
        Ok(pass)
    }

    /// The book is whole between two calls.
    fn lock(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Says in the description of the interface what needs a pass.
pub fn describe(document: &mut utoipa::openapi::OpenApi) {
    let words = "`Casemate`, a space, and a read pass in base64url without padding: see docs/http-api.md";
    let scheme = SecurityScheme::ApiKey(ApiKey::Header(ApiKeyValue::with_description("Authorization", words)));
    document.components.get_or_insert_default().security_schemes.insert(SCHEME_NAME.to_owned(), scheme.into());
    for (path, item) in &mut document.paths.paths {
        for (method, operation) in [("GET", &mut item.get), ("POST", &mut item.post)] {
            let Some(operation) = operation else { continue };
            if access_of(method, path) != Some(Access::Public) {
                operation.security = Some(vec![SecurityRequirement::new(SCHEME_NAME, Vec::<String>::new())]);
            }
        }
    }
}

/// What a request's `Authorization` begins with.
pub const SCHEME: &str = "Casemate";
const SCHEME_NAME: &str = "read_pass";
/// Passes that are remembered: those of many readers for a quarter of an hour, in at most two megabytes.
const PASSES_KEPT_MAX: usize = 1_024;

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use casemate_protocol::read_pass::{ReadPass, ReadScope, ReadTerms};
    use casemate_protocol::testing::examples;
    use casemate_protocol::{AccountId, PublicKey, SignatureBytes};
    use ed25519_zebra::SigningKey;

    use super::*;

    #[test]
    fn every_route_of_the_description_has_a_class_and_every_class_a_route() {
        let document = crate::routes::openapi();
        let mut described = BTreeSet::new();
        for (path, item) in &document.paths.paths {
            for (method, operation) in [("GET", &item.get), ("POST", &item.post)] {
                if let Some(operation) = operation {
                    described.insert((method.to_owned(), path.clone()));
                    let needs_pass = operation.security.is_some();
                    assert_eq!(needs_pass, access_of(method, path) != Some(Access::Public), "{method} {path}");
                }
            }
            let others = [&item.put, &item.delete, &item.patch, &item.head, &item.options, &item.trace];
            assert!(others.iter().all(|operation| operation.is_none()), "{path} has a method without a class");
        }
        let classed: BTreeSet<_> =
            ROUTES.iter().map(|(verb, path, _)| ((*verb).to_owned(), (*path).to_owned())).collect();
        assert_eq!(classed.len(), ROUTES.len(), "no route has two rows");
        assert_eq!(described, classed);
        assert!(document.components.unwrap().security_schemes.contains_key(SCHEME_NAME));
    }

    #[test]
    fn the_book_remembers_so_many_passes_and_no_bad_one() {
        let key = SigningKey::from([7; 32]);
        let mut terms = examples::read_terms(ReadScope::Account);
        terms.key = PublicKey::Ed25519(key.verification_key().into());
        let pass = |number: u64| {
            let terms = ReadTerms { account: AccountId::new(1 + number), ..terms };
            let signature = SignatureBytes::Ed25519(key.sign(terms.digest().bytes()).into());
            ReadPass { terms, signature }.encode()
        };
        let book = PassBook::new(terms.chain_id);
        let mut forged = pass(0);
        *forged.last_mut().unwrap() ^= 1;
        assert_eq!(book.authentic(&forged).unwrap_err().code(), RejectCode::PassSignatureInvalid);
        assert!(book.lock().by_bytes.is_empty());
        let count = u64::try_from(PASSES_KEPT_MAX).unwrap() + 20;
        let first = book.authentic(&pass(0)).unwrap();
        assert!(Arc::ptr_eq(&first, &book.authentic(&pass(0)).unwrap()), "paid for once");
        for number in 0..count {
            assert!(book.authentic(&pass(number)).is_ok());
        }
        let kept = book.lock();
        assert_eq!((kept.by_bytes.len(), kept.in_order.len()), (PASSES_KEPT_MAX, PASSES_KEPT_MAX));
        assert!(!kept.by_bytes.contains_key(&pass(0)) && kept.by_bytes.contains_key(&pass(count - 1)));
    }

    #[test]
    fn what_no_row_names_is_nobodys() {
        assert_eq!(access_of("GET", "/v1/secrets"), None);
        assert_eq!(access_of("DELETE", "/v1/markets"), None);
    }
}
