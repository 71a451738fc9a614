//! SQL over traces: Arrow schema, DataFusion tables, Parquet export.
//!
//! [`Session`] opens a case ([`Session::case`]) or an export ([`Session::folder`]): both have the same tables with the
//! same columns, so that a statement gives the same rows over either.

mod block_rows;
mod block_scan;
mod block_table;
mod cancel;
mod column;
mod container_table;
mod error;
mod filter;
mod folder;
mod process_id;
mod process_table;
mod processes;
mod prune;
mod session;
mod source;
mod state_table;
mod statement;
mod tables;
mod type_name;
mod values;

pub use cancel::Cancel;
pub use error::QueryError;
pub use session::{Answer, Options, Session, TableInfo};
pub use tables::ColumnInfo;
