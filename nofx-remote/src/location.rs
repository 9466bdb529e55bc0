//! From a location to an object store client.

use std::sync::Arc;

use nofx_core::{Durability, Error, Result, Sharing};
use nofx_platform::make_private;
use object_store::ObjectStore;
use object_store::path::Path;
use url::Url;

use crate::fault::Fault;
use crate::folder::Folder;
use crate::options::Options;

/// An object store, and where in it a store is.
#[derive(Debug)]
pub(crate) struct StorePrefix {
    pub(crate) store: Arc<dyn ObjectStore>,
    pub(crate) prefix: Path,
    pub(crate) scheme: &'static str,
    pub(crate) lists_in_order: bool,
    /// Whether a look at an object costs next to nothing.
    pub(crate) is_near: bool,
    pub(crate) sharing: Sharing,
    pub(crate) durability: Durability,
    /// The location in a form that is safe to show.
    pub(crate) shown: String,
    pub(crate) secrets: Vec<String>,
}

/// Finds the place that a location names, and takes the options from its query.
pub(crate) fn find(location: &str, options: &mut Options) -> Result<StorePrefix> {
    // The text is not quoted: something that is not a location may contain anything, secrets included.
    let mut url = Url::parse(location).map_err(|error| Error::invalid_because("the location is not a URL", error))?;
    if !url.username().is_empty() || url.password().is_some() {
        return Err(Error::invalid(
            "the location contains a user name or a password; put credentials into the environment",
        ));
    }
    for (name, value) in url.query_pairs() {
        options.offer(&name, &value)?;
    }
    url.set_query(None);
    url.set_fragment(None);
    if url.scheme() == "file" {
        return folder(&url, options);
    }
    if url.host_str().is_none_or(str::is_empty) {
        return Err(Error::invalid(format!("`{url}` names no bucket")));
    }
    let prefix = Path::from_url_path(url.path())
        .map_err(|error| Error::invalid_because(format!("`{url}`: its path cannot be used"), error))?;
    let secrets = options.secrets(std::env::vars());
    let (scheme, store) = client(&url, options, &secrets)?;
    Ok(StorePrefix {
        store,
        prefix,
        scheme,
        is_near: false,
        lists_in_order: options.settings.get("s3_express").is_none_or(|express| express != "true"),
        sharing: Sharing::Network,
        durability: Durability::Service,
        shown: url.into(),
        secrets,
    })
}

fn folder(url: &Url, options: &Options) -> Result<StorePrefix> {
    if let Some(name) = options.settings.keys().next() {
        return Err(Error::invalid(format!("a folder has no option `{name}`")));
    }
    let path =
        url.to_file_path().map_err(|()| Error::invalid(format!("`{url}` does not name a folder on this machine")))?;
    if !options.create && !path.is_dir() {
        return Err(no_store(url.as_str()));
    }
    let during = || format!("opening the folder `{}`", path.display());
    make_private(&path).map_err(|error| Error::unavailable_because(during(), error))?;
    let store = Folder::new(&path).map_err(|error| Fault::new(&error, &[]).unavailable(during()))?;
    Ok(StorePrefix {
        store: Arc::new(store),
        prefix: Path::default(),
        scheme: "file",
        lists_in_order: false,
        is_near: true,
        sharing: Sharing::Machine,
        durability: Durability::Disk,
        shown: url.to_string(),
        secrets: Vec::new(),
    })
}

/// Makes the error for a location without a store.
pub(crate) fn no_store(shown: &str) -> Error {
    Error::no_store(shown)
}

#[cfg(any(feature = "aws", feature = "azure", feature = "gcp"))]
macro_rules! build {
    ($builder:ty, $url:expr, $options:expr, $secrets:expr) => {{
        let bucket = &$url[..url::Position::BeforePath];
        let retry = object_store::RetryConfig { max_retries: 0, ..Default::default() };
        // Retries are part of the protocol, so the client makes none; large bodies get the time they need.
        let mut builder = <$builder>::from_env().with_url(bucket).with_retry(retry);
        let mut settings = $options.settings.clone();
        settings.entry("timeout".to_owned()).or_insert_with(|| "10 minutes".to_owned());
        if settings.get("endpoint").is_some_and(|endpoint| endpoint.starts_with("http://")) {
            settings.entry("allow_http".to_owned()).or_insert_with(|| "true".to_owned());
        }
        for (name, value) in settings {
            let key =
                name.parse().map_err(|_| Error::invalid(format!("`{}` has no option `{name}`", $url.scheme())))?;
            builder = builder.with_config(key, value);
        }
        let store = builder.build().map_err(|error| {
            Error::invalid_because(format!("the options of `{bucket}`"), Fault::new(&error, $secrets))
        })?;
        Arc::new(store) as Arc<dyn ObjectStore>
    }};
}

#[cfg_attr(
    not(any(feature = "aws", feature = "azure", feature = "gcp")),
    expect(unused_variables, reason = "without clients there are no options to use")
)]
fn client(url: &Url, options: &Options, secrets: &[String]) -> Result<(&'static str, Arc<dyn ObjectStore>)> {
    match url.scheme() {
        #[cfg(feature = "aws")]
        "s3" => Ok(("s3", build!(object_store::aws::AmazonS3Builder, url, options, secrets))),
        #[cfg(feature = "gcp")]
        "gs" => Ok(("gs", build!(object_store::gcp::GoogleCloudStorageBuilder, url, options, secrets))),
        #[cfg(feature = "azure")]
        "az" => Ok(("az", build!(object_store::azure::MicrosoftAzureBuilder, url, options, secrets))),
        other => Err(Error::invalid(format!("no object store for `{other}:`; is its feature enabled?"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(location: &str) -> String {
        let error = find(location, &mut Options::default()).unwrap_err();
        assert_eq!(error.code(), "invalid", "{location}: {error}");
        error.to_string()
    }

    #[test]
    fn what_is_no_location_is_invalid_and_no_secret_is_repeated() {
        for location in [
            "not a url canary",
            "s3://name:canary@bucket/x",
            "s3://bucket/x?aws_secret_access_key=canary",
            "az://bucket/x?sas_token=canary",
            "s3:///x",
            "ftp://host/x",
            "s3://bucket/x?unheard_of=canary",
            "file:///tmp/x?region=canary",
        ] {
            assert!(!refusal(location).contains("canary"), "{location}");
        }
    }

    #[cfg(feature = "aws")]
    #[test]
    fn a_bucket_a_prefix_and_options_are_understood() {
        let location =
            "s3://bucket/team/a%20b?region=eu-x&endpoint=http://127.0.0.1:9&path_style=true&skip_signature=true";
        let place = find(location, &mut Options::default()).unwrap();
        assert_eq!((place.scheme, place.prefix.as_ref()), ("s3", "team/a b"));
        assert_eq!(place.shown, "s3://bucket/team/a%20b", "shown without its query");
        assert!(place.lists_in_order);
    }
}
