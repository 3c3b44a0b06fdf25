//! What a plugin says to its author.

/// Says something to the author of a plugin. The program that has loaded the plugin shows it with
/// `--verbose`; without such a program nothing happens.
pub fn log(message: &str) {
    #[cfg(target_arch = "wasm32")]
    crate::component::wit::spacewright::plugin::host::log(message);
    #[cfg(all(feature = "native", not(target_arch = "wasm32")))]
    crate::native::log(message);
    #[cfg(all(not(feature = "native"), not(target_arch = "wasm32")))]
    let _ = message;
}
