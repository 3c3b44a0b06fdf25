//! Slurm, through its commands: `sbatch` submits a batch as one array, `squeue` tells how its jobs stand,
//! `scancel` ends them. Accounting is not needed: a job that `squeue` does not list is over.

use std::{
    collections::BTreeMap,
    env,
    io::{self, Write as _},
    process::{Command, Output, Stdio},
};

use super::{
    Batch, ClusterEngine, ClusterError, ClusterSettings, Job, JobState, Submission, shell::quoted,
};

/// What the engine is called.
const NAME: &str = "Slurm";

/// Name of the batch, number in it, the job, its state, why it waits, machines; none of them has the sign
/// between them.
const FORMAT: &str = "%j|%K|%i|%T|%r|%N";

/// Beginnings of what the commands say when the controller is not reached.
const UNREACHED: [&str; 3] =
    ["Unable to contact slurm controller", "Socket timed out", "Zero Bytes were transmitted"];

/// Why Slurm holds a job that a machine could not start: nobody but an administrator lets it go on.
const NEVER_STARTED: &str = "launch failed requeued held";

/// The Slurm that the commands of this machine belong to.
pub(super) struct Slurm {
    jobs: usize,
    cpus: usize,
    options: Vec<String>,
}

impl Slurm {
    pub fn new(settings: &ClusterSettings) -> Self {
        let ClusterSettings { jobs, cpus, options, .. } = settings;
        Self { jobs: *jobs, cpus: *cpus, options: options.clone() }
    }

    /// The options of `sbatch` for a batch. Those of the study come last and so win.
    fn options(&self, submission: &Submission<'_>) -> Vec<String> {
        let Submission { batch, folder, .. } = submission;
        let mut options = vec![
            "--parsable".to_owned(),
            format!("--job-name={}", batch.name),
            format!("--array=0-{}%{}", batch.tasks.len().saturating_sub(1), self.jobs),
            "--ntasks=1".into(),
            format!("--cpus-per-task={}", self.cpus),
            format!("--chdir={}", folder.display()),
            // Each job writes into a file of its own.
            "--output=/dev/null".into(),
        ];
        options.extend(self.options.iter().cloned());
        options
    }
}

/// A script whose jobs run the line of their number.
fn script(submission: &Submission<'_>) -> String {
    let jobs = submission.lines.iter().zip(&submission.logs).enumerate();
    let job = |(number, (line, log)): (usize, (&String, &std::path::PathBuf))| {
        format!("{number}) {line} >>{} 2>&1 ;;\n", quoted(&log.display().to_string()))
    };
    let cases: String = jobs.map(job).collect();
    format!("#!/bin/sh\ncase \"$SLURM_ARRAY_TASK_ID\" in\n{cases}esac\n")
}

/// Runs a command of Slurm's; what it prints on standard output.
fn run(program: &'static str, arguments: &[String], input: &str) -> Result<String, ClusterError> {
    let output = output(program, arguments, input)
        .map_err(|source| ClusterError::Start { program, source })?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    let (engine, reason) = (NAME.to_owned(), format!("{program}: {said}"));
    Err(match UNREACHED.iter().any(|text| said.contains(text)) {
        true => ClusterError::NoAnswer { engine, reason },
        false => ClusterError::Refused { engine, reason },
    })
}

/// Beginnings of a user's variables that stand in for options: jobs that such filters hide would count as lost.
const FILTERS: [&str; 2] = ["SQUEUE_", "SCANCEL_"];

fn output(program: &str, arguments: &[String], input: &str) -> io::Result<Output> {
    let mut command = Command::new(program);
    let is_filter = |name: &str| FILTERS.iter().any(|filter| name.starts_with(filter));
    for (name, _) in env::vars_os().filter(|(name, _)| name.to_str().is_some_and(is_filter)) {
        command.env_remove(name);
    }
    // Ctrl-C is for the head alone, which then has jobs to cancel.
    #[cfg(unix)]
    std::os::unix::process::CommandExt::process_group(&mut command, 0);
    let mut child = command
        .args(arguments)
        // Messages and columns as they are written in this file; no options but those that are given.
        .env("LC_ALL", "C")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()?;
    if let Some(mut stdin) = child.stdin.take() {
        // A command that reads nothing closes it, which is no failure.
        let _ = stdin.write_all(input.as_bytes());
    }
    child.wait_with_output()
}

/// What `squeue` prints in [`FORMAT`].
fn read_jobs(printed: &str) -> Result<Vec<Job>, ClusterError> {
    printed.lines().map(read_job).collect()
}

