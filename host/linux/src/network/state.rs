//! The networks there are, and how one comes and goes.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
    slice,
};

use longshore_core::{
    caller::AllocId,
    error::{HostError, Result},
    network::{Holder, Network, NetworkPlan},
    port::Port,
};

use super::{
    NetworkSettings,
    addresses::Pair,
    bridge::Bridge,
    check::{self, Refusal},
    cni, namespace, segment,
    spares::Spares,
};

/// The mode whose networks hang on our bridge.
const BRIDGE: &str = "bridge";

/// What this agent has of the machine.
#[derive(Default)]
pub(super) struct State {
    pub bridge: Option<Bridge>,
    pub networks: BTreeMap<AllocId, Network>,
    /// Allocations whose drivers took their network away; it comes back when they attach it again.
    pub detached: BTreeSet<AllocId>,
    /// Ports that drivers mapped beside the job file's, for every network that is known.
    extra: BTreeMap<AllocId, Vec<Port>>,
    pub spares: Spares,
}

impl State {
    fn bridge(&mut self, settings: &NetworkSettings) -> Result<&mut Bridge> {
        if self.bridge.is_none() {
            self.bridge = Some(Bridge::open(settings)?);
        }
        self.bridge.as_mut().ok_or_else(|| HostError::Other("the bridge is gone".into()))
    }

    /// Whether there is a bridge or one can be made, making none.
    pub fn openable(&mut self, settings: &NetworkSettings) -> Result<(), Refusal> {
        self.bridge.as_mut().map_or_else(|| check::openable(settings), Bridge::openable)
    }

    /// Removes the bridge and the table, unless an allocation or somebody else hangs on them.
    pub fn retire(&mut self, settings: &NetworkSettings) -> Result<()> {
        if self.networks.values().any(|network| network.mode == BRIDGE) {
            return Ok(());
        }
        let bridge = match self.bridge.take() {
            // An agent before this one may have left them when this one could not have the bridge.
            None if Bridge::exists(settings) => match Bridge::open(settings) {
                // Not this one's either.
                Err(HostError::Conflict(_) | HostError::Unavailable(_)) => return Ok(()),
                opened => opened?,
            },
            None => return Ok(()),
            Some(bridge) => bridge,
        };
        let bridge = self.bridge.insert(bridge);
        if bridge.is_idle()? { self.bridge.take().map_or(Ok(()), Bridge::demolish) } else { Ok(()) }
    }

    pub fn create(&mut self, settings: &NetworkSettings, plan: &NetworkPlan) -> Result<Network> {
        check_id(&plan.alloc)?;
        let known = self.networks.contains_key(&plan.alloc);
        let made = self.try_create(settings, plan);
        match &made {
            Ok(network) => {
                self.detached.remove(&plan.alloc);
                self.networks.insert(plan.alloc.clone(), network.clone());
                if plan.holder == Holder::Pinned {
                    self.spares.refill();
                }
            }
            // What was there before stays as it was; of what is new nothing stays.
            Err(_) if known => {}
            Err(_) => {
                for error in self.destroy(slice::from_ref(&plan.alloc)).into_iter().filter_map(Result::err) {
                    tracing::warn!(alloc = %plan.alloc, %error, "remains of a network that could not be made");
                }
            }
        }
        made
    }

    fn try_create(&mut self, settings: &NetworkSettings, plan: &NetworkPlan) -> Result<Network> {
        let is_bridge = match plan.mode.as_str() {
            BRIDGE => true,
            "none" => false,
            other => return Err(no_such_mode(other)),
        };
        if is_bridge {
            let before = plan.before.as_ref().and_then(|before| before.address.as_ref()?.parse().ok());
            self.bridge(settings)?.place(&plan.alloc.0, before)?;
        } else {
            check::privilege()?;
        }
        let mut inside = namespace::open_planned(plan, || self.spares.take())?;
        let mut pair = None;
        if is_bridge {
            self.extra.entry(plan.alloc.clone()).or_insert_with(|| plan.added.clone());
            let ports = self.ports(plan);
            let bridge = self.bridge(settings)?;
            bridge.attach(&plan.alloc.0, &mut inside)?;
            bridge.map(&plan.alloc.0, &ports)?;
            pair = bridge.addresses(&plan.alloc.0).zip(bridge.gateway(&plan.alloc.0));
        }
        Ok(network(plan, &namespace::keep(plan)?, pair))
    }

    /// Takes link, addresses and maps away; the namespace stays.
    pub fn detach(&mut self, alloc: &AllocId) -> Result<()> {
        let errors = self.unhook(slice::from_ref(alloc)).concat();
        if self.networks.contains_key(alloc) {
            self.detached.insert(alloc.clone());
        }
        all(&errors)
    }

    /// The job file's ports and the drivers'.
    fn ports(&self, plan: &NetworkPlan) -> Vec<Port> {
        let extra = self.extra.get(&plan.alloc).into_iter().flatten();
        let new = extra.filter(|port| plan.ports.iter().all(|own| own.label != port.label));
        plan.ports.iter().chain(new).cloned().collect()
    }

    /// Removes all that allocations have; answers for each.
    pub fn destroy(&mut self, allocs: &[AllocId]) -> Vec<Result<()>> {
        let mut errors = self.unhook(allocs);
        let pins: Vec<_> = allocs.iter().map(|alloc| namespace::pin_of(&alloc.0)).collect();
        let unpinned = namespace::unpin_each(&pins);
        for ((alloc, errors), unpinned) in allocs.iter().zip(&mut errors).zip(unpinned) {
            errors.extend(unpinned.err());
            self.networks.remove(alloc);
            self.detached.remove(alloc);
            self.extra.remove(alloc);
        }
        errors.iter().map(|errors| all(errors)).collect()
    }

