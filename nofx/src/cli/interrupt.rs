//! Ctrl-C, where something that is half done has to be put in order first.

use super::exit::Exit;

/// Does some work; returns `None` if somebody presses Ctrl-C before it is done. The next Ctrl-C ends the program at once.
///
/// What the work has handed to other threads by then still happens. The work must not block: it would not be interrupted.
pub(super) async fn unless_interrupted<T>(work: impl Future<Output = T>) -> Option<T> {
    let done = tokio::select! {
        done = work => Some(done),
        Ok(()) = tokio::signal::ctrl_c() => None,
    };
    tokio::spawn(async {
        if tokio::signal::ctrl_c().await.is_ok() {
            std::process::exit(Exit::Interrupted as i32);
        }
    });
    done
}
