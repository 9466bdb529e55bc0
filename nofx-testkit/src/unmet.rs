//! How a case says that a claim does not hold.

use std::fmt;
use std::panic::Location;

/// What a case found instead of what the contract says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unmet(String);

/// What a case answers.
pub(crate) type CaseResult<T = ()> = Result<T, Unmet>;

impl Unmet {
    #[track_caller]
    pub(crate) fn new(what: impl fmt::Display) -> Self {
        let at = Location::caller();
        Self(format!("{what}\n    at {}:{}", at.file(), at.line()))
    }
}

impl fmt::Display for Unmet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Any error that a case did not expect says where it came up.
impl<E: std::error::Error> From<E> for Unmet {
    #[track_caller]
    fn from(error: E) -> Self {
        let mut text = format!("an error where none was expected: {error}");
        let mut source = error.source();
        while let Some(below) = source {
            text.push_str(&format!(": {below}"));
            source = below.source();
        }
        Self::new(text)
    }
}

/// Ends the case unless a condition holds.
macro_rules! ensure {
    ($condition:expr, $($what:tt)+) => {
        if !$condition {
            return Err($crate::unmet::Unmet::new(format!($($what)+)));
        }
    };
}

/// Ends the case unless what was found equals what was expected.
macro_rules! ensure_eq {
    ($found:expr, $expected:expr, $($what:tt)+) => {
        match (&$found, &$expected) {
            (found, expected) => if found != expected {
                return Err($crate::unmet::differing(&format!($($what)+), found, expected));
            }
        }
    };
}

pub(crate) use {ensure, ensure_eq};

#[track_caller]
pub(crate) fn differing(what: &str, found: &impl fmt::Debug, expected: &impl fmt::Debug) -> Unmet {
    Unmet::new(format!("{what}\n    expected {}\n    found    {}", shortened(expected), shortened(found)))
}

fn shortened(value: &impl fmt::Debug) -> String {
    let text = format!("{value:?}");
    match text.char_indices().nth(1500) {
        Some((end, _)) => format!("{}… ({} bytes)", text.get(..end).unwrap_or_default(), text.len()),
        None => text,
    }
}
