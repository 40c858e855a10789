//! `/v1/agent…` and the paths that describe a cluster: a cluster of one.

use axum::{Json, extract::State};
use serde_json::{Value, json};

use super::Api;

/// The version of the API's shapes: what clients that ask for one compare with.
const SHAPES_VERSION: &str = "2.0.5";
/// Where a cluster's server would be; clients only show it.
const LEADER: &str = "127.0.0.1:4647";

pub(super) async fn own(State(api): State<Api>) -> Json<Value> {
    let node = api.agent.node();
    Json(json!({
        "config": {
            "Region": node.region,
            "Datacenter": node.datacenter,
            "NodeName": node.name,
            "Version": {"Version": SHAPES_VERSION, "Longshore": env!("CARGO_PKG_VERSION")},
            "UI": {"Enabled": false, "ShowCLIHints": false},
        },
        "member": member(&node),
        "stats": {
            "nomad": {"server": "true", "leader": "true", "bootstrap": "true", "known_regions": "1"},
            "client": {"node_id": node.id, "known_servers": LEADER, "heartbeat_ttl": "0s"},
            "runtime": {"version": env!("CARGO_PKG_VERSION"), "kernel.name": std::env::consts::OS},
        },
    }))
}

pub(super) async fn members(State(api): State<Api>) -> Json<Value> {
    let node = api.agent.node();
    Json(json!({
        "ServerName": node.name,
        "ServerRegion": node.region,
        "ServerDC": node.datacenter,
        "Members": [member(&node)],
    }))
}

fn member(node: &crate::Node) -> Value {
    json!({
        "Name": format!("{}.{}", node.name, node.region),
        "Addr": "127.0.0.1",
        "Port": 4648,
        "Tags": {"role": "nomad", "region": node.region, "dc": node.datacenter, "build": SHAPES_VERSION},
        "Status": "alive",
        "ProtocolMin": 1, "ProtocolMax": 5, "ProtocolCur": 2,
        "DelegateMin": 2, "DelegateMax": 5, "DelegateCur": 4,
    })
}

pub(super) async fn health() -> Json<Value> {
    let fine = json!({"ok": true, "message": "ok"});
    Json(json!({"client": fine, "server": fine}))
}

pub(super) async fn servers() -> Json<[&'static str; 1]> {
    Json([LEADER])
}

pub(super) async fn leader() -> Json<&'static str> {
    Json(LEADER)
}

pub(super) async fn peers() -> Json<[&'static str; 1]> {
    Json([LEADER])
}

pub(super) async fn regions(State(api): State<Api>) -> Json<[String; 1]> {
    Json([api.agent.node().region])
}

pub(super) async fn namespaces() -> Json<Value> {
    let namespace =
        json!({"Name": "default", "Description": "Default shared namespace", "CreateIndex": 1, "ModifyIndex": 1});
    Json(json!([namespace]))
}
