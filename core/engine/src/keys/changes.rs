//! Why a step runs again: what it depends on now, against what it was made with.

use std::{collections::BTreeMap, fmt};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use spacewright_core::train::Precision;

use super::{Ingredients, Training};

/// Something that a step depends on and that has changed since it ran.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "change", rename_all = "snake_case")]
pub enum Change {
    /// A field of a section.
    Field {
        /// Name of the section.
        section: String,
        /// Path of the field within it.
        field: String,
        /// What it was; nothing where there was no such field.
        was: Value,
        /// What it is; nothing where there is none any more.
        now: Value,
    },
    /// The seed of everything random.
    Seed {
        /// What it was.
        was: u64,
        /// What it is.
        now: u64,
    },
    /// The number of threads that train.
    Threads {
        /// How many they were.
        was: usize,
        /// How many they are.
        now: usize,
    },
    /// The number of processes that train together.
    Processes {
        /// How many they were.
        was: usize,
        /// How many they are.
        now: usize,
    },
    /// The device that trains.
    Device {
        /// What it was: `cpu` or `cuda`.
        was: String,
        /// What it is.
        now: String,
    },
    /// How exactly it trains.
    Precision {
        /// How it was: `fp32`, `tf32` or `bf16`.
        #[schemars(with = "String")]
        was: Precision,
        /// How it is.
        #[schemars(with = "String")]
        now: Precision,
    },
    /// The images.
    Images,
    /// The hyperspace.
    Hyperspace,
    /// What is named at the top of the study: method, target, quantizer.
    Name {
        /// The field.
        field: String,
        /// What it named.
        was: String,
        /// What it names.
        now: String,
    },
    /// The quantization scheme of the target.
    Scheme,
    /// The machine, the runtime or the settings for which latencies hold.
    Latencies {
        /// The target.
        target: String,
        /// Fingerprint of the source; nothing where it was not asked.
        was: Option<String>,
        /// Fingerprint of the source; nothing where it is not asked any more.
        now: Option<String>,
    },
    /// The runtime that writes and runs model files.
    Runtime {
        /// The target.
        target: String,
        /// Name and version; nothing where it was not used.
        was: Option<String>,
        /// Name and version; nothing where it is not used any more.
        now: Option<String>,
    },
    /// The trainer.
    Trainer {
        /// Name and version.
        was: Option<String>,
        /// Name and version.
        now: Option<String>,
    },
    /// A loaded plugin.
    Plugin {
        /// Name, version and hash; nothing where it was not used.
        was: Option<String>,
        /// Name, version and hash; nothing where it is not used any more.
        now: Option<String>,
    },
    /// The content of a file that a field names.
    File {
        /// Section and field.
        field: String,
    },
    /// The program.
    Program {
        /// Its version.
        was: String,
        /// Its version.
        now: String,
    },
    /// Steps that this one reads.
    Inputs {
        /// Their names.
        steps: Vec<String>,
    },
    /// The step was made by a version of the program that did not say what it depends on.
    Untold,
    /// A file of the step is not as the step wrote it.
    Damaged {
        /// Its path in the run's folder.
        file: String,
    },
    /// A file of the step is not there any more.
    Lost {
        /// Its path in the run's folder.
        file: String,
    },
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let or_none = |side: &Option<String>| side.clone().unwrap_or_else(|| "none".into());
        match self {
            Self::Field { section, field, was, now } => {
                let or_unset = |side: &Value| match side {
                    Value::Null => "unset".to_owned(),
                    value => value.to_string(),
                };
                write!(f, "[{section}] {field} was {}, is {}", or_unset(was), or_unset(now))
            }
            Self::Seed { was, now } => write!(f, "the seed was {was}, is {now}"),
            Self::Threads { was, now } => {
                let s = if *was == 1 { "" } else { "s" };
                write!(f, "made with {was} thread{s}, now {now}")
            }
            Self::Processes { was, now } => {
                let es = if *was == 1 { "" } else { "es" };
                write!(f, "made by {was} process{es}, now {now}")
            }
            Self::Device { was, now } => {
                write!(f, "made on {was}, now {now}")
            }
            Self::Precision { was, now } => {
                let (was, now) = (was.name(), now.name());
                write!(f, "made with {was}, now {now}")
            }
            Self::Images => f.write_str("the images have changed"),
            Self::Hyperspace => f.write_str("the hyperspace has changed"),
            Self::Name { field, was, now } => write!(f, "`{field}` was `{was}`, is `{now}`"),
            Self::Scheme => f.write_str("the target's quantization scheme has changed"),
            Self::Latencies { target, was, now } => {
                let (was, now) = (or_none(was), or_none(now));
                write!(f, "latencies of `{target}` were those of `{was}`, are those of `{now}`")
            }
            Self::Runtime { target, was, now } => {
                let (was, now) = (or_none(was), or_none(now));
                write!(f, "the runtime of `{target}` was `{was}`, is `{now}`")
            }
            Self::Trainer { was, now } => {
                write!(f, "the trainer was `{}`, is `{}`", or_none(was), or_none(now))
            }
            Self::Plugin { was: Some(was), now: Some(now) } => {
                write!(f, "the plugin `{}` is now `{}`", shortened(was), shortened(now))
            }
            Self::Plugin { was, now } => match now.as_ref().or(was.as_ref()) {
                Some(plugin) if now.is_some() => {
                    write!(f, "it now uses the plugin `{}`", shortened(plugin))
                }
                Some(plugin) => write!(f, "it used the plugin `{}`", shortened(plugin)),
                None => f.write_str("a plugin has changed"),
            },
            Self::File { field } => write!(f, "the content of the file of {field} has changed"),
            Self::Program { was, now } => write!(f, "made by version {was}, this is {now}"),
            Self::Inputs { steps } => {
                write!(f, "what it reads of `{}` has changed", steps.join("`, `"))
            }
            Self::Untold => f.write_str("made by an earlier version with other settings"),
            Self::Damaged { file } => write!(f, "`{file}` is not as it was written"),
            Self::Lost { file } => write!(f, "`{file}` is gone"),
        }
    }
}

