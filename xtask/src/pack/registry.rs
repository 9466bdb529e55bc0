//! A registry on 127.0.0.1 that has only the packed packages.

use std::collections::HashMap;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::sync::Arc;
use std::thread;

use serde_json::json;

use super::stage::{Packed, Stage};
use crate::Result;

/// The answer for each path.
type Answers = HashMap<String, Vec<u8>>;

/// The registry, which runs until this program ends.
#[derive(Debug)]
pub(super) struct Registry {
    /// Its address.
    pub(super) url: String,
    /// The version of `nofx-node` that it has.
    pub(super) version: String,
}

impl Registry {
    /// Starts to answer.
    pub(super) fn serve(stage: &Stage) -> Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let url = format!("http://{}/", listener.local_addr()?);
        let mut answers = Answers::new();
        for package in &stage.packages {
            let tarball = format!("-/{}.tgz", package.pack.name.replace('/', "-"));
            let metadata = metadata(package, &format!("{url}{tarball}"));
            answers.insert(format!("/{}", package.pack.name), serde_json::to_vec(&metadata)?);
            answers.insert(format!("/{tarball}"), fs::read(&package.tarball)?);
        }
        let answers = Arc::new(answers);
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let answers = Arc::clone(&answers);
                // npm reports a request that breaks off.
                thread::spawn(move || answer(&stream, &answers).ok());
            }
        });
        let version = stage.packages.last().map(|package| package.pack.version.clone()).unwrap_or_default();
        Ok(Self { url, version })
    }
}

/// Returns the registry's metadata of a package.
fn metadata(package: &Packed, tarball: &str) -> serde_json::Value {
    let pack = &package.pack;
    let mut version = package.manifest.clone();
    version["dist"] = json!({ "tarball": tarball, "integrity": pack.integrity, "shasum": pack.shasum });
    json!({ "name": pack.name, "dist-tags": { "latest": pack.version }, "versions": { pack.version.as_str(): version } })
}

fn answer(stream: &TcpStream, answers: &Answers) -> Result {
    let mut lines = BufReader::new(stream).lines();
    let request = lines.next().ok_or("no request")??;
    // A request is answered once all of it has been read.
    while lines.next().transpose()?.is_some_and(|line| !line.is_empty()) {}
    let path = request.split(' ').nth(1).unwrap_or_default().replace("%2f", "/").replace("%2F", "/");
    let (status, body) = match answers.get(&path) {
        Some(body) => ("200 OK", body.as_slice()),
        None => ("404 Not Found", b"{}".as_slice()),
    };
    let mut out = stream;
    write!(out, "HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", body.len())?;
    Ok(out.write_all(body)?)
}
