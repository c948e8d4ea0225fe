//! The formats that are written, as values of an option.

use std::ffi::OsStr;

use clap::builder::{PossibleValue, PossibleValuesParser, TypedValueParser};
use clap::{Arg, Command};
use ploopconv::format::{FORMATS, KnownFormat};

/// Reads the name of a format.
#[derive(Debug, Clone, Copy)]
pub(super) struct Formats;

impl TypedValueParser for Formats {
    type Value = &'static KnownFormat;

    fn parse_ref(
        &self,
        command: &Command,
        arg: Option<&Arg>,
        value: &OsStr,
    ) -> Result<Self::Value, clap::Error> {
        let name = PossibleValuesParser::new(values()).parse_ref(command, arg, value)?;
        let known = FORMATS.iter().find(|known| known.name == name);
        known.ok_or_else(|| clap::Error::new(clap::error::ErrorKind::InvalidValue))
    }

    fn possible_values(&self) -> Option<Box<dyn Iterator<Item = PossibleValue> + '_>> {
        Some(Box::new(values()))
    }
}

fn values() -> impl Iterator<Item = PossibleValue> {
    let formats = FORMATS.iter();
    formats.map(|known| PossibleValue::new(known.name).help(known.about))
}

/// The format of a target whose name says nothing.
pub(super) fn raw() -> &'static KnownFormat {
    FORMATS.first().expect("the list of formats is not empty")
}
