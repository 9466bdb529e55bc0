//! A file system in memory that knows what a power cut may leave of it.
//!
//! Each file has a live content and a durable one, plus the writes in between; names likewise. A cut keeps any of the
//! unflushed writes, in sectors of 512 bytes, and any of the unflushed names. For tests: it panics on anything
//! unexpected.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

use crate::files::{Boot, Entry, Files, ReadableFile, WritableFile, WritableFiles};

const SECTOR: usize = 512;

/// Reproducible randomness.
#[derive(Clone, Debug)]
pub struct Dice(pub u64);

impl Dice {
    /// Returns any number.
    pub fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    /// Returns a number below a bound, which must not be zero.
    pub fn below(&mut self, bound: u64) -> u64 {
        self.roll() % bound
    }

    /// Returns `true` with a probability of one in `n`.
    pub fn one_in(&mut self, n: u64) -> bool {
        self.below(n) == 0
    }
}

#[derive(Clone, Debug, Default)]
struct Inode {
    live: Vec<u8>,
    durable: Vec<u8>,
    pending: Vec<Write>,
    locked: bool,
}

#[derive(Clone, Debug)]
enum Write {
    Bytes(usize, Vec<u8>),
    Length(usize),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Node {
    File(usize),
    Folder,
}

#[derive(Clone, Debug)]
enum Naming {
    Made(PathBuf, Node),
    Gone(PathBuf),
    Renamed(PathBuf, PathBuf, Node),
}

impl Naming {
    fn is_in(&self, folder: &Path) -> bool {
        match self {
            Self::Made(path, _) | Self::Gone(path) => path.parent() == Some(folder),
            Self::Renamed(_, to, _) => to.parent() == Some(folder),
        }
    }

    fn apply(&self, names: &mut BTreeMap<PathBuf, Node>) {
        match self {
            Self::Made(path, node) => _ = names.insert(path.clone(), *node),
            Self::Gone(path) => _ = names.remove(path),
            Self::Renamed(from, to, node) => {
                // The name may already belong to another file, in an image that kept a later change but not an earlier
                // one.
                if names.get(from) == Some(node) {
                    names.remove(from);
                }
                names.insert(to.clone(), *node);
            }
        }
    }
}

/// The contents of a disk.
#[derive(Clone, Debug, Default)]
pub struct Platter {
    inodes: Vec<Inode>,
    live: BTreeMap<PathBuf, Node>,
    durable: BTreeMap<PathBuf, Node>,
    pending: Vec<Naming>,
}

/// Part of a path, and a function that is called for it once.
pub type Hook = (&'static str, Arc<dyn Fn() + Send + Sync>);

/// Takes the hook and calls it, if it is for this path.
fn pull(hook: impl Fn(&mut Faults) -> &mut Option<Hook>, path: &str, sim: &Sim) {
    let taken = hook(&mut sim.inner().faults).take_if(|(part, _)| path.contains(*part));
    taken.into_iter().for_each(|(_, call)| call());
}

/// Returns a path as tests write it, on every platform.
pub(crate) fn name(path: &Path) -> String {
    path.to_string_lossy().replace(std::path::MAIN_SEPARATOR, "/")
}

/// What goes wrong.
#[derive(Clone, Default)]
pub struct Faults {
    /// Flushes that do nothing, by path; folders end with a slash.
    pub skipped: Option<fn(&str) -> bool>,
    /// Makes the n-th flush of a segment from now fail.
    pub fail_flush: Option<u64>,
    /// Whether a flush that fails is reported as done.
    pub lying_flush: bool,
    /// How many bytes all files together may have.
    pub room: Option<usize>,
    /// The files that the disk cannot read.
    pub bad_places: Vec<&'static str>,
    /// Nothing can be written.
    pub read_only: bool,
    /// Every attempt to lock succeeds.
    pub lying_locks: bool,
    /// Files that cannot be read, by path.
    pub fail_read: Option<fn(&str) -> bool>,
    /// Files that cannot be written, by path.
    pub fail_write: Option<fn(&str) -> bool>,
    /// The error that every lock returns.
    pub lock_error: Option<i32>,
    /// Called just before the next write to a file whose path contains this.
    pub before_write: Option<Hook>,
    /// Called just before such a file is next opened.
    pub before_open: Option<Hook>,
    /// Called once a flush of a segment has failed.
    pub after_failed_flush: Option<Arc<dyn Fn() + Send + Sync>>,
}

impl std::fmt::Debug for Faults {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Faults")
    }
}

type Watch = Arc<dyn Fn(&Platter) + Send + Sync>;

#[derive(Clone, Default)]
struct Inner {
    platter: Platter,
    faults: Faults,
    watch: Option<Watch>,
    flushes: u64,
    written: u64,
    reads: u64,
    opened: Vec<String>,
    boot: Option<Boot>,
}

/// The file system. Each new one is a separate boot.
#[derive(Clone)]
pub struct Sim(Arc<Mutex<Inner>>);

impl Default for Sim {
    fn default() -> Self {
        Self::holding(Platter::default())
    }
}

impl std::fmt::Debug for Sim {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Sim")
    }
}

