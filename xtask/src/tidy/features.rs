//! Every cargo feature says, in a comment right above it, what it adds and who should turn it on.

use super::Violation;
use super::manifest::section;

pub(super) fn check(path: &str, manifest: &str) -> Vec<Violation> {
    let mut findings = Vec::new();
    let mut above_is_comment = false;
    let mut open_lists = 0;
    for (number, line) in section(manifest, "features") {
        let feature = name_of_feature(line).filter(|_| open_lists == 0);
        if let Some(feature) = feature
            && !above_is_comment
        {
            let message = format!("feature `{feature}` has no comment right above it; say what it adds and costs");
            findings.push(Violation::of_line(path, number, message));
        }
        above_is_comment = line.starts_with('#');
        if !above_is_comment {
            open_lists += line.matches('[').count();
            open_lists = open_lists.saturating_sub(line.matches(']').count());
        }
    }
    findings
}

fn name_of_feature(line: &str) -> Option<&str> {
    let (name, _) = line.split_once('=')?;
    (!line.starts_with('#')).then(|| name.trim().trim_matches('"'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_comment_right_above_each_feature_is_enough() {
        let manifest = "[features]\n# What most hosts want.\ndefault = [\"redb\"]\n\n\
            # The embedded backend.\n# Costs half a megabyte.\nredb = [\n    \"dep:nofx-redb\", # a = b\n]\n";
        assert_eq!(check("nofx/Cargo.toml", manifest), []);
    }

    #[test]
    fn a_feature_without_a_comment_is_named_with_its_line() {
        let manifest =
            "[features]\n# What most hosts want.\ndefault = []\nfs = []\n\n# A comment too far away.\n\ncli = []\n";
        let findings = check("nofx/Cargo.toml", manifest);
        let lines: Vec<_> = findings.iter().map(|finding| finding.line).collect();
        assert_eq!(lines, [Some(4), Some(8)]);
        assert!(findings[0].message.contains("`fs`"));
    }

    #[test]
    fn other_sections_need_no_comments() {
        assert_eq!(check("nofx/Cargo.toml", "[dependencies]\nnofx-core = \"1\"\n"), []);
    }
}
