//! How far long work is, on stderr where that is a terminal.

use std::io::{self, IsTerminal, Write};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// A bar for work over the events of a case; nothing where stderr is no terminal.
pub(crate) struct Progress {
    bar: ProgressBar,
    /// Whether results go to the terminal too, between drawings of the bar.
    shared: bool,
}

impl Progress {
    /// A bar for so many events.
    pub(crate) fn new(events: u64) -> Progress {
        let bar = ProgressBar::with_draw_target(Some(events), ProgressDrawTarget::stderr());
        let style = ProgressStyle::with_template("{bar:40} {human_pos}/{human_len} events, {eta} left");
        let bar = match style {
            Ok(style) => bar.with_style(style),
            Err(_) => bar,
        };
        Progress {
            shared: !bar.is_hidden() && io::stdout().is_terminal(),
            bar,
        }
    }

    /// So many more events are done.
    pub(crate) fn done(&self, events: u64) {
        self.bar.inc(events);
    }

    /// Ends a line of results and writes it, with the bar out of its way.
    pub(crate) fn line(&self, out: &mut impl Write, line: &mut String) -> io::Result<()> {
        line.push('\n');
        if !self.shared {
            return out.write_all(line.as_bytes());
        }
        self.bar.suspend(|| {
            out.write_all(line.as_bytes())?;
            out.flush()
        })
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}
