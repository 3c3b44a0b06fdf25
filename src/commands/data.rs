//! Sets of images.

use std::{
    fmt::Write as _,
    fs::{self, OpenOptions},
    path::{Path, PathBuf},
    sync::atomic::Ordering,
};

use spacewright_core::foreign::Escaped;
use spacewright_data::{
    BadImage, Catalog, Checked, CheckedPart, Part, Sizes, Wanted, check, divide, open,
    usual_training,
};
use spacewright_engine::{DataSettings, EngineError, write_atomically};

use crate::{
    cli::{DataCheckArgs, DataCommand, Global},
    process, progress,
    render::{Failure, Output, Table, foreign_name, grouped},
};

/// How many bad files, duplicates and classes are shown; all of them are in the JSON document.
const SHOWN: usize = 20;

pub fn run(command: &DataCommand, global: &Global) -> Result<Output, Failure> {
    let DataCommand::Check(DataCheckArgs { places, layout, held_out, sheet }) = command;
    let catalog = open(places, layout.as_deref())?;
    sheet.as_deref().map_or(Ok(()), |sheet| can_be_written(sheet, places))?;
    let cancel = process::cancelled_by_signal();
    let bar = progress::bar(catalog.samples.len(), global.quiet);
    let (held_out, seed) = (held_out_of(&catalog, *held_out)?, global.seed.unwrap_or(0));
    let wanted = Wanted { held_out, seed, ..Wanted::default() };
    let division = divide(&catalog, |_| true, &wanted);
    let checked = check(&catalog, &wanted, |_, _| {
        bar.inc(1);
        !cancel.load(Ordering::Relaxed)
    });
    bar.finish_and_clear();
    let checked = checked.ok_or_else(EngineError::cancelled)?;
    let mut text = text(&checked);
    // Where no image can be shown, the report says why.
    if let Some(path) = sheet
        && let Some(part) = checked.parts.get(Part::Train.name()).filter(|part| part.images > 0)
    {
        let (side, transforms) = usual_training(part);
        let png = spacewright_data::sheet(&catalog, &division.train, &transforms, side, seed)?;
        write_atomically(path, &png)?;
        text += &format!("wrote {}\n", path.display());
    }
    let is_good = checked.bad.is_empty() && checked.study.refused.is_none();
    Ok(Output::new(text, &checked)?.good(is_good))
}

/// Whether a sheet has a place, before hours are spent on what belongs in it. What is there stays until then; an earlier
/// sheet is overwritten, a file of the set or a device is not.
fn can_be_written(path: &Path, places: &[PathBuf]) -> Result<(), Failure> {
    let wrong = |reason: &str, hint: &str| {
        Err(Failure::input(format!("{}: {reason}", path.display())).hint(hint))
    };
    if path.extension().is_none_or(|extension| !extension.eq_ignore_ascii_case("png")) {
        return wrong("a sheet is a PNG file", "give it a name that ends in .png");
    }
    let failure = |error| Failure::input(format!("{}: {error}", path.display()));
    let is_new = fs::symlink_metadata(path).is_err();
    if !is_new {
        let real = path.canonicalize().map_err(failure)?;
        let is_of_set =
            |place: &PathBuf| place.canonicalize().is_ok_and(|set| real.starts_with(set));
        if places.iter().any(is_of_set) {
            return wrong("there is such a file already, in the set", "give it a place outside");
        }
        if !path.is_file() {
            return wrong("is no file", "give it a place of its own");
        }
    }
    OpenOptions::new().append(true).create(true).open(path).map_err(failure)?;
    if is_new { fs::remove_file(path).map_err(failure) } else { Ok(()) }
}

/// How many images are held out; a tenth is enough to judge by where they are few.
pub fn held_out_of(catalog: &Catalog, typed: Option<usize>) -> Result<usize, Failure> {
    let images = catalog.count(Part::Train);
    let is_used = [Part::Validation, Part::Test].iter().any(|part| catalog.count(*part) == 0);
    match typed {
        Some(held_out) if is_used && held_out >= images => {
            let message =
                format!("--held-out {held_out} leaves none of {images} images to train on");
            Err(Failure::input(message))
        }
        Some(0) => Err(Failure::input("--held-out 0 leaves no image to choose by")),
        Some(held_out) => Ok(held_out),
        None => Ok(DataSettings::default().held_out.min(images / 10).max(1)),
    }
}

