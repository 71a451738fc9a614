//! The processes of a case under those that started them.

use std::collections::{BTreeMap, BTreeSet};

use ctrace_trace::calendar::Iso8601;
use ctrace_trace::escape;
use serde::Deserialize;
use serde_json::json;

use crate::error::QueryError;
use crate::output::{self, Format};
use crate::session::Session;

/// A row of table `processes`: a program that a process ran. Times are nanoseconds since the epoch.
#[derive(Clone, Debug, Deserialize)]
struct Image {
    process_key: i64,
    parent_key: Option<i64>,
    pid: u32,
    ppid: Option<u32>,
    cmdline: Option<String>,
    user_name: Option<String>,
    euid: Option<u32>,
    container: Option<String>,
    start: Option<i64>,
    exec: Option<i64>,
    exit: Option<i64>,
    exit_code: Option<i64>,
    exit_signal: Option<i64>,
}

const IMAGES: &str = "SELECT process_key, parent_key, pid, ppid, cmdline, user_name, euid,
        coalesce(container_name, container_id) AS container, CAST(start_ts AS BIGINT) AS start,
        CAST(exec_ts AS BIGINT) AS exec, CAST(exit_ts AS BIGINT) AS exit, exit_code, exit_signal
    FROM processes ORDER BY start_ts NULLS FIRST, pid, exec_ts NULLS FIRST, process_key";

/// How deep a tree is shown: no process has more ancestors in earnest, and a damaged case may say anything.
const MAX_DEPTH: usize = 200;

/// Event numbers in one statement.
const EVENTS_AT_ONCE: usize = 1000;

/// Pid and start: what tells a process from others.
type Process = (i64, u32);

/// Which processes are shown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Which {
    /// Only those with this id and their descendants.
    pub pid: Option<u32>,
    /// Only those that there were at this time, UTC nanoseconds.
    pub at: Option<u64>,
}

/// The processes of a session's data.
#[derive(Default)]
pub struct Tree {
    /// The programs of each process, in the order in which it ran them.
    processes: BTreeMap<Process, Vec<Image>>,
    of_image: BTreeMap<i64, Process>,
    children: BTreeMap<Option<Process>, Vec<Process>>,
    /// Alerts of a process with how many there were.
    alerts: BTreeMap<Process, BTreeMap<String, u64>>,
}

fn rows<T: for<'a> Deserialize<'a>>(session: &Session, sql: &str) -> Result<Vec<T>, QueryError> {
    let mut lines = Vec::new();
    output::write(session.sql(sql)?, Format::Ndjson, false, &mut lines)?;
    let rows: Result<Vec<T>, _> = serde_json::Deserializer::from_slice(&lines).into_iter().collect();
    Ok(rows.map_err(std::io::Error::from)?)
}

impl Tree {
    /// Reads table `processes`.
    ///
    /// # Errors
    /// As [`Session::sql`].
    pub fn of(session: &Session) -> Result<Tree, QueryError> {
        let mut tree = Tree::default();
        for image in rows::<Image>(session, IMAGES)? {
            let process = (image.start.unwrap_or(0), image.pid);
            tree.of_image.insert(image.process_key, process);
            tree.processes.entry(process).or_default().push(image);
        }
        for (process, images) in &tree.processes {
            // The first that is known: who adopted an orphan later is no parent. Earlier than the process itself, so that a
            // damaged case makes no circle.
            let parents = images.iter().filter_map(|i| tree.of_image.get(&i.parent_key?));
            let parent = parents.copied().find(|p| p < process);
            tree.children.entry(parent).or_default().push(*process);
        }
        Ok(tree)
    }

    /// Puts the alerts of a rule under the processes of the events that it matched.
    ///
    /// # Errors
    /// As [`Session::sql`].
    pub fn add_alerts(&mut self, session: &Session, rule: &str, events: &BTreeSet<u64>) -> Result<(), QueryError> {
        #[derive(Deserialize)]
        struct Acted {
            process_key: i64,
        }
        let events: Vec<String> = events.iter().map(u64::to_string).collect();
        for some in events.chunks(EVENTS_AT_ONCE) {
            let list = some.join(", ");
            let sql = format!("SELECT process_key FROM events WHERE seq IN ({list}) AND process_key IS NOT NULL");
            for Acted { process_key } in rows::<Acted>(session, &sql)? {
                if let Some(process) = self.of_image.get(&process_key) {
                    *self
                        .alerts
                        .entry(*process)
                        .or_default()
                        .entry(rule.to_owned())
                        .or_default() += 1;
                }
            }
        }
        Ok(())
    }

