//! The conformance suite on the store in memory.

fn main() {
    nofx_testkit::conformance(nofx_testkit::Memory)
}