fn text(checked: &Checked) -> String {
    let Checked { layout, parts, skipped, duplicates, bad, notices, study, .. } = checked;
    let mut text = format!("layout  {layout}\n\n");
    let mut table = Table::new(&["part", "images", "classes", "width", "height", "grey"]);
    for (name, part) in parts {
        let CheckedPart { images, classes, grey, width, height } = part;
        let with_images = classes.values().filter(|count| **count > 0).count();
        table.row([
            (*name).to_owned(),
            grouped(&images.to_string()),
            with_images.to_string(),
            sizes(width),
            sizes(height),
            grey.to_string(),
        ]);
    }
    text += &table.render();
    text += &classes(checked);
    if !skipped.is_empty() {
        let skipped: Vec<String> =
            skipped.iter().map(|(what, count)| format!("{count} {}", Escaped(what))).collect();
        let _ = writeln!(text, "\nskipped: {}", skipped.join(", "));
    }
    if !notices.is_empty() {
        let _ = writeln!(text, "\nto be known:");
        text += &first(notices.iter().cloned(), notices.len());
    }
    if !duplicates.is_empty() {
        let _ = writeln!(text, "\nthe same pixels for different uses, {} times:", duplicates.len());
        let lines = duplicates.iter().map(|names| equal(names));
        text += &first(lines, duplicates.len());
    }
    if !bad.is_empty() {
        let _ = writeln!(text, "\nimages that cannot be used: {}", bad.len());
        text += &first(bad.iter().map(BadImage::to_string), bad.len());
    }
    if let Some(reason) = &study.refused {
        let _ = writeln!(text, "\na study would refuse the set: {reason}");
        if let Some(hint) = study.hint {
            let _ = writeln!(text, "hint: {hint}");
        }
        return text;
    }
    let _ = writeln!(
        text,
        "\na study would train on {} images, choose by {} and test on {}",
        grouped(&study.train.to_string()),
        grouped(&study.held_out.to_string()),
        grouped(&study.test.to_string()),
    );
    text
}

/// The first names of images with the same pixels: they may be those of a picture that stands for a thousand missing ones.
fn equal(names: &[String]) -> String {
    const NAMED: usize = 4;
    let shown = names[..names.len().min(NAMED)].join(" = ");
    match names.len().saturating_sub(NAMED) {
        0 => shown,
        more => format!("{shown} = {more} more"),
    }
}

/// How many images each class has in each part.
fn classes(checked: &Checked) -> String {
    let header: Vec<&str> = ["class"].into_iter().chain(checked.parts.keys().copied()).collect();
    let mut table = Table::new(&header);
    let parts = || checked.parts.values();
    let names: Vec<&String> =
        parts().next().map(|part| part.classes.keys().collect()).unwrap_or_default();
    for name in names.iter().take(SHOWN) {
        let counts = parts().map(|part| part.classes.get(*name).copied().unwrap_or(0).to_string());
        table.cells([foreign_name(name)].into_iter().chain(counts).collect());
    }
    let mut text = format!("\n{}", table.render());
    if names.len() > SHOWN {
        let _ = writeln!(text, "… and {} more classes", names.len() - SHOWN);
    }
    text
}

fn first(lines: impl Iterator<Item = String>, count: usize) -> String {
    let mut text: String =
        lines.take(SHOWN).map(|line| format!("  {}\n", Escaped(&line))).collect();
    if count > SHOWN {
        let _ = writeln!(text, "  … and {} more: --json lists all", count - SHOWN);
    }
    text
}

fn sizes(sizes: &Sizes) -> String {
    let Sizes { smallest, median, largest } = sizes;
    if smallest == largest {
        smallest.to_string()
    } else {
        format!("{smallest} to {largest}, median {median}")
    }
}
