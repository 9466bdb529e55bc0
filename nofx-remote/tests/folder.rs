//! A folder as object storage: moved, removed and replaced under its host, private, and full.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::path::{Path, PathBuf};

use nofx_core::{Batch, Body, Kind, LogKey, LogQuery, NewEntry, PersistenceBackend, Result, Sources, Timestamp};
use nofx_remote::{Options, RemoteBackend, Requests};

fn log() -> LogKey {
    LogKey::new(Kind::of("talk"), "monday").unwrap()
}

async fn open(folder: &Path) -> Result<RemoteBackend> {
    let location = url::Url::from_directory_path(folder).unwrap();
    RemoteBackend::open(location.as_str(), Options::default()).await
}

async fn add(store: &RemoteBackend, count: u64) -> Result<()> {
    for number in 0..count {
        let entry = NewEntry { at: Timestamp::from_millis(0), body: Body::parse(&number.to_string())? };
        store.commit(vec![Batch::new(Sources::default().batch_id()).append(log(), vec![entry])]).await?;
    }
    Ok(())
}

async fn count(store: &RemoteBackend) -> Result<usize> {
    Ok(store.read(&LogQuery::oldest_first(log(), 1000)).await?.items.len())
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for found in fs::read_dir(from).unwrap() {
        let found = found.unwrap();
        let to = to.join(found.file_name());
        match found.file_type().unwrap().is_dir() {
            true => copy(&found.path(), &to),
            false => _ = fs::copy(found.path(), to).unwrap(),
        }
    }
}

fn all_below(folder: &Path) -> Vec<PathBuf> {
    let mut all = vec![folder.to_owned()];
    let mut at = 0;
    while let Some(path) = all.get(at).cloned() {
        at += 1;
        if path.is_dir() {
            all.extend(fs::read_dir(path).unwrap().map(|found| found.unwrap().path()));
        }
    }
    all
}

#[tokio::test]
async fn a_folder_that_is_moved_removed_or_replaced_takes_nothing_from_its_host() {
    for what in ["moved", "removed", "an older copy", "an older copy, in place", "another store"] {
        let place = tempfile::tempdir().unwrap();
        let (folder, aside, old) = (place.path().join("store"), place.path().join("aside"), place.path().join("old"));
        let host = open(&folder).await.unwrap();
        add(&host, 5).await.unwrap();
        copy(&folder, &old);
        add(&host, 4).await.unwrap();
        let (code, there) = match what {
            "moved" => {
                fs::rename(&folder, &aside).unwrap();
                ("gone", None)
            }
            "removed" => {
                fs::remove_dir_all(&folder).unwrap();
                ("gone", None)
            }
            "an older copy" => {
                fs::rename(&folder, &aside).unwrap();
                fs::rename(&old, &folder).unwrap();
                ("replaced", Some(5))
            }
            "an older copy, in place" => {
                all_below(&folder).iter().filter(|path| path.is_file()).for_each(|path| fs::remove_file(path).unwrap());
                copy(&old, &folder);
                ("replaced", Some(5))
            }
            _ => {
                fs::rename(&folder, &aside).unwrap();
                add(&open(&folder).await.unwrap(), 20).await.unwrap();
                ("replaced", Some(20))
            }
        };
        let before = folder.exists().then(|| all_below(&folder));
        assert_eq!(add(&host, 1).await.unwrap_err().code(), code, "{what}");
        assert_eq!(count(&host).await.unwrap_err().code(), code, "{what}");
        // The check comes first, so nothing was put there.
        assert_eq!(folder.exists().then(|| all_below(&folder)), before, "{what}");
        if let Some(there) = there {
            let store = open(&folder).await.unwrap();
            assert_eq!(count(&store).await.unwrap(), there, "{what}");
            add(&store, 6).await.unwrap();
            assert_eq!(count(&open(&folder).await.unwrap()).await.unwrap(), there + 6, "{what}");
        }
        if aside.exists() {
            assert_eq!(count(&open(&aside).await.unwrap()).await.unwrap(), 9, "{what}");
        }
    }
}