fn read_job(line: &str) -> Result<Job, ClusterError> {
    let bad = || ClusterError::answer(NAME, line);
    let [batch, number, id, state, reason, node] =
        <[&str; 6]>::try_from(line.split('|').collect::<Vec<_>>()).map_err(|_| bad())?;
    let state = match state {
        "RUNNING" | "COMPLETING" | "SUSPENDED" | "STOPPED" | "SIGNALING" | "STAGE_OUT" => {
            JobState::Running { node: node.to_owned() }
        }
        _ if reason == NEVER_STARTED => JobState::Ended { reason: reason.to_owned() },
        _ => JobState::Waiting {
            reason: if reason == "None" { String::new() } else { reason.to_owned() },
        },
    };
    let number = number.parse().map_err(|_| bad())?;
    Ok(Job { batch: batch.to_owned(), number, id: id.to_owned(), state })
}

impl ClusterEngine for Slurm {
    fn name(&self) -> &str {
        NAME
    }

    fn check(&self) -> Result<(), ClusterError> {
        // Asks the controller, as `--version` would not.
        run("squeue", &["--noheader".into(), "--name=none".into()], "").map(drop)
    }

    fn limits_batches(&self) -> bool {
        true
    }

    fn submit(&self, submission: &Submission<'_>) -> Result<(), ClusterError> {
        run("sbatch", &self.options(submission), &script(submission)).map(drop)
    }

    fn jobs(&self, batches: &[&Batch]) -> Result<Vec<Job>, ClusterError> {
        let names: Vec<&str> = batches.iter().map(|batch| batch.name.as_str()).collect();
        // A line for each job of an array, also for those that wait.
        let arguments = ["--noheader", "--array", "--format"].map(str::to_owned);
        let mut arguments = arguments.to_vec();
        arguments.extend([FORMAT.to_owned(), format!("--name={}", names.join(","))]);
        read_jobs(&run("squeue", &arguments, "")?)
    }

    fn cancel(&self, batch: &Batch, numbers: &[usize]) -> Result<(), ClusterError> {
        if numbers.len() == batch.tasks.len() {
            return run("scancel", &[format!("--name={}", batch.name)], "").map(drop);
        }
        let known: BTreeMap<usize, String> =
            self.jobs(&[batch])?.into_iter().map(|job| (job.number, job.id)).collect();
        let ids: Vec<String> =
            numbers.iter().filter_map(|number| known.get(number).cloned()).collect();
        if ids.is_empty() {
            return Ok(());
        }
        run("scancel", &ids, "").map(drop)
    }
}

#[cfg(test)]
mod tests {
    use std::path::{Path, PathBuf};

    use super::*;

    #[test]
    fn jobs_are_read_as_squeue_writes_them() {
        let printed = "\
sw-a|0|12_0|RUNNING|None|node[7]
sw-a|1|13|COMPLETING|None|node8
sw-a|2|12_2|PENDING|Resources|
sw-b|0|14_0|PENDING|launch failed requeued held|
sw-b|1|14_1|CONFIGURING|None|node9
";
        let states: Vec<(String, JobState)> =
            read_jobs(printed).unwrap().into_iter().map(|job| (job.id, job.state)).collect();
        let running = |node: &str| JobState::Running { node: node.into() };
        let waiting = |reason: &str| JobState::Waiting { reason: reason.into() };
        let ended = JobState::Ended { reason: "launch failed requeued held".into() };
        let expected = [
            ("12_0", running("node[7]")),
            ("13", running("node8")),
            ("12_2", waiting("Resources")),
            ("14_0", ended),
            ("14_1", waiting("")),
        ];
        assert_eq!(states, expected.map(|(id, state)| (id.to_owned(), state)));
        assert_eq!(read_jobs("").unwrap(), []);
        for line in ["slurm_load_jobs error", "sw-a|x|12|RUNNING|None|n", "sw-a|0|12_0|RUNNING"] {
            assert!(read_jobs(line).unwrap_err().passes(), "{line}");
        }
    }

    #[test]
    fn a_batch_is_an_array_whose_jobs_run_the_line_of_their_number() {
        let batch = Batch {
            name: "sw-a".into(),
            engine: NAME.into(),
            tasks: ["t0", "t1"].map(str::to_owned).to_vec(),
        };
        let submission = Submission {
            batch: &batch,
            lines: ["echo 0", "echo 1"].map(str::to_owned).to_vec(),
            logs: ["/runs/a b/0", "/runs/a b/1"].map(PathBuf::from).to_vec(),
            folder: Path::new("/runs"),
        };
        let settings =
            ClusterSettings { jobs: 3, options: vec!["--time=5".into()], ..Default::default() };
        let options = Slurm::new(&settings).options(&submission);
        assert!(options.contains(&"--array=0-1%3".to_owned()), "{options:?}");
        assert_eq!(options.last().unwrap(), "--time=5");
        let script = script(&submission);
        assert!(script.contains("1) echo 1 >>'/runs/a b/1' 2>&1 ;;\n"), "{script}");
    }
}
