//! How much a store holds.

use futures_util::TryStreamExt;

use super::activity::Place;
use super::{OrchestrationStats, Workspace};
use crate::entity::SessionStatus;
use crate::error::Result;
use crate::key::Kind;
use crate::kind::{ACTIVITY_PLACE, AGENT, TEMPLATE_NAME};
use crate::query::ScanQuery;

/// Records of a page.
const PAGE: usize = 1024;

/// How much a store holds.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Stats {
    /// How many agents.
    pub agents: u64,
    /// How many sessions, without those in the trash.
    pub sessions: u64,
    /// How many of them were last decided to be active; some may have expired since.
    pub active: u64,
    /// How many of them are archived.
    pub archived: u64,
    /// How many sessions in the trash.
    pub trash: u64,
    /// How many templates.
    pub templates: u64,
    /// The messages between agents.
    pub orchestration: OrchestrationStats,
}

impl Workspace {
    /// Returns how much the store holds. Reads a small record for each session and agent.
    pub async fn stats(&self) -> Result<Stats> {
        let mut stats = Stats {
            agents: self.count(AGENT).await?,
            templates: self.count(TEMPLATE_NAME).await?,
            orchestration: self.orchestration_stats().await?,
            ..Stats::default()
        };
        let mut places = self.store.scan(ScanQuery::of(ACTIVITY_PLACE, PAGE));
        while let Some(record) = places.try_next().await? {
            let place = Place::read(&record)?;
            if place.is_trash() {
                stats.trash += 1;
                continue;
            }
            stats.sessions += 1;
            match place.status() {
                SessionStatus::Active => stats.active += 1,
                SessionStatus::Archived => stats.archived += 1,
                _ => {}
            }
        }
        Ok(stats)
    }

    async fn count(&self, kind: Kind) -> Result<u64> {
        let records = self.store.scan(ScanQuery::of(kind, PAGE));
        records.try_fold(0, |count, _| async move { Ok(count + 1) }).await
    }
}