#[tokio::test]
async fn what_keeps_a_folder_from_being_written_is_reported_at_once() {
    let place = tempfile::tempdir().unwrap();
    let folder = place.path().join("store");
    let location = url::Url::from_directory_path(&folder).unwrap();
    let requests = Requests::default();
    let store = RemoteBackend::open(location.as_str(), Options::default().requests(requests.clone())).await.unwrap();
    add(&store, 1).await.unwrap();
    // Stands for every permanent reason that the system can give: a file where a folder should be.
    fs::write(folder.join("packs"), "").unwrap();
    let before = requests.puts();
    let entry =
        NewEntry { at: Timestamp::from_millis(0), body: Body::parse(&format!("\"{}\"", "x".repeat(20_000))).unwrap() };
    let batch = Batch::new(Sources::default().batch_id()).append(log(), vec![entry]);
    let refused = store.commit(vec![batch]).await.unwrap_err();
    assert_eq!(refused.code(), "unavailable", "{}", refused.chain());
    assert_eq!(requests.puts(), before + 1, "it is not tried again");
    let mut below = std::error::Error::source(&refused);
    while let Some(error) = below.filter(|error| !error.is::<std::io::Error>()) {
        below = error.source();
    }
    assert!(below.is_some(), "what the system said is kept: {refused:?}");
}

/// Fills the store that a variable names, as a separate process.
#[tokio::test]
async fn filled_by_a_process_of_its_own() {
    let Some(folder) = std::env::var_os("NOFX_TEST_FOLDER") else { return };
    let store = open(Path::new(&folder)).await.unwrap();
    let filled = async {
        for _ in 0..4 {
            add(&store, 3).await?;
            let entry = NewEntry { at: Timestamp::from_millis(0), body: noise(400_000)? };
            store.commit(vec![Batch::new(Sources::default().batch_id()).append(log(), vec![entry])]).await?;
        }
        Ok::<_, nofx_core::Error>(())
    };
    match filled.await {
        Ok(()) => println!("filled"),
        Err(error) => println!("refused as {}", error.code()),
    }
}

/// Text that hardly compresses.
fn noise(bytes: usize) -> Result<Body> {
    let mut state = 1_u64;
    let letters = (0..bytes).map(|_| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        char::from(b'0' + (state >> 60) as u8 * 4)
    });
    Body::parse(&format!("\"{}\"", letters.map(|c| if c == '\\' { 'x' } else { c }).collect::<String>()))
}

#[cfg(unix)]
fn in_a_shell(limits: &str, folder: &Path) -> String {
    let script = format!("{limits}; exec \"$1\" filled_by_a_process_of_its_own --exact --nocapture");
    let mut shell = std::process::Command::new("sh");
    shell.args(["-c", &script, "sh"]).arg(std::env::current_exe().unwrap()).env("NOFX_TEST_FOLDER", folder);
    String::from_utf8_lossy(&shell.output().unwrap().stdout).into_owned()
}

#[cfg(unix)]
#[test]
fn a_folder_is_private_whatever_the_process_allows() {
    use std::os::unix::fs::PermissionsExt;
    let place = tempfile::tempdir().unwrap();
    let folder = place.path().join("store");
    assert!(in_a_shell("umask 000", &folder).contains("filled"));
    let found = all_below(&folder);
    assert!(found.iter().filter(|path| path.is_file()).count() > 10, "{found:?}");
    for path in found {
        let mode = fs::metadata(&path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode, if path.is_dir() { 0o700 } else { 0o600 }, "{}", path.display());
    }
}

#[cfg(unix)]
#[test]
fn a_disk_without_room_is_full_and_what_was_written_is_there() {
    let place = tempfile::tempdir().unwrap();
    let folder = place.path().join("store");
    // A limit on the size of files stands in for the disk, where mounting one is not permitted.
    let told = in_a_shell("trap '' XFSZ; ulimit -f 100", &folder);
    assert!(told.contains("refused as full"), "{told}");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    assert_eq!(runtime.block_on(async { count(&open(&folder).await?).await }).unwrap(), 3);
    let left: Vec<_> = all_below(&folder).into_iter().filter(|path| path.to_string_lossy().contains('#')).collect();
    assert!(left.is_empty(), "nothing half-made is left: {left:?}");
}
