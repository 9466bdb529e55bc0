//! The suite that every backend passes, on the journal before a base in memory.

mod common;

fn main() {
    nofx_testkit::conformance(common::Behind { name: "journal", changes_in_place: false })
}
