//! Making a container of the right image, which is fetched if need be.

use longshore_sdk::{
    Error, StartError, Task, env,
    host::{
        containers::ContainerSpec,
        images::{Credentials, PullOptions},
    },
};

use crate::{
    config::{Auth, Config},
    duration,
    engine::Engine,
    image::Reference,
};

/// What a container is made with.
pub struct Maker<'a, E> {
    /// The engine.
    pub engine: &'a E,
    /// The task's `config`.
    pub config: &'a Config,
    /// How long a pull may take, as it was written.
    pub timeout: Option<&'a str>,
}

/// The image the task ran before in this allocation.
struct Before<'a> {
    id: &'a str,
    /// Where a registry has it, `repository@sha256:…`.
    digest: Option<&'a str>,
}

impl<'a> Before<'a> {
    fn of(task: &'a Task) -> Option<Self> {
        Some(Self { id: env::get(&task.origin, "image_id")?, digest: env::get(&task.origin, "image_digest") })
    }
}

impl<E: Engine> Maker<'_, E> {
    /// Creates the container and answers its id. A task that ran before in its allocation runs the same image again,
    /// wherever its tag points now, unless the job wants each start to pull; `spec.image` then says which.
    pub fn create(&self, task: &Task, spec: &mut ContainerSpec) -> Result<String, StartError> {
        let reference = Reference::parse(&spec.image)?;
        let before = Before::of(task).filter(|_| !self.config.force_pull);
        match before.map(|before| self.again(&before, spec)).transpose()?.flatten() {
            Some(id) => Ok(id),
            None => self.anew(&reference, spec),
        }
    }

    fn anew(&self, reference: &Reference, spec: &ContainerSpec) -> Result<String, StartError> {
        let Self { engine, config, .. } = *self;
        if let Some(archive) = &config.load {
            let path = format!("local/{}", archive.trim_start_matches("local/"));
            engine.load(&path).map_err(|error| {
                let doing = if matches!(error, Error::NotFound(_)) { "open" } else { "load" };
                error.context(format!("unable to {doing} image archive"))
            })?;
            return engine.create(spec).map_err(failed);
        }
        if reference.moves() || config.force_pull {
            self.pull(&spec.image)?;
            return engine.create(spec).map_err(failed);
        }
        match engine.create(spec) {
            // Not found may also be a network or a volume.
            Err(Error::NotFound(text)) if engine.image_id(&spec.image)?.is_some() => Err(failed(Error::NotFound(text))),
            Err(Error::NotFound(_)) => {
                self.pull(&spec.image)?;
                engine.create(spec).map_err(failed)
            }
            created => created.map_err(failed),
        }
    }

    /// Of the image it had; none if that is gone and no registry has it.
    fn again(&self, before: &Before, spec: &mut ContainerSpec) -> Result<Option<String>, StartError> {
        let named = spec.image.clone();
        if self.engine.image_id(&named)?.as_deref() != Some(before.id) {
            spec.image = before.id.into();
        }
        match self.engine.create(spec) {
            Err(Error::NotFound(text)) if self.engine.image_id(before.id)?.is_some() => {
                Err(failed(Error::NotFound(text)))
            }
            Err(Error::NotFound(_)) => match before.digest {
                Some(digest) => {
                    self.pull(digest)?;
                    spec.image = digest.into();
                    self.engine.create(spec).map(Some).map_err(failed)
                }
                None => {
                    spec.image = named;
                    Ok(None)
                }
            },
            created => created.map(Some).map_err(failed),
        }
    }

    fn pull(&self, image: &str) -> Result<(), StartError> {
        let Self { engine, config, timeout } = *self;
        let timeout_ms = timeout
            .filter(|text| !text.is_empty())
            .map_or(Ok(0), |text| duration::milliseconds("image_pull_timeout", text))?;
        let mut options =
            PullOptions { credentials: config.auth.as_ref().and_then(credentials), timeout_ms, platform: None };
        let mut pulled = engine.pull(image, &options);
        if config.auth_soft_fail && pulled.as_ref().is_err_and(|error| error.text().contains(NO_AUTH)) {
            options.credentials = Some(anonymous());
            pulled = engine.pull(image, &options);
        }
        pulled.map_err(|reason| {
            let hopeless = matches!(reason, Error::NotFound(_) | Error::Denied(_) | Error::Invalid(_));
            StartError { reason, recoverable: !hopeless }
        })
    }
}

