//! Native libraries: trusted code, which runs with all rights of the program.

mod elf;
mod items;
mod library;
mod runtime;

use std::sync::Arc;

use spacewright_sdk::{
    INTERFACE, Kind, Plugin,
    native::protocol::{Answer, Request},
};

use self::{
    items::{NativeOperatorSet, NativeQuantizer, NativeScorer, NativeSource, NativeTarget},
    library::{Library, ask},
};
use super::{File, Loader, Opened, claims};

/// Loads a library, which stays loaded until the program ends.
pub(super) fn load(loader: &Loader, file: &File<'_>) -> Result<Opened, String> {
    elf::check_whole(file.bytes)?;
    let library = Library::open(file.path, loader.limits.answer, file.meter.clone())?;
    let library = &Arc::new(library);
    let about = ask!(library, Request::About, Answer::About(about) => about)?;
    let kinds = ask!(library, Request::Kinds, Answer::Kinds(kinds) => kinds)?;
    if kinds.is_empty() {
        return Err("it offers nothing".into());
    }
    if kinds.contains(&Kind::Target) && kinds.contains(&Kind::LatencySource) {
        return Err("it offers a target, which has its own latency source, and another one".into());
    }
    let mut plugin = Plugin::new(claims::about(about));
    for kind in kinds {
        match kind {
            Kind::OperatorSet => plugin = plugin.operator_set(NativeOperatorSet::new(library)?),
            Kind::Hyperspace => {
                let request = Request::Hyperspaces;
                let all = ask!(library, request, Answer::Hyperspaces(all) => all)?;
                plugin.hyperspaces = claims::hyperspaces("hyperspaces", all)?;
            }
            Kind::Quantizer => plugin = plugin.quantizer(NativeQuantizer::new(library)?),
            Kind::LatencySource => plugin = plugin.latency_source(NativeSource::new(library)?),
            Kind::Scorer => plugin = plugin.scorer(NativeScorer::new(library)?),
            Kind::Target => plugin = plugin.target(NativeTarget::new(library)?),
        }
    }
    let ping = library.ping();
    let ping = move || {
        ping();
        Ok(())
    };
    Ok(Opened { interface: INTERFACE.into(), plugin, ping: Arc::new(ping) })
}
