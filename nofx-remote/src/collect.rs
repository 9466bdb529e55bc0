//! Deleting objects that are no longer needed.
//!
//! Ages come from the store's own clock: how much older one object is than another. A commit that was the newest within
//! the grace period stays, with everything that its state needs; so does anything that a commit in flight may still
//! refer to.

use std::collections::HashSet;
use std::time::Duration;

use nofx_core::Result;
use object_store::ObjectMeta;

use crate::commit::Commit;
use crate::names;
use crate::objects::missing;
use crate::roll::needed_packs;
use crate::root::Root;
use crate::state::State;

/// How long an object may wait for the commit that refers to it, in units of the time after which a handle is stale:
/// one for the handle that created it, one for a checkpoint being made, and one for requests.
const ON_ITS_WAY: u32 = 3;

/// The result of a collection.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Collected {
    /// How many objects were deleted.
    pub deleted: usize,
    /// How many objects are left.
    pub kept: usize,
    /// How many bytes they have.
    pub bytes: u64,
}

/// Deletes what was already unneeded one grace period ago.
pub(crate) async fn collect(root: &Root) -> Result<Collected> {
    let objects = &root.objects;
    let mut commits: Vec<_> = objects.list(names::ROOT).await?;
    commits.sort_unstable_by(|a, b| b.location.cmp(&a.location));
    let checkpoints = objects.list(names::CHECKPOINTS).await?;
    let packs = objects.list(names::PACKS).await?;
    let probes = objects.list(names::PROBES).await?;
    let all = || commits.iter().chain(&checkpoints).chain(&packs).chain(&probes);
    let mut dead: HashSet<&object_store::path::Path> = HashSet::new();

    let numbered = || commits.iter().filter_map(|meta| Some((names::number(&meta.location)?, meta)));
    if let Some((_, newest)) = numbered().next_back() {
        let is_old = |meta: &&ObjectMeta| is_older(meta, newest, root.rules.grace);
        dead.extend(probes.iter().filter(is_old).map(|meta| &meta.location));
        // The commit that was the newest when the grace period began: the last of the old ones.
        let old = numbered().skip_while(|(number, _)| *number == 1).take_while(|(_, meta)| is_old(meta));
        if let Some((first_kept, _)) = old.last()
            && let Some(commit) = root.fetch(first_kept).await?
            && root.is_part(&commit).await?
        {
            // Commit 1 stays forever: if its number were free, the store could be created a second time.
            dead.extend(
                numbered().filter(|(number, _)| (2..first_kept).contains(number)).map(|(_, meta)| &meta.location),
            );
            let settled = root.rules.grace + root.rules.stale * ON_ITS_WAY;
            let is_settled = |meta: &ObjectMeta| is_older(meta, newest, settled);
            dead.extend(dead_below(root, commit, &checkpoints, &packs, is_settled).await?);
        }
    }
    // Only in the store that this handle knows.
    root.look_back().await?;
    let mut paths: Vec<_> = dead.iter().map(|path| (*path).clone()).collect();
    // Oldest commits first, so that nothing older is left below a free number.
    paths.sort_unstable_by(|one, other| other.cmp(one));
    let (kept, bytes) = all()
        .filter(|meta| !dead.contains(&meta.location))
        .fold((0, 0), |(count, bytes), meta| (count + 1, bytes + meta.size));
    let expected = paths.len();
    let deleted = objects.delete(paths).await;
    Ok(Collected { deleted, kept: kept + expected - deleted, bytes })
}

/// Returns the checkpoints and packs that neither this commit nor any later one needs, among those old enough to be in
/// its state if they are in any.
async fn dead_below<'a>(
    root: &Root,
    commit: Commit,
    checkpoints: &'a [ObjectMeta],
    packs: &'a [ObjectMeta],
    is_settled: impl Fn(&ObjectMeta) -> bool,
) -> Result<Vec<&'a object_store::path::Path>> {
    let Some(cited) = commit.checkpoint.clone() else { return Ok(Vec::new()) };
    let path = root.objects.names.checkpoint(cited.number, &cited.nonce);
    let base = root.base(&cited, commit.store).await?.ok_or_else(|| missing(&path))?;
    let mut needed = needed_packs(&State::new(base, &commit)?);
    needed.extend(root.fresh(|state| Ok(needed_packs(state))).await?);
    let needed: HashSet<_> = needed.iter().map(|pack| root.objects.names.pack(pack)).collect();
    let dead_packs = packs.iter().filter(|meta| !needed.contains(&meta.location)).filter(|meta| is_settled(meta));
    // A commit can only name a checkpoint if it follows one that names the checkpoint's parent, so these will never be
    // named.
    let passed = |meta: &&ObjectMeta| names::number(&meta.location).is_some_and(|number| number < cited.number);
    let twins = |meta: &&ObjectMeta| meta.location != path && is_settled(meta);
    let dead_checkpoints = checkpoints.iter().filter(|meta| passed(meta) || twins(meta));
    Ok(dead_checkpoints.chain(dead_packs).map(|meta| &meta.location).collect())
}

/// Returns whether one object is older than another by at least this much, by the store's dates.
fn is_older(meta: &ObjectMeta, than: &ObjectMeta, by: Duration) -> bool {
    let distance = than.last_modified.signed_duration_since(meta.last_modified);
    distance.to_std().is_ok_and(|distance| distance >= by)
}
