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
    /// Sets where the log of the plugin goes.
    #[sabi(last_prefix_field)]
    pub set_log: extern "C" fn(Log),
}

impl RootModule for RootRef {
    abi_stable::declare_root_module_statics! {RootRef}

    const BASE_NAME: &'static str = "spacewright_plugin";
    const NAME: &'static str = "spacewright_plugin";
    const VERSION_STRINGS: VersionStrings = package_version_strings!();
}
