//! Ed25519 keys: derived ones for development chains, files for people.
//!
//! A development chain, a replay and a benchmark need up to millions of keys that every run finds again, so theirs
//! derive from a 32-byte seed that the genesis file shows. **Whoever reads the seed can sign for all of them**, which
//! is why only a chain that says `development = true` may have seeded accounts.
//!
//! A person's key comes from the operating system's randomness and lives in a file that nobody else can read. No type
//! here prints a secret: `SigningKey`'s `Debug` shows the public key alone.

use std::fmt;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use casemate_protocol::envelope::{Intent, digests_without_evidence};
use casemate_protocol::genesis::SeededAccounts;
use casemate_protocol::hash::{self, Domain, Hex};
use casemate_protocol::read_pass::ReadTerms;
use casemate_protocol::{BoundedVec, Envelope, PublicKey, ReadPass, SignatureBytes};
use ed25519_zebra::{SigningKey, VerificationKeyBytes};
use rayon::iter::{IntoParallelIterator as _, ParallelIterator as _};
use rustix::rand::{GetRandomFlags, getrandom};

use crate::Fault;

/// Root key of the seeded account with this index, from 0.
#[must_use]
pub fn root_key(seed: &[u8; 32], index: u64) -> SigningKey {
    derive(b"key.root", seed, index)
}

/// Session key of the seeded account with this index, from 0.
#[must_use]
pub fn session_key(seed: &[u8; 32], index: u64) -> SigningKey {
    derive(b"key.sess", seed, index)
}

/// Root key of the attestor with this index, from 0, in the order of genesis.
#[must_use]
pub fn attestor_key(seed: &[u8; 32], index: u64) -> SigningKey {
    derive(b"key.atst", seed, index)
}

/// Root key of the publisher with this index, from 0, in the order of genesis.
#[must_use]
pub fn publisher_key(seed: &[u8; 32], index: u64) -> SigningKey {
    derive(b"key.publ", seed, index)
}

/// Root key of the risk officer with this index, from 0, in the order of genesis.
#[must_use]
pub fn risk_officer_key(seed: &[u8; 32], index: u64) -> SigningKey {
    derive(b"key.risk", seed, index)
}

/// Root key of the governor with this index, from 0, in the order of genesis.
#[must_use]
pub fn governor_key(seed: &[u8; 32], index: u64) -> SigningKey {
    derive(b"key.govn", seed, index)
}

/// Root key of the backstop with this index, from 0, in the order of the segments that clear on margin.
#[must_use]
pub fn backstop_key(seed: &[u8; 32], index: u64) -> SigningKey {
    derive(b"key.back", seed, index)
}

/// Root key of the auditor with this index, from 0, in the order of genesis.
#[must_use]
pub fn auditor_key(seed: &[u8; 32], index: u64) -> SigningKey {
    derive(b"key.audt", seed, index)
}

/// The public half of a key, as the protocol writes it.
#[must_use]
pub fn public_key(key: &SigningKey) -> PublicKey {
    PublicKey::Ed25519(VerificationKeyBytes::from(key).into())
}

/// Signs an intent without evidence.
#[must_use]
pub fn sign_envelope(intent: Intent, key: &SigningKey) -> Envelope {
    let digest = digests_without_evidence(&intent).envelope;
    let signature = SignatureBytes::Ed25519(key.sign(digest.bytes()).to_bytes());
    Envelope { intent, evidence: BoundedVec::empty(), signature }
}

/// Signs the terms of a read pass.
#[must_use]
pub fn sign_read_pass(terms: ReadTerms, key: &SigningKey) -> ReadPass {
    let signature = SignatureBytes::Ed25519(key.sign(terms.digest().bytes()).to_bytes());
    ReadPass { terms, signature }
}

/// Root and session public key of every seeded account, in the order of their indices.
///
/// Runs on the current rayon pool, so `ThreadPool::install` decides how many threads; the result does not depend on
/// it. A key takes about 17 µs: a million accounts, two million keys, take 35 s on one core and 17 s on two.
#[must_use]
pub fn seeded_public_keys(seeded: &SeededAccounts) -> Vec<(PublicKey, PublicKey)> {
    let seed = &seeded.seed;
    (0..seeded.count)
        .into_par_iter()
        .map(|index| (public_key(&root_key(seed, index)), public_key(&session_key(seed, index))))
        .collect()
}

