//! The container that holds a group's network namespace while its tasks come and go.

use longshore_sdk::{
    CreatedNetwork, Error, KeyValue, NamespaceHolder, NetworkRequest, handle,
    host::{
        Limits,
        containers::{ContainerNetwork, ContainerSpec},
        images::PullOptions,
    },
};

use crate::{engine::Engine, lifecycle::Handle, spec::LABEL_PREFIX};

/// The image every host has built in.
const BUILT_IN: &str = "longshore/pause:1";

/// Makes a holder and starts it. Its network is none: the host puts the allocation's into it.
pub fn create(engine: &impl Engine, request: NetworkRequest) -> Result<CreatedNetwork, Error> {
    let image = engine.settings()?.infra_image.filter(|image| !image.is_empty()).unwrap_or_else(|| BUILT_IN.into());
    let spec = spec(image, request);
    let created = match engine.create(&spec) {
        Err(Error::NotFound(_)) => {
            let options = PullOptions { credentials: None, timeout_ms: 0, platform: None };
            engine.pull(&spec.image, &options)?;
            engine.create(&spec)
        }
        created => created,
    };
    let id = created.map_err(|error| error.context("failed to create the container that holds the network"))?;
    if let Err(error) = engine.start(&id) {
        // Removing is best effort: `destroy` finds what is left.
        let _ = engine.remove(&id);
        return Err(error.context("failed to start the container that holds the network"));
    }
    let handle = handle::encode(&Handle { container_id: id.clone(), image: String::new() })?;
    Ok(CreatedNetwork { holder: NamespaceHolder::Container(id), handle })
}

/// Removes it, whatever is kept of ended tasks; without a handle, whatever there is for the allocation.
pub fn destroy(engine: &impl Engine, handle: Option<&[u8]>) -> Result<(), Error> {
    match handle {
        Some(bytes) => engine.remove(&handle::decode::<Handle>(bytes)?.container_id),
        None => {
            let removed: Vec<_> = engine.list_own()?.iter().map(|container| engine.remove(&container.id)).collect();
            removed.into_iter().collect()
        }
    }
}

fn spec(image: String, request: NetworkRequest) -> ContainerSpec {
    ContainerSpec {
        name: format!("longshore_init_{}", request.alloc_id),
        image,
        entrypoint: Vec::new(),
        command: Vec::new(),
        env: Vec::new(),
        working_dir: None,
        user: None,
        hostname: request.hostname,
        labels: vec![KeyValue { key: format!("{LABEL_PREFIX}alloc_id"), value: request.alloc_id }],
        mounts: Vec::new(),
        network: ContainerNetwork::None,
        ports: Vec::new(),
        limits: Limits::default(),
        engine_options: None,
    }
}
