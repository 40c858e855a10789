//! Volumes, and mounts as the engine's own document has them: those that need more than the typed fields say.

use serde_json::{Map, Value};

use super::{OrDenied, Policy, container::is_name, local_volume};
use crate::{
    container::ContainerSpec,
    error::{HostError, Result},
};

const PATH: &str = "HostConfig.Mounts";

/// A volume of the engine by name, or a nameless one.
pub(super) fn check_volume(policy: &Policy, name: &str) -> Result<()> {
    policy.allow_volumes.or_denied(
        || format!("volumes are not enabled; cannot mount volume: {name:?}"),
        || "set `allow_volumes = true`".into(),
    )?;
    if name.is_empty() || is_name(name) {
        return Ok(());
    }
    Err(HostError::Invalid(format!("{name:?} is not the name of a volume")))
}

/// Volumes with options and memory of a size. Binds have a field of their own, whose links are followed.
pub(super) fn check_engine_mounts(policy: &Policy, _: &ContainerSpec, value: &Value) -> Result<()> {
    let Some(mounts) = value.as_array() else {
        return if value.is_null() { Ok(()) } else { Err(wrong("a list")) };
    };
    mounts.iter().try_for_each(|mount| check(policy, mount.as_object().ok_or_else(|| wrong("a list of objects"))?))
}

fn check(policy: &Policy, mount: &Map<String, Value>) -> Result<()> {
    match text(mount, "Type")? {
        "tmpfs" => {
            only(mount, "", &["Type", "Target", "ReadOnly", "TmpfsOptions"])?;
            let options = section(mount, "TmpfsOptions")?;
            options.map_or(Ok(()), |options| only(options, "TmpfsOptions.", &["SizeBytes", "Mode"]))
        }
        "volume" => {
            only(mount, "", &["Type", "Source", "Target", "ReadOnly", "VolumeOptions"])?;
            check_volume(policy, text(mount, "Source")?)?;
            section(mount, "VolumeOptions")?.map_or(Ok(()), |options| check_options(policy, options))
        }
        kind => Err(HostError::Denied(format!(
            "engine option `{PATH}`: a mount of type {kind:?} is not for here; use the field `mounts`"
        ))),
    }
}

fn check_options(policy: &Policy, options: &Map<String, Value>) -> Result<()> {
    only(options, "VolumeOptions.", &["NoCopy", "Labels", "DriverConfig"])?;
    let Some(driver) = section(options, "DriverConfig")? else { return Ok(()) };
    only(driver, "VolumeOptions.DriverConfig.", &["Name", "Options"])?;
    match (section(driver, "Options")?, text(driver, "Name")?) {
        (Some(options), "" | "local") => local_volume::check(policy, options),
        _ => Ok(()),
    }
}

/// Refuses keys that are not known, in whatever case: an engine reads `type` and `Type` as one.
pub(super) fn only(map: &Map<String, Value>, place: &str, known: &[&str]) -> Result<()> {
    match map.keys().find(|key| !known.contains(&key.as_str())) {
        Some(key) => {
            Err(HostError::Denied(format!("engine option `{PATH}[].{place}{key}` is not known to be harmless")))
        }
        None => Ok(()),
    }
}

fn section<'a>(map: &'a Map<String, Value>, key: &str) -> Result<Option<&'a Map<String, Value>>> {
    match map.get(key) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::Object(section)) => Ok(Some(section)),
        Some(_) => Err(wrong(&format!("a list in which `{key}` is an object"))),
    }
}

pub(super) fn text<'a>(map: &'a Map<String, Value>, key: &str) -> Result<&'a str> {
    match map.get(key) {
        None | Some(Value::Null) => Ok(""),
        Some(Value::String(text)) => Ok(text),
        Some(_) => Err(wrong(&format!("a list in which `{key}` is a string"))),
    }
}

fn wrong(expected: &str) -> HostError {
    HostError::Invalid(format!("engine option `{PATH}` must be {expected}"))
}
