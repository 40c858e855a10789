use longshore_core::{
    container::Containers,
    error::HostError,
    image::{Images, PullOptions},
};

use super::{Scene, registry::Told};

#[tokio::test]
async fn images_are_found() {
    let scene = Scene::new();
    let image = scene.docker.find(&scene.caller, &scene.image).await.unwrap().unwrap();
    assert_eq!(image.id, scene.inspect(&scene.image, "/Id"));
    assert!(image.size_bytes > 0);
    assert_eq!(scene.docker.find(&scene.caller, &image.id).await.unwrap().unwrap().id, image.id);
    assert_eq!(scene.docker.find(&scene.caller, "longshore-test/missing:1").await.unwrap(), None);
    for wrong in ["", "wrong:", "a/../../containers/json"] {
        assert!(matches!(scene.docker.find(&scene.caller, wrong).await, Err(HostError::Invalid(_))), "{wrong:?}");
    }
}

#[tokio::test]
async fn a_pull_that_fails_says_why() {
    let scene = Scene::new();
    let events = Told::default();
    // A registry on a port of loopback that nobody listens on.
    let reference = "127.0.0.1:9/longshore-test/web:1";
    let options = PullOptions::default();
    let pull = || scene.docker.pull(&scene.caller, reference, &options, &events);
    let (first, second) = tokio::join!(pull(), pull());
    for answer in [first, second] {
        let error = answer.unwrap_err();
        assert!(
            matches!(&error, HostError::Unavailable(said) if said.starts_with(&format!("Failed to pull `{reference}`: "))),
            "{error}"
        );
        assert!(!error.to_string().contains('\n'));
    }
    assert_eq!(events.but_progress(), ["Downloading image", "Downloading image"]);
}

#[tokio::test]
async fn an_archive_is_loaded() {
    let scene = Scene::new();
    let archive = scene.scope().dirs.local.join("image.tar");
    scene.cli(&["save", "-o", archive.to_str().unwrap(), &scene.image]);
    scene.cli(&["rmi", &scene.image]);
    assert_eq!(scene.docker.find(&scene.caller, &scene.image).await.unwrap(), None);
    let loaded = scene.docker.load(&scene.caller, "local/image.tar").await.unwrap();
    assert_eq!(loaded, std::slice::from_ref(&scene.image));
    scene.docker.create(&scene.caller, &scene.shell("true")).await.unwrap();
    std::fs::write(&archive, "not an archive").unwrap();
    let error = scene.docker.load(&scene.caller, "local/image.tar").await.unwrap_err();
    assert!(matches!(&error, HostError::Invalid(said) if said.contains("local/image.tar")), "{error}");
    assert!(scene.docker.load(&scene.caller, "local/none.tar").await.is_err());
    // A pipe that nobody writes to must not make the agent wait.
    let made = std::process::Command::new("mkfifo").arg(archive.with_file_name("pipe.tar")).status().unwrap();
    assert!(made.success());
    let load = scene.docker.load(&scene.caller, "local/pipe.tar");
    let refused = tokio::time::timeout(std::time::Duration::from_secs(20), load).await.expect("it waits");
    assert!(refused.unwrap_err().to_string().contains("no regular file"));
}
