//! Credentials of the operator: a file as `docker login` writes it, and the helpers it names.
//!
//! They are looked for in Nomad's order: an entry of the file for the registry, the file's helper for the
//! registry, the file's store, the helper of the agent's configuration. Nobody is asked about a registry but
//! the image's own, and drivers never see what is found.

use std::{collections::HashMap, path::PathBuf, process::Stdio, time::Duration};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use longshore_core::image::Credentials;
use serde::Deserialize;
use tokio::{io::AsyncWriteExt, process::Command, time::timeout};

/// Time a helper may take.
const PATIENCE: Duration = Duration::from_secs(30);
/// What Docker Hub is called in credential files.
const HUB: &str = "https://index.docker.io/v1/";

/// Where the operator keeps credentials for registries.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AuthSources {
    /// A file like `~/.docker/config.json`.
    pub config: Option<PathBuf>,
    /// The helper `docker-credential-<helper>` for what the file does not know.
    pub helper: Option<String>,
}

/// Credentials and where they were found.
pub(super) struct Found {
    pub(super) credentials: Credentials,
    /// For errors: `helper "pass"`.
    pub(super) source: String,
}

/// What `docker login` writes.
#[derive(Default, Deserialize)]
#[serde(default)]
struct File {
    auths: HashMap<String, Entry>,
    #[serde(rename = "credHelpers")]
    helpers: HashMap<String, String>,
    #[serde(rename = "credsStore")]
    store: String,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Entry {
    auth: String,
    username: String,
    password: String,
    identitytoken: String,
}

impl AuthSources {
    /// Credentials for the registry of an image; none when no source has any. Errors name the source.
    pub(super) async fn find(&self, reference: &str) -> Result<Option<Found>, String> {
        let registry = registry_of(reference);
        let file = self.read().await?;
        if let Some((key, entry)) = file.entry(registry)
            && let Some(credentials) = entry.credentials(key)?
        {
            return Ok(Some(Found { credentials, source: format!("{} (auths[{key:?}])", self.config_name()) }));
        }
        let named = file.helpers.iter().find(|(key, _)| host_of(key) == host_of(registry)).map(|(_, name)| name);
        let helpers = [named, Some(&file.store), self.helper.as_ref()];
        for name in helpers.into_iter().flatten().filter(|name| !name.is_empty()) {
            if let Some(credentials) = ask(name, registry).await? {
                return Ok(Some(Found { credentials, source: format!("helper {name:?}") }));
            }
        }
        Ok(None)
    }

    /// What was asked, for errors of registries that want credentials.
    pub(super) fn describe(&self) -> String {
        match (&self.config, &self.helper) {
            (None, None) => "none: the task has no `auth`, and the agent no `docker { auth {} }`".into(),
            (Some(_), None) => format!("none in {}", self.config_name()),
            (None, Some(helper)) => format!("none from helper {helper:?}"),
            (Some(_), Some(helper)) => format!("none in {} and none from helper {helper:?}", self.config_name()),
        }
    }

    async fn read(&self) -> Result<File, String> {
        let Some(path) = &self.config else { return Ok(File::default()) };
        let text = tokio::fs::read(path).await.map_err(|error| format!("{}: {error}", path.display()))?;
        serde_json::from_slice(&text).map_err(|error| format!("{}: {error}", path.display()))
    }

