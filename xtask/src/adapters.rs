//! `cargo xtask adapters`: runs published third-party suites against the adapters of nofx-node, and counts the results.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};

use crate::Result;
use crate::node::{Build, build_package, fetched, installed, npm, package};
use crate::step::{StepOutcome, Steps, execute, in_turn};
use crate::workspace::root;

/// What is fetched from npm. Other versions have other suites, with other counts.
const NPM: &[&str] = &[
    "@anthropic-ai/claude-agent-sdk@0.3.332",
    "@langchain/core@1.4.0",
    "@langchain/langgraph-checkpoint@1.2.2",
    "@langchain/langgraph-checkpoint-validation@1.1.1",
];

/// What is fetched from PyPI.
const PYPI: &[&str] = &[
    "claude-agent-sdk==0.2.189",
    "openai-agents==0.24.0",
    "inline-snapshot==0.36.1",
    "pytest==9.2.0",
    "pytest-asyncio==1.5.0",
];

/// The package whose tests are only in its source distribution.
const SOURCE: &str = "openai-agents==0.24.0";

/// Tests of LangGraph's validation that must pass: 726 on each of memory, redb and fs.
const LANGGRAPH: u64 = 3 * 726;

/// What the Claude Agent SDK's contracts must print.
const CLAUDE: [&str; 3] = [
    "claude on memory: 14 of 14 contracts passed",
    "claude on redb: 14 of 14 contracts passed",
    "claude on fs: 14 of 14 contracts passed",
];

/// How the OpenAI Agents SDK's session tests must end; the others are about SQLite.
const OPENAI: &str = "54 passed, 17 deselected";

/// Run published suites against the adapters of nofx-node, and fail unless the expected number of tests pass.
///
/// The suites are fetched from npm and PyPI into `target/adapters`: LangGraph's validation of checkpointers, the Claude Agent SDK's
/// contracts for session stores, and the OpenAI Agents SDK's tests of sessions; the latter two run in a child process. Needs Node 20, npm
/// and Python, and reports if they are missing or a registry cannot be reached.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {}

pub(crate) fn run(_: &Args) -> Result<ExitCode> {
    let mut steps = Steps::default();
    steps.run("adapters", || match installed() {
        Ok(()) => in_turn([&|| build_package(Build::Development), &step]),
        Err(reason) => Ok(StepOutcome::NotRun(reason)),
    });
    Ok(steps.finish())
}

/// Runs the suites; the package must be built.
pub(crate) fn step() -> Result<StepOutcome> {
    if let Err(reason) = installed() {
        return Ok(StepOutcome::NotRun(reason));
    }
    in_turn([&fetch, &langgraph, &claude, &|| openai("redb"), &|| openai("fs")])
}

fn folder() -> PathBuf {
    root().join("target/adapters")
}

/// Installs the suites, and copies the scripts that run them beside them.
fn fetch() -> Result<StepOutcome> {
    let folder = folder();
    fs::create_dir_all(&folder)?;
    fs::write(folder.join("package.json"), r#"{"private":true,"type":"module"}"#)?;
    for file in fs::read_dir(package().join("suites"))? {
        let file = file?;
        fs::copy(file.path(), folder.join(file.file_name()))?;
    }
    in_turn([&|| fetched(npm(&folder).args(["install", "--no-save"]).args(NPM)), &|| fetch_python(&folder)])
}

fn fetch_python(folder: &Path) -> Result<StepOutcome> {
    let pip = |arguments: &[&str]| {
        let mut pip = python();
        pip.args([
            "-m",
            "pip",
            arguments[0],
            "--quiet",
            "--disable-pip-version-check",
            "--retries",
            "1",
            "--timeout",
            "30",
        ]);
        pip.args(&arguments[1..]).current_dir(folder);
        fetched(&mut pip)
    };
    let mut environment = Command::new("python3");
    environment.args(["-m", "venv"]).arg(folder.join("venv"));
    let made = environment.stdout(Stdio::null()).status().is_ok_and(|status| status.success());
    if !made {
        return Ok(StepOutcome::NotRun("Python is not installed, or cannot make an environment".into()));
    }
    in_turn([
        &|| pip(&[&["install"], PYPI].concat()),
        &|| pip(&["download", "--no-deps", "--no-binary", ":all:", SOURCE]),
        &|| execute(Command::new("tar").arg("xzf").arg(format!("{}.tar.gz", source())).current_dir(folder)),
    ])
}

/// Returns the name of the folder that the source of the OpenAI Agents SDK unpacks to.
fn source() -> String {
    SOURCE.replace('-', "_").replace("==", "-")
}

fn langgraph() -> Result<StepOutcome> {
    let mut vitest = Command::new("node");
    vitest.args([
        "node_modules/vitest/vitest.mjs",
        "run",
        "--globals",
        "--reporter=json",
        "--outputFile=langgraph.json",
    ]);
    let ended = execute(vitest.arg("langgraph.spec.mjs").current_dir(folder()).env("NOFX_NODE", package()))?;
    if !matches!(ended, StepOutcome::Passed) {
        return Ok(ended);
    }
    let told: serde_json::Value = serde_json::from_str(&fs::read_to_string(folder().join("langgraph.json"))?)?;
    let passed = told["numPassedTests"].as_u64().unwrap_or_default();
    println!("LangGraph's validation: {passed} passed on three backends, {LANGGRAPH} are expected");
    Ok(match passed {
        LANGGRAPH => StepOutcome::Passed,
        _ => StepOutcome::Failed(format!("LangGraph's validation passed {passed} tests, not {LANGGRAPH}")),
    })
}

fn claude() -> Result<StepOutcome> {
    let mut contracts = python();
    contracts.arg("claude.py").env("NOFX_NODE", package());
    expect(contracts, &CLAUDE)
}

fn openai(scheme: &str) -> Result<StepOutcome> {
    let mut tests = python();
    tests.args(["-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "openai_plugin"]);
    tests.args(["tests/memory/test_session.py", "tests/memory/test_session_limit.py"]);
    tests.env("NOFX_NODE", package()).env("NOFX_SCHEME", scheme).env("PYTHONPATH", folder());
    tests.current_dir(folder().join(source()));
    expect(tests, &[OPENAI])
}

/// Returns Python with the fetched packages, running in the folder.
fn python() -> Command {
    let place = if cfg!(windows) { "venv/Scripts/python.exe" } else { "venv/bin/python" };
    let mut python = Command::new(folder().join(place));
    python.current_dir(folder());
    python
}

/// Runs a program that must succeed and print these lines.
fn expect(mut command: Command, expected: &[&str]) -> Result<StepOutcome> {
    let output = command.stderr(Stdio::inherit()).output()?;
    let printed = String::from_utf8_lossy(&output.stdout).into_owned();
    println!("{printed}");
    if !output.status.success() {
        return Ok(StepOutcome::Failed(format!("it ended with {}", output.status)));
    }
    Ok(match expected.iter().find(|line| !printed.contains(**line)) {
        Some(line) => StepOutcome::Failed(format!("it did not print `{line}`")),
        None => StepOutcome::Passed,
    })
}
