//! What a workspace promises, on the journal before a base that changes under those who read it.

use std::time::Duration;

mod common;

fn main() {
    nofx_testkit::workspace(common::Behind { name: "journal", changes_in_place: true, apply_after: Duration::ZERO })
}
