//! What a workspace guarantees, on a redb file.

#[path = "common/place.rs"]
mod place;

fn main() {
    nofx_testkit::workspace_of(place::all())
}
