//! What a workspace promises, on the store in memory.

fn main() {
    nofx_testkit::workspace(nofx_testkit::Memory)
}
