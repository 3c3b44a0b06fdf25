//! Whether what steps have left is still as they left it: objects, and the files that people look for.

use std::{
    collections::{BTreeMap, HashSet},
    fs,
    path::{Path, PathBuf},
};

use rusqlite::{Row, params};

use super::{FILE, Store};
use crate::{
    error::{AtPath, EngineError, Result},
    files::{remove, set_aside},
    hash,
    keys::Change,
};

impl Store {
    /// What is not, or no more, as a step has left it under a key that it has finished under.
    pub fn damage(&self, key: &str) -> Result<Vec<Change>> {
        if self.seconds_of_finished(key)?.is_none() {
            return Ok(Vec::new());
        }
        let damaged = |path: &Path| {
            let file = path.strip_prefix(&self.folder).unwrap_or(path).display().to_string();
            if path.exists() { Change::Damaged { file } } else { Change::Lost { file } }
        };
        let objects = self.objects_of(key)?.into_iter();
        let unsound = objects.filter(|object| !self.objects.is_sound(object));
        let mut damage: Vec<Change> =
            unsound.map(|object| damaged(&self.objects.path(&object))).collect();
        for (name, hash) in self.published_files(key)? {
            let path = self.folder.join(&name);
            if !is_published(&path, hash.as_deref()) {
                damage.push(damaged(&path));
            }
        }
        Ok(damage)
    }

    /// Moves away what is damaged of what a step has left under a key: its place is free for what the
    /// step writes anew.
    pub fn set_damage_aside(&self, key: &str) -> Result<()> {
        for object in self.objects_of(key)? {
            if !self.objects.is_sound(&object) {
                self.objects.set_aside(&object)?;
            }
        }
        for (name, hash) in self.published_files(key)? {
            let path = self.folder.join(&name);
            // What other settings have left there is sound, and may be written over.
            let is_sound = || {
                let mut known = self.hashes_of_published(&name)?.into_iter();
                Ok::<_, EngineError>(known.any(|hash| is_published(&path, Some(&hash))))
            };
            if path.exists() && !is_published(&path, hash.as_deref()) && !is_sound()? {
                set_aside(&path)?;
            }
        }
        Ok(())
    }

    /// Files and folders of the run that nothing refers to: objects of no task, and what was set aside.
    /// Where `superseded` results count as unneeded, those of keys that are not the present ones of their
    /// steps, too. Nothing, with a warning, where the data base was damaged or is empty: what it said of the
    /// objects may still be found, in the file that was set aside or in a copy of somebody's.
    pub fn unneeded(&self, superseded: bool) -> Result<Vec<PathBuf>> {
        if let Some(reason) = self.doubt()? {
            let folder = self.folder.display();
            tracing::warn!("{folder}: {reason}, so that nothing of this run counts as unneeded");
            return Ok(Vec::new());
        }
        let needed: HashSet<String> = self.read(|connection| {
            let query = "SELECT DISTINCT object FROM tasks LEFT JOIN steps ON steps.key = step_key
                WHERE object IS NOT NULL AND (NOT ?1 OR state <> 'superseded')";
            connection.prepare(query)?.query_map([superseded], |row| row.get(0))?.collect()
        })?;
        let mut unneeded = Vec::new();
        for folder in [self.folder.clone(), self.folder.join("objects")] {
            for entry in fs::read_dir(&folder).at(&folder)? {
                let path = entry.at(&folder)?.path();
                let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
                let is_object = folder.ends_with("objects") && !needed.contains(&name);
                if is_object || name.contains(".damaged-") {
                    unneeded.push(path);
                }
            }
        }
        unneeded.sort();
        Ok(unneeded)
    }

    /// Why the data base cannot tell which objects are needed.
    fn doubt(&self) -> Result<Option<String>> {
        let names = |folder: &Path| -> Result<Vec<String>> {
            let name = |entry: fs::DirEntry| entry.file_name().to_string_lossy().into_owned();
            fs::read_dir(folder).at(folder)?.map(|entry| Ok(name(entry.at(folder)?))).collect()
        };
        let aside = format!("{FILE}.damaged-");
        if let Some(aside) = names(&self.folder)?.into_iter().find(|name| name.starts_with(&aside))
        {
            return Ok(Some(format!(
                "its data base was damaged; remove {aside} to go on without it"
            )));
        }
        let known: i64 = self.read(|connection| {
            connection.query_row("SELECT count(*) FROM steps", [], |row| row.get(0))
        })?;
        let is_lost = known == 0 && !names(&self.folder.join("objects"))?.is_empty();
        Ok(is_lost.then(|| {
            "its data base is empty, though there are objects (run the study again, or remove the folder)"
                .to_owned()
        }))
    }

