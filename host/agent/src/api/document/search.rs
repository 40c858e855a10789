//! What begins with a text.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Body of `PUT /v1/search`.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct SearchRequest {
    /// What ids begin with.
    pub prefix: String,
    /// `jobs`, `evals`, `allocs` or `nodes`; `all`, or nothing, for all of them.
    pub context: String,
}

/// Its answer.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct SearchResponse {
    /// Ids by kind.
    pub matches: BTreeMap<String, Vec<String>>,
    /// Whether there are more, by kind.
    pub truncations: BTreeMap<String, bool>,
}

impl SearchRequest {
    /// Whether ids of this kind are looked for.
    pub fn wants(&self, kind: &str) -> bool {
        ["", "all", kind].contains(&self.context.as_str())
    }
}
