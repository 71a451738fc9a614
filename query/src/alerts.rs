//! Table function `alerts('RULES', …)`: rules replayed inside SQL. This crate does not know rules: whoever opens the session
//! says how they are replayed.

use std::fmt;
use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use arrow::error::ArrowError;
use arrow::record_batch::RecordBatch;
use ctrace_trace::case::Case;
use ctrace_trace::catalogue::{FieldType, Value};
use datafusion::catalog::{TableFunctionArgs, TableFunctionImpl, TableProvider};
use datafusion::common::{DataFusionError, Result, ScalarValue, plan_err};
use datafusion::logical_expr::Expr;

use crate::functions::FunctionInfo;
use crate::source::CaseSource;
use crate::state_table::{Build, StateColumn, StateTable, batch, schema};
use crate::union;

/// An alert as a row.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AlertRow {
    /// The same alert has the same id in every replay.
    pub id: String,
    /// Number of the event.
    pub seq: u64,
    /// Time of the event, UTC nanoseconds.
    pub ts: u64,
    /// Name of the rule.
    pub rule: String,
    /// Priority of the rule.
    pub priority: String,
    /// Tags of the rule.
    pub tags: Vec<String>,
    /// The rule's output.
    pub output: String,
    /// The fields of the output, JSON.
    pub fields: String,
}

/// Replays the rules of some files or folders over a case.
pub type ReplayRules = dyn Fn(&Case, &[String]) -> std::result::Result<Vec<AlertRow>, String> + Send + Sync;

/// What the function is called and gives.
pub(crate) const INFO: FunctionInfo = FunctionInfo {
    usage: "alerts(rules, …)",
    doc: "The alerts that rules files, or folders of them, give for the case.",
};

const COLUMNS: &[StateColumn<AlertRow>] = &[
    column(
        "seq",
        FieldType::Uint,
        "Number of the event, as in table events.",
        |a| Value::Uint(a.seq),
    ),
    column("ts", FieldType::Timestamp, "Time of the event.", |a| Value::Uint(a.ts)),
    column("rule", FieldType::Str, "Name of the rule.", |a| text(&a.rule)),
    column("priority", FieldType::Str, "Priority of the rule.", |a| {
        text(&a.priority)
    }),
    column("tags", FieldType::List, "Tags of the rule.", |a| {
        Value::List(a.tags.iter().map(|t| t.as_bytes().into()).collect())
    }),
    column("output", FieldType::Str, "The rule's output.", |a| text(&a.output)),
    column("fields", FieldType::Str, "The fields of the output, JSON.", |a| {
        text(&a.fields)
    }),
    column(
        "alert_id",
        FieldType::Str,
        "The same alert has the same id in every replay.",
        |a| text(&a.id),
    ),
];

const fn column(
    name: &'static str,
    ty: FieldType,
    doc: &'static str,
    get: for<'a> fn(&'a AlertRow) -> Value<'a>,
) -> StateColumn<AlertRow> {
    StateColumn { name, ty, doc, get }
}

fn text(s: &str) -> Value<'_> {
    Value::text(s.as_bytes())
}

/// Names and types of the columns.
pub(crate) fn table_schema() -> SchemaRef {
    Arc::new(schema(COLUMNS))
}

/// Alerts of a case as rows.
pub(crate) fn rows(alerts: &[AlertRow], source: &CaseSource) -> std::result::Result<RecordBatch, ArrowError> {
    batch(COLUMNS, alerts, source)
}

/// The function.
pub(crate) struct Alerts {
    pub(crate) cases: Vec<Arc<CaseSource>>,
    pub(crate) replay: Arc<ReplayRules>,
}

impl fmt::Debug for Alerts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(INFO.usage)
    }
}

impl TableFunctionImpl for Alerts {
    fn call_with_args(&self, args: TableFunctionArgs) -> Result<Arc<dyn TableProvider>> {
        let path = |e: &Expr| match e {
            Expr::Literal(ScalarValue::Utf8(Some(path)) | ScalarValue::Utf8View(Some(path)), _) => Some(path.clone()),
            _ => None,
        };
        let paths: Option<Vec<String>> = args.exprs().iter().map(path).collect();
        let Some(paths) = paths.filter(|p| !p.is_empty()) else {
            return plan_err!("alerts takes rules files or folders of them: alerts('rules/')");
        };
        let table = |case: &Arc<CaseSource>| -> Arc<dyn TableProvider> {
            let build = self.build(paths.clone());
            Arc::new(StateTable::new(case.clone(), table_schema(), build))
        };
        union::of(self.cases.iter().map(table).collect())
    }
}

impl Alerts {
    /// Replays when a statement first asks for rows.
    fn build(&self, paths: Vec<String>) -> Build {
        let replay = self.replay.clone();
        Box::new(move |source| match replay(source.case(), &paths) {
            Ok(alerts) => rows(&alerts, source),
            Err(why) => Err(ArrowError::ExternalError(Box::new(DataFusionError::Plan(why)))),
        })
    }
}
