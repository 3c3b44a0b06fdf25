//! Installed plugins: copies of their files in the program's own folder, and a list of them.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};

use serde::{Deserialize, Serialize};
use spacewright_plugin::{INTERFACE, Kind, Plugin};

use super::{
    CodeCache, Compiler, Limits, Loaded, Loader, PluginFile, Trust, claims, said::Said,
    trust::is_sha256,
};
use crate::{
    error::{AtPath, EngineError, ErrorKind, Result},
    files::{remove, write_atomically},
    hash, home,
    lock::Lock,
    origin::Carrier,
    registry::Registry,
    seal::Key,
};

const PURPOSE: &str = "installed plugin";

/// What is known of an installed plugin without loading it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Installed {
    /// Its name; only one plugin of a name is installed.
    pub name: String,
    /// Its version.
    pub version: String,
    /// One sentence.
    pub summary: String,
    /// How it is carried.
    pub carrier: Carrier,
    /// Version of the interface that it was built for.
    pub interface: String,
    /// What it offers.
    pub kinds: Vec<Kind>,
    /// SHA-256 of its file.
    pub sha256: String,
    /// Bytes of its file.
    pub size: u64,
    /// The file that it was installed from.
    pub from: PathBuf,
}

/// An entry of the list of installed plugins.
#[derive(Serialize, Deserialize)]
struct Entry {
    #[serde(flatten)]
    plugin: Installed,
    /// What it has said of itself when it was installed, as JSON.
    #[serde(default)]
    said: String,
    /// The seal of its file's hash and of what it has said, without which that is not believed.
    #[serde(default)]
    seal: String,
}

/// The folder `plugins` of the program's home.
pub struct PluginStore {
    home: PathBuf,
    folder: PathBuf,
    loader: Loader,
}

impl PluginStore {
    /// The store below `home`; makes nothing. Components are compiled by the compiler, if there
    /// is one.
    pub fn new(home: &Path, limits: Limits, compiler: Option<Compiler>) -> Self {
        let (cache, trust) = (Some(CodeCache::new(home)), Some(Trust::new(home)));
        let loader = Loader { limits, cache, compiler, trust };
        Self { home: home.to_owned(), folder: home.join("plugins"), loader }
    }

    /// How its plugins are loaded.
    pub fn loader(&self) -> &Loader {
        &self.loader
    }

    /// All installed plugins, by name.
    pub fn list(&self) -> Result<Vec<Installed>> {
        Ok(self.entries()?.into_iter().map(|entry| entry.plugin).collect())
    }

    fn entries(&self) -> Result<Vec<Entry>> {
        let path = self.index();
        if !path.exists() {
            return Ok(Vec::new());
        }
        let wrong = |reason: &dyn std::fmt::Display| {
            EngineError::file(&path, reason).with_hint("remove the file and install again")
        };
        let text = home::read_text(&path).map_err(|error| wrong(&error))?;
        let entries: Vec<Entry> = serde_json::from_str(&text).map_err(|error| wrong(&error))?;
        for Entry { plugin, .. } in &entries {
            claims::check_name(&plugin.name).map_err(|error| wrong(&error))?;
            if !is_sha256(&plugin.sha256) {
                let reason = "is not 64 lower-case hexadecimal digits";
                return Err(wrong(&format!("the `sha256` of `{}` {reason}", plugin.name)));
            }
        }
        Ok(entries)
    }

    /// Loads a plugin from its file, which must not have a name that people take for that of
    /// something built in.
    pub fn open(&self, path: &Path) -> Result<Loaded> {
        let loaded = self.loader.load(path)?;
        check_names(&loaded)?;
        Ok(loaded)
    }

    /// The installed plugin of this name.
    pub fn find(&self, name: &str) -> Result<Installed> {
        let all = self.list()?;
        let known = all.iter().map(|plugin| plugin.name.as_str());
        let error = crate::suggest::unknown("installed plugin", name, known);
        all.iter().find(|plugin| plugin.name == name).cloned().ok_or(error)
    }

