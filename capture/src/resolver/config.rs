//! Limits of the resolver, and what it counts.

/// Limits of the resolver. Reaching one never stops it: something is forgotten and counted in [`Stats`].
#[derive(Clone, Debug)]
pub struct Config {
    /// Most processes that are kept. Default 65,536.
    pub max_processes: usize,
    /// Most descriptors of all processes together, in steps of 16 for each process. Default 1,048,576. The first 128 of
    /// each process are kept whatever their number.
    pub max_fds: usize,
    /// Most bytes of what is known of processes, their ancestors included. Default 256 MiB. Half of that, which always
    /// remains, is 190,000 images with usual texts, or 1,000 with command lines and environments of 64 KiB.
    pub max_image_bytes: usize,
    /// Most bytes of what is known of descriptors. Default 256 MiB. Half of that, which always remains, is 500,000
    /// different files with usual names, or 16,000 with the longest.
    pub max_fd_bytes: usize,
    /// Nanoseconds for which who a process was is kept after its end, for records that come late. Default 2 s.
    pub linger_ns: u64,
    /// Most questions to the host about processes in a second of the records' time, as many about paths, and as
    /// many about all else; 0 asks nothing. Default 2,000.
    pub lookups_per_s: u32,
    /// Whether all calls that change descriptors are recorded. Where not, only what a record itself describes of a
    /// descriptor counts. Default true.
    pub sees_descriptors: bool,
    /// Whether each exec by another call than `execve` of 64-bit programs tells of itself. Where not, the file name says
    /// which call it may have been. Default true.
    pub hears_calls: bool,
    /// Environment variables that are kept beside `LD_PRELOAD` and `LD_LIBRARY_PATH`.
    pub env: Vec<Vec<u8>>,
}

impl Default for Config {
    fn default() -> Config {
        Config {
            max_processes: 65_536,
            max_fds: 1 << 20,
            max_image_bytes: 256 << 20,
            max_fd_bytes: 256 << 20,
            linger_ns: 2_000_000_000,
            lookups_per_s: 2_000,
            sees_descriptors: true,
            hears_calls: true,
            env: Vec::new(),
        }
    }
}

impl Config {
    /// The variables (`NAME=value`) of a NUL-separated environment that are kept.
    pub(super) fn kept<'a>(&self, environment: &'a [u8]) -> impl Iterator<Item = &'a [u8]> {
        let mut rest = environment;
        std::iter::from_fn(move || {
            while !rest.is_empty() {
                let end = memchr::memchr(0, rest).unwrap_or(rest.len());
                let (variable, behind) = rest.split_at(end);
                rest = behind.get(1..).unwrap_or_default();
                if self.keeps(variable) {
                    return Some(variable);
                }
            }
            None
        })
    }

    fn keeps(&self, variable: &[u8]) -> bool {
        let is = |name: &[u8]| {
            // Most differ in the first letter.
            variable.first() == name.first()
                && variable
                    .strip_prefix(name)
                    .is_some_and(|value| matches!(value.first(), None | Some(b'=')))
        };
        is(b"LD_PRELOAD") || is(b"LD_LIBRARY_PATH") || self.env.iter().any(|name| is(name))
    }
}

/// What the resolver counted since it was made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Processes that are known now, ended ones that linger included.
    pub processes: u64,
    /// Bytes that what is known of them takes at most.
    pub image_bytes: u64,
    /// The same of descriptors.
    pub fd_bytes: u64,
    /// Processes that appeared without a fork: older than the recording and not in the snapshot, or lost.
    pub unannounced: u64,
    /// Processes that were forgotten before their time, because there were too many or they took too much memory.
    pub evicted: u64,
    /// Process images of which long texts were cut, because all took too much memory.
    pub images_cut: u64,
    /// Descriptors that were not kept, because there were too many or they took too much memory.
    pub fds_refused: u64,
    /// Questions to the host.
    pub lookups: u64,
    /// Questions that were not asked, because there were too many.
    pub lookups_refused: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_are_kept_by_their_whole_name() {
        let config = Config {
            env: vec![b"Z".to_vec()],
            ..Config::default()
        };
        let environment = b"A=1\0LD_PRELOAD=x\0LD_PRELOADED=2\0\0LD_LIBRARY_PATH\0ZZ=3\0Z=\0";
        let kept: Vec<&[u8]> = config.kept(environment).collect();
        assert_eq!(kept, [&b"LD_PRELOAD=x"[..], b"LD_LIBRARY_PATH", b"Z="]);
        assert_eq!(config.kept(b"").count(), 0);
    }
}
