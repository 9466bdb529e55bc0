//! What a page says that TypeScript has is there, and some test calls it.

use super::Finding;
use super::tree::Tree;

const PAGE: &str = "docs/parity.md";

/// What heads the column.
const HEAD: &str = "in TypeScript";

/// Where the verbs are.
const VERBS: &str = "nofx-node/ts/workspace.ts";

/// Where their tests are.
const TESTS: &str = "nofx-node/test/";

pub(super) fn check(tree: &Tree) -> Vec<Finding> {
    let (mut findings, mut column) = (Vec::new(), None);
    for (index, line) in tree.text(PAGE).lines().enumerate() {
        let cells: Vec<&str> = line.split(" | ").collect();
        if !line.starts_with('|') {
            column = None;
        } else if column.is_none() {
            column = cells.iter().position(|cell| *cell == HEAD);
            if column.is_none() {
                findings.push(Finding::of_line(PAGE, index + 1, format!("has a table without the column `{HEAD}`")));
            }
        }
        let Some(cell) = column.and_then(|column| cells.get(column)) else { continue };
        for verb in cell.split('`').skip(1).step_by(2) {
            if !is_defined(tree.text(VERBS), verb) {
                findings.push(Finding::of_line(
                    PAGE,
                    index + 1,
                    format!("names `{verb}`, which {VERBS} does not have"),
                ));
            } else if !is_called(tree, verb) {
                findings.push(Finding::of_line(
                    PAGE,
                    index + 1,
                    format!("names `{verb}`, which no test in {TESTS} calls"),
                ));
            }
        }
    }
    findings
}

/// Returns whether a line begins a function or a method of this name.
fn is_defined(code: &str, verb: &str) -> bool {
    code.lines().any(|line| {
        let line = line.trim_start().trim_start_matches("export ").trim_start_matches("async ");
        let line = line.trim_start_matches("function ").trim_start_matches('*');
        line.strip_prefix(verb).is_some_and(|rest| rest.starts_with(['(', '<']))
    })
}

fn is_called(tree: &Tree, verb: &str) -> bool {
    let call = format!("{verb}(");
    let is_whole = |text: &str, at: usize| text.get(..at).is_some_and(|before| before.ends_with(['.', ' ', '(']));
    let tests = tree.files().filter(|(path, _)| path.starts_with(TESTS));
    tests.into_iter().any(|(_, text)| text.match_indices(&call).any(|(at, _)| is_whole(text, at)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_verb_that_is_not_there_or_that_nothing_tries_is_found_with_its_line() {
        let verbs =
            (VERBS, "export async function open(x) {}\n  async *summaries(filter) {\n  stats<T>(): T {\n  stats();\n");
        let test = ("nofx-node/test/a.test.ts", "await open('x');\nfor await (const s of workspace.summaries()) {}\n");
        let found = |row: &str| {
            let page = format!(
                "# Parity\n\n| it offered | now | in TypeScript | shown by |\n| --- | --- | --- | --- |\n{row}\n"
            );
            check(&Tree::of(&[verbs, test, (PAGE, &page)]))
        };
        assert_eq!(found("| a | `x` | `open`, `summaries` | `y::z` |"), []);
        assert_eq!(found("| a | `x` | as above | `y::z` |"), []);
        let missing = found("| a | `x` | `summary` | `y::z` |");
        assert!(missing.len() == 1 && missing[0].line == Some(5) && missing[0].message.contains("does not have"));
        let untested = found("| a | `x` | `stats` | `y::z` |");
        assert!(untested.len() == 1 && untested[0].message.contains("no test"));
        let tree = Tree::of(&[verbs, test, (PAGE, "| it offered | now |\n| --- | --- |\n")]);
        assert!(check(&tree).iter().any(|finding| finding.message.contains("without the column")));
    }
}
