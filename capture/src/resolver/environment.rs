//! What is kept of an environment.

use super::config::Config;
use crate::host::TRUNCATED;
use crate::syscall::Section;

/// Replaces `to` by the variables that are kept of an environment.
pub(super) fn choose(env: &Section<'_>, config: &Config, to: &mut Vec<u8>) {
    to.clear();
    let more = env.truncated.then_some(TRUNCATED);
    for variable in config.kept(env.data).chain(more) {
        if !to.is_empty() {
            to.push(0);
        }
        to.extend_from_slice(variable);
    }
}

#[cfg(test)]
mod tests {
    use ctrace_wire::section;

    use super::*;

    fn env(data: &[u8], truncated: bool) -> Section<'_> {
        Section {
            kind: section::EXEC_ENV,
            arg: 0,
            truncated,
            fault: false,
            detached: false,
            full_len: None,
            data,
        }
    }

    #[test]
    fn what_was_asked_for_is_kept() {
        let config = Config {
            env: vec![b"A".to_vec()],
            ..Config::default()
        };
        let all: [(&[u8], bool, &[u8]); 6] = [
            (b"A=1\0B=2\0", false, b"A=1"),
            (b"B=2\0A=1\0", false, b"A=1"),
            (b"B=1\0C=1\0", false, b""),
            (b"A=1\0B=2\0", true, b"A=1\0..."),
            (b"", true, b"..."),
            (b"", false, b""),
        ];
        let mut chosen = b"of another program".to_vec();
        for (data, truncated, want) in all {
            choose(&env(data, truncated), &config, &mut chosen);
            assert_eq!(chosen, want);
        }
    }
}
