//! The `java` driver: a task is a Java virtual machine that runs a jar or a class, kept apart as `exec` keeps its
//! tasks ([`longshore_sdk::chroot`]).

use longshore_sdk::{
    About, Description, Error, FingerprintResult, Health, KeyValue, Task,
    chroot::{self, Settings},
    config, env,
    host::processes::ProcessSpec,
    process::RunsProcess,
};
use serde::Deserialize;

/// How long `java -version` may take, milliseconds.
const PATIENCE_MS: u32 = 20_000;

/// The driver.
pub struct Java;

longshore_sdk::export!(Java with signals, exec);

/// The `config` block of a task.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Config {
    /// Jar to run, as the task sees it.
    pub jar_path: String,
    /// Class to run.
    pub class: String,
    /// Where classes are.
    pub class_path: String,
    /// Options of the virtual machine.
    pub jvm_options: Vec<String>,
    /// Arguments of the program.
    pub args: Vec<String>,
    /// How it is kept apart.
    #[serde(flatten)]
    pub chroot: chroot::Config,
}

impl About for Java {
    fn describe() -> Description {
        Description {
            name: "java".into(),
            version: env!("CARGO_PKG_VERSION").into(),
            summary: "Java programs, kept apart as exec keeps processes".into(),
            filesystem: "chroot".into(),
            network_modes: ["host", "bridge", "none", "cni"].map(String::from).into(),
            attributes: env::list([("rehearsal", "start")]),
        }
    }

    fn config_schema() -> String {
        include_str!("config.schema.json").into()
    }

    fn settings_schema() -> String {
        chroot::SETTINGS_SCHEMA.into()
    }

    fn fingerprint() -> FingerprintResult {
        match chroot::health() {
            Health::Healthy => {
                FingerprintResult::of_program("java", "-version", PATIENCE_MS, |_, said| attributes(said))
            }
            health => FingerprintResult::unable(health),
        }
    }
}

/// The three lines of `java -version`: version, runtime, virtual machine.
fn attributes(said: &str) -> Vec<KeyValue> {
    let mut lines = said.lines().map(str::trim);
    let version = lines.next().and_then(|line| line.split('"').nth(1));
    let (runtime, vm) = (lines.next(), lines.next());
    let known = [("version", version), ("runtime", runtime), ("vm", vm)];
    let known = known.into_iter().filter_map(|(name, value)| Some((format!("driver.java.{name}"), value?.to_owned())));
    env::list([("driver.java".to_owned(), "1".to_owned())].into_iter().chain(known))
}

impl RunsProcess for Java {
    fn process(task: Task) -> Result<ProcessSpec, Error> {
        process(&config::settings()?, task)
    }
}

fn process(settings: &Settings, task: Task) -> Result<ProcessSpec, Error> {
    let config: Config = config::read(&task)?;
    let args = arguments(&config)?;
    chroot::process(&config.chroot, settings, task, "java", &args)
}

fn arguments(config: &Config) -> Result<Vec<String>, Error> {
    let mut all = config.jvm_options.clone();
    if !config.class_path.is_empty() {
        all.extend(["-cp".into(), config.class_path.clone()]);
    }
    match (config.jar_path.as_str(), config.class.as_str()) {
        ("", "") => return Err(Error::invalid("jar_path or class must be specified")),
        ("", class) => all.push(class.into()),
        (jar, "") => all.extend(["-jar".into(), jar.into()]),
        _ => return Err(Error::invalid("jar_path and class are two programs; specify one")),
    }
    all.extend(config.args.iter().cloned());
    Ok(all)
}

#[cfg(test)]
mod tests {
    use longshore_sdk::sample;

    use super::*;

    #[test]
    fn jars_and_classes() {
        let table = [
            (r#"{"jar_path": "local/a.jar", "args": ["x"]}"#, Ok("-jar local/a.jar x")),
            (
                r#"{"class": "Main", "class_path": "/a/web/local:lib", "jvm_options": ["-Xmx64m"]}"#,
                Ok("-Xmx64m -cp /local:lib Main"),
            ),
            ("{}", Err("jar_path or class must be specified")),
            (r#"{"class": "Main", "jar_path": "a.jar"}"#, Err("jar_path and class are two programs; specify one")),
        ];
        for (text, expected) in table {
            let made = process(&Settings::default(), sample::task(text)).map(|spec| spec.args.join(" "));
            assert_eq!(made, expected.map(String::from).map_err(Error::invalid), "{text}");
        }
    }

    #[test]
    fn a_version_is_read() {
        let said =
            "openjdk version \"17.0.15\" 2025-04-15\nOpenJDK Runtime Environment (build 17)\nOpenJDK 64-Bit VM\n";
        let known = attributes(said);
        assert_eq!(env::get(&known, "driver.java.version"), Some("17.0.15"));
        assert_eq!(env::get(&known, "driver.java.runtime"), Some("OpenJDK Runtime Environment (build 17)"));
        assert_eq!(env::get(&known, "driver.java.vm"), Some("OpenJDK 64-Bit VM"));
        assert_eq!(attributes("?"), env::list([("driver.java", "1")]));
    }

    #[test]
    fn the_schema_is_json_and_knows_each_key() {
        let schema: serde_json::Value = serde_json::from_str(include_str!("config.schema.json")).unwrap();
        let keys: Vec<_> = schema["properties"].as_object().unwrap().keys().map(String::as_str).collect();
        let own = ["jar_path", "class", "class_path", "jvm_options", "args"];
        assert_eq!(keys, [&own[..], &["work_dir", "pid_mode", "ipc_mode", "cap_add", "cap_drop"]].concat());
    }
}
