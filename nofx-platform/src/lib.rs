//! Differences between operating systems, in one place, so that no other crate asks which one it runs on.
//!
//! Everything here is about local files: which file a path leads to, files that only their owner can read, names that
//! survive a power cut, and errors that mean the same under different codes. Tests of other crates say what a store
//! does; these say what the system does.
//!
//! ```
//! # fn main() -> std::io::Result<()> {
//! # let dir = tempfile::tempdir()?;
//! use std::fs::{File, OpenOptions};
//! use nofx_platform::{Identity, flush_folder, private, replace};
//!
//! let (new, path) = (dir.path().join("new"), dir.path().join("store"));
//! let file = private(OpenOptions::new().write(true).create_new(true)).open(&new)?;
//! file.sync_data()?;
//! replace(&new, &path)?;
//! flush_folder(dir.path())?;
//! assert_eq!(Identity::of(&File::open(&path)?)?, Identity::at(&path)?);
//! # Ok(()) }
//! ```

#[cfg_attr(unix, path = "unix.rs")]
#[cfg_attr(windows, path = "windows.rs")]
mod system;

use std::ffi::{OsStr, OsString};
use std::fs::{self, DirBuilder, File, Metadata, OpenOptions};
use std::io;
use std::path::{Component, Path, PathBuf};

/// Identifies a file, however its name changes: no two files on a machine have the same identity while either exists.
///
/// On Unix it is the device and the inode, on Windows the volume and the index of the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Identity(u64, u64);

impl Identity {
    /// Returns the identity of an open file.
    pub fn of(file: &File) -> io::Result<Self> {
        system::identity_of(file)
    }

    /// Like [`Self::of`], for callers that already have the file's metadata.
    pub fn of_found(file: &File, found: &Metadata) -> io::Result<Self> {
        system::identity_of_found(file, found)
    }

    /// Returns the identity of the file or folder that a path leads to now.
    ///
    /// On Linux no times are requested. Since Linux 6.13, requesting them makes the next write record a new one, which
    /// a flush on a file system without a journal then writes too.
    pub fn at(path: &Path) -> io::Result<Self> {
        system::identity_at(path, true)
    }

    /// Like [`Self::at`], for a symbolic link itself.
    pub fn of_link(path: &Path) -> io::Result<Self> {
        system::identity_at(path, false)
    }
}

/// Makes files created with these options accessible to their owner only. On Windows, permissions are inherited from
/// the folder.
pub fn private(options: &mut OpenOptions) -> &mut OpenOptions {
    system::private(options)
}

/// Creates folders that only their owner can access. On Windows, permissions are inherited from the parent folder.
#[must_use]
pub fn private_folders() -> DirBuilder {
    system::private_folders()
}

/// Creates a folder and its missing parents, accessible to their owner only.
pub fn make_private(path: &Path) -> io::Result<()> {
    private_folders().recursive(true).create(path)
}

/// Makes the names in a folder durable.
///
/// Windows has no call for this; NTFS records names in its own journal, in order.
pub fn flush_folder(path: &Path) -> io::Result<()> {
    system::flush_folder(path)
}

/// Opens a file.
///
/// On Windows another program, such as a virus scanner, may briefly keep others from using a file. Then this retries
/// for about a second.
pub fn open(path: &Path, options: &OpenOptions) -> io::Result<File> {
    system::patiently_shared(|| options.open(path))
}

/// Renames a file or folder, replacing a file of the new name. Retries like [`open`].
pub fn replace(from: &Path, to: &Path) -> io::Result<()> {
    system::patiently(|| fs::rename(from, to))
}

/// Removes a file. Retries like [`open`].
pub fn remove_file(path: &Path) -> io::Result<()> {
    system::patiently(|| fs::remove_file(path))
}

/// Removes an empty folder. Retries like [`open`].
pub fn remove_folder(path: &Path) -> io::Result<()> {
    system::patiently(|| fs::remove_dir(path))
}

/// Removes a folder with its contents. Retries like [`open`].
pub fn remove_tree(path: &Path) -> io::Result<()> {
    system::patiently(|| fs::remove_dir_all(path))
}

/// Returns the real path of something that exists, in its usual form: on Windows `C:\x` rather than `\\?\C:\x`, where
/// they are the same.
pub fn real(path: &Path) -> io::Result<PathBuf> {
    dunce::canonicalize(path)
}

