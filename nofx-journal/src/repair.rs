//! Repairing: the journal continues after damage, in a new generation.
//!
//! The base takes in every readable frame, in one run that also says which numbers are given up. Then the old segments
//! are kept aside, and a new one begins after all of them. After a crash in between, the same repair continues, and
//! gives up nothing more.

use std::path::{Path, PathBuf};
use std::sync::PoisonError;

use nofx_core::{Error, Loss, Repair, Repaired, Result};
use nofx_platform::slashed;

use crate::base::{Mark, Run};
use crate::codec::Commit;
use crate::damage::DAMAGED_PREFIX;
use crate::fault::During;
use crate::segment::{HEADER_BYTES, Header, Position, Segment, salt, segment_files, unused_path};
use crate::shared_files::SharedFiles;
use crate::tip::Tip;
use crate::writer::JournalWriter;

/// What a journal is repaired from.
struct NextFrame {
    /// Where the damage is, as text.
    what: String,
    /// How many groups are lost; `None` if that is not known.
    lost: Option<u64>,
    /// What can be read beyond the base.
    groups: Vec<Vec<Commit>>,
}

/// What is given up if the number of groups is not known.
const ALL: &str = "the commits that only the journal held";

fn groups_of(count: u64) -> String {
    if count == 1 { "one group of commits".to_owned() } else { format!("{count} groups of commits") }
}

/// Reports that repairing a journal gives up this many groups, or everything that it held beyond the base.
pub(crate) fn only_without(folder: &Path, what: &str, lost: Option<u64>) -> Repaired {
    let without = lost.map_or(ALL.to_owned(), groups_of);
    let what = format!("{what}; repairing it gives up {without}");
    Repaired { losses: vec![Loss { thing: slashed(folder), what }], ..Repaired::default() }
}

impl JournalWriter {
    /// Lets the journal continue after unreadable parts, and reports what those were. If groups would be lost, it only
    /// reports so, unless `gives_up` allows it. Damaged files are kept next to the new ones.
    pub(crate) fn repair(&self, gives_up: bool) -> Result<Repaired> {
        let _turn = self.turn();
        let _applying = self.applying.lock().unwrap_or_else(PoisonError::into_inner);
        let (shared_files, _held) = self.hold_waiting(SharedFiles::lock)?;
        let (_, _held_too) = self.hold_waiting(SharedFiles::apply_lock)?;
        let Some(NextFrame { what, lost, groups }) = self.find_damage(&shared_files)? else {
            return Ok(Repaired::default());
        };
        let folder = self.follower.layout.folder();
        if lost != Some(0) && !gives_up {
            return Ok(only_without(folder, &what, lost));
        }
        let start = self.settle_base(groups)?;
        let (next, aside) = self.begin_after(&start)?;
        _ = self.report_durable(&shared_files, &next.header.start);
        _ = Tip::write_applied(shared_files.tip(), start.frame);
        self.follower.begin_again();
        let without = match lost {
            Some(0) => String::new(),
            Some(lost) => format!(", without {}", groups_of(lost)),
            None => format!(", without {ALL}"),
        };
        let what = format!("{what}; the journal continues in `{}`{without}", slashed(&next.path));
        let repair = Repair { thing: slashed(folder), what, aside };
        Ok(Repaired { repairs: vec![repair], losses: Vec::new() })
    }

    fn find_damage(&self, shared_files: &SharedFiles) -> Result<Option<NextFrame>> {
        let follower = &self.follower;
        // If the base cannot be read, nothing says what it lacks.
        follower.base.snapshot()?;
        match follower.follow_holding(shared_files) {
            Ok(_) => {}
            Err(Error::Corrupt(failure)) => {
                return Ok(Some(NextFrame { what: failure.what, lost: None, groups: Vec::new() }));
            }
            Err(error) => return Err(error),
        }
        let mark = follower.base.snapshot()?.mark();
        let tail = follower.tail();
        let found = tail.damage().map(|damage| NextFrame {
            what: damage.what.clone(),
            lost: damage.count(),
            groups: tail.groups_after(mark.frame).map(|(_, commits)| commits.clone()).collect(),
        });
        Ok(found)
    }

    /// Gives the base everything readable beyond it, and moves its mark past every number that was ever used. Durable
    /// on return.
    fn settle_base(&self, groups: Vec<Vec<Commit>>) -> Result<Mark> {
        let follower = &self.follower;
        let after = follower.base.snapshot()?.mark();
        let mut newest =
            follower.tip().map_or(0, |tip| tip.durable.frame).max(after.frame).max(follower.position().frame);
        for segment in Segment::all(&*self.writable, &follower.layout, follower.store)? {
            let groups = segment.whole_groups(HEADER_BYTES).during("reading", &segment.path)?;
            newest = groups
                .iter()
                .map(|frame| frame.number)
                .chain([newest, segment.header.start.frame])
                .max()
                .unwrap_or(newest);
        }
        let (mut run, mut at) = (Run { after, groups: Vec::new(), completes: false }, after);
        let last = newest.saturating_add(groups.len() as u64);
        for (frame, commits) in (newest + 1..).zip(groups) {
            let after = Position { frame, commits: at.commits + commits.len() as u64, ..Position::default() };
            at = at.after(&commits, &after);
            run.groups.push((at, commits));
        }
        // A number that no frame has, so that the content of the old files is never taken for what follows.
        let end = Mark { frame: last + 1, chain: 0, ..at };
        run.groups.push((end, Vec::new()));
        follower.base.apply(&run)?;
        Ok(end)
    }

    /// Begins a generation after what the base holds, and keeps the files of earlier ones under other names.
    fn begin_after(&self, mark: &Mark) -> Result<(Segment, Option<String>)> {
        let (writable, layout, store) = (&*self.writable, &self.follower.layout, self.follower.store);
        let before = segment_files(writable, layout)?;
        let reported = self.follower.tip().map(|tip| tip.durable.generation);
        let found = Segment::of_any_store(writable, layout)?;
        let newest = found.iter().map(|segment| segment.header.start.generation).chain(reported).max();
        // A gap says that no reader needs what comes before it.
        let generation = newest.unwrap_or_default() + 1;
        let at =
            Position { generation, frame: mark.frame, chain: mark.chain, commits: mark.commits, ..Position::default() };
        let header = Header::after(&at, store, salt(&self.options.sources), mark.last_seq);
        let aside = if before.is_empty() { None } else { Some(self.put_aside(before)?) };
        let path = unused_path(writable, layout)?;
        let (next, _) = Segment::begin(writable, layout, path, header, self.options.segment_bytes)?;
        Ok((next, aside))
    }

    /// Renames files so that no process takes them for segments, and returns the prefix of their new names. Durable on
    /// return.
    fn put_aside(&self, files: Vec<PathBuf>) -> Result<String> {
        let (writable, folder) = (&*self.writable, self.follower.layout.folder());
        let taken = writable.list(folder).during("listing", folder)?;
        let is_free = |prefix: &String| taken.iter().all(|entry| !entry.name.starts_with(prefix.as_str()));
        let prefix = (1..).map(|number| format!("{DAMAGED_PREFIX}{number}-")).find(is_free).unwrap_or_default();
        for path in files {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            let kept = folder.join(format!("{prefix}{name}"));
            writable.rename(&path, &kept).during("moving aside", &path)?;
        }
        writable.sync_dir(folder).during("flushing", folder)?;
        Ok(format!("{}/{prefix}*", slashed(folder)))
    }
}
