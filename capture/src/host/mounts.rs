//! Mounts of a mount namespace (`/proc/PID/mountinfo`, proc(5)).

use super::procfs::{MAX_FILE, decimal, lines, read, unescape, words};

/// Most mounts that are kept.
const MAX_MOUNTS: usize = 100_000;

/// One mount.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Mount {
    /// Mount id.
    pub id: u32,
    /// Mount id of the parent.
    pub parent: u32,
    /// Major and minor number of the file system's device.
    pub device: (u32, u32),
    /// Which folder of the file system is mounted.
    pub root: Vec<u8>,
    /// Where.
    pub target: Vec<u8>,
    /// Options of the mount.
    pub options: Vec<u8>,
    /// Type of the file system.
    pub fs_type: Vec<u8>,
    /// Device, share or what else the type takes.
    pub source: Vec<u8>,
    /// Options of the file system.
    pub fs_options: Vec<u8>,
}

/// The mounts that a process sees, in mount order.
pub fn read_mounts(pid: u32) -> Vec<Mount> {
    let text = read(format!("/proc/{pid}/mountinfo"), MAX_FILE).unwrap_or_default();
    parse(&text)
}

fn parse(text: &[u8]) -> Vec<Mount> {
    lines(text).filter_map(parse_line).take(MAX_MOUNTS).collect()
}

/// `36 35 98:0 /mnt1 /mnt2 rw,noatime master:1 shared:2 - ext3 /dev/root rw,errors=continue`
fn parse_line(line: &[u8]) -> Option<Mount> {
    let mut words = words(line);
    let (id, parent) = (decimal(words.next()?)?, decimal(words.next()?)?);
    let mut device = words.next()?.split(|b| *b == b':').map(decimal);
    let device = (device.next()??, device.next()??);
    let (root, target) = (unescape(words.next()?), unescape(words.next()?));
    let options = words.next()?.to_vec();
    // Any number of optional fields, which a lone dash ends.
    let mut words = words.skip_while(|w| *w != b"-").skip(1);
    Some(Mount {
        id,
        parent,
        device,
        root,
        target,
        options,
        fs_type: words.next()?.to_vec(),
        source: words.next().map(unescape).unwrap_or_default(),
        fs_options: words.next().map(unescape).unwrap_or_default(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn optional_fields_and_escapes() {
        let text = b"36 35 98:0 /mnt1 /mnt\\0402 rw,noatime master:1 shared:2 - ext3 /dev/root rw,errors=continue\nnonsense\n22 27 0:21 / /proc rw - proc proc rw\n";
        let mounts = parse(text);
        assert_eq!(mounts.len(), 2);
        let first = &mounts[0];
        assert_eq!((first.id, first.parent, first.device), (36, 35, (98, 0)));
        assert_eq!(
            (first.root.as_slice(), first.target.as_slice()),
            (&b"/mnt1"[..], &b"/mnt 2"[..])
        );
        assert_eq!(
            (first.fs_type.as_slice(), first.fs_options.as_slice()),
            (&b"ext3"[..], &b"rw,errors=continue"[..])
        );
        assert_eq!(mounts[1].source, b"proc");
    }
}
