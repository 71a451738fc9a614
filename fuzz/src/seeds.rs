//! Writes what each target begins with into `FOLDER/TARGET`, a file a sample: `seeds FOLDER`.

use std::fs;
use std::path::PathBuf;

fn main() {
    let folder = PathBuf::from(std::env::args_os().nth(1).expect("a folder"));
    for target in ctrace_fuzz::targets() {
        let folder = folder.join(target.name());
        fs::create_dir_all(&folder).expect("made");
        for (at, seed) in ctrace_fuzz::seeds(target).into_iter().enumerate() {
            fs::write(folder.join(format!("sample-{at:03}")), seed).expect("written");
        }
    }
}
