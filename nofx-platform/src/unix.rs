//! Linux, macOS and other Unix systems.

use std::ffi::{OsStr, OsString};
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::{DirBuilderExt, FileExt, MetadataExt, OpenOptionsExt, lchown};
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use rustix::io::Errno;

use crate::{Boot, Identity};

/// `EIO`.
pub(crate) const BAD_PLACE: i32 = 5;

pub(crate) fn identity_of(file: &File) -> io::Result<Identity> {
    Ok(identity(&file.metadata()?))
}

pub(crate) fn identity_of_found(_: &File, found: &fs::Metadata) -> io::Result<Identity> {
    Ok(identity(found))
}

/// Systems other than Linux have no such file.
static BOOT: LazyLock<Option<Boot>> = LazyLock::new(|| {
    let text = fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
    let digits: Vec<u8> =
        text.bytes().filter_map(|digit| char::from(digit).to_digit(16)).map(|digit| digit as u8).collect();
    let bytes: Vec<u8> =
        digits.chunks_exact(2).map(|pair| pair.iter().fold(0, |byte, digit| byte << 4 | digit)).collect();
    bytes.try_into().ok()
});

pub(crate) fn boot() -> Option<Boot> {
    *BOOT
}

fn identity(found: &fs::Metadata) -> Identity {
    Identity(found.dev(), found.ino())
}

#[cfg(target_os = "linux")]
pub(crate) fn identity_at(path: &Path, follows: bool) -> io::Result<Identity> {
    use rustix::fs::{AtFlags, CWD, StatxFlags, makedev, statx};
    let flags = if follows { AtFlags::empty() } else { AtFlags::SYMLINK_NOFOLLOW };
    let found = statx(CWD, path, flags, StatxFlags::INO)?;
    Ok(Identity(makedev(found.stx_dev_major, found.stx_dev_minor), found.stx_ino))
}

#[cfg(not(target_os = "linux"))]
pub(crate) fn identity_at(path: &Path, follows: bool) -> io::Result<Identity> {
    let found = if follows { fs::metadata(path) } else { fs::symlink_metadata(path) };
    Ok(identity(&found?))
}

pub(crate) fn private(options: &mut OpenOptions) -> &mut OpenOptions {
    options.mode(0o600)
}

pub(crate) fn private_folders() -> DirBuilder {
    let mut builder = DirBuilder::new();
    builder.mode(0o700);
    builder
}

pub(crate) fn flush_folder(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}

pub(crate) fn patiently_shared<T>(attempt: impl FnMut() -> io::Result<T>) -> io::Result<T> {
    patiently(attempt)
}

pub(crate) fn patiently<T>(mut attempt: impl FnMut() -> io::Result<T>) -> io::Result<T> {
    attempt()
}

pub(crate) fn owner(path: &Path) -> io::Result<Option<u32>> {
    Ok(Some(fs::metadata(path)?.uid()))
}

pub(crate) fn user() -> Option<u32> {
    Some(rustix::process::geteuid().as_raw())
}

pub(crate) fn give_to_owner(path: &Path) -> io::Result<()> {
    let Some(folder) = path.parent().filter(|_| user() == Some(0)) else { return Ok(()) };
    let folder = fs::metadata(folder)?;
    if folder.uid() == 0 || fs::symlink_metadata(path)?.uid() != 0 {
        return Ok(());
    }
    lchown(path, Some(folder.uid()), Some(folder.gid()))
}

pub(crate) fn has_no_locks(error: &io::Error) -> bool {
    let ours = [Errno::NOLCK, Errno::OPNOTSUPP, Errno::NOTSUP, Errno::INVAL, Errno::NOSYS];
    error.raw_os_error().is_some_and(|code| ours.iter().any(|errno| errno.raw_os_error() == code))
}

pub(crate) fn refuses(_: &OsStr) -> bool {
    false
}

pub(crate) fn split_once(text: &OsStr, symbol: char) -> Option<(OsString, OsString)> {
    let mut parts = text.as_bytes().splitn(2, |byte| char::from(*byte) == symbol);
    let mut part = || Some(OsString::from_vec(parts.next()?.to_vec()));
    Some((part()?, part()?))
}

pub(crate) fn path_bytes(path: &Path) -> Vec<u8> {
    path.as_os_str().as_bytes().to_vec()
}

pub(crate) fn path_of(bytes: Vec<u8>) -> PathBuf {
    OsString::from_vec(bytes).into()
}

pub(crate) fn read_at(file: &File, bytes: &mut [u8], offset: u64) -> io::Result<usize> {
    file.read_at(bytes, offset)
}

pub(crate) fn write_all_at(file: &File, bytes: &[u8], offset: u64) -> io::Result<()> {
    file.write_all_at(bytes, offset)
}
