//! A folder as an object store: each object is a file that only its owner can read and write, in folders that are
//! private too.
//!
//! Reading, listing and deleting come from `object_store`. Creating does not: there, files get the process's default
//! permissions, and folders reappear after a store was moved away.

use std::fmt;
use std::fs::{self, File};
use std::io::{self, ErrorKind, Write as _};
use std::path::{Path as FilePath, PathBuf};

use async_trait::async_trait;
use futures_util::stream::BoxStream;
use nofx_platform::{flush_folder, make_private, private, remove_file};
use object_store::local::LocalFileSystem;
use object_store::path::Path;
use object_store::{
    CopyOptions, Error, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore, PutMode,
    PutMultipartOptions, PutOptions, PutPayload, PutResult, Result,
};

/// A folder that contains a store.
#[derive(Debug)]
pub(crate) struct Folder {
    root: PathBuf,
    files: LocalFileSystem,
}

impl Folder {
    /// Wraps an existing folder.
    pub(crate) fn new(root: &FilePath) -> Result<Self> {
        Ok(Self { root: root.to_owned(), files: LocalFileSystem::new_with_prefix(root)? })
    }
}

impl fmt::Display for Folder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the folder `{}`", self.root.display())
    }
}

/// An object was created, but its folder could not be flushed: a power cut may lose it.
#[derive(Debug)]
pub(crate) struct Unflushed(pub(crate) io::Error);

impl fmt::Display for Unflushed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the folder could not be flushed")
    }
}

impl std::error::Error for Unflushed {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.0)
    }
}

/// Creates a file unless the name is taken; it is complete and durable when this returns.
///
/// It is written and flushed under a name that listings skip, then linked, which fails if the name is taken.
fn create(root: &FilePath, path: &FilePath, payload: &PutPayload) -> Result<()> {
    let folder = path.parent().unwrap_or(root);
    if !folder.is_dir() && root.is_dir() {
        make_private(folder).and_then(|()| flush_folder(root)).map_err(generic)?;
    }
    let (mut file, written) = temporary(path).map_err(generic)?;
    let put = payload.iter().try_for_each(|bytes| file.write_all(bytes)).and_then(|()| file.sync_all());
    drop(file);
    let linked = put.and_then(|()| fs::hard_link(&written, path));
    // A leftover file has a name that nothing reads.
    _ = remove_file(&written);
    linked.map_err(|error| match error.kind() {
        ErrorKind::AlreadyExists => Error::AlreadyExists { path: path.display().to_string(), source: Box::new(error) },
        _ => generic(error),
    })?;
    flush_folder(folder).map_err(|error| generic(Unflushed(error)))
}

/// Creates a file next to another, under a name that listings skip.
fn temporary(path: &FilePath) -> io::Result<(File, PathBuf)> {
    let mut options = fs::OpenOptions::new();
    private(options.write(true).create_new(true));
    let mut number = 1_u64;
    loop {
        let mut name = path.as_os_str().to_owned();
        name.push(format!("#{number}"));
        match options.open(&name) {
            Err(error) if error.kind() == ErrorKind::AlreadyExists => number += 1,
            made => return made.map(|file| (file, name.into())),
        }
    }
}

fn generic(error: impl std::error::Error + Send + Sync + 'static) -> Error {
    Error::Generic { store: "folder", source: Box::new(error) }
}

fn not_used(operation: &str) -> Error {
    Error::NotImplemented { operation: operation.to_owned(), implementer: "folder".to_owned() }
}

#[async_trait]
impl ObjectStore for Folder {
    async fn put_opts(&self, location: &Path, payload: PutPayload, options: PutOptions) -> Result<PutResult> {
        if options.mode != PutMode::Create {
            return Err(not_used("overwriting"));
        }
        let (root, path) = (self.root.clone(), self.files.path_to_filesystem(location)?);
        match tokio::runtime::Handle::try_current() {
            Ok(runtime) => runtime.spawn_blocking(move || create(&root, &path, &payload)).await.map_err(generic)??,
            Err(_) => create(&root, &path, &payload)?,
        }
        Ok(PutResult { e_tag: None, version: None, extensions: Default::default() })
    }

    async fn put_multipart_opts(&self, _: &Path, _: PutMultipartOptions) -> Result<Box<dyn MultipartUpload>> {
        Err(not_used("putting in parts"))
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        self.files.get_opts(location, options).await
    }

    fn delete_stream(&self, locations: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        self.files.delete_stream(locations)
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.files.list(prefix)
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.files.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, _: &Path, _: &Path, _: CopyOptions) -> Result<()> {
        Err(not_used("copying"))
    }
}
