//! `config.json`: the file that makes a folder a store.

use std::path::Path;

use crate::listed::Listed;
use nofx_core::{Error, Repair, Result, StoreId, json};
use nofx_journal::fault::During;
use nofx_journal::files::{Files, UNFINISHED, WritableFiles};
use nofx_journal::lock::Lock;
use nofx_journal::segment::{Header, Position, Segment};
use nofx_journal::{quarantine, segment};

use crate::options::Options;
use crate::{catalog, layout, repair};

/// The name of the format.
const FORMAT: &str = "nofx-fs";
/// The size of the journal's first segment, so that a small store is a small folder.
const FIRST_SEGMENT_BYTES: u64 = 128 << 10;
/// The version of the format that this program writes.
const VERSION: u64 = 1;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Config {
    pub(crate) store: StoreId,
    /// The version of the format, if this program does not know it.
    pub(crate) too_new: Option<u64>,
    /// What is wrong with the file, if the store was identified by its journal alone. The store is then read-only.
    pub(crate) damage: Option<String>,
}

/// Reads the folder's configuration, and creates a store in an empty folder.
pub(crate) fn read_or_create(writable: &dyn WritableFiles, root: &Path, options: &Options) -> Result<Config> {
    if let Some(config) = read_or_find_out(writable, root)? {
        return Ok(config);
    }
    refuse_foreign(writable, root)?;
    make_dir(writable, layout::JOURNAL)?;
    let lock = Lock::open(writable, layout::AT.lock())?;
    let _held = lock.acquire(options.lock_wait)?;
    // Another process may have created it concurrently.
    match read(writable, root)? {
        Some(config) => Ok(config),
        None => create(writable, options),
    }
}

/// Reads the folder's configuration, or identifies the store by its journal if the file is missing or damaged.
fn read_or_find_out(writable: &dyn Files, root: &Path) -> Result<Option<Config>> {
    let damaged = match read(writable, root) {
        // The damage may be in the very word that identifies the file.
        Err(error @ (Error::Corrupt(_) | Error::Invalid(_))) => Some(error),
        Ok(None) => None,
        read => return read,
    };
    let path = root.join(layout::CONFIG);
    let problem = |what: &str| Some(format!("`{}` {what}", path.display()));
    match (store_of_journal(writable)?, damaged) {
        (Some((store, true)), None) => Ok(Some(Config { store, too_new: None, damage: problem("is missing") })),
        (Some((store, _)), Some(_)) => Ok(Some(Config { store, too_new: None, damage: problem("is damaged") })),
        // Another process may be creating it right now.
        (_, damaged) => damaged.map_or(Ok(None), Err),
    }
}

/// Returns which store the journal belongs to, and whether it was ever used. `Corrupt` if it belongs to several.
fn store_of_journal(writable: &dyn Files) -> Result<Option<(StoreId, bool)>> {
    let segments = Segment::of_any_store(writable, &layout::AT)?;
    let Some(store) = segments.first().map(|segment| segment.header.store) else { return Ok(None) };
    match segments.iter().all(|segment| segment.header.store == store) {
        true => Ok(Some((store, segments.iter().any(Segment::is_used)))),
        false => Err(Error::corrupt(format!("`{}`: its segments belong to several stores", layout::JOURNAL))),
    }
}

/// Reads the folder's configuration; `None` if it is not a store.
pub(crate) fn read(writable: &dyn Files, root: &Path) -> Result<Option<Config>> {
    let path = Path::new(layout::CONFIG);
    let Some(bytes) = writable.read(path).during("reading", path)? else { return Ok(None) };
    let damaged = || Error::corrupt(format!("`{}`", root.join(path).display()));
    let text = std::str::from_utf8(&bytes).map_err(|_| damaged())?;
    let (mut format, mut version, mut store) = (None, None, None);
    for member in json::members(text) {
        let (name, value) = member.map_err(|_| damaged())?;
        let text = || json::Text::from_json(value);
        match name {
            "\"format\"" => format = text(),
            "\"version\"" => version = value.parse::<u64>().ok(),
            "\"store\"" => store = text().and_then(|text| parse_id(text.as_str()?)),
            _ => {}
        }
    }
    if format.as_ref().and_then(json::Text::as_str) != Some(FORMAT) {
        return Err(Error::invalid(format!(
            "`{}` is not a NofX store: its `{}` belongs to another program",
            root.display(),
            path.display()
        )));
    }
    let (version, store) = version.zip(store).ok_or_else(damaged)?;
    Ok(Some(Config { store, too_new: (version > VERSION).then_some(version), damage: None }))
}

