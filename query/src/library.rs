//! The library of investigations: statements with parameters, one file each in `query/library`.
//!
//! A file begins with lines of comments: what it finds, then `-- param NAME=DEFAULT: MEANING` for each parameter. The
//! statement has `$NAME` where the value goes. A default in quotes says that values are texts; any other is a number.

use crate::error::{QueryError, nearest};

/// A statement of the library.
#[derive(Clone, Copy, Debug)]
pub struct Investigation {
    /// Name.
    pub name: &'static str,
    text: &'static str,
}

/// A parameter of a statement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Parameter {
    /// Name.
    pub name: &'static str,
    /// Default, as SQL writes it.
    pub default: &'static str,
    /// What it means.
    pub doc: &'static str,
}

const fn query(name: &'static str, text: &'static str) -> Investigation {
    Investigation { name, text }
}

/// All of them, by name.
pub const LIBRARY: &[Investigation] = &[
    query("audit-keys", include_str!("../library/audit-keys.sql")),
    query("beaconing", include_str!("../library/beaconing.sql")),
    query("boot-services", include_str!("../library/boot-services.sql")),
    query("bulk-removals", include_str!("../library/bulk-removals.sql")),
    query("busiest-processes", include_str!("../library/busiest-processes.sql")),
    query("container-escapes", include_str!("../library/container-escapes.sql")),
    query("data-out", include_str!("../library/data-out.sql")),
    query(
        "deleted-binaries-running",
        include_str!("../library/deleted-binaries-running.sql"),
    ),
    query("docker-commands", include_str!("../library/docker-commands.sql")),
    query(
        "dropped-executables",
        include_str!("../library/dropped-executables.sql"),
    ),
    query("encoded-commands", include_str!("../library/encoded-commands.sql")),
    query("exec-from-memory", include_str!("../library/exec-from-memory.sql")),
    query("exec-from-tmp", include_str!("../library/exec-from-tmp.sql")),
    query("failed-logins", include_str!("../library/failed-logins.sql")),
    query("failed-opens", include_str!("../library/failed-opens.sql")),
    query(
        "first-seen-executables",
        include_str!("../library/first-seen-executables.sql"),
    ),
    query("kernel-modules", include_str!("../library/kernel-modules.sql")),
    query("known-files", include_str!("../library/known-files.sql")),
    query("listening-services", include_str!("../library/listening-services.sql")),
    query("log-clearing", include_str!("../library/log-clearing.sql")),
    query("long-command-lines", include_str!("../library/long-command-lines.sql")),
    query("losses", include_str!("../library/losses.sql")),
    query("mode-changes", include_str!("../library/mode-changes.sql")),
    query(
        "outgoing-connections",
        include_str!("../library/outgoing-connections.sql"),
    ),
    query(
        "package-managers-in-containers",
        include_str!("../library/package-managers-in-containers.sql"),
    ),
    query("persistence", include_str!("../library/persistence.sql")),
    query("port-scans", include_str!("../library/port-scans.sql")),
    query("privilege-changes", include_str!("../library/privilege-changes.sql")),
    query("privilege-gains", include_str!("../library/privilege-gains.sql")),
    query("process-tree", include_str!("../library/process-tree.sql")),
    query("rare-executables", include_str!("../library/rare-executables.sql")),
    query("reverse-shells", include_str!("../library/reverse-shells.sql")),
    query("secret-reads", include_str!("../library/secret-reads.sql")),
    query(
        "shells-in-containers",
        include_str!("../library/shells-in-containers.sql"),
    ),
];

/// The statement of that name.
///
/// # Errors
/// Where there is none.
pub fn find(name: &str) -> Result<&'static Investigation, QueryError> {
    let known = LIBRARY.iter().find(|i| i.name == name);
    known.ok_or_else(|| {
        let near = nearest(name, LIBRARY.iter().map(|i| i.name));
        QueryError::Statement(match near {
            Some(near) => format!("no query `@{name}`; did you mean `@{near}`?"),
            None => format!("no query `@{name}`; --list shows all"),
        })
    })
}

