//! What a native library exports.

use std::sync::OnceLock;

pub use abi_stable::library::LibHeader;
use abi_stable::{
    library::{CheckTypeLayout, RootModuleResult},
    prefix_type::PrefixTypeTrait,
    std_types::{RResult, RSlice, RStr, RString, RVec},
};
use spacewright_plugin::{
    INTERFACE,
    native::abi::{Log, Root, RootRef},
};

use super::serve::{Server, keep_panics};
use crate::Provide;

/// What the program looks for in a library.
#[doc(hidden)]
pub const fn header<P: Provide>() -> LibHeader {
    // SAFETY: `construct` gives the erased form of a `RootRef`.
    #[allow(unsafe_code)]
    unsafe {
        LibHeader::from_constructor::<RootRef>(construct::<P>, CheckTypeLayout::Yes)
    }
}

extern "C" fn construct<P: Provide>() -> RootModuleResult {
    abi_stable::library::__call_root_module_loader(root::<P>)
}

fn root<P: Provide>() -> RootRef {
    keep_panics();
    let interface = RStr::from_str(INTERFACE);
    Root { interface, call: call::<P>, ping, set_log }.leak_into_prefix()
}

extern "C" fn call<P: Provide>(request: RSlice<'_, u8>) -> RResult<RVec<u8>, RString> {
    static SERVER: OnceLock<Server> = OnceLock::new();
    let answer =
        super::serve::answer(request.as_slice(), || SERVER.get_or_init(|| Server::new(P::make())));
    answer.map(RVec::from).map_err(|error| error.to_string().into()).into()
}

extern "C" fn ping() {}

static LOG: OnceLock<Log> = OnceLock::new();

extern "C" fn set_log(log: Log) {
    let _ = LOG.set(log);
}

pub(crate) fn log(message: &str) {
    if let Some(log) = LOG.get() {
        (log.say)(message.into());
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_exported_name_is_the_one_that_is_looked_for() {
        let name = abi_stable::library::ROOT_MODULE_LOADER_NAME;
        assert!(include_str!("../export.rs").contains(&format!("export_name = \"{name}\"")));
    }
}
