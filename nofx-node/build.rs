//! Tells the linker that Node itself has the functions which the addon calls.

fn main() {
    napi_build::setup();
}
