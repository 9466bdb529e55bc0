//! The conformance suite on folders of this machine.

mod common;

fn main() {
    nofx_testkit::conformance(common::Folders)
}
