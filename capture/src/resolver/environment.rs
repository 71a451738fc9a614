//! Environments seen lately: a shell gives the same one to each program that it starts, and to look for the variables that
//! are kept takes longer than to compare the whole.

use super::config::Config;
use super::spare::set;
use crate::host::TRUNCATED;
use crate::syscall::Section;

/// How many are kept.
const KEPT: usize = 16;
/// Longer ones are not kept: memory stays bounded.
const MAX_LEN: usize = 16 * 1024;

/// The environments seen lately, and what was kept of them.
#[derive(Debug, Default)]
pub(super) struct Environments {
    /// By length: those that differ mostly differ in that.
    known: [Known; KEPT],
}

#[derive(Debug, Default)]
struct Known {
    whole: Vec<u8>,
    truncated: bool,
    chosen: Vec<u8>,
}

impl Environments {
    /// Replaces `to` by the variables that are kept of an environment.
    pub(super) fn choose(&mut self, env: &Section<'_>, config: &Config, to: &mut Vec<u8>) {
        if env.data.len() > MAX_LEN {
            return choose(env, config, to);
        }
        let Some(known) = self.known.get_mut(env.data.len() % KEPT) else {
            return choose(env, config, to);
        };
        if known.truncated != env.truncated || known.whole != env.data {
            set(&mut known.whole, env.data);
            known.truncated = env.truncated;
            choose(env, config, &mut known.chosen);
        }
        set(to, &known.chosen);
    }
}

fn choose(env: &Section<'_>, config: &Config, to: &mut Vec<u8>) {
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
            full_len: None,
            data,
        }
    }

    #[test]
    fn what_is_found_again_is_what_is_chosen_anew() {
        let config = Config {
            env: vec![b"A".to_vec()],
            ..Config::default()
        };
        let long = [b"A=long\0".to_vec(), vec![b'x'; MAX_LEN]].concat();
        let all: [(&[u8], bool, &[u8]); 6] = [
            (b"A=1\0B=2\0", false, b"A=1"),
            (b"B=2\0A=1\0", false, b"A=1"),
            (b"B=1\0C=1\0", false, b""),
            (b"A=1\0B=2\0", true, b"A=1\0..."),
            (b"", true, b"..."),
            (&long, false, b"A=long"),
        ];
        let mut environments = Environments::default();
        let mut chosen = b"of another program".to_vec();
        for (data, truncated, want) in [all, all].concat() {
            for _ in 0..2 {
                environments.choose(&env(data, truncated), &config, &mut chosen);
                assert_eq!(chosen, want);
            }
        }
    }
}