/// Returns the [real] path of something that need not exist: what exists of it is real, the rest as named, without `..`.
#[must_use]
pub fn resolved(path: &Path) -> PathBuf {
    let mut resolved = PathBuf::new();
    for part in std::path::absolute(path).unwrap_or_else(|_| path.to_owned()).components() {
        match part {
            // What it follows is real, or not there yet.
            Component::ParentDir => _ = resolved.pop(),
            part => resolved.push(part),
        }
        // A drive of Windows without its root would be the current folder on it.
        if resolved.has_root() {
            resolved = real(&resolved).unwrap_or(resolved);
        }
    }
    resolved
}

/// Returns a relative path with `/` between its parts, as it is displayed on every system.
#[must_use]
pub fn slashed(path: &Path) -> String {
    path.iter().map(OsStr::to_string_lossy).collect::<Vec<_>>().join("/")
}

/// Returns the id of the user who owns what a path leads to; `None` where users have no numeric ids.
pub fn owner(path: &Path) -> io::Result<Option<u32>> {
    system::owner(path)
}

/// Returns the id of the user that this process runs as; `None` where users have no numeric ids.
#[must_use]
pub fn user() -> Option<u32> {
    system::user()
}

/// Gives what the superuser created in a folder to the owner of that folder, who could not read it otherwise. Does nothing
/// for other users, for what belongs to another user already, and where users have no numeric ids.
pub fn give_to_owner(path: &Path) -> io::Result<()> {
    system::give_to_owner(path)
}

/// Returns whether this process may use files of any user.
#[must_use]
pub fn is_superuser() -> bool {
    user() == Some(0)
}

/// Returns whether a locking error means that files cannot be locked there at all, as on some network disks.
#[must_use]
pub fn has_no_locks(error: &io::Error) -> bool {
    system::has_no_locks(error)
}

/// Identifies a boot, one start of the operating system: unflushed writes may be lost between one and the next.
pub type Boot = [u8; 16];

/// Returns the current boot: on Linux the content of `/proc/sys/kernel/random/boot_id`. `None` elsewhere, where it is
/// not available without another program or unsafe code.
#[must_use]
pub fn boot() -> Option<Boot> {
    system::boot()
}

/// Returns whether an error says that the disk cannot read a sector.
#[must_use]
pub fn is_bad_place(error: &io::Error) -> bool {
    error.raw_os_error() == Some(system::BAD_PLACE)
}

/// Returns whether an error says that nothing has that name, including when the system does not allow such a name.
#[must_use]
pub fn is_missing(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::InvalidFilename)
}

/// Returns the first part of a path that cannot be the name of a new file or folder: on Windows, names of devices such
/// as `NUL`, names with a colon (which denote part of another file), names with other forbidden characters, and names
/// that end with a dot or blank, which Windows drops. A name that is too long is only found by creating it.
#[must_use]
pub fn refused_name(path: &Path) -> Option<&OsStr> {
    path.components().find_map(|part| match part {
        Component::Normal(name) if system::refuses(name) => Some(name),
        _ => None,
    })
}

/// Splits a text that need not be Unicode at the first occurrence of an ASCII symbol, which is dropped; `None` if it
/// has none.
#[must_use]
pub fn split_once(text: &OsStr, symbol: char) -> Option<(OsString, OsString)> {
    system::split_once(text, symbol)
}

/// Returns bytes for a path, from which [`path_of`] restores the same path, whatever its names contain.
#[must_use]
pub fn path_bytes(path: &Path) -> Vec<u8> {
    system::path_bytes(path)
}

/// Returns the path that was given to [`path_bytes`].
#[must_use]
pub fn path_of(bytes: Vec<u8>) -> PathBuf {
    system::path_of(bytes)
}

/// Reads bytes at an offset; none at the end of the file. On Windows this moves the file's own cursor, which other
/// calls must not use.
pub fn read_at(file: &File, bytes: &mut [u8], offset: u64) -> io::Result<usize> {
    system::read_at(file, bytes, offset)
}

