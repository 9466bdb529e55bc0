//! The suite that every backend passes, on the journal over a base in memory that is updated late, or at once and in
//! place.

use std::sync::Arc;
use std::time::Duration;

use common::Behind;

mod common;

fn main() {
    let late = Behind { name: "journal", changes_in_place: false, apply_after: Duration::from_secs(60) };
    let at_once = Behind { name: "following", changes_in_place: true, apply_after: Duration::ZERO };
    nofx_testkit::conformance_of(vec![Arc::new(late), Arc::new(at_once)])
}
