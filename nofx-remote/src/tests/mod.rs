//! Tests that look inside: faults, sleep, request counts, planted errors.

mod histories;
mod requests;
mod sleep;
mod trust;
mod truth;
mod world;
mod writers;