impl Change {
    /// A line for each. Where options alone made the difference, it says which goes on from what there is.
    pub fn lines(changes: &[Self]) -> Vec<String> {
        let options: Option<Vec<String>> = changes.iter().map(Self::option_before).collect();
        let line = |(index, change): (usize, &Self)| match &options {
            Some(options) => format!("{change}; `{}` goes on from it", options[index]),
            None => change.to_string(),
        };
        changes.iter().enumerate().map(line).collect()
    }

    /// The option that the step was made with, where that is what has changed.
    fn option_before(&self) -> Option<String> {
        match self {
            Self::Threads { was, .. } => Some(format!("--threads {was}")),
            Self::Processes { was, .. } => Some(format!("--processes {was}")),
            Self::Device { was, .. } => Some(format!("--device {was}")),
            Self::Precision { was, .. } => Some(format!("--precision {}", was.name())),
            _ => None,
        }
    }
}

/// Name, version and the beginning of the hash.
fn shortened(plugin: &str) -> String {
    let short = |word: &str| word.chars().take(12).collect::<String>();
    plugin
        .split(' ')
        .map(|word| if word.len() == 64 { short(word) } else { word.into() })
        .collect::<Vec<String>>()
        .join(" ")
}

impl Ingredients {
    /// What has changed since `was`. Steps that this one reads are named only where nothing of the
    /// step's own has changed, as theirs is told with them.
    pub fn changes_since(&self, was: &Self) -> Vec<Change> {
        let mut changes = Vec::new();
        if was.program != self.program || was.format != self.format {
            let (was, now) = (was.program.clone(), self.program.clone());
            changes.push(Change::Program { was, now });
        }
        for (field, was, now) in
            [("method", &was.method, &self.method), ("target", &was.target, &self.target)]
        {
            changes.extend(name(field, was, now));
        }
        if was.seed != self.seed {
            changes.push(Change::Seed { was: was.seed, now: self.seed });
        }
        if was.hyperspace != self.hyperspace {
            changes.push(Change::Hyperspace);
        }
        if was.scheme != self.scheme && was.target == self.target {
            changes.push(Change::Scheme);
        }
        if let (Some(was), Some(now)) = (&was.training, &self.training) {
            training(was, now, &mut changes);
        }
        let gone = was.sections.keys().filter(|section| !self.sections.contains_key(*section));
        for section in self.sections.keys().chain(gone) {
            let side = |of: &Self| of.sections.get(section).cloned().unwrap_or_default();
            fields(section, "", &side(was), &side(self), &mut changes);
        }
        maps(&was.latencies, &self.latencies, |target, was, now| {
            changes.push(Change::Latencies { target, was, now });
        });
        maps(&was.runtimes, &self.runtimes, |target, was, now| {
            changes.push(Change::Runtime { target, was, now });
        });
        maps(&was.files, &self.files, |field, _, _| changes.push(Change::File { field }));
        self.changed_plugins(was, &mut changes);
        if changes.is_empty() {
            let changed = |(step, key): &(&String, &String)| was.inputs.get(*step) != Some(*key);
            let steps: Vec<String> =
                self.inputs.iter().filter(changed).map(|(step, _)| step.clone()).collect();
            changes.extend((!steps.is_empty()).then_some(Change::Inputs { steps }));
        }
        changes
    }

