//! A Debian in a folder, with a cross compiler, wine, and a rustc that has the sources of std.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use super::{LIBNODE, TARGET};
use crate::Result;
use crate::step::{StepOutcome, execute};
use crate::workspace::root;

/// The release; older ones have no rustc of the version that the workspace needs.
const RELEASE: &str = "sid";

/// The packages to install in it.
const PACKAGES: &str = "rustc cargo rust-src gcc libc6-dev pkgconf git cmake nasm gcc-mingw-w64-x86-64-win32 g++-mingw-w64-x86-64-win32 \
                        wine wine64";

/// The paths of the workspace, the build output and cargo's home inside.
const INSIDE: [&str; 3] = ["/src", "/built", "/cargo"];

/// The drive of the sources has the temporary files too: a rename to another drive would be a copy.
const TEMPORARY: &str = "/built/tmp";

/// The Debian.
#[derive(Debug)]
pub(super) struct Debian {
    root: PathBuf,
    built: PathBuf,
}

impl Debian {
    /// Returns the Debian below a folder, creating it if it does not exist; an error says what is missing for that.
    pub(super) fn at(folder: &Path) -> Result<Self> {
        let debian = Self { root: folder.join("root"), built: folder.join("built") };
        fs::create_dir_all(debian.built.join("tmp"))?;
        let is_root = Command::new("id").arg("-u").output().is_ok_and(|output| output.stdout == b"0\n");
        if !is_root {
            return Err("a Debian in a folder is made and entered by root only".into());
        }
        let ready = debian.root.join("ready");
        if !ready.exists() {
            debian.make()?;
            fs::write(ready, "")?;
        }
        Ok(debian)
    }

    /// Removes it and what was built in it.
    pub(super) fn remove(folder: &Path) -> Result {
        match fs::remove_dir_all(folder) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error.into()),
            _ => Ok(()),
        }
    }

    fn make(&self) -> Result {
        let mirror = mirror()?;
        if Command::new("debootstrap").arg("--version").output().is_err() {
            must(Command::new("apt-get").args(["install", "--yes", "debootstrap"]))?;
        }
        must(
            Command::new("debootstrap")
                .args(["--variant=minbase", "--include=ca-certificates", RELEASE])
                .arg(&self.root)
                .arg(mirror),
        )?;
        for file in ["etc/resolv.conf", "etc/hosts", "etc/ssl/certs/ca-certificates.crt"] {
            fs::copy(Path::new("/").join(file), self.root.join(file))?;
        }
        self.run(&format!(
            "apt-get -o Acquire::Check-Valid-Until=false update && DEBIAN_FRONTEND=noninteractive apt-get install --yes --no-install-recommends {PACKAGES}"
        ))?;
        Ok(())
    }

    /// Runs cargo for Windows on the workspace.
    pub(super) fn cargo(&self, command: &str, arguments: &[&str]) -> Result {
        self.run(&cargo(command, arguments)).map(drop)
    }

    /// As [`Self::cargo`], and returns what it printed, whether it succeeded or not.
    pub(super) fn try_cargo(&self, command: &str, arguments: &[&str]) -> Result<String> {
        let output = self.output(&cargo(command, arguments))?;
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    /// Builds the addon.
    pub(super) fn build_addon(&self, package: &str) -> Result {
        self.run(&format!(
            "mkdir -p ${LIBNODE} && x86_64-w64-mingw32-gcc -shared -o ${LIBNODE}/libnode.dll -x c /dev/null"
        ))?;
        self.cargo("build", &["--package", package])
    }

    /// Sets up wine, once.
    pub(super) fn prepare_wine(&self) -> Result<StepOutcome> {
        if self.root.join("wine/ready").exists() {
            return Ok(StepOutcome::Passed);
        }
        let temporary = format!("Z:{}", TEMPORARY.replace('/', "\\\\"));
        let variable = |name: &str| format!("wine reg add 'HKCU\\Environment' /v {name} /d '{temporary}' /f");
        self.wine(&format!(
            "wineboot -i && {} && {} && wineserver -w && touch /wine/ready",
            variable("TMP"),
            variable("TEMP")
        ))?;
        Ok(StepOutcome::Passed)
    }

    /// Runs a script that uses wine, and returns what it printed.
    pub(super) fn wine(&self, script: &str) -> Result<String> {
        let wine = "export WINEPREFIX=/wine WINEDEBUG=-all WINEDLLOVERRIDES='mscoree=;mshtml='";
        self.run(&format!("{wine}; {script}"))
    }

    /// Runs a script inside and returns what it printed; an error if it fails.
    fn run(&self, script: &str) -> Result<String> {
        let output = self.output(script)?;
        let printed = String::from_utf8_lossy(&output.stdout).into_owned();
        match output.status.success() {
            true => Ok(printed),
            false => {
                print!("{printed}");
                Err(format!("`{script}` ended with {}", output.status).into())
            }
        }
    }

    /// Runs a script inside. Its mounts and processes are private to it and end with it.
    fn output(&self, script: &str) -> Result<Output> {
        let cargo_home = std::env::var_os("CARGO_HOME").map(PathBuf::from);
        let cargo_home = cargo_home.or_else(|| Some(Path::new(&std::env::var_os("HOME")?).join(".cargo")));
        let outside = [root().to_path_buf(), self.built.clone(), cargo_home.ok_or("no home of cargo")?];
        let mut mounts = format!("mount -t proc proc '{0}/proc' && mount --rbind /dev '{0}/dev'", self.root.display());
        for (outside, inside) in outside.iter().zip(INSIDE) {
            let inside = format!("{}{inside}", self.root.display());
            fs::create_dir_all(&inside)?;
            mounts.push_str(&format!(" && mount --bind '{}' '{inside}'", outside.display()));
        }
        // In memory: the disk is not what is tested.
        mounts.push_str(&format!(" && mount -t tmpfs tmpfs '{}{TEMPORARY}'", self.root.display()));
        let enter = format!("{mounts} && exec chroot '{}' /bin/bash -c \"$SCRIPT\"", self.root.display());
        let mut command = Command::new("unshare");
        command.args([
            "--mount",
            "--propagation",
            "private",
            "--pid",
            "--fork",
            "--kill-child",
            "/bin/sh",
            "-c",
            &enter,
        ]);
        command.env_clear().envs(variables()).env("SCRIPT", script);
        Ok(command.stderr(Stdio::inherit()).output()?)
    }
}

