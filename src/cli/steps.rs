//! Commands of a method's steps: their names, texts and flags are those that the steps declare.

use std::sync::Arc;

use clap::{
    Arg, ArgAction, ArgMatches, Args, Command, CommandFactory, FromArgMatches,
    builder::StringValueParser, value_parser,
};
use serde_json::json;
use spacewright_core::study::{AnyStep, FlagValue, Section as _, Step as _, StepFlag, sections_of};
use spacewright_engine::{FieldOverride, engine_sections};
use spacewright_spaceevo::{settings::ExportSettings, steps::report::Report};

use super::{Cli, Global, StepArgs, StudyArgs, TOP_SECTION, Typed, offered::offered};

type Steps = [Arc<dyn AnyStep>];

/// The flag that opens the page of a run.
const OPEN: &str = "open";

/// Formats of model files that the program itself writes and runs, and the word for all that there are.
const FORMATS: [&str; 3] = ["onnx", "tflite", "all"];

/// Whether a step's command can open the page of the run.
fn shows_page(step: &dyn AnyStep) -> bool {
    step.name() == Report::NAME && !step.is_extra()
}

/// Reads what was typed, or ends the process with what is wrong. `steps` are those of all methods.
pub fn parse(steps: &Steps) -> Typed {
    let matches = command(steps).get_matches();
    typed(&matches, steps).unwrap_or_else(|error| error.exit())
}

/// All that can be typed.
pub fn command(steps: &Steps) -> Command {
    with_steps(Cli::command(), steps)
}

/// The commands of the program with those of the steps.
fn with_steps(command: Command, steps: &Steps) -> Command {
    let of_runs = steps.iter().filter(|step| !step.is_extra());
    let command = of_runs
        .fold(command, |command, step| command.subcommand(step_command::<StepArgs>(step.as_ref())));
    let extra = steps.iter().filter(|step| step.is_extra());
    let command = command.mut_subcommand("bench", |bench| {
        extra.fold(bench, |bench, step| bench.subcommand(step_command::<StudyArgs>(step.as_ref())))
    });
    let command = command.mut_subcommand("study", |study| {
        study.mut_subcommand("explain", |explain| {
            let sections = offered(StringValueParser::new(), section_names(steps));
            explain.mut_arg("section", |section| section.value_parser(sections))
        })
    });
    with_negative_numbers(command)
}

/// The sections of study files.
fn section_names(steps: &Steps) -> Vec<&'static str> {
    let [_, of_engine @ ..] = engine_sections();
    let of_methods = sections_of(steps);
    let names = of_engine.iter().chain(&of_methods).map(|section| section.name);
    std::iter::once(TOP_SECTION).chain(names).collect()
}

/// Lets options read negative numbers, to say why they take none: to clap these are unknown options.
fn with_negative_numbers(command: Command) -> Command {
    let read = |option: Arg| {
        let takes_value = option.get_long().is_some() && option.get_action().takes_values();
        if takes_value { option.allow_negative_numbers(true) } else { option }
    };
    command.mut_args(read).mut_subcommands(with_negative_numbers)
}

fn step_command<A: Args>(step: &dyn AnyStep) -> Command {
    let mut summary = step.summary().to_owned();
    if let Some(first) = summary.get_mut(..1) {
        first.make_ascii_uppercase();
    }
    let command = A::augment_args(Command::new(step.name())).about(summary);
    let command = if shows_page(step) {
        let help = "Open the page of the run, `report.html`, in the browser";
        command.arg(Arg::new(OPEN).long(OPEN).action(ArgAction::SetTrue).help(help))
    } else {
        command
    };
    step.flags().iter().fold(command, |command, flag| {
        let arg = Arg::new(flag.flag).long(flag.flag).help(flag.help);
        command.arg(match flag.value {
            FlagValue::Texts(value) if is_format(flag) => arg
                .action(ArgAction::Append)
                .value_name(value)
                .value_parser(offered(StringValueParser::new(), FORMATS))
                .hide_possible_values(true),
            FlagValue::Texts(value) => arg.action(ArgAction::Append).value_name(value),
            FlagValue::Number(value) => arg.value_parser(value_parser!(u32)).value_name(value),
        })
    })
}

/// Whether a flag names formats of model files.
fn is_format(flag: &StepFlag) -> bool {
    (flag.section, flag.field) == (ExportSettings::NAME, "formats")
}

