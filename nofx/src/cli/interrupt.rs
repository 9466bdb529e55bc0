//! Signals that ask the program to end, for commands that must clean up first.

use std::sync::Once;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::runtime::Handle;
use tokio::sync::Notify;

use super::exit::Exit;
use super::fault::Fault;
use super::temporary;

/// Whether the next signal is left to the command, which then ends on its own. Cleared by the first signal.
static ORDERLY: AtomicBool = AtomicBool::new(false);

/// Notified by that signal.
static ASKED: Notify = Notify::const_new();

/// Runs some work. Returns `None` if a signal (Ctrl-C, SIGTERM or SIGHUP) asks the program to end before it is done. A second signal ends
/// the program at once.
///
/// What the work has already handed to other threads still happens. The work must not block: it could not be interrupted then.
pub(super) async fn unless_interrupted<T>(work: impl Future<Output = T>) -> Option<T> {
    prepare();
    tokio::select! {
        biased;
        () = ASKED.notified() => {
            ORDERLY.store(false, Ordering::SeqCst);
            None
        }
        done = work => {
            ORDERLY.store(false, Ordering::SeqCst);
            Some(done)
        }
    }
}

/// Defers a signal that arrives before [`unless_interrupted`] is called to that call.
pub(super) fn prepare() {
    listen();
    ORDERLY.store(true, Ordering::SeqCst);
}

/// From now on, a signal ends the program only after what it has made in a temporary folder is removed.
pub(super) fn listen() {
    static LISTENING: Once = Once::new();
    // In its own task, since the command may be blocked on a pipe that is not being read.
    if let Ok(runtime) = Handle::try_current() {
        LISTENING.call_once(|| listen_on(&runtime));
    }
}

#[cfg(unix)]
fn listen_on(runtime: &Handle) {
    use tokio::signal::unix::{SignalKind, signal};
    for kind in [SignalKind::interrupt(), SignalKind::terminate(), SignalKind::hangup()] {
        if is_ignored(kind).unwrap_or(kind == SignalKind::hangup()) {
            continue;
        }
        if let Ok(mut signals) = signal(kind) {
            runtime.spawn(async move {
                while signals.recv().await.is_some() {
                    end();
                }
            });
        }
    }
}

#[cfg(not(unix))]
fn listen_on(runtime: &Handle) {
    runtime.spawn(async {
        while tokio::signal::ctrl_c().await.is_ok() {
            end();
        }
    });
}

/// Returns whether a signal was ignored when the program started, as under `nohup`; `None` if the system does not say.
#[cfg(unix)]
fn is_ignored(kind: tokio::signal::unix::SignalKind) -> Option<bool> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:"))?;
    let ignored = u64::from_str_radix(ignored.trim(), 16).ok()?;
    Some(ignored >> (kind.as_raw_value() - 1) & 1 == 1)
}

/// Lets the command end on its own, or ends the program.
fn end() {
    if ORDERLY.swap(false, Ordering::SeqCst) {
        return ASKED.notify_one();
    }
    let _nothing_more = temporary::remove_all();
    Fault::new(Exit::Interrupted, "interrupted before it was done", "run the command again").print();
    std::process::exit(Exit::Interrupted as i32);
}
