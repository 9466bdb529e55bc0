//! Another process that has a store open and writes to it, as an editor does.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::Duration;

use nofx::Options;
use nofx::entity::{Role, SessionId};
use nofx::workspace::Workspace;

use crate::program::Place;

/// Tells the test below which store to serve.
const SERVED: &str = "NOFX_TEST_SERVED";

/// Tells it how many messages to add.
const MESSAGES: &str = "NOFX_TEST_MESSAGES";

/// Precedes each of its answers.
const ANSWER: &str = "answer: ";

/// A process that has a store open. It ends when this is dropped.
#[derive(Debug)]
pub(crate) struct Host {
    child: Child,
    asked: ChildStdin,
    answers: BufReader<ChildStdout>,
}

impl Host {
    /// Starts a process that opens the store with the session `s` and adds a message, so that it is the writer.
    pub(crate) fn start(place: &Place, store: &str) -> Self {
        let mut command = Command::new(std::env::current_exe().expect("a program"));
        command.args(["--exact", "host::serves", "--ignored", "--nocapture"]).env(SERVED, store);
        command.current_dir(place.path("")).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = command.spawn().expect("it starts");
        let asked = child.stdin.take().expect("a pipe");
        let answers = BufReader::new(child.stdout.take().expect("a pipe"));
        let mut host = Self { child, asked, answers };
        assert_eq!(host.answer(), "open");
        assert_eq!(host.write("first"), "done");
        host
    }

    /// Returns a process that adds this many messages, one after the other, and closes the store.
    #[cfg(target_os = "linux")]
    pub(crate) fn writing(store: &str, messages: usize) -> Command {
        let mut command = Command::new(std::env::current_exe().expect("a program"));
        command.args(["--exact", "host::writes", "--ignored"]).env(SERVED, store).env(MESSAGES, messages.to_string());
        command
    }

    /// Adds a message; answers `done`, or the code of the error.
    pub(crate) fn write(&mut self, text: &str) -> String {
        writeln!(self.asked, "{text}").expect("it listens");
        self.answer()
    }

    /// Waits until it has finished its work after a write: until its store stays the same for a while.
    pub(crate) fn rest(&self, place: &Place) {
        let mut before = place.tree("store");
        loop {
            std::thread::sleep(Duration::from_millis(1500));
            let after = place.tree("store");
            if after == before {
                return;
            }
            before = after;
        }
    }

    /// Lets it close the store and exit.
    pub(crate) fn close(mut self) {
        writeln!(self.asked).expect("it listens");
        self.answer();
        self.child.wait().expect("it ends");
    }

    /// Kills it without warning.
    pub(crate) fn kill(mut self) {
        self.child.kill().expect("it may be killed");
        self.child.wait().expect("it ends");
    }

    /// Suspends or resumes it.
    #[cfg(unix)]
    pub(crate) fn signal(&self, signal: rustix::process::Signal) {
        let id = rustix::process::Pid::from_raw(self.child.id() as i32).expect("a process");
        rustix::process::kill_process(id, signal).expect("it is ours");
    }

    fn answer(&mut self) -> String {
        let mut line = String::new();
        loop {
            line.clear();
            assert_ne!(self.answers.read_line(&mut line).expect("it answers"), 0, "it ended");
            if let Some((_, answer)) = line.trim_end().split_once(ANSWER) {
                return answer.to_owned();
            }
        }
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        _ = self.child.kill();
        _ = self.child.wait();
    }
}

#[test]
#[ignore = "it is the other process of other tests"]
fn serves() {
    let location = std::env::var(SERVED).expect("a store").parse().expect("a location");
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let store = nofx::open_with(&location, Options::existing()).await.expect("a store");
        let workspace = Workspace::new(store);
        println!("{ANSWER}open");
        for line in std::io::stdin().lines() {
            let text = line.expect("text");
            if text.is_empty() {
                break;
            }
            let session: SessionId = "s".into();
            let message = workspace.message(Role::User, text);
            let told = workspace.add_message(&session, message).await;
            println!("{ANSWER}{}", told.map_or_else(|error| error.code().to_owned(), |_| "done".to_owned()));
        }
        _ = workspace.store().close().await;
        println!("{ANSWER}closed");
    });
}

#[test]
#[ignore = "it is the other process of other tests"]
fn writes() {
    let location = std::env::var(SERVED).expect("a store").parse().expect("a location");
    let messages: usize = std::env::var(MESSAGES).expect("a number").parse().expect("a number");
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let store = nofx::open_with(&location, Options::existing()).await.expect("a store");
        let workspace = Workspace::new(store);
        let session: SessionId = "s".into();
        for _ in 0..messages {
            workspace.add_message(&session, workspace.message(Role::User, "said")).await.expect("it is added");
        }
        workspace.store().close().await.expect("it closes");
    });
}
