//! Who signs: a key, the account and role that it has there, and its next nonce.

use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use casemate_node::development_keys::{parse_public_key, public_key, public_key_text, read_key_file, sign_envelope};
use casemate_protocol::envelope::{ENVELOPE_VERSION, GroupMode, Intent, Signer, SignerRole};
use casemate_protocol::{AccountId, BoundedVec, Command, Digest, Envelope, PublicKey, TimeMs};
use ed25519_zebra::SigningKey;
use serde_json::Value;

use super::http::Http;
use super::reading::{Pass, account_of_key};
use crate::error::CliError;

/// The key that signs.
#[derive(clap::Args, Clone, Debug)]
pub struct SignerArgs {
    /// File of the secret key that signs, as `casemate keys new` makes it.
    #[arg(long, value_name = "FILE")]
    key: PathBuf,
    /// The account; found by the key itself if that is a root key.
    #[arg(long)]
    account: Option<u64>,
}

/// A key with everything that an envelope needs.
pub struct Identity {
    key: SigningKey,
    account: AccountId,
    role: SignerRole,
    nonce: u64,
}

impl SignerArgs {
    /// Asks the node what the key is there.
    pub fn identity(&self, http: &Http) -> Result<(Identity, Value), CliError> {
        let key = read_key_file(&self.key)?;
        let account = match self.account {
            Some(account) => account,
            None => account_of_key(http, &key)?,
        };
        let shown = account_with(http, &key, account)?;
        Ok((Identity::of(key, &shown)?, shown))
    }
}

impl Identity {
    /// What a key is in an account.
    pub fn of(key: SigningKey, account: &Value) -> Result<Self, CliError> {
        let named = public_key_text(&public_key(&key));
        let number = account["account"].as_u64().unwrap_or_default();
        let grant = || super::rows(account, "grants").find(|grant| grant["session_key"] == *named);
        let (role, nonce) = if account["root_key"] == *named {
            (SignerRole::Root, &account["root_nonce_next"])
        } else if let Some(grant) = grant() {
            (SignerRole::Session, &grant["nonce_next"])
        } else {
            return Err(CliError::new(
                format!("`{named}` is neither the root key nor a session key of account `{number}`"),
                "name the account that the key belongs to with --account, or register it with `casemate grant create`",
            ));
        };
        let nonce = nonce.as_u64().ok_or_else(|| CliError::defect("the node names no nonce"))?;
        Ok(Self { key, account: AccountId::new(number), role, nonce })
    }

    /// A key that is announced to become an account's root key: it may say that it takes over.
    pub fn announced(key: SigningKey, account: &Value) -> Result<Self, CliError> {
        let nonce = account["root_nonce_next"].as_u64().ok_or_else(|| CliError::defect("the node names no nonce"))?;
        let account = AccountId::new(account["account"].as_u64().unwrap_or_default());
        Ok(Self { key, account, role: SignerRole::Root, nonce })
    }

    /// A root key without an account: it may open one.
    pub fn opening(key: SigningKey) -> Self {
        Self { key, account: AccountId::NONE, role: SignerRole::Root, nonce: 1 }
    }

    /// A pass for the account.
    pub fn pass(&self, http: &Http) -> Result<Pass, CliError> {
        Pass::own(http, &self.key, self.account.number())
    }

    /// Signs commands that each stand alone.
    pub fn sign(&self, chain_id: Digest, now_ms: u64, commands: Vec<Command>) -> Result<Envelope, CliError> {
        let commands = BoundedVec::new(commands).ok_or_else(|| CliError::defect("too many commands"))?;
        let intent = Intent {
            version: ENVELOPE_VERSION,
            chain_id,
            account: self.account,
            signer: Signer { role: self.role, key: public_key(&self.key) },
            nonce: self.nonce,
            valid_until_ms: TimeMs::from_ms(now_ms.saturating_add(VALID_MS)),
            group: GroupMode::EachAlone,
            commands,
        };
        Ok(sign_envelope(intent, &self.key))
    }

    /// Signs one command and submits it.
    pub fn submit(&self, http: &Http, command: Command) -> Result<Value, CliError> {
        let chain = http.get("/v1/chain")?;
        http.submit(&self.sign(chain_id(&chain)?, now_ms(http)?, vec![command])?.encode())
    }

    /// The same for a key that others use too: none if one of them was faster.
    pub fn submit_if_first(&self, http: &Http, command: Command) -> Result<Option<Value>, CliError> {
        let chain = http.get("/v1/chain")?;
        http.submit_unless_nonce_used(&self.sign(chain_id(&chain)?, now_ms(http)?, vec![command])?.encode())
    }
}

/// An account as it is shown to a key of it.
pub fn account_with(http: &Http, key: &SigningKey, account: u64) -> Result<Value, CliError> {
    http.get_with(&format!("/v1/accounts/{account}"), &Pass::own(http, key, account)?)
}

/// A public key, written out or taken from a key file.
pub fn public_key_argument(argument: &str) -> Result<PublicKey, CliError> {
    match parse_public_key(argument) {
        Some(key) => Ok(key),
        None => Ok(public_key(&read_key_file(Path::new(argument))?)),
    }
}

/// The chain that envelopes are signed for.
pub fn chain_id(chain: &Value) -> Result<Digest, CliError> {
    let digits = chain["chain_id"].as_str().unwrap_or_default();
    let parsed: Option<casemate_api_http::values::HexArray<32>> = digits.parse().ok();
    parsed.map(|id| Digest(id.0)).ok_or_else(|| CliError::defect("the node names no chain id"))
}

/// The time that envelopes are judged by: block time while blocks come, since a demonstration runs on a clock of its own;
/// else this machine's clock.
pub fn now_ms(http: &Http) -> Result<u64, CliError> {
    let health = http.get("/health")?;
    let block_ms = health["time_ms"].as_u64().unwrap_or_default();
    let is_moving = health["last_block_age_ms"].as_u64().is_some_and(|age_ms| age_ms < MOVING_WITHIN_MS);
    Ok(if is_moving { block_ms } else { block_ms.max(clock_ms()) })
}

fn clock_ms() -> u64 {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since_epoch.as_millis()).unwrap_or(u64::MAX)
}

/// Random bytes from the operating system.
pub fn random<const N: usize>() -> Result<[u8; N], CliError> {
    let mut bytes = [0; N];
    let drawn = rustix::rand::getrandom(&mut bytes[..], rustix::rand::GetRandomFlags::empty());
    match drawn {
        Ok(count) if count == N => Ok(bytes),
        _ => Err(CliError::new("the operating system gives no randomness", "try again")),
    }
}

/// How long an envelope stays good: long enough for a slow line and a fast clock, short enough to be forgotten.
const VALID_MS: u64 = 600_000;
const MOVING_WITHIN_MS: u64 = 5_000;
