//! Prints the events of a case with a format, in a process of its own: `print CASE TIMES [FORMAT]`. Times go to stdout,
//! lines to stderr.

use std::io::Write;
use std::path::Path;
use std::process::ExitCode;
use std::time::Instant;

use ctrace_replay::Format;
use ctrace_trace::case::Case;
use ctrace_trace::segment::BlockReader;

/// What `ctrace read` prints unless told otherwise.
const FORMAT: &str =
    "%evt.num %evt.time.iso8601 %evt.cpu %container.name %proc.name (%proc.pid:%thread.tid) %evt.type %evt.args";

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let parsed = match args.as_slice() {
        [case, times] => times.parse().ok().map(|times: u32| (case, times, FORMAT)),
        [case, times, format] => times.parse().ok().map(|times| (case, times, format.as_str())),
        _ => None,
    };
    let Some((case, times, format)) = parsed else {
        eprintln!("usage: print CASE TIMES [FORMAT]");
        return ExitCode::from(2);
    };
    let case = Case::open(Path::new(case)).expect("the case opens");
    let mut lines = Format::parse(format).expect("the format is right").lines();
    let mut out = std::io::BufWriter::new(std::io::stderr());
    for _ in 0..times {
        let started = Instant::now();
        let (mut events, mut reader, mut line) = (0, BlockReader::new(), String::new());
        for block in case.blocks() {
            let decoded = reader.read(block, lines.needs()).expect("the block is whole");
            lines.begin();
            for event in decoded.events() {
                line.clear();
                lines.push(event, &mut line);
                line.push('\n');
                out.write_all(line.as_bytes()).expect("written");
            }
            events += decoded.len;
        }
        println!(
            "{{\"events\":{events},\"seconds\":{}}}",
            started.elapsed().as_secs_f64()
        );
    }
    ExitCode::SUCCESS
}
