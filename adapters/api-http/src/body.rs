//! Reading a request's body: bounded in size and time, and told apart by its content type.

use std::error::Error as _;
use std::time::Duration;

use axum::body::Body;
use axum::http::{HeaderMap, header};
use bytes::Bytes;
use serde::de::DeserializeOwned;

use crate::error::{ApiError, ApiRule};

/// How an envelope is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    /// Canonical bytes.
    Binary,
    /// JSON.
    Json,
}

/// The encoding that a content type names.
///
/// # Errors
/// `ContentTypeNotSupported`.
pub fn encoding(headers: &HeaderMap) -> Result<Encoding, ApiError> {
    let named = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    match named.split(';').next().unwrap_or_default().trim().to_ascii_lowercase().as_str() {
        "application/octet-stream" => Ok(Encoding::Binary),
        "application/json" => Ok(Encoding::Json),
        other => {
            let message = match other {
                "" => "the request names no content type".to_owned(),
                other => format!("content type `{other}` is not taken"),
            };
            Err(ApiError::of(ApiRule::ContentTypeNotSupported, message))
        }
    }
}

/// Reads a whole body.
///
/// # Errors
/// `BodyTooLarge` as soon as it is known, `BodyTooSlow` if it is not there in time.
pub async fn read(
    headers: &HeaderMap,
    body: Body,
    size_bytes_max: usize,
    wait_max: Duration,
) -> Result<Bytes, ApiError> {
    let count = |number: usize| u64::try_from(number).unwrap_or(u64::MAX);
    let too_large = |present: Option<u64>| {
        let message = match present {
            Some(present) => format!("body of `{present}` bytes exceeds the maximum of `{size_bytes_max}`"),
            None => format!("body exceeds the maximum of `{size_bytes_max}` bytes"),
        };
        let error = ApiError::of(ApiRule::BodyTooLarge, message);
        // Without a declared length the body was not read to its end, so all that is known is that it is longer.
        error.numbers("bytes", count(size_bytes_max), present.unwrap_or(count(size_bytes_max) + 1))
    };
    let declared = headers.get(header::CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse::<u64>().ok());
    if let Some(declared) = declared.filter(|declared| *declared > count(size_bytes_max)) {
        return Err(too_large(Some(declared)));
    }
    match tokio::time::timeout(wait_max, axum::body::to_bytes(body, size_bytes_max)).await {
        Ok(Ok(bytes)) => Ok(bytes),
        Ok(Err(error)) if error.source().is_some_and(|source| source.to_string().contains("length limit")) => {
            Err(too_large(None))
        }
        Ok(Err(_broken)) => Err(ApiError::of(ApiRule::BodyTooSlow, "the body ended before its declared length")),
        Err(_elapsed) => {
            let message = format!("the body was not there within `{}` ms", wait_max.as_millis());
            Err(ApiError::of(ApiRule::BodyTooSlow, message))
        }
    }
}

/// Reads JSON strictly: every field known, nothing behind it.
///
/// # Errors
/// `JsonMalformed` with line and column.
pub fn json<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, ApiError> {
    serde_json::from_slice(bytes).map_err(|error| {
        // The message of the library ends in line and column; its words say which field and what was expected.
        ApiError::of(ApiRule::JsonMalformed, format!("not the JSON of this request: {error}"))
    })
}
