//! Networks of allocations, made by the kernel and nobody else: no `ip`, `nft`, `iptables` or plugin is run.
//!
//! The life of an allocation's network in mode `bridge`:
//!
//! 1. Its namespace is made and pinned by a file (`namespace`), or it is a container's, which is pinned too. Some are
//!    made before they are asked for (`spares`).
//! 2. It gets a place in the subnet (`addresses`): an IPv4 address, an IPv6 address where there is such a subnet, and
//!    a hardware address that follows from them.
//! 3. A pair of links joins it to a bridge (`segment`, with the messages of `links`), and neighbours are written down
//!    on both sides, so that no table of the kernel fills up by searching. A bridge has room for some thousand, so
//!    there are as many as it takes, each with its part of the subnet.
//! 4. Its ports become entries of maps in our table (`rules`, with the messages of `nft`), and the connections the
//!    kernel remembers of an earlier owner are forgotten (`conntrack`).
//!
//! Mode `cni/<name>` has the first step too; the others are those of the operator's plugins (`cni`).
//! Mode `none` ends with the first step. Those that go at the same time go together (`leaving`). `forwarding` gets
//! packets past Docker's firewall and tells of others it cannot get past; `check` finds all that stands in the way,
//! making nothing. Everything is derived from the kernel and from what the agent's journal says
//! ([`Networks::reconcile`]); the table is written in transactions, so no packet ever sees half of it.
//!
//! One bridge belongs to one agent, which a lock ensures; where allocations outlive the agent, the lock's file says
//! whose they are. It is opened when it is first needed: an agent whose jobs are all in the host's network never
//! touches the machine's. One that ends while no allocation has a network takes the bridge and the table away with it.

mod addresses;
mod bridge;
mod check;
mod cni;
mod conntrack;
mod forwarding;
mod leaving;
mod links;
mod namespace;
mod netlink;
mod nft;
mod rules;
mod segment;
mod spares;
mod state;

use std::{
    collections::BTreeMap,
    net::IpAddr,
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
};

use async_trait::async_trait;
use ipnet::{Ipv4Net, Ipv6Net};
use longshore_core::{
    caller::{AllocId, Caller},
    container::Containers,
    error::{HostError, Result},
    network::{Holder, Listener, Network, NetworkPlan, Networks, Obstacle, Wiring},
    port::{Port, Ports},
};

pub use self::cni::CniSettings;
pub(crate) use self::namespace::within;
use self::{
    bridge::Bridge,
    check::Refusal,
    leaving::Leaving,
    state::{State, all, check_id, detached, network_of_plugins, no_such_mode, plan_of},
};
use crate::{
    failure::{because, blocking},
    listeners,
    lock::lock,
};

/// What the operator decides about networks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NetworkSettings {
    /// Name of the bridge, at most 15 letters.
    pub bridge: String,
    /// Addresses of allocations.
    pub subnet: Ipv4Net,
    /// IPv6 addresses of allocations; at least as many.
    pub subnet_ipv6: Option<Ipv6Net>,
    /// Address of ports that name no `host_network`: they answer on every address of the host.
    pub host_ip: IpAddr,
    /// Networks made by plugins.
    pub cni: CniSettings,
    /// Where the agent's journal is: whose the bridge is while no agent runs.
    pub owner: PathBuf,
}

/// Nomad's bridge and subnet.
impl Default for NetworkSettings {
    fn default() -> Self {
        Self {
            bridge: "nomad".into(),
            subnet: Ipv4Net::new_assert(std::net::Ipv4Addr::new(172, 26, 64, 0), 20),
            subnet_ipv6: None,
            host_ip: crate::ports::default_host_ip(),
            cni: CniSettings::default(),
            owner: PathBuf::new(),
        }
    }
}

/// Names of this machine's interfaces, by their addresses.
pub fn interfaces() -> Result<BTreeMap<String, String>> {
    links::interfaces().map_err(because("the machine's addresses"))
}

/// The machine's networks of allocations.
pub struct KernelNetworks {
    inner: Arc<Inner>,
    containers: Option<Arc<dyn Containers>>,
    ports: Option<Arc<dyn Ports>>,
}

struct Inner {
    settings: NetworkSettings,
    state: Mutex<State>,
    leaving: Leaving,
    /// Held while plugins run, one network at a time: some of them cannot stand another beside them.
    plugins: Mutex<()>,
}

impl KernelNetworks {
    /// Touches nothing yet. `containers` tells the namespaces of containers, `ports` whose a port is.
    pub fn new(
        settings: NetworkSettings,
        containers: Option<Arc<dyn Containers>>,
        ports: Option<Arc<dyn Ports>>,
    ) -> Self {
        Self {
            inner: Arc::new(Inner {
                settings,
                state: Mutex::default(),
                leaving: Leaving::default(),
                plugins: Mutex::default(),
            }),
            containers,
            ports,
        }
    }

