//! Tables of a moment: `processes_as_of(ts)`, `containers_as_of(ts)`, `open_files_as_of(ts)`.

use std::fmt;
use std::sync::Arc;

use datafusion::catalog::{TableFunctionArgs, TableFunctionImpl, TableProvider};
use datafusion::common::{DataFusionError, Result, ScalarValue, plan_err};
use datafusion::logical_expr::Expr;
use datafusion::prelude::SessionContext;
use futures::FutureExt;

use crate::functions::FunctionInfo;

/// A table of a moment.
struct Moment {
    info: FunctionInfo,
    /// The tables that it looks into.
    tables: &'static [&'static str],
    /// A statement; `$ts` stands for the moment.
    sql: &'static str,
}

const MOMENTS: [Moment; 3] = [
    Moment {
        info: FunctionInfo {
            usage: "processes_as_of(ts)",
            doc: "The rows of table processes that were running at a moment.",
        },
        tables: &["processes"],
        sql: "SELECT * FROM processes
              WHERE coalesce(exec_ts, start_ts, $ts) <= $ts AND (end_ts IS NULL OR end_ts > $ts)",
    },
    Moment {
        info: FunctionInfo {
            usage: "containers_as_of(ts)",
            doc: "The rows of table containers that were running at a moment, as far as the engine's events tell.",
        },
        tables: &["containers", "docker_events"],
        sql: "SELECT c.* FROM containers c LEFT JOIN (
                  SELECT id, last_value(action ORDER BY seq) AS action FROM docker_events
                  WHERE type = 'container' AND ts <= $ts
                    AND action IN ('start', 'restart', 'unpause', 'die', 'stop', 'kill', 'destroy')
                  GROUP BY id) e ON e.id = c.full_id
              WHERE coalesce(c.started_ts, c.created_ts, $ts) <= $ts
                AND (e.action IS NULL OR e.action NOT IN ('die', 'stop', 'destroy'))",
    },
    Moment {
        info: FunctionInfo {
            usage: "open_files_as_of(ts)",
            doc: "The descriptors that were open at a moment, as far as events before it tell.",
        },
        tables: &["processes", "events"],
        sql: "SELECT p.pid, e.fd_num, e.fd_name, e.fd_type, e.ts AS last_ts, p.process_key, p.name, p.container_id
              FROM (SELECT process_key, fd_num, fd_name, fd_type, ts, evt_type,
                           row_number() OVER (PARTITION BY proc_pid, fd_num ORDER BY seq DESC) AS n
                    FROM events
                    WHERE ts <= $ts AND fd_num IS NOT NULL AND fd_name IS NOT NULL AND proc_pid IS NOT NULL) e
              JOIN processes p ON p.process_key = e.process_key
              WHERE e.n = 1 AND e.evt_type <> 'close' AND (p.exit_ts IS NULL OR p.exit_ts > $ts)",
    },
];

/// What the functions are called and give.
pub(crate) fn all() -> impl Iterator<Item = FunctionInfo> {
    MOMENTS.iter().map(|m| m.info.clone())
}

/// Makes those known whose tables are there.
pub(crate) fn register(context: &SessionContext, tables: &[(String, Arc<dyn TableProvider>)]) {
    for moment in &MOMENTS {
        let find = |name: &&str| tables.iter().find(|(n, _)| n == *name).cloned();
        let found: Option<Vec<_>> = moment.tables.iter().map(find).collect();
        if let Some(tables) = found {
            let name = moment.info.usage.split('(').next().unwrap_or_default();
            context.register_udtf(name, Arc::new(AsOf { moment, tables }));
        }
    }
}

struct AsOf {
    moment: &'static Moment,
    tables: Vec<(String, Arc<dyn TableProvider>)>,
}

impl fmt::Debug for AsOf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.moment.info.usage)
    }
}

impl TableFunctionImpl for AsOf {
    fn call_with_args(&self, args: TableFunctionArgs) -> Result<Arc<dyn TableProvider>> {
        let [Expr::Literal(moment, _)] = args.exprs() else {
            return plan_err!("{} takes one time: '2026-11-21 10:00:00'", self.moment.info.usage);
        };
        let ty = crate::column::timestamp_type();
        // Arrow wants seconds in a time of day.
        let minutes = match moment {
            ScalarValue::Utf8(Some(text)) if text.len() == "2026-11-21 10:00".len() => {
                ScalarValue::Utf8(Some(format!("{text}:00")))
            }
            _ => moment.clone(),
        };
        let Ok(ScalarValue::TimestampNanosecond(Some(ns), _)) = moment.cast_to(&ty).or_else(|_| minutes.cast_to(&ty))
        else {
            return plan_err!("{}: {moment} is no time", self.moment.info.usage);
        };
        let ts = format!("arrow_cast({ns}, 'Timestamp(ns, \"UTC\")')");
        // A context of its own: the plan refers to the tables themselves, and a function that held its own session
        // would keep it alive for ever.
        let context = SessionContext::new();
        for (name, table) in &self.tables {
            context.register_table(name.as_str(), table.clone())?;
        }
        let sql = self.moment.sql.replace("$ts", &ts);
        // Tables in memory: planning waits for nothing.
        let frame = context
            .sql(&sql)
            .now_or_never()
            .ok_or_else(|| DataFusionError::Internal("planning waits".to_owned()))??;
        Ok(frame.into_view())
    }
}
