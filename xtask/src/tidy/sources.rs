//! Rules for source files: a front page, a meaningful name, and no I/O in core.

use super::Violation;

/// What reaches outside the program, and has no place in nofx-core.
const IO: [&str; 6] = ["std::fs", "std::net", "std::process", "tokio::fs", "tokio::net", "tokio::process"];

/// Finds a library without a front page.
pub(super) fn starts_with_docs(path: &str, text: &str) -> Option<Violation> {
    (!text.starts_with("//!")).then(|| Violation::of_file(path, "does not start with `//!`; say what the crate is"))
}

/// Finds a file or folder with a meaningless name.
pub(super) fn is_well_named(path: &str) -> Option<Violation> {
    let nameless = path.split('/').any(|part| {
        let stem = part.split('.').next().unwrap_or(part);
        part.starts_with("util") && (part.ends_with(".rs") || matches!(stem, "util" | "utils" | "utilities"))
    });
    nameless.then(|| Violation::of_file(path, "is named `util`; a helper that deserves to exist deserves a name"))
}

/// Finds files, sockets and processes in a source of nofx-core, in paths and in `use` trees.
pub(super) fn does_no_io(path: &str, text: &str) -> Vec<Violation> {
    let code = without_comments(text);
    let mut findings = Vec::new();
    for (root, module) in IO.iter().filter_map(|path| path.split_once("::")) {
        for place in mentions(&code, root, module) {
            let line = code.get(..place).map_or(0, |before| before.matches('\n').count()) + 1;
            let message = format!("uses {root}::{module}; core does no I/O, so this belongs above or below it");
            findings.push(Violation::of_line(path, line, message));
        }
    }
    findings
}

fn without_comments(text: &str) -> String {
    let code = text.lines().map(|line| line.split("//").next().unwrap_or_default());
    code.collect::<Vec<_>>().join("\n")
}

/// Returns where `root::module` occurs, written that way or as `root::{…, module, …}`.
fn mentions(code: &str, root: &str, module: &str) -> Vec<usize> {
    let prefix = format!("{root}::");
    let starts = code.match_indices(&prefix).filter(|(place, _)| !ends_in_word(code.get(..*place)));
    let named = starts.filter(|(place, _)| {
        let rest = code.get(place + prefix.len()..).unwrap_or_default();
        match rest.strip_prefix('{') {
            Some(group) => names_in_group(group).iter().any(|name| name == module),
            None => first_word(rest) == module,
        }
    });
    named.map(|(place, _)| place).collect()
}

/// Returns the first word of each item of a `use` group, whose opening brace was just read.
fn names_in_group(group: &str) -> Vec<String> {
    let mut depth = 0;
    let mut item = String::new();
    let mut names = Vec::new();
    for symbol in group.chars() {
        match symbol {
            '{' => depth += 1,
            '}' if depth == 0 => break,
            '}' => depth -= 1,
            ',' if depth == 0 => names.push(first_word(&std::mem::take(&mut item)).to_owned()),
            _ if depth == 0 => item.push(symbol),
            _ => {}
        }
    }
    names.push(first_word(&item).to_owned());
    names
}

fn first_word(text: &str) -> &str {
    let text = text.trim_start();
    let end = text.find(|symbol: char| !is_word(symbol)).unwrap_or(text.len());
    text.get(..end).unwrap_or_default()
}

fn ends_in_word(text: Option<&str>) -> bool {
    text.and_then(|text| text.chars().next_back()).is_some_and(is_word)
}

fn is_word(symbol: char) -> bool {
    symbol.is_alphanumeric() || symbol == '_'
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_library_starts_with_its_front_page() {
        assert_eq!(starts_with_docs("a/src/lib.rs", "//! Stores things.\n"), None);
        assert!(starts_with_docs("a/src/lib.rs", "mod a;\n//! Late.\n").is_some());
        assert!(starts_with_docs("a/src/lib.rs", "").is_some());
    }

    #[test]
    fn a_name_that_says_nothing_is_found_wherever_it_stands() {
        for path in ["a/src/util.rs", "a/src/utils.rs", "a/src/util/mod.rs", "utils/lib.rs", "a/src/utilities.rs"] {
            assert!(is_well_named(path).is_some(), "{path}");
        }
        for path in ["a/src/futile.rs", "a/src/clock.rs", "docs/utility-bill.md"] {
            assert!(is_well_named(path).is_none(), "{path}");
        }
    }

    #[test]
    fn io_in_core_is_found_with_its_line() {
        let findings = does_no_io("nofx-core/src/a.rs", "use a::b;\n\nlet x = std::fs::read(path);\n");
        assert_eq!(findings.len(), 1);
        assert_eq!(findings[0].line, Some(3));
        assert!(findings[0].message.contains("std::fs"));
    }

    #[test]
    fn io_is_found_inside_use_groups_too() {
        for line in [
            "use std::{collections::{BTreeMap, BTreeSet}, fs, sync::Arc};",
            "use std::{\n    fmt,\n    net::{TcpStream, UdpSocket},\n};",
            "use tokio::{sync::oneshot, fs::File};",
            "use std::process::Command;",
        ] {
            assert_eq!(does_no_io("nofx-core/src/a.rs", line).len(), 1, "{line}");
        }
    }

    #[test]
    fn what_only_looks_like_io_is_left_alone() {
        for line in [
            "// Not std::fs: core does no I/O.",
            "use std::{fmt, collections::hash_map::{self, fs}};",
            "use std::fmt; let fs = 1;",
            "use mystd::fs;",
            "use std::fs_like;",
            "use tokio::sync::{mpsc, oneshot};\nuse a::{fs, net};",
        ] {
            assert_eq!(does_no_io("nofx-core/src/a.rs", line), [], "{line}");
        }
    }
}
