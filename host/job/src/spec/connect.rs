//! The `connect` block of a service: Consul's mesh. All of it is read and printed; none of it is acted on.

use super::Kind::{Bool, Duration, Text, Texts, Wholes};
use super::group::{NO_PORT, PORT_NUMBER};
use super::reasons::CONNECT as NO_MESH;
use super::{Attribute, BLOCK, Block, Effect, Kind, Shape, attribute, only_json, plain, task, whole};

/// A service of the mesh.
pub static CONNECT: Block = Block {
    name: "connect",
    json: "Connect",
    effect: Effect::Refused(NO_MESH),
    attributes: &[plain("native", "Native", Bool)],
    blocks: &[&GATEWAY, &SIDECAR_SERVICE, &SIDECAR_TASK],
    ..BLOCK
};

static SIDECAR_SERVICE: Block = Block {
    name: "sidecar_service",
    json: "SidecarService",
    attributes: &[
        attribute("tags", "Tags", Texts),
        plain("port", "Port", Text),
        plain("disable_default_tcp_check", "DisableDefaultTCPCheck", Bool),
    ],
    blocks: &[&PROXY, &META],
    ..BLOCK
};

static META: Block = Block { name: "meta", json: "Meta", shape: Shape::StringsBlock, ..BLOCK };
static CONFIG: Block = Block { name: "config", json: "Config", shape: Shape::Free, ..BLOCK };

static PROXY: Block = Block {
    name: "proxy",
    json: "Proxy",
    attributes: &[
        plain("local_service_address", "LocalServiceAddress", Text),
        plain("local_service_port", "LocalServicePort", PORT_NUMBER),
        only_json("ExposeConfig", Kind::Any),
    ],
    blocks: &[&EXPOSE, &UPSTREAM, &TRANSPARENT_PROXY, &CONFIG],
    ..BLOCK
};

static EXPOSE: Block = Block {
    name: "expose",
    json: "Expose",
    attributes: &[only_json("Path", Kind::Any)],
    blocks: &[&Block {
        name: "path",
        json: "Paths",
        shape: Shape::Many,
        attributes: &[
            plain("path", "Path", Text),
            plain("protocol", "Protocol", Text),
            plain("local_path_port", "LocalPathPort", PORT_NUMBER),
            plain("listener_port", "ListenerPort", Text),
        ],
        ..BLOCK
    }],
    ..BLOCK
};

static UPSTREAM: Block = Block {
    name: "upstreams",
    json: "Upstreams",
    shape: Shape::Many,
    attributes: &[
        plain("destination_name", "DestinationName", Text),
        plain("destination_namespace", "DestinationNamespace", Text),
        plain("destination_peer", "DestinationPeer", Text),
        plain("destination_partition", "DestinationPartition", Text),
        plain("destination_type", "DestinationType", Text),
        plain("local_bind_port", "LocalBindPort", PORT_NUMBER),
        plain("datacenter", "Datacenter", Text),
        plain("local_bind_address", "LocalBindAddress", Text),
        plain("local_bind_socket_path", "LocalBindSocketPath", Text),
        plain("local_bind_socket_mode", "LocalBindSocketMode", Text),
    ],
    blocks: &[
        &Block { name: "mesh_gateway", json: "MeshGateway", attributes: &[plain("mode", "Mode", Text)], ..BLOCK },
        &CONFIG,
    ],
    ..BLOCK
};

static TRANSPARENT_PROXY: Block = Block {
    name: "transparent_proxy",
    json: "TransparentProxy",
    attributes: &[
        plain("uid", "UID", Text),
        plain("outbound_port", "OutboundPort", PORT_NUMBER),
        attribute("exclude_inbound_ports", "ExcludeInboundPorts", Texts),
        attribute("exclude_outbound_ports", "ExcludeOutboundPorts", Wholes(0, 65_535, NO_PORT)),
        attribute("exclude_outbound_cidrs", "ExcludeOutboundCIDRs", Texts),
        attribute("exclude_uids", "ExcludeUIDs", Texts),
        plain("no_dns", "NoDNS", Bool),
    ],
    ..BLOCK
};

static SIDECAR_TASK: Block = Block {
    name: "sidecar_task",
    json: "SidecarTask",
    attributes: &[
        plain("name", "Name", Text),
        plain("driver", "Driver", Text),
        plain("user", "User", Text),
        attribute("kill_timeout", "KillTimeout", task::KILL_TIMEOUT),
        attribute("shutdown_delay", "ShutdownDelay", super::group::SHUTDOWN_DELAY),
        plain("kill_signal", "KillSignal", Text),
    ],
    blocks: &[
        &CONFIG,
        &Block { name: "env", json: "Env", shape: Shape::StringsBlock, ..BLOCK },
        &task::RESOURCES,
        &META,
        &task::LOGS,
        &task::VOLUME_MOUNT,
        &task::IDENTITY,
    ],
    ..BLOCK
};

