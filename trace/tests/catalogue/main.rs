//! The field catalogue on coded and decoded blocks: values, columns read, completeness, reference pages.

mod basis;
mod complete;
mod needs;
mod pages;
mod scene;
mod values;
