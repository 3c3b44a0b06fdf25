//! Processes that were started together, by PyTorch's `torchrun` or by Slurm's `srun`: the first one runs the
//! study, the others train for it.

use std::env;

use crate::render::Failure;

/// What this process was told of those that were started with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Launch {
    /// The number of this process, from 0.
    pub rank: usize,
    /// How many there are.
    pub processes: usize,
    /// How many there are on this machine.
    pub on_this_machine: usize,
    /// The number of this process among these.
    pub local_rank: usize,
    /// The machine of the first one.
    pub host: String,
    /// A port of it where all meet.
    pub port: u16,
    /// Whether the first one has to listen there; otherwise who has started it does.
    pub listens: bool,
}

/// A variable of the environment.
type Variable<'a> = &'a dyn Fn(&str) -> Option<String>;

/// Ports for Slurm's steps begin here: below are those of common services, above those that systems hand out.
const FIRST_PORT: u64 = 15_000;
const PORTS: u64 = 15_000;

impl Launch {
    /// What the environment says; `None` for a process that was started alone.
    ///
    /// # Errors
    ///
    /// Variables that are missing, or no numbers.
    pub fn of_this_process() -> Result<Option<Self>, Failure> {
        let variable = |name: &str| env::var(name).ok().filter(|value| !value.is_empty());
        let launch = match variable("RANK").is_some() && variable("WORLD_SIZE").is_some() {
            true => Self::by_torchrun(&variable)?,
            false if variable("SLURM_STEP_NUM_TASKS").is_some() => Self::by_srun(&variable)?,
            false => return Ok(None),
        };
        Ok(Some(launch).filter(|launch| launch.processes > 1))
    }

    /// The variables of `torchrun` (docs.pytorch.org/docs/stable/elastic/run.html).
    fn by_torchrun(variable: Variable<'_>) -> Result<Self, Failure> {
        let processes = number(variable, "WORLD_SIZE")?;
        let agent = variable("TORCHELASTIC_USE_AGENT_STORE");
        let rank = number(variable, "RANK")?;
        Ok(Self {
            rank,
            processes,
            on_this_machine: number_or(variable, "LOCAL_WORLD_SIZE", processes)?,
            local_rank: number_or(variable, "LOCAL_RANK", rank)?,
            host: text(variable, "MASTER_ADDR")?,
            port: number(variable, "MASTER_PORT")?,
            listens: agent.is_none_or(|agent| agent != "True"),
        })
    }

    /// The variables of `srun` (slurm.schedmd.com/srun.html); `MASTER_ADDR` and `MASTER_PORT` count, too.
    fn by_srun(variable: Variable<'_>) -> Result<Self, Failure> {
        let own_port = || {
            let (job, step): (u64, u64) =
                (number(variable, "SLURM_JOB_ID")?, number(variable, "SLURM_STEP_ID")?);
            // Steps of one job may run side by side.
            Ok::<_, Failure>((FIRST_PORT + (job * 31 + step) % PORTS) as u16)
        };
        let processes = number(variable, "SLURM_STEP_NUM_TASKS")?;
        let nodes: usize = number_or(variable, "SLURM_STEP_NUM_NODES", 1)?;
        let rank = number(variable, "SLURM_PROCID")?;
        Ok(Self {
            rank,
            processes,
            on_this_machine: processes.div_ceil(nodes.max(1)),
            local_rank: number_or(variable, "SLURM_LOCALID", rank)?,
            host: match variable("MASTER_ADDR") {
                Some(host) => host,
                None => first_of(&text(variable, "SLURM_STEP_NODELIST")?),
            },
            port: match variable("MASTER_PORT") {
                Some(_) => number(variable, "MASTER_PORT")?,
                None => own_port()?,
            },
            listens: true,
        })
    }
}

