//! Windows. Error codes are from `winerror.h`.

use std::ffi::{OsStr, OsString};
use std::fs::{DirBuilder, File, Metadata, OpenOptions};
use std::io;
use std::os::windows::ffi::{OsStrExt, OsStringExt};
use std::os::windows::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use crate::{Boot, Identity};

/// `FILE_FLAG_BACKUP_SEMANTICS`: folders can be opened too.
const FOLDERS_TOO: u32 = 0x0200_0000;

/// `FILE_FLAG_OPEN_REPARSE_POINT`: a symbolic link itself.
const LINK_ITSELF: u32 = 0x0020_0000;

/// Names that are devices whatever their extension; also `COM` and `LPT` with a digit.
const DEVICES: [&str; 4] = ["CON", "PRN", "AUX", "NUL"];

/// `ERROR_SHARING_VIOLATION`, `ERROR_LOCK_VIOLATION`: another program holds the file.
const HELD: [i32; 2] = [32, 33];

/// `ERROR_ACCESS_DENIED`: renaming or removing a name fails this way while another program holds it. Opening a
/// file that fails this way fails for good.
const DENIED: i32 = 5;

/// `ERROR_CRC`.
pub(crate) const BAD_PLACE: i32 = 23;

/// `ERROR_INVALID_FUNCTION`, `ERROR_NOT_SUPPORTED`: a file system without such a call returns these.
const NO_SUCH_CALL: [i32; 2] = [1, 50];

/// The number of pauses between retries, each twice as long as the one before: about a second in total.
const PAUSES: u32 = 10;

pub(crate) fn identity_of(file: &File) -> io::Result<Identity> {
    let found = winapi_util::file::information(file)?;
    Ok(Identity(found.volume_serial_number(), found.file_index()))
}

pub(crate) fn identity_of_found(file: &File, _: &Metadata) -> io::Result<Identity> {
    identity_of(file)
}

pub(crate) fn boot() -> Option<Boot> {
    None
}

pub(crate) fn identity_at(path: &Path, follows: bool) -> io::Result<Identity> {
    let flags = if follows { FOLDERS_TOO } else { FOLDERS_TOO | LINK_ITSELF };
    // Without any access, so that no lock and no other program interferes.
    identity_of(&OpenOptions::new().access_mode(0).custom_flags(flags).open(path)?)
}

pub(crate) fn private(options: &mut OpenOptions) -> &mut OpenOptions {
    options
}

pub(crate) fn private_folders() -> DirBuilder {
    DirBuilder::new()
}

pub(crate) fn flush_folder(_: &Path) -> io::Result<()> {
    Ok(())
}

/// Retries an operation that may fail because another program has the file open.
pub(crate) fn patiently_shared<T>(attempt: impl FnMut() -> io::Result<T>) -> io::Result<T> {
    again_while(|code| HELD.contains(&code), attempt)
}

/// Retries an operation that may fail because another program has the file or its parent folder open.
pub(crate) fn patiently<T>(attempt: impl FnMut() -> io::Result<T>) -> io::Result<T> {
    again_while(|code| code == DENIED || HELD.contains(&code), attempt)
}

fn again_while<T>(is_momentary: impl Fn(i32) -> bool, mut attempt: impl FnMut() -> io::Result<T>) -> io::Result<T> {
    let is_momentary = |error: &io::Error| error.raw_os_error().is_some_and(&is_momentary);
    for doubled in 0..PAUSES {
        match attempt() {
            Err(error) if is_momentary(&error) => thread::sleep(Duration::from_millis(1 << doubled)),
            done => return done,
        }
    }
    attempt()
}

pub(crate) fn owner(_: &Path) -> io::Result<Option<u32>> {
    Ok(None)
}

pub(crate) fn user() -> Option<u32> {
    None
}

pub(crate) fn give_to_owner(_: &Path) -> io::Result<()> {
    Ok(())
}

pub(crate) fn has_no_locks(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::Unsupported || error.raw_os_error().is_some_and(|code| NO_SUCH_CALL.contains(&code))
}

pub(crate) fn refuses(name: &OsStr) -> bool {
    let name = name.to_string_lossy();
    let begin = name.split('.').next().unwrap_or_default().trim_end().to_ascii_uppercase();
    let is_numbered = |device| {
        begin.strip_prefix(device).is_some_and(|rest| {
            matches!(rest, "0" | "1" | "2" | "3" | "4" | "5" | "6" | "7" | "8" | "9" | "¹" | "²" | "³")
        })
    };
    name.contains(|symbol: char| symbol < ' ' || "<>:\"|?*".contains(symbol))
        || name.ends_with(['.', ' '])
        || DEVICES.contains(&&*begin)
        || is_numbered("COM")
        || is_numbered("LPT")
}

pub(crate) fn split_once(text: &OsStr, symbol: char) -> Option<(OsString, OsString)> {
    let units: Vec<u16> = text.encode_wide().collect();
    let mut parts = units.splitn(2, |unit| u32::from(*unit) == u32::from(symbol));
    let mut part = || Some(OsString::from_wide(parts.next()?));
    Some((part()?, part()?))
}

pub(crate) fn path_bytes(path: &Path) -> Vec<u8> {
    path.as_os_str().encode_wide().flat_map(u16::to_le_bytes).collect()
}

pub(crate) fn path_of(bytes: Vec<u8>) -> PathBuf {
    let units: Vec<u16> = bytes.chunks_exact(2).map(|unit| u16::from_le_bytes([unit[0], unit[1]])).collect();
    OsString::from_wide(&units).into()
}

pub(crate) fn read_at(file: &File, bytes: &mut [u8], offset: u64) -> io::Result<usize> {
    match file.seek_read(bytes, offset) {
        // `ERROR_HANDLE_EOF`.
        Err(error) if error.raw_os_error() == Some(38) => Ok(0),
        read => read,
    }
}

pub(crate) fn write_all_at(file: &File, mut bytes: &[u8], mut offset: u64) -> io::Result<()> {
    while !bytes.is_empty() {
        match file.seek_write(bytes, offset)? {
            0 => return Err(io::ErrorKind::WriteZero.into()),
            count => {
                bytes = bytes.get(count..).unwrap_or_default();
                offset += count as u64;
            }
        }
    }
    Ok(())
}
