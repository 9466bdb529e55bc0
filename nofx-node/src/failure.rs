//! How errors cross: as JSON in the message of a rejected promise.

use std::any::Any;
use std::error::Error as StdError;
use std::future::Future;
use std::panic::AssertUnwindSafe;

use futures_util::FutureExt;
use nofx::json::quote;
use nofx::{Error, Holder};

/// The failure of a call, as JavaScript sees it.
#[derive(Debug)]
pub(crate) enum JsFailure {
    /// The store returned an error.
    Store(Error),
    /// A panic was caught: a bug in this program.
    Panicked(String),
}

impl From<Error> for JsFailure {
    fn from(error: Error) -> Self {
        Self::Store(error)
    }
}

impl From<JsFailure> for napi::Error {
    fn from(failure: JsFailure) -> Self {
        Self::from_reason(failure.to_json())
    }
}

impl JsFailure {
    /// Writes the JSON that `ts/errors.ts` reads.
    pub(crate) fn to_json(&self) -> String {
        let (code, message, next_step) = match self {
            Self::Store(error) => (error.code(), error.to_string(), error.next_step()),
            Self::Panicked(what) => {
                ("internal", format!("a bug in this program: {what}"), "report it; reload the window")
            }
        };
        let mut json =
            format!(r#"{{"code":{},"message":{},"nextStep":{}"#, quote(code), quote(&message), quote(next_step));
        if let Self::Store(error) = self {
            json.push_str(&format!(r#","transient":{}"#, error.is_transient()));
            if let Some(cause) = causes(error) {
                json.push_str(&format!(r#","cause":{}"#, quote(&cause)));
            }
            if let Error::Locked { holder: Some(Holder { pid, host }), .. } = error {
                json.push_str(&format!(r#","holder":{{"pid":{pid},"host":{}}}"#, quote(host)));
            }
        }
        json.push('}');
        json
    }
}

/// Returns the sources of an error, nearest first.
fn causes(error: &Error) -> Option<String> {
    let chain = std::iter::successors(error.source(), |below: &&dyn StdError| (*below).source());
    let chain: Vec<_> = chain.map(ToString::to_string).collect();
    (!chain.is_empty()).then(|| chain.join(": "))
}

/// Runs a call so that a panic inside it becomes its error and the process continues.
///
/// At worst, a panicking call leaves a batch uncommitted: state that outlives a call is in the store.
pub(crate) async fn guarded<T>(call: impl Future<Output = nofx::Result<T>>) -> Result<T, JsFailure> {
    match AssertUnwindSafe(call).catch_unwind().await {
        Ok(result) => result.map_err(JsFailure::Store),
        Err(panic) => Err(JsFailure::Panicked(said(&*panic))),
    }
}

fn said(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().copied().or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    text.unwrap_or("no message").to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_panic_becomes_an_error_that_says_what_was_said() {
        let failure = guarded(async { if true { panic!("index {} is {}", 3, "\"odd\"") } else { Ok(()) } }).await;
        let json = failure.unwrap_err().to_json();
        let expected = r#"{"code":"internal","message":"a bug in this program: index 3 is \"odd\"","nextStep":"report it; reload the window"}"#;
        assert_eq!(json, expected);
    }

    #[test]
    fn an_error_names_its_code_its_causes_and_what_to_do() {
        let below = std::io::Error::other("disk on fire");
        let json = JsFailure::from(Error::unavailable_because("reading `a`", below)).to_json();
        assert!(
            json.starts_with(
                r#"{"code":"unavailable","message":"unavailable: reading `a`","nextStep":"try again later"#
            )
        );
        assert!(json.ends_with(r#""transient":true,"cause":"disk on fire"}"#), "{json}");
    }

    #[test]
    fn a_lock_names_who_holds_it() {
        let holder = Some(Holder { pid: 7, host: "desk".to_owned() });
        let json = JsFailure::from(Error::Locked { what: "a store".to_owned(), holder }).to_json();
        assert!(json.ends_with(r#","holder":{"pid":7,"host":"desk"}}"#), "{json}");
    }
}
