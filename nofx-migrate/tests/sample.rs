//! The import of the sample workspace.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use futures_util::TryStreamExt;
use nofx_core::entity::{Entity, Message, Session};
use nofx_core::workspace::{SessionFilter, Workspace, preview};
use nofx_core::{LogQuery, MemoryBackend, Store};
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

#[tokio::test]
async fn the_list_of_sessions_has_every_session_newest_first_and_with_its_beginning() {
    let store = Store::new(Arc::new(MemoryBackend::new()));
    let report = migrate(&sample(), &store, &Options::default(), &NoProgress).await.unwrap();
    let sessions: Vec<_> = store.list::<Session>().try_collect().await.unwrap();
    assert_eq!(sessions.len() as u64, report.kinds["sessions"].added);

    let workspace = Workspace::new(store.clone());
    let found = workspace.summaries(&SessionFilter::default(), None, 1000).await.unwrap();
    assert!(found.unreadable.is_empty() && found.next.is_none(), "{found:?}");
    let listed: BTreeSet<_> = found.items.iter().map(|summary| summary.session.id.clone()).collect();
    assert_eq!(listed, sessions.iter().map(|session| session.value.id.clone()).collect());
    assert_eq!(listed.len(), found.items.len());
    let times: Vec<_> = found.items.iter().map(|summary| summary.last_active_at).collect();
    assert!(times.is_sorted_by(|newer, older| newer >= older), "{times:?}");

    let mut with_preview = 0;
    for summary in &found.items {
        let history = Session::history(&summary.session.id);
        let bodies: Vec<_> = store.read(LogQuery::oldest_first(history, 1000)).try_collect().await.unwrap();
        assert_eq!(summary.messages, bodies.len() as u64, "{}", summary.session.id);
        let messages: Vec<_> = bodies.iter().map(|entry| Message::from_body(&entry.body).unwrap()).collect();
        let wanted = preview(&messages).map(|preview| preview.to_string());
        assert_eq!(summary.preview, wanted, "{}", summary.session.id);
        with_preview += u64::from(wanted.is_some());
    }
    assert!(with_preview > 0);
}
