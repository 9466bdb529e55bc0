//! Tests of reading a store while other processes commit, apply, begin new generations and are
//! killed.

mod damage;
mod engine;
mod files;
mod model;
mod world;
