//! Tests of how a store is read while others commit, apply, turn over and are killed.

mod damage;
mod engine;
mod model;
mod world;
