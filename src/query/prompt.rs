//! The prompt: lines in, results out. Ctrl-C cancels a running statement and clears a line; Ctrl-D leaves.

use std::env;
use std::fs;
use std::path::PathBuf;

use ctrace_query::QueryError;
use ctrace_trace::escape;
use rustyline::config::{BellStyle, Config};
use rustyline::error::ReadlineError;
use rustyline::history::FileHistory;
use rustyline::{CompletionType, Editor};

use super::complete::Names;
use super::{Shell, interrupt, meta};
use crate::{diagnosis, output};

const HISTORY_LINES: usize = 10_000;

/// Runs until the user leaves.
pub(super) fn run(shell: &mut Shell<'_>) -> anyhow::Result<()> {
    let config = Config::builder()
        .completion_type(CompletionType::List)
        .max_history_size(HISTORY_LINES)?
        .history_ignore_space(true)
        .bell_style(BellStyle::None)
        .build();
    let mut editor: Editor<Names, FileHistory> = Editor::with_config(config)?;
    // After the editor, which installs a handler of its own.
    // While a line is edited the terminal hands Ctrl-C over as a key; a signal comes only while a statement runs.
    interrupt::cancels(shell.session.canceller())?;
    editor.set_helper(Some(Names::new(shell.session)));
    let history = history();
    if let Some(path) = &history {
        // The first prompt has no history yet.
        let _ = editor.load_history(path);
    }
    eprintln!(
        "SQL over {} tables; \\d lists them, \\? helps, \\q leaves.",
        shell.session.tables().len()
    );
    loop {
        match editor.readline("ctrace> ") {
            Ok(line) if line.trim() == "\\q" => break,
            Ok(line) => {
                editor.add_history_entry(line.trim())?;
                run_line(shell, &line)?;
            }
            Err(ReadlineError::Interrupted) => {}
            Err(ReadlineError::Eof) => break,
            Err(e) => return Err(e.into()),
        }
    }
    if let Some(path) = &history
        && let Err(e) = editor.save_history(path)
    {
        eprintln!("ctrace: the history is not kept: {}: {e}", path.display());
    }
    Ok(())
}

/// Runs what a line holds. A wrong statement ends the line and not the prompt.
fn run_line(shell: &mut Shell<'_>, line: &str) -> Result<(), QueryError> {
    for statement in meta::split(line) {
        match shell.run(statement) {
            Ok(()) => {}
            Err(QueryError::Output(e)) => return Err(QueryError::Output(e)),
            Err(e) => {
                output::note(&escape::text(&e.to_string()));
                if let Some((line, column)) = e.place() {
                    output::raw_note(&diagnosis::mark(line, column));
                }
                break;
            }
        }
    }
    Ok(())
}

/// `$XDG_STATE_HOME/ctrace/query-history`; `None` where there is no home.
fn history() -> Option<PathBuf> {
    let absolute = |name| env::var_os(name).map(PathBuf::from).filter(|p| p.is_absolute());
    let state = absolute("XDG_STATE_HOME").or_else(|| Some(absolute("HOME")?.join(".local/state")))?;
    let folder = state.join("ctrace");
    fs::create_dir_all(&folder).ok()?;
    Some(folder.join("query-history"))
}
