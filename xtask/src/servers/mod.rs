//! Object storage servers for the tests, besides the in-process one: moto for S3, azurite for Azure.
//!
//! Both are installed once, into `target/servers`, listen only on 127.0.0.1, keep everything in memory and end with the run. A machine
//! that cannot have one still passes: its cases are then ignored, with the reason, and the summary says so.

mod azurite;
mod moto;

use std::fs;
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use crate::Result;
use crate::step::{StepOutcome, Steps, execute};
use crate::workspace::root;

/// How long a server may take to listen.
const START: Duration = Duration::from_secs(60);

/// Multiplies the time limits of the conformance suite.
const PATIENCE: &str = "NOFX_CONFORMANCE_PATIENCE";

/// Part of the query of each bucket: what takes long here is the machine, which runs compilers, tests and servers on few cores, and
/// no case is about a server that does not answer.
const TIMEOUTS: &str = "request_timeout=120&commit_timeout=300";

/// How a server is installed and started.
struct Recipe {
    name: &'static str,
    /// The variable that names the bucket for the tests.
    variable: &'static str,
    /// Installs it into a folder; an error says why that is not possible.
    install: fn(&Path) -> Result,
    /// Returns the command that runs it on a port.
    serve: fn(&Path, u16) -> Command,
    /// Returns the command that creates a bucket in it.
    make_bucket: fn(&Path, u16) -> Command,
    /// Returns the variables that point the tests to the bucket.
    variables: fn(u16) -> Vec<(&'static str, String)>,
}

/// Servers that run until this is dropped.
#[derive(Debug, Default)]
pub(crate) struct Servers {
    running: Vec<Running>,
    variables: Vec<(String, String)>,
}

/// A process that we started.
#[derive(Debug)]
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended on its own.
        _ = self.0.kill();
        _ = self.0.wait();
    }
}

impl Servers {
    /// Installs and starts every server, each as a separate step.
    pub(crate) fn start(steps: &mut Steps) -> Self {
        let mut servers = Self::default();
        for recipe in [moto::RECIPE, azurite::RECIPE] {
            steps.run(recipe.name, || {
                Ok(match recipe.start() {
                    Ok((running, port)) => {
                        servers.running.push(running);
                        let variables = (recipe.variables)(port).into_iter();
                        servers.variables.extend(variables.map(|(name, value)| (name.to_owned(), value)));
                        StepOutcome::PassedWith(format!("listens on 127.0.0.1:{port} for the tests"))
                    }
                    Err(reason) => {
                        let reason = reason.to_string();
                        servers.variables.push((format!("{}_LACKS", recipe.variable), reason.clone()));
                        StepOutcome::NotRun(format!("{reason}; its cases are ignored"))
                    }
                })
            });
        }
        if !servers.running.is_empty() && std::env::var_os(PATIENCE).is_none() {
            // They share the machine's cores with the tests, and are slow if there are few.
            servers.variables.push((PATIENCE.to_owned(), "10".to_owned()));
        }
        servers
    }

    /// Returns the variables that tell the tests which servers run, and why others do not.
    pub(crate) fn variables(&self) -> &[(String, String)] {
        &self.variables
    }
}

impl Recipe {
    fn start(&self) -> Result<(Running, u16)> {
        let folder = root().join("target/servers").join(self.name);
        fs::create_dir_all(&folder)?;
        (self.install)(&folder)?;
        // It was free a moment ago; that another program takes it in between is very unlikely.
        let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port();
        let log = folder.join("log");
        let output = fs::File::create(&log)?;
        let mut serve = (self.serve)(&folder, port);
        serve.stdin(Stdio::null()).stdout(output.try_clone()?).stderr(output);
        let mut running = Running(serve.spawn().map_err(|error| format!("{} cannot be started: {error}", self.name))?);
        running.wait_for(port).map_err(|error| format!("{} {error}; see {}", self.name, log.display()))?;
        let made = execute(&mut (self.make_bucket)(&folder, port))?;
        match made {
            StepOutcome::Passed => Ok((running, port)),
            _ => Err(format!("{} runs, but no bucket could be made in it", self.name).into()),
        }
    }
}

impl Running {
    /// Waits until the process listens.
    fn wait_for(&mut self, port: u16) -> Result {
        let step = Duration::from_millis(100);
        for _ in 0..START.as_millis() / step.as_millis() {
            if let Some(status) = self.0.try_wait()? {
                return Err(format!("ended with {status}").into());
            }
            if TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_ok() {
                return Ok(());
            }
            std::thread::sleep(step);
        }
        Err(format!("did not listen within {} s", START.as_secs()).into())
    }
}

/// Runs the commands that install something, unless an earlier run did; `wanted` names it and its version.
fn install_once(folder: &Path, wanted: &str, commands: impl IntoIterator<Item = Command>) -> Result {
    let mark = folder.join("installed");
    if fs::read_to_string(&mark).is_ok_and(|installed| installed == wanted) {
        println!("{wanted} was installed by an earlier run");
        return Ok(());
    }
    for mut command in commands {
        match execute(&mut command) {
            Ok(StepOutcome::Passed) => {}
            _ => return Err(format!("{wanted} could not be installed").into()),
        }
    }
    Ok(fs::write(mark, wanted)?)
}

/// Returns whether a program can be run.
fn works(program: &str) -> bool {
    let mut probe = Command::new(program);
    probe.arg("--version").stdout(Stdio::null()).stderr(Stdio::null());
    probe.status().is_ok_and(|status| status.success())
}

/// Returns a program of a Python environment.
fn in_environment(folder: &Path, program: &str) -> PathBuf {
    match cfg!(windows) {
        true => folder.join("venv/Scripts").join(program).with_extension("exe"),
        false => folder.join("venv/bin").join(program),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn recipe(serve: fn(&Path, u16) -> Command) -> Recipe {
        Recipe {
            name: "test",
            variable: "TEST",
            install: |_| Ok(()),
            serve,
            make_bucket: |_, _| Command::new("true"),
            variables: |_| Vec::new(),
        }
    }

    #[test]
    fn what_cannot_be_installed_or_started_is_a_reason_and_no_failure() {
        let absent = recipe(|_, _| Command::new("there-is-no-such-program"));
        assert!(absent.start().unwrap_err().to_string().starts_with("test cannot be started"));
        let failing = Recipe { install: |_| Err("no network".into()), ..recipe(|_, _| Command::new("true")) };
        assert_eq!(failing.start().unwrap_err().to_string(), "no network");
        let ends_at_once = recipe(|_, _| {
            let mut cargo = crate::workspace::cargo();
            cargo.arg("--version");
            cargo
        });
        assert!(ends_at_once.start().unwrap_err().to_string().starts_with("test ended with"));
    }
}
