//! Tests that look inside: faults, sleep, request counts.

mod bytes;
mod damaged;
mod histories;
mod replaced;
mod requests;
mod sleep;
mod trust;
mod truth;
mod world;
mod writers;
