//! Limits the memory use of long commands on Linux.
//!
//! The glibc allocator gives each thread its own arena and keeps the memory that an arena once had: migrating 200,000 files with
//! `--memory 64`, that was 58 of 151 MB. The number of arenas can only be set in the environment, before the program starts.

use std::env;

/// Read by glibc when a program starts.
const ARENAS: &str = "MALLOC_ARENA_MAX";

/// Re-executes this program in the same process with one arena for all threads, unless the environment already sets their number. If that
/// is not possible, returns and changes nothing.
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
        // `exec` returns only if it failed.
        _ = again.args(arguments).env(ARENAS, "1").exec();
    }
}
