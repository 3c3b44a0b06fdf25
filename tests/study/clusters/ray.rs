//! A Ray of this test's own with two nodes, each with one core.

use std::{
    io::{Read as _, Write as _},
    net::TcpStream,
    path::PathBuf,
    process::Command,
};

use tempfile::TempDir;

use super::{OnCluster, Service, free_port, wait_for};

struct Ray {
    head: Service,
    other: Service,
    dashboard: u16,
    _folder: TempDir,
}

/// The program that starts Ray.
fn program() -> PathBuf {
    PathBuf::from(option_env!("SPACEWRIGHT_RAY").unwrap_or("ray"))
}

impl Ray {
    fn start() -> Self {
        // Its own, short: Ray makes sockets below.
        let folder = tempfile::Builder::new().prefix("ray").tempdir_in("/tmp").unwrap();
        let [port, dashboard] = [free_port(), free_port()];
        let at = |name: &str, value: &str| format!("--{name}={value}");
        let start = |arguments: &[String]| {
            let mut command = Command::new(program());
            command.args(["start", "--block", "--num-cpus=1", "--disable-usage-stats"]);
            // All nodes of a machine would have the same one, that of another test included: without it none takes jobs.
            command.arg(at("dashboard-agent-listen-port", &free_port().to_string()));
            Service::start(command.args(arguments).env("RAY_TMPDIR", folder.path()))
        };
        let head = start(&[
            "--head".into(),
            at("port", &port.to_string()),
            at("node-ip-address", "127.0.0.1"),
            at("dashboard-host", "127.0.0.1"),
            at("dashboard-port", &dashboard.to_string()),
            at("temp-dir", &folder.path().display().to_string()),
        ]);
        wait_for("Ray's dashboard", || get(dashboard, "/api/version"));
        let address = format!("127.0.0.1:{port}");
        let other = start(&[at("address", &address), at("node-ip-address", "127.0.0.1")]);
        wait_for("two nodes", || {
            let nodes = get(dashboard, "/nodes?view=summary")?;
            (nodes.matches("\"ALIVE\"").count() >= 2).then_some(())
        });
        Self { head, other, dashboard, _folder: folder }
    }

    fn study(&self) -> OnCluster {
        let address = format!("http://127.0.0.1:{}", self.dashboard);
        OnCluster::new(&format!("engine = \"ray\"\naddress = \"{address}\""), Vec::new())
    }
}

/// The answer to a question, where there is a good one.
fn get(port: u16, path: &str) -> Option<String> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).ok()?;
    write!(stream, "GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n").ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    answer.starts_with("HTTP/1.1 200").then_some(answer)
}

#[test]
#[cfg_attr(
    not(spacewright_ray),
    ignore = "takes minutes and needs Ray: `cargo xtask test --long` runs it where Ray can be fetched"
)]
fn a_node_vanishes_on_ray() {
    let mut ray = Ray::start();
    let study = ray.study();
    let other = &mut ray.other;
    study.gives_the_same_tables(|_| other.kill());
    drop(ray.head);
}

#[test]
#[cfg_attr(
    not(spacewright_ray),
    ignore = "takes minutes and needs Ray: `cargo xtask test --long` runs it where Ray can be fetched"
)]
fn a_request_to_stop_ends_jobs_on_ray() {
    let ray = Ray::start();
    ray.study().stops_on_request();
}
