//! Finding damage, and continuing without what cannot be read.

use std::collections::HashMap;
use std::sync::Arc;

use nofx_core::{Error, Loss, Repair, Repaired, Result};

use super::Root;
use crate::commit::{CheckpointId, Commit, Follows, RunCommit};
use crate::names;

/// A problem that a check found in a store.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Finding {
    /// The object.
    pub object: String,
    /// What is wrong with it.
    pub what: String,
    /// Whether stored data cannot be read. Otherwise nothing is lost.
    pub is_damage: bool,
}

impl Finding {
    fn new(object: impl Into<String>, what: impl Into<String>, is_damage: bool) -> Self {
        Self { object: object.into(), what: what.into(), is_damage }
    }
}

impl Root {
    /// Lists objects that are damaged, cut or missing, and commits that are not part of the store.
    pub(crate) async fn check(&self) -> Result<Vec<Finding>> {
        self.refresh().await?;
        let mut findings = Vec::new();
        let newest = self.newest_of(&self.objects.newest_commits().await?).await?.unwrap_or_default();
        let mut blocked = self.blocked();
        for (_, error) in &newest.damaged {
            blocked = blocked.filter(|blocked| blocked.to_string() != error.to_string());
            findings.push(Finding::new("a commit", error.chain(), true));
        }
        findings.extend(blocked.map(|error| Finding::new("the newest commits", error.chain(), true)));
        let stray =
            "it does not follow the commit before it and is ignored: the host that created it was told that it failed";
        for number in newest.strays {
            findings.push(Finding::new(self.objects.names.commit(number).as_ref(), stray, false));
        }
        if let Some(lost) = self.lost_checkpoint().await? {
            let what = format!("{}; an older one and the commits since are used instead", lost.chain());
            findings.push(Finding::new("a checkpoint", what, true));
        }
        let listed = self.objects.list(names::PACKS).await?;
        let sizes: HashMap<_, _> = listed.iter().map(|meta| (&meta.location, meta.size)).collect();
        for (pack, size) in self.fresh(|state| Ok(state.base.packs.clone())).await? {
            let path = self.objects.names.pack(&pack);
            let what = match sizes.get(&path) {
                Some(found) if *found >= size => continue,
                Some(found) => format!("it was cut off at {found} of {size} bytes"),
                None => "it is missing".to_owned(),
            };
            findings.push(Finding::new(path.as_ref(), what, true));
        }
        Ok(findings)
    }

    /// Continues without what is damaged after the last readable commit, if `gives_up`, and replaces a lost checkpoint.
    pub(crate) async fn repair(self: &Arc<Self>, gives_up: bool) -> Result<Repaired> {
        self.refresh().await?;
        let mut repaired = Repaired::default();
        if let Some(damaged) = self.blocked() {
            let next = self.with_tip(|tip| Ok(tip.state.next()))?;
            let last = self.objects.newest_commits().await?.into_iter().next().unwrap_or(next).max(next);
            let thing = match next == last {
                true => format!("commit {next}"),
                false => format!("commits {next} to {last}"),
            };
            let what = damaged.chain();
            if !gives_up {
                repaired.losses.push(Loss { thing, what });
                return Ok(repaired);
            }
            self.pass_all(next..=last).await?;
            self.commit_nothing().await?;
            let what = format!("{what}; the store continues without what was written there");
            repaired.repairs.push(Repair { thing, what, aside: None });
        }
        if let Some(lost) = self.lost_checkpoint().await? {
            let cited = self.with_tip(|tip| Ok(tip.state.cited.clone()))?;
            self.roll().await?;
            while self.with_tip(|tip| Ok(tip.state.cited == cited))? {
                self.commit_nothing().await?;
            }
            let what = format!("{}; it was rebuilt from an older one and the commits since", lost.chain());
            repaired.repairs.push(Repair { thing: "a checkpoint".to_owned(), what, aside: None });
        }
        Ok(repaired)
    }

    /// Marks these numbers as holding nothing.
    async fn pass_all(&self, numbers: std::ops::RangeInclusive<u64>) -> Result<()> {
        self.look_back().await?;
        for number in numbers {
            let nothing = loop {
                match self.fetch(number).await {
                    Ok(Some(commit)) => break commit.last().map(|last| (last.nonce.clone(), last.writer.clone())),
                    // A free number could be created later.
                    Ok(None) => self.fill(number).await?,
                    Err(Error::Corrupt(_)) => break None,
                    Err(error) => return Err(error),
                }
            };
            let (nonce, writer) = nothing.unwrap_or_else(|| (names::nonce(&*self.sources.ids), self.writer.clone()));
            self.pass(RunCommit::nothing(number, nonce, writer));
            self.with_tip(|tip| {
                tip.blocked = None;
                Ok(())
            })?;
        }
        Ok(())
    }

    /// Creates a commit under a free number that follows nothing, and so is not part of the store.
    async fn fill(&self, number: u64) -> Result<()> {
        let nonce = || names::nonce(&*self.sources.ids);
        let run = vec![Arc::new(RunCommit::nothing(number, nonce(), self.writer.clone()))];
        let before = number.saturating_sub(1);
        let follows = Some(Follows { number: before, nonce: nonce(), proven: 0 });
        let store = self.with_tip(|tip| Ok(tip.state.store))?;
        let checkpoint = Some(CheckpointId { number: before, nonce: nonce() });
        let commit = Commit { store, checkpoint, run, follows, tag: None, made: 0 };
        self.objects.create_own(&self.objects.names.commit(number), commit.encode()?).await
    }

    /// Returns what is wrong with the checkpoint that the newest commit names, if it cannot be read.
    async fn lost_checkpoint(&self) -> Result<Option<Error>> {
        let (cited, store) = self.with_tip(|tip| Ok((tip.state.cited.clone(), tip.state.store)))?;
        let Some(cited) = cited else { return Ok(None) };
        match self.read_base(&cited, store).await {
            Ok(Some(_)) => Ok(None),
            Ok(None) => Ok(Some(crate::objects::missing(&self.checkpoint_path(&cited)))),
            Err(error) if matches!(error, Error::Corrupt(_)) => Ok(Some(error)),
            Err(error) => Err(error),
        }
    }
}
