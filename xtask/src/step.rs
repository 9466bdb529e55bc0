//! Steps that run one after the other, and the summary at the end.

use std::io::{self, BufRead, BufReader, IsTerminal, Read, Write};
use std::process::{Command, ExitCode, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use crate::Result;

/// How one step ended.
#[derive(Debug)]
pub(crate) enum StepOutcome {
    Passed,
    /// Passed, with a note for the reader of the summary.
    PassedWith(String),
    Failed(String),
    /// Did not run, for this reason. The summary says so prominently: it is not a pass.
    NotRun(String),
}

/// Runs steps and records how each of them ended and how long it took.
#[derive(Debug, Default)]
pub(crate) struct Steps {
    rows: Vec<Row>,
}

#[derive(Debug)]
struct Row {
    name: &'static str,
    outcome: StepOutcome,
    took: Duration,
}

impl Steps {
    /// Runs one step. A failure does not keep later steps from running, so that one run reports everything.
    pub(crate) fn run(&mut self, name: &'static str, step: impl FnOnce() -> Result<StepOutcome>) {
        println!("\n==> {name}");
        let started = now();
        let outcome = step().unwrap_or_else(|error| StepOutcome::Failed(error.to_string()));
        if let StepOutcome::Failed(reason) = &outcome {
            eprintln!("{name} failed: {reason}");
        }
        self.rows.push(Row { name, outcome, took: started.elapsed() });
    }

    /// Prints the summary and returns the resulting exit code.
    pub(crate) fn finish(self) -> ExitCode {
        println!("\n{}", self.summary());
        let failed = self.rows.iter().any(|row| matches!(row.outcome, StepOutcome::Failed(_)));
        if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS }
    }

    fn summary(&self) -> String {
        let mut lines = vec!["Summary of steps".to_owned()];
        lines.extend(self.rows.iter().map(Row::line));
        lines.push(self.verdict());
        lines.join("\n")
    }

    fn verdict(&self) -> String {
        let count = |is: fn(&StepOutcome) -> bool| self.rows.iter().filter(|row| is(&row.outcome)).count();
        let failed = count(|outcome| matches!(outcome, StepOutcome::Failed(_)));
        let not_run = count(|outcome| matches!(outcome, StepOutcome::NotRun(_)));
        let took: Duration = self.rows.iter().map(|row| row.took).sum();
        let passed = self.rows.len() - failed - not_run;
        let mut verdict = format!("{passed} passed, {failed} failed, in {}", seconds(took));
        if not_run > 0 {
            verdict.push_str(&format!("; WARNING: {not_run} DID NOT RUN, see the reason above"));
        }
        verdict
    }
}

impl Row {
    fn line(&self) -> String {
        let (mark, note) = match &self.outcome {
            StepOutcome::Passed => ("passed", ""),
            StepOutcome::PassedWith(note) => ("passed", note.as_str()),
            StepOutcome::Failed(reason) => ("FAILED", reason.as_str()),
            StepOutcome::NotRun(reason) => ("NOT RUN", reason.as_str()),
        };
        let line = format!("  {mark:<8} {:>9}  {:<9} {note}", seconds(self.took), self.name);
        line.trim_end().to_owned()
    }
}

/// Runs one step after the other, until one of them does not pass.
pub(crate) fn in_turn<const N: usize>(all: [&dyn Fn() -> Result<StepOutcome>; N]) -> Result<StepOutcome> {
    for one in all {
        let outcome = one()?;
        if !matches!(outcome, StepOutcome::Passed | StepOutcome::PassedWith(_)) {
            return Ok(outcome);
        }
    }
    Ok(StepOutcome::Passed)
}

