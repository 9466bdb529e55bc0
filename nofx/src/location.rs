//! Where a store is.

use std::ffi::{OsStr, OsString};
use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use nofx_core::{Error, Result};

use crate::schemes::{Form, Scheme, usage};

/// Where a store is: a scheme, which selects the backend, and what that backend needs to find the store.
///
/// - `redb:PATH`: a store in one file, with a journal in the folder `PATH-journal`;
/// - `fs:PATH`: a store in a folder of files that people can read;
/// - `s3://BUCKET/PREFIX`, `gs://BUCKET/PREFIX`, `az://CONTAINER/PREFIX`: a store in object storage, optionally with options after a `?`;
/// - `file:///PATH`: a store in a folder, in the layout of object storage;
/// - `memory:`: a store that is gone with its last handle.
///
/// A path that begins with `~/` is relative to the user's home folder; write `./~` for a name that begins with a tilde. Otherwise a path is
/// taken literally. Anything that a shell, an editor or a settings file should have removed or expanded (control characters, blanks at
/// either end, quotes around the whole, `${NAME}`, `%NAME%`) is refused, as the store would be created in the wrong place.
///
/// A path alone is not a location: it could lead to many things, and a program should not have to guess. A single letter before a colon is
/// a Windows drive and not a scheme. Locations are shown to people, so a location with a user name or a password in it is refused, and
/// options are never shown.
///
/// ```
/// use nofx::Location;
///
/// let location: Location = "redb:.nofx/store/nofx.redb".parse()?;
/// assert_eq!(location.scheme(), "redb");
/// assert_eq!(location.to_string(), "redb:.nofx/store/nofx.redb");
/// assert_eq!("nofx.redb".parse::<Location>().unwrap_err().code(), "invalid");
/// # Ok::<(), nofx::Error>(())
/// ```
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Location {
    scheme: String,
    rest: OsString,
    path: Option<PathBuf>,
}

impl Location {
    /// Parses a location whose path may be anything that the operating system accepts as one.
    ///
    /// `Invalid` names the text and the valid forms. A scheme without a backend is valid here; [`open`](crate::open) refuses it.
    pub(crate) fn from_os(text: &OsStr) -> Result<Self> {
        let malformed = |why: &str| {
            let shown = without_secrets(&shown(text));
            Error::invalid(format!("`{shown}` is not a location: {why}; write {}", usage()))
        };
        judge_spelling(&text.to_string_lossy()).map_err(malformed)?;
        let Some((scheme, rest)) = nofx_platform::split_once(text, ':') else {
            return Err(malformed("it has no scheme"));
        };
        let Some(scheme) = scheme.to_str().filter(|scheme| is_scheme(scheme)) else {
            return Err(malformed("it does not begin with a scheme"));
        };
        judge_spelling(&rest.to_string_lossy()).map_err(malformed)?;
        let rest = &*rest;
        let path = match Scheme::named(scheme).map(|scheme| &scheme.form) {
            Some(Form::File { .. } | Form::Folder { .. }) => {
                return Ok(Self::at(scheme, path(scheme, rest).map_err(|why| malformed(&why))?));
            }
            Some(Form::Memory) if !rest.is_empty() => {
                return Err(malformed(&format!("nothing may follow `{scheme}:`")));
            }
            Some(Form::FolderAddress { .. }) => {
                let missing = || malformed(&format!("a folder is written `{scheme}:///PATH`"));
                let folder = folder(rest).ok_or_else(missing)?;
                judge_spelling(&folder.to_string_lossy()).map_err(malformed)?;
                Some(folder)
            }
            Some(Form::Bucket) => {
                judge_bucket(rest).map_err(malformed)?;
                None
            }
            Some(Form::Memory) | None => None,
        };
        Ok(Self { scheme: scheme.to_owned(), rest: rest.to_owned(), path })
    }

    /// Returns the location of the store in the file at exactly this path.
    pub fn redb(path: impl Into<OsString>) -> Self {
        Self::at("redb", path.into())
    }

    /// Returns the location of the store of readable files in the folder at exactly this path.
    pub fn fs(path: impl Into<OsString>) -> Self {
        Self::at("fs", path.into())
    }

