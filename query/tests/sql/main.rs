//! SQL over a case and over its export.

mod damage;
mod exports;
mod functions;
mod grouping;
mod metrics;
mod outputs;
mod partners;
mod pushdown;
mod sessions;
mod tables;
mod world;

use ctrace_query::output::{Format, write};
use ctrace_query::{Options, Session};
use tempfile::TempDir;
use world::World;

/// A case in a folder that goes away with it.
struct Recorded {
    session: Session,
    folder: TempDir,
}

fn options() -> Options {
    Options {
        threads: 2,
        ..Options::default()
    }
}

fn recorded() -> Recorded {
    recorded_world(World::new())
}

fn recorded_world(world: World) -> Recorded {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let case = world.write(&folder.path().join("case"));
    Recorded {
        session: Session::case(case, &options()).expect("a session"),
        folder,
    }
}

/// The result as CSV without its line of names.
fn csv(session: &Session, sql: &str) -> String {
    let text = text(session, sql, Format::Csv);
    text.split_once('\n')
        .map_or(String::new(), |(_, rows)| rows.trim_end().to_owned())
}

fn text(session: &Session, sql: &str, format: Format) -> String {
    let mut out = Vec::new();
    let answer = session.sql(sql).unwrap_or_else(|e| panic!("{sql}: {e}"));
    write(answer, format, false, &mut out).unwrap_or_else(|e| panic!("{sql}: {e}"));
    String::from_utf8(out).expect("results are UTF-8")
}