    /// Forgets what steps have made under keys that are not their present ones.
    pub fn forget_superseded(&self) -> Result<()> {
        self.write(|connection| {
            for table in ["tasks", "published", "attempts", "curves", "events"] {
                connection.execute(
                    &format!(
                        "DELETE FROM {table} WHERE step_key IN
                         (SELECT key FROM steps WHERE state = 'superseded')"
                    ),
                    [],
                )?;
            }
            connection.execute("DELETE FROM steps WHERE state = 'superseded'", [])
        })?;
        Ok(())
    }

    /// Names of the objects that the tasks of a step have left under a key.
    fn objects_of(&self, key: &str) -> Result<Vec<String>> {
        let query = "SELECT DISTINCT object FROM tasks WHERE step_key = ?1 ORDER BY object";
        Ok(self.column(query, key)?.into_iter().flatten().collect())
    }

    /// Names of the files that a step has published, under a key.
    pub fn published_names(&self, key: &str) -> Result<Vec<String>> {
        let query = "SELECT name FROM published WHERE step_key = ?1 ORDER BY rowid";
        Ok(self.column(query, key)?.into_iter().flatten().collect())
    }

    /// Files that a step has published under a key, with the hash of each.
    fn published_files(&self, key: &str) -> Result<BTreeMap<String, Option<String>>> {
        self.read(|connection| {
            let query = "SELECT name, hash FROM published WHERE step_key = ?1";
            let file = |row: &Row<'_>| Ok((row.get(0)?, row.get(1)?));
            connection.prepare(query)?.query_map([key], file)?.collect()
        })
    }

    /// Hashes of all that any step has published under a name.
    fn hashes_of_published(&self, name: &str) -> Result<Vec<String>> {
        let query = "SELECT hash FROM published WHERE name = ?1 AND hash IS NOT NULL";
        Ok(self.column(query, name)?.into_iter().flatten().collect())
    }

    /// Removes the files that a step has published under other keys and not under this one, so that
    /// results of different settings do not lie side by side. What somebody has changed since stays.
    pub fn remove_superseded_results(&self, step: &str, key: &str) -> Result<()> {
        let earlier: Vec<(String, Option<String>)> = self.read(|connection| {
            let query =
                "SELECT DISTINCT name, hash FROM published JOIN steps ON steps.key = step_key
                WHERE step = ?1 AND step_key <> ?2
                AND name NOT IN (SELECT name FROM published WHERE step_key = ?2)";
            let file = |row: &Row<'_>| Ok((row.get(0)?, row.get(1)?));
            connection.prepare(query)?.query_map([step, key], file)?.collect()
        })?;
        for (name, hash) in earlier {
            let path = self.folder.join(name);
            if is_published(&path, hash.as_deref()) {
                remove(&path)?;
            }
        }
        self.write(|connection| {
            connection.execute(
                "DELETE FROM published WHERE step_key <> ?2
                 AND step_key IN (SELECT key FROM steps WHERE step = ?1)",
                [step, key],
            )
        })?;
        Ok(())
    }

    /// Remembers a file that people look for.
    pub fn published(&self, key: &str, name: &str, content: &[u8]) -> Result<()> {
        let hash = hash::of_bytes(content);
        self.write(|connection| {
            connection.execute(
                "INSERT OR REPLACE INTO published VALUES (?1, ?2, ?3)",
                params![key, name, hash],
            )
        })?;
        Ok(())
    }
}

/// Whether a published file is there, and as it was written where that is known.
fn is_published(path: &Path, hash: Option<&str>) -> bool {
    match hash {
        Some(hash) => hash::of_file(path).is_ok_and(|found| found == hash),
        None => path.exists(),
    }
}
