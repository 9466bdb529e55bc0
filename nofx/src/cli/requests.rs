//! Counts a command's requests to object storage, since requests are what providers bill.

use serde_json::Value;

use crate::Options;

/// Counts the requests of all stores that a command opens.
#[derive(Clone, Debug, Default)]
pub(crate) struct RequestCounter {
    #[cfg(feature = "remote")]
    counted: nofx_remote::Requests,
}

#[cfg(feature = "remote")]
impl RequestCounter {
    /// Returns options with which a store counts its requests here.
    pub(crate) fn counting(&self, options: Options) -> Options {
        Options { requests: self.counted.clone(), ..options }
    }

    /// Returns a line with the counts; an empty string if there were no requests.
    pub(crate) fn line(&self) -> String {
        match self.is_none() {
            true => String::new(),
            false => format!("  requests to object storage: {}\n", self.counted),
        }
    }

    /// Returns the counts by verb; null if there were no requests.
    pub(crate) fn json(&self) -> Value {
        let counted = &self.counted;
        match self.is_none() {
            true => Value::Null,
            false => serde_json::json!({
                "put": counted.puts(),
                "get": counted.gets(),
                "list": counted.lists(),
                "delete": counted.deletes(),
            }),
        }
    }

    fn is_none(&self) -> bool {
        self.counted.lists() == 0
    }
}

#[cfg(not(feature = "remote"))]
impl RequestCounter {
    pub(crate) fn counting(&self, options: Options) -> Options {
        options
    }

    pub(crate) fn line(&self) -> String {
        String::new()
    }

    pub(crate) fn json(&self) -> Value {
        Value::Null
    }
}
