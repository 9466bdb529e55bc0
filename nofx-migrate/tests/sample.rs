//! The import of the sample workspace.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use nofx_core::{MemoryBackend, Store};
use nofx_migrate::{NoProgress, Options, migrate};

fn sample() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../samples/legacy")
}

#[tokio::test]
async fn the_sample_is_imported_whole_and_only_once() {
    let store = Store::new(Arc::new(MemoryBackend::new()));
    let mut options = Options::default();
    options.verify = true;
    let report = migrate(&sample(), &store, &options, &NoProgress).await.unwrap();
    println!("{report}");
    assert!(report.is_complete(), "{report}");
    let totals = report.totals;
    assert_eq!(totals.bytes, totals.bytes_understood + totals.bytes_kept + totals.bytes_missing);
    assert_eq!(totals.files_new, totals.files);

    let count = |name: &str| report.kinds.get(name).map_or(0, |kind| kind.added);
    let counts: BTreeMap<&str, u64> = ["agents", "sessions"].into_iter().map(|name| (name, count(name))).collect();
    assert!(counts.values().all(|count| *count > 0), "{counts:?}");

    let again = migrate(&sample(), &store, &options, &NoProgress).await.unwrap();
    println!("{again}");
    assert_eq!(again.totals.commits, 0);
    assert_eq!(again.totals.files_unchanged, totals.files);
    assert_eq!(again.verification.unwrap().kinds, report.verification.unwrap().kinds);
}