impl Sim {
    /// Returns a file system on a disk, as after a reboot.
    pub fn holding(platter: Platter) -> Self {
        static BOOTS: AtomicU64 = AtomicU64::new(1);
        let boot = [BOOTS.fetch_add(1, Ordering::Relaxed).to_le_bytes(); 2].concat().try_into().ok();
        Self(Arc::new(Mutex::new(Inner { platter, boot, ..Inner::default() })))
    }

    /// Calls this with the contents of the disk after each change.
    pub fn watch(&self, watch: impl Fn(&Platter) + Send + Sync + 'static) {
        self.inner().watch = Some(Arc::new(watch));
    }

    /// Ends what [`watch`](Self::watch) began.
    pub fn stop_watching(&self) {
        self.inner().watch = None;
    }

    /// Changes what goes wrong from now on.
    pub fn set_faults(&self, change: impl FnOnce(&mut Faults)) {
        change(&mut self.inner().faults);
    }

    /// Returns how many flushes there were, and how many bytes were written.
    pub fn counts(&self) -> (u64, u64) {
        let inner = self.inner();
        (inner.flushes, inner.written)
    }

    /// Returns how many reads there were.
    pub fn reads(&self) -> u64 {
        self.inner().reads
    }

    /// Reboots, as after a power cut; with `None`, boots can no longer be identified.
    pub fn set_boot(&self, boot: Option<Boot>) {
        self.inner().boot = boot;
    }

    /// Returns the contents of the disk.
    pub fn platter(&self) -> Platter {
        self.inner().platter.clone()
    }

    /// Returns the files that were opened since the last call.
    pub fn opened(&self) -> Vec<String> {
        std::mem::take(&mut self.inner().opened)
    }

    /// Changes the bytes of a file without going through a process.
    pub fn tamper(&self, path: &str, change: impl FnOnce(&mut Vec<u8>)) {
        let mut inner = self.inner();
        let Some(Node::File(inode)) = inner.platter.live.get(Path::new(path)).copied() else { panic!("no {path}") };
        let inode = &mut inner.platter.inodes[inode];
        change(&mut inode.live);
        inode.durable = inode.live.clone();
    }

    /// Puts another file at a path, like a copy that is renamed into place.
    pub fn replace(&self, path: &str, bytes: Vec<u8>) {
        let mut inner = self.inner();
        let node = Node::File(inner.platter.inodes.len());
        inner.platter.inodes.push(Inode { live: bytes.clone(), durable: bytes, ..Inode::default() });
        inner.platter.live.insert(path.into(), node);
        inner.platter.durable.insert(path.into(), node);
    }

    /// Removes a file, likewise.
    pub fn delete(&self, path: &str) {
        let mut inner = self.inner();
        inner.platter.live.remove(Path::new(path));
        inner.platter.durable.remove(Path::new(path));
    }

