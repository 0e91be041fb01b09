//! What the stateless stages cost, on one thread. `zebra::` is the library's own batch over the same signatures: the
//! floor that the engine is measured against.

use std::hint::black_box;

use casemate_gate::{Authenticated, Decoded, NoProofs, authenticate_batch, authenticate_block, require_valid_key};
use casemate_protocol::command::{LimitTerms, OrderKind, PlaceOrder, SelfTradeMode, Side, TimeInForce};
use casemate_protocol::envelope::{ENVELOPE_VERSION, GroupMode, Intent, Signer, SignerRole, digests_without_evidence};
use casemate_protocol::hash::{self, Domain};
use casemate_protocol::parallel::Sequential;
use casemate_protocol::{
    AccountId, BoundedVec, ClientOrderId, Command, Digest, Envelope, MarketId, PriceTicks, PublicKey, QuantityLots,
    SignatureBytes, TimeMs,
};
use chacha20::ChaCha20Rng;
use chacha20::rand_core::SeedableRng;
use criterion::{BatchSize, Criterion, Throughput};
use ed25519_zebra::batch::{Item, Verifier};
use ed25519_zebra::{Signature, SigningKey, VerificationKeyBytes};

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    for size in [64, 128, 256, 512, 1_024, 2_048, 4_096] {
        bench_batch(&mut criterion, size, size);
    }
    bench_batch(&mut criterion, 1_024, 128);
    bench_block_and_failure(&mut criterion);
    bench_single(&mut criterion);
    criterion.final_summary();
}

/// Our batch and the library's, over `size` envelopes of one order by `key_count` keys.
fn bench_batch(criterion: &mut Criterion, size: u64, key_count: u64) {
    let keys = if key_count == size { "distinct".to_owned() } else { key_count.to_string() };
    let envelopes: Vec<Vec<u8>> = (0..size).map(|number| envelope(number % key_count, number)).collect();
    let name = format!("size={size} keys={keys}");
    let mut group = criterion.benchmark_group("gate::authenticate_batch");
    group.throughput(Throughput::Elements(size));
    group.bench_function(&name, |bencher| {
        bencher.iter_batched(
            || decoded(&envelopes),
            |items| authenticate_batch(items, &NoProofs, &Sequential),
            BatchSize::PerIteration,
        );
    });
    group.finish();
    let mut group = criterion.benchmark_group("zebra::batch");
    group.throughput(Throughput::Elements(size));
    group.bench_function(&name, |bencher| {
        bencher.iter_batched(|| decoded(&envelopes), |items| library_alone(&items), BatchSize::PerIteration);
    });
    group.finish();
}

/// A block, and a batch with a bad signature in the middle.
fn bench_block_and_failure(criterion: &mut Criterion) {
    let mut envelopes: Vec<Vec<u8>> = (0..4_096).map(|number| envelope(number, number)).collect();
    criterion.bench_function("gate::authenticate_block/size=4096 keys=distinct", |bencher| {
        bencher.iter_batched(
            || decoded(&envelopes),
            |items| authenticate_block(items, &NoProofs, &Sequential),
            BatchSize::PerIteration,
        );
    });
    envelopes.truncate(1_024);
    let scalar_byte = envelopes.get_mut(512).and_then(|bytes| bytes.iter_mut().nth_back(20));
    *scalar_byte.expect("an envelope ends in 32 bytes of scalar") ^= 1;
    criterion.bench_function("gate::authenticate_batch/size=1024 keys=distinct bad=1", |bencher| {
        bencher.iter_batched(
            || decoded(&envelopes),
            |items| authenticate_batch(items, &NoProofs, &Sequential),
            BatchSize::PerIteration,
        );
    });
}

/// One envelope by itself, one key.
fn bench_single(criterion: &mut Criterion) {
    let bytes = envelope(1, 1);
    criterion.bench_function("gate::authenticate_one", |bencher| {
        bencher.iter_batched(|| decode(&bytes), |item| Authenticated::one(item, &NoProofs), BatchSize::SmallInput);
    });
    let key = decode(&bytes).envelope().intent.signer.key;
    criterion.bench_function("gate::require_valid_key", |bencher| {
        bencher.iter(|| require_valid_key(black_box(&key)));
    });
}

/// The library's batch with coefficients from a stream whose seed costs nothing.
fn library_alone(items: &[Decoded]) -> bool {
    let mut verifier = Verifier::new();
    for item in items {
        let (PublicKey::Ed25519(key), SignatureBytes::Ed25519(signature)) =
            (item.envelope().intent.signer.key, &item.envelope().signature)
        else {
            return false;
        };
        let signature = Signature::from_bytes(signature);
        let message = item.digests().envelope.bytes();
        verifier.queue(Item::from((VerificationKeyBytes::from(key), signature, message)));
    }
    verifier.verify(ChaCha20Rng::from_seed([1; 32])).is_ok()
}

fn decoded(envelopes: &[Vec<u8>]) -> Vec<Decoded> {
    envelopes.iter().map(|bytes| decode(bytes)).collect()
}

fn decode(bytes: &[u8]) -> Decoded {
    Decoded::from_bytes(bytes.to_vec(), &chain_id()).expect("the envelope is built for this chain")
}

fn chain_id() -> Digest {
    hash::digest(Domain::Development, &[b"a chain for benchmarks"])
}

/// The signed bytes of one order.
fn envelope(key_number: u64, nonce: u64) -> Vec<u8> {
    let key = SigningKey::from(hash::digest(Domain::Development, &[b"key", &key_number.to_le_bytes()]).0);
    let order = PlaceOrder {
        market: MarketId::new(1),
        side: Side::Bid,
        kind: OrderKind::Limit(LimitTerms {
            price: PriceTicks::from_ticks(10_000),
            time_in_force: TimeInForce::GoodTillCancel,
        }),
        quantity: QuantityLots::from_lots(5),
        client_id: ClientOrderId::new(nonce),
        is_reduce_only: false,
        self_trade: SelfTradeMode::CancelResting,
    };
    let intent = Intent {
        version: ENVELOPE_VERSION,
        chain_id: chain_id(),
        account: AccountId::new(7),
        signer: Signer { role: SignerRole::Root, key: PublicKey::Ed25519(key.verification_key().into()) },
        nonce,
        valid_until_ms: TimeMs::from_ms(1_000_000),
        group: GroupMode::EachAlone,
        commands: BoundedVec::new(vec![Command::PlaceOrder(order)]).expect("one command is not too many"),
    };
    let signature = SignatureBytes::Ed25519(key.sign(digests_without_evidence(&intent).envelope.bytes()).to_bytes());
    Envelope { intent, evidence: BoundedVec::empty(), signature }.encode()
}
