//! Signals that ask the program to end, where something that is half done has to be put in order first.

use std::sync::Once;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::runtime::Handle;
use tokio::sync::Notify;

use super::exit::Exit;
use super::fault::Fault;
use super::temporary;

/// Whether the command ends by itself when it is asked to, once.
static ORDERLY: AtomicBool = AtomicBool::new(false);

/// Told when it is.
static ASKED: Notify = Notify::const_new();

/// Does some work; returns `None` if a signal asks the program to end before it is done: Ctrl-C, SIGTERM or SIGHUP. The next one ends the
/// program at once.
///
/// What the work has handed to other threads by then still happens. The work must not block: it would not be interrupted.
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

/// Leaves a signal that comes before [`unless_interrupted`] to that.
pub(super) fn prepare() {
    listen();
    ORDERLY.store(true, Ordering::SeqCst);
}

/// From now on a signal does not end the program before what it has made in a temporary folder is removed.
pub(super) fn listen() {
    static LISTENING: Once = Once::new();
    // A task of its own, as the command may be blocked by a pipe that is not read.
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

/// Tells whether a signal was to be ignored when the program began, as `nohup` asks; `None` where the system does not say.
#[cfg(unix)]
fn is_ignored(kind: tokio::signal::unix::SignalKind) -> Option<bool> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:"))?;
    let ignored = u64::from_str_radix(ignored.trim(), 16).ok()?;
    Some(ignored >> (kind.as_raw_value() - 1) & 1 == 1)
}

/// Lets the command end by itself, or ends the program.
fn end() {
    if ORDERLY.swap(false, Ordering::SeqCst) {
        return ASKED.notify_one();
    }
    let _nothing_more = temporary::remove_all();
    Fault::new(Exit::Interrupted, "interrupted before it was done", "run the command again").tell();
    std::process::exit(Exit::Interrupted as i32);
}
