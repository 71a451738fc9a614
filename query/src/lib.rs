//! SQL over traces: Arrow schema, DataFusion tables, Parquet export.

mod columns;
mod filter;
