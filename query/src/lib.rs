//! SQL over traces: Arrow schema, DataFusion tables, Parquet export.

mod columns;
mod events;
mod filter;
mod source;
