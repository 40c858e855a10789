//! Blocks that are not acted on and therefore refused by name. Supporting one means moving it out of here.

const LATER: &str = "not supported yet";

/// In `job`.
pub mod job {
    use super::super::{Block, refused};
    use super::LATER;

    pub const CONSUL: &str = "no Consul stands behind this agent; services are its own";
    pub const VAULT_REASON: &str = "no Vault stands behind this agent";

    pub static MULTIREGION: Block = refused("multiregion", "Multiregion", "multiregion requires Nomad Enterprise");
    pub static PARAMETERIZED: Block = refused("parameterized", "ParameterizedJob", LATER);
    pub static PERIODIC: Block = refused("periodic", "Periodic", LATER);
    pub static SECRET: Block = refused("secret", "Secrets", LATER);
    pub static UI: Block = refused("ui", "UI", "there is no web interface to show it");
    pub static VAULT: Block = refused("vault", "Vault", VAULT_REASON);
}

/// In `group` and its network.
pub mod group {
    use super::super::{Block, refused};
    use super::LATER;

    pub const MAX_RUN: &str = LATER;

    pub static SERVICE: Block = refused("service", "Services", LATER);
    pub static VOLUME: Block = refused("volume", "Volumes", LATER);
    pub static CONSUL: Block = refused("consul", "Consul", super::job::CONSUL);
    pub static VAULT: Block = refused("vault", "Vault", super::job::VAULT_REASON);
    pub static CNI: Block = refused("cni", "CNI", LATER);
}

/// In `task` and its resources.
pub mod task {
    use super::super::{Block, refused};
    use super::LATER;

    pub const KIND: &str = "it is set by Consul Connect, which this agent does not offer";

    pub static ACTION: Block = refused("action", "Actions", LATER);
    pub static ARTIFACT: Block = refused("artifact", "Artifacts", LATER);
    pub static CONSUL: Block = refused("consul", "Consul", super::job::CONSUL);
    pub static CSI_PLUGIN: Block = refused("csi_plugin", "CSIPluginConfig", "volumes of remote storage need a cluster");
    pub static DISPATCH_PAYLOAD: Block = refused("dispatch_payload", "DispatchPayload", LATER);
    pub static IDENTITY: Block = refused("identity", "Identities", LATER);
    pub static SCHEDULE: Block = refused("schedule", "Schedule", "schedule requires Nomad Enterprise");
    pub static SECRET: Block = refused("secret", "Secrets", LATER);
    pub static SERVICE: Block = refused("service", "Services", LATER);
    pub static TEMPLATE: Block = refused("template", "Templates", LATER);
    pub static VAULT: Block = refused("vault", "Vault", super::job::VAULT_REASON);
    pub static VOLUME_MOUNT: Block = refused("volume_mount", "VolumeMounts", LATER);
    pub static DEVICE: Block = refused("device", "Devices", LATER);
    pub static NUMA: Block = refused("numa", "NUMA", "tasks cannot be bound to memory nodes yet");
}
