//! The options for opening a store.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use nofx_core::{Error, Result, Sources};

use crate::Requests;

/// The options for opening a store. The defaults suit nearly every use.
#[derive(Clone)]
pub struct Options {
    pub(crate) settings: BTreeMap<String, String>,
    pub(crate) request_timeout: Duration,
    pub(crate) commit_timeout: Duration,
    pub(crate) create: bool,
    pub(crate) requests: Requests,
    pub(crate) sources: Sources,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            settings: BTreeMap::new(),
            request_timeout: Duration::from_secs(15),
            commit_timeout: Duration::from_secs(20),
            create: true,
            requests: Requests::default(),
            sources: Sources::default(),
        }
    }
}

impl Options {
    /// Sets an option of the object store's client, such as `region`, `endpoint` or `secret_access_key`, under the name
    /// that `object_store` gives it. Overrides the environment and the location.
    pub fn set(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.settings.insert(name.into().to_ascii_lowercase(), value.into());
        self
    }

    /// Limits one small request; large ones get one more second for each 128 KiB. 15 seconds unless set.
    pub fn request_timeout(mut self, timeout: Duration) -> Self {
        self.request_timeout = timeout;
        self
    }

    /// Limits a commit, and how long reads are retried. 20 seconds unless set.
    pub fn commit_timeout(mut self, timeout: Duration) -> Self {
        self.commit_timeout = timeout;
        self
    }

    /// Sets whether a store that does not exist is created, which is the default. If not, opening writes nothing.
    pub fn create(mut self, create: bool) -> Self {
        self.create = create;
        self
    }

    /// Counts the store's requests in a counter that other stores may share.
    pub fn requests(mut self, requests: Requests) -> Self {
        self.requests = requests;
        self
    }

    /// Replaces the clock and the source of ids.
    pub fn sources(mut self, sources: Sources) -> Self {
        self.sources = sources;
        self
    }

    /// Takes an option from the query of a location, unless it is already set.
    pub(crate) fn offer(&mut self, name: &str, value: &str) -> Result<()> {
        let name = name.to_ascii_lowercase();
        if is_secret(&name) {
            return Err(Error::invalid(format!(
                "a location is shown to people, so it must not contain `{name}`; put that into the environment"
            )));
        }
        let seconds = || {
            let seconds = value.parse().ok().filter(|seconds| *seconds > 0);
            seconds
                .map(Duration::from_secs)
                .ok_or_else(|| Error::invalid(format!("`{name}` must be a positive number of seconds")))
        };
        match name.as_str() {
            "request_timeout" => self.request_timeout = seconds()?,
            "commit_timeout" => self.commit_timeout = seconds()?,
            "path_style" => {
                let hosted = if value == "false" { "true" } else { "false" };
                self.settings.entry("virtual_hosted_style_request".to_owned()).or_insert_with(|| hosted.to_owned());
            }
            _ => _ = self.settings.entry(name).or_insert_with(|| value.to_owned()),
        }
        Ok(())
    }

    /// Returns every value that must not be shown.
    pub(crate) fn secrets(&self, environment: impl Iterator<Item = (String, String)>) -> Vec<String> {
        let own = self.settings.clone().into_iter();
        let foreign = environment.filter(|(name, _)| {
            ["AWS_", "AZURE_", "GOOGLE_"].iter().any(|prefix| name.starts_with(prefix)) || name.ends_with("_PROXY")
        });
        let secret =
            own.chain(foreign).filter(|(name, value)| is_secret(&name.to_ascii_lowercase()) && value.len() > 3);
        secret.map(|(_, value)| value).collect()
    }
}

/// Returns whether an option with this name holds a secret.
fn is_secret(name: &str) -> bool {
    name.contains("secret")
        || name.contains("password")
        || name == "token"
        || name == "key"
        || ["_token", "_key", "key_base64", "proxy_url", "_proxy"].iter().any(|end| name.ends_with(end))
}

impl fmt::Debug for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown: BTreeMap<_, _> =
            self.settings.iter().map(|(name, value)| (name, if is_secret(name) { "***" } else { value })).collect();
        f.debug_struct("Options")
            .field("settings", &shown)
            .field("request_timeout", &self.request_timeout)
            .field("commit_timeout", &self.commit_timeout)
            .finish_non_exhaustive()
    }
}

/// The constants of the protocol. Only tests change them.
#[derive(Clone, Debug)]
pub(crate) struct Rules {
    pub(crate) commit_timeout: Duration,
    /// A handle that has not seen the newest commit for this long opens again.
    pub(crate) stale: Duration,
    /// Anything that was needed within this time is kept.
    pub(crate) grace: Duration,
    /// The interval between two collections by one handle.
    pub(crate) collect_every: Duration,
    /// Longer bodies go into packs.
    pub(crate) inline_bytes: usize,
    /// A commit that makes the run longer than this starts a checkpoint.
    pub(crate) roll_at: usize,
    /// With a run longer than this, a checkpoint is made before the commit.
    pub(crate) roll_first: usize,
    /// A commit longer than this is not carried along by the next one if a checkpoint has it.
    pub(crate) burden: usize,
    /// A state that is larger than this is loaded again, if there is a newer checkpoint.
    pub(crate) heavy: usize,
}

impl Rules {
    pub(crate) fn new(commit_timeout: Duration) -> Self {
        Self {
            commit_timeout,
            stale: Duration::from_secs(3600),
            grace: Duration::from_secs(24 * 3600),
            collect_every: Duration::from_secs(3600),
            inline_bytes: 16 << 10,
            roll_at: 128 << 10,
            roll_first: 1 << 20,
            burden: 128 << 10,
            heavy: 8 << 20,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_known_by_their_names() {
        let secret = "secret_access_key aws_session_token token sas_key account_key bearer_token client_secret proxy_url \
                      service_account_key sse_customer_key_base64 https_proxy";
        let plain = "access_key_id region endpoint web_identity_token_file sse_kms_key_id bucket_key_enabled role_arn";
        assert!(secret.split_whitespace().all(is_secret));
        assert!(!plain.split_whitespace().any(is_secret));
    }

    #[test]
    fn a_location_holds_no_secrets_and_options_count_more_than_it() {
        let mut options = Options::default().set("Region", "here").set("secret_access_key", "canary-1234");
        let refused = options.offer("AWS_Secret_Access_Key", "canary-5678").unwrap_err();
        assert_eq!(refused.code(), "invalid");
        assert!(!format!("{refused:?} {options:?}").contains("canary"));
        options.offer("region", "there").unwrap();
        options.offer("path_style", "false").unwrap();
        options.offer("commit_timeout", "7").unwrap();
        assert_eq!(options.offer("commit_timeout", "soon").unwrap_err().code(), "invalid");
        assert_eq!(options.settings["region"], "here");
        assert_eq!(options.settings["virtual_hosted_style_request"], "true");
        assert_eq!(options.commit_timeout, Duration::from_secs(7));
        let environment = [("AWS_SESSION_TOKEN", "canary-9"), ("AWS_REGION", "there"), ("HOME_TOKEN", "not ours")];
        let environment = environment.iter().map(|(name, value)| (name.to_string(), value.to_string()));
        assert_eq!(options.secrets(environment), ["canary-1234", "canary-9"]);
    }
}
