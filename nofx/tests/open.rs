//! Opening stores by their location.

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
    for (text, scheme) in [("fs:x", "fs"), ("s3://bucket/x", "s3"), ("postgres:x", "postgres")] {
        let error = open(&location(text)).await.unwrap_err();
        let expected = format!("invalid: this version has no backend for `{scheme}:`; it has `redb:` and `memory:`");
        assert_eq!(error.to_string(), expected);
        assert_eq!(location(text).unsupported().unwrap().to_string(), expected);
        assert_eq!(nofx::compact(&location(text)).await.unwrap_err().to_string(), expected);
    }
}

#[cfg(not(feature = "redb"))]
#[tokio::test]
async fn a_backend_that_was_left_out_is_named_with_its_feature() {
    let error = open(&location("redb:x")).await.unwrap_err();
    assert_eq!(error.to_string(), "invalid: `redb:` needs the cargo feature `redb`, which this build leaves out");
    assert!(location("redb:x").unsupported().is_some());
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
