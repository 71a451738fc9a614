//! SQL over traces: Arrow schema, DataFusion tables, Parquet export.
//!
//! [`Session`] opens a case ([`Session::case`]), an export ([`Session::folder`]) or several ([`Session::over`]): all have the
//! same tables with the same columns, so that a statement gives the same rows over a case and over its export.
//! [`output`] writes results as text, [`file_output`] as files; [`export`] writes the tables of a case as Parquet.

mod alerts;
mod as_of;
mod block_groups;
mod block_places;
mod block_rows;
mod block_scan;
mod block_table;
mod cancel;
mod cluster;
mod column;
mod container_table;
mod digests;
mod error;
mod expanded;
pub mod export;
mod file_groups;
pub mod file_output;
mod file_pushdown;
mod file_statistics;
mod filter;
mod folder;
mod folder_table;
mod functions;
mod group_pushdown;
pub mod library;
mod numbering;
pub mod output;
mod param;
mod partners;
mod pauses;
mod plan_node;
mod process_id;
mod process_table;
mod processes;
mod prune;
mod recursion;
mod rows;
mod segment_table;
mod session;
mod socket_values;
mod source;
mod split;
mod state_table;
mod statement;
mod store;
mod tables;
mod text_table;
mod thread_groups;
pub mod tree;
mod type_name;
mod union;
mod values;
mod views;
mod window_sort;

pub use alerts::{AlertRow, ReplayRules};
pub use cancel::Cancel;
pub use cluster::ClusterAddress;
pub use error::QueryError;
pub use functions::FunctionInfo;
pub use param::Param;
pub use rows::Rows;
pub use session::{Answer, Data, Options, Session, TableInfo};
pub use split::{split, split_complete, split_first};
pub use tables::ColumnInfo;
