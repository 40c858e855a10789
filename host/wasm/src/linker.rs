//! One linker per grant set: what was not granted is not there to be called.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use longshore_core::grant::{Grant, Grants};
use wasmtime::component::{HasSelf, Linker};

use crate::{
    bindings::longshore::{driver, host},
    engine::Engine,
    store::Operation,
};

/// Which interfaces a linker holds.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Linked {
    /// The host's interfaces, and `wasi:http` if an engine is among them.
    pub(crate) grants: Vec<Grant>,
    /// The locked-down WASI.
    pub(crate) wasi: bool,
}

impl Linked {
    pub(crate) fn new(grants: &Grants, wasi: bool) -> Self {
        Self { grants: grants.0.iter().cloned().collect(), wasi }
    }

    /// Everything there is, for looking at a component without giving it anything.
    pub(crate) fn everything() -> Self {
        Self { grants: Grant::all_interfaces().chain([Grant::Http(String::new())]).collect(), wasi: true }
    }
}

/// Linkers made so far. Drivers with the same grants share one.
pub(crate) struct Linkers {
    pub(crate) engine: Engine,
    made: Mutex<HashMap<Linked, Arc<Linker<Operation>>>>,
}

impl Linkers {
    pub(crate) fn new(engine: &Engine) -> Self {
        Self { engine: engine.clone(), made: Mutex::default() }
    }

    /// The linker for a grant set.
    pub(crate) fn get(&self, linked: &Linked) -> wasmtime::Result<Arc<Linker<Operation>>> {
        let mut made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(linker) = made.get(linked) {
            return Ok(linker.clone());
        }
        let linker = Arc::new(build(self.engine.wasmtime(), linked)?);
        made.insert(linked.clone(), linker.clone());
        Ok(linker)
    }
}

fn build(engine: &wasmtime::Engine, linked: &Linked) -> wasmtime::Result<Linker<Operation>> {
    let mut linker = Linker::new(engine);
    if linked.wasi {
        wasmtime_wasi::p2::add_to_linker_async(&mut linker)?;
    }
    host::types::add_to_linker::<_, HasSelf<_>>(&mut linker, |operation| operation)?;
    driver::types::add_to_linker::<_, HasSelf<_>>(&mut linker, |operation| operation)?;
    host::log::add_to_linker::<_, HasSelf<_>>(&mut linker, |operation| operation)?;
    host::events::add_to_linker::<_, HasSelf<_>>(&mut linker, |operation| operation)?;
    host::settings::add_to_linker::<_, HasSelf<_>>(&mut linker, |operation| operation)?;
    let mut http = false;
    for grant in &linked.grants {
        http |= matches!(grant, Grant::Http(_));
        add(&mut linker, grant)?;
    }
    if http {
        wasmtime_wasi_http::p2::add_only_http_to_linker_async(&mut linker)?;
    }
    Ok(linker)
}

/// Adds the interface a grant is for.
fn add(linker: &mut Linker<Operation>, grant: &Grant) -> wasmtime::Result<()> {
    match grant {
        Grant::State => host::state::add_to_linker::<_, HasSelf<_>>(linker, |operation| operation),
        Grant::Files => host::files::add_to_linker::<_, HasSelf<_>>(linker, |operation| operation),
        Grant::Ports => host::ports::add_to_linker::<_, HasSelf<_>>(linker, |operation| operation),
        Grant::Networks => host::networks::add_to_linker::<_, HasSelf<_>>(linker, |operation| operation),
        Grant::Containers => host::containers::add_to_linker::<_, HasSelf<_>>(linker, |operation| operation),
        Grant::Images => host::images::add_to_linker::<_, HasSelf<_>>(linker, |operation| operation),
        Grant::Processes => host::processes::add_to_linker::<_, HasSelf<_>>(linker, |operation| operation),
        Grant::Components => host::components::add_to_linker::<_, HasSelf<_>>(linker, |operation| operation),
        Grant::Http(_) => Ok(()),
    }
}
