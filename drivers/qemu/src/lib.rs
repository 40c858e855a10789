//! The `qemu` driver: a task is a virtual machine, its console the task's output.
//!
//! [`machine`] turns a job's `config` into QEMU's command line, and is tested natively. A machine that is to shut down
//! by itself has its monitor on a pair of pipes in the task's directory: to press the power button is one short
//! command.

pub mod machine;

use longshore_sdk::{
    About, Description, Error, Exec, ExecRequest, FingerprintResult, Health, Lifecycle, Session, Signals, StartError,
    Started, StopRequest, Task, TaskRef, TaskStatus, config, env, handle,
    host::{files, processes},
    process,
};
use serde::{Deserialize, Serialize};

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

/// What later operations need.
#[derive(Serialize, Deserialize)]
struct Handle {
    /// Handle of the process.
    process: Vec<u8>,
    /// Where the monitor listens, when the machine is to shut down by itself.
    monitor: Option<String>,
}

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
        let absent = |health| FingerprintResult { health, attributes: Vec::new() };
        match processes::run_command(EMULATOR, &["--version".into()], PATIENCE_MS) {
            Ok(said) => {
                let version = machine::version(&String::from_utf8_lossy(&said.stdout)).map(str::to_owned);
                let version = version.map(|version| ("driver.qemu.version", version));
                let attributes = env::list([("driver.qemu", "1".to_owned())].into_iter().chain(version));
                FingerprintResult { health: Health::Healthy, attributes }
            }
            Err(Error::NotFound(said)) => absent(Health::Undetected(said)),
            Err(error) => absent(Health::Unhealthy(error.text().into())),
        }
    }
}

impl Lifecycle for Qemu {
    fn start(task: Task) -> Result<Started, StartError> {
        let config: machine::Config = config::read(&task)?;
        let image = machine::image(&config, &config::settings()?, &task)?;
        if image.in_allocation {
            files::stat(&config.image_path).map_err(|error| error.context("image_path"))?;
        }
        let monitor = machine::monitor(&config, &task);
        if let Some(pipe) = &monitor {
            let script = "rm -f \"$0.in\" \"$0.out\" && mkfifo \"$0.in\" \"$0.out\"";
            shell(script, pipe, PATIENCE_MS)?;
        }
        let started = process::start(&machine::process(EMULATOR, &config, &image.path, task)?)?;
        let handle = handle::encode(&Handle { process: started.handle.clone(), monitor })?;
        Ok(Started { handle, ..started })
    }

    fn recover(_: Task, handle: Vec<u8>) -> Result<Started, Error> {
        let Handle { process, .. } = handle::decode(&handle)?;
        Ok(Started { handle, ..process::recover(process)? })
    }

    fn stop(_: TaskRef, handle: Vec<u8>, request: StopRequest) -> Result<(), Error> {
        let Handle { process, monitor } = handle::decode(&handle)?;
        let id = process::id(&process)?;
        let pressed = monitor.map(|pipe| shell("echo system_powerdown > \"$0.in\"", &pipe, MONITOR_MS));
        let signal = match pressed {
            Some(Ok(())) => Some(HARMLESS),
            _ => request.signal.as_deref(),
        };
        processes::stop(&id, signal, request.grace_ms)
    }

    fn destroy(_: TaskRef, handle: Option<Vec<u8>>) -> Result<(), Error> {
        let process = handle.map(|handle| handle::decode::<Handle>(&handle)).transpose()?;
        process::destroy(process.map(|handle| handle.process))
    }

    fn inspect(_: TaskRef, handle: Vec<u8>) -> Result<TaskStatus, Error> {
        process::inspect(&handle::decode::<Handle>(&handle)?.process)
    }
}

impl Signals for Qemu {
    fn send(_: TaskRef, handle: Vec<u8>, name: String) -> Result<(), Error> {
        processes::signal(&process::id(&handle::decode::<Handle>(&handle)?.process)?, &name)
    }
}

impl Exec for Qemu {
    /// Beside the machine, as in Nomad: nothing of the driver is inside it.
    fn open(_: TaskRef, handle: Vec<u8>, request: ExecRequest) -> Result<Session, Error> {
        let Handle { process, .. } = handle::decode(&handle)?;
        processes::prepare_exec(&process::id(&process)?, &request).map(Session::Process)
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
