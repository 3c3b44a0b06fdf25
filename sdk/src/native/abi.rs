//! The layout of what a native library exports. Nothing else in this crate names `abi_stable`.

// The derive macro of `abi_stable` writes what these lints find.
#![allow(non_camel_case_types, non_local_definitions)]

use abi_stable::{
    StableAbi,
    library::RootModule,
    package_version_strings,
    sabi_types::VersionStrings,
    std_types::{RResult, RSlice, RStr, RString, RVec},
};

/// Where a plugin says things to its author.
#[repr(transparent)]
#[derive(Clone, Copy, StableAbi)]
pub struct Log {
    /// Takes one message.
    pub say: extern "C" fn(RStr<'_>),
}

/// What a library exports. Its layout and the version of this crate are compared before any of
/// it is used.
#[repr(C)]
#[derive(StableAbi)]
#[sabi(kind(Prefix(prefix_ref = RootRef)), missing_field(panic))]
pub struct Root {
    /// [`INTERFACE`](crate::INTERFACE) of the library.
    pub interface: RStr<'static>,
    /// Answers a [`Request`](super::protocol::Request) with an
    /// [`Answer`](super::protocol::Answer), or says why it cannot.
    pub call: extern "C" fn(RSlice<'_, u8>) -> RResult<RVec<u8>, RString>,
    /// Does nothing: shows what a call costs.
    pub ping: extern "C" fn(),
    /// Sets where [`log`](crate::log) goes.
    #[sabi(last_prefix_field)]
    pub set_log: extern "C" fn(Log),
}

impl RootModule for RootRef {
    abi_stable::declare_root_module_statics! {RootRef}

    const BASE_NAME: &'static str = "spacewright_plugin";
    const NAME: &'static str = "spacewright_plugin";
    const VERSION_STRINGS: VersionStrings = package_version_strings!();
}

#[cfg(feature = "native")]
mod exported {
    use std::sync::OnceLock;

    use abi_stable::{
        library::{CheckTypeLayout, RootModuleResult},
        prefix_type::PrefixTypeTrait,
    };

    use super::*;
    use crate::{
        INTERFACE, Provide,
        native::serve::{Server, keep_panics, without_panic},
    };

    pub use abi_stable::library::LibHeader;

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

    /// A panic that reached the caller of this function would end the program.
    extern "C" fn call<P: Provide>(request: RSlice<'_, u8>) -> RResult<RVec<u8>, RString> {
        static SERVER: OnceLock<Server> = OnceLock::new();
        let answer = without_panic(|| {
            SERVER.get_or_init(|| Server::new(P::make())).answer(request.as_slice())
        });
        answer.map(RVec::from).map_err(RString::from).into()
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
}

#[cfg(feature = "native")]
pub(crate) use exported::log;
#[cfg(feature = "native")]
pub use exported::{LibHeader, header};

#[cfg(test)]
mod tests {
    #[test]
    fn the_exported_name_is_the_one_that_is_looked_for() {
        let name = abi_stable::library::ROOT_MODULE_LOADER_NAME;
        assert!(include_str!("../export.rs").contains(&format!("export_name = \"{name}\"")));
    }
}
