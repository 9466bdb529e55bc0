//! Every member inherits the workspace's lints, or repeats them if a macro's generated code prevents that.

use super::Violation;
use super::manifest::section;

/// The tables of lints: the name of each in a member and in the workspace.
const TABLES: [(&str, &str); 2] = [("lints.rust", "workspace.lints.rust"), ("lints.clippy", "workspace.lints.clippy")];

/// The one lint that may be weaker: third-party macros may allow what is denied, but not what is forbidden.
const FORBIDDEN: &str = "unsafe_code=\"forbid\"";
const DENIED: &str = "unsafe_code=\"deny\"";

pub(super) fn check(path: &str, manifest: &str, workspace: &str) -> Option<Violation> {
    let inherits = lines(manifest, "lints").iter().any(|line| line == "workspace=true");
    let fine = inherits || TABLES.iter().all(|(own, shared)| repeats(&lines(manifest, own), &lines(workspace, shared)));
    (!fine).then(|| Violation::of_file(path, "does not inherit the lints; add `[lints]` with `workspace = true`"))
}

/// Returns whether a member's own table has every lint of the workspace's.
fn repeats(own: &[String], shared: &[String]) -> bool {
    let has = |lint: &String| own.contains(lint) || (lint == FORBIDDEN && own.iter().any(|line| line == DENIED));
    !own.is_empty() && shared.iter().all(has)
}

/// Returns the lines of a section without comments and white space.
fn lines(manifest: &str, name: &str) -> Vec<String> {
    let bare = |line: &str| line.split('#').next().unwrap_or_default().split_whitespace().collect::<String>();
    section(manifest, name).iter().map(|(_, line)| bare(line)).filter(|line| !line.is_empty()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const WORKSPACE: &str = "[workspace.lints.rust]\nunsafe_code = \"forbid\"\nmissing_docs = \"warn\"\n\n\
        [workspace.lints.clippy]\ntodo = \"warn\"\n";

    #[test]
    fn inheriting_is_enough() {
        assert_eq!(check("a/Cargo.toml", "[lints]\nworkspace = true # as everywhere\n", WORKSPACE), None);
    }

    #[test]
    fn repeating_every_lint_is_enough_and_unsafe_code_may_be_denied() {
        let own = "[lints.rust]\n# A reason.\nunsafe_code = \"deny\"\nmissing_docs = \"warn\"\n[lints.clippy]\ntodo = \"warn\"\n";
        assert_eq!(check("a/Cargo.toml", own, WORKSPACE), None);
        for (from, to) in [("deny", "warn"), ("missing_docs", "other"), ("todo = \"warn\"", "todo = \"allow\"")] {
            assert!(check("a/Cargo.toml", &own.replace(from, to), WORKSPACE).is_some(), "{from} -> {to}");
        }
    }

    #[test]
    fn no_section_or_lints_of_ones_own_are_found() {
        for manifest in
            ["", "[package]\nname = \"a\"\n", "[lints]\nworkspace = false\n", "[lints]\n# workspace = true\n"]
        {
            assert!(check("a/Cargo.toml", manifest, WORKSPACE).is_some(), "{manifest}");
        }
    }
}
