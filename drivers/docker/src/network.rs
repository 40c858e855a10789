//! Which network a container joins.

use longshore_sdk::{Error, TaskNetwork, host::containers::ContainerNetwork};

/// The container's network: the task's `network_mode`, else the group's.
pub fn choose(mode: Option<&str>, group: &TaskNetwork) -> Result<ContainerNetwork, Error> {
    match mode {
        Some(mode) if !mode.is_empty() => named(mode),
        _ => of_group(group),
    }
}

fn named(mode: &str) -> Result<ContainerNetwork, Error> {
    Ok(match mode {
        // "net" is what Docker called it before 1.6.
        "host" | "net" => ContainerNetwork::Host,
        "bridge" | "default" => ContainerNetwork::DefaultNetwork,
        "none" => ContainerNetwork::None,
        _ => match mode.strip_prefix("container:") {
            Some("") => return Err(Error::invalid("network_mode \"container:\" names no container")),
            Some(id) => ContainerNetwork::Container(id.into()),
            None => ContainerNetwork::Named(mode.into()),
        },
    })
}

fn of_group(group: &TaskNetwork) -> Result<ContainerNetwork, Error> {
    match (&group.holder_container, group.mode.as_str()) {
        (Some(id), _) => Ok(ContainerNetwork::Container(id.clone())),
        (None, "" | "host") => Ok(ContainerNetwork::DefaultNetwork),
        (None, "none") => Ok(ContainerNetwork::None),
        (None, mode) => Err(Error::invalid(format!(
            "the group's network mode {mode:?} was set up without a container to join; \
             use mode \"host\" with `ports`, or set network_mode in the task's config"
        ))),
    }
}

/// Whether the engine publishes ports on this network.
pub fn publishes(network: &ContainerNetwork) -> bool {
    matches!(network, ContainerNetwork::DefaultNetwork | ContainerNetwork::Named(_) | ContainerNetwork::Other(_))
}

/// Whether the container's namespace is another's, so that it can have no name or resolver of its own.
pub fn is_joined(network: &ContainerNetwork) -> bool {
    matches!(network, ContainerNetwork::Container(_))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn group(mode: &str, holder: Option<&str>) -> TaskNetwork {
        TaskNetwork {
            mode: mode.into(),
            namespace_path: None,
            holder_container: holder.map(String::from),
            hostname: None,
        }
    }

    #[test]
    fn modes() {
        let table = [
            (None, group("host", None), ContainerNetwork::DefaultNetwork),
            (Some(""), group("host", None), ContainerNetwork::DefaultNetwork),
            (Some("default"), group("host", None), ContainerNetwork::DefaultNetwork),
            (Some("bridge"), group("host", None), ContainerNetwork::DefaultNetwork),
            (Some("host"), group("host", None), ContainerNetwork::Host),
            (Some("net"), group("host", None), ContainerNetwork::Host),
            (Some("none"), group("host", None), ContainerNetwork::None),
            (Some("container:abc"), group("host", None), ContainerNetwork::Container("abc".into())),
            (Some("backend"), group("host", None), ContainerNetwork::Named("backend".into())),
            (None, group("none", None), ContainerNetwork::None),
            (None, group("bridge", Some("pause")), ContainerNetwork::Container("pause".into())),
            (Some("host"), group("bridge", Some("pause")), ContainerNetwork::Host),
        ];
        for (mode, group, expected) in table {
            assert_eq!(choose(mode, &group), Ok(expected), "{mode:?} in {}", group.mode);
        }
        assert!(matches!(choose(None, &group("bridge", None)), Err(Error::Invalid(_))));
        assert!(matches!(choose(Some("container:"), &group("host", None)), Err(Error::Invalid(_))));
    }
}
