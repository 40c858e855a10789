//! Compiled code is kept, and trusted only as far as it is known to be ours.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

use longshore_core::driver::Driver;
use longshore_fake::Fake;
use longshore_wasm::{
    engine::{Engine, EngineConfig},
    registry::Registry,
};

use crate::support::{config, task};

fn engine(directory: &Path) -> Engine {
    Engine::new(EngineConfig { cache_dir: Some(directory.into()), ..Default::default() }).unwrap()
}

/// Loads the driver and starts a task on it; answers how often the cache had its code and had it not.
async fn load_and_start(directory: &Path) -> (usize, usize) {
    let engine = engine(directory);
    let driver = Registry::new(engine.clone(), Fake::new().backends()).add(config()).await.unwrap();
    driver.start(&task("t", "")).await.unwrap();
    engine.cache_use().unwrap()
}

fn entries(directory: &Path) -> Vec<PathBuf> {
    let compilers = fs::read_dir(directory.join("code/modules")).unwrap();
    let files = compilers.flat_map(|compiler| fs::read_dir(compiler.unwrap().path()).unwrap());
    files.map(|file| file.unwrap().path()).filter(|path| path.extension().is_none()).collect()
}

#[tokio::test]
async fn code_is_compiled_once() {
    let scratch = tempfile::tempdir().unwrap();
    let directory = scratch.path().join("cache");
    assert_eq!(load_and_start(&directory).await, (0, 1));
    assert_eq!(load_and_start(&directory).await, (1, 0));
    let mode = fs::metadata(&directory).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o700);
}

#[tokio::test]
async fn an_entry_that_is_not_as_it_was_written_is_compiled_again() {
    let scratch = tempfile::tempdir().unwrap();
    let directory = scratch.path().join("cache");
    load_and_start(&directory).await;
    let spoil: [fn(&Path); 4] = [
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
    ];
    for spoil in spoil {
        let entry = entries(&directory).pop().expect("one entry");
        spoil(&entry);
        assert_eq!(load_and_start(&directory).await, (0, 1));
        assert_eq!(load_and_start(&directory).await, (1, 0), "the entry is whole again");
    }
}

#[tokio::test]
async fn an_entry_of_somebody_else_is_removed() {
    let scratch = tempfile::tempdir().unwrap();
    let directory = scratch.path().join("cache");
    load_and_start(&directory).await;
    let planted = entries(&directory).pop().unwrap().with_file_name("planted");
    fs::write(&planted, b"code of somebody else").unwrap();
    engine(&directory);
    assert!(!planted.exists());
}

#[test]
fn a_directory_open_to_others_is_refused_with_a_remedy() {
    let scratch = tempfile::tempdir().unwrap();
    fs::set_permissions(scratch.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let config = EngineConfig { cache_dir: Some(scratch.path().into()), ..Default::default() };
    let told = Engine::new(config).err().unwrap().to_string();
    assert!(told.contains("has mode 0755"), "{told}");
    assert!(told.contains(&format!("chmod 700 {}", scratch.path().display())), "{told}");
}

#[test]
fn a_file_is_no_cache() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let config = EngineConfig { cache_dir: Some(file.path().into()), ..Default::default() };
    let told = Engine::new(config).err().unwrap().to_string();
    assert!(told.contains("is not a directory"), "{told}");
}
