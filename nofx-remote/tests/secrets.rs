//! Credentials are never shown.

#[path = "server/mod.rs"]
mod server;

use nofx_core::{Error, PersistenceBackend};
use nofx_remote::{Options, RemoteBackend};
use server::{ACCESS_KEY, SECRET_KEY, Server};

const CANARY: &str = "canary-4f1d";

fn everything_about(error: &Error) -> String {
    let mut shown = format!("{error} {error:?} {error:#?} {}", error.next_step());
    let mut below = std::error::Error::source(error);
    while let Some(cause) = below {
        shown.push_str(&format!(" {cause} {cause:?}"));
        below = cause.source();
    }
    shown
}

#[tokio::test]
async fn neither_errors_nor_debug_output_show_a_secret() {
    let server = Server::start();
    let wrong = Options::default()
        .set("access_key_id", ACCESS_KEY)
        .set("secret_access_key", CANARY)
        .set("session_token", CANARY)
        .request_timeout(std::time::Duration::from_secs(2))
        .commit_timeout(std::time::Duration::from_secs(2));
    assert!(!format!("{wrong:?} {wrong:#?}").contains(CANARY));
    let refused = RemoteBackend::open(&server.bucket(), wrong.clone()).await.unwrap_err();
    assert_eq!(refused.code(), "unavailable", "{refused}");
    assert!(!everything_about(&refused).contains(CANARY));

    let nobody = "s3://bucket?endpoint=http://127.0.0.1:1&region=us-east-1";
    let unreachable = RemoteBackend::open(nobody, wrong.clone()).await.unwrap_err();
    assert_eq!(unreachable.code(), "unavailable");
    assert!(!everything_about(&unreachable).contains(CANARY));
    let inside = RemoteBackend::open(&format!("{nobody}&secret_access_key={CANARY}"), wrong).await.unwrap_err();
    assert!(!everything_about(&inside).contains(CANARY));

    let right = Options::default().set("access_key_id", ACCESS_KEY).set("secret_access_key", SECRET_KEY);
    let store = RemoteBackend::open(&server.bucket(), right).await.unwrap();
    let shown = format!("{store:?} {store:#?} {:?}", store.info());
    assert!(shown.contains("s3://bucket-1") && !shown.contains(SECRET_KEY) && !shown.contains("region"), "{shown}");
}
