//! Text on standard output and standard error, without panicking and without control characters.
//!
//! `println!` panics if its reader has gone away or the disk behind it is full. Here a result that cannot be written is an
//! error of the command, and a note that cannot be written is lost, so that a training goes on when its terminal closes.

use std::{
    borrow::Cow,
    fmt::{self, Write as _},
    io::{self, Write},
};

use crate::Fault;

/// Writes a result to standard output: `out!` as `print!`, `outln!` as `println!`, both to be followed by `?`.
macro_rules! out {
    ($($text:tt)*) => { $crate::terminal::print::result(format_args!($($text)*)) };
}

macro_rules! outln {
    ($($text:tt)*) => { $crate::terminal::print::result(format_args!("{}\n", format_args!($($text)*))) };
}

/// Writes a note to standard error, as `eprintln!`.
macro_rules! errln {
    ($($text:tt)*) => { $crate::terminal::print::note(format_args!($($text)*)) };
}

pub(crate) use {errln, out, outln};

/// Standard output cannot be written.
#[derive(Debug)]
pub(crate) struct Unwritten(io::Error);

impl Unwritten {
    pub(crate) fn new(fault: io::Error) -> Self {
        Self(fault)
    }

    /// Whether the reader has gone away, as `head` does: it saw what it wanted, and needs no message.
    pub(crate) fn reader_is_gone(&self) -> bool {
        self.0.kind() == io::ErrorKind::BrokenPipe
    }
}

impl fmt::Display for Unwritten {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "standard output: {}; what the command wrote to files is complete", self.0)
    }
}

impl std::error::Error for Unwritten {}

/// Writes to standard output; called by `out!`.
///
/// # Errors
/// [`Unwritten`].
pub(crate) fn result(text: fmt::Arguments<'_>) -> Result<(), Fault> {
    script(escaped(&text.to_string()).as_bytes())
}

/// Writes JSON to standard output, with control characters as JSON escapes them.
///
/// # Errors
/// [`Unwritten`].
pub(crate) fn json(text: &str) -> Result<(), Fault> {
    script(format!("{}\n", json_escaped(text)).as_bytes())
}

/// Writes bytes of our own making to standard output as they are.
///
/// # Errors
/// [`Unwritten`].
pub(crate) fn script(bytes: &[u8]) -> Result<(), Fault> {
    let mut out = io::stdout().lock();
    out.write_all(bytes).and_then(|()| out.flush()).map_err(|fault| Unwritten(fault).into())
}

/// Writes a line to standard error; called by `errln!`. A line that cannot be written is dropped.
pub(crate) fn note(text: fmt::Arguments<'_>) {
    let line = format!("{}\n", escaped(&text.to_string()));
    // There is nobody left to tell.
    let _ = io::stderr().lock().write_all(line.as_bytes());
}

/// The text with control characters written out (`\u{1b}`): names of files, labels and tensors come from files of others,
/// and a terminal obeys them.
pub(crate) fn escaped(text: &str) -> Cow<'_, str> {
    replaced(text, |c, out| write!(out, "{}", c.escape_unicode()))
}

fn json_escaped(text: &str) -> Cow<'_, str> {
    replaced(text, |c, out| {
        let mut units = [0; 2];
        c.encode_utf16(&mut units).iter().try_for_each(|unit| write!(out, "\\u{unit:04x}"))
    })
}

fn replaced(text: &str, write: impl Fn(char, &mut String) -> fmt::Result) -> Cow<'_, str> {
    if !text.contains(is_control) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        if is_control(c) {
            // Writing to a string does not fail.
            let _ = write(c, &mut out);
        } else {
            out.push(c);
        }
    }
    Cow::Owned(out)
}

/// Control characters but for new lines and tabs, and those that change the direction of text.
fn is_control(c: char) -> bool {
    (c.is_control() && !matches!(c, '\n' | '\t')) || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_characters_are_written_out() {
        assert_eq!(escaped("a\tb\n\u{e9}\u{5206}"), "a\tb\n\u{e9}\u{5206}");
        assert_eq!(escaped("\u{1b}[31mred\u{7}"), "\\u{1b}[31mred\\u{7}");
        assert_eq!(escaped("\u{9b}2J\r\u{202e}gnp.x"), "\\u{9b}2J\\u{d}\\u{202e}gnp.x");
    }

    #[test]
    fn json_stays_json() {
        let name = "\u{9b}2J\u{202e}\u{7f}";
        let text = serde_json::to_string(name).expect("a string");
        let shown = json_escaped(&text);
        assert_eq!(shown, "\"\\u009b2J\\u202e\\u007f\"");
        assert_eq!(serde_json::from_str::<String>(&shown).expect("still JSON"), name);
    }
}
