//! Read passes of the client: what is not public is read under a pass that a key of the account signs here.

use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use casemate_api_http::base64url;
use casemate_node::development_keys::{public_key, public_key_text, read_key_file, sign_read_pass};
use casemate_protocol::limits::READ_PASS_LIFE_MS_MAX;
use casemate_protocol::read_pass::{READ_PASS_VERSION, ReadScope, ReadTerms};
use casemate_protocol::{AccountId, Digest, MarketId, PublicKey, TimeMs};
use ed25519_zebra::SigningKey;
use serde_json::json;

use super::NodeUrl;
use super::http::Http;
use super::signing::chain_id;
use crate::error::CliError;

/// A pass as it travels.
#[derive(Clone, Debug)]
pub struct Pass {
    text: String,
    terms: ReadTerms,
}

impl Pass {
    /// A pass for an account, by a key of it.
    pub fn own(http: &Http, key: &SigningKey, account: u64) -> Result<Self, CliError> {
        Self::sign(http, key, account, ReadScope::Account, LIFE_MS_MAX)
    }

    /// Signs a pass from now on.
    pub fn sign(http: &Http, key: &SigningKey, account: u64, scope: ReadScope, life_ms: u64) -> Result<Self, CliError> {
        let chain_id = chain_id(&http.get("/v1/chain")?)?;
        let terms = terms_from_now(chain_id, account, public_key(key), scope, life_ms);
        Ok(Self { text: base64url::encode(&sign_read_pass(terms, key).encode()), terms })
    }

    /// What `authorize` takes.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// What stands in the header `Authorization`.
    pub fn header(&self) -> String {
        format!("{} {}", casemate_api_http::access::SCHEME, self.text)
    }

    /// Whether another one should be signed by now.
    pub fn is_old(&self) -> bool {
        clock_ms().saturating_add(RENEWED_BEFORE_MS) >= self.terms.expires_ms.ms()
    }
}

/// Terms that hold from now on, and a little before for a node whose clock is behind.
pub fn terms_from_now(chain_id: Digest, account: u64, key: PublicKey, scope: ReadScope, life_ms: u64) -> ReadTerms {
    let now_ms = clock_ms();
    let account = if scope == ReadScope::Key { AccountId::NONE } else { AccountId::new(account) };
    ReadTerms {
        version: READ_PASS_VERSION,
        chain_id,
        account,
        key,
        scope,
        not_before_ms: TimeMs::from_ms(now_ms.saturating_sub(BEFORE_NOW_MS)),
        expires_ms: TimeMs::from_ms(now_ms.saturating_add(life_ms.min(LIFE_MS_MAX))),
    }
}

/// The account whose root key it is.
pub fn account_of_key(http: &Http, key: &SigningKey) -> Result<u64, CliError> {
    let named = public_key_text(&public_key(key));
    let pass = Pass::sign(http, key, 0, ReadScope::Key, LIFE_MS_MAX)?;
    let found = http.find_with(&format!("/v1/keys/{named}"), &pass)?;
    found.and_then(|found| found["account"].as_u64()).ok_or_else(|| {
        CliError::new(
            format!("`{named}` is the root key of no account"),
            "for a session key name the account with --account; a new root key opens one: `casemate deposit`, then `casemate account open`",
        )
    })
}

/// Whose account is read, and by which right.
#[derive(clap::Args, Clone, Debug)]
pub struct ReaderArgs {
    /// File of a secret key that may read it: the root key of the account, or a session key with `--account`.
    #[arg(long, value_name = "FILE")]
    key: Option<PathBuf>,
    /// The account; found by the key itself if that is its root key.
    #[arg(long)]
    account: Option<u64>,
    /// Reads as the auditor whose root key `--key` is.
    #[arg(long, requires = "account")]
    auditor: bool,
}

impl ReaderArgs {
    /// The account, and a pass for it.
    ///
    /// # Errors
    /// No key is named, it is no account's root key, or no node.
    pub fn open(&self, http: &Http) -> Result<(u64, Pass), CliError> {
        let key = self.key()?;
        if let Some(account) = self.account.filter(|_| self.auditor) {
            let auditor = account_of_key(http, &key)?;
            return Ok((account, Pass::sign(http, &key, auditor, ReadScope::Auditor, LIFE_MS_MAX)?));
        }
        let account = match self.account {
            Some(account) => account,
            None => account_of_key(http, &key)?,
        };
        Ok((account, Pass::own(http, &key, account)?))
    }

    /// The same again later.
    pub fn renew(&self, http: &Http) -> Result<Pass, CliError> {
        self.open(http).map(|(_, pass)| pass)
    }

    fn key(&self) -> Result<SigningKey, CliError> {
        let Some(file) = &self.key else {
            let message = match self.account {
                Some(account) => format!("account `{account}` is shown to whoever has a key of it"),
                None => "no account is named".to_owned(),
            };
            return Err(CliError::new(
                message,
                "add --key FILE: its root key, or a session key of it together with --account",
            ));
        };
        Ok(read_key_file(file)?)
    }
}

/// Arguments of `read-pass`.
#[derive(clap::Args, Debug)]
pub struct ReadPassArgs {
    /// File of the secret key that signs: a root key, or a session key with `--account`.
    #[arg(long, value_name = "FILE")]
    key: PathBuf,
    /// The account that reads; found by the key itself if that is its root key.
    #[arg(long)]
    account: Option<u64>,
    /// For everything, as the auditor that the key belongs to.
    #[arg(long, conflicts_with = "market")]
    auditor: bool,
    /// For what this market shows to few.
    #[arg(long)]
    market: Option<u16>,
    /// How long it is good.
    #[arg(long, default_value = "10", value_parser = clap::value_parser!(u64).range(1..=MINUTES_MAX))]
    minutes: u64,
    #[command(flatten)]
    node: NodeUrl,
}

/// Runs `read-pass`: prints a pass, for `curl -H "Authorization: Casemate $(casemate read-pass …)"`.
///
/// # Errors
/// The key is not a key file or no account's root key, or no node.
pub fn run(args: &ReadPassArgs) -> Result<(), CliError> {
    let http = args.node.connect()?;
    let key = read_key_file(Path::new(&args.key))?;
    let account = match args.account {
        Some(account) => account,
        None => account_of_key(&http, &key)?,
    };
    let scope = match args.market {
        Some(market) => ReadScope::Market(MarketId::new(market)),
        None if args.auditor => ReadScope::Auditor,
        None => ReadScope::Account,
    };
    let pass = Pass::sign(&http, &key, account, scope, args.minutes.saturating_mul(60_000))?;
    if args.node.json {
        let shown = json!({ "pass": pass.text, "account": account, "expires_ms": pass.terms.expires_ms.ms() });
        outln!("{shown:#}");
    } else {
        outln!("{}", pass.text);
    }
    Ok(())
}

fn clock_ms() -> u64 {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since_epoch.as_millis()).unwrap_or(u64::MAX)
}

/// How far a node's clock may be behind.
const BEFORE_NOW_MS: u64 = 60_000;
/// How long a pass of the client is good at most.
pub const LIFE_MS_MAX: u64 = READ_PASS_LIFE_MS_MAX - BEFORE_NOW_MS;
const MINUTES_MAX: u64 = LIFE_MS_MAX / 60_000;
/// Long streams show another pass so much before the last one ends.
const RENEWED_BEFORE_MS: u64 = 4 * 60_000;
