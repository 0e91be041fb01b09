//! A second implementation of EIP-712, for tests: any types, nested and in lists, read from the JSON that wallets take.
//! It shares nothing with the one under test, and published vectors hold it to the standard.

use std::collections::BTreeMap;

use serde_json::Value as Json;
use sha3::{Digest as _, Keccak256};

/// The hash that a wallet signs for typed data.
pub(crate) fn signing_hash(data: &Json) -> [u8; 32] {
    let types = Types::of(&data["types"]);
    let primary = data["primaryType"].as_str().unwrap();
    let mut hashed = vec![0x19, 0x01];
    hashed.extend(types.hash_domain(&data["domain"]));
    if primary != DOMAIN {
        hashed.extend(types.hash_struct(primary, &data["message"]));
    }
    keccak(&hashed)
}

const DOMAIN: &str = "EIP712Domain";

/// Members of each type: kind and name.
struct Types(BTreeMap<String, Vec<(String, String)>>);

impl Types {
    fn of(types: &Json) -> Self {
        let text = |json: &Json| json.as_str().unwrap().to_owned();
        let members = |members: &Json| {
            members.as_array().unwrap().iter().map(|member| (text(&member["type"]), text(&member["name"]))).collect()
        };
        Self(types.as_object().unwrap().iter().map(|(name, list)| (name.clone(), members(list))).collect())
    }

    /// Members of the domain that have no value are left out, of its type too.
    fn hash_domain(&self, domain: &Json) -> [u8; 32] {
        let mut present = Self(self.0.clone());
        if let Some(members) = present.0.get_mut(DOMAIN) {
            members.retain(|(_, name)| !domain[name].is_null());
        }
        present.hash_struct(DOMAIN, domain)
    }

    fn hash_struct(&self, name: &str, value: &Json) -> [u8; 32] {
        let mut encoded = keccak(self.encode_type(name).as_bytes()).to_vec();
        for (kind, member) in &self.0[name] {
            encoded.extend(self.word(kind, &value[member]));
        }
        keccak(&encoded)
    }

    fn encode_type(&self, name: &str) -> String {
        let mut needed = Vec::new();
        self.collect(name, &mut needed);
        needed.retain(|other| other != name);
        needed.sort();
        let one = |name: &str| {
            let members: Vec<String> = self.0[name].iter().map(|(kind, member)| format!("{kind} {member}")).collect();
            format!("{name}({})", members.join(","))
        };
        core::iter::once(one(name)).chain(needed.iter().map(|name| one(name))).collect()
    }

    fn collect(&self, name: &str, found: &mut Vec<String>) {
        let name = name.split('[').next().unwrap();
        if let Some(members) = self.0.get(name)
            && !found.iter().any(|known| known == name)
        {
            found.push(name.to_owned());
            members.iter().for_each(|(kind, _)| self.collect(kind, found));
        }
    }

    fn word(&self, kind: &str, value: &Json) -> [u8; 32] {
        if let Some(element) = kind.strip_suffix("[]") {
            return keccak(
                &value.as_array().unwrap().iter().flat_map(|item| self.word(element, item)).collect::<Vec<_>>(),
            );
        }
        match kind {
            name if self.0.contains_key(name) => self.hash_struct(name, value),
            "string" => keccak(value.as_str().unwrap().as_bytes()),
            "bytes" => keccak(&hex(value.as_str().unwrap())),
            "bool" => number(&u8::from(value.as_bool().unwrap()).to_string()),
            "address" => padded(&hex(value.as_str().unwrap()), 12),
            "bytes32" => padded(&hex(value.as_str().unwrap()), 0),
            kind if kind.starts_with("uint") => {
                number(&value.as_str().map_or_else(|| value.to_string(), str::to_owned))
            }
            other => panic!("kind {other} is not in any vector"),
        }
    }
}

fn keccak(bytes: &[u8]) -> [u8; 32] {
    Keccak256::digest(bytes).into()
}

fn hex(text: &str) -> Vec<u8> {
    let digits = text.strip_prefix("0x").unwrap().as_bytes();
    digits.chunks(2).map(|pair| u8::from_str_radix(core::str::from_utf8(pair).unwrap(), 16).unwrap()).collect()
}

fn padded(bytes: &[u8], zeros: usize) -> [u8; 32] {
    [vec![0; zeros], bytes.to_vec()].concat().try_into().unwrap()
}

/// A whole number of any size, in decimal or after `0x` in hexadecimal, as a big-endian word.
fn number(text: &str) -> [u8; 32] {
    let (digits, base) = text.strip_prefix("0x").map_or((text, 10), |digits| (digits, 16));
    let mut word = [0; 32];
    for digit in digits.chars() {
        let mut carry = digit.to_digit(base).unwrap();
        for byte in word.iter_mut().rev() {
            carry += u32::from(*byte) * base;
            *byte = carry.to_le_bytes()[0];
            carry >>= 8;
        }
    }
    word
}
