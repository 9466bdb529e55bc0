//! Which crate may depend on which, checked in the manifests.
//!
//! Backends never see each other, nofx-migrate sees no backend, nofx-core sees no crate of ours, and
//! nofx-testkit serves tests only.

use std::path::Path;

use super::Violation;
use crate::tree::relative;
use crate::workspace::{Dependency, Package};

/// The role of a crate in this workspace; a new `nofx-…` crate is a backend unless listed here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    Core,
    /// Knows the operating system, and none of our crates.
    Platform,
    /// Commits for the local backends.
    Journal,
    Backend,
    Migrate,
    Testkit,
    Facade,
    /// Is part of another program and reaches the store through the facade.
    Host,
    /// Development commands, which may use everything.
    Tooling,
}

impl Role {
    /// Returns the role of one of our crates, and `None` for any other crate.
    pub(super) fn of(name: &str) -> Option<Role> {
        Some(match name {
            "nofx-core" => Role::Core,
            "nofx-platform" => Role::Platform,
            "nofx-journal" => Role::Journal,
            "nofx-migrate" => Role::Migrate,
            "nofx-testkit" => Role::Testkit,
            "nofx" => Role::Facade,
            "nofx-node" => Role::Host,
            "xtask" => Role::Tooling,
            other if other.starts_with("nofx-") => Role::Backend,
            _ => return None,
        })
    }

    fn may_use(self, other: Role) -> bool {
        match self {
            Role::Core | Role::Platform => false,
            Role::Journal | Role::Migrate => matches!(other, Role::Core | Role::Platform),
            Role::Backend => matches!(other, Role::Core | Role::Platform | Role::Journal),
            Role::Testkit => other == Role::Core,
            Role::Facade => matches!(other, Role::Core | Role::Platform | Role::Backend | Role::Migrate),
            Role::Host => matches!(other, Role::Core | Role::Facade | Role::Migrate),
            Role::Tooling => true,
        }
    }
}

pub(super) fn check(packages: &[Package]) -> Vec<Violation> {
    let mut findings = Vec::new();
    for package in packages {
        for dependency in &package.dependencies {
            if !is_allowed(&package.name, dependency) {
                findings.push(forbidden(package, dependency));
            }
        }
    }
    findings
}

fn is_allowed(from: &str, dependency: &Dependency) -> bool {
    let (Some(user), Some(used)) = (Role::of(from), Role::of(&dependency.name)) else {
        return true;
    };
    if dependency.is_dev() && (used == Role::Testkit || from == dependency.name) {
        return true;
    }
    user.may_use(used)
}

fn forbidden(package: &Package, dependency: &Dependency) -> Violation {
    let kind = if dependency.is_dev() { " (dev)" } else { "" };
    let message = format!(
        "{} must not depend on {}{kind}; see the map of crates in ARCHITECTURE.md",
        package.name, dependency.name
    );
    Violation::of_file(&relative(Path::new(&package.manifest_path)), message)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn findings(from: &str, to: &str, kind: &str) -> usize {
        let package = format!(
            r#"[{{"name": "{from}", "manifest_path": "{from}/Cargo.toml", "features": {{}}, "targets": [],
                "dependencies": [{{"name": "{to}", "kind": {kind}}}]}}]"#
        );
        check(&serde_json::from_str::<Vec<Package>>(&package).unwrap()).len()
    }

    const NORMAL: &str = "null";
    const DEV: &str = r#""dev""#;

    #[test]
    fn what_the_design_draws_is_allowed() {
        for (from, to) in [
            ("nofx-redb", "nofx-core"),
            ("nofx-fs", "nofx-journal"),
            ("nofx-journal", "nofx-platform"),
            ("nofx-migrate", "nofx-core"),
            ("nofx-testkit", "nofx-core"),
            ("nofx", "nofx-redb"),
            ("nofx", "nofx-migrate"),
            ("nofx-node", "nofx"),
            ("nofx-node", "nofx-migrate"),
            ("xtask", "nofx-testkit"),
            ("nofx-core", "serde"),
        ] {
            assert_eq!(findings(from, to, NORMAL), 0, "{from} -> {to}");
        }
        for from in ["nofx-core", "nofx-redb", "nofx-migrate", "nofx"] {
            assert_eq!(findings(from, "nofx-testkit", DEV), 0, "{from} -> nofx-testkit");
        }
    }

    #[test]
    fn a_backend_sees_no_other_backend_not_even_in_its_tests() {
        for kind in [NORMAL, DEV, r#""build""#] {
            assert_eq!(findings("nofx-redb", "nofx-fs", kind), 1);
            assert_eq!(findings("nofx-sqlite", "nofx-redb", kind), 1);
        }
    }

    #[test]
    fn the_journal_sees_no_backend_and_only_backends_see_it() {
        for kind in [NORMAL, DEV] {
            assert_eq!(findings("nofx-journal", "nofx-fs", kind), 1);
            for from in ["nofx-core", "nofx-migrate", "nofx", "nofx-node"] {
                assert_eq!(findings(from, "nofx-journal", kind), 1, "{from}");
            }
        }
    }

    #[test]
    fn a_host_reaches_backends_through_the_facade() {
        assert_eq!(findings("nofx-node", "nofx-redb", NORMAL), 1);
    }

    #[test]
    fn migrate_sees_no_backend_and_core_sees_no_other_crate() {
        for kind in [NORMAL, DEV] {
            assert_eq!(findings("nofx-migrate", "nofx-redb", kind), 1);
            assert_eq!(findings("nofx-core", "nofx-fs", kind), 1);
        }
        assert_eq!(findings("nofx-core", "nofx", NORMAL), 1);
    }

    #[test]
    fn the_testkit_serves_tests_only() {
        for from in ["nofx-core", "nofx-redb", "nofx-migrate", "nofx", "nofx-node"] {
            assert_eq!(findings(from, "nofx-testkit", NORMAL), 1, "{from}");
        }
    }
}
