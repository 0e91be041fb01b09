// What a page or program needs to act on Casemate with an ordinary Ethereum wallet: ask the node what is to be signed, check
// it, let the wallet sign, and submit. Nothing here is special to one wallet library but `signTypedData`.

import { Signature, TypedDataEncoder, concat, getBytes, sha256 } from "ethers";

/// An answer that the node refused, with its permanent number.
export class Refused extends Error {
  constructor(error) {
    super(`${error.number} ${error.name}: ${error.message}`);
    this.number = error.number;
  }
}

export class Node {
  constructor(url) {
    this.url = url;
  }

  async ask(path, { body, headers } = {}) {
    const options = body === undefined ? { headers } : {
      method: "POST",
      headers: { "content-type": "application/json", ...headers },
      body: JSON.stringify(body),
    };
    const response = await fetch(this.url + path, options);
    const answer = await response.json();
    if (!response.ok) throw new Refused(answer.error);
    return answer;
  }

  /// Block time while blocks come, else this machine's clock: what valid-until is judged by.
  async now() {
    const { time_ms: blockTime, last_block_age_ms: age } = await this.ask("/health");
    return age !== null && age < 5_000 ? blockTime : Math.max(blockTime, Date.now());
  }

  /// Submits, and requires that every command took effect.
  async submit(envelope) {
    const receipt = await this.ask("/v1/envelopes", { body: envelope });
    for (const verdict of receipt.commands) {
      if (!verdict.is_accepted) throw new Refused(verdict.refusal);
    }
    return receipt;
  }
}

/// The digest that domain-separated bytes have: a tag of a length byte and seven letters, then the bytes.
export function digestOf(letters, ...parts) {
  const tag = new Uint8Array([7, ...new TextEncoder().encode(letters)]);
  return sha256(concat([tag, ...parts]));
}

/// Typed data as wallet libraries take it: they make the domain's type themselves.
export function forTheWallet(typedData) {
  const { EIP712Domain: _made, ...types } = typedData.types;
  return [typedData.domain, types, typedData.message];
}

/// What is to be signed for an envelope, checked without trust in the node: the digest is that of the bytes, and the wallet
/// is shown that digest and this chain.
export async function toSign(node, unsigned) {
  const answer = await node.ask("/v1/typed-data", { body: unsigned });
  const digest = digestOf("cm.intn", "0x" + answer.intent);
  require(digest === "0x" + answer.intent_digest, "the intent digest is another");
  const evidence = digestOf("cm.evid", "0x00000000");
  const envelope = digestOf("cm.envl", digest, evidence);
  require(envelope === "0x" + answer.envelope_digest, "the envelope digest is another");
  if (answer.typed_data !== null) {
    const { domain, message, primaryType } = answer.typed_data;
    require(message.intentDigest === digest, "the wallet is shown another intent");
    require(message.evidenceHash === evidence, "the wallet is shown evidence that nobody gave");
    require(domain.name === "Casemate" && domain.salt === "0x" + unsigned.chain_id, "the domain is another chain's");
    require(primaryType === primaryTypeOf(unsigned.commands[0]), "the wallet is shown another action");
  }
  return answer;
}

/// Signs with a wallet and returns the whole envelope.
export async function signWith(wallet, node, unsigned) {
  const { typed_data: typedData } = await toSign(node, unsigned);
  const signature = await wallet.signTypedData(...forTheWallet(typedData));
  return { ...unsigned, signature };
}

/// A read pass that a wallet signs, as it stands in the header `Authorization`. `reads` is `account`, or `key` to find out
/// which account the wallet has.
export async function readPass(wallet, node, chainId, { reads, account, key }) {
  const unsigned = { reads, key, not_before_ms: Date.now() - 60_000, expires_ms: Date.now() + 600_000 };
  if (reads !== "key") unsigned.account = account;
  const answer = await node.ask("/v1/typed-data/read-pass", { body: unsigned });
  const digest = digestOf("cm.read", "0x" + answer.terms);
  require(digest === "0x" + answer.pass_digest, "the pass digest is another");
  const { domain, message, primaryType } = answer.typed_data;
  require(primaryType === "ReadPass" && message.passDigest === digest, "the wallet is shown another pass");
  require(domain.salt === "0x" + chainId && message.account === String(account ?? 0), "the wallet is shown another reader");
  const { r, s, yParity } = Signature.from(await wallet.signTypedData(...forTheWallet(answer.typed_data)));
  // The form's number, both halves of the signature, and its parity.
  const pass = getBytes(concat(["0x" + answer.terms, "0x02", r, s, yParity === 1 ? "0x01" : "0x00"]));
  return { authorization: "Casemate " + Buffer.from(pass).toString("base64url") };
}

/// The hash that this library signs, computed from the JSON alone.
export function hashOf(typedData) {
  return TypedDataEncoder.hash(...forTheWallet(typedData));
}

function primaryTypeOf(command) {
  const name = typeof command === "string" ? command : Object.keys(command)[0];
  return name.split("_").map(word => word[0].toUpperCase() + word.slice(1)).join("");
}

export function require(holds, otherwise) {
  if (!holds) throw new Error(otherwise);
}