    /// The network of the caller's allocation as it is when it is attached.
    fn whole(&self, caller: &Caller) -> Result<Option<Network>> {
        let alloc = &caller.require_task()?.id.alloc;
        Ok(lock(&self.inner.state).networks.get(alloc).cloned())
    }

    async fn with<T: Send + 'static>(
        &self,
        work: impl FnOnce(&NetworkSettings, &mut State) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let inner = self.inner.clone();
        blocking(move || work(&inner.settings, &mut lock(&inner.state))).await
    }
}

/// Networks that plugins make.
impl Inner {
    fn create_by_plugins(&self, plan: &NetworkPlan) -> Result<Network> {
        check_id(&plan.alloc)?;
        check::privilege()?;
        let _turn = lock(&self.plugins);
        let known = lock(&self.state).networks.contains_key(&plan.alloc);
        let made = namespace::open_planned(plan, || lock(&self.state).spares.take());
        let made = made.and_then(|_| namespace::keep(plan)).and_then(|pin| {
            let answer = cni::create(&self.settings.cni, self.settings.host_ip, plan, &pin)?;
            Ok(network_of_plugins(plan, &pin, answer))
        });
        match &made {
            Ok(network) => {
                let mut state = lock(&self.state);
                state.networks.insert(plan.alloc.clone(), network.clone());
                state.spares.refill();
            }
            Err(_) if known => {}
            Err(_) => {
                let left = [cni::destroy(&self.settings.cni, &plan.alloc.0), self.leave(&plan.alloc)];
                for error in left.into_iter().filter_map(Result::err) {
                    tracing::warn!(alloc = %plan.alloc, %error, "remains of a network that could not be made");
                }
            }
        }
        made
    }

    fn destroy(&self, alloc: &AllocId) -> Result<()> {
        check_id(alloc)?;
        // Plugins of others may be at it for long: who has none need not wait for them.
        let by_plugins = if cni::may_have(&self.settings.cni, &alloc.0) {
            let _turn = lock(&self.plugins);
            cni::destroy(&self.settings.cni, &alloc.0)
        } else {
            Ok(())
        };
        let results = [by_plugins, self.leave(alloc)];
        all(&results.into_iter().filter_map(Result::err).collect::<Vec<_>>())
    }

    fn leave(&self, alloc: &AllocId) -> Result<()> {
        self.leaving.leave(alloc, |allocs| lock(&self.state).destroy(allocs))
    }

    /// Takes over all networks: nothing stays that none of `plans` names.
    fn reconcile(&self, plans: &[NetworkPlan]) -> Vec<Result<Network>> {
        let is_native = |plan: &&NetworkPlan| cni::name_of(&plan.mode).is_none();
        let native: Vec<_> = plans.iter().filter(is_native).cloned().collect();
        let mut made = lock(&self.state).reconcile(&self.settings, &native).into_iter();
        for alloc in cni::allocations(&self.settings.cni).into_iter().map(AllocId) {
            if plans.iter().all(|plan| plan.alloc != alloc)
                && let Err(error) = self.destroy(&alloc)
            {
                tracing::warn!(%alloc, %error, "remains of the network of an allocation that is not known any more");
            }
        }
        let one = |plan: &NetworkPlan| match cni::name_of(&plan.mode) {
            Some(_) => self.create_by_plugins(plan),
            None => made.next().unwrap_or_else(|| Err(HostError::Other("a network was left out".into()))),
        };
        plans.iter().map(one).collect()
    }
}

fn no_network() -> HostError {
    HostError::Invalid("the allocation is in network mode \"host\": it has no network of its own".into())
}

#[async_trait]
impl Networks for KernelNetworks {
    async fn current(&self, caller: &Caller) -> Result<Option<Network>> {
        let network = self.whole(caller)?;
        let state = lock(&self.inner.state);
        let shown = |network: Network| {
            if state.detached.contains(&AllocId(network.id.clone())) { detached(network) } else { network }
        };
        Ok(network.map(shown))
    }

    async fn attach_container(&self, caller: &Caller, container_id: &str) -> Result<Network> {
        let network = self.whole(caller)?.ok_or_else(no_network)?;
        if network.mode != "bridge" {
            let mode = &network.mode;
            return Err(HostError::Invalid(format!("a network of mode {mode:?} cannot be attached to a container")));
        }
        let Some(containers) = &self.containers else {
            return Err(HostError::Unavailable("this host has no container engine".into()));
        };
        let container = containers.inspect(caller, container_id).await?;
        let plan = plan_of(&network, Holder::Container(container.id), container.namespace_path);
        self.with(move |settings, state| state.create(settings, &plan)).await
    }

