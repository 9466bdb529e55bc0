//! Words that do not belong in the tree: paths that exist on one machine only, and words that read translated.

use super::Violation;
use crate::tree::Tree;

/// Beginnings of paths that mean something on one machine only.
const PLACES: [&str; 3] = ["/work/", "/root/", "../shared"];

/// Spells the paths out, so it is the only file that may.
const THIS_FILE: &str = "xtask/src/tidy/words.rs";

/// Stiff words that have a plainer one: "no process", "another process", "the caller", "again", "concurrently".
const STIFF: [&str; 5] = ["nobody", "somebody", "whoever", "anew", "meanwhile"];

/// How many of them may stay: names of codes and options, and what people say in a sample.
const STIFF_AT_MOST: usize = 40;

/// Counts the stiff words of all files, but for those of the sample workspace.
pub(super) fn check_stiff(tree: &Tree) -> Option<Violation> {
    let counts = tree.files().filter(|(path, _)| *path != THIS_FILE && !path.starts_with("samples/legacy/"));
    let mut counts: Vec<_> =
        counts.map(|(path, text)| (stiff_words(text), path)).filter(|(count, _)| *count > 0).collect();
    let all: usize = counts.iter().map(|(count, _)| count).sum();
    counts.sort_unstable();
    let (_, most) = counts.last().filter(|_| all > STIFF_AT_MOST)?;
    Some(Violation::of_file(
        most,
        format!("{all} times in all files one of {STIFF:?}, {STIFF_AT_MOST} at most; most are here"),
    ))
}

fn stiff_words(text: &str) -> usize {
    let words = text.split(|symbol: char| !symbol.is_alphanumeric() && symbol != '_');
    words.filter(|word| STIFF.iter().any(|stiff| word.eq_ignore_ascii_case(stiff))).count()
}

pub(super) fn check(path: &str, text: &str) -> Vec<Violation> {
    if path == THIS_FILE {
        return Vec::new();
    }
    let mut findings = Vec::new();
    for (index, line) in text.lines().enumerate() {
        for place in PLACES.iter().filter(|place| begins_a_path(line, place)) {
            let message = format!("names `{place}`, a place on one machine; say what is meant instead");
            findings.push(Violation::of_line(path, index + 1, message));
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
    fn stiff_words_are_counted_over_all_files_and_the_file_with_most_is_named() {
        let (few, many) = ("Nobody, anew.".repeat(20), "whoever (somebody) ".repeat(11));
        let is_fine = [("a.md", &*few), ("samples/legacy/a.md", &*many), ("b.rs", "fn nobody_waits() {}")];
        assert_eq!(check_stiff(&Tree::of(&is_fine)), None);
        let found = check_stiff(&Tree::of(&[("a.md", &*few), ("b.md", &*many)])).unwrap();
        assert_eq!((&*found.path, found.message.starts_with("62 times")), ("a.md", true));
    }

    #[test]
    fn the_list_itself_is_not_a_finding() {
        assert_eq!(check(THIS_FILE, include_str!("words.rs")), []);
    }
}
