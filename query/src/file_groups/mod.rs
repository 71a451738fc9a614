//! Grouping on the dictionaries of Parquet files: the first half of an aggregation, done while files are read.
//!
//! A column of an export is a dictionary and a number for each row. DataFusion makes texts of the numbers and hashes
//! each; here conditions on texts are evaluated once per entry, rows are counted by their numbers, and only one row for
//! each combination leaves a row group. What a file does not have as a dictionary costs more and gives the same.

mod footers;
mod groups;
mod passing;
mod plan;
mod prune;
mod read;
mod request;
mod row_group;

pub(crate) use footers::Footers;
pub(crate) use plan::FileGroups;
pub(crate) use request::{Computed, Key, Request, Wanted, is_text};
