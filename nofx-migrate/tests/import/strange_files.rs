//! What is not a plain file is left alone.

#![cfg(unix)]

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::process::Command;

use crate::workspace::{Workspace, session};

#[tokio::test]
async fn links_pipes_and_folders_named_like_files_are_not_opened() {
    let workspace = Workspace::with(&[("sessions/s.json", &session("s", 1, "active", "a"))]);
    let root = workspace.root();
    fs::write(workspace.folder().join("secret.json"), session("secret", 1, "active", "x")).unwrap();
    symlink("../../secret.json", root.join("sessions/out.json")).unwrap();
    symlink(".", root.join("loop")).unwrap();
    symlink("nowhere", root.join("agents.json")).unwrap();
    symlink(workspace.folder(), root.join("templates")).unwrap();
    fs::create_dir_all(root.join("sessions/folder.json")).unwrap();
    fs::write(root.join("sessions/folder.json/inner.txt"), "inner").unwrap();
    let made = Command::new("mkfifo").arg(root.join("sessions/pipe.json")).status().unwrap();
    assert!(made.success());

    let report = workspace.import().await;
    assert!(report.is_complete(), "{report}");
    let skipped: Vec<_> = report.skipped.iter().map(|skipped| skipped.path.as_str()).collect();
    assert_eq!(skipped, ["agents.json", "loop", "sessions/out.json", "sessions/pipe.json", "templates"]);
    assert_eq!(workspace.all("session", "id").await, ["\"s\""]);
    assert_eq!(workspace.attachments().await, ["sessions/folder.json/inner.txt"]);
}

#[tokio::test]
async fn a_file_that_may_not_be_read_is_missing_until_it_may() {
    let workspace = Workspace::with(&[("sessions/s.json", &session("s", 1, "active", "a")), ("notes.txt", "note")]);
    let note = workspace.root().join("notes.txt");
    fs::set_permissions(&note, fs::Permissions::from_mode(0o000)).unwrap();
    // The superuser can read everything.
    if fs::read(&note).is_err() {
        let report = nofx_migrate::migrate(
            &workspace.root(),
            &workspace.store,
            &crate::workspace::verified(),
            &nofx_migrate::NoProgress,
        )
        .await
        .unwrap();
        assert!(!report.is_complete());
        assert_eq!(report.totals.bytes_missing, 4);
        let told = report.to_string();
        assert!(told.contains("verified: the target has everything that could be read\n"), "{told}");
    }
    fs::set_permissions(&note, fs::Permissions::from_mode(0o600)).unwrap();
    let report = workspace.import().await;
    assert!(report.is_complete(), "{report}");
    assert!(report.to_string().contains("verified: the target has everything\n"), "{report}");
    assert_eq!(workspace.attached("notes.txt").await.unwrap(), b"note");
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn names_that_are_no_text_are_paths_all_the_same() {
    use std::os::unix::ffi::OsStrExt;
    let workspace = Workspace::with(&[("agents.json", r#"{"agents":[]}"#)]);
    let name = std::ffi::OsStr::from_bytes(b"odd\xff.txt");
    fs::write(workspace.root().join(name), "x").unwrap();
    let report = workspace.import().await;
    assert!(report.is_complete(), "{report}");
    assert_eq!(workspace.all("attachment", "path").await, [r#""odd\udcff.txt""#]);
}
