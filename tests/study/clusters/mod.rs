//! The smoke study's tasks on a real Slurm and a real Ray on this machine, each with two nodes, of which one
//! vanishes in the middle.

mod ray;
mod slurm;

use std::{
    fs::{self, File},
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use rusqlite::Connection;
use rustix::process::Signal;
use serde_json::Value;

use super::{
    Place,
    workers::{children, send_signal},
};

/// Longer than anything takes that is waited for.
const LONG: Duration = Duration::from_secs(600);

/// A program of the cluster that ends with the test.
struct Service(Child);

impl Service {
    fn start(command: &mut Command) -> Self {
        let command = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        Self(command.spawn().unwrap_or_else(|error| panic!("{command:?}: {error}")))
    }

    /// Ends it and all that it has started, as when the power fails.
    fn kill(&mut self) {
        let mut open = vec![self.0.id()];
        while let Some(process) = open.pop() {
            open.extend(children(process));
            send_signal(process, Signal::KILL);
        }
        let _ = self.0.wait();
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        self.kill();
    }
}

/// A port that nobody listens on.
fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// Waits until there is something.
fn wait_for<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let started = Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(started.elapsed() < LONG, "no {what} after {LONG:?}");
        thread::sleep(Duration::from_millis(200));
    }
}

/// The smoke study with these lines below `[cluster]`, in the folder of a place.
fn study(place: &Place, cluster: &str) -> PathBuf {
    let smoke = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/smoke.toml");
    let text = fs::read_to_string(smoke).unwrap();
    let file = place.folder.path().join("smoke.toml");
    fs::write(&file, format!("{text}\n[cluster]\npoll_seconds = 0.5\n{cluster}\n")).unwrap();
    file
}

/// Processes whose command has all of these words.
fn processes(words: &[&str]) -> Vec<u32> {
    let has_words = |entry: fs::DirEntry| {
        let command = fs::read(entry.path().join("cmdline")).ok()?;
        let command = String::from_utf8_lossy(&command).into_owned();
        let number = entry.file_name().to_str()?.parse().ok()?;
        words.iter().all(|word| command.contains(word)).then_some(number)
    };
    fs::read_dir("/proc").unwrap().filter_map(|entry| has_words(entry.ok()?)).collect()
}

/// A place whose study runs on a cluster.
struct OnCluster {
    place: Place,
    study: PathBuf,
    variables: Vec<(&'static str, PathBuf)>,
}

impl OnCluster {
    fn new(cluster: &str, variables: Vec<(&'static str, PathBuf)>) -> Self {
        let place = Place::new();
        let study = study(&place, cluster);
        Self { place, study, variables }
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = self.place.command(arguments, &self.study);
        command.envs(self.variables.iter().cloned());
        command
    }

    /// Jobs that `study show` tells of.
    fn jobs(&self) -> Vec<Value> {
        let output = self.command(&["study", "show", "--json"]).output().unwrap();
        let text = String::from_utf8_lossy(&output.stdout);
        let value: Value =
            serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"));
        value["cluster"].as_array().unwrap().clone()
    }

    fn log(&self) -> String {
        fs::read_to_string(self.place.folder.path().join("head.log")).unwrap_or_default()
    }

    /// Starts distilling, and waits until two tasks run side by side; gives them.
    fn start(&self) -> (Child, Vec<Value>) {
        let log = File::create(self.place.folder.path().join("head.log")).unwrap();
        let mut head = self
            .command(&["distil", "--with-inputs"])
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap();
        let running = wait_for("two tasks that run", || {
            assert!(head.try_wait().unwrap().is_none(), "{}", self.log());
            let mut jobs = self.jobs();
            jobs.retain(|job| job["state"] == "running");
            (jobs.len() >= 2).then_some(jobs)
        });
        (head, running)
    }

    /// Distils in spite of what `disturb` does while two tasks run, and compares with what a run without a
    /// cluster gives.
    #[allow(clippy::print_stderr, reason = "docs/clusters.md says how long both took")]
    fn gives_the_same_tables(&self, disturb: impl FnOnce(&[Value])) {
        let alone = OnCluster::new("engine = \"none\"", Vec::new());
        let started = Instant::now();
        let output = alone.command(&["distil", "--with-inputs"]).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let without = started.elapsed();

        let started = Instant::now();
        let (mut head, running) = self.start();
        disturb(&running);
        let status = head.wait().unwrap();
        let log = self.log();
        assert!(status.success(), "{log}");
        assert!(log.contains("it is submitted again"), "{log}");
        assert_eq!(self.tables(), alone.tables(), "{log}");
        assert!(!self.run_folder().join("cluster/distil").exists());
        eprintln!("{log}\nwithout a cluster {without:?}, on it {:?}", started.elapsed());
    }

    /// That Ctrl-C ends all jobs, and that the next run comes to an end.
    fn stops_on_request(&self) {
        let (mut head, _) = self.start();
        send_signal(head.id(), Signal::INT);
        assert_eq!(head.wait().unwrap().code(), Some(130), "{}", self.log());
        let folder = self.place.folder.path().to_str().unwrap();
        wait_for("end of all jobs", || processes(&["task", folder]).is_empty().then_some(()));
        assert!(self.jobs().is_empty());
    }

    fn run_folder(&self) -> PathBuf {
        self.place.folder.path().join("runs/smoke")
    }

    /// What distilling has left: results by task, and the names of files, which are their hashes.
    fn tables(&self) -> Vec<(String, String, Option<String>)> {
        let store = Connection::open(self.run_folder().join("run.sqlite")).unwrap();
        let query = "SELECT task, result, object FROM tasks JOIN steps ON step_key = key
            WHERE step = 'distil' AND state = 'done' ORDER BY task";
        let mut statement = store.prepare(query).unwrap();
        let row = |row: &rusqlite::Row<'_>| Ok((row.get(0)?, row.get(1)?, row.get(2)?));
        let tables: Vec<_> = statement.query_map([], row).unwrap().map(Result::unwrap).collect();
        assert!(tables.len() > 2);
        tables
    }
}
