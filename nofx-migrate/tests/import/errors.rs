//! An unsuitable source is refused in one line that says what to do.

use std::fs;

use nofx_migrate::{NoProgress, migrate};

use crate::workspace::{Workspace, verified};

async fn refused(from: &std::path::Path, target: Option<std::path::PathBuf>) -> (&'static str, String) {
    let workspace = Workspace::with(&[]);
    let mut options = verified();
    options.target_path = target;
    let error = migrate(from, &workspace.store, &options, &NoProgress).await.expect_err("it is refused");
    let message = error.to_string();
    assert!(!message.contains('\n') && message.contains("; "), "{message}");
    (error.code(), message)
}

#[tokio::test]
async fn each_bad_source_has_its_own_code_and_is_named() {
    let workspace = Workspace::with(&[("agents.json", "{}")]);
    let folder = workspace.folder();
    fs::create_dir(folder.join("other")).unwrap();
    fs::write(folder.join("other/file"), "").unwrap();

    for (from, code) in
        [("missing", "source-missing"), ("other", "source-not-legacy"), (".nofx/agents.json", "source-not-a-folder")]
    {
        let (found, message) = refused(&folder.join(from), None).await;
        assert_eq!(found, code);
        assert!(message.contains(from), "{message}");
    }
    let (code, message) = refused(folder, Some(folder.join(".nofx/sessions/store.redb"))).await;
    assert_eq!(code, "source-holds-target");
    assert!(message.contains("store.redb"));
}

#[cfg(unix)]
#[tokio::test]
async fn a_folder_that_may_not_be_read_is_refused() {
    use std::os::unix::fs::PermissionsExt;
    let workspace = Workspace::with(&[("agents.json", "{}")]);
    fs::set_permissions(workspace.root(), fs::Permissions::from_mode(0o000)).unwrap();
    // The superuser can read everything.
    if fs::read_dir(workspace.root()).is_err() {
        let (code, _) = refused(&workspace.root(), None).await;
        assert_eq!(code, "source-unreadable");
    }
    fs::set_permissions(workspace.root(), fs::Permissions::from_mode(0o700)).unwrap();
}

#[tokio::test]
async fn the_place_of_a_store_in_the_source_is_allowed_and_not_read() {
    let workspace = Workspace::with(&[("agents.json", r#"{"agents":[{"id":"a"}]}"#), ("store/nofx.redb", "bytes")]);
    let mut options = verified();
    options.target_path = Some(workspace.root().join("store/nofx.redb"));
    let report = migrate(workspace.folder(), &workspace.store, &options, &NoProgress).await.unwrap();
    assert_eq!(report.totals.files, 1);
    assert_eq!(report.skipped[0].path, "store");
    assert!(workspace.attachments().await.is_empty());
}
