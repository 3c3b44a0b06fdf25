//! `spacewright study new …`: a short study with comments, for one's own images and hardware.

mod images;

use std::{
    fs,
    io::{self, BufRead, IsTerminal, Write},
    path::{Path, PathBuf},
};

use serde_json::{Value, json};
use spacewright_core::foreign::Escaped;
use spacewright_engine::{
    DataSettings, Overrides, Registry, Study, default_home, engine_sections, home,
};
use spacewright_spaceevo::settings::{Budget, MeasureSettings};

use self::images::{Images, check_command};
use super::schema::json_schema_value;
use crate::{
    catalog,
    cli::{Global, NewArgs, budget},
    render::{Failure, Output},
};

/// Fills in a study.
const TEMPLATE: &str = include_str!("../new.toml.in");

pub fn run(args: &NewArgs, global: &Global) -> Result<Output, Failure> {
    let wrong = |reason: &str, hint: &str| {
        Err(Failure::input(format!("{}: {reason}", args.file.display())).hint(hint))
    };
    if args.file.is_dir() {
        return wrong("is a folder", "give the name of a file in it");
    }
    if args.file.exists() {
        return wrong("there is such a file already", "give another name, or move it away");
    }
    let folder = args.file.parent().filter(|folder| !folder.as_os_str().is_empty());
    if folder.is_some_and(|folder| !folder.is_dir()) {
        return wrong("there is no folder for it", "make the folder first");
    }
    check_name(&args.file)?;
    let registry = catalog::registry()?;
    let data = match &args.data {
        Some(data) => data.clone(),
        None => ask("images: fashion-mnist, synthetic, or where your own are", &default_data()?)?,
    };
    let target = match &args.target {
        Some(target) => target.clone(),
        None => {
            let known: Vec<&str> = registry.targets.keys().map(String::as_str).collect();
            ask(&format!("target: {}", known.join(", ")), &default_target())?
        }
    };
    catalog::target(&registry, &target)?;
    let budgets = match &args.budgets[..] {
        [] => ask_budgets()?,
        given => given.to_vec(),
    };
    // Without it editors do not complete fields; the study is the same.
    let schema = write_schema().map_err(|failure| tracing::warn!("{}", failure.in_one_line())).ok();
    let images = Images::of((&data, args.layout.as_deref()), &args.file, global)?;
    let recipe = match args.short {
        true => with_few_steps(images.kind.recipe()),
        false => images.kind.recipe().to_owned(),
    };
    let seed = global.seed.unwrap_or(0);
    let text = text(&args.file, schema.as_deref(), &images, &recipe, (&target, &budgets, seed));
    check(&args.file, &text, &registry)?;
    fs::write(&args.file, &text).map_err(|error| {
        // What a full disk leaves would be in the way of the next try.
        let _ = fs::remove_file(&args.file);
        Failure::failed(format!("{}: {error}", args.file.display()))
    })?;
    let mut shown =
        format!("wrote {file}\nrun it with: spacewright run {file}", file = args.file.display());
    if images.bad > 0 {
        shown += &format!(
            "\n{} images cannot be used, and the study skips them: `{}` names them",
            images.bad,
            check_command(&data, args.layout.as_deref())
        );
    }
    for notice in &images.notices {
        shown += &format!("\nto be known: {}", Escaped(notice));
    }
    let told = json!({
        "file": args.file,
        "schema": schema,
        "bad_images": images.bad,
        "notices": images.notices,
    });
    Output::new(shown, &told)
}

/// What the run of a new study is called.
fn run_name(file: &Path) -> String {
    file.file_stem().unwrap_or_default().to_string_lossy().into_owned()
}

/// That a run can be called as the file is. Said before there is a text: a line of it would be of no file yet.
fn check_name(file: &Path) -> Result<(), Failure> {
    let [top, ..] = engine_sections();
    top.complete(&json!({ "name": run_name(file) })).map(drop).map_err(|error| {
        let (file, problem) = (file.display(), &error.problem);
        Failure::input(format!("{file}: the run gets its name from the file, and {problem}"))
            .hint(error.hint())
    })
}

/// A recipe with a twentieth of the steps of each training.
fn with_few_steps(recipe: &str) -> String {
    const FIELD: &str = "steps = ";
    let mut parts = recipe.split(FIELD);
    let mut short = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let digits = part.find(|letter: char| !letter.is_ascii_digit()).unwrap_or(part.len());
        let steps: usize = part[..digits].parse().unwrap_or_default();
        short += &format!("{FIELD}{}{}", (steps / 20).max(4), &part[digits..]);
    }
    short
}

/// Asks on a terminal; elsewhere the default is taken.
fn ask(question: &str, default: &str) -> Result<String, Failure> {
    let (mut input, mut output) = (io::stdin().lock(), io::stderr());
    if !input.is_terminal() || !output.is_terminal() {
        return Ok(default.to_owned());
    }
    let mut answer = String::new();
    write!(output, "{question} [{default}] ")
        .and_then(|()| output.flush())
        .and_then(|()| input.read_line(&mut answer))
        .map_err(Failure::failed)?;
    let answer = answer.trim();
    Ok(if answer.is_empty() { default.to_owned() } else { answer.to_owned() })
}