    fn changed_plugins(&self, was: &Self, changes: &mut Vec<Change>) {
        let name = |plugin: &String| plugin.split(' ').next().unwrap_or_default().to_owned();
        let by_name = |ingredients: &Self| -> BTreeMap<String, String> {
            ingredients.plugins.iter().map(|plugin| (name(plugin), plugin.clone())).collect()
        };
        maps(&by_name(was), &by_name(self), |_, was, now| {
            changes.push(Change::Plugin { was, now });
        });
    }
}

fn name(field: &str, was: &str, now: &str) -> Option<Change> {
    (was != now).then(|| Change::Name {
        field: field.to_owned(),
        was: was.to_owned(),
        now: now.to_owned(),
    })
}

fn training(was: &Training, now: &Training, changes: &mut Vec<Change>) {
    // What a trainer's fingerprint names, too.
    let mut named = Vec::new();
    let device = |training: &Training| training.device.clone().unwrap_or_else(|| "cpu".into());
    if was.device != now.device {
        named.push(Change::Device { was: device(was), now: device(now) });
    }
    if was.precision != now.precision {
        let [was, now] = [was, now].map(|training| training.precision.unwrap_or_default());
        named.push(Change::Precision { was, now });
    }
    if let (Some(was), Some(now)) = (was.threads, now.threads)
        && was != now
    {
        named.push(Change::Threads { was, now });
    }
    if was.processes != now.processes {
        let [was, now] = [was, now].map(|training| training.processes.unwrap_or(1));
        named.push(Change::Processes { was, now });
    }
    let is_named = !named.is_empty();
    changes.extend(named);
    // What a fingerprint begins with: name and version.
    let program = |training: &Training| -> Option<String> {
        training.trainer.as_ref()?.split(", ").next().map(str::to_owned)
    };
    if was.images != now.images {
        changes.push(Change::Images);
    }
    changes.extend(name("quantizer", &was.quantizer, &now.quantizer));
    if was.trainer != now.trainer && (!is_named || program(was) != program(now)) {
        let (was, now) = (was.trainer.clone(), now.trainer.clone());
        changes.push(Change::Trainer { was, now });
    }
}

/// The fields of a section that differ; tables are compared field by field.
fn fields(section: &str, above: &str, was: &Value, now: &Value, changes: &mut Vec<Change>) {
    if was == now {
        return;
    }
    let (Some(old), Some(new)) = (was.as_object(), now.as_object()) else {
        changes.push(Change::Field {
            section: section.to_owned(),
            field: above.to_owned(),
            was: was.clone(),
            now: now.clone(),
        });
        return;
    };
    let mut names: Vec<&String> = old.keys().chain(new.keys()).collect();
    names.sort();
    names.dedup();
    for name in names {
        let path = if above.is_empty() { name.clone() } else { format!("{above}.{name}") };
        let side = |map: &serde_json::Map<String, Value>| map.get(name).cloned();
        let (was, now) = (side(old).unwrap_or_default(), side(new).unwrap_or_default());
        fields(section, &path, &was, &now, changes);
    }
}

/// The entries that differ.
fn maps(
    was: &BTreeMap<String, String>,
    now: &BTreeMap<String, String>,
    mut differs: impl FnMut(String, Option<String>, Option<String>),
) {
    let mut names: Vec<&String> = was.keys().chain(now.keys()).collect();
    names.sort();
    names.dedup();
    for name in names {
        if was.get(name) != now.get(name) {
            differs(name.clone(), was.get(name).cloned(), now.get(name).cloned());
        }
    }
}