    /// Returns every file and its content.
    pub fn everything(&self) -> BTreeMap<String, Vec<u8>> {
        let inner = self.inner();
        let files = inner.platter.live.iter().filter_map(|(path, node)| match node {
            Node::File(inode) => Some((name(path), inner.platter.inodes[*inode].live.clone())),
            Node::Folder => None,
        });
        files.collect()
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    /// Makes a change, and then notifies the watcher.
    fn change<T>(&self, change: impl FnOnce(&mut Inner) -> io::Result<T>) -> io::Result<T> {
        let (done, watch, platter) = {
            let mut inner = self.inner();
            if inner.faults.read_only {
                return Err(io::ErrorKind::ReadOnlyFilesystem.into());
            }
            let done = change(&mut inner);
            let watch = inner.watch.clone();
            let platter = watch.as_ref().map(|_| inner.platter.clone());
            (done, watch, platter)
        };
        if let (Some(watch), Some(platter)) = (watch, platter) {
            watch(&platter);
        }
        done
    }
}

impl Platter {
    /// Returns the names of what is there.
    pub fn names(&self) -> impl Iterator<Item = String> {
        self.live.keys().map(|path| name(path))
    }

    /// Returns the same without a file.
    pub fn without(mut self, path: &str) -> Self {
        self.live.remove(Path::new(path));
        self.durable.remove(Path::new(path));
        self
    }

    /// Returns what is left after a power cut that loses everything unflushed.
    pub fn flushed(&self) -> Platter {
        let inodes = self.inodes.iter().map(|inode| Inode {
            live: inode.durable.clone(),
            durable: inode.durable.clone(),
            ..Inode::default()
        });
        Platter {
            inodes: inodes.collect(),
            live: self.durable.clone(),
            durable: self.durable.clone(),
            pending: Vec::new(),
        }
    }

    /// Returns what may be found after a power cut at this point.
    pub fn cut(&self, dice: &mut Dice) -> Platter {
        // Some cuts keep nearly everything or nearly nothing that was not flushed.
        let keep = [1, 20, 50, 80, 99][dice.below(5) as usize];
        let mut names = self.durable.clone();
        for naming in &self.pending {
            if dice.below(100) < keep {
                naming.apply(&mut names);
            }
        }
        let folders: BTreeSet<PathBuf> =
            names.iter().filter(|(_, node)| **node == Node::Folder).map(|(path, _)| path.clone()).collect();
        names.retain(|path, _| {
            path.ancestors().skip(1).all(|above| above.as_os_str().is_empty() || folders.contains(above))
        });
        let inodes = self.inodes.iter().map(|inode| inode.cut(dice, keep)).collect();
        Platter { inodes, live: names.clone(), durable: names, pending: Vec::new() }
    }
}

impl Inode {
    fn cut(&self, dice: &mut Dice, keep: u64) -> Inode {
        let mut content = self.durable.clone();
        for write in &self.pending {
            match write {
                Write::Bytes(offset, bytes) => {
                    let mut at = 0;
                    while at < bytes.len() {
                        let end = ((offset + at) / SECTOR + 1) * SECTOR - offset;
                        let end = end.min(bytes.len());
                        if dice.below(100) < keep {
                            put(&mut content, offset + at, &bytes[at..end]);
                        }
                        at = end;
                    }
                }
                Write::Length(length) if dice.below(100) < keep => content.resize(*length, 0),
                Write::Length(_) => {}
            }
        }
        Inode { live: content.clone(), durable: content, pending: Vec::new(), locked: false }
    }
}

fn put(content: &mut Vec<u8>, offset: usize, bytes: &[u8]) {
    if content.len() < offset + bytes.len() {
        content.resize(offset + bytes.len(), 0);
    }
    content[offset..offset + bytes.len()].copy_from_slice(bytes);
}

impl Sim {
    fn file(&self, path: &Path, inode: usize) -> Arc<SimFile> {
        Arc::new(SimFile { sim: self.clone(), inode, path: name(path) })
    }

    fn find(&self, path: &Path) -> io::Result<Option<Arc<SimFile>>> {
        pull(|faults| &mut faults.before_open, &name(path), self);
        let found = self.inner().platter.live.get(path).copied();
        self.inner().opened.push(name(path));
        match found {
            Some(Node::Folder) => Err(io::ErrorKind::InvalidData.into()),
            Some(Node::File(inode)) => Ok(Some(self.file(path, inode))),
            None => Ok(None),
        }
    }
}

impl Files for Sim {
    fn open(&self, path: &Path) -> io::Result<Arc<dyn ReadableFile>> {
        Ok(self.find(path)?.ok_or(io::ErrorKind::NotFound)?)
    }