fn failed(error: Error) -> StartError {
    StartError::from(error.context("failed to create container"))
}

/// Words of the host when looking credentials up failed, rather than pulling.
const NO_AUTH: &str = "Failed to find docker auth";

/// What tells the host not to look for the operator's credentials.
fn anonymous() -> Credentials {
    Credentials { username: String::new(), password: String::new(), identity_token: None, server_address: None }
}

/// An `auth` block with nothing in it means the operator's credentials.
fn credentials(auth: &Auth) -> Option<Credentials> {
    let given = !(auth.username.is_empty() && auth.password.is_empty());
    given.then(|| Credentials {
        username: auth.username.clone(),
        password: auth.password.clone(),
        identity_token: None,
        server_address: auth.server_address.clone(),
    })
}

#[cfg(test)]
mod tests {
    use longshore_sdk::sample::task;

    use super::*;
    use crate::{fake::Fake, lifecycle};

    #[test]
    fn a_task_that_starts_again_runs_the_image_it_ran() {
        const THERE: &[(&str, &str)] = &[("redis:7", "sha256:1")];
        const MOVED: &[(&str, &str)] = &[("redis:7", "sha256:2"), ("redis@sha256:a", "sha256:1")];
        const GONE: &[(&str, &str)] = &[("redis:7", "sha256:2")];
        let usual = r#"{"image": "redis:7"}"#;
        type Images = &'static [(&'static str, &'static str)];
        let table: [(&str, &str, Images, &[&str]); 6] = [
            ("the tag is where it was", usual, THERE, &["find redis:7", "create web-a1 of redis:7"]),
            ("it moved", usual, MOVED, &["find redis:7", "create web-a1 of sha256:1"]),
            (
                "and the image was removed",
                usual,
                GONE,
                &[
                    "find redis:7",
                    "create web-a1 of sha256:1",
                    "find sha256:1",
                    "pull redis@sha256:a",
                    "create web-a1 of redis@sha256:a",
                ],
            ),
            (
                "latest is not asked for again",
                r#"{"image": "redis"}"#,
                MOVED,
                &["find redis", "create web-a1 of sha256:1"],
            ),
            (
                "each start is to pull",
                r#"{"image": "redis:7", "force_pull": true}"#,
                MOVED,
                &["pull redis:7", "create web-a1 of redis:7"],
            ),
            (
                "an archive was loaded before",
                r#"{"image": "redis:7", "load": "redis.tar"}"#,
                THERE,
                &["find redis:7", "create web-a1 of redis:7"],
            ),
        ];
        for (case, config, images, expected) in table {
            let missing = ("create", Error::not_found("No such image"));
            let failures = if images == GONE { vec![missing] } else { vec![] };
            let fake = Fake { images, ..Fake::failing(&failures) };
            let mut task = task(config);
            task.origin = env::list([("image_id", "sha256:1"), ("image_digest", "redis@sha256:a")]);
            let handle = lifecycle::start(&fake, &task).unwrap().handle;
            let calls = fake.calls.borrow();
            assert_eq!(calls[..calls.len() - 1], *expected, "{case}");
            let used = expected.last().unwrap().strip_prefix("create web-a1 of ").unwrap();
            assert!(String::from_utf8(handle).unwrap().contains(used), "{case}: what is given back is what was used");
        }
    }

    #[test]
    fn an_image_that_no_registry_has_is_taken_by_its_name() {
        let missing = [("create", Error::not_found("No such image"))];
        let fake = Fake { images: &[("redis:7", "sha256:2")], ..Fake::failing(&missing) };
        let mut task = task(r#"{"image": "redis:7"}"#);
        task.origin = env::list([("image_id", "sha256:1")]);
        lifecycle::start(&fake, &task).unwrap();
        assert_eq!(fake.calls.borrow()[3], "create web-a1 of redis:7");
    }
}
