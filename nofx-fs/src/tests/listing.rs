//! Listing many sessions opens few files.

use std::path::Path;
use std::sync::Arc;

use nofx_core::entity::Session;
use nofx_core::workspace::{SessionFilter, Workspace, new_session};
use nofx_core::{Store, Timestamp};
use nofx_journal::sim::Sim;

use crate::store::OpenFolder;
use crate::{FsBackend, Options};

#[tokio::test]
async fn a_page_of_ten_thousand_sessions_opens_its_documents_and_no_other_file() {
    let sim = Sim::default();
    let workspace = |sim: &Sim| {
        let shared = OpenFolder::open(Arc::new(sim.clone()), Path::new("store"), Options::default()).unwrap();
        Workspace::new(Store::new(Arc::new(FsBackend::of(Arc::new(shared)))))
    };
    let filled = workspace(&sim);
    for minute in 0..20 {
        let mut batch = filled.store().batch();
        for n in 0..500 {
            let mut session = Session::new(format!("session-{minute}-{n}"), "one of many", "agent-ada");
            let at = Timestamp::from_millis(1_757_341_200_000 + minute * 60_000 + n);
            session.last_active_at = Some(at);
            batch = new_session(batch, &session, Some(at)).unwrap();
        }
        filled.store().commit(batch).await.unwrap().committed().unwrap();
    }
    filled.store().close().await.unwrap();

    sim.opened();
    let workspace = workspace(&sim);
    let cold = sim.opened();
    assert!(cold.len() <= 12 && cold.iter().all(|path| !path.starts_with("sessions/")), "opening: {cold:?}");
    println!("opening 10,000 sessions: {} files", cold.len());
    for time in ["first", "next"] {
        let page = workspace.summaries(&SessionFilter::default(), None, 50).await.unwrap();
        assert_eq!(page.items.len(), 50);
        let (documents, others): (Vec<_>, Vec<_>) =
            sim.opened().into_iter().partition(|path| path.starts_with("sessions/session-"));
        println!("the {time} page of 50: {} documents and {} other files", documents.len(), others.len());
        assert!(documents.len() <= 51, "{documents:?}");
        assert!(others.len() <= 5, "{others:?}");
    }
    workspace.store().close().await.unwrap();
}
