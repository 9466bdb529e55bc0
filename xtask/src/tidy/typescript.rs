//! What a page says about TypeScript exists, and a test calls it; and the page covers every verb that Rust has.

use super::Violation;
use crate::tree::Tree;

const PAGE: &str = "docs/parity.md";

/// The heading of the column.
const HEAD: &str = "in TypeScript";

/// Where the verbs are.
const VERBS: &str = "nofx-node/ts/workspace.ts";

/// Where the verbs of Rust are.
const RUST_VERBS: &str = "nofx-core/src/workspace/";

/// The first line of the table that has each of them.
const RUST_HEAD: &str = "| in Rust | in TypeScript |";

/// Where their tests are.
const TESTS: &str = "nofx-node/test/";

pub(super) fn check(tree: &Tree) -> Vec<Violation> {
    let (mut findings, mut column) = (Vec::new(), None);
    for (index, line) in tree.text(PAGE).lines().enumerate() {
        let cells: Vec<&str> = line.trim_end_matches(" |").split(" | ").collect();
        if !line.starts_with('|') {
            column = None;
        } else if column.is_none() {
            column = cells.iter().position(|cell| *cell == HEAD);
            if column.is_none() {
                findings.push(Violation::of_line(PAGE, index + 1, format!("has a table without the column `{HEAD}`")));
            }
        }
        let Some(cell) = column.and_then(|column| cells.get(column)) else { continue };
        for verb in cell.split('`').skip(1).step_by(2) {
            if !is_defined(tree.text(VERBS), verb) {
                findings.push(Violation::of_line(
                    PAGE,
                    index + 1,
                    format!("names `{verb}`, which {VERBS} does not have"),
                ));
            } else if !is_called(tree, verb) {
                findings.push(Violation::of_line(
                    PAGE,
                    index + 1,
                    format!("names `{verb}`, which no test in {TESTS} calls"),
                ));
            }
        }
    }
    let told = rust_verbs_of_page(tree.text(PAGE));
    for verb in rust_verbs(tree) {
        if !told.contains(&verb.as_str()) {
            let message = format!("has no row for `{verb}` of `Workspace` in the table that begins `{RUST_HEAD}`");
            findings.push(Violation::of_file(PAGE, message));
        }
    }
    findings
}

/// Returns the verbs in the first column of the table of all verbs.
fn rust_verbs_of_page(page: &str) -> Vec<&str> {
    let rows = page.lines().skip_while(|line| *line != RUST_HEAD).take_while(|line| line.starts_with('|'));
    let cells = rows.filter_map(|row| row.split(" | ").next());
    cells.flat_map(|cell| cell.split('`').skip(1).step_by(2)).collect()
}

/// Returns the public methods of `Workspace`.
fn rust_verbs(tree: &Tree) -> Vec<String> {
    let mut verbs = Vec::new();
    for (_, text) in tree.files().filter(|(path, _)| path.starts_with(RUST_VERBS)) {
        let mut is_workspace = false;
        for line in text.lines() {
            match line {
                "}" => is_workspace = false,
                "impl Workspace {" => is_workspace = true,
                _ => {}
            }
            let Some(verb) = line.strip_prefix("    pub fn ").or_else(|| line.strip_prefix("    pub async fn ")) else {
                continue;
            };
            if is_workspace {
                verbs.push(verb.split(['(', '<']).next().unwrap_or_default().to_owned());
            }
        }
    }
    verbs
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
        let rust = (
            "nofx-core/src/workspace/a.rs",
            "impl Workspace {\n    pub fn stats(&self) {}\n    pub async fn tail<T>(&self) {}\n}\nimpl Other {\n    pub fn x(&self) {}\n}\n",
        );
        let page = "| in Rust | in TypeScript |\n| --- | --- |\n| `stats` | `open` |\n";
        let found = check(&Tree::of(&[verbs, test, rust, (PAGE, page)]));
        assert!(found.len() == 1 && found[0].message.contains("no row for `tail`"), "{found:?}");
        let tree = Tree::of(&[verbs, test, (PAGE, "| it offered | now |\n| --- | --- |\n")]);
        assert!(check(&tree).iter().any(|finding| finding.message.contains("without the column")));
    }
}
