//! Native libraries: trusted code, which runs with all rights of the program.

mod calls;
mod elf;
mod library;
mod runtime;

use std::sync::Arc;

use spacewright_plugin::{
    INTERFACE, Kind, Plugin,
    native::protocol::{Answer, Request},
};

use self::{
    calls::Calls,
    library::{Library, ask},
};
use super::{File, Loader, Opened, claims, error::LoadError};

/// Loads a library, which stays loaded until the program ends.
pub(super) fn load(loader: &Loader, file: &File<'_>) -> Result<Opened, LoadError> {
    elf::check_whole(&file.content.bytes)?;
    let library = Library::open(file.path, loader.limits.answer, file.meter.clone())?;
    let about = ask!(library, Request::About, Answer::About(about) => about)?;
    let kinds = ask!(library, Request::Kinds, Answer::Kinds(kinds) => kinds)?;
    if kinds.is_empty() {
        return Err(LoadError::OffersNothing(""));
    }
    if kinds.contains(&Kind::Target) && kinds.contains(&Kind::LatencySource) {
        return Err(LoadError::TwoSources);
    }
    let ping = library.ping();
    let ping = move || {
        ping();
        Ok(())
    };
    let plugin = Plugin::load(claims::about(about), &kinds, &Calls(Arc::new(library)))?;
    Ok(Opened { interface: INTERFACE.into(), plugin, ping: Arc::new(ping) })
}
