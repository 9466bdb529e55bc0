//! Words that do not belong in the tree: paths that exist on one machine only.

use super::Finding;

/// Beginnings of paths that mean something on one machine only.
const PLACES: [&str; 3] = ["/work/", "/root/", "../shared"];

/// Spells the paths out, so it is the only file that may.
const THIS_FILE: &str = "xtask/src/tidy/words.rs";

pub(super) fn check(path: &str, text: &str) -> Vec<Finding> {
    if path == THIS_FILE {
        return Vec::new();
    }
    let mut findings = Vec::new();
    for (index, line) in text.lines().enumerate() {
        for place in PLACES.iter().filter(|place| begins_a_path(line, place)) {
            let message = format!("names `{place}`, a place on one machine; say what is meant instead");
            findings.push(Finding::of_line(path, index + 1, message));
        }
    }
    findings
}

/// Returns whether a path in the line starts with `place`: inside `docs/work/` or an address it means nothing.
fn begins_a_path(line: &str, place: &str) -> bool {
    line.match_indices(place).any(|(start, _)| {
        let before = line.get(..start).and_then(|before| before.chars().next_back());
        !before.is_some_and(|symbol| symbol.is_alphanumeric() || matches!(symbol, '.' | '_' | '-' | '/' | '}'))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_of_one_machine_is_found_with_its_line() {
        for line in ["see /work/a", "(`/work/x`)", "cd \"/root/a\"", "read ../shared/a.md", "/work/"] {
            let findings = check("README.md", &format!("# Title\n{line}\n"));
            assert_eq!(findings.len(), 1, "{line}");
            assert_eq!(findings[0].line, Some(2), "{line}");
        }
    }

    #[test]
    fn other_paths_may_end_in_the_same_words() {
        for line in ["docs/work/plan.md", "https://example.org/work/", "$HOME/work/a", "the working set", "a/../shared"]
        {
            assert_eq!(check("README.md", line), [], "{line}");
        }
    }

    #[test]
    fn the_list_itself_is_not_a_finding() {
        assert_eq!(check(THIS_FILE, include_str!("words.rs")), []);
    }
}
