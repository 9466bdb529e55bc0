//! The results of the tests under wine.

use crate::step::StepOutcome;

/// The results of all programs.
#[derive(Debug)]
pub(super) struct Results {
    known: Vec<Known>,
    rows: Vec<Row>,
    not_built: Vec<(String, String)>,
}

/// A test that does not work under wine, for a reason that does not exist on Windows.
#[derive(Debug)]
struct Known {
    test: &'static str,
    why: &'static str,
}

/// The result of a program.
#[derive(Debug, Default)]
struct Row {
    name: String,
    passed: usize,
    failed: Vec<String>,
    known: Vec<String>,
    ignored: usize,
    /// How many of them never finished.
    unfinished: usize,
    ended: String,
}

impl Results {
    /// Reads the list of known differences: on each line a part of the names of tests, a colon and a blank, and the reason.
    pub(super) fn new(known: &'static str) -> Self {
        let lines = known.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
        let known = lines.filter_map(|line| line.split_once(": ")).map(|(test, why)| Known { test, why }).collect();
        Self { known, rows: Vec::new(), not_built: Vec::new() }
    }

    /// Records that something could not be built.
    pub(super) fn not_built(&mut self, target: &str, why: &str) {
        self.not_built.push((target.to_owned(), why.to_owned()));
    }

    /// Records what a program printed, and returns the output if something in it failed, or its row of the table.
    pub(super) fn take(&mut self, package: &str, program: &str, printed: &str) -> String {
        let mut row = Row { name: format!("{package} {program}"), ..Row::default() };
        // A test may run a suite itself, whose lines are among these: the first count and the last result are the program's.
        let mut announced = None;
        for line in printed.lines() {
            if let Some(count) = line.strip_prefix("running ").and_then(|rest| rest.split(' ').next()) {
                announced = announced.or(count.parse().ok());
            } else if let Some(ended) = line.strip_prefix("ended with ") {
                row.ended = ended.to_owned();
            } else if let Some((test, verdict)) = line.strip_prefix("test ").and_then(|rest| rest.split_once(" ... ")) {
                match verdict.trim() {
                    "ok" => row.passed += 1,
                    "FAILED" if self.known.iter().any(|known| test.contains(known.test)) => {
                        row.known.push(test.to_owned())
                    }
                    "FAILED" => row.failed.push(test.to_owned()),
                    ignored if ignored.starts_with("ignored") => row.ignored += 1,
                    _ => {}
                }
            }
        }
        // What a test prints may stand between its name and its verdict, so the result counts.
        if ["0", "101"].contains(&row.ended.as_str())
            && let Some([passed, failed, ignored]) = printed.lines().rev().find_map(result)
        {
            (row.passed, row.ignored) = (passed, ignored);
            let named = row.failed.len() + row.known.len();
            if failed > named {
                row.failed.push(format!("{} without a name", failed - named));
            }
        }
        let heard_of = row.passed + row.failed.len() + row.known.len() + row.ignored;
        row.unfinished = usize::saturating_sub(announced.unwrap_or(0), heard_of);
        let is_explained = row.failed.len() + row.known.len() + row.unfinished > 0;
        if row.ended != "0" && !is_explained {
            row.failed.push(format!("the program as a whole, which ended with {}", row.ended));
        }
        let told = match row.failed.len() + row.unfinished {
            0 => row.line(),
            _ => printed.to_owned(),
        };
        self.rows.push(row);
        told
    }

    /// Returns the results of the programs whose names begin with this.
    pub(super) fn outcome(&self, names: &str) -> StepOutcome {
        let rows = || self.rows.iter().filter(|row| row.name.starts_with(names));
        let sum = |count: fn(&Row) -> usize| rows().map(count).sum::<usize>();
        let (failed, unfinished) = (sum(|row| row.failed.len()), sum(|row| row.unfinished));
        let counts = format!("{} passed, {} known differences", sum(|row| row.passed), sum(|row| row.known.len()));
        match failed + unfinished {
            0 => StepOutcome::PassedWith(counts),
            _ => StepOutcome::Failed(format!("{counts}, {failed} failed, {unfinished} did not finish")),
        }
    }

