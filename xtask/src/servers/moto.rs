//! moto: S3 in Python, written independently of our code.

use std::path::Path;
use std::process::Command;

use super::{Recipe, TIMEOUTS, in_environment, install_once, works};
use crate::Result;

const PACKAGE: &str = "moto[server]==5.2.5";

pub(super) const RECIPE: Recipe =
    Recipe { name: "moto", variable: "NOFX_TEST_S3", install, serve, make_bucket, variables };

fn install(folder: &Path) -> Result {
    let python = ["python3", "python"].into_iter().find(|python| works(python)).ok_or("Python is not installed")?;
    let mut environment = Command::new(python);
    environment.args(["-m", "venv"]).arg(folder.join("venv"));
    let mut pip = Command::new(in_environment(folder, "python"));
    pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--retries", "1", "--timeout", "30"]);
    pip.arg(PACKAGE);
    install_once(folder, PACKAGE, [environment, pip])
}

fn serve(folder: &Path, port: u16) -> Command {
    let mut serve = Command::new(in_environment(folder, "moto_server"));
    serve.args(["-H", "127.0.0.1", "-p"]).arg(port.to_string());
    serve
}

fn make_bucket(folder: &Path, port: u16) -> Command {
    let mut python = Command::new(in_environment(folder, "python"));
    let put = format!(
        "from urllib.request import *; urlopen(Request('http://127.0.0.1:{port}/nofx', method='PUT'), timeout=30)"
    );
    python.args(["-c", &put]);
    python
}

fn variables(port: u16) -> Vec<(&'static str, String)> {
    let bucket = format!("s3://nofx?endpoint=http://127.0.0.1:{port}&region=us-east-1&{TIMEOUTS}");
    // It takes any credentials, but not none.
    vec![
        (RECIPE.variable, bucket),
        ("AWS_ACCESS_KEY_ID", "test".to_owned()),
        ("AWS_SECRET_ACCESS_KEY", "test-secret".to_owned()),
    ]
}
