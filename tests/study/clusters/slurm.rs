//! A Slurm of this test's own: `munged`, `slurmctld` and two `slurmd`, each a node with one core.

use std::{fs, path::PathBuf, process::Command};

use rustix::process::Signal;
use tempfile::TempDir;

use super::{OnCluster, Service, children, free_port, processes, send_signal, wait_for};
use crate::processes::trains_the_same;
use serde_json::Value;

const NODES: [&str; 2] = ["first", "second"];

struct Slurm {
    /// Ended first, as they write into the folder.
    nodes: Vec<Service>,
    _others: Vec<Service>,
    folder: TempDir,
}

impl Slurm {
    fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        fs::create_dir(path("state")).unwrap();
        let mut munged = Command::new("munged");
        munged.args(["--foreground", "--force"]);
        for (option, file) in [
            ("key-file", "key"),
            ("socket", "socket"),
            ("pid-file", "munged.pid"),
            ("log-file", "munged.log"),
            ("seed-file", "seed"),
        ] {
            munged.arg(format!("--{option}={}", path(file).display()));
        }
        // It refuses a key that others could read, and a socket that they could not reach.
        let key: Vec<u8> = (0..=255).collect();
        fs::write(path("key"), key).unwrap();
        mode(&path("key"), 0o600);
        mode(&path(""), 0o755);
        let munged = Service::start(&mut munged);
        wait_for("munge's socket", || path("socket").exists().then_some(()));
        fs::write(path("slurm.conf"), configuration(&folder)).unwrap();
        let service = |arguments: &[&str], program: &str| {
            let mut command = Command::new(program);
            Service::start(command.args(["-D", "-f"]).arg(path("slurm.conf")).args(arguments))
        };
        let controller = service(&[], "slurmctld");
        let nodes = NODES.map(|node| service(&["-N", node], "slurmd")).into();
        let slurm = Self { nodes, _others: vec![controller, munged], folder };
        wait_for("two idle nodes", || {
            let mut command = Command::new("sinfo");
            command.args(["-h", "-N", "-o", "%T"]).env("SLURM_CONF", slurm.configuration());
            let output = command.output().unwrap();
            (String::from_utf8_lossy(&output.stdout).matches("idle").count() == 2).then_some(())
        });
        slurm
    }

    fn configuration(&self) -> PathBuf {
        self.folder.path().join("slurm.conf")
    }

    fn study(&self) -> OnCluster {
        let variables = vec![("SLURM_CONF", self.configuration())];
        OnCluster::new("engine = \"slurm\"\noptions = [\"--time=20\"]", variables)
    }
}

fn mode(path: &std::path::Path, mode: u32) {
    use std::os::unix::fs::PermissionsExt;
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

fn configuration(folder: &TempDir) -> String {
    let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
    let host = host.split('.').next().unwrap_or_default().to_owned();
    let (at, user) = (folder.path().display(), current_user());
    let mut text = format!(
        "ClusterName=test
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={}
SlurmUser={user}
SlurmdUser={user}
AuthType=auth/munge
AuthInfo=socket={at}/socket
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
MpiDefault=none
StateSaveLocation={at}/state
SlurmdSpoolDir={at}/spool-%n
SlurmctldPidFile={at}/slurmctld.pid
SlurmdPidFile={at}/slurmd-%n.pid
SlurmctldLogFile={at}/slurmctld.log
SlurmdLogFile={at}/slurmd-%n.log
# A node that says nothing is believed to be gone soon, and what ran on it begins anew.
SlurmdTimeout=10
SchedulerParameters=sched_interval=2,batch_sched_delay=1
",
        free_port()
    );
    for node in NODES {
        text += &format!(
            "NodeName={node} NodeHostname={host} NodeAddr=127.0.0.1 Port={} CPUs=1\n",
            free_port()
        );
    }
    text + "PartitionName=all Nodes=ALL Default=YES MaxTime=INFINITE State=UP\n"
}

fn current_user() -> String {
    let output = Command::new("id").arg("-un").output().unwrap();
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

/// Ends the process of a task, what it has started, and what watches it for Slurm.
fn kill_job(job: &Value, watcher: bool) {
    let task = job["task"].as_str().unwrap();
    for process in processes(&["spacewright\0task", task]) {
        let parent = parent(process).filter(|_| watcher);
        for process in children(process).into_iter().chain([process]).chain(parent) {
            send_signal(process, Signal::KILL);
        }
    }
}

fn parent(process: u32) -> Option<u32> {
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
    stat.rsplit_once(')')?.1.split_whitespace().nth(1)?.parse().ok()
}

#[test]
#[cfg_attr(
    not(spacewright_slurm),
    ignore = "takes minutes and needs Slurm: `cargo xtask test --long` runs it where slurm-wlm and munge are"
)]
fn a_task_is_killed_and_a_node_vanishes_on_slurm() {
    let mut slurm = Slurm::start();
    let study = slurm.study();
    let nodes = &mut slurm.nodes;
    study.gives_the_same_tables(|running| {
        let on = |node: &str| running.iter().find(|job| job["node"] == node).unwrap();
        kill_job(on(NODES[0]), false);
        nodes[1].kill();
        kill_job(on(NODES[1]), true);
    });
}

#[test]
#[cfg_attr(
    not(spacewright_slurm),
    ignore = "takes minutes and needs Slurm: `cargo xtask test --long` runs it where slurm-wlm and munge are"
)]
fn a_request_to_stop_ends_jobs_on_slurm() {
    let slurm = Slurm::start();
    slurm.study().stops_on_request();
}

#[test]
#[cfg_attr(
    not(spacewright_slurm),
    ignore = "takes minutes and needs Slurm: `cargo xtask test --long` runs it where slurm-wlm and munge are"
)]
fn srun_starts_processes_that_train_the_same_network() {
    let slurm = Slurm::start();
    let mut srun = Command::new("srun");
    srun.args(["--nodes", "2", "--ntasks-per-node", "1"]);
    // Both nodes are this machine, which has another name than they have.
    srun.env("SLURM_CONF", slurm.configuration()).env("MASTER_ADDR", "127.0.0.1");
    trains_the_same(&mut srun);
}