    /// Copies a plugin into the store, after it has been loaded once next to the others: it must
    /// not take the name of something that is there. The answer is the plugin and the one of the
    /// same name that it replaces.
    pub fn install(&self, path: &Path) -> Result<(Installed, Option<Installed>)> {
        let file = Arc::new(PluginFile::read(path)?);
        let loaded = self.loader.load_file(path, file.clone(), Arc::default())?;
        check_names(&loaded)?;
        home::make(&self.home)?;
        fs::create_dir_all(&self.folder).at(&self.folder)?;
        let _lock = self.lock()?;
        let mut entries = self.entries()?;
        let at = entries.iter().position(|entry| entry.plugin.name == loaded.origin.plugin);
        let replaced = at.map(|at| entries.remove(at).plugin);
        let mut registry = self.others(&loaded.origin.plugin)?;
        let left_out = registry.add_plugin(&loaded.origin, &loaded.plugin);
        if !left_out.is_empty() {
            return Err(EngineError::new(ErrorKind::Plugin, left_out.join("; "))
                .with_hint("nothing was installed"));
        }
        let new = Installed {
            name: loaded.origin.plugin.clone(),
            version: loaded.origin.version.clone(),
            summary: loaded.plugin.about.summary.clone(),
            carrier: loaded.origin.carrier,
            interface: loaded.interface.clone(),
            kinds: loaded.plugin.kinds(),
            size: file.bytes.len() as u64,
            sha256: file.sha256.clone(),
            from: std::path::absolute(path).unwrap_or_else(|_| path.to_owned()),
        };
        write_atomically(&self.file(&new), &file.bytes)?;
        entries.push(self.entry(new.clone(), &loaded)?);
        entries.sort_by(|a, b| a.plugin.name.cmp(&b.plugin.name));
        self.write_index(&entries)?;
        if let Some(old) = replaced.iter().find(|old| old.sha256 != new.sha256) {
            self.discard(old)?;
        }
        Ok((new, replaced))
    }

    /// What is kept of a plugin that was just loaded.
    fn entry(&self, plugin: Installed, loaded: &Loaded) -> Result<Entry> {
        if plugin.carrier == Carrier::Wasm && loaded.plugin.target.is_some() {
            // Asked once more than is needed now, so that no command has to.
            loaded.plugin.source().map_err(|error| {
                EngineError::new(ErrorKind::Plugin, format!("{}: {error}", loaded.origin))
            })?;
        }
        let said = serde_json::to_string(&*loaded.said)
            .map_err(|error| EngineError::file(&self.index(), error))?;
        let seal = Key::of(&self.home)?.seal(PURPOSE, &parts(&plugin, &said));
        Ok(Entry { plugin, said, seal })
    }

    /// Takes a plugin out of the store. A native library is no longer trusted afterwards.
    pub fn remove(&self, name: &str) -> Result<Installed> {
        self.find(name)?;
        let _lock = self.lock()?;
        let gone = self.find(name)?;
        let mut entries = self.entries()?;
        entries.retain(|entry| entry.plugin.name != name);
        self.write_index(&entries)?;
        self.discard(&gone)?;
        Ok(gone)
    }

    /// Removes the copy of a plugin that is no longer listed, and the trust in it.
    fn discard(&self, plugin: &Installed) -> Result<()> {
        remove(&self.file(plugin))?;
        match &self.loader.trust {
            Some(trust) if trust.is_trusted(&plugin.sha256) => {
                trust.revoke(&plugin.sha256).map(drop)
            }
            _ => Ok(()),
        }
    }

    /// Where the copy of a plugin is.
    pub fn file(&self, plugin: &Installed) -> PathBuf {
        let extension = match plugin.carrier {
            Carrier::Wasm => "wasm",
            _ => "native",
        };
        self.folder.join(format!("{}.{extension}", plugin.sha256))
    }

    /// Loads an installed plugin, whose file must be as it was installed, and asks it anew who it
    /// is.
    pub fn load(&self, plugin: &Installed) -> Result<Loaded> {
        self.load_with(plugin, Said::default())
    }