impl Investigation {
    /// What it finds.
    pub fn doc(&self) -> &'static str {
        self.text
            .lines()
            .find_map(|l| l.strip_prefix("-- "))
            .unwrap_or_default()
    }

    /// Its parameters.
    pub fn parameters(&self) -> impl Iterator<Item = Parameter> {
        let lines = self.text.lines().filter_map(|l| l.strip_prefix("-- param "));
        lines.filter_map(|line| {
            let (name, rest) = line.split_once('=')?;
            let (default, doc) = rest.rsplit_once(": ")?;
            Some(Parameter { name, default, doc })
        })
    }

    /// The statement with values for its parameters; defaults for those that are not given.
    ///
    /// # Errors
    /// Where a value has no parameter, or is no number where one is needed.
    pub fn statement(&self, values: &[(String, String)]) -> Result<String, QueryError> {
        let parameters: Vec<Parameter> = self.parameters().collect();
        if let Some((name, _)) = values.iter().find(|(n, _)| !parameters.iter().any(|p| p.name == n)) {
            let names: Vec<&str> = parameters.iter().map(|p| p.name).collect();
            let there = if names.is_empty() {
                "it has none".to_owned()
            } else {
                format!("there are {}", names.join(", "))
            };
            return Err(QueryError::Statement(format!(
                "@{}: no parameter `{name}`; {there}",
                self.name
            )));
        }
        let lines = self.text.lines().filter(|l| !l.starts_with("--"));
        let mut sql = lines.collect::<Vec<_>>().join("\n");
        for parameter in parameters {
            let given = values.iter().rev().find(|(n, _)| n == parameter.name);
            let literal = match given {
                Some((_, value)) => parameter.literal(self.name, value)?,
                None => parameter.default.to_owned(),
            };
            sql = sql.replace(&format!("${}", parameter.name), &literal);
        }
        Ok(sql)
    }
}

impl Parameter {
    fn literal(&self, query: &str, value: &str) -> Result<String, QueryError> {
        if self.default.starts_with('\'') {
            return Ok(format!("'{}'", value.replace('\'', "''")));
        }
        match value.parse::<f64>() {
            // What Rust reads as a number is one in SQL too, but for names of what is none.
            Ok(number) if number.is_finite() => Ok(format!("({value})")),
            _ => Err(QueryError::Statement(format!(
                "@{query}: `{}` is a number, not `{value}`",
                self.name
            ))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_listed_sorted_and_explained() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/library");
        let mut files: Vec<String> = std::fs::read_dir(folder)
            .expect("the library")
            .filter_map(|e| e.ok()?.file_name().to_str()?.strip_suffix(".sql").map(str::to_owned))
            .collect();
        files.sort();
        let names: Vec<&str> = LIBRARY.iter().map(|i| i.name).collect();
        assert_eq!(files, names);
        for one in LIBRARY {
            assert!(one.doc().ends_with('.'), "{}", one.name);
            let parameters = one.text.matches("-- param ").count();
            assert_eq!(one.parameters().count(), parameters, "{}", one.name);
            for p in one.parameters() {
                let statement: String = one.text.lines().filter(|l| !l.starts_with("--")).collect();
                assert!(statement.contains(&format!("${}", p.name)), "{}: {}", one.name, p.name);
            }
            let plain = one.statement(&[]).expect("a statement");
            assert!(
                !plain.contains('$') || plain.contains("$'") || plain.contains("$|"),
                "{}: {plain}",
                one.name
            );
        }
    }

    #[test]
    fn values_are_literals() {
        let given = |n: &str, v: &str| vec![(n.to_owned(), v.to_owned())];
        let rare = find("rare-executables").expect("known");
        assert!(
            rare.statement(&given("max", "7"))
                .expect("a statement")
                .contains("<= (7)")
        );
        for wrong in ["x", "1; DROP", "NaN", "inf", ""] {
            assert!(rare.statement(&given("max", wrong)).is_err(), "{wrong}");
        }
        assert!(rare.statement(&given("min", "7")).is_err());
        let logs = find("log-clearing").expect("known");
        assert!(
            logs.statement(&given("folder", "/o'b"))
                .expect("a statement")
                .contains("'/o''b'")
        );
        assert!(
            find("rare-executable")
                .expect_err("unknown")
                .to_string()
                .contains("@rare-executables")
        );
    }
}
