//! Requests to a node, with its errors turned into messages and hints.

use std::time::Duration;

use casemate_protocol::RejectCode;
use serde_json::Value;
use ureq::Agent;
use ureq::http::Response;

use super::reading::Pass;
use crate::error::CliError;

/// One node.
pub struct Http {
    agent: Agent,
    url: String,
}

impl Http {
    /// A node by its address. Nothing is sent yet.
    pub fn new(url: &str) -> Result<Self, CliError> {
        let is_plain = url.strip_prefix("http://").is_some_and(|rest| !rest.is_empty());
        if !is_plain {
            let hint =
                "name it as `http://127.0.0.1:8080`; this client has no TLS, so put a tunnel in front of a far node";
            return Err(CliError::new(format!("`{url}` is not the address of a node"), hint));
        }
        let config = Agent::config_builder().timeout_global(Some(ANSWER_WAIT_MAX)).http_status_as_error(false);
        Ok(Self { agent: config.build().into(), url: url.trim_end_matches('/').to_owned() })
    }

    /// Host and port, as a WebSocket needs them.
    pub fn host(&self) -> &str {
        self.url.strip_prefix("http://").unwrap_or(&self.url)
    }

    /// What a path says.
    pub fn get(&self, path: &str) -> Result<Value, CliError> {
        require_success(self.try_get(path)?)
    }

    /// What a path that is not public says to whoever has a pass for it.
    pub fn get_with(&self, path: &str, pass: &Pass) -> Result<Value, CliError> {
        require_success(self.try_get_with(path, pass)?)
    }

    /// The same, or nothing if nothing is there.
    pub fn find_with(&self, path: &str, pass: &Pass) -> Result<Option<Value>, CliError> {
        let (status, body) = self.try_get_with(path, pass)?;
        if status == 404 { Ok(None) } else { require_success((status, body)).map(Some) }
    }

    /// Submits an envelope and waits until it is durable. The same bytes are sent again if the answer gets lost: they are
    /// never included twice.
    pub fn submit(&self, envelope: &[u8]) -> Result<Value, CliError> {
        require_success(self.try_submit(envelope)?)
    }

    /// The same, or nothing if another envelope has used its nonce.
    pub fn submit_unless_nonce_used(&self, envelope: &[u8]) -> Result<Option<Value>, CliError> {
        let (status, body) = self.try_submit(envelope)?;
        let is_used = body["error"]["number"] == RejectCode::NonceUsed.number();
        if is_used { Ok(None) } else { require_success((status, body)).map(Some) }
    }

    fn try_submit(&self, envelope: &[u8]) -> Result<(u16, Value), CliError> {
        let mut attempts = 1;
        loop {
            let sent = self
                .agent
                .post(format!("{}/v1/envelopes", self.url))
                .content_type("application/octet-stream")
                .send(envelope);
            let outcome = sent.map_err(|error| self.unreachable(&error)).and_then(read);
            match outcome {
                Ok((503 | 504, _)) | Err(_) if attempts < ATTEMPTS_MAX => {
                    attempts += 1;
                    std::thread::sleep(RETRY_AFTER);
                }
                Ok(answer) => return Ok(answer),
                Err(error) => return Err(error),
            }
        }
    }

    /// What a path that is not public says about a body.
    pub fn post_with(&self, path: &str, body: &Value, pass: &Pass) -> Result<Value, CliError> {
        let sent = self
            .agent
            .post(format!("{}{path}", self.url))
            .header("authorization", pass.header())
            .content_type("application/json")
            .send(body.to_string().as_bytes());
        require_success(read(sent.map_err(|error| self.unreachable(&error))?)?)
    }

    fn try_get(&self, path: &str) -> Result<(u16, Value), CliError> {
        let sent = self.agent.get(format!("{}{path}", self.url)).call();
        read(sent.map_err(|error| self.unreachable(&error))?)
    }

    fn try_get_with(&self, path: &str, pass: &Pass) -> Result<(u16, Value), CliError> {
        let sent = self.agent.get(format!("{}{path}", self.url)).header("authorization", pass.header()).call();
        read(sent.map_err(|error| self.unreachable(&error))?)
    }

    fn unreachable(&self, error: &ureq::Error) -> CliError {
        let hint = "start one with `casemate up`, or name another with --url";
        CliError::new(format!("no node answers at `{}`: {error}", self.url), hint)
    }
}

fn read(mut response: Response<ureq::Body>) -> Result<(u16, Value), CliError> {
    let status = response.status().as_u16();
    let text = response.body_mut().read_to_string().unwrap_or_default();
    let body = serde_json::from_str(&text).map_err(|_error| {
        let message = format!("status {status} without JSON: this is not a casemate node");
        CliError::new(message, "check --url")
    })?;
    Ok((status, body))
}

fn require_success((status, body): (u16, Value)) -> Result<Value, CliError> {
    if (200..300).contains(&status) { Ok(body) } else { Err(refusal(&body["error"])) }
}

/// An error as the node words it.
pub fn refusal(error: &Value) -> CliError {
    let part = |name: &str| error[name].as_str().unwrap_or("the node gives none").to_owned();
    let number = error["number"].as_u64().unwrap_or_default();
    CliError::new(format!("refused with {number} {}: {}", part("name"), part("message")), part("hint"))
}

const ANSWER_WAIT_MAX: Duration = Duration::from_secs(15);
const ATTEMPTS_MAX: u32 = 3;
const RETRY_AFTER: Duration = Duration::from_millis(500);