static GATEWAY: Block = Block {
    name: "gateway",
    json: "Gateway",
    blocks: &[
        &GATEWAY_PROXY,
        &INGRESS,
        &Block {
            name: "terminating",
            json: "Terminating",
            blocks: &[&Block {
                name: "service",
                json: "Services",
                shape: Shape::Many,
                attributes: &[
                    plain("name", "Name", Text),
                    plain("ca_file", "CAFile", Text),
                    plain("cert_file", "CertFile", Text),
                    plain("key_file", "KeyFile", Text),
                    plain("sni", "SNI", Text),
                ],
                ..BLOCK
            }],
            ..BLOCK
        },
        &Block { name: "mesh", json: "Mesh", ..BLOCK },
    ],
    ..BLOCK
};

static GATEWAY_PROXY: Block = Block {
    name: "proxy",
    json: "Proxy",
    attributes: &[
        attribute("connect_timeout", "ConnectTimeout", Duration("connect_timeout can't be negative")),
        plain("envoy_gateway_bind_tagged_addresses", "EnvoyGatewayBindTaggedAddresses", Bool),
        plain("envoy_gateway_no_default_bind", "EnvoyGatewayNoDefaultBind", Bool),
        plain("envoy_dns_discovery_type", "EnvoyDNSDiscoveryType", Text),
    ],
    blocks: &[
        &Block {
            name: "envoy_gateway_bind_addresses",
            json: "EnvoyGatewayBindAddresses",
            shape: Shape::ByLabel,
            label: Some("Name"),
            attributes: &[plain("address", "Address", Text), plain("port", "Port", PORT_NUMBER)],
            ..BLOCK
        },
        &CONFIG,
    ],
    ..BLOCK
};

static INGRESS: Block = Block {
    name: "ingress",
    json: "Ingress",
    blocks: &[
        &TLS,
        &Block {
            name: "listener",
            json: "Listeners",
            shape: Shape::Many,
            attributes: &[plain("port", "Port", PORT_NUMBER), plain("protocol", "Protocol", Text)],
            blocks: &[&Block {
                name: "service",
                json: "Services",
                shape: Shape::Many,
                attributes: INGRESS_SERVICE,
                blocks: &[&TLS, &REQUEST_HEADERS, &RESPONSE_HEADERS],
                ..BLOCK
            }],
            ..BLOCK
        },
    ],
    ..BLOCK
};

const INGRESS_SERVICE: &[Attribute] = &[
    plain("name", "Name", Text),
    attribute("hosts", "Hosts", Texts),
    attribute("max_connections", "MaxConnections", whole("max_connections can't be negative")),
    attribute("max_pending_requests", "MaxPendingRequests", whole("max_pending_requests can't be negative")),
    attribute("max_concurrent_requests", "MaxConcurrentRequests", whole("max_concurrent_requests can't be negative")),
];

static TLS: Block = Block {
    name: "tls",
    json: "TLS",
    attributes: &[
        plain("enabled", "Enabled", Bool),
        plain("tls_min_version", "TLSMinVersion", Text),
        plain("tls_max_version", "TLSMaxVersion", Text),
        attribute("cipher_suites", "CipherSuites", Texts),
    ],
    blocks: &[&Block {
        name: "sds",
        json: "SDS",
        attributes: &[plain("cluster_name", "ClusterName", Text), plain("cert_resource", "CertResource", Text)],
        ..BLOCK
    }],
    ..BLOCK
};

static REQUEST_HEADERS: Block = Block { name: "request_headers", json: "RequestHeaders", ..RESPONSE_HEADERS_SHAPE };
static RESPONSE_HEADERS: Block = RESPONSE_HEADERS_SHAPE;

const RESPONSE_HEADERS_SHAPE: Block = Block {
    name: "response_headers",
    json: "ResponseHeaders",
    attributes: &[attribute("remove", "Remove", Texts)],
    blocks: &[
        &Block { name: "add", json: "Add", shape: Shape::StringsBlock, ..BLOCK },
        &Block { name: "set", json: "Set", shape: Shape::StringsBlock, ..BLOCK },
    ],
    ..BLOCK
};
