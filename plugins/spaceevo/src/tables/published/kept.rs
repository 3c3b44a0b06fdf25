//! Published tables in binary form, kept by the content of their text.

use std::{collections::BTreeMap, fs, path::Path};

use rayon::prelude::*;
use sha2::{Digest, Sha256};
use spacewright_core::{
    hex::hex,
    quality::{Cell, ScoreColumns},
    sealed::{seal, unseal},
    space::Hyperspace,
};

use super::{
    PublishedError,
    format::{columns, read_published},
    read_text, shown, table_folder,
};

/// Changes with the form in which tables are kept.
const FORM: &str = "spacewright tables 2";

type Columns = BTreeMap<Cell, ScoreColumns>;

/// All tables of a hyperspace as columns. They are kept in the folder `keep`, and taken from there
/// while the files in `folder` have the content that they had. What cannot be kept is read again.
pub fn read_columns(
    folder: &Path,
    hyperspace: &Hyperspace,
    keep: &Path,
) -> Result<Columns, PublishedError> {
    let folder = table_folder(folder, hyperspace);
    let cells: Vec<Cell> = Cell::of_hyperspace(hyperspace).into_iter().collect();
    let text = |cell: &Cell| Ok((*cell, read_text(&folder, hyperspace, *cell)?));
    let texts: Vec<(Cell, String)> =
        cells.par_iter().map(text).collect::<Result<_, PublishedError>>()?;
    let path = keep.join(format!("{}.tables", content_hash(hyperspace, &texts)?));
    if let Some(columns) = kept(&path) {
        return Ok(columns);
    }
    let parse = |(cell, text): &(Cell, String)| {
        let rows = read_published(&shown(&folder, hyperspace, *cell), text, hyperspace, *cell)?;
        Ok((*cell, columns(&rows)))
    };
    let columns: Columns = texts.par_iter().map(parse).collect::<Result<_, PublishedError>>()?;
    if let Err(error) = store(&path, &columns) {
        tracing::debug!("tables are not kept in {}: {error}", path.display());
    }
    Ok(columns)
}

fn content_hash(
    hyperspace: &Hyperspace,
    texts: &[(Cell, String)],
) -> Result<String, serde_json::Error> {
    // Tables are checked against the hyperspace while they are read.
    let meaning = serde_json::to_vec(hyperspace)?;
    let each: Vec<_> = texts.par_iter().map(|(_, text)| Sha256::digest(text)).collect();
    let mut all = Sha256::new();
    all.update(FORM);
    all.update(Sha256::digest(meaning));
    each.iter().for_each(|hash| all.update(hash));
    Ok(hex(&all.finalize()[..16]))
}

fn kept(path: &Path) -> Option<Columns> {
    rmp_serde::from_slice(unseal(&fs::read(path).ok()?)?).ok()
}

/// Written beside its place and renamed, so that it is never seen half.
fn store(path: &Path, columns: &Columns) -> Result<(), Box<dyn std::error::Error>> {
    let bytes = seal(rmp_serde::to_vec(columns)?);
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    let beside = path.with_extension(format!("{}.part", std::process::id()));
    fs::write(&beside, bytes)?;
    Ok(fs::rename(&beside, path)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{hyperspaces::built_in, tables::published::file_of};

    /// Every file has one row, of the smallest choices.
    fn write_tables(folder: &Path, hyperspace: &Hyperspace, loss: f64) {
        for cell in Cell::of_hyperspace(hyperspace) {
            let stage = hyperspace.choice_stage(cell.stage, cell.block, Some(cell.window));
            let block = &stage.candidate;
            let values: Vec<f64> = block.choices.values().map(|values| values[0]).collect();
            let expand = values.get(1).map_or("None".to_owned(), |value| format!("{value:?}"));
            let (kernel, width) = (values[0], stage.widths[0]);
            let input = hyperspace.input_widths(cell.stage)[0];
            let side = hyperspace.input_side(cell.stage, 32);
            let row =
                format!("{kernel}#{width}#{expand},1x{input}x{side}x{side},{loss},1.0,0.1,2.5\n");
            fs::write(folder.join(file_of(hyperspace, cell)), row).unwrap();
        }
    }

    #[test]
    fn kept_tables_are_those_of_the_files() {
        let hyperspace = built_in("mini").unwrap();
        let folder = tempfile::tempdir().unwrap();
        let (tables, keep) = (folder.path().join("tables"), folder.path().join("kept"));
        fs::create_dir(&tables).unwrap();
        write_tables(&tables, &hyperspace, 0.5);
        let read = || read_columns(&tables, &hyperspace, &keep).unwrap();
        let first = read();
        assert_eq!(first.len(), Cell::of_hyperspace(&hyperspace).len());
        let files = || fs::read_dir(&keep).unwrap().map(|file| file.unwrap().path());
        let file = files().next().unwrap();
        assert_eq!(read(), first);

        // Another content is another file; a damaged one is made anew.
        write_tables(&tables, &hyperspace, 0.25);
        assert_eq!(read().values().next().unwrap().loss, [0.25]);
        assert_eq!(files().count(), 2);
        write_tables(&tables, &hyperspace, 0.5);
        let good = fs::read(&file).unwrap();
        let mut flipped = good.clone();
        flipped[good.len() / 2] ^= 1;
        for bad in [&good[..good.len() / 2], &flipped] {
            fs::write(&file, bad).unwrap();
            assert_eq!(read(), first);
            assert_eq!(fs::read(&file).unwrap(), good);
        }
    }

    #[test]
    fn tables_that_cannot_be_kept_are_read() {
        let hyperspace = built_in("mini").unwrap();
        let folder = tempfile::tempdir().unwrap();
        write_tables(folder.path(), &hyperspace, 0.5);
        let nowhere = folder.path().join("stage1_0_0.csv/kept");
        assert!(!read_columns(folder.path(), &hyperspace, &nowhere).unwrap().is_empty());
    }
}
