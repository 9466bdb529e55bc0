//! How much a store holds.

use futures_util::{StreamExt, TryStreamExt};

use crate::entity::SessionStatus;
use crate::error::Result;
use crate::key::Kind;
use crate::kind::{ACTIVITY_PLACE, AGENT, AGENT_IN, ORCHESTRATION, ORCHESTRATION_IN, TEMPLATE_NAME};
use crate::query::{LogScan, ScanQuery};
use crate::record::LogHead;
use crate::workspace::sessions::activity::ActivityPlace;
use crate::workspace::{OrchestrationStats, Workspace};

/// Records per page.
const PAGE: usize = 1024;

/// How much a store holds.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Stats {
    /// The number of agents.
    pub agents: u64,
    /// The number of sessions, without those in the trash.
    pub sessions: u64,
    /// How many of them have the status active; some may have expired since.
    pub active: u64,
    /// How many of them are archived.
    pub archived: u64,
    /// The number of sessions in the trash.
    pub trash: u64,
    /// The number of templates.
    pub templates: u64,
    /// How many of the counted records cannot be read; sessions among them are in no other number.
    pub unreadable: u64,
    /// The messages between agents.
    pub orchestration: OrchestrationStats,
}

impl Workspace {
    /// Returns how much the store holds in all namespaces. Reads one small record for each session and agent.
    pub async fn stats(&self) -> Result<Stats> {
        let (agents, others) = (self.count(AGENT).await?, self.count(AGENT_IN).await?);
        let templates = self.count(TEMPLATE_NAME).await?;
        let mut stats = Stats {
            agents: agents.0 + others.0,
            templates: templates.0,
            unreadable: agents.1 + others.1 + templates.1,
            orchestration: self.all_orchestration_stats().await?,
            ..Stats::default()
        };
        let mut places = self.store.scan(ScanQuery::of(ACTIVITY_PLACE, PAGE));
        while let Some(record) = places.next().await {
            let place = match record.and_then(|record| ActivityPlace::read(&record)) {
                Ok(place) => place,
                Err(error) if error.is_of_one_thing() => {
                    stats.unreadable += 1;
                    continue;
                }
                Err(error) => return Err(error),
            };
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

    /// Adds up the messages between agents of all namespaces.
    async fn all_orchestration_stats(&self) -> Result<OrchestrationStats> {
        let mut all = OrchestrationStats::default();
        let mut segments: Vec<LogHead> = self.store.logs(LogScan::of(ORCHESTRATION, PAGE)).try_collect().await?;
        segments.extend(self.store.logs(LogScan::of(ORCHESTRATION_IN, PAGE)).try_collect::<Vec<_>>().await?);
        let of = |head: &LogHead| head.log.id().rsplit_once('/').map_or("", |(namespace, _)| namespace).to_owned();
        for segments in segments.chunk_by(|one, other| of(one) == of(other)) {
            let some = self.stats_of_segments(segments.to_vec()).await?;
            all.messages += some.messages;
            all.segments += some.segments;
            all.newest = all.newest.max(some.newest);
            all.oldest = [all.oldest, some.oldest].into_iter().flatten().min();
        }
        Ok(all)
    }

    /// Counts the records of a kind, and those of them that cannot be read.
    async fn count(&self, kind: Kind) -> Result<(u64, u64)> {
        let mut records = self.store.scan(ScanQuery::of(kind, PAGE));
        let (mut all, mut unreadable) = (0, 0);
        while let Some(record) = records.next().await {
            all += 1;
            match record {
                Ok(_) => {}
                Err(error) if error.is_of_one_thing() => unreadable += 1,
                Err(error) => return Err(error),
            }
        }
        Ok((all, unreadable))
    }
}