    /// Takes links, addresses and maps away; answers the errors of each.
    fn unhook(&mut self, allocs: &[AllocId]) -> Vec<Vec<HostError>> {
        let mut errors = vec![Vec::new(); allocs.len()];
        let Some(bridge) = &mut self.bridge else { return errors };
        // Of networks that are not known there may be remains.
        let bridged = |alloc: &AllocId| self.networks.get(alloc).is_none_or(|network| network.mode == BRIDGE);
        let (names, errors_of): (Vec<&str>, Vec<_>) = allocs
            .iter()
            .zip(&mut errors)
            .filter(|(alloc, _)| bridged(alloc))
            .map(|(alloc, of)| (alloc.0.as_str(), of))
            .unzip();
        if !names.is_empty() {
            bridge.remove(&names).into_iter().zip(errors_of).for_each(|(found, of)| *of = found);
        }
        errors
    }

    pub fn reconcile(&mut self, settings: &NetworkSettings, plans: &[NetworkPlan]) -> Vec<Result<Network>> {
        if let Err(error) = self.take_over(settings, plans) {
            tracing::warn!(%error, "networks of an earlier agent could not be looked at");
        }
        plans.iter().map(|plan| self.create(settings, plan)).collect()
    }

    /// Gives known allocations their places before others get new ones, and removes what is nobody's.
    fn take_over(&mut self, settings: &NetworkSettings, plans: &[NetworkPlan]) -> Result<()> {
        let bridged: Vec<_> = plans.iter().filter(|plan| plan.mode == BRIDGE).collect();
        if bridged.is_empty() && !Bridge::exists(settings) {
            return Ok(());
        }
        let bridge = match self.bridge(settings) {
            // Somebody else's, who may have it: nothing of ours is there.
            Err(HostError::Conflict(_)) if bridged.is_empty() => return Ok(()),
            opened => opened?,
        };
        for plan in &bridged {
            let before = plan.before.as_ref().and_then(|before| before.address.as_ref()?.parse().ok());
            if before.is_some() {
                bridge.place(&plan.alloc.0, before)?;
            }
        }
        let allocs: BTreeSet<&str> = plans.iter().map(|plan| plan.alloc.0.as_str()).collect();
        for owner in bridge.sweep(&allocs)? {
            tracing::info!(owner, "removed the network of an allocation that is not known any more");
            namespace::unpin_all(&owner);
        }
        Ok(())
    }

    /// Changes what is mapped beside the job file's ports; what cannot be mapped stays as it was.
    pub fn change_extra(
        &mut self,
        settings: &NetworkSettings,
        network: &Network,
        alloc: &AllocId,
        change: impl FnOnce(&mut Vec<Port>),
    ) -> Result<()> {
        let before = self.extra.get(alloc).cloned().unwrap_or_default();
        change(self.extra.entry(alloc.clone()).or_default());
        let ports = self.ports(&plan_of(network, Holder::Pinned, None));
        let mapped = self.bridge(settings)?.map(&network.id, &ports);
        if mapped.is_err() {
            self.extra.insert(alloc.clone(), before);
        }
        mapped
    }
}

pub(super) fn network_of_plugins(plan: &NetworkPlan, pin: &Path, answer: cni::Answer) -> Network {
    Network {
        interface_name: Some(answer.interface),
        address: answer.address,
        address_ipv6: answer.address_ipv6,
        gateway: answer.gateway,
        dns: answer.dns,
        ..network(plan, pin, None)
    }
}

pub(super) fn no_such_mode(mode: &str) -> HostError {
    HostError::Unavailable(format!("network mode {mode:?} is unknown; there are host, bridge, none and cni/<name>"))
}

/// An id becomes a file's name.
pub(super) fn check_id(alloc: &AllocId) -> Result<()> {
    let fits = !alloc.0.is_empty() && alloc.0.chars().all(|c| c.is_ascii_alphanumeric() || c == '-');
    if fits { Ok(()) } else { Err(HostError::Invalid(format!("{:?} is no id of an allocation", alloc.0))) }
}

/// All errors as one.
pub(super) fn all(errors: &[HostError]) -> Result<()> {
    match errors {
        [] => Ok(()),
        [one] => Err(one.clone()),
        many => Err(HostError::Other(many.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))),
    }
}

/// `pair`: the allocation's addresses and the bridge's.
fn network(plan: &NetworkPlan, pin: &Path, pair: Option<(Pair, Pair)>) -> Network {
    let (pair, gateway) = pair.unzip();
    Network {
        id: plan.alloc.0.clone(),
        mode: plan.mode.clone(),
        namespace_path: Some(pin.display().to_string()),
        holder: Some(plan.holder.clone()),
        interface_name: pair.map(|_| segment::INSIDE.into()),
        address: pair.map(|pair| pair.four.to_string()),
        address_ipv6: pair.and_then(|pair| pair.six).map(|six| six.to_string()),
        gateway: gateway.map(|gateway| gateway.four.to_string()),
        hostname: plan.hostname.clone(),
        ports: plan.ports.clone(),
        dns: None,
    }
}

/// A network without what its driver took away.
pub(super) fn detached(network: Network) -> Network {
    let ports = Vec::new();
    Network { interface_name: None, address: None, address_ipv6: None, gateway: None, ports, ..network }
}

/// The plan of a network that is there.
pub(super) fn plan_of(network: &Network, holder: Holder, namespace_path: Option<String>) -> NetworkPlan {
    NetworkPlan {
        alloc: AllocId(network.id.clone()),
        mode: network.mode.clone(),
        hostname: network.hostname.clone(),
        ports: network.ports.clone(),
        added: Vec::new(),
        holder,
        namespace_path,
        before: Some(network.clone()),
        cni_args: BTreeMap::new(),
    }
}
