//! The `qemu` driver: a task is a virtual machine, its console the task's output.
//!
//! [`machine`] turns a job's `config` into QEMU's command line, and is tested natively. A machine that is to shut down
//! by itself has its monitor on a pair of pipes in the task's directory: to press the power button is one short
//! command.

pub mod machine;

use longshore_sdk::{
    About, Description, Error, FingerprintResult, StartError, StopRequest, Task, config, env,
    host::{
        files,
        processes::{self, ProcessSpec},
    },
    process::{self, TendsProcess},
};

/// QEMU for machines like this one, as Nomad has it.
const EMULATOR: &str = "qemu-system-x86_64";
/// How long a short command may take, milliseconds.
const PATIENCE_MS: u32 = 10_000;
/// How long the monitor may take to read one line, milliseconds; a dead machine's never does.
const MONITOR_MS: u32 = 2_000;
/// A signal that means nothing to QEMU: any other would end it before its guest has shut down.
const HARMLESS: &str = "SIGCONT";

/// The driver.
pub struct Qemu;

longshore_sdk::export!(Qemu with signals, exec);

impl About for Qemu {
    fn describe() -> Description {
        Description {
            name: "qemu".into(),
            version: env!("CARGO_PKG_VERSION").into(),
            summary: "Virtual machines in QEMU".into(),
            filesystem: "image".into(),
            network_modes: ["host", "bridge", "none", "cni"].map(String::from).into(),
            attributes: Vec::new(),
        }
    }

    fn config_schema() -> String {
        include_str!("config.schema.json").into()
    }

    fn settings_schema() -> String {
        include_str!("settings.schema.json").into()
    }

    fn fingerprint() -> FingerprintResult {
        FingerprintResult::of_program(EMULATOR, "--version", PATIENCE_MS, |said, _| {
            let version = machine::version(said).map(|version| ("driver.qemu.version", version));
            env::list([("driver.qemu", "1")].into_iter().chain(version))
        })
    }
}

/// A command given to `exec` runs beside the machine, as in Nomad: nothing of the driver is inside it.
impl TendsProcess for Qemu {
    /// Where the monitor listens, when the machine is to shut down by itself.
    type Note = Option<String>;

    fn prepare(task: Task) -> Result<(ProcessSpec, Option<String>), StartError> {
        let config: machine::Config = config::read(&task)?;
        let image = machine::image(&config, &config::settings()?, &task)?;
        if !config.image_path.starts_with('/') {
            files::stat(&config.image_path).map_err(|error| error.context("image_path"))?;
        }
        let monitor = machine::monitor(&config, &task);
        if let Some(pipe) = &monitor {
            shell("rm -f \"$0.in\" \"$0.out\" && mkfifo \"$0.in\" \"$0.out\"", pipe, PATIENCE_MS)?;
        }
        let arguments = machine::arguments(&config, &image, &task)?;
        // Its memory is the guest's: no limit of the host's besides, since QEMU needs some too.
        Ok((process::plain(task, EMULATOR, arguments), monitor))
    }

    fn end(monitor: Option<String>, id: &str, request: &StopRequest) -> Result<(), Error> {
        let pressed = monitor.is_some_and(|pipe| shell("echo system_powerdown > \"$0.in\"", &pipe, MONITOR_MS).is_ok());
        let signal = if pressed { Some(HARMLESS) } else { request.signal.as_deref() };
        processes::stop(id, signal, request.grace_ms)
    }
}

/// Runs a line of shell about a path, which it finds in `$0`.
fn shell(script: &str, path: &str, timeout_ms: u32) -> Result<(), Error> {
    let ran = processes::run_command("sh", &["-c".into(), script.into(), path.into()], timeout_ms)?;
    match ran.exit.exit_code {
        0 => Ok(()),
        _ => Err(Error::other(String::from_utf8_lossy(&ran.stderr).trim())),
    }
}