    /// The processes to show with their depths, parents first.
    fn walk(&self, which: Which) -> Vec<(usize, Process)> {
        let roots = match which.pid {
            Some(pid) => self.processes.keys().filter(|p| p.1 == pid).copied().collect(),
            None => self.children.get(&None).cloned().unwrap_or_default(),
        };
        let mut shown = Vec::new();
        let mut seen = BTreeSet::new();
        let mut waiting: Vec<(usize, Process)> = roots.into_iter().rev().map(|p| (0, p)).collect();
        while let Some((depth, process)) = waiting.pop() {
            if !seen.insert(process) {
                continue;
            }
            let alive = self.is_alive(process, which.at);
            if alive {
                shown.push((depth, process));
            }
            // Children of one that has ended stand where it stood.
            let next = if alive { (depth + 1).min(MAX_DEPTH) } else { depth };
            let children = self.children.get(&Some(process)).into_iter().flatten();
            waiting.extend(children.rev().map(|c| (next, *c)));
        }
        shown
    }

    fn is_alive(&self, process: Process, at: Option<u64>) -> bool {
        let Some(at) = at.map(|at| i64::try_from(at).unwrap_or(i64::MAX)) else {
            return true;
        };
        let exit = self.images(process, None).last().and_then(|i| i.exit);
        process.0 <= at && exit.is_none_or(|exit| exit > at)
    }

    /// What a process ran, up to a time.
    fn images(&self, process: Process, at: Option<u64>) -> Vec<&Image> {
        let at = at.and_then(|at| i64::try_from(at).ok()).unwrap_or(i64::MAX);
        let images = self.processes.get(&process).into_iter().flatten();
        images.filter(|i| i.exec.is_none_or(|exec| exec <= at)).collect()
    }

    /// The tree as lines of cells under their names, safe to show on a terminal.
    pub fn lines(&self, which: Which) -> Vec<Vec<String>> {
        let names = ["start", "end", "exit", "user", "container", "pid", "process"];
        let mut lines = vec![names.map(str::to_owned).to_vec()];
        for (depth, process) in self.walk(which) {
            let indent = "  ".repeat(depth);
            lines.push(self.row(&indent, process, which.at));
            for (rule, n) in self.alerts.get(&process).into_iter().flatten() {
                let mut line = vec![String::new(); 6];
                line.push(format!("{indent}  ! {n} × {}", escape::text(rule)));
                lines.push(line);
            }
        }
        lines
    }

    /// The same as one JSON object a process. Nothing in it is escaped beyond what JSON needs.
    pub fn objects(&self, which: Which) -> impl Iterator<Item = serde_json::Value> {
        let walked = self.walk(which).into_iter();
        walked.map(move |(depth, process)| self.object(depth, process, which.at))
    }

    fn row(&self, indent: &str, process: Process, at: Option<u64>) -> Vec<String> {
        let images = self.images(process, at);
        let ran: Vec<&str> = images.iter().filter_map(|i| i.cmdline.as_deref()).collect();
        let ran = escape::text(&ran.join(" => "));
        let last = images.last();
        let text = |s: Option<&String>| s.map_or_else(|| "-".to_owned(), |s| escape::text(s));
        let user = match last.and_then(|i| i.user_name.as_ref()) {
            Some(name) => escape::text(name),
            None => last
                .and_then(|i| i.euid)
                .map_or_else(|| "-".to_owned(), |uid| uid.to_string()),
        };
        let exit = match last.map(|i| (i.exit_code, i.exit_signal)) {
            Some((_, Some(signal))) => format!("signal {signal}"),
            Some((Some(code), _)) => code.to_string(),
            _ => "-".to_owned(),
        };
        vec![
            time(Some(process.0)).unwrap_or_else(|| "-".to_owned()),
            time(last.and_then(|i| i.exit)).unwrap_or_else(|| "-".to_owned()),
            exit,
            user,
            text(last.and_then(|i| i.container.as_ref())),
            process.1.to_string(),
            format!("{indent}{ran}"),
        ]
    }

    fn object(&self, depth: usize, process: Process, at: Option<u64>) -> serde_json::Value {
        let images = self.images(process, at);
        let last = images.last();
        json!({
            "depth": depth,
            "pid": process.1,
            "ppid": last.and_then(|i| i.ppid),
            "start": time(Some(process.0)),
            "end": time(last.and_then(|i| i.exit)),
            "exit_code": last.and_then(|i| i.exit_code),
            "exit_signal": last.and_then(|i| i.exit_signal),
            "user": last.and_then(|i| i.user_name.as_deref()),
            "container": last.and_then(|i| i.container.as_deref()),
            "programs": images.iter().map(|i| json!({"cmdline": i.cmdline, "exec": time(i.exec)})).collect::<Vec<_>>(),
            "alerts": self.alerts.get(&process).cloned().unwrap_or_default(),
        })
    }
}

/// A time, where it is known.
fn time(ns: Option<i64>) -> Option<String> {
    let ns = u64::try_from(ns?).ok().filter(|ns| *ns > 0)?;
    Some(Iso8601(ns).to_string())
}