fn typed(matches: &ArgMatches, steps: &Steps) -> Result<Typed, clap::Error> {
    let step = |name: &str, extra: bool| {
        steps.iter().find(|step| step.name() == name && step.is_extra() == extra)
    };
    let global = || Global::from_arg_matches(matches);
    if let Some(("bench", bench)) = matches.subcommand()
        && let Some((name, found)) = bench.subcommand()
        && let Some(step) = step(name, true)
    {
        let (name, args) = (name.to_owned(), StudyArgs::from_arg_matches(found)?);
        let fields = fields(step.as_ref(), found);
        return Ok(Typed::Bench { global: global()?, name, args, fields });
    }
    if let Some((name, found)) = matches.subcommand()
        && let Some(step) = step(name, false)
    {
        let (name, args) = (name.to_owned(), StepArgs::from_arg_matches(found)?);
        let fields = fields(step.as_ref(), found);
        let open = shows_page(step.as_ref()) && found.get_flag(OPEN);
        return Ok(Typed::Step { global: global()?, name, args, fields, open });
    }
    Cli::from_arg_matches(matches).map(Typed::Command)
}

/// The fields that a step's flags set.
fn fields(step: &dyn AnyStep, matches: &ArgMatches) -> Vec<FieldOverride> {
    let field = |flag: &StepFlag| {
        let value = match flag.value {
            FlagValue::Texts(_) => {
                json!(matches.get_many::<String>(flag.flag)?.collect::<Vec<_>>())
            }
            FlagValue::Number(_) => json!(matches.get_one::<u32>(flag.flag)?),
        };
        let (section, field) = (flag.section.to_owned(), flag.field.to_owned());
        Some(FieldOverride { section, field, value })
    };
    step.flags().iter().filter_map(field).collect()
}

#[cfg(test)]
mod tests {
    use spacewright_core::study::Method;
    use spacewright_engine::Registry;
    use spacewright_spaceevo::SpaceEvo;

    use super::*;

    #[test]
    fn every_step_has_a_command() {
        let steps = SpaceEvo.steps();
        let command = with_steps(Cli::command(), &steps);
        command.clone().debug_assert();
        let read = |line: &str| {
            let matches = command.clone().try_get_matches_from(line.split(' ')).unwrap();
            typed(&matches, &steps).unwrap()
        };
        let line = "spacewright export a.toml --format onnx --format tflite --json";
        let Typed::Step { global, name, fields, .. } = read(line) else { panic!("no step") };
        assert_eq!((name.as_str(), global.json), ("export", true));
        assert_eq!(fields[0].field, "formats");
        assert_eq!(fields[0].value, json!(["onnx", "tflite"]));
        let line = "spacewright bench proxy a.toml --quiet";
        let Typed::Bench { global, name, .. } = read(line) else { panic!("no bench") };
        assert_eq!((name.as_str(), global.quiet), ("proxy", true));
        let Typed::Bench { fields, .. } = read("spacewright bench plain a.toml --seeds 3") else {
            panic!("no bench")
        };
        assert_eq!((fields[0].field.as_str(), &fields[0].value), ("seeds", &json!(3)));
        assert!(matches!(read("spacewright run a.toml"), Typed::Command(_)));
        let opens = |line: &str| matches!(read(line), Typed::Step { open: true, .. });
        assert!(opens("spacewright report a.toml --open") && !opens("spacewright report a.toml"));
        assert!(
            command.clone().try_get_matches_from(["spacewright", "export", "a", "--open"]).is_err()
        );
    }

    #[test]
    fn formats_are_those_of_targets_that_are_built_in() {
        let mut formats = vec!["all".to_owned()];
        let registry = Registry::built_in().unwrap();
        for target in registry.targets.values() {
            let format = target.description().model_format;
            if !formats.contains(&format) {
                formats.push(format);
            }
        }
        formats.sort();
        let mut offered = FORMATS;
        offered.sort_unstable();
        assert_eq!(formats, offered);
    }

    #[test]
    fn numbers_below_zero_are_refused_by_who_reads_them() {
        let command = with_steps(Cli::command(), &SpaceEvo.steps());
        for (line, reason) in [
            ("space count mini --seed -1", "not a whole number from 0 to 18446744073709551615"),
            ("space score a --tables b --constraint -10", "not a positive number"),
            ("space count mini --threads -2", "-2 is not in 1.."),
            ("study new a.toml --budget -1.5", "`-1.5` is no latency budget"),
        ] {
            let words = std::iter::once("spacewright").chain(line.split(' '));
            let error = command.clone().try_get_matches_from(words).unwrap_err().to_string();
            assert!(error.contains(reason), "{line}: {error}");
        }
    }
}
