//! What the operator wrote for the driver. What each key means is in `settings.schema.json`.

use longshore_sdk::loose;
use serde::Deserialize;

use crate::config::Logging;

/// All of it.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[allow(missing_docs, reason = "documented in settings.schema.json, once")]
pub struct Settings {
    pub name: Option<String>,
    pub extra_labels: Vec<String>,
    #[serde(deserialize_with = "loose::block")]
    pub logging: Option<Logging>,
    #[serde(deserialize_with = "loose::block")]
    pub gc: Option<Gc>,
    pub pids_limit: u32,
    pub oom_score_adj: Option<i32>,
    pub infra_image: Option<String>,
    pub image_pull_timeout: Option<String>,
    pub selinux_label: String,
}

/// The `gc` block.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Gc {
    /// Whether the containers of ended tasks are removed.
    pub container: bool,
    /// Whether images are given back.
    pub image: bool,
}

impl Default for Gc {
    fn default() -> Self {
        Self { container: true, image: true }
    }
}

impl Settings {
    /// What is kept of ended tasks.
    pub fn gc(&self) -> Gc {
        self.gc.clone().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use longshore_sdk::config::parse;

    use super::*;

    #[test]
    fn partial_blocks_keep_their_defaults() {
        let gc = |text| parse::<Settings>("settings", text).unwrap().gc();
        assert_eq!(gc("{}"), Gc { container: true, image: true });
        assert_eq!(gc(r#"{"gc": {}}"#), Gc { container: true, image: true });
        assert_eq!(gc(r#"{"gc": [{"image": false}]}"#), Gc { container: true, image: false });
    }

    #[test]
    fn schema_and_struct_know_the_same_keys() {
        let schema: serde_json::Value = serde_json::from_str(include_str!("settings.schema.json")).unwrap();
        let known = parse::<Settings>("settings", r#"{"?": 1}"#).unwrap_err();
        let known: Vec<_> = known.text().split('`').skip(3).step_by(2).map(str::to_owned).collect();
        let described: Vec<_> = schema["properties"].as_object().unwrap().keys().cloned().collect();
        assert_eq!(known, described);
    }
}