    /// Returns a line for each program, then what failed, what is known, and what was not built.
    pub(super) fn table(&self) -> String {
        let mut lines = vec![format!(
            "{:<44} {:>7} {:>7} {:>7} {:>8} {:>11}  {}",
            "", "passed", "failed", "known", "ignored", "unfinished", "exit code"
        )];
        lines.extend(self.rows.iter().map(Row::line));
        for row in &self.rows {
            lines.extend(row.failed.iter().map(|test| format!("  failed: {} {test}", row.name)));
        }
        for row in &self.rows {
            for test in &row.known {
                let why = self.known.iter().find(|known| test.contains(known.test)).map_or("", |known| known.why);
                lines.push(format!("  known: {} {test}: {why}", row.name));
            }
        }
        lines.extend(self.not_built.iter().map(|(package, why)| format!("  not built: {package}: {why}")));
        lines.join("\n")
    }
}

/// Returns how many tests passed, failed and were ignored, if a line says so.
fn result(line: &str) -> Option<[usize; 3]> {
    let counts = line.strip_prefix("test result: ")?;
    let count = |what| counts.split(['.', ';']).find_map(|part| part.trim().strip_suffix(what)?.parse().ok());
    Some([count(" passed")?, count(" failed")?, count(" ignored")?])
}

impl Row {
    fn line(&self) -> String {
        format!(
            "{:<44} {:>7} {:>7} {:>7} {:>8} {:>11}  {}",
            self.name,
            self.passed,
            self.failed.len(),
            self.known.len(),
            self.ignored,
            self.unfinished,
            self.ended
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_failed_is_kept_apart_from_what_is_known_and_what_never_ended() {
        let mut results = Results::new("# wine\nrenames: wine refuses to rename over an open file\n");
        let printed = "running 6 tests\ntest a ... ok\ntest b ... FAILED\ntest it_renames ... FAILED\ntest c ... ignored, later\n\
                       test d has been running for over 60 seconds\nended with 124";
        results.take("nofx-fs", "lib", printed);
        let table = results.table();
        assert!(
            table.contains(
                "nofx-fs lib                                        1       1       1        1           2  124"
            ),
            "{table}"
        );
        assert!(table.contains("  failed: nofx-fs lib b"), "{table}");
        assert!(table.contains("  known: nofx-fs lib it_renames: wine refuses"), "{table}");
        assert!(matches!(results.outcome(""), StepOutcome::Failed(why) if why.contains("1 failed, 2 did not finish")));
        assert!(matches!(results.outcome("nofx-node"), StepOutcome::PassedWith(_)));
    }

    #[test]
    fn what_tests_print_hides_no_verdict() {
        let mut results = Results::new("");
        let printed = "running 3 tests\ntest a ... trials 7\nok\nrunning 22 tests\ntest result: FAILED. 0 passed; 22 failed; 0 ignored\n\
                       test b ... 12 seeds\nFAILED\ntest c ... ignored\n\
                       test result: FAILED. 1 passed; 1 failed; 1 ignored; 0 measured; 4 filtered out; finished in 2.35s\nended with 101";
        results.take("nofx", "damage", printed);
        let table = results.table();
        assert!(table.contains("1       1       0        1           0  101"), "{table}");
        assert!(table.contains("failed: nofx damage 1 without a name"), "{table}");
    }

    #[test]
    fn a_program_that_ends_badly_after_its_last_test_has_failed() {
        let mut results = Results::new("");
        results.take("nofx-fs", "lib", "running 1 test\ntest a ... ok\nended with 5");
        assert!(matches!(results.outcome(""), StepOutcome::Failed(why) if why.contains("1 failed")));
        assert!(results.table().contains("failed: nofx-fs lib the program as a whole, which ended with 5"));
    }

    #[test]
    fn known_differences_fail_nothing() {
        let mut results = Results::new("renames: wine");
        results.take("nofx-fs", "lib", "running 1 test\ntest it_renames ... FAILED\nended with 101");
        assert!(matches!(results.outcome(""), StepOutcome::PassedWith(_)));
    }
}