    /// Returns the location of the store at exactly this path, for a scheme that a path follows.
    pub(crate) fn at(scheme: &str, path: OsString) -> Self {
        Self { scheme: scheme.to_owned(), path: Some(path.clone().into()), rest: path }
    }

    /// Returns the part before the colon.
    pub fn scheme(&self) -> &str {
        &self.scheme
    }

    /// Returns the path of the store, if it is in a file or a folder on this machine.
    pub fn path(&self) -> Option<&Path> {
        self.path.as_deref()
    }

    /// Returns the folder of the store, if it is in a folder.
    pub fn folder(&self) -> Option<&Path> {
        self.path().filter(|_| !matches!(self.form(), Some(Form::File { .. })))
    }

    /// Returns the whole location, with options, as an object store client reads it.
    #[cfg(feature = "remote")]
    pub(crate) fn url(&self) -> String {
        format!("{}:{}", self.scheme, self.rest.to_string_lossy())
    }
}

impl FromStr for Location {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        Self::from_os(OsStr::new(text))
    }
}

/// Writes the location with control characters escaped and without options. A location that has neither is written exactly as it parses.
impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&without_secrets(&format!("{}:{}", self.scheme, shown(&self.rest))))
    }
}

/// The same text as `Display`.
impl fmt::Debug for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Location").field(&self.to_string()).finish()
    }
}

/// Refuses what a file name could contain, but a location never has on purpose.
fn judge_spelling(text: &str) -> Result<(), &'static str> {
    if text.contains(char::is_control) {
        return Err("it contains a control character");
    }
    if text.trim() != text {
        return Err("it begins or ends with a space");
    }
    let quoted = |quote: char| text.len() > 1 && text.starts_with(quote) && text.ends_with(quote);
    match quoted('"') || quoted('\'') {
        true => Err("it is in quotes"),
        false => Ok(()),
    }
}

/// Returns the path that follows a scheme.
fn path(scheme: &str, rest: &OsStr) -> Result<OsString, String> {
    if rest.is_empty() {
        return Err("the path is missing".to_owned());
    }
    let text = rest.to_string_lossy();
    if let Some(variable) = variable_in(&text) {
        return Err(format!("`{variable}` was not expanded"));
    }
    if text.starts_with("//") {
        return Err(format!("a path follows `{scheme}:` without `//`"));
    }
    if !text.starts_with('~') {
        return Ok(rest.to_owned());
    }
    let below = Path::new(rest).strip_prefix("~");
    let below = below.map_err(|_| "only `~/` is expanded; write `./~` for a name that begins with `~`")?;
    let home = std::env::home_dir().filter(|home| home.is_absolute());
    Ok(home.ok_or("`~/` cannot be expanded: the home folder is not known")?.join(below).into())
}

/// Returns a `${NAME}` or a `%NAME%` in a text.
fn variable_in(text: &str) -> Option<String> {
    let mut braced = text.split("${").skip(1).filter_map(|rest| rest.split_once('}').map(|(name, _)| name));
    if let Some(name) = braced.find(|name| !name.is_empty()) {
        return Some(format!("${{{name}}}"));
    }
    let is_name = |name: &&str| {
        let of_names = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'(' | b')');
        name.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_') && name.bytes().all(of_names)
    };
    let (_, behind_the_first) = text.split_once('%')?;
    let (before_the_last, _) = behind_the_first.rsplit_once('%')?;
    before_the_last.split('%').find(is_name).map(|name| format!("%{name}%"))
}

/// Validates what follows the scheme of an object store.
fn judge_bucket(rest: &OsStr) -> Result<(), &'static str> {
    let rest = rest.to_str().ok_or("an address must be Unicode")?;
    let address = rest.strip_prefix("//").ok_or("a bucket is written `//BUCKET`")?;
    let bucket = address.split(['/', '?', '#']).next().unwrap_or_default();
    match bucket {
        "" => Err("the bucket is missing"),
        bucket if bucket.contains('@') => Err("it contains a name or a password; put credentials into the environment"),
        _ => Ok(()),
    }
}

