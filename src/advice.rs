//! What to type next: hints for errors, messages that name an option, names that promise a format
//! which is not written, and the words of a command line that both of them repeat. Knows no command
//! and no argument parser.

pub(crate) mod hints;
pub(crate) mod lex;
pub(crate) mod options;
pub(crate) mod promise;
pub(crate) mod shell;
pub(crate) mod words;