    fn load_with(&self, plugin: &Installed, said: Said) -> Result<Loaded> {
        let path = self.file(plugin);
        let wrong = |what: &str| {
            let message = format!("the file of plugin `{}` {what}", plugin.name);
            EngineError::new(ErrorKind::Plugin, message)
                .with_hint(format!("install it again from {}", plugin.from.display()))
        };
        let bytes = home::read(&path).map_err(|_| wrong("is lost"))?;
        let file = PluginFile { sha256: hash::of_bytes(&bytes), bytes };
        if file.sha256 != plugin.sha256 {
            return Err(wrong("was changed"));
        }
        self.loader.load_file(&path, Arc::new(file), Arc::new(said))
    }

    /// What an installed plugin has said of itself; nothing where that is not what was kept.
    fn said(&self, entry: &Entry) -> Said {
        let said = || {
            let (key, parts) = (Key::of(&self.home).ok()?, parts(&entry.plugin, &entry.said));
            let is_ours = key.is_seal(entry.seal.as_bytes(), PURPOSE, &parts);
            is_ours.then(|| serde_json::from_str(&entry.said).ok())?
        };
        said().unwrap_or_else(|| {
            tracing::debug!("plugin `{}` is asked anew who it is", entry.plugin.name);
            Said::default()
        })
    }

    /// Adds all that is installed to a registry. A plugin that cannot be used is no error unless
    /// something of it is needed: the registry remembers why.
    pub fn add_to(&self, registry: &mut Registry) -> Result<()> {
        self.entries()?.iter().for_each(|entry| self.add(entry, registry));
        Ok(())
    }

    /// All that is built in or installed, but for the plugin of this name: what another version
    /// of it has to fit in.
    pub fn others(&self, name: &str) -> Result<Registry> {
        let mut registry = Registry::built_in()?;
        let entries = self.entries()?;
        let others = entries.iter().filter(|other| other.plugin.name != name);
        others.for_each(|other| self.add(other, &mut registry));
        Ok(registry)
    }

    fn add(&self, entry: &Entry, registry: &mut Registry) {
        let name = &entry.plugin.name;
        let loaded =
            self.load_with(&entry.plugin, self.said(entry)).and_then(|loaded| {
                match loaded.origin.plugin == *name {
                    true => Ok(loaded),
                    false => Err(EngineError::new(ErrorKind::Plugin, "it has another name by now")),
                }
            });
        match loaded {
            Ok(loaded) => {
                let left_out = registry.add_unasked(&loaded.origin, &loaded.plugin);
                left_out.iter().for_each(|reason| tracing::warn!("{reason}"));
            }
            Err(error) => {
                tracing::warn!("plugin `{name}` is not used: {error}");
                registry.add_unusable(name, error.to_string());
            }
        }
    }

    fn index(&self) -> PathBuf {
        self.folder.join("installed.json")
    }

    fn write_index(&self, all: &[Entry]) -> Result<()> {
        let path = self.index();
        let text = serde_json::to_string_pretty(all).map_err(|e| EngineError::file(&path, e))?;
        write_atomically(&path, text.as_bytes())
    }

    fn lock(&self) -> Result<Lock> {
        let path = self.folder.join("lock");
        Lock::try_take(&path)?.ok_or_else(|| {
            let message = "another process is changing the installed plugins";
            EngineError::new(ErrorKind::Locked, message).with_hint("try again")
        })
    }
}

/// What a seal is about: the plugin's file, and what it has said, under this interface.
fn parts<'a>(plugin: &'a Installed, said: &'a str) -> [&'a [u8]; 3] {
    [INTERFACE.as_bytes(), plugin.sha256.as_bytes(), said.as_bytes()]
}

/// That neither a plugin nor what it offers can be taken for something that is built in.
fn check_names(loaded: &Loaded) -> Result<()> {
    let mut registry = Registry::built_in()?;
    let name = &loaded.origin.plugin;
    let taken = registry.built_in_alike(name).map(|known| {
        format!("{}: the program itself has `{known}` already: choose another name", loaded.origin)
    });
    // Hyperspaces are looked at where they are read.
    let named = Plugin { hyperspaces: Vec::new(), ..loaded.plugin.clone() };
    let clashes = registry.add_unasked(&loaded.origin, &named);
    match taken.or_else(|| (!clashes.is_empty()).then(|| clashes.join("; "))) {
        None => Ok(()),
        Some(message) => Err(EngineError::new(ErrorKind::Plugin, message)),
    }
}
