//! What tests of the interface share: raw requests, and read passes.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use casemate_api_http::base64url;
use casemate_protocol::hash::{self, Domain};
use casemate_protocol::read_pass::{READ_PASS_VERSION, ReadPass, ReadScope, ReadTerms};
use casemate_protocol::{AccountId, Digest, PublicKey, SignatureBytes, TimeMs};
use ed25519_zebra::SigningKey;
use serde_json::Value;
use tungstenite::{Message, WebSocket};

/// A key that is a function of its name.
pub fn key(name: &str) -> SigningKey {
    SigningKey::from(hash::digest(Domain::Development, &[b"reads", name.as_bytes()]).0)
}

pub fn public_key(key: &SigningKey) -> PublicKey {
    PublicKey::Ed25519(key.verification_key().into())
}

/// Terms for ten minutes around a moment.
pub fn terms(chain_id: Digest, account: u64, key: &SigningKey, scope: ReadScope, now_ms: u64) -> ReadTerms {
    ReadTerms {
        version: READ_PASS_VERSION,
        chain_id,
        account: AccountId::new(account),
        key: public_key(key),
        scope,
        not_before_ms: TimeMs::from_ms(now_ms - 300_000),
        expires_ms: TimeMs::from_ms(now_ms + 300_000),
    }
}

pub fn sign(terms: ReadTerms, key: &SigningKey) -> String {
    let signature = SignatureBytes::Ed25519(key.sign(terms.digest().bytes()).into());
    base64url::encode(&ReadPass { terms, signature }.encode())
}

pub fn connect(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).unwrap();
    // A bound on hanging, not on waiting: everything that is tested comes much sooner.
    stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    stream
}

/// Sends bytes and reads what comes until the server closes.
pub fn send(address: SocketAddr, request: &[u8]) -> (u16, Value) {
    let mut stream = connect(address);
    stream.write_all(request).unwrap();
    read_answer(&mut stream)
}

pub fn read_answer(stream: &mut TcpStream) -> (u16, Value) {
    let mut answer = Vec::new();
    match stream.read_to_end(&mut answer) {
        Ok(_) => {}
        // The server may close while the rest of a refused body is still under way; the answer came first.
        Err(error) if error.kind() == ErrorKind::ConnectionReset && !answer.is_empty() => {}
        Err(error) => panic!("{error}"),
    }
    let answer = String::from_utf8(answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or_else(|| panic!("no answer: `{answer}`"));
    let status: u16 = head.split(' ').nth(1).unwrap().parse().unwrap();
    assert_eq!(status == 401, head.contains("www-authenticate: Casemate"), "{head}");
    (status, serde_json::from_str(body).unwrap_or_else(|error| panic!("{error}: `{body}`")))
}

/// Every error has all fields, and a hint.
pub fn require_error((status, body): &(u16, Value), expected_status: u16, name: &str) {
    let error = &body["error"];
    assert_eq!((*status, error["name"].as_str()), (expected_status, Some(name)), "{body}");
    let mut fields: Vec<&str> = error.as_object().unwrap().keys().map(String::as_str).collect();
    fields.sort_unstable();
    assert_eq!(fields, ["hint", "measure", "message", "name", "number", "present", "required", "rule"]);
    assert!(error["number"].is_u64() && !error["hint"].as_str().unwrap().is_empty(), "{body}");
}

pub fn ask(stream: &mut WebSocket<TcpStream>, request: &str) -> Value {
    stream.send(Message::text(request)).unwrap();
    next(stream)
}

pub fn next(stream: &mut WebSocket<TcpStream>) -> Value {
    loop {
        if let Message::Text(text) = stream.read().unwrap() {
            return serde_json::from_str(&text).unwrap();
        }
    }
}
