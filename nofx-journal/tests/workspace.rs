//! What a workspace promises, on the journal over a base that changes while it is read.

use std::time::Duration;

mod common;

fn main() {
    nofx_testkit::workspace(common::Behind { name: "journal", changes_in_place: true, apply_after: Duration::ZERO })
}