/// Runs a program to its end, with our standard output.
///
/// If that is a log and not a terminal, the reason of a failure names the failed tests and the compiler's errors: often only
/// the summary of a log is kept.
pub(crate) fn execute(command: &mut Command) -> Result<StepOutcome> {
    let shown = shown(command);
    println!("$ {shown}");
    let ended =
        if io::stdout().is_terminal() { command.status().map(|status| (status, vec![])) } else { read(command) };
    let (status, failed) = ended.map_err(|error| format!("cannot start `{shown}`: {error}"))?;
    if status.success() {
        return Ok(StepOutcome::Passed);
    }
    let named: String = failed.iter().take(NAMED).map(|test| format!("\n{:24}{test}", "")).collect();
    Ok(StepOutcome::Failed(format!("`{shown}` ended with {status}{named}")))
}

/// The most failed tests and errors that a summary lists.
const NAMED: usize = 100;

/// Runs a program, passes on what it prints and returns the tests that it reports as failed, and its errors.
fn read(command: &mut Command) -> io::Result<(ExitStatus, Vec<String>)> {
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
    let (printed, told) = (child.stdout.take(), child.stderr.take());
    let mut failed = thread::scope(|threads| {
        let told = threads.spawn(|| told.map(|told| pass_on(told, io::stderr())).unwrap_or_default());
        let mut failed = printed.map(|printed| pass_on(printed, io::stdout())).unwrap_or_default();
        failed.extend(told.join().unwrap_or_default());
        failed
    });
    failed.sort();
    failed.dedup();
    Ok((child.wait()?, failed))
}

/// Copies what a program prints, and returns the tests that it reports as failed, and its errors.
fn pass_on(from: impl Read, mut to: impl Write) -> Vec<String> {
    let mut failed = vec![];
    let mut from = BufReader::new(from);
    let mut line = vec![];
    while from.read_until(b'\n', &mut line).is_ok_and(|length| length > 0) {
        // What cannot be printed is still read: the program must not block on us.
        _ = to.write_all(&line);
        let text = String::from_utf8_lossy(&line);
        failed.extend(failed_test(&text).or_else(|| error(&text)).map(str::to_owned));
        line.clear();
    }
    failed
}

/// Returns the test that a line reports as failed, in the format of nextest, `cargo test` or Node's runner.
fn failed_test(line: &str) -> Option<&str> {
    let line = line.trim();
    if let Some(test) = line.strip_prefix("✖ ") {
        let (test, took) = test.rsplit_once(" (")?;
        return took.ends_with("ms)").then_some(test);
    }
    if let Some(test) = line.strip_prefix("test ") {
        return test.strip_suffix(" ... FAILED");
    }
    let (verdict, test) = line.split_once(" [")?;
    let failed = matches!(verdict, "FAIL" | "TIMEOUT" | "ABORT") || verdict.starts_with("SIG");
    test.split_once("] ").filter(|_| failed).map(|(_, test)| test.trim())
}

/// Returns the error that a line of the compiler or the linker reports.
fn error(line: &str) -> Option<&str> {
    let line = line.trim_end();
    let is_one = line.starts_with("error: ") || line.starts_with("error[") || line.contains("os error");
    // cargo's last word, after what it is about.
    (is_one && !line.starts_with("error: test failed")).then_some(line)
}

/// Returns the command as a user would type it, with the variables it sets.
fn shown(command: &Command) -> String {
    let variables = command
        .get_envs()
        .filter_map(|(name, value)| Some(format!("{}='{}'", name.to_string_lossy(), value?.to_string_lossy())));
    let program = std::path::Path::new(command.get_program()).file_stem().unwrap_or_default();
    let arguments = command.get_args().map(|argument| argument.to_string_lossy().into_owned());
    let words = variables.chain([program.to_string_lossy().into_owned()]).chain(arguments);
    words.collect::<Vec<_>>().join(" ")
}

fn seconds(duration: Duration) -> String {
    format!("{:.1} s", duration.as_secs_f64())
}

