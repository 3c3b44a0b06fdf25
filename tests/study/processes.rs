//! Several processes that train one network.

use std::{
    net::TcpListener,
    process::{Command, Output, Stdio},
};

use rustix::process::Signal;

use super::{
    workers::{send_signal, soon},
    *,
};

const TOGETHER: [&str; 3] = ["run", "--processes", "2"];

/// Lets a program that starts several processes start this command in each of them.
fn started_by(launcher: &mut Command, command: &Command) {
    launcher.arg(command.get_program()).args(command.get_args());
    launcher.envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
}

/// Runs the study in two processes that a program starts, and compares with two of `--processes`.
pub fn trains_the_same(launcher: &mut Command) {
    let whole = Place::new();
    whole.finish(&TOGETHER);
    let place = Place::with_latencies_of(&whole);
    started_by(launcher, &place.command(&["run"], &tiny()));
    let output = launcher.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(place.results(), whole.results());
}

fn free_port() -> String {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port().to_string()
}

/// Two processes that were started together, as `torchrun` does, each in a session of its own; what became of
/// them.
fn launched(place: &Place) -> [Output; 2] {
    let port = free_port();
    let start = |rank: &str| {
        let mut command = Command::new("setsid");
        started_by(&mut command, &place.command(&["run"], &tiny()));
        command.env("RANK", rank).env("WORLD_SIZE", "2").env("LOCAL_WORLD_SIZE", "2");
        command.env("MASTER_ADDR", "127.0.0.1").env("MASTER_PORT", &port);
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    };
    ["0", "1"].map(start).map(|child| child.wait_with_output().unwrap())
}

/// The processes that train for this one, by what they are called.
fn workers_of(head: u32) -> Vec<u32> {
    let is_trainer = |process: &u32| {
        let name = fs::read_to_string(format!("/proc/{process}/cmdline")).unwrap_or_default();
        name.contains("spacewright-torch")
    };
    let mut workers = workers::children(head);
    workers.retain(is_trainer);
    workers.sort_unstable();
    workers
}

#[test]
fn processes_train_the_same_network_however_they_were_started_and_killed() {
    let whole = Place::new();
    whole.finish(&TOGETHER);
    let report = whole.report();
    let trainer = report["trained_with"]["trainer"].as_str().unwrap();
    assert!(trainer.ends_with(", 1 threads, 2 processes"), "{trainer}");

    let place = Place::with_latencies_of(&whole);
    let [first, second] = launched(&place);
    let text = |output: &Output| String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(first.status.success(), "{}\n{}", text(&first), text(&second));
    assert!(second.status.success(), "{}", text(&second));
    assert_eq!(place.results(), whole.results());
    // Who has nothing to do ends as well.
    assert!(launched(&place).iter().all(|output| output.status.success()));
    // One process alone is something else.
    let shown = place.command(&["study", "show"], &tiny()).output().unwrap();
    let shown = String::from_utf8(shown.stdout).unwrap();
    let said = "teach: made by 2 processes, now 1; `--processes 2` goes on from it";
    assert!(shown.contains(said), "{shown}");

    let place = Place::with_latencies_of(&whole);
    let mut killed = 0;
    for step in ["teach", "train"] {
        let command = &mut place.command(&TOGETHER, &tiny());
        let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
        let stderr = child.stderr.take().unwrap();
        let (lines, text) =
            (BufReader::new(stderr).lines().map_while(Result::ok), &mut String::new());
        for line in lines {
            *text += &format!("{line}\n");
            let begins = line.starts_with(&format!("{step}: "));
            if begins && !line.contains("unchanged") && !line.contains("finished") {
                let mut workers = Vec::new();
                soon(|| {
                    workers = workers_of(child.id());
                    workers.len() > 1
                });
                if let Some(second) = workers.get(1) {
                    send_signal(*second, Signal::KILL);
                }
            }
        }
        if child.wait().unwrap().success() {
            continue;
        }
        assert!(
            text.contains("process 1 of 2: the trainer's process was ended by signal 9"),
            "{text}"
        );
        killed += 1;
    }
    assert!(killed > 0);
    place.finish(&TOGETHER);
    assert_eq!(place.results(), whole.results());
}

#[test]
#[cfg_attr(
    not(spacewright_torchrun),
    ignore = "needs `torchrun`: `cargo xtask test --long` runs it where PyTorch or SPACEWRIGHT_TORCHRUN is"
)]
fn torchrun_starts_processes_that_train_the_same_network() {
    let mut torchrun = Command::new(option_env!("SPACEWRIGHT_TORCHRUN").unwrap_or("torchrun"));
    torchrun.args(["--standalone", "--nproc-per-node", "2", "--no-python"]);
    trains_the_same(&mut torchrun);
}

#[test]
fn who_waits_for_others_can_be_stopped() {
    let place = Place::new();
    let mut command = place.command(&["run"], &tiny());
    let known = [("RANK", "0"), ("WORLD_SIZE", "2"), ("MASTER_ADDR", "127.0.0.1")];
    command.envs(known).env("MASTER_PORT", free_port()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let lines = BufReader::new(child.stderr.take().unwrap()).lines().map_while(Result::ok);
    let mut lines = lines.inspect(|line| {
        if line.contains("waiting for 1 of 2 processes") {
            send_signal(child.id(), Signal::TERM);
        }
    });
    assert!(lines.any(|line| line.contains("stopped on request")));
    drop(lines);
    assert_eq!(child.wait().unwrap().code(), Some(130));
}

#[test]
fn what_processes_were_told_wrong_is_said() {
    let place = Place::new();
    let refused = |variables: &[(&str, &str)], arguments: &[&str]| {
        let mut command = place.command(arguments, &tiny());
        let output = command.envs(variables.iter().copied()).output().unwrap();
        assert_eq!(output.status.code(), Some(2));
        String::from_utf8(output.stderr).unwrap()
    };
    let text = refused(&[("RANK", "0"), ("WORLD_SIZE", "2")], &["run"]);
    assert!(text.contains("error: MASTER_ADDR is not set"), "{text}");
    assert!(text.contains("hint: `torchrun --no-python`"), "{text}");
    let known = [("RANK", "1"), ("WORLD_SIZE", "2"), ("MASTER_ADDR", "x"), ("MASTER_PORT", "1")];
    let text = refused(&known, &["run", "--processes", "3"]);
    assert!(text.contains("3 processes are asked for, but 2 were started"), "{text}");
    let text = refused(&[], &["run", "--processes", "0"]);
    assert!(text.contains("[compute] processes: 0 is not between 1 and 4096"), "{text}");
}