/// Returns the folder that an address leads to.
fn folder(rest: &OsStr) -> Option<PathBuf> {
    let address = rest.to_str()?.strip_prefix("//")?.split(['?', '#']).next()?;
    let path = address.strip_prefix('/').filter(|path| !path.is_empty())?;
    let path = decoded(path)?;
    // A path that is absolute without the leading slash begins with a Windows drive: `file:///C:/x`.
    let has_drive = !path.starts_with('/') && Path::new(&path).is_absolute();
    Some(if has_drive { path.into() } else { format!("/{path}").into() })
}

/// Decodes `%20` and the like.
fn decoded(address: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(address.len());
    let mut pieces = address.split('%');
    bytes.extend_from_slice(pieces.next()?.as_bytes());
    for piece in pieces {
        let (digits, rest) = piece.split_at_checked(2)?;
        bytes.push(u8::from_str_radix(digits, 16).ok()?);
        bytes.extend_from_slice(rest.as_bytes());
    }
    String::from_utf8(bytes).ok()
}

/// Removes possible secrets from an address: its options, and a user name and a password before its host.
fn without_secrets(text: &str) -> String {
    let Some((scheme, address)) = text.split_once("://") else { return text.to_owned() };
    let address = address.split(['?', '#']).next().unwrap_or_default();
    let (host, path) = address.find('/').map_or((address, ""), |at| address.split_at(at));
    let host = host.rsplit_once('@').map_or(host, |(_, host)| host);
    format!("{scheme}://{host}{path}")
}

/// Returns whether a text is a lower-case word of at least two characters, as in an address.
fn is_scheme(text: &str) -> bool {
    let word = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'+' | b'-' | b'.');
    text.len() > 1 && text.starts_with(|first: char| first.is_ascii_lowercase()) && text.bytes().all(word)
}