    fn config_name(&self) -> String {
        self.config.as_ref().map(|path| path.display().to_string()).unwrap_or_default()
    }
}

impl File {
    /// The entry for a registry, however its key is written.
    fn entry(&self, registry: &str) -> Option<(&str, &Entry)> {
        let exact = self.auths.get_key_value(registry);
        let same = || self.auths.iter().find(|(key, _)| host_of(key) == host_of(registry));
        exact.or_else(same).map(|(key, entry)| (key.as_str(), entry))
    }
}

impl Entry {
    /// None for an entry that says nothing, as `docker login` leaves beside a helper.
    fn credentials(&self, server: &str) -> Result<Option<Credentials>, String> {
        let (mut username, mut password) = (self.username.clone(), self.password.clone());
        if !self.auth.is_empty() {
            let wrong = || format!("auths[{server:?}].auth is not base64 of user:password");
            let text = BASE64_STANDARD.decode(self.auth.trim()).map_err(|_| wrong())?;
            let text = String::from_utf8(text).map_err(|_| wrong())?;
            let (user, pass) = text.split_once(':').ok_or_else(wrong)?;
            (username, password) = (user.to_owned(), pass.trim_end_matches('\0').to_owned());
        }
        let token = (!self.identitytoken.is_empty()).then(|| self.identitytoken.clone());
        if username.is_empty() && token.is_none() {
            return Ok(None);
        }
        Ok(Some(Credentials { username, password, identity_token: token, server_address: Some(server.to_owned()) }))
    }
}

/// The registry an image comes from, as credential files call it.
pub(super) fn registry_of(reference: &str) -> &str {
    match reference.split_once('/') {
        Some((first, _)) if first.contains(['.', ':']) || first == "localhost" => match first {
            "docker.io" | "index.docker.io" => HUB,
            registry => registry,
        },
        _ => HUB,
    }
}

/// `https://quay.io/v1/` and `quay.io` are one registry.
fn host_of(key: &str) -> &str {
    let bare = key.split_once("://").map_or(key, |(_, rest)| rest);
    bare.split('/').next().unwrap_or(bare)
}

/// Asks `docker-credential-<name>`; none when it knows nothing of the registry.
async fn ask(name: &str, registry: &str) -> Result<Option<Credentials>, String> {
    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct Said {
        username: String,
        secret: String,
    }
    let failed = |why: &dyn std::fmt::Display| format!("docker-credential-{name}: {why}");
    if !name.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c)) {
        return Err(failed(&"not the name of a credential helper"));
    }
    let mut command = Command::new(format!("docker-credential-{name}"));
    command.arg("get").stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    let mut helper = command.spawn().map_err(|error| failed(&error))?;
    let asked = async {
        if let Some(mut input) = helper.stdin.take() {
            // A helper that does not read ends by itself, and then says why.
            let _ = input.write_all(registry.as_bytes()).await;
        }
        helper.wait_with_output().await
    };
    let output = timeout(PATIENCE, asked).await.map_err(|_| failed(&format!("no answer after {PATIENCE:?}")))?;
    let output = output.map_err(|error| failed(&error))?;
    let said = String::from_utf8_lossy(&output.stdout);
    if !output.status.success() {
        if said.contains("credentials not found") {
            return Ok(None);
        }
        let words = format!("{said} {}", String::from_utf8_lossy(&output.stderr));
        return Err(failed(&words.split_whitespace().collect::<Vec<_>>().join(" ")));
    }
    let said: Said = serde_json::from_str(&said).map_err(|_| failed(&"its answer is not understood"))?;
    let server_address = Some(registry.to_owned());
    Ok(Some(match said.username.as_str() {
        "<token>" => Credentials {
            username: String::new(),
            password: String::new(),
            identity_token: Some(said.secret),
            server_address,
        },
        _ => Credentials { username: said.username, password: said.secret, identity_token: None, server_address },
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The fixture of Nomad's driver: test/1234 at Docker Hub, test/5678 at quay.io, test/abcd at other.io.
    const FILE: &str = r#"{"auths": {
        "https://index.docker.io/v1/": {"auth": "dGVzdDoxMjM0"},
        "quay.io": {"auth": "dGVzdDo1Njc4"},
        "https://other.io/v1/": {"auth": "dGVzdDphYmNk"},
        "empty.io": {}}}"#;

    fn sources(text: &str) -> (tempfile::TempDir, AuthSources) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("config.json");
        std::fs::write(&path, text).unwrap();
        (dir, AuthSources { config: Some(path), helper: None })
    }

    #[tokio::test]
    async fn the_file_is_looked_up_by_registry() {
        let (_dir, sources) = sources(FILE);
        let table = [
            ("lolwhat.com/what:1337", None),
            ("empty.io/a", None),
            ("redis:7", Some(("1234", "https://index.docker.io/v1/"))),
            ("docker.io/library/redis", Some(("1234", "https://index.docker.io/v1/"))),
            ("team/redis:7", Some(("1234", "https://index.docker.io/v1/"))),
            ("quay.io/redis:7", Some(("5678", "quay.io"))),
            ("other.io/redis:7", Some(("abcd", "https://other.io/v1/"))),
        ];
        for (reference, expected) in table {
            let found = sources.find(reference).await.unwrap().map(|found| found.credentials);
            let told = found.as_ref().map(|found| (found.password.as_str(), found.server_address.as_deref().unwrap()));
            assert_eq!(told, expected, "{reference}");
            assert!(found.is_none_or(|found| found.username == "test"));
        }
    }

    #[tokio::test]
    async fn what_is_wrong_is_named_by_its_source() {
        let (_dir, broken) = sources(r#"{"auths": {"quay.io": {"auth": "%%"}}}"#);
        let said = broken.find("quay.io/a").await.err().unwrap();
        assert!(said.contains("auths[\"quay.io\"].auth"), "{said}");
        assert!(broken.find("other.io/a").await.unwrap().is_none(), "another registry's entry is no concern");
        let missing = AuthSources { config: Some("/nonexistent/config.json".into()), helper: None };
        assert!(missing.find("a").await.err().unwrap().contains("/nonexistent/config.json"));
        for helper in ["none-such", "../../bin/sh", "a b"] {
            let sources = AuthSources { config: None, helper: Some(helper.into()) };
            let said = sources.find("quay.io/a").await.err().unwrap();
            assert!(said.contains(&format!("docker-credential-{helper}")), "{said}");
        }
    }
}
