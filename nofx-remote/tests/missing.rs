//! Permanent errors from a server: a bucket that does not exist, credentials that it rejects.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::io::{Read, Write};
use std::net::TcpListener;

use nofx_remote::{Options, RemoteBackend, Requests};

/// What S3 then answers to every request.
const NO_BUCKET: &str =
    "<Error><Code>NoSuchBucket</Code><Message>The specified bucket does not exist</Message></Error>";

/// Starts a server that gives this answer to every request.
fn answering(status: &'static str, body: &'static str) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            // The request fits into one read, and nothing in it matters.
            _ = stream.read(&mut [0; 16 << 10]);
            let head = format!("HTTP/1.1 {status}\r\nconnection: close\r\ncontent-type: application/xml");
            _ = write!(stream, "{head}\r\ncontent-length: {}\r\n\r\n{body}", body.len());
        }
    });
    address
}

#[tokio::test]
async fn a_missing_bucket_is_reported_at_once_and_not_as_something_that_passes() {
    let location = format!("s3://nowhere?endpoint=http://{}&region=us-east-1", answering("404 Not Found", NO_BUCKET));
    let options = Options::default().set("access_key_id", "test").set("secret_access_key", "test");
    for create in [true, false] {
        let refused = RemoteBackend::open(&location, options.clone().create(create)).await.unwrap_err();
        assert_eq!(refused.code(), "invalid", "{refused}");
        assert!(refused.to_string().contains("no bucket for"), "{refused}");
    }
}

#[tokio::test]
async fn credentials_that_a_server_refuses_are_reported_in_words_and_once() {
    let expired = "<?xml version=\"1.0\"?><Error><Code>ExpiredToken</Code><Message>The provided token has expired.\
                   </Message><Token-0>canary</Token-0></Error>";
    let azure = "<?xml version=\"1.0\"?><Error><Code>AuthenticationFailed</Code><Message>canary</Message></Error>";
    let google = "<?xml version='1.0'?><Error><Code>AuthenticationRequired</Code><Message>canary</Message></Error>";
    let s3 = |status, body| {
        let location = format!("s3://bucket?endpoint=http://{}&region=us-east-1", answering(status, body));
        (location, vec![("access_key_id", "test"), ("secret_access_key", "test"), ("session_token", "test")])
    };
    let az = |status, body| {
        let location = format!("az://bucket?endpoint=http://{}/account", answering(status, body));
        (location, vec![("account_name", "account"), ("account_key", "dGVzdA=="), ("allow_http", "true")])
    };
    for ((location, settings), why) in [
        (s3("400 Bad Request", expired), "they have expired"),
        (s3("403 Forbidden", "<Error><Code>AccessDenied</Code></Error>"), "they do not allow this"),
        (s3("401 Unauthorized", google), "they are wrong or have expired"),
        (az("403 Forbidden", azure), "they are wrong or have expired"),
    ] {
        let requests = Requests::default();
        let mut options = Options::default().requests(requests.clone());
        for (name, value) in settings {
            options = options.set(name, value);
        }
        let refused = RemoteBackend::open(&location, options).await.unwrap_err();
        let told = refused.chain();
        assert_eq!(refused.code(), "unavailable", "{told}");
        assert!(told.contains(&format!("refused the credentials: {why}; renew those")), "{told}");
        assert!(!told.contains('<') && !told.contains("canary"), "{told}");
        assert_eq!(requests.lists(), 1, "it is not tried again");
    }
}
