//! Compiled code is kept, and trusted only as far as it is known to be ours.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use longshore_core::code::CodeStore;
use longshore_linux::code::CodeDirectory;
use tempfile::TempDir;
use wasmtime::{Config, Engine};

const KEY: &str = "2c26b46b68ffc68f-01";
/// The smallest there is.
const COMPONENT: &[u8] = b"\0asm\x0d\0\x01\0";

struct Scene {
    scratch: TempDir,
    engine: Engine,
}

impl Scene {
    fn new() -> Self {
        Self { scratch: tempfile::tempdir().unwrap(), engine: Engine::default() }
    }

    fn path(&self) -> PathBuf {
        self.scratch.path().join("cache")
    }

    fn open(&self) -> CodeDirectory {
        CodeDirectory::open(&self.path()).unwrap()
    }

    fn keep(&self, directory: &CodeDirectory) {
        directory.keep(KEY, &self.engine.precompile_component(COMPONENT).unwrap()).unwrap();
    }

    fn is_found(&self, directory: &CodeDirectory) -> bool {
        directory.load(&self.engine, KEY).is_some()
    }

    fn entries(&self) -> Vec<PathBuf> {
        fs::read_dir(self.path()).unwrap().map(|entry| entry.unwrap().path()).collect()
    }
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[test]
fn what_was_kept_is_found_now_and_after_a_restart() {
    let scene = Scene::new();
    let directory = scene.open();
    assert!(!scene.is_found(&directory));
    scene.keep(&directory);
    assert!(scene.is_found(&directory));
    assert!(scene.is_found(&scene.open()));
    assert_eq!((mode(&scene.path()), mode(&scene.entries()[0])), (0o700, 0o600));
}

#[test]
fn what_is_not_as_it_was_written_is_removed() {
    let spoil: [fn(&Path); 5] = [
        |entry| fs::write(entry, b"").unwrap(),
        |entry| fs::write(entry, b"not code at all").unwrap(),
        |entry| {
            let mut bytes = fs::read(entry).unwrap();
            let middle = bytes.len() / 2;
            bytes[middle] ^= 1;
            fs::write(entry, bytes).unwrap();
        },
        |entry| {
            fs::remove_file(entry).unwrap();
            fs::create_dir(entry).unwrap();
        },
        |entry| {
            let target = entry.with_file_name("..").join("elsewhere");
            fs::rename(entry, &target).unwrap();
            std::os::unix::fs::symlink(target, entry).unwrap();
        },
    ];
    for (nth, spoil) in spoil.into_iter().enumerate() {
        let scene = Scene::new();
        scene.keep(&scene.open());
        spoil(&scene.entries()[0]);
        let directory = scene.open();
        assert!(!scene.is_found(&directory), "{nth}");
        assert_eq!(scene.entries(), [] as [PathBuf; 0], "{nth}");
        scene.keep(&directory);
        assert!(scene.is_found(&directory), "{nth}: it is whole again");
    }
}

#[test]
fn what_somebody_else_put_there_is_removed_and_what_is_being_written_stays() {
    let scene = Scene::new();
    scene.open();
    let plant = |name: &str, age: u64| {
        let file = fs::File::create(scene.path().join(name)).unwrap();
        file.set_modified(SystemTime::now() - Duration::from_secs(age)).unwrap();
    };
    plant("planted", 0);
    plant(&format!("{KEY}.{}", "0".repeat(64)), 0);
    plant(&format!("{KEY}.99-0.new"), 60);
    plant(&format!("{KEY}.98-0.new"), 7200);
    fs::create_dir(scene.path().join("code")).unwrap();
    scene.open();
    assert_eq!(scene.entries(), [scene.path().join(format!("{KEY}.99-0.new"))]);
}

#[test]
fn code_of_another_engine_is_not_used() {
    let scene = Scene::new();
    let directory = scene.open();
    directory.keep(KEY, b"code of something else").unwrap();
    assert!(!scene.is_found(&directory));
    let other = Engine::new(Config::new().epoch_interruption(true)).unwrap();
    directory.keep(KEY, &other.precompile_component(COMPONENT).unwrap()).unwrap();
    assert!(!scene.is_found(&directory));
    assert!(directory.load(&other, KEY).is_some());
}

#[test]
fn what_was_not_used_for_the_longest_time_goes_first() {
    let scene = Scene::new();
    let directory = scene.open();
    let code = scene.engine.precompile_component(COMPONENT).unwrap();
    for nth in 0..70 {
        directory.keep(&format!("{nth:02}"), &code).unwrap();
    }
    for entry in scene.entries() {
        let age = Duration::from_secs(1_000);
        fs::File::open(entry).unwrap().set_modified(SystemTime::now() - age).unwrap();
    }
    assert!(directory.load(&scene.engine, "03").is_some());
    let again = scene.open();
    assert_eq!(scene.entries().len(), 64);
    assert!(again.load(&scene.engine, "03").is_some());
}

#[test]
fn a_directory_open_to_others_is_refused_with_a_remedy() {
    let scene = Scene::new();
    scene.open();
    fs::set_permissions(scene.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let told = CodeDirectory::open(&scene.path()).unwrap_err().to_string();
    assert!(told.contains("has mode 0755"), "{told}");
    assert!(told.contains(&format!("chmod 700 {}", scene.path().display())), "{told}");
}

#[test]
fn what_is_no_directory_is_refused() {
    let scene = Scene::new();
    fs::write(scene.path(), "").unwrap();
    let told = CodeDirectory::open(&scene.path()).unwrap_err().to_string();
    assert!(told.contains("is not a directory"), "{told}");
    fs::remove_file(scene.path()).unwrap();
    std::os::unix::fs::symlink("/tmp", scene.path()).unwrap();
    let told = CodeDirectory::open(&scene.path()).unwrap_err().to_string();
    assert!(told.contains("is not a directory"), "{told}");
}
