//! What our components import, read from the components themselves: a driver asks for exactly the grants its
//! documentation says, whatever language it is written in.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a failed test is how tests speak")]

use std::path::{Path, PathBuf};

use wit_component::{DecodedWasm, decode};

fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn scratch(name: &str) -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join(name)
}

/// Imported and exported interfaces, without versions, sorted.
fn interfaces(component: &[u8]) -> (Vec<String>, Vec<String>) {
    let DecodedWasm::Component(resolve, world) = decode(component).expect("a component") else {
        panic!("a WIT package, not a component");
    };
    let world = &resolve.worlds[world];
    let names = |keys: Vec<_>| {
        let mut names: Vec<_> = keys.into_iter().map(|key| resolve.name_world_key(key)).collect();
        names.sort();
        names.into_iter().map(|name| name.split('@').next().unwrap_or_default().to_owned()).collect()
    };
    (names(world.imports.keys().collect()), names(world.exports.keys().collect()))
}

fn host(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| format!("longshore:host/{name}")).collect()
}

/// Imports but the interfaces of types, which hold no function.
fn functions(imports: Vec<String>) -> Vec<String> {
    imports.into_iter().filter(|name| !name.ends_with("/types")).collect()
}

fn exports(optional: &[&str]) -> Vec<String> {
    let mut all: Vec<_> =
        ["about", "lifecycle"].iter().chain(optional).map(|name| format!("longshore:driver/{name}")).collect();
    all.sort();
    all
}

#[test]
fn first_party_drivers_import_what_they_use_and_no_wasi() {
    let expected: [(&str, &[&str], &[&str]); 7] = [
        ("docker", &["containers", "images", "settings"], &["exec", "network", "signals"]),
        ("exec", &["processes", "settings"], &["exec", "signals"]),
        ("java", &["processes", "settings"], &["exec", "signals"]),
        ("mock", &["processes"], &["signals"]),
        ("qemu", &["files", "processes", "settings"], &["exec", "signals"]),
        ("raw-exec", &["processes"], &["exec", "signals"]),
        ("wasm", &["components"], &[]),
    ];
    let packages = expected.map(|(folder, ..)| format!("longshore-driver-{folder}"));
    let packages = packages.each_ref().map(String::as_str);
    let built = xtask::component::build_packages(&workspace(), &packages, &scratch("drivers")).unwrap();
    for ((package, imported, exported), component) in expected.into_iter().zip(&built) {
        let (imports, told) = interfaces(component);
        assert_eq!(functions(imports), host(imported), "{package}");
        assert_eq!(told, exports(exported), "{package}");
    }
}

#[test]
fn the_sdk_example_imports_processes() {
    let component =
        xtask::component::build(&workspace().join("examples/drivers/rust"), &scratch("rust-example")).unwrap();
    let (imports, told) = interfaces(&component);
    assert_eq!(functions(imports), host(&["processes"]));
    assert_eq!(told, exports(&[]));
}

#[test]
fn the_python_example_imports_processes() {
    let component = xtask::languages::python(&scratch("python")).unwrap_or_else(|error| panic!("{error}"));
    let (imports, told) = interfaces(&std::fs::read(component).unwrap());
    assert_eq!(functions(imports), host(&["processes"]));
    // componentize-py also exports an instance of its own, `exports`.
    let ours: Vec<_> = told.into_iter().filter(|name| name.starts_with("longshore:")).collect();
    assert_eq!(ours, exports(&[]));
}

#[test]
fn the_c_example_imports_processes_and_its_library_s_wasi() {
    let component = xtask::languages::c(&scratch("c")).unwrap_or_else(|error| panic!("{error}"));
    let (imports, told) = interfaces(&std::fs::read(component).unwrap());
    let ours: Vec<_> = functions(imports).into_iter().filter(|name| !name.starts_with("wasi:")).collect();
    assert_eq!(ours, host(&["processes"]));
    assert_eq!(told, exports(&[]));
}

#[test]
fn the_hello_example_answers_http() {
    let directory = workspace().join("examples/components/hello");
    let file = xtask::component::build_wasip2(&directory, &scratch("hello")).unwrap();
    let (_, told) = interfaces(&std::fs::read(file).unwrap());
    assert_eq!(told, ["wasi:http/incoming-handler"]);
}
