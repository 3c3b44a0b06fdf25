//! Values that shells complete, of options that other code reads, and which may have more values than these.

use std::ffi::OsStr;

use clap::{
    Arg, Command, Error,
    builder::{PossibleValue, TypedValueParser},
};

/// A parser of values, of which some are known.
#[derive(Debug, Clone)]
pub struct Offered<P> {
    parser: P,
    values: Vec<&'static str>,
}

/// Reads a value as the parser does, whether it is one of these or not.
pub fn offered<P: TypedValueParser>(
    parser: P,
    values: impl IntoIterator<Item = &'static str>,
) -> Offered<P> {
    Offered { parser, values: values.into_iter().collect() }
}

impl<P: TypedValueParser> TypedValueParser for Offered<P> {
    type Value = P::Value;

    fn parse_ref(
        &self,
        command: &Command,
        arg: Option<&Arg>,
        value: &OsStr,
    ) -> Result<P::Value, Error> {
        self.parser.parse_ref(command, arg, value)
    }

    fn possible_values(&self) -> Option<Box<dyn Iterator<Item = PossibleValue> + '_>> {
        Some(Box::new(self.values.iter().copied().map(PossibleValue::new)))
    }
}
