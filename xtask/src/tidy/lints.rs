//! Every member inherits the workspace's lints.

use super::Finding;
use super::manifest::section;

pub(super) fn check(path: &str, manifest: &str) -> Option<Finding> {
    let inherits = section(manifest, "lints").iter().any(|(_, line)| {
        let line = line.split('#').next().unwrap_or_default();
        line.split_whitespace().collect::<String>() == "workspace=true"
    });
    (!inherits).then(|| Finding::of_file(path, "does not inherit the lints; add `[lints]` with `workspace = true`"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn inheriting_is_enough() {
        assert_eq!(check("a/Cargo.toml", "[lints]\nworkspace = true # as everywhere\n"), None);
    }

    #[test]
    fn no_section_or_lints_of_ones_own_are_found() {
        for manifest in
            ["", "[package]\nname = \"a\"\n", "[lints]\nworkspace = false\n", "[lints]\n# workspace = true\n"]
        {
            assert!(check("a/Cargo.toml", manifest).is_some(), "{manifest}");
        }
    }
}