    fn list(&self, path: &Path) -> io::Result<Vec<Entry>> {
        let inner = self.inner();
        let inside = inner.platter.live.iter().filter(|(other, _)| other.parent() == Some(path));
        Ok(inside
            .map(|(other, node)| Entry {
                name: other.file_name().unwrap_or_default().to_string_lossy().into_owned(),
                is_dir: *node == Node::Folder,
            })
            .collect())
    }

    fn foreign(&self) -> io::Result<Option<String>> {
        Ok(None)
    }

    fn may_edit(&self, _: &Path) -> io::Result<()> {
        if self.inner().faults.read_only { Err(io::ErrorKind::ReadOnlyFilesystem.into()) } else { Ok(()) }
    }

    fn boot(&self) -> Option<Boot> {
        self.inner().boot
    }
}

impl WritableFiles for Sim {
    fn edit(&self, path: &Path) -> io::Result<Arc<dyn WritableFile>> {
        if let Some(file) = self.find(path)? {
            return Ok(file);
        }
        let inode = self.change(|inner| {
            let above = path.parent().unwrap_or(Path::new(""));
            if !above.as_os_str().is_empty() && inner.platter.live.get(above) != Some(&Node::Folder) {
                return Err(io::ErrorKind::NotFound.into());
            }
            let node = Node::File(inner.platter.inodes.len());
            inner.platter.inodes.push(Inode::default());
            inner.platter.name(Naming::Made(path.to_owned(), node));
            Ok(inner.platter.inodes.len() - 1)
        })?;
        Ok(self.file(path, inode))
    }

    fn create(&self, path: &Path) -> io::Result<Arc<dyn WritableFile>> {
        let file = self.edit(path)?;
        if file.len()? > 0 {
            file.set_len(0)?;
        }
        Ok(file)
    }

    fn make_dir(&self, path: &Path) -> io::Result<()> {
        match self.inner().platter.live.get(path) {
            Some(Node::Folder) => return Ok(()),
            Some(Node::File(_)) => return Err(io::ErrorKind::NotADirectory.into()),
            None => {}
        }
        self.change(|inner| {
            inner.platter.name(Naming::Made(path.to_owned(), Node::Folder));
            Ok(())
        })
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.change(|inner| {
            let node = inner.platter.live.get(from).copied().ok_or(io::ErrorKind::NotFound)?;
            if node != Node::Folder && inner.platter.live.get(to) == Some(&Node::Folder) {
                return Err(io::ErrorKind::IsADirectory.into());
            }
            inner.platter.name(Naming::Renamed(from.to_owned(), to.to_owned(), node));
            Ok(())
        })
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        if !self.inner().platter.live.contains_key(path) {
            return Ok(());
        }
        self.change(|inner| {
            inner.platter.name(Naming::Gone(path.to_owned()));
            Ok(())
        })
    }

    fn remove_dir(&self, path: &Path) -> io::Result<()> {
        let is_used = self.inner().platter.live.keys().any(|other| other.parent() == Some(path));
        if is_used { Ok(()) } else { self.remove(path) }
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        self.change(|inner| {
            inner.flushes += 1;
            if inner.faults.skipped.is_some_and(|skipped| skipped(&format!("{}/", name(path)))) {
                return Ok(());
            }
            let (here, elsewhere) = inner.platter.pending.drain(..).partition(|naming| naming.is_in(path));
            inner.platter.pending = elsewhere;
            let here: Vec<Naming> = here;
            here.iter().for_each(|naming| naming.apply(&mut inner.platter.durable));
            Ok(())
        })
    }
}

impl Platter {
    fn name(&mut self, naming: Naming) {
        naming.apply(&mut self.live);
        self.pending.push(naming);
    }
}

#[derive(Debug)]
struct SimFile {
    sim: Sim,
    inode: usize,
    path: String,
}

impl SimFile {
    fn flush(&self) -> io::Result<()> {
        self.sim.change(|inner| {
            inner.flushes += 1;
            if inner.faults.skipped.is_some_and(|skipped| skipped(&self.path)) {
                return Ok(());
            }
            let fails = match &mut inner.faults.fail_flush {
                Some(left) if self.path.contains("segment") => {
                    *left = left.saturating_sub(1);
                    *left == 0
                }
                _ => false,
            };
            let inode = &mut inner.platter.inodes[self.inode];
            if fails {
                // The kernel drops what it could not write: a later flush will not try again.
                inner.faults.fail_flush = None;
                inode.pending.clear();
                return match inner.faults.lying_flush {
                    true => Ok(()),
                    false => Err(io::Error::other("the disk did not answer")),
                };
            }
            for write in inode.pending.drain(..) {
                match write {
                    Write::Bytes(offset, bytes) => put(&mut inode.durable, offset, &bytes),
                    Write::Length(length) => inode.durable.resize(length, 0),
                }
            }
            Ok(())
        })
    }

