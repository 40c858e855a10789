//! A Docker Engine: the one that answers, or one started here and ended again.

use crate::failure::{Doing, Failure, Outcome};
use crate::http::Endpoint;
use crate::run::{Background, Run};
use crate::setup::find_program;
use crate::workspace::Workspace;
use std::path::Path;
use std::time::Duration;
use std::{env, fs};

const DEFAULT_SOCKET: &str = "/var/run/docker.sock";

/// An engine that answers. Dropped, it is ended if it was started here.
pub struct Engine {
    /// Where it listens.
    pub endpoint: Endpoint,
    _started: Option<Background>,
}

/// The engine of this machine, if one answers.
pub fn answering() -> Option<Engine> {
    let endpoint = match env::var("DOCKER_HOST") {
        Ok(host) => named_by(&host)?,
        Err(_) => Endpoint::Unix(DEFAULT_SOCKET.into()),
    };
    let engine = Engine { endpoint, _started: None };
    engine.answers().then_some(engine)
}

fn named_by(docker_host: &str) -> Option<Endpoint> {
    match docker_host.split_once("://")? {
        ("unix", path) => Some(Endpoint::Unix(path.into())),
        ("tcp" | "http", address) => Some(Endpoint::Tcp(address.trim_end_matches('/').into())),
        _ => None,
    }
}

/// The engine of this machine, started if none answers.
pub fn ensure(workspace: &Workspace) -> Outcome<Engine> {
    if let Some(engine) = answering() {
        return Ok(engine);
    }
    if let Ok(host) = env::var("DOCKER_HOST") {
        return Err(Failure::new(format!(
            "DOCKER_HOST is {host}, and no Docker Engine answers there: unset it or start one"
        )));
    }
    let dockerd = find_program("dockerd").ok_or_else(|| Failure::new("no dockerd: apt-get install docker.io"))?;
    if !rustix::process::geteuid().is_root() {
        return Err(Failure::new("no Docker Engine answers and only root can start one: systemctl start docker"));
    }
    let log = workspace.scratch("dockerd")?.join("dockerd.log");
    println!("    starting dockerd, log in {}", log.display());
    let mut started = Run::new(dockerd).background(&log)?;
    let mut engine = Engine { endpoint: Endpoint::Unix(DEFAULT_SOCKET.into()), _started: None };
    started.wait_until("dockerd answers", Duration::from_secs(60), || engine.answers())?;
    engine._started = Some(started);
    Ok(engine)
}

/// An image made here, removed when dropped.
pub struct Image<'a> {
    engine: &'a Engine,
    name: String,
}

impl Engine {
    fn answers(&self) -> bool {
        self.endpoint.get("/_ping").is_ok_and(|answer| answer.status == 200)
    }

    /// Makes an image of this machine's static busybox: nothing has to be pulled.
    pub fn busybox_image(&self, workspace: &Workspace, name: &str) -> Outcome<Image<'_>> {
        let archive = busybox_archive(workspace)?;
        let (repository, tag) = name.split_once(':').unwrap_or((name, "latest"));
        let path = format!("/images/create?fromSrc=-&repo={repository}&tag={tag}");
        let answer = self.endpoint.request("POST", &path, "application/x-tar", &archive)?;
        if answer.status != 200 || answer.body.contains("\"error\"") {
            return Err(Failure::new(format!("the engine did not import {name}: {}", answer.body.trim())));
        }
        Ok(Image { engine: self, name: name.to_owned() })
    }
}

impl Drop for Image<'_> {
    fn drop(&mut self) {
        let _ = self.engine.endpoint.request("DELETE", &format!("/images/{}?force=true", self.name), "", &[]);
    }
}

/// A tar archive with `/bin/busybox`, its applets as links and a page in `/www`, or why there can be none.
fn busybox_archive(workspace: &Workspace) -> Outcome<Vec<u8>> {
    let busybox = static_busybox()?;
    let root = workspace.scratch("busybox-image")?;
    for folder in ["bin", "tmp", "www"] {
        fs::create_dir_all(root.join(folder)).doing(|| format!("cannot make {}", root.display()))?;
    }
    fs::write(root.join("www/index.html"), "hello\n").doing(|| "cannot write a page".into())?;
    fs::copy(&busybox, root.join("bin/busybox")).doing(|| format!("cannot copy {busybox}"))?;
    for applet in Run::new(&busybox).args(&["--list"]).output()?.lines().filter(|applet| *applet != "busybox") {
        let link = root.join("bin").join(applet);
        let _ = fs::remove_file(&link);
        std::os::unix::fs::symlink("busybox", &link).doing(|| format!("cannot link {}", link.display()))?;
    }
    let archive = root.with_extension("tar");
    Run::new("tar")
        .args(&["--numeric-owner", "--owner=0", "--group=0", "-cf"])
        .args(&[&archive])
        .args(&["-C"])
        .args(&[&root])
        .args(&["."])
        .check()?;
    fs::read(&archive).doing(|| format!("cannot read {}", archive.display()))
}

/// The machine's busybox, if it runs without libraries.
pub fn static_busybox() -> Outcome<String> {
    let path = ["/bin/busybox", "/usr/bin/busybox"].into_iter().find(|path| Path::new(path).exists());
    let path = path.ok_or_else(|| Failure::new("no /bin/busybox: apt-get install busybox-static"))?;
    // A dynamic program names its loader near its start.
    let start = fs::read(path).doing(|| format!("cannot read {path}"))?;
    let dynamic = start
        .iter()
        .take(4096)
        .copied()
        .collect::<Vec<u8>>()
        .windows(6)
        .any(|window| window == b"ld-lin" || window == b"ld-mus");
    match dynamic {
        true => Err(Failure::new(format!("{path} needs libraries: apt-get install busybox-static"))),
        false => Ok(path.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn docker_host_names_an_endpoint() {
        for (host, endpoint) in [
            ("unix:///run/other.sock", Some(Endpoint::Unix("/run/other.sock".into()))),
            ("tcp://127.0.0.1:2375/", Some(Endpoint::Tcp("127.0.0.1:2375".into()))),
            ("ssh://somewhere", None),
            ("", None),
        ] {
            assert_eq!(named_by(host), endpoint, "{host}");
        }
    }

    #[test]
    fn an_image_of_busybox_lives_as_long_as_its_guard() {
        let engine = answering().expect("no Docker Engine answers: run this through `cargo xtask test`");
        let workspace = Workspace::find().unwrap();
        let name = format!("longshore-xtask-test:{}", std::process::id());
        let known = || engine.endpoint.get(&format!("/images/{name}/json")).unwrap().status;
        let image = engine.busybox_image(&workspace, &name).unwrap();
        assert_eq!(known(), 200);
        drop(image);
        assert_eq!(known(), 404);
    }
}