#[expect(clippy::disallowed_methods, reason = "how long a step took is for people, never stored")]
pub(crate) fn now() -> Instant {
    Instant::now()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn steps(outcomes: Vec<StepOutcome>) -> Steps {
        let row = |outcome| Row { name: "step", outcome, took: Duration::from_millis(1500) };
        Steps { rows: outcomes.into_iter().map(row).collect() }
    }

    #[test]
    fn a_step_that_did_not_run_is_named_with_its_reason_and_not_counted_as_passed() {
        let summary = steps(vec![StepOutcome::Passed, StepOutcome::NotRun("no network".into())]).summary();
        assert!(summary.contains("NOT RUN      1.5 s  step      no network"), "{summary}");
        assert!(summary.contains("1 passed, 0 failed, in 3.0 s; WARNING: 1 DID NOT RUN"), "{summary}");
    }

    #[test]
    fn one_failure_among_passes_fails_the_whole() {
        let failed = StepOutcome::Failed("it broke".into());
        let code = steps(vec![StepOutcome::Passed, failed, StepOutcome::Passed]).finish();
        assert_eq!(format!("{code:?}"), format!("{:?}", ExitCode::FAILURE));
    }

    #[test]
    fn a_step_that_returns_an_error_has_failed_and_the_next_one_still_runs() {
        let mut steps = Steps::default();
        steps.run("first", || Err("no such file".into()));
        steps.run("second", || Ok(StepOutcome::Passed));
        assert!(matches!(&steps.rows[0].outcome, StepOutcome::Failed(reason) if reason == "no such file"));
        assert!(matches!(steps.rows[1].outcome, StepOutcome::Passed));
    }

    #[test]
    fn what_does_not_pass_ends_the_turn() {
        let unreached = || panic!("it must not run");
        let outcome =
            in_turn([&|| Ok(StepOutcome::Passed), &|| Ok(StepOutcome::NotRun("no network".into())), &unreached]);
        assert!(matches!(outcome, Ok(StepOutcome::NotRun(reason)) if reason == "no network"));
        assert!(matches!(in_turn([&|| Ok(StepOutcome::Passed)]), Ok(StepOutcome::Passed)));
    }

    #[test]
    fn tests_that_failed_and_errors_are_known_by_the_lines_of_their_programs() {
        let told = "   ✖ one of Node (12.5ms)\n✖ failing tests:\n\u{2714} well (1ms)\n\
                    \u{20}   FAIL [   0.004s] ( 3/12) nofx-fs::conformance fs::a\n    PASS [   0.1s] nofx b\n\
                    SIGABRT [   0.004s] nofx-fs c\ntest src/lib.rs - (line 7) ... FAILED\ntest d ... ok\n\
                    error: linking with `cc` failed: exit status: 1\nerror: test failed, to rerun pass `--lib`\n";
        let mut passed_on = vec![];
        let failed = pass_on(told.as_bytes(), &mut passed_on);
        let tests = ["one of Node", "( 3/12) nofx-fs::conformance fs::a", "nofx-fs c", "src/lib.rs - (line 7)"];
        assert_eq!(failed[..4], tests);
        assert_eq!(failed[4..], ["error: linking with `cc` failed: exit status: 1"]);
        assert_eq!(passed_on, told.as_bytes());
    }

    #[cfg(unix)]
    #[test]
    fn the_reason_of_a_failure_names_the_tests_that_failed() {
        let mut command = Command::new("sh");
        command.args(["-c", "echo 'test a ... FAILED'; echo 'test a ... FAILED' >&2; echo 'test b ... ok'; exit 3"]);
        let (status, failed) = read(&mut command).unwrap();
        assert_eq!((status.code(), failed), (Some(3), vec!["a".to_owned()]));
    }

    #[test]
    fn a_command_is_shown_as_one_would_type_it() {
        let mut command = Command::new("/opt/rust/bin/cargo");
        command.args(["doc", "--no-deps"]).env("RUSTDOCFLAGS", "-D warnings");
        assert_eq!(shown(&command), "RUSTDOCFLAGS='-D warnings' cargo doc --no-deps");
    }
}
