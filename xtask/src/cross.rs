//! `cargo xtask cross`: the conformance suites on a processor and a C library that this machine does not have.

use std::process::{Command, ExitCode, Stdio};

use crate::Result;
use crate::step::{StepOutcome, Steps, execute};
use crate::target::lacks_std;
use crate::workspace::cargo;

/// Build the conformance suites of redb and files for arm64 and for musl, and run them here.
///
/// Needs rustup, and Debian's packages `gcc-aarch64-linux-gnu`, `libc6-dev-arm64-cross`, `qemu-user` and `musl-tools`; reports what is
/// missing. A suite starts itself again as other processes, so the kernel must know the programs of another processor. They are registered
/// in a separate namespace, which needs Linux 6.7 and changes nothing for other programs.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Only this target.
    #[arg(long = "target", value_name = "TRIPLE")]
    only: Option<String>,
    /// Run only tests whose name contains this.
    filter: Option<String>,
}

/// A build target.
struct Target {
    triple: &'static str,
    /// For C, and for linking if `links`.
    compiler: &'static str,
    /// Rust brings its own musl, and links it with any linker. With the one of Debian's musl, programs would end at their start.
    links: bool,
    emulator: Option<Emulator>,
    /// The Debian packages that it needs.
    packages: &'static str,
}

/// The emulator for programs of another processor.
struct Emulator {
    program: &'static str,
    /// Where the C library is.
    libraries: &'static str,
    /// How the kernel recognises such a program: its first bytes, and which of their bits matter.
    magic: &'static str,
    mask: &'static str,
}

const ALL: [Target; 2] = [
    Target {
        triple: "aarch64-unknown-linux-gnu",
        compiler: "aarch64-linux-gnu-gcc",
        links: true,
        emulator: Some(Emulator {
            program: "/usr/bin/qemu-aarch64",
            libraries: "/usr/aarch64-linux-gnu",
            // A 64-bit little-endian ELF file for any system, executable or position-independent, for processor 183.
            magic: r"\x7fELF\x02\x01\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x02\x00\xb7\x00",
            mask: r"\xff\xff\xff\xff\xff\xff\xff\x00\xff\xff\xff\xff\xff\xff\xff\xff\xfe\xff\xff\xff",
        }),
        packages: "gcc-aarch64-linux-gnu libc6-dev-arm64-cross qemu-user",
    },
    Target {
        triple: "x86_64-unknown-linux-musl",
        compiler: "musl-gcc",
        links: false,
        emulator: None,
        packages: "musl-tools",
    },
];

/// Starts what follows in a namespace where an emulator runs programs of another processor.
const ENTER: &str = "mount -t binfmt_misc binfmt_misc /proc/sys/fs/binfmt_misc && \
                     echo \"$KNOWN_BY\" > /proc/sys/fs/binfmt_misc/register && exec \"$@\"";

pub(crate) fn run(args: &Args) -> Result<ExitCode> {
    let mut steps = Steps::default();
    for target in ALL.iter().filter(|target| args.only.as_ref().is_none_or(|only| target.triple == only)) {
        steps.run(target.triple, || target.step(args.filter.as_deref()));
    }
    Ok(steps.finish())
}

impl Target {
    fn step(&self, filter: Option<&str>) -> Result<StepOutcome> {
        if let Some(lack) = lacks_std(self.triple)? {
            return Ok(StepOutcome::NotRun(lack));
        }
        let needed = [Some(self.compiler), self.emulator.as_ref().map(|emulator| emulator.program)];
        if let Some(missing) = needed.into_iter().flatten().find(|program| !runs(program)) {
            let packages = self.packages;
            return Ok(StepOutcome::NotRun(format!(
                "`{missing}` is not there; Debian has it: apt-get install {packages}"
            )));
        }
        let mut suites = cargo();
        suites.args(["test", "--package", "nofx-redb", "--package", "nofx-fs", "--all-features", "--locked"]);
        suites.args(["--test", "conformance", "--no-fail-fast", "--target", self.triple]).env("CARGO_INCREMENTAL", "0");
        let variable = self.triple.replace('-', "_");
        suites.env(format!("CC_{variable}"), self.compiler);
        if self.links {
            suites.env(format!("CARGO_TARGET_{}_LINKER", variable.to_uppercase()), self.compiler);
        }
        suites.arg("--").args(filter).env("NOFX_CONFORMANCE_PATIENCE", "10");
        match &self.emulator {
            Some(emulator) => execute(&mut emulator.known_to(&suites)),
            None => execute(&mut suites),
        }
    }
}

impl Emulator {
    /// Returns the command, in a namespace whose kernel runs the other processor's programs.
    fn known_to(&self, command: &Command) -> Command {
        let mut within = Command::new("unshare");
        within.args(["--user", "--map-root-user", "--mount", "sh", "-c", ENTER, "sh"]);
        within.arg(command.get_program()).args(command.get_args());
        within.envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
        if let Some(folder) = command.get_current_dir() {
            within.current_dir(folder);
        }
        // `F` opens the emulator now, whatever the programs see of the file system later.
        within.env("KNOWN_BY", format!(":nofx:M::{}:{}:{}:F", self.magic, self.mask, self.program));
        within.env("QEMU_LD_PREFIX", self.libraries);
        within
    }
}

fn runs(program: &str) -> bool {
    let mut probe = Command::new(program);
    probe.arg("--version").stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok()
}
