//! Tests of markets.