/// Writes all bytes at an offset. On Windows this moves the file's own cursor, which other calls must not use.
pub fn write_all_at(file: &File, bytes: &[u8], offset: u64) -> io::Result<()> {
    system::write_all_at(file, bytes, offset)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_the_same_by_any_name_and_another_in_its_place_is_not() {
        let dir = tempfile::tempdir().unwrap();
        let (path, moved) = (dir.path().join("a"), dir.path().join("b"));
        let file = File::create(&path).unwrap();
        let identity = Identity::of(&file).unwrap();
        assert_eq!(Identity::at(&path).unwrap(), identity);
        replace(&path, &moved).unwrap();
        assert_eq!(Identity::at(&moved).unwrap(), identity);
        assert!(is_missing(&Identity::at(&path).unwrap_err()));
        fs::write(&path, "another").unwrap();
        assert_ne!(Identity::at(&path).unwrap(), identity);
        assert_eq!(Identity::of(&file).unwrap(), identity);
    }

    #[test]
    fn a_folder_has_an_identity_too() {
        let dir = tempfile::tempdir().unwrap();
        let (one, other) = (dir.path().join("one"), dir.path().join("other"));
        make_private(&one).unwrap();
        make_private(&other).unwrap();
        assert_ne!(Identity::at(&one).unwrap(), Identity::at(&other).unwrap());
        flush_folder(&one).unwrap();
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_start_of_linux_has_a_name() {
        let boot = boot().unwrap();
        assert_eq!(super::boot(), Some(boot));
        let text = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap();
        let digits: String = boot.iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(text.trim().replace('-', ""), digits);
    }

    #[test]
    fn bytes_are_read_and_written_where_asked() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a");
        let file = private(OpenOptions::new().read(true).write(true).create_new(true)).open(&path).unwrap();
        write_all_at(&file, b"world", 6).unwrap();
        write_all_at(&file, b"hello ", 0).unwrap();
        let mut bytes = [0; 20];
        assert_eq!(read_at(&file, &mut bytes, 3).unwrap(), 8);
        assert_eq!(&bytes[..8], b"lo world");
        assert_eq!(read_at(&file, &mut bytes, 11).unwrap(), 0);
    }

    #[test]
    fn a_file_takes_the_place_of_another_that_is_open() {
        let dir = tempfile::tempdir().unwrap();
        let (new, path) = (dir.path().join("new"), dir.path().join("old"));
        fs::write(&path, "old").unwrap();
        fs::write(&new, "new").unwrap();
        let open = File::open(&path).unwrap();
        replace(&new, &path).unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"new");
        let mut bytes = [0; 3];
        assert_eq!(read_at(&open, &mut bytes, 0).unwrap(), 3);
        assert_eq!(&bytes, b"old");
    }

    #[cfg(unix)]
    #[test]
    fn what_is_private_can_be_used_by_its_owner_only() {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().unwrap();
        let (file, folder) = (dir.path().join("file"), dir.path().join("deep/folder"));
        private(OpenOptions::new().write(true).create_new(true)).open(&file).unwrap();
        make_private(&folder).unwrap();
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(&file), mode(&folder), mode(&dir.path().join("deep"))), (0o600, 0o700, 0o700));
        assert_eq!(owner(&file).unwrap(), user());
    }

    /// Returns a name that is not Unicode.
    #[cfg(unix)]
    fn strange() -> OsString {
        std::os::unix::ffi::OsStringExt::from_vec(b"a\xffb".to_vec())
    }

    #[cfg(windows)]
    fn strange() -> OsString {
        std::os::windows::ffi::OsStringExt::from_wide(&[0x61, 0xd800, 0x62])
    }

    #[test]
    fn a_text_is_split_at_the_first_symbol_also_where_it_is_not_unicode() {
        let split = |text: &str| split_once(OsStr::new(text), ':');
        assert_eq!(split("redb:a:é"), Some(("redb".into(), "a:é".into())));
        assert_eq!(split(":"), Some(("".into(), "".into())));
        assert_eq!(split("redb"), None);
        let mut text = OsString::from("fs:");
        text.push(strange());
        assert_eq!(split_once(&text, ':'), Some(("fs".into(), strange())));
    }

    #[test]
    fn a_folder_goes_alone_or_with_what_is_in_it() {
        let dir = tempfile::tempdir().unwrap();
        let (folder, file) = (dir.path().join("a"), dir.path().join("a/b"));
        fs::create_dir(&folder).unwrap();
        fs::write(&file, "").unwrap();
        assert_eq!(remove_folder(&folder).unwrap_err().kind(), io::ErrorKind::DirectoryNotEmpty);
        remove_tree(&folder).unwrap();
        assert!(is_missing(&remove_tree(&folder).unwrap_err()));
        assert!(is_missing(&remove_file(&file).unwrap_err()));
    }

    /// Runs something while another handle has the file open exclusively for a moment.
    #[cfg(windows)]
    fn while_held<T>(path: &Path, doing: impl FnOnce() -> T) -> T {
        use std::os::windows::fs::OpenOptionsExt;
        fs::write(path, "held").unwrap();
        let held = OpenOptions::new().read(true).share_mode(0).open(path).unwrap();
        std::thread::scope(|threads| {
            threads.spawn(move || {
                std::thread::sleep(std::time::Duration::from_millis(100));
                drop(held);
            });
            doing()
        })
    }

    #[cfg(windows)]
    #[test]
    fn a_file_that_another_program_holds_for_a_moment_is_opened_replaced_and_removed() {
        let dir = tempfile::tempdir().unwrap();
        let (path, new) = (dir.path().join("a"), dir.path().join("new"));
        while_held(&path, || open(&path, OpenOptions::new().read(true))).unwrap();
        fs::write(&new, "new").unwrap();
        while_held(&path, || replace(&new, &path)).unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"new");
        while_held(&path, || remove_file(&path)).unwrap();
        fs::create_dir(&new).unwrap();
        while_held(&new.join("a"), || remove_tree(&new)).unwrap();
        assert!(is_missing(&Identity::at(&new).unwrap_err()));
    }

    #[cfg(windows)]
    #[test]
    fn what_another_program_goes_on_holding_is_given_up() {
        use std::os::windows::fs::OpenOptionsExt;
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a");
        fs::write(&path, "held").unwrap();
        let _held = OpenOptions::new().read(true).share_mode(0).open(&path).unwrap();
        // `ERROR_SHARING_VIOLATION`.
        assert_eq!(open(&path, OpenOptions::new().read(true)).unwrap_err().raw_os_error(), Some(32));
        assert!(remove_file(&path).is_err());
    }

    #[test]
    fn a_path_comes_back_from_its_bytes() {
        for path in [PathBuf::from("a/b c/é"), PathBuf::new(), strange().into()] {
            assert_eq!(path_of(path_bytes(&path)), path);
        }
    }

    #[test]
    fn a_name_that_is_too_long_is_one_of_nothing() {
        let dir = tempfile::tempdir().unwrap();
        assert!(is_missing(&fs::metadata(dir.path().join("a".repeat(300))).unwrap_err()));
    }

    #[test]
    fn a_path_is_resolved_as_far_as_it_exists() {
        let dir = tempfile::tempdir().unwrap();
        let root = real(dir.path()).unwrap();
        assert_eq!(resolved(dir.path()), root);
        assert_eq!(resolved(&dir.path().join("a").join("b")), root.join("a").join("b"));
        assert_eq!(resolved(&dir.path().join("a").join("..").join("b")), root.join("b"));
        #[cfg(unix)]
        {
            std::os::unix::fs::symlink(&root, root.join("link")).unwrap();
            assert_eq!(resolved(&root.join("link").join("c")), root.join("c"));
        }
    }

    #[test]
    fn parts_of_a_path_have_slashes_between_them() {
        assert_eq!(slashed(&Path::new("journal").join("segment-1")), "journal/segment-1");
        assert_eq!(slashed(Path::new("catalog")), "catalog");
    }

    #[cfg(windows)]
    #[test]
    fn paths_are_shown_as_people_write_them() {
        let dir = tempfile::tempdir().unwrap();
        assert!(!real(dir.path()).unwrap().to_string_lossy().starts_with(r"\\?\"));
    }

    #[cfg(windows)]
    #[test]
    fn a_name_that_windows_does_not_allow_is_one_of_nothing() {
        let dir = tempfile::tempdir().unwrap();
        for name in ["a?b", "a*b", "a|b", "a\"b", "<a>"] {
            assert!(is_missing(&fs::metadata(dir.path().join(name)).unwrap_err()), "{name}");
            assert_eq!(refused_name(&dir.path().join(name).join("x.redb")).unwrap(), name);
        }
    }

    #[cfg(windows)]
    #[test]
    fn names_of_devices_and_streams_are_refused_and_others_are_not() {
        for name in ["NUL", "con.redb", "Com1", "lpt9 .txt", "COM¹", "ab:c", "a.", "a ", "a\u{1}"] {
            assert_eq!(refused_name(Path::new(name)).unwrap(), name);
        }
        for path in [
            r"C:\x\nofx.redb",
            r"\\?\C:\x",
            r"\\server\share\x",
            r".nofx\..\x",
            "C:x",
            "nulls",
            "com10",
            "a.b",
            "aux-2",
        ] {
            assert_eq!(refused_name(Path::new(path)), None, "{path}");
        }
    }
}