fn shown(text: &OsStr) -> String {
    let mut shown = String::new();
    for symbol in text.to_string_lossy().chars() {
        match symbol.is_control() {
            true => shown.extend(symbol.escape_default()),
            false => shown.push(symbol),
        }
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_back() {
        for text in [
            "redb:a",
            "redb:C:\\x\\y.redb",
            "redb:/a b/ü",
            "redb::",
            "fs:.nofx/store",
            "memory:",
            "s3://bucket/x",
            "gs://bucket",
            "az://container/a/b",
            "file:///a%20b",
            "postgres:x",
        ] {
            let location: Location = text.parse().unwrap();
            assert_eq!(location.to_string(), text);
            assert_eq!(text.parse::<Location>().unwrap(), location);
        }
    }

    #[test]
    fn what_is_malformed_is_named_with_the_forms_that_are_not() {
        for (text, why) in [
            ("", "it has no scheme"),
            ("nofx.redb", "it has no scheme"),
            ("C:\\x", "it does not begin with a scheme"),
            (":x", "it does not begin with a scheme"),
            ("Redb:x", "it does not begin with a scheme"),
            ("./redb:x", "it does not begin with a scheme"),
            ("redb:", "the path is missing"),
            ("fs:", "the path is missing"),
            ("redb:a\0", "it contains a control character"),
            ("memory:x", "nothing may follow `memory:`"),
            ("s3:bucket", "a bucket is written `//BUCKET`"),
            ("s3:///x", "the bucket is missing"),
            ("file:x", "a folder is written `file:///PATH`"),
            ("file:///", "a folder is written `file:///PATH`"),
            ("file://host/x", "a folder is written `file:///PATH`"),
            ("file:///a%zz", "a folder is written `file:///PATH`"),
        ] {
            let error = text.parse::<Location>().unwrap_err();
            let shown = text.replace('\0', "\\u{0}");
            let expected = format!("invalid: `{shown}` is not a location: {why}; write {}", usage());
            assert_eq!(error.to_string(), expected);
        }
    }

    #[test]
    fn what_another_program_should_have_taken_out_is_refused() {
        for (text, why) in [
            ("redb:a\r", "it contains a control character"),
            ("fs:a\u{85}b", "it contains a control character"),
            ("s3://bucket/x\n", "it contains a control character"),
            ("file:///a%0d", "it contains a control character"),
            (" redb:a", "it begins or ends with a space"),
            ("redb: a", "it begins or ends with a space"),
            ("fs:a ", "it begins or ends with a space"),
            ("s3://bucket/x\u{a0}", "it begins or ends with a space"),
            ("\"redb:a\"", "it is in quotes"),
            ("'redb:a'", "it is in quotes"),
            ("redb:\"a b\"", "it is in quotes"),
            ("fs:'a'", "it is in quotes"),
            ("redb:${HOME}/a", "`${HOME}` was not expanded"),
            ("fs:a/${workspaceFolder:x}", "`${workspaceFolder:x}` was not expanded"),
            ("redb:%APPDATA%\\a", "`%APPDATA%` was not expanded"),
            ("fs:10%/%ProgramFiles(x86)%", "`%ProgramFiles(x86)%` was not expanded"),
            ("redb://a", "a path follows `redb:` without `//`"),
            ("fs:///a", "a path follows `fs:` without `//`"),
            ("redb:~ada/a", "only `~/` is expanded; write `./~` for a name that begins with `~`"),
        ] {
            let error = text.parse::<Location>().unwrap_err().to_string();
            let expected = format!("is not a location: {why}; write {}", usage());
            assert!(error.contains(&expected), "{text}: {error}");
        }
    }

    #[test]
    fn what_looks_like_it_and_is_a_name_is_taken_as_it_is() {
        for name in
            ["./~", "./~/x", "a~", "a b", "it's", "\"a", "a%20b%20c", "100%", "50% or 60%", "$HOME", "${", "${}", "%%"]
        {
            for scheme in ["redb", "fs"] {
                let location: Location = format!("{scheme}:{name}").parse().unwrap();
                assert_eq!(location.path(), Some(Path::new(name)));
            }
        }
    }

    #[test]
    fn the_folder_of_the_user_has_a_short_name() {
        let home = std::env::home_dir().unwrap();
        for (text, expected) in [("redb:~/a b/x", home.join("a b/x")), ("fs:~", home.clone()), ("fs:~/", home.join(""))]
        {
            let location: Location = text.parse().unwrap();
            assert_eq!(location.path(), Some(expected.as_path()));
            assert_eq!(location.to_string().parse::<Location>().unwrap(), location);
        }
    }

    #[test]
    fn what_may_be_a_secret_is_never_shown() {
        let location: Location = "s3://bucket/x?secret_access_key=canary#canary".parse().unwrap();
        assert_eq!(location.to_string(), "s3://bucket/x");
        assert_eq!(format!("{location:?}"), "Location(\"s3://bucket/x\")");
        let error = "s3://ada:canary@bucket/x?y=canary".parse::<Location>().unwrap_err();
        assert!(
            error
                .to_string()
                .starts_with("invalid: `s3://bucket/x` is not a location: it contains a name or a password")
        );
        assert!(!format!("{error} {error:?}").contains("canary"));
    }

    #[test]
    fn files_and_folders_have_a_path() {
        let path = |text: &str| text.parse::<Location>().unwrap().path().map(Path::to_owned);
        assert_eq!(path("redb:a%20b"), Some("a%20b".into()));
        assert_eq!(path("fs:/x"), Some("/x".into()));
        assert_eq!(path("file:///a%20b/ü?request_timeout=5"), Some("/a b/ü".into()));
        let drive = if Path::new("C:/x").is_absolute() { "C:/x" } else { "/C:/x" };
        assert_eq!(path("file:///C:/x"), Some(drive.into()));
        assert_eq!(path("s3://bucket/x"), None);
        assert_eq!(path("memory:"), None);
        assert_eq!("redb:x".parse::<Location>().unwrap().folder(), None);
        assert_eq!(Location::fs("x").folder(), Some(Path::new("x")));
    }

    #[cfg(unix)]
    #[test]
    fn a_path_need_not_be_unicode() {
        use std::os::unix::ffi::OsStrExt;
        let location = Location::from_os(OsStr::from_bytes(b"redb:a\xff")).unwrap();
        assert_eq!(location.path().unwrap().as_os_str().as_bytes(), b"a\xff");
        assert_eq!(location.to_string(), "redb:a\u{fffd}");
    }
}
