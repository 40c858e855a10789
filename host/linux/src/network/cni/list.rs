//! Network configurations: a name and a list of plugins, in a file of the operator's.

use std::{fs, path::Path};

use longshore_core::error::{HostError, Result};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// Versions of the specification whose answers are understood, the oldest first.
const VERSIONS: [&str; 5] = ["0.3.0", "0.3.1", "0.4.0", "1.0.0", "1.1.0"];
/// The first of [`VERSIONS`] with CHECK, and with the answer of ADD handed to DEL.
const WITH_CHECK: usize = 2;

/// A network as its file describes it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct PluginList {
    pub cni_version: String,
    pub name: String,
    #[serde(default)]
    pub disable_check: bool,
    pub plugins: Vec<Plugin>,
}

/// One plugin's configuration: `type` is its program, the rest its own, but for `capabilities`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub(super) struct Plugin(Map<String, Value>);

impl Plugin {
    /// Its program's name.
    pub fn kind(&self) -> &str {
        self.0.get("type").and_then(Value::as_str).unwrap_or_default()
    }

    fn wants(&self, capability: &str) -> bool {
        self.0.get("capabilities").and_then(|all| all.get(capability)) == Some(&Value::Bool(true))
    }
}

impl PluginList {
    /// Reads a file's text: a list, or the single plugin of older times.
    pub fn parse(text: &str) -> Result<Self, String> {
        let value: Value = serde_json::from_str(text).map_err(|error| format!("no JSON: {error}"))?;
        let Value::Object(mut object) = value else { return Err("not an object".into()) };
        if !object.contains_key("plugins") {
            let single = Value::Object(object.clone());
            object.retain(|key, _| matches!(key.as_str(), "cniVersion" | "name"));
            object.insert("plugins".into(), vec![single].into());
        }
        let list: Self = serde_json::from_value(Value::Object(object)).map_err(|error| error.to_string())?;
        list.complaint().map_or(Ok(list), Err)
    }

    fn complaint(&self) -> Option<String> {
        if self.version().is_none() {
            let known = VERSIONS.join(", ");
            return Some(format!("cniVersion {:?} is none of {known}", self.cni_version));
        }
        if self.plugins.is_empty() {
            return Some("it lists no plugins".into());
        }
        let bad = |plugin: &&Plugin| plugin.kind().is_empty() || plugin.kind().contains('/');
        self.plugins.iter().find(bad).map(|plugin| format!("plugin type {:?} is no program's name", plugin.kind()))
    }

    fn version(&self) -> Option<usize> {
        VERSIONS.iter().position(|version| *version == self.cni_version)
    }

    /// Whether its plugins can be asked whether all is well.
    pub fn can_check(&self) -> bool {
        self.tells_del() && !self.disable_check
    }

    /// Whether DEL is given what ADD answered.
    pub fn tells_del(&self) -> bool {
        self.version().is_some_and(|version| version >= WITH_CHECK)
    }

    /// What a plugin reads: its configuration, the network's name, the capabilities it asks for, and what there is.
    pub fn input(
        &self,
        plugin: &Plugin,
        capabilities: &Map<String, Value>,
        before: Option<&Value>,
    ) -> Map<String, Value> {
        let mut input = plugin.0.clone();
        input.insert("cniVersion".into(), self.cni_version.clone().into());
        input.insert("name".into(), self.name.clone().into());
        let wanted: Map<_, _> =
            capabilities.iter().filter(|(name, _)| plugin.wants(name)).map(|(k, v)| (k.clone(), v.clone())).collect();
        if !wanted.is_empty() {
            input.insert("runtimeConfig".into(), wanted.into());
        }
        if let Some(before) = before {
            input.insert("prevResult".into(), before.clone());
        }
        input
    }
}

