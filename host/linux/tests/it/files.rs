//! Files of an allocation, and attempts to leave it.

use std::{fs, os::unix::fs::symlink, path::Path};

use longshore_core::{
    error::HostError,
    file::{Files, MAX_ENTRIES, MAX_FILE_BYTES},
};
use longshore_linux::files::AllocFiles;

use crate::support::Scene;

#[tokio::test]
async fn reads_and_writes_below_the_three_directories() {
    let scene = Scene::new();
    let caller = &scene.caller;
    for (path, on_host) in [
        ("local/a.txt", scene.scope().dirs.local.join("a.txt")),
        ("/local/deep/er/b", scene.scope().dirs.local.join("deep/er/b")),
        ("secrets/key", scene.scope().dirs.secrets.join("key")),
        ("alloc/data/./c", scene.scope().dirs.alloc.join("data/c")),
    ] {
        AllocFiles.write(caller, path, b"one", 0o640).await.unwrap();
        AllocFiles.write(caller, path, b"twofold", 0o751).await.unwrap();
        assert_eq!(fs::read(&on_host).unwrap(), b"twofold", "{path}");
        assert_eq!(AllocFiles.read(caller, path).await.unwrap(), b"twofold");
        let info = AllocFiles.stat(caller, path).await.unwrap();
        assert_eq!((info.directory, info.size_bytes, info.mode), (false, 7, 0o751), "{path}");
        assert_eq!(info.name, on_host.file_name().unwrap().to_str().unwrap());
        assert_eq!(AllocFiles.resolve(caller, path).await.unwrap(), on_host.canonicalize().unwrap());
    }
    let names = |list: Vec<longshore_core::file::FileInfo>| list.into_iter().map(|info| info.name).collect::<Vec<_>>();
    assert_eq!(names(AllocFiles.list(caller, "local").await.unwrap()), ["a.txt", "deep"]);
    assert_eq!(names(AllocFiles.list(caller, "/local/").await.unwrap()), ["a.txt", "deep"]);
    assert!(AllocFiles.stat(caller, "alloc").await.unwrap().directory);

    assert!(matches!(AllocFiles.remove(caller, "local/deep").await, Err(HostError::Conflict(_))));
    for path in ["local/deep/er/b", "local/deep/er", "local/deep", "local/deep", "local/never"] {
        AllocFiles.remove(caller, path).await.unwrap();
    }
    assert!(matches!(AllocFiles.remove(caller, "local").await, Err(HostError::Denied(_))));
}

async fn refusals(scene: &Scene, path: &str) -> Vec<HostError> {
    let caller = &scene.caller;
    vec![
        AllocFiles.read(caller, path).await.unwrap_err(),
        AllocFiles.write(caller, path, b"x", 0o600).await.unwrap_err(),
        AllocFiles.list(caller, path).await.unwrap_err(),
        AllocFiles.stat(caller, path).await.unwrap_err(),
        AllocFiles.resolve(caller, path).await.unwrap_err(),
    ]
}

#[tokio::test]
async fn nothing_leads_out() {
    let scene = Scene::new();
    let outside = scene.dir.join("outside");
    fs::create_dir(&outside).unwrap();
    fs::write(outside.join("file"), "precious").unwrap();
    let local = &scene.scope().dirs.local;
    symlink(&outside, local.join("absolute")).unwrap();
    symlink("../../outside", local.join("relative")).unwrap();
    symlink("/", local.join("root")).unwrap();
    symlink("relative/file", local.join("chain")).unwrap();
    for path in [
        "",
        "/",
        "..",
        "etc/passwd",
        "/etc/passwd",
        "logs/x",
        "local/../secrets/x",
        "local/..",
        "alloc/../../outside/file",
        "local/absolute/file",
        "local/relative/file",
        "local/root/etc/passwd",
    ] {
        for error in refusals(&scene, path).await {
            assert!(matches!(error, HostError::Denied(_)), "{path}: {error}");
        }
    }
    // The link itself is replaced or removed, never what it names.
    assert!(matches!(AllocFiles.read(&scene.caller, "local/chain").await, Err(HostError::Denied(_))));
    AllocFiles.write(&scene.caller, "local/chain", b"mine", 0o600).await.unwrap();
    AllocFiles.remove(&scene.caller, "local/absolute").await.unwrap();
    assert_eq!(fs::read_to_string(outside.join("file")).unwrap(), "precious");

    // The task's own directory replaced by a link.
    fs::remove_dir_all(local).unwrap();
    symlink(&outside, local).unwrap();
    for error in refusals(&scene, "local/file").await {
        assert!(matches!(error, HostError::Denied(_)), "{error}");
    }
    assert!(matches!(AllocFiles.remove(&scene.caller, "local/file").await, Err(HostError::Denied(_))));
    assert_eq!(fs::read_to_string(outside.join("file")).unwrap(), "precious");
}

#[tokio::test]
async fn limits_and_odd_files() {
    let scene = Scene::new();
    let (caller, local) = (&scene.caller, &scene.scope().dirs.local);
    let largest = vec![7; MAX_FILE_BYTES as usize];
    AllocFiles.write(caller, "local/largest", &largest, 0o600).await.unwrap();
    assert_eq!(AllocFiles.read(caller, "local/largest").await.unwrap().len() as u64, MAX_FILE_BYTES);
    let larger = vec![7; MAX_FILE_BYTES as usize + 1];
    fs::write(local.join("larger"), &larger).unwrap();
    assert!(matches!(AllocFiles.read(caller, "local/larger").await, Err(HostError::Limit(_))));
    assert!(matches!(AllocFiles.write(caller, "local/x", &larger, 0o600).await, Err(HostError::Limit(_))));
    assert!(matches!(AllocFiles.write(caller, "local/x", b"", 0o4755).await, Err(HostError::Invalid(_))));
    assert!(matches!(AllocFiles.read(caller, "local/absent").await, Err(HostError::NotFound(_))));
    assert!(AllocFiles.read(caller, "local").await.is_err());
    assert!(AllocFiles.list(caller, "local/largest").await.is_err());
    assert!(AllocFiles.write(caller, "local", b"", 0o600).await.is_err());
    assert!(matches!(AllocFiles.read(caller, "local/a\0b").await, Err(HostError::Invalid(_))));

    // A pipe nobody writes to must not make the agent wait.
    let pipe = local.join("pipe");
    let made = std::process::Command::new("mkfifo").arg(&pipe).status().unwrap();
    assert!(made.success());
    assert!(AllocFiles.read(caller, "local/pipe").await.is_err());

    let many = local.join("many");
    fs::create_dir(&many).unwrap();
    let fill =
        |from: usize, to: usize| (from..to).for_each(|i| fs::write(Path::new(&many).join(i.to_string()), "").unwrap());
    fill(0, MAX_ENTRIES);
    assert_eq!(AllocFiles.list(caller, "local/many").await.unwrap().len(), MAX_ENTRIES);
    fill(MAX_ENTRIES, MAX_ENTRIES + 1);
    assert!(matches!(AllocFiles.list(caller, "local/many").await, Err(HostError::Limit(_))));
}
