//! Pulling: one at a time for each reference, however many ask; progress told now and then.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use bollard::{auth::DockerCredentials, query_parameters::CreateImageOptions};
use futures_util::{
    FutureExt, StreamExt,
    future::{BoxFuture, Shared, WeakShared},
};
use longshore_core::{
    caller::Caller,
    error::{HostError, Result},
    image::{Image, PullOptions},
    record::{EventSink, PROGRESS, PROGRESS_TOTAL},
};
use tokio::sync::watch;

use super::{super::connect::Engine, Docker, check_reference, pause, progress::Progress};

/// How often a waiting task is told how far its pull is.
const REPORT: Duration = Duration::from_secs(1);

type Transfer = BoxFuture<'static, Result<()>>;

/// What tells one pull from another: reference and options but for the time.
#[derive(Clone, PartialEq, Eq, Hash)]
struct Key {
    reference: String,
    platform: String,
    credentials: Option<[String; 4]>,
    stalled: Duration,
}

/// Pulls that go on. One that nobody waits for any more is dropped, and the engine stops it.
#[derive(Default)]
pub(in super::super) struct Pulls(Mutex<HashMap<Key, Running>>);

#[derive(Clone)]
struct Running {
    done: WeakShared<Transfer>,
    progress: watch::Receiver<Progress>,
}

impl Pulls {
    fn join(&self, key: Key, engine: &Arc<Engine>) -> (Shared<Transfer>, watch::Receiver<Progress>) {
        let mut running = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        running.retain(|_, pull| pull.done.upgrade().is_some_and(|done| done.peek().is_none()));
        if let Some((done, pull)) = running.get(&key).and_then(|pull| Some((pull.done.upgrade()?, pull))) {
            return (done, pull.progress.clone());
        }
        let (tell, progress) = watch::channel(Progress::new());
        let done = transfer(Arc::clone(engine), key.clone(), tell).boxed().shared();
        if let Some(weak) = done.downgrade() {
            running.insert(key, Running { done: weak, progress: progress.clone() });
        }
        (done, progress)
    }
}

impl Docker {
    pub(in super::super) async fn pull_image(
        &self,
        caller: &Caller,
        reference: &str,
        options: &PullOptions,
        events: &dyn EventSink,
    ) -> Result<Image> {
        if reference == pause::REFERENCE {
            return self.import_pause().await;
        }
        check_reference(reference)?;
        let tell = |message: &str, more: &[(&str, i64)]| {
            let Some(scope) = &caller.task else { return };
            let more = more.iter().map(|(key, number)| (key.to_string(), number.to_string()));
            let image = ("image".to_owned(), reference.to_owned());
            events.driver_event(&scope.id, message, &more.chain([image]).collect());
        };
        self.unused.keep(reference).await;
        self.unused.has(&caller.driver, reference);
        // Not told before: whoever goes on without credentials comes again.
        let (options, tried) = self.with_credentials(reference, options).await?;
        tell("Downloading image", &[]);
        let key = Key::new(reference, &options, self.pull_limits.stalled);
        let (done, progress) = self.pulls.join(key, &self.engine);
        let limit = match options.timeout_ms {
            0 => self.pull_limits.whole,
            limit => Duration::from_millis(limit.into()),
        };
        let report = async {
            loop {
                tokio::time::sleep(REPORT).await;
                let (message, (here, all)) = {
                    let progress = progress.borrow();
                    (format!("Docker image pull progress: {}", *progress), progress.bytes())
                };
                tell(&message, &[(PROGRESS, here), (PROGRESS_TOTAL, all)]);
            }
        };
        tokio::select! {
            answer = done => answer.map_err(|error| match error {
                HostError::Denied(said) | HostError::NotFound(said) if wants_credentials(&said) => {
                    HostError::Denied(format!("{said} (credentials: {tried})"))
                }
                error => error,
            })?,
            () = report => {}
            () = tokio::time::sleep(limit) => {
                return Err(HostError::Timeout(format!("pulling `{reference}` took more than {limit:?}; raise image_pull_timeout")));
            }
        }
        let found = self.find_image(reference).await?;
        found.ok_or_else(|| HostError::NotFound(format!("`{reference}` was pulled and is not there")))
    }

    /// The options with the operator's credentials, unless the task brings its own; and whose they are. Empty
    /// ones of the task's mean that none are wanted.
    async fn with_credentials(&self, reference: &str, options: &PullOptions) -> Result<(PullOptions, String)> {
        let mut options = options.clone();
        if let Some(given) = &options.credentials {
            let empty = given.username.is_empty() && given.identity_token.is_none();
            return Ok((options, if empty { "none wanted".into() } else { "`auth` of the task".into() }));
        }
        let found = self.auth.find(reference).await.map_err(|why| {
            HostError::Denied(format!(
                "Failed to find docker auth for repo {reference:?}: {why}; auth_soft_fail pulls without credentials"
            ))
        })?;
        let tried = found.as_ref().map_or_else(|| self.auth.describe(), |found| found.source.clone());
        options.credentials = found.map(|found| found.credentials);
        Ok((options, tried))
    }
}

/// How long pulls may take.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PullLimits {
    /// The whole pull, when the task says nothing.
    pub whole: Duration,
    /// Without anything moving.
    pub stalled: Duration,
}

impl Default for PullLimits {
    /// Nomad's: five minutes, two of them without anything moving.
    fn default() -> Self {
        Self { whole: Duration::from_secs(300), stalled: Duration::from_secs(120) }
    }
}

