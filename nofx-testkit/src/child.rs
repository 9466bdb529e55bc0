//! Other processes: the test program starts itself again, in a role.

use std::io::{BufRead, BufReader, Write};
use std::pin::Pin;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use tokio::sync::mpsc;

use crate::cases::ROLES;
use crate::place::Factory;
use crate::subject::{Handle, Subject};
use crate::suite::{blocking, patience};
use crate::unmet::{CaseResult, Unmet, ensure};

/// Marks a process as a child: the names of the factory and the role, the address, and the role's arguments.
const ROLE: &str = "NOFX_CONFORMANCE_ROLE";

/// The prefix of each line from a child to its parent, to tell these lines from any other output.
const SAYS: &str = "nofx-testkit: ";

/// The longest that a parent waits for a child's next line.
const LINE: Duration = Duration::from_secs(30);

/// What a child does with its handle on the parent's place.
pub(crate) type ChildRole = fn(Handle, Vec<String>) -> Pin<Box<dyn Future<Output = CaseResult> + Send>>;

/// A child process, killed when it is dropped.
pub(crate) struct ChildProcess {
    process: std::process::Child,
    lines: mpsc::UnboundedReceiver<String>,
}

impl ChildProcess {
    /// Starts a child that plays a role on the subject's place.
    pub(crate) fn start(subject: &Subject, role: &str, needs: &[&str]) -> CaseResult<Self> {
        let address = subject.address().ok_or_else(|| Unmet::new("a place without an address"))?;
        let task: Vec<&str> =
            [subject.factory.name(), role, &address].into_iter().chain(needs.iter().copied()).collect();
        let mut process = Command::new(std::env::current_exe()?)
            .env(ROLE, serde_json::to_string(&task)?)
            // Never written to: it closes when the parent ends, however that happens.
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let stdout = process.stdout.take().ok_or_else(|| Unmet::new("a child without output"))?;
        let (say, lines) = mpsc::unbounded_channel();
        thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                if let Some(said) = line.strip_prefix(SAYS) {
                    // The parent may have stopped listening.
                    let _ = say.send(said.to_owned());
                }
            }
        });
        Ok(Self { process, lines })
    }

    /// Waits for the child's next line; `None` when the child has ended.
    pub(crate) async fn next(&mut self) -> CaseResult<Option<String>> {
        let limit = LINE * patience();
        let waited = tokio::time::timeout(limit, self.lines.recv()).await;
        waited.map_err(|_| Unmet::new(format!("a child said nothing for {} s", limit.as_secs())))
    }

    /// Waits for the child to succeed, and returns what it said.
    pub(crate) async fn finish(mut self) -> CaseResult<Vec<String>> {
        let mut said = Vec::new();
        while let Some(line) = self.next().await? {
            said.push(line);
        }
        let status = self.process.wait()?;
        ensure!(status.success(), "a child ended with {status}, having said {said:?}");
        Ok(said)
    }

    /// Kills the child without warning, and returns the lines that were not read yet.
    pub(crate) async fn kill(mut self) -> CaseResult<Vec<String>> {
        self.process.kill()?;
        self.process.wait()?;
        let mut said = Vec::new();
        while let Some(line) = self.next().await? {
            said.push(line);
        }
        Ok(said)
    }

    /// Suspends the child until it is killed.
    #[cfg(unix)]
    pub(crate) fn stop(&self) -> CaseResult {
        let status = Command::new("kill").args(["-STOP", &self.process.id().to_string()]).status()?;
        ensure!(status.success(), "stopping a child: {status}");
        Ok(())
    }
}

impl Drop for ChildProcess {
    fn drop(&mut self) {
        // It may have ended long ago.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Sends a line to the parent.
pub(crate) fn say(line: impl std::fmt::Display) -> CaseResult {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{SAYS}{line}")?;
    Ok(out.flush()?)
}

/// Plays the role that this process was started for, if it is a child; returns its exit code.
pub(crate) fn play(factories: &[Arc<dyn Factory>]) -> Option<i32> {
    let task = std::env::var(ROLE).ok()?;
    thread::spawn(|| {
        // A role may go on until it is killed, so a child must not outlive its parent.
        let _ = std::io::copy(&mut std::io::stdin(), &mut std::io::sink());
        std::process::exit(1);
    });
    Some(match blocking(perform(factories, &task)) {
        Ok(()) => 0,
        Err(unmet) => {
            eprintln!("a child failed: {unmet}");
            1
        }
    })
}

async fn perform(factories: &[Arc<dyn Factory>], task: &str) -> CaseResult {
    let mut task: Vec<String> = serde_json::from_str(task)?;
    ensure!(task.len() >= 3, "a role needs a factory, a name and an address");
    let needs = task.split_off(3);
    let factory = factories.iter().find(|factory| factory.name() == task[0]);
    let role = ROLES.iter().find(|(name, _)| *name == task[1]);
    let (Some(factory), Some((_, role))) = (factory, role) else {
        return Err(Unmet::new(format!("no such factory or role: {task:?}")));
    };
    let handle = Handle(factory.reopen(&task[2]).await?);
    tokio::spawn(role(handle, needs)).await?
}
