//! A loaded library: the only module of this crate that names `abi_stable`.

use std::{path::Path, sync::Arc, time::Instant};

use abi_stable::{
    library::{LibHeader, LibraryError, RootModule, lib_header_from_path},
    sabi_types::{VersionNumber, VersionStrings},
    std_types::{RErr, ROk, RStr},
};
use spacewright_core::call::{CallError, Fault};
use spacewright_plugin::{
    INTERFACE,
    native::{
        abi::{Log, RootRef},
        protocol::{Answer, MessageError, Request, decode, encode},
    },
    text::shown,
};

use super::super::{
    Meter,
    error::{LoadError, REMEDY},
};

/// Differences of layouts that a message names.
const MOST_DIFFERENCES: usize = 3;

/// A library whose layout and versions are those of this program.
pub(super) struct Library {
    root: RootRef,
    most_bytes: usize,
    meter: Arc<Meter>,
}

/// Asks a library, and takes its answer apart: `ask!(library, request, pattern => value)`.
macro_rules! ask {
    ($library:expr, $request:expr, $answer:pat => $value:expr) => {{
        let request = $request;
        match $library.ask(&request) {
            Ok($answer) => Ok($value),
            #[allow(unreachable_patterns)]
            Ok(_) => Err(spacewright_core::call::CallError::new(
                request.call(),
                spacewright_core::call::Fault::OtherAnswer,
            )),
            Err(error) => Err(error),
        }
    }};
}

pub(super) use ask;

impl Library {
    /// Loads a library; an error says what it lacks, or what it was built for.
    pub fn open(path: &Path, most_bytes: usize, meter: Arc<Meter>) -> Result<Self, LoadError> {
        let header = lib_header_from_path(path).map_err(|error| explain(&error))?;
        check_sdk(header)?;
        let root: RootRef = header.init_root_module().map_err(|error| explain(&error))?;
        let interface = root.interface();
        if interface != INTERFACE {
            let found = shown(interface.as_str());
            return Err(LoadError::Version { what: "the interface".into(), found });
        }
        (root.set_log())(Log { say });
        Ok(Self { root, most_bytes, meter })
    }

    /// Asks one question; an error names the call.
    pub fn ask(&self, request: &Request<'_>) -> Result<Answer, CallError> {
        let call = request.call();
        let start = Instant::now();
        let answer = encode(request)
            .map_err(unreadable)
            .and_then(|bytes| self.call(&bytes, self.most_bytes(request)));
        self.meter.count(call, start.elapsed(), 0);
        answer.map_err(|fault| CallError::new(call, fault))
    }

    /// A function of the library that does nothing.
    pub fn ping(&self) -> extern "C" fn() {
        self.root.ping()
    }

    /// Bytes of an answer: a model's file is as large as its weights.
    fn most_bytes(&self, request: &Request<'_>) -> usize {
        match request {
            Request::WriteFloat(..) | Request::WriteInteger(..) => usize::MAX,
            _ => self.most_bytes,
        }
    }

    fn call(&self, request: &[u8], most: usize) -> Result<Answer, Fault> {
        let answer = match (self.root.call())(request.into()) {
            ROk(answer) => answer,
            RErr(reason) => return Err(Fault::Refused(shown(&reason))),
        };
        if answer.len() > most {
            let bytes = answer.len();
            let reason = format!("an answer of {bytes} bytes; at most {most} are allowed");
            return Err(Fault::Unreadable(reason));
        }
        match decode(&answer).map_err(unreadable)? {
            Answer::Panicked(place, message) => Err(Fault::Panicked {
                place: place.map(|place| shown(&place)),
                message: Some(shown(&message)),
            }),
            answer => Ok(answer),
        }
    }
}

fn unreadable(error: MessageError) -> Fault {
    Fault::Unreadable(shown(&error.to_string()))
}

extern "C" fn say(message: RStr<'_>) {
    tracing::debug!("plugin: {}", shown(message.as_str()));
}

/// Before layouts are compared, as a difference of those takes pages to say.
fn check_sdk(header: &LibHeader) -> Result<(), LoadError> {
    let (theirs, ours) = (header.version_strings(), RootRef::VERSION_STRINGS);
    let parsed = |version: VersionStrings| VersionNumber::new(version).ok();
    let fits = parsed(theirs).zip(parsed(ours));
    match fits.is_some_and(|(theirs, ours)| ours.is_loosely_compatible(theirs)) {
        true => Ok(()),
        false => Err(LoadError::File(format!(
            "it is built with version {} of `spacewright-sdk`, this program has {}: {REMEDY}",
            shown(theirs.version.as_str()),
            ours.version
        ))),
    }
}

fn explain(error: &LibraryError) -> LoadError {
    LoadError::File(match error {
        LibraryError::OpenError { err, .. } => {
            format!("the system cannot load it: {}", shown(&cause(err.as_ref())))
        }
        LibraryError::GetSymbolError { .. } => {
            "no plugin: it has no root module; call `spacewright_sdk::export!` in it, and build it \
             as a `cdylib` with the SDK's feature `native`"
                .into()
        }
        LibraryError::InvalidAbiHeader(found) => {
            let ours = abi_stable::library::AbiHeader::VALUE;
            format!(
                "it is built with version {}.{} of `abi_stable`, this program has {}.{}: {REMEDY}",
                found.abi_major, found.abi_minor, ours.abi_major, ours.abi_minor
            )
        }
        LibraryError::AbiInstability(error) => {
            let text = error.to_string();
            tracing::debug!("layout of a native library: {text}");
            format!("its root module has another layout{}: {REMEDY}", differences(&text))
        }
        other => shown(other.to_string().trim()),
    })
}

/// What the system says, without the wrappers around it.
fn cause(error: &dyn std::error::Error) -> String {
    match error.source() {
        Some(source) => cause(source),
        None => error.to_string(),
    }
}

/// Of pages about two layouts, the first lines of what differs, in brackets.
fn differences(text: &str) -> String {
    let mut lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    let mut found: Vec<String> = Vec::new();
    while let Some(line) = lines.next() {
        if let Some(error) = line.strip_prefix("Error:") {
            let mut after = |label: &str| {
                let _ = lines.find(|line| *line == label);
                lines.next().unwrap_or_default().to_owned()
            };
            let (expected, actual) = (after("Expected:"), after("Found:"));
            let difference = format!("{error}, expected {expected}, found {actual}");
            if !found.contains(&difference) {
                found.push(difference);
            }
        }
    }
    found.truncate(MOST_DIFFERENCES);
    match found.is_empty() {
        true => String::new(),
        false => format!(" ({})", shown(&found.join("; "))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_pages_about_layouts_the_first_differences_remain() {
        let error = |what: &str| {
            format!(
                "2 error(s)inside:\n    <other>\n\nLayout of expected type:\n    pages\n\n\n\
                 Error:{what}\nExpected:\n    8\n    more\nFound:\n    16\n    more\n"
            )
        };
        let text = ["size", "size", "alignment", "name", "fields"].map(error).concat();
        assert_eq!(
            differences(&text),
            " (size, expected 8, found 16; alignment, expected 8, found 16; \
             name, expected 8, found 16)"
        );
        assert_eq!(differences("no such line"), "");
    }
}
