//! The page for people: one file, which asks this server and nobody else.
//!
//! It shows what is public, and the accounts near liquidation with a pass: one that whoever runs the node gives it
//! ([`super::PagePass`]), or that its reader brings behind the address, as `#pass=…`, which browsers send to nobody.

use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderValue, header};
use axum::response::Response;

use super::Service;

/// A page that shows markets, the book, accounts near liquidation and breakers as they are.
#[utoipa::path(get, path = "/", responses((status = 200, body = String, content_type = "text/html")))]
pub async fn page(State(service): State<Service>) -> Response {
    // Letters of base64url alone, so it is as it was made wherever it stands.
    let pass = service.page_pass.as_ref().and_then(|make| make()).unwrap_or_default();
    let mut response = Response::new(Body::from(PAGE.replace(PASS_PLACE, &pass)));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    // Whatever gets into the page by mistake reaches nobody else.
    headers.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(CONTENT_SECURITY_POLICY));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}

/// Where the page's own pass goes.
const PASS_PLACE: &str = "{{READ_PASS}}";
const PAGE: &str = include_str!("../page.html");
const CONTENT_SECURITY_POLICY: &str = "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; \
                                       img-src data:; connect-src 'self'; base-uri 'none'; form-action 'none'; \
                                       frame-ancestors 'none'";
