//! Benchmarks of core, in a crate of their own so that the inner loop of core does not compile criterion.
