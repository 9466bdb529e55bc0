//! How a case reports that a claim does not hold.

use std::fmt;
use std::panic::Location;

/// What a case found instead of what the contract says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Unmet(String);

/// The result of a case.
pub(crate) type CaseResult<T = ()> = Result<T, Unmet>;

impl Unmet {
    #[track_caller]
    pub(crate) fn new(what: impl fmt::Display) -> Self {
        Self::at(what, Location::caller())
    }

    pub(crate) fn at(what: impl fmt::Display, place: &Location<'_>) -> Self {
        Self(format!("{what}\n    at {}:{}", place.file(), place.line()))
    }
}

impl fmt::Display for Unmet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// An unexpected error in a case records where it occurred.
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

/// Ends the case unless the value found equals the expected one.
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
pub(crate) fn differing<F: fmt::Debug + ?Sized, E: fmt::Debug + ?Sized>(what: &str, found: &F, expected: &E) -> Unmet {
    let (found, expected) = (format!("{found:?}"), format!("{expected:?}"));
    let same = found.chars().zip(expected.chars()).take_while(|(one, other)| one == other).count();
    let (found, expected) = (around(&found, same), around(&expected, same));
    Unmet::new(format!("{what}\n    expected {expected}\n    found    {found}"))
}

/// Shortens a long text to the part around a position, given in characters.
fn around(text: &str, place: usize) -> String {
    const BEFORE: usize = 300;
    const AFTER: usize = 500;
    let start = if place > BEFORE + AFTER { place - BEFORE } else { 0 };
    let mut shown: String = text.chars().skip(start).take(BEFORE + AFTER).collect();
    if start > 0 {
        shown.insert_str(0, "… ");
    }
    if text.chars().nth(start + BEFORE + AFTER).is_some() {
        shown.push_str(&format!("… ({} bytes)", text.len()));
    }
    shown
}
