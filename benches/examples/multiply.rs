//! Writes a `.scap` capture many times over, as a capture and as a case, for comparisons that run outside of criterion:
//! `multiply SAMPLE TIMES DIR` makes `DIR/capture.scap` and `DIR/case`.

use std::io::Read;
use std::path::Path;
use std::process::ExitCode;

use ctrace_benches::captures;
use ctrace_capture::import::{ImportOptions, import};
use ctrace_trace::segment::Tool;

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let parsed = match args.as_slice() {
        [sample, times, dir] => times
            .parse()
            .ok()
            .map(|times| (Path::new(sample), times, Path::new(dir))),
        _ => None,
    };
    let Some((sample, times, dir)) = parsed else {
        eprintln!("usage: multiply SAMPLE TIMES DIR");
        return ExitCode::from(2);
    };
    let raw = std::fs::read(sample).expect("the sample is there");
    let mut bytes = Vec::new();
    flate2::read::MultiGzDecoder::new(&raw[..])
        .read_to_end(&mut bytes)
        .expect("the sample is compressed");
    let (capture, events) = captures::multiply(&bytes, times);
    let file = dir.join("capture.scap");
    std::fs::write(&file, &capture).expect("written");
    let options = ImportOptions {
        files: vec![file],
        format: None,
        output: dir.join("case"),
        tool: Tool::default(),
        command_line: Vec::new(),
    };
    let outcome = import(&options, &mut |_| true).expect("imported");
    assert!(outcome.files.iter().all(|f| !f.is_damaged()));
    println!("{events}");
    ExitCode::SUCCESS
}
