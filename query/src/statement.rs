//! From text to plan: one statement, names checked so that errors name the nearest one, nothing that writes.
//!
//! A session may make tables and views of its own, in memory. What cannot change the evidence but would look as if it did
//! (`DROP TABLE events`) is refused.

use datafusion::common::TableReference;
use datafusion::execution::context::SQLOptions;
use datafusion::logical_expr::{DdlStatement, LogicalPlan, WriteOp};
use datafusion::prelude::SessionContext;
use datafusion::sql::parser::{DFParserBuilder, Statement};
use datafusion::sql::resolve::resolve_table_references;
use datafusion::sql::sqlparser::dialect::PostgreSqlDialect;

use crate::error::{QueryError, nearest};
use crate::session::TableInfo;

/// Plans a statement. `evidence` are the tables that the session was opened with.
pub(crate) async fn plan(
    context: &SessionContext,
    text: &str,
    evidence: &[TableInfo],
) -> Result<LogicalPlan, QueryError> {
    let statement = parse(text)?;
    check_tables(context, &statement).await?;
    let plan = context.state().statement_to_plan(statement).await?;
    let read_only = SQLOptions::new().with_allow_dml(false);
    read_only
        .verify_plan(&plan)
        .map_err(|_| QueryError::ReadOnly(refused(&plan)))?;
    match &plan {
        LogicalPlan::Ddl(ddl) if !is_own(ddl, evidence) => Err(QueryError::ReadOnly(words(ddl))),
        _ => Ok(plan),
    }
}

/// Whether a statement makes or drops a table or view of the session's own.
fn is_own(ddl: &DdlStatement, evidence: &[TableInfo]) -> bool {
    let name = match ddl {
        DdlStatement::CreateMemoryTable(create) => &create.name,
        DdlStatement::CreateView(create) => &create.name,
        DdlStatement::DropTable(drop) => &drop.name,
        DdlStatement::DropView(drop) => &drop.name,
        _ => return false,
    };
    !evidence.iter().any(|t| t.name == name.table())
}

/// What a statement that changes data is called in SQL.
fn refused(plan: &LogicalPlan) -> String {
    match plan {
        LogicalPlan::Dml(dml) => match &dml.op {
            WriteOp::Insert(_) => "INSERT".to_owned(),
            op => op.name().to_uppercase(),
        },
        LogicalPlan::Copy(_) => "COPY".to_owned(),
        other => other.display().to_string(),
    }
}

/// `DropTable` as `DROP TABLE`.
fn words(ddl: &DdlStatement) -> String {
    let mut out = String::new();
    for c in ddl.name().chars() {
        if c.is_uppercase() && !out.is_empty() {
            out.push(' ');
        }
        out.extend(c.to_uppercase());
    }
    out
}

fn parse(text: &str) -> Result<Statement, QueryError> {
    let mut parser = DFParserBuilder::new(text).with_dialect(&PostgreSqlDialect {}).build()?;
    let mut statements = parser.parse_statements()?;
    match (statements.pop_front(), statements.is_empty()) {
        (Some(statement), true) => Ok(statement),
        (Some(_), false) => Err(QueryError::Statement("more than one statement".to_owned())),
        (None, _) => Err(QueryError::Statement("no statement".to_owned())),
    }
}

/// DataFusion says which table is missing only in words; this says which one was probably meant.
async fn check_tables(context: &SessionContext, statement: &Statement) -> Result<(), QueryError> {
    let (tables, _) = resolve_table_references(statement, true)?;
    let functions = context.state().table_functions().keys().cloned().collect::<Vec<_>>();
    for table in tables {
        let name = table.table();
        if context.table_exist(table.clone())? || !is_plain(&table) || functions.iter().any(|f| f == name) {
            continue;
        }
        // What a statement makes does not have to be there.
        if matches!(statement, Statement::CreateExternalTable(_)) || makes_tables(statement) {
            continue;
        }
        let known = table_names(context);
        let there_are = || known.iter().chain(&functions).map(String::as_str);
        let message = match nearest(name, there_are()) {
            Some(near) if functions.iter().any(|f| f == near) => {
                format!("no table `{name}`; did you mean the function `{near}(…)`?")
            }
            Some(near) => format!("no table `{name}`; did you mean `{near}`?"),
            None => format!("no table `{name}`; there are {}", known.join(", ")),
        };
        let name = name.to_owned();
        return Err(QueryError::Named { message, name });
    }
    Ok(())
}

fn is_plain(table: &TableReference) -> bool {
    matches!(table, TableReference::Bare { .. })
}

fn makes_tables(statement: &Statement) -> bool {
    use datafusion::sql::sqlparser::ast::Statement as Sql;
    match statement {
        Statement::Statement(sql) => matches!(**sql, Sql::CreateTable(_) | Sql::CreateView(_) | Sql::Drop { .. }),
        _ => false,
    }
}

fn table_names(context: &SessionContext) -> Vec<String> {
    let catalogs = context.catalog_names().into_iter().filter_map(|c| context.catalog(&c));
    let schemas = catalogs.flat_map(|c| c.schema_names().into_iter().filter_map(move |s| c.schema(&s)));
    let mut names: Vec<String> = schemas.flat_map(|s| s.table_names()).collect();
    names.sort();
    names.dedup();
    names
}
