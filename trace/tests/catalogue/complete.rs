//! Every field of Falco is there or refused by name; names and columns are unique and in order.

use std::collections::BTreeSet;

use ctrace_trace::catalogue::{self, ArgRule};

/// Falco's fields for system calls and containers, those of its libraries among them that only sysdig shows.
const FALCO: &str = include_str!("falco-fields.txt");

#[test]
fn every_field_of_falco_is_known_or_refused() {
    for name in FALCO.split_whitespace() {
        let known = catalogue::find(name).is_some();
        let refused = catalogue::find_unsupported(name).is_some();
        assert!(known != refused, "{name}: known {known}, refused {refused}");
    }
}

#[test]
fn refused_fields_are_falcos() {
    let falco: BTreeSet<&str> = FALCO.split_whitespace().collect();
    for (name, why) in catalogue::all_unsupported() {
        assert!(falco.contains(name), "{name}");
        assert!(!why.is_empty());
    }
}

#[test]
fn names_and_columns_are_unique_and_well_formed() {
    let mut names = BTreeSet::new();
    let mut columns = BTreeSet::new();
    for field in catalogue::all() {
        assert!(names.insert(field.name), "{}", field.name);
        assert!(field.doc.ends_with('.'), "{}: {}", field.name, field.doc);
        let Some(column) = field.column else { continue };
        assert!(columns.insert(column), "{column}");
        assert!(field.arg != ArgRule::Required, "{column} would need an argument");
        let snake = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
        assert!(column.chars().all(snake), "{column}");
    }
    for fixed in ["ts", "seq"] {
        assert!(!columns.contains(fixed), "{fixed} is the table's own");
    }
}
