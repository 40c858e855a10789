//! Images from a real registry on loopback: Debian's `docker-registry`, with and without accounts and TLS.

use std::{
    collections::BTreeMap,
    fs,
    net::TcpListener,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::Mutex,
    time::Duration,
};

use longshore_core::{
    caller::{Caller, DriverName, TaskId},
    container::Containers,
    error::HostError,
    image::{Credentials, Images, PullOptions},
    policy::Policy,
    record::EventSink,
};
use longshore_linux::engine::docker::{AuthSources, Docker, DockerConfig, ImageGc, PullLimits};
use serde_json::json;

use super::{Scene, config, until};

/// `test` and `secret`, as `htpasswd -B` writes them.
const ACCOUNTS: &str = "test:$2b$04$Kle/KoNCmSICL6rbQj2fl.VvBq6j2.wPmmaysnt8qHZVxG/oBcDHm\n";
/// base64 of `test:secret`.
const LOGIN: &str = "dGVzdDpzZWNyZXQ=";

/// A registry of a test's own, with one image.
pub struct Registry {
    dir: tempfile::TempDir,
    child: Child,
    address: String,
    scene: Scene,
}

impl Registry {
    pub async fn start(accounts: bool, tls: bool) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
        let path = |name: &str| dir.path().join(name).display().to_string();
        let mut settings = json!({
            "version": "0.1",
            "storage": {"filesystem": {"rootdirectory": path("store")}},
            "http": {"addr": address},
        });
        if accounts {
            fs::write(path("accounts"), ACCOUNTS).unwrap();
            settings["auth"] = json!({"htpasswd": {"realm": "test", "path": path("accounts")}});
        }
        if tls {
            let (key, certificate) = (path("key.pem"), path("cert.pem"));
            let made = Command::new("openssl")
                .args(["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=127.0.0.1"])
                .args(["-addext", "subjectAltName=IP:127.0.0.1", "-keyout", &key, "-out", &certificate])
                .output()
                .expect("install Debian's `openssl`");
            assert!(made.status.success(), "{made:?}");
            settings["http"]["tls"] = json!({"certificate": certificate, "key": key});
        }
        // JSON is YAML.
        fs::write(path("config.yml"), settings.to_string()).unwrap();
        let log = fs::File::create(path("log")).unwrap();
        let child = Command::new("docker-registry")
            .args(["serve", &path("config.yml")])
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .expect("install Debian's `docker-registry`");
        let registry = Self { child, address, scene: Scene::new(), dir };
        until("the registry listens", || std::net::TcpStream::connect(&registry.address).is_ok()).await;
        registry.push();
        registry
    }

    /// Pushes the scene's image, and removes it from the engine.
    fn push(&self) {
        let image = self.image();
        self.write_login("push", LOGIN);
        let client = self.dir.path().join("push");
        let docker = |arguments: &[&str]| {
            let out = Command::new("docker").arg("--config").arg(&client).args(arguments).output().unwrap();
            assert!(out.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&out.stderr));
        };
        docker(&["tag", &self.scene.image, &image]);
        docker(&["push", &image]);
        docker(&["rmi", &image]);
        docker(&["rmi", &self.scene.image]);
    }

    pub fn image(&self) -> String {
        format!("{}/longshore-test/web:1", self.address)
    }

    /// A file as `docker login` writes it.
    fn write_login(&self, name: &str, auth: &str) -> PathBuf {
        let folder = self.dir.path().join(name);
        fs::create_dir_all(&folder).unwrap();
        let text = json!({"auths": {(&self.address): {"auth": auth}}}).to_string();
        fs::write(folder.join("config.json"), text).unwrap();
        folder.join("config.json")
    }

    /// How often the registry was asked for the image's manifest.
    fn asked(&self) -> usize {
        let log = fs::read_to_string(self.dir.path().join("log")).unwrap();
        log.lines().filter(|line| line.contains("/v2/longshore-test/web/manifests/1")).count()
    }

    fn backend(&self, change: impl FnOnce(&mut DockerConfig)) -> Docker {
        let mut settings = config(&self.scene.endpoint, &self.scene.agent, Policy::default());
        change(&mut settings);
        Docker::new(settings)
    }

    async fn pull(&self, docker: &Docker, options: &PullOptions) -> Result<(), HostError> {
        docker.pull(&self.scene.caller, &self.image(), options, &Told::default()).await.map(drop)
    }

    pub fn forget_image(&self) {
        let _ = Command::new("docker").args(["rmi", "-f", &self.image()]).output();
    }

    fn has_image(&self) -> bool {
        Command::new("docker").args(["image", "inspect", &self.image()]).output().unwrap().status.success()
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        self.forget_image();
    }
}

