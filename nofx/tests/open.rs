//! Opens stores by location.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use nofx::entity::Agent;
use nofx::{Expect, Location, Options, open, open_with};

fn location(text: &str) -> Location {
    text.parse().expect("a location")
}

#[tokio::test]
async fn a_store_in_memory_is_always_there_and_empty() {
    for options in [Options::default(), Options::read_only()] {
        let store = open_with(&location("memory:"), options).await.unwrap();
        assert!(store.load::<Agent>(&"ada".into()).await.unwrap().is_none());
        store.save(&Agent::new("ada", "Ada", "t"), Expect::Absent).await.unwrap();
    }
    assert!(!nofx::compact(&location("memory:")).await.unwrap());
}

#[tokio::test]
async fn a_scheme_without_a_backend_is_named() {
    let error = open(&location("postgres:x")).await.unwrap_err();
    let expected = error.to_string();
    assert!(
        expected.starts_with("invalid: this version has no backend for `postgres:`; it has `redb:`, "),
        "{expected}"
    );
    assert!(expected.contains("`fs:`") && expected.ends_with(" and `memory:`"), "{expected}");
    assert_eq!(location("postgres:x").unsupported().unwrap().to_string(), expected);
    assert_eq!(nofx::compact(&location("postgres:x")).await.unwrap_err().to_string(), expected);
}

#[tokio::test]
async fn a_backend_that_was_left_out_is_named_with_its_feature() {
    let schemes = [
        ("redb:x", "redb", cfg!(feature = "redb")),
        ("fs:x", "fs", cfg!(feature = "fs")),
        ("s3://x", "remote", cfg!(feature = "remote")),
        ("gs://x", "remote", cfg!(feature = "remote")),
        ("az://x", "remote", cfg!(feature = "remote")),
        ("file:///x", "remote", cfg!(feature = "remote")),
    ];
    for (text, feature, built) in schemes {
        let place = location(text);
        assert_eq!((place.missing_feature(), place.unsupported().is_some()), ((!built).then_some(feature), !built));
        if !built {
            let scheme = place.scheme();
            let expected =
                format!("invalid: `{scheme}:` needs the cargo feature `{feature}`, which this build does not include");
            assert_eq!(open(&place).await.unwrap_err().to_string(), expected);
        }
    }
}

#[cfg(all(feature = "redb", feature = "fs"))]
#[tokio::test]
async fn a_store_under_a_name_that_no_file_can_have_is_not_there_and_cannot_be_made() {
    let dir = tempfile::tempdir().unwrap();
    let mut names = vec!["a".repeat(300)];
    if cfg!(windows) {
        names.extend(["a?b", "NUL", "ab:c", "a."].map(str::to_owned));
    }
    for name in names {
        for place in [Location::redb(dir.path().join(&name)), Location::fs(dir.path().join(&name))] {
            let absent = open_with(&place, Options::existing()).await.unwrap_err();
            assert_eq!(absent.code(), "invalid", "{absent:?}");
            let refused = open(&place).await.unwrap_err();
            assert_eq!(refused.code(), "invalid", "{refused:?}");
            assert!(!refused.is_no_store() && refused.to_string().contains(&name), "{refused}");
        }
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
    }
}

#[cfg(all(feature = "redb", feature = "fs"))]
#[tokio::test]
async fn a_store_under_a_name_that_leaves_no_room_for_its_neighbours_is_made_or_refused_as_a_name() {
    let dir = tempfile::tempdir().unwrap();
    let mut refused = 0;
    for length in 240..=255 {
        let name = "a".repeat(length);
        let (file, folder) = (Location::redb(dir.path().join(&name)), Location::fs(dir.path().join(&name)));
        for (place, has_journal) in [(&file, false), (&file, true), (&folder, false)] {
            let mut options = Options::default();
            options.journal = has_journal;
            match open_with(place, options).await {
                Ok(store) => store.close().await.unwrap(),
                Err(error) => {
                    refused += 1;
                    assert_eq!(error.code(), "invalid", "{error:?}");
                    assert!(error.to_string().contains(&name), "{error}");
                    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
                }
            }
            for left in std::fs::read_dir(dir.path()).unwrap() {
                let left = left.unwrap().path();
                if left.is_dir() { std::fs::remove_dir_all(left).unwrap() } else { std::fs::remove_file(left).unwrap() }
            }
        }
    }
    // A redb file has a lock and perhaps a journal beside it, with longer names.
    assert!(refused > 0);
}

