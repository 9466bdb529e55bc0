//! What a workspace promises, on object storage in memory.

mod memory;

fn main() {
    nofx_testkit::workspace(memory::Memory)
}
