//! Runs the program, in a temporary folder.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use tempfile::TempDir;

/// The result of running the program.
#[derive(Debug)]
pub(crate) struct Run {
    pub(crate) code: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Run {
    /// Requires success.
    #[track_caller]
    pub(crate) fn done(self) -> Self {
        assert_eq!(self.code, 0, "{self:?}");
        self
    }

    /// Requires a failure that is reported in one line and a hint.
    #[track_caller]
    pub(crate) fn failed(self, code: i32, error: &str) -> Self {
        let lines: Vec<&str> = self.err.lines().collect();
        assert_eq!(self.code, code, "{self:?}");
        assert_eq!(lines.len(), 2, "{self:?}");
        assert_eq!(lines[0], format!("error: {error}"));
        assert!(lines[1].starts_with("hint: ") && lines[1].len() > 10, "{self:?}");
        assert_eq!(self.out, "");
        self
    }
}

/// A temporary folder, and the program in it.
pub(crate) struct Place(TempDir);

impl Place {
    pub(crate) fn new() -> Self {
        // By its real path, so that messages can be compared.
        let temporary = nofx_platform::real(&std::env::temp_dir()).expect("it exists");
        Self(TempDir::new_in(temporary).expect("a folder"))
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        // With the separators of the system, as messages show them.
        self.0.path().join(name).components().collect()
    }

    /// Returns the location of a store in the layout of object storage.
    pub(crate) fn objects(&self, name: &str) -> String {
        self.located(&format!("file://HERE/{name}"))
    }

    /// Returns a location with the path of this place for `HERE`.
    pub(crate) fn located(&self, location: &str) -> String {
        let here = self.shown("");
        match location.starts_with("file:") {
            // On Windows, with a drive and backslashes: `file:///C:/…`.
            true => location.replace("HERE", &format!("/{}", here.replace('\\', "/").trim_start_matches('/'))),
            false => location.replace("HERE", &here),
        }
    }

    /// Returns the beginning of messages that name something here.
    pub(crate) fn shown(&self, name: &str) -> String {
        self.path(name).display().to_string()
    }

    pub(crate) fn write(&self, name: &str, content: impl AsRef<[u8]>) {
        let path = self.path(name);
        fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
        fs::write(path, content).expect("a file");
    }

    /// Writes the smallest legacy folder here.
    pub(crate) fn with_legacy(self) -> Self {
        self.write("work/.nofx/agents.json", LEGACY);
        self
    }

    pub(crate) fn command<S: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = S>) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_nofx"));
        command.args(args).current_dir(self.0.path()).env_remove("NOFX_STORE").stdin(Stdio::null());
        command
    }

    /// Runs the program with words that are separated by single spaces.
    pub(crate) fn run(&self, words: &str) -> Run {
        run(&mut self.command(words.split(' ')))
    }

    /// Returns every path below a folder with its content, for comparison.
    pub(crate) fn tree(&self, name: &str) -> Vec<(PathBuf, Option<Vec<u8>>)> {
        let mut found = Vec::new();
        walk(&self.path(name), &mut found);
        found.sort();
        found
    }
}

fn walk(folder: &Path, found: &mut Vec<(PathBuf, Option<Vec<u8>>)>) {
    for entry in fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        let kind = fs::symlink_metadata(&path).expect("it exists");
        if kind.is_dir() {
            walk(&path, found);
        }
        found.push((path.clone(), kind.is_file().then(|| fs::read(&path).expect("a file"))));
    }
}

pub(crate) fn run(command: &mut Command) -> Run {
    let output = command.output().expect("the program starts");
    Run {
        code: output.status.code().unwrap_or(-1),
        out: String::from_utf8(output.stdout).expect("text"),
        err: String::from_utf8(output.stderr).expect("text"),
    }
}

/// One agent.
pub(crate) const LEGACY: &str = r#"{
  "version": "1.0",
  "timestamp": "2025-07-01T10:00:00.000Z",
  "agents": [
    {
      "id": "ada",
      "name": "Ada",
      "type": "backend",
      "status": "idle",
      "tasksCompleted": 0,
      "currentTask": null,
      "sessionFile": "ada_session.md",
      "createdAt": "2025-07-01T10:00:00.000Z"
    }
  ]
}"#;