/// The network of this name. Files are looked at in the order of their names.
pub(super) fn find(dir: &Path, name: &str) -> Result<PluginList> {
    let mut files: Vec<_> = fs::read_dir(dir).into_iter().flatten().flatten().map(|entry| entry.path()).collect();
    files.retain(|file| {
        let kind = file.extension().and_then(|kind| kind.to_str());
        matches!(kind, Some("conflist" | "conf" | "json"))
    });
    files.sort();
    if files.is_empty() {
        return Err(HostError::Unavailable(format!("no CNI network config found in {}", dir.display())));
    }
    let mut unreadable = Vec::new();
    for file in files {
        let read =
            fs::read_to_string(&file).map_err(|error| error.to_string()).and_then(|text| PluginList::parse(&text));
        match read {
            Ok(list) if list.name == name => return Ok(list),
            Ok(_) => {}
            Err(why) => unreadable.push(format!("{}: {why}", file.display())),
        }
    }
    let also = if unreadable.is_empty() { String::new() } else { format!("; not readable: {}", unreadable.join("; ")) };
    Err(HostError::Unavailable(format!("CNI network config not found for name {name:?} in {}{also}", dir.display())))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn malformed_lists_say_what_is_wrong() {
        for (text, why) in [
            ("{", "no JSON: EOF"),
            ("[]", "not an object"),
            (r#"{"name": "a", "plugins": []}"#, "missing field `cniVersion`"),
            (r#"{"cniVersion": "1.0.0", "plugins": []}"#, "missing field `name`"),
            (r#"{"cniVersion": "1.0.0", "name": "a", "plugins": []}"#, "it lists no plugins"),
            (r#"{"cniVersion": "0.2.0", "name": "a", "type": "x"}"#, "cniVersion \"0.2.0\" is none of 0.3.0"),
            (r#"{"cniVersion": "1.0.0", "name": "a", "plugins": [{}]}"#, "plugin type \"\" is no program's name"),
            (r#"{"cniVersion": "1.0.0", "name": "a", "plugins": [{"type": "../x"}]}"#, "no program's name"),
            (r#"{"cniVersion": "1.0.0", "name": "a", "plugins": 3}"#, "invalid type"),
        ] {
            let said = PluginList::parse(text).unwrap_err();
            assert!(said.contains(why), "{text}: {said}");
        }
    }

    #[test]
    fn a_plugin_reads_what_it_asked_for() {
        let list = PluginList::parse(
            r#"{"cniVersion": "0.4.0", "name": "a", "plugins": [
                {"type": "bridge", "bridge": "b0"}, {"type": "portmap", "capabilities": {"portMappings": true}}]}"#,
        )
        .unwrap();
        let given = json!({"portMappings": [{"hostPort": 1}], "mac": "x"});
        let given = given.as_object().unwrap();
        let first = list.input(&list.plugins[0], given, None);
        assert_eq!(Value::from(first), json!({"cniVersion": "0.4.0", "name": "a", "type": "bridge", "bridge": "b0"}));
        let second = list.input(&list.plugins[1], given, Some(&json!({"ips": []})));
        assert_eq!(second["runtimeConfig"], json!({"portMappings": [{"hostPort": 1}]}));
        assert_eq!(second["prevResult"], json!({"ips": []}));
        assert!(list.can_check());
        let old = PluginList::parse(r#"{"cniVersion": "0.3.1", "name": "a", "type": "bridge"}"#).unwrap();
        assert_eq!((old.plugins[0].kind(), old.can_check(), old.tells_del()), ("bridge", false, false));
    }

    #[test]
    fn lists_are_found_by_name() {
        let dir = tempfile::tempdir().unwrap();
        let missing = |dir: &Path| find(dir, "mine").unwrap_err().to_string();
        assert!(missing(&dir.path().join("none")).contains("no CNI network config found in"));
        fs::write(dir.path().join("README"), "").unwrap();
        assert!(missing(dir.path()).contains("no CNI network config found in"));
        fs::write(dir.path().join("10-a.conflist"), "{\n\"name\": }").unwrap();
        fs::write(dir.path().join("20-b.conf"), r#"{"cniVersion": "1.0.0", "name": "other", "type": "x"}"#).unwrap();
        let said = missing(dir.path());
        assert!(said.contains("not found for name \"mine\"") && said.contains("10-a.conflist: no JSON"), "{said}");
        assert!(said.contains("line 2"), "{said}");
        assert_eq!(find(dir.path(), "other").unwrap().name, "other");
    }
}
