//! Loaded kernel modules (`/proc/modules`).

use super::procfs::{MAX_FILE, decimal, lines, read, words};

/// Most modules that are kept.
const MAX_MODULES: usize = 10_000;

/// A loaded module.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Module {
    /// Its name.
    pub name: String,
    /// Its size in bytes.
    pub size: u64,
    /// Names of the modules that use it.
    pub used_by: Vec<String>,
    /// `Live`, `Loading` or `Unloading`, and its taint letters where it has any: `Live (OE)`.
    pub state: String,
}

/// The loaded modules by name. None where the kernel has no modules.
pub fn read_modules() -> Vec<Module> {
    let text = read("/proc/modules", MAX_FILE).unwrap_or_default();
    parse(&text)
}

fn parse(text: &[u8]) -> Vec<Module> {
    let mut modules: Vec<Module> = lines(text).filter_map(parse_line).take(MAX_MODULES).collect();
    modules.sort_by(|a, b| a.name.cmp(&b.name));
    modules
}

/// `nf_nat 61440 2 xt_MASQUERADE,nft_chain_nat, Live 0xffffffffc0a12000 (OE)`
fn parse_line(line: &[u8]) -> Option<Module> {
    let text = |word: &[u8]| String::from_utf8_lossy(word).into_owned();
    let mut words = words(line);
    let (name, size, _uses) = (text(words.next()?), decimal(words.next()?)?, words.next()?);
    let used_by = words
        .next()?
        .split(|b| *b == b',')
        .filter(|u| !u.is_empty() && *u != b"-");
    let used_by = used_by.map(text).collect();
    let mut state = text(words.next()?);
    if let Some(taints) = words.nth(1) {
        state.push(' ');
        state.push_str(&text(taints));
    }
    Some(Module {
        name,
        size,
        used_by,
        state,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn users_and_taints() {
        let text = b"nf_nat 61440 2 xt_MASQUERADE,nft_chain_nat, Live 0xffffffffc0a12000\nbad 12288 0 - Live 0x0 (OE)\nshort 1\n";
        let modules = parse(text);
        assert_eq!(modules.len(), 2);
        assert_eq!(
            (modules[0].name.as_str(), modules[0].state.as_str()),
            ("bad", "Live (OE)")
        );
        assert!(modules[0].used_by.is_empty());
        assert_eq!(
            (modules[1].size, modules[1].used_by.join("+")),
            (61440, "xt_MASQUERADE+nft_chain_nat".to_owned())
        );
    }
}
