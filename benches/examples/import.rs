//! Imports a log in a process of its own, for profiles and counts of instructions: `import log NAME BYTES FILE` writes a
//! log of a sample, `import FILE TIMES` imports it.
//!
//! Prints the events and a digest of all blocks, so that the cases of two builds can be compared.

use std::path::Path;
use std::process::ExitCode;

use ctrace_benches::logs::SAMPLES;
use ctrace_capture::import::{ImportOptions, import};
use ctrace_trace::case::Case;
use sha2::{Digest, Sha256};

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    match args.as_slice() {
        [log, name, bytes, file] if log == "log" => write(name, bytes.parse().expect("a number"), Path::new(file)),
        [file, times] => run(Path::new(file), times.parse().expect("a number")),
        _ => {
            eprintln!("usage: import log NAME BYTES FILE | import FILE TIMES");
            return ExitCode::from(2);
        }
    }
    ExitCode::SUCCESS
}

fn write(name: &str, bytes: usize, file: &Path) {
    let sample = SAMPLES.iter().find(|s| s.name == name).expect("a sample");
    let folder = tempfile::tempdir().expect("a folder");
    let log = sample.log(bytes, folder.path()).expect("the sample is there");
    std::fs::write(file, log).expect("written");
}

fn run(file: &Path, times: u32) {
    let folder = tempfile::tempdir_in("/dev/shm")
        .or_else(|_| tempfile::tempdir())
        .expect("a folder");
    for time in 0..times {
        let options = ImportOptions {
            files: vec![file.to_owned()],
            output: folder.path().join(time.to_string()),
            ..ImportOptions::default()
        };
        let outcome = import(&options, &mut |_| true).expect("imported");
        if time == 0 {
            let case = Case::open(&options.output).expect("the case opens");
            let mut all = Sha256::new();
            for block in case.blocks() {
                all.update(block.load().expect("the block is whole"));
            }
            let digest: String = all.finalize().iter().map(|b| format!("{b:02x}")).collect();
            let file = &outcome.files[0];
            println!(
                "{} {} events {} unknown {} bad {digest}",
                file.format, file.events, file.unknown, file.bad
            );
        }
        std::fs::remove_dir_all(&options.output).expect("removed");
    }
}
