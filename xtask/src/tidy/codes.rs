//! Every code in a migration's report is explained, with what to do about it.

use std::collections::BTreeSet;

use super::Violation;
use crate::tree::Tree;

const PAGE: &str = "docs/migration.md";

/// The sources whose reports have codes.
const SOURCES: [&str; 2] = ["nofx-migrate/src/import/", "nofx-migrate/src/legacy/"];

/// What precedes a code.
const BEFORE: [&str; 5] = ["find(", "damaged(", "note(", "push((", "keep_late(at,"];

/// What follows a code.
const BEHIND: [&str; 3] = [", Level::", ", crate::report::Level::", ", format!("];

pub(super) fn check(tree: &Tree) -> Vec<Violation> {
    let explained = explained(tree.text(PAGE));
    let mut findings = Vec::new();
    let mut all = BTreeSet::new();
    for (path, text) in tree.files().filter(|(path, _)| SOURCES.iter().any(|source| path.starts_with(source))) {
        for code in codes(text) {
            if !explained.contains(code) {
                findings
                    .push(Violation::of_file(path, format!("has the code `{code}`, which {PAGE} does not explain")));
            }
            all.insert(code.to_owned());
        }
    }
    let gone = explained.iter().filter(|code| !all.contains(**code));
    findings.extend(gone.map(|code| Violation::of_file(PAGE, format!("explains `{code}`, which no report has"))));
    findings
}

/// Returns the codes in the first column of the table.
fn explained(page: &str) -> BTreeSet<&str> {
    let (_, table) = page.split_once("| code |").unwrap_or_default();
    let rows = table.lines().skip(1).take_while(|line| line.starts_with('|'));
    let cells = rows.filter(|row| row.matches('|').count() > 3).filter_map(|row| row.split('|').nth(1));
    cells.flat_map(|cell| cell.split('`').skip(1).step_by(2)).collect()
}

/// Returns the literals that are codes.
fn codes(text: &str) -> Vec<&str> {
    let (code, _) = text.split_once("#[cfg(test)]").unwrap_or((text, ""));
    let parts: Vec<&str> = code.split('"').collect();
    let is_code = |literal: &str| literal.chars().all(|c| c.is_ascii_lowercase() || c == '-') && !literal.is_empty();
    let found = parts.windows(3).filter_map(|parts| match parts {
        [before, literal, behind] if is_code(literal) => {
            let behind = behind.split_whitespace().take(2).collect::<Vec<_>>().join(" ");
            let is_marked = BEFORE.iter().any(|mark| before.trim_end().ends_with(mark));
            (is_marked || BEHIND.iter().any(|mark| behind.starts_with(mark))).then_some(*literal)
        }
        _ => None,
    });
    found.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_that_is_not_explained_is_found_and_so_is_one_that_is_gone() {
        let code = "recorder.damaged(\"cut\", (from, to), \"is cut\");\nfindings.push((\n    \"blank\",\n    Level::Note,\n));\n\
            Kept::Later(what) => {\n    (\"older\", format!(\"{what}\"))\n}\nself.report.find(\"gone-by\", Level::Missing);";
        let page =
            "| code | means | to do |\n| --- | --- | --- |\n| `cut`, `blank` | x | y |\n| `older` | a `word` | y |\n";
        let tree = |page: &str| Tree::of(&[("nofx-migrate/src/import/mod.rs", code), (PAGE, page)]);
        assert_eq!(codes(code), ["cut", "blank", "older", "gone-by"]);
        let told = |findings: Vec<Violation>| findings.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n");
        assert_eq!(check(&tree(&format!("{page}| `gone-by` | x | y |\n"))), []);
        assert!(told(check(&tree(page))).contains("`gone-by`, which docs/migration.md does not explain"));
        let stale = format!("{page}| `gone-by`, `stale` | x | y |\n");
        assert!(told(check(&tree(&stale))).contains("explains `stale`, which no report has"));
    }
}