/// Words of registries that would say more to somebody they know.
fn wants_credentials(said: &str) -> bool {
    let words = [
        "unauthorized",
        "denied",
        "authentication required",
        "no basic auth credentials",
        "may require 'docker login'",
    ];
    words.iter().any(|word| said.contains(word))
}

impl Key {
    fn new(reference: &str, options: &PullOptions, stalled: Duration) -> Self {
        let credentials = options.credentials.as_ref().map(|given| {
            let text = |part: &Option<String>| part.clone().unwrap_or_default();
            [given.username.clone(), given.password.clone(), text(&given.identity_token), text(&given.server_address)]
        });
        Self {
            reference: reference.into(),
            platform: options.platform.clone().unwrap_or_default(),
            credentials,
            stalled,
        }
    }

    fn credentials(&self) -> Option<DockerCredentials> {
        let given = |text: &String| (!text.is_empty()).then(|| text.clone());
        self.credentials.as_ref().filter(|parts| parts[..3].iter().any(|part| !part.is_empty())).map(
            |[username, password, token, server]| DockerCredentials {
                username: given(username),
                password: given(password),
                identitytoken: given(token),
                serveraddress: given(server),
                ..DockerCredentials::default()
            },
        )
    }
}

async fn transfer(engine: Arc<Engine>, key: Key, tell: watch::Sender<Progress>) -> Result<()> {
    let (name, tag) = split_reference(&key.reference);
    let options = CreateImageOptions {
        from_image: Some(name),
        tag: Some(tag),
        platform: key.platform.clone(),
        ..CreateImageOptions::default()
    };
    let failed = |error: HostError| classify(&key.reference, error);
    let client = engine.client()?;
    let mut steps = std::pin::pin!(client.create_image(Some(options), None, key.credentials()));
    loop {
        match tokio::time::timeout(key.stalled, steps.next()).await {
            Ok(Some(Ok(step))) => tell.send_modify(|progress| progress.take(step)),
            Ok(Some(Err(error))) => return Err(failed(engine.explain(error))),
            Ok(None) => return Ok(()),
            Err(_) => {
                return Err(HostError::Timeout(format!(
                    "pulling `{}` made no progress for {:?}",
                    key.reference, key.stalled
                )));
            }
        }
    }
}

/// Name and tag as the engine takes them: `latest` if nothing is said, no tag beside a digest.
fn split_reference(reference: &str) -> (String, String) {
    let tag_of = |name: &str| name.rfind(':').filter(|colon| name.rfind('/').is_none_or(|slash| slash < *colon));
    if let Some((name, digest)) = reference.split_once('@') {
        let bare = tag_of(name).map_or(name, |colon| &name[..colon]);
        return (format!("{bare}@{digest}"), String::new());
    }
    match tag_of(reference) {
        Some(colon) => (reference[..colon].into(), reference[colon + 1..].into()),
        None => (reference.into(), "latest".into()),
    }
}

/// Tells a wrong name from missing rights and an unreachable registry: the engine says all three with the
/// same status.
fn classify(reference: &str, error: HostError) -> HostError {
    let passes = error.is_transient();
    let said = match error {
        HostError::Other(said)
        | HostError::NotFound(said)
        | HostError::Denied(said)
        | HostError::Invalid(said)
        | HostError::Unavailable(said) => said,
        error => return error,
    };
    let text = format!("Failed to pull `{reference}`: {said}");
    let has = |words: &[&str]| words.iter().any(|word| said.contains(word));
    if has(&["does not exist", "not found", "manifest unknown", "no matching manifest"]) {
        HostError::NotFound(text)
    } else if has(&["unauthorized", "denied", "authentication required", "no basic auth credentials"]) {
        HostError::Denied(text)
    } else if passes
        || has(&[
            "dial ",
            "lookup ",
            "no such host",
            "timeout",
            "connection refused",
            "TLS handshake",
            "EOF",
            "deadline exceeded",
        ])
    {
        HostError::Unavailable(text)
    } else {
        HostError::Other(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_come_apart() {
        for (reference, name, tag) in [
            ("host:5000/library/hello-world", "host:5000/library/hello-world", "latest"),
            ("host:5000/library/hello-world:1.0", "host:5000/library/hello-world", "1.0"),
            ("library/hello-world@sha256:ab", "library/hello-world@sha256:ab", ""),
            ("my-registry:9090/hello-world:my-tag@sha256:ab", "my-registry:9090/hello-world@sha256:ab", ""),
            ("redis", "redis", "latest"),
        ] {
            assert_eq!(split_reference(reference), (name.into(), tag.into()), "{reference}");
        }
    }

    #[test]
    fn failures_are_told_apart() {
        let kind = |said: &str| classify("web:1", HostError::Other(said.into()));
        assert!(matches!(kind("manifest for web:1 not found: manifest unknown"), HostError::NotFound(_)));
        assert!(matches!(
            kind("pull access denied for web, repository does not exist or may require 'docker login'"),
            HostError::NotFound(_)
        ));
        assert!(matches!(kind("unauthorized: authentication required"), HostError::Denied(_)));
        assert!(matches!(kind("dial tcp: lookup registry: no such host"), HostError::Unavailable(_)));
        assert_eq!(kind("odd").to_string(), "Failed to pull `web:1`: odd");
    }
}
