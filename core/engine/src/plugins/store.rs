//! Installed plugins: copies of their files in the program's own folder, and a list of them.

use std::{
    fs,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};
use spacewright_plugin::Kind;

use super::{Limits, Loaded, Loader, PluginFile, Trust};
use crate::{
    error::{AtPath, EngineError, ErrorKind, Result},
    files::{remove, write_atomically},
    lock::Lock,
    origin::Carrier,
    registry::Registry,
};

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

/// The folder `plugins` of the program's home.
pub struct PluginStore {
    folder: PathBuf,
    loader: Loader,
}

impl PluginStore {
    /// The store below `home`; makes nothing.
    pub fn new(home: &Path, limits: Limits) -> Self {
        let folder = home.join("plugins");
        let (cache, trust) = (Some(home.join("cache")), Some(Trust::new(home)));
        let loader = Loader { limits, cache, trust };
        Self { folder, loader }
    }

    /// How its plugins are loaded.
    pub fn loader(&self) -> &Loader {
        &self.loader
    }

    /// All installed plugins, by name.
    pub fn list(&self) -> Result<Vec<Installed>> {
        let path = self.index();
        if !path.exists() {
            return Ok(Vec::new());
        }
        let text = fs::read_to_string(&path).at(&path)?;
        serde_json::from_str(&text).map_err(|error| {
            EngineError::file(&path, error).with_hint("remove the file and install again")
        })
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
        let file = PluginFile::read(path)?;
        let loaded = self.loader.load_bytes(path, &file)?;
        fs::create_dir_all(&self.folder).at(&self.folder)?;
        let _lock = self.lock()?;
        let mut all = self.list()?;
        let at = all.iter().position(|plugin| plugin.name == loaded.origin.plugin);
        let replaced = at.map(|at| all.remove(at));
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
            sha256: file.sha256,
            from: std::path::absolute(path).unwrap_or_else(|_| path.to_owned()),
        };
        write_atomically(&self.file(&new), &file.bytes)?;
        all.push(new.clone());
        all.sort_by(|a, b| a.name.cmp(&b.name));
        self.write_index(&all)?;
        if let Some(old) = replaced.iter().find(|old| old.sha256 != new.sha256) {
            self.discard(old)?;
        }
        Ok((new, replaced))
    }

    /// Takes a plugin out of the store. A native library is no longer trusted afterwards.
    pub fn remove(&self, name: &str) -> Result<Installed> {
        self.find(name)?;
        let _lock = self.lock()?;
        let gone = self.find(name)?;
        let mut all = self.list()?;
        all.retain(|plugin| plugin.name != name);
        self.write_index(&all)?;
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

    /// Loads an installed plugin, whose file must be as it was installed.
    pub fn load(&self, plugin: &Installed) -> Result<Loaded> {
        let path = self.file(plugin);
        let wrong = |what: &str| {
            let message = format!("the file of plugin `{}` {what}", plugin.name);
            EngineError::new(ErrorKind::Plugin, message)
                .with_hint(format!("install it again from {}", plugin.from.display()))
        };
        let file = PluginFile::read(&path).map_err(|_| wrong("is lost"))?;
        if file.sha256 != plugin.sha256 {
            return Err(wrong("was changed"));
        }
        self.loader.load_bytes(&path, &file)
    }

    /// Adds all that is installed to a registry. A plugin that cannot be used is no error unless
    /// something of it is needed: the registry remembers why.
    pub fn add_to(&self, registry: &mut Registry) -> Result<()> {
        self.list()?.iter().for_each(|plugin| self.add(plugin, registry));
        Ok(())
    }

    /// All that is built in or installed, but for the plugin of this name: what another version
    /// of it has to fit in.
    pub fn others(&self, name: &str) -> Result<Registry> {
        let mut registry = Registry::built_in()?;
        let all = self.list()?;
        all.iter().filter(|other| other.name != name).for_each(|o| self.add(o, &mut registry));
        Ok(registry)
    }

    fn add(&self, plugin: &Installed, registry: &mut Registry) {
        match self.load(plugin) {
            Ok(loaded) => {
                let left_out = registry.add_plugin(&loaded.origin, &loaded.plugin);
                left_out.iter().for_each(|reason| tracing::warn!("{reason}"));
            }
            Err(error) => {
                tracing::warn!("plugin `{}` is not used: {error}", plugin.name);
                registry.add_unusable(&plugin.name, error.to_string());
            }
        }
    }

    fn index(&self) -> PathBuf {
        self.folder.join("installed.json")
    }

    fn write_index(&self, all: &[Installed]) -> Result<()> {
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
