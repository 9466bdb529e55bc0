//! Migrating and verifying a large workspace, compared with parsing the same files.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use nofx_core::Deadline;

use super::report::{Section, Table, bytes, duration};
use super::{bytes_on_disk, scratch};
use crate::Result;

/// Approximate size of the workspace in bytes.
const BYTES: u64 = 170 << 20;

/// Bytes of its largest session.
const LARGE: u64 = 30 << 20;

pub(super) fn run(rounds: usize) -> Result<Section> {
    let folder = scratch()?;
    let files = write(folder.path())?;
    let bytes_of_files: u64 =
        files.iter().map(|file| fs::metadata(file).map(|found| found.len())).sum::<std::io::Result<u64>>()?;
    let title = format!("{} files, {}, the largest {}", files.len(), bytes(bytes_of_files), bytes(LARGE));
    let mut table = Table::new(title, &["took", "memory", "store", "times serde_json", "times Node's JSON.parse"]);
    for round in 0..rounds.max(1) {
        let clock = Deadline::after(Duration::MAX);
        for file in &files {
            parse(file)?;
        }
        let parsed = clock.elapsed();
        let by_node = parse_by_node(&files)?;
        let store = folder.path().join(format!("{round}.redb"));
        let clock = Deadline::after(Duration::MAX);
        let memory = migrate(folder.path(), &store)?;
        let took = clock.elapsed();
        let times = |parsed: Duration| format!("{:.2}", took.as_secs_f64() / parsed.as_secs_f64());
        table.row(
            format!("round {}", round + 1),
            vec![
                duration(took),
                bytes(memory),
                bytes(bytes_on_disk(&store)?),
                times(parsed),
                by_node.map_or("-".to_owned(), times),
            ],
        );
        fs::remove_file(&store)?;
    }
    Ok(Section {
        heading: "Migration",
        words: "A legacy workspace is migrated to redb and verified. What it is compared with is one thread that parses the same files and keeps \
                nothing."
            .to_owned(),
        tables: vec![table.shown()],
        ..Section::default()
    })
}

fn parse(file: &Path) -> Result {
    let bytes = fs::read(file)?;
    for value in serde_json::Deserializer::from_slice(&bytes).into_iter::<serde_json::Value>() {
        std::hint::black_box(value?);
    }
    Ok(())
}