    fn write(&self, write: Write) -> io::Result<()> {
        if self.sim.inner().faults.fail_write.is_some_and(|fails| fails(&self.path)) {
            return Err(io::Error::other("the disk could not write"));
        }
        self.sim.change(|inner| {
            let used = || inner.platter.inodes.iter().map(|inode| inode.live.len()).sum::<usize>();
            let length = inner.platter.inodes[self.inode].live.len();
            match &write {
                Write::Bytes(offset, bytes) => {
                    let more = (offset + bytes.len()).saturating_sub(length);
                    if more > 0 && inner.faults.room.is_some_and(|room| used() + more > room) {
                        return Err(io::ErrorKind::StorageFull.into());
                    }
                    inner.written += bytes.len() as u64;
                    put(&mut inner.platter.inodes[self.inode].live, *offset, bytes);
                }
                Write::Length(length) => inner.platter.inodes[self.inode].live.resize(*length, 0),
            }
            inner.platter.inodes[self.inode].pending.push(write);
            Ok(())
        })
    }
}

impl ReadableFile for SimFile {
    fn len(&self) -> io::Result<u64> {
        Ok(self.sim.inner().platter.inodes[self.inode].live.len() as u64)
    }

    fn read_at(&self, bytes: &mut [u8], offset: u64) -> io::Result<usize> {
        let mut inner = self.sim.inner();
        inner.reads += 1;
        if inner.faults.fail_read.is_some_and(|fails| fails(&self.path)) {
            return Err(io::Error::other("the disk could not read"));
        }
        if inner.faults.bad_places.contains(&&*self.path) {
            return Err(io::Error::from_raw_os_error(5));
        }
        let rest = inner.platter.inodes[self.inode].live.get(offset as usize..).unwrap_or_default();
        let count = rest.len().min(bytes.len());
        bytes[..count].copy_from_slice(&rest[..count]);
        Ok(count)
    }

    fn is_at(&self, path: &Path) -> io::Result<bool> {
        Ok(self.sim.inner().platter.live.get(path) == Some(&Node::File(self.inode)))
    }

    fn is_free(&self) -> io::Result<bool> {
        Ok(!self.sim.inner().platter.inodes[self.inode].locked)
    }
}

impl WritableFile for SimFile {
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        pull(|faults| &mut faults.before_write, &self.path, &self.sim);
        self.write(Write::Bytes(offset as usize, bytes.to_vec()))
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.write(Write::Length(len as usize))
    }

    fn sync(&self) -> io::Result<()> {
        let flushed = self.flush();
        if flushed.is_err() {
            let then = self.sim.inner().faults.after_failed_flush.take();
            then.into_iter().for_each(|then| then());
        }
        flushed
    }

    fn try_lock(&self) -> io::Result<bool> {
        let mut inner = self.sim.inner();
        if let Some(code) = inner.faults.lock_error {
            return Err(io::Error::from_raw_os_error(code));
        }
        if inner.faults.lying_locks {
            return Ok(true);
        }
        Ok(!std::mem::replace(&mut inner.platter.inodes[self.inode].locked, true))
    }

    fn unlock(&self) -> io::Result<()> {
        self.sim.inner().platter.inodes[self.inode].locked = false;
        Ok(())
    }
}
