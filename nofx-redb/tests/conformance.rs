//! The suite that every backend passes.

#[path = "common/place.rs"]
mod place;

fn main() {
    nofx_testkit::conformance_of(place::all())
}
