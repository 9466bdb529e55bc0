//! A bucket that is not there.

use std::io::{Read, Write};
use std::net::TcpListener;

use nofx_remote::{Options, RemoteBackend};

/// What S3 answers then, whatever was asked.
const NO_BUCKET: &str =
    "<Error><Code>NoSuchBucket</Code><Message>The specified bucket does not exist</Message></Error>";

#[tokio::test]
async fn a_missing_bucket_is_told_at_once_and_not_as_something_that_passes() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let location = format!("s3://nowhere?endpoint=http://{}&region=us-east-1", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            // The request fits into one read, and nobody looks at it.
            _ = stream.read(&mut [0; 16 << 10]);
            let head = "HTTP/1.1 404 Not Found\r\nconnection: close\r\ncontent-type: application/xml";
            _ = write!(stream, "{head}\r\ncontent-length: {}\r\n\r\n{NO_BUCKET}", NO_BUCKET.len());
        }
    });
    let options = Options::default().set("access_key_id", "test").set("secret_access_key", "test");
    for create in [true, false] {
        let refused = RemoteBackend::open(&location, options.clone().create(create)).await.unwrap_err();
        assert_eq!(refused.code(), "invalid", "{refused}");
        assert!(refused.to_string().contains("there is no bucket"), "{refused}");
    }
}
