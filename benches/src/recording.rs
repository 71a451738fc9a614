//! The workload as a case on disk.

use std::path::Path;

use ctrace_trace::case::{Case, CaseConfig, CaseWriter, Opening};
use ctrace_trace::segment::{CaseId, ClockReading};

use crate::workload;

/// Writes at least so many events of the mixed workload into a new case.
pub fn record(dir: &Path, events: usize) -> Case {
    let recorded = workload::mixed(events);
    let args = recorded.args();
    let config = CaseConfig::new(CaseId([1; 16]), recorded.schema.clone());
    let opener = || Opening {
        clock: ClockReading::default(),
        state: None,
    };
    let mut writer = CaseWriter::create(dir, config, Box::new(opener)).expect("creates a case");
    for event in recorded.events(&args) {
        writer.push(&event).expect("pushes");
    }
    writer.finish().expect("finishes");
    Case::open(dir).expect("opens")
}
