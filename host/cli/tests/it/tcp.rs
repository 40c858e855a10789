//! The API over TCP: nobody without the token, nobody under a foreign name.

use std::net::{TcpListener, TcpStream};

use crate::harness::{Station, run};

const TOKEN: &str = "a-token-long-enough-to-be-one";

fn station() -> (Station, String) {
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let mut station = Station::prepare("", &[]);
    let token = station.path("token");
    std::fs::write(&token, format!("{TOKEN}\n")).unwrap();
    let config = format!("http {{\n  address = \"127.0.0.1:{port}\"\n  token_file = {token:?}\n}}\n");
    std::fs::write(station.path("agent.hcl"), config).unwrap();
    station.launch();
    (station, format!("127.0.0.1:{port}"))
}

fn status(address: &str, headers: &[&str]) -> String {
    let url = format!("http://{address}/v1/jobs");
    let mut arguments = vec!["-s", "-o", "/dev/null", "-w", "%{http_code}", &url];
    arguments.extend(headers.iter().flat_map(|header| ["-H", header]));
    run("curl", &arguments).ok()
}

#[test]
fn only_the_token_opens() {
    let (station, address) = station();
    let shown = format!("X-Nomad-Token: {TOKEN}");
    let bearer = format!("Authorization: Bearer {TOKEN}");
    let table: &[(&[&str], &str)] = &[
        (&[], "403"),
        (&["X-Nomad-Token: a-token-long-enough-to-be-onf"], "403"),
        (&["X-Nomad-Token: "], "403"),
        (&[&shown, "Host: evil.example"], "403"),
        (&["Host: evil.example"], "403"),
        (&[&shown], "200"),
        (&[&bearer], "200"),
        (&[&shown, "Host: localhost"], "200"),
    ];
    for (headers, expected) in table {
        assert_eq!(status(&address, headers), *expected, "{headers:?}");
    }
    let url = format!("http://{address}");
    let said = station.cli(&["--address", &url, "job", "status"]).refused(4);
    assert!(said.contains("Permission denied") && said.contains("LONGSHORE_TOKEN"), "{said}");
    let token = station.path("token");
    station.cli(&["--address", &url, "--token-file", token.to_str().unwrap(), "job", "status"]).ok();
}

#[test]
fn the_socket_needs_no_token_and_is_its_owners_alone() {
    use std::os::unix::fs::MetadataExt;
    let (station, _) = station();
    station.cli(&["job", "status"]).ok();
    let metadata = std::fs::metadata(station.path("data/api.sock")).unwrap();
    assert_eq!(metadata.mode() & 0o777, 0o600);
}

#[test]
fn tcp_without_a_token_is_refused_at_start() {
    let station = Station::prepare("http {\n  address = \"127.0.0.1:0\"\n}\n", &[]);
    let output = station.agent_command().output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("token_file"), "{said}");
}

#[test]
fn callers_without_the_token_keep_nobody_from_the_socket() {
    let (station, address) = station();
    // More than one listener serves at a time; each says nothing.
    let silent: Vec<_> = (0..600).map(|_| TcpStream::connect(&address).unwrap()).collect();
    let socket = station.path("data/api.sock");
    let arguments = ["-s", "-o", "/dev/null", "-w", "%{http_code}", "--max-time", "5", "--unix-socket"];
    let answered = run("curl", &[&arguments[..], &[socket.to_str().unwrap(), "http://localhost/v1/jobs"]].concat());
    assert_eq!(answered.ok(), "200");
    drop(silent);
}