/// Rewrites `config.json` if it is missing or damaged and the journal identifies the store.
pub(crate) fn repair(writable: &dyn WritableFiles, root: &Path) -> Result<Option<Repair>> {
    let damage = match read(writable, root) {
        Ok(Some(_)) => return Ok(None),
        Ok(None) => None,
        Err(error @ (Error::Corrupt(_) | Error::Invalid(_))) => Some(error),
        Err(error) => return Err(error),
    };
    let Some((store, _)) = store_of_journal(writable)? else {
        // Opening reports what is wrong.
        return damage.map_or(Ok(None), Err);
    };
    let path = Path::new(layout::CONFIG);
    let aside = quarantine::put_if_there(writable, path)?;
    write(writable, store)?;
    let what = match aside {
        Some(_) => "it was damaged and was rewritten from the journal",
        None => "it was missing and was rewritten from the journal",
    };
    Ok(Some(repair::done(path, what, aside)))
}

/// Refuses a folder with content other than the beginning of a store.
fn refuse_foreign(writable: &dyn Files, root: &Path) -> Result<()> {
    let ours = [layout::IGNORE, layout::NOTE, layout::CATALOG, layout::JOURNAL, layout::FEED, layout::CONFIG];
    let found = writable.list(Path::new("")).during("listing", Path::new("."))?;
    let is_ours = |name: &str| ours.contains(&name.strip_suffix(UNFINISHED).unwrap_or(name));
    match found.iter().find(|entry| !is_ours(&entry.name)) {
        Some(foreign) => Err(Error::invalid(format!(
            "`{}` is neither empty nor a NofX store: it holds `{}`",
            root.display(),
            foreign.name.escape_debug()
        ))),
        None => Ok(()),
    }
}

/// Creates a store. `config.json` comes last, so a folder without it is only an unfinished store.
fn create(writable: &dyn WritableFiles, options: &Options) -> Result<Config> {
    let store = options.sources.store_id();
    let write =
        |name: &str, text: &str| writable.replace(Path::new(name), text.as_bytes()).during("writing", Path::new(name));
    write(layout::IGNORE, "*\n")?;
    write(layout::NOTE, layout::NOTE_TEXT)?;
    make_dir(writable, layout::FEED)?;
    let header = Header::after(&Position::default(), store, segment::salt(&options.sources), None);
    let path = Path::new(layout::JOURNAL).join("segment-0");
    Segment::begin(writable, &layout::AT, path, header, options.segment_bytes.min(FIRST_SEGMENT_BYTES))?;
    catalog::replace(writable, &catalog::whole(&Listed::default()))?;
    for folder in [layout::JOURNAL, layout::FEED, ""] {
        writable.sync_dir(Path::new(folder)).during("flushing", Path::new(folder))?;
    }
    self::write(writable, store)?;
    Ok(Config { store, too_new: None, damage: None })
}

fn write(writable: &dyn WritableFiles, store: StoreId) -> Result<()> {
    let path = Path::new(layout::CONFIG);
    let text = format!("{{\n  \"format\": \"{FORMAT}\",\n  \"version\": {VERSION},\n  \"store\": \"{store}\"\n}}\n");
    writable.replace(path, text.as_bytes()).during("writing", path)?;
    writable.sync_dir(Path::new("")).during("flushing", Path::new("."))
}

fn make_dir(writable: &dyn WritableFiles, name: &str) -> Result<()> {
    writable.make_dir(Path::new(name)).during("making", Path::new(name))
}

fn parse_id(text: &str) -> Option<StoreId> {
    let bytes: Option<Vec<u8>> = (0..16).map(|at| u8::from_str_radix(text.get(2 * at..2 * at + 2)?, 16).ok()).collect();
    (text.len() == 32).then_some(StoreId::from_bytes(bytes?.try_into().ok()?))
}
