//! The effect of one damaged byte, or one truncation, on a small store: it hides one thing, and says so.
//!
//! Each trial writes a store, damages it in one place, asks it everything, writes to it and asks again after reopening it.
//! By default, each 1009th byte is flipped; `NOFX_DAMAGE_EVERY=1` flips them all, as `cargo xtask damage` does, which also
//! reads the counts that are written to the folder `NOFX_DAMAGE_OUT`.

mod answers;
mod counts;
mod places;
mod sweep;

use libtest_mimic::{Arguments, Failed, Trial};

use places::{Backend, State};

fn main() {
    let mut arguments = Arguments::from_args();
    // Panics, and printed output, are global to the process.
    arguments.test_threads = Some(1);
    let mut trials = Vec::new();
    for backend in [Backend::Redb, Backend::Journal, Backend::Fs, Backend::Objects] {
        for state in [State::Closed, State::Killed] {
            let name = format!("{}::{}", backend.name(), state.name());
            let run = move || sweep::run(backend, state).map_err(Failed::from);
            trials.push(Trial::test(name, run));
        }
    }
    libtest_mimic::run(&arguments, trials).exit();
}
