//! Public items that nothing outside their crate names.
//!
//! Names are compared, not what they mean: an item with a common name passes. What is found is certain.

use std::collections::{BTreeMap, BTreeSet};

use super::listing::{PublicItem, Sort};
use crate::tidy::Violation;
use crate::tree::Tree;

/// Items that stay public without a user, and why.
const KEPT: [(&str, &str); 3] = [
    ("nofx_core::SystemClock", "the clock to combine with other ids, as `RandomIds` is with another clock"),
    ("nofx_core::kind::TRANSCRIPT_IN", "the table of kinds is public as a whole"),
    ("nofx_testkit::Faulty::on_reads", "for the tests of backends to come"),
];

/// Where each word of the tree is: the crates whose sources have it, and `""` for tests, examples and pages.
pub(super) struct Words<'a>(BTreeMap<&'a str, BTreeSet<&'a str>>);

impl<'a> Words<'a> {
    pub(super) fn of(tree: &'a Tree) -> Self {
        let mut words: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
        let is_read = |path: &str| path.ends_with(".rs") || path.ends_with(".md");
        for (path, text) in tree.files().filter(|(path, _)| is_read(path) && !path.starts_with("CHANGELOG")) {
            let owner = path.split_once("/src/").map_or("", |(owner, _)| owner);
            for word in text.split(|symbol: char| !symbol.is_alphanumeric() && symbol != '_') {
                words.entry(word).or_default().insert(owner);
            }
        }
        Self(words)
    }

    fn has_outside(&self, word: &str, folder: &str) -> bool {
        self.0.get(word).is_some_and(|owners| owners.iter().any(|owner| *owner != folder))
    }
}

/// Finds the items of a crate in `folder` that neither its own tests nor anything outside it names. A type may instead be named by
/// another item, such as a function that returns it.
pub(super) fn check(page: &str, folder: &str, items: &[PublicItem], words: &Words<'_>) -> Vec<Violation> {
    let is_kept = |path: &str| KEPT.iter().any(|(kept, _)| path == *kept);
    let unused = items.iter().filter(|item| item.sort == Sort::Item && !is_kept(&item.path)).filter(|item| {
        let name = item.path.rsplit("::").next().unwrap_or(&item.path);
        !words.has_outside(name, folder) && !is_in_another(name, item, items)
    });
    let told = |item: &PublicItem| {
        let message = "is named by no other crate, test, example or page; make it private";
        Violation::of_file(page, format!("`{}` {message}", item.line))
    };
    unused.map(told).collect()
}

fn is_in_another(name: &str, item: &PublicItem, items: &[PublicItem]) -> bool {
    let begin = format!("{}::", item.path);
    let others = items.iter().filter(|other| other.path != item.path && !other.path.starts_with(&begin));
    let has_name =
        |line: &str| line.split(|symbol: char| !symbol.is_alphanumeric() && symbol != '_').any(|word| word == name);
    others.map(|other| &other.line).any(|line| has_name(line))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_item_without_a_user_is_found_unless_another_item_has_it_in_its_signature() {
        let files = [
            ("a/src/lib.rs", "fn f() { alone(); Type::new(); held(); }"),
            ("b/src/lib.rs", "use a::used;"),
            ("a/tests/a.rs", "tested();"),
            ("docs/api/a.txt", "alone"),
            ("CHANGELOG.md", "alone"),
        ];
        let tree = Tree::of(&files);
        let item =
            |name: &str, line: &str| PublicItem { path: format!("a::{name}"), sort: Sort::Item, line: line.to_owned() };
        let field = PublicItem { sort: Sort::Part, ..item("Type::field", "pub a::Type::field: u8") };
        let items = [
            item("alone", "pub fn a::alone()"),
            item("used", "pub fn a::used() -> Type"),
            item("tested", "pub fn a::tested()"),
            item("Type", "pub struct a::Type"),
            item("Type::new", "pub fn a::Type::new() -> Type"),
            item("Alone", "pub enum a::Alone"),
            item("Alone::used", "pub fn a::Alone::used() -> Alone"),
            field,
        ];
        let found = check("docs/api/a.txt", "a", &items, &Words::of(&tree));
        let told: Vec<_> = found.iter().map(|finding| finding.to_string()).collect();
        let expected = ["`pub fn a::alone()`", "`pub fn a::Type::new() -> Type`", "`pub enum a::Alone`"];
        assert_eq!(told.len(), expected.len(), "{told:?}");
        for (told, expected) in told.iter().zip(expected) {
            assert!(told.starts_with(&format!("docs/api/a.txt: {expected} is named by no other")), "{told}");
        }
    }
}
