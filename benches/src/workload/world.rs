//! What the workload acts on: a file tree, a source of chance, and a clock per CPU.

/// A deterministic source of chance (xorshift64*).
#[derive(Clone, Debug)]
pub(super) struct Chance(u64);

impl Chance {
    pub(super) fn new(seed: u64) -> Chance {
        Chance(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1)
    }

    pub(super) fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D)
    }

    /// Below `n`.
    pub(super) fn below(&mut self, n: u64) -> u64 {
        (self.next() >> 33) % n
    }

    /// True once in `n` times.
    pub(super) fn once_in(&mut self, n: u64) -> bool {
        self.below(n) == 0
    }

    /// A duration of some system call in nanoseconds: mostly around a microsecond, with a long tail.
    pub(super) fn duration(&mut self) -> u64 {
        let tail = if self.once_in(150) {
            4 + self.below(7)
        } else {
            self.below(3)
        };
        let base = 350 + self.below(500);
        (base << tail) + self.below(1 << tail.max(6))
    }
}

/// A directory with its files.
#[derive(Debug)]
pub(super) struct Dir {
    pub(super) path: String,
    pub(super) ino: u64,
    pub(super) files: Vec<File>,
}

/// A file in a directory.
#[derive(Debug)]
pub(super) struct File {
    pub(super) name: String,
    pub(super) ino: u64,
    pub(super) size: u64,
}

const SYLLABLES: [&str; 32] = [
    "net", "core", "lib", "test", "util", "proc", "fs", "mod", "gen", "arm", "x", "drv", "std", "io", "str", "con",
    "base", "sys", "log", "dev", "py", "data", "ra", "to", "mi", "ne", "conf", "ker", "ext", "sha", "ver", "post",
];
const ROOTS: [(&str, &[&str]); 5] = [
    ("/usr/include", &[".h", ".hpp", ".h"]),
    ("/usr/lib/python3/dist-packages", &[".py", ".pyc", ".pyi"]),
    ("/usr/share/doc", &["", ".gz", ".md"]),
    ("/usr/lib/x86_64-linux-gnu", &[".so", ".so.1", ".a"]),
    ("/var/lib/app/data", &[".json", ".db", ".idx"]),
];

fn word(chance: &mut Chance) -> String {
    let n = 1 + chance.below(3);
    let mut word = String::new();
    for i in 0..n {
        if i > 0 && chance.once_in(4) {
            word.push(['-', '_'][chance.below(2) as usize]);
        }
        word.push_str(SYLLABLES[chance.below(32) as usize]);
    }
    if chance.once_in(5) {
        word.push_str(&chance.below(100).to_string());
    }
    word
}

/// A tree of so many directories below the usual roots.
pub(super) fn tree(dirs: usize, chance: &mut Chance) -> Vec<Dir> {
    let mut ino = 130_000;
    let mut list: Vec<Dir> = Vec::new();
    for i in 0..dirs {
        let (root, endings) = ROOTS[i % ROOTS.len()];
        let parent = match list.len() {
            n if n > ROOTS.len() && !chance.once_in(5) => {
                let near = n - 1 - chance.below(n.min(200) as u64) as usize;
                list[near - near.min(near % ROOTS.len())].path.clone()
            }
            _ => root.to_owned(),
        };
        ino += 1 + chance.below(40);
        let dir_ino = ino;
        let files = (0..chance.below(30)).map(|_| {
            ino += 1 + chance.below(3);
            File {
                name: format!("{}{}", word(chance), endings[chance.below(3) as usize]),
                ino,
                size: 1 << (6 + chance.below(12)) | chance.below(4096),
            }
        });
        let files: Vec<File> = files.collect();
        list.push(Dir {
            path: format!("{parent}/{}", word(chance)),
            ino: dir_ino,
            files,
        });
    }
    list
}