    async fn detach(&self, caller: &Caller) -> Result<()> {
        let alloc = caller.require_task()?.id.alloc.clone();
        self.with(move |_, state| state.detach(&alloc)).await
    }

    async fn map_port(&self, caller: &Caller, label: &str, address: &str, task_port: u16) -> Result<()> {
        let network = self.current(caller).await?.ok_or_else(no_network)?;
        if network.mode != "bridge" {
            let mode = &network.mode;
            return Err(HostError::Invalid(format!("no more ports can be mapped into a network of mode {mode:?}")));
        }
        let own = [&network.address, &network.address_ipv6].into_iter().flatten();
        if own.into_iter().all(|own| own != address) {
            return Err(HostError::Denied(format!("{address} is not an address of the allocation's network")));
        }
        let alloc = caller.require_task()?.id.alloc.clone();
        let reserved = match &self.ports {
            Some(ports) => ports.reserved(&alloc).await?,
            None => Vec::new(),
        };
        let port = reserved.into_iter().find(|port| port.label == label);
        let port =
            port.ok_or_else(|| HostError::NotFound(format!("no port {label:?} is reserved for the allocation")))?;
        let port = Port { task_port, ..port };
        self.with(move |settings, state| {
            let label = port.label.clone();
            state.change_extra(settings, &network, &alloc, |added| {
                added.retain(|other| other.label != label);
                added.push(port);
            })
        })
        .await
    }

    async fn unmap_port(&self, caller: &Caller, label: &str) -> Result<()> {
        let network = self.current(caller).await?.filter(|network| network.mode == "bridge");
        let Some(network) = network else { return Ok(()) };
        let (alloc, label) = (caller.require_task()?.id.alloc.clone(), label.to_owned());
        self.with(move |settings, state| {
            state.change_extra(settings, &network, &alloc, |added| added.retain(|port| port.label != label))
        })
        .await
    }

    async fn ready(&self, mode: &str) -> Result<()> {
        match mode {
            "host" => Ok(()),
            "none" => check::privilege().map_err(Into::into),
            "bridge" => self.with(|settings, state| state.openable(settings).map_err(Into::into)).await,
            other => match cni::name_of(other) {
                Some(name) => {
                    let (inner, name) = (self.inner.clone(), name.to_owned());
                    blocking(move || {
                        check::privilege()?;
                        cni::ready(&inner.settings.cni, &name)
                    })
                    .await
                }
                None => Err(no_such_mode(other)),
            },
        }
    }

    async fn create(&self, plan: &NetworkPlan) -> Result<Network> {
        let (inner, plan) = (self.inner.clone(), plan.clone());
        blocking(move || match cni::name_of(&plan.mode) {
            Some(_) => inner.create_by_plugins(&plan),
            None => lock(&inner.state).create(&inner.settings, &plan),
        })
        .await
    }

    async fn destroy(&self, alloc: &AllocId) -> Result<()> {
        let (inner, alloc) = (self.inner.clone(), alloc.clone());
        blocking(move || inner.destroy(&alloc)).await
    }

    async fn reconcile(&self, plans: &[NetworkPlan]) -> Vec<Result<Network>> {
        let (inner, owned, count) = (self.inner.clone(), plans.to_vec(), plans.len());
        match blocking(move || Ok(inner.reconcile(&owned))).await {
            Ok(results) => results,
            Err(error) => vec![Err(error); count],
        }
    }

    async fn repair(&self) -> Result<Vec<String>> {
        self.with(|_, state| state.bridge.as_mut().map_or(Ok(Vec::new()), Bridge::repair)).await
    }

    async fn retire(&self) -> Result<()> {
        self.with(|settings, state| state.retire(settings)).await
    }

    async fn obstacles(&self) -> Vec<Obstacle> {
        let looked = self.with(|settings, state| match state.openable(settings) {
            Ok(()) => check::firewalls(settings),
            Err(refusal) => Ok(vec![refusal.obstacle]),
        });
        looked.await.unwrap_or_else(|error| vec![Refusal::from(error).obstacle])
    }

    async fn wiring(&self, alloc: &AllocId) -> Result<Wiring> {
        let alloc = alloc.0.clone();
        self.with(move |_, state| {
            let interfaces = interfaces()?;
            let wiring = state.bridge.as_ref().and_then(|bridge| bridge.wiring(&alloc));
            let [bridge, link, table] = wiring.map_or([None, None, None], |wiring| wiring.map(Some));
            Ok(Wiring { interfaces, bridge, link, table })
        })
        .await
    }

    async fn listeners(&self, namespace: Option<&Path>) -> Result<Vec<Listener>> {
        let namespace = namespace.map(Path::to_owned);
        blocking(move || {
            let sockets = match namespace {
                Some(path) => within(&path, || Ok(listeners::sockets()))?,
                None => listeners::sockets(),
            };
            Ok(listeners::named(sockets))
        })
        .await
    }
}