/// A session of that agent with two messages.
pub(crate) fn session(id: &str, name: &str) -> String {
    let at = "2025-07-01T10:00:00.000Z";
    format!(
        r#"{{"id":"{id}","name":"{name}","agentId":"ada","agentName":"Ada","agentType":"backend","status":"active",
        "createdAt":"{at}","lastActiveAt":"2025-07-01T10:01:00.000Z","expiresAt":"2025-07-01T15:00:00.000Z",
        "workingDirectory":"/work","gitBranch":"main","completedTasks":[],"tasksCompleted":0,"totalOutputLines":2,
        "conversationHistory":[
        {{"id":"m1","timestamp":"{at}","type":"user","content":"Please write the login form."}},
        {{"id":"m2","timestamp":"2025-07-01T10:01:00.000Z","type":"assistant","content":"{ANSWER}"}}]}}"#
    )
}

/// A long line, a block of code, and characters that control the terminal.
const ANSWER: &str = "Here it is, with everything that you asked for and a little more, so that this line is too long for one line \
    of the screen:\\n```html\\n<form action=\\\"/a/very/long/path/that/must/not/break/because/it/is/code/and/should/be/copied\\\"/>\\n```\\nDone\\u001b[2J.";

/// A store with one record and one log.
pub(crate) const DUMP: &str = concat!(
    "{\"format\":\"nofx-full-dump\",\"version\":1}\n",
    "{\"record\":\"agent\",\"id\":\"ada\",\"body\":{\"id\":\"ada\",\"name\":\"Ada\"}}\n",
    "{\"log\":\"history\",\"id\":\"s1\",\"state\":\"sealed\",\"length\":1}\n",
    "{\"entry\":0,\"at\":-1,\"body\":{\"id\":\"m1\",\"content\":\"hello\"}}\n",
    "{\"end\":{\"records\":1,\"logs\":1,\"entries\":1},\"sha256\":\"ce923c741e211405bfa3bdc77b6f0ea1edccada996d0577781c625d64171e9ab\"}\n",
);

/// Returns the full dump of a store with one session.
pub(crate) fn dump_of(session: &str, messages: impl Iterator<Item = String>) -> String {
    let mut dump = String::from("{\"format\":\"nofx-full-dump\",\"version\":1}\n");
    let record = format!(
        "{{\"record\":\"session\",\"id\":\"{session}\",\"body\":{{\"id\":\"{session}\",\"name\":\"long\"}}}}\n"
    );
    let entries: Vec<String> = messages
        .enumerate()
        .map(|(at, text)| format!("{{\"entry\":{at},\"at\":1,\"body\":{{\"id\":\"m{at}\",\"content\":\"{text}\"}}}}\n"))
        .collect();
    let (length, entries) = (entries.len(), entries.concat());
    dump.push_str(&record);
    dump.push_str(&format!(
        "{{\"log\":\"history\",\"id\":\"{session}\",\"state\":\"open\",\"length\":{length}}}\n{entries}"
    ));
    let digest = sha256(dump.as_bytes());
    dump.push_str(&format!("{{\"end\":{{\"records\":1,\"logs\":1,\"entries\":{length}}},\"sha256\":\"{digest}\"}}\n"));
    dump
}

/// Returns the full dump of a store with this many sessions of eight incompressible messages of a kilobyte.
pub(crate) fn dump_of_noise(sessions: u64) -> String {
    let mut dump = String::from("{\"format\":\"nofx-full-dump\",\"version\":1}\n");
    let ids: Vec<String> = (0..sessions).map(|number| format!("s{number:06}")).collect();
    for id in &ids {
        dump.push_str(&format!(
            "{{\"record\":\"session\",\"id\":\"{id}\",\"body\":{{\"id\":\"{id}\",\"name\":\"noise\"}}}}\n"
        ));
    }
    let mut state = 1_u64;
    let mut noise = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        char::from(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+-"[(state >> 58) as usize])
    };
    for id in &ids {
        dump.push_str(&format!("{{\"log\":\"history\",\"id\":\"{id}\",\"state\":\"open\",\"length\":8}}\n"));
        for at in 0..8 {
            let text: String = (0..1024).map(|_| noise()).collect();
            dump.push_str(&format!(
                "{{\"entry\":{at},\"at\":1,\"body\":{{\"id\":\"m{at}\",\"content\":\"{text}\"}}}}\n"
            ));
        }
    }
    let (entries, digest) = (sessions * 8, sha256(dump.as_bytes()));
    let end = format!("{{\"records\":{sessions},\"logs\":{sessions},\"entries\":{entries}}}");
    dump.push_str(&format!("{{\"end\":{end},\"sha256\":\"{digest}\"}}\n"));
    dump
}

pub(crate) fn sha256(bytes: &[u8]) -> String {
    use sha2::{Digest, Sha256};
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}
