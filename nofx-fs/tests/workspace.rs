//! What a workspace guarantees, on folders of this machine.

mod common;

fn main() {
    nofx_testkit::workspace(common::Folders)
}
