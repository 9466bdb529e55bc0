//! The names of objects.

use nofx_core::IdSource;
use object_store::path::Path;

/// The folder of commits.
pub(crate) const ROOT: &str = "root";
/// The folder of checkpoints.
pub(crate) const CHECKPOINTS: &str = "checkpoints";
/// The folder of packs.
pub(crate) const PACKS: &str = "packs";
/// The folder for objects that exist only while a store is being created.
pub(crate) const PROBES: &str = "probes";

/// Where a store is within a bucket.
#[derive(Clone, Debug)]
pub(crate) struct ObjectNames {
    prefix: Path,
}

impl ObjectNames {
    pub(crate) fn new(prefix: Path) -> Self {
        Self { prefix }
    }

    pub(crate) fn folder(&self, folder: &str) -> Path {
        self.prefix.clone().join(folder)
    }

    pub(crate) fn commit(&self, number: u64) -> Path {
        self.folder(ROOT).join(inverted(number))
    }

    pub(crate) fn checkpoint(&self, number: u64, nonce: &str) -> Path {
        self.folder(CHECKPOINTS).join(format!("{}-{nonce}", inverted(number)))
    }

    pub(crate) fn pack(&self, pack: &str) -> Path {
        self.folder(PACKS).join(pack)
    }

    pub(crate) fn probe(&self, nonce: &str) -> Path {
        self.folder(PROBES).join(nonce)
    }
}

/// Returns the number in the name of a commit or of a checkpoint; `None` for a name that is neither.
pub(crate) fn number(path: &Path) -> Option<u64> {
    let name = path.filename()?;
    let digits = name.split('-').next()?;
    let plain = digits.len() == 20 && digits.bytes().all(|byte| byte.is_ascii_digit());
    plain.then(|| digits.parse().ok()).flatten().map(|inverted: u64| u64::MAX - inverted)
}

/// Generates 20 random hexadecimal digits, which never repeat.
pub(crate) fn nonce(ids: &dyn IdSource) -> String {
    let mut bytes = [0; 10];
    ids.fill(&mut bytes);
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Counts down, so that the first name of a listing is the newest.
fn inverted(number: u64) -> String {
    format!("{:020}", u64::MAX - number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_count_down_and_are_read_back() {
        let names = ObjectNames::new(Path::from("team/store"));
        let (first, second) = (names.commit(1), names.commit(2));
        assert_eq!(first.as_ref(), "team/store/root/18446744073709551614");
        assert!(second < first, "the newest comes first");
        assert_eq!((number(&first), number(&second)), (Some(1), Some(2)));
        assert_eq!(number(&names.checkpoint(7, "ab")), Some(7));
        for foreign in ["root/README", "root/1", "root/99999999999999999999", "root/+8446744073709551614"] {
            assert_eq!(number(&Path::from(foreign)), None, "{foreign}");
        }
        assert_eq!(ObjectNames::new(Path::default()).commit(1).as_ref(), "root/18446744073709551614");
    }
}