/// Reads the files as the old extension did, in Node; `None` if there is no Node.
fn parse_by_node(files: &[PathBuf]) -> Result<Option<Duration>> {
    const PROGRAM: &str = "
        const fs = require('node:fs');
        const files = fs.readFileSync(0, 'utf8').split('\\n').filter(Boolean);
        const started = performance.now();
        for (const file of files) {
            const text = fs.readFileSync(file, 'utf8');
            file.endsWith('.jsonl') ? text.split('\\n').filter(Boolean).map((line) => JSON.parse(line)) : JSON.parse(text);
        }
        console.log(performance.now() - started);
    ";
    let node = Command::new("node").args(["-e", PROGRAM]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
    let Ok(mut node) = node else { return Ok(None) };
    if let Some(mut input) = node.stdin.take() {
        files.iter().try_for_each(|file| writeln!(input, "{}", file.display()))?;
    }
    let told = node.wait_with_output()?;
    let millis: f64 = String::from_utf8_lossy(&told.stdout).trim().parse()?;
    Ok(Some(Duration::from_secs_f64(millis / 1000.0)))
}

/// Migrates in a separate process and returns its peak memory, if the system reports it.
fn migrate(from: &Path, to: &Path) -> Result<u64> {
    let to = format!("redb:{}", to.display());
    let mut child = Command::new(std::env::current_exe()?)
        .args(["migrate", "--from"])
        .arg(from.join(".nofx"))
        .args(["--to", &to])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()?;
    let status = PathBuf::from(format!("/proc/{}/status", child.id()));
    let mut most = 0;
    loop {
        let told = fs::read_to_string(&status).unwrap_or_default();
        let line = told.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap_or_default();
        most = most.max(line.trim().trim_end_matches(" kB").parse::<u64>().unwrap_or_default() << 10);
        if let Some(ended) = child.try_wait()? {
            return if ended.success() { Ok(most) } else { Err(format!("the migration ended with {ended}").into()) };
        }
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// Writes sessions of several sizes and a log of messages between agents.
fn write(folder: &Path) -> Result<Vec<PathBuf>> {
    let root = folder.join(".nofx");
    fs::create_dir_all(root.join("sessions"))?;
    fs::create_dir_all(root.join("orchestration"))?;
    let (mut files, mut written) = (Vec::new(), 0);
    while written < BYTES {
        let number = files.len() as u64;
        let size = if number == 0 { LARGE } else { 100_000 + number * 7919 % 400_000 };
        let path = root.join(format!("sessions/session-agent-{}-{}.json", number % 7, 1_757_341_200_000 + number));
        written += write_session(&path, number, size)?;
        files.push(path);
    }
    let path = root.join("orchestration/messages.jsonl");
    let mut log = std::io::BufWriter::new(fs::File::create(&path)?);
    for number in 0..20_000 {
        let text = words(number, 200);
        writeln!(
            log,
            r#"{{"id":"msg_{number:08x}","timestamp":"2025-09-08T10:00:00.000Z","from":"conductor","to":"agent-1","type":"status","payload":{{"text":"{text}"}}}}"#
        )?;
    }
    log.flush()?;
    files.push(path);
    Ok(files)
}

fn write_session(path: &Path, number: u64, size: u64) -> Result<u64> {
    let mut file = std::io::BufWriter::new(fs::File::create(path)?);
    let id = path.file_stem().unwrap_or_default().to_string_lossy();
    write!(
        file,
        "{{\n  \"id\": \"{id}\",\n  \"name\": \"Ada\",\n  \"agentId\": \"agent-{}\",\n  \"agentName\": \"Ada\",\n  \"agentType\": \"backend\",\n  \
         \"createdAt\": \"2025-09-08T10:00:00.000Z\",\n  \"lastActiveAt\": \"2025-09-08T12:00:00.000Z\",\n  \"status\": \"active\",\n  \
         \"conversationHistory\": [",
        number % 7
    )?;
    let (mut written, mut message) = (0, 0);
    while written < size {
        let separator = if message == 0 { "" } else { "," };
        let text = words(number * 1_000_003 + message, 200 + message * 7 % 900);
        let json = format!(
            "{separator}\n    {{\n      \"id\": \"msg-{number}-{message}\",\n      \"timestamp\": \"2025-09-08T10:{:02}:{:02}.000Z\",\n      \
             \"type\": \"{}\",\n      \"content\": \"{text}\",\n      \"metadata\": {{\n        \"taskId\": \"task-{}\"\n      }}\n    }}",
            message / 60 % 60,
            message % 60,
            if message % 2 == 0 { "user" } else { "assistant" },
            message / 20
        );
        written += json.len() as u64;
        file.write_all(json.as_bytes())?;
        message += 1;
    }
    write!(
        file,
        "\n  ],\n  \"completedTasks\": [],\n  \"capabilities\": [],\n  \"systemPrompt\": \"\",\n  \"tasksCompleted\": 0\n}}"
    )?;
    file.flush()?;
    Ok(written)
}

/// Returns about this many bytes of words as they would be in a JSON string; different for each seed.
fn words(seed: u64, bytes: u64) -> String {
    const WORDS: &[&str] =
        &["session", "the", "test\\n", "passes", "ä", "\\\"store\\\"", "reads", "a", "line", "of", "code();"];
    let (mut text, mut state) = (String::new(), seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1));
    while (text.len() as u64) < bytes {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        text.push_str(WORDS[(state >> 33) as usize % WORDS.len()]);
        text.push(' ');
    }
    text
}
