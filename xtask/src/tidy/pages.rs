//! Every backend, and the journal of the local ones, documents its format in `docs/format/`.

use super::Violation;
use super::dependencies::Role;
use crate::tree::{Tree, relative};
use crate::workspace::Package;

pub(super) fn check(packages: &[Package], tree: &Tree) -> Vec<Violation> {
    let writes = |package: &&Package| matches!(Role::of(&package.name), Some(Role::Backend | Role::Journal));
    let grown = packages.iter().filter(writes).filter(|package| !is_placeholder(package, tree));
    grown.filter_map(|package| missing_page(package, tree)).collect()
}

fn missing_page(backend: &Package, tree: &Tree) -> Option<Violation> {
    let name = backend.name.strip_prefix("nofx-").unwrap_or(&backend.name);
    let page = format!("docs/format/{name}.md");
    let missing = tree.text(&page).trim().is_empty();
    missing.then(|| Violation::of_file(&page, format!("is missing; show the bytes that {} writes", backend.name)))
}

/// Returns whether the crate has no code yet: a library of comments only.
fn is_placeholder(backend: &Package, tree: &Tree) -> bool {
    let Some(library) = backend.library() else {
        return true;
    };
    let is_comment = |line: &str| line.trim().is_empty() || line.trim().starts_with("//");
    tree.text(&relative(library)).lines().all(is_comment)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packages(name: &str) -> Vec<Package> {
        let package = format!(
            r#"[{{"name": "{name}", "manifest_path": "{name}/Cargo.toml", "features": {{}}, "dependencies": [],
                "targets": [{{"kind": ["lib"], "src_path": "{name}/src/lib.rs"}}]}}]"#
        );
        serde_json::from_str(&package).unwrap()
    }

    #[test]
    fn a_backend_with_code_needs_a_page_that_says_something() {
        let code = ("nofx-redb/src/lib.rs", "//! Stores.\nmod table;\n");
        assert_eq!(check(&packages("nofx-redb"), &Tree::of(&[code])).len(), 1);
        let journal = ("nofx-journal/src/lib.rs", "mod segment;\n");
        assert_eq!(check(&packages("nofx-journal"), &Tree::of(&[journal])).len(), 1);
        assert_eq!(check(&packages("nofx-redb"), &Tree::of(&[code, ("docs/format/redb.md", "\n")])).len(), 1);
        assert_eq!(check(&packages("nofx-redb"), &Tree::of(&[code, ("docs/format/redb.md", "# redb\n")])), []);
    }

    #[test]
    fn a_placeholder_and_a_crate_that_is_no_backend_need_none() {
        let placeholder = Tree::of(&[("nofx-fs/src/lib.rs", "//! Empty until its own work begins.\n")]);
        assert_eq!(check(&packages("nofx-fs"), &placeholder), []);
        let core = Tree::of(&[("nofx-core/src/lib.rs", "mod store;\n")]);
        assert_eq!(check(&packages("nofx-core"), &core), []);
    }
}
