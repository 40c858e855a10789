//! Why some blocks are refused when a job is submitted. A block that the agent learns to act on loses its reason.

/// Will work, in a version to come.
pub const LATER: &str = "not supported yet";
/// Of blocks that speak of Consul itself.
pub const CONSUL: &str = "no Consul stands behind this agent; services are its own";
/// Of the mesh.
pub const CONNECT: &str = "Consul Connect is not offered: no Consul stands behind this agent";
/// Of blocks that speak of Vault.
pub const VAULT: &str = "no Vault stands behind this agent";
/// Of what Nomad itself sells apart.
pub const MULTIREGION: &str = "multiregion requires Nomad Enterprise";
/// As above.
pub const SCHEDULE: &str = "schedule requires Nomad Enterprise";
/// Of remote storage.
pub const CSI: &str = "volumes of remote storage need a cluster";
/// Of memory nodes.
pub const NUMA: &str = "tasks cannot be bound to memory nodes yet";
/// Of the task attribute `kind`.
pub const KIND: &str = "it is set by Consul Connect, which this agent does not offer";
/// Of the size of the secrets directory.
pub const SECRETS_SIZE: &str = "the size of the secrets directory cannot be chosen yet";
