//! What a terminal and a pipe get.

use std::io::{BufRead, BufReader};
use std::process::Stdio;

use crate::program::Place;

#[test]
fn nothing_but_text_reaches_a_pipe() {
    let place = Place::new().with_legacy();
    for words in ["migrate --from work --to redb:x.redb", "migrate --from nowhere --to redb:y.redb"] {
        let run = place.run(words);
        assert!(!run.out.contains('\u{1b}') && !run.err.contains('\u{1b}'), "{run:?}");
        assert!(!run.err.contains('\r'), "{run:?}");
    }
}

#[test]
fn a_reader_who_has_seen_enough_is_no_error() {
    let place = Place::new();
    let mut dump = String::from("{\"format\":\"nofx-full-dump\",\"version\":1}\n");
    let body = "x".repeat(5000);
    for number in 0..100 {
        dump.push_str(&format!("{{\"record\":\"agent\",\"id\":\"{number:03}\",\"body\":{{\"id\":\"{body}\"}}}}\n"));
    }
    let digest = sha256(dump.as_bytes());
    dump.push_str(&format!("{{\"end\":{{\"records\":100,\"logs\":0,\"entries\":0}},\"sha256\":\"{digest}\"}}\n"));
    place.write("dump.ndjson", dump);
    place.run("load dump.ndjson --store redb:x.redb").done();
    for words in ["dump --store redb:x.redb", "dump --full --store redb:x.redb", "completions zsh"] {
        let mut child = place.command(words.split(' ')).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        assert!(!line.is_empty());
        let output = child.wait_with_output().unwrap();
        assert_eq!(output.status.code(), Some(0), "{words}");
        assert_eq!(String::from_utf8(output.stderr).unwrap(), "", "{words}");
    }
}

pub(crate) fn sha256(bytes: &[u8]) -> String {
    use sha2::{Digest, Sha256};
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn names_from_elsewhere_do_not_drive_the_terminal() {
    let place = Place::new();
    let name = "evil\u{1b}[2J\u{202e}txt\n";
    let run = crate::program::run(&mut place.command(["migrate", "--from", name, "--to", "redb:x.redb"]));
    run.failed(10, "`evil\\u{1b}[2J\\u{202e}txt\\n` does not exist");
}
