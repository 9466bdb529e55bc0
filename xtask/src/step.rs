//! Steps that run one after the other, and the summary at the end.

use std::process::{Command, ExitCode};
use std::time::{Duration, Instant};

use crate::Result;

/// How one step ended.
#[derive(Debug)]
pub(crate) enum Outcome {
    Passed,
    /// Passed, with something that the reader of the summary should know.
    PassedWith(String),
    Failed(String),
    /// Did not run, for this reason. The summary says so aloud: it is not a pass.
    NotRun(String),
}

/// Runs steps and remembers how each of them ended and how long it took.
#[derive(Debug, Default)]
pub(crate) struct Steps {
    rows: Vec<Row>,
}

#[derive(Debug)]
struct Row {
    name: &'static str,
    outcome: Outcome,
    took: Duration,
}

impl Steps {
    /// Runs one step. A failure does not keep later steps from running, so that one run tells everything.
    pub(crate) fn run(&mut self, name: &'static str, step: impl FnOnce() -> Result<Outcome>) {
        println!("\n==> {name}");
        let started = now();
        let outcome = step().unwrap_or_else(|error| Outcome::Failed(error.to_string()));
        if let Outcome::Failed(reason) = &outcome {
            eprintln!("{name} failed: {reason}");
        }
        self.rows.push(Row { name, outcome, took: started.elapsed() });
    }

    /// Prints the summary and returns the exit code that it deserves.
    pub(crate) fn finish(self) -> ExitCode {
        println!("\n{}", self.summary());
        let failed = self.rows.iter().any(|row| matches!(row.outcome, Outcome::Failed(_)));
        if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS }
    }

    fn summary(&self) -> String {
        let mut lines = vec!["Summary of steps".to_owned()];
        lines.extend(self.rows.iter().map(Row::line));
        lines.push(self.verdict());
        lines.join("\n")
    }

    fn verdict(&self) -> String {
        let count = |is: fn(&Outcome) -> bool| self.rows.iter().filter(|row| is(&row.outcome)).count();
        let failed = count(|outcome| matches!(outcome, Outcome::Failed(_)));
        let not_run = count(|outcome| matches!(outcome, Outcome::NotRun(_)));
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
            Outcome::Passed => ("passed", ""),
            Outcome::PassedWith(note) => ("passed", note.as_str()),
            Outcome::Failed(reason) => ("FAILED", reason.as_str()),
            Outcome::NotRun(reason) => ("NOT RUN", reason.as_str()),
        };
        let line = format!("  {mark:<8} {:>9}  {:<9} {note}", seconds(self.took), self.name);
        line.trim_end().to_owned()
    }
}

/// Does one thing after the other, until one of them does not pass.
pub(crate) fn in_turn<const N: usize>(all: [&dyn Fn() -> Result<Outcome>; N]) -> Result<Outcome> {
    for one in all {
        let outcome = one()?;
        if !matches!(outcome, Outcome::Passed | Outcome::PassedWith(_)) {
            return Ok(outcome);
        }
    }
    Ok(Outcome::Passed)
}

/// Runs a program to its end, its output going where ours goes.
pub(crate) fn execute(command: &mut Command) -> Result<Outcome> {
    let shown = shown(command);
    println!("$ {shown}");
    let status = command.status().map_err(|error| format!("cannot start `{shown}`: {error}"))?;
    if status.success() {
        return Ok(Outcome::Passed);
    }
    Ok(Outcome::Failed(format!("`{shown}` ended with {status}")))
}

/// Returns the command as one would type it, with the variables it sets.
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
fn now() -> Instant {
    Instant::now()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn steps(outcomes: Vec<Outcome>) -> Steps {
        let row = |outcome| Row { name: "step", outcome, took: Duration::from_millis(1500) };
        Steps { rows: outcomes.into_iter().map(row).collect() }
    }

    #[test]
    fn a_step_that_did_not_run_is_named_with_its_reason_and_not_counted_as_passed() {
        let summary = steps(vec![Outcome::Passed, Outcome::NotRun("no network".into())]).summary();
        assert!(summary.contains("NOT RUN      1.5 s  step      no network"), "{summary}");
        assert!(summary.contains("1 passed, 0 failed, in 3.0 s; WARNING: 1 DID NOT RUN"), "{summary}");
    }

    #[test]
    fn one_failure_among_passes_fails_the_whole() {
        let failed = Outcome::Failed("it broke".into());
        let code = steps(vec![Outcome::Passed, failed, Outcome::Passed]).finish();
        assert_eq!(format!("{code:?}"), format!("{:?}", ExitCode::FAILURE));
    }

    #[test]
    fn a_step_that_returns_an_error_has_failed_and_the_next_one_still_runs() {
        let mut steps = Steps::default();
        steps.run("first", || Err("no such file".into()));
        steps.run("second", || Ok(Outcome::Passed));
        assert!(matches!(&steps.rows[0].outcome, Outcome::Failed(reason) if reason == "no such file"));
        assert!(matches!(steps.rows[1].outcome, Outcome::Passed));
    }

    #[test]
    fn what_does_not_pass_ends_the_turn() {
        let unreached = || panic!("it must not run");
        let outcome = in_turn([&|| Ok(Outcome::Passed), &|| Ok(Outcome::NotRun("no network".into())), &unreached]);
        assert!(matches!(outcome, Ok(Outcome::NotRun(reason)) if reason == "no network"));
        assert!(matches!(in_turn([&|| Ok(Outcome::Passed)]), Ok(Outcome::Passed)));
    }

    #[test]
    fn a_command_is_shown_as_one_would_type_it() {
        let mut command = Command::new("/opt/rust/bin/cargo");
        command.args(["doc", "--no-deps"]).env("RUSTDOCFLAGS", "-D warnings");
        assert_eq!(shown(&command), "RUSTDOCFLAGS='-D warnings' cargo doc --no-deps");
    }
}
