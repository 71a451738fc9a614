//! The prompt on a pseudo terminal, which `script` of util-linux makes.

use std::fs;
use std::io::{Read, Write};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Duration, Instant};

use ctrace_skip::skip;

use super::sample;

/// Longer than anything takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(300);

struct Prompt {
    child: Child,
    output: Receiver<Vec<u8>>,
    seen: String,
    home: tempfile::TempDir,
}

impl Prompt {
    fn start() -> Option<Prompt> {
        let home = tempfile::tempdir().expect("a temporary folder");
        let command = format!("'{}' query '{}'", env!("CARGO_BIN_EXE_ctrace"), sample().display());
        let child = Command::new("script")
            .args(["-qec", &command, "/dev/null"])
            .env("HOME", home.path())
            .env("TERM", "xterm")
            .env("PAGER", "sed 's/^/through the pager: /'")
            .env_remove("XDG_STATE_HOME")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn();
        let mut child = child.ok()?;
        let mut stdout = child.stdout.take().expect("a pipe");
        let (sender, output) = channel();
        thread::spawn(move || {
            let mut part = [0; 4096];
            while let Ok(n @ 1..) = stdout.read(&mut part) {
                if sender.send(part[..n].to_vec()).is_err() {
                    break;
                }
            }
        });
        Some(Prompt {
            child,
            output,
            seen: String::new(),
            home,
        })
    }

    fn send(&mut self, keys: &str) {
        let stdin = self.child.stdin.as_mut().expect("a pipe");
        stdin.write_all(keys.as_bytes()).expect("keys are taken");
        stdin.flush().expect("keys are taken");
    }

    /// Waits until the terminal has shown a text, and forgets what came before it.
    fn wait_for(&mut self, text: &str) {
        assert!(self.comes(text, PATIENCE), "{text:?} did not come: {:?}", self.seen);
    }

    /// Whether a text is shown within a time.
    fn comes(&mut self, text: &str, within: Duration) -> bool {
        let start = Instant::now();
        loop {
            if let Some(at) = self.seen.find(text) {
                self.seen.drain(..at + text.len());
                return true;
            }
            if start.elapsed() > within {
                return false;
            }
            if let Ok(part) = self.output.recv_timeout(Duration::from_millis(100)) {
                self.seen.push_str(&String::from_utf8_lossy(&part));
            }
        }
    }
}

impl Drop for Prompt {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn the_prompt_runs_statements_and_survives_mistakes_and_interrupts() {
    let Some(mut prompt) = Prompt::start() else {
        return skip(
            "the_prompt_runs_statements_and_survives_mistakes_and_interrupts",
            "there is no script(1) of util-linux",
        );
    };
    prompt.wait_for("ctrace> ");
    prompt.send("select 40 + 2\ras answer;\r");
    prompt.wait_for("through the pager:      42");
    prompt.wait_for("ctrace> ");
    prompt.send("\\pager\r");
    prompt.wait_for("The pager is off.");
    prompt.wait_for("ctrace> ");
    prompt.send("select nme from processes;\r");
    prompt.wait_for("did you mean `name`?");
    prompt.wait_for("ctrace> ");
    prompt.send("\\d gaps\r");
    prompt.wait_for("from_ts");
    prompt.wait_for("ctrace> ");
    prompt.send("select count(*) from events a, events b, events c where a.seq * b.seq % 7 = c.seq % 5;\r");
    prompt.wait_for("c.seq % 5;");
    thread::sleep(Duration::from_secs(1));
    // On a busy machine it may not have begun: then one presses it again.
    let start = Instant::now();
    loop {
        prompt.send("\x03");
        if prompt.comes("cancelled", Duration::from_secs(10)) {
            break;
        }
        assert!(start.elapsed() < PATIENCE, "it is not cancelled: {:?}", prompt.seen);
    }
    prompt.wait_for("ctrace> ");
    prompt.send("select 'still ' || 'here';\r");
    prompt.wait_for("still here");
    prompt.wait_for("ctrace> ");
    // Completion of a table, a column and a function, and a statement from the history.
    prompt.send("select max(from_t\t) as latest from ga\t;\r");
    // How the line is drawn depends on how quickly keys come; a wrong completion is an unknown name.
    prompt.wait_for(" latest\r\n");
    prompt.wait_for("ctrace> ");
    prompt.send("select is_pri\t('10.0.0.7') as private;\r");
    prompt.wait_for(" true\r\n");
    prompt.wait_for("ctrace> ");
    prompt.send("\x1b[A\x1b[A\r");
    prompt.wait_for(" latest\r\n");
    prompt.wait_for("ctrace> ");
    // Commands complete their own arguments, and say what they changed.
    prompt.send("\\d gap\t\r");
    prompt.wait_for("from_ts");
    prompt.wait_for("ctrace> ");
    prompt.send("\\form\t exp\t\r");
    prompt.wait_for("Results are written as expanded.");
    prompt.wait_for("ctrace> ");
    prompt.send("\\x\r");
    prompt.wait_for("One value a line is off.");
    prompt.wait_for("ctrace> ");
    prompt.send("@loss\t;\r");
    prompt.wait_for("row");
    prompt.wait_for("ctrace> ");
    let file = prompt.home.path().join("rows.csv");
    prompt.send(&format!("\\o {}\r", file.display()));
    prompt.wait_for("ctrace> ");
    prompt.send("select 1 + 1 as two;\r");
    prompt.wait_for("rows.csv: 1 row");
    assert_eq!(fs::read_to_string(&file).expect("the result"), "two\n2\n");
    prompt.wait_for("ctrace> ");
    prompt.send("\\q\r");
    let start = Instant::now();
    while prompt.child.try_wait().expect("a child").is_none() {
        assert!(start.elapsed() < PATIENCE, "the prompt does not end");
        thread::sleep(Duration::from_millis(50));
    }
    let history = prompt.home.path().join(".local/state/ctrace/query-history");
    let history = std::fs::read_to_string(history).expect("a history");
    assert!(history.contains("still "), "{history}");
}