/// Every part has a fixed length, so no two uses hash the same bytes.
fn derive(purpose: &[u8; 8], seed: &[u8; 32], index: u64) -> SigningKey {
    SigningKey::from(hash::digest(Domain::Development, &[purpose, seed, &index.to_le_bytes()]).0)
}

/// A public key as people read and write it; see [`PublicKey::from_text`].
#[must_use]
pub fn public_key_text(key: &PublicKey) -> String {
    key.to_string()
}

/// Reads what [`public_key_text`] writes. `None` for anything else; whether the bytes are a good key is for `gate`.
#[must_use]
pub fn parse_public_key(text: &str) -> Option<PublicKey> {
    PublicKey::from_text(text)
}

/// Exactly 32 bytes in hexadecimal, either case.
pub(crate) fn bytes_of_hex(text: &str) -> Option<[u8; 32]> {
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let mut bytes = [0; 32];
    if text.len() != 2 * bytes.len() {
        return None;
    }
    for (byte, pair) in bytes.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
        let [high, low] = pair else { return None };
        *byte = (digit(*high)? << 4) | digit(*low)?;
    }
    Some(bytes)
}

/// Makes a new secret key from the operating system's randomness and writes it to a new file that only its owner can
/// read. An existing file is never overwritten: it may be the only copy of a key that owns money.
///
/// # Errors
/// The file exists, or cannot be written.
pub fn create_key_file(path: &Path) -> Result<SigningKey, KeyFileError> {
    let key = SigningKey::from(random_bytes().map_err(|error| Fault::io(path, "make a key for", error))?);
    let mut options = OpenOptions::new();
    options.write(true).create_new(true).mode(OWNER_ONLY_MODE);
    let file = options.open(path).map_err(|error| match error.kind() {
        io::ErrorKind::AlreadyExists => KeyFileError::Exists { path: path.to_path_buf() },
        _ => Fault::io(path, "create", error).into(),
    })?;
    if let Err(error) = write_secret(file, &key) {
        // A half-written key is worth nothing and would stand in the way of the next attempt.
        let _best_effort = fs::remove_file(path);
        return Err(Fault::io(path, "write", error).into());
    }
    Ok(key)
}

/// Reads a secret key that [`create_key_file`] wrote.
///
/// # Errors
/// The file cannot be read, other users can read it, or it is not a key.
pub fn read_key_file(path: &Path) -> Result<SigningKey, KeyFileError> {
    let fault = |error| KeyFileError::Machine(Fault::io(path, "read", error));
    let file = File::open(path).map_err(fault)?;
    let mode = file.metadata().map_err(fault)?.permissions().mode() & 0o777;
    if mode & 0o077 != 0 {
        return Err(KeyFileError::OpenToOthers { path: path.to_path_buf(), mode });
    }
    let mut text = String::new();
    // One byte more than a key with its line end, so that a longer file is noticed and never read whole.
    file.take(KEY_FILE_BYTES + 1).read_to_string(&mut text).map_err(|error| match error.kind() {
        io::ErrorKind::InvalidData => KeyFileError::Malformed { path: path.to_path_buf() },
        _ => fault(error),
    })?;
    let secret = bytes_of_hex(text.strip_suffix('\n').unwrap_or(&text));
    secret.map(SigningKey::from).ok_or_else(|| KeyFileError::Malformed { path: path.to_path_buf() })
}

/// A key file cannot be made or used. The message never holds what stood in the file.
#[derive(Clone, Debug)]
pub enum KeyFileError {
    /// A file of this name is there.
    Exists {
        /// The file.
        path: PathBuf,
    },
    /// Other users than the owner can read or write the file.
    OpenToOthers {
        /// The file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// The file holds no key.
    Malformed {
        /// The file.
        path: PathBuf,
    },
    /// The machine failed.
    Machine(Fault),
}

impl KeyFileError {
    /// What the user can do about it.
    #[must_use]
    pub fn hint(&self) -> &'static str {
        match self {
            Self::Exists { .. } => "choose another name, or move the old key away: it may own money",
            Self::OpenToOthers { .. } => {
                "if others may have read it, make a new key; otherwise run `chmod 600` on the file"
            }
            Self::Malformed { .. } => {
                "a key file is one line of 64 hexadecimal digits, as `casemate keys new` writes it"
            }
            Self::Machine(fault) => fault.hint(),
        }
    }
}

