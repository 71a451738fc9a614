//! What is wrong with rules, filters and formats, on stderr.

use ctrace_inputs::diagnosis;
pub(crate) use ctrace_inputs::diagnosis::mark;
use ctrace_replay::Diagnostic;

use crate::output;

/// Prints messages to stderr; `text_of` gives the text that a message's file name stands for.
pub(crate) fn print<'a>(diagnostics: &[Diagnostic], text_of: impl Fn(&str) -> Option<&'a str>) {
    for line in diagnosis::lines(diagnostics, text_of) {
        output::raw_note(&line);
    }
    match diagnosis::left_out(diagnostics) {
        0 => {}
        more => output::note(&format!("{more} more like these")),
    }
}