fn text(variable: Variable<'_>, name: &str) -> Result<String, Failure> {
    variable(name).ok_or_else(|| {
        let error = format!("{name} is not set, though this process was started with others");
        Failure::input(error).hint("`torchrun --no-python` and `srun` set it")
    })
}

fn number<T: std::str::FromStr>(variable: Variable<'_>, name: &str) -> Result<T, Failure> {
    let value = text(variable, name)?;
    value.parse().map_err(|_| Failure::input(format!("{name} is `{value}`, which is no number")))
}

/// The number, or another one where it is not set.
fn number_or(variable: Variable<'_>, name: &str, otherwise: usize) -> Result<usize, Failure> {
    variable(name).map_or(Ok(otherwise), |_| number(variable, name))
}

/// The first machine of a list of Slurm's, such as `gpu[07-09,12],login`.
fn first_of(nodes: &str) -> String {
    let end = nodes.find([',', '[']).unwrap_or(nodes.len());
    let (name, rest) = nodes.split_at(end);
    match rest.strip_prefix('[') {
        Some(numbers) => {
            let end = numbers.find(['-', ',', ']']).unwrap_or(numbers.len());
            format!("{name}{}", &numbers[..end])
        }
        None => name.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(
        by: fn(Variable<'_>) -> Result<Launch, Failure>,
        variables: &[(&str, &str)],
    ) -> Result<Launch, Failure> {
        by(&|name| {
            let known = variables.iter().find(|(known, _)| *known == name);
            known.map(|(_, value)| (*value).to_owned())
        })
    }

    #[test]
    fn torchrun_is_understood() {
        let mut variables = vec![
            ("RANK", "3"),
            ("WORLD_SIZE", "8"),
            ("LOCAL_WORLD_SIZE", "4"),
            ("LOCAL_RANK", "1"),
            ("MASTER_ADDR", "node1"),
            ("MASTER_PORT", "29500"),
        ];
        let launch = read(Launch::by_torchrun, &variables).unwrap();
        let expected = Launch {
            rank: 3,
            processes: 8,
            on_this_machine: 4,
            local_rank: 1,
            host: "node1".into(),
            port: 29500,
            listens: true,
        };
        assert_eq!(launch, expected);
        variables.push(("TORCHELASTIC_USE_AGENT_STORE", "True"));
        assert!(!read(Launch::by_torchrun, &variables).unwrap().listens);
        variables.retain(|(name, _)| *name != "MASTER_ADDR");
        let failure = read(Launch::by_torchrun, &variables).unwrap_err();
        assert!(failure.to_string().starts_with("MASTER_ADDR is not set"), "{failure}");
    }

    #[test]
    fn srun_is_understood() {
        let variables = [
            ("SLURM_PROCID", "1"),
            ("SLURM_LOCALID", "0"),
            ("SLURM_STEP_NUM_TASKS", "3"),
            ("SLURM_STEP_NUM_NODES", "2"),
            ("SLURM_STEP_NODELIST", "gpu[07-08]"),
            ("SLURM_JOB_ID", "1000"),
            ("SLURM_STEP_ID", "2"),
        ];
        let launch = read(Launch::by_srun, &variables).unwrap();
        let expected = Launch {
            rank: 1,
            processes: 3,
            on_this_machine: 2,
            local_rank: 0,
            host: "gpu07".into(),
            port: 15_000 + 31_002 % 15_000,
            listens: true,
        };
        assert_eq!(launch, expected);
        let failure = read(Launch::by_srun, &variables[1..]).unwrap_err();
        assert!(failure.to_string().contains("SLURM_PROCID"), "{failure}");
    }

    #[test]
    fn the_first_machine_of_a_list_is_found() {
        for (nodes, first) in [
            ("one", "one"),
            ("one,two", "one"),
            ("n[3-5,9]", "n3"),
            ("n[012,014]", "n012"),
            ("rack1-n[1-2],x", "rack1-n1"),
        ] {
            assert_eq!(first_of(nodes), first);
        }
    }
}