/// Creates a store, finds it again, and opens it read-only.
#[cfg(any(feature = "fs", feature = "remote"))]
async fn lives(place: &Location) -> nofx::Result<()> {
    for options in [Options::existing(), Options::read_only()] {
        assert_eq!(open_with(place, options).await.expect_err("no store").code(), "invalid");
        assert!(!place.path().expect("a path").exists(), "looking must not leave anything behind");
    }
    let store = open(place).await?;
    store.save(&Agent::new("ada", "Ada", "t"), Expect::Absent).await?;
    store.close().await?;
    assert!(!nofx::compact(place).await?);
    let store = open_with(place, Options::read_only()).await?;
    assert_eq!(store.load::<Agent>(&"ada".into()).await?.expect("it is there").value.name, "Ada");
    let refused = store.save(&Agent::new("bob", "Bob", "t"), Expect::Absent).await.expect_err("it is only read");
    assert_eq!(refused.to_string(), "invalid: the store was opened for reading only");
    assert_eq!(store.info().read_only.as_deref(), Some("it was opened for reading only"));
    store.close().await?;
    Ok(())
}

#[cfg(feature = "fs")]
#[tokio::test]
async fn a_store_in_a_folder_is_made_found_again_and_only_read() {
    let folder = tempfile::tempdir().unwrap();
    lives(&Location::fs(folder.path().join("deep/er"))).await.unwrap();
}

#[cfg(feature = "remote")]
#[tokio::test]
async fn a_store_of_objects_is_made_found_again_and_only_read() {
    let folder = tempfile::tempdir().unwrap();
    // On Windows, with a drive and backslashes: `file:///C:/…`.
    let path = folder.path().display().to_string().replace('\\', "/");
    lives(&location(&format!("file:///{}/deep/er", path.trim_start_matches('/')))).await.unwrap();
}

#[cfg(feature = "remote")]
#[tokio::test]
async fn no_error_repeats_a_secret() {
    for text in ["s3://bucket/x?secret_access_key=canary", "s3://bucket/x?unheard_of=canary", "file:///x?region=canary"]
    {
        let error = open(&location(text)).await.unwrap_err();
        assert!(!format!("{error} {error:?}").contains("canary"), "{error:?}");
    }
}

#[cfg(feature = "redb")]
#[tokio::test]
async fn a_store_in_a_file_is_made_found_again_and_made_small() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("deep/er/nofx.redb");
    let place = Location::redb(&path);
    assert!(place.unsupported().is_none());
    for options in [Options::existing(), Options::read_only()] {
        assert_eq!(open_with(&place, options).await.unwrap_err().code(), "invalid");
        assert!(!folder.path().join("deep").exists(), "looking must not leave anything behind");
    }
    let store = open(&place).await.unwrap();
    store.save(&Agent::new("ada", "Ada", "t"), Expect::Absent).await.unwrap();
    store.close().await.unwrap();
    assert!(nofx::compact(&place).await.unwrap());
    let store = open_with(&place, Options::read_only()).await.unwrap();
    assert_eq!(store.load::<Agent>(&"ada".into()).await.unwrap().unwrap().value.name, "Ada");
    assert!(store.save(&Agent::new("bob", "Bob", "t"), Expect::Absent).await.is_err());
    store.close().await.unwrap();
}
