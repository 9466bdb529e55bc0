//! Keeping the memory of long work small on Linux.
//!
//! The allocator of glibc gives threads arenas of their own and keeps what each once had: of 200,000 files that were migrated with
//! `--memory 64` that was 58 of 151 MB. How many arenas there are can only be said in the environment, before a program starts.

use std::env;

/// What glibc reads when a program starts.
const ARENAS: &str = "MALLOC_ARENA_MAX";

/// Starts this program again, in this process, with one arena for all threads, unless the environment says how many there are. Goes on where that
/// cannot be done.
pub(crate) fn share_one() {
    if cfg!(not(all(target_os = "linux", target_env = "gnu"))) || env::var_os(ARENAS).is_some() {
        return;
    }
    #[cfg(unix)]
    if let Ok(program) = env::current_exe() {
        use std::os::unix::process::CommandExt;
        let mut arguments = env::args_os();
        let mut again = std::process::Command::new(program);
        if let Some(name) = arguments.next() {
            again.arg0(name);
        }
        // It returns only where it failed.
        _ = again.args(arguments).env(ARENAS, "1").exec();
    }
}
