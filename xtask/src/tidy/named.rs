//! Pages that name tests as their proof name tests that exist.

use super::Violation;
use crate::tree::Tree;

/// The pages, each of which names a test as `` `subject::the_claim` ``.
const PAGES: [&str; 3] = ["docs/parity.md", "docs/bad-input.md", "docs/costs.md"];

pub(super) fn check(tree: &Tree) -> Vec<Violation> {
    let mut findings = Vec::new();
    for page in PAGES {
        for (index, line) in tree.text(page).lines().enumerate() {
            for name in quoted(line).filter(|name| is_test(name) && !exists(tree, name)) {
                findings.push(Violation::of_line(
                    page,
                    index + 1,
                    format!("names `{name}`, but there is no such test"),
                ));
            }
        }
    }
    findings
}

/// Returns what is between back quotes.
fn quoted(line: &str) -> impl Iterator<Item = &str> {
    line.split('`').skip(1).step_by(2)
}

fn is_test(name: &str) -> bool {
    let is_word =
        |part: &str| !part.is_empty() && part.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_');
    name.contains("::") && name.split("::").all(is_word)
}

fn exists(tree: &Tree, name: &str) -> bool {
    let claim = name.rsplit("::").next().unwrap_or(name);
    let definition = format!("fn {claim}(");
    tree.files().any(|(path, text)| path.ends_with(".rs") && text.contains(&definition))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_test_that_is_gone_is_found_with_its_line() {
        let code = ("a/src/cases.rs", "pub(super) async fn it_works(subject: Subject) {}\n");
        let page = |text| Tree::of(&[code, ("docs/parity.md", text)]);
        assert_eq!(check(&page("`Store::close`, `cases::it_works` and `<any>::case`\n")), []);
        let findings = check(&page("# Parity\n`cases::it_does_not`\n"));
        assert_eq!((findings.len(), findings[0].line), (1, Some(2)));
    }
}