/// What tasks were told.
#[derive(Default)]
pub struct Told(Mutex<Vec<String>>);

impl Told {
    /// All but how far it was: on a slow machine even a small image takes long enough to be told of.
    pub fn but_progress(&self) -> Vec<String> {
        let told = self.0.lock().unwrap();
        told.iter().filter(|message| !message.starts_with("Docker image pull progress: ")).cloned().collect()
    }
}

impl EventSink for Told {
    fn driver_event(&self, _task: &TaskId, message: &str, _annotations: &BTreeMap<String, String>) {
        self.0.lock().unwrap().push(message.into());
    }
}

fn login(username: &str, password: &str) -> PullOptions {
    let credentials = Credentials {
        username: username.into(),
        password: password.into(),
        identity_token: None,
        server_address: None,
    };
    PullOptions { credentials: Some(credentials), ..PullOptions::default() }
}

#[tokio::test]
async fn an_open_registry_gives_by_tag_and_digest_and_is_asked_once() {
    let registry = Registry::start(false, false).await;
    let (scene, docker) = (&registry.scene, registry.backend(|_| {}));
    let told = Told::default();
    let image = docker.pull(&scene.caller, &registry.image(), &PullOptions::default(), &told).await.unwrap();
    assert_eq!(told.but_progress(), ["Downloading image"]);
    let digest = image.digests.iter().find(|digest| digest.starts_with(&registry.address)).unwrap().clone();
    let first = registry.asked();
    registry.forget_image();
    let options = PullOptions::default();
    registry.pull(&docker, &options).await.unwrap();
    let one = registry.asked() - first;
    assert!(one > 0);
    registry.forget_image();
    let pulls = (0..5).map(|_| registry.pull(&docker, &options));
    futures_util::future::join_all(pulls).await.into_iter().for_each(|pulled| pulled.unwrap());
    assert_eq!(registry.asked() - first, 2 * one, "five pulls at once ask as often as one");

    registry.forget_image();
    let pinned = docker.pull(&scene.caller, &digest, &PullOptions::default(), &told).await.unwrap();
    assert_eq!(pinned.id, image.id);
    scene.cli(&["rmi", "-f", &digest]);
    let missing = registry.image().replace(":1", ":2");
    let error = docker.pull(&scene.caller, &missing, &PullOptions::default(), &told).await.unwrap_err();
    assert!(matches!(&error, HostError::NotFound(said) if said.contains(&missing)), "{error}");
}

#[tokio::test]
async fn accounts_are_tried_in_order_and_named() {
    let registry = Registry::start(true, false).await;
    let helper = Helper::install(&registry.address);
    let with = |config: Option<&Path>, helper: Option<&str>| {
        let auth = AuthSources { config: config.map(Path::to_path_buf), helper: helper.map(str::to_owned) };
        registry.backend(|settings| settings.auth = auth)
    };
    let (right, wrong) = (registry.write_login("right", LOGIN), registry.write_login("wrong", "dGVzdDp3cm9uZw=="));
    let operator = PullOptions::default();
    let table = [
        ("nobody", with(None, None), &operator, Err("agent no `docker")),
        ("the task", with(None, None), &login("test", "secret"), Ok(())),
        ("the wrong task", with(Some(&right), None), &login("test", "wrong"), Err("`auth` of the task")),
        ("none wanted", with(Some(&right), None), &login("", ""), Err("none wanted")),
        ("the file", with(Some(&right), None), &operator, Ok(())),
        ("the wrong file", with(Some(&wrong), Some(&helper.name)), &operator, Err("wrong/config.json")),
        ("the helper", with(None, Some(&helper.name)), &operator, Ok(())),
        ("no helper", with(None, Some("none-such")), &operator, Err("docker-credential-none-such")),
    ];
    for (case, docker, options, expected) in table {
        match (registry.pull(&docker, options).await, expected) {
            (Ok(()), Ok(())) => registry.forget_image(),
            (Err(HostError::Denied(said)), Err(words)) => assert!(said.contains(words), "{case}: {said}"),
            (answer, expected) => panic!("{case}: {answer:?}, expected {expected:?}"),
        }
    }
}