/// Returns the line that runs cargo for Windows on the workspace.
fn cargo(command: &str, arguments: &[&str]) -> String {
    let (sources, arguments) = (INSIDE[0], arguments.join(" "));
    format!("cd {sources} && cargo {command} --locked --target {TARGET} -Z build-std=std,panic_unwind,test {arguments}")
}

/// The environment of a build for Windows.
fn variables() -> Vec<(String, String)> {
    let lower = TARGET.replace('-', "_");
    let certificates = "/etc/ssl/certs/ca-certificates.crt";
    let fixed = [
        // Debian keeps wineserver with the libraries of wine.
        ("PATH", "/usr/sbin:/usr/bin:/sbin:/bin:/usr/lib/x86_64-linux-gnu/wine:/usr/lib/wine"),
        ("XDG_RUNTIME_DIR", "/tmp"),
        ("HOME", "/root"),
        // Otherwise wine creates no file whose name is not ASCII.
        ("LC_ALL", "C.UTF-8"),
        ("CARGO_HOME", INSIDE[2]),
        ("CARGO_TARGET_DIR", "/built/target"),
        ("CARGO_INCREMENTAL", "0"),
        ("CARGO_PROFILE_DEV_DEBUG", "0"),
        // `-Z build-std` otherwise needs a nightly compiler.
        ("RUSTC_BOOTSTRAP", "1"),
        // A call to the file system takes wine many times as long.
        ("NOFX_CONFORMANCE_PATIENCE", "10"),
        (LIBNODE, "/built/libnode"),
        ("SSL_CERT_FILE", certificates),
        ("CARGO_HTTP_CAINFO", certificates),
    ];
    let mut variables: Vec<_> = fixed.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
    for (name, tool) in [("CC", "gcc"), ("CXX", "g++"), ("AR", "ar")] {
        variables.push((format!("{name}_{lower}"), format!("x86_64-w64-mingw32-{tool}")));
    }
    variables.push((format!("CARGO_TARGET_{}_LINKER", lower.to_uppercase()), "x86_64-w64-mingw32-gcc".to_owned()));
    variables
}

/// Returns the package source of this machine.
fn mirror() -> Result<String> {
    let mut files = vec![PathBuf::from("/etc/apt/sources.list")];
    files.extend(fs::read_dir("/etc/apt/sources.list.d").into_iter().flatten().flatten().map(|entry| entry.path()));
    let text: String = files.iter().filter_map(|file| fs::read_to_string(file).ok()).collect::<Vec<_>>().join("\n");
    let words = text.lines().filter(|line| !line.trim_start().starts_with('#')).flat_map(str::split_whitespace);
    let mut mirrors = words.filter(|word| word.starts_with("http") && word.trim_end_matches('/').ends_with("/debian"));
    mirrors.next().map(str::to_owned).ok_or_else(|| "this machine has no source of Debian packages".into())
}

fn must(command: &mut Command) -> Result {
    match execute(command)? {
        StepOutcome::Passed | StepOutcome::PassedWith(_) => Ok(()),
        StepOutcome::Failed(reason) | StepOutcome::NotRun(reason) => Err(reason.into()),
    }
}