impl fmt::Display for KeyFileError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exists { path } => write!(formatter, "key file `{}` exists and is not overwritten", path.display()),
            Self::OpenToOthers { path, mode } => {
                write!(formatter, "key file `{}` is open to other users: its mode is `{mode:03o}`", path.display())
            }
            Self::Malformed { path } => write!(formatter, "file `{}` does not hold a secret key", path.display()),
            Self::Machine(fault) => fault.fmt(formatter),
        }
    }
}

impl std::error::Error for KeyFileError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Machine(fault) => Some(fault),
            Self::Exists { .. } | Self::OpenToOthers { .. } | Self::Malformed { .. } => None,
        }
    }
}

impl From<Fault> for KeyFileError {
    fn from(fault: Fault) -> Self {
        Self::Machine(fault)
    }
}

fn write_secret(mut file: File, key: &SigningKey) -> io::Result<()> {
    // The mode given at creation is narrowed by the umask, and a umask may take the owner's own bits.
    file.set_permissions(fs::Permissions::from_mode(OWNER_ONLY_MODE))?;
    file.write_all(format!("{}\n", Hex(key.as_ref())).as_bytes())?;
    file.sync_all()
}

fn random_bytes() -> io::Result<[u8; 32]> {
    let mut bytes = [0; 32];
    // The kernel fills requests of up to 256 bytes whole; a signal before the pool is ready is the only interruption.
    loop {
        match getrandom(&mut bytes[..], GetRandomFlags::empty()) {
            Ok(count) if count == bytes.len() => return Ok(bytes),
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

const OWNER_ONLY_MODE: u32 = 0o600;
const KEY_FILE_BYTES: u64 = 65;

#[cfg(test)]
mod tests {
    use casemate_protocol::command::{CancelAllOrders, CancelScope};
    use casemate_protocol::envelope::{ENVELOPE_VERSION, GroupMode, Signer, SignerRole};
    use casemate_protocol::{AccountId, Command, Digest, DurationMs, MarketId, QuoteMicros, TimeMs};
    use ed25519_zebra::{Signature, VerificationKey};

    use super::*;

    const SEED: [u8; 32] = [7; 32];

    #[test]
    fn purposes_indices_and_seeds_give_different_keys_and_the_same_input_gives_the_same_key() {
        let keys = [
            root_key(&SEED, 0),
            root_key(&SEED, 1),
            root_key(&[8; 32], 0),
            session_key(&SEED, 0),
            attestor_key(&SEED, 0),
            publisher_key(&SEED, 0),
            risk_officer_key(&SEED, 0),
            governor_key(&SEED, 0),
            backstop_key(&SEED, 0),
            backstop_key(&SEED, 1),
            auditor_key(&SEED, 0),
        ];
        let mut distinct: Vec<PublicKey> = keys.iter().map(public_key).collect();
        distinct.sort_unstable();
        distinct.dedup();
        assert_eq!(distinct.len(), keys.len());
        assert_eq!(root_key(&SEED, 0), keys[0]);
    }

    #[test]
    fn derived_keys_never_change() {
        // Genesis files and recorded roots of development chains depend on these bytes.
        assert_eq!(
            public_key_text(&public_key(&root_key(&SEED, 0))),
            "ed25519:6b7a894b2dfa093d667f50244f100c1af2ee3bcf84833b96335e937a2c920010"
        );
        assert_eq!(
            public_key_text(&public_key(&session_key(&SEED, 1))),
            "ed25519:afbd7b9ccce50b834c08f22b4f64fbca11faeb81e559d551dce45b4e8b5dab33"
        );
    }

    #[test]
    fn keys_of_seeded_accounts_do_not_depend_on_the_number_of_threads() {
        let seeded = seeded(100);
        let pairs = |threads| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| seeded_public_keys(&seeded))
        };
        let alone = pairs(1);
        assert_eq!(alone, pairs(3));
        assert_eq!(alone.len(), 100);
        assert_eq!(alone[42], (public_key(&root_key(&SEED, 42)), public_key(&session_key(&SEED, 42))));
    }

    #[test]
    #[ignore = "measures: run it with --release -- --ignored --nocapture"]
    fn slow_a_million_seeded_accounts() {
        let started = std::time::Instant::now();
        let pairs = seeded_public_keys(&seeded(1_000_000));
        let elapsed = started.elapsed();
        println!("{} accounts, {} threads: {elapsed:.2?}", pairs.len(), rayon::current_num_threads());
    }

    #[test]
    fn a_signed_envelope_verifies_under_its_key_and_survives_its_encoding() {
        let key = session_key(&SEED, 3);
        let cancel = CancelAllOrders { scope: CancelScope::Market(MarketId::new(1)) };
        let intent = Intent {
            version: ENVELOPE_VERSION,
            chain_id: Digest([1; 32]),
            account: AccountId::new(4),
            signer: Signer { role: SignerRole::Session, key: public_key(&key) },
            nonce: 1,
            valid_until_ms: TimeMs::from_ms(1),
            group: GroupMode::EachAlone,
            commands: BoundedVec::new(vec![Command::CancelAllOrders(cancel)]).unwrap(),
        };
        let envelope = sign_envelope(intent, &key);
        let (decoded, digests) = Envelope::decode(&envelope.encode()).unwrap();
        assert_eq!(decoded, envelope);
        let SignatureBytes::Ed25519(bytes) = decoded.signature else { panic!("another form") };
        let signature = Signature::from(bytes);
        VerificationKey::from(&key).verify(&signature, digests.envelope.bytes()).unwrap();
    }

    #[test]
    fn no_debug_text_shows_a_secret() {
        let key = root_key(&SEED, 0);
        let secret = Hex(key.as_ref()).to_string();
        let debug = format!("{key:?}");
        assert!(!debug.contains(&secret));
        assert!(!debug.contains(&format!("{:?}", key.as_ref())));
    }

    #[test]
    fn public_keys_survive_their_text_and_other_text_is_refused() {
        let key = public_key(&root_key(&SEED, 0));
        let text = public_key_text(&key);
        assert_eq!(parse_public_key(&text), Some(key));
        let hex = text.strip_prefix("ed25519:").unwrap();
        let bad = [String::new(), hex.to_owned(), format!("rsa:{hex}"), format!("{text}0"), text.replace(':', ":x")];
        assert!(bad.iter().all(|text| parse_public_key(text).is_none()));
        assert_eq!(bytes_of_hex(&"é".repeat(32)), None);
        assert_eq!(bytes_of_hex(&"+1".repeat(32)), None);
    }

    #[test]
    fn a_new_key_file_is_for_its_owner_alone_and_reads_back() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("root.key");
        let key = create_key_file(&path).unwrap();
        assert_eq!(read_key_file(&path).unwrap(), key);
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(fs::read(&path).unwrap().len(), 65);
        assert_ne!(create_key_file(&folder.path().join("other.key")).unwrap(), key);
    }

    #[test]
    fn an_existing_key_file_is_not_overwritten() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("root.key");
        let key = create_key_file(&path).unwrap();
        let error = create_key_file(&path).unwrap_err();
        assert!(matches!(error, KeyFileError::Exists { .. }), "{error}");
        assert_eq!(read_key_file(&path).unwrap(), key);
    }

    #[test]
    fn bad_key_files_are_refused_without_showing_their_content() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("bad.key");
        let hex = "ab".repeat(32);
        let contents = ["", "not a key", &hex[1..], &format!("{hex}\n\n"), &format!("{hex}00"), &"g".repeat(64)];
        for content in contents {
            fs::write(&path, content).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
            let error = read_key_file(&path).unwrap_err();
            assert!(matches!(error, KeyFileError::Malformed { .. }), "{content}: {error}");
            assert!(content.is_empty() || !format!("{error} {error:?}").contains(content));
        }
        fs::write(&path, [0xff; 64]).unwrap();
        assert!(matches!(read_key_file(&path).unwrap_err(), KeyFileError::Malformed { .. }));
        assert!(matches!(read_key_file(&folder.path().join("none")).unwrap_err(), KeyFileError::Machine(_)));
    }

    #[test]
    fn a_key_file_that_others_can_read_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("open.key");
        create_key_file(&path).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        let error = read_key_file(&path).unwrap_err();
        assert!(error.to_string().ends_with("is open to other users: its mode is `640`"), "{error}");
        assert!(error.hint().contains("chmod 600"));
    }

    fn seeded(count: u64) -> SeededAccounts {
        SeededAccounts {
            count,
            seed: SEED,
            balance: QuoteMicros::from_micros(1),
            position_lots: casemate_protocol::QuantityLots::ZERO,
            grant_notional: QuoteMicros::from_micros(1),
            grant_commands_per_minute: 1,
            grant_lifetime_ms: DurationMs::from_ms(1),
        }
    }
}
