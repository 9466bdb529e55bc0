//! `cargo xtask api`: the public API of each library crate, as a listing in `docs/api/`.
//!
//! The listing is made from the sources with syn, and not from rustdoc's JSON: that needs an unstable option, changes with
//! the compiler, and is only there after a build. So the same listing comes from every toolchain, and tidy compares it
//! in a moment. What syn cannot know is left as it is written: a type in a signature keeps the name by which its file
//! knows it. Derived traits are not listed.

mod expand;
mod listing;
mod modules;
mod tokens;
mod users;

use std::collections::BTreeSet;
use std::process::ExitCode;

use crate::Result;
use crate::tidy::Violation;
use crate::tree::{Tree, relative};
use crate::workspace::{Package, metadata, root};
use listing::PublicItem;
use modules::Modules;
use users::Words;

/// The folder of the listings.
const FOLDER: &str = "docs/api";

/// Compare the public API of each library crate with its listing in `docs/api`, and find public items that nothing outside their crate
/// uses.
///
/// A change of the API is part of the change that makes it: write the listing, and look at what Git shows of it.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Write the listings.
    #[arg(long)]
    write: bool,
}

pub(crate) fn run(args: &Args) -> Result<ExitCode> {
    let (packages, tree) = (metadata()?.packages, Tree::read()?);
    if args.write {
        write(&packages, &tree)?;
    }
    let tree = if args.write { Tree::read()? } else { tree };
    let findings = check(&packages, &tree);
    findings.iter().for_each(|finding| eprintln!("{finding}"));
    Ok(if findings.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Finds public items that are not in their crate's listing, lines of it that no public item has, and items without a user.
pub(crate) fn check(packages: &[Package], tree: &Tree) -> Vec<Violation> {
    let (mut findings, words) = (Vec::new(), Words::of(tree));
    for (name, library) in libraries(packages) {
        match items(tree, &name, &library) {
            Ok(items) => {
                findings.extend(compare(&page(&name), tree.text(&page(&name)), &items));
                findings.extend(users::check(&page(&name), &name, &items, &words));
            }
            Err(error) => findings.push(Violation::of_file(&library, format!("cannot be listed: {error}"))),
        }
    }
    findings
}

fn compare(page: &str, listed: &str, items: &[PublicItem]) -> Vec<Violation> {
    let listed: BTreeSet<&str> = listed.lines().collect();
    let public: BTreeSet<&str> = items.iter().map(|item| &*item.line).collect();
    let lacks = public.difference(&listed).map(|line| ("lacks", line));
    let differences = lacks.chain(listed.difference(&public).map(|line| ("has no longer public", line)));
    let told = |(what, line)| format!("{what} `{line}`; run `cargo xtask api --write` if the API is to change");
    differences.map(|difference| Violation::of_file(page, told(difference))).collect()
}

fn write(packages: &[Package], tree: &Tree) -> Result {
    std::fs::create_dir_all(root().join(FOLDER))?;
    for (name, library) in libraries(packages) {
        let lines = items(tree, &name, &library)?.into_iter().map(|item| item.line + "\n");
        std::fs::write(root().join(page(&name)), lines.collect::<String>())?;
    }
    Ok(())
}

fn items(tree: &Tree, name: &str, library: &str) -> Result<Vec<PublicItem>> {
    Ok(listing::list(&name.replace('-', "_"), &Modules::read(tree, library)?))
}

/// Returns the names and root files of the crates that Rust programs use; the addon is used by Node only.
fn libraries(packages: &[Package]) -> impl Iterator<Item = (String, String)> {
    packages.iter().filter_map(|package| {
        let library = package.targets.iter().find(|target| target.kind.iter().any(|kind| kind == "lib"))?;
        Some((package.name.clone(), relative(&library.src_path)))
    })
}

fn page(name: &str) -> String {
    format!("{FOLDER}/{name}.txt")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Lists a crate of these files.
    fn listed(files: &[(&str, &str)]) -> Vec<String> {
        let items = items(&Tree::of(files), "nofx-a", "a/src/lib.rs").unwrap();
        items.into_iter().map(|item| item.line).collect()
    }

    #[test]
    fn what_another_crate_can_name_is_listed_and_nothing_else() {
        let root = "mod inner; pub mod open; mod private { pub fn no() {} }
            pub use inner::{One, deep::Two as Second}; pub use std::fmt::Debug as Show; pub use other::*; pub use open::all::*;
            #[cfg(test)] mod tests { pub fn no() {} } pub(crate) fn no() {}
            pub fn yes(mut a: u8) -> u8 { a += 1; a }";
        let files = [
            ("a/src/lib.rs", root),
            ("a/src/inner/mod.rs", "pub mod deep; pub struct One; pub struct No;"),
            ("a/src/inner/deep.rs", "pub enum Two { A, B(u8), C { d: u8 } }"),
            ("a/src/open.rs", "pub(crate) mod all { pub const LONG: &str = \"\"; const NO: u8 = 1; }"),
        ];
        let expected = [
            "pub use nofx_a::* = other::*",
            "pub const nofx_a::LONG: &str",
            "pub struct nofx_a::One",
            "pub enum nofx_a::Second",
            "pub nofx_a::Second::A",
            "pub nofx_a::Second::B(u8)",
            "pub nofx_a::Second::C { d: u8 }",
            "pub use nofx_a::Show = std::fmt::Debug",
            "pub mod nofx_a::open",
            "pub fn nofx_a::yes(a: u8) -> u8",
        ];
        assert_eq!(listed(&files), expected);
    }

    #[test]
    fn members_are_listed_under_their_type_wherever_their_implementation_is() {
        let root = "mod t; mod verbs; pub use t::T; struct Hidden;
            impl Hidden { pub fn no(&self) {} } impl Default for Hidden {}
            pub trait Named: Sized { const N: u8; type Of: Clone; fn a(&self); fn b(&self) {} }
            trait Sealed {} impl Sealed for T<u8> {} impl Named for String {}";
        let verbs = "use super::T; use std::fmt; impl<X> T<X> { pub const ALL: u8 = 1; #[cfg(feature = \"f\")] pub async fn go(mut self) {} fn no() {} }
            impl<X> fmt::Display for T<X> where X: Copy {}";
        let t = "#[derive(Debug)] #[non_exhaustive] pub struct T<X> { pub a: X, b: u8 }";
        let expected = [
            "pub trait nofx_a::Named: Sized",
            "impl Named for String",
            "const nofx_a::Named::N: u8",
            "type nofx_a::Named::Of: Clone",
            "fn nofx_a::Named::a(&self)",
            "fn nofx_a::Named::b(&self) { .. }",
            "#[non_exhaustive] pub struct nofx_a::T<X> { .. }",
            "impl<X> fmt::Display for nofx_a::T<X> where X: Copy",
            "pub const nofx_a::T::ALL: u8",
            "pub nofx_a::T::a: X",
            "#[cfg(feature = \"f\")] pub async fn nofx_a::T::go(self)",
        ];
        let files = [("a/src/lib.rs", root), ("a/src/verbs.rs", verbs), ("a/src/t.rs", t)];
        let (mut found, mut expected) = (listed(&files), expected.map(str::to_owned).to_vec());
        found.sort();
        expected.sort();
        assert_eq!(found, expected);
    }

    #[test]
    fn items_that_a_macro_of_the_crate_defines_are_listed() {
        let root = "#[macro_use] mod macros; ids! { /// One.\n One; /// Other.\n Other; } thread_local! { static NO: u8 = 1; } mod own; pub use own::*;";
        let macros =
            "macro_rules! ids { ($($(#[$doc:meta])* $name:ident;)*) => {$( $(#[$doc])* pub struct $name($crate::A);
            impl $name { pub fn of() -> Self {} } )*}; }";
        let expected = [
            "pub const nofx_a::A: u8",
            "pub struct nofx_a::One(_)",
            "pub fn nofx_a::One::of() -> Self",
            "pub struct nofx_a::Other(_)",
            "pub fn nofx_a::Other::of() -> Self",
        ];
        let own = "macro_rules! ids { ($name:ident) => { pub const $name: u8 = 1; } } ids!(A);";
        assert_eq!(listed(&[("a/src/lib.rs", root), ("a/src/macros.rs", macros), ("a/src/own.rs", own)]), expected);
    }

    #[test]
    fn a_module_has_a_file_for_each_system() {
        let root = "#[cfg_attr(unix, path = \"u.rs\")] #[cfg_attr(windows, path = \"w.rs\")] pub mod system;";
        let files = [("a/src/lib.rs", root), ("a/src/u.rs", "pub fn u() {}"), ("a/src/w.rs", "pub fn w() {}")];
        let expected = ["pub mod nofx_a::system", "pub fn nofx_a::system::u()", "pub fn nofx_a::system::w()"];
        assert_eq!(listed(&files), expected);
    }

    #[test]
    fn a_difference_from_the_listing_is_found_both_ways() {
        let items = items(&Tree::of(&[("a/src/lib.rs", "pub fn a() {} pub fn b() {}")]), "a", "a/src/lib.rs").unwrap();
        assert_eq!(compare("a.txt", "pub fn a::a()\npub fn a::b()\n", &items), []);
        let found = compare("a.txt", "pub fn a::b()\npub fn a::c()\n", &items);
        let told: Vec<_> = found.iter().map(ToString::to_string).collect();
        assert!(told[0].starts_with("a.txt: lacks `pub fn a::a()`; run `cargo xtask api --write`"), "{told:?}");
        assert!(told[1].starts_with("a.txt: has no longer public `pub fn a::c()`"), "{told:?}");
        assert_eq!(told.len(), 2);
    }
}