/// The set that a study has where it names none.
fn default_data() -> Result<String, Failure> {
    match serde_json::to_value(DataSettings::default().set) {
        Ok(Value::String(name)) => Ok(name),
        Ok(other) => Err(Failure::failed(format!("{other} is no name of a data set"))),
        Err(error) => Err(Failure::failed(error)),
    }
}

/// The target that a study has where it names none.
fn default_target() -> String {
    let top = engine_sections().into_iter().find(|section| section.name.is_empty());
    let default = top.and_then(|top| Some(top.defaults()["target"].as_str()?.to_owned()));
    default.unwrap_or_default()
}

fn ask_budgets() -> Result<Vec<Budget>, Failure> {
    let shown = |budget: &Budget| match budget {
        Budget::Quantile(share) => format!("{}%", share * 100.0),
        Budget::Ms(ms) => format!("{ms}ms"),
    };
    let defaults: Vec<String> = MeasureSettings::default().budgets.iter().map(shown).collect();
    let question = "latency budgets: milliseconds, or shares of all subnets";
    let answer = ask(question, &defaults.join(" "))?;
    let words = answer.split([' ', ',']).filter(|word| !word.is_empty());
    words.map(|word| budget(word).map_err(Failure::input)).collect()
}

/// Leaves the schema in the home, where editors find it.
fn write_schema() -> Result<PathBuf, Failure> {
    let name = format!("schema/study-{}.json", env!("CARGO_PKG_VERSION"));
    let path = home::file(&default_home()?, &name)?;
    let folder = path.parent().unwrap_or(&path);
    let content = format!("{:#}\n", json_schema_value()?);
    fs::create_dir_all(folder)
        .and_then(|()| fs::write(&path, content))
        .map_err(|error| Failure::failed(format!("{}: {error}", path.display())))?;
    Ok(std::path::absolute(&path).unwrap_or(path))
}

fn text(
    file: &Path,
    schema: Option<&Path>,
    images: &Images,
    recipe: &str,
    (target, budgets, seed): (&str, &[Budget], u64),
) -> String {
    let name = run_name(file);
    let budget = |budget: &Budget| match budget {
        Budget::Quantile(share) => format!("{{ quantile = {share} }}"),
        // Such a number without an exponent would be an integer, and too large for one.
        Budget::Ms(ms) if *ms >= 1e15 => format!("{{ ms = {ms:e} }}"),
        Budget::Ms(ms) => format!("{{ ms = {ms} }}"),
    };
    let budgets: Vec<String> = budgets.iter().map(budget).collect();
    let words = [
        (
            "{{schema}}",
            schema.map(|path| format!("#:schema {}\n", path.display())).unwrap_or_default(),
        ),
        ("{{name}}", quoted(&name)),
        ("{{seed}}", seed.to_string()),
        ("{{hyperspace}}", images.kind.hyperspace().to_owned()),
        ("{{target}}", target.to_owned()),
        ("{{images}}", images.lines.join("\n")),
        ("{{held-out}}", images.held_out.to_string()),
        ("{{budgets}}", budgets.join(", ")),
        ("{{recipe}}", recipe.to_owned()),
    ];
    words.iter().fold(TEMPLATE.to_owned(), |text, (word, value)| text.replace(word, value))
}

/// A text as TOML writes it.
fn quoted(text: &str) -> String {
    toml::Value::from(text).to_string()
}

/// That the study can be opened as it is.
fn check(file: &Path, text: &str, registry: &Registry) -> Result<(), Failure> {
    let folder = file.parent().unwrap_or(Path::new("."));
    let origin = file.display().to_string();
    Study::parse(&origin, text, folder, registry, &Overrides::default())?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use spacewright_core::study::sections_of;

    use super::{images::Kind, *};

    /// Steps of all trainings of a complete study, by section and field.
    fn steps(path: &str, value: &Value, found: &mut Vec<(String, u64)>) {
        for (name, value) in value.as_object().into_iter().flatten() {
            let path = format!("{path}.{name}");
            match value.as_u64() {
                Some(count) if name == "steps" => found.push((path, count)),
                _ => steps(&path, value, found),
            }
        }
    }

    #[test]
    fn a_short_study_has_a_twentieth_of_the_steps_of_every_training() {
        let steps_of_method = catalog::steps().unwrap();
        let run: Vec<_> = steps_of_method.into_iter().filter(|step| !step.is_extra()).collect();
        for kind in [Kind::SmallGrey, Kind::Small, Kind::Photographs] {
            let all = |recipe: &str| {
                let recipe: Value = toml::from_str(recipe).unwrap();
                let mut found = Vec::new();
                for section in sections_of(&run) {
                    let given = recipe.get(section.name).cloned().unwrap_or_else(|| json!({}));
                    let complete = section.complete(&given).unwrap();
                    // Trains nothing unless it is asked for networks.
                    if complete.get("networks") != Some(&json!(0)) {
                        steps(section.name, &complete, &mut found);
                    }
                }
                found
            };
            let (long, short) = (all(kind.recipe()), all(&with_few_steps(kind.recipe())));
            let twentieth = |(path, steps): &(String, u64)| (path.clone(), (steps / 20).max(4));
            assert_eq!(short, long.iter().map(twentieth).collect::<Vec<_>>());
            assert!(long.len() >= 7, "{long:?}");
        }
    }
}
