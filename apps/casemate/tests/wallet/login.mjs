// A new Ethereum wallet becomes an account, lets a session key trade, and asks for its money back; then it signs what must
// be refused. `node login.mjs --url http://127.0.0.1:8080 --casemate path/to/casemate` runs it against a development node:
// the attestors of such a chain, whom `casemate deposit` speaks for, say that a deposit arrived.

import { execFileSync } from "node:child_process";
import { generateKeyPairSync, sign } from "node:crypto";
import { parseArgs } from "node:util";
import { Wallet } from "ethers";
import { Node, Refused, forTheWallet, hashOf, readPass, require, signWith, toSign } from "./casemate.mjs";

const { values: given } = parseArgs({
  options: {
    url: { type: "string", default: "http://127.0.0.1:8080" },
    casemate: { type: "string", default: "casemate" },
  },
});
const node = new Node(given.url);
const wallet = Wallet.createRandom();
const rootKey = `secp256k1:${wallet.address.toLowerCase()}`;
const { chain_id: chainId } = await node.ask("/v1/chain");
console.error(`wallet ${wallet.address} on chain ${chainId.slice(0, 8)}…`);

const MINUTE = 60_000;
let account = 0;
let nonce = 1;

/// An envelope of the wallet with its next nonce.
async function unsigned(command, changes = {}) {
  return {
    version: 1,
    chain_id: chainId,
    account,
    signer: { role: "root", key: rootKey },
    nonce: nonce++,
    valid_until_ms: (await node.now()) + 10 * MINUTE,
    group: "each_alone",
    commands: [command],
    ...changes,
  };
}

const act = async command => node.submit(await signWith(wallet, node, await unsigned(command)));

async function refusalOf(work) {
  try {
    await work;
  } catch (error) {
    if (error instanceof Refused) return error.number;
    throw error;
  }
  throw new Error("was not refused");
}

// ---- an account

execFileSync(given.casemate, ["deposit", "--root-key", rootKey, "--amount", "1000", "--url", given.url]);
const opened = await act("open_account");
const whose = await readPass(wallet, node, chainId, { reads: "key", key: rootKey });
({ account } = await node.ask(`/v1/keys/${rootKey}`, { headers: whose }));
console.error(`account ${account} is open since block ${opened.height}`);

// ---- a session key

const session = generateKeyPairSync("ed25519");
const sessionKey = "ed25519:" + Buffer.from(session.publicKey.export({ format: "jwk" }).x, "base64url").toString("hex");
const now = await node.now();
await act({
  register_grant: {
    number: 1,
    session_key: sessionKey,
    actions: ["place_order", "amend_order", "cancel_order", "cancel_all_orders"],
    markets: [1],
    notional_quote_micros_max: "5000000000",
    loss_quote_micros_max: "5000000000",
    commands_per_minute_max: 600,
    expires_ms: now + 60 * MINUTE,
    register_before_ms: now + 10 * MINUTE,
  },
});
const bySession = {
  ...(await unsigned({ cancel_all_orders: { market: 1 } }, { nonce: 1 })),
  signer: { role: "session", key: sessionKey },
};
nonce -= 1;
const { envelope_digest: digest, typed_data: none } = await toSign(node, bySession);
require(none === null, "a session key is shown nothing");
await node.submit({ ...bySession, signature: sign(null, Buffer.from(digest, "hex"), session.privateKey).toString("hex") });
console.error(`session key ${sessionKey.slice(0, 20)}… acts under grant 1`);

// ---- money back

const withdrawal = {
  request_withdrawal: { segment: 1, amount_quote_micros: "250000000", chain: 1, destination: wallet.address.slice(2).toLowerCase() },
};
const asked = await unsigned(withdrawal);
const { typed_data: shown } = await toSign(node, asked);
require(shown.message.amount === "250.000000", "the wallet shows another amount");
require(shown.message.destination === wallet.address.toLowerCase(), "the wallet shows another destination");
require(shown.message.account === String(account), "the wallet shows another account");
await node.submit({ ...asked, signature: await wallet.signTypedData(...forTheWallet(shown)) });
const own = await readPass(wallet, node, chainId, { reads: "account", account, key: rootKey });
const { withdrawals } = await node.ask(`/v1/accounts/${account}/moves`, { headers: own });
require(withdrawals[0].amount_quote_micros === "250000000", "the node tells of another withdrawal");
console.error("a withdrawal of 250 waits");

// ---- what must be refused

const anyOther = await unsigned(withdrawal);
const otherChain = "00".repeat(32);
const { typed_data: here } = await toSign(node, anyOther);
const elsewhere = { ...here, domain: { ...here.domain, salt: "0x" + otherChain } };
require(hashOf(here) !== hashOf(elsewhere), "the chain is part of what is signed");
const signedElsewhere = await wallet.signTypedData(...forTheWallet(elsewhere));
const refusals = {
  other_chain: await refusalOf(node.submit({ ...anyOther, chain_id: otherChain, signature: signedElsewhere })),
  other_chain_lifted_here: await refusalOf(node.submit({ ...anyOther, signature: signedElsewhere })),
  other_amount: await refusalOf(
    node.submit({
      ...anyOther,
      commands: [{ request_withdrawal: { ...withdrawal.request_withdrawal, amount_quote_micros: "250000001" } }],
      signature: await wallet.signTypedData(...forTheWallet(here)),
    }),
  ),
  expired: await refusalOf(signWith(wallet, node, { ...anyOther, valid_until_ms: 1 }).then(it => node.submit(it))),
  no_pass: await refusalOf(node.ask(`/v1/accounts/${account}`)),
  another_account: await refusalOf(node.ask(`/v1/accounts/${account + 1}`, { headers: own })),
  two_commands: await refusalOf(toSign(node, { ...anyOther, commands: [withdrawal, withdrawal] })),
};
// The control: the same envelope, signed for this chain and in time, is taken.
await node.submit({ ...anyOther, signature: await wallet.signTypedData(...forTheWallet(here)) });
console.error("refused:", refusals);

console.log(JSON.stringify({ account, root_key: rootKey, session_key: sessionKey, refusals }));