#[tokio::test]
async fn a_registry_behind_tls_gives_too() {
    let registry = Registry::start(true, true).await;
    registry.pull(&registry.backend(|_| {}), &login("test", "secret")).await.unwrap();
    assert!(registry.has_image());
}

#[tokio::test]
async fn an_image_goes_when_its_last_task_is_gone_and_the_delay_over() {
    let registry = Registry::start(false, false).await;
    let scene = &registry.scene;
    let gc = |delay| ImageGc { enabled: true, delay };
    let soon = registry.backend(|settings| settings.image_gc = gc(Duration::from_millis(100)));
    registry.pull(&soon, &PullOptions::default()).await.unwrap();
    // Another driver never had it, and an agent that was just started neither.
    let stranger = Caller { driver: DriverName("stranger".into()), ..scene.caller.clone() };
    soon.release(&stranger, &registry.image()).await.unwrap();
    let next = registry.backend(|settings| settings.image_gc = gc(Duration::from_millis(100)));
    next.release(&scene.caller, &registry.image()).await.unwrap();
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert!(registry.has_image(), "it is not theirs to give back");
    let mut spec = scene.shell("sleep 60");
    spec.image = registry.image();
    let id = soon.create(&scene.caller, &spec).await.unwrap();
    soon.release(&scene.caller, &registry.image()).await.unwrap();
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert!(registry.has_image(), "a container of it is there");
    // The agent after this one knows it by the container.
    next.remove(&scene.caller, &id).await.unwrap();
    next.release(&scene.caller, &registry.image()).await.unwrap();
    until("the image is removed", || !registry.has_image()).await;
    // The engine forgets the name before it forgets the image: whoever pulls in between would lose it.
    assert_eq!(next.find(&scene.caller, &registry.image()).await.unwrap(), None);

    let later = registry.backend(|settings| settings.image_gc = gc(Duration::from_secs(3)));
    registry.pull(&later, &PullOptions::default()).await.unwrap();
    later.release(&scene.caller, &registry.image()).await.unwrap();
    later.find(&scene.caller, &registry.image()).await.unwrap();
    let never = registry.backend(|settings| settings.image_gc.enabled = false);
    never.release(&scene.caller, &registry.image()).await.unwrap();
    tokio::time::sleep(Duration::from_secs(4)).await;
    assert!(registry.has_image(), "somebody asked for it in time");
}

#[tokio::test]
async fn a_pull_without_progress_is_given_up_and_tells_meanwhile() {
    let scene = Scene::new();
    // Takes connections and says nothing.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let reference = format!("{}/longshore-test/web:1", silent.local_addr().unwrap());
    let mut settings = config(&scene.endpoint, &scene.agent, Policy::default());
    settings.pull_limits = PullLimits { whole: Duration::from_secs(60), stalled: Duration::from_secs(5) };
    let told = Told::default();
    let pulled = Docker::new(settings).pull(&scene.caller, &reference, &PullOptions::default(), &told).await;
    assert!(matches!(&pulled, Err(HostError::Timeout(said)) if said.contains("no progress for 5s")), "{pulled:?}");
    let told = told.0.lock().unwrap();
    assert!(told[1].starts_with("Docker image pull progress: "), "{told:?}");
}

/// A credential helper that knows one registry, on the path while the test runs.
struct Helper {
    name: String,
    path: PathBuf,
}

impl Helper {
    fn install(registry: &str) -> Self {
        let name = format!("longshore-test-{}", std::process::id());
        let path = PathBuf::from(format!("/usr/local/bin/docker-credential-{name}"));
        let answer = r#"{"ServerURL": "x", "Username": "test", "Secret": "secret"}"#;
        let script = format!(
            "#!/bin/sh\nread -r registry\n[ \"$1 $registry\" = 'get {registry}' ] && echo '{answer}' && exit 0\n\
             echo 'credentials not found in native keychain'\nexit 1\n"
        );
        fs::write(&path, script).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        Self { name, path }
    }
}

impl Drop for Helper {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.path);
    }
}
