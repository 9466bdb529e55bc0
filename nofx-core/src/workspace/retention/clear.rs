//! Removing everything that a store holds.

use std::collections::BTreeSet;

use futures_util::{StreamExt, TryStreamExt};

use crate::batch::Expect;
use crate::entity::{Entity, Session};
use crate::error::{Error, Result};
use crate::key::{Kind, LogKey, RecordKey};
use crate::kind::{
    AGENT, AGENT_IN, ATTACHMENT, CHECKPOINTS_IN, ORCHESTRATION_IN, PAYLOAD, SESSION, TEMPLATE, TEMPLATE_NAME,
    TRANSCRIPT_IN,
};
use crate::query::{LogScan, ScanQuery};
use crate::record::Record;
use crate::workspace::Workspace;
use crate::workspace::namespace::Namespace;
use crate::workspace::records::OWN;

/// Items per page, and per commit that removes some.
const PAGE: usize = 256;

/// How many sessions are purged concurrently, so that they share flushes.
const AT_ONCE: usize = 16;

/// An id that sorts before all others.
const FIRST: &str = "\0";

/// What was removed from a store, and what was left.
#[derive(Clone, Debug, Default)]
pub struct Cleared {
    /// How many sessions were removed, in all namespaces and including the trash.
    pub sessions: u64,
    /// Why something was left; each error names it. It is unreadable, or a later version wrote it.
    pub left: Vec<Error>,
}

impl Workspace {
    /// Permanently removes everything that the store holds, in many commits: sessions, agents, templates, transcripts,
    /// checkpoints and messages between agents, of all namespaces, the bytes kept from an old folder, and the hosts'
    /// own records and logs.
    ///
    /// Two things stay, so that no import brings anything back: which files were imported, and which sessions were
    /// purged. Anything that is unreadable or was written by a later version also stays, with the contents and
    /// templates that it may need, and is reported. Concurrent writes may be removed or stay. After an interruption,
    /// call it again to finish.
    pub async fn clear_all(&self) -> Result<Cleared> {
        self.takes_no_operation("clear_all")?;
        self.progress.begin("clearing");
        let mut cleared = Cleared::default();
        self.clear_sessions(&mut cleared).await?;
        for kind in [AGENT, AGENT_IN, TEMPLATE_NAME] {
            self.clear_records(ScanQuery::of(kind, PAGE), |_| true, &mut cleared.left).await?;
        }
        for namespace in self.namespaces().await? {
            let workspace = self.within(namespace);
            workspace.clear_transcripts().await?;
            workspace.clear_checkpoints().await?;
            workspace.clear_orchestration().await?;
        }
        let own = ScanQuery::all(PAGE).after(RecordKey::new(Kind::of(OWN), FIRST)?);
        self.clear_records(own, |key| is_own(key.kind()), &mut cleared.left).await?;
        self.clear_own_logs(&mut cleared.left).await?;
        self.clear_records(ScanQuery::of(ATTACHMENT, PAGE), |_| true, &mut cleared.left).await?;
        if cleared.left.is_empty() {
            self.clear_records(ScanQuery::of(TEMPLATE, PAGE), |_| true, &mut cleared.left).await?;
            // A sweep removes the long contents of messages, because it takes concurrent writes into account.
            let payloads = ScanQuery::of(PAYLOAD, PAGE);
            self.clear_records(payloads, |key| !key.id().starts_with("content/"), &mut cleared.left).await?;
            self.sweep_contents().await?;
        }
        Ok(cleared)
    }

    async fn clear_sessions(&self, cleared: &mut Cleared) -> Result<()> {
        let sessions = self.store.scan(ScanQuery::of(SESSION, PAGE));
        let workspace = self.clone();
        let mut purged = sessions.map(move |record| purge(workspace.clone(), record)).buffered(AT_ONCE);
        while let Some(purged) = purged.next().await {
            match purged {
                Ok(()) => {
                    cleared.sessions += 1;
                    self.progress.advance(1);
                }
                // Another process purged it first.
                Err(Error::NotFound(_)) => {}
                Err(error) => note(error, &mut cleared.left)?,
            }
        }
        Ok(())
    }

    /// Removes the matching records that a query finds.
    async fn clear_records(
        &self,
        query: ScanQuery,
        is_meant: fn(&RecordKey) -> bool,
        left: &mut Vec<Error>,
    ) -> Result<()> {
        let mut found = self.store.scan(query).ready_chunks(PAGE);
        while let Some(some) = found.next().await {
            let mut batch = self.store.batch();
            for record in some {
                match record {
                    Ok(record) if is_meant(&record.key) => batch = batch.delete(record.key, Expect::Any),
                    Ok(_) => {}
                    Err(error) => note(error, left)?,
                }
            }
            if !batch.is_empty() {
                self.store.commit(batch).await?.committed()?;
            }
        }
        Ok(())
    }

    /// Removes the hosts' own logs, under all names.
    async fn clear_own_logs(&self, left: &mut Vec<Error>) -> Result<()> {
        let scan = LogScan::all(PAGE).after(LogKey::new(Kind::of(OWN), FIRST)?);
        let mut found = self.store.logs(scan).ready_chunks(PAGE);
        while let Some(some) = found.next().await {
            let mut batch = self.store.batch();
            for head in some {
                match head {
                    Ok(head) if is_own(head.log.kind()) => batch = batch.remove(head.log),
                    Ok(_) => {}
                    Err(error) => note(error, left)?,
                }
            }
            if !batch.is_empty() {
                self.store.commit(batch).await?.committed()?;
            }
        }
        Ok(())
    }

    /// Returns the namespaces that have agent logs or messages between agents, and the default one.
    async fn namespaces(&self) -> Result<BTreeSet<Namespace>> {
        let mut namespaces = BTreeSet::from([Namespace::default()]);
        for kind in [TRANSCRIPT_IN, CHECKPOINTS_IN, ORCHESTRATION_IN] {
            let mut heads = self.store.logs(LogScan::of(kind, PAGE));
            while let Some(head) = heads.try_next().await? {
                if let Some((name, _)) = head.log.id().split_once('/') {
                    namespaces.insert(Namespace::stored(Some(&name.into())));
                }
            }
        }
        Ok(namespaces)
    }
}

/// Purges the session of a record, in whatever namespace it is.
async fn purge(workspace: Workspace, record: Result<Record>) -> Result<()> {
    let session = Session::from_body(&record?.body)?;
    workspace.within(Namespace::stored(session.namespace.as_ref())).purge_live_session(&session.id).await
}

fn is_own(kind: &Kind) -> bool {
    kind.as_str().starts_with(OWN)
}

/// Records an error about a single item, which is left; any other error is fatal.
fn note(error: Error, left: &mut Vec<Error>) -> Result<()> {
    match error.is_of_one_thing() {
        true => left.push(error),
        false => return Err(error),
    }
    Ok(())
}
