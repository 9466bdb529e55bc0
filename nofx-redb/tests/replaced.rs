//! A store that is replaced by an older copy of itself while it is open: nothing is acknowledged that could not be read
//! again.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use std::fs;
use std::path::Path;
use std::time::Duration;

use common::{batch, entries, log, open, open_with};
use nofx_core::{Deadline, Outcome, PersistenceBackend};

#[tokio::test]
async fn an_older_copy_in_place_of_an_open_store_is_noticed_and_not_written_to() {
    for is_writer in [true, false] {
        for in_place in [true, false] {
            for reads_first in [true, false] {
                let case = format!("writer {is_writer}, in place {in_place}, reads first {reads_first}");
                let dir = tempfile::tempdir().unwrap();
                let path = dir.path().join("a.redb");
                // One that keeps the file open for writing, or one that gave the role back.
                let idle = Duration::from_millis(if is_writer { 600_000 } else { 1 });
                let append = |number: u64| vec![batch().append_at(log("l"), number, entries(number..number + 1))];
                let store = open_with(&path, |options| options.idle = idle).await;
                store.commit(append(0)).await.unwrap();
                let other = dir.path().join("older.redb");
                fs::copy(&path, &other).unwrap();
                // An intact copy: opened, and closed cleanly.
                let older = open(&other).await;
                older.commit(append(1)).await.unwrap();
                older.close().await.unwrap();
                for number in 1..4 {
                    store.commit(append(number)).await.unwrap();
                }
                if !is_writer {
                    given_back(&path).await;
                }
                let bytes = fs::read(&other).unwrap();
                match in_place {
                    true => fs::write(&path, &bytes).unwrap(),
                    false => put(&other, &path),
                }
                // A writer reads from its memory until it checks the file.
                if reads_first && !(is_writer && in_place) {
                    let error = store.heads(&[log("l")]).await.unwrap_err();
                    assert!(error.code() == "replaced" && error.to_string().contains("a.redb"), "{case}: {error}");
                }
                for _ in 0..2 {
                    let error = store.commit(append(4)).await.unwrap_err();
                    assert!(error.code() == "replaced" && error.to_string().contains("a.redb"), "{case}: {error}");
                }
                let error = store.heads(&[log("l")]).await.unwrap_err();
                assert_eq!(error.code(), "replaced", "{case}: {error}");
                _ = store.close().await;
                drop(store);
                assert!(fs::read(&path).unwrap() == bytes, "{case}: the copy was written to");
                // A new handle continues from there.
                let again = open(&path).await;
                assert_eq!(again.heads(&[log("l")]).await.unwrap()[0].length, 2, "{case}");
                assert!(matches!(again.commit(append(2)).await.unwrap()[0], Outcome::Committed(_)), "{case}");
                again.close().await.unwrap();
            }
        }
    }
}

/// The copy was written to separately, so that it has as many commits or more.
#[tokio::test]
async fn a_copy_that_went_another_way_is_noticed_before_anything_is_committed() {
    // The host's commit is a row of the feed, or was combined with others.
    for further in [20, 300] {
        a_copy_that_went_on_is_noticed(further).await;
    }
}

async fn a_copy_that_went_on_is_noticed(further: u64) {
    let dir = tempfile::tempdir().unwrap();
    let (path, other) = (dir.path().join("a.redb"), dir.path().join("b.redb"));
    let append = |number: u64| vec![batch().append(log("l"), entries(number..number + 1))];
    let store = open_with(&path, |options| options.idle = Duration::from_millis(1)).await;
    store.commit(append(0)).await.unwrap();
    given_back(&path).await;
    fs::copy(&path, &other).unwrap();
    let twin = open(&other).await;
    for number in 0..further {
        twin.commit(append(number)).await.unwrap();
    }
    twin.close().await.unwrap();
    store.commit(append(1)).await.unwrap();
    given_back(&path).await;
    put(&other, &path);
    let bytes = fs::read(&path).unwrap();
    let error = store.commit(append(2)).await.unwrap_err();
    assert_eq!(error.code(), "replaced", "{error}");
    assert!(fs::read(&path).unwrap() == bytes, "nothing was written to it");
    assert_eq!(open(&path).await.heads(&[log("l")]).await.unwrap()[0].length, further + 1);
}

#[tokio::test]
async fn a_reader_does_not_go_on_with_a_copy_that_went_another_way() {
    for further in [1, 5, 300] {
        let dir = tempfile::tempdir().unwrap();
        let (path, other) = (dir.path().join("a.redb"), dir.path().join("b.redb"));
        let append = |number: u64| vec![batch().append(log("l"), entries(number..number + 1))];
        let store = open(&path).await;
        store.commit(append(0)).await.unwrap();
        store.close().await.unwrap();
        drop(store);
        fs::copy(&path, &other).unwrap();
        let store = open(&path).await;
        store.commit(append(1)).await.unwrap();
        store.close().await.unwrap();
        drop(store);
        let reader = open_with(&path, |options| options.read_only = true).await;
        assert_eq!(reader.heads(&[log("l")]).await.unwrap()[0].length, 2);
        let twin = open(&other).await;
        for number in 0..further {
            twin.commit(append(number)).await.unwrap();
        }
        twin.close().await.unwrap();
        drop(twin);
        put(&other, &path);
        for _ in 0..2 {
            let error = reader.heads(&[log("l")]).await.unwrap_err();
            assert_eq!(error.code(), "replaced", "{further}: {error}");
            assert_eq!(reader.changes(None, 10).await.unwrap_err().code(), "replaced", "{further}");
        }
        assert_eq!(open(&path).await.heads(&[log("l")]).await.unwrap()[0].length, further + 1);
    }
}

/// Replaces a file that may be open: in two steps if a single one is refused, as under wine.
fn put(file: &Path, path: &Path) {
    if fs::rename(file, path).is_err() {
        fs::rename(path, path.with_extension("was")).unwrap();
        fs::rename(file, path).unwrap();
    }
}

/// Waits until no process has the file open for writing: closing clears the flag that it may need a repair.
async fn given_back(path: &Path) {
    let deadline = Deadline::after(Duration::from_secs(20));
    while fs::read(path).unwrap()[9] & 2 != 0 {
        assert!(!deadline.has_passed(), "the writer never gave its role back");
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}
